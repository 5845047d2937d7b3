/*
 * bank_link.c
 *	  Links of transfers to customers, and the matches that staff decides.
 *
 * A link is a row with a beginning and an end; a transfer has one open link at
 * most, and a link one deposit at most, both by unique keys. Ending a link
 * takes its deposit back by a row of the ledger; a new link deposits anew.
 *
 * Lock order: the transfer's row, which guards its links and matches, then the
 * wallet. A link is always written under the wallet's lock, deposit or not, so
 * that the customer is still who had the number when it was locked.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"

#include "actor.h"
#include "bank.h"
#include "call.h"
#include "customer.h"
#include "query.h"
#include "wallet.h"

PG_FUNCTION_INFO_V1(c360_link_transaction);
PG_FUNCTION_INFO_V1(c360_unlink_transaction);
PG_FUNCTION_INFO_V1(c360_resolve_match);
PG_FUNCTION_INFO_V1(c360_skip_match);
PG_FUNCTION_INFO_V1(c360_undo_skip_match);

/* A row of c360.pending_customer_matches. */
typedef struct Match
{
	int64		id;
	int64		bank_transaction_id;
	char	   *status;
	Jsonb	   *candidates;
} Match;

static void conflict(const char *message, const char *detail) __attribute__((noreturn));

static void
conflict(const char *message, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_C360_CONFLICT),
			 errmsg("%s", message),
			 errdetail("%s", detail)));
}

/*
 * Links
 */

static C360Row *
open_link(C360Store *store, int64 transfer_id)
{
	return c360_find(store, C360_LINK_OPEN, Int64GetDatum(transfer_id));
}

/* The deposit of a link, 0 if it has none. */
static int64
deposit_of(C360Store *store, int64 link_id)
{
	C360Row    *row = c360_find(store, C360_LEDGER_BY_LINK, Int64GetDatum(link_id));

	return row != NULL ? c360_get_int64(row, LEDGER_id) : 0;
}

static int64
write_link(C360Wallet *wallet, const C360Transfer *transfer, const char *method, const char *code)
{
	C360Store  *store = wallet->store;
	int64		id = c360_next_id(store, C360_LINKS);
	C360Row    *row = c360_row_new(store, C360_LINKS);

	c360_put_int64(row, LINK_id, id);
	c360_put_int64(row, LINK_bank_transaction_id, transfer->id);
	c360_put_int64(row, LINK_customer_id, wallet->customer_id);
	c360_put_text(row, LINK_method, method);
	c360_put_text(row, LINK_qr_code, code);
	c360_put_time(row, LINK_linked_at, GetCurrentTimestamp());
	c360_put_text(row, LINK_linked_by, wallet->actor);
	c360_insert(store, row);
	return id;
}

static void
end_link(C360Store *store, C360Row *link, const char *reason)
{
	C360Row    *row = c360_row_changed(store, link);

	c360_put_time(row, LINK_unlinked_at, GetCurrentTimestamp());
	c360_put_text(row, LINK_unlinked_by, c360_actor());
	c360_put_text(row, LINK_reason, reason);
	c360_update(store, link, row);
}

static void
name_customer(const C360Wallet *wallet, C360BankResult *result)
{
	result->customer_id = wallet->customer_id;
	result->phone = wallet->phone;
}

static void
deposit(C360Wallet *wallet, const C360Transfer *transfer, int64 link_id, C360BankResult *result)
{
	result->transaction_id =
		c360_deposit_transfer(wallet, transfer->amount, link_id, transfer->id, transfer->date);
	result->result = "deposited";
}

/* A new link under the wallet's lock, with its deposit or without. */
static void
link_to(C360Wallet *wallet, const C360Transfer *transfer, const char *method, const char *code,
		bool with_deposit, C360BankResult *result)
{
	int64		link_id = write_link(wallet, transfer, method, code);

	name_customer(wallet, result);
	result->result = "linked";
	if (with_deposit)
		deposit(wallet, transfer, link_id, result);
}

/* The wallet of who has the number when it is locked; made if nobody has it. */
static C360Wallet *
lock_payee(C360Store *store, const char *phone, const char *name, C360BankResult *result)
{
	const C360Key no_key = {0};

	(void) c360_customer_create(store, phone, name, "bank_link", &result->customer_created);
	return c360_wallet_lock_by_phone(store, phone, &no_key, C360_UNKNOWN_IS_CREATED);
}

