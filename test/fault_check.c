#define _GNU_SOURCE
/*
** fault_check.c - what is left when a system call, or memory, fails.
**
** A scenario prepares a channel and acts on it: a first write, a write of a handle that has written
** before, a write that has to replace a file, a build of tables, writes that are given up, a read by each kind of pin, lookups and filters, all
** that tells of a channel.  The sweep makes
** each kind of system call fail in it: the 1st call of that kind, the 2nd, and so on until a run meets no
** fault, with each error number that the call is known to give; once only that one call, and once all
** after it, too.  Every time
**
**     - the act gives the code that belongs to the error; or it works, if the call is one of those that
**       can be done without (faultAbsorbed() in check_fault.h knows which), and then only;
**     - a reader then finds the snapshot from before, whole, or the new one if the act worked;
**     - a view that was held all the time by slot or lock is whole;
**     - no pin is left, no file is left longer than it was, no new one lies about;
**     - the same handle does the same act without a fault;
**     - no descriptor, no mapping and no block of memory is left when the handles are closed.
**
** The same is done with malloc() and its kin.  Standard input is closed meanwhile, so that each file opened is
** one that must be moved out of its way (sys.c), and that too can fail.
**
** A sweep prints how many faults it has met, `faults CALL N`, for whoever adds them up.
*/
#include "build.h"
#include "check_fault.h"

/* ---- what is published ------------------------------------------------------------------------ */

#define OLD_BYTES 5
#define NEW_BYTES 150000
#define ROWS      300

static mmapsync *openDurable(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.durable = 1;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}

/* The newest snapshot is n times the same letter. */
static void holdsLetters(mmapsync *h, char letter, size_t n) {
  mmapsync_view view;
  size_t i;
  OK(h, mmapsync_read(h, &view));
  CHECK(view.size == n);
  for (i = 0; i < n; i++) CHECK(((const char *)view.data)[i] == letter);
  mmapsync_release(h, &view);
}

static void holdsOldLetters(mmapsync *h) { holdsLetters(h, 'o', OLD_BYTES); }
static void holdsNewLetters(mmapsync *h) { holdsLetters(h, 'n', NEW_BYTES); }

static void holdsNothing(mmapsync *h) {
  mmapsync_view view;
  CHECK(mmapsync_read(h, &view) == MMAPSYNC_EMPTY);
}

/* The key of row i starts a long text. */
static void skuPut(char *to, int i) {
  char name[16];
  snprintf(name, sizeof(name), "%05d-", i);
  memcpy(to, name, 6);
}

/* The table `prices`: a unique text key against the order of the rows, and a key that is not unique. */
static int buildPrices(mmapsync *h, int cents) {
  static const mmapsync_column_def cols[] = {{.name = "sku"}, {.name = "kind"}, {.name = "cents"}};
  static const mmapsync_part_def bySku[] = {{.column = 0}};
  static const mmapsync_part_def byKind[] = {{.column = 1}, {.column = 2, .desc = 1}};
  static const mmapsync_key_def keys[] = {
      {.name = "sku", .flags = MMAPSYNC_KEY_UNIQUE, .parts = bySku, .nparts = 1},
      {.name = "of a kind the dearest first, as they stand in the shop's window and nowhere else",
       .parts = byKind,
       .nparts = 2}};
  static const mmapsync_table_def prices = {
      .name = "prices", .columns = cols, .ncolumns = 3, .keys = keys, .nkeys = 2, .rowid = -1};
  mmapsync_builder *b;
  char text[5000];
  int i, rc = mmapsync_build_begin(h, &b);

  if (rc != MMAPSYNC_OK) return rc;
  b->sort_rows = ROWS / 3 + 1;     /* in runs */
  memset(text, 's', sizeof(text)); /* long ones, so that the file has to grow */
  mmapsync_build_table(b, &prices);
  for (i = ROWS - 1; i >= 0; i--) {
    skuPut(text, i);
    mmapsync_build_text(b, text, sizeof(text));
    mmapsync_build_text(b, i % 2 ? "odd" : "even", i % 2 ? 3 : 4);
    mmapsync_build_int(b, cents + i);
    if (mmapsync_build_row(b) != MMAPSYNC_OK) break;
  }
  return mmapsync_build_commit(b, NULL);
}

static int readPrices(mmapsync *h, int cents) {
  mmapsync_view view;
  mmapsync_image *image;
  mmapsync_value v;
  char text[5000];
  uint64_t row;
  int i, rc = mmapsync_read(h, &view);

  if (rc != MMAPSYNC_OK) return rc;
  rc = mmapsync_image_open(h, &view, &image);
  if (rc == MMAPSYNC_OK) {
    const mmapsync_table *t = mmapsync_table_find(image, "prices");
    memset(text, 's', sizeof(text));
    CHECK(t && mmapsync_table_about(t)->rows == ROWS);
    for (i = 0; i < ROWS; i++) {
      skuPut(text, i);
      v.type = MMAPSYNC_TEXT;
      v.n = sizeof(text);
      v.u.p = text;
      CHECK(mmapsync_find(t, 0, &v, 1, &row) == MMAPSYNC_OK && row == (uint64_t)(ROWS - 1 - i));
      CHECK(mmapsync_get(t, row, 2, &v) == MMAPSYNC_OK && v.u.i == cents + i);
    }
    mmapsync_image_close(image);
  }
  mmapsync_release(h, &view);
  return rc;
}

