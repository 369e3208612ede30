/*
** filterterm.c - a term of a filter, made ready to be compared with many values.
**
** NUMBERS.  `column op constant` on integers is an interval of integers, and on reals one of doubles, both
** closed, whatever the constant is: x < 5.5 is x <= 5 for integers, and x > 2^53+1 is x >= 2^53+2 for doubles,
** because between them there is none.  So the constant is converted once, exactly, and rows are compared
** with numbers of their own kind.  NE and ISNOT are the other way round.
**
** OTHER CLASSES.  A value of another storage class than the constant's matches or not by its class alone.
**
** IN.  The values are sorted once.  Those that a column of integers (or of reals) can hold are put into an
** array of integers (of doubles); the rest goes to a search by mmapsync_compare().
**
** HAS.  Of the bytes that are looked for, two are chosen that are rare in most texts: where both are found at their
** distance, the rest is compared.
*/
#define _GNU_SOURCE /* qsort_r */
#include "filter.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "order.h"

#define TWO63 9223372036854775808.0

/* ---- intervals ------------------------------------------------------------------------------- */

static void intNone(FilterTerm *p) {
  p->lo = INT64_MAX;
  p->hi = INT64_MIN;
}

static void realNone(FilterTerm *p) {
  p->rlo = (double)INFINITY;
  p->rhi = -(double)INFINITY;
}

static void everyNumber(FilterTerm *p) {
  p->lo = INT64_MIN;
  p->hi = INT64_MAX;
  p->rlo = -(double)INFINITY;
  p->rhi = (double)INFINITY;
}

/* Integers x with x op i. */
static void intByInt(FilterTerm *p, int op, int64_t i) {
  switch (op) {
  case MMAPSYNC_LT:
    if (i == INT64_MIN) {
      intNone(p);
    } else {
      p->hi = i - 1;
    }
    break;
  case MMAPSYNC_LE: p->hi = i; break;
  case MMAPSYNC_GT:
    if (i == INT64_MAX) {
      intNone(p);
    } else {
      p->lo = i + 1;
    }
    break;
  case MMAPSYNC_GE: p->lo = i; break;
  default: p->lo = p->hi = i; break;
  }
}

/* Integers x with x op r: compared with the next integer on the side that counts. */
static void intByReal(FilterTerm *p, int op, double r) {
  int below = op == MMAPSYNC_LT || op == MMAPSYNC_LE;
  int above = op == MMAPSYNC_GT || op == MMAPSYNC_GE;
  if (r >= TWO63 || r < -TWO63) { /* beyond all of them */
    if (!((below && r > 0) || (above && r < 0))) intNone(p);
  } else if (op == MMAPSYNC_LT || op == MMAPSYNC_GE) {
    intByInt(p, op, (int64_t)ceil(r)); /* below 2^63: doubles so large are whole, and r is less */
  } else if (op == MMAPSYNC_LE || op == MMAPSYNC_GT || floor(r) == r) {
    intByInt(p, op, (int64_t)floor(r));
  } else {
    intNone(p);
  }
}

/* Doubles x with x op r. */
static void realByReal(FilterTerm *p, int op, double r) {
  double inf = (double)INFINITY;
  switch (op) {
  case MMAPSYNC_LT:
    p->rhi = nextafter(r, -inf);
    if (r == -inf) realNone(p);
    break;
  case MMAPSYNC_LE: p->rhi = r; break;
  case MMAPSYNC_GT:
    p->rlo = nextafter(r, inf);
    if (r == inf) realNone(p);
    break;
  case MMAPSYNC_GE: p->rlo = r; break;
  default: p->rlo = p->rhi = r; break;
  }
}

/* Doubles x with x op i: where i is none, the double next to it decides. */
static void realByInt(FilterTerm *p, int op, int64_t i) {
  double r = (double)i; /* the nearest: no double lies between it and i */
  int c = orderIntReal(i, r);
  if (c == 0) {
    realByReal(p, op, r);
  } else if (op == MMAPSYNC_LT || op == MMAPSYNC_LE) {
    realByReal(p, c < 0 ? MMAPSYNC_LT : MMAPSYNC_LE, r);
  } else if (op == MMAPSYNC_GT || op == MMAPSYNC_GE) {
    realByReal(p, c < 0 ? MMAPSYNC_GE : MMAPSYNC_GT, r);
  } else {
    realNone(p);
  }
}

/* ---- operators ------------------------------------------------------------------------------- */

/* NE and ISNOT are found as what they exclude. */
static int basicOp(int op) {
  switch (op) {
  case MMAPSYNC_NE:
  case MMAPSYNC_IS:
  case MMAPSYNC_ISNOT: return MMAPSYNC_EQ;
  default: return op;
  }
}

/* Whether a value matches that compares so with the constant. */
static int opMatches(int op, int c) {
  switch (op) {
  case MMAPSYNC_NE:
  case MMAPSYNC_ISNOT: return c != 0;
  case MMAPSYNC_LT: return c < 0;
  case MMAPSYNC_LE: return c <= 0;
  case MMAPSYNC_GT: return c > 0;
  case MMAPSYNC_GE: return c >= 0;
  default: return c == 0;
  }
}

