/*
** shared.h - reading memory that somebody else may change while it is read.
**
** What is mapped of a channel may be written to by others at any moment, also by one who wants to do harm.  So of
** every number there that is used as a length, an index or an offset, this rule holds, in all of core and ext:
**
**     it is read once, into a local, checked there, and only the local is used.
**
** C lets a compiler read plain memory twice where the source reads it once: a value that was checked could come
** from memory anew when it is used.  SHARED_LOAD() does not let it: a relaxed atomic load, which on every machine
** is the plain instruction.  sharedCopy() is for records: behind it only the copy can be looked at, because the
** compiler must take it for changed.  The fields that readers and writers synchronize by are _Atomic and need neither.
**
** What is only compared, summed or handed on may be read as it is, and twice: bits of a bitmap, numbers of a
** column, bytes of a text.  (That a text keeps its NUL while it is looked for is another matter: data.h, GUARD.)
*/
#ifndef MMAPSYNC_SHARED_H
#define MMAPSYNC_SHARED_H

#include <string.h>

/* The integer or pointer at p, read once. */
#define SHARED_LOAD(p) __atomic_load_n((p), __ATOMIC_RELAXED)

/* Behind a loop that copied, too: what stands at `to` is read from there from here on, and not from where it came. */
static inline void sharedTaken(void *to) { __asm__ volatile("" : : "r"(to) : "memory"); }

static inline void sharedCopy(void *to, const void *from, size_t n) {
  if (n) memcpy(to, from, n);
  sharedTaken(to);
}

#endif
