/*
 * event.c
 *	  Reading events between two moments, and what is told of each.
 *
 * Events are rows of customer_activities that the later moment sees and the
 * earlier one does not. They come in order of id, which within a wallet or a
 * ticket is the order of its changes, since the row is written under that
 * lock; and in two parts, so that a page costs what it holds:
 *
 * - late ones: rows with ids up to the earlier moment's low_id, written before
 *   that moment by transactions that it still saw running. They are found by
 *   those transactions, of which there are few;
 * - the rest have higher ids: a walk along the primary key.
 *
 * If nobody knows the low_id of the earlier moment all are late ones, and
 * later transactions are looked up as a range.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "event.h"

#define LONGEST_CURSOR	1000	/* that a payload has room for */
#define NEAR			32		/* rows that are rather walked over */

/*
 * Rows of events, and those that are told with them. They are asked for in
 * nearly the order of their index, so the next one is mostly near: a scan
 * walks along, and only what it has passed already is looked up by itself.
 */
typedef struct Companions
{
	C360Index	index;
	int			column;			/* its key */
	C360Scan   *walk;			/* these are opened when first needed */
	C360Scan   *single;
	C360Row    *row;			/* where the walk stands; NULL = at its end */
	int64		at;				/* the key there */
	int64		asked;			/* of the walk, the last time */
	bool		walking;		/* or it was a single one */
} Companions;

struct C360EventReader
{
	C360Store  *store;
	const C360Moment *from;		/* these two are NULL for one transaction */
	const C360Moment *to;
	int64	   *late;			/* ids, in order */
	int			nlate;
	int			next_late;
	bool		late_cut;		/* there may be more late ones */
	C360Scan   *walk;			/* NULL until the late ones are read */
	int64		walk_after;
	int			most;			/* rows to look at */
	int			looked_at;
	int64		last_id;		/* of those */
	Companions	late_rows;
	Companions	ledger;
	Companions	uses;
	MemoryContext row_context;	/* of one event */
	C360Event	event;
};

const char *const c360_channels[C360_NCHANNELS] = {
	[C360_WALLETS_CHANNEL] = "wallets",
	[C360_TICKETS_CHANNEL] = "tickets",
	[C360_CUSTOMERS_CHANNEL] = "customers",
	[C360_BANK_CHANNEL] = "bank",
};

C360Channel
c360_channel_named(const char *name)
{
	int			channel = 0;

	while (channel < C360_NCHANNELS && strcmp(name, c360_channels[channel]) != 0)
		channel++;
	return channel;
}

/*
 * Companions
 */

static void
init_companions(Companions *companions, C360Index index, int column)
{
	companions->index = index;
	companions->column = column;
}

static void
end_scan(C360Scan *scan)
{
	if (scan != NULL)
		c360_scan_end(scan);
}

static void
end_companions(Companions *companions)
{
	end_scan(companions->walk);
	end_scan(companions->single);
}

static void
step(Companions *companions)
{
	companions->row = c360_scan_next(companions->walk);
	if (companions->row != NULL)
		companions->at = c360_get_int64(companions->row, companions->column);
}

/* Brings the walk to the first row from this key on. */
static void
walk_to(C360EventReader *reader, Companions *companions, int64 key)
{
	int			steps = 0;

	while (companions->row != NULL && companions->at < key && steps++ < NEAR)
		step(companions);
	if (companions->row != NULL && companions->at >= key)
		return;
	if (companions->walk == NULL)
		companions->walk = c360_scan_begin_after(reader->store, companions->index, (Datum) 0,
												 key - 1);
	else
		c360_scan_again_after(companions->walk, key - 1);
	step(companions);
}

static C360Row *
first_companion(C360EventReader *reader, Companions *companions, int64 key)
{
	companions->walking = companions->walk == NULL || key > companions->asked;
	if (companions->walking)
	{
		walk_to(reader, companions, key);
		companions->asked = key;
		return companions->row != NULL && companions->at == key ? companions->row : NULL;
	}
	if (companions->single == NULL)
		companions->single = c360_scan_begin(reader->store, companions->index, Int64GetDatum(key));
	else
		c360_scan_again(companions->single, Int64GetDatum(key));
	return c360_scan_next(companions->single);
}

