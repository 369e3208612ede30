#define _GNU_SOURCE
/*
** hostile_check.c - a channel whose files somebody else stores to, or cuts short, all the time (check_hostile.h).
**
** Whatever he stores, a reader gets answers or a code, and stays within what it has mapped: the guard behind a mapping
** (data.h) is taken away here, so that a look there kills.  Whatever he cuts off, a reader by copies gets the right
** bytes or a code, a publisher who does not trust readers publishes, and neither gets a signal.  Every case lasts for
** less than a second, and shows its seed if it fails; MMAPSYNC_SEED makes it begin with that.
*/
#include "check_damage.h"
#include "check_hostile.h"
#include "check_peer.h"

#include "data.h"
#include "sys.h"

#define SECONDS 0.6

static Hostile hostile;
static pid_t hostilePid;

/* Starts one who does harm to the files of these endings. */
static void hostileStart(int cut, const char *const *endings) {
  pid_t parent = getpid();
  hostile.n = 0;
  hostile.seed = hostileSeed();
  snprintf(checkAbout, sizeof(checkAbout), "seed %llu", (unsigned long long)hostile.seed);
  for (; *endings; endings++) CHECK(hostileOpen(&hostile, fileName(*endings)) == 0);
  fflush(stdout);
  hostilePid = fork();
  CHECK(hostilePid >= 0);
  if (hostilePid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(hostileRun(&hostile, cut, hostileNow() + 100, parent) != 0);
  }
}

static void hostileEnd(void) {
  int i;
  CHECK(kill(hostilePid, SIGKILL) == 0 && waitpid(hostilePid, NULL, 0) == hostilePid);
  for (i = 0; i < hostile.n; i++) {
    CHECK(hostilePutBack(&hostile, i));
    close(hostile.file[i].fd);
    free(hostile.file[i].good);
  }
}

/* In place of mmap(): what is mapped over zeros for a reader has no zeros behind it. */
static void *mapBare(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  void *base = mmap(p, n, prot, flags, fd, at);
  if (base != MAP_FAILED && flags & MAP_FIXED) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (n + page - 1) / page * page;
    CHECK(mprotect((char *)base + whole, page, PROT_NONE) == 0);
  }
  return base;
}

