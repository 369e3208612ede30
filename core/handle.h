/*
** handle.h - what is behind an `mmapsync *`, and the helpers that all of core shares.
**
** A handle is the place where everything of one user of one channel meets: the options, the open
** state file, the mappings a reader has, the files a writer has open, the write in progress and the
** sentence of the last failure.  It belongs to one thread at a time, so nothing in it is atomic and
** nothing is locked; what is shared between processes is in state.h.
*/
#ifndef MMAPSYNC_HANDLE_H
#define MMAPSYNC_HANDLE_H

#include <sys/stat.h>

#include "data.h"
#include "gate.h"
#include "mmapsync.h"
#include "pins.h"
#include "state.h"

/* Room for a sentence: one path, and what is to be said about it. */
#define HANDLE_MESSAGE_MAX 4608

/* What the trailer of a snapshot told, kept so that it is decoded once a snapshot.  `word` is what
** stood at the place of the trailer's sequence, whether the trailer is valid or not: when the
** version word has come back, this tells whether the snapshot is another one. */
typedef struct HandleAbout {
  uint64_t version; /* 0: nothing kept */
  uint64_t word;
  int valid; /* the trailer is; otherwise all of it is 0 but `kind`, which is RAW */
  Trailer trailer;
} HandleAbout;

/* What a writer knows of readers.  Owned by drain.c. */
typedef struct HandleDrain {
  Page page;       /* P_writer, for writing */
  Slots slots;     /* P_readers, all slots */
  uint64_t window; /* until when this handle, as it said in P_writer, does not look at lock pins */
  int fresh;       /* the lock was taken since slots were last looked at */
  mmapsync_reader
      held[MMAPSYNC_HELD_MOST + 1]; /* who held at the end of the last grace time; and room
                                                 ** for who is one too many */
  uint32_t nheld;
} HandleDrain;

/* The write in progress, and what this handle knows as a writer.  Owned by write.c. */
typedef struct HandleWriter {
  DataFile file[2];         /* the data files, open for writing */
  int locked;               /* this handle holds the writer's lock */
  uint32_t pid;             /* of this process, for the trailer and to know a child by */
  int folder_synced;        /* no file was created since the folder was synced */
  uint64_t synced;          /* a version word that is known to be on the disk, or 0 ... */
  uint64_t synced_sequence; /* ... and whose: a word may come back */
  uint64_t last;            /* the highest sequence this handle has published or met */
  int open;                 /* a write is open: the rest is in force */
  unsigned index;           /* the file it writes to */
  size_t limit;             /* payload bytes handed out */
  size_t before;            /* length of that file before this write */
  uint64_t active;          /* the version word in force when the write began, or 0 */
  uint64_t carried;         /* the version word the file carried before this write; 0: unknown */
  uint64_t carried_hash;    /* hash of those bytes, if ... */
  int carried_known;        /* ... this is set */
  uint64_t sequence;        /* the number this write will have */
  uint32_t waited_ms;       /* for the result */
  int reset;                /* likewise; kept from a write that published nothing */
  int replaced;             /* likewise: readers are left the file, and a new one is written */
  int foreign;              /* a counter was met that is not 0: there are readers of the crate */
  int renew;     /* this write is to a new file, for that reason or to make it smaller ... */
  int renewed;   /* ... which has been begun, and has no name of its own yet */
  int told;      /* P_writer says that a publish is in progress ... */
  int shown;     /* ... and the lock that shows it is held */
  uint64_t boot; /* of the machine; 0: not asked yet */
  HandleDrain drain;
} HandleWriter;

struct mmapsync {
  /* What a read touches. */
  struct mmapsync_head head; /* gate.h; comes first: mmapsync_enter() knows it */
  State *state;              /* the open state file; NULL until it is needed */
  DataMap *maps[2];          /* the newest mapping of each data file, or NULL */
  DataMap *copy;             /* of a reader that maps nothing: the newest copy, or NULL ... */
  Trailer copied;            /* ... and its trailer */
  HandleAbout about;         /* of the snapshot last met */
  uint64_t last_version;     /* what mmapsync_read() gave last, for `switched` */
  uint64_t last_sequence;
  uint64_t checked_version; /* what was last compared with its hash */
  uint64_t checked_sequence;
  uint64_t waited_version; /* what mmapsync_wait() told last */
  int prepared;            /* gatePrepare() was called, and its mapping is the newest still */
  uint32_t views;          /* that are held, and counted: G1 of gate.h */
  uint32_t entries; /* mmapsync_enter() without mmapsync_leave(), when that is counted, too ... */
  mmapsync_view entry;          /* ... by this view ... */
  const mmapsync_view *entered; /* ... which was given as that one */

