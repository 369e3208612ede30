/*
** numeric_text.c - which texts look like numbers, as the publisher of a table image notes it.
**
** usage: numeric_text PATH
**
** Reads texts from the standard input, one a line, in hexadecimal; publishes them as one row, each in a column of
** its own; prints a line of as many 0 and 1.  numeric.test compares them with what SQLite says.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mmapsync.h"

#define MOST 32000

static void must(int rc, mmapsync *h) {
  if (rc == MMAPSYNC_OK) return;
  fprintf(stderr, "numeric_text: %s\n", mmapsync_errmsg(h));
  exit(1);
}

int main(int argc, char **argv) {
  static char names[MOST][8], text[MOST][40], line[128];
  static size_t length[MOST];
  static mmapsync_column_def cols[MOST];
  mmapsync_table_def def = {.name = "t", .columns = cols, .rowid = -1};
  mmapsync *h = NULL;
  mmapsync_builder *b;
  mmapsync_view view;
  mmapsync_image *image;
  int i, n = 0;

  if (argc != 2) return 2;
  while (n < MOST && fgets(line, sizeof(line), stdin)) {
    const char *z = line;
    unsigned byte;
    while (length[n] < sizeof(text[n]) && sscanf(z, "%2x", &byte) == 1) {
      text[n][length[n]++] = (char)byte;
      z += 2;
    }
    snprintf(names[n], sizeof(names[n]), "c%d", n);
    cols[n].name = names[n];
    n++;
  }
  def.ncolumns = n;
  must(mmapsync_open(argv[1], NULL, &h), h);
  must(mmapsync_build_begin(h, &b), h);
  must(mmapsync_build_table(b, &def), h);
  for (i = 0; i < n; i++) mmapsync_build_text(b, text[i], length[i]);
  must(mmapsync_build_row(b), h);
  must(mmapsync_build_commit(b, NULL), h);
  must(mmapsync_read(h, &view), h);
  must(mmapsync_image_open(h, &view, &image), h);
  for (i = 0; i < n; i++) {
    const mmapsync_column_info *c = mmapsync_column_about(mmapsync_table_at(image, 0), i);
    putchar(c->types & MMAPSYNC_TYPES_NUMERIC_TEXT ? '1' : '0');
  }
  putchar('\n');
  mmapsync_image_close(image);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  return 0;
}
