/*
 * activity.c
 *	  The one writer of c360.customer_activities.
 *
 * One row for each change, in the transaction of the change and after the
 * lock of what changes, so that ids of one wallet stand in the order of its
 * changes. The row is timeline, audit trail and outbox: whoever announces
 * events reads these rows by transaction, which is why xact is the top-level
 * transaction even inside a savepoint.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "activity.h"
#include "actor.h"
#include "commit.h"

void
c360_activity_write(C360Store *store, const C360Activity *activity)
{
	C360Row    *row = c360_row_new(store, C360_ACTIVITIES);
	char		reference[MAXINT8LEN + 1];

	pg_lltoa(activity->reference_id, reference);
	c360_put_int64(row, ACTIVITY_id, activity->id != 0 ? activity->id :
				   c360_next_id(store, C360_ACTIVITIES));
	c360_put(row, ACTIVITY_xact, FullTransactionIdGetDatum(GetTopFullTransactionId()));
	c360_put_text(row, ACTIVITY_topic, activity->topic);
	c360_put_text(row, ACTIVITY_event, activity->event);
	if (activity->customer_id != 0)
		c360_put_int64(row, ACTIVITY_customer_id, activity->customer_id);
	c360_put_text(row, ACTIVITY_reference_type, activity->reference_type);
	c360_put_text(row, ACTIVITY_reference_id, reference);
	c360_put(row, ACTIVITY_payload, JsonbPGetDatum(activity->payload));
	c360_put_text(row, ACTIVITY_actor, activity->actor != NULL ? activity->actor : c360_actor());
	c360_put_text(row, ACTIVITY_session_user_name, activity->session_user_name != NULL ?
				  activity->session_user_name : c360_session_user_name());
	c360_put_time(row, ACTIVITY_created_at, activity->at != 0 ? activity->at : GetCurrentTimestamp());
	c360_insert(store, row);
	c360_at_commit_announce();
}
