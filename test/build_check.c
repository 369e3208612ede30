#define _GNU_SOURCE
/*
** build_check.c - table images that are built under difficulties.
**
** A device that gives room for one buffer and not for the next; values that change in the data file while keys are
** built of them; keys whose rows do not tell themselves apart for long; sorts that are stopped; and the sentences for
** values of all kinds.  What does not fail is right in every value; what fails leaves the snapshot before it.
*/
#include "build.h"
#include "check_image.h"
#include "order.h"
#include "sys.h"

#define ROWS 66000 /* a chunk and some */

static mmapsync_builder *b;

static void row(void) { CHECK(mmapsync_build_row(b) == MMAPSYNC_OK || b->rc != MMAPSYNC_OK); }

/* ---- no room --------------------------------------------------------------------------------------- */

/* A device on which there never is room to spare: what asks for an eighth more is refused, what asks for no more than
** it needs is given it; but for the nth of those. */
static int needs, needFails;
static int reserveTight(int fd, off_t at, off_t n) {
  static int refused;
  if (!refused && n <= at / 8 + 8192) {
    refused = 1;
    return ENOSPC;
  }
  refused = 0;
  return ++needs == needFails ? ENOSPC : posix_fallocate(fd, at, n);
}

/* Columns in all encodings, each of more than a page. */
static void tightRows(void) {
  static const mmapsync_column_def columns[] = {{.name = "number"}, {.name = "real"},
                                                {.name = "sparse"}, {.name = "text"},
                                                {.name = "word"},   {.name = "mixed"}};
  static const mmapsync_table_def def = {
      .name = "t", .columns = columns, .ncolumns = 6, .rowid = -1};
  char z[32];
  int i;
  mmapsync_build_table(b, &def);
  for (i = 0; i < ROWS; i++) {
    if (i % 7) {
      mmapsync_build_int(b, (int64_t)i * i);
    } else {
      mmapsync_build_null(b);
    }
    mmapsync_build_real(b, i / 3.0);
    if (i % 3) {
      mmapsync_build_null(b);
    } else {
      mmapsync_build_text(b, z, (size_t)snprintf(z, sizeof(z), "sparse %d", i * 7919 % 9001));
    }
    mmapsync_build_text(b, z, (size_t)snprintf(z, sizeof(z), "text %d", i));
    mmapsync_build_text(b, z, (size_t)snprintf(z, sizeof(z), "one of many words %d", i % 2000));
    if (i % 2) {
      mmapsync_build_int(b, i);
    } else {
      mmapsync_build_blob(b, z, 5);
    }
    row();
  }
}

static void tightCheck(mmapsync *h) {
  Opened o;
  mmapsync_value v;
  char z[32];
  uint64_t i;
  openImage(&o, h);
  CHECK(mmapsync_table_about(o.t)->rows == ROWS);
  for (i = 0; i < ROWS; i += 997) {
    CHECK(mmapsync_get(o.t, i, 0, &v) == MMAPSYNC_OK);
    CHECK(i % 7 ? v.type == MMAPSYNC_INTEGER && v.u.i == (int64_t)(i * i)
                : v.type == MMAPSYNC_NULL);
    CHECK(mmapsync_get(o.t, i, 1, &v) == MMAPSYNC_OK && v.u.r == (double)i / 3.0);
    CHECK(mmapsync_get(o.t, i, 2, &v) == MMAPSYNC_OK);
    CHECK((v.type == MMAPSYNC_NULL) == (i % 3 != 0));
    CHECK(mmapsync_get(o.t, i, 4, &v) == MMAPSYNC_OK);
    snprintf(z, sizeof(z), "one of many words %d", (int)(i % 2000));
    CHECK(v.n == strlen(z) && memcmp(v.u.p, z, v.n) == 0);
  }
  closeImage(&o);
}

