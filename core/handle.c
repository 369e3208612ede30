#define _GNU_SOURCE
/*
** handle.c - making, configuring and ending a handle; names of files; failures and their sentences.
**
** mmapsync_open() touches no file of the channel.  It resolves the folder, once, to an absolute path
** without symbolic links, so that neither a later chdir() nor a link that is turned elsewhere changes
** which channel the handle is of; the last part of the path is a prefix of file names and is taken as
** it is.  The files are opened by whoever needs them first, through handleOpen().
**
** A handle whose open failed has no path.  It knows its sentence, and whatever else is asked of it
** fails in stateOpen(), where every read and every write begins.
**
** WHO CAN DO WHAT TO WHOM.  Permissions of the files decide; nothing else is asked.
**
**  1. Who may publish: whoever may write P_state, P_writer and the data files (and P_readers, if he makes the
**     channel).  He decides what readers see.
**  2. What he can do to a reader.  An image may lie: then answers are wrong, or CORRUPT, but nothing is read outside of
**     the mapping (image.h), no loop is without an end, memory is taken in proportion to what the file really holds,
**     and no name in it is taken for SQL.  That is so, too, when he changes bytes while they are looked at (shared.h,
**     and data.h, GUARD).  But what a mapped text is handed to must bear that as well, and not all of SQLite's
**     functions do: some go through a text twice, and make room by what they found first.  And if he cuts a file short,
**     a look at what is gone is a signal, SIGBUS.  For both: MMAPSYNC_TRUST_COPY (copy.c).
**  3. What a reader can do to others.  With read permission he can hold snapshots, which costs each publish that
**     meets a new pin of his the grace time, and memory for one more payload; he can take the writer's lock, for
**     flock() asks for no more, and keep publishers out (BUSY).  He cannot change what others see.
**     With write permission on P_readers he can also void the pins of others who pin by slots, so that what they
**     read is overwritten, or cut short by an honest publisher who takes it for nobody's: SIGBUS again, and again
**     MMAPSYNC_TRUST_COPY is the answer.  And he can cut that file short, which kills those who have it mapped:
**     readers by slot, and publishers but for those with MMAPSYNC_TRUST_COPY (slots.h, APART).
**     With write permission on P_state, which only the crate's readers need, he is as good as a publisher.  (One with
**     MMAPSYNC_TRUST_COPY makes it without, for the group.)
**  4. Who may write to the folder can put anything at the names.  No link is followed, and nothing is opened but
**     regular files, without a wait.  In a folder that everybody may write to, nobody publishes to files of another
**     user, or to a file that has a second name (handleOwned()).  A reader takes there what he finds: who came first
**     is the publisher.  Folders above the last are the caller's to choose.
**  5. A schema that somebody else wrote gets to read no channel, and to publish none: tables and functions that do
**     are for direct use only, and what only gives numbers obeys trusted_schema (ext/functions.c).
**  6. Paths: empty, with a NUL, or too long for the names of all files is refused before anything is opened; `..`
**     and relative ones are resolved once, as above.
*/
#include "handle.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "hash.h"
#include "sys.h"

#define SUFFIX_STATE   "_state"
#define SUFFIX_DATA_0  "_data_0"
#define SUFFIX_DATA_1  "_data_1"
#define SUFFIX_NEW_0   "_data_0_new"
#define SUFFIX_NEW_1   "_data_1_new"
#define SUFFIX_WRITER  "_writer"
#define SUFFIX_READERS "_readers"
#define SUFFIX_LONGEST (sizeof(SUFFIX_NEW_0) - 1)

/* The longest prefix, and the longest last part of one, with which all names still fit. */
#define PATH_LONGEST   (PATH_MAX - 1 - SUFFIX_LONGEST)
#define NAME_LONGEST   (NAME_MAX - SUFFIX_LONGEST)

/* How often a file that comes and goes under our hands is opened again before that is an error. */
#define OPEN_ROUNDS    16

/* Bytes hashed or copied between two calls of options.progress: a few milliseconds. */
#define HASH_STRETCH   ((size_t)16 << 20)

/* From this size on, a payload is copied past the caches. */
#define COPY_LARGE     ((size_t)8 << 20)

