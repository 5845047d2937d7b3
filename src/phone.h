/*
 * phone.h
 *		Vietnamese phone numbers: one canonical spelling, and the carrier.
 */
#ifndef C360_PHONE_H
#define C360_PHONE_H

#include <stdbool.h>
#include <stddef.h>

/* The longest canonical phone: 0 and ten digits (a landline). */
#define C360_PHONE_MAX 11

/* The most digits that still hold a phone: 0084, 84, 0 and ten digits. */
#define C360_PHONE_DIGITS_MAX 17

/*
 * Writes the canonical form of the phone in raw to out, ending in NUL; false
 * (and out undefined) when raw holds none.
 */
extern bool c360_phone_normalize(const char *raw, size_t length,
								 char out[C360_PHONE_MAX + 1]);

/* The carrier of a canonical phone, or NULL. */
extern const char *c360_phone_carrier(const char *phone, size_t length);

/*
 * The decimal digits of raw, ASCII and full-width, written to digits as ASCII
 * without NUL.  Returns their number, or capacity + 1 if there are more.
 */
extern size_t c360_phone_digits(const char *raw, size_t length,
								char *digits, size_t capacity);

#endif							/* C360_PHONE_H */
