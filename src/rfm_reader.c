/*
 * rfm_reader.c
 *	  Reads customers with their orders and their scores, in order of id.
 *
 * Three indexes are walked side by side, each in the order of customers: that
 * of customers, that of scores, and that of orders, whose entries hold all
 * that is asked of an order, so that its row is not visited as long as VACUUM
 * keeps up. Orders are grouped while they are read; nothing is kept but the
 * customer under way, whatever their number. One customer is a range of one.
 *
 * If much of the table of orders is to be visited all the same (after an
 * import, before the first VACUUM), a walk through all would jump to and fro
 * in it. Then the server sorts the orders instead, within work_mem.
 */
#include "postgres.h"

#include "common/int.h"
#include "executor/spi.h"

#include "query.h"
#include "rfm_reader.h"

#define FETCH			1000	/* sorted orders at a time */

typedef struct Order
{
	int64		customer_id;	/* PG_INT64_MAX = there is none left */
	TimestampTz at;
	int64		amount;
	bool		cancelled;
	bool		returned;
} Order;

struct C360RfmReader
{
	C360Store  *store;
	TimestampTz window_start;
	C360Scan   *customers;
	C360Scan   *scores;
	C360Scan   *entries;
	C360Row    *score;			/* the next one; NULL = none is left */
	int64		score_of;
	Order		order;			/* the next one */
	Portal		sorted;			/* instead of entries, so many at a time */
	SPITupleTable *fetched;
	uint64		next;
};

void
c360_rfm_reader_close(C360RfmReader *reader)
{
	if (reader->sorted != NULL)
		SPI_cursor_close(reader->sorted);
	if (reader->entries != NULL)
		c360_scan_end(reader->entries);
	c360_scan_end(reader->scores);
	c360_scan_end(reader->customers);
	pfree(reader);
}

/*
 * Orders
 */

enum { VALUE_customer_id, VALUE_ordered_at, VALUE_amount, VALUE_status, NVALUES };

static bool
next_sorted(C360RfmReader *reader, Datum *values)
{
	HeapTuple	tuple;
	bool		isnull;

	if (reader->fetched == NULL || reader->next == reader->fetched->numvals)
	{
		SPI_freetuptable(reader->fetched);
		SPI_cursor_fetch(reader->sorted, true, FETCH);
		reader->fetched = SPI_tuptable;
		reader->next = 0;
		if (SPI_processed == 0)
			return false;
	}
	tuple = reader->fetched->vals[reader->next++];
	for (int i = 0; i < NVALUES; i++)
		values[i] = SPI_getbinval(tuple, reader->fetched->tupdesc, i + 1, &isnull);
	return true;
}

static void
next_order(C360RfmReader *reader)
{
	Order	   *order = &reader->order;
	Datum		values[NVALUES];

	if (!(reader->sorted != NULL ? next_sorted(reader, values) : c360_entries_next(reader->entries, values)))
	{
		order->customer_id = PG_INT64_MAX;
		return;
	}
	order->customer_id = DatumGetInt64(values[VALUE_customer_id]);
	order->at = DatumGetTimestampTz(values[VALUE_ordered_at]);
	order->amount = DatumGetInt64(values[VALUE_amount]);
	order->cancelled = c360_same_text(values[VALUE_status], "cancelled");
	order->returned = c360_same_text(values[VALUE_status], "returned");
}

/* Those that are cancelled count nowhere, returned ones neither for frequency nor for money. */
static void
count_order(const C360RfmReader *reader, C360RfmFacts *facts)
{
	const Order *order = &reader->order;

	if (order->cancelled)
		return;
	if (facts->orders++ == 0)
		facts->first_at = facts->last_at = order->at;
	facts->first_at = Min(facts->first_at, order->at);
	facts->last_at = Max(facts->last_at, order->at);
	if (order->returned)
		return;
	if (pg_add_s64_overflow(facts->monetary, order->amount, &facts->monetary))
		facts->monetary = PG_INT64_MAX;
	if (order->at < reader->window_start)
		return;
	facts->oldest_at = facts->frequency++ == 0 ? order->at : Min(facts->oldest_at, order->at);
}

/*
 * Customers
 */

static void
next_score(C360RfmReader *reader)
{
	reader->score = c360_scan_next(reader->scores);
	if (reader->score != NULL)
		reader->score_of = c360_get_int64(reader->score, SCORE_customer_id);
}

static void
begin(C360RfmReader *reader)
{
	next_score(reader);
	next_order(reader);
}

static C360RfmReader *
new_reader(C360Store *store, TimestampTz window_start)
{
	C360RfmReader *reader = palloc0(sizeof(C360RfmReader));

	reader->store = store;
	reader->window_start = window_start;
	return reader;
}

/* To read ranges of customers. */
C360RfmReader *
c360_rfm_reader_open(C360Store *store, TimestampTz window_start)
{
	C360RfmReader *reader = new_reader(store, window_start);

	reader->customers = c360_scan_begin_range(store, C360_CUSTOMER_BY_ID);
	reader->scores = c360_scan_begin_range(store, C360_SCORE_BY_CUSTOMER);
	reader->entries = c360_entries_begin_range(store, C360_ORDERS_FOR_SCORING);
	return reader;
}

/* Those above after and up to upto. */
void
c360_rfm_read_range(C360RfmReader *reader, int64 after, int64 upto)
{
	c360_scan_again_between(reader->customers, after, upto);
	c360_scan_again_between(reader->scores, after, upto);
	c360_scan_again_between(reader->entries, after, upto);
	begin(reader);
}

/* To read all customers; in c360_call() and connected to SPI. */
C360RfmReader *
c360_rfm_reader_open_all(C360Store *store, TimestampTz window_start)
{
	static C360Query sorted = {"SELECT customer_id, ordered_at, amount, status FROM c360.customer_orders "
	"ORDER BY customer_id", 0};
	static const char *const by_sort[] = {"enable_indexscan", "enable_indexonlyscan", NULL};
	C360RfmReader *reader = new_reader(store, window_start);

	reader->customers = c360_scan_begin_all(store, C360_CUSTOMER_BY_ID);
	reader->scores = c360_scan_begin_all(store, C360_SCORE_BY_CUSTOMER);
	if (c360_entries_are_cheap(store, C360_ORDERS_FOR_SCORING))
		reader->entries = c360_entries_begin_all(store, C360_ORDERS_FOR_SCORING);
	else
	{
		c360_plan_without(by_sort);
		reader->sorted = c360_query_open(&sorted, NULL);
	}
	begin(reader);
	return reader;
}

/* The next customer, whose rows are good until the one after him; false = none is left. */
bool
c360_rfm_read(C360RfmReader *reader, C360RfmCustomer *customer)
{
	C360RfmFacts *facts = &customer->facts;

	customer->row = c360_scan_next(reader->customers);
	if (customer->row == NULL)
		return false;
	customer->id = c360_get_int64(customer->row, CUSTOMER_id);
	while (reader->score != NULL && reader->score_of < customer->id)
		next_score(reader);
	customer->score = reader->score != NULL && reader->score_of == customer->id ? reader->score : NULL;
	memset(facts, 0, sizeof(*facts));
	facts->created_at = c360_get_time(customer->row, CUSTOMER_created_at);
	facts->tier = c360_tier_of(c360_get(customer->row, CUSTOMER_tier));
	facts->tier_locked = DatumGetBool(c360_get(customer->row, CUSTOMER_tier_locked));
	for (; reader->order.customer_id <= customer->id && reader->order.customer_id != PG_INT64_MAX; next_order(reader))
		if (reader->order.customer_id == customer->id)
			count_order(reader, facts);
	return true;
}
