/*
 * customer.c
 *	  Customers, as far as money needs them: found by phone, made by their
 *	  first deposit or credit.
 *
 * Two first operations of one phone race for the unique key on phone; the
 * loser waits there and then finds the winner's row.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "call.h"
#include "customer.h"
#include "json.h"
#include "phone.h"
#include "query.h"

extern Datum c360_fold(PG_FUNCTION_ARGS);	/* pure.c */

PG_FUNCTION_INFO_V1(c360_get_or_create_customer);
PG_FUNCTION_INFO_V1(c360_require_customer);
PG_FUNCTION_INFO_V1(c360_make_customer);

/* NULL if there is none */
C360Row *
c360_customer_row(C360Store *store, const char *phone)
{
	return c360_find(store, C360_CUSTOMER_BY_PHONE, CStringGetTextDatum(phone));
}

/* 0 if there is none */
int64
c360_customer_by_phone(C360Store *store, const char *phone)
{
	C360Row    *row = c360_customer_row(store, phone);

	return row != NULL ? c360_get_int64(row, CUSTOMER_id) : 0;
}

void
c360_customer_unknown(const char *phone)
{
	ereport(ERROR,
			(errcode(ERRCODE_C360_NOT_FOUND),
			 errmsg("no such customer"),
			 errdetail("customer_not_found: phone %s", phone)));
}

static void
announce_creation(C360Store *store, int64 id, const char *phone, const char *name,
				  const char *source)
{
	C360Activity activity = {.topic = "customers",.event = "customer.created"};
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "phone", phone);
	c360_json_text(&json, "name", name);
	c360_json_text(&json, "source", source);
	c360_json_bool(&json, "needs_tpos", true);
	c360_json_end_object(&json);
	activity.customer_id = id;
	activity.reference_type = "customer";
	activity.reference_id = id;
	activity.payload = c360_json_finish(&json);
	c360_activity_write(store, &activity);
}

static Datum
folded(const char *value)
{
	return DirectFunctionCall1(c360_fold, CStringGetTextDatum(value));
}

/* Inserts the row unless somebody else did; 0 then. */
static int64
insert_customer(const char *phone, const char *name, const char *source)
{
	static C360Query insert = {
		"INSERT INTO c360.customers (phone, name, name_folded, carrier, created_source)"
		" VALUES ($1, coalesce($2, 'Khách hàng mới'), $5, $3, $4)"
		" ON CONFLICT (phone) DO NOTHING RETURNING id",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
	};
	const char *carrier = c360_phone_carrier(phone, strlen(phone));
	Datum		values[5] = {0};
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};
	int64		id = 0;
	bool		isnull;

	SPI_connect();
	values[0] = CStringGetTextDatum(phone);
	values[3] = CStringGetTextDatum(source);
	values[4] = folded(name != NULL ? name : "Khách hàng mới");
	if (name != NULL)
		values[1] = CStringGetTextDatum(name);
	else
		nulls[1] = 'n';
	if (carrier != NULL)
		values[2] = CStringGetTextDatum(carrier);
	else
		nulls[2] = 'n';
	if (c360_query(&insert, values, nulls) == 1)
		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return id;
}

/*
 * A row that was inserted, or that another's insert was in the way of, is
 * found at the next look; a second try is due if that other rolled back.
 */
void
c360_check_tries(int tries)
{
	if (tries >= 10)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a row that c360 inserted is not there"),
				 errhint("Let triggers on c360.customers and c360.customer_wallets keep the row and its key.")));
}

/* The customer with this phone, made if there is none. */
int64
c360_customer_create(C360Store *store, const char *phone, const char *name,
					 const char *source, bool *created)
{
	int64		id = c360_customer_by_phone(store, phone);

	*created = false;
	for (int tries = 0; id == 0; tries++)
	{
		c360_check_tries(tries);
		c360_store_write(store);
		id = insert_customer(phone, name, source);
		c360_store_refresh(store);
		*created = id != 0;
		if (*created)
			announce_creation(store, id, phone, name, source);
		else
			id = c360_customer_by_phone(store, phone);
	}
	return id;
}

static Datum
get_or_create_customer(PG_FUNCTION_ARGS)
{
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	char	   *name = PG_ARGISNULL(1) ? NULL :
		c360_arg_required_text(fcinfo, 1, "name", C360_NAME_MAX);
	C360Store  *store = c360_store_open();
	bool		created;
	int64		id = c360_customer_create(store, phone, name, "manual", &created);

	c360_store_close(store);
	return Int64GetDatum(id);
}

Datum
c360_get_or_create_customer(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_get_or_create_customer", get_or_create_customer);
}

/* For functions in PL/pgSQL: the customer with this phone, or PT404. */
Datum
c360_require_customer(PG_FUNCTION_ARGS)
{
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	C360Caller	caller;
	C360Store  *store;
	int64		id;

	c360_act_as_owner(&caller);
	store = c360_store_open_to_read();
	id = c360_customer_by_phone(store, phone);
	c360_store_close(store);
	c360_act_as_caller(&caller);
	if (id == 0)
		c360_customer_unknown(phone);
	PG_RETURN_INT64(id);
}

/* For functions in PL/pgSQL, which say what makes the customer. */
static Datum
make_customer(PG_FUNCTION_ARGS)
{
	char	   *phone = c360_arg_phone(fcinfo, 0, "phone");
	char	   *name = c360_arg_text(fcinfo, 1, "name", C360_NAME_MAX);
	char	   *source = c360_arg_required_text(fcinfo, 2, "source", C360_NAME_MAX);
	C360Store  *store = c360_store_open();
	bool		created;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(c360_customer_create(store, phone, name, source, &created));
	values[1] = BoolGetDatum(created);
	c360_store_close(store);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

Datum
c360_make_customer(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_make_customer", make_customer);
}
