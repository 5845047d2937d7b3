/*
 * lot.c
 *	  Lots of virtual credit: issue, use, restore, expire.
 *
 * A lot is usable strictly before expires_at. Lots are used soonest expiry
 * first and then lowest id, which is the order of an index over the ACTIVE
 * ones; overdue lots stand at its beginning. Everything here runs under the
 * lock of the wallet.
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "call.h"
#include "commit.h"
#include "compat.h"
#include "lot.h"
#include "settings.h"

/* Wallets that one store expires before it is closed and its memory freed. */
#define EXPIRY_CHUNK 100

PG_FUNCTION_INFO_V1(c360_expire_credits);

/* A new ACTIVE lot; answers its id. */
int64
c360_lot_insert(C360Wallet *wallet, const char *kind, const char *source_id,
				int64 amount, TimestampTz expires_at)
{
	C360Row    *row = c360_row_new(wallet->store, C360_LOTS);
	int64		id = c360_next_id(wallet->store, C360_LOTS);

	c360_put_int64(row, LOT_id, id);
	c360_put_int64(row, LOT_customer_id, wallet->customer_id);
	c360_put_text(row, LOT_kind, kind);
	c360_put_text(row, LOT_source_id, source_id);
	c360_put_int64(row, LOT_original_amount, amount);
	c360_put_int64(row, LOT_remaining_amount, amount);
	c360_put_text(row, LOT_status, "ACTIVE");
	c360_put_time(row, LOT_expires_at, expires_at);
	c360_at_commit_expiry(expires_at);
	c360_put_time(row, LOT_created_at, wallet->now);
	c360_insert(wallet->store, row);
	return id;
}

static void
change_lot(C360Wallet *wallet, C360Row *lot, int64 remaining, const char *status)
{
	C360Row    *row = c360_row_changed(wallet->store, lot);

	c360_put_int64(row, LOT_remaining_amount, remaining);
	if (status != NULL)
		c360_put_text(row, LOT_status, status);
	c360_update(wallet->store, lot, row);
}

/*
 * Ends an ACTIVE lot as EXPIRED or CANCELLED; the movement is the ledger row
 * that takes back what remains.
 */
void
c360_lot_end(C360Wallet *wallet, C360Row *lot, const char *status, C360Movement *movement)
{
	int64		remaining = c360_get_int64(lot, LOT_remaining_amount);

	c360_add_part(movement, c360_get_int64(lot, LOT_id), remaining,
				  c360_get_time(lot, LOT_expires_at));
	movement->virtual_change = -remaining;
	change_lot(wallet, lot, 0, status);
	c360_post(wallet, movement);
}

static void
expire_lot(C360Lots *lots)
{
	C360Movement movement = {.operation = "expire",.type = "VIRTUAL_EXPIRE"};

	movement.has_occurred_at = true;
	movement.occurred_at = c360_get_time(lots->next, LOT_expires_at);
	c360_lot_end(lots->wallet, lots->next, "EXPIRED", &movement);
	lots->expired_count++;
	lots->expired_amount += movement.amount;
}

/*
 * Begins with the wallet's lots: overdue ones, max_lots of them at most, are
 * expired, and lots->next is the first usable one. A wallet without virtual
 * balance has no ACTIVE lots.
 */
void
c360_lots_begin(C360Lots *lots, C360Wallet *wallet, int64 max_lots)
{
	memset(lots, 0, sizeof(*lots));
	lots->wallet = wallet;
	wallet->no_overdue = true;
	if (wallet->virtual_balance == 0)
		return;
	lots->scan = c360_scan_begin(wallet->store, C360_LOTS_IN_ORDER_OF_USE,
								 Int64GetDatum(wallet->customer_id));
	while (lots->expired_count < max_lots && (lots->next = c360_scan_next(lots->scan)) != NULL &&
		   c360_get_time(lots->next, LOT_expires_at) <= wallet->now)
		expire_lot(lots);
}

/* What follows sees the expired lots as they are now. */
void
c360_lots_end(C360Lots *lots)
{
	if (lots->next != NULL)
		c360_row_done(lots->next);
	if (lots->scan != NULL)
		c360_scan_end(lots->scan);
	if (lots->expired_count > 0)
		c360_store_refresh(lots->wallet->store);
}

/* For operations that do not use lots, but touch them. */
void
c360_lots_expire(C360Wallet *wallet)
{
	C360Lots	lots;

	c360_lots_begin(&lots, wallet, PG_INT64_MAX);
	c360_lots_end(&lots);
}

/*
 * Takes up to amount from the lots, soonest expiry first, and notes each part
 * in the movement; answers what is still missing.
 */
int64
c360_lots_use(C360Lots *lots, C360Movement *movement, int64 amount)
{
	for (; amount > 0 && lots->next != NULL; lots->next = c360_scan_next(lots->scan))
	{
		C360Row    *lot = lots->next;
		int64		remaining = c360_get_int64(lot, LOT_remaining_amount);
		int64		used = Min(amount, remaining);

		c360_add_part(movement, c360_get_int64(lot, LOT_id), used,
					  c360_get_time(lot, LOT_expires_at));
		change_lot(lots->wallet, lot, remaining - used, used == remaining ? "USED" : NULL);
		movement->virtual_change -= used;
		amount -= used;
	}
	return amount;
}

/*
 * Gives part->amount back to its lot, which lives until the later of its own
 * date and the grace days from now; the part gets that date. False for a lot
 * that was cancelled meanwhile: it stays as it is, and the caller cancels
 * what it got.
 */
