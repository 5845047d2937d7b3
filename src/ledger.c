/*
 * ledger.c
 *	  A locked wallet, and movements posted to its ledger.
 *
 * Lock order: the wallet row first, always. Who holds it may touch that
 * wallet's lots and add to its ledger without further locks. Time is read
 * after the lock and never runs backwards within a wallet.
 *
 * A movement is one ledger row, its lot parts and one activity row; c360_post
 * writes them and keeps the new balances in memory, c360_wallet_save writes
 * the wallet once at the end of the call.
 *
 * A retry is recognised by its idempotency key, which a unique index keeps
 * unique over all operations for ever; the answer is built again from rows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "common/cryptohash.h"
#include "common/int.h"
#include "common/sha2.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "activity.h"
#include "actor.h"
#include "call.h"
#include "customer.h"
#include "json.h"
#include "ledger.h"
#include "query.h"

/* Uses of lots that are worth being written by page. */
#define MANY_LOTS 8

/* What a ledger type does to the wallet's totals, and its event. */
typedef struct TypeDef
{
	const char *type;
	const char *event;
	bool		one_lot;		/* credit_id in the ledger row, no uses */
} TypeDef;

static const TypeDef type_defs[] = {
	{"WITHDRAW", "wallet.withdraw", false},
	{"DEPOSIT", "wallet.deposit", false},
	{"VIRTUAL_CREDIT", "wallet.virtual_credit", true},
	{"VIRTUAL_EXPIRE", "wallet.virtual_expired", true},
	{"VIRTUAL_CANCEL", "wallet.virtual_cancelled", true},
	{"REFUND", "wallet.refund", false},
	{"ADJUSTMENT", "wallet.adjusted", false},
};

static const TypeDef *
type_def(const char *type)
{
	for (size_t i = 0; i < lengthof(type_defs); i++)
		if (strcmp(type_defs[i].type, type) == 0)
			return &type_defs[i];
	elog(ERROR, "unknown ledger type \"%s\"", type);
	return NULL;
}

static int64
add(int64 a, int64 b)
{
	int64		sum;

	if (pg_add_s64_overflow(a, b, &sum))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount out of range"),
				 errdetail("overflow: %lld and %lld", (long long) a, (long long) b)));
	return sum;
}

/*
 * Idempotency keys
 */

/* One argument of the digest: number, length and text, so that no two
 * different lists read alike. */
static void
append_argument(StringInfo arguments, FunctionCallInfo fcinfo, int n, char kind)
{
	char	   *value = NULL;

	switch (kind)
	{
		case 'p':
			value = c360_arg_phone(fcinfo, n, "phone");
			break;
		case 't':
			value = text_to_cstring(PG_GETARG_TEXT_PP(n));
			break;
		case 'i':
			value = psprintf("%lld", (long long) PG_GETARG_INT64(n));
			break;
		default:
			elog(ERROR, "unknown argument kind '%c'", kind);
	}
	appendStringInfo(arguments, "%d:%zu:%s", n, strlen(value), value);
}

static bytea *
digest(const StringInfoData *arguments)
{
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (uint8 *) arguments->data, arguments->len) < 0 ||
		pg_cryptohash_final(context, (uint8 *) VARDATA(result), PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	return result;
}

/*
 * Reads the key of a call. The signature has a letter for each argument:
 * p phone, t text, i bigint or timestamptz, k the key, - not part of what a
 * retry must repeat.
 */
C360Key
c360_key_read(FunctionCallInfo fcinfo, const char *operation, const char *signature)
{
	C360Key		key = {.operation = operation};
	int			place = strchr(signature, 'k') - signature;
	StringInfoData arguments;

	key.key = PG_ARGISNULL(place) ? c360_idempotency_header() :
		c360_arg_required_text(fcinfo, place, "idempotency_key", C360_REFERENCE_MAX);
	if (key.key == NULL)
		return key;
	c360_check_length(key.key, "idempotency_key", C360_REFERENCE_MAX);
	initStringInfo(&arguments);
	for (int n = 0; signature[n] != '\0'; n++)
		if (signature[n] != 'k' && signature[n] != '-' && !PG_ARGISNULL(n))
			append_argument(&arguments, fcinfo, n, signature[n]);
	key.digest = digest(&arguments);
	return key;
}

