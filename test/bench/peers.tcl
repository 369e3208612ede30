# peers.tcl - several processes that do what they are told, in turns: us beside the mmap-sync crate and LMDB.
#
# peerbench.c says what they can be told.  Each is a process of its own, with nothing of another's in it, and lives as
# long as it is needed.  Within a round they are asked one after the other (A B, then B A), so that what disturbs the
# machine disturbs all of them.  The parts:
#
#     crate     write, write_raw, read without and with a check, of payloads from 36 bytes to 64 MiB, in one process
#     readers   1, 2, 4 and 8 processes at once that enter and leave reads of one snapshot; time is processor time a
#               read, the mean of all of them.  They are spread over the processors
#     killed    a reader is killed while it is in; how long the next write to that file takes, by the clock.  That file
#               is the one after the next, so two are made, and the longer counts
#     memory    what one more reader process takes, of a table that is much larger than what it needs otherwise
#
# A peer that cannot be had is left out, with a line that says why.

namespace eval peers {
  variable build "" ;# where the programs are, in bench/
  variable crate "" ;# the program of the crate
  variable worker ;# by name: {pipe pid}
  array set worker {}
}

# ---- processes ------------------------------------------------------------------------------------

proc peers::start {name args} {
  variable worker
  set pipe [open [list | {*}$args 2>@stderr] r+]
  fconfigure $pipe -buffering line
  set worker($name) [list $pipe [pid $pipe]]
}

proc peers::tell {name args} {puts [lindex $::peers::worker($name) 0] $args}

# {nanoseconds operations}, of what it was told last.
proc peers::answer {name} {
  if {[gets [lindex $::peers::worker($name) 0] line] < 0} {
    catch {close [lindex $::peers::worker($name) 0]} why
    error "$name ended early: $why"
  }
  return $line
}

# Nanoseconds per operation.
proc peers::ask {name args} {
  tell $name {*}$args
  lassign [answer $name] ns ops
  expr {double($ns) / $ops}
}

proc peers::stop {names} {
  variable worker
  foreach name $names {
    close [lindex $worker($name) 0]
    unset worker($name)
  }
}

# Kills one, and waits until it is gone.
proc peers::kill {name} {
  variable worker
  lassign $worker($name) pipe pid
  exec kill -9 $pid
  catch {close $pipe}
  unset worker($name)
  if {[file exists /proc/$pid]} {error "$name does not die"}
}

proc peers::end {} {stop [array names ::peers::worker]}

# The command line of a peer; why it cannot be had, or "".
proc peers::command {kind folder} {
  variable build
  variable crate
  expr {$kind eq "crate" ? [list $crate $folder] : [list [file join $build bench peerbench] $kind $folder]}
}
proc peers::missing {kind folder} {
  variable crate
  if {$kind eq "crate" && ![file executable $crate]} {
    return "the crate was not built: cargo is missing, or could not fetch it"
  }
  if {[catch {exec {*}[command $kind $folder] << "" 2>@1} why]} {return [lindex [split $why \n] 0]}
  return ""
}

# Those that can be had, of some.
proc peers::there {kinds folder} {
  lmap kind $kinds {
    set why [missing $kind $folder]
    if {$why ne ""} {
      if {$kind eq "mmapsync"} {error $why}
      puts "without $kind: $why"
      continue
    }
    set kind
  }
}

# What starts a program on the i-th of the processors that we may use, if that can be had: so that two of them are not
# put on one while the other rests.
proc peers::on {i} {
  set list {}
  if {[regexp {list: (\S+)} [measured::said taskset -cp [pid]] -> ranges]} {
    foreach range [split $ranges ,] {
      lassign [split $range -] from to
      for {set n $from} {$n <= ($to eq "" ? $from : $to)} {incr n} {lappend list $n}
    }
  }
  expr {[llength $list] ? [list taskset -c [lindex $list [expr {$i % [llength $list]}]]] : {}}
}

# A list in one order in even rounds and in the other in odd ones.
proc peers::turn {round list} {expr {$round % 2 ? [lreverse $list] : $list}}

# ---- the parts --------------------------------------------------------------------------------------

