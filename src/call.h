/*
 * call.h
 *	  How a c360 function is entered, reads its arguments and fails.
 */
#ifndef C360_CALL_H
#define C360_CALL_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

/* SQLSTATEs that PostgREST turns into HTTP status codes */
#define ERRCODE_C360_UNAUTHORIZED	MAKE_SQLSTATE('P', 'T', '4', '0', '1')
#define ERRCODE_C360_FUNDS			MAKE_SQLSTATE('P', 'T', '4', '0', '2')
#define ERRCODE_C360_FORBIDDEN		MAKE_SQLSTATE('P', 'T', '4', '0', '3')
#define ERRCODE_C360_NOT_FOUND		MAKE_SQLSTATE('P', 'T', '4', '0', '4')
#define ERRCODE_C360_CONFLICT		MAKE_SQLSTATE('P', 'T', '4', '0', '9')
#define ERRCODE_C360_GONE			MAKE_SQLSTATE('P', 'T', '4', '1', '0')

#define C360_NAME_MAX		255
#define C360_REFERENCE_MAX	200
#define C360_REASON_MAX		500
#define C360_NOTE_MAX		2000

/* who called, while a function acts as the owner of the tables */
typedef struct C360Caller
{
	Oid			user;
	int			security;
	int			nest_level;		/* 0: settings are still his */
} C360Caller;

extern Datum c360_call(FunctionCallInfo fcinfo, const char *name, PGFunction body);
extern void c360_become(Oid role);
extern void c360_act_as_owner(C360Caller *caller);
extern void c360_act_as_caller(C360Caller *caller);
extern void c360_own_settings(void);
extern ErrorData *c360_try(void (*body) (void *), void *arg);
extern ErrorData *c360_try_one_of_many(void (*body) (void *), void *arg);
extern ErrorData *c360_caught_data_error(MemoryContext context);
extern bool c360_under_postgrest(void);
extern bool c360_is_retry(int sqlerrcode);
extern void c360_to_interface(ErrorData *error);
extern char *c360_request_header(const char *name);
extern char *c360_idempotency_header(void);

extern char *c360_arg_text(FunctionCallInfo fcinfo, int n, const char *name, int longest);
extern char *c360_arg_required_text(FunctionCallInfo fcinfo, int n, const char *name, int longest);
extern char *c360_arg_phone(FunctionCallInfo fcinfo, int n, const char *name);
extern int64 c360_arg_int64(FunctionCallInfo fcinfo, int n, const char *name);
extern int64 c360_arg_positive(FunctionCallInfo fcinfo, int n, const char *name);
extern TimestampTz c360_arg_time(FunctionCallInfo fcinfo, int n, const char *name);
extern void c360_check_length(const char *value, const char *name, int longest);
extern int	c360_trimmed_length(const char *value);
extern void c360_missing_argument(const char *name) __attribute__((noreturn));

#endif							/* C360_CALL_H */
