# tables.tcl - what measured.tcl holds, laid out in lines for people: on the terminal, and in the README.
#
# Each proc gives a list of lines, without numbers of its own: what was not measured has no line, or no column.  Behind
# the time of another place stands the ratio of ours to it, with the lowest and highest: below 1 ours is faster.
#
# GOALS.  What was aimed at stands here alone: the work, ours, the other, and what the ratio must not exceed.  A row
# says so where it is exceeded, and tables::goals prints all that could be judged.

namespace eval tables {
  # A work's title and name, what stands beside it, and the limit.  The part is the number of rows, or a name; where
  # the other place is "", the limit is in bytes.
  variable goals {
    {"enter and leave a read, alone" crate 36.read mmapsync crate 0.50}
    {"the same, two processes at once" readers 2 mmapsync crate 0.12}
    {"write 36 bytes" crate 36.raw mmapsync crate 0.50}
    {"write 64 MiB" crate 67108864.raw mmapsync crate 0.70}
    {"lookup, integer key" 1000000 get.int snapshot wal 0.22}
    {"lookup, integer key" 1000000 get.int snapshot memory 0.60}
    {"lookup, text key" 1000000 get.text snapshot wal 0.25}
    {"lookup, text key" 1000000 get.text snapshot memory 0.70}
    {"C interface, integer key" 1000000 api.int api lmdb 0.30}
    {"C interface, text key" 1000000 api.text api lmdb 0.30}
    {"sum of a column" 1000000 scan.sum snapshot memory 0.75}
    {"all columns of all rows" 1000000 scan.wide snapshot memory 1.00}
    {"filter without an index, 1 %" 1000000 filter.1 snapshot memory 0.08}
    {"publish, 4 columns, a key" 1000000 publish.stock snapshot memory 1.00}
    {"p99.9 while a writer never rests" fire p99.9 snapshot.fire snapshot.quiet 1.50}
    {"p99.9 while a writer never rests" fire p99.9 snapshot.fire wal.fire 0.25}
    {"memory of a further reader" memory private snapshot "" 2000000}
  }
  # What others are called.
  variable names {
    snapshot snapshot wal "WAL file" immutable immutable memory :memory: crate "the crate" lmdb LMDB
    mmapsync mmapsync api mmapsync snapshot.quiet "no writer" wal.fire "WAL file"
  }
  variable loads {
    snapshot.quiet "snapshot, no writer"
    snapshot.fire  "snapshot, writer never rests"
    wal.quiet      "WAL file, no writer"
    wal.fire       "WAL file, writer never rests"
  }
  # Works of the crate's part, as they are called in the table, and the sizes of payloads.
  variable payloads {36 "36 bytes" 4096 "4 KiB" 1048576 "1 MiB" 67108864 "64 MiB"}
}

# ---- goals ------------------------------------------------------------------------------------------

# What a goal came to: a ratio or bytes; "" if it was not measured.
proc tables::reached {goal} {
  lassign $goal - part work place other limit
  if {![measured::has $part $work $place]} {return ""}
  if {$other eq ""} {return [measured::median $part $work $place]}
  if {![measured::has $part $work $other]} {return ""}
  measured::ratio $part $work $place $other
}

# The goals of a work that are missed, in words.
proc tables::missed {part work} {
  variable goals
  variable names
  set words {}
  foreach goal $goals {
    if {[lindex $goal 1] ne $part || [lindex $goal 2] ne $work} continue
    set got [reached $goal]
    if {$got ne "" && $got > [lindex $goal 5]} {
      set other [lindex $goal 4]
      lappend words [expr {$other eq "" ? "" : "[dict get $names $other] "}][lindex $goal 5]
    }
  }
  return $words
}

proc tables::mark {part work} {
  set words [missed $part $work]
  expr {[llength $words] ? "  MISSED: [join $words {, }]" : ""}
}

proc tables::goals {} {
  variable goals
  variable names
  set lines {}
  foreach goal $goals {
    lassign $goal title part work place other limit
    set got [reached $goal]
    if {$got eq ""} continue
    if {$other eq ""} {
      set aim "<= [scratch::bytes $limit]"
      set is [scratch::bytes $got]
    } else {
      set aim "<= $limit of [dict get $names $other]"
      set is [measured::spread [measured::ratios $part $work $place $other]]
    }
    lappend lines [format "%-34s %-22s %-20s %s" $title $aim $is [expr {$got <= $limit ? "kept" : "MISSED"}]]
  }
  return $lines
}

