/*
 * jobs.c
 *	  What jobs need of C: the moments of a schedule, and one run at a time.
 *
 * A run of a job commits between its batches, so what keeps a second run out
 * is a session's lock of two keys: a constant of c360's and the hash of the
 * job's name. A session outlives a run that was cancelled or
 * failed; so the lock is given back with the transaction that ends the run,
 * with any transaction that is rolled back while it is held, and with the
 * subtransaction that took it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "call.h"
#include "cron.h"
#include "jobs.h"
#include "shared.h"

#define SHOP_CLOCK_MINUTES	(7 * 60)	/* ahead of UTC, all year round */

PG_FUNCTION_INFO_V1(c360_next_run);
PG_FUNCTION_INFO_V1(c360_shift_schedule);
PG_FUNCTION_INFO_V1(c360_job_lock);
PG_FUNCTION_INFO_V1(c360_job_unlock);

/* the lock of this session's run */
static bool lock_is_held = false;
static bool unlock_at_commit = false;
static SubTransactionId lock_taken_in = InvalidSubTransactionId;
static LOCKTAG held_lock;

static text *
required_text(FunctionCallInfo fcinfo, const char *name)
{
	if (PG_ARGISNULL(0))
		c360_missing_argument(name);
	return PG_GETARG_TEXT_PP(0);
}

/*
 * Schedules
 */

static void
invalid_schedule(text *schedule)
{
	char	   *typed = text_to_cstring(schedule);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid schedule"),
			 errdetail("invalid_schedule: \"%.*s\"", pg_mbcliplen(typed, strlen(typed), 64), typed),
			 errhint("Five fields as in cron: minute, hour, day of month, month, day of week, such as \"30 2 * * *\".")));
}

/* On the shop's clock; NULL if the schedule names days that never come. */
Datum
c360_next_run(PG_FUNCTION_ARGS)
{
	text	   *schedule = PG_GETARG_TEXT_PP(0);
	TimestampTz after = PG_GETARG_TIMESTAMPTZ(1);
	int64		epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) MINS_PER_HOUR * HOURS_PER_DAY;
	C360Cron	cron;
	int64		minute;
	TimestampTz next;

	if (!c360_cron_parse(VARDATA_ANY(schedule), VARSIZE_ANY_EXHDR(schedule), &cron))
		invalid_schedule(schedule);
	if (TIMESTAMP_NOT_FINITE(after))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date is not finite"),
				 errdetail("invalid_date: after")));
	minute = after / USECS_PER_MINUTE - (after % USECS_PER_MINUTE < 0);
	if (!c360_cron_next(&cron, minute + epoch + SHOP_CLOCK_MINUTES, &minute))
		PG_RETURN_NULL();
	next = (minute - epoch - SHOP_CLOCK_MINUTES) * USECS_PER_MINUTE;
	if (!IS_VALID_TIMESTAMP(next))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}

/* The same schedule for a clock that is so many hours ahead of the shop's. */
Datum
c360_shift_schedule(PG_FUNCTION_ARGS)
{
	static const char *const reasons[] = {
		[C360_CRON_BOTH_SIDES] = "its hours fall on two days there",
		[C360_CRON_MONTH_END] = "its days fall into another month there",
		[C360_CRON_DAYS] = "it asks for days of the month and days of the week at once",
	};
	text	   *schedule = required_text(fcinfo, "schedule");
	int32		hours = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	char		shifted[2 * C360_CRON_MAX];
	C360Cron	cron;
	C360CronShift result;

	if (!c360_cron_parse(VARDATA_ANY(schedule), VARSIZE_ANY_EXHDR(schedule), &cron))
		invalid_schedule(schedule);
	if (hours < -23 || hours > 23)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value is out of range"),
				 errdetail("out_of_range: hours %d", hours)));
	result = c360_cron_shift(VARDATA_ANY(schedule), VARSIZE_ANY_EXHDR(schedule), hours, shifted);
	if (result != C360_CRON_SHIFTED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule cannot be written for the clock of pg_cron"),
				 errdetail("schedule_not_shiftable: \"%s\": %s", text_to_cstring(schedule), reasons[result]),
				 errhint("Choose hours from 7 to 23, or set cron.timezone to Asia/Ho_Chi_Minh if pg_cron has it (1.5).")));
	PG_RETURN_TEXT_P(cstring_to_text(shifted));
}

/*
 * One run at a time
 */

static void
release(void)
{
	lock_is_held = unlock_at_commit = false;
	LockRelease(&held_lock, ExclusiveLock, true);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (!lock_is_held)
		return;
	if (event == XACT_EVENT_ABORT || (event == XACT_EVENT_COMMIT && unlock_at_commit))
		release();
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		lock_taken_in = InvalidSubTransactionId;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (!lock_is_held || lock_taken_in != mine)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		release();
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		lock_taken_in = parent;
}

void
c360_jobs_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/*
 * Tries to take the lock of a job, until c360_job_unlock() or only for this
 * transaction; false if another session has it.
 */
Datum
c360_job_lock(PG_FUNCTION_ARGS)
{
	text	   *job = required_text(fcinfo, "job");
	bool		of_transaction = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	uint32		key = DatumGetUInt32(hash_any((unsigned char *) VARDATA_ANY(job), VARSIZE_ANY_EXHDR(job)));
	LOCKTAG		tag;

	PreventCommandIfReadOnly("c360_job_lock");
	PreventCommandDuringRecovery("c360_job_lock");
	c360_lock_tag(&tag, key);
	/* a session has one run at a time, and its own lock would let it pass */
	if (lock_is_held && (!of_transaction || memcmp(&tag, &held_lock, sizeof(tag)) == 0))
		PG_RETURN_BOOL(false);
	if (LockAcquire(&tag, ExclusiveLock, !of_transaction, true) == LOCKACQUIRE_NOT_AVAIL)
		PG_RETURN_BOOL(false);
	if (!of_transaction)
	{
		held_lock = tag;
		lock_is_held = true;
		lock_taken_in = GetCurrentSubTransactionId();
	}
	PG_RETURN_BOOL(true);
}

/* The lock goes when this transaction has committed. */
Datum
c360_job_unlock(PG_FUNCTION_ARGS)
{
	unlock_at_commit = lock_is_held;
	PG_RETURN_VOID();
}
