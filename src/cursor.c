/*
 * cursor.c
 *	  Moments in the history of events, and cursors that name them.
 *
 * Ids of rows are drawn at INSERT and rows appear at COMMIT, so "id > last"
 * loses the row that was committed late, and a horizon of finished
 * transactions stands still behind every open one. What happened between two
 * moments is therefore what the snapshot of the later one sees and that of
 * the earlier one does not: each event once, whenever it was committed.
 *
 * The publisher gives moments a number (ticks) and a cursor is one of those:
 *
 *	  epoch.tick			all events before this tick were read
 *	  epoch.a-b.id			of those between ticks a and b, all up to this id
 *
 * Where no publisher runs, readers cannot write ticks: then a moment is
 * written out as s<low id>:<high id>:<xmin>:<xmax>:<running,…> in place of the
 * tick. Both forms are read everywhere. A tick that is gone (thinned out) is
 * answered from the next older one, which repeats events but loses none.
 *
 * A cursor holds in the epoch in which it was made. Epochs begin when the
 * cluster, the database, the tables (a dump was restored) or the timeline are
 * others than before. One that only begins a new timeline of the same
 * database goes on from the one before it, and cursors of that one hold as far
 * as its ticks are known here; after a promotion numbers jump, so that ticks
 * which the old primary gave out last and we never saw are not taken for ours.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/twophase.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "cursor.h"
#include "query.h"
#include "storage.h"

#define TICK_JUMP	1000000

/* on a standby subtransactions count, too */
#define MOST_RUNNING	((MaxBackends + max_prepared_xacts) * (PGPROC_MAX_CACHED_SUBXIDS + 1))

/*
 * Moments
 */

static int
compare_xacts(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

bool
c360_moment_sees(const C360Moment *moment, uint64 xact)
{
	if (xact < moment->xmin)
		return true;
	if (xact >= moment->xmax)
		return false;
	return bsearch(&xact, moment->running, moment->nrunning, sizeof(uint64), compare_xacts) == NULL;
}

/* A transaction id is at most half a circle behind the next one. */
static uint64
widen(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xid));
}

/* In order and each once, with xmin below all of them. */
static void
settle_running(C360Moment *moment)
{
	int			kept = 0;

	qsort(moment->running, moment->nrunning, sizeof(uint64), compare_xacts);
	for (int i = 0; i < moment->nrunning; i++)
		if (moment->running[i] < moment->xmax &&
			(kept == 0 || moment->running[i] != moment->running[kept - 1]))
			moment->running[kept++] = moment->running[i];
	moment->nrunning = kept;
	moment->xmin = kept > 0 ? moment->running[0] : moment->xmax;
}

/*
 * What runs at this moment, asked of the list of processes and not of a
 * snapshot: a snapshot ends at the last transaction that ended, and those
 * beyond it may have drawn ids long ago.
 */
static void
take_running(C360Moment *moment)
{
	RunningTransactions all = GetRunningTransactionData();
	FullTransactionId next;

	LWLockRelease(XidGenLock);	/* it comes with both held */
	LWLockRelease(ProcArrayLock);
	next = ReadNextFullTransactionId();
	moment->xmax = widen(all->nextXid, next);
	moment->nrunning = all->xcnt;
	moment->running = palloc(sizeof(uint64) * (moment->nrunning + 1));
	for (int i = 0; i < moment->nrunning; i++)
		moment->running[i] = widen(all->xids[i], next);
	settle_running(moment);
}

/*
 * On a standby, where a snapshot keeps all that runs among the
 * subtransactions, and under REPEATABLE READ, which must not look beyond its
 * snapshot. Our own transaction runs, too, though its snapshot doesn't say so.
 */
static void
take_snapshot(C360Moment *moment, Snapshot snapshot)
{
	FullTransactionId next = ReadNextFullTransactionId();
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	int			nsub = snapshot->takenDuringRecovery ? snapshot->subxcnt : 0;

	moment->xmax = widen(snapshot->xmax, next);
	moment->running = palloc(sizeof(uint64) * (snapshot->xcnt + nsub + 1));
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		moment->running[moment->nrunning++] = widen(snapshot->xip[i], next);
	for (int i = 0; i < nsub; i++)
		moment->running[moment->nrunning++] = widen(snapshot->subxip[i], next);
	if (FullTransactionIdIsValid(own))
		moment->running[moment->nrunning++] = U64FromFullTransactionId(own);
	settle_running(moment);
}

/*
 * The moment that is now, or that of the transaction's snapshot: whoever
 * reads rows under a snapshot that is taken after it sees all that it sees.
 * The last id is looked up before and after.
 */
