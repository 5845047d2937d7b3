/*
 * fraud.c
 *	  The fraud scan: reads orders and ledger, and has findings raised.
 *
 * Orders: all of the last days are judged in each scan, since a rate changes
 * with the days alone, too.
 *
 * Ledger: a scan judges what is new since the last one, by snapshot. New are
 * rows with ids above the last one drawn before the last scan, and rows of
 * transactions that ran then, which are found by the activities that go with
 * them (changes.c says why neither ids nor time stamps would do). Of a wallet
 * with new rows the ledger is read from as far back as a rule may reach; the
 * caller's own rows are there and come again in the next scan. After a change
 * of a rule, and the first time, the whole ledger is read once, in the order
 * of the index by customer and time.
 *
 * A scan runs in one transaction (c360_scan_fraud) or in batches, each in its
 * own (c360_fraud_batch, for jobs and c360_scan_fraud_all): then how far it is
 * stands with the consumer "fraud" in c360.consumers, so that one that died is
 * carried on. Nothing is locked but the job, that row, and customers and flags
 * with findings (fraud_flag.c). Memory: rings, and sets with a bound.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "call.h"
#include "compat.h"
#include "fraud_scan.h"
#include "jobs.h"
#include "json.h"
#include "query.h"

/* Of one batch, and what is gathered before wallets are judged. */
#define BATCH_ROWS		10000
#define BATCH_FLAGS		200
#define CHUNK_ROWS		20000

PG_FUNCTION_INFO_V1(c360_scan_fraud);
PG_FUNCTION_INFO_V1(c360_fraud_batch);

/*
 * Sets of wallets with new rows: the first of these of each.
 */

typedef struct NewRows
{
	int64		customer_id;
	TimestampTz since;
} NewRows;