static void caseNoRoom(void) {
  mmapsync *h = channelOpen();
  int rc, failed = 0;
  WRITE(h, "before");
  for (needFails = 1;; needFails++) {
    needs = 0;
    sysSet("posix_fallocate", (SysFunction)reserveTight);
    rc = mmapsync_build_begin(h, &b);
    if (rc == MMAPSYNC_OK) {
      tightRows();
      rc = mmapsync_build_commit(b, NULL);
    }
    sysSet(NULL, NULL);
    if (needs < needFails) break;
    snprintf(checkAbout, sizeof(checkAbout), "need %d", needFails);
    if (rc == MMAPSYNC_OK) { /* it was to spare */
      WRITE(h, "before");
      continue;
    }
    CHECK(rc == MMAPSYNC_FULL && strstr(mmapsync_errmsg(h), "no room for ") != NULL);
    HOLDS(h, "before");
    failed++;
  }
  OK(h, rc);
  CHECK(failed > 12);
  tightCheck(h);
  mmapsync_close(h);
}

/* The directory is what does not fit any more. */
static int reserveNever(int fd, off_t at, off_t n) {
  (void)fd, (void)at, (void)n;
  return EDQUOT;
}

static void caseNoRoomForDirectory(void) {
  static char names[200][64], most[60000];
  mmapsync_column_def columns[200];
  mmapsync_table_def def = {.name = "t", .columns = columns, .ncolumns = 200, .rowid = -1};
  mmapsync *h = channelOpen();
  int i;
  memset(columns, 0, sizeof(columns));
  for (i = 0; i < 200; i++) {
    snprintf(names[i], sizeof(names[i]), "a column with a long name, number %d", i);
    columns[i].name = names[i];
  }
  WRITE(h, "before");
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  mmapsync_build_blob(b, most, sizeof(most));
  for (i = 1; i < 200; i++) mmapsync_build_null(b);
  OK(h, mmapsync_build_row(b));
  OK(h, mmapsync_build_end(b));
  sysSet("posix_fallocate", (SysFunction)reserveNever);
  CHECK(mmapsync_build_commit(b, NULL) == MMAPSYNC_FULL);
  sysSet(NULL, NULL);
  HOLDS(h, "before");
  mmapsync_close(h);
}

/* ---- large values --------------------------------------------------------------------------------- */

/* What is too large to be staged goes to the file at once: there is room for it, or not; and a NUL in it is seen. */
static void caseFar(void) {
  enum { kLarge = 21 << 20 };
  mmapsync_table_def def = table(1, NULL, 0);
  mmapsync *h = channelOpen();
  char *bytes = malloc(kLarge);
  mmapsync_value v;
  Opened o;
  int nul;
  memset(bytes, 'x', kLarge);
  WRITE(h, "before");
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  sysSet("posix_fallocate", (SysFunction)reserveNever);
  CHECK(mmapsync_build_text(b, bytes, kLarge) == MMAPSYNC_FULL);
  CHECK(mmapsync_build_row(b) == MMAPSYNC_FULL && mmapsync_build_commit(b, NULL) == MMAPSYNC_FULL);
  sysSet(NULL, NULL);
  HOLDS(h, "before");
  for (nul = 0; nul < 2; nul++) {
    if (nul) bytes[kLarge / 2] = 0;
    OK(h, mmapsync_build_begin(h, &b));
    mmapsync_build_table(b, &def);
    mmapsync_build_text(b, bytes, kLarge);
    row();
    OK(h, mmapsync_build_commit(b, NULL));
    openImage(&o, h);
    CHECK(mmapsync_get(o.t, 0, 0, &v) == MMAPSYNC_OK && v.type == MMAPSYNC_TEXT && v.n == kLarge);
    CHECK(memcmp(v.u.p, bytes, kLarge) == 0);
    CHECK(((mmapsync_column_about(o.t, 0)->flags & MMAPSYNC_COLUMN_CLEAN) != 0) == !nul);
    closeImage(&o);
  }
  free(bytes);
  mmapsync_close(h);
}

