#define _GNU_SOURCE
/*
** sync_regress_check.c - faults of the synchronizer that were found and mended, one case each.
**
** Each was shown by a program before it was mended, and each case is that program: another kind of
** reader that takes a counter below 0, a channel made anew under a reader, a write finished behind a
** builder's back, files cut short, a child that closes what its parent uses, and so on.  Where a case
** only pins down what mmapsync.h warns of, it says so.  How it is run: check.h.
*/
#include "check.h"

#include <sys/mman.h>

#include "data.h"
#include "state.h"
#include "sys.h"
#include "version.h"

#define MB ((size_t)1 << 20)

/* The state file of the scratch channel, as another party has it mapped. */
static StateShared *stateShared(void) {
  int fd = open(fileName("_state"), O_RDWR);
  void *p = fd < 0 ? MAP_FAILED : mmap(NULL, STATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(p != MAP_FAILED);
  close(fd);
  return p;
}

/* A handle with this way of locking. */
static mmapsync *channelOpenLock(int lock) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.lock = lock;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}

static void readOnce(mmapsync *h) {
  mmapsync_view view;
  OK(h, mmapsync_read(h, &view));
  mmapsync_release(h, &view);
}

/* ---- counters --------------------------------------------------------------------------------- */

/* The crate's readers subtract at 0 too.  Then the next claim would make the counter 0, and protect
** nothing: it sets the counter high instead, and one write waits its grace time out. */
static void caseBelowZero(void) {
  mmapsync *writer = channelOpenGrace(50), *reader = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync *other = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync_result done;
  mmapsync_view view, second;
  StateShared *state;
  int late;

  for (late = 1; late <= 3; late++) {
    channelRemove();
    mmapsync_close(writer);
    writer = channelOpenGrace(50);
    WRITE(writer, "AAAA");
    mmapsync_close(reader);
    reader = channelOpenPins(MMAPSYNC_PIN_COUNTER);
    state = stateShared();
    atomic_store(&state->readers[0], 0u - (uint32_t)late);
    OK(reader, mmapsync_read(reader, &view));
    CHECK(atomic_load(&state->readers[0]) == UINT32_C(1) << 30);
    mmapsync_close(other);
    other = channelOpenPins(MMAPSYNC_PIN_COUNTER);
    OK(other, mmapsync_read(other, &second));
    mmapsync_release(other, &second);
    CHECK(atomic_load(&state->readers[0]) == UINT32_C(1) << 30);
    OK(writer, mmapsync_write(writer, "BBBB", 4, &done));
    CHECK(done.waited_ms == 0 && !done.reset);
    SHOWS(&view, "AAAA");
    mmapsync_release(reader, &view);
    CHECK(atomic_load(&state->readers[0]) == (UINT32_C(1) << 30) - 1);
    OK(writer, mmapsync_write(writer, "CCCC", 4, &done));
    CHECK(done.waited_ms >= 49 && done.reset);
    COUNTS(writer, 0, 0);
    OK(writer, mmapsync_write(writer, "DDDD", 4, &done));
    CHECK(done.waited_ms == 0 && !done.reset);
    munmap(state, STATE_SIZE);
  }
  mmapsync_close(other);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* ---- a channel made anew ---------------------------------------------------------------------- */

/* A reader that has the old state open, but not the file, does not pair that state with the new file. */
static void caseRemade(void) {
  mmapsync *old = channelOpen(), *writer, *reader = channelOpen();
  mmapsync_view view;
  uint64_t x;

  WRITE(old, "old old");
  OK(reader, mmapsync_version(reader, &x));
  mmapsync_close(old);
  channelRemove();
  writer = channelOpen();
  WRITE(writer, "brand new bytes");
  WRITE(writer, "brand new bytes!");
  OK(reader, mmapsync_read(reader, &view));
  SHOWS(&view, "brand new bytes!");
  CHECK(view.sequence == 2 && view.switched == 1);
  PINS(writer, 0, 1);
  mmapsync_release(reader, &view);
  PINS(writer, 0, 0);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* The same of a channel where nothing was published, whoever asks. */
static void caseRemadeEmpty(void) {
  static const uint64_t nothing[2] = {0, 0};
  mmapsync *writer = channelOpen(), *reader = channelOpen(), *asker = channelOpen();
  mmapsync_view view;
  uint64_t x;

  filePut("_state", nothing, sizeof(nothing));
#define NOTHING "\"%s\": nothing published yet", checkPath
  FAILS(reader, mmapsync_read(reader, &view), MMAPSYNC_EMPTY, NOTHING);
  FAILS(asker, mmapsync_version(asker, &x), MMAPSYNC_EMPTY, NOTHING);
  channelRemove();
  FAILS(reader, mmapsync_read(reader, &view), MMAPSYNC_EMPTY, NOTHING);
  FAILS(asker, mmapsync_version(asker, &x), MMAPSYNC_EMPTY, NOTHING);
  WRITE(writer, "first");
  HOLDS(reader, "first");
  OK(asker, mmapsync_version(asker, &x));
  CHECK(versionSize(x) == 5);
  mmapsync_close(asker);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* A channel that was removed, and not made anew, has nothing published. */
static void caseRemoved(void) {
  mmapsync *writer = channelOpen(), *reader = channelOpen();
  mmapsync_view view;
  uint64_t x;
  WRITE(writer, "gone");
  OK(reader, mmapsync_version(reader, &x));
  channelRemove();
  FAILS(reader, mmapsync_read(reader, &view), MMAPSYNC_EMPTY, NOTHING);
#undef NOTHING
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* A read in the middle of a write does not take the state away from that write. */
static void caseRemadeWriting(void) {
  mmapsync *h = channelOpen(), *other = channelOpen();
  mmapsync_view view;
  void *p;
  WRITE(other, "one");
  OK(h, mmapsync_write_begin(h, 3, &p));
  memcpy(p, "two", 3);
  CHECK(unlink(fileName("_state")) == 0);
  OK(h, mmapsync_read(h, &view));
  SHOWS(&view, "one");
  mmapsync_release(h, &view);
  OK(h, mmapsync_write_commit(h, 3, MMAPSYNC_KIND_RAW, NULL));
  WRITE(h, "three"); /* of a new state */
  HOLDS(h, "three");
  mmapsync_close(other);
  mmapsync_close(h);
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* While a builder is open its write is its own. */
static void caseBuilding(void) {
  static const mmapsync_column_def column = {.name = "a"};
  static const mmapsync_table_def table = {
      .name = "t", .columns = &column, .ncolumns = 1, .rowid = -1};
  mmapsync *h = channelOpen(), *reader = channelOpen();
  mmapsync_builder *b, *second;
  mmapsync_image *image;
  mmapsync_value value;
  mmapsync_view view;
  void *p;
  int i;

  WRITE(reader, "before");
  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &table));
  for (i = 0; i < 70000; i++) {
    OK(h, mmapsync_build_int(b, 7 * i + 0x55));
    OK(h, mmapsync_build_row(b));
    if (i % 30000 != 5) continue;
#define BUILDING "\"%s\": a table image is being built", checkPath
    FAILS(h, mmapsync_write_begin(h, 1, &p), MMAPSYNC_MISUSE, BUILDING);
    FAILS(h, mmapsync_write_grow(h, 1, &p), MMAPSYNC_MISUSE, BUILDING);
    FAILS(h, mmapsync_write_commit(h, 64, MMAPSYNC_KIND_RAW, NULL), MMAPSYNC_MISUSE, BUILDING);
    FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_MISUSE, BUILDING);
    FAILS(h, mmapsync_build_begin(h, &second), MMAPSYNC_MISUSE, BUILDING);
    CHECK(second == NULL);
    mmapsync_write_abort(h);
#undef BUILDING
  }
  HOLDS(reader, "before");
  OK(h, mmapsync_build_commit(b, NULL));
  OK(reader, mmapsync_read(reader, &view));
  OK(reader, mmapsync_image_open(reader, &view, &image));
  for (i = 0; i < 70000; i += 6999) {
    OK(reader, mmapsync_get(mmapsync_table_at(image, 0), (uint64_t)i, 0, &value));
    CHECK(value.u.i == 7 * i + 0x55);
  }
  mmapsync_image_close(image);
  mmapsync_release(reader, &view);
  WRITE(h, "after");
  HOLDS(reader, "after");
  mmapsync_close(reader);
  mmapsync_close(h);
}

/* A writer whose active file was cut short publishes anew: one that wrote it, one that read it, and one
** that is new. */
static void caseCutActive(void) {
  mmapsync *h, *same, *reader;
  mmapsync_result done;
  int i, which;

  for (which = 0; which < 3; which++) {
    for (i = 0; i < 2; i++) { /* file 0 is active, or file 1 */
      channelRemove();
      same = channelOpen();
      reader = channelOpen();
      WRITE(same, "one");
      if (i == 1) WRITE(same, "two");
      readOnce(reader);
      CHECK(truncate(fileName(i ? "_data_1" : "_data_0"), 0) == 0);
      h = which == 0 ? same : which == 1 ? reader : channelOpen();
      OK(h, mmapsync_write(h, "anew", 4, &done));
      CHECK(done.sequence == (uint64_t)i + 2); /* P_writer knows it */
      HOLDS(h, "anew");
      OK(h, mmapsync_write(h, "again", 5, &done));
      HOLDS(h, "again");
      if (which == 2) mmapsync_close(h);
      mmapsync_close(reader);
      mmapsync_close(same);
    }
  }
}

/* Only its trailer was cut off: bytes without a trailer, as of another kind of writer. */
static void caseCutTrailer(void) {
  static char bytes[8192];
  mmapsync *h = channelOpen(), *reader = channelOpen();
  mmapsync_result done;
  OK(h, mmapsync_write(h, bytes, sizeof(bytes), NULL));
  readOnce(h);
  readOnce(reader);
  CHECK(truncate(fileName("_data_0"), sizeof(bytes)) == 0);
  OK(reader, mmapsync_write(reader, "two", 3, &done));
  CHECK(done.sequence == 2);
  OK(h, mmapsync_write(h, "three", 5, &done));
  CHECK(done.sequence == 3);
  HOLDS(h, "three");
  mmapsync_close(reader);
  mmapsync_close(h);
}

/* Runs `end` on the handle in a child, as if the child closed all that it has. */
static void childCloses(mmapsync *h) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    mmapsync_close(h);
    _exit(0);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

/* A child that closes its copy of a handle leaves the parent its lock, and the file it writes to. */
static void caseForkClose(void) {
  static const mmapsync_column_def column = {.name = "a"};
  static const mmapsync_table_def table = {
      .name = "t", .columns = &column, .ncolumns = 1, .rowid = -1};
  mmapsync *other = channelOpen(), *h;
  mmapsync_builder *b;
  mmapsync_view view;
  char *p;
  void *at;
  int lock;

#define BUSY "\"%s_state\": another writer holds the lock", checkPath
  for (lock = MMAPSYNC_LOCK_WRITE; lock <= MMAPSYNC_LOCK_HOLD; lock++) {
    h = channelOpenLock(lock);
    OK(h, mmapsync_write_begin(h, MB, &at));
    p = at;
    FAILS(other, mmapsync_write(other, "x", 1, NULL), MMAPSYNC_BUSY, BUSY);
    childCloses(h);
    FAILS(other, mmapsync_write(other, "x", 1, NULL), MMAPSYNC_BUSY, BUSY);
    memset(p, 'p', MB);
    OK(h, mmapsync_write_commit(h, MB, MMAPSYNC_KIND_RAW, NULL));
    OK(h, mmapsync_read(h, &view));
    CHECK(view.size == MB && ((const char *)view.data)[MB - 1] == 'p');
    childCloses(h);
    PINS(other, view.version & 1 ? 0 : 1, view.version & 1 ? 1 : 0);
    mmapsync_release(h, &view);
    PINS(other, 0, 0);

    OK(h, mmapsync_build_begin(h, &b));
    OK(h, mmapsync_build_table(b, &table));
    childCloses(h);
    FAILS(other, mmapsync_write(other, "x", 1, NULL), MMAPSYNC_BUSY, BUSY);
    OK(h, mmapsync_build_int(b, 1));
    OK(h, mmapsync_build_row(b));
    OK(h, mmapsync_build_commit(b, NULL));
    if (lock == MMAPSYNC_LOCK_HOLD) {
      childCloses(h);
      FAILS(other, mmapsync_write(other, "x", 1, NULL), MMAPSYNC_BUSY, BUSY);
    }
    mmapsync_close(h);
    WRITE(other, "free");
  }
#undef BUSY
  mmapsync_close(other);
}

/* A write that is aborted after it gave up readers that count has cost them their snapshot: the next result
** tells. */
static void caseAbortReset(void) {
  mmapsync *writer = channelOpenGrace(20), *reader = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync_result done;
  mmapsync_view view;
  void *p;

  WRITE(writer, "aaaa");
  OK(reader, mmapsync_read(reader, &view));
  WRITE(writer, "bbbb");
  OK(writer, mmapsync_write_begin(writer, 4, &p));
  memcpy(p, "zzzz", 4);
  mmapsync_write_abort(writer);
  HOLDS(writer, "bbbb");
  OK(writer, mmapsync_write(writer, "cccc", 4, &done));
  CHECK(done.reset == 1 && done.waited_ms == 0);
  OK(writer, mmapsync_write(writer, "dddd", 4, &done));
  CHECK(done.reset == 0);
  mmapsync_release(reader, &view);
  COUNTS(reader, 0, 0);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* One that was to go to a new file has cost nobody anything: the file of the view keeps its name, and the
** next write has to give it up once more. */
static void caseAbortReplace(void) {
  static const int kinds[] = {MMAPSYNC_PIN_SLOT, MMAPSYNC_PIN_LOCK};
  mmapsync *writer, *reader, *other;
  mmapsync_result done;
  mmapsync_view view;
  struct stat before, after;
  size_t i;
  void *p;

  for (i = 0; i < 2; i++) {
    channelRemove();
    writer = channelOpenGrace(20);
    other = channelOpen();
    reader = channelOpenPins(kinds[i]);
    WRITE(writer, "aaaa");
    OK(reader, mmapsync_read(reader, &view));
    WRITE(writer, "bbbb");
    CHECK(stat(fileName("_data_0"), &before) == 0);
    OK(writer, mmapsync_write_begin(writer, 100000, &p));
    CHECK(fileSize("_data_0_new") >= 100000);
    memset(p, 'z', 100000);
    mmapsync_write_abort(writer);
    CHECK(fileCount() == 5 && stat(fileName("_data_0"), &after) == 0);
    CHECK(after.st_ino == before.st_ino && after.st_size == before.st_size);
    SHOWS(&view, "aaaa");
    HOLDS(writer, "bbbb");
    OK(writer, mmapsync_write(writer, "cccc", 4, &done));
    CHECK(done.reset == 0 && done.replaced == 1 && done.waited_ms >= 20 && done.sequence == 3);
    SHOWS(&view, "aaaa");
    HOLDS(other, "cccc");
    OK(writer, mmapsync_write(writer, "dddd", 4, &done));
    OK(writer, mmapsync_write(writer, "eeee", 4, &done));
    CHECK(done.reset == 0 && done.replaced == 0 && done.waited_ms == 0);
    SHOWS(&view, "aaaa");
    mmapsync_release(reader, &view);
    PINS(reader, 0, 0);
    mmapsync_close(reader);
    mmapsync_close(other);
    mmapsync_close(writer);
  }
}

/* Fails to map what a writer maps of a data file. */
static void *mapFails(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  struct stat st, data;
  if (prot == (PROT_READ | PROT_WRITE) && fd >= 0 && fstat(fd, &st) == 0 &&
      stat(fileName("_data_0"), &data) == 0 && st.st_ino == data.st_ino) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return mmap(p, n, prot, flags, fd, at);
}

/* A mapping that fails is not looked into. */
static void caseMapFails(void) {
  static const char bytes[5000] = {1};
  mmapsync *h = channelOpen();
  int i;
  for (i = 0; i < 4; i++) OK(h, mmapsync_write(h, bytes, sizeof(bytes), NULL));
  mmapsync_close(h);
  h = channelOpen();
  CHECK(sysSet("mmap", (SysFunction)mapFails) == 0);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_NOMEM,
        "\"%s_data_0\": cannot map: out of memory", checkPath);
  CHECK(sysSet(NULL, NULL) == 0);
  WRITE(h, "x");
  HOLDS(h, "x");
  mmapsync_close(h);
}

/* While a handle takes no lock others may write; when it takes one again, it looks at its files anew. */
static void caseLockSwitch(void) {
  static const int ways[][2] = {{MMAPSYNC_LOCK_NONE, MMAPSYNC_LOCK_WRITE},
                                {MMAPSYNC_LOCK_NONE, MMAPSYNC_LOCK_HOLD},
                                {MMAPSYNC_LOCK_HOLD, MMAPSYNC_LOCK_NONE}};
  mmapsync_options opt;
  mmapsync *h, *other, *reader;
  size_t i;

  for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
    channelRemove();
    h = channelOpenLock(ways[i][0]);
    WRITE(h, "one");
    WRITE(h, "two");
    opt = *mmapsync_options_of(h);
    opt.lock = ways[i][1];
    OK(h, mmapsync_configure(h, &opt));
    CHECK(unlink(fileName("_data_0")) == 0 && unlink(fileName("_data_1")) == 0);
    other = channelOpen();
    WRITE(other, "bbb");
    WRITE(other, "ccc");
    WRITE(h, "from h");
    reader = channelOpen();
    HOLDS(reader, "from h");
    WRITE(h, "again");
    HOLDS(reader, "again");
    mmapsync_close(reader);
    mmapsync_close(other);
    mmapsync_close(h);
  }
}

/* P_writer knows the sequence where the newest snapshot is of another kind of writer and has none. */
static void caseSequenceForeign(void) {
  mmapsync *h = channelOpen(), *fresh = channelOpen();
  mmapsync_result done;
  StateShared *state;
  int i;

  for (i = 0; i < 4; i++) OK(h, mmapsync_write(h, "ours", 4, &done));
  CHECK(done.sequence == 4 && versionIndex(done.version) == 1);
  filePoke("_data_0", 0, "foreign!", 8);
  state = stateShared();
  atomic_store(&state->version, versionMake(0, 8, 0x1234));
  OK(fresh, mmapsync_write(fresh, "ours", 4, &done));
  CHECK(done.sequence == 5);
  filePoke("_data_0", 0, "foreign!", 8);
  atomic_store(&state->version, versionMake(0, 8, 0x1234));
  OK(h, mmapsync_write(h, "ours", 4, &done));
  CHECK(done.sequence == 6);
  munmap(state, STATE_SIZE);
  mmapsync_close(fresh);
  mmapsync_close(h);
}

/* ---- power loss ------------------------------------------------------------------------------- */

/* What was synced, in order: the ending of each file's name, `/` for the folder.  With an exclamation
** mark, if the old trailer of file 0 was gone by then. */
static char synced[64];

static int syncNote(int fd) {
  uint64_t trailer[TRAILER_SIZE / 8] = {0};
  struct stat st, other;
  int data, kind = '/';
  CHECK(fstat(fd, &st) == 0);
  if (stat(fileName("_state"), &other) == 0 && other.st_ino == st.st_ino) kind = 's';
  if (stat(fileName("_data_0"), &other) == 0 && other.st_ino == st.st_ino) kind = '0';
  if (stat(fileName("_data_1"), &other) == 0 && other.st_ino == st.st_ino) kind = '1';
  synced[strlen(synced)] = (char)kind;
  data = open(fileName("_data_0"), O_RDONLY);
  CHECK(data < 0 || pread(data, trailer, sizeof(trailer), TRAILER_SIZE) >= 0);
  if (data >= 0) close(data);
  if (trailer[TRAILER_SEQUENCE_WORD] != 1) synced[strlen(synced)] = '!';
  return 0;
}

#define SYNCED(text)                                                                               \
  do {                                                                                             \
    if (strcmp(synced, (text)) != 0) checkFail(__LINE__, "expected %s, found %s", text, synced);   \
    memset(synced, 0, sizeof(synced));                                                             \
  } while (0)

/* A durable write after one that was not: before it touches the older snapshot, which the disk's copy of
** the state may still name, it puts the newer one on the disk. */
static void caseDurableAfter(void) {
  mmapsync_options opt;
  mmapsync *durable, *other = channelOpen();
  void *p;

  mmapsync_options_init(&opt);
  opt.durable = 1;
  OK(durable, mmapsync_open(checkPath, &opt, &durable));
  sysSet("fdatasync", (SysFunction)syncNote);
  sysSet("fsync", (SysFunction)syncNote);

  WRITE(durable, "one");
  SYNCED("0/s");
  WRITE(other, "two");
  SYNCED("");
  OK(durable, mmapsync_write_begin(durable, 5, &p));
  SYNCED("1/s");
  mmapsync_write_abort(durable); /* from here on the old trailer is gone */
  WRITE(durable, "three");
  SYNCED("0!s!");
  WRITE(durable, "four");
  SYNCED("1!s!");
  /* The same words come back, of other snapshots. */
  WRITE(other, "three");
  WRITE(other, "four");
  SYNCED("");
  WRITE(durable, "five");
  SYNCED("1!/!s!0!s!");
  HOLDS(other, "five");
  sysSet(NULL, NULL);
  mmapsync_close(other);
  mmapsync_close(durable);
}

/* ---- reserving room --------------------------------------------------------------------------- */

static int reserveCalls, reserveSignals;
static off_t reserveLongest;

/* A signal cuts every other call short, undone. */
static int reserveNote(int fd, off_t at, off_t n) {
  if (n > reserveLongest) reserveLongest = n;
  if (reserveSignals++ % 2 == 0) return EINTR;
  reserveCalls++;
  return posix_fallocate(fd, at, n);
}

static int progressCalls, progressStop;
static int progressNote(void *arg) {
  (void)arg;
  return ++progressCalls == progressStop;
}

/* Much room is reserved in steps: each may be cut short and made again, and between them the write can be
** told to stop, and leaves nothing behind. */
static void caseReserveSteps(void) {
  mmapsync_options opt;
  mmapsync *h;
  void *p;

  mmapsync_options_init(&opt);
  opt.progress = progressNote;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  WRITE(h, "small");
  sysSet("posix_fallocate", (SysFunction)reserveNote);
  progressStop = 2;
  FAILS(h, mmapsync_write_begin(h, 150 * MB, &p), MMAPSYNC_INTERRUPT, "interrupted");
  CHECK(progressCalls == 2 && reserveCalls == 2 && reserveLongest == (off_t)(64 * MB));
  CHECK(fileSize("_data_1") == 0);
  HOLDS(h, "small");

  progressStop = progressCalls = reserveCalls = 0;
  OK(h, mmapsync_write_begin(h, 100, &p));
  CHECK(progressCalls == 0 && reserveCalls == 1);
  OK(h, mmapsync_write_grow(h, 130 * MB, &p));
  CHECK(progressCalls == 2 && reserveCalls == 4 && fileSize("_data_1") >= (long long)(130 * MB));
  ((char *)p)[130 * MB - 1] = 'x';
  mmapsync_write_abort(h);
  CHECK(fileSize("_data_1") == 0);
  sysSet(NULL, NULL);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"below_zero", caseBelowZero},
    {"remade", caseRemade},
    {"remade_empty", caseRemadeEmpty},
    {"removed", caseRemoved},
    {"remade_writing", caseRemadeWriting},
    {"building", caseBuilding},
    {"cut_active", caseCutActive},
    {"cut_trailer", caseCutTrailer},
    {"fork_close", caseForkClose},
    {"abort_reset", caseAbortReset},
    {"abort_replace", caseAbortReplace},
    {"map_fails", caseMapFails},
    {"lock_switch", caseLockSwitch},
    {"sequence_foreign", caseSequenceForeign},
    {"durable_after", caseDurableAfter},
    {"reserve_steps", caseReserveSteps},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
