/*
 * fraud_judge.c
 *	  A wallet's ledger is read, and what rules find in it is raised.
 *
 * Reading a wallet first looks whether there is anything to find at all, which
 * almost always ends it. Only then is it looked up what was found before and
 * what is snoozed, and the wallet read again with that in mind.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fraud_scan.h"
#include "json.h"
#include "query.h"

/* Findings of one wallet that are told in the evidence. */
#define TOLD_FINDINGS	20

/*
 * Rules
 */

void
c360_fraud_load_rules(C360FraudScan *scan)
{
	C360FraudLimits *limits = &scan->limits;
	const C360FraudRule *abuse = &scan->rules[C360_WALLET_ABUSE];
	const C360FraudRule *dealing = &scan->rules[C360_SELF_DEALING];
	const C360FraudRule *returns = &scan->rules[C360_HIGH_RETURN_RATE];

	c360_fraud_rules_load(scan->rules);
	memset(limits, 0, sizeof(*limits));
	limits->abuse = !abuse->off;
	if (!abuse->off)
	{
		limits->abuse_rows = c360_fraud_parameter(abuse, "more_than", 1, C360_FRAUD_MOST_ROWS - 1) + 1;
		limits->abuse_amount = c360_fraud_parameter(abuse, "amount", 0, PG_INT64_MAX);
		limits->abuse_span = c360_fraud_parameter(abuse, "minutes", 1, 527040) * USECS_PER_MINUTE;
	}
	limits->dealing = !dealing->off;
	if (!dealing->off)
	{
		limits->dealing_times = c360_fraud_parameter(dealing, "times", 1, C360_FRAUD_MOST_TIMES);
		limits->dealing_span = c360_fraud_parameter(dealing, "days", 1, 366) * USECS_PER_DAY;
		limits->dealing_gap = c360_fraud_parameter(dealing, "minutes", 1, 10080) * USECS_PER_MINUTE;
		limits->dealing_percent = c360_fraud_parameter(dealing, "percent", 1, 100);
	}
	if (!returns->off)
	{
		scan->return_orders = c360_fraud_parameter(returns, "min_orders", 1, 100000);
		scan->return_days = c360_fraud_parameter(returns, "days", 1, 366);
		scan->return_percent = c360_fraud_parameter(returns, "percent", 0, 99);
	}
}

bool
c360_fraud_reads_ledger(const C360FraudScan *scan)
{
	return scan->limits.abuse || scan->limits.dealing;
}

/* What decides which findings there are in the ledger, as text to compare. */
char *
c360_fraud_rules_text(const C360FraudScan *scan)
{
	const C360FraudLimits *limits = &scan->limits;

	return psprintf("%s %d %lld %lld, %s %d %lld %lld %d",
					scan->rules[C360_WALLET_ABUSE].mode, limits->abuse_rows,
					(long long) limits->abuse_amount, (long long) limits->abuse_span,
					scan->rules[C360_SELF_DEALING].mode, limits->dealing_times,
					(long long) limits->dealing_span, (long long) limits->dealing_gap,
					limits->dealing_percent);
}

/*
 * Raising
 */

/* Customers whose ledger the next scan looks at again. */
static void
recheck(int64 customer_id, TimestampTz due)
{
	static C360Query insert = {"INSERT INTO c360.fraud_rechecks (customer_id, due_at) VALUES ($1, $2)"
		" ON CONFLICT DO NOTHING", 2, {INT8OID, TIMESTAMPTZOID}};
	Datum		values[2] = {Int64GetDatum(customer_id), TimestampTzGetDatum(due)};

	SPI_connect();
	c360_query(&insert, values, NULL);
	SPI_finish();
}

C360Raised
c360_fraud_raise_finding(C360FraudScan *scan, C360Finding *finding)
{
	C360FraudRule *rule = &scan->rules[finding->rule - scan->rules];
	C360Raised	result;

	finding->at = GetCurrentTimestamp();
	result = c360_fraud_raise(finding);
	if (result == C360_RAISED)
		rule->flagged++;
	scan->flags_left--;
	return result;
}

/*
 * A wallet's ledger
 */

