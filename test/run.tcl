# run.tcl - runs test files and adds up what they count.
#
#     tclsh test/run.tcl ?-timeout SECONDS? ?-jobs N? ?PATTERN ...?
#
# Each test/*.test whose name matches a pattern (all, without one; a path is taken as it is) runs in a
# Tcl process of its own; one named *fault.test in the fixture, in which calls can be made to fail.  N of
# them run at a time (as many as there are processors), and what one says is printed when it has ended.  One
# that crashes, hangs past the timeout or ends without its closing line counts as one failure more, and so
# does one that ends badly after it (a leak, under `make asan`).  The last line is `N passed, N failed`, with
# `, N skipped` if any; the exit code is 0 only if something passed and nothing failed.  $MMAPSYNC_UNDER is
# a command that the Tcl processes are to run under, as valgrind.

# Files, arguments and output are UTF-8, whatever the locale says.
encoding system utf-8

# Those that take longest begin first, so that no processor waits for another at the end.
set longest {step faults image queryfault core}

set home [file dirname [file normalize [info script]]]
set under [expr {[info exists env(MMAPSYNC_UNDER)] ? $env(MMAPSYNC_UNDER) : ""}]
set fixture [file join [file dirname $home] \
  [expr {[info exists env(MMAPSYNC_BUILD)] ? $env(MMAPSYNC_BUILD) : "build"}] testfixture]
array set option {-timeout 600 -jobs 1}
catch {set option(-jobs) [exec getconf _NPROCESSORS_ONLN]}
while {[info exists option([lindex $argv 0])]} {
  set argv [lassign $argv name option($name)]
}

set files {}
foreach pattern [expr {[llength $argv] ? $argv : "*"}] {
  if {[file isfile $pattern]} {
    lappend files $pattern
  } else {
    lappend files {*}[lsort [glob -nocomplain -directory $home [file rootname $pattern].test]]
  }
}

foreach name [lreverse $longest] {
  foreach file [lsearch -all -inline $files */$name.test] {
    set files [linsert [lsearch -all -inline -not -exact $files $file] 0 $file]
  }
}

# Begins a file.  Of each that runs, its pipe has in the array `run`: name, output, start, timer and why it
# was stopped, if it was.
proc run_start {file} {
  global run option
  set shell [expr {[string match *fault.test $file] ? $::fixture : [info nameofexecutable]}]
  set pipe [open [list | {*}$::under $shell -encoding utf-8 $file 2>@1] r]
  set run($pipe) [dict create name [file tail $file] output "" why "" start [clock milliseconds] \
    timer [after [expr {$option(-timeout) * 1000}] [list run_stop $pipe]]]
  fconfigure $pipe -blocking 0
  fileevent $pipe readable [list run_read $pipe]
}

proc run_read {pipe} {
  dict append ::run($pipe) output [read $pipe]
  if {[eof $pipe]} {run_end $pipe}
}

# It has had its time.  What it started may hold the pipe open for longer than it lives itself.
proc run_stop {pipe} {
  dict set ::run($pipe) why "no end after $::option(-timeout) s"
  catch {exec kill -KILL [pid $pipe]}
  run_end $pipe
}

# Reports a file that has ended, adds up what it counted, and begins the next.
proc run_end {pipe} {
  global run total faults
  dict with run($pipe) {}
  unset run($pipe)
  after cancel $timer
  set status 0
  set scratch [glob -nocomplain -directory /dev/shm mmapsync-test-*-[pid $pipe]]
  lappend scratch {*}[glob -nocomplain -directory /tmp mmapsync-test-*-[pid $pipe]]
  fconfigure $pipe -blocking 1
  if {[catch {close $pipe} message options]} {
    set cause [dict get $options -errorcode]
    if {$why ne ""} {
      # it is known already
    } elseif {[lindex $cause 0] eq "CHILDKILLED"} {
      set why "killed by [lindex $cause 2]"
    } else {
      set status [lindex $cause 2]
    }
  }
  file delete -force {*}$scratch ;# still there if it crashed
  set lines [split [string trimright $output \n] \n]
  set counts {0 0 0}
  set closing {^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$}
  set at [lindex [lsearch -all -regexp $lines $closing] end]
  if {$at ne ""} {
    regexp $closing [lindex $lines $at] -> p f s
    set counts [list $p $f [expr {$s eq "" ? 0 : $s}]]
    set lines [lreplace $lines $at $at] ;# what follows it is what a sanitizer said
    if {$status && !$f} {set why "ended with status $status, though no case failed"}
  } elseif {$why eq ""} {
    set why "ended without its closing line"
  }
  puts "$name:"
  foreach line $lines {
    puts "  $line"
    if {[regexp {^faults injected: \d+ \((.*)\)$} $line -> kinds]} {
      foreach kind [split $kinds ,] {dict incr faults {*}$kind}
    }
  }
  if {$why ne ""} {
    puts "! $name: $why"
    lset counts 1 [expr {[lindex $counts 1] + 1}]
  }
  puts [format "  %d ok%s, %.1f s" [lindex $counts 0] \
    [expr {[lindex $counts 1] ? ", [lindex $counts 1] FAILED" : ""}] \
    [expr {([clock milliseconds] - $start) / 1000.0}]]
  flush stdout
  set total [lmap a $total b $counts {expr {$a + $b}}]
  run_next
}

# Keeps as many going as there may be.
proc run_next {} {
  while {[array size ::run] < $::option(-jobs) && [llength $::files]} {
    set ::files [lassign $::files file]
    run_start $file
  }
  if {![array size ::run]} {set ::finished 1}
}

set total {0 0 0}
set faults {} ;# by kind: how many calls were made to fail
if {[llength $files]} {
  array set run {}
  run_next
  vwait finished
} else {
  puts "no such test: $argv"
  set total {0 1 0}
}
if {[dict size $faults]} {
  set words [lmap {call n} [lsort -stride 2 $faults] {string cat "$call $n"}]
  puts "faults injected: [tcl::mathop::+ {*}[dict values $faults]] ([join $words {, }])"
}
lassign $total passed failed skipped
puts "$passed passed, $failed failed[expr {$skipped ? ", $skipped skipped" : ""}]"
exit [expr {$failed > 0 || $passed == 0}]