/* What may come of damage. */
static int harm(int rc) {
  return rc == MMAPSYNC_EMPTY || rc == MMAPSYNC_BUSY || rc == MMAPSYNC_CORRUPT ||
         rc == MMAPSYNC_CANTOPEN || rc == MMAPSYNC_IOERR || rc == MMAPSYNC_FULL;
}
#define HARMLESS(call)                                                                             \
  do {                                                                                             \
    int rc_ = (call);                                                                              \
    if (rc_ != MMAPSYNC_OK && !harm(rc_)) checkFail(__LINE__, "%s: code %d", #call, rc_);          \
  } while (0)

/* Everything that a handle can be asked, but for the snapshot itself. */
static void askAround(mmapsync *h) {
  mmapsync_reader readers[4];
  mmapsync_progress progress;
  uint32_t counters[2];
  uint64_t x;
  size_t n;
  int rc;
  HARMLESS(mmapsync_version(h, &x));
  HARMLESS(mmapsync_sequence(h, &x));
  HARMLESS(mmapsync_counters(h, counters));
  HARMLESS(mmapsync_readers(h, readers, 4, &n));
  HARMLESS(mmapsync_publishing(h, &progress));
  HARMLESS(mmapsync_verify(h));
  rc = mmapsync_wait(h, UINT64_MAX, 0, &x);
  if (rc != MMAPSYNC_TIMEOUT) HARMLESS(rc);
}

/* ---- scribbling ----------------------------------------------------------------------------------- */

/* Reads in every way there is while somebody scribbles.  How often a snapshot was had. */
static unsigned scribbledReads(const int *kinds, int nkinds) {
  double end = hostileNow() + SECONDS;
  unsigned reads = 0, turn;
  CHECK(sysSet("mmap", (SysFunction)mapBare) == 0);
  for (turn = 0; hostileNow() < end; turn++) {
    mmapsync *h = openTrust(turn % 4 == 3 ? MMAPSYNC_TRUST_COPY : MMAPSYNC_TRUST_MAP,
                            kinds[turn % (unsigned)nkinds], MMAPSYNC_LOCK_WRITE, 5);
    int i;
    for (i = 0; i < 8; i++) {
      mmapsync_view view;
      int rc = mmapsync_read(h, &view);
      if (rc != MMAPSYNC_OK) {
        if (!harm(rc)) checkFail(__LINE__, "read: code %d, %s", rc, mmapsync_errmsg(h));
        continue;
      }
      reads++;
      if (view.kind == MMAPSYNC_KIND_IMAGE) {
        (void)readImage(h, &view);
      } else {
        readBytes(view.data, view.size < 4096 ? view.size : 4096);
      }
      mmapsync_release(h, &view);
    }
    askAround(h);
    mmapsync_close(h);
  }
  CHECK(sysSet(NULL, NULL) == 0);
  return reads;
}

static const int everyKind[] = {MMAPSYNC_PIN_AUTO, MMAPSYNC_PIN_SLOT, MMAPSYNC_PIN_LOCK,
                                MMAPSYNC_PIN_COUNTER};

/* An image that changes while it is read. */
static void caseScribbleData(void) {
  static const char *const endings[] = {"_data_0", NULL};
  mmapsync *h = channelOpen();
  goodBuild(h);
  mmapsync_close(h);
  hostileStart(0, endings);
  CHECK(scribbledReads(everyKind, 4) > 10);
  hostileEnd();
  goodFree();
}

/* A channel of which nothing stands still. */
static void caseScribbleAll(void) {
  static const char *const endings[] = {"_state",  "_writer", "_readers",
                                        "_data_0", "_data_1", NULL};
  mmapsync *h = channelOpen(), *r = channelOpenPins(MMAPSYNC_PIN_SLOT);
  goodBuild(h);
  goodFree();
  goodBuild(h);
  goodFree();
  OK(r, mmapsync_verify(r));
  mmapsync_close(r);
  mmapsync_close(h);
  hostileStart(0, endings);
  (void)scribbledReads(everyKind, 4);
  hostileEnd();
}

/* Only what every reader may write: publishers publish, in time, and who pins by lock, or reads copies, sees whole
** snapshots. */
static void scribbleReaders(int trust, int lock) {
  static const char *const endings[] = {"_readers", NULL};
  mmapsync *w = openTrust(trust, MMAPSYNC_PIN_AUTO, lock, 2),
           *s = channelOpenPins(MMAPSYNC_PIN_SLOT);
  mmapsync *r[2];
  double end;
  uint64_t n = 1;

  r[0] = openTrust(MMAPSYNC_TRUST_MAP, MMAPSYNC_PIN_LOCK, MMAPSYNC_LOCK_WRITE, 5);
  r[1] = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  PUBLISH(w, n, 1000, NULL);
  READS(s, n);
  hostileStart(0, endings);
  for (end = hostileNow() + SECONDS / 2; hostileNow() < end;) {
    mmapsync_view view;
    n++;
    PUBLISH(w, n, 1000 + n % 100, NULL);
    OK(r[n % 2], mmapsync_read(r[n % 2], &view));
    WHOLE(&view, n);
    mmapsync_release(r[n % 2], &view);
    HARMLESS(mmapsync_read(s, &view)); /* its pins can be voided: it is asked only not to die */
    mmapsync_release(s, &view);
    if (n % 16 == 0) {
      mmapsync_close(s);
      s = channelOpenPins(MMAPSYNC_PIN_AUTO);
    }
  }
  CHECK(n > 3);
  hostileEnd();
  mmapsync_close(s);
  mmapsync_close(r[0]);
  mmapsync_close(r[1]);
  mmapsync_close(w);
  channelRemove();
}
static void caseScribbleReaders(void) {
  scribbleReaders(MMAPSYNC_TRUST_MAP, MMAPSYNC_LOCK_WRITE);
  scribbleReaders(MMAPSYNC_TRUST_MAP, MMAPSYNC_LOCK_HOLD);
  scribbleReaders(MMAPSYNC_TRUST_COPY, MMAPSYNC_LOCK_WRITE);
  scribbleReaders(MMAPSYNC_TRUST_COPY, MMAPSYNC_LOCK_HOLD);
}

/* Who looks for a NUL that was taken away finds one behind the mapping. */
static void caseGuard(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), length, i;
  int trust;
  for (trust = MMAPSYNC_TRUST_MAP; trust <= MMAPSYNC_TRUST_COPY; trust++) {
    mmapsync *w = channelOpen(), *h = openTrust(trust, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
    mmapsync_view view;
    uint8_t *bytes = malloc(4 * page);
    const char *z;
    memset(bytes, 'x', 4 * page);
    OK(w, mmapsync_write(w, bytes, 3 * page - 100, NULL));
    OK(h, mmapsync_read(h, &view));
    length = trust == MMAPSYNC_TRUST_MAP ? 3 * page : view.size;
    filePoke("_data_0", 0, bytes, 3 * page); /* over the trailer, to the page's end */
    z = view.data;
    CHECK(strlen(z) == length && strlen(z + page) == length - page);
    for (i = length; i < (length + page - 1) / page * page + page; i++) CHECK(z[i] == 0);
    mmapsync_release(h, &view);
    free(bytes);
    mmapsync_close(h);
    mmapsync_close(w);
    channelRemove();
  }
}

/* One who changes what tells that a file was replaced at the worst moment, each time: nobody gets in, and nobody waits
** for ever. */
static PageShared *restlessPage;
static int restlessFstat(int fd, struct stat *out) {
  atomic_fetch_add(&restlessPage->replaced[0], 2);
  atomic_fetch_add(&restlessPage->replaced[1], 2);
  return fstat(fd, out);
}
static void restless(int kind) {
  mmapsync *w = channelOpen(), *h = channelOpenPins(kind);
  mmapsync_view view;
  PUBLISH(w, 1, 100, NULL);
  restlessPage = pageNow(PROT_READ | PROT_WRITE);
  CHECK(sysSet("fstat", (SysFunction)restlessFstat) == 0);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_BUSY, "\"%s\": changes faster than it can be read",
        checkPath);
  CHECK(sysSet(NULL, NULL) == 0);
  READS(h, 1);
  PINS(w, 0, 0);
  munmap(restlessPage, PAGE_SIZE_BYTES);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseRestless(void) { eachKind(restless); }

/* ---- cutting -------------------------------------------------------------------------------------- */

/* All files, under a reader by copies. */
static void caseCutCopy(void) {
  static const char *const endings[] = {"_state",  "_writer", "_readers",
                                        "_data_0", "_data_1", NULL};
  mmapsync *w = channelOpen(), *h, *held;
  mmapsync_view kept, view;
  unsigned good_ = 0, bad = 0;
  double end;

  PUBLISH(w, 1, 5000, NULL);
  PUBLISH(w, 2, 40000, NULL);
  mmapsync_close(w);
  held = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  OK(held, mmapsync_read(held, &kept));
  CHECK(kept.pin == MMAPSYNC_PIN_AUTO && kept.switched);
  hostileStart(1, endings);
  h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  for (end = hostileNow() + SECONDS;
       hostileNow() < end || ((good_ == 0 || bad == 0) && hostileNow() < end + 20);) {
    int rc = mmapsync_read(h, &view);
    if (rc == MMAPSYNC_OK) {
      WHOLE(&view, 2);
      good_++;
    } else {
      HARMLESS(rc);
      bad++;
    }
    mmapsync_release(h, &view);
    askAround(h); /* verify makes it copy anew */
    WHOLE(&kept, 2);
  }
  CHECK(good_ > 0 && bad > 0);
  hostileEnd();
  mmapsync_release(held, &kept);
  READS(h, 2);
  mmapsync_close(h);
  mmapsync_close(held);
}

/* P_readers, which every reader may write to, under a publisher who does not trust them. */
static void cutReaders(int lock) {
  static const char *const endings[] = {"_readers", NULL};
  mmapsync *w = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, lock, 2), *r;
  double end;
  uint64_t n = 1;
  PUBLISH(w, n, 1000, NULL);
  hostileStart(1, endings);
  r = openTrust(MMAPSYNC_TRUST_MAP, MMAPSYNC_PIN_LOCK, MMAPSYNC_LOCK_WRITE, 2);
  for (end = hostileNow() + SECONDS / 2; hostileNow() < end;) {
    n++;
    PUBLISH(w, n, 1000 + n % 100, NULL);
    READS(r, n);
  }
  CHECK(n > 10);
  hostileEnd();
  mmapsync_close(r);
  mmapsync_close(w);
  channelRemove();
}
static void caseCutReaders(void) {
  cutReaders(MMAPSYNC_LOCK_WRITE);
  cutReaders(MMAPSYNC_LOCK_HOLD);
}

