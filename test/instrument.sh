#!/usr/bin/env bash
# Runs the tests against a library that was built to be looked into; called by
# "make sanitize" and "make coverage" after c360 has been built and installed.
#
#   instrument.sh sanitize   address and undefined-behaviour sanitizers, and
#                            c360's own assertions. The server is Debian's: it
#                            is not instrumented, its assertions are off, and
#                            what lies within one of its blocks of memory is
#                            one piece to the address sanitizer; valgrind.sh
#                            and the fuzzers see other things. Leaks are not
#                            looked for: the server frees by contexts and ends.
#   instrument.sh coverage   which lines of src/ ran, by gcov; all that did
#                            not are written to coverage.txt
#
# The instrumented library stands in the place of the ordinary one meanwhile
# and is replaced by it at the end.
#
#   PARTS       "regress isolation pgtap tap"
#   TESTS       which regress tests (all); the first must be setup
#   TAP_TESTS   which TAP tests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kind=$1
tree=$PWD
pg_config=${PG_CONFIG:-pg_config}
bindir=$("$pg_config" --bindir)
library=$("$pg_config" --pkglibdir)/c360.so
pgxs_tests=$(dirname "$("$pg_config" --pgxs)")/../test
parts=${PARTS:-regress isolation pgtap tap}
tests=${TESTS:-}
unset PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGDATA TESTS
export LC_ALL=C.UTF-8 PGCLIENTENCODING=UTF8

case $kind in
sanitize)
    flags='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DUSE_ASSERT_CHECKING'
    link='-fsanitize=address,undefined'
    tap_tests=${TAP_TESTS:-test/t/006_events.pl test/t/007_jobs.pl test/t/008_audit.pl test/t/009_workers.pl}
    ;;
coverage)
    flags='-O0 -g --coverage'
    link=--coverage
    tap_tests=${TAP_TESTS:-test/t/001_crash.pl test/t/003_upgrade.pl test/t/004_cron.pl test/t/005_standby.pl
        test/t/006_events.pl test/t/007_jobs.pl test/t/008_audit.pl test/t/009_workers.pl}
    ;;
*)
    echo "what kind is \"$kind\"?" >&2
    exit 2
    ;;
esac
unset TAP_TESTS                 # PGXS has one of that name

work=$(mktemp -d "${TMPDIR:-/tmp}/c360-$kind.XXXXXX")
chmod 711 "$work"
sudo=
[ -w "$(dirname "$library")" ] || sudo=sudo
as_server_user=()
[ "$(id -u)" != 0 ] || as_server_user=(runuser -u postgres --)
instrumented=(env)
if [ "$kind" = sanitize ]; then
    # libgpg-error, which the server loads, calls malloc within bindtextdomain(),
    # and the sanitizer does not survive to begin with that call: it dies of a
    # lock of gettext. So something calls malloc before.
    gcc -xc -shared -fPIC -Wl,-z,initfirst -o "$work/early.so" - <<'C'
#include <stdlib.h>
static __attribute__((constructor)) void begin(void) { void *volatile p = malloc(1); free(p); }
C
    instrumented=(env LD_PRELOAD="$(gcc -print-file-name=libasan.so) $work/early.so"
        ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:disable_coredump=1:log_path=$work/reports/address"
        UBSAN_OPTIONS="print_stacktrace=1:log_path=$work/reports/undefined")
fi

