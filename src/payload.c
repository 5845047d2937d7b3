/*
 * payload.c
 *	  A bank gateway's payload, read and checked: SePay's webhook body, or an
 *	  element of its list of transactions, which names the same otherwise and
 *	  has amounts as text.
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
#include "shop.h"

#define CONTENT_MAX 10000

static void
bad_field(const char *field, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("bank payload is malformed"),
			 errdetail("invalid_payload: %s %s", field, what)));
}

typedef enum Field
{
	FIELD_id, FIELD_gateway, FIELD_date, FIELD_account, FIELD_sub_account, FIELD_code,
	FIELD_content, FIELD_amount, FIELD_accumulated, FIELD_reference, FIELD_description
} Field;

/* As the webhook and the list call them; errors name what was sent. */
static const char *const webhook_names[] = {
	[FIELD_id] = "id",[FIELD_gateway] = "gateway",[FIELD_date] = "transactionDate",
	[FIELD_account] = "accountNumber",[FIELD_sub_account] = "subAccount",[FIELD_code] = "code",
	[FIELD_content] = "content",[FIELD_amount] = "transferAmount",
	[FIELD_accumulated] = "accumulated",[FIELD_reference] = "referenceCode",
	[FIELD_description] = "description",
};
static const char *const list_names[] = {
	[FIELD_id] = "id",[FIELD_gateway] = "bank_brand_name",[FIELD_date] = "transaction_date",
	[FIELD_account] = "account_number",[FIELD_sub_account] = "sub_account",[FIELD_code] = "code",
	[FIELD_content] = "transaction_content",[FIELD_amount] = "amount_in",
	[FIELD_accumulated] = "accumulated",[FIELD_reference] = "reference_number",
	[FIELD_description] = "description",
};

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
optional_text(Jsonb *raw, const char *name, int longest)
{
	return text_of(field(raw, name), name, longest);
}

static char *
required_text(Jsonb *raw, const char *name, int longest)
{
	char	   *text = text_of(required(raw, name), name, longest);

	if (c360_trimmed_length(text) == 0)
		bad_field(name, "is blank");
	return text;
}

static void
number_out_of_range(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("bank payload has a number out of range"),
			 errdetail("overflow: %s", name)));
}

static Numeric
numeric_of(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static int64
integer_of_numeric(Numeric number, const char *name)
{
	Datum		whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number), Int32GetDatum(0));

	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number), whole)) != 0)
		bad_field(name, "is no whole number");
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp,
										  DirectFunctionCall1(numeric_abs, NumericGetDatum(number)),
										  NumericGetDatum(int64_to_numeric(PG_INT64_MAX)))) > 0)
		number_out_of_range(name);
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number)));
}

static int64
integer_of(JsonbValue *value, const char *name)
{
	if (value->type != jbvNumeric)
		bad_field(name, "is no number");
	return integer_of_numeric(value->val.numeric, name);
}

/* The list has numbers as text: 18067000.00 */
static int64
integer_in_list(JsonbValue *value, const char *name)
{
	char	   *text;
	char	   *digits;

	if (value->type != jbvString)
		return integer_of(value, name);
	text = pnstrdup(value->val.string.val, value->val.string.len);
	digits = text + (*text == '-');
	if (strspn(digits, "0123456789") == 0 || strlen(text) > 40 ||
		strspn(digits, "0123456789.") != strlen(digits) || strchr(digits, '.') != strrchr(digits, '.'))
		bad_field(name, "is no number");
	return integer_of_numeric(numeric_of(text), name);
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
		while (text[0] == '0' && text[1] != '\0')
			text++;
		if (strlen(text) > 19)
			number_out_of_range(name);
		id = integer_of_numeric(numeric_of(text), name);
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
	c360_own_settings();
	(void) set_config_option("timezone", C360_SHOP_TIME_ZONE, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PG_TRY();
	{
		date = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
													   ObjectIdGetDatum(InvalidOid),
													   Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		(void) c360_caught_data_error(context);
		bad_field(name, "is no date");
	}
	PG_END_TRY();
	if (TIMESTAMP_NOT_FINITE(date) || date < 0)
		bad_field(name, "is before 2000");
	if (date > GetCurrentTimestamp() + USECS_PER_DAY)
		bad_field(name, "is more than a day ahead");
	return date;
}

/* Direction and amount of the webhook's body. */
static void
read_amount(Jsonb *raw, C360Payload *payload)
{
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
}

static int64
list_amount(Jsonb *raw, const char *name)
{
	JsonbValue *value = field(raw, name);
	int64		amount = value != NULL ? integer_in_list(value, name) : 0;

	if (amount < 0)
		bad_field(name, "is negative");
	return amount;
}

/* The list has one amount for each direction, the other is 0. */
static void
read_list_amounts(Jsonb *raw, C360Payload *payload)
{
	int64		in = list_amount(raw, "amount_in");
	int64		out = list_amount(raw, "amount_out");

	if (field(raw, "amount_out") == NULL)
		(void) required(raw, "amount_in");
	if (in > 0 && out > 0)
		bad_field("amount_in", "and amount_out are both above 0");
	payload->transfer_type = out > 0 ? "out" : "in";
	payload->transfer_amount = out > 0 ? out : in;
}

static bool
is_list_element(Jsonb *raw)
{
	return field(raw, "transferType") == NULL && field(raw, "transactionDate") == NULL &&
		(field(raw, "amount_in") != NULL || field(raw, "amount_out") != NULL ||
		 field(raw, "transaction_date") != NULL);
}

void
c360_payload_read(Jsonb *raw, C360Payload *payload)
{
	const char *const *names;
	JsonbValue *accumulated;
	bool		list;

	if (!JB_ROOT_IS_OBJECT(raw))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bank payload is malformed"),
				 errdetail("invalid_payload: the payload is no object")));
	list = is_list_element(raw);
	names = list ? list_names : webhook_names;
	memset(payload, 0, sizeof(*payload));
	payload->raw = raw;
	payload->sepay_id = id_of(required(raw, names[FIELD_id]), names[FIELD_id]);
	payload->gateway = required_text(raw, names[FIELD_gateway], C360_NAME_MAX);
	payload->transaction_date = date_of(required_text(raw, names[FIELD_date], 64), names[FIELD_date]);
	payload->account_number = required_text(raw, names[FIELD_account], C360_REFERENCE_MAX);
	payload->sub_account = optional_text(raw, names[FIELD_sub_account], C360_REFERENCE_MAX);
	payload->code = optional_text(raw, names[FIELD_code], C360_REFERENCE_MAX);
	payload->content = optional_text(raw, names[FIELD_content], CONTENT_MAX);
	if (list)
		read_list_amounts(raw, payload);
	else
		read_amount(raw, payload);
	accumulated = field(raw, names[FIELD_accumulated]);
	payload->has_accumulated = accumulated != NULL;
	if (accumulated != NULL)
		payload->accumulated = list ? integer_in_list(accumulated, names[FIELD_accumulated]) :
			integer_of(accumulated, names[FIELD_accumulated]);
	payload->reference_code = optional_text(raw, names[FIELD_reference], C360_REFERENCE_MAX);
	payload->description = optional_text(raw, names[FIELD_description], CONTENT_MAX);
}
