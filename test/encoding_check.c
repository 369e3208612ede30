#define _GNU_SOURCE
/*
** encoding_check.c - how a table image stores what it is given: encodings, chunks, large values, limits.
**
** What is stored how can be seen from outside in mmapsync_column_info.encoding alone; what is checked
** besides is that it comes back as it was.
*/
#include <signal.h>
#include <sys/resource.h>

#include "check_image.h"

/* The encoding of a column, for values of each kind. */
static void caseEncodings(void) {
  enum { N = 2000 };
  mmapsync_value *values = calloc(N, sizeof(*values)), v;
  static const char *const words[] = {"red", "green", "blue"};
  static const char *const encodings[] = {
      "null",   "sequence", "constant", "int8",   "int16",  "int32", "int64", "constant",
      "real",   "text",     "blob",     "dict8",  "dict16", "mixed", "int8",  "sparse",
      "sparse", "sparse",   "sparse",   "sparse", "sparse", "mixed"};
  char(*names)[20] = calloc(N, sizeof(*names));
  mmapsync *h = channelOpen();
  Opened o;
  int kind, i;

  for (i = 0; i < N; i++) snprintf(names[i], sizeof(names[i]), "name %d", i);
  for (kind = 0; kind < COUNT_OF(encodings); kind++) {
    for (i = 0; i < N; i++) {
      switch (kind) {
      case 0: v = null(); break;
      case 1: v = integer(i - 10); break;
      case 2: v = integer(42); break;
      case 3: v = integer(1000000 + i % 256); break;
      case 4: v = integer(-(i * 30)); break;
      case 5: v = integer(i * INT64_C(2000000)); break;
      case 6: v = integer(i % 2 ? INT64_MIN : INT64_MAX); break;
      case 7: v = real(-0.0); break;
      case 8: v = real(i / 3.0); break;
      case 9: v = text(names[i]); break;
      case 10: v = blob(names[i], 8); break;
      case 11: v = text(words[i * i % 3]); break;
      case 12: v = text(names[i % 400]); break;
      case 13: v = i % 2 ? integer(i) : text(names[i]); break;
      case 14: v = i % 3 == 0 ? null() : integer(i % 99); break;
      default:
        if (i % 7 > 2) {
          v = null();
        } else if (kind == 15) {
          v = integer(i * i);
        } else if (kind == 16) {
          v = integer(i / 7 * 3 + i % 7); /* rises by one a row that is not NULL */
        } else if (kind == 17) {
          v = real(i / 3.0);
        } else if (kind == 18) {
          v = text(names[i]);
        } else if (kind == 19) {
          v = blob(names[i], 8);
        } else if (kind == 20) {
          v = text(words[i * i % 3]);
        } else {
          v = i % 2 ? integer(i) : text(names[i]);
        }
        break;
      }
      values[i] = v;
    }
    OK(h, publishOne(h, NULL, values, N));
    openImage(&o, h);
    snprintf(checkAbout, sizeof(checkAbout), "kind %d is %s", kind,
             mmapsync_column_about(o.t, 0)->encoding);
    CHECK(strcmp(mmapsync_column_about(o.t, 0)->encoding, encodings[kind]) == 0);
    for (i = 0; i < N; i++) {
      CHECK(mmapsync_get(o.t, (uint64_t)i, 0, &v) == MMAPSYNC_OK && same(&v, &values[i]));
    }
    closeImage(&o);
  }
  free(names);
  free(values);
  mmapsync_close(h);
}

/* More rows than a chunk holds, each chunk encoded for itself; a dictionary of 16 bits. */
static void caseChunks(void) {
  enum { N = 203000 };
  mmapsync *h = channelOpen();
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED);
  mmapsync_table_def def = table(3, &key, 1);
  mmapsync_builder *b;
  mmapsync_value v;
  uint64_t row;
  char word[16];
  Opened o;
  int i;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < N; i++) {
    snprintf(word, sizeof(word), "word %d", i % 1000);
    mmapsync_build_int(b, i);
    if (i < 100000)
      mmapsync_build_real(b, i / 2.0);
    else
      mmapsync_build_text(b, word, strlen(word));
    mmapsync_build_text(b, word, strlen(word));
    OK(h, mmapsync_build_row(b));
  }
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, h);
  CHECK(strcmp(mmapsync_column_about(o.t, 0)->encoding, "sequence") == 0);
  CHECK(strcmp(mmapsync_column_about(o.t, 1)->encoding, "varied") == 0);
  CHECK(strcmp(mmapsync_column_about(o.t, 2)->encoding, "dict16") == 0);
  for (i = 0; i < N; i++) {
    v = integer(i);
    CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == MMAPSYNC_OK && row == (uint64_t)i);
    CHECK(mmapsync_get(o.t, row, 0, &v) == MMAPSYNC_OK && v.u.i == i);
    snprintf(word, sizeof(word), "word %d", i % 1000);
    CHECK(mmapsync_get(o.t, row, 2, &v) == MMAPSYNC_OK && strcmp(v.u.p, word) == 0);
    CHECK(mmapsync_get(o.t, row, 1, &v) == MMAPSYNC_OK);
    if (i < 100000)
      CHECK(v.type == MMAPSYNC_REAL && v.u.r == i / 2.0);
    else
      CHECK(v.type == MMAPSYNC_TEXT && strcmp(v.u.p, word) == 0);
  }
  closeImage(&o);
  mmapsync_close(h);
}

