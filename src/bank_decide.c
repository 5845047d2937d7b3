/*
 * bank_decide.c
 *	  Whose transfer is it?  The rule, from the candidates of its content.
 *
 * A known QR code wins over everything; else a whole phone decides, whether it
 * is known or not; else parts of phones, found by the end of live numbers. Two
 * different customers are never chosen between: staff does. What was seen is
 * kept, whatever the outcome, so that staff see why. Nothing is written here.
 *
 * A part may fit a customer by accident, with the chance customers / 10^digits.
 * How many customers there are is asked only when exactly one fits, and only
 * as "at most so many?": the range of their ids is an upper bound that two
 * index probes give. If that is too many (ids have gaps), the planner's
 * statistics may say no, never yes: they are wrong for tables that just grew.
 * Then up to 100,000 are counted in an index; beyond that it must be certain by
 * the size of the table. What errs, errs to pending.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "bank.h"
#include "customer.h"
#include "ignored.h"
#include "json.h"
#include "query.h"
#include "settings.h"
#include "shop.h"
#include "transfer.h"

#define MOST_LISTED 100			/* customers whom the parts of a transfer fit */
#define UNMARKED_SHARE 100		/* of the chance that a marked part may have */
#define COUNTED_EXACTLY 100000
#define SMALLEST_ROW 128		/* bytes that a customer takes at least */

/* A candidate and the customers it led to. */
typedef struct Seen
{
	C360Candidate candidate;
	const char *passed_over;	/* why it was not looked up */
	int64	   *customers;
	int			ncustomers;
	bool		more;			/* not all of them are listed */
} Seen;

typedef struct Reading
{
	Seen	   *seen;
	int			count;
	int			listed;			/* customers by parts, in all */
} Reading;

static const char *const kind_names[] = {
	[C360_CANDIDATE_QR_CODE] = "qr_code",
	[C360_CANDIDATE_PHONE] = "phone",
	[C360_CANDIDATE_PART] = "part",
};

/*
 * What the content holds
 */

static void
read_content(const char *content, Reading *reading)
{
	size_t		length = content != NULL ? strlen(content) : 0;
	size_t		nignored;
	const C360Ignored *ignored = c360_ignored(&nignored);
	C360Candidate *candidates;

	memset(reading, 0, sizeof(*reading));
	if (length == 0)
		return;
	candidates = palloc(sizeof(C360Candidate) * (c360_transfer_capacity(length) + 1));
	reading->count = c360_transfer_parse(content, length, ignored, nignored, palloc(length),
										 candidates);
	reading->seen = palloc0(sizeof(Seen) * (reading->count + 1));
	for (int i = 0; i < reading->count; i++)
		reading->seen[i].candidate = candidates[i];
}

static void
leads_to(Seen *seen, int64 customer_id)
{
	if (customer_id == 0)
		return;
	if (seen->customers == NULL)
		seen->customers = palloc(sizeof(int64) * MOST_LISTED);
	seen->customers[seen->ncustomers++] = customer_id;
}

/* The customer of a live QR code, 0 if there is none; an erased one has none. */
static int64
customer_of_code(const char *code)
{
	static C360Query query = {
		"SELECT c.id FROM c360.balance_customer_info AS q"
		" JOIN c360.customers AS c ON c.id OPERATOR(pg_catalog.=) q.customer_id"
		" WHERE q.code OPERATOR(pg_catalog.=) $1 AND q.retired_at IS NULL AND c.phone IS NOT NULL",
		1, {TEXTOID}, NULL
	};
	Datum		values[1];
	int64		id = 0;
	bool		isnull;

	SPI_connect();
	values[0] = CStringGetTextDatum(code);
	if (c360_query(&query, values, NULL) == 1)
		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return id;
}

static Seen *
first_of_kind(Reading *reading, C360CandidateKind kind)
{
	for (int i = 0; i < reading->count; i++)
		if (reading->seen[i].candidate.kind == kind)
			return &reading->seen[i];
	return NULL;
}

/*
 * Codes and phones
 */

static void
set_outcome(C360Decision *decision, const Seen *by, int64 customer_id)
{
	decision->outcome = "deposited";
	decision->method = kind_names[by->candidate.kind];
	decision->value = by->candidate.value;
	decision->customer_id = customer_id;
}

