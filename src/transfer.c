/*
 * transfer.c
 *		Candidates for the customer in the content of a bank transfer.
 *
 * People type their phone, the last digits of it, or a code from a QR image
 * into a transfer, and banks and wallets wrap their own numbers around it:
 * accounts, references, dates.  Rules 1 to 5 of the specification's section 6
 * say what counts; each is a section below, in the same order, and
 * c360_transfer_parse at the end reads like their list.
 *
 * The content is first folded into one byte a character: ASCII letters become
 * capitals, every kind of blank a space, full-width forms the ASCII they stand
 * for, other letters a mark.  After that a position in the original is an index
 * plus one, and no rule needs to know UTF-8.  What a rule takes out of the
 * running is masked: its digits become letters, so that words keep their
 * bounds.
 *
 * A content is someone else's text of any length.  Every rule looks at each
 * character a bounded number of times, and equal values are found by sorting,
 * so the time grows with n log n at most.  No server calls; the memory is the
 * caller's (only the C library's qsort may take some for a large array).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What characters are folded to, besides digits, capitals and ASCII signs. */
#define BLANK	' '
#define DASH	'-'
#define SIGN	','				/* a sign that no rule knows */
#define LETTER	'x'				/* a letter outside ASCII, or a masked digit */

#define QR_CODE_LENGTH	18
#define MOMO_LENGTH		12		/* digits in front of the sender's phone */
#define RUN_MAX			11		/* a longer run is an account (rule 4) */
#define JOINED_MAX		4		/* runs that can be joined to a phone */

typedef struct Transfer
{
	char	   *text;			/* the content, folded */
	size_t		begin;			/* what of it counts, up to before end */
	size_t		end;
	bool		one_number;		/* a bank's or MoMo's text, and a single number */
	const C360Ignored *ignored;
	size_t		nignored;
	C360Candidate *candidates;
	size_t		count;
} Transfer;

/* Digits of one run, or of several joined. */
typedef struct Number
{
	size_t		end;			/* behind its last digit in the text */
	size_t		count;
	char		digits[C360_PHONE_DIGITS_MAX];
} Number;

/* ---------- Folding ---------- */

/*
 * Characters outside ASCII that are no letters.  The rest of Unicode counts as
 * letters, Vietnamese ones and accents written by themselves above all: a word
 * with a diacritic is one word.  Blanks that one can't see part two words, and
 * a zero-width one inside a phone is a separator like any other blank.
 */
static const struct
{
	uint32_t	first;
	uint32_t	last;
	char		as;				/* 0: the ASCII of a full-width form */
}			no_letters[] =
{
	{0x0080, 0x009F, SIGN}, {0x00A0, 0x00A0, BLANK}, {0x00A1, 0x00BF, SIGN},
	{0x00D7, 0x00D7, SIGN}, {0x00F7, 0x00F7, SIGN},
	{0x2000, 0x200F, BLANK}, {0x2010, 0x2015, DASH}, {0x2016, 0x2027, SIGN},
	{0x2028, 0x202F, BLANK}, {0x2030, 0x205E, SIGN}, {0x205F, 0x206F, BLANK},
	{0x2070, 0x2211, SIGN}, {0x2212, 0x2212, DASH}, {0x2213, 0x2BFF, SIGN},
	{0x3000, 0x3000, BLANK}, {0x3001, 0x303F, SIGN},
	{0xFE00, 0xFE0F, SIGN}, {0xFEFF, 0xFEFF, BLANK}, {0xFF01, 0xFF5E, 0},
	{0x1F000, 0x1FAFF, SIGN}
};

static char
fold_ascii(unsigned char byte)
{
	if (byte >= 'a' && byte <= 'z')
		return (char) (byte - 'a' + 'A');
	if (byte >= '\t' && byte <= '\r')
		return BLANK;
	return (char) byte;
}

static char
fold_character(uint32_t character)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(no_letters); i++)
	{
		if (character < no_letters[i].first)
			break;
		if (character > no_letters[i].last)
			continue;
		if (no_letters[i].as == 0)
			return fold_ascii((unsigned char) (character - 0xFF01 + '!'));
		return no_letters[i].as;
	}
	return LETTER;
}