static bool
read_row(C360Row *row, C360FraudRow *read, bool *is_transfer)
{
	*is_transfer = false;
	read->is_deposit = c360_text_is(row, LEDGER_type, "DEPOSIT");
	if (!read->is_deposit && !c360_text_is(row, LEDGER_type, "WITHDRAW"))
		return false;
	read->id = c360_get_int64(row, LEDGER_id);
	read->amount = c360_get_int64(row, LEDGER_amount);
	read->at = c360_get_time(row, LEDGER_created_at);
	if (read->is_deposit)
		*is_transfer = c360_text_is(row, LEDGER_source, "BANK_TRANSFER");
	return true;
}

static void
begin_rows_evidence(C360Json *json, int64 count, TimestampTz first, TimestampTz last)
{
	c360_json_begin_object(json, NULL);
	c360_json_int64(json, "count", count);
	c360_json_time(json, "first_at", first);
	c360_json_time(json, "last_at", last);
}

static Jsonb *
end_rows_evidence(C360Json *json, const C360Finding *finding, int first)
{
	c360_json_begin_array(json, "rows");
	for (int i = first; i < finding->ncounted; i++)
		c360_json_int64(json, NULL, finding->counted[i]);
	c360_json_end_array(json);
	c360_json_end_object(json);
	return c360_json_finish(json);
}

static void
count_id(C360Finding *finding, int64 id)
{
	finding->counted[finding->ncounted++] = id;
}

/* Makes room for a finding's ids: those of what is told, and of the last one. */
static int
room_for(C360Finding *finding, int ids)
{
	if (finding->counted == NULL)
		finding->counted = palloc(sizeof(int64) * ids * (TOLD_FINDINGS + 1));
	if (finding->times >= TOLD_FINDINGS)
		finding->ncounted = ids * TOLD_FINDINGS;
	finding->times++;
	return finding->ncounted;
}

static Jsonb *
abuse_evidence(const C360FraudScan *scan, C360Finding *finding)
{
	const C360FraudWallet *wallet = scan->wallet;
	int			first = room_for(finding, wallet->nrows);
	C360Json	json = {0};
	int64		total = 0;

	begin_rows_evidence(&json, wallet->nrows, c360_fraud_row(wallet, 0)->at,
						c360_fraud_row(wallet, wallet->nrows - 1)->at);
	c360_json_begin_array(&json, "transactions");
	for (int i = 0; i < wallet->nrows; i++)
	{
		const C360FraudRow *row = c360_fraud_row(wallet, i);

		c360_json_begin_object(&json, NULL);
		c360_json_int64(&json, "transaction_id", row->id);
		c360_json_text(&json, "type", row->is_deposit ? "DEPOSIT" : "WITHDRAW");
		c360_json_int64(&json, "amount", row->amount);
		c360_json_time(&json, "at", row->at);
		c360_json_end_object(&json);
		count_id(finding, row->id);
		total = total > PG_INT64_MAX - row->amount ? PG_INT64_MAX : total + row->amount;
	}
	c360_json_end_array(&json);
	c360_json_int64(&json, "total", total);
	return end_rows_evidence(&json, finding, first);
}

static Jsonb *
dealing_evidence(const C360FraudScan *scan, C360Finding *finding)
{
	const C360FraudWallet *wallet = scan->wallet;
	int			first = room_for(finding, 2 * wallet->npairs);
	C360Json	json = {0};

	begin_rows_evidence(&json, wallet->npairs, c360_fraud_pair(wallet, 0)->withdrawal.at,
						c360_fraud_pair(wallet, wallet->npairs - 1)->withdrawal.at);
	c360_json_begin_array(&json, "pairs");
	for (int i = 0; i < wallet->npairs; i++)
	{
		const C360FraudPair *pair = c360_fraud_pair(wallet, i);

		c360_json_begin_object(&json, NULL);
		c360_json_int64(&json, "deposit_id", pair->deposit.id);
		c360_json_int64(&json, "deposited", pair->deposit.amount);
		c360_json_time(&json, "deposited_at", pair->deposit.at);
		c360_json_int64(&json, "withdrawal_id", pair->withdrawal.id);
		c360_json_int64(&json, "withdrawn", pair->withdrawal.amount);
		c360_json_time(&json, "withdrawn_at", pair->withdrawal.at);
		c360_json_end_object(&json);
		count_id(finding, pair->deposit.id);
		count_id(finding, pair->withdrawal.id);
	}
	c360_json_end_array(&json);
	return end_rows_evidence(&json, finding, first);
}

