# readme.tcl - puts what was measured into the README: its tables, and its chart.
#
#     tclsh test/bench/readme.tcl BUILD [README [CHART]]
#
# BUILD/bench.json is what `make bench-full` has left there; README and CHART are README.md and test/bench/readme.svg
# of this tree.  A table of the README is what stands between two comments,
#
#     <!-- make readme-bench: NAME -->
#     ...
#     <!-- end -->
#
# and nobody writes there by hand.  What is around them is text, and speaks of no number that changes.

set home [file dirname [file normalize [info script]]]
foreach file {measured tables charts} {source [file join $home $file.tcl]}

# Of the cases in cases.c, some of each kind, and those where a snapshot is slower.
set works {
  publish.items publish.stock get.int get.text get.wide get.anew in.int10 in.text1000 range.int range.index order.index
  scan.count scan.sum scan.wide min.index filter.1 filter.50 filter.text filter.like filter.null count.1 group.index
  group.sum group.none distinct join.int join.text1 join.left1 native.int native.in
}

# What each part must have measured for the README.
proc complete {} {
  set sizes [measured::sizes]
  set last [lindex $sizes end]
  set missing {}
  foreach {part work place what} [list $last get.int immutable "SQL beside immutable=1" \
      $last api.int lmdb "the C interface beside LMDB" crate 36.raw crate "the mmap-sync crate" \
      readers 1 crate "readers of the crate" killed write crate "a killed reader of the crate" \
      memory private snapshot memory fire p99.9 snapshot.fire "lookups under fire"] {
    if {$part eq "" || ![measured::has $part $work $place]} {lappend missing $what}
  }
  if {[llength $missing]} {error "bench.json is without [join $missing {, }]: make bench-deps bench-full"}
}

# The lines of a table, by name.
proc block {name} {
  global works
  set sizes [measured::sizes]
  set last [lindex $sizes end]
  switch -- $name {
    machine {
      lassign [tables::machine] where with date
      return [list "Measured on $where." "With $with. $date."]
    }
    sql {
      set some [lmap work $works {
        if {![measured::has $last $work snapshot]} continue
        set work
      }]
      set lines [concat [tables::ratios [list [lindex $sizes 0] $last] $some] {{}} [tables::image $last]]
    }
    api {set lines [tables::api $sizes]}
    crate {set lines [concat [tables::crate] [lrange [tables::killed] 1 end] {{}} [tables::readers]]}
    memory {set lines [tables::memory]}
    fire {set lines [tables::fire]}
    default {error "no such table: $name"}
  }
  concat {```} $lines {```}
}

# The text with all its tables made anew.
proc renew {text} {
  set out {}
  set inside ""
  foreach line [split $text \n] {
    if {$inside ne ""} {
      if {$line ne "<!-- end -->"} continue
      set inside ""
    }
    lappend out $line
    if {[regexp {^<!-- make readme-bench: (\w+) -->$} $line -> inside]} {lappend out {*}[block $inside]}
  }
  if {$inside ne ""} {error "the table \"$inside\" has no end"}
  join $out \n
}

proc main {} {
  global argv home
  lassign $argv build readme chart
  if {$readme eq ""} {set readme [file join $home .. .. README.md]}
  if {$chart eq ""} {set chart [file join $home readme.svg]}
  set json [file join $build bench.json]
  if {![file exists $json]} {error "$json: missing: make bench-deps bench-full"}
  if {[auto_execok gnuplot] eq ""} {error "gnuplot is missing: make bench-deps"}
  measured::load $json
  complete
  set text [string trimright [measured::content $readme] \n]
  set text [renew $text]
  charts::works $chart
  set f [open $readme w]
  puts $f $text
  close $f
}

encoding system utf-8
if {[llength $argv] < 1 || [llength $argv] > 3} {
  puts stderr "usage: tclsh readme.tcl BUILD \[README \[CHART\]\]"
  exit 2
}
if {[catch main why]} {
  puts stderr "readme-bench: $why"
  exit 1
}
