/*
** value.c - image values and SQLite values, one into the other.
**
** Out of the image everything is handed over as it is.  The other direction, the right side v of a term
** `column op v` that a key or a filter is to answer, needs care, for SQLite may convert either side before it
** compares:
**
**   1. Each side has an affinity or none.  A column of ours always has one (BLOB if nothing was
**      declared).  If either side's is numeric, text on both sides that looks like a number becomes
**      one (numeric comparison, N).  Otherwise, if the column's is TEXT and the other side has none, numbers
**      become text when they meet text (T).  Otherwise nothing is converted (B).
**   2. A virtual table never learns the affinity of the other side, and the value it is given is not
**      converted yet.  All it may learn is that the other side is a constant (sqlite3_vtab_rhs_value):
**      a literal, which has no affinity, or a CAST of one, which has.  A cast to a numeric type gives a
**      number.  So a constant that is text or a blob never brings N with it; one that is a number may.
**   3. SQLite checks every row it is given again, by the right rules, unless it was told not to (omit).
**
** What is answered may therefore be more than was asked, but never less.  Below stands what that means.
** "Digits" is text that looks like a number; other text is "words".  What a column holds is what its `types`
** mask says of the snapshot that is read.  The comparisons of a column of affinity
**
**     numeric (INTEGER, REAL, NUMERIC)   N
**     TEXT                               N, T or B; if v is a constant and no number, T or B
**     BLOB, or nothing declared          N or B;    if v is a constant and no number, B
**
** and what they do to the rows, v being by now what the core compares with (a number for digits, if the
** column is numeric):
**
**   v number.  Numbers compare as numbers, blobs come behind, in N and B; in T numbers of the column and v are
**      text, both: 9 > 18.5, and 9 differs from 9.0.  Digits are numbers in N, text like
**      v in T, behind all numbers in B.  Words come behind in N and B, but in T `'!' < 5` holds: '!' < '5'.
**      Words never equal v, not even in T, for what v is as text is digits, and no collation calls digits
**      and words equal.  But infinity is 'Inf' as text: of that, in T, = is as doubtful as <.
**   v words.  Words compare as text.  Digits come before in N, as text in T and B.  Numbers come before, but in
**      T they are text.
**   v digits (column TEXT or BLOB).  As words, but in N they are a number.  See below.
**   v blob.  Whatever is converted stays before all blobs.
**
** From that, E = exact, whatever the other side is; + = all rows that match and perhaps more; scan = a row
** that matches may be missed, so the term must not be used:
**
**     v        column    = IS IN      <> IS NOT   < <=             > >=
**     number   numeric   E scan:d     E +:d       E scan:d         E +:d
**     number   TEXT      E scan:dn    E +:d scan:n  E scan:tn      E +:t scan:n
**     number   BLOB      E scan:d     E +:d       E scan:d         E +:d
**     words    numeric   E            +           E scan:d         E +:d
**     text     TEXT      E scan:n     +           E scan:n,dw      E scan:n +:d
**     text     BLOB      E scan:nd    +           E scan:nd,dw     E scan:nd +:d
**     blob     any       E            E           E                E
**     NULL     any       nothing is equal, less or more; IS NULL and IS NOT NULL are exact
**
**     :d  if the column holds digits      :t  if it holds text     :n  if it holds numbers
**     :nd if it holds numbers and v is digits, and is no constant
**     :dw if it holds digits and v is words, and is no constant
**     `<>` of text is never more than +, for SQLite does not tell its collation.  The core is asked by BINARY,
**     which drops only what every collation calls equal.
**     The marks :d of text fall away, too, if v is a constant.
**
** A table keeps no digits in a numeric column and no numbers in a TEXT column.  A view can.
**
** OMIT is a promise for all snapshots to come, because a statement lives longer than its plan.  A numeric
** column keeps it: where its comparison is not exact, the cursor compares row by row, digits as the numbers they
** are (vtabcheck.c).  IS NULL and IS NOT NULL keep it.  So do constants that are blobs, and text against a BLOB
** column.  Constant text against a TEXT column keeps it until that column holds numbers, which takes a
** view in the table's place: then the statement ends with a sentence that asks to prepare it again.
**
** One case is left out knowingly: v is digits, and comes from an expression of numeric affinity, and c holds the
** same number as text in another spelling ('5' and '5.0').  A column of a table cannot give such a v, since
** storing converts it; a column of a view made of several SELECTs can.  To allow for it every lookup by a
** text of digits would have to be a scan.
**
** LIKE and GLOB.  SQLite turns c LIKE 'ab%' into c >= 'AB' AND c < 'ac' (NOCASE), whose second term no blob
** passes, though LIKE takes a blob for text.  And both functions compare characters, of which there are several
** spellings beyond ASCII: all bytes that are no UTF-8 are U+FFFD to them.  Terms that may stand for a LIKE are
** marked by the plan, and not used if the column holds anything but text or the value anything but ASCII.
**
** Numbers need no care beyond that: the core finds 5 by 5.0 and the other way round, and compares
** integers with reals exactly, as SQLite does.
*/
#include "ext.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

