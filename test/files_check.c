#define _GNU_SOURCE
/*
** files_check.c - the five files of a channel, and whatever may stand in their place.
**
** Names and modes; paths that lead nowhere; files of the wrong kind or size; a channel that another
** program wrote, damaged, or removed.  Each gives a short sentence that names the file, leaves what is not
** ours as it was, and never hangs or kills the caller.  What the user and the device allow is in
** device_check.c.
*/
#include "check.h"

#include "data.h"
#include "sys.h"
#include "version.h"

/* ---- names and modes -------------------------------------------------------------------------- */

/* P_state has 16 bytes and mode 0660, P_data_0 and P_data_1 have mode 0640, P_writer has a page and mode
** 0640, P_readers a page and mode 0660; all less the umask. */
static void caseModes(void) {
  mmapsync *h = channelOpen();
  struct stat st;

  WRITE(h, "one");
  CHECK(fileSize("_state") == 16 && fileMode("_state") == 0660);
  CHECK(fileSize("_data_0") >= 64 + 64 && fileMode("_data_0") == 0640);
  CHECK(fileSize("_writer") == 4096 && fileMode("_writer") == 0640);
  CHECK(fileSize("_readers") == 4096 && fileMode("_readers") == 0660);
  CHECK(fileCount() == 4); /* the other data file not before it is needed */
  WRITE(h, "two");
  CHECK(fileCount() == 5);
  CHECK(fileSize("_data_1") >= 64 + 64 && fileMode("_data_1") == 0640);
  CHECK(stat(fileName("_data_0"), &st) == 0 && st.st_blocks > 0); /* no hole */
  mmapsync_close(h);

  channelRemove();
  umask(027);
  h = channelOpen();
  WRITE(h, "one");
  CHECK(fileMode("_state") == 0640 && fileMode("_data_0") == 0640);
  CHECK(fileMode("_writer") == 0640 && fileMode("_readers") == 0640);
  mmapsync_close(h);
  channelRemove();
  umask(077);
  h = channelOpen();
  WRITE(h, "one");
  CHECK(fileMode("_state") == 0600 && fileMode("_data_0") == 0600);
  CHECK(fileMode("_writer") == 0600 && fileMode("_readers") == 0600);
  mmapsync_close(h);
}

/* A file that takes another's place has its permissions, whatever the umask is now, and its owner. */
static void caseModesReplaced(void) {
  mmapsync *h = channelOpenGrace(0), *reader = channelOpen();
  mmapsync_result done;
  mmapsync_view view;
  struct stat st;
  int other = geteuid() == 0 ? 1 : 0; /* only root can give a file away */

  WRITE(h, "one");
  OK(reader, mmapsync_read(reader, &view));
  WRITE(h, "two");
  CHECK(chmod(fileName("_data_0"), 0606) == 0);
  if (other) CHECK(chown(fileName("_data_0"), 12, 34) == 0);
  umask(077);
  OK(h, mmapsync_write(h, "three", 5, &done));
  CHECK(done.replaced == 1 && fileCount() == 5);
  CHECK(stat(fileName("_data_0"), &st) == 0 && (st.st_mode & 07777) == 0606);
  if (other) CHECK(st.st_uid == 12 && st.st_gid == 34);
  CHECK(st.st_blocks > 0);
  SHOWS(&view, "one");
  mmapsync_release(reader, &view);
  mmapsync_close(reader);
  mmapsync_close(h);
}

/* P_readers grows by pages, for as many readers as there are, and slots are used again. */
static void caseReadersGrow(void) {
  mmapsync *writer = channelOpen(), *reader[200];
  mmapsync_reader r[200];
  size_t i, count;
  int turn;

  WRITE(writer, "one");
  for (turn = 0; turn < 2; turn++) {
    for (i = 0; i < 200; i++) {
      reader[i] = channelOpen();
      HOLDS(reader[i], "one");
    }
    OK(writer, mmapsync_readers(writer, r, 200, &count));
    CHECK(count == 200 && r[199].slot == 199);
    CHECK(fileSize("_readers") == 4 * 4096); /* 201 times 64, in whole pages */
    for (i = 0; i < 200; i++) mmapsync_close(reader[i]);
    OK(writer, mmapsync_readers(writer, r, 200, &count));
    CHECK(count == 0);
  }
  mmapsync_close(writer);
}

