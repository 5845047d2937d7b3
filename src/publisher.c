/*
 * publisher.c
 *	  Announcing events: ticks and notifications.
 *
 * NOTIFY in a transaction that writes takes one lock of the whole cluster at
 * commit and holds it through flush and replication. So writers only call the
 * publisher (commit.c), one worker in each database, and it announces what
 * they committed in two transactions of its own:
 *
 * - a tick: the moment that is now is stored, if it sees events that the tick
 *   before did not, and is flushed;
 * - notifications of the events between the ticks, in a transaction that
 *   writes nothing else and is neither flushed nor waits for a standby.
 *
 * The first event after a pause is announced at once, under load there is one
 * tick in c360.tick_interval at most, and once a second it looks by itself.
 * If it dies between the two, its successor announces the last tick again: a
 * listener may get an event twice, recognizable by its id.
 *
 * One publisher a database: it holds a lock for as long as it lives, taken
 * before any snapshot, and ticks are written under it only.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "call.h"
#include "cursor.h"
#include "event.h"
#include "heard.h"
#include "phone.h"
#include "publisher.h"
#include "query.h"
#include "settings.h"
#include "shared.h"
#include "storage.h"
#include "worker.h"

#define LOOK_INTERVAL	1000	/* ms */
#define FAILURE_PAUSE	1000	/* ms */
#define THIN_INTERVAL	600000	/* ms */
#define BATCH			1000	/* events announced in one transaction */
#define LONG_WALK		10000	/* rows between two ticks */
#define HIGH_LOAD		100		/* events between two ticks that double the interval */

/* of the publisher of this process */
static struct
{
	C360Slot   *slot;
	MemoryContext context;		/* of moments */
	C360Epoch	epoch;
	C360Moment *newest;			/* tick; NULL = not taken up yet */
	C360Moment *announced;		/* all events before this one are told, */
	C360Moment *target;			/* and of those up to here, if it is set, */
	int64		announced_id;	/* up to this one */
	int64		load;			/* ids drawn between the last two ticks */
}			publisher;

/*
 * Sending
 */

/* What the notifications of a batch have in common. */
typedef struct Sending
{
	const C360Channels *heard;
	C360EventReader *reader;
	C360Telling telling;
	StringInfoData payload;
	int			sent;
} Sending;

static void
begin_sending(Sending *sending, C360EventReader *reader, const C360Channels *heard)
{
	sending->heard = heard;
	sending->reader = reader;
	sending->telling = c360_settings()->notify_payload_ids ? C360_TELL_IDS : C360_TELL_ALL;
	sending->sent = 0;
	initStringInfo(&sending->payload);
}

static void
notify(Sending *sending, const char *channel)
{
	Async_Notify(channel, sending->payload.data);
	sending->sent++;
}

/*
 * One notification for each channel of the event that anybody listens to. A
 * row that somebody else put into the table may have a topic that is no
 * channel.
 */
static void
announce_event(Sending *sending, const C360Event *event, const char *cursor)
{
	C360Channel channel = c360_channel_named(event->channel);
	bool		to_all = channel != C360_NCHANNELS && c360_is_heard(sending->heard, channel);
	bool		to_one = channel == C360_WALLETS_CHANNEL && event->phone != NULL &&
		strlen(event->phone) <= C360_PHONE_MAX &&
		c360_is_wallet_heard(sending->heard, event->phone);
	char		wallet[NAMEDATALEN];

	if (!to_all && !to_one)
		return;
	c360_event_payload(sending->reader, event, cursor, sending->telling, &sending->payload);
	if (to_all)
		notify(sending, event->channel);
	if (to_one)
	{
		snprintf(wallet, sizeof(wallet), "wallet:%s", event->phone);
		notify(sending, wallet);
	}
}

/* A copy that outlives the transaction. */
static C360Moment *
keep_moment(const C360Moment *moment)
{
	C360Moment *kept = MemoryContextAlloc(publisher.context, sizeof(*kept));

	*kept = *moment;
	kept->running = MemoryContextAlloc(publisher.context,
									   sizeof(uint64) * (moment->nrunning + 1));
	memcpy(kept->running, moment->running, sizeof(uint64) * moment->nrunning);
	return kept;
}

static void
forget_moment(C360Moment *moment)
{
	pfree(moment->running);
	pfree(moment);
}

