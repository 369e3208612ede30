#define _GNU_SOURCE
/*
** fuzz_sql.c - fuzzer: queries over a fixed snapshot, whose answers must be those of the tables it was made from.
**
** The bytes of an input choose: a query, out of templates, and what stands in it, down to single values.  So
** every input is a query that makes sense, and a byte more or less gives one that is akin.  It runs over the
** tables of one connection and over virtual tables of the same names in another, where their snapshot is attached.
**
** TEMPLATES.  What follows a % is put in:
**
**     %1 %2     the names of two tables, a and b           %A %B %X %Y   two columns of a, and two of b
**     %v %l     something to compare %A with; a literal    %w            likewise for %X
**     %= %<     an operator; one of an order               %? %!         a condition on a; on b
**     %p %g     a pattern of LIKE; of GLOB                 %K            a collation
**     %N %C     a native table that both sides have; one of its columns
**     %n        a small number                             %D            nothing, or DESC
**     %x(c) %k(c)  column c of a spelled out: as it is; so that equal values are alike
**
** ANSWERS are compared as sets of rows, or in order if the query has one that is total: it ends in z, which no two
** rows share.  If they differ, the source is asked again without its indexes and without optimizations: where
** SQLite gives different answers itself, none of them is ours to give.  What is not asked at all, and why, is at the
** head of test/differential.tcl, which asks of random tables what is asked of fixed ones here, but follows no coverage.
**
** `MMAPSYNC_VERBOSE=1 fuzz_sql FILE` prints the query that a file is.
*/
#include <sqlite3.h>

#include "fuzz.h"

#define FUZZ_MOST   256 /* bytes of an input; run.sh reads this line */

#define DEEP        4
#define PARAMS      12
#define COUNT_OF(a) (sizeof(a) / sizeof(*(a)))

int sqlite3_mmapsync_init(sqlite3 *db, char **pzErrMsg, const sqlite3_api_routines *pApi);

/* ---- the tables ------------------------------------------------------------------------------- */

/* All with z, which no two rows share.  Values are of every type, and meet in all columns. */
static const char zValues[] =
    "CREATE TEMP TABLE val(i INTEGER PRIMARY KEY, v);"
    "INSERT INTO val(v) VALUES(NULL),(0),(1),(-1),(2),(5),(5.0),('5'),('5.0'),(' "
    "5'),('05'),('a'),('A'),('a '),('ab'),('AB'),"
    "('aB "
    "'),(x'61'),(x''),(''),(255),(256),(65536),(9007199254740993),(9007199254740992.0),("
    "9223372036854775807),"
    "(-9223372036854775807-1),(9223372036854775807.0),(1.5),(-0.0),(1e300),(9e999),('1e2'),(100),('"
    "é'),('É'),(char(97,0,98)),"
    "('zz'),('[a]'),('a%'),('a_b'),('x'),(3),(4),(6),(7),('7'),(7.5),(NULL),(-9e999);";

static const char zTables[] =
    "CREATE TABLE t1(z INT UNIQUE, a INTEGER, b TEXT COLLATE NOCASE, c REAL, d, e TEXT, f NUMERIC "
    "COLLATE RTRIM);"
    "INSERT INTO t1 SELECT i, i%7, v, i/4.0-3, v, printf('k%02d',i*7%50), v FROM val;"
    "CREATE INDEX t1a ON t1(a, b); CREATE INDEX t1b ON t1(b DESC, c); CREATE INDEX t1d ON t1(d); "
    "CREATE UNIQUE INDEX t1e ON t1(e);"
    "CREATE INDEX t1f ON t1(f COLLATE NOCASE, a DESC);"
    "CREATE TABLE t2(k TEXT COLLATE NOCASE, n INT, v NUMERIC, z INT NOT NULL, PRIMARY KEY(k, n "
    "DESC)) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO t2 SELECT 'k'||(i%9), i*i%50, v, i FROM val;"
    "CREATE TABLE t3(x BLOB, y TEXT COLLATE RTRIM, w INT NOT NULL, z INT, s INT);"
    "INSERT INTO t3 SELECT v, v, i*37%50, i, iif(i%11=3,i,NULL) FROM val ORDER BY i*37%50;"
    "CREATE INDEX t3y ON t3(y, w);"
    "CREATE TABLE t4(z INTEGER PRIMARY KEY, g, h TEXT, m REAL);"
    "INSERT INTO t4 SELECT i*3-20, iif(i%2,v,i), iif(i%3,'odd','even'), iif(i%5,i,i/8.0) FROM val;"
    "CREATE INDEX t4g ON t4(g); CREATE INDEX t4h ON t4(h, m DESC);"
    "CREATE VIEW v1 AS SELECT z, a, b, d, e FROM t1 WHERE z%3;";

