#!/usr/bin/env bash
# Builds the archive and, out of it, the Debian package; runs what the package
# holds; called by "make deb-check".
#
# Both are of the last commit. The package is not installed: its files stand in
# for the server's directories in a mount namespace of their own, with whatever
# c360 is installed here out of the way. Nothing outside the temporary
# directory changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pg_config=${PG_CONFIG:-pg_config}
major=${PG_MAJOR:-$("$pg_config" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')}
version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" c360.control)
export LC_ALL=C.UTF-8

work=$(mktemp -d "${TMPDIR:-/tmp}/c360.XXXXXX")
trap 'cd /; rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
chmod 755 "$work"

step () {
    printf '== %s\n' "$*"
}
quietly () {
    "$@" >"$work/log" 2>&1 || { tail -n 60 "$work/log" >&2; exit 1; }
}

step "make dist"
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "what is not committed is left out"
quietly make --no-print-directory dist DIST_DIR="$work"
quietly unzip -q "$work/c360-$version.zip" -d "$work"
cd "$work/c360-$version"

step "dpkg-buildpackage"
# what there is for the PostgreSQL of this Debian; its tests are those of make check
quietly pg_buildext updatecontrol
quietly env DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage -us -uc -b
package=$(echo "$work/postgresql-$major-c360_$version"-*.deb)

step "lintian"
unprivileged=()
if [ "$(id -u)" = 0 ]; then
    chown -R nobody "$work"
    unprivileged=(runuser -u nobody --)
fi
"${unprivileged[@]}" env HOME="$work" TMPDIR="$work" lintian --fail-on error,warning "$work"/*.changes
[ "$(id -u)" != 0 ] || chown -R root "$work"

step "the packages that it needs"
apt-get install --simulate --no-install-recommends "$package" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

step "run out of the package's files"
dpkg-deb -x "$package" "$work/unpacked"
for file in "doc/postgresql-$major-c360/README.md" "doc/postgresql-$major-c360/doc/operations.md" \
        "doc/postgresql-$major-c360/doc/flow.svg" "postgresql/$major/extension/c360--$version.sql"; do
    [ -f "$work/unpacked/usr/share/$file" ] || { echo "the package lacks $file" >&2; exit 1; }
done
pkglib=$("$pg_config" --pkglibdir)
extension=$("$pg_config" --sharedir)/extension
for directory in "$pkglib" "$extension"; do
    mkdir -p "$work/with$directory"
    cp -a "$directory/." "$work/with$directory"
    rm -rf "$work/with$directory"/c360* "$work/with$directory"/bitcode/c360*
    cp -a "$work/unpacked$directory/." "$work/with$directory"
done

cat >"$work/story.sql" <<'SQL'
\set ON_ERROR_STOP on
CREATE EXTENSION c360;
SELECT c360_install();
SELECT c360_deposit('0912345678', 500000), c360_issue_credit('0912345678', 50000), c360_withdraw('0912345678', 120000);
SELECT balance = 430000 AND virtual_balance = 0 AS right, c360_version() = :'version' AS ours FROM c360_wallet('0912345678') \gset
\if :right
\else
    DO $$ BEGIN RAISE 'the balance is wrong'; END $$;
\endif
\if :ours
\else
    DO $$ BEGIN RAISE 'another library was loaded'; END $$;
\endif
DROP EXTENSION c360 CASCADE;
DROP SCHEMA c360 CASCADE;
SELECT min(version) AS first FROM pg_available_extension_versions WHERE name = 'c360' \gset
CREATE EXTENSION c360 VERSION :'first';
SELECT c360_install();
ALTER EXTENSION c360 UPDATE;
SELECT c360_install();
SELECT c360_deposit('0912345678', 500000);
SQL
chmod -R a+rX "$work"
namespace=(unshare --mount)
[ "$(id -u)" = 0 ] || namespace=(unshare --user --map-current-user --keep-caps --mount)
# the rest is done by who stands in the namespace; $1 and $2: server's directories
quietly "${namespace[@]}" sh -euc '
    mount --bind "$0/with$1" "$1"
    mount --bind "$0/with$2" "$2"
    pg_virtualenv -t -v "$3" psql -Xq -v version="$4" -f "$0/story.sql"' \
    "$work" "$pkglib" "$extension" "$major" "$version"
echo "$(basename "$package"): all well"
