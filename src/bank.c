/*
 * bank.c
 *	  Bank transfers: stored, decided, linked, deposited.
 *
 * The row of a transfer is stored first; its gateway id is unique, so that a
 * transfer told twice is stored once. Who sent it is then decided, linked and
 * deposited in a subtransaction: when that fails the row stays, with the
 * reason, and can be tried again. A link has one deposit, by a unique key of
 * the ledger.
 *
 * Lock order: the transfer's row, then the wallet. No function takes them the
 * other way round.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "actor.h"
#include "call.h"
#include "customer.h"
#include "json.h"
#include "payload.h"
#include "query.h"
#include "settings.h"
#include "transfer.h"
#include "wallet.h"

PG_FUNCTION_INFO_V1(c360_ingest_bank_transaction);

/* One row of type c360_bank_result. */
typedef struct BankResult
{
	int64		bank_transaction_id;
	const char *result;
	char	   *phone;
	int64		customer_id;	/* 0 = none */
	bool		customer_created;
	int64		transaction_id; /* 0 = none */
	int64		amount;
} BankResult;

/* A candidate of the content and the customer it led to. */
typedef struct Seen
{
	C360Candidate candidate;
	int64		customer_id;	/* 0 = unknown */
} Seen;

typedef struct Decision
{
	Seen	   *seen;
	int			nseen;
	const Seen *by;				/* what decided, NULL = nobody found */
	bool		several;		/* staff must choose */
} Decision;

static const char *const kind_names[] = {
	[C360_CANDIDATE_QR_CODE] = "qr_code",
	[C360_CANDIDATE_PHONE] = "phone",
	[C360_CANDIDATE_PART] = "part",
};

/*
 * What the content holds
 */

/* The shop's own numbers. */
static C360Ignored *
load_ignored(size_t *count)
{
	static C360Query query = {"SELECT value FROM c360.transfer_ignored", 0, {0}, NULL};
	MemoryContext caller = CurrentMemoryContext;
	C360Ignored *ignored;

	SPI_connect();
	*count = c360_query(&query, NULL, NULL);
	ignored = MemoryContextAllocZero(caller, sizeof(C360Ignored) * (*count + 1));
	for (size_t i = 0; i < *count; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		c360_transfer_ignore(value, strlen(value), &ignored[i]);
	}
	SPI_finish();
	return ignored;
}

/* The customer of a live QR code, 0 if there is none. */
static int64
customer_of_code(const char *code)
{
	static C360Query query = {
		"SELECT customer_id FROM c360.balance_customer_info"
		" WHERE code OPERATOR(pg_catalog.=) $1 AND retired_at IS NULL",
		1, {TEXTOID}, NULL
	};
	Datum		values[1];
	int64		id = 0;
	bool		isnull;

	SPI_connect();
	values[0] = CStringGetTextDatum(code);
	if (c360_query(&query, values, NULL) == 1)
		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return id;
}

static void
read_content(C360Store *store, const char *content, Decision *decision)
{
	size_t		length = content != NULL ? strlen(content) : 0;
	size_t		nignored;
	C360Ignored *ignored = load_ignored(&nignored);
	C360Candidate *candidates = palloc(sizeof(C360Candidate) * (c360_transfer_capacity(length) + 1));
	size_t		count = length == 0 ? 0 :
		c360_transfer_parse(content, length, ignored, nignored, palloc(length), candidates);

	decision->seen = palloc0(sizeof(Seen) * (count + 1));
	decision->nseen = count;
	for (size_t i = 0; i < count; i++)
	{
		Seen	   *seen = &decision->seen[i];

		seen->candidate = candidates[i];
		if (seen->candidate.kind == C360_CANDIDATE_QR_CODE)
			seen->customer_id = customer_of_code(seen->candidate.value);
		else if (seen->candidate.kind == C360_CANDIDATE_PHONE)
			seen->customer_id = c360_customer_by_phone(store, seen->candidate.value);
	}
}