static const char zNatives[] =
    "CREATE TABLE n1(z INT, i INTEGER, t TEXT, r REAL, m NUMERIC, x, nc TEXT COLLATE NOCASE);"
    "INSERT INTO n1 SELECT i, v, v, v, v, v, v FROM val WHERE i%4=1;"
    "CREATE TABLE n2(z INT, i INTEGER, t TEXT, r REAL, m NUMERIC, x, nc TEXT COLLATE NOCASE);"
    "INSERT INTO n2 SELECT i, v, v, v, v, v, v FROM val WHERE i%5=2;"
    "CREATE INDEX n2i ON n2(i); CREATE INDEX n2t ON n2(t); CREATE INDEX n2x ON n2(x); CREATE INDEX "
    "n2nc ON n2(nc);";

/* The same columns and rows without keys. */
static const char zTwins[] =
    "CREATE TABLE mt1(z INT, a INTEGER, b TEXT COLLATE NOCASE, c REAL, d, e TEXT, f NUMERIC "
    "COLLATE RTRIM);"
    "INSERT INTO mt1 SELECT * FROM t1;"
    "CREATE TABLE mt2(k TEXT COLLATE NOCASE, n INT, v NUMERIC, z INT); INSERT INTO mt2 SELECT * "
    "FROM t2;"
    "CREATE TABLE mt3(x BLOB, y TEXT COLLATE RTRIM, w INT, z INT, s INT); INSERT INTO mt3 SELECT * "
    "FROM t3;"
    "CREATE TABLE mt4(z INT, g, h TEXT, m REAL); INSERT INTO mt4 SELECT * FROM t4;"
    "CREATE TABLE mv1(z INT, a INTEGER, b TEXT COLLATE NOCASE, d, e TEXT); INSERT INTO mv1 SELECT "
    "* FROM v1;";

/* Columns that are compared: not z of t4, an alias of its rowid, which has no collation as a column has. */
static const struct {
  const char *name;
  const char *columns[8];
  unsigned n;
} tables[] = {{"t1", {"a", "b", "c", "d", "e", "f", "z"}, 7},
              {"t2", {"k", "n", "v", "z"}, 4},
              {"t3", {"x", "y", "w", "s", "z"}, 5},
              {"t4", {"g", "h", "m"}, 3},
              {"v1", {"a", "b", "d", "e", "z"}, 5}};
static const char *const natives[] = {"n1", "n2"};
static const char *const nativeColumns[] = {"i", "t", "r", "m", "x", "nc", "z"};

/* ---- what stands in a query --------------------------------------------------------------------- */

static const char *const literals[] = {"5",
                                       "0",
                                       "1",
                                       "-1",
                                       "2",
                                       "7",
                                       "3",
                                       "'5'",
                                       "'5.0'",
                                       "5.0",
                                       "' 5'",
                                       "'a'",
                                       "'A'",
                                       "'a '",
                                       "'ab'",
                                       "'AB'",
                                       "'k14'",
                                       "'k3'",
                                       "'odd'",
                                       "'even'",
                                       "NULL",
                                       "x'61'",
                                       "x''",
                                       "''",
                                       "255",
                                       "256",
                                       "65536",
                                       "9007199254740993",
                                       "100",
                                       "'1e2'",
                                       "1.5",
                                       "-0.0",
                                       "1e300",
                                       "9e999",
                                       "9007199254740992.0",
                                       "'zz'",
                                       "'é'",
                                       "char(97,0,98)",
                                       "10",
                                       "20",
                                       "40",
                                       "9223372036854775807",
                                       "-3.0",
                                       "-2.75",
                                       "'7'",
                                       "7.5",
                                       "'x'",
                                       "-9e999",
                                       "(-9223372036854775807-1)",
                                       "4",
                                       "6",
                                       "'a%'",
                                       "'20'",
                                       "9223372036854775807.0"};
