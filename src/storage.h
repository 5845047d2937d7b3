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

#include "fmgr.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/*
 * The columns that C code reads or writes, with their types. Columns are
 * found by name, so that their positions don't matter, and columns that are
 * not listed here get their defaults.
 */
#define C360_CUSTOMER_COLUMNS(X) \
	X(CUSTOMER, id, INT8OID) \
	X(CUSTOMER, phone, TEXTOID) \
	X(CUSTOMER, tier, TEXTOID) \
	X(CUSTOMER, tier_locked, BOOLOID) \
	X(CUSTOMER, created_at, TIMESTAMPTZOID) \
	X(CUSTOMER, updated_at, TIMESTAMPTZOID)

#define C360_WALLET_COLUMNS(X) \
	X(WALLET, customer_id, INT8OID) \
	X(WALLET, balance, INT8OID) \
	X(WALLET, virtual_balance, INT8OID) \
	X(WALLET, total_deposited, INT8OID) \
	X(WALLET, total_withdrawn, INT8OID) \
	X(WALLET, total_virtual_issued, INT8OID) \
	X(WALLET, total_virtual_used, INT8OID) \
	X(WALLET, total_virtual_expired, INT8OID) \
	X(WALLET, frozen_at, TIMESTAMPTZOID) \
	X(WALLET, last_at, TIMESTAMPTZOID)

#define C360_LOT_COLUMNS(X) \
	X(LOT, id, INT8OID) \
	X(LOT, customer_id, INT8OID) \
	X(LOT, kind, TEXTOID) \
	X(LOT, source_id, TEXTOID) \
	X(LOT, original_amount, INT8OID) \
	X(LOT, remaining_amount, INT8OID) \
	X(LOT, status, TEXTOID) \
	X(LOT, expires_at, TIMESTAMPTZOID) \
	X(LOT, created_at, TIMESTAMPTZOID)

#define C360_LEDGER_COLUMNS(X) \
	X(LEDGER, id, INT8OID) \
	X(LEDGER, customer_id, INT8OID) \
	X(LEDGER, type, TEXTOID) \
	X(LEDGER, operation, TEXTOID) \
	X(LEDGER, amount, INT8OID) \
	X(LEDGER, real_change, INT8OID) \
	X(LEDGER, virtual_change, INT8OID) \
	X(LEDGER, balance_after, INT8OID) \
	X(LEDGER, virtual_balance_after, INT8OID) \
	X(LEDGER, source, TEXTOID) \
	X(LEDGER, reference_type, TEXTOID) \
	X(LEDGER, reference_id, TEXTOID) \
	X(LEDGER, refunded_transaction_id, INT8OID) \
	X(LEDGER, credit_id, INT8OID) \
	X(LEDGER, credit_expires_at, TIMESTAMPTZOID) \
	X(LEDGER, bank_link_id, INT8OID) \
	X(LEDGER, idempotency_key, TEXTOID) \
	X(LEDGER, arguments_digest, BYTEAOID) \
	X(LEDGER, actor, TEXTOID) \
	X(LEDGER, session_user_name, TEXTOID) \
	X(LEDGER, created_at, TIMESTAMPTZOID) \
	X(LEDGER, occurred_at, TIMESTAMPTZOID) \
	X(LEDGER, activity_id, INT8OID)

#define C360_USE_COLUMNS(X) \
	X(USE, transaction_id, INT8OID) \
	X(USE, position, INT4OID) \
	X(USE, credit_id, INT8OID) \
	X(USE, amount, INT8OID) \
	X(USE, expires_at, TIMESTAMPTZOID)

#define C360_ACTIVITY_COLUMNS(X) \
	X(ACTIVITY, id, INT8OID) \
	X(ACTIVITY, xact, XID8OID) \
	X(ACTIVITY, topic, TEXTOID) \
	X(ACTIVITY, event, TEXTOID) \
	X(ACTIVITY, customer_id, INT8OID) \
	X(ACTIVITY, reference_type, TEXTOID) \
	X(ACTIVITY, reference_id, TEXTOID) \
	X(ACTIVITY, payload, JSONBOID) \
	X(ACTIVITY, actor, TEXTOID) \
	X(ACTIVITY, session_user_name, TEXTOID) \
	X(ACTIVITY, created_at, TIMESTAMPTZOID)

