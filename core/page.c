#define _GNU_SOURCE
/*
** page.c - opening and making P_writer.  What it is for, and its layout: page.h.
**
** MAKING.  The file is made under the writer's lock.  A writer that dies half way leaves a file without
** its magic, which is stored last: readers take it for missing, and the next writer finishes it.  A file
** that has the magic is never written over: another layout is another build's channel, and its readers
** may be alive.
*/
#include "page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "handle.h"
#include "hash.h"
#include "slots.h"
#include "sys.h"

#define PAGE_MODE  0640
#define PAGE_MAGIC "mmapsyn" /* and its NUL */

static uint64_t pageMagic(void) {
  uint64_t magic;
  memcpy(&magic, PAGE_MAGIC, sizeof(magic));
  return magic;
}

/* The page is the first of a channel's files whose numbers can tell that they are not ours: the state has none. */
static int pageForeign(mmapsync *h, uint64_t found) {
  if (found == __builtin_bswap64(slotsLayout())) {
    return handleError(h, MMAPSYNC_CORRUPT,
                       "\"%s\": made on a machine of the other byte order: remove the channel's "
                       "files and publish on this machine",
                       h->writer_name);
  }
  return handleError(h, MMAPSYNC_CORRUPT,
                     "\"%s\": made by another build: expected layout %016llx, found %016llx: use "
                     "that build, or end who uses the channel, remove its files and publish anew",
                     h->writer_name, (unsigned long long)slotsLayout(), (unsigned long long)found);
}

/* Maps the open file of at least a page, and looks whose it is.  *made is 0 if it is unfinished. */
static int pageMap(mmapsync *h, Page *page, int fd, int protection, int *made) {
  PageShared *p = sysMap(PAGE_SIZE_BYTES, protection, MAP_SHARED, fd);
  uint64_t layout;

  if (!p) return handleSystem(h, h->writer_name, "map", errno);
  /* acquire: pairs with the release in pageMake() */
  *made = atomic_load_explicit(&p->magic, memory_order_acquire) == pageMagic();
  layout = atomic_load_explicit(&p->layout, memory_order_relaxed);
  if (*made && layout != slotsLayout()) {
    sysUnmap(p, PAGE_SIZE_BYTES);
    return pageForeign(h, layout);
  }
  page->shared = p;
  page->fd = fd;
  return MMAPSYNC_OK;
}

int pageOpen(mmapsync *h, Page *page) {
  struct stat st;
  int fd, made, rc;

  assert(!page->shared);
  rc = handleOpen(h, h->writer_name, O_RDONLY, 0, &fd, &st, NULL);
  if (rc != MMAPSYNC_OK) return rc;
  if (st.st_size < PAGE_SIZE_BYTES) {
    sysClose(fd);
    return MMAPSYNC_NOTFOUND;
  }
  rc = pageMap(h, page, fd, PROT_READ, &made);
  if (rc != MMAPSYNC_OK) {
    sysClose(fd);
    return rc;
  }
  if (made) return MMAPSYNC_OK;
  pageClose(page);
  return MMAPSYNC_NOTFOUND;
}

int pageLook(mmapsync *h, int *fd, PageShared *out) {
  struct stat st;
  uint64_t layout;
  ssize_t got;
  int own, err, rc;

  rc = handleOpen(h, h->writer_name, O_RDONLY, 0, &own, &st, NULL);
  if (rc != MMAPSYNC_OK) return rc;
  got = st.st_size < PAGE_SIZE_BYTES ? 0 : sysReadAt(own, out, sizeof(*out), 0);
  err = errno;
  if (got < 0) {
    rc = handleSystem(h, h->writer_name, "read", err);
  } else if (got != (ssize_t)sizeof(*out) ||
             atomic_load_explicit(&out->magic, memory_order_relaxed) != pageMagic()) {
    rc = MMAPSYNC_NOTFOUND;
  } else {
    layout = atomic_load_explicit(&out->layout, memory_order_relaxed);
    if (layout != slotsLayout()) rc = pageForeign(h, layout);
  }
  if (fd && rc == MMAPSYNC_OK) {
    *fd = own;
  } else {
    sysClose(own);
  }
  return rc;
}

int pageMake(mmapsync *h, Page *page) {
  struct stat st;
  int fd, made = 0, err, rc, created = 0;

  assert(!page->shared);
  rc = handleOpen(h, h->writer_name, O_RDWR, PAGE_MODE, &fd, &st, &created);
  if (rc != MMAPSYNC_OK) return rc;
  if (created) h->writer.folder_synced = 0;
  err = st.st_size < PAGE_SIZE_BYTES ? sysReserve(fd, 0, PAGE_SIZE_BYTES) : 0;
  if (err) {
    rc = handleRoom(h, h->writer_name, PAGE_SIZE_BYTES, err);
  } else {
    rc = pageMap(h, page, fd, PROT_READ | PROT_WRITE, &made);
  }
  if (rc != MMAPSYNC_OK) {
    sysClose(fd);
    return rc;
  }
  if (!made) {
    /* Whatever the rest of it says is not of a writer. */
    memset((void *)page->shared, 0, PAGE_SIZE_BYTES);
    atomic_store_explicit(&page->shared->layout, slotsLayout(), memory_order_relaxed);
    /* release: pairs with the acquire in pageMap() */
    atomic_store_explicit(&page->shared->magic, pageMagic(), memory_order_release);
  }
  return MMAPSYNC_OK;
}

void pageClose(Page *page) {
  if (page->shared) sysUnmap(page->shared, PAGE_SIZE_BYTES);
  if (page->fd >= 0) sysClose(page->fd);
  page->shared = NULL;
  page->fd = -1;
}

uint64_t pageBoot(void) {
  char id[64];
  uint64_t boot = 1;
  ssize_t n;
  int fd = sysOpen("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return boot;
  n = sysRead(fd, id, sizeof(id));
  if (n > 0) boot = hashBytes(id, (size_t)n) | 1; /* not 0, which says that it does not matter */
  sysClose(fd);
  return boot;
}
