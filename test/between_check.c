#define _GNU_SOURCE
/*
** between_check.c - what others do between two steps of one call.
**
** Most of what the protocol is for happens in a few instructions: a switch between a reader's claim and its last look,
** a file that is replaced while it is mapped.  Where there is a system call at that place, it is made the place: a
** function of the table in sys.c does what another process might do at that moment, and goes on.  (Where there is none,
** slotstep_check.c and its like step there.)
*/
#include "check_peer.h"

#include <sys/file.h>

#include "data.h"
#include "state.h"
#include "sys.h"
#include "version.h"

/* Calls on its way; the nth of them does something. */
static int calls;
static mmapsync *writer; /* another one */
static uint64_t newest;  /* the payload it has published last */

/* Publishes the next payload, ever longer ones, so that what is mapped of the one before is too short. */
static void publishNext(void) {
  newest++;
  PUBLISH(writer, newest, 100 * (size_t)newest, NULL);
}

static void writerStart(uint32_t grace_ms) {
  writer = openWriter(grace_ms);
  newest = 0;
  calls = 0;
  publishNext();
}
static void writerEnd(void) {
  CHECK(sysSet(NULL, NULL) == 0);
  mmapsync_close(writer);
}

/* The version word in the state file, and another one in its place. */
static uint64_t wordGet(void) {
  uint64_t word;
  CHECK(fileGet("_state", &word, sizeof(word)) == sizeof(word));
  return word;
}
static void wordSet(uint64_t word) { filePoke("_state", 0, &word, sizeof(word)); }

static const int allKinds[] = {MMAPSYNC_PIN_SLOT, MMAPSYNC_PIN_LOCK, MMAPSYNC_PIN_COUNTER};

/* ---- a reader by lock, at its claims -------------------------------------------------------------- */

/* What comes before its first claim of a file, and before its second. */
static enum { BEFORE_SWITCH, BEFORE_SWITCH_TWICE, BEFORE_FAILURE, BEFORE_RESET } before;

static int claimMade(int fd, int command, struct flock *lock) {
  if (command == F_OFD_SETLK && lock->l_type == F_RDLCK && lock->l_start >= PAGE_PIN) {
    calls++;
    if (calls == 1 && before == BEFORE_RESET) wordSet(0);
    if (calls == 1 && before != BEFORE_RESET) publishNext();
    if (calls == 2 && before == BEFORE_SWITCH_TWICE) publishNext();
    if (calls == 2 && before == BEFORE_FAILURE) {
      errno = ENOLCK;
      return -1;
    }
  }
  return fcntl(fd, command, lock);
}

static void caseClaims(void) {
  mmapsync *h = openReader(MMAPSYNC_PIN_LOCK);
  mmapsync_view view;
  uint64_t word;
  int round;

  writerStart(0);
  READS(h, 1);
  publishNext();
  READS(h, 2);
  /* One switch, and another one, which leaves it its file. */
  for (before = BEFORE_SWITCH; before <= BEFORE_SWITCH_TWICE; before++) {
    for (round = 0; round < 2; round++) {
      calls = 0;
      sysSet("fcntl", (SysFunction)claimMade);
      OK(h, mmapsync_read(h, &view));
      sysSet(NULL, NULL);
      CHECK(calls >= 2);
      WHOLE(&view, newest);
      publishNext();
      publishNext();
      WHOLE(&view, newest - 2);
      mmapsync_release(h, &view);
      PINS(writer, 0, 0);
      READS(h, newest);
    }
  }
  before = BEFORE_FAILURE;
  calls = 0;
  sysSet("fcntl", (SysFunction)claimMade);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_IOERR,
        "\"%s_writer\": cannot lock: no locks available", checkPath);
  PINS(writer, 0, 0);
  sysSet(NULL, NULL);
  before = BEFORE_RESET;
  for (round = 0; round < 2; round++) { /* with either file the active one */
    publishNext();
    READS(h, newest);
    word = wordGet();
    calls = 0;
    sysSet("fcntl", (SysFunction)claimMade);
    FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
    sysSet(NULL, NULL);
    wordSet(word);
    PINS(writer, 0, 0);
    READS(h, newest);
  }
  mmapsync_close(h);
  writerEnd();
}