  mmapsync_options opt;
  HandleWriter writer;

  /* The builder whose write is open: mmapsync_close() aborts it, and meanwhile the public functions
  ** for writing leave the write alone.  Set and cleared by the builder. */
  mmapsync_builder *builder;

  /* Names, all in one block of memory that `path` starts; path is NULL if open failed. */
  char *path;         /* the prefix */
  char *folder;       /* the folder the files are in */
  char *state_name;   /* P_state */
  char *data_name[2]; /* P_data_0 and P_data_1 */
  char *new_name[2];  /* P_data_0_new and P_data_1_new: a file that is to replace one of those */
  char *writer_name;  /* P_writer */
  char *readers_name; /* P_readers */
  size_t page;        /* bytes of a page of memory */
  int common;         /* everybody may write to the folder ... */
  uid_t owner;        /* ... which is this user's */
  int state_look;     /* errno of the last look for P_state by its name; 0 if there was a file */

#ifdef MMAPSYNC_DEBUG
  _Atomic(const void *) user; /* the thread that is in a call on this handle */
  int depth;                  /* of its calls */
#endif
  char message[HANDLE_MESSAGE_MAX];
};

/*
** A debug build (MMAPSYNC_DEBUG) stops a program that is in two calls on one handle at once; `what` is told
** on standard error.  Others do not look.
*/
#ifdef MMAPSYNC_DEBUG
void handleBegin(mmapsync *h, const char *what);
void handleEnd(mmapsync *h);
#else
static inline void handleBegin(mmapsync *h, const char *what) {
  (void)h;
  (void)what;
}
static inline void handleEnd(mmapsync *h) { (void)h; }
#endif

#if defined(__GNUC__)
#define HANDLE_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define HANDLE_PRINTF(f, a)
#endif

/* Keeps the sentence for mmapsync_errmsg() and returns rc.  The arguments must not point into
** h->message. */
int handleError(mmapsync *h, int rc, const char *fmt, ...) HANDLE_PRINTF(3, 4);

/* The same for a system call on the file `name` that failed with the error number err: chooses the
** code, and says `"name": cannot <verb>: <reason>` where nothing better is known. */
int handleSystem(mmapsync *h, const char *name, const char *verb, int err);

/* FULL, or what else posix_fallocate() has failed with, for n bytes of the file `name`. */
int handleRoom(mmapsync *h, const char *name, size_t n, int err);

/* What the C library says of an error number, in lower case as our sentences are, in text[n]. */
const char *handleReason(int err, char *text, size_t n);

/* Opens a file of the channel.  Never follows a symbolic link,
** takes regular files only, and in a folder that is everybody's no file for writing that may be a trap.  With mode not 0, makes the file if there is none, and sets *created.
** On success *fd and *st are of the open file; otherwise *fd is -1.  NOTFOUND, without a sentence, if
** there is no such file and mode is 0; CANTOPEN; PERM; others of handleSystem(). */
int handleOpen(mmapsync *h, const char *name, int flags, mode_t mode, int *fd, struct stat *st,
               int *created);

/* `out of memory`. */
int handleNomem(mmapsync *h);

/*
** What these three return is never OK, which a static analyzer that looks at one file at a time cannot know: it
** would follow every failure on as if there had been none.  (Where they are defined, parentheses keep the macros off.)
*/
#ifdef __clang_analyzer__
#define handleError(h, rc, ...)          (handleError(h, rc, __VA_ARGS__), (rc))
#define handleSystem(h, name, verb, err) (handleSystem(h, name, verb, err), MMAPSYNC_IOERR)
#define handleNomem(h)                   (handleNomem(h), MMAPSYNC_NOMEM)
#endif