/* A file that is far longer than the last snapshots is made anew, and shorter. */
static void caseShrinks(void) {
  mmapsync *h = channelOpen(), *reader = channelOpen();
  mmapsync_result done;
  mmapsync_view view;
  size_t large = 8 << 20;
  char *bytes = calloc(1, large);
  int i;

  for (i = 0; i < 2; i++) OK(h, mmapsync_write(h, bytes, large, NULL));
  OK(reader, mmapsync_read(reader, &view)); /* holds file 1 */
  for (i = 0; i < 3; i++) OK(h, mmapsync_write(h, "small", 5, i ? NULL : &done));
  CHECK(done.replaced == 0);
  CHECK(view.size == large && memcmp(view.data, bytes, large) == 0);
  mmapsync_release(reader, &view);
  for (i = 0; i < 4; i++) {
    OK(h, mmapsync_write(h, "small", 5, &done));
    CHECK(done.replaced == 0 && done.waited_ms == 0);
    HOLDS(reader, "small");
  }
  CHECK(fileSize("_data_0") <= 65536 && fileSize("_data_1") <= 65536 && fileCount() == 5);
  free(bytes);
  mmapsync_close(reader);
  mmapsync_close(h);
}

/* The files are reused: in steady state they neither grow nor come anew. */
static void caseReused(void) {
  mmapsync *h = channelOpen();
  struct stat before[2], after;
  char bytes[10000];
  int i;

  memset(bytes, 'x', sizeof(bytes));
  for (i = 0; i < 100; i++) {
    OK(h, mmapsync_write(h, bytes, i < 2 ? sizeof(bytes) : (size_t)i * 100, NULL));
    if (i < 2) CHECK(stat(fileName(i ? "_data_1" : "_data_0"), &before[i]) == 0);
  }
  for (i = 0; i < 2; i++) {
    CHECK(stat(fileName(i ? "_data_1" : "_data_0"), &after) == 0);
    CHECK(after.st_ino == before[i].st_ino && after.st_size == before[i].st_size);
  }
  mmapsync_close(h);
}

/* ---- paths ------------------------------------------------------------------------------------ */

/* Opens a path that must be refused, with this sentence. */
#define REFUSED(path, code, ...)                                                                   \
  do {                                                                                             \
    mmapsync *h_;                                                                                  \
    FAILS(h_, mmapsync_open((path), NULL, &h_), code, __VA_ARGS__);                                \
    mmapsync_close(h_);                                                                            \
  } while (0)

static void casePaths(void) {
  char path[5000];
  mmapsync *h;

  REFUSED("", MMAPSYNC_MISUSE, "the path is empty");
  REFUSED(NULL, MMAPSYNC_MISUSE, "the path is empty");
  REFUSED("/", MMAPSYNC_MISUSE, "\"/\": a folder: expected a name after the last slash");
  REFUSED("/tmp/", MMAPSYNC_MISUSE, "\"/tmp/\": a folder: expected a name after the last slash");
  REFUSED("/no/such/x", MMAPSYNC_CANTOPEN, "\"/no/such\": no such folder");
  REFUSED("no-such/x", MMAPSYNC_CANTOPEN, "\"no-such\": no such folder");
  REFUSED("/dev/null/x", MMAPSYNC_CANTOPEN, "\"/dev/null\": not a folder");
  REFUSED("/dev/null/x/y", MMAPSYNC_CANTOPEN, "\"/dev/null/x\": not a folder");

  memset(path, 'a', sizeof(path));
  path[4999] = 0;
  REFUSED(path, MMAPSYNC_TOOBIG,
          "\"%.60s...\": path too long: expected at most 4084 bytes, found 4999", path);
  path[245] = 0; /* with "_data_0_new", 256 bytes */
  REFUSED(path, MMAPSYNC_TOOBIG,
          "\"%.60s...\": name too long: expected at most 244 bytes, found 245", path);
  path[244] = 0;
  OK(h, mmapsync_open(path, NULL, &h));
  mmapsync_close(h);

  OK(h, mmapsync_open("/x", NULL, &h)); /* touches no file */
  CHECK(strcmp(mmapsync_path(h), "/x") == 0);
  mmapsync_close(h);
}

