/*
** fault_sqlite.h - requests for memory that SQLite fails: one at a time, or all within one call of the extension's.
**
** SQLite makes most of the requests that are met while a statement runs, and most are like the one before.  What the
** extension must get right is what it does when a call of its own comes back without memory.  So there are two ways to
** count: by the request; and by the call, where the Nth call of the extension into SQLite that asks for memory gets
** none until it returns, in whatever it does.  Of the latter there are few, and none need be passed over.
**
** What includes this is linked with FAULT_WRAP_SQLITE (Makefile), so that the calls of the extension, which is linked
** in, come here first.  SQLite itself, a library, and Tcl are not seen.
*/
#ifndef FAULT_SQLITE_H
#define FAULT_SQLITE_H

#include <sqlite3.h>
#include <stdarg.h>

static sqlite3_mem_methods memoryReal; /* SQLite's own */
static struct {
  long nth;
  int lasts;
  int byCall;   /* nth counts calls, not requests */
  long calls;   /* requests */
  long calling; /* calls that have made one */
  long failed;
} memory;

/* The call of the extension that is at work; they nest. */
typedef struct MemoryCall {
  int within; /* there is one */
  int asked;  /* it has asked for memory */
  int fails;  /* it gets none */
} MemoryCall;
static MemoryCall memoryCall;

static int memoryIs(long n) {
  return memory.nth != 0 && (n == memory.nth || (memory.lasts && n > memory.nth));
}

static int memoryNow(void) {
  int fails;
  memory.calls++;
  if (memoryCall.within && !memoryCall.asked) {
    memoryCall.asked = 1;
    memory.calling++;
    if (memory.byCall && memoryIs(memory.calling)) memoryCall.fails = 1;
  }
  fails = memory.byCall ? memoryCall.fails : memoryIs(memory.calls);
  memory.failed += fails;
  return fails;
}

static void *memoryMalloc(int n) { return memoryNow() ? NULL : memoryReal.xMalloc(n); }
static void *memoryRealloc(void *p, int n) {
  return memoryNow() ? NULL : memoryReal.xRealloc(p, n);
}

/* Must be done before SQLite is first used. */
static int memoryInstall(void) {
  sqlite3_mem_methods methods;
  int rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memoryReal);
  methods = memoryReal;
  methods.xMalloc = memoryMalloc;
  methods.xRealloc = memoryRealloc;
  if (rc == SQLITE_OK) rc = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
  if (rc == SQLITE_OK) rc = sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
  return rc;
}

/* ---- calls of the extension ------------------------------------------------------------------- */

static MemoryCall memoryEnter(void) {
  MemoryCall outer = memoryCall;
  memoryCall.within = 1;
  memoryCall.asked = memoryCall.fails = outer.fails; /* what fails fails to the end */
  return outer;
}

/* A wrapper: its type, name, parameters and arguments. */
#define MEMORY_CALL(type, name, params, args)                                                      \
  type __real_sqlite3_##name params;                                                               \
  type __wrap_sqlite3_##name params;                                                               \
  type __wrap_sqlite3_##name params {                                                              \
    const MemoryCall outer = memoryEnter();                                                        \
    type result = __real_sqlite3_##name args;                                                      \
    memoryCall = outer;                                                                            \
    return result;                                                                                 \
  }

MEMORY_CALL(void *, malloc, (int n), (n))
MEMORY_CALL(void *, malloc64, (sqlite3_uint64 n), (n))
MEMORY_CALL(void *, realloc64, (void *p, sqlite3_uint64 n), (p, n))
MEMORY_CALL(char *, vmprintf, (const char *format, va_list args), (format, args))
MEMORY_CALL(char *, str_finish, (sqlite3_str * s), (s))
MEMORY_CALL(int, prepare_v2,
            (sqlite3 * db, const char *sql, int n, sqlite3_stmt **stmt, const char **tail),
            (db, sql, n, stmt, tail))
MEMORY_CALL(int, step, (sqlite3_stmt * stmt), (stmt))
MEMORY_CALL(int, exec,
            (sqlite3 * db, const char *sql, int (*each)(void *, int, char **, char **), void *arg,
             char **error),
            (db, sql, each, arg, error))
MEMORY_CALL(const unsigned char *, value_text, (sqlite3_value * v), (v))
MEMORY_CALL(const void *, value_blob, (sqlite3_value * v), (v))
MEMORY_CALL(const unsigned char *, column_text, (sqlite3_stmt * stmt, int i), (stmt, i))
MEMORY_CALL(int, bind_text,
            (sqlite3_stmt * stmt, int i, const char *z, int n, void (*done)(void *)),
            (stmt, i, z, n, done))
MEMORY_CALL(int, table_column_metadata,
            (sqlite3 * db, const char *schema, const char *table, const char *column,
             char const **type, char const **collation, int *notNull, int *primary, int *autoinc),
            (db, schema, table, column, type, collation, notNull, primary, autoinc))
MEMORY_CALL(int, declare_vtab, (sqlite3 * db, const char *sql), (db, sql))
MEMORY_CALL(int, create_module_v2,
            (sqlite3 * db, const char *name, const sqlite3_module *module, void *arg,
             void (*done)(void *)),
            (db, name, module, arg, done))
MEMORY_CALL(int, create_function_v2,
            (sqlite3 * db, const char *name, int n, int flags, void *arg,
             void (*run)(sqlite3_context *, int, sqlite3_value **),
             void (*step)(sqlite3_context *, int, sqlite3_value **), void (*end)(sqlite3_context *),
             void (*done)(void *)),
            (db, name, n, flags, arg, run, step, end, done))
MEMORY_CALL(sqlite3_value *, value_dup, (const sqlite3_value *v), (v))
MEMORY_CALL(int, vtab_rhs_value, (sqlite3_index_info * info, int i, sqlite3_value **v),
            (info, i, v))
MEMORY_CALL(int, vtab_in_first, (sqlite3_value * list, sqlite3_value **v), (list, v))
MEMORY_CALL(int, vtab_in_next, (sqlite3_value * list, sqlite3_value **v), (list, v))

char *__wrap_sqlite3_mprintf(const char *format, ...);
char *__wrap_sqlite3_mprintf(const char *format, ...) {
  va_list args;
  char *result;
  va_start(args, format);
  result = __wrap_sqlite3_vmprintf(format, args);
  va_end(args);
  return result;
}

/* These keep the failure for sqlite3_str_finish(). */
#define MEMORY_ADD(name, params, args)                                                             \
  void __real_sqlite3_##name params;                                                               \
  void __wrap_sqlite3_##name params;                                                               \
  void __wrap_sqlite3_##name params {                                                              \
    const MemoryCall outer = memoryEnter();                                                        \
    __real_sqlite3_##name args;                                                                    \
    memoryCall = outer;                                                                            \
  }

MEMORY_ADD(str_appendall, (sqlite3_str * s, const char *z), (s, z))
MEMORY_ADD(str_append, (sqlite3_str * s, const char *z, int n), (s, z, n))
MEMORY_ADD(str_appendchar, (sqlite3_str * s, int n, char c), (s, n, c))
MEMORY_ADD(str_vappendf, (sqlite3_str * s, const char *format, va_list args), (s, format, args))

void __wrap_sqlite3_str_appendf(sqlite3_str *s, const char *format, ...);
void __wrap_sqlite3_str_appendf(sqlite3_str *s, const char *format, ...) {
  va_list args;
  va_start(args, format);
  __wrap_sqlite3_str_vappendf(s, format, args);
  va_end(args);
}

#endif
