#define _GNU_SOURCE
/*
** rights_check.c - readers from elsewhere: other namespaces, other users, other boots.
**
** What a reader pins by follows from what it is permitted; that it is alive the kernel says, whatever process,
** namespace or user asks.  After a restart nobody is alive, whatever the files say, and a snapshot is compared
** with its hash before it is trusted.
*/
#include "check_peer.h"

#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>

#include "data.h"
#include "sys.h"

/* ---- namespaces --------------------------------------------------------------------------------- */

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* In a time namespace that was just made: children have a clock that is far ahead of ours. */
static void clockShift(void) {
  static const char offset[] = "monotonic 100000 0\n";
  int fd = open("/proc/self/timens_offsets", O_WRONLY);
  if (fd < 0 || write(fd, offset, sizeof(offset) - 1) < 0) _exit(77);
  close(fd);
}

/* A peer in namespaces of its own.  *inner is its process as this one sees it; the peer's pid is that of
** the process that has made them, which ends when it does. */
static Peer peerApart(int flags, int pins, mmapsync *(*prepare)(void), pid_t *inner) {
  int to[2], from[2], tell[2];
  Peer p;
  CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0 && pipe2(tell, O_CLOEXEC) == 0);
  fflush(stdout);
  p.pid = fork();
  CHECK(p.pid >= 0);
  if (p.pid == 0) {
    mmapsync *h = NULL;
    int status = 0;
    pid_t pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(flags | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0) _exit(77);
    if (flags & CLONE_NEWTIME) clockShift();
    pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (prepare) h = prepare();
      if (!h) h = openReader(pins);
      close(to[1]);
      close(from[0]);
      peerRun(h, to[0], from[1]);
      _exit(0);
    }
    if (pid < 0 || write(tell[1], &pid, sizeof(pid)) != (ssize_t)sizeof(pid)) _exit(77);
    close(from[1]);
    waitpid(pid, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
  }
  close(to[0]);
  close(from[1]);
  close(tell[1]);
  p.to = to[1];
  p.from = from[0];
  if (read(tell[0], inner, sizeof(*inner)) != (ssize_t)sizeof(*inner)) {
    checkSkip("no right to make a namespace");
  }
  close(tell[0]);
  return p;
}

static void apartKill(Peer *p, pid_t inner) {
  int status = 0;
  CHECK(kill(inner, SIGKILL) == 0 && waitpid(p->pid, &status, 0) == p->pid);
  close(p->to);
  close(p->from);
}

/* It has number 1 there, and here one that says nothing there. */
static void pidNamespace(int kind) {
  mmapsync *w = openWriter(20);
  mmapsync_reader readers[4];
  mmapsync_result r;
  PeerMessage m;
  uint64_t i;
  size_t n;
  pid_t inner, other;
  Peer here, p = peerApart(CLONE_NEWPID | CLONE_NEWNS, kind, NULL, &inner), q;

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  OK(w, mmapsync_readers(w, readers, 4, &n));
  CHECK(n == 1 && readers[0].alive);
  CHECK(readers[0].pid == (kind == MMAPSYNC_PIN_SLOT ? 1u : 0u));
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  CHECK(r.replaced == 1 && r.held == 1); /* alive */
  PEER_HOLDS(&p, 0);
  /* A writer over there, and readers here and there */
  q = peerApart(CLONE_NEWPID | CLONE_NEWNS, kind, NULL, &other);
  here = peerStart(kind);
  PEER_PINS(&here, 0, 3);
  for (i = 4; i < 8; i++) {
    m = peerAsk(&q, PEER_PUBLISH, 0, i);
    CHECK(m.rc == MMAPSYNC_OK && m.result.sequence == i);
    CHECK(m.result.replaced == (i == 5));
  }
  PEER_HOLDS(&p, 0);
  PEER_HOLDS(&here, 0);
  PEER_RELEASES(&p, 0);
  PEER_RELEASES(&here, 0);
  PEER_PINS(&p, 0, 7);
  peerEnd(&here);
  mmapsync_close(w);
  w = openWriter(100000);
  PUBLISH(w, 8, 100, &r);
  FREE(&r);
  apartKill(&p, inner);
  PUBLISH(w, 9, 100, &r);
  FREE(&r);
  PUBLISH(w, 10, 100, &r);
  FREE(&r);
  apartKill(&q, other);
  mmapsync_close(w);
}
static void casePidNamespace(void) { eachKind(pidNamespace); }