/* A folder whose absolute path leaves no room for the names of the files. */
static void caseDeepFolder(void) {
  char name[256], up[PATH_MAX];
  mmapsync *h;
  int i, depth;

  CHECK(chdir(checkFolder) == 0 && getcwd(up, sizeof(up)));
  memset(name, 'd', 250);
  name[250] = 0;
  for (depth = 0; depth < 17; depth++) {
    if (mkdir(name, 0700) != 0 || chdir(name) != 0) break;
  }
  CHECK(depth == 17);
  CHECK(mmapsync_open("x", NULL, &h) == MMAPSYNC_TOOBIG);
  CHECK(strstr(mmapsync_errmsg(h), "path too long"));
  mmapsync_close(h);
  CHECK(chdir("..") == 0 && rmdir(name) == 0 && getcwd(up, sizeof(up)));
  FAILS(h, mmapsync_open(name + 10, NULL, &h), MMAPSYNC_TOOBIG,
        "\"%.60s...\": path too long: expected at most 4084 bytes, found %zu", up,
        strlen(up) + 241);
  mmapsync_close(h);
  for (i = 1; i < depth; i++) CHECK(chdir("..") == 0 && rmdir(name) == 0);
}

/* A relative path means the folder of the moment it was opened in. */
static void caseRelative(void) {
  mmapsync *h, *same = channelOpen();

  CHECK(chdir(checkFolder) == 0);
  OK(h, mmapsync_open("check", NULL, &h));
  CHECK(strcmp(mmapsync_path(h), checkPath) == 0);
  CHECK(chdir("/") == 0);
  WRITE(h, "from elsewhere");
  HOLDS(same, "from elsewhere");
  mmapsync_close(h);
  CHECK(chdir(checkFolder) == 0);
  OK(h, mmapsync_open("./../././/check", NULL, &h));
  CHECK(strcmp(mmapsync_path(h), checkPath) != 0); /* one folder up */
  mmapsync_close(h);
  mmapsync_close(same);
}

/* A link to the folder is followed, once: turning it elsewhere does not turn the handle. */
static void caseFolderLink(void) {
  mmapsync *h, *same = channelOpen();
  char link[PATH_MAX + 8], path[PATH_MAX + 16];

  snprintf(link, sizeof(link), "%s/link", checkFolder);
  snprintf(path, sizeof(path), "%s/check", link);
  unlink(link);
  CHECK(symlink(checkFolder, link) == 0);
  OK(h, mmapsync_open(path, NULL, &h));
  CHECK(strcmp(mmapsync_path(h), checkPath) == 0);
  CHECK(unlink(link) == 0 && symlink("/nowhere", link) == 0);
  WRITE(h, "through the link");
  HOLDS(same, "through the link");
  REFUSED(path, MMAPSYNC_CANTOPEN, "\"%s\": no such folder", link);
  CHECK(unlink(link) == 0 && symlink("link", link) == 0);
  REFUSED(path, MMAPSYNC_CANTOPEN, "\"%s\": too many symbolic links", link);
  CHECK(unlink(link) == 0);
  mmapsync_close(same);
  mmapsync_close(h);
}

/* The folder goes while the handle is there. */
static void caseFolderGone(void) {
  char folder[PATH_MAX + 8], path[PATH_MAX + 16];
  mmapsync *h;
  mmapsync_view view;

  snprintf(folder, sizeof(folder), "%s/gone", checkFolder);
  snprintf(path, sizeof(path), "%s/x", folder);
  CHECK(mkdir(folder, 0700) == 0);
  OK(h, mmapsync_open(path, NULL, &h));
  CHECK(rmdir(folder) == 0);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", path);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_CANTOPEN, "\"%s\": no such folder", folder);
  CHECK(mkdir(folder, 0700) == 0);
  WRITE(h, "x");
  HOLDS(h, "x");
  strcpy(checkPath, path);
  channelRemove();
  CHECK(rmdir(folder) == 0);
  mmapsync_close(h);
}

/* What a handle is good for whose open failed. */
static void caseNotOpened(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_view view;
  uint64_t x;
  uint32_t readers[2];
  size_t count;

  CHECK(mmapsync_open("", NULL, &h) == MMAPSYNC_MISUSE);
  CHECK(strcmp(mmapsync_path(h), "") == 0);
#define NOT_OPENED "the handle was not opened"
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_MISUSE, NOT_OPENED);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_MISUSE, NOT_OPENED);
  FAILS(h, mmapsync_version(h, &x), MMAPSYNC_MISUSE, NOT_OPENED);
  FAILS(h, mmapsync_counters(h, readers), MMAPSYNC_MISUSE, NOT_OPENED);
  FAILS(h, mmapsync_verify(h), MMAPSYNC_MISUSE, NOT_OPENED);
  FAILS(h, mmapsync_wait(h, 0, 0, &x), MMAPSYNC_MISUSE, NOT_OPENED);
  FAILS(h, mmapsync_readers(h, NULL, 0, &count), MMAPSYNC_MISUSE, NOT_OPENED);
  CHECK(mmapsync_pin_kind(h) == MMAPSYNC_PIN_AUTO);
  mmapsync_write_abort(h);
  mmapsync_close(h);
  mmapsync_options_init(&opt);
  opt.trust = MMAPSYNC_TRUST_COPY;
  CHECK(mmapsync_open("", &opt, &h) == MMAPSYNC_MISUSE);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_MISUSE, NOT_OPENED);
  FAILS(h, mmapsync_version(h, &x), MMAPSYNC_MISUSE, NOT_OPENED);
