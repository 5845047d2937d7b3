/*
 * fraud_scan.h
 *	  A fraud scan under way, and how wallets are judged in it.
 */
#ifndef C360_FRAUD_SCAN_H
#define C360_FRAUD_SCAN_H

#include "postgres.h"

#include "changes.h"
#include "fraud.h"
#include "fraud_rules.h"
#include "storage.h"

/* What a scan does, one after the other. */
typedef enum C360FraudStep
{
	C360_FRAUD_RECHECKS,				/* position: customer */
	C360_FRAUD_ORDERS,				/* position: customer */
	C360_FRAUD_LATE,					/* of transactions that ran at the last scan */
	C360_FRAUD_LEDGER,				/* position: customer if whole, else ledger id */
	C360_FRAUD_DONE
} C360FraudStep;

/* Kept as the consumer's state. */
typedef struct C360FraudProgress
{
	char	   *run;			/* who began it; NULL = none is under way */
	char	   *finished;		/* the last one that came to its end */
	char	   *rules;			/* as they were when it began */
	char	   *history;
	char	   *upto;			/* what is had when it is through */
	int64		ledger_upto;
	int64		ledger_since;	/* the last ledger id when the scan before began */
	bool		whole;
	C360FraudStep step;
	int64		position;
} C360FraudProgress;

typedef struct C360FraudScan
{
	C360FraudRule rules[C360_NFRAUD_RULES];
	C360FraudLimits limits;
	int			return_days;
	int			return_percent;
	int64		return_orders;
	TimestampTz at;
	TimestampTz not_before;		/* findings that ended before are none */
	C360FraudProgress progress;
	C360Changes changes;

	C360Store  *store;
	C360Scan   *one;			/* one wallet's ledger */
	C360FraudWallet *wallet;
	MemoryContext context;		/* of one wallet */

	int64		rows_left;		/* of this batch */
	int64		flags_left;
	int64		done;			/* rows read */
} C360FraudScan;

extern void c360_fraud_load_rules(C360FraudScan *scan);
extern bool c360_fraud_reads_ledger(const C360FraudScan *scan);
extern char *c360_fraud_rules_text(const C360FraudScan *scan);
extern C360Raised c360_fraud_raise_finding(C360FraudScan *scan, C360Finding *finding);
extern bool c360_fraud_is_suspicious(C360FraudScan *scan, C360Row *row);
extern void c360_fraud_judge_suspect(C360FraudScan *scan, int64 customer_id, TimestampTz since);
extern void c360_fraud_look_at_wallet(C360FraudScan *scan, int64 customer_id, TimestampTz new_since);
extern void c360_fraud_count_examined(C360FraudScan *scan);

#endif							/* C360_FRAUD_SCAN_H */
