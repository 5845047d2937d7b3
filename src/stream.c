/*
 * stream.c
 *	  Reading events by cursor: c360_events_since(), and for browsers
 *	  c360_open_stream() and c360_events().
 *
 * All three are in C, since what they answer depends on the level of their
 * caller, whom a SECURITY DEFINER function does not know any more. Reading
 * writes nothing: it works in READ ONLY transactions and on standbys.
 *
 * Up to where? Up to the newest tick, so that cursors are short, and then up
 * to now: whoever committed a change reads it at once. Streams for browsers
 * leave what is newer than a tick to the next answer, since their cursor
 * travels in a header.
 *
 * A page of the browser cannot send a token with EventSource: an app opens a
 * stream for it and hands it the pass. The pass is stored hashed, and reads
 * with its role's level as of now.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_type_d.h"
#include "common/sha2.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "actor.h"
#include "call.h"
#include "compat.h"
#include "cursor.h"
#include "event.h"
#include "level.h"
#include "phone.h"
#include "query.h"
#include "settings.h"
#include "shared.h"

#define MOST_ROWS		10000
#define STREAM_ROWS		1000	/* of one answer to EventSource */
#define MOST_EXAMINED	100000	/* rows of other channels, in one call */
#define MOST_LATE		10000	/* rows of transactions that were running */
#define LONG_WAY		1000	/* such rows that nobody should pass twice */
#define FRESH			10000	/* age of a tick that readers trust, ms */
#define OLD				86400	/* a cursor of that age is renewed, s */
#define MAX_CHANNELS	1000

PG_FUNCTION_INFO_V1(c360_events_since);
PG_FUNCTION_INFO_V1(c360_open_stream);
PG_FUNCTION_INFO_V1(c360_events);

/*
 * Channels
 */

/* the lowest level that may read each */
static const C360Level channel_levels[C360_NCHANNELS] = {
	[C360_WALLETS_CHANNEL] = C360_LEVEL_AGENT,
	[C360_TICKETS_CHANNEL] = C360_LEVEL_VIEWER,
	[C360_CUSTOMERS_CHANNEL] = C360_LEVEL_VIEWER,
	[C360_BANK_CHANNEL] = C360_LEVEL_AGENT,
};

static C360Level
require_level(Oid role)
{
	C360Level	level = c360_level_of(role);

	if (level == C360_LEVEL_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("events are read with a level"),
				 errdetail("no_level: role %s has none", GetUserNameFromId(role, false)),
				 errhint("Let an admin give it one by c360_grant().")));
	return level;
}

typedef struct Filter
{
	C360Level	level;
	bool		wanted[C360_NCHANNELS];
	List	   *phones;			/* canonical, of wallet:<phone> */
} Filter;

static void
unknown_channel(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("no such channel"),
			 errdetail("unknown_channel: \"%.*s\"", pg_mbcliplen(name, strlen(name), 64), name),
			 errhint("Allowed are wallets, tickets, customers, bank and wallet:<phone>.")));
}

static void
want(Filter *filter, const char *name)
{
	static const char prefix[] = "wallet:";
	C360Channel channel = c360_channel_named(name);
	char	   *phone;

	if (channel != C360_NCHANNELS)
	{
		filter->wanted[channel] = true;
		return;
	}
	phone = palloc(C360_PHONE_MAX + 1);
	if (strncmp(name, prefix, strlen(prefix)) != 0 ||
		!c360_phone_normalize(name + strlen(prefix), strlen(name) - strlen(prefix), phone))
		unknown_channel(name);
	filter->phones = lappend(filter->phones, phone);
}

/* NULL stands for all channels. */
static void
read_channels(Filter *filter, ArrayType *channels)
{
	Datum	   *names;
	bool	   *nulls;
	int			count;

	if (channels == NULL)
	{
		memset(filter->wanted, true, sizeof(filter->wanted));
		return;
	}
	deconstruct_array(channels, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &count);
	if (count > MAX_CHANNELS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many items"),
				 errdetail("too_many: at most %d channels", MAX_CHANNELS)));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			c360_missing_argument("channels");
		want(filter, TextDatumGetCString(names[i]));
	}
}

