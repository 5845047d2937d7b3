/*
 * changes.c
 *	  What changed since a consumer looked last, by snapshot.
 *
 * Jobs that work on what changed must not go by time stamps or ids: those of
 * a long transaction are older than the run that could not see its rows yet.
 * So each consumer keeps a snapshot in c360.consumers: what it sees was had.
 * A row that carries its transaction (xact) is new to the consumer if that
 * snapshot does not see the transaction, and rows of the running statement
 * are those that are there. Both parts have an index range on xact:
 *
 *	  xact = ANY (transactions that ran then), or xact >= pg_snapshot_xmax
 *
 * The snapshot of a run is taken before its rows are read, and counts the
 * caller's own transaction among those that run: what that changed is had
 * now, and once more in the next run.
 *
 * The row of the consumer is locked until the end of the transaction, so that
 * runs of one consumer come one after the other. Transaction ids mean
 * something only in the history that gave them out: after a restore, a
 * promotion or a recovery to an earlier moment nothing counts as had.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "call.h"
#include "changes.h"
#include "compat.h"
#include "cursor.h"
#include "query.h"

PG_FUNCTION_INFO_V1(c360_changes_begin_sql);
PG_FUNCTION_INFO_V1(c360_changes_end_sql);

/* Which transaction ids are meant; a restored table has another oid. */
char *
c360_history(void)
{
	return psprintf(UINT64_FORMAT ".%u.%u.%u", GetSystemIdentifier(), MyDatabaseId,
					get_relname_relid("consumers", get_namespace_oid("c360", false)),
					c360_timeline());
}

static char *
own_text(MemoryContext context, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value != NULL ? MemoryContextStrdup(context, value) : NULL;
}

/* Locks the consumer's row, and says what its next run has to look at. */
void
c360_changes_begin(C360Changes *changes, const char *consumer)
{
	static C360Query insert = {"INSERT INTO c360.consumers (name) VALUES ($1) ON CONFLICT DO NOTHING",
	1, {TEXTOID}};
	static C360Query select = {"SELECT CASE WHEN history = $2 THEN snapshot::text END, state::text "
		"FROM c360.consumers WHERE name = $1 FOR NO KEY UPDATE",
	2, {TEXTOID, TEXTOID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[2] = {CStringGetTextDatum(consumer), CStringGetTextDatum(c360_history())};
	char	   *state;
	C360Moment	now;

	SPI_connect();
	c360_query(&insert, values, NULL);
	if (c360_query(&select, values, NULL) != 1)
		elog(ERROR, "consumer \"%s\" is not there", consumer);
	changes->since = own_text(caller, 1);
	state = own_text(caller, 2);
	SPI_finish();
	changes->consumer = pstrdup(consumer);
	changes->state = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(state)));
	c360_moment_now(&now);
	changes->upto = c360_moment_snapshot(&now);
}

/* All up to the run's snapshot was had. */
void
c360_changes_end(const C360Changes *changes, Jsonb *state)
{
	static C360Query update = {"UPDATE c360.consumers SET snapshot = $2::pg_snapshot, history = $3, state = $4, "
		"taken_at = clock_timestamp() WHERE name = $1",
	4, {TEXTOID, TEXTOID, TEXTOID, JSONBOID}};
	Datum		values[4] = {CStringGetTextDatum(changes->consumer), CStringGetTextDatum(changes->upto),
	CStringGetTextDatum(c360_history()), JsonbPGetDatum(state)};

	SPI_connect();
	if (c360_query(&update, values, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value is not allowed"),
				 errdetail("not_allowed: consumer \"%s\"", changes->consumer)));
	SPI_finish();
}

/*
 * For functions in PL/pgSQL
 */

static Datum
changes_begin(PG_FUNCTION_ARGS)
{
	C360Changes changes = {0};
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (PG_ARGISNULL(0))
		c360_missing_argument("consumer");
	c360_changes_begin(&changes, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	nulls[0] = changes.since == NULL;
	values[0] = nulls[0] ? (Datum) 0 : DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(changes.since));
	values[1] = DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(changes.upto));
	values[2] = JsonbPGetDatum(changes.state);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static Datum
changes_end(PG_FUNCTION_ARGS)
{
	C360Changes changes = {0};
	static const char *const arguments[] = {"consumer", "upto", "state"};

	for (int i = 0; i < lengthof(arguments); i++)
		if (PG_ARGISNULL(i))
			c360_missing_argument(arguments[i]);
	changes.consumer = text_to_cstring(PG_GETARG_TEXT_PP(0));
	changes.upto = DatumGetCString(DirectFunctionCall1(pg_snapshot_out, PG_GETARG_DATUM(1)));
	c360_changes_end(&changes, PG_GETARG_JSONB_P(2));
	PG_RETURN_VOID();
}

Datum
c360_changes_begin_sql(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_changes_begin", changes_begin);
}

Datum
c360_changes_end_sql(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_changes_end", changes_end);
}
