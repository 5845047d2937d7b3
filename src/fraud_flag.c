/*
 * fraud_flag.c
 *	  Findings of fraud rules become flags, and flags act.
 *
 * A customer has one open flag of a rule (and mode) at most: while it is open
 * further findings are added to it. What it counted, counts in no later
 * finding, whatever staff decide; so the same is never found twice, and what
 * is found after a review is new. Findings in shadow mode are flags of their
 * own, which do nothing and stand in nobody's way.
 *
 * A blacklisting sets the tier unless it is locked or blacklist already, and
 * keeps the tier of before for c360_review_fraud_flag() (fraud_review.c).
 *
 * Locks: the flag, then the customer, neither of them waited for: whoever
 * holds one may hold it for long, and others would wait for us meanwhile. The
 * customer is looked at again in the next scan then. Scans come one after the
 * other (the row of their consumer, changes.c).
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "activity.h"
#include "fraud.h"
#include "json.h"
#include "query.h"
#include "storage.h"

static const char *const rule_names[C360_NFRAUD_RULES] = {
	[C360_HIGH_RETURN_RATE] = "high_return_rate",
	[C360_SELF_DEALING] = "self_dealing",
	[C360_WALLET_ABUSE] = "wallet_abuse",
};

/*
 * Rules
 */

static void
fill_rule(C360FraudRule *rule, HeapTuple row, TupleDesc desc, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		isnull;

	rule->mode = TextDatumGetCString(SPI_getbinval(row, desc, 2, &isnull));
	rule->severity = TextDatumGetCString(SPI_getbinval(row, desc, 3, &isnull));
	rule->action = TextDatumGetCString(SPI_getbinval(row, desc, 4, &isnull));
	rule->parameters = DatumGetJsonbPCopy(SPI_getbinval(row, desc, 5, &isnull));
	rule->off = strcmp(rule->mode, "off") == 0;
	rule->acts = strcmp(rule->mode, "on") == 0;
	MemoryContextSwitchTo(old);
}

/* As they stand; one whose row is gone is off. */
void
c360_fraud_rules_load(C360FraudRule *rules)
{
	static C360Query query = {"SELECT rule, mode, severity, action, parameters FROM c360.fraud_rules",
	0, {0}};
	MemoryContext caller = CurrentMemoryContext;

	SPI_connect();
	c360_query(&query, NULL, NULL);
	for (int i = 0; i < C360_NFRAUD_RULES; i++)
	{
		memset(&rules[i], 0, sizeof(rules[i]));
		rules[i].name = rule_names[i];
		rules[i].off = true;
		for (uint64 n = 0; n < SPI_processed; n++)
			if (strcmp(SPI_getvalue(SPI_tuptable->vals[n], SPI_tuptable->tupdesc, 1), rule_names[i]) == 0)
				fill_rule(&rules[i], SPI_tuptable->vals[n], SPI_tuptable->tupdesc, caller);
	}
	SPI_finish();
}

/* Whoever wrote it by hand hears of a value that cannot be. */
int64
c360_fraud_parameter(const C360FraudRule *rule, const char *name, int64 lowest, int64 highest)
{
	JsonbValue	buffer;
	JsonbValue *value = JB_ROOT_IS_OBJECT(rule->parameters) ?
		getKeyJsonValueFromContainer(&rule->parameters->root, name, strlen(name), &buffer) : NULL;
	Datum		number = value != NULL && value->type == jbvNumeric ?
		NumericGetDatum(value->val.numeric) : (Datum) 0;

	if (number == (Datum) 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, NumericGetDatum(int64_to_numeric(lowest)))) < 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, NumericGetDatum(int64_to_numeric(highest)))) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("fraud rule has no usable parameter"),
				 errdetail("invalid_parameter: %s of rule %s, a number from %lld to %lld", name, rule->name,
						   (long long) lowest, (long long) highest),
				 errhint("Set it by c360_set_fraud_rule().")));
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
}