static const char *const valueShapes[] = {"%l",
                                          "%l",
                                          "%l",
                                          "%l",
                                          "%#",
                                          "%#",
                                          "CAST(%l AS %T)",
                                          "+%l",
                                          "(%l||'')",
                                          "(%l+0)",
                                          "(SELECT %l)",
                                          "(SELECT %C FROM n1 WHERE z=%n)",
                                          "coalesce(NULL,%l)",
                                          "%l COLLATE %K"};
static const char *const types[] = {"TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"};
static const char *const operators[] = {"=", "=", "=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT"};
static const char *const collations[] = {"BINARY", "NOCASE", "RTRIM"};
static const char *const patterns[] = {"'a%'",  "'A%'", "'%'",  "''",    "'ab%'",
                                       "'k1%'", "'5%'", "'_%'", "'%b'",  "'k_4'",
                                       "NULL",  "5",    "'é%'", "'od%'", "%#"};
static const char *const globs[] = {"'a*'",  "'A*'", "'*'",  "''",    "'ab*'",
                                    "'k1*'", "'5*'", "'?*'", "'*b'",  "'[a-c]*'",
                                    "NULL",  "5",    "'é*'", "'od*'", "%#"};
/* Of conditions on a: %A, %B are columns, with whatever stands before their names. */
static const char *const conditions[] = {
    "%A = %v",
    "%A %= %v",
    "%v %= %A",
    "%A = %v AND %B %< %w",
    "%A = %v AND %B = %w",
    "%A IN (%v, %v, %v)",
    "%A IN (%v, %v) AND %B %< %w",
    "%A NOT IN (%l, %l)",
    "%A IN (SELECT %C FROM %N)",
    "%A NOT IN (SELECT %C FROM %N WHERE z < %n)",
    "%A IN (SELECT value FROM json_each('[1,\"5\",2.5,\"a\",null,7]'))",
    "%A %< %v",
    "%A > %v AND %A <= %v",
    "%A >= %v AND %A < %v AND %B IS NOT %w",
    "%A BETWEEN %v AND %v",
    "%A NOT BETWEEN %v AND %v",
    "%A BETWEEN %B AND %v",
    "%A IS NULL",
    "%A IS NOT NULL",
    "%A LIKE %p",
    "%A NOT LIKE %p",
    "%A GLOB %g",
    "%A LIKE %p ESCAPE 'x'",
    "%A LIKE %p AND %A > %v",
    "(%?) OR (%?)",
    "(%?) AND (%?)",
    "NOT (%?)",
    "%A COLLATE %K %= %v",
    "+%A %= %v",
    "CAST(%A AS %T) %= %v",
    "%A %= %B",
    "(%A, %B) = (%v, %w)",
    "(%A, %B) %< (%v, %w)",
    "(%A, %B) IN (VALUES (%l, %l), (%l, %l))",
    "CASE %A WHEN %v THEN 1 WHEN %v THEN 0 ELSE %B END",
    "(%A = %v) IS TRUE",
    "(%A %= %v OR %A %= %v OR %B = %w)",
    "%A",
    "%A || %v > %w",
    "%A <> %v AND %A <> %v",
};
static const char *const queries[] = {
    "SELECT a.z FROM %1 a WHERE %?",
    "SELECT a.z FROM %1 a WHERE %? AND %?",
    "SELECT a.z, %x(A) FROM %1 a WHERE %?",
    "SELECT %x(A), %x(B) FROM %1 a WHERE %?",
    "SELECT a.z, %A = %v, %A < %v, %A IN (%v,%v), %A LIKE %p FROM %1 a",
    "SELECT a.z, b.z FROM %1 a JOIN %2 b ON %A = %X",
    "SELECT a.z, b.z FROM %1 a JOIN %2 b ON %A %= %X WHERE %?",
    "SELECT a.z, b.z FROM %1 a LEFT JOIN %2 b ON %A = %X AND b.z > %n",
    "SELECT a.z, b.z FROM %1 a LEFT JOIN %2 b ON %A = %X WHERE %?",
    "SELECT a.z, b.z FROM %1 a JOIN %2 b ON %A = %X AND %B = %Y",
    "SELECT a.z, b.z FROM %1 a JOIN %2 b ON %A %< %X WHERE b.z < 9",
    "SELECT a.z, b.z FROM %1 a, %N b WHERE %A = b.%C",
    "SELECT a.z, b.z FROM %N b LEFT JOIN %1 a ON %A = b.%C",
    "SELECT a.z, b.z FROM %1 a JOIN %2 b ON %A = %X COLLATE %K",
    "SELECT a.z FROM %1 a WHERE EXISTS(SELECT 1 FROM %2 b WHERE %X = %A AND %!)",
    "SELECT a.z FROM %1 a WHERE %A IN (SELECT %X FROM %2 b WHERE %!)",
    "SELECT a.z FROM %1 a WHERE NOT EXISTS(SELECT 1 FROM %2 b WHERE %X %= %A)",
    "SELECT a.z, (SELECT max(b.z) FROM %2 b WHERE %X %= %A) FROM %1 a",
    "SELECT a.z, (SELECT b.z FROM %2 b WHERE %X %= %A ORDER BY b.z%D LIMIT 1 OFFSET 1) FROM %1 a",
    "SELECT count(*), count(%A), count(DISTINCT %A), sum(a.z), max(a.z) FROM %1 a WHERE %?",
    "SELECT count(*), count(%A), min(a.z) FROM %1 a",
    "SELECT %k(m) FROM (SELECT min(%A) AS m FROM %1 a WHERE %?)",
    "SELECT %k(m) FROM (SELECT max(%A) AS m FROM %1 a)",
    "SELECT count(*), sum(a.z), min(a.z) FROM %1 a WHERE %? GROUP BY %A",
    "SELECT count(*), sum(a.z) FROM %1 a GROUP BY %A, %B",
    "SELECT %k(m) FROM (SELECT DISTINCT %A AS m FROM %1 a WHERE %?)",
    "SELECT count(*) FROM (SELECT DISTINCT %A, %B FROM %1 a)",
    "SELECT a.z FROM %1 a ORDER BY %A%D, a.z",
    "SELECT a.z FROM %1 a ORDER BY %A%D, %B%D, a.z LIMIT %n",
    "SELECT a.z FROM %1 a ORDER BY %A COLLATE %K%D, a.z LIMIT %n OFFSET %n",
    "SELECT a.z FROM %1 a WHERE a.z > %n ORDER BY %A%D NULLS LAST, a.z",
    "SELECT a.z FROM %1 a WHERE %? ORDER BY a.z%D",
    "SELECT a.z FROM %1 a WHERE %? ORDER BY a.z LIMIT %n OFFSET %n",
    "SELECT count(*) FROM (SELECT a.z FROM %1 a WHERE %? LIMIT %n OFFSET %n)",
    "SELECT a.z, row_number() OVER (ORDER BY %A%D, a.z) FROM %1 a",
    "SELECT a.z, count(*) OVER (PARTITION BY %A) FROM %1 a WHERE %?",
    "SELECT a.z FROM %1 a WHERE %? UNION ALL SELECT b.z+1000 FROM %2 b WHERE %!",
    "SELECT a.z FROM %1 a WHERE %? EXCEPT SELECT b.z FROM %2 b WHERE %!",
    "SELECT count(*) FROM (SELECT %A FROM %1 a INTERSECT SELECT %X FROM %2 b)",
    "SELECT a.z, q.z FROM %1 a JOIN (SELECT DISTINCT %X AS k, z FROM %2 b) q ON q.k = %A",
    "SELECT a.z FROM %1 a WHERE %A = (SELECT %X FROM %2 b WHERE b.z = %n)",
    "SELECT count(*), sum(a.z) FILTER (WHERE %?) FROM %1 a",
    "SELECT a.rowid, a.z FROM t1 a WHERE a.rowid %< %v",
    "SELECT a.rowid, a.z FROM t4 a WHERE a.rowid IN (%l, %l, %n) OR a.z %= %l",
    "SELECT a.z FROM t4 a WHERE a.z BETWEEN %l AND %l AND a.z %= %n",
    "SELECT a.z, b.z, c.z FROM %1 a JOIN %2 b ON %A = %X JOIN t4 c ON c.z = b.z WHERE %?",
};

