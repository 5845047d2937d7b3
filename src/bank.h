/*
 * bank.h
 *	  Bank transfers, as the parts that decide, link and answer see them.
 */
#ifndef C360_BANK_H
#define C360_BANK_H

#include "postgres.h"

#include "fmgr.h"
#include "payload.h"
#include "storage.h"

/* A transfer that is stored, or is about to be. */
typedef struct C360Transfer
{
	int64		id;				/* of c360.balance_history */
	int64		sepay_id;
	const char *gateway;
	const char *transfer_type;
	const char *content;		/* NULL = none */
	int64		amount;
	TimestampTz date;
} C360Transfer;

/* One row of type c360_bank_result. */
typedef struct C360BankResult
{
	int64		bank_transaction_id;	/* 0 = not stored */
	const char *result;
	char	   *phone;
	int64		customer_id;	/* 0 = none */
	bool		customer_created;
	int64		transaction_id; /* 0 = none */
	int64		amount;
} C360BankResult;

/* What the content of a transfer leads to. */
typedef struct C360Decision
{
	const char *outcome;		/* deposited, pending or unmatched */
	const char *method;			/* of the link: qr_code, phone or part */
	const char *value;			/* the code, phone or part that decided */
	int64		customer_id;	/* 0 = the phone is nobody's yet */
	C360Row    *customer;		/* his row as it was read, or NULL */
	Jsonb	   *seen;			/* every candidate, and whom it led to */
} C360Decision;

/* bank_decide.c */
extern void c360_decide(C360Store *store, const C360Transfer *transfer, bool with_parts,
						C360Decision *decision);

/* bank_link.c */
extern void c360_follow_decision(C360Store *store, const C360Transfer *transfer,
								 const C360Decision *decision, C360BankResult *result);

/* bank.c */
extern bool c360_is_incoming(const C360Transfer *transfer);
extern void c360_transfer_of_row(C360Row *row, C360Transfer *transfer);
extern C360Row *c360_lock_transfer(C360Store *store, int64 id, bool skip_locked);
extern void c360_record_result(C360Store *store, C360Row *row, const char *result,
							   const C360Decision *decision);
extern void c360_bank_announce(C360Store *store, const C360Transfer *transfer,
							   const C360BankResult *result, const char *event,
							   const char *method, const char *note);
extern void c360_bank_lock(void);
extern void c360_ingest(const C360Payload *payload, C360BankResult *result);
extern void c360_bank_values(const C360BankResult *result, Datum *values, bool *nulls);
extern Datum c360_bank_answer(FunctionCallInfo fcinfo, const C360BankResult *result);

#endif							/* C360_BANK_H */