/* A reader by lock that attaches in a burst of publishes waits until the writer looks for locks again (pins.h,
** WINDOW), whatever its clock says. */
static void timeNamespace(int kind) {
  mmapsync *w = openWith(20, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_HOLD);
  mmapsync_result r;
  PeerMessage m;
  pid_t inner;
  uint64_t i;
  struct stat st;
  struct pollfd answer;
  Peer p;

  if (stat("/proc/self/ns/time", &st) != 0) checkSkip("a kernel without time namespaces");
  PUBLISH(w, 1, 100, NULL);
  p = peerApart(CLONE_NEWTIME, kind, NULL, &inner);
  answer.fd = p.from;
  answer.events = POLLIN;
  peerTell(&p, PEER_READ, 0, 0);
  for (i = 2; poll(&answer, 1, 0) == 0; i++) PUBLISH(w, i, 100, NULL);
  m = peerHear(&p);
  CHECK(m.rc == MMAPSYNC_OK && m.number != 0 && m.pin == kind);
  PUBLISH(w, i, 200, &r);
  PUBLISH(w, i + 1, 200, &r);
  PUBLISH(w, i + 2, 200, &r);
  PEER_HOLDS(&p, 0);
  PEER_RELEASES(&p, 0);
  PEER_PINS(&p, 0, i + 2);
  PUBLISH(w, i + 3, 100, &r);
  PUBLISH(w, i + 4, 100, &r);
  CHECK(r.replaced == 1 && r.held == 1);
  PEER_HOLDS(&p, 0);
  apartKill(&p, inner);
  mmapsync_close(w);
}
static void caseTimeNamespace(void) { eachKind(timeNamespace); }

/* ---- readers with fewer rights ------------------------------------------------------------------ */

static const char *const readFiles[] = {"_state",  "_writer", "_readers",
                                        "_data_0", "_data_1", NULL};

/* In the peer: another user. */
static mmapsync *prepareNobody(void) {
  int i;
  if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(4);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (i = 0; readFiles[i]; i++) {
    int fd = open(fileName(readFiles[i]), O_RDONLY);
    if (fd < 0 || open(fileName(readFiles[i]), O_RDWR) >= 0) _exit(5);
    close(fd);
  }
  return NULL;
}

static int mayReach(void) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(1);
    _exit(access(fileName("_state"), R_OK) == 0 ? 0 : 1);
  }
  return waitpid(pid, &status, 0) == pid && status == 0;
}

static void channelBytes(uint8_t *bytes, size_t room, size_t *n) {
  int i;
  *n = 0;
  for (i = 0; readFiles[i]; i++) *n += fileGet(readFiles[i], bytes + *n, room - *n);
}

