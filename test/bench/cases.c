/*
** cases.c - the table of cases.  See cases.h for what a line means, data.h for the columns.
**
** The words are those a user would write.  Where an answer depends on the order in which reals are added,
** all are sums of cents, and are compared to the cent.
*/
#define _GNU_SOURCE
#include "cases.h"
#include "bench.h"

/* ---- parameters ------------------------------------------------------------------------------ */

void drawKeys(Draw *d, sqlite3_int64 rows, uint64_t seed) {
  d->rows = rows;
  d->next = 0;
  for (int i = 0; i < DRAW_KEYS; i++) {
    d->key[i].id = 1 + (sqlite3_int64)(benchRandom(&seed) % (uint64_t)rows);
    dataSku(d->key[i].id, d->key[i].sku);
    dataSku(d->key[i].id + rows, d->key[i].none);
  }
}

static sqlite3_int64 drawId(Draw *d) { return d->key[d->next++ % DRAW_KEYS].id; }

static void bindText(sqlite3_stmt *stmt, int at, const char *sku) {
  sqlite3_bind_text(stmt, at, sku, DATA_SKU, SQLITE_STATIC);
}

static void bindId(sqlite3_stmt *stmt, Draw *d) { sqlite3_bind_int64(stmt, 1, drawId(d)); }

static void bindSku(sqlite3_stmt *stmt, Draw *d) {
  bindText(stmt, 1, d->key[d->next++ % DRAW_KEYS].sku);
}

static void bindNoSku(sqlite3_stmt *stmt, Draw *d) {
  bindText(stmt, 1, d->key[d->next++ % DRAW_KEYS].none);
}

static void bindIds(sqlite3_stmt *stmt, Draw *d) {
  for (int i = sqlite3_bind_parameter_count(stmt); i > 0; i--) {
    sqlite3_bind_int64(stmt, i, drawId(d));
  }
}

static void bindSkus(sqlite3_stmt *stmt, Draw *d) {
  for (int i = sqlite3_bind_parameter_count(stmt); i > 0; i--) {
    bindText(stmt, i, d->key[d->next++ % DRAW_KEYS].sku);
  }
}

/* A hundred ids. */
static void bindIdRange(sqlite3_stmt *stmt, Draw *d) {
  sqlite3_int64 id = drawId(d);
  sqlite3_bind_int64(stmt, 1, id);
  sqlite3_bind_int64(stmt, 2, id + 99);
}

/* From when to when a hundred rows were updated. */
static void bindUpdatedRange(sqlite3_stmt *stmt, Draw *d) {
  sqlite3_int64 from = dataUpdatedFrom() + drawId(d) * 7;
  sqlite3_bind_int64(stmt, 1, from);
  sqlite3_bind_int64(stmt, 2, from + 699);
}

/* From when to when the hundredth part of the rows was created. */
static void bindCreatedRange(sqlite3_stmt *stmt, Draw *d) {
  Item item;
  dataItem(drawId(d), d->rows, &item);
  sqlite3_bind_int64(stmt, 1, item.created);
  sqlite3_bind_int64(stmt, 2, item.created + d->rows / 100 * 37);
}

static void bindSkuAndId(sqlite3_stmt *stmt, Draw *d) {
  bindSku(stmt, d);
  sqlite3_bind_int64(stmt, 2, drawId(d));
}

/* ---- the table --------------------------------------------------------------------------------- */

