/*
 * bank_retry.c
 *	  Transfers that are decided later: those that failed or were stored without
 *	  a decision, by the job process_bank, and unmatched ones again by hand.
 *
 * Each transfer has its own subtransaction. One that fails keeps the reason and
 * is due again after 5, 10, 20 and 40 minutes; after five tries in all it is
 * given up, which c360_bank_transaction_list shows, and staff links it. So does
 * one that ends in a deadlock with somebody who waits for one done before.
 *
 * Lock order: BANK_LOCK, which those take who touch many transfers in one
 * transaction, then each transfer's row, then the wallet. A row that somebody
 * has locked is his.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "bank.h"
#include "call.h"
#include "compat.h"
#include "query.h"
#include "shared.h"

#define BANK_LOCK 0x62616e6b	/* key of c360's locks; others are hashes of jobs' names */
#define MOST_TRIES 5
#define FIRST_DISTANCE (5 * USECS_PER_MINUTE)
#define MOST_ROWS 10000

PG_FUNCTION_INFO_V1(c360_process_bank);
PG_FUNCTION_INFO_V1(c360_rematch_transactions);

typedef enum Outcome
{
	LEFT_ALONE,					/* somebody else has it, or had it */
	DECIDED,
	FAILED
} Outcome;

typedef struct Attempt
{
	int64		id;
	bool		again;			/* an unmatched one, without parts */
	const char *failure;		/* write this reason and nothing else */
	const char *result;			/* NULL = left alone */
} Attempt;

/* Until the transaction ends. */
void
c360_bank_lock(void)
{
	LOCKTAG		tag;

	c360_lock_tag(&tag, BANK_LOCK);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * One transfer
 */

static bool
is_due(C360Row *row, bool again)
{
	char	   *result = c360_get_text(row, TRANSFER_result);

	if (again)
		return result != NULL && strcmp(result, "unmatched") == 0;
	return (result == NULL || strcmp(result, "failed") == 0) &&
		c360_is_null(row, TRANSFER_given_up_at) &&
		c360_get_time(row, TRANSFER_next_attempt_at) <= GetCurrentTimestamp();
}

static void
record_failure(C360Store *store, C360Row *row, const char *failure)
{
	C360Row    *changed = c360_row_changed(store, row);
	int			attempts = (int) c360_get_int64(row, TRANSFER_attempts) + 1;
	TimestampTz now = GetCurrentTimestamp();

	c360_put_text(changed, TRANSFER_result, "failed");
	c360_put_text(changed, TRANSFER_error, failure);
	c360_put(changed, TRANSFER_attempts, Int32GetDatum(attempts));
	if (attempts >= MOST_TRIES)
	{
		c360_put_null(changed, TRANSFER_next_attempt_at);
		c360_put_time(changed, TRANSFER_given_up_at, now);
	}
	else
		c360_put_time(changed, TRANSFER_next_attempt_at,
					  now + (FIRST_DISTANCE << (attempts - 1)));
	c360_update(store, row, changed);
}

static void
decide_row(C360Store *store, C360Row *row, Attempt *this)
{
	C360Transfer transfer;
	C360Decision decision;
	C360BankResult result = {0};

	c360_transfer_of_row(row, &transfer);
	result.bank_transaction_id = transfer.id;
	result.amount = transfer.amount;
	c360_decide(store, &transfer, !this->again, &decision);
	this->result = decision.outcome;
	if (this->again && strcmp(decision.outcome, "unmatched") == 0)
		return;					/* as it was */
	c360_follow_decision(store, &transfer, &decision, &result);
	c360_record_result(store, row, decision.outcome, &decision);
}

static void
attempt(void *arg)
{
	Attempt    *this = arg;
	C360Store  *store = c360_store_open();
	C360Row    *row = c360_lock_transfer(store, this->id, true);

	if (row != NULL && is_due(row, this->again))
	{
		if (this->failure != NULL)
			record_failure(store, row, this->failure);
		else
			decide_row(store, row, this);
	}
	c360_store_close(store);
}

/* A row that cannot be changed at all, by a trigger perhaps, is in nobody's way. */
static void
report_unrecorded(int64 id, const ErrorData *error)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("could not record that a transfer failed: %s", error->message),
			 errdetail("transfer %lld", (long long) id)));
}

static Outcome
try_transfer(int64 id, bool again, const char **result)
{
	Attempt		this = {.id = id,.again = again};
	ErrorData  *error = c360_try_one_of_many(attempt, &this);

	*result = this.result;
	if (error == NULL)
		return this.result != NULL ? DECIDED : LEFT_ALONE;
	if (again)
		return FAILED;
	this.failure = psprintf("%s %s", unpack_sql_state(error->sqlerrcode), error->message);
	error = c360_try(attempt, &this);
	if (error == NULL)
		return FAILED;
	report_unrecorded(id, error);
	return LEFT_ALONE;
}

