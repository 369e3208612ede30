#define _GNU_SOURCE
/*
** scribble_check.c - the data file changes under the hands of the builder that writes it.
**
** Keys are built from rows that are in the data file by then, where every process that may write to it can change
** them.  A build may fail of that, or publish what makes no sense; it may not crash, run on without end, or touch
** memory that is not the file's.  So the file is overwritten
**
**     at each moment at which the builder asks for leave to go on: the first, the second, ... until a build
**     asks no more; with ones, with zeros, with numbers at random
**
**     all the time, by another process
**
** and what is published all the same is read whole.
*/
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "build.h"
#include "check_image.h"
#include "check_random.h"

/* ---- what is overwritten ------------------------------------------------------------------------- */

static int fileIndex; /* the data file that is being written */

enum { ONES, ZEROS, RANDOM, PATTERNS };

/* All of the file, or its last eighth: what has been built of the key, and not the rows it is built of. */
enum { ALL, TAIL, PARTS };

static int patternMoment, patternNow,
    patternPart;        /* which call of progress overwrites, with what, and what */
static int momentCount; /* calls of progress in this build */

static void fileOverwrite(int pattern, int part) {
  int fd = open(fileName(fileIndex ? "_data_1" : "_data_0"), O_RDWR | O_CLOEXEC);
  struct stat st;
  uint64_t *word;
  size_t i, n;
  CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0);
  word = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(word != MAP_FAILED);
  n = (size_t)st.st_size / 8;
  i = part == TAIL ? n / 8 * 7 : 0;
  if (pattern != RANDOM) memset(word + i, pattern == ONES ? 0xff : 0, (n - i) * 8);
  for (; pattern == RANDOM && i < n; i++) word[i] = rnd();
  munmap(word, (size_t)st.st_size);
  close(fd);
}

static int momentMet(void *arg) {
  (void)arg;
  if (++momentCount == patternMoment) fileOverwrite(patternNow, patternPart);
  return 0;
}

/* ---- what is built ------------------------------------------------------------------------------- */

/* One more than there are rows from one call of progress to the next: so one comes when all rows of an order have
** been checked, and one in the midst of everything else. */
#define ROWS 65537

typedef struct Build {
  const char *name;
  uint64_t rows, sort_rows;
  mmapsync_key_def key;
} Build;

static const mmapsync_part_def partNumber[] = {{.column = 0}};
static const mmapsync_part_def partText[] = {{.column = 1, .collation = MMAPSYNC_NOCASE}};
static const mmapsync_part_def partsAll[] = {
    {.column = 2, .desc = 1}, {.column = 1}, {.column = 0}};
static const mmapsync_part_def partNulls[] = {{.column = 2}};

#define RISES MMAPSYNC_KEY_ORDERED | MMAPSYNC_KEY_UNIQUE
static const Build builds[] = {
    {"rank", ROWS, ROWS, {.name = "rank", .flags = RISES, .parts = partNumber, .nparts = 1}},
    {"hash",
     ROWS,
     ROWS,
     {.name = "hash", .flags = MMAPSYNC_KEY_UNIQUE, .parts = partText, .nparts = 1}},
    {"runs", 2 * 65536, 65536, {.name = "runs", .parts = partsAll, .nparts = 3}},
    {"nulls",
     100,
     100,
     {.name = "nulls", .flags = MMAPSYNC_KEY_NOTNULL, .parts = partNulls, .nparts = 1}},
};

/* Numbers that rise by 3, texts of which no two are equal, and numbers that repeat, with NULL among them. */
static int buildRun(mmapsync *h, const Build *what) {
  mmapsync_table_def def = table(3, &what->key, 1);
  mmapsync_builder *b;
  uint64_t i, version;
  char text[32];

  OK(h, mmapsync_version(h, &version));
  fileIndex = 1 - (int)(version & 1);
  momentCount = 0;
  OK(h, mmapsync_build_begin(h, &b));
  b->sort_rows = what->sort_rows;
  mmapsync_build_table(b, &def);
  for (i = 0; i < what->rows; i++) {
    snprintf(text, sizeof(text), "%llu a text", (unsigned long long)(i * 7919 % ROWS));
    mmapsync_build_int(b, (int64_t)i * 3);
    mmapsync_build_text(b, text, strlen(text));
    if (i % 5 == 0) {
      mmapsync_build_null(b);
    } else {
      mmapsync_build_int(b, (int64_t)(i * 31 % 1000));
    }
    mmapsync_build_row(b);
  }
  return mmapsync_build_commit(b, NULL);
}

/* ---- what comes of it ---------------------------------------------------------------------------- */

static int corrupt; /* builds that noticed */

/* What a build may give that ends while its file changes. */
static void buildEnds(mmapsync *h, int rc) {
  char sentence[PATH_MAX + 100];
  snprintf(sentence, sizeof(sentence), "\"%s\": table \"t\": changed while it was written",
           checkPath);
  if (rc == MMAPSYNC_CORRUPT) {
    corrupt++;
    if (strcmp(mmapsync_errmsg(h), sentence) != 0) {
      checkFail(__LINE__, "expected %s, found %s", sentence, mmapsync_errmsg(h));
    }
  } else if (rc != MMAPSYNC_OK && rc != MMAPSYNC_CONSTRAINT &&
             !(rc == MMAPSYNC_MISUSE && strstr(mmapsync_errmsg(h), "rows are not in order"))) {
    checkFail(__LINE__, "%s: code %d, %s", checkAbout, rc, mmapsync_errmsg(h));
  }
}