/*
** True if the lower-case word zWord occurs in z, without case.
*/
static int typeHas(const char *z, const char *zWord) {
  int n = (int)strlen(zWord);
  for (; *z != '\0'; z++) {
    if (sqlite3_strnicmp(z, zWord, n) == 0) return 1;
  }
  return 0;
}

char valueAffinity(const char *zType) {
  if (zType[0] == '\0') return AFF_BLOB;
  if (typeHas(zType, "int")) return AFF_INTEGER;
  if (typeHas(zType, "char") || typeHas(zType, "clob") || typeHas(zType, "text")) return AFF_TEXT;
  if (typeHas(zType, "blob")) return AFF_BLOB;
  if (typeHas(zType, "real") || typeHas(zType, "floa") || typeHas(zType, "doub")) return AFF_REAL;
  return AFF_NUMERIC;
}

const char *valueClip(char zBuf[CLIP_MOST + 4], const char *z, int nMost) {
  size_t n = (size_t)nMost;
  assert(nMost <= CLIP_MOST);
  if (memchr(z, 0, n + 1) != NULL) return z;
  while (n > 0 && (z[n] & 0xc0) == 0x80) n--;
  memcpy(zBuf, z, n);
  memcpy(zBuf + n, "...", 4);
  return zBuf;
}

static const char *const azCollation[] = {
    [MMAPSYNC_BINARY] = "BINARY", [MMAPSYNC_NOCASE] = "NOCASE", [MMAPSYNC_RTRIM] = "RTRIM"};

int valueCollation(const char *zColl) {
  int e = MMAPSYNC_BINARY;
  while (e <= MMAPSYNC_RTRIM && sqlite3_stricmp(zColl, azCollation[e]) != 0) e++;
  return e <= MMAPSYNC_RTRIM ? e : -1;
}

const char *valueCollationName(int eColl) {
  assert(eColl >= MMAPSYNC_BINARY && eColl <= MMAPSYNC_RTRIM);
  return azCollation[eColl];
}

void valuePattern(const char *z, int bGlob, Pattern *pOut) {
  const char *zWild = bGlob ? "*?[" : "%_";
  size_t i = 0;
  pOut->nPrefix = pOut->iPart = pOut->nPart = 0;
  for (;;) {
    size_t iRun = i;
    while (z[i] != '\0' && (z[i] & 0x80) == 0 && strchr(zWild, z[i]) == NULL) i++;
    if (iRun == 0) pOut->nPrefix = i;
    if (i - iRun > pOut->nPart) {
      pOut->iPart = iRun;
      pOut->nPart = i - iRun;
    }
    if (z[i] == '\0' || z[i] == '[')
      return; /* what a set holds is not looked at, nor what is behind */
    i++;
  }
}

/*
** Whether one of the n bytes is zero.  Most texts are short, and a call would take longer.  Eight bytes from p
** can be read: what is in an image has the trailer behind it.
*/
static int textHasNul(const char *p, uint32_t n) {
  const uint64_t m1 = UINT64_C(0x0101010101010101), m8 = UINT64_C(0x8080808080808080);
  uint64_t w, mZero = 0;
  uint32_t i;
  if (n > 64) return memchr(p, 0, n) != NULL;
  if (n < 8) {
    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    /* The lowest byte marked is zero; those above it may be marked wrongly. */
    return ((w - m1) & ~w & m8 & ((UINT64_C(1) << 8 * n) - 1)) != 0;
  }
  for (i = 0; i < n - 8; i += 8) {
    memcpy(&w, p + i, 8);
    mZero |= (w - m1) & ~w;
  }
  memcpy(&w, p + n - 8, 8);
  return ((mZero | ((w - m1) & ~w)) & m8) != 0;
}