/*
 * Following a decision
 */

static void
open_match(C360Store *store, int64 bank_transaction_id, Jsonb *candidates)
{
	static C360Query insert = {
		"INSERT INTO c360.pending_customer_matches (bank_transaction_id, candidates)"
		" VALUES ($1, $2)",
		2, {INT8OID, JSONBOID}, NULL
	};
	Datum		values[2];

	c360_store_write(store);
	SPI_connect();
	values[0] = Int64GetDatum(bank_transaction_id);
	values[1] = JsonbPGetDatum(candidates);
	c360_query(&insert, values, NULL);
	SPI_finish();
}

/* Who had the phone when it was decided most likely still has it. */
static C360Wallet *
lock_known_payee(C360Store *store, const C360Decision *decision, C360BankResult *result)
{
	C360Wallet *wallet = decision->customer_id == 0 ? NULL :
		c360_wallet_lock_of(store, decision->customer_id, decision->customer);

	if (wallet != NULL && wallet->phone != NULL && strcmp(wallet->phone, decision->value) == 0)
		return wallet;
	return lock_payee(store, decision->value, NULL, result);
}

/* Money goes to nobody who was erased before we had the wallet. */
static void
check_not_erased(const C360Wallet *wallet)
{
	if (wallet->phone == NULL)
		conflict("the customer changed meanwhile", "retry: he was erased");
}

/* A part that fits no longer: the number changed before we had the wallet. */
static void
check_part(const C360Wallet *wallet, const char *part)
{
	size_t		length = strlen(wallet->phone);

	if (length < strlen(part) || strcmp(wallet->phone + length - strlen(part), part) != 0)
		conflict("the customer changed meanwhile", "retry: the part fits his number no longer");
}

static C360Wallet *
lock_decided(C360Store *store, const C360Decision *decision, C360BankResult *result)
{
	C360Wallet *wallet;

	if (strcmp(decision->method, "phone") == 0)
		return lock_known_payee(store, decision, result);
	wallet = c360_wallet_lock(store, decision->customer_id, false);
	check_not_erased(wallet);
	if (strcmp(decision->method, "part") == 0)
		check_part(wallet, decision->value);
	return wallet;
}

/* Does what was decided for a transfer that is stored and has no open link. */
void
c360_follow_decision(C360Store *store, const C360Transfer *transfer,
					 const C360Decision *decision, C360BankResult *result)
{
	result->result = decision->outcome;
	if (strcmp(decision->outcome, "deposited") == 0)
	{
		bool		by_code = strcmp(decision->method, "qr_code") == 0;

		link_to(lock_decided(store, decision, result), transfer, decision->method,
				by_code ? decision->value : NULL, true, result);
		c360_bank_announce(store, transfer, result, "bank.linked", decision->method, NULL);
	}
	else if (strcmp(decision->outcome, "pending") == 0)
	{
		open_match(store, transfer->id, decision->seen);
		c360_bank_announce(store, transfer, result, "bank.pending", NULL, NULL);
	}
}

/*
 * Matches
 */

static void
read_match(int64 match_id, Match *match)
{
	static C360Query query = {
		"SELECT bank_transaction_id, status, candidates FROM c360.pending_customer_matches"
		" WHERE id OPERATOR(pg_catalog.=) $1",
		1, {INT8OID}, NULL
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[1] = {Int64GetDatum(match_id)};
	HeapTuple	row;
	bool		isnull;

	SPI_connect();
	if (c360_query(&query, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_C360_NOT_FOUND),
				 errmsg("no such match"),
				 errdetail("match_not_found: id %lld", (long long) match_id)));
	row = SPI_tuptable->vals[0];
	match->id = match_id;
	match->bank_transaction_id = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
	match->status = MemoryContextStrdup(caller, SPI_getvalue(row, SPI_tuptable->tupdesc, 2));
	MemoryContextSwitchTo(caller);
	match->candidates = DatumGetJsonbPCopy(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull));
	SPI_finish();
}