/*
 * Reads one character outside ASCII and returns its length.  A byte that
 * begins none, or one that is cut off, is a character (a letter) by itself.
 */
static size_t
read_character(const unsigned char *byte, size_t length, uint32_t *character)
{
	size_t		width = *byte < 0xE0 ? 2 : *byte < 0xF0 ? 3 : 4;
	size_t		i;

	*character = UINT32_MAX;
	if (*byte < 0xC2 || *byte > 0xF4 || width > length)
		return 1;
	for (i = 1; i < width; i++)
	{
		if ((byte[i] & 0xC0) != 0x80)
			return 1;
	}
	*character = *byte & (0xFF >> (width + 1));
	for (i = 1; i < width; i++)
		*character = (*character << 6) | (byte[i] & 0x3F);
	return width;
}

static size_t
fold(const char *content, size_t length, char *text)
{
	const unsigned char *byte = (const unsigned char *) content;
	size_t		at = 0;
	size_t		count = 0;

	while (at < length)
	{
		uint32_t	character;

		if (byte[at] < 0x80)
			text[count++] = fold_ascii(byte[at++]);
		else
		{
			at += read_character(byte + at, length - at, &character);
			text[count++] = fold_character(character);
		}
	}
	return count;
}

/* ---------- Looking at the folded text ---------- */

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || c == LETTER;
}

static inline bool
in_word(char c)
{
	return is_letter(c) || is_digit(c);
}

static inline bool
is_separator(char c)
{
	return c == BLANK || c == '.' || c == DASH;
}

static bool
begins_word(const Transfer *transfer, size_t at)
{
	return at == 0 || !in_word(transfer->text[at - 1]);
}

static size_t
word_end(const Transfer *transfer, size_t at)
{
	while (at < transfer->end && in_word(transfer->text[at]))
		at++;
	return at;
}

static size_t
run_end(const Transfer *transfer, size_t at)
{
	while (at < transfer->end && is_digit(transfer->text[at]))
		at++;
	return at;
}

static size_t
blanks_end(const Transfer *transfer, size_t at)
{
	while (at < transfer->end && transfer->text[at] == BLANK)
		at++;
	return at;
}

static bool
stands_at(const Transfer *transfer, size_t at, const char *word)
{
	size_t		length = strlen(word);

	return transfer->end - at >= length &&
		memcmp(transfer->text + at, word, length) == 0;
}

/* Where the text next holds the word; the end of the text if nowhere. */
static size_t
find(const Transfer *transfer, size_t at, const char *word)
{
	while (at < transfer->end)
	{
		const char *first = memchr(transfer->text + at, word[0],
								   transfer->end - at);

		if (first == NULL)
			break;
		at = (size_t) (first - transfer->text);
		if (stands_at(transfer, at, word))
			return at;
		at++;
	}
	return transfer->end;
}

/* The same at a word's start only: no ND: in SEND: */
static size_t
find_word(const Transfer *transfer, size_t at, const char *word)
{
	at = find(transfer, at, word);
	while (at < transfer->end && !begins_word(transfer, at))
		at = find(transfer, at + 1, word);
	return at;
}

static void
mask(Transfer *transfer, size_t at, size_t end)
{
	for (; at < end; at++)
	{
		if (is_digit(transfer->text[at]))
			transfer->text[at] = LETTER;
	}
}

static C360Candidate *
add_candidate(Transfer *transfer, C360CandidateKind kind, size_t at,
			  const char *value, size_t length, float confidence)
{
	C360Candidate *candidate = &transfer->candidates[transfer->count++];

	candidate->position = at + 1;
	candidate->kind = kind;
	candidate->confidence = confidence;
	candidate->marked = false;
	candidate->order = 0;
	memcpy(candidate->value, value, length);
	candidate->value[length] = '\0';
	return candidate;
}

/* ---------- Ignored numbers ---------- */

