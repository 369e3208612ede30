#define _GNU_SOURCE
/*
** testfixture.c - a Tcl shell in which calls fail on demand.
**
** SQLite, the extension and the core are linked in; the package sqlite3, which a test loads as it does in tclsh,
** uses the same SQLite, and each of its connections has the extension.  Beside what tclsh knows there are
**
**     fault_names                              what can fail: {CALL {ERROR CODE ...} ...}; CODE is that of SQLite
**                                              to which the error comes where it matters, 0 if it never does
**     fault_syscall CALL N ERROR ?-persist?    makes the Nth call of that kind fail from now, by the errors' names
**                                              (ENOSPC ...; SHORT: a read gives less); and all after it
**     fault_malloc WHICH N ?-persist?          the same for memory: WHICH is sqlite3 (what SQLite and the
**                                              extension take from sqlite3_malloc), call (all that SQLite asks for
**                                              in the Nth call of the extension that asks for any) or core (malloc
**                                              and its kin)
**     fault_watch                              lets all calls do their work, and counts them
**     fault_calls                              what was called since the last of these: {CALL COUNT ...}; memory
**                                              too, as sqlite3_malloc, sqlite3_call and malloc
**     fault_off                                ends it; how many calls have failed
**     fault_during CALL END SCRIPT             runs the script before each call of that kind that is given a file whose
**                                              name ends so, but for those that the script makes: what may happen
**                                              between two calls
**     fault_memory                             bytes that SQLite has in use, blocks that the core has
**     fault_lock PATH                          takes the writer's lock of a channel, as another process would; with an
**                                              empty PATH it gives back the one that it has
**     fault_left PATH                          what this process holds of a channel: descriptors, mappings, and
**                                              whether anybody has its writer's lock
**
** and, in SQL, value_text(N, ENDS): N zero bytes as the extension hands out a text of an image (value.c); and
** load_again(), which loads the extension once more; and the module hidden, whose tables have no column to be seen.
**
** One fault is set at a time.  N counts from 1; 0: none fails.
**
** SQLite's lookaside memory is off, so that each of its requests is one that can fail.
*/
#include "fault.h"
#include "fault_sqlite.h"

#include <dirent.h>
#include <limits.h>

#include <sqlite3.h>
#include <tcl.h>

#include "ext.h"

int sqlite3_mmapsync_init(sqlite3 *, char **, const struct sqlite3_api_routines *);

/* ---- system calls ----------------------------------------------------------------------------- */

#define CALLS_MOST 64

static struct {
  const char *name; /* the kind of call that fails; NULL: none */
  int error;
  int lasts;
  long nth;
  long met;               /* calls that could have failed so */
  long failed;            /* of them, those that did */
  long calls[CALLS_MOST]; /* of each kind, in the order of faultCalls[] */
} fault;

/* What happens meanwhile. */
static struct {
  Tcl_Interp *in;
  Tcl_Obj *call, *end, *script; /* NULL: nothing does */
  int runs;                     /* it happens now */
} during;

static void duringNow(const FaultPlace *at) {
  int n, nEnd;
  const char *end;
  if (!during.script || during.runs || !at->name) return;
  end = Tcl_GetStringFromObj(during.end, &nEnd);
  n = (int)strlen(at->name);
  if (strcmp(at->call, Tcl_GetString(during.call)) != 0) return;
  if (n < nEnd || strcmp(at->name + n - nEnd, end) != 0) return;
  during.runs = 1;
  if (Tcl_EvalObjEx(during.in, during.script, TCL_EVAL_GLOBAL) != TCL_OK) {
    Tcl_BackgroundException(during.in, TCL_ERROR);
  }
  during.runs = 0;
}

static int faultNow(const FaultPlace *at) {
  const struct FaultCall *call = faultFind(at->call);
  duringNow(at);
  fault.calls[call - faultCalls]++;
  if (!fault.name || strcmp(fault.name, at->call) != 0 || !faultFits(at, fault.error)) return 0;
  fault.met++;
  if (fault.met != fault.nth && !(fault.lasts && fault.met > fault.nth)) return 0;
  fault.failed++;
  return fault.error;
}

