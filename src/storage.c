/*
 * storage.c
 *	  Finding, locking and writing rows of c360's tables.
 *
 * The path of money writes at executor level, as logical replication's apply
 * worker does: relations and indexes are opened, rows are found by index
 * scan, locked, and written by ExecSimpleRelationInsert and -Update, so that
 * constraints, generated columns, indexes, defaults and row triggers that a
 * DBA adds take effect, without a planner or an executor run per row.
 * Statement triggers and rules do not fire.
 *
 * Tables are ordinary tables of the shop, found by name in schema c360. What
 * was found is kept for the session ("catalog" below) and looked up anew
 * after an invalidation. A table is locked before the catalog is trusted, so
 * that no ALTER TABLE can come in between.
 *
 * Foreign keys of c360's own are not checked again on rows written here: the
 * row they point at is locked by us at that moment (the wallet, the bank
 * transfer or the ticket's customer, or what is under their lock), and keys
 * never change, whoever points at them. Others, by a DBA or of a ticket's
 * type, are.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type_d.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteHandler.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "call.h"
#include "compat.h"
#include "storage.h"
#include "version.h"

#define MAX_COLUMNS 24

/* Rows of a table that wait to be written together. */
#define MOST_WAITING 100

/* Pages of the visibility map that a scan keeps; each is for some 250 MB of rows. */
#define MAP_PAGES		16
#define ROW_PAGES_OF_MAP_PAGE \
	((BLCKSZ - MAXALIGN(SizeOfPageHeaderData)) * BITS_PER_BYTE / BITS_PER_HEAPBLOCK)

typedef struct KnownColumn
{
	const char *name;
	Oid			type;
} KnownColumn;

typedef struct KnownTable
{
	const char *name;
	const KnownColumn *columns;
	int			ncolumns;
	LOCKMODE	lockmode;		/* taken when first needed; writing takes RowExclusiveLock */
	bool		has_identity;	/* column 0 is its identity */
	const int  *updated;		/* columns that c360 changes, -1 at the end */
} KnownTable;

typedef struct KnownIndex
{
	const char *name;
	C360Table	table;
	RegProcedure equal;			/* of the first key column */
	const int  *entries;		/* the columns that its entries are read for, -1 at the end; or NULL */
} KnownIndex;

#define COLUMN_DEF(table, column, type) {#column, type},
static const KnownColumn customer_columns[] = {C360_CUSTOMER_COLUMNS(COLUMN_DEF)};
static const KnownColumn wallet_columns[] = {C360_WALLET_COLUMNS(COLUMN_DEF)};
static const KnownColumn lot_columns[] = {C360_LOT_COLUMNS(COLUMN_DEF)};
static const KnownColumn ledger_columns[] = {C360_LEDGER_COLUMNS(COLUMN_DEF)};
static const KnownColumn use_columns[] = {C360_USE_COLUMNS(COLUMN_DEF)};
static const KnownColumn activity_columns[] = {C360_ACTIVITY_COLUMNS(COLUMN_DEF)};
static const KnownColumn transfer_columns[] = {C360_TRANSFER_COLUMNS(COLUMN_DEF)};
static const KnownColumn link_columns[] = {C360_LINK_COLUMNS(COLUMN_DEF)};
static const KnownColumn ticket_columns[] = {C360_TICKET_COLUMNS(COLUMN_DEF)};
static const KnownColumn ticket_history_columns[] = {C360_TICKET_HISTORY_COLUMNS(COLUMN_DEF)};
static const KnownColumn order_columns[] = {C360_ORDER_COLUMNS(COLUMN_DEF)};
static const KnownColumn score_columns[] = {C360_SCORE_COLUMNS(COLUMN_DEF)};
static const KnownColumn score_history_columns[] = {C360_SCORE_HISTORY_COLUMNS(COLUMN_DEF)};

static const int no_updates[] = {-1};
static const int customer_updates[] = {CUSTOMER_tier, CUSTOMER_updated_at, -1};
static const int wallet_updates[] = {
	WALLET_balance, WALLET_virtual_balance, WALLET_total_deposited,
	WALLET_total_withdrawn, WALLET_total_virtual_issued, WALLET_total_virtual_used,
	WALLET_total_virtual_expired, WALLET_frozen_at, WALLET_last_at, -1
};
static const int lot_updates[] = {LOT_remaining_amount, LOT_status, LOT_expires_at, -1};

static const int transfer_updates[] = {
	TRANSFER_result, TRANSFER_decision, TRANSFER_error, TRANSFER_attempts,
	TRANSFER_next_attempt_at, TRANSFER_decided_at, TRANSFER_given_up_at, -1
};
static const int link_updates[] = {LINK_unlinked_at, LINK_unlinked_by, LINK_reason, -1};
static const int score_updates[] = {
	SCORE_monetary, SCORE_frequency, SCORE_last_on, SCORE_next_on, SCORE_r, SCORE_f, SCORE_m,
	SCORE_segment, -1
};

static const KnownTable table_defs[C360_NTABLES] = {
	[C360_CUSTOMERS] = {"customers", customer_columns, lengthof(customer_columns),
	AccessShareLock, false, customer_updates},
	[C360_WALLETS] = {"customer_wallets", wallet_columns, lengthof(wallet_columns),
	RowExclusiveLock, false, wallet_updates},
	[C360_LOTS] = {"virtual_credits", lot_columns, lengthof(lot_columns),
	RowExclusiveLock, true, lot_updates},
	[C360_LEDGER] = {"wallet_transactions", ledger_columns, lengthof(ledger_columns),
	RowExclusiveLock, true, no_updates},
	[C360_USES] = {"virtual_credit_uses", use_columns, lengthof(use_columns),
	RowExclusiveLock, false, no_updates},
	[C360_ACTIVITIES] = {"customer_activities", activity_columns, lengthof(activity_columns),
	RowExclusiveLock, true, no_updates},
	[C360_TRANSFERS] = {"balance_history", transfer_columns, lengthof(transfer_columns),
	RowExclusiveLock, true, transfer_updates},
	[C360_LINKS] = {"bank_links", link_columns, lengthof(link_columns),
	RowExclusiveLock, true, link_updates},
	[C360_TICKETS] = {"customer_tickets", ticket_columns, lengthof(ticket_columns),
	RowExclusiveLock, true, no_updates},
	[C360_TICKET_HISTORY] = {"ticket_history", ticket_history_columns, lengthof(ticket_history_columns),
	RowExclusiveLock, true, no_updates},
	[C360_ORDERS] = {"customer_orders", order_columns, lengthof(order_columns),
	AccessShareLock, false, no_updates},
	[C360_SCORES] = {"customer_rfm", score_columns, lengthof(score_columns),
	AccessShareLock, false, score_updates},
	[C360_SCORE_HISTORY] = {"rfm_history", score_history_columns, lengthof(score_history_columns),
	RowExclusiveLock, true, no_updates},
};

static const int scoring_entries[] = {ORDER_customer_id, ORDER_ordered_at, ORDER_amount, ORDER_status, -1};

static const KnownIndex index_defs[C360_NINDEXES] = {
	[C360_CUSTOMER_BY_ID] = {"customers_pkey", C360_CUSTOMERS, F_INT8EQ},
	[C360_CUSTOMER_BY_PHONE] = {"customers_phone_prefix_idx", C360_CUSTOMERS, F_TEXTEQ},
	[C360_CUSTOMERS_BY_SUFFIX] = {"customers_phone_suffix_idx", C360_CUSTOMERS, InvalidOid},
	[C360_WALLET_BY_CUSTOMER] = {"customer_wallets_pkey", C360_WALLETS, F_INT8EQ},
	[C360_LOT_BY_ID] = {"virtual_credits_pkey", C360_LOTS, F_INT8EQ},
	[C360_LOTS_IN_ORDER_OF_USE] = {"virtual_credits_fifo_idx", C360_LOTS, F_INT8EQ},
	[C360_LOTS_BY_EXPIRY] = {"virtual_credits_expiry_idx", C360_LOTS, InvalidOid},
	[C360_LEDGER_BY_ID] = {"wallet_transactions_pkey", C360_LEDGER, F_INT8EQ},
	[C360_LEDGER_BY_KEY] = {"wallet_transactions_idempotency_key_key", C360_LEDGER, F_TEXTEQ},
	[C360_LEDGER_BY_REFUNDED] = {"wallet_transactions_refunded_transaction_id_idx",
	C360_LEDGER, F_INT8EQ},
	[C360_LEDGER_BY_CUSTOMER] = {"wallet_transactions_customer_id_created_at_id_idx",
	C360_LEDGER, F_INT8EQ},
	[C360_LEDGER_BY_TIME] = {"wallet_transactions_created_at_idx", C360_LEDGER, InvalidOid},
	[C360_LEDGER_BY_LINK] = {"wallet_transactions_bank_link_deposit_key", C360_LEDGER, F_INT8EQ},
	[C360_USES_BY_TRANSACTION] = {"virtual_credit_uses_pkey", C360_USES, F_INT8EQ},
	[C360_ACTIVITY_BY_ID] = {"customer_activities_pkey", C360_ACTIVITIES, F_INT8EQ},
	[C360_ACTIVITY_BY_XACT] = {"customer_activities_xact_id_idx", C360_ACTIVITIES, F_XID8EQ},
	[C360_TRANSFER_BY_ID] = {"balance_history_pkey", C360_TRANSFERS, F_INT8EQ},
	[C360_TRANSFER_BY_SEPAY_ID] = {"balance_history_sepay_id_key", C360_TRANSFERS, F_INT8EQ},
	[C360_LINK_OPEN] = {"bank_links_open_key", C360_LINKS, F_INT8EQ},
	[C360_TICKET_BY_CODE] = {"customer_tickets_ticket_code_key", C360_TICKETS, F_TEXTEQ},
	[C360_TICKETS_BY_ORDER] = {"customer_tickets_order_code_idx", C360_TICKETS, F_TEXTEQ},
	[C360_TICKET_OF_ORDER] = {"customer_tickets_order_key", C360_TICKETS, F_TEXTEQ},
	[C360_ORDERS_FOR_SCORING] = {"customer_orders_scoring_idx", C360_ORDERS, F_INT8EQ,
	scoring_entries},
	[C360_SCORE_BY_CUSTOMER] = {"customer_rfm_pkey", C360_SCORES, F_INT8EQ},
};

