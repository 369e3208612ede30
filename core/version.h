/*
** version.h - the version word: all a reader must know to find the newest payload, in 64 bits.
**
**     bit  0        which data file holds the payload, 0 or 1
**     bits 1..39    bytes of the payload, below 2^39
**     bits 40..63   24 bits of its hash
**
** One word, so that one store switches readers from one snapshot to the next.  The layout is the
** mmap-sync crate's: a channel may be shared with it.  The hash bits are opaque to a reader; they are
** there so that two payloads of one size give two words.  The word 0 means "nothing published yet"
** and is never made for a payload: only the empty one has so many zeros to offer, and its hash ends in d394c2.
*/
#ifndef MMAPSYNC_VERSION_H
#define MMAPSYNC_VERSION_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* A payload may have to be mapped whole, so a size must fit a size_t. */
_Static_assert(sizeof(size_t) >= 8, "a 64-bit address space is needed");

#define VERSION_SIZE_BITS 39
#define VERSION_SIZE_MAX  ((UINT64_C(1) << VERSION_SIZE_BITS) - 1)
#define VERSION_HASH_BITS 24
#define VERSION_HASH_MAX  ((UINT64_C(1) << VERSION_HASH_BITS) - 1)
#define VERSION_HASH_AT   (1 + VERSION_SIZE_BITS)

_Static_assert(VERSION_HASH_AT + VERSION_HASH_BITS == 64, "the version word has 64 bits");

static inline unsigned versionIndex(uint64_t word) { return (unsigned)(word & 1); }

static inline size_t versionSize(uint64_t word) { return (size_t)((word >> 1) & VERSION_SIZE_MAX); }

/* The word for a payload; of the hash, the low 24 bits are taken. */
static inline uint64_t versionMake(unsigned index, size_t size, uint64_t hash) {
  assert(index <= 1 && size <= VERSION_SIZE_MAX);
  return (uint64_t)index | (uint64_t)size << 1 | (hash & VERSION_HASH_MAX) << VERSION_HASH_AT;
}

/* Another word for the same file and size. */
static inline uint64_t versionPerturb(uint64_t word) {
  return word ^ UINT64_C(1) << VERSION_HASH_AT;
}

#endif