/* clang-format off */
const Case cases[] = {
    {"all.items", "", "SELECT * FROM items ORDER BY id", NULL, "itttriiir", PER_ROW, ORDERED | ONCE},
    {"all.stock", "", "SELECT * FROM stock ORDER BY item", NULL, "itii", PER_ROW, ORDERED | ONCE},

    {"get.int", "lookup, integer key", "SELECT price, name FROM items WHERE id = ?1", bindId, "rt", PER_QUERY, 0},
    {"get.text", "lookup, text key", "SELECT price, name FROM items WHERE sku = ?1", bindSku, "rt", PER_QUERY, 0},
    {"get.none", "lookup, text key, not there", "SELECT price FROM items WHERE sku = ?1", bindNoSku, "r", PER_QUERY, 0},
    {"get.wide", "lookup, integer key, all columns", "SELECT * FROM items WHERE id = ?1", bindId, "itttriiir", PER_QUERY, 0},
    {"get.together", "lookup, integer key, in BEGIN", "SELECT price, name FROM items WHERE id = ?1", bindId, "rt", PER_QUERY, TOGETHER},
    {"get.anew", "lookup, integer key, prepared anew", "SELECT price, name FROM items WHERE id = ?1", bindId, "rt", PER_QUERY, ANEW},
    {"get.or", "lookup, one key OR another", "SELECT price FROM items WHERE sku = ?1 OR id = ?2", bindSkuAndId, "r", PER_QUERY, 0},
    {"in.int10", "IN, 10 integer keys", "SELECT id, price FROM items WHERE id IN (?*10)", bindIds, "ir", PER_QUERY, 0},
    {"in.int1000", "IN, 1,000 integer keys", "SELECT id, price FROM items WHERE id IN (?*1000)", bindIds, "ir", PER_QUERY, 0},
    {"in.text10", "IN, 10 text keys", "SELECT id, price FROM items WHERE sku IN (?*10)", bindSkus, "ir", PER_QUERY, 0},
    {"in.text1000", "IN, 1,000 text keys", "SELECT id, price FROM items WHERE sku IN (?*1000)", bindSkus, "ir", PER_QUERY, 0},

    {"range.int", "100 rows by integer key", "SELECT id, price FROM items WHERE id BETWEEN ?1 AND ?2", bindIdRange, "ir", PER_QUERY, 0},
    {"range.index", "100 rows by an index", "SELECT id, price FROM items WHERE updated BETWEEN ?1 AND ?2", bindUpdatedRange, "ir", PER_QUERY, 0},
    {"range.covered", "100 rows by an index, only its column", "SELECT updated FROM items WHERE updated BETWEEN ?1 AND ?2", bindUpdatedRange, "i", PER_QUERY, 0},
    {"range.text", "100 rows by text key, in order", "SELECT sku, price FROM items WHERE sku >= ?1 ORDER BY sku LIMIT 100", bindSku, "tr", PER_QUERY, ORDERED},
    {"order.index", "last 100 by an index", "SELECT id, updated FROM items ORDER BY updated DESC LIMIT 100", NULL, "ii", PER_QUERY, ORDERED},
    {"order.key", "last 100 by integer key", "SELECT id, price FROM items ORDER BY id DESC LIMIT 100", NULL, "ir", PER_QUERY, ORDERED},
    {"order.where", "last 10 by an index, filtered", "SELECT id, updated FROM items WHERE qty < 100 ORDER BY updated DESC LIMIT 10", NULL, "ii", PER_QUERY, ORDERED},
    {"order.none", "first 100 of all, no index, a row", "SELECT id, price FROM items ORDER BY price DESC, id LIMIT 100", NULL, "ir", PER_ROW, ORDERED},

    {"scan.count", "count(*), a row", "SELECT count(*) FROM items", NULL, "i", PER_ROW, 0},
    {"scan.sum", "sum(price), a row", "SELECT sum(price) FROM items", NULL, "r", PER_ROW, 0},
    {"scan.two", "two columns of all, a row", "SELECT id, price FROM items", NULL, "ir", PER_ROW, 0},
    {"scan.wide", "all columns of all, a row", "SELECT * FROM items", NULL, "itttriiir", PER_ROW, 0},
    {"min.index", "min by an index", "SELECT min(updated) FROM items", NULL, "i", PER_QUERY, 0},
    {"max.index", "max by an index", "SELECT max(updated) FROM items", NULL, "i", PER_QUERY, 0},
    {"max.key", "max of the integer key", "SELECT max(id) FROM items", NULL, "i", PER_QUERY, 0},
    {"minmax", "min and max, no index, a row", "SELECT min(price), max(price) FROM items", NULL, "rr", PER_ROW, 0},

    {"filter.0.1", "filter, 0.1 % match, a row", "SELECT id, price FROM items WHERE qty < 1", NULL, "ir", PER_ROW, 0},
    {"filter.1", "filter, 1 % match, a row", "SELECT id, price FROM items WHERE qty < 10", NULL, "ir", PER_ROW, 0},
    {"filter.10", "filter, 10 % match, a row", "SELECT id, price FROM items WHERE qty < 100", NULL, "ir", PER_ROW, 0},
    {"filter.50", "filter, 50 % match, a row", "SELECT id, price FROM items WHERE qty < 500", NULL, "ir", PER_ROW, 0},
    {"filter.two", "filter, two columns, a row", "SELECT id, price FROM items WHERE qty < 100 AND price > 1000.0", NULL, "ir", PER_ROW, 0},
    {"filter.text", "filter, name = text, a row", "SELECT id, price FROM items WHERE name = 'Compact Steel Lamp'", NULL, "ir", PER_ROW, 0},
    {"filter.like", "filter, name LIKE, a row", "SELECT id, price FROM items WHERE name LIKE '%steel la%'", NULL, "ir", PER_ROW, 0},
    {"filter.nocase", "filter, name = text COLLATE NOCASE, a row", "SELECT id, price FROM items WHERE name COLLATE NOCASE = 'compact steel lamp'", NULL, "ir", PER_ROW, 0},
    {"filter.null", "filter, IS NOT NULL, a row", "SELECT id, discount FROM items WHERE discount IS NOT NULL", NULL, "ir", PER_ROW, 0},
    {"filter.range", "filter, 1 % that stand together, a row", "SELECT id, price FROM items WHERE created BETWEEN ?1 AND ?2", bindCreatedRange, "ir", PER_ROW, 0},
    {"filter.expr", "filter, an expression, a row", "SELECT id, price FROM items WHERE qty * 2 < 20", NULL, "ir", PER_ROW, 0},
    {"count.1", "count(*), 1 % match, a row", "SELECT count(*) FROM items WHERE qty < 10", NULL, "i", PER_ROW, 0},
    {"count.50", "count(*), 50 % match, a row", "SELECT count(*) FROM items WHERE qty < 500", NULL, "i", PER_ROW, 0},
    {"count.index", "count(*) by an index, a query", "SELECT count(*) FROM items WHERE category = 'Sofa'", NULL, "i", PER_QUERY, 0},
    {"sum.10", "sum(price), 10 % match, a row", "SELECT sum(price) FROM items WHERE qty < 100", NULL, "r", PER_ROW, 0},

    {"group.index", "GROUP BY an index, count, a row", "SELECT category, count(*) FROM items GROUP BY category", NULL, "ti", PER_ROW, 0},
    {"group.sum", "GROUP BY an index, sum, a row", "SELECT category, sum(price) FROM items GROUP BY category", NULL, "tr", PER_ROW, 0},
    {"group.none", "GROUP BY, no index, a row", "SELECT name, count(*), sum(price) FROM items GROUP BY name", NULL, "tir", PER_ROW, 0},
    {"distinct", "DISTINCT by an index, a row", "SELECT DISTINCT category FROM items", NULL, "t", PER_ROW, 0},

    {"join.int", "join all, integer key, a row", "SELECT sum(i.price) FROM stock s JOIN items i ON i.id = s.item", NULL, "r", PER_ROW, 0},
    {"join.int1", "join 1 %, integer key, a query", "SELECT s.count, i.price FROM stock s JOIN items i ON i.id = s.item WHERE s.place = 7", NULL, "ir", PER_QUERY, 0},
    {"join.text1", "join 1 %, text key, a query", "SELECT s.count, i.price FROM stock s JOIN items i ON i.sku = s.sku WHERE s.place = 7", NULL, "ir", PER_QUERY, 0},
    {"join.left1", "LEFT JOIN, 1 %, not there, a query", "SELECT i.id FROM items i LEFT JOIN stock s ON s.item = i.id WHERE i.qty < 10 AND s.item IS NULL", NULL, "i", PER_QUERY, 0},
    {"join.one", "join for one row, text keys", "SELECT i.price, s.count FROM items i LEFT JOIN stock s ON s.sku = i.sku WHERE i.sku = ?1", bindSku, "ri", PER_QUERY, 0},
    {"native.int", "join native, integer key, a query", "SELECT sum(o.n * i.price) FROM orders o JOIN items i ON i.id = o.item", NULL, "r", PER_QUERY, 0},
    {"native.text", "join native, text key, a query", "SELECT sum(o.n * i.price) FROM orders o JOIN items i ON i.sku = o.sku", NULL, "r", PER_QUERY, 0},
    {"native.in", "IN (SELECT of native), text key, a query", "SELECT count(*), sum(price) FROM items WHERE sku IN (SELECT sku FROM orders WHERE n = 8)", NULL, "ir", PER_QUERY, 0},
};
/* clang-format on */
const int nCase = (int)(sizeof(cases) / sizeof(cases[0]));
