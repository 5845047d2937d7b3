/*
 * fold.h
 *		Text as search compares it: lower case, without accents.
 */
#ifndef C360_FOLD_H
#define C360_FOLD_H

#include <stddef.h>

/*
 * Writes the folded form of text to out, which has room for length bytes and
 * gets no NUL.  Returns its length, never more than that of the text.
 */
extern size_t c360_fold_text(const char *text, size_t length, char *out);

#endif							/* C360_FOLD_H */
