/*
 * ignored.c
 *	  The shop's own numbers, which are never a customer: rows of
 *	  c360.transfer_ignored.
 *
 * Each transfer asks for them, so they are kept for the session. A statement
 * trigger on the table tells every session when a row changes, as for
 * settings (see settings.c).
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "ignored.h"

static C360Ignored *current = NULL;
static size_t current_count = 0;
static bool current_valid = false;
static Oid	current_relid = InvalidOid;
static MemoryContext current_context = NULL;

static void
forget(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == current_relid)
		current_valid = false;
}

void
c360_ignored_init(void)
{
	CacheRegisterRelcacheCallback(forget, (Datum) 0);
}

/* The newest rows, whatever the transaction's snapshot. */
static void
load(void)
{
	SPIPlanPtr	plan;

	if (current_context == NULL)
		current_context = AllocSetContextCreate(CacheMemoryContext, "c360 ignored numbers",
												ALLOCSET_SMALL_SIZES);
	MemoryContextReset(current_context);
	current = NULL;
	current_count = 0;
	plan = SPI_prepare("SELECT value FROM c360.transfer_ignored", 0, NULL);
	if (plan == NULL || SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(),
											 InvalidSnapshot, true, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read c360.transfer_ignored");
	current = MemoryContextAllocZero(current_context,
									 sizeof(C360Ignored) * (SPI_processed + 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		c360_transfer_ignore(value, strlen(value), &current[i]);
	}
	current_count = SPI_processed;
}

const C360Ignored *
c360_ignored(size_t *count)
{
	AcceptInvalidationMessages();	/* in a transaction that holds its locks already */
	if (!current_valid)
	{
		SPI_connect();
		current_relid = get_relname_relid("transfer_ignored", get_namespace_oid("c360", false));
		current_valid = true;	/* an invalidation from here on makes it false */
		PG_TRY();
		{
			load();
		}
		PG_CATCH();
		{
			current_valid = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
		SPI_finish();
	}
	*count = current_count;
	return current;
}
