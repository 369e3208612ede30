# demo.tcl - one process publishes the Unicode character database, three others query it.
#
#     tclsh test/demo/demo.tcl build/mmapsync.so
#
# The data are the 34,924 characters and 327 blocks of Debian's package unicode-data.  The publisher and
# the three readers are sqlite3 shells, all of them processes of their own; this script tells them what
# to do and prints what they answer.  It holds every answer against what it reads in the source files
# itself, and ends with status 1 if one is wrong.

set here [file dirname [info script]]
source [file join $here scratch.tcl]
source [file join $here shell.tcl]

set unicode /usr/share/unicode
set editions 20 ;# how many snapshots are published while the readers read without a pause
set lookups 5000 ;# timed in one run

# ---- what must hold ------------------------------------------------------------------------------

proc expect {what got want} {
  if {$got ne $want} {
    error "$what: expected \"[string range $want 0 200]\", found \"[string range $got 0 200]\""
  }
}

# ---- the source ----------------------------------------------------------------------------------

# Blocks.txt: "0000..007F; Basic Latin".  Rows of {id first last name}.
proc readBlocks {} {
  set in [open $::unicode/Blocks.txt]
  fconfigure $in -encoding utf-8
  set rows {}
  while {[gets $in line] >= 0} {
    if {[regexp {^([0-9A-F]+)\.\.([0-9A-F]+); (.+)$} $line -> first last name]} {
      lappend rows [list [expr {[llength $rows] + 1}] [scan $first %x] [scan $last %x] $name]
    }
  }
  close $in
  return $rows
}

# UnicodeData.txt: fifteen fields with ';' between them.  Control characters have no name of their own
# and get the label that the standard gives them, so that every name is there once.
proc readCharacters {blocks} {
  set in [open $::unicode/UnicodeData.txt]
  fconfigure $in -encoding utf-8
  set rows {}
  set b 0
  while {[gets $in line] >= 0} {
    set f [split $line ";"]
    if {[llength $f] != 15} {error "UnicodeData.txt: expected 15 fields, found \"$line\""}
    lassign $f hex name category combining bidi decomposition - - numeric - - - upper lower
    set code [scan $hex %x]
    while {$code > [lindex $blocks $b 2]} {incr b}
    if {$name eq "<control>"} {set name "<control-$hex>"}
    foreach v {upper lower} {set $v [expr {[set $v] eq "" ? "" : [scan [set $v] %x]}]}
    lappend rows [list $code $name $category $combining $bidi $decomposition $numeric \
        $upper $lower [lindex $blocks $b 0] 1]
  }
  close $in
  return $rows
}

# The publisher's database: plain SQLite, nothing of ours.
proc makeDatabase {file characters blocks} {
  sqlite3 db $file
  db eval {
    PRAGMA journal_mode=WAL;
    CREATE TABLE blocks(id INTEGER PRIMARY KEY, first INTEGER, last INTEGER, name TEXT UNIQUE,
        edition INTEGER);
    CREATE TABLE characters(code INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, category TEXT,
        combining INTEGER, bidi TEXT, decomposition TEXT, numeric TEXT, upper INTEGER,
        lower INTEGER, block INTEGER REFERENCES blocks, edition INTEGER);
    CREATE TABLE edition(n INTEGER PRIMARY KEY);
    CREATE VIEW pairs AS
      SELECT l.name AS small, u.name AS capital, u.code AS code
        FROM characters l JOIN characters u ON u.code = l.upper;
    INSERT INTO edition VALUES(1);
  }
  db transaction {
    foreach row $blocks {
      lassign $row id first last name
      db eval {INSERT INTO blocks VALUES($id, $first, $last, $name, 1)}
    }
    foreach row $characters {
      lassign $row code name category combining bidi decomposition numeric upper lower block edition
      db eval {
        INSERT INTO characters VALUES($code, $name, $category, $combining, $bidi,
            nullif($decomposition, ''), nullif($numeric, ''), nullif($upper, ''),
            nullif($lower, ''), $block, $edition)
      }
    }
  }
  db close
}

# ---- telling -------------------------------------------------------------------------------------

# Sends each reader its own statement, all before any answer is awaited, and shows what they say.
proc askReaders {questions answers} {
  foreach s $::readers {what sql} $questions {shell::send $s $sql}
  foreach s $::readers {what sql} $questions answer $answers {
    set got [shell::take $s]
    expect "reader [shell::pid $s], $what" $got $answer
    puts [format "  reader %-7s %-38s %s" [shell::pid $s] $what $got]
  }
}

