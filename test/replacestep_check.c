#define _GNU_SOURCE
/*
** replacestep_check.c - replacing, attaching and being chased, one machine instruction at a time.
**
** As in step_check.c and slotstep_check.c, for what those do not step through:
**
**     attach   a first read, from the opening of the files on, with a publish every so many instructions, 500
**              at most: who never leaves it the time to map a file keeps it from ending.  Its view is whole,
**              and stays so
**     chased   a reader by slot or lock whose file is taken from it just before it claims it, and then, at each
**              instruction after that, the other one too, by a writer that stands between its last look at
**              pins and its first store
**     replace  a writer that replaces a file, since a reader holds it: at every stop that reader's view is
**              whole, and other readers find the old snapshot or the new one; a copy of the channel as it is
**              then can be written and read.  And at each stop that changed a file the writer is killed, and
**              another one goes on, with the reader still there
*/
#include "check_step.h"
#include "sys.h"

/* Who is in the way is not waited for; or only as long as the alarm of the case allows. */
#define GRACE_MS   0
#define PATIENT_MS (60 * CHECK_SECONDS * 1000)

static const int kinds[] = {MMAPSYNC_PIN_SLOT, MMAPSYNC_PIN_LOCK};
static const char *const kindNames[] = {"", "slot", "lock"};

static int kind; /* how the child, or the reader that is in the way, pins */

/* The newest snapshot is the one published last. */
#define HOLDS_NEWEST(h)                                                                            \
  do {                                                                                             \
    mmapsync_view newest_;                                                                         \
    OK(h, mmapsync_read((h), &newest_));                                                           \
    CHECK(payloadWhole(&newest_) && newest_.sequence == sequence);                                 \
    mmapsync_release((h), &newest_);                                                               \
  } while (0)

/* ---- a reader --------------------------------------------------------------------------------- */

static mmapsync *reader; /* the child's */
static mmapsync_view view;
static int readCode;

/* It reads from both files, for which it publishes once. */
static void readerPrepare(void) {
  mmapsync *writer = channelOpen();
  int i;
  reader = channelOpenPins(kind);
  for (i = 0; i < 2; i++) {
    OK(reader, mmapsync_read(reader, &view));
    mmapsync_release(reader, &view);
    if (i == 0) publish(writer);
  }
  mmapsync_close(writer);
}
static void attachPrepare(void) { reader = channelOpenPins(kind); }
static void readerCall(void) { readCode = mmapsync_read(reader, &view); }
static void readerAfter(void) {
  OK(reader, readCode);
  CHECK(view.pin == (uint32_t)kind && payloadWhole(&view));
  mmapsync_release(reader, &view);
  mmapsync_close(reader);
}

/* Pins on one file, of all readers; and on both. */
static uint32_t pinsOn(mmapsync *look, int first, int last) {
  mmapsync_reader r[CHECK_READERS];
  size_t i, n = checkReaders(__LINE__, look, r);
  uint32_t pins = 0;
  for (; first <= last; first++) {
    for (i = 0; i < n; i++) pins += r[i].pins[first];
  }
  return pins;
}
static uint32_t pinsNow(mmapsync *look) { return pinsOn(look, 0, 1); }

/* Readers of the file that the next write needs. */
static uint32_t inTheWay(mmapsync *look) {
  return pinsOn(look, (int)(sequence % 2), (int)(sequence % 2));
}

static void publishBegin(mmapsync *writer) {
  void *data;
  OK(writer, mmapsync_write_begin(writer, 128, &data));
  memset(data, 0xee, 128);
}
static void publishEnd(mmapsync *writer) {
  void *data;
  OK(writer, mmapsync_write_grow(writer, 128, &data));
  payloadFill(data, sequence + 1);
  OK(writer, mmapsync_write_commit(writer, payloadSize(sequence + 1), MMAPSYNC_KIND_RAW, NULL));
  sequence++;
}

static void readerBegin(mmapsync **writer, mmapsync **look) {
  channelRemove();
  sequence = 0;
  *writer = channelOpenGrace(GRACE_MS);
  *look = channelOpen();
  publish(*writer);
  publish(*writer);
}