#define C360_TRANSFER_COLUMNS(X) \
	X(TRANSFER, id, INT8OID) \
	X(TRANSFER, sepay_id, INT8OID) \
	X(TRANSFER, gateway, TEXTOID) \
	X(TRANSFER, transaction_date, TIMESTAMPTZOID) \
	X(TRANSFER, account_number, TEXTOID) \
	X(TRANSFER, sub_account, TEXTOID) \
	X(TRANSFER, code, TEXTOID) \
	X(TRANSFER, content, TEXTOID) \
	X(TRANSFER, transfer_type, TEXTOID) \
	X(TRANSFER, transfer_amount, INT8OID) \
	X(TRANSFER, accumulated, INT8OID) \
	X(TRANSFER, reference_code, TEXTOID) \
	X(TRANSFER, description, TEXTOID) \
	X(TRANSFER, raw_data, JSONBOID) \
	X(TRANSFER, received_at, TIMESTAMPTZOID) \
	X(TRANSFER, result, TEXTOID) \
	X(TRANSFER, decision, JSONBOID) \
	X(TRANSFER, error, TEXTOID) \
	X(TRANSFER, attempts, INT4OID) \
	X(TRANSFER, next_attempt_at, TIMESTAMPTZOID) \
	X(TRANSFER, decided_at, TIMESTAMPTZOID) \
	X(TRANSFER, given_up_at, TIMESTAMPTZOID)

#define C360_LINK_COLUMNS(X) \
	X(LINK, id, INT8OID) \
	X(LINK, bank_transaction_id, INT8OID) \
	X(LINK, customer_id, INT8OID) \
	X(LINK, method, TEXTOID) \
	X(LINK, linked_at, TIMESTAMPTZOID) \
	X(LINK, linked_by, TEXTOID) \
	X(LINK, unlinked_at, TIMESTAMPTZOID) \
	X(LINK, unlinked_by, TEXTOID) \
	X(LINK, qr_code, TEXTOID) \
	X(LINK, reason, TEXTOID)

#define C360_TICKET_COLUMNS(X) \
	X(TICKET, id, INT8OID) \
	X(TICKET, ticket_code, TEXTOID) \
	X(TICKET, customer_id, INT8OID) \
	X(TICKET, type, TEXTOID) \
	X(TICKET, status, TEXTOID) \
	X(TICKET, priority, TEXTOID) \
	X(TICKET, order_code, TEXTOID) \
	X(TICKET, tracking_code, TEXTOID) \
	X(TICKET, carrier, TEXTOID) \
	X(TICKET, subject, TEXTOID) \
	X(TICKET, description, TEXTOID) \
	X(TICKET, products, JSONBOID) \
	X(TICKET, original_cod, INT8OID) \
	X(TICKET, new_cod, INT8OID) \
	X(TICKET, refund_amount, INT8OID) \
	X(TICKET, reason, TEXTOID) \
	X(TICKET, assignee, TEXTOID) \
	X(TICKET, deadline, TIMESTAMPTZOID) \
	X(TICKET, compensating, BOOLOID) \
	X(TICKET, duplicate_allowed, BOOLOID) \
	X(TICKET, created_by, TEXTOID) \
	X(TICKET, created_at, TIMESTAMPTZOID) \
	X(TICKET, deleted_at, TIMESTAMPTZOID)

#define C360_TICKET_HISTORY_COLUMNS(X) \
	X(TICKET_HISTORY, id, INT8OID) \
	X(TICKET_HISTORY, ticket_id, INT8OID) \
	X(TICKET_HISTORY, action, TEXTOID) \
	X(TICKET_HISTORY, to_status, TEXTOID) \
	X(TICKET_HISTORY, details, JSONBOID) \
	X(TICKET_HISTORY, done_by, TEXTOID) \
	X(TICKET_HISTORY, done_at, TIMESTAMPTZOID)

#define C360_ORDER_COLUMNS(X) \
	X(ORDER, customer_id, INT8OID) \
	X(ORDER, ordered_at, TIMESTAMPTZOID) \
	X(ORDER, amount, INT8OID) \
	X(ORDER, status, TEXTOID)

