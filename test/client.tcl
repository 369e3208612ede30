# client.tcl - a client of do_multiclient_test in a process of its own.
#
# Reads a script a line (UTF-8, in hexadecimal, so that it is one line whatever is in it), runs it, and
# answers with its code and result in the same way.  Ends when the pipe does.

fconfigure stdin -translation lf
fconfigure stdout -translation lf -buffering line
while {[gets stdin line] >= 0} {
  set code [catch {uplevel #0 [encoding convertfrom utf-8 [binary decode hex $line]]} result]
  puts [list $code [binary encode hex [encoding convertto utf-8 $result]]]
}