/* Whether *st is of the file of that device and inode. */
static inline int handleSame(const struct stat *st, dev_t device, ino_t inode) {
  return ((st->st_dev ^ device) | (st->st_ino ^ inode)) == 0;
}

/* Asks options.progress whether to go on: MMAPSYNC_OK, or MMAPSYNC_INTERRUPT with a sentence. */
int handleProgress(mmapsync *h);

/* Hashes n bytes, and if `to` is not NULL copies them there on the way, asking for leave to go on
** now and then.  OK or INTERRUPT. */
int handleHash(mmapsync *h, void *to, const void *from, size_t n, uint64_t *hash);

/* Whether this process is not the one that opened the files of this handle, but a child of it. */
int handleForked(const mmapsync *h);

/* For a child, which has a copy of its parent's handle: gives up what belongs to the parent, so that the
** files are opened anew.  MISUSE if the parent was building a table image with it. */
int handleChild(mmapsync *h);

/* Gives the writer's lock back, if this handle has it. */
void handleUnlock(mmapsync *h);

/* Gives up the open state file and everything that belongs to it (mappings, data files open for
** writing, the writer's lock); views that are held keep what they need. */
void handleDetach(mmapsync *h);

/* In write.c: the open write, for the builder, whose write the public functions do not touch.  As
** mmapsync_write_grow(), _commit() and _abort(). */
int writeGrow(mmapsync *h, size_t reserve, void **data);
int writeCommit(mmapsync *h, size_t size, uint32_t kind, mmapsync_result *out);
void writeAbort(mmapsync *h);

/* In progress.c, for the writer.  progressTell() says in P_writer that a publish is in progress, and what it
** does (MMAPSYNC_PHASE_...), for who takes the lock after us; progressShow() also shows it to those who ask.
** progressTable() and progressDone() say of which table, and how far.  progressEnd() ends that; `swept` is 0 if
** the next writer has to tidy up. */
#define PROGRESS_LEAST ((size_t)1 << 20)
void progressTell(mmapsync *h, uint32_t phase);
void progressShow(mmapsync *h, uint32_t phase);
void progressTable(mmapsync *h, const char *name);
void progressDone(mmapsync *h, uint64_t rows, uint64_t bytes);
void progressEnd(mmapsync *h, int swept);

/* In drain.c, for write.c.  drainOpen() opens what the wait takes, with the lock held; drainWait() waits
** until nobody reads file w->index: sets w->waited_ms and w->reset, and w->renew and w->replaced if readers
** are left the file.  drainWaiting(), before the switch, takes note of who waits for it, and drainWake() after it
** wakes them and who came in between. */
int drainOpen(mmapsync *h, int fresh);
int drainWait(mmapsync *h);
int drainWaiting(mmapsync *h);
void drainWake(mmapsync *h, int waiting);
void drainClose(mmapsync *h);

/* In readers.c: what a slot says, as the pin word `word` was seen in it; all but `alive`. */
void readersSlot(const Slot *slot, uint32_t number, uint64_t word, mmapsync_reader *out);

/* In copy.c, for read.c, where options.trust is MMAPSYNC_TRUST_COPY.  copyRead() is mmapsync_read() without
** `switched`; with `anew` the payload is read again even if there is a copy of it.  copyLook() only looks what is
** newest.  copyForget() gives the copy up; views keep it. */
int copyRead(mmapsync *h, int anew, mmapsync_view *view);
int copyLook(mmapsync *h, uint64_t *version, uint64_t *sequence);
void copyForget(mmapsync *h);

/* In read.c: mmapsync_read() without comparing hashes, and without `switched`.  For write.c: the trailer of
** the active snapshot. */
int readPin(mmapsync *h, mmapsync_view *view);
int readActive(mmapsync *h, uint64_t version, Trailer *out, int *valid);

/* For gate.c: all of mmapsync_read(), for the first time that a snapshot is met; and of mmapsync_release(), for a
** view that is counted. */
int readFirst(mmapsync *h, mmapsync_view *view);
void readRelease(mmapsync *h, mmapsync_view *view);

/* For wait.c: the version word and the sequence of the newest snapshot. */
int readLook(mmapsync *h, uint64_t *version, uint64_t *sequence);

#endif