/* The next one with the same key. */
static C360Row *
next_companion(Companions *companions)
{
	if (!companions->walking)
		return c360_scan_next(companions->single);
	step(companions);
	return companions->row != NULL && companions->at == companions->asked ? companions->row : NULL;
}

/*
 * Reading
 */

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

static bool
is_between(const C360EventReader *reader, uint64 xact)
{
	return c360_moment_sees(reader->to, xact) && !c360_moment_sees(reader->from, xact);
}

typedef struct Ids
{
	int64	   *ids;
	int			count;
	int			size;
} Ids;

static void
add_id(Ids *ids, int64 id)
{
	if (ids->count == ids->size)
	{
		ids->size = Max(ids->size * 2, 64);
		ids->ids = ids->ids == NULL ? palloc(sizeof(int64) * ids->size) :
			repalloc_huge(ids->ids, sizeof(int64) * ids->size);
	}
	ids->ids[ids->count++] = id;
}

/* The first so many ids of a transaction that was running at "from". */
static void
add_late_of(C360EventReader *reader, uint64 xact, int64 after_id, int most, Ids *ids)
{
	C360Scan   *scan;
	C360Row    *row;
	int			count = 0;

	if (!c360_moment_sees(reader->to, xact))
		return;
	scan = c360_scan_begin_after(reader->store, C360_ACTIVITY_BY_XACT,
								 FullTransactionIdGetDatum(FullTransactionIdFromU64(xact)),
								 after_id);
	while (count++ < most && (row = c360_scan_next(scan)) != NULL)
	{
		int64		id = c360_get_int64(row, ACTIVITY_id);

		if (id > reader->from->low_id)
			break;
		add_id(ids, id);
	}
	c360_scan_end(scan);
}

/* Leaves the first so many. */
static void
keep_first(Ids *ids, int most)
{
	qsort(ids->ids, ids->count, sizeof(int64), compare_ids);
	ids->count = Min(ids->count, most);
}

/* Those of transactions that began after "from": the first so many of them. */
static void
add_range(C360EventReader *reader, int64 after_id, int most, Ids *ids)
{
	C360Scan   *scan = c360_scan_begin_from(reader->store, C360_ACTIVITY_BY_XACT,
											FullTransactionIdGetDatum(FullTransactionIdFromU64(reader->from->xmax)));
	C360Row    *row;

	while ((row = c360_scan_next(scan)) != NULL)
	{
		uint64		xact = (uint64) c360_get_int64(row, ACTIVITY_xact);

		if (xact >= reader->to->xmax)
			break;
		if (c360_moment_sees(reader->to, xact) && c360_get_int64(row, ACTIVITY_id) > after_id)
			add_id(ids, c360_get_int64(row, ACTIVITY_id));
		if (ids->count / 2 >= most + 500)
			keep_first(ids, most);
	}
	c360_scan_end(scan);
}

static void
find_late(C360EventReader *reader, int64 after_id, int most)
{
	Ids			ids = {0};

	for (int i = 0; i < reader->from->nrunning && after_id < reader->from->low_id; i++)
		add_late_of(reader, reader->from->running[i], after_id, most, &ids);
	if (reader->from->low_id == C360_LOW_UNKNOWN)
		add_range(reader, after_id, most, &ids);
	if (ids.count > 0)
		keep_first(&ids, most);
	reader->late = ids.ids;
	reader->nlate = ids.count;
	reader->late_cut = ids.count >= most;
}

static C360EventReader *
new_reader(C360Store *store)
{
	C360EventReader *reader = palloc0(sizeof(*reader));

	reader->store = store;
	init_companions(&reader->late_rows, C360_ACTIVITY_BY_ID, ACTIVITY_id);
	init_companions(&reader->ledger, C360_LEDGER_BY_ID, LEDGER_id);
	init_companions(&reader->uses, C360_USES_BY_TRANSACTION, USE_transaction_id);
	reader->row_context = AllocSetContextCreate(CurrentMemoryContext, "c360 event",
												ALLOCSET_DEFAULT_SIZES);
	return reader;
}

/*
 * Looks at so many rows at most, and at so many late ones: whether there may
 * be more is to be asked at the end.
 */