proc publish {sources} {
  set t [clock microseconds]
  set result [readResult [shell::ask $::publisher \
      "SELECT mmapsync_publish('$::channel', $sources);"]]
  dict set result us [expr {[clock microseconds] - $t}]
}

# What a publish says, as a dict.  No reader may have been cut off.
proc readResult {json} {
  foreach name {sequence bytes rows tables waited_ms} {
    if {![regexp "\"$name\":(\\d+)" $json -> value]} {error "publish: $json"}
    dict set result $name $value
  }
  expect "publish cut off a reader" [regexp {"reset":(true|1)} $json] 0
  return $result
}

proc tellPublish {r} {
  puts [format "  publisher %-4s snapshot %d: %d tables, %s rows, %s, in %d ms\n" \
      [shell::pid $::publisher] [dict get $r sequence] [dict get $r tables] \
      [scratch::count [dict get $r rows]] [scratch::bytes [dict get $r bytes]] \
      [expr {[dict get $r us] / 1000}]]
}

# Of a process's mappings of the channel's data files: kilobytes in memory, and how many of those no
# other process maps.  From /proc/PID/smaps; {} where it cannot be read.
proc memoryOf {pid} {
  if {[catch {open /proc/$pid/smaps} in]} {return {}}
  set ours 0
  array set kb {Rss 0 Private_Clean 0 Private_Dirty 0}
  while {[gets $in line] >= 0} {
    if {[regexp {^[0-9a-f]+-[0-9a-f]+ } $line]} {
      set ours [expr {[string first ${::channel}_data_ $line] >= 0}]
    } elseif {$ours && [regexp {^(\w+):\s+(\d+) kB} $line -> name n] && [info exists kb($name)]} {
      incr kb($name) $n
    }
  }
  close $in
  return [list $kb(Rss) [expr {$kb(Private_Clean) + $kb(Private_Dirty)}]]
}

# ---- the five acts -------------------------------------------------------------------------------

set sources "'characters', 'blocks', 'edition', 'pairs KEY(small)'"

proc first {characters blocks} {
  puts "1. One process publishes three tables and a view; three others query them."
  tellPublish [publish $::sources]
  foreach s $::readers {
    expect "attach" [shell::ask $s "SELECT mmapsync_attach('$::channel');"] 4
  }
  set in 0
  foreach row $characters {if {[lindex $row 9] == $::currency} {incr in}}
  askReaders $::questions [list "EURO SIGN" "nothing" "Currency Symbols, $in"]

  # Every value of every row, as a reader has it, against the source file.
  set dump [file join $::folder dump]
  shell::ask [lindex $::readers 0] ".once '$dump'\nSELECT * FROM characters ORDER BY code;"
  set in [open $dump]
  fconfigure $in -encoding utf-8 -translation lf
  foreach row $characters {
    if {[gets $in line] < 0} {error "characters: expected [llength $characters] rows, found fewer"}
    expect "a row of characters" $line [join $row |]
  }
  expect "rows of characters" [gets $in line] -1
  close $in
  set upper 0
  foreach row $characters {if {[lindex $row 7] ne ""} {incr upper}}
  expect "pairs" [shell::ask [lindex $::readers 1] "SELECT count(*) FROM pairs;"] $upper
  expect "pairs" [shell::ask [lindex $::readers 1] \
      "SELECT capital FROM pairs WHERE small = 'GREEK SMALL LETTER LAMDA';"] \
      "GREEK CAPITAL LETTER LAMDA"
  expect "blocks" [shell::ask [lindex $::readers 2] "SELECT count(*), sum(last) FROM blocks;"] \
      "[llength $blocks]|[tcl::mathop::+ {*}[lmap row $blocks {lindex $row 2}]]"
  puts "  all [scratch::count [llength $characters]] rows equal\
      $::unicode/UnicodeData.txt, value for value"
}