/* Bytes hashed and then copied, while they are still in a core's cache. */
#define HASH_CHUNK     ((size_t)128 << 10)

/* ---- failures --------------------------------------------------------------------------------- */

const char *mmapsync_errstr(int rc) {
  switch (rc) {
  case MMAPSYNC_OK: return "ok";
  case MMAPSYNC_EMPTY: return "nothing published yet";
  case MMAPSYNC_BUSY: return "busy";
  case MMAPSYNC_PERM: return "permission denied";
  case MMAPSYNC_FULL: return "no room";
  case MMAPSYNC_IOERR: return "input/output error";
  case MMAPSYNC_NOMEM: return "out of memory";
  case MMAPSYNC_TOOBIG: return "too big";
  case MMAPSYNC_CORRUPT: return "corrupt";
  case MMAPSYNC_MISUSE: return "misuse";
  case MMAPSYNC_NOTFOUND: return "not found";
  case MMAPSYNC_CONSTRAINT: return "constraint failed";
  case MMAPSYNC_INTERRUPT: return "interrupted";
  case MMAPSYNC_CANTOPEN: return "cannot open";
  case MMAPSYNC_TIMEOUT: return "timed out";
  default: return "unknown result code";
  }
}

int(handleError)(mmapsync *h, int rc, const char *fmt, ...) {
  va_list args;
  assert(rc != MMAPSYNC_OK);
  h->message[0] = 0; /* if this fails, for a name of 2 GB, it leaves what it had written */
  va_start(args, fmt);
  (void)vsnprintf(h->message, sizeof(h->message), fmt, args);
  va_end(args);
  return rc;
}

int(handleNomem)(mmapsync *h) { return handleError(h, MMAPSYNC_NOMEM, "out of memory"); }

const char *handleReason(int err, char *text, size_t n) {
  snprintf(text, n, "%s", strerror(err));
  text[0] = (char)tolower((unsigned char)text[0]);
  return text;
}

int(handleSystem)(mmapsync *h, const char *name, const char *verb, int err) {
  char reason[128];
  switch (err) {
  case EACCES:
  case EPERM: return handleError(h, MMAPSYNC_PERM, "\"%s\": permission denied", name);
  case EROFS: return handleError(h, MMAPSYNC_PERM, "\"%s\": read-only file system", name);
  case ENOENT: return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": no such file", name);
  case ELOOP: return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": is a symbolic link", name);
  case EISDIR:
  case ENXIO: return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": not a regular file", name);
  case ENOSPC:
  case EDQUOT: return handleError(h, MMAPSYNC_FULL, "\"%s\": no room on the device", name);
  case EFBIG:
    return handleError(h, MMAPSYNC_TOOBIG, "\"%s\": over the largest size of a file", name);
  case ENOMEM:
    return handleError(h, MMAPSYNC_NOMEM, "\"%s\": cannot %s: out of memory", name, verb);
  default:
    return handleError(h, MMAPSYNC_IOERR, "\"%s\": cannot %s: %s", name, verb,
                       handleReason(err, reason, sizeof(reason)));
  }
}

int handleRoom(mmapsync *h, const char *name, size_t n, int err) {
  if (err != ENOSPC && err != EDQUOT) return handleSystem(h, name, "reserve room", err);
  return handleError(h, MMAPSYNC_FULL, "\"%s\": no room for %zu bytes", name, n);
}

int handleProgress(mmapsync *h) {
  if (!h->opt.progress || h->opt.progress(h->opt.progress_arg) == 0) return MMAPSYNC_OK;
  return handleError(h, MMAPSYNC_INTERRUPT, "interrupted");
}

const char *mmapsync_errmsg(const mmapsync *h) {
  return h ? h->message : mmapsync_errstr(MMAPSYNC_NOMEM);
}

/* ---- work on many bytes ----------------------------------------------------------------------- */

