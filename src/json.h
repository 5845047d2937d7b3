/*
 * json.h
 *	  Building jsonb values key by key.
 */
#ifndef C360_JSON_H
#define C360_JSON_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef struct C360Json
{
	JsonbParseState *state;
	JsonbValue *result;			/* set when the outermost container ends */
} C360Json;

extern void c360_json_begin_object(C360Json *json, const char *key);
extern void c360_json_end_object(C360Json *json);
extern void c360_json_begin_array(C360Json *json, const char *key);
extern void c360_json_end_array(C360Json *json);
extern void c360_json_int64(C360Json *json, const char *key, int64 value);
extern void c360_json_fraction(C360Json *json, const char *key, double value);
extern void c360_json_text(C360Json *json, const char *key, const char *value);
extern void c360_json_time(C360Json *json, const char *key, TimestampTz value);
extern void c360_json_bool(C360Json *json, const char *key, bool value);
extern void c360_json_null(C360Json *json, const char *key);
extern void c360_json_value(C360Json *json, const char *key, JsonbValue *value);
extern Jsonb *c360_json_finish(C360Json *json);

#endif							/* C360_JSON_H */
