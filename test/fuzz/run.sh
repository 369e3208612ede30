#!/bin/sh
# run.sh SECONDS FOLDER NAME... - runs the fuzzers FOLDER/fuzz_NAME: first all seeds, then for that long, split evenly.
#
# With 0 seconds it is the seeds only.  What is found that reaches something new goes to FOLDER/corpus/NAME and is where
# the next run goes on; what breaks something is left as FOLDER/broken-NAME-..., and ends the run.  That file, made
# smaller by `fuzz_NAME -minimize_crash=1`, goes into seeds/NAME with the repair.
set -e
seconds=$1 folder=$2
shift 2
here=$(dirname "$0")
each=$((seconds / $#))
# A time that no input takes on a machine with other work, unless it goes on for ever; bytes of one allocation, and of all,
# that no small input is worth.
LIMITS="-timeout=30 -malloc_limit_mb=64 -rss_limit_mb=1024"
# The memory of a freed thing is kept apart for the address sanitizer, but not so much that it looks like a leak.
export ASAN_OPTIONS="quarantine_size_mb=16:detect_stack_use_after_return=1:allocator_may_return_null=1"
export UBSAN_OPTIONS=print_stacktrace=1
report=
for name in "$@"; do
  corpus=$folder/corpus/$name seeds=$here/seeds/$name log=$folder/$name.log
  mkdir -p "$corpus"
  most=$(sed -n 's/^#define FUZZ_MOST *//p' "$here/fuzz_$name.c")
  dict=
  [ -f "$here/$name.dict" ] && dict=-dict=$here/$name.dict
  run() {
    "$folder/fuzz_$name" $LIMITS -max_len="$most" $dict -artifact_prefix="$folder/broken-$name-" -print_final_stats=1 \
      "$@" >"$log" 2>&1 || {
      grep -v '^#' "$log" | tail -n 60
      echo "fuzz: $name is broken: $(grep -o -e "$folder/broken-$name-[a-z0-9-]*" -e '^Running: .*' "$log" | tail -n 1)"
      exit 1
    }
  }
  # Files by name are run as they are; none may be lost because it reaches nothing new.
  run "$seeds"/*
  done=$(ls "$seeds" | wc -l)
  cov=
  if [ "$each" -gt 0 ]; then
    run -max_total_time="$each" "$corpus" "$seeds"
    done=$((done + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log")))
    cov=", $(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1) edges"
  fi
  report="$report
fuzz: $name: $done executions$cov"
done
echo "${report#?}"