static bool
decided_by_code(Reading *reading, C360Decision *decision)
{
	const Seen *by = NULL;

	for (int i = 0; i < reading->count; i++)
	{
		Seen	   *seen = &reading->seen[i];

		if (seen->candidate.kind != C360_CANDIDATE_QR_CODE)
			continue;
		leads_to(seen, customer_of_code(seen->candidate.value));
		if (seen->ncustomers == 0)
			continue;
		if (by == NULL)
			set_outcome(decision, by = seen, seen->customers[0]);
		else if (by->customers[0] != seen->customers[0])
			decision->outcome = "pending";
	}
	return by != NULL;
}

/* A second whole phone is another customer's: a live number has one owner. */
static bool
decided_by_phone(C360Store *store, Reading *reading, C360Decision *decision)
{
	const Seen *by = NULL;

	for (int i = 0; i < reading->count; i++)
	{
		Seen	   *seen = &reading->seen[i];
		C360Row    *customer;

		if (seen->candidate.kind != C360_CANDIDATE_PHONE)
			continue;
		customer = c360_customer_row(store, seen->candidate.value);
		leads_to(seen, customer != NULL ? c360_get_int64(customer, CUSTOMER_id) : 0);
		if (decision->method != NULL && by == NULL)
			continue;			/* a code decided; staff sees the phone, too */
		if (by != NULL)
			decision->outcome = "pending";
		else
		{
			set_outcome(decision, by = seen, seen->ncustomers > 0 ? seen->customers[0] : 0);
			decision->customer = customer;
		}
	}
	if (by != NULL && by->ncustomers == 0 && !c360_settings()->create_customer_from_transfer)
		decision->outcome = "pending";
	return by != NULL;
}

/*
 * Parts
 */

static int
two_digits(const char *digits)
{
	return (digits[0] - '0') * 10 + digits[1] - '0';
}

/* DDMMYY within a year of the transfer, by the shop's calendar */
static bool
is_date_near(const char *value, TimestampTz when)
{
	int			day = two_digits(value);
	int			month = two_digits(value + 2);
	int			year = 2000 + two_digits(value + 4);
	int64		shop_day = (when + C360_SHOP_OFFSET) / USECS_PER_DAY;

	if (strlen(value) != 6 || month < 1 || month > 12 ||
		day < 1 || day > day_tab[isleap(year)][month - 1])
		return false;
	return labs(date2j(year, month, day) - POSTGRES_EPOCH_JDATE - shop_day) <= 366;
}

/* Why an unmarked number is no part of a phone; NULL if it may be one. */
static const char *
why_no_part(const char *value, const C360Transfer *transfer)
{
	size_t		length = strlen(value);

	if (strcmp(value, psprintf("%lld", (long long) transfer->amount)) == 0 ||
		(transfer->amount % 1000 == 0 &&
		 strcmp(value, psprintf("%lld", (long long) transfer->amount / 1000)) == 0))
		return "amount";
	if (strcmp(value + length - 3, "000") == 0)
		return "thousands";
	if (is_date_near(value, transfer->date))
		return "date";
	return NULL;
}

/* Customers whose live phone ends with the part. */
static void
look_up_part(C360Store *store, Reading *reading, Seen *seen)
{
	C360Scan   *scan = c360_scan_begin_suffix(store, seen->candidate.value);
	C360Row    *customer;

	while ((customer = c360_scan_next(scan)) != NULL && !seen->more)
	{
		seen->more = reading->listed == MOST_LISTED;
		if (seen->more)
			break;
		leads_to(seen, c360_get_int64(customer, CUSTOMER_id));
		reading->listed++;
	}
	c360_scan_end(scan);
}

/* The number that a query of one row answers; 0 if NULL. */
static int64
answer_of(C360Query *query, int64 argument)
{
	Datum		values[1] = {Int64GetDatum(argument)};
	int64		answer = 0;
	bool		isnull;
	Datum		value;

	SPI_connect();
	if (c360_query(query, values, NULL) == 1)
	{
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		answer = isnull ? 0 : DatumGetInt64(value);
	}
	SPI_finish();
	return answer;
}