/*
** Text goes out such that SQLite knows that it is terminated, so that sqlite3_column_text() need not copy it to
** terminate it.  Since 3.52 an encoding says so; before, only text whose length SQLite counts itself is known to
** be.  p[n] can be read: in an image a NUL byte follows every text, and behind the image there is the trailer.  That
** a column is clean spares looking for a NUL within; if that is a lie the text is cut there, and no more.
*/
#define UTF8_ZT    16 /* SQLITE_UTF8_ZT, which older headers do not have */
#define VERSION_ZT 3052000

static int hostVersion(void) {
  static _Atomic int iVersion; /* 0: not asked yet */
  int iHost = atomic_load_explicit(&iVersion, memory_order_relaxed);
  if (__builtin_expect(iHost == 0, 0)) {
    iHost = sqlite3_libversion_number();
    atomic_store_explicit(&iVersion, iHost, memory_order_relaxed);
  }
  return iHost;
}

int valueEnds(uint32_t flags) {
  return (flags & MMAPSYNC_COLUMN_CLEAN) != 0 && hostVersion() < VERSION_ZT;
}

void valueTextSlow(sqlite3_context *pCtx, const char *p, uint32_t n) {
  if (p[n] == '\0' && hostVersion() >= VERSION_ZT) {
    sqlite3_result_text64(pCtx, p, n, SQLITE_STATIC, UTF8_ZT);
  } else if (n < 0x7fffffff && p[n] == '\0' && !textHasNul(p, n)) {
    sqlite3_result_text(pCtx, p, -1, SQLITE_STATIC);
  } else {
    sqlite3_result_text64(pCtx, p, n, SQLITE_STATIC, SQLITE_UTF8);
  }
}

void valueResult(sqlite3_context *pCtx, const mmapsync_value *p, int bEnds) {
  switch (p->type) {
  case MMAPSYNC_INTEGER: sqlite3_result_int64(pCtx, p->u.i); break;
  case MMAPSYNC_REAL: sqlite3_result_double(pCtx, p->u.r); break;
  case MMAPSYNC_TEXT: valueText(pCtx, p->u.p, p->n, bEnds); break;
  case MMAPSYNC_BLOB:
    if (p->n == 0) {
      sqlite3_result_zeroblob(pCtx, 0); /* a null pointer would give NULL */
    } else {
      sqlite3_result_blob64(pCtx, p->u.p, p->n, SQLITE_STATIC);
    }
    break;
  default:
    assert(p->type == MMAPSYNC_NULL);
    sqlite3_result_null(pCtx);
    break;
  }
}

/* ---- the right side of a term ----------------------------------------------------------------- */

/* The columns of the table at the head of this file. */
static int opIsEqual(int op) { return op == MMAPSYNC_EQ || op == MMAPSYNC_IS || op == MMAPSYNC_IN; }
static int opIsUnequal(int op) { return op == MMAPSYNC_NE || op == MMAPSYNC_ISNOT; }
static int opIsLess(int op) { return op == MMAPSYNC_LT || op == MMAPSYNC_LE; }

#define HOLDS_TEXT   (1u << MMAPSYNC_TEXT)
#define HOLDS_NUMBER (1u << MMAPSYNC_INTEGER | 1u << MMAPSYNC_REAL)
#define HOLDS_DIGITS MMAPSYNC_TYPES_NUMERIC_TEXT

static int termNumber(int op, char aff, unsigned types, const mmapsync_value *v) {
  const int bWords = v->type == MMAPSYNC_REAL && isinf(v->u.r);
  unsigned mDoubt = aff == AFF_TEXT && (bWords || (!opIsEqual(op) && !opIsUnequal(op)))
                        ? HOLDS_TEXT
                        : HOLDS_DIGITS;
  if (aff == AFF_TEXT && (types & HOLDS_NUMBER) != 0) return VALUE_SCAN;
  if ((types & mDoubt) == 0) return VALUE_EXACT;
  return opIsEqual(op) || opIsLess(op) ? VALUE_SCAN : VALUE_MORE;
}