static void holdsOldPrices(mmapsync *h) { OK(h, readPrices(h, 1000)); }
static void holdsNewPrices(mmapsync *h) { OK(h, readPrices(h, 2000)); }

/* ---- scenarios -------------------------------------------------------------------------------- */

typedef struct Scenario {
  mmapsync *(*prepare)(void);        /* the channel, and the handle that will act, and `acting` */
  int (*act)(mmapsync *h);           /* where the fault is met */
  void (*holdsOld)(mmapsync *other); /* what another handle finds if the act failed */
  void (*holdsNew)(mmapsync *other); /* and if it worked */
} Scenario;

static int actWrite(mmapsync *h) {
  void *data;
  int rc = mmapsync_write_begin(h, 1000, &data);
  if (rc != MMAPSYNC_OK) return rc;
  memset(data, 'n', 1000);
  rc = mmapsync_write_grow(h, 200000, &data);
  if (rc != MMAPSYNC_OK) {
    memset(data, 'x', 1000); /* still open, and still ours to write to */
    mmapsync_write_abort(h);
    return rc;
  }
  memset(data, 'n', 200000);
  return mmapsync_write_commit(h, NEW_BYTES, MMAPSYNC_KIND_RAW, NULL);
}

static void writeOld(void) {
  mmapsync *h = channelOpen();
  WRITE(h, "xxxxxxxx");
  WRITE(h, "ooooo");
  mmapsync_close(h);
}

static mmapsync *prepareFirst(void) { return openDurable(); }

static mmapsync *prepareLater(void) {
  writeOld();
  return openDurable();
}

static mmapsync *prepareSteady(void) {
  mmapsync *h = openDurable();
  WRITE(h, "xxxxxxxx");
  WRITE(h, "ooooo");
  acting.trusts = 1;
  return h;
}

/* A reader is in the way, and stays longer than the grace time. */
static mmapsync *waitReader;
static mmapsync_view waitView;
static mmapsync *waitPrepare(mmapsync *h, int pins) {
  WRITE(h, "xxxxxxxx");
  waitReader = channelOpenPins(pins);
  OK(waitReader, mmapsync_read(waitReader, &waitView));
  WRITE(h, "ooooo");
  acting.trusts = 1;
  return h;
}

/* It counts itself in, and is given up. */
static mmapsync *prepareWait(void) {
  return waitPrepare(channelOpenGrace(1), MMAPSYNC_PIN_COUNTER);
}

/* It has a slot, or a lock, so the file must be replaced, by one of the same permissions and, where we may
** give files away, of the same owner. */
static mmapsync *prepareReplace(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.grace_ms = 1;
  opt.durable = 1;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  waitPrepare(h, MMAPSYNC_PIN_SLOT);
  acting.replaces = 1;
  CHECK(chmod(fileName("_data_0"), 0606) == 0);
  if (geteuid() == 0) CHECK(chown(fileName("_data_0"), 12, 34) == 0);
  return h;
}
static mmapsync *prepareReplaceLock(void) {
  mmapsync *h = waitPrepare(channelOpenGrace(1), MMAPSYNC_PIN_LOCK);
  acting.replaces = 1;
  return h;
}

/* Somebody sleeps until the next publish. */
static mmapsync *prepareWake(void) {
  static const uint32_t one = 1;
  mmapsync *h = prepareSteady();
  filePoke("_readers", 20, &one, sizeof(one));
  return h;
}

/* Another writer died when it was about to replace a file. */
static mmapsync *prepareSweep(void) {
  static const uint32_t odd[2] = {1, 0};
  static const uint64_t started = 1;
  mmapsync *h = prepareSteady();
  filePut("_data_0_new", "left", 4);
  filePut("_data_1_new", "left", 4);
  filePoke("_writer", 16, odd, sizeof(odd));
  filePoke("_writer", 80, &started, sizeof(started));
  return h;
}

static int actBuild(mmapsync *h) { return buildPrices(h, 2000); }

static mmapsync *prepareBuild(void) {
  mmapsync *h = channelOpen();
  OK(h, buildPrices(h, 1000));
  mmapsync_close(h);
  acting.builds = 1;
  return openDurable();
}

/* A first read, with a comparison of the hash. */
static int actRead(mmapsync *h) { return readPrices(h, 1000); }

