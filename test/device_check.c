#define _GNU_SOURCE
/*
** device_check.c - what the process, its user and the device allow.
**
** A process without standard streams, or that starts other programs; a user who may not read or write some of
** the files; a limit on the size of files; a full device.  Each is met before anything has changed, gives a
** short sentence that names the file, and never kills the caller.  How it is run: check.h.
*/
#include "check.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

/* A program without standard streams: no channel file becomes one of them. */
static void caseStreams(void) {
  mmapsync *h;
  mmapsync_view view;
  int fd, saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10), open_ = 0;

  for (fd = 0; fd < 3; fd++) close(fd);
  h = channelOpen();
  WRITE(h, "one");
  OK(h, mmapsync_read(h, &view));
  for (fd = 0; fd < 3; fd++) open_ += fcntl(fd, F_GETFD) >= 0;
  mmapsync_release(h, &view);
  mmapsync_close(h);
  for (fd = 0; fd < 3; fd++) dup2(saved, fd);
  close(saved);
  CHECK(open_ == 0);
}

/* Descriptors are not inherited by programs that this one starts. */
static void caseCloexec(void) {
  mmapsync *h = channelOpen();
  mmapsync_view view;
  int fd, n = 0;

  WRITE(h, "one");
  OK(h, mmapsync_read(h, &view));
  for (fd = 3; fd < 256; fd++) {
    char link[64], target[PATH_MAX];
    ssize_t length;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, target, sizeof(target) - 1);
    if (length < 0) continue;
    target[length] = 0;
    if (strncmp(target, checkPath, strlen(checkPath)) != 0) continue;
    n++;
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  }
  CHECK(n > 0);
  mmapsync_release(h, &view);
  mmapsync_close(h);
}

/* What casePermission() tries: modes of the files, and what a stranger can do with them. */
typedef struct Permission {
  unsigned state, writer, readers, data;
  int pins;         /* options.pins */
  int code, kind;   /* of a read: what it comes to, and by what it pins */
  const char *says; /* after the path */
} Permission;

#define DENIED "\": permission denied"
#define COUNT  DENIED ": a reader of this channel must be able to count itself in"

static const Permission permissions[] = {
    /* As a writer leaves them, to its group. */
    {0666, 0644, 0666, 0644, MMAPSYNC_PIN_AUTO, MMAPSYNC_OK, MMAPSYNC_PIN_SLOT, ""},
    /* A state that is only to be read does no harm, but to counters. */
    {0444, 0644, 0666, 0644, MMAPSYNC_PIN_AUTO, MMAPSYNC_OK, MMAPSYNC_PIN_SLOT, ""},
    {0444, 0644, 0666, 0644, MMAPSYNC_PIN_SLOT, MMAPSYNC_OK, MMAPSYNC_PIN_SLOT, ""},
    {0444, 0644, 0666, 0644, MMAPSYNC_PIN_LOCK, MMAPSYNC_OK, MMAPSYNC_PIN_LOCK, ""},
    {0444, 0644, 0666, 0644, MMAPSYNC_PIN_COUNTER, MMAPSYNC_PERM, 0, "_state" COUNT},
    {0444, 0666, 0666, 0666, MMAPSYNC_PIN_AUTO, MMAPSYNC_OK, MMAPSYNC_PIN_SLOT, ""},
    /* Nothing but reading: locks. */
    {0444, 0444, 0444, 0444, MMAPSYNC_PIN_AUTO, MMAPSYNC_OK, MMAPSYNC_PIN_LOCK, ""},
    {0444, 0444, 0000, 0444, MMAPSYNC_PIN_AUTO, MMAPSYNC_OK, MMAPSYNC_PIN_LOCK, ""},
    {0444, 0444, 0444, 0444, MMAPSYNC_PIN_SLOT, MMAPSYNC_PERM, 0, "_readers" DENIED},
    {0444, 0444, 0444, 0444, MMAPSYNC_PIN_COUNTER, MMAPSYNC_PERM, 0, "_state" COUNT},
    {0666, 0444, 0444, 0444, MMAPSYNC_PIN_AUTO, MMAPSYNC_OK, MMAPSYNC_PIN_LOCK, ""},
    /* P_writer hidden: it can only count, if that. */
    {0666, 0000, 0666, 0444, MMAPSYNC_PIN_AUTO, MMAPSYNC_OK, MMAPSYNC_PIN_COUNTER, ""},
    {0444, 0000, 0666, 0444, MMAPSYNC_PIN_AUTO, MMAPSYNC_PERM, 0, "_writer" DENIED},
    {0444, 0000, 0666, 0444, MMAPSYNC_PIN_COUNTER, MMAPSYNC_PERM, 0, "_state" COUNT},
    {0666, 0000, 0666, 0444, MMAPSYNC_PIN_SLOT, MMAPSYNC_PERM, 0, "_writer" DENIED},
    {0666, 0000, 0666, 0444, MMAPSYNC_PIN_LOCK, MMAPSYNC_PERM, 0, "_writer" DENIED},
    /* What nobody can do without. */
    {0000, 0644, 0666, 0644, MMAPSYNC_PIN_AUTO, MMAPSYNC_PERM, 0, "_state" DENIED},
    {0666, 0644, 0666, 0200, MMAPSYNC_PIN_AUTO, MMAPSYNC_PERM, 0, "_data_0" DENIED},
};

