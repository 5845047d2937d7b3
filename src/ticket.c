/*
 * ticket.c
 *	  Opening a ticket.
 *
 * It reads like its rule: the customer, made if the phone is unknown; what
 * the type says; another ticket of a compensating type for the same order;
 * the next code of the year; the ticket, its history, its event. What is done
 * with a ticket afterwards is PL/pgSQL.
 *
 * The customer's row is locked as the ticket's foreign key would lock it: it
 * keeps its phone and stays. No other lock is waited for, but by the first
 * tickets of a year, which make the sequence of its numbers, and by two
 * tickets of compensating types for one order: they meet at a unique index,
 * and the second one waits for the first.
 *
 * Types are rows that are kept for the session (kept.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "commands/sequence.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "actor.h"
#include "call.h"
#include "customer.h"
#include "json.h"
#include "kept.h"
#include "query.h"
#include "shop.h"
#include "storage.h"
#include "ticket.h"

PG_FUNCTION_INFO_V1(c360_create_ticket);

/* The arguments of c360_create_ticket(); c360_create_ticket_at() has the last one, too. */
enum
{
	ARG_PHONE, ARG_TYPE, ARG_ORDER_CODE, ARG_SUBJECT, ARG_DESCRIPTION, ARG_PRODUCTS,
	ARG_REFUND_AMOUNT, ARG_ORIGINAL_COD, ARG_NEW_COD, ARG_TRACKING_CODE, ARG_CARRIER, ARG_PRIORITY,
	ARG_REASON, ARG_DEADLINE, ARG_ASSIGNEE, ARG_ALLOW_DUPLICATE, ARG_AT
};

typedef struct Given
{
	const char *name;
	int			argument;
	int			column;
} Given;

/* In the order in which objects of fields are checked (ticket_fields.c). */
static const Given fields[] = {
	{"reason", ARG_REASON, TICKET_reason},
	{"carrier", ARG_CARRIER, TICKET_carrier},
	{"new_cod", ARG_NEW_COD, TICKET_new_cod},
	{"subject", ARG_SUBJECT, TICKET_subject},
	{"assignee", ARG_ASSIGNEE, TICKET_assignee},
	{"deadline", ARG_DEADLINE, TICKET_deadline},
	{"priority", ARG_PRIORITY, TICKET_priority},
	{"products", ARG_PRODUCTS, TICKET_products},
	{"order_code", ARG_ORDER_CODE, TICKET_order_code},
	{"description", ARG_DESCRIPTION, TICKET_description},
	{"original_cod", ARG_ORIGINAL_COD, TICKET_original_cod},
	{"refund_amount", ARG_REFUND_AMOUNT, TICKET_refund_amount},
	{"tracking_code", ARG_TRACKING_CODE, TICKET_tracking_code},
};

/* A ticket on its way into the tables. */
typedef struct Ticket
{
	Datum		values[lengthof(fields)];	/* what was given for each of fields[] */
	bool		given[lengthof(fields)];
	const char *phone;
	const char *type;
	const char *order_code;		/* NULL = none */
	bool		allow_duplicate;
	TimestampTz at;
	char	   *actor;
	int64		customer_id;
	bool		customer_created;
	bool		platinum;
	bool		compensating;
	const char *other;			/* code of the order's ticket of a compensating type */
	int64		id;				/* the rest as it was written: a trigger may have changed it */
	char	   *code;
	char	   *priority;
} Ticket;

/*
 * Types
 */

typedef struct Type
{
	char	   *name;
	bool		compensating;
} Type;

typedef struct Types
{
	char	   *names;			/* of all, for a hint */
	uint64		count;
	Type		types[FLEXIBLE_ARRAY_MEMBER];
} Types;

static const void *read_types(MemoryContext context);

static C360Kept kept_types = {{"ticket_types"}, read_types};

void
c360_ticket_init(void)
{
	c360_kept_register(&kept_types);
}

static const void *
read_types(MemoryContext context)
{
	uint64		count = c360_kept_read("SELECT type, compensation IN ('credit', 'deposit') FROM c360.ticket_types ORDER BY type");
	MemoryContext old = MemoryContextSwitchTo(context);
	Types	   *all = palloc0(offsetof(Types, types) + sizeof(Type) * count);
	StringInfoData names;

	initStringInfo(&names);
	all->count = count;
	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		char	   *compensating = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);

		all->types[i].name = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		all->types[i].compensating = strcmp(compensating, "t") == 0;
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", all->types[i].name);
	}
	all->names = names.data;
	MemoryContextSwitchTo(old);
	return all;
}

