/*
 * cron_fuzzer.c
 *		libFuzzer target of src/cron.c.
 *
 * Besides memory errors it looks for answers that are wrong: the next moment
 * must fit the schedule and none before it may, by a second, slow calendar;
 * and a schedule that was written for another clock must name the very same
 * moments there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cron.h"

#define DAY 1440
#define MOMENTS 40

static int
month_length(int year, int month)
{
	if (month == 2)
		return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Counts day by day from 1970-01-01, a Thursday. */
static void
slow_date(int64_t days, int *month, int *day, int *weekday)
{
	int			year = 1970;

	*month = 1;
	*day = 1;
	*weekday = (int) ((days + 4) % 7);
	while (days-- > 0)
		if (++*day > month_length(year, *month))
		{
			*day = 1;
			if (++*month > 12)
			{
				*month = 1;
				year++;
			}
		}
}

static int
slow_fits(const C360Cron *cron, int64_t minute)
{
	static int64_t known = -1;
	static int	month;
	static int	day;
	static int	weekday;
	int			fits;
	int			fits_weekday;

	if (known != minute / DAY)
		slow_date(known = minute / DAY, &month, &day, &weekday);
	fits = cron->days >> day & 1;
	fits_weekday = cron->weekdays >> weekday & 1;
	return (cron->minutes >> minute % 60 & 1) && (cron->hours >> minute / 60 % 24 & 1) &&
		(cron->months >> month & 1) &&
		(cron->either_day ? fits || fits_weekday : fits && fits_weekday);
}

/* From 2027-12-01 on, so that a leap day is among it. */
static const int64_t start = (int64_t) 21153 * DAY;

/* What comes next, minute by minute for three days, then moment by moment. */
static void
check_next(const C360Cron *cron)
{
	int64_t		at = start;
	int64_t		next = 0;

	for (int64_t minute = start; minute < start + 3 * DAY; minute++)
		if (slow_fits(cron, minute))
		{
			CHECK(c360_cron_next(cron, at - 1, &next));
			CHECK(next == minute);
			at = minute + 1;
		}
	if (c360_cron_next(cron, at - 1, &next))
		CHECK(next >= start + 3 * DAY && slow_fits(cron, next));
}

static void
check_shift(const C360Cron *cron, const char *text, size_t length, int hours)
{
	char		there[2 * C360_CRON_MAX];
	C360Cron	shifted;
	int64_t		at = start;

	if (c360_cron_shift(text, length, hours, there) != C360_CRON_SHIFTED)
		return;
	/* a list is longer than the range it was, but for that it is a schedule */
	if (strlen(there) > C360_CRON_MAX)
		return;
	CHECK(c360_cron_parse(there, strlen(there), &shifted));
	for (int i = 0; i < MOMENTS; i++)
	{
		int64_t		next = 0;
		int64_t		next_there = 0;
		int			found = c360_cron_next(cron, at, &next);

		CHECK(found == c360_cron_next(&shifted, at + 60 * hours, &next_there));
		if (!found)
			return;
		CHECK(next + 60 * hours == next_there);
		at = next > at + 9 * DAY ? next : at + 9 * DAY;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	C360Cron	cron;
	char	   *text = malloc(size + 1);

	memcpy(text, data, size);
	if (c360_cron_parse(text, size, &cron))
	{
		int64_t		next;

		CHECK(cron.minutes != 0 && cron.minutes >> 60 == 0);
		CHECK(cron.hours != 0 && cron.hours >> 24 == 0);
		CHECK(cron.days != 0 && (cron.days & 1) == 0);
		CHECK(cron.months != 0 && (cron.months & 1) == 0 && cron.months >> 13 == 0);
		CHECK(cron.weekdays != 0 && cron.weekdays >> 7 == 0);
		check_next(&cron);
		for (int hours = -23; hours <= 23; hours += 1 + (int) (size % 5))
			check_shift(&cron, text, size, hours);
		(void) c360_cron_next(&cron, -1, &next);
		(void) c360_cron_next(&cron, INT64_C(-3000000000), &next);
		(void) c360_cron_next(&cron, INT64_C(200000000000), &next);
	}
	free(text);
	return 0;
}
