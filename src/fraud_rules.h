/*
 * fraud_rules.h
 *		The fraud rules over a wallet's ledger, row by row.
 */
#ifndef C360_FRAUD_RULES_H
#define C360_FRAUD_RULES_H

#include <stdbool.h>
#include <stdint.h>

/* What parameters may ask for at most, so that the rings have a size. */
#define C360_FRAUD_MOST_ROWS	1001
#define C360_FRAUD_MOST_TIMES	100

/* Deposits of one wallet that still wait for their withdrawal; more are forgotten, oldest first. */
#define C360_FRAUD_MOST_DEPOSITS 4096

/* Moments and spans are microseconds, amounts đồng. */
typedef struct C360FraudLimits
{
	bool		abuse;			/* look for wallet_abuse */
	int			abuse_rows;		/* so many rows ... */
	int64_t		abuse_amount;	/* above this amount ... */
	int64_t		abuse_span;		/* within this span */

	bool		dealing;		/* look for self_dealing */
	int			dealing_times;	/* so many pairs ... */
	int64_t		dealing_span;	/* within this span, of a deposit and ... */
	int64_t		dealing_gap;	/* at most this later a withdrawal ... */
	int			dealing_percent;	/* of so much of it */
} C360FraudLimits;

typedef struct C360FraudRow
{
	int64_t		id;
	int64_t		at;
	int64_t		amount;
	bool		is_deposit;
} C360FraudRow;

typedef struct C360FraudPair
{
	C360FraudRow deposit;
	C360FraudRow withdrawal;
} C360FraudPair;

/* One wallet, as far as it was read; made blank by c360_fraud_begin(). */
typedef struct C360FraudWallet
{
	int64_t		abuse_after;	/* ids up to here were found before */
	int64_t		dealing_after;
	int64_t		not_before;		/* what ends before this moment is no finding */

	int			first_row;
	int			nrows;
	int			first_pair;
	int			npairs;
	int			first_deposit;
	int			ndeposits;
	C360FraudRow rows[C360_FRAUD_MOST_ROWS];
	C360FraudPair pairs[C360_FRAUD_MOST_TIMES];
	C360FraudRow deposits[C360_FRAUD_MOST_DEPOSITS];	/* amount 0 = used */
} C360FraudWallet;

extern void c360_fraud_begin(C360FraudWallet *wallet, int64_t abuse_after, int64_t dealing_after,
							 int64_t not_before);

/*
 * Takes the next row of the ledger; true if it completes a finding, which are
 * the rows or pairs that the wallet holds until they are forgotten: a row
 * counts in one finding.
 */
extern bool c360_fraud_abuse(const C360FraudLimits *limits, C360FraudWallet *wallet,
							 const C360FraudRow *row);
extern bool c360_fraud_dealing(const C360FraudLimits *limits, C360FraudWallet *wallet,
							   const C360FraudRow *row, bool is_transfer);
extern const C360FraudRow *c360_fraud_row(const C360FraudWallet *wallet, int n);
extern const C360FraudPair *c360_fraud_pair(const C360FraudWallet *wallet, int n);
extern void c360_fraud_forget_rows(C360FraudWallet *wallet);
extern void c360_fraud_forget_pairs(C360FraudWallet *wallet);

/* What a finding that ends at a moment may reach back for. */
extern int64_t c360_fraud_reach(const C360FraudLimits *limits);

/* Of orders decided, more than so many percent returned. */
extern bool c360_fraud_returns(int64_t decided, int64_t returned, int64_t min_orders, int percent);

#endif							/* C360_FRAUD_RULES_H */