/*
 * The wallet
 */

static void
create_wallet(C360Store *store, int64 customer_id)
{
	static C360Query insert = {
		"INSERT INTO c360.customer_wallets (customer_id) VALUES ($1) ON CONFLICT DO NOTHING",
		1, {INT8OID}, NULL
	};
	Datum		values[1] = {Int64GetDatum(customer_id)};

	c360_store_write(store);
	SPI_connect();
	c360_query(&insert, values, NULL);
	SPI_finish();
	c360_store_refresh(store);
}

static C360Row *
customer_of_wallet(C360Store *store, int64 customer_id)
{
	C360Row    *row = c360_find(store, C360_CUSTOMER_BY_ID, Int64GetDatum(customer_id));

	if (row == NULL)
		elog(ERROR, "wallet %lld has no customer", (long long) customer_id);
	return row;
}

static C360Wallet *
load_wallet(C360Store *store, C360Row *row, C360Row *customer)
{
	C360Wallet *wallet = palloc0(sizeof(C360Wallet));

	wallet->store = store;
	wallet->row = row;
	wallet->customer_id = c360_get_int64(row, WALLET_customer_id);
	wallet->balance = c360_get_int64(row, WALLET_balance);
	wallet->virtual_balance = c360_get_int64(row, WALLET_virtual_balance);
	wallet->total_deposited = c360_get_int64(row, WALLET_total_deposited);
	wallet->total_withdrawn = c360_get_int64(row, WALLET_total_withdrawn);
	wallet->total_virtual_issued = c360_get_int64(row, WALLET_total_virtual_issued);
	wallet->total_virtual_used = c360_get_int64(row, WALLET_total_virtual_used);
	wallet->total_virtual_expired = c360_get_int64(row, WALLET_total_virtual_expired);
	wallet->frozen = !c360_is_null(row, WALLET_frozen_at);
	wallet->now = GetCurrentTimestamp();
	if (!c360_is_null(row, WALLET_last_at))
		wallet->now = Max(wallet->now, c360_get_time(row, WALLET_last_at));
	wallet->phone = c360_get_text(customer, CUSTOMER_phone);
	wallet->blacklisted = strcmp(c360_get_text(customer, CUSTOMER_tier), "blacklist") == 0;
	wallet->actor = c360_actor();
	wallet->session_user_name = c360_session_user_name();
	return wallet;
}

/*
 * Locks a customer's wallet, made if needed; NULL if busy and skip_locked.
 * The customer's row, if the caller has read it, is read again after the lock
 * if it was changed meanwhile.
 */
static C360Wallet *
lock_wallet(C360Store *store, int64 customer_id, C360Row *customer, bool skip_locked)
{
	for (int tries = 0;; tries++)
	{
		C360Row    *row = c360_find(store, C360_WALLET_BY_CUSTOMER, Int64GetDatum(customer_id));
		C360Wallet *wallet;

		if (row == NULL)
		{
			c360_check_tries(tries);
			create_wallet(store, customer_id);
			customer = NULL;
			continue;
		}
		switch (c360_lock(store, row, skip_locked))
		{
			case C360_LOCKED:
				if ((c360_store_refresh(store) && customer != NULL && !c360_row_stands(customer)) ||
					customer == NULL)
					customer = customer_of_wallet(store, customer_id);
				wallet = load_wallet(store, row, customer);
				c360_row_done(customer);
				return wallet;
			case C360_LOCK_BUSY:
				return NULL;
			case C360_LOCK_GONE:
				c360_store_refresh(store);
				customer = NULL;
		}
	}
}

C360Wallet *
c360_wallet_lock(C360Store *store, int64 customer_id, bool skip_locked)
{
	return lock_wallet(store, customer_id, NULL, skip_locked);
}

/*
 * The same for who has read the customer's row, if he did not refresh the
 * store since; customer may be NULL.
 */
