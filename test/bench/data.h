/*
** data.h - what the benchmark's tables hold.
**
** A shop: items, and what of them is in stock.  Every value is a function of the row's number and of how
** many rows there are, so that a program can say what it expects without keeping it, and every run is of
** the same data.
**
**     items   id        1, 2, 3, ...; the integer primary key
**             sku       11 bytes, all different, in no order: "LAM-1Q0RKUY"
**             name      about 2,900 different, some common and some rare: "Compact Steel Lamp"
**             category  24 different, the first in a quarter of the rows, the last in a hundredth; indexed
**             price     from 0.49 to 4096, to the cent
**             qty       0 to 999, all as often: `qty < 10` is 1 % of the rows; not indexed
**             created   seconds; rises with id, as it does where rows are only added; not indexed
**             updated   seconds, all different, in no order, 7 a row; indexed
**             discount  NULL in four rows of five
**     stock   item      id of an item, one of eight left out; the integer primary key
**             sku       that item's
**             place     0 to 99, all as often; not indexed
**             count     0 to 63
**     orders  id        1, 2, 3, ...
**             item      id of an item, any
**             sku       that item's
**             n         1 to 8
**
** orders has a tenth as many rows as items, and is for joins with what is not published.
*/
#ifndef DATA_H
#define DATA_H

#include "sqldb.h"

#define DATA_SKU 11 /* bytes of a sku */

typedef struct Item {
  sqlite3_int64 id;
  char sku[DATA_SKU + 1];
  char name[48];
  const char *category;
  double price;
  int qty;
  sqlite3_int64 created;
  sqlite3_int64 updated;
  double discount; /* 0: NULL */
} Item;

/* Item `id` of a table of `rows` rows, 1 <= id <= rows. */
void dataItem(sqlite3_int64 id, sqlite3_int64 rows, Item *out);

/* The sku of item id.  For an id above the number of rows: one that is not there. */
void dataSku(sqlite3_int64 id, char sku[DATA_SKU + 1]);

/* The least `updated`; the next is about 7 more. */
sqlite3_int64 dataUpdatedFrom(void);

/* Creates items and stock in the main schema, with their indexes, and fills them. */
void dataCreate(sqlite3 *db, sqlite3_int64 rows);

/* Creates and fills orders in the schema of that name. */
void dataCreateOrders(sqlite3 *db, const char *schema, sqlite3_int64 rows);

/* The tables' definitions, to make them anew: "CREATE TABLE items(...); ..." */
extern const char dataSchema[];

/* The indexes of items beside its keys, on a copy of it: a format with the schema's name three times. */
extern const char dataCopyIndexes[];

#endif