static ArrayType *
channels_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_ARRAYTYPE_P(n);
}

static bool
wants_all(const Filter *filter)
{
	bool		all = true;

	for (int i = 0; i < C360_NCHANNELS; i++)
		all &= filter->wanted[i] && filter->level >= channel_levels[i];
	return all;
}

/* The channel under which the filter lets this event through, or NULL. */
static const char *
channel_for(const Filter *filter, const C360Event *event)
{
	C360Channel channel = c360_channel_named(event->channel);
	ListCell   *cell;

	if (channel == C360_NCHANNELS || filter->level < channel_levels[channel])
		return NULL;
	if (filter->wanted[channel])
		return c360_channels[channel];
	if (channel != C360_WALLETS_CHANNEL || event->phone == NULL)
		return NULL;
	foreach(cell, filter->phones)
		if (strcmp(event->phone, lfirst(cell)) == 0)
			return psprintf("wallet:%s", event->phone);
	return NULL;
}

/*
 * Pages
 */

typedef struct EventPage EventPage;
struct EventPage
{
	Filter		filter;
	int			max_rows;
	bool		ticks_will_do;	/* and keep cursors short; what is newer may wait */
	void		(*emit) (EventPage *page, const C360Event *event, const char *channel,
						 const char *cursor, const char *payload);	/* event NULL: only a cursor */
	void	   *sink;
	int			rows;
	bool		unfinished;		/* stopped after MOST_EXAMINED rows */
	int			looked_at;		/* rows */
	char	   *cursor;			/* behind the last row looked at */
};

/*
 * A snapshot that leaves as a cursor must outlive a crash: what it knows of
 * transactions that had ended may not be in the log yet, and then their ids
 * and those of their rows are given out again. (Ticks are flushed by their
 * commit.)
 */
static void
flush_log(void)
{
	XLogRecPtr	end;

	if (RecoveryInProgress())
		return;
	end = GetXLogInsertRecPtr();
	/* behind the header of a page on which nothing stands yet */
	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		end -= SizeOfXLogLongPHD;
	else if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		end -= SizeOfXLogShortPHD;
	XLogFlush(end);
}

/* Whether the newest tick is as good as now: the publisher is at work. */
static bool
is_trusted(const C360Moment *tick)
{
	return tick != NULL &&
		(RecoveryInProgress() ||
		 (c360_notify == C360_NOTIFY_WORKER && c360_worker_runs(C360_PUBLISHER))) &&
		!TimestampDifferenceExceeds(tick->at, GetCurrentTimestamp(), FRESH);
}

static bool
is_full(const EventPage *page)
{
	return page->rows >= page->max_rows || page->unfinished;
}

/* Reads a batch as far as the page has room; whether there was anything in it. */
static bool
read_batch(EventPage *page, C360Store *store, int64 epoch, const C360Moment *from,
		   const C360Moment *to, int64 after_id)
{
	C360EventReader *reader = c360_events_between(store, from, to, after_id,
												  wants_all(&page->filter) ? page->max_rows :
												  Max(2 * page->max_rows, MOST_LATE),
												  MOST_EXAMINED);
	StringInfoData cursor;
	StringInfoData payload;
	C360Event  *event;
	bool		found = false;
	int			length;
	int64		last_id;

	initStringInfo(&cursor);
	initStringInfo(&payload);
	appendStringInfoString(&cursor, c360_cursor_within(epoch, from, to));
	length = cursor.len;
	while (!is_full(page) && (event = c360_event_next(reader)) != NULL)
	{
		const char *channel = channel_for(&page->filter, event);

		found = true;
		if (channel == NULL)
			continue;
		cursor.len = length;
		c360_append_int64(&cursor, event->id);
		c360_event_payload(reader, event, cursor.data,
						   page->filter.level < C360_LEVEL_AGENT ? C360_TELL_NO_MONEY : C360_TELL_ALL,
						   &payload);
		page->emit(page, event, channel, cursor.data, payload.data);
		page->rows++;
	}
	page->looked_at += c360_events_looked_at(reader);
	page->unfinished = page->rows < page->max_rows && c360_events_unfinished(reader, &last_id);
	if (page->unfinished)
	{
		cursor.len = length;
		c360_append_int64(&cursor, last_id);
	}
	if (cursor.len > length)
		page->cursor = cursor.data;
	c360_events_end(reader);
	return found;
}

