/*
 * ticket_fields.c
 *	  What the fields of a ticket may hold, as staff give them: arguments of
 *	  c360_create_ticket() or keys of an object.
 *
 * Both go by one table and fail alike. It has the fields in the order in
 * which jsonb holds keys, so that of several mistakes the same one is told.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "call.h"
#include "json.h"
#include "ticket.h"

#define ITEMS_MAX 100000		/* bytes */
#define TOLD_MAX 64				/* characters of a wrong value in an error */

PG_FUNCTION_INFO_V1(c360_ticket_fields);

typedef enum Kind
{
	KIND_TEXT, KIND_CODE, KIND_PRIORITY, KIND_DATE, KIND_AMOUNT, KIND_ITEMS
} Kind;

typedef struct Field
{
	const char *name;
	Kind		kind;
	int			longest;		/* characters */
} Field;

static const Field fields[] = {
	{"reason", KIND_TEXT, C360_REASON_MAX},
	{"carrier", KIND_TEXT, C360_NAME_MAX},
	{"new_cod", KIND_AMOUNT},
	{"subject", KIND_TEXT, C360_NAME_MAX},
	{"assignee", KIND_TEXT, C360_NAME_MAX},
	{"deadline", KIND_DATE},
	{"priority", KIND_PRIORITY},
	{"products", KIND_ITEMS},
	{"order_code", KIND_CODE, C360_REFERENCE_MAX},
	{"attachments", KIND_ITEMS},
	{"description", KIND_TEXT, C360_NOTE_MAX},
	{"original_cod", KIND_AMOUNT},
	{"refund_amount", KIND_AMOUNT},
	{"tracking_code", KIND_TEXT, C360_REFERENCE_MAX},
};

#define FIELD_NAMES "assignee, attachments, carrier, deadline, description, new_cod, order_code, " \
	"original_cod, priority, products, reason, refund_amount, subject, tracking_code"

static const char *const priorities[] = {"low", "normal", "high", "urgent"};

/* So much of what was given as an error tells. */
static char *
told(const char *given)
{
	return pnstrdup(given, pg_mbcharcliplen(given, strlen(given), TOLD_MAX));
}

static const Field *
find_field(const char *name, int length)
{
	for (size_t i = 0; i < lengthof(fields); i++)
		if (strlen(fields[i].name) == length && memcmp(fields[i].name, name, length) == 0)
			return &fields[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown key"),
			 errdetail("unknown_key: \"%s\"", told(pnstrdup(name, length))),
			 errhint("Allowed are %s.", FIELD_NAMES)));
	return NULL;
}

/*
 * A field's value
 */

static void
check_text(const Field *field, text *value)
{
	/* so many bytes are no more characters */
	if (VARSIZE_ANY_EXHDR(value) > field->longest)
		c360_check_length(text_to_cstring(value), field->name, field->longest);
	if (field->kind == KIND_CODE &&
		!DatumGetBool(DirectFunctionCall2Coll(textregexeq, DEFAULT_COLLATION_OID,
											  PointerGetDatum(value),
											  CStringGetTextDatum("[^[:space:]]"))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("text must not be blank"),
				 errdetail("blank: %s", field->name)));
}

static void
check_priority(const Field *field, text *value)
{
	char	   *given = text_to_cstring(value);

	for (size_t i = 0; i < lengthof(priorities); i++)
		if (strcmp(given, priorities[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value is not allowed"),
			 errdetail("not_allowed: %s \"%s\"", field->name, told(given)),
			 errhint("Allowed are low, normal, high, urgent.")));
}

static void
bad_amount(const Field *field, const char *given)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("amount must be whole and not negative"),
			 errdetail("invalid_amount: %s is %s", field->name, told(given))));
}

static void
bad_date(const Field *field, const char *given)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("date is malformed"),
			 errdetail("invalid_date: %s \"%s\"", field->name, told(given)),
			 errhint("Dates are written as 2026-01-31T18:00:00+07:00.")));
}

static void
bad_type(const Field *field, JsonbValue *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value is of the wrong type"),
			 errdetail("wrong_type: %s is a %s", field->name, JsonbTypeName(value)),
			 errhint("%s", hint)));
}

static void
check_items(const Field *field, Jsonb *value)
{
	StringInfoData json;

	initStringInfo(&json);
	(void) JsonbToCString(&json, &value->root, VARSIZE(value));
	if (json.len > ITEMS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("text is too long"),
				 errdetail("too_long: %s has %d bytes, at most %d are allowed",
						   field->name, json.len, ITEMS_MAX)));
	pfree(json.data);
}

