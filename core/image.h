/*
** image.h - the table image: the bytes of a payload that holds typed tables.
**
** A payload of kind MMAPSYNC_KIND_IMAGE can be mapped anywhere and read in place.  It is columnar,
** because scans and filters read few columns, and narrow, because memory traffic is the cost.  All
** numbers are in the publisher's byte order; all positions are offsets from the payload's start,
** except in the directory, where they are offsets from the directory's start.
**
**     +--------+----------------------------------------------+-----------+
**     | header | buffers, each at a multiple of 64            | directory |
**     +--------+----------------------------------------------+-----------+
**
** The directory stands last because the publisher takes rows in one pass, straight into the data file,
** and knows what it has written only at the end; the header is written after it.
**
** CHUNKS.  The rows of a table are cut into chunks of 2^chunk_shift rows, and each column of a chunk is
** encoded for itself, by what is in it.  So the publisher never holds more than one chunk in memory,
** an outlier widens one chunk and not the table, and a chunk's bounds come for free.  A row number
** finds its chunk by a shift.  chunk_shift falls with the number of columns, at most 16.
**
** ENCODINGS of one column in one chunk of n rows (n is less than 2^chunk_shift in the last one):
**
**     NULLS   nothing at all: every value is NULL
**     INT     value = base + data[r], data being n unsigned numbers of `width` bytes (0, 1, 2, 4, 8);
**             with CHUNK_SEQUENCE, width is 0 and value = base + r
**     REAL    data is n doubles (width 8), or nothing (width 0): every value is the double in base
**     TEXT    data is n+1 offsets of `width` bytes (2 or 4) into heap; value r lies between two of
**             them, less the NUL that follows every text
**     BLOB    the same for blobs, with the same NUL, so that both are read alike.  With CHUNK_EVEN all of the chunk
**             are of one length, and base is that and 1: value r begins at r * base, and who looks one up need not
**             wait for the memory of an offset first.  The offsets are there all the same, for who does not know
**             the flag, and for loops that compare them
**     DICT    data is n codes of `width` bytes (1 or 2); aux is base+1 offsets of 4 bytes into heap;
**             the value is text number data[r]
**     MIXED   data is n pairs of u64: the integer, or the double's bits, or the text's offset from the
**             payload's start and then its length; aux is n bytes, the type of each value.  For
**             columns of several types, and for large values, which are written as they come
**
** In all but NULLS and MIXED a row that is NULL has its bit set in the bitmap at `null_bits` (bit r & 7 of
** byte r / 8), which is 0 where there is none.
**
** SPARSE.  Where most rows are NULL (CHUNK_SPARSE), data has elements for those rows only that are not, and
** `n` above is their number.  The bitmap is one of whole words of 64 bits, and before it, from its start
** downwards, stands a u16 for each word: how many rows before that word's are not NULL.  The place of row r in
** data is that count and the zero bits below r's in its word.
**
** KEYS.  A key has an order: row numbers (u32, or u16 where all fit) sorted by the key, or nothing where the rows themselves
** stand in its order (KEY_ORDERED).  A unique key also has a search structure:
**
**     DIRECT  an ordered integer key without gaps: row = value - base.  No bytes
**     RANK    an ordered integer key with gaps: 64-byte lines of 480 bits, one for each possible value
**             from base on, behind a u32 that counts the bits set in all lines before.  The row is the
**             rank of the value's bit: one line read, nothing to compare
**     HASH    any other: 64-byte buckets of 12 one-byte tags, a u32 number of entries, and 12 row
**             numbers.  Bucket (h >> 32) * nbucket >> 32, tag h & 255, h from orderHash(); a full
**             bucket goes on in the next, the last in the first, for 64 buckets at most (what does not
**             fit so is SORTED).  Rows with NULL in the key are not in.  One line for the bucket,
**             mostly one row to compare
**     SORTED  none: binary search in the order
**
** READING AN IMAGE THAT LIES.  imageOpen() takes each number of the directory out of the mapping once,
** checks it, and keeps the decoded form in private memory; every later step uses that.  What cannot be
** checked once for all (an offset into a heap, a dictionary code, a row number) is read once and checked
** where it is used (shared.h).  So no bytes, not even bytes that change meanwhile, lead outside the mapping.
**
** What it may cost is bounded as well: the decoded form by the directory, and that by the file, of which holes
** do not count (data.h).
*/
#ifndef MMAPSYNC_IMAGE_H
#define MMAPSYNC_IMAGE_H

#include "mmapsync.h"

