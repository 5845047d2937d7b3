/*
 * fraud_rules.c
 *		The fraud rules over a wallet's ledger, row by row.
 *
 * Rows come in the order of the ledger, each once, and each rule keeps in a
 * ring what a later row could still complete, so that a wallet is judged in
 * one pass and in memory that does not grow with it.
 *
 * wallet_abuse: the ring holds the last large rows. When it is full and its
 * first is near enough to its last, that is a finding, and the ring is emptied
 * by the caller: a row counts in one finding.
 *
 * self_dealing: a withdrawal goes with the nearest earlier deposit that is
 * near enough, not used yet, and of which it is large enough a part; deposits
 * that wait form a stack with its oldest end cut off. Because nearer ones go
 * first, which deposits after some moment are used does not hang on what came
 * before it: reading may begin anywhere, c360_fraud_reach() before the rows of
 * interest. The time of a pair is that of its withdrawal.
 *
 * Bounds are inclusive: a span or gap of just the size fits, a withdrawal of
 * just the part is enough. Amounts must be above their bound.
 *
 * Numbers in, numbers out: no server calls and no allocation.
 */
#include <string.h>

#include "fraud_rules.h"

void
c360_fraud_begin(C360FraudWallet *wallet, int64_t abuse_after, int64_t dealing_after,
				 int64_t not_before)
{
	wallet->abuse_after = abuse_after;
	wallet->dealing_after = dealing_after;
	wallet->not_before = not_before;
	c360_fraud_forget_rows(wallet);
	c360_fraud_forget_pairs(wallet);
	wallet->first_deposit = wallet->ndeposits = 0;
}

void
c360_fraud_forget_rows(C360FraudWallet *wallet)
{
	wallet->first_row = wallet->nrows = 0;
}

void
c360_fraud_forget_pairs(C360FraudWallet *wallet)
{
	wallet->first_pair = wallet->npairs = 0;
}

const C360FraudRow *
c360_fraud_row(const C360FraudWallet *wallet, int n)
{
	return &wallet->rows[(wallet->first_row + n) % C360_FRAUD_MOST_ROWS];
}

const C360FraudPair *
c360_fraud_pair(const C360FraudWallet *wallet, int n)
{
	return &wallet->pairs[(wallet->first_pair + n) % C360_FRAUD_MOST_TIMES];
}

bool
c360_fraud_abuse(const C360FraudLimits *limits, C360FraudWallet *wallet, const C360FraudRow *row)
{
	if (row->amount <= limits->abuse_amount || row->id <= wallet->abuse_after)
		return false;
	if (wallet->nrows == limits->abuse_rows)
	{
		wallet->first_row = (wallet->first_row + 1) % C360_FRAUD_MOST_ROWS;
		wallet->nrows--;
	}
	wallet->rows[(wallet->first_row + wallet->nrows++) % C360_FRAUD_MOST_ROWS] = *row;
	return wallet->nrows == limits->abuse_rows && row->at >= wallet->not_before &&
		row->at - wallet->rows[wallet->first_row].at <= limits->abuse_span;
}

/*
 * Deposits
 */

static C360FraudRow *
deposit(C360FraudWallet *wallet, int n)
{
	return &wallet->deposits[(wallet->first_deposit + n) % C360_FRAUD_MOST_DEPOSITS];
}

static void
push_deposit(C360FraudWallet *wallet, const C360FraudRow *row)
{
	if (wallet->ndeposits == C360_FRAUD_MOST_DEPOSITS)
	{
		wallet->first_deposit = (wallet->first_deposit + 1) % C360_FRAUD_MOST_DEPOSITS;
		wallet->ndeposits--;
	}
	*deposit(wallet, wallet->ndeposits++) = *row;
}

/* The smallest withdrawal that is so many percent of an amount. */
static int64_t
part_of(int64_t amount, int percent)
{
	return amount / 100 * percent + (amount % 100 * percent + 99) / 100;
}

/* The deposit that this withdrawal goes with, taken off the stack; false if there is none. */
static bool
take_deposit(const C360FraudLimits *limits, C360FraudWallet *wallet, const C360FraudRow *row,
			 C360FraudRow *taken)
{
	for (int n = wallet->ndeposits - 1; n >= 0; n--)
	{
		C360FraudRow *candidate = deposit(wallet, n);

		if (row->at - candidate->at > limits->dealing_gap)
		{
			/* too old for this one and all that follow */
			wallet->first_deposit = (wallet->first_deposit + n + 1) % C360_FRAUD_MOST_DEPOSITS;
			wallet->ndeposits -= n + 1;
			return false;
		}
		if (candidate->amount == 0 ||
			row->amount < part_of(candidate->amount, limits->dealing_percent))
			continue;
		*taken = *candidate;
		candidate->amount = 0;
		while (wallet->ndeposits > 0 && deposit(wallet, wallet->ndeposits - 1)->amount == 0)
			wallet->ndeposits--;
		return true;
	}
	return false;
}

static void
push_pair(const C360FraudLimits *limits, C360FraudWallet *wallet, const C360FraudPair *pair)
{
	if (wallet->npairs == limits->dealing_times)
	{
		wallet->first_pair = (wallet->first_pair + 1) % C360_FRAUD_MOST_TIMES;
		wallet->npairs--;
	}
	wallet->pairs[(wallet->first_pair + wallet->npairs++) % C360_FRAUD_MOST_TIMES] = *pair;
}

bool
c360_fraud_dealing(const C360FraudLimits *limits, C360FraudWallet *wallet, const C360FraudRow *row,
				   bool is_transfer)
{
	C360FraudPair pair;

	if (row->is_deposit)
	{
		if (!is_transfer)
			push_deposit(wallet, row);
		return false;
	}
	if (!take_deposit(limits, wallet, row, &pair.deposit) || row->id <= wallet->dealing_after)
		return false;
	pair.withdrawal = *row;
	push_pair(limits, wallet, &pair);
	return wallet->npairs == limits->dealing_times && row->at >= wallet->not_before &&
		row->at - wallet->pairs[wallet->first_pair].withdrawal.at <= limits->dealing_span;
}

int64_t
c360_fraud_reach(const C360FraudLimits *limits)
{
	int64_t		abuse = limits->abuse ? limits->abuse_span : 0;
	int64_t		dealing = limits->dealing ? limits->dealing_span + limits->dealing_gap : 0;

	return abuse > dealing ? abuse : dealing;
}

bool
c360_fraud_returns(int64_t decided, int64_t returned, int64_t min_orders, int percent)
{
	return decided >= min_orders && returned * 100 > decided * percent;
}
