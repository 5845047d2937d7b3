/*
 * fraud_review.c
 *	  What staff decide about a flag.
 *
 * A flag is reviewed once. Dismissing one that blacklisted the customer takes
 * that back: the tier of before, unless somebody changed tier or lock since,
 * and the credit that expired while he could not use it, with a grace to live.
 * If another flag that would have blacklisted him stands, the blacklisting
 * becomes that one's.
 *
 * Credit comes back by a REFUND row of the ledger that refunds no withdrawal:
 * operation restore, reference the flag, and the lots as its parts. So a lot's
 * sum holds (what expired is what was restored and expires again, or is used),
 * and no new kind of row is needed. A lot cancelled meanwhile stays so.
 *
 * Locks: the customer's flags in order of id, then the wallet, then the
 * customer.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "actor.h"
#include "call.h"
#include "fraud.h"
#include "json.h"
#include "lot.h"
#include "query.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(c360_review_fraud_flag);

typedef struct Flag
{
	int64		id;
	int64		customer_id;
	char	   *rule;
	char	   *mode;
	char	   *status;
	char	   *previous_tier;	/* NULL = it did not blacklist him */
	TimestampTz acted_at;
	int64		activity_id;
} Flag;

static void
no_such_flag(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_C360_NOT_FOUND),
			 errmsg("no such fraud flag"),
			 errdetail("flag_not_found: %lld", (long long) id)));
}

/* Locks all flags of the customer, since one may inherit from another. */
static void
lock_flags(int64 id, Flag *flag)
{
	static C360Query lock = {"SELECT f.id FROM c360.fraud_flags AS f WHERE f.customer_id ="
		" (SELECT g.customer_id FROM c360.fraud_flags AS g WHERE g.id = $1) ORDER BY f.id FOR UPDATE",
	1, {INT8OID}};
	static C360Query read = {"SELECT customer_id, rule, mode, status, previous_tier, acted_at, activity_id"
		" FROM c360.fraud_flags WHERE id = $1",
	1, {INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[1] = {Int64GetDatum(id)};
	bool		isnull;
	Datum		value;

	SPI_connect();
	c360_query(&lock, values, NULL);
	if (c360_query(&read, values, NULL) != 1)
		no_such_flag(id);
	flag->id = id;
	flag->customer_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 6, &isnull);
	flag->acted_at = isnull ? 0 : DatumGetTimestampTz(value);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 7, &isnull);
	flag->activity_id = isnull ? 0 : DatumGetInt64(value);
	flag->rule = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
	flag->mode = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3));
	flag->status = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4));
	flag->previous_tier = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 5);
	if (flag->previous_tier != NULL)
		flag->previous_tier = MemoryContextStrdup(caller, flag->previous_tier);
	SPI_finish();
}

static void
close_flag(const Flag *flag, const char *decision, const char *note)
{
	static C360Query update = {"UPDATE c360.fraud_flags SET status = $2, note = $3, reviewed_by = $4,"
		" reviewed_at = clock_timestamp() WHERE id = $1",
	4, {INT8OID, TEXTOID, TEXTOID, TEXTOID}};
	Datum		values[4] = {Int64GetDatum(flag->id), CStringGetTextDatum(decision),
	note != NULL ? CStringGetTextDatum(note) : (Datum) 0, CStringGetTextDatum(c360_actor())};
	const char *nulls = note != NULL ? "    " : "  n ";

	SPI_connect();
	c360_query(&update, values, nulls);
	SPI_finish();
}

/*
 * Taking a blacklisting back
 */