/* Large values in one chunk, more than is staged: they go to the file at once, among small ones. */
static void caseLargeValues(void) {
  enum { N = 40, LARGE = 1 << 20 };
  mmapsync *h = channelOpen();
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_UNIQUE);
  mmapsync_table_def def = table(3, &key, 1);
  mmapsync_builder *b;
  mmapsync_value v;
  char *bytes = malloc(LARGE), name[20];
  uint64_t row;
  size_t n;
  Opened o;
  int i;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < N; i++) {
    n = (size_t)(LARGE - i);
    memset(bytes, 'A' + i, n);
    snprintf(name, sizeof(name), "name %d", i);
    OK(h, mmapsync_build_text(b, name, strlen(name)));
    if (i % 5 == 4) {
      OK(h, mmapsync_build_null(b));
    } else {
      OK(h, mmapsync_build_text(b, bytes, n));
    }
    OK(h, mmapsync_build_blob(b, bytes, i % 2 ? n / 2 : 3));
    OK(h, mmapsync_build_row(b));
  }
  OK(h, mmapsync_build_commit(b, NULL));

  openImage(&o, h);
  CHECK(strcmp(mmapsync_column_about(o.t, 0)->encoding, "text") == 0); /* short ones are staged */
  CHECK(strcmp(mmapsync_column_about(o.t, 1)->encoding, "mixed") == 0);
  CHECK(mmapsync_column_about(o.t, 1)->nulls == N / 5);
  CHECK(strcmp(mmapsync_column_about(o.t, 2)->encoding, "mixed") == 0);
  for (i = 0; i < N; i++) {
    n = (size_t)(LARGE - i);
    memset(bytes, 'A' + i, n);
    snprintf(name, sizeof(name), "name %d", i);
    v = text(name);
    CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == MMAPSYNC_OK && row == (uint64_t)i);
    CHECK(mmapsync_get(o.t, row, 1, &v) == MMAPSYNC_OK);
    if (i % 5 == 4) {
      CHECK(v.type == MMAPSYNC_NULL);
    } else {
      CHECK(v.type == MMAPSYNC_TEXT && v.n == n && memcmp(v.u.p, bytes, n) == 0);
      CHECK(((const char *)v.u.p)[n] == 0);
    }
    CHECK(mmapsync_get(o.t, row, 2, &v) == MMAPSYNC_OK && v.type == MMAPSYNC_BLOB);
    CHECK(v.n == (i % 2 ? n / 2 : 3) && memcmp(v.u.p, bytes, v.n) == 0);
  }
  closeImage(&o);
  OK(h, mmapsync_verify(h));
  free(bytes);
  mmapsync_close(h);
}

/* 2,000 columns, and the most there may be. */
static void caseWide(void) {
  enum { WIDE = 32768 };
  mmapsync *h = channelOpen();
  mmapsync_column_def *cols = calloc(WIDE, sizeof(*cols));
  char(*names)[16] = calloc(WIDE, sizeof(*names));
  static const int widths[] = {2000, WIDE - 1};
  mmapsync_table_def def;
  mmapsync_builder *b;
  mmapsync_value v;
  Opened o;
  int c, w;

  for (c = 0; c < WIDE; c++) {
    snprintf(names[c], sizeof(names[c]), "c%d", c);
    cols[c].name = names[c];
  }
  for (w = 0; w < 2; w++) {
    def = table(1, NULL, 0);
    def.columns = cols;
    def.ncolumns = widths[w];
    OK(h, mmapsync_build_begin(h, &b));
    OK(h, mmapsync_build_table(b, &def));
    for (c = 0; c < 3 * widths[w]; c++) {
      OK(h, mmapsync_build_int(b, c));
      if ((c + 1) % widths[w] == 0) OK(h, mmapsync_build_row(b));
    }
    OK(h, mmapsync_build_commit(b, NULL));
    openImage(&o, h);
    CHECK(mmapsync_table_about(o.t)->ncolumns == widths[w]);
    for (c = 0; c < 3 * widths[w]; c++) {
      CHECK(mmapsync_get(o.t, (uint64_t)(c / widths[w]), c % widths[w], &v) == MMAPSYNC_OK);
      CHECK(v.u.i == c);
    }
    CHECK(mmapsync_column_find(o.t, "C1999") == 1999);
    closeImage(&o);
  }
  def.ncolumns = WIDE;
  OK(h, mmapsync_build_begin(h, &b));
  FAILS(h, mmapsync_build_table(b, &def), MMAPSYNC_TOOBIG,
        "\"%s\": table \"t\": more than 32767 columns", checkPath);
  mmapsync_build_abort(b);
  free(names);
  free(cols);
  mmapsync_close(h);
}

