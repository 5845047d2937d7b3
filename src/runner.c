/*
 * runner.c
 *	  The job runner: a background worker that runs what is due.
 *
 * There is one for each database. It sleeps until the next run of a job, and
 * for the lots that expire meanwhile until the soonest expires_at: a commit
 * that brings a sooner one wakes it (commit.c), as does one that changes jobs
 * or settings. Every ten seconds it looks by itself: for lots of prepared
 * transactions, and whether the extension is still there.
 *
 * A run is that of c360_perform_job(): a session's lock keeps another run
 * out, the row of the run is committed before the first batch, and each batch
 * has a transaction of its own. The loop is here, not in the procedure, since
 * every transaction of a worker must begin and end as the owner of the tables
 * (worker.c), and that owner needs no privilege on functions for it.
 *
 * Lots whose wallets somebody holds, or that cannot be expired, stay overdue.
 * They are tried again after 1, 2, 4 ... 60 seconds; lots that become overdue
 * meanwhile do not wait for that.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "actor.h"
#include "audit.h"
#include "query.h"
#include "worker.h"

#define LONGEST_SLEEP	10000L	/* ms */
#define BUSY_SLEEP		1000L	/* while somebody else runs a job, ms */
#define LONGEST_RETRY	60		/* of overdue lots, and after errors, s */

#define EXPIRY_JOB "expire_credits"
#define MOST_BUSY		32

/* What to do now, and when to look again. */
typedef struct Round
{
	char		due[NAMEDATALEN];	/* a job; empty = none */
	TimestampTz wake_at;
} Round;

/* The ACTIVE lots: soonest of all, and soonest of those not tried yet. */
typedef struct Lots
{
	TimestampTz soonest;
	TimestampTz untried;
} Lots;

static C360Slot *slot;
static MemoryContext context;	/* outlives a transaction, not a round */
static int64 open_run = 0;		/* begun and not ended */

/* due, and run by somebody else; passed over until nothing else is due */
static char busy[MOST_BUSY][NAMEDATALEN];
static int	nbusy = 0;

/* lots overdue then have had their try; the rest of them has to wait */
static TimestampTz tried_at = DT_NOBEGIN;
static TimestampTz retry_at;
static int	retry_delay = 0;	/* seconds; 0 = nothing was left */

static int
longer(int delay)
{
	return delay == 0 ? 1 : Min(delay * 2, LONGEST_RETRY);
}

static void
begin_transaction(const char *activity)
{
	if (!c360_worker_begin_transaction(activity))
		proc_exit(0);
}

/*
 * Calls of the functions in sql/functions/66_jobs.sql, past privileges: the
 * owner of the tables needs none on them.
 */
static Oid
job_function(const char *name, int nargs, Oid first, Oid second, Oid third)
{
	Oid			types[] = {first, second, third};

	return c360_own_function(name, nargs, types);
}

static int64
job_begin(const char *job)
{
	return DatumGetInt64(OidFunctionCall2(job_function("c360_job_begin", 2, TEXTOID, TEXTOID, 0),
										  CStringGetTextDatum(job),
										  CStringGetTextDatum("worker")));
}

static int64
job_batch(int64 run, const char *job)
{
	return DatumGetInt64(OidFunctionCall2(job_function("c360_job_batch", 2, INT8OID, TEXTOID, 0),
										  Int64GetDatum(run), CStringGetTextDatum(job)));
}

static void
job_end(int64 run)
{
	OidFunctionCall1(job_function("c360_job_end", 1, INT8OID, 0, 0), Int64GetDatum(run));
}

static void
job_fail(int64 run, ErrorData *error)
{
	OidFunctionCall3(job_function("c360_job_fail", 3, INT8OID, TEXTOID, TEXTOID),
					 Int64GetDatum(run), CStringGetTextDatum(error->message),
					 CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)));
}