static const struct {
  const char *name;
  int error;
} errors[] = {
#define ERROR(e)                                                                                   \
  { #e, e }
    ERROR(EACCES),    ERROR(EAGAIN),          ERROR(EBUSY),  ERROR(EDQUOT),       ERROR(EFAULT),
    ERROR(EFBIG),     ERROR(EINTR),           ERROR(EINVAL), ERROR(EIO),          ERROR(EISDIR),
    ERROR(ELOOP),     ERROR(EMFILE),          ERROR(ENFILE), ERROR(ENAMETOOLONG), ERROR(ENODEV),
    ERROR(ENOENT),    ERROR(ENOLCK),          ERROR(ENOMEM), ERROR(ENOSPC),       ERROR(ENOSYS),
    ERROR(ENOTDIR),   ERROR(ENXIO),           ERROR(EPERM),  ERROR(EOPNOTSUPP),   ERROR(EROFS),
    ERROR(ETIMEDOUT), {"SHORT", FAULT_SHORT},
#undef ERROR
};
#define ERRORS (sizeof(errors) / sizeof(errors[0]))

/* ---- commands --------------------------------------------------------------------------------- */

#define COMMAND(name)                                                                              \
  static int name(ClientData none, Tcl_Interp *in, int argc, Tcl_Obj *const argv[])

static int usage(Tcl_Interp *in, Tcl_Obj *const argv[], const char *args) {
  Tcl_WrongNumArgs(in, 1, argv, args);
  return TCL_ERROR;
}

static int wrong(Tcl_Interp *in, const char *what, Tcl_Obj *found) {
  Tcl_SetObjResult(in, Tcl_ObjPrintf("expected %s, found \"%s\"", what, Tcl_GetString(found)));
  return TCL_ERROR;
}

static void add(Tcl_Obj *list, Tcl_Obj *item) { (void)Tcl_ListObjAppendElement(NULL, list, item); }

/* No fault, and nothing counted yet. */
static void reset(void) {
  faultRestore();
  memset(&fault, 0, sizeof(fault));
  memset(&memory, 0, sizeof(memory));
  faultMemorySet(0, 0);
  if (during.script) {
    Tcl_DecrRefCount(during.call);
    Tcl_DecrRefCount(during.end);
    Tcl_DecrRefCount(during.script);
  }
  memset(&during, 0, sizeof(during));
}

/* The N and -persist that end two commands. */
static int occasion(Tcl_Interp *in, int argc, Tcl_Obj *const argv[], int at, int flag, long *nth,
                    int *lasts) {
  if (Tcl_GetLongFromObj(in, argv[at], nth) != TCL_OK) return TCL_ERROR;
  if (*nth < 0) return wrong(in, "a number from 0", argv[at]);
  *lasts = argc > flag;
  if (*lasts && strcmp(Tcl_GetString(argv[flag]), "-persist") != 0) {
    return wrong(in, "-persist", argv[flag]);
  }
  return TCL_OK;
}

COMMAND(namesCommand) {
  Tcl_Obj *list = Tcl_NewListObj(0, NULL);
  const struct FaultCall *call;
  size_t i, j;
  (void)none;
  if (argc != 1) return usage(in, argv, NULL);
  for (call = faultCalls; call->name; call++) {
    Tcl_Obj *gives = Tcl_NewListObj(0, NULL);
    for (i = 0; i < FAULT_GIVES && call->gives[i].error; i++) {
      for (j = 0; errors[j].error != call->gives[i].error; j++) {
      }
      add(gives, Tcl_NewStringObj(errors[j].name, -1));
      add(gives, Tcl_NewIntObj(channelRc(call->gives[i].code) & 0xff));
    }
    add(list, Tcl_NewStringObj(call->name, -1));
    add(list, gives);
  }
  Tcl_SetObjResult(in, list);
  return TCL_OK;
}

COMMAND(syscallCommand) {
  const struct FaultCall *call;
  size_t i = 0;
  long nth;
  int lasts;
  (void)none;
  if (argc != 4 && argc != 5) return usage(in, argv, "CALL N ERROR ?-persist?");
  call = faultFind(Tcl_GetString(argv[1]));
  if (!call) return wrong(in, "a system call", argv[1]);
  while (i < ERRORS && strcmp(errors[i].name, Tcl_GetString(argv[3])) != 0) i++;
  if (i == ERRORS) return wrong(in, "an error", argv[3]);
  if (occasion(in, argc, argv, 2, 4, &nth, &lasts) != TCL_OK) return TCL_ERROR;
  reset();
  fault.name = call->name;
  fault.error = errors[i].error;
  fault.nth = nth;
  fault.lasts = lasts;
  faultInstall(NULL);
  return TCL_OK;
}

COMMAND(mallocCommand) {
  const char *which;
  long nth;
  int lasts;
  (void)none;
  if (argc != 3 && argc != 4) return usage(in, argv, "WHICH N ?-persist?");
  which = Tcl_GetString(argv[1]);
  if (strcmp(which, "sqlite3") != 0 && strcmp(which, "call") != 0 && strcmp(which, "core") != 0) {
    return wrong(in, "sqlite3, call or core", argv[1]);
  }
  if (occasion(in, argc, argv, 2, 3, &nth, &lasts) != TCL_OK) return TCL_ERROR;
  reset();
  if (strcmp(which, "core") == 0) {
    faultMemorySet(nth, lasts);
  } else {
    memory.nth = nth;
    memory.lasts = lasts;
    memory.byCall = which[0] == 'c';
  }
  faultInstall(NULL); /* to count */
  return TCL_OK;
}

COMMAND(watchCommand) {
  (void)none;
  if (argc != 1) return usage(in, argv, NULL);
  reset();
  faultInstall(NULL);
  return TCL_OK;
}

COMMAND(duringCommand) {
  (void)none;
  if (argc != 4) return usage(in, argv, "CALL END SCRIPT");
  if (!faultFind(Tcl_GetString(argv[1]))) return wrong(in, "a system call", argv[1]);
  reset();
  during.in = in;
  Tcl_IncrRefCount(during.call = argv[1]);
  Tcl_IncrRefCount(during.end = argv[2]);
  Tcl_IncrRefCount(during.script = argv[3]);
  faultInstall(NULL);
  return TCL_OK;
}

COMMAND(callsCommand) {
  Tcl_Obj *list = Tcl_NewListObj(0, NULL);
  const struct FaultCall *call;
  (void)none;
  if (argc != 1) return usage(in, argv, NULL);
  for (call = faultCalls; call->name; call++) {
    add(list, Tcl_NewStringObj(call->name, -1));
    add(list, Tcl_NewLongObj(fault.calls[call - faultCalls]));
  }
  add(list, Tcl_NewStringObj("sqlite3_malloc", -1));
  add(list, Tcl_NewLongObj(memory.calls));
  add(list, Tcl_NewStringObj("sqlite3_call", -1));
  add(list, Tcl_NewLongObj(memory.calling));
  add(list, Tcl_NewStringObj("malloc", -1));
  add(list, Tcl_NewLongObj(faultMemory.calls));
  Tcl_SetObjResult(in, list);
  return TCL_OK;
}

/* What was counted stays to be asked for. */
COMMAND(offCommand) {
  (void)none;
  if (argc != 1) return usage(in, argv, NULL);
  faultRestore();
  memory.nth = faultMemory.nth = fault.nth = 0;
  Tcl_SetObjResult(in, Tcl_NewLongObj(fault.failed + memory.failed + faultMemory.failed));
  return TCL_OK;
}

COMMAND(memoryCommand) {
  Tcl_Obj *list = Tcl_NewListObj(0, NULL);
  (void)none;
  if (argc != 1) return usage(in, argv, NULL);
  add(list, Tcl_NewWideIntObj((Tcl_WideInt)sqlite3_memory_used()));
  add(list, Tcl_NewLongObj(faultMemory.live));
  Tcl_SetObjResult(in, list);
  return TCL_OK;
}

/* How many descriptors are of files whose names begin so. */
static int leftDescriptors(const char *path) {
  char name[PATH_MAX + 16];
  struct dirent *entry;
  ssize_t n;
  int count = 0;
  DIR *dir = opendir("/proc/self/fd");
  while (dir && (entry = readdir(dir)) != NULL) {
    n = readlinkat(dirfd(dir), entry->d_name, name, sizeof(name) - 1);
    if (n < 0) continue;
    name[n] = 0;
    count += strncmp(name, path, strlen(path)) == 0;
  }
  if (dir) closedir(dir);
  return count;
}

static int leftMappings(const char *path) {
  static char line[PATH_MAX + 200];
  int count = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  while (f && fgets(line, sizeof(line), f)) count += strstr(line, path) != NULL;
  if (f) fclose(f);
  return count;
}

static int leftLocked(const char *path) {
  char name[PATH_MAX + 16];
  int fd, held;
  snprintf(name, sizeof(name), "%s_state", path);
  fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  held = flock(fd, LOCK_EX | LOCK_NB) != 0;
  close(fd);
  return held;
}

/* A descriptor of its own locks against all others, of this process too. */
COMMAND(lockCommand) {
  static int fd = -1;
  char name[PATH_MAX + 16];
  const char *path;
  (void)none;
  if (argc != 2) return usage(in, argv, "PATH");
  path = Tcl_GetString(argv[1]);
  if (fd >= 0) close(fd);
  fd = -1;
  if (!path[0]) return TCL_OK;
  snprintf(name, sizeof(name), "%s_state", path);
  fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) return wrong(in, "a channel to lock", argv[1]);
  return TCL_OK;
}

