/*
 * fold.c
 *		Text as search compares it: lower case, without Vietnamese accents.
 *
 * The same name comes precomposed or with combining marks, in capitals, with
 * more blanks than one, or typed without accents at all.  All of these fold to
 * one form: ASCII letters in lower case, one blank between words, none around
 * them.  Other Latin letters with marks lose them, too, full-width characters
 * become the usual ones, and what is written in other scripts stays as it is.
 *
 * Bytes in, bytes out: no server calls, no allocation and no setting, so that
 * the result may be kept in a column and compared for ever.  Bytes that are no
 * UTF-8 become question marks, so that the answer is always UTF-8, and folding
 * it again changes nothing.
 */
#include "fold.h"

/*
 * Two letters for each character, the second one blank if there is only one;
 * two blanks: stays as it is.
 */
static const char latin[] =
	"a a a a a a aec e e e e i i i i "
	"d n o o o o o   o u u u u y thss"
	"a a a a a a aec e e e e i i i i "
	"d n o o o o o   o u u u u y thy "
	"a a a a a a c c c c c c c c d d "
	"d d e e e e e e e e e e g g g g "
	"g g g g h h h h i i i i i i i i "
	"i i ijijj j k k k l l l l l l l "
	"l l l n n n n n n n n n o o o o "
	"o o oeoer r r r r r s s s s s s "
	"s s t t t t t t u u u u u u u u "
	"u u u u w w y y y z z z z z z s "
	"b b               d d           "
	"e   f   g     i k k l     n n   "
	"o o                   t     t u "
	"u         z z                   "
	"        dzdzdzljljljnjnjnja a i "
	"i o o u u u u u u u u u u e a a "
	"a a aeaeg g g g k k o o o o     "
	"j dzdzdzg g     n n a a aeaeo o "
	"a a a a e e e e i i i i o o o o "
	"r r r r u u u u s s t t     h h "
	"            a a e e o o o o o o "
	"o o y y               c c l t   "
	"      b u   e e j j     r r y y ";

static const char latin_additional[] =
	"a a b b b b b b c c d d d d d d "
	"d d d d e e e e e e e e e e f f "
	"g g h h h h h h h h h h i i i i "
	"k k k k k k l l l l l l l l m m "
	"m m m m n n n n n n n n o o o o "
	"o o o o p p p p r r r r r r r r "
	"s s s s s s s s s s t t t t t t "
	"t t u u u u u u u u u u v v v v "
	"w w w w w w w w w w x x x x y y "
	"z z z z z z h t w y a s     ss  "
	"a a a a a a a a a a a a a a a a "
	"a a a a a a a a e e e e e e e e "
	"e e e e e e e e i i i i o o o o "
	"o o o o o o o o o o o o o o o o "
	"o o o o u u u u u u u u u u u u "
	"u u y y y y y y y y             ";
#define LATIN_FIRST 0xC0
#define LATIN_LAST 0x24F
#define ADDITIONAL_FIRST 0x1E00
#define ADDITIONAL_LAST 0x1EFF

typedef struct Output
{
	char	   *bytes;
	size_t		length;
	int			blank;			/* one is due before the next character */
} Output;

static void
put(Output *out, const char *bytes, size_t count)
{
	if (out->blank && out->length > 0)
		out->bytes[out->length++] = ' ';
	out->blank = 0;
	while (count-- > 0)
		out->bytes[out->length++] = *bytes++;
}

/* The bytes of the character that begins here, 0 if none does. */
static size_t
character_length(const unsigned char *at, size_t rest)
{
	size_t		length = *at < 0x80 ? 1 : *at < 0xC2 ? 0 : *at < 0xE0 ? 2 :
		*at < 0xF0 ? 3 : *at < 0xF5 ? 4 : 0;

	if (length == 0 || length > rest)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	/* longer than need be, a surrogate, or beyond the last one */
	if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
		(at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F))
		return 0;
	return length;
}

static unsigned
code_point(const unsigned char *at, size_t length)
{
	unsigned	code = length == 1 ? at[0] : at[0] & (0x7F >> length);

	for (size_t i = 1; i < length; i++)
		code = code << 6 | (at[i] & 0x3F);
	return code;
}

static int
is_blank(unsigned code)
{
	return code == ' ' || (code >= '\t' && code <= '\r') || code == 0x85 || code == 0xA0 ||
		(code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
		code == 0x202F || code == 0x205F || code == 0x3000;
}

/* Combining marks, and what has no width. */
static int
is_mark(unsigned code)
{
	return (code >= 0x300 && code <= 0x36F) || code == 0xAD ||
		(code >= 0x200B && code <= 0x200F) || code == 0x2060 || code == 0xFEFF;
}

static const char *
letters_of(unsigned code)
{
	const char *letters = "  ";

	if (code >= LATIN_FIRST && code <= LATIN_LAST)
		letters = latin + 2 * (code - LATIN_FIRST);
	else if (code >= ADDITIONAL_FIRST && code <= ADDITIONAL_LAST)
		letters = latin_additional + 2 * (code - ADDITIONAL_FIRST);
	return letters;
}

static void
fold_character(Output *out, unsigned code, const unsigned char *at, size_t length)
{
	const char *letters;
	char		ascii;

	if (code >= 0xFF01 && code <= 0xFF5E)
		code = code - 0xFF01 + '!';		/* full-width */
	if (code < 0x80)
	{
		ascii = (char) (code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code);
		put(out, &ascii, 1);
		return;
	}
	letters = letters_of(code);
	if (letters[0] == ' ')
		put(out, (const char *) at, length);
	else
		put(out, letters, letters[1] == ' ' ? 1 : 2);
}

size_t
c360_fold_text(const char *text, size_t length, char *out)
{
	const unsigned char *at = (const unsigned char *) text;
	const unsigned char *end = at + length;
	Output		output = {out, 0, 0};

	while (at < end)
	{
		size_t		bytes = character_length(at, (size_t) (end - at));
		unsigned	code;

		if (bytes == 0)
		{
			put(&output, "?", 1);
			at++;
			continue;
		}
		code = code_point(at, bytes);
		if (is_blank(code))
			output.blank = 1;
		else if (!is_mark(code))
			fold_character(&output, code, at, bytes);
		at += bytes;
	}
	return output.length;
}