/*
 * Ticks
 */

/*
 * Behind the tick that is "newest", or NULL for the first of an epoch. False
 * if that is not the newest: somebody made the tables anew, or emptied them.
 */
static bool
write_tick(C360Moment *moment, const C360Moment *newest)
{
	static C360Query insert = {"INSERT INTO c360.event_ticks (id, snapshot, low_id, high_id, created_at) "
		"SELECT greatest(t.newest + 1, $1), $2::pg_snapshot, $3, $4, clock_timestamp() "
		"FROM (SELECT max(id) AS newest FROM c360.event_ticks) t "
		"WHERE $5 = 0 OR t.newest = $5 AND "
		"(SELECT epoch FROM c360.event_epochs ORDER BY number DESC LIMIT 1) = $6 RETURNING id",
	6, {INT8OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID}};
	Datum		values[6];
	bool		isnull;
	bool		written;

	values[0] = Int64GetDatum(publisher.epoch.begins);
	values[1] = CStringGetTextDatum(c360_moment_snapshot(moment));
	values[2] = Int64GetDatum(moment->low_id);
	values[3] = Int64GetDatum(moment->high_id);
	values[4] = Int64GetDatum(newest != NULL ? newest->tick : 0);
	values[5] = Int64GetDatum(publisher.epoch.epoch);
	SPI_connect();
	c360_query(&insert, values, NULL);
	written = SPI_processed > 0;
	if (written)
		moment->tick = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
												   1, &isnull));
	SPI_finish();
	return written;
}

/*
 * Of the ticks up to the newest, the first that was perhaps not announced. A
 * publisher before us says how far it came, unless the server crashed, which
 * ended all listeners with it; then it is the newest.
 */
static int64
first_unannounced(int64 newest)
{
	int64		announced = (int64) pg_atomic_read_u64(&publisher.slot->announced);

	return announced > 0 && announced < newest ? announced + 1 : newest;
}

/*
 * Goes on where the publisher before stopped; the first one of an epoch
 * begins it with a tick of now.
 */
static bool
take_up(void)
{
	C360Moment *newest;
	C360Moment *before = NULL;

	MemoryContextReset(publisher.context);
	if (!c360_worker_begin_transaction("looking for the last tick"))
		return false;
	publisher.epoch = c360_epoch_settle();
	newest = c360_newest_tick();
	if (newest == NULL)
	{
		newest = palloc0(sizeof(*newest));
		c360_moment_now(newest);
		(void) write_tick(newest, NULL);
	}
	else
		before = c360_tick_before(first_unannounced(newest->tick));
	newest = keep_moment(newest);
	publisher.announced = keep_moment(before != NULL ? before : newest);
	publisher.target = NULL;
	publisher.announced_id = 0;
	c360_worker_end_transaction();
	publisher.newest = newest;
	return true;
}

/* A new tick, if there are events since the newest. False as above. */
static bool
tick_if_needed(C360Moment *moment, bool *ticked)
{
	C360Moment *newest = publisher.newest;

	c360_moment_now(moment);
	/* while a bulk load is open each look would walk over its rows once more */
	*ticked = c360_events_exist(newest, moment) || moment->high_id - newest->low_id > LONG_WALK;
	return *ticked ? write_tick(moment, newest) :
		c360_is_newest_tick(newest->tick, publisher.epoch.epoch);
}

/* False if c360 is gone. */
static bool
tick(void)
{
	C360Moment	moment;
	C360Moment *kept = NULL;
	bool		ticked;
	bool		known;

	if (!c360_worker_begin_transaction("ticking"))
		return false;
	known = tick_if_needed(&moment, &ticked);
	if (known && ticked)
		kept = keep_moment(&moment);
	c360_worker_end_transaction();
	if (!known)
	{
		publisher.newest = NULL;
		return take_up();
	}
	if (kept != NULL)
	{
		publisher.load = kept->high_id - publisher.newest->high_id;
		forget_moment(publisher.newest);
		publisher.newest = kept;
		pg_atomic_fetch_add_u64(&publisher.slot->ticks, 1);
	}
	return true;
}

static void
all_announced(void)
{
	forget_moment(publisher.announced);
	publisher.announced = publisher.target;
	pg_atomic_write_u64(&publisher.slot->announced, publisher.announced->tick);
	publisher.target = NULL;
	publisher.announced_id = 0;
}