static HTAB *
new_rows_begin(void)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(NewRows),.hcxt = CurrentMemoryContext};

	return hash_create("c360 wallets with new rows", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
new_rows_add(HTAB *set, int64 customer_id, TimestampTz since)
{
	bool		found;
	NewRows    *wallet = hash_search(set, &customer_id, HASH_ENTER, &found);

	wallet->since = found ? Min(wallet->since, since) : since;
}

/* More than work_mem holds: then the whole ledger is read instead. */
static bool
new_rows_full(HTAB *set)
{
	return hash_get_num_entries(set) >= work_mem * 1024L / (2 * (long) (sizeof(NewRows) + sizeof(HASHELEMENT)));
}

static int
compare_new_rows(const void *a, const void *b)
{
	int64		left = ((const NewRows *) a)->customer_id;
	int64		right = ((const NewRows *) b)->customer_id;

	return (left > right) - (left < right);
}

/* In order of the customers, which is that of the index. */
static void
look_at_new_rows(C360FraudScan *scan, HTAB *set)
{
	long		count = hash_get_num_entries(set);
	NewRows    *wallets = palloc_extended(sizeof(NewRows) * (count + 1), MCXT_ALLOC_HUGE);
	HASH_SEQ_STATUS status;
	NewRows    *wallet;
	long		n = 0;

	hash_seq_init(&status, set);
	while ((wallet = hash_seq_search(&status)) != NULL)
		wallets[n++] = *wallet;
	hash_destroy(set);
	qsort(wallets, count, sizeof(NewRows), compare_new_rows);
	for (n = 0; n < count; n++)
		c360_fraud_look_at_wallet(scan, wallets[n].customer_id, wallets[n].since);
	pfree(wallets);
}

/*
 * Steps. Each answers whether it came to its end; if not, the batch is full.
 */

static bool
batch_is_full(const C360FraudScan *scan)
{
	return scan->rows_left <= 0 || scan->flags_left <= 0;
}

/* The next customer to look at again, whose row is removed; 0 = none is left. */
static int64
next_recheck(const C360FraudScan *scan)
{
	static C360Query query = {"DELETE FROM c360.fraud_rechecks WHERE due_at <= $1 AND customer_id ="
		" (SELECT min(customer_id) FROM c360.fraud_rechecks WHERE due_at <= $1 AND customer_id > $2)"
		" RETURNING customer_id",
	2, {TIMESTAMPTZOID, INT8OID}};
	Datum		values[2] = {TimestampTzGetDatum(scan->at), Int64GetDatum(scan->progress.position)};
	int64		id = 0;
	bool		isnull;

	SPI_connect();
	if (c360_query(&query, values, NULL) > 0)
		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return id;
}

static bool
step_rechecks(C360FraudScan *scan)
{
	while (!batch_is_full(scan))
	{
		int64		customer_id = next_recheck(scan);

		if (customer_id == 0)
			return true;
		scan->progress.position = customer_id;
		if (c360_fraud_reads_ledger(scan))
			c360_fraud_look_at_wallet(scan, customer_id, DT_NOBEGIN);
	}
	return false;
}

/*
 * Orders. The day of an order is its shop day; orders of tomorrow don't count
 * yet. Decided are those delivered or returned, or with a completed ticket of
 * a returning type, as for the return rate (c360_count_orders).
 */
#define DECIDED_ORDERS \
	"FROM (SELECT o.customer_id, o.id, o.order_code, o.status, o.ordered_at," \
	"  o.status = 'returned' OR EXISTS (SELECT FROM c360.customer_tickets AS k" \
	"   JOIN c360.ticket_types AS y ON y.type = k.type" \
	"   WHERE k.order_code = o.order_code AND k.customer_id = o.customer_id AND k.status = 'completed'" \
	"     AND k.deleted_at IS NULL AND y.counts_as_return) AS returned" \
	" FROM c360.customer_orders AS o," \
	"  (SELECT date_trunc('day', $1 AT TIME ZONE 'Asia/Ho_Chi_Minh') AS today) AS d" \
	" WHERE o.ordered_at >= (d.today - ($2 - 1) * interval '1 day') AT TIME ZONE 'Asia/Ho_Chi_Minh'" \
	"  AND o.ordered_at < (d.today + interval '1 day') AT TIME ZONE 'Asia/Ho_Chi_Minh'" \
	"  AND o.customer_id %s) AS o WHERE o.returned OR o.status = 'delivered'"

/* Returned orders that count in no finding yet, and what to tell of all. */
static bool
read_returns(const C360FraudScan *scan, C360Finding *finding)
{
	static C360Query query = {NULL, 5, {TIMESTAMPTZOID, INT4OID, INT8OID, TEXTOID, TEXTOID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[5] = {TimestampTzGetDatum(scan->at), Int32GetDatum(scan->return_days),
		Int64GetDatum(finding->customer_id), CStringGetTextDatum(finding->rule->name),
		CStringGetTextDatum(finding->rule->mode)
	};
	bool		is_new;
	bool		isnull;

	if (query.text == NULL)
		query.text = MemoryContextStrdup(TopMemoryContext, psprintf(
			"SELECT bool_or(o.returned AND NOT o.id = ANY (ARRAY(SELECT unnest(f.counted) FROM c360.fraud_flags AS f"
			"  WHERE f.customer_id = $3 AND f.rule = $4 AND f.mode = $5))),"
			" jsonb_build_object('decided', count(*), 'returned', count(*) FILTER (WHERE o.returned),"
			"  'rate', round(100.0 * count(*) FILTER (WHERE o.returned) / count(*), 2),"
			"  'from_day', (($1 AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - ($2 - 1)),"
			"  'to_day', ($1 AT TIME ZONE 'Asia/Ho_Chi_Minh')::date,"
			"  'orders', jsonb_agg(jsonb_build_object('order_id', o.id, 'order_code', o.order_code,"
			"    'status', o.status, 'ordered_at', o.ordered_at, 'returned', o.returned) ORDER BY o.ordered_at, o.id),"
			"  'rows', jsonb_agg(o.id ORDER BY o.ordered_at, o.id)),"
			" array_agg(o.id) FILTER (WHERE o.returned) " DECIDED_ORDERS, "= $3"));
	SPI_connect();
	c360_query(&query, values, NULL);
	is_new = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) && !isnull;
	if (is_new)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);
		ArrayType  *ids = DatumGetArrayTypePCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull));

		finding->times = 1;
		finding->evidence = list_make1(DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0],
																		SPI_tuptable->tupdesc, 2, &isnull)));
		finding->counted = (int64 *) ARR_DATA_PTR(ids);
		finding->ncounted = ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return is_new;
}

