/*
 * shared.h
 *	  What backends and c360's workers share in memory, and the settings.
 *
 * There is shared memory only if the library is preloaded; every function
 * here does nothing sensible but nothing wrong without it. All of it is
 * statistics and wake-up calls: the truth is in tables.
 */
#ifndef C360_SHARED_H
#define C360_SHARED_H

#include "postgres.h"

#include "heard.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

/* first key of c360's locks of workers, which come in pairs of keys */
#define C360_LOCK_CLASS			0x43333630

#define C360_MAX_DATABASES		16
#define C360_ERROR_RING_SIZE	128

typedef enum C360Notify
{
	C360_NOTIFY_WORKER,
	C360_NOTIFY_INLINE,
	C360_NOTIFY_OFF
} C360Notify;

typedef enum C360WorkerKind
{
	C360_PUBLISHER,
	C360_RUNNER,
	C360_NWORKERS
} C360WorkerKind;

/* An error that left a c360 function; texts are cut to fit and end in '\0'. */
typedef struct C360Error
{
	TimestampTz at;
	int			times;			/* the same came again */
	Oid			session_user_id;
	int			sqlerrcode;
	char		function[NAMEDATALEN];
	char		message[256];
	char		detail[512];
	char		claims[512];	/* request.jwt.claims; empty if none or too long */
} C360Error;

/*
 * One database that c360 serves. Which database it is changes only under the
 * lock of the whole; latches belong to processes that may be gone, which is
 * harmless, since latches of processes live in shared memory for ever.
 */
typedef struct C360Slot
{
	Oid			database;		/* InvalidOid = free */
	bool		absent[C360_NWORKERS];	/* that worker found no c360 there */
	pid_t		pid[C360_NWORKERS]; /* whose turn it is; 0 = nobody's */
	Latch	   *latch[C360_NWORKERS];	/* NULL = not at work */

	/* commits that wait to be announced */
	pg_atomic_uint32 waiting;	/* the publisher sleeps and wants a call */
	pg_atomic_uint64 pending_since; /* commit time of the first, 0 = none */

	/* when the runner will look for overdue lots next */
	pg_atomic_uint64 runner_wakes_at;

	/* statistics, written by the publisher alone */
	pg_atomic_uint64 ticks;
	pg_atomic_uint64 notifications;
	pg_atomic_uint64 lag;		/* of the last tick, microseconds */
	pg_atomic_uint64 announced; /* all events up to this tick are; 0 = unknown */

	/* under the lock: the last failure of a worker, and the ring of errors */
	LWLock		lock;
	TimestampTz last_error_at;
	char		last_error[256];
	uint64		errors_put;
	uint64		errors_read;	/* these are being written */
	uint64		errors_taken;
	uint64		errors_lost;	/* the ring was full */
	C360Error	errors[C360_ERROR_RING_SIZE];
} C360Slot;

typedef struct C360Shared
{
	LWLock		lock;			/* of slots' databases */
	Latch	   *launcher;
	pg_atomic_uint32 installed; /* somebody called c360_install() */
	C360Slot	slots[C360_MAX_DATABASES];
	C360Hearers hearers;
} C360Shared;

/* settings of the server */
extern char *c360_databases;
extern int	c360_notify;
extern int	c360_tick_interval;

extern C360Shared *c360_shared; /* NULL = not preloaded */

/*
 * Like a two-key advisory lock, but of the kind that no SQL function takes:
 * else anybody who may connect could keep workers from their work.
 */
static inline void
c360_lock_tag(LOCKTAG *tag, uint32 key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, C360_LOCK_CLASS, key, 2);
	tag->locktag_type = LOCKTAG_USERLOCK;
}

extern void c360_shared_init(void);
extern C360Slot *c360_my_slot(void);
extern bool c360_worker_runs(C360WorkerKind kind);
extern void c360_call_launcher(void);
extern void c360_wake(C360Slot *slot, C360WorkerKind kind);
extern void c360_worker_failed(C360Slot *slot, const char *message);

#endif							/* C360_SHARED_H */
