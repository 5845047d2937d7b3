/*
 * heard.c
 *	  Which channels anybody listens to.
 *
 * PostgreSQL does not tell who listens, and NOTIFY on a channel that nobody
 * listens to costs as much as on any other: of each movement of a wallet two
 * notifications, one of them for a channel of its own. So where the library is
 * preloaded every session notes in shared memory what it listens to, and the
 * publisher leaves out the rest.
 *
 * The rule: what is noted covers, at any time, all that is listened to.
 *
 * - LISTEN is noted before it is executed, and so before its transaction ends.
 *   The publisher looks after it took the moment up to which it announces. So
 *   it sees the note of everybody who listened before an event was committed.
 *   Who begins later reads the event, for he listens first and reads then.
 * - A note is taken back when UNLISTEN (or DISCARD ALL) has been committed, if
 *   that was certain when it was executed: not inside a savepoint, which may
 *   be rolled back; and when the session ends. If in doubt the note stays.
 *
 * Without the publisher (c360.notify = inline) this is of no use: a writer
 * notifies before its commit, and somebody may begin to listen in between.
 *
 * Code that calls the server's Async_Listen() by itself, without the command,
 * is not noticed. A session that finds no room makes everything heard.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/memutils.h"

#include "heard.h"
#include "shared.h"

#define WALLET_PREFIX	"wallet:"

static ProcessUtility_hook_type previous_hook = NULL;

/* of this session */
static C360Hearer *hearer = NULL;	/* NULL = not listed */
static bool unlisted = false;	/* but counted as such */
static List *names = NIL;		/* channels that are noted, in TopMemoryContext */

/* of the transaction that runs: to be taken back at its commit */
static List *leaving = NIL;
static bool leaving_all = false;

void
c360_hearers_init(C360Hearers *hearers, int tranche)
{
	memset(hearers, 0, sizeof(*hearers));
	LWLockInitialize(&hearers->lock, tranche);
	pg_atomic_init_u64(&hearers->changes, 0);
}

/*
 * Sets of channels
 */

static void
find_bit(const char *phone, int *word, uint64 *bit)
{
	uint32		hash = hash_bytes((const unsigned char *) phone, strlen(phone));

	*word = hash / 64 % C360_WALLET_WORDS;
	*bit = UINT64CONST(1) << hash % 64;
}

static void
add_channel(C360Channels *channels, const char *name)
{
	C360Channel channel = c360_channel_named(name);
	int			word;
	uint64		bit;

	if (channel != C360_NCHANNELS)
	{
		channels->named |= 1 << channel;
		return;
	}
	find_bit(name + strlen(WALLET_PREFIX), &word, &bit);
	channels->wallets[word] |= bit;
}

static bool
is_ours(const char *name)
{
	return c360_channel_named(name) != C360_NCHANNELS ||
		strncmp(name, WALLET_PREFIX, strlen(WALLET_PREFIX)) == 0;
}

bool
c360_is_heard(const C360Channels *channels, C360Channel channel)
{
	return (channels->named & 1 << channel) != 0;
}

bool
c360_is_wallet_heard(const C360Channels *channels, const char *phone)
{
	int			word;
	uint64		bit;

	find_bit(phone, &word, &bit);
	return (channels->wallets[word] & bit) != 0;
}

bool
c360_nothing_heard(const C360Channels *channels)
{
	uint64		any = channels->named;

	for (int i = 0; i < C360_WALLET_WORDS; i++)
		any |= channels->wallets[i];
	return any == 0;
}

/*
 * The publisher's side
 */

static void
collect(const C360Hearers *hearers, C360Channels *channels)
{
	memset(channels, hearers->unlisted > 0 ? 0xff : 0, sizeof(*channels));
	for (int i = 0; i < hearers->used; i++)
	{
		const C360Hearer *one = &hearers->hearers[i];

		if (one->database != MyDatabaseId)
			continue;
		channels->named |= one->channels.named;
		for (int word = 0; word < C360_WALLET_WORDS; word++)
			channels->wallets[word] |= one->channels.wallets[word];
	}
}

const C360Channels *
c360_heard_now(void)
{
	static C360Channels channels;
	static uint64 seen = PG_UINT64_MAX;
	C360Hearers *hearers = &c360_shared->hearers;

	pg_memory_barrier();
	if (pg_atomic_read_u64(&hearers->changes) != seen)
	{
		LWLockAcquire(&hearers->lock, LW_SHARED);
		seen = pg_atomic_read_u64(&hearers->changes);
		collect(hearers, &channels);
		LWLockRelease(&hearers->lock);
	}
	return &channels;
}