/* The blacklisting becomes that of another flag which would have made it, if there is one. */
static bool
hand_over(const Flag *flag)
{
	static C360Query update = {"UPDATE c360.fraud_flags AS h SET previous_tier = f.previous_tier,"
		" acted_at = f.acted_at, activity_id = f.activity_id FROM c360.fraud_flags AS f WHERE f.id = $1 AND h.id ="
		" (SELECT min(o.id) FROM c360.fraud_flags AS o WHERE o.customer_id = $2 AND o.id <> $1 AND o.mode = 'on'"
		"  AND o.action = 'blacklist' AND o.status <> 'dismissed' AND o.acted_at IS NULL AND o.found_at >= f.acted_at)",
	2, {INT8OID, INT8OID}};
	Datum		values[2] = {Int64GetDatum(flag->id), Int64GetDatum(flag->customer_id)};
	bool		handed;

	SPI_connect();
	handed = c360_query(&update, values, NULL) > 0;
	SPI_finish();
	return handed;
}

/*
 * The lots that expired between the blacklisting and its end (another change
 * of the tier, or now), as parts: what expired then. A lot that a refund gave
 * back meanwhile and that expired once more counts with both.
 */
static List *
expired_parts(const Flag *flag)
{
	static C360Query query = {"SELECT t.credit_id, sum(t.amount)::bigint, max(v.expires_at)"
		" FROM c360.wallet_transactions AS t JOIN c360.virtual_credits AS v ON v.id = t.credit_id"
		" WHERE t.customer_id = $1 AND t.created_at >= $2 AND t.type = 'VIRTUAL_EXPIRE'"
		"  AND t.occurred_at >= $2 AND t.occurred_at < coalesce((SELECT min(a.created_at) FROM c360.customer_activities AS a"
		"   WHERE a.customer_id = $1 AND a.id > $3 AND a.event = 'customer.tier_changed'"
		"    AND a.payload ->> 'from' = 'blacklist'), 'infinity')"
		" GROUP BY t.credit_id ORDER BY t.credit_id",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[3] = {Int64GetDatum(flag->customer_id), TimestampTzGetDatum(flag->acted_at),
	Int64GetDatum(flag->activity_id)};
	C360Movement parts = {0};
	bool		isnull;

	SPI_connect();
	c360_query(&query, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(caller);

		c360_add_part(&parts, DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull)),
					  DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull)),
					  DatumGetTimestampTz(SPI_getbinval(row, desc, 3, &isnull)));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return parts.parts;
}

static void
restore_expired(C360Store *store, const Flag *flag)
{
	C360Wallet *wallet = c360_wallet_lock(store, flag->customer_id, false);
	C360Movement movement = {.operation = "restore",.type = "REFUND",.source = "FRAUD_DISMISSED"};
	ListCell   *cell;

	c360_lots_expire(wallet);	/* those that nobody expired yet come back, too */
	movement.reference_type = "fraud_flag";
	movement.reference_id = psprintf("%lld", (long long) flag->id);
	foreach(cell, expired_parts(flag))
	{
		C360LotPart *part = lfirst(cell);

		if (!c360_lot_restore(wallet, part))
			continue;
		movement.parts = lappend(movement.parts, part);
		movement.virtual_change += part->amount;
	}
	if (movement.parts != NIL)
		c360_post(wallet, &movement);
	c360_wallet_save(wallet);
	c360_store_refresh(store);
}

/*
 * False if somebody changed tier or lock since. What his score asks for may
 * have changed meanwhile, so the next refresh looks at him.
 */
