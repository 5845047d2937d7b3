/*
 * refresh.c
 *	  Scores customers and writes what differs.
 *
 * One statement reads what a set of customers is scored by, beside what is
 * stored of them: by ids, of a range of ids, or of all, which the planner is
 * free to do with hash tables and parallel workers. Its rows are scored as
 * they come, in memory that does not grow with their number; those that
 * differ are kept up to work_mem, then in a temporary file, and written in
 * chunks when the statement has ended.
 *
 * Clients are neither waited for nor held up for longer than our transaction:
 * what is written is locked with SKIP LOCKED, in order of id, and who is
 * locked by somebody else is queued for the next batch or run. Locks: the
 * customer's row if his tier or his first score is written, then that of his
 * score; no wallet's. A tier is checked once more under the lock.
 *
 * What was read may be older than the lock. That is made good by the next
 * run: orders that its snapshot did not see are had again (changes.c), and
 * c360_update_rfm() queues whom it changed.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/buffile.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "activity.h"
#include "call.h"
#include "compat.h"
#include "json.h"
#include "query.h"
#include "rfm.h"
#include "storage.h"

#define CHUNK			1000	/* rows written by one statement */
#define REPORT_EVERY	100000	/* customers */

PG_FUNCTION_INFO_V1(c360_score_customer);
PG_FUNCTION_INFO_V1(c360_score_customers);
PG_FUNCTION_INFO_V1(c360_report_progress);

/* Orders that count, of one customer or, grouped, of each. $1 is the first moment of the window. */
#define ORDER_FACTS \
	"count(*) AS orders, min(ordered_at) AS first_at, max(ordered_at) AS last_at, " \
	"count(*) FILTER (WHERE ordered_at >= $1 AND status <> 'returned') AS frequency, " \
	"min(ordered_at) FILTER (WHERE ordered_at >= $1 AND status <> 'returned') AS oldest_at, " \
	"least(coalesce(sum(amount) FILTER (WHERE status <> 'returned'), 0), 9223372036854775807)::int8 AS spent " \
	"FROM c360.customer_orders WHERE status <> 'cancelled' "

#define CUSTOMER_FACTS \
	"SELECT c.id, c.created_at, c.tier, c.tier_locked, o.orders, o.first_at, o.last_at, o.frequency, " \
	"o.oldest_at, o.spent, s.r, s.f, s.m, s.segment, s.frequency, s.monetary, s.last_on, s.next_on "

enum FactColumn
{
	COLUMN_ID, COLUMN_CREATED_AT, COLUMN_TIER, COLUMN_TIER_LOCKED, COLUMN_ORDERS, COLUMN_FIRST_AT,
	COLUMN_LAST_AT, COLUMN_FREQUENCY, COLUMN_OLDEST_AT, COLUMN_SPENT, STORED_R, STORED_F, STORED_M,
	STORED_SEGMENT, STORED_FREQUENCY, STORED_MONETARY, STORED_LAST_ON, STORED_NEXT_ON
};

static C360Query facts_of_ids = {CUSTOMER_FACTS
	"FROM c360.customers c "
	"CROSS JOIN LATERAL (SELECT " ORDER_FACTS "AND customer_id = c.id) o "
	"LEFT JOIN LATERAL (SELECT * FROM c360.customer_rfm k WHERE k.customer_id = c.id OFFSET 0) s ON true "
"WHERE c.id = ANY ($2)", 2, {TIMESTAMPTZOID, INT8ARRAYOID}};

static C360Query facts_of_range = {CUSTOMER_FACTS
	"FROM c360.customers c "
	"LEFT JOIN (SELECT customer_id, " ORDER_FACTS "AND customer_id > $2 AND customer_id <= $3 "
	"           GROUP BY customer_id) o ON o.customer_id = c.id "
	"LEFT JOIN c360.customer_rfm s ON s.customer_id = c.id AND s.customer_id > $2 AND s.customer_id <= $3 "
"WHERE c.id > $2 AND c.id <= $3", 3, {TIMESTAMPTZOID, INT8OID, INT8OID}};