/*
** Copies a chunk of a large payload past the caches, where the machine has stores that do so.  A plain
** store first fetches the line it overwrites, which is a third of the traffic; of a payload that is
** larger than the caches nothing would be left there for readers anyway.  `to` is 64-byte aligned,
** since chunks of a payload are.
*/
static void copyPast(uint8_t *to, const uint8_t *from, size_t n) {
#if defined(__SSE2__)
  while (n >= 64) {
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)from);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(from + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(from + 32));
    __m128i d = _mm_loadu_si128((const __m128i *)(const void *)(from + 48));
    _mm_stream_si128((__m128i *)(void *)to, a);
    _mm_stream_si128((__m128i *)(void *)(to + 16), b);
    _mm_stream_si128((__m128i *)(void *)(to + 32), c);
    _mm_stream_si128((__m128i *)(void *)(to + 48), d);
    to += 64;
    from += 64;
    n -= 64;
  }
  _mm_sfence(); /* such stores keep no order of their own: before what comes next, the switch above all */
#endif
  if (n) memcpy(to, from, n);
}

int handleHash(mmapsync *h, void *to, const void *from, size_t n, uint64_t *hash) {
  const uint8_t *p = from;
  uint8_t *q = to;
  Hash state;
  int large = n >= COPY_LARGE;
  size_t chunk, stretch = 0;

  if (n <= HASH_CHUNK) {
    *hash = hashBytes(from, n);
    if (to && n) memcpy(to, from, n);
    return MMAPSYNC_OK;
  }
  hashStart(&state);
  while (n) {
    chunk = n < HASH_CHUNK ? n : HASH_CHUNK;
    hashMore(&state, p, chunk);
    if (q) {
      if (large) {
        copyPast(q, p, chunk);
      } else {
        memcpy(q, p, chunk);
      }
      q += chunk;
    }
    p += chunk;
    n -= chunk;
    stretch += chunk;
    if (stretch >= HASH_STRETCH) {
      int rc = handleProgress(h);
      if (rc != MMAPSYNC_OK) return rc;
      if (q) progressDone(h, 0, (uint64_t)(q - (uint8_t *)to));
      stretch = 0;
    }
  }
  *hash = hashEnd(&state);
  return MMAPSYNC_OK;
}

/* ---- files ------------------------------------------------------------------------------------ */

/*
** In a folder that everybody may write to, like /tmp, a file may have been put there by somebody else before us, to
** get what we publish, or to cut it short when we have it mapped; and it may be another name of a file of ours, to have us
** overwrite that.  So there a publisher (`mode`: it makes what is missing) writes only to files of its own, or of
** the folder's owner, and nobody to one with two names.
*/
static int handleOwned(mmapsync *h, const char *name, int flags, mode_t mode,
                       const struct stat *st) {
  if (!h->common || (flags & O_ACCMODE) == O_RDONLY) return MMAPSYNC_OK;
  if (st->st_nlink > 1) {
    return handleError(h, MMAPSYNC_PERM,
                       "\"%s\": has another name, in a folder that everybody may write to", name);
  }
  if (mode && st->st_uid != geteuid() && st->st_uid != h->owner) {
    return handleError(h, MMAPSYNC_PERM,
                       "\"%s\": owned by user %u, in a folder that everybody may write to", name,
                       (unsigned)st->st_uid);
  }
  return MMAPSYNC_OK;
}

/*
** A file that exists is opened without O_CREAT: in a folder like /tmp, some kernels refuse O_CREAT
** even for an existing file, if it is another user's (fs.protected_regular).  So making one is a
** second step, with O_EXCL, and both are tried again if somebody came in between.
**
** O_NONBLOCK has no effect on a regular file; without it the open of a FIFO would wait for its other
** end.
*/
int handleOpen(mmapsync *h, const char *name, int flags, mode_t mode, int *fd, struct stat *st,
               int *created) {
  int round, err = 0;

  flags |= O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  *fd = -1;
  for (round = 0; round < OPEN_ROUNDS; round++) {
    *fd = sysOpen(name, flags, 0);
    if (*fd >= 0) break;
    err = errno;
    if (err != ENOENT) return handleSystem(h, name, "open", err);
    if (!mode) return MMAPSYNC_NOTFOUND;
    *fd = sysOpen(name, flags | O_CREAT | O_EXCL, mode);
    if (*fd >= 0) {
      *created = 1;
      break;
    }
    err = errno;
    if (err == ENOENT) {
      return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": no such folder", h->folder);
    }
    if (err != EEXIST) return handleSystem(h, name, "create", err);
  }
  if (*fd < 0) return handleSystem(h, name, "open", err);

  if (sysFstat(*fd, st) != 0) {
    int rc = handleSystem(h, name, "look at", errno);
    sysClose(*fd);
    *fd = -1;
    return rc;
  }
  if (!S_ISREG(st->st_mode)) {
    err = handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": not a regular file", name);
  } else {
    err = handleOwned(h, name, flags, mode, st);
  }
  if (err != MMAPSYNC_OK) {
    sysClose(*fd);
    *fd = -1;
  }
  return err;
}

