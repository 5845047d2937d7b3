/*
 * kept.c
 *	  Rows that are read once a session and kept until they change: settings,
 *	  ignored numbers, rules of scoring.
 *
 * A statement trigger on their table (c360_settings_changed) invalidates the
 * table's relation cache entry whenever a row changes, and that reaches every
 * session at its next lock, its own rolled-back changes included.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "call.h"
#include "kept.h"

static C360Kept *registered = NULL;

static void
forget(Datum arg, Oid relid)
{
	for (C360Kept *kept = registered; kept != NULL; kept = kept->next)
		for (int i = 0; i < C360_KEPT_TABLES; i++)
			if (!OidIsValid(relid) || relid == kept->relids[i])
				kept->valid = false;
}

/* While the library is loaded. */
void
c360_kept_register(C360Kept *kept)
{
	if (registered == NULL)
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
	kept->next = registered;
	registered = kept;
}

/*
 * Reads the newest rows, whatever the transaction's snapshot: what is made of
 * them stays for the session, and the invalidation of a change is told once.
 */
uint64
c360_kept_read(const char *query)
{
	SPIPlanPtr	plan = SPI_prepare(query, 0, NULL);

	if (plan == NULL || SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(),
											 InvalidSnapshot, true, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", query);
	return SPI_processed;
}

/* Brings them up to date. */
void
c360_kept_load(C360Kept *kept)
{
	Oid			schema;

	AcceptInvalidationMessages();	/* in a transaction that holds its locks already */
	if (kept->valid)
		return;
	schema = get_namespace_oid("c360", false);
	for (int i = 0; i < C360_KEPT_TABLES && kept->tables[i] != NULL; i++)
		kept->relids[i] = get_relname_relid(kept->tables[i], schema);
	if (kept->context == NULL)
		kept->context = AllocSetContextCreate(CacheMemoryContext, "c360 rows kept",
											  ALLOCSET_SMALL_SIZES);
	MemoryContextReset(kept->context);
	c360_own_settings();
	SPI_connect();
	kept->valid = true;			/* an invalidation from here on makes it false */
	PG_TRY();
	{
		kept->load(kept->context);
	}
	PG_CATCH();
	{
		kept->valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	SPI_finish();
}