finish () {
    "${as_server_user[@]}" "$bindir/pg_ctl" -D "$work/cluster/data" -m immediate -s stop 2>/dev/null || true
    [ ! -f "$work/c360.so" ] || $sudo install -m 755 "$work/c360.so" "$library"
    cd /
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' HUP INT TERM

mkdir "$work/tree" "$work/cluster" "$work/reports" "$work/results"
mkdir -p "$work/cluster/tmp_check/log"
cp -R ./* "$work/tree/"
cd "$work/tree"
find . -name '*.o' -delete
rm -f c360.so
make -s PG_CONFIG="$pg_config" with_llvm=no EXTRA_CFLAGS="$flags" SHLIB_LINK="$link" all
# the server's user writes what ran, and its reports
chmod -R a+rwX "$work/tree" "$work/reports"
[ "$(id -u)" != 0 ] || chown -R postgres "$work/cluster" "$work/results"
cp "$library" "$work/c360.so"
$sudo install -m 755 c360.so "$library"

"${as_server_user[@]}" "$bindir/initdb" -D "$work/cluster/data" -U postgres -A trust --no-sync >/dev/null
"${as_server_user[@]}" "${instrumented[@]}" "$bindir/pg_ctl" -D "$work/cluster/data" -l "$work/cluster/log" -s -w -t 120 \
    -o "-k $work/cluster -c listen_addresses= -c fsync=off -c jit=off -c max_prepared_transactions=10" start
chmod 711 "$work/cluster"

failed=
heading () {
    printf '\n== %s\n' "$*"
}
in_cluster () {
    PGHOST=$work/cluster PGUSER=postgres PGDATABASE=postgres "$@"
}
run_regress () {
    in_cluster make -s --no-print-directory installcheck PG_CONFIG="$pg_config" ISOLATION= \
        REGRESS_OPTS="--inputdir=test --encoding=UTF8 --outputdir=$work/results" ${tests:+REGRESS="$tests"} ||
        { head -n 300 "$work/results/regression.diffs"; return 1; }
}
run_isolation () {
    in_cluster make -s --no-print-directory installcheck PG_CONFIG="$pg_config" REGRESS= \
        ISOLATION_OPTS="--inputdir=test --encoding=UTF8 --outputdir=$work/results" ||
        { head -n 300 "$work/results/regression.diffs"; return 1; }
}
run_pgtap () {
    in_cluster createdb c360_pgtap
    in_cluster psql -XAtq -v ON_ERROR_STOP=1 -d c360_pgtap \
        -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION c360' -c 'SELECT c360_install()' >/dev/null
    in_cluster pg_prove -d c360_pgtap --ext .sql test/pgtap/*.sql
}
run_tap () {
    # shellcheck disable=SC2086
    "${as_server_user[@]}" "${instrumented[@]}" PATH="$bindir:$PATH" TMPDIR="$work/cluster" TESTDIR="$work/cluster" \
        TESTDATADIR="$work/cluster/tmp_check" TESTLOGDIR="$work/cluster/tmp_check/log" \
        PG_REGRESS="$pgxs_tests/regress/pg_regress" PG_TEST_EXTRA= PG_TEST_TIMEOUT_DEFAULT=600 \
        prove --timer -I "$pgxs_tests/perl" -I test/t $tap_tests
}
for part in $parts; do
    heading "$part"
    "run_$part" || failed="$failed $part"
done
"${as_server_user[@]}" "$bindir/pg_ctl" -D "$work/cluster/data" -m fast -s stop

if [ "$kind" = coverage ]; then
    heading "lines of src/ that ran"
    gcov -o src src/*.c >/dev/null
    awk -F: -v OFS=: '
        $2 + 0 == 0 { next }
        { file = FILENAME; sub(/\.gcov$/, "", file); count = $1; gsub(/ /, "", count) }
        count == "-" { next }
        { lines[file]++ }
        count ~ /^[#=]/ { missed[file]++; text = $0; sub(/^[^:]*:[^:]*:/, "", text); print "src/" file, $2 + 0, text >list; next }
        END {
            for (file in lines) {
                printf "%-14s %5d lines, %4d not, %6.2f %%\n", file, lines[file], missed[file], 100 - 100 * missed[file] / lines[file] | "sort"
                all += lines[file]; all_missed += missed[file]
            }
            close("sort")
            printf "%-14s %5d lines, %4d not, %6.2f %%\n", "all", all, all_missed, 100 - 100 * all_missed / all
        }' list="$work/coverage.txt" $(cd src && for file in *.c; do printf '%s.gcov ' "$file"; done)
    sort -t: -k1,1 -k2,2n "$work/coverage.txt" >"$tree/coverage.txt"
    echo "Those that did not run are in coverage.txt."
fi
for report in "$work"/reports/*; do
    [ -s "$report" ] || continue
    head -n 60 "$report"
    failed="$failed $(basename "$report")"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
