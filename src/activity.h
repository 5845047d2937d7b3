/*
 * activity.h
 *	  The one writer of c360.customer_activities.
 */
#ifndef C360_ACTIVITY_H
#define C360_ACTIVITY_H

#include "postgres.h"

#include "storage.h"
#include "utils/jsonb.h"

typedef struct C360Activity
{
	int64		id;				/* 0 = the next one */
	const char *topic;			/* the channel: wallets, customers, bank */
	const char *event;
	int64		customer_id;	/* 0 = none */
	const char *reference_type;
	int64		reference_id;
	const char *reference_text; /* instead of reference_id, if set */
	Jsonb	   *payload;
	const char *actor;			/* these three: looked up here if not set */
	const char *session_user_name;
	TimestampTz at;
} C360Activity;

extern void c360_activity_write(C360Store *store, const C360Activity *activity);

#endif							/* C360_ACTIVITY_H */
