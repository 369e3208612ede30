/*
** always.h - conditions that hold, or do not, as far as anyone can see, and are looked at all the same.
**
** A branch that no test can take is either dead, and goes, or a defence against a mistake of our own; that one is
** written if (NEVER(x)), or if (ALWAYS(x)).  The idea and the names are SQLite's.  A debug build stops where such a
** condition surprises; `make coverage` takes the branch out of the count; what users get looks, and defends itself.
*/
#ifndef MMAPSYNC_ALWAYS_H
#define MMAPSYNC_ALWAYS_H

#include <assert.h>

#if defined(MMAPSYNC_COVERAGE)
#define ALWAYS(x) 1
#define NEVER(x)  0
#elif !defined(NDEBUG)
#define ALWAYS(x) ((x) ? 1 : (assert(0), 0))
#define NEVER(x)  ((x) ? (assert(0), 1) : 0)
#else
#define ALWAYS(x) (x)
#define NEVER(x)  (x)
#endif

#endif
