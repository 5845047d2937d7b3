/*
 * jobs.h
 *	  What jobs need of C.
 */
#ifndef C360_JOBS_H
#define C360_JOBS_H

#include "fmgr.h"

extern void c360_jobs_init(void);
extern Datum c360_job_lock(PG_FUNCTION_ARGS);

#endif							/* C360_JOBS_H */
