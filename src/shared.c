/*
 * shared.c
 *	  What backends and c360's workers share in memory, and the settings.
 */
#include "postgres.h"

#include <limits.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "compat.h"
#include "shared.h"

char	   *c360_databases = NULL;
int			c360_notify = C360_NOTIFY_WORKER;
int			c360_tick_interval = 10;

C360Shared *c360_shared = NULL;

static shmem_startup_hook_type previous_startup = NULL;
#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type previous_request = NULL;
#endif

static const struct config_enum_entry notify_options[] = {
	{"worker", C360_NOTIFY_WORKER, false},
	{"inline", C360_NOTIFY_INLINE, false},
	{"off", C360_NOTIFY_OFF, false},
	{NULL, 0, false}
};

static bool
check_databases(char **value, void **extra, GucSource source)
{
	char	   *list = pstrdup(*value);
	List	   *names;

	if (SplitIdentifierString(list, ',', &names))
		return true;
	GUC_check_errdetail("List syntax is invalid.");
	return false;
}

static void
define_settings(void)
{
	DefineCustomStringVariable("c360.databases",
							   "Databases that c360's background workers serve.",
							   "A comma-separated list of names; needs shared_preload_libraries.",
							   &c360_databases, "", PGC_SIGHUP, GUC_LIST_INPUT,
							   check_databases, NULL, NULL);
	DefineCustomEnumVariable("c360.notify",
							 "Who sends the notifications of events.",
							 "worker: the publisher, off the write path; inline: the writing transaction at commit; off: nobody.",
							 &c360_notify, C360_NOTIFY_WORKER, notify_options, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("c360.tick_interval",
							"Shortest time between two ticks of the publisher.",
							"Events of busier times are announced together; under load it grows, up to four times.",
							&c360_tick_interval, 10, 1, 10000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	c360_reserve_settings("c360");
}

static Size
shared_size(void)
{
	return MAXALIGN(sizeof(C360Shared));
}

static void
request(void)
{
#if PG_VERSION_NUM >= 150000
	if (previous_request)
		previous_request();
#endif
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("c360", 1);
}

static void
init_slot(C360Slot *slot, int tranche)
{
	pg_atomic_init_u32(&slot->waiting, 0);
	pg_atomic_init_u64(&slot->pending_since, 0);
	pg_atomic_init_u64(&slot->runner_wakes_at, 0);
	pg_atomic_init_u64(&slot->ticks, 0);
	pg_atomic_init_u64(&slot->notifications, 0);
	pg_atomic_init_u64(&slot->lag, 0);
	pg_atomic_init_u64(&slot->announced, 0);
	LWLockInitialize(&slot->lock, tranche);
}

static void
startup(void)
{
	bool		found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	c360_shared = ShmemInitStruct("c360", shared_size(), &found);
	if (!found)
	{
		int			tranche = GetNamedLWLockTranche("c360")->lock.tranche;

		memset(c360_shared, 0, sizeof(*c360_shared));
		LWLockInitialize(&c360_shared->lock, tranche);
		pg_atomic_init_u32(&c360_shared->installed, 0);
		for (int i = 0; i < C360_MAX_DATABASES; i++)
			init_slot(&c360_shared->slots[i], tranche);
		c360_hearers_init(&c360_shared->hearers, tranche);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Nothing here can fail: it runs while the server starts. */
void
c360_shared_init(void)
{
	define_settings();
	if (!process_shared_preload_libraries_in_progress)
		return;
#if PG_VERSION_NUM >= 150000
	previous_request = shmem_request_hook;
	shmem_request_hook = request;
#else
	request();
#endif
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
}

/*
 * The slot of this database, or NULL. Read without the lock: a database gets
 * its slot before its workers start and keeps it while they run.
 */
C360Slot *
c360_my_slot(void)
{
	static int	last = 0;

	if (c360_shared == NULL || !OidIsValid(MyDatabaseId))
		return NULL;
	if (c360_shared->slots[last].database == MyDatabaseId)
		return &c360_shared->slots[last];
	for (int i = 0; i < C360_MAX_DATABASES; i++)
		if (c360_shared->slots[i].database == MyDatabaseId)
		{
			last = i;
			return &c360_shared->slots[i];
		}
	return NULL;
}

/* Whether that worker of this database runs at the moment. */
bool
c360_worker_runs(C360WorkerKind kind)
{
	C360Slot   *slot = c360_my_slot();

	return slot != NULL && slot->latch[kind] != NULL;
}

/* Tables have come into being: workers are wanted now. */
void
c360_call_launcher(void)
{
	Latch	   *launcher = c360_shared != NULL ? c360_shared->launcher : NULL;

	if (launcher != NULL)
	{
		pg_atomic_write_u32(&c360_shared->installed, 1);
		SetLatch(launcher);
	}
}

void
c360_wake(C360Slot *slot, C360WorkerKind kind)
{
	Latch	   *latch = slot->latch[kind];

	if (latch != NULL)
		SetLatch(latch);
}

/* For c360_stat: what a worker could not do, although it goes on. */
void
c360_worker_failed(C360Slot *slot, const char *message)
{
	int			length = pg_mbcliplen(message, strlen(message), sizeof(slot->last_error) - 1);

	LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
	slot->last_error_at = GetCurrentTimestamp();
	memcpy(slot->last_error, message, length);
	slot->last_error[length] = '\0';
	LWLockRelease(&slot->lock);
}