/* Sets what staff decided; a match that waits no longer is left alone. */
static void
set_match(const char *where, int64 id, const char *status, int64 customer_id, bool any_customer,
		  const char *reason)
{
	static C360Query of_match = {
		"UPDATE c360.pending_customer_matches SET status = $2, resolved_customer_id = $3,"
		" any_customer = $4, reason = $5, resolved_by = $6, resolved_at ="
		" CASE WHEN $2 OPERATOR(pg_catalog.<>) 'pending' THEN pg_catalog.clock_timestamp() END"
		" WHERE id OPERATOR(pg_catalog.=) $1",
		6, {INT8OID, TEXTOID, INT8OID, BOOLOID, TEXTOID, TEXTOID}, NULL
	};
	static C360Query of_transfer = {
		"UPDATE c360.pending_customer_matches SET status = $2, resolved_customer_id = $3,"
		" any_customer = $4, reason = $5, resolved_by = $6,"
		" resolved_at = pg_catalog.clock_timestamp()"
		" WHERE bank_transaction_id OPERATOR(pg_catalog.=) $1 AND status OPERATOR(pg_catalog.=) 'pending'",
		6, {INT8OID, TEXTOID, INT8OID, BOOLOID, TEXTOID, TEXTOID}, NULL
	};
	Datum		values[6] = {Int64GetDatum(id), CStringGetTextDatum(status),
	Int64GetDatum(customer_id), BoolGetDatum(any_customer)};
	char		nulls[6] = {' ', ' ', customer_id == 0 ? 'n' : ' ', ' ',
	reason == NULL ? 'n' : ' ', strcmp(status, "pending") == 0 ? 'n' : ' '};

	if (reason != NULL)
		values[4] = CStringGetTextDatum(reason);
	values[5] = CStringGetTextDatum(c360_actor());
	SPI_connect();
	c360_query(strcmp(where, "match") == 0 ? &of_match : &of_transfer, values, nulls);
	SPI_finish();
}

/* The match and its transfer, whose row is locked from here on. */
static C360Row *
lock_match(C360Store *store, int64 match_id, C360Transfer *transfer, Match *match)
{
	C360Row    *row;

	read_match(match_id, match);
	row = c360_lock_transfer(store, match->bank_transaction_id, false);
	c360_transfer_of_row(row, transfer);
	read_match(match_id, match);
	return row;
}

static void
require_pending(const Match *match)
{
	if (strcmp(match->status, "resolved") == 0)
		conflict("match is already resolved",
				 psprintf("already_resolved: match %lld", (long long) match->id));
	if (strcmp(match->status, "skipped") == 0)
		conflict("match is skipped", psprintf("match_skipped: match %lld", (long long) match->id));
}

static JsonbValue *
key_of(JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
}

static bool
lists_customer(JsonbContainer *candidate, int64 customer_id)
{
	JsonbValue *customers = key_of(candidate, "customers");
	JsonbValue	wanted;

	if (customer_id == 0 || customers == NULL || customers->type != jbvBinary)
		return false;
	wanted.type = jbvNumeric;
	wanted.val.numeric = int64_to_numeric(customer_id);
	return findJsonbValueFromContainer(customers->val.binary.data, JB_FARRAY, &wanted) != NULL;
}

static bool
is_phone(JsonbContainer *candidate, const char *phone)
{
	JsonbValue *kind = key_of(candidate, "kind");
	JsonbValue *value = key_of(candidate, "value");

	return kind != NULL && value != NULL && kind->type == jbvString && value->type == jbvString &&
		strcmp(pnstrdup(kind->val.string.val, kind->val.string.len), "phone") == 0 &&
		strcmp(pnstrdup(value->val.string.val, value->val.string.len), phone) == 0;
}

/* Whether the content led to this customer or names this phone. */
static bool
is_listed(Jsonb *candidates, const char *phone, int64 customer_id)
{
	JsonbContainer *array = &candidates->root;

	for (uint32 i = 0; JsonContainerIsArray(array) && i < JsonContainerSize(array); i++)
	{
		JsonbValue *candidate = getIthJsonbValueFromContainer(array, i);

		if (candidate->type == jbvBinary &&
			(lists_customer(candidate->val.binary.data, customer_id) ||
			 is_phone(candidate->val.binary.data, phone)))
			return true;
	}
	return false;
}