#undef NOT_OPENED
  mmapsync_close(h);
}

/* ---- files of the wrong size or kind ---------------------------------------------------------- */

/* A state file that has not 16 bytes is refused and not wiped; an empty one is a beginning. */
static void caseStateSize(void) {
  static const char bytes[] = "0123456789abcdefg";
  static const size_t wrong[] = {1, 7, 15, 17};
  mmapsync *h;
  mmapsync_view view;
  char found[20];
  size_t i;

  for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    h = channelOpen();
    filePut("_state", bytes, wrong[i]);
#define WRONG "\"%s_state\": not a state file: expected 16 bytes, found %zu", checkPath, wrong[i]
    FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT, WRONG);
    FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_CORRUPT, WRONG);
#undef WRONG
    CHECK(fileGet("_state", found, sizeof(found)) == wrong[i]);
    CHECK(memcmp(found, bytes, wrong[i]) == 0);
    CHECK(fileSize("_data_0") == -1);
    mmapsync_close(h);
  }

  h = channelOpen();
  filePut("_state", "", 0);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  CHECK(fileSize("_state") == 0);
  WRITE(h, "finished");
  CHECK(fileSize("_state") == 16);
  HOLDS(h, "finished");
  mmapsync_close(h);
}

/* A link, a folder, a FIFO in place of each file: refused, by readers and by writers, without a wait. */
static void caseNotRegular(void) {
  static const char *const ending[] = {"_state", "_data_0", "_data_1"};
  uint64_t state[2] = {0, 0};
  mmapsync *h;
  mmapsync_view view;
  char target[PATH_MAX + 8];
  const char *what;
  int e, kind;

  snprintf(target, sizeof(target), "%s/target", checkFolder);
  CHECK(fclose(fopen(target, "w")) == 0);
  for (e = 0; e < 3; e++) {
    for (kind = 0; kind < 4; kind++) {
      channelRemove();
      if (kind == 0) CHECK(symlink(target, fileName(ending[e])) == 0);
      if (kind == 1) CHECK(symlink("/nowhere", fileName(ending[e])) == 0);
      if (kind == 2) CHECK(mkdir(fileName(ending[e]), 0755) == 0);
      if (kind == 3) CHECK(mkfifo(fileName(ending[e]), 0666) == 0);
      what = kind < 2 ? "is a symbolic link" : "not a regular file";
      /* The writer's turn is on file 0 at first, and on file 1 when a word names file 0. */
      state[0] = e == 1 ? 0 : versionMake(0, 0, 1);
      if (e > 0) filePut("_state", state, 16);
      h = channelOpen();
      FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_CANTOPEN, "\"%s%s\": %s", checkPath,
            ending[e], what);
      state[0] = versionMake(e == 2, 0, 1);
      if (e > 0) filePut("_state", state, 16);
      FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CANTOPEN, "\"%s%s\": %s", checkPath, ending[e],
            what);
      /* What the active file is does not keep a writer from the other one, and so mends the channel. */
      if (e > 0) {
        WRITE(h, "mended");
        HOLDS(h, "mended");
      }
      mmapsync_close(h);
    }
  }
  CHECK(stat(target, &(struct stat){0}) == 0 && unlink(target) == 0);
}

