#!/usr/bin/env bash
# Runs every test against the installed extension, in throw-away clusters;
# called by "make check" after it has built and installed c360. The first part
# that fails ends it, with its log shown.
#
# Everything happens in one temporary directory that the server's user can
# read, wherever this tree lies; it is removed at the end.
#
#   FUZZ_SECONDS   how long each fuzz target runs (20)
#   SOAK_SECONDS   how long the soak test runs (180)
#   TAP_TESTS      which TAP tests run ("test/t/*.pl")
#   CHECK_PARTS    which parts run ("regress pgtap fuzz web tap")
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

parts=${CHECK_PARTS:-regress pgtap fuzz web tap}
pg_config=${PG_CONFIG:-pg_config}
bindir=$("$pg_config" --bindir)
pgxs_tests=$(dirname "$("$pg_config" --pgxs)")/../test
major=${PG_MAJOR:-$("$pg_config" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')}
tap_tests=${TAP_TESTS:-test/t/*.pl}
unset TAP_TESTS                 # PGXS has one of that name
unset PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGDATA
export LC_ALL=C.UTF-8 LANG=C.UTF-8 PGCLIENTENCODING=UTF8

work=$(mktemp -d "${TMPDIR:-/tmp}/c360.XXXXXX")
trap 'cd /; rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
export TMPDIR=$work
mkdir "$work/tree"
cp -R ./* "$work/tree/"
chmod -R u+rwX,go+rX,go-w "$work"
cd "$work/tree"

# The server does not run as root: as root, tests that start one run as postgres.
as_server_user=()
if [ "$(id -u)" = 0 ]; then
    as_server_user=(runuser -u postgres --)
fi

heading () {
    printf '\n== %s\n' "$*"
}

# A cluster for one command, which acts as superuser postgres whoever we are.
cluster_options=()
with_cluster () {
    pg_virtualenv -t -v "$major" "${cluster_options[@]}" sh -euc '
        if [ "$PGUSER" != postgres ]; then
            echo "CREATE ROLE postgres SUPERUSER LOGIN PASSWORD :'"'password'"'" |
                psql -Xq -v ON_ERROR_STOP=1 -v password="$PGPASSWORD"
            export PGUSER=postgres
        fi
        exec "$@"' sh "$@"
}

check_regress () {
    heading "pg_regress and isolation"
    # Standard output holds one line a test; the differences come last.
    if ! with_cluster make -s --no-print-directory installcheck PG_CONFIG="$pg_config"; then
        for differences in regression.diffs output_iso/regression.diffs; do
            [ ! -s "$differences" ] || cat "$differences"
        done
        return 1
    fi
}

# What the server says of resources that c360 forgot is a failure, too.
check_pgtap () {
    heading "pgTAP"
    local status=0
    with_cluster sh -euc '
        createdb c360_pgtap
        psql -XAtq -v ON_ERROR_STOP=1 -d c360_pgtap \
            -c "CREATE EXTENSION pgtap" -c "CREATE EXTENSION c360" -c "SELECT c360_install()" >/dev/null
        pg_prove -d c360_pgtap --ext .sql test/pgtap/*.sql' 2>"$work/pgtap.messages" || status=1
    cat "$work/pgtap.messages" >&2
    ! grep -q 'WARNING: .* leak' "$work/pgtap.messages" && [ "$status" = 0 ]
}

fuzz () {
    local name=$1
    shift
    "$clang" -std=gnu99 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Isrc \
        "test/fuzz/${name}_fuzzer.c" "$@" -o "$work/fuzz/${name}_fuzzer" &&
    mkdir "$work/fuzz/$name" &&
    "$work/fuzz/${name}_fuzzer" -max_total_time="${FUZZ_SECONDS:-20}" -max_len=4096 \
        $([ ! -f "test/fuzz/$name.dict" ] || printf %s "-dict=test/fuzz/$name.dict") \
        -artifact_prefix="$work/fuzz/$name-" "$work/fuzz/$name" "test/fuzz/corpus/$name"
}

check_fuzz () {
    heading "fuzzing the parsers, ${FUZZ_SECONDS:-20} s each"
    local name failed=
    clang=$(command -v "${CLANG:-clang}") || { echo "clang is not installed" >&2; return 1; }
    mkdir "$work/fuzz"
    fuzz phone src/phone.c >"$work/fuzz/phone.log" 2>&1 & phone=$!
    fuzz transfer src/phone.c src/transfer.c >"$work/fuzz/transfer.log" 2>&1 & transfer=$!
    fuzz cron src/cron.c >"$work/fuzz/cron.log" 2>&1 & cron=$!
    fuzz fold src/fold.c >"$work/fuzz/fold.log" 2>&1 & fold=$!
    wait "$phone" || failed="phone"
    wait "$fold" || failed="$failed fold"
    wait "$transfer" || failed="$failed transfer"
    wait "$cron" || failed="$failed cron"
    for name in $failed; do
        echo "$name: failed"
        tail -n 60 "$work/fuzz/$name.log"
        for input in "$work/fuzz/$name-"*; do
            [ ! -f "$input" ] || { echo "input:"; od -c "$input"; }
        done
    done
    [ -z "$failed" ] || return 1
    for name in phone transfer cron fold; do
        echo "$name: $(tail -n 1 "$work/fuzz/$name.log")"
    done
}

# PostgREST and a client of PostgreSQL, which web and the soak need.
modules_installed=
install_modules () {
    [ -z "$modules_installed" ] || return 0
    if ! npm ci --prefix test/web --ignore-scripts --no-audit --no-fund >"$work/npm.log" 2>&1; then
        tail -n 20 "$work/npm.log" >&2
        return 1
    fi
    modules_installed=yes
}

check_tap () {
    heading "TAP: crash, dump, upgrade, pg_upgrade, pg_cron, standbys, recovery, reporting, jobs, soak"
    local log
    install_modules || return 1
    mkdir -m 700 "$work/tap"
    mkdir -p "$work/tap/tmp_check/log"
    [ "$(id -u)" != 0 ] || chown -R postgres "$work/tap"
    # up to 15 the server's modules go by the first of the three directories alone
    if ! "${as_server_user[@]}" env PATH="$bindir:$PATH" TMPDIR="$work/tap" TESTDIR="$work/tap" \
            TESTDATADIR="$work/tap/tmp_check" TESTLOGDIR="$work/tap/tmp_check/log" \
            PG_REGRESS="$pgxs_tests/regress/pg_regress" PG_TEST_EXTRA= \
            prove --timer -j 2 -I "$pgxs_tests/perl" -I test/t $tap_tests; then
        for log in "$work"/tap/tmp_check/log/regress_log_*; do
            grep -Eq '(^|\) )not ok|Bail out|exited with' "$log" || continue
            printf '\n-- %s\n' "$(basename "$log")"
            grep -E -A 15 '(^|\) )not ok' "$log" | head -n 200 || true
            echo ...
            tail -n 40 "$log"
        done
        return 1
    fi
}

check_web () {
    heading "PostgREST, a page in a browser, consumers"
    local cluster_options=(-o shared_preload_libraries=c360 -o c360.databases=shop)
    local file
    install_modules || return 1
    for file in test/web/*.test.mjs; do
        with_cluster prove --timer --exec "node --test-reporter=./test/web/tap.mjs" "$file"
    done
}

for part in $parts; do
    "check_$part"
done
