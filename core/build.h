/*
** build.h - what the parts of the table image's builder share.
**
**     build.c      the public calls: begin, tables, commit; the directory
**     buildstage.c values and rows, staged until a chunk is full
**     buildchunk.c a full chunk of staged rows -> encoded buffers in the data file
**     buildkeys.c  a finished table -> orders and search structures in the data file
**     buildjobs.c  the keys of a long table, built side by side
**     buildsort.c  row numbers sorted by a key
**
** One thread, one write: none of this is shared with anyone until the commit switches, but for the keys of a long
** table (buildjobs.c).
**
** WHAT IS READ BACK.  Keys are built from what stands in the data file by then, which is mapped shared: whoever may
** publish may write there, too.  So what is read back is trusted no more than a reader trusts it: used as an index
** or a length it is read once and checked, and no loop ends by it alone.
*/
#ifndef MMAPSYNC_BUILD_H
#define MMAPSYNC_BUILD_H

#include <stdatomic.h>

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
  uint64_t sort_rows;    /* rows that are sorted at once; more are merged */
  uint64_t side_rows;    /* tables of fewer rows have their keys built one after the other */
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

/* A key that is being built.  One thread works on it at a time; what it finds wrong is told to the handle when the
** threads are gone. */
typedef struct KeyJob {
  mmapsync_builder *b;
  uint32_t number; /* of the table's keys */
  const mmapsync_table *t;
  Key k;
  mmapsync_part_def *parts;
  uint64_t *differ;   /* [parts] neighbours in the key's order that differ in this part first */
  DirKey dir;         /* what is made */
  uint64_t used;      /* of the payload before its search structure */
  int fits;           /* 0: the search structure does not hold these keys */
  uint64_t sort_rows; /* its share of the builder's */
  atomic_int *stop;   /* NULL, or set when all jobs of the table shall end */
  int aside;          /* it is not the publisher's thread that works on it */
  int rc;
  const char *zWhat; /* what is wrong with the key's values in a row, or NULL */
  uint64_t row;
} KeyJob;

/* Does the job, whose place in the payload is taken; sets job->rc. */
void jobRun(KeyJob *job);

/* Now and then while a job is done: whether to go on. */
int jobProgress(KeyJob *job);

/* How many threads do n jobs best, the publisher's among them; does them. */
int jobsThreads(const mmapsync_builder *b, uint32_t n);
void jobsRun(KeyJob *jobs, uint32_t n, int threads);

/* Rows from which on the keys of a table are built side by side, unless b->side_rows says otherwise.  It is more than
** have narrow row numbers: those move what comes behind them (orderNarrow()). */
#define SIDE_ROWS 100000

/* Rows that are sorted at once, unless b->sort_rows says otherwise: of 32 bytes each, by all threads together. */
#define SORT_ROWS ((UINT64_C(64) << 20) / 32)

/* Fills order[rows] with the row numbers sorted by the key, equal keys by row number.  Adds to job->differ[p] how
** many neighbours in this order differ in part p and in none before it.  If two rows are equal in a key
** without NULL, *dup_a and *dup_b are such a pair. */
int keySort(KeyJob *job, uint32_t *order, uint64_t *dup_a, uint64_t *dup_b);
#define NO_ROW UINT64_MAX

/* Whether any part of the key is NULL in the row. */
int keyHasNull(const mmapsync_table *t, const Key *k, uint64_t row);

#endif