# How many goals were judged, and how many missed.
proc tables::tally {} {
  set lines [goals]
  list [llength $lines] [llength [lsearch -all -glob $lines *MISSED]]
}

# ---- SQL --------------------------------------------------------------------------------------------

proc tables::slower {rows work} {
  expr {[measured::has $rows $work memory] && [measured::ratio $rows $work snapshot memory] > 1}
}

# The places that stand beside the snapshot.
proc tables::others {rows} {
  lmap other {wal immutable memory} {
    if {![measured::db exists {SELECT 1 FROM time WHERE part=$rows AND place=$other}]} continue
    set other
  }
}

# Work, the snapshot's time, and for each other place its time and the ratio.
proc tables::sqlLine {rows work} {
  set row [format "%-40s %8s" [measured::titleOf $rows $work] [measured::ns $rows $work snapshot]]
  foreach other [others $rows] {
    if {[measured::has $rows $work $other]} {
      append row [format " %8s %-19s" [measured::ns $rows $work $other] \
          [measured::spread [measured::ratios $rows $work snapshot $other]]]
    } else {
      append row [format " %8s %-19s" "" ""]
    }
  }
  return "[string trimright $row][expr {[slower $rows $work] ? {  SLOWER} : {}}][mark $rows $work]"
}

proc tables::sql {rows} {
  set head [format "%-40s %8s" "" snapshot]
  foreach other [others $rows] {
    append head [format " %8s %-19s" [dict get $::tables::names $other] \
        [expr {$other eq "memory" ? "" : "(mapped)"}]]
  }
  set lines [list [string trimright $head]]
  foreach work [measured::works $rows] {
    if {![string match api.* $work]} {lappend lines [sqlLine $rows $work]}
  }
  if {[llength [measured::works $rows publish*]]} {
    lappend lines "publishing stands beside CREATE TABLE AS and CREATE INDEX"
  }
  concat $lines [image $rows]
}

proc tables::image {rows} {
  foreach name {image_bytes file_bytes publisher_image publisher_peak} {
    set $name [measured::factOf $rows $name]
  }
  set lines [list "image [scratch::bytes $image_bytes], VACUUMed file with the same indexes\
      [scratch::bytes $file_bytes]: ratio [measured::digits [expr {double($image_bytes) / $file_bytes}]]"]
  if {$publisher_peak ne ""} {
    set over [expr {$publisher_peak - $publisher_image}]
    lappend lines "publisher's peak [scratch::bytes $publisher_peak], [scratch::bytes $over] over the image\
        (limit 64 MiB: [expr {$over <= 64 << 20 ? "kept" : "BROKEN"}])"
  }
  return $lines
}

# The ratios of some works at some sizes, side by side.
proc tables::ratios {sizes works} {
  set head [format "%-40s" ""]
  set second $head
  foreach rows $sizes {
    set places [others $rows]
    append head [format "%*s" [expr {10 * [llength $places] + 1}] "[scratch::count $rows] rows"]
    foreach other $places {
      append second [format "%10s" [string map {"WAL file" WAL} [dict get $::tables::names $other]]]
    }
    append second " "
  }
  set lines [list $head [string trimright $second]]
  foreach work $works {
    set row [format "%-40s" [measured::titleOf [lindex $sizes 0] $work]]
    foreach rows $sizes {
      foreach other [others $rows] {
        set cell ""
        if {[measured::has $rows $work $other]} {
          set cell [measured::digits [measured::ratio $rows $work snapshot $other]]
        }
        append row [format "%10s" $cell]
      }
      append row [expr {[slower $rows $work] ? "*" : " "}]
    }
    lappend lines [string trimright $row]
  }
  return $lines
}

# Those of all works that stand beside something.
proc tables::summary {sizes} {
  ratios $sizes [lmap work [measured::works [lindex $sizes 0]] {
    if {![measured::has [lindex $sizes 0] $work memory]} continue
    set work
  }]
}