static void
sweep_job_runs(void)
{
	begin_transaction("ending runs that died");
	OidFunctionCall0(job_function("c360_sweep_job_runs", 0, 0, 0, 0));
	c360_worker_end_transaction();
}

/*
 * What is due
 */

static TimestampTz
time_or_never(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? DT_NOEND : DatumGetTimestampTz(value);
}

static Lots
read_lots(void)
{
	static C360Query query = {
		"SELECT (SELECT min(expires_at) FROM c360.virtual_credits WHERE status = 'ACTIVE'),"
		" (SELECT min(expires_at) FROM c360.virtual_credits WHERE status = 'ACTIVE' AND expires_at > $1)",
		1, {TIMESTAMPTZOID}
	};
	Datum		values[] = {TimestampTzGetDatum(tried_at)};
	Lots		lots;

	c360_query(&query, values, NULL);
	lots.soonest = time_or_never(1);
	lots.untried = time_or_never(2);
	return lots;
}

/*
 * Reads the lots and has commits wake us for sooner ones. A commit shows its
 * lot first and then looks when we wake; so we say when, and look again.
 */
static Lots
watch_lots(void)
{
	Lots		lots = read_lots();

	while (pg_atomic_read_u64(&slot->runner_wakes_at) != (uint64) lots.untried)
	{
		pg_atomic_write_u64(&slot->runner_wakes_at, (uint64) lots.untried);
		pg_memory_barrier();
		lots = read_lots();
	}
	return lots;
}

static bool
is_busy(const char *job)
{
	for (int i = 0; i < nbusy; i++)
		if (strcmp(busy[i], job) == 0)
			return true;
	return false;
}

static void
consider(Round *round, TimestampTz now, const char *job, TimestampTz at, bool first)
{
	if (at <= now && is_busy(job))
		at = TimestampTzPlusMilliseconds(now, BUSY_SLEEP);
	else if (at <= now && (first || round->due[0] == '\0'))
		strlcpy(round->due, job, sizeof(round->due));
	round->wake_at = Min(round->wake_at, at);
}

static void
consider_lots(Round *round, TimestampTz now)
{
	Lots		lots = watch_lots();
	TimestampTz at = lots.untried;

	if (lots.soonest > tried_at)
		retry_delay = 0;
	else if (retry_delay == 0)
		at = now;				/* its transaction has only now committed */
	else
		at = Min(at, retry_at);
	consider(round, now, EXPIRY_JOB, at, true);
}

/* One row of the jobs; whether lots are to be watched. */
static bool
consider_job(Round *round, TimestampTz now, HeapTuple row)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	char	   *job = SPI_getvalue(row, desc, 1);
	bool		isnull;
	TimestampTz next_run = DatumGetTimestampTz(SPI_getbinval(row, desc, 2, &isnull));
	int64		failures = DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull));

	consider(round, now, job, next_run, false);
	return failures == 0 && strcmp(job, EXPIRY_JOB) == 0;
}

/*
 * The owner of the tables, as whom we act, need not have EXECUTE on it. It is
 * the extension's own, and nothing else stands in the statement.
 */
static int
read_plan(void)
{
	Oid			user;
	int			security;
	int			result;

	(void) c360_own_function("c360_job_plan", 0, NULL);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetSessionUserId(), security);
	result = SPI_execute(psprintf("SELECT job, next_run, failures FROM %s.c360_job_plan()"
								  " WHERE next_run IS NOT NULL AND jobs_by OPERATOR(pg_catalog.=) 'worker'",
								  quote_identifier(c360_extension_schema())), true, 0);
	SetUserIdAndSecContext(user, security);
	return result;
}

