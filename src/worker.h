/*
 * worker.h
 *	  What c360's background workers have in common.
 */
#ifndef C360_WORKER_H
#define C360_WORKER_H

#include "postgres.h"

#include "shared.h"

extern void c360_worker_init(void);

/* called first in a worker's main; the slot of its database */
extern C360Slot *c360_worker_begin(Datum main_arg, C360WorkerKind kind);

/* from here on it is called when there is work */
extern void c360_worker_ready(void);

/* one transaction as the owner of the tables */
extern bool c360_worker_begin_transaction(const char *activity);
extern void c360_worker_end_transaction(void);
extern void c360_worker_recover(C360Slot *slot, MemoryContext context);

/* sleeps until the latch is set or the time is over */
extern void c360_worker_wait(long milliseconds, const char *activity);
extern char *c360_extension_schema(void);
extern Oid	c360_own_function(const char *name, int nargs, const Oid *types);

extern PGDLLEXPORT void c360_publisher_main(Datum main_arg);
extern PGDLLEXPORT void c360_runner_main(Datum main_arg);
extern PGDLLEXPORT void c360_launcher_main(Datum main_arg);

#endif							/* C360_WORKER_H */