void
c360_moment_now(C360Moment *moment)
{
	memset(moment, 0, sizeof(*moment));
	if (RecoveryInProgress() || IsolationUsesXactSnapshot())
	{
		moment->low_id = moment->high_id = C360_LOW_UNKNOWN;
		take_snapshot(moment, GetTransactionSnapshot());
	}
	else
	{
		moment->low_id = c360_last_id(C360_ACTIVITIES);
		take_running(moment);
		moment->high_id = c360_last_id(C360_ACTIVITIES);
	}
}

/* As pg_snapshot writes it. */
char *
c360_moment_snapshot(const C360Moment *moment)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":", moment->xmin, moment->xmax);
	for (int i = 0; i < moment->nrunning; i++)
		appendStringInfo(&text, "%s" UINT64_FORMAT, i > 0 ? "," : "", moment->running[i]);
	return text.data;
}

/*
 * Reading what cursors and snapshots are made of. Each answers where it
 * stopped, or NULL if there is nothing of the kind.
 */

static const char *
read_number(const char *text, uint64 *number)
{
	uint64		value = 0;

	if (text == NULL || *text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++)
	{
		int			digit = *text - '0';

		if (value > (PG_INT64_MAX - digit) / 10)
			return NULL;
		value = value * 10 + digit;
	}
	*number = value;
	return text;
}

static const char *
read_sign(const char *text, char sign)
{
	return text != NULL && *text == sign ? text + 1 : NULL;
}

static const char *
read_snapshot(const char *text, C360Moment *moment)
{
	int			size = 8;

	text = read_number(text, &moment->xmin);
	text = read_number(read_sign(text, ':'), &moment->xmax);
	text = read_sign(text, ':');
	if (text == NULL || moment->xmin > moment->xmax)
		return NULL;
	moment->running = palloc(sizeof(uint64) * size);
	moment->nrunning = 0;
	while (*text >= '0' && *text <= '9')
	{
		uint64		xact;

		if (moment->nrunning >= MOST_RUNNING)
			return NULL;

		if (moment->nrunning == size)
			moment->running = repalloc(moment->running, sizeof(uint64) * (size *= 2));
		text = read_number(text, &xact);
		if (text == NULL || xact < moment->xmin || xact >= moment->xmax ||
			(moment->nrunning > 0 && xact <= moment->running[moment->nrunning - 1]))
			return NULL;
		moment->running[moment->nrunning++] = xact;
		if (*text == ',')
			text++;
	}
	return text;
}

/*
 * Ticks
 */

static C360Moment *
found_tick(void)
{
	HeapTuple	row;
	TupleDesc	desc;
	bool		isnull;
	C360Moment *tick;

	if (SPI_processed == 0)
		return NULL;
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	tick = palloc0(sizeof(*tick));
	tick->tick = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	if (read_snapshot(SPI_getvalue(row, desc, 2), tick) == NULL)
		elog(ERROR, "could not read the snapshot of tick %lld", (long long) tick->tick);
	tick->low_id = DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull));
	tick->high_id = DatumGetInt64(SPI_getbinval(row, desc, 4, &isnull));
	tick->at = DatumGetTimestampTz(SPI_getbinval(row, desc, 5, &isnull));
	return tick;
}