/* The foreign keys of rows written here that need no check; see the head of this file. */
static const char *const own_foreign_keys[] = {
	"balance_customer_info_customer_id_fkey",
	"balance_history_differences_bank_transaction_id_fkey",
	"bank_links_bank_transaction_id_fkey",
	"bank_links_customer_id_fkey",
	"customer_activities_customer_id_fkey",
	"customer_notes_customer_id_fkey",
	"customer_order_totals_customer_id_fkey",
	"customer_orders_customer_id_fkey",
	"customer_phones_customer_id_fkey",
	"customer_tickets_customer_id_fkey",
	"customer_wallets_customer_id_fkey",
	"fraud_flags_customer_id_fkey",
	"fraud_rechecks_customer_id_fkey",
	"fraud_snoozes_customer_id_fkey",
	"pending_customer_matches_bank_transaction_id_fkey",
	"pending_customer_matches_resolved_customer_id_fkey",
	"virtual_credits_customer_id_fkey",
	"virtual_credit_uses_credit_id_fkey",
	"virtual_credit_uses_transaction_id_fkey",
	"wallet_transactions_bank_link_id_fkey",
	"wallet_transactions_credit_id_fkey",
	"wallet_transactions_customer_id_fkey",
	"wallet_transactions_refunded_transaction_id_fkey",
};

/* What the catalogs say of a table; kept for the session. */
typedef struct TableInfo
{
	Oid			relid;
	Oid			sequence;
	AttrNumber	attnum[MAX_COLUMNS];
	Bitmapset  *updated;		/* as RangeTblEntry.updatedCols */
	List	   *defaulted;		/* attnums of other columns with a default or a domain */
	List	   *own_triggers;	/* trigger oids of foreign keys that need no check */
} TableInfo;

typedef struct Catalog
{
	bool		valid;
	Oid			owner;
	MemoryContext context;
	TableInfo	tables[C360_NTABLES];
	Oid			indexes[C360_NINDEXES];
} Catalog;

static Catalog catalog;
static Catalog found;			/* as far as it is read, for the place of that */

/* Counts invalidations, so that one that comes while we look is not lost. */
static uint64 invalidations = 0;

/* Counts how often other tables had the names: a store is of one set of them. */
static uint64 exchanges = 0;

/*
 * CHECK constraints and index predicates of a table, compiled, what the
 * executor asks of an index to put an entry into it, and a look at triggers.
 * To compile them for each call cost 40 % of a withdrawal, so simple ones are
 * kept for the session: those of columns, constants and built-in functions,
 * which hold no state of the query that runs them (see is_not_simple). c360's
 * own are simple; if a DBA adds one that is not, the server compiles as usual.
 */
typedef struct Compiled
{
	bool		valid;
	MemoryContext context;
	ExprState **checks;			/* per CHECK constraint; NULL = not kept */
	int			nindexes;
	Oid		   *indexes;
	IndexInfo **infos;			/* per index; NULL = not kept */
	ExprState **predicates;		/* per index; NULL = none, or not kept */
	bool		triggered;		/* row triggers may fire */
	bool		foreign;		/* code that is not the server's own may run */
} Compiled;

static Compiled compiled[C360_NTABLES];

struct C360Row
{
	C360Store  *store;
	C360Table	table;
	TupleTableSlot *slot;
};

/*
 * Rows that are written by page when they are many: heap_multi_insert() makes
 * one WAL record of them instead of one each. All count as written by the
 * command of the first, so that none is missing after a refresh.
 */
typedef struct Waiting
{
	int			count;
	CommandId	command;
	SubTransactionId owner;
	TupleTableSlot *slots[MOST_WAITING];
} Waiting;

/* What may happen to a row while it is inserted, or updated. */
typedef struct Writing
{
	bool		fixed;			/* nothing computes columns */
	bool		plain;			/* and no row trigger fires */
} Writing;

typedef struct OpenTable
{
	Relation	rel;			/* NULL until the table is needed */
	ResultRelInfo *result;		/* made by the first write */
	Compiled	expressions;
	Writing		insert;
	Writing		update;
	C360Row    *written;		/* the one row under construction */
	Waiting    *waiting;		/* rows that are not written yet; NULL = never were any */
} OpenTable;

struct C360Store
{
	bool		to_read;		/* nothing will be written; works on a standby */
	bool		many;			/* rows will be: see c360_store_expect_many() */
	EState	   *estate;
	EPQState	recheck;
	uint64		completions;	/* transactions that had ended at our snapshot */
	uint64		exchanges;		/* when it was opened */
	OpenTable	tables[C360_NTABLES];
	C360Scan   *idle[C360_NINDEXES];	/* ended, for the next one, if many is true */
};

struct C360Scan
{
	C360Store  *store;
	C360Index	number;
	Relation	index;
	IndexScanDesc desc;
	bool		ended;			/* a btree scan would begin again */
	Buffer		map[MAP_PAGES]; /* of entries: pages of the visibility map, as they come */
	C360Row		row;
};

/*
 * The catalog
 */

static void
forget(void)
{
	invalidations++;
	catalog.valid = false;
	for (int i = 0; i < C360_NTABLES; i++)
		compiled[i].valid = false;
}

static bool
is_known(const Catalog *known, Oid relid)
{
	for (int i = 0; i < C360_NTABLES; i++)
		if (known->tables[i].relid == relid || known->tables[i].sequence == relid)
			return true;
	for (int i = 0; i < C360_NINDEXES; i++)
		if (known->indexes[i] == relid)
			return true;
	return false;
}

static void
forget_relation(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || is_known(&catalog, relid) || is_known(&found, relid))
		forget();
}

/* The schema's name may lead to other tables now. */
static void
forget_schema(Datum arg, int cacheid, uint32 hashvalue)
{
	forget();
}

void
c360_storage_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_schema, (Datum) 0);
}

static void
not_installed(const char *what)
{
	const char *hint = c360_sql_is_ours() ? "Run SELECT c360_install();" :
		"Run ALTER EXTENSION c360 UPDATE; then SELECT c360_install();";

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("c360 tables are not installed, or older than the code"),
			 errdetail("%s", what),
			 errhint("%s", hint)));
}

/* Of the right version, but somebody changed what c360 relies on. */
static void
not_usable(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("c360 tables are not as the code needs them"),
			 errdetail("%s", what),
			 errhint("Tables stay plain heap tables; columns keep name and type, indexes keep their names.")));
}

/* The version of the tables: the highest number in c360.table_versions. */
static int
installed_version(Oid schema)
{
	Oid			relid = get_relname_relid("table_versions", schema);
	AttrNumber	column = OidIsValid(relid) ? get_attnum(relid, "version") : InvalidAttrNumber;
	int			version = 0;
	Relation	rel;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;

	if (column == InvalidAttrNumber || get_atttype(relid, column) != INT4OID ||
		get_rel_relkind(relid) != RELKIND_RELATION)
		return 0;
	rel = table_open(relid, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, column, &isnull);

		if (!isnull)
			version = Max(version, DatumGetInt32(value));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return version;
}

static void
find_columns(Relation rel, const KnownTable *def, TableInfo *info)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *known = NULL;

	for (int i = 0; i < def->ncolumns; i++)
	{
		AttrNumber	attnum = get_attnum(info->relid, def->columns[i].name);

		if (attnum == InvalidAttrNumber ||
			TupleDescAttr(desc, attnum - 1)->atttypid != def->columns[i].type)
			not_usable(psprintf("Column %s of table c360.%s is missing or of another type.",
								def->columns[i].name, def->name));
		info->attnum[i] = attnum;
		known = bms_add_member(known, attnum);
	}
	for (const int *column = def->updated; *column >= 0; column++)
		info->updated = bms_add_member(info->updated, info->attnum[*column] -
									   FirstLowInvalidHeapAttributeNumber);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !att->attgenerated && !bms_is_member(att->attnum, known) &&
			(att->atthasdef || att->attidentity || get_typtype(att->atttypid) == TYPTYPE_DOMAIN))
			info->defaulted = lappend_int(info->defaulted, att->attnum);
	}
}

