/*
** mmapsync.h - the whole public interface of the mmapsync core.
**
** One process publishes a snapshot into memory-mapped files; any number of processes on the same
** machine read the newest one, in place, without a lock and without a copy.  A snapshot is either
** plain bytes or a set of typed tables with keys.  Nothing here needs SQLite.
**
** A channel is named by a path prefix.  For "/dev/shm/shop" the files are
**
**     /dev/shm/shop_state      16 bytes, mode 0660: which data file is active
**     /dev/shm/shop_data_0     mode 0640: a payload, and 64 bytes of ours behind it
**     /dev/shm/shop_data_1     the other one
**     /dev/shm/shop_writer     one page, mode 0640: what the writer tells readers
**     /dev/shm/shop_readers    grows by pages, mode 0660: a slot for each reader, which it tells the writer by
**
** (modes before the umask).  A complete program, which a test compiles and runs:
**
**     #include "mmapsync.h"
**     #include <stdio.h>
**     #include <string.h>
**
**     int main(int argc, char **argv) {
**       const char *path = argc > 1 ? argv[1] : "/tmp/hello_world";
**       static const mmapsync_column_def cols[] = {
**           {.name = "sku", .type = "TEXT"}, {.name = "cents", .type = "INTEGER"}};
**       static const mmapsync_part_def by_sku[] = {{.column = 0}};
**       static const mmapsync_key_def keys[] = {
**           {.name = "sku", .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_PRIMARY,
**            .parts = by_sku, .nparts = 1}};
**       static const mmapsync_table_def prices = {
**           .name = "prices", .columns = cols, .ncolumns = 2, .keys = keys, .nkeys = 1,
**           .rowid = -1};
**
**       mmapsync *h = NULL;
**       mmapsync_builder *b = NULL;
**       mmapsync_result done;
**       int rc = mmapsync_open(path, NULL, &h);
**       if (rc == MMAPSYNC_OK) rc = mmapsync_build_begin(h, &b);
**       if (rc == MMAPSYNC_OK) rc = mmapsync_build_table(b, &prices);
**       if (rc == MMAPSYNC_OK) {
**         mmapsync_build_text(b, "A-17", 4);
**         mmapsync_build_int(b, 1299);
**         rc = mmapsync_build_row(b);
**       }
**       if (rc == MMAPSYNC_OK) rc = mmapsync_build_commit(b, &done);
**       if (rc != MMAPSYNC_OK) {
**         fprintf(stderr, "%s\n", h ? mmapsync_errmsg(h) : mmapsync_errstr(rc));
**         mmapsync_close(h);
**         return 1;
**       }
**       printf("published snapshot %llu\n", (unsigned long long)done.sequence);
**
**       mmapsync_view view;
**       mmapsync_image *image = NULL;
**       uint64_t row;
**       mmapsync_value sku = {.type = MMAPSYNC_TEXT, .n = 4, .u.p = "A-17"}, cents;
**       rc = mmapsync_read(h, &view);
**       if (rc == MMAPSYNC_OK) rc = mmapsync_image_open(h, &view, &image);
**       if (rc == MMAPSYNC_OK) {
**         const mmapsync_table *t = mmapsync_table_find(image, "prices");
**         rc = mmapsync_find(t, 0, &sku, 1, &row);
**         if (rc == MMAPSYNC_OK) rc = mmapsync_get(t, row, 1, &cents);
**         if (rc == MMAPSYNC_OK) printf("A-17 costs %lld cents\n", (long long)cents.u.i);
**         mmapsync_image_close(image);
**         mmapsync_release(h, &view);
**       }
**       mmapsync_close(h);
**       return rc == MMAPSYNC_OK ? 0 : 1;
**     }
**
** THREADS.  A handle, with its views, images and builder, belongs to one thread at a time; different
** handles, of one channel too, are independent.  Nothing here keeps state outside its handle.  A library that
** was compiled with MMAPSYNC_DEBUG aborts where two threads are in calls on one handle at once.
**
** FORK.  After fork() a child may go on with its copy of a handle: it attaches to the channel anew.  Views that
** it has inherited stay good for as long as the parent holds its own; releasing them in the child, or closing
** the handle there, does nothing to the parent, its lock or its open write.  A write or a builder that was open
** is the parent's.  While a child lives that has inherited a handle and not used it since, a parent that dies
** looks alive to writers, as one who is slow.
**
** MEMORY.  What a function hands out through a pointer to a pointer is the caller's to give back with
** the function its comment names.  Pointers into a snapshot (view.data, text and blobs of an image)
** stay good until the view they came from is released.
**
** ERRORS.  Every function that can fail returns one of the codes below.  Those that take a handle or a
** builder leave a sentence for mmapsync_errmsg(), which names the file and says what was expected and
** what was found; those that read values and keys of an image are quick, and leave only the code.
**
** PERMISSION.  A reader needs read permission on the state file, P_writer and the data files.  If it may write
** P_readers, too, a read costs a few nanoseconds (mmapsync_enter()); if it may not, two system calls.  What a writer of another
** kind, the mmap-sync crate, publishes can only be read by who may write the state file.
**    In a folder that everybody may write to, a writer gets PERM for a file of another user, but for the folder's
** owner, and for one that has a second name.  Who can do what to whom is at the head of handle.c.
**
** PATIENCE.  A write waits for readers of the older snapshot, at most options.grace_ms.  Readers that have died
** are not waited for.  Who still holds a view when that time is over keeps it, with its bytes: the write goes
** to a new file (result.replaced), and nobody waits for that view again, whatever handle or process writes next.
** (A writer that is killed, or fails, before it has given the new file the old one's name leaves the wait to the
** next.)  This takes memory for one more payload while the view lasts.  A handle that writes while it holds a
** view of the older snapshot itself does not wait for itself.
**    Views by counter (MMAPSYNC_PIN_COUNTER) are different: one that outlives the grace time loses its snapshot:
** the file is overwritten under it, also by a write that is aborted in the end; the next result of that handle
** says `reset`; and nothing read through the view from then on can be relied on.
**
** REMOVING.  Who removes the files of a channel that is in use, and makes it anew, has two channels of
** one name for a while.  A reader goes over to the new one when it finds nothing published in the old, or
** has to map a file.  One that has all it needs mapped stays with the old one, where nothing new ever
** comes, until it is given a new handle.  A writer goes over when it takes the lock: one with LOCK_HOLD
** or LOCK_NONE does not look, and if only the state file was removed it writes to the data files of the
** new one.  So end the writers first; remove all files of a channel or none; and do not cut one short, which
** kills who looks at the missing part (SIGBUS).  Nor close the descriptors of a handle behind its back
** (closefrom() and the like): its slot would pass for a dead reader's.
**
** FILE SIZE.  A process that goes over its limit RLIMIT_FSIZE gets the signal SIGXFSZ from the kernel, and
** ends; if it ignores that signal, the write fails with MMAPSYNC_TOOBIG.
*/
#ifndef MMAPSYNC_H
#define MMAPSYNC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Also for programs in C of 1990, which has no such word. */
#ifdef __GNUC__
#define MMAPSYNC_INLINE static __inline__
#else
#define MMAPSYNC_INLINE static inline
#endif

