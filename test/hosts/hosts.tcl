# hosts.tcl - runs the tests under other versions of SQLite than the system's.
#
#     tclsh test/hosts/hosts.tcl ?-ci? ?-only TESTS? ?PATTERN ...?
#
# The extension promises to work in any SQLite from 3.38.0 on.  The system has one version; this brings
# others, and some that are built with other options.  For each host in the table below whose name matches a
# pattern (all, without one; -ci means those marked ci):
#
#   fetch    SQLite's C file, its header and its sqlite3ext.h are part of a published Go module, from 3.38.0 to
#            within weeks of today.  The client `go` downloads and keeps it below build/hosts, and nothing of
#            it is ever built with go.  What arrives is held to the module sum in the table.
#   build    libsqlite3.so.0 of sqlite3.c and host.c; the extension once more with this version's own headers; and
#            static_host of the two linked statically.
#   run      the system's sqlite3 shell and Tcl's sqlite3 package, both linked to libsqlite3.so.0, with
#            LD_LIBRARY_PATH naming this one.  A host is refused if they still say another version.
#              all     the tests that meet SQLite, with the extension as `make` built it
#              own     the short list, with the extension as this version's own headers build it
#              newest  the short list, with the extension as the newest headers build it: calls that the host
#                      does not have yet must not be missed
#              static  static_host publishes and prints
#
# With -only, these tests are run with the extension of $MMAPSYNC_BUILD (default: build), and nothing else: `make
# coverage` does that, for the branches that older and newer hosts alone take.
#
# A host's line tells what its tests counted.  One that cannot be fetched is skipped, with the reason, and so
# is each part for which a tool is missing.  The last line counts hosts: `N passed, N failed`, with `, N
# skipped` if any; the exit code is 0 only if none failed.  What the tests printed is in build/hosts/NAME/log.

encoding system utf-8
set env(LC_ALL) C.UTF-8 ;# comm and sort agree

set home [file dirname [file normalize [info script]]]
set root [file dirname [file dirname $home]]
set build [file join $root build]
set hosts [file join $build hosts]
# The extension that is run.
set product [file join $root [expr {[info exists env(MMAPSYNC_BUILD)] ? $env(MMAPSYNC_BUILD) : "build"}]]
set cc [expr {[info exists env(CC)] ? $env(CC) : "gcc"}]
set module github.com/mattn/go-sqlite3

# What a distribution turns on, and what the shell and Tcl are linked to.
set usual {
  -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_FTS5
  -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_SESSION
  -DSQLITE_ENABLE_STMTVTAB -DSQLITE_ENABLE_UNLOCK_NOTIFY
}
# SQLite checks itself, and what is asked of it.
set debug {-DSQLITE_DEBUG -DSQLITE_ENABLE_API_ARMOR -DSQLITE_ENABLE_STAT4}
# What SQLite's makers recommend to programs that need no more.  Not SQLITE_DQS=0, since tests write strings in
# double quotes, and nothing left out that the tests themselves call: traces, progress handlers.
set lean {
  -DSQLITE_THREADSAFE=0 -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_MAX_EXPR_DEPTH=0 -DSQLITE_STRICT_SUBTYPE=1
  -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DSQLITE_TEMP_STORE=3 -DSQLITE_USE_ALLOCA -DSQLITE_OMIT_SHARED_CACHE
  -DSQLITE_OMIT_DECLTYPE -DSQLITE_OMIT_INCRBLOB -USQLITE_ENABLE_COLUMN_METADATA
  -USQLITE_ENABLE_FTS5 -USQLITE_ENABLE_RTREE
}

