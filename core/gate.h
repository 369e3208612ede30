/*
** gate.h - the short way into a read, for who meets what he met the last time.
**
** Most reads find everything as the one before them did: the same snapshot, in the same mapping, pinned by the same
** slot, while no other view is held.  For those all that the protocol asks for is prepared: the pin word to be stored,
** the one to be stored afterwards, and what the looks in between must find.  That is the gate (struct mmapsync_gate; it
** and its three steps stand in mmapsync.h, to be compiled in line).  A read through it is R2 to R6 of state.h:
**
**     R2  the pin word becomes `in`
**     R3  version is the prepared view's; R5  replaced[i] is what was noted, and the trailer's sequence the view's.
**         Or else the gate is shut, the pin word becomes `out`, and the read is made by the long way, readPin(), from
**         R0 on
**     R6  the pin word becomes `out`
**
** WITHOUT R1.  It claims file i without having looked first whether that is active.  If it is not, this is a claim that is
** taken back, like that of R4: a writer may meet it, and waits until it is gone.  Where C1 to C5 speak of a claim they
** ask for the look after it, not for the one before, but for C1, 8, where a slot has a new owner.  That one comes to
** its gate by a view it has had by this slot, so it has found i active once since it took the slot, and that is what is
** needed there.  The model has it (GATE), and shows that less would not do (GATE_FIRST).
**
** Nothing is counted on the way.  One word says that the view is out: gate.state, and in head.out once more.  This is right
** because of
**
**     G1  The gate is open only while no view of this handle is counted (h->views is 0).  So while the view that went
**         through it is out, it is the only one, and what is released is that.
**     G2  Who looks at, or changes, what views are counted by (h->views, refs and held of a map, held and word of
**         Pins), or what the gate was prepared from, shuts it first.  If the view is out then, it is counted from there
**         on as if readPin() had given it: gateShut().
**     G3  All that is prepared is computed when the gate is opened, out of the pin word in force; what would change
**         that goes the long way, and shuts it.  So no older note is said after a newer one (C1, 6).
**     G4  The gate is in memory that the kernel wipes in a child, and so is shut there.  head.out is not: a child knows
**         by it that it has inherited a view, and counts it before it does anything else.
**
** It is opened when the last counted view is released, for the snapshot that was read last while no other view was
** held.
**
** THE BARRIER.  The exchange of R2 could be a plain store if the writer called membarrier() between W2 and W3, as
** liburcu's writers do.  It was tried, and is not worth it.  With a plain store there a read of 36 bytes took 2.5 ns
** instead of 2.6, and a lookup by key with its read as long as before: the other loads and stores take their time beside
** the exchange.  A publish of that size would take about five times as long, and that when no reader's processor has to
** be interrupted (`build/bench/corebench` has both beside each other); and a writer that may not call membarrier() could not
** publish to such readers at all.
*/
#ifndef MMAPSYNC_GATE_H
#define MMAPSYNC_GATE_H

struct mmapsync;
struct mmapsync_view;

/* Of mmapsync_gate.state: GATE_CALL where there is more to do than is done in line (options.stamp), or to look at (a
** debug build).  The last two are of mmapsync_head.out, too. */
enum { GATE_SHUT, GATE_OPEN, GATE_CALL, GATE_ENTERED, GATE_COPIED };

/* The gate of a handle without a state: never open. */
extern struct mmapsync_gate gateNone;

/* Prepares the view for when the gate is opened; it is the handle's only one, and the newest.  gateOpen() opens it, if
** there is something prepared, and it is as good as it was. */
void gatePrepare(struct mmapsync *h, const struct mmapsync_view *view);
void gateOpen(struct mmapsync *h);

/* Shuts the gate, and counts the view that is out. */
void gateShut(struct mmapsync *h);

#endif