/* A newer one would do as well, and hold longer. */
static bool
is_old(const C360Cursor *cursor, const C360Moment *end)
{
	return cursor->from->tick != 0 && (cursor->to != NULL || cursor->from->tick != end->tick) &&
		TimestampDifferenceExceeds(cursor->from->at, GetCurrentTimestamp(), OLD * 1000);
}

/*
 * Reads what comes after the cursor: the rest of the batch that it stands in,
 * then up to the newest tick, then up to now. Answers the moment up to which
 * everything was read. A cursor may carry a snapshot that is newer than the
 * newest tick: then nothing lies between, and the tick is passed over.
 */
static const C360Moment *
read_batches(EventPage *page, C360Store *store, int64 epoch, const C360Cursor *cursor,
			 const C360Moment *tick, const C360Moment *now)
{
	const C360Moment *from = cursor->from;

	if (cursor->to != NULL)
	{
		(void) read_batch(page, store, epoch, from, cursor->to, cursor->after_id);
		from = cursor->to;
	}
	if (tick != NULL && !is_full(page) &&
		(read_batch(page, store, epoch, from, tick, 0) || from->tick != 0))
		from = tick;
	if (now != NULL && !is_full(page) && read_batch(page, store, epoch, from, now, 0))
	{
		from = now;
		flush_log();
	}
	return from;
}

/*
 * A reader for whom there is nothing keeps his cursor, but when the way was
 * long or the cursor old, he is told a new one.
 */
static void
read_page(EventPage *page, const C360Cursor *cursor)
{
	int64		epoch = c360_epoch_now().epoch;
	C360Moment *tick = c360_newest_tick();
	C360Moment	now;
	bool		up_to_now = !(page->ticks_will_do && is_trusted(tick));
	const C360Moment *end;
	C360Store  *store;

	if (up_to_now)
		c360_moment_now(&now);
	store = c360_store_open_to_read();	/* which sees all that "now" saw */
	end = read_batches(page, store, epoch, cursor, tick, up_to_now ? &now : NULL);
	c360_store_close(store);
	if (!is_full(page))
		page->cursor = c360_cursor_at(epoch, end);
	if (page->rows == 0 &&
		(page->unfinished || page->looked_at > LONG_WAY || is_old(cursor, end)))
		page->emit(page, NULL, NULL, page->cursor, NULL);
}

/* What was committed before is not told again. */
static char *
cursor_of_now(void)
{
	C360Moment *tick = c360_newest_tick();
	C360Moment	now;

	c360_moment_now(&now);
	if (tick != NULL && !c360_events_exist(tick, &now))
		return c360_cursor_at(c360_epoch_now().epoch, tick);
	flush_log();
	return c360_cursor_at(c360_epoch_now().epoch, &now);
}

/*
 * c360_events_since
 */

