#define _GNU_SOURCE
/*
** pinfiles_check.c - the files that pins live by: replaced, shrunk, left over, damaged, removed.
**
** Data files that give their name to a new one, for a reader that is stuck or because they are far too long;
** what a dead writer leaves; and P_readers and P_writer in every state that a channel may be met in, with
** readers and a writer at work.  Whatever P_readers has gone through, a pin by slot must be honoured again
** after the next publish.
*/
#include "check_peer.h"

#include "slots.h"
#include "sys.h"
#include "version.h"

/* ---- files -------------------------------------------------------------------------------------- */

static void shrinks(int kind) {
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(kind), *other = openReader(kind);
  mmapsync_view huge;
  mmapsync_result r;
  uint64_t i;

  PUBLISH(w, 1, 1000, NULL);
  READS(other, 1);
  READS(h, 1);
  PUBLISH(w, 2, PAYLOAD_MOST / 4, NULL); /* 8 MiB */
  OK(h, mmapsync_read(h, &huge));
  WHOLE(&huge, 2);
  for (i = 3; i < 8; i++) {
    PUBLISH(w, i, 1000, &r);
    if (i == 4) {
      REPLACED(&r);
    } else {
      FREE(&r);
    }
    READS(other, i);
  }
  WHOLE(&huge, 2);
  CHECK(fileSize("_data_0") < 1 << 20 && fileSize("_data_1") < 1 << 20);
  mmapsync_release(h, &huge);
  PUBLISH(w, 8, PAYLOAD_MOST / 4, &r); /* the same, with nobody in the way */
  FREE(&r);
  READS(other, 8);
  for (i = 9; i < 14; i++) {
    PUBLISH(w, i, 1000, &r);
    FREE(&r);
    READS(other, i);
  }
  CHECK(fileSize("_data_0") < 1 << 20 && fileSize("_data_1") < 1 << 20);
  CHECK(fileSize("_data_0_new") < 0 && fileSize("_data_1_new") < 0);
  READS(h, 13);
  mmapsync_close(h);
  mmapsync_close(other);
  mmapsync_close(w);
}
static void caseShrinks(void) { eachKind(shrinks); }

/* Publishes until file `index` has been written anew for a reader who holds it. */
static void replaceHeld(mmapsync *w, mmapsync *h, unsigned index) {
  mmapsync_view view;
  mmapsync_result r;
  uint64_t word;
  OK(w, mmapsync_version(w, &word));
  if (versionIndex(word) != index) PUBLISH(w, 7, 100, NULL);
  OK(h, mmapsync_read(h, &view));
  CHECK(versionIndex(view.version) == index);
  PUBLISH(w, 8, 100, NULL);
  PUBLISH(w, 9, 100, &r);
  WAITED(&r, 0u, 1, 0);
  mmapsync_release(h, &view);
}