/* Whether tickets of this type are compensated with money. */
static bool
is_compensating(const char *type)
{
	const Types *all = c360_kept(&kept_types);

	for (uint64 i = 0; i < all->count; i++)
		if (strcmp(all->types[i].name, type) == 0)
			return all->types[i].compensating;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value is not allowed"),
			 errdetail("not_allowed: type \"%.*s\"", pg_mbcharcliplen(type, strlen(type), 64), type),
			 errhint("Allowed are %s.", all->names)));
	return false;
}

/*
 * The customer
 */

/* Locks him, whose phone it still is then; false if there is none. */
static bool
lock_customer(C360Store *store, Ticket *ticket)
{
	for (int tries = 0;; tries++)
	{
		C360Row    *customer = c360_customer_row(store, ticket->phone);

		c360_check_tries(tries);
		if (customer == NULL)
			return false;
		if (c360_lock_key(store, customer) == C360_LOCKED &&
			c360_text_is(customer, CUSTOMER_phone, ticket->phone))
		{
			ticket->customer_id = c360_get_int64(customer, CUSTOMER_id);
			ticket->platinum = c360_text_is(customer, CUSTOMER_tier, "platinum");
			c360_row_done(customer);
			return true;
		}
		c360_store_refresh(store);	/* he got another number, or was erased */
	}
}

/* An unknown phone makes him; another client may do so at the same time. */
static void
find_customer(C360Store *store, Ticket *ticket)
{
	for (int tries = 0; !lock_customer(store, ticket); tries++)
	{
		c360_check_tries(tries);
		(void) c360_customer_create(store, ticket->phone, NULL, "ticket",
									&ticket->customer_created);
	}
}

/*
 * Another ticket for the same order
 */

static void
refuse_duplicate(const Ticket *ticket)
{
	ereport(ERROR,
			(errcode(ERRCODE_C360_CONFLICT),
			 errmsg("duplicate ticket"),
			 errdetail("duplicate_ticket: order \"%s\" has %s", ticket->order_code, ticket->other),
			 errhint("allow_duplicate makes another one.")));
}

/* The first one of a compensating type that is neither cancelled nor deleted. */
static void
find_other(C360Store *store, Ticket *ticket)
{
	C360Scan   *scan;
	C360Row    *row;
	int64		first = PG_INT64_MAX;

	c360_store_refresh(store);	/* the customer's lock may have taken a while */
	scan = c360_scan_begin(store, C360_TICKETS_BY_ORDER, CStringGetTextDatum(ticket->order_code));
	while ((row = c360_scan_next(scan)) != NULL)
	{
		if (!c360_get_bool(row, TICKET_compensating) || !c360_is_null(row, TICKET_deleted_at) ||
			c360_text_is(row, TICKET_status, "cancelled") || c360_get_int64(row, TICKET_id) > first)
			continue;
		first = c360_get_int64(row, TICKET_id);
		ticket->other = c360_get_text(row, TICKET_ticket_code);
	}
	c360_scan_end(scan);
}

/*
 * The code: TV-YYYY-NNNNN
 */

