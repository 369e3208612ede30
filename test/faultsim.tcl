# faultsim.tcl - do_faultsim_test: an act in which every call fails in turn.  tester.tcl sources it in the
# fixture (test/testfixture.c), in which run.tcl runs the files named *fault.test.
#
#     do_faultsim_test NAME ?-db DB? ?-all BOOL? ?-faults PATTERNS? -prep SCRIPT -body SCRIPT ?-test SCRIPT?
#
# For each kind of call that the body makes, and each error that it may give, the 1st call fails, the 2nd, ...
# until a run meets no fault; once only that call, and once all after it, too (but for those errors that are no
# failure, such as EINTR).  Kinds are the names of the system calls, sqlite3_malloc, sqlite3_call (each call of the
# extension into SQLite, without memory: fault_sqlite.h) and malloc; -faults takes some: `open mmap-ENOMEM
# mmap-ENOMEM-persist`.
#
# A run: the channel's files are removed; the prep runs without faults, and opens connections by `newdb`, among them
# DB (default w), by which the body acts; the body runs, at global level, with the fault; the test runs without faults, and
# returns what is wrong, or nothing.  It may look at $testrc and $testresult, what the body came to, $testhits,
# how many calls have failed, and $faultSqlite, whether these were SQLite's requests for memory; `faultsim_again` does the body once more, which must give what it gives without faults.
# Then all connections that are still there are closed.
#
# Each run must satisfy, beside its test:
#
#     - the body gives the same as without faults, or an error;
#     - the error's code is the one that the call's error comes to, and NOMEM for memory;
#     - its sentence names a file of the channel or its folder, or is that memory is short (SQLite's own may be another);
#     - without a failed call there is no error, nor is there one if the failure is of those that do not matter;
#     - nobody has the writer's lock then;
#     - afterwards no descriptor, mapping, lock, slot, byte of SQLite's memory or block of the core's is left.
#
# Each kind of call and error counts as one case.  With -all 1 or MMAPSYNC_FAULTS=all nothing is left out; otherwise of errors that
# come to the same code one lasts, and long sweeps of memory, in which most requests are SQLite's own and like the one
# before, take steps that grow.
#
# The path of the channel is $ch.

set ch [file join $testdir fault]
set faultAll [expr {[info exists env(MMAPSYNC_FAULTS)] && $env(MMAPSYNC_FAULTS) eq "all"}]
set faultDense [expr {[info exists env(MMAPSYNC_SANITIZED)] ? 6 : 20}] ;# up to which no request is passed over
array set faultNames {} ;# what each kind of system call may give, and what it comes to
foreach {call gives} [fault_names] {set faultNames($call) $gives}

# The faults to try, of those that `calls` says can be met: {LABEL COMMAND CODE} each; COMMAND wants N in place of %N.
proc faultsim_faults {patterns all calls} {
  set faults {}
  dict for {call count} $calls {
    if {!$count} continue
    set seen {}
    if {$call eq "sqlite3_malloc"} {
      set gives {ENOMEM 7}
      set arm {fault_malloc sqlite3 %N}
    } elseif {$call eq "sqlite3_call"} {
      set gives {ENOMEM 7}
      set arm {fault_malloc call %N}
    } elseif {$call eq "malloc"} {
      set gives {ENOMEM 7}
      set arm {fault_malloc core %N}
    } else {
      set gives $::faultNames($call)
      set arm "fault_syscall $call %N %E"
    }
    foreach {error code} $gives {
      set label $call-$error
      foreach pattern $patterns {
        set command [string map [list %E $error] $arm]
        if {[string match $pattern $call] || [string match $pattern $label]} {lappend faults $label $command $code}
        if {!$code || (!$all && $code in $seen)} continue
        if {![string match $pattern $call] && ![string match $pattern $label-persist]} continue
        lappend faults $label-persist "$command -persist" $code
        lappend seen $code
      }
    }
  }
  return $faults
}

# The channel is clean, and nobody has it open.
proc faultsim_prepare {prep} {
  forcedelete {*}[glob -nocomplain $::ch*]
  uplevel #0 $prep
}

proc faultsim_close {} {
  foreach db $::faultConnections {catch {$db close}}
  set ::faultConnections {}
}