static void
refuse_customer(const char *phone)
{
	ereport(ERROR,
			(errcode(ERRCODE_C360_CONFLICT),
			 errmsg("customer is not a candidate"),
			 errdetail("not_a_candidate: phone %s", phone),
			 errhint("any_customer resolves to a customer whom the content does not lead to.")));
}

/*
 * What staff calls
 */

static C360Row *
lock_incoming(C360Store *store, int64 id, C360Transfer *transfer)
{
	C360Row    *row = c360_lock_transfer(store, id, false);

	c360_transfer_of_row(row, transfer);
	if (!c360_is_incoming(transfer))
		conflict("transfer is not incoming",
				 psprintf("not_incoming: transfer %lld of type %s, amount %lld", (long long) id,
						  transfer->transfer_type, (long long) transfer->amount));
	return row;
}

static void
refuse_linked(int64 transfer_id, int64 customer_id)
{
	conflict("transfer is already linked",
			 psprintf("already_linked: transfer %lld is linked to customer %lld",
					  (long long) transfer_id, (long long) customer_id));
}

static C360BankResult
result_of(const C360Transfer *transfer)
{
	C360BankResult result = {0};

	result.bank_transaction_id = transfer->id;
	result.amount = transfer->amount;
	return result;
}

/* An open link of the same customer: answered again, or deposited now. */
static bool
link_again(C360Store *store, const C360Transfer *transfer, C360Row *link, bool auto_deposit,
		   C360BankResult *result)
{
	C360Wallet *wallet;

	result->transaction_id = deposit_of(store, c360_get_int64(link, LINK_id));
	result->customer_id = c360_get_int64(link, LINK_customer_id);
	result->result = result->transaction_id != 0 ? "deposited" : "linked";
	if (result->transaction_id != 0 || !auto_deposit)
		return false;
	wallet = c360_wallet_lock(store, result->customer_id, false);
	name_customer(wallet, result);
	deposit(wallet, transfer, c360_get_int64(link, LINK_id), result);
	return true;
}

static Datum
link_transaction(PG_FUNCTION_ARGS)
{
	int64		id = c360_arg_int64(fcinfo, 0, "bank_transaction_id");
	char	   *phone = c360_arg_phone(fcinfo, 1, "phone");
	char	   *name = PG_ARGISNULL(2) ? NULL :
		c360_arg_required_text(fcinfo, 2, "customer_name", C360_NAME_MAX);
	bool		auto_deposit = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	C360Store  *store = c360_store_open();
	C360Transfer transfer;
	C360Row    *row = lock_incoming(store, id, &transfer);
	C360Row    *link = open_link(store, id);
	C360BankResult result = result_of(&transfer);
	bool		changed = true;

	if (link == NULL)
	{
		link_to(lock_payee(store, phone, name, &result), &transfer, "manual", NULL,
				auto_deposit, &result);
		set_match("transfer", id, "resolved", result.customer_id, true, NULL);
	}
	else if (c360_get_int64(link, LINK_customer_id) != c360_customer_by_phone(store, phone))
		refuse_linked(id, c360_get_int64(link, LINK_customer_id));
	else
		changed = link_again(store, &transfer, link, auto_deposit, &result);
	result.phone = phone;
	if (changed)
	{
		c360_record_result(store, row, result.result, NULL);
		c360_bank_announce(store, &transfer, &result, "bank.linked", "manual", NULL);
	}
	c360_store_close(store);
	return c360_bank_answer(fcinfo, &result);
}

Datum
c360_link_transaction(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_link_transaction", link_transaction);
}

