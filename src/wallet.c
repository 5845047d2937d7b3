/*
 * wallet.c
 *	  The operations on money: deposit, issue credit, withdraw, refund,
 *	  adjust, cancel credit, freeze.
 *
 * Each reads like its rule: arguments; lock the wallet; answer a retry;
 * check what depends on state; expire what is overdue; move; save. Checks of
 * state and time come after the retry, so that a retry gets its first answer
 * whatever happened since.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "call.h"
#include "lot.h"
#include "settings.h"
#include "wallet.h"

#define SHORTEST_REASON 10
#define EARLIEST_OCCURRENCE INT64CONST(0)	/* 2000-01-01 UTC, PostgreSQL's epoch */

PG_FUNCTION_INFO_V1(c360_deposit);
PG_FUNCTION_INFO_V1(c360_issue_credit);
PG_FUNCTION_INFO_V1(c360_withdraw);
PG_FUNCTION_INFO_V1(c360_refund);
PG_FUNCTION_INFO_V1(c360_adjust);
PG_FUNCTION_INFO_V1(c360_cancel_credit);
PG_FUNCTION_INFO_V1(c360_freeze_wallet);
PG_FUNCTION_INFO_V1(c360_unfreeze_wallet);

static const char *const deposit_sources[] = {"RETURN_GOODS", "MANUAL", "ORDER_CANCEL", NULL};
static const char *const credit_kinds[] = {
	"BOOM", "RETURN_SHIPPER", "COMPENSATION", "PROMOTION", "MANUAL", NULL
};

/*
 * Checks
 */

static void
check_one_of(const char *value, const char *name, const char *const *allowed, const char *hint)
{
	for (; *allowed != NULL; allowed++)
		if (strcmp(value, *allowed) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value is not allowed"),
			 errdetail("not_allowed: %s \"%s\"", name, value),
			 errhint("Allowed are %s.", hint)));
}

/* Amounts by hand have an upper bound. */
static void
check_limit(int64 amount)
{
	int64		limit = c360_settings()->max_amount;

	if (limit > 0 && (amount > limit || amount < -limit))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("amount is above the limit"),
				 errdetail("amount_limit: amount %lld, limit %lld",
						   (long long) amount, (long long) limit),
				 errhint("The setting max_amount holds the limit.")));
}

static void
check_occurrence(TimestampTz occurred_at, TimestampTz now)
{
	if (occurred_at > now || occurred_at < EARLIEST_OCCURRENCE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date is out of range"),
				 errdetail("invalid_date: occurred_at %s", timestamptz_to_str(occurred_at)),
				 errhint("occurred_at lies between 2000-01-01 and now.")));
}

static void
insufficient_funds(int64 available, uint64 requested)
{
	ereport(ERROR,
			(errcode(ERRCODE_C360_FUNDS),
			 errmsg("insufficient funds"),
			 errdetail("insufficient_funds: available %lld, requested %llu",
					   (long long) available, (unsigned long long) requested)));
}

static void not_found(const char *message, const char *word, int64 id) __attribute__((noreturn));

static void
not_found(const char *message, const char *word, int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_C360_NOT_FOUND),
			 errmsg("%s", message),
			 errdetail("%s: id %lld", word, (long long) id)));
}

/* Frozen, blacklisted or too poor for this withdrawal: the error says which. */
static void
check_withdrawal(C360Wallet *wallet, int64 amount)
{
	int64		available = c360_wallet_available(wallet);

	if (wallet->frozen)
		ereport(ERROR,
				(errcode(ERRCODE_C360_FORBIDDEN),
				 errmsg("wallet is frozen"),
				 errdetail("wallet_frozen: customer %lld", (long long) wallet->customer_id)));
	if (amount <= available)
		return;
	if (wallet->blacklisted && amount - wallet->balance <= wallet->virtual_balance)
		ereport(ERROR,
				(errcode(ERRCODE_C360_FORBIDDEN),
				 errmsg("credit is blocked"),
				 errdetail("credit_blocked: available %lld, requested %lld, the customer is blacklisted",
						   (long long) available, (long long) amount)));
	insufficient_funds(available, amount);
}

/* Ends a call that moved money in a wallet. */
static Datum
finish(FunctionCallInfo fcinfo, C360Wallet *wallet, C360Movement *movement)
{
	C360Store  *store = wallet->store;

	if (!movement->replayed)
	{
		movement->available = c360_wallet_available(wallet);
		c360_wallet_save(wallet);
	}
	c360_store_close(store);
	return c360_answer(fcinfo, movement);
}