/* Whether c360 changes a column, by itself or because it is computed. */
static bool
is_changed(Relation rel, const TableInfo *info, AttrNumber attnum)
{
	return TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated != '\0' ||
		bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, info->updated);
}

/* Whether a foreign key that points here does so at columns that change. */
static bool
points_at_updated(Relation rel, const TableInfo *info, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	bool		updated = false;
	bool		isnull;
	Datum		columns;

	if (!HeapTupleIsValid(tuple))
		return true;
	columns = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_confkey, &isnull);
	for (int i = 0; !isnull && i < ARR_DIMS(DatumGetArrayTypeP(columns))[0]; i++)
		updated |= is_changed(rel, info, ((int16 *) ARR_DATA_PTR(DatumGetArrayTypeP(columns)))[i]);
	ReleaseSysCache(tuple);
	return updated;
}

static bool
is_own_foreign_key(Oid constraint)
{
	const char *name = get_constraint_name(constraint);

	for (size_t i = 0; name != NULL && i < lengthof(own_foreign_keys); i++)
		if (strcmp(name, own_foreign_keys[i]) == 0)
			return true;
	return false;
}

static void
find_own_triggers(Relation rel, TableInfo *info)
{
	/* a copy: the look-ups below may take in an invalidation that frees it */
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (!trigger->tgisinternal || !OidIsValid(trigger->tgconstraint))
			continue;
		/* a BEFORE trigger might change a key */
		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK ?
			!triggers->trig_update_before_row && !points_at_updated(rel, info, trigger->tgconstraint) :
			is_own_foreign_key(trigger->tgconstraint))
			info->own_triggers = lappend_oid(info->own_triggers, trigger->tgoid);
	}
}

static void
find_table(Oid schema, C360Table table)
{
	const KnownTable *def = &table_defs[table];
	TableInfo  *info = &found.tables[table];
	Relation	rel;

	info->relid = get_relname_relid(def->name, schema);
	if (!OidIsValid(info->relid))
		not_installed(psprintf("Table c360.%s is missing.", def->name));
	rel = table_open(info->relid, AccessShareLock);
	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relam != HEAP_TABLE_AM_OID ||
		rel->rd_rel->relispartition ||
		(rel->rd_rel->relhassubclass && find_inheritance_children(info->relid, NoLock) != NIL))
		not_usable(psprintf("c360.%s is no plain heap table.", def->name));
	find_columns(rel, def, info);
	find_own_triggers(rel, info);
	if (def->has_identity)
	{
		info->sequence = c360_identity_sequence(rel, info->attnum[0]);
		if (!OidIsValid(info->sequence))
			not_usable(psprintf("Column id of table c360.%s is no identity.", def->name));
	}
	if (table == C360_WALLETS)
		found.owner = rel->rd_rel->relowner;
	table_close(rel, AccessShareLock);
}

/* Whether a b-tree compares by functions of the server. */
static bool
has_own_order(Relation index)
{
	for (int i = 1; i <= IndexRelationGetNumberOfKeyAttributes(index); i++)
		if (index_getprocid(index, i, BTORDER_PROC) >= FirstNormalObjectId)
			return false;
	return true;
}

static void
check_index(const KnownIndex *def, Oid relid)
{
	Relation	index = index_open(relid, AccessShareLock);
	int			n = 0;

	if (index->rd_rel->relam != BTREE_AM_OID || !has_own_order(index))
		not_usable(psprintf("Index c360.%s is no b-tree in an order of the server's.", def->name));
	while (def->entries != NULL && n < index->rd_index->indnatts && def->entries[n] >= 0 &&
		   index->rd_index->indkey.values[n] == found.tables[def->table].attnum[def->entries[n]])
		n++;
	if (def->entries != NULL && (def->entries[n] >= 0 || n < index->rd_index->indnatts))
		not_usable(psprintf("Index c360.%s is on other columns.", def->name));
	index_close(index, AccessShareLock);
}

static void
find_index(Oid schema, C360Index index)
{
	const KnownIndex *def = &index_defs[index];
	Oid			relid = found.indexes[index] = get_relname_relid(def->name, schema);

	if (!OidIsValid(relid) || IndexGetRelation(relid, true) != found.tables[def->table].relid)
		not_usable(psprintf("Index c360.%s is missing.", def->name));
	if (!get_index_isvalid(relid))
		not_usable(psprintf("Index c360.%s is not valid: REINDEX it.", def->name));
	check_index(def, relid);
}

/* Memory that a call further out may still use goes with the transaction. */
static void
retire(MemoryContext context)
{
	if (context != NULL)
		MemoryContextSetParent(context, TopTransactionContext);
}

static bool
has_others(const Catalog *before, const Catalog *now)
{
	for (int i = 0; i < C360_NTABLES; i++)
		if (before->tables[i].relid != now->tables[i].relid)
			return true;
	return false;
}

/*
 * Takes the place of what is known only when it is whole: who catches our
 * error goes on with what was there.
 */
static void
load_catalog(void)
{
	Oid			schema = get_namespace_oid("c360", true);
	MemoryContext old;

	if (!OidIsValid(schema))
		not_installed("There is no schema c360.");
	if (installed_version(schema) < C360_TABLES_VERSION)
		not_installed(psprintf("The tables are of version %d, the code needs %d.",
							   installed_version(schema), C360_TABLES_VERSION));
	memset(&found, 0, sizeof(found));
	found.context = AllocSetContextCreate(CurrentMemoryContext, "c360 catalog",
										  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(found.context);
	for (int i = 0; i < C360_NTABLES; i++)
		find_table(schema, i);
	for (int i = 0; i < C360_NINDEXES; i++)
		find_index(schema, i);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(found.context, CacheMemoryContext);
	retire(catalog.context);
	exchanges += has_others(&catalog, &found);
	catalog = found;
}

/*
 * If invalidations keep coming the catalog stays marked as stale: it is read
 * again at the next need, and a table's part of it under the table's lock.
 */
static void
require_catalog(void)
{
	for (int tries = 0; !catalog.valid && tries < 3; tries++)
	{
		uint64		before = invalidations;

		load_catalog();
		catalog.valid = before == invalidations;
	}
}

/* Whether there are tables of this code's version. */
bool
c360_tables_ready(void)
{
	Oid			schema = get_namespace_oid("c360", true);

	return OidIsValid(schema) && installed_version(schema) >= C360_TABLES_VERSION;
}

/* Whom c360's functions act as. */
Oid
c360_owner(void)
{
	require_catalog();
	return catalog.owner;
}

/*
 * Compiled expressions
 */

/* So few that the server does not make a hash table of them. */
static bool
is_short_list(Node *node)
{
	return IsA(node, Const) && !((Const *) node)->constisnull &&
		ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(((Const *) node)->constvalue)),
					   ARR_DIMS(DatumGetArrayTypeP(((Const *) node)->constvalue))) <= 8;
}

/*
 * Whether a compiled expression may outlive its query: whole rows, row tests
 * and long IN lists keep pointers into the query's memory, and functions of
 * users may do anything, calling c360 again included.
 */
static bool
is_not_simple(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			return ((Var *) node)->varattno <= 0;
		case T_FuncExpr:
			if (((FuncExpr *) node)->funcid >= FirstNormalObjectId)
				return true;
			break;
		case T_OpExpr:
			if (((OpExpr *) node)->opfuncid >= FirstNormalObjectId)
				return true;
			break;
		case T_ScalarArrayOpExpr:
			if (((ScalarArrayOpExpr *) node)->opfuncid >= FirstNormalObjectId ||
				!is_short_list(lsecond(((ScalarArrayOpExpr *) node)->args)))
				return true;
			break;
		case T_NullTest:
			if (((NullTest *) node)->argisrow)
				return true;
			break;
		case T_Const:
		case T_BoolExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_RelabelType:
		case T_List:
			break;
		default:
			return true;
	}
	return expression_tree_walker(node, is_not_simple, context);
}

static bool
is_others(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

/*
 * Whether others' functions take part, which may be replaced at any time.
 * Planning puts the bodies and values of some in their place.
 */
static bool
calls_others(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CoerceToDomain) || check_functions_in_node(node, is_others, NULL))
		return true;
	return expression_tree_walker(node, calls_others, context);
}

/* Of all CHECK constraints, or of none. */
static void
compile_checks(Relation rel, Compiled *table)
{
	TupleConstr *constraints = rel->rd_att->constr;
	int			nchecks = constraints != NULL ? constraints->num_check : 0;
	ExprState **checks = palloc(sizeof(ExprState *) * (nchecks + 1));

	table->checks = NULL;
	for (int i = 0; i < nchecks; i++)
	{
		Expr	   *check = stringToNode(constraints->check[i].ccbin);

		if (calls_others((Node *) check, NULL))
			return;
		check = expression_planner(check);
		if (is_not_simple((Node *) check, NULL))
			return;
		checks[i] = ExecInitExpr(check, NULL);
	}
	if (nchecks > 0)
		table->checks = checks;
}