/* What is promised of mapped files is only this: the signal is what there is. */
static void caseCutMapped(void) {
  mmapsync *w = channelOpen();
  pid_t pid;
  int status;
  PUBLISH(w, 1, 5000, NULL);
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    mmapsync *r = channelOpen();
    mmapsync_view view;
    signal(SIGBUS, SIG_DFL); /* not a sanitizer's */
    if (mmapsync_read(r, &view) != MMAPSYNC_OK || truncate(fileName("_data_0"), 0) != 0) _exit(1);
    readBytes(view.data, view.size);
    _exit(2);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
  mmapsync_close(w);
}

/* ---- what a publisher who does not trust readers still sees --------------------------------------- */

/* In place of pread(): of many slots at once the notes are not had, but those of long ago. */
static ssize_t tornRead(int fd, void *to, size_t n, off_t at) {
  ssize_t got = pread(fd, to, n, at);
  size_t i;
  if (n > SLOT_SIZE) {
    for (i = 0; (ssize_t)((i + 1) * SLOT_SIZE) <= got; i++) {
      ((uint8_t *)to)[i * SLOT_SIZE] &= SLOT_MASK;
      memset((uint8_t *)to + i * SLOT_SIZE + 1, 0, 7);
    }
  }
  return got;
}

/* Readers by slot are waited for, and left their file, though the publisher does not map P_readers; dead ones
** cost nothing, and sleepers are woken. */
static void caseApart(void) {
  mmapsync *w = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 20);
  mmapsync_reader readers[80];
  mmapsync_result result;
  mmapsync *many[70];
  size_t n, i;
  Peer p, q;

  PUBLISH(w, 1, 100, NULL);
  CHECK(fileMode("_state") == 0640 && fileMode("_readers") == 0660);
  for (i = 0; i < 70; i++) { /* more slots than are read at once */
    many[i] = channelOpenPins(MMAPSYNC_PIN_SLOT);
    READS(many[i], 1);
  }
  p = peerStart(MMAPSYNC_PIN_SLOT);
  PEER_PINS(&p, 0, 1);
  OK(w, mmapsync_readers(w, readers, 80, &n));
  CHECK(n == 71 && readers[70].pins[0] == 1 && readers[70].alive);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &result);
  CHECK(result.replaced == 1 && result.held == 1);
  PEER_HOLDS(&p, 0);
  for (i = 4; i < 9; i++) {
    PUBLISH(w, i, 100, &result);
    CHECK(result.replaced == 0 && result.held == 0);
  }
  PEER_HOLDS(&p, 0);
  /* A dead one's pin. */
  q = peerStart(MMAPSYNC_PIN_SLOT);
  PEER_PINS(&q, 0, 8);
  peerKill(&q);
  for (i = 9; i < 12; i++) {
    PUBLISH(w, i, 100, &result);
    CHECK(result.replaced == 0 && result.waited_ms == 0);
  }
  PEER_HOLDS(&p, 0);
  /* A word that comes out with bytes of an older note: it is read again before it is believed. */
  q = peerStart(MMAPSYNC_PIN_SLOT);
  PEER_PINS(&q, 0, 11);
  PUBLISH(w, 12, 100, NULL);
  CHECK(sysSet("pread", (SysFunction)tornRead) == 0);
  PUBLISH(w, 13, 100, &result);
  CHECK(sysSet(NULL, NULL) == 0);
  CHECK(result.replaced == 1 && result.held == 1);
  PEER_HOLDS(&q, 0);
  PEER_RELEASES(&q, 0);
  peerEnd(&q);
  PEER_RELEASES(&p, 0);
  peerEnd(&p);
  for (i = 0; i < 70; i++) mmapsync_close(many[i]);
  mmapsync_close(w);
}

