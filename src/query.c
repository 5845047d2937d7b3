/*
 * query.c
 *	  SQL statements with plans kept for the session.
 *
 * For what is not on the path of money. Statements name everything with its
 * schema and run with the search_path that c360_call() sets; a plan whose
 * tables were dropped and made again is planned again by the server.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "call.h"
#include "query.h"

static void
prepare(C360Query *query)
{
	SPIPlanPtr	plan;

	c360_own_settings();
	if (query->plan != NULL)
		return;
	plan = SPI_prepare(query->text, query->nargs, query->types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\"", query->text);
	query->plan = plan;
}

/* Until c360_call() ends: to be called before a statement is planned. */
void
c360_plan_without(const char *const *methods)
{
	c360_own_settings();
	for (; *methods != NULL; methods++)
		(void) set_config_option(*methods, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* A cursor over its rows, for those that are many; no value is NULL. */
Portal
c360_query_open(C360Query *query, Datum *values)
{
	prepare(query);
	return SPI_cursor_open(NULL, query->plan, values, NULL, true);
}

/* The same of a statement that writes: all of it is done before the first row comes. */
Portal
c360_query_open_to_write(C360Query *query, Datum *values)
{
	prepare(query);
	return SPI_cursor_open(NULL, query->plan, values, NULL, false);
}

/* Writes to what this snapshot sees. */
void
c360_query_as_of(C360Query *query, Snapshot snapshot)
{
	prepare(query);
	if (SPI_execute_snapshot(query->plan, NULL, NULL, snapshot, InvalidSnapshot, false, true, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", query->text);
}

uint64
c360_query(C360Query *query, Datum *values, const char *nulls)
{
	prepare(query);
	if (SPI_execute_plan(query->plan, values, nulls, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", query->text);
	return SPI_processed;
}
