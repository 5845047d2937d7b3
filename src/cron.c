/*
 * cron.c
 *		Five-field cron schedules: which moment comes next.
 *
 * pg_cron can parse schedules, but it is not everywhere; where the job runner
 * works without it, the runner must know by itself when a job is due. So this
 * follows pg_cron (Vixie cron) to the letter for what both accept: the same
 * schedule means the same moments whoever runs the jobs.
 *
 * - Five fields: minute 0-59, hour 0-23, day 1-31, month 1-12 or jan-dec, day
 *   of the week 0-7 or sun-sat, both 0 and 7 Sunday. A field is a list of
 *   "*", a number, or a range, the first and last of them with a step.
 * - If neither day field begins with "*", a day that fits one of them is
 *   enough; else it must fit both.
 *
 * What pg_cron takes although it means nothing is refused here: ranges that
 * run backwards, steps wider than the field, further text after a field's
 * value or after the last field; and so are "@daily" and the like, seconds,
 * and "$" for the last day of a month, which not all of its versions have.
 *
 * Bytes in, numbers out: no server calls and no allocation, so that this file
 * can be fuzzed alone. Without time zones, too: a schedule has one clock, and
 * the shop's has no daylight saving.
 */
#include <string.h>

#include "cron.h"

#define MINUTES_OF_DAY 1440

/* Leap days and weekdays repeat in 28 years, or 40 around the year 2100. */
#define DAYS_TO_LOOK_AT (366 * 41)