static C360Query facts_of_all = {CUSTOMER_FACTS
	"FROM c360.customers c "
	"LEFT JOIN (SELECT customer_id, " ORDER_FACTS "GROUP BY customer_id) o ON o.customer_id = c.id "
"LEFT JOIN c360.customer_rfm s ON s.customer_id = c.id", 1, {TIMESTAMPTZOID}};

/* What is to be written of a customer. */
typedef struct Change
{
	int64		id;
	bool		stored;			/* he has a score, that may go or change */
	bool		scored;			/* he gets one */
	bool		score_differs;
	bool		counts;			/* not only next_on differs */
	bool		moves;			/* to another segment */
	int16		r;
	int16		f;
	int16		m;
	C360Tier	from_tier;
	C360Tier	to_tier;
	DateADT		last_on;
	DateADT		next_on;
	int64		frequency;
	int64		monetary;
	const char *segment;
	char	   *phone;			/* read with the lock; NULL = erased */
} Change;

/* Changes in memory, and before them those that were put into a file. */
typedef struct Changes
{
	Change	   *kept;
	int			count;
	int			size;
	BufFile    *file;			/* NULL = there shall be none */
	int64		filed;
} Changes;

/* Where the rows of the statement go. */
typedef struct Receiver
{
	DestReceiver pub;
	DateADT		today;
	int64		examined;
	int64		changed;
	Changes		changes;
	C360RfmFacts facts;			/* of the last row */
	C360RfmScore score;
} Receiver;

/*
 * Reading
 */

static bool
same_text(Datum value, const char *text)
{
	struct varlena *packed = pg_detoast_datum_packed((struct varlena *) DatumGetPointer(value));
	size_t		length = strlen(text);

	return VARSIZE_ANY_EXHDR(packed) == length && memcmp(VARDATA_ANY(packed), text, length) == 0;
}

static C360Tier
tier_of(Datum value)
{
	C360Tier	tier = C360_TIER_NEW;

	while (!same_text(value, c360_tier_name(tier)))
		if (tier++ == C360_TIER_BLACKLIST)
			elog(ERROR, "unknown tier \"%s\"", TextDatumGetCString(value));
	return tier;
}

static void
read_facts(TupleTableSlot *slot, C360RfmFacts *facts)
{
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;

	memset(facts, 0, sizeof(*facts));
	facts->created_at = DatumGetTimestampTz(values[COLUMN_CREATED_AT]);
	facts->tier = tier_of(values[COLUMN_TIER]);
	facts->tier_locked = DatumGetBool(values[COLUMN_TIER_LOCKED]);
	if (nulls[COLUMN_ORDERS] || DatumGetInt64(values[COLUMN_ORDERS]) == 0)
		return;
	facts->orders = DatumGetInt64(values[COLUMN_ORDERS]);
	facts->first_at = DatumGetTimestampTz(values[COLUMN_FIRST_AT]);
	facts->last_at = DatumGetTimestampTz(values[COLUMN_LAST_AT]);
	facts->frequency = DatumGetInt64(values[COLUMN_FREQUENCY]);
	if (!nulls[COLUMN_OLDEST_AT])
		facts->oldest_at = DatumGetTimestampTz(values[COLUMN_OLDEST_AT]);
	if (!nulls[COLUMN_SPENT])
		facts->monetary = DatumGetInt64(values[COLUMN_SPENT]);
}

