# run.tcl - runs test files and adds up what they count.
#
#     tclsh test/run.tcl ?-timeout SECONDS? ?PATTERN ...?
#
# Each test/*.test whose name matches a pattern (all, without one; a path is taken as it is) runs in a
# Tcl process of its own; one named *fault.test in the fixture, in which calls can be made to fail.  One that crashes, hangs past the timeout or ends without its closing line
# counts as one failure more, and so does one that ends badly after it (a leak, under `make asan`).  The
# last line is `N passed, N failed`, with `, N skipped` if any; the exit code is 0 only if something passed
# and nothing failed.  $MMAPSYNC_UNDER is a command that the Tcl processes are to run under, as valgrind.

# Files, arguments and output are UTF-8, whatever the locale says.
encoding system utf-8

set home [file dirname [file normalize [info script]]]
set under [expr {[info exists env(MMAPSYNC_UNDER)] ? $env(MMAPSYNC_UNDER) : ""}]
set fixture [file join [file dirname $home] \
  [expr {[info exists env(MMAPSYNC_BUILD)] ? $env(MMAPSYNC_BUILD) : "build"}] testfixture]
set timeout 600
if {[lindex $argv 0] eq "-timeout"} {
  set timeout [lindex $argv 1]
  set argv [lrange $argv 2 end]
}

set files {}
foreach pattern [expr {[llength $argv] ? $argv : "*"}] {
  if {[file isfile $pattern]} {
    lappend files $pattern
  } else {
    lappend files {*}[lsort [glob -nocomplain -directory $home [file rootname $pattern].test]]
  }
}

# Runs one file and returns {passed failed skipped}.
proc run_file {file} {
  global done output pipe
  set output ""
  set shell [expr {[string match *fault.test $file] ? $::fixture : [info nameofexecutable]}]
  set pipe [open [list | {*}$::under $shell -encoding utf-8 $file 2>@1] r]
  fconfigure $pipe -blocking 0
  set done ""
  fileevent $pipe readable {
    append output [read $pipe]
    if {[eof $pipe]} {set done ended}
  }
  set timer [after [expr {$::timeout * 1000}] {set done timeout}]
  vwait done
  after cancel $timer
  fileevent $pipe readable {}
  set why ""
  set status 0
  if {$done eq "timeout"} {
    set why "no end after $::timeout s"
    catch {exec kill -KILL [pid $pipe]}
  }
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
  foreach line $lines {
    puts "  $line"
    if {[regexp {^faults injected: \d+ \((.*)\)$} $line -> kinds]} {
      foreach kind [split $kinds ,] {dict incr ::faults {*}$kind}
    }
  }
  if {$why ne ""} {
    puts "! [file tail $file]: $why"
    lset counts 1 [expr {[lindex $counts 1] + 1}]
  }
  return $counts
}

set total {0 0 0}
set faults {} ;# by kind: how many calls were made to fail
foreach file $files {
  puts -nonewline "[file tail $file]: "
  flush stdout
  set start [clock milliseconds]
  puts ""
  set counts [run_file $file]
  puts [format "  %d ok%s, %.1f s" [lindex $counts 0] \
    [expr {[lindex $counts 1] ? ", [lindex $counts 1] FAILED" : ""}] \
    [expr {([clock milliseconds] - $start) / 1000.0}]]
  set total [lmap a $total b $counts {expr {$a + $b}}]
}
if {![llength $files]} {
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
