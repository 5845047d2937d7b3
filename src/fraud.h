/*
 * fraud.h
 *	  Fraud rules as the shop has them, and findings that become flags.
 */
#ifndef C360_FRAUD_H
#define C360_FRAUD_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef enum C360FraudRuleNumber
{
	C360_HIGH_RETURN_RATE,
	C360_SELF_DEALING,
	C360_WALLET_ABUSE,
	C360_NFRAUD_RULES
} C360FraudRuleNumber;

/* A row of c360.fraud_rules, and what a scan did with it. */
typedef struct C360FraudRule
{
	const char *name;
	char	   *mode;
	char	   *severity;
	char	   *action;
	Jsonb	   *parameters;
	bool		off;
	bool		acts;			/* mode on, not shadow */
	int64		examined;		/* customers */
	int64		flagged;		/* new flags */
} C360FraudRule;

/* What a rule found in one customer at one look. */
typedef struct C360Finding
{
	const C360FraudRule *rule;
	int64		customer_id;
	TimestampTz at;
	int			times;
	List	   *evidence;		/* of Jsonb *: of the first times */
	int64	   *counted;		/* ids that count in no other finding */
	int			ncounted;
} C360Finding;

typedef enum C360Raised
{
	C360_RAISED,				/* a new flag */
	C360_RAISED_BEFORE,			/* an open flag holds it, too */
	C360_NOT_RAISED_BUSY,		/* somebody holds the customer or the flag */
	C360_NOT_RAISED_GONE		/* an erased customer */
} C360Raised;

extern void c360_fraud_rules_load(C360FraudRule *rules);
extern int64 c360_fraud_parameter(const C360FraudRule *rule, const char *name, int64 lowest,
								  int64 highest);
extern bool c360_fraud_is_snoozed(const C360FraudRule *rule, int64 customer_id, TimestampTz at);
extern int64 c360_fraud_counted_up_to(const C360FraudRule *rule, int64 customer_id);
extern C360Raised c360_fraud_raise(const C360Finding *finding);
extern void c360_fraud_note_tier(int64 customer_id, const char *from, const char *to);

#endif							/* C360_FRAUD_H */