static void
judge_orders(C360FraudScan *scan, int64 customer_id)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	C360Finding finding = {.rule = &scan->rules[C360_HIGH_RETURN_RATE],.customer_id = customer_id};

	/* if it cannot be raised now, the next scan finds it again by itself */
	if (!c360_fraud_is_snoozed(finding.rule, customer_id, scan->at) && read_returns(scan, &finding))
		c360_fraud_raise_finding(scan, &finding);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->context);
}

/* The next customers with too many returns; the step's position goes on. */
static int
next_suspects(C360FraudScan *scan, int64 *suspects, int most)
{
	static C360Query query = {NULL, 3, {TIMESTAMPTZOID, INT4OID, INT8OID}};
	Datum		values[3] = {TimestampTzGetDatum(scan->at), Int32GetDatum(scan->return_days),
	Int64GetDatum(scan->progress.position)};
	Portal		portal;
	int			count = 0;

	if (query.text == NULL)
		query.text = MemoryContextStrdup(TopMemoryContext, psprintf(
			"SELECT o.customer_id, count(*), count(*) FILTER (WHERE o.returned) " DECIDED_ORDERS
			" GROUP BY o.customer_id ORDER BY o.customer_id", "> $3"));
	SPI_connect();
	portal = c360_query_open(&query, values);
	while (count < most)
	{
		SPI_cursor_fetch(portal, true, 1000);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed && count < most; i++)
		{
			HeapTuple	row = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			bool		isnull;
			int64		decided = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));
			int64		returned = DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull));

			scan->progress.position = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
			scan->rules[C360_HIGH_RETURN_RATE].examined++;
			if (c360_fraud_returns(decided, returned, scan->return_orders, scan->return_percent))
				suspects[count++] = scan->progress.position;
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	return count;
}

static bool
step_orders(C360FraudScan *scan)
{
	int64		suspects[1000];
	int			most = Min(scan->flags_left, lengthof(suspects));
	int			count;

	if (scan->rules[C360_HIGH_RETURN_RATE].off)
		return true;
	do
	{
		count = next_suspects(scan, suspects, most);
		for (int i = 0; i < count; i++)
			judge_orders(scan, suspects[i]);
		scan->done += count;
	} while (count == most && !batch_is_full(scan));
	return count < most;
}

/*
 * Ledger rows of transactions that the last scan saw running, by their
 * activities. Too many to be gathered: the whole ledger is read.
 */
static bool
step_late(C360FraudScan *scan)
{
	static C360Query query = {"SELECT customer_id, min(created_at) FROM c360.customer_activities"
		" WHERE xact = ANY (ARRAY(SELECT pg_snapshot_xip($1::pg_snapshot)))"
		" AND topic = 'wallets' AND event IN ('wallet.deposit', 'wallet.withdraw') GROUP BY customer_id",
	1, {TEXTOID}};
	HTAB	   *set;
	Portal		portal;
	Datum		values[1];

	if (scan->progress.whole || !c360_fraud_reads_ledger(scan))
		return true;
	values[0] = CStringGetTextDatum(scan->changes.since);
	set = new_rows_begin();
	SPI_connect();
	portal = c360_query_open(&query, values);
	do
	{
		SPI_cursor_fetch(portal, true, 1000);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	row = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			bool		isnull;
			int64		customer_id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));

			new_rows_add(set, customer_id,
						 DatumGetTimestampTz(SPI_getbinval(row, desc, 2, &isnull)));
		}
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0 && !new_rows_full(set));
	SPI_cursor_close(portal);
	SPI_finish();
	scan->progress.whole = new_rows_full(set);
	if (scan->progress.whole)
		hash_destroy(set);
	else
		look_at_new_rows(scan, set);
	return true;
}

