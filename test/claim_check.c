#define _GNU_SOURCE
/*
** claim_check.c - what others do between a reader's claim and its look at the version word, by slot.
**
** There is no system call at that place, and slotstep_check.c comes to it by single steps, where a machine has them.  Here
** the claim itself is the moment: the page of the reader's slot is watched (check_watch.h), so that the store of its pin
** word calls what another process might do just before it takes effect.  The look that follows may be watched in turn, and
** then the second claim.
*/
#include "check_peer.h"
#include "check_watch.h"

#include "handle.h"
#include "pins.h"

static mmapsync *writer, *reader;
static uint64_t newest; /* the payload that was published last */

static void publishNext(void) {
  newest++;
  PUBLISH(writer, newest, 100, NULL);
}

static uint64_t wordNow(void) {
  uint64_t word;
  CHECK(fileGet("_state", &word, sizeof(word)) == sizeof(word));
  return word;
}
static void wordPut(uint64_t word) { filePoke("_state", 0, &word, sizeof(word)); }

/* What happens at the first claim, and at the second. */
enum { NOTHING, SWITCH, TWICE, RESET, EVENTS };
static int atClaim[2];
static uint64_t wordWas;

static void happens(int what) {
  if (what == SWITCH || what == TWICE) publishNext();
  if (what == TWICE) publishNext();
  if (what == RESET) {
    if (wordNow() != 0) wordWas = wordNow();
    wordPut(0);
  }
}

static void secondClaim(void) { happens(atClaim[1]); }
static void look(void) { watch(reader->state->pins->slot, secondClaim); }
static void firstClaim(void) {
  happens(atClaim[0]);
  watch(reader->state->shared, look);
}

/* The reader has a view of the snapshot before, which is in either file, or none; then it reads.  Without one the first
** claim is made in the gate (gate.h). */
static void claims(int held, int file) {
  mmapsync_view old, view;
  int rc;
  filesRemove();
  newest = 0;
  wordWas = 0;
  writer = openWriter(0);
  reader = openReader(MMAPSYNC_PIN_SLOT);
  for (; newest < 2 + (uint64_t)file;) {
    publishNext();
    READS(reader, newest);
  }
  if (held) {
    OK(reader, mmapsync_read(reader, &old));
    publishNext();
    READS(reader, newest);
  }
  watch(reader->state->pins->slot, firstClaim);
  rc = mmapsync_read(reader, &view);
  (void)watchEnd();
  if (wordNow() == 0) {
    FAILS(reader, rc, MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
    wordPut(wordWas);
  } else {
    OK(reader, rc);
    WHOLE(&view, newest);
    publishNext();
    publishNext();
    WHOLE(&view, newest - 2);
    mmapsync_release(reader, &view);
  }
  if (held) {
    WHOLE(&old, 2 + file);
    mmapsync_release(reader, &old);
  }
  PINS(writer, 0, 0);
  READS(reader, newest);
  mmapsync_close(reader);
  mmapsync_close(writer);
}

static void eachClaim(int held, int file) {
  for (atClaim[0] = 0; atClaim[0] < EVENTS; atClaim[0]++) {
    for (atClaim[1] = 0; atClaim[1] < EVENTS; atClaim[1]++) {
      snprintf(checkAbout, sizeof(checkAbout), "at the claims %d %d", atClaim[0], atClaim[1]);
      claims(held, file);
    }
  }
}
static void caseGate0(void) { eachClaim(0, 0); }
static void caseGate1(void) { eachClaim(0, 1); }
static void caseHeld0(void) { eachClaim(1, 0); }
static void caseHeld1(void) { eachClaim(1, 1); }

static const CheckCase cases[] = {{"gate0", caseGate0},
                                  {"gate1", caseGate1},
                                  {"held0", caseHeld0},
                                  {"held1", caseHeld1},
                                  {NULL, NULL}};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