static int classOf(const mmapsync_value *v) {
  if (orderIsNull(v)) return 0;
  return v->type <= MMAPSYNC_REAL ? 1 : v->type == MMAPSYNC_TEXT ? 2 : 3;
}

int termClass(const FilterTerm *p, int class) {
  int i, c;
  if (p->never) return 0;
  if (p->def.op == MMAPSYNC_HAS) return class != 2 || p->def.values[0].n == 0 ? 1 : -1;
  if (p->def.op == MMAPSYNC_IN) {
    for (i = 0; i < p->def.nvalues; i++) {
      if (classOf(&p->def.values[i]) == class) return -1;
    }
    return 0;
  }
  c = classOf(&p->def.values[0]);
  return c == class ? -1 : opMatches(p->def.op, class < c ? -1 : 1);
}

static uint8_t lower(uint8_t c) { return (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c); }

int termStandsAt(const FilterTerm *p, const uint8_t *z) {
  const uint8_t *want = p->def.values[0].u.p;
  uint32_t i, n = p->def.values[0].n;
  if (p->def.collation == MMAPSYNC_BINARY) return memcmp(z, want, n) == 0;
  for (i = 0; i < n; i++) {
    if (lower(z[i]) != want[i]) return 0;
  }
  return 1;
}

/* Whether HAS's value occurs in a text. */
static int termHas(const FilterTerm *p, const mmapsync_value *v) {
  const uint8_t *z = v->u.p;
  uint32_t i, n = p->def.values[0].n;
  const FilterPair *pair = &p->pair;
  if (n == 0) return 1;
  if (n > v->n) return 0;
  for (i = 0; i <= v->n - n; i++) {
    const uint8_t *x = z + i + p->pair_at;
    if ((x[0] | pair->mask[0]) == pair->byte[0] &&
        (x[pair->gap] | pair->mask[1]) == pair->byte[1] && termStandsAt(p, z + i)) {
      return 1;
    }
  }
  return 0;
}

int termMatches(const FilterTerm *p, const mmapsync_value *v) {
  const mmapsync_value *a = p->def.values;
  int lo = 0, hi = p->def.nvalues;
  if (orderIsNull(v)) return p->null_in;
  if (p->never) return 0;
  if (p->def.op == MMAPSYNC_HAS) return v->type != MMAPSYNC_TEXT || termHas(p, v);
  if (p->def.op != MMAPSYNC_IN) {
    return opMatches(p->def.op, mmapsync_compare(v, a, p->def.collation));
  }
  while (lo < hi) {
    int mid = lo + (hi - lo) / 2, c = mmapsync_compare(v, &a[mid], p->def.collation);
    if (c == 0) return 1;
    if (c < 0) {
      hi = mid;
    } else {
      lo = mid + 1;
    }
  }
  return 0;
}

/* ---- making ready ---------------------------------------------------------------------------- */

static int valueCompare(const void *a, const void *b, void *collation) {
  return mmapsync_compare(a, b, *(int *)collation);
}

/* Takes from IN's values what an integer or a real can equal. */
static int numbersTake(FilterTerm *p) {
  size_t room = (size_t)p->def.nvalues + 1;
  FilterTerm one = *p;
  int i;
  p->ints = malloc(room * sizeof(*p->ints));
  p->reals = malloc(room * sizeof(*p->reals));
  /* Mostly free, if they are few: what is not there is mostly told by one look, the same each time. */
  p->slots_log = 4;
  while ((size_t)1 << p->slots_log < (room <= 4096 ? 16 : 2) * room) p->slots_log++;
  p->slots = malloc(((size_t)1 << p->slots_log) * sizeof(*p->slots));
  p->used = malloc((size_t)1 << p->slots_log);
  if (!p->ints || !p->reals || !p->slots || !p->used) return MMAPSYNC_NOMEM;
  for (i = 0; i < p->def.nvalues; i++) { /* they are in order, so what is taken is, too */
    const mmapsync_value *v = &p->def.values[i];
    everyNumber(&one);
    if (v->type == MMAPSYNC_INTEGER) {
      intByInt(&one, MMAPSYNC_EQ, v->u.i);
      realByInt(&one, MMAPSYNC_EQ, v->u.i);
    } else if (v->type == MMAPSYNC_REAL) {
      intByReal(&one, MMAPSYNC_EQ, v->u.r);
      realByReal(&one, MMAPSYNC_EQ, v->u.r);
    } else {
      break; /* text and blobs come behind numbers */
    }
    if (one.lo == one.hi) p->ints[p->nints++] = one.lo;
    if (one.rlo == one.rhi) p->reals[p->nreals++] = one.rlo;
  }
  return MMAPSYNC_OK;
}