#define IMAGE_MAGIC     "mmsimage"
#define IMAGE_BYTEORDER UINT32_C(0x01020304)
#define IMAGE_ALIGN     64
#define IMAGE_MAX_ROWS  (UINT32_MAX - 1) /* row numbers are u32, and one is kept free */
#define IMAGE_MAX_COLS  32767            /* the most SQLite can be built for */

/* At offset 0 of the payload. */
typedef struct ImageHeader {
  char magic[8];      /*  0 IMAGE_MAGIC */
  uint32_t byteorder; /*  8 IMAGE_BYTEORDER as the publisher's machine stores it */
  uint32_t format;    /* 12 1 or MMAPSYNC_FORMAT; a reader refuses a larger one */
  uint32_t required;  /* 16 features a reader must know to read this; none yet */
  uint32_t ntables;   /* 20 */
  uint64_t bytes;     /* 24 the payload's size */
  uint64_t dir;       /* 32 the directory's offset */
  uint64_t dir_bytes; /* 40 its bytes, to the end of the payload */
  uint64_t strings;   /* 48 where in it the NUL-terminated names stand, to its end */
  uint64_t rows;      /* 56 of all tables */
} ImageHeader;
_Static_assert(sizeof(ImageHeader) == 64, "the image header is one cache line");

/* At the directory's start, one for each table. */
typedef struct DirTable {
  uint64_t name;        /*  0 string */
  uint64_t rows;        /*  8 */
  uint64_t columns;     /* 16 offset of DirColumn[ncolumns] */
  uint64_t keys;        /* 24 offset of DirKey[nkeys] */
  uint32_t ncolumns;    /* 32 */
  uint32_t nkeys;       /* 36 */
  uint32_t flags;       /* 40 MMAPSYNC_TABLE_... */
  int32_t rowid;        /* 44 the column that is the rowid, or -1 */
  uint32_t chunk_shift; /* 48 */
  uint32_t unused;      /* 52 zero */
  uint64_t bytes;       /* 56 of all buffers, for people */
} DirTable;
_Static_assert(sizeof(DirTable) == 64, "directory records are one cache line");

typedef struct DirColumn {
  uint64_t name;      /*  0 string */
  uint64_t type;      /*  8 string */
  uint64_t collation; /* 16 string */
  uint64_t chunks;    /* 24 offset of DirChunk[] */
  uint64_t nulls;     /* 32 rows that are NULL */
  uint64_t bytes;     /* 40 */
  uint32_t
      flags; /* 48 MMAPSYNC_COLUMN_HIDDEN, _NOTNULL, _CLEAN: mmapsync.h says what they mean.  Readers believe
                      ** CLEAN for speed alone: a text that holds a NUL in spite of it is cut there.  NOTNULL goes with
                      ** nulls: who declares it looks at both */
  uint32_t
      types; /* 52 bits 1 << MMAPSYNC_NULL ..., and MMAPSYNC_TYPES_...; those not in format 1 */
  uint64_t unused; /* 56 zero */
} DirColumn;
_Static_assert(sizeof(DirColumn) == 64, "directory records are one cache line");

#define CHUNK_NULLS    0
#define CHUNK_INT      1
#define CHUNK_REAL     2
#define CHUNK_TEXT     3
#define CHUNK_BLOB     4
#define CHUNK_DICT     5
#define CHUNK_MIXED    6

#define CHUNK_SEQUENCE 1 /* flag: INT that rises by one a row */
#define CHUNK_SPARSE   2 /* flag: rows that are NULL have no element in data */
#define CHUNK_EVEN     4 /* flag: TEXT or BLOB of one length */

typedef struct DirChunk {
  uint8_t encoding; /*  0 CHUNK_... */
  uint8_t width;    /*  1 bytes of one element of data */
  uint16_t flags;   /*  2 CHUNK_SEQUENCE, CHUNK_SPARSE, CHUNK_EVEN */
  uint32_t nulls;   /*  4 rows that are NULL */
  int64_t
      base; /*  8 INT: the least value.  REAL: the bits of the least.  DICT: its entries.  EVEN: above */
  int64_t max;         /* 16 INT: the greatest value.  REAL: the bits of the greatest */
  uint64_t data;       /* 24 */
  uint64_t null_bits;  /* 32 */
  uint64_t aux;        /* 40 */
  uint64_t heap;       /* 48 */
  uint64_t heap_bytes; /* 56 */
} DirChunk;
_Static_assert(sizeof(DirChunk) == 64, "directory records are one cache line");

#define SEARCH_SORTED 0
#define SEARCH_DIRECT 1
#define SEARCH_RANK   2
#define SEARCH_HASH   3

