#!/bin/bash
# Runs the regress tests against a server under valgrind (make valgrind) and
# reports the errors that have a frame in c360.so; those of the server alone
# (padding bytes written to disk) are none of ours.
#
#   TESTS="setup deposit withdraw"   which tests (all)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pg_config=${PG_CONFIG:-pg_config}
bindir=$("$pg_config" --bindir)
export LC_ALL=C.UTF-8
work=$(mktemp -d "${TMPDIR:-/tmp}/c360-valgrind.XXXXXX")
as_server_user=()
if [ "$(id -u)" = 0 ]; then
    as_server_user=(runuser -u postgres --)
    chown postgres "$work"
fi
stop () { "${as_server_user[@]}" "$bindir/pg_ctl" -D "$work/data" -m immediate -s stop 2>/dev/null || true; cd /; rm -rf "$work"; }
trap stop EXIT

# The log of changes is padded with whatever was there; c360 has it flushed.
# The server's cache of regular expressions moves its entries up by memmove(),
# which this reports as another function.
cat >"$work/suppressions" <<'EOS'
{
   padding of the log
   Memcheck:Param
   pwrite64(buf)
   ...
   fun:XLogFlush
   ...
}
{
   cache of regular expressions
   Memcheck:Overlap
   ...
   fun:RE_compile_and_cache
   ...
}
EOS
"${as_server_user[@]}" "$bindir/initdb" -D "$work/data" -U postgres -A trust --no-sync >/dev/null
"${as_server_user[@]}" valgrind --quiet --trace-children=yes --leak-check=no --num-callers=30 \
    --suppressions="$work/suppressions" \
    --log-file="$work/valgrind.%p" "$bindir/postgres" -D "$work/data" -k "$work" -c listen_addresses= \
    -c fsync=off -c autovacuum=off -c jit=off >"$work/server.log" 2>&1 &
export PGHOST=$work PGUSER=postgres PGDATABASE=postgres
for _ in $(seq 120); do psql -XAtqc 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.5; done
status=0
mkdir "$work/results"
make -s --no-print-directory installcheck PG_CONFIG="$pg_config" ISOLATION= \
    REGRESS_OPTS="--inputdir=test --encoding=UTF8 --outputdir=$work" ${TESTS:+REGRESS="$TESTS"} ||
    { status=1; cat "$work/regression.diffs"; }
"${as_server_user[@]}" "$bindir/pg_ctl" -D "$work/data" -m fast -s stop
# one block an error; a line that begins with "==pid== " and has no indent opens one
cat "$work"/valgrind.* | awk '
    { line = $0; sub(/^==[0-9]+== ?/, "", line) }
    line !~ /^ / { if (block ~ /\(in .*c360\.so\)|c360|storage\.c|wallet\.c|ledger\.c/) { print block; errors++ } block = "" }
    { block = block "\n" line }
    END { if (block ~ /c360/) { print block; errors++ } print errors + 0 " errors with a frame in c360" ; exit errors > 0 }' || status=1
exit $status