/* The reader holds its view, by one pin, and five more publishes do not touch it: readerAfter() looks. */
static void readerEnd(mmapsync *writer, mmapsync *look, pid_t pid) {
  int i;
  CHECK(pinsNow(look) == 1);
  HOLDS_NEWEST(look);
  for (i = 0; i < 5; i++) CHECK(publish(writer) == 0);
  stepEnd(pid);
  PINS(look, 0, 0);
}

/* ---- a first read ----------------------------------------------------------------------------- */

static void attachDisturbed(long every) {
  mmapsync *writer, *look;
  long n;
  pid_t pid;

  readerBegin(&writer, &look);
  snprintf(checkAbout, sizeof(checkAbout), "%s, a publish every %ld instructions", kindNames[kind],
           every);
  pid = stepStart(attachPrepare, readerCall, readerAfter);
  for (n = 0; n < 500 && step(pid, every); n++) {
    CHECK(publish(writer) == 0);
    if (n % 16 == 0) HOLDS_NEWEST(look);
  }
  CHECK((n + 1) * every > 400);
  stepRest(pid);
  readerEnd(writer, look, pid);
  mmapsync_close(look);
  mmapsync_close(writer);
}

static void caseAttach(void) {
  long every;
  int k;
  stepSetUp();
  for (k = 0; k < 2; k++) {
    kind = kinds[k];
    for (every = STRIDE; every <= 600 * STRIDE; every = 2 * every + 1) attachDisturbed(every);
  }
}

/* ---- a reader that is chased ------------------------------------------------------------------ */

/*
** A writer between its last look at pins and its first store (W3 and W4 of state.h) is stopped there by
** its own clock, which it reads if it had to wait; so it is made to wait, for a view that is released
** in its sleep.  What is done in the gap is the rest of the child's read.
*/
static struct {
  mmapsync *look; /* holds the view */
  mmapsync_view view;
  pid_t pid;
  int slept;
} gap;

static int gapSleep(const struct timespec *t, struct timespec *left) {
  if (gap.slept) return nanosleep(t, left);
  gap.slept = 1;
  mmapsync_release(gap.look, &gap.view);
  return 0;
}

static int gapClock(clockid_t clock, struct timespec *t) {
  if (gap.slept && !inTheWay(gap.look)) stepRest(gap.pid);
  return clock_gettime(clock, t);
}

static void chased(int stride) {
  mmapsync *writer;
  mmapsync_options opt;
  long claim, n, gaps = 0;
  int on, stuck;

  readerBegin(&writer, &gap.look);
  opt = *mmapsync_options_of(writer);
  gap.pid = stepStart(readerPrepare, readerCall, readerAfter);
  sequence++;
  for (claim = 0; pinsNow(gap.look) == 0; claim++) CHECK(step(gap.pid, 1));
  stepRest(gap.pid);
  stepEnd(gap.pid);

  for (n = 0, on = 1; on; n += stride) {
    snprintf(checkAbout, sizeof(checkAbout), "%s, at instruction %ld, and %ld after",
             kindNames[kind], claim - 1, n);
    gap.pid = stepStart(readerPrepare, readerCall, readerAfter);
    sequence++;
    CHECK(step(gap.pid, claim - 1) && pinsNow(gap.look) == 0);
    CHECK(publish(writer) == 0);
    OK(gap.look, mmapsync_read(gap.look, &gap.view));
    publishBegin(writer);
    on = step(gap.pid, n);
    publishEnd(writer);
    stuck = inTheWay(gap.look) > 1;
    opt.grace_ms = stuck ? GRACE_MS : PATIENT_MS; /* it ends with the view */
    OK(writer, mmapsync_configure(writer, &opt));
    gap.slept = 0;
    sysSet("nanosleep", (SysFunction)gapSleep);
    sysSet("clock_gettime", (SysFunction)gapClock);
    publishBegin(writer);
    sysSet(NULL, NULL);
    CHECK(gap.slept || stuck);
    gaps += gap.slept;
    if (!gap.slept) mmapsync_release(gap.look, &gap.view);
    stepRest(gap.pid);
    publishEnd(writer);
    opt.grace_ms = GRACE_MS;
    OK(writer, mmapsync_configure(writer, &opt));
    readerEnd(writer, gap.look, gap.pid);
  }
  CHECK(n > 10 && gaps > 0);
  mmapsync_close(gap.look);
  mmapsync_close(writer);
}