#define MMAPSYNC_VERSION    "0.1.0"

/* The format of table images that this library writes, and the newest it reads: of format 1 it reads all but
** what that does not tell (numeric text, distinct values). */
#define MMAPSYNC_FORMAT     2

/* Result codes. */
#define MMAPSYNC_OK         0  /* it worked */
#define MMAPSYNC_EMPTY      1  /* nothing was published on this channel yet */
#define MMAPSYNC_BUSY       2  /* another writer holds the writer's lock */
#define MMAPSYNC_PERM       3  /* the operating system says: no permission */
#define MMAPSYNC_FULL       4  /* no room on the device, or over a quota */
#define MMAPSYNC_IOERR      5  /* another system call failed */
#define MMAPSYNC_NOMEM      6  /* out of memory */
#define MMAPSYNC_TOOBIG     7  /* over a limit of the format: 2^39-1 bytes, 2^32-2 rows, ... */
#define MMAPSYNC_CORRUPT    8  /* a file is damaged, or not one of a channel */
#define MMAPSYNC_MISUSE     9  /* the caller broke a rule of this page */
#define MMAPSYNC_NOTFOUND   10 /* no such row */
#define MMAPSYNC_CONSTRAINT 11 /* a duplicate in a unique key, or NULL where a key forbids it */
#define MMAPSYNC_INTERRUPT  12 /* options.progress asked to stop */
#define MMAPSYNC_CANTOPEN   13 /* a file or its folder is missing or is not what it should be */
#define MMAPSYNC_TIMEOUT    14 /* mmapsync_wait(): nothing newer came in time */

/* One word or two for a code; static text, never NULL. */
const char *mmapsync_errstr(int rc);

/* ---- handles -------------------------------------------------------------------------------- */

typedef struct mmapsync mmapsync;

/* How a handle keeps other writers out (flock on the state file, as the mmap-sync crate does). */
#define MMAPSYNC_LOCK_WRITE      0 /* taken for each write and given back after it (default) */
#define MMAPSYNC_LOCK_HOLD       1 /* taken at the first write, held until mmapsync_close() */
#define MMAPSYNC_LOCK_NONE       2 /* never: the caller vouches that no other handle writes, ever */

/* When a reader compares the payload with its hash.  Only payloads written by this library carry
** one that can be checked; the structure of a table image is always checked. */
#define MMAPSYNC_VERIFY_NEVER    0 /* (default) */
#define MMAPSYNC_VERIFY_ATTACH   1 /* the first snapshot this handle reads */
#define MMAPSYNC_VERIFY_SNAPSHOT 2 /* every snapshot, once */

/* How a reader tells writers which data file it reads.  Of all kinds but the last, a view keeps its snapshot
** for as long as it is held. */
#define MMAPSYNC_PIN_AUTO        0 /* whichever of these fits the channel and is permitted (default) */
#define MMAPSYNC_PIN_SLOT        1 /* a word of its own in P_readers, which it must be able to write */
#define MMAPSYNC_PIN_LOCK        2 /* a lock on P_writer: read permission is enough; slower */
#define MMAPSYNC_PIN_COUNTER                                                                       \
  3 /* the mmap-sync crate's counters in P_state, which it must be able
                                   ** to write: for what that crate publishes */

/* What a writer does when the grace time is over and a reader is still counted in. */
#define MMAPSYNC_FOREIGN_RESET                                                                     \
  0 /* the crate's rule: sets the counter to 0, and says so (default) */
#define MMAPSYNC_FOREIGN_BUSY                                                                      \
  1 /* readers of the crate are not harmed: the write fails with BUSY.  So it
                                   ** does where a data file would have to be replaced, which they do not
                                   ** notice.  One that died while it was counted in looks the same, and is
                                   ** got rid of by a write with FOREIGN_RESET */