/* A dictionary that fits but saves too little is not used. */
static void caseDictionary(void) {
  static char word[100][1000];
  mmapsync_table_def def = table(1, NULL, 0);
  mmapsync *h = channelOpen();
  mmapsync_value v;
  Opened o;
  int i, few;
  for (i = 0; i < 100; i++) {
    memset(word[i], 'a' + i % 26, sizeof(word[i]));
    word[i][0] = (char)i;
  }
  for (few = 0; few < 2; few++) {
    OK(h, mmapsync_build_begin(h, &b));
    mmapsync_build_table(b, &def);
    for (i = 0; i < 400; i++) {
      if (i < 99) {
        mmapsync_build_text(b, word[few ? i % 9 : i], sizeof(word[i]));
      } else {
        mmapsync_build_text(b, "x", 1);
      }
      row();
    }
    CHECK(mmapsync_build_end(b) == MMAPSYNC_OK);
    CHECK(b->tables[0].columns[0].chunks[0].encoding == (few ? CHUNK_DICT : CHUNK_TEXT));
    OK(h, mmapsync_build_commit(b, NULL));
    openImage(&o, h);
    for (i = 0; i < 400; i++) {
      CHECK(mmapsync_get(o.t, (uint64_t)i, 0, &v) == MMAPSYNC_OK);
      CHECK(i >= 99 ? v.n == 1 : memcmp(v.u.p, word[few ? i % 9 : i], 1000) == 0);
    }
    closeImage(&o);
  }
  mmapsync_close(h);
}

/* As many rows as a table can have, and one more. */
static void caseRows(void) {
  mmapsync_table_def def = table(1, NULL, 0);
  mmapsync *h = channelOpen();
  WRITE(h, "before");
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  mmapsync_build_int(b, 1);
  b->open->dir.rows = IMAGE_MAX_ROWS;
  FAILS(h, mmapsync_build_row(b), MMAPSYNC_TOOBIG, "\"%s\": table \"t\": more than 4294967294 rows",
        checkPath);
  mmapsync_build_abort(b);
  HOLDS(h, "before");
  mmapsync_close(h);
}

/* ---- keys that are looked for --------------------------------------------------------------------- */

/* Buckets that are all full, as an image may claim, are not gone round for ever; one that is fuller than can be is
** damage, also of many lookups at once. */
static void caseBuckets(void) {
  static const int rows[] = {5, 3000};
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_UNIQUE);
  mmapsync_table_def def = table(1, &key, 1);
  mmapsync *h = channelOpen();
  mmapsync_value many[40], v;
  uint64_t found[40], r, i, n;
  uint32_t used;
  char z[32];
  Opened o;
  int k;
  for (k = 0; k < 4; k++) {
    OK(h, mmapsync_build_begin(h, &b));
    mmapsync_build_table(b, &def);
    for (i = 0; i < (uint64_t)rows[k % 2]; i++) {
      mmapsync_build_text(b, z, (size_t)snprintf(z, sizeof(z), "key %d", (int)i));
      row();
    }
    OK(h, mmapsync_build_end(b));
    n = b->tables[0].keys[0].dir.search_bytes / 64;
    CHECK(b->tables[0].keys[0].dir.search_kind == SEARCH_HASH && n == (k % 2 ? 358u : 1u));
    for (i = 0; i < n; i++) {
      HashBucket *p = (HashBucket *)(void *)(b->payload + b->tables[0].keys[0].dir.search) + i;
      used = k < 2 ? HASH_SLOTS : HASH_SLOTS + 1;
      memcpy(&p->used, &used, sizeof(used));
    }
    OK(h, mmapsync_build_commit(b, NULL));
    openImage(&o, h);
    v = text("nowhere");
    CHECK(mmapsync_find(o.t, 0, &v, 1, &r) == (k < 2 ? MMAPSYNC_NOTFOUND : MMAPSYNC_CORRUPT));
    for (i = 0; i < 40; i++) many[i] = v;
    CHECK(mmapsync_find_many(o.t, 0, many, 40, found) == (k < 2 ? MMAPSYNC_OK : MMAPSYNC_CORRUPT));
    for (i = 0; k < 2 && i < 40; i++) CHECK(found[i] == UINT64_MAX);
    closeImage(&o);
  }
  mmapsync_close(h);
}