static void
add_finding(C360Finding *finding, Jsonb *evidence)
{
	if (finding->times <= TOLD_FINDINGS)
		finding->evidence = lappend(finding->evidence, evidence);
}

/* Reads a wallet once more, knowing what was found before, and raises what is new. */
static void
judge_wallet(C360FraudScan *scan, int64 customer_id, TimestampTz since)
{
	C360FraudRule *abuse = &scan->rules[C360_WALLET_ABUSE];
	C360FraudRule *dealing = &scan->rules[C360_SELF_DEALING];
	bool		abuse_asleep = abuse->off || c360_fraud_is_snoozed(abuse, customer_id, scan->at);
	bool		dealing_asleep = dealing->off || c360_fraud_is_snoozed(dealing, customer_id, scan->at);
	C360Finding abuses = {.rule = abuse,.customer_id = customer_id};
	C360Finding dealings = {.rule = dealing,.customer_id = customer_id};
	C360Row    *row;

	if (abuse_asleep && dealing_asleep)
		return;
	c360_fraud_begin(scan->wallet, abuse_asleep ? 0 : c360_fraud_counted_up_to(abuse, customer_id),
					 dealing_asleep ? 0 : c360_fraud_counted_up_to(dealing, customer_id), scan->not_before);
	c360_scan_again_since(scan->one, customer_id, since);
	while ((row = c360_scan_next(scan->one)) != NULL)
	{
		C360FraudRow read;
		bool		is_transfer;

		if (!read_row(row, &read, &is_transfer))
			continue;
		if (!abuse_asleep && c360_fraud_abuse(&scan->limits, scan->wallet, &read))
		{
			add_finding(&abuses, abuse_evidence(scan, &abuses));
			c360_fraud_forget_rows(scan->wallet);
		}
		if (!dealing_asleep && c360_fraud_dealing(&scan->limits, scan->wallet, &read, is_transfer))
		{
			add_finding(&dealings, dealing_evidence(scan, &dealings));
			c360_fraud_forget_pairs(scan->wallet);
		}
	}
	if ((abuses.times > 0 && c360_fraud_raise_finding(scan, &abuses) == C360_NOT_RAISED_BUSY) |
		(dealings.times > 0 && c360_fraud_raise_finding(scan, &dealings) == C360_NOT_RAISED_BUSY))
		recheck(customer_id, scan->at);
}

void
c360_fraud_count_examined(C360FraudScan *scan)
{
	scan->rules[C360_WALLET_ABUSE].examined += scan->limits.abuse;
	scan->rules[C360_SELF_DEALING].examined += scan->limits.dealing;
}

/* Whether a row completes what would be a finding if nothing was found before. */
bool
c360_fraud_is_suspicious(C360FraudScan *scan, C360Row *row)
{
	C360FraudRow read;
	bool		is_transfer;

	if (!read_row(row, &read, &is_transfer))
		return false;
	return (scan->limits.abuse && c360_fraud_abuse(&scan->limits, scan->wallet, &read)) |
		(scan->limits.dealing && c360_fraud_dealing(&scan->limits, scan->wallet, &read, is_transfer));
}

void
c360_fraud_judge_suspect(C360FraudScan *scan, int64 customer_id, TimestampTz since)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	judge_wallet(scan, customer_id, since);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->context);
}

/* A wallet that has new rows from a moment on. */
void
c360_fraud_look_at_wallet(C360FraudScan *scan, int64 customer_id, TimestampTz new_since)
{
	TimestampTz since = new_since;
	bool		suspicious = false;
	C360Row    *row;

	if (since != DT_NOBEGIN)
		since -= Min(since - MIN_TIMESTAMP, c360_fraud_reach(&scan->limits));
	c360_fraud_count_examined(scan);
	c360_fraud_begin(scan->wallet, 0, 0, scan->not_before);
	c360_scan_again_since(scan->one, customer_id, since);
	while (!suspicious && (row = c360_scan_next(scan->one)) != NULL)
	{
		suspicious = c360_fraud_is_suspicious(scan, row);
		scan->done++;
		scan->rows_left--;
	}
	if (suspicious)
		c360_fraud_judge_suspect(scan, customer_id, since);
}
