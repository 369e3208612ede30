#define _GNU_SOURCE
/*
** fuzz_readers.c - fuzzer: state, P_writer and P_readers of anybody's making, under readers and writers.
**
** An input is
**
**     u8        which files there are and what is right in them: bit 0, the state names the data file as it is.  1, 2:
**               P_writer, P_readers have their magic and layout.  3, 4: there is no such file.  5: the state has
**               another length.  6: TAME
**     u8[16]    the state
**     u8[192]   what is told in P_writer
**     u8, ...   how many slots, the header of P_readers, and those
**     then operations, a byte each and what it takes: of three handles, which may read, write, wait and look
**     while somebody changes the files under them
**
** An input that is TAME has none of those files: its channel begins empty, nobody changes it from outside, and
** then what state.h promises is checked: a view shows the same bytes until it is released (C1), and a write that
** has returned is what is read.  Of others it is asked only that they do no harm; and that at the end, when all have
** gone, a writer can publish, if it does not say that a file is damaged, and what it has published can be read.
**
** Files are not cut short here: who touches what is missing is killed (mmapsync.h, REMOVING).  Nor does a writer cut one
** short that it takes for nobody's, where somebody has voided the pins of those who have it mapped.
*/
#include "data.h"
#include "fuzz.h"
#include "hash.h"
#include "page.h"
#include "slots.h"
#include "version.h"

#define FUZZ_MOST 1024 /* bytes of an input; run.sh reads this line */

#define HANDLES   3
#define VIEWS     3
#define STEPS     48

#define STATE_OK  1
#define PAGE_OK   2
#define SLOTS_OK  4
#define PAGE_NONE 8
#define SLOT_NONE 16
#define STATE_ODD 32
#define TAME      64

typedef struct Held {
  mmapsync_view view;
  uint64_t hash;
  int is;
} Held;

typedef struct User {
  mmapsync *h;
  Held held[VIEWS];
} User;

static uint64_t pageMark[2], slotsMark[2]; /* magic and layout */
static uint64_t readSum;

static void marksRead(const char *which, uint64_t mark[2]) {
  int fd = open(fuzzFile(which), O_RDONLY | O_CLOEXEC);
  FUZZ_CHECK(fd >= 0 && read(fd, mark, 16) == 16);
  close(fd);
}

static int keepLength; /* of files */

static int readersTruncate(int fd, off_t length) {
  struct stat st;
  if (keepLength && fstat(fd, &st) == 0 && st.st_size > length) return 0;
  return ftruncate(fd, length);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  mmapsync *h;
  (void)argc;
  (void)argv;
  fuzzBegin();
  sysSet("ftruncate", (SysFunction)readersTruncate);
  FUZZ_CHECK(mmapsync_open(fuzzPath, NULL, &h) == MMAPSYNC_OK);
  FUZZ_CHECK(mmapsync_write(h, "x", 1, NULL) == MMAPSYNC_OK);
  mmapsync_close(h);
  marksRead("writer", pageMark);
  marksRead("readers", slotsMark);
  return 0;
}

static void takeBytes(Take *t, void *to, size_t n) {
  uint8_t *p = to;
  while (n--) *p++ = takeByte(t);
}

/* ---- the files -------------------------------------------------------------------------------- */

