/*
** check_peer.h - what tests with several processes share: payloads that check themselves, and peers.
**
** PAYLOADS.  Word i of a payload is name + i * PAYLOAD_STEP, where the name holds the payload's number and
** how many words there are.  So a word of another snapshot, a shift or a wrong length shows.
**
** PEERS.  A peer is a child process with a handle of its own, which does one thing at a time, as it is told
** through a pipe, and answers when it is done.  Nothing is left to the clock.  A peer ends with its parent,
** and may be stopped and killed like any other reader.  What it is told with peerTell() it answers to
** peerHear(); peerAsk() is both.
*/
#ifndef CHECK_PEER_H
#define CHECK_PEER_H

#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "page.h"
#include "slots.h"

/* ---- payloads --------------------------------------------------------------------------------- */

#define PAYLOAD_STEP UINT64_C(0x9e3779b97f4a7c15)
#define PAYLOAD_MOST ((size_t)1 << 22) /* words */

static inline void payloadFill(uint64_t *word, uint64_t number, size_t words) {
  uint64_t name = number << 24 | words;
  size_t i;
  for (i = 0; i < words; i++) word[i] = name + i * PAYLOAD_STEP;
}

/* The number of the payload at `data`, or 0 if it is not one, whole. */
static inline uint64_t payloadNumber(const void *data, size_t size) {
  const uint64_t *word = data;
  uint64_t name;
  size_t i, n = size / 8;
  if (n == 0 || size % 8 != 0) return 0;
  name = word[0];
  if ((name & 0xffffff) != n) return 0;
  for (i = 0; i < n; i++) {
    if (word[i] != name + i * PAYLOAD_STEP) return 0;
  }
  return name >> 24;
}

/* Publishes payload `number`; what mmapsync_write() gives. */
static inline int payloadWrite(mmapsync *h, uint64_t number, size_t words, mmapsync_result *out) {
  uint64_t *word = malloc(words * sizeof(*word));
  int rc;
  CHECK(word && words <= PAYLOAD_MOST);
  payloadFill(word, number, words);
  rc = mmapsync_write(h, word, words * sizeof(*word), out);
  free(word);
  return rc;
}

/* The same, which must work. */
#define PUBLISH(h, number, words, out) OK(h, payloadWrite((h), (number), (words), (out)))

/* A view is of this payload, whole; the newest snapshot that h reads is. */
#define WHOLE(view, number)                                                                        \
  do {                                                                                             \
    uint64_t number_ = payloadNumber((view)->data, (view)->size);                                  \
    if (number_ != (uint64_t)(number)) {                                                           \
      checkFail(__LINE__, "expected payload %llu, found %llu (0 is a torn one)",                   \
                (unsigned long long)(number), (unsigned long long)number_);                        \
    }                                                                                              \
  } while (0)
#define READS(h, number)                                                                           \
  do {                                                                                             \
    mmapsync_view view_;                                                                           \
    OK(h, mmapsync_read((h), &view_));                                                             \
    WHOLE(&view_, number);                                                                         \
    mmapsync_release((h), &view_);                                                                 \
  } while (0)

/* What a publish told of readers in its way. */
#define WAITED(r, ms, was_replaced, was_reset)                                                     \
  do {                                                                                             \
    if ((r)->waited_ms != (ms) || (r)->replaced != (was_replaced) || (r)->reset != (was_reset)) {  \
      checkFail(__LINE__, "expected waited_ms %u replaced %d reset %d, found %u %d %d",            \
                (unsigned)(ms), (was_replaced), (was_reset), (unsigned)(r)->waited_ms,             \
                (r)->replaced, (r)->reset);                                                        \
    }                                                                                              \
  } while (0)

/* A publish that nobody was in the way of. */
#define FREE(r) WAITED(r, 0u, 0, 0)

/* ---- handles ---------------------------------------------------------------------------------- */

static inline mmapsync *openTrust(int trust, int pins, int lock, uint32_t grace_ms) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.trust = trust;
  opt.grace_ms = grace_ms;
  opt.pins = pins;
  opt.lock = lock;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}
static inline mmapsync *openWith(uint32_t grace_ms, int pins, int lock) {
  return openTrust(MMAPSYNC_TRUST_MAP, pins, lock, grace_ms);
}
static inline mmapsync *openWriter(uint32_t grace_ms) {
  return openWith(grace_ms, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE);
}
static inline mmapsync *openReader(int pins) { return openWith(1000, pins, MMAPSYNC_LOCK_WRITE); }