void
c360_transfer_ignore(const char *number, size_t length, C360Ignored *ignored)
{
	ignored->ndigits = c360_phone_digits(number, length, ignored->digits,
										 sizeof(ignored->digits));
	if (ignored->ndigits > sizeof(ignored->digits))
		ignored->ndigits = 0;	/* longer than all that is ever read */
	if (!c360_phone_normalize(number, length, ignored->phone))
		ignored->phone[0] = '\0';
}

/* Is this one of the shop's own numbers, as digits or as a phone? */
static bool
is_ignored(const Transfer *transfer, const char *digits, size_t count)
{
	char		phone[C360_PHONE_MAX + 1];
	bool		is_phone;
	size_t		i;

	if (transfer->nignored == 0)
		return false;
	is_phone = c360_phone_normalize(digits, count, phone);
	for (i = 0; i < transfer->nignored; i++)
	{
		const C360Ignored *ignored = &transfer->ignored[i];

		if (ignored->ndigits == count &&
			memcmp(ignored->digits, digits, count) == 0)
			return true;
		if (is_phone && strcmp(ignored->phone, phone) == 0)
			return true;
	}
	return false;
}

/* ---------- Rule 4, which rule 2 needs too: phones ---------- */

/*
 * A run of more than 11 digits is an account, unless + or 00 stands in front
 * or it is 84, 0 and 9 digits.
 */
static bool
is_account(const Transfer *transfer, size_t at, size_t end)
{
	if (end - at <= RUN_MAX)
		return false;
	if (at > 0 && transfer->text[at - 1] == '+')
		return false;
	if (stands_at(transfer, at, "00"))
		return false;
	return !(end - at == 12 && stands_at(transfer, at, "840"));
}

/* Adds the run that begins at this place; false if it can't be of a phone. */
static bool
append_run(const Transfer *transfer, size_t at, Number *number)
{
	size_t		end = run_end(transfer, at);
	size_t		length = end - at;

	if (length == 0 || length > sizeof(number->digits) - number->count ||
		is_account(transfer, at, end))
		return false;
	memcpy(number->digits + number->count, transfer->text + at, length);
	number->count += length;
	number->end = end;
	return true;
}

/* The same for the next run, if a single blank, dot or dash parts them. */
static bool
append_next_run(const Transfer *transfer, Number *number)
{
	size_t		at = number->end;

	if (at >= transfer->end || !is_separator(transfer->text[at]))
		return false;
	return append_run(transfer, at + 1, number);
}

/*
 * A phone by section 2 with its leading 0 or country code, and with a carrier.
 * 84 is a country code only with nine digits behind it: 841234567 is a bare
 * number, which is a part.
 */
static bool
is_whole_phone(const Number *number, char phone[C360_PHONE_MAX + 1])
{
	if (number->digits[0] != '0' &&
		!(number->count >= 11 && memcmp(number->digits, "84", 2) == 0))
		return false;
	return c360_phone_normalize(number->digits, number->count, phone) &&
		c360_phone_carrier(phone, strlen(phone)) != NULL;
}

/* How the first of several runs begins, and how many digits it has. */
static const struct
{
	const char *begins;
	size_t		least;
	size_t		most;
}			joined_starts[] =
{
	{"0", 3, 4},
	{"84", 2, 5}
};

static bool
can_be_joined(const Number *first)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(joined_starts); i++)
	{
		if (first->count >= joined_starts[i].least &&
			first->count <= joined_starts[i].most &&
			memcmp(first->digits, joined_starts[i].begins,
				   strlen(joined_starts[i].begins)) == 0)
			return true;
	}
	return false;
}

/*
 * The end of the whole phone that begins with the run at this place, or the
 * place itself if none does: the run alone, else the shortest joined number.
 */
static size_t
phone_end(const Transfer *transfer, size_t at, char phone[C360_PHONE_MAX + 1])
{
	Number		number = {0};
	int			nruns = 1;

	if (!append_run(transfer, at, &number))
		return at;
	if (is_whole_phone(&number, phone))
		return number.end;
	if (!can_be_joined(&number))
		return at;
	while (nruns++ < JOINED_MAX && append_next_run(transfer, &number))
	{
		if (is_whole_phone(&number, phone))
			return number.end;
	}
	return at;
}

/*
 * The same for an ignored number, which may be written with separators as a
 * phone may, but begin with anything.
 */