C360Wallet *
c360_wallet_lock_of(C360Store *store, int64 customer_id, C360Row *customer)
{
	return lock_wallet(store, customer_id, customer, false);
}

/* The customer whose call a known key was, else 0. */
static int64
customer_of_key(C360Store *store, const C360Key *key)
{
	C360Row    *row = key->key == NULL ? NULL :
		c360_find(store, C360_LEDGER_BY_KEY, CStringGetTextDatum(key->key));

	return row != NULL ? c360_get_int64(row, LEDGER_customer_id) : 0;
}

/*
 * Locks the wallet of a phone. While we wait the number may move to another
 * customer: then look again. A retry finds its wallet by its key, even if the
 * number is gone since.
 */
C360Wallet *
c360_wallet_lock_by_phone(C360Store *store, const char *phone, const C360Key *key,
						  C360UnknownPhone unknown)
{
	for (;;)
	{
		C360Row    *customer = c360_customer_row(store, phone);
		int64		id = customer != NULL ? c360_get_int64(customer, CUSTOMER_id) : 0;
		C360Wallet *wallet;
		bool		created;

		if (id == 0 && (id = customer_of_key(store, key)) != 0)
			return c360_wallet_lock(store, id, false);
		if (id == 0 && unknown == C360_UNKNOWN_IS_ERROR)
			c360_customer_unknown(phone);
		if (id == 0)
			id = c360_customer_create(store, phone, NULL, "manual", &created);
		wallet = lock_wallet(store, id, customer, false);
		if (wallet->phone != NULL && strcmp(wallet->phone, phone) == 0)
			return wallet;
	}
}

/* What the wallet's lots hold that is past its time and not yet expired. */
static int64
overdue(C360Store *store, int64 customer_id, TimestampTz now)
{
	C360Scan   *scan = c360_scan_begin(store, C360_LOTS_IN_ORDER_OF_USE,
									   Int64GetDatum(customer_id));
	C360Row    *lot;
	int64		sum = 0;

	while ((lot = c360_scan_next(scan)) != NULL && c360_get_time(lot, LOT_expires_at) <= now)
		sum += c360_get_int64(lot, LOT_remaining_amount);
	c360_scan_end(scan);
	return sum;
}

/* What could be withdrawn now. */
int64
c360_wallet_available(C360Wallet *wallet)
{
	int64		usable = wallet->virtual_balance;

	if (wallet->frozen)
		return 0;
	if (wallet->blacklisted || usable == 0)
		return wallet->balance;
	usable -= wallet->no_overdue ? wallet->restored_overdue :
		overdue(wallet->store, wallet->customer_id, wallet->now);
	return add(wallet->balance, usable);
}

/* Writes the wallet as it stands after the call's movements, and lets go of its row. */
void
c360_wallet_save(C360Wallet *wallet)
{
	C360Row    *row = c360_row_changed(wallet->store, wallet->row);

	c360_put_int64(row, WALLET_balance, wallet->balance);
	c360_put_int64(row, WALLET_virtual_balance, wallet->virtual_balance);
	c360_put_int64(row, WALLET_total_deposited, wallet->total_deposited);
	c360_put_int64(row, WALLET_total_withdrawn, wallet->total_withdrawn);
	c360_put_int64(row, WALLET_total_virtual_issued, wallet->total_virtual_issued);
	c360_put_int64(row, WALLET_total_virtual_used, wallet->total_virtual_used);
	c360_put_int64(row, WALLET_total_virtual_expired, wallet->total_virtual_expired);
	c360_put_time(row, WALLET_last_at, wallet->now);
	if (!wallet->frozen)
		c360_put_null(row, WALLET_frozen_at);
	else if (c360_is_null(wallet->row, WALLET_frozen_at))
		c360_put_time(row, WALLET_frozen_at, wallet->now);
	c360_update(wallet->store, wallet->row, row);
	c360_row_done(wallet->row);
}

/*
 * Movements
 */