/* Whether those who may write the channel's files are trusted to leave them as long as they are, and bytes that are
** published alone.  A look at what somebody else has cut off kills a process (SIGBUS). */
#define MMAPSYNC_TRUST_MAP 0 /* they are: all is mapped and read in place (default) */
#define MMAPSYNC_TRUST_COPY                                                                        \
  1 /* they are not.  A reader maps nothing: it makes a private copy
                                   ** of each snapshot that it reads, once, and compares it with its hash.
                                   ** It holds nothing that a writer waits for, reads nothing of the crate,
                                   ** and a read costs a few microseconds.  A writer does not map
                                   ** P_readers, which readers may write to, and makes P_state with mode
                                   ** 0640; the other files are its own */

#define MMAPSYNC_THREADS_MOST 4 /* see options.threads */

/* What a durable handle has published survives power loss until another snapshot takes its place: one of
** a durable handle, which survives, or one that is not durable, which may not. */
typedef struct mmapsync_options {
  uint32_t grace_ms; /* how long a write waits for readers of the file it needs; default 1000 */
  int durable;       /* 1: a commit returns only when it would survive power loss; default 0 */
  int lock;          /* MMAPSYNC_LOCK_... */
  int verify;        /* MMAPSYNC_VERIFY_... */
  int pins;          /* MMAPSYNC_PIN_... */
  int foreign;       /* MMAPSYNC_FOREIGN_... */
  int trust;         /* MMAPSYNC_TRUST_... */
  int stamp; /* 1: note in the slot since when a view is held, for mmapsync_readers(), which takes
                     ** a look at the clock for each; default 0 */
  int threads; /* how many may build the keys of a large table, 1 to MMAPSYNC_THREADS_MOST, this one included;
               ** default 0: as many as there are processors for this process */
  int (*progress)(void *); /* if set, called now and then from slow work; non-zero stops it with
                           ** MMAPSYNC_INTERRUPT.  It must not call into this handle. */
  void *progress_arg;
} mmapsync_options;

/* Fills in the defaults. */
void mmapsync_options_init(mmapsync_options *opt);

/* Makes a handle for the channel `path`; opt may be NULL.  Touches no file of the channel (the
** folder must exist): they are opened by the first read and made by the first write.  A relative
** path is resolved here, so a later chdir() does no harm.  On success the caller owns *out and ends
** it with mmapsync_close().  On failure *out is a handle too, good for mmapsync_errmsg() and
** mmapsync_close() only, or NULL with MMAPSYNC_NOMEM.
** CANTOPEN the folder is missing or not one; PERM; TOOBIG path too long; MISUSE empty path or an option
** out of range; NOMEM. */
int mmapsync_open(const char *path, const mmapsync_options *opt, mmapsync **out);

/* Ends a handle.  Its views, images and builder must have ended before (a builder that has not is
** aborted, and what was entered is left).  NULL is allowed. */
void mmapsync_close(mmapsync *h);

/* Changes the options of a handle from the next call on.  MISUSE while a write is open, or if one is
** out of range.  If `trust` is another, all files are opened anew, and a lock that is held is given back. */
int mmapsync_configure(mmapsync *h, const mmapsync_options *opt);

/* The options in force; good until the handle ends. */
const mmapsync_options *mmapsync_options_of(const mmapsync *h);

/* The absolute path prefix of the channel; good until the handle ends.  Two handles with the same
** string here are of the same channel. */
const char *mmapsync_path(const mmapsync *h);

/* What went wrong in the last call on this handle that failed; good until the next one that fails. */
const char *mmapsync_errmsg(const mmapsync *h);

/* ---- reading -------------------------------------------------------------------------------- */

#define MMAPSYNC_KIND_RAW   1 /* bytes of the caller, or of another writer */
#define MMAPSYNC_KIND_IMAGE 2 /* a table image */

/* A pinned read.  The caller reads the upper part and leaves the lower alone. */
typedef struct mmapsync_view {
  const void *data;  /* the payload, 64-byte aligned; never NULL */
  size_t size;       /* its bytes; may be 0 */
  uint64_t version;  /* the version word: data file 1 bit, size 39 bits, checksum 24 bits */
  uint64_t sequence; /* 1, 2, 3, ...; 0 if another kind of writer published it, after which the next
                     ** may be 1 again */
  uint64_t time_ns;  /* when it was published, since 1970, UTC; 0 if unknown */
  uint64_t hash;     /* XXH3-64 of the payload; 0 if unknown */
  uint32_t kind;     /* MMAPSYNC_KIND_... */
  uint32_t pid;      /* the process that published it, in its own PID namespace; 0 if unknown */
  int switched;      /* 1 if this handle's last read saw another snapshot, or this is its first */
  uint32_t pin;      /* MMAPSYNC_PIN_...: what holds it; AUTO: it is a copy.  The rest is private */
  uint32_t noted;
  struct mmapsync_map *map;
} mmapsync_view;

/* Pins the newest snapshot and fills in *view; wait-free but for attaching, once, and for the mapping of a
** file this handle has not mapped yet or that has grown or was replaced.  A handle may hold several views,
** released in any order.  The snapshot stays as it is until mmapsync_release() (see PATIENCE).
** EMPTY; CANTOPEN, PERM, IOERR, NOMEM from opening or mapping; CORRUPT a state file that is not one,
** a data file shorter than its version says, or (options.verify) a wrong hash; INTERRUPT while that is
** computed; BUSY if snapshots came faster than they could be hashed. */
int mmapsync_read(mmapsync *h, mmapsync_view *view);

/* Ends a view and what came from it.  Never fails. */
void mmapsync_release(mmapsync *h, mmapsync_view *view);

