# differential.tcl - random tables and views, for differential.test.
#
# A group is a set of statements that makes a database: tables t1.. (and views v1..) that are published,
# and tables n1 and n2 that both sides have as their own.  A query (differential_query.tcl) is one text that
# both sides run: over the source, and over virtual tables of the same names (differential_side.tcl).  All
# that is random comes from rnd, which starts from a seed, so a group and its queries can be made again.
#
# Every published table has a column z, an integer that no two rows share.  Queries give z, or strings
# that spell values out exactly, one string a row: which of two equal values stands for a group (1 or
# 1.0, 'a' or 'A') SQLite does not promise, so no query asks.
#
# What is left out, because SQLite promises nothing about it, or because it is a known exception (README,
# Caveats; the heads of ext/value.c and ext/vtabplan.c):
#
#   - columns of a view that are expressions have no affinity there, and BLOB's here; columns of a view of
#     several SELECTs have that of the first.  Such queries are made, and held to what a native table gives
#     whose columns are declared as ours are (makeTwins).  Views of several SELECTs of different affinity only
#     with MMAPSYNC_MIXED=1;
#   - (a,b) IN (SELECT ...) where text of ours meets numbers of the SELECT: not made;
#   - the alias of a rowid has no collation, which no column of a virtual table can imitate: it is not made
#     text and compared (collatedOf);
#   - sums of reals, whose last bit depends on the order of the rows; group_concat() without an order.
#
# Where SQLite answers a query in another way if its indexes or its optimizations are taken away, the fault
# is its own.  Such answers are counted, and printed with MMAPSYNC_VERBOSE.

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
set asciiTexts {'' {' '} '0' '1' '5' '5.0' '5.00' {' 5'} {'5 '} '05' '+5' '1e2' '5e0' '0x10' '0x5' '.5' '5.' '1.5'
  '-0' '-0.0' '-5' '9007199254740993' '9007199254740992.0' '9223372036854775807' '9223372036854775808' '1e400'
  '-9223372036854775808' 'inf' 'nan' 'a' 'A' {'a '} {'A  '} 'b' 'B' 'ab' 'AB' 'aB' {'ab '} {'  '} '%' 'a%' '_' 'a_b'
  '[a]' '*' 'a*b' char(92) '@' '[' '`' char(123) 'a'||char(123) 'Z' 'z' '2024-02-29' {'2024-02-29 12:00:00'} '12:00'}
set wideTexts {'é' 'É' 'ß' '日本' 'aé' 'Aé' char(65533) char(57344) char(97,1114111) char(128512) char(0) char(97,0)
  char(97,0,98) char(65,0,99) char(53,0) char(9,53) char(53,10)}
set brokenTexts {{CAST(x'ff80' AS TEXT)} {CAST(x'61c3' AS TEXT)} {CAST(x'eda080' AS TEXT)} {CAST(x'61ff' AS TEXT)}
  {CAST(x'41ff62' AS TEXT)} {CAST(x'f4908080' AS TEXT)}}
set someBlobs {x'' x'00' x'35' x'61' x'41' x'6162' x'ff' x'ff80' x'352e30' zeroblob(3)}

set likeBlobs {all {x'6162' x'4162' x'616263' x'61'} valid {x'61006200' x'6100'} ascii NULL}

# Which texts there are: `all`; `valid` for UTF-16 on both sides, where bytes that are no text have no
# counterpart; `ascii` where one side is UTF-16 and the other UTF-8: those have one order, and no function
# shows bytes.
proc textKind {kind} {
  set ::texts $kind
  set ::edgeTexts [concat $::asciiTexts [expr {$kind ne "ascii" ? $::wideTexts : ""}] \
    [expr {$kind eq "all" ? $::brokenTexts : ""}]]
  # What a view makes text of must be text.
  set ::edgeBlobs [expr {$kind eq "ascii" ? "NULL" : $kind eq "all" ? $::someBlobs : {x'' x'0000' x'3500' x'6100' x'41006200'}}]
  set ::edges [concat NULL $::edgeInts $::edgeReals $::edgeTexts $::edgeBlobs]
  # In UTF-16 the byte order of some is another one.
  set ::letters [dict get {ascii {@ [ ` ~ z Z - 5} valid {@ [ Z z - é Ā 一 ￿} all {@ [ ` ~ z Z - é ￿}} $kind]
  set ::casts [expr {$kind eq "ascii" ? {TEXT INTEGER REAL NUMERIC} : {TEXT INTEGER REAL NUMERIC BLOB}}]
}
textKind all
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
    unique  { return [sqlText [pick {k K item- "" k1}]$i] }
    prefix  { return [sqlText [pick {ab Ab aB AB a A {}}][pick $::letters][pick {{} {} { } 1 b}]] }
    like    { return [pick [concat {'ab' 'Ab' 'abc' {'ABc '} 'a' 'b' '5a' 'ab@'} [dict get $::likeBlobs $::texts]]] }
    date    { return [sqlText [format %04d-%02d-%02d [expr {2020 + [rnd 5]}] [expr {1 + [rnd 12]}] [expr {1 + [rnd 28]}]]] }
    skew    { return [expr {[rnd 4] ? 7 : [rnd 1000]}] }
    cluster { return [expr {$i / 8 * 8}] }
    digits  { return [sqlText [pick {{} {} 0 - { }}][rnd 20][pick {{} {} .0 .5 e0 { } x}]] }
    text    { return [pick $::edgeTexts] }
    long    { return [sqlText [string repeat [pick {x ab Ab {0123456789 }}] [rnd [pick {3 300 3000}]]]] }
    bytes   { return [expr {$::texts ne "all" ? [pick $::edgeBlobs] : "x'[string repeat [format %02x [rnd 256]] [rnd 6]]'"}] }
    blob    { return [pick $::edgeBlobs] }
    null    { return NULL }
    const   { return 42 }
    default { return [pick $::edges] }
  }
}
set fills {bool small byte word16 int32 int64 int whole real float number word word unique digits digits
  text prefix prefix like date skew cluster long bytes blob null const mixed mixed mixed mixed}

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

