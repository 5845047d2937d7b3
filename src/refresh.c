/*
 * refresh.c
 *	  Scores customers and writes what differs.
 *
 * Customers come with what they are scored by and what is stored of them
 * (rfm_reader.c), as one snapshot sees it, and each is scored as he comes. Of
 * those of whom something differs the score and the places of the rows are
 * kept, up to work_mem, then written, while nothing else is read that would
 * drive out the pages being written; what is written does not change what is
 * still to be read. Who is to be looked at is a range of ids, some ids, all,
 * or those who changed since an earlier snapshot (changes.c) or are due by the
 * calendar.
 *
 * Clients are neither waited for nor held up for longer than our transaction:
 * what is written is locked only if nobody else holds it and it still is as
 * it was read; who is otherwise is queued for the next batch or run. Locks:
 * the customer's row if his tier or his first score is written, then that of
 * his score; no wallet's.
 *
 * What was read may be older than the lock. That is made good by the next
 * run: orders that its snapshot did not see are had again, and
 * c360_update_rfm() queues whom it changed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "activity.h"
#include "actor.h"
#include "call.h"
#include "compat.h"
#include "json.h"
#include "query.h"
#include "rfm.h"
#include "rfm_reader.h"
#include "storage.h"

#define CHUNK			1000	/* customers written by one store, and ids fetched at a time */
#define REPORT_EVERY	100000	/* customers */

PG_FUNCTION_INFO_V1(c360_rfm_fill_queue);
PG_FUNCTION_INFO_V1(c360_score_customer);
PG_FUNCTION_INFO_V1(c360_score_customers);
PG_FUNCTION_INFO_V1(c360_score_changed);
PG_FUNCTION_INFO_V1(c360_report_progress);

/*
 * Who changed: whose orders did, by the transactions that the snapshot $1 does
 * not see and $2 may; who is due on day $3. Orders of our own transaction, $4,
 * may be beyond a snapshot of REPEATABLE READ. Those of transactions that are
 * yet to come were restored from a dump of an older cluster: the run in which
 * their number comes up looks at them, once.
 */
#define CHANGED_CUSTOMERS \
	"SELECT customer_id FROM c360.customer_orders WHERE xact = ANY (ARRAY(SELECT pg_snapshot_xip($1))) " \
	"UNION SELECT customer_id FROM c360.customer_orders WHERE xact >= pg_snapshot_xmax($1) AND xact < pg_snapshot_xmax($2) " \
	"UNION SELECT customer_id FROM c360.customer_orders WHERE xact = $4 " \
	"UNION SELECT customer_id FROM c360.customer_rfm WHERE next_on <= $3 "

#define CHANGED_ARGUMENTS	4, {PG_SNAPSHOTOID, PG_SNAPSHOTOID, DATEOID, XID8OID}

typedef struct Segment
{
	char		name[NAMEDATALEN];
	int64		customers;		/* more or fewer than before, or in all */
} Segment;

/* What is to be written of a customer, and where his rows were. */
typedef struct Change
{
	int64		id;
	C360RfmScore score;
	C360Tier	from_tier;
	bool		stored;			/* he has a score */
	bool		writes_score;	/* which may come or go */
	bool		writes_tier;
	bool		moves;			/* to another segment; having none is one */
	bool		counts;			/* not only next_on differs */
	ItemPointerData customer_at;
	ItemPointerData score_at;
} Change;

typedef struct Run
{
	DateADT		today;
	const C360RfmRules *rules;
	int64		version;		/* of the rules */
	bool		everybody;
	bool		adds_up;		/* the rows that count segments */
	int64		examined;
	int64		changed;
	HTAB	   *segments;
	Change	   *changes;		/* to be written, in order of id */
	int			nchanges;
	int			size;
	C360Row    *customer;		/* of the one being written, as they were read */
	C360Row    *score;
	Datum		skipped[CHUNK];
	int			nskipped;
	C360Store  *store;			/* for writing */
	MemoryContext context;		/* of one that is written */
	char	   *actor;
	char	   *session_user_name;
} Run;