#define C360_SCORE_COLUMNS(X) \
	X(SCORE, customer_id, INT8OID) \
	X(SCORE, monetary, INT8OID) \
	X(SCORE, frequency, INT4OID) \
	X(SCORE, last_on, DATEOID) \
	X(SCORE, next_on, DATEOID) \
	X(SCORE, r, INT2OID) \
	X(SCORE, f, INT2OID) \
	X(SCORE, m, INT2OID) \
	X(SCORE, segment, TEXTOID)

#define C360_SCORE_HISTORY_COLUMNS(X) \
	X(SCORE_HISTORY, id, INT8OID) \
	X(SCORE_HISTORY, customer_id, INT8OID) \
	X(SCORE_HISTORY, day, DATEOID) \
	X(SCORE_HISTORY, at, TIMESTAMPTZOID) \
	X(SCORE_HISTORY, from_segment, TEXTOID) \
	X(SCORE_HISTORY, to_segment, TEXTOID) \
	X(SCORE_HISTORY, from_tier, TEXTOID) \
	X(SCORE_HISTORY, to_tier, TEXTOID)

#define C360_COLUMN_NUMBER(table, column, type) table##_##column,
enum { C360_CUSTOMER_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_WALLET_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_LOT_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_LEDGER_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_USE_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_ACTIVITY_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_TRANSFER_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_LINK_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_TICKET_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_TICKET_HISTORY_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_ORDER_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_SCORE_COLUMNS(C360_COLUMN_NUMBER) };
enum { C360_SCORE_HISTORY_COLUMNS(C360_COLUMN_NUMBER) };

/* Columns are WALLET_balance, LOT_status and so on. */

typedef enum C360Table
{
	C360_CUSTOMERS,
	C360_WALLETS,
	C360_LOTS,
	C360_LEDGER,
	C360_USES,
	C360_ACTIVITIES,
	C360_TRANSFERS,
	C360_LINKS,
	C360_TICKETS,
	C360_TICKET_HISTORY,
	C360_ORDERS,
	C360_SCORES,				/* of customers, as of their last refresh */
	C360_SCORE_HISTORY,
	C360_NTABLES
} C360Table;

