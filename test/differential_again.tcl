# differential_again.tcl - statements that were prepared long ago, over snapshots of another shape, for
# differential.test.
#
# The rows of the source change.  Then what is published in its place is a disguise: a table of the same name
# and rows whose columns stand in another order, are of other types (of none, so that values stay as they
# are) and collations, which has other keys and further columns, or is a view.  The reader's tables stay
# connected with what they declared, and its statements stay prepared.  Their answers must still be those of
# the source, whose declarations are the reader's.

# Where the numbers of new rows go on.
set nextZ 100000

# Statements that change a table's rows; some may fail.
proc changeRows {table} {
  set t [dict get $table name]
  set columns [lsearch -all -inline -not -exact [dict get $table columns] g]
  set free [lsearch -all -inline -not -exact $columns z]
  set sql {}
  for {set k [rnd 5]} {$k > 0} {incr k -1} {
    set c [pick $free]
    lappend sql [pick [list "DELETE FROM $t WHERE z%[expr {2 + [rnd 5]}]=[rnd 3]" "UPDATE OR IGNORE $t SET $c=[pick $::edges] WHERE z%3=[rnd 3]" \
      "UPDATE OR IGNORE $t SET $c=[pick $free]" "UPDATE OR IGNORE $t SET $c=NULL" "UPDATE OR IGNORE $t SET $c=$c||'x' WHERE z%2" \
      "UPDATE OR IGNORE $t SET $c=z" "UPDATE OR IGNORE $t SET $c=z/4.0" "UPDATE OR IGNORE $t SET $c='k'||z"]]
  }
  if {[chance 5]} { lappend sql "DELETE FROM $t" }
  set at [incr ::nextZ 1000]
  for {set k [rnd [pick {2 20 40}]]} {$k > 0} {incr k -1} {
    set values {}
    foreach c $columns {
      if {$c eq "z"} { lappend values [incr at]; continue }
      if {$c eq [dict get $table alias] || $c eq [dict get $table primary]} { lappend values [rnd 1000000]; continue }
      lappend values [expr {[chance 60] ? [pick $::sample($t.$c)] : [fillValue [pick {mixed small word digits text int real}] $at]}]
    }
    lappend sql "INSERT OR IGNORE INTO $t\([join $columns ,]) VALUES([join $values ,])"
  }
  return $sql
}

# Puts a disguise of the table into the schema pub, to be published as its return value says.
proc disguise {source table} {
  set t [dict get $table name]
  set all {}
  foreach d [dict get $table typed] c [dict get $table columns] {
    set collation [expr {[regexp {COLLATE (\w+)} $d -> of] ? $of : "BINARY"}]
    set collated($c) $collation
    regsub { COLLATE \w+$} $d {} d
    regsub -all {\mANY\M} $d {} d
    if {[chance 60]} { set d $c }
    # PRIMARY KEY(c COLLATE x) of a column that is INTEGER has the column's collation, not x.
    if {[lindex [dict get $table primary] 0] ne $c} { set collation [pick [list $collation $collation [pick $::collations]]] }
    lappend all "$d COLLATE $collation"
  }
  set all [lmap i [lsort -command {apply {{a b} { expr {[rnd 3] - 1} }}} [lsearch -all $all *]] { lindex $all $i }]
  set columns [lmap d $all { lindex $d 0 }]
  set more [expr {[chance 30] ? ",extra TEXT DEFAULT 'more',e2 DEFAULT 5" : ""}]
  set primary {}
  foreach part [expr {[dict get $table primary] eq "" ? "" : [split [dict get $table primary] ,]}] {
    if {[regexp {^(c\d+) COLLATE \w+( DESC)?$} [dict get $table primary] -> c desc]
        && "$c INTEGER" in [lmap d [dict get $table typed] { lrange $d 0 1 }]} {
      set part $c$desc
    }
    if {![regexp COLLATE $part]} { set part "[lindex $part 0] COLLATE $collated([lindex $part 0]) [lrange $part 1 end]" }
    lappend primary $part
  }
  set into [join $columns ,]
  if {[dict get $table rowid]} { append into ,rowid }
  foreach name [list $t $t\_base] {
    foreach type [$source eval {SELECT type FROM pub.sqlite_schema WHERE name=$name}] { $source eval "DROP $type pub.$name" }
  }
  if {[dict get $table rowid] && [chance 20]} {
    $source eval "CREATE TABLE pub.$t\_base([join $all ,]$more); INSERT INTO pub.$t\_base($into) SELECT $into FROM main.$t;
      CREATE VIEW pub.$t AS SELECT [join $columns ,] FROM $t\_base WHERE z IS NOT NULL"
    set spec "pub.$t[expr {[chance 50] ? " KEY(z)" : ""}]"
    set view 1
  } else {
    set end [expr {$primary eq "" ? ")" : ", PRIMARY KEY([join $primary ,])) WITHOUT ROWID"}]
    $source eval "CREATE TABLE pub.$t\([join $all ,]$more$end"
    for {set i [rnd 4]} {$i > 0} {incr i -1} { $source eval "CREATE INDEX pub.$t\_i$i ON $t\([keyColumns $columns 3])" }
    $source eval "INSERT INTO pub.$t\($into) SELECT $into FROM main.$t"
    set spec pub.$t
    set view 0
  }
  if {[chance 40]} { append spec " INDEX([keyColumns $columns 2])" }
  list $spec $view
}