/*
** A read for a short look.  mmapsync_enter() pins as mmapsync_read() does, but *view is the handle's own, and good until
** mmapsync_leave(); nothing is copied.  As long as the snapshot is the one that was met before, and no other view is
** held, both are done in line, by an exchange, some loads and a few stores.  Without MMAPSYNC_PIN_SLOT, with
** options.stamp, and by compilers that do not know GNU's atomics they are done by a call each.
** Calls nest: the inner ones get the view of the outermost, and only the outermost leave ends it.
** enter: as mmapsync_read().  leave: never fails, and does nothing without an enter.
*/
MMAPSYNC_INLINE int mmapsync_enter(mmapsync *h, const mmapsync_view **view);
MMAPSYNC_INLINE void mmapsync_leave(mmapsync *h);

/* The version word of the newest snapshot, by one look at the state file; or its sequence, for which it is
** pinned for a moment.  Cheap.  EMPTY, and what mmapsync_read() gives. */
int mmapsync_version(mmapsync *h, uint64_t *version);
int mmapsync_sequence(mmapsync *h, uint64_t *sequence);

/* Compares the newest snapshot with its hash, reading all of it.  OK also for a payload of another
** writer, which has none.  CORRUPT with a sentence, and what mmapsync_read() gives. */
int mmapsync_verify(mmapsync *h);

/* The same for the snapshot of a view.  CORRUPT; INTERRUPT. */
int mmapsync_verify_view(mmapsync *h, const mmapsync_view *view);

/* Sleeps until a snapshot is in force whose sequence is above `sequence`, and gives that sequence; at once
** if there is one.  0 of timeout_ms looks once; UINT32_MAX waits for ever.  Also waits for the first snapshot
** of a channel that does not exist yet.  A snapshot of another kind of writer has no sequence: it counts as
** newer if it is not the one that this handle's last wait has told of, and its sequence is given as 0.
** Costs the writer a system call if somebody waits who can write P_readers, and nothing otherwise; who
** cannot looks again every few milliseconds.
** TIMEOUT; INTERRUPT; what mmapsync_read() gives, except EMPTY. */
int mmapsync_wait(mmapsync *h, uint64_t sequence, uint32_t timeout_ms, uint64_t *newer);

/* By which kind of pin this handle reads now, MMAPSYNC_PIN_...; AUTO before its first read. */
int mmapsync_pin_kind(const mmapsync *h);

/* One that reads, or may: a handle with a slot; the handles that hold a lock on a data file, or count
** themselves in there, of which only their file is known. */
typedef struct mmapsync_reader {
  int kind;             /* MMAPSYNC_PIN_SLOT, _LOCK or _COUNTER */
  int alive;            /* 0: it has died; its pin costs nothing, and goes with the next publish */
  uint32_t slot;        /* its number, from 0, if it has one */
  uint32_t pid;         /* in its own PID namespace; 0: unknown */
  uint32_t pins[2];     /* on data file 0 and 1: 0 or 1; of counters how many */
  uint64_t attached_ns; /* since when it has the slot, since 1970, UTC; 0: unknown */
  uint64_t pinned_ns;   /* since when it pins, if it says so (options.stamp); 0: unknown */
  char program[16];     /* its name, cut to 15 bytes; "" if unknown */
} mmapsync_reader;

/* All readers of the channel: at most n of them go to out[], *count says how many there are.  They may come
** and go meanwhile.  EMPTY, if there is no channel; CANTOPEN, PERM, IOERR, NOMEM, CORRUPT of P_readers. */
int mmapsync_readers(mmapsync *h, mmapsync_reader *out, size_t n, size_t *count);

/* What a publish does: it waits for readers of the older snapshot; takes bytes or rows; builds the keys of a
** table; computes the hash of all. */
#define MMAPSYNC_PHASE_IDLE     0
#define MMAPSYNC_PHASE_WAITING  1
#define MMAPSYNC_PHASE_WRITING  2
#define MMAPSYNC_PHASE_INDEXING 3
#define MMAPSYNC_PHASE_HASHING  4

/* How far the publish in progress is. */
typedef struct mmapsync_progress {
  int phase;           /* MMAPSYNC_PHASE_...; IDLE: there is none, and the rest is 0 */
  uint32_t pid;        /* of the publisher, in its own PID namespace */
  uint64_t started_ns; /* when it began, since 1970, UTC */
  uint64_t rows;       /* of `table` so far */
  uint64_t bytes;      /* of the payload so far; both rise in steps, by a chunk of rows at a time */
  char table[64]; /* the table it is at, cut to 63 bytes; "" between two, or if there are none */
} mmapsync_progress;

/* Looks at the publish in progress, by whomever.  One of less than a megabyte of plain bytes that waits for
** nobody is not told, and what a publisher that died was at is not, either.  Costs some system calls; disturbs
** nobody.  OK also where there is no channel yet; CANTOPEN, PERM, IOERR, NOMEM, CORRUPT of P_writer. */
int mmapsync_publishing(mmapsync *h, mmapsync_progress *out);

/* Counters of readers on data file 0 and 1, as the state file has them now.  As mmapsync_version(). */
int mmapsync_counters(mmapsync *h, uint32_t readers[2]);

/* ---- writing -------------------------------------------------------------------------------- */

/* What a write tells. */
typedef struct mmapsync_result {
  uint64_t sequence;  /* of the snapshot just published */
  uint64_t version;   /* its version word */
  uint64_t size;      /* bytes of its payload */
  uint64_t rows;      /* rows in it, if it is a table image */
  uint32_t tables;    /* tables in it, likewise */
  uint32_t waited_ms; /* how long readers of the older snapshot were waited for */
  int reset;          /* 1: grace ended with readers counted in; their count was set to 0 */
  int replaced; /* 1: grace ended with readers that pin by slot or lock; they keep the old file, and
                      ** this snapshot is in a new one of that name */
  uint32_t held; /* how many readers that were, of all kinds; see mmapsync_held() */
} mmapsync_result;

