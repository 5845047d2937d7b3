/*
 * qr.c
 *	  QR codes: what a customer puts into a transfer so that it finds him.
 *
 * A code is N2 and 16 random letters or digits. A customer has one live code;
 * asking again answers the same. A retired code is read as any unknown one; a
 * transfer that is being decided at that moment may still be found by it.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/memutils.h"

#include "activity.h"
#include "actor.h"
#include "call.h"
#include "customer.h"
#include "json.h"
#include "query.h"

#define CODE_LENGTH 18

PG_FUNCTION_INFO_V1(c360_create_qr_code);
PG_FUNCTION_INFO_V1(c360_retire_qr_code);

/* 32 signs, so that a random byte chooses one evenly; none looks like another. */
static void
random_code(char *code)
{
	static const char signs[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	unsigned char bytes[CODE_LENGTH];

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	code[0] = 'N';
	code[1] = '2';
	for (int i = 2; i < CODE_LENGTH; i++)
		code[i] = signs[bytes[i] % 32];
	code[CODE_LENGTH] = '\0';
}

/*
 * Two calls at once race for the unique key of live codes; both get the
 * winner's. NULL if the customer is erased meanwhile, or if the code that was
 * in the way is retired since.
 */
static char *
live_code(int64 customer_id, bool *created)
{
	static C360Query insert = {
		"INSERT INTO c360.balance_customer_info (code, customer_id, created_by)"
		" SELECT $1, c.id, $3 FROM c360.customers AS c"
		" WHERE c.id OPERATOR(pg_catalog.=) $2 AND c.phone IS NOT NULL FOR KEY SHARE"
		" ON CONFLICT (customer_id) WHERE retired_at IS NULL DO NOTHING",
		3, {TEXTOID, INT8OID, TEXTOID}, NULL
	};
	static C360Query select = {
		"SELECT code FROM c360.balance_customer_info"
		" WHERE customer_id OPERATOR(pg_catalog.=) $1 AND retired_at IS NULL",
		1, {INT8OID}, NULL
	};
	MemoryContext caller = CurrentMemoryContext;
	char		code[CODE_LENGTH + 1];
	Datum		values[3];
	char	   *result = NULL;

	random_code(code);
	SPI_connect();
	values[0] = CStringGetTextDatum(code);
	values[1] = Int64GetDatum(customer_id);
	values[2] = CStringGetTextDatum(c360_actor());
	*created = c360_query(&insert, values, NULL) == 1;
	values[0] = Int64GetDatum(customer_id);
	if (c360_query(&select, values, NULL) == 1)
		result = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0],
														  SPI_tuptable->tupdesc, 1));
	SPI_finish();
	return result;
}

static void
announce_code(C360Store *store, int64 customer_id, const char *phone, const char *key,
			  const char *code)
{
	C360Activity activity = {.topic = "customers",.event = "customer.updated"};
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "phone", phone);
	c360_json_text(&json, key, code);
	c360_json_end_object(&json);
	activity.customer_id = customer_id;
	activity.reference_type = "customer";
	activity.reference_id = customer_id;
	activity.payload = c360_json_finish(&json);
	c360_activity_write(store, &activity);
}

static Datum
create_qr_code(PG_FUNCTION_ARGS)
{
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	C360Store  *store = c360_store_open();
	char	   *code = NULL;
	int64		customer_id;
	bool		created;

	for (int tries = 0; code == NULL; tries++)
	{
		c360_check_tries(tries);
		customer_id = c360_customer_by_phone(store, phone);
		if (customer_id == 0)
			c360_customer_unknown(phone);
		code = live_code(customer_id, &created);
		c360_store_refresh(store);
	}
	if (created)
		announce_code(store, customer_id, phone, "qr_code", code);
	c360_store_close(store);
	PG_RETURN_TEXT_P(cstring_to_text(code));
}

Datum
c360_create_qr_code(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_create_qr_code", create_qr_code);
}

/* Whose code it was; 0 if it was retired before. PT404 if nobody has it. */
static int64
retire(const char *code)
{
	static C360Query update = {
		"UPDATE c360.balance_customer_info SET retired_at = pg_catalog.clock_timestamp(), retired_by = $2"
		" WHERE code OPERATOR(pg_catalog.=) $1 AND retired_at IS NULL RETURNING customer_id",
		2, {TEXTOID, TEXTOID}, NULL
	};
	static C360Query select = {
		"SELECT FROM c360.balance_customer_info WHERE code OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}, NULL
	};
	Datum		values[2];
	int64		customer_id = 0;
	bool		isnull;

	SPI_connect();
	values[0] = CStringGetTextDatum(code);
	values[1] = CStringGetTextDatum(c360_actor());
	if (c360_query(&update, values, NULL) == 1)
		customer_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
												  &isnull));
	else if (c360_query(&select, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_C360_NOT_FOUND),
				 errmsg("no such QR code"),
				 errdetail("qr_code_not_found: \"%s\"", code)));
	SPI_finish();
	return customer_id;
}

static Datum
retire_qr_code(PG_FUNCTION_ARGS)
{
	char	   *typed = c360_arg_required_text(fcinfo, 0, "code", C360_REFERENCE_MAX);
	char	   *code = asc_toupper(typed, strlen(typed));
	int64		customer_id = retire(code);
	C360Store  *store;
	C360Row    *customer;

	if (customer_id != 0)
	{
		store = c360_store_open();
		customer = c360_find(store, C360_CUSTOMER_BY_ID, Int64GetDatum(customer_id));
		announce_code(store, customer_id,
					  customer != NULL ? c360_get_text(customer, CUSTOMER_phone) : NULL,
					  "retired_qr_code", code);
		c360_store_close(store);
	}
	PG_RETURN_VOID();
}

Datum
c360_retire_qr_code(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_retire_qr_code", retire_qr_code);
}
