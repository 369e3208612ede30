# shell.tcl - drives sqlite3 shells, each a process of its own.
#
#     set s [shell::start FILE]        a shell on a database, with the extension loaded
#     shell::send $s SQL               sends it, waits for nothing
#     shell::take $s                   waits until all that was sent has run; what it printed
#     shell::ask $s SQL                send and take
#     shell::pid $s
#     shell::stop $s
#
# Each runs under umask 007, so that files made have the very modes that were asked for: group members
# may take part, others not.
#
# The shell flushes what it printed before it reads the next line, so a line of our own, printed last,
# tells that all before it is there.  Whatever it says on stderr comes with the rest; that is how an
# error shows.

namespace eval shell {
  variable extension ""
  variable marker "-- end of output --"
}

proc shell::start {file} {
  variable extension
  set s [open [list | sh -c {umask 007; exec sqlite3 -batch -init /dev/null "$0"} $file 2>@1] r+]
  fconfigure $s -buffering full -translation lf -encoding utf-8
  set said [ask $s ".headers off\n.mode list\n.load '$extension'"]
  if {$said ne ""} {error $said}
  return $s
}

proc shell::send {s sql} {
  variable marker
  puts $s "$sql\n.print $marker"
  flush $s
}

proc shell::take {s} {
  variable marker
  set lines {}
  while {[gets $s line] >= 0} {
    if {$line eq $marker} {return [join $lines \n]}
    lappend lines $line
  }
  error "the sqlite3 shell [pid $s] ended: [join $lines \n]"
}

# Whether all that was sent has run; if so, appends what it printed to the list named.
proc shell::done {s name} {
  upvar 1 $name lines
  variable marker
  fconfigure $s -blocking 0
  while {[set n [gets $s line]] >= 0 && $line ne $marker} {lappend lines $line}
  if {$n < 0 && [eof $s]} {error "the sqlite3 shell [pid $s] ended: [join $lines \n]"}
  fconfigure $s -blocking 1
  return [expr {$n >= 0}]
}

proc shell::ask {s sql} {
  send $s $sql
  take $s
}

proc shell::pid {s} {::pid $s}

proc shell::stop {s} {
  puts $s .quit
  close $s
}
