# differential_side.tcl - the two sides that answer a query, and what is done when they differ, for
# differential.test.
#
# A mode is a dictionary of what is unusual about a group: encoding (that of the source and that of the
# reader), source and reader (statements that are run on each connection when it is opened), like (both have
# a like() or glob() of their own), split (the tables go into two channels).
#
# Two answers are the same if they have the same rows, and, where the query has an ORDER BY, in an order that
# it allows.  If they differ, the source is asked again over twins of its tables (the same columns and rows,
# no keys; for a view, the types and collations that the channel shows), with optimizations off, and under
# the reader's settings.  If one of those answers is the channel's, SQLite is at odds with itself, or it is a
# known exception; so too if the reader is right without automatic indexes.  Otherwise it is a defect.  Then statements are left out as long as that stays so, and what
# is left is printed as a script for the sqlite3 shell.

# ---- both sides -----------------------------------------------------------------------------------

set plainMode {encoding {UTF-8 UTF-8} source {{PRAGMA automatic_index=OFF}} reader {{PRAGMA automatic_index=OFF}} like 0 split 0}

# What is unusual about a group.
proc makeMode {} {
  set encoding [pick {{UTF-8 UTF-8} {UTF-8 UTF-8} {UTF-8 UTF-8} {UTF-8 UTF-8} {UTF-8 UTF-8} {UTF-8 UTF-8}
    {UTF-16le UTF-16le} {UTF-16be UTF-16be} {UTF-8 UTF-16le} {UTF-8 UTF-16be} {UTF-16le UTF-8}}]
  set both {}
  if {[chance 15]} { lappend both "PRAGMA case_sensitive_like=ON" }
  set source $both
  set reader $both
  # In 3.40 an automatic index may get the wrong collation.
  lappend source "PRAGMA automatic_index=OFF"
  if {[chance 70]} { lappend reader "PRAGMA automatic_index=OFF" }
  if {[chance 15]} { lappend source "PRAGMA reverse_unordered_selects=ON" }
  if {[chance 20]} { lappend reader "PRAGMA reverse_unordered_selects=ON" }
  if {[chance 30]} {
    lappend reader "SELECT optimizations_off([pick [list -1 [rnd 16777216] [rnd 16777216] [expr {1 << [rnd 24]}]]])"
  }
  dict create encoding $encoding source $source reader $reader like [expr {[chance 8] ? [pick {like anylike glob}] : 0}] \
    split [chance 25]
}

# A like() of one's own, whose first argument is the pattern as ever.
proc ownLike {pattern value {escape ""}} {
  expr {[string length $pattern] <= [string length $value] && [string index $value end] ne "b"}
}

# Opens a connection, as the mode has it for this side.
proc openSide {db side mode} {
  sqlite3 $db :memory:
  $db eval "PRAGMA encoding='[lindex [dict get $mode encoding] [expr {$side eq "reader"}]]'"
  $db enable_load_extension 1
  $db eval {SELECT load_extension($::extension)}
  $db eval "SELECT load_extension('[file join $::builddir test differential_ctl]')"
  $db function bits -deterministic {apply {v {binary encode hex [binary format Q $v]}}}
  switch [dict get $mode like] {
    like    { foreach n {2 3} { $db function like -argcount $n -deterministic ownLike } }
    anylike { $db function like -deterministic ownLike }
    glob    { $db function glob -argcount 2 -deterministic ownLike }
  }
  foreach line [dict get $mode $side] { $db eval $line }
}

# The channels of a group, each with the sources that go into it.
proc channelsOf {channel mode specs} {
  if {![dict get $mode split] || [llength $specs] < 2} { return [list $channel $specs] }
  list $channel [lrange $specs 1 end] ${channel}_b [lrange $specs 0 0]
}

# Opens connections of these names: one gets the source, made by sql, and publishes specs; the other
# attaches what was published.  Both get the native tables.  Gives the number of tables that were attached.
proc openSides {source reader channel mode sql natives specs} {
  openSide $source source $mode
  openSide $reader reader $mode
  foreach side [list $source $reader] {
    $side eval BEGIN
    foreach line $natives { $side eval $line }
    $side eval COMMIT
  }
  $source eval BEGIN
  foreach line $sql { catch {$source eval $line} }
  $source eval COMMIT
  set n 0
  foreach {c list} [channelsOf $channel $mode $specs] {
    $source eval "SELECT mmapsync_publish('$c', '[join $list ',']')"
    incr n [$reader onecolumn {SELECT mmapsync_attach($c)}]
  }
  return $n
}