static void
require(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		c360_missing_argument(name);
}

/*
 * Comparing
 */

static bool
same_numbers(C360Row *stored, const C360RfmScore *score)
{
	return DatumGetInt16(c360_get(stored, SCORE_r)) == score->r &&
		DatumGetInt16(c360_get(stored, SCORE_f)) == score->f &&
		DatumGetInt16(c360_get(stored, SCORE_m)) == score->m &&
		DatumGetInt32(c360_get(stored, SCORE_frequency)) == score->frequency &&
		DatumGetInt64(c360_get(stored, SCORE_monetary)) == score->monetary &&
		DatumGetDateADT(c360_get(stored, SCORE_last_on)) == score->last_on;
}

static void
compare(const C360RfmCustomer *customer, Change *change)
{
	const C360RfmScore *score = &change->score;
	C360Row    *stored = customer->score;

	change->stored = stored != NULL;
	change->writes_tier = customer->facts.tier != score->tier;
	change->moves = change->stored != score->scored ||
		(change->stored && !c360_text_is(stored, SCORE_segment, score->segment));
	change->counts = change->writes_tier || change->moves ||
		(change->stored && !same_numbers(stored, score));
	change->writes_score = change->stored && score->scored
		? change->counts || DatumGetDateADT(c360_get(stored, SCORE_next_on)) != score->next_on
		: change->moves;
}

/*
 * Writing
 */

static Datum
array_of(Oid type, Datum *values, int count)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return PointerGetDatum(construct_array(values, count, type, length, by_value, align));
}

static void
queue_skipped(Run *run)
{
	static C360Query insert = {"INSERT INTO c360.rfm_queue (customer_id) SELECT unnest($1)",
	1, {INT8ARRAYOID}};
	Datum		values[1];

	if (run->nskipped == 0)
		return;
	values[0] = array_of(INT8OID, run->skipped, run->nskipped);
	c360_query(&insert, values, NULL);
	run->nskipped = 0;
}

static void
skip(Run *run, int64 customer_id)
{
	if (run->nskipped == CHUNK)
		queue_skipped(run);
	run->skipped[run->nskipped++] = Int64GetDatum(customer_id);
}

/* Whose score is not there yet: who writes it holds the customer. */
static bool
lock(const Run *run, const Change *change)
{
	if (change->writes_tier || !change->stored)
	{
		c360_row_fetch(run->customer, change->customer_at);
		if (!c360_lock_as_read(run->store, run->customer))
			return false;
	}
	if (!change->stored)
		return !c360_is_there(run->store, C360_SCORE_BY_CUSTOMER, Int64GetDatum(change->id));
	c360_row_fetch(run->score, change->score_at);
	return !change->writes_score || c360_lock_as_read(run->store, run->score);
}

static void
put_name(C360Row *row, int column, const char *name)
{
	if (name != NULL)
		c360_put(row, column, CStringGetTextDatum(name));
}

static void
write_history(const Run *run, const Change *change)
{
	C360Row    *row = c360_row_new(run->store, C360_SCORE_HISTORY);

	c360_put_int64(row, SCORE_HISTORY_id, c360_next_id(run->store, C360_SCORE_HISTORY));
	c360_put_int64(row, SCORE_HISTORY_customer_id, change->id);
	c360_put(row, SCORE_HISTORY_day, DateADTGetDatum(run->today));
	c360_put_time(row, SCORE_HISTORY_at, GetCurrentTimestamp());
	if (change->stored)
		c360_put(row, SCORE_HISTORY_from_segment, c360_get(run->score, SCORE_segment));
	put_name(row, SCORE_HISTORY_to_segment, change->score.segment);
	put_name(row, SCORE_HISTORY_from_tier, c360_tier_name(change->from_tier));
	put_name(row, SCORE_HISTORY_to_tier, c360_tier_name(change->score.tier));
	c360_insert(run->store, row);
}

static void
remove_score(int64 customer_id)
{
	static C360Query delete = {"DELETE FROM c360.customer_rfm WHERE customer_id = $1", 1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(customer_id)};

	c360_query(&delete, values, NULL);
}