void handleUnlock(mmapsync *h) {
  HandleWriter *w = &h->writer;
  if (!w->locked) return;
  assert(h->state != NULL);
  /* The lock is one for all copies of a descriptor: a child that ends its copy of a handle must leave
  ** the parent its lock. */
  if (!handleForked(h)) sysLock(h->state->fd, LOCK_UN);
  w->locked = 0;
}

int handleForked(const mmapsync *h) { return h->state && pinsForked(h->state); }

int handleChild(mmapsync *h) {
  assert(handleForked(h));
  if (h->builder) {
    return handleError(h, MMAPSYNC_MISUSE,
                       "\"%s\": a table image is being built by the parent of this process",
                       h->path);
  }
  writeAbort(h);
  handleDetach(h);
  return MMAPSYNC_OK;
}

#ifdef MMAPSYNC_DEBUG
static _Thread_local char handleThread; /* its address stands for the thread */

void handleBegin(mmapsync *h, const char *what) {
  const void *none = NULL;
  /* relaxed: two threads that meet here are wrong in whatever order they come */
  if (atomic_load_explicit(&h->user, memory_order_relaxed) != &handleThread &&
      !atomic_compare_exchange_strong_explicit(&h->user, &none, &handleThread, memory_order_relaxed,
                                               memory_order_relaxed)) {
    fprintf(stderr, "mmapsync: %s: another thread is in a call on this handle (\"%s\")\n", what,
            mmapsync_path(h));
    abort();
  }
  h->depth++;
}

void handleEnd(mmapsync *h) {
  if (--h->depth == 0) atomic_store_explicit(&h->user, NULL, memory_order_relaxed);
}
#endif

void handleDetach(mmapsync *h) {
  int i;
  gateShut(h);
  h->head.gate = &gateNone;
  /* A view may keep the descriptor open, and the lock lives as long as that does: give it back. */
  handleUnlock(h);
  for (i = 0; i < 2; i++) {
    dataClose(&h->writer.file[i]);
    dataUnref(h->maps[i]);
    h->maps[i] = NULL;
  }
  drainClose(h);
  stateUnref(h->state);
  h->state = NULL;
  /* A channel made anew may come to the same words and numbers with other bytes. */
  h->about.version = 0;
  h->prepared = 0;
  h->last_version = 0;
  h->checked_version = 0;
  h->waited_version = 0;
  h->writer.synced = 0;
}

/* ---- open, configure, close ------------------------------------------------------------------- */

void mmapsync_options_init(mmapsync_options *opt) {
  memset(opt, 0, sizeof(*opt));
  opt->grace_ms = 1000;
  opt->lock = MMAPSYNC_LOCK_WRITE;
  opt->verify = MMAPSYNC_VERIFY_NEVER;
}

