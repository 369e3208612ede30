#define _GNU_SOURCE
/*
** filter_check.c - filters of table images: every row that matches, and no other, in every way to ask.
**
** What a filter gives is compared with a loop over the same values that follows the words of mmapsync.h: tables
** of every encoding, one chunk and many, every operator and collation, constants at every edge.
*/
#include "check_random.h"
#include "filterloop.h"

/* ---- the model -------------------------------------------------------------------------------- */

static int isNull(const mmapsync_value *v) {
  return v->type == MMAPSYNC_NULL || (v->type == MMAPSYNC_REAL && v->u.r != v->u.r);
}

static int sameByte(uint8_t a, uint8_t b, int fold) {
  if (fold && a >= 'A' && a <= 'Z') a = (uint8_t)(a + 32);
  if (fold && b >= 'A' && b <= 'Z') b = (uint8_t)(b + 32);
  return a == b;
}

static int occurs(const mmapsync_value *what, const mmapsync_value *in, int fold) {
  const uint8_t *x = what->u.p, *z = in->u.p;
  uint64_t i, j;
  for (i = 0; i + what->n <= in->n; i++) {
    for (j = 0; j < what->n && sameByte(x[j], z[i + j], fold);) j++;
    if (j == what->n) return 1;
  }
  return 0;
}

static int matches(const mmapsync_term *p, const mmapsync_value *v) {
  int i, c;
  if (p->op == MMAPSYNC_HAS) {
    if (v->type != MMAPSYNC_TEXT) return !isNull(v);
    return occurs(p->values, v, p->collation == MMAPSYNC_NOCASE);
  }
  if (p->op == MMAPSYNC_IN) {
    for (i = 0; i < p->nvalues; i++) {
      if (isNull(v) || isNull(&p->values[i])) continue;
      if (mmapsync_compare(v, &p->values[i], p->collation) == 0) return 1;
    }
    return 0;
  }
  if ((isNull(v) || isNull(p->values)) && p->op != MMAPSYNC_IS && p->op != MMAPSYNC_ISNOT) return 0;
  c = mmapsync_compare(v, p->values, p->collation);
  switch (p->op) {
  case MMAPSYNC_EQ:
  case MMAPSYNC_IS: return c == 0;
  case MMAPSYNC_NE:
  case MMAPSYNC_ISNOT: return c != 0;
  case MMAPSYNC_LT: return c < 0;
  case MMAPSYNC_LE: return c <= 0;
  case MMAPSYNC_GT: return c > 0;
  default: return c >= 0;
  }
}

static uint64_t rowsMatched, rowsTold; /* over all of a case: that it is about something */

/* What is asked, for a sentence. */
static void about(const Random *m, const mmapsync_term *terms, int n, const char *how) {
  int i;
  size_t at;
  snprintf(checkAbout, sizeof(checkAbout), "%s, %llu rows:", how, (unsigned long long)m->rows);
  for (i = 0; i < n; i++) {
    const mmapsync_value *v = terms[i].values;
    at = strlen(checkAbout);
    snprintf(checkAbout + at, sizeof(checkAbout) - at,
             " style %d nulls %d op %d coll %d n %d type %u %lld %g", m->style[terms[i].column],
             m->nulls[terms[i].column], terms[i].op, terms[i].collation, terms[i].nvalues,
             terms[i].nvalues ? v->type : 0, terms[i].nvalues ? (long long)v->u.i : 0,
             terms[i].nvalues && v->type == MMAPSYNC_REAL ? v->u.r : 0);
  }
}

/* Counts to the end; *calls becomes how many that took. */
static uint64_t countAll(mmapsync_filter *f, uint64_t from, uint64_t until, int *calls) {
  uint64_t all = 0, count, before;
  int n = 0;
  do {
    before = from;
    CHECK(mmapsync_filter_count(f, &from, until, &count) == MMAPSYNC_OK);
    CHECK(from > before || from >= until);
    all += count;
    n++;
  } while (from < until);
  if (calls) *calls = n;
  return all;
}