# "12 of 168 rows are slower than :memory:; 3 goals missed"
proc tables::verdict {sizes} {
  set all 0
  set slow 0
  foreach rows $sizes {
    foreach work [measured::works $rows] {
      if {![measured::has $rows $work memory]} continue
      incr all
      incr slow [slower $rows $work]
    }
  }
  return "$slow of $all rows are slower than :memory:; [lindex [tally] 1] goals missed"
}

# ---- the C interface ------------------------------------------------------------------------------------

proc tables::api {sizes} {
  set most [lindex $sizes end]
  set head [format "%-34s" ""]
  foreach rows $sizes {append head [format "%15s" "[scratch::count $rows] rows"]}
  set lmdb [measured::has $most api.int lmdb]
  if {$lmdb} {append head [format "%10s" LMDB]}
  set lines [list $head]
  foreach work [measured::works $most api.*] {
    set row [format "%-34s" [measured::titleOf $most $work]]
    foreach rows $sizes {append row [format "%15s" [measured::ns $rows $work api]]}
    if {[measured::has $most $work lmdb]} {
      append row [format "%10s %s" [measured::ns $most $work lmdb] \
          [measured::spread [measured::ratios $most $work api lmdb]]]
    }
    lappend lines "$row[mark $most $work]"
  }
  if {$lmdb && [llength $sizes] > 1} {lappend lines "LMDB with [scratch::count $most] rows"}
  return $lines
}

# ---- the synchronizer -------------------------------------------------------------------------------------

# Title, our time, the other's time, the ratio, and what the other is.
proc tables::beside {part work what ours other {name ""}} {
  string trimright [format "%-40s %8s %8s %-19s %s" $what [measured::ns $part $work $ours] \
      [measured::ns $part $work $other] [measured::spread [measured::ratios $part $work $ours $other]] $name]
}

proc tables::core {} {
  set lines {}
  foreach {ours what} {slot "read, by slot" view "read, by slot, a view to keep" counter "read, by counter"
      lock "read, by lock"} {
    lappend lines [beside core read $what $ours count "atomic add, subtract"]
    lappend lines [beside core read2 "  two processes" $ours count "the same, two processes"]
  }
  lappend lines [beside core read "read, by slot" slot exchange "exchange of a word of one's own"]
  if {[measured::has core write36 membarrier]} {
    lappend lines [beside core write36 "write 36 bytes" mmapsync membarrier "membarrier(), which it goes without"]
  }
  lappend lines [beside core write36 "write 36 bytes" mmapsync pwrite "pwrite()"]
  lappend lines [beside core write4K "write 4 KiB" mmapsync memcpy "memcpy() to a mapped file"]
  lappend lines [beside core write1M "write 1 MiB" mmapsync memcpy "the same"]
  lappend lines [beside core write64M "write 64 MiB" mmapsync memcpy "the same"]
}

proc tables::crate {} {
  set lines [list [format "%-40s %8s %8s" "" mmapsync crate]]
  foreach work [measured::works crate] {
    lappend lines "[beside crate $work [measured::titleOf crate $work] mmapsync crate][mark crate $work]"
  }
  return $lines
}

proc tables::killed {} {
  if {[measured::has killed write crate]} {
    return [list [format "%-40s %8s %8s" "" mmapsync crate] \
        [beside killed write [measured::titleOf killed write] mmapsync crate]]
  }
  list [format "%-40s %8s" [measured::titleOf killed write] [measured::ns killed write mmapsync]]
}

proc tables::readers {} {
  set others [lmap other {crate lmdb} {
    if {![measured::has readers 1 $other]} continue
    set other
  }]
  set head [format "%-40s %8s" "" mmapsync]
  foreach other $others {append head [format " %8s %-19s" [expr {$other eq "lmdb" ? "LMDB" : $other}] ""]}
  set lines [list [string trimright $head]]
  foreach work [measured::works readers] {
    set row [format "%-40s %8s" [measured::titleOf readers $work] [measured::ns readers $work mmapsync]]
    foreach other $others {
      append row [format " %8s %-19s" [measured::ns readers $work $other] \
          [measured::spread [measured::ratios readers $work mmapsync $other]]]
    }
    lappend lines "[string trimright $row][mark readers $work]"
  }
  return $lines
}