proc second {characters} {
  puts "\n2. It changes a name, adds a character, publishes again. No one reconnects."
  expect "update" [shell::ask $::publisher "
    BEGIN;
    UPDATE characters SET name = 'SIGN OF THE EURO' WHERE code = 0x20AC;
    INSERT INTO characters SELECT 0x20CF, 'DEMO SIGN', category, combining, bidi, NULL, NULL, NULL,
        NULL, block, edition FROM characters WHERE code = 0x20AC;
    COMMIT;"] ""
  tellPublish [publish $::sources]
  set in 1
  foreach row $characters {if {[lindex $row 9] == $::currency} {incr in}}
  askReaders $::questions [list "SIGN OF THE EURO" "U+20AC" "Currency Symbols, $in"]
}

# Every row of two tables carries the number of its edition and a third table says what it is.  A
# statement that saw half an update, or two snapshots, would find numbers that differ.
proc third {} {
  puts "\n3. It publishes $::editions more, all rows changed, while they query without pause."
  set query "SELECT n, (SELECT min(edition) = n AND max(edition) = n FROM characters)
                   AND (SELECT min(edition) = n AND max(edition) = n FROM blocks) FROM edition;"
  set file [file join $::folder queries.sql]
  set out [open $file w]
  puts $out [string repeat "$query\n" 10]
  close $out
  set script ""
  for {set n 2} {$n < $::editions + 2} {incr n} {
    append script "
      BEGIN;
      UPDATE characters SET edition = $n;
      UPDATE blocks SET edition = $n;
      UPDATE edition SET n = $n;
      COMMIT;
      SELECT mmapsync_publish('$::channel', $::sources);\n"
  }

  # Each reader has always one more batch waiting than it works on, until the publisher is through.
  shell::send $::publisher $script
  foreach s $::readers {
    set lines($s) {}
    shell::send $s ".read '$file'"
  }
  set published {}
  while 1 {
    foreach s $::readers {shell::send $s ".read '$file'"}
    foreach s $::readers {lappend lines($s) {*}[split [shell::take $s] \n]}
    if {[shell::done $::publisher published]} break
  }
  expect "snapshots published" [llength $published] $::editions
  set waited 0
  foreach json $published {incr waited [dict get [readResult $json] waited_ms]}
  foreach s $::readers {
    lappend lines($s) {*}[split [shell::take $s] \n]
    set seen {}
    set last 0
    foreach line $lines($s) {
      if {![regexp {^(\d+)\|1$} $line -> n]} {
        error "reader [shell::pid $s] saw a mixture: \"$line\" where edition|1 was expected"
      }
      if {$n < $last} {error "reader [shell::pid $s] went back from edition $last to $n"}
      set last $n
      dict incr seen $n
    }
    puts [format "  reader %-7s %4d statements, %2d snapshots seen, none a mixture" \
        [shell::pid $s] [llength $lines($s)] [dict size $seen]]
    expect "the last edition" [shell::ask $s "SELECT n FROM edition;"] [expr {$::editions + 1}]
  }
  puts "  publisher [shell::pid $::publisher] waited for readers: $waited ms in all"
  dict get [readResult [lindex $published end]] bytes
}

# Bytes of the same data as an SQLite file: VACUUMed, with the same indexes, the view as a table.
proc plainBytes {file} {
  set copy [file join $::folder plain.db]
  sqlite3 plain $file
  plain eval {VACUUM INTO $copy}
  plain close
  sqlite3 plain $copy
  plain eval {CREATE TABLE pairs_as_table AS SELECT * FROM pairs;
              CREATE UNIQUE INDEX pairs_small ON pairs_as_table(small);
              VACUUM}
  plain close
  file size $copy
}

proc fourth {database bytes} {
  puts "\n4. What it takes. The files of the channel:"
  foreach file [lsort [glob ${::channel}_*]] {
    file stat $file st
    puts [format "  %-26s %12s  mode %04o" [file tail $file] [scratch::bytes $st(size)] \
        [expr {$st(mode) & 07777}]]
    set mode([string range $file [string length $::channel] end]) \
        [format %04o [expr {$st(mode) & 07777}]]
  }
  set plain [plainBytes $database]
  set ratio [expr {double($bytes) / $plain}]
  puts [format "  the same tables and keys as an SQLite file take %s: ratio %.2f" [scratch::bytes $plain] $ratio]
  expect "the snapshot takes at most 0.7 of the SQLite file" [expr {$ratio <= 0.7}] 1
  expect "bytes of the state file" [file size ${::channel}_state] 16
  expect "modes" [list $mode(_state) $mode(_data_0) $mode(_data_1)] {0660 0640 0640}

  # Once every reader has looked at every value, each has all of the snapshot in its memory.
  set all ".once /dev/null\nSELECT * FROM characters;\n.once /dev/null\nSELECT * FROM pairs;"
  foreach s $::readers {shell::send $s $all}
  foreach s $::readers {expect "all rows" [shell::take $s] ""}
  foreach s $::readers {
    lassign [memoryOf [shell::pid $s]] rss private
    if {$rss eq "" || $rss == 0} continue ;# /proc does not tell here
    puts [format "  reader %-7s has %s of it in memory: %s shared, %s its own" \
        [shell::pid $s] {*}[lmap kb [list $rss [expr {$rss - $private}] $private] {
          scratch::bytes [expr {$kb * 1024}]
        }]]
  }
}

# The same statements, driven in the same way, on two connections of this process.
proc fifth {file characters} {
  puts "\n5. A lookup, beside one in the publisher's database (WAL, mapped, in memory):"
  sqlite3 snapshot :memory:
  snapshot enable_load_extension 1
  snapshot eval {SELECT load_extension($::shell::extension)}
  snapshot eval {SELECT mmapsync_attach($::channel)}
  sqlite3 plain $file
  plain eval {PRAGMA mmap_size=1000000000}

  set codes {}
  set names {}
  expr {srand(1)}
  for {set i 0} {$i < $::lookups} {incr i} {
    set row [lindex $characters [expr {int(rand() * [llength $characters])}]]
    if {[lindex $row 0] == 0x20AC} continue
    lappend codes [lindex $row 0]
    lappend names [lindex $row 1]
  }
  foreach {what keys results sql} [list \
      "by code, an integer key" $codes $names {SELECT name FROM characters WHERE code = $key} \
      "by name, a text key"     $names $codes {SELECT code FROM characters WHERE name = $key}] {
    foreach db {snapshot plain} {set times($db) {}}
    for {set round 0} {$round < 8} {incr round} {
      foreach db [expr {$round % 2 ? {plain snapshot} : {snapshot plain}}] {
        set found {}
        set t [clock microseconds]
        foreach key $keys {lappend found [$db onecolumn $sql]}
        set t [expr {[clock microseconds] - $t}]
        expect "lookups $what in $db" $found $results
        if {$round > 0} {lappend times($db) [expr {1000.0 * $t / [llength $keys]}]}
      }
    }
    set ratios [lsort -real [lmap a $times(snapshot) b $times(plain) {expr {$a / $b}}]]
    puts [format "  %-24s %9s  beside %9s  ratio %.2f (%.2f-%.2f)" $what \
        [scratch::time [scratch::median $times(snapshot)]] \
        [scratch::time [scratch::median $times(plain)]] \
        [scratch::median $ratios] [lindex $ratios 0] [lindex $ratios end]]
  }
  puts "  timed through Tcl, whose own part is in both"
  snapshot close
  plain close
}

proc main {} {
  global folder channel publisher readers questions currency
  if {[catch {package require sqlite3} why]} {error "$why (make deps installs what is missing)"}
  if {![llength [auto_execok sqlite3]]} {error "no sqlite3 shell (make deps installs it)"}
  if {![file readable $::unicode/UnicodeData.txt]} {
    error "\"$::unicode/UnicodeData.txt\": not found (make deps installs it)"
  }
  if {![file exists $shell::extension]} {error "\"$shell::extension\": not found (run make first)"}
  set folder [scratch::make mmapsync-demo 40000000]
  set channel [file join $folder unicode]
  set blocks [readBlocks]
  set characters [readCharacters $blocks]
  set currency [lindex [lsearch -inline -index 3 $blocks "Currency Symbols"] 0]
  set questions [list \
      "the name of U+20AC" \
      "SELECT name FROM characters WHERE code = 0x20AC;" \
      "the code of SIGN OF THE EURO" \
      "SELECT ifnull((SELECT printf('U+%04X', code) FROM characters
                       WHERE name = 'SIGN OF THE EURO'), 'nothing');" \
      "a block and its characters, a join" \
      "SELECT b.name || ', ' || count(*) FROM blocks b JOIN characters c ON c.block = b.id
        WHERE b.name = 'Currency Symbols';"]

  set file [file join $folder unicode.db]
  makeDatabase $file $characters $blocks
  set publisher [shell::start $file]
  set readers {}
  foreach i {1 2 3} {lappend readers [shell::start :memory:]}
  # A reader on a busy machine may be put aside for long; the demo rather waits than cuts it off.
  shell::ask $publisher "SELECT mmapsync_config('$channel', 'grace_ms', 60000);"

  first $characters $blocks
  second $characters
  fourth $file [third]
  fifth $file $characters
  foreach s [concat $readers $publisher] {shell::stop $s}
}

if {[llength $argv] != 1} {
  puts stderr "usage: tclsh demo.tcl build/mmapsync.so"
  exit 2
}
set shell::extension [file normalize [lindex $argv 0]]
set failed [catch main why]
scratch::end
if {$failed} {
  puts stderr "demo: $why"
  exit 1
}