typedef struct Query {
  Take take;
  sqlite3_str *sql;
  int deep;
  char alias;        /* whose columns %A and %B are */
  unsigned table[2]; /* of a and b */
  unsigned column[4];
  const char *params[PARAMS];
  int nparams;
} Query;

static const char *queryPick(Query *q, const char *const *az, size_t n) {
  return az[takeBelow(&q->take, (unsigned)n)];
}
#define PICK(q, az) queryPick((q), (az), COUNT_OF(az))

static void queryExpand(Query *q, const char *z);

static void queryColumn(Query *q, int i) {
  int t = (i >= 2) != (q->alias == 'b');
  unsigned of = q->table[t];
  sqlite3_str_appendf(q->sql, "%c.%s", t ? 'b' : 'a',
                      tables[of].columns[q->column[i] % tables[of].n]);
}

/* A condition with columns of its own. */
static void queryCondition(Query *q, char alias) {
  char was = q->alias;
  unsigned a = q->column[0], b = q->column[1];
  if (q->deep >= DEEP) {
    sqlite3_str_appendall(q->sql, "1");
    return;
  }
  q->deep++;
  q->alias = alias;
  q->column[0] = takeByte(&q->take);
  q->column[1] = takeByte(&q->take);
  queryExpand(q, PICK(q, conditions));
  q->alias = was;
  q->column[0] = a;
  q->column[1] = b;
  q->deep--;
}