/* All wallets above the position, in order of the index. */
static bool
read_whole_ledger(C360FraudScan *scan)
{
	C360Scan   *ledger = c360_scan_begin_after(scan->store, C360_LEDGER_BY_CUSTOMER, (Datum) 0,
											   scan->progress.position);
	int64		customer_id = 0;
	bool		suspicious = false;
	bool		full = false;
	C360Row    *row;

	while (!full && (row = c360_scan_next(ledger)) != NULL)
	{
		int64		id = c360_get_int64(row, LEDGER_customer_id);

		scan->done++;
		scan->rows_left--;
		if (id != customer_id)
		{
			if (suspicious)
				c360_fraud_judge_suspect(scan, customer_id, DT_NOBEGIN);
			full = customer_id != 0 && batch_is_full(scan);
			if (full)
				break;
			customer_id = scan->progress.position = id;
			suspicious = false;
			c360_fraud_count_examined(scan);
			c360_fraud_begin(scan->wallet, 0, 0, scan->not_before);
		}
		if (!suspicious)
			suspicious = c360_fraud_is_suspicious(scan, row);
	}
	if (suspicious && !full)
		c360_fraud_judge_suspect(scan, customer_id, DT_NOBEGIN);
	c360_scan_end(ledger);
	return !full;
}

/* Some rows above the position; false if none were left. */
static bool
read_new_chunk(C360FraudScan *scan, C360Scan *ledger)
{
	HTAB	   *set = new_rows_begin();
	bool		more = true;
	int			count = 0;

	while (count < Min(CHUNK_ROWS, scan->rows_left))
	{
		C360Row    *row = c360_scan_next(ledger);
		int64		id = row != NULL ? c360_get_int64(row, LEDGER_id) : PG_INT64_MAX;

		more = row != NULL && id <= scan->progress.ledger_upto;
		if (!more)
			break;
		scan->progress.position = id;
		count++;
		new_rows_add(set, c360_get_int64(row, LEDGER_customer_id), c360_get_time(row, LEDGER_created_at));
	}
	scan->rows_left -= count;
	look_at_new_rows(scan, set);
	return more;
}

static bool
read_new_ledger(C360FraudScan *scan)
{
	C360Scan   *ledger = c360_scan_begin_after(scan->store, C360_LEDGER_BY_ID, (Datum) 0,
											   scan->progress.position);
	bool		more;

	do
		more = read_new_chunk(scan, ledger);
	while (more && !batch_is_full(scan));
	c360_scan_end(ledger);
	return !more;
}

static bool
step_ledger(C360FraudScan *scan)
{
	if (!c360_fraud_reads_ledger(scan))
		return true;
	return scan->progress.whole ? read_whole_ledger(scan) : read_new_ledger(scan);
}

/* Goes on until the batch is full or all is done. */
static void
run_steps(C360FraudScan *scan)
{
	static bool (*const steps[]) (C360FraudScan *) = {
		[C360_FRAUD_RECHECKS] = step_rechecks,[C360_FRAUD_ORDERS] = step_orders,
		[C360_FRAUD_LATE] = step_late,[C360_FRAUD_LEDGER] = step_ledger
	};

	while (scan->progress.step < C360_FRAUD_DONE && !batch_is_full(scan) && steps[scan->progress.step] (scan))
	{
		scan->progress.step++;
		scan->progress.position = scan->progress.step == C360_FRAUD_LEDGER && !scan->progress.whole ?
			scan->progress.ledger_since : 0;
	}
}

/*
 * C360FraudProgress
 */

static char *
text_column(int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value != NULL ? MemoryContextStrdup(context, value) : NULL;
}