static void casePermissions(void) {
  mmapsync *w = openWriter(0), *h = openReader(MMAPSYNC_PIN_SLOT);
  struct stat before, after;
  unsigned i;

  PUBLISH(w, 1, 100, NULL);
  PUBLISH(w, 2, 100, NULL);
  if (geteuid() == 0) {
    CHECK(chown(fileName("_data_0"), 1234, 4321) == 0);
    CHECK(chown(fileName("_data_1"), (uid_t)-1, 4321) == 0);
  }
  CHECK(chmod(fileName("_data_0"), 0644) == 0 && chmod(fileName("_data_1"), 0604) == 0);
  umask(077);
  for (i = 0; i < 2; i++) {
    CHECK(lstat(fileName(i ? "_data_1" : "_data_0"), &before) == 0);
    replaceHeld(w, h, i);
    CHECK(lstat(fileName(i ? "_data_1" : "_data_0"), &after) == 0);
    CHECK(before.st_ino != after.st_ino && before.st_mode == after.st_mode);
    CHECK(before.st_uid == after.st_uid && before.st_gid == after.st_gid);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

/* In place of rename(): the end of the writer. */
static int dieRename(const char *from, const char *to) {
  (void)from;
  (void)to;
  raise(SIGKILL);
  return -1;
}

/* Leaves a new file that no writer will ever rename. */
static void leaveNew(uint64_t number) {
  int status = 0;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    mmapsync *w = openWriter(0);
    sysSet("rename", (SysFunction)dieRename);
    (void)payloadWrite(w, number, 100, NULL);
    _exit(1);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static int dieRenamed(const char *from, const char *to) {
  CHECK(rename(from, to) == 0);
  raise(SIGKILL);
  return -1;
}

static int failRename(const char *from, const char *to) {
  (void)from;
  (void)to;
  errno = EIO;
  return -1;
}

/* A writer is killed before or after it renames the new file, a few times in a row, while a reader holds the old
** one.  As long as it is not said for certain that this has lost its name, the reader is waited for. */
static void diesBeside(int kind, int (*end)(const char *, const char *)) {
  mmapsync *w = openWriter(GRACE_MS), *next;
  mmapsync_result r;
  PageShared *page;
  uint32_t said;
  Peer p = peerStart(kind);
  uint64_t i = 1;
  int round, k, status;
  pid_t pid;

  PUBLISH(w, 1, 100, NULL);
  page = pageNow(PROT_READ);
  for (round = 0; round < 3; round++) {
    PEER_PINS(&p, 0, i);
    PUBLISH(w, ++i, 100, &r);
    FREE(&r);
    said = atomic_load(&page->from[0]);
    for (k = 0; k <= round; k++) {
      fflush(stdout);
      pid = fork();
      CHECK(pid >= 0);
      if (pid == 0) {
        next = openWriter(0);
        sysSet("rename", (SysFunction)end);
        (void)payloadWrite(next, i + 1, 100, NULL);
        _exit(1);
      }
      CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
      CHECK(atomic_load(&page->from[0]) == said && (atomic_load(&page->replaced[0]) & 1));
      PEER_HOLDS(&p, 0);
      READS(w, i);
    }
    next = openWriter(GRACE_MS);
    PUBLISH(round == 1 ? w : next, ++i, 100, &r);
    REPLACED(&r);
    CHECK(r.held == 1 && atomic_load(&page->from[0]) == atomic_load(&page->replaced[0]));
    CHECK(atomic_load(&page->from[0]) > said && atomic_load(&page->from[1]) == 0);
    PEER_HOLDS(&p, 0);
    for (k = 0; k < 4; k++) {
      PUBLISH(k % 2 ? w : next, ++i, 100, &r);
      FREE(&r);
      PEER_HOLDS(&p, 0);
    }
    mmapsync_close(next);
    PEER_RELEASES(&p, 0);
  }
  munmap(page, PAGE_SIZE_BYTES);
  peerEnd(&p);
  mmapsync_close(w);
}
static void diesBefore(int kind) { diesBeside(kind, dieRename); }
static void diesAfter(int kind) { diesBeside(kind, dieRenamed); }
static void caseDiesBeside(void) {
  eachKind(diesBefore);
  eachKind(diesAfter);
}

/* A rename that fails takes no name away, though the mappings are doubted. */
static void renameFails(int kind) {
  mmapsync *w = openWriter(GRACE_MS), *next = openWriter(GRACE_MS);
  mmapsync_result r;
  PageShared *page;
  Peer p = peerStart(kind);
  int k;

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  PUBLISH(w, 2, 100, NULL);
  page = pageNow(PROT_READ);
  sysSet("rename", (SysFunction)failRename);
  for (k = 0; k < 3; k++) {
    FAILS(w, payloadWrite(w, 3, 100, NULL), MMAPSYNC_IOERR,
          "\"%s_data_0_new\": cannot rename: input/output error", checkPath);
    CHECK(atomic_load(&page->from[0]) == 0 &&
          atomic_load(&page->replaced[0]) == 2 * (uint32_t)(k + 1));
    PEER_HOLDS(&p, 0);
    if (k == 1) { /* its new view of the other file is not in question */
      PEER_PINS(&p, 1, 2);
      PEER_RELEASES(&p, 1);
    }
  }
  sysSet("rename", NULL);
  PUBLISH(next, 3, 100, &r);
  REPLACED(&r);
  CHECK(atomic_load(&page->from[0]) == 8 && atomic_load(&page->replaced[0]) == 8);
  PEER_HOLDS(&p, 0);
  for (k = 4; k < 8; k++) {
    PUBLISH(k % 2 ? w : next, (uint64_t)k, 100, &r);
    FREE(&r);
  }
  PEER_RELEASES(&p, 0);
  munmap(page, PAGE_SIZE_BYTES);
  peerEnd(&p);
  mmapsync_close(next);
  mmapsync_close(w);
}
static void caseRenameFails(void) { eachKind(renameFails); }

static void caseLeftover(void) {
  mmapsync *w = openWriter(GRACE_MS), *old = openWriter(GRACE_MS);
  PageShared *page;
  mmapsync_result r;
  Peer p = peerStart(MMAPSYNC_PIN_SLOT);

  PUBLISH(old, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  PUBLISH(old, 2, 100, NULL);
  page = pageNow(PROT_READ);
  leaveNew(3);
  CHECK(fileSize("_data_0_new") >= 0);
  CHECK(atomic_load(&page->started_ns) != 0 && (atomic_load(&page->replaced[0]) & 1));
  PUBLISH(w, 3, 100, &r); /* a handle that is new */
  REPLACED(&r);
  CHECK(fileSize("_data_0_new") < 0 && fileSize("_data_1_new") < 0);
  CHECK(!(atomic_load(&page->replaced[0]) & 1));
  PEER_RELEASES(&p, 0);
  PEER_PINS(&p, 0, 3);
  PUBLISH(old, 4, 100, NULL);
  leaveNew(5);
  CHECK(fileSize("_data_0_new") >= 0);
  PEER_RELEASES(&p, 0);
  PUBLISH(old, 5, 100, &r); /* one that has written before, and has no need of a new file */
  FREE(&r);
  CHECK(fileSize("_data_0_new") < 0 && fileSize("_data_1_new") < 0);
  READS(w, 5);
  PEER_PINS(&p, 0, 5);
  munmap(page, PAGE_SIZE_BYTES);
  peerEnd(&p);
  mmapsync_close(old);
  mmapsync_close(w);
}

/* What a dead writer said of its publish is not in P_writer for ever. */
static void caseProgressTidied(void) {
  mmapsync *w = openWriter(GRACE_MS);
  PageShared *page;
  mmapsync_view view;

  PUBLISH(w, 1, 100, NULL);
  OK(w, mmapsync_read(w, &view));
  PUBLISH(w, 2, 100, NULL);
  page = pageNow(PROT_READ);
  CHECK(atomic_load(&page->started_ns) == 0 && atomic_load(&page->phase) == MMAPSYNC_PHASE_IDLE);
  leaveNew(3);
  CHECK(atomic_load(&page->started_ns) != 0 && atomic_load(&page->phase) != MMAPSYNC_PHASE_IDLE);
  mmapsync_release(w, &view);
  PUBLISH(w, 3, 100, NULL);
  CHECK(atomic_load(&page->started_ns) == 0);
  CHECK(atomic_load(&page->phase) == MMAPSYNC_PHASE_IDLE);
  munmap(page, PAGE_SIZE_BYTES);
  mmapsync_close(w);
}

/* A large write is told to all while it lasts, also to the handle itself; a small one is not. */
static void caseProgressTold(void) {
  enum { kLarge = 3 << 20 };
  mmapsync *w = openWriter(GRACE_MS), *h = channelOpen();
  mmapsync_progress p;
  void *data;

  OK(h, mmapsync_publishing(h, &p)); /* no channel yet */
  CHECK(p.phase == MMAPSYNC_PHASE_IDLE);
  OK(w, mmapsync_write_begin(w, 1000, &data));
  OK(h, mmapsync_publishing(h, &p));
  CHECK(p.phase == MMAPSYNC_PHASE_IDLE && p.pid == 0 && p.started_ns == 0);
  OK(w, mmapsync_write_commit(w, 1000, MMAPSYNC_KIND_RAW, NULL));
  OK(w, mmapsync_write_begin(w, kLarge, &data));
  memset(data, 'x', kLarge);
  OK(w, mmapsync_publishing(w, &p));
  OK(h, mmapsync_publishing(h, &p));
  CHECK(p.phase == MMAPSYNC_PHASE_WRITING && p.pid == (uint32_t)getpid() && p.started_ns != 0);
  CHECK(p.rows == 0 && p.bytes == 0 && p.table[0] == 0);
  mmapsync_write_abort(w);
  OK(h, mmapsync_publishing(h, &p));
  CHECK(p.phase == MMAPSYNC_PHASE_IDLE && p.pid == 0);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* ---- damage ------------------------------------------------------------------------------------- */

/* Overwrites all of P_readers where it is: with zeros, or with chance. */
static void readersDamage(int how, uint64_t *seed) {
  long long n = fileSize("_readers");
  uint64_t *bytes = calloc(1, (size_t)n);
  size_t i;
  CHECK(n > 0 && bytes);
  for (i = 0; how && i < (size_t)n / 8; i++) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    bytes[i] = *seed;
  }
  filePoke("_readers", 0, bytes, (size_t)n);
  free(bytes);
}

/* A pin by slot works again: it is told of, and honoured. */
static void readersRight(mmapsync *w, mmapsync *h, uint64_t *number) {
  mmapsync_reader readers[80];
  mmapsync_view view;
  mmapsync_result r;
  size_t i, n, found = 0;

  OK(h, mmapsync_read(h, &view));
  WHOLE(&view, *number);
  CHECK(view.pin == MMAPSYNC_PIN_SLOT);
  OK(w, mmapsync_readers(w, readers, 80, &n));
  for (i = 0; i < n && i < 80; i++) {
    found += readers[i].alive && readers[i].pins[versionIndex(view.version)];
  }
  CHECK(found == 1);
  PUBLISH(w, ++*number, 100, &r);
  PUBLISH(w, ++*number, 100, &r);
  CHECK(r.replaced == 1 && r.held == 1);
  WHOLE(&view, *number - 2);
  mmapsync_release(h, &view);
  PUBLISH(w, ++*number, 100, &r);
  FREE(&r);
  PUBLISH(w, ++*number, 100, &r);
  FREE(&r);
}

static void readersDamaged(int lock) {
  mmapsync *w = openWith(0, MMAPSYNC_PIN_AUTO, lock), *h = openReader(MMAPSYNC_PIN_SLOT);
  uint64_t seed = 88172645463325252u, number = 1;
  Peer p;
  int i;

  PUBLISH(w, 1, 100, NULL);
  READS(h, 1);
  p = peerStart(MMAPSYNC_PIN_SLOT);
  PEER_PINS(&p, 0, 1);
  PEER_RELEASES(&p, 0);
  for (i = 0; i < 40; i++) {
    readersDamage(i % 2, &seed);
    /* Who lives goes on as if nothing was; slots and all are as they may be. */
    if (i % 4 < 2) READS(h, number);
    PUBLISH(w, ++number, 100, NULL);
    READS(h, number);
    PEER_PINS(&p, 0, number);
    PEER_RELEASES(&p, 0);
    PUBLISH(w, ++number, 100, NULL);
    READS(h, number);
    readersRight(w, h, &number);
  }
  PEER_PINS(&p, 0, number);
  PEER_RELEASES(&p, 0);
  peerEnd(&p);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_SLOT);
  readersRight(w, h, &number);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseReadersDamaged(void) { readersDamaged(MMAPSYNC_LOCK_WRITE); }
static void caseReadersDamagedHold(void) { readersDamaged(MMAPSYNC_LOCK_HOLD); }

/* The same with readers and a writer that never rest: pins may be void meanwhile, but nobody ends, or hangs, or
** fails to read or to publish. */
#define DAMAGE_ROUNDS 300

static void restless(_Atomic int *stop, int ready, int writes) {
  mmapsync *h = openWith(0, MMAPSYNC_PIN_SLOT, MMAPSYNC_LOCK_WRITE);
  mmapsync_view view;
  uint64_t i;
  OK(h, mmapsync_read(h, &view));
  mmapsync_release(h, &view);
  CHECK(write(ready, "x", 1) == 1);
  for (i = 2; !atomic_load(stop); i++) {
    if (writes) {
      PUBLISH(h, i, 100, NULL);
    } else {
      OK(h, mmapsync_read(h, &view));
      mmapsync_release(h, &view);
    }
  }
  mmapsync_close(h);
  _exit(0);
}

static void caseReadersDamagedRestless(void) {
  _Atomic int *stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  mmapsync *w = openWriter(0), *h = openReader(MMAPSYNC_PIN_SLOT);
  uint64_t seed = 362436069, word = 0, last = 0, number;
  mmapsync_view view;
  pid_t pid[3], parent = getpid();
  int i, status = 0, ready[2];
  char c;

  CHECK(stop != MAP_FAILED && pipe2(ready, O_CLOEXEC) == 0);
  PUBLISH(w, 1, 100, NULL);
  fflush(stdout);
  for (i = 0; i < 3; i++) {
    pid[i] = fork();
    CHECK(pid[i] >= 0);
    if (pid[i] == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(3);
      restless(stop, ready[1], i == 0);
    }
  }
  for (i = 0; i < 3; i++) CHECK(read(ready[0], &c, 1) == 1);
  close(ready[0]);
  close(ready[1]);
  for (i = 0; i < DAMAGE_ROUNDS; i++) {
    readersDamage(i % 2, &seed);
    do { /* until the writer has published again */
      OK(w, mmapsync_version(w, &word));
      CHECK(waitpid(pid[0], &status, WNOHANG) == 0);
    } while (word == last);
    last = word;
  }
  atomic_store(stop, 1);
  for (i = 0; i < 3; i++) CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
  PUBLISH(w, 1, 100, NULL);
  OK(h, mmapsync_read(h, &view));
  number = payloadNumber(view.data, view.size);
  CHECK(number == 1);
  mmapsync_release(h, &view);
  readersRight(w, h, &number);
  mmapsync_close(h);
  mmapsync_close(w);
  munmap(stop, 4096);
}

/* Who held views when the file was made nothing of pins again with its next store to the slot, be that a claim or
** the end of another view; and what it says with it of its mappings is no older than they are, although both files
** were replaced before. */
static void caseReadersDamagedHeld(void) {
  mmapsync *w = openWriter(0), *h = openReader(MMAPSYNC_PIN_SLOT), *fresh;
  mmapsync_view view[2], other;
  mmapsync_result r;
  uint64_t seed = 521288629, number = 1;
  int round;

  PUBLISH(w, number, 100, NULL);
  for (round = 0; round < 2; round++) {
    OK(h, mmapsync_read(h, &other));
    PUBLISH(w, ++number, 100, NULL);
    PUBLISH(w, ++number, 100, &r);
    WAITED(&r, 0u, 1, 0);
    mmapsync_release(h, &other);
    PUBLISH(w, ++number, 100, NULL);
  }
  for (round = 0; round < 8; round++) {
    OK(h, mmapsync_read(h, &view[0]));
    PUBLISH(w, ++number, 100, &r);
    FREE(&r);
    OK(h, mmapsync_read(h, &view[1]));
    readersDamage(round & 1, &seed);
    if (round & 2) { /* reads once more */
      OK(h, mmapsync_read(h, &other));
      mmapsync_release(h, &other);
    }
    if (round & 4) { /* which leaves the other one, of the file that is not written next */
      mmapsync_release(h, &view[0]);
      PUBLISH(w, ++number, 100, &r);
      FREE(&r);
    } else {
      mmapsync_release(h, &view[1]);
    }
    fresh = openWriter(0);
    PUBLISH(fresh, ++number, 100, &r);
    WAITED(&r, 0u, 1, 0);
    PUBLISH(w, ++number, 100, &r);
    FREE(&r);
    PUBLISH(fresh, ++number, 100, &r);
    FREE(&r);
    mmapsync_close(fresh);
    if (round & 4) {
      WHOLE(&view[1], number - 4);
      mmapsync_release(h, &view[1]);
    } else {
      WHOLE(&view[0], number - 4);
      mmapsync_release(h, &view[0]);
    }
    READS(h, number);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Between damage and the next publish a reader who comes anew pins by lock. */
static void caseReadersDamagedAttach(void) {
  static const uint64_t nothing[8] = {0};
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_result r;
  mmapsync_view view;
  PUBLISH(w, 1, 100, NULL);
  filePoke("_readers", 0, nothing, sizeof(nothing));
  OK(h, mmapsync_read(h, &view));
  CHECK(view.pin == MMAPSYNC_PIN_LOCK);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  WHOLE(&view, 1);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_AUTO);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.pin == MMAPSYNC_PIN_SLOT);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Cut short, and made longer again, by hand or by the next writer. */
static void caseReadersCut(void) {
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(MMAPSYNC_PIN_SLOT);
  uint64_t number = 1;
  long long size;
  int i;

  PUBLISH(w, 1, 100, NULL);
  READS(h, 1);
  size = fileSize("_readers");
  for (i = 0; i < 4; i++) {
    CHECK(truncate(fileName("_readers"), i % 2 ? 100 : 0) == 0);
    if (i < 2) CHECK(truncate(fileName("_readers"), size) == 0);
    PUBLISH(w, ++number, 100, NULL);
    CHECK(fileSize("_readers") >= size);
    READS(h, number);
    readersRight(w, h, &number);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

static void caseReadersRemoved(void) {
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(MMAPSYNC_PIN_SLOT), *late;
  mmapsync_view view, old;
  mmapsync_result r;

  PUBLISH(w, 1, 100, NULL);
  READS(h, 1);
  fileRemove("_readers");
  OK(h, mmapsync_read(h, &old)); /* it has its slot, and its writer looks there */
  late = openReader(MMAPSYNC_PIN_AUTO);
  OK(late, mmapsync_read(late, &view));
  CHECK(view.pin == MMAPSYNC_PIN_LOCK);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  WHOLE(&view, 1);
  WHOLE(&old, 1);
  mmapsync_release(late, &view);
  mmapsync_release(h, &old);
  mmapsync_close(late);
  late = openReader(MMAPSYNC_PIN_SLOT);
  if (fileSize("_readers") < 0) {
    FAILS(late, mmapsync_read(late, &view), MMAPSYNC_CANTOPEN,
          "\"%s_readers\": missing: only counters can pin here", checkPath);
  } else {
    READS(late, 3);
  }
  mmapsync_close(late);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* A writer that has P_readers open does not go on with a file that is no longer at its name: who attached
** since pins in the other one. */
static void caseReadersAnew(void) {
  mmapsync *w = openWriter(GRACE_MS), *second = openWriter(GRACE_MS), *h;
  mmapsync_view view;
  mmapsync_result r;

  PUBLISH(w, 1, 100, NULL);
  fileRemove("_readers");
  PUBLISH(second, 2, 100, NULL);
  CHECK(fileSize("_readers") > 0);
  h = openReader(MMAPSYNC_PIN_AUTO);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.pin == MMAPSYNC_PIN_SLOT);
  PUBLISH(w, 3, 100, &r);
  PUBLISH(w, 4, 100, &r);
  WHOLE(&view, 2);
  REPLACED(&r);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  mmapsync_close(second);
  mmapsync_close(w);
}

/* All bytes of the channel, one file after the other. */
static size_t channelGet(uint8_t *bytes, size_t room) {
  size_t n = 0;
  int i;
  for (i = 0; peerFiles[i]; i++) {
    if (fileSize(peerFiles[i]) >= 0) n += fileGet(peerFiles[i], bytes + n, room - n);
  }
  return n;
}

static void caseForeignLayout(void) {
  static uint8_t before[1 << 16], after[1 << 16];
  const uint64_t other = UINT64_C(0x0123456789abcdef);
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_view view;
  size_t n;

  PUBLISH(w, 1, 100, NULL);
  PUBLISH(w, 2, 100, NULL);
  mmapsync_close(w);
  filePoke("_writer", 8, &other, sizeof(other));
  n = channelGet(before, sizeof(before));
  w = openWriter(GRACE_MS);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT,
        "\"%s_writer\": made by another build: expected layout %016llx, found 0123456789abcdef"
        ": use that build, or end who uses the channel, remove its files and publish anew",
        checkPath, (unsigned long long)slotsLayout());
  FAILS(w, payloadWrite(w, 3, 100, NULL), MMAPSYNC_CORRUPT,
        "\"%s_writer\": made by another build: expected layout %016llx, found 0123456789abcdef"
        ": use that build, or end who uses the channel, remove its files and publish anew",
        checkPath, (unsigned long long)slotsLayout());
  CHECK(channelGet(after, sizeof(after)) == n && memcmp(before, after, n) == 0);
  mmapsync_close(h);
  mmapsync_close(w);
  w = openWriter(GRACE_MS); /* and the lock was given back */
  FAILS(w, payloadWrite(w, 3, 100, NULL), MMAPSYNC_CORRUPT,
        "\"%s_writer\": made by another build: expected layout %016llx, found 0123456789abcdef"
        ": use that build, or end who uses the channel, remove its files and publish anew",
        checkPath, (unsigned long long)slotsLayout());
  mmapsync_close(w);
}

/* A writer that died while it made P_writer: without its magic, the file counts as missing. */
static void casePageUnfinished(void) {
  static const char nothing[8] = {0};
  mmapsync *w, *h;
  mmapsync_view view;
  int i;

  for (i = 0; i < 3; i++) {
    filesRemove();
    w = openWriter(GRACE_MS);
    PUBLISH(w, 1, 100, NULL);
    mmapsync_close(w);
    if (i == 0) filePoke("_writer", 0, nothing, sizeof(nothing));
    if (i == 1) CHECK(truncate(fileName("_writer"), 0) == 0);
    if (i == 2) fileRemove("_writer");
    h = openReader(MMAPSYNC_PIN_AUTO);
    OK(h, mmapsync_read(h, &view));
    WHOLE(&view, 1);
    CHECK(view.pin == MMAPSYNC_PIN_COUNTER);
    mmapsync_release(h, &view);
    w = openWriter(GRACE_MS);
    PUBLISH(w, 2, 100, NULL);
    OK(h, mmapsync_read(h, &view)); /* it attaches anew */
    WHOLE(&view, 2);
    CHECK(view.pin == MMAPSYNC_PIN_SLOT);
    mmapsync_release(h, &view);
    mmapsync_close(h);
    mmapsync_close(w);
  }
}

/* A file cannot have got a new one later than it was last replaced: where P_writer says so, all pins count, and go
** on to, although `replaced` rises to that number again. */
static void countsThatCannotBe(int kind) {
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(kind);
  mmapsync_view view;
  mmapsync_result r;
  PageShared *page;
  int i;

  PUBLISH(w, 1, 100, NULL);
  OK(h, mmapsync_read(h, &view));
  PUBLISH(w, 2, 100, NULL);
  page = pageNow(PROT_READ | PROT_WRITE);
  atomic_store(&page->from[0], 6);
  sysSet("rename", (SysFunction)failRename);
  for (i = 0; i < 4; i++) CHECK(payloadWrite(w, 3, 100, NULL) == MMAPSYNC_IOERR);
  sysSet("rename", NULL);
  CHECK(atomic_load(&page->replaced[0]) == 8);
  WHOLE(&view, 1);
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  WHOLE(&view, 1);
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  PUBLISH(w, 5, 100, &r);
  FREE(&r);
  WHOLE(&view, 1);
  mmapsync_release(h, &view);
  munmap(page, PAGE_SIZE_BYTES);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseCounts(void) { eachKind(countsThatCannotBe); }

/* P_readers as full as can be: all slots of a hurried search are somebody's, or all that there may be.  A reader that
** may choose pins by lock then. */
static void readersFull(off_t size, uint32_t used, const char *sentence) {
  struct flock all = {.l_type = F_WRLCK,
                      .l_whence = SEEK_SET}; /* every byte, to the end of all files */
  mmapsync *w = openWriter(0), *h = openReader(MMAPSYNC_PIN_SLOT);
  mmapsync_view view;
  mmapsync_result r;
  int fd;

  filesRemove();
  PUBLISH(w, 1, 100, NULL);
  CHECK((fd = open(fileName("_readers"), O_RDWR)) >= 0 && ftruncate(fd, size) == 0);
  CHECK(fcntl(fd, F_OFD_SETLK, &all) == 0);
  filePoke("_readers", offsetof(SlotsShared, used), &used, sizeof(used));
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_FULL, "\"%s_readers\": %s", checkPath, sentence);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_AUTO);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.pin == MMAPSYNC_PIN_LOCK);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  CHECK(r.replaced && r.held == 1);
  WHOLE(&view, 1);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  close(fd);
  h = openReader(MMAPSYNC_PIN_SLOT);
  READS(h, 3);
  PINS(w, 0, 0);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseReadersFull(void) {
  readersFull(8192, 0, "expected a free slot, found 4096 locked");
  readersFull(8192 * SLOT_SIZE, 8000, "expected a free slot, found 4096 locked");
  readersFull((off_t)(SLOTS_MOST + 100) * SLOT_SIZE, SLOTS_MOST,
              "expected at most 1048576 readers");
}

/* What is missing where one kind of pin was asked for, and which kinds are left. */
static void caseMissing(void) {
  mmapsync *w = openWriter(0), *h;
  mmapsync_view view;

  PUBLISH(w, 1, 100, NULL);
  fileRemove("_readers");
  h = openReader(MMAPSYNC_PIN_SLOT);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CANTOPEN,
        "\"%s_readers\": missing: only locks and counters can pin here", checkPath);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_LOCK);
  READS(h, 1);
  mmapsync_close(h);
  fileRemove("_writer"); /* as a channel of the crate */
  h = openReader(MMAPSYNC_PIN_SLOT);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CANTOPEN,
        "\"%s_writer\": missing: only counters can pin here", checkPath);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_LOCK);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CANTOPEN,
        "\"%s_writer\": missing: only counters can pin here", checkPath);
  mmapsync_close(h);
  h = openReader(MMAPSYNC_PIN_COUNTER);
  READS(h, 1);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* The name of the table that is built is told as far as there is room, in whole characters of UTF-8. */
static void caseProgressName(void) {
  static const mmapsync_column_def column = {.name = "c"};
  static const struct {
    const char *piece;
    size_t told;
  } names[] = {
      {"x", 63}, {"\xc3\xa4", 62}, {"\xe2\x82\xac", 63}, {"\xf0\x9f\x98\x80", 60}, {"\x80", 0}};
  mmapsync *w = openWriter(0), *h = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_table_def def = {.columns = &column, .ncolumns = 1, .rowid = -1};
  mmapsync_progress p;
  mmapsync_builder *b;
  char name[101];
  size_t i, k;

  for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    size_t n = strlen(names[i].piece);
    for (k = 0; k + n < sizeof(name); k += n) memcpy(name + k, names[i].piece, n);
    name[k] = 0;
    def.name = name;
    OK(w, mmapsync_build_begin(w, &b));
    OK(w, mmapsync_build_table(b, &def));
    OK(h, mmapsync_publishing(h, &p));
    snprintf(checkAbout, sizeof(checkAbout), "%zu: %s", i, p.table);
    CHECK(strlen(p.table) == names[i].told && memcmp(p.table, name, names[i].told) == 0);
    mmapsync_build_abort(b);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

/* A file that is only too long is written to as it is, if no new one can be made. */
static int openNoNew(const char *name, int flags, mode_t mode) {
  if (strstr(name, "_new")) {
    errno = EMFILE;
    return -1;
  }
  return open(name, flags, mode);
}

static void caseShrinksNot(void) {
  mmapsync *w = openWriter(GRACE_MS);
  long long size;
  uint64_t i;
  PUBLISH(w, 1, PAYLOAD_MOST / 4, NULL);
  size = fileSize("_data_0");
  sysSet("open", (SysFunction)openNoNew);
  for (i = 2; i < 8; i++) {
    PUBLISH(w, i, 100, NULL);
    READS(w, i);
    CHECK(fileSize("_data_0") == size);
  }
  sysSet(NULL, NULL);
  PUBLISH(w, 8, 100, NULL);
  PUBLISH(w, 9, 100, NULL);
  READS(w, 9);
  CHECK(fileSize("_data_0") < size && fileSize("_data_0_new") == -1);
  mmapsync_close(w);
}

/* Half a header of P_readers is written, and no more: there is no room. */
static ssize_t writeHalf(int fd, const void *from, size_t n, off_t at) {
  return pwrite(fd, from, n / 2, at);
}
static void caseReadersHalf(void) {
  mmapsync *w = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 0);
  sysSet("pwrite", (SysFunction)writeHalf);
  FAILS(w, payloadWrite(w, 1, 100, NULL), MMAPSYNC_FULL, "\"%s_readers\": no room on the device",
        checkPath);
  sysSet(NULL, NULL);
  PUBLISH(w, 1, 100, NULL);
  READS(w, 1);
  mmapsync_close(w);
}

static const CheckCase cases[] = {
    {"files-shrink", caseShrinks},
    {"a-new-file-keeps-owner-and-permissions", casePermissions},
    {"leftover-files-are-removed", caseLeftover},
    {"a-writer-dies-beside-the-rename", caseDiesBeside},
    {"a-rename-fails", caseRenameFails},
    {"a-dead-writers-progress-is-tidied", caseProgressTidied},
    {"a-publish-is-told", caseProgressTold},
    {"P_readers-damaged", caseReadersDamaged},
    {"P_readers-damaged-lock-held", caseReadersDamagedHold},
    {"P_readers-damaged-all-at-work", caseReadersDamagedRestless},
    {"P_readers-damaged-while-views-are-held", caseReadersDamagedHeld},
    {"P_readers-damaged-attach-by-lock", caseReadersDamagedAttach},
    {"P_readers-cut-short", caseReadersCut},
    {"P_readers-removed", caseReadersRemoved},
    {"P_readers-made-anew", caseReadersAnew},
    {"P_writer-of-another-build", caseForeignLayout},
    {"P_writer-counts-that-cannot-be", caseCounts},
    {"P_writer-unfinished", casePageUnfinished},
    {"P_readers-full", caseReadersFull},
    {"P_readers-half-written", caseReadersHalf},
    {"files-missing-for-a-kind-of-pin", caseMissing},
    {"a-long-name-is-told", caseProgressName},
    {"files-that-cannot-shrink", caseShrinksNot},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