# What is wrong with the end of a body.
proc faultsim_wrong {db code good} {
  global testrc testresult testhits testcode ch
  if {!$testrc} {
    return [expr {$testresult eq $good ? "" : "without an error it gives <$testresult>, not <$good>"}]
  }
  if {!$testhits} {return "no fault, but an error: $testcode <$testresult>"}
  if {!$code} {return "this fault is no failure, but: $testcode <$testresult>"}
  # The one failure behind the switch is of a code of its own.
  if {[string match "*: published, but cannot sync: *" $testresult]} {set code 10}
  if {$testcode != $code} {return "expected the code $code, found $testcode <$testresult>"}
  if {$::faultSqlite} {
    # The sentence may be SQLite's own; Tcl has none for a connection that could not be opened.
    if {$testresult eq "" && [info commands $db] ne ""} {return "no sentence"}
    return
  }
  if {$code == 7 ? ![string match "*out of memory*" $testresult] : ![string match "*\"$::testdir*\"*" $testresult]} {
    return "the sentence does not name the channel: $testcode <$testresult>"
  }
}

proc faultsim_again {} {
  lassign $::faultAgain body good
  set result [uplevel #0 $body]
  if {$result ne $good} {return "done again it gives <$result>, not <$good>"}
}

# Runs it once, with a fault set up by `arm`; gives what is wrong with it.
proc faultsim_run {db prep body test arm code good} {
  global testrc testresult testhits testcode faultSqlite faultConnections ch
  set faultConnections {}
  faultsim_prepare $prep
  set faultSqlite [expr {"sqlite3" in $arm || "call" in $arm}]
  {*}$arm
  set testrc [catch {uplevel #0 $body} testresult]
  set testhits [fault_off]
  set testcode [expr {[info commands $db] eq {} ? 7 : [$db errorcode]}]
  set wrong [faultsim_wrong $db $code $good]
  if {$wrong eq "" && [lindex [fault_left $ch] 2]} {set wrong "the writer's lock is held"}
  if {$wrong eq "" && $test ne "" && [catch {uplevel #0 $test} wrong]} {set wrong "test: $wrong"}
  faultsim_close
  if {$wrong ne ""} {return $wrong}
  set left [fault_left $ch]
  if {$left ne {0 0 0}} {return "left: descriptors, mappings, lock: $left"}
  newdb other
  # This connection's own slot is all there may be.
  set left [other eval {SELECT slot, kind, alive, pins_0 + pins_1 FROM mmapsync_readers($ch) WHERE alive = 0 OR pins_0 + pins_1 > 0}]
  if {$left ne ""} {return "readers left: $left"}
  other close
  set memory [fault_memory]
  if {$memory ne $::faultBefore} {return "memory: $::faultBefore before, $memory after"}
}

proc do_faultsim_test {name args} {
  array set opt [list -db w -all $::faultAll -faults * -prep {newdb w} -test {} {*}$args]
  global faultCount testresult testhits
  faultsim_run $opt(-db) $opt(-prep) $opt(-body) {} fault_watch 0 {}
  if {$::testrc} {return [test_failed $name "no error" $testresult]}
  set good $testresult
  set ::faultAgain [list $opt(-body) $good]
  set calls [fault_calls]
  set ::faultBefore [fault_memory] ;# what is made once, by the first, stays
  set wrong [faultsim_run $opt(-db) $opt(-prep) $opt(-body) $opt(-test) fault_watch 0 $good]
  do_test $name-none [list set {} $wrong] {}
  foreach {label arm code} [faultsim_faults $opt(-faults) $opt(-all) $calls] {
    regsub -- {-.*} $label {} call
    set n 1
    while 1 {
      set command [string map [list %N $n] $arm]
      set wrong [faultsim_run $opt(-db) $opt(-prep) $opt(-body) $opt(-test) $command $code $good]
      incr faultCount($call) $testhits
      if {$wrong ne "" || !$testhits} break
      incr n [expr {!$opt(-all) && $call eq "sqlite3_malloc" && $n > $::faultDense ? $n / $::faultDense : 1}]
    }
    do_test $name-$label [list set {} [expr {$wrong eq "" ? "" : "call $n: $wrong"}]] {}
  }
}