static int handleOptions(mmapsync *h, const mmapsync_options *opt) {
  if (opt->lock != MMAPSYNC_LOCK_WRITE && opt->lock != MMAPSYNC_LOCK_HOLD &&
      opt->lock != MMAPSYNC_LOCK_NONE) {
    return handleError(h, MMAPSYNC_MISUSE, "option lock: expected 0, 1 or 2, found %d", opt->lock);
  }
  if (opt->verify != MMAPSYNC_VERIFY_NEVER && opt->verify != MMAPSYNC_VERIFY_ATTACH &&
      opt->verify != MMAPSYNC_VERIFY_SNAPSHOT) {
    return handleError(h, MMAPSYNC_MISUSE, "option verify: expected 0, 1 or 2, found %d",
                       opt->verify);
  }
  if (opt->durable != 0 && opt->durable != 1) {
    return handleError(h, MMAPSYNC_MISUSE, "option durable: expected 0 or 1, found %d",
                       opt->durable);
  }
  if (opt->threads < 0 || opt->threads > MMAPSYNC_THREADS_MOST) {
    return handleError(h, MMAPSYNC_MISUSE, "option threads: expected 0 to %d, found %d",
                       MMAPSYNC_THREADS_MOST, opt->threads);
  }
  if (opt->pins < MMAPSYNC_PIN_AUTO || opt->pins > MMAPSYNC_PIN_COUNTER) {
    return handleError(h, MMAPSYNC_MISUSE, "option pins: expected 0, 1, 2 or 3, found %d",
                       opt->pins);
  }
  if (opt->foreign != MMAPSYNC_FOREIGN_RESET && opt->foreign != MMAPSYNC_FOREIGN_BUSY) {
    return handleError(h, MMAPSYNC_MISUSE, "option foreign: expected 0 or 1, found %d",
                       opt->foreign);
  }
  if (opt->trust != MMAPSYNC_TRUST_MAP && opt->trust != MMAPSYNC_TRUST_COPY) {
    return handleError(h, MMAPSYNC_MISUSE, "option trust: expected 0 or 1, found %d", opt->trust);
  }
  if (opt->stamp != 0 && opt->stamp != 1) {
    return handleError(h, MMAPSYNC_MISUSE, "option stamp: expected 0 or 1, found %d", opt->stamp);
  }
  h->opt = *opt;
  return MMAPSYNC_OK;
}

/* The folder part of `path`, as an absolute path, into real[PATH_MAX]. */
static int handleFolder(mmapsync *h, const char *path, size_t n, char *real) {
  char given[PATH_MAX];
  struct stat st = {0};
  int err = 0;

  if (n == 0) {
    given[0] = '.';
    n = 1;
  } else {
    memcpy(given, path, n);
  }
  given[n] = 0;
  if (sysRealPath(given, real) != 0 || sysStat(real, &st) != 0) err = errno;
  switch (err) {
  case 0:
    h->common = (st.st_mode & S_IWOTH) != 0;
    h->owner = st.st_uid;
    if (S_ISDIR(st.st_mode)) return MMAPSYNC_OK;
    return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": not a folder", given);
  case ENOENT: return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": no such folder", given);
  case ENOTDIR: return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": not a folder", given);
  case ELOOP: return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": too many symbolic links", given);
  case ENAMETOOLONG: return handleError(h, MMAPSYNC_TOOBIG, "\"%s\": path too long", given);
  default: return handleSystem(h, given, "resolve", err);
  }
}

/* Sets all names of the handle from the folder's absolute path and the prefix of the files' names. */
static int handleNames(mmapsync *h, const char *folder, const char *base) {
  const char *slash = strcmp(folder, "/") == 0 ? "" : "/";
  size_t length = strlen(folder) + strlen(slash) + strlen(base);
  size_t room = length + SUFFIX_LONGEST + 1;
  char *p;

  if (length > PATH_LONGEST) {
    return handleError(h, MMAPSYNC_TOOBIG,
                       "\"%.60s...\": path too long: expected at most %zu bytes, found %zu", folder,
                       (size_t)PATH_LONGEST, length);
  }
  p = malloc(8 * room + strlen(folder) + 1);
  if (!p) return handleNomem(h);
  h->path = p;
  h->state_name = p + room;
  h->data_name[0] = p + 2 * room;
  h->data_name[1] = p + 3 * room;
  h->new_name[0] = p + 4 * room;
  h->new_name[1] = p + 5 * room;
  h->writer_name = p + 6 * room;
  h->readers_name = p + 7 * room;
  h->folder = p + 8 * room;
  stpcpy(stpcpy(stpcpy(h->path, folder), slash), base);
  stpcpy(stpcpy(h->state_name, h->path), SUFFIX_STATE);
  stpcpy(stpcpy(h->data_name[0], h->path), SUFFIX_DATA_0);
  stpcpy(stpcpy(h->data_name[1], h->path), SUFFIX_DATA_1);
  stpcpy(stpcpy(h->new_name[0], h->path), SUFFIX_NEW_0);
  stpcpy(stpcpy(h->new_name[1], h->path), SUFFIX_NEW_1);
  stpcpy(stpcpy(h->writer_name, h->path), SUFFIX_WRITER);
  stpcpy(stpcpy(h->readers_name, h->path), SUFFIX_READERS);
  stpcpy(h->folder, folder);
  return MMAPSYNC_OK;
}