static void caseNobody(void) {
  static uint8_t before[1 << 16], after[1 << 16];
  mmapsync *w = openWriter(20);
  mmapsync_result r;
  struct stat folder;
  PeerMessage m;
  uint64_t i;
  size_t n, n2;
  int k, reached;
  Peer p;

  if (geteuid() != 0) checkSkip("only root can become another user");
  PUBLISH(w, 1, 100, NULL);
  PUBLISH(w, 2, 100, NULL);
  for (k = 0; readFiles[k]; k++) {
    struct stat st;
    CHECK(stat(fileName(readFiles[k]), &st) == 0);
    CHECK(chmod(fileName(readFiles[k]), (st.st_mode & 07777) | 0004) == 0);
  }
  CHECK(stat(checkFolder, &folder) == 0);
  CHECK(chmod(checkFolder, 0755) == 0);
  reached = mayReach();
  if (reached) {
    channelBytes(before, sizeof(before), &n);
    p = peerStartWith(MMAPSYNC_PIN_AUTO, prepareNobody);
    m = peerAsk(&p, PEER_READ, 0, 0);
    CHECK(m.rc == MMAPSYNC_OK && m.number == 2 && m.pin == MMAPSYNC_PIN_LOCK);
    PEER_PINS(&p, 1, 2);
    CHECK(peerAsk(&p, PEER_WAIT, 2, 1).sequence == 2);
    channelBytes(after, sizeof(after), &n2);
    CHECK(n == n2 && memcmp(before, after, n) == 0);
    PUBLISH(w, 3, 100, &r);
    FREE(&r);
    PUBLISH(w, 4, 200, &r);
    CHECK(r.replaced == 1 && r.held == 1);
    for (i = 5; i < 9; i++) {
      PUBLISH(w, i, 100 * i, &r);
      FREE(&r);
      PEER_HOLDS(&p, 0);
    }
    PEER_PINS(&p, 2, 8); /* it may read the new file, too */
    channelBytes(before, sizeof(before), &n);
    PEER_RELEASES(&p, 0);
    PEER_RELEASES(&p, 2);
    PEER_PINS(&p, 0, 8);
    PEER_RELEASES(&p, 0);
    PEER_RELEASES(&p, 1);
    channelBytes(after, sizeof(after), &n2);
    CHECK(n == n2 && memcmp(before, after, n) == 0);
    PUBLISH(w, 9, 100, &r);
    FREE(&r);
    peerKill(&p);
  }
  CHECK(chmod(checkFolder, folder.st_mode & 07777) == 0);
  mmapsync_close(w);
  if (!reached) checkSkip("another user cannot reach this folder");
}

/* In the peer: the folder, mounted to be read only.  In its own mount namespace. */
static mmapsync *prepareReadOnly(void) {
  int fd;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) _exit(77);
  if (mount(checkFolder, checkFolder, NULL, MS_BIND, NULL) != 0) _exit(77);
  if (mount(NULL, checkFolder, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0) _exit(77);
  fd = open(fileName("_readers"), O_RDWR);
  if (fd >= 0 || errno != EROFS) _exit(5);
  return NULL;
}

static void caseReadOnlyMount(void) {
  mmapsync *w = openWriter(20);
  mmapsync_result r;
  PeerMessage m;
  uint64_t i;
  pid_t inner;
  Peer p;

  PUBLISH(w, 1, 100, NULL);
  p = peerApart(CLONE_NEWNS, MMAPSYNC_PIN_AUTO, prepareReadOnly, &inner);
  memset(&m, 0, sizeof(m));
  m.what = PEER_READ;
  signal(SIGPIPE, SIG_IGN);
  if (write(p.to, &m, sizeof(m)) != (ssize_t)sizeof(m) ||
      read(p.from, &m, sizeof(m)) != (ssize_t)sizeof(m)) {
    int status = 0;
    CHECK(waitpid(p.pid, &status, 0) == p.pid && WIFEXITED(status) && WEXITSTATUS(status) == 77);
    checkSkip("no right to mount");
  }
  CHECK(m.rc == MMAPSYNC_OK && m.number == 1 && m.pin == MMAPSYNC_PIN_LOCK);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  CHECK(r.replaced == 1);
  for (i = 4; i < 8; i++) {
    PUBLISH(w, i, 100, &r);
    FREE(&r);
    PEER_HOLDS(&p, 0);
  }
  PEER_RELEASES(&p, 0);
  CHECK(peerAsk(&p, PEER_WAIT, 0, 6).sequence == 7);
  PEER_PINS(&p, 0, 7);
  PUBLISH(w, 8, 100, &r);
  apartKill(&p, inner);
  PUBLISH(w, 9, 100, &r);
  FREE(&r);
  mmapsync_close(w);
}

/* In place of open(): files of these endings are not permitted, or not for writing. */
static const char *closedFile[3];
static int closedFully[3];

static int openClosed(const char *name, int flags, mode_t mode) {
  int i;
  for (i = 0; i < 3 && closedFile[i]; i++) {
    size_t n = strlen(name), m = strlen(closedFile[i]);
    if (n < m || strcmp(name + n - m, closedFile[i]) != 0) continue;
    if (closedFully[i] || (flags & O_ACCMODE) != O_RDONLY) {
      errno = EACCES;
      return -1;
    }
  }
  return open(name, flags, mode);
}

