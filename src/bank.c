/*
 * bank.c
 *	  Bank transfers are taken in: stored, decided, linked, deposited, once for
 *	  each id of the gateway.
 *
 * A transfer is decided first, since that only reads, and then stored with its
 * result, linked and deposited in one subtransaction: one row version, one
 * entry in each index. If that fails the transfer is stored as failed with the
 * reason, and is tried again later (bank_retry.c). If the id turns out to be
 * known, by its unique key, nothing changes and the answer is "duplicate".
 *
 * Many transfers at once go by the hundred: such a batch is one
 * subtransaction, and if something fails in it each gets its own. A payload of
 * the wrong form, or that cannot be stored, fails by itself; a row of
 * c360.audit_logs says which item and why.
 *
 * Lock order: the transfer's row, then the wallet. Who takes many of them in
 * one transaction takes BANK_LOCK first, so that two of them do not take the
 * same wallets in different order. Others hold one transfer and wait for one
 * wallet, which is a deadlock if many come to that transfer after that wallet.
 * Then the batch gives up what it had locked, and the other goes on, while its
 * items are taken in one by one. If the wallet belongs to an earlier batch, the
 * item alone gives up: the other will have stored it after us, and if he has
 * not (it was a wallet that we waited for), it is stored as failed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "activity.h"
#include "actor.h"
#include "bank.h"
#include "call.h"
#include "compat.h"
#include "json.h"
#include "query.h"

#define BATCH_SIZE 100
#define MOST_PAYLOADS 10000

PG_FUNCTION_INFO_V1(c360_ingest_bank_transaction);
PG_FUNCTION_INFO_V1(c360_ingest_bank_transactions);

/*
 * Rows
 */

bool
c360_is_incoming(const C360Transfer *transfer)
{
	return strcmp(transfer->transfer_type, "in") == 0 && transfer->amount > 0;
}

static void
transfer_of_payload(const C360Payload *payload, C360Transfer *transfer)
{
	memset(transfer, 0, sizeof(*transfer));
	transfer->sepay_id = payload->sepay_id;
	transfer->gateway = payload->gateway;
	transfer->transfer_type = payload->transfer_type;
	transfer->content = payload->content;
	transfer->amount = payload->transfer_amount;
	transfer->date = payload->transaction_date;
}

void
c360_transfer_of_row(C360Row *row, C360Transfer *transfer)
{
	transfer->id = c360_get_int64(row, TRANSFER_id);
	transfer->sepay_id = c360_get_int64(row, TRANSFER_sepay_id);
	transfer->gateway = c360_get_text(row, TRANSFER_gateway);
	transfer->transfer_type = c360_get_text(row, TRANSFER_transfer_type);
	transfer->content = c360_get_text(row, TRANSFER_content);
	transfer->amount = c360_get_int64(row, TRANSFER_transfer_amount);
	transfer->date = c360_get_time(row, TRANSFER_transaction_date);
}

/* PT404 if there is none; NULL if it is busy and skip_locked. */
C360Row *
c360_lock_transfer(C360Store *store, int64 id, bool skip_locked)
{
	C360Row    *row = c360_find(store, C360_TRANSFER_BY_ID, Int64GetDatum(id));
	C360LockResult locked = row != NULL ? c360_lock(store, row, skip_locked) : C360_LOCK_GONE;

	if (locked == C360_LOCK_BUSY)
		return NULL;
	if (locked == C360_LOCK_GONE)
		ereport(ERROR,
				(errcode(ERRCODE_C360_NOT_FOUND),
				 errmsg("no such bank transaction"),
				 errdetail("bank_transaction_not_found: id %lld", (long long) id)));
	c360_store_refresh(store);
	return row;
}

/* What became of a stored transfer; decision NULL keeps what was seen before. */
void
c360_record_result(C360Store *store, C360Row *row, const char *result,
				   const C360Decision *decision)
{
	C360Row    *changed = c360_row_changed(store, row);

	c360_put_text(changed, TRANSFER_result, result);
	c360_put_null(changed, TRANSFER_error);
	c360_put_null(changed, TRANSFER_next_attempt_at);
	c360_put_null(changed, TRANSFER_given_up_at);
	c360_put_time(changed, TRANSFER_decided_at, GetCurrentTimestamp());
	if (decision != NULL)
	{
		c360_put_jsonb(changed, TRANSFER_decision, decision->seen);
		c360_put(changed, TRANSFER_attempts,
				 Int32GetDatum((int32) c360_get_int64(row, TRANSFER_attempts) + 1));
	}
	c360_update(store, row, changed);
}

