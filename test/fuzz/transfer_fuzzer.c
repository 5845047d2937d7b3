/*
 * transfer_fuzzer.c
 *		libFuzzer target of src/transfer.c.
 *
 * An input that begins with ! holds ignored numbers up to the end of the line,
 * with commas between them; the rest, or all, is a content.  Besides memory
 * errors it looks for candidates that can't be: not where they are said to be,
 * said twice, in the wrong order, of the wrong shape, or ignored.  And a blank
 * in front of a content or behind it may change nothing but the positions.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "transfer.h"

#define MAX_IGNORED 16

/* A content with all that belongs to it. */
typedef struct Case
{
	char	   *content;
	size_t		length;
	char	   *plain;			/* one ASCII byte a character, 0x7F if other */
	size_t		ncharacters;
	C360Candidate *candidates;
	size_t		count;
} Case;

static C360Ignored ignored[MAX_IGNORED];
static size_t nignored;

static void *
room(size_t size)
{
	void	   *memory = malloc(size > 0 ? size : 1);

	CHECK(memory != NULL);
	return memory;
}

/* Length of the character at this byte; 1 for a byte that begins none. */
static size_t
width(const unsigned char *byte, size_t length)
{
	size_t		n = byte[0] < 0xC2 || byte[0] > 0xF4 ? 1 :
		byte[0] < 0xE0 ? 2 : byte[0] < 0xF0 ? 3 : 4;
	size_t		i;

	for (i = 1; i < n; i++)
	{
		if (i >= length || (byte[i] & 0xC0) != 0x80)
			return 1;
	}
	return n;
}

static void
make_plain(Case *one)
{
	const unsigned char *byte = (const unsigned char *) one->content;
	size_t		at;
	size_t		n;

	one->plain = room(one->length + 1);
	one->ncharacters = 0;
	for (at = 0; at < one->length; at += n)
	{
		char		c = 0x7F;

		n = width(byte + at, one->length - at);
		if (n == 1 && byte[at] < 0x80)
			c = (char) byte[at];
		else if (n == 3 && byte[at] == 0xEF && byte[at + 1] == 0xBC &&
				 byte[at + 2] >= 0x81)
			c = (char) (byte[at + 2] - 0x81 + 0x21);
		else if (n == 3 && byte[at] == 0xEF && byte[at + 1] == 0xBD &&
				 byte[at + 2] <= 0x9E)
			c = (char) (byte[at + 2] - 0x80 + 0x60);
		one->plain[one->ncharacters++] = c;
	}
	one->plain[one->ncharacters] = '\0';
}

static Case
parse(const char *before, const char *content, size_t length, const char *after)
{
	Case		one;
	char	   *scratch;
	size_t		capacity;

	one.length = strlen(before) + length + strlen(after);
	one.content = room(one.length);
	memcpy(one.content, before, strlen(before));
	memcpy(one.content + strlen(before), content, length);
	memcpy(one.content + strlen(before) + length, after, strlen(after));
	make_plain(&one);

	capacity = c360_transfer_capacity(one.length);
	one.candidates = room(capacity * sizeof(*one.candidates));
	scratch = room(one.length);
	one.count = c360_transfer_parse(one.content, one.length, ignored, nignored,
									scratch, one.candidates);
	CHECK(one.count <= capacity);
	free(scratch);
	return one;
}

static void
release(Case *one)
{
	free(one->content);
	free(one->plain);
	free(one->candidates);
}