/* All rows from <= row < until, forwards and backwards, counted, and one by one. */
static void compareFilter(const Random *m, const mmapsync_table *t, const mmapsync_term *terms,
                          int n, uint64_t from, uint64_t until) {
  static uint8_t expected[200000];
  uint32_t rows[MMAPSYNC_FILTER_ROWS + 1], k, i;
  uint64_t r, at, last, count = 0, told, end = until < m->rows ? until : m->rows;
  mmapsync_filter *f;
  int j;

  CHECK(m->rows <= sizeof(expected));
  for (r = from; r < end; r++) {
    expected[r] = 1;
    for (j = 0; j < n && expected[r]; j++) {
      expected[r] = (uint8_t)matches(&terms[j], cell(m, r, terms[j].column));
    }
    count += expected[r];
  }
  rowsMatched += count;
  rowsTold += end > from ? end - from : 0;
  CHECK(mmapsync_filter_open(t, terms, n, &f) == MMAPSYNC_OK);

  about(m, terms, n, "next");
  rows[MMAPSYNC_FILTER_ROWS] = 0xdeadbeef;
  for (at = from, told = 0, r = from; at < until;) {
    last = at;
    CHECK(mmapsync_filter_next(f, &at, until, rows, &k) == MMAPSYNC_OK);
    CHECK(k <= MMAPSYNC_FILTER_ROWS && at > last && at <= until);
    for (i = 0; i < k; i++) {
      for (; r < rows[i]; r++) CHECK(r >= from && r < end && !expected[r]);
      CHECK(rows[i] == r && r < end && r < at && expected[r]);
      r++;
    }
    told += k;
  }
  CHECK(told == count);
  CHECK(mmapsync_filter_next(f, &at, until, rows, &k) == MMAPSYNC_OK && k == 0);

  about(m, terms, n, "prev");
  for (at = until, told = 0, r = end; at > from;) {
    last = at;
    CHECK(mmapsync_filter_prev(f, from, &at, rows, &k) == MMAPSYNC_OK);
    CHECK(k <= MMAPSYNC_FILTER_ROWS && at < last && at >= from);
    for (i = k; i > 0; i--) {
      while (r > rows[i - 1] + UINT64_C(1)) CHECK(!expected[--r]);
      CHECK(r > from && rows[i - 1] == --r && r >= at && expected[r]);
    }
    told += k;
  }
  CHECK(told == count && rows[MMAPSYNC_FILTER_ROWS] == 0xdeadbeef);

  about(m, terms, n, "count and row");
  CHECK(countAll(f, from, until, NULL) == count);
  for (i = 0; i < 20 && end > from; i++) {
    r = from + below(end - from);
    CHECK(mmapsync_filter_row(f, r) == expected[r]);
  }
  CHECK(mmapsync_filter_row(f, m->rows) == 0);
  mmapsync_filter_close(f);
}

/* A piece of the text, often a short one; of what is none, some piece. */
static void partOf(mmapsync_value *v) {
  static const char some[] = "rOw\0a a1";
  uint32_t from, n;
  if (v->type != MMAPSYNC_TEXT) {
    v->type = MMAPSYNC_TEXT;
    v->n = sizeof(some) - 1;
    v->u.p = some;
  }
  from = (uint32_t)below(v->n + UINT64_C(1));
  n = (uint32_t)below(v->n - from + UINT64_C(1));
  if (below(2) && n > 3) n = 1 + (uint32_t)below(3);
  v->u.p = (const char *)v->u.p + from;
  v->n = n;
}

static mmapsync_term randomTerm(const Random *m, mmapsync_value *values, int most) {
  mmapsync_term p = {.column = (int)below((uint64_t)m->ncols), .op = 1 + (int)below(MMAPSYNC_HAS)};
  int i;
  p.collation = below(2) ? 0 : (int)below(3);
  p.nvalues = p.op == MMAPSYNC_IN ? (int)below((uint64_t)most) : 1;
  p.values = values;
  for (i = 0; i < p.nvalues; i++) {
    values[i] =
        randomConstant(m->style[p.column], m->rows ? cell(m, below(m->rows), p.column) : NULL);
  }
  if (p.op == MMAPSYNC_HAS) {
    p.collation = (int)below(2);
    partOf(&values[0]);
  }
  return p;
}

/* ---- cases ------------------------------------------------------------------------------------ */