/*
 * The decision: a known QR code wins over everything, two of different
 * customers do not; else one whole phone, known or not. A second whole phone
 * is another customer's, since a live number has one owner.
 */
static void
decide(Decision *decision)
{
	for (int i = 0; i < decision->nseen; i++)
	{
		const Seen *seen = &decision->seen[i];

		if (seen->candidate.kind == C360_CANDIDATE_QR_CODE && seen->customer_id != 0)
		{
			if (decision->by == NULL)
				decision->by = seen;
			else if (decision->by->customer_id != seen->customer_id)
				decision->several = true;
		}
	}
	for (int i = 0; i < decision->nseen; i++)
	{
		const Seen *seen = &decision->seen[i];

		if (seen->candidate.kind != C360_CANDIDATE_PHONE)
			continue;
		if (decision->by == NULL)
			decision->by = seen;
		else if (decision->by->candidate.kind == C360_CANDIDATE_PHONE)
			decision->several = true;
	}
}

static Jsonb *
decision_as_json(const Decision *decision)
{
	C360Json	json = {0};

	c360_json_begin_array(&json, NULL);
	for (int i = 0; i < decision->nseen; i++)
	{
		const Seen *seen = &decision->seen[i];

		c360_json_begin_object(&json, NULL);
		c360_json_text(&json, "kind", kind_names[seen->candidate.kind]);
		c360_json_text(&json, "value", seen->candidate.value);
		c360_json_int64(&json, "position", seen->candidate.position);
		c360_json_int64(&json, "confidence_percent", (int64) (seen->candidate.confidence * 100 + 0.5));
		c360_json_begin_array(&json, "customers");
		if (seen->customer_id != 0)
			c360_json_int64(&json, NULL, seen->customer_id);
		c360_json_end_array(&json);
		c360_json_end_object(&json);
	}
	c360_json_end_array(&json);
	return c360_json_finish(&json);
}

/*
 * Rows
 */

static void
put_text(Datum *values, char *nulls, int i, const char *value)
{
	nulls[i] = value == NULL ? 'n' : ' ';
	values[i] = value == NULL ? (Datum) 0 : CStringGetTextDatum(value);
}

static int64
returned_id(void)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Stores the transfer; 0 if its id is known. */
static int64
store_transfer(const C360Payload *payload)
{
	static C360Query insert = {
		"INSERT INTO c360.balance_history (sepay_id, gateway, transaction_date, account_number,"
		" sub_account, code, content, transfer_type, transfer_amount, accumulated,"
		" reference_code, description, raw_data)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
		" ON CONFLICT (sepay_id) DO NOTHING RETURNING id",
		13, {INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		INT8OID, INT8OID, TEXTOID, TEXTOID, JSONBOID}, NULL
	};
	Datum		values[13];
	char		nulls[13] = "             ";
	int64		id = 0;

	SPI_connect();
	values[0] = Int64GetDatum(payload->sepay_id);
	put_text(values, nulls, 1, payload->gateway);
	values[2] = TimestampTzGetDatum(payload->transaction_date);
	put_text(values, nulls, 3, payload->account_number);
	put_text(values, nulls, 4, payload->sub_account);
	put_text(values, nulls, 5, payload->code);
	put_text(values, nulls, 6, payload->content);
	put_text(values, nulls, 7, payload->transfer_type);
	values[8] = Int64GetDatum(payload->transfer_amount);
	values[9] = Int64GetDatum(payload->accumulated);
	nulls[9] = payload->has_accumulated ? ' ' : 'n';
	put_text(values, nulls, 10, payload->reference_code);
	put_text(values, nulls, 11, payload->description);
	values[12] = JsonbPGetDatum(payload->raw);
	if (c360_query(&insert, values, nulls) == 1)
		id = returned_id();
	SPI_finish();
	return id;
}