/* The same in place of P_writer and P_readers of a channel that has a snapshot.  A writer is refused, and a
** reader whose P_writer that is; one that has no P_readers to go by pins by locks. */
static void caseNotRegularPins(void) {
  static const char *const ending[] = {"_writer", "_readers"};
  mmapsync *h;
  mmapsync_view view;
  const char *what;
  int e, kind;

  for (e = 0; e < 2; e++) {
    for (kind = 0; kind < 3; kind++) {
      channelRemove();
      h = channelOpen();
      WRITE(h, "one");
      mmapsync_close(h);
      fileRemove(ending[e]);
      if (kind == 0) CHECK(symlink("/nowhere", fileName(ending[e])) == 0);
      if (kind == 1) CHECK(mkdir(fileName(ending[e]), 0755) == 0);
      if (kind == 2) CHECK(mkfifo(fileName(ending[e]), 0666) == 0);
      what = kind < 1 ? "is a symbolic link" : "not a regular file";
      h = channelOpen();
      FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_CANTOPEN, "\"%s%s\": %s", checkPath,
            ending[e], what);
      if (e == 0) {
        FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CANTOPEN, "\"%s%s\": %s", checkPath, ending[e],
              what);
      } else {
        HOLDS(h, "one");
        CHECK(mmapsync_pin_kind(h) == MMAPSYNC_PIN_LOCK);
      }
      fileRemove(ending[e]);
      WRITE(h, "mended");
      HOLDS(h, "mended");
      mmapsync_close(h);
    }
  }
}

/* P_writer and P_readers that are damaged, unfinished, too short, or of another build. */
static void casePinsDamaged(void) {
  static const uint64_t zero[2] = {0, 0};
  unsigned long long layout;
  uint64_t other;
  mmapsync *h;
  mmapsync_view view;
  mmapsync_progress progress;
  mmapsync_reader reader;
  size_t readers;
  int unfinished;

  /* Of another build: refused by all, and left alone. */
  h = channelOpen();
  WRITE(h, "one");
  mmapsync_close(h);
  {
    char page[16];
    CHECK(fileGet("_writer", page, sizeof(page)) == sizeof(page));
    memcpy(&other, page + 8, 8);
  }
  layout = other;
  other += UINT64_C(1) << 48;
  filePoke("_writer", 8, &other, 8);
  h = channelOpen();
#define USE "use that build, or end who uses the channel, remove its files and publish anew"
#define BUILD                                                                                      \
  "\"%s_writer\": made by another build: expected layout %016llx, found %016llx: " USE, checkPath, \
      layout, (unsigned long long)other
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT, BUILD);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_CORRUPT, BUILD);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_CORRUPT, BUILD);
  FAILS(h, mmapsync_publishing(h, &progress), MMAPSYNC_CORRUPT, BUILD);
  FAILS(h, mmapsync_readers(h, &reader, 1, &readers), MMAPSYNC_CORRUPT, BUILD);
#undef BUILD
#undef USE
  mmapsync_close(h);

  /* Unfinished or too short: the reader counts itself in, as where no P_writer is, and the next writer
  ** finishes it. */
  for (unfinished = 0; unfinished < 3; unfinished++) {
    channelRemove();
    h = channelOpen();
    WRITE(h, "one");
    mmapsync_close(h);
    if (unfinished == 0) filePoke("_writer", 0, zero, 8);
    if (unfinished == 1) filePut("_writer", "", 0);
    if (unfinished == 2) fileRemove("_writer");
    h = channelOpen();
    OK(h, mmapsync_publishing(h, &progress));
    CHECK(progress.phase == MMAPSYNC_PHASE_IDLE && progress.pid == 0);
    OK(h, mmapsync_read(h, &view));
    SHOWS(&view, "one");
    CHECK(view.pin == MMAPSYNC_PIN_COUNTER);
    COUNTS(h, 1, 0);
    mmapsync_release(h, &view);
    mmapsync_close(h);
    h = channelOpen();
    WRITE(h, "mended");
    OK(h, mmapsync_read(h, &view));
    SHOWS(&view, "mended");
    CHECK(view.pin == MMAPSYNC_PIN_SLOT && fileSize("_writer") == 4096);
    mmapsync_release(h, &view);
    PINS(h, 0, 0);
    mmapsync_close(h);
  }

  /* P_readers with another header, too short, or missing: pins by lock until the next writer mends it. */
  for (unfinished = 0; unfinished < 4; unfinished++) {
    channelRemove();
    h = channelOpen();
    WRITE(h, "one");
    mmapsync_close(h);
    if (unfinished == 0) filePoke("_readers", 0, "X", 1);
    if (unfinished == 1) filePoke("_readers", 8, zero, 8);
    if (unfinished == 2) filePut("_readers", "x", 1);
    if (unfinished == 3) fileRemove("_readers");
    h = channelOpen();
    OK(h, mmapsync_read(h, &view));
    SHOWS(&view, "one");
    CHECK(view.pin == MMAPSYNC_PIN_LOCK);
    mmapsync_release(h, &view);
    mmapsync_close(h);
    h = channelOpen();
    WRITE(h, "mended");
    OK(h, mmapsync_read(h, &view));
    SHOWS(&view, "mended");
    CHECK(view.pin == MMAPSYNC_PIN_SLOT && fileSize("_readers") == 4096);
    mmapsync_release(h, &view);
    PINS(h, 0, 0);
    mmapsync_close(h);
  }
}

