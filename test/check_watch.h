/*
** check_watch.h - what a neighbour does to memory at the very moment at which it is looked at.
**
** Who reads memory that others may write to reads some of it twice, or one thing after another that belongs to it; and
** a neighbour who runs beside it meets the moment between the two by luck alone.  Here that moment is chosen: a page
** that is watched cannot be looked at, and the first look (or store) calls a function, which does what the neighbour
** would do, and is made when that returns.  The function may watch the page again for later, or another one.
**
** Nothing in what is tested knows of it: the look is any look, of any instruction.
*/
#ifndef CHECK_WATCH_H
#define CHECK_WATCH_H

#include <signal.h>
#include <sys/mman.h>

#include "check.h"

#define WATCHED_MOST 4

static struct {
  uint8_t *page; /* NULL: free */
  void (*seen)(void);
} watched[WATCHED_MOST];

static inline size_t watchPage(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* A look at memory that cannot be looked at.  It is where an instruction of ours looks, and so as good a place as any
** other to do anything at all. */
static inline void watchMet(int signal_, siginfo_t *info, void *context) {
  const uint8_t *at = info->si_addr;
  int i;
  (void)context;
  for (i = 0; i < WATCHED_MOST; i++) {
    uint8_t *page = watched[i].page;
    if (page == NULL || at < page || at >= page + watchPage()) continue;
    watched[i].page = NULL;
    if (mprotect(page, watchPage(), PROT_READ | PROT_WRITE) != 0) abort();
    watched[i].seen();
    return;
  }
  signal(signal_, SIG_DFL); /* and it comes again */
}

/* Calls seen() at the first look at the page where p is. */
static inline void watch(const void *p, void (*seen)(void)) {
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
  uint8_t *page = (uint8_t *)((uintptr_t)p / watchPage() * watchPage());
  int i;
  action.sa_sigaction = watchMet;
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  for (i = 0; i < WATCHED_MOST; i++) {
    if (watched[i].page) continue;
    watched[i].page = page;
    watched[i].seen = seen;
    CHECK(mprotect(page, watchPage(), PROT_NONE) == 0);
    return;
  }
  checkFail(__LINE__, "no more than %d pages", WATCHED_MOST);
}

/* Looks are nobody's business any more.  How many pages had not been looked at. */
static inline int watchEnd(void) {
  int i, n = 0;
  for (i = 0; i < WATCHED_MOST; i++) {
    if (watched[i].page == NULL) continue;
    CHECK(mprotect(watched[i].page, watchPage(), PROT_READ | PROT_WRITE) == 0);
    watched[i].page = NULL;
    n++;
  }
  CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
  return n;
}

/* Whole pages of memory of our own, with room for n bytes; zeros. */
static inline void *watchRoom(size_t n) {
  void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  return p;
}

#endif