static int
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
is_alphanumeric(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void
check_qr_code(const Case *one, const C360Candidate *candidate)
{
	const char *at = one->plain + candidate->position - 1;
	size_t		i;

	CHECK(candidate->confidence == 1.0f && !candidate->marked);
	CHECK(strlen(candidate->value) == 18);
	CHECK(strncmp(candidate->value, "N2", 2) == 0);
	for (i = 0; i < 18; i++)
	{
		char		c = at[i];

		if (c >= 'a' && c <= 'z')
			c = (char) (c - 'a' + 'A');
		CHECK(is_alphanumeric(c) && c == candidate->value[i]);
	}
	CHECK(!is_alphanumeric(at[18]));
	CHECK(at == one->plain || !is_alphanumeric(at[-1]));
}

static void
check_phone(const Case *one, const C360Candidate *candidate)
{
	const char *at = one->plain + candidate->position - 1;
	char		phone[C360_PHONE_MAX + 1];
	char		digits[C360_PHONE_DIGITS_MAX];
	size_t		count = 0;
	int			runs = 1;
	int			found = 0;

	CHECK(candidate->confidence == 0.95f && !candidate->marked);
	CHECK(c360_phone_carrier(candidate->value, strlen(candidate->value)));
	CHECK(at == one->plain || !is_digit(at[-1]));
	for (; !found && runs <= 4; runs++)
	{
		CHECK(is_digit(*at));
		for (; is_digit(*at); at++)
		{
			CHECK(count < sizeof(digits));
			digits[count++] = *at;
		}
		found = c360_phone_normalize(digits, count, phone) &&
			strcmp(phone, candidate->value) == 0;
		at++;
	}
	CHECK(found);
}

static void
check_part(const Case *one, const C360Candidate *candidate)
{
	const char *at = one->plain + candidate->position - 1;
	size_t		length = strlen(candidate->value);
	float		unmarked = length == 6 ? 0.6f : length == 5 ? 0.3f : 0.5f;

	CHECK(length >= 5 && length <= 10);
	CHECK(strspn(candidate->value, "0123456789") == length);
	CHECK(strncmp(at, candidate->value, length) == 0);
	CHECK(!is_digit(at[length]));
	CHECK(at == one->plain || (!is_digit(at[-1]) && at[-1] != '/'));
	CHECK(candidate->confidence == (candidate->marked ? 0.8f : unmarked));
}

/* Of parts: is what decides between these two, but for marks, in order? */
static int
length_rank(const C360Candidate *candidate)
{
	size_t		length = strlen(candidate->value);

	return length == 5 ? 11 : (int) length;
}

static void
check_order(const C360Candidate *a, const C360Candidate *b)
{
	CHECK(a->kind <= b->kind);
	if (a->kind != b->kind)
		return;
	if (a->kind == C360_CANDIDATE_PART)
	{
		CHECK(a->marked >= b->marked);
		if (a->marked != b->marked)
			return;
		if (!a->marked)
			CHECK(length_rank(a) <= length_rank(b));
		CHECK(a->order <= b->order);
		if (a->order != b->order)
			return;
	}
	CHECK(a->position < b->position);
}

static void
check_not_ignored(const C360Candidate *candidate)
{
	char		phone[C360_PHONE_MAX + 1];
	size_t		length = strlen(candidate->value);
	size_t		i;

	if (candidate->kind == C360_CANDIDATE_QR_CODE)
		return;
	if (!c360_phone_normalize(candidate->value, length, phone))
		phone[0] = '\0';
	for (i = 0; i < nignored; i++)
	{
		CHECK(phone[0] == '\0' || strcmp(phone, ignored[i].phone) != 0);
		CHECK(ignored[i].ndigits != length ||
			  memcmp(ignored[i].digits, candidate->value, length) != 0);
	}
}

static int
compare_values(const void *left, const void *right)
{
	const C360Candidate *const *a = left;
	const C360Candidate *const *b = right;

	return strcmp((*a)->value, (*b)->value);
}

static void
check_distinct(const Case *one)
{
	const C360Candidate **sorted = room(one->count * sizeof(*sorted));
	size_t		i;

	for (i = 0; i < one->count; i++)
		sorted[i] = &one->candidates[i];
	qsort(sorted, one->count, sizeof(*sorted), compare_values);
	for (i = 1; i < one->count; i++)
		CHECK(strcmp(sorted[i - 1]->value, sorted[i]->value) != 0);
	free(sorted);
}

static void
check_case(const Case *one)
{
	static void (*const checks[]) (const Case *, const C360Candidate *) = {
		check_qr_code, check_phone, check_part
	};
	size_t		i;

	for (i = 0; i < one->count; i++)
	{
		const C360Candidate *candidate = &one->candidates[i];

		CHECK(candidate->position >= 1);
		CHECK(candidate->position <= one->ncharacters);
		checks[candidate->kind] (one, candidate);
		check_not_ignored(candidate);
		if (i > 0)
			check_order(candidate - 1, candidate);
	}
	check_distinct(one);
}

static void
check_same(const Case *left, const Case *right, size_t shift)
{
	size_t		i;

	CHECK(left->count == right->count);
	for (i = 0; i < left->count; i++)
	{
		const C360Candidate *a = &left->candidates[i];
		const C360Candidate *b = &right->candidates[i];

		CHECK(a->kind == b->kind && strcmp(a->value, b->value) == 0);
		CHECK(a->position + shift == b->position);
		CHECK(a->confidence == b->confidence && a->marked == b->marked);
	}
}

/* Takes the ignored numbers off the front; answers how long their line was. */
static size_t
read_ignored(const char *data, size_t size)
{
	size_t		begin = 1;
	size_t		at;

	nignored = 0;
	if (size == 0 || data[0] != '!')
		return 0;
	for (at = 1; at < size; at++)
	{
		if (data[at] != ',' && data[at] != '\n')
			continue;
		if (nignored < MAX_IGNORED)
			c360_transfer_ignore(data + begin, at - begin,
								 &ignored[nignored++]);
		begin = at + 1;
		if (data[at] == '\n')
			return begin;
	}
	return size;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *content = (const char *) data;
	size_t		line = read_ignored(content, size);
	Case		plain;
	Case		shifted;
	Case		longer;

	plain = parse("", content + line, size - line, "");
	check_case(&plain);
	shifted = parse(" ", content + line, size - line, "");
	check_same(&plain, &shifted, 1);
	longer = parse("", content + line, size - line, "\n");
	check_same(&plain, &longer, 0);
	release(&plain);
	release(&shifted);
	release(&longer);
	return 0;
}
