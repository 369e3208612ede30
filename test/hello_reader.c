/*
** hello_reader.c - the C counterpart of the mmap-sync crate's example "reader".
**
** Reads what hello_writer.c, or the crate's own example, published on the channel named by the first
** argument (default /tmp/hello_world), in place, and prints it as the crate's reader does.
**
** hello_writer.c describes the layout.  Here all of it is checked, since anybody may have written it.
** The 8 bytes of a message come in two forms.  If the high bit of byte 7 is clear, they are the text
** itself, and byte 7 its length.  If it is set, they are
**
**     offset 0   u32  length
**            4   i32  where the text is, counted from the message's first byte; little-endian on every
**                     machine, and negative, because the text comes before
*/
#include "mmapsync.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define STRING_SIZE 8
#define INLINE_MAX  (STRING_SIZE - 1)
#define ROOT_SIZE   12

/* The structure as it is found in the payload; messages are 8 bytes each. */
typedef struct Hello {
  const uint8_t *payload;
  size_t size;
  uint32_t version;
  uint32_t count;
  size_t first; /* offset of the first message */
} Hello;

/* 1 if `n` bytes at offset `at` are inside the payload. */
static int helloInside(const Hello *p, int64_t at, uint64_t n) {
  return at >= 0 && (uint64_t)at <= p->size && n <= p->size - (uint64_t)at;
}

/* Finds the structure at the payload's end; 1 if it is sound. */
static int helloOpen(Hello *p, const void *payload, size_t size) {
  const uint8_t *root;
  int32_t first;
  int64_t at;

  p->payload = payload;
  p->size = size;
  if (size < ROOT_SIZE) return 0;
  root = p->payload + size - ROOT_SIZE;
  memcpy(&p->version, root, 4);
  memcpy(&first, root + 4, 4);
  memcpy(&p->count, root + 8, 4);
  at = (int64_t)(size - ROOT_SIZE) + 4 + first;
  if (!helloInside(p, at, (uint64_t)p->count * STRING_SIZE)) return 0;
  p->first = (size_t)at;
  return 1;
}

/* The text of message i, which is not NUL-terminated; 1 if it is sound. */
static int helloMessage(const Hello *p, uint32_t i, const uint8_t **text, uint32_t *n) {
  size_t here = p->first + (size_t)i * STRING_SIZE;
  const uint8_t *s = p->payload + here;
  int64_t at = (int64_t)here;

  if ((s[INLINE_MAX] & 0x80) == 0) {
    *n = s[INLINE_MAX];
    *text = s;
    return *n <= INLINE_MAX;
  }
  memcpy(n, s, 4);
  at += (int64_t)((uint32_t)s[4] | (uint32_t)s[5] << 8 | (uint32_t)s[6] << 16 |
                  (uint32_t)s[7] << 24) -
        ((int64_t)1 << 32);
  if (!helloInside(p, at, *n)) return 0;
  *text = p->payload + at;
  return 1;
}

/* version: 7 | messages: ["Hello", "World", "!"] */
static int helloPrint(const Hello *p) {
  const uint8_t *text;
  uint32_t i, j, n;

  for (i = 0; i < p->count; i++) {
    if (!helloMessage(p, i, &text, &n)) return 0;
  }
  printf("version: %u | messages: [", (unsigned)p->version);
  for (i = 0; i < p->count; i++) {
    helloMessage(p, i, &text, &n);
    printf("%s\"", i ? ", " : "");
    for (j = 0; j < n; j++) {
      if (text[j] == '"' || text[j] == '\\') putchar('\\');
      putchar(text[j]);
    }
    putchar('"');
  }
  printf("]\n");
  return 1;
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "/tmp/hello_world";
  mmapsync *h = NULL;
  mmapsync_view view;
  Hello hello;
  int rc, sound = 0;

  rc = mmapsync_open(path, NULL, &h);
  if (rc == MMAPSYNC_OK) rc = mmapsync_read(h, &view);
  if (rc == MMAPSYNC_OK) {
    sound = helloOpen(&hello, view.data, view.size) && helloPrint(&hello);
    if (!sound) fprintf(stderr, "\"%s\": not the example's structure\n", mmapsync_path(h));
    mmapsync_release(h, &view);
  } else {
    fprintf(stderr, "%s\n", mmapsync_errmsg(h));
  }
  mmapsync_close(h);
  return rc == MMAPSYNC_OK && sound ? 0 : 1;
}
