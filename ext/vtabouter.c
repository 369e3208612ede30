/*
** vtabouter.c - that no running statement has an outer join.
**
** Before 3.51.1 SQLite hands over LIKE and GLOB of an ON as if they stood in the WHERE, for the table on the left
** side of an outer join too, whose rows they must not keep away (vtabplan.c, OUTER JOINS).  xBestIndex cannot
** know of the join: the text of the statement that is being prepared is not to be had yet.  But when it runs, it is:
** the statement is one of those that sqlite3_next_stmt() lists and sqlite3_stmt_busy() calls so.  And by then
** it is not too late, because SQLite checks these terms again in any case: rows may be left out by them, or not.
**
** So they are used if no busy statement can have an outer join.  That is so if
**
**   - it only reads: then it runs no trigger, whose text is elsewhere;
**   - none of its words is LEFT, RIGHT, FULL or OUTER;
**   - each name that stands where a table may is that of a table, and not of a view, whose text is elsewhere, too.
**
** A table may stand behind FROM, JOIN and IN, behind a comma of a FROM clause, and behind a parenthesis that opens
** where a table may stand.  Words that are quoted end no clause, and WINDOW, which may be a name, does not either.
** What is not understood is taken for an outer join: then SQLite sees every row, as it would without all this.
**
** A cursor belongs to one run of one statement, so one answer is enough for it.
*/
#include "vtab.h"

#include <string.h>

#include "always.h"

#define DEPTH 32  /* of parentheses that are followed */
#define NAME  128 /* bytes of a name that are looked at, with the NUL */

typedef enum Token { T_END, T_WORD, T_NAME, T_OTHER, T_ODD } Token; /* T_NAME: it is quoted */

typedef struct Text {
  sqlite3 *db;
  const char *z;
  char zName[NAME]; /* of a word or name, less its quotes */
  char c;           /* of what is neither */
} Text;

static int isWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || (c & 0x80) != 0;
}

static int isOneOf(const char *zWord, const char *const *az) {
  while (*az != NULL && sqlite3_stricmp(zWord, *az) != 0) az++;
  return *az != NULL;
}

/*
** A name in quotes, or text.
*/
static Token textQuoted(Text *t, char cEnd) {
  const int bText = cEnd == '\'';
  size_t n = 0;
  for (t->z++;; t->z++) {
    if (NEVER(*t->z == '\0')) return T_ODD; /* SQLite has found the end */
    if (*t->z == cEnd) {
      t->z++;
      if (cEnd == ']' || *t->z != cEnd) break;
    }
    if (n < NAME) t->zName[n++] = *t->z;
  }
  t->c = '\'';
  if (bText) return T_OTHER;
  if (n == NAME) return T_ODD;
  t->zName[n] = '\0';
  return T_NAME;
}

static Token textNext(Text *t) {
  size_t n = 0;
  for (;;) {
    if (*t->z == ' ' || (*t->z >= '\t' && *t->z <= '\r')) {
      t->z++;
    } else if (strncmp(t->z, "\xef\xbb\xbf", 3) == 0) {
      t->z += 3; /* a byte order mark is white space to SQLite */
    } else if (t->z[0] == '-' && t->z[1] == '-') {
      t->z += strcspn(t->z, "\n");
    } else if (t->z[0] == '/' && t->z[1] == '*') {
      const char *zEnd = strstr(t->z + 2, "*/");
      if (zEnd == NULL) return T_END;
      t->z = zEnd + 2;
    } else {
      break;
    }
  }
  t->c = *t->z;
  switch (*t->z) {
  case '\0': return T_END;
  case '\'':
  case '"':
  case '`': return textQuoted(t, *t->z);
  case '[': return textQuoted(t, ']');
  case '$':
  case ':':
  case '@':
  case '#': /* a parameter, whose name may be a word; of Tcl's, which may hold anything, the plain ones */
    for (t->z++; isWord(*t->z);) t->z++;
    return *t->z == ':' || *t->z == '(' ? T_ODD : T_OTHER;
  default: break;
  }
  if (!isWord(*t->z)) {
    t->z++;
    return T_OTHER;
  }
  for (; isWord(*t->z); t->z++) {
    if (n < NAME) t->zName[n++] = *t->z;
  }
  if (n == NAME) return T_ODD;
  t->zName[n] = '\0';
  return T_WORD;
}

