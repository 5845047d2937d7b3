/*
 * call.c
 *	  How a c360 function is entered, reads its arguments and fails.
 *
 * Functions act as the owner of the c360 tables, the way foreign-key triggers
 * do: EXECUTE was checked by being called at all, then c360_call() switches
 * to the owner, with a search_path in which nobody else can put anything, so
 * that a CHECK or trigger of a DBA finds the same names for every caller. The
 * search_path is set when something first could look at it, which on the path
 * of money is seldom (c360_own_settings). An error ends the transaction or the
 * subtransaction, which puts user and search_path back.
 *
 * Errors that storage raises become the interface's here: a unique key of the
 * ledger is PT409, and under PostgREST (which before version 16 retries
 * 40001 for ever) a serialization failure or deadlock is PT409 "retry".
 * hook.c does the latter for functions in other languages.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "call.h"
#include "phone.h"
#include "storage.h"

typedef struct KnownConflict
{
	const char *constraint;
	const char *message;
	const char *detail;
} KnownConflict;

static const KnownConflict known_conflicts[] = {
	{"wallet_transactions_idempotency_key_key", "idempotency key reused",
	"key_reused: the key belongs to another call"},
	{"virtual_credits_source_key", "credit exists",
	"credit_exists: the customer has a credit of this kind and source id"},
	{"wallet_transactions_bank_link_deposit_key", "already deposited",
	"already_deposited: the link of this transfer has its deposit"},
	{"bank_links_open_key", "transfer is already linked",
	"already_linked: the transfer has a link"},
};

/* The functions being called, innermost first. */
typedef struct Frame
{
	const char *name;
	struct Frame *outer;
	C360Caller	caller;
} Frame;

static Frame *innermost = NULL;

static const char *
request_setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value != NULL && *value != '\0' ? value : NULL;
}

bool
c360_under_postgrest(void)
{
	return request_setting("request.method") != NULL;
}

static void
become_conflict(ErrorData *error, const char *message, const char *detail)
{
	error->sqlerrcode = ERRCODE_C360_CONFLICT;
	error->message = pstrdup(message);
	error->detail = pstrdup(detail);
	error->hint = NULL;
}

/* Whether PostgREST must not see an error as it is: it would try again for ever. */
bool
c360_is_retry(int sqlerrcode)
{
	return (sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
			sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED) && c360_under_postgrest();
}

/* Changes an error of the storage into one of the interface. */
void
c360_to_interface(ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->constraint_name != NULL &&
		error->schema_name != NULL && strcmp(error->schema_name, "c360") == 0)
	{
		for (size_t i = 0; i < lengthof(known_conflicts); i++)
			if (strcmp(error->constraint_name, known_conflicts[i].constraint) == 0)
			{
				become_conflict(error, known_conflicts[i].message, known_conflicts[i].detail);
				return;
			}
	}
	if (c360_is_retry(error->sqlerrcode))
	{
		become_conflict(error, "concurrent change, try again",
						error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED
						? "retry: a deadlock with another transaction"
						: "retry: another transaction changed the same rows");
		error->hint = pstrdup("Send the request again, with its idempotency key if it has one.");
	}
}

static void
rethrow_for_interface(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	c360_to_interface(error);
	ReThrowError(error);
}

/* The caller restores; inside SECURITY DEFINER that is the function manager. */
void
c360_become(Oid role)
{
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
}

static void
become_owner(C360Caller *caller)
{
	GetUserIdAndSecContext(&caller->user, &caller->security);
	c360_become(c360_owner());
	caller->nest_level = 0;
}