static const struct
{
	int			low;
	int			high;
	const char *names;			/* three letters each */
}			fields[] =
{
	{0, 59, ""},
	{0, 23, ""},
	{1, 31, ""},
	{1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	{0, 7, "sunmontuewedthufrisat"}
};

enum
{
	MINUTE, HOUR, DAY, MONTH, WEEKDAY, NFIELDS
};

static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* What is left of the text of a schedule. */
typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static bool
is_letter(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
skip(Reader *reader, char c)
{
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

static bool
skip_blanks(Reader *reader)
{
	const char *before = reader->at;

	while (reader->at < reader->end && is_blank(*reader->at))
		reader->at++;
	return reader->at > before;
}

/* Leading zeros count for nothing; numbers no field could hold are 1000. */
static bool
read_digits(Reader *reader, int *number)
{
	const char *before = reader->at;

	*number = 0;
	for (; reader->at < reader->end && is_digit(*reader->at); reader->at++)
		if (*number < 1000)
			*number = *number * 10 + (*reader->at - '0');
	return reader->at > before;
}

static bool
read_name(Reader *reader, int field, int *number)
{
	const char *names = fields[field].names;

	if (reader->end - reader->at < 3)
		return false;
	for (int i = 0; names[3 * i] != '\0'; i++)
		if (lower(reader->at[0]) == names[3 * i] && lower(reader->at[1]) == names[3 * i + 1] &&
			lower(reader->at[2]) == names[3 * i + 2])
		{
			*number = fields[field].low + i;
			reader->at += 3;
			return true;
		}
	return false;
}

static bool
read_number(Reader *reader, int field, int *number)
{
	if (!read_digits(reader, number) && !read_name(reader, field, number))
		return false;
	if (reader->at < reader->end && (is_digit(*reader->at) || is_letter(*reader->at)))
		return false;
	return *number >= fields[field].low && *number <= fields[field].high;
}

/* "*", n or n-m, the first and last with a step. */
static bool
read_range(Reader *reader, int field, uint64_t *mask)
{
	int			first = fields[field].low;
	int			last = fields[field].high;
	int			step = 1;
	bool		many = skip(reader, '*');

	if (!many)
	{
		if (!read_number(reader, field, &first))
			return false;
		last = first;
		many = skip(reader, '-');
		if (many && !read_number(reader, field, &last))
			return false;
	}
	if (many && skip(reader, '/') && !read_digits(reader, &step))
		return false;
	if (last < first || step < 1 || step > fields[field].high)
		return false;
	for (int i = first; i <= last; i += step)
		*mask |= UINT64_C(1) << i;
	return true;
}

static bool
read_field(Reader *reader, int field, uint64_t *mask)
{
	*mask = 0;
	do
	{
		if (!read_range(reader, field, mask))
			return false;
	} while (skip(reader, ','));
	return true;
}

/* A mask of the numbers from low to high. */
static uint64_t
full(int low, int high)
{
	return ((UINT64_C(1) << (high + 1)) - 1) & ~((UINT64_C(1) << low) - 1);
}

static uint64_t
full_field(int field)
{
	return field == WEEKDAY ? full(0, 6) : full(fields[field].low, fields[field].high);
}

/* Where each field begins and ends, and what it says. */
typedef struct Parsed
{
	const char *begin[NFIELDS];
	const char *end[NFIELDS];
	uint64_t	mask[NFIELDS];
} Parsed;

static bool
parse_fields(const char *text, size_t length, Parsed *parsed)
{
	Reader		reader = {text, text + length};

	if (length > C360_CRON_MAX)
		return false;
	skip_blanks(&reader);
	for (int field = 0; field < NFIELDS; field++)
	{
		if (field > 0 && !skip_blanks(&reader))
			return false;
		parsed->begin[field] = reader.at;
		if (!read_field(&reader, field, &parsed->mask[field]))
			return false;
		parsed->end[field] = reader.at;
	}
	skip_blanks(&reader);
	if (parsed->mask[WEEKDAY] & (UINT64_C(1) << 7))
		parsed->mask[WEEKDAY] |= 1;
	parsed->mask[WEEKDAY] &= full_field(WEEKDAY);
	return reader.at == reader.end;
}

static void
to_cron(const Parsed *parsed, C360Cron *cron)
{
	cron->minutes = parsed->mask[MINUTE];
	cron->hours = (uint32_t) parsed->mask[HOUR];
	cron->days = (uint32_t) parsed->mask[DAY];
	cron->months = (uint32_t) parsed->mask[MONTH];
	cron->weekdays = (uint32_t) parsed->mask[WEEKDAY];
	cron->either_day = *parsed->begin[DAY] != '*' && *parsed->begin[WEEKDAY] != '*';
}

bool
c360_cron_parse(const char *text, size_t length, C360Cron *cron)
{
	Parsed		parsed;

	if (!parse_fields(text, length, &parsed))
		return false;
	to_cron(&parsed, cron);
	return true;
}

/*
 * Moments
 */

/* A day of the calendar. */
typedef struct Date
{
	int64_t		year;
	int			month;			/* 1-12 */
	int			day;
	int			weekday;		/* 0 = Sunday */
} Date;

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
days_of_month(int64_t year, int month)
{
	return month_days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t
floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The day so many days after 1970-01-01; years begin in March meanwhile. */
static Date
date_of(int64_t days)
{
	int64_t		since = days + 719468;	/* 0000-03-01 */
	int64_t		era = floor_divide(since, 146097);
	int64_t		day = since - era * 146097;
	int64_t		year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t		day_of_year = day - (365 * year + year / 4 - year / 100);
	int			month = (int) ((5 * day_of_year + 2) / 153);
	Date		date;

	date.day = (int) (day_of_year - (153 * month + 2) / 5) + 1;
	date.month = month < 10 ? month + 3 : month - 9;
	date.year = year + era * 400 + (date.month <= 2);
	date.weekday = (int) (days + 4 - 7 * floor_divide(days + 4, 7));
	return date;
}

static void
next_day(Date *date)
{
	date->weekday = (date->weekday + 1) % 7;
	if (date->day < days_of_month(date->year, date->month))
	{
		date->day++;
		return;
	}
	date->day = 1;
	if (date->month == 12)
		date->year++;
	date->month = date->month % 12 + 1;
}

static bool
has(uint64_t mask, int bit)
{
	return (mask >> bit & 1) != 0;
}

static bool
day_fits(const C360Cron *cron, const Date *date)
{
	bool		day = has(cron->days, date->day);
	bool		weekday = has(cron->weekdays, date->weekday);

	return has(cron->months, date->month) &&
		(cron->either_day ? day || weekday : day && weekday);
}

/* The first minute of a day, from the given one on; -1 = none. */
static int
minute_of_day(const C360Cron *cron, int from)
{
	for (int minute = from; minute < MINUTES_OF_DAY; minute++)
	{
		if (!has(cron->hours, minute / 60))
			minute += 59 - minute % 60;
		else if (has(cron->minutes, minute % 60))
			return minute;
	}
	return -1;
}

bool
c360_cron_next(const C360Cron *cron, int64_t minute, int64_t *next)
{
	int64_t		first = floor_divide(minute + 1, MINUTES_OF_DAY);
	int			from = (int) (minute + 1 - first * MINUTES_OF_DAY);
	Date		date = date_of(first);

	for (int64_t day = first; day < first + DAYS_TO_LOOK_AT; day++, next_day(&date), from = 0)
	{
		int			found = day_fits(cron, &date) ? minute_of_day(cron, from) : -1;

		if (found < 0)
			continue;
		*next = day * MINUTES_OF_DAY + found;
		return true;
	}
	return false;
}

/*
 * The same moments on another clock
 */

static char *
write_text(char *out, const char *begin, const char *end)
{
	memcpy(out, begin, (size_t) (end - begin));
	return out + (end - begin);
}

/* "*" or a list of numbers */
static char *
write_mask(char *out, uint64_t mask, int field)
{
	const char *before = out;

	if (mask == full_field(field))
	{
		*out++ = '*';
		return out;
	}
	for (int i = fields[field].low; i <= fields[field].high; i++)
	{
		if (!has(mask, i))
			continue;
		if (out > before)
			*out++ = ',';
		if (i >= 10)
			*out++ = (char) ('0' + i / 10);
		*out++ = (char) ('0' + i % 10);
	}
	return out;
}

/* Moves hours; says on which days they fall, -1 to 1. */
static uint64_t
move_hours(uint64_t hours, int by, bool falls_on[3])
{
	uint64_t	moved = 0;

	memset(falls_on, 0, 3 * sizeof(bool));
	for (int hour = 0; hour < 24; hour++)
		if (has(hours, hour))
		{
			int			day = (hour + by + 24) / 24;

			falls_on[day] = true;
			moved |= UINT64_C(1) << (hour + by + 24) % 24;
		}
	return moved;
}

/*
 * Days of the month that move with their hours must not leave the month, and
 * where they arrive there must be exactly those: day 31 moved back by one
 * would be day 30 of short months, too.
 */
static bool
days_can_move(uint64_t days, uint64_t months, int by)
{
	for (int month = 1; month <= 12; month++)
		for (int day = 1; has(months, month) && day <= 31; day++)
			if (has(days, day) &&
				(by < 0 ? day == 1 || day > month_days[month - 1] : day >= month_days[month - 1]))
				return false;
	return true;
}

static C360CronShift
move_days(Parsed *parsed, bool either, int by)
{
	uint64_t   *mask = parsed->mask;
	bool		any_day = mask[DAY] == full_field(DAY);
	bool		any_weekday = mask[WEEKDAY] == full_field(WEEKDAY);

	if ((any_day || any_weekday) && either)
		any_day = any_weekday = true;
	if (!any_day && !any_weekday && !either)
		return C360_CRON_DAYS;
	if (any_day && any_weekday)
		mask[DAY] = full_field(DAY), mask[WEEKDAY] = full_field(WEEKDAY);
	/* days of the week pass from month to month */
	if ((any_day || !any_weekday) && mask[MONTH] != full_field(MONTH))
		return C360_CRON_MONTH_END;
	if (!any_day)
	{
		if (!days_can_move(mask[DAY], mask[MONTH], by))
			return C360_CRON_MONTH_END;
		mask[DAY] = by < 0 ? mask[DAY] >> 1 : mask[DAY] << 1;
	}
	if (!any_weekday)
	{
		int			turn = (by + 7) % 7;

		mask[WEEKDAY] = (mask[WEEKDAY] << turn | mask[WEEKDAY] >> (7 - turn)) & full_field(WEEKDAY);
	}
	return C360_CRON_SHIFTED;
}

C360CronShift
c360_cron_shift(const char *text, size_t length, int hours, char out[2 * C360_CRON_MAX])
{
	Parsed		parsed;
	C360Cron	cron;
	bool		falls_on[3];	/* the day before, the same, the next */
	bool		changed[NFIELDS] = {false};

	if (!parse_fields(text, length, &parsed))
		return C360_CRON_DAYS;
	to_cron(&parsed, &cron);
	parsed.mask[HOUR] = move_hours(parsed.mask[HOUR], hours, falls_on);
	changed[HOUR] = parsed.mask[HOUR] != cron.hours;
	if (falls_on[0] || falls_on[2])
	{
		bool		every_day = parsed.mask[MONTH] == full_field(MONTH) &&
			(cron.either_day ?
			 parsed.mask[DAY] == full_field(DAY) || parsed.mask[WEEKDAY] == full_field(WEEKDAY) :
			 parsed.mask[DAY] == full_field(DAY) && parsed.mask[WEEKDAY] == full_field(WEEKDAY));

		if (!every_day)
		{
			C360CronShift result = falls_on[1] || (falls_on[0] && falls_on[2]) ?
				C360_CRON_BOTH_SIDES : move_days(&parsed, cron.either_day, falls_on[0] ? -1 : 1);

			if (result != C360_CRON_SHIFTED)
				return result;
			changed[DAY] = changed[WEEKDAY] = true;
		}
	}
	for (int field = 0; field < NFIELDS; field++)
	{
		if (field > 0)
			*out++ = ' ';
		out = changed[field] ? write_mask(out, parsed.mask[field], field) :
			write_text(out, parsed.begin[field], parsed.end[field]);
	}
	*out = '\0';
	return C360_CRON_SHIFTED;
}
