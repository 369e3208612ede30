# differential.tcl - random tables, views and queries, for differential.test.
#
# A group is a set of statements that makes a database: tables t1.. (and views v1..) that are published,
# and tables n1 and n2 that both sides have as their own.  A query is one text that both sides run: over
# the source, and over virtual tables of the same names.  All that is random comes from rnd, which starts
# from a seed, so a group and its queries can be made again.
#
# Every published table has a column z, an integer that no two rows share.  Queries give z, or strings
# that spell values out exactly, one string a row: which of two equal values stands for a group (1 or
# 1.0, 'a' or 'A') SQLite does not promise, so no query asks.
#
# A query that differs is made small: statements are left out as long as the two sides still differ.  What
# is left is printed as a script for the sqlite3 shell.

# ---- chance ---------------------------------------------------------------------------------------

proc rndSeed {seed} { set ::rndState [expr {($seed * 2862933555777941757 + 3037000493) & 0xffffffffffffffff}] }
proc rnd {n} {
  set ::rndState [expr {($::rndState * 6364136223846793005 + 1442695040888963407) & 0xffffffffffffffff}]
  expr {($::rndState >> 33) % $n}
}
proc pick {list} { lindex $list [rnd [llength $list]] }
# True in p of 100 cases.
proc chance {p} { expr {[rnd 100] < $p} }

# ---- values: literals in SQL ----------------------------------------------------------------------

set edgeInts {0 1 -1 2 5 7 -128 127 128 255 256 -32768 32767 32768 65535 65536 -2147483648 2147483647
  2147483648 4294967295 4294967296 9007199254740991 9007199254740992 9007199254740993 -9007199254740993
  9223372036854775806 9223372036854775807 -9223372036854775808}
set edgeReals {0.0 -0.0 1.0 5.0 -5.0 1.5 -1.5 0.1 255.0 65536.0 1e15 1e300 -1e300 5e-324
  1.7976931348623157e308 9007199254740992.0 9007199254740994.0 -9007199254740992.0
  9223372036854775807.0 -9223372036854775808.0 9e999 -9e999}
set edgeTexts {'' {' '} '0' '1' '5' '5.0' {' 5'} {'5 '} '05' '+5' '1e3' '0x5' '.5' '5.' '1.5' '-0' '-5'
  '9007199254740993' '9223372036854775807' '9223372036854775808' '-9223372036854775808' 'inf' 'nan' 'a'
  'A' {'a '} {'A  '} 'b' 'ab' 'AB' 'aB' {'ab '} 'z' 'é' 'É' 'ß' '日本' {CAST(x'610062' AS TEXT)}
  {CAST(x'00' AS TEXT)} {CAST(x'6100' AS TEXT)} {CAST(x'3500' AS TEXT)} {CAST(x'ff80' AS TEXT)}
  {CAST(x'61c3' AS TEXT)} {CAST(x'eda080' AS TEXT)}}
set edgeBlobs {x'' x'00' x'35' x'61' x'41' x'6162' x'ff' x'ff80' x'352e30' zeroblob(3)}
set edges [concat NULL $edgeInts $edgeReals $edgeTexts $edgeBlobs]
set words {ant bee Bee BEE cat {cat } Cat dog elk {elk  } fox Gnu gnu hen ibis jay}

proc sqlText {text} { return '[string map {' ''} $text]' }

# A value for row i of a column that is filled in this way.
proc fillValue {fill i} {
  switch $fill {
    dense   { return $i }
    bool    { return [rnd 2] }
    small   { return [expr {[rnd 12] - 3}] }
    byte    { return [expr {[rnd 256] - 128}] }
    word16  { return [expr {[rnd 65536] - 32768 + 1000000}] }
    int32   { return [expr {[rnd 2147483647] * [pick {1 -1}]}] }
    int64   { return [expr {([rnd 2147483647] * 4294967296 + [rnd 2147483647]) * [pick {1 -1}]}] }
    int     { return [pick $::edgeInts] }
    whole   { return [expr {[rnd 9] - 2}].0 }
    real    { return [expr {[rnd 2000000] / 1000.0 - 700}] }
    float   { return [pick $::edgeReals] }
    number  { return [pick [pick [list $::edgeInts $::edgeReals]]] }
    word    { return [sqlText [pick $::words]] }
    unique  { return [sqlText [pick {k K item- "" é}]$i] }
    digits  { return [sqlText [pick {{} {} 0 - { }}][rnd 20][pick {{} {} .0 .5 e0 { } x}]] }
    text    { return [pick $::edgeTexts] }
    long    { return [sqlText [string repeat [pick {x ab é {0123456789 }}] [rnd [pick {3 300 3000}]]]] }
    bytes   { return x'[string repeat [format %02x [rnd 256]] [rnd 6]]' }
    blob    { return [pick $::edgeBlobs] }
    null    { return NULL }
    const   { return 42 }
    default { return [pick $::edges] }
  }
}
set fills {bool small byte word16 int32 int64 int whole real float number word word unique digits digits
  text long bytes blob null const mixed mixed mixed mixed}

