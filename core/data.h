/*
** data.h - the two data files: the trailer behind a payload, a reader's mapping, a writer's file.
**
** P_data_0 and P_data_1 hold a payload each, at offset 0.  The active one is named by the version
** word; the other is the next writer's.  They are reused in place and keep their blocks, so in steady
** state nothing is opened, mapped, grown or faulted in.
**
** TRAILER.  At the first multiple of 64 after the payload's last byte stand 64 bytes of ours, which
** other users of the channel do not see, because they lie outside the size in the version word:
**
**     offset  0  u8[8] magic      "mmapsync"
**             8  u16   format     1; raised if a reader of this layout would go wrong.  Magic, format and version
**                                  stay where they are in all formats, so that a newer one is known and refused
**            10  u16   kind       MMAPSYNC_KIND_...: what the payload is
**            12  u32   pid        the publisher, in its PID namespace: for people
**            16  u64   version    the word it was published as: says whose trailer this is
**            24  u64   sequence   1, 2, 3, ... in the channel: tells two snapshots with one word apart
**            32  u64   hash       XXH3-64 of the payload, of which the word has but 24 bits
**            40  u64   time_ns    when, since 1970, UTC
**            48  u64   previous   the word in force until then, that is, what the *other* file carries;
**                                 through it the next writer finds that file's old trailer
**            56  u64   check      XXH3-64 of the 56 bytes before it
**
** in the machine's byte order, like the state: a channel does not leave its machine.  64 bytes are a
** cache line, so a reader who needs the trailer pays for one.  It is valid if magic, format and check
** are right and `version` is the word the reader holds.  A payload without a valid trailer came from
** another writer (the mmap-sync crate): raw bytes, sequence 0, nothing to compare a hash with.
**
** A word has 24 bits of hash, so another writer's payload of the same size in the same file may, once
** in 16 million, meet the word of the trailer that was left there.  Then that trailer is believed, and
** a comparison of the hash fails.
**
** The trailer is written while nobody may read it, and published with the payload.  But a reader that
** outlived the grace time may look at it while it is wiped (state.h), so both sides access it as
** eight atomic words; no order is asked of them.
**
** GUARD.  A reader's mapping ends with a page of zeros of its own.  Texts are handed out with the NUL that follows
** them, to programs that look for it, as SQLite does; one who writes to the file meanwhile can take the NUL away,
** and the last text's reader would run out of the mapping.
**
** HOLES.  A publisher reserves every byte that it publishes, so a snapshot takes as much room on the device as it
** has bytes, or somewhat less where the file system compresses.  A file of which almost nothing is there can claim
** any size at no cost.  Nothing is allocated by what such a file says: it is refused as a table image, and as what
** a private copy is made of.
*/
#ifndef MMAPSYNC_DATA_H
#define MMAPSYNC_DATA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "state.h"

struct mmapsync;

#define TRAILER_SIZE   64
#define TRAILER_FORMAT 1

typedef struct Trailer {
  uint8_t magic[8];
  uint16_t format;
  uint16_t kind;
  uint32_t pid;
  uint64_t version;
  uint64_t sequence;
  uint64_t hash;
  uint64_t time_ns;
  uint64_t previous;
  uint64_t check;
} Trailer;

_Static_assert(sizeof(Trailer) == TRAILER_SIZE, "the trailer is one cache line");
_Static_assert(offsetof(Trailer, format) == 8 && offsetof(Trailer, kind) == 10 &&
                   offsetof(Trailer, pid) == 12 && offsetof(Trailer, version) == 16 &&
                   offsetof(Trailer, sequence) == 24 && offsetof(Trailer, hash) == 32 &&
                   offsetof(Trailer, time_ns) == 40 && offsetof(Trailer, previous) == 48 &&
                   offsetof(Trailer, check) == 56,
               "the trailer's layout is fixed");

/* Sequences are below this; what is not was counted by nobody.  (And 0 is not one.) */
#define SEQUENCE_MOST (UINT64_C(1) << 62)

/* The same, as it stands in a data file. */
typedef struct TrailerShared {
  _Atomic uint64_t word[TRAILER_SIZE / 8];
} TrailerShared;

_Static_assert(sizeof(TrailerShared) == TRAILER_SIZE, "plain layout");

/* The word of it that tells two snapshots apart. */
#define TRAILER_SEQUENCE_WORD (offsetof(Trailer, sequence) / 8)
#define TRAILER_VERSION_WORD  (offsetof(Trailer, version) / 8)

/* Where the trailer of a payload of `size` bytes begins, and where it ends. */
static inline size_t trailerAt(size_t size) {
  return (size + (TRAILER_SIZE - 1)) & ~(size_t)(TRAILER_SIZE - 1);
}
static inline size_t trailerEnd(size_t size) { return trailerAt(size) + TRAILER_SIZE; }

/* Takes the trailer at `from` out; 1 if it is valid and names the word `version`, otherwise 0. */
int trailerLoad(const TrailerShared *from, uint64_t version, Trailer *out);