/* ---- what other programs write ---------------------------------------------------------------- */

/* 16 bytes of anything are a state; what they lead to is checked. */
static void caseStateForeign(void) {
  uint64_t state[2], x = 88172645463325252u;
  mmapsync_view view;
  mmapsync *h;
  int i, rc, missing;

  for (i = 0; i < 600; i++) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    state[0] = i % 3 ? versionMake(x & 1, x >> 8 & 255, x >> 32) : x;
    state[1] = i % 2 ? 0 : x * 3;
    missing = i % 5 == 0;
    channelRemove();
    filePut("_state", state, 16);
    if (!missing) {
      filePut("_data_0", &"one hundred bytes", 10);
      filePut("_data_1", &"one hundred bytes", 10);
      CHECK(truncate(fileName("_data_0"), 100) == 0 && truncate(fileName("_data_1"), 100) == 0);
    }
    h = channelOpenGrace(0);
    if (missing) {
      FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CANTOPEN,
            "\"%s_data_%u\": missing, but the state says it is in use", checkPath,
            versionIndex(state[0]));
    } else if (versionSize(state[0]) > 100) {
      FAILS(h, mmapsync_read(h, &view), MMAPSYNC_CORRUPT,
            "\"%s_data_%u\": expected at least %zu bytes, found 100", checkPath,
            versionIndex(state[0]), versionSize(state[0]));
    } else {
      OK(h, mmapsync_read(h, &view));
      CHECK(view.size == versionSize(state[0]) && view.kind == MMAPSYNC_KIND_RAW);
      CHECK(view.sequence == 0 && view.hash == 0 && view.time_ns == 0 && view.pid == 0);
      mmapsync_release(h, &view);
      OK(h, mmapsync_verify(h)); /* there is nothing to compare it with */
    }
    if (i % 2) COUNTS(h, 0, 0);
    WRITE(h, "ours");
    HOLDS(h, "ours");
    rc = mmapsync_verify(h);
    CHECK(rc == MMAPSYNC_OK);
    mmapsync_close(h);
  }
}

/* A writer of another kind: no trailers, files no longer than the payload, in turns with ours. */
static void caseForeignWriter(void) {
  uint64_t state[2] = {versionMake(0, 0, 5), 0};
  mmapsync_result done;
  mmapsync_view view;
  char bytes[128];
  mmapsync *h = channelOpen();

  filePut("_state", state, 16);
  filePut("_data_0", "", 0); /* an empty payload */
  OK(h, mmapsync_read(h, &view));
  CHECK(view.data && view.size == 0 && view.switched && view.sequence == 0 && view.hash == 0);
  mmapsync_release(h, &view);
  OK(h, mmapsync_verify(h));

  memset(bytes, 'q', sizeof(bytes));
  filePut("_data_1", bytes, sizeof(bytes));
  state[0] = versionMake(1, sizeof(bytes), 7);
  filePoke("_state", 0, state, 8);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.size == 128 && memcmp(view.data, bytes, 128) == 0 && view.switched);
  mmapsync_release(h, &view);
  OK(h, mmapsync_read(h, &view));
  CHECK(!view.switched);
  mmapsync_release(h, &view);

  OK(h, mmapsync_write(h, "zz", 2, &done));
  CHECK(done.sequence == 1 && versionIndex(done.version) == 0);
  OK(h, mmapsync_write(h, bytes, 128, &done));
  CHECK(done.sequence == 2 && versionIndex(done.version) == 1);
  HOLDS(
      h,
      "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
      "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq");

  /* It publishes over ours: our trailer still stands behind the bytes, but is not of this word. */
  state[0] = versionMake(1, 128, 9);
  filePoke("_state", 0, state, 8);
  OK(h, mmapsync_read(h, &view));
  CHECK(view.sequence == 0 && view.switched && view.kind == MMAPSYNC_KIND_RAW);
  mmapsync_release(h, &view);
  OK(h, mmapsync_write(h, "ours", 4, &done));
  CHECK(done.sequence == 3);
  HOLDS(h, "ours");
  mmapsync_close(h);
}

/* ---- a damaged channel ------------------------------------------------------------------------ */

