/*
 * statistics.c
 *	  What c360_stat shows of the workers of this database.
 *
 * Counters begin anew with the server. The backlog is counted from the rows,
 * so that it tells the truth also when no publisher runs.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "call.h"
#include "compat.h"
#include "cursor.h"
#include "event.h"
#include "shared.h"

#define MOST_COUNTED	10000	/* of the backlog */

PG_FUNCTION_INFO_V1(c360_statistics);

static int64
backlog(const C360Moment *tick)
{
	C360Moment	now;
	C360Store  *store;
	C360EventReader *reader;
	int64		count = 0;

	c360_moment_now(&now);
	store = c360_store_open_to_read();
	reader = c360_events_between(store, tick, &now, 0, MOST_COUNTED,
								 MOST_COUNTED);
	while (count < MOST_COUNTED && c360_event_next(reader) != NULL)
		count++;
	c360_events_end(reader);
	c360_store_close(store);
	return count;
}

static void
read_slot(C360Slot *slot, Datum *values, bool *nulls)
{
	LWLockAcquire(&slot->lock, LW_SHARED);
	values[4] = Int64GetDatum((int64) slot->errors_lost);
	nulls[4] = false;
	if (slot->last_error[0] != '\0')
	{
		values[5] = CStringGetTextDatum(slot->last_error);
		nulls[5] = false;
	}
	LWLockRelease(&slot->lock);
	if (slot->latch[C360_PUBLISHER] == NULL)
		return;
	values[0] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->ticks));
	values[1] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->notifications));
	values[2] = IntervalPGetDatum(palloc0(sizeof(Interval)));
	DatumGetIntervalP(values[2])->time = (int64) pg_atomic_read_u64(&slot->lag);
	nulls[0] = nulls[1] = nulls[2] = false;
}

Datum
c360_statistics(PG_FUNCTION_ARGS)
{
	C360Caller	caller;
	C360Slot   *slot = c360_my_slot();
	C360Moment *tick;
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[6] = {0};
	bool		nulls[6] = {true, true, true, true, true, true};

	c360_materialize(fcinfo);
	c360_act_as_owner(&caller);
	tick = c360_newest_tick();
	if (tick != NULL)
	{
		values[3] = Int64GetDatum(backlog(tick));
		nulls[3] = false;
	}
	if (slot != NULL)
		read_slot(slot, values, nulls);
	c360_act_as_caller(&caller);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}