static void
emit_row(EventPage *page, const C360Event *event, const char *channel, const char *cursor,
		 const char *payload)
{
	ReturnSetInfo *result = page->sink;
	Datum		values[6] = {0};
	bool		nulls[6] = {false, true, true, true, true, true};

	values[0] = CStringGetTextDatum(cursor);
	if (event != NULL)
	{
		memset(nulls, false, sizeof(nulls));
		values[1] = Int64GetDatum(event->id);
		values[2] = CStringGetTextDatum(channel);
		values[3] = CStringGetTextDatum(event->event);
		values[4] = DirectFunctionCall1(jsonb_in, CStringGetDatum(payload));
		values[5] = TimestampTzGetDatum(event->at);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static int
max_rows_argument(FunctionCallInfo fcinfo, int n)
{
	int			max_rows = PG_ARGISNULL(n) ? 500 : PG_GETARG_INT32(n);

	if (max_rows < 1 || max_rows > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value is out of range"),
				 errdetail("out_of_range: max_rows is %d, allowed are 1 to %d", max_rows, MOST_ROWS)));
	return max_rows;
}

static void
since(EventPage *page, const char *after)
{
	const char *problem;
	C360Cursor *cursor;

	if (after == NULL)
	{
		page->emit(page, NULL, NULL, cursor_of_now(), NULL);
		return;
	}
	cursor = c360_cursor_read(after, &problem);
	if (problem == c360_malformed_cursor)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", problem),
				 errdetail("invalid_cursor: \"%.*s\"", pg_mbcliplen(after, strlen(after), 64), after),
				 errhint("Send a cursor as c360_events_since gave it, or NULL for the end of the stream.")));
	if (cursor == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_C360_GONE),
				 errmsg("cursor expired"),
				 errdetail("cursor_expired: %s", problem),
				 errhint("Fetch what is shown from the start, and read events from a new cursor.")));
	read_page(page, cursor);
}

Datum
c360_events_since(PG_FUNCTION_ARGS)
{
	Oid			role = GetUserId();
	char	   *after = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	EventPage		page = {.emit = emit_row};
	C360Caller	caller;

	read_channels(&page.filter, channels_argument(fcinfo, 1));
	page.max_rows = max_rows_argument(fcinfo, 2);
	c360_act_as_owner(&caller);
	page.filter.level = require_level(role);
	c360_materialize(fcinfo);
	page.sink = fcinfo->resultinfo;
	since(&page, after);
	c360_act_as_caller(&caller);
	return (Datum) 0;
}

/*
 * Stream passes
 */

static Datum
hash_of(const char *pass)
{
	return DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(pass));
}

static char *
random_pass(void)
{
	uint8		bytes[32];
	char	   *pass = palloc(2 * sizeof(bytes) + 1);

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random pass")));
	pass[hex_encode((char *) bytes, sizeof(bytes), pass)] = '\0';
	return pass;
}

static Oid	opening_role;

static Datum
open_stream(PG_FUNCTION_ARGS)
{
	static C360Query insert = {"INSERT INTO c360.event_streams "
		"(pass_hash, role, actor, level, channels, opened_at, valid_until, role_id, cluster) "
		"SELECT $1, $2, $3, $4, $5, now, now + $6 * interval '1 hour', $7, $8 FROM clock_timestamp() AS now",
	8, {BYTEAOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, INT8OID, OIDOID, INT8OID}};
	Oid			role = opening_role;
	Filter		filter = {0};
	C360Level	level = require_level(role);
	char	   *pass;
	Datum		values[8];

	read_channels(&filter, channels_argument(fcinfo, 0));
	pass = random_pass();
	values[0] = hash_of(pass);
	values[1] = CStringGetTextDatum(GetUserNameFromId(role, false));
	values[2] = CStringGetTextDatum(c360_actor());
	values[3] = CStringGetTextDatum(c360_level_name(level));
	values[4] = PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0);
	values[5] = Int64GetDatum(c360_settings()->stream_pass_hours);
	values[6] = ObjectIdGetDatum(role);
	values[7] = Int64GetDatum((int64) GetSystemIdentifier());
	SPI_connect();
	c360_query(&insert, values, PG_ARGISNULL(0) ? "    n   " : NULL);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(pass));
}