void
c360_bank_announce(C360Store *store, const C360Transfer *transfer, const C360BankResult *result,
				   const char *event, const char *method, const char *note)
{
	C360Activity activity = {.topic = "bank",.reference_type = "bank_transaction"};
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_int64(&json, "sepay_id", transfer->sepay_id);
	c360_json_text(&json, "gateway", transfer->gateway);
	c360_json_text(&json, "transfer_type", transfer->transfer_type);
	c360_json_int64(&json, "amount", transfer->amount);
	c360_json_text(&json, "phone", result->phone);
	c360_json_text(&json, "method", method);
	c360_json_text(&json, "note", note);
	if (result->transaction_id != 0)
		c360_json_int64(&json, "transaction_id", result->transaction_id);
	c360_json_end_object(&json);
	activity.event = event;
	activity.customer_id = result->customer_id;
	activity.reference_id = transfer->id;
	activity.payload = c360_json_finish(&json);
	c360_activity_write(store, &activity);
}

/* error NULL: decided, or not tried yet; then it is due at once. */
static void
store_transfer(C360Store *store, const C360Payload *payload, C360Transfer *transfer,
			   const char *result, const C360Decision *decision, const char *error)
{
	C360Row    *row;
	TimestampTz now = GetCurrentTimestamp();

	transfer->id = c360_next_id(store, C360_TRANSFERS);
	row = c360_row_new(store, C360_TRANSFERS);
	c360_put_int64(row, TRANSFER_id, transfer->id);
	c360_put_int64(row, TRANSFER_sepay_id, payload->sepay_id);
	c360_put_text(row, TRANSFER_gateway, payload->gateway);
	c360_put_time(row, TRANSFER_transaction_date, payload->transaction_date);
	c360_put_text(row, TRANSFER_account_number, payload->account_number);
	c360_put_text(row, TRANSFER_sub_account, payload->sub_account);
	c360_put_text(row, TRANSFER_code, payload->code);
	c360_put_text(row, TRANSFER_content, payload->content);
	c360_put_text(row, TRANSFER_transfer_type, payload->transfer_type);
	c360_put_int64(row, TRANSFER_transfer_amount, payload->transfer_amount);
	if (payload->has_accumulated)
		c360_put_int64(row, TRANSFER_accumulated, payload->accumulated);
	c360_put_text(row, TRANSFER_reference_code, payload->reference_code);
	c360_put_text(row, TRANSFER_description, payload->description);
	c360_put_jsonb(row, TRANSFER_raw_data, payload->raw);
	c360_put_time(row, TRANSFER_received_at, now);
	c360_put_text(row, TRANSFER_result, result);
	c360_put_jsonb(row, TRANSFER_decision, decision != NULL ? decision->seen : NULL);
	c360_put_text(row, TRANSFER_error, error);
	c360_put(row, TRANSFER_attempts, Int32GetDatum(result != NULL));
	if (error != NULL)
		c360_put_time(row, TRANSFER_next_attempt_at, now + 5 * USECS_PER_MINUTE);
	else if (result == NULL)
		c360_put_time(row, TRANSFER_next_attempt_at, now);
	else
		c360_put_time(row, TRANSFER_decided_at, now);
	c360_insert(store, row);
}

/*
 * The same id again
 */

/* Another amount, direction or content is kept for whoever looks into it. */
static void
keep_difference(C360Store *store, const C360Payload *payload)
{
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
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', payload->content == NULL ? 'n' : ' ', ' '};

	values[0] = Int64GetDatum(payload->sepay_id);
	values[1] = JsonbPGetDatum(payload->raw);
	values[2] = Int64GetDatum(payload->transfer_amount);
	values[3] = payload->content == NULL ? (Datum) 0 : CStringGetTextDatum(payload->content);
	values[4] = CStringGetTextDatum(payload->transfer_type);
	c360_store_write(store);
	SPI_connect();
	c360_query(&keep, values, nulls);
	SPI_finish();
}