/* Who held at the end of the grace time in the last write of this handle: the first of them, good until its
** next write.  After BUSY: none if it was for another writer. */
#define MMAPSYNC_HELD_MOST 16
const mmapsync_reader *mmapsync_held(const mmapsync *h, size_t *count);

/* Publishes n bytes; out may be NULL.  A failure leaves the current snapshot as it was, but for one: if a
** durable write is published and the state file then cannot be synced, that is IOERR, and the sentence
** says so.
** BUSY; TOOBIG; FULL, PERM, CANTOPEN, IOERR, NOMEM; CORRUPT a state file that is not one; MISUSE
** inside an open write; INTERRUPT while room is reserved, readers are waited for, or bytes are hashed and
** copied. */
int mmapsync_write(mmapsync *h, const void *data, size_t n, mmapsync_result *out);

/* The same in place: begin takes the writer's lock, waits for readers of the file that is not
** active, and hands out at least `reserve` writable bytes of it, reserved on the device; grow makes
** them more (and may move them: use the new pointer); commit publishes the first `size` of them as
** `kind`; abort leaves the current snapshot as it was.  After a failed begin or commit no write is
** open; after a failed grow it still is, at the old size.  If readers were given up and nothing was
** published, the next result of this handle says `reset`.  While a builder is open all of these, and
** mmapsync_write(), are MISUSE, and the builder's write goes on.  Errors as mmapsync_write(). */
int mmapsync_write_begin(mmapsync *h, size_t reserve, void **data);
int mmapsync_write_grow(mmapsync *h, size_t reserve, void **data);
int mmapsync_write_commit(mmapsync *h, size_t size, uint32_t kind, mmapsync_result *out);
void mmapsync_write_abort(mmapsync *h);

/* ---- table images: values ------------------------------------------------------------------- */

#define MMAPSYNC_NULL    0
#define MMAPSYNC_INTEGER 1
#define MMAPSYNC_REAL    2
#define MMAPSYNC_TEXT    3 /* any bytes; in an image a NUL byte follows that n does not count */
#define MMAPSYNC_BLOB    4

typedef struct mmapsync_value {
  uint32_t type; /* MMAPSYNC_NULL ... MMAPSYNC_BLOB */
  uint32_t n;    /* bytes of a text or blob */
  union {
    int64_t i;
    double r;
    const void *p;
  } u;
} mmapsync_value;

/* ---- table images: building ----------------------------------------------------------------- */

typedef struct mmapsync_builder mmapsync_builder;

#define MMAPSYNC_COLUMN_HIDDEN  1 /* not for display: the rowid of a table that does not name it */
#define MMAPSYNC_COLUMN_NOTNULL 2 /* NULL in it is refused */
#define MMAPSYNC_COLUMN_CLEAN                                                                      \
  4 /* it holds text, and no text in it a NUL byte; set by the builder alone */

typedef struct mmapsync_column_def {
  const char *name;
  const char *type;      /* declared type, kept for display and affinity; NULL: none */
  const char *collation; /* kept for display; NULL: "BINARY" */
  uint32_t flags;        /* MMAPSYNC_COLUMN_... */
} mmapsync_column_def;

#define MMAPSYNC_KEY_UNIQUE  1  /* no two rows equal, but for rows with NULL in the key */
#define MMAPSYNC_KEY_PRIMARY 2  /* the one people mean by "the key" */
#define MMAPSYNC_KEY_ROWID   4  /* the one column SQLite calls rowid */
#define MMAPSYNC_KEY_ORDERED 8  /* rows come in its order; at most one key of a table */
#define MMAPSYNC_KEY_NOTNULL 16 /* NULL in it is refused */

#define MMAPSYNC_BINARY      0 /* memcmp */
#define MMAPSYNC_NOCASE      1 /* A-Z equal a-z, as in SQLite */
#define MMAPSYNC_RTRIM       2 /* trailing spaces do not count, as in SQLite */

typedef struct mmapsync_part_def {
  int column;    /* index into the table's columns */
  int collation; /* MMAPSYNC_BINARY ... */
  int desc;      /* 1: descending */
} mmapsync_part_def;

typedef struct mmapsync_key_def {
  const char *name;
  uint32_t flags; /* MMAPSYNC_KEY_... */
  const mmapsync_part_def *parts;
  int nparts;
} mmapsync_key_def;

#define MMAPSYNC_TABLE_WITHOUT_ROWID 1 /* the source says WITHOUT ROWID */
#define MMAPSYNC_TABLE_VIEW          2 /* the source is a view */

typedef struct mmapsync_table_def {
  const char *name;
  const mmapsync_column_def *columns;
  int ncolumns;
  const mmapsync_key_def *keys;
  int nkeys;
  int rowid;      /* the column that is the rowid, or -1 */
  uint32_t flags; /* MMAPSYNC_TABLE_... */
} mmapsync_table_def;

/* Opens a write of a table image; rows go straight into the data file.  The rest of the write is:
** for each table build_table, then for each row one value per column and build_row; then
** build_commit, which ends the builder whatever it returns.  build_abort ends it too.  build_end ends a table,
** and builds its keys, before the next one's first row is at hand; else the next build_table does, or the commit.  A failed call
** makes every later one return the same code, so a caller may test build_row alone.
** Values are copied.  Errors as mmapsync_write_begin(); CONSTRAINT names the key and the value, or the column that
** was to hold no NULL;
** MISUSE for a wrong number of values, a bad definition, two tables of one name (compared without
** case), or rows that are not in the order they claim. */
int mmapsync_build_begin(mmapsync *h, mmapsync_builder **out);
int mmapsync_build_table(mmapsync_builder *b, const mmapsync_table_def *def);
int mmapsync_build_null(mmapsync_builder *b);
int mmapsync_build_int(mmapsync_builder *b, int64_t value);
int mmapsync_build_real(mmapsync_builder *b, double value);
int mmapsync_build_text(mmapsync_builder *b, const void *bytes, size_t n);
int mmapsync_build_blob(mmapsync_builder *b, const void *bytes, size_t n);
int mmapsync_build_row(mmapsync_builder *b);
int mmapsync_build_end(mmapsync_builder *b);
int mmapsync_build_commit(mmapsync_builder *b, mmapsync_result *out);
void mmapsync_build_abort(mmapsync_builder *b);

