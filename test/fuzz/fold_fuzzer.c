/*
 * fold_fuzzer.c
 *		libFuzzer target of src/fold.c.
 *
 * Besides memory errors it looks for answers that break the rules: longer than
 * the input, not UTF-8, changed by folding again, blanks at the ends or two in
 * a row, a capital ASCII letter.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fold.h"

/* The bytes of the character at the beginning, by the table of RFC 3629. */
static size_t
utf8_length(const uint8_t *at, size_t rest)
{
	static const struct
	{
		uint8_t		first;
		uint8_t		last;
		uint8_t		low;
		uint8_t		high;
		size_t		length;
	}			forms[] =
	{
		{0x00, 0x7F, 0, 0, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
		{0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
		{0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		if (*at < forms[i].first || *at > forms[i].last)
			continue;
		if (forms[i].length > rest || (forms[i].length > 1 && (at[1] < forms[i].low || at[1] > forms[i].high)))
			return 0;
		for (size_t j = 2; j < forms[i].length; j++)
			if (at[j] < 0x80 || at[j] > 0xBF)
				return 0;
		return forms[i].length;
	}
	return 0;
}

static void
check_folded(const uint8_t *folded, size_t length)
{
	size_t		bytes;

	if (length > 0)
		CHECK(folded[0] != ' ' && folded[length - 1] != ' ');
	for (size_t i = 0; i < length; i += bytes)
	{
		bytes = utf8_length(folded + i, length - i);
		CHECK(bytes > 0);
		CHECK(folded[i] < 'A' || folded[i] > 'Z');
		CHECK(folded[i] != '\t' && folded[i] != '\n');
		CHECK(folded[i] != ' ' || folded[i + 1] != ' ');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* exactly as large as is promised to be enough */
	char	   *once = malloc(size + (size == 0));
	char	   *twice = malloc(size + (size == 0));
	size_t		length = c360_fold_text((const char *) data, size, once);

	CHECK(length <= size);
	check_folded((const uint8_t *) once, length);
	CHECK(c360_fold_text(once, length, twice) == length);
	CHECK(memcmp(once, twice, length) == 0);
	free(once);
	free(twice);
	return 0;
}
