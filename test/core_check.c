#define _GNU_SOURCE
/*
** core_check.c - the synchronizer through its C API: what reading and writing do, one case a promise.
**
** The order is that of a manual: a first snapshot, the version word, views, writing in place, several
** writers, stopping, checking a payload.  Slow and dead readers are grace_check.c's, files and names are
** files_check.c's, table images are image_check.c's, failing system calls are fault_check.c's.  How it is
** run: check.h.
*/
#include "check.h"

#include <signal.h>
#include <sys/file.h>

#include "data.h"
#include "hash.h"
#include "sys.h"
#include "version.h"

/* ---- a first snapshot ------------------------------------------------------------------------- */

/* Nothing was published: each way of asking says so, and makes no file. */
static void caseEmpty(void) {
  mmapsync *h = channelOpen();
  mmapsync_view view;
  uint64_t x;
  uint32_t readers[2];
  size_t count = 7;

  CHECK(strcmp(mmapsync_path(h), checkPath) == 0);
#define NOTHING "\"%s\": nothing published yet", checkPath
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, NOTHING);
  FAILS(h, mmapsync_version(h, &x), MMAPSYNC_EMPTY, NOTHING);
  FAILS(h, mmapsync_sequence(h, &x), MMAPSYNC_EMPTY, NOTHING);
  FAILS(h, mmapsync_counters(h, readers), MMAPSYNC_EMPTY, NOTHING);
  FAILS(h, mmapsync_verify(h), MMAPSYNC_EMPTY, NOTHING);
  FAILS(h, mmapsync_readers(h, NULL, 0, &count), MMAPSYNC_EMPTY, NOTHING);
#undef NOTHING
  CHECK(count == 0 && mmapsync_pin_kind(h) == MMAPSYNC_PIN_AUTO && fileCount() == 0);
  mmapsync_close(h);
  mmapsync_close(NULL);
}

/* One snapshot, and all that is told of it on both sides. */
static void casePublish(void) {
  mmapsync *writer = channelOpen(), *reader = channelOpen();
  mmapsync_result done;
  mmapsync_reader r[CHECK_READERS];
  mmapsync_view view;
  uint64_t x;
  size_t held = 7;

  OK(writer, mmapsync_write(writer, "hello", 5, &done));
  CHECK(done.sequence == 1 && done.size == 5 && done.rows == 0 && done.tables == 0);
  CHECK(done.waited_ms == 0 && done.reset == 0 && done.replaced == 0 && done.held == 0);
  CHECK(mmapsync_held(writer, &held) != NULL && held == 0);

  OK(reader, mmapsync_read(reader, &view));
  SHOWS(&view, "hello");
  CHECK(((uintptr_t)view.data & 63) == 0);
  CHECK(view.version == done.version && view.sequence == 1 && view.kind == MMAPSYNC_KIND_RAW);
  CHECK(view.hash == hashBytes("hello", 5) && view.time_ns > UINT64_C(1600000000000000000));
  CHECK(view.pid == (uint32_t)getpid());
  CHECK(view.pin == MMAPSYNC_PIN_SLOT && mmapsync_pin_kind(reader) == MMAPSYNC_PIN_SLOT);
  PINS(reader, 1, 0);
  COUNTS(reader, 0, 0); /* a slot is no counter */
  CHECK(checkReaders(__LINE__, writer, r) == 1);
  CHECK(r[0].kind == MMAPSYNC_PIN_SLOT && r[0].alive == 1 && r[0].slot == 0);
  CHECK(r[0].pid == (uint32_t)getpid() &&
        strncmp(r[0].program, program_invocation_short_name, 15) == 0);
  CHECK(r[0].attached_ns >= view.time_ns && r[0].pinned_ns == 0);
  mmapsync_release(reader, &view);
  PINS(reader, 0, 0);
  mmapsync_release(reader, &view); /* a released view is nothing */
  PINS(reader, 0, 0);

  OK(reader, mmapsync_version(reader, &x));
  CHECK(x == done.version);
  OK(reader, mmapsync_sequence(reader, &x));
  CHECK(x == 1);
  PINS(reader, 0, 0);
  CHECK(checkReaders(__LINE__, writer, r) == 1); /* it still has its slot */
  mmapsync_close(reader);
  CHECK(checkReaders(__LINE__, writer, r) == 0);
  mmapsync_close(writer);
}

