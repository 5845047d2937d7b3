/*
 * heard.h
 *	  Which channels anybody listens to.
 */
#ifndef C360_HEARD_H
#define C360_HEARD_H

#include "postgres.h"

#include "event.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#define C360_MAX_HEARERS	64
#define C360_WALLET_WORDS	8

/* A set of channels; of wallet:<phone> it may hold more than were put in. */
typedef struct C360Channels
{
	uint64		wallets[C360_WALLET_WORDS]; /* a bit for each hash of a name */
	uint32		named;			/* a bit for each of c360_channels */
} C360Channels;

/* One session that listens. */
typedef struct C360Hearer
{
	Oid			database;		/* InvalidOid = free */
	C360Channels channels;
} C360Hearer;

typedef struct C360Hearers
{
	LWLock		lock;			/* of all but the counter */
	pg_atomic_uint64 changes;
	int			used;			/* those beyond were never taken */
	int			unlisted;		/* sessions that listen, but found no room */
	C360Hearer	hearers[C360_MAX_HEARERS];
} C360Hearers;

extern void c360_hearers_init(C360Hearers *hearers, int tranche);
extern void c360_heard_init(void);

/* The channels that somebody in this database listens to, as of now. */
extern const C360Channels *c360_heard_now(void);
extern bool c360_nothing_heard(const C360Channels *channels);
extern bool c360_is_heard(const C360Channels *channels, C360Channel channel);
extern bool c360_is_wallet_heard(const C360Channels *channels, const char *phone);

#endif							/* C360_HEARD_H */