#define KEY_FLAGS     /* those of a key definition that an image keeps */                          \
  (MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_PRIMARY | MMAPSYNC_KEY_ROWID | MMAPSYNC_KEY_ORDERED |        \
   MMAPSYNC_KEY_NOTNULL)

typedef struct DirKey {
  uint64_t name;         /*  0 string */
  uint64_t parts;        /*  8 offset of DirPart[nparts] */
  uint32_t nparts;       /* 16 */
  uint32_t flags;        /* 20 MMAPSYNC_KEY_... */
  uint64_t order;        /* 24 row numbers, or 0 if rows stand in this order */
  uint64_t search;       /* 32 the search structure, or 0 */
  uint64_t search_bytes; /* 40 */
  int64_t base;          /* 48 DIRECT, RANK: the least key */
  uint32_t search_kind;  /* 56 SEARCH_... */
  uint32_t order_width;  /* 60 bytes of a row number in `order`: 2, or 4; 0 says 4, too */
} DirKey;
_Static_assert(sizeof(DirKey) == 64, "directory records are one cache line");

typedef struct DirPart {
  uint32_t column;    /*  0 */
  uint16_t collation; /*  4 */
  uint16_t desc;      /*  6 */
  uint64_t
      distinct; /*  8 different values of this part and those before it; not there in format 1 */
} DirPart;
_Static_assert(sizeof(DirPart) == 16, "a key part is 16 bytes");
#define DIRPART_1  8 /* bytes of one in format 1 */

#define RANK_BITS  480 /* keys a line stands for */

#define HASH_SLOTS 12
#define HASH_REACH 64 /* buckets from an entry's own to where it stands, at most: bounds a search */
typedef struct HashBucket {
  uint8_t tag[HASH_SLOTS];
  uint32_t used;
  uint32_t row[HASH_SLOTS];
} HashBucket;
_Static_assert(sizeof(HashBucket) == 64, "a hash bucket is one cache line");

/* ---- the decoded form: private memory, checked ----------------------------------------------- */

typedef struct Chunk {
  const uint8_t *data;
  const uint8_t *null_bits; /* NULL: no row is */
  const uint8_t *aux;
  const uint8_t *heap;
  uint64_t heap_bytes;
  int64_t base; /* TEXT, BLOB: 0 if not EVEN */
  int64_t max;
  uint8_t encoding;
  uint8_t width;
  uint16_t flags;
  uint32_t stored; /* rows that are not NULL */
} Chunk;
_Static_assert(sizeof(Chunk) == 64, "a point lookup reads one line of this for each column");

typedef struct Column {
  Chunk *chunks;
  int numbers; /* CHUNK_INT or CHUNK_REAL if all chunks are that, or NULLS; otherwise 0 */
  mmapsync_column_info info;
} Column;

typedef struct Key {
  const void *order; /* NULL: the row's number is its position */
  int order_width;
  const uint8_t *search;
  uint64_t nsearch; /* RANK: lines; HASH: buckets */
  int64_t base;
  int search_kind;
  mmapsync_part_def *parts;
  mmapsync_key_info info;
} Key;

struct mmapsync_table {
  const uint8_t *payload; /* of the whole image */
  uint64_t size;
  uint64_t rows;
  uint64_t chunk_mask;
  uint32_t chunk_shift;
  Column *columns;
  Key *keys;
  mmapsync_table_info info;
};

/* Points a decoded chunk of so many rows at its buffers, which the caller has checked or has just written. */
void chunkDecode(Chunk *out, const DirChunk *in, const uint8_t *payload, uint64_t rows);

/* Bytes before the bitmap of a SPARSE chunk of n rows, which counts take; a multiple of 64. */
uint64_t sparseCounts(uint64_t n);

/* Rows in chunk number `chunk`, and how many chunks there are. */
uint64_t chunkRows(uint64_t rows, uint32_t shift, uint64_t chunk);
uint64_t chunkCount(uint64_t rows, uint32_t shift);

/* Compares the first n parts of key k in a row with values (negative: the row comes first).  Or two rows, from
** part *part on, which becomes the first part in which they differ.  *rc becomes CORRUPT if a value cannot be
** read. */
int keyCompareValues(const mmapsync_table *t, const Key *k, uint64_t row, const mmapsync_value *v,
                     int n, int *rc);

/* How many rows of a key of kind RANK are less than base + x. */
uint64_t rankCount(const mmapsync_table *t, const Key *k, uint64_t x);

int keyCompareRows(const mmapsync_table *t, const Key *k, int *part, uint64_t a, uint64_t b,
                   int *rc);

#endif
