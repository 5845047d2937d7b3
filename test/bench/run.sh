#!/bin/bash
# Measures c360 against the same work by other means and prints a table.
# All of it in one throw-away cluster with the server's defaults (fsync,
# synchronous_commit and full_page_writes on; pg_virtualenv itself would turn
# fsync off); several rounds in turn, medians.
#
#   ROUNDS=3 SECONDS_EACH=10 CLIENTS=16 make bench
#   WHAT="withdraw cpu lots expire phone bank events shop rfm fraud" make bench      only these parts
#   EVENTS=1000000          how many events a reader is behind
#   CUSTOMERS=1000000       of the shop, with three times as many orders and as many tickets;
#                           and how many customers parts of phones are looked for among
#   RFM_CUSTOMERS=1000000 RFM_ORDERS=10000000   whom the part rfm scores
#   RFM_ALTER='ALTER TABLE …; …'   statements before it is measured, to try other tables and indexes
#   FRAUD_ROWS=10000000     rows that a fraud scan reads
set -eu
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-10} clients=${CLIENTS:-16}
what=${WHAT:-withdraw cpu lots expire phone bank events shop rfm fraud}
events=${EVENTS:-1000000} customers=${CUSTOMERS:-1000000} fraud_rows=${FRAUD_ROWS:-10000000}
rfm_customers=${RFM_CUSTOMERS:-1000000} rfm_orders=${RFM_ORDERS:-10000000}

if [ -z "${C360_BENCH_CLUSTER:-}" ]; then
    exec env C360_BENCH_CLUSTER=1 pg_virtualenv -t -v "${PG_MAJOR:-$("${PG_CONFIG:-pg_config}" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')}" \
        -o shared_preload_libraries=c360 -o c360.databases=bench -o c360.notify=off -o fsync=on bash "$PWD/run.sh"
fi

median() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }
row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3"; }
sql() { psql -X -q -At -v ON_ERROR_STOP=1 -d bench "$@"; }
for setting in fsync synchronous_commit full_page_writes; do
    if [ "$(psql -X -At -d postgres -c "SHOW $setting")" != on ]; then
        echo "$setting is not on: nothing is measured" >&2
        exit 1
    fi
done
# user time of a backend, hundredths of a second
cpu="(string_to_array(pg_read_file('/proc/self/stat', 0, 1000), ' '))[14]::bigint"

if [ "$what" != shop ] && [ "$what" != rfm ]; then
    echo "preparing: 100,000 wallets on both sides" >&2
    createdb bench
    sql -f peers.sql >/dev/null
    sql -f load.sql >/dev/null
    createdb tpcb
    pgbench -q -i -s 20 tpcb >/dev/null 2>&1
fi

echo "$(psql --version | sed 's/ (.*//'), $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $rounds rounds of $seconds s, $clients clients"
echo
echo '| what | measured | aim |'
echo '|---|---|---|'