/* ---- a channel that is reset ------------------------------------------------------------------------- */

/* By nobody who keeps to the protocol; but readers who were there find nothing published, and then what is. */
static void caseReset(void) {
  int i;
  for (i = 0; i < 3; i++) {
    mmapsync *h = openReader(allKinds[i]);
    mmapsync_view view;
    uint64_t word;
    filesRemove();
    writerStart(GRACE_MS);
    READS(h, 1);
    READS(h, 1);
    word = wordGet();
    wordSet(0);
    FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
    wordSet(word);
    PINS(writer, 0, 0);
    READS(h, 1);
    mmapsync_close(h);
    writerEnd();
  }
}

/* A state file that is made anew at each look, with nothing published. */
static int stateAnew(const char *name, struct stat *st) {
  static const uint64_t nothing[2] = {0, 0};
  if (strcmp(name, fileName("_state")) == 0) {
    calls++;
    CHECK(unlink(name) == 0);
    filePut("_state", nothing, sizeof(nothing));
  }
  return stat(name, st);
}

static void caseStateAnew(void) {
  mmapsync *h = openReader(MMAPSYNC_PIN_AUTO);
  static const uint64_t nothing[2] = {0, 0};
  mmapsync_view view;
  uint64_t version;
  filePut("_state", nothing, sizeof(nothing));
  sysSet("stat", (SysFunction)stateAnew);
  FAILS(h, mmapsync_version(h, &version), MMAPSYNC_EMPTY, "\"%s\": nothing published yet",
        checkPath);
  CHECK(calls == 3);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  CHECK(calls == 6);
  sysSet(NULL, NULL);
  mmapsync_close(h);
}

/* ---- a writer, at its lock --------------------------------------------------------------------------- */

/* What is done to a state file that the writer has found empty, before it has locked it. */
static enum { STATE_FINISHED, STATE_FOREIGN, STATE_EXCHANGED } lockedHow;
static int lockTaken(int fd, int operation) {
  static const uint64_t nothing[2] = {0, 0};
  if (operation != LOCK_UN) {
    sysSet("flock", (SysFunction)NULL);
    if (lockedHow == STATE_FINISHED) writerStart(1000);
    if (lockedHow == STATE_FOREIGN) CHECK(ftruncate(fd, 5) == 0);
    if (lockedHow == STATE_EXCHANGED) {
      fileRemove("_state");
      filePut("_state", nothing, sizeof(nothing));
    }
    if (lockedHow != STATE_FINISHED) sysSet("flock", (SysFunction)lockTaken);
  }
  return flock(fd, operation);
}

static void caseLock(void) {
  mmapsync *h = openWriter(1000);
  mmapsync_result r;

  lockedHow = STATE_FINISHED;
  filePut("_state", "", 0);
  sysSet("flock", (SysFunction)lockTaken);
  PUBLISH(h, 2, 100, &r);
  CHECK(r.sequence == 2);
  READS(h, 2);
  writerEnd();
  mmapsync_close(h);

  channelRemove();
  h = openWriter(1000);
  lockedHow = STATE_FOREIGN;
  filePut("_state", "", 0);
  sysSet("flock", (SysFunction)lockTaken);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_CORRUPT,
        "\"%s_state\": not a state file: expected 16 bytes, found 5", checkPath);
  sysSet(NULL, NULL);
  fileRemove("_state");
  lockedHow = STATE_EXCHANGED;
  sysSet("flock", (SysFunction)lockTaken);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_IOERR,
        "\"%s_state\": removed as often as it was made", checkPath);
  sysSet(NULL, NULL);
  WRITE(h, "x");
  HOLDS(h, "x");
  mmapsync_close(h);
}