static void filesMake(Take *t, unsigned flags) {
  static uint8_t page[PAGE_SIZE_BYTES], slots[PAGE_SIZE_BYTES];
  static const char text[256] = "the payload of a data file";
  uint8_t data[sizeof(text) + TRAILER_SIZE];
  uint64_t state[2];
  size_t n;
  Trailer trailer = {.magic = "mmapsyn", .format = TRAILER_FORMAT, .kind = MMAPSYNC_KIND_RAW};

  fuzzRemove();
  if (flags & TAME) return;
  takeBytes(t, state, sizeof(state));
  memset(page, 0, sizeof(page));
  takeBytes(t, page, sizeof(PageShared));
  memset(slots, 0, sizeof(slots));
  n = takeBelow(t, sizeof(slots) / SLOT_SIZE);
  takeBytes(t, slots, (n + 1) * SLOT_SIZE);
  if (flags & PAGE_OK) memcpy(page, pageMark, sizeof(pageMark));
  if (flags & SLOTS_OK) memcpy(slots, slotsMark, sizeof(slotsMark));
  memcpy(data, text, sizeof(text));
  trailer.magic[7] = 'c';
  trailer.hash = hashBytes(text, sizeof(text));
  trailer.version = versionMake(0, sizeof(text), trailer.hash);
  trailer.sequence = 5;
  trailer.check = hashBytes(&trailer, offsetof(Trailer, check));
  memcpy(data + sizeof(text), &trailer, sizeof(trailer));
  if (flags & STATE_OK) state[0] = trailer.version;
  fuzzWrite("data_0", data, sizeof(data));
  fuzzWrite("data_1", data, sizeof(data));
  fuzzWrite("state", state, flags & STATE_ODD ? takeBelow(t, 17) : sizeof(state));
  if (!(flags & PAGE_NONE)) fuzzWrite("writer", page, sizeof(page));
  if (!(flags & SLOT_NONE)) fuzzWrite("readers", slots, sizeof(slots));
}

/* Somebody stores 8 bytes, or 4, at a place of a file. */
static void filesPoke(Take *t) {
  static const struct {
    const char *which;
    unsigned bytes;
  } at[] = {{"state", 16},
            {"writer", sizeof(PageShared)},
            {"readers", 1024},
            {"data_0", 320},
            {"data_1", 320}};
  unsigned i = takeBelow(t, sizeof(at) / sizeof(*at)), where = takeBelow(t, at[i].bytes / 4) * 4;
  uint64_t x = takeByte(t);
  size_t n = x & 1 && where % 8 == 0 ? 8 : 4;
  int fd = open(fuzzFile(at[i].which), O_WRONLY | O_CLOEXEC);
  if (x & 2) x = takeWord(t);
  if (fd < 0) return;
  if (pwrite(fd, &x, n, where) < 0) fuzzDefect("cannot write %s", at[i].which);
  close(fd);
}

/* ---- users ------------------------------------------------------------------------------------ */

static void userRelease(User *u, int v, int tame) {
  Held *held = &u->held[v];
  if (!held->is) return;
  if (tame && held->view.pin != MMAPSYNC_PIN_COUNTER &&
      hashBytes(held->view.data, held->view.size) != held->hash) {
    fuzzDefect("a view has changed before it was released");
  }
  mmapsync_release(u->h, &held->view);
  held->is = 0;
}

static void userClose(User *u, int tame) {
  int v;
  for (v = 0; v < VIEWS; v++) userRelease(u, v, tame);
  mmapsync_close(u->h);
  u->h = NULL;
}

static void userOpen(User *u, Take *t, int tame) {
  mmapsync_options opt;
  unsigned x = takeByte(t), y = takeByte(t);
  mmapsync_options_init(&opt);
  opt.grace_ms = x & 1;
  opt.durable = (x >> 1 & 7) == 7;
  opt.verify = (int)(x >> 4 & 3) % 3;
  opt.stamp = (int)(x >> 6 & 1);
  opt.pins = (int)(y & 3);
  opt.foreign = (int)(y >> 2 & 1);
  opt.lock = (int)(y >> 3 & 3) % 3;
  if (tame && opt.lock == MMAPSYNC_LOCK_NONE)
    opt.lock = MMAPSYNC_LOCK_WRITE; /* or it is not true */
  FUZZ_CHECK(mmapsync_open(fuzzPath, &opt, &u->h) == MMAPSYNC_OK);
}