# Runs a query on one side: its rows, sorted if their order does not count, or the error.
proc ask {side query} {
  foreach {name literal} [dict get $query params] {
    if {[info exists ::bound($literal)]} {
      set [string range $name 1 end] $::bound($literal)
    } elseif {$literal ne "NULL"} {
      set ::bound($literal) [lindex [$side eval "SELECT $literal"] 0]
      set [string range $name 1 end] $::bound($literal)
    }
  }
  set sql [dict get $query sql]
  if {[catch {$side eval $sql} rows]} { return "error: $rows" }
  if {[regexp { ORDER BY [^()]*$} $sql]} { return $rows }
  lsort $rows
}

# ---- orders ---------------------------------------------------------------------------------------

# For each row of the source's table, by its z, the place that a term of ORDER BY gives it; under "", that
# of the row of NULLs which a LEFT JOIN makes.
proc rankOf {source term} {
  lassign $term t at c rest
  if {![info exists ::rank($source.$t.$c.$rest)]} {
    set ::rank($source.$t.$c.$rest) [$source eval "SELECT z, dense_rank() OVER (ORDER BY k$rest)
      FROM (SELECT $c AS k, z FROM $t UNION ALL SELECT NULL, NULL)"]
  }
  return $::rank($source.$t.$c.$rest)
}

# The places of rows under the terms of a query.
proc ranks {source query rows} {
  set maps [lmap term [dict get $query by] { rankOf $source $term }]
  lmap row $rows { lmap map $maps term [dict get $query by] { dict get $map [lindex $row [lindex $term 1]] } }
}

# Lists of whole numbers, in their order.
proc compareRanks {a b} {
  foreach x $a y $b { if {$x != $y} { return [expr {$x < $y ? -1 : 1}] } }
  return 0
}

# Whether a (an answer of the source) and b are both right.
proc same {source query a b} {
  if {$a eq $b} { return 1 }
  if {![llength [dict get $query by]] || [string match error:* $b] || [string match error:* $a]} { return 0 }
  if {[dict get $query limit] >= 0} {
    set a [ask $source [dict replace $query sql [regsub { LIMIT [^()]*$} [dict get $query sql] {}]]]
    set first [dict get $query offset]
    set last [expr {$first + [dict get $query limit] - 1}]
  } else {
    set first 0
    set last end
    if {[llength $a] != [llength $b]} { return 0 }
  }
  foreach row $a { incr count($row) }
  foreach row $b {
    if {![info exists count($row)]} { return 0 }
    if {[incr count($row) -1] < 0} { return 0 }
  }
  expr {[lrange [lsort -command compareRanks [ranks $source $query $a]] $first $last] eq [ranks $source $query $b]}
}

# ---- the source against itself --------------------------------------------------------------------

# Makes the twins of all tables that there are: for t1, mt1.
proc makeTwins {source reader tables} {
  foreach t $tables {
    set name [dict get $t name]
    set columns [join [dict get $t columns] ,]
    if {![$source exists {SELECT 1 FROM main.sqlite_schema WHERE name=$name}]} continue
    if {[dict get $t typed] ne ""} {
      if {[dict get $t rowid]} { append columns ,rowid }
      $source eval "CREATE TABLE m$name\([join [lmap d [dict get $t typed] { regsub -all {\mANY\M} $d {} }] ,]);
        INSERT INTO m$name\($columns) SELECT $columns FROM $name"
      continue
    }
    set typed {}
    foreach file [$reader eval {SELECT DISTINCT substr(sql, instr(sql,'''')+1) FROM temp.sqlite_schema WHERE name=$name}] {
      regexp {^[^']*} $file file
      $reader eval {SELECT name AS c, type, collation FROM mmapsync_columns($file) WHERE table_name=$name AND NOT hidden} {
        lappend typed "$c $type COLLATE $collation"
      }
    }
    # If no value would be changed by its column's affinity (a view of several SELECTs may have such) it is a table.
    set plain [join [lmap c [dict get $t columns] { set _ "+$c AS $c" }] ,]
    $source eval "CREATE TABLE raw_$name AS SELECT $plain FROM $name;
      CREATE TABLE m$name\([join $typed ,]);
      INSERT INTO m$name\($columns) SELECT $columns FROM raw_$name"
    set all [join [lmap c [dict get $t columns] { set _ "typeof($c),quote($c)" }] ,]
    if {[$source eval "SELECT $all FROM raw_$name ORDER BY z"] eq [$source eval "SELECT $all FROM m$name ORDER BY z"]} continue
    $source eval "ALTER TABLE m$name RENAME TO typed_$name;
      DELETE FROM typed_$name;
      CREATE VIEW m$name AS SELECT $columns FROM typed_$name UNION ALL SELECT $columns FROM raw_$name ORDER BY z LIMIT 1000000"
  }
}
proc dropTwins {source} {
  foreach {type name} [$source eval {SELECT type, name FROM main.sqlite_schema WHERE (type='view' AND substr(name,1,2) IN ('mt','mv'))
      OR (type='table' AND (substr(name,1,2) IN ('mt','mv') OR substr(name,1,4) IN ('type','raw_'))) ORDER BY type DESC}] {
    $source eval "DROP $type $name"
  }
}

# Whether SQLite itself gives the answer b in one way or another: how, or "".
proc excuse {source reader tables mode query b} {
  if {[string match "*with infinity before SQLite 3.39.4" $b]} { return infinity }
  if {![$source exists {SELECT 1 FROM main.sqlite_schema WHERE substr(name,1,2) IN ('mt','mv')}]} {
    makeTwins $source $reader $tables
  }
  set twins [dict replace $query sql [regsub -all {\m([tv]\d)\M} [dict get $query sql] {m\1}]]
  set how ""
  foreach {way settings q} [list twins {} $twins off {{SELECT optimizations_off(-1)}} $query \
      "twins, off" {{SELECT optimizations_off(-1)}} $twins "twins, as the reader" [dict get $mode reader] $twins \
      "as the reader" [dict get $mode reader] $query] {
    $source cache flush
    foreach line $settings { $source eval $line }
    if {[same $source $q [ask $source $q] $b]} { set how $way }
    $source eval {SELECT optimizations_off(0); PRAGMA reverse_unordered_selects=OFF}
    foreach line [dict get $mode source] { $source eval $line }
    if {$how ne ""} break
  }
  $source cache flush
  # In 3.40 an automatic index and its Bloom filter, also of a native table that is joined, go by BINARY.
  if {$how eq "" && [lsearch -glob [dict get $mode reader] *automatic_index*] < 0} {
    $reader eval {PRAGMA automatic_index=OFF}
    if {[same $source $query [ask $source $query] [ask $reader $query]]} { set how "automatic index" }
    $reader eval {PRAGMA automatic_index=ON}
  }
  if {$how ne ""} {
    incr ::excused($how)
    if {[info exists ::env(MMAPSYNC_VERBOSE)]} {
      puts "seed $::seed: $how: [dict get $query sql] -- [dict get $query params]"
      if {$::env(MMAPSYNC_VERBOSE) > 1} { puts "  [join [concat {*}[lmap t $tables {dict get $t sql}]] ";\n  "]" }
    }
  }
  return $how
}

# ---- making a difference small ---------------------------------------------------------------------

# The tables of a group that these statements make.
proc madeBy {lines tables} {
  lmap t $tables {
    if {[lsearch -glob $lines "CREATE TABLE [dict get $t name](*"] < 0 && [lsearch -glob $lines "CREATE VIEW [dict get $t name] *"] < 0} continue
    set t
  }
}

# Queries that the reader has run before, if it takes them to show the difference.
set before {}

# Whether the sides differ on a query when the source is made by these statements.
proc stillDiffers {lines natives tables mode query} {
  set made [madeBy $lines $tables]
  set channel [file join $::testdir small]
  set differs 0
  array unset ::rank small1.*
  catch {
    openSides small1 small2 $channel $mode $lines $natives [lmap t $made { dict get $t spec }]
    foreach earlier $::before { ask small2 $earlier }
    set a [ask small1 $query]
    set b [ask small2 $query]
    set differs [expr {![same small1 $query $a $b] && [excuse small1 small2 $made $mode $query $b] eq ""}]
    if {$differs} { set ::smallAnswers [list $a $b] }
  }
  catch {small1 close}
  catch {small2 close}
  foreach file [glob -nocomplain ${channel}_*] { file delete $file }
  return $differs
}

# Leaves out what can be left out of list, as long as {*}$check says so; check gets the list as its last
# argument.  At most until the clock says so.
proc shrink {list check until} {
  for {set size [expr {([llength $list] + 1) / 2}]} {$size >= 1} {set size [expr {$size == 1 ? 0 : ($size + 1) / 2}]} {
    for {set i 0} {$i < [llength $list]} {} {
      if {[clock milliseconds] > $until} { return $list }
      set try [lreplace $list $i [expr {$i + $size - 1}]]
      if {[{*}$check $try]} { set list $try } else { incr i $size }
    }
  }
  return $list
}

# The query with a shorter WHERE, if it has one: words are left out, and what is no SQL any more does not
# differ.
proc shorterQuery {lines natives tables mode query until} {
  set sql [dict get $query sql]
  if {![regexp {^(.* (?:WHERE|ON) )(.*?)((?: ORDER BY | GROUP BY | LIMIT |\)).*)?$} $sql -> head where tail]} { return $query }
  set where [shrink [split $where { }] [list apply {{lines natives tables mode query head tail words} {
    stillDiffers $lines $natives $tables $mode [dict replace $query sql "$head[join $words { }]$tail"]
  }} $lines $natives $tables $mode $query $head $tail] $until]
  dict replace $query sql "$head[join $where { }]$tail"
}

# The parameters of a query as the shell takes them.
proc shellParameters {query} {
  if {![dict size [dict get $query params]]} { return "" }
  set out ".parameter clear\n.parameter init\n"
  foreach {name literal} [dict get $query params] { append out "INSERT INTO sqlite_parameters VALUES('$name',$literal);\n" }
  return $out
}

# The script that shows a difference, made small; history: what the reader ran before.
proc differenceScript {tables natives mode query history} {
  set until [expr {[clock milliseconds] + 15000}]
  set lines [concat {*}[lmap t $tables { dict get $t sql }]]
  set ::before {}
  if {![stillDiffers $lines $natives $tables $mode $query]} {
    set ::before $history
    if {![stillDiffers $lines $natives $tables $mode $query]} {
      return "-- it does not show on fresh connections; try MMAPSYNC_SEED=n MMAPSYNC_GROUP=n\n$query\nmode $mode\n[join [lsearch -all -inline -glob $lines CREATE*] ";\n"]"
    }
    set ::before [shrink $history [list apply {{lines natives tables mode query history} {
      set ::before $history
      stillDiffers $lines $natives $tables $mode $query
    }} $lines $natives $tables $mode $query] $until]
  }
  if {[stillDiffers $lines {} $tables $mode $query]} { set natives {} }
  foreach {part value} [list split 0 like 0 encoding {UTF-8 UTF-8} source {{PRAGMA automatic_index=OFF}} \
      reader {{PRAGMA automatic_index=OFF}}] {
    set try [dict replace $mode $part $value]
    if {[stillDiffers $lines $natives $tables $try $query]} { set mode $try }
  }
  set lines [shrink $lines [list apply {{natives tables mode query lines} {
    stillDiffers $lines $natives $tables $mode $query
  }} $natives $tables $mode $query] $until]
  set natives [shrink $natives [list apply {{lines tables mode query natives} {
    stillDiffers $lines $natives $tables $mode $query
  }} $lines $tables $mode $query] $until]
  set query [shorterQuery $lines $natives $tables $mode $query $until]
  stillDiffers $lines $natives $tables $mode $query
  set sql [dict get $query sql]
  set drop {}
  set publish ""
  set attach ""
  set made [madeBy $lines $tables]
  foreach t $made {
    set name [dict get $t name]
    if {[string index $name 0] eq "v"} { set drop [linsert $drop 0 "DROP VIEW $name;"] } else { lappend drop "DROP TABLE $name;" }
  }
  foreach {c specs} [channelsOf /dev/shm/difference $mode [lmap t $made { dict get $t spec }]] {
    append publish "SELECT mmapsync_publish('$c', '[join $specs ',']');\n"
    append attach "SELECT mmapsync_attach('$c');\n"
  }
  set out ""
  if {[info exists ::smallAnswers]} {
    append out "-- source:  [string range [lindex $::smallAnswers 0] 0 300]\n-- channel: [string range [lindex $::smallAnswers 1] 0 300]\n"
  }
  if {[lindex [dict get $mode encoding] 0] ne [lindex [dict get $mode encoding] 1]} {
    append out "-- the reader is another connection, of encoding [lindex [dict get $mode encoding] 1]\n"
  }
  if {[dict get $mode like] ne "0"} { append out "-- both sides have ownLike for [dict get $mode like]\n" }
  append out ".load ./build/mmapsync\nPRAGMA encoding='[lindex [dict get $mode encoding] 0]';\n"
  foreach line [concat $natives $lines] { append out "$line;\n" }
  append out $publish
  foreach {side before} [list source {} reader [join [concat $drop [list $attach]] \n]] {
    append out $before
    foreach pragma {automatic_index reverse_unordered_selects} default {ON OFF} {
      if {[lsearch -glob [dict get $mode source] *$pragma*] >= 0 && $side eq "reader"} { append out "PRAGMA $pragma=$default;\n" }
    }
    foreach line [dict get $mode $side] {
      append out [regsub {^SELECT optimizations_off\((-?\d+)\)$} $line {.testctrl optimizations \1}]
      append out [expr {[string match SELECT* $line] ? "\n" : ";\n"}]
    }
    if {$side eq "reader"} { foreach earlier $::before { append out [shellParameters $earlier] "[dict get $earlier sql];\n" } }
    append out [shellParameters $query] "$sql;\n"
  }
  return $out
}