/* The newest tick from first to last, or NULL. */
static C360Moment *
newest_tick_of(int64 first, int64 last)
{
	static C360Query query = {"SELECT id, snapshot, low_id, high_id, created_at FROM c360.event_ticks "
		"WHERE id >= $1 AND id <= $2 ORDER BY id DESC LIMIT 1",
	2, {INT8OID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[2] = {Int64GetDatum(first), Int64GetDatum(last)};
	C360Moment *tick;

	SPI_connect();
	c360_query(&query, values, NULL);
	MemoryContextSwitchTo(caller);
	tick = found_tick();
	SPI_finish();
	return tick;
}

/* Of the epoch that is now; NULL if it has none. */
C360Moment *
c360_newest_tick(void)
{
	C360Epoch	epoch = c360_epoch_now();

	return epoch.stored ? newest_tick_of(epoch.first_tick, PG_INT64_MAX) : NULL;
}

/* The one before a tick of the epoch that is now, if it is kept. */
C360Moment *
c360_tick_before(int64 tick)
{
	return newest_tick_of(c360_epoch_now().first_tick, tick - 1);
}

/* False if somebody emptied the tables or made them anew. */
bool
c360_is_newest_tick(int64 tick, int64 epoch)
{
	static C360Query query = {"SELECT (SELECT max(id) FROM c360.event_ticks) = $1 "
		"AND (SELECT epoch FROM c360.event_epochs ORDER BY number DESC LIMIT 1) = $2",
	2, {INT8OID, INT8OID}};
	Datum		values[2] = {Int64GetDatum(tick), Int64GetDatum(epoch)};
	bool		isnull;
	bool		newest;

	SPI_connect();
	c360_query(&query, values, NULL);
	newest = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return newest && !isnull;
}

/*
 * Epochs
 */

typedef struct EpochRow
{
	int64		epoch;
	int64		timeline;
	int64		first_tick;
} EpochRow;

/* A dump that is restored, even into the same database, makes it anew. */
static Oid
ticks_id(void)
{
	return get_relname_relid("event_ticks", get_namespace_oid("c360", false));
}

/* The epochs of these tables in this cluster, newest first, up to another's. */
static int
own_epochs(EpochRow **rows)
{
	static C360Query query = {"SELECT epoch, timeline, first_tick, system_identifier = $1 AND "
		"database_id = $2 AND ticks_id = $3 FROM c360.event_epochs ORDER BY number DESC",
	3, {INT8OID, OIDOID, OIDOID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[3] = {Int64GetDatum((int64) GetSystemIdentifier()),
	ObjectIdGetDatum(MyDatabaseId), ObjectIdGetDatum(ticks_id())};
	int			count = 0;

	SPI_connect();
	c360_query(&query, values, NULL);
	*rows = MemoryContextAlloc(caller, sizeof(EpochRow) * (SPI_processed + 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		if (!DatumGetBool(SPI_getbinval(row, desc, 4, &isnull)))
			break;
		(*rows)[count].epoch = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		(*rows)[count].timeline = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));
		(*rows)[count].first_tick = DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull));
		count++;
	}
	SPI_finish();
	return count;
}

/* What an epoch is called until it has its row. */
static int64
epoch_by_identity(void)
{
	struct
	{
		uint64		system;
		uint64		database;
		uint64		ticks;
		uint64		timeline;
	}			identity = {GetSystemIdentifier(), MyDatabaseId, ticks_id(), c360_timeline()};

	return DatumGetUInt32(hash_any((unsigned char *) &identity, sizeof(identity)));
}

static C360Epoch
epoch_of(const EpochRow *rows, int count)
{
	C360Epoch	epoch = {0};

	epoch.stored = count > 0 && rows[0].timeline == (int64) c360_timeline();
	epoch.epoch = epoch.stored ? rows[0].epoch : epoch_by_identity();
	epoch.begins = epoch.stored ? rows[0].first_tick : PG_INT64_MAX;
	epoch.first_tick = count > 0 ? rows[count - 1].first_tick : PG_INT64_MAX;
	return epoch;
}

C360Epoch
c360_epoch_now(void)
{
	EpochRow   *rows;
	int			count = own_epochs(&rows);

	return epoch_of(rows, count);
}

/*
 * Gives the epoch that is now its row; the publisher calls it before its
 * first tick. The very first one keeps the name that readers used so far, a
 * later one gets a name that no other history has.
 */
C360Epoch
c360_epoch_settle(void)
{
	static C360Query insert = {"INSERT INTO c360.event_epochs "
		"(number, epoch, system_identifier, database_id, ticks_id, timeline, first_tick) "
		"SELECT coalesce(max(number), 0) + 1, "
		"       CASE WHEN count(*) = 0 THEN $1 ELSE $2 END, $3, $4, $7, $5, "
		"       (SELECT coalesce(max(id) + $6, 1) FROM c360.event_ticks) "
		"FROM c360.event_epochs",
	7, {INT8OID, INT8OID, INT8OID, OIDOID, INT8OID, INT8OID, OIDOID}};
	EpochRow   *rows;
	int			count = own_epochs(&rows);
	C360Epoch	epoch = epoch_of(rows, count);
	uint32		random;
	Datum		values[7];

	/* one whose ticks are gone does not begin again: numbers would be used twice */
	if (epoch.stored && newest_tick_of(epoch.first_tick, PG_INT64_MAX) != NULL)
		return epoch;
	values[0] = Int64GetDatum(epoch.epoch);
	if (!pg_strong_random(&random, sizeof(random)))
		elog(ERROR, "could not generate a random number");
	values[1] = Int64GetDatum(random);
	values[2] = Int64GetDatum((int64) GetSystemIdentifier());
	values[3] = ObjectIdGetDatum(MyDatabaseId);
	values[4] = Int64GetDatum((int64) c360_timeline());
	values[5] = Int64GetDatum(TICK_JUMP);
	values[6] = ObjectIdGetDatum(ticks_id());
	SPI_connect();
	c360_query(&insert, values, NULL);
	SPI_finish();
	return c360_epoch_now();
}

/*
 * Cursors
 */

static void
append_moment(StringInfo text, const C360Moment *moment)
{
	if (moment->tick != 0)
		appendStringInfo(text, INT64_FORMAT, moment->tick);
	else
		appendStringInfo(text, "s" INT64_FORMAT ":" INT64_FORMAT ":%s", moment->low_id,
						 moment->high_id, c360_moment_snapshot(moment));
}

/* Right behind a moment. */
char *
c360_cursor_at(int64 epoch, const C360Moment *moment)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, INT64_FORMAT ".", epoch);
	append_moment(&text, moment);
	return text.data;
}

