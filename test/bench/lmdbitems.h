/*
** lmdbitems.h - the items of data.h in LMDB, for what stands beside our C interface.
**
** An environment in a folder of its own, with four databases:
**
**     ids    id  -> the item, packed; MDB_INTEGERKEY
**     skus   sku -> the same
**     load1  as ids, written anew by lmdbLoad()
**     load2  sku -> id, likewise: a second key of the same rows
**
** A lookup is one mdb_get(), by either key: an item stands twice, which costs LMDB nothing here, since these two are
** filled outside of any time.  It is opened as fast as it goes without giving up what makes it safe for readers:
** MDB_NOSYNC and MDB_WRITEMAP, on tmpfs, and rows are appended in the order of their ids (MDB_APPEND).
**
** Built without LMDB (its package liblmdb-dev was missing), lmdbBuilt() is 0, and the rest must not be called.
*/
#ifndef LMDBITEMS_H
#define LMDBITEMS_H

#include "data.h"

#include <stddef.h>

/* LMDB's version, or NULL if this was built without. */
const char *lmdbBuilt(void);

/* Opens the environment in `folder`, with room for so many rows, and makes it if need be. */
void lmdbOpen(const char *folder, sqlite3_int64 rows);
void lmdbClose(void);

/* Fills ids and skus. */
void lmdbFill(const Item *items, sqlite3_int64 rows);

/* Empties load1 and load2 and fills them, in one transaction. */
void lmdbLoad(const Item *items, sqlite3_int64 rows);

/* The reader's transaction: lmdbBegin() and lmdbAbort() make and end it, lmdbReset() and lmdbRenew() let its snapshot
** go and take the newest. */
void lmdbBegin(void);
void lmdbAbort(void);
void lmdbReset(void);
void lmdbRenew(void);

/* The price of an item, within a transaction; -1 if there is none. */
double lmdbPriceOfId(sqlite3_int64 id);
double lmdbPriceOfSku(const char *sku);

#endif
