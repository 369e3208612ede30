# bench.tcl - runs the benchmark programs and lays out what they measured.
#
#     tclsh test/bench/bench.tcl BUILD [EXTENSION [ROWS [ROUNDS [CASES]]]]
#
# BUILD holds the programs, in bench/.  EXTENSION is the one to measure ("": that of BUILD), ROWS a list of
# sizes, ROUNDS how often to measure (0: ask once, for a test), CASES a glob pattern for the names of cases,
# which are those in cases.c.  Writes BUILD/bench.json, with every single measurement.
#
# A ratio is taken within a round, where the places were asked in turns, and is shown as the median over the
# rounds with the lowest and highest: below 1 the snapshot is faster.  No time is judged here but by words:
# a row says so where the snapshot is slower than :memory:, or misses a goal, and the last line counts those.
# It fails when a program fails, which they do when the places give different answers.

source [file join [file dirname [info script]] .. demo scratch.tcl]

lassign $argv build extension sizes rounds cases
if {$sizes eq ""} {set sizes {1000 100000 1000000}}
if {$rounds eq ""} {set rounds 5}
if {$cases eq ""} {set cases *}
set wrong [expr {$build eq "" || [llength $argv] > 5 || ![string is integer -strict $rounds] || $rounds < 0}]
foreach rows $sizes {
  if {![string is integer -strict $rows] || $rows < 1} {set wrong 1}
}
if {$wrong} {
  puts stderr "usage: tclsh bench.tcl BUILD \[EXTENSION \[ROWS \[ROUNDS \[CASES\]\]\]\]"
  exit 2
}
set build [file normalize $build]
set out [expr {[info exists env(MMAPSYNC_BENCH_OUT)] ? $env(MMAPSYNC_BENCH_OUT) : $build}] ;# where results go
set extension [expr {$extension eq "" ? [file join $build mmapsync.so] : [file normalize $extension]}]

# What was aimed at with a million rows: at most so many times a WAL file's time, and :memory:'s.
set goals {
  get.int {0.22 0.60} get.text {0.25 0.70} scan.sum {- 0.75} scan.wide {- 1.00} filter.1 {- 0.08}
  publish.stock {- 1.00}
}

# times($rows,$work,$place) is the list of nanoseconds per operation, one a round; title($work); works($rows)
# the works in order; facts($rows) is a dict.  The synchronizer's own works stand under rows "core".
array set works {}

# Runs one program and takes in the lines that bench.h describes.
proc measure {rows args} {
  global times title works facts
  set pipe [open [list | {*}$args 2>@1] r]
  set other {}
  while {[gets $pipe line] >= 0} {
    set f [split $line \t]
    switch -- [lindex $f 0] {
      case {
        set title([lindex $f 1]) [lindex $f 2]
        lappend works($rows) [lindex $f 1]
      }
      time {lappend times($rows,[lindex $f 1],[lindex $f 2]) [lindex $f 4]}
      fact {dict set facts($rows) [lindex $f 1] [lindex $f 2]}
      default {lappend other $line}
    }
  }
  if {[catch {close $pipe} why]} {
    error "[file tail [lindex $args 0]]: [expr {[llength $other] ? [join $other \n] : $why}]"
  }
}

# ---- numbers ------------------------------------------------------------------------------------

# The ratios of one engine to another, round by round; their median.
proc ratios {rows work engine other} {
  global times
  lmap a $times($rows,$work,$engine) b $times($rows,$work,$other) {expr {$a / $b}}
}
proc ratio {rows work other} {scratch::median [ratios $rows $work snapshot $other]}

# A ratio with about three digits.
proc digits {x} {format [expr {$x < 0.0995 ? "%.3f" : $x < 99.5 ? "%.2f" : "%.0f"}] $x}

# "0.21 (0.20-0.24)"
proc spread {list} {
  set sorted [lsort -real $list]
  return "[digits [scratch::median $list]] ([digits [lindex $sorted 0]]-[digits [lindex $sorted end]])"
}

proc ns {rows work engine} {
  scratch::time [scratch::median $::times($rows,$work,$engine)]
}

proc slower {rows work} {
  expr {[info exists ::times($rows,$work,memory)] && [ratio $rows $work memory] > 1}
}

# The goals of a work that are missed, in words.
proc missed {rows work} {
  global goals
  if {$rows != 1000000 || ![dict exists $goals $work]} {return {}}
  lmap other {wal memory} name {WAL :memory:} goal [dict get $goals $work] {
    if {$goal eq "-" || [ratio $rows $work $other] <= $goal} continue
    set _ "$name $goal"
  }
}

# ---- layout ---------------------------------------------------------------------------------------

# Work, the snapshot's time, and for each other place its time and the ratio.
proc line {rows work} {
  global times title
  set row [format "%-40s %8s" $title($work) [ns $rows $work snapshot]]
  foreach other {wal memory} {
    if {![info exists times($rows,$work,$other)]} continue
    append row [format " %8s %-19s" [ns $rows $work $other] \
        [spread [ratios $rows $work snapshot $other]]]
  }
  set row [string trimright $row]
  if {[slower $rows $work]} {append row "  SLOWER"}
  if {[llength [missed $rows $work]]} {append row "  MISSED: [join [missed $rows $work] {, }]"}
  puts $row
}