/* No bytes are a snapshot like any other. */
static void caseEmptyPayload(void) {
  mmapsync *h = channelOpen();
  mmapsync_result done;
  mmapsync_view view;
  void *p;
  int i;

  for (i = 1; i <= 3; i++) {
    OK(h, mmapsync_write(h, NULL, 0, &done));
    CHECK(done.sequence == (uint64_t)i && done.size == 0 && done.version != 0);
    OK(h, mmapsync_read(h, &view));
    CHECK(view.data && view.size == 0 && view.sequence == (uint64_t)i);
    mmapsync_release(h, &view);
    OK(h, mmapsync_verify(h));
  }
  OK(h, mmapsync_write_begin(h, 0, &p));
  CHECK(p != NULL);
  OK(h, mmapsync_write_commit(h, 0, MMAPSYNC_KIND_RAW, NULL));
  HOLDS(h, "");
  mmapsync_close(h);
}

/* `switched` is 1 once for each snapshot that this handle reads; equal bytes are another snapshot. */
static void caseSwitched(void) {
  mmapsync *writer = channelOpen(), *reader = channelOpen();
  mmapsync_view view;
  uint64_t word[2];
  int i;

  for (i = 0; i < 4; i++) {
    WRITE(writer, "the same");
    OK(reader, mmapsync_read(reader, &view));
    CHECK(view.switched == 1 && view.sequence == (uint64_t)i + 1);
    if (i >= 2) CHECK(view.version == word[i % 2]);
    word[i % 2] = view.version;
    mmapsync_release(reader, &view);
    OK(reader, mmapsync_read(reader, &view));
    CHECK(view.switched == 0);
    mmapsync_release(reader, &view);
  }
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* ---- the version word ------------------------------------------------------------------------- */

/* From the low bit: 1 bit of file, 39 of size, 24 of hash. */
static void caseVersionWord(void) {
  mmapsync *h = channelOpen();
  mmapsync_result done;
  uint64_t state[2];
  int i;

  CHECK(versionMake(0, 0, 0) == 0);
  CHECK(versionMake(1, 0, 0) == 1);
  CHECK(versionMake(0, 1, 0) == 2);
  CHECK(versionMake(0, 0, 1) == UINT64_C(1) << 40);
  CHECK(versionMake(1, 5, 0xabcdef) == UINT64_C(0xabcdef000000000b));
  CHECK(versionMake(0, 0, UINT64_C(0xff000001)) == versionMake(0, 0, 1)); /* its low 24 bits */
  CHECK(versionIndex(0xb) == 1 && versionSize(0xb) == 5);

  for (i = 0; i < 4; i++) {
    OK(h, mmapsync_write(h, "payload", 7, &done));
    CHECK(versionIndex(done.version) == (unsigned)i % 2 && versionSize(done.version) == 7);
    CHECK(done.version >> 40 == (hashBytes("payload", 7) & 0xffffff));
    CHECK(fileGet("_state", state, sizeof(state)) == sizeof(state));
    CHECK(state[0] == done.version && state[1] == 0);
  }
  mmapsync_close(h);
}

/* At the limit of 2^39 - 1 bytes the word still holds everything, and is never 0. */
static void caseVersionLimit(void) {
  uint64_t word = versionMake(1, VERSION_SIZE_MAX, VERSION_HASH_MAX);

  CHECK(VERSION_SIZE_MAX == UINT64_C(549755813887));
  CHECK(word == UINT64_MAX);
  CHECK(versionIndex(word) == 1 && versionSize(word) == VERSION_SIZE_MAX);
  CHECK(versionSize(versionMake(0, VERSION_SIZE_MAX, 0)) == VERSION_SIZE_MAX);
  CHECK(versionIndex(versionMake(0, VERSION_SIZE_MAX, 0)) == 0);

  /* Nothing published is 0, which no payload is, not even the empty one, nor its other word. */
  word = versionMake(0, 0, hashBytes(NULL, 0));
  CHECK(word != 0 && versionPerturb(word) != 0 && versionPerturb(word) != word);
  word = versionPerturb(UINT64_MAX);
  CHECK(word != UINT64_MAX && versionIndex(word) == 1 && versionSize(word) == VERSION_SIZE_MAX);
}

/* More is refused before anything is touched. */
static void caseTooBig(void) {
  mmapsync *h = channelOpen();
  size_t over = (size_t)1 << 39;
  void *p;

#define TOO_BIG "\"%s\": payload too big: expected at most 549755813887 bytes, found %zu", checkPath
  FAILS(h, mmapsync_write_begin(h, over, &p), MMAPSYNC_TOOBIG, TOO_BIG, over);
  FAILS(h, mmapsync_write_begin(h, SIZE_MAX, &p), MMAPSYNC_TOOBIG, TOO_BIG, SIZE_MAX);
  FAILS(h, mmapsync_write(h, "x", over, NULL), MMAPSYNC_TOOBIG, TOO_BIG, over);
  CHECK(fileSize("_state") == -1);

  OK(h, mmapsync_write_begin(h, 100, &p));
  memset(p, 'a', 100);
  FAILS(h, mmapsync_write_grow(h, over, &p), MMAPSYNC_TOOBIG, TOO_BIG, over);
  OK(h, mmapsync_write_commit(h, 3, MMAPSYNC_KIND_RAW, NULL)); /* the write is open as before */
  HOLDS(h, "aaa");
#undef TOO_BIG
  mmapsync_close(h);
}

/* A payload of the largest size can be read: here a file that is all hole. */
static void caseLargest(void) {
  mmapsync *h = channelOpen();
  uint64_t state[2] = {0, 0};
  mmapsync_view view;

  filePut("_data_0", "first", 5);
  if (truncate(fileName("_data_0"), (off_t)VERSION_SIZE_MAX) != 0) checkSkip("no files that long");
  state[0] = versionMake(0, VERSION_SIZE_MAX, 7);
  filePut("_state", state, sizeof(state));
  OK(h, mmapsync_read(h, &view));
  CHECK(view.size == VERSION_SIZE_MAX && memcmp(view.data, "first", 5) == 0);
  CHECK(((const char *)view.data)[VERSION_SIZE_MAX - 1] == 0);
  mmapsync_release(h, &view);
  mmapsync_close(h);
}

/* A file never carries one word twice in a row for different bytes, though their 24 bits are equal. */
static void caseCollision(void) {
  mmapsync *h = channelOpen();
  mmapsync_result done;
  uint64_t a = 0, b, word, hash = hashBytes(&a, 8) & VERSION_HASH_MAX;

  for (b = 1; (hashBytes(&b, 8) & VERSION_HASH_MAX) != hash; b++) {
  }
  OK(h, mmapsync_write(h, &a, 8, &done));
  word = done.version;
  WRITE(h, "other file");
  OK(h, mmapsync_write(h, &b, 8, &done));
  CHECK(done.version != word && versionIndex(done.version) == 0 && versionSize(done.version) == 8);
  OK(h, mmapsync_verify(h));
  WRITE(h, "other file");
  OK(h, mmapsync_write(h, &a, 8, &done));
  CHECK(done.version == word);

  /* A handle that did not write `a` finds what the file carried. */
  WRITE(h, "other file");
  mmapsync_close(h);
  h = channelOpen();
  OK(h, mmapsync_write(h, &b, 8, &done));
  CHECK(done.version != word && done.sequence == 7);
  mmapsync_close(h);
}

/* ---- views ------------------------------------------------------------------------------------ */

/* A view stays as it is while its file grows under other views and newer snapshots come. */
static void caseViewGrowth(void) {
  mmapsync *writer = channelOpen(), *reader = channelOpen();
  mmapsync_view small, large;
  const void *was;
  size_t n = 3000000;
  char *bytes = malloc(n);

  memset(bytes, 'x', n);
  WRITE(writer, "small");
  OK(reader, mmapsync_read(reader, &small));
  was = small.data;
  OK(writer, mmapsync_write(writer, bytes, n, NULL)); /* the other file */
  OK(reader, mmapsync_read(reader, &large));
  CHECK(large.size == n && memcmp(large.data, bytes, n) == 0);
  SHOWS(&small, "small");
  mmapsync_release(reader, &small);

  OK(writer, mmapsync_write(writer, bytes, n, NULL)); /* the first file, now long */
  OK(reader, mmapsync_read(reader, &small));
  CHECK(small.size == n && memcmp(small.data, bytes, n) == 0);
  CHECK(small.data != was); /* it was mapped anew */
  CHECK(memcmp(large.data, bytes, n) == 0);
  mmapsync_release(reader, &large);
  mmapsync_release(reader, &small);
  PINS(reader, 0, 0);
  free(bytes);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* A handle may hold several views, of one snapshot or of two, and release them in any order; by whatever
** they are pinned. */
static void viewsNested(int pins) {
  mmapsync *writer = channelOpen(), *reader = channelOpenPins(pins);
  mmapsync_view a, b, c;
  uint32_t two = pins == MMAPSYNC_PIN_COUNTER ? 2 : 1; /* only counters count views */

  channelRemove();
  WRITE(writer, "one");
  OK(reader, mmapsync_read(reader, &a));
  OK(reader, mmapsync_read(reader, &b));
  CHECK(a.switched == 1 && b.switched == 0 && a.data == b.data);
  CHECK(a.pin == (uint32_t)pins && mmapsync_pin_kind(reader) == pins);
  PINS(writer, two, 0);
  WRITE(writer, "two");
  OK(reader, mmapsync_read(reader, &c));
  CHECK(c.switched == 1);
  PINS(writer, two, 1);
  SHOWS(&a, "one");
  SHOWS(&c, "two");
  mmapsync_release(reader, &a);
  PINS(writer, 1, 1);
  SHOWS(&b, "one");
  mmapsync_release(reader, &c);
  PINS(writer, 1, 0);
  mmapsync_release(reader, &b);
  PINS(writer, 0, 0);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

static void caseViewsNested(void) {
  viewsNested(MMAPSYNC_PIN_SLOT);
  viewsNested(MMAPSYNC_PIN_LOCK);
  viewsNested(MMAPSYNC_PIN_COUNTER);
}

/* A view of 1,000 snapshots, grown and shrunk at random, is always the bytes that were written. */
static void caseViewsMany(void) {
  mmapsync *writer = channelOpen(), *reader = channelOpen();
  mmapsync_view view;
  char *bytes = malloc(40000);
  size_t n;
  int i;

  for (i = 0; i < 1000; i++) {
    n = (size_t)(i * 7919 % 40000);
    memset(bytes, i, n);
    OK(writer, mmapsync_write(writer, bytes, n, NULL));
    OK(reader, mmapsync_read(reader, &view));
    CHECK(view.size == n && view.sequence == (uint64_t)i + 1);
    CHECK(n == 0 || memcmp(view.data, bytes, n) == 0);
    mmapsync_release(reader, &view);
  }
  free(bytes);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* ---- writing in place ------------------------------------------------------------------------- */

/* begin hands out bytes of the inactive file, grow makes them more, commit publishes some of them. */
static void caseInPlace(void) {
  mmapsync *h = channelOpen();
  mmapsync_result done;
  mmapsync_view view;
  size_t large = 20000000;
  char *p;
  void *data;

  WRITE(h, "before");
  OK(h, mmapsync_write_begin(h, 100, &data));
  memset(data, 'a', 100);
  HOLDS(h, "before");
  OK(h, mmapsync_write_grow(h, 50, &data)); /* less than there is: nothing happens */
  OK(h, mmapsync_write_grow(h, large, &data));
  p = data;
  CHECK(p[0] == 'a' && p[99] == 'a');
  memset(p + 100, 'b', large - 100);
  HOLDS(h, "before");
  CHECK(fileSize("_data_1") >= (long long)large);
  OK(h, mmapsync_write_commit(h, 200, 77, &done));
  CHECK(done.size == 200 && done.sequence == 2);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.size == 200 && view.kind == 77);
  p = (char *)(uintptr_t)view.data;
  CHECK(p[99] == 'a' && p[100] == 'b' && p[199] == 'b');
  mmapsync_release(h, &view);
  OK(h, mmapsync_verify(h));
  CHECK(fileSize("_data_1") <= 65536); /* what was reserved in vain was given back */
  mmapsync_close(h);
}

/* abort, and closing the handle, leave everything as it was. */
static void caseAbort(void) {
  mmapsync *h = channelOpen();
  long long length;
  void *data;

  WRITE(h, "one");
  WRITE(h, "two");
  length = fileSize("_data_0");
  OK(h, mmapsync_write_begin(h, 5000000, &data));
  memset(data, 'z', 5000000);
  mmapsync_write_abort(h);
  CHECK(fileSize("_data_0") == length);
  HOLDS(h, "two");
  mmapsync_write_abort(h); /* without a write, nothing */

  OK(h, mmapsync_write_begin(h, 5000000, &data));
  mmapsync_close(h);
  CHECK(fileSize("_data_0") == length);
  h = channelOpen();
  HOLDS(h, "two");
  WRITE(h, "three");
  HOLDS(h, "three");
  mmapsync_close(h);
}

static void caseInPlaceMisuse(void) {
  mmapsync *h = channelOpen();
  mmapsync_options opt = *mmapsync_options_of(h);
  void *data;

#define NOT_OPEN "\"%s\": no write is open", checkPath
#define IS_OPEN  "\"%s\": a write is open", checkPath
  FAILS(h, mmapsync_write_grow(h, 10, &data), MMAPSYNC_MISUSE, NOT_OPEN);
  FAILS(h, mmapsync_write_commit(h, 10, 1, NULL), MMAPSYNC_MISUSE, NOT_OPEN);

  OK(h, mmapsync_write_begin(h, 10, &data));
  FAILS(h, mmapsync_write_begin(h, 10, &data), MMAPSYNC_MISUSE, IS_OPEN);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_MISUSE, IS_OPEN);
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE, IS_OPEN);
  FAILS(h, mmapsync_write_commit(h, 11, 1, NULL), MMAPSYNC_MISUSE,
        "\"%s\": expected at most the 10 bytes handed out, found 11", checkPath);
  FAILS(h, mmapsync_write_commit(h, 10, 1, NULL), MMAPSYNC_MISUSE, NOT_OPEN); /* that ended it */

  OK(h, mmapsync_write_begin(h, 10, &data));
  FAILS(h, mmapsync_write_commit(h, 10, 0, NULL), MMAPSYNC_MISUSE,
        "\"%s\": no such kind of payload: 0", checkPath);
  OK(h, mmapsync_write_begin(h, 10, &data));
  FAILS(h, mmapsync_write_commit(h, 10, 65536, NULL), MMAPSYNC_MISUSE,
        "\"%s\": no such kind of payload: 65536", checkPath);
#undef NOT_OPEN
#undef IS_OPEN
  WRITE(h, "still works");
  HOLDS(h, "still works");
  mmapsync_close(h);
}

/* ---- several writers -------------------------------------------------------------------------- */

/* The second writer is refused at once; the lock is given back by commit, abort and close. */
static void caseTwoWriters(void) {
  mmapsync *a = channelOpen(), *b = channelOpen();
  void *data;

#define BUSY "\"%s_state\": another writer holds the lock", checkPath
  OK(a, mmapsync_write_begin(a, 10, &data));
  FAILS(b, mmapsync_write(b, "b", 1, NULL), MMAPSYNC_BUSY, BUSY);
  FAILS(b, mmapsync_write_begin(b, 1, &data), MMAPSYNC_BUSY, BUSY);
  mmapsync_write_abort(a);
  WRITE(b, "b");

  OK(a, mmapsync_write_begin(a, 10, &data));
  FAILS(b, mmapsync_write(b, "b", 1, NULL), MMAPSYNC_BUSY, BUSY);
  HOLDS(b, "b"); /* reading takes no lock */
  memcpy(data, "a", 1);
  OK(a, mmapsync_write_commit(a, 1, MMAPSYNC_KIND_RAW, NULL));
  WRITE(b, "bb");

  OK(a, mmapsync_write_begin(a, 10, &data));
  mmapsync_close(a);
  WRITE(b, "bbb");
  HOLDS(b, "bbb");
  mmapsync_close(b);
}

/* MMAPSYNC_LOCK_HOLD keeps it until the handle ends or is configured otherwise; LOCK_NONE asks for none. */
static void caseLockOptions(void) {
  mmapsync *a = channelOpen(), *b = channelOpen();
  mmapsync_options opt;

  mmapsync_options_init(&opt);
  CHECK(opt.grace_ms == 1000 && opt.durable == 0 && opt.lock == MMAPSYNC_LOCK_WRITE);
  CHECK(opt.verify == MMAPSYNC_VERIFY_NEVER && !opt.progress);
  CHECK(opt.pins == MMAPSYNC_PIN_AUTO && opt.foreign == MMAPSYNC_FOREIGN_RESET && opt.stamp == 0);

  opt.lock = MMAPSYNC_LOCK_HOLD;
  OK(a, mmapsync_configure(a, &opt));
  CHECK(mmapsync_options_of(a)->lock == MMAPSYNC_LOCK_HOLD);
  WRITE(b, "before the first write of a");
  WRITE(a, "a");
  FAILS(b, mmapsync_write(b, "b", 1, NULL), MMAPSYNC_BUSY, BUSY);
  WRITE(a, "aa");
  opt.lock = MMAPSYNC_LOCK_WRITE;
  OK(a, mmapsync_configure(a, &opt));
  WRITE(b, "b");

  opt.lock = MMAPSYNC_LOCK_HOLD;
  OK(b, mmapsync_configure(b, &opt));
  WRITE(b, "bb");
  FAILS(a, mmapsync_write(a, "a", 1, NULL), MMAPSYNC_BUSY, BUSY);
  opt.lock = MMAPSYNC_LOCK_NONE;
  OK(a, mmapsync_configure(a, &opt));
  WRITE(a, "unlocked");
  HOLDS(b, "unlocked");
  mmapsync_close(b);
  mmapsync_close(a);
}
#undef BUSY

/* A writer that is killed inside a write leaves the last snapshot, and a channel that can be written. */
static void caseWriterKilled(void) {
  mmapsync *h = channelOpen();
  mmapsync_result done;
  void *data;
  pid_t pid;
  int status;

  WRITE(h, "one");
  WRITE(h, "two");
  pid = fork();
  if (pid == 0) {
    mmapsync *w = channelOpen();
    OK(w, mmapsync_write_begin(w, 1000000, &data));
    memset(data, 'z', 1000000);
    kill(getpid(), SIGKILL);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
  HOLDS(h, "two");
  OK(h, mmapsync_verify(h));
  OK(h, mmapsync_write(h, "three", 5, &done));
  CHECK(done.sequence == 3);
  HOLDS(h, "three");
  mmapsync_close(h);
}

/* The sequence goes on over handles, processes, and writers that take turns. */
static void caseSequence(void) {
  mmapsync *a = channelOpen(), *b;
  mmapsync_result done;
  uint64_t n = 0;
  pid_t pid;
  int i, status;

  for (i = 0; i < 3; i++) {
    OK(a, mmapsync_write(a, "a", 1, &done));
    CHECK(done.sequence == ++n);
    b = channelOpen();
    OK(b, mmapsync_write(b, "b", 1, &done));
    CHECK(done.sequence == ++n);
    OK(a, mmapsync_write(a, "a", 1, &done));
    CHECK(done.sequence == ++n);
    mmapsync_close(b);
    pid = fork();
    if (pid == 0) {
      b = channelOpen();
      OK(b, mmapsync_write(b, "child", 5, &done));
      _exit(done.sequence == n + 1 ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    n++;
  }
  mmapsync_close(a);
}

/* A durable channel works like any other. */
static void caseDurable(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_result done;
  int i;

  mmapsync_options_init(&opt);
  opt.durable = 1;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  for (i = 1; i <= 3; i++) {
    OK(h, mmapsync_write(h, "kept", 4, &done));
    CHECK(done.sequence == (uint64_t)i);
    HOLDS(h, "kept");
  }
  mmapsync_close(h);
}

/* ---- stopping ---------------------------------------------------------------------------------- */

/* options.progress can end a wait, a copy and a comparison. */
static int stopAlways(void *arg) { return ++*(int *)arg; }

static void caseInterrupt(void) {
  mmapsync *writer = channelOpen(), *reader = channelOpen();
  mmapsync_options opt = *mmapsync_options_of(writer);
  mmapsync_view view;
  size_t n = (size_t)40 << 20;
  char *bytes = calloc(1, n);
  int calls = 0;

  WRITE(writer, "one");
  OK(reader, mmapsync_read(reader, &view));
  WRITE(writer, "two");
  opt.progress = stopAlways;
  opt.progress_arg = &calls;
  OK(writer, mmapsync_configure(writer, &opt));
  FAILS(writer, mmapsync_write(writer, "three", 5, NULL), MMAPSYNC_INTERRUPT, "interrupted");
  CHECK(calls == 1);
  PINS(reader, 1, 0);
  SHOWS(&view, "one");
  mmapsync_release(reader, &view);

  FAILS(writer, mmapsync_write(writer, bytes, n, NULL), MMAPSYNC_INTERRUPT, "interrupted");
  HOLDS(writer, "two");
  opt.progress = NULL;
  OK(writer, mmapsync_configure(writer, &opt));
  OK(writer, mmapsync_write(writer, bytes, n, NULL));
  opt.progress = stopAlways;
  OK(reader, mmapsync_configure(reader, &opt));
  FAILS(reader, mmapsync_verify(reader), MMAPSYNC_INTERRUPT, "interrupted");
  PINS(reader, 0, 0);
  opt.progress = NULL;
  OK(reader, mmapsync_configure(reader, &opt));
  OK(reader, mmapsync_verify(reader));
  free(bytes);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* ---- checking a payload ----------------------------------------------------------------------- */

/* One changed byte is found, and said in hashes. */
static void caseVerify(void) {
  mmapsync *h = channelOpen();
  unsigned long long good, bad;
  char bytes[1000];

  memset(bytes, 'x', sizeof(bytes));
  OK(h, mmapsync_write(h, bytes, sizeof(bytes), NULL));
  OK(h, mmapsync_verify(h));
  good = hashBytes(bytes, sizeof(bytes));
  bytes[777] = 'y';
  bad = hashBytes(bytes, sizeof(bytes));
  filePoke("_data_0", 777, "y", 1);
  FAILS(h, mmapsync_verify(h), MMAPSYNC_CORRUPT,
        "\"%s_data_0\": damaged: expected hash %016llx, found %016llx", checkPath, good, bad);
  PINS(h, 0, 0);
  filePoke("_data_0", 777, "x", 1);
  OK(h, mmapsync_verify(h));
  mmapsync_close(h);
}

/* options.verify has reads do it: for the first snapshot of a handle, or for each. */
static void caseVerifyOptions(void) {
  mmapsync_options opt;
  mmapsync *writer = channelOpen(), *never, *first, *each;
  mmapsync_view view;

  mmapsync_options_init(&opt);
  OK(never, mmapsync_open(checkPath, &opt, &never));
  opt.verify = MMAPSYNC_VERIFY_ATTACH;
  OK(first, mmapsync_open(checkPath, &opt, &first));
  opt.verify = MMAPSYNC_VERIFY_SNAPSHOT;
  OK(each, mmapsync_open(checkPath, &opt, &each));

  WRITE(writer, "one");
  filePoke("_data_0", 0, "X", 1);
  HOLDS(never, "Xne");
  CHECK(mmapsync_read(first, &view) == MMAPSYNC_CORRUPT && !view.map);
  CHECK(mmapsync_read(each, &view) == MMAPSYNC_CORRUPT && !view.map);
  PINS(writer, 0, 0);

  WRITE(writer, "two");
  HOLDS(first, "two"); /* its first good one */
  HOLDS(each, "two");
  WRITE(writer, "three");
  filePoke("_data_0", 0, "X", 1);
  HOLDS(first, "Xhree");
  CHECK(mmapsync_read(each, &view) == MMAPSYNC_CORRUPT);
  WRITE(writer, "four");
  HOLDS(each, "four");
  filePoke("_data_1", 0, "X", 1);
  HOLDS(each, "Xour"); /* once a snapshot */
  PINS(writer, 0, 0);
  mmapsync_close(each);
  mmapsync_close(first);
  mmapsync_close(never);
  mmapsync_close(writer);
}

static void caseOptionsMisuse(void) {
  mmapsync_options opt;
  mmapsync *h = channelOpen(), *bad;

  mmapsync_options_init(&opt);
  opt.lock = 7;
  FAILS(bad, mmapsync_open(checkPath, &opt, &bad), MMAPSYNC_MISUSE,
        "option lock: expected 0, 1 or 2, found 7");
  mmapsync_close(bad);
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option lock: expected 0, 1 or 2, found 7");
  opt.lock = 0;
  opt.verify = -1;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option verify: expected 0, 1 or 2, found -1");
  opt.verify = 0;
  opt.durable = 2;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option durable: expected 0 or 1, found 2");
  opt.durable = 0;
  opt.pins = 4;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option pins: expected 0, 1, 2 or 3, found 4");
  opt.pins = -1;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option pins: expected 0, 1, 2 or 3, found -1");
  opt.pins = 0;
  opt.foreign = 2;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option foreign: expected 0 or 1, found 2");
  opt.foreign = 0;
  opt.stamp = -1;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE, "option stamp: expected 0 or 1, found -1");
  CHECK(mmapsync_options_of(h)->lock == MMAPSYNC_LOCK_WRITE); /* a refusal changes nothing */
  WRITE(h, "works");
  mmapsync_close(h);
}

/* Each code has words of its own. */
static void caseErrstr(void) {
  int a, b;
  for (a = MMAPSYNC_OK; a <= MMAPSYNC_TIMEOUT; a++) {
    CHECK(strcmp(mmapsync_errstr(a), "unknown result code") != 0);
    for (b = MMAPSYNC_OK; b < a; b++) CHECK(strcmp(mmapsync_errstr(a), mmapsync_errstr(b)) != 0);
  }
  CHECK(strcmp(mmapsync_errstr(a), "unknown result code") == 0);
  CHECK(strcmp(mmapsync_errstr(MMAPSYNC_EMPTY), "nothing published yet") == 0);
  CHECK(strcmp(mmapsync_errmsg(NULL), "out of memory") == 0);
}

/* The same bytes again are another snapshot, also where the version word comes back: in a file that was replaced for
** a reader who holds the older ones, and for who compares each snapshot with its hash. */
static void caseWordAgain(void) {
  mmapsync_options opt;
  mmapsync *writer = channelOpenGrace(0), *h = channelOpen(), *each, *holder = channelOpen();
  mmapsync_view view, held, again;

  mmapsync_options_init(&opt);
  opt.verify = MMAPSYNC_VERIFY_SNAPSHOT;
  OK(each, mmapsync_open(checkPath, &opt, &each));
  WRITE(writer, "the same");
  HOLDS(h, "the same");
  HOLDS(h, "the same");
  HOLDS(each, "the same");
  OK(holder, mmapsync_read(holder, &held));
  WRITE(writer, "another");
  WRITE(writer, "the same");
  OK(h, mmapsync_read(h, &view));
  CHECK(view.version == held.version && view.sequence == 3 && held.sequence == 1);
  CHECK(view.data != held.data && view.switched);
  mmapsync_release(h, &view);
  filePoke("_data_0", 0, "X", 1);
  CHECK(mmapsync_read(each, &again) == MMAPSYNC_CORRUPT);
  CHECK(strstr(mmapsync_errmsg(each), "_data_0\": damaged: expected hash ") != NULL);
  SHOWS(&held, "the same");
  mmapsync_release(holder, &held);
  PINS(writer, 0, 0);
  mmapsync_close(holder);
  mmapsync_close(each);
  mmapsync_close(h);
  mmapsync_close(writer);
}

/* The number goes on from the highest that can be one: also from what the file that is written carried, and not from
** what damage has left in P_writer. */
static void caseSequenceDamaged(void) {
  static const uint64_t most = UINT64_MAX;
  mmapsync *h = channelOpen();
  mmapsync_result done;
  TrailerShared shared;
  Trailer t;
  uint8_t bytes[64 + TRAILER_SIZE];
  uint64_t word;

  WRITE(h, "one");
  OK(h, mmapsync_write(h, "two", 3, &done));
  word = done.version;
  mmapsync_close(h);
  filePoke("_writer", 64, &most, sizeof(most));
  /* An older trailer with a higher number, as from a copy of the file that was put back. */
  CHECK(fileGet("_data_0", bytes, sizeof(bytes)) == sizeof(bytes));
  memcpy(&t, bytes + trailerAt(3), sizeof(t));
  t.sequence = 100;
  trailerStore(&shared, &t);
  filePoke("_data_0", (off_t)trailerAt(3), &shared, sizeof(shared));
  h = channelOpen();
  OK(h, mmapsync_write(h, "three", 5, &done));
  CHECK(done.sequence == 101 && done.version != word);
  HOLDS(h, "three");
  OK(h, mmapsync_write(h, "four", 4, &done));
  CHECK(done.sequence == 102);
  mmapsync_close(h);
}

/* A durable publish mends a channel of which the newest snapshot's file is gone. */
static void caseDurableLost(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_result done;

  mmapsync_options_init(&opt);
  opt.durable = 1;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  WRITE(h, "one");
  mmapsync_close(h);
  fileRemove("_data_0");
  OK(h, mmapsync_open(checkPath, &opt, &h));
  OK(h, mmapsync_write(h, "two", 3, &done));
  CHECK(done.sequence == 2);
  HOLDS(h, "two");
  mmapsync_close(h);
}

/* Large payloads are copied in lines of 64 bytes, and what is left of the last. */
static void caseLargeOdd(void) {
  size_t n = ((size_t)8 << 20) + 13, i;
  mmapsync *h = channelOpen();
  mmapsync_view view;
  uint8_t *bytes = malloc(n);

  CHECK(bytes);
  for (i = 0; i < n; i++) bytes[i] = (uint8_t)(i * 7 + i / 251);
  OK(h, mmapsync_write(h, bytes, n, NULL));
  OK(h, mmapsync_read(h, &view));
  CHECK(view.size == n && memcmp(view.data, bytes, n) == 0);
  mmapsync_release(h, &view);
  OK(h, mmapsync_verify(h));
  free(bytes);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"empty", caseEmpty},
    {"publish", casePublish},
    {"empty_payload", caseEmptyPayload},
    {"switched", caseSwitched},
    {"version_word", caseVersionWord},
    {"version_limit", caseVersionLimit},
    {"too_big", caseTooBig},
    {"largest", caseLargest},
    {"collision", caseCollision},
    {"view_growth", caseViewGrowth},
    {"views_nested", caseViewsNested},
    {"views_many", caseViewsMany},
    {"in_place", caseInPlace},
    {"abort", caseAbort},
    {"in_place_misuse", caseInPlaceMisuse},
    {"two_writers", caseTwoWriters},
    {"lock_options", caseLockOptions},
    {"writer_killed", caseWriterKilled},
    {"sequence", caseSequence},
    {"durable", caseDurable},
    {"interrupt", caseInterrupt},
    {"verify", caseVerify},
    {"verify_options", caseVerifyOptions},
    {"options_misuse", caseOptionsMisuse},
    {"errstr", caseErrstr},
    {"word_again", caseWordAgain},
    {"sequence_damaged", caseSequenceDamaged},
    {"durable_lost", caseDurableLost},
    {"large_odd", caseLargeOdd},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