tps() { pgbench -n -M prepared -c "$clients" -j 1 -T "$seconds" "$@" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'; }

measure_withdraw() {
    local dir name
    dir=$(mktemp -d)
    # every backend and page once, so that no round pays for the first touch
    for name in c360 plpgsql floor notify; do
        pgbench -n -M prepared -c "$clients" -j 1 -T 3 -f $name.sql bench >/dev/null 2>&1
    done
    for round in $(seq "$rounds"); do
        for name in c360 plpgsql floor notify; do
            tps -f $name.sql bench >>"$dir/$name"
        done
        tps -b tpcb-like tpcb >>"$dir/tpcb"
        echo "withdraw, round $round: $(for name in c360 tpcb plpgsql floor notify; do printf '%s %s  ' $name "$(tail -n 1 "$dir/$name")"; done)" >&2
    done
    # ratios within a round, then their median
    against() { paste "$dir/c360" "$dir/$1" | awk '{print $1 / $2}' | median | awk '{printf "%.2f", $1}'; }
    row "c360_withdraw, transactions/s" "$(median <"$dir/c360" | cut -d. -f1)" ""
    row "against pgbench TPC-B prepared ($(median <"$dir/tpcb" | cut -d. -f1)/s)" "$(against tpcb) ×" "2.2 ×"
    row "against hand-tuned PL/pgSQL, same work ($(median <"$dir/plpgsql" | cut -d. -f1)/s)" "$(against plpgsql) ×" "1.7 ×"
    row "against one UPDATE + one INSERT without logic ($(median <"$dir/floor" | cut -d. -f1)/s)" "$(against floor) ×" "0.9 ×"
    row "against PL/pgSQL with NOTIFY ($(median <"$dir/notify" | cut -d. -f1)/s)" "$(against notify) ×" "4 ×"
    sleep 1                     # statistics arrive
    row "wallet updates that are HOT, since the load" "$(sql -c "SELECT round(100.0 * n_tup_hot_upd / n_tup_upd, 1) || ' %' FROM pg_stat_user_tables WHERE schemaname = 'c360' AND relname = 'customer_wallets'")" "≥ 95 %"
    rm -rf "$dir"
}

# user time of 20,000 calls of $1 over random wallets in one transaction, µs a call
call_cpu() {
    sql <<SQL | tail -n 1
BEGIN;
SELECT count($1('09' || lpad(i::text, 8, '0'), 100)) FROM generate_series(1, 500) i;
SELECT $cpu AS before \gset
SELECT count($1('09' || lpad((1 + (random() * 99998)::int)::text, 8, '0'), 100)) FROM generate_series(1, 20000) i;
SELECT ($cpu - :before) * 10000.0 / 20000;
COMMIT;
SQL
}

measure_cpu() {
    local ours=() theirs=() ratios
    for round in $(seq "$rounds"); do
        ours+=("$(call_cpu c360_withdraw)") theirs+=("$(call_cpu peer.withdraw)")
    done
    ratios=$(for i in "${!ours[@]}"; do ratio "${ours[$i]}" "${theirs[$i]}"; echo; done | median)
    row "CPU of one withdrawal: $(printf '%s\n' "${ours[@]}" | median | cut -c1-5) µs against $(printf '%s\n' "${theirs[@]}" | median | cut -c1-5) µs in PL/pgSQL" "$ratios" "≤ 0.55"
}

# user time, µs, of withdrawals that use up exactly $1 lots, 6,000 lots in all (at least 100 calls)
lots_cpu() {
    local lots=$1 calls=$((6000 / $1 > 100 ? 6000 / $1 : 100))
    sql <<SQL | tail -n 1
INSERT INTO c360.customers (phone) SELECT '07' || lpad((nextval('lots_wallet'))::text, 8, '0') FROM generate_series(1, $calls);
SELECT last_value - $calls + 1 AS first FROM lots_wallet \gset
SELECT count(c360_issue_credit('07' || lpad(w::text, 8, '0'), 10, expires_at => now() + interval '1 day' + l * interval '1 s'))
FROM generate_series(:first, :first + $calls - 1) w, generate_series(1, $lots) l;
INSERT INTO peer.wallets (phone, virtual_balance) SELECT '07' || lpad(w::text, 8, '0'), 10 * $lots FROM generate_series(:first, :first + $calls - 1) w;
INSERT INTO peer.lots (customer_id, remaining, expires_at)
SELECT customer_id, 10, now() + interval '1 day' + l * interval '1 s'
FROM peer.wallets, generate_series(1, $lots) l
WHERE phone BETWEEN '07' || lpad(:first::text, 8, '0') AND '07' || lpad((:first + $calls - 1)::text, 8, '0');
SELECT count(c360_withdraw('0900000002', 1)), count(peer.withdraw('0900000002', 1));
SELECT $cpu AS a \gset
SELECT count(c360_withdraw('07' || lpad(w::text, 8, '0'), 10 * $lots)) FROM generate_series(:first, :first + $calls - 1) w;
SELECT $cpu AS b \gset
SELECT count(peer.withdraw('07' || lpad(w::text, 8, '0'), 10 * $lots)) FROM generate_series(:first, :first + $calls - 1) w;
SELECT (:b - :a) * 10000.0 / $calls, ($cpu - :b) * 10000.0 / $calls;
SQL
}

measure_lots() {
    local lots result dir
    dir=$(mktemp -d)
    sql -c 'CREATE SEQUENCE IF NOT EXISTS lots_wallet'
    for round in $(seq "$rounds"); do
        for lots in 1 10 100 1000; do
            lots_cpu $lots | tr '|' ' ' >>"$dir/$lots"
        done
    done
    for lots in 1 10 100 1000; do
        row "withdrawal that uses up $lots lots, CPU" "$(awk '{print $1}' "$dir/$lots" | median | cut -d. -f1) µs (PL/pgSQL $(awk '{print $2}' "$dir/$lots" | median | cut -d. -f1) µs)" ""
    done
    row "CPU for each further lot, of 1,000" "$(paste "$dir/1" "$dir/1000" | awk '{print ($3 - $1) / 999}' | median | cut -c1-4) µs" "≤ 8 µs"
    row "1,000 lots: PL/pgSQL loop against c360" "$(awk '{print $2 / $1}' "$dir/1000" | median | cut -c1-4) ×" "5 ×"
    rm -rf "$dir"
}

measure_expire() {
    local dir start
    dir=$(mktemp -d)
    # the job would help
    sql -c "SELECT c360_set_job('expire_credits', enabled => false)" >/dev/null
    for round in $(seq "$rounds"); do
        sql >/dev/null <<'SQL'
SELECT count(c360_issue_credit('08' || lpad((600000 + i)::text, 8, '0'), 100)) FROM generate_series(1, 50000) i, generate_series(1, 2) l;
UPDATE c360.virtual_credits SET expires_at = now() - interval '1 s' WHERE status = 'ACTIVE' AND original_amount = 100;
INSERT INTO peer.wallets (phone) SELECT '08' || lpad((600000 + i)::text, 8, '0') FROM generate_series(1, 50000) i ON CONFLICT DO NOTHING;
UPDATE peer.wallets SET virtual_balance = virtual_balance + 200 WHERE phone LIKE '08%';
INSERT INTO peer.lots (customer_id, remaining, expires_at)
SELECT customer_id, 100, now() - interval '1 s' FROM peer.wallets, generate_series(1, 2) l WHERE phone LIKE '08%';
VACUUM ANALYZE c360.virtual_credits, c360.customer_wallets, peer.lots, peer.wallets;
CHECKPOINT;
SQL
        start=$(date +%s.%N)
        sql -c 'CALL c360_expire_all()'
        awk -v s="$start" -v e="$(date +%s.%N)" 'BEGIN {print e - s}' >>"$dir/c360"
        sql -c 'CHECKPOINT'
        start=$(date +%s.%N)
        sql -c 'CALL peer.expire_all()'
        awk -v s="$start" -v e="$(date +%s.%N)" 'BEGIN {print e - s}' >>"$dir/peer"
        # another client at the same wallets: alone, then beside the expiry
        sql >/dev/null <<'SQL'
SELECT count(c360_issue_credit('08' || lpad((600000 + i)::text, 8, '0'), 100)) FROM generate_series(1, 50000) i, generate_series(1, 2) l;
UPDATE c360.virtual_credits SET expires_at = now() - interval '1 s' WHERE status = 'ACTIVE' AND original_amount = 100;
CHECKPOINT;
SQL
        (cd "$dir" && pgbench -n -M prepared -c 1 -T 4 -l --log-prefix=alone -f "$OLDPWD/other_client.sql" bench >/dev/null 2>&1)
        (cd "$dir" && pgbench -n -M prepared -c 1 -T 5 -l --log-prefix=beside -f "$OLDPWD/other_client.sql" bench >/dev/null 2>&1) &
        sleep 0.3
        sql -c 'CALL c360_expire_all()'
        wait
        for log in alone beside; do
            cat "$dir"/$log.* | awk '{if ($3 > m) m = $3} END {print m / 1000}' >>"$dir/wait_$log"
            rm -f "$dir"/$log.*
        done
    done
    row "CALL c360_expire_all(), 100,000 lots of 50,000 wallets: $(median <"$dir/c360" | cut -c1-5) s against $(median <"$dir/peer" | cut -c1-5) s of a PL/pgSQL row loop" "$(paste "$dir/peer" "$dir/c360" | awk '{print $1 / $2}' | median | cut -c1-4) ×" "4 ×"
    row "longest wait of another client meanwhile (alone: $(median <"$dir/wait_alone" | cut -c1-5) ms)" "$(median <"$dir/wait_beside" | cut -c1-5) ms" "50 ms"
    rm -rf "$dir"
}

measure_phone() {
    sql >/dev/null <<'SQL'
CREATE TABLE phones AS SELECT (ARRAY['+84 9', '09', '849', '0169 '])[1 + i % 4] || substr(lpad((i::bigint * 7919 % 100000000)::text, 8, '0'), 1, CASE i % 4 WHEN 3 THEN 7 ELSE 8 END) AS raw
FROM generate_series(1, 1000000) i;
VACUUM ANALYZE phones;
SQL
    sql <<'SQL' | awk -F'|' '{a[NR] = $1; b[NR] = $2; c[NR] = $3} END {for (i = 1; i <= NR; i++) print a[i], b[i], c[i]}' >/tmp/c360_phone.$$
SET max_parallel_workers_per_gather = 0;
SET jit = off;
CREATE FUNCTION pg_temp.time_of(expression text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz := clock_timestamp();
BEGIN
    EXECUTE 'SELECT count(' || expression || ') FROM phones';
    RETURN extract(epoch FROM clock_timestamp() - start) * 1000;
END $$;
SELECT pg_temp.time_of('raw') \g /dev/null
SELECT pg_temp.time_of('lower(raw)'), pg_temp.time_of('c360_normalize_phone(raw)'), pg_temp.time_of('peer.normalize_phone(raw)')
FROM generate_series(1, 3);
SQL
    row "c360_normalize_phone over 1 million values, against lower()" "$(awk '{print $2 / $1}' /tmp/c360_phone.$$ | median | cut -c1-4) ×" "≤ 1.5 ×"
    row "against PL/pgSQL with regexp" "$(awk '{print $3 / $2}' /tmp/c360_phone.$$ | median | cut -c1-4) × faster" "15 ×"
    rm -f /tmp/c360_phone.$$
}

# Bank transfers. Bodies as SePay sends them; ids are random.

# seconds that a statement takes in psql
time_of() {
    local start
    start=$(date +%s.%N)
    sql -c "$1" >/dev/null
    awk -v s="$start" -v e="$(date +%s.%N)" 'BEGIN {print e - s}'
}

measure_bank() {
    local dir name round
    dir=$(mktemp -d)
    sql >/dev/null <<'SQL'
CREATE FUNCTION peer.body(id bigint, content text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT format('{"id": %s, "gateway": "Vietcombank", "transactionDate": "2026-01-07 14:02:37", "accountNumber": "0123499999", "code": null,
        "content": "%s", "transferType": "in", "transferAmount": 100, "accumulated": 19077000, "subAccount": null, "referenceCode": "FT%s",
        "description": "BankAPINotify"}', id, content, id)::jsonb
$$;
CREATE TABLE peer.told (content text);
CREATE SEQUENCE peer.sepay_id;  -- the gateway's ids ascend
SQL
    tail -n +2 ../data/transfers.tsv | cut -f 1 | sql -c '\copy peer.told FROM STDIN'
    for name in bank_deposit bank_ingest; do
        pgbench -n -M prepared -c "$clients" -j 1 -T 3 -f $name.sql bench >/dev/null 2>&1
    done
    for round in $(seq "$rounds"); do
        for name in bank_deposit bank_ingest; do
            tps -f $name.sql bench >>"$dir/$name"
        done
        echo "bank, round $round: $(for name in bank_deposit bank_ingest; do printf '%s %s  ' $name "$(tail -n 1 "$dir/$name")"; done)" >&2
        # one client: each call a statement of its own, and all of them in one call
        for n in $(seq 10000); do
            printf "SELECT c360_ingest_bank_transaction('%s');\n" \
                "$(printf '{"id": %s, "gateway": "Vietcombank", "transactionDate": "2026-01-07 14:02:37", "accountNumber": "0123499999", "content": "NGUYEN VAN A 09%08d tien hang", "transferType": "in", "transferAmount": 100, "accumulated": 19077000, "referenceCode": "FT%s", "description": "BankAPINotify"}' "$((100000000 + round * 100000 + n))" "$((n % 90000 + 1))" "$n")"
        done >"$dir/single.sql"
        sed -n "s/^SELECT c360_ingest_bank_transaction('\(.*\)');/\1/p" "$dir/single.sql" | sed 's/"id": /"id": 7/' | paste -sd, - |
            sed "s/^/SELECT count(*) FROM c360_ingest_bank_transactions('[/; s/\$/]');/" >"$dir/bulk.sql"
        for name in single bulk; do
            start=$(date +%s.%N)
            sql -f "$dir/$name.sql" >/dev/null
            awk -v s="$start" -v e="$(date +%s.%N)" 'BEGIN {print e - s}' >>"$dir/$name"
        done
        time_of 'SELECT count(*) FROM (SELECT content FROM peer.told, generate_series(1, 10000)) AS t, LATERAL c360_parse_transfer(content) AS p' >>"$dir/parse"
    done
    row "c360_ingest_bank_transaction with deposit, $clients clients ($(median <"$dir/bank_ingest" | cut -d. -f1)/s) against c360_deposit ($(median <"$dir/bank_deposit" | cut -d. -f1)/s)" \
        "$(paste "$dir/bank_ingest" "$dir/bank_deposit" | awk '{print $1 / $2}' | median | cut -c1-4)" "≥ 0.5"
    row "10,000 transfers by one client in bulk ($(median <"$dir/bulk" | cut -c1-5) s) against single calls ($(median <"$dir/single" | cut -c1-5) s)" \
        "$(paste "$dir/single" "$dir/bulk" | awk '{print $1 / $2}' | median | cut -c1-4) ×" "≥ 5 ×"
    row "c360_parse_transfer, one core" "$(awk -v n="$(($(sql -c 'SELECT count(*) FROM peer.told') * 10000))" '{printf "%d\n", n / $1}' "$dir/parse" | median)/s" "≥ 500,000/s"

    sql >/dev/null <<SQL
DROP INDEX c360.customers_search_idx;
INSERT INTO c360.customers (phone) SELECT '03' || lpad(i::text, 8, '0') FROM generate_series(1, $customers * 97::bigint, 97) i ON CONFLICT DO NOTHING;
VACUUM ANALYZE c360.customers;
SQL
    for name in 5 6 7 8 9; do
        sql >>"$dir/part$name" <<SQL
SELECT count(c360_ingest_bank_transaction(peer.body(800000000 + $name * 1000000 + n, 'tien hang ' || lpad((n * 7919 % 100000)::text, $name, '1')))) FROM generate_series(1, 100) n \\g /dev/null
SELECT clock_timestamp() AS start \\gset
SELECT count(c360_ingest_bank_transaction(peer.body(900000000 + $name * 1000000 + n, 'tien hang ' || lpad((n * 7919 % 100000)::text, $name, '1')))) FROM generate_series(1, 1000) n \\g /dev/null
SELECT round((extract(epoch FROM clock_timestamp() - :'start'))::numeric, 3);
SQL
        row "a transfer with a part of $name digits, taken in whole, among $(sql -c 'SELECT count(*) FROM c360.customers') customers" "$(cat "$dir/part$name") ms" "≤ 1 ms"
    done
    rm -rf "$dir"
}

# Live events. The publisher works on the same cores as writers and listeners.

notify_mode() {
    sql -c "ALTER SYSTEM SET c360.notify = '$1'" -c 'SELECT pg_reload_conf()' >/dev/null
    sleep 1.5                   # everybody reads it, and the publisher catches up
}

start_listeners() {             # channel, files $2.1 to $2.4
    listeners=
    for number in 1 2 3 4; do
        "$dir/listener" "dbname=bench" "$1" >"$2.$number" &
        listeners="$listeners $!"
    done
    sleep 0.5
}

stop_listeners() {
    sleep 1
    kill $listeners
    wait $listeners
}

publisher_pid() { sql -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'c360 publisher'"; }
listening_pids() { sql -c "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"; }
# user and system time of processes so far, hundredths of a second
cpu_of() { local pid; for pid in "$@"; do cat "/proc/$pid/stat"; done | awk '{sum += $14 + $15} END {print sum + 0}'; }
# µs for an event: hundredths of a second of $1 processes, in the last run of file $2
per_event() { awk -v cpu="$3" -v processes="$1" -v seconds="$seconds" 'END {print cpu * 10000 / processes / ($1 * seconds)}' "$2"; }

rate() { pgbench -n -M prepared -c "$clients" -j 1 -T "$seconds" -R "$1" -l --log-prefix="$2" -f c360.sql bench >/dev/null 2>&1; }
percentile_99() { cat "$1".* | awk '{print $3 / 1000}' | sort -g | awk '{v[NR] = $1} END {print v[int(NR * 0.99)]}'; rm -f "$1".*; }

# after a checkpoint, so that none comes in between for one and not for another
fresh_tps() {
    sql -c CHECKPOINT
    tps "$@"
}

measure_events() {
    local dir listeners half round cursor publisher before backends before_backends before_clients
    dir=$(mktemp -d)
    cc -O2 -I"$(${PG_CONFIG:-pg_config} --includedir)" listener.c -o "$dir/listener" -lpq
    sql -f pages.sql
    for name in c360 notify; do
        pgbench -n -M prepared -c "$clients" -j 1 -T 3 -f $name.sql bench >/dev/null 2>&1
    done
    for round in $(seq "$rounds"); do
        notify_mode off
        fresh_tps -f c360.sql bench >>"$dir/off"
        start_listeners peer_wallets "$dir/peer_listened"
        fresh_tps -f notify.sql bench >>"$dir/peer"
        stop_listeners
        notify_mode worker
        publisher=$(publisher_pid)
        before=$(cpu_of "$publisher")
        fresh_tps -f c360.sql bench >>"$dir/alone"
        per_event 1 "$dir/alone" $(($(cpu_of "$publisher") - before)) >>"$dir/cpu_alone"
        start_listeners wallets "$dir/listened"
        backends=$(listening_pids)
        before=$(cpu_of "$publisher") before_backends=$(cpu_of $backends) before_clients=$(cpu_of $listeners)
        fresh_tps -f c360.sql bench >>"$dir/four"
        per_event 1 "$dir/four" $(($(cpu_of "$publisher") - before)) >>"$dir/cpu_four"
        per_event 4 "$dir/four" $(($(cpu_of $backends) - before_backends)) >>"$dir/cpu_backend"
        per_event 4 "$dir/four" $(($(cpu_of $listeners) - before_clients)) >>"$dir/cpu_client"
        stop_listeners
        # an unrelated transaction that wrote something stays open
        mkfifo "$dir/open"
        psql -X -q -d bench <"$dir/open" >/dev/null &
        exec 9>"$dir/open"
        echo 'BEGIN; CREATE TEMP TABLE unrelated (id int);' >&9
        start_listeners wallets "$dir/listened"
        fresh_tps -f c360.sql bench >>"$dir/beside_open"
        stop_listeners
        exec 9>&-
        wait
        rm "$dir/open"
        echo "events, round $round: $(for name in off alone four beside_open peer; do printf '%s %s  ' $name "$(tail -n 1 "$dir/$name")"; done)" >&2
    done
    of() { paste "$dir/$1" "$dir/$2" | awk '{print $1 / $2}' | median | awk '{printf "%.2f", $1}'; }
    row "withdrawals/s with the publisher on and nobody listening, against off ($(median <"$dir/off" | cut -d. -f1)/s)" "$(of alone off)" "≥ 0.95"
    row "with 4 listeners that receive everything" "$(of four off)" "≥ 0.85"
    row "with 4 listeners, against PL/pgSQL with NOTIFY and 4 listeners ($(median <"$dir/peer" | cut -d. -f1)/s)" "$(of four peer) ×" "3.5 ×"
    row "with an unrelated transaction open, against without" "$(of beside_open four)" "within 10 %"
    us() { median <"$dir/$1" | awk '{printf "%.1f", $1}'; }
    row "CPU of the publisher for an event that nobody listens to / that 4 listeners receive" "$(us cpu_alone) / $(us cpu_four) µs" ""
    row "of a listener: its backend / its client" "$(us cpu_backend) / $(us cpu_client) µs" ""

    half=$(awk '{print int($1 / 2)}' "$dir/off" | median | cut -d. -f1)
    for round in $(seq "$rounds"); do
        notify_mode off
        sql -c CHECKPOINT
        rate "$half" "$dir/log"
        percentile_99 "$dir/log" >>"$dir/late_off"
        notify_mode worker
        start_listeners wallets "$dir/listened"
        sql -c CHECKPOINT
        rate "$half" "$dir/log"
        stop_listeners
        percentile_99 "$dir/log" >>"$dir/late_on"
        start_listeners wallets "$dir/listened"
        rate 1000 "$dir/log"
        stop_listeners
        rm -f "$dir"/log.*
        awk '{print $2}' "$dir/listened.1" >>"$dir/receipt_median"
        awk '{print $3}' "$dir/listened.1" >>"$dir/receipt_99"
    done
    row "99 % of withdrawals at half that load, with 4 listeners against off ($(median <"$dir/late_on" | cut -c1-5) ms, $(median <"$dir/late_off" | cut -c1-5) ms)" "$(of late_on late_off) ×" "≤ 1.2 ×"
    row "commit to receipt at 1,000 changes/s: median" "$(median <"$dir/receipt_median") ms" "≤ 10 ms"
    row "… 99 %" "$(median <"$dir/receipt_99") ms" "≤ 40 ms"

    cursor=$(sql -c 'SELECT cursor FROM c360_events_since()')
    pgbench -n -M prepared -c "$clients" -j 1 -t $((events / clients)) -f c360.sql bench >/dev/null 2>&1
    sleep 2
    for round in $(seq "$rounds"); do
        sql -c "SELECT events / seconds, last_tenth / first_tenth FROM peer.read_pages('$cursor')" | tr '|' ' ' >>"$dir/pages"
    done
    row "c360_events_since, $events events behind, pages of 500" "$(awk '{print $1}' "$dir/pages" | median | cut -d. -f1) events/s" "≥ 100,000"
    row "… last tenth of the pages against the first" "$(awk '{print $2}' "$dir/pages" | median | cut -c1-4) ×" "not growing"

    publisher=$(publisher_pid)
    sleep 5
    before=$(cpu_of "$publisher")
    sleep 30
    row "idle publisher, CPU over 30 s" "$(awk -v cpu=$(($(cpu_of "$publisher") - before)) 'BEGIN {printf "%.2f", cpu / 30}') %" "< 0.2 %"
    notify_mode off
    rm -rf "$dir"
}

# What a backend holds for itself at most, kB.
own_memory="(SELECT sum(CASE m[1] WHEN 'VmHWM' THEN m[2]::bigint ELSE - m[2]::bigint END)
    FROM regexp_matches(pg_read_file('/proc/self/status', 0, 5000), '(VmHWM|RssFile|RssShmem):\s*([0-9]+)', 'g') AS m)"

# The whole ledger in the order of its index by customer, read by a query that
# looks at one column, and by a scan; then what is new, and beside another client.
measure_fraud() {
    local dir log
    dir=$(mktemp -d)
    sql -v rows="$fraud_rows" >/dev/null <<'SQL'
INSERT INTO c360.customers (phone) SELECT '08' || lpad((600000 + i)::text, 8, '0') FROM generate_series(1, greatest(:rows / 10, 50000)) i;
INSERT INTO c360.customer_wallets (customer_id, balance) SELECT id, 1000000000 FROM c360.customers WHERE phone LIKE '08%';
SELECT min(id) AS first, count(*) AS customers FROM c360.customers WHERE phone LIKE '08%' \gset
-- one row in some hundred thousand ends a finding
INSERT INTO c360.wallet_transactions (customer_id, type, operation, amount, real_change, virtual_change, balance_after,
    virtual_balance_after, source, actor, session_user_name, created_at, activity_id)
SELECT :first + (hashint8(i)::bigint & 2147483647) % :customers, CASE WHEN i % 2 = 0 THEN 'DEPOSIT' ELSE 'WITHDRAW' END, 'bench', a,
       CASE WHEN i % 2 = 0 THEN a ELSE - a END, 0, 1000000000, 0, CASE WHEN i % 6 = 0 THEN 'BANK_TRANSFER' ELSE 'MANUAL' END,
       'bench', 'bench', timestamptz '2025-01-01' + i * (interval '1 day' * 500 / :rows), i
FROM (SELECT i, 10000 + (random() * 6000000)::bigint AS a FROM generate_series(1, :rows) i) AS r;
VACUUM ANALYZE c360.customers, c360.customer_wallets, c360.wallet_transactions;
CHECKPOINT;
SQL
    for round in $(seq "$rounds"); do
        sql <<SQL | tail -n 1 | tr '|' ' ' >>"$dir/whole"
SET enable_seqscan = off; SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 0; SET jit = off;
SELECT clock_timestamp() AS a \gset
SELECT count(*), max(amount) FROM c360.wallet_transactions WHERE customer_id > 0;
SELECT clock_timestamp() AS b, $own_memory AS before \gset
BEGIN;
SELECT sum(flagged) FROM c360_scan_fraud('-infinity');
ROLLBACK;
SELECT extract(epoch FROM clock_timestamp() - :'b'::timestamptz), extract(epoch FROM :'b'::timestamptz - :'a'::timestamptz), $own_memory - :before;
SQL
        echo "fraud, round $round: scan, query, kB: $(tail -n 1 "$dir/whole")" >&2
    done
    # in batches, beside another client at the same wallets
    (cd "$dir" && pgbench -n -M prepared -c 1 -T 4 -l --log-prefix=alone -f "$OLDPWD/other_client.sql" bench >/dev/null 2>&1)
    (cd "$dir" && exec pgbench -n -M prepared -c 1 -T 3600 -l --log-prefix=beside -f "$OLDPWD/other_client.sql" bench >/dev/null 2>&1) &
    log=$!
    sleep 0.3
    sql -c 'CALL c360_scan_fraud_all()'
    kill -INT "$log"
    wait "$log" || true
    for log in alone beside; do
        cat "$dir"/$log.* | awk '{if ($3 > m) m = $3} END {print m / 1000}' >"$dir/wait_$log"
    done
    # 1 % of the wallets get a row each; what the other client wrote is looked at before
    sql -c 'SELECT count(*) FROM c360_scan_fraud()' >/dev/null
    for round in $(seq "$rounds"); do
        sql <<SQL | tail -n 1 >>"$dir/new"
SELECT count(c360_deposit('08' || lpad((600000 + i * 100)::text, 8, '0'), 1000)) FROM generate_series(1, greatest($fraud_rows / 1000, 500)) i;
SELECT clock_timestamp() AS a \gset
SELECT count(*) FROM c360_scan_fraud();
SELECT extract(epoch FROM clock_timestamp() - :'a'::timestamptz);
SQL
    done
    row "fraud scan of $fraud_rows ledger rows, $(awk '{print $1}' "$dir/whole" | median | cut -c1-5) s, against count(*), max(amount) over them in index order, $(awk '{print $2}' "$dir/whole" | median | cut -c1-5) s" "$(awk '{print $1 / $2}' "$dir/whole" | median | cut -c1-4) ×" "≤ 2 ×"
    row "… memory of its own that it adds" "$(awk '{print $3}' "$dir/whole" | median) kB" "bounded by work_mem"
    row "longest wait of another client during CALL c360_scan_fraud_all() (alone: $(cut -c1-5 "$dir/wait_alone") ms)" "$(cut -c1-5 "$dir/wait_beside") ms" "50 ms"
    row "scan of what is new, 1 % of the wallets with one row more" "$(median <"$dir/new" | cut -c1-5) s" ""
    rm -rf "$dir"
}

# A whole shop, in a database of its own.

shop() { psql -X -q -At -v ON_ERROR_STOP=1 -v customers="$customers" -d shop "$@"; }
# what, query of $1, query of the arguments, aim, field (1 median, 2 99 %)
latency() {
    local answer
    answer=$(shop -c 'SET ROLE shop_agent' -c "SELECT * FROM bench.latency(\$q\$$2\$q\$, ARRAY($3))" | tr '|' ' ')
    row "$1: median, 99 %" "$(awk '{printf "%s ms, %s ms", $1, $2}' <<<"$answer")" "$4"
}

measure_shop() {
    local dir calls=300
    dir=$(mktemp -d)
    echo "preparing: a shop of $customers customers" >&2
    createdb shop
    shop -f shop.sql >/dev/null
    shop >/dev/null <<'SQL'
CREATE ROLE shop_agent;
SELECT c360_grant('shop_agent', 'agent');
GRANT USAGE ON SCHEMA bench TO shop_agent;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bench TO shop_agent;
CREATE SEQUENCE bench.codes;
SQL
    # customers to ask for: $1 is an expression over the customer's number i
    some() { echo "SELECT ($1)::text FROM generate_series(1, $calls) AS n, LATERAL (SELECT 1 + bench.hash(n, 99, $customers)::bigint AS i) AS c"; }
    latency "c360_customer(phone)" 'SELECT c360_customer($1)' "$(some 'bench.phone(i)')" "≤ 1 ms median"
    search() { latency "search: $1" 'SELECT count(*) FROM c360_search_customers($1)' "$(some "$2")" "≤ 20 ms, 99 %"; }
    search "whole phone" 'bench.phone(i)'
    search "beginning of a phone" 'left(bench.phone(i), 4 + i::int % 5)'
    search "last 4 to 6 digits" 'right(bench.phone(i), 4 + i::int % 3)'
    search "two digits" 'right(bench.phone(i), 2)'
    search "nguyen" "'nguyen'"
    search "a whole name without accents" "(ARRAY['nguyen thi kim yen', 'tran van an', 'xa duc vy', 'le huu phuc', 'nguyen an', 'thi yen'])[1 + i % 6]"
    search "a given name" "bench.pick('{an,anh,binh,chau,dung,ha,lan,linh,long,mai,nam,nga,phuc,vy,yen}', i, 2)"
    search "two letters" "bench.pick('{an,zx,qu,th,ng,vy,xa,hi,oa,mm,ye}', i, 1)"
    search "part of an email" "'khach' || i % 100000"
    search "part of an address" "bench.pick('{hue,ha noi,can tho,hung dao,le loi}', i, 1)"
    search "two frequent parts of an address that do not adjoin" "bench.pick('{le loi ha noi,dao da nang}', i, 1)"
    search "two frequent parts of a name that do not adjoin" "bench.pick('{van nguyen,anh nguyen,linh thi}', i, 1)"
    search "what nobody has" "'zzz' || i"
    list() { latency "$1" "$2" "$(some "$3")" "≤ 10 ms"; }
    list "customers from any id on, 50 of a tier" "SELECT count(*) FROM (SELECT * FROM c360_customer_list WHERE tier = 'gold' AND id > \$1::bigint ORDER BY id LIMIT 50) l" 'i'
    list "customers before any creation, newest first, 50" "SELECT count(*) FROM (SELECT * FROM c360_customer_list WHERE created_at < \$1::timestamptz ORDER BY created_at DESC LIMIT 50) l" "now() - (i % 1000) * interval '1 day'"
    list "tickets by priority and deadline, any page of 50" "SELECT count(*) FROM (SELECT * FROM c360_ticket_list WHERE (priority_rank, deadline_order, id) > (2, now(), \$1::bigint) ORDER BY priority_rank, deadline_order, id LIMIT 50) l" 'i'
    list "tickets of a customer" "SELECT count(*) FROM c360_ticket_list WHERE customer_id = \$1::bigint" 'i'
    list "activities from any id down, 50" "SELECT count(*) FROM (SELECT * FROM c360_activity_list WHERE id < \$1::bigint ORDER BY id DESC LIMIT 50) l" 'i * 4'
    list "c360_activities(phone)" 'SELECT count(*) FROM c360_activities($1)' 'bench.phone(i)'
    list "ledger from any id down, 50" "SELECT count(*) FROM (SELECT * FROM c360_wallet_transaction_list WHERE id < \$1::bigint ORDER BY id DESC LIMIT 50) l" 'i'
    list "c360_consolidated_transactions, first page" 'SELECT count(*) FROM c360_consolidated_transactions(max_rows => 20 + length($1))' 'bench.phone(i)'
    list "c360_recent_customers" 'SELECT count(*) FROM c360_recent_customers(20 + length($1))' 'i'
    calls=20
    latency "c360_dashboard()" 'SELECT c360_dashboard() || jsonb_build_object($1, 1)' "$(some 'i')" "≤ 300 ms"
    for round in $(seq "$rounds"); do
        for name in ticket ticket_floor; do
            tps -D "customers=$customers" -f $name.sql shop >>"$dir/$name"
        done
    done
    row "c360_create_ticket at $clients clients, against a bare INSERT into the table ($(median <"$dir/ticket_floor" | cut -d. -f1)/s)" "$(paste "$dir/ticket" "$dir/ticket_floor" | awk '{print $1 / $2}' | median | cut -c1-4)" "≥ 0.5"
    rm -rf "$dir"
}

# Scores. What a day changes, and a hundredth of the customers with new orders.

measure_rfm() {
    local dir alone beside
    dir=$(mktemp -d)
    rfm() { psql -X -q -At -v ON_ERROR_STOP=1 -d rfm "$@"; }
    took() {
        local start
        start=$(date +%s.%N)
        rfm -c "$1" >/dev/null
        awk -v s="$start" -v e="$(date +%s.%N)" 'BEGIN {printf "%.1f", e - s}'
    }
    value() { awk -F'|' -v what="$1" '$1 == what {print $2}' "$dir/times"; }
    echo "preparing: $rfm_customers customers, $rfm_orders orders" >&2
    createdb rfm
    rfm -c 'CREATE EXTENSION c360' -c 'SELECT c360_install()' >/dev/null
    rfm -v customers="$rfm_customers" -v orders="$rfm_orders" -f rfm_load.sql >/dev/null
    row "first refresh of $rfm_customers customers with $rfm_orders orders: everything is new" \
        "$(took 'SELECT c360_refresh_rfm()') s" ""
    rfm <<<"${RFM_ALTER:-}" >/dev/null
    rfm -v touched=$((rfm_customers / 100)) -v sample=$((rfm_customers / 50)) -f rfm.sql 2>/dev/null >"$dir/times"
    row "full refresh of a new day, $(value changed | cut -d. -f1) rows and $(value 'new tiers' | cut -d. -f1) tiers change: $(value full) s, against GROUP BY ($(value group) s) and UPDATE of the same rows ($(value update) s) and tiers ($(value 'update tiers') s)" \
        "$(awk -v f="$(value full)" -v g="$(value group)" -v u="$(value update)" -v t="$(value 'update tiers')" 'BEGIN {printf "%.2f", f / (g + u + t)}') ×" "≤ 1.3 ×"
    row "the same, if the rows of history and the events are inserted, too ($(value 'insert history') s and $(value 'insert events') s)" \
        "$(awk -v f="$(value full)" -v g="$(value group)" -v u="$(value update)" -v t="$(value 'update tiers')" -v h="$(value 'insert history')" -v e="$(value 'insert events')" 'BEGIN {printf "%.2f", f / (g + u + t + h + e)}') ×" ""
    row "full refresh that changes nothing against GROUP BY alone" "$(ratio "$(value 'full, nothing changes')" "$(value group)") ×" ""
    row "incremental, $(value examined | cut -d. -f1) customers of this month with new or changed orders, $(value 'tiers of incremental' | cut -d. -f1) new tiers: $(value incremental) s, against full" \
        "$(ratio "$(value incremental)" "$(value full)")" "≤ 0.05"
    row "WAL of both, after a checkpoint" "$(value 'WAL of full' | cut -d. -f1) MB, $(value 'WAL of incremental' | cut -d. -f1) MB" ""
    row "incremental against a SELECT of what they are scored by ($(value 'read touched') s), the same $(value 'scores of incremental' | cut -d. -f1) UPDATEs of scores ($(value 'update touched') s) and of tiers ($(value 'update touched tiers') s), and the INSERTs of history and events ($(value 'insert touched') s, $(value 'insert touched events') s)" \
        "$(awk -v i="$(value incremental)" -v r="$(value 'read touched')" -v u="$(value 'update touched')" -v t="$(value 'update touched tiers')" -v h="$(value 'insert touched')" -v e="$(value 'insert touched events')" 'BEGIN {printf "%.2f", i / (r + u + t + h + e)}') ×" ""
    row "floor of the incremental: these statements with nothing but primary keys (UPDATEs $(value 'update touched, bare') s and $(value 'update touched tiers, bare') s), against full" \
        "$(awk -v f="$(value full)" -v r="$(value 'read touched')" -v u="$(value 'update touched, bare')" -v t="$(value 'update touched tiers, bare')" -v h="$(value 'insert touched')" -v e="$(value 'insert touched events')" 'BEGIN {printf "%.2f", (r + u + t + h + e) / f}')" ""
    row "as many customers at random, nearly all of whom change their tier: $(value 'at random') s, against full" \
        "$(ratio "$(value 'at random')" "$(value full)")" ""
    row "incremental of the next day, $(value due | cut -d. -f1) customers due: $(value 'incremental, a day later') s, against full" \
        "$(ratio "$(value 'incremental, a day later')" "$(value full)")" ""
    row "calling a PL/pgSQL function for each of all ($(value 'one by one') s for a fiftieth) against full" \
        "$(awk -v o="$(value 'one by one')" -v f="$(value full)" 'BEGIN {printf "%.1f", 50 * o / f}') ×" "15 ×"
    # another client that changes the customers who are scored
    (cd "$dir" && pgbench -n -M prepared -c 1 -T 5 -D customers="$rfm_customers" -l --log-prefix=alone -f "$OLDPWD/rfm_client.sql" rfm >/dev/null 2>&1)
    rfm -c "SELECT c360_set('rfm_frequency_window', '60')" >/dev/null
    (cd "$dir" && exec pgbench -n -M prepared -c 1 -T 3600 -D customers="$rfm_customers" -l --log-prefix=beside -f "$OLDPWD/rfm_client.sql" rfm >/dev/null 2>&1) &
    beside=$!
    row "CALL c360_refresh_rfm_all() after a change of rules" \
        "$(took 'CALL c360_refresh_rfm_all()') s" ""
    kill $beside
    wait $beside 2>/dev/null || true
    for alone in alone beside; do
        cat "$dir/$alone".* | awk '{if ($3 > m) m = $3} END {print m / 1000}' >"$dir/wait_$alone"
    done
    row "longest wait of another client meanwhile (alone: $(cut -c1-5 <"$dir/wait_alone") ms)" "$(cut -c1-5 <"$dir/wait_beside") ms" "50 ms"
    row "memory of its own that a refresh of all adds which changes most of them" "$(rfm <<SQL | tail -n 1
SELECT c360_refresh_rfm(true);
SELECT $own_memory AS before \\gset
BEGIN;
DELETE FROM c360.customer_rfm;
SELECT c360_refresh_rfm(true);
ROLLBACK;
SELECT $own_memory - :before;
SQL
) kB" "bounded by work_mem"
    rm -rf "$dir"
}

for part in $what; do
    "measure_$part"
done
