/*
** order.c - comparing and hashing values by SQLite's rules.
**
** COMPARISON.  Storage classes come first: NULL < INTEGER and REAL < TEXT < BLOB.  Text compares as
** bytes, the shorter first where one is a prefix of the other, after the collation has had its say:
** NOCASE folds A-Z (nothing beyond ASCII, as SQLite does) and, like SQLite's, looks no further than a
** NUL both sides share: from there on only the lengths count.  RTRIM drops trailing spaces.  An integer
** against a real compares by value, never by casting the integer to double: 2^53+1 as a double is 2^53.
**
** HASH.  Where comparison says equal, the hash must be equal:
**
**     NULL      never looked up by hash; given a constant all the same
**     INTEGER   a mix of its 64 bits
**     REAL      that of the integer if it is one that fits 64 bits (so 1.0 finds 1, and -0.0 finds 0),
**               otherwise XXH3 of its 8 bytes
**     TEXT      XXH3 of its bytes after the collation's folding or trimming
**     BLOB      XXH3 of its bytes, under another seed than text
**
** A key of several columns chains: the hash of one part seeds the next.
*/
#include "order.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "hash.h"

#define TWO63 9223372036854775808.0 /* 2^63, exact as a double */

static uint8_t foldByte(uint8_t c) { return (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c); }

/* Bytes of text that count under the collation. */
static size_t textLength(const mmapsync_value *v, int collation) {
  const uint8_t *z = v->u.p;
  size_t n = v->n;
  if (collation == MMAPSYNC_RTRIM) {
    while (n > 0 && z[n - 1] == ' ') n--;
  }
  return n;
}

int orderSameName(const char *a, const char *b) {
  while (*a && foldByte((uint8_t)*a) == foldByte((uint8_t)*b)) a++, b++;
  return foldByte((uint8_t)*a) == foldByte((uint8_t)*b);
}

int orderCollationOk(int collation) {
  return collation >= MMAPSYNC_BINARY && collation <= MMAPSYNC_RTRIM;
}

int orderIntReal(int64_t i, double r) {
  int64_t whole;
  double part;
  assert(r == r); /* who calls has seen that it is no NaN, which stands for NULL */
  if (r >= TWO63) return -1;
  if (r < -TWO63) return 1;
  whole = (int64_t)r; /* truncates toward zero */
  if (i != whole) return i < whole ? -1 : 1;
  part = r - (double)whole; /* exact: where doubles have a fraction, whole is below 2^53 */
  return part > 0 ? -1 : part < 0;
}

static int compareBytes(const uint8_t *a, size_t na, const uint8_t *b, size_t nb) {
  size_t n = na < nb ? na : nb;
  int c = n ? memcmp(a, b, n) : 0;
  if (c) return c;
  return (na > nb) - (na < nb);
}

static int onlySpaces(const uint8_t *z, size_t n) {
  while (n > 0 && *z == ' ') z++, n--;
  return n == 0;
}

/* Without trailing spaces, which are looked for only where they would tell: a long text is mostly left alone. */
static int compareTrimmed(const uint8_t *a, size_t na, const uint8_t *b, size_t nb) {
  size_t i = 0, n = na < nb ? na : nb;
  while (i < n && a[i] == b[i]) i++;
  if (i < n && a[i] != ' ' && b[i] != ' ') return a[i] < b[i] ? -1 : 1;
  na = onlySpaces(a + i, na - i) ? 0 : na - i; /* what is left of either */
  nb = onlySpaces(b + i, nb - i) ? 0 : nb - i;
  if (na == 0 || nb == 0) return (na > 0) - (nb > 0);
  return a[i] < b[i] ? -1 : 1;
}

static int compareText(const mmapsync_value *a, const mmapsync_value *b, int collation) {
  size_t na = a->n, nb = b->n;
  const uint8_t *za = a->u.p, *zb = b->u.p;
  size_t i, n = na < nb ? na : nb;
  if (collation == MMAPSYNC_RTRIM) return compareTrimmed(za, na, zb, nb);
  if (collation != MMAPSYNC_NOCASE) return compareBytes(za, na, zb, nb);
  for (i = 0; i < n; i++) {
    int c = foldByte(za[i]) - foldByte(zb[i]);
    if (c) return c;
    if (za[i] == 0) break;
  }
  return (na > nb) - (na < nb);
}

int orderIsNull(const mmapsync_value *v) {
  return v->type == MMAPSYNC_NULL || (v->type == MMAPSYNC_REAL && v->u.r != v->u.r);
}

