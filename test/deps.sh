#!/bin/sh
# deps.sh PACKAGE... - installs the Debian packages that are not there yet, and says what it does.
# Of a|b one is enough: the one that is there, or else the first that this release of Debian has.
set -e
if ! command -v apt-get >/dev/null; then
  echo "deps: not a Debian system; make sure that it has what these packages bring: $*"
  exit 0
fi

is_there() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# One package for each that is missing.
choose() {
  for wanted in $missing; do
    chosen=
    for package in $(echo "$wanted" | tr '|' ' '); do
      [ -n "$chosen" ] || ! apt-cache show "$package" >/dev/null 2>&1 || chosen=$package
    done
    echo "${chosen:-$package}"
  done
}

missing=
for wanted in "$@"; do
  there=
  for package in $(echo "$wanted" | tr '|' ' '); do
    ! is_there "$package" || there=1
  done
  [ -n "$there" ] || missing="$missing $wanted"
done
if [ -z "$missing" ]; then
  echo "deps: nothing to install"
  exit 0
fi
root=
if [ "$(id -u)" != 0 ]; then
  root=sudo
  command -v sudo >/dev/null || { echo "deps: run as root: apt-get install" $(choose); exit 1; }
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# An older list of packages may do; a machine may have none at all.
$root apt-get install -y -q --no-install-recommends $(choose) >/dev/null 2>&1 || {
  $root apt-get update -q >/dev/null
  $root apt-get install -y -q --no-install-recommends $(choose) >/dev/null
}