static int64
number_column(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* What the scans before left, under the lock of the consumer's row. */
static void
load_progress(C360FraudScan *scan, char **rules_before)
{
	static C360Query query = {"SELECT $1 #>> '{run,name}', $1 ->> 'finished', $1 ->> 'rules', $1 #>> '{run,rules}',"
		" $1 #>> '{run,history}', $1 #>> '{run,upto}', ($1 #>> '{run,ledger_upto}')::bigint,"
		" ($1 ->> 'ledger')::bigint, ($1 #>> '{run,whole}')::boolean::integer::bigint,"
		" ($1 #>> '{run,step}')::bigint, ($1 #>> '{run,position}')::bigint",
	1, {JSONBOID}};
	MemoryContext caller = CurrentMemoryContext;
	C360FraudProgress   *progress = &scan->progress;
	Datum		values[1] = {JsonbPGetDatum(scan->changes.state)};

	SPI_connect();
	c360_query(&query, values, NULL);
	progress->run = text_column(1, caller);
	progress->finished = text_column(2, caller);
	*rules_before = text_column(3, caller);
	progress->rules = text_column(4, caller);
	progress->history = text_column(5, caller);
	progress->upto = text_column(6, caller);
	progress->ledger_upto = number_column(7);
	progress->ledger_since = number_column(8);
	progress->whole = number_column(9) != 0;
	progress->step = number_column(10);
	progress->position = number_column(11);
	SPI_finish();
}

/* A new scan of what changed up to now. */
static void
begin_run(C360FraudScan *scan, const char *run, const char *rules_before, int64 last_ledger_id)
{
	C360FraudProgress   *progress = &scan->progress;

	progress->run = pstrdup(run);
	progress->rules = c360_fraud_rules_text(scan);
	progress->history = c360_history();
	progress->upto = scan->changes.upto;
	progress->ledger_upto = last_ledger_id;
	progress->whole = scan->changes.since == NULL || rules_before == NULL ||
		strcmp(progress->rules, rules_before) != 0;
	progress->step = C360_FRAUD_RECHECKS;
	progress->position = 0;
}

static Jsonb *
state_of(C360FraudScan *scan, const char *rules_before)
{
	const C360FraudProgress *progress = &scan->progress;
	bool		done = progress->step == C360_FRAUD_DONE;
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "rules", done ? progress->rules : rules_before);
	c360_json_text(&json, "finished", done ? progress->run : progress->finished);
	c360_json_int64(&json, "ledger", done ? progress->ledger_upto : progress->ledger_since);
	if (!done)
	{
		c360_json_begin_object(&json, "run");
		c360_json_text(&json, "name", progress->run);
		c360_json_text(&json, "rules", progress->rules);
		c360_json_text(&json, "history", progress->history);
		c360_json_text(&json, "upto", progress->upto);
		c360_json_int64(&json, "ledger_upto", progress->ledger_upto);
		c360_json_bool(&json, "whole", progress->whole);
		c360_json_int64(&json, "step", progress->step);
		c360_json_int64(&json, "position", progress->position);
		c360_json_end_object(&json);
	}
	c360_json_end_object(&json);
	return c360_json_finish(&json);
}

/*
 * Under REPEATABLE READ rows are drawn that we never see: then nothing counts
 * as had, and the next scan looks at the same again.
 */
static void
save_progress(C360FraudScan *scan, const char *rules_before)
{
	static C360Query update = {"UPDATE c360.consumers SET state = $2 WHERE name = $1", 2, {TEXTOID, JSONBOID}};
	Datum		values[2];

	if (IsolationUsesXactSnapshot())
		return;
	if (scan->progress.step == C360_FRAUD_DONE)
	{
		scan->changes.upto = scan->progress.upto;
		c360_changes_end(&scan->changes, state_of(scan, rules_before));
		return;
	}
	values[0] = CStringGetTextDatum(scan->changes.consumer);
	values[1] = JsonbPGetDatum(state_of(scan, rules_before));
	SPI_connect();
	c360_query(&update, values, NULL);
	SPI_finish();
}

/*
 * Scans
 */

static void
open_scan(C360FraudScan *scan)
{
	scan->at = GetCurrentTimestamp();
	scan->not_before = DT_NOBEGIN;
	c360_fraud_load_rules(scan);
	scan->wallet = palloc(sizeof(C360FraudWallet));
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "c360 fraud wallet", ALLOCSET_DEFAULT_SIZES);
	scan->store = c360_store_open_to_read();
	scan->one = c360_scan_begin_since(scan->store, C360_LEDGER_BY_CUSTOMER, 0, DT_NOEND);
}

static void
close_scan(C360FraudScan *scan)
{
	c360_scan_end(scan->one);
	c360_store_close(scan->store);
	MemoryContextDelete(scan->context);
}

/*
 * Goes on with the scan under way, if there is one and it is not to be begun
 * anew, or begins one; nothing if the one of this name has come to its end.
 */
static void
scan_changes(C360FraudScan *scan, const char *run, bool anew)
{
	int64		last_ledger_id = c360_last_id(C360_LEDGER);
	char	   *rules_before;
	C360FraudProgress   *progress = &scan->progress;

	c360_changes_begin(&scan->changes, "fraud");
	open_scan(scan);
	load_progress(scan, &rules_before);
	if (!anew && progress->run != NULL && strcmp(progress->history, c360_history()) == 0)
		run_steps(scan);
	else if (anew || progress->finished == NULL || strcmp(progress->finished, run) != 0)
	{
		begin_run(scan, run, rules_before, last_ledger_id);
		run_steps(scan);
	}
	else
		scan->done = -1;
	close_scan(scan);
	if (scan->done >= 0)
		save_progress(scan, rules_before);
}

