/*
 * phone_fuzzer.c
 *		libFuzzer target of src/phone.c.
 *
 * Besides memory errors it looks for answers that break the rules of the
 * specification, section 2: each input is also read by a second, slow
 * implementation that follows the text word by word, and whatever comes out
 * must be canonical and come out again from every spelling of itself.
 */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "phone.h"

#define DIGITS_ROOM 64

/* Rule 4 as pairs of before and after. */
static const char *const replaced[][2] = {
	{"0162", "032"}, {"0163", "033"}, {"0164", "034"}, {"0165", "035"},
	{"0166", "036"}, {"0167", "037"}, {"0168", "038"}, {"0169", "039"},
	{"0120", "070"}, {"0121", "079"}, {"0122", "077"}, {"0126", "076"},
	{"0128", "078"}, {"0123", "083"}, {"0124", "084"}, {"0125", "085"},
	{"0127", "081"}, {"0129", "082"}, {"0186", "056"}, {"0188", "058"},
	{"0199", "059"}
};

/* Rule 1, as a string; cut where no rule could still save the number. */
static void
slow_digits(const uint8_t *data, size_t size, char text[DIGITS_ROOM])
{
	size_t		count = 0;
	size_t		i;

	for (i = 0; i < size && count < DIGITS_ROOM - 1; i++)
	{
		if (data[i] >= '0' && data[i] <= '9')
			text[count++] = (char) data[i];
		else if (size - i >= 3 && data[i] == 0xEF && data[i + 1] == 0xBC &&
				 data[i + 2] >= 0x90 && data[i + 2] <= 0x99)
			text[count++] = (char) ('0' + data[i + 2] - 0x90);
	}
	text[count] = '\0';
}

static int
drop_84(char *text)
{
	size_t		follow = strlen(text) - 2;

	if (strncmp(text, "84", 2) != 0)
		return 0;
	if (follow != 9 && follow != 10 &&
		!(text[2] == '0' && (follow - 1 == 9 || follow - 1 == 10)))
		return 0;
	memmove(text, text + 2, follow + 1);
	return 1;
}

static void
put_zero(char *text)
{
	memmove(text + 1, text, strlen(text) + 1);
	text[0] = '0';
}

/* Rules 1 to 5, one after the other. */
static int
slow_normalize(const uint8_t *data, size_t size, char text[DIGITS_ROOM + 1])
{
	int			country = 0;
	size_t		i;

	slow_digits(data, size, text);
	if (strncmp(text, "0084", 4) == 0)
	{
		memmove(text, text + 4, strlen(text) - 4 + 1);
		country = 1;
	}
	country |= drop_84(text);
	if (country && text[0] != '0')
		put_zero(text);
	if (!country && (strlen(text) == 9 ||
					 (strlen(text) == 10 && text[0] == '2')))
		put_zero(text);
	for (i = 0; strlen(text) == 11 &&
		 i < sizeof(replaced) / sizeof(replaced[0]); i++)
	{
		if (strncmp(text, replaced[i][0], 4) == 0)
		{
			memmove(text + 3, text + 4, strlen(text + 4) + 1);
			memcpy(text, replaced[i][1], 3);
		}
	}
	return (strlen(text) == 10 || strlen(text) == 11) &&
		text[0] == '0' && text[1] != '0';
}

/* The phone must be read from this spelling of it. */
static void
check_spelling(const char *before, const char *digits, const char *phone)
{
	char		spelling[32];
	char		again[C360_PHONE_MAX + 1];

	snprintf(spelling, sizeof(spelling), "%s%s", before, digits);
	CHECK(c360_phone_normalize(spelling, strlen(spelling), again));
	CHECK(strcmp(again, phone) == 0);
}

static void
check_phone(const char *phone)
{
	size_t		length = strlen(phone);
	const char *carrier = c360_phone_carrier(phone, length);

	CHECK(length == 10 || length == 11);
	CHECK(strspn(phone, "0123456789") == length);
	CHECK(carrier == NULL || length == 10 || strcmp(carrier, "landline") == 0);
	check_spelling("", phone, phone);
	check_spelling("+84", phone, phone);
	check_spelling("+84", phone + 1, phone);
	check_spelling("0084", phone, phone);
	check_spelling("0084", phone + 1, phone);
	check_spelling("0084 84", phone, phone);
	check_spelling("0084 84", phone + 1, phone);
	if (length == 10 || phone[1] == '2')
		check_spelling("", phone + 1, phone);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char		phone[C360_PHONE_MAX + 1];
	char		expected[DIGITS_ROOM + 1];
	bool		found = c360_phone_normalize((const char *) data, size, phone);

	CHECK(found == (slow_normalize(data, size, expected) != 0));
	if (found)
	{
		CHECK(strcmp(phone, expected) == 0);
		check_phone(phone);
	}
	return 0;
}
