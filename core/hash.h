/*
** hash.h - XXH3-64, the one hash of this library.
**
** The only file that includes xxhash.h.  XXH_INLINE_ALL compiles it into each user as static code,
** so that no symbol of it is exported and none of another copy of it in the same process is called.
** Its loops are written for gcc's -O3: at -O2, gcc leaves the accumulators in memory, and large
** payloads take twice the time.
*/
#ifndef MMAPSYNC_HASH_H
#define MMAPSYNC_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#endif
#if (defined(__OPTIMIZE__) || defined(MMAPSYNC_COVERAGE)) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3")
#endif
#include <xxhash.h>
#if (defined(__OPTIMIZE__) || defined(MMAPSYNC_COVERAGE)) && !defined(__clang__)
#pragma GCC pop_options
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* Hashes are stored, in trailers and in images, and before 0.8.0 the function was another. */
#if XXH_VERSION_NUMBER < 800
#error "xxhash 0.8.0 or later is needed"
#endif

/* The hash of n bytes; p may be NULL if n is 0. */
static inline uint64_t hashBytes(const void *p, size_t n) { return XXH3_64bits(n ? p : "", n); }

/* The same under a seed, for hashes that chain. */
static inline uint64_t hashSeeded(const void *p, size_t n, uint64_t seed) {
  return XXH3_64bits_withSeed(n ? p : "", n, seed);
}

/* The same, of bytes that come in pieces: hashStart(), hashMore() for each, hashEnd(). */
typedef XXH3_state_t Hash;

static inline void hashStart(Hash *hash) { (void)XXH3_64bits_reset(hash); }
static inline void hashMore(Hash *hash, const void *p, size_t n) {
  (void)XXH3_64bits_update(hash, p, n);
}
static inline uint64_t hashEnd(const Hash *hash) { return XXH3_64bits_digest(hash); }

#endif