# ---- memory ------------------------------------------------------------------------------------------------

proc tables::memory {} {
  set lines [list [format "%-40s %14s %14s" "a further reader process of" private "share of all"]]
  foreach {place what} {
    snapshot "a snapshot" immutable "a file, immutable=1, mapped" wal "a WAL file, mapped"
    cache "a WAL file, SQLite's page cache" memory "a copy in :memory:"
  } {
    if {![measured::has memory private $place]} continue
    lappend lines [format "%-40s %14s %14s" $what [scratch::bytes [measured::median memory private $place]] \
        [scratch::bytes [measured::median memory added $place]]]
  }
  lappend lines "the table takes [scratch::bytes [measured::factOf memory image_bytes]] as a snapshot,\
      [scratch::bytes [measured::factOf memory file_bytes]] as a file"
}

# ---- under fire ----------------------------------------------------------------------------------------------

proc tables::lookups {load} {
  measured::db onecolumn {SELECT sum(count) FROM hist WHERE place=$load}
}

# The time that all but one of `of` lookups keep to, over all rounds.
proc tables::quantile {load of} {
  set all [lookups $load]
  set late 0
  measured::db eval {SELECT ns, count FROM hist WHERE place=$load ORDER BY ns DESC} {
    incr late $count
    if {$late * $of >= $all} {return $ns}
  }
}

proc tables::most {quantile load} {lindex [lsort -real [measured::times fire $quantile $load]] end}

proc tables::fire {} {
  variable loads
  set lines [list [format "%-29s %8s %8s %8s %8s %8s %8s %11s %9s" \
      "" p50 p99 p99.9 max p99.9* max* lookups rewrites/s]]
  dict for {load what} $loads {
    set written ""
    regsub {\..*} $load {} place
    if {[string match *.fire $load]} {
      set seconds [expr {[measured::factOf fire millis] * [llength [measured::times fire max $load]] / 1000.0}]
      set written [format %.1f [expr {[measured::factOf fire $place.written] / $seconds}]]
    }
    lappend lines [string trimright [format "%-29s %8s %8s %8s %8s %8s %8s %11s %9s" $what \
        {*}[lmap of {2 100 1000} {scratch::time [quantile $load $of]}] [scratch::time [most max $load]] \
        [measured::ns fire p99.9* $load] [scratch::time [most max* $load]] \
        [scratch::count [lookups $load]] $written]]
  }
  lappend lines "* of lookups during which the scheduler did not give the processor to somebody else"
}

# What the goal is judged by, and the same without what the scheduler did.
proc tables::fireGoals {} {
  set lines {}
  foreach quantile {p99.9 p99.9*} {
    lappend lines "" "$quantile of the snapshot under fire, median of the rounds (lowest-highest):"
    foreach {other what goal} {snapshot.quiet "beside no writer" 1.5 wal.fire "beside WAL under fire" 0.25} {
      set ratios [measured::ratios fire $quantile snapshot.fire $other]
      lappend lines [format "  %-21s %s, goal %s: %s" $what [measured::spread $ratios] $goal \
          [expr {[scratch::median $ratios] <= $goal ? "kept" : "MISSED"}]]
    }
  }
  set log [measured::factOf fire wal.log_bytes]
  if {$log ne ""} {lappend lines "WAL's log grew to [scratch::bytes $log]"}
  return $lines
}

# ---- the machine ------------------------------------------------------------------------------------------------

# Where, with what, when.  The load is what others had to do when it began: processor time stands that, but what waits,
# and what only two processes at once can show, does not.
proc tables::machine {} {
  foreach name {processor processors hypervisor memory system kernel compiler sqlite cargo lmdb date load} {
    set $name [measured::machineOf $name]
  }
  if {$hypervisor ne ""} {append processor ", $hypervisor"}
  set where "$processors processors ($processor), $memory, $system, $kernel"
  set with "$compiler; SQLite $sqlite"
  if {$lmdb ne ""} {append with "; LMDB $lmdb"}
  if {$cargo ne ""} {append with "; $cargo"}
  if {$load ne ""} {append date ", load average $load"}
  list $where $with $date
}
