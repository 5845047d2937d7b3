/*
 * ignored.c
 *	  The shop's own numbers, which are never a customer: rows of
 *	  c360.transfer_ignored.
 *
 * Each transfer asks for them, so they are kept for the session (kept.c).
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/memutils.h"

#include "ignored.h"
#include "kept.h"

static void load(MemoryContext context);

static C360Ignored *ignored = NULL;
static size_t count_ignored = 0;
static C360Kept kept = {{"transfer_ignored"}, load};

void
c360_ignored_init(void)
{
	c360_kept_register(&kept);
}

static void
load(MemoryContext context)
{
	uint64		count = c360_kept_read("SELECT value FROM c360.transfer_ignored");

	ignored = MemoryContextAllocZero(context, sizeof(C360Ignored) * (count + 1));
	count_ignored = count;
	for (uint64 i = 0; i < count; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		c360_transfer_ignore(value, strlen(value), &ignored[i]);
	}
}

const C360Ignored *
c360_ignored(size_t *count)
{
	c360_kept_load(&kept);
	*count = count_ignored;
	return ignored;
}
