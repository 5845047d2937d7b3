/*
 * hook.c
 *	  Errors that leave c360 functions pass here.
 *
 * Whatever the language of a function, the function manager tells a hook when
 * an error leaves it. Of nested calls the outermost counts: what an EXCEPTION
 * block inside it catches has not left it, what the application catches has.
 * Two things happen then:
 *
 * - Under PostgREST, which before version 16 repeats 40001 for ever, a
 *   serialization failure or deadlock becomes PT409 "retry". Functions in C do
 *   that for themselves; functions in SQL and PL/pgSQL could not, short of a
 *   subtransaction each.
 * - The error, as it leaves, is recorded (audit.c).
 *
 * The function manager calls the hook for each function that is SECURITY
 * DEFINER or has a SET clause, which all of ours in SQL and PL/pgSQL do, and
 * for those that the hook asks for: functions in C where errors are recorded,
 * and under PostgREST. IMMUTABLE functions are left out: they compute from
 * their arguments alone and are called for each row.
 *
 * While an error is passed on no catalog can be read and little may fail. So
 * names are kept from the start of each call. Without preload the library
 * comes in during the first call of a function in a session, whose start was
 * not seen; the oids of all our functions are read then, once.
 *
 * The word that the function manager keeps for a hook with each function is
 * left to a hook that was there before us, whose word it may be already.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "audit.h"
#include "call.h"
#include "hook.h"
#include "worker.h"

static needs_fmgr_hook_type previous_needs_hook = NULL;
static fmgr_hook_type previous_hook = NULL;
static bool preloaded = false;

/*
 * Whose functions
 */

typedef struct Ours
{
	Oid			function;		/* hash key */
	NameData	name;
} Ours;

/* Others are quickly told by their name. */
static HTAB *ours = NULL;
static bool ours_valid = false;

static void
forget_ours(Datum arg, int cacheid, uint32 hashvalue)
{
	ours_valid = false;
}

static void
begin_ours(void)
{
	HASHCTL		definition = {0};

	if (ours != NULL)
		hash_destroy(ours);
	ours = NULL;
	definition.keysize = sizeof(Oid);
	definition.entrysize = sizeof(Ours);
	definition.hcxt = CacheMemoryContext;
	ours = hash_create("c360 functions", 128, &definition, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ours_valid = true;
}

static bool
is_named_like_ours(Oid function, NameData *name)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	*name = proc->proname;
	result = strncmp(NameStr(*name), "c360_", 5) == 0 && proc->provolatile != PROVOLATILE_IMMUTABLE;
	ReleaseSysCache(tuple);
	return result;
}

/* Answers false for all that is not ours, else its name. */
static bool
is_ours(Oid function, NameData *name)
{
	Oid			extension;
	char	   *extension_name;
	Ours	   *entry;

	if (function < FirstNormalObjectId)
		return false;
	if (!ours_valid)
		begin_ours();
	entry = hash_search(ours, &function, HASH_FIND, NULL);
	if (entry != NULL)
	{
		*name = entry->name;
		return true;
	}
	if (!is_named_like_ours(function, name))
		return false;
	extension = getExtensionOfObject(ProcedureRelationId, function);
	extension_name = OidIsValid(extension) ? get_extension_name(extension) : NULL;
	if (extension_name == NULL || strcmp(extension_name, "c360") != 0)
		return false;
	if (ours_valid)				/* else it is found out again next time */
	{
		entry = hash_search(ours, &function, HASH_ENTER, NULL);
		entry->name = *name;
	}
	return true;
}

static bool
needs_hook(Oid function)
{
	NameData	name;

	if (previous_needs_hook && previous_needs_hook(function))
		return true;
	return (c360_my_slot() != NULL || c360_under_postgrest()) && is_ours(function, &name);
}

/*
 * Calls
 */

/* Functions of ours that are being called, the innermost last. */
typedef struct Call
{
	const FmgrInfo *function;
	NameData	name;
} Call;

static Call *calls = NULL;
static int	depth = 0;
static int	room = 0;

static void
begin_call(const FmgrInfo *function, const NameData *name)
{
	if (depth == room)
	{
		if (calls == NULL)
			calls = MemoryContextAlloc(TopMemoryContext, 8 * sizeof(Call));
		else
			calls = repalloc(calls, 2 * room * sizeof(Call));
		room = room == 0 ? 8 : 2 * room;
	}
	calls[depth].function = function;
	calls[depth].name = *name;
	depth++;
}

/* If it was the outermost: its name, which holds until the next call. NULL else. */
static const char *
end_call(const FmgrInfo *function)
{
	if (depth == 0 || calls[depth - 1].function != function)
		return NULL;
	depth--;
	return depth == 0 ? NameStr(calls[0].name) : NULL;
}

/*
 * Calls that began before there was a hook
 */

static List *unseen = NIL;

/*
 * For functions in C that ours in other languages call when they begin. The
 * list may lack what an update of the extension adds in this very session;
 * such a function is seen when it begins.
 */
void
c360_hook_unseen(void)
{
	Relation	depend;
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old;

	if (preloaded || unseen != NIL)
		return;
	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(get_extension_oid("c360", true)));
	depend = table_open(DependRelationId, AccessShareLock);
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, key);
	old = MemoryContextSwitchTo(TopMemoryContext);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend entry = (Form_pg_depend) GETSTRUCT(tuple);

		if (entry->classid == ProcedureRelationId)
			unseen = lappend_oid(unseen, entry->objid);
	}
	MemoryContextSwitchTo(old);
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

/*
 * Errors
 */

/* The error goes on from here as another one, if it has to. */
static void
pass_on(void)
{
	static MemoryContext scratch = NULL;
	ErrorData  *error;

	if (!c360_is_retry(geterrcode()))
		return;
	if (scratch == NULL)
		scratch = AllocSetContextCreate(TopMemoryContext, "c360 error", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(scratch);
	MemoryContextSwitchTo(scratch);
	error = CopyErrorData();
	FlushErrorState();
	c360_to_interface(error);
	ReThrowError(error);
}

static void
hook(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	NameData	name;
	const char *outermost;

	if (event == FHET_START)
	{
		if (previous_hook)
			previous_hook(event, function, private);
		if (is_ours(function->fn_oid, &name))
			begin_call(function, &name);
		return;
	}
	outermost = end_call(function);
	if (event == FHET_ABORT && outermost != NULL)
		c360_audit_error(outermost);
	if (previous_hook)
		previous_hook(event, function, private);
	if (event == FHET_ABORT && (outermost != NULL || (depth == 0 && list_member_oid(unseen, function->fn_oid))))
		pass_on();
}

/* Nothing here can fail: it may run while the server starts. */
void
c360_hook_init(void)
{
	preloaded = process_shared_preload_libraries_in_progress;
	previous_needs_hook = needs_fmgr_hook;
	needs_fmgr_hook = needs_hook;
	previous_hook = fmgr_hook;
	fmgr_hook = hook;
	CacheRegisterSyscacheCallback(PROCOID, forget_ours, (Datum) 0);
}
