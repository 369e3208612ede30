/*
** ext.h - what the files of the SQLite extension share.
**
** Who may call what: entry -> functions, verify, publish, status, vtab -> wait, source, channel, value -> core's
** mmapsync.h.  Only files of this folder include sqlite3ext.h, and nothing below it knows SQLite.
**
** A Registry belongs to one database connection.  It holds a Channel for every channel the connection
** has named, so that all functions and all virtual tables of one connection share one core handle, one
** pin and one decoded image per channel: this is what makes a statement see one snapshot.
**
** Threads: SQLite calls a connection's functions and methods under that connection's mutex, so all of
** this is single-threaded per connection.
*/
#ifndef MMAPSYNC_EXT_H
#define MMAPSYNC_EXT_H

#include "sqlite3ext.h"
#ifndef SQLITE_CORE
extern const sqlite3_api_routines *sqlite3_api; /* defined once, in entry.c */
#endif

#include "mmapsync.h"

typedef struct Registry Registry;
typedef struct Channel Channel;
typedef struct VtabTable VtabTable;

/* ---- channel.c: the channels of one connection ------------------------------------------------ */

struct Channel {
  Registry *pRegistry;
  Channel *pNext;
  mmapsync *h;            /* the core's handle */
  mmapsync_options opt;   /* what mmapsync_config() set */
  int nPin;               /* cursors, mmapsync_pin() and others that hold `view` */
  int nKept;              /* how many of these are of mmapsync_pin() */
  mmapsync_view view;     /* the pinned snapshot; meaningful while nPin > 0 */
  mmapsync_image *pImage; /* its directory, or that of an earlier snapshot, or NULL */
  sqlite3_uint64 iImage;  /* rises with every image opened: a cheap "is it still the same?" */
};

/* A registry counts its users: every function and module registered with it is one. */
Registry *registryNew(sqlite3 *db); /* NULL: out of memory.  Starts with one user */
void registryRef(Registry *p);
void registryUnref(void *p);
sqlite3 *registryDb(Registry *p);
/* Whether the connection's text is UTF-16, and BINARY so another order than the core's.  SQLITE_OK, or an error
** code without a sentence; *pbUtf16 is 1 then. */
int registryUtf16(Registry *p, int *pbUtf16);

VtabTable **registryTables(Registry *p); /* the connected virtual tables, for vtabdecl.c alone */

/* The channel of this connection for a path as the user wrote it, opened if it is new.  SQLITE_OK, or
** an error code with a sentence in *pzErr (sqlite3_malloc).  The registry owns the channel. */
int channelGet(Registry *p, const char *zPath, Channel **ppChannel, char **pzErr);

/* Pins the newest snapshot, or shares the one already pinned.  Balanced by channelUnpin().  With
** wantImage, a payload that is no table image is an error, and pChannel->pImage is good while pinned. */
int channelPin(Channel *p, int wantImage, char **pzErr);
void channelUnpin(Channel *p);

/* The words for MMAPSYNC_PIN_..., with NULL behind the last. */
extern const char *const channelPinNames[];

/* The SQLITE_* code for a core code; the only place that maps them. */
int channelRc(int rcCore);

/* Sets *pzErr to the sentence of the channel's last failure and returns channelRc(rcCore). */
int channelFail(Channel *p, int rcCore, char **pzErr);

/* ---- wait.c: what may take long ----------------------------------------------------------------- */

/* Calls of the core that may take long, while they last. */
typedef struct Slow {
  Channel *pChannel;
  sqlite3_stmt *pTick;  /* does nothing, unless the connection was interrupted */
  int bSet;             /* the channel's options are ours now */
  int nBusy;            /* how often another writer was met */
  int nTimeout;         /* the connection's busy timeout, in ms, if nBusy > 0; the rest likewise */
  int nPause;           /* the next sleep, in ms */
  sqlite3_int64 iStart; /* of the first try, in ns */
} Slow;

