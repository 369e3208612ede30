/*
** always.h - conditions that hold, or do not, as far as anyone can see, and are looked at all the same.
**
** A branch that no test can take is either dead, and goes, or a defence against a mistake of our own; that one is
** written if (NEVER(x)) or if (ALWAYS(x)), with the reason beside it.  What a hostile file, a hostile writer, a full
** memory or another host's SQLite can bring about is none: it has a test.  The idea and the names are SQLite's.  A
** debug build stops where such a condition surprises; the one that `make coverage` measures does not have the branch,
** nor the condition, which therefore does nothing but look; what users get looks, and defends itself.
*/
#ifndef MMAPSYNC_ALWAYS_H
#define MMAPSYNC_ALWAYS_H

#if defined(MMAPSYNC_COVERAGE)
#define ALWAYS(x) ((void)sizeof(x), 1) /* which does not compute it, and counts as a use */
#define NEVER(x)  ((void)sizeof(x), 0)
#elif defined(MMAPSYNC_DEBUG)
#include <assert.h>
#define ALWAYS(x) ((x) ? 1 : (assert(0 && "ALWAYS: " #x), 0))
#define NEVER(x)  ((x) ? (assert(0 && "NEVER: " #x), 1) : 0)
#else
#define ALWAYS(x) (x)
#define NEVER(x)  (x)
#endif

#endif