/* Each kind of column, with NULLs and without, in tables of lengths about those of blocks. */
static void caseEncodings(void) {
  static const uint64_t lengths[] = {0, 1, 7, 8, 63, 64, 65, 1023, 1024, 1025, 2500};
  mmapsync *h = channelOpen();
  mmapsync_value values[40];
  Opened o;
  int style, l, turn;

  for (style = 0; style < STYLES; style++) {
    for (l = 0; l < COUNT_OF(lengths); l++) {
      Random m = {.ncols = 1, .style = {style}, .width = 1, .rows = lengths[l]};
      m.nulls[0] = l % 2 ? (int)below(16) : 0;
      randomFill(&m);
      randomPublish(h, &m, NULL, 0);
      openImage(&o, h);
      for (turn = 0; turn < 120; turn++) {
        mmapsync_term p = randomTerm(&m, values, turn % 3 ? 12 : 40);
        uint64_t from = turn % 2 ? below(m.rows + 1) : 0,
                 until = turn % 2 ? from + below(2000) : m.rows;
        compareFilter(&m, o.t, &p, 1, from, until);
      }
      closeImage(&o);
      free(m.cells);
      randomFree();
    }
  }
  CHECK(rowsMatched > rowsTold / 10 && rowsMatched < rowsTold / 10 * 9);
  mmapsync_close(h);
}

/* Many short chunks, each encoded for itself, and several terms. */
static void caseChunks(void) {
  mmapsync *h = channelOpen();
  mmapsync_value values[3][20];
  mmapsync_term terms[3];
  Opened o;
  int round, turn, c, n;

  for (round = 0; round < 24; round++) {
    Random m = {.ncols = RANDOM_COLS, .width = 2048, .rows = 1500 + below(600)};
    for (c = 0; c < m.ncols; c++) {
      m.style[c] = (int)below(STYLES);
      m.nulls[c] = below(2) ? (int)below(8) : 0;
    }
    randomFill(&m);
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (turn = 0; turn < 150; turn++) {
      n = (int)below(4);
      for (c = 0; c < n; c++) terms[c] = randomTerm(&m, values[c], 20);
      compareFilter(&m, o.t, terms, n, turn % 2 ? below(m.rows) : 0,
                    turn % 3 ? m.rows : m.rows + 9);
    }
    closeImage(&o);
    free(m.cells);
    randomFree();
  }
  mmapsync_close(h);
}

/* Chunks of full length, and a last one that is short. */
static void caseLong(void) {
  mmapsync *h = channelOpen();
  mmapsync_value values[2][300];
  mmapsync_term terms[2];
  Opened o;
  int round, turn, c, n;

  for (round = 0; round < 4; round++) {
    Random m = {.ncols = 5, .width = 5, .rows = 65536 * 2 + below(3000)};
    for (c = 0; c < m.ncols; c++) {
      m.style[c] = (round * 5 + c) % STYLE_NULL;
      m.nulls[c] = c % 2 ? (int)below(8) : 0;
    }
    randomFill(&m);
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (turn = 0; turn < 24; turn++) {
      n = 1 + (int)below(2);
      for (c = 0; c < n; c++) terms[c] = randomTerm(&m, values[c], 300);
      compareFilter(&m, o.t, terms, n, turn % 2 ? below(m.rows) : 0, m.rows);
    }
    closeImage(&o);
    free(m.cells);
    randomFree();
  }
  mmapsync_close(h);
}

/* Every operator of every edge against every other, integers and reals, in columns of one kind and both. */
static void caseEdges(void) {
  enum { NI = COUNT_OF(edgeInts), NR = COUNT_OF(edgeReals) };
  mmapsync *h = channelOpen();
  mmapsync_value cells[3][NI + NR + 1];
  Opened o;
  int kind, i, n, op;

  for (kind = 0; kind < 3; kind++) {
    Random m = {.ncols = 1, .width = 1, .style = {STYLE_ANY}, .cells = cells[kind]};
    n = 0;
    for (i = 0; i < NI && kind != 1; i++) cells[kind][n++] = integer(edgeInts[i]);
    for (i = 0; i < NR && kind != 0; i++) cells[kind][n++] = real(edgeReals[i]);
    cells[kind][n++] = null();
    m.rows = (uint64_t)n;
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (i = 0; i < NI + NR; i++) {
      mmapsync_value v = i < NI ? integer(edgeInts[i]) : real(edgeReals[i - NI]);
      mmapsync_term p = {.values = &v, .nvalues = 1};
      for (op = MMAPSYNC_EQ; op <= MMAPSYNC_IN; op++) {
        p.op = op;
        compareFilter(&m, o.t, &p, 1, 0, m.rows);
      }
    }
    closeImage(&o);
  }
  mmapsync_close(h);
}