/* Whether that trailer, which trailerLoad() took out and found not valid, is of `version` and a newer format. */
int trailerNewer(const Trailer *t, uint64_t version);

/* The failure of a reader that meets one in data file `index`. */
int dataNewer(struct mmapsync *h, unsigned index, unsigned format);

/* Completes *t (magic, format, check) and writes it to `to`.  Wipes what is at `to`. */
void trailerStore(TrailerShared *to, Trailer *t);
void trailerWipe(TrailerShared *to);

/*
** A data file, as a reader has it mapped.  The handle holds the newest mapping of each file, and every
** view the one it was made from: when a file has grown and is mapped anew, older views keep the older
** mapping.
*/
typedef struct mmapsync_map {
  int refs;
  unsigned index;      /* which file */
  uint32_t held;       /* views of it that are pinned by slot */
  int orphan;          /* its file is no longer at the path, and those views need no pin any more */
  State *state;        /* the state file under which it was mapped */
  const uint8_t *base; /* never NULL, 64-byte aligned */
  size_t length;       /* bytes of the file that may be read there */
  void *region;        /* what is to be unmapped, with the guard ... */
  size_t mapped;       /* ... and its bytes; 0: nothing */
  int holes;           /* most of the file takes no room: see HOLES */
  dev_t device;
  ino_t inode;
  uint32_t replaced; /* replaced[index] of P_writer, as it was noted before this was mapped */
  uint64_t checked;  /* a version word for which this was compared with the file at the path, after
                    ** the word was met, and was up to date; see readShows() */
} DataMap;

/* Whether a file holds so little of the bytes that it has that nobody can have reserved them; see HOLES. */
#define HOLES_LEAST ((uint64_t)64 << 20) /* below this size it does not matter */
#define HOLES_TIMES 64                   /* nobody compresses so well */
int dataHoles(uint64_t size, uint64_t blocks);

/* Makes h->maps[index] good for the snapshot `version`: maps the file again, or leaves the mapping
** if it is of the same file and no shorter than it need be, and notes `checked`.  `replaced`
** is replaced[index] as it was before the call. */
int dataMap(struct mmapsync *h, unsigned index, uint64_t version, uint32_t replaced);

/* Notes that the file of h->maps[index] has lost its name: nobody writes there any more, and views of it need no
** pin. */
void dataOrphan(struct mmapsync *h, unsigned index);

/* The place of the trailer of `version` in a mapping, or NULL if it ends before that. */
static inline const TrailerShared *dataTrailer(const DataMap *map, size_t size) {
  return trailerEnd(size) <= map->length
             ? (const TrailerShared *)(const void *)(map->base + trailerAt(size))
             : NULL;
}

/* Gives a use of a mapping back; with the last it goes. */
void dataUnmap(DataMap *map);
static inline void dataUnref(DataMap *map) {
  if (map && --map->refs == 0) dataUnmap(map);
}

/*
** A data file, as a writer has it open.  Only its own handle knows `reserved`, and only for as long as
** nobody else wrote to the channel: with the writer's lock goes the trust.
*/
typedef struct DataFile {
  int fd; /* -1: not open */
  dev_t device;
  ino_t inode;
  uint8_t *base;   /* NULL: not mapped */
  size_t mapped;   /* bytes mapped; may end past the file's end, but is not touched there */
  size_t length;   /* bytes of the file */
  size_t reserved; /* bytes from its start that are known to have blocks */
  uint64_t word;   /* the version word this handle last published there, or 0 */
  int trusted; /* compared with the file at its path since the lock was taken, or the options set */
} DataFile;

/* Opens data file `index` for writing, making it if need be.  If it is open and not trusted, makes
** sure that it still is the one at its path, and takes notice of its length. */
int dataOpen(struct mmapsync *h, unsigned index);

/* Whether the first `end` bytes of data file `index` are mapped for writing and there to be looked at: if
** not trusted, it may have been cut short or removed. */
int dataReaches(struct mmapsync *h, unsigned index, size_t end);

/* Reserves and maps room for a payload of `size` bytes and its trailer.  May move the mapping. */
int dataReserve(struct mmapsync *h, unsigned index, size_t size);

/* For a write to file `index` that does not touch the bytes there: begins a new file, of the old one's owner
** and permissions, with room for a payload of `size` bytes.  It takes the old one's name with dataRename(), or
** goes with dataForget(), which returns 0 if it could not be removed.  Cuts the old one back to `length` bytes.
** On failure the old file stays as it is. */
int dataReplace(struct mmapsync *h, unsigned index, size_t length, size_t size);
int dataRename(struct mmapsync *h, unsigned index);
int dataForget(struct mmapsync *h, unsigned index);

/* Removes what a writer that died has left of new files. */
void dataSweep(struct mmapsync *h);

/* Cuts the file back to `length` bytes, if it is longer. */
void dataTrim(DataFile *f, size_t length);

void dataClose(DataFile *f);

#endif