static void
compile_predicates(Relation rel, Compiled *table)
{
	List	   *indexes = RelationGetIndexList(rel);

	table->nindexes = list_length(indexes);
	table->indexes = palloc(sizeof(Oid) * (table->nindexes + 1));
	table->infos = palloc0(sizeof(IndexInfo *) * (table->nindexes + 1));
	table->predicates = palloc0(sizeof(ExprState *) * (table->nindexes + 1));
	for (int i = 0; i < table->nindexes; i++)
	{
		Relation	index = index_open(list_nth_oid(indexes, i), AccessShareLock);
		Expr	   *predicate = expression_planner((Expr *) RelationGetIndexPredicate(index));

		table->indexes[i] = list_nth_oid(indexes, i);
		if (predicate != NULL && !is_not_simple((Node *) predicate, NULL))
			table->predicates[i] = ExecInitQual((List *) predicate, NULL);
		/* other kinds keep state of the insert in there */
		if (index->rd_rel->relam == BTREE_AM_OID && !index->rd_index->indisexclusion &&
			has_own_order(index) &&
			!is_not_simple((Node *) RelationGetIndexExpressions(index), NULL) &&
			(predicate == NULL || table->predicates[i] != NULL))
		{
			table->infos[i] = BuildIndexInfo(index);
			c360_prepare_to_look(index, table->infos[i]);
			table->infos[i]->ii_PredicateState = table->predicates[i];
			table->infos[i]->ii_ExpressionsState =
				ExecInitExprList(table->infos[i]->ii_Expressions, NULL);
		}
		index_close(index, AccessShareLock);
	}
}

/* Whether a row trigger fires for what c360 does to this table. */
static bool
is_triggered(C360Table table, Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;
	int16		what = TRIGGER_TYPE_INSERT;

	if (table_defs[table].updated[0] >= 0)
		what |= TRIGGER_TYPE_UPDATE;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (TRIGGER_FOR_ROW(triggers->triggers[i].tgtype) &&
			(triggers->triggers[i].tgtype & what) != 0 &&
			!list_member_oid(catalog.tables[table].own_triggers, triggers->triggers[i].tgoid))
			return true;
	return false;
}

/* What is not kept may be anybody's, and triggers are. */
static bool
is_foreign(Relation rel, const Compiled *table)
{
	TupleConstr *constraints = rel->rd_att->constr;

	if (table->triggered || c360_has_generated(rel) ||
		(constraints != NULL && constraints->num_check > 0 && table->checks == NULL))
		return true;
	for (int i = 0; i < table->nindexes; i++)
		if (table->infos[i] == NULL)
			return true;
	return false;
}

/*
 * The table is locked, so its constraints stay as they are, and whoever makes
 * or drops an index beside us waits for us. If an invalidation comes meanwhile
 * the next call compiles anew. Planning may run functions that call c360, so
 * it takes its place only when it is whole.
 */
static Compiled *
require_compiled(C360Table table, Relation rel)
{
	Compiled   *kept = &compiled[table];
	Compiled	fresh = {0};
	uint64		before = invalidations;
	MemoryContext old;

	if (kept->valid)
		return kept;
	c360_own_settings();		/* planning may run functions */
	fresh.context = AllocSetContextCreate(CurrentMemoryContext, "c360 expressions",
										  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(fresh.context);
	compile_checks(rel, &fresh);
	compile_predicates(rel, &fresh);
	fresh.triggered = is_triggered(table, rel);
	fresh.foreign = is_foreign(rel, &fresh);
	MemoryContextSwitchTo(old);
	fresh.valid = before == invalidations;
	MemoryContextSetParent(fresh.context, CacheMemoryContext);
	retire(kept->context);
	*kept = fresh;
	return kept;
}

/*
 * The store
 */

static void
see(C360Store *store, Snapshot now)
{
	store->completions = now->snapXactCompletionCount;
	PushActiveSnapshot(now);
	store->estate->es_snapshot = GetActiveSnapshot();
	store->estate->es_output_cid = GetCurrentCommandId(!store->to_read);
}

static C360Store *
open_store(bool to_read, bool as_of_caller)
{
	EState	   *estate;
	MemoryContext old;
	C360Store  *store;

	require_catalog();
	estate = CreateExecutorState();
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	store = palloc0(sizeof(*store));
	store->to_read = to_read;
	store->exchanges = exchanges;
	store->estate = estate;
	c360_init_range_table(estate, C360_NTABLES);
	c360_init_recheck(&store->recheck, estate);
	AfterTriggerBeginQuery();
	see(store, as_of_caller ? GetActiveSnapshot() : GetTransactionSnapshot());
	MemoryContextSwitchTo(old);
	return store;
}

C360Store *
c360_store_open(void)
{
	return open_store(false, false);
}

C360Store *
c360_store_open_to_read(void)
{
	return open_store(true, false);
}

/* To read what the query sees that called a STABLE function. */
C360Store *
c360_store_open_as_of_caller(void)
{
	return open_store(true, true);
}

/* Nothing is wrong if all of the store's tables are yet to be opened. */
static void
take_exchange(C360Store *store)
{
	for (int i = 0; i < C360_NTABLES; i++)
		if (store->tables[i].rel != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("c360 tables were exchanged for others meanwhile"),
					 errhint("Call again.")));
	store->exchanges = exchanges;
}

/*
 * What the catalog says of a table that is open. Renaming a schema waits for
 * nobody, so a call that waited for a wallet may find other tables behind the
 * names of those that it has yet to open.
 */
static const TableInfo *
info_of(C360Store *store, C360Table table)
{
	if (unlikely(store->exchanges != exchanges))
		take_exchange(store);
	return &catalog.tables[table];
}

static void
lock_table(C360Table table, LOCKMODE lockmode)
{
	for (;;)
	{
		Oid			relid;

		require_catalog();
		relid = catalog.tables[table].relid;
		LockRelationOid(relid, lockmode);
		if (catalog.valid)
			break;
		load_catalog();
		if (catalog.tables[table].relid == relid)
			break;
	}
}

/*
 * Opens a table when it is first needed: a withdrawal without lots should not
 * pay for theirs. What the catalog says of it holds from the lock on.
 */
static Relation
need_table(C360Store *store, C360Table table)
{
	OpenTable  *open = &store->tables[table];

	if (open->rel == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(store->estate->es_query_cxt);
		LOCKMODE	lockmode = store->to_read ? AccessShareLock : table_defs[table].lockmode;
		const TableInfo *info;

		lock_table(table, lockmode);
		info = info_of(store, table);
		open->rel = table_open(info->relid, NoLock);
		c360_set_range_table(store->estate, table + 1, info->relid, lockmode,
							 bms_copy(info->updated));
		MemoryContextSwitchTo(old);
	}
	(void) info_of(store, table);
	return open->rel;
}

/*
 * From here on we see what others committed and what we wrote before. False
 * if no transaction ended since the snapshot before, so that rows of others
 * that were read under it are as they were. REPEATABLE READ and SERIALIZABLE
 * see the same all the time.
 */
bool
c360_store_refresh(C360Store *store)
{
	uint64		before = store->completions;

	CommandCounterIncrement();
	PopActiveSnapshot();
	see(store, GetTransactionSnapshot());
	return !IsolationUsesXactSnapshot() && (before == 0 || store->completions != before);
}

/* Locks stay until the transaction ends: its next call takes them again. */
static void
close_indexes(ResultRelInfo *result)
{
	for (int i = 0; i < result->ri_NumIndices; i++)
		if (result->ri_IndexRelationDescs[i] != NULL)
			c360_close_index(result->ri_IndexRelationDescs[i], result->ri_IndexRelationInfo[i]);
	result->ri_NumIndices = 0;
}

static void
end_scan(C360Scan *scan)
{
	index_endscan(scan->desc);
	index_close(scan->index, NoLock);
}

void
c360_store_close(C360Store *store)
{
	EState	   *estate = store->estate;

	c360_store_write(store);
	AfterTriggerEndQuery(estate);
	EvalPlanQualEnd(&store->recheck);
	ExecResetTupleTable(estate->es_tupleTable, false);
	for (int i = 0; i < C360_NINDEXES; i++)
		if (store->idle[i] != NULL)
			end_scan(store->idle[i]);
	for (int i = 0; i < C360_NTABLES; i++)
		if (store->tables[i].result != NULL)
			close_indexes(store->tables[i].result);
	ExecCloseResultRelations(estate);	/* tables that triggers led to */
	for (int i = 0; i < C360_NTABLES; i++)
		if (store->tables[i].rel != NULL)
			table_close(store->tables[i].rel, NoLock);
	PopActiveSnapshot();
	if (!store->to_read)
		CommandCounterIncrement();
	FreeExecutorState(estate);
}

/*
 * Finding and locking
 */

static void
init_row(C360Row *row, C360Store *store, C360Table table, const TupleTableSlotOps *ops)
{
	row->store = store;
	row->table = table;
	row->slot = ExecAllocTableSlot(&store->estate->es_tupleTable,
								   RelationGetDescr(need_table(store, table)), ops);
}

/* One that was ended, if nobody has a row of it any more. */
static C360Scan *
idle_scan(C360Store *store, C360Index index, int nkeys)
{
	C360Scan   *scan = store->idle[index];

	if (scan == NULL || scan->desc->numberOfKeys != nkeys || !TTS_EMPTY(scan->row.slot))
		return NULL;
	store->idle[index] = NULL;
	scan->desc->xs_snapshot = store->estate->es_snapshot;
	return scan;
}