/* A state file that is removed before it can be locked, again and again. */
static int removeLocked(int fd, int operation) {
  if (operation != LOCK_UN) fileRemove("_state");
  return flock(fd, operation);
}

static void caseRemovedAlways(void) {
  mmapsync *h = channelOpen();
  sysSet("flock", (SysFunction)removeLocked);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_IOERR,
        "\"%s_state\": removed as often as it was made", checkPath);
  sysSet(NULL, NULL);
  WRITE(h, "x");
  HOLDS(h, "x");
  mmapsync_close(h);
}

/* Another writer makes the state file between our look for it and our making it. */
static int openRaced(const char *name, int flags, mode_t mode) {
  static int raced;
  if ((flags & O_CREAT) && !raced) {
    mmapsync *other;
    raced = 1;
    sysSet("open", (SysFunction)NULL);
    other = channelOpen();
    WRITE(other, "other");
    mmapsync_close(other);
    sysSet("open", (SysFunction)openRaced);
  }
  return open(name, flags, mode);
}

static void caseRacedCreation(void) {
  mmapsync *h = channelOpen();
  mmapsync_result done;
  sysSet("open", (SysFunction)openRaced);
  OK(h, mmapsync_write(h, "ours", 4, &done));
  sysSet(NULL, NULL);
  CHECK(done.sequence == 2);
  HOLDS(h, "ours");
  mmapsync_close(h);
}

/* A file that is there whenever it is to be made, and gone whenever it is to be opened. */
static int openFleeting(const char *name, int flags, mode_t mode) {
  (void)name, (void)mode;
  calls++;
  errno = flags & O_CREAT ? EEXIST : ENOENT;
  return -1;
}

static void caseFleeting(void) {
  mmapsync *h = openWriter(1000);
  sysSet("open", (SysFunction)openFleeting);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_IOERR,
        "\"%s_state\": cannot open: file exists", checkPath);
  CHECK(calls == 32);
  sysSet(NULL, NULL);
  WRITE(h, "x");
  mmapsync_close(h);
}

/* ---- a reader that maps a file ---------------------------------------------------------------------------- */

/* A writer publishes at each of the first three times that a data file is opened; then the reader keeps its claim
** and maps under it, and this comes between. */
static enum {
  MAP_NOTHING,
  MAP_REPLACED,
  MAP_MOVED,   /* and cannot be opened at that moment */
  MAP_WRITING, /* with a write of its own open, of one who takes no lock */
  MAP_STATE,
  MAP_FOREIGN
} mapMeets;

/* A snapshot without a trailer, as a writer of another kind leaves it; it keeps to the readers' other file. */
static void publishForeign(void) {
  size_t words = 100 * (size_t)++newest;
  uint64_t *word = malloc(words * 8), version;
  unsigned index = 1 - versionIndex(wordGet());
  CHECK(word);
  payloadFill(word, newest, words);
  version = versionMake(index, words * 8, newest * 1234567);
  filePut(index ? "_data_1" : "_data_0", word, words * 8);
  wordSet(version);
  free(word);
}

static int mapOpens(const char *name, int flags, mode_t mode) {
  static int within;
  if (!within && strstr(name, "_data_") && (flags & O_ACCMODE) == O_RDONLY) {
    uint64_t state[2];
    within = 1;
    calls++;
    if (mapMeets == MAP_MOVED && (calls == 1 || calls == 4)) {
      publishNext();
      within = 0;
      errno = EIO;
      return -1;
    }
    if (mapMeets == MAP_FOREIGN) {
      if (calls <= 3) publishForeign();
    } else if (calls <= 3) {
      publishNext();
    } else if (calls == 4 && mapMeets == MAP_REPLACED) {
      publishNext();
      publishNext();
    } else if (calls == 4 && mapMeets == MAP_STATE) {
      CHECK(fileGet("_state", state, sizeof(state)) == sizeof(state));
      fileRemove("_state");
      filePut("_state", state, sizeof(state));
    }
    within = 0;
  }
  return open(name, flags, mode);
}