/* Wallets with rows from a moment on; NULL if they are too many to be gathered. */
static HTAB *
wallets_since(C360FraudScan *scan, TimestampTz since)
{
	HTAB	   *set = new_rows_begin();
	C360Scan   *ledger = c360_scan_begin_since(scan->store, C360_LEDGER_BY_TIME, 0, since);
	C360Row    *row;

	while (!new_rows_full(set) && (row = c360_scan_next(ledger)) != NULL)
		new_rows_add(set, c360_get_int64(row, LEDGER_customer_id), c360_get_time(row, LEDGER_created_at));
	c360_scan_end(ledger);
	if (!new_rows_full(set))
		return set;
	hash_destroy(set);
	return NULL;
}

/* What ended since a moment, whatever scans before have seen; they are not concerned. */
static void
scan_since(C360FraudScan *scan, TimestampTz since)
{
	HTAB	   *set = NULL;

	c360_changes_begin(&scan->changes, "fraud");
	open_scan(scan);
	scan->not_before = since;
	scan->progress.step = C360_FRAUD_ORDERS;
	(void) step_orders(scan);
	if (c360_fraud_reads_ledger(scan))
	{
		scan->progress.position = 0;
		if (since != DT_NOBEGIN)
			set = wallets_since(scan, since);
		if (set != NULL)
			look_at_new_rows(scan, set);
		else
			(void) read_whole_ledger(scan);
	}
	close_scan(scan);
}

/*
 * Until the transaction ends. Without it the job would wait for a transaction
 * that is left open, and all other jobs of the runner with it.
 */
static void
take_the_jobs_place(void)
{
	if (!DatumGetBool(DirectFunctionCall2(c360_job_lock, CStringGetTextDatum("scan_fraud"),
										  BoolGetDatum(true))))
		ereport(ERROR,
				(errcode(ERRCODE_C360_CONFLICT),
				 errmsg("job is running"),
				 errdetail("job_running: scan_fraud"),
				 errhint("The view c360_job_status shows how far it is.")));
}

static Datum
scan_fraud(PG_FUNCTION_ARGS)
{
	C360FraudScan		scan = {.rows_left = PG_INT64_MAX,.flags_left = PG_INT64_MAX};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz since = PG_ARGISNULL(0) ? 0 : PG_GETARG_TIMESTAMPTZ(0);

	if (!PG_ARGISNULL(0) && since != DT_NOBEGIN && since > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date is in the future"),
				 errdetail("invalid_date: since")));
	c360_materialize(fcinfo);
	take_the_jobs_place();
	if (PG_ARGISNULL(0))
		scan_changes(&scan, "at once", true);
	else
		scan_since(&scan, since);
	for (int i = 0; i < C360_NFRAUD_RULES; i++)
	{
		Datum		values[3] = {CStringGetTextDatum(scan.rules[i].name),
		Int64GetDatum(scan.rules[i].examined), Int64GetDatum(scan.rules[i].flagged)};
		bool		nulls[3] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
c360_scan_fraud(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_scan_fraud", scan_fraud);
}

/* The name of the scan that a run of the job makes. */
static char *
name_of_job_run(void)
{
	static C360Query query = {"SELECT 'job ' || coalesce(max(id), 0) FROM c360.job_runs"
		" WHERE job = 'scan_fraud' AND ended_at IS NULL", 0, {0}};
	MemoryContext caller = CurrentMemoryContext;
	char	   *name;

	SPI_connect();
	c360_query(&query, NULL, NULL);
	name = text_column(1, caller);
	SPI_finish();
	return name;
}

static Datum
fraud_batch(PG_FUNCTION_ARGS)
{
	C360FraudScan		scan = {.rows_left = BATCH_ROWS,.flags_left = BATCH_FLAGS};

	if (!PG_ARGISNULL(0))
		take_the_jobs_place();
	scan_changes(&scan, PG_ARGISNULL(0) ? name_of_job_run() : text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_INT64(scan.done < 0 ? 0 : Max(scan.done, 1));
}

Datum
c360_fraud_batch(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_fraud_batch", fraud_batch);
}