static void readOk(int rc) {
  if (rc != MMAPSYNC_OK && rc != MMAPSYNC_CORRUPT && rc != MMAPSYNC_NOTFOUND) {
    checkFail(__LINE__, "%s: reading gives code %d", checkAbout, rc);
  }
}

static uint64_t readSum; /* of what was read, so that it is read */

/* Reads all of the newest snapshot, if it is an image still. */
static void readAll(mmapsync *h) {
  mmapsync_view view;
  mmapsync_image *image;
  mmapsync_value v[3];
  uint64_t row, found;
  uint32_t n;
  int c, p;
  OK(h, mmapsync_read(h, &view));
  if (view.kind == MMAPSYNC_KIND_IMAGE && mmapsync_image_open(h, &view, &image) == MMAPSYNC_OK) {
    const mmapsync_table *t = mmapsync_table_at(image, 0);
    const mmapsync_key_info *key =
        t && mmapsync_table_about(t)->nkeys ? mmapsync_key_about(t, 0) : NULL;
    for (row = 0; t && row < mmapsync_table_about(t)->rows && row < 2 * ROWS; row++) {
      for (c = 0; c < mmapsync_table_about(t)->ncolumns && c < 3; c++) {
        int rc = mmapsync_get(t, row, c, &v[c]);
        readOk(rc);
        if (rc != MMAPSYNC_OK) v[c] = null();
        for (n = 0; v[c].type >= MMAPSYNC_TEXT && n < v[c].n; n++)
          readSum += ((const uint8_t *)v[c].u.p)[n];
      }
      if (!key || c < 3 || row % 16) continue;
      readOk(mmapsync_key_row(t, 0, row, &found));
      if (key->flags & MMAPSYNC_KEY_UNIQUE && key->nparts == 1) {
        p = key->parts[0].column;
        if (p < 3) readOk(mmapsync_find(t, 0, &v[p], 1, &found));
      }
    }
    mmapsync_image_close(image);
  }
  mmapsync_release(h, &view);
}

/* ---- at each moment ------------------------------------------------------------------------------ */

static void buildsAtMoments(const Build *what) {
  mmapsync_options opt;
  mmapsync *h, *reader = channelOpen();
  int i, many = 0;

  mmapsync_options_init(&opt);
  opt.progress = momentMet;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  WRITE(h, "before");
  for (i = 0; i < PATTERNS * PARTS; i++) {
    patternNow = i % PATTERNS;
    patternPart = i / PATTERNS;
    for (patternMoment = 1;; patternMoment++) {
      snprintf(checkAbout, sizeof(checkAbout), "%s: pattern %d, part %d, at moment %d", what->name,
               patternNow, patternPart, patternMoment);
      buildEnds(h, buildRun(h, what));
      if (momentCount < patternMoment) break;
      many++;
      readAll(reader);
    }
  }
  CHECK(many >= PATTERNS * PARTS);
  /* With nothing changed it is as it should be. */
  patternMoment = 0;
  if (!(what->key.flags & MMAPSYNC_KEY_NOTNULL)) {
    OK(h, buildRun(h, what));
    OK(h, mmapsync_verify(h));
  }
  mmapsync_close(reader);
  mmapsync_close(h);
}

static void caseRank(void) {
  buildsAtMoments(&builds[0]);
  CHECK(corrupt > 0); /* a number out of its range */
}
static void caseHash(void) { buildsAtMoments(&builds[1]); }
static void caseRuns(void) {
  buildsAtMoments(&builds[2]);
  CHECK(corrupt > 0); /* a row that is not there */
}
static void caseNulls(void) {
  buildsAtMoments(&builds[3]);
  CHECK(corrupt > 0); /* a NULL that was counted is gone */
}

/* ---- by another process -------------------------------------------------------------------------- */

/* Words at random into both data files, as long as the parent lives. */
static void scribble(pid_t parent) {
  static const char *const ending[] = {"_data_0", "_data_1"};
  while (getppid() == parent) {
    int fd = open(fileName(ending[rnd() & 1]), O_RDWR | O_CLOEXEC), i;
    struct stat st;
    if (fd < 0) continue;
    for (i = 0; i < 1000 && fstat(fd, &st) == 0 && st.st_size > 64; i++) {
      uint64_t word = rnd() % 4 ? rnd() : rnd() % 3 - 1;
      off_t at = (off_t)(rnd() % ((uint64_t)st.st_size - 8)) & ~(off_t)7;
      if (pwrite(fd, &word, 8, at) < 0) break;
    }
    close(fd);
  }
}

static uint64_t clockNow(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#define SCRIBBLE_MS 1000

static void caseProcess(void) {
  mmapsync *h = channelOpen(), *reader = channelOpen();
  pid_t self = getpid(), pid;
  uint64_t end = clockNow() + SCRIBBLE_MS;
  int i = 0, status;

  WRITE(h, "before");
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    scribble(self);
    _exit(0);
  }
  do {
    const Build *what = &builds[i++ % COUNT_OF(builds)];
    snprintf(checkAbout, sizeof(checkAbout), "%s, build %d", what->name, i);
    buildEnds(h, buildRun(h, what));
    readAll(reader);
  } while (clockNow() < end || i < COUNT_OF(builds));
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
  mmapsync_close(reader);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"rank", caseRank},   {"hash", caseHash},       {"runs", caseRuns},
    {"nulls", caseNulls}, {"process", caseProcess}, {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