/* A trailer in which all is right but its sequence, which no writer can have come to, or its checksum, is none: the bytes are as another
** kind of writer leaves them. */
static void caseSequence(void) {
  static const struct {
    uint64_t sequence;
    int is; /* -1: but for a bit that its checksum tells of */
  } some[] = {{1, 1},
              {1, -1},
              {77, 1},
              {SEQUENCE_MOST - 1, 1},
              {0, 0},
              {SEQUENCE_MOST, 0},
              {SEQUENCE_MOST + 1, 0},
              {UINT64_MAX, 0}};
  mmapsync *h = channelOpen();
  size_t i;
  WRITE(h, "a snapshot");
  mmapsync_close(h);
  for (i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
    TrailerShared shared;
    Trailer t;
    mmapsync_view view;
    CHECK(fileGet("_state", &t.version, 8) == 8);
    t = (Trailer){.kind = MMAPSYNC_KIND_RAW, .version = t.version, .sequence = some[i].sequence};
    trailerStore(&shared, &t);
    if (some[i].is < 0) ((uint8_t *)&shared)[offsetof(Trailer, time_ns)] ^= 1;
    filePoke("_data_0", (off_t)trailerAt(10), &shared, sizeof(shared));
    h = channelOpen();
    OK(h, mmapsync_read(h, &view));
    SHOWS(&view, "a snapshot");
    CHECK(view.sequence == (some[i].is > 0 ? some[i].sequence : 0));
    CHECK(view.pin == (some[i].is > 0 ? MMAPSYNC_PIN_SLOT : MMAPSYNC_PIN_COUNTER));
    mmapsync_release(h, &view);
    mmapsync_close(h);
  }
}

/* The active data file is gone, or too short: readers say so; the next publish mends it. */
static void caseDataLost(void) {
  mmapsync *writer = channelOpen(), *reader;
  mmapsync_result done;
  mmapsync_view view;
  char bytes[1000];

  memset(bytes, 'x', sizeof(bytes));
  OK(writer, mmapsync_write(writer, bytes, sizeof(bytes), NULL));
  fileRemove("_data_0");
  reader = channelOpen();
  FAILS(reader, mmapsync_read(reader, &view), MMAPSYNC_CANTOPEN,
        "\"%s_data_0\": missing, but the state says it is in use", checkPath);
  PINS(reader, 0, 0);
  OK(reader, mmapsync_write(reader, "mended", 6, NULL));
  HOLDS(reader, "mended");
  mmapsync_close(reader);

  /* A writer that still had the removed file open makes it anew. */
  OK(writer, mmapsync_write(writer, bytes, sizeof(bytes), &done));
  CHECK(versionIndex(done.version) == 0 && fileSize("_data_0") >= 1000);
  reader = channelOpen();
  OK(reader, mmapsync_verify(reader));
  mmapsync_close(reader);

  CHECK(truncate(fileName("_data_0"), 999) == 0);
  reader = channelOpen();
  FAILS(reader, mmapsync_read(reader, &view), MMAPSYNC_CORRUPT,
        "\"%s_data_0\": expected at least 1000 bytes, found 999", checkPath);
  PINS(reader, 0, 0);
  CHECK(truncate(fileName("_data_0"), 1000) == 0); /* whole but for its last byte and the trailer */
  OK(reader, mmapsync_read(reader, &view));
  CHECK(view.sequence == 0 && view.size == 1000);
  mmapsync_release(reader, &view);
  OK(writer, mmapsync_write(writer, "mended", 6, NULL));
  HOLDS(reader, "mended");
  OK(reader, mmapsync_verify(reader));
  mmapsync_close(reader);
  mmapsync_close(writer);
}

/* Files that somebody cut off under a writer that has them mapped: it neither dies of it nor publishes
** into the void. */
static void caseDataCut(void) {
  mmapsync *writer = channelOpen(), *reader;
  char bytes[20000];
  int i;

  memset(bytes, 'x', sizeof(bytes));
  for (i = 0; i < 8; i++) {
    OK(writer, mmapsync_write(writer, bytes, sizeof(bytes), NULL));
    OK(writer, mmapsync_write(writer, bytes, sizeof(bytes), NULL));
    if (i & 1) CHECK(truncate(fileName("_data_0"), i & 4 ? 0 : 5000) == 0); /* inactive */
    if (i & 2) CHECK(truncate(fileName("_data_1"), i & 4 ? 0 : 5000) == 0); /* active */
    OK(writer, mmapsync_write(writer, bytes, sizeof(bytes) - 1, NULL));
    reader = channelOpen();
    OK(reader, mmapsync_verify(reader));
    OK(writer, mmapsync_write(writer, bytes, sizeof(bytes), NULL));
    OK(reader, mmapsync_verify(reader));
    PINS(reader, 0, 0);
    mmapsync_close(reader);
  }
  mmapsync_close(writer);
}

