# charts.tcl - pictures of what measured.tcl holds, drawn by gnuplot as SVG.
#
#     charts::all FOLDER        every chart for which there are numbers; says what it drew, or that gnuplot is missing
#
#     works.svg      how many times as fast a snapshot is as each other place, for some SQL work, with the most rows
#     readers.svg    what a read costs when 1, 2, 4, 8 processes read at once
#     payloads.svg   what a write costs, by the size of what is written
#     memory.svg     what one more reader process takes
#     fire.svg       the distribution of lookups while a writer never rests
#
# A colour stands for the same in all of them: blue is ours.

namespace eval charts {
  variable colour {
    ours #0072b2 wal #d55e00 immutable #009e73 memory #8c8c8c crate #d55e00 lmdb #cc79a7 cache #e69f00
  }
  # What is in works.svg, and in the README's first table beside others.
  variable works {
    get.int get.text get.wide in.int10 range.int range.index order.where scan.sum scan.wide filter.1 filter.50
    filter.like group.sum join.int join.text1 native.int publish.items
  }
  variable head {
    set datafile separator "\t"
    set terminal svg size %WIDTH,%HEIGHT font "sans-serif,14" background "#ffffff"
    set output "%SVG"
    set border 3 linecolor "#808080"
    set tics nomirror textcolor "#303030"
    set grid linecolor "#e0e0e0" linewidth 1
    set key textcolor "#303030"
    set title font ",17" textcolor "#101010"
    TIMES = '("1 ns" 1, "10 ns" 10, "100 ns" 1e2, "1 µs" 1e3, "10 µs" 1e4, "100 µs" 1e5, "1 ms" 1e6, \
      "10 ms" 1e7, "100 ms" 1e8, "1 s" 1e9)'
  }
}

# Runs gnuplot on a script, after the head that all have.  %NAME in it is replaced.
proc charts::draw {svg width height script names} {
  variable head
  variable colour
  set map [list %SVG $svg %WIDTH $width %HEIGHT $height]
  dict for {name value} $colour {lappend map %$name $value}
  set plot [open [list | gnuplot 2>@1] w+]
  fconfigure $plot -encoding utf-8
  puts $plot [string map [concat $names $map] $head\n$script]
  close $plot w
  set said [string trim [read $plot]]
  if {[catch {close $plot} why]} {error "gnuplot: [expr {$said eq {} ? $why : $said}]"}
  if {$said ne ""} {puts $said}
}

# Lines of data, fields apart by a tab, as a block of that name in gnuplot's script.
proc charts::block {name rows} {
  return "\$$name << EOD\n[join [lmap row $rows {join $row \t}] \n]\nEOD\n"
}

# ---- the charts: each draws `svg` and gives 1, or gives 0 if there are no numbers ---------------------------