/* %x(c), %k(c): a column spelled out.  Gives what is behind it. */
static const char *querySpell(Query *q, const char *z) {
  static const char exact[] = "typeof(%s)||quote(%s)";
  static const char alike[] =
      "CASE typeof(%s) WHEN 'text' THEN 't'||rtrim(lower(%s)) WHEN 'blob' THEN quote(%s)"
      " WHEN 'null' THEN '-' ELSE printf('%%!.20g',%s+0.0) END";
  sqlite3_str *sql = q->sql;
  char *name;
  q->sql = sqlite3_str_new(NULL);
  if (z[2] == 'm') {
    sqlite3_str_appendall(q->sql, "m");
  } else {
    queryColumn(q, z[2] == 'B');
  }
  name = sqlite3_str_finish(q->sql);
  q->sql = sql;
  if (*z == 'x') {
    sqlite3_str_appendf(q->sql, exact, name, name);
  } else {
    sqlite3_str_appendf(q->sql, alike, name, name, name, name);
  }
  sqlite3_free(name);
  return z + 3;
}

/* A pattern's % is its own. */
static void queryPattern(Query *q, const char *z) {
  if (*z == '%') {
    queryExpand(q, z);
  } else {
    sqlite3_str_appendall(q->sql, z);
  }
}

static void queryExpand(Query *q, const char *z) {
  for (; *z; z++) {
    if (*z != '%') {
      sqlite3_str_appendchar(q->sql, 1, *z);
      continue;
    }
    switch (*++z) {
    case '1': sqlite3_str_appendall(q->sql, tables[q->table[0]].name); break;
    case '2': sqlite3_str_appendall(q->sql, tables[q->table[1]].name); break;
    case 'A': queryColumn(q, 0); break;
    case 'B': queryColumn(q, 1); break;
    case 'X': queryColumn(q, 2); break;
    case 'Y': queryColumn(q, 3); break;
    case 'v':
    case 'w': queryExpand(q, PICK(q, valueShapes)); break;
    case 'l': sqlite3_str_appendall(q->sql, PICK(q, literals)); break;
    case '#': {
      const char *zLiteral = PICK(q, literals);
      if (q->nparams == PARAMS) {
        sqlite3_str_appendall(q->sql, zLiteral);
      } else {
        q->params[q->nparams++] = zLiteral;
        sqlite3_str_appendf(q->sql, "?%d", q->nparams);
      }
      break;
    }
    case '=': sqlite3_str_appendall(q->sql, PICK(q, operators)); break;
    case '<': {
      static const char *const order[] = {"<", "<=", ">", ">="};
      sqlite3_str_appendall(q->sql, PICK(q, order));
      break;
    }
    case '?': queryCondition(q, q->alias); break;
    case '!': queryCondition(q, 'b'); break;
    case 'p': queryPattern(q, PICK(q, patterns)); break;
    case 'g': queryPattern(q, PICK(q, globs)); break;
    case 'K': sqlite3_str_appendall(q->sql, PICK(q, collations)); break;
    case 'T': sqlite3_str_appendall(q->sql, PICK(q, types)); break;
    case 'N': sqlite3_str_appendall(q->sql, PICK(q, natives)); break;
    case 'C': sqlite3_str_appendall(q->sql, PICK(q, nativeColumns)); break;
    case 'n': sqlite3_str_appendf(q->sql, "%u", takeBelow(&q->take, 51)); break;
    case 'D':
      if (takeByte(&q->take) & 1) sqlite3_str_appendall(q->sql, " DESC");
      break;
    case 'x':
    case 'k': z = querySpell(q, z); break;
    default: fuzzDefect("no such template: %s", z);
    }
  }
}