static int isSpace(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static int isDigit(uint8_t c) { return c >= '0' && c <= '9'; }

int orderNumericText(const void *bytes, size_t n) {
  const uint8_t *z = bytes, *end = z + n, *from;
  size_t digits;
  while (z < end && isSpace(*z)) z++;
  if (z < end && (*z == '-' || *z == '+')) z++;
  for (from = z; z < end && isDigit(*z);) z++;
  digits = (size_t)(z - from);
  if (z < end && *z == '.') {
    for (from = ++z; z < end && isDigit(*z);) z++;
    digits += (size_t)(z - from);
  }
  if (digits == 0) return 0;
  if (z < end && (*z == 'e' || *z == 'E')) {
    if (++z < end && (*z == '-' || *z == '+')) z++;
    for (from = z; z < end && isDigit(*z);) z++;
    if (z == from) return 0;
  }
  while (z < end && isSpace(*z)) z++;
  return z == end || *z == 0;
}

/* Where a storage class stands: the two kinds of number share a place. */
static int classOf(const mmapsync_value *v) {
  static const int8_t aClass[] = {0, 1, 1, 2, 3};
  assert(v->type <= MMAPSYNC_BLOB);
  return orderIsNull(v) ? 0 : aClass[v->type];
}

int mmapsync_compare(const mmapsync_value *a, const mmapsync_value *b, int collation) {
  int ca, cb;
  if (a->type == MMAPSYNC_TEXT && b->type == MMAPSYNC_TEXT) return compareText(a, b, collation);
  ca = classOf(a);
  cb = classOf(b);
  if (ca != cb) return ca < cb ? -1 : 1;
  switch (ca) {
  case 0: return 0;
  case 1:
    if (a->type == MMAPSYNC_INTEGER) {
      if (b->type == MMAPSYNC_INTEGER) return (a->u.i > b->u.i) - (a->u.i < b->u.i);
      return orderIntReal(a->u.i, b->u.r);
    }
    if (b->type == MMAPSYNC_INTEGER) return -orderIntReal(b->u.i, a->u.r);
    return (a->u.r > b->u.r) - (a->u.r < b->u.r);
  default: return compareBytes(a->u.p, a->n, b->u.p, b->n);
  }
}

/* Spreads every bit of x over all of them (the finalizer of the SplitMix64 generator). */
static uint64_t mixBits(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* NOCASE: the folded bytes up to the first NUL, and the length. */
static uint64_t hashFolded(const uint8_t *z, size_t n, uint64_t seed) {
  uint8_t aFold[256];
  size_t i = 0, k = 0;
  for (; i < n && z[i]; i++) {
    aFold[k++] = foldByte(z[i]);
    if (k == sizeof(aFold)) {
      seed = hashSeeded(aFold, k, seed);
      k = 0;
    }
  }
  return hashSeeded(aFold, k, seed + n);
}

uint64_t orderHash(const mmapsync_value *v, int collation, uint64_t seed) {
  switch (v->type) {
  case MMAPSYNC_INTEGER: return mixBits((uint64_t)v->u.i + seed * 3 + UINT64_C(0x9e3779b97f4a7c15));
  case MMAPSYNC_REAL:
    if (v->u.r >= -TWO63 && v->u.r < TWO63 && v->u.r == floor(v->u.r)) {
      mmapsync_value whole = {.type = MMAPSYNC_INTEGER, .u.i = (int64_t)v->u.r};
      return orderHash(&whole, collation, seed);
    }
    return hashSeeded(&v->u.r, sizeof(v->u.r), seed + 1);
  case MMAPSYNC_TEXT:
    if (collation == MMAPSYNC_NOCASE) return hashFolded(v->u.p, v->n, seed + 2);
    return hashSeeded(v->u.p, textLength(v, collation), seed + 2);
  case MMAPSYNC_BLOB: return hashSeeded(v->u.p, v->n, seed + 3);
  default: return mixBits(seed);
  }
}

static uint64_t bigEndian32(const uint8_t *z) {
  return (uint64_t)z[0] << 24 | (uint64_t)z[1] << 16 | (uint64_t)z[2] << 8 | z[3]; /* one load */
}

uint64_t orderPrefix(const mmapsync_value *v, int collation, size_t depth, uint8_t *left) {
  const uint8_t *z = v->u.p;
  size_t i, n = v->type == MMAPSYNC_TEXT ? textLength(v, collation) : v->n;
  size_t rest = n > depth ? n - depth : 0;
  uint64_t x = 0;
  *left = (uint8_t)(rest <= ORDER_PREFIX ? 1 + rest : 0);
  assert(v->type == MMAPSYNC_TEXT || collation == MMAPSYNC_BINARY);
  if (rest >= ORDER_PREFIX && collation != MMAPSYNC_NOCASE) {
    return bigEndian32(z + depth) << 24 | (bigEndian32(z + depth + 3) & 0xffffff);
  }
  for (i = 0; i < ORDER_PREFIX; i++) {
    uint8_t c = i < rest ? z[depth + i] : 0;
    if (collation == MMAPSYNC_NOCASE) {
      c = foldByte(c);
      if (c == 0 && i < rest) { /* as in compareText(): nothing behind a NUL counts */
        rest = i;
        *left = ORDER_UNSURE;
      }
    }
    x = x << 8 | c;
  }
  return x;
}