static size_t
ignored_end(const Transfer *transfer, size_t at)
{
	Number		number = {0};
	int			nruns = 1;

	if (transfer->nignored == 0 || !append_run(transfer, at, &number))
		return at;
	do
	{
		if (is_ignored(transfer, number.digits, number.count))
			return number.end;
	} while (nruns++ < JOINED_MAX && append_next_run(transfer, &number));
	return at;
}

/* ---------- Rule 1: QR codes ---------- */

static void
take_qr_codes(Transfer *transfer)
{
	size_t		at = 0;

	while (at < transfer->end)
	{
		const char *word = transfer->text + at;
		size_t		end = word_end(transfer, at);

		if (end - at == QR_CODE_LENGTH && stands_at(transfer, at, "N2") &&
			memchr(word, LETTER, QR_CODE_LENGTH) == NULL)
		{
			add_candidate(transfer, C360_CANDIDATE_QR_CODE, at,
						  word, QR_CODE_LENGTH, 1.0f);
			mask(transfer, at, end);
		}
		at = end > at ? end : at + 1;
	}
}

/* ---------- Rule 2: what counts of the text ---------- */

/* Behind a token without dots and its dot; the end of the text if none. */
static size_t
behind_token(const Transfer *transfer, size_t at)
{
	size_t		dot = find(transfer, at, ".");

	return dot > at && dot < transfer->end ? dot + 1 : transfer->end;
}

/* MBVCB. token . token . part .CT */
static bool
narrow_to_vietcombank_part(Transfer *transfer)
{
	static const char name[] = "MBVCB.";
	size_t		at = find_word(transfer, transfer->begin, name);

	for (; at < transfer->end; at = find_word(transfer, at + 1, name))
	{
		size_t		part = at + strlen(name);
		size_t		end;

		part = behind_token(transfer, behind_token(transfer, part));
		if (part == transfer->end)
			continue;
		end = find(transfer, part, ".CT");
		if (end == transfer->end)
			return false;		/* and none further on */
		transfer->begin = part;
		transfer->end = end;
		return true;
	}
	return false;
}

/*
 * Behind the twelve digits: dash, sender's phone in any spelling, dash, text.
 * The spelling may have dashes of its own, so the first dash is looked for that
 * has a phone before it.  Letters are in no spelling.
 */
static bool
find_momo_text(const Transfer *transfer, size_t at, size_t *text)
{
	char		digits[C360_PHONE_DIGITS_MAX];
	char		phone[C360_PHONE_MAX + 1];
	size_t		count = 0;

	at = blanks_end(transfer, at);
	if (!stands_at(transfer, at, "-"))
		return false;
	for (at++; at < transfer->end && !is_letter(transfer->text[at]); at++)
	{
		char		c = transfer->text[at];

		if (is_digit(c))
		{
			if (count == sizeof(digits))
				return false;
			digits[count++] = c;
		}
		else if (c == DASH && c360_phone_normalize(digits, count, phone))
		{
			*text = at + 1;
			return true;
		}
	}
	return false;
}

static bool
narrow_to_momo_text(Transfer *transfer)
{
	size_t		at = transfer->begin;

	while (at < transfer->end)
	{
		size_t		end = run_end(transfer, at);

		if (end - at == MOMO_LENGTH && begins_word(transfer, at) &&
			find_momo_text(transfer, end, &transfer->begin))
			return true;
		at = end > at ? end : at + 1;
	}
	return false;
}

/*
 * CT DEN: account ND: text.  What stands between the two is the bank's; without
 * ND: the text counts, but not the number.
 */
static bool
narrow_to_credit_text(Transfer *transfer)
{
	static const char credit[] = "CT DEN:";
	static const char content[] = "ND:";
	size_t		at = find_word(transfer, transfer->begin, credit);
	size_t		text = find_word(transfer, at, content);
	char		phone[C360_PHONE_MAX + 1];

	for (; at < transfer->end; at = find_word(transfer, at + 1, credit))
	{
		size_t		number = at + strlen(credit);
		size_t		end;

		while (number < transfer->end && !in_word(transfer->text[number]))
			number++;
		end = phone_end(transfer, number, phone);
		if (end == number)
			end = word_end(transfer, number);
		mask(transfer, number, end);
	}
	if (text == transfer->end)
		return false;
	transfer->begin = text + strlen(content);
	return true;
}