/* Text against text, all pairs of what collations tell apart or do not, stored as text and by dictionary. */
static void caseCollations(void) {
  static const struct {
    const char *z;
    size_t n;
  } texts[] = {{"", 0},           {" ", 1},         {"\0", 1},
               {"a", 1},          {"A", 1},         {"a ", 2},
               {"a  ", 3},        {"a\0", 2},       {"A\0b", 3},
               {"a\0c", 3},       {"a\0bb", 4},     {"ab", 2},
               {"aB", 2},         {"abcdefg", 7},   {"abcdefgh", 8},
               {"ABCDEFGH", 8},   {"abcdefghi", 9}, {"abcdefg\0", 8},
               {"abcdefgh\0", 9}, {"abcdefg ", 8},  {"abcdefgh  ", 10},
               {"\xc3\xa4", 2},   {"\xc3\x84", 2},  {"[", 1},
               {"z", 1},          {"\xff", 1}};
  enum { N = COUNT_OF(texts) };
  mmapsync *h = channelOpen();
  mmapsync_value cells[N * 8 + 1];
  Random m = {.ncols = 1, .width = 1, .style = {STYLE_WORDS}, .cells = cells};
  Opened o;
  int repeat, i, op, collation;

  for (repeat = 1; repeat <= 8; repeat += 7) {
    for (i = 0; i < N * repeat; i++) {
      cells[i] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = (uint32_t)texts[i % N].n};
      cells[i].u.p = texts[i % N].z;
    }
    cells[i++] = null();
    m.rows = (uint64_t)i;
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    CHECK(strcmp(mmapsync_column_about(o.t, 0)->encoding, repeat == 1 ? "text" : "dict8") == 0);
    for (i = 0; i < N; i++) {
      for (op = MMAPSYNC_EQ; op <= MMAPSYNC_HAS; op++) {
        for (collation = 0; collation < 3; collation++) {
          mmapsync_term p = {.op = op, .collation = collation, .values = &cells[i], .nvalues = 1};
          if (op == MMAPSYNC_HAS && collation == MMAPSYNC_RTRIM) continue;
          compareFilter(&m, o.t, &p, 1, 0, m.rows);
        }
      }
    }
    closeImage(&o);
  }
  mmapsync_close(h);
}

