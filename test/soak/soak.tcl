# soak.tcl - the load soak: many reader processes, a writer that never stops, and a look at what it all costs.
#
#     tclsh test/soak/soak.tcl BUILD SECONDS READERS RATE ?SEED?
#
# One soak_writer publishes RATE snapshots a second, whose contents follow from their number (soak.h); READERS
# soak_readers wait, ask and compare.  Now and then (KILLS a second) a reader is killed and another started in its
# place; the first quarter of them is never killed.  Anything wrong that a process says, or that a process ends by
# itself, ends the run with exit code 1.
#
# FLAT.  After the first part of the time (WARM_PART) the never killed are looked at: private memory, descriptors,
# mappings; and the channel's reader slots.  They are looked at again at the end, and must not have grown.  Each
# look takes the median of several, as a connection that is just closed has less than others, and a large answer
# takes more.  What is allowed beyond that (SLACK) is far below what a leak at each of thousand turns comes to.
#
# The last lines are the figures.  Also sourced by soak.test, for the short form.

set soakhome [file dirname [file normalize [info script]]]
set soakroot [file dirname [file dirname $soakhome]]

namespace eval soak {
  variable KILLS 4
  variable WARM_PART 0.2
  variable LOOKS 12
  variable LOOK_MS 150
  # Private memory in KB, descriptors, mappings.
  variable SLACK {512 2 4}
  # As in soak.h.
  variable COUNTS {turns answers refusals opens timeouts sequence wrong late}
  variable MOST 1024
  variable pipes ;# number -> pipe
  variable killed ;# number -> 1 while its death is ours
  variable problems {}
  variable kills 0
  variable ending 0

  proc random {n} {expr {int(rand() * $n)}}

  proc start {number args} {
    variable pipes
    set pipe [open [list | {*}$args 2>@1] r]
    fconfigure $pipe -blocking 0
    fileevent $pipe readable [list [namespace current]::hear $number $pipe]
    set pipes($number) $pipe
  }

  # What a process says is a problem, and so is an end that was not asked for.
  proc hear {number pipe} {
    variable pipes; variable killed; variable problems; variable ending
    if {[gets $pipe line] >= 0} {
      if {[llength $problems] < 20} {lappend problems $line}
      return
    }
    if {![eof $pipe]} return
    fconfigure $pipe -blocking 1
    set bad [catch {close $pipe} message options]
    unset pipes($number)
    if {[info exists killed($number)]} {
      unset killed($number)
    } elseif {$bad} {
      lappend problems "process $number: $message"
    } elseif {!$ending} {
      lappend problems "process $number ended"
    }
  }

  proc reader {number} {
    variable argReader
    start $number {*}$argReader $number [random 1000000000]
  }

  # Kills a reader that may be, and starts another.
  proc killOne {} {
    variable pipes; variable killed; variable kills; variable readers; variable ending
    if {$ending} return
    set number [expr {1 + $readers/4 + [random [expr {$readers - $readers/4}]]}]
    if {[info exists pipes($number)]} {
      set killed($number) 1
      exec kill -KILL [pid $pipes($number)]
      while {[info exists pipes($number)]} {vwait [namespace current]::pipes}
      incr kills
      if {!$ending} {reader $number}
    }
  }

  proc killOften {} {
    variable KILLS; variable ending
    killOne
    if {!$ending} {after [expr {1 + [random [expr {2000 / $KILLS}]]}] [list [namespace current]::killOften]}
  }

  proc pause {ms} {
    after $ms [list set [namespace current]::paused 1]
    vwait [namespace current]::paused
  }

  # Until the time, or a problem.
  proc until {ms} {
    variable problems
    while {[clock milliseconds] < $ms && ![llength $problems]} {
      pause [expr {min(100, max(1, $ms - [clock milliseconds]))}]
    }
  }

