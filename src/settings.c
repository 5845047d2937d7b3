/*
 * settings.c
 *	  Business rules that vary: rows of c360.settings.
 *
 * The rows are read once a session and kept. A statement trigger on the table
 * invalidates the table's relation cache entry whenever a row changes, and
 * that reaches every session at its next lock, its own rolled-back changes
 * included.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "commit.h"
#include "settings.h"

static C360Settings current;
static bool current_valid = false;
static Oid	current_relid = InvalidOid;
static MemoryContext current_context = NULL;

PG_FUNCTION_INFO_V1(c360_settings_changed);

static void
forget(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == current_relid)
		current_valid = false;
}

void
c360_settings_init(void)
{
	CacheRegisterRelcacheCallback(forget, (Datum) 0);
}

Datum
c360_settings_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("c360_settings_changed is a trigger function")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	c360_at_commit_settings();
	return PointerGetDatum(NULL);
}

/* A comma-separated list of names, blanks around them ignored. */
static List *
split(char *value)
{
	List	   *names = NIL;
	char	   *rest = NULL;

	for (char *name = strtok_r(value, ", \t", &rest); name != NULL;
		 name = strtok_r(NULL, ", \t", &rest))
		names = lappend(names, name);
	return names;
}

static int64
to_int64(const char *value)
{
	return DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(value)));
}

static void
take(const char *name, char *value)
{
	if (strcmp(name, "audit_retention_days") == 0)
		current.audit_retention_days = to_int64(value);
	else if (strcmp(name, "credit_expiry_days") == 0)
		current.credit_expiry_days = to_int64(value);
	else if (strcmp(name, "refund_grace_days") == 0)
		current.refund_grace_days = to_int64(value);
	else if (strcmp(name, "max_amount") == 0)
		current.max_amount = to_int64(value);
	else if (strcmp(name, "event_retention") == 0)
		current.event_retention = to_int64(value);
	else if (strcmp(name, "notify_payload") == 0)
		current.notify_payload_ids = strcmp(value, "ids") == 0;
	else if (strcmp(name, "stream_pass_hours") == 0)
		current.stream_pass_hours = to_int64(value);
	else if (strcmp(name, "create_customer_from_transfer") == 0)
		current.create_customer_from_transfer = strcmp(value, "true") == 0;
	else if (strcmp(name, "rfm_frequency_window") == 0)
		current.rfm_frequency_window = to_int64(value);
	else if (strcmp(name, "part_match_max_chance") == 0)
		current.part_match_max_chance = DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(value)));
	else if (strcmp(name, "sepay_api_key_hash") == 0)
		current.sepay_api_key_hash = value;
	else if (strcmp(name, "authenticator_roles") == 0)
		current.authenticator_roles = split(value);
}

/*
 * Reads the newest rows, whatever the transaction's snapshot: the values stay
 * for the session, and the invalidation of a change is told only once.
 */
static void
load(void)
{
	MemoryContext old;
	SPIPlanPtr	plan;

	if (current_context == NULL)
		current_context = AllocSetContextCreate(CacheMemoryContext, "c360 settings",
												ALLOCSET_SMALL_SIZES);
	MemoryContextReset(current_context);
	plan = SPI_prepare("SELECT name, coalesce(value, default_value) FROM c360.settings", 0, NULL);
	if (plan == NULL || SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(),
											 InvalidSnapshot, true, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read c360.settings");
	old = MemoryContextSwitchTo(current_context);
	memset(&current, 0, sizeof(current));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];

		take(SPI_getvalue(row, SPI_tuptable->tupdesc, 1),
			 SPI_getvalue(row, SPI_tuptable->tupdesc, 2));
	}
	MemoryContextSwitchTo(old);
}

const C360Settings *
c360_settings(void)
{
	AcceptInvalidationMessages();	/* in a transaction that holds its locks already */
	if (!current_valid)
	{
		SPI_connect();
		current_relid = get_relname_relid("settings", get_namespace_oid("c360", false));
		current_valid = true;	/* an invalidation from here on makes it false */
		PG_TRY();
		{
			load();
		}
		PG_CATCH();
		{
			current_valid = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
		SPI_finish();
	}
	return &current;
}