/*
 * Deposit
 */

static Datum
deposit(PG_FUNCTION_ARGS)
{
	C360Key		key = c360_key_read(fcinfo, "deposit", "pittt-ki");
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	C360Movement movement = {.key = &key,.operation = "deposit",.type = "DEPOSIT"};
	C360Wallet *wallet;

	movement.real_change = c360_arg_positive(fcinfo, 1, "amount");
	movement.source = PG_ARGISNULL(2) ? "MANUAL" : c360_arg_text(fcinfo, 2, "source", C360_REFERENCE_MAX);
	movement.reference_type = c360_arg_text(fcinfo, 3, "reference_type", C360_REFERENCE_MAX);
	movement.reference_id = c360_arg_text(fcinfo, 4, "reference_id", C360_REFERENCE_MAX);
	movement.note = c360_arg_text(fcinfo, 5, "note", C360_NOTE_MAX);
	movement.has_occurred_at = !PG_ARGISNULL(7);
	movement.occurred_at = c360_arg_time(fcinfo, 7, "occurred_at");
	check_one_of(movement.source, "source", deposit_sources, "RETURN_GOODS, MANUAL and ORDER_CANCEL");

	wallet = c360_wallet_lock_by_phone(c360_store_open(), phone, &key, C360_UNKNOWN_IS_CREATED);
	if (c360_replay(wallet, &key, &movement))
		return finish(fcinfo, wallet, &movement);
	check_limit(movement.real_change);
	if (movement.has_occurred_at)
		check_occurrence(movement.occurred_at, wallet->now);
	c360_post(wallet, &movement);
	return finish(fcinfo, wallet, &movement);
}

Datum
c360_deposit(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_deposit", deposit);
}

/* A movement that belongs to a bank transfer's link. */
static C360Movement
movement_of_transfer(const char *type, int64 bank_link_id, int64 bank_transaction_id)
{
	C360Movement movement = {.operation = "bank_transfer",.type = type};

	movement.reference_type = "bank_transaction";
	movement.reference_id = psprintf("%lld", (long long) bank_transaction_id);
	movement.bank_link_id = bank_link_id;
	return movement;
}

/* The deposit of a bank transfer's link; answers its transaction id. */
int64
c360_deposit_transfer(C360Wallet *wallet, int64 amount, int64 bank_link_id,
					  int64 bank_transaction_id, TimestampTz occurred_at)
{
	C360Movement movement = movement_of_transfer("DEPOSIT", bank_link_id, bank_transaction_id);

	movement.real_change = amount;
	movement.source = "BANK_TRANSFER";
	movement.has_occurred_at = true;
	movement.occurred_at = Min(occurred_at, wallet->now);	/* clocks differ */
	c360_post(wallet, &movement);
	c360_wallet_save(wallet);
	return movement.id;
}

/*
 * Takes the deposit of a link back: a correction, so a frozen wallet is no
 * hindrance, but money that is spent cannot be taken.
 */
int64
c360_take_transfer_back(C360Wallet *wallet, int64 amount, int64 bank_link_id,
						int64 bank_transaction_id, const char *reason)
{
	C360Movement movement = movement_of_transfer("ADJUSTMENT", bank_link_id, bank_transaction_id);

	if (wallet->balance < amount)
		ereport(ERROR,
				(errcode(ERRCODE_C360_CONFLICT),
				 errmsg("the deposit is already spent"),
				 errdetail("already_spent: missing %lld, balance %lld, deposited %lld",
						   (long long) (amount - wallet->balance), (long long) wallet->balance,
						   (long long) amount)));
	movement.operation = "bank_unlink";
	movement.real_change = -amount;
	movement.source = "BANK_UNLINK";
	movement.note = reason;
	c360_post(wallet, &movement);
	c360_wallet_save(wallet);
	return movement.id;
}

/*
 * Issue credit
 */

/* NULL means the shop's default life. */
static TimestampTz
expiry_of(C360Wallet *wallet, TimestampTz expires_at, bool given)
{
	if (!given)
		return wallet->now + c360_settings()->credit_expiry_days * USECS_PER_DAY;
	if (expires_at <= wallet->now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expiry is not in the future"),
				 errdetail("expired: expires_at %s", timestamptz_to_str(expires_at))));
	return expires_at;
}

