#define _GNU_SOURCE
/*
** state.c - opening, making and mapping the state file.  What it is for: state.h.
*/
#include "state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "handle.h"
#include "sys.h"

#define STATE_MODE 0660
#define STATE_MODE_APART                                                                           \
  0640 /* of a publisher who does not trust readers: then those of the crate cannot count */

static int stateEmpty(mmapsync *h) {
  return handleError(h, MMAPSYNC_EMPTY, "\"%s\": nothing published yet", h->path);
}

static int stateMap(mmapsync *h) {
  State *s = h->state;
  s->shared =
      sysMap(STATE_SIZE, s->writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, s->fd);
  return s->shared ? MMAPSYNC_OK : handleSystem(h, h->state_name, "map", errno);
}

static int stateWrongSize(mmapsync *h, off_t size) {
  return handleError(h, MMAPSYNC_CORRUPT, "\"%s\": not a state file: expected %d bytes, found %lld",
                     h->state_name, STATE_SIZE, (long long)size);
}

int stateOpen(mmapsync *h, int create) {
  struct stat st;
  State *s;
  mode_t mode = h->opt.trust == MMAPSYNC_TRUST_COPY ? STATE_MODE_APART : STATE_MODE;
  int fd, rc, created = 0, writable = 1;

  assert(!h->state);
  if (!create) mode = 0;
  if (!h->path) return handleError(h, MMAPSYNC_MISUSE, "the handle was not opened");
  rc = handleOpen(h, h->state_name, O_RDWR, mode, &fd, &st, &created);
  if (rc == MMAPSYNC_PERM && !create) {
    /* Slots and locks pin without it. */
    writable = 0;
    rc = handleOpen(h, h->state_name, O_RDONLY, 0, &fd, &st, &created);
  }
  if (rc == MMAPSYNC_NOTFOUND) return stateEmpty(h);
  if (rc != MMAPSYNC_OK) return rc;
  if (created) h->writer.folder_synced = 0;

  if (st.st_size == 0 && !create) {
    rc = stateEmpty(h);
  } else if (st.st_size != 0 && st.st_size != STATE_SIZE) {
    rc = stateWrongSize(h, st.st_size);
  }
  s = rc == MMAPSYNC_OK ? calloc(1, sizeof(*s)) : NULL;
  if (!s) {
    sysClose(fd);
    return rc == MMAPSYNC_OK ? handleNomem(h) : rc;
  }
  s->fd = fd;
  s->refs = 1;
  s->device = st.st_dev;
  s->inode = st.st_ino;
  s->writable = writable;
  s->page.fd = s->slots.fd = -1;
  h->state = s;
  if (pinsNew(s) != 0) {
    rc = handleNomem(h);
  } else if (st.st_size == STATE_SIZE) {
    rc = stateMap(h);
  }
  if (rc != MMAPSYNC_OK) handleDetach(h);
  return rc;
}

int stateLook(mmapsync *h, StateShared *out) {
  struct stat st;
  ssize_t got;
  int fd, err, rc;

  if (!h->path) return handleError(h, MMAPSYNC_MISUSE, "the handle was not opened");
  rc = handleOpen(h, h->state_name, O_RDONLY, 0, &fd, &st, NULL);
  if (rc == MMAPSYNC_NOTFOUND) return stateEmpty(h);
  if (rc != MMAPSYNC_OK) return rc;
  got = sysReadAt(fd, out, STATE_SIZE, 0);
  err = errno;
  sysClose(fd);
  if (got < 0) return handleSystem(h, h->state_name, "read", err);
  if (got == 0) return stateEmpty(h);
  if (got != STATE_SIZE || st.st_size > STATE_SIZE) {
    return stateWrongSize(h, st.st_size > STATE_SIZE ? st.st_size : got);
  }
  return MMAPSYNC_OK;
}

int stateFinish(mmapsync *h) {
  State *s = h->state;
  struct stat st;
  int err;

  assert(s && !s->shared);
  /* Another writer may have finished it between our open and our lock. */
  if (sysFstat(s->fd, &st) != 0) return handleSystem(h, h->state_name, "look at", errno);
  if (st.st_size == 0) {
    err = sysReserve(s->fd, 0, STATE_SIZE);
    if (err) return handleRoom(h, h->state_name, STATE_SIZE, err);
  } else if (st.st_size != STATE_SIZE) {
    return stateWrongSize(h, st.st_size);
  }
  return stateMap(h);
}

int stateIsCurrent(mmapsync *h) {
  struct stat st;
  assert(h->state);
  h->state_look = sysStat(h->state_name, &st) == 0 ? 0 : errno;
  return h->state_look == 0 && handleSame(&st, h->state->device, h->state->inode);
}

int stateVanished(mmapsync *h) {
  if (h->state_look != 0 && h->state_look != ENOENT) {
    return handleSystem(h, h->state_name, "look at", h->state_look);
  }
  return handleError(h, MMAPSYNC_IOERR, "\"%s\": removed as often as it was made", h->state_name);
}

State *stateRef(State *s) {
  s->refs++;
  return s;
}

void stateUnref(State *s) {
  if (!s || --s->refs > 0) return;
  if (s->pins) pinsFree(s);
  if (s->shared) sysUnmap(s->shared, STATE_SIZE);
  sysClose(s->fd);
  free(s);
}
