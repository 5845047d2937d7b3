/*
 * phone.c
 *		Vietnamese phone numbers: any spelling to one canonical form.
 *
 * The phone is the key of a customer, so every function that takes one brings
 * it to the same form first, and that must cost next to nothing: one pass over
 * the bytes, which stops as soon as there are more digits than a phone can
 * have.  The comments name the rules of the specification, section 2.
 *
 * Bytes in, bytes out: no server calls and no allocation, so that this file
 * can be fuzzed and measured alone, and no setting is read, so that the result
 * may stand in an index.
 */
#include <string.h>

#include "phone.h"

/* Rule 4: operator prefixes of before 2018, and what replaced them. */
static const struct
{
	char		before[5];
	char		after[4];
}			old_prefixes[] =
{
	{"0162", "032"}, {"0163", "033"}, {"0164", "034"}, {"0165", "035"},
	{"0166", "036"}, {"0167", "037"}, {"0168", "038"}, {"0169", "039"},
	{"0120", "070"}, {"0121", "079"}, {"0122", "077"}, {"0126", "076"},
	{"0128", "078"},
	{"0123", "083"}, {"0124", "084"}, {"0125", "085"}, {"0127", "081"},
	{"0129", "082"},
	{"0186", "056"}, {"0188", "058"},
	{"0199", "059"}
};

/* Carriers by the two digits after the 0; longest counts all digits. */
static const struct
{
	int			first;
	int			last;
	size_t		longest;
	const char *name;
}			carriers[] =
{
	{86, 86, 10, "Viettel"}, {96, 98, 10, "Viettel"}, {32, 39, 10, "Viettel"},
	{88, 88, 10, "Vinaphone"}, {91, 91, 10, "Vinaphone"},
	{94, 94, 10, "Vinaphone"}, {81, 85, 10, "Vinaphone"},
	{89, 90, 10, "Mobifone"}, {93, 93, 10, "Mobifone"},
	{70, 70, 10, "Mobifone"}, {76, 79, 10, "Mobifone"},
	{52, 52, 10, "Vietnamobile"}, {56, 56, 10, "Vietnamobile"},
	{58, 58, 10, "Vietnamobile"}, {92, 92, 10, "Vietnamobile"},
	{59, 59, 10, "Gmobile"}, {99, 99, 10, "Gmobile"},
	{87, 87, 10, "iTel"},
	{55, 55, 10, "Wintel"},
	{20, 29, 11, "landline"}
};

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Rule 1.  A full-width digit is the bytes EF BC 90 to EF BC 99.  EF begins a
 * character wherever it stands in UTF-8, so bytes can be looked at one by one.
 */
static inline size_t
take_digits(const char *raw, size_t length, char *digits, size_t capacity)
{
	const unsigned char *byte = (const unsigned char *) raw;
	const unsigned char *end = byte + length;
	size_t		count = 0;

	for (; byte < end; byte++)
	{
		unsigned	digit = (unsigned) *byte - '0';

		if (digit > 9)
		{
			if (*byte != 0xEF || end - byte < 3 || byte[1] != 0xBC)
				continue;
			digit = (unsigned) byte[2] - 0x90;
			if (digit > 9)
				continue;
			byte += 2;
		}
		if (count == capacity)
			return capacity + 1;
		digits[count++] = (char) ('0' + digit);
	}
	return count;
}

/*
 * Rule 2: a leading 84 is the country code when 9 or 10 digits follow, or a 0
 * and 9 or 10 digits.
 */
static inline bool
begins_with_84(const char *digits, size_t count)
{
	if (count < 11 || digits[0] != '8' || digits[1] != '4')
		return false;
	return count <= 12 || (count == 13 && digits[2] == '0');
}

/* Rule 4.  The new number is one digit shorter. */
static void
replace_old_prefix(char phone[C360_PHONE_MAX + 1])
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(old_prefixes); i++)
	{
		if (memcmp(phone, old_prefixes[i].before, 4) == 0)
		{
			memcpy(phone, old_prefixes[i].after, 3);
			memmove(phone + 3, phone + 4, C360_PHONE_MAX - 4 + 1);
			return;
		}
	}
}

bool
c360_phone_normalize(const char *raw, size_t length,
					 char out[C360_PHONE_MAX + 1])
{
	char		digits[C360_PHONE_DIGITS_MAX];
	const char *number = digits;
	size_t		count;
	bool		country = false;
	bool		needs_zero;

	/* Rule 1; nothing shorter than nine digits can pass rule 5. */
	count = take_digits(raw, length, digits, sizeof(digits));
	if (count < 9 || count > sizeof(digits))
		return false;

	/* Rule 2: the country code, once. */
	if (memcmp(number, "0084", 4) == 0)
	{
		country = true;
		number += 4;
		count -= 4;
	}
	if (begins_with_84(number, count))
	{
		country = true;
		number += 2;
		count -= 2;
	}

	/* The rest of rule 2, and rule 3. */
	if (country)
		needs_zero = number[0] != '0';
	else
		needs_zero = count == 9 || (count == 10 && number[0] == '2');
	if (count + needs_zero < 10 || count + needs_zero > C360_PHONE_MAX)
		return false;
	out[0] = '0';
	memcpy(out + needs_zero, number, count);
	count += needs_zero;
	out[count] = '\0';

	/* Rule 4, for eleven digits. */
	if (count == 11 && out[1] == '1')
		replace_old_prefix(out);

	/* Rule 5; the length is right already. */
	return out[0] == '0' && out[1] != '0';
}

const char *
c360_phone_carrier(const char *phone, size_t length)
{
	int			prefix;
	size_t		i;

	if (length < 10 || phone[0] != '0')
		return NULL;
	prefix = (phone[1] - '0') * 10 + (phone[2] - '0');
	for (i = 0; i < LENGTH_OF(carriers); i++)
	{
		if (prefix >= carriers[i].first && prefix <= carriers[i].last)
			return length <= carriers[i].longest ? carriers[i].name : NULL;
	}
	return NULL;
}

size_t
c360_phone_digits(const char *raw, size_t length, char *digits, size_t capacity)
{
	return take_digits(raw, length, digits, capacity);
}