static void caseChased(void) {
  int k;
  stepSetUp();
  for (k = 0; k < 2; k++) {
    kind = kinds[k];
    chased(k == 0 ? STRIDE : 5 * STRIDE); /* much of locking is the C library's */
  }
}

/* ---- a writer that replaces a file ------------------------------------------------------------ */

static mmapsync *writerOfChild;

static void writerPrepare(void) {
  warmMake();
  writerOfChild = channelOpenGrace(GRACE_MS);
}
static void writerCall(void) { publish(writerOfChild); }
static void writerAfter(void) { mmapsync_close(writerOfChild); }

/* A channel of two snapshots, of which a reader holds the first. */
static void heldBegin(void) {
  mmapsync *writer = channelOpen();
  channelRemove();
  sequence = 0;
  reader = channelOpenPins(kind);
  publish(writer);
  OK(reader, mmapsync_read(reader, &view));
  publish(writer);
  mmapsync_close(writer);
}
static void heldWhole(void) { CHECK(view.sequence == 1 && payloadWhole(&view)); }
static void heldEnd(void) {
  heldWhole();
  mmapsync_release(reader, &view);
  mmapsync_close(reader);
}

#define STOPS_MOST 4096
static long stops[STOPS_MOST]; /* the instructions after which a file had changed */
static int nstops;

static void replaceStepped(void) {
  static Image image, last;
  mmapsync *other = channelOpenPins(MMAPSYNC_PIN_LOCK); /* changes no file */
  mmapsync_view now;
  uint64_t found = 2;
  long n;
  pid_t pid;

  heldBegin();
  memset(&last, 0, sizeof(last));
  nstops = 0;
  pid = stepStart(writerPrepare, writerCall, writerAfter);
  for (n = 0; step(pid, 1); n++) {
    snprintf(checkAbout, sizeof(checkAbout), "%s, at instruction %ld", kindNames[kind], n);
    heldWhole();
    OK(other, mmapsync_read(other, &now));
    CHECK(payloadWhole(&now) && now.sequence >= found && now.sequence <= 3);
    found = now.sequence;
    mmapsync_release(other, &now);
    if (n % (STRIDE * 4) != 0 && n % STRIDE != 0) continue;
    imageTake(&image);
    if (memcmp(&image, &last, sizeof(image)) == 0) continue;
    CHECK(nstops < STOPS_MOST);
    stops[nstops++] = n + 1;
    last = image;
    imageUse(&image, PATIENT_MS);
  }
  CHECK(n > 100 && nstops >= 10);
  stepEnd(pid);
  sequence = 3;
  HOLDS_NEWEST(other);
  CHECK(fileCount() == 5);
  heldEnd();
  PINS(other, 0, 0);
  mmapsync_close(other);
}

/* The writer is killed after its nth instruction; the next one has no patience either. */
static void replaceKilled(long n) {
  mmapsync *other = channelOpen(), *writer;
  mmapsync_view now;
  pid_t pid;
  int i, status;

  snprintf(checkAbout, sizeof(checkAbout), "%s, killed at instruction %ld", kindNames[kind], n);
  heldBegin();
  HOLDS_NEWEST(other);
  pid = stepStart(writerPrepare, writerCall, writerAfter);
  step(pid, n);
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
  heldWhole();
  OK(other, mmapsync_read(other, &now));
  CHECK(payloadWhole(&now) && (now.sequence == 2 || now.sequence == 3));
  sequence = now.sequence;
  mmapsync_release(other, &now);
  writer = channelOpenGrace(GRACE_MS);
  for (i = 0; i < 4; i++) {
    CHECK(publish(writer) == 0);
    HOLDS_NEWEST(other);
    heldWhole();
    CHECK(fileCount() == 5);
  }
  mmapsync_close(writer);
  heldEnd();
  PINS(other, 0, 0);
  mmapsync_close(other);
}

static void caseReplace(void) {
  int k, i;
  stepSetUp();
  for (k = 0; k < 2; k++) {
    kind = kinds[k];
    replaceStepped();
    /* The writer's path is the same. */
    for (i = 0; i < nstops; i += k == 0 ? 1 : 7) replaceKilled(stops[i]);
  }
  warmRemove();
}

static const CheckCase cases[] = {
    {"attach", caseAttach},
    {"chased", caseChased},
    {"replace", caseReplace},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
