/*
** value.c - image values and SQLite values, one into the other.
**
** Out of the image everything is handed over as it is.  The other direction, the right side of
** `column = value` in a lookup, needs care, for SQLite may convert either side before it compares:
**
**   1. Each side has an affinity or none.  A column of ours always has one (BLOB if nothing was
**      declared).  If either side's is numeric, text on both sides that looks like a number is
**      converted.  Otherwise, if one side has none and the column's is TEXT, numbers are converted to
**      text when they meet text.  Otherwise nothing is converted.
**   2. A virtual table never learns the affinity of the other side, and the value it is given is not
**      converted yet.
**   3. SQLite checks every row it is given again, by the right rules.
**
** So a lookup may find rows too many, but must never miss one.  What that means for each value v and
** column c, where "holds" is what the column's `types` mask says of the snapshot that is read:
**
**   c numeric (INTEGER, REAL, NUMERIC): the comparison is numeric whatever the other side is.
**      v text that looks like a number   is that number, see the next line
**      v number                          equals numbers, and text in c that looks like a number: a
**                                        lookup is exact unless c holds text, then scan.  (A table
**                                        keeps no such text in such a column, a view can.)
**      v other text, v blob              equals itself only: lookup
**   c TEXT: text with text if the other side has no affinity or TEXT or BLOB; numeric if numeric.
**      v number                          '5.0' in c equals 5 or does not, as the other side's
**                                        affinity has it: scan.  But if c holds no text nothing is
**                                        converted: lookup
**      v text                            equals itself, and numbers in c that read like it: lookup
**                                        unless c holds numbers (a view can), then scan
**      v blob                            lookup
**   c BLOB or nothing declared: numeric if the other side is, else nothing is converted.
**      v number                          as for TEXT
**      v text                            equals itself, and if it looks like a number and the other
**                                        side is numeric, numbers in c: lookup unless c holds numbers
**                                        and v looks like one, then scan
**      v blob                            lookup
**   v NULL                               equals nothing
**
** One case is left out knowingly: v is text that looks like a number, and comes from an expression of
** numeric affinity, and c holds the same number as text in another spelling ('5' and '5.0').  A
** column of a table cannot give such a v, since storing converts it; a column of a view made of
** several SELECTs can.  To allow for it every lookup by a text of digits would have to be a scan.
**
** Numbers need no care beyond that: the core finds 5 by 5.0 and the other way round, and compares
** integers with reals exactly, as SQLite does.
*/
#include "ext.h"

#include <assert.h>
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
  if (zType == NULL || zType[0] == '\0') return AFF_BLOB;
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
  int e = MMAPSYNC_RTRIM;
  while (e >= 0 && sqlite3_stricmp(zColl, azCollation[e]) != 0) e--;
  return e;
}

const char *valueCollationName(int eColl) {
  assert(eColl >= MMAPSYNC_BINARY && eColl <= MMAPSYNC_RTRIM);
  return azCollation[eColl];
}

/*
** Text goes out with its length counted by SQLite where that gives the same, because SQLite then knows
** that it is terminated and sqlite3_column_text() need not copy it to terminate it.  p[n] can be read:
** in an image a NUL byte follows every text, and behind the image there is the trailer.
*/
static void resultText(sqlite3_context *pCtx, const char *p, uint32_t n) {
  if (p[n] == '\0' && memchr(p, 0, n) == NULL && n < 0x7fffffff) {
    sqlite3_result_text(pCtx, p, -1, SQLITE_STATIC);
  } else {
    sqlite3_result_text64(pCtx, p, n, SQLITE_STATIC, SQLITE_UTF8);
  }
}

void valueResult(sqlite3_context *pCtx, const mmapsync_value *p) {
  switch (p->type) {
  case MMAPSYNC_INTEGER: sqlite3_result_int64(pCtx, p->u.i); break;
  case MMAPSYNC_REAL: sqlite3_result_double(pCtx, p->u.r); break;
  case MMAPSYNC_TEXT: resultText(pCtx, p->u.p, p->n); break;
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

/*
** Fills in *pOut with the bytes of a text or blob, which stay the value's.
*/
static int lookupBytes(sqlite3_value *pVal, int eType, mmapsync_value *pOut) {
  pOut->type = eType == SQLITE_TEXT ? MMAPSYNC_TEXT : MMAPSYNC_BLOB;
  pOut->u.p =
      eType == SQLITE_TEXT ? (const void *)sqlite3_value_text(pVal) : sqlite3_value_blob(pVal);
  pOut->n = (uint32_t)sqlite3_value_bytes(pVal);
  if (pOut->u.p == NULL) {
    if (eType == SQLITE_TEXT || pOut->n > 0) return VALUE_NOMEM;
    pOut->u.p = "";
  }
  return VALUE_LOOKUP;
}

static void lookupNumber(sqlite3_value *pVal, int eType, mmapsync_value *pOut) {
  pOut->n = 0;
  if (eType == SQLITE_INTEGER) {
    pOut->type = MMAPSYNC_INTEGER;
    pOut->u.i = sqlite3_value_int64(pVal);
  } else {
    pOut->type = MMAPSYNC_REAL;
    pOut->u.r = sqlite3_value_double(pVal);
  }
}

int valueForLookup(sqlite3_value *pVal, char aff, unsigned types, mmapsync_value *pOut,
                   sqlite3_value **ppHold) {
  const int holdsText = (types & (1u << MMAPSYNC_TEXT)) != 0;
  const int holdsNumber = (types & (1u << MMAPSYNC_INTEGER | 1u << MMAPSYNC_REAL)) != 0;
  int eType = sqlite3_value_type(pVal);
  *ppHold = NULL;
  if (eType == SQLITE_NULL) return VALUE_NONE;
  if (eType == SQLITE_BLOB) return lookupBytes(pVal, eType, pOut);
  if (eType == SQLITE_TEXT) {
    if (aff == AFF_TEXT) {
      if (holdsNumber) return VALUE_SCAN;
    } else if (aff != AFF_BLOB || holdsNumber) {
      /* Only a copy is asked whether it looks like a number: asking converts. */
      sqlite3_value *pCopy = sqlite3_value_dup(pVal);
      int eCopy;
      if (pCopy == NULL) return VALUE_NOMEM;
      eCopy = sqlite3_value_numeric_type(pCopy);
      if (eCopy != SQLITE_TEXT) {
        lookupNumber(pCopy, eCopy, pOut);
        sqlite3_value_free(pCopy);
        if (aff == AFF_BLOB) return VALUE_SCAN;
        return holdsText ? VALUE_SCAN : VALUE_LOOKUP;
      }
      *ppHold = pCopy; /* still text, and already at hand in memory of its own */
      pVal = pCopy;
    }
    return lookupBytes(pVal, eType, pOut);
  }
  if (holdsText) return VALUE_SCAN;
  lookupNumber(pVal, eType, pOut);
  return VALUE_LOOKUP;
}