void
c360_add_part(C360Movement *movement, int64 credit_id, int64 amount, TimestampTz expires_at)
{
	C360LotPart *part = palloc(sizeof(C360LotPart));

	part->credit_id = credit_id;
	part->amount = amount;
	part->expires_at = expires_at;
	movement->parts = lappend(movement->parts, part);
}

static void
add_to_totals(C360Wallet *wallet, const C360Movement *movement)
{
	if (strcmp(movement->type, "DEPOSIT") == 0)
		wallet->total_deposited = add(wallet->total_deposited, movement->amount);
	else if (strcmp(movement->type, "WITHDRAW") == 0)
	{
		wallet->total_withdrawn = add(wallet->total_withdrawn, movement->amount);
		wallet->total_virtual_used = add(wallet->total_virtual_used, -movement->virtual_change);
	}
	else if (strcmp(movement->type, "VIRTUAL_CREDIT") == 0)
		wallet->total_virtual_issued = add(wallet->total_virtual_issued, movement->amount);
	else if (strcmp(movement->type, "VIRTUAL_EXPIRE") == 0)
		wallet->total_virtual_expired = add(wallet->total_virtual_expired, movement->amount);
}

static void
put_reference(C360Row *row, int column, int64 id)
{
	if (id != 0)
		c360_put_int64(row, column, id);
}

static void
write_ledger(C360Wallet *wallet, const C360Movement *movement, const TypeDef *def)
{
	C360Row    *row = c360_row_new(wallet->store, C360_LEDGER);

	c360_put_int64(row, LEDGER_id, movement->id);
	c360_put_int64(row, LEDGER_customer_id, wallet->customer_id);
	c360_put_text(row, LEDGER_type, movement->type);
	c360_put_text(row, LEDGER_operation, movement->operation);
	c360_put_int64(row, LEDGER_amount, movement->amount);
	c360_put_int64(row, LEDGER_real_change, movement->real_change);
	c360_put_int64(row, LEDGER_virtual_change, movement->virtual_change);
	c360_put_int64(row, LEDGER_balance_after, movement->balance);
	c360_put_int64(row, LEDGER_virtual_balance_after, movement->virtual_balance);
	c360_put_text(row, LEDGER_source, movement->source);
	c360_put_text(row, LEDGER_reference_type, movement->reference_type);
	c360_put_text(row, LEDGER_reference_id, movement->reference_id);
	put_reference(row, LEDGER_refunded_transaction_id, movement->refunded_transaction_id);
	put_reference(row, LEDGER_bank_link_id, movement->bank_link_id);
	if (def->one_lot)
	{
		C360LotPart *part = linitial(movement->parts);

		c360_put_int64(row, LEDGER_credit_id, part->credit_id);
		c360_put_time(row, LEDGER_credit_expires_at, part->expires_at);
	}
	if (movement->key != NULL && movement->key->key != NULL)
	{
		c360_put_text(row, LEDGER_idempotency_key, movement->key->key);
		c360_put(row, LEDGER_arguments_digest, PointerGetDatum(movement->key->digest));
	}
	c360_put_text(row, LEDGER_actor, wallet->actor);
	c360_put_text(row, LEDGER_session_user_name, wallet->session_user_name);
	c360_put_time(row, LEDGER_created_at, wallet->now);
	if (movement->has_occurred_at)
		c360_put_time(row, LEDGER_occurred_at, movement->occurred_at);
	c360_put_int64(row, LEDGER_activity_id, movement->activity_id);
	c360_insert(wallet->store, row);
}

static void
write_uses(C360Wallet *wallet, const C360Movement *movement)
{
	bool		many = list_length(movement->parts) >= MANY_LOTS;
	bool		before = false;
	ListCell   *cell;

	if (many)
		before = c360_store_expect_many(wallet->store, true);
	foreach(cell, movement->parts)
	{
		C360LotPart *part = lfirst(cell);
		C360Row    *row = c360_row_new(wallet->store, C360_USES);

		c360_put_int64(row, USE_transaction_id, movement->id);
		c360_put(row, USE_position, Int32GetDatum(foreach_current_index(cell) + 1));
		c360_put_int64(row, USE_credit_id, part->credit_id);
		c360_put_int64(row, USE_amount, part->amount);
		c360_put_time(row, USE_expires_at, part->expires_at);
		c360_insert(wallet->store, row);
	}
	if (many)
		(void) c360_store_expect_many(wallet->store, before);
}