static C360Scan *
begin_scan(C360Store *store, C360Index index, int nkeys)
{
	MemoryContext old = MemoryContextSwitchTo(store->estate->es_query_cxt);
	C360Table	table = index_defs[index].table;
	Relation	rel = need_table(store, table);
	C360Scan   *scan = idle_scan(store, index, nkeys);

	if (scan != NULL)
	{
		MemoryContextSwitchTo(old);
		return scan;
	}
	scan = palloc0(sizeof(*scan));
	scan->store = store;
	scan->number = index;
	scan->index = index_open(catalog.indexes[index], AccessShareLock);
	scan->desc = c360_index_beginscan(rel, scan->index, store->estate->es_snapshot, nkeys);
	init_row(&scan->row, store, table, table_slot_callbacks(rel));
	MemoryContextSwitchTo(old);
	return scan;
}

static void write_waiting(C360Store *store, C360Table table);

static void
rescan(C360Scan *scan, ScanKey keys, int nkeys)
{
	MemoryContext old = MemoryContextSwitchTo(scan->store->estate->es_query_cxt);

	write_waiting(scan->store, scan->row.table);
	scan->ended = false;
	index_rescan(scan->desc, keys, nkeys, NULL, 0);
	MemoryContextSwitchTo(old);
}

static void
equal_key(C360Scan *scan, ScanKey scankey, Datum key)
{
	ScanKeyInit(scankey, 1, BTEqualStrategyNumber, index_defs[scan->number].equal, key);
	scankey->sk_collation = scan->index->rd_indcollation[0];
}

/* The same index once more for another key. */
void
c360_scan_again(C360Scan *scan, Datum key)
{
	ScanKeyData scankey;

	equal_key(scan, &scankey, key);
	rescan(scan, &scankey, 1);
}

C360Scan *
c360_scan_begin(C360Store *store, C360Index index, Datum key)
{
	C360Scan   *scan = begin_scan(store, index, 1);

	c360_scan_again(scan, key);
	return scan;
}

C360Scan *
c360_scan_begin_all(C360Store *store, C360Index index)
{
	C360Scan   *scan = begin_scan(store, index, 0);

	rescan(scan, NULL, 0);
	return scan;
}

/* Rows of the transactions from this one on. */
C360Scan *
c360_scan_begin_from(C360Store *store, C360Index index, Datum key)
{
	C360Scan   *scan = begin_scan(store, index, 1);
	ScanKeyData scankey;

	Assert(index == C360_ACTIVITY_BY_XACT);
	ScanKeyInit(&scankey, 1, BTGreaterEqualStrategyNumber, F_XID8GE, key);
	rescan(scan, &scankey, 1);
	return scan;
}

/*
 * Rows from a moment on, in order: of an index whose first column is that, or
 * is equal to key and followed by it.
 */
void
c360_scan_again_since(C360Scan *scan, int64 key, TimestampTz since)
{
	int			nkeys = scan->number == C360_LEDGER_BY_CUSTOMER ? 2 : 1;
	ScanKeyData keys[2];

	if (nkeys == 2)
		equal_key(scan, &keys[0], Int64GetDatum(key));
	ScanKeyInit(&keys[nkeys - 1], nkeys, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
				TimestampTzGetDatum(since));
	rescan(scan, keys, nkeys);
}

C360Scan *
c360_scan_begin_since(C360Store *store, C360Index index, int64 key, TimestampTz since)
{
	C360Scan   *scan = begin_scan(store, index, index == C360_LEDGER_BY_CUSTOMER ? 2 : 1);

	c360_scan_again_since(scan, key, since);
	return scan;
}

/*
 * Rows above an id, in order: of an index whose last column is the id, behind
 * a first column that equals key if it has two; or whose first column is
 * above it.
 */
C360Scan *
c360_scan_begin_after(C360Store *store, C360Index index, Datum key, int64 after)
{
	int			nkeys = index == C360_ACTIVITY_BY_XACT ? 2 : 1;
	C360Scan   *scan = begin_scan(store, index, nkeys);
	ScanKeyData keys[2];

	if (nkeys == 2)
		equal_key(scan, &keys[0], key);
	ScanKeyInit(&keys[nkeys - 1], nkeys, BTGreaterStrategyNumber, F_INT8GT, Int64GetDatum(after));
	rescan(scan, keys, nkeys);
	return scan;
}

/* The same for another id, of an index whose first column it is. */
void
c360_scan_again_after(C360Scan *scan, int64 after)
{
	ScanKeyData scankey;

	ScanKeyInit(&scankey, 1, BTGreaterStrategyNumber, F_INT8GT, Int64GetDatum(after));
	rescan(scan, &scankey, 1);
}

/* Rows of an index that begins with a number; of none before c360_scan_again_between(). */
C360Scan *
c360_scan_begin_range(C360Store *store, C360Index index)
{
	C360Scan   *scan = begin_scan(store, index, 2);

	scan->ended = true;
	return scan;
}

static C360Scan *
only_entries(C360Scan *scan)
{
	scan->desc->xs_want_itup = true;
	return scan;
}

/* The same, but what the entries of the index hold is all that is asked for. */
C360Scan *
c360_entries_begin_range(C360Store *store, C360Index index)
{
	return only_entries(c360_scan_begin_range(store, index));
}

C360Scan *
c360_entries_begin_all(C360Store *store, C360Index index)
{
	C360Scan   *scan = only_entries(begin_scan(store, index, 0));

	rescan(scan, NULL, 0);
	return scan;
}

/* Those above after and up to upto, in order. */
void
c360_scan_again_between(C360Scan *scan, int64 after, int64 upto)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTGreaterStrategyNumber, F_INT8GT, Int64GetDatum(after));
	ScanKeyInit(&keys[1], 1, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(upto));
	rescan(scan, keys, 2);
}

/* Customers whose phone ends with these digits. */
C360Scan *
c360_scan_begin_suffix(C360Store *store, const char *suffix)
{
	C360Scan   *scan = begin_scan(store, C360_CUSTOMERS_BY_SUFFIX, 2);
	int			length = strlen(suffix);
	char	   *from = palloc(length + 1);
	char	   *to;
	ScanKeyData keys[2];

	for (int i = 0; i < length; i++)
		from[i] = suffix[length - 1 - i];
	from[length] = '\0';
	to = pstrdup(from);
	to[length - 1]++;			/* after 9 comes a colon, which no phone holds */
	ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_TEXT_PATTERN_GE,
				CStringGetTextDatum(from));
	ScanKeyInit(&keys[1], 1, BTLessStrategyNumber, F_TEXT_PATTERN_LT, CStringGetTextDatum(to));
	keys[0].sk_collation = keys[1].sk_collation = scan->index->rd_indcollation[0];
	rescan(scan, keys, 2);
	return scan;
}

/*
 * The row is good until the next call; NULL at the end, again and again. When
 * the scan meets its first dead row the index makes room to note such rows, in
 * the current context, and looks at it until the scan ends: so that context is
 * the store's, whatever shorter one the caller is in.
 */
C360Row *
c360_scan_next(C360Scan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->store->estate->es_query_cxt);

	CHECK_FOR_INTERRUPTS();
	if (!scan->ended && !index_getnext_slot(scan->desc, ForwardScanDirection, scan->row.slot))
	{
		ExecClearTuple(scan->row.slot);
		scan->ended = true;
	}
	MemoryContextSwitchTo(old);
	return scan->ended ? NULL : &scan->row;
}

/*
 * Of an index-only scan (nodeIndexonlyscan.c): a row is visited only if not
 * all see its page. Rows come from anywhere in the table, so that one page of
 * the map would be changed for another again and again.
 */
static bool
entry_is_visible(C360Scan *scan, ItemPointer tid)
{
	BlockNumber page = ItemPointerGetBlockNumber(tid);
	Relation	rel = scan->desc->heapRelation;

	if (VM_ALL_VISIBLE(rel, page, &scan->map[page / ROW_PAGES_OF_MAP_PAGE % MAP_PAGES]))
	{
		PredicateLockPage(rel, page, scan->desc->xs_snapshot);
		return true;
	}
	if (!index_fetch_heap(scan->desc, scan->row.slot))
		return false;
	ExecClearTuple(scan->row.slot);
	return true;
}

/* Its columns, none of them NULL, good until the next; false at the end, again and again. */
bool
c360_entries_next(C360Scan *scan, Datum *values)
{
	MemoryContext old = MemoryContextSwitchTo(scan->store->estate->es_query_cxt);
	ItemPointer tid = NULL;
	bool		isnull = false;

	while (!scan->ended)
	{
		CHECK_FOR_INTERRUPTS();
		tid = index_getnext_tid(scan->desc, ForwardScanDirection);
		if (tid != NULL && entry_is_visible(scan, tid))
			break;
		scan->ended = tid == NULL;
	}
	MemoryContextSwitchTo(old);
	for (int i = 0; !scan->ended && i < scan->index->rd_att->natts; i++)
		values[i] = index_getattr(scan->desc->xs_itup, i + 1, scan->desc->xs_itupdesc, &isnull);
	return !scan->ended;
}

/*
 * Whether all entries can be read in their order without a read of the table
 * for each: the pages of it that are to be looked at stay in memory. VACUUM
 * sees to that.
 */
