/*
 * settings.c
 *	  Business rules that vary: rows of c360.settings.
 *
 * The rows are read once a session and kept (kept.c). The trigger that tells
 * sessions of changes is here; it serves other tables, too.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "commit.h"
#include "kept.h"
#include "settings.h"

static const void *read_settings(MemoryContext context);

static C360Kept kept = {{"settings"}, read_settings};

PG_FUNCTION_INFO_V1(c360_settings_changed);

void
c360_settings_init(void)
{
	c360_kept_register(&kept);
}

/* Fires before each row, which it lets pass, and after the statement. */
Datum
c360_settings_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("c360_settings_changed is a trigger function")));
	CacheInvalidateRelcache(trigger->tg_relation);
	c360_at_commit_settings();
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
						   trigger->tg_newtuple : trigger->tg_trigtuple);
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
take(C360Settings *settings, const char *name, char *value)
{
	if (strcmp(name, "audit_retention_days") == 0)
		settings->audit_retention_days = to_int64(value);
	else if (strcmp(name, "credit_expiry_days") == 0)
		settings->credit_expiry_days = to_int64(value);
	else if (strcmp(name, "refund_grace_days") == 0)
		settings->refund_grace_days = to_int64(value);
	else if (strcmp(name, "max_amount") == 0)
		settings->max_amount = to_int64(value);
	else if (strcmp(name, "event_retention") == 0)
		settings->event_retention = to_int64(value);
	else if (strcmp(name, "notify_payload") == 0)
		settings->notify_payload_ids = strcmp(value, "ids") == 0;
	else if (strcmp(name, "stream_pass_hours") == 0)
		settings->stream_pass_hours = to_int64(value);
	else if (strcmp(name, "create_customer_from_transfer") == 0)
		settings->create_customer_from_transfer = strcmp(value, "true") == 0;
	else if (strcmp(name, "rfm_frequency_window") == 0)
		settings->rfm_frequency_window = to_int64(value);
	else if (strcmp(name, "part_match_max_chance") == 0)
		settings->part_match_max_chance = DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(value)));
	else if (strcmp(name, "sepay_api_key_hash") == 0)
		settings->sepay_api_key_hash = value;
	else if (strcmp(name, "authenticator_roles") == 0)
		settings->authenticator_roles = split(value);
}

static const void *
read_settings(MemoryContext context)
{
	uint64		count = c360_kept_read("SELECT name, coalesce(value, default_value) FROM c360.settings");
	MemoryContext old = MemoryContextSwitchTo(context);
	C360Settings *settings = palloc0(sizeof(C360Settings));

	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];

		take(settings, SPI_getvalue(row, SPI_tuptable->tupdesc, 1),
			 SPI_getvalue(row, SPI_tuptable->tupdesc, 2));
	}
	MemoryContextSwitchTo(old);
	return settings;
}

const C360Settings *
c360_settings(void)
{
	return c360_kept(&kept);
}