static Datum
issue_credit(PG_FUNCTION_ARGS)
{
	C360Key		key = c360_key_read(fcinfo, "issue_credit", "pitti-k");
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	int64		amount = c360_arg_positive(fcinfo, 1, "amount");
	char	   *kind = PG_ARGISNULL(2) ? "COMPENSATION" : c360_arg_text(fcinfo, 2, "kind", C360_REFERENCE_MAX);
	char	   *source_id = c360_arg_text(fcinfo, 3, "source_id", C360_REFERENCE_MAX);
	TimestampTz expires_at = c360_arg_time(fcinfo, 4, "expires_at");
	C360Movement movement = {.key = &key,.operation = "issue_credit",.type = "VIRTUAL_CREDIT"};
	C360Wallet *wallet;

	movement.virtual_change = amount;
	movement.source = kind;
	movement.reference_type = source_id != NULL ? "credit_source" : NULL;
	movement.reference_id = source_id;
	movement.note = c360_arg_text(fcinfo, 5, "note", C360_NOTE_MAX);
	check_one_of(kind, "kind", credit_kinds,
				 "BOOM, RETURN_SHIPPER, COMPENSATION, PROMOTION and MANUAL");

	wallet = c360_wallet_lock_by_phone(c360_store_open(), phone, &key, C360_UNKNOWN_IS_CREATED);
	if (c360_replay(wallet, &key, &movement))
		return finish(fcinfo, wallet, &movement);
	check_limit(amount);
	expires_at = expiry_of(wallet, expires_at, !PG_ARGISNULL(4));
	c360_lots_expire(wallet);
	c360_add_part(&movement, c360_lot_insert(wallet, kind, source_id, amount, expires_at),
				  amount, expires_at);
	c360_post(wallet, &movement);
	return finish(fcinfo, wallet, &movement);
}

Datum
c360_issue_credit(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_issue_credit", issue_credit);
}

/*
 * Withdraw
 */

static Datum
withdraw(PG_FUNCTION_ARGS)
{
	C360Key		key = c360_key_read(fcinfo, "withdraw", "pit-k");
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	int64		amount = c360_arg_positive(fcinfo, 1, "amount");
	C360Movement movement = {.key = &key,.operation = "withdraw",.type = "WITHDRAW"};
	C360Wallet *wallet;
	C360Lots	lots;

	movement.reference_id = c360_arg_text(fcinfo, 2, "order_id", C360_REFERENCE_MAX);
	movement.reference_type = movement.reference_id != NULL ? "order" : NULL;
	movement.note = c360_arg_text(fcinfo, 3, "note", C360_NOTE_MAX);

	wallet = c360_wallet_lock_by_phone(c360_store_open(), phone, &key, C360_UNKNOWN_IS_ERROR);
	if (c360_replay(wallet, &key, &movement))
		return finish(fcinfo, wallet, &movement);
	check_limit(amount);
	c360_lots_begin(&lots, wallet, PG_INT64_MAX);
	check_withdrawal(wallet, amount);
	if (!wallet->blacklisted)
		amount = c360_lots_use(&lots, &movement, amount);
	c360_lots_end(&lots);
	movement.real_change = -amount;
	c360_post(wallet, &movement);
	return finish(fcinfo, wallet, &movement);
}

Datum
c360_withdraw(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_withdraw", withdraw);
}

/*
 * Refund
 */

/* What a withdrawal took, less what earlier refunds gave back. */
typedef struct Withdrawal
{
	int64		id;
	int64		real;
	int64		total;
	List	   *parts;			/* of C360LotPart *, in order of use */
} Withdrawal;

static void
subtract_part(List *parts, const C360LotPart *restored)
{
	ListCell   *cell;

	foreach(cell, parts)
	{
		C360LotPart *part = lfirst(cell);

		if (part->credit_id == restored->credit_id)
			part->amount -= restored->amount;
	}
}

static void
subtract_refund(C360Store *store, Withdrawal *withdrawal, C360Row *refund)
{
	ListCell   *cell;

	withdrawal->total -= c360_get_int64(refund, LEDGER_amount);
	withdrawal->real -= c360_get_int64(refund, LEDGER_real_change);
	foreach(cell, c360_parts_of(store, c360_get_int64(refund, LEDGER_id)))
		subtract_part(withdrawal->parts, lfirst(cell));
}