/* Few rows at first, more for who goes on; a stop after rows in vain; bounds beyond the table. */
static void caseSteps(void) {
  enum { ROWS = 600000 };
  mmapsync *h = channelOpen();
  mmapsync_table_def def = table(1, NULL, 0);
  mmapsync_value v = integer(0);
  mmapsync_term p = {.op = MMAPSYNC_GE, .values = &v, .nvalues = 1};
  uint32_t rows[MMAPSYNC_FILTER_ROWS], n, before = 0;
  mmapsync_builder *b;
  mmapsync_filter *f;
  uint64_t at, count;
  Opened o;
  int i, stops;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < ROWS; i++) {
    mmapsync_build_int(b, i % 100 ? i % 90 : i % 100000 + 1000); /* no chunk is passed over */
    mmapsync_build_row(b);
  }
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, h);

  v = integer(1000); /* one in a hundred */
  OK(h, mmapsync_filter_open(o.t, &p, 1, &f));
  v = integer(-1); /* copied: it does not matter any more */
  for (at = 0, i = 0; i < 12; i++, before = n) {
    CHECK(mmapsync_filter_next(f, &at, ROWS, rows, &n) == MMAPSYNC_OK);
    CHECK(n > 0 && n + 11 >= before && (i > 0 || n <= 11)); /* whole blocks */
  }
  CHECK(n > 900); /* and so on: as many as fit */
  CHECK(mmapsync_filter_next(f, &(uint64_t){5000}, ROWS, rows, &n) == MMAPSYNC_OK && n <= 11);
  mmapsync_filter_close(f);

  v = real(
      50.5); /* in every chunk's bounds, in no row from 200000 on but those of 101000 and more */
  p.op = MMAPSYNC_EQ;
  v = integer(1000 + 50);
  OK(h, mmapsync_filter_open(o.t, &p, 1, &f));
  for (at = 0, stops = 0; at < ROWS; stops++) {
    CHECK(mmapsync_filter_next(f, &at, ROWS, rows, &n) == MMAPSYNC_OK && n == 0);
  }
  CHECK(stops > 1 && stops < 10);
  for (at = ROWS, stops = 0; at > 0; stops++) {
    CHECK(mmapsync_filter_prev(f, 0, &at, rows, &n) == MMAPSYNC_OK && n == 0);
  }
  CHECK(stops > 1 && stops < 10);
  CHECK(countAll(f, 0, ROWS, &stops) == 0 && stops > 1 && stops < 10);
  at = ROWS + 5;
  CHECK(mmapsync_filter_next(f, &at, ROWS + 10, rows, &n) == MMAPSYNC_OK && n == 0);
  CHECK(at == ROWS + 10);
  at = 10;
  CHECK(mmapsync_filter_next(f, &at, 5, rows, &n) == MMAPSYNC_OK && n == 0 && at == 10);
  at = 10;
  CHECK(mmapsync_filter_count(f, &at, 5, &count) == MMAPSYNC_OK && count == 0 && at == 10);
  at = 5;
  CHECK(mmapsync_filter_prev(f, 10, &at, rows, &n) == MMAPSYNC_OK && n == 0 && at == 5);
  CHECK(mmapsync_filter_row(f, UINT64_MAX) == 0);
  mmapsync_filter_close(f);

  OK(h, mmapsync_filter_open(o.t, NULL, 0, &f)); /* no terms: all rows */
  CHECK(countAll(f, 3, UINT64_MAX, NULL) == ROWS - 3);
  CHECK(mmapsync_filter_row(f, 3) == 1);
  mmapsync_filter_close(f);

  /* From the end backwards, wherever that is, by a filter that has not told of anything yet. */
  OK(h, mmapsync_filter_open(o.t, NULL, 0, &f));
  at = UINT64_MAX;
  CHECK(mmapsync_filter_prev(f, ROWS - 3, &at, rows, &n) == MMAPSYNC_OK);
  CHECK(n == 3 && rows[0] == ROWS - 3 && at == ROWS - 3);
  mmapsync_filter_close(f);
  closeImage(&o);
  mmapsync_close(h);
}

/* Very long texts: a call looks at some megabytes of them, and says where to go on. */
static void caseBytes(void) {
  enum { ROWS = 90, MANY = 1 << 19 };
  static const char *const last[] = {"x", "y", "needle", " "};
  mmapsync *h = channelOpen();
  mmapsync_value cells[ROWS], values[3];
  Random m = {.ncols = 1, .width = 1, .style = {STYLE_WORDS}, .cells = cells, .rows = ROWS};
  Opened o;
  char *z[4];
  int kind, i, calls;

  for (i = 0; i < 4; i++) {
    z[i] = malloc(MANY);
    CHECK(z[i] != NULL);
    memset(z[i], ' ', MANY);
    memcpy(z[i] + MANY - strlen(last[i]), last[i], strlen(last[i]));
  }
  for (kind = 0; kind < 3; kind++) { /* text; text and numbers; mostly NULL */
    for (i = 0; i < ROWS; i++) {
      cells[i] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = MANY - (uint32_t)i};
      cells[i].u.p = z[i % 4] + i;
      if (kind == 1 && i % 10 == 0) cells[i] = integer(i);
      if (kind == 2 && i % 3) cells[i] = null();
    }
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (i = 0; i < 3; i++) values[i] = (mmapsync_value){.type = MMAPSYNC_TEXT};
    values[0].u.p = values[1].u.p = "needle";
    values[1].n = 6;
    values[2].u.p = "";
    for (i = 0; i < 3; i++) {
      mmapsync_term p = {.op = i == 1 ? MMAPSYNC_HAS : MMAPSYNC_LE,
                         .collation = i == 1 ? MMAPSYNC_BINARY : MMAPSYNC_RTRIM,
                         .values = &values[i],
                         .nvalues = 1};
      mmapsync_filter *f;
      compareFilter(&m, o.t, &p, 1, 0, ROWS);
      OK(h, mmapsync_filter_open(o.t, &p, 1, &f));
      (void)countAll(f, 0, ROWS, &calls);
      CHECK(kind == 2 || calls > 1);
      mmapsync_filter_close(f);
    }
    closeImage(&o);
  }
  for (i = 0; i < 4; i++) free(z[i]);
  mmapsync_close(h);
}