bool
c360_lot_restore(C360Wallet *wallet, C360LotPart *part)
{
	C360Row    *lot = c360_find(wallet->store, C360_LOT_BY_ID, Int64GetDatum(part->credit_id));
	TimestampTz grace = wallet->now + c360_settings()->refund_grace_days * USECS_PER_DAY;
	C360Row    *row;

	if (lot == NULL)
		elog(ERROR, "credit %lld is missing", (long long) part->credit_id);
	part->expires_at = c360_get_time(lot, LOT_expires_at);
	if (strcmp(c360_get_text(lot, LOT_status), "CANCELLED") == 0)
		return false;
	part->expires_at = Max(part->expires_at, grace);
	if (part->expires_at <= wallet->now)
		wallet->restored_overdue += part->amount;	/* no days of grace */
	row = c360_row_changed(wallet->store, lot);
	c360_put_int64(row, LOT_remaining_amount,
				   c360_get_int64(lot, LOT_remaining_amount) + part->amount);
	c360_put_text(row, LOT_status, "ACTIVE");
	c360_put_time(row, LOT_expires_at, part->expires_at);
	c360_at_commit_expiry(part->expires_at);
	c360_update(wallet->store, lot, row);
	c360_row_done(lot);
	return true;
}

/*
 * c360_expire_credits(max_lots) expires overdue lots of all wallets. Wallets
 * that somebody holds are passed over: their holder or the next run expires
 * them. Memory is bounded by the chunk.
 */

typedef struct Expiry
{
	int64		count;
	int64		amount;
	int64		max_lots;
} Expiry;

static int
compare_ids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* The customers of the next overdue lots, in order of their ids. */
static int
next_customers(C360Scan *scan, int64 *customers)
{
	TimestampTz now = GetCurrentTimestamp();
	int			found = 0;
	int			distinct = 0;
	C360Row    *lot;

	while (found < EXPIRY_CHUNK && (lot = c360_scan_next(scan)) != NULL &&
		   c360_get_time(lot, LOT_expires_at) <= now)
		customers[found++] = c360_get_int64(lot, LOT_customer_id);
	qsort(customers, found, sizeof(int64), compare_ids);
	for (int i = 0; i < found; i++)
		if (i == 0 || customers[i] != customers[distinct - 1])
			customers[distinct++] = customers[i];
	return distinct;
}

static void
expire_wallet(C360Store *store, int64 customer_id, Expiry *expiry)
{
	C360Wallet *wallet = c360_wallet_lock(store, customer_id, true);
	C360Lots	lots;

	if (wallet == NULL)
		return;
	c360_lots_begin(&lots, wallet, expiry->max_lots - expiry->count);
	c360_lots_end(&lots);
	expiry->count += lots.expired_count;
	expiry->amount += lots.expired_amount;
	if (lots.expired_count > 0)
		c360_wallet_save(wallet);
	else
		c360_row_done(wallet->row);
}

/* Some wallets, and what expiring them adds to. */
typedef struct Chunk
{
	const int64 *customers;
	int			ncustomers;
	Expiry	   *expiry;
} Chunk;

static void
expire_chunk(void *arg)
{
	Chunk	   *chunk = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "c360 expiry",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	C360Store  *store = c360_store_open();

	(void) c360_store_expect_many(store, true);
	for (int i = 0; i < chunk->ncustomers && chunk->expiry->count < chunk->expiry->max_lots; i++)
		expire_wallet(store, chunk->customers[i], chunk->expiry);
	c360_store_close(store);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* A wallet that cannot be expired must not keep the others from it. */
static void
expire_one_by_one(const int64 *customers, int ncustomers, Expiry *expiry)
{
	for (int i = 0; i < ncustomers; i++)
	{
		Expiry		before = *expiry;
		Chunk		chunk = {&customers[i], 1, expiry};
		ErrorData  *error = c360_try(expire_chunk, &chunk);

		if (error == NULL)
			continue;
		*expiry = before;
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not expire the credits of customer %lld", (long long) customers[i]),
				 errdetail("%s", error->message)));
		FreeErrorData(error);
	}
}

static void
expire_wallets(const int64 *customers, int ncustomers, Expiry *expiry)
{
	Expiry		before = *expiry;
	Chunk		chunk = {customers, ncustomers, expiry};
	ErrorData  *error = c360_try(expire_chunk, &chunk);

	if (error == NULL)
		return;
	FreeErrorData(error);
	*expiry = before;
	expire_one_by_one(customers, ncustomers, expiry);
}

static Datum
expire_credits(PG_FUNCTION_ARGS)
{
	Expiry		expiry = {.max_lots = PG_INT64_MAX};
	int64		customers[EXPIRY_CHUNK];
	int			ncustomers;
	C360Store  *store;
	C360Scan   *scan;
	Datum		values[2];
	bool		nulls[2] = {false};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (!PG_ARGISNULL(0))
		expiry.max_lots = PG_GETARG_INT32(0);
	if (expiry.max_lots <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("count must be positive"),
				 errdetail("invalid_count: max_lots is %lld", (long long) expiry.max_lots)));
	c360_materialize(fcinfo);
	store = c360_store_open();
	scan = c360_scan_begin_all(store, C360_LOTS_BY_EXPIRY);
	while (expiry.count < expiry.max_lots && (ncustomers = next_customers(scan, customers)) > 0)
		expire_wallets(customers, ncustomers, &expiry);
	c360_scan_end(scan);
	c360_store_close(store);
	values[0] = Int64GetDatum(expiry.count);
	values[1] = Int64GetDatum(expiry.amount);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

Datum
c360_expire_credits(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_expire_credits", expire_credits);
}
