/*
** vector.h - loops of which the compiler is to make vectors.
**
** gcc does so for loops of any length at -O3 only; clang at -O2, too.  VECTOR_LOOPS stands before a function whose loops
** are short of anything else.
*/
#ifndef MMAPSYNC_VECTOR_H
#define MMAPSYNC_VECTOR_H

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define VECTOR_LOOPS __attribute__((optimize("O3")))
#else
#define VECTOR_LOOPS
#endif

#endif