# Name (SQLite's version, then what is special), the module's version and sum, options, marks.
set table [list \
  3.38.0        v1.14.12 TJ1bhYJPV44phC+IMu1u2K/i5RriLTPe+yc68XDJ1Z0= {} ci \
  3.38.5        v1.14.13 1tj15ngiFfcZzii7yd82foL+ks+ouQcj8j/TPq3fk1I= {} {} \
  3.39.4        v1.14.16 yOQRA0RpS5PFz/oikGwBEqvAWhWg5ufRz4ETLjwpU1Y= {} {} \
  3.42.0        v1.14.17 mCRHCLDUBXgpKAqIKsaAaAsrAlbkeomtRFKXh2L6YIM= {} {} \
  3.44.0        v1.14.19 fhGleo2h1p8tVChob4I9HpmVFIAkKGpiukdrgQbWfGI= {} {} \
  3.46.1        v1.14.23 gbShiuAP1W5j9UOksQ06aiiqPMxYecovVGwmTxWtuw0= {} {} \
  3.49.1        v1.14.28 ThEiQrnbtumT+QMknw63Befp/ce/nUPgBPMlRFEum7A= {} {} \
  3.51.3        v1.14.40 f7+saIsbq4EF86mUqe0uiecQOJYMOdfi5uATADmUG94= {} {} \
  3.54.1        v1.14.53 mnTM0owzUMrKuLo+0w51NUiB0ir2Fo7kFXlPt/l3BGs= {} {} \
  3.38.0-debug  v1.14.12 TJ1bhYJPV44phC+IMu1u2K/i5RriLTPe+yc68XDJ1Z0= $debug {} \
  3.54.1-debug  v1.14.53 mnTM0owzUMrKuLo+0w51NUiB0ir2Fo7kFXlPt/l3BGs= $debug ci \
  3.54.1-lean   v1.14.53 mnTM0owzUMrKuLo+0w51NUiB0ir2Fo7kFXlPt/l3BGs= $lean {} \
  3.54.1-thread v1.14.53 mnTM0owzUMrKuLo+0w51NUiB0ir2Fo7kFXlPt/l3BGs= -DSQLITE_THREADSAFE=2 {} \
  3.38.0-utf16  v1.14.12 TJ1bhYJPV44phC+IMu1u2K/i5RriLTPe+yc68XDJ1Z0= {-DHOST_ENCODING="UTF-16be"} {} \
  3.54.1-utf16  v1.14.53 mnTM0owzUMrKuLo+0w51NUiB0ir2Fo7kFXlPt/l3BGs= {-DHOST_ENCODING="UTF-16le"} {} \
  newest        latest   {}                                           {} {} \
]
set pinned 3.54.1 ;# the newest of the table

# Tests that never meet SQLite, or meet only what is beside it, or that the benchmark or the mmap-sync crate runs, or load;
# of a host that the system's headers make; and those that run in the fixture, which is linked to the system's SQLite.
set without {bench build core faults host image interop readme runtimes soak step tester}
# Tests that make text of bytes by CAST, which gives the same text in UTF-8 databases only.
set bytewise {differential formats sql}
# What is run again with the extension as other headers build it.
set short {vtab plan planouter planedge functions status sql}

# ---- tools ----------------------------------------------------------------------------------------

# Runs a command; {code output}.
proc run {args} {
  set code [catch {exec {*}$args </dev/null 2>@1} out]
  regsub {\nchild process exited abnormally$} $out {} out
  list $code $out
}

# The same, or an error with the last lines it printed.
proc must {what args} {
  lassign [run {*}$args] code out
  if {$code} {
    error "$what: [join [lrange [split [string trim $out] \n] end-2 end] { / }]"
  }
  return $out
}

proc contents {file} {
  set f [open $file]
  fconfigure $f -translation binary
  set text [read $f]
  close $f
  return $text
}

# Writes a file, unless it is as it should be: what is built from it need not be built again.
proc write {file text} {
  if {[file exists $file] && [contents $file] eq $text} return
  file mkdir [file dirname $file]
  set f [open $file w]
  fconfigure $f -translation binary
  puts -nonewline $f $text
  close $f
}

# Whether a file is missing or older than one of those it is made of.
proc stale {file args} {
  if {![file exists $file]} {return 1}
  foreach f $args {if {[file mtime $f] > [file mtime $file]} {return 1}}
  return 0
}

# ---- fetch ----------------------------------------------------------------------------------------