/* Keys that somebody has made to collide are found by their order; the key built behind them is where it belongs. */
static void caseCollisions(void) {
  enum { kRows = HASH_SLOTS * HASH_REACH + 20 };
  static const mmapsync_part_def columnA[] = {{.column = 0}}, columnB[] = {{.column = 1}};
  const mmapsync_key_def keys[] = {
      {.name = "ka", .flags = MMAPSYNC_KEY_UNIQUE, .parts = columnA, .nparts = 1},
      {.name = "kb", .flags = MMAPSYNC_KEY_UNIQUE, .parts = columnB, .nparts = 1}};
  mmapsync_table_def def = table(2, keys, 2);
  mmapsync *h = channelOpen();
  mmapsync_value v[kRows], w;
  uint64_t r, nbucket = (uint64_t)(kRows / 8.4) + 1;
  int64_t x = 0;
  Opened o;
  int i;
  for (i = 0; i < kRows; x++) {
    v[i] = integer(x * 7919 % 1000003);
    i += (orderHash(&v[i], MMAPSYNC_BINARY, 0) >> 32) * nbucket >> 32 == 0;
  }
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  for (i = 0; i < kRows; i++) {
    mmapsync_build_int(b, v[i].u.i);
    mmapsync_build_int(b, 1000000 - 3 * i);
    row();
  }
  OK(h, mmapsync_build_end(b));
  CHECK(b->tables[0].keys[0].dir.search_kind == SEARCH_SORTED);
  CHECK(b->tables[0].keys[0].dir.search_bytes == 0);
  CHECK(b->tables[0].keys[1].dir.search_kind == SEARCH_HASH);
  CHECK(b->tables[0].keys[1].dir.search_bytes == nbucket * 64);
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, h);
  for (i = 0; i < kRows; i++) {
    CHECK(mmapsync_find(o.t, 0, &v[i], 1, &r) == MMAPSYNC_OK && r == (uint64_t)i);
    w = integer(1000000 - 3 * i);
    CHECK(mmapsync_find(o.t, 1, &w, 1, &r) == MMAPSYNC_OK && r == (uint64_t)i);
    w.u.i++;
    CHECK(mmapsync_find(o.t, 1, &w, 1, &r) == MMAPSYNC_NOTFOUND);
  }
  closeImage(&o);
  mmapsync_close(h);
}

/* Long keys without case are folded piece by piece. */
static void caseLongKeys(void) {
  static const mmapsync_part_def part[] = {{.column = 0, .collation = MMAPSYNC_NOCASE}};
  mmapsync_key_def key = {.name = "k", .parts = part, .nparts = 1, .flags = MMAPSYNC_KEY_UNIQUE};
  mmapsync_table_def def = table(1, &key, 1);
  mmapsync *h = channelOpen();
  mmapsync_value v;
  uint64_t r;
  char z[1100];
  Opened o;
  int i;
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  for (i = 0; i < 100; i++) {
    memset(z, 'a', 1000);
    snprintf(z + 900 + i, 100, "b%d", i);
    mmapsync_build_text(b, z, strlen(z));
    row();
  }
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, h);
  for (i = 0; i < 100; i++) {
    memset(z, 'A', 1000);
    snprintf(z + 900 + i, 100, "B%d", i);
    v = text(z);
    CHECK(mmapsync_find(o.t, 0, &v, 1, &r) == MMAPSYNC_OK && r == (uint64_t)i);
    z[500] = 'x';
    CHECK(mmapsync_find(o.t, 0, &v, 1, &r) == MMAPSYNC_NOTFOUND);
  }
  closeImage(&o);
  mmapsync_close(h);
}