static void
write_wallet_activity(C360Wallet *wallet, int64 id, const char *event,
					  const char *reference_type, int64 reference_id, Jsonb *payload)
{
	C360Activity activity = {
		.id = id,.topic = "wallets",.event = event,
		.customer_id = wallet->customer_id,
		.reference_type = reference_type,.reference_id = reference_id,
		.payload = payload,
		.actor = wallet->actor,.session_user_name = wallet->session_user_name,
		.at = wallet->now
	};

	c360_activity_write(wallet->store, &activity);
}

/*
 * The figures stand in the ledger row that the activity refers to; only what
 * the ledger must not hold stands here.
 */
static void
announce_movement(C360Wallet *wallet, const C360Movement *movement, const char *event)
{
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "phone", wallet->phone);
	c360_json_text(&json, "note", movement->note);
	c360_json_end_object(&json);
	write_wallet_activity(wallet, movement->activity_id, event, "wallet_transaction", movement->id,
						  c360_json_finish(&json));
}

/* An event of the wallet that moves no money. */
void
c360_wallet_announce(C360Wallet *wallet, const char *event, const char *note)
{
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "phone", wallet->phone);
	c360_json_text(&json, "note", note);
	c360_json_end_object(&json);
	write_wallet_activity(wallet, 0, event, "wallet", wallet->customer_id,
						  c360_json_finish(&json));
}

/* Adds a movement to the books: balances, ledger row, lot parts, activity. */
void
c360_post(C360Wallet *wallet, C360Movement *movement)
{
	const TypeDef *def = type_def(movement->type);
	int64		change = add(movement->real_change, movement->virtual_change);

	movement->amount = change < 0 ? -change : change;
	wallet->balance = add(wallet->balance, movement->real_change);
	wallet->virtual_balance = add(wallet->virtual_balance, movement->virtual_change);
	add_to_totals(wallet, movement);
	movement->balance = wallet->balance;
	movement->virtual_balance = wallet->virtual_balance;
	movement->id = c360_next_id(wallet->store, C360_LEDGER);
	movement->activity_id = c360_next_id(wallet->store, C360_ACTIVITIES);
	write_ledger(wallet, movement, def);
	if (!def->one_lot)
		write_uses(wallet, movement);
	announce_movement(wallet, movement, def->event);
}

/*
 * Answers
 */

/* The lots of a withdrawal or refund, in order of use. */
List *
c360_parts_of(C360Store *store, int64 transaction_id)
{
	C360Movement movement = {0};
	C360Scan   *scan = c360_scan_begin(store, C360_USES_BY_TRANSACTION,
									   Int64GetDatum(transaction_id));
	C360Row    *use;

	while ((use = c360_scan_next(scan)) != NULL)
		c360_add_part(&movement, c360_get_int64(use, USE_credit_id),
					  c360_get_int64(use, USE_amount), c360_get_time(use, USE_expires_at));
	c360_scan_end(scan);
	return movement.parts;
}

/* What a refund gave back to cancelled lots, which its next rows took again. */
static int64
cancelled_again(C360Store *store, int64 refund_id)
{
	C360Scan   *scan = c360_scan_begin(store, C360_LEDGER_BY_REFUNDED, Int64GetDatum(refund_id));
	C360Row    *row;
	int64		sum = 0;

	while ((row = c360_scan_next(scan)) != NULL)
		sum += c360_get_int64(row, LEDGER_amount);
	c360_scan_end(scan);
	return sum;
}

