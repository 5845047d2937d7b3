/*
 * rfm.c
 *	  Scores by recency, frequency and money; segments; tiers.
 *
 * What is scored by stands in rows: the lowest value of each score in
 * c360.rfm_config, the segment of each of the 125 triples in
 * c360.rfm_segments, the length of the window in c360.settings. They are kept in
 * memory until they change (kept.c).
 *
 * Whatever a score is made of changes with orders or with time alone. The
 * latter happens on a day that is known beforehand: when recency reaches the
 * next bound, when the oldest order of the window leaves it, when a new
 * customer is new no longer. The earliest of these is kept with the score, so
 * that a refresh finds by one index who is due.
 *
 * Days are the shop's (Asia/Ho_Chi_Minh).
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#include "call.h"
#include "kept.h"
#include "rfm.h"
#include "settings.h"
#include "shop.h"
#include "storage.h"

#define SHOP_OFFSET_SINCE	((DateADT) -8766)	/* 1976-01-01 */

#define NSCORES			5
#define NSEGMENTS		125
#define LONGEST_NAME	64

/* all days of orders, and far enough from the ends of the calendar to add days to */
#define EARLIEST_DAY	((DateADT) -700000)
#define LATEST_DAY		((DateADT) 3100000)

typedef enum Metric
{
	RECENCY, FREQUENCY, MONETARY, NMETRICS
} Metric;

static const char *const metric_names[NMETRICS] = {"recency", "frequency", "monetary"};

static const char *const tier_names[] = {
	[C360_TIER_NEW] = "new",
	[C360_TIER_SILVER] = "silver",
	[C360_TIER_GOLD] = "gold",
	[C360_TIER_PLATINUM] = "platinum",
	[C360_TIER_BLACKLIST] = "blacklist",
};

struct C360RfmRules
{
	int64		bounds[NMETRICS][NSCORES];	/* lowest value of score i + 1 */
	char		segments[NSEGMENTS][LONGEST_NAME];	/* by r, f, m */
	int64		window;			/* days */
};

static const void *read_rules(MemoryContext context);

static C360Kept kept = {{"rfm_config", "rfm_segments"}, read_rules};

PG_FUNCTION_INFO_V1(c360_rfm_config_version);

void
c360_rfm_init(void)
{
	c360_kept_register(&kept);
}

const char *
c360_tier_name(C360Tier tier)
{
	return tier_names[tier];
}

C360Tier
c360_tier_of(Datum name)
{
	C360Tier	tier = C360_TIER_NEW;

	while (!c360_same_text(name, tier_names[tier]))
		if (tier++ == C360_TIER_BLACKLIST)
			elog(ERROR, "unknown tier \"%s\"", TextDatumGetCString(name));
	return tier;
}

/*
 * The configuration
 */

static void
not_complete(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rules of scoring are not complete"),
			 errdetail("rules_incomplete: %s", detail),
			 errhint("SELECT c360_install() puts rows that are missing back; c360_update_rfm_threshold() changes bounds.")));
}

static int64
number(uint64 row, int column)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull));
}

/* Bounds of recency grow with falling scores, those of the others with rising ones. */
static void
check_bounds(const C360RfmRules *rules)
{
	for (int metric = 0; metric < NMETRICS; metric++)
	{
		const int64 *bounds = rules->bounds[metric];
		bool		falling = metric == RECENCY;

		if (bounds[falling ? NSCORES - 1 : 0] != 0)
			not_complete(psprintf("the outermost bound of %s is not 0", metric_names[metric]));
		for (int i = 1; i < NSCORES; i++)
			if (falling ? bounds[i] >= bounds[i - 1] : bounds[i] <= bounds[i - 1])
				not_complete(psprintf("bounds of %s are out of order, scores %d and %d",
									  metric_names[metric], i, i + 1));
	}
}

static void
read_bounds(C360RfmRules *rules)
{
	uint64		count = c360_kept_read("SELECT array_position('{recency,frequency,monetary}', metric)::int8, "
								  "score::int8, min_value FROM c360.rfm_config");

	if (count != NMETRICS * NSCORES)
		not_complete("c360.rfm_config has a row for each metric and score");
	for (uint64 i = 0; i < count; i++)
		rules->bounds[number(i, 1) - 1][number(i, 2) - 1] = number(i, 3);
	check_bounds(rules);
}

static void
read_segments(C360RfmRules *rules)
{
	uint64		count = c360_kept_read("SELECT ((r - 1) * 25 + (f - 1) * 5 + m - 1)::int8, segment FROM c360.rfm_segments");

	if (count != NSEGMENTS)
		not_complete("c360.rfm_segments has a row for each of the 125 triples of scores");
	for (uint64 i = 0; i < count; i++)
		strlcpy(rules->segments[number(i, 1)],
				SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2), LONGEST_NAME);
}

static const void *
read_rules(MemoryContext context)
{
	C360RfmRules *rules = MemoryContextAllocZero(context, sizeof(C360RfmRules));

	read_bounds(rules);
	read_segments(rules);
	return rules;
}

/*
 * A copy of the rules of now. Who scores many customers keeps to one: a
 * trigger may change rules in the middle, and read them.
 */