# ---- tables ---------------------------------------------------------------------------------------

set types {INTEGER INT BIGINT "UNSIGNED BIG INT" TEXT TEXT VARCHAR(10) CLOB NCHAR(55) REAL DOUBLE FLOAT
  "FLOATING POINT" NUMERIC DECIMAL(10,2) BOOLEAN DATE STRING BLOB "" "" "" "some odd type" CHARINT}
set collations {BINARY BINARY BINARY NOCASE NOCASE RTRIM}

# The columns of a key or index: up to n of the names, each perhaps with a collation and an order.
proc keyColumns {columns n} {
  set out {}
  set left $columns
  for {set k [expr {1 + [rnd $n]}]} {$k > 0 && $left ne ""} {incr k -1} {
    set i [rnd [llength $left]]
    set c [lindex $left $i]
    set left [lreplace $left $i $i]
    if {[chance 20]} { append c " COLLATE [pick $::collations]" }
    if {[chance 25]} { append c " DESC" }
    lappend out $c
  }
  join $out ,
}

# The rowids of n rows.
proc rowids {n} {
  set mode [pick {dense zero negative gaps gaps far ends wide}]
  set out {}
  set at [dict get {dense 1 zero 0 negative -7 gaps -3 far 9007199254740980 ends 0 wide -4611686018427387904} $mode]
  for {set i 0} {$i < $n} {incr i} {
    if {$mode eq "ends"} {
      lappend out [expr {$i % 2 ? 9223372036854775807 - $i : -9223372036854775807 + $i}]
    } else {
      lappend out $at
    }
    incr at [expr {$mode eq "gaps" ? 1 + [rnd [pick {2 5 900}]] : $mode eq "wide" ? 1 + [rnd 99999999999999] : 1}]
  }
  return $out
}