static void closeFiles(const char *a, int fullyA, const char *b, int fullyB) {
  closedFile[0] = a;
  closedFile[1] = b;
  closedFully[0] = fullyA;
  closedFully[1] = fullyB;
  sysSet("open", a ? (SysFunction)openClosed : (SysFunction)NULL);
}

/* What the kind of pin falls back to, and what is said when nothing is left. */
static void caseFallBack(void) {
  mmapsync *w = openWriter(20), *h;
  mmapsync_view view;
  mmapsync_result r;

  PUBLISH(w, 1, 100, NULL);
  closeFiles("_readers", 0, NULL, 0);
  h = openReader(MMAPSYNC_PIN_AUTO);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.pin == MMAPSYNC_PIN_LOCK && mmapsync_pin_kind(h) == MMAPSYNC_PIN_LOCK);
  closeFiles(NULL, 0, NULL, 0);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  CHECK(r.replaced == 1 && r.held == 1);
  WHOLE(&view, 1);
  mmapsync_release(h, &view);
  mmapsync_close(h);

  closeFiles("_writer", 1, NULL, 0);
  h = openReader(MMAPSYNC_PIN_AUTO);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.pin == MMAPSYNC_PIN_COUNTER);
  mmapsync_release(h, &view);
  mmapsync_close(h);

  closeFiles("_writer", 1, "_state", 0); /* to read P_writer is what it lacks most */
  h = openReader(MMAPSYNC_PIN_AUTO);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_PERM, "\"%s_writer\": permission denied", checkPath);
  mmapsync_close(h);

  closeFiles("_readers", 0, "_state", 0);
  h = openReader(MMAPSYNC_PIN_SLOT);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_PERM, "\"%s_readers\": permission denied", checkPath);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_COUNTER);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_PERM,
        "\"%s_state\": permission denied: a reader of this channel must be able to count itself in",
        checkPath);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_LOCK);
  READS(h, 3);
  mmapsync_close(h);
  fileRemove("_writer"); /* as of a channel of the crate */
  h = openReader(MMAPSYNC_PIN_AUTO);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_PERM,
        "\"%s_state\": permission denied: a reader of this channel must be able to count itself in",
        checkPath);
  mmapsync_close(h);
  closeFiles(NULL, 0, NULL, 0);
  mmapsync_close(w);
}

/* A file that may not be read is not said to be missing. */
static void caseForcedDenied(void) {
  mmapsync *w = openWriter(20), *h;
  mmapsync_view view;
  int i;
  PUBLISH(w, 1, 100, NULL);
  closeFiles("_writer", 1, NULL, 0);
  for (i = 0; i < 2; i++) {
    h = openReader(i ? MMAPSYNC_PIN_SLOT : MMAPSYNC_PIN_LOCK);
    FAILS(h, mmapsync_read(h, &view), MMAPSYNC_PERM, "\"%s_writer\": permission denied", checkPath);
    mmapsync_close(h);
  }
  closeFiles(NULL, 0, NULL, 0);
  mmapsync_close(w);
}

/* ---- after a restart ---------------------------------------------------------------------------- */

#define BOOT_AT 72 /* of P_writer: under which boot the newest snapshot was published */