static int64
open_link(int64 bank_transaction_id, int64 customer_id, const char *method)
{
	static C360Query insert = {
		"INSERT INTO c360.bank_links (bank_transaction_id, customer_id, method, linked_by)"
		" VALUES ($1, $2, $3, $4) RETURNING id",
		4, {INT8OID, INT8OID, TEXTOID, TEXTOID}, NULL
	};
	Datum		values[4];
	int64		id;

	SPI_connect();
	values[0] = Int64GetDatum(bank_transaction_id);
	values[1] = Int64GetDatum(customer_id);
	values[2] = CStringGetTextDatum(method);
	values[3] = CStringGetTextDatum(c360_actor());
	c360_query(&insert, values, NULL);
	id = returned_id();
	SPI_finish();
	return id;
}

static void
open_match(int64 bank_transaction_id, Jsonb *candidates)
{
	static C360Query insert = {
		"INSERT INTO c360.pending_customer_matches (bank_transaction_id, candidates)"
		" VALUES ($1, $2)",
		2, {INT8OID, JSONBOID}, NULL
	};
	Datum		values[2];

	SPI_connect();
	values[0] = Int64GetDatum(bank_transaction_id);
	values[1] = JsonbPGetDatum(candidates);
	c360_query(&insert, values, NULL);
	SPI_finish();
}

static void
record_result(int64 bank_transaction_id, const char *result, Jsonb *decision)
{
	static C360Query update = {
		"UPDATE c360.balance_history SET result = $2, decision = $3, error = NULL,"
		" attempts = attempts OPERATOR(pg_catalog.+) 1, next_attempt_at = NULL,"
		" decided_at = pg_catalog.clock_timestamp() WHERE id OPERATOR(pg_catalog.=) $1",
		3, {INT8OID, TEXTOID, JSONBOID}, NULL
	};
	Datum		values[3];
	char		nulls[3] = "   ";

	SPI_connect();
	values[0] = Int64GetDatum(bank_transaction_id);
	values[1] = CStringGetTextDatum(result);
	values[2] = decision != NULL ? JsonbPGetDatum(decision) : (Datum) 0;
	nulls[2] = decision != NULL ? ' ' : 'n';
	c360_query(&update, values, nulls);
	SPI_finish();
}

/* Tried again after 5 minutes, then at twice the distance each time. */
static void
record_failure(int64 bank_transaction_id, const char *error)
{
	static C360Query update = {
		"UPDATE c360.balance_history SET result = 'failed', error = $2,"
		" attempts = attempts OPERATOR(pg_catalog.+) 1,"
		" next_attempt_at = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)"
		" (pg_catalog.power(2, attempts) OPERATOR(pg_catalog.*) interval '5 minutes')"
		" WHERE id OPERATOR(pg_catalog.=) $1",
		2, {INT8OID, TEXTOID}, NULL
	};
	Datum		values[2];

	SPI_connect();
	values[0] = Int64GetDatum(bank_transaction_id);
	values[1] = CStringGetTextDatum(error);
	c360_query(&update, values, NULL);
	SPI_finish();
}

static void
announce(C360Store *store, const BankResult *result, const C360Payload *payload,
		 const char *event, const char *method)
{
	C360Activity activity = {.topic = "bank",.reference_type = "bank_transaction"};
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_int64(&json, "sepay_id", payload->sepay_id);
	c360_json_text(&json, "gateway", payload->gateway);
	c360_json_text(&json, "transfer_type", payload->transfer_type);
	c360_json_int64(&json, "amount", payload->transfer_amount);
	c360_json_text(&json, "phone", result->phone);
	c360_json_text(&json, "method", method);
	if (result->transaction_id != 0)
		c360_json_int64(&json, "transaction_id", result->transaction_id);
	c360_json_end_object(&json);
	activity.event = event;
	activity.customer_id = result->customer_id;
	activity.reference_id = result->bank_transaction_id;
	activity.payload = c360_json_finish(&json);
	c360_activity_write(store, &activity);
}

