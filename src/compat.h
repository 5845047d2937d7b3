/*
 * compat.h
 *	  What differs between PostgreSQL 14 and 18, and nothing else.
 *
 * Each inline function has the shape of the newest version's, without the
 * arguments that c360 does not use.
 */
#ifndef C360_COMPAT_H
#define C360_COMPAT_H

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xlog.h"
#if PG_VERSION_NUM >= 150000
#include "access/xlogrecovery.h"
#endif
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_relation.h"
#include "storage/buffile.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 140000
#error "c360 needs PostgreSQL 14 or newer"
#endif

/* A range table of so many entries, to be filled as tables are opened. */
static inline void
c360_init_range_table(EState *estate, int size)
{
	List	   *range_table = NIL;
	List	   *permissions = NIL;

	for (int i = 0; i < size; i++)
	{
		RangeTblEntry *entry = makeNode(RangeTblEntry);

		entry->rtekind = RTE_RELATION;
		entry->relkind = RELKIND_RELATION;
		range_table = lappend(range_table, entry);
#if PG_VERSION_NUM >= 160000
		permissions = lappend(permissions, makeNode(RTEPermissionInfo));
		entry->perminfoindex = i + 1;
#endif
	}
#if PG_VERSION_NUM >= 180000
	ExecInitRangeTable(estate, range_table, permissions, bms_add_range(NULL, 1, size));
#elif PG_VERSION_NUM >= 160000
	ExecInitRangeTable(estate, range_table, permissions);
#else
	(void) permissions;
	ExecInitRangeTable(estate, range_table);
#endif
}

/* Fills entry n; 16 took the columns that are written out of it. */
static inline void
c360_set_range_table(EState *estate, Index n, Oid relid, LOCKMODE lockmode, Bitmapset *updated)
{
	RangeTblEntry *entry = exec_rt_fetch(n, estate);

	entry->relid = relid;
	entry->rellockmode = lockmode;
#if PG_VERSION_NUM >= 160000
	list_nth_node(RTEPermissionInfo, estate->es_rteperminfos, n - 1)->relid = relid;
	list_nth_node(RTEPermissionInfo, estate->es_rteperminfos, n - 1)->updatedCols = updated;
#else
	entry->updatedCols = updated;
#endif
}

static inline void
c360_init_recheck(EPQState *epqstate, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	EvalPlanQualInit(epqstate, estate, NULL, NIL, -1, NIL);
#else
	EvalPlanQualInit(epqstate, estate, NULL, NIL, -1);
#endif
}

static inline IndexScanDesc
c360_index_beginscan(Relation heap, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(heap, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(heap, index, snapshot, nkeys, 0);
#endif
}

static inline Oid
c360_identity_sequence(Relation rel, AttrNumber column)
{
#if PG_VERSION_NUM >= 170000
	return getIdentitySequence(rel, column, true);
#else
	return getIdentitySequence(RelationGetRelid(rel), column, true);
#endif
}

/* Closes an index that got entries; its lock stays. */
static inline void
c360_close_index(Relation index, IndexInfo *info)
{
#if PG_VERSION_NUM >= 170000
	index_insert_cleanup(index, info);
#endif
	index_close(index, NoLock);
}

static inline bool
c360_has_generated(Relation rel)
{
	TupleConstr *constraints = rel->rd_att->constr;

#if PG_VERSION_NUM >= 180000
	return constraints != NULL &&
		(constraints->has_generated_stored || constraints->has_generated_virtual);
#else
	return constraints != NULL && constraints->has_generated_stored;
#endif
}

/*
 * Before 16 an update left out generated columns that it did not touch, and
 * kept that list for a later insert.
 */
static inline void
c360_forget_generated(ResultRelInfo *result)
{
#if PG_VERSION_NUM < 160000
	result->ri_GeneratedExprs = NULL;
#endif
}

/*
 * Which indexes the new version needs entries in: none, all, or (from 16 on)
 * only those that summarize.
 */
typedef enum C360NeededIndexes
{
	C360_NO_INDEXES,
	C360_ALL_INDEXES,
	C360_SUMMARIZING_INDEXES
} C360NeededIndexes;

static inline C360NeededIndexes
c360_tuple_update(Relation rel, ItemPointer tid, TupleTableSlot *slot, Snapshot snapshot)
{
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes indexes;

	simple_table_tuple_update(rel, tid, slot, snapshot, &indexes);
	return indexes == TU_None ? C360_NO_INDEXES :
		indexes == TU_Summarizing ? C360_SUMMARIZING_INDEXES : C360_ALL_INDEXES;
#else
	bool		indexes;

	simple_table_tuple_update(rel, tid, slot, snapshot, &indexes);
	return indexes ? C360_ALL_INDEXES : C360_NO_INDEXES;
#endif
}

/* Deferrable unique constraints have no place in tables without triggers. */
static inline void
c360_insert_index_entries(ResultRelInfo *result, TupleTableSlot *slot, EState *estate,
						  C360NeededIndexes needed)
{
#if PG_VERSION_NUM >= 160000
	list_free(ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL,
									needed == C360_SUMMARIZING_INDEXES));
#else
	list_free(ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL));
