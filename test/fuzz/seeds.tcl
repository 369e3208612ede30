# seeds.tcl - how the seeds of fuzz_image were made.
#
# usage: tclsh test/fuzz/seeds.tcl build/mmapsync.so test/fuzz/seeds/image
#
# Small tables of every encoding and every kind of key, a payload each, behind the 16 bytes that fuzz_image.c
# says.  They are in the tree as files, and not made anew by a run, since images of this version must stay
# readable: what a later publisher writes may be added beside them.
package require sqlite3
lassign $argv extension folder
set channel [exec mktemp -d]/c
set sources {
  dense  {CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, kind TEXT, price REAL);
          CREATE INDEX i1 ON t(kind, price DESC); CREATE UNIQUE INDEX i2 ON t(name);
          INSERT INTO t SELECT value, 'name '||value, iif(value%3,'odd','even'), value/4.0 FROM generate}
  gaps   {CREATE TABLE t(id INTEGER PRIMARY KEY, a, b INT NOT NULL); CREATE INDEX i ON t(a);
          INSERT INTO t SELECT value*7, iif(value%2,NULL,9223372036854775807-value), value*1000 FROM generate}
  mixed  {CREATE TABLE t(a, b, c TEXT, d BLOB, e);  CREATE INDEX i ON t(a, b); CREATE INDEX j ON t(c COLLATE RTRIM);
          INSERT INTO t SELECT CASE value%5 WHEN 0 THEN value WHEN 1 THEN value/2.0 WHEN 2 THEN 'n'||value WHEN 3 THEN x'6e' END,
            value%4, printf('%.*c', value, 'x'), zeroblob(value%6), NULL FROM generate}
  sparse {CREATE TABLE t(a INT, b TEXT, c REAL);
          INSERT INTO t SELECT iif(value%11=3,value,NULL), iif(value%13=2,'odd',NULL), iif(value%12=5,value/8.0,NULL) FROM generate}
  norow  {CREATE TABLE t(k TEXT, n INT, v, PRIMARY KEY(k, n DESC)) WITHOUT ROWID;
          INSERT INTO t SELECT 'k'||(value%7), value, value*value FROM generate}
  two    {CREATE TABLE t(a INTEGER PRIMARY KEY, "b ""c" VARCHAR(10)); CREATE TABLE "u v"(x UNIQUE, y);
          INSERT INTO t SELECT value, 'v'||value FROM generate; INSERT INTO "u v" SELECT value*1.5, 'dict' FROM generate}
  empty  {CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE)}
}
foreach {name sql} $sources {
  sqlite3 db :memory:
  db enable_load_extension 1
  db eval {SELECT load_extension($extension)}
  db eval {CREATE TEMP TABLE generate(value); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<40)
    INSERT INTO generate SELECT i FROM c}
  db eval $sql
  set tables [db eval {SELECT '"'||replace(name,'"','""')||'"' FROM main.sqlite_schema WHERE type='table'}]
  set args [join [lmap t $tables { set _ '$t' }] ,]
  db eval "SELECT mmapsync_publish('$channel', $args)"
  set size [db onecolumn {SELECT size FROM mmapsync_status($channel)}]
  set index [db onecolumn {SELECT mmapsync_version($channel) & 1}]
  db close
  set in [open ${channel}_data_$index rb]
  set out [open [file join $folder $name] wb]
  puts -nonewline $out [binary format x8w [string length $name]][read $in $size]
  close $in
  close $out
}
file delete -force [file dirname $channel]