bool
c360_entries_are_cheap(C360Store *store, C360Index index)
{
	Relation	rel = need_table(store, index_defs[index].table);
	BlockNumber visible;

	visibilitymap_count(rel, &visible, NULL);
	return RelationGetNumberOfBlocks(rel) - visible <= NBuffers / 4;
}

/* If there will be many, it waits for the next one, without its pins. */
void
c360_scan_end(C360Scan *scan)
{
	C360Store  *store = scan->store;

	for (int i = 0; i < MAP_PAGES; i++)
		if (BufferIsValid(scan->map[i]))
			ReleaseBuffer(scan->map[i]);
	if (store->many && store->idle[scan->number] == NULL && !scan->desc->xs_want_itup)
	{
		index_rescan(scan->desc, NULL, scan->desc->numberOfKeys, NULL, 0);
		store->idle[scan->number] = scan;
	}
	else
		end_scan(scan);
}

/* The first row with this key, or NULL; it stays good. */
C360Row *
c360_find(C360Store *store, C360Index index, Datum key)
{
	C360Scan   *scan = c360_scan_begin(store, index, key);
	C360Row    *row = c360_scan_next(scan);

	c360_scan_end(scan);
	return row;
}

/* Whether a row that was found is the one to be seen after a refresh, too. */
bool
c360_row_stands(C360Row *row)
{
	return table_tuple_satisfies_snapshot(need_table(row->store, row->table), row->slot,
										  row->store->estate->es_snapshot);
}

/* Whether there is one now, whatever the store sees. */
bool
c360_is_there(C360Store *store, C360Index index, Datum key)
{
	C360Scan   *scan = begin_scan(store, index, 1);
	bool		found;

	scan->desc->xs_snapshot = SnapshotSelf;
	c360_scan_again(scan, key);
	found = c360_scan_next(scan) != NULL;
	c360_row_done(&scan->row);
	c360_scan_end(scan);
	return found;
}

/* Lets go of a row that was found, and of the page it stands on. */
void
c360_row_done(C360Row *row)
{
	ExecClearTuple(row->slot);
}

/* Where a row was found. */
ItemPointerData
c360_row_place(const C360Row *row)
{
	return row->slot->tts_tid;
}

C360Row *
c360_row_to_fetch(C360Store *store, C360Table table)
{
	MemoryContext old = MemoryContextSwitchTo(store->estate->es_query_cxt);
	C360Row    *row = palloc(sizeof(C360Row));

	init_row(row, store, table, table_slot_callbacks(need_table(store, table)));
	MemoryContextSwitchTo(old);
	return row;
}

/* The row that the same store found there: while it is open the row stays. */
void
c360_row_fetch(C360Row *row, ItemPointerData place)
{
	C360Store  *store = row->store;

	if (!table_tuple_fetch_row_version(need_table(store, row->table), &place, store->estate->es_snapshot,
									   row->slot))
		elog(ERROR, "a row of c360.%s is gone", table_defs[row->table].name);
}

static void
row_is_newer(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update")));
}

static C360LockResult
lock_row(C360Store *store, C360Row *row, LockTupleMode mode, bool skip_locked)
{
	ItemPointerData tid = row->slot->tts_tid;
	int			flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;
	TM_Result	result;

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	result = table_tuple_lock(need_table(store, row->table), &tid, store->estate->es_snapshot,
							  row->slot, GetCurrentCommandId(true), mode,
							  skip_locked ? LockWaitSkip : LockWaitBlock, flags, &failure);
	switch (result)
	{
		case TM_Ok:
			return C360_LOCKED;
		case TM_WouldBlock:
			return C360_LOCK_BUSY;
		case TM_Updated:
			row_is_newer();
			break;
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				row_is_newer();
			return C360_LOCK_GONE;
		default:
			elog(ERROR, "unexpected result %d of locking a row of c360.%s",
				 result, table_defs[row->table].name);
	}
	return C360_LOCK_GONE;
}

/*
 * Locks a row and makes it its newest version. The key is not looked at
 * again: find rows by keys that do not change. Under REPEATABLE READ a row
 * that is newer than our snapshot is 40001.
 */
C360LockResult
c360_lock(C360Store *store, C360Row *row, bool skip_locked)
{
	return lock_row(store, row, LockTupleNoKeyExclusive, skip_locked);
}

/*
 * So that the row and its keys stay, as a foreign key that points at it locks
 * it; others may change the rest and do the same. If we waited the keys may be
 * others than those that it was found by.
 */
C360LockResult
c360_lock_key(C360Store *store, C360Row *row)
{
	LockRelationOid(RelationGetRelid(need_table(store, row->table)), RowShareLock);
	return lock_row(store, row, LockTupleKeyShare, false);
}

/*
 * Writing
 */

/* Takes own_triggers out of this copy of trigdesc. */
static void
skip_own_triggers(ResultRelInfo *result, List *own_triggers)
{
	TriggerDesc *triggers = result->ri_TrigDesc;
	int			kept = 0;

	if (triggers == NULL)
		return;
	triggers->trig_insert_before_row = triggers->trig_insert_after_row = false;
	triggers->trig_update_before_row = triggers->trig_update_after_row = false;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		int16		type = trigger->tgtype;

		if (list_member_oid(own_triggers, trigger->tgoid))
			continue;
		triggers->trig_insert_before_row |=
			TRIGGER_TYPE_MATCHES(type, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_INSERT);
		triggers->trig_insert_after_row |=
			TRIGGER_TYPE_MATCHES(type, TRIGGER_TYPE_ROW, TRIGGER_TYPE_AFTER, TRIGGER_TYPE_INSERT);
		triggers->trig_update_before_row |=
			TRIGGER_TYPE_MATCHES(type, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_UPDATE);
		triggers->trig_update_after_row |=
			TRIGGER_TYPE_MATCHES(type, TRIGGER_TYPE_ROW, TRIGGER_TYPE_AFTER, TRIGGER_TYPE_UPDATE);
		triggers->triggers[kept++] = *trigger;
	}
	triggers->numtriggers = kept;
}

static void
look_at_triggers(OpenTable *open)
{
	TriggerDesc *triggers = open->result->ri_TrigDesc;
	bool		computed = c360_has_generated(open->rel);

	open->insert.fixed = !computed && !(triggers != NULL && triggers->trig_insert_before_row);
	open->insert.plain = open->insert.fixed &&
		!(triggers != NULL && triggers->trig_insert_after_row);
	open->update.fixed = !computed && !(triggers != NULL && triggers->trig_update_before_row);
	open->update.plain = open->update.fixed &&
		!(triggers != NULL && triggers->trig_update_after_row);
}

/*
 * InitResultRelInfo() copies the descriptions of all triggers, of which the
 * ledger has a dozen: not for a table none of whose triggers fires.
 */
static ResultRelInfo *
init_result(OpenTable *open, C360Table table)
{
	ResultRelInfo *result = makeNode(ResultRelInfo);

	if (open->expressions.triggered)
	{
		InitResultRelInfo(result, open->rel, table + 1, NULL, 0);
		skip_own_triggers(result, catalog.tables[table].own_triggers);
	}
	else
	{
		result->ri_RangeTableIndex = table + 1;
		result->ri_RelationDesc = open->rel;
	}
	return result;
}

/* Prepares a table for writing, without its indexes. */
static OpenTable *
writable(C360Store *store, C360Table table)
{
	OpenTable  *open = &store->tables[table];
	ResultRelInfo *result;
	MemoryContext old;

	if (open->result != NULL)
		return open;
	old = MemoryContextSwitchTo(store->estate->es_query_cxt);
	need_table(store, table);
	if (table_defs[table].lockmode < RowExclusiveLock)
		LockRelationOid(RelationGetRelid(open->rel), RowExclusiveLock);
	open->expressions = *require_compiled(table, open->rel);
	if (open->expressions.foreign)
		c360_own_settings();
	result = init_result(open, table);
	c360_attach_checks(result, open->expressions.checks);
	result->ri_NumIndices = open->expressions.nindexes;
	result->ri_IndexRelationDescs = palloc0(sizeof(Relation) * open->expressions.nindexes);
	result->ri_IndexRelationInfo = palloc0(sizeof(IndexInfo *) * open->expressions.nindexes);
	/* where AFTER triggers look for it; we close it ourselves */
	store->estate->es_opened_result_relations =
		lappend(store->estate->es_opened_result_relations, result);
	open->result = result;
	look_at_triggers(open);
	MemoryContextSwitchTo(old);
	return open;
}

/* Locks a row if it still is what was read and nobody else holds it; never waits. */
bool
c360_lock_as_read(C360Store *store, C360Row *row)
{
	ItemPointerData tid = row->slot->tts_tid;
	Relation	rel = writable(store, row->table)->rel;
	TM_FailureData failure;

	return table_tuple_lock(rel, &tid, store->estate->es_snapshot,
							row->slot, GetCurrentCommandId(true), LockTupleNoKeyExclusive,
							LockWaitSkip, TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS,
							&failure) == TM_Ok;
}

/*
 * Opens the indexes that will get an entry for this row. Of the five indexes
 * of the ledger most rows need two; a partial one whose predicate is false is
 * left closed, unless a trigger or a generated column can still change that.
 */