Datum
c360_open_stream(PG_FUNCTION_ARGS)
{
	opening_role = GetUserId();
	return c360_call(fcinfo, "c360_open_stream", open_stream);
}

/* Role and channels of a pass that holds; false if it is none. */
static bool
find_pass(const char *pass, Oid *role, Filter *filter)
{
	static C360Query query = {"SELECT role_id, channels FROM c360.event_streams "
		"WHERE pass_hash = $1 AND valid_until > clock_timestamp() AND cluster = $2",
	2, {BYTEAOID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[2] = {hash_of(pass), Int64GetDatum((int64) GetSystemIdentifier())};
	bool		found;

	SPI_connect();
	found = c360_query(&query, values, NULL) == 1;
	if (found)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		bool		isnull;
		Datum		channels;

		*role = DatumGetObjectId(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		channels = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull);
		MemoryContextSwitchTo(caller);
		read_channels(filter, isnull ? NULL : DatumGetArrayTypePCopy(channels));
	}
	SPI_finish();
	return found && SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(*role));
}

/*
 * c360_events
 */

static void
emit_frame(EventPage *page, const C360Event *event, const char *channel, const char *cursor,
		   const char *payload)
{
	if (event != NULL)
		appendStringInfo(page->sink, "event: %s\ndata: %s\n\n", event->event, payload);
}

/*
 * The id stands behind the last frame only, so that a connection that breaks
 * in the middle repeats the batch instead of losing half of it.
 */
static void
write_id(EventPage *page, const char *cursor)
{
	StringInfo	body = page->sink;

	if (page->rows > 0)
		body->len--;			/* the frame goes on */
	appendStringInfo(body, "id: %s\n\n", cursor);
}

/*
 * An EventSource stops for good when it gets an error: a cursor that holds no
 * longer, whatever is wrong with it, is answered with an event "reset".
 */
static void
stream_since(EventPage *page, const char *after)
{
	const char *problem = NULL;
	C360Cursor *cursor = after != NULL ? c360_cursor_read(after, &problem) : NULL;

	if (cursor == NULL)
		page->cursor = cursor_of_now();
	else
		read_page(page, cursor);
	if (problem != NULL)
		appendStringInfo(page->sink, "event: reset\ndata: {\"cursor\": \"%s\", \"reason\": \"%s\"}\n",
						 page->cursor, problem);
	if (after == NULL || strcmp(page->cursor, after) != 0)
		write_id(page, page->cursor);
}

static void
send_headers(void)
{
	if (c360_under_postgrest())
		(void) set_config_option("response.headers",
								 "[{\"Cache-Control\": \"no-store\"}, {\"X-Accel-Buffering\": \"no\"}]",
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

Datum
c360_events(PG_FUNCTION_ARGS)
{
	Oid			role = GetUserId();
	char	   *pass = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *after = c360_request_header("last-event-id");
	StringInfoData body;
	EventPage		page = {.emit = emit_frame,.max_rows = STREAM_ROWS,.sink = &body};
	C360Caller	caller;

	if (after == NULL && !PG_ARGISNULL(1))
		after = text_to_cstring(PG_GETARG_TEXT_PP(1));
	initStringInfo(&body);
	appendStringInfoString(&body, "retry: 1000\n\n");
	c360_act_as_owner(&caller);
	if (pass == NULL)
		read_channels(&page.filter, NULL);
	else if (!find_pass(pass, &role, &page.filter))
		role = InvalidOid;
	page.filter.level = OidIsValid(role) ? c360_level_of(role) : C360_LEVEL_NONE;
	if (page.filter.level == C360_LEVEL_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_C360_UNAUTHORIZED),
				 errmsg("no valid stream pass"),
				 errdetail("invalid_pass: the pass is wrong, expired or was taken back"),
				 errhint("Open a stream by c360_open_stream() and read with its pass.")));
	stream_since(&page, after);
	c360_act_as_caller(&caller);
	send_headers();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(body.data, body.len));
}