static Datum
unlink_transaction(PG_FUNCTION_ARGS)
{
	int64		id = c360_arg_int64(fcinfo, 0, "bank_transaction_id");
	char	   *reason = c360_arg_required_text(fcinfo, 1, "reason", C360_REASON_MAX);
	C360Store  *store = c360_store_open();
	C360Transfer transfer;
	C360Row    *row = lock_incoming(store, id, &transfer);
	C360Row    *link = open_link(store, id);
	C360BankResult result = result_of(&transfer);
	C360Wallet *wallet;
	C360Row    *deposited;
	int64		link_id;

	if (link == NULL)
		conflict("transfer is not linked", psprintf("not_linked: transfer %lld", (long long) id));
	link_id = c360_get_int64(link, LINK_id);
	wallet = c360_wallet_lock(store, c360_get_int64(link, LINK_customer_id), false);
	name_customer(wallet, &result);
	deposited = c360_find(store, C360_LEDGER_BY_LINK, Int64GetDatum(link_id));
	if (deposited != NULL)
		result.transaction_id =
			c360_take_transfer_back(wallet, c360_get_int64(deposited, LEDGER_amount), link_id, id,
									reason);
	end_link(store, link, reason);
	result.result = "unlinked";
	c360_record_result(store, row, result.result, NULL);
	c360_bank_announce(store, &transfer, &result, "bank.unlinked", NULL, reason);
	c360_store_close(store);
	return c360_bank_answer(fcinfo, &result);
}

Datum
c360_unlink_transaction(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_unlink_transaction", unlink_transaction);
}

static Datum
resolve_match(PG_FUNCTION_ARGS)
{
	int64		id = c360_arg_int64(fcinfo, 0, "match_id");
	char	   *phone = c360_arg_phone(fcinfo, 1, "phone");
	bool		any_customer = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	char	   *note = c360_arg_text(fcinfo, 3, "note", C360_NOTE_MAX);
	C360Store  *store = c360_store_open();
	C360Transfer transfer;
	Match		match;
	C360Row    *row = lock_match(store, id, &transfer, &match);
	bool		listed = is_listed(match.candidates, phone, c360_customer_by_phone(store, phone));
	C360BankResult result = result_of(&transfer);

	require_pending(&match);
	if (!listed && !any_customer)
		refuse_customer(phone);
	link_to(lock_payee(store, phone, NULL, &result), &transfer, "resolved", NULL, true, &result);
	set_match("match", id, "resolved", result.customer_id, !listed, note);
	c360_record_result(store, row, result.result, NULL);
	c360_bank_announce(store, &transfer, &result, "bank.resolved",
					   listed ? "resolved" : "any_customer", note);
	c360_store_close(store);
	return c360_bank_answer(fcinfo, &result);
}

Datum
c360_resolve_match(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_resolve_match", resolve_match);
}

static Datum
skip_match(PG_FUNCTION_ARGS)
{
	int64		id = c360_arg_int64(fcinfo, 0, "match_id");
	char	   *reason = c360_arg_required_text(fcinfo, 1, "reason", C360_REASON_MAX);
	C360Store  *store = c360_store_open();
	C360Transfer transfer;
	Match		match;
	C360Row    *row = lock_match(store, id, &transfer, &match);
	C360BankResult result = result_of(&transfer);

	require_pending(&match);
	set_match("match", id, "skipped", 0, false, reason);
	result.result = "skipped";
	c360_record_result(store, row, result.result, NULL);
	c360_bank_announce(store, &transfer, &result, "bank.skipped", NULL, reason);
	c360_store_close(store);
	return c360_bank_answer(fcinfo, &result);
}

Datum
c360_skip_match(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_skip_match", skip_match);
}

static Datum
undo_skip_match(PG_FUNCTION_ARGS)
{
	int64		id = c360_arg_int64(fcinfo, 0, "match_id");
	C360Store  *store = c360_store_open();
	C360Transfer transfer;
	Match		match;
	C360Row    *row = lock_match(store, id, &transfer, &match);
	C360Row    *link = open_link(store, transfer.id);
	C360BankResult result = result_of(&transfer);

	if (strcmp(match.status, "skipped") != 0)
		conflict("match is not skipped",
				 psprintf("not_skipped: match %lld is %s", (long long) id, match.status));
	if (link != NULL)
		refuse_linked(transfer.id, c360_get_int64(link, LINK_customer_id));
	set_match("match", id, "pending", 0, false, NULL);
	result.result = "pending";
	c360_record_result(store, row, result.result, NULL);
	c360_bank_announce(store, &transfer, &result, "bank.pending", NULL, NULL);
	c360_store_close(store);
	return c360_bank_answer(fcinfo, &result);
}

Datum
c360_undo_skip_match(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_undo_skip_match", undo_skip_match);
}
