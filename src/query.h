/*
 * query.h
 *	  SQL statements with plans kept for the session.
 */
#ifndef C360_QUERY_H
#define C360_QUERY_H

#include "postgres.h"

#include "executor/spi.h"

#define C360_QUERY_ARGUMENTS 16

typedef struct C360Query
{
	const char *text;
	int			nargs;
	Oid			types[C360_QUERY_ARGUMENTS];
	SPIPlanPtr	plan;
} C360Query;

extern void c360_plan_without(const char *const *methods);
/* Runs it; with rows to read the caller has connected to SPI. */
extern Portal c360_query_open(C360Query *query, Datum *values);
extern Portal c360_query_open_to_write(C360Query *query, Datum *values);
extern void c360_query_as_of(C360Query *query, Snapshot snapshot);
extern uint64 c360_query(C360Query *query, Datum *values, const char *nulls);

#endif							/* C360_QUERY_H */