/* All files of the channel that may ever be there. */
static const char *const peerFiles[] = {"_state",  "_writer",     "_readers",    "_data_0",
                                        "_data_1", "_data_0_new", "_data_1_new", NULL};
static inline void filesRemove(void) {
  int i;
  for (i = 0; peerFiles[i]; i++) fileRemove(peerFiles[i]);
}

/* Slots that were ever claimed. */
static inline uint32_t slotsEver(void) {
  uint32_t used = 0;
  int fd = open(fileName("_readers"), O_RDONLY);
  CHECK(fd >= 0);
  CHECK(pread(fd, &used, sizeof(used), (off_t)offsetof(SlotsShared, used)) ==
        (ssize_t)sizeof(used));
  close(fd);
  return used;
}

/* P_writer, as it is now; ends with munmap(). */
static inline PageShared *pageNow(int protection) {
  int fd = open(fileName("_writer"), protection & PROT_WRITE ? O_RDWR : O_RDONLY);
  void *p = mmap(NULL, PAGE_SIZE_BYTES, protection, MAP_SHARED, fd, 0);
  CHECK(fd >= 0 && p != MAP_FAILED);
  close(fd);
  return p;
}

/* ---- peers ------------------------------------------------------------------------------------ */

#define PEER_VIEWS 8

typedef struct PeerMessage {
  int what;
  int view;
  int rc; /* an answer's */
  int pin;
  int whole; /* the view is what it was when it was pinned */
  uint64_t number;
  uint64_t sequence;
  mmapsync_result result;
} PeerMessage;

typedef struct Peer {
  pid_t pid;
  int to, from;
} Peer;

enum {
  PEER_READ,     /* pins view `view` */
  PEER_LOOK,     /* is view `view` whole, and of the same payload? */
  PEER_RELEASE,  /* looks at it, and ends it */
  PEER_PUBLISH,  /* publishes payload `number` */
  PEER_SEQUENCE, /* of the newest snapshot */
  PEER_WAIT,     /* for a snapshot newer than `sequence`, for a minute */
  PEER_KIND,     /* of pin */
  PEER_QUIT      /* closes its handle and ends, without an answer */
};

static inline void peerDo(mmapsync *h, mmapsync_view *views, uint64_t *numbers, PeerMessage *m) {
  mmapsync_view *view = &views[m->view];
  m->rc = MMAPSYNC_OK;
  switch (m->what) {
  case PEER_READ:
    m->rc = mmapsync_read(h, view);
    if (m->rc == MMAPSYNC_OK) {
      m->number = numbers[m->view] = payloadNumber(view->data, view->size);
      m->whole = m->number != 0;
      m->sequence = view->sequence;
      m->pin = (int)view->pin;
    }
    break;
  case PEER_LOOK:
  case PEER_RELEASE:
    m->number = payloadNumber(view->data, view->size);
    m->whole = m->number != 0 && m->number == numbers[m->view];
    if (m->what == PEER_RELEASE) mmapsync_release(h, view);
    break;
  case PEER_PUBLISH: m->rc = payloadWrite(h, m->number, 100, &m->result); break;
  case PEER_SEQUENCE: m->rc = mmapsync_sequence(h, &m->sequence); break;
  case PEER_WAIT: m->rc = mmapsync_wait(h, m->sequence, 60000, &m->sequence); break;
  case PEER_KIND: m->pin = mmapsync_pin_kind(h); break;
  default: _exit(3);
  }
}

/* What a peer does until it is told to quit. */
static inline void peerRun(mmapsync *h, int in, int out) {
  mmapsync_view views[PEER_VIEWS] = {0};
  uint64_t numbers[PEER_VIEWS] = {0};
  PeerMessage m;
  while (read(in, &m, sizeof(m)) == (ssize_t)sizeof(m) && m.what != PEER_QUIT) {
    peerDo(h, views, numbers, &m);
    if (write(out, &m, sizeof(m)) != (ssize_t)sizeof(m)) _exit(3);
  }
  mmapsync_close(h);
}

