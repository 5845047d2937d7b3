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
	const void *(*read) (MemoryContext context);	/* with SPI connected; what is made of the rows */
	bool		valid;
	uint64		changes;		/* that we were told of */
	Oid			relids[C360_KEPT_TABLES];
	MemoryContext context;
	const void *made;			/* in there */
	struct C360Kept *next;
} C360Kept;

extern void c360_kept_register(C360Kept *kept);
extern const void *c360_kept(C360Kept *kept);
extern uint64 c360_kept_read(const char *query);

#endif							/* C360_KEPT_H */
