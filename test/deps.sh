#!/bin/sh
# Installs the Debian packages that demo, check and bench need, if any is missing;
# "deps.sh demo" leaves out those that only check needs for its part "web", and
# "deps.sh postgrest" the browser;
# "deps.sh lint" and "deps.sh deb" install what lint and deb-check need.
#
#   PG_MAJOR   for which PostgreSQL; by itself the one that this Debian has
set -eu
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly () {
    "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; exit 1; }
}

major=${PG_MAJOR:-}
if [ -z "$major" ] && command -v apt-get >/dev/null; then
    quietly $sudo apt-get update -q
    major=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p')
fi
: "${major:=15}"
packages="postgresql-$major postgresql-server-dev-$major postgresql-$major-cron postgresql-$major-pgtap
  postgresql-common libtap-parser-sourcehandler-pgtap-perl libipc-run-perl
  gcc make clang libclang-rt-dev"
if [ "${1:-check}" = check ]; then
    packages="$packages chromium chromium-driver"
fi
if [ "${1:-check}" != demo ]; then
    packages="$packages curl"
    # Debian's of these two, unless there are others
    command -v node >/dev/null || packages="$packages nodejs"
    command -v npm >/dev/null || packages="$packages npm"
fi
[ "${1:-check}" != lint ] || packages="postgresql-server-dev-$major cppcheck clang-tidy"
[ "${1:-check}" != deb ] || packages="postgresql-$major postgresql-server-dev-all postgresql-common
  build-essential debhelper dpkg-dev lintian git unzip"
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "Please install the equivalents of:$missing" >&2
    exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
quietly $sudo apt-get update -q
quietly $sudo apt-get install -y -q --no-install-recommends $missing
