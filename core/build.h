/*
** build.h - what the parts of the table image's builder share.
**
**     build.c      the public calls: begin, tables, commit; the directory
**     buildstage.c values and rows, staged until a chunk is full
**     buildchunk.c a full chunk of staged rows -> encoded buffers in the data file
**     buildkeys.c  a finished table -> orders and search structures in the data file
**     buildsort.c  row numbers sorted by a key
**     buildcrew.c  several keys at a time, on a few threads
**
** One write: none of this is shared with anyone until the commit switches, and while keys are built by several
** threads each has its own key and its own part of the data file, and no one changes the rest.  But the file is
** there for all who may write to it, so what is read back from it is not what was written, but what stands there.
*/
#ifndef MMAPSYNC_BUILD_H
#define MMAPSYNC_BUILD_H

#include "handle.h"
#include "image.h"

/* The values of one column in the chunk being filled. */
typedef struct StageColumn {
  uint8_t *type; /* [rows] MMAPSYNC_..., with STAGE_FAR if the bytes are in the data file already */
  uint64_t *bits; /* [rows] the integer, the double's bits, or an offset: in heap, or if far in the
                  ** payload */
  uint32_t *len;  /* [rows] bytes of a text or blob */
  uint8_t *heap;  /* texts and blobs, each followed by NUL */
  size_t heap_used;
  size_t heap_room;
  /* Of those rows that are being encoded: */
  uint32_t types; /* bits 1 << MMAPSYNC_... */
  uint32_t nulls;
  uint32_t far; /* values with STAGE_FAR */
  size_t heap_bytes;
} StageColumn;

#define STAGE_FAR 0x80

typedef struct BuildColumn {
  DirColumn dir;
  DirChunk *chunks;
  uint64_t nchunks, room;
  int nul; /* a text or blob may hold a NUL byte */
} BuildColumn;

typedef struct BuildKey {
  DirKey dir;
  DirPart *parts;
} BuildKey;

typedef struct BuildTable {
  DirTable dir;
  BuildColumn *columns;
  BuildKey *keys;
} BuildTable;

struct mmapsync_builder {
  mmapsync *h;
  int rc; /* the first failure; every later call gives it again */

  uint8_t *payload; /* the inactive data file; moves when it grows */
  uint64_t used;    /* bytes written */
  uint64_t room;    /* bytes reserved */

  BuildTable *tables;
  uint32_t ntables, tables_room;
  char *strings; /* all names, NUL-terminated */
  size_t strings_bytes, strings_room;

  BuildTable *open;      /* the table that takes rows, or NULL */
  StageColumn *stage;    /* one for each of its columns */
  uint32_t stage_cols;   /* how many there is memory for */
  void *cells;           /* the arrays of all stage columns */
  uint32_t column;       /* the next value goes here */
  uint64_t staged;       /* rows in the chunk being filled */
  uint64_t staged_bytes; /* of texts and blobs in it */
  uint64_t sort_rows; /* rows that are sorted at once, by all threads together; more are merged */
  uint64_t crew_rows; /* of a table that is worth more threads than one */
  uint32_t helpers;   /* threads that were had, for tests */
};

/* The name of one of its tables; good until the next name is kept. */
const char *buildTableName(const mmapsync_builder *b, const BuildTable *t);

/* Sets the builder's failure and the handle's sentence; returns rc. */
int buildFail(mmapsync_builder *b, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int buildNoMemory(mmapsync_builder *b);
#ifdef __clang_analyzer__ /* as in handle.h */
#define buildFail(b, rc, ...) (buildFail(b, rc, __VA_ARGS__), (rc))
#define buildNoMemory(b)      (buildNoMemory(b), MMAPSYNC_NOMEM)
#endif

/* The same for limits of the format and broken rules: the channel, the table, what is wrong. */
int buildTableFail(mmapsync_builder *b, int rc, const char *zTable, const char *zWhat);

/* Makes sure that n more bytes of the payload can be written (plus alignment). */
int buildReserve(mmapsync_builder *b, uint64_t n);

/* Starts a buffer of n bytes, aligned, already reserved; returns its offset. */
uint64_t buildTake(mmapsync_builder *b, uint64_t n);

/* log2 of the rows in a chunk of a table of so many columns, to begin with. */
uint32_t stageShift(uint32_t ncolumns);

/* Gets ready for the rows of a table; encodes what is still staged of it; gives the memory back. */
int stageOpen(mmapsync_builder *b, uint32_t ncolumns, uint32_t shift);
int stageFlush(mmapsync_builder *b);
void stageRelease(mmapsync_builder *b);

/* Encodes column c of the n staged rows into the data file. */
int chunkEncode(mmapsync_builder *b, StageColumn *s, uint64_t n, DirChunk *out);

/* Builds all keys of the finished table. */
int keysBuild(mmapsync_builder *b, BuildTable *bt);

/* Rows that keySort() sorts at once, unless b->sort_rows says otherwise. */
#define SORT_BYTES 24 /* for each */
#define SORT_ROWS                                                                                  \
  ((UINT64_C(56) << 20) / SORT_BYTES) /* of 64 MB that a publisher may have over the image */

/* How work asks for leave to go on, in whatever thread it runs: MMAPSYNC_OK or MMAPSYNC_INTERRUPT. */
typedef struct Leave {
  mmapsync *h; /* NULL in a helper */
  _Atomic int *stop;
} Leave;
int leaveAsk(const Leave *leave);

/* Threads that the options allow. */
int crewThreads(const mmapsync_builder *b);

/* Does pieces 0..n-1 of some work, on so many threads at most.  None is begun after one has failed.  INTERRUPT
** if progress said so, and otherwise OK: the pieces keep their failures themselves. */
typedef int (*CrewWork)(void *arg, uint32_t i, const Leave *leave);
int crewRun(mmapsync_builder *b, int threads, uint32_t n, CrewWork work, void *arg);

/* Fewer rows than this are not worth a thread. */
#define CREW_ROWS 65536

/* Fills order[rows] with the row numbers sorted by the key, `most` of them at once and equal keys by row number.
** Adds to differ[p] how many neighbours in this order differ in part p and in none before it.  If two rows are
** equal in a key without NULL, *dup_a and *dup_b are such a pair.  OK, NOMEM, CORRUPT, INTERRUPT, of which only the
** last has a sentence. */
int keySort(const Leave *leave, uint64_t most, const mmapsync_table *t, const Key *k,
            uint32_t *order, uint64_t *differ, uint64_t *dup_a, uint64_t *dup_b);
#define NO_ROW UINT64_MAX

/* Whether any part of the key is NULL in the row. */
int keyHasNull(const mmapsync_table *t, const Key *k, uint64_t row);

#endif