static Round
plan_round(void)
{
	Round		round = {""};
	TimestampTz now;
	bool		watch = false;

	begin_transaction("looking for jobs that are due");
	SPI_connect();
	now = GetCurrentTimestamp();
	round.wake_at = TimestampTzPlusMilliseconds(now, LONGEST_SLEEP);
	if (read_plan() != SPI_OK_SELECT)
		elog(ERROR, "could not read the jobs");
	for (uint64 i = 0; i < SPI_processed; i++)
		watch |= consider_job(&round, now, SPI_tuptable->vals[i]);
	if (watch)
		consider_lots(&round, now);
	else
		pg_atomic_write_u64(&slot->runner_wakes_at, 0);
	SPI_finish();
	c360_worker_end_transaction();
	return round;
}

/*
 * Running it
 */

/* False if it is not for us now. */
static bool
run_job(const char *job)
{
	char	   *activity;
	int64		done;

	MemoryContextSwitchTo(context);
	activity = psprintf("job %s", job);
	c360_set_actor(psprintf("c360:%s", job));
	begin_transaction(activity);
	open_run = job_begin(job);
	c360_worker_end_transaction();
	if (open_run == 0)
		return false;
	do
	{
		begin_transaction(activity);
		done = job_batch(open_run, job);
		c360_worker_end_transaction();
	} while (done > 0);
	if (done < 0)
	{
		MemoryContextSwitchTo(context);
		c360_worker_failed(slot, psprintf("job %s failed, see c360.job_runs", job));
	}
	begin_transaction(activity);
	job_end(open_run);
	c360_worker_end_transaction();
	open_run = 0;
	return true;
}

/*
 * The lots that were overdue at the start of a run have had their try. A run
 * for other lots' sake does not make those that are left wait longer.
 */
static void
note_try(TimestampTz started_at)
{
	tried_at = started_at;
	if (retry_delay == 0 || started_at >= retry_at)
		retry_delay = longer(retry_delay);
	retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), retry_delay * 1000L);
}

/* Answers how long to sleep. */
static long
work(void)
{
	static bool swept = false;
	Round		round;
	TimestampTz now;

	if (!swept)
	{
		sweep_job_runs();
		swept = true;
	}
	round = plan_round();
	now = GetCurrentTimestamp();
	if (round.due[0] == '\0')
	{
		nbusy = 0;
		return TimestampDifferenceMilliseconds(now, round.wake_at);
	}
	if (!run_job(round.due))
	{
		if (nbusy == MOST_BUSY)
			return BUSY_SLEEP;
		strlcpy(busy[nbusy++], round.due, NAMEDATALEN);
		return 0;
	}
	if (strcmp(round.due, EXPIRY_JOB) == 0)
		note_try(now);
	return 0;
}

/*
 * A run that an error of its own ends, as of a deferred constraint at commit,
 * is a failure like another.
 */
static void
record_failure(ErrorData *error)
{
	int64		run = open_run;

	open_run = 0;
	if (run == 0)
		return;
	PG_TRY();
	{
		begin_transaction("recording a failure");
		job_fail(run, error);
		c360_worker_end_transaction();
	}
	PG_CATCH();
	{
		c360_worker_recover(slot, context);
	}
	PG_END_TRY();
}

static void
recover(void)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	c360_worker_recover(slot, context);
	c360_set_actor(NULL);
	record_failure(error);
}

void
c360_runner_main(Datum main_arg)
{
	volatile int error_delay = 0;

	slot = c360_worker_begin(main_arg, C360_RUNNER);
	c360_worker_ready();
	context = AllocSetContextCreate(TopMemoryContext, "c360 job runner", ALLOCSET_SMALL_SIZES);
	for (;;)
	{
		volatile long sleep = 0;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			long		wish = c360_audit_drain(slot);

			sleep = work();
			sleep = Min(sleep, wish);
			error_delay = 0;
		}
		PG_CATCH();
		{
			recover();
			error_delay = longer(error_delay);
			sleep = error_delay * 1000L;
		}
		PG_END_TRY();
		c360_set_actor(NULL);
		if (sleep > 0)
			c360_worker_wait(sleep, "waiting for the next job");
	}
}