/* ---- table images: reading ------------------------------------------------------------------ */

typedef struct mmapsync_image mmapsync_image; /* the directory of one snapshot, checked */
typedef struct mmapsync_table mmapsync_table; /* one of its tables; lives as long as the image */

typedef struct mmapsync_table_info {
  const char *name;
  uint64_t rows;
  uint64_t bytes; /* all its buffers: columns, keys */
  int ncolumns;   /* hidden ones included; they come last */
  int nkeys;
  int rowid;      /* the column that is the rowid, or -1 */
  uint32_t flags; /* MMAPSYNC_TABLE_... */
} mmapsync_table_info;

typedef struct mmapsync_column_info {
  const char *name;
  const char *type;      /* "" if none was declared */
  const char *collation; /* never NULL */
  uint32_t flags;        /* MMAPSYNC_COLUMN_... */
  uint32_t types;        /* bit 1 << MMAPSYNC_NULL ... : the types that occur; MMAPSYNC_TYPES_... */
  uint64_t nulls;        /* rows that are NULL */
  uint64_t bytes;        /* its buffers */
  const char *encoding;  /* how it is stored, for people: "int16", "dict8", "text", "mixed", ... */
  /* The least and the greatest number, if every value that is not NULL is one and the publisher has noted
  ** them (it does, but for chunks of rows in which integers and reals stand together); otherwise NULL. */
  mmapsync_value min, max;
} mmapsync_column_info;

/* In mmapsync_column_info.types: some text of the column looks like a number to SQLite, which a comparison
** with numeric affinity would make one of: white space, sign, digits with or without a point, exponent,
** white space, and perhaps NUL and more.  Taken as set where there is text in an image of format 1, which does not tell. */
#define MMAPSYNC_TYPES_NUMERIC_TEXT (1u << 8)

typedef struct mmapsync_key_info {
  const char *name;
  uint32_t flags; /* MMAPSYNC_KEY_... */
  const mmapsync_part_def *parts;
  int nparts;
  uint64_t bytes;     /* its buffers: sorted order and search structure */
  const char *search; /* for people: "direct", "rank", "hash", "sorted" */
  /* [nparts]: how many different values the first 1, 2, ... parts have together, NULL being one of them.
  ** 0: unknown (an image of format 1), or there are no rows. */
  const uint64_t *distinct;
} mmapsync_key_info;

/* Checks the directory of the table image in `view` and makes it ready for the calls below.  The
** caller ends *out with mmapsync_image_close(), before the handle; it may be used while the view is
** held.  CORRUPT if it is damaged, of a
** newer format or the other byte order; MISUSE if the payload is not a table image; NOMEM. */
int mmapsync_image_open(mmapsync *h, const mmapsync_view *view, mmapsync_image **out);
void mmapsync_image_close(mmapsync_image *image);

/* 1 if `image`, opened under an earlier view of the same handle, is of the snapshot that `view` pins,
** at the same place.  An image may so be kept while no view is held (and not used meanwhile), which
** saves opening it again for every read. */
int mmapsync_image_fits(const mmapsync_image *image, const mmapsync_view *view);

int mmapsync_table_count(const mmapsync_image *image);
/* Table i, 0 <= i < count; or by name, compared without case (ASCII), NULL if there is none. */
const mmapsync_table *mmapsync_table_at(const mmapsync_image *image, int i);
const mmapsync_table *mmapsync_table_find(const mmapsync_image *image, const char *name);

/* What is known of a table, of its column `c` or key `k`; good until the image is closed. */
const mmapsync_table_info *mmapsync_table_about(const mmapsync_table *t);
const mmapsync_column_info *mmapsync_column_about(const mmapsync_table *t, int c);
const mmapsync_key_info *mmapsync_key_about(const mmapsync_table *t, int k);
/* The index of a column, compared without case (ASCII), or -1. */
int mmapsync_column_find(const mmapsync_table *t, const char *name);

/* The value in row (0 <= row < rows) and column; text and blobs point into the snapshot.
** CORRUPT if what is stored there leads outside the payload. */
int mmapsync_get(const mmapsync_table *t, uint64_t row, int column, mmapsync_value *out);

/* The row whose unique key k equals the n values (all of the key's parts), under the key's
** collations; an integer and a real are equal when they are the same number; NULL equals nothing.
** NOTFOUND; CORRUPT; MISUSE if k is not unique or n is not its number of parts. */
int mmapsync_find(const mmapsync_table *t, int k, const mmapsync_value *values, int n,
                  uint64_t *row);

/* The positions lo <= pos < hi in the order of key k at which the first n parts equal the values
** (1 <= n <= parts); lo == hi if there are none.  n == 0 gives all.  CORRUPT; MISUSE. */
int mmapsync_find_all(const mmapsync_table *t, int k, const mmapsync_value *values, int n,
                      uint64_t *lo, uint64_t *hi);

