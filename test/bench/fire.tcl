# fire.tcl - lookups while a writer never rests: runs firebench, prints percentiles, draws the picture.
#
#     tclsh test/bench/fire.tcl BUILD [EXTENSION [SECONDS [ROWS]]]
#
# BUILD holds bench/firebench; EXTENSION is the one to measure ("": that of BUILD); each of the four loads is
# watched for SECONDS (default 10), in rounds of a second or less.  firebench.c says what they are and what a
# time holds.  Writes BUILD/fire.dat, the four distributions, and, if gnuplot is there, BUILD/fire.svg.
# No time is judged here but by words.

source [file join [file dirname [info script]] .. demo scratch.tcl]

lassign $argv build extension seconds rows
if {$seconds eq ""} {set seconds 10}
if {$rows eq ""} {set rows 100000}
if {$build eq "" || [llength $argv] > 4 || ![string is double -strict $seconds] || $seconds <= 0
    || ![string is integer -strict $rows] || $rows < 1} {
  puts stderr "usage: tclsh fire.tcl BUILD \[EXTENSION \[SECONDS \[ROWS\]\]\]"
  exit 2
}
set build [file normalize $build]
set out [expr {[info exists env(MMAPSYNC_BENCH_OUT)] ? $env(MMAPSYNC_BENCH_OUT) : $build}] ;# where results go
set extension [expr {$extension eq "" ? [file join $build mmapsync.so] : [file normalize $extension]}]
set rounds [expr {max(1, int(ceil($seconds)))}]
set millis [expr {max(1, int($seconds * 1000 / $rounds))}]

set loads {
  snapshot.quiet "snapshot, no writer"
  snapshot.fire  "snapshot, writer never rests"
  wal.quiet      "WAL file, no writer"
  wal.fire       "WAL file, writer never rests"
}

# hist($load) is a list of nanoseconds and lookups in turns, rising; per($quantile,$load) the values of the
# rounds; sum($name) a fact, added up.
proc measure {args} {
  global hist per sum
  set pipe [open [list | {*}$args 2>@1] r]
  set other {}
  while {[gets $pipe line] >= 0} {
    set f [split $line \t]
    switch -- [lindex $f 0] {
      hist {lappend hist([lindex $f 1].[lindex $f 2]) [lindex $f 3] [lindex $f 4]}
      time {lappend per([lindex $f 1],[lindex $f 2]) [lindex $f 4]}
      fact {incr sum([lindex $f 1]) [lindex $f 2]}
      default {lappend other $line}
    }
  }
  if {[catch {close $pipe} why]} {
    error "[file tail [lindex $args 0]]: [expr {[llength $other] ? [join $other \n] : $why}]"
  }
}

proc lookups {load} {
  set n 0
  foreach {ns count} $::hist($load) {incr n $count}
  return $n
}

# The time that all but one of `of` lookups keep to, over all rounds.
proc quantile {load of} {
  set late 0
  foreach {count ns} [lreverse $::hist($load)] {
    incr late $count
    if {$late * $of >= [lookups $load]} {return $ns}
  }
}

proc table {} {
  global loads per sum millis
  puts [format "%-29s %8s %8s %8s %8s %8s %8s %11s %9s" "" p50 p99 p99.9 max p99.9* max* lookups rewrites/s]
  dict for {load what} $loads {
    set written ""
    regsub {\..*} $load {} place
    if {[string match *.fire $load]} {
      set written [format %.1f [expr {$sum($place.written) * 1000.0 / ($millis * [llength $per(max,$load)])}]]
    }
    puts [string trimright [format "%-29s %8s %8s %8s %8s %8s %8s %11s %9s" $what \
        {*}[lmap of {2 100 1000} {scratch::time [quantile $load $of]}] [scratch::time [most max $load]] \
        [scratch::time [scratch::median $per(p99.9*,$load)]] [scratch::time [most max* $load]] \
        [scratch::count [lookups $load]] $written]]
  }
  puts "* of lookups during which the scheduler did not give the processor to somebody else"
}

proc most {quantile load} {lindex [lsort -real $::per($quantile,$load)] end}

