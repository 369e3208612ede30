/*
** hello_writer.c - the C counterpart of the mmap-sync crate's example "writer".
**
** Publishes the example's little structure, version 7 and three messages, on the channel named by the
** first argument (default /tmp/hello_world), byte for byte as the crate's writer does, so that the
** crate's reader reads it, and hello_reader.c the crate's.
**
** LAYOUT.  It is what the rkyv library (0.7, 32-bit offsets) makes of
**
**     struct HelloWorld { version: u32, messages: Vec<String> }
**
** The elements of the vector come first and the structure itself last, so that a reader finds it at
** the payload's end.  Numbers are in the machine's byte order, unless stated otherwise:
**
**     offset  0   8 bytes a message: its text in bytes 0 to 6, its length in byte 7
**            24   u32  version
**            28   i32  where the first message is, counted from this field: -28
**            32   u32  how many messages there are
**
** A text of more than 7 bytes does not fit in its place and is stored elsewhere; hello_reader.c shows
** how that looks.  The messages of this example are short.
*/
#include "mmapsync.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MESSAGES    3
#define STRING_SIZE 8
#define INLINE_MAX  (STRING_SIZE - 1)
#define ROOT_AT     (MESSAGES * STRING_SIZE)
#define ROOT_SIZE   12

static size_t helloPack(uint8_t *out, uint32_t version, const char *const *messages) {
  const uint32_t count = MESSAGES;
  const int32_t first = -(ROOT_AT + 4);
  size_t n;
  int i;

  memset(out, 0, ROOT_AT + ROOT_SIZE);
  for (i = 0; i < MESSAGES; i++) {
    n = strlen(messages[i]);
    assert(n <= INLINE_MAX);
    memcpy(out + i * STRING_SIZE, messages[i], n);
    out[i * STRING_SIZE + INLINE_MAX] = (uint8_t)n;
  }
  memcpy(out + ROOT_AT, &version, 4);
  memcpy(out + ROOT_AT + 4, &first, 4);
  memcpy(out + ROOT_AT + 8, &count, 4);
  return ROOT_AT + ROOT_SIZE;
}

int main(int argc, char **argv) {
  static const char *const messages[MESSAGES] = {"Hello", "World", "!"};
  const char *path = argc > 1 ? argv[1] : "/tmp/hello_world";
  uint8_t payload[ROOT_AT + ROOT_SIZE];
  mmapsync *h = NULL;
  mmapsync_result done;
  int rc;

  rc = mmapsync_open(path, NULL, &h);
  if (rc == MMAPSYNC_OK) {
    rc = mmapsync_write(h, payload, helloPack(payload, 7, messages), &done);
  }
  if (rc == MMAPSYNC_OK) {
    printf("written: %llu bytes | reset: %s\n", (unsigned long long)done.size,
           done.reset ? "true" : "false");
  } else {
    fprintf(stderr, "%s\n", mmapsync_errmsg(h));
  }
  mmapsync_close(h);
  return rc == MMAPSYNC_OK ? 0 : 1;
}