#endif
}

/* The same for a new row, without an error where one of these indexes has such a row. */
static inline List *
c360_insert_index_entries_unless(ResultRelInfo *result, TupleTableSlot *slot, EState *estate,
								 bool *conflict, List *keys)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(result, slot, estate, false, true, conflict, keys, false);
#else
	return ExecInsertIndexTuples(result, slot, estate, false, true, conflict, keys);
#endif
}

/* Whether none of these unique indexes has such a row; waits for those that write one. */
static inline bool
c360_check_unique(ResultRelInfo *result, TupleTableSlot *slot, EState *estate, ItemPointer taken,
				  List *keys)
{
#if PG_VERSION_NUM >= 180000
	ItemPointerData none;

	ItemPointerSetInvalid(&none);
	return ExecCheckIndexConstraints(result, slot, estate, taken, &none, keys);
#else
	return ExecCheckIndexConstraints(result, slot, estate, taken, keys);
#endif
}

/* What c360_check_unique() asks of an index. */
static inline void
c360_prepare_to_look(Relation index, IndexInfo *info)
{
	if (info->ii_Unique && !index->rd_index->indisexclusion)
		BuildSpeculativeIndexInfo(index, info);
}

/* 18 has NOT ENFORCED and virtual columns; there the server compiles. */
static inline void
c360_attach_checks(ResultRelInfo *result, ExprState **checks)
{
#if PG_VERSION_NUM < 180000
	result->ri_ConstraintExprs = checks;
#endif
}

/* Makes fcinfo's result a tuplestore of its declared row type. */
static inline void
c360_materialize(FunctionCallInfo fcinfo)
{
#if PG_VERSION_NUM >= 150000
	InitMaterializedSRF(fcinfo, 0);
#else
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	TupleDesc	desc;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		!(result->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	old = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result->returnMode = SFRM_Materialize;
	result->setResult = tuplestore_begin_heap(true, false, work_mem);
	result->setDesc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(old);
#endif
}

static inline void
c360_reserve_settings(const char *prefix)
{
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved(prefix);
#else
	EmitWarningsOnPlaceholders(prefix);
#endif
}

/* Of the primary, or what a standby replays. */
static inline uint32
c360_timeline(void)
{
#if PG_VERSION_NUM >= 150000
	TimeLineID	timeline;

	if (!RecoveryInProgress())
		return GetWALInsertionTimeLine();
	(void) GetXLogReplayRecPtr(&timeline);
	return timeline;
#else
	TimeLineID	timeline = ThisTimeLineID;

	if (RecoveryInProgress())
		(void) GetXLogReplayRecPtr(&timeline);
	return timeline;
#endif
}

/* All of it, or an error. */
static inline void
c360_read_file(BufFile *file, void *data, size_t size)
{
#if PG_VERSION_NUM >= 160000
	BufFileReadExact(file, data, size);
#else
	if (BufFileRead(file, data, size) != size)
		elog(ERROR, "could not read a temporary file");
#endif
}

/* From 17 on waits of extensions have names of their own. */
static inline uint32
c360_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

#endif							/* C360_COMPAT_H */
