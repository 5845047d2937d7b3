/*
 * transfer.h
 *		Who sent this bank transfer?  All answers that its content holds.
 */
#ifndef C360_TRANSFER_H
#define C360_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include "phone.h"

/* The longest value: a QR code, N2 and 16 letters or digits. */
#define C360_CANDIDATE_MAX 18

/* In deciding order. */
typedef enum C360CandidateKind
{
	C360_CANDIDATE_QR_CODE,
	C360_CANDIDATE_PHONE,
	C360_CANDIDATE_PART
} C360CandidateKind;

typedef struct C360Candidate
{
	size_t		position;		/* of its first character, from 1 */
	C360CandidateKind kind;
	float		confidence;
	bool		marked;			/* a part that the bank's format points at */
	unsigned char order;		/* lower decides first, among parts */
	char		value[C360_CANDIDATE_MAX + 1];	/* ASCII, ends in NUL */
} C360Candidate;

/* A number of the shop's own; filled by c360_transfer_ignore. */
typedef struct C360Ignored
{
	size_t		ndigits;		/* 0: can match nothing */
	char		digits[C360_PHONE_DIGITS_MAX];
	char		phone[C360_PHONE_MAX + 1];	/* empty if it is no phone */
} C360Ignored;

/* Prepares one ignored number, in any spelling. */
extern void c360_transfer_ignore(const char *number, size_t length,
								 C360Ignored *ignored);

/*
 * How many candidates a content of so many bytes can hold: one number needs
 * five digits and a character before the next.
 */
extern size_t c360_transfer_capacity(size_t length);

/*
 * Reads a content (UTF-8, no NUL needed at the end) and writes its candidates,
 * distinct values, the deciding one first.  Returns their number.  The caller
 * gives the memory: candidates with room for c360_transfer_capacity(length),
 * and scratch of length bytes, of no use afterwards.
 */
extern size_t c360_transfer_parse(const char *content, size_t length,
								  const C360Ignored *ignored, size_t nignored,
								  char *scratch, C360Candidate *candidates);

#endif							/* C360_TRANSFER_H */
