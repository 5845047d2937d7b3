/*
 * check.h
 *	  What all fuzz targets share: a rule that does not hold ends them, with its
 *	  line.
 */
#ifndef C360_CHECK_H
#define C360_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) \
	do \
	{ \
		if (!(condition)) \
		{ \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#endif							/* C360_CHECK_H */
