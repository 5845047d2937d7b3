/*
 * level.c
 *	  Who may do what: the level of a role.
 *
 * What a role may call is PostgreSQL's own EXECUTE, given by c360_grant(). But
 * some answers depend on the caller, and those ask here. The rows of
 * c360.granted_levels are few and read at each question, under the newest
 * snapshot, whatever the transaction's: a level that was taken is gone at
 * once. They are read below the executor, which needs no rights on the table,
 * runs nobody's code, and does well in READ ONLY transactions and on standbys.
 *
 * A role has the level of those roles whose rights it has (NOINHERIT counts),
 * as it is with EXECUTE.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "level.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(c360_level);
PG_FUNCTION_INFO_V1(c360_sees_money);

static const char *const level_names[] = {
	[C360_LEVEL_NONE] = NULL,
	[C360_LEVEL_VIEWER] = "viewer",
	[C360_LEVEL_AGENT] = "agent",
	[C360_LEVEL_ACCOUNTANT] = "accountant",
	[C360_LEVEL_ADMIN] = "admin",
};

const char *
c360_level_name(C360Level level)
{
	return level_names[level];
}

static C360Level
level_named(const char *name)
{
	for (int level = C360_LEVEL_VIEWER; level <= C360_LEVEL_ADMIN; level++)
		if (strcmp(name, level_names[level]) == 0)
			return level;
	return C360_LEVEL_NONE;		/* bank_feed, stream */
}

/* A column's value, or 0 for NULL or if there is no such column. */
static Datum
column(TupleTableSlot *slot, Oid relid, const char *name, Oid type)
{
	AttrNumber	number = get_attnum(relid, name);
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (number != InvalidAttrNumber && get_atttype(relid, number) == type)
		value = slot_getattr(slot, number, &isnull);
	return isnull ? (Datum) 0 : value;
}

/*
 * Whose row it is. On the server that wrote it the oid counts, so that nobody
 * inherits from a dropped role by taking its name.
 */
static Oid
role_of_row(TupleTableSlot *slot, Oid relid)
{
	Datum		cluster = column(slot, relid, "cluster", INT8OID);
	Datum		name;

	if (cluster != (Datum) 0 && (uint64) DatumGetInt64(cluster) == GetSystemIdentifier())
		return DatumGetObjectId(column(slot, relid, "role_id", OIDOID));
	name = column(slot, relid, "role", TEXTOID);
	return name == (Datum) 0 ? InvalidOid : get_role_oid(TextDatumGetCString(name), true);
}

static C360Level
granted_level(Oid role, TupleTableSlot *slot, Oid relid)
{
	Datum		name = column(slot, relid, "level", TEXTOID);
	Oid			row_role = role_of_row(slot, relid);

	if (name == (Datum) 0 || !OidIsValid(row_role) || !has_privs_of_role(role, row_role))
		return C360_LEVEL_NONE;
	return level_named(TextDatumGetCString(name));
}

C360Level
c360_level_of(Oid role)
{
	C360Level	highest = C360_LEVEL_NONE;
	Oid			owner = c360_owner();	/* 55000 if there are no tables */
	Oid			relid = get_relname_relid("granted_levels", get_namespace_oid("c360", false));
	Relation	rel;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;

	if (has_privs_of_role(role, owner))
		return C360_LEVEL_ADMIN;
	if (get_rel_relkind(relid) != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("c360 tables are not usable"),
				 errdetail("c360.granted_levels is missing or no ordinary table.")));
	rel = table_open(relid, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		highest = Max(highest, granted_level(role, slot, relid));
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return highest;
}

/* Of the role that logged in or was SET, also inside SECURITY DEFINER. */
Datum
c360_level(PG_FUNCTION_ARGS)
{
	C360Level	level = c360_level_of(GetOuterUserId());

	if (level == C360_LEVEL_NONE)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(level_names[level]));
}

/* Views ask this once for each of their columns of money. */
Datum
c360_sees_money(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(c360_level_of(GetOuterUserId()) >= C360_LEVEL_AGENT);
}
