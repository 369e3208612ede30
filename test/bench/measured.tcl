# measured.tcl - what was measured: kept in a database in memory, written to bench.json and read from there.
#
# A measurement is a number of a `work` done by or at a `place`, in a round: nanoseconds per operation, or bytes where
# it is memory.  It belongs to a `part` of the benchmark: "core", "crate", ..., or the number of rows of the table that
# was asked.  Works have titles, for people, and keep the order in which they came.  A fact is a number with a name.
#
#     measured::run PART PROGRAM ARG...     takes in the lines that a program prints (bench.h), and fails as it does
#     measured::add PART WORK PLACE VALUE   the next round of one
#     measured::title PART WORK TITLE       the first time, also its place in the order
#     measured::fact PART NAME VALUE
#     measured::times, ratios, median, ratio, spread, digits, ...       what is there, and what comes of it
#     measured::save FILE, measured::load FILE
#
# A ratio is taken within a round, where the places were asked in turns, and is shown as the median over the rounds
# with the lowest and highest.
#
# The file is one object: `machine` tells where and with what this was; `facts` by part; `works` is a list in their
# order, each with part, work, title, and `values`, by place a list of every single measurement, a round each; `hist`
# has by place how many lookups took up to so many nanoseconds, and longer than the pair before.

package require sqlite3
source [file join [file dirname [info script]] .. demo scratch.tcl]

namespace eval measured {
  sqlite3 [namespace current]::db :memory:
  db eval {
    CREATE TABLE machine(name TEXT PRIMARY KEY, value);
    CREATE TABLE fact(part TEXT, name TEXT, value, PRIMARY KEY(part, name));
    CREATE TABLE work(n INTEGER PRIMARY KEY, part TEXT, work TEXT, title TEXT, UNIQUE(part, work));
    CREATE TABLE time(n INTEGER PRIMARY KEY, part TEXT, work TEXT, place TEXT, value REAL);
    CREATE INDEX time_of ON time(part, work, place);
    CREATE TABLE hist(n INTEGER PRIMARY KEY, place TEXT, ns INTEGER, count INTEGER);
  }
}

# ---- taking in ------------------------------------------------------------------------------------

proc measured::title {part work title} {
  db eval {INSERT INTO work(part, work, title) VALUES($part, $work, $title)
           ON CONFLICT(part, work) DO UPDATE SET title=excluded.title}
}

proc measured::add {part work place value} {
  db eval {
    INSERT OR IGNORE INTO work(part, work, title) VALUES($part, $work, $work);
    INSERT INTO time(part, work, place, value) VALUES($part, $work, $place, CAST($value AS REAL));
  }
}

# Of facts told more than once the sum is kept with `sum`, the last one otherwise.
proc measured::fact {part name value {sum 0}} {
  db eval {INSERT INTO fact VALUES($part, $name, $value)
           ON CONFLICT DO UPDATE SET value=excluded.value + CASE WHEN $sum THEN value ELSE 0 END}
}

proc measured::run {part args} {
  set pipe [open [list | {*}$args 2>@1] r]
  set other {}
  db transaction {
    while {[gets $pipe line] >= 0} {
      set f [split $line \t]
      switch -- [lindex $f 0] {
        case {title $part [lindex $f 1] [lindex $f 2]}
        time {add $part [lindex $f 1] [lindex $f 2] [lindex $f 4]}
        fact {fact $part [lindex $f 1] [lindex $f 2] 1}
        hist {
          lassign $f - place load ns count
          set place $place.$load
          db eval {INSERT INTO hist(place, ns, count) VALUES($place, CAST($ns AS INTEGER), CAST($count AS INTEGER))}
        }
        default {lappend other $line}
      }
    }
  }
  if {[catch {close $pipe} why]} {
    error "[file tail [lindex $args 0]]: [expr {[llength $other] ? [join $other \n] : $why}]"
  }
}

# Where this was measured, and with what.  What cannot be had is left out.
proc measured::machine {cc} {
  set processor {} ; set memory {} ; set system {} ; set host {}
  regexp -line {^model name\s*: (.*)$} [content /proc/cpuinfo] -> processor
  regexp -line {^MemTotal:\s*(\d+)} [content /proc/meminfo] -> memory
  regexp -line {^PRETTY_NAME="?(.*?)"?$} [content /etc/os-release] -> system
  catch {regexp -line {^Hypervisor vendor:\s*(.*)$} [exec lscpu] -> host}
  if {$memory ne ""} {set memory "[expr {round($memory / 1048576.0)}] GiB"}
  foreach {name value} [list processor $processor processors [exec nproc] hypervisor $host memory $memory \
      system $system kernel "[exec uname -s] [exec uname -r]" sqlite [db onecolumn {SELECT sqlite_version()}] \
      compiler [said {*}$cc --version] cargo [said rustc --version] lmdb [said pkg-config --modversion lmdb] \
      load [lindex [content /proc/loadavg] 0] date [clock format [clock seconds] -format %Y-%m-%d]] {
    if {$value ne ""} {db eval {INSERT OR REPLACE INTO machine VALUES($name, $value)}}
  }
}

