/*
 * commit.c
 *	  What a transaction of c360's tells the workers when it commits.
 *
 * A transaction that wrote activity rows calls the publisher, one that gave a
 * lot an earlier end than the job runner waits for calls the runner, one that
 * changed settings (each c360_install() does) calls the launcher as well.
 * Nothing is lost if a call is: all look by themselves now and then, as they
 * must for COMMIT PREPARED, which may run in a session without c360 loaded.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "commit.h"
#include "publisher.h"
#include "shared.h"

/* of the transaction that runs */
static bool wrote_activity = false;
static bool changed_settings = false;
static TimestampTz soonest_expiry = 0;

void
c360_at_commit_announce(void)
{
	wrote_activity = true;
}

void
c360_at_commit_expiry(TimestampTz expires_at)
{
	if (soonest_expiry == 0 || expires_at < soonest_expiry)
		soonest_expiry = expires_at;
}

/* Settings changed, as each c360_install() changes them, too. */
void
c360_at_commit_settings(void)
{
	changed_settings = true;
}

/*
 * The time of the first commit that waits tells the lag. A publisher that is
 * awake looks again before it sleeps: it says so first and looks then, while
 * we do it the other way round, so that one of us sees the other.
 */
static void
call_publisher(C360Slot *slot)
{
	uint64		none = 0;

	if (pg_atomic_read_u64(&slot->pending_since) == 0)
		pg_atomic_compare_exchange_u64(&slot->pending_since, &none, GetCurrentTimestamp());
	pg_memory_barrier();
	if (pg_atomic_read_u32(&slot->waiting) != 0)
		c360_wake(slot, C360_PUBLISHER);
}

static void
tell_workers(void)
{
	C360Slot   *slot = c360_my_slot();

	if (changed_settings)
		c360_call_launcher();
	if (slot == NULL)
		return;
	if (changed_settings)
		c360_wake(slot, C360_RUNNER);
	if (wrote_activity && c360_notify == C360_NOTIFY_WORKER)
		call_publisher(slot);
	if (soonest_expiry != 0 && (uint64) soonest_expiry < pg_atomic_read_u64(&slot->runner_wakes_at))
		c360_wake(slot, C360_RUNNER);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (wrote_activity && c360_notify == C360_NOTIFY_INLINE)
				c360_publish_inline();
			return;
		case XACT_EVENT_COMMIT:
			if (wrote_activity || changed_settings || soonest_expiry != 0)
				tell_workers();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	wrote_activity = changed_settings = false;
	soonest_expiry = 0;
}

void
c360_commit_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}
