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
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "activity.h"
#include "actor.h"
#include "call.h"
#include "commit.h"
#include "json.h"

PG_FUNCTION_INFO_V1(c360_write_activity);

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
	if (activity->reference_type != NULL)
		c360_put_text(row, ACTIVITY_reference_id, activity->reference_text != NULL ?
					  activity->reference_text : reference);
	c360_put(row, ACTIVITY_payload, JsonbPGetDatum(activity->payload));
	c360_put_text(row, ACTIVITY_actor, activity->actor != NULL ? activity->actor : c360_actor());
	c360_put_text(row, ACTIVITY_session_user_name, activity->session_user_name != NULL ?
				  activity->session_user_name : c360_session_user_name());
	c360_put_time(row, ACTIVITY_created_at, activity->at != 0 ? activity->at : GetCurrentTimestamp());
	c360_insert(store, row);
	c360_at_commit_announce();
}

/*
 * Events tell the phone as it was then; a payload without one gets it here.
 * An erased customer has none.
 */
static Jsonb *
with_phone(C360Store *store, int64 customer_id, Jsonb *payload)
{
	C360Json	json = {0};
	C360Row    *customer;

	if (!JB_ROOT_IS_OBJECT(payload) ||
		getKeyJsonValueFromContainer(&payload->root, "phone", strlen("phone"), NULL) != NULL)
		return payload;
	customer = c360_find(store, C360_CUSTOMER_BY_ID, Int64GetDatum(customer_id));
	if (customer == NULL || c360_is_null(customer, CUSTOMER_phone))
		return payload;
	c360_json_begin_object(&json, NULL);
	c360_json_text(&json, "phone", c360_get_text(customer, CUSTOMER_phone));
	c360_json_end_object(&json);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(payload),
											  JsonbPGetDatum(c360_json_finish(&json))));
}

static char *
text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static Datum
write_activity(PG_FUNCTION_ARGS)
{
	C360Activity activity = {0};
	C360Store  *store = c360_store_open();

	for (int i = 0; i < 6; i++)
		if ((i < 2 || i == 5) && PG_ARGISNULL(i))
			elog(ERROR, "argument %d of c360_write_activity is missing", i + 1);
	activity.topic = text_or_null(fcinfo, 0);
	activity.event = text_or_null(fcinfo, 1);
	activity.customer_id = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	activity.reference_type = text_or_null(fcinfo, 3);
	activity.reference_text = text_or_null(fcinfo, 4);
	activity.payload = PG_GETARG_JSONB_P(5);
	if (activity.customer_id != 0)
		activity.payload = with_phone(store, activity.customer_id, activity.payload);
	activity.id = c360_next_id(store, C360_ACTIVITIES);
	c360_activity_write(store, &activity);
	c360_store_close(store);
	return Int64GetDatum(activity.id);
}

/*
 * For functions in PL/pgSQL, which have become the owner of the tables by
 * then. He would need a grant for it, so all have EXECUTE; but only he gets
 * further than this, and only inside such a function.
 */
Datum
c360_write_activity(PG_FUNCTION_ARGS)
{
	if (!InLocalUserIdChange() || GetUserId() != c360_owner())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("c360_write_activity is for c360's own functions")));
	return c360_call(fcinfo, "c360_write_activity", write_activity);
}
