# scratch.tcl - a folder for files that must live in memory and leave no trace, and some formatting
# that the demo and the benchmark share.
#
# A small guard process removes the folder when the pipe to it closes, which happens however this
# process ends: at its end, by an error, by Ctrl-C, by a kill.

namespace eval scratch {
  variable folder ""
  variable guard ""
}

# Makes the folder in the first of /dev/shm, $TMPDIR and /tmp that can be written and has that many
# bytes free, and returns its path.
proc scratch::make {name bytes} {
  variable folder
  variable guard
  set tried {}
  foreach place [list /dev/shm [expr {[info exists ::env(TMPDIR)] ? $::env(TMPDIR) : ""}] /tmp] {
    if {$place eq "" || ![file isdirectory $place] || ![file writable $place]} continue
    set free [lindex [split [exec df -Pk $place] \n] end]
    # file system, blocks, used, available, ...: the path may hold spaces, the numbers do not
    if {![regexp {\s(\d+)\s+(\d+)\s+(-?\d+)\s+\d+%} $free -> total used free]} continue
    if {$free * 1024 < $bytes} {
      lappend tried $place
      continue
    }
    set folder [file normalize [file join $place $name-[pid]]]
    file mkdir $folder
    file attributes $folder -permissions 0700
    set guard [open [list | {*}[auto_execok setsid] sh -c {
      trap '' INT HUP TERM
      cat >/dev/null
      rm -rf -- "$0"
    } $folder] w]
    return $folder
  }
  error "no folder with [scratch::bytes $bytes] free (tried: [join $tried {, }])"
}

# Removes it.
proc scratch::end {} {
  variable guard
  if {$guard ne ""} {close $guard}
  set guard ""
}

# 1234567 -> 1,234,567
proc scratch::count {n} {
  while {[regsub {^(-?\d+)(\d{3})} $n {\1,\2} n]} {}
  return $n
}

# A size for people.
proc scratch::bytes {n} {
  if {$n < 10000} {return "[count $n] B"}
  if {$n < 10000000} {return "[format %.0f [expr {$n / 1e3}]] KB"}
  return "[format %.1f [expr {$n / 1e6}]] MB"
}

# A time for people, from nanoseconds.
proc scratch::time {ns} {
  foreach {limit unit digits} {99.95 ns 1 999.5 ns 0 1e5 us 2 999.5e3 us 0 1e8 ms 2 999.5e6 ms 0 1e30 s 2} {
    if {$ns < $limit} break
  }
  set one [dict get {ns 1.0 us 1e3 ms 1e6 s 1e9} $unit]
  return "[format %.${digits}f [expr {$ns / $one}]] $unit"
}

proc scratch::median {list} {
  set list [lsort -real $list]
  set n [llength $list]
  set a [lindex $list [expr {($n - 1) / 2}]]
  set b [lindex $list [expr {$n / 2}]]
  return [expr {($a + $b) / 2.0}]
}