COMMAND(leftCommand) {
  Tcl_Obj *list = Tcl_NewListObj(0, NULL);
  const char *path;
  (void)none;
  if (argc != 2) return usage(in, argv, "PATH");
  path = Tcl_GetString(argv[1]);
  add(list, Tcl_NewIntObj(leftDescriptors(path)));
  add(list, Tcl_NewIntObj(leftMappings(path)));
  add(list, Tcl_NewIntObj(leftLocked(path)));
  Tcl_SetObjResult(in, list);
  return TCL_OK;
}

/* More bytes than there is memory: what reads them all would take long. */
static void textFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  const size_t most = (size_t)UINT32_MAX + 1;
  mmapsync_value text = {.type = MMAPSYNC_TEXT};
  char *p = mmap(NULL, most, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  (void)argc;
  if (p == MAP_FAILED) return;
  text.u.p = p;
  text.n = (uint32_t)sqlite3_value_int64(argv[0]);
  valueResult(ctx, &text, sqlite3_value_int(argv[1]));
  munmap(p, most);
}

/* As .load would, of what is linked in. */
static void loadFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  char *err = NULL;
  int rc = sqlite3_mmapsync_init(sqlite3_context_db_handle(ctx), &err, NULL);
  (void)argc;
  (void)argv;
  if (rc == SQLITE_OK) {
    sqlite3_result_int(ctx, 1);
  } else {
    sqlite3_result_error_code(ctx, rc);
  }
  sqlite3_free(err);
}