/* Equal rows give equal bytes: what lies between buffers is not left to chance. */
static void caseSameBytes(void) {
  mmapsync *a = channelOpen();
  mmapsync_value v[] = {text("one"), text("two"), null(), integer(3), real(4)};
  mmapsync_result done;
  mmapsync_view first, second;
  char *junk = malloc(1 << 20);

  memset(junk, 0xa5, 1 << 20);
  OK(a, mmapsync_write(a, junk, 1 << 20, NULL));
  OK(a, mmapsync_write(a, "clean", 5, &done));
  OK(a, publishOne(a, NULL, v, COUNT_OF(v))); /* over the junk */
  OK(a, mmapsync_read(a, &first));
  OK(a, publishOne(a, NULL, v, COUNT_OF(v)));
  OK(a, mmapsync_read(a, &second));
  CHECK(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
  CHECK(first.hash == second.hash);
  mmapsync_release(a, &second);
  mmapsync_release(a, &first);
  free(junk);
  mmapsync_close(a);
}

/* Integers that go round from the greatest to the least, which only unsigned arithmetic calls rising. */
static void caseWrapped(void) {
  mmapsync *h = channelOpen();
  mmapsync_value v, values[3] = {integer(INT64_MAX), integer(INT64_MIN), integer(INT64_MIN + 1)};
  Opened o;
  int i;
  OK(h, publishOne(h, NULL, values, 3));
  openImage(&o, h);
  for (i = 0; i < 3; i++) {
    CHECK(mmapsync_get(o.t, (uint64_t)i, 0, &v) == MMAPSYNC_OK && same(&v, &values[i]));
  }
  closeImage(&o);
  mmapsync_close(h);
}

/* Rows too long for a full chunk make a shorter one, and keep their narrow encodings. */
static void caseLongRows(void) {
  enum { N = 200000, TEXTS = 90, LENGTH = 300 };
  mmapsync *h = channelOpen();
  mmapsync_table_def def = table(3, NULL, 0);
  mmapsync_builder *b;
  mmapsync_value v;
  char bytes[LENGTH];
  Opened o;
  int i;
  memset(bytes, 'x', sizeof(bytes));
  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < N; i++) {
    bytes[0] = (char)(' ' + i % TEXTS);
    OK(h, mmapsync_build_int(b, i * 3));
    OK(h, i % 7 ? mmapsync_build_text(b, bytes, LENGTH) : mmapsync_build_null(b));
    OK(h, i % 2 ? mmapsync_build_text(b, bytes, 1) : mmapsync_build_real(b, i));
    OK(h, mmapsync_build_row(b));
  }
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, h);
  CHECK(strcmp(mmapsync_column_about(o.t, 1)->encoding, "dict8") == 0);
  CHECK(mmapsync_column_about(o.t, 1)->nulls == (N + 6) / 7);
  CHECK(mmapsync_table_about(o.t)->bytes < N * 40);
  for (i = 0; i < N; i++) {
    CHECK(mmapsync_get(o.t, (uint64_t)i, 0, &v) == MMAPSYNC_OK && v.u.i == i * 3);
    CHECK(mmapsync_get(o.t, (uint64_t)i, 1, &v) == MMAPSYNC_OK);
    CHECK(v.type == (i % 7 ? MMAPSYNC_TEXT : MMAPSYNC_NULL));
    if (i % 7) CHECK(v.n == LENGTH && *(const char *)v.u.p == ' ' + i % TEXTS);
    CHECK(mmapsync_get(o.t, (uint64_t)i, 2, &v) == MMAPSYNC_OK);
    CHECK(i % 2 ? v.n == 1 && *(const char *)v.u.p == ' ' + i % TEXTS : v.u.r == i);
  }
  closeImage(&o);
  mmapsync_close(h);
}

/* Keys that need no bytes ask for none: 4 MB would be needed for orders and hashes, 64 KB are there. */
static void caseSmallKeys(void) {
  enum { N = 300000 };
  mmapsync *h = channelOpen();
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED);
  mmapsync_table_def def = table(1, &key, 1);
  mmapsync_builder *b;
  struct rlimit limit, old;
  mmapsync_result done;
  int i;
  CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
  limit = old;
  limit.rlim_cur = 256 << 10;
  signal(SIGXFSZ, SIG_IGN);
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < N; i++) {
    OK(h, mmapsync_build_int(b, i));
    OK(h, mmapsync_build_row(b));
  }
  OK(h, mmapsync_build_commit(b, &done));
  CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
  CHECK(done.rows == N && done.size < 4096);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"encodings", caseEncodings}, {"chunks", caseChunks},        {"large_values", caseLargeValues},
    {"wide", caseWide},           {"same_bytes", caseSameBytes}, {"wrapped", caseWrapped},
    {"long_rows", caseLongRows},  {"small_keys", caseSmallKeys}, {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
