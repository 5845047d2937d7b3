/*
 * rfm.h
 *	  Scores of customers by recency, frequency and money.
 */
#ifndef C360_RFM_H
#define C360_RFM_H

#include "postgres.h"

#include "utils/date.h"
#include "utils/timestamp.h"

#define C360_RFM_DAYS_NEW	30	/* for so long a customer is new */

typedef enum C360Tier
{
	C360_TIER_NEW,
	C360_TIER_SILVER,
	C360_TIER_GOLD,
	C360_TIER_PLATINUM,
	C360_TIER_BLACKLIST
} C360Tier;

typedef struct C360RfmRules C360RfmRules;

/* What a customer is scored by; only orders that count: none is cancelled. */
typedef struct C360RfmFacts
{
	int64		orders;
	TimestampTz first_at;		/* these two only with orders */
	TimestampTz last_at;
	int64		frequency;		/* of the window, not returned either */
	TimestampTz oldest_at;		/* of those; only if there are any */
	int64		monetary;
	TimestampTz created_at;		/* the customer */
	C360Tier	tier;			/* that he has */
	bool		tier_locked;
} C360RfmFacts;

typedef struct C360RfmScore
{
	bool		scored;			/* he has an order that counts; else only the tier is set */
	int16		r;
	int16		f;
	int16		m;
	const char *segment;		/* in the rules */
	C360Tier	tier;
	int32		recency_days;
	int64		frequency;
	int64		monetary;
	DateADT		last_on;
	DateADT		since_on;
	DateADT		next_on;		/* first day on which time alone may change any of this;
								 * DATEVAL_NOEND = never */
} C360RfmScore;

extern void c360_rfm_init(void);

extern const C360RfmRules *c360_rfm_rules(void);
extern int64 c360_rfm_version(const C360RfmRules *rules);
extern TimestampTz c360_rfm_window_start(const C360RfmRules *rules, DateADT today);
extern void c360_rfm_score(const C360RfmRules *rules, const C360RfmFacts *facts, DateADT today,
						   C360RfmScore *score);
extern const char *c360_tier_name(C360Tier tier);
extern C360Tier c360_tier_of(Datum name);

#endif							/* C360_RFM_H */