/* Gives the channel options with which sqlite3_interrupt() is noticed.  Balanced by slowEnd(), also if it
** fails, with a sentence. */
int slowStart(Slow *p, Channel *pChannel, const mmapsync_options *pOpt, char **pzErr);
void slowEnd(Slow *p);

/* The same for what only reads: also while a write of this connection reads its sources, which may ask for it.  That
** write's options, which notice interrupts, are left as they are. */
int slowLook(Slow *p, Channel *pChannel, char **pzErr);

/* For a write that failed with rcCore: SQLITE_OK if it should be tried again, after a sleep, because
** another writer had the lock and the connection has patience left; otherwise why not, with a sentence. */
int slowAgain(Slow *p, int rcCore, char **pzErr);

int waitRegister(sqlite3 *db, Registry *p); /* mmapsync_wait() */

/* ---- verify.c: looking for damage --------------------------------------------------------------- */

int verifyRegister(sqlite3 *db, Registry *p); /* mmapsync_verify() */

/* ---- value.c: image values <-> SQLite values -------------------------------------------------- */

/* The affinity of a declared type, by SQLite's rules (datatype3, section 3.1). */
#define AFF_BLOB    'A'
#define AFF_TEXT    'B'
#define AFF_NUMERIC 'C'
#define AFF_INTEGER 'D'
#define AFF_REAL    'E'
char valueAffinity(const char *zType);

/* At most nMost bytes of z for a sentence, cut between characters and ended with "..." if it is longer.
** zBuf is where it goes; nMost <= CLIP_MOST. */
#define CLIP_MOST 80
const char *valueClip(char zBuf[CLIP_MOST + 4], const char *z, int nMost);

/* The core's collation for a name (without case), or -1 for any but the three built in. */
int valueCollation(const char *zColl);

/* The other way round: "BINARY", ... for MMAPSYNC_BINARY, ... */
const char *valueCollationName(int eColl);

/* Of the pattern of a LIKE, or a GLOB: how many of its bytes are the beginning of all text that matches; and the
** longest run of bytes that are in all such text, the first of those.  ASCII only, which has one spelling. */
typedef struct Pattern {
  size_t nPrefix;
  size_t iPart, nPart;
} Pattern;
void valuePattern(const char *z, int bGlob, Pattern *pOut);

/* Hands an image value to SQLite.  Text and blobs are handed over in place (SQLITE_STATIC): they live
** as long as the channel's pin.  bEnds: what valueEnds() says of its column. */
void valueResult(sqlite3_context *pCtx, const mmapsync_value *p, int bEnds);

/* Whether text of a column of these flags is best handed over by its first NUL byte: none holds one, and the host
** has no better way. */
int valueEnds(uint32_t flags);

/* A text: n bytes at p, behind which one can be read. */
void valueTextSlow(sqlite3_context *pCtx, const char *p, uint32_t n);
static inline void valueText(sqlite3_context *pCtx, const char *p, uint32_t n, int bEnds) {
  if (bEnds && p[n] == '\0' && n < 0x7fffffff) {
    sqlite3_result_text(pCtx, p, -1, SQLITE_STATIC);
  } else {
    valueTextSlow(pCtx, p, n);
  }
}

/* Prepares the right side of a term `column op value`, op being MMAPSYNC_EQ ..., for a key or a filter over a
** column of affinity aff, in which the types of mask `types` occur.  bConst: the value is a constant of the
** statement (sqlite3_vtab_rhs_value).  Text and blobs in *pOut stay the value's.  Returns one of: */
#define VALUE_EXACT 0 /* *pOut gives just the rows that SQLite would, whatever the other side is */
#define VALUE_MORE  1 /* *pOut gives all of them and perhaps more: SQLite must check them again */
#define VALUE_NONE  2 /* no row matches */
#define VALUE_SCAN                                                                                 \
  3 /* it depends on the other side's affinity, which only SQLite knows: do without */
