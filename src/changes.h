/*
 * changes.h
 *	  What changed since a consumer looked last.
 */
#ifndef C360_CHANGES_H
#define C360_CHANGES_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct C360Changes
{
	const char *consumer;
	char	   *since;			/* a pg_snapshot as text: all that it sees was had; NULL = nothing was */
	char	   *upto;			/* this run's, to be had */
	Jsonb	   *state;			/* the consumer's own, of its last run */
} C360Changes;

extern char *c360_history(void);
extern void c360_changes_begin(C360Changes *changes, const char *consumer);
extern void c360_changes_end(const C360Changes *changes, Jsonb *state);

#endif							/* C360_CHANGES_H */
