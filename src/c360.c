/*
 * c360.c
 *	  Module load, the guard of append-only tables, and acting as their owner.
 *
 * An error in _PG_init would keep the server from starting and pg_upgrade
 * from working, so nothing here can fail.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "call.h"
#include "commit.h"
#include "hook.h"
#include "jobs.h"
#include "rfm.h"
#include "ignored.h"
#include "settings.h"
#include "shared.h"
#include "storage.h"
#include "ticket.h"
#include "worker.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

PG_FUNCTION_INFO_V1(c360_refuse_change);
PG_FUNCTION_INFO_V1(c360_become_owner);

void
_PG_init(void)
{
	if (IsBinaryUpgrade)
		return;
	c360_storage_init();
	c360_settings_init();
	c360_rfm_init();
	c360_ignored_init();
	c360_ticket_init();
	c360_commit_init();
	c360_jobs_init();
	c360_shared_init();
	c360_heard_init();
	c360_worker_init();
	c360_hook_init();
}

/* The guard of append-only tables, for their owner and superusers, too. */
Datum
c360_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("c360_refuse_change is a trigger function")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the ledger is append-only"),
			 errdetail("append_only: rows of c360.%s are never changed or removed",
					   RelationGetRelationName(trigger->tg_relation)),
			 errhint("Correct it by another movement, such as c360_adjust or c360_refund.")));
	return PointerGetDatum(NULL);
}

/*
 * First statement of PL/pgSQL functions that are SECURITY DEFINER: from there
 * on they act as the owner of the tables, like the functions in C, and no
 * longer as the owner of the extension, who may be a superuser and must not
 * run what a table owner hung on his tables. The function manager puts the
 * caller back at the end of the function; without one there, we refuse.
 */
Datum
c360_become_owner(PG_FUNCTION_ARGS)
{
	if (!InLocalUserIdChange())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("c360_become_owner is for c360's own functions")));
	c360_hook_unseen();
	c360_become(c360_owner());
	PG_RETURN_VOID();
}
