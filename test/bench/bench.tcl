# bench.tcl - runs the benchmark: measures, prints tables, keeps the numbers, draws charts.
#
#     tclsh test/bench/bench.tcl BUILD PART ... ?NAME=VALUE ...?
#
# BUILD holds the programs, in bench/.  The parts are
#
#     sql       the same questions to a snapshot, a WAL file, a file that is immutable, :memory: (sqlbench.c)
#     api       the C interface to a table, beside LMDB (apibench.c)
#     core      the synchronizer alone, beside system calls and memcpy() (corebench.c)
#     crate, readers, killed, memory
#               beside the mmap-sync crate, LMDB and private copies (peers.tcl)
#     fire      lookups while a writer never rests (firebench.c)
#
# and the settings, of which "" stands for what is said here,
#
#     extension   the one to measure in sql and fire; that of BUILD
#     rows        a list of sizes; 1000 100000 1000000
#     rounds      how often to measure; 5.  0: all is done once, for a test
#     cases       of sql, a glob pattern for the names in cases.c; *
#     places      of sql, beside what; snapshot,wal,immutable,memory
#     seconds     how long fire watches each of its four loads, in rounds of a second or less; 10
#     firerows    of what; 100000
#     megabytes   of the table in memory, if the machine carries it; 500
#     crate       the program of the crate; build/crate/release/cratebench
#     cc          the compiler that BUILD was made with, to tell it; gcc
#
# Writes BUILD/bench.json, with every single measurement (measured.tcl), and, if gnuplot is there, charts beside it.
# No time is judged here but by words: a row says so where the snapshot is slower than :memory:, or misses a goal, and
# the last line counts those.  It fails when a program fails, which they do when the places give different answers.

set home [file dirname [file normalize [info script]]]
foreach file {measured tables peers charts} {source [file join $home $file.tcl]}

set known {sql api core crate readers killed memory fire}
array set opt {
  extension "" rows "1000 100000 1000000" rounds 5 cases * places snapshot,wal,immutable,memory seconds 10
  firerows 100000 megabytes 500 crate "" cc gcc
}

proc usage {} {
  puts stderr "usage: tclsh bench.tcl BUILD PART ... ?NAME=VALUE ...?, with parts of: $::known"
  exit 2
}

set parts {}
foreach word [lrange $argv 1 end] {
  if {[regexp {^(\w+)=(.*)$} $word -> name value]} {
    if {![info exists opt($name)]} usage
    if {$value ne ""} {set opt($name) $value}
  } elseif {$word in $known} {
    lappend parts $word
  } else {
    usage
  }
}
set build [file normalize [lindex $argv 0]]
if {[llength $argv] < 2 || ![llength $parts]} usage
foreach {name least} {rounds 0 firerows 1 megabytes 1} {
  if {![string is integer -strict $opt($name)] || $opt($name) < $least} usage
}
if {![string is double -strict $opt(seconds)] || $opt(seconds) <= 0 || ![llength $opt(rows)]} usage
foreach rows $opt(rows) {
  if {![string is integer -strict $rows] || $rows < 1} usage
}
set out [expr {[info exists env(MMAPSYNC_BENCH_OUT)] ? $env(MMAPSYNC_BENCH_OUT) : $build}] ;# where results go
if {$opt(extension) eq ""} {set opt(extension) [file join $build mmapsync.so]}
set opt(extension) [file normalize $opt(extension)]
set peers::build $build
set peers::crate [expr {$opt(crate) eq "" ? [file join $home .. .. build crate release cratebench] : $opt(crate)}]

proc program {name} {file join $::build bench $name}

proc section {title lines} {
  puts "\n---- $title\n"
  foreach line $lines {puts $line}
}

# Of all sizes, one after the other, since both take a file that sqlbench makes.
proc tablesPart {folder parts} {
  global opt
  foreach rows $opt(rows) {
    set cases [expr {"sql" in $parts ? $opt(cases) : "publish.memory"}]
    measured::run $rows [program sqlbench] $opt(extension) $folder $rows $opt(rounds) $cases $opt(places)
    # The C interface is of this build, for it is linked into the program.
    if {"api" in $parts} {
      measured::run $rows [program apibench] [file join $::build mmapsync.so] $folder $rows $opt(rounds)
    }
    file delete -force {*}[glob -directory $folder *]
    if {"sql" in $parts} {section "[scratch::count $rows] rows" [tables::sql $rows]}
  }
  if {"sql" in $parts} {
    section "ratios: below 1 the snapshot is faster, * where it is slower than :memory:" [tables::summary $opt(rows)]
  }
  if {"api" in $parts} {section "the C interface to a table, without SQLite" [tables::api $opt(rows)]}
}

proc firePart {folder} {
  global opt
  set rounds [expr {max(1, int(ceil($opt(seconds))))}]
  set millis [expr {max(1, int($opt(seconds) * 1000 / $rounds))}]
  measured::fact fire millis $millis
  measured::fact fire rows $opt(firerows)
  measured::run fire [program firebench] $opt(extension) $folder $opt(firerows) $rounds $millis
  section "one process looks up rows by integer key, another rewrites all [scratch::count $opt(firerows)]\
      (9 columns, 4 keys); [exec nproc] processors" [concat [tables::fire] [tables::fireGoals]]
}

proc partRun {part folder} {
  global opt
  switch -- $part {
    core {
      measured::run core [program corebench] $folder [expr {$opt(rounds) ? $opt(rounds) + 2 : 1}]
      section "the synchronizer alone, beside what is named on the right" [tables::core]
    }
    crate {
      peers::crate $folder $opt(rounds)
      if {[measured::has crate 36.raw crate]} {section "beside the mmap-sync crate" [tables::crate]}
    }
    readers {
      peers::readers $folder $opt(rounds)
      section "readers at once, processor time of a read" [tables::readers]
    }
    killed {
      peers::killed $folder $opt(rounds)
      section "a reader is killed while it is in, with a grace time of 1 s" [tables::killed]
    }
    memory {
      peers::memory $folder $opt(extension) [peers::megabytes $opt(megabytes)]
      section "memory" [tables::memory]
    }
    fire {firePart $folder}
  }
  file delete -force {*}[glob -nocomplain -directory $folder *]
}

proc room {} {
  global opt
  set most [lindex [lsort -integer $opt(rows)] end]
  set room [expr {300000000 + $most * 3000}]
  if {"fire" in $::parts} {set room [expr {max($room, 500000000 + $opt(firerows) * 3000)}]}
  if {"memory" in $::parts} {set room [expr {max($room, [peers::megabytes $opt(megabytes)] * 5000000)}]}
  return $room
}

proc main {} {
  global parts out
  global opt
  set folder [scratch::make mmapsync-bench [room]]
  measured::machine $opt(cc)
  measured::fact run rounds $opt(rounds)
  puts [join [tables::machine] \n]
  puts "$opt(rounds) rounds (fewer where one is slow), in [file dirname $folder]; median times, and behind those of"
  puts "others the ratio ours / other (lowest-highest): below 1 ours is faster"
  if {"sql" in $parts || "api" in $parts} {tablesPart $folder $parts}
  foreach part $parts {partRun $part $folder}
  if {[lindex [tables::tally] 0]} {section goals [tables::goals]}
  measured::save [file join $out bench.json]
  charts::all $out
  if {"sql" in $parts} {puts "\n[tables::verdict $opt(rows)]"}
}

set failed [catch main why]
catch {peers::end}
scratch::end
if {$failed} {
  puts stderr "bench: $why"
  if {[info exists env(MMAPSYNC_BENCH_TRACE)]} {puts stderr $errorInfo}
  exit 1
}