typedef enum C360Index
{
	C360_CUSTOMER_BY_ID,
	C360_CUSTOMER_BY_PHONE,
	C360_CUSTOMERS_BY_SUFFIX,	/* the phone, read from its end */
	C360_WALLET_BY_CUSTOMER,
	C360_LOT_BY_ID,
	C360_LOTS_IN_ORDER_OF_USE,	/* ACTIVE lots of a customer */
	C360_LOTS_BY_EXPIRY,		/* all ACTIVE lots */
	C360_LEDGER_BY_ID,
	C360_LEDGER_BY_KEY,
	C360_LEDGER_BY_REFUNDED,
	C360_LEDGER_BY_CUSTOMER,	/* and created_at, id: the order of a wallet's ledger */
	C360_LEDGER_BY_TIME,
	C360_LEDGER_BY_LINK,		/* DEPOSIT rows of bank transfers */
	C360_USES_BY_TRANSACTION,
	C360_ACTIVITY_BY_ID,
	C360_ACTIVITY_BY_XACT,		/* and id */
	C360_TRANSFER_BY_ID,
	C360_TRANSFER_BY_SEPAY_ID,
	C360_LINK_OPEN,				/* by transfer */
	C360_TICKET_BY_CODE,
	C360_TICKETS_BY_ORDER,
	C360_TICKET_OF_ORDER,		/* of a compensating type, open and no allowed duplicate */
	C360_ORDERS_FOR_SCORING,	/* customer_id, ordered_at, and with them amount, status */
	C360_SCORE_BY_CUSTOMER,
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
extern bool c360_tables_ready(void);

/* a store lives for one call of an SQL function */
extern C360Store *c360_store_open(void);
extern C360Store *c360_store_open_to_read(void);
extern C360Store *c360_store_open_as_of_caller(void);
extern bool c360_store_refresh(C360Store *store);
extern bool c360_store_expect_many(C360Store *store, bool many);
extern void c360_store_write(C360Store *store);
extern void c360_store_close(C360Store *store);

/* finding and locking */
extern C360Row *c360_find(C360Store *store, C360Index index, Datum key);
extern C360Scan *c360_scan_begin(C360Store *store, C360Index index, Datum key);
extern C360Scan *c360_scan_begin_all(C360Store *store, C360Index index);
extern C360Scan *c360_scan_begin_after(C360Store *store, C360Index index, Datum key, int64 after);
extern C360Scan *c360_scan_begin_from(C360Store *store, C360Index index, Datum key);
extern C360Scan *c360_scan_begin_since(C360Store *store, C360Index index, int64 key,
									   TimestampTz since);
extern C360Scan *c360_scan_begin_suffix(C360Store *store, const char *suffix);
extern void c360_scan_again(C360Scan *scan, Datum key);
extern void c360_scan_again_after(C360Scan *scan, int64 after);
extern void c360_scan_again_since(C360Scan *scan, int64 key, TimestampTz since);
extern C360Scan *c360_scan_begin_range(C360Store *store, C360Index index);
extern C360Scan *c360_entries_begin_all(C360Store *store, C360Index index);
extern C360Scan *c360_entries_begin_range(C360Store *store, C360Index index);
extern void c360_scan_again_between(C360Scan *scan, int64 after, int64 upto);
extern C360Row *c360_scan_next(C360Scan *scan);
extern bool c360_entries_next(C360Scan *scan, Datum *values);
extern bool c360_entries_are_cheap(C360Store *store, C360Index index);
extern bool c360_is_there(C360Store *store, C360Index index, Datum key);
extern void c360_scan_end(C360Scan *scan);
extern bool c360_row_stands(C360Row *row);
extern void c360_row_done(C360Row *row);
extern ItemPointerData c360_row_place(const C360Row *row);
extern C360Row *c360_row_to_fetch(C360Store *store, C360Table table);
extern void c360_row_fetch(C360Row *row, ItemPointerData place);
extern C360LockResult c360_lock(C360Store *store, C360Row *row, bool skip_locked);
extern C360LockResult c360_lock_key(C360Store *store, C360Row *row);
extern bool c360_lock_as_read(C360Store *store, C360Row *row);

/* writing: a new row, or a changed copy of a stored one */
extern C360Row *c360_row_new(C360Store *store, C360Table table);
extern C360Row *c360_row_changed(C360Store *store, C360Row *stored);
extern void c360_insert(C360Store *store, C360Row *row);
extern bool c360_insert_unless_taken(C360Store *store, C360Row *row, C360Index key, C360Index other_key);
extern void c360_update(C360Store *store, C360Row *stored, C360Row *row);
extern int64 c360_next_id(C360Store *store, C360Table table);
extern int64 c360_last_id(C360Table table);

/* columns; text that is read is a copy */
extern bool c360_is_null(C360Row *row, int column);
extern Datum c360_get(C360Row *row, int column);
extern int64 c360_get_int64(C360Row *row, int column);
extern TimestampTz c360_get_time(C360Row *row, int column);
extern char *c360_get_text(C360Row *row, int column);
extern bool c360_get_bool(C360Row *row, int column);
extern bool c360_text_is(C360Row *row, int column, const char *value);
extern bytea *c360_get_bytea(C360Row *row, int column);
extern Jsonb *c360_get_jsonb(C360Row *row, int column);
extern void c360_put(C360Row *row, int column, Datum value);
extern void c360_put_null(C360Row *row, int column);
extern void c360_put_int64(C360Row *row, int column, int64 value);
extern void c360_put_time(C360Row *row, int column, TimestampTz value);
extern void c360_put_bool(C360Row *row, int column, bool value);
extern void c360_put_jsonb(C360Row *row, int column, const Jsonb *value);
extern void c360_put_text(C360Row *row, int column, const char *value);

/* Without a copy of it. */
static inline bool
c360_same_text(Datum text, const char *value)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(text);
	size_t		length = strlen(value);

	return VARSIZE_ANY_EXHDR(packed) == length && memcmp(VARDATA_ANY(packed), value, length) == 0;
}

#endif							/* C360_STORAGE_H */
