/*
** filter.h - what the parts of a filter share.
**
**     filter.c      the public calls: rows in, rows that match out
**     filterterm.c  a term, made ready: intervals of numbers, what other storage classes give
**     filterplan.c  a term and a chunk: how to find those of its rows that match; doing so for a block
**     filterloop.c  the loops over arrays of numbers
*/
#ifndef MMAPSYNC_FILTER_H
#define MMAPSYNC_FILTER_H

#include <string.h>

#include "filterloop.h"
#include "image.h"

/* How the rows of one chunk are found that match one term; cheapest first.  All but the last two leave NULL
** rows to the chunk's bitmap. */
typedef enum PlanKind {
  PLAN_CONST,  /* all rows that are not NULL match, or none of them */
  PLAN_ROWS,   /* those from row lo to row lo + span do */
  PLAN_RANGE,  /* elements of `width` bytes from lo to lo + span do */
  PLAN_REALS,  /* doubles from rlo to rhi do */
  PLAN_ANY,    /* elements equal to one of a few values do */
  PLAN_LOOKUP, /* the term's table tells of every element */
  PLAN_EQUAL,  /* texts or blobs of one length, and of the value's bytes */
  PLAN_SEARCH, /* elements that stand among many values do */
  PLAN_HAS, /* texts with certain bytes in them, which are searched for in all of a block at once */
  PLAN_BYTES, /* a comparison of texts or blobs for each row */
  PLAN_MIXED, /* numbers are compared as such, the rest one by one */
  PLAN_VALUES /* one by one */
} PlanKind;

typedef struct Plan {
  PlanKind kind;
  uint8_t in;    /* CONST: whether they match */
  uint8_t flip;  /* those that were found do not match, the others do */
  uint8_t nulls; /* there are NULL rows, and a bitmap of them */
  int first, n;  /* ANY, SEARCH: which of the term's values */
  uint64_t lo, span;
} Plan;

typedef struct FilterTerm {
  mmapsync_term def; /* the values are ours; those of IN are sorted, without NULL */
  uint8_t flip;      /* NE, ISNOT: the intervals are of what does not match */
  uint8_t match[3];  /* whether what compares less, equal, greater matches; not of IN */
  uint64_t prefix;   /* the first 8 bytes of a text or blob, as a number that orders as they do */
  uint8_t null_in;   /* whether NULL matches */
  uint8_t never;     /* compared with NULL: nothing matches */
  /* Of HAS, whose value is then folded: the two of its bytes that texts rarely hold, the nearer first. */
  FilterPair pair;
  uint32_t pair_at; /* where the first of them is in the value */
  /* Numbers that match (or do not, with flip): from lo to hi, none if lo > hi.  Not of IN. */
  int64_t lo, hi;
  double rlo, rhi;
  /* Of IN: which integers and which reals are equal to one of the values, sorted. */
  int64_t *ints;
  double *reals;
  int nints, nreals;
  /* Of IN with many values: a hash table of the integers, or of the reals' bits, for PLAN_SEARCH. */
  uint64_t *slots; /* [1 << slots_log] */
  uint8_t *used;   /* likewise: 1 where there is one */
  int slots_log;
  int slots_of;   /* CHUNK_INT or CHUNK_REAL: which of them it holds; 0 before it is first needed */
  uint8_t *table; /* [65536] for PLAN_LOOKUP; NULL before it is first needed */
  Plan plan;      /* in the chunk that the filter is at */
} FilterTerm;

/* Makes a term ready; the caller has checked the definition.  NOMEM. */
int termOpen(FilterTerm *p, const mmapsync_term *def);
void termClose(FilterTerm *p);

/* Of HAS: whether its value, of v->n bytes, stands at z. */
int termStandsAt(const FilterTerm *p, const uint8_t *z);

/* Whether a value matches. */
int termMatches(const FilterTerm *p, const mmapsync_value *v);

/* Whether all values of a storage class (1 numbers, 2 text, 3 blobs) match, none, or it depends: 1, 0, -1. */
int termClass(const FilterTerm *p, int class);

/* The first 8 of n bytes as a number that orders as they do; what is missing counts as zeros.  `near`: 8 bytes
** can be read at z, whatever n is. */
static inline uint64_t bytesPrefix(const uint8_t *z, size_t n, int near) {
  uint64_t x = 0;
  size_t i;
  if (near) {
    memcpy(&x, z, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return n >= 8 ? x : n == 0 ? 0 : x & ~(UINT64_MAX >> (8 * n));
  }
  for (i = 0; i < 8; i++) x = x << 8 | (i < n ? z[i] : 0);
  return x;
}

/* The same of 8 such bytes: A to Z as a to z. */
static inline uint64_t bytesFold(uint64_t x) {
  const uint64_t ones = UINT64_C(0x0101010101010101), high = 0x80 * ones;
  uint64_t low = x & ~high;
  uint64_t upper = ((low + (0x80 - 'A') * ones) ^ (low + (0x7f - 'Z') * ones)) & ~x & high;
  return x | upper >> 2;
}

/* Plans the term for a chunk of n rows, of which `ahead` are to be looked at.  CORRUPT. */
int planMake(FilterTerm *p, const Chunk *k, uint64_t n, uint64_t ahead);

/* 1 or 0 if all rows of the chunk match, or none of them, NULL or not; otherwise -1. */
int planVerdict(const FilterTerm *p);

#define FILTER_BLOCK MMAPSYNC_FILTER_ROWS
typedef struct BlockMask {
  _Alignas(64)
      uint8_t row[FILTER_BLOCK + 64]; /* 1: it matches; the rest is room for loops that round up */
} BlockMask;

/* Where a block of rows stands. */
typedef struct Block {
  const mmapsync_table *t;
  const FilterLoops *loops;
  const Chunk *k;
  uint64_t first; /* of the chunk: a row number */
  uint64_t at;    /* the block's first row in the chunk; a multiple of 64 */
  uint32_t n;     /* its rows, at most FILTER_BLOCK; fewer, if the first of them took too long */
  uint64_t bytes; /* of texts and blobs that were looked at */
} Block;

/* After so many a block ends early, so that whoever waits can be asked whether he still does. */
#define FILTER_BYTES (UINT64_C(1) << 22)

/* Leaves those rows of the block in *mask that match the term, too; b->n may become less, but not 0.  CORRUPT. */
int planRun(const FilterTerm *p, Block *b, BlockMask *mask);

#endif