/* ---- values that change ----------------------------------------------------------------------------- */

/* The texts of column c, of the first chunk, lead out of the file: nobody can read them any more. */
static void damageTexts(int c) {
  const DirChunk *k = &b->tables[0].columns[c].chunks[0];
  CHECK(k->encoding == CHUNK_TEXT && b->tables[0].columns[c].nchunks > 0);
  memset(b->payload + k->data, 0x7f, ROWS / 2 * k->width);
}

/* Rows of a rising number and a text each; `first` is the number of the first.  One text is NULL. */
static void pairRows(int64_t first, int n) {
  char z[200];
  int i;
  for (i = 0; i < n; i++) {
    mmapsync_build_int(b, first + i);
    if (i == 5) {
      mmapsync_build_null(b);
    } else {
      mmapsync_build_text(b, z, (size_t)snprintf(z, sizeof(z), "text %d", i * 7919 % n));
    }
    row();
  }
}

/* Damage that was done between the rows and the keys is a failure of the build, or no matter; a sentence about a row
** says nothing of what cannot be read. */
static void caseChanged(void) {
  static const mmapsync_part_def both[] = {{.column = 0}, {.column = 1}};
  static const mmapsync_part_def textOnly[] = {{.column = 1}};
  mmapsync_key_def key = {.name = "k"};
  mmapsync_table_def def = table(2, &key, 1);
  mmapsync *h = channelOpen();
  int i;
  WRITE(h, "before");
  for (i = 0; i < 5; i++) {
    snprintf(checkAbout, sizeof(checkAbout), "key %d", i);
    key.parts = i == 0 ? both : textOnly;
    key.nparts = i == 0 ? 2 : 1;
    key.flags = i < 2              ? MMAPSYNC_KEY_ORDERED
                : i == 2 || i == 4 ? MMAPSYNC_KEY_NOTNULL
                                   : MMAPSYNC_KEY_UNIQUE;
    OK(h, mmapsync_build_begin(h, &b));
    mmapsync_build_table(b, &def);
    if (i == 0) { /* the numbers fall, and that is told */
      mmapsync_build_int(b, 100);
      mmapsync_build_text(b, "text", 4);
      row();
    }
    pairRows(0, ROWS);
    damageTexts(1);
    if (i == 4) { /* the NULLs that were counted are none any more */
      memset(b->payload + b->tables[0].columns[1].chunks[0].null_bits, 0, 65536 / 8);
      mmapsync_build_int(b, ROWS);
      mmapsync_build_text(b, "text", 4);
      row();
    }
    if (i == 0) {
      CHECK(mmapsync_build_commit(b, NULL) == MMAPSYNC_MISUSE);
      CHECK(strstr(mmapsync_errmsg(h), "rows are not in order in key (a, b): (0, )") != NULL);
    } else if (i == 2) { /* that there is a NULL can still be read */
      CHECK(mmapsync_build_commit(b, NULL) == MMAPSYNC_CONSTRAINT);
      CHECK(strstr(mmapsync_errmsg(h), "NULL in key (b): (NULL)") != NULL);
    } else {
      FAILS(h, mmapsync_build_commit(b, NULL), MMAPSYNC_CORRUPT,
            "\"%s\": table \"t\": changed while it was written", checkPath);
    }
    HOLDS(h, "before");
  }
  mmapsync_close(h);
}

/* The same at the nth moment at which progress is asked. */
static int asked, damageAt, damageWhat;
static int progressDamages(void *arg) {
  (void)arg;
  if (++asked != damageAt || !b || b->ntables == 0) return 0;
  if (damageWhat == 0) {
    if (b->tables[0].columns[1].nchunks) damageTexts(1);
  } else if (b->tables[0].keys[0].dir.order) { /* row numbers of the runs that are sorted already */
    memset(b->payload + b->tables[0].keys[0].dir.order, 0xff, ROWS / 2 * 4);
  }
  return 0;
}