static void
compare(TupleTableSlot *slot, const C360RfmFacts *facts, const C360RfmScore *score, Change *change)
{
	Datum	   *stored = slot->tts_values;

	memset(change, 0, sizeof(*change));
	change->id = DatumGetInt64(stored[COLUMN_ID]);
	change->stored = !slot->tts_isnull[STORED_R];
	change->scored = score->scored;
	change->moves = change->stored != score->scored ||
		(score->scored && !same_text(stored[STORED_SEGMENT], score->segment));
	change->counts = change->moves || facts->tier != score->tier ||
		(score->scored &&
		 (DatumGetInt16(stored[STORED_R]) != score->r || DatumGetInt16(stored[STORED_F]) != score->f ||
		  DatumGetInt16(stored[STORED_M]) != score->m ||
		  DatumGetInt32(stored[STORED_FREQUENCY]) != score->frequency ||
		  DatumGetInt64(stored[STORED_MONETARY]) != score->monetary ||
		  DatumGetDateADT(stored[STORED_LAST_ON]) != score->last_on));
	change->score_differs = (change->counts && (score->scored || change->stored)) ||
		(score->scored && DatumGetDateADT(stored[STORED_NEXT_ON]) != score->next_on);
	change->r = score->r;
	change->f = score->f;
	change->m = score->m;
	change->segment = score->segment;
	change->frequency = score->frequency;
	change->monetary = score->monetary;
	change->last_on = score->last_on;
	change->next_on = score->next_on;
	change->from_tier = facts->tier;
	change->to_tier = score->tier;
}

static void
keep(Changes *changes, const Change *change)
{
	if (changes->count == changes->size)
	{
		if (changes->file != NULL && changes->size * sizeof(Change) >= work_mem * (Size) 1024)
		{
			BufFileWrite(changes->file, changes->kept, changes->count * sizeof(Change));
			changes->filed += changes->count;
			changes->count = 0;
		}
		else
		{
			changes->size *= 2;
			changes->kept = repalloc_huge(changes->kept, changes->size * sizeof(Change));
		}
	}
	changes->kept[changes->count++] = *change;
}

static void
report(int64 examined)
{
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("c360_refresh_rfm: %lld customers examined", (long long) examined));
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	Change		change;

	slot_getallattrs(slot);
	read_facts(slot, &receiver->facts);
	c360_rfm_score(&receiver->facts, receiver->today, &receiver->score);
	compare(slot, &receiver->facts, &receiver->score, &change);
	if (change.score_differs || change.from_tier != change.to_tier)
		keep(&receiver->changes, &change);
	receiver->changed += change.counts;
	receiver->examined++;
	if (receiver->examined % REPORT_EVERY == 0)
		report(receiver->examined);
	return true;
}

static void
no_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
no_end(DestReceiver *self)
{
}