const C360RfmRules *
c360_rfm_rules(void)
{
	int64		window = c360_settings()->rfm_frequency_window;
	C360RfmRules *rules = palloc(sizeof(C360RfmRules));

	memcpy(rules, c360_kept(&kept), sizeof(C360RfmRules));
	rules->window = window;
	return rules;
}

/* Names rules: others score otherwise. */
int64
c360_rfm_version(const C360RfmRules *rules)
{
	return (int64) DatumGetUInt64(hash_any_extended((const unsigned char *) rules, sizeof(C360RfmRules), 0));
}

/* Of those that would be used now. */
Datum
c360_rfm_config_version(PG_FUNCTION_ARGS)
{
	C360Caller	caller;
	int64		version;

	c360_act_as_owner(&caller);
	version = c360_rfm_version(c360_rfm_rules());
	c360_act_as_caller(&caller);
	PG_RETURN_INT64(version);
}

/*
 * Days
 */

static DateADT
clamp_day(int64 day)
{
	return (DateADT) Min(Max(day, (int64) EARLIEST_DAY), (int64) LATEST_DAY);
}

static DateADT
day_by_calendar(TimestampTz at)
{
	static pg_tz *zone = NULL;
	struct pg_tm tm;
	fsec_t		fraction;
	int			offset;

	if (zone == NULL)
		zone = pg_tzset(C360_SHOP_TIME_ZONE);
	if (zone == NULL || timestamp2tm(at, &offset, &tm, &fraction, NULL, zone) != 0)
		return EARLIEST_DAY;
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

static DateADT
shop_day(TimestampTz at)
{
	int64		shifted;
	int64		day;

	if (TIMESTAMP_IS_NOBEGIN(at))
		return EARLIEST_DAY;
	if (TIMESTAMP_IS_NOEND(at))
		return LATEST_DAY;
	shifted = at + C360_SHOP_OFFSET;
	day = shifted / USECS_PER_DAY - (shifted % USECS_PER_DAY < 0);
	if (day < SHOP_OFFSET_SINCE)
		return clamp_day(day_by_calendar(at));
	return clamp_day(day);
}

/* The first moment of the window whose last day is today. */
TimestampTz
c360_rfm_window_start(const C360RfmRules *rules, DateADT today)
{
	return (clamp_day((int64) today - rules->window + 1)) * USECS_PER_DAY - C360_SHOP_OFFSET;
}

/*
 * Scores
 */

static int
score_of(const C360RfmRules *rules, Metric metric, int64 value)
{
	const int64 *bounds = rules->bounds[metric];

	if (metric == RECENCY)
	{
		for (int score = 1; score < NSCORES; score++)
			if (value >= bounds[score - 1])
				return score;
		return NSCORES;
	}
	for (int score = NSCORES; score > 1; score--)
		if (value >= bounds[score - 1])
			return score;
	return 1;
}

/* By the sum of the scores, so that no rounding decides. */
static C360Tier
tier_of(int sum)
{
	if (sum >= 14)
		return C360_TIER_PLATINUM;
	if (sum >= 11)
		return C360_TIER_GOLD;
	if (sum >= 8)
		return C360_TIER_SILVER;
	return C360_TIER_NEW;
}

/* Blacklist stays until staff lift it, and a locked tier stays. */
static C360Tier
tier_for(const C360RfmFacts *facts, const C360RfmScore *score, DateADT today)
{
	if (facts->tier == C360_TIER_BLACKLIST || facts->tier_locked)
		return facts->tier;
	if (!score->scored || today - score->since_on < C360_RFM_DAYS_NEW)
		return C360_TIER_NEW;
	return tier_of(score->r + score->f + score->m);
}

static DateADT
next_change(const C360RfmRules *rules, const C360RfmFacts *facts, const C360RfmScore *score, DateADT today)
{
	int64		next = DATEVAL_NOEND;

	if (score->r > 1)
		next = Min(next, score->last_on + rules->bounds[RECENCY][score->r - 2]);
	if (score->frequency > 0)
		next = Min(next, shop_day(facts->oldest_at) + rules->window);
	if (score->since_on + C360_RFM_DAYS_NEW > today)
		next = Min(next, score->since_on + C360_RFM_DAYS_NEW);
	return next > LATEST_DAY ? DATEVAL_NOEND : (DateADT) next;
}

void
c360_rfm_score(const C360RfmRules *rules, const C360RfmFacts *facts, DateADT today, C360RfmScore *score)
{
	memset(score, 0, sizeof(*score));
	score->scored = facts->orders > 0;
	score->next_on = DATEVAL_NOEND;
	if (score->scored)
	{
		score->last_on = shop_day(facts->last_at);
		score->since_on = shop_day(Min(facts->created_at, facts->first_at));
		score->recency_days = Max(today - score->last_on, 0);
		score->frequency = facts->frequency;
		score->monetary = facts->monetary;
		score->r = score_of(rules, RECENCY, score->recency_days);
		score->f = score_of(rules, FREQUENCY, score->frequency);
		score->m = score_of(rules, MONETARY, score->monetary);
		score->segment = rules->segments[((score->r - 1) * 5 + score->f - 1) * 5 + score->m - 1];
		score->next_on = next_change(rules, facts, score, today);
	}
	score->tier = tier_for(facts, score, today);
}
