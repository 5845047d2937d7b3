/*
 * jobs.h
 *	  What jobs need of C.
 */
#ifndef C360_JOBS_H
#define C360_JOBS_H

extern void c360_jobs_init(void);

#endif							/* C360_JOBS_H */
