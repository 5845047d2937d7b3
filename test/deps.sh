#!/bin/sh
# Installs the Debian packages that demo, check and bench need, if any is missing;
# "deps.sh demo" leaves out those that only check needs for its part "web", and
# "deps.sh postgrest" the browser;
# "deps.sh lint" and "deps.sh deb" install what lint and deb-check need.
set -eu
major=${PG_MAJOR:-15}
packages="postgresql-$major postgresql-server-dev-$major postgresql-$major-cron postgresql-$major-pgtap
  postgresql-common libtap-parser-sourcehandler-pgtap-perl libipc-run-perl
  gcc make clang-14 libclang-rt-14-dev"
if [ "${1:-check}" = check ]; then
    packages="$packages chromium chromium-driver"
fi
if [ "${1:-check}" != demo ]; then
    # Debian's of these two, unless there are others
    command -v node >/dev/null || packages="$packages nodejs"
    command -v npm >/dev/null || packages="$packages npm"
fi
[ "${1:-check}" != lint ] || packages="postgresql-server-dev-$major cppcheck clang-tidy-14"
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
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
{ $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; rm -f "$log"; exit 1; }
rm -f "$log"