static mmapsync *readPrepare(int pins) {
  mmapsync_options opt;
  mmapsync *h = prepareBuild();
  mmapsync_close(h);
  mmapsync_options_init(&opt);
  opt.verify = MMAPSYNC_VERIFY_SNAPSHOT;
  opt.pins = pins;
  acting.reads = 1;
  acting.pins = pins;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}
static mmapsync *prepareRead(void) { return readPrepare(MMAPSYNC_PIN_AUTO); }
static mmapsync *prepareReadSlot(void) { return readPrepare(MMAPSYNC_PIN_SLOT); }
static mmapsync *prepareReadLock(void) { return readPrepare(MMAPSYNC_PIN_LOCK); }
static mmapsync *prepareReadCounter(void) { return readPrepare(MMAPSYNC_PIN_COUNTER); }

/* What is looked up and filtered in an image; `quick` is the code of a call that leaves no sentence. */
static int quick;

static int lookUp(const mmapsync_table *t) {
  static const mmapsync_value kinds[] = {{.type = MMAPSYNC_TEXT, .n = 3, .u.p = "odd"},
                                         {.type = MMAPSYNC_INTEGER, .u.i = 7}};
  static const mmapsync_value least = {.type = MMAPSYNC_INTEGER, .u.i = 1100};
  static mmapsync_value cents[40] = {{.type = MMAPSYNC_INTEGER, .u.i = 1101},
                                     {.type = MMAPSYNC_REAL, .u.r = 1103.0},
                                     {.type = MMAPSYNC_INTEGER, .u.i = 1104},
                                     {.type = MMAPSYNC_INTEGER, .u.i = 1299}};
  static const mmapsync_term terms[] = {
      {.column = 1, .op = MMAPSYNC_IN, .nvalues = 2, .values = kinds},
      {.column = 2, .op = MMAPSYNC_GE, .nvalues = 1, .values = &least},
      {.column = 2, .op = MMAPSYNC_IN, .nvalues = 40, .values = cents}};
  int i;
  mmapsync_filter *f;
  mmapsync_value v[4];
  mmapsync_run run;
  uint64_t lo, hi, row, from = 0, until = ROWS, count;
  uint32_t rows[MMAPSYNC_FILTER_ROWS], n;

  CHECK(mmapsync_find_all(t, 1, kinds, 1, &lo, &hi) == MMAPSYNC_OK && hi - lo == ROWS / 2);
  CHECK(mmapsync_find_range(t, 1, kinds, 1, &least, 1, NULL, 0, &lo, &hi) == MMAPSYNC_OK);
  CHECK(hi - lo == 100 && mmapsync_key_row(t, 1, lo, &row) == MMAPSYNC_OK);
  CHECK(mmapsync_key_rows(t, 1, lo, 4, rows) == MMAPSYNC_OK && rows[0] == row);
  CHECK(mmapsync_get_many(t, rows, 4, 2, v) == MMAPSYNC_OK && v[0].u.i == 1299);
  CHECK(mmapsync_run_of(t, 0, 2, &run) == MMAPSYNC_OK);
  for (i = 4; i < 40; i++) { /* and many that are all even, and not of that kind */
    cents[i].type = MMAPSYNC_INTEGER;
    cents[i].u.i = 1098 + 4 * i;
  }
  quick = mmapsync_filter_open(t, terms, 3, &f);
  if (quick != MMAPSYNC_OK) return quick;
  from = 0;
  CHECK(mmapsync_filter_count(f, &from, ROWS, &count) == MMAPSYNC_OK && count == 3);
  from = 0;
  CHECK(mmapsync_filter_next(f, &from, ROWS, rows, &n) == MMAPSYNC_OK && n == 3);
  CHECK(mmapsync_filter_row(f, rows[0]) == 1);
  CHECK(mmapsync_filter_prev(f, 0, &until, rows, &n) == MMAPSYNC_OK && n == 3);
  mmapsync_filter_close(f);
  return MMAPSYNC_OK;
}

static int actLookUp(mmapsync *h) {
  mmapsync_view view;
  mmapsync_image *image;
  int rc = mmapsync_read(h, &view);
  quick = MMAPSYNC_OK;
  if (rc != MMAPSYNC_OK) return rc;
  rc = mmapsync_image_open(h, &view, &image);
  if (rc == MMAPSYNC_OK) {
    rc = lookUp(mmapsync_table_find(image, "prices"));
    mmapsync_image_close(image);
  }
  mmapsync_release(h, &view);
  return rc;
}

/* As many as the first page of P_readers has, and one more. */
#define FIRST_SLOTS 63
#define CROWD       (FIRST_SLOTS + 1)