static void caseMaps(void) {
  int kind;
  for (kind = 0; kind < 2; kind++) {
    for (mapMeets = MAP_NOTHING; mapMeets <= MAP_FOREIGN; mapMeets++) {
      int kindOf = mapMeets == MAP_FOREIGN ? MMAPSYNC_PIN_AUTO : safeKinds[kind];
      mmapsync *h = openWith(0, kindOf, MMAPSYNC_LOCK_NONE);
      mmapsync_view view;
      void *data;
      filesRemove();
      snprintf(checkAbout, sizeof(checkAbout), "kind %d, %d", kindOf, (int)mapMeets);
      writerStart(0);
      if (mapMeets == MAP_WRITING) {
        publishNext();
        OK(h, mmapsync_write_begin(h, 80, &data));
        publishNext();
        publishNext();
      }
      sysSet("open", (SysFunction)mapOpens);
      if (mapMeets == MAP_STATE) {
        FAILS(h, mmapsync_read(h, &view), MMAPSYNC_IOERR,
              "\"%s_state\": removed as often as it was made", checkPath);
        OK(h, mmapsync_read(h, &view));
      } else {
        OK(h, mmapsync_read(h, &view));
      }
      CHECK(sysSet(NULL, NULL) == 0 && calls >= 4);
      WHOLE(&view, newest);
      CHECK(view.pin == (uint32_t)(mapMeets == MAP_FOREIGN ? MMAPSYNC_PIN_COUNTER : kindOf));
      if (mapMeets < MAP_STATE) {
        mmapsync_write_abort(h);
        publishNext();
        publishNext();
        WHOLE(&view, newest - 2);
      }
      mmapsync_release(h, &view);
      PINS(h, 0, 0);
      mmapsync_close(h);
      writerEnd();
    }
  }
}

/* ---- comparing and copying what does not stay --------------------------------------------------------------- */

/* The payload of the newest snapshot is no longer what was published. */
static void damageNewest(void) {
  filePoke(versionIndex(wordGet()) ? "_data_1" : "_data_0", 16, "damaged", 7);
}

/* When a view is given up: another damaged snapshot; `same`: the same bytes under the next number but one. */
static int same;
static int viewLeft(int fd, int command, struct flock *lock) {
  static int within;
  if (!within && lock->l_type == F_UNLCK && lock->l_start >= PAGE_PIN) {
    within = 1;
    calls++;
    if (same) {
      PUBLISH(writer, 1, 100, NULL);
      PUBLISH(writer, 2, 100, NULL);
    } else {
      PUBLISH(writer, ++newest, 100, NULL);
    }
    damageNewest();
    within = 0;
  }
  return fcntl(fd, command, lock);
}

static void caseVerify(void) {
  mmapsync *h;
  for (same = 0; same < 2; same++) {
    h = openReader(MMAPSYNC_PIN_LOCK);
    filesRemove();
    writer = openWriter(0);
    PUBLISH(writer, 1, 100, NULL);
    PUBLISH(writer, newest = 2, 100, NULL);
    READS(h, 2);
    damageNewest();
    calls = 0;
    sysSet("fcntl", (SysFunction)viewLeft);
    FAILS(h, mmapsync_verify(h), MMAPSYNC_BUSY,
          "\"%s\": published anew faster than it can be compared", checkPath);
    CHECK(calls >= 8);
    sysSet(NULL, NULL);
    CHECK(mmapsync_verify(h) == MMAPSYNC_CORRUPT);
    CHECK(strstr(mmapsync_errmsg(h), "damaged: expected hash ") != NULL);
    PUBLISH(writer, 9, 100, NULL);
    OK(h, mmapsync_verify(h));
    mmapsync_close(h);
    writerEnd();
  }
}