# Makes a table of about n rows.  A dictionary: name, sql (its statements), columns, rowid (1 if it has
# one), alias (the column that is the rowid), spec (how it is published).
proc makeTable {name n} {
  set kind [pick {none none ipk ipk ipk ipkdesc one one two wrone wrone wrtwo wrint}]
  set columns {}
  set decls {}
  set fillOf {}
  set k [expr {2 + [rnd 5]}]
  for {set i 0} {$i < $k} {incr i} {
    lappend columns c$i
    set decl "c$i [pick $::types]"
    if {[chance 50]} { append decl " COLLATE [pick $::collations]" }
    lappend decls $decl
    lappend fillOf [pick $::fills]
  }
  set alias ""
  if {$kind in {ipk wrint ipkdesc}} {
    set i [rnd $k]
    if {$kind eq "ipk"} { set alias c$i }
    set decls [lreplace $decls $i $i "c$i INTEGER PRIMARY KEY[expr {$kind eq "ipkdesc" ? " DESC" : ""}]"]
    set fillOf [lreplace $fillOf $i $i rowid]
  }
  if {$kind eq "one"} { set decls [lmap d $decls { regsub {^(c\d) INTEGER} $d {\1 INT} }] } ;# or it is the rowid
  set at [rnd [expr {$k + 1}]]
  set decls [linsert $decls $at "z INT"]
  set columns [linsert $columns $at z]
  set fillOf [linsert $fillOf $at dense]
  set stored $columns
  if {[chance 20]} {
    # Not REAL: such a column, if it is virtual, shows whole numbers as integers in some plans.  And nothing
    # that queries say: an index on it would be taken to answer them, with the column's affinity.
    set type [pick {INTEGER TEXT NUMERIC BLOB ""}]
    lappend decls "g $type AS ([pick [list 2+c0 "c0||'g'" 0-c1 "coalesce(c1,c0)"]]) [pick {STORED VIRTUAL}]"
    lappend columns g
  }
  switch $kind {
    one - wrone { lappend decls "PRIMARY KEY([keyColumns [lrange $stored 0 end] 1])" }
    two - wrtwo { lappend decls "PRIMARY KEY([keyColumns $stored 3])" }
  }
  set without [expr {$kind in {wrone wrtwo wrint}}]
  if {[chance 30]} { lappend decls "UNIQUE([keyColumns $columns 2])" }
  set sql [list "CREATE TABLE $name\([join $decls {, }])[expr {$without ? " WITHOUT ROWID" : ""}]"]
  for {set i [rnd 4]} {$i > 0} {incr i -1} {
    set where [expr {[chance 10] ? " WHERE c0 IS NOT NULL" : ""}]
    lappend sql "CREATE [expr {[chance 10] ? "UNIQUE " : ""}]INDEX $name\_i$i ON $name\([keyColumns $columns 3])$where"
  }
  set ids [rowids $n]
  set nulls [pick {0 0 10 40}]
  set withRowid [expr {$kind in {none one two} && [chance 60]}]
  for {set i 0} {$i < $n} {incr i} {
    set values {}
    foreach c $stored fill $fillOf {
      if {$fill eq "rowid"} {
        lappend values [lindex $ids $i]
      } elseif {$c ne "z" && [chance $nulls]} {
        lappend values NULL
      } else {
        lappend values [fillValue $fill [expr {$i + 1}]]
      }
    }
    set into [join $stored ,]
    if {$withRowid} {
      append into ,rowid
      lappend values [lindex $ids $i]
    }
    lappend sql "INSERT OR IGNORE INTO $name\($into) VALUES([join $values ,])"
  }
  # The order of insertion is not that of the key.
  for {set i [expr {$n / 2}]} {$i > 0} {incr i -1} {
    set from [expr {[llength $sql] - 1 - [rnd $n]}]
    set line [lindex $sql $from]
    set sql [linsert [lreplace $sql $from $from] [expr {[llength $sql] - $n}] $line]
  }
  set spec $name
  if {[chance 25]} { append spec " INDEX([keyColumns $columns 2])" }
  dict create name $name sql $sql columns $columns rowid [expr {!$without}] spec $spec alias $alias
}

# The tables that both sides have of their own: a column of every affinity and collation; n2 has indexes.
proc nativeTables {} {
  set sql {}
  foreach name {n1 n2} {
    lappend sql "CREATE TABLE $name\(z INT, i INTEGER, t TEXT, r REAL, m NUMERIC, b BLOB, x, nc TEXT COLLATE NOCASE,\
      rt TEXT COLLATE RTRIM)"
    if {$name eq "n2"} { foreach c {i t r m b x nc rt} { lappend sql "CREATE INDEX n2_$c ON n2($c)" } }
    for {set i 1} {$i <= 14} {incr i} {
      set v [fillValue [pick {mixed mixed mixed digits small word number text}] $i]
      set w [fillValue [pick {mixed digits small word number text}] $i]
      lappend sql "INSERT INTO $name VALUES($i,$v,$v,$v,$v,$v,$v,$w,$w)"
    }
  }
  return $sql
}
set nativeColumns {z i t r m b x nc rt}

# ---- views ----------------------------------------------------------------------------------------

proc viewExpression {c d} {
  set type [pick {TEXT INTEGER REAL NUMERIC BLOB}]
  pick [list $c $c $c "+$c" "$c+0" "$c*1.0" "$c||''" "$c||$d" "CAST($c AS $type)" "CAST($c AS $type)" \
    "$c COLLATE [pick $::collations]" "CAST($c AS TEXT) COLLATE NOCASE" "coalesce($c,$d)" "upper($c)" \
    "CASE WHEN $c IS NULL THEN $d ELSE $c END" "typeof($c)" "length($c)" "$c = $d" "-$c" "($c)" "iif(z%2,$c,$d)" \
    "(SELECT $c)" "(SELECT t FROM n1 WHERE n1.z=$c)" "quote($c)" "'5'" "5" "NULL" "substr($c,1,2)" "min($c,$d)"]
}