static void
movement_from_row(C360Store *store, C360Row *row, C360Movement *movement)
{
	movement->id = c360_get_int64(row, LEDGER_id);
	movement->type = c360_get_text(row, LEDGER_type);
	movement->amount = c360_get_int64(row, LEDGER_amount);
	movement->real_change = c360_get_int64(row, LEDGER_real_change);
	movement->virtual_change = c360_get_int64(row, LEDGER_virtual_change);
	movement->balance = c360_get_int64(row, LEDGER_balance_after);
	movement->virtual_balance = c360_get_int64(row, LEDGER_virtual_balance_after);
	if (type_def(movement->type)->one_lot)
		c360_add_part(movement, c360_get_int64(row, LEDGER_credit_id), movement->amount,
					  c360_get_time(row, LEDGER_credit_expires_at));
	else
		movement->parts = c360_parts_of(store, movement->id);
	if (strcmp(movement->type, "REFUND") == 0)
		movement->virtual_balance -= cancelled_again(store, movement->id);
	movement->replayed = true;
}

static bool
same_call(C360Row *row, const C360Key *key)
{
	bytea	   *stored = c360_get_bytea(row, LEDGER_arguments_digest);

	return strcmp(c360_get_text(row, LEDGER_operation), key->operation) == 0 &&
		stored != NULL && VARSIZE(stored) == VARSIZE(key->digest) &&
		memcmp(VARDATA(stored), VARDATA(key->digest), VARSIZE(stored) - VARHDRSZ) == 0;
}

/* What is available now in a wallet that we did not lock. */
static int64
available_elsewhere(C360Store *store, int64 customer_id)
{
	C360Row    *row = c360_find(store, C360_WALLET_BY_CUSTOMER, Int64GetDatum(customer_id));

	return c360_wallet_available(load_wallet(store, row, customer_of_wallet(store, customer_id)));
}

/*
 * If the key is known: the first answer again, or PT409 when it was another
 * call. Comes before every check that depends on state or time.
 */
bool
c360_replay(C360Wallet *wallet, const C360Key *key, C360Movement *movement)
{
	C360Row    *row;
	int64		customer_id;

	if (key->key == NULL)
		return false;
	row = c360_find(wallet->store, C360_LEDGER_BY_KEY, CStringGetTextDatum(key->key));
	if (row == NULL)
		return false;
	if (!same_call(row, key))
		ereport(ERROR,
				(errcode(ERRCODE_C360_CONFLICT),
				 errmsg("idempotency key reused"),
				 errdetail("key_reused: the key belongs to transaction %lld, which was another call",
						   (long long) c360_get_int64(row, LEDGER_id)),
				 errhint("Use a new key for each operation; repeat a key only to retry the same call.")));
	movement_from_row(wallet->store, row, movement);
	customer_id = c360_get_int64(row, LEDGER_customer_id);
	movement->available = customer_id == wallet->customer_id ?
		c360_wallet_available(wallet) : available_elsewhere(wallet->store, customer_id);
	return true;
}

static Jsonb *
lots_as_json(List *parts)
{
	C360Json	json = {0};
	ListCell   *cell;

	c360_json_begin_array(&json, NULL);
	foreach(cell, parts)
	{
		C360LotPart *part = lfirst(cell);

		c360_json_begin_object(&json, NULL);
		c360_json_int64(&json, "credit_id", part->credit_id);
		c360_json_int64(&json, "amount", part->amount);
		c360_json_time(&json, "expires_at", part->expires_at);
		c360_json_end_object(&json);
	}
	c360_json_end_array(&json);
	return c360_json_finish(&json);
}

/* A row of type c360_movement. */
Datum
c360_answer(FunctionCallInfo fcinfo, const C360Movement *movement)
{
	TupleDesc	desc;
	Datum		values[10];
	bool		nulls[10] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 10)
		elog(ERROR, "return type must be c360_movement");
	values[0] = Int64GetDatum(movement->id);
	values[1] = CStringGetTextDatum(movement->type);
	values[2] = Int64GetDatum(movement->amount);
	values[3] = Int64GetDatum(movement->real_change);
	values[4] = Int64GetDatum(movement->virtual_change);
	values[5] = Int64GetDatum(movement->balance);
	values[6] = Int64GetDatum(movement->virtual_balance);
	values[7] = Int64GetDatum(movement->available);
	values[8] = JsonbPGetDatum(lots_as_json(movement->parts));
	values[9] = BoolGetDatum(movement->replayed);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
