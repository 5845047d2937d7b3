/*
 * version.c
 *	  The version of the library, and of the SQL that calls it.
 *
 * An upgrade replaces the library first and the functions of a database later,
 * by ALTER EXTENSION c360 UPDATE. Meanwhile, and when a script of an earlier
 * release runs (CREATE EXTENSION c360 VERSION, or each step of an update over
 * several releases), functions of SQL refer to the symbols that the library
 * had then, so each of them stays here: pg_upgrade and CREATE FUNCTION look
 * for it. doc/releasing.md has the rules.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "version.h"

PG_FUNCTION_INFO_V1(c360_version);

/* A function that no SQL calls any more since the release that is named. */
#define RETIRED(function, release) \
PG_FUNCTION_INFO_V1(function); \
Datum \
function(PG_FUNCTION_ARGS) \
{ \
	ereport(ERROR, \
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), \
			 errmsg("c360 functions are older than the library"), \
			 errdetail("Function " #function " went with version " release "."), \
			 errhint("Run ALTER EXTENSION c360 UPDATE; then SELECT c360_install();"))); \
	return (Datum) 0; \
}

Datum
c360_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(C360_VERSION));
}

/* Whether the functions in this database are of the library's version. */
bool
c360_sql_is_ours(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		ours = false;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("c360"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion,
										   RelationGetDescr(rel), &isnull);

		ours = !isnull && strcmp(TextDatumGetCString(version), C360_VERSION) == 0;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return ours;
}