/* Starts a peer; `prepare`, if not NULL, is called in it first, and may give the handle it is to have. */
static inline Peer peerStartWith(int pins, mmapsync *(*prepare)(void)) {
  int to[2], from[2];
  pid_t parent = getpid();
  Peer p;
  CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
  fflush(stdout);
  p.pid = fork();
  CHECK(p.pid >= 0);
  if (p.pid == 0) {
    mmapsync *h = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(3);
    close(to[1]);
    close(from[0]);
    if (prepare) h = prepare();
    if (!h) h = openReader(pins);
    peerRun(h, to[0], from[1]);
    _exit(0);
  }
  close(to[0]);
  close(from[1]);
  p.to = to[1];
  p.from = from[0];
  return p;
}
static inline Peer peerStart(int pins) { return peerStartWith(pins, NULL); }

static inline void peerTell(const Peer *p, int what, int view, uint64_t number) {
  PeerMessage m;
  memset(&m, 0, sizeof(m));
  m.what = what;
  m.view = view;
  m.number = m.sequence = number;
  CHECK(write(p->to, &m, sizeof(m)) == (ssize_t)sizeof(m));
}

static inline PeerMessage peerHear(const Peer *p) {
  PeerMessage m;
  CHECK(read(p->from, &m, sizeof(m)) == (ssize_t)sizeof(m));
  return m;
}

static inline PeerMessage peerAsk(const Peer *p, int what, int view, uint64_t number) {
  peerTell(p, what, view, number);
  return peerHear(p);
}

/* It pins view `view`, which is payload `number` whole. */
#define PEER_PINS(p, view, of)                                                                     \
  do {                                                                                             \
    PeerMessage m_ = peerAsk((p), PEER_READ, (view), 0);                                           \
    if (m_.rc != MMAPSYNC_OK || m_.number != (uint64_t)(of)) {                                     \
      checkFail(__LINE__, "expected that a peer reads %llu, found code %d, %llu",                  \
                (unsigned long long)(of), m_.rc, (unsigned long long)m_.number);                   \
    }                                                                                              \
  } while (0)
#define PEER_HOLDS(p, view)    CHECK(peerAsk((p), PEER_LOOK, (view), 0).whole)
#define PEER_RELEASES(p, view) CHECK(peerAsk((p), PEER_RELEASE, (view), 0).whole)

/* Kills a peer, and waits until it is gone. */
static inline void peerKill(Peer *p) {
  int status = 0;
  CHECK(kill(p->pid, SIGKILL) == 0 && waitpid(p->pid, &status, 0) == p->pid);
  CHECK(WIFSIGNALED(status));
  close(p->to);
  close(p->from);
}

/* Stops a peer, and waits until it stands still. */
static inline void peerStop(const Peer *p) {
  int status = 0;
  CHECK(kill(p->pid, SIGSTOP) == 0 && waitpid(p->pid, &status, WUNTRACED) == p->pid);
  CHECK(WIFSTOPPED(status));
}

/* Lets a peer close its handle, and end well. */
static inline void peerEnd(Peer *p) {
  int status = 0;
  peerTell(p, PEER_QUIT, 0, 0);
  CHECK(waitpid(p->pid, &status, 0) == p->pid);
  close(p->to);
  if (status != 0) checkFail(__LINE__, "a peer ended with status %x", (unsigned)status);
  close(p->from);
}

/* ---- cases for both kinds of pin that keep a view ------------------------------------------------ */

/* What a writer waits where it has to wait in vain; and where it must not come to that. */
#define GRACE_MS   20
#define FOREVER_MS 100000

static const int safeKinds[] = {MMAPSYNC_PIN_SLOT, MMAPSYNC_PIN_LOCK};

/* The grace time was waited for, and readers were left the file. */
#define REPLACED(r)                                                                                \
  do {                                                                                             \
    if ((r)->waited_ms < GRACE_MS || !(r)->replaced || (r)->reset) {                               \
      checkFail(__LINE__,                                                                          \
                "expected a grace time and a new file, found waited_ms %u replaced %d "            \
                "reset %d",                                                                        \
                (unsigned)(r)->waited_ms, (r)->replaced, (r)->reset);                              \
    }                                                                                              \
  } while (0)

/* For each safe kind of pin, on an empty channel. */
static inline void eachKind(void (*run)(int kind)) {
  size_t i;
  for (i = 0; i < 2; i++) {
    filesRemove();
    snprintf(checkAbout, sizeof(checkAbout), "%s",
             safeKinds[i] == MMAPSYNC_PIN_SLOT ? "slot" : "lock");
    run(safeKinds[i]);
  }
  checkAbout[0] = 0;
}

#endif