/* A virtual table that shows no column. */
static int hiddenConnect(sqlite3 *db, void *arg, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **err) {
  int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(a HIDDEN, b HIDDEN)");
  (void)arg;
  (void)argc;
  (void)argv;
  (void)err;
  if (rc != SQLITE_OK) return rc;
  *out = sqlite3_malloc64(sizeof(**out));
  if (!*out) return SQLITE_NOMEM;
  memset(*out, 0, sizeof(**out));
  return SQLITE_OK;
}
static int hiddenDisconnect(sqlite3_vtab *table) {
  sqlite3_free(table);
  return SQLITE_OK;
}
static int hiddenPlan(sqlite3_vtab *table, sqlite3_index_info *info) {
  (void)table;
  (void)info;
  return SQLITE_OK;
}
static const sqlite3_module hiddenModule = {
    .xCreate = hiddenConnect,
    .xConnect = hiddenConnect,
    .xBestIndex = hiddenPlan,
    .xDisconnect = hiddenDisconnect,
    .xDestroy = hiddenDisconnect,
};

static int functions(sqlite3 *db, char **err, const struct sqlite3_api_routines *api) {
  int rc;
  (void)err;
  (void)api;
  rc = sqlite3_create_function(db, "value_text", 2, SQLITE_UTF8, NULL, textFunc, NULL, NULL);
  if (rc != SQLITE_OK) return rc;
  rc = sqlite3_create_function(db, "load_again", 0, SQLITE_UTF8, NULL, loadFunc, NULL, NULL);
  if (rc != SQLITE_OK) return rc;
  return sqlite3_create_module(db, "hidden", &hiddenModule, NULL);
}

static int start(Tcl_Interp *in) {
  static const struct {
    const char *name;
    Tcl_ObjCmdProc *run;
  } commands[] = {
      {"fault_names", namesCommand},   {"fault_syscall", syscallCommand},
      {"fault_malloc", mallocCommand}, {"fault_watch", watchCommand},
      {"fault_during", duringCommand}, {"fault_calls", callsCommand},
      {"fault_off", offCommand},       {"fault_memory", memoryCommand},
      {"fault_lock", lockCommand},     {"fault_left", leftCommand},
  };
  size_t i;
  if (Tcl_Init(in) != TCL_OK) return TCL_ERROR;
  for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
    Tcl_CreateObjCommand(in, commands[i].name, commands[i].run, NULL, NULL);
  }
  return TCL_OK;
}

int main(int argc, char **argv) {
  int rc = memoryInstall();
  if (rc == SQLITE_OK) rc = sqlite3_auto_extension((void (*)(void))sqlite3_mmapsync_init);
  if (rc == SQLITE_OK) rc = sqlite3_auto_extension((void (*)(void))functions);
  if (rc != SQLITE_OK) {
    fprintf(stderr, "testfixture: SQLite: %s\n", sqlite3_errstr(rc));
    return 1;
  }
  Tcl_Main(argc, argv, start);
  return 0;
}
