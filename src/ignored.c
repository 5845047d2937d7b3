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

typedef struct Numbers
{
	size_t		count;
	C360Ignored numbers[FLEXIBLE_ARRAY_MEMBER];
} Numbers;

static const void *read_numbers(MemoryContext context);

static C360Kept kept = {{"transfer_ignored"}, read_numbers};

void
c360_ignored_init(void)
{
	c360_kept_register(&kept);
}

static const void *
read_numbers(MemoryContext context)
{
	uint64		count = c360_kept_read("SELECT value FROM c360.transfer_ignored");
	Numbers    *ignored = MemoryContextAllocZero(context, offsetof(Numbers, numbers) + sizeof(C360Ignored) * count);

	ignored->count = count;
	for (uint64 i = 0; i < count; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		c360_transfer_ignore(value, strlen(value), &ignored->numbers[i]);
	}
	return ignored;
}

const C360Ignored *
c360_ignored(size_t *count)
{
	const Numbers *ignored = c360_kept(&kept);

	*count = ignored->count;
	return ignored->numbers;
}