/* P_readers that was cut short: by a publisher who does not map it it is mended, or told of, whatever it is asked. */
static int fstatLeft; /* looks before the one that counts */
static long fstatCut; /* what P_readers is cut to then; -1: the look fails */
static int fstatHarmed(int fd, struct stat *out) {
  struct stat readers;
  if (fstatCut >= 0 && fstat(fd, out) == 0 &&
      (stat(fileName("_readers"), &readers) != 0 || readers.st_ino != out->st_ino)) {
    return 0; /* another file */
  }
  if (fstatLeft-- != 0) return fstat(fd, out);
  errno = EIO;
  return fstatCut < 0 ? -1 : ftruncate(fd, fstatCut) == 0 ? fstat(fd, out) : -1;
}
static void caseApartShort(void) {
  static const size_t sizes[] = {1, 63, 64, 127, 128, 1000};
  static const uint8_t zeros[1000];
  mmapsync_reader readers[4];
  size_t n;
  int i, rc;
  for (i = 0; i < COUNT_OF(sizes); i++) {
    mmapsync *w = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5), *r;
    snprintf(checkAbout, sizeof(checkAbout), "%zu bytes", sizes[i]);
    filePut("_readers", zeros, sizes[i]);
    PUBLISH(w, 1, 100, NULL);
    r = channelOpenPins(MMAPSYNC_PIN_SLOT);
    READS(r, 1);
    OK(w, mmapsync_readers(w, readers, 4, &n));
    CHECK(n == 1 && readers[0].kind == MMAPSYNC_PIN_SLOT && readers[0].alive);
    mmapsync_close(r);
    mmapsync_close(w);
    filePut("_readers", zeros, sizes[i]); /* and who only looks */
    r = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
    rc = mmapsync_readers(r, readers, 4, &n);
    if (sizes[i] < 128) {
      FAILS(r, rc, MMAPSYNC_CORRUPT, "\"%s_readers\": expected at least 128 bytes, found %zu",
            checkPath, sizes[i]);
    } else {
      CHECK(rc == MMAPSYNC_CORRUPT && strstr(mmapsync_errmsg(r), "_readers\": ") != NULL);
    }
    mmapsync_close(r);
    channelRemove();
  }
  /* At any look of the first publish; and a look that fails.  The next one is whole. */
  for (fstatCut = -1; fstatCut <= 64; fstatCut += fstatCut < 0 ? 2 : 63) {
    for (i = 0, fstatLeft = -1; fstatLeft < 0; i++) {
      mmapsync *w = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
      snprintf(checkAbout, sizeof(checkAbout), "look %d, %ld", i, fstatCut);
      fstatLeft = i;
      CHECK(sysSet("fstat", (SysFunction)fstatHarmed) == 0);
      rc = payloadWrite(w, 1, 100, NULL);
      CHECK(sysSet(NULL, NULL) == 0);
      if (fstatCut >= 0) OK(w, rc);
      if (fstatCut < 0) HARMLESS(rc);
      CHECK(fileSize("_readers") < 64 || slotsEver() <= fileSize("_readers") / SLOT_SIZE);
      PUBLISH(w, 2, 100, NULL);
      READS(w, 2);
      mmapsync_close(w);
      channelRemove();
    }
    CHECK(i > 3);
  }
}