static void userRead(User *u, int v, int tame) {
  Held *held = &u->held[v];
  userRelease(u, v, tame);
  if (mmapsync_read(u->h, &held->view) != MMAPSYNC_OK) return;
  held->is = 1;
  held->hash = hashBytes(held->view.data, held->view.size);
  if (held->view.kind == MMAPSYNC_KIND_IMAGE) {
    mmapsync_image *image;
    mmapsync_value value;
    if (mmapsync_image_open(u->h, &held->view, &image) == MMAPSYNC_OK) {
      if (mmapsync_table_count(image) > 0 &&
          mmapsync_get(mmapsync_table_at(image, 0), 0, 0, &value) == MMAPSYNC_OK) {
        readSum += value.n;
      }
      mmapsync_image_close(image);
    } else {
      FUZZ_CHECK(!tame);
    }
  }
}

/* What was published is what is read. */
static void userPublished(User *u, const void *p, size_t n, const mmapsync_result *result,
                          int tame) {
  mmapsync_view view;
  int rc;
  if (!tame) return;
  rc = mmapsync_read(u->h, &view);
  if (rc != MMAPSYNC_OK) fuzzDefect("published, but: %s", mmapsync_errmsg(u->h));
  FUZZ_CHECK(view.size == n && view.sequence == result->sequence);
  FUZZ_CHECK(view.version == result->version && memcmp(view.data, p, n) == 0);
  mmapsync_release(u->h, &view);
}

static void userWrite(User *u, Take *t, int tame) {
  static uint8_t bytes[20000];
  mmapsync_result result;
  size_t n = takeBelow(t, 256), i;
  if (n > 200) n = n * 97 % sizeof(bytes);
  for (i = 0; i < n; i++) bytes[i] = (uint8_t)(n + i / 7);
  if (n) bytes[0] = takeByte(t);
  if (mmapsync_write(u->h, bytes, n, &result) == MMAPSYNC_OK)
    userPublished(u, bytes, n, &result, tame);
}

/* A write in steps. */
static void userSteps(User *u, Take *t, int tame) {
  mmapsync_result result;
  uint8_t copy[700];
  void *data;
  size_t n = takeBelow(t, 256);
  unsigned how = takeByte(t);
  if (mmapsync_write_begin(u->h, n, &data) != MMAPSYNC_OK) return;
  memset(data, (int)how, n);
  if (how & 1 && mmapsync_write_grow(u->h, n + 400, &data) == MMAPSYNC_OK) {
    memset((uint8_t *)data + n, (int)how + 1, 400);
    n += 400;
  }
  if (how & 2) {
    mmapsync_write_abort(u->h);
    return;
  }
  memcpy(copy, data, n);
  if (mmapsync_write_commit(u->h, n, MMAPSYNC_KIND_RAW, &result) == MMAPSYNC_OK) {
    userPublished(u, copy, n, &result, tame);
  }
}

static void userBuild(User *u, Take *t) {
  static const mmapsync_column_def columns[] = {{.name = "a"}, {.name = "b", .type = "TEXT"}};
  static const mmapsync_part_def parts[] = {{.column = 0}};
  static const mmapsync_key_def keys[] = {
      {.name = "k", .flags = MMAPSYNC_KEY_UNIQUE, .parts = parts, .nparts = 1}};
  static const mmapsync_table_def def = {
      .name = "t", .columns = columns, .ncolumns = 2, .keys = keys, .nkeys = 1, .rowid = -1};
  mmapsync_builder *b;
  unsigned i, n = takeBelow(t, 20), how = takeByte(t);
  if (mmapsync_build_begin(u->h, &b) != MMAPSYNC_OK) return;
  mmapsync_build_table(b, &def);
  for (i = 0; i < n; i++) {
    mmapsync_build_int(b, how & 1 ? i : i % 16);
    mmapsync_build_text(b, "text", i % 4);
    mmapsync_build_row(b);
  }
  if (how & 2) {
    mmapsync_build_abort(b);
  } else {
    mmapsync_build_commit(b, NULL);
  }
}

