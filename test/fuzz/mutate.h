/*
** mutate.h - changes to a table image that leave most of it sound; see mutate.c.
*/
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Changes an image of n bytes in place, which may grow to `most`; its length now. */
size_t mutateImage(uint8_t *image, size_t n, size_t most, uint64_t seed);

#endif