static void
load_withdrawal(C360Store *store, C360Row *row, Withdrawal *withdrawal)
{
	C360Scan   *scan;
	C360Row    *refund;

	if (strcmp(c360_get_text(row, LEDGER_type), "WITHDRAW") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_C360_CONFLICT),
				 errmsg("transaction is not refundable"),
				 errdetail("not_refundable: transaction %lld is of type %s",
						   (long long) c360_get_int64(row, LEDGER_id),
						   c360_get_text(row, LEDGER_type)),
				 errhint("Only withdrawals can be refunded.")));
	withdrawal->id = c360_get_int64(row, LEDGER_id);
	withdrawal->total = c360_get_int64(row, LEDGER_amount);
	withdrawal->real = -c360_get_int64(row, LEDGER_real_change);
	withdrawal->parts = c360_parts_of(store, withdrawal->id);
	scan = c360_scan_begin(store, C360_LEDGER_BY_REFUNDED, Int64GetDatum(withdrawal->id));
	while ((refund = c360_scan_next(scan)) != NULL)
		subtract_refund(store, withdrawal, refund);
	c360_scan_end(scan);
}

/* Credit comes first, the lot used last first, then real balance. */
static void
restore_lots(C360Wallet *wallet, const Withdrawal *withdrawal, C360Movement *movement,
			 int64 amount, List **cancelled)
{
	for (int i = list_length(withdrawal->parts) - 1; i >= 0 && amount > 0; i--)
	{
		C360LotPart *part = list_nth(withdrawal->parts, i);

		part->amount = Min(part->amount, amount);
		if (part->amount == 0)
			continue;
		if (!c360_lot_restore(wallet, part))
			*cancelled = lappend(*cancelled, part);
		movement->parts = lappend(movement->parts, part);
		movement->virtual_change += part->amount;
		amount -= part->amount;
	}
	movement->real_change = amount;
}

/* What came back to a cancelled lot is cancelled at once, by rows of its own. */
static void
cancel_again(C360Wallet *wallet, C360Movement *refund, List *cancelled)
{
	ListCell   *cell;

	foreach(cell, cancelled)
	{
		C360LotPart *part = lfirst(cell);
		C360Movement movement = {.operation = "refund",.type = "VIRTUAL_CANCEL"};

		movement.virtual_change = -part->amount;
		movement.refunded_transaction_id = refund->id;
		movement.parts = list_make1(part);
		c360_post(wallet, &movement);
	}
	refund->virtual_balance = wallet->virtual_balance;
}

static Datum
refund(PG_FUNCTION_ARGS)
{
	C360Key		key = c360_key_read(fcinfo, "refund", "ii-k");
	int64		id = c360_arg_int64(fcinfo, 0, "transaction_id");
	int64		amount = PG_ARGISNULL(1) ? 0 : c360_arg_positive(fcinfo, 1, "amount");
	C360Movement movement = {.key = &key,.operation = "refund",.type = "REFUND"};
	C360Store  *store;
	C360Wallet *wallet;
	C360Row    *row;
	Withdrawal	withdrawal;
	List	   *cancelled = NIL;

	movement.note = c360_arg_text(fcinfo, 2, "note", C360_NOTE_MAX);
	movement.refunded_transaction_id = id;

	store = c360_store_open();
	row = c360_find(store, C360_LEDGER_BY_ID, Int64GetDatum(id));
	if (row == NULL)
		not_found("no such transaction", "transaction_not_found", id);
	wallet = c360_wallet_lock(store, c360_get_int64(row, LEDGER_customer_id), false);
	if (c360_replay(wallet, &key, &movement))
		return finish(fcinfo, wallet, &movement);
	load_withdrawal(store, row, &withdrawal);
	if (PG_ARGISNULL(1))
		amount = withdrawal.total;
	if (amount > withdrawal.total || withdrawal.total == 0)
		ereport(ERROR,
				(errcode(ERRCODE_C360_CONFLICT),
				 errmsg("refund exceeds the withdrawal"),
				 errdetail("refund_exceeds: left to refund %lld, requested %lld",
						   (long long) withdrawal.total, (long long) amount)));
	c360_lots_expire(wallet);
	restore_lots(wallet, &withdrawal, &movement, amount, &cancelled);
	c360_post(wallet, &movement);
	cancel_again(wallet, &movement, cancelled);
	return finish(fcinfo, wallet, &movement);
}

Datum
c360_refund(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_refund", refund);
}

/*
 * Adjust
 */

static char *
arg_adjustment_reason(FunctionCallInfo fcinfo, int n)
{
	char	   *reason = c360_arg_required_text(fcinfo, n, "reason", C360_REASON_MAX);

	if (c360_trimmed_length(reason) < SHORTEST_REASON)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason is too short"),
				 errdetail("reason_too_short: at least %d characters are needed", SHORTEST_REASON)));
	return reason;
}