# The first line that a program prints, or "".
proc measured::said {args} {
  if {[catch {exec {*}$args 2>/dev/null} out]} {return ""}
  lindex [split $out \n] 0
}

proc measured::content {file} {
  if {[catch {open $file} f]} {return ""}
  set text [read $f]
  close $f
  return $text
}

# ---- giving out ------------------------------------------------------------------------------------

proc measured::times {part work place} {
  db eval {SELECT value FROM time WHERE part=$part AND work=$work AND place=$place ORDER BY n}
}
proc measured::has {part work place} {
  db exists {SELECT 1 FROM time WHERE part=$part AND work=$work AND place=$place}
}
# The works of a part in order, those whose names match.
proc measured::works {part {pattern *}} {
  db eval {SELECT work FROM work WHERE part=$part AND work GLOB $pattern ORDER BY n}
}
proc measured::titleOf {part work} {
  db onecolumn {SELECT title FROM work WHERE part=$part AND work=$work}
}
proc measured::factOf {part name {none ""}} {
  if {![db exists {SELECT 1 FROM fact WHERE part=$part AND name=$name}]} {return $none}
  db onecolumn {SELECT value FROM fact WHERE part=$part AND name=$name}
}
proc measured::machineOf {name} {
  db onecolumn {SELECT value FROM machine WHERE name=$name}
}
# Numbers of rows that tables had, rising.
proc measured::sizes {} {
  db eval {SELECT DISTINCT part FROM work WHERE part GLOB '[0-9]*' ORDER BY CAST(part AS INTEGER)}
}

# The ratios of one place to another, round by round; their median; the median time.
proc measured::ratios {part work place other} {
  lmap a [times $part $work $place] b [times $part $work $other] {
    if {$a eq "" || $b eq ""} break
    expr {$a / max($b, 1e-6)}
  }
}
proc measured::ratio {part work place other} {scratch::median [ratios $part $work $place $other]}
proc measured::median {part work place} {scratch::median [times $part $work $place]}
proc measured::ns {part work place} {scratch::time [median $part $work $place]}

# A ratio with about three digits; "0.21 (0.20-0.24)".
proc measured::digits {x} {
  format [expr {$x < 0.0005 ? "%.0e" : $x < 0.0995 ? "%.3f" : $x < 99.5 ? "%.2f" : "%.0f"}] $x
}
proc measured::spread {list} {
  set sorted [lsort -real $list]
  return "[digits [scratch::median $list]] ([digits [lindex $sorted 0]]-[digits [lindex $sorted end]])"
}

# ---- the file -----------------------------------------------------------------------------------------

proc measured::save {file} {
  set json [db onecolumn {
    SELECT json_object(
      'machine', (SELECT json_group_object(name, value) FROM machine),
      'facts', (SELECT json_group_object(part, json(facts))
                FROM (SELECT part, json_group_object(name, value) AS facts FROM fact GROUP BY part)),
      'works', (SELECT json_group_array(json(line)) FROM (
                  SELECT json_object('part', part, 'work', work, 'title', title, 'values', json((
                    SELECT json_group_object(place, json(list)) FROM (
                      SELECT place, json_group_array(value) AS list FROM (
                        SELECT place, value FROM time WHERE part=w.part AND work=w.work ORDER BY n)
                      GROUP BY place)))) AS line
                  FROM work w ORDER BY n)),
      'hist', (SELECT json_group_object(place, json(list)) FROM (
                 SELECT place, json_group_array(json_array(ns, count)) AS list
                 FROM (SELECT place, ns, count FROM hist ORDER BY n) GROUP BY place)))
  }]
  set f [open $file w]
  puts $f $json
  close $f
}

proc measured::load {file} {
  set json [content $file]
  db transaction {
    db eval {
      DELETE FROM machine; DELETE FROM fact; DELETE FROM work; DELETE FROM time; DELETE FROM hist;
      INSERT INTO machine SELECT key, value FROM json_each($json, '$.machine');
      INSERT INTO fact SELECT s.key, f.key, f.value FROM json_each($json, '$.facts') s, json_each(s.value) f;
      INSERT INTO work(part, work, title)
        SELECT json_extract(value, '$.part'), json_extract(value, '$.work'), json_extract(value, '$.title')
        FROM json_each($json, '$.works') ORDER BY key;
      INSERT INTO time(part, work, place, value)
        SELECT json_extract(w.value, '$.part'), json_extract(w.value, '$.work'), p.key, t.value
        FROM json_each($json, '$.works') w, json_each(w.value, '$.values') p, json_each(p.value) t
        ORDER BY w.key, p.key, t.key;
      INSERT INTO hist(place, ns, count)
        SELECT p.key, json_extract(t.value, '$[0]'), json_extract(t.value, '$[1]')
        FROM json_each($json, '$.hist') p, json_each(p.value) t ORDER BY p.key, t.key;
    }
  }
}