static Jsonb *
items_argument(const Field *field, Datum given)
{
	Jsonb	   *value = DatumGetJsonbP(given);
	JsonbValue	scalar;

	if (JB_ROOT_IS_SCALAR(value))
	{
		(void) JsonbExtractScalar(&value->root, &scalar);
		bad_type(field, &scalar, "An array or an object is expected.");
	}
	check_items(field, value);
	return value;
}

Datum
c360_ticket_field(const char *name, Datum given)
{
	const Field *field = find_field(name, strlen(name));

	switch (field->kind)
	{
		case KIND_TEXT:
		case KIND_CODE:
			given = PointerGetDatum(DatumGetTextPP(given));
			check_text(field, DatumGetTextPP(given));
			break;
		case KIND_PRIORITY:
			given = PointerGetDatum(DatumGetTextPP(given));
			check_priority(field, DatumGetTextPP(given));
			break;
		case KIND_DATE:
			if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(given)))
				bad_date(field, TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(given)) ?
						 "-infinity" : "infinity");
			break;
		case KIND_AMOUNT:
			if (DatumGetInt64(given) < 0)
				bad_amount(field, psprintf("%lld", (long long) DatumGetInt64(given)));
			break;
		case KIND_ITEMS:
			given = JsonbPGetDatum(items_argument(field, given));
			break;
	}
	return given;
}

/*
 * An object of them
 */

static int64
amount_of(const Field *field, Numeric number)
{
	Datum		given = NumericGetDatum(number);
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, given));
	Datum		whole = DirectFunctionCall2(numeric_trunc, given, Int32GetDatum(0));

	if (DatumGetBool(DirectFunctionCall2(numeric_gt, given,
										 NumericGetDatum(int64_to_numeric(PG_INT64_MAX)))))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount out of range"),
				 errdetail("overflow: %s", field->name)));
	if (*digits == '-' || !DatumGetBool(DirectFunctionCall2(numeric_eq, given, whole)))
		bad_amount(field, digits);
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, given));
}

/* Words like "tomorrow" are dates for the server, but not for us. */
static TimestampTz
date_of(const Field *field, const char *given)
{
	MemoryContext context = CurrentMemoryContext;
	int			year = strspn(given, "0123456789");
	volatile TimestampTz date = DT_NOEND;

	if (year < 4 || year > 6 || given[year] != '-' || !isdigit((unsigned char) given[year + 1]))
		bad_date(field, given);
	PG_TRY();
	{
		date = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(given),
													   ObjectIdGetDatum(InvalidOid),
													   Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		(void) c360_caught_data_error(context);
		bad_date(field, given);
	}
	PG_END_TRY();
	return date;
}

static void
add_string(C360Json *answer, const Field *field, JsonbValue *value)
{
	char	   *given = pnstrdup(value->val.string.val, value->val.string.len);

	if (field->kind == KIND_DATE)
		c360_json_time(answer, field->name, date_of(field, given));
	else
	{
		(void) c360_ticket_field(field->name, CStringGetTextDatum(given));
		c360_json_text(answer, field->name, given);
	}
}

static void
add_field(C360Json *answer, const Field *field, JsonbValue *value)
{
	bool		null = value->type == jbvNull;

	if (null && field->kind == KIND_PRIORITY)
		c360_missing_argument(field->name);
	if (null)
		c360_json_null(answer, field->name);
	else if (field->kind == KIND_ITEMS)
	{
		if (value->type != jbvBinary)
			bad_type(field, value, "An array or an object is expected.");
		check_items(field, JsonbValueToJsonb(value));
		c360_json_value(answer, field->name, value);
	}
	else if (field->kind == KIND_AMOUNT)
	{
		if (value->type != jbvNumeric)
			bad_type(field, value, "A number is expected.");
		c360_json_int64(answer, field->name, amount_of(field, value->val.numeric));
	}
	else
	{
		if (value->type != jbvString)
			bad_type(field, value, "A string is expected.");
		add_string(answer, field, value);
	}
}

/* Checks an object of fields; answers it in the form in which a ticket has them. */
Datum
c360_ticket_fields(PG_FUNCTION_ARGS)
{
	Jsonb	   *changes = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	JsonbIterator *iterator;
	C360Json	answer = {0};
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	if (changes == NULL || !JB_ROOT_IS_OBJECT(changes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value is of the wrong type"),
				 errdetail("wrong_type: changes is no object"),
				 errhint("An object is expected.")));
	iterator = JsonbIteratorInit(&changes->root);
	c360_json_begin_object(&answer, NULL);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		add_field(&answer, find_field(key.val.string.val, key.val.string.len), &value);
	}
	c360_json_end_object(&answer);
	PG_RETURN_JSONB_P(c360_json_finish(&answer));
}
