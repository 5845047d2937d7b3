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

static void load(MemoryContext context);

static C360Settings current;
static C360Kept kept = {{"settings"}, load};

PG_FUNCTION_INFO_V1(c360_settings_changed);

void
c360_settings_init(void)
{
	c360_kept_register(&kept);
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

static void
load(MemoryContext context)
{
	uint64		count = c360_kept_read("SELECT name, coalesce(value, default_value) FROM c360.settings");
	MemoryContext old = MemoryContextSwitchTo(context);

	memset(&current, 0, sizeof(current));
	for (uint64 i = 0; i < count; i++)
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
	c360_kept_load(&kept);
	return &current;
}