/*
 * Many
 */

/* Ids that a query finds, in the caller's memory. */
static int64 *
ids_of(C360Query *query, Datum *values, uint64 *count)
{
	MemoryContext caller = CurrentMemoryContext;
	int64	   *ids;
	bool		isnull;

	SPI_connect();
	*count = c360_query(query, values, NULL);
	ids = MemoryContextAlloc(caller, sizeof(int64) * (*count + 1));
	for (uint64 i = 0; i < *count; i++)
		ids[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
											 &isnull));
	SPI_finish();
	return ids;
}

/* The one row of an answer. */
static Datum
two_numbers(FunctionCallInfo fcinfo, int64 first, int64 second)
{
	ReturnSetInfo *answer = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[2] = {Int64GetDatum(first), Int64GetDatum(second)};
	bool		nulls[2] = {false, false};

	c360_materialize(fcinfo);
	tuplestore_putvalues(answer->setResult, answer->setDesc, values, nulls);
	return (Datum) 0;
}

static Datum
process_bank(PG_FUNCTION_ARGS)
{
	static C360Query due = {
		"SELECT id FROM c360.balance_history"
		" WHERE (result IS NULL OR result OPERATOR(pg_catalog.=) 'failed') AND given_up_at IS NULL"
		" AND (next_attempt_at IS NULL OR next_attempt_at OPERATOR(pg_catalog.<=) $2)"
		" ORDER BY next_attempt_at NULLS FIRST, id LIMIT $1",
		2, {INT8OID, TIMESTAMPTZOID}, NULL
	};
	int64		max_rows = PG_ARGISNULL(0) ? 100 : PG_GETARG_INT32(0);
	Datum		values[2];
	uint64		count;
	int64	   *ids;
	int64		processed = 0;
	int64		failed = 0;

	if (max_rows < 1 || max_rows > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value is out of range"),
				 errdetail("out_of_range: max_rows is %lld, allowed are 1 to %d",
						   (long long) max_rows, MOST_ROWS)));
	c360_bank_lock();
	values[0] = Int64GetDatum(max_rows);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	ids = ids_of(&due, values, &count);
	for (uint64 i = 0; i < count; i++)
	{
		const char *result;
		Outcome		outcome = try_transfer(ids[i], false, &result);

		CHECK_FOR_INTERRUPTS();
		processed += outcome == DECIDED;
		failed += outcome == FAILED;
	}
	return two_numbers(fcinfo, processed, failed);
}

Datum
c360_process_bank(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_process_bank", process_bank);
}

static DateADT
arg_date(FunctionCallInfo fcinfo, int n, const char *name)
{
	DateADT		date;

	if (PG_ARGISNULL(n))
		c360_missing_argument(name);
	date = PG_GETARG_DATEADT(n);
	if (DATE_NOT_FINITE(date) || date < date2j(1900, 1, 1) - POSTGRES_EPOCH_JDATE ||
		date > date2j(9999, 12, 31) - POSTGRES_EPOCH_JDATE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date is out of range"),
				 errdetail("out_of_range: %s", name),
				 errhint("Days lie between 1900-01-01 and 9999-12-31.")));
	return date;
}

static Datum
rematch_transactions(PG_FUNCTION_ARGS)
{
	static C360Query unmatched = {
		"SELECT id FROM c360.balance_history WHERE result OPERATOR(pg_catalog.=) 'unmatched'"
		" AND transaction_date OPERATOR(pg_catalog.>=)"
		" ($1::pg_catalog.timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh')"
		" AND transaction_date OPERATOR(pg_catalog.<)"
		" (($2 OPERATOR(pg_catalog.+) 1)::pg_catalog.timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh')"
		" ORDER BY transaction_date, id",
		2, {DATEOID, DATEOID}, NULL
	};
	DateADT		from_date = arg_date(fcinfo, 0, "from_date");
	DateADT		to_date = arg_date(fcinfo, 1, "to_date");
	Datum		values[2] = {DateADTGetDatum(from_date), DateADTGetDatum(to_date)};
	uint64		count;
	int64	   *ids;
	int64		matched = 0;

	if (from_date > to_date)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date is out of range"),
				 errdetail("out_of_range: from_date is after to_date")));
	c360_bank_lock();
	ids = ids_of(&unmatched, values, &count);
	for (uint64 i = 0; i < count; i++)
	{
		const char *result;

		CHECK_FOR_INTERRUPTS();
		if (try_transfer(ids[i], true, &result) == DECIDED)
			matched += strcmp(result, "deposited") == 0;
	}
	return two_numbers(fcinfo, (int64) count, matched);
}

Datum
c360_rematch_transactions(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_rematch_transactions", rematch_transactions);
}