proc sqlLines {rows} {
  global works facts
  puts "\n---- [scratch::count $rows] rows"
  puts [format "%-40s %8s %8s %-19s %8s" "" snapshot "WAL file" "(mapped)" :memory:]
  foreach work $works($rows) {
    if {![string match api.* $work]} {line $rows $work}
  }
  if {[llength [lsearch -all -glob $works($rows) publish*]]} {
    puts "publishing stands beside CREATE TABLE AS and CREATE INDEX"
  }
  dict with facts($rows) {
    puts "image [scratch::bytes $image_bytes], VACUUMed file with the same indexes\
        [scratch::bytes $file_bytes]: ratio [digits [expr {double($image_bytes) / $file_bytes}]]"
    if {[info exists publisher_peak]} {
      set over [expr {$publisher_peak - $publisher_image}]
      puts "publisher's peak [scratch::bytes $publisher_peak], [scratch::bytes $over] over the image\
          (limit 64 MiB: [expr {$over <= 64 << 20 ? "kept" : "BROKEN"}])"
    }
  }
}

# The ratios of all sizes side by side.
proc summary {} {
  global sizes works title times
  puts "\n---- ratios: below 1 the snapshot is faster, * where it is slower than :memory:\n"
  set head [format "%-40s" ""]
  foreach rows $sizes {append head [format "%19s" "[scratch::count $rows] rows"]}
  puts $head
  puts [format "%-40s%s" "" [string repeat "      WAL  :memory:" [llength $sizes]]]
  foreach work $works([lindex $sizes 0]) {
    if {![info exists times([lindex $sizes 0],$work,memory)]} continue
    set row [format "%-40s" $title($work)]
    foreach rows $sizes {
      append row [format "%9s%9s%1s" [digits [ratio $rows $work wal]] [digits [ratio $rows $work memory]] \
          [expr {[slower $rows $work] ? "*" : ""}]]
    }
    puts [string trimright $row]
  }
}

proc apiLines {} {
  global sizes works title
  puts "\n---- the C interface to a table, without SQLite\n"
  set head [format "%-40s" ""]
  foreach rows $sizes {append head [format "%16s" "[scratch::count $rows] rows"]}
  puts $head
  foreach work [lsearch -all -inline -glob $works([lindex $sizes 0]) api.*] {
    set row [format "%-40s" $title($work)]
    foreach rows $sizes {append row [format "%16s" [ns $rows $work api]]}
    puts $row
  }
}

proc coreLine {work what engine other {ours mmapsync}} {
  puts [format "%-40s %8s %8s %-19s %s" $what [ns core $work $ours] [ns core $work $engine] \
      [spread [ratios core $work $ours $engine]] $other]
}

proc coreLines {} {
  puts "\n---- the synchronizer alone, beside what is named on the right\n"
  foreach {ours what} {slot "read, by slot" counter "read, by counter" lock "read, by lock"} {
    coreLine read $what count "atomic add, subtract" $ours
    coreLine read2 "  two processes" count "the same, two processes" $ours
  }
  coreLine write36 "write 36 bytes" pwrite "pwrite()"
  coreLine write4K "write 4 KiB" memcpy "memcpy() to a mapped file"
  coreLine write1M "write 1 MiB" memcpy "the same"
  coreLine write64M "write 64 MiB" memcpy "the same"
}

# The last line.
proc verdict {} {
  global sizes works times
  set all 0
  set slow 0
  set miss {}
  foreach rows $sizes {
    foreach work $works($rows) {
      if {![info exists times($rows,$work,memory)]} continue
      incr all
      incr slow [slower $rows $work]
      lappend miss {*}[missed $rows $work]
    }
  }
  puts "\n$slow of $all rows are slower than :memory:; [llength $miss] goals missed"
}

# All of it as JSON: numbers and plain names only, so nothing needs quoting.
proc json {} {
  global times facts rounds
  set all {}
  foreach key [lsort [array names times]] {
    lassign [split $key ,] rows work place
    dict lappend all "$rows,$work" "\"$place\":\[[join $times($key) ,]\]"
  }
  set ns [dict map {key places} $all {
    lassign [split $key ,] rows work
    set _ "    {\"rows\":\"$rows\",\"work\":\"$work\",[join $places ,]}"
  }]
  set fact {}
  foreach rows [array names facts] {
    lappend fact "    \"$rows\":{[join [lmap {name value} $facts($rows) {set _ "\"$name\":$value"}] ,]}"
  }
  return [join [list \{ "  \"rounds\":$rounds," "  \"facts\":{\n[join $fact ,\n]\n  }," \
      "  \"ns\":\[\n[join [dict values $ns] ,\n]\n  \]" \}] \n]
}

proc main {} {
  global build out extension sizes rounds cases works
  set bench [file join $build bench]
  set most [lindex [lsort -integer $sizes] end]
  set folder [scratch::make mmapsync-bench [expr {300000000 + $most * 1000}]]
  puts "$rounds rounds (fewer where one is slow), in [file dirname $folder]; median times, and behind those of"
  puts "others the ratio snapshot / other (lowest-highest): below 1 the snapshot is faster"
  foreach rows $sizes {
    set works($rows) {}
    measure $rows [file join $bench sqlbench] $extension $folder $rows $rounds $cases
    if {$cases eq "*"} {
      # Of this build, for it is linked into the program.
      measure $rows [file join $bench apibench] [file join $build mmapsync.so] $folder $rows $rounds
    }
    file delete {*}[glob -directory $folder *]
    sqlLines $rows
  }
  summary
  if {$cases eq "*"} {
    apiLines
    measure core [file join $bench corebench] $folder [expr {$rounds ? $rounds + 2 : 1}]
    coreLines
  }
  verdict
  set f [open [file join $out bench.json] w]
  puts $f [json]
  close $f
}

set failed [catch main why]
scratch::end
if {$failed} {
  puts stderr "bench: $why"
  exit 1
}
