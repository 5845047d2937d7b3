/*
 * cron.h
 *		Five-field cron schedules: which moment comes next.
 */
#ifndef C360_CRON_H
#define C360_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer schedules are refused. */
#define C360_CRON_MAX 200

/*
 * A parsed schedule: bit n of a mask is the value n, Sunday is day 0 of the
 * week. Days are those of both masks, or with either_day those of one of them.
 */
typedef struct C360Cron
{
	uint64_t	minutes;
	uint32_t	hours;
	uint32_t	days;
	uint32_t	months;
	uint32_t	weekdays;
	bool		either_day;
} C360Cron;

/* What keeps a schedule from being written for another clock. */
typedef enum C360CronShift
{
	C360_CRON_SHIFTED,
	C360_CRON_BOTH_SIDES,		/* its hours fall on two days there */
	C360_CRON_MONTH_END,		/* its days fall into another month there */
	C360_CRON_DAYS				/* its rule for days cannot be written so */
} C360CronShift;

/* False if text is no schedule. */
extern bool c360_cron_parse(const char *text, size_t length, C360Cron *cron);

/*
 * The first minute after the given one that the schedule names, both counted
 * from 1970 on the schedule's own clock; false if there is none.
 */
extern bool c360_cron_next(const C360Cron *cron, int64_t minute, int64_t *next);

/*
 * Writes the same schedule for a clock that is so many hours ahead, -23 to 23,
 * to out as a string. The text must be one that parses.
 */
extern C360CronShift c360_cron_shift(const char *text, size_t length, int hours,
									 char out[2 * C360_CRON_MAX]);

#endif							/* C360_CRON_H */