/* ---- both sides ------------------------------------------------------------------------------- */

static sqlite3 *source, *reader;

static void must(sqlite3 *db, const char *zFormat, ...) {
  va_list args;
  char *zSql, *zErr = NULL;
  va_start(args, zFormat);
  zSql = sqlite3_vmprintf(zFormat, args);
  va_end(args);
  if (sqlite3_exec(db, zSql, NULL, NULL, &zErr) != SQLITE_OK) fuzzDefect("%s: %s", zSql, zErr);
  sqlite3_free(zSql);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  fuzzBegin();
  sqlite3_auto_extension((void (*)(void))sqlite3_mmapsync_init);
  FUZZ_CHECK(sqlite3_open(":memory:", &source) == SQLITE_OK);
  FUZZ_CHECK(sqlite3_open(":memory:", &reader) == SQLITE_OK);
  must(source, "%s%s%s%s", zValues, zTables, zNatives, zTwins);
  must(reader, "%s%s", zValues, zNatives);
  must(source,
       "SELECT mmapsync_publish(%Q,'t1','t2','t3 INDEX(w DESC, y)','t4',"
       "'v1 KEY(z) INDEX(d, b) INDEX(e)')",
       fuzzPath);
  must(reader, "SELECT mmapsync_attach(%Q)", fuzzPath);
  must(source, "PRAGMA automatic_index=OFF"); /* before 3.41 they may get the wrong collation */
  must(reader, "PRAGMA automatic_index=OFF");
  return 0;
}

typedef struct Answer {
  char **rows;
  int n;
  char *zErr;
} Answer;

static int rowCompare(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void answerFree(Answer *a) {
  while (a->n > 0) free(a->rows[--a->n]);
  free(a->rows);
  sqlite3_free(a->zErr);
}

static char *rowText(sqlite3_stmt *stmt) {
  char *z = NULL, *zCopy;
  sqlite3_str *s = sqlite3_str_new(NULL);
  int c;
  for (c = 0; c < sqlite3_column_count(stmt); c++) {
    const char *zText = (const char *)sqlite3_column_text(stmt, c);
    sqlite3_str_appendf(s, "%s%s", c ? " " : "", zText ? zText : "NULL");
  }
  z = sqlite3_str_finish(s);
  zCopy = strdup(z ? z : "");
  sqlite3_free(z);
  return zCopy;
}

/* One that never ends would be stopped by the watch; joins of three tables of 50 rows take a while. */
static Answer ask(sqlite3 *db, const char *zSql, const Query *q) {
  Answer a = {NULL, 0, NULL};
  sqlite3_stmt *stmt = NULL, *value;
  const char *zOrder = strstr(zSql, "ORDER BY"), *z;
  int i, rc = sqlite3_prepare_v2(db, zSql, -1, &stmt, NULL), total = 0;

  for (i = 0; rc == SQLITE_OK && i < q->nparams; i++) {
    char *zSelect = sqlite3_mprintf("SELECT %s", q->params[i]);
    FUZZ_CHECK(sqlite3_prepare_v2(db, zSelect, -1, &value, NULL) == SQLITE_OK);
    FUZZ_CHECK(sqlite3_step(value) == SQLITE_ROW);
    if (i < sqlite3_bind_parameter_count(stmt)) {
      rc = sqlite3_bind_value(stmt, i + 1, sqlite3_column_value(value, 0));
    }
    sqlite3_finalize(value);
    sqlite3_free(zSelect);
  }
  while (rc == SQLITE_OK || rc == SQLITE_ROW) {
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) break;
    if ((a.n & (a.n + 1)) == 0) a.rows = realloc(a.rows, (size_t)(2 * a.n + 1) * sizeof(*a.rows));
    a.rows[a.n++] = rowText(stmt);
  }
  if (rc != SQLITE_DONE) a.zErr = sqlite3_mprintf("%s", sqlite3_errmsg(db));
  sqlite3_finalize(stmt);
  /* An order counts if it is that of the whole query, and not of one in brackets. */
  for (z = zOrder; z && *z; z++) total |= *z == ')';
  if (a.n > 1 && (zOrder == NULL || total)) qsort(a.rows, (size_t)a.n, sizeof(*a.rows), rowCompare);
  return a;
}

