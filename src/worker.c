/*
 * worker.c
 *	  The launcher, and what c360's background workers have in common.
 *
 * With shared_preload_libraries = 'c360' the server starts one launcher, and
 * that starts two workers for each database of c360.databases: the publisher
 * (publisher.c) and the job runner (runner.c). A worker that finds no c360 in
 * its database ends; the launcher tries again now and then, and at once after
 * c360_install(). A worker that died is started again after a second. Nothing
 * starts before recovery has ended, so a standby stays quiet until promoted.
 *
 * A worker connects as the bootstrap superuser, since it needs no role that
 * may log in, and acts as the owner of the tables in every transaction, with
 * a search_path in which nobody else can put anything: what a table owner
 * hung on his tables never runs as superuser.
 */
#include "postgres.h"

#include <signal.h>

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "call.h"
#include "compat.h"
#include "storage.h"
#include "worker.h"

#define ROUND			1000	/* of the launcher, ms */
#define RETRY			1000	/* after a worker died, ms */
#define RETRY_ABSENT	10000	/* after it found no c360, ms */

static const struct
{
	const char *name;
	const char *function;
}			worker_defs[C360_NWORKERS] = {
	[C360_PUBLISHER] = {"c360 publisher", "c360_publisher_main"},
	[C360_RUNNER] = {"c360 job runner", "c360_runner_main"},
};

static void
common_definition(BackgroundWorker *worker, const char *name, const char *function)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(worker->bgw_library_name, "c360", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker->bgw_name, name, BGW_MAXLEN);
	strlcpy(worker->bgw_type, name, BGW_MAXLEN);
}

void
c360_worker_init(void)
{
	BackgroundWorker launcher;

	if (!process_shared_preload_libraries_in_progress)
		return;
	common_definition(&launcher, "c360 launcher", "c360_launcher_main");
	launcher.bgw_restart_time = 1;
	RegisterBackgroundWorker(&launcher);
}

/*
 * Sleeping, and surviving
 */

void
c360_worker_wait(long milliseconds, const char *activity)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = c360_wait_event("C360WorkerMain");
	pgstat_report_activity(STATE_IDLE, activity);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max(milliseconds, 0), wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* c360 as the last transaction found it. */
static struct
{
	Oid			extension;
	Oid			tables;
}			found;

/*
 * Whoever makes the extension anew has its trigger on c360.settings locked: to
 * wait for him there is to see all of what he did. Without that, functions
 * that are there already are not found for a moment after he committed.
 */
static void
look_at_c360(void)
{
	Oid			schema = get_namespace_oid("c360", true);
	Oid			settings = OidIsValid(schema) ? get_relname_relid("settings", schema) : InvalidOid;

	if (OidIsValid(settings))
		LockRelationOid(settings, AccessShareLock);
	found.extension = get_extension_oid("c360", true);
	found.tables = get_namespace_oid("c360", true);
}

/* Whether it was dropped or made anew since. */
static bool
c360_is_another(void)
{
	bool		another;

	StartTransactionCommand();
	another = get_extension_oid("c360", true) != found.extension ||
		get_namespace_oid("c360", true) != found.tables;
	CommitTransactionCommand();
	return another;
}

static void
log_error(ErrorData *error)
{
	PG_TRY();
	{
		ReThrowError(error);
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
}

/*
 * In a PG_CATCH of a worker's loop: the transaction ends, and the error goes to
 * the log and to c360_stat. Not so if c360 went while the transaction looked at
 * it: then nothing is wrong, and the next one finds what is there.
 */
void
c360_worker_recover(C360Slot *slot, MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	RESUME_INTERRUPTS();
	pgstat_report_activity(STATE_IDLE, NULL);
	if (c360_is_another())
		ereport(DEBUG1,
				(errmsg_internal("c360 was dropped or made anew: %s", error->message)));
	else
	{
		log_error(error);
		c360_worker_failed(slot, error->message);
	}
	MemoryContextSwitchTo(context);
}

/*
 * A worker of one database
 */

static C360Slot *my_slot;
static C360WorkerKind my_kind;

static void
leave(int code, Datum arg)
{
	my_slot->latch[my_kind] = NULL;
	my_slot->pid[my_kind] = 0;
}

/*
 * A role's or database's settings are for clients, and what code of the
 * tables' owner set in the transaction before must not have us find his
 * operators in this one.
 */
static void
set_own_settings(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_SESSION);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_SESSION);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_SESSION);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_SUSET, PGC_S_SESSION);
#if PG_VERSION_NUM >= 170000
	SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_SESSION);
#endif
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_SESSION);
}

/*
 * Enters us into the slot of our database, unless that is taken off the list
 * meanwhile, or somebody else serves it: a launcher that was started again
 * does not know the workers of the one before.
 */