# How often in a round, by payload and work: about 100 ms of it.  With 0 rounds all is done once, for a test.
proc peers::crate {folder rounds} {
  set kinds [there {mmapsync crate} $folder]
  foreach kind $kinds {start $kind {*}[command $kind $folder]}
  foreach {size what raw} {36 "36 bytes" 300000 4096 "4 KiB" 40000 1048576 "1 MiB" 400 67108864 "64 MiB" 6} {
    foreach {work title often} [list write "write, %s" $raw raw "write_raw, %s" $raw \
        read "read, %s" 2000000 checked "read, checked, %s" 500000 view "read, a view to keep, %s" 2000000] {
      measured::title crate $size.$work [format $title $what]
      if {!$rounds} {set often 4}
      # The crate has one way to read.
      set as [dict create mmapsync $work crate [expr {$work eq "view" ? "read" : $work}]]
      foreach kind $kinds {ask $kind [dict get $as $kind] $size [expr {max(4, $often / 10)}]} ;# warms up
      for {set round 0} {$round < max(1, $rounds)} {incr round} {
        foreach kind [turn $round $kinds] {
          measured::add crate $size.$work $kind [ask $kind [dict get $as $kind] $size $often]
        }
      }
    }
  }
  stop $kinds
}

proc peers::readers {folder rounds} {
  set kinds [there {mmapsync crate lmdb} $folder]
  set millis [expr {$rounds ? 250 : 1}]
  foreach kind $kinds {
    start $kind-0 {*}[on 0] {*}[command $kind $folder]
    if {$kind ne "lmdb"} {ask $kind-0 raw 36 10}
    for {set i 1} {$i < 8} {incr i} {start $kind-$i {*}[on $i] {*}[command $kind $folder]}
    for {set i 0} {$i < 8} {incr i} {ask $kind-$i spin 1}
  }
  foreach many {1 2 4 8} {
    measured::title readers $many "a read, $many process[expr {$many > 1 ? {es} : {}}] at once"
    for {set round 0} {$round < max(1, $rounds)} {incr round} {
      foreach kind [turn $round $kinds] {
        for {set i 0} {$i < $many} {incr i} {tell $kind-$i spin $millis}
        set ns 0
        set ops 0
        for {set i 0} {$i < $many} {incr i} {
          lassign [answer $kind-$i] spent done
          incr ns $spent
          incr ops $done
        }
        measured::add readers $many $kind [expr {double($ns) / $ops}]
      }
    }
  }
  end
}

proc peers::killed {folder rounds} {
  set kinds [there {mmapsync crate} $folder]
  measured::title killed write "the write after a reader was killed"
  foreach kind $kinds {
    start $kind {*}[command $kind $folder]
    ask $kind raw 36 10
  }
  for {set round 0} {$round < max(1, $rounds)} {incr round} {
    foreach kind [turn $round $kinds] {
      start holder {*}[command $kind $folder]
      ask holder hold
      kill holder
      set first [ask $kind once 1000]
      measured::add killed write $kind [expr {max($first, [ask $kind once 1000])}]
    }
  }
  stop $kinds
}

# Bytes of a process, by the kernel's words for them.
proc peers::smaps {name} {
  set text [measured::content /proc/[lindex $::peers::worker($name) 1]/smaps_rollup]
  foreach {- word kb} [regexp -all -inline {(\w+):\s+(\d+) kB} $text] {dict set all $word [expr {$kb * 1024}]}
  if {![info exists all]} {error "/proc/.../smaps_rollup: cannot be read"}
  return $all
}

proc peers::memory {folder extension megabytes} {
  variable build
  set program [file join $build bench memorybench]
  measured::run memory $program make $extension $folder $megabytes
  measured::title memory private "private memory of a further reader"
  measured::title memory added "what it adds to the share of all"
  set sum ""
  foreach place {snapshot immutable wal cache memory} {
    set before 0
    for {set i 0} {$i < 4} {incr i} {
      start reader-$i $program $place $extension $folder
      set answer [answer reader-$i]
      if {$sum eq ""} {set sum $answer}
      if {$answer ne $sum} {error "memory: $place has another sum: $answer, not $sum"}
      set all 0
      for {set k 0} {$k <= $i} {incr k} {incr all [dict get [smaps reader-$k] Pss]}
      if {$i} { # one more
        set mine [smaps reader-$i]
        measured::add memory private $place [expr {[dict get $mine Private_Clean] + [dict get $mine Private_Dirty]}]
        measured::add memory added $place [expr {$all - $before}]
      }
      set before $all
    }
    end
  }
}

# Megabytes of a table that the machine carries four times over in private copies, with its files: at most `most`.
proc peers::megabytes {most} {
  regexp -line {^MemAvailable:\s*(\d+)} [measured::content /proc/meminfo] -> kb
  expr {min($most, $kb / 10 / 1024)}
}