/* Is all that counts a single run of digits? */
static bool
is_one_number(const Transfer *transfer)
{
	size_t		at = blanks_end(transfer, transfer->begin);
	size_t		end = run_end(transfer, at);

	return end > at && blanks_end(transfer, end) == transfer->end;
}

/*
 * One form can stand inside another.  Vietcombank's goes first because it is
 * the only one that also has an end.
 */
static void
narrow_to_text(Transfer *transfer)
{
	bool		vietcombank = narrow_to_vietcombank_part(transfer);
	bool		momo = narrow_to_momo_text(transfer);
	bool		credit = narrow_to_credit_text(transfer);

	transfer->one_number = (vietcombank || momo) && !credit &&
		is_one_number(transfer);
}

/* ---------- Rule 3: noise ---------- */

/* Each answers where the noise that begins at this place ends, or the place. */

/* FT and 8 or more digits. */
static size_t
reference_end(const Transfer *transfer, size_t at)
{
	size_t		end;

	if (!stands_at(transfer, at, "FT") || !begins_word(transfer, at))
		return at;
	end = run_end(transfer, at + 2);
	return end - at >= 2 + 8 ? end : at;
}

/*
 * The word GD, blanks or none, digits, two or more letters and the rest of that
 * word.
 */
static size_t
trade_code_end(const Transfer *transfer, size_t at)
{
	size_t		digits;
	size_t		letters;

	if (!stands_at(transfer, at, "GD") || !begins_word(transfer, at))
		return at;
	digits = blanks_end(transfer, at + 2);
	letters = run_end(transfer, digits);
	if (letters == digits || transfer->end - letters < 2 ||
		!is_letter(transfer->text[letters]) ||
		!is_letter(transfer->text[letters + 1]))
		return at;
	return word_end(transfer, letters);
}

/* DDMMYY-HH:MM:SS: what stands before each two digits, and their bounds. */
static const struct
{
	const char *before;
	int			least;
	int			most;
}			stamp_fields[] =
{
	{"", 1, 31}, {"", 1, 12}, {"", 0, 99},
	{"-", 0, 23}, {":", 0, 59}, {":", 0, 59}
};

static size_t
stamp_end(const Transfer *transfer, size_t at)
{
	const char *text = transfer->text;
	size_t		end = at;
	size_t		i;

	if (!is_digit(text[at]) || (at > 0 && is_digit(text[at - 1])))
		return at;
	for (i = 0; i < LENGTH_OF(stamp_fields); i++)
	{
		int			field;

		if (!stands_at(transfer, end, stamp_fields[i].before))
			return at;
		end += strlen(stamp_fields[i].before);
		if (transfer->end - end < 2 ||
			!is_digit(text[end]) || !is_digit(text[end + 1]))
			return at;
		field = (text[end] - '0') * 10 + (text[end + 1] - '0');
		if (field < stamp_fields[i].least || field > stamp_fields[i].most)
			return at;
		end += 2;
	}
	return run_end(transfer, end) == end ? end : at;
}

static size_t (*const noise_ends[]) (const Transfer *transfer, size_t at) =
{
	reference_end, trade_code_end, stamp_end
};

static void
mask_noise(Transfer *transfer)
{
	size_t		at;
	size_t		i;

	for (at = transfer->begin; at < transfer->end; at++)
	{
		for (i = 0; i < LENGTH_OF(noise_ends); i++)
			mask(transfer, at, noise_ends[i] (transfer, at));
	}
}

/* ---------- Rules 4 and 5: whole phones and parts ---------- */

/* Lengths of parts, the deciding first, when they aren't marked. */
static const struct
{
	size_t		length;
	float		confidence;
}			part_lengths[] =
{
	{6, 0.6f}, {7, 0.5f}, {8, 0.5f}, {9, 0.5f}, {10, 0.5f}, {5, 0.3f}
};

#define MARKED_CONFIDENCE 0.8f