/*
 * Announces the next events up to "target" to those who listen. The cursor of
 * each stands right behind it, in the middle of the batch.
 */
static bool
announce_some(const C360Channels *heard)
{
	C360Store  *store;
	C360EventReader *reader;
	C360Event  *event;
	Sending		sending;
	int64		last_id;
	bool		unfinished;
	StringInfoData cursor;
	int			length;

	if (!c360_worker_begin_transaction("notifying"))
		return false;
	initStringInfo(&cursor);
	appendStringInfoString(&cursor, c360_cursor_within(publisher.epoch.epoch, publisher.announced,
													   publisher.target));
	length = cursor.len;
	store = c360_store_open_to_read();
	reader = c360_events_between(store, publisher.announced, publisher.target,
								 publisher.announced_id, BATCH, BATCH);
	begin_sending(&sending, reader, heard);
	while ((event = c360_event_next(reader)) != NULL)
	{
		cursor.len = length;
		c360_append_int64(&cursor, event->id);
		announce_event(&sending, event, cursor.data);
	}
	unfinished = c360_events_unfinished(reader, &last_id);
	c360_events_end(reader);
	c360_store_close(store);
	c360_worker_end_transaction();
	pg_atomic_fetch_add_u64(&publisher.slot->notifications, sending.sent);
	publisher.announced_id = last_id;
	if (!unfinished)
		all_announced();
	return true;
}

/*
 * Everything up to the newest tick. If it fails, ticks go on, and the batch
 * is taken up where it stood.
 */