static void
write_score(const Run *run, const Change *change)
{
	const C360RfmScore *score = &change->score;
	C360Row    *row;

	if (!score->scored)
	{
		remove_score(change->id);
		return;
	}
	row = change->stored ? c360_row_changed(run->store, run->score)
		: c360_row_new(run->store, C360_SCORES);
	c360_put_int64(row, SCORE_customer_id, change->id);
	c360_put_int64(row, SCORE_monetary, score->monetary);
	c360_put(row, SCORE_frequency, Int32GetDatum((int32) score->frequency));
	c360_put(row, SCORE_last_on, DateADTGetDatum(score->last_on));
	c360_put(row, SCORE_next_on, DateADTGetDatum(score->next_on));
	c360_put(row, SCORE_r, Int16GetDatum(score->r));
	c360_put(row, SCORE_f, Int16GetDatum(score->f));
	c360_put(row, SCORE_m, Int16GetDatum(score->m));
	put_name(row, SCORE_segment, score->segment);
	if (change->stored)
		c360_update(run->store, run->score, row);
	else
		c360_insert(run->store, row);
}

static void
announce_tier(const Run *run, const Change *change)
{
	C360Activity activity = {.topic = "customers",.event = "customer.tier_changed",.reference_type = "customer"};
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "phone", c360_get_text(run->customer, CUSTOMER_phone));
	c360_json_text(&json, "from", c360_tier_name(change->from_tier));
	c360_json_text(&json, "to", c360_tier_name(change->score.tier));
	c360_json_bool(&json, "tier_locked", false);
	c360_json_text(&json, "reason", "rfm");
	c360_json_text(&json, "segment", change->score.segment);
	c360_json_end_object(&json);
	activity.customer_id = activity.reference_id = change->id;
	activity.payload = c360_json_finish(&json);
	activity.actor = run->actor;
	activity.session_user_name = run->session_user_name;
	c360_activity_write(run->store, &activity);
}

static void
write_tier(const Run *run, const Change *change)
{
	C360Row    *row = c360_row_changed(run->store, run->customer);

	put_name(row, CUSTOMER_tier, c360_tier_name(change->score.tier));
	c360_put_time(row, CUSTOMER_updated_at, GetCurrentTimestamp());
	c360_update(run->store, run->customer, row);
	announce_tier(run, change);
}

static void
count_segment(Run *run, const char *name, int customers)
{
	bool		found;
	Segment    *segment = hash_search(run->segments, name, HASH_ENTER, &found);

	segment->customers = (found ? segment->customers : 0) + customers;
}

static void
count_stored(Run *run, C360Row *stored, int customers)
{
	char		name[NAMEDATALEN];

	text_to_cstring_buffer(DatumGetTextPP(c360_get(stored, SCORE_segment)), name, NAMEDATALEN);
	count_segment(run, name, customers);
}

static void
write_change(Run *run, const Change *change)
{
	if (!lock(run, change))
	{
		skip(run, change->id);
		return;
	}
	if (change->moves && change->stored)
		count_stored(run, run->score, -1);
	if (change->moves && change->score.scored)
		count_segment(run, change->score.segment, 1);
	if (change->moves || change->writes_tier)
		write_history(run, change);
	if (change->writes_score)
		write_score(run, change);
	if (change->writes_tier)
		write_tier(run, change);
	run->changed += change->counts;
}

