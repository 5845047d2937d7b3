/*
 * ignored.h
 *	  The shop's own numbers, which are never a customer.
 */
#ifndef C360_IGNORED_H
#define C360_IGNORED_H

#include "postgres.h"

#include "transfer.h"

extern void c360_ignored_init(void);
extern const C360Ignored *c360_ignored(size_t *count);

#endif							/* C360_IGNORED_H */