/* A chunk is planned for anew when more of it is asked for than before: then its dictionary is worth comparing, and
** texts of any length are no more work than codes. */
static void caseAhead(void) {
  enum { ROWS = 500, LONG = 16 << 10 };
  mmapsync *h = channelOpen();
  mmapsync_value cells[ROWS];
  Random m = {.ncols = 1, .width = 1, .style = {STYLE_WORDS}, .cells = cells, .rows = ROWS};
  mmapsync_term p = {.op = MMAPSYNC_GE, .values = cells, .nvalues = 1};
  uint32_t rows[MMAPSYNC_FILTER_ROWS], n;
  mmapsync_filter *f;
  uint64_t at = 0;
  static char z[LONG + 1];
  Opened o;
  int i;
  memset(z, 'x', sizeof(z));
  for (i = 0; i < ROWS; i++) {
    cells[i] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = LONG + (i % 5 == 4), .u.p = z};
  }
  randomPublish(h, &m, NULL, 0);
  openImage(&o, h);
  CHECK(strcmp(mmapsync_column_about(o.t, 0)->encoding, "dict8") == 0);
  compareFilter(&m, o.t, &p, 1, 0, ROWS);
  OK(h, mmapsync_filter_open(o.t, &p, 1, &f));
  CHECK(mmapsync_filter_next(f, &at, 1, rows, &n) == MMAPSYNC_OK && n == 1 && at == 1);
  CHECK(mmapsync_filter_next(f, &at, ROWS, rows, &n) == MMAPSYNC_OK && n == ROWS - 1);
  CHECK(at == ROWS && rows[0] == 1 && rows[ROWS - 2] == ROWS - 1);
  mmapsync_filter_close(f);
  closeImage(&o);
  mmapsync_close(h);
}

/* Constants that are longer than any text of the chunk can be, and of any number. */
static void caseMany(void) {
  enum { ROWS = 1500, VALUES = 5000, LONG = 70000 };
  static const int styles[] = {STYLE_INT8, STYLE_INT16, STYLE_INT32, STYLE_REAL, STYLE_DICT16};
  mmapsync *h = channelOpen();
  static mmapsync_value values[VALUES];
  mmapsync_term p = {.op = MMAPSYNC_IN, .values = values, .nvalues = VALUES};
  static char z[LONG];
  Opened o;
  int style, i, op, length;
  for (style = 0; style < COUNT_OF(styles); style++) {
    Random m = {.ncols = 1, .style = {styles[style]}, .width = 1, .rows = ROWS};
    randomFill(&m);
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (i = 0; i < VALUES; i++) {
      values[i] = randomValue(styles[style], (uint64_t)i);
      if (i < 2) values[i] = *cell(&m, (uint64_t)i, 0);
    }
    compareFilter(&m, o.t, &p, 1, 0, ROWS);
    closeImage(&o);
    free(m.cells);
    randomFree();
  }
  memset(z, 'a', LONG);
  for (length = 0; length < 2; length++) {
    mmapsync_value cells[3], one = {.type = MMAPSYNC_TEXT, .n = LONG, .u.p = z};
    Random m = {.ncols = 1, .width = 1, .style = {STYLE_WORDS}, .cells = cells, .rows = 3};
    mmapsync_term term = {.values = &one, .nvalues = 1};
    for (i = 0; i < 3; i++) {
      cells[i] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = (uint32_t)i, .u.p = z};
    }
    if (length) cells[1] = one; /* the chunk holds it */
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (op = MMAPSYNC_EQ; op < MMAPSYNC_IN; op++) {
      term.op = op;
      compareFilter(&m, o.t, &term, 1, 0, 3);
      one.n = UINT16_MAX + 2; /* of whose bytes with the NUL 16 bits show one */
      compareFilter(&m, o.t, &term, 1, 0, 3);
      one.n = LONG;
    }
    closeImage(&o);
  }
  mmapsync_close(h);
}

