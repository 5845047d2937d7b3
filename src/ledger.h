/*
 * ledger.h
 *	  A locked wallet, and movements posted to its ledger.
 */
#ifndef C360_LEDGER_H
#define C360_LEDGER_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "storage.h"
#include "utils/jsonb.h"

/* The call that a retry must repeat to get the same answer. */
typedef struct C360Key
{
	const char *operation;
	char	   *key;			/* NULL = none */
	bytea	   *digest;
} C360Key;

/* A wallet under our lock; saved once, by c360_wallet_save. */
typedef struct C360Wallet
{
	C360Store  *store;
	C360Row    *row;
	int64		customer_id;
	char	   *phone;			/* NULL = erased */
	bool		blacklisted;
	bool		frozen;
	int64		balance;
	int64		virtual_balance;
	int64		total_deposited;
	int64		total_withdrawn;
	int64		total_virtual_issued;
	int64		total_virtual_used;
	int64		total_virtual_expired;
	TimestampTz now;			/* the money clock */
	const char *actor;
	const char *session_user_name;
	bool		no_overdue;		/* overdue lots were expired by this call, */
	int64		restored_overdue;	/* but this much came back overdue */
} C360Wallet;

typedef struct C360LotPart
{
	int64		credit_id;
	int64		amount;
	TimestampTz expires_at;
} C360LotPart;

/* One row of the ledger, and the answer of the function that writes it. */
typedef struct C360Movement
{
	const C360Key *key;			/* NULL for what follows from another call */
	const char *operation;
	const char *type;
	int64		real_change;
	int64		virtual_change;
	const char *source;
	const char *reference_type;
	const char *reference_id;
	const char *note;
	int64		refunded_transaction_id;
	int64		bank_link_id;
	bool		has_occurred_at;
	TimestampTz occurred_at;
	List	   *parts;			/* of C360LotPart * */

	int64		id;
	int64		activity_id;
	int64		amount;
	int64		balance;
	int64		virtual_balance;
	int64		available;
	bool		replayed;
} C360Movement;

typedef enum C360UnknownPhone
{
	C360_UNKNOWN_IS_ERROR,
	C360_UNKNOWN_IS_CREATED
} C360UnknownPhone;

extern C360Key c360_key_read(FunctionCallInfo fcinfo, const char *operation,
							 const char *signature);
extern C360Wallet *c360_wallet_lock(C360Store *store, int64 customer_id, bool skip_locked);
extern C360Wallet *c360_wallet_lock_of(C360Store *store, int64 customer_id, C360Row *customer);
extern C360Wallet *c360_wallet_lock_by_phone(C360Store *store, const char *phone,
											 const C360Key *key, C360UnknownPhone unknown);
extern int64 c360_wallet_available(C360Wallet *wallet);
extern void c360_wallet_save(C360Wallet *wallet);
extern void c360_wallet_announce(C360Wallet *wallet, const char *event, const char *note);
extern void c360_add_part(C360Movement *movement, int64 credit_id, int64 amount,
						  TimestampTz expires_at);
extern void c360_post(C360Wallet *wallet, C360Movement *movement);
extern bool c360_replay(C360Wallet *wallet, const C360Key *key, C360Movement *movement);
extern List *c360_parts_of(C360Store *store, int64 transaction_id);
extern Datum c360_answer(FunctionCallInfo fcinfo, const C360Movement *movement);

#endif							/* C360_LEDGER_H */