# What fills a column of a STRICT table.
set strictFills {
  INT {bool small byte int32 int64 int skew cluster} INTEGER {bool small byte int32 int64 int skew cluster}
  REAL {whole real float small number} TEXT {word unique text prefix date digits} BLOB {blob bytes}
  ANY {mixed number text digits}
}

# Makes a table of about n rows.  A dictionary: name, sql (its statements), columns, typed (their
# declarations, without constraints), rowid (1 if it has one), alias (the column that is the rowid), primary
# (the primary key, if it has no rowid), spec (how it is published).
proc makeTable {name n} {
  set kind [pick {none none ipk ipk ipk ipkdesc one one two wrone wrone wrtwo wrint}]
  set strict [chance 12]
  set columns {}
  set decls {}
  set fillOf {}
  set k [expr {[chance 3] ? 62 + [rnd 6] : 2 + [rnd 5]}] ;# a plan has 64 bits for the columns that are used
  for {set i 0} {$i < $k} {incr i} {
    set type [pick [expr {$strict ? [dict keys $::strictFills] : $::types}]]
    lappend columns c$i
    set decl "c$i $type"
    if {[chance 50]} { append decl " COLLATE [pick $::collations]" }
    if {[chance 15]} { append decl " NOT NULL" }
    lappend decls $decl
    lappend fillOf [expr {$i > 7 ? "small" : [pick [expr {$strict ? [dict get $::strictFills $type] : $::fills}]]}]
  }
  set alias ""
  if {$kind in {ipk wrint ipkdesc}} {
    set i [rnd $k]
    if {$kind eq "ipk"} { set alias c$i }
    set decls [lreplace $decls $i $i "c$i INTEGER PRIMARY KEY[expr {$kind eq "ipkdesc" ? " DESC" : ""}]"]
    set fillOf [lreplace $fillOf $i $i rowid]
  }
  if {$kind eq "one"} { set decls [lmap d $decls { regsub {^(c\d+) INTEGER} $d {\1 INT} }] } ;# or it is the rowid
  set typed [lmap d $decls { regsub { PRIMARY KEY.*} $d {} }]
  set at [rnd [expr {$k + 1}]]
  set decls [linsert $decls $at "z INT[pick {{} {} { NOT NULL}}]"]
  set typed [linsert $typed $at "z INT"]
  set columns [linsert $columns $at z]
  set fillOf [linsert $fillOf $at dense]
  set stored $columns
  if {[chance 20]} {
    # Not REAL: such a column, if it is virtual, shows whole numbers as integers in some plans.  And nothing
    # that queries say: an index on it would be taken to answer them, with the column's affinity.
    set type [pick [expr {$strict ? {INTEGER TEXT BLOB ANY} : {INTEGER TEXT NUMERIC BLOB ""}}]]
    lappend typed "g $type"
    lappend decls "g $type AS ([pick [list 2+c0 "c0||'g'" 0-c1 "coalesce(c1,c0)"]]) [pick {STORED VIRTUAL}]"
    lappend columns g
  }
  set primary [keyColumns $stored [expr {$kind in {one wrone} ? 1 : 3}]]
  if {$kind in {one wrone two wrtwo}} { lappend decls "PRIMARY KEY($primary)" }
  if {$kind eq "wrint"} { set primary c$i }
  set without [expr {$kind in {wrone wrtwo wrint}}]
  set options [join [concat [expr {$without ? {{WITHOUT ROWID}} : ""}] [expr {$strict ? "STRICT" : ""}]] {, }]
  if {[chance 30]} { lappend decls "UNIQUE([keyColumns $columns 2])" }
  set sql [list "CREATE TABLE $name\([join $decls {, }]) $options"]
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
      } elseif {$c ne "z" && [chance $nulls] && [lsearch $decls "$c *NOT NULL*"] < 0} {
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
  dict create name $name sql $sql columns $columns typed $typed rowid [expr {!$without}] spec $spec alias $alias \
    primary [expr {$without ? $primary : ""}]
}