/* Nothing published, as who reads copies is told. */
static void caseCopyEmpty(void) {
  static const uint64_t nothing[2];
  mmapsync *h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  mmapsync_view view;
  uint32_t counters[2];
  uint64_t x;
  filePut("_state", nothing, sizeof(nothing));
  FAILS(h, mmapsync_version(h, &x), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  FAILS(h, mmapsync_sequence(h, &x), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  FAILS(h, mmapsync_counters(h, counters), MMAPSYNC_EMPTY, "\"%s\": nothing published yet",
        checkPath);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  fileRemove("_state");
  FAILS(h, mmapsync_counters(h, counters), MMAPSYNC_EMPTY, "\"%s\": nothing published yet",
        checkPath);
  mmapsync_close(h);
}

/* Pages of memory that this process has, touched or not. */
static long memoryPages(void) {
  long n = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  CHECK(f && fscanf(f, "%ld", &n) == 1);
  fclose(f);
  return n;
}

/* A copy takes the memory of the one before, or gives it back: of whatever size, in use or not. */
static void caseCopyMemory(void) {
  static const size_t words[] = {0, 1, 5000, 4000, 100, 200000, 0, 30000};
  mmapsync *w = channelOpenGrace(1000);
  mmapsync *h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  mmapsync_view view, held = {.map = NULL};
  long pages = 0;
  int i;
  for (i = 0; i < 408; i++) {
    size_t n = words[i % COUNT_OF(words)];
    if (n == 0) {
      OK(w, mmapsync_write(w, "", 0, NULL));
    } else {
      PUBLISH(w, (uint64_t)i + 1, n, NULL);
    }
    OK(h, mmapsync_read(h, &view));
    CHECK(view.size == n * 8);
    if (n) WHOLE(&view, i + 1);
    if (i % 3 == 0) {
      mmapsync_release(h, &held);
      held = view;
    } else {
      mmapsync_release(h, &view);
    }
    if (i == 95) pages = memoryPages();
  }
  /* At the same place of sizes and views, 39 rounds later; each empty snapshot has a page.  (Sanitizers keep what was
  ** given back.) */
  if (!CHECK_SANITIZED) CHECK(memoryPages() < pages + 39);
  mmapsync_release(h, &held);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* A copy follows what is published, and its views stay. */
static void caseCopyFollows(void) {
  mmapsync *w = channelOpenGrace(1000);
  mmapsync *h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  mmapsync_options opt;
  mmapsync_result result;
  mmapsync_view view[6], again;
  uint64_t i;

  FAILS(h, mmapsync_read(h, &view[0]), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  for (i = 0; i < 6; i++) {
    PUBLISH(w, i + 1, 1000 * (i + 1), &result);
    FREE(&result); /* it is in nobody's way */
    OK(h, mmapsync_read(h, &view[i]));
    CHECK(view[i].switched && view[i].sequence == i + 1);
    OK(h, mmapsync_read(h, &again));
    CHECK(!again.switched && again.data == view[i].data);
    mmapsync_release(h, &again);
    PINS(w, 0, 0);
  }
  for (i = 0; i < 6; i++) {
    WHOLE(&view[i], i + 1);
    mmapsync_release(h, &view[i]);
  }
  /* An empty payload; and there and back. */
  OK(w, mmapsync_write(w, "", 0, NULL));
  OK(h, mmapsync_read(h, &view[0]));
  CHECK(view[0].size == 0 && view[0].data);
  opt = *mmapsync_options_of(h);
  opt.trust = MMAPSYNC_TRUST_MAP;
  OK(h, mmapsync_configure(h, &opt));
  PUBLISH(w, 8, 10, NULL);
  READS(h, 8);
  mmapsync_release(h, &view[0]);
  opt.trust = MMAPSYNC_TRUST_COPY;
  OK(h, mmapsync_configure(h, &opt));
  READS(h, 8);
  opt.trust = 2;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE, "option trust: expected 0 or 1, found 2");
  mmapsync_close(h);
  mmapsync_close(w);
}

/* A writer that publishes twice whenever a payload begins to be copied.  A pin makes it leave the file alone. */
static mmapsync *busyWriter;
static uint64_t busyNumber;
static ssize_t busyRead(int fd, void *to, size_t n, off_t at) {
  if (n > 4096) {
    busyNumber += 2;
    PUBLISH(busyWriter, busyNumber - 1, 2000, NULL);
    PUBLISH(busyWriter, busyNumber, 2000, NULL);
  }
  return pread(fd, to, n, at);
}
static void copyBusy(int lock) {
  mmapsync *h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  mmapsync_view view;
  uint64_t before;
  busyWriter = openWith(0, MMAPSYNC_PIN_AUTO, lock);
  busyNumber = 2;
  PUBLISH(busyWriter, 1, 2000, NULL);
  PUBLISH(busyWriter, 2, 2000, NULL);
  CHECK(sysSet("pread", (SysFunction)busyRead) == 0);
  before = busyNumber;
  OK(h, mmapsync_read(h, &view));
  CHECK(busyNumber > before + 4); /* not at once */
  WHOLE(&view, view.sequence);
  CHECK(sysSet(NULL, NULL) == 0);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  mmapsync_close(busyWriter);
  channelRemove();
}
static void caseCopyBusy(void) {
  copyBusy(MMAPSYNC_LOCK_WRITE);
  copyBusy(MMAPSYNC_LOCK_HOLD);
}

/* Of a large copy options.progress is asked, and can end it. */
static int copyAsked;
static int copyStops(void *arg) {
  copyAsked++;
  return *(int *)arg;
}
static void caseCopyStopped(void) {
  mmapsync *w = channelOpen(), *h;
  mmapsync_options opt;
  mmapsync_view view;
  int stop = 1;
  PUBLISH(w, 1, 5 << 19, NULL); /* 20 MiB */
  mmapsync_options_init(&opt);
  opt.trust = MMAPSYNC_TRUST_COPY;
  opt.progress = copyStops;
  opt.progress_arg = &stop;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_INTERRUPT, "interrupted");
  CHECK(copyAsked == 1);
  stop = 0;
  READS(h, 1);
  CHECK(copyAsked == 2);
  READS(h, 1);
  CHECK(copyAsked == 2);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* ---- sentences ------------------------------------------------------------------------------------ */

static void caseCopySentences(void) {
  mmapsync *w = channelOpen();
  mmapsync *h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 5);
  mmapsync_view view;
  uint64_t words[1000];
  size_t n;

  PUBLISH(w, 1, 1000, NULL);
  n = fileGet("_data_0", words, sizeof(words));
  CHECK(n == 8000);
  words[500]++;
  filePoke("_data_0", 0, words, n);
  CHECK(mmapsync_read(h, &view) == MMAPSYNC_CORRUPT);
  CHECK(strstr(mmapsync_errmsg(h), "_data_0\": damaged: expected hash ") != NULL);
  CHECK(mmapsync_verify(h) == MMAPSYNC_CORRUPT);
  words[500]--;
  filePoke("_data_0", 0, words, n);
  READS(h, 1);
  filePoke("_data_0", 8000, "x", 1);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT,
        "\"%s_data_0\": no valid trailer: only a snapshot with its hash can be copied", checkPath);
  CHECK(truncate(fileName("_data_0"), 8010) == 0); /* which ends in the midst of it */
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT,
        "\"%s_data_0\": no valid trailer: only a snapshot with its hash can be copied", checkPath);
  CHECK(truncate(fileName("_data_0"), 7999) == 0);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT,
        "\"%s_data_0\": expected at least 8000 bytes, found 7999", checkPath);
  CHECK(truncate(fileName("_state"), 15) == 0);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT,
        "\"%s_state\": not a state file: expected 16 bytes, found 15", checkPath);
  CHECK(truncate(fileName("_state"), 17) == 0);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT,
        "\"%s_state\": not a state file: expected 16 bytes, found 17", checkPath);
  CHECK(truncate(fileName("_state"), 0) == 0);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  mmapsync_close(w);
  channelRemove();
  w = channelOpen();
  PUBLISH(w, 2, 1000, NULL);
  READS(h, 2);
  fileRemove("_data_0");
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CANTOPEN,
        "\"%s_data_0\": missing, but the state says it is in use", checkPath);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Where the file system does not tell how much is there, and for one of which enough is, it is not held against it. */