int mmapsync_open(const char *path, const mmapsync_options *opt, mmapsync **out) {
  mmapsync_options defaults;
  char real[PATH_MAX];
  const char *slash, *base;
  size_t n;
  mmapsync *h;
  int rc;

  *out = h = calloc(1, sizeof(*h));
  if (!h) return MMAPSYNC_NOMEM;
  h->head.gate = &gateNone;
  h->writer.file[0].fd = h->writer.file[1].fd = -1;
  h->writer.drain.page.fd = h->writer.drain.slots.fd = -1;
  h->page = (size_t)sysconf(_SC_PAGESIZE);
  mmapsync_options_init(&defaults);
  rc = handleOptions(h, opt ? opt : &defaults);
  if (rc != MMAPSYNC_OK) return rc;

  n = path ? strlen(path) : 0;
  if (n == 0) return handleError(h, MMAPSYNC_MISUSE, "the path is empty");
  if (n >= PATH_MAX) {
    return handleError(h, MMAPSYNC_TOOBIG,
                       "\"%.60s...\": path too long: expected at most %zu bytes, found %zu", path,
                       (size_t)PATH_LONGEST, n);
  }
  slash = strrchr(path, '/');
  base = slash ? slash + 1 : path;
  if (!*base) {
    return handleError(h, MMAPSYNC_MISUSE, "\"%s\": a folder: expected a name after the last slash",
                       path);
  }
  if (strlen(base) > NAME_LONGEST) {
    return handleError(h, MMAPSYNC_TOOBIG,
                       "\"%.60s...\": name too long: expected at most %zu bytes, found %zu", base,
                       (size_t)NAME_LONGEST, strlen(base));
  }
  /* Of "/name" the folder is "/", of "a/name" it is "a", of "name" it is none. */
  rc = handleFolder(h, path, slash ? (slash == path ? 1 : (size_t)(slash - path)) : 0, real);
  if (rc != MMAPSYNC_OK) return rc;
  return handleNames(h, real, base);
}

int mmapsync_configure(mmapsync *h, const mmapsync_options *opt) {
  int rc, pins, trust;
  if (h->writer.open) {
    return handleError(h, MMAPSYNC_MISUSE, "\"%s\": a write is open", h->path);
  }
  pins = h->opt.pins;
  trust = h->opt.trust;
  rc = handleOptions(h, opt);
  if (rc != MMAPSYNC_OK) return rc;
  gateShut(h);
  h->prepared = 0;
  if (opt->trust != trust) {
    copyForget(h);
    handleDetach(h);
  }
  if (h->state && opt->pins != pins) {
    h->state->pins->kind = 0; /* the next read attaches anew */
    h->state->pins->chosen = 0;
  }
  if (h->opt.lock != MMAPSYNC_LOCK_HOLD) handleUnlock(h);
  /* Until now, or from now on, there may be other writers. */
  h->writer.file[0].trusted = h->writer.file[1].trusted = 0;
  return MMAPSYNC_OK;
}

const mmapsync_options *mmapsync_options_of(const mmapsync *h) { return &h->opt; }

const char *mmapsync_path(const mmapsync *h) { return h->path ? h->path : ""; }

void mmapsync_close(mmapsync *h) {
  if (!h) return;
  /* That view is the handle's own: nobody else could end it, and its slot would pin to the end of the process. */
  while (h->head.out == GATE_ENTERED || h->entries > 0) mmapsync_leave(h);
  if (h->builder) mmapsync_build_abort(h->builder);
  if (h->writer.open) writeAbort(h);
  handleDetach(h);
  copyForget(h);
  free(h->path);
  free(h);
}