#define VALUE_NOMEM 4
int valueForTerm(sqlite3_value *pVal, int op, char aff, unsigned types, int bConst,
                 mmapsync_value *pOut);

/* Whether a value that is text looks like a number to SQLite, and which: 1, 0, or -1: out of memory. */
int valueDigits(sqlite3_value *pVal, mmapsync_value *pOut);

/* ---- vtab.c: CREATE VIRTUAL TABLE ... USING mmapsync(path [, table]) ---------------------------- */

int vtabRegister(sqlite3 *db, Registry *p);

/* Whether zSchema.zName is a virtual table of this module, which it is asked by connecting it; with pTab,
** also whether it is declared as pTab would be now.  SQLITE_OK or SQLITE_NOMEM. */
int vtabKnows(Registry *p, const char *zSchema, const char *zName, const mmapsync_table *pTab,
              int *pbKnown);

/* ---- status.c: mmapsync_status(path), _tables(path), _columns(path), _readers(path) ------------- */

int statusRegister(sqlite3 *db, Registry *p);

/* ---- source.c: what a publish argument names ---------------------------------------------------- */

/* A table or view to publish: its definition for the core, and how to read its rows. */
typedef struct Source {
  mmapsync_table_def def; /* points into memory that this source owns */
  char *zSelect;          /* yields def.ncolumns columns, in the order the keys want */
  char **azSkipped;       /* one sentence for each index that could not be carried */
  int nSkipped;
} Source;

/* Reads a specification ("name", "schema.name", "name KEY(a,b) INDEX(c COLLATE nocase DESC)").
** SQLITE_OK, or an error code with a sentence in *pzErr. */
int sourceOpen(Registry *p, const char *zSpec, Source **ppSource, char **pzErr);
void sourceClose(Source *p);

/* ---- publish.c and functions.c ---------------------------------------------------------------- */

int publishRegister(sqlite3 *db, Registry *p);   /* mmapsync_publish(), mmapsync_write() */
int functionsRegister(sqlite3 *db, Registry *p); /* all other scalar functions */

/* What they share (functions.c).  functionAdd() registers one that gets the registry as user data. */
int functionAdd(sqlite3 *db, Registry *p, const char *zName, int nArg, int flags,
                void (*xFunc)(sqlite3_context *, int, sqlite3_value **));

/* Makes rc and the sentence zErr (freed here; may be NULL) the function's result. */
void functionFail(sqlite3_context *pCtx, int rc, char *zErr);

/* The bytes of a value that is text or a blob, as they are, never NULL.  SQLITE_OK or SQLITE_NOMEM. */
int functionBytes(sqlite3_value *pVal, const void **ppBytes, size_t *pn);

/* A text or blob as text of its own (sqlite3_malloc); zWhat says in the sentence what was expected. */
int functionText(const char *zFunc, const char *zWhat, sqlite3_value *pVal, char **pzOut,
                 char **pzErr);

/* The sentence `zWhere: expected zWhat, found ...` and SQLITE_ERROR; or SQLITE_NOMEM. */
int functionExpected(const char *zWhere, const char *zWhat, sqlite3_value *pVal, char **pzErr);

/* A grace time in milliseconds; zWhat begins the sentence. */
int functionGrace(const char *zWhat, sqlite3_value *pVal, uint32_t *pGrace, char **pzErr);

/* The channel that the function's first argument names. */
int functionChannel(sqlite3_context *pCtx, const char *zFunc, sqlite3_value *pPath,
                    Channel **ppChannel, char **pzErr);

/* A byte as it stands in a JSON string; how many bytes that takes. */
#define FUNCTION_ESCAPE 7
int functionEscape(char zOut[FUNCTION_ESCAPE], char c);

/* Adds a JSON string. */
void functionJson(sqlite3_str *pStr, const char *z);

#endif