/* Within a batch; the id of the last event that was had is to be appended. */
char *
c360_cursor_within(int64 epoch, const C360Moment *from, const C360Moment *to)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, INT64_FORMAT ".", epoch);
	append_moment(&text, from);
	appendStringInfoChar(&text, '-');
	append_moment(&text, to);
	appendStringInfoChar(&text, '.');
	return text.data;
}

/* What is wrong with a cursor. */
const char *const c360_malformed_cursor = "invalid cursor";
static const char *const foreign_cursor = "the cursor is of another database, or of a history that was left";
static const char *const future_cursor = "the cursor is newer than the newest event";
static const char *const old_cursor = "the cursor is older than the setting event_retention";

/* The last tick that our history has of the epoch; false if it has none of it. */
static bool
known_ticks(int64 epoch, int64 *first, int64 *last)
{
	EpochRow   *rows;
	int			count = own_epochs(&rows);
	int			i = 0;
	C360Moment *newest;

	while (i < count && rows[i].epoch != epoch)
		i++;
	if (i == count)
		return false;
	*first = rows[count - 1].first_tick;
	newest = newest_tick_of(*first, i > 0 ? rows[i - 1].first_tick - 1 : PG_INT64_MAX);
	*last = newest != NULL ? newest->tick : 0;
	return true;
}

static C360Moment *
known_tick(int64 epoch, int64 number, const char **problem)
{
	int64		first;
	int64		last;
	C360Moment *tick = NULL;

	if (!known_ticks(epoch, &first, &last))
		*problem = foreign_cursor;
	else if (number > last)
		*problem = future_cursor;
	else if ((tick = newest_tick_of(first, number)) == NULL)
		*problem = old_cursor;
	return tick;
}

/*
 * Whether it saw the end of a transaction whose id was not given out yet. Ids
 * of those that ran are given out again after a crash, and are as unseen.
 */
static bool
saw_future(const C360Moment *moment)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		ran = 0;

	for (int i = 0; i < moment->nrunning; i++)
		ran += moment->running[i] >= next;
	return moment->xmax > next && moment->xmax - next > ran;
}

/* A snapshot is of the epoch that is now, or of none that we know. */
static C360Moment *
known_moment(int64 epoch, C360Moment *moment, const char **problem)
{
	if (moment->tick != 0)
		return known_tick(epoch, moment->tick, problem);
	if (epoch != c360_epoch_now().epoch)
		*problem = foreign_cursor;
	else if (saw_future(moment))
		*problem = future_cursor;
	return moment;
}

static const char *
read_moment(const char *text, C360Moment *moment)
{
	uint64		number = 0;

	memset(moment, 0, sizeof(*moment));
	if (text != NULL && *text == 's')
	{
		text = read_number(text + 1, &number);
		moment->low_id = number;
		text = read_number(read_sign(text, ':'), &number);
		moment->high_id = number;
		return read_snapshot(read_sign(text, ':'), moment);
	}
	text = read_number(text, &number);
	moment->tick = number;
	return text != NULL && number > 0 ? text : NULL;
}

/* As written; NULL if it is no cursor. */
static C360Cursor *
parse_cursor(const char *text, int64 *epoch)
{
	C360Cursor *cursor = palloc0(sizeof(*cursor));
	uint64		number = 0;

	cursor->from = palloc(sizeof(C360Moment));
	text = read_sign(read_number(text, &number), '.');
	*epoch = (int64) number;
	text = read_moment(text, cursor->from);
	if (text != NULL && *text == '-')
	{
		cursor->to = palloc(sizeof(C360Moment));
		text = read_number(read_sign(read_moment(text + 1, cursor->to), '.'), &number);
		cursor->after_id = (int64) number;
	}
	return text != NULL && *text == '\0' ? cursor : NULL;
}

/* NULL, and the reason in *problem, if it holds no longer or is no cursor. */
C360Cursor *
c360_cursor_read(const char *text, const char **problem)
{
	int64		epoch;
	C360Cursor *cursor = parse_cursor(text, &epoch);

	if (cursor == NULL)
	{
		*problem = c360_malformed_cursor;
		return NULL;
	}
	*problem = NULL;
	cursor->from = known_moment(epoch, cursor->from, problem);
	if (cursor->to != NULL && *problem == NULL)
		cursor->to = known_moment(epoch, cursor->to, problem);
	if (*problem != NULL)
		return NULL;
	/* thinned out: the batch that it had begun comes again */
	if (cursor->to != NULL && cursor->to->tick != 0 && cursor->to->tick == cursor->from->tick)
		cursor->to = NULL;
	if (cursor->to == NULL)
		cursor->after_id = 0;
	return cursor;
}