static void
need_indexes(C360Store *store, OpenTable *open, const Writing *writing, TupleTableSlot *slot)
{
	ExprContext *context = GetPerTupleExprContext(store->estate);

	context->ecxt_scantuple = slot;
	for (int i = 0; i < open->result->ri_NumIndices; i++)
	{
		ExprState  *predicate = open->expressions.predicates[i];

		if (open->result->ri_IndexRelationDescs[i] != NULL ||
			(writing->fixed && predicate != NULL && !ExecQual(predicate, context)))
			continue;
		open->result->ri_IndexRelationDescs[i] = index_open(open->expressions.indexes[i],
															RowExclusiveLock);
		open->result->ri_IndexRelationInfo[i] = open->expressions.infos[i];
		if (open->expressions.infos[i] == NULL)
		{
			open->result->ri_IndexRelationInfo[i] =
				BuildIndexInfo(open->result->ri_IndexRelationDescs[i]);
			c360_prepare_to_look(open->result->ri_IndexRelationDescs[i],
								 open->result->ri_IndexRelationInfo[i]);
		}
	}
}

/* One row a table is under construction at a time: the last one is gone. */
static C360Row *
blank_row(C360Store *store, C360Table table)
{
	OpenTable  *open = &store->tables[table];

	if (open->written == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(store->estate->es_query_cxt);

		open->written = palloc(sizeof(C360Row));
		init_row(open->written, store, table, &TTSOpsVirtual);
		MemoryContextSwitchTo(old);
	}
	ExecClearTuple(open->written->slot);
	ItemPointerSetInvalid(&open->written->slot->tts_tid);
	return open->written;
}

static Node *
null_of_domain(Form_pg_attribute att)
{
	int32		typmod = att->atttypmod;
	Oid			base = getBaseTypeAndTypmod(att->atttypid, &typmod);

	return coerce_to_domain((Node *) makeNullConst(base, typmod, att->attcollation), base, typmod,
							att->atttypid, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1, false);
}

static void
put_defaults(C360Row *row)
{
	EState	   *estate = row->store->estate;
	Relation	rel = need_table(row->store, row->table);
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	/* a copy: a default that is a function may call c360 */
	List	   *defaulted = list_copy(info_of(row->store, row->table)->defaulted);
	ListCell   *cell;

	c360_own_settings();
	foreach(cell, defaulted)
	{
		int			attnum = lfirst_int(cell);
		Node	   *value = build_column_default(rel, attnum);

		if (value == NULL)		/* a domain may refuse NULL */
			value = null_of_domain(TupleDescAttr(RelationGetDescr(rel), attnum - 1));
		row->slot->tts_values[attnum - 1] =
			ExecEvalExpr(ExecInitExpr(expression_planner((Expr *) value), NULL),
						 GetPerTupleExprContext(estate),
						 &row->slot->tts_isnull[attnum - 1]);
	}
	MemoryContextSwitchTo(old);
}

C360Row *
c360_row_new(C360Store *store, C360Table table)
{
	C360Row    *row = blank_row(store, table);

	/* blank_row() opened the table, so that the catalog holds */
	if (info_of(store, table)->defaulted != NIL)
		c360_store_write(store);
	memset(row->slot->tts_isnull, true, row->slot->tts_tupleDescriptor->natts);
	memset(row->slot->tts_values, 0, row->slot->tts_tupleDescriptor->natts * sizeof(Datum));
	if (info_of(store, table)->defaulted != NIL)
		put_defaults(row);
	return row;
}

C360Row *
c360_row_changed(C360Store *store, C360Row *stored)
{
	C360Row    *row = blank_row(store, stored->table);
	int			natts = row->slot->tts_tupleDescriptor->natts;

	slot_getallattrs(stored->slot);
	memcpy(row->slot->tts_values, stored->slot->tts_values, natts * sizeof(Datum));
	memcpy(row->slot->tts_isnull, stored->slot->tts_isnull, natts * sizeof(bool));
	return row;
}

static void
row_is_suppressed(C360Row *row)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("a row trigger suppressed a row that c360 wrote"),
			 errdetail("Table c360.%s.", table_defs[row->table].name),
			 errhint("Let BEFORE triggers on c360 tables return the row.")));
}

/* Money must not vanish because a BEFORE trigger returned NULL. */
static void
require_written(C360Row *row)
{
	if (!ItemPointerIsValid(&row->slot->tts_tid))
		row_is_suppressed(row);
	ResetPerTupleExprContext(row->store->estate);
}

/*
 * Whether the index has had this row before, since these columns are all that
 * changed. One that is being made beside us may lack it.
 */
static bool
has_had(Relation index, const IndexInfo *info, Bitmapset *updated)
{
	if (!index->rd_index->indisvalid || info->ii_Predicate != NIL || info->ii_Expressions != NIL)
		return false;
	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
		if (bms_is_member(info->ii_IndexAttrNumbers[i] - FirstLowInvalidHeapAttributeNumber, updated))
			return false;
	return true;
}

/*
 * ExecInsertIndexTuples() where all indexes are b-trees and nobody's code runs;
 * updated NULL: of a new row. A unique index that has had the row is not asked
 * whether somebody else has its key: the entry of the version before, which
 * is locked, has kept others off. Nor is the b-tree told that the row has been
 * there: it would look whether old versions can go, but rows get few that are
 * not HOT, a lot one.
 */