/* All that tells of a channel, and waits for it, by a handle that has not read. */
static int actTell(mmapsync *h) {
  mmapsync_reader readers[4];
  mmapsync_progress progress;
  uint64_t version, sequence;
  uint32_t counters[2];
  size_t count;
  int rc = mmapsync_readers(h, readers, 4, &count);
  if (rc == MMAPSYNC_OK) rc = mmapsync_publishing(h, &progress);
  if (rc == MMAPSYNC_OK) CHECK(progress.phase == MMAPSYNC_PHASE_IDLE);
  if (rc == MMAPSYNC_OK) rc = mmapsync_version(h, &version);
  if (rc == MMAPSYNC_OK) rc = mmapsync_counters(h, counters);
  if (rc == MMAPSYNC_OK) rc = mmapsync_wait(h, 0, 1000, &sequence);
  if (rc == MMAPSYNC_OK) CHECK(sequence == 1);
  if (rc == MMAPSYNC_OK) rc = mmapsync_wait(h, 1, 1, &sequence);
  if (rc == MMAPSYNC_TIMEOUT) rc = mmapsync_sequence(h, &sequence);
  if (rc == MMAPSYNC_OK) rc = mmapsync_verify(h);
  return rc;
}

/* And of a reader who has a slot. */
static mmapsync *crowd[CROWD];
static void crowdAttach(int n) {
  uint64_t sequence;
  int i;
  for (i = 0; i < n; i++) {
    crowd[i] = channelOpen();
    OK(crowd[i], mmapsync_sequence(crowd[i], &sequence));
  }
}
static mmapsync *prepareTell(void) {
  mmapsync *h = readPrepare(MMAPSYNC_PIN_AUTO);
  acting.either = 1;
  crowdAttach(1);
  return h;
}

static mmapsync *prepareAbort(void) {
  mmapsync *h = prepareSteady();
  acting.either = 1; /* it writes twice */
  return h;
}

/* Writes that are given up: nothing has changed. */
static int actAbort(mmapsync *h) {
  mmapsync_builder *b;
  void *data;
  int rc = mmapsync_write_begin(h, 100000, &data);
  if (rc != MMAPSYNC_OK) return rc;
  memset(data, 'x', 100000);
  mmapsync_write_abort(h);
  rc = mmapsync_build_begin(h, &b);
  if (rc == MMAPSYNC_OK) mmapsync_build_abort(b);
  return rc;
}

/* A first read, for which P_readers has to grow: all slots of its first page are taken. */
static mmapsync *prepareReadCrowd(void) {
  mmapsync *h = prepareRead();
  crowdAttach(FIRST_SLOTS);
  return h;
}

/* A read of a file that has grown since it was mapped. */
static mmapsync *prepareReadGrown(void) {
  mmapsync *h = channelOpen(), *writer = channelOpen();
  WRITE(writer, "ooooo");
  holdsOldLetters(h);
  WRITE(writer, "xxxxxxxx");
  OK(writer, buildPrices(writer, 1000));
  mmapsync_close(writer);
  acting.reads = acting.attached = 1;
  return h;
}

/* A read of a file that was replaced since it was mapped. */
static mmapsync *prepareReadReplaced(void) {
  mmapsync *h = channelOpen(), *writer = channelOpenGrace(0);
  OK(writer, buildPrices(writer, 500));
  waitReader = channelOpen();
  OK(waitReader, mmapsync_read(waitReader, &waitView));
  OK(h, readPrices(h, 500));
  OK(writer, mmapsync_write(writer, "xxxxxxxx", 8, NULL));
  mmapsync_release(waitReader, &waitView);
  OK(waitReader, mmapsync_read(waitReader, &waitView)); /* by the other file */
  OK(writer, buildPrices(writer, 1000));
  OK(writer, buildPrices(writer, 1000)); /* replaces the other file */
  CHECK(fileCount() == 5);
  mmapsync_close(writer);
  acting.reads = acting.attached = 1;
  return h;
}

/* A handle that trusts nobody: it reads a copy; it makes the channel, and publishes where somebody has a slot. */
static mmapsync *openCopy(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.trust = MMAPSYNC_TRUST_COPY;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}
static mmapsync *prepareReadCopyFirst(void) {
  mmapsync *writer = channelOpen();
  OK(writer, buildPrices(writer, 1000));
  mmapsync_close(writer);
  acting.reads = 1;
  return openCopy();
}
static mmapsync *prepareReadCopy(void) {
  mmapsync *h = openCopy(), *writer = channelOpen();
  OK(writer, buildPrices(writer, 500));
  OK(h, readPrices(h, 500));
  OK(writer, buildPrices(writer, 1000));
  mmapsync_close(writer);
  acting.reads = 1;
  return h;
}
static mmapsync *prepareApart(void) {
  mmapsync *h = openCopy();
  WRITE(h, "xxxxxxxx");
  waitReader = channelOpenPins(MMAPSYNC_PIN_SLOT);
  OK(waitReader, mmapsync_read(waitReader, &waitView));
  WRITE(h, "ooooo");
  mmapsync_release(waitReader, &waitView);
  mmapsync_close(h);
  mmapsync_close(waitReader);
  waitReader = NULL;
  return openCopy();
}

