/*
 * audit.h
 *	  Errors that leave c360 functions are recorded.
 */
#ifndef C360_AUDIT_H
#define C360_AUDIT_H

#include "postgres.h"

#include "shared.h"

extern void c360_audit_error(const char *function);

/* For the job runner, in its loop and outside a transaction. */
extern long c360_audit_drain(C360Slot *slot);

#endif							/* C360_AUDIT_H */
