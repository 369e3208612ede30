# plans.tcl - what the tests of plans share: a source and its channel, and verbs that compare the two.
#
#     publish SPEC ...        publishes from the connection w; attach TABLE ... makes its tables in the connection r
#     same SQL                "same", or how the rows of source and channel differ: in their order if the query has one
#     plan SQL                the plan of a query, as SQLite shows it
#     do_plan_test NAME SQL PLAN     both; where $older(NAME) stands, that is the plan before SQLite 3.51.1
#     plan_tables             makes the tables t, wr, few and the view vw in the source
#
# `*` in a plan stands for anything.

set shop [file join $testdir plan]
newdb w
newdb r
# Plans are of UTF-8, whatever the host's databases have.
foreach db {w r} { $db eval {PRAGMA encoding='UTF-8'} }

proc publish {args} { w eval "SELECT json_extract(mmapsync_publish('$::shop', [join $args ,]), '\$.tables')" }
proc attach {args} {
  foreach t $args { r eval "DROP TABLE IF EXISTS temp.$t; CREATE VIRTUAL TABLE temp.$t USING mmapsync('$::shop', $t)" }
}
proc rows {db sql} {
  set rows {}
  $db eval $sql x {
    set row {}
    foreach c $x(*) { lappend row $x($c) }
    lappend rows $row
  }
  if {[string match -nocase "*ORDER BY*" $sql]} { return $rows }
  lsort $rows
}
# What differs between source and channel, or "same".
proc same {sql} {
  set a [rows w $sql]
  set b [rows r $sql]
  if {$a eq $b} { return same }
  return "source: [lrange $a 0 20]  channel: [lrange $b 0 20]"
}
# Without the virtual machine's words.
proc plan {sql} {
  set plan {}
  r eval "EXPLAIN QUERY PLAN $sql" x {
    lappend plan [string map {" VIRTUAL TABLE INDEX" ""} $x(detail)]
  }
  join $plan "; "
}

# Before 3.51.1 some operators are left to SQLite (vtabplan.c, OUTER JOINS).
set outer [expr {[package vcompare [sqlite3 -version] 3.51.1] >= 0}]
array set older {}
proc do_plan_test {name sql expected} {
  if {!$::outer && [info exists ::older($name)]} { set expected $::older($name) }
  do_test $name [list plan $sql] $expected
  do_test $name.rows [list same $sql] same
}
proc err {sql {c r}} { list [catch {$c eval $sql} msg] $msg }

proc plan_tables {} {
  w eval {
    CREATE TABLE t(id INTEGER PRIMARY KEY, city TEXT, street TEXT COLLATE NOCASE, price REAL, stock INT, note);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<5000)
      INSERT INTO t SELECT i*3, 'city'||(i%10),
        CASE i%3 WHEN 0 THEN 'Street' WHEN 1 THEN 'street' ELSE 'road' END||(i%100),
        CASE WHEN i%50=0 THEN NULL ELSE (i*7919%1000)/4.0 END, i*31%500,
        CASE i%5 WHEN 0 THEN NULL WHEN 1 THEN i ELSE 'n'||i END FROM c;
    CREATE INDEX t_city ON t(city, price);
    CREATE INDEX t_street ON t(street);
    CREATE INDEX t_stock ON t(stock DESC, city);
    CREATE INDEX t_price ON t(price);
    CREATE UNIQUE INDEX t_pair ON t(city, id);
    CREATE TABLE wr(a TEXT, b INT, c, PRIMARY KEY(a, b DESC)) WITHOUT ROWID;
    INSERT INTO wr SELECT city, id, price FROM t WHERE id<3000;
    CREATE TABLE few(k INT, name TEXT);
    INSERT INTO few VALUES(9,'city3'),(30,'city5'),(30,'city5'),(NULL,NULL),(31,'x');
    CREATE VIEW vw AS SELECT id, city AS name FROM t WHERE id<900 ORDER BY city, id DESC;
  }
}