static mmapsync *openAsking(int (*progress)(void *)) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.progress = progress;
  opt.threads = 1;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}

static void caseChangedMeanwhile(void) {
  static const mmapsync_part_def textOnly[] = {{.column = 1}, {.column = 0}};
  mmapsync_key_def key = {
      .name = "k", .flags = MMAPSYNC_KEY_UNIQUE, .parts = textOnly, .nparts = 2};
  mmapsync_table_def def = table(2, &key, 1);
  mmapsync *h = openAsking(progressDamages);
  int rc, failed = 0;
  for (damageWhat = 0; damageWhat < 2; damageWhat++) {
    b = NULL;
    WRITE(h, "before");
    for (damageAt = 1;; damageAt++) {
      asked = 0;
      OK(h, mmapsync_build_begin(h, &b));
      b->sort_rows = 66000;
      mmapsync_build_table(b, &def);
      pairRows(0, 2 * ROWS);
      rc = mmapsync_build_commit(b, NULL);
      b = NULL;
      if (asked < damageAt) break;
      if (rc == MMAPSYNC_OK) { /* where nobody looks any more */
        WRITE(h, "before");
        continue;
      }
      failed++;
      CHECK(rc == MMAPSYNC_CORRUPT && strstr(mmapsync_errmsg(h), "changed while it was written"));
      HOLDS(h, "before");
    }
    OK(h, rc);
    CHECK(failed > 0);
  }
  mmapsync_close(h);
}

/* Numbers that were in order when that was checked, and then are out of the range that they were to be found in. */
static int progressRaises(void *arg) {
  static const uint32_t far = UINT32_MAX;
  (void)arg;
  if (++asked == damageAt && b && b->ntables && b->tables[0].columns[0].nchunks) {
    CHECK(b->tables[0].columns[0].chunks[0].width == 4);
    memcpy(b->payload + b->tables[0].columns[0].chunks[0].data, &far, sizeof(far));
  }
  return 0;
}

static void caseRank(void) {
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_ORDERED | MMAPSYNC_KEY_UNIQUE);
  mmapsync_table_def def = table(1, &key, 1);
  mmapsync *h = openAsking(progressRaises);
  int i, rc, raised = 0;
  WRITE(h, "before");
  for (damageAt = 1;; damageAt++) {
    asked = 0;
    OK(h, mmapsync_build_begin(h, &b));
    mmapsync_build_table(b, &def);
    for (i = 0; i < ROWS; i++) {
      mmapsync_build_int(b, i * 3);
      row();
    }
    rc = mmapsync_build_commit(b, NULL);
    b = NULL;
    if (asked < damageAt) break;
    if (rc == MMAPSYNC_CORRUPT) {
      CHECK(strstr(mmapsync_errmsg(h), "changed while it was written") != NULL);
      raised++;
    } else if (rc == MMAPSYNC_OK) {
      WRITE(h, "before");
    } else { /* before it was checked */
      CHECK(rc == MMAPSYNC_MISUSE && strstr(mmapsync_errmsg(h), "rows are not in order") != NULL);
    }
    HOLDS(h, "before");
  }
  OK(h, rc);
  CHECK(raised > 0);
  mmapsync_close(h);
}

/* ---- sorts ----------------------------------------------------------------------------------------------- */

/* Texts that begin alike for longer than is looked at piece by piece are compared, and that can be stopped. */
static int stopAt;
static int progressStops(void *arg) {
  (void)arg;
  return ++asked == stopAt;
}