static void caseReboot(void) {
  const uint64_t boot = 12345;
  mmapsync *w = openWriter(20), *h, *before = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_view view;
  uint64_t hash;
  char byte;
  int kind;

  PUBLISH(w, 1, 100, NULL);
  OK(before, mmapsync_read(before, &view));
  hash = view.hash;
  mmapsync_release(before, &view);
  mmapsync_close(w);
  for (kind = MMAPSYNC_PIN_AUTO; kind <= MMAPSYNC_PIN_COUNTER; kind++) {
    /* undamaged: works, and is compared once */
    filePoke("_writer", BOOT_AT, &boot, sizeof(boot));
    h = openReader(kind);
    READS(h, 1);
    CHECK(fileGet("_data_0", &byte, 1) == 1);
    byte ^= 1;
    filePoke("_data_0", 0, &byte, 1);
    OK(h, mmapsync_read(h, &view)); /* not again */
    mmapsync_release(h, &view);
    mmapsync_close(h);
    /* damaged */
    h = openReader(kind);
    CHECK(mmapsync_read(h, &view) == MMAPSYNC_CORRUPT);
    {
      char want[2 * PATH_MAX];
      snprintf(want, sizeof(want), "\"%s_data_0\": damaged: expected hash %016llx, found ",
               checkPath, (unsigned long long)hash);
      if (strncmp(mmapsync_errmsg(h), want, strlen(want)) != 0) {
        checkFail(__LINE__, "found <%s>", mmapsync_errmsg(h));
      }
      CHECK(strlen(mmapsync_errmsg(h)) == strlen(want) + 16);
    }
    CHECK(mmapsync_read(h, &view) == MMAPSYNC_CORRUPT); /* and is not believed later */
    COUNTS(h, 0, 0);
    mmapsync_close(h);
    byte ^= 1;
    filePoke("_data_0", 0, &byte, 1);
  }
  OK(before, mmapsync_read(before, &view)); /* who was attached had trusted it before */
  mmapsync_release(before, &view);
  mmapsync_close(before);
  /* The next publish is of this boot: damage is met only by who looks for it. */
  w = openWriter(20);
  byte ^= 1;
  filePoke("_data_0", 0, &byte, 1);
  PUBLISH(w, 2, 100, NULL);
  CHECK(fileGet("_data_1", &byte, 1) == 1);
  byte ^= 1;
  filePoke("_data_1", 0, &byte, 1);
  h = openReader(MMAPSYNC_PIN_AUTO);
  OK(h, mmapsync_read(h, &view));
  mmapsync_release(h, &view);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Slots as a restart leaves them: pins of nobody. */
static void caseStaleSlots(void) {
  mmapsync *w = openWriter(100000), *h;
  mmapsync_reader readers[64];
  mmapsync_result r;
  uint64_t i, word;
  const uint32_t used = 60, pid = 4242;
  size_t n, k;

  PUBLISH(w, 1, 100, NULL);
  mmapsync_close(w);
  for (i = 0; i < used; i++) {
    off_t at = SLOT_SIZE + (off_t)i * SLOT_SIZE;
    word = (i * UINT64_C(0x9e3779b97f4a7c15)) | 3;
    filePoke("_readers", at, &word, sizeof(word));
    filePoke("_readers", at + 8, &pid, sizeof(pid));
  }
  filePoke("_readers", (off_t)offsetof(SlotsShared, used), &used, sizeof(used));
  w = openWriter(100000);
  OK(w, mmapsync_readers(w, readers, 64, &n));
  CHECK(n == used);
  for (k = 0; k < n; k++) CHECK(!readers[k].alive && readers[k].pins[0] && readers[k].pins[1]);
  h = openReader(MMAPSYNC_PIN_SLOT);
  READS(h, 1);
  CHECK(slotsEver() == used); /* it took one of them */
  for (i = 2; i < 5; i++) {
    PUBLISH(w, i, 100, &r);
    FREE(&r);
    READS(h, i);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

static void caseStaleCounters(void) {
  const uint32_t stale[2] = {7, 9};
  mmapsync *w = openWriter(20);
  mmapsync_result r;
  uint64_t i;

  PUBLISH(w, 1, 100, NULL);
  mmapsync_close(w);
  filePoke("_state", 8, stale, sizeof(stale));
  w = openWriter(20);
  for (i = 2; i < 8; i++) {
    PUBLISH(w, i, 100, &r);
    if (i < 4) {
      CHECK(r.reset == 1 && r.waited_ms >= 20 && r.held == 1);
      CHECK(mmapsync_held(w, &(size_t){0})->pins[i % 2 == 0] == stale[i % 2 == 0]);
    } else {
      FREE(&r);
    }
  }
  COUNTS(w, 0, 0);
  mmapsync_close(w);
}

/* Who could only read the state, and may then publish. */
static void casePermittedLater(void) {
  mmapsync *w = openWriter(20), *h = openWriter(20);
  mmapsync_view view;

  PUBLISH(w, 1, 100, NULL);
  closeFiles("_state", 0, NULL, 0);
  READS(h, 1);
  closeFiles(NULL, 0, NULL, 0);
  PUBLISH(h, 2, 100, NULL);
  READS(h, 2);
  READS(w, 2);
  /* One who counts itself in no more, since it may not: another kind of writer has published. */
  mmapsync_close(h);
  closeFiles("_state", 0, NULL, 0);
  h = openReader(MMAPSYNC_PIN_AUTO);
  READS(h, 2);
  PUBLISH(w, 3, 100, NULL);
  filePoke("_data_0", (off_t)trailerAt(800), "none", 4);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_PERM,
        "\"%s_state\": permission denied: a reader of this channel must be able to count itself in",
        checkPath);
  closeFiles(NULL, 0, NULL, 0);
  READS(h, 3);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* A handle that writes keeps its write, also if it is not permitted to read meanwhile. */
static void caseDeniedInAWrite(void) {
  mmapsync *w = openWith(20, MMAPSYNC_PIN_LOCK, MMAPSYNC_LOCK_WRITE), *first = openWriter(20);
  mmapsync_view view;
  void *data;

  PUBLISH(first, 1, 100, NULL);
  OK(w, mmapsync_write_begin(w, 80, &data));
  closeFiles("_writer", 1, NULL, 0);
  FAILS(w, mmapsync_read(w, &view), MMAPSYNC_PERM, "\"%s_writer\": permission denied", checkPath);
  closeFiles(NULL, 0, NULL, 0);
  payloadFill(data, 2, 10);
  OK(w, mmapsync_write_commit(w, 80, MMAPSYNC_KIND_RAW, NULL));
  READS(w, 2);
  READS(first, 2);
  mmapsync_close(first);
  mmapsync_close(w);
}

/* In a folder that everybody may write to, one publishes to files of the folder's owner. */
static void caseFolderOwner(void) {
  mmapsync *w;
  struct stat folder;
  size_t i;

  if (geteuid() != 0) checkSkip("only root can give files away");
  CHECK(stat(checkFolder, &folder) == 0);
  CHECK(chmod(checkFolder, 01777) == 0 && chown(checkFolder, 1234, (gid_t)-1) == 0);
  w = openWriter(20);
  PUBLISH(w, 1, 100, NULL);
  PUBLISH(w, 2, 100, NULL);
  mmapsync_close(w);
  for (i = 0; readFiles[i]; i++) CHECK(chown(fileName(readFiles[i]), 1234, (gid_t)-1) == 0);
  w = openWriter(20);
  PUBLISH(w, 3, 100, NULL);
  READS(w, 3);
  for (i = 0; readFiles[i]; i++) CHECK(chown(fileName(readFiles[i]), 4321, (gid_t)-1) == 0);
  mmapsync_close(w);
  w = openWriter(20);
  FAILS(w, payloadWrite(w, 4, 100, NULL), MMAPSYNC_PERM,
        "\"%s_state\": owned by user 4321, in a folder that everybody may write to", checkPath);
  mmapsync_close(w);
  CHECK(chown(checkFolder, folder.st_uid, (gid_t)-1) == 0);
  CHECK(chmod(checkFolder, folder.st_mode & 07777) == 0);
}

static const CheckCase cases[] = {
    {"pid-namespaces", casePidNamespace},
    {"time-namespaces", caseTimeNamespace},
    {"another-user", caseNobody},
    {"read-only-mount", caseReadOnlyMount},
    {"kinds-of-pin-fall-back", caseFallBack},
    {"a-forced-kind-that-is-denied", caseForcedDenied},
    {"after-a-reboot", caseReboot},
    {"stale-slots", caseStaleSlots},
    {"stale-counters", caseStaleCounters},
    {"permitted-later", casePermittedLater},
    {"denied-in-a-write", caseDeniedInAWrite},
    {"files-of-the-folders-owner", caseFolderOwner},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