/* How a part is marked, the deciding first. */
typedef enum Mark
{
	MARK_AFTER_GD,
	MARK_BEFORE_GD,
	MARK_ONE_NUMBER,
	MARK_NONE
} Mark;

static Mark
part_mark(const Transfer *transfer, size_t at, size_t end)
{
	if (at >= 4 && memcmp(transfer->text + at - 4, "-GD-", 4) == 0)
		return MARK_AFTER_GD;
	if (stands_at(transfer, end, "-GD"))
		return MARK_BEFORE_GD;
	return transfer->one_number ? MARK_ONE_NUMBER : MARK_NONE;
}

/* Takes the run for a part, if it is one. */
static void
take_part(Transfer *transfer, size_t at, size_t end)
{
	Mark		mark = part_mark(transfer, at, end);
	C360Candidate *part;
	size_t		i;

	if (at > 0 && transfer->text[at - 1] == '/')
		return;
	for (i = 0; i < LENGTH_OF(part_lengths); i++)
	{
		if (part_lengths[i].length != end - at)
			continue;
		part = add_candidate(transfer, C360_CANDIDATE_PART, at,
							 transfer->text + at, end - at,
							 part_lengths[i].confidence);
		part->order = (unsigned char) (mark * LENGTH_OF(part_lengths) + i);
		if (mark != MARK_NONE)
		{
			part->marked = true;
			part->confidence = MARKED_CONFIDENCE;
		}
		return;
	}
}

static void
take_numbers(Transfer *transfer)
{
	size_t		at = transfer->begin;

	while (at < transfer->end)
	{
		char		phone[C360_PHONE_MAX + 1];
		size_t		end;

		if (!is_digit(transfer->text[at]))
		{
			at++;
			continue;
		}
		if ((end = phone_end(transfer, at, phone)) > at)
		{
			if (!is_ignored(transfer, phone, strlen(phone)))
				add_candidate(transfer, C360_CANDIDATE_PHONE, at,
							  phone, strlen(phone), 0.95f);
		}
		else if ((end = ignored_end(transfer, at)) == at)
		{
			end = run_end(transfer, at);
			take_part(transfer, at, end);
		}
		at = end;
	}
}

/* ---------- Distinct values, the deciding first ---------- */

static int
compare_deciding(const void *left, const void *right)
{
	const C360Candidate *a = left;
	const C360Candidate *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	if (a->position != b->position)
		return a->position < b->position ? -1 : 1;
	return 0;
}

static int
compare_values(const void *left, const void *right)
{
	const C360Candidate *a = left;
	const C360Candidate *b = right;
	int			difference = strcmp(a->value, b->value);

	return difference != 0 ? difference : compare_deciding(left, right);
}

static void
keep_distinct(Transfer *transfer)
{
	C360Candidate *candidates = transfer->candidates;
	size_t		kept = 0;
	size_t		i;

	if (transfer->count < 2)
		return;
	qsort(candidates, transfer->count, sizeof(*candidates), compare_values);
	for (i = 1; i < transfer->count; i++)
	{
		if (strcmp(candidates[i].value, candidates[kept].value) != 0)
			candidates[++kept] = candidates[i];
	}
	transfer->count = kept + 1;
	qsort(candidates, transfer->count, sizeof(*candidates), compare_deciding);
}

/* ---------- What the header promises ---------- */

size_t
c360_transfer_capacity(size_t length)
{
	return length / 6 + 1;
}

size_t
c360_transfer_parse(const char *content, size_t length,
					const C360Ignored *ignored, size_t nignored,
					char *scratch, C360Candidate *candidates)
{
	Transfer	transfer = {0};

	transfer.text = scratch;
	transfer.end = fold(content, length, scratch);
	transfer.ignored = ignored;
	transfer.nignored = nignored;
	transfer.candidates = candidates;

	take_qr_codes(&transfer);	/* rule 1 */
	narrow_to_text(&transfer);	/* rule 2 */
	mask_noise(&transfer);		/* rule 3 */
	take_numbers(&transfer);	/* rules 4 and 5 */
	keep_distinct(&transfer);
	return transfer.count;
}