static Datum
adjust(PG_FUNCTION_ARGS)
{
	C360Key		key = c360_key_read(fcinfo, "adjust", "pitttk");
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	int64		amount = c360_arg_int64(fcinfo, 1, "amount");
	C360Movement movement = {.key = &key,.operation = "adjust",.type = "ADJUSTMENT"};
	C360Wallet *wallet;

	if (amount == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("amount must not be zero"),
				 errdetail("invalid_amount: amount is 0")));
	movement.real_change = amount;
	movement.source = "MANUAL";
	movement.note = arg_adjustment_reason(fcinfo, 2);
	movement.reference_type = c360_arg_text(fcinfo, 3, "reference_type", C360_REFERENCE_MAX);
	movement.reference_id = c360_arg_text(fcinfo, 4, "reference_id", C360_REFERENCE_MAX);

	wallet = c360_wallet_lock_by_phone(c360_store_open(), phone, &key, C360_UNKNOWN_IS_ERROR);
	if (c360_replay(wallet, &key, &movement))
		return finish(fcinfo, wallet, &movement);
	check_limit(amount);
	if (amount < 0 && wallet->balance + amount < 0)
		insufficient_funds(wallet->balance, -(uint64) amount);
	c360_post(wallet, &movement);
	return finish(fcinfo, wallet, &movement);
}

Datum
c360_adjust(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_adjust", adjust);
}

/*
 * Cancel credit
 */

static Datum
cancel_credit(PG_FUNCTION_ARGS)
{
	C360Key		key = c360_key_read(fcinfo, "cancel_credit", "itk");
	int64		id = c360_arg_int64(fcinfo, 0, "credit_id");
	C360Movement movement = {.key = &key,.operation = "cancel_credit",.type = "VIRTUAL_CANCEL"};
	C360Store  *store;
	C360Wallet *wallet;
	C360Row    *lot;

	movement.note = c360_arg_required_text(fcinfo, 1, "reason", C360_REASON_MAX);

	store = c360_store_open();
	lot = c360_find(store, C360_LOT_BY_ID, Int64GetDatum(id));
	if (lot == NULL)
		not_found("no such credit", "credit_not_found", id);
	wallet = c360_wallet_lock(store, c360_get_int64(lot, LOT_customer_id), false);
	if (c360_replay(wallet, &key, &movement))
		return finish(fcinfo, wallet, &movement);
	c360_lots_expire(wallet);
	lot = c360_find(store, C360_LOT_BY_ID, Int64GetDatum(id));
	if (strcmp(c360_get_text(lot, LOT_status), "ACTIVE") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_C360_CONFLICT),
				 errmsg("credit is not active"),
				 errdetail("credit_not_active: credit %lld is %s", (long long) id,
						   c360_get_text(lot, LOT_status))));
	c360_lot_end(wallet, lot, "CANCELLED", &movement);
	return finish(fcinfo, wallet, &movement);
}

Datum
c360_cancel_credit(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_cancel_credit", cancel_credit);
}

/*
 * Freeze
 */

/* A wallet that stands so already is left alone. */
static void
set_frozen(const char *phone, bool frozen, const char *reason)
{
	const C360Key no_key = {0};
	C360Store  *store = c360_store_open();
	C360Wallet *wallet = c360_wallet_lock_by_phone(store, phone, &no_key, C360_UNKNOWN_IS_ERROR);

	if (wallet->frozen != frozen)
	{
		wallet->frozen = frozen;
		c360_wallet_announce(wallet, frozen ? "wallet.frozen" : "wallet.unfrozen", reason);
		c360_wallet_save(wallet);
	}
	c360_store_close(store);
}

static Datum
freeze_wallet(PG_FUNCTION_ARGS)
{
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");

	set_frozen(phone, true, c360_arg_required_text(fcinfo, 1, "reason", C360_REASON_MAX));
	PG_RETURN_VOID();
}

Datum
c360_freeze_wallet(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_freeze_wallet", freeze_wallet);
}

static Datum
unfreeze_wallet(PG_FUNCTION_ARGS)
{
	set_frozen(c360_arg_phone(fcinfo, 0, "phone"), false, NULL);
	PG_RETURN_VOID();
}

Datum
c360_unfreeze_wallet(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_unfreeze_wallet", unfreeze_wallet);
}