/*
** Whether a name, which was just read, is that of a table; with its schema before it perhaps.
*/
static int textTable(Text *t) {
  char zName[NAME];
  const char *z = t->z;
  int bSchema;
  Token e;
  memcpy(zName, t->zName, NAME);
  e = textNext(t);
  bSchema = e == T_OTHER && t->c == '.';
  if (e == T_ODD) return 0;
  if (e == T_WORD || e == T_NAME) memcpy(t->zName, zName, NAME); /* an alias was read */
  if (bSchema) {
    e = textNext(t);
    if (e != T_WORD && e != T_NAME) return 0;
  } else {
    t->z = z;
  }
  return sqlite3_table_column_metadata(t->db, bSchema ? zName : NULL, t->zName, NULL, NULL, NULL,
                                       NULL, NULL, NULL) == SQLITE_OK;
}

/*
** Whether a statement cannot have an outer join, as far as its text tells.
*/
static int textInner(sqlite3 *db, const char *zSql) {
  static const char *const azOuter[] = {"LEFT", "RIGHT", "FULL", "OUTER", NULL};
  static const char *const azTable[] = {"FROM", "JOIN", NULL};
  static const char *const azEnd[] = {"WHERE", "GROUP",     "HAVING", "ORDER", "LIMIT",
                                      "UNION", "INTERSECT", "EXCEPT", NULL};
  static const char *const azSelect[] = {"SELECT", "VALUES", NULL}; /* WITH may be a name */
  Text t = {.db = db, .z = zSql};
  unsigned char aFrom[DEPTH] = {0}; /* in a FROM clause, for each open parenthesis */
  int iDepth = 0;
  int bTable = 0; /* a table stands here, */
  int bIn = 0;    /* or a list in parentheses */
  for (;;) {
    Token e = textNext(&t);
    if (e == T_END) return ALWAYS(!bTable && !bIn); /* it is a statement */
    if (e == T_ODD || (e == T_WORD && isOneOf(t.zName, azOuter))) return 0;
    if (e == T_WORD && bTable && isOneOf(t.zName, azSelect)) {
      if (NEVER(iDepth == 0)) return 0; /* a SELECT there is in parentheses */
      aFrom[iDepth] = 0;
      bTable = 0;
    } else if (e == T_WORD || e == T_NAME) {
      if (bTable || bIn) {
        if (!textTable(&t)) return 0;
        bTable = bIn = 0;
      } else if (e == T_WORD && isOneOf(t.zName, azTable)) {
        aFrom[iDepth] = 1;
        bTable = 1;
      } else if (e == T_WORD && sqlite3_stricmp(t.zName, "IN") == 0) {
        bIn = 1;
      } else if (e == T_WORD && isOneOf(t.zName, azEnd)) {
        aFrom[iDepth] = 0;
      }
    } else if (t.c == '(') {
      if (++iDepth == DEPTH) return 0;
      aFrom[iDepth] = (unsigned char)bTable;
      bIn = 0;
    } else if (bTable || bIn) {
      return 0;
    } else if (t.c == ')') {
      if (NEVER(iDepth == 0)) return 0; /* each of them was opened */
      iDepth--;
    } else if (t.c == ',') {
      bTable = aFrom[iDepth];
    }
  }
}

int outerNone(sqlite3 *db) {
  sqlite3_stmt *pStmt = NULL;
  int n = 0;
  while ((pStmt = sqlite3_next_stmt(db, pStmt)) != NULL) {
    const char *zSql;
    if (!sqlite3_stmt_busy(pStmt)) continue;
    zSql = sqlite3_sql(pStmt);
    if (zSql == NULL || !sqlite3_stmt_readonly(pStmt) || !textInner(db, zSql)) return 0;
    n++;
  }
  return n > 0;
}