/* The positions lo <= pos < hi in the order of key k at which the first n parts are the values (here NULL is
** NULL, as IS has it), and part n lies between `from` and `to`, in the order of values, whichever way the
** part is sorted.  NULL for `from` or `to`: no such bound.  A bound of type NULL that is not inclusive, as
** `from`, leaves out the NULLs.  lo == hi if there are none.  CORRUPT; MISUSE if the key has no such parts. */
int mmapsync_find_range(const mmapsync_table *t, int k, const mmapsync_value *values, int n,
                        const mmapsync_value *from, int from_inclusive, const mmapsync_value *to,
                        int to_inclusive, uint64_t *lo, uint64_t *hi);

/* Many times mmapsync_find(), whose waits for memory overlap: rows[i] becomes the row whose unique key k
** equals the values from values[i * parts] on, or UINT64_MAX, for i from 0 to n-1.  CORRUPT; MISUSE if k is
** not unique. */
int mmapsync_find_many(const mmapsync_table *t, int k, const mmapsync_value *values, int n,
                       uint64_t *rows);

/* The values of n rows in one column, out[i] that of rows[i]; quickest for rows that rise.  As
** mmapsync_get(), whose first failure it gives; what is in out[] is then undefined. */
int mmapsync_get_many(const mmapsync_table *t, const uint32_t *rows, uint32_t n, int column,
                      mmapsync_value *out);

/* Values of one column that stand one behind the other, for loops over many rows: that of row r is element
** r - row of data, for row <= r < row + rows, unless bit (r - row) & 7 of null_bits[(r - row) / 8] is set: then it is
** NULL.  An element is, by kind,
**
**     INT8 ... INT64    an unsigned integer of so many bits; base + it, modulo 2^64, is the value
**     SEQUENCE          nothing; base + (r - row) is the value
**     REAL              a double
**     TEXT16, TEXT32    an offset into heap; the text's NUL is the byte before the next element's offset, of which
**                       there is one more than there are rows
**     DICT8, DICT16     the number of a text; aux[number] and aux[number + 1] are as a TEXT's elements
**
** Offsets and numbers are as they stand in the snapshot, unchecked, and may change while somebody harms it, so each
** is to be read once: a number must be less than base, an offset less than the next one, and that at most heap_bytes,
** or the snapshot is damaged. */
typedef struct mmapsync_run {
  const void *data;
  const uint8_t *null_bits; /* a NULL pointer: no row is NULL */
  const uint32_t *aux;
  const char *heap;
  uint64_t heap_bytes;
  int64_t base;
  uint64_t row, rows;
  int kind; /* MMAPSYNC_RUN_... */
} mmapsync_run;

#define MMAPSYNC_RUN_NONE                                                                          \
  0 /* not so simple: for rows that are not NULL there is only mmapsync_get() */
#define MMAPSYNC_RUN_INT8     1
#define MMAPSYNC_RUN_INT16    2
#define MMAPSYNC_RUN_INT32    3
#define MMAPSYNC_RUN_INT64    4
#define MMAPSYNC_RUN_SEQUENCE 5
#define MMAPSYNC_RUN_REAL     6
#define MMAPSYNC_RUN_TEXT16   7
#define MMAPSYNC_RUN_TEXT32   8
#define MMAPSYNC_RUN_DICT8    9
#define MMAPSYNC_RUN_DICT16   10

/* The run that a row's value is in; row, rows and null_bits are told of RUN_NONE, too.  MISUSE if there is no such row or
** column. */
int mmapsync_run_of(const mmapsync_table *t, uint64_t row, int column, mmapsync_run *out);

/* The row at a position of key k.  CORRUPT; MISUSE if pos is not below the number of rows. */
int mmapsync_key_row(const mmapsync_table *t, int k, uint64_t pos, uint64_t *row);
/* The same for the n positions from pos on: rows[i] is that at pos + i.  After CORRUPT rows[] is undefined. */
int mmapsync_key_rows(const mmapsync_table *t, int k, uint64_t pos, uint32_t n, uint32_t *rows);

/* Looks at what a hash cannot tell of table `t`: each value, and what its column says of it (types, NULLs, least and
** greatest); with `keys` also each key: that its order has every row once and is one, and that a unique key finds each
** of its rows.  Reads all of the table, and takes a bit for each row while it looks at keys.  `h` is the handle that
** opened the image.  CORRUPT with a sentence that says where; INTERRUPT; NOMEM. */
int mmapsync_table_check(mmapsync *h, const mmapsync_table *t, int keys);

/* SQLite's order of two values: NULL, numbers, text (under MMAPSYNC_BINARY ...), blobs.  Exact for
** an integer against a real.  Less than, equal to or greater than 0. */
int mmapsync_compare(const mmapsync_value *a, const mmapsync_value *b, int collation);

/* ---- table images: filters ------------------------------------------------------------------ */

/* How a column is compared with a value.  With the first six NULL on either side is no match. */
#define MMAPSYNC_EQ    1
#define MMAPSYNC_NE    2
#define MMAPSYNC_LT    3
#define MMAPSYNC_LE    4
#define MMAPSYNC_GT    5
#define MMAPSYNC_GE    6
#define MMAPSYNC_IS    7 /* NULL is a value like any other */
#define MMAPSYNC_ISNOT 8
#define MMAPSYNC_IN    9 /* equals (as EQ) one of the values */
#define MMAPSYNC_HAS                                                                               \
  10 /* text in which the value occurs, which is text; what is neither text nor NULL matches, too */

typedef struct mmapsync_term {
  int column;
  int op;        /* MMAPSYNC_EQ ... */
  int collation; /* MMAPSYNC_BINARY ... */
  int nvalues;   /* 1; of IN up to 2^26, 0 too */
  const mmapsync_value *values;
} mmapsync_term;

typedef struct mmapsync_filter mmapsync_filter;