  proc cost {pid} {
    set f [open /proc/$pid/status]
    regexp {RssAnon:\s+(\d+)} [read $f] -> memory
    close $f
    set f [open /proc/$pid/maps]
    set maps [llength [split [string trim [read $f]] \n]]
    close $f
    list $memory [llength [glob /proc/$pid/fd/*]] $maps
  }

  # {number {memory descriptors mappings} ...} of those that are never killed, the writer being number 0; the
  # medians of LOOKS looks.
  proc look {} {
    variable pipes; variable readers; variable LOOKS; variable LOOK_MS; variable problems
    for {set i 0} {$i < $LOOKS && ![llength $problems]} {incr i} {
      for {set n 0} {$n <= $readers/4} {incr n} {
        if {![info exists pipes($n)]} continue
        if {[catch {cost [pid $pipes($n)]} now]} continue
        foreach value $now what {0 1 2} {lappend all($n,$what) $value}
      }
      pause $LOOK_MS
    }
    set look {}
    for {set n 0} {$n <= $readers/4} {incr n} {
      if {![info exists all($n,0)]} continue
      dict set look $n [lmap what {0 1 2} {lindex [lsort -integer $all($n,$what)] [expr {[llength $all($n,$what)] / 2}]}]
    }
    return $look
  }

  # How many slots were ever claimed, how long P_readers is.
  proc slots {} {
    variable channel
    set f [open ${channel}_readers rb]
    binary scan [read $f 24] @16i used
    close $f
    list $used [file size ${channel}_readers]
  }

  proc counts {} {
    variable file; variable COUNTS; variable MOST
    set f [open $file rb]
    set all [read $f]
    close $f
    foreach name $COUNTS {set sum($name) 0}
    for {set n 0} {$n < $MOST} {incr n} {
      binary scan $all @[expr {$n * 8 * [llength $COUNTS]}]w[llength $COUNTS] values
      foreach name $COUNTS value $values {
        if {$n == 0} {set writer($name) $value} else {incr sum($name) $value}
      }
    }
    dict create publishes $writer(turns) replaced $writer(answers) waited_ms $writer(refusals) late_publishes $writer(late) \
      turns $sum(turns) answers $sum(answers) refusals $sum(refusals) opens $sum(opens) \
      timeouts $sum(timeouts) wrong [expr {$sum(wrong) + $writer(wrong)}]
  }

  # Until there are no more than so many processes, for a minute at most.
  proc waitEnd {n} {
    variable pipes
    set limit [expr {[clock milliseconds] + 60000}]
    while {[array size pipes] > $n && [clock milliseconds] < $limit} {pause 20}
  }

  # Figures and problems of a run, in a dict.
  proc run {build seconds n rate seed folder} {
    variable readers $n; variable ending 0; variable problems {}; variable kills 0; variable pipes
    variable argReader; variable channel; variable file; variable WARM_PART; variable SLACK; variable MOST
    variable LOOKS; variable LOOK_MS
    variable COUNTS
    array unset pipes; array set pipes {}
    expr {srand($seed)}
    set channel [file join $folder soak]
    set file [file join $folder counts]
    set f [open $file wb]
    puts -nonewline $f [string repeat \0 [expr {$MOST * 8 * [llength $COUNTS]}]]
    close $f
    set extension [file join $build mmapsync]
    set argReader [list [file join $build soak soak_reader] $extension $channel $file]
    start 0 [file join $build soak soak_writer] $extension $channel $file $rate
    while {![file exists ${channel}_readers] && ![llength $problems]} {pause 10}
    for {set i 1} {$i <= $readers && ![llength $problems]} {incr i} {reader $i}
    set begin [clock milliseconds]
    set end [expr {$begin + $seconds * 1000}]
    killOften
    until [expr {$begin + int($seconds * 1000 * $WARM_PART)}]
    set warm [look]
    set warmSlots [slots]
    set warmKills $kills
    until [expr {$end - $LOOKS * $LOOK_MS}]
    set late [look]
    set lateSlots [slots]
    set time [expr {([clock milliseconds] - $begin) / 1000.0}]
    # Readers first: a writer that has gone would leave them waiting for a second.
    set ending 1
    foreach group {reader writer} {
      foreach k [array names pipes] {
        if {($k != 0) == ($group eq "reader")} {catch {exec kill -TERM [pid $pipes($k)]}}
      }
      waitEnd [expr {$group eq "reader"}]
    }
    foreach k [array names pipes] {
      lappend problems "process $k did not end"
      catch {exec kill -KILL [pid $pipes($k)]}
    }
    # Not more than at first.
    set grown {0 0 0}
    set greatest {0 0 0}
    dict for {k cost} $late {
      if {![dict exists $warm $k]} continue
      set more [lmap a $cost b [dict get $warm $k] {expr {$a - $b}}]
      set grown [lmap a $grown b $more {expr {max($a, $b)}}]
      foreach m $more s $SLACK what {"KB of private memory" descriptors mappings} w [dict get $warm $k] {
        if {$m > $s} {lappend problems "process $k: $m $what more than the $w after the start"}
      }
    }
    lassign $warmSlots used bytes
    lassign $lateSlots used2 bytes2
    # A killed reader's slot is mostly found by the next, which asks about a few slots only; not one in four may
    # have been passed over.
    if {$used2 > $used + 4 + ($kills - $warmKills) / 4} {
      lappend problems "slots used: $used after the start, $used2 after $kills kills, $warmKills of them before that"
    }
    dict merge [counts] [dict create problems $problems kills $kills seconds $time warm $warm late $late \
      grown $grown slots [list $used $used2] bytes [list $bytes $bytes2] seed $seed readers $readers]
  }

  # Sums and greatest of a look, for people.
  proc summary {look} {
    set sum {0 0 0}
    set most {0 0 0}
    dict for {k cost} $look {
      if {$k == 0} continue
      set sum [lmap a $sum b $cost {expr {$a + $b}}]
      set most [lmap a $most b $cost {expr {max($a, $b)}}]
    }
    set writer [expr {[dict exists $look 0] ? [dict get $look 0] : {0 0 0}}]
    set n [expr {max(1, [dict size $look] - 1)}]
    format "readers (%d, mean, greatest) %d %d KB, %.1f %d descriptors, %.1f %d mappings; writer %d KB, %d, %d" $n \
      [expr {[lindex $sum 0] / $n}] [lindex $most 0] [expr {double([lindex $sum 1]) / $n}] [lindex $most 1] \
      [expr {double([lindex $sum 2]) / $n}] [lindex $most 2] {*}$writer
  }

  proc report {r} {
    dict with r {
      puts [format "%.0f s, %d readers, seed %s" $seconds $readers $seed]
      puts [format "publishes %d (%.1f/s), %d of them late, %d to a new file, %d ms of waiting for readers" $publishes \
        [expr {$publishes / $seconds}] ${late_publishes} $replaced $waited_ms]
      puts [format "turns %d (%.0f/s), answers %d, refusals as expected %d, wrong %d, waits without end %d" $turns \
        [expr {$turns / $seconds}] $answers $refusals $wrong $timeouts]
      puts "connections and handles opened $opens, readers killed $kills"
      puts "after the start: [summary $warm]"
      puts "at the end:      [summary $late]"
      puts "most that one process grew by: [lindex $grown 0] KB, [lindex $grown 1] descriptors, [lindex $grown 2] mappings"
      puts "reader slots used [lindex $slots 0], at the end [lindex $slots 1]; bytes [lindex $bytes 0], [lindex $bytes 1]"
      foreach p $problems {puts "! $p"}
    }
  }
}

if {[info exists argv0] && [file tail $argv0] eq "soak.tcl"} {
  encoding system utf-8
  if {[llength $argv] < 4 || [lindex $argv 1] < 5 || [lindex $argv 2] < 4 || [lindex $argv 2] > 1000} {
    puts stderr "usage: soak.tcl BUILD SECONDS READERS RATE ?SEED?    (5 seconds or more, 4 to 1000 readers)"
    exit 2
  }
  lassign $argv build seconds readers rate seed
  if {$seed eq ""} {set seed [expr {[clock microseconds] % 1000000007}]}
  set folder [file join [expr {[file writable /dev/shm] ? "/dev/shm" : "/tmp"}] mmapsync-soak-[pid]]
  file mkdir $folder
  set failed [catch {soak::run [file join $soakroot $build] $seconds $readers $rate $seed $folder} result]
  file delete -force $folder
  if {$failed} {
    puts "! $::errorInfo"
    exit 1
  }
  soak::report $result
  exit [expr {[llength [dict get $result problems]] > 0}]
}