/* P_readers in a state that a writer, who has it open, must mend: removed, cut short, its header gone while the lock is
** held; and grown by readers since. */
static mmapsync *prepareMendRemoved(void) {
  mmapsync *h = prepareSteady();
  fileRemove("_readers");
  return h;
}
static mmapsync *prepareMendCut(void) {
  mmapsync *h = prepareSteady();
  CHECK(truncate(fileName("_readers"), 100) == 0);
  return h;
}
static mmapsync *prepareMendHeld(void) {
  static const uint64_t nothing[2] = {0, 0};
  mmapsync *h = prepareSteady();
  mmapsync_options opt = *mmapsync_options_of(h);
  opt.lock = MMAPSYNC_LOCK_HOLD;
  OK(h, mmapsync_configure(h, &opt));
  WRITE(h, "xxxxxxxx");
  WRITE(h, "ooooo");
  filePoke("_readers", 0, nothing, sizeof(nothing));
  usleep(2500); /* longer than it goes without a look at locks */
  return h;
}
static mmapsync *prepareCrowded(void) {
  mmapsync *h = prepareSteady();
  crowdAttach(CROWD);
  return h;
}

/* A reader holds a file that it was left: the next writer looks whether it lives. */
static mmapsync *prepareLeft(void) {
  mmapsync *h = waitPrepare(channelOpenGrace(1), MMAPSYNC_PIN_SLOT);
  WRITE(h, "xxxxxxxx"); /* is left it */
  WRITE(h, "ooooo");
  mmapsync_close(h);
  h = channelOpen();
  WRITE(h, "xxxxxxxx");
  WRITE(h, "ooooo");
  return h;
}

static const Scenario mendingRemoved = {prepareMendRemoved, actWrite, holdsOldLetters,
                                        holdsNewLetters};