/* Of a transfer whose customer was erased nothing is taken up again. */
static bool
is_erased(C360Row *row)
{
	return JB_ROOT_COUNT(c360_get_jsonb(row, TRANSFER_raw_data)) == 0;
}

static bool
differs(C360Row *row, const C360Payload *payload)
{
	char	   *content = c360_get_text(row, TRANSFER_content);

	return c360_get_int64(row, TRANSFER_transfer_amount) != payload->transfer_amount ||
		strcmp(c360_get_text(row, TRANSFER_transfer_type), payload->transfer_type) != 0 ||
		(content == NULL) != (payload->content == NULL) ||
		(content != NULL && strcmp(content, payload->content) != 0);
}

/* If the id is known: nothing changes, and the answer says where it stands. */
static bool
answer_duplicate(C360Store *store, const C360Payload *payload, C360BankResult *result)
{
	C360Row    *row = c360_find(store, C360_TRANSFER_BY_SEPAY_ID, Int64GetDatum(payload->sepay_id));
	C360Row    *link;
	C360Row    *found;

	if (row == NULL)
		return false;
	memset(result, 0, sizeof(*result));
	result->result = "duplicate";
	result->bank_transaction_id = c360_get_int64(row, TRANSFER_id);
	result->amount = c360_get_int64(row, TRANSFER_transfer_amount);
	link = c360_find(store, C360_LINK_OPEN, Int64GetDatum(result->bank_transaction_id));
	if (link != NULL)
	{
		result->customer_id = c360_get_int64(link, LINK_customer_id);
		found = c360_find(store, C360_CUSTOMER_BY_ID, Int64GetDatum(result->customer_id));
		result->phone = found != NULL ? c360_get_text(found, CUSTOMER_phone) : NULL;
		found = c360_find(store, C360_LEDGER_BY_LINK,
						  Int64GetDatum(c360_get_int64(link, LINK_id)));
		result->transaction_id = found != NULL ? c360_get_int64(found, LEDGER_id) : 0;
	}
	if (!is_erased(row) && differs(row, payload))
		keep_difference(store, payload);
	return true;
}

/*
 * Taking in
 */

/* One of a batch: read, or refused with the error. */
typedef struct Taken
{
	C360Payload payload;
	ErrorData  *error;
	C360BankResult result;
} Taken;

typedef struct Batch
{
	Taken	   *items;
	int			count;
	bool		decide;
	const char *failure;		/* stored as failed for this reason */
	bool		one_of_many;	/* things that the transaction does */
	int			at;				/* the item that is taken in */
} Batch;

static void
take_in_one(C360Store *store, const Batch *batch, Taken *item)
{
	C360Transfer transfer;
	C360Decision decision = {0};
	bool		undecided = batch->failure == NULL;

	if (answer_duplicate(store, &item->payload, &item->result))
		return;
	transfer_of_payload(&item->payload, &transfer);
	memset(&item->result, 0, sizeof(item->result));
	item->result.amount = transfer.amount;
	item->result.result = batch->failure != NULL ? "failed" : NULL;
	if (!c360_is_incoming(&transfer))
		item->result.result = decision.outcome = "stored";
	else if (undecided && batch->decide)
		c360_decide(store, &transfer, true, &decision);
	store_transfer(store, &item->payload, &transfer,
				   item->result.result != NULL ? item->result.result : decision.outcome, &decision,
				   batch->failure);
	item->result.bank_transaction_id = transfer.id;
	c360_bank_announce(store, &transfer, &(C360BankResult){0}, "bank.received", NULL, NULL);
	if (item->result.result != NULL)
		return;
	if (decision.outcome != NULL)
		c360_follow_decision(store, &transfer, &decision, &item->result);
	else
		item->result.result = "stored";	/* the job decides */
}

static void
take_in(void *arg)
{
	Batch	   *batch = arg;
	C360Store  *store = c360_store_open();

	if (batch->count > 1)
		(void) c360_store_expect_many(store, true);
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->items[i].error != NULL)
			continue;
		batch->at = i;
		take_in_one(store, batch, &batch->items[i]);
		if (i < batch->count - 1)
			c360_store_refresh(store);
	}
	c360_store_close(store);
}

