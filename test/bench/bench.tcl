# bench.tcl - runs the benchmark programs and lays out what they measured.
#
#     tclsh test/bench/bench.tcl BUILD [ROWS [ROUNDS]]
#
# BUILD holds mmapsync.so and bench/sqlbench, bench/corebench.  Writes BUILD/bench.json, with every
# single measurement.  A ratio is taken within a round, where the engines ran side by side, and is
# shown as the median over the rounds with the lowest and highest: below 1 the snapshot is faster.
# No time is judged here.  It fails when a program fails, which they do when results differ.

source [file join [file dirname [info script]] .. demo scratch.tcl]

set build [file normalize [lindex $argv 0]]
set rows [expr {[llength $argv] > 1 ? [lindex $argv 1] : 1000000}]
set rounds [expr {[llength $argv] > 2 ? [lindex $argv 2] : 5}]
if {[llength $argv] < 1 || ![string is integer -strict $rows] || $rows < 1
    || ![string is integer -strict $rounds] || $rounds < 1} {
  puts stderr "usage: tclsh bench.tcl BUILD \[ROWS \[ROUNDS\]\]"
  exit 2
}

# times($work,$engine) is the list of nanoseconds per operation, one a round; facts is a dict.
set facts {}

# Runs one program and takes in the lines that bench.h describes.
proc measure {args} {
  global times facts
  set pipe [open [list | {*}$args 2>@1] r]
  set other {}
  while {[gets $pipe line] >= 0} {
    set f [split $line \t]
    switch -- [lindex $f 0] {
      time {lappend times([lindex $f 1],[lindex $f 2]) [lindex $f 4]}
      fact {dict set facts [lindex $f 1] [lindex $f 2]}
      default {lappend other $line}
    }
  }
  if {[catch {close $pipe} why]} {
    error "[file tail [lindex $args 0]]: [expr {[llength $other] ? [join $other \n] : $why}]"
  }
}

# The ratios of one engine to another, round by round.
proc ratios {work engine other} {
  global times
  lmap a $times($work,$engine) b $times($work,$other) {expr {$a / $b}}
}

# "0.21 (0.20-0.24)"
proc spread {list} {
  set sorted [lsort -real $list]
  format "%.2f (%.2f-%.2f)" [scratch::median $list] [lindex $sorted 0] [lindex $sorted end]
}

proc ns {work engine} {
  scratch::time [scratch::median $::times($work,$engine)]
}

# Work, the snapshot's time, and for each other place its time and the ratio.
proc line {work what} {
  set row [format "%-19s %8s" $what [ns $work snapshot]]
  foreach other {wal memory} {
    append row [format " %8s %-16s" [ns $work $other] [spread [ratios $work snapshot $other]]]
  }
  puts [string trimright $row]
}

proc coreLine {work what engine other {ours mmapsync}} {
  puts [format "%-19s %8s %8s %-16s %s" $what [ns $work $ours] [ns $work $engine] \
      [spread [ratios $work $ours $engine]] $other]
}

# All of it as JSON: numbers and plain names only, so nothing needs quoting.
proc json {} {
  global times facts rows rounds
  foreach key [lsort [array names times]] {
    lassign [split $key ,] work engine
    dict lappend works $work "\"$engine\":\[[join $times($key) ,]\]"
  }
  set work [lmap {name engines} $works {set _ "    \"$name\":{[join $engines ,]}"}]
  set fact [lmap {name value} $facts {set _ "    \"$name\":$value"}]
  return [join [list \{ "  \"rows\":$rows," "  \"rounds\":$rounds," \
      "  \"facts\":{\n[join $fact ,\n]\n  }," "  \"ns\":{\n[join $work ,\n]\n  }" \}] \n]
}

proc main {} {
  global build rows rounds facts
  set bench [file join $build bench]
  set folder [scratch::make mmapsync-bench [expr {300000000 + $rows * 600}]]
  puts "[scratch::count $rows] rows x 5 columns, $rounds rounds, in [file dirname $folder]"
  measure [file join $bench sqlbench] [file join $build mmapsync.so] $folder $rows $rounds
  measure [file join $bench corebench] $folder [expr {$rounds + 2}]

  puts "median times; behind those of others the ratio snapshot / other (lowest-highest)\n"
  puts [format "%-19s %8s %8s %-16s %8s" "" snapshot "WAL file" "(mapped)" :memory:]
  line byid    "lookup, integer key"
  line bysku   "lookup, text key"
  line sum     "sum(price), a row"
  line scan    "all columns, a row"
  line publish "publish, a row"
  puts [format "%-19s %8s" "  first of channel" [ns publish1 snapshot]]
  puts "publishing stands beside CREATE TABLE AS and CREATE UNIQUE INDEX"

  dict with facts {
    puts [format "\n%-19s %8s; VACUUMed file %s, ratio %.2f" "image" \
        [scratch::bytes $image_bytes] [scratch::bytes $file_bytes] \
        [expr {double($image_bytes) / $file_bytes}]]
    set over [expr {$publisher_peak - $publisher_image}]
    puts [format "%-19s %8s; %s over the image (limit 64 MiB: %s)" \
        "publisher's peak" [scratch::bytes $publisher_peak] [scratch::bytes $over] \
        [expr {$over <= 64 << 20 ? "kept" : "BROKEN"}]]
  }

  puts "\nthe core alone, beside what is named on the right\n"
  foreach {ours what} {slot "read, by slot" counter "read, by counter" lock "read, by lock"} {
    coreLine read $what count "atomic add, subtract" $ours
    coreLine read2 "  two processes" count "the same, two processes" $ours
  }
  coreLine write36 "write 36 bytes" pwrite "pwrite()"
  coreLine write4K "write 4 KiB" memcpy "memcpy() to a mapped file"
  coreLine write1M "write 1 MiB" memcpy "the same"
  coreLine write64M "write 64 MiB" memcpy "the same"

  set out [open [file join $build bench.json] w]
  puts $out [json]
  close $out
}

set failed [catch main why]
scratch::end
if {$failed} {
  puts stderr "bench: $why"
  exit 1
}