static int fstatNoBlocks(int fd, struct stat *out) {
  int rc = fstat(fd, out);
  out->st_blocks = 0;
  return rc;
}

static void caseHolesFew(void) {
  static const size_t size = (size_t)70 << 20;
  static const uint8_t some[4096] = {1};
  uint64_t version = (uint64_t)size << 1;
  TrailerShared shared;
  Trailer t = {.kind = MMAPSYNC_KIND_IMAGE, .version = version, .sequence = 1};
  mmapsync *w = channelOpen(), *h;
  mmapsync_view view;
  mmapsync_image *image;
  int i, page;
  PUBLISH(w, 1, 10, NULL);
  mmapsync_close(w);
  trailerStore(&shared, &t);
  CHECK(truncate(fileName("_data_0"), (off_t)trailerEnd(size)) == 0);
  filePoke("_data_0", (off_t)trailerAt(size), &shared, sizeof(shared));
  filePoke("_state", 0, &version, sizeof(version));
  for (i = 0; i < 2; i++) {
    if (i == 0) sysSet("fstat", (SysFunction)fstatNoBlocks);
    for (page = 0; i && page < 400; page++) filePoke("_data_0", page * 4096, some, sizeof(some));
    h = channelOpen();
    OK(h, mmapsync_read(h, &view));
    sysSet(NULL, NULL);
    FAILS(h, mmapsync_image_open(h, &view, &image), MMAPSYNC_CORRUPT,
          "\"%s\": damaged table image: no magic", checkPath);
    mmapsync_release(h, &view);
    mmapsync_close(h);
  }
}