proc charts::works {svg} {
  variable works
  set rows [lindex [measured::sizes] end]
  if {$rows eq ""} {return 0}
  set data {}
  set tics {}
  set y 0
  set there [lmap work $works {
    if {![measured::has $rows $work memory]} continue
    set work
  }]
  if {![llength $there]} {return 0}
  foreach work [lreverse $there] {
    incr y
    # What is "a row" or "a query" there makes no difference to a ratio.
    set title [regsub {, a (row|query)$} [measured::titleOf $rows $work] {}]
    lappend tics "\"[string map {% %%} $title]\" $y"
    set line $y
    foreach other {wal immutable memory} {
      if {[measured::has $rows $work $other]} {
        lappend line [expr {1 / [measured::ratio $rows $work snapshot $other]}]
      } else {
        lappend line nan
      }
    }
    lappend data $line
  }
  set plots {}
  # One a little below the other, so that none hides another.
  foreach {column other title aside} {
    2 wal "a WAL file" 0.2 3 immutable "an immutable file" 0 4 memory ":memory:" -0.2
  } {
    if {$other ni [tables::others $rows]} continue
    lappend plots "\$data using $column:(\$1+$aside) with points pointtype 7 pointsize 0.9 linecolor \"%$other\"\
        title \"than $title\""
  }
  draw $svg 960 [expr {130 + 27 * $y}] "[block data $data]
    set title \"How many times faster a snapshot is, with [scratch::count $rows] rows\"
    set logscale x 2
    set xrange \[0.5:*\]
    set xtics (\"half\" 0.5, \"as fast\" 1, \"2 x\" 2, \"4 x\" 4, \"8 x\" 8, \\
      \"16 x\" 16, \"32 x\" 32, \"64 x\" 64, \"128 x\" 128)
    set yrange \[0.3:$y.7\]
    set ytics ([join $tics {, }])
    set key outside bottom center horizontal reverse Left samplen 1
    set arrow from 1, graph 0 to 1, graph 1 nohead linecolor \"%ours\" linewidth 2 back
    plot [join $plots {, }]" {}
  return 1
}

# The names of colours as draw() replaces them: in what is put in late, too.
proc charts::colours {} {
  set map {}
  dict for {name value} $::charts::colour {lappend map %$name $value}
  return $map
}

# A line for each place that a part's works know; x is the work's own number.
proc charts::lines {part xs works places} {
  set data {}
  foreach x $xs work $works {
    lappend data [concat $x [lmap place $places {
      if {[measured::has $part $work $place]} {measured::median $part $work $place} else {set _ nan}
    }]]
  }
  return $data
}

proc charts::plotLines {part work places} {
  set plots {}
  set column 1
  foreach place $places {
    incr column
    if {![measured::has $part $work $place]} continue
    set title [dict get {mmapsync "mmapsync" crate "the mmap-sync crate" lmdb "LMDB (renew, reset)"} $place]
    set name [expr {$place eq "mmapsync" ? "ours" : $place}]
    lappend plots "\$data using 1:$column with linespoints linewidth 3 pointtype 7 pointsize 0.8 linecolor \"%$name\"\
        title \"$title\""
  }
  return [string map [colours] [join $plots ", "]]
}

proc charts::readers {svg} {
  if {![measured::has readers 1 mmapsync]} {return 0}
  set places {mmapsync crate lmdb}
  draw $svg 720 440 "[block data [lines readers {1 2 4 8} {1 2 4 8} $places]]
    set title \"A read while others read, too ([measured::machineOf processors] processors)\"
    set xlabel \"processes that read at once\"
    set ylabel \"processor time of a read, ns\"
    set logscale x 2
    set xrange \[0.9:8.9\]
    set xtics (1, 2, 4, 8)
    set yrange \[0:*\]
    set offsets 0, 0, graph 0.4, 0
    set key top left reverse Left samplen 2
    plot [plotLines readers 1 $places]" {}
  return 1
}

proc charts::payloads {svg} {
  variable ::tables::payloads
  if {![measured::has crate 36.raw crate]} {return 0}
  set sizes [dict keys $payloads]
  set places {mmapsync crate}
  set tics [lmap {size name} $payloads {set _ "\"$name\" $size"}]
  draw $svg 720 440 "[block data [lines crate $sizes [lmap size $sizes {set _ $size.raw}] $places]]
    set title \"What a write costs\"
    set xlabel \"payload\"
    set logscale xy
    set xrange \[20:2e8\]
    set xtics ([join $tics {, }])
    eval 'set ytics '.TIMES
    set key top left reverse Left samplen 2
    plot [plotLines crate 36.raw $places]" {}
  return 1
}

proc charts::memory {svg} {
  if {![measured::has memory private snapshot]} {return 0}
  set data {}
  set tics {}
  set y 0
  foreach {place what name} {
    memory "a copy in :memory:" memory cache "a WAL file, page cache" cache wal "a WAL file, mapped" wal
    immutable "a file, immutable=1" immutable snapshot "a snapshot" ours
  } {
    incr y
    set mb [expr {[measured::median memory private $place] / 1e6}]
    lappend data [list $mb $y [string map [colours] %$name] "[format %.2f $mb] MB"]
    lappend tics "\"$what\" $y"
  }
  draw $svg 720 300 "[block data $data]
    set title \"One more reader of a table of [scratch::bytes [measured::factOf memory image_bytes]]: private memory\"
    set logscale x
    set xrange \[0.05:9000\]
    set xtics (\"0.1 MB\" 0.1, \"1 MB\" 1, \"10 MB\" 10, \"100 MB\" 100, \"1 GB\" 1000)
    set yrange \[0.4:5.6\]
    set ytics ([join $tics {, }])
    set style fill solid
    rgb(s) = int(\"0x\".s\[2:7\])
    plot \$data using (0.05):2:(0.05):1:(\$2-0.3):(\$2+0.3):(rgb(strcol(3))) with boxxyerror \\
        linecolor rgb variable notitle, \\
      \$data using 1:2:4 with labels left offset 1,0 notitle" {}
  return 1
}

# Of each load: 1/(1-p) and the nanoseconds that the part p of all lookups keeps to.
proc charts::distribution {load} {
  set all [tables::lookups $load]
  set before 0
  set data {}
  measured::db eval {SELECT ns, count FROM hist WHERE place=$load ORDER BY ns} {
    # What is at least as slow as the first of this cell: a step, drawn at its upper end.
    set left [expr {$all - $before - $count}]
    lappend data [list [expr {$left > 0 ? double($all) / $left : double($all)}] $ns]
    incr before $count
  }
  return $data
}

proc charts::fire {svg} {
  variable ::tables::loads
  if {![measured::db exists {SELECT 1 FROM hist}]} {return 0}
  set blocks ""
  set plots {}
  foreach {load name style} {
    wal.fire wal "linewidth 3" wal.quiet wal "linewidth 2 dashtype 2"
    snapshot.fire ours "linewidth 3" snapshot.quiet ours "linewidth 2 dashtype 2"
  } {
    set block [string map {. _} $load]
    append blocks [block $block [distribution $load]]
    lappend plots "\$$block with lines $style linecolor \"[string map [colours] %$name]\"\
        title \"[dict get $loads $load]\""
  }
  draw $svg 960 600 "$blocks
    set title \"Lookups by key in [scratch::count [measured::factOf fire rows]] rows, while a writer rewrites\
        them all without pause\"
    set xlabel \"share of lookups that take no longer\"
    set ylabel \"time of a lookup\"
    set logscale xy
    set xrange \[1.05:*\]
    set xtics (\"50 %%\" 2, \"90 %%\" 10, \"99 %%\" 100, \"99.9 %%\" 1000, \"99.99 %%\" 10000, \\
      \"99.999 %%\" 100000, \"99.9999 %%\" 1000000)
    eval 'set ytics '.TIMES
    set mytics 10
    set key top left reverse Left samplen 3
    plot [join $plots {, }]" {}
  return 1
}

proc charts::all {folder} {
  if {[auto_execok gnuplot] eq ""} {
    puts "\ngnuplot is missing, so there are no charts; `make bench-deps` installs it"
    return
  }
  set drawn {}
  foreach chart {works readers payloads memory fire} {
    if {[$chart [file join $folder $chart.svg]]} {lappend drawn $chart.svg}
  }
  if {[llength $drawn]} {puts "\ncharts in $folder: [join $drawn {, }]"}
}