/* Another transaction stored the same id while we did. */
static bool
is_duplicate(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->constraint_name != NULL &&
		strcmp(error->constraint_name, "balance_history_sepay_id_key") == 0;
}

static ErrorData *
try_to_take_in(Batch *batch)
{
	return batch->one_of_many ? c360_try_one_of_many(take_in, batch) : c360_try(take_in, batch);
}

/*
 * One transfer in a subtransaction of its own. What cannot be decided is
 * stored with the reason; if it cannot be stored, the error is the answer.
 */
static ErrorData *
take_in_alone(Taken *item, bool decide, bool one_of_many)
{
	Batch		batch = {item, 1, decide, NULL, one_of_many, 0};
	ErrorData  *error = try_to_take_in(&batch);

	while (error != NULL)
	{
		if (is_duplicate(error))
		{
			if (IsolationUsesXactSnapshot())
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent update")));
		}
		else if (batch.failure != NULL)
			return error;
		else
			batch.failure = psprintf("%s %s", unpack_sql_state(error->sqlerrcode), error->message);
		error = try_to_take_in(&batch);
	}
	return NULL;
}

void
c360_ingest(const C360Payload *payload, C360BankResult *result)
{
	Taken		item = {*payload};
	ErrorData  *error = take_in_alone(&item, true, false);

	if (error != NULL)
		ReThrowError(error);
	*result = item.result;
}

/*
 * Answers
 */

static Datum
id_or_null(int64 id, bool *isnull)
{
	*isnull = id == 0;
	return Int64GetDatum(id);
}

void
c360_bank_values(const C360BankResult *result, Datum *values, bool *nulls)
{
	memset(nulls, 0, sizeof(bool) * 7);
	values[0] = id_or_null(result->bank_transaction_id, &nulls[0]);
	values[1] = CStringGetTextDatum(result->result);
	nulls[2] = result->phone == NULL;
	values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(result->phone);
	values[3] = id_or_null(result->customer_id, &nulls[3]);
	values[4] = BoolGetDatum(result->customer_created);
	values[5] = id_or_null(result->transaction_id, &nulls[5]);
	nulls[6] = result->bank_transaction_id == 0;
	values[6] = Int64GetDatum(result->amount);
}

Datum
c360_bank_answer(FunctionCallInfo fcinfo, const C360BankResult *result)
{
	TupleDesc	desc;
	Datum		values[7];
	bool		nulls[7];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 7)
		elog(ERROR, "return type must be c360_bank_result");
	c360_bank_values(result, values, nulls);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static Datum
ingest_bank_transaction(PG_FUNCTION_ARGS)
{
	C360Payload payload;
	C360BankResult result;

	if (PG_ARGISNULL(0))
		c360_missing_argument("payload");
	c360_payload_read(PG_GETARG_JSONB_P(0), &payload);
	c360_ingest(&payload, &result);
	return c360_bank_answer(fcinfo, &result);
}

Datum
c360_ingest_bank_transaction(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_ingest_bank_transaction", ingest_bank_transaction);
}

/*
 * Many at once
 */

/*
 * Reads a payload; what is wrong with it is kept in its item. No
 * subtransaction: nothing here touches the database.
 */
static void
read_item(JsonbValue *value, Taken *item)
{
	MemoryContext context = CurrentMemoryContext;

	memset(item, 0, sizeof(*item));
	PG_TRY();
	{
		c360_payload_read(JsonbValueToJsonb(value), &item->payload);
	}
	PG_CATCH();
	{
		item->error = c360_caught_data_error(context);
		item->result.result = "failed";
	}
	PG_END_TRY();
}

/* Nobody else tells of it: the call goes on. */
static void
report_item(int64 number, const ErrorData *error)
{
	static C360Query insert = {
		"INSERT INTO c360.audit_logs (at, function, sqlstate, message, detail, actor, session_user_name)"
		" VALUES (pg_catalog.clock_timestamp(), 'c360_ingest_bank_transactions', $1, $2, $3, $4, $5)",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
	};
	char	   *detail = psprintf("item %lld: %s", (long long) number,
								  error->detail != NULL ? error->detail : "");
	Datum		values[5];

	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("%s", error->message),
			 errdetail_internal("%s", detail)));
	values[0] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[1] = CStringGetTextDatum(error->message);
	values[2] = CStringGetTextDatum(detail);
	values[3] = CStringGetTextDatum(c360_actor());
	values[4] = CStringGetTextDatum(c360_session_user_name());
	SPI_connect();
	c360_query(&insert, values, NULL);
	SPI_finish();
}