static int same(const Answer *a, const Answer *b) {
  int i;
  if (a->zErr || b->zErr) return a->zErr && b->zErr;
  if (a->n != b->n) return 0;
  for (i = 0; i < a->n; i++) {
    if (strcmp(a->rows[i], b->rows[i]) != 0) return 0;
  }
  return 1;
}

/* The query with the twins' names. */
static char *twinSql(const char *zSql) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (; *zSql; zSql++) {
    int name = zSql[0] == ' ' && (zSql[1] == 't' || zSql[1] == 'v') && zSql[2] >= '1' &&
               zSql[2] <= '4' && zSql[3] == ' ';
    sqlite3_str_appendchar(s, 1, *zSql);
    if (name) sqlite3_str_appendchar(s, 1, 'm');
  }
  return sqlite3_str_finish(s);
}

/* Whether the source gives this answer in one way or another. */
static int excused(const char *zSql, const Query *q, const Answer *b) {
  char *zTwin = twinSql(zSql);
  int way, is = 0;
  if (b->zErr && strstr(b->zErr, "with infinity before SQLite 3.39.4")) is = 1;
  for (way = 0; way < 3 && !is; way++) {
    Answer a;
    if (way != 1) sqlite3_test_control(SQLITE_TESTCTRL_OPTIMIZATIONS, source, -1);
    a = ask(source, way == 0 ? zSql : zTwin, q);
    sqlite3_test_control(SQLITE_TESTCTRL_OPTIMIZATIONS, source, 0);
    is = same(&a, b);
    answerFree(&a);
  }
  sqlite3_free(zTwin);
  return is;
}

static void answerPrint(const char *who, const Answer *a) {
  int i;
  fprintf(stderr, "%s: %d rows%s%s\n", who, a->n, a->zErr ? ", error: " : "",
          a->zErr ? a->zErr : "");
  for (i = 0; i < a->n && i < 30; i++) fprintf(stderr, "    %s\n", a->rows[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  Query q = {.take = {data, n}, .alias = 'a'};
  Answer a, b;
  char *zSql;
  int i;

  q.sql = sqlite3_str_new(NULL);
  for (i = 0; i < 2; i++) q.table[i] = takeBelow(&q.take, COUNT_OF(tables));
  for (i = 0; i < 4; i++) q.column[i] = takeByte(&q.take);
  queryExpand(&q, PICK(&q, queries));
  zSql = sqlite3_str_finish(q.sql);
  if (getenv("MMAPSYNC_VERBOSE")) fprintf(stderr, "%s\n", zSql);
  a = ask(source, zSql, &q);
  b = ask(reader, zSql, &q);
  if (!same(&a, &b) && !excused(zSql, &q, &b)) {
    fprintf(stderr, "\n%s\n", zSql);
    for (i = 0; i < q.nparams; i++) fprintf(stderr, "  ?%d = %s\n", i + 1, q.params[i]);
    answerPrint("source", &a);
    answerPrint("reader", &b);
    fuzzDefect("the answers differ");
  }
  answerFree(&a);
  answerFree(&b);
  sqlite3_free(zSql);
  return 0;
}