static bool
enter_slot(Oid database)
{
	bool		entered = false;

	LWLockAcquire(&my_slot->lock, LW_EXCLUSIVE);
	if (my_slot->database == database &&
		(my_slot->pid[my_kind] == 0 || kill(my_slot->pid[my_kind], 0) != 0))
	{
		my_slot->pid[my_kind] = MyProcPid;
		my_slot->latch[my_kind] = NULL;
		entered = true;
	}
	LWLockRelease(&my_slot->lock);
	return entered;
}

void
c360_worker_ready(void)
{
	my_slot->latch[my_kind] = MyLatch;
}

C360Slot *
c360_worker_begin(Datum main_arg, C360WorkerKind kind)
{
	Oid			database;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	my_kind = kind;
	my_slot = &c360_shared->slots[DatumGetInt32(main_arg)];
	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(database));
	if (!enter_slot(database))
		proc_exit(0);
	before_shmem_exit(leave, (Datum) 0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	set_own_settings();
	return my_slot;
}

/* The schema that CREATE EXTENSION put the functions into; NULL = none. */
char *
c360_extension_schema(void)
{
	Oid			extension = get_extension_oid("c360", true);
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	char	   *schema = NULL;

	if (!OidIsValid(extension))
		return NULL;
	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = get_namespace_name(((Form_pg_extension) GETSTRUCT(tuple))->extnamespace);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return schema;
}

/*
 * A function of the extension's own. Where the library is newer than the
 * script anybody could have made one of that name.
 */
Oid
c360_own_function(const char *name, int nargs, const Oid *types)
{
	char	   *schema = c360_extension_schema();
	Oid			function = LookupFuncName(list_make2(makeString(schema), makeString(pstrdup(name))),
										  nargs, types, true);

	if (!OidIsValid(function) ||
		getExtensionOfObject(ProcedureRelationId, function) != get_extension_oid("c360", true))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the extension c360 is older than its library"),
				 errdetail("Function %s is not there.", name),
				 errhint("Run ALTER EXTENSION c360 UPDATE; and SELECT c360_install();")));
	return function;
}

/*
 * Begins a transaction as the owner of the tables. If c360 or its tables are
 * gone there is none, and the worker should end: false.
 */
bool
c360_worker_begin_transaction(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, activity);
	/* the transaction before ended as the owner, deferred triggers included */
	SetUserIdAndSecContext(GetSessionUserId(), 0);
	set_own_settings();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	look_at_c360();
	if (!OidIsValid(found.extension) || !c360_tables_ready())
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
		pgstat_report_activity(STATE_IDLE, NULL);
		my_slot->absent[my_kind] = true;
		return false;
	}
	my_slot->absent[my_kind] = false;
	c360_become(c360_owner());
	return true;
}