/* Whenever a copy is about to be made, up to so many times, two publishes take its file; and nobody can pin.  The nth
** look at the state fails. */
static int copyMost, stateFails;
static size_t copyLeast; /* a payload, or a trailer too */
static ssize_t copyReads(int fd, void *to, size_t n, off_t at) {
  static int within;
  if (!within && n == STATE_SIZE && --stateFails == 0) {
    errno = EIO;
    return -1;
  }
  if (!within && n != STATE_SIZE && n >= copyLeast && calls < copyMost) {
    within = 1;
    calls++;
    PUBLISH(writer, ++newest, 100, NULL);
    PUBLISH(writer, ++newest, 100, NULL);
    within = 0;
  }
  return pread(fd, to, n, at);
}
static int locksFail(int fd, int command, struct flock *lock) {
  if (lock->l_type != F_RDLCK) return fcntl(fd, command, lock);
  errno = ENOLCK;
  return -1;
}

static void caseCopies(void) {
  mmapsync *h;
  mmapsync_view view;
  int round;
  for (round = 0; round < 4; round++) {
    copyMost = round == 3 ? 1000 : 4;
    copyLeast = 200;
    stateFails = round == 2 ? 6 : 0; /* when it would have pinned */
    h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 0);
    filesRemove();
    writer = openWriter(0);
    PUBLISH(writer, newest = 1, 100, NULL);
    calls = 0;
    if (round == 1) fileRemove("_writer"); /* where it would have pinned */
    sysSet("pread", (SysFunction)copyReads);
    sysSet("fcntl", (SysFunction)locksFail);
    if (round == 2) {
      FAILS(h, mmapsync_read(h, &view), MMAPSYNC_IOERR,
            "\"%s_state\": cannot read: input/output error", checkPath);
      CHECK(calls == 2);
    } else if (round < 2) {
      OK(h, mmapsync_read(h, &view));
      WHOLE(&view, 9);
      mmapsync_release(h, &view);
      CHECK(calls == 4);
    } else {
      FAILS(h, mmapsync_read(h, &view), MMAPSYNC_BUSY,
            "\"%s\": published anew faster than it can be copied", checkPath);
      CHECK(calls == 32);
    }
    sysSet(NULL, NULL);
    READS(h, newest);
    mmapsync_close(h);
    writerEnd();
  }
}

/* Who only asks for the number needs no pin to be tried again. */
static void caseCopyLooks(void) {
  mmapsync *h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 0);
  uint64_t sequence;
  writerStart(0);
  copyMost = 4;
  copyLeast = TRAILER_SIZE;
  sysSet("pread", (SysFunction)copyReads);
  sysSet("fcntl", (SysFunction)locksFail);
  OK(h, mmapsync_sequence(h, &sequence));
  CHECK(sequence == 9 && calls == 4);
  writerEnd();
  mmapsync_close(h);
}

/* There is no room, and how much was got hold of cannot be told either: the first is said. */
static int fstatLater(int fd, struct stat *out) {
  (void)fd, (void)out;
  errno = EIO;
  return -1;
}
static int reserveNever(int fd, off_t at, off_t n) {
  (void)fd, (void)at, (void)n;
  sysSet("fstat", (SysFunction)fstatLater);
  return ENOSPC;
}

static void caseNoRoomNoLook(void) {
  mmapsync *h = channelOpen();
  void *data;
  WRITE(h, "one");
  WRITE(h, "two");
  sysSet("posix_fallocate", (SysFunction)reserveNever);
  FAILS(h, mmapsync_write_begin(h, 5000, &data), MMAPSYNC_FULL,
        "\"%s_data_0\": no room for 5000 bytes", checkPath);
  sysSet(NULL, NULL);
  HOLDS(h, "two");
  WRITE(h, "three");
  mmapsync_close(h);
}

/* ---- a writer that waits ------------------------------------------------------------------------------------ */

/* Whenever the owner of slot 0 is looked for, it is not there, and its word has changed. */
static int ownerChanges(int fd, int command, struct flock *lock) {
  if (command == F_OFD_GETLK && lock->l_start == 0 && lock->l_len == 1) {
    uint64_t word = (uint64_t)++calls << 2 | 3;
    filePoke("_readers", offsetof(SlotsShared, slot), &word, sizeof(word));
  }
  return fcntl(fd, command, lock);
}