# Makes a view over a table, or over it and a native one.  It need not have unique columns but z.
proc makeView {name table} {
  set t [dict get $table name]
  set k [expr {2 + [rnd 4]}]
  set columns z
  set list t.z
  set other t.z
  for {set i 0} {$i < $k} {incr i} {
    set c t.[pick [dict get $table columns]]
    set d t.[pick [dict get $table columns]]
    lappend columns e$i
    append list ", [string map {z%2 t.z%2} [viewExpression $c $d]] AS e$i"
    append other ", [pick [list $c $d $d "CAST($d AS TEXT)" "$d+0"]]"
  }
  set kind [pick {plain plain plain where join left union mixed mixed distinct limit group}]
  # Text of numbers beyond 2^53 in a column of affinity REAL: IN and = differ about it.
  if {$kind eq "mixed" && [regexp {922337203685|900719925474} [dict get $table sql]]} { set kind plain }
  switch $kind {
    plain    { set from "FROM $t t" }
    where    { set from "FROM $t t WHERE t.z%3" }
    join     { set from "FROM $t t JOIN n1 ON t.z=n1.z" }
    left     { set from "FROM $t t LEFT JOIN n2 ON t.z=n2.z" }
    union    { set from "FROM $t t WHERE t.z%2 UNION ALL SELECT $list FROM $t t WHERE NOT t.z%2" }
    mixed    { # columns whose affinity is that of half of their rows; LIMIT keeps conditions out of the halves
      set from "FROM $t t WHERE t.z%2 UNION ALL SELECT $other FROM $t t WHERE NOT t.z%2 ORDER BY 1 LIMIT 1000"
    }
    distinct { set list "DISTINCT $list"; set from "FROM $t t" }
    limit    { set from "FROM $t t ORDER BY t.z LIMIT 20" }
    group    { set from "FROM $t t GROUP BY t.z" }
  }
  set spec $name
  if {[chance 60]} { append spec " KEY(z[pick {{} { DESC}}])" }
  foreach clause {1 2} { if {[chance 60]} { append spec " INDEX([keyColumns [lrange $columns 1 end] 2])" } }
  dict create name $name sql [list "CREATE VIEW $name AS SELECT $list $from"] columns $columns rowid 0 spec $spec \
    alias {}
}

# ---- queries --------------------------------------------------------------------------------------

# The value of an expression, spelled out.
proc exact {e} { return "typeof($e)||CASE typeof($e) WHEN 'real' THEN printf('%!.20g',$e) ELSE hex($e) END" }