static void caseMisuse(void) {
  mmapsync *h = channelOpen();
  mmapsync_value v = integer(1), odd = {.type = 5}, text = {.type = MMAPSYNC_TEXT, .u.p = ""};
  mmapsync_filter *f;
  Opened o;
  OK(h, publishOne(h, NULL, &v, 1));
  openImage(&o, h);
#define MISUSED(...)                                                                               \
  do {                                                                                             \
    mmapsync_term p_ = {.op = MMAPSYNC_EQ, .values = &v, .nvalues = 1};                            \
    mmapsync_term *p = &p_;                                                                        \
    __VA_ARGS__;                                                                                   \
    f = (mmapsync_filter *)&v;                                                                     \
    CHECK(mmapsync_filter_open(o.t, p, 1, &f) == MMAPSYNC_MISUSE && f == NULL);                    \
  } while (0)
  MISUSED(p->column = 1);
  MISUSED(p->column = -1);
  MISUSED(p->op = 0);
  MISUSED(p->op = 11);
  MISUSED(p->collation = 3);
  MISUSED(p->nvalues = 0);
  MISUSED(p->nvalues = 2);
  MISUSED(p->op = MMAPSYNC_IN; p->nvalues = -1);
  MISUSED(p->op = MMAPSYNC_IN; p->nvalues = INT32_MAX); /* whose values nobody looks at */
  MISUSED(p->op = MMAPSYNC_HAS);
  MISUSED(p->op = MMAPSYNC_HAS; p->values = &text; p->collation = MMAPSYNC_RTRIM);
  MISUSED(p->values = &odd);
#undef MISUSED
  CHECK(mmapsync_filter_open(o.t, NULL, -1, &f) == MMAPSYNC_MISUSE);
  mmapsync_filter_close(NULL);
  closeImage(&o);
  mmapsync_close(h);
}

/* ---- the loops -------------------------------------------------------------------------------- */