C360EventReader *
c360_events_between(C360Store *store, const C360Moment *from, const C360Moment *to, int64 after_id,
					int most_late, int most)
{
	C360EventReader *reader = new_reader(store);

	reader->from = from;
	reader->to = to;
	reader->walk_after = Max(after_id, from->low_id);
	reader->most = most;
	reader->last_id = after_id;
	find_late(reader, after_id, most_late);
	return reader;
}

C360EventReader *
c360_events_of(C360Store *store, uint64 xact)
{
	C360EventReader *reader = new_reader(store);

	reader->walk = c360_scan_begin_after(store, C360_ACTIVITY_BY_XACT,
										 FullTransactionIdGetDatum(FullTransactionIdFromU64(xact)),
										 0);
	reader->most = PG_INT32_MAX;
	return reader;
}

static C360Row *
next_late_row(C360EventReader *reader)
{
	C360Row    *row = NULL;

	while (row == NULL && reader->next_late < reader->nlate)
	{
		Assert(reader->late != NULL);
		reader->looked_at++;
		reader->last_id = reader->late[reader->next_late++];
		row = first_companion(reader, &reader->late_rows, reader->last_id);
	}
	return row;
}

static C360Row *
next_row(C360EventReader *reader)
{
	C360Row    *row = reader->to != NULL ? next_late_row(reader) : NULL;

	if (row != NULL || reader->late_cut)
		return row;
	if (reader->walk == NULL)
	{
		Assert(reader->to != NULL);
		if (reader->walk_after >= reader->to->high_id)
			return NULL;
		reader->walk = c360_scan_begin_after(reader->store, C360_ACTIVITY_BY_ID, (Datum) 0,
											 reader->walk_after);
	}
	while (reader->looked_at < reader->most && (row = c360_scan_next(reader->walk)) != NULL)
	{
		if (reader->to == NULL)
			return row;
		if (c360_get_int64(row, ACTIVITY_id) > reader->to->high_id)
			return NULL;
		reader->looked_at++;
		reader->last_id = c360_get_int64(row, ACTIVITY_id);
		if (is_between(reader, (uint64) c360_get_int64(row, ACTIVITY_xact)))
			return row;
	}
	return NULL;
}

static char *
text_of(Jsonb *object, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, key, strlen(key), &buffer);

	return value != NULL && value->type == jbvString ?
		pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

C360Event *
c360_event_next(C360EventReader *reader)
{
	C360Row    *row = next_row(reader);
	C360Event  *event = &reader->event;
	MemoryContext old;

	if (row == NULL)
		return NULL;
	MemoryContextReset(reader->row_context);
	old = MemoryContextSwitchTo(reader->row_context);
	event->id = c360_get_int64(row, ACTIVITY_id);
	event->xact = (uint64) c360_get_int64(row, ACTIVITY_xact);
	event->channel = c360_get_text(row, ACTIVITY_topic);
	event->event = c360_get_text(row, ACTIVITY_event);
	event->customer_id = c360_get_int64(row, ACTIVITY_customer_id);
	event->reference_type = c360_get_text(row, ACTIVITY_reference_type);
	event->reference_id = c360_get_text(row, ACTIVITY_reference_id);
	event->payload = c360_get_jsonb(row, ACTIVITY_payload);
	event->phone = JB_ROOT_IS_OBJECT(event->payload) ? text_of(event->payload, "phone") : NULL;
	event->at = c360_get_time(row, ACTIVITY_created_at);
	c360_row_done(row);
	MemoryContextSwitchTo(old);
	return event;
}

int
c360_events_looked_at(const C360EventReader *reader)
{
	return reader->looked_at;
}

/* Whether it stopped for having looked at so many rows, and behind which. */
bool
c360_events_unfinished(const C360EventReader *reader, int64 *last_id)
{
	*last_id = reader->last_id;
	return reader->looked_at >= reader->most || reader->late_cut;
}

void
c360_events_end(C360EventReader *reader)
{
	end_scan(reader->walk);
	end_companions(&reader->late_rows);
	end_companions(&reader->ledger);
	end_companions(&reader->uses);
	MemoryContextDelete(reader->row_context);
}

bool
c360_events_exist(const C360Moment *from, const C360Moment *to)
{
	C360Store  *store = c360_store_open_to_read();
	C360EventReader *reader = c360_events_between(store, from, to, 0, 1, PG_INT32_MAX);
	bool		exist = c360_event_next(reader) != NULL;

	c360_events_end(reader);
	c360_store_close(store);
	return exist;
}

