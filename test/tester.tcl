# tester.tcl - what a test file sources first: SQLite's verbs, in a small copy of our own making.
#
#     do_test NAME SCRIPT EXPECTED            runs SCRIPT, compares its result
#     do_execsql_test ?-db DB? NAME SQL EXPECTED         the result of SQL in DB (default db)
#     do_catchsql_test ?-db DB? NAME SQL {CODE MESSAGE}
#     do_eqp_test ?-db DB? NAME SQL LINES                EXPLAIN QUERY PLAN, a line each
#     do_multiclient_test VAR SCRIPT          SCRIPT twice: clients in this process, then in three
#     do_faultsim_test NAME ...               an act in which every call fails in turn: faultsim.tcl
#     do_program_test PROGRAM                 every case of a test program, each in a process of its own
#     skip_test NAME WHY                      counts as skipped, and says why
#     finish_test                             the last line of every test file
#
# EXPECTED may start with * (the rest is a glob pattern in which the result must lie) or with / (a
# regular expression, closed by /).
#
# Helpers: newdb NAME ?FILE? opens a connection with the extension in it; execsql, catchsql; shell SQL
# runs the real sqlite3 shell with the extension in a process of its own; testprogram NAME is the path of
# a program built from test/NAME.c; forcedelete removes files.
#
# A file runs in a process of its own, with a scratch folder $testdir in memory that is removed at the
# end, and a connection `db` to an empty database in memory.  The built files are looked for in
# $MMAPSYNC_BUILD (default: build, beside this folder).

package require sqlite3
encoding system utf-8 ;# whatever the locale says; run.tcl also has the file read as such

set testhome [file dirname [file normalize [info script]]]
set testroot [file dirname $testhome]
set testname [file rootname [file tail $argv0]]
set builddir [file join $testroot [expr {[info exists env(MMAPSYNC_BUILD)] ? $env(MMAPSYNC_BUILD) : "build"}]]
set extension [file join $builddir mmapsync]
set testdir [file join [expr {[file writable /dev/shm] ? "/dev/shm" : "/tmp"}] mmapsync-test-$testname-[pid]]
file delete -force $testdir
file mkdir $testdir
array set testcount {pass 0 fail 0 skip 0}
array set faultCount {} ;# by kind: how many calls were made to fail
set fixture [expr {[info commands fault_syscall] ne ""}]

# ---- connections --------------------------------------------------------------------------------

proc newdb {name {file :memory:}} {
  sqlite3 $name $file
  if {$::fixture} { # it has the extension already
    lappend ::faultConnections $name
    return $name
  }
  $name enable_load_extension 1
  $name eval {SELECT load_extension($::extension)}
  $name enable_load_extension 0
  return $name
}

proc execsql {sql {db db}} {
  uplevel 1 [list $db eval $sql]
}

proc catchsql {sql {db db}} {
  set code [catch {uplevel 1 [list $db eval $sql]} message]
  list $code $message
}

# The sqlite3 shell with the extension loaded; its output, or what it complained about.
proc shell {sql args} {
  set in "" ; append in ".load $::extension\n" $sql "\n"
  if {[catch {exec sqlite3 -batch {*}$args << $in 2>@1} out]} {
    regsub {\nchild process exited abnormally$} $out {} out
  }
  return $out
}

proc testprogram {name} {file join $::builddir test $name}

proc forcedelete {args} {file delete -force -- {*}$args}

# ---- verbs --------------------------------------------------------------------------------------

proc test_matches {expected got} {
  if {[string index $expected 0] eq "*"} {return [string match $expected $got]}
  if {[regexp {^/(.*)/$} $expected -> pattern]} {return [regexp $pattern $got]}
  return [expr {$expected eq $got}]
}

proc test_passed {name} {
  incr ::testcount(pass)
  if {[info exists ::env(MMAPSYNC_VERBOSE)]} {puts "ok $name"}
}

proc test_failed {name expected got} {
  incr ::testcount(fail)
  puts "! $name\n!   expected: $expected\n!   got:      $got"
}