/* A store keeps the texts that it wrote until it is closed. */
static void
write_changes(Run *run)
{
	MemoryContext old = CurrentMemoryContext;

	for (int i = 0; i < run->nchanges; i++)
	{
		if (i % CHUNK == 0)
			run->store = c360_store_open();
		MemoryContextSwitchTo(run->context);
		write_change(run, &run->changes[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(run->context);
		if (i % CHUNK == CHUNK - 1 || i == run->nchanges - 1)
			c360_store_close(run->store);
	}
	run->nchanges = 0;
}

static void
keep(Run *run, const Change *change)
{
	if (run->nchanges == run->size)
	{
		if (run->size * 2 * sizeof(Change) > work_mem * (Size) 1024)
			write_changes(run);
		else
		{
			run->size *= 2;
			run->changes = repalloc_huge(run->changes, run->size * sizeof(Change));
		}
	}
	run->changes[run->nchanges++] = *change;
}

/* Rows beside those that are there, or in their place; they add up. */
static void
write_segments(const Run *run)
{
	static C360Query insert = {"INSERT INTO c360.rfm_counts (segment, customers) SELECT * FROM unnest($1, $2)",
	2, {TEXTARRAYOID, INT8ARRAYOID}};
	static C360Query replace = {"WITH gone AS (DELETE FROM c360.rfm_counts RETURNING segment, customers) "
		"INSERT INTO c360.rfm_counts (segment, customers) SELECT n.segment, sum(n.customers) "
		"FROM (TABLE gone UNION ALL SELECT * FROM unnest($1, $2)) AS n (segment, customers) "
		"GROUP BY n.segment HAVING sum(n.customers) <> 0",
	2, {TEXTARRAYOID, INT8ARRAYOID}};
	long		size = hash_get_num_entries(run->segments);
	Datum	   *names = palloc(sizeof(Datum) * (size + 1));
	Datum	   *customers = palloc(sizeof(Datum) * (size + 1));
	Datum		values[2];
	int			count = 0;
	HASH_SEQ_STATUS status;
	Segment    *segment;

	hash_seq_init(&status, run->segments);
	while ((segment = hash_seq_search(&status)) != NULL)
		if (segment->customers != 0)
		{
			names[count] = CStringGetTextDatum(segment->name);
			customers[count++] = Int64GetDatum(segment->customers);
		}
	values[0] = array_of(TEXTOID, names, count);
	values[1] = array_of(INT8OID, customers, count);
	if (run->adds_up)
		c360_query(&replace, values, NULL);
	else if (count > 0)
		c360_query(&insert, values, NULL);
}

/*
 * A run
 */

static void
report(int64 examined)
{
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("c360_refresh_rfm: %lld customers examined", (long long) examined));
}

static void
examine(Run *run, const C360RfmCustomer *customer)
{
	Change		change;

	c360_rfm_score(run->rules, &customer->facts, run->today, &change.score);
	compare(customer, &change);
	/* to know how many there are in all */
	if (run->everybody && change.stored)
		count_stored(run, customer->score, 1);
	if (change.writes_score || change.writes_tier)
	{
		change.id = customer->id;
		change.from_tier = customer->facts.tier;
		change.customer_at = c360_row_place(customer->row);
		if (change.stored)
			change.score_at = c360_row_place(customer->score);
		keep(run, &change);
	}
	if (++run->examined % REPORT_EVERY == 0)
		report(run->examined);
}

static void
prepare(Run *run, DateADT today)
{
	HASHCTL		control = {.keysize = NAMEDATALEN,.entrysize = sizeof(Segment),.hcxt = CurrentMemoryContext};

	memset(run, 0, sizeof(*run));
	run->today = today;
	run->segments = hash_create("c360 segments", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	run->context = AllocSetContextCreate(CurrentMemoryContext, "c360 score to write", ALLOCSET_DEFAULT_SIZES);
	run->size = 64;
	run->changes = palloc(run->size * sizeof(Change));
	run->actor = c360_actor();
	run->session_user_name = c360_session_user_name();
	run->rules = c360_rfm_rules();
	run->version = c360_rfm_version(run->rules);
}

/* The store that rows are read from. */
static C360Store *
begin(Run *run)
{
	C360Store  *store = c360_store_open();

	run->customer = c360_row_to_fetch(store, C360_CUSTOMERS);
	run->score = c360_row_to_fetch(store, C360_SCORES);
	return store;
}

static void
finish(Run *run, C360Store *store, C360RfmReader *reader)
{
	c360_rfm_reader_close(reader);
	write_changes(run);
	c360_store_close(store);
	queue_skipped(run);
	write_segments(run);
}

static void
examine_range(Run *run, C360RfmReader *reader, int64 after, int64 upto)
{
	C360RfmCustomer customer;

	c360_rfm_read_range(reader, after, upto);
	while (c360_rfm_read(reader, &customer))
		examine(run, &customer);
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

static void
examine_ids(Run *run, C360RfmReader *reader, ArrayType *array)
{
	int64	   *ids = (int64 *) ARR_DATA_PTR(array);
	int			count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	qsort(ids, count, sizeof(int64), compare_ids);
	for (int i = 0; i < count; i++)
		if (i == 0 || ids[i] != ids[i - 1])
			examine_range(run, reader, ids[i] - 1, ids[i]);
}

static void
examine_everybody(Run *run)
{
	static C360Query empty_queue = {"DELETE FROM c360.rfm_queue", 0};
	static C360Query empty_counts = {"DELETE FROM c360.rfm_counts", 0};
	C360RfmCustomer customer;
	C360RfmReader *reader;
	C360Store  *store;

	run->everybody = true;
	c360_query(&empty_queue, NULL, NULL);
	store = begin(run);
	/* as the store sees them: what others add meanwhile is about what it does not see */
	c360_query_as_of(&empty_counts, GetActiveSnapshot());
	reader = c360_rfm_reader_open_all(store, c360_rfm_window_start(run->rules, run->today));
	while (c360_rfm_read(reader, &customer))
		examine(run, &customer);
	finish(run, store, reader);
}

/* By indexes, whatever the planner knows of the tables. */
static const char *const by_index[] = {"jit", "enable_seqscan", NULL};

static const char *const changed_arguments[] = {"since", "upto", "today"};

static void
changed_values(FunctionCallInfo fcinfo, Datum *values)
{
	for (int i = 0; i < lengthof(changed_arguments); i++)
	{
		require(fcinfo, i, changed_arguments[i]);
		values[i] = PG_GETARG_DATUM(i);
	}
	values[3] = FullTransactionIdGetDatum(GetTopFullTransactionId());
}

/* The next ids of those who changed; NULL = that were all. */
static SPITupleTable *
next_found(Portal found)
{
	SPI_cursor_fetch(found, true, CHUNK);
	return SPI_processed > 0 ? SPI_tuptable : NULL;
}

/* A tuplestore holds those who changed: their rows of the queue go with the statement. */
static Portal
find_changed(Datum *values)
{
	static C360Query find = {"WITH taken AS (DELETE FROM c360.rfm_queue RETURNING customer_id) "
		CHANGED_CUSTOMERS "UNION SELECT customer_id FROM taken ORDER BY 1",
	CHANGED_ARGUMENTS};

	c360_plan_without(by_index);
	return c360_query_open_to_write(&find, values);
}

/* Found before the store looks, so that it sees what they were found by. */
static void
examine_changed(Run *run, Datum *values)
{
	Portal		found = find_changed(values);
	SPITupleTable *ids = next_found(found);
	C360Store  *store = begin(run);
	C360RfmReader *reader = c360_rfm_reader_open(store, c360_rfm_window_start(run->rules, run->today));

	while (ids != NULL)
	{
		for (uint64 i = 0; i < ids->numvals; i++)
		{
			bool		isnull;
			int64		id = DatumGetInt64(SPI_getbinval(ids->vals[i], ids->tupdesc, 1, &isnull));

			examine_range(run, reader, id - 1, id);
		}
		SPI_freetuptable(ids);
		ids = next_found(found);
	}
	SPI_cursor_close(found);
	finish(run, store, reader);
}

/*
 * Functions
 */

static Datum
row_of(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static Datum
result_of(FunctionCallInfo fcinfo, const Run *run)
{
	Datum		values[3] = {Int64GetDatum(run->examined), Int64GetDatum(run->changed),
	Int64GetDatum(run->version)};
	bool		nulls[3] = {false};

	return row_of(fcinfo, values, nulls);
}

static Datum
fill_queue(PG_FUNCTION_ARGS)
{
	static C360Query insert = {"INSERT INTO c360.rfm_queue (customer_id) " CHANGED_CUSTOMERS "ORDER BY 1",
	CHANGED_ARGUMENTS};
	Datum		values[4];

	changed_values(fcinfo, values);
	c360_plan_without(by_index);
	SPI_connect();
	c360_query(&insert, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/* Queues those who changed, for a run in batches. */
Datum
c360_rfm_fill_queue(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_rfm_fill_queue", fill_queue);
}

static Datum
score_customers(PG_FUNCTION_ARGS)
{
	C360RfmReader *reader;
	C360Store  *store;
	Run			run;

	if (PG_ARGISNULL(0))
	{
		require(fcinfo, 1, "after");
		require(fcinfo, 2, "upto");
	}
	require(fcinfo, 3, "today");
	SPI_connect();
	prepare(&run, PG_GETARG_DATEADT(3));
	store = begin(&run);
	reader = c360_rfm_reader_open(store, c360_rfm_window_start(run.rules, run.today));
	if (!PG_ARGISNULL(0))
		examine_ids(&run, reader, PG_GETARG_ARRAYTYPE_P_COPY(0));
	else
		examine_range(&run, reader, PG_GETARG_INT64(1), PG_GETARG_INT64(2));
	finish(&run, store, reader);
	SPI_finish();
	return result_of(fcinfo, &run);
}

/* Scores some customers and writes what differs; (examined, changed, rules) */
Datum
c360_score_customers(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_score_customers", score_customers);
}

static Datum
score_changed(PG_FUNCTION_ARGS)
{
	Datum		values[4];
	Run			run;

	require(fcinfo, 2, "today");
	SPI_connect();
	prepare(&run, PG_GETARG_DATEADT(2));
	if (PG_ARGISNULL(0))
		examine_everybody(&run);
	else
	{
		changed_values(fcinfo, values);
		run.adds_up = true;
		examine_changed(&run, values);
	}
	SPI_finish();
	return result_of(fcinfo, &run);
}

/* The same of those who changed and those queued, or of all. */
Datum
c360_score_changed(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_score_changed", score_changed);
}

/* The score that one customer would get; nothing is written. */
Datum
c360_score_customer(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	DateADT		today = PG_GETARG_DATEADT(1);
	const C360RfmRules *rules;
	C360RfmCustomer customer;
	C360RfmReader *reader;
	C360RfmScore score;
	C360Store  *store;
	C360Caller	caller;
	bool		found;
	Datum		values[9];
	bool		nulls[9] = {false};

	c360_act_as_owner(&caller);
	rules = c360_rfm_rules();
	store = c360_store_open_as_of_caller();
	reader = c360_rfm_reader_open(store, c360_rfm_window_start(rules, today));
	c360_rfm_read_range(reader, id - 1, id);
	found = c360_rfm_read(reader, &customer);
	c360_rfm_reader_close(reader);
	c360_store_close(store);
	c360_act_as_caller(&caller);
	if (!found)
		PG_RETURN_NULL();
	c360_rfm_score(rules, &customer.facts, today, &score);
	nulls[0] = nulls[3] = nulls[4] = nulls[5] = nulls[6] = nulls[8] = !score.scored;
	values[0] = Int32GetDatum(score.recency_days);
	values[1] = Int32GetDatum((int32) score.frequency);
	values[2] = Int64GetDatum(score.monetary);
	values[3] = Int16GetDatum(score.r);
	values[4] = Int16GetDatum(score.f);
	values[5] = Int16GetDatum(score.m);
	values[6] = score.scored ? CStringGetTextDatum(score.segment) : (Datum) 0;
	values[7] = CStringGetTextDatum(c360_tier_name(score.tier));
	values[8] = DateADTGetDatum(score.since_on);
	return row_of(fcinfo, values, nulls);
}

/* Shows in pg_stat_activity how far a run is. */
Datum
c360_report_progress(PG_FUNCTION_ARGS)
{
	require(fcinfo, 0, "progress");
	PreventCommandIfReadOnly("c360_report_progress");
	pgstat_report_activity(STATE_RUNNING, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}
