/*
** order.h - when two values are equal, which comes first, and what they hash to.
**
** The rules are SQLite's: NULL, then numbers, then text under a collation, then blobs.  The hash is
** part of the image format: it agrees with equality, so an integer and a real that are the same
** number hash alike, and so does text that a collation calls equal.
*/
#ifndef MMAPSYNC_ORDER_H
#define MMAPSYNC_ORDER_H

#include "mmapsync.h"

/* Less than, equal to or greater than 0; exact beyond 2^53, where a cast of either side is not. */
int orderIntReal(int64_t i, double r);

/* NULL, or a NaN, which stands for it: SQLite makes no other use of one. */
int orderIsNull(const mmapsync_value *v);

/* Whether numeric affinity would make a number of this text: optional white space (ASCII), sign, digits with
** or without a point, exponent, white space, and nothing else, or NUL and anything: SQLite 3.54 takes that for the
** end, older ones do not. */
int orderNumericText(const void *bytes, size_t n);

/* Chains one value onto the hash of the values before it (start with 0). */
uint64_t orderHash(const mmapsync_value *v, int collation, uint64_t seed);

/* Bytes depth..depth+6 of a text or blob as a number that orders as they do; what is missing counts as
** zeros.  *left tells what equal numbers mean: both 0, there are more bytes to look at; both the same
** from 1 to 8, the values are equal (1 + the bytes that were left at depth); otherwise only a
** comparison can tell. */
#define ORDER_PREFIX 7
#define ORDER_UNSURE 255
uint64_t orderPrefix(const mmapsync_value *v, int collation, size_t depth, uint8_t *left);

/* 1 if two names are the same but for the case of ASCII letters, whatever the locale says. */
int orderSameName(const char *a, const char *b);

/* 1 if a collation number is one the core knows. */
int orderCollationOk(int collation);

#endif