static void
add_entries(C360Store *store, OpenTable *open, TupleTableSlot *slot, Bitmapset *updated)
{
	ExprContext *context = GetPerTupleExprContext(store->estate);

	context->ecxt_scantuple = slot;
	for (int i = 0; i < open->result->ri_NumIndices; i++)
	{
		Relation	index = open->result->ri_IndexRelationDescs[i];
		IndexInfo  *info = open->result->ri_IndexRelationInfo[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		nulls[INDEX_MAX_KEYS];

		if (index == NULL || !info->ii_ReadyForInserts ||
			(info->ii_PredicateState != NULL && !ExecQual(info->ii_PredicateState, context)))
			continue;
		FormIndexDatum(info, slot, store->estate, values, nulls);
		(void) index_insert(index, values, nulls, &slot->tts_tid, open->rel,
							info->ii_Unique && (updated == NULL || !has_had(index, info, updated)) ?
							UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
	}
}

/*
 * Rows that wait
 */

static void
write_waiting(C360Store *store, C360Table table)
{
	OpenTable  *open = &store->tables[table];
	Waiting    *waiting = open->waiting;
	MemoryContext old;

	if (waiting == NULL || waiting->count == 0)
		return;
	if (waiting->owner != GetCurrentSubTransactionId())
		elog(ERROR, "rows of c360.%s waited beyond their subtransaction", table_defs[table].name);
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(store->estate));
	table_multi_insert(open->rel, waiting->slots, waiting->count, waiting->command, 0, NULL);
	MemoryContextSwitchTo(store->estate->es_query_cxt);
	for (int i = 0; i < waiting->count; i++)
	{
		ResetPerTupleExprContext(store->estate);
		need_indexes(store, open, &open->insert, waiting->slots[i]);
		add_entries(store, open, waiting->slots[i], NULL);
		ExecClearTuple(waiting->slots[i]);
	}
	waiting->count = 0;
	MemoryContextSwitchTo(old);
}

/* Before statements or others' code run that might look at what we wrote. */
void
c360_store_write(C360Store *store)
{
	for (int i = 0; store->many && i < C360_NTABLES; i++)
		write_waiting(store, i);
}

/*
 * From here on rows of tables that are only added to wait until there are many
 * or somebody looks for them, and scans wait for the next one; with false no
 * longer. Answers what was expected before. Whoever runs statements or begins
 * a subtransaction while the store is open calls c360_store_write() before.
 */
bool
c360_store_expect_many(C360Store *store, bool many)
{
	bool		before = store->many;

	c360_store_write(store);
	store->many = many;
	return before;
}

/* Nobody could tell the difference: constraints are looked at now, no code of others runs. */
static bool
may_wait(C360Store *store, OpenTable *open, C360Table table)
{
	return store->many && !open->expressions.foreign && table_defs[table].updated[0] < 0;
}

static TupleTableSlot *
next_waiting_slot(C360Store *store, OpenTable *open)
{
	Waiting    *waiting = open->waiting;

	if (waiting == NULL)
		waiting = open->waiting = palloc0(sizeof(Waiting));
	if (waiting->slots[waiting->count] == NULL)
		waiting->slots[waiting->count] = ExecAllocTableSlot(&store->estate->es_tupleTable,
															RelationGetDescr(open->rel),
															&TTSOpsVirtual);
	return waiting->slots[waiting->count];
}

static void
let_wait(C360Store *store, OpenTable *open, C360Row *row)
{
	CommandId	command = GetCurrentCommandId(true);

	if (open->rel->rd_att->constr)
		ExecConstraints(open->result, row->slot, store->estate);
	ExecCopySlot(next_waiting_slot(store, open), row->slot);
	ResetPerTupleExprContext(store->estate);
	if (open->waiting->count == 0)
	{
		open->waiting->command = command;
		open->waiting->owner = GetCurrentSubTransactionId();
	}
	if (++open->waiting->count == MOST_WAITING)
		write_waiting(store, row->table);
}

/*
 * Writing now
 */

/* Code of others that runs while this row is written finds all that came before it. */
static OpenTable *
about_to_write(C360Store *store, C360Row *row)
{
	OpenTable  *open = writable(store, row->table);

	if (open->expressions.foreign)
		c360_store_write(store);
	return open;
}

void
c360_insert(C360Store *store, C360Row *row)
{
	OpenTable  *open = about_to_write(store, row);
	MemoryContext old = MemoryContextSwitchTo(store->estate->es_query_cxt);

	ExecStoreVirtualTuple(row->slot);
	if (may_wait(store, open, row->table))
	{
		let_wait(store, open, row);
		MemoryContextSwitchTo(old);
		return;
	}
	need_indexes(store, open, &open->insert, row->slot);
	c360_forget_generated(open->result);
	ExecSimpleRelationInsert(open->result, store->estate, row->slot);
	MemoryContextSwitchTo(old);
	require_written(row);
}

/* What stands in the way, under REPEATABLE READ, must be visible to us. */
static void
require_visible(C360Store *store, OpenTable *open, ItemPointer tid)
{
	TupleTableSlot *slot;
	bool		isnull;

	if (!IsolationUsesXactSnapshot())
		return;
	slot = table_slot_create(open->rel, NULL);
	if (table_tuple_fetch_row_version(open->rel, tid, SnapshotAny, slot) &&
		!table_tuple_satisfies_snapshot(open->rel, slot, store->estate->es_snapshot) &&
		!TransactionIdIsCurrentTransactionId(DatumGetTransactionId(
			slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull))))
		row_is_newer();
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * A heap tuple and its index entries that others do not wait for, until we
 * know that none of these unique indexes has such a row. False if one has.
 */
static bool
insert_speculatively(C360Store *store, OpenTable *open, TupleTableSlot *slot, List *keys)
{
	TransactionId xid = GetCurrentTransactionId();
	ItemPointerData taken;
	bool		conflict = true;

	while (conflict)
	{
		uint32		token;
		List	   *recheck;

		CHECK_FOR_INTERRUPTS();
		if (!c360_check_unique(open->result, slot, store->estate, &taken, keys))
		{
			require_visible(store, open, &taken);
			return false;
		}
		token = SpeculativeInsertionLockAcquire(xid);
		table_tuple_insert_speculative(open->rel, slot, GetCurrentCommandId(true), 0, NULL, token);
		conflict = false;
		recheck = c360_insert_index_entries_unless(open->result, slot, store->estate, &conflict,
												   keys);
		table_tuple_complete_speculative(open->rel, slot, token, !conflict);
		SpeculativeInsertionLockRelease(xid);
		if (!conflict)
			ExecARInsertTriggers(store->estate, open->result, slot, recheck, NULL);
		list_free(recheck);
	}
	return true;
}

/*
 * As INSERT … ON CONFLICT DO NOTHING does it: false if one of these two unique
 * indexes has such a row, which we waited for if it was not committed. What
 * was written can be read from the row until the next one is written.
 */
bool
c360_insert_unless_taken(C360Store *store, C360Row *row, C360Index key, C360Index other_key)
{
	OpenTable  *open = about_to_write(store, row);
	MemoryContext old = MemoryContextSwitchTo(store->estate->es_query_cxt);
	bool		inserted;

	ExecStoreVirtualTuple(row->slot);
	row->slot->tts_tableOid = RelationGetRelid(open->rel);
	CheckCmdReplicaIdentity(open->rel, CMD_INSERT);
	if (open->result->ri_TrigDesc != NULL && open->result->ri_TrigDesc->trig_insert_before_row &&
		!ExecBRInsertTriggers(store->estate, open->result, row->slot))
		row_is_suppressed(row);
	c360_forget_generated(open->result);
	if (c360_has_generated(open->rel))
		ExecComputeStoredGenerated(open->result, store->estate, row->slot, CMD_INSERT);
	if (open->rel->rd_att->constr)
		ExecConstraints(open->result, row->slot, store->estate);
	need_indexes(store, open, &open->insert, row->slot);
	inserted = insert_speculatively(store, open, row->slot,
									lappend_oid(list_make1_oid(catalog.indexes[key]),
												catalog.indexes[other_key]));
	MemoryContextSwitchTo(old);
	return inserted;
}

/*
 * ExecSimpleRelationUpdate() for a table without row triggers and generated
 * columns, opening indexes only if the update is not HOT.
 */
static void
update_plain(C360Store *store, OpenTable *open, C360Row *stored, C360Row *row)
{
	C360NeededIndexes needed;

	CheckCmdReplicaIdentity(open->rel, CMD_UPDATE);
	if (open->rel->rd_att->constr)
		ExecConstraints(open->result, row->slot, store->estate);
	needed = c360_tuple_update(open->rel, &stored->slot->tts_tid, row->slot,
							   store->estate->es_snapshot);
	if (needed != C360_NO_INDEXES)
	{
		need_indexes(store, open, &open->update, row->slot);
		if (!open->expressions.foreign)
			add_entries(store, open, row->slot, info_of(store, row->table)->updated);
		else
			c360_insert_index_entries(open->result, row->slot, store->estate, needed);
	}
}

void
c360_update(C360Store *store, C360Row *stored, C360Row *row)
{
	OpenTable  *open = about_to_write(store, row);
	MemoryContext old = MemoryContextSwitchTo(store->estate->es_query_cxt);

	ExecStoreVirtualTuple(row->slot);
	if (open->update.plain)
		update_plain(store, open, stored, row);
	else
	{
		need_indexes(store, open, &open->update, row->slot);
		c360_forget_generated(open->result);
		EvalPlanQualSetSlot(&store->recheck, stored->slot);
		ExecSimpleRelationUpdate(open->result, store->estate, &store->recheck, stored->slot,
								 row->slot);
	}
	MemoryContextSwitchTo(old);
	require_written(row);
}

/*
 * The transaction has its id before it draws one of a row: whoever took a
 * snapshot and the last id drawn before knows that rows of later transactions
 * have higher ids (cursor.c builds on it).
 */
int64
c360_next_id(C360Store *store, C360Table table)
{
	need_table(store, table);
	(void) GetTopTransactionId();
	return nextval_internal(info_of(store, table)->sequence, false);
}

/* The last id drawn by anybody, 0 if none; not on a standby. */
int64
c360_last_id(C360Table table)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		last;

	require_catalog();
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(catalog.tables[table].sequence);
	fcinfo->args[0].isnull = false;
	last = pg_sequence_last_value(fcinfo);
	return fcinfo->isnull ? 0 : DatumGetInt64(last);
}

/*
 * Columns
 */

static Datum
get(C360Row *row, int column, bool *isnull)
{
	return slot_getattr(row->slot, info_of(row->store, row->table)->attnum[column], isnull);
}

/* As it is, for fixed types and texts that are only looked at. */
Datum
c360_get(C360Row *row, int column)
{
	bool		isnull;

	return get(row, column, &isnull);
}

bool
c360_is_null(C360Row *row, int column)
{
	bool		isnull;

	get(row, column, &isnull);
	return isnull;
}

/* 0 if NULL, like the texts below NULL */
int64
c360_get_int64(C360Row *row, int column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

TimestampTz
c360_get_time(C360Row *row, int column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

bool
c360_get_bool(C360Row *row, int column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

char *
c360_get_text(C360Row *row, int column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* False for NULL. */
bool
c360_text_is(C360Row *row, int column, const char *value)
{
	bool		isnull;
	Datum		datum = get(row, column, &isnull);

	return !isnull && c360_same_text(datum, value);
}

bytea *
c360_get_bytea(C360Row *row, int column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	return isnull ? NULL : DatumGetByteaPCopy(value);
}

Jsonb *
c360_get_jsonb(C360Row *row, int column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

void
c360_put(C360Row *row, int column, Datum value)
{
	int			i = info_of(row->store, row->table)->attnum[column] - 1;

	row->slot->tts_values[i] = value;
	row->slot->tts_isnull[i] = false;
}

void
c360_put_null(C360Row *row, int column)
{
	int			i = info_of(row->store, row->table)->attnum[column] - 1;

	row->slot->tts_values[i] = (Datum) 0;
	row->slot->tts_isnull[i] = true;
}

void
c360_put_int64(C360Row *row, int column, int64 value)
{
	c360_put(row, column, Int64GetDatum(value));
}

void
c360_put_time(C360Row *row, int column, TimestampTz value)
{
	c360_put(row, column, TimestampTzGetDatum(value));
}

void
c360_put_bool(C360Row *row, int column, bool value)
{
	c360_put(row, column, BoolGetDatum(value));
}

/* NULL is NULL; the value stays the caller's. */
void
c360_put_jsonb(C360Row *row, int column, const Jsonb *value)
{
	if (value == NULL)
		c360_put_null(row, column);
	else
		c360_put(row, column, JsonbPGetDatum(value));
}

void
c360_put_text(C360Row *row, int column, const char *value)
{
	if (value == NULL)
		c360_put_null(row, column);
	else
	{
		MemoryContext old = MemoryContextSwitchTo(row->store->estate->es_query_cxt);

		c360_put(row, column, CStringGetTextDatum(value));
		MemoryContextSwitchTo(old);
	}
}