static void userLook(User *u, Take *t) {
  mmapsync_reader readers[5];
  mmapsync_progress progress;
  uint32_t counters[2];
  uint64_t x;
  size_t n, i;
  switch (takeBelow(t, 6)) {
  case 0:
    if (mmapsync_readers(u->h, readers, 5, &n) != MMAPSYNC_OK) return;
    for (i = 0; i < n && i < 5; i++) {
      FUZZ_CHECK(memchr(readers[i].program, 0, sizeof(readers[i].program)));
    }
    break;
  case 1:
    if (mmapsync_publishing(u->h, &progress) != MMAPSYNC_OK) return;
    FUZZ_CHECK(memchr(progress.table, 0, sizeof(progress.table)));
    break;
  case 2: mmapsync_counters(u->h, counters); break;
  case 3: mmapsync_version(u->h, &x); break;
  case 4: mmapsync_sequence(u->h, &x); break;
  default: mmapsync_verify(u->h);
  }
}

static void step(User *users, Take *t, int tame) {
  unsigned op = takeBelow(t, 16);
  User *u = &users[takeBelow(t, HANDLES)];
  int v = (int)takeBelow(t, VIEWS);
  uint64_t x;

  if (!u->h) userOpen(u, t, tame);
  switch (op) {
  case 0: userClose(u, tame); break;
  case 1:
  case 2:
  case 3: userRead(u, v, tame); break;
  case 4:
  case 5: userRelease(u, v, tame); break;
  case 6:
  case 7: userWrite(u, t, tame); break;
  case 8: userSteps(u, t, tame); break;
  case 9: userBuild(u, t); break;
  case 10: mmapsync_wait(u->h, takeByte(t), takeByte(t) & 1, &x); break;
  case 11:
  case 12: userLook(u, t); break;
  case 13:
    if (tame) break;
    unlink(fuzzFile(fuzzFiles[takeBelow(t, 5)]));
    break;
  default:
    if (!tame) filesPoke(t);
  }
}

/* When all have gone: the next publish works, and is read. */
static void filesUsable(void) {
  mmapsync_options opt;
  mmapsync_result result;
  mmapsync_view view;
  mmapsync *h;
  int rc;
  mmapsync_options_init(&opt);
  opt.grace_ms = 0;
  FUZZ_CHECK(mmapsync_open(fuzzPath, &opt, &h) == MMAPSYNC_OK);
  rc = mmapsync_write(h, "at the end", 10, &result);
  if (rc != MMAPSYNC_OK && rc != MMAPSYNC_CORRUPT) fuzzDefect("%d: %s", rc, mmapsync_errmsg(h));
  mmapsync_close(h);
  if (rc != MMAPSYNC_OK) return;
  FUZZ_CHECK(mmapsync_open(fuzzPath, &opt, &h) == MMAPSYNC_OK);
  rc = mmapsync_read(h, &view);
  if (rc != MMAPSYNC_OK) fuzzDefect("%d: %s", rc, mmapsync_errmsg(h));
  FUZZ_CHECK(view.size == 10 && memcmp(view.data, "at the end", 10) == 0);
  FUZZ_CHECK(view.sequence == result.sequence);
  mmapsync_release(h, &view);
  if (mmapsync_verify(h) != MMAPSYNC_OK) fuzzDefect("%s", mmapsync_errmsg(h));
  mmapsync_close(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  FuzzOpen was = fuzzOpen();
  User users[HANDLES];
  Take t = {data, n};
  unsigned flags = takeByte(&t);
  int i, tame = (flags & TAME) != 0;

  memset(users, 0, sizeof(users));
  filesMake(&t, flags);
  keepLength = !tame;
  for (i = 0; i < STEPS && t.n > 0; i++) step(users, &t, tame);
  for (i = 0; i < HANDLES; i++) userClose(&users[i], tame);
  keepLength = 0;
  filesUsable();
  fuzzClosed(was);
  return 0;
}