void
c360_worker_end_transaction(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * The launcher
 */

typedef struct Child
{
	BackgroundWorkerHandle *handle; /* NULL = none */
	TimestampTz retry_at;
} Child;

static Child children[C360_MAX_DATABASES][C360_NWORKERS];

/* Once for each value of the setting: they may be created later. */
static void
log_missing(int nnames, int nfound)
{
	static char *logged = NULL;

	if (nfound >= nnames || (logged != NULL && strcmp(logged, c360_databases) == 0))
		return;
	if (logged != NULL)
		pfree(logged);
	logged = MemoryContextStrdup(TopMemoryContext, c360_databases);
	ereport(LOG,
			(errmsg("c360.databases lists %d databases, %d of them are there", nnames, nfound)));
}

/* The oids of the databases on the list that exist and take connections. */
static List *
wanted_databases(MemoryContext context)
{
	char	   *list = pstrdup(c360_databases);
	List	   *names;
	List	   *oids = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	if (!SplitIdentifierString(list, ',', &names))
		return NIL;
	if (names == NIL)
		return NIL;
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		ListCell   *cell;

		foreach(cell, names)
			if (strcmp(lfirst(cell), NameStr(database->datname)) == 0 && database->datallowconn)
			{
				MemoryContext old = MemoryContextSwitchTo(context);

				oids = list_append_unique_oid(oids, database->oid);
				MemoryContextSwitchTo(old);
			}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	log_missing(list_length(names), list_length(oids));
	CommitTransactionCommand();
	return oids;
}

/* Whether nobody serves the slot: started by us, or by a launcher before us. */
static bool
has_ended(int number, C360WorkerKind kind)
{
	BackgroundWorkerHandle *handle = children[number][kind].handle;
	pid_t		pid = c360_shared->slots[number].pid[kind];
	pid_t		started;

	return (handle == NULL || GetBackgroundWorkerPid(handle, &started) == BGWH_STOPPED) &&
		(pid == 0 || kill(pid, 0) != 0);
}

static void
end_worker(int number, C360WorkerKind kind)
{
	pid_t		pid = c360_shared->slots[number].pid[kind];

	if (children[number][kind].handle != NULL)
		TerminateBackgroundWorker(children[number][kind].handle);
	if (pid != 0)
		(void) kill(pid, SIGTERM);
}

/* Ends the workers of databases that are no longer wanted, and frees the slots. */
static void
release_slots(List *wanted)
{
	for (int i = 0; i < C360_MAX_DATABASES; i++)
	{
		C360Slot   *slot = &c360_shared->slots[i];
		bool		ended = true;

		if (!OidIsValid(slot->database) || list_member_oid(wanted, slot->database))
			continue;
		for (int kind = 0; kind < C360_NWORKERS; kind++)
			if (!has_ended(i, kind))
			{
				end_worker(i, kind);
				ended = false;
			}
		if (ended)
			slot->database = InvalidOid;
	}
}

static C360Slot *
slot_of(Oid database)
{
	for (int i = 0; i < C360_MAX_DATABASES; i++)
		if (c360_shared->slots[i].database == database)
			return &c360_shared->slots[i];
	return NULL;
}

/* A slot that served another database begins anew. */
static void
take_slots(List *wanted)
{
	static bool warned = false;
	ListCell   *cell;

	foreach(cell, wanted)
	{
		C360Slot   *slot;

		if (slot_of(lfirst_oid(cell)) != NULL)
			continue;
		slot = slot_of(InvalidOid);
		if (slot == NULL)
		{
			if (!warned)
				ereport(WARNING,
						(errmsg("c360.databases lists more than %d databases", C360_MAX_DATABASES)));
			warned = true;
			return;
		}
		LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
		memset(slot->absent, false, sizeof(slot->absent));
		slot->last_error[0] = '\0';
		slot->errors_put = slot->errors_read = slot->errors_taken = slot->errors_lost = 0;
		LWLockRelease(&slot->lock);
		pg_atomic_write_u64(&slot->pending_since, 0);
		pg_atomic_write_u64(&slot->ticks, 0);
		pg_atomic_write_u64(&slot->notifications, 0);
		pg_atomic_write_u64(&slot->lag, 0);
		pg_atomic_write_u64(&slot->announced, 0);
		memset(children[slot - c360_shared->slots], 0, sizeof(children[0]));
		slot->database = lfirst_oid(cell);
	}
}

static void
start_worker(int number, C360WorkerKind kind)
{
	static bool warned = false;
	C360Slot   *slot = &c360_shared->slots[number];
	Child	   *child = &children[number][kind];
	BackgroundWorker worker;

	common_definition(&worker, worker_defs[kind].name, worker_defs[kind].function);
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = Int32GetDatum(number);
	memcpy(worker.bgw_extra, &slot->database, sizeof(slot->database));
	if (child->handle != NULL)
		pfree(child->handle);
	child->handle = NULL;
	if (!RegisterDynamicBackgroundWorker(&worker, &child->handle))
	{
		if (!warned)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("could not start \"%s\": no background worker slot is free",
							worker_defs[kind].name),
					 errhint("Raise max_worker_processes; c360 needs one and two for each database.")));
		warned = true;
	}
}

static void
start_workers(bool installed)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < C360_MAX_DATABASES; i++)
	{
		C360Slot   *slot = &c360_shared->slots[i];

		if (!OidIsValid(slot->database))
			continue;
		for (int kind = 0; kind < C360_NWORKERS; kind++)
		{
			Child	   *child = &children[i][kind];

			if (!has_ended(i, kind) || (now < child->retry_at && !(installed && slot->absent[kind])))
				continue;
			child->retry_at = TimestampTzPlusMilliseconds(now, slot->absent[kind] && !installed ?
														  RETRY_ABSENT : RETRY);
			if (installed)
				slot->absent[kind] = false;
			start_worker(i, kind);
		}
	}
}

static void
forget_launcher(int code, Datum arg)
{
	c360_shared->launcher = NULL;
}

void
c360_launcher_main(Datum main_arg)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	before_shmem_exit(forget_launcher, (Datum) 0);
	c360_shared->launcher = MyLatch;
	context = AllocSetContextCreate(TopMemoryContext, "c360 launcher", ALLOCSET_SMALL_SIZES);
	for (;;)
	{
		bool		installed = pg_atomic_exchange_u32(&c360_shared->installed, 0) != 0;
		List	   *wanted;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		wanted = wanted_databases(context);
		release_slots(wanted);
		take_slots(wanted);
		MemoryContextSwitchTo(TopMemoryContext);	/* where handles live */
		start_workers(installed);
		c360_worker_wait(ROUND, "watching c360's workers");
	}
}