/*
 * Payloads
 */

void
c360_append_int64(StringInfo out, int64 value)
{
	enlargeStringInfo(out, MAXINT8LEN + 1);
	out->len += pg_lltoa(value, out->data + out->len);
}

/* How much is told: the first that is short enough. */
typedef enum Detail
{
	EVERYTHING,
	WITHOUT_LOTS,
	WITHOUT_TEXTS
} Detail;

/*
 * Compact, without printf, and inline so that lengths of keys are constants:
 * this runs for every event of a busy shop.
 */
static inline void
append_key(StringInfo out, const char *key)
{
	size_t		length = strlen(key);
	char	   *end;

	enlargeStringInfo(out, length + 4);
	end = out->data + out->len;
	if (end[-1] != '{')
		*end++ = ',';
	*end++ = '"';
	memcpy(end, key, length);
	end += length;
	*end++ = '"';
	*end++ = ':';
	*end = '\0';
	out->len = end - out->data;
}

static inline void
append_number(StringInfo out, const char *key, int64 value)
{
	append_key(out, key);
	c360_append_int64(out, value);
}

/* Most texts need no escapes. */
static void
append_json(StringInfo out, const char *text)
{
	size_t		length = 0;
	char	   *end;

	while ((unsigned char) text[length] >= ' ' && text[length] != '"' && text[length] != '\\')
		length++;
	if (text[length] != '\0')
	{
		escape_json(out, text);
		return;
	}
	enlargeStringInfo(out, length + 3);
	end = out->data + out->len;
	*end++ = '"';
	memcpy(end, text, length);
	end += length;
	*end++ = '"';
	*end = '\0';
	out->len = end - out->data;
}

static inline void
append_text(StringInfo out, const char *key, const char *value)
{
	if (value == NULL)
		return;
	append_key(out, key);
	append_json(out, value);
}

/* In UTC, whatever the session's time zone is. */
static inline void
append_time(StringInfo out, const char *key, TimestampTz value)
{
	char		buffer[MAXDATELEN + 1];
	int			utc = 0;

	append_key(out, key);
	JsonEncodeDateTime(buffer, TimestampTzGetDatum(value), TIMESTAMPTZOID, &utc);
	appendStringInfoChar(out, '"');
	appendStringInfoString(out, buffer);
	appendStringInfoChar(out, '"');
}

static void
append_lot(StringInfo out, int64 credit_id, int64 amount, TimestampTz expires_at)
{
	if (out->data[out->len - 1] != '[')
		appendStringInfoChar(out, ',');
	appendStringInfoChar(out, '{');
	append_number(out, "credit_id", credit_id);
	append_number(out, "amount", amount);
	append_time(out, "expires_at", expires_at);
	appendStringInfoChar(out, '}');
}

static void
append_lots(C360EventReader *reader, C360Row *ledger, StringInfo out)
{
	C360Row    *use;

	append_key(out, "lots");
	appendStringInfoChar(out, '[');
	if (!c360_is_null(ledger, LEDGER_credit_id))
		append_lot(out, c360_get_int64(ledger, LEDGER_credit_id),
				   c360_get_int64(ledger, LEDGER_amount),
				   c360_get_time(ledger, LEDGER_credit_expires_at));
	else if (c360_get_int64(ledger, LEDGER_virtual_change) != 0)
	{
		for (use = first_companion(reader, &reader->uses, c360_get_int64(ledger, LEDGER_id));
			 use != NULL && out->len < C360_PAYLOAD_LIMIT; use = next_companion(&reader->uses))
			append_lot(out, c360_get_int64(use, USE_credit_id),
					   c360_get_int64(use, USE_amount), c360_get_time(use, USE_expires_at));
	}
	appendStringInfoChar(out, ']');
}

