/*
 * audit.c
 *	  Errors that leave c360 functions are recorded in c360.audit_logs.
 *
 * The transaction of a failed call is rolled back, so the backend cannot write
 * the row itself. It puts the error into a ring in shared memory, and the
 * database's job runner writes it a moment later, once a second at most; the
 * same error again is counted until then, so that nobody floods the table by
 * repeating a call. The ring is bounded: what comes while it is full is
 * counted and stands in the server log only. Nobody waits for room; the lock
 * is held for the copy of one entry.
 *
 * hook.c tells where an error leaves. It is recorded as the caller gets it.
 * While it is passed on no catalog can be read and nothing may fail, so names
 * of users are looked up by the runner.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "actor.h"
#include "audit.h"
#include "call.h"
#include "compat.h"
#include "query.h"
#include "settings.h"
#include "worker.h"

#define WRITE_EVERY		1000	/* ms */
#define RETRY_AFTER		10000	/* ms, when errors could not be written */
#define PRUNE_EVERY		3600000 /* ms */
#define PRUNE_ROWS		1000

/*
 * Into the ring
 */

/* Cuts between characters. */
static void
copy_text(char *to, size_t size, const char *from)
{
	int			length = from == NULL ? 0 : strlen(from);

	if (length >= size)
		length = pg_mbcliplen(from, length, size - 1);
	memcpy(to, from == NULL ? "" : from, length);
	to[length] = '\0';
}

/* What the error says. Nothing is allocated if that may be what failed. */
static void
describe(C360Error *entry)
{
	static MemoryContext scratch = NULL;
	MemoryContext old;
	ErrorData  *error;

	entry->sqlerrcode = geterrcode();
	if (ERRCODE_TO_CATEGORY(entry->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES)
	{
		copy_text(entry->message, sizeof(entry->message), "insufficient resources");
		return;
	}
	if (scratch == NULL)
		scratch = AllocSetContextCreate(TopMemoryContext, "c360 audit", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	error = CopyErrorData();
	c360_to_interface(error);
	entry->sqlerrcode = error->sqlerrcode;
	copy_text(entry->message, sizeof(entry->message), error->message);
	copy_text(entry->detail, sizeof(entry->detail), error->detail);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scratch);
}

/* If the same waits to be written: entries are zeroed before they are filled. */
static bool
count_again(C360Slot *slot, const C360Error *entry)
{
	for (uint64 i = Max(slot->errors_read, slot->errors_taken); i < slot->errors_put; i++)
	{
		C360Error  *waiting = &slot->errors[i % C360_ERROR_RING_SIZE];

		if (memcmp(&waiting->session_user_id, &entry->session_user_id,
				   sizeof(C360Error) - offsetof(C360Error, session_user_id)) != 0)
			continue;
		waiting->times++;
		return true;
	}
	return false;
}

/* The error that is being passed on left this function. */
void
c360_audit_error(const char *function)
{
	C360Slot   *slot = c360_my_slot();
	const char *claims = GetConfigOption("request.jwt.claims", true, false);
	C360Error	entry;
	bool		first;

	if (slot == NULL || slot->absent[C360_RUNNER] || LWLockHeldByMe(&slot->lock))
		return;
	memset(&entry, 0, sizeof(entry));
	entry.at = GetCurrentTimestamp();
	entry.times = 1;
	entry.session_user_id = GetSessionUserId();
	copy_text(entry.function, sizeof(entry.function), function);
	if (claims != NULL)
		c360_claims_of_person(claims, entry.claims, sizeof(entry.claims));
	describe(&entry);
	LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
	first = slot->errors_put == slot->errors_taken;
	if (!count_again(slot, &entry))
	{
		if (slot->errors_put - slot->errors_taken < C360_ERROR_RING_SIZE)
			slot->errors[slot->errors_put++ % C360_ERROR_RING_SIZE] = entry;
		else
			slot->errors_lost++;
	}
	LWLockRelease(&slot->lock);
	if (first)
		c360_wake(slot, C360_RUNNER);
}

/*
 * Out of the ring, in the job runner
 */

static C360Query insert_error = {
	"INSERT INTO c360.audit_logs (at, function, sqlstate, message, detail, actor, session_user_name, times) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	8, {TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID}
};

static C360Query prune_errors = {
	"DELETE FROM c360.audit_logs WHERE id IN (SELECT id FROM c360.audit_logs "
	"WHERE at < statement_timestamp() - make_interval(days => $1::integer) ORDER BY at LIMIT $2)",
	2, {INT8OID, INT8OID}
};

static void
write_error(void *arg)
{
	C360Error  *entry = arg;
	Datum		values[8];
	char		nulls[9] = "        ";

	values[0] = TimestampTzGetDatum(entry->at);
	values[1] = CStringGetTextDatum(entry->function);
	values[2] = CStringGetTextDatum(unpack_sql_state(entry->sqlerrcode));
	values[3] = CStringGetTextDatum(entry->message);
	values[4] = CStringGetTextDatum(entry->detail);
	if (entry->detail[0] == '\0')
		nulls[4] = 'n';
	values[5] = CStringGetTextDatum(c360_actor_of(entry->session_user_id, entry->claims));
	values[6] = CStringGetTextDatum(c360_role_name(entry->session_user_id));
	values[7] = Int32GetDatum(entry->times);
	SPI_connect();
	c360_query(&insert_error, values, nulls);
	SPI_finish();
}

/* Entries that nobody can write, such as a CHECK of a DBA refuses, go to the log. */
static void
write_or_tell(C360Error *entry)
{
	ErrorData  *error = c360_try(write_error, entry);

	if (error != NULL && entry->claims[0] != '\0')
	{
		entry->claims[0] = '\0';	/* which may be no JSON */
		error = c360_try(write_error, entry);
	}
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not record an error of %s: %s", entry->function, error->message),
				 errdetail("%s: %s", unpack_sql_state(entry->sqlerrcode), entry->message)));
}

