/*
** check_fault.h - which failures matter: what fault_check.c asks of each call that fault.h makes fail.
**
** One kind of call at a time fails, as `fault` says.  Each failure is looked at: what file it was about, and
** whether the act at hand (`acting`) can do without it.  The file's name is asked of /proc where the call has
** only a descriptor or an address.
*/
#ifndef CHECK_FAULT_H
#define CHECK_FAULT_H

#include "check.h"
#include "fault.h"

#include "page.h"

/* ---- faults ----------------------------------------------------------------------------------- */

/* What a call is about: the files of the channel, its folder, two files of the kernel, memory that is no
** file, a lock in the state file.  FILE_OPEN_RW is added for an open that asks for writing. */
enum {
  FILE_OTHER,
  FILE_STATE,
  FILE_DATA,
  FILE_NEW,
  FILE_WRITER,
  FILE_READERS,
  FILE_FOLDER,
  FILE_BOOT,
  FILE_TIME,
  FILE_NONE
};

/* The call of one kind that fails: the nth from now, and all after it if it lasts. */
static struct {
  int error;
  int code; /* what it comes to, if it is not absorbed */
  int lasts;
  long nth;
  long calls;
  long fatal; /* failures that were not to be absorbed */
  int spared; /* one that only perhaps is */
  long looks; /* calls of this kind for data files */
} fault;

/* What the act of the scenario is, as far as it matters to what can be done without. */
static struct {
  int reads;    /* it is a reader; otherwise a writer */
  int pins;     /* options.pins of it */
  int attached; /* it has read before */
  int trusts;   /* a writer that has the data files open */
  int replaces;
  int builds;
  int either; /* it looks in ways of its own: it may do without what fails, or not */
} acting;

static int fileOf(const char *name) {
  static const struct {
    const char *ending;
    int file;
  } files[] = {{"_state", FILE_STATE},    {"_data_0", FILE_DATA},    {"_data_1", FILE_DATA},
               {"_data_0_new", FILE_NEW}, {"_data_1_new", FILE_NEW}, {"_writer", FILE_WRITER},
               {"_readers", FILE_READERS}};
  size_t i, n = strlen(checkPath);
  if (strcmp(name, checkFolder) == 0) return FILE_FOLDER;
  if (strcmp(name, "/proc/sys/kernel/random/boot_id") == 0) return FILE_BOOT;
  if (strcmp(name, "/proc/self/ns/time") == 0) return FILE_TIME;
  for (i = 0; strncmp(name, checkPath, n) == 0 && i < sizeof(files) / sizeof(files[0]); i++) {
    if (strcmp(name + n, files[i].ending) == 0) return files[i].file;
  }
  return FILE_OTHER;
}

static int fileOfFd(int fd) {
  char link[64], name[PATH_MAX + 32], *gone;
  ssize_t n;
  if (fd < 0) return FILE_NONE;
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  n = readlink(link, name, sizeof(name) - 1);
  if (n < 0) return FILE_OTHER;
  name[n] = 0;
  gone = strstr(name, " (deleted)");
  if (gone) *gone = 0;
  return fileOf(name);
}

/* What can be done without:
**
**   - the boot's id and the time namespace's number;
**   - for a reader that may choose how to pin, P_readers, unless memory is short: it pins by locks;
**     P_writer, if it is not permitted: it counts itself in; writing the state, if that is not: it then
**     pins by slot or lock;
**   - the look of a writer at a file that it has open: it opens it again, which fails next if all do; and at
**     the active file, if that is missing or no file: the next publish mends the channel, and P_writer has
**     the sequence. */
static int faultAbsorbed(const FaultPlace *at, int file, int writes) {
  int open_ = strcmp(at->call, "open") == 0;
  int choose = acting.reads && acting.pins == MMAPSYNC_PIN_AUTO;
  if (fault.code == MMAPSYNC_OK || file == FILE_BOOT || file == FILE_TIME) return 1;
  if (choose && file == FILE_READERS && fault.code != MMAPSYNC_NOMEM) return 1;
  if (acting.reads && file == FILE_WRITER && fault.code == MMAPSYNC_PERM) {
    return choose || acting.pins == MMAPSYNC_PIN_COUNTER;
  }
  if (!acting.reads && file == FILE_DATA && open_ && !writes && fault.code == MMAPSYNC_CANTOPEN) {
    return 1;
  }
  if (acting.reads && acting.pins != MMAPSYNC_PIN_COUNTER && open_ && file == FILE_STATE &&
      writes && fault.code == MMAPSYNC_PERM) {
    return 1;
  }
  return 0;
}

/* Which file a mapping is of, /proc knows. */
static int fileOfMapping(const void *p) {
  char line[PATH_MAX + 200];
  unsigned long from;
  int file = FILE_OTHER;
  FILE *f = fopen("/proc/self/maps", "r");
  while (f && fgets(line, sizeof(line), f)) {
    if (sscanf(line, "%lx-", &from) != 1 || from != (unsigned long)(uintptr_t)p) continue;
    if (strchr(line, '\n')) *strchr(line, '\n') = 0;
    if (strchr(line, '/')) file = fileOf(strchr(line, '/'));
  }
  if (f) fclose(f);
  return file;
}

/* The rest of what can be done without, by kinds of calls:
**
**   - a writer's first look at a data file, which it has open (above);
**   - a look by name whether an open file is still the channel's: if in doubt it is opened again, but the state
**     not for ever;
**   - the removal of what is left lying about, unless a new file must go there;
**   - the lock by which others are told of a publish: where it cannot be had, nobody is told;
**   - room for more than is needed: a builder that is refused it asks again for what it needs now, so either
**     may come of it. */
static int faultSpared(const FaultPlace *at, int file) {
  if (strcmp(at->call, "fstat") == 0) {
    return file == FILE_DATA && acting.trusts && fault.looks++ == 0;
  }
  if (strcmp(at->call, "unlink") == 0) return !acting.replaces;
  if (strcmp(at->call, "stat") == 0) return file == FILE_DATA || !fault.lasts;
  if (strcmp(at->call, "fcntl") == 0) {
    return at->flags == F_OFD_SETLK && at->lock->l_start == PAGE_PUBLISHING;
  }
  if (strcmp(at->call, "posix_fallocate") == 0) {
    int spare = file == FILE_DATA && acting.builds && fault.looks++ > 0 &&
                fault.calls + 1 == fault.nth &&
                (fault.code == MMAPSYNC_FULL || fault.code == MMAPSYNC_TOOBIG);
    fault.spared |= spare;
    return spare;
  }
  return 0;
}

static int faultNow(const FaultPlace *at) {
  int file = at->name      ? fileOf(at->name)
             : at->fd >= 0 ? fileOfFd(at->fd)
             : at->p       ? fileOfMapping(at->p)
                           : FILE_NONE;
  int writes = (at->flags & O_ACCMODE) == O_RDWR;
  int spare;

  if (strcmp(at->call, "rename") == 0 || strcmp(at->call, "unlink") == 0 ||
      strcmp(at->call, "fchmod") == 0 || strcmp(at->call, "fchown") == 0) {
    CHECK(file == FILE_NEW);
  }
  if (!faultFits(at, fault.error)) return 0;
  spare = faultSpared(at, file);
  if (++fault.calls < fault.nth || (fault.calls > fault.nth && !fault.lasts)) return 0;
  if (!spare && !faultAbsorbed(at, file, writes)) fault.fatal++;
  return fault.error;
}

#endif