static int
shop_year(TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(at + C360_SHOP_OFFSET, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return tm.tm_year;
}

/* Begins after the tickets of the year that are there, if rows alone were restored. */
static void
create_sequence(const char *name, int year)
{
	static C360Query last = {
		"SELECT pg_catalog.max(pg_catalog.split_part(t.ticket_code, '-', 3)::bigint)"
		" FROM c360.customer_tickets AS t"
		" WHERE t.created_at OPERATOR(pg_catalog.>=)"
		"  pg_catalog.make_timestamptz($1, 1, 1, 0, 0, 0, 'Asia/Ho_Chi_Minh')"
		" AND t.ticket_code OPERATOR(pg_catalog.~~) pg_catalog.format('TV-%s-%%', $1)",
		1, {INT4OID}, NULL
	};
	Datum		values[1] = {Int32GetDatum(year)};
	bool		isnull;
	int64		number;

	SPI_connect();
	c360_query(&last, values, NULL);
	number = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (isnull)
		number = 0;
	if (SPI_execute(psprintf("CREATE SEQUENCE c360.%s START %lld", name, (long long) number + 1),
					false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not create sequence %s", name);
	SPI_finish();
}

static Datum
hash_of(const char *value)
{
	return DirectFunctionCall1Coll(hashtext, DEFAULT_COLLATION_OID, CStringGetTextDatum(value));
}

/* The year's first ticket makes its numbers; others that come meanwhile wait. */
static Oid
number_sequence(int year)
{
	Oid			schema = get_namespace_oid("c360", false);
	char		name[NAMEDATALEN];
	Oid			sequence;

	snprintf(name, sizeof(name), "ticket_numbers_%d", year);
	sequence = get_relname_relid(name, schema);
	if (OidIsValid(sequence))
		return sequence;
	DirectFunctionCall2(pg_advisory_xact_lock_int4, hash_of("c360"), hash_of(psprintf("c360.%s", name)));
	AcceptInvalidationMessages();
	sequence = get_relname_relid(name, schema);
	if (!OidIsValid(sequence))
	{
		create_sequence(name, year);
		sequence = get_relname_relid(name, schema);
	}
	return sequence;
}

/*
 * Writing
 */

/* Under a code that is not ours. */
static void
row_is_in_the_way(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("a row that c360 inserted is not there"),
			 errdetail("Table c360.customer_tickets."),
			 errhint("Let BEFORE triggers on c360 tables return the row with its code.")));
}

/* False if its code is taken or its order has another one. */
static bool
write_ticket(C360Store *store, Ticket *ticket)
{
	C360Row    *row = c360_row_new(store, C360_TICKETS);

	c360_put_int64(row, TICKET_id, c360_next_id(store, C360_TICKETS));
	c360_put_text(row, TICKET_ticket_code, ticket->code);
	c360_put_int64(row, TICKET_customer_id, ticket->customer_id);
	c360_put_text(row, TICKET_type, ticket->type);
	c360_put_text(row, TICKET_status, "new");
	c360_put_text(row, TICKET_priority, ticket->platinum ? "high" : "normal");
	for (size_t i = 0; i < lengthof(fields); i++)
		if (ticket->given[i])
			c360_put(row, fields[i].column, ticket->values[i]);
	c360_put_bool(row, TICKET_compensating, ticket->compensating);
	c360_put_bool(row, TICKET_duplicate_allowed, ticket->other != NULL);
	c360_put_text(row, TICKET_created_by, ticket->actor);
	c360_put_time(row, TICKET_created_at, ticket->at);
	if (!c360_insert_unless_taken(store, row, C360_TICKET_BY_CODE, C360_TICKET_OF_ORDER))
		return false;
	ticket->id = c360_get_int64(row, TICKET_id);
	ticket->code = c360_get_text(row, TICKET_ticket_code);
	ticket->priority = c360_get_text(row, TICKET_priority);
	return true;
}

/*
 * In the way are only another ticket of the same order, made since we looked,
 * and codes that are taken: a sequence can stand behind its tickets, where it
 * was restored or promoted without them, or after a crash of a server with
 * wal_level = minimal.
 */
static void
write_ticket_with_code(C360Store *store, Ticket *ticket)
{
	int			year = shop_year(ticket->at);
	Oid			sequence = number_sequence(year);

	for (;;)
	{
		if (ticket->other != NULL && !ticket->allow_duplicate)
			refuse_duplicate(ticket);
		ticket->code = psprintf("TV-%d-%05lld", year, (long long) nextval_internal(sequence, true));
		if (write_ticket(store, ticket))
			return;
		c360_store_refresh(store);
		if (c360_find(store, C360_TICKET_BY_CODE, CStringGetTextDatum(ticket->code)) == NULL)
		{
			if (ticket->other != NULL || !ticket->compensating || ticket->order_code == NULL)
				row_is_in_the_way();
			ticket->other = "a ticket";
		}
	}
}

static void
write_history(C360Store *store, const Ticket *ticket)
{
	C360Row    *row = c360_row_new(store, C360_TICKET_HISTORY);
	C360Json	details = {0};

	c360_put_int64(row, TICKET_HISTORY_id, c360_next_id(store, C360_TICKET_HISTORY));
	c360_put_int64(row, TICKET_HISTORY_ticket_id, ticket->id);
	c360_put_text(row, TICKET_HISTORY_action, "create");
	c360_put_text(row, TICKET_HISTORY_to_status, "new");
	if (ticket->other != NULL)
	{
		c360_json_begin_object(&details, NULL);
		c360_json_bool(&details, "duplicate_allowed", true);
		c360_json_end_object(&details);
		c360_put_jsonb(row, TICKET_HISTORY_details, c360_json_finish(&details));
	}
	c360_put_text(row, TICKET_HISTORY_done_by, ticket->actor);
	c360_put_time(row, TICKET_HISTORY_done_at, ticket->at);
	c360_insert(store, row);
}

static void
announce(C360Store *store, const Ticket *ticket)
{
	C360Activity activity = {.topic = "tickets",.event = "ticket.created"};
	C360Json	json = {0};

	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "phone", ticket->phone);
	c360_json_text(&json, "ticket_code", ticket->code);
	c360_json_text(&json, "type", ticket->type);
	c360_json_text(&json, "action", "create");
	c360_json_text(&json, "status", "new");
	c360_json_text(&json, "priority", ticket->priority);
	if (ticket->order_code != NULL)
		c360_json_text(&json, "order_code", ticket->order_code);
	else
		c360_json_null(&json, "order_code");
	c360_json_end_object(&json);
	activity.customer_id = ticket->customer_id;
	activity.reference_type = "ticket";
	activity.reference_text = ticket->code;
	activity.payload = c360_json_finish(&json);
	activity.actor = ticket->actor;
	c360_activity_write(store, &activity);
}

