/*
 * kept.h
 *	  Rows that are read once a session and kept until they change.
 */
#ifndef C360_KEPT_H
#define C360_KEPT_H

#include "postgres.h"

#define C360_KEPT_TABLES 2

typedef struct C360Kept
{
	const char *tables[C360_KEPT_TABLES];	/* in schema c360, the second may be NULL */
	void		(*load) (MemoryContext context);	/* with SPI connected; what it keeps goes there */
	bool		valid;
	Oid			relids[C360_KEPT_TABLES];
	MemoryContext context;
	struct C360Kept *next;
} C360Kept;

extern void c360_kept_register(C360Kept *kept);
extern void c360_kept_load(C360Kept *kept);
extern uint64 c360_kept_read(const char *query);

#endif							/* C360_KEPT_H */