static const Scenario mendingCut = {prepareMendCut, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario mendingHeld = {prepareMendHeld, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario crowded = {prepareCrowded, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario leaving = {prepareLeft, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario readingCopyFirst = {prepareReadCopyFirst, actRead, holdsOldPrices,
                                          holdsOldPrices};
static const Scenario readingCopy = {prepareReadCopy, actRead, holdsOldPrices, holdsOldPrices};
static const Scenario apartFirst = {openCopy, actWrite, holdsNothing, holdsNewLetters};
static const Scenario apart = {prepareApart, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario first = {prepareFirst, actWrite, holdsNothing, holdsNewLetters};
static const Scenario later = {prepareLater, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario steady = {prepareSteady, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario waiting = {prepareWait, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario replacing = {prepareReplace, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario replacingLock = {prepareReplaceLock, actWrite, holdsOldLetters,
                                       holdsNewLetters};
static const Scenario waking = {prepareWake, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario sweeping = {prepareSweep, actWrite, holdsOldLetters, holdsNewLetters};
static const Scenario build = {prepareBuild, actBuild, holdsOldPrices, holdsNewPrices};
static const Scenario reading = {prepareRead, actRead, holdsOldPrices, holdsOldPrices};
static const Scenario readingSlot = {prepareReadSlot, actRead, holdsOldPrices, holdsOldPrices};
static const Scenario readingLock = {prepareReadLock, actRead, holdsOldPrices, holdsOldPrices};
static const Scenario readingCounter = {prepareReadCounter, actRead, holdsOldPrices,
                                        holdsOldPrices};
static const Scenario readingCrowd = {prepareReadCrowd, actRead, holdsOldPrices, holdsOldPrices};
static const Scenario lookingUp = {prepareTell, actLookUp, holdsOldPrices, holdsOldPrices};
static const Scenario telling = {prepareTell, actTell, holdsOldPrices, holdsOldPrices};
static const Scenario aborting = {prepareAbort, actAbort, holdsOldLetters, holdsOldLetters};
static const Scenario readingGrown = {prepareReadGrown, actRead, holdsOldPrices, holdsOldPrices};
static const Scenario readingReplaced = {prepareReadReplaced, actRead, holdsOldPrices,
                                         holdsOldPrices};

/* ---- the sweep -------------------------------------------------------------------------------- */

/* How many parts of this process's memory are files of the channel. */
static int mappings(void) {
  char line[PATH_MAX + 200];
  int n = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  while (f && fgets(line, sizeof(line), f)) n += strstr(line, checkPath) != NULL;
  if (f) fclose(f);
  return n;
}

/* Runs the scenario with the fault that is set up.  `code` is what it must come to if it is met, and is
** not one to be absorbed; with `call` NULL it is memory that fails.  1 if it was met. */
static int sweepRun(const Scenario *s, const struct FaultCall *call, int code) {
  int descriptors = checkDescriptors();
  long blocks = faultMemory.live;
  long long length[2];
  mmapsync *h, *other;
  int rc, i, met, published, swept = call && strcmp(call->name, "unlink") == 0;

  channelRemove();
  quick = MMAPSYNC_OK;
  waitReader = NULL;
  memset(crowd, 0, sizeof(crowd));
  memset(&acting, 0, sizeof(acting));
  h = s->prepare();
  for (i = 0; i < 2; i++) length[i] = fileSize(i ? "_data_1" : "_data_0");
  fault.calls = fault.fatal = fault.looks = fault.spared = 0;
  fault.code = code;
  if (call) {
    faultInstall(call->name);
  } else {
    faultMemorySet(fault.nth, fault.lasts);
  }
  rc = s->act(h);
  met = call ? fault.calls >= fault.nth : faultMemory.failed > 0;
  faultMemorySet(0, 0);
  faultRestore();

  published = rc == MMAPSYNC_OK;
  if (rc != MMAPSYNC_OK && strstr(mmapsync_errmsg(h), "published, but cannot sync")) {
    published = 1;
    code = MMAPSYNC_IOERR; /* whatever it is */
  }
  if (!met || (call && fault.fatal == 0 && !(fault.spared && rc == code))) {
    code = acting.either && met ? code : MMAPSYNC_OK;
  }
  if (acting.either && rc == MMAPSYNC_OK) code = MMAPSYNC_OK;
  if (rc != code) {
    checkFail(__LINE__, "expected code %d, found %d, %s", code, rc, mmapsync_errmsg(h));
  }
  if (rc != MMAPSYNC_OK) CHECK(rc == quick || mmapsync_errmsg(h)[0]);

  if (waitReader && waitView.pin != MMAPSYNC_PIN_COUNTER) SHOWS(&waitView, "xxxxxxxx");
  if (!swept && (published || s != &sweeping)) {
    CHECK(fileSize("_data_0_new") == -1 && fileSize("_data_1_new") == -1);
  }
  if (acting.replaces && published) {
    struct stat st;
    CHECK(stat(fileName("_data_0"), &st) == 0);
    if (s == &replacing) CHECK((st.st_mode & 07777) == 0606);
    if (s == &replacing && geteuid() == 0) CHECK(st.st_uid == 12 && st.st_gid == 34);
  }
  other = channelOpen();
  (published ? s->holdsNew : s->holdsOld)(other);
  if (published || s->holdsOld != holdsNothing) OK(other, mmapsync_verify(other));
  for (i = 0; !published && i < 2 && !(call && strcmp(call->name, "ftruncate") == 0); i++) {
    CHECK(fileSize(i ? "_data_1" : "_data_0") <= (length[i] > 0 ? length[i] : 0));
  }
  if (waitReader) mmapsync_release(waitReader, &waitView);
  OK(h, s->act(h));
  s->holdsNew(other);
  OK(other, mmapsync_verify(other));
  PINS(other, 0, 0);
  if (!swept) CHECK(fileSize("_data_0_new") == -1 && fileSize("_data_1_new") == -1);
  for (i = 0; i < CROWD; i++) mmapsync_close(crowd[i]);
  mmapsync_close(waitReader);
  mmapsync_close(other);
  mmapsync_close(h);
  CHECK(checkDescriptors() == descriptors);
  CHECK(mappings() == 0);
  CHECK(faultMemory.live == blocks);
  return met;
}

/* One call, one error number. */
static long sweepCall(const Scenario *s, const struct FaultCall *call, int error, int code) {
  long met = 0;
  int modes = code == MMAPSYNC_OK ? 1 : 2; /* what is no failure need not last for ever */
  for (fault.lasts = 0; fault.lasts < modes; fault.lasts++) {
    fault.error = error;
    for (fault.nth = 1;; fault.nth++, met++) {
      snprintf(checkAbout, sizeof(checkAbout), "call %ld of %s%s says %s", fault.nth, call->name,
               fault.lasts ? " and all after it" : "", strerror(error));
      if (!sweepRun(s, call, code)) break;
    }
  }
  return met;
}

static void sweep(const Scenario *s) {
  const struct FaultCall *call;
  long met = 0, before;
  int i, input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);

  close(STDIN_FILENO);
  for (call = faultCalls; call->name; call++) {
    before = met;
    for (i = 0; i < FAULT_GIVES && call->gives[i].error; i++) {
      met += sweepCall(s, call, call->gives[i].error, call->gives[i].code);
    }
    if (met > before) printf("faults %s %ld\n", call->name, met - before);
  }
  CHECK(met > 10);
  if (input >= 0) {
    dup2(input, STDIN_FILENO);
    close(input);
  }
}

static void sweepMemory(const Scenario *s) {
  for (fault.lasts = 0; fault.lasts < 2; fault.lasts++) {
    for (fault.nth = 1;; fault.nth++) {
      snprintf(checkAbout, sizeof(checkAbout), "request %ld for memory%s", fault.nth,
               fault.lasts ? " and all after it" : "");
      if (!sweepRun(s, NULL, MMAPSYNC_NOMEM)) break;
    }
    CHECK(fault.nth > 1);
    printf("faults malloc %ld\n", fault.nth - 1);
  }
}

static void caseMendRemoved(void) { sweep(&mendingRemoved); }
static void caseMendCut(void) { sweep(&mendingCut); }
static void caseMendHeld(void) { sweep(&mendingHeld); }
static void caseCrowded(void) { sweep(&crowded); }
static void caseLeft(void) { sweep(&leaving); }
static void caseReadCopyFirst(void) { sweep(&readingCopyFirst); }
static void caseReadCopyFirstMemory(void) { sweepMemory(&readingCopyFirst); }
static void caseFirst(void) { sweep(&first); }
static void caseLater(void) { sweep(&later); }
static void caseSteady(void) { sweep(&steady); }
static void caseWaiting(void) { sweep(&waiting); }
static void caseReplacing(void) { sweep(&replacing); }
static void caseReplacingLock(void) { sweep(&replacingLock); }
static void caseWaking(void) { sweep(&waking); }
static void caseSweeping(void) { sweep(&sweeping); }
static void caseBuild(void) { sweep(&build); }
static void caseRead(void) { sweep(&reading); }
static void caseReadSlot(void) { sweep(&readingSlot); }
static void caseReadLock(void) { sweep(&readingLock); }
static void caseReadCounter(void) { sweep(&readingCounter); }
static void caseReadCrowd(void) { sweep(&readingCrowd); }
static void caseReadGrown(void) { sweep(&readingGrown); }
static void caseReadReplaced(void) { sweep(&readingReplaced); }
static void caseReadCopy(void) { sweep(&readingCopy); }
static void caseApartFirst(void) { sweep(&apartFirst); }
static void caseApart(void) { sweep(&apart); }
static void caseReadCopyMemory(void) { sweepMemory(&readingCopy); }
static void caseApartMemory(void) { sweepMemory(&apart); }
static void caseTell(void) { sweep(&telling); }
static void caseAbort(void) { sweep(&aborting); }
static void caseLookUpMemory(void) { sweepMemory(&lookingUp); }
static void caseTellMemory(void) { sweepMemory(&telling); }
static void caseAbortMemory(void) { sweepMemory(&aborting); }
static void caseFirstMemory(void) { sweepMemory(&first); }
static void caseBuildMemory(void) { sweepMemory(&build); }
static void caseReadMemory(void) { sweepMemory(&reading); }
static void caseReadLockMemory(void) { sweepMemory(&readingLock); }
static void caseReadGrownMemory(void) { sweepMemory(&readingGrown); }

/* ---- single faults ---------------------------------------------------------------------------- */

/* The sweep knows every call the core makes. */
static void caseTable(void) {
  const struct FaultCall *call;
  int i, n = 0;

  for (i = 0; sysName(i); i++) {
    call = faultFind(sysName(i));
    snprintf(checkAbout, sizeof(checkAbout), "%s", sysName(i));
    if (!call) {
      checkFail(__LINE__, "not known");
      continue;
    }
    CHECK(sysGet(call->name) && sysGet(call->name) != call->fn);
    CHECK(sysSet(call->name, call->fn) == 0 && sysGet(call->name) == call->fn);
    CHECK(sysSet(call->name, (SysFunction)NULL) == 0 && sysGet(call->name) != call->fn);
    n++;
  }
  for (call = faultCalls; call->name; call++) n--;
  CHECK(n == 0 && !sysName(-1));
  CHECK(sysSet("fork", (SysFunction)NULL) == -1 && !sysGet("fork"));
}

/* Sets up one failure of a kind of call. */
static void faultOnce(const char *name, long nth, int error, int code) {
  fault.calls = fault.lasts = 0;
  fault.nth = nth;
  fault.error = error;
  fault.code = code;
  faultInstall(name);
}

/* The sentence for each error number. */
static void caseSentences(void) {
  static const struct {
    const char *call;
    int error, code;
    const char *says;
  } sentences[] = {
      {"open", EACCES, MMAPSYNC_PERM, "permission denied"},
      {"open", EPERM, MMAPSYNC_PERM, "permission denied"},
      {"open", EROFS, MMAPSYNC_PERM, "read-only file system"},
      {"open", ELOOP, MMAPSYNC_CANTOPEN, "is a symbolic link"},
      {"open", EISDIR, MMAPSYNC_CANTOPEN, "not a regular file"},
      {"open", ENXIO, MMAPSYNC_CANTOPEN, "not a regular file"},
      {"open", ENOSPC, MMAPSYNC_FULL, "no room on the device"},
      {"open", EMFILE, MMAPSYNC_IOERR, "cannot open: too many open files"},
      {"fstat", EIO, MMAPSYNC_IOERR, "cannot look at: input/output error"},
      {"mmap", ENOMEM, MMAPSYNC_NOMEM, "cannot map: out of memory"},
      {"flock", ENOLCK, MMAPSYNC_IOERR, "cannot lock: no locks available"},
      {"flock", EWOULDBLOCK, MMAPSYNC_BUSY, "another writer holds the lock"},
      {"posix_fallocate", ENOSPC, MMAPSYNC_FULL, "no room for 16 bytes"},
      {"posix_fallocate", EIO, MMAPSYNC_IOERR, "cannot reserve room: input/output error"},
      {"posix_fallocate", EFBIG, MMAPSYNC_TOOBIG, "over the largest size of a file"},
  };
  size_t i;

  for (i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
    mmapsync *h = channelOpen();
    faultOnce(sentences[i].call, strcmp(sentences[i].call, "mmap") == 0 ? 2 : 1, sentences[i].error,
              sentences[i].code); /* the first mmap is of no file */
    FAILS(h, mmapsync_write(h, "x", 1, NULL), sentences[i].code, "\"%s_state\": %s", checkPath,
          sentences[i].says);
    sysSet(NULL, NULL);
    WRITE(h, "x");
    mmapsync_close(h);
    channelRemove();
  }
}

/* The one failure after the switch: readers have the snapshot, and the sentence says so. */
static int syncs;
static int syncSecond(int fd) {
  if (++syncs != 2) return fdatasync(fd);
  errno = EIO;
  return -1;
}

static void casePublishedUnsynced(void) {
  mmapsync *h = openDurable();
  mmapsync_result done;

  WRITE(h, "old");
  syncs = 0;
  sysSet("fdatasync", (SysFunction)syncSecond);
  FAILS(h, mmapsync_write(h, "new", 3, &done), MMAPSYNC_IOERR,
        "\"%s_state\": published, but cannot sync: input/output error", checkPath);
  sysSet(NULL, NULL);
  CHECK(done.sequence == 2);
  HOLDS(h, "new");
  mmapsync_close(h);
}

/* What a dead writer has left is mended also if the first try of a handle that holds the lock from then on
** fails: a file that may have been replaced without notice is never trusted again. */
static void caseOddHeld(void) {
  static const uint32_t odd[2] = {5, 7};
  mmapsync *h = channelOpen(), *reader = channelOpen();
  mmapsync_options opt = *mmapsync_options_of(h);
  char page[24];
  uint32_t replaced[2];

  WRITE(h, "one");
  WRITE(h, "two");
  HOLDS(reader, "two");
  opt.lock = MMAPSYNC_LOCK_HOLD;
  OK(h, mmapsync_configure(h, &opt));
  filePoke("_writer", 16, odd, sizeof(odd));
  faultOnce("fstat", 1, EIO, MMAPSYNC_IOERR);
  FAILS(h, mmapsync_write(h, "three", 5, NULL), MMAPSYNC_IOERR,
        "\"%s_readers\": cannot look at: input/output error", checkPath);
  sysSet(NULL, NULL);
  WRITE(h, "three");
  CHECK(fileGet("_writer", page, sizeof(page)) == sizeof(page));
  memcpy(replaced, page + 16, sizeof(replaced));
  CHECK(replaced[0] == 6 && replaced[1] == 8);
  HOLDS(reader, "three");
  mmapsync_close(reader);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"table", caseTable},
    {"sentences", caseSentences},
    {"first", caseFirst},
    {"later", caseLater},
    {"steady", caseSteady},
    {"waiting", caseWaiting},
    {"replacing", caseReplacing},
    {"replacing_lock", caseReplacingLock},
    {"waking", caseWaking},
    {"sweeping", caseSweeping},
    {"mend_removed", caseMendRemoved},
    {"mend_cut", caseMendCut},
    {"mend_held", caseMendHeld},
    {"crowded", caseCrowded},
    {"left", caseLeft},
    {"read_copy_first", caseReadCopyFirst},
    {"read_copy_first_memory", caseReadCopyFirstMemory},
    {"build", caseBuild},
    {"read", caseRead},
    {"read_slot", caseReadSlot},
    {"read_lock", caseReadLock},
    {"read_counter", caseReadCounter},
    {"read_crowd", caseReadCrowd},
    {"read_replaced", caseReadReplaced},
    {"read_grown", caseReadGrown},
    {"read_copy", caseReadCopy},
    {"read_copy_memory", caseReadCopyMemory},
    {"apart_first", caseApartFirst},
    {"apart", caseApart},
    {"apart_memory", caseApartMemory},
    {"tell", caseTell},
    {"abort", caseAbort},
    {"look_up_memory", caseLookUpMemory},
    {"tell_memory", caseTellMemory},
    {"abort_memory", caseAbortMemory},
    {"first_memory", caseFirstMemory},
    {"build_memory", caseBuildMemory},
    {"read_memory", caseReadMemory},
    {"read_lock_memory", caseReadLockMemory},
    {"read_grown_memory", caseReadGrownMemory},
    {"odd_held", caseOddHeld},
    {"published_unsynced", casePublishedUnsynced},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