proc do_test {name script expected} {
  if {[catch {uplevel #0 $script} got]} {set got "error: $got"}
  if {[test_matches $expected $got]} {
    test_passed $name
  } else {
    test_failed $name $expected $got
  }
}

# Takes -db NAME out of a verb's arguments, where it may stand before or after the test's name;
# default db.
proc test_db {argsname} {
  upvar 1 $argsname args
  foreach at {0 1} {
    if {[lindex $args $at] eq "-db"} {
      set db [lindex $args $at+1]
      set args [lreplace $args $at $at+1]
      return $db
    }
  }
  return db
}

# Lists are compared as lists, so that a test may lay them out as it likes.
proc do_execsql_test {args} {
  set db [test_db args]
  lassign $args name sql expected
  if {![string match {[*/]*} $expected]} {set expected [list {*}$expected]}
  do_test $name [list execsql $sql $db] $expected
}

proc do_catchsql_test {args} {
  set db [test_db args]
  lassign $args name sql expected
  do_test $name [list catchsql $sql $db] [list {*}$expected]
}

proc do_eqp_test {args} {
  set db [test_db args]
  lassign $args name sql expected
  set lines {}
  foreach line [split [string trim $expected] \n] {lappend lines [string trim $line]}
  do_test $name [list test_plan $sql $db] [join $lines \n]
}

proc test_plan {sql db} {
  set lines {}
  $db eval "EXPLAIN QUERY PLAN $sql" row {lappend lines $row(detail)}
  join $lines \n
}

proc skip_test {name why} {
  incr ::testcount(skip)
  puts "- $name skipped: $why"
}

# ---- test programs ------------------------------------------------------------------------------

# What a program prints, stderr included; and `exit N` behind it if that is not 0.
proc run_program {args} {
  if {[catch {exec {*}$args 2>@1} out options]} {
    set code [dict get $options -errorcode]
    regsub {\nchild process exited abnormally$} $out {} out
    append out "\nexit [lindex $code 2]"
  }
  return $out
}

# Each explains itself in its head comment, and can be run by hand:
#     build/test/core_check FOLDER ?CASE ...?     build/test/core_check list
proc do_program_test {program} {
  set cases [run_program [testprogram $program] list]
  do_test $program-list [list expr [llength $cases]>=3] 1
  foreach case $cases {
    set out [run_program [testprogram $program] $::testdir $case]
    foreach {line call n} [regexp -all -inline {faults (\w+) (\d+)\n} $out] {
      incr ::faultCount($call) $n
      set out [string map [list $line {}] $out]
    }
    if {[regexp {\(skipped: (.*)\)} $out -> why]} {
      skip_test $program-$case $why
    } else {
      do_test $program-$case [list set ::test_out $out] "ok $case"
    }
  }
}

# ---- several clients ----------------------------------------------------------------------------

# A client is a Tcl interpreter with the connection db: in this process, or behind a pipe in another.
# The procs sqlN, csqlN and codeN run SQL (giving its result, or {code message}) or a script in it.
proc client_start {n where} {
  if {$where eq "process"} {
    set pipe [open [list | [info nameofexecutable] [file join $::testhome client.tcl] 2>@stderr] r+]
    fconfigure $pipe -buffering line -encoding utf-8
    set ::client($n) [list process $pipe]
  } else {
    set ::client($n) [list thread client_db$n]
  }
  client_run $n [list set extension $::extension]
  client_run $n [list set testdir $::testdir]
  client_run $n {
    package require sqlite3
    sqlite3 db :memory:
    db enable_load_extension 1
    db eval {SELECT load_extension($extension)}
  }
}

proc client_run {n script} {
  lassign $::client($n) where handle
  if {$where eq "thread"} {
    if {![interp exists $handle]} {
      interp create $handle
      $handle eval [list set auto_path $::auto_path]
    }
    return [$handle eval $script]
  }
  puts $handle [binary encode hex [encoding convertto utf-8 $script]]
  if {[gets $handle line] < 0} {error "client $n is gone"}
  lassign $line code hex
  set result [encoding convertfrom utf-8 [binary decode hex $hex]]
  if {$code} {error $result}
  return $result
}

proc client_end {n} {
  lassign $::client($n) where handle
  if {$where eq "thread"} {
    $handle eval {db close}
    interp delete $handle
  } else {
    # A crash or a leak in there must not pass unseen.
    if {[catch {close $handle} message]} {test_failed "client $n" "a good end" $message}
  }
}

proc do_multiclient_test {var script} {
  upvar 1 $var round
  foreach {round where} {1 thread 2 process} {
    foreach n {1 2 3} {
      client_start $n $where
      proc sql$n {sql} [string map [list %N $n] {client_run %N [list db eval $sql]}]
      proc csql$n {sql} [string map [list %N $n] {list [catch {sql%N $sql} message] $message}]
      proc code$n {script} [string map [list %N $n] {client_run %N $script}]
    }
    uplevel 1 $script
    foreach n {1 2 3} {client_end $n}
    foreach file [glob -nocomplain -directory $::testdir *] {file delete -force $file}
  }
}

# ---- the end ------------------------------------------------------------------------------------

# A line that tells how many calls were made to fail, by kind.
proc fault_report {} {
  set total 0
  set words {}
  foreach call [lsort [array names ::faultCount]] {
    incr total $::faultCount($call)
    lappend words "$call $::faultCount($call)"
  }
  return "faults injected: $total ([join $words {, }])"
}

# Prints the closing line and removes the scratch folder.  run.tcl adds the lines up.
proc finish_test {} {
  global testcount testdir
  catch {db close}
  file delete -force $testdir
  if {[array size ::faultCount]} {puts [fault_report]}
  set line "$testcount(pass) passed, $testcount(fail) failed"
  if {$testcount(skip)} {append line ", $testcount(skip) skipped"}
  puts $line
  exit [expr {$testcount(fail) > 0}]
}

if {$fixture} {source [file join $testhome faultsim.tcl]}
newdb db