static void
begin_settings(C360Caller *caller)
{
	caller->nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * From here to c360_act_as_caller() we are the owner of the tables, with a
 * search_path of our own. An error puts both back with the transaction. What
 * his triggers set meanwhile goes, too: a search_path that stayed would have
 * whoever called us find his operators.
 */
void
c360_act_as_owner(C360Caller *caller)
{
	become_owner(caller);
	begin_settings(caller);
}

void
c360_act_as_caller(C360Caller *caller)
{
	if (caller->nest_level > 0)
		AtEOXact_GUC(false, caller->nest_level);
	SetUserIdAndSecContext(caller->user, caller->security);
}

/*
 * To be called in a function of c360_call() before anything runs that is not
 * c360's or the server's own C code, before a setting is changed and before a
 * subtransaction begins: from here on settings are the call's own, beginning
 * with search_path. To set it for each withdrawal cost 2 % of it.
 */
void
c360_own_settings(void)
{
	if (innermost != NULL && innermost->caller.nest_level == 0)
		begin_settings(&innermost->caller);
}

/* Runs the body of an SQL function that writes. */
Datum
c360_call(FunctionCallInfo fcinfo, const char *name, PGFunction body)
{
	MemoryContext context = CurrentMemoryContext;
	Frame		frame = {name, innermost};
	Datum		result;

	PreventCommandIfReadOnly(name);
	PreventCommandIfParallelMode(name);
	PreventCommandDuringRecovery(name);
	become_owner(&frame.caller);
	innermost = &frame;
	PG_TRY();
	{
		result = body(fcinfo);
	}
	PG_CATCH();
	{
		innermost = frame.outer;
		rethrow_for_interface(context);
	}
	PG_END_TRY();
	innermost = frame.outer;
	c360_act_as_caller(&frame.caller);
	return result;
}

/* Errors that concern the transaction or the server, not what was tried. */
static bool
concerns_everything(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_TRANSACTION_ROLLBACK || category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR;
}

static ErrorData *
run_in_subtransaction(void (*body) (void *), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	c360_own_settings();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		body(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * Runs body(arg) in a subtransaction. Answers NULL, or the error that it was
 * rolled back for.
 */
ErrorData *
c360_try(void (*body) (void *), void *arg)
{
	ErrorData  *error = run_in_subtransaction(body, arg);

	if (error != NULL && concerns_everything(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/*
 * The same for one thing of many that are done in a transaction: who waits for
 * what we have locked before goes on after all of them, so a deadlock costs
 * this one alone.
 */
ErrorData *
c360_try_one_of_many(void (*body) (void *), void *arg)
{
	ErrorData  *error = run_in_subtransaction(body, arg);

	if (error != NULL && error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED &&
		concerns_everything(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/*
 * In a PG_CATCH around what only reads a value: the error, if it is about the
 * value; any other goes on.
 */
ErrorData *
c360_caught_data_error(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
		ReThrowError(error);
	return error;
}

/* A header of the HTTP request, named in lower case; NULL if it has none. */
char *
c360_request_header(const char *name)
{
	const char *headers = request_setting("request.headers");
	Jsonb	   *parsed;
	JsonbValue	buffer;
	JsonbValue *value;

	if (headers == NULL)
		return NULL;
	parsed = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(headers)));
	if (!JB_ROOT_IS_OBJECT(parsed))
		return NULL;
	value = getKeyJsonValueFromContainer(&parsed->root, name, strlen(name), &buffer);
	if (value == NULL || value->type != jbvString || value->val.string.len == 0)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * The Idempotency-Key header of the HTTP request, if the request names the
 * function that runs: calls inside another function have no key of theirs.
 */
char *
c360_idempotency_header(void)
{
	const char *path = request_setting("request.path");
	const char *last = path != NULL ? strrchr(path, '/') : NULL;

	/* a call by a trigger, perhaps a deferred one, is none of the request's */
	if (DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) > 0)
		return NULL;
	if (innermost == NULL || innermost->outer != NULL || last == NULL ||
		last - path < 4 || strncmp(last - 4, "/rpc", 4) != 0 ||
		strcmp(last + 1, innermost->name) != 0)
		return NULL;
	return c360_request_header("idempotency-key");
}

/*
 * Arguments
 */

void
c360_missing_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("required argument is missing"),
			 errdetail("missing_argument: %s", name)));
}

void
c360_check_length(const char *value, const char *name, int longest)
{
	int			length = pg_mbstrlen_with_len(value, strlen(value));

	if (length > longest)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("text is too long"),
				 errdetail("too_long: %s has %d characters, at most %d are allowed",
						   name, length, longest)));
}

/* Characters without the blanks around them. */
int
c360_trimmed_length(const char *value)
{
	const char *end = value + strlen(value);

	while (*value != '\0' && strchr(" \t\r\n", *value) != NULL)
		value++;
	while (end > value && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	return pg_mbstrlen_with_len(value, end - value);
}

/* NULL if not given */
char *
c360_arg_text(FunctionCallInfo fcinfo, int n, const char *name, int longest)
{
	char	   *value;

	if (PG_ARGISNULL(n))
		return NULL;
	value = text_to_cstring(PG_GETARG_TEXT_PP(n));
	c360_check_length(value, name, longest);
	return value;
}

char *
c360_arg_required_text(FunctionCallInfo fcinfo, int n, const char *name, int longest)
{
	char	   *value = c360_arg_text(fcinfo, n, name, longest);

	if (value == NULL)
		c360_missing_argument(name);
	if (c360_trimmed_length(value) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("text must not be blank"),
				 errdetail("blank: %s", name)));
	return value;
}

/* The canonical form of a phone in any spelling. */
char *
c360_arg_phone(FunctionCallInfo fcinfo, int n, const char *name)
{
	char	   *phone = palloc(C360_PHONE_MAX + 1);
	text	   *raw;

	if (PG_ARGISNULL(n))
		c360_missing_argument(name);
	raw = PG_GETARG_TEXT_PP(n);
	if (!c360_phone_normalize(VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw), phone))
	{
		char	   *typed = text_to_cstring(raw);

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid phone number"),
				 errdetail("invalid_phone: %s \"%.*s\"", name,
						   pg_mbcliplen(typed, strlen(typed), 64), typed),
				 errhint("Vietnamese numbers have 10 digits with their leading 0, landlines 10 or 11.")));
	}
	return phone;
}

int64
c360_arg_int64(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		c360_missing_argument(name);
	return PG_GETARG_INT64(n);
}

int64
c360_arg_positive(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64		value = c360_arg_int64(fcinfo, n, name);

	if (value <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("amount must be positive"),
				 errdetail("invalid_amount: %s is %lld", name, (long long) value)));
	return value;
}

/* 0 if not given; infinities are no moments */
TimestampTz
c360_arg_time(FunctionCallInfo fcinfo, int n, const char *name)
{
	TimestampTz value;

	if (PG_ARGISNULL(n))
		return 0;
	value = PG_GETARG_TIMESTAMPTZ(n);
	if (TIMESTAMP_NOT_FINITE(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date is not finite"),
				 errdetail("invalid_date: %s", name)));
	return value;
}