static bool
give_tier_back(const Flag *flag)
{
	static C360Query lock = {"SELECT FROM c360.customers WHERE id = $1 FOR NO KEY UPDATE", 1, {INT8OID}};
	static C360Query update = {"UPDATE c360.customers SET tier = $2, blacklisted_at = NULL, updated_at = clock_timestamp()"
		" WHERE id = $1 AND tier = 'blacklist' AND NOT tier_locked AND blacklisted_at = $3",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	static C360Query queue = {"INSERT INTO c360.rfm_queue (customer_id) VALUES ($1)", 1, {INT8OID}};
	Datum		values[3] = {Int64GetDatum(flag->customer_id), CStringGetTextDatum(flag->previous_tier),
	TimestampTzGetDatum(flag->acted_at)};
	bool		given;

	SPI_connect();
	c360_query(&lock, values, NULL);
	given = c360_query(&update, values, NULL) > 0;
	if (given)
		c360_query(&queue, values, NULL);
	SPI_finish();
	if (given)
		c360_fraud_note_tier(flag->customer_id, "blacklist", flag->previous_tier);
	return given;
}

/*
 * Activities
 */

static char *
phone_of(C360Store *store, int64 customer_id)
{
	C360Row    *row = c360_find(store, C360_CUSTOMER_BY_ID, Int64GetDatum(customer_id));

	return row != NULL ? c360_get_text(row, CUSTOMER_phone) : NULL;
}

static void
write_activity(C360Store *store, const Flag *flag, const char *event, C360Json *payload)
{
	C360Activity activity = {
		.topic = "customers",.event = event,.customer_id = flag->customer_id,
		.reference_type = "fraud_flag",.reference_id = flag->id
	};

	c360_json_text(payload, "phone", phone_of(store, flag->customer_id));
	c360_json_int64(payload, "flag_id", flag->id);
	c360_json_text(payload, "rule", flag->rule);
	c360_json_end_object(payload);
	activity.payload = c360_json_finish(payload);
	c360_activity_write(store, &activity);
}

static void
announce_tier(C360Store *store, const Flag *flag)
{
	C360Json	payload = {0};

	c360_json_begin_object(&payload, NULL);
	c360_json_text(&payload, "from", "blacklist");
	c360_json_text(&payload, "to", flag->previous_tier);
	c360_json_bool(&payload, "tier_locked", false);
	c360_json_text(&payload, "reason", "fraud flag dismissed");
	write_activity(store, flag, "customer.tier_changed", &payload);
}

/* What is dismissed leaves the customer; what is confirmed stays, which is told, too. */
static void
announce_review(C360Store *store, const Flag *flag, const char *decision, const char *note)
{
	C360Json	payload = {0};

	c360_json_begin_object(&payload, NULL);
	c360_json_text(&payload, "decision", decision);
	c360_json_text(&payload, "note", note);
	write_activity(store, flag, strcmp(decision, "dismissed") == 0 ? "customer.unflagged" : "customer.flagged",
				   &payload);
}

static char *
arg_decision(FunctionCallInfo fcinfo, int n)
{
	char	   *decision = c360_arg_required_text(fcinfo, n, "decision", C360_REFERENCE_MAX);

	if (strcmp(decision, "confirmed") != 0 && strcmp(decision, "dismissed") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value is not allowed"),
				 errdetail("not_allowed: decision \"%s\"", decision),
				 errhint("Allowed are confirmed, dismissed.")));
	return decision;
}

static Datum
review_fraud_flag(PG_FUNCTION_ARGS)
{
	int64		id = c360_arg_int64(fcinfo, 0, "flag_id");
	char	   *decision = arg_decision(fcinfo, 1);
	char	   *note = c360_arg_text(fcinfo, 2, "note", C360_NOTE_MAX);
	C360Store  *store;
	Flag		flag;

	lock_flags(id, &flag);
	if (strcmp(flag.status, "open") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_C360_CONFLICT),
				 errmsg("fraud flag is reviewed already"),
				 errdetail("reviewed: flag %lld is %s", (long long) id, flag.status)));
	close_flag(&flag, decision, note);
	store = c360_store_open();
	if (strcmp(decision, "dismissed") == 0 && flag.previous_tier != NULL && !hand_over(&flag))
	{
		restore_expired(store, &flag);
		if (give_tier_back(&flag))
			announce_tier(store, &flag);
	}
	if (strcmp(flag.mode, "on") == 0)
		announce_review(store, &flag, decision, note);
	c360_store_close(store);
	PG_RETURN_VOID();
}

Datum
c360_review_fraud_flag(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_review_fraud_flag", review_fraud_flag);
}