/* Until c360_call() or whoever else opened the nest level ends it. */
static void
plan_without(const char *const *methods)
{
	for (; *methods != NULL; methods++)
		(void) set_config_option(*methods, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Values behind the first; connected to SPI. A part of the customers is read
 * by indexes, whatever the planner knows of the tables, and is not worth a
 * compiler.
 */
static void
examine(Receiver *receiver, C360Query *query, Datum *values, bool read_only)
{
	static const char *const by_index[] = {"jit", "enable_seqscan", NULL};
	SPIExecuteOptions options = {0};
	ParamListInfo params = makeParamList(query->nargs);

	receiver->pub.receiveSlot = receive;
	receiver->pub.rStartup = no_startup;
	receiver->pub.rShutdown = receiver->pub.rDestroy = no_end;
	receiver->pub.mydest = DestNone;
	receiver->changes.size = CHUNK;
	receiver->changes.kept = palloc(receiver->changes.size * sizeof(Change));
	c360_rfm_use_config();
	values[0] = TimestampTzGetDatum(c360_rfm_window_start(receiver->today));
	for (int i = 0; i < query->nargs; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = query->types[i];
	}
	if (query->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(query->text, query->nargs, query->types,
											  CURSOR_OPT_PARALLEL_OK);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\"", query->text);
		query->plan = plan;
	}
	if (query != &facts_of_all)
		plan_without(by_index);
	options.params = params;
	options.read_only = read_only;
	options.dest = &receiver->pub;
	if (SPI_execute_plan_extended(query->plan, &options) < 0)
		elog(ERROR, "could not execute \"%s\"", query->text);
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

typedef struct Chunk
{
	Change	  **changes;		/* in order of id */
	int			count;
	DateADT		today;
	int			not_changed;	/* queued instead */
} Chunk;

typedef bool (*Wanted) (const Change *change);

/* those of whom there is no score yet that could be locked, and whose tier changes */
static bool
needs_customer(const Change *change)
{
	return !change->stored || change->from_tier != change->to_tier;
}

static bool
is_stored(const Change *change)
{
	return change->stored && change->score_differs;
}

static bool
to_write(const Change *change)
{
	return change->scored && change->score_differs;
}

static bool
to_remove(const Change *change)
{
	return change->stored && !change->scored;
}

static bool
changes_tier(const Change *change)
{
	return change->from_tier != change->to_tier;
}

static bool
is_history(const Change *change)
{
	return change->moves || changes_tier(change);
}

typedef Datum (*Value) (const Change *change);

#define VALUE(name, datum) \
	static Datum \
	value_of_##name(const Change *change) \
	{ \
		return datum; \
	}

VALUE(id, Int64GetDatum(change->id))
VALUE(r, Int16GetDatum(change->r))
VALUE(f, Int16GetDatum(change->f))
VALUE(m, Int16GetDatum(change->m))
VALUE(segment, CStringGetTextDatum(change->segment))
VALUE(segment_or_empty, CStringGetTextDatum(change->scored ? change->segment : ""))
VALUE(frequency, Int32GetDatum((int32) change->frequency))
VALUE(monetary, Int64GetDatum(change->monetary))
VALUE(last_on, DateADTGetDatum(change->last_on))
VALUE(next_on, DateADTGetDatum(change->next_on))
VALUE(from_tier, CStringGetTextDatum(c360_tier_name(change->from_tier)))
VALUE(to_tier, CStringGetTextDatum(c360_tier_name(change->to_tier)))

static int
count_wanted(const Chunk *chunk, Wanted wanted)
{
	int			count = 0;

	for (int i = 0; i < chunk->count; i++)
		count += wanted(chunk->changes[i]);
	return count;
}

static Datum
column(const Chunk *chunk, Wanted wanted, Oid type, Value value)
{
	Datum	   *values = palloc(sizeof(Datum) * (chunk->count + 1));
	int			count = 0;

	for (int i = 0; i < chunk->count; i++)
		if (wanted(chunk->changes[i]))
			values[count++] = value(chunk->changes[i]);
	return array_of(type, values, count);
}

static int
compare_changes(const void *a, const void *b)
{
	int64		x = (*(Change *const *) a)->id;
	int64		y = (*(Change *const *) b)->id;

	return x < y ? -1 : x > y;
}

static Datum
own_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

static void
queue(Datum *ids, int count)
{
	static C360Query insert = {"INSERT INTO c360.rfm_queue (customer_id) SELECT unnest($1)",
	1, {INT8ARRAYOID}};
	Datum		values[1] = {array_of(INT8OID, ids, count)};

	if (count > 0)
		c360_query(&insert, values, NULL);
}

/* Takes out those that were not locked, and queues them. */
static void
keep_locked(Chunk *chunk, Wanted wanted, const bool *locked)
{
	Datum	   *skipped = palloc(sizeof(Datum) * (chunk->count + 1));
	int			nskipped = 0;
	int			kept = 0;

	for (int i = 0; i < chunk->count; i++)
	{
		Change	   *change = chunk->changes[i];

		if (wanted(change) && !locked[i])
		{
			skipped[nskipped++] = Int64GetDatum(change->id);
			chunk->not_changed += change->counts;
		}
		else
			chunk->changes[kept++] = change;
	}
	chunk->count = kept;
	queue(skipped, nskipped);
}

static int
position_of(const Chunk *chunk, uint64 row)
{
	bool		isnull;
	int64		id = DatumGetInt64(own_value(row, 1, &isnull));
	Change		key = {.id = id};
	Change	   *pointer = &key;
	Change	  **found = bsearch(&pointer, chunk->changes, chunk->count, sizeof(Change *), compare_changes);

	if (found == NULL)
		elog(ERROR, "customer %lld was not asked for", (long long) id);
	return found - chunk->changes;
}

/*
 * A tier that is another one now, or locked, was changed by staff since we
 * looked: such a customer is looked at once more.
 */
static void
lock_customers(Chunk *chunk)
{
	static C360Query select = {"SELECT id, tier, tier_locked, phone FROM c360.customers WHERE id = ANY ($1) "
		"ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
	1, {INT8ARRAYOID}};
	MemoryContext context = CurrentMemoryContext;
	bool	   *locked = palloc0(chunk->count);
	Datum		values[1];

	if (count_wanted(chunk, needs_customer) == 0)
		return;
	values[0] = column(chunk, needs_customer, INT8OID, value_of_id);
	c360_query(&select, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		int			position = position_of(chunk, i);
		Change	   *change = chunk->changes[position];
		bool		isnull;

		locked[position] = !changes_tier(change) ||
			(tier_of(own_value(i, 2, &isnull)) == change->from_tier &&
			 !DatumGetBool(own_value(i, 3, &isnull)));
		if (changes_tier(change))
		{
			Datum		phone = own_value(i, 4, &isnull);

			change->phone = isnull ? NULL :
				MemoryContextStrdup(context, TextDatumGetCString(phone));
		}
	}
	SPI_freetuptable(SPI_tuptable);
	keep_locked(chunk, needs_customer, locked);
}

static void
lock_scores(Chunk *chunk)
{
	static C360Query select = {"SELECT customer_id FROM c360.customer_rfm WHERE customer_id = ANY ($1) "
		"ORDER BY customer_id FOR NO KEY UPDATE SKIP LOCKED",
	1, {INT8ARRAYOID}};
	bool	   *locked = palloc0(chunk->count);
	Datum		values[1];

	if (count_wanted(chunk, is_stored) == 0)
		return;
	values[0] = column(chunk, is_stored, INT8OID, value_of_id);
	c360_query(&select, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		locked[position_of(chunk, i)] = true;
	SPI_freetuptable(SPI_tuptable);
	keep_locked(chunk, is_stored, locked);
}

/* And how many more or fewer customers each segment has. */
static void
write_history(const Chunk *chunk)
{
	static C360Query insert = {
		"WITH h AS ("
		"INSERT INTO c360.rfm_history (customer_id, day, from_segment, to_segment, from_tier, to_tier) "
		"SELECT t.id, $5, (SELECT s.segment FROM c360.customer_rfm s WHERE s.customer_id = t.id), "
		"nullif(t.segment, ''), t.from_tier, t.to_tier "
		"FROM unnest($1, $2, $3, $4) AS t (id, segment, from_tier, to_tier) RETURNING from_segment, to_segment) "
		"INSERT INTO c360.rfm_counts (segment, customers) SELECT m.segment, sum(m.customers) "
		"FROM (SELECT from_segment, -1 FROM h UNION ALL SELECT to_segment, 1 FROM h) AS m (segment, customers) "
		"WHERE m.segment IS NOT NULL GROUP BY m.segment HAVING sum(m.customers) <> 0",
		5, {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, DATEOID}
	};
	Datum		values[5];

	if (count_wanted(chunk, is_history) == 0)
		return;
	values[0] = column(chunk, is_history, INT8OID, value_of_id);
	values[1] = column(chunk, is_history, TEXTOID, value_of_segment_or_empty);
	values[2] = column(chunk, is_history, TEXTOID, value_of_from_tier);
	values[3] = column(chunk, is_history, TEXTOID, value_of_to_tier);
	values[4] = DateADTGetDatum(chunk->today);
	c360_query(&insert, values, NULL);
}

static void
write_scores(const Chunk *chunk)
{
	static C360Query upsert = {
		"INSERT INTO c360.customer_rfm (customer_id, r, f, m, segment, frequency, monetary, last_on, next_on) "
		"SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) "
		"ON CONFLICT (customer_id) DO UPDATE SET r = excluded.r, f = excluded.f, m = excluded.m, "
		"segment = excluded.segment, frequency = excluded.frequency, monetary = excluded.monetary, "
		"last_on = excluded.last_on, next_on = excluded.next_on",
		9, {INT8ARRAYOID, INT2ARRAYOID, INT2ARRAYOID, INT2ARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
		INT8ARRAYOID, DATEARRAYOID, DATEARRAYOID}
	};
	static C360Query delete = {"DELETE FROM c360.customer_rfm WHERE customer_id = ANY ($1)",
	1, {INT8ARRAYOID}};
	Datum		values[9];

	if (count_wanted(chunk, to_write) > 0)
	{
		values[0] = column(chunk, to_write, INT8OID, value_of_id);
		values[1] = column(chunk, to_write, INT2OID, value_of_r);
		values[2] = column(chunk, to_write, INT2OID, value_of_f);
		values[3] = column(chunk, to_write, INT2OID, value_of_m);
		values[4] = column(chunk, to_write, TEXTOID, value_of_segment);
		values[5] = column(chunk, to_write, INT4OID, value_of_frequency);
		values[6] = column(chunk, to_write, INT8OID, value_of_monetary);
		values[7] = column(chunk, to_write, DATEOID, value_of_last_on);
		values[8] = column(chunk, to_write, DATEOID, value_of_next_on);
		c360_query(&upsert, values, NULL);
	}
	if (count_wanted(chunk, to_remove) > 0)
	{
		values[0] = column(chunk, to_remove, INT8OID, value_of_id);
		c360_query(&delete, values, NULL);
	}
}

static void
announce_tier(C360Store *store, const Change *change)
{
	C360Activity activity = {.topic = "customers",.event = "customer.tier_changed",.reference_type = "customer"};
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	if (change->phone != NULL)
		c360_json_text(&json, "phone", change->phone);
	c360_json_text(&json, "from", c360_tier_name(change->from_tier));
	c360_json_text(&json, "to", c360_tier_name(change->to_tier));
	c360_json_bool(&json, "tier_locked", false);
	c360_json_text(&json, "reason", "rfm");
	c360_json_text(&json, "segment", change->scored ? change->segment : NULL);
	c360_json_end_object(&json);
	activity.customer_id = change->id;
	activity.reference_id = change->id;
	activity.payload = c360_json_finish(&json);
	c360_activity_write(store, &activity);
}

static void
write_tiers(const Chunk *chunk)
{
	static C360Query update = {
		"UPDATE c360.customers AS c SET tier = t.tier, updated_at = clock_timestamp() "
		"FROM unnest($1, $2) AS t (id, tier) WHERE c.id = t.id",
		2, {INT8ARRAYOID, TEXTARRAYOID}
	};
	Datum		values[2];
	C360Store  *store;

	if (count_wanted(chunk, changes_tier) == 0)
		return;
	values[0] = column(chunk, changes_tier, INT8OID, value_of_id);
	values[1] = column(chunk, changes_tier, TEXTOID, value_of_to_tier);
	c360_query(&update, values, NULL);
	store = c360_store_open();
	for (int i = 0; i < chunk->count; i++)
		if (changes_tier(chunk->changes[i]))
			announce_tier(store, chunk->changes[i]);
	c360_store_close(store);
}

/* Answers how many of them are left to the next batch or run. */
static int
write_chunk(Change *changes, int count, DateADT today)
{
	Chunk		chunk = {palloc(sizeof(Change *) * count), count, today, 0};

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < count; i++)
		chunk.changes[i] = &changes[i];
	qsort(chunk.changes, count, sizeof(Change *), compare_changes);
	lock_customers(&chunk);
	lock_scores(&chunk);
	write_history(&chunk);
	write_scores(&chunk);
	write_tiers(&chunk);
	return chunk.not_changed;
}

static void
write_changes(Receiver *receiver)
{
	static const char *const one_by_one[] = {"jit", "enable_seqscan", "enable_hashjoin", "enable_mergejoin", NULL};
	Changes    *changes = &receiver->changes;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "c360 scores to write",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	plan_without(one_by_one);
	for (int done = 0; done < changes->count; done += CHUNK)
	{
		receiver->changed -= write_chunk(changes->kept + done, Min(CHUNK, changes->count - done),
										 receiver->today);
		MemoryContextReset(context);
	}
	if (changes->filed > 0 && BufFileSeek(changes->file, 0, 0, SEEK_SET) != 0)
		elog(ERROR, "could not rewind the file of scores");
	for (int64 done = 0; done < changes->filed; done += CHUNK)
	{
		int			count = Min(CHUNK, changes->filed - done);

		c360_read_file(changes->file, changes->kept, count * sizeof(Change));
		receiver->changed -= write_chunk(changes->kept, count, receiver->today);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
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
score_customers(PG_FUNCTION_ARGS)
{
	Receiver	receiver = {.today = PG_GETARG_DATEADT(3)};
	C360Query  *query = &facts_of_all;
	Datum		values[3];
	bool		nulls[3] = {false};
	int64		rules;

	values[1] = PG_GETARG_DATUM(0);
	if (!PG_ARGISNULL(0))
		query = &facts_of_ids;
	else if (!PG_ARGISNULL(2))
	{
		query = &facts_of_range;
		values[1] = PG_GETARG_DATUM(1);
		values[2] = PG_GETARG_DATUM(2);
	}
	else
		receiver.changes.file = BufFileCreateTemp(false);
	SPI_connect();
	examine(&receiver, query, values, false);
	rules = c360_rfm_rules();
	write_changes(&receiver);
	SPI_finish();
	if (receiver.changes.file != NULL)
		BufFileClose(receiver.changes.file);
	values[0] = Int64GetDatum(receiver.examined);
	values[1] = Int64GetDatum(receiver.changed);
	values[2] = Int64GetDatum(rules);
	return row_of(fcinfo, values, nulls);
}

/* Scores customers and writes what differs; (examined, changed, rules) */
Datum
c360_score_customers(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_score_customers", score_customers);
}

/* The score that one customer would get; nothing is written. */
Datum
c360_score_customer(PG_FUNCTION_ARGS)
{
	Datum		id = PG_GETARG_DATUM(0);
	Receiver	receiver = {.today = PG_GETARG_DATEADT(1)};
	const C360RfmScore *score = &receiver.score;
	C360Caller	caller;
	Datum		values[9];
	bool		nulls[9] = {false};

	c360_act_as_owner(&caller);
	SPI_connect();
	values[1] = array_of(INT8OID, &id, 1);
	examine(&receiver, &facts_of_ids, values, true);
	SPI_finish();
	c360_act_as_caller(&caller);
	if (receiver.examined != 1)
		PG_RETURN_NULL();
	nulls[0] = nulls[3] = nulls[4] = nulls[5] = nulls[6] = nulls[8] = !score->scored;
	values[0] = Int32GetDatum(score->recency_days);
	values[1] = Int32GetDatum((int32) score->frequency);
	values[2] = Int64GetDatum(score->monetary);
	values[3] = Int16GetDatum(score->r);
	values[4] = Int16GetDatum(score->f);
	values[5] = Int16GetDatum(score->m);
	values[6] = score->scored ? CStringGetTextDatum(score->segment) : (Datum) 0;
	values[7] = CStringGetTextDatum(c360_tier_name(score->tier));
	values[8] = DateADTGetDatum(score->since_on);
	return row_of(fcinfo, values, nulls);
}

/* Shows in pg_stat_activity how far a run is. */
Datum
c360_report_progress(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		c360_missing_argument("progress");
	PreventCommandIfReadOnly("c360_report_progress");
	pgstat_report_activity(STATE_RUNNING, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}