# "1.2 (1.1-1.4), goal 1.5: kept"
proc beside {quantile load other goal} {
  global per
  set r [lmap a $per($quantile,$load) b $per($quantile,$other) {expr {$a / $b}}]
  set sorted [lsort -real $r]
  set m [scratch::median $r]
  return [format "%.2f (%.2f-%.2f), goal %s: %s" $m [lindex $sorted 0] [lindex $sorted end] $goal \
      [expr {$m <= $goal ? "kept" : "MISSED"}]]
}

# One block a load, named by a comment: 1/(1-p) and the nanoseconds that the part p of all lookups keeps to.
proc writeData {file} {
  global loads hist
  set out [open $file w]
  foreach load [dict keys $loads] {
    puts $out "# $load"
    set all [lookups $load]
    set before 0
    foreach {ns count} $hist($load) {
      # What is at least as slow as the first of this cell: a step, drawn at its upper end.
      if {$before + $count < $all} {
        puts $out "[expr {double($all) / ($all - $before - $count)}] $ns"
      } else {
        puts $out "$all $ns"
      }
      incr before $count
    }
    puts $out "\n"
  }
  close $out
}

proc draw {data svg} {
  global rows
  set plot [open [list | gnuplot 2>@1] w+]
  puts $plot [string map [list %DATA $data %SVG $svg %ROWS [scratch::count $rows]] {
    set terminal svg size 960,600 font "sans-serif,15" background "#ffffff"
    set output "%SVG"
    set title "Lookups by key in %ROWS rows, while a writer rewrites them all without pause" font ",18"
    set xlabel "share of lookups that take no longer"
    set ylabel "time of a lookup"
    set logscale xy
    set xrange [1.05:*]
    set xtics ("50 %%" 2, "90 %%" 10, "99 %%" 100, "99.9 %%" 1000, "99.99 %%" 10000, \
      "99.999 %%" 100000, "99.9999 %%" 1000000)
    set ytics ("100 ns" 1e2, "1 µs" 1e3, "10 µs" 1e4, "100 µs" 1e5, "1 ms" 1e6, "10 ms" 1e7, "100 ms" 1e8, \
      "1 s" 1e9)
    set mytics 10
    set grid xtics ytics linecolor "#d8d8d8" linewidth 1
    set border 3 linecolor "#606060"
    set tics nomirror
    set key top left reverse Left samplen 3
    plot "%DATA" index "wal.fire" with lines linewidth 3 linecolor "#d55e00" title "WAL file, writer never rests", \
      "" index "wal.quiet" with lines linewidth 2 dashtype 2 linecolor "#d55e00" title "WAL file, no writer", \
      "" index "snapshot.fire" with lines linewidth 3 linecolor "#0072b2" title "snapshot, writer never rests", \
      "" index "snapshot.quiet" with lines linewidth 2 dashtype 2 linecolor "#0072b2" title "snapshot, no writer"
  }]
  close $plot w
  set said [string trim [read $plot]]
  if {[catch {close $plot} why]} {error "gnuplot: [expr {$said eq {} ? $why : $said}]"}
  if {$said ne ""} {puts $said}
}

proc main {} {
  global build out extension rows rounds millis sum
  set gnuplot [expr {[auto_execok gnuplot] ne ""}]
  if {!$gnuplot} {puts "gnuplot is missing, so there will be no picture; `make bench-deps` installs it\n"}
  set folder [scratch::make mmapsync-fire [expr {500000000 + $rows * 3000}]]
  puts "one process looks up rows by integer key, another rewrites all [scratch::count $rows] (9 columns, 4 keys);"
  puts "$rounds rounds of $millis ms for each load, in [file dirname $folder], [exec nproc] processors\n"
  measure [file join $build bench firebench] $extension $folder $rows $rounds $millis
  table
  foreach quantile {p99.9 p99.9*} {
    puts "\n$quantile of the snapshot under fire, median of the rounds (lowest-highest):"
    puts "  beside no writer      [beside $quantile snapshot.fire snapshot.quiet 1.5]"
    puts "  beside WAL under fire [beside $quantile snapshot.fire wal.fire 0.25]"
  }
  if {[info exists sum(wal.log_bytes)]} {puts "WAL's log grew to [scratch::bytes $sum(wal.log_bytes)]"}
  set data [file join $out fire.dat]
  writeData $data
  if {$gnuplot} {
    set svg [file join $out fire.svg]
    draw $data $svg
    puts "\npicture: $svg"
  }
}

set failed [catch main why]
scratch::end
if {$failed} {
  puts stderr "bench-fire: $why"
  exit 1
}
