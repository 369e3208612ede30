# differential_query.tcl - random queries over the tables of a group, for differential.test.
#
# makeQuery gives a dictionary: sql; params (names and literals); by (for a query whose rows are the z of one
# or two tables, in a partial order: for each term of its ORDER BY the table, where its z stands in a row, the
# column and the rest of the term), limit and offset.  A query with ORDER BY and without `by` has a total
# order.  What is not asked, and why, is at the head of differential.tcl.

# The value of an expression, spelled out.
proc exact {e} {
  if {$::texts eq "ascii"} { return "typeof($e)||quote($e)" } ;# hex() shows the encoding
  return "typeof($e)||CASE typeof($e) WHEN 'real' THEN printf('%!.20g',$e) ELSE hex($e) END"
}

# The same for all values that any collation takes for equal.
proc canon {e} {
  return "CASE typeof($e) WHEN 'text' THEN 't'||rtrim(lower(printf('%s',$e))) WHEN 'blob' THEN quote($e)\
    WHEN 'null' THEN '-' ELSE printf('%!.20g',$e+0.0) END"
}

# Reads values of each column of a table from the source, as literals, for queries that find something.
proc sampleTable {db table} {
  set t [dict get $table name]
  set text [expr {$::texts eq "ascii" ? "quote(%)" : "CASE WHEN trim(%, '[string map {' ''} [join [lmap i [lsearch -all [lrepeat 95 0] 0] { format %c [expr {$i + 32}] }] {}]]') = ''
    AND length(%) < 100 THEN quote(%) ELSE 'CAST(x''' || hex(%) || ''' AS TEXT)' END"}]
  set step [expr {[$db onecolumn "SELECT count(*) FROM $t"] / 40 + 1}]
  foreach c [dict get $table columns] {
    set ::sample($t.$c) [$db eval "SELECT DISTINCT CASE typeof($c)
        WHEN 'text' THEN [string map [list % $c] $text]
        WHEN 'real' THEN CASE WHEN abs($c) > 1.79e308 THEN iif($c > 0, '9e999', '-9e999')
                              ELSE printf('%!.20g', $c) END
        ELSE quote($c) END FROM $t WHERE z%$step=0 ORDER BY z LIMIT 40"]
    if {$::sample($t.$c) eq ""} { set ::sample($t.$c) NULL }
  }
}

# ---- what stands at the other side of an operator --------------------------------------------------

proc literal {t c} {
  switch [rnd 12] {
    0 - 1 - 2 - 3 - 4 - 5 - 6 { return [pick $::sample($t.$c)] }
    7       { return [pick [pick [list $::edgeInts $::edgeReals]]] }
    8       { return [pick $::edgeTexts] }
    9       { return [sqlText [pick $::words]] }
    10      { return [pick [list [expr {[rnd 30] - 5}] [expr {[rnd 20] - 5}].0 [expr {[rnd 20] - 5}].5 '[rnd 20]' '[rnd 20].0']] }
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
  if {[chance 50]} { return $v }
  if {[chance 40]} { return [parameter $v] }
  switch [rnd 12] {
    0 - 1 - 2 { return "CAST($v AS [pick $::casts])" }
    3       { return "+$v" }
    4       { return "($v||'')" }
    5       { return "($v[pick {+0 +1 -1 *1.0}])" }
    6       { return "(SELECT $v)" }
    7 - 8   { return "(SELECT [pick $::nativeColumns] FROM n1 WHERE z=[expr {1 + [rnd 14]}])" }
    9       { return "coalesce(NULL,$v)" }
    10      { return "([parameter $v]+0)" }
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
# Another one that has a collation, which the alias of a rowid has not.
proc collatedOf {table} {
  set columns [dict get $table columns]
  set i [lsearch $columns [dict get $table alias]]
  if {$i >= 0} { set columns [lreplace $columns $i $i] }
  pick $columns
}
proc sampled {t c} { expr {$c eq "rowid" ? "z" : $c} }

# A pattern for LIKE (or for GLOB, if star is *): often a prefix of what a column holds, cut anywhere; or a piece of it.
proc pattern {t c {star %}} {
  set v [literal $t $c]
  if {[chance 25]} { return [pick [list "'a$star'" "'A$star'" "'$star'" "''" "'ab$star'" "'_$star'" "'?$star'" "'${star}a'" \
    "'5$star'" "'-$star'" "'k1$star'" "'a_$star'" "'\[a-c\]$star'" "'ab@$star'" "'ab\[$star'" "'aZ$star'" "'az$star'" \
    "'a~$star'" "'AB`$star'" "'20$star'" "5" "5.0" "NULL" "'\\$star'" "'5'" "'1.$star'" "'a ${star}'" "'ab' " \
    "'é$star'" "'aé$star'" "char(97,1114111)||'$star'" "char(65535)||'$star'"]] }
  if {[regexp -nocase {^x'((?:[46][1-9a-f])+)'$} $v -> text]} { set v '[binary decode hex $text]' }
  if {[regexp {^'([^']*)'$} $v -> text]} {
    set text '[string range $text 0 [rnd [expr {1 + min(12, [string length $text])}]]-1][pick [list $star $star $star {} _ ?]]'
    if {[chance 35]} {
      regexp {^'([^']*)'$} $v -> all
      set from [rnd [expr {1 + min(12, [string length $all])}]]
      set text '[pick [list $star $star ?$star _ ${star}_]][string range $all $from [expr {$from + [rnd 6]}]][pick [list $star $star {} _${star}]]'
    }
    if {[chance 20]} { set text [pick [list [string toupper $text] [string tolower $text]]] }
  } else {
    set text "substr($v,1,[rnd 4])||'$star'"
  }
  if {[chance 30] && ![string match *||* $text]} { return [parameter $text] }
  return $text
}

# What an IN may look into.  Not with a COLLATE, which SQLite follows only where it has no index.
proc lookInto {t s} { regsub -all { COLLATE \w+} [lookIntoAny $t $s] {} }
proc lookIntoAny {t s} {
  switch [rnd 7] {
    0 - 1   { return "SELECT [pick $::nativeColumns] FROM [pick {n1 n2}]" }
    2       { return "SELECT [pick $::nativeColumns] FROM n1 WHERE z[pick {< > =}][rnd 15]" }
    3       { return "SELECT value FROM json_each('\[1,\"5\",2.5,\"a\",null,[rnd 30],\"[rnd 30]\"\]')" }
    4       { return "VALUES ([value $t $s]),([value $t $s]),([value $t $s])" }
    5       { return "SELECT [value $t $s] UNION [pick {{} ALL}] SELECT [value $t $s]" }
    default { return "SELECT $s FROM $t WHERE z[pick {< > =}][rnd 40]" }
  }
}

# ---- conditions ----------------------------------------------------------------------------------

# A plain term: column, operator, something.  Most of what a plan can make use of.
proc term {t c s} {
  switch [rnd 9] {
    0 - 1 { return "$c = [value $t $s]" }
    2     { return "$c IN ([values $t $s [expr {1 + [rnd 4]}]])" }
    3 - 4 { return "$c [pick {< <= > >=}] [value $t $s]" }
    5     { return "$c [pick {> >=}] [value $t $s] AND $c [pick {< <=}] [value $t $s]" }
    6     { return "$c [pick {ISNULL NOTNULL {IS NOT NULL} {IS NULL}}]" }
    7     { return "$c [pick {<> != {IS NOT} IS}] [value $t $s]" }
    8     { return [pick [list "$c LIKE [pattern $t $s]" "$c GLOB [pattern $t $s *]"]] }
  }
}

# A condition on one table, whose columns are reached through prefix.
proc condition {table prefix {deep 1}} {
  set t [dict get $table name]
  set c0 [columnOf $table]
  set s [sampled $t $c0]
  set c $prefix$c0
  set d0 [pick [dict get $table columns]]
  set d $prefix$d0
  switch [rnd 50] {
    0 - 1 - 2 - 3 - 4 { return "$c = [value $t $s]" }
    5  { return "[value $t $s] [pick {= == < <= > >= <> IS}] $c" }
    6  { return "$c = [value $t $s] AND $d = [value $t $d0]" }
    7  { return "$c = [value $t $s] AND $d [pick {< <= > >=}] [value $t $d0]" }
    8  { return "$c = [value $t $s] AND $d BETWEEN [value $t $d0] AND [value $t $d0]" }
    9  { return "$c IN ([values $t $s [expr {1 + [rnd 4]}]])" }
    10 { if {[chance 10]} { return "$c IN ([values $t $s [expr {5 + [rnd 60]}]])" }
         return "$c IN ([values $t $s [expr {1 + [rnd 4]}]]) AND $d [pick [list "IN ([values $t $d0 2])" "> [value $t $d0]"]]" }
    11 { return "$c NOT IN ([values $t $s 2])" }
    12 { return "$c [pick {IN IN {NOT IN}}] ([lookInto $t $s])" }
    13 { return "$c [expr {$::full && [chance 20] ? "IS NOT DISTINCT FROM" : "IS"}] [value $t $s]" }
    14 { return "$c IS NOT [value $t $s]" }
    15 { return "$c [pick {ISNULL NOTNULL}]" }
    16 - 17 - 18 { return "$c [pick {< <= > >=}] [value $t $s]" }
    19 - 20 { return "$c [pick {> >=}] [value $t $s] AND $c [pick {< <=}] [value $t $s]" }
    21 { return "$c [pick {> >=}] [value $t $s] AND $c [pick {> >= < <= = <>}] [value $t $s] AND $c < [value $t $s]" }
    22 { return "$c [pick {{} NOT}] BETWEEN [value $t $s] AND [value $t $s]" }
    23 { return "$c BETWEEN $d AND [value $t $s]" }
    24 { return "$c <> [value $t $s]" }
    25 - 26 { return "$c [pick {{} {} {} NOT}] LIKE [pattern $t $s]" }
    27 { return "$c [pick {{} {} {} NOT}] GLOB [pattern $t $s *]" }
    28 { return "$c LIKE [pattern $t $s] ESCAPE '[pick {\\ % _ a x}]'" }
    29 { return [pick [list "like([pattern $t $s],$c)" "glob([pattern $t $s *],$c)" "$c LIKE $d" "$d||'%' LIKE $c" \
           "$c COLLATE [pick $::collations] LIKE [pattern $t $s]" "$c LIKE [pattern $t $s] AND $c LIKE [pattern $t $s]" \
           "$c LIKE [pattern $t $s] AND $c > [value $t $s]" "[pattern $t $s] LIKE $c" "$c||'' LIKE [pattern $t $s]"]] }
    30 - 31 { if {$deep} { return "([condition $table $prefix 0]) OR ([condition $table $prefix 0])" } }
    32 { if {$deep} { return "NOT ([condition $table $prefix 0])" } }
    33 - 34 { if {$deep} { return "([condition $table $prefix 0]) AND ([condition $table $prefix 0])" } }
    35 { return "$c COLLATE [pick $::collations] [pick {= < <= > >= <> IS}] [value $t $s]" }
    36 { set k [collatedOf $table]; set s $k; set k $prefix$k
         return "[pick [list +$k "$k||''" $k+0 "CAST($k AS TEXT)" "CAST($k AS INTEGER)" "($k)" -$k]] [pick {= = = < >=}] [value $t $s]" }
    37 { return "$c [pick {= = < <= > >= <> IS}] $d" }
    38 { return "($c, $d) [pick {= = < <= > >= IS {IS NOT}}] ([value $t $s], [value $t $d0])" }
    39 { # Plain values: a CAST gives the whole column of VALUES an affinity, and so text of ours may meet numbers.
         return "($c, $d) IN (VALUES ([literal $t $s], [literal $t $d0]), ([literal $t $s], [parameter [literal $t $d0]]))" }
    40 { return "CASE $c WHEN [value $t $s] THEN 1 WHEN [value $t $s] THEN 0 ELSE $d END" }
    41 { return "$c = $d AND $d [pick {= < >=}] [value $t $s]" }
    42 - 43 - 44 { # what several columns must all keep: filters that go with a scan
         set out {}
         for {set k [expr {[chance 5] ? 10 + [rnd 30] : 2 + [rnd 3]}]} {$k > 0} {incr k -1} {
           set e [columnOf $table]
           lappend out [term $t $prefix$e [sampled $t $e]]
         }
         return [join $out " AND "]
    }
    45 { return "([term $t $c $s]) IS [pick {TRUE FALSE {NOT TRUE} NULL}]" }
    46 { return [pick [list $c "NOT $c" "$c IS TRUE" "$c IS NOT FALSE" "($c > [value $t $s]) = 1" "iif([term $t $c $s],$d,0)"]] }
    47 { return "([term $t $c $s] OR [term $t $c $s] OR [term $t $d $d0])" }
    48 { return "([term $t $c $s] AND [term $t $d $d0] OR [term $t $c $s] AND [term $t $d $d0])" }
    49 { return "($c, $d) IN (SELECT $c0, $d0 FROM $t WHERE z[pick {< > =}][rnd 40])" }
  }
  return "$c = [value $t $s]"
}
# The table without some columns.  Where a column is equal to a constant SQLite does not sort by it any more, though
# '5' and '5.0' may both be equal to it: where only the order of whole rows tells, conditions are on other columns.
proc besides {table columns} {
  set left [dict get $table columns]
  foreach c $columns { set left [lsearch -all -inline -not -exact $left $c] }
  dict replace $table columns [concat $left z] rowid 0
}
proc maybeWhere {table {p 60}} { expr {[chance $p] ? " WHERE [condition $table {}]" : ""} }

# ---- queries --------------------------------------------------------------------------------------

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
  set e [list "$c = $v" "$c < $v" "$c IN ($v,1)" "$c||$v" "$c+1" "$c LIKE [pattern $t [sampled $t $c]]" "min($c,$v)" \
    "coalesce($c,$v)" "substr($c,2)" "upper($c)" "CAST($c AS TEXT)" "CAST($c AS INTEGER)" "-$c" "$c >= $v" "$c > $v" \
    "$c IS $v" "nullif($c,$v)" "$c BETWEEN $v AND 5" "round($c)" "~$c" "trim($c)" "$c ISNULL" "$c%7" "$c GLOB 'a*'"]
  if {$::texts ne "ascii"} { lappend e "length($c)" "CAST($c AS BLOB)" "unicode($c)" "instr($c,$v)" "quote($c)" "hex($c)" }
  return "SELECT printf('%s %s',z,[exact "([pick $e])"]) FROM $t[pick [list {} { WHERE z%3} " WHERE [condition $table {}]"]]"
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
  set join [pick {JOIN JOIN JOIN "LEFT JOIN" "LEFT JOIN" "CROSS JOIN" ,}]
  # 3.40 takes rowid IS NULL for false, even of the row of NULLs.
  if {$join eq "LEFT JOIN"} { set b [dict replace $b rowid 0]; if {$cb eq "b.rowid"} { set cb b.z } }
  set v [value [dict get $a name] z]
  set on [pick [list "$ca = $cb" "$ca = $cb" "$ca = $cb" "$cb = $ca" "$ca = $cb AND a.z > 3" "$ca IS $cb" \
    "$ca = $cb COLLATE [pick $::collations]" "$ca [pick {< <= > >=}] $cb AND b.z < 5" "$ca = $cb AND b.z = a.z" \
    "$ca = +$cb" "$ca IN ($cb, 5)" "$ca = $cb OR a.z = b.z" "a.z = b.z" "a.z = b.z AND $ca = $cb" \
    "CAST($text AS TEXT) = $cb" "$ca BETWEEN $cb AND b.z" "$cb BETWEEN $ca AND $v" "$cb > $ca AND $cb <= $v" \
    "$ca = $cb AND b.z > $v" "$cb <> $ca AND a.z = b.z" "b.z = a.z AND $cb > $v" "$cb IS NOT $ca AND b.z IN (a.z,$v)" \
    "$cb LIKE $ca||'%'" "$cb LIKE 'a%' AND b.z >= a.z"]]
  set where ""
  set out [pick [list "printf('%s %s',a.z,b.z)" "printf('%s %s',a.z,b.z)" count(*) a.z]]
  if {$join eq "," || ([chance 3] && $which == 0)} {
    if {$join ne ","} { return "SELECT count(*) FROM $na a NATURAL JOIN $nb b" }
    set where " WHERE $on[expr {[chance 30] && $which != 2 ? " AND ([condition $a a.])" : ""}]"
    return "SELECT $out FROM $na a, $nb b$where"
  }
  if {$join eq "LEFT JOIN" && $::full && [chance 30] && ![string match *LIKE* $on]} {
    set join [pick {"RIGHT JOIN" "FULL JOIN"}] ;# alone: beside WHERE or LIKE, 3.40 loses rows of its own tables
  } elseif {$join eq "LEFT JOIN" && [chance 20]} {
    set where " WHERE [pick [list "$cb ISNULL" "b.z ISNULL" "$cb NOTNULL" "coalesce(b.z,0) < 9" "b.z IS NOT 3"]]"
  } elseif {$which != 2 && [chance 35]} {
    set where " WHERE [condition $a a.]"
  } elseif {$which != 1 && [chance 40]} {
    set where " WHERE [condition $b b.]"
  }
  if {$which != 1 && [chance 15] && $join ne "FULL JOIN" && $join ne "RIGHT JOIN"} { append on " AND ([condition $b b. 0])" }
  return "SELECT $out FROM $na a $join $nb b ON $on$where"
}
proc queryThree {tables} {
  set a [pick $tables]; set b [pick $tables]; set c [pick $tables]
  set x [pick [list "JOIN [dict get $c name] c ON c.[columnOf $c] [pick {= = >=}] b.[columnOf $b]" \
    "JOIN n2 c ON c.[pick $::nativeColumns] = b.[columnOf $b]" "LEFT JOIN n1 c ON c.z = b.z" \
    "LEFT JOIN [dict get $c name] c ON c.[columnOf $c] = a.[columnOf $a] AND c.z [pick {> < =}] b.z"]]
  return "SELECT printf('%d %d',count(*),sum(a.z*31+b.z*7+coalesce(c.z,5))) FROM [dict get $a name] a\
    [pick {JOIN JOIN {LEFT JOIN}}] [dict get $b name] b\
    ON a.[columnOf $a] = b.[columnOf $b] $x WHERE [condition $a a. 0]"
}
proc querySub {tables} {
  set a [pick $tables]
  set b [pick $tables]
  set na [dict get $a name]
  set nb [dict get $b name]
  set ca a.[columnOf $a]
  set cb b.[columnOf $b]
  set op [pick {= = = < <= > >=}]
  if {[chance 25]} { set nb [pick {n1 n2}]; set cb b.[pick $::nativeColumns] }
  switch [rnd 15] {
    0 { return "SELECT a.z FROM $na a WHERE $ca IN (SELECT $cb FROM $nb b)" }
    1 { return "SELECT a.z FROM $na a WHERE $ca NOT IN (SELECT $cb FROM $nb b WHERE $cb IS NOT NULL)" }
    2 { return "SELECT a.z FROM $na a WHERE [pick {{} NOT}] EXISTS(SELECT 1 FROM $nb b WHERE $cb $op $ca)" }
    3 { return "SELECT printf('%s %s',a.z,(SELECT count(*) FROM $nb b WHERE $cb $op $ca)) FROM $na a" }
    4 { return "SELECT printf('%s %s',a.z,(SELECT max(b.z) FROM $nb b WHERE $cb $op $ca)) FROM $na a" }
    5 { return "SELECT a.z FROM $na a WHERE $ca $op (SELECT $cb FROM $nb b WHERE b.z = a.z)" }
    6 { return "SELECT a.z FROM $na a WHERE $ca $op (SELECT $cb FROM $nb b WHERE b.z = [expr {1 + [rnd 9]}])" }
    7 { return "WITH q AS [pick {{} MATERIALIZED {NOT MATERIALIZED}}] (SELECT $cb AS k, z FROM $nb b)\
          SELECT printf('%s %s',a.z,q.z) FROM $na a JOIN q ON q.k $op $ca" }
    8 { return "SELECT printf('%s %s',a.z,q.z) FROM (SELECT $cb AS k, z FROM $nb b ORDER BY z LIMIT 9) q JOIN $na a ON $ca $op q.k" }
    9 { return "SELECT printf('%s %s',a.z,(SELECT b.z FROM $nb b WHERE b.z $op a.z ORDER BY $cb, b.z LIMIT 1)) FROM $na a" }
    10 { return "SELECT printf('%s %s',a.z,(SELECT b.z FROM $nb b WHERE $cb $op $ca ORDER BY b.z[pick {{} { DESC}}] LIMIT 1 OFFSET [rnd 2]))\
           FROM $na a" }
    11 { return "WITH RECURSIVE s(i) AS (SELECT -3 UNION ALL SELECT i+1 FROM s WHERE i<20)\
           SELECT printf('%s %s',i,a.z) FROM s JOIN $na a ON $ca $op [pick {i i+0.5 i||'' i i}]" }
    12 { return "SELECT z FROM (SELECT * FROM $na WHERE z [pick {> <}] [rnd 30]) a WHERE [condition $a a.]" }
    13 { return "SELECT a.z FROM $na a WHERE ($ca, a.z) $op (SELECT $cb, b.z FROM $nb b WHERE b.z = [expr {1 + [rnd 9]}])" }
    14 { return "SELECT z FROM (SELECT z, row_number() OVER (ORDER BY [collatedOf $a], z) AS r FROM $na) WHERE r [pick {< = >}] [rnd 9]" }
  }
}
proc queryAggregate {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set c [columnOf $table]
  set d [pick [dict get $table columns]]
  set where [maybeWhere [besides $table [list $c $d]]]
  if {[chance 50]} { set where [maybeWhere $table] }
  set more [expr {$where eq "" ? " WHERE" : "$where AND"}]
  switch [rnd 18] {
    0 { return "SELECT printf('%d %d %d %d %d',count(*),count($c),count(DISTINCT $c),sum(z),max(z)) FROM $t$where" }
    1 { return "SELECT count(*) FROM $t WHERE $c = (SELECT [pick {min max}]($c) FROM $t$where)" }
    2 { return "SELECT printf('%d %d %d %d',count(*),sum(z),min(z),max(z)) FROM $t$where GROUP BY $c" }
    3 { return "SELECT printf('%d %d',count(*),sum(z)) FROM $t$where GROUP BY $c, $d HAVING count(*) > [rnd 2]" }
    4 { return "SELECT count(*) FROM (SELECT DISTINCT $c, $d FROM $t$where)" }
    5 { return "SELECT printf('%s %s',typeof($c),count(*)) FROM $t$where GROUP BY typeof($c)" }
    6 { return "SELECT [pick {min max}]([exact $c]) FROM $t$where" }
    7 { return "SELECT printf('%d %d',z,count(*) OVER (PARTITION BY $c)) FROM $t$where" }
    8 { return "SELECT count(*) FROM $t$where" }
    9 { return "SELECT [canon "[pick {min max}]($c)"] FROM $t$where" }
    10 { return "SELECT printf('%d %s',count(*),[canon $c]) FROM $t$where GROUP BY $c" }
    11 { return "SELECT DISTINCT [canon $c] FROM $t$where" }
    12 { return "SELECT [canon k] FROM (SELECT DISTINCT $c AS k FROM $t$where)" }
    13 { return "SELECT printf('%d %d',total(CAST($c AS INTEGER)%1000),sum($d)) FROM $t$more typeof($d)='integer' AND $d BETWEEN -1000000 AND 1000000" }
    14 { return "SELECT group_concat(z) FROM (SELECT z FROM $t[maybeWhere [besides $table [list $c]]] ORDER BY $c[pick {{} { DESC}}], z)" }
    15 { return "SELECT printf('%d %d %d',count(*) FILTER (WHERE [condition $table {} 0]),sum(z) FILTER (WHERE $c > [value $t [sampled $t $c]]),\
           total($c > 3)) FROM $t$where" }
    16 { return "SELECT printf('%s %s',[canon "min($c)"],[canon "max($c)"]) FROM $t$where GROUP BY $d HAVING max(z) > [rnd 20]" }
    17 { return "SELECT count(*) FROM (SELECT $c FROM $t$where GROUP BY $c ORDER BY $c LIMIT [rnd 10])" }
  }
}
# A term of ORDER BY on a column: its column and the rest.
proc orderRest {} {
  set rest [expr {[chance 25] ? " COLLATE [pick $::collations]" : ""}]
  append rest [pick {{} {} { DESC} { ASC}}] [pick {{} {} {} { NULLS FIRST} { NULLS LAST}}]
}
proc orderLimit {} {
  if {[chance 50]} { return "" }
  set ::limit [rnd 20]
  if {[chance 50]} { return " LIMIT $::limit" }
  set ::offset [rnd 20]
  return " LIMIT [pick [list $::limit [parameter $::limit]]] OFFSET [pick [list $::offset [parameter $::offset]]]"
}
# In order: total or partial.  Where a column is equal to a constant, SQLite does not sort by it any more,
# although 5 may be equal to '5' and '5.0' where affinities differ; so what decides is the order itself.
proc queryOrder {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set terms {}
  set ::by {}
  for {set k [expr {1 + [rnd 3]}]} {$k > 0} {incr k -1} {
    set c [columnOf $table]
    set rest [orderRest]
    lappend terms $c$rest
    lappend ::by [list $t 0 $c $rest]
  }
  if {[chance 50]} { set rest [pick {{} { DESC}}]; lappend terms z$rest; lappend ::by [list $t 0 z $rest] }
  set where [maybeWhere $table 65]
  if {[chance 15]} { # one value, or what is equal to it: '5' and '5.0', 'a' and 'A'
    set c [lindex $::by 0 2]
    set where " WHERE $c [pick [list "= [value $t [sampled $t $c]]" "IN ([values $t [sampled $t $c] 3])" "IS [value $t [sampled $t $c]]" \
      "= CAST([literal $t [sampled $t $c]] AS [pick {INTEGER REAL NUMERIC}])"]]"
  }
  return "SELECT z FROM $t$where ORDER BY [join $terms ,][orderLimit]"
}
proc queryOrderJoin {tables} {
  set a [pick $tables]
  set b [pick $tables]
  set terms {}
  set ::by {}
  foreach x [pick {{a b} {b a} a b {a a b}}] {
    set table [set $x]
    set c [columnOf $table]
    set rest [orderRest]
    lappend terms $x.$c$rest
    lappend ::by [list [dict get $table name] [expr {$x eq "b"}] $c $rest]
  }
  return "SELECT a.z||' '||b.z FROM [dict get $a name] a JOIN [dict get $b name] b\
    ON a.[columnOf $a] [pick {= = <}] b.[columnOf $b] WHERE a.z < [rnd 40] AND ([condition $b b. 0])\
    ORDER BY [join $terms ,][orderLimit]"
}
proc queryWindow {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set c [columnOf $table]
  set d [pick [dict get $table columns]]
  set o "$c[orderRest], z"
  set w [pick [list "row_number() OVER (ORDER BY $o)" "rank() OVER (ORDER BY $c)" "dense_rank() OVER (PARTITION BY $d ORDER BY $c)" \
    "lag(z,1,-1) OVER (PARTITION BY $d ORDER BY $o)" "sum(z) OVER (ORDER BY $o ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)" \
    "count(*) OVER (ORDER BY $c RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)" "ntile(3) OVER (ORDER BY $o)" \
    "max(z) OVER (PARTITION BY $c ORDER BY z DESC)" "sum(z) OVER (ORDER BY $c GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)" \
    "first_value(z) OVER (PARTITION BY $d ORDER BY $o)"]]
  return "SELECT printf('%d %d',z,$w) FROM $t[maybeWhere [besides $table [list $c $d]]]"
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
  switch [rnd 5] {
    0 { return "SELECT count(*) FROM (SELECT $ca FROM $na $op SELECT $cb FROM $nb)" }
    1 { return "SELECT [exact $ca] FROM $na $op SELECT [exact $cb] FROM $nb ORDER BY 1" }
    2 { return "SELECT z FROM $na WHERE [condition $a {}] $op SELECT z FROM $nb WHERE z > 4 ORDER BY 1 LIMIT 20" }
    3 { return "SELECT z FROM (SELECT z, $ca AS k FROM $na UNION ALL SELECT z+1000, $cb FROM $nb) WHERE z [pick {> <}] [rnd 30]" }
    4 { return "SELECT z FROM $na WHERE [condition $a {}] UNION ALL SELECT z+1000 FROM $nb WHERE z > 4 ORDER BY 1 DESC" }
  }
}

# LIMIT and OFFSET where the order does not count, and where an inner query has them.
proc queryLimit {tables} {
  set a [pick $tables]
  set b [pick $tables]
  set na [dict get $a name]
  set nb [dict get $b name]
  set c [collatedOf $a]
  set n [pick [list [rnd 30] [rnd 5] 0 -1 [parameter [rnd 30]] 9223372036854775807 1+[rnd 9] "(SELECT [rnd 9])" '[rnd 9]' [rnd 9].0]]
  set limit " LIMIT $n[pick [list {} {} " OFFSET [rnd 30]" " OFFSET [parameter [rnd 9]]" " OFFSET -[rnd 3]" " OFFSET 9223372036854775807"]]"
  set where [maybeWhere $a 75]
  set desc [pick {{} { DESC}}]
  switch [rnd 12] {
    0 - 1 { return "SELECT count(*) FROM (SELECT $c FROM $na$where$limit)" }
    2 { return "SELECT count(*) FROM (SELECT DISTINCT $c FROM $na$where$limit)" }
    3 { return "SELECT count(*) FROM (SELECT $c FROM $na$where GROUP BY $c$limit)" }
    4 { return "SELECT printf('%d %d',count(*),sum(z)) FROM (SELECT z FROM $na$where ORDER BY $c$desc, z$limit)" }
    5 { return "SELECT count(*) FROM (SELECT a.z FROM $na a [pick {JOIN {LEFT JOIN}}] $nb b ON a.$c = b.[columnOf $b]$limit)" }
    6 { return "SELECT z FROM $nb WHERE z IN (SELECT z FROM $na$where ORDER BY z$desc$limit)" }
    7 { return "SELECT count(*) FROM (SELECT z FROM $na$where UNION ALL SELECT z FROM $nb$limit)" }
    8 { return "SELECT printf('%d %d',b.z,(SELECT count(*) FROM (SELECT 1 FROM $na a WHERE a.$c >= b.[columnOf $b] LIMIT 3 OFFSET [rnd 3])))\
          FROM $nb b" }
    9 { return "SELECT z FROM $nb b WHERE [pick {{} NOT}] EXISTS(SELECT 1 FROM $na a WHERE a.$c = b.[columnOf $b] LIMIT 1 OFFSET [rnd 3])" }
    10 { return "SELECT z FROM (SELECT z FROM $na$where ORDER BY z$desc$limit) WHERE z [pick {> < <>}] [rnd 30]" }
    11 { return "SELECT z FROM $na$where ORDER BY z$desc$limit" }
  }
}
# Distinct rows and groups, in an order.
proc queryDistinct {tables} {
  set table [pick $tables]
  set t [dict get $table name]
  set c [columnOf $table]
  set d [pick [dict get $table columns]]
  set where [maybeWhere [besides $table [list $c $d]] 50]
  set desc [pick {{} { DESC}}]
  set limit [pick [list {} {} " LIMIT [rnd 20]" " LIMIT [rnd 20] OFFSET [rnd 5]"]]
  set other [pick [list "$d%3" "z%2" "length($d)" [expr {[dict get $table rowid] ? "rowid%3" : "z%5"}]]]
  switch [rnd 10] {
    8 { return "SELECT count(*) FROM (SELECT DISTINCT $c, $other FROM $t$where)" }
    9 { return "SELECT printf('%d %d',count(*),count(DISTINCT $other)) FROM $t$where GROUP BY $c" }
    0 { return "SELECT group_concat([canon k],'|') FROM (SELECT DISTINCT $c AS k FROM $t$where ORDER BY $c$desc$limit)" }
    1 { return "SELECT group_concat([canon k]||[canon l],'|') FROM (SELECT DISTINCT $c AS k, $d AS l FROM $t$where ORDER BY $c$desc, $d$limit)" }
    2 { return "SELECT group_concat([canon k]||[canon l],'|') FROM (SELECT DISTINCT $c AS k, $d AS l FROM $t$where ORDER BY $d$desc, $c$desc$limit)" }
    3 { return "SELECT group_concat([canon k]||n,'|') FROM (SELECT $c AS k, count(*) AS n FROM $t$where GROUP BY $c ORDER BY $c$desc$limit)" }
    4 { return "SELECT group_concat([canon k]||n,'|') FROM (SELECT $c AS k, $d AS l, max(z) AS n FROM $t$where GROUP BY $c, $d ORDER BY $c$desc, $d$desc$limit)" }
    5 { return "SELECT printf('%d %d',count(DISTINCT $c),count(DISTINCT $d)) FROM $t$where GROUP BY $d" }
    6 { return "SELECT count(*) FROM (SELECT DISTINCT a.$c FROM $t a JOIN [pick {n1 n2}] b ON a.$d [pick {= <}] b.[pick $::nativeColumns])" }
    7 { return "SELECT group_concat(n,'|') FROM (SELECT min(z) AS n FROM $t$where GROUP BY $c, $d ORDER BY n$desc$limit)" }
  }
}

# Over a table of many rows.
proc queryBulk {tables} {
  set t [dict get [lindex $tables 0] name]
  set out [pick {count(*) "printf('%d %d %d %d',count(*),sum(z),min(z),max(z))" "printf('%d %d',count(*),sum(z))"}]
  if {[chance 25]} {
    set c [columnOf [lindex $tables 0]]
    set d [columnOf [lindex $tables 0]]
    return "SELECT printf('%d %d %d',count(*),sum(a.z),sum(b.z)) FROM [pick [list n1 n2 "(SELECT * FROM $t ORDER BY z LIMIT 9)"]] a\
      [pick {JOIN JOIN {LEFT JOIN}}] $t b ON [pick [list "a.z = b.$c" "b.$c = a.z AND b.$d [pick {< > =}] [value $t [sampled $t $d]]" \
      "b.$c = a.z*3" "b.$c BETWEEN a.z AND a.z+5" "b.$c >= a.z AND b.$c < a.z+2 AND b.$d IN ([values $t [sampled $t $d] 2])"]]"
  }
  set where [pick [list [condition [lindex $tables 0] {} 1] "z [pick {> < >=}] [rnd 3000] AND ([condition [lindex $tables 0] {} 0])"]]
  return "SELECT $out FROM $t WHERE $where"
}
proc queryBulkOrder {tables} {
  set sql [queryOrder $tables]
  if {$::limit >= 0} { return $sql }
  set ::limit 30
  return "$sql LIMIT 30"
}

# A query of every kind in turn, so that a short run has them all.
set queryKinds {Where Where Join Where Order Sub Where Expression Aggregate Where Join Order Where Compound OrderJoin
  Sub Where Three Join Order Window Aggregate Limit Distinct}
proc makeQuery {i tables {kinds {}}} {
  if {$kinds eq ""} { set kinds $::queryKinds }
  set ::params {}
  set ::by {}
  set ::limit -1
  set ::offset 0
  set sql [query[lindex $kinds [expr {$i % [llength $kinds]}]] $tables]
  dict create sql $sql params $::params by $::by limit $::limit offset $::offset
}
