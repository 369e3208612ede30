/*
** cases.h - what is asked of the snapshot, of a WAL file and of a table in memory, in the same words.
**
** To add a case, add a line to the table in cases.c.  Nothing else needs to know of it: sqlbench asks it,
** compares what the places answer, and bench.tcl prints a row for it.
*/
#ifndef CASES_H
#define CASES_H

#include "data.h"

#include <stdint.h>

/* Keys drawn at random, before the clock runs; a query takes the next ones, and after the last the first. */
#define DRAW_KEYS 65536
typedef struct Draw {
  sqlite3_int64 rows; /* of items */
  uint32_t next;
  struct {
    sqlite3_int64 id;
    char sku[DATA_SKU + 1];  /* of that id */
    char none[DATA_SKU + 1]; /* one that is not there */
  } key[DRAW_KEYS];
} Draw;

/* Draws keys of a table with so many rows. */
void drawKeys(Draw *d, sqlite3_int64 rows, uint64_t seed);

/* What a time is divided by. */
enum {
  PER_QUERY, /* the statements run */
  PER_ROW    /* the rows of items, for each */
};

/* How a case is run; bits. */
enum {
  ORDERED = 1,  /* the rows must come in one order */
  ANEW = 2,     /* the statement is prepared and finalized for each query */
  TOGETHER = 4, /* all queries of a run stand in one read transaction */
  ONCE = 8      /* asked once, each value compared whole, and not timed */
};

typedef struct Case {
  const char *name;  /* for files and patterns: letters, digits, '.' */
  const char *title; /* for people */
  const char *sql;   /* "?*9" stands for nine parameters with commas between */
  void (*bind)(sqlite3_stmt *stmt,
               Draw *draw); /* sets the parameters of a query; NULL: there are none */
  const char *columns; /* how each is read: i integer, t text, r real that is a number of cents */
  int unit;
  int flags;
} Case;

extern const Case cases[];
extern const int nCase;

#endif
