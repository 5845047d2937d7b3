/*
 * kept.c
 *	  Rows that are read once a session and kept until they change: settings,
 *	  ignored numbers, rules of scoring.
 *
 * Triggers on their table (c360_settings_changed) invalidate the table's
 * relation cache entry whenever a row changes, and that reaches every session
 * at its next lock. They fire before the row, so that what is read in the
 * middle of a statement is forgotten should it fail, and after the statement,
 * for those who read before its end; and they fire for replicated rows, which
 * have no statement.
 *
 * What is made of the rows takes the place of what was there when it is whole:
 * reading may fail, and be caught, and planning may run functions of the
 * shop's that call c360 and ask for the same rows.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "call.h"
#include "kept.h"

static C360Kept *registered = NULL;

static void
forget(C360Kept *kept)
{
	kept->valid = false;
	kept->changes++;
}

static void
forget_relation(Datum arg, Oid relid)
{
	for (C360Kept *kept = registered; kept != NULL; kept = kept->next)
		for (int i = 0; i < C360_KEPT_TABLES; i++)
			if (!OidIsValid(relid) || relid == kept->relids[i])
				forget(kept);
}

/* The schema's name may lead to other tables now. */
static void
forget_schema(Datum arg, int cacheid, uint32 hashvalue)
{
	for (C360Kept *kept = registered; kept != NULL; kept = kept->next)
		forget(kept);
}

/* While the library is loaded. */
void
c360_kept_register(C360Kept *kept)
{
	if (registered == NULL)
	{
		CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_schema, (Datum) 0);
	}
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

static void
find_tables(C360Kept *kept)
{
	Oid			schema = get_namespace_oid("c360", false);

	for (int i = 0; i < C360_KEPT_TABLES && kept->tables[i] != NULL; i++)
		kept->relids[i] = get_relname_relid(kept->tables[i], schema);
}

static void
bring_up_to_date(C360Kept *kept)
{
	uint64		changes = kept->changes;
	const void *made;
	MemoryContext fresh = AllocSetContextCreate(CurrentMemoryContext, "c360 rows kept",
												ALLOCSET_SMALL_SIZES);

	find_tables(kept);
	c360_own_settings();
	SPI_connect();
	made = kept->read(fresh);
	SPI_finish();
	MemoryContextSetParent(fresh, CacheMemoryContext);
	if (kept->context != NULL)	/* somebody further out may still look at it */
		MemoryContextSetParent(kept->context, TopTransactionContext);
	kept->context = fresh;
	kept->made = made;
	kept->valid = changes == kept->changes;
}

/* As they are now; what is answered stays for the transaction. */
const void *
c360_kept(C360Kept *kept)
{
	AcceptInvalidationMessages();	/* in a transaction that holds its locks already */
	if (!kept->valid)
		bring_up_to_date(kept);
	return kept->made;
}
