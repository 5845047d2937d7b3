/*
 * storage.h
 *	  Rows of c360's tables: find, lock, insert, update.
 *
 * Everything that knows of relations, indexes, snapshots and slots stands in
 * storage.c. Business code opens a store, finds rows by index, reads and sets
 * columns by name, and closes the store.
 */
#ifndef C360_STORAGE_H
#define C360_STORAGE_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

/*
 * The columns that C code reads or writes, with their types. Columns are
 * found by name, so that their positions don't matter, and columns that are
 * not listed here get their defaults.
 */
#define C360_CUSTOMER_COLUMNS(X) \
	X(customer, id, INT8OID) \
	X(customer, phone, TEXTOID) \
	X(customer, tier, TEXTOID)

#define C360_WALLET_COLUMNS(X) \
	X(wallet, customer_id, INT8OID) \
	X(wallet, balance, INT8OID) \
	X(wallet, virtual_balance, INT8OID) \
	X(wallet, total_deposited, INT8OID) \
	X(wallet, total_withdrawn, INT8OID) \
	X(wallet, total_virtual_issued, INT8OID) \
	X(wallet, total_virtual_used, INT8OID) \
	X(wallet, total_virtual_expired, INT8OID) \
	X(wallet, frozen_at, TIMESTAMPTZOID) \
	X(wallet, last_at, TIMESTAMPTZOID)

#define C360_LOT_COLUMNS(X) \
	X(lot, id, INT8OID) \
	X(lot, customer_id, INT8OID) \
	X(lot, kind, TEXTOID) \
	X(lot, source_id, TEXTOID) \
	X(lot, original_amount, INT8OID) \
	X(lot, remaining_amount, INT8OID) \
	X(lot, status, TEXTOID) \
	X(lot, expires_at, TIMESTAMPTZOID) \
	X(lot, created_at, TIMESTAMPTZOID)

#define C360_LEDGER_COLUMNS(X) \
	X(ledger, id, INT8OID) \
	X(ledger, customer_id, INT8OID) \
	X(ledger, type, TEXTOID) \
	X(ledger, operation, TEXTOID) \
	X(ledger, amount, INT8OID) \
	X(ledger, real_change, INT8OID) \
	X(ledger, virtual_change, INT8OID) \
	X(ledger, balance_after, INT8OID) \
	X(ledger, virtual_balance_after, INT8OID) \
	X(ledger, source, TEXTOID) \
	X(ledger, reference_type, TEXTOID) \
	X(ledger, reference_id, TEXTOID) \
	X(ledger, refunded_transaction_id, INT8OID) \
	X(ledger, credit_id, INT8OID) \
	X(ledger, credit_expires_at, TIMESTAMPTZOID) \
	X(ledger, bank_link_id, INT8OID) \
	X(ledger, idempotency_key, TEXTOID) \
	X(ledger, arguments_digest, BYTEAOID) \
	X(ledger, actor, TEXTOID) \
	X(ledger, session_user_name, TEXTOID) \
	X(ledger, created_at, TIMESTAMPTZOID) \
	X(ledger, occurred_at, TIMESTAMPTZOID) \
	X(ledger, activity_id, INT8OID)

#define C360_USE_COLUMNS(X) \
	X(use, transaction_id, INT8OID) \
	X(use, position, INT4OID) \
	X(use, credit_id, INT8OID) \
	X(use, amount, INT8OID) \
	X(use, expires_at, TIMESTAMPTZOID)

#define C360_ACTIVITY_COLUMNS(X) \
	X(activity, id, INT8OID) \
	X(activity, xact, XID8OID) \
	X(activity, topic, TEXTOID) \
	X(activity, event, TEXTOID) \
	X(activity, customer_id, INT8OID) \
	X(activity, reference_type, TEXTOID) \
	X(activity, reference_id, TEXTOID) \
	X(activity, payload, JSONBOID) \
	X(activity, actor, TEXTOID) \
	X(activity, session_user_name, TEXTOID) \
	X(activity, created_at, TIMESTAMPTZOID)

#define C360_COLUMN_NUMBER(table, column, type) table##_##column,
enum { C360_CUSTOMER_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_WALLET_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_LOT_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_LEDGER_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_USE_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_ACTIVITY_COLUMNS(C360_COLUMN_NUMBER) };

typedef enum C360Table
{
	C360_CUSTOMERS,
	C360_WALLETS,
	C360_LOTS,
	C360_LEDGER,
	C360_USES,
	C360_ACTIVITIES,
	C360_NTABLES
} C360Table;

typedef enum C360Index
{
	C360_CUSTOMER_BY_ID,
	C360_CUSTOMER_BY_PHONE,
	C360_WALLET_BY_CUSTOMER,
	C360_LOT_BY_ID,
	C360_LOTS_IN_ORDER_OF_USE,	/* ACTIVE lots of a customer */
	C360_LOTS_BY_EXPIRY,		/* all ACTIVE lots */
	C360_LEDGER_BY_ID,
	C360_LEDGER_BY_KEY,
	C360_LEDGER_BY_REFUNDED,
	C360_USES_BY_TRANSACTION,
	C360_NINDEXES
} C360Index;

typedef enum C360LockResult
{
	C360_LOCKED,
	C360_LOCK_GONE,				/* deleted meanwhile */
	C360_LOCK_BUSY				/* skip_locked and somebody holds it */
} C360LockResult;

typedef struct C360Store C360Store;
typedef struct C360Row C360Row;
typedef struct C360Scan C360Scan;

/* installation */
extern void c360_storage_init(void);
extern Oid	c360_owner(void);

/* a store lives for one call of an SQL function */
extern C360Store *c360_store_open(void);
extern void c360_store_refresh(C360Store *store);
extern void c360_store_close(C360Store *store);

/* finding and locking */
extern C360Row *c360_find(C360Store *store, C360Index index, Datum key);
extern C360Scan *c360_scan_begin(C360Store *store, C360Index index, Datum key);
extern C360Scan *c360_scan_begin_all(C360Store *store, C360Index index);
extern C360Row *c360_scan_next(C360Scan *scan);
extern void c360_scan_end(C360Scan *scan);
extern C360LockResult c360_lock(C360Store *store, C360Row *row, bool skip_locked);

/* writing: a new row, or a changed copy of a stored one */
extern C360Row *c360_row_new(C360Store *store, C360Table table);
extern C360Row *c360_row_changed(C360Store *store, C360Row *stored);
extern void c360_insert(C360Store *store, C360Row *row);
extern void c360_update(C360Store *store, C360Row *stored, C360Row *row);
extern int64 c360_next_id(C360Store *store, C360Table table);

/* columns; text that is read is a copy */
extern bool c360_is_null(C360Row *row, int column);
extern int64 c360_get_int64(C360Row *row, int column);
extern TimestampTz c360_get_time(C360Row *row, int column);
extern char *c360_get_text(C360Row *row, int column);
extern bytea *c360_get_bytea(C360Row *row, int column);
extern void c360_put(C360Row *row, int column, Datum value);
extern void c360_put_null(C360Row *row, int column);
extern void c360_put_int64(C360Row *row, int column, int64 value);
extern void c360_put_time(C360Row *row, int column, TimestampTz value);
extern void c360_put_text(C360Row *row, int column, const char *value);

#endif							/* C360_STORAGE_H */