/* Balances after a movement, and the movement. */
static void
append_movement(C360EventReader *reader, int64 transaction_id, Detail detail, StringInfo out)
{
	C360Row    *ledger = first_companion(reader, &reader->ledger, transaction_id);

	if (ledger == NULL)
		return;
	append_number(out, "balance", c360_get_int64(ledger, LEDGER_balance_after));
	append_number(out, "virtual_balance", c360_get_int64(ledger, LEDGER_virtual_balance_after));
	append_key(out, "transaction");
	appendStringInfoChar(out, '{');
	append_number(out, "id", transaction_id);
	append_text(out, "type", c360_get_text(ledger, LEDGER_type));
	append_number(out, "amount", c360_get_int64(ledger, LEDGER_amount));
	append_number(out, "real_change", c360_get_int64(ledger, LEDGER_real_change));
	append_number(out, "virtual_change", c360_get_int64(ledger, LEDGER_virtual_change));
	append_text(out, "source", c360_get_text(ledger, LEDGER_source));
	if (detail == EVERYTHING)
		append_lots(reader, ledger, out);
	appendStringInfoChar(out, '}');
}

static bool
is_key(const JsonbValue *key, const char *name)
{
	return key->val.string.len == strlen(name) &&
		memcmp(key->val.string.val, name, key->val.string.len) == 0;
}

static bool
is_told_already(const JsonbValue *key)
{
	static const char *const keys[] = {"event", "id", "cursor", "at", "customer_id", "phone",
	"balance", "virtual_balance", "transaction", "truncated"};

	for (size_t i = 0; i < lengthof(keys); i++)
		if (is_key(key, keys[i]))
			return true;
	return false;
}

static void
append_value(StringInfo out, JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(out, "null");
			break;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			break;
		case jbvString:
			escape_json(out, pnstrdup(value->val.string.val, value->val.string.len));
			break;
		case jbvNumeric:
			appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(numeric_out,
																			NumericGetDatum(value->val.numeric))));
			break;
		case jbvBinary:
			(void) JsonbToCString(out, value->val.binary.data, value->val.binary.len);
			break;
		default:
			elog(ERROR, "unexpected jsonb value of type %d", (int) value->type);
	}
}

/*
 * What else the activity row holds. Of money that is the amount of an order;
 * figures of wallets stand in the ledger, and who may not see money gets no
 * event of wallets and bank at all.
 */
static void
append_rest(StringInfo out, Jsonb *payload, bool with_money)
{
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(payload))
		return;
	iterator = JsonbIteratorInit(&payload->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (is_told_already(&key) || (!with_money && is_key(&key, "amount")))
			continue;
		appendStringInfoChar(out, ',');
		escape_json(out, pnstrdup(key.val.string.val, key.val.string.len));
		appendStringInfoChar(out, ':');
		append_value(out, &value);
	}
}

static void
write_payload(C360EventReader *reader, const C360Event *event, const char *cursor,
			  C360Telling telling, Detail detail, StringInfo out)
{
	resetStringInfo(out);
	appendStringInfoChar(out, '{');
	append_text(out, "event", event->event);
	append_number(out, "id", event->id);
	if (cursor != NULL && strlen(cursor) < LONGEST_CURSOR)
		append_text(out, "cursor", cursor);
	if (event->customer_id != 0)
		append_number(out, "customer_id", event->customer_id);
	if (telling != C360_TELL_IDS)
	{
		append_time(out, "at", event->at);
		append_text(out, "phone", event->phone);
		if (event->reference_type != NULL && event->reference_id != NULL &&
			strcmp(event->channel, "wallets") == 0 &&
			strcmp(event->reference_type, "wallet_transaction") == 0)
			append_movement(reader, strtoll(event->reference_id, NULL, 10), detail, out);
		if (detail != WITHOUT_TEXTS)
			append_rest(out, event->payload, telling == C360_TELL_ALL);
		if (detail != EVERYTHING)
			appendStringInfoString(out, ",\"truncated\":true");
	}
	appendStringInfoChar(out, '}');
}

/* Replaces what is in payload; always valid JSON and short enough for NOTIFY. */
void
c360_event_payload(C360EventReader *reader, const C360Event *event, const char *cursor,
				   C360Telling telling, StringInfo payload)
{
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);

	for (Detail detail = EVERYTHING; detail <= WITHOUT_TEXTS; detail++)
	{
		write_payload(reader, event, cursor, telling, detail, payload);
		if (payload->len < C360_PAYLOAD_LIMIT)
			break;
	}
	MemoryContextSwitchTo(old);
}