/* The part of casePermission() that is not for root. */
static void permissionTry(const Permission *p) {
  mmapsync *h = channelOpenPins(p ? p->pins : MMAPSYNC_PIN_AUTO);
  mmapsync_view view;

  if (!p) {
    FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_PERM, "\"%s_state\": permission denied",
          checkPath);
  } else if (p->code == MMAPSYNC_OK) {
    OK(h, mmapsync_read(h, &view));
    SHOWS(&view, "one");
    CHECK(view.pin == (uint32_t)p->kind && mmapsync_pin_kind(h) == p->kind);
    mmapsync_release(h, &view);
    HOLDS(h, "one");
  } else {
    FAILS(h, mmapsync_read(h, &view), p->code, "\"%s%s", checkPath, p->says);
    FAILS(h, mmapsync_read(h, &view), p->code, "\"%s%s", checkPath, p->says);
  }
  if (p && p->state == 0444) {
    FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_PERM, "\"%s_state\": permission denied",
          checkPath);
  }
  mmapsync_close(h);
}

/* A folder, and files, without the permission that is needed.  As nobody, if root runs the test, in a folder
** of its own that nobody can reach. */
static void casePermission(void) {
  char folder[] = "/tmp/mmapsync-check-XXXXXX";
  const Permission *p;
  mmapsync *h = NULL;
  pid_t pid;
  int turn, status = 0, turns = (int)(sizeof(permissions) / sizeof(permissions[0]));

  CHECK(mkdtemp(folder));
  snprintf(checkPath, sizeof(checkPath), "%s/check", folder);
  for (turn = -1; turn < turns && status == 0; turn++) {
    p = turn < 0 ? NULL : &permissions[turn];
    snprintf(checkAbout, sizeof(checkAbout), "permissions %d", turn);
    CHECK(chmod(folder, 0755) == 0);
    if (p) {
      if (turn == 0) {
        h = channelOpen();
        WRITE(h, "one");
      }
      CHECK(chmod(fileName("_state"), p->state) == 0 && chmod(fileName("_data_0"), p->data) == 0);
      CHECK(chmod(fileName("_writer"), p->writer) == 0);
      CHECK(chmod(fileName("_readers"), p->readers) == 0);
    }
    CHECK(chmod(folder, 0555) == 0);
    pid = fork();
    if (pid == 0) {
      if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 ||
                             setresuid(65534, 65534, 65534) != 0)) {
        _exit(77);
      }
      permissionTry(p);
      _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (h && status == 0) PINS(h, 0, 0);
  }
  CHECK(chmod(folder, 0755) == 0);
  channelRemove();
  CHECK(rmdir(folder) == 0);
  mmapsync_close(h);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) checkSkip("cannot become another user");
  CHECK(status == 0);
}
#undef DENIED
#undef COUNT