# What fills column i of a table of many rows, from the row's number i.
proc bulkExpression {n} {
  set a [pick {7919 31337 104729 65537}]
  set m [pick [list 3 10 100 1000 $n]]
  pick [list i i -i "i*$a%$m" "i*$a%$m" "i/$m" "i/$m*$m" "(i*$a%$n)/8.0" "i*$a%$m+0.5" "iif(i*$a%$m,i,NULL)" \
    "iif(i<$n/2,i*$a%$m,NULL)" "iif(i<$n/3,i,iif(i<$n/2,i||'','x'||i))" "iif(i%1000=7,'odd',i)" "i*$a%7-3.0" \
    "printf('k%06d',i*$a%$m)" "printf('K%06d',i*$a%$m)" "'w'||(i*$a%$m)" "iif(i*$a%4,7,i*$a%1000)" "i*i*i*$a" \
    "CASE i*$a%5 WHEN 0 THEN i WHEN 1 THEN i||'.0' WHEN 2 THEN i/4.0 WHEN 3 THEN x'6162' END" \
    "(SELECT v FROM edge WHERE id=i*$a%$m)" "(SELECT v FROM edge WHERE id=i*$a%[llength $::edges])" \
    "(SELECT v FROM word WHERE id=i*$a%[llength $::words])" "iif(i%3,upper('ab'||i*$a%$m),'aB'||i*$a%$m)" \
    "9007199254740992+i*$a%$m" "CAST(9007199254740992+i*$a%$m AS REAL)" "date(1700000000+i*$a%$m*86400,'unixepoch')" \
    "substr('abcdefghijklmnopqrstuvwxyz',1,i*$a%27)||iif(i%500=3,hex(zeroblob(2000)),'')"]
}

# Makes a table of n rows in a few statements, which may take more than one chunk.
proc makeBulk {name n} {
  set decls {"z INTEGER"}
  set exprs i
  set columns z
  for {set k 0} {$k < 5} {incr k} {
    lappend decls "c$k [pick $::types]"
    if {[chance 40]} { lset decls end "[lindex $decls end] COLLATE [pick $::collations]" }
    lappend columns c$k
    lappend exprs [bulkExpression $n]
  }
  set typed $decls
  set alias ""
  if {[chance 40]} {
    lset decls 0 "z INTEGER PRIMARY KEY"
    set alias z
  }
  set sql {"CREATE TEMP TABLE IF NOT EXISTS edge(id INTEGER PRIMARY KEY, v)"
    "CREATE TEMP TABLE IF NOT EXISTS word(id INTEGER PRIMARY KEY, v)"}
  foreach list {edges words} name2 {edge word} {
    set id 0
    foreach v [set ::$list] {
      if {$list eq "words"} { set v [sqlText $v] }
      lappend sql "INSERT OR IGNORE INTO temp.$name2 VALUES($id,$v)"
      incr id
    }
  }
  lappend sql "CREATE TABLE $name\([join $decls {, }])"
  for {set i [rnd 4]} {$i > 0} {incr i -1} { lappend sql "CREATE INDEX $name\_i$i ON $name\([keyColumns $columns 3])" }
  lappend sql "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<$n)\
    INSERT INTO $name SELECT [join $exprs {, }] FROM c[pick [list {} " ORDER BY i*7919%$n"]]"
  dict create name $name sql $sql columns $columns typed $typed rowid 1 spec $name alias $alias primary {}
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
  set type [pick $::casts]
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
  # A column of numeric affinity that holds digits as text is the one case that the head of ext/value.c leaves out;
  # section 4 of the test has such columns where they are no such case.
  if {$kind eq "mixed" && ![info exists ::env(MMAPSYNC_MIXED)]} { set kind plain }
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
  if {[chance 20]} { append spec " UNIQUE([pick {e0 e1 {e0 DESC} {e1 COLLATE NOCASE}}],z[pick {{} { DESC}}])" }
  foreach clause {1 2} { if {[chance 60]} { append spec " INDEX([keyColumns [lrange $columns 1 end] 2])" } }
  dict create name $name sql [list "CREATE VIEW $name AS SELECT $list $from"] columns $columns typed {} rowid 0 \
    spec $spec alias {} primary {}
}