static bool
announce(void)
{
	const C360Channels *heard;

	while (publisher.announced->tick != publisher.newest->tick)
	{
		if (publisher.target == NULL)
			publisher.target = keep_moment(publisher.newest);
		heard = c360_heard_now();	/* after the moment was taken: see heard.c */
		if (c360_nothing_heard(heard))
			all_announced();
		else if (!announce_some(heard))
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/*
 * Old ticks: one a minute of those older than a day, one a second of those
 * older than an hour, and none from before the last one that is older than
 * event_retention: cursors behind it are of that age, whoever read all has
 * one of them. The newest stays whatever its age.
 */
static bool
thin_out(void)
{
	static C360Query thin = {"DELETE FROM c360.event_ticks t USING ("
		"  SELECT id, row_number() OVER (PARTITION BY date_trunc("
		"    CASE WHEN created_at < clock_timestamp() - interval '1 day' THEN 'minute' ELSE 'second' END,"
		"    created_at) ORDER BY id) AS nth, lead(created_at) OVER (ORDER BY id) AS until, created_at"
		"  FROM c360.event_ticks WHERE created_at < clock_timestamp() - interval '1 hour') old "
		"WHERE t.id = old.id AND t.id < $1 "
		"AND (old.until < clock_timestamp() - $2 * interval '1 day' OR "
		"     old.nth > 1 AND old.created_at >= clock_timestamp() - $2 * interval '1 day')",
	2, {INT8OID, INT8OID}};
	static C360Query passes = {"DELETE FROM c360.event_streams WHERE valid_until < clock_timestamp()"};
	Datum		values[2];

	if (!c360_worker_begin_transaction("thinning out old ticks"))
		return false;
	values[0] = Int64GetDatum(publisher.newest->tick);
	values[1] = Int64GetDatum(c360_settings()->event_retention);
	SPI_connect();
	c360_query(&thin, values, NULL);
	c360_query(&passes, NULL, NULL);
	SPI_finish();
	c360_worker_end_transaction();
	return true;
}

/*
 * The worker
 */

static void
lock_publishing(void)
{
	LOCKTAG		tag;

	StartTransactionCommand();
	c360_lock_tag(&tag, 0);
	pgstat_report_activity(STATE_RUNNING, "waiting for another publisher to end");
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	CommitTransactionCommand();
}

/* One round; false if c360 is gone. Errors are the caller's. */
static bool
publish(void)
{
	uint64		since = pg_atomic_exchange_u64(&publisher.slot->pending_since, 0);

	if (publisher.newest == NULL && !take_up())
		return false;
	if (!tick() || !announce())
		return false;
	if (since != 0)
		pg_atomic_write_u64(&publisher.slot->lag, Max(GetCurrentTimestamp() - (int64) since, 0));
	return true;
}

static bool
publish_and_survive(void)
{
	static TimestampTz thinned = 0;
	MemoryContext context = CurrentMemoryContext;
	volatile bool go_on = true;
	volatile bool failed = false;

	PG_TRY();
	{
		go_on = publish();
		if (go_on && TimestampDifferenceExceeds(thinned, GetCurrentTimestamp(), THIN_INTERVAL))
		{
			thinned = GetCurrentTimestamp();
			go_on = thin_out();
		}
	}
	PG_CATCH();
	{
		c360_worker_recover(publisher.slot, context);
		failed = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (failed)
		c360_worker_wait(FAILURE_PAUSE, "waiting after an error");
	return go_on;
}

/*
 * Sleeps until a writer calls. Writers call only who says that he waits, and
 * we look once more after saying so: see call_publisher() in commit.c.
 */
static void
wait_for_commits(void)
{
	C360Slot   *slot = publisher.slot;

	pg_atomic_write_u32(&slot->waiting, 1);
	pg_memory_barrier();
	if (pg_atomic_read_u64(&slot->pending_since) == 0)
		c360_worker_wait(LOOK_INTERVAL, "waiting for commits");
	pg_atomic_write_u32(&slot->waiting, 0);
}

/*
 * Under load the interval grows, up to four times: what a tick costs, the
 * waking of each listener included, is shared by more events then.
 */
static long
interval(void)
{
	long		load = Max(Min(publisher.load, 3 * HIGH_LOAD), 0);

	return c360_tick_interval + c360_tick_interval * load / HIGH_LOAD;
}

/* What is left of the interval since the last tick; nobody calls meanwhile. */
static void
rest_of_interval(TimestampTz begun)
{
	long		passed = TimestampDifferenceMilliseconds(begun, GetCurrentTimestamp());

	if (passed < interval())
		c360_worker_wait(interval() - passed, "waiting for the next tick");
}

void
c360_publisher_main(Datum main_arg)
{
	MemoryContext context;

	publisher.slot = c360_worker_begin(main_arg, C360_PUBLISHER);
	publisher.context = AllocSetContextCreate(TopMemoryContext, "c360 publisher",
											  ALLOCSET_SMALL_SIZES);
	context = AllocSetContextCreate(TopMemoryContext, "c360 publisher round",
									ALLOCSET_SMALL_SIZES);
	/* flushed, but not kept waiting by a standby that is gone */
	SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
	lock_publishing();
	c360_worker_ready();
	for (;;)
	{
		TimestampTz begun = GetCurrentTimestamp();

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		if (c360_notify == C360_NOTIFY_WORKER)
		{
			uint64		ticks = pg_atomic_read_u64(&publisher.slot->ticks);

			if (!publish_and_survive())
				proc_exit(0);
			if (pg_atomic_read_u64(&publisher.slot->ticks) != ticks)
				rest_of_interval(begun);
		}
		else
			publisher.newest = NULL;
		wait_for_commits();
	}
}

/*
 * Without the worker
 */

/*
 * c360.notify = inline: at its commit the transaction notifies of its own
 * events, in the old way. The cursor repeats them, since no moment before the
 * commit has seen them.
 */
void
c360_publish_inline(void)
{
	C360Caller	caller;
	C360Moment	moment;
	C360Store  *store;
	C360EventReader *reader;
	C360Event  *event;
	C360Channels everything;
	Sending		sending;
	char	   *cursor;

	PushActiveSnapshot(GetTransactionSnapshot());	/* there is none at commit */
	c360_act_as_owner(&caller);
	c360_moment_now(&moment);
	cursor = c360_cursor_at(c360_epoch_now().epoch, &moment);
	memset(&everything, 0xff, sizeof(everything));
	store = c360_store_open_to_read();
	reader = c360_events_of(store, U64FromFullTransactionId(GetTopFullTransactionId()));
	begin_sending(&sending, reader, &everything);
	while ((event = c360_event_next(reader)) != NULL)
		announce_event(&sending, event, cursor);
	c360_events_end(reader);
	c360_store_close(store);
	c360_act_as_caller(&caller);
	PopActiveSnapshot();
}