/* The newest snooze holds. */
bool
c360_fraud_is_snoozed(const C360FraudRule *rule, int64 customer_id, TimestampTz at)
{
	static C360Query query = {"SELECT until > $3 FROM c360.fraud_snoozes"
		" WHERE customer_id = $1 AND rule = $2 ORDER BY id DESC LIMIT 1",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum		values[3] = {Int64GetDatum(customer_id), CStringGetTextDatum(rule->name),
	TimestampTzGetDatum(at)};
	bool		snoozed = false;
	bool		isnull;

	SPI_connect();
	if (c360_query(&query, values, NULL) == 1)
		snoozed = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return snoozed;
}

/* The ledger row up to which findings counted; 0 = none. */
int64
c360_fraud_counted_up_to(const C360FraudRule *rule, int64 customer_id)
{
	static C360Query query = {"SELECT coalesce(max(c), 0) FROM c360.fraud_flags AS f, unnest(f.counted) AS c"
		" WHERE f.customer_id = $1 AND f.rule = $2 AND f.mode = $3",
	3, {INT8OID, TEXTOID, TEXTOID}};
	Datum		values[3] = {Int64GetDatum(customer_id), CStringGetTextDatum(rule->name),
	CStringGetTextDatum(rule->mode)};
	int64		up_to;
	bool		isnull;

	SPI_connect();
	c360_query(&query, values, NULL);
	up_to = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return up_to;
}

/*
 * Flags
 */

typedef struct Customer
{
	char	   *phone;
	char	   *tier;
	bool		tier_locked;
} Customer;

static Datum
id_array(const int64 *ids, int count)
{
	Datum	   *elements = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		elements[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(elements, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

static Datum
json_array(List *list, int first)
{
	int			count = Max(list_length(list) - first, 0);
	Datum	   *elements = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		elements[i] = JsonbPGetDatum(list_nth(list, first + i));
	return PointerGetDatum(construct_array(elements, count, JSONBOID, -1, false, TYPALIGN_INT));
}

/* The open flag, locked; 0 if there is none, or *busy. */
static int64
open_flag(const C360Finding *finding, bool *busy)
{
	static C360Query lock = {"SELECT id FROM c360.fraud_flags"
		" WHERE customer_id = $1 AND rule = $2 AND mode = $3 AND status = 'open' FOR UPDATE SKIP LOCKED",
	3, {INT8OID, TEXTOID, TEXTOID}};
	static C360Query look = {"SELECT id FROM c360.fraud_flags"
		" WHERE customer_id = $1 AND rule = $2 AND mode = $3 AND status = 'open'",
	3, {INT8OID, TEXTOID, TEXTOID}};
	Datum		values[3] = {Int64GetDatum(finding->customer_id), CStringGetTextDatum(finding->rule->name),
	CStringGetTextDatum(finding->rule->mode)};
	int64		id = 0;
	bool		isnull;

	SPI_connect();
	*busy = false;
	if (c360_query(&lock, values, NULL) == 1)
		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	else
		*busy = c360_query(&look, values, NULL) > 0;
	SPI_finish();
	return id;
}

/* At most 20 findings are told; ids of those before the last ones are let go when they are many. */
static void
add_to_flag(int64 id, const C360Finding *finding)
{
	static C360Query update = {"UPDATE c360.fraud_flags SET times = times + $2, last_found_at = $3,"
		" counted = CASE WHEN cardinality(counted) < 5000 THEN counted END || $4,"
		" evidence = CASE WHEN jsonb_array_length(coalesce(evidence -> 'again', '[]')) >= 20 THEN evidence"
		"                 ELSE evidence || jsonb_build_object('again', coalesce(evidence -> 'again', '[]') || to_jsonb($5)) END"
		" WHERE id = $1",
	5, {INT8OID, INT4OID, TIMESTAMPTZOID, INT8ARRAYOID, JSONBARRAYOID}};
	Datum		values[5] = {Int64GetDatum(id), Int32GetDatum(finding->times), TimestampTzGetDatum(finding->at),
		id_array(finding->counted, finding->ncounted), json_array(finding->evidence, 0)
	};

	SPI_connect();
	c360_query(&update, values, NULL);
	SPI_finish();
}

/* Locks the customer's row, as a change of the tier or as a reference needs it. */
static C360Raised
lock_customer(int64 id, bool to_change, Customer *customer)
{
	static C360Query change = {"SELECT phone, tier, tier_locked FROM c360.customers"
		" WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED", 1, {INT8OID}};
	static C360Query refer = {"SELECT phone, tier, tier_locked FROM c360.customers"
		" WHERE id = $1 FOR KEY SHARE SKIP LOCKED", 1, {INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[1] = {Int64GetDatum(id)};
	C360Raised	result = C360_NOT_RAISED_BUSY;

	SPI_connect();
	if (c360_query(to_change ? &change : &refer, values, NULL) == 1)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *phone = SPI_getvalue(row, desc, 1);
		bool		isnull;

		result = phone != NULL ? C360_RAISED : C360_NOT_RAISED_GONE;
		customer->phone = phone != NULL ? MemoryContextStrdup(caller, phone) : NULL;
		customer->tier = MemoryContextStrdup(caller, SPI_getvalue(row, desc, 2));
		customer->tier_locked = DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
	}
	SPI_finish();
	return result;
}

/* acts: what it sets is kept with it. */
static int64
insert_flag(const C360Finding *finding, const Customer *customer, bool acts, int64 activity_id)
{
	static C360Query insert = {"INSERT INTO c360.fraud_flags (customer_id, rule, mode, severity, action,"
		" evidence, counted, times, found_at, last_found_at, previous_tier, acted_at, activity_id)"
		" VALUES ($1, $2, $3, $4, $5, $6 || jsonb_build_object('parameters', $7)"
		"  || CASE WHEN cardinality($8) = 0 THEN '{}' ELSE jsonb_build_object('again', $8) END,"
		"  $9, $10, $11, $11, $12, $13, $14) RETURNING id",
		14, {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, JSONBARRAYOID, INT8ARRAYOID,
		INT4OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, INT8OID}};
	const C360FraudRule *rule = finding->rule;
	Datum		values[14] = {
		Int64GetDatum(finding->customer_id), CStringGetTextDatum(rule->name), CStringGetTextDatum(rule->mode),
		CStringGetTextDatum(rule->severity), CStringGetTextDatum(rule->action),
		JsonbPGetDatum(linitial(finding->evidence)), JsonbPGetDatum(rule->parameters),
		json_array(finding->evidence, 1), id_array(finding->counted, finding->ncounted),
		Int32GetDatum(finding->times), TimestampTzGetDatum(finding->at),
		acts ? CStringGetTextDatum(customer->tier) : (Datum) 0, TimestampTzGetDatum(finding->at),
		Int64GetDatum(activity_id)
	};
	char		nulls[15] = "              ";
	int64		id;
	bool		isnull;

	if (!acts)
		nulls[11] = nulls[12] = 'n';
	if (activity_id == 0)
		nulls[13] = 'n';
	SPI_connect();
	c360_query(&insert, values, nulls);
	id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return id;
}

/* The history of tiers has it, too; the segment stays. */
void
c360_fraud_note_tier(int64 customer_id, const char *from, const char *to)
{
	static C360Query insert = {"INSERT INTO c360.rfm_history (customer_id, day, from_segment, to_segment, from_tier, to_tier)"
		" SELECT c.id, (clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, s.segment, s.segment, $2, $3"
		" FROM c360.customers AS c LEFT JOIN c360.customer_rfm AS s ON s.customer_id = c.id WHERE c.id = $1",
	3, {INT8OID, TEXTOID, TEXTOID}};
	Datum		values[3] = {Int64GetDatum(customer_id), CStringGetTextDatum(from), CStringGetTextDatum(to)};

	SPI_connect();
	c360_query(&insert, values, NULL);
	SPI_finish();
}

static void
blacklist(const C360Finding *finding, const Customer *customer)
{
	static C360Query update = {"UPDATE c360.customers SET tier = 'blacklist', blacklisted_at = $2, updated_at = $2"
		" WHERE id = $1", 2, {INT8OID, TIMESTAMPTZOID}};
	Datum		values[2] = {Int64GetDatum(finding->customer_id), TimestampTzGetDatum(finding->at)};

	SPI_connect();
	c360_query(&update, values, NULL);
	SPI_finish();
	c360_fraud_note_tier(finding->customer_id, customer->tier, "blacklist");
}

static void
write_activity(C360Store *store, const C360Finding *finding, const char *event, int64 id, int64 flag,
			   C360Json *payload)
{
	C360Activity activity = {
		.id = id,.topic = "customers",.event = event,.customer_id = finding->customer_id,
		.reference_type = "fraud_flag",.reference_id = flag
	};

	c360_json_int64(payload, "flag_id", flag);
	c360_json_text(payload, "rule", finding->rule->name);
	c360_json_end_object(payload);
	activity.payload = c360_json_finish(payload);
	c360_activity_write(store, &activity);
}

static void
announce_flag(C360Store *store, const C360Finding *finding, const Customer *customer, int64 id,
			  int64 flag)
{
	C360Json	payload = {0};

	c360_json_begin_object(&payload, NULL);
	c360_json_text(&payload, "phone", customer->phone);
	c360_json_text(&payload, "severity", finding->rule->severity);
	c360_json_text(&payload, "action", finding->rule->action);
	write_activity(store, finding, "customer.flagged", id, flag, &payload);
}

static void
announce_tier(C360Store *store, const C360Finding *finding, const Customer *customer, int64 flag)
{
	C360Json	payload = {0};

	c360_json_begin_object(&payload, NULL);
	c360_json_text(&payload, "phone", customer->phone);
	c360_json_text(&payload, "from", customer->tier);
	c360_json_text(&payload, "to", "blacklist");
	c360_json_bool(&payload, "tier_locked", false);
	c360_json_text(&payload, "reason", finding->rule->name);
	write_activity(store, finding, "customer.tier_changed", 0, flag, &payload);
}

/* A new flag, and what it does. */
static void
new_flag(const C360Finding *finding, const Customer *customer, bool acts)
{
	C360Store  *store = c360_store_open();
	int64		activity_id = finding->rule->acts ? c360_next_id(store, C360_ACTIVITIES) : 0;
	int64		flag = insert_flag(finding, customer, acts, activity_id);

	if (acts)
		blacklist(finding, customer);
	c360_store_refresh(store);
	if (finding->rule->acts)
		announce_flag(store, finding, customer, activity_id, flag);
	if (acts)
		announce_tier(store, finding, customer, flag);
	c360_store_close(store);
}

C360Raised
c360_fraud_raise(const C360Finding *finding)
{
	bool		blacklists = finding->rule->acts && strcmp(finding->rule->action, "blacklist") == 0;
	bool		busy;
	int64		open = open_flag(finding, &busy);
	Customer	customer;
	C360Raised	result;

	if (open != 0)
		add_to_flag(open, finding);
	if (open != 0 || busy)
		return busy ? C360_NOT_RAISED_BUSY : C360_RAISED_BEFORE;
	result = lock_customer(finding->customer_id, blacklists, &customer);
	if (result == C360_RAISED)
		new_flag(finding, &customer, blacklists && !customer.tier_locked &&
				 strcmp(customer.tier, "blacklist") != 0);
	return result;
}