static void caseStopped(void) {
  mmapsync_key_def key = {.name = "k"};
  static const mmapsync_part_def textOnly[] = {{.column = 1}};
  mmapsync_table_def def = table(2, &key, 1);
  mmapsync *h = openAsking(progressStops);
  char z[200];
  int i, rc, stopped = 0;
  key.parts = textOnly;
  key.nparts = 1;
  WRITE(h, "before");
  for (stopAt = 1;; stopAt++) {
    asked = 0;
    OK(h, mmapsync_build_begin(h, &b));
    mmapsync_build_table(b, &def);
    for (i = 0; i < 9000; i++) {
      mmapsync_build_int(b, i);
      mmapsync_build_text(b, z, (size_t)snprintf(z, sizeof(z), "%0160d", i * 7919 % 9001));
      row();
    }
    rc = mmapsync_build_commit(b, NULL);
    if (asked < stopAt) break;
    CHECK(rc == MMAPSYNC_INTERRUPT && strcmp(mmapsync_errmsg(h), "interrupted") == 0);
    HOLDS(h, "before");
    stopped++;
  }
  OK(h, rc);
  CHECK(stopped >= 2);
  {
    Opened o;
    mmapsync_value v, last = text("");
    uint64_t at, r;
    openImage(&o, h);
    for (at = 0; at < 9000; at++) {
      CHECK(mmapsync_key_row(o.t, 0, at, &r) == MMAPSYNC_OK);
      CHECK(mmapsync_get(o.t, r, 1, &v) == MMAPSYNC_OK);
      CHECK(mmapsync_compare(&last, &v, MMAPSYNC_BINARY) < 0);
      last = v;
    }
    closeImage(&o);
  }
  mmapsync_close(h);
}

/* A key of so many columns that are all alike that sorting does not go on piece by piece for ever; sorted at once, and
** in runs. */
#define MANY 230
static void caseMany(void) {
  mmapsync_column_def columns[MANY];
  mmapsync_part_def parts[MANY];
  mmapsync_key_def key = {.name = "k", .parts = parts, .nparts = MANY};
  mmapsync_table_def def = {
      .name = "t", .columns = columns, .ncolumns = MANY, .keys = &key, .nkeys = 1, .rowid = -1};
  mmapsync *h = channelOpen();
  uint64_t at, r;
  mmapsync_value v;
  Opened o;
  int c, i, runs;
  memset(columns, 0, sizeof(columns));
  memset(parts, 0, sizeof(parts));
  for (c = 0; c < MANY; c++) {
    columns[c].name = "c";
    parts[c].column = c;
  }
  for (runs = 0; runs < 2; runs++) {
    OK(h, mmapsync_build_begin(h, &b));
    if (runs) b->sort_rows = 7;
    mmapsync_build_table(b, &def);
    for (i = 0; i < 40; i++) {
      for (c = 0; c < MANY - 1; c++) mmapsync_build_int(b, 3);
      mmapsync_build_int(b, i * 7 % 41);
      row();
    }
    OK(h, mmapsync_build_commit(b, NULL));
    openImage(&o, h);
    for (at = 0; at < 40; at++) {
      CHECK(mmapsync_key_row(o.t, 0, at, &r) == MMAPSYNC_OK);
      CHECK(mmapsync_get(o.t, r, MANY - 1, &v) == MMAPSYNC_OK);
      CHECK(v.u.i >= (int64_t)at && v.u.i <= (int64_t)at + 1); /* one of 0..40 is not there */
    }
    closeImage(&o);
  }
  mmapsync_close(h);
}

/* ---- sentences -------------------------------------------------------------------------------------------- */

