/*
** page.h - P_writer: what the writer tells readers, beside the version word.
**
** The file has one page (4096 bytes), in the machine's byte order.  Readers map it read-only; the
** writer that holds the writer's lock is the only one who stores to it.  It is made before the first
** publish, and never replaced: like the state file it stays the same inode for a channel's life.
**
**     offset   0  u8[8] magic        "mmapsyn" and a NUL; stored last when the file is made
**              8  u64   layout       what this build takes for granted of P_writer and P_readers; a
**                                    build of another layout refuses the channel
**             16  u32   replaced[2]  counts how often data file i was replaced by a new file; odd from
**                                    just before the rename until just after it.  A reader notes it
**                                    before it maps the file, and so can tell, for the price of a load,
**                                    whether its mapping is still of the file at the name
**             24  u64   window       not 0: the writer may publish without a look at lock pins, until the time
**                                    of its clock that stands here (pins.h, WINDOW)
**             32  u32   from[2]      what replaced[i] came to when file i last got a new file for certain; 0: not
**                                    yet.  A pin with an older note is of a file that has lost its name, and
**                                    no writer waits for it
**             64  u64   sequence     of the newest snapshot; keeps the count when a writer of another
**                                    kind has published meanwhile and left no trailer
**             72  u64   boot         hash of the kernel's boot id under which the newest snapshot was
**                                    published.  If it is not today's, the machine went down since, and
**                                    may have lost some of the files' pages and kept others: a reader
**                                    then compares the snapshot with its hash before it trusts it
**             80  u64   started_ns   when the publish in progress began (wall clock); 0: none
**             88  u64   done         bytes of payload it has written so far
**             96  u32   pid          who publishes or published last, in its own PID namespace
**            100  u32   phase        MMAPSYNC_PHASE_...: what it does
**            104  u64   rows         rows of the table it is at, so far
**            112  u32   turn         odd while the name changes
**            128  u8[64] table       the name of that table, NUL-terminated
**
** The first line is all that a read looks at, and it only changes when a file is replaced; the rest is
** written by each publish and looked at by nobody in a hurry.
**
** PRESENCE AND LOCK PINS.  Bytes that OFD read locks are placed on; they lie outside the file, as locks
** may, and so disturb nothing:
**
**     PAGE_PRESENCE                    held by each handle that pins by locks, from attach to detach
**     PAGE_PUBLISHING                  held, for writing, by a publish that takes long (progress.c)
**     PAGE_PIN + (i << 32) + value     pins data file i as it was when replaced[i] was `value`
*/
#ifndef MMAPSYNC_PAGE_H
#define MMAPSYNC_PAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mmapsync;

#define PAGE_SIZE_BYTES  4096
#define PAGE_NAME_MAX    64
#define PAGE_PRESENCE    ((off_t)1 << 40)
#define PAGE_PUBLISHING  (((off_t)1 << 40) + 1)
#define PAGE_PIN         ((off_t)1 << 41)
#define PAGE_PIN_FILE(i) (PAGE_PIN + ((off_t)(i) << 32))

typedef struct PageShared {
  _Atomic uint64_t magic;
  _Atomic uint64_t layout;
  _Atomic uint32_t replaced[2];
  _Atomic uint64_t window;
  _Atomic uint32_t from[2];
  uint64_t unused0[3];
  _Atomic uint64_t sequence;
  _Atomic uint64_t boot;
  _Atomic uint64_t started_ns;
  _Atomic uint64_t done;
  _Atomic uint32_t pid;
  _Atomic uint32_t phase;
  _Atomic uint64_t rows;
  _Atomic uint32_t turn;
  uint32_t unused1[3];
  _Atomic uint64_t table[PAGE_NAME_MAX / 8];
} PageShared;

_Static_assert(offsetof(PageShared, replaced) == 16 && offsetof(PageShared, window) == 24 &&
                   offsetof(PageShared, from) == 32 && offsetof(PageShared, sequence) == 64 &&
                   offsetof(PageShared, pid) == 96 && offsetof(PageShared, table) == 128 &&
                   sizeof(PageShared) == 192,
               "the writer's page has a fixed layout");

typedef struct Page {
  int fd;             /* -1: not open */
  PageShared *shared; /* NULL likewise */
} Page;

/* Opens the page for a reader, read-only.  NOTFOUND, without a sentence, if there is none or it is
** unfinished; CORRUPT for another layout; PERM and others of handleSystem(). */
int pageOpen(struct mmapsync *h, Page *page);

/* Reads what the page says now, without mapping it; with fd not NULL, and on OK, *fd is an open descriptor.  As
** pageOpen(). */
int pageLook(struct mmapsync *h, int *fd, PageShared *out);

/* Opens it for the writer, who holds the writer's lock, and makes it if need be. */
int pageMake(struct mmapsync *h, Page *page);

void pageClose(Page *page);

/* The value of replaced[index], or 0 if the channel has no page: nobody replaces files there. */
static inline uint32_t pageReplaced(const Page *page, unsigned index) {
  /* sequentially consistent: comes after the reader's last look at the version word, and pairs with the
  ** two raises in writeReplace() */
  return page->shared ? atomic_load_explicit(&page->shared->replaced[index], memory_order_seq_cst)
                      : 0;
}

/* The hash of this boot's id, never 0; 1 if the kernel does not tell it. */
uint64_t pageBoot(void);

#endif