/* Whether there are at most so many customers; see the head of this file. */
static bool
customers_at_most(int64 limit)
{
	static C360Query range = {
		"SELECT max(id) OPERATOR(pg_catalog.-) min(id) OPERATOR(pg_catalog.+) $1 FROM c360.customers",
		1, {INT8OID}, NULL
	};
	static C360Query estimate = {
		"SELECT reltuples::pg_catalog.int8 FROM pg_catalog.pg_class"
		" WHERE oid OPERATOR(pg_catalog.=) 'c360.customers'::pg_catalog.regclass AND $1 IS NOT NULL",
		1, {INT8OID}, NULL
	};
	static C360Query densely = {
		"SELECT pg_catalog.pg_relation_size('c360.customers'::pg_catalog.regclass)"
		" OPERATOR(pg_catalog./) $1",
		1, {INT8OID}, NULL
	};
	static C360Query count = {
		"SELECT count(*) FROM (SELECT FROM c360.customers WHERE phone IS NOT NULL LIMIT $1) AS c",
		1, {INT8OID}, NULL
	};

	if (answer_of(&range, 1) <= limit)
		return true;
	if (answer_of(&estimate, 0) * 0.8 > limit)
		return false;
	if (limit > COUNTED_EXACTLY)
		return answer_of(&densely, SMALLEST_ROW) <= limit;
	return answer_of(&count, limit + 1) <= limit;
}

/* Whether a part fits by accident with no more than the allowed chance. */
static bool
is_sure(const C360Candidate *part)
{
	double		chance = c360_settings()->part_match_max_chance;

	if (!part->marked)
		chance /= UNMARKED_SHARE;
	/* a hair more, for what a fraction loses in binary */
	return customers_at_most((int64) floor(chance * pow(10, strlen(part->value)) * (1 + 1e-9)));
}

/*
 * The customer whom all parts together fit: 0 if none, -1 if several. by is
 * the longest part that fits him.
 */
static int64
only_customer(Reading *reading, const Seen **by)
{
	int64		only = 0;

	for (int i = 0; i < reading->count; i++)
	{
		const Seen *seen = &reading->seen[i];

		if (seen->candidate.kind != C360_CANDIDATE_PART)
			continue;
		for (int j = 0; j < seen->ncustomers; j++)
		{
			if (only != 0 && only != seen->customers[j])
				return -1;
			only = seen->customers[j];
		}
		if (seen->ncustomers > 0 &&
			(*by == NULL || strlen(seen->candidate.value) > strlen((*by)->candidate.value)))
			*by = seen;
	}
	return only;
}

static void
decide_by_parts(C360Store *store, const C360Transfer *transfer, Reading *reading,
				C360Decision *decision)
{
	Seen	   *first = first_of_kind(reading, C360_CANDIDATE_PART);
	const Seen *by = NULL;
	int64		customer_id;

	if (first == NULL)
		return;
	if (first->candidate.marked)
		look_up_part(store, reading, first);
	else
		for (Seen *seen = first; seen < reading->seen + reading->count; seen++)
		{
			seen->passed_over = why_no_part(seen->candidate.value, transfer);
			if (seen->passed_over == NULL)
				look_up_part(store, reading, seen);
		}
	customer_id = only_customer(reading, &by);
	if (customer_id == 0)
		return;
	if (customer_id > 0 && is_sure(&by->candidate))
		set_outcome(decision, by, customer_id);
	else
		decision->outcome = "pending";
}

/*
 * What was seen, as it is kept
 */

static Jsonb *
as_json(const Reading *reading)
{
	C360Json	json = {0};

	c360_json_begin_array(&json, NULL);
	for (int i = 0; i < reading->count; i++)
	{
		const Seen *seen = &reading->seen[i];

		c360_json_begin_object(&json, NULL);
		c360_json_text(&json, "kind", kind_names[seen->candidate.kind]);
		c360_json_text(&json, "value", seen->candidate.value);
		c360_json_int64(&json, "position", seen->candidate.position);
		c360_json_fraction(&json, "confidence", seen->candidate.confidence);
		c360_json_begin_array(&json, "customers");
		for (int j = 0; j < seen->ncustomers; j++)
			c360_json_int64(&json, NULL, seen->customers[j]);
		c360_json_end_array(&json);
		if (seen->more)
			c360_json_bool(&json, "more", true);
		c360_json_text(&json, "passed_over", seen->passed_over);
		c360_json_end_object(&json);
	}
	c360_json_end_array(&json);
	return c360_json_finish(&json);
}

/*
 * The decision. Without parts it goes by codes and whole phones alone.
 */
void
c360_decide(C360Store *store, const C360Transfer *transfer, bool with_parts,
			C360Decision *decision)
{
	Reading		reading;
	bool		by_code;
	bool		by_phone;

	memset(decision, 0, sizeof(*decision));
	decision->outcome = "unmatched";
	read_content(transfer->content, &reading);
	by_code = decided_by_code(&reading, decision);
	by_phone = decided_by_phone(store, &reading, decision);
	if (!by_code && !by_phone && with_parts)
		decide_by_parts(store, transfer, &reading, decision);
	decision->seen = as_json(&reading);
}