# Runs n queries over the first snapshot, then over others, with the statements that it prepared.  What
# differs, or "".
proc runAgain {n rounds tables channel mode} {
  src eval {ATTACH ':memory:' AS pub}
  rdr cache size 100
  set queries {}
  for {set i 0} {$i < $n} {incr i} { lappend queries [makeQuery [rnd 1000] $tables] }
  foreach query $queries { ask rdr $query }
  for {set round 1} {$round <= $rounds} {incr round} {
    array unset ::rank
    dropTwins src
    # The first query reads on while the next snapshot comes.
    set first [dict create sql "SELECT a.z AS z1, b.[collatedOf [lindex $tables 0]] AS c1 FROM [dict get [lindex $tables 0] name] a,\
      [dict get [lindex $tables 0] name] b WHERE a.z <= b.z ORDER BY a.z, b.z" params {}]
    set before [ask src $first]
    set changes {}
    foreach t $tables { lappend changes {*}[changeRows $t] }
    src eval BEGIN
    foreach line $changes { catch {src eval $line} }
    src eval COMMIT
    set specs {}
    set views {}
    foreach t $tables {
      lassign [disguise src $t] spec view
      lappend specs $spec
      if {$view} { lappend views [dict get $t name] }
    }
    set commands {}
    foreach {c list} [channelsOf $channel $mode $specs] { lappend commands "SELECT mmapsync_publish('$c', '[join $list ',']')" }
    set got {}
    set published 0
    rdr eval [dict get $first sql] {
      lappend got $z1 $c1
      if {!$published} { foreach command $commands { src eval $command } }
      set published 1
    }
    if {!$published} { foreach command $commands { src eval $command } }
    if {$got ne $before} { return "seed $::seed: [dict get $first sql] saw another snapshot" }
    foreach query $queries {
      # Rows of a view have other rowids.
      if {[regexp rowid [dict get $query sql]] && $views ne ""} continue
      if {[chance 40]} {
        dict for {name literal} [dict get $query params] {
          if {![string match *LIMIT*$name* [dict get $query sql]]} { dict set query params $name [pick $::edges] }
        }
      }
      set a [ask src $query]
      set b [ask rdr $query]
      if {[string match "*prepare the statement again" $b]} {
        rdr cache flush
        set b [ask rdr $query]
      }
      incr ::compared
      if {[same src $query $a $b] || [excuse src rdr $tables $mode $query $b] ne ""} continue
      rdr cache flush
      set fresh [ask rdr $query]
      set declared [src eval {SELECT sql FROM main.sqlite_schema WHERE sql NOTNULL AND substr(name,1,2) NOT IN ('mt','mv')}]
      set shown [src eval {SELECT sql FROM pub.sqlite_schema WHERE sql NOTNULL}]
      set out "seed $::seed: after another snapshot [dict get $query sql] -- [dict get $query params]\n"
      append out "-- source:   [string range $a 0 300]\n-- channel:  [string range $b 0 300]\n"
      append out "-- prepared anew it is [expr {[same src $query $a $fresh] ? "right" : "wrong too"}]\n-- mode: $mode\n"
      append out "-- declared: [join $declared {; }]\n-- the snapshot: [join $shown {; }]\n-- published as $specs\n"
      foreach t $tables {
        set name [dict get $t name]
        append out "-- $name:\n"
        src eval "SELECT [join [lmap c [dict get $t columns] { set _ "quote($c)" }] "||','||"] AS line FROM $name LIMIT 60" {
          append out "INSERT INTO $name VALUES($line);\n"
        }
      }
      return $out
    }
  }
  src eval {DETACH pub}
  return ""
}