/* A filter of the table's rows: those that all n terms match, by the rules of mmapsync_compare(); all rows if n
** is 0.  The terms and values are copied.  The caller ends *out with mmapsync_filter_close(), before the image
** and the view.  NOMEM; MISUSE for a column, operator, collation or number of values out of range, and for HAS
** with RTRIM, or with what is no text. */
int mmapsync_filter_open(const mmapsync_table *t, const mmapsync_term *terms, int n,
                         mmapsync_filter **out);
void mmapsync_filter_close(mmapsync_filter *f); /* NULL is allowed */

/* The next rows that match, from row *from on and below `until`: *n of them, at most MMAPSYNC_FILTER_ROWS, in
** rows[], ascending; *from becomes where to go on.  There are no more when *n is 0 and *from is `until`.  *n
** may be 0 before that: after some hundred thousand rows in vain, or some megabytes of text, it returns, so that the caller can look
** whether it is to stop.  The first call gives few rows, soon; those that go on where it ended give more.  What is behind the last row of the table does not match.  CORRUPT. */
#define MMAPSYNC_FILTER_ROWS 1024
int mmapsync_filter_next(mmapsync_filter *f, uint64_t *from, uint64_t until, uint32_t *rows,
                         uint32_t *n);

/* The same from the end: the last rows that match below *until, and not below `from`, ascending too; *until
** becomes where to go on. */
int mmapsync_filter_prev(mmapsync_filter *f, uint64_t from, uint64_t *until, uint32_t *rows,
                         uint32_t *n);

/* Whether one row matches, that a key has led to perhaps: 1 or 0; or -MMAPSYNC_CORRUPT. */
int mmapsync_filter_row(mmapsync_filter *f, uint64_t row);

/* How many of the rows from *from on and below `until` match; *from becomes where to go on: `until`, or less after some
** hundred thousand rows, so that the caller can look whether it is to stop.  CORRUPT. */
int mmapsync_filter_count(mmapsync_filter *f, uint64_t *from, uint64_t until, uint64_t *count);

/* ---- private: what the two functions in line are made of; gate.h explains it ------------------- */

/* All of it is compiled into programs: they must have this header from where they have the library. */

struct mmapsync_gate {
  uint64_t *word;           /* this handle's pin word ... */
  uint64_t in, out;         /* ... and what it says while the view is held, and after */
  const uint64_t *version;  /* the version word in force */
  const uint32_t *replaced; /* of the view's file ... */
  const uint64_t *sequence; /* the number in its trailer */
  uint32_t noted;           /* ... as it was when the file was mapped */
  uint32_t state; /* 0: shut; 1: open; 2: by a call only; 3: the view was given; 4: a copy of it */
  uint32_t idle;  /* 1 or 2 */
};

/* The first bytes of a handle. */
struct mmapsync_head {
  struct mmapsync_gate *gate; /* never NULL */
  uint32_t out;               /* `view` was given: 3 or 4; otherwise 0 */
  mmapsync_view view;         /* of the snapshot that the gate is for */
};

int mmapsync_enter_slow(mmapsync *h, const mmapsync_view **view);
void mmapsync_leave_slow(mmapsync *h);

#ifdef __GNUC__
/* R2 to R5 of state.h, if all is as it was the last time.  1; or 0, with no claim, and shut. */
MMAPSYNC_INLINE int mmapsync_gate_enter(const struct mmapsync_head *q) {
  struct mmapsync_gate *g = q->gate;
  /* Before the exchange, which they would have to wait for. */
  const uint64_t *version = g->version, *sequence = g->sequence;
  const uint32_t *replaced = g->replaced;
  uint64_t versionWas = q->view.version, sequenceWas = q->view.sequence;
  uint32_t replacedWas = g->noted;
  /* The orders, and what they pair with, are those in slotEnter() and pageReplaced(). */
  __atomic_store_n(g->word, g->in, __ATOMIC_SEQ_CST);
  if (__builtin_expect(__atomic_load_n(version, __ATOMIC_SEQ_CST) == versionWas, 1) &&
      __builtin_expect(__atomic_load_n(replaced, __ATOMIC_SEQ_CST) == replacedWas, 1) &&
      __builtin_expect(__atomic_load_n(sequence, __ATOMIC_RELAXED) == sequenceWas, 1)) {
    return 1;
  }
  g->state = 0; /* who is called now does not try it once more */
  __atomic_store_n(g->word, g->out, __ATOMIC_RELEASE);
  return 0;
}

MMAPSYNC_INLINE int mmapsync_enter(mmapsync *h, const mmapsync_view **view) {
  struct mmapsync_head *q = (struct mmapsync_head *)(void *)h;
  if (__builtin_expect(q->gate->state != 1, 0) || !mmapsync_gate_enter(q)) {
    return mmapsync_enter_slow(h, view);
  }
  q->gate->state = q->out = 3;
  *view = &q->view;
  return MMAPSYNC_OK;
}

MMAPSYNC_INLINE void mmapsync_leave(mmapsync *h) {
  struct mmapsync_head *q = (struct mmapsync_head *)(void *)h;
  if (__builtin_expect(q->gate->state != 3, 0)) {
    mmapsync_leave_slow(h);
    return;
  }
  q->gate->state = 1;
  q->out = 0;
  /* R6; as in slotLeave() */
  __atomic_store_n(q->gate->word, q->gate->out, __ATOMIC_RELEASE);
}
#else
MMAPSYNC_INLINE int mmapsync_enter(mmapsync *h, const mmapsync_view **view) {
  return mmapsync_enter_slow(h, view);
}
MMAPSYNC_INLINE void mmapsync_leave(mmapsync *h) { mmapsync_leave_slow(h); }
#endif

#ifdef __cplusplus
}
#endif
#endif