/* A channel that is removed under open handles and made anew. */
static void caseRemade(void) {
  mmapsync *a = channelOpen(), *b = channelOpen(), *reader = channelOpen();
  mmapsync_result done;
  mmapsync_view old;

  WRITE(a, "one");
  WRITE(b, "two");
  OK(reader, mmapsync_read(reader, &old));
  channelRemove();
  SHOWS(&old, "two"); /* a mapping outlives its name */
  OK(b, mmapsync_write(b, "three", 5, &done));
  CHECK(done.sequence == 3); /* this handle has published number 2 */
  OK(a, mmapsync_write(a, "four", 4, &done));
  CHECK(done.sequence == 4);
  HOLDS(a, "four");
  HOLDS(b, "four");
  mmapsync_release(reader, &old);
  mmapsync_close(reader);
  reader = channelOpen();
  HOLDS(reader, "four");
  PINS(reader, 0, 0);
  mmapsync_close(reader);
  mmapsync_close(b);
  mmapsync_close(a);
}

/* A view of a channel that was removed leaves by its old slot, not by one of the new channel. */
static void caseRemadeUnderView(void) {
  mmapsync *h = channelOpen(), *other = channelOpen();
  mmapsync_view old, view;

  WRITE(h, "one");
  OK(h, mmapsync_read(h, &old));
  channelRemove();
  WRITE(h, "new one");
  OK(other, mmapsync_read(other, &view));
  PINS(other, 1, 0);
  SHOWS(&old, "one");
  mmapsync_release(h, &old);
  PINS(other, 1, 0);
  mmapsync_release(other, &view);
  PINS(other, 0, 0);
  HOLDS(h, "new one");
  mmapsync_close(other);
  mmapsync_close(h);
}

/* Bytes of memory that this process has mapped. */
static size_t mappedNow(void) {
  unsigned long pages;
  FILE *f = fopen("/proc/self/statm", "r");
  CHECK(f && fscanf(f, "%lu", &pages) == 1);
  fclose(f);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A large payload is mapped where the kernel can use large pages, if the file has some; a small one takes no more
** room than it needs; and all of it is given back. */
static void caseLarge(void) {
  static const size_t sizes[] = {1, SYS_LARGE - TRAILER_SIZE - 1, SYS_LARGE, 3 * SYS_LARGE + 1};
  char *bytes = calloc(1, 3 * SYS_LARGE + 1);
  size_t i;
  for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    size_t before, size = sizes[i], large = trailerEnd(size) >= SYS_LARGE;
    mmapsync *h = channelOpen();
    mmapsync_view view;
    bytes[size - 1] = (char)(i + 1);
    OK(h, mmapsync_write(h, bytes, size, NULL));
    mmapsync_close(h);
    before = mappedNow();
    h = channelOpen();
    OK(h, mmapsync_read(h, &view));
    CHECK(view.size == size && memcmp(view.data, bytes, size) == 0);
    CHECK(((const char *)view.data)[trailerEnd(size)] == 0); /* of the guard, or before it */
    if (large) CHECK((uintptr_t)view.data % SYS_LARGE == 0);
    if (!large) CHECK(mappedNow() - before < size + SYS_LARGE / 2);
    mmapsync_release(h, &view);
    mmapsync_close(h);
    CHECK(mappedNow() < before + SYS_LARGE / 2);
  }
  free(bytes);
}

static const CheckCase cases[] = {
    {"modes", caseModes},
    {"modes_replaced", caseModesReplaced},
    {"readers_grow", caseReadersGrow},
    {"shrinks", caseShrinks},
    {"large", caseLarge},
    {"reused", caseReused},
    {"paths", casePaths},
    {"deep_folder", caseDeepFolder},
    {"relative", caseRelative},
    {"folder_link", caseFolderLink},
    {"folder_gone", caseFolderGone},
    {"not_opened", caseNotOpened},
    {"state_size", caseStateSize},
    {"not_regular", caseNotRegular},
    {"not_regular_pins", caseNotRegularPins},
    {"pins_damaged", casePinsDamaged},
    {"state_foreign", caseStateForeign},
    {"foreign_writer", caseForeignWriter},
    {"sequence", caseSequence},
    {"data_lost", caseDataLost},
    {"data_cut", caseDataCut},
    {"remade", caseRemade},
    {"remade_under_view", caseRemadeUnderView},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