/* Copies the values, and what they point to, into one allocation.  Of IN, the values that can match. */
static int valuesCopy(FilterTerm *p, const mmapsync_term *def) {
  size_t bytes = ((size_t)def->nvalues + 1) * sizeof(mmapsync_value);
  mmapsync_value *a;
  uint8_t *z;
  int i, n = 0;
  for (i = 0; i < def->nvalues; i++) {
    if (def->values[i].type >= MMAPSYNC_TEXT) bytes += def->values[i].n;
  }
  a = malloc(bytes);
  if (a == NULL) return MMAPSYNC_NOMEM;
  z = (uint8_t *)(a + def->nvalues + 1);
  for (i = 0; i < def->nvalues; i++) {
    mmapsync_value v = def->values[i];
    if (def->op == MMAPSYNC_IN && orderIsNull(&v)) continue;
    if (v.type >= MMAPSYNC_TEXT) {
      if (v.n) memcpy(z, v.u.p, v.n);
      v.u.p = z;
      z += v.n;
    }
    a[n++] = v;
  }
  if (def->op == MMAPSYNC_IN && n > 1) {
    int i0 = 0;
    qsort_r(a, (size_t)n, sizeof(*a), valueCompare, &p->def.collation);
    for (i = 1; i < n; i++) { /* equal ones are one */
      if (mmapsync_compare(&a[i0], &a[i], def->collation) != 0) a[++i0] = a[i];
    }
    n = i0 + 1;
  }
  p->def.values = a;
  p->def.nvalues = n;
  return MMAPSYNC_OK;
}

/* How common a byte is in texts, roughly; 0: rare. */
static size_t common(uint8_t c) {
  static const char often[] = "zqxjkvbpgwyfmucdlhrsnioate ";
  const char *z = c ? strchr(often, lower(c)) : NULL;
  return z ? (size_t)(z - often) + 1 : 0;
}

/* Folds HAS's value and chooses the two bytes. */
static void hasOpen(FilterTerm *p) {
  uint8_t *z = (uint8_t *)(uintptr_t)p->def.values[0].u.p; /* our copy */
  uint32_t i, n = p->def.values[0].n, at[2] = {0, 0};
  int fold = p->def.collation == MMAPSYNC_NOCASE;
  for (i = 0; i < n && fold; i++) z[i] = lower(z[i]);
  for (i = 1; i < n; i++) {
    if (common(z[i]) < common(z[at[0]])) at[0] = i;
  }
  if (n > 1) at[1] = at[0] == 0;
  for (i = 0; i < n; i++) {
    if (i != at[0] && common(z[i]) < common(z[at[1]])) at[1] = i;
  }
  if (at[1] < at[0]) {
    i = at[0];
    at[0] = at[1];
    at[1] = i;
  }
  p->pair_at = at[0];
  p->pair.gap = at[1] - at[0];
  for (i = 0; i < 2 && n > 0; i++) {
    uint8_t c = p->pair.byte[i] = z[at[i]];
    p->pair.mask[i] = fold && c >= 'a' && c <= 'z' ? 0x20 : 0;
  }
}

int termOpen(FilterTerm *p, const mmapsync_term *def) {
  const mmapsync_value *v;
  int op = basicOp(def->op), rc, c;
  memset(p, 0, sizeof(*p));
  p->def = *def;
  p->def.values = NULL;
  assert(def->op == MMAPSYNC_IN || def->nvalues == 1);
  rc = valuesCopy(p, def);
  if (rc != MMAPSYNC_OK) return rc;
  if (def->op == MMAPSYNC_IN) return numbersTake(p);
  v = p->def.values;
  if (orderIsNull(v)) {
    /* IS and ISNOT compare with NULL as with a value that no other equals. */
    p->never = def->op != MMAPSYNC_ISNOT;
    p->null_in = def->op == MMAPSYNC_IS;
    return MMAPSYNC_OK;
  }
  if (def->op == MMAPSYNC_HAS) {
    hasOpen(p);
    return MMAPSYNC_OK;
  }
  p->flip = def->op == MMAPSYNC_NE || def->op == MMAPSYNC_ISNOT;
  p->null_in = def->op == MMAPSYNC_ISNOT;
  for (c = -1; c <= 1; c++) p->match[c + 1] = (uint8_t)opMatches(def->op, c);
  if (v->type >= MMAPSYNC_TEXT) p->prefix = bytesPrefix(v->u.p, v->n, 0);
  if (v->type == MMAPSYNC_TEXT && def->collation == MMAPSYNC_NOCASE) {
    p->prefix = bytesFold(p->prefix);
  }
  everyNumber(p);
  if (v->type == MMAPSYNC_INTEGER) {
    intByInt(p, op, v->u.i);
    realByInt(p, op, v->u.i);
  } else if (v->type == MMAPSYNC_REAL) {
    intByReal(p, op, v->u.r);
    realByReal(p, op, v->u.r);
  }
  return MMAPSYNC_OK;
}

void termClose(FilterTerm *p) {
  free((void *)(uintptr_t)p->def.values);
  free(p->ints);
  free(p->reals);
  free(p->slots);
  free(p->used);
  free(p->table);
}