/* What cannot be stored fails by itself, as what is malformed does. */
static void
take_in_item(const Batch *batch, Taken *item)
{
	if (item->error != NULL)
		return;
	item->error = take_in_alone(item, batch->decide, true);
	if (item->error != NULL)
		item->result = (C360BankResult) {.result = "failed"};
}

/*
 * The item at which the batch failed goes first: if it waits for somebody who
 * waited for us, he must find free what the batch had locked.
 */
static void
take_in_each(const Batch *batch)
{
	take_in_item(batch, &batch->items[batch->at]);
	for (int i = 0; i < batch->count; i++)
		if (i != batch->at)
			take_in_item(batch, &batch->items[i]);
}

static void
ingest_batch(Batch *batch, int64 first, ReturnSetInfo *answer)
{
	if (try_to_take_in(batch) != NULL)
		take_in_each(batch);
	for (int i = 0; i < batch->count; i++)
	{
		Datum		values[7];
		bool		nulls[7];

		if (batch->items[i].error != NULL)
			report_item(first + i, batch->items[i].error);
		c360_bank_values(&batch->items[i].result, values, nulls);
		tuplestore_putvalues(answer->setResult, answer->setDesc, values, nulls);
	}
}

static void
wrong_list(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("bank payload is malformed"),
			 errdetail("invalid_payload: %s", what)));
}

/* An array, or the answer of SePay's list with the array in "transactions". */
static JsonbContainer *
array_of(Jsonb *payloads)
{
	JsonbContainer *array = &payloads->root;
	JsonbValue *inner;

	if (JB_ROOT_IS_OBJECT(payloads))
	{
		inner = getKeyJsonValueFromContainer(array, "transactions", strlen("transactions"), NULL);
		array = inner != NULL && inner->type == jbvBinary ? inner->val.binary.data : NULL;
	}
	if (array == NULL || !JsonContainerIsArray(array) || JsonContainerIsScalar(array))
		wrong_list("the payloads are no array");
	if (JsonContainerSize(array) > MOST_PAYLOADS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many items"),
				 errdetail("too_many: %u payloads, at most %d", JsonContainerSize(array),
						   MOST_PAYLOADS)));
	return array;
}

static void
next_batch(JsonbIterator **iterator, Batch *batch)
{
	JsonbValue	value;

	for (batch->count = 0; batch->count < BATCH_SIZE; batch->count++)
	{
		if (JsonbIteratorNext(iterator, &value, true) != WJB_ELEM)
			return;
		read_item(&value, &batch->items[batch->count]);
	}
}

static Datum
ingest_bank_transactions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *answer = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		decide = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	MemoryContext context;
	MemoryContext caller;
	JsonbIterator *iterator;
	JsonbContainer *array;
	JsonbValue	value;
	int64		first = 1;
	Batch		batch = {NULL, 0, decide, NULL, true, 0};

	if (PG_ARGISNULL(0))
		c360_missing_argument("payloads");
	array = array_of(PG_GETARG_JSONB_P(0));
	c360_materialize(fcinfo);
	c360_bank_lock();
	context = AllocSetContextCreate(CurrentMemoryContext, "c360 bank batch", ALLOCSET_DEFAULT_SIZES);
	iterator = JsonbIteratorInit(array);
	(void) JsonbIteratorNext(&iterator, &value, true);	/* the beginning of the array */
	caller = MemoryContextSwitchTo(context);
	for (;;)
	{
		batch.items = palloc(sizeof(Taken) * BATCH_SIZE);
		next_batch(&iterator, &batch);
		ingest_batch(&batch, first, answer);
		first += batch.count;
		if (batch.count < BATCH_SIZE)
			break;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}

Datum
c360_ingest_bank_transactions(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_ingest_bank_transactions", ingest_bank_transactions);
}