static int progressLeft;
static int progressStops(void *arg) {
  (void)arg;
  return progressLeft-- == 0;
}

static void caseOwner(void) {
  static const uint64_t pinned = 3;
  mmapsync *h;
  mmapsync_options opt;
  mmapsync_result r;
  Peer p;

  writerStart(1000);
  p = peerStart(MMAPSYNC_PIN_SLOT);
  PEER_PINS(&p, 0, 1);
  peerKill(&p);
  mmapsync_options_init(&opt);
  opt.grace_ms = 5;
  opt.progress = progressStops;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  progressLeft = -1;
  filePoke("_readers", offsetof(SlotsShared, slot), &pinned, sizeof(pinned));
  sysSet("fcntl", (SysFunction)ownerChanges);
  PUBLISH(h, 2, 100, &r); /* such a slot is passed over when the grace time is over */
  CHECK(calls > 1 && r.waited_ms >= 5 && !r.replaced && r.held == 0);
  progressLeft = 2;
  FAILS(h, payloadWrite(h, 3, 100, NULL), MMAPSYNC_INTERRUPT, "interrupted");
  sysSet(NULL, NULL);
  progressLeft = -1;
  READS(h, 2);
  PUBLISH(h, 3, 100, &r); /* and when it is still, it is a dead one's */
  FREE(&r);
  PINS(h, 0, 0);
  mmapsync_close(h);
  writerEnd();
}

/* ---- a publish that is looked at ----------------------------------------------------------------------------- */

/* What happens to P_writer at the nth look. */
static enum { LOOK_NAMED, LOOK_RESTLESS, LOOK_FAILS, LOOK_CUT } looked;
static int lookAt;
static ssize_t pageReads(int fd, void *to, size_t n, off_t at) {
  uint32_t turn;
  calls++;
  if (looked == LOOK_RESTLESS || (looked == LOOK_NAMED && calls == lookAt)) {
    turn = 100 + 2 * (uint32_t)calls;
    filePoke("_writer", offsetof(PageShared, turn), &turn, sizeof(turn));
  }
  if (calls == lookAt && looked == LOOK_FAILS) {
    errno = EIO;
    return -1;
  }
  return pread(fd, to, calls == lookAt && looked == LOOK_CUT ? 100 : n, at);
}

static void caseLooks(void) {
  enum { kLarge = 1 << 20 };
  static const char name[] = "prices";
  mmapsync *w = openWriter(1000), *h = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_progress p;
  uint32_t odd = 7, newer[2] = {99, UINT32_MAX};
  void *data;
  int i;

  OK(w, mmapsync_write_begin(w, kLarge, &data));
  filePoke("_writer", offsetof(PageShared, table), name, sizeof(name));
  OK(h, mmapsync_publishing(h, &p));
  CHECK(p.phase == MMAPSYNC_PHASE_WRITING && strcmp(p.table, "prices") == 0);
  sysSet("pread", (SysFunction)pageReads);
  for (lookAt = 2; lookAt <= 3; lookAt++) { /* the first two looks differ: it looks again */
    looked = LOOK_NAMED;
    calls = 0;
    OK(h, mmapsync_publishing(h, &p));
    CHECK(strcmp(p.table, "prices") == 0 && calls == (lookAt == 3 ? 5 : 3));
    looked = LOOK_FAILS;
    calls = 0;
    FAILS(h, mmapsync_publishing(h, &p), MMAPSYNC_IOERR,
          "\"%s_writer\": cannot read: input/output error", checkPath);
    looked = LOOK_CUT; /* as if there was none */
    calls = 0;
    OK(h, mmapsync_publishing(h, &p));
    CHECK(p.phase == MMAPSYNC_PHASE_IDLE && p.pid == 0 && calls == lookAt);
  }
  looked = LOOK_RESTLESS; /* a name that changes all the while is none; all else is told */
  calls = 0;
  OK(h, mmapsync_publishing(h, &p));
  CHECK(p.phase == MMAPSYNC_PHASE_WRITING && p.table[0] == 0 && calls == 9);
  sysSet(NULL, NULL);
  filePoke("_writer", offsetof(PageShared, turn), &odd, sizeof(odd));
  OK(h, mmapsync_publishing(h, &p)); /* likewise of a writer that was stopped while it changes */
  CHECK(p.phase == MMAPSYNC_PHASE_WRITING && p.table[0] == 0 && p.pid == (uint32_t)getpid());
  for (i = 0; i < 2; i++) { /* a phase of a newer build is one in which it writes */
    filePoke("_writer", offsetof(PageShared, phase), &newer[i], sizeof(newer[i]));
    OK(h, mmapsync_publishing(h, &p));
    CHECK(p.phase == MMAPSYNC_PHASE_WRITING);
  }
  OK(w, mmapsync_write_commit(w, 10, MMAPSYNC_KIND_RAW, NULL));
  mmapsync_close(h);
  mmapsync_close(w);
}