/*
 * Deciding
 */

static void
link_and_deposit(C360Store *store, const C360Payload *payload, const Decision *decision,
				 BankResult *result)
{
	const char *method = kind_names[decision->by->candidate.kind];
	int64		link;

	if (result->customer_id == 0)
		result->customer_id = c360_customer_create(store, result->phone, NULL, "bank_link",
												   &result->customer_created);
	link = open_link(result->bank_transaction_id, result->customer_id, method);
	c360_store_refresh(store);
	result->transaction_id =
		c360_deposit_transfer(store, result->customer_id, payload->transfer_amount, link,
							  result->bank_transaction_id, payload->transaction_date);
	result->result = "deposited";
	announce(store, result, payload, "bank.linked", method);
}

static char *
phone_of_customer(C360Store *store, int64 customer_id)
{
	C360Row    *row = c360_find(store, C360_CUSTOMER_BY_ID, Int64GetDatum(customer_id));

	return row != NULL ? c360_get_text(row, CUSTOMER_phone) : NULL;
}

static void
decide_transfer(const C360Payload *payload, BankResult *result)
{
	C360Store  *store = c360_store_open();
	Decision	decision = {0};
	Jsonb	   *seen;

	read_content(store, payload->content, &decision);
	decide(&decision);
	seen = decision_as_json(&decision);
	if (decision.by == NULL)
		result->result = "unmatched";
	else if (decision.several || (decision.by->customer_id == 0 &&
								  !c360_settings()->create_customer_from_transfer))
	{
		result->result = "pending";
		open_match(result->bank_transaction_id, seen);
		announce(store, result, payload, "bank.pending", NULL);
	}
	else
	{
		result->customer_id = decision.by->customer_id;
		result->phone = result->customer_id != 0 ?
			phone_of_customer(store, result->customer_id) :
			pstrdup(decision.by->candidate.value);
		link_and_deposit(store, payload, &decision, result);
	}
	c360_store_close(store);
	record_result(result->bank_transaction_id, result->result, seen);
}

typedef struct Attempt
{
	const C360Payload *payload;
	BankResult *result;
} Attempt;

static void
attempt(void *arg)
{
	Attempt    *this = arg;

	decide_transfer(this->payload, this->result);
}

/* Decides in a subtransaction; a failure leaves the row and its reason. */
static void
decide_or_fail(const C360Payload *payload, BankResult *result)
{
	BankResult	before = *result;
	Attempt		this = {payload, result};
	ErrorData  *error = c360_try(attempt, &this);

	if (error == NULL)
		return;
	*result = before;
	result->result = "failed";
	record_failure(result->bank_transaction_id,
				   psprintf("%s %s", unpack_sql_state(error->sqlerrcode), error->message));
}

/*
 * Ingest
 */

/*
 * The same id again: nothing changes, but another amount or content is kept
 * for whoever looks into it.
 */