/*
 * The listener's side
 */

static void
begin_change(void)
{
	LWLockAcquire(&c360_shared->hearers.lock, LW_EXCLUSIVE);
}

static void
end_change(void)
{
	pg_atomic_fetch_add_u64(&c360_shared->hearers.changes, 1);
	LWLockRelease(&c360_shared->hearers.lock);
}

/* Under the lock; NULL if all are taken. */
static C360Hearer *
free_hearer(C360Hearers *hearers)
{
	for (int i = 0; i < hearers->used; i++)
		if (!OidIsValid(hearers->hearers[i].database))
			return &hearers->hearers[i];
	return hearers->used < C360_MAX_HEARERS ? &hearers->hearers[hearers->used++] : NULL;
}

static void
leave_list(void)
{
	if (hearer == NULL && !unlisted)
		return;
	begin_change();
	if (hearer != NULL)
		hearer->database = InvalidOid;
	if (unlisted)
		c360_shared->hearers.unlisted--;
	end_change();
	hearer = NULL;
	unlisted = false;
}

static void
leave_list_at_exit(int code, Datum arg)
{
	leave_list();
}

static void
enter_list(void)
{
	static bool registered = false;

	if (!registered)
		before_shmem_exit(leave_list_at_exit, (Datum) 0);
	registered = true;
	begin_change();
	hearer = free_hearer(&c360_shared->hearers);
	if (hearer != NULL)
	{
		memset(&hearer->channels, 0, sizeof(hearer->channels));
		hearer->database = MyDatabaseId;
	}
	else
	{
		c360_shared->hearers.unlisted++;
		unlisted = true;
	}
	end_change();
}

static char *
find_name(const char *name)
{
	ListCell   *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return lfirst(cell);
	return NULL;
}

static void
forget_leaving(void)
{
	list_free(leaving);
	leaving = NIL;
	leaving_all = false;
}

static void
note(const char *name)
{
	MemoryContext old;

	forget_leaving();			/* after UNLISTEN in the same transaction: in doubt all stays */
	if (!is_ours(name) || find_name(name) != NULL)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	names = lappend(names, pstrdup(name));
	MemoryContextSwitchTo(old);
	if (hearer == NULL && !unlisted)
		enter_list();
	if (hearer == NULL)
		return;
	begin_change();
	add_channel(&hearer->channels, name);
	end_change();
}

/* NULL means all of them. */
static void
note_leaving(const char *name)
{
	MemoryContext old;
	char	   *noted = name != NULL ? find_name(name) : NULL;

	if (GetCurrentTransactionNestLevel() > 1)
		return;
	if (name == NULL)
		leaving_all = true;
	if (noted == NULL)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	leaving = list_append_unique_ptr(leaving, noted);
	MemoryContextSwitchTo(old);
}

static void
forget_name(char *name)
{
	names = list_delete_ptr(names, name);
	pfree(name);
}

/* The transaction is committed: nothing here may fail. */
static void
take_back(void)
{
	C360Channels channels = {0};
	ListCell   *cell;

	while (leaving_all && names != NIL)
		forget_name(llast(names));
	if (!leaving_all)
		foreach(cell, leaving)
			forget_name(lfirst(cell));
	foreach(cell, names)
		add_channel(&channels, lfirst(cell));
	if (names == NIL)
		leave_list();
	else if (hearer != NULL)
	{
		begin_change();
		hearer->channels = channels;
		end_change();
	}
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (event == XACT_EVENT_COMMIT && (leaving != NIL || leaving_all))
		take_back();
	forget_leaving();
}

/* A statement may be gone once it was executed. */
static void
hook(PlannedStmt *planned, const char *text, bool read_only_tree, ProcessUtilityContext context,
	 ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *destination,
	 QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;
	bool		unlisten = IsA(statement, UnlistenStmt);
	bool		discard = IsA(statement, DiscardStmt) &&
		((DiscardStmt *) statement)->target == DISCARD_ALL;
	const char *name = unlisten ? ((UnlistenStmt *) statement)->conditionname : NULL;

	if (IsA(statement, ListenStmt))
		note(((ListenStmt *) statement)->conditionname);
	(previous_hook ? previous_hook : standard_ProcessUtility)
		(planned, text, read_only_tree, context, parameters, environment, destination, completion);
	if (unlisten || discard)
		note_leaving(name);
}

/* Nothing here can fail: it runs while the server starts. */
void
c360_heard_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = hook;
	RegisterXactCallback(at_transaction_end, NULL);
}
