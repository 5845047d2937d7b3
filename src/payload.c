/*
 * payload.c
 *	  A bank gateway's payload (SePay's webhook body), read and checked.
 *
 * Fields that c360 does not know are kept in the raw payload and otherwise
 * ignored, since gateways add some from time to time. A field of the wrong
 * form is 22023 and names the field; nothing is stored then.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/numeric.h"

#include "call.h"
#include "payload.h"

#define SHOP_TIME_ZONE "Asia/Ho_Chi_Minh"
#define CONTENT_MAX 10000

static void
bad_field(const char *field, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("bank payload is malformed"),
			 errdetail("invalid_payload: %s %s", field, what)));
}

/* NULL if missing or null */
static JsonbValue *
field(Jsonb *raw, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&raw->root, name, strlen(name), NULL);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

static JsonbValue *
required(Jsonb *raw, const char *name)
{
	JsonbValue *value = field(raw, name);

	if (value == NULL)
		bad_field(name, "is missing");
	return value;
}

static char *
number_as_text(JsonbValue *value)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
}

/* Text, or a number taken as text. */
static char *
text_of(JsonbValue *value, const char *name, int longest)
{
	char	   *text;

	if (value == NULL)
		return NULL;
	if (value->type == jbvNumeric)
		text = number_as_text(value);
	else if (value->type == jbvString)
		text = pnstrdup(value->val.string.val, value->val.string.len);
	else
		bad_field(name, "is no text");
	if (pg_mbstrlen(text) > longest)
		bad_field(name, psprintf("is longer than %d characters", longest));
	return text;
}

static char *
required_text(Jsonb *raw, const char *name, int longest)
{
	char	   *text = text_of(required(raw, name), name, longest);

	if (c360_trimmed_length(text) == 0)
		bad_field(name, "is blank");
	return text;
}

static int64
integer_of(JsonbValue *value, const char *name)
{
	Numeric		number;

	if (value->type != jbvNumeric)
		bad_field(name, "is no number");
	number = value->val.numeric;
	if (strspn(number_as_text(value), "-0123456789") != strlen(number_as_text(value)) &&
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number),
										  DirectFunctionCall2(numeric_trunc, NumericGetDatum(number),
															  Int32GetDatum(0)))) != 0)
		bad_field(name, "is no whole number");
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number)));
}

/* A number, or digits in a string. */
static int64
id_of(JsonbValue *value, const char *name)
{
	int64		id;

	if (value->type == jbvString)
	{
		char	   *text = pnstrdup(value->val.string.val, value->val.string.len);

		if (*text == '\0' || strspn(text, "0123456789") != strlen(text))
			bad_field(name, "is no number");
		id = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
	}
	else
		id = integer_of(value, name);
	if (id <= 0)
		bad_field(name, "is not positive");
	return id;
}

/*
 * Shop time unless it names a zone. Only dates that begin with the year are
 * read, so that neither DateStyle nor words such as "tomorrow" play a part.
 */
static TimestampTz
date_of(const char *text, const char *name)
{
	MemoryContext context = CurrentMemoryContext;
	volatile TimestampTz date = 0;

	if (strspn(text, "0123456789") != 4 || text[4] != '-')
		bad_field(name, "is no date");
	(void) set_config_option("timezone", SHOP_TIME_ZONE, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PG_TRY();
	{
		date = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
													   ObjectIdGetDatum(InvalidOid),
													   Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			ReThrowError(error);
		bad_field(name, "is no date");
	}
	PG_END_TRY();
	if (TIMESTAMP_NOT_FINITE(date) || date < 0)
		bad_field(name, "is before 2000");
	if (date > GetCurrentTimestamp() + USECS_PER_DAY)
		bad_field(name, "is more than a day ahead");
	return date;
}

void
c360_payload_read(Jsonb *raw, C360Payload *payload)
{
	JsonbValue *accumulated;

	if (!JB_ROOT_IS_OBJECT(raw))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bank payload is malformed"),
				 errdetail("invalid_payload: the payload is no object")));
	memset(payload, 0, sizeof(*payload));
	payload->raw = raw;
	payload->sepay_id = id_of(required(raw, "id"), "id");
	payload->gateway = required_text(raw, "gateway", C360_NAME_MAX);
	payload->transaction_date = date_of(required_text(raw, "transactionDate", 64),
										"transactionDate");
	payload->account_number = required_text(raw, "accountNumber", C360_REFERENCE_MAX);
	payload->sub_account = text_of(field(raw, "subAccount"), "subAccount", C360_REFERENCE_MAX);
	payload->code = text_of(field(raw, "code"), "code", C360_REFERENCE_MAX);
	payload->content = text_of(field(raw, "content"), "content", CONTENT_MAX);
	payload->transfer_type = required_text(raw, "transferType", 16);
	if (strcmp(payload->transfer_type, "in") != 0 && strcmp(payload->transfer_type, "out") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bank payload is malformed"),
				 errdetail("invalid_payload: transferType is neither in nor out"),
				 errhint("Allowed are in and out.")));
	payload->transfer_amount = integer_of(required(raw, "transferAmount"), "transferAmount");
	if (payload->transfer_amount < 0)
		bad_field("transferAmount", "is negative");
	accumulated = field(raw, "accumulated");
	payload->has_accumulated = accumulated != NULL;
	if (accumulated != NULL)
		payload->accumulated = integer_of(accumulated, "accumulated");
	payload->reference_code = text_of(field(raw, "referenceCode"), "referenceCode",
									  C360_REFERENCE_MAX);
	payload->description = text_of(field(raw, "description"), "description", CONTENT_MAX);
}