static void
answer_duplicate(const C360Payload *payload, BankResult *result)
{
	static C360Query select = {
		"SELECT h.id, l.customer_id, c.phone, t.id, h.transfer_amount"
		" FROM c360.balance_history h"
		" LEFT JOIN c360.bank_links l ON l.bank_transaction_id OPERATOR(pg_catalog.=) h.id"
		" AND l.unlinked_at IS NULL"
		" LEFT JOIN c360.customers c ON c.id OPERATOR(pg_catalog.=) l.customer_id"
		" LEFT JOIN c360.wallet_transactions t ON t.bank_link_id OPERATOR(pg_catalog.=) l.id"
		" AND t.type OPERATOR(pg_catalog.=) 'DEPOSIT'"
		" WHERE h.sepay_id OPERATOR(pg_catalog.=) $1",
		1, {INT8OID}, NULL
	};
	static C360Query keep = {
		"INSERT INTO c360.balance_history_differences (bank_transaction_id, raw_data)"
		" SELECT h.id, $2 FROM c360.balance_history h"
		" WHERE h.sepay_id OPERATOR(pg_catalog.=) $1"
		" AND (h.transfer_amount OPERATOR(pg_catalog.<>) $3"
		" OR h.transfer_type OPERATOR(pg_catalog.<>) $5 OR h.content IS DISTINCT FROM $4)"
		" AND NOT EXISTS (SELECT FROM c360.balance_history_differences d"
		" WHERE d.bank_transaction_id OPERATOR(pg_catalog.=) h.id"
		" AND d.raw_data OPERATOR(pg_catalog.=) $2)",
		5, {INT8OID, JSONBOID, INT8OID, TEXTOID, TEXTOID}, NULL
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[5];
	char		nulls[5] = "     ";
	bool		isnull;
	HeapTuple	row;

	SPI_connect();
	values[0] = Int64GetDatum(payload->sepay_id);
	if (c360_query(&select, values, NULL) == 0)
		elog(ERROR, "transfer %lld is neither new nor known", (long long) payload->sepay_id);
	row = SPI_tuptable->vals[0];
	result->result = "duplicate";
	result->bank_transaction_id = returned_id();
	result->customer_id = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
	result->phone = SPI_getvalue(row, SPI_tuptable->tupdesc, 3);
	if (result->phone != NULL)
		result->phone = MemoryContextStrdup(caller, result->phone);
	result->transaction_id = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 4, &isnull));
	result->amount = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 5, &isnull));
	values[1] = JsonbPGetDatum(payload->raw);
	values[2] = Int64GetDatum(payload->transfer_amount);
	put_text(values, nulls, 3, payload->content);
	put_text(values, nulls, 4, payload->transfer_type);
	c360_query(&keep, values, nulls);
	SPI_finish();
}

static void
announce_received(const C360Payload *payload, const BankResult *result)
{
	C360Store  *store = c360_store_open();

	announce(store, result, payload, "bank.received", NULL);
	c360_store_close(store);
}

static void
ingest(const C360Payload *payload, BankResult *result)
{
	result->amount = payload->transfer_amount;
	result->bank_transaction_id = store_transfer(payload);
	if (result->bank_transaction_id == 0)
	{
		answer_duplicate(payload, result);
		return;
	}
	announce_received(payload, result);
	if (strcmp(payload->transfer_type, "out") == 0 || payload->transfer_amount == 0)
	{
		result->result = "stored";
		record_result(result->bank_transaction_id, result->result, NULL);
	}
	else
		decide_or_fail(payload, result);
}

static Datum
bank_answer(FunctionCallInfo fcinfo, const BankResult *result)
{
	TupleDesc	desc;
	Datum		values[7] = {0};
	bool		nulls[7] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 7)
		elog(ERROR, "return type must be c360_bank_result");
	values[0] = Int64GetDatum(result->bank_transaction_id);
	values[1] = CStringGetTextDatum(result->result);
	nulls[2] = result->phone == NULL;
	values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(result->phone);
	nulls[3] = result->customer_id == 0;
	values[3] = Int64GetDatum(result->customer_id);
	values[4] = BoolGetDatum(result->customer_created);
	nulls[5] = result->transaction_id == 0;
	values[5] = Int64GetDatum(result->transaction_id);
	values[6] = Int64GetDatum(result->amount);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static Datum
ingest_bank_transaction(PG_FUNCTION_ARGS)
{
	C360Payload payload;
	BankResult	result = {0};

	if (PG_ARGISNULL(0))
		c360_missing_argument("payload");
	c360_payload_read(PG_GETARG_JSONB_P(0), &payload);
	ingest(&payload, &result);
	return bank_answer(fcinfo, &result);
}

Datum
c360_ingest_bank_transaction(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_ingest_bank_transaction", ingest_bank_transaction);
}
