/*
 * cursor.h
 *	  Moments in the history of events, and cursors that name them.
 */
#ifndef C360_CURSOR_H
#define C360_CURSOR_H

#include "postgres.h"

#include "utils/timestamp.h"

#define C360_LOW_UNKNOWN	PG_INT64_MAX

/*
 * Which transactions had ended: those before xmax that are not in running,
 * which is in order.
 */
typedef struct C360Moment
{
	int64		tick;			/* its number, 0 if it is none */
	int64		low_id;			/* rows of transactions from xmax on have higher
								 * ids; C360_LOW_UNKNOWN if nobody knows */
	int64		high_id;		/* rows of transactions that had ended have none higher */
	uint64		xmin;
	uint64		xmax;
	int			nrunning;
	uint64	   *running;
	TimestampTz at;				/* of a tick */
} C360Moment;

/* From where to go on: after a moment, or in the middle of a batch. */
typedef struct C360Cursor
{
	C360Moment *from;
	C360Moment *to;				/* NULL = up to now */
	int64		after_id;		/* rows of the batch up to here were had */
} C360Cursor;

typedef struct C360Epoch
{
	int64		epoch;
	bool		stored;			/* has its row; else its ticks don't exist yet */
	int64		begins;			/* its own first tick */
	int64		first_tick;		/* that of the first epoch that it goes on */
} C360Epoch;

extern bool c360_moment_sees(const C360Moment *moment, uint64 xact);
extern void c360_moment_now(C360Moment *moment);
extern C360Moment *c360_newest_tick(void);
extern C360Moment *c360_tick_before(int64 tick);
extern bool c360_is_newest_tick(int64 tick, int64 epoch);
extern char *c360_moment_snapshot(const C360Moment *moment);

extern C360Epoch c360_epoch_now(void);
extern C360Epoch c360_epoch_settle(void);

extern char *c360_cursor_at(int64 epoch, const C360Moment *moment);
extern char *c360_cursor_within(int64 epoch, const C360Moment *from, const C360Moment *to);
extern const char *const c360_malformed_cursor;
extern C360Cursor *c360_cursor_read(const char *text, const char **problem);

#endif							/* C360_CURSOR_H */