/* ---- a new file --------------------------------------------------------------------------------------------------- */

/* A write that must replace a file is open. */
static void replaceBegin(mmapsync *w, mmapsync *h, mmapsync_view *view) {
  void *data;
  filePut("_data_0_new", "left here by somebody else", 26);
  PUBLISH(w, 1, 100, NULL);
  OK(h, mmapsync_read(h, view));
  PUBLISH(w, 2, 100, NULL);
  OK(w, mmapsync_write_begin(w, 100, &data));
  memset(data, 'x', 100);
  CHECK(fileSize("_data_0_new") > 0);
}

static int unlinkFails(const char *name) {
  (void)name;
  errno = EIO;
  return -1;
}

static void caseNew(void) {
  int i;
  for (i = 0; i < 3; i++) {
    mmapsync *w = openWriter(0), *h = openReader(MMAPSYNC_PIN_SLOT), *next;
    mmapsync_view view;
    PageShared *page;
    filesRemove();
    replaceBegin(w, h, &view);
    page = pageNow(PROT_READ);
    if (i == 0) { /* somebody removes it before it has a name */
      fileRemove("_data_0_new");
      FAILS(w, mmapsync_write_commit(w, 100, MMAPSYNC_KIND_RAW, NULL), MMAPSYNC_CANTOPEN,
            "\"%s_data_0_new\": no such file", checkPath);
      CHECK(atomic_load(&page->started_ns) == 0);
    } else if (i == 1) { /* or before it is given up */
      fileRemove("_data_0_new");
      mmapsync_write_abort(w);
      CHECK(atomic_load(&page->started_ns) == 0);
    } else { /* it cannot be removed: the next writer has to do it */
      sysSet("unlink", (SysFunction)unlinkFails);
      mmapsync_write_abort(w);
      sysSet(NULL, NULL);
      CHECK(fileSize("_data_0_new") > 0 && atomic_load(&page->started_ns) != 0);
    }
    WHOLE(&view, 1);
    mmapsync_release(h, &view);
    next = openWriter(0);
    PUBLISH(next, 3, 100, NULL);
    CHECK(fileSize("_data_0_new") == -1 && atomic_load(&page->started_ns) == 0);
    READS(h, 3);
    munmap(page, PAGE_SIZE_BYTES);
    mmapsync_close(next);
    mmapsync_close(h);
    mmapsync_close(w);
  }
}

static const CheckCase cases[] = {
    {"claims", caseClaims},
    {"reset", caseReset},
    {"state-anew", caseStateAnew},
    {"no-room-no-look", caseNoRoomNoLook},
    {"removed-always", caseRemovedAlways},
    {"raced-creation", caseRacedCreation},
    {"lock", caseLock},
    {"fleeting", caseFleeting},
    {"maps", caseMaps},
    {"verify", caseVerify},
    {"copies", caseCopies},
    {"copy-looks", caseCopyLooks},
    {"owner", caseOwner},
    {"looks", caseLooks},
    {"new", caseNew},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