/*
** bDigits: whether v is digits.  Never so for a numeric column, where they are a number by now.
*/
static int termText(int op, char aff, unsigned types, int bConst, int bDigits) {
  const int holdsDigits = (types & HOLDS_DIGITS) != 0;
  if (opIsUnequal(op)) return VALUE_MORE;
  if (aff == AFF_TEXT && (types & HOLDS_NUMBER) != 0) return VALUE_SCAN;
  if (bConst && aff < AFF_NUMERIC) return VALUE_EXACT;
  if (aff == AFF_BLOB && (types & HOLDS_NUMBER) != 0 && bDigits) return VALUE_SCAN;
  if (opIsEqual(op) || !holdsDigits) return VALUE_EXACT;
  return opIsLess(op) && !bDigits ? VALUE_SCAN : VALUE_MORE;
}

/*
** Fills in *pOut with the bytes of a text, or of a blob, which stay the value's.
*/
static int valueChars(sqlite3_value *pVal, mmapsync_value *pOut) {
  pOut->type = MMAPSYNC_TEXT;
  pOut->u.p = sqlite3_value_text(pVal);
  pOut->n = (uint32_t)sqlite3_value_bytes(pVal);
  return pOut->u.p == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/* No bytes have no address.  (Nor has a zeroblob() for which there is no memory, but then SQLite ends the statement.) */
static void valueBlob(sqlite3_value *pVal, mmapsync_value *pOut) {
  const void *p = sqlite3_value_blob(pVal);
  pOut->type = MMAPSYNC_BLOB;
  pOut->u.p = p == NULL ? "" : p;
  pOut->n = p == NULL ? 0 : (uint32_t)sqlite3_value_bytes(pVal);
}

static void valueNumber(sqlite3_value *pVal, int eType, mmapsync_value *pOut) {
  pOut->n = 0;
  if (eType == SQLITE_INTEGER) {
    pOut->type = MMAPSYNC_INTEGER;
    pOut->u.i = sqlite3_value_int64(pVal);
  } else {
    pOut->type = MMAPSYNC_REAL;
    pOut->u.r = sqlite3_value_double(pVal);
  }
}

/*
** Whether text can be digits at all, by its first byte that is not white space.
*/
static int textMayBeDigits(const mmapsync_value *p) {
  const char *z = p->u.p;
  uint32_t i = 0;
  while (i < p->n && (z[i] == ' ' || (z[i] >= '\t' && z[i] <= '\r'))) i++;
  return i < p->n && ((z[i] >= '0' && z[i] <= '9') || z[i] == '.' || z[i] == '+' || z[i] == '-');
}

int valueDigits(sqlite3_value *pVal, mmapsync_value *pOut) {
  mmapsync_value text;
  sqlite3_value *pCopy;
  int eType;
  if (valueChars(pVal, &text) != SQLITE_OK) return -1;
  if (!textMayBeDigits(&text)) return 0;
  /* Only a copy is asked whether it looks like a number: asking converts. */
  pCopy = sqlite3_value_dup(pVal);
  if (pCopy == NULL) return -1;
  eType = sqlite3_value_numeric_type(pCopy);
  if (eType != SQLITE_TEXT) valueNumber(pCopy, eType, pOut);
  sqlite3_value_free(pCopy);
  return eType != SQLITE_TEXT;
}

int valueForTerm(sqlite3_value *pVal, int op, char aff, unsigned types, int bConst,
                 mmapsync_value *pOut) {
  int eType = sqlite3_value_type(pVal);
  int bDigits = 0;
  if (eType == SQLITE_NULL) {
    pOut->type = MMAPSYNC_NULL;
    pOut->n = 0;
    return op == MMAPSYNC_IS || op == MMAPSYNC_ISNOT ? VALUE_EXACT : VALUE_NONE;
  }
  if (eType == SQLITE_INTEGER || eType == SQLITE_FLOAT) {
    valueNumber(pVal, eType, pOut);
    return termNumber(op, aff, types, pOut);
  }
  if (eType == SQLITE_BLOB) {
    valueBlob(pVal, pOut);
    return VALUE_EXACT;
  }
  if (aff >= AFF_NUMERIC || (types & (HOLDS_DIGITS | HOLDS_NUMBER)) != 0) {
    mmapsync_value number;
    bDigits = valueDigits(pVal, &number);
    if (bDigits < 0) return VALUE_NOMEM;
    if (bDigits && aff >= AFF_NUMERIC) {
      *pOut = number;
      return termNumber(op, aff, types, pOut);
    }
  }
  if (valueChars(pVal, pOut) != SQLITE_OK) return VALUE_NOMEM;
  return termText(op, aff, types, bConst, bDigits);
}