# Downloads the module once and lays out build/hosts/src/VERSION; gives that version.  An error that
# starts with "skip" is no fault of ours.
proc fetch {version sum} {
  global hosts module
  if {[auto_execok go] eq ""} {error "skip: no go to fetch it with (a package golang-go, or another release)"}
  lassign [run timeout 60 env GOMODCACHE=$hosts/go GOFLAGS=-modcacherw GOTOOLCHAIN=local GOWORK=off \
    go mod download -json $module@$version] code out
  if {![regexp {"Dir": "([^"]+)"} $out -> dir] || ![regexp {"Sum": "h1:([^"]+)"} $out -> got]} {
    if {![regexp {"Error": "([^\n]*)"} $out -> why]} {set why [lindex [split $out \n] 0]}
    error "skip: cannot fetch $module@$version: [expr {$code && $why eq {} ? {no answer in 60 s} : $why}]"
  }
  if {$sum ne "" && $got ne $sum} {
    error "expected $module@$version with the sum $sum, got one with $got"
  }
  set header [contents $dir/sqlite3-binding.h]
  regexp {#define SQLITE_VERSION +"([0-9.]+)"} $header -> name
  set src $hosts/src/$name
  write $src/sqlite3.c [contents $dir/sqlite3-binding.c]
  write $src/sqlite3.h $header
  write $src/sqlite3ext.h [string map {sqlite3-binding.h sqlite3.h} [contents $dir/sqlite3ext.h]]
  return $name
}

# ---- build ----------------------------------------------------------------------------------------

# A build is a list of commands that run one after another; several builds run side by side.
proc buildAll {jobs} {
  set ::results {}
  set ::running 0
  lassign [run nproc] - most
  foreach {name script} $jobs {
    while {$::running >= $most} {vwait ::running}
    set pipe [open [list | sh -ec $script </dev/null 2>@1] r]
    fconfigure $pipe -blocking 0
    incr ::running
    dict set ::results $name ""
    fileevent $pipe readable [list buildRead $pipe $name]
  }
  while {$::running} {vwait ::running}
  return $::results
}

proc buildRead {pipe name} {
  dict append ::results $name [read $pipe]
  if {![eof $pipe]} return
  fconfigure $pipe -blocking 1
  if {![catch {close $pipe}]} {dict set ::results $name ok}
  incr ::running -1
}

# The shell commands that make a host's files.  The optimizer is left out: the compiler would take longer
# over SQLite than the tests over both.
proc buildScript {name version options} {
  global root hosts cc usual dialect
  set dir $hosts/$name
  set src $hosts/src/$version
  file mkdir $dir
  set script {}
  set args [list {*}$usual {*}$options -DHOST_SOURCE_ID="$::sourceId" -DSQLITE_EXTRA_INIT=hostStart]
  write $dir/options $args
  set quoted [join [lmap a $args {string cat ' $a '}] " "]
  if {[stale $dir/sqlite3.o $src/sqlite3.c $dir/options]} {
    lappend script "$cc -w -O0 -g1 -fPIC $quoted -Dsqlite3_sourceid=hostOwnSourceId -c -o $dir/sqlite3.o $src/sqlite3.c"
  }
  lappend script "$cc $dialect -Werror -fPIC -isystem $src $quoted -c -o $dir/host.o $::home/host.c"
  # What the system's programs are linked to and this build has not got.
  lappend script "nm --defined-only $dir/sqlite3.o | sed -n 's/.* T //p' | sort > $dir/have"
  lappend script "echo sqlite3_sourceid >> $dir/have; sort -o $dir/have $dir/have"
  lappend script "comm -13 $dir/have $hosts/wanted | sed 's/.*/-Wl,--defsym,&=hostMissing/' > $dir/missing"
  lappend script "$cc -shared -Wl,-soname,libsqlite3.so.0 -o $dir/libsqlite3.so.0 $dir/sqlite3.o $dir/host.o @$dir/missing -lm -lpthread"
  if {[llength $::only]} {return [join $script \n]}
  # The extension with these headers, as the Makefile builds it otherwise.
  set core [lsort [glob $::product/obj/core/*.o]]
  set flags "$dialect -Werror -fPIC -fvisibility=hidden -O1 -g -isystem $src -I$root/core -I$root/ext"
  lappend script "$cc $flags -shared -Wl,-z,defs -o $dir/mmapsync.so $root/ext/*.c $core -lm"
  # Of the options, those that take calls away must be the same for a static one.
  append flags " [lsearch -all -inline $options -DSQLITE_OMIT_INCRBLOB]"
  lappend script "$cc $flags -DSQLITE_CORE -o $dir/static_host $root/test/static_host.c $root/ext/*.c $dir/sqlite3.o $dir/host.o\
    $::product/libmmapsync.a -lm -lpthread"
  return [join $script \n]
}

# ---- run ------------------------------------------------------------------------------------------

# Runs test files with an extension; adds {passed failed skipped} to the counts, and gives what failed.
proc runTests {name label extension files countsname} {
  global root hosts
  upvar 1 $countsname counts
  set dir $hosts/$name
  # A build folder of its own for the tests: an extension of its own, and programs as they are.
  set folder $dir/$label
  file mkdir $folder
  foreach {link target} [list mmapsync.so $extension test $::product/test libmmapsync.a $::product/libmmapsync.a \
      {*}[expr {[llength $::only] ? [list testfixture $::product/testfixture] : {}}]] {
    file delete $folder/$link
    file link -symbolic $folder/$link $target
  }
  set groups [expr {[info exists ::env(MMAPSYNC_GROUPS)] ? $::env(MMAPSYNC_GROUPS) : $::ci ? 4 : 10}]
  set out [lindex [run env LD_LIBRARY_PATH=$dir MMAPSYNC_BUILD=build/hosts/$name/$label MMAPSYNC_GROUPS=$groups \
    CC=$::cc [info nameofexecutable] $root/test/run.tcl -timeout 300 {*}$files] 1]
  set f [open $dir/log a]
  puts $f "==== $label\n$out"
  close $f
  set lines [split $out \n]
  if {![regexp {^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$} [lindex $lines end] -> p fails s]} {
    lassign {0 1 0} p fails s
  }
  set counts [lmap a $counts b [list $p $fails [expr {$s eq "" ? 0 : $s}]] {expr {$a + $b}}]
  if {!$fails} {return {}}
  # What failed, and what it said if it died.
  lappend report "$label:"
  foreach line $lines {if {[regexp {^ *!|Assertion|Sanitizer} $line]} {lappend report "  [string trim $line]"}}
  return $report
}

# Runs everything in a host; {counts report}.
proc runHost {name version newest utf16} {
  global root hosts
  set dir $hosts/$name
  set counts {0 0 0}
  set report {}
  file delete $dir/log
  # Does it run under the library it is meant to?  The shell and Tcl may be linked another way elsewhere.
  set file [open $dir/which.tcl w]
  puts $file {package require sqlite3; sqlite3 db :memory:; puts [db onecolumn {SELECT sqlite_source_id()}]}
  close $file
  regexp {#define SQLITE_SOURCE_ID +"([^"]+)"} [contents $hosts/src/$version/sqlite3.h] -> want
  foreach {who command} [list \
      Tcl [list [info nameofexecutable] $dir/which.tcl] \
      "the shell" {sqlite3 -batch :memory: {SELECT sqlite_source_id()}}] {
    lassign [run env LD_LIBRARY_PATH=$dir {*}$command] - got
    if {$got ne $want} {return [list {0 1 0} [list "$who runs under $got, not under $want"]]}
  }
  if {[llength $::only]} {
    set report [runTests $name only $::product/mmapsync.so $::only counts]
    return [list $counts $report]
  }
  set files {}
  foreach file [lsort [glob $root/test/*.test]] {
    set test [file rootname [file tail $file]]
    if {$test ni $::without && ![string match *fault $test] && !($utf16 && $test in $::bytewise)} {lappend files $test}
  }
  set few [lmap test $::short {expr {$test in $files ? $test : [continue]}}]
  lappend report {*}[runTests $name all $::product/mmapsync.so $files counts]
  lappend report {*}[runTests $name own $dir/mmapsync.so $few counts]
  if {$newest ni [list "" $name]} {
    lappend report {*}[runTests $name newest $hosts/$newest/mmapsync.so $few counts]
  }
  # The static one brings its own library.
  file delete -force {*}[glob -nocomplain $dir/stars_*]
  set out [lindex [run $dir/static_host $dir/stars] 1]
  if {$out eq "published 3\nattached 1\nSirius|-1.46\nVega|0.03\nDeneb|1.25"} {
    lset counts 0 [expr {[lindex $counts 0] + 1}]
  } else {
    lset counts 1 [expr {[lindex $counts 1] + 1}]
    lappend report "static: $out"
  }
  list $counts $report
}

# ---- all of them ----------------------------------------------------------------------------------

set total {0 0 0}
proc tell {at name what {report {}}} {
  puts "$name: $what"
  foreach line $report {puts "  $line"}
  flush stdout
  lset ::total $at [expr {[lindex $::total $at] + 1}]
}

set ci [expr {[lindex $argv 0] eq "-ci"}]
set patterns [expr {$ci ? [lrange $argv 1 end] : $argv}]
set only {}
if {[lindex $patterns 0] eq "-only"} {
  set only [lindex $patterns 1]
  set patterns [lrange $patterns 2 end]
}
if {![llength $patterns]} {set patterns *}

file mkdir $hosts
# The same warnings as everywhere.
regexp -line {^DIALECT = ((?:.*\\\n)*.*)$} [contents $root/Makefile] -> dialect
set dialect [string map {\\\n { }} $dialect]
set sourceId [must "the system's sqlite3 shell" sqlite3 -batch :memory: {SELECT sqlite_source_id()}]
set wanted {}
set programs [list [file normalize [lindex [auto_execok sqlite3] 0]]]
package require sqlite3
foreach line [info loaded] {if {[string match *sqlite3* [lindex $line 0]]} {lappend programs [lindex $line 0]}}
foreach program $programs {
  foreach line [split [must nm nm -D --undefined-only $program] \n] {
    if {[regexp {U (sqlite3\w*)} $line -> symbol]} {lappend wanted $symbol}
  }
}
write $hosts/wanted [exec sort << [join [lsort -unique $wanted] \n]]\n

# Fetch first, so that what is missing is known before anything takes long.
set fetched {}
foreach {name version sum options marks} $table {
  if {$ci && "ci" ni $marks} continue
  if {![llength [lsearch -all -inline [lmap p $patterns {string match $p $name}] 1]]} continue
  if {[catch {fetch $version $sum} got]} {
    if {[regexp {^skip: (.*)} $got -> why]} {tell 2 $name "skipped: $why"} else {tell 1 $name "FAILED: $got"}
    continue
  }
  if {$name eq "newest"} {
    if {$got eq $pinned} continue
    set name $got
  } elseif {[lindex [split $name -] 0] ne $got} {
    tell 1 $name "FAILED: the module holds $got"
    continue
  }
  lappend fetched $name $got $options
}

set jobs {}
foreach {name version options} $fetched {lappend jobs $name [buildScript $name $version $options]}
set built [buildAll $jobs]

set newest ""
foreach {name version options} $fetched {
  if {[dict get $built $name] eq "ok" && ($newest eq "" || [package vcompare $version $best] > 0)} {
    set newest $name
    set best $version
  }
}

foreach {name version options} $fetched {
  set said [dict get $built $name]
  if {$said ne "ok"} {
    tell 1 $name "FAILED to build" [lrange [split [string trim $said] \n] 0 9]
    continue
  }
  set start [clock milliseconds]
  lassign [runHost $name $version $newest [string match *-utf16 $name]] counts report
  lassign $counts p f s
  tell [expr {$f || !$p}] $name [format "%d passed, %d failed, %d skipped, %.0f s" $p $f $s \
    [expr {([clock milliseconds] - $start) / 1000.0}]] $report
}

lassign $total passed failed skipped
if {!($passed + $failed + $skipped)} {
  puts "no such host: $patterns"
  set failed 1
}
puts "$passed passed, $failed failed[expr {$skipped ? ", $skipped skipped" : ""}]"
exit [expr {$failed > 0}]
