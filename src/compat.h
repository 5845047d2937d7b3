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
#include "catalog/dependency.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_relation.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#if PG_VERSION_NUM < 140000
#error "c360 needs PostgreSQL 14 or newer"
#endif

/* 16 took the columns that are written out of the range table entry. */
static inline void
c360_init_range_table(EState *estate, List *range_table, Bitmapset **updated)
{
#if PG_VERSION_NUM >= 160000
	List	   *permissions = NIL;
#endif
	ListCell   *cell;

	foreach(cell, range_table)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);

#if PG_VERSION_NUM >= 160000
		addRTEPermissionInfo(&permissions, entry)->updatedCols =
			updated[foreach_current_index(cell)];
#else
		entry->updatedCols = updated[foreach_current_index(cell)];
#endif
	}
#if PG_VERSION_NUM >= 180000
	ExecInitRangeTable(estate, range_table, permissions,
					   bms_add_range(NULL, 1, list_length(range_table)));
#elif PG_VERSION_NUM >= 160000
	ExecInitRangeTable(estate, range_table, permissions);
#else
	ExecInitRangeTable(estate, range_table);
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

/*
 * ExecCloseIndices() without giving the locks back before the transaction
 * ends: the next call of the transaction takes them again.
 */
static inline void
c360_close_indexes(ResultRelInfo *result)
{
#if PG_VERSION_NUM >= 170000
	ExecCloseIndices(result);
#else
	for (int i = 0; i < result->ri_NumIndices; i++)
		index_close(result->ri_IndexRelationDescs[i], NoLock);
#endif
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

#endif							/* C360_COMPAT_H */
