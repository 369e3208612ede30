/*
** loops.h - what is done to a channel over and over: the loops that corebench and peerbench time.
**
** Every read looks at a byte that must be the one expected, and what was written last is read back outside the
** time, so that nothing can be skipped.  No two payloads that are written one after the other are the same.
*/
#ifndef LOOPS_H
#define LOOPS_H

#include "mmapsync.h"

/* Ends the program with what the handle says, if rc is not OK. */
void loopCheck(mmapsync *h, int rc, const char *what);

/* Opens a channel.  The caller closes it. */
mmapsync *loopOpen(const char *channel, const mmapsync_options *opt);

/* n reads, entered and left, or by a view that is released; the payload's first byte must be `first`. */
void loopEnters(mmapsync *h, uint64_t n, unsigned char first);
void loopReads(mmapsync *h, uint64_t n, unsigned char first);

/* Fills a payload with numbers that depend on its size alone.  Puts a number into its first bytes. */
void loopFill(char *data, size_t size);
void loopStamp(char *data, uint64_t n);

/* Publishes a payload n times, each with the next number. */
void loopWrites(mmapsync *h, char *data, size_t size, uint64_t n, uint64_t *serial);

/* The same in place: the payload is made in the data file, out of the rest of `data` and a number. */
void loopBuilds(mmapsync *h, const char *data, size_t size, uint64_t n, uint64_t *serial);

/* The newest snapshot must be these bytes. */
void loopExpect(mmapsync *h, const char *data, size_t size);

#endif