static bool
read_error(C360Slot *slot, uint64 number, C360Error *entry)
{
	bool		found;

	LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
	found = number < slot->errors_put;
	if (found)
	{
		*entry = slot->errors[number % C360_ERROR_RING_SIZE];
		slot->errors_read = number + 1;
	}
	LWLockRelease(&slot->lock);
	return found;
}

static void
tell_lost(C360Slot *slot)
{
	static uint64 told = 0;
	uint64		lost;

	LWLockAcquire(&slot->lock, LW_SHARED);
	lost = slot->errors_lost;
	LWLockRelease(&slot->lock);
	if (lost > told)
		ereport(LOG,
				(errmsg("c360 could not record %llu errors: more came at once than fit into memory",
						(unsigned long long) (lost - told))));
	told = lost;
}

/*
 * They leave the ring when their rows are safe. Answers for how many
 * milliseconds those that are left have to wait.
 */
static long
record_errors(C360Slot *slot)
{
	static TimestampTz retry_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	uint64		number = slot->errors_taken;
	uint64		last = number + C360_ERROR_RING_SIZE;
	C360Error	entry;

	if (slot->errors_put == number)
		return LONG_MAX;
	if (now < retry_at)
		return TimestampDifferenceMilliseconds(now, retry_at);
	retry_at = TimestampTzPlusMilliseconds(now, RETRY_AFTER);
	if (!c360_worker_begin_transaction("recording errors"))
		return LONG_MAX;
	while (number < last && read_error(slot, number, &entry))
	{
		write_or_tell(&entry);
		number++;
	}
	c360_worker_end_transaction();
	LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
	slot->errors_taken = number;
	LWLockRelease(&slot->lock);
	retry_at = TimestampTzPlusMilliseconds(now, WRITE_EVERY);
	return slot->errors_put == number ? LONG_MAX : WRITE_EVERY;
}

static void
prune(void)
{
	static TimestampTz next = 0;
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[2];
	uint64		rows;

	if (now < next)
		return;
	next = TimestampTzPlusMilliseconds(now, PRUNE_EVERY);
	if (!c360_worker_begin_transaction("removing old errors"))
		return;
	values[0] = Int64GetDatum(c360_settings()->audit_retention_days);
	values[1] = Int64GetDatum(PRUNE_ROWS);
	SPI_connect();
	rows = c360_query(&prune_errors, values, NULL);
	SPI_finish();
	c360_worker_end_transaction();
	if (rows == PRUNE_ROWS)
		next = now;
}

/*
 * An error here is the caller's to catch, and nothing is lost by it but time.
 * Answers when it wants to be called again, in milliseconds.
 */
long
c360_audit_drain(C360Slot *slot)
{
	long		wait = record_errors(slot);

	tell_lost(slot);
	prune();
	return wait;
}