/* Files may not grow past a limit: an error, with the snapshot as it was. */
static void caseFileLimit(void) {
  struct rlimit limit = {1 << 20, 1 << 20};
  mmapsync *h = channelOpen();
  char *bytes = calloc(1, 2 << 20);

  WRITE(h, "small");
  signal(SIGXFSZ, SIG_IGN);
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  FAILS(h, mmapsync_write(h, bytes, 2 << 20, NULL), MMAPSYNC_TOOBIG,
        "\"%s_data_1\": over the largest size of a file", checkPath);
  HOLDS(h, "small");
  OK(h, mmapsync_write(h, bytes, 1 << 19, NULL));
  OK(h, mmapsync_verify(h));
  free(bytes);
  mmapsync_close(h);
}

/* Uses up a file system, and gives it back. */
static void deviceFill(const char *folder, int fill) {
  static char block[4096];
  char name[PATH_MAX + 8];
  int fd;
  snprintf(name, sizeof(name), "%s/filler", folder);
  if (!fill) {
    CHECK(unlink(name) == 0);
    return;
  }
  fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(fd >= 0);
  while (write(fd, block, sizeof(block)) == (ssize_t)sizeof(block)) {
  }
  close(fd);
}

/* Uses it up but for so many pages. */
static void deviceLeave(const char *folder, int pages) {
  char name[PATH_MAX + 8];
  struct stat st;
  deviceFill(folder, 1);
  snprintf(name, sizeof(name), "%s/filler", folder);
  CHECK(stat(name, &st) == 0 && truncate(name, st.st_size - pages * 4096) == 0);
}

/* A full device is met before anything has changed, and not as a signal in the middle of a store. */
static void caseFullDevice(void) {
  mmapsync *h = channelOpen();
  size_t large = 3 << 20, half = 400000, more = 900000;
  char *bytes = calloc(1, large);
  void *data;
  mmapsync_view view;

  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("none", checkFolder, "tmpfs", 0, "size=1m") != 0) {
    checkSkip("no right to mount a small file system");
  }
  /* With no room at all, not even the state. */
  deviceFill(checkFolder, 1);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_FULL, "\"%s_state\": no room for 16 bytes",
        checkPath);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  deviceFill(checkFolder, 0);

  /* With room for the state only, and then for P_writer, too. */
  deviceLeave(checkFolder, 1);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_FULL, "\"%s_writer\": no room for 4096 bytes",
        checkPath);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  deviceFill(checkFolder, 0);
  deviceLeave(checkFolder, 1);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_FULL, "\"%s_readers\": no room for 4096 bytes",
        checkPath);
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  deviceFill(checkFolder, 0);

#define NO_ROOM(file, n) "\"%s" file "\": no room for %zu bytes", checkPath, (n)
  FAILS(h, mmapsync_write(h, bytes, large, NULL), MMAPSYNC_FULL, NO_ROOM("_data_0", large));
  FAILS(h, mmapsync_read(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  OK(h, mmapsync_write(h, bytes, half, NULL));
  FAILS(h, mmapsync_write(h, bytes, more, NULL), MMAPSYNC_FULL, NO_ROOM("_data_1", more));
  CHECK(fileSize("_data_1") <= 0);
  OK(h, mmapsync_verify(h));

  /* Growing fails, and leaves the write open as it was. */
  OK(h, mmapsync_write_begin(h, 1000, &data));
  memset(data, 'a', 1000);
  FAILS(h, mmapsync_write_grow(h, more, &data), MMAPSYNC_FULL, NO_ROOM("_data_1", more));
  memset(data, 'b', 1000);
  OK(h, mmapsync_write_commit(h, 1000, MMAPSYNC_KIND_RAW, NULL));
  OK(h, mmapsync_read(h, &view));
  CHECK(view.size == 1000 && ((const char *)view.data)[999] == 'b');
  mmapsync_release(h, &view);

  /* A file that is long, but all hole, promises nothing. */
  fileRemove("_data_0");
  filePut("_data_0", "", 0);
  CHECK(truncate(fileName("_data_0"), (off_t)large) == 0);
  FAILS(h, mmapsync_write(h, bytes, large, NULL), MMAPSYNC_FULL, NO_ROOM("_data_0", large));
  OK(h, mmapsync_verify(h));
#undef NO_ROOM
  free(bytes);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"streams", caseStreams},      {"cloexec", caseCloexec},        {"permission", casePermission},
    {"file_limit", caseFileLimit}, {"full_device", caseFullDevice}, {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
