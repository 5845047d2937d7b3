/*
 * event.h
 *	  Reading events between two moments, and what is told of each.
 */
#ifndef C360_EVENT_H
#define C360_EVENT_H

#include "postgres.h"

#include "cursor.h"
#include "lib/stringinfo.h"
#include "storage.h"

/* the channels; wallet:<phone> is a part of the first */
typedef enum C360Channel
{
	C360_WALLETS_CHANNEL,
	C360_TICKETS_CHANNEL,
	C360_CUSTOMERS_CHANNEL,
	C360_BANK_CHANNEL,
	C360_NCHANNELS
} C360Channel;

extern const char *const c360_channels[C360_NCHANNELS];

/* C360_NCHANNELS if there is none of that name */
extern C360Channel c360_channel_named(const char *name);

#define C360_PAYLOAD_LIMIT	7900	/* NOTIFY takes less than 8,000 bytes */

typedef struct C360EventReader C360EventReader;

/* A row of customer_activities; good until the next one is read. */
typedef struct C360Event
{
	int64		id;
	uint64		xact;
	char	   *channel;		/* wallets, tickets, customers, bank */
	char	   *event;
	int64		customer_id;	/* 0 = none */
	char	   *phone;			/* as it was then, or NULL */
	char	   *reference_type;
	char	   *reference_id;
	Jsonb	   *payload;
	TimestampTz at;
} C360Event;

/* Those between two moments with higher ids, in order of id. */
extern C360EventReader *c360_events_between(C360Store *store, const C360Moment *from,
											const C360Moment *to, int64 after_id, int most_late,
											int most);
extern int	c360_events_looked_at(const C360EventReader *reader);
extern bool c360_events_unfinished(const C360EventReader *reader, int64 *last_id);
extern bool c360_events_exist(const C360Moment *from, const C360Moment *to);
/* Those of one transaction. */
extern C360EventReader *c360_events_of(C360Store *store, uint64 xact);
extern C360Event *c360_event_next(C360EventReader *reader);
extern void c360_events_end(C360EventReader *reader);

typedef enum C360Telling
{
	C360_TELL_ALL,
	C360_TELL_NO_MONEY,			/* to callers below agent */
	C360_TELL_IDS,				/* notify_payload = ids */
} C360Telling;

extern void c360_event_payload(C360EventReader *reader, const C360Event *event, const char *cursor,
							   C360Telling telling, StringInfo payload);

extern void c360_append_int64(StringInfo out, int64 value);

#endif							/* C360_EVENT_H */