# Reads values of each column of a table from the source, as literals, for queries that find something.
proc sampleTable {db table} {
  set t [dict get $table name]
  foreach c [dict get $table columns] {
    set ::sample($t.$c) [$db eval "SELECT DISTINCT CASE typeof($c)
        WHEN 'text' THEN CASE WHEN length(CAST($c AS BLOB)) = length($c) AND length($c) < 100 THEN quote($c)
                              ELSE 'CAST(x''' || hex($c) || ''' AS TEXT)' END
        WHEN 'real' THEN CASE WHEN abs($c) > 1.79e308 THEN iif($c > 0, '9e999', '-9e999')
                              ELSE printf('%!.20g', $c) END
        ELSE quote($c) END FROM $t ORDER BY z LIMIT 40"]
    if {$::sample($t.$c) eq ""} { set ::sample($t.$c) NULL }
  }
}

proc literal {t c} {
  switch [rnd 10] {
    0 - 1 - 2 - 3 - 4 { return [pick $::sample($t.$c)] }
    5       { return [pick [pick [list $::edgeInts $::edgeReals]]] }
    6       { return [pick $::edgeTexts] }
    7       { return [sqlText [pick $::words]] }
    8       { return [pick [list [expr {[rnd 30] - 5}] [expr {[rnd 20] - 5}].0 '[rnd 20]' '[rnd 20].0']] }
    default { return [pick $::edges] }
  }
}

# Makes a bound parameter of a literal.
proc parameter {literal} {
  set name :p[expr {[dict size $::params] + 1}]
  dict set ::params $name $literal
  return $name
}

# Something to compare column c of table t with.
proc value {t c} {
  set v [literal $t $c]
  if {[chance 55]} { return $v }
  switch [rnd 12] {
    0 - 1 - 2 { return [parameter $v] }
    3 - 4   { return "CAST($v AS [pick {TEXT INTEGER REAL NUMERIC BLOB}])" }
    5       { return "+$v" }
    6       { return "($v||'')" }
    7       { return "($v+0)" }
    8       { return "(SELECT $v)" }
    9       { return "(SELECT [pick $::nativeColumns] FROM n1 WHERE z=[expr {1 + [rnd 14]}])" }
    10      { return "coalesce(NULL,$v)" }
    default { return "$v COLLATE [pick $::collations]" }
  }
}
proc values {t c n} {
  set out {}
  while {$n > 0} { lappend out [value $t $c]; incr n -1 }
  join $out ,
}

proc columnOf {table} {
  if {[dict get $table rowid] && [chance 8]} { return rowid }
  pick [dict get $table columns]
}
# Another one that has a collation.  The alias of a rowid has none, which no column of a virtual table can
# imitate: next to it the collation of the other side counts even where values are compared as text.
proc collatedOf {table} {
  set columns [dict get $table columns]
  set i [lsearch $columns [dict get $table alias]]
  if {$i >= 0} { set columns [lreplace $columns $i $i] }
  pick $columns
}
proc sampled {t c} { expr {$c eq "rowid" ? "z" : $c} }

# A condition on one table, whose columns are reached through prefix.
proc condition {table prefix {deep 1}} {
  set t [dict get $table name]
  set c0 [columnOf $table]
  set s [sampled $t $c0]
  set c $prefix$c0
  set d $prefix[pick [dict get $table columns]]
  switch [rnd 33] {
    0 - 1 - 2 - 3 - 4 - 5 - 6 { return "$c = [value $t $s]" }
    7  { return "[value $t $s] = $c" }
    8  { return "$c = [value $t $s] AND $d = [value $t $s]" }
    9  { return "$c IN ([values $t $s [expr {1 + [rnd 4]}]])" }
    10 { return "$c IN ([values $t $s [expr {1 + [rnd 4]}]]) AND $d IN ([values $t $s 2])" }
    11 { return "$c NOT IN ([values $t $s 2])" }
    12 { return "$c IN (SELECT [pick $::nativeColumns] FROM [pick {n1 n2}])" }
    13 { return "$c IS [value $t $s]" }
    14 { return "$c IS NOT [value $t $s]" }
    15 { return "$c [pick {ISNULL NOTNULL}]" }
    16 - 17 { return "$c [pick {< <= > >=}] [value $t $s]" }
    18 { return "$c [pick {> >=}] [value $t $s] AND $c [pick {< <=}] [value $t $s]" }
    19 { return "$c BETWEEN [value $t $s] AND [value $t $s]" }
    20 { return "$c <> [value $t $s]" }
    21 { return "$c [pick {LIKE GLOB}] '[pick {a% A% %a a* * % b_e %5% 5 k1% {}}]'" }
    22 - 23 { if {$deep} { return "([condition $table $prefix 0]) OR ([condition $table $prefix 0])" } }
    24 { if {$deep} { return "NOT ([condition $table $prefix 0])" } }
    25 { if {$deep} { return "([condition $table $prefix 0]) AND ([condition $table $prefix 0])" } }
    26 { return "$c COLLATE [pick $::collations] = [value $t $s]" }
    27 { return "[pick [list +$c "$c||''" $c+0 "CAST($c AS TEXT)" "CAST($c AS INTEGER)" "($c)"]] = [value $t $s]" }
    28 { return "$c = $d" }
    29 { return "($c, $d) = ([value $t $s], [value $t $s])" }
    30 { return "($c, $d) IN (VALUES ([value $t $s], [value $t $s]), ([value $t $s], [value $t $s]))" }
    31 { return "CASE $c WHEN [value $t $s] THEN 1 WHEN [value $t $s] THEN 0 ELSE $d END" }
    32 { return "$c = $d AND $d = [value $t $s]" }
  }
  return "$c = [value $t $s]"
}

# The queries.  Each takes the published tables and gives a text that yields one column; a text with
# ORDER BY at its end is compared in order.
proc queryWhere {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set out [pick [list z z z z "printf('%s %s',z,[exact [pick [dict get $table columns]]])" [exact [columnOf $table]]]]
  return "SELECT $out FROM $t WHERE [condition $table {}]"
}
proc queryExpression {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set c [columnOf $table]
  set v [value $t [sampled $t $c]]
  set e [pick [list "$c = $v" "$c < $v" "$c IN ($v,1)" "$c||$v" "$c+1" "$c LIKE 'a%'" "min($c,$v)" "coalesce($c,$v)" \
    "substr($c,2)" "length($c)" "upper($c)" "CAST($c AS TEXT)" "CAST($c AS INTEGER)" "CAST($c AS BLOB)" "-$c" \
    "$c IS $v" "nullif($c,$v)" "unicode($c)" "instr($c,$v)" "quote($c)" "$c BETWEEN $v AND 5" "round($c)" "~$c" "trim($c)"]]
  return "SELECT printf('%s %s',z,[exact "($e)"]) FROM $t[pick [list {} { WHERE z%3} " WHERE [condition $table {}]"]]"
}
# Two tables, either of which may be a native one, and how they are joined.
proc queryJoin {tables} {
  set a [pick $tables]
  set b [pick $tables]
  set na [dict get $a name]
  set nb [dict get $b name]
  set ca a.[columnOf $a]
  set cb b.[columnOf $b]
  set text a.[collatedOf $a]
  set which [rnd 3]
  if {$which == 1} { set nb [pick {n1 n2}]; set cb b.[pick $::nativeColumns] }
  if {$which == 2} { set na [pick {n1 n2}]; set ca a.[pick $::nativeColumns]; set text $ca }
  set on [pick [list "$ca = $cb" "$ca = $cb" "$ca = $cb" "$cb = $ca" "$ca = $cb AND a.z > 3" "$ca IS $cb" \
    "$ca = $cb COLLATE [pick $::collations]" "$ca < $cb AND b.z < 5" "$ca = $cb AND b.z = a.z" "$ca = +$cb" \
    "$ca IN ($cb, 5)" "$ca = $cb OR a.z = b.z" "a.z = b.z" "a.z = b.z AND $ca = $cb" "CAST($text AS TEXT) = $cb"]]
  set join [pick {JOIN JOIN JOIN "LEFT JOIN" "LEFT JOIN" "CROSS JOIN"}]
  set where ""
  if {$join eq "LEFT JOIN" && $::full && [chance 30]} {
    set join [pick {"RIGHT JOIN" "FULL JOIN"}] ;# alone: beside WHERE, 3.40 loses rows of its own tables
  } elseif {$which != 2 && [chance 35]} {
    set where " WHERE [condition $a a.]"
  } elseif {$which != 1 && [chance 40]} {
    set where " WHERE [condition $b b.]"
  }
  set out [pick [list "printf('%s %s',a.z,b.z)" "printf('%s %s',a.z,b.z)" count(*) a.z]]
  return "SELECT $out FROM $na a $join $nb b ON $on$where"
}
proc queryThree {tables} {
  set a [pick $tables]; set b [pick $tables]; set c [pick $tables]
  set x [pick [list "JOIN [dict get $c name] c ON c.[columnOf $c] = b.[columnOf $b]" \
    "JOIN n2 c ON c.[pick $::nativeColumns] = b.[columnOf $b]" "LEFT JOIN n1 c ON c.z = b.z"]]
  return "SELECT printf('%d %d',count(*),sum(a.z*31+b.z*7+c.z)) FROM [dict get $a name] a JOIN [dict get $b name] b\
    ON a.[columnOf $a] = b.[columnOf $b] $x WHERE [condition $a a. 0]"
}
proc querySub {tables} {
  set a [pick $tables]
  set b [pick $tables]
  set na [dict get $a name]
  set nb [dict get $b name]
  set ca a.[columnOf $a]
  set cb b.[columnOf $b]
  if {[chance 25]} { set nb [pick {n1 n2}]; set cb b.[pick $::nativeColumns] }
  switch [rnd 9] {
    0 { return "SELECT a.z FROM $na a WHERE $ca IN (SELECT $cb FROM $nb b)" }
    1 { return "SELECT a.z FROM $na a WHERE $ca NOT IN (SELECT $cb FROM $nb b WHERE $cb IS NOT NULL)" }
    2 { return "SELECT a.z FROM $na a WHERE [pick {{} NOT}] EXISTS(SELECT 1 FROM $nb b WHERE $cb = $ca)" }
    3 { return "SELECT printf('%s %s',a.z,(SELECT count(*) FROM $nb b WHERE $cb = $ca)) FROM $na a" }
    4 { return "SELECT printf('%s %s',a.z,(SELECT max(b.z) FROM $nb b WHERE $cb [pick {= >= <}] $ca)) FROM $na a" }
    5 { return "SELECT a.z FROM $na a WHERE $ca = (SELECT $cb FROM $nb b WHERE b.z = a.z)" }
    6 { return "SELECT a.z FROM $na a WHERE $ca = (SELECT $cb FROM $nb b WHERE b.z = [expr {1 + [rnd 9]}])" }
    7 { return "WITH q AS [pick {{} MATERIALIZED {NOT MATERIALIZED}}] (SELECT $cb AS k, z FROM $nb b)\
          SELECT printf('%s %s',a.z,q.z) FROM $na a JOIN q ON q.k = $ca" }
    8 { return "SELECT printf('%s %s',a.z,q.z) FROM (SELECT $cb AS k, z FROM $nb b ORDER BY z LIMIT 9) q JOIN $na a ON $ca = q.k" }
  }
}
proc queryAggregate {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set c [columnOf $table]
  set d [pick [dict get $table columns]]
  set where [pick [list {} {} " WHERE [condition $table {}]"]]
  switch [rnd 9] {
    0 { return "SELECT printf('%d %d %d %d %d',count(*),count($c),count(DISTINCT $c),sum(z),max(z)) FROM $t$where" }
    1 { return "SELECT count(*) FROM $t WHERE $c = (SELECT [pick {min max}]($c) FROM $t$where)" }
    2 { return "SELECT printf('%d %d %d %d',count(*),sum(z),min(z),max(z)) FROM $t$where GROUP BY $c" }
    3 { return "SELECT printf('%d %d',count(*),sum(z)) FROM $t$where GROUP BY $c, $d HAVING count(*) > [rnd 2]" }
    4 { return "SELECT count(*) FROM (SELECT DISTINCT $c, $d FROM $t$where)" }
    5 { return "SELECT printf('%s %s',typeof($c),count(*)) FROM $t$where GROUP BY typeof($c)" }
    6 { return "SELECT [pick {min max}]([exact $c]) FROM $t$where" }
    7 { return "SELECT printf('%d %d',z,count(*) OVER (PARTITION BY $c)) FROM $t$where" }
    8 { return "SELECT count(*) FROM $t$where" }
  }
}
proc queryOrder {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set by {}
  set left [dict get $table columns]
  foreach c [list [columnOf $table] [pick [dict get $table columns]]] {
    set left [lsearch -all -inline -not -exact $left $c]
    if {[chance 25]} { append c " COLLATE [pick $::collations]" }
    lappend by "$c[pick {{} { DESC}}][pick {{} {} {} { NULLS FIRST} { NULLS LAST}}]"
  }
  set limit [pick [list {} {} " LIMIT [rnd 20]" " LIMIT [rnd 10] OFFSET [rnd 20]"]]
  # The condition is on other columns: a column equal to 5 may hold '5' and '5.0', and SQLite does not sort
  # by it any more.
  set table [dict replace $table columns [concat $left z] rowid 0]
  set where [pick [list {} {} " WHERE [condition $table {}]"]]
  return "SELECT [pick [list z "printf('%d %d',z,row_number() OVER (ORDER BY $c, z))"]] FROM $t$where\
    ORDER BY [join [lrange $by 0 [rnd 2]] ,], z$limit"
}
proc queryCompound {tables} {
  set a [pick $tables]
  set b [pick $tables]
  set ca [collatedOf $a]
  set cb [columnOf $b]
  set na [dict get $a name]
  set nb [dict get $b name]
  if {[chance 25]} { set nb [pick {n1 n2}]; set cb [pick $::nativeColumns] }
  set op [pick {UNION "UNION ALL" EXCEPT INTERSECT}]
  switch [rnd 3] {
    0 { return "SELECT count(*) FROM (SELECT $ca FROM $na $op SELECT $cb FROM $nb)" }
    1 { return "SELECT [exact $ca] FROM $na $op SELECT [exact $cb] FROM $nb ORDER BY 1" }
    2 { return "SELECT z FROM $na WHERE [condition $a {}] $op SELECT z FROM $nb WHERE z > 4 ORDER BY 1 LIMIT 20" }
  }
}

# A query of every kind in turn, so that a short run has them all.
set queryKinds {Where Where Join Where Sub Where Expression Aggregate Where Join Order Where Compound Sub Where Three Join}
proc makeQuery {i tables} {
  set ::params {}
  set sql [query[lindex $::queryKinds [expr {$i % [llength $::queryKinds]}]] $tables]
  list $sql $::params
}

# ---- both sides -----------------------------------------------------------------------------------

# Opens connections of these names: one gets the source, made by sql, and publishes specs; the other
# attaches what was published.  Both get the native tables.
proc openSides {source reader channel sql natives specs} {
  newdb $source
  newdb $reader
  foreach side [list $source $reader] {
    $side function bits -deterministic {apply {v {binary encode hex [binary format Q $v]}}}
    $side eval BEGIN
    foreach line $natives { $side eval $line }
    $side eval COMMIT
    $side eval {PRAGMA automatic_index=OFF} ;# in 3.40 one may get the wrong collation
  }
  $source eval BEGIN
  foreach line $sql { catch {$source eval $line} }
  $source eval COMMIT
  $source eval "SELECT mmapsync_publish('$channel', '[join $specs ',']')"
  $reader eval {SELECT mmapsync_attach($channel)}
}

# Makes, beside the reader's table v1, a table m1 of the same rows and types that has no keys, and so on.
proc withoutKeys {source reader channel} {
  set views [$source eval {SELECT name FROM sqlite_schema WHERE type='view'}]
  $source eval "SELECT mmapsync_publish('$channel', '[join $views ',']')"
  foreach view $views {
    $reader eval "CREATE VIRTUAL TABLE temp.[string map {v m} $view] USING mmapsync('$channel', $view)"
  }
}

# Runs a query on one side: its rows, sorted if their order does not count, or the error.
proc ask {side sql params} {
  foreach {name literal} $params {
    if {[info exists ::bound($literal)]} {
      set [string range $name 1 end] $::bound($literal)
    } elseif {$literal ne "NULL"} {
      set ::bound($literal) [lindex [$side eval "SELECT $literal"] 0]
      set [string range $name 1 end] $::bound($literal)
    }
  }
  if {[catch {$side eval $sql} rows]} { return "error: $rows" }
  if {[regexp { ORDER BY [^()]*$} $sql]} { return $rows }
  lsort $rows
}

# ---- making a difference small ---------------------------------------------------------------------

# Whether the sides differ on a query when the source is made by these statements.
proc stillDiffers {lines natives tables sql params} {
  set specs {}
  foreach t $tables {
    if {[lsearch -glob $lines "CREATE * [dict get $t name]*"] < 0} continue
    lappend specs [dict get $t spec]
  }
  set channel [file join $::testdir small]
  set differs 0
  catch {
    openSides small1 small2 $channel $lines $natives $specs
    set differs [expr {[ask small1 $sql $params] ne [ask small2 $sql $params]}]
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

# The script that shows a difference, made small.
proc differenceScript {tables natives sql params} {
  set until [expr {[clock milliseconds] + 6000}]
  set lines {}
  foreach t $tables { lappend lines {*}[dict get $t sql] }
  set lines [shrink $lines [list apply {{natives tables sql params lines} {
    stillDiffers $lines $natives $tables $sql $params
  }} $natives $tables $sql $params] $until]
  set natives [shrink $natives [list apply {{lines tables sql params natives} {
    stillDiffers $lines $natives $tables $sql $params
  }} $lines $tables $sql $params] $until]
  set specs {}
  set drop {}
  foreach t $tables {
    set name [dict get $t name]
    if {[lsearch -glob $lines "CREATE * $name*"] < 0} continue
    lappend specs '[dict get $t spec]'
    if {[string index $name 0] eq "v"} { set drop [linsert $drop 0 "DROP VIEW $name;"] } else { lappend drop "DROP TABLE $name;" }
  }
  set out ".load ./build/mmapsync\n"
  foreach line [concat $natives $lines] { append out "$line;\n" }
  foreach {name literal} $params { append out ".parameter set $name \"[string map {\" \\\"} $literal]\"\n" }
  append out "SELECT mmapsync_publish('/dev/shm/difference', [join $specs {, }]);\n$sql;\n[join $drop \n]\n"
  append out "SELECT mmapsync_attach('/dev/shm/difference');\n$sql;\n"
}