/* A file of which almost nothing is there claims any size: nothing is allocated by that. */
static void caseHoles(void) {
  static const size_t size = (size_t)1 << 36;
  mmapsync *w = channelOpen(), *h[2];
  int i;
  PUBLISH(w, 1, 10, NULL);
  mmapsync_close(w);
  for (i = 0; i < 2; i++) {
    mmapsync_view view;
    mmapsync_image *image;
    uint64_t words[8] = {0}, version = (uint64_t)size << 1;
    TrailerShared shared;
    Trailer t = {.kind = MMAPSYNC_KIND_IMAGE, .version = version, .sequence = 1};
    h[i] = openTrust(i, MMAPSYNC_PIN_LOCK, MMAPSYNC_LOCK_WRITE, 5);
    trailerStore(&shared, &t);
    CHECK(truncate(fileName("_data_0"), (off_t)trailerEnd(size)) == 0);
    filePoke("_data_0", (off_t)trailerAt(size), &shared, sizeof(shared));
    filePoke("_data_0", 0, words, sizeof(words));
    filePoke("_state", 0, &version, sizeof(version));
    if (i == MMAPSYNC_TRUST_COPY) {
      FAILS(h[i], mmapsync_read(h[i], &view), MMAPSYNC_CORRUPT,
            "\"%s_data_0\": damaged: mostly holes", checkPath);
    } else {
      OK(h[i], mmapsync_read(h[i], &view));
      FAILS(h[i], mmapsync_image_open(h[i], &view, &image), MMAPSYNC_CORRUPT,
            "\"%s\": damaged table image: its file is mostly holes", checkPath);
      mmapsync_release(h[i], &view);
    }
    mmapsync_close(h[i]);
  }
}

int main(int argc, char **argv) {
  static const CheckCase cases[] = {{"scribble-data", caseScribbleData},
                                    {"scribble-all", caseScribbleAll},
                                    {"scribble-readers", caseScribbleReaders},
                                    {"guard", caseGuard},
                                    {"restless", caseRestless},
                                    {"cut-copy", caseCutCopy},
                                    {"cut-readers", caseCutReaders},
                                    {"cut-mapped", caseCutMapped},
                                    {"apart", caseApart},
                                    {"apart-short", caseApartShort},
                                    {"copy-empty", caseCopyEmpty},
                                    {"copy-follows", caseCopyFollows},
                                    {"copy-memory", caseCopyMemory},
                                    {"copy-busy", caseCopyBusy},
                                    {"copy-stopped", caseCopyStopped},
                                    {"copy-sentences", caseCopySentences},
                                    {"holes", caseHoles},
                                    {"holes-few", caseHolesFew},
                                    {NULL, NULL}};
  return checkMain(argc, argv, cases);
}