/*
 * The function
 */

static bool
is_json_null(Jsonb *json)
{
	JsonbValue	value;

	return JB_ROOT_IS_SCALAR(json) && JsonbExtractScalar(&json->root, &value) && value.type == jbvNull;
}

static Ticket
read_arguments(PG_FUNCTION_ARGS)
{
	Ticket		ticket = {0};

	ticket.phone = c360_arg_phone(fcinfo, ARG_PHONE, "phone");
	ticket.type = c360_arg_required_text(fcinfo, ARG_TYPE, "type", C360_REFERENCE_MAX);
	for (size_t i = 0; i < lengthof(fields); i++)
	{
		int			n = fields[i].argument;

		/* products may be null in both languages */
		ticket.given[i] = !PG_ARGISNULL(n) &&
			!(n == ARG_PRODUCTS && is_json_null(PG_GETARG_JSONB_P(n)));
		if (ticket.given[i])
			ticket.values[i] = c360_ticket_field(fields[i].name, PG_GETARG_DATUM(n));
	}
	if (!PG_ARGISNULL(ARG_ORDER_CODE))
		ticket.order_code = text_to_cstring(PG_GETARG_TEXT_PP(ARG_ORDER_CODE));
	ticket.allow_duplicate = !PG_ARGISNULL(ARG_ALLOW_DUPLICATE) && PG_GETARG_BOOL(ARG_ALLOW_DUPLICATE);
	ticket.at = GetCurrentTimestamp();
	if (PG_NARGS() > ARG_AT && !PG_ARGISNULL(ARG_AT))
		ticket.at = c360_arg_time(fcinfo, ARG_AT, "at");
	ticket.actor = c360_actor();
	return ticket;
}

static Datum
answer(FunctionCallInfo fcinfo, const Ticket *ticket)
{
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 4)
		elog(ERROR, "return type must be a row of four columns");
	values[0] = Int64GetDatum(ticket->id);
	values[1] = CStringGetTextDatum(ticket->code);
	values[2] = Int64GetDatum(ticket->customer_id);
	values[3] = BoolGetDatum(ticket->customer_created);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static Datum
create_ticket(PG_FUNCTION_ARGS)
{
	Ticket		ticket = read_arguments(fcinfo);
	C360Store  *store = c360_store_open();

	find_customer(store, &ticket);
	ticket.compensating = is_compensating(ticket.type);
	if (ticket.compensating && ticket.order_code != NULL)
		find_other(store, &ticket);
	write_ticket_with_code(store, &ticket);
	write_history(store, &ticket);
	announce(store, &ticket);
	c360_store_close(store);
	return answer(fcinfo, &ticket);
}

/* A set of one row. */
Datum
c360_create_ticket(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;

	if (SRF_IS_FIRSTCALL())
	{
		context = SRF_FIRSTCALL_INIT();
		SRF_RETURN_NEXT(context, c360_call(fcinfo, "c360_create_ticket", create_ticket));
	}
	context = SRF_PERCALL_SETUP();
	SRF_RETURN_DONE(context);
}
