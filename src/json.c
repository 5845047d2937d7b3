/*
 * json.c
 *	  Building jsonb values key by key.
 *
 * A thin cover of the server's pushJsonbValue(). Inside an object every value
 * has a key; inside an array the key is NULL. A NULL text leaves the key out.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "json.h"

static void
push_key(C360Json *json, const char *key)
{
	JsonbValue	value;

	if (key == NULL)
		return;
	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	json->result = pushJsonbValue(&json->state, WJB_KEY, &value);
}

static void
push(C360Json *json, const char *key, JsonbValue *value)
{
	push_key(json, key);
	json->result = pushJsonbValue(&json->state, key != NULL ? WJB_VALUE : WJB_ELEM, value);
}

void
c360_json_begin_object(C360Json *json, const char *key)
{
	push_key(json, key);
	json->result = pushJsonbValue(&json->state, WJB_BEGIN_OBJECT, NULL);
}

void
c360_json_end_object(C360Json *json)
{
	json->result = pushJsonbValue(&json->state, WJB_END_OBJECT, NULL);
}

void
c360_json_begin_array(C360Json *json, const char *key)
{
	push_key(json, key);
	json->result = pushJsonbValue(&json->state, WJB_BEGIN_ARRAY, NULL);
}

void
c360_json_end_array(C360Json *json)
{
	json->result = pushJsonbValue(&json->state, WJB_END_ARRAY, NULL);
}

void
c360_json_int64(C360Json *json, const char *key, int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	push(json, key, &value);
}

/* Two digits are kept. */
void
c360_json_fraction(C360Json *json, const char *key, double number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric =
		DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("%.2g", number)),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	push(json, key, &value);
}

void
c360_json_text(C360Json *json, const char *key, const char *text)
{
	JsonbValue	value;

	if (text == NULL)
		return;
	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	push(json, key, &value);
}

void
c360_json_time(C360Json *json, const char *key, TimestampTz time)
{
	char		buffer[MAXDATELEN + 1];

	JsonEncodeDateTime(buffer, TimestampTzGetDatum(time), TIMESTAMPTZOID, NULL);
	c360_json_text(json, key, pstrdup(buffer));
}

void
c360_json_bool(C360Json *json, const char *key, bool truth)
{
	JsonbValue	value;

	value.type = jbvBool;
	value.val.boolean = truth;
	push(json, key, &value);
}

void
c360_json_null(C360Json *json, const char *key)
{
	JsonbValue	value;

	value.type = jbvNull;
	push(json, key, &value);
}

/* A value that was read, containers included. */
void
c360_json_value(C360Json *json, const char *key, JsonbValue *value)
{
	push(json, key, value);
}

Jsonb *
c360_json_finish(C360Json *json)
{
	return JsonbValueToJsonb(json->result);
}