/* Of a text in a sentence whole characters are shown, and a question mark for each byte that is none. */
static void caseSentences(void) {
  static const struct {
    const char *text, *shown;
  } some[] = {{"plain", "'plain'"},
              {"\x01\x1f\x7f", "'?"
                               "?"
                               "?'"},
              {"\x80\xbf\xc0\xc1", "'?"
                                   "?"
                                   "?"
                                   "?'"},
              {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "'\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80'"},
              {"\xf5\xff", "'?"
                           "?'"},
              {"\xf0\x9f\x98", "'?"
                               "?"
                               "?'"},
              {"\xe2x\xac", "'?x?'"},
              {"\xc3", "'?'"},
              {"0123456789012345678901234567890123456789+",
               "'0123456789012345678901234567890123456789...'"}};
  static const mmapsync_part_def textOnly[] = {{.column = 0}};
  mmapsync_key_def key = {
      .name = "k", .parts = textOnly, .nparts = 1, .flags = MMAPSYNC_KEY_UNIQUE};
  mmapsync_table_def def = table(1, &key, 1);
  mmapsync *h = channelOpen();
  int i, k;
  for (i = 0; i < COUNT_OF(some); i++) {
    OK(h, mmapsync_build_begin(h, &b));
    mmapsync_build_table(b, &def);
    for (k = 0; k < 2; k++) {
      mmapsync_build_text(b, some[i].text, strlen(some[i].text));
      row();
    }
    FAILS(h, mmapsync_build_commit(b, NULL), MMAPSYNC_CONSTRAINT,
          "\"%s\": table \"t\": duplicate in key (a): (%s)", checkPath, some[i].shown);
  }
  mmapsync_close(h);
}

/* Of long names, and of many values, the beginning. */
static void caseLongSentences(void) {
  enum { kColumns = 12 };
  static char names[kColumns][50];
  mmapsync_column_def columns[kColumns];
  mmapsync_part_def parts[kColumns];
  mmapsync_key_def key = {
      .name = "k", .parts = parts, .nparts = kColumns, .flags = MMAPSYNC_KEY_UNIQUE};
  mmapsync_table_def def = {
      .name = "t", .columns = columns, .ncolumns = kColumns, .keys = &key, .nkeys = 1, .rowid = -1};
  mmapsync *h = channelOpen();
  char want[1000], columnsSaid[1000] = "(", valuesSaid[1000] = "(";
  int i, c;
  memset(columns, 0, sizeof(columns));
  memset(parts, 0, sizeof(parts));
  for (c = 0; c < kColumns; c++) {
    snprintf(names[c], sizeof(names[c]), "the %dth of many columns of this key", c);
    columns[c].name = names[c];
    parts[c].column = c;
    strcat(strcat(columnsSaid, c ? ", " : ""), names[c]);
    snprintf(valuesSaid + strlen(valuesSaid), 100, "%s'a value of many bytes, number %d'",
             c ? ", " : "", c);
  }
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  for (i = 0; i < 2; i++) {
    for (c = 0; c < kColumns; c++) {
      mmapsync_build_text(
          b, want, (size_t)snprintf(want, sizeof(want), "a value of many bytes, number %d", c));
    }
    row();
  }
  columnsSaid[159] = valuesSaid[199] = 0;
  FAILS(h, mmapsync_build_commit(b, NULL), MMAPSYNC_CONSTRAINT,
        "\"%s\": table \"t\": duplicate in key %s: %s", checkPath, columnsSaid, valuesSaid);
  /* There is room for the first name, and for half of what comes before the next. */
  memset(want, 'n', 157);
  want[157] = 0;
  columns[0].name = want;
  key.nparts = 2;
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  for (i = 0; i < 2; i++) {
    for (c = 0; c < kColumns; c++) mmapsync_build_int(b, c);
    row();
  }
  FAILS(h, mmapsync_build_commit(b, NULL), MMAPSYNC_CONSTRAINT,
        "\"%s\": table \"t\": duplicate in key (%s,: (0, 1)", checkPath, want);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"no_room", caseNoRoom},
    {"no_room_for_directory", caseNoRoomForDirectory},
    {"far", caseFar},
    {"dictionary", caseDictionary},
    {"rows", caseRows},
    {"buckets", caseBuckets},
    {"collisions", caseCollisions},
    {"long_keys", caseLongKeys},
    {"changed", caseChanged},
    {"changed_meanwhile", caseChangedMeanwhile},
    {"rank", caseRank},
    {"stopped", caseStopped},
    {"many", caseMany},
    {"sentences", caseSentences},
    {"long_sentences", caseLongSentences},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
