#!/bin/sh
# deps.sh PACKAGE... - installs the Debian packages that are not there yet, and says what it does.
set -e
missing=
if ! command -v apt-get >/dev/null; then
  echo "deps: not a Debian system; make sure that it has what these packages bring: $*"
  exit 0
fi
for package in "$@"; do
  case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
  installed) ;;
  *) missing="$missing $package" ;;
  esac
done
if [ -z "$missing" ]; then
  echo "deps: nothing to install"
  exit 0
fi
root=
if [ "$(id -u)" != 0 ]; then
  root=sudo
  command -v sudo >/dev/null || { echo "deps: run as root: apt-get install$missing"; exit 1; }
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# An older list of packages may do; a machine may have none at all.
$root apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
  $root apt-get update -q >/dev/null
  $root apt-get install -y -q --no-install-recommends $missing >/dev/null
}