/* Each set of loops that this processor can run, against their one-line descriptions, for every length up to
** three vectors, and at odd places. */
static void caseLoops(void) {
  enum { MOST = 200 };
  _Alignas(64) uint64_t words[MOST + 8];
  uint8_t out[MOST + 64], table[65536], *x;
  const FilterLoops *loops;
  uint32_t n, i, sum;
  int set, turn, flip;

  for (set = 0; (loops = filterLoopsAt(set)); set++) {
    for (turn = 0; turn < 2000; turn++) {
      snprintf(checkAbout, sizeof(checkAbout), "%s, turn %d", loops->name, turn);
      n = (uint32_t)below(MOST);
      flip = (int)below(2);
      for (i = 0; i < MOST + 8; i++) words[i] = rnd() >> (below(2) ? 0 : 40);
      for (i = 0; i < sizeof(table); i++) table[i] = (uint8_t)below(2);
      x = (uint8_t *)words + 8 * below(8);
      memset(out, 9, sizeof(out));
#define ELEMENT(type) ((const type *)(const void *)x)
#define RANGE(bits)                                                                                \
  do {                                                                                             \
    uint##bits##_t lo = ELEMENT(uint##bits##_t)[below(n + 1)],                                     \
                   span = (uint##bits##_t)(rnd() >> 3);                                            \
    if (below(3) == 0) span = 0;                                                                   \
    loops->range##bits(ELEMENT(uint##bits##_t), n, lo, span, flip, out);                           \
    for (i = 0; i < n; i++) {                                                                      \
      CHECK(out[i] == (((uint##bits##_t)(ELEMENT(uint##bits##_t)[i] - lo) <= span) != flip));      \
    }                                                                                              \
    CHECK(out[n] == 9);                                                                            \
  } while (0)
      RANGE(8);
      RANGE(16);
      RANGE(32);
      RANGE(64);
#undef RANGE
      {
        double r[MOST + 1], lo, hi;
        int nan;
        for (i = 0; i <= n; i++) {
          r[i] = below(4) ? (double)below(50) : edgeReals[below(COUNT_OF(edgeReals))];
          if (below(10) == 0) r[i] = (double)NAN;
        }
        lo = r[below(n + 1)];
        hi = below(2) ? lo : r[below(n + 1)];
        nan = (int)below(2);
        loops->rangeReal(r, n, lo, hi, flip, nan, out);
        for (i = 0; i < n; i++) {
          int in = (r[i] >= lo && r[i] <= hi) != flip;
          CHECK(out[i] == (r[i] == r[i] || nan ? in : 0));
        }
        CHECK(out[n] == 9);
      }
      loops->lookup8(x, n, table, out);
      for (i = 0; i < n; i++) CHECK(out[i] == table[x[i]]);
      loops->lookup16(ELEMENT(uint16_t), n, table, out);
      for (i = 0; i < n; i++) CHECK(out[i] == table[ELEMENT(uint16_t)[i]]);
      {
        FilterPair pair = {.gap = (uint32_t)below(9),
                           .mask = {below(2) ? 0x20 : 0, below(2) ? 0x20 : 0}};
        uint8_t z[MOST + 16], a, b;
        for (i = 0; i < sizeof(z); i++) z[i] = (uint8_t)("aAbB@`"[below(6)]);
        for (i = 0; i < 2; i++)
          pair.byte[i] = (uint8_t)(pair.mask[i] ? "ab"[below(2)] : "aAbB@`"[below(6)]);
        loops->pair(z, n, &pair, out);
        for (i = 0; i < n; i++) {
          a = z[i];
          b = z[i + pair.gap];
          CHECK(out[i] == (sameByte(a, pair.byte[0], pair.mask[0]) &&
                           sameByte(b, pair.byte[1], pair.mask[1])));
        }
        CHECK(out[n] == 9);
      }
      {
        uint16_t s16[MOST + 2] = {0};
        uint32_t s32[MOST + 2] = {0};
        for (i = 0; i < n; i++) {
          s16[i + 1] = (uint16_t)(s16[i] + below(4) * 500);
          s32[i + 1] = s32[i] + (uint32_t)below(4) * 500000000;
        }
        loops->step16(s16, n, 500, out);
        for (i = 0; i < n; i++) CHECK(out[i] == ((uint16_t)(s16[i + 1] - s16[i]) == 500));
        loops->step32(s32, n, 1000000000, out);
        for (i = 0; i < n; i++) CHECK(out[i] == (s32[i + 1] - s32[i] == 1000000000));
        CHECK(out[n] == 9);
      }
      for (i = 0; i < n; i++) out[i] = (uint8_t)below(2);
      {
        uint8_t was[MOST + 64];
        memcpy(was, out, sizeof(out));
        loops->putBits(x, n, flip, out);
        for (i = 0; i < n; i++) CHECK(out[i] == (x[i / 8] >> (i % 8) & 1 ? flip : was[i]));
        for (sum = 0, i = 0; i < n; i++) sum += out[i];
        CHECK(loops->sumBytes(out, n) == sum);
        memcpy(was, out, sizeof(out));
        loops->andBytes(out, table, n);
        for (i = 0; i < n; i++) CHECK(out[i] == (was[i] & table[i]));
        loops->orBytes(out, table + 300, n);
        for (i = 0; i < n; i++) CHECK(out[i] == ((was[i] & table[i]) | table[300 + i]));
        memcpy(was, out, sizeof(out));
        loops->notBytes(out, n);
        for (i = 0; i < n; i++) CHECK(out[i] == !was[i]);
      }
#undef ELEMENT
    }
  }
  CHECK(set >= 1 && filterLoops() == filterLoopsAt(set - 1));
}

static const CheckCase cases[] = {
    {"encodings", caseEncodings}, {"chunks", caseChunks},         {"long", caseLong},
    {"edges", caseEdges},         {"collations", caseCollations}, {"steps", caseSteps},
    {"bytes", caseBytes},         {"ahead", caseAhead},           {"many", caseMany},
    {"misuse", caseMisuse},       {"loops", caseLoops},           {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
