# Scores over many transactions: what is refreshed by what changed equals what
# should be, day after day, with orders of long transactions, other rules,
# restarts and crashes in the middle; and beside clients at work.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $days = $ENV{RFM_DAYS} // 60;
my $customers = $ENV{RFM_CUSTOMERS} // 6000;
my $node = new_node('rfm');

$node->append_conf('postgresql.conf', q{
restart_after_crash = on
autovacuum = off
max_prepared_transactions = 2
});
$node->start;
install($node, 'shop');

# The rules once more, in plain SQL: what should be stored on a day.
$node->safe_psql('shop', q{
CREATE SCHEMA reference;
CREATE FUNCTION reference.score(metric_name text, value bigint) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE metric_name WHEN 'recency' THEN min(score) ELSE max(score) END::int
    FROM c360.rfm_config WHERE metric = metric_name AND min_value <= value
$$;
CREATE FUNCTION reference.differences(today date) RETURNS TABLE (id bigint, stored text, expected text) LANGUAGE plpgsql AS $$
DECLARE
    frequency_days int := (SELECT value FROM c360_settings WHERE name = 'rfm_frequency_window');
BEGIN
    RETURN QUERY
    WITH facts AS (
        SELECT o.customer_id, max(d.day) AS last_on, min(d.day) AS first_on,
               count(*) FILTER (WHERE o.status <> 'returned' AND d.day > today - frequency_days) AS frequency,
               coalesce(sum(o.amount) FILTER (WHERE o.status <> 'returned'), 0)::bigint AS monetary
        FROM c360.customer_orders o, LATERAL (SELECT (o.ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day) d
        WHERE o.status <> 'cancelled' GROUP BY o.customer_id),
    scored AS (
        SELECT f.*, reference.score('recency', greatest(today - f.last_on, 0)) AS r,
               reference.score('frequency', f.frequency) AS f, reference.score('monetary', f.monetary) AS m
        FROM facts f),
    wanted AS (
        SELECT c.id, s.last_on, s.frequency, s.monetary, s.r, s.f, s.m, n.segment,
               CASE WHEN c.tier = 'blacklist' OR c.tier_locked THEN c.tier
                    WHEN s.r IS NULL OR today - least((c.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, s.first_on) < 30 THEN 'new'
                    ELSE (ARRAY['new', 'silver', 'gold', 'platinum'])[1 + width_bucket((s.r + s.f + s.m) / 3.0, ARRAY[2.5, 3.5, 4.5])]
               END AS tier
        FROM c360.customers c LEFT JOIN scored s ON s.customer_id = c.id
        LEFT JOIN c360.rfm_segments n ON (n.r, n.f, n.m) = (s.r, s.f, s.m))
    SELECT w.id, (s.last_on, s.frequency, s.monetary, s.r, s.f, s.m, s.segment, c.tier)::text,
           (w.last_on, w.frequency, w.monetary, w.r, w.f, w.m, w.segment, w.tier)::text
    FROM wanted w JOIN c360.customers c ON c.id = w.id LEFT JOIN c360.customer_rfm s ON s.customer_id = w.id
    WHERE (s.last_on, s.frequency, s.monetary, s.r, s.f, s.m, s.segment, c.tier)
          IS DISTINCT FROM (w.last_on, w.frequency, w.monetary, w.r, w.f, w.m, w.segment, w.tier);
END $$;
CREATE FUNCTION reference.some_moment(day date) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT (day::timestamp + (ARRAY[interval '0', interval '1 day' - interval '1 microsecond', random() * interval '1 day'])
                             [1 + floor(random() * 3)::int]) AT TIME ZONE 'Asia/Ho_Chi_Minh'
$$;
CREATE FUNCTION reference.place_orders(prefix text, customers int, day date) RETURNS void LANGUAGE sql AS $$
    INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
    SELECT c.id, prefix || '-' || c.n, (ARRAY[1000, 500000, 2000000, 5000000, 10000001])[1 + floor(random() * 5)::int],
           (ARRAY['pending', 'delivered', 'delivered', 'cancelled', 'returned'])[1 + floor(random() * 5)::int],
           reference.some_moment(day - (ARRAY[0, 0, 0, 1, 7, 30, -2])[1 + floor(random() * 7)::int])
    FROM (SELECT 1 + floor(random() * (SELECT max(id) FROM c360.customers))::int AS id, n FROM generate_series(1, customers) n) c
$$;
});
$node->safe_psql('shop', qq{
SELECT setseed(0.25);
INSERT INTO c360.customers (phone, name, created_at, tier, tier_locked)
SELECT '0977' || lpad(n::text, 6, '0'), 'rfm', timestamptz '2026-01-01' - (n % 60) * interval '1 day',
       (ARRAY['new', 'new', 'new', 'gold', 'blacklist'])[1 + n % 5], n % 11 = 0
FROM generate_series(1, $customers) n;
INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
SELECT c.id, format('F%s-%s', c.id, k), (ARRAY[1000, 499999, 500000, 2000000, 10000001])[1 + floor(random() * 5)::int],
       (ARRAY['pending', 'delivered', 'cancelled', 'returned'])[1 + floor(random() * 4)::int],
       reference.some_moment(date '2026-01-01' - floor(random() * 120)::int)
FROM c360.customers c, generate_series(1, c.id % 9) k;
ANALYZE;
});

my $day = '2026-01-01';

sub refresh
{
    my ($full) = @_;
    return $node->safe_psql('shop', sprintf(q{SELECT examined, changed FROM c360_refresh_rfm_on(%s, '%s')}, $full ? 'true' : 'false', $day));
}

# Nothing differs from what should be.
sub is_right
{
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($node->safe_psql('shop', "SELECT * FROM reference.differences('$day') ORDER BY id LIMIT 3"), '', $name);
}

is((split /\|/, refresh(0))[0], $customers, 'the first run looks at all customers');
is_right('and scores them');
is((split /\|/, refresh(0))[0], 0, 'the next one at nobody: nothing changed');

# Sixty days: orders come and change; some in transactions that outlast a run,
# even one that was prepared; the rules change; the server is restarted, killed.
my $long = $node->background_psql('shop');
my $wrong = 0;
my $most = 0;
my %at = (
    8 => sub { $node->safe_psql('shop', q{SELECT c360_update_rfm_threshold('recency', 3, 12)}) },
    15 => sub { $node->restart },
    20 => sub { $node->safe_psql('shop', q{SELECT c360_set('rfm_frequency_window', '45')}) },
    30 => sub { $node->stop('immediate'); $node->start },
    40 => sub { $node->safe_psql('shop', q{UPDATE c360.rfm_segments SET segment = 'Regulars' WHERE f = 3}) },
    50 => sub { $node->safe_psql('shop', q{SELECT c360_set('rfm_frequency_window', NULL)}) });
for my $n (1 .. $days)
{
    $day = $node->safe_psql('shop', "SELECT date '2026-01-01' + $n");
    $node->safe_psql('shop', qq{
        SELECT reference.place_orders('D$n', 30, '$day');
        UPDATE c360.customer_orders SET status = (ARRAY['delivered', 'returned', 'cancelled', 'pending'])[1 + id % 4],
            xact = pg_current_xact_id() WHERE id % 997 = $n});
    # begun today, committed after the next run
    if ($n % 5 == 1)
    {
        $long = $node->background_psql('shop');
        $long->query_safe("BEGIN; SELECT reference.place_orders('L$n', 5, '$day')");
    }
    $node->safe_psql('shop', "BEGIN; SELECT reference.place_orders('P$n', 5, '$day'); PREPARE TRANSACTION 'p'") if $n % 7 == 3;
    $node->safe_psql('shop', qq{SELECT c360_set_tier((SELECT phone FROM c360.customers WHERE id = 1 + ($n * 37) % $customers),
        (ARRAY['gold', 'new', 'blacklist'])[1 + $n % 3], $n % 2 = 0)});
    my $whole = 0;
    if ($at{$n})
    {
        undef $long if $n == 15 || $n == 30;
        $at{$n}->();
        $whole = $n != 15 && $n != 30;
    }
    my $examined = (split /\|/, refresh(0))[0];
    $most = $examined if !$whole && $examined > $most;
    is($examined, $customers, "day $n: other rules score all anew") if $whole;
    if ($n % 5 == 1)
    {
        $long->query_safe('COMMIT');
        $long->quit;
        is($node->safe_psql('shop', "SELECT count(*) > 0 FROM reference.differences('$day')"), 't', "day $n: a late commit is new") if $n == 1;
        refresh(0);
    }
    if ($n % 7 == 3)
    {
        $node->safe_psql('shop', q{COMMIT PREPARED 'p'});
        refresh(0);
    }
    my $differences = $node->safe_psql('shop', "SELECT * FROM reference.differences('$day') ORDER BY id LIMIT 3");
    next if $differences eq '';
    diag("day $n: $differences");
    $wrong++;
}
is($wrong, 0, "the scores of all $days days are right");
cmp_ok($most, '<', $customers / 3, 'and no other day looks at all');
is((split /\|/, refresh(1))[1], 0, 'a full run at the end finds nothing to change');

# However orders are read: by the index alone after a VACUUM; sorted by the
# server if most pages of the table are to be looked at and memory is small,
# which work_mem is, too.
for my $way ('VACUUM c360.customer_orders', 'UPDATE c360.customer_orders SET amount = amount + 1 WHERE amount % 3 = 0')
{
    if ($way =~ /UPDATE/)
    {
        $node->append_conf('postgresql.conf', "shared_buffers = 1MB\nwork_mem = 64kB");
        $node->restart;
    }
    $node->safe_psql('shop', $way);
    $node->safe_psql('shop', q{DELETE FROM c360.customer_rfm WHERE customer_id % 2 = 0; UPDATE c360.customers SET tier = 'silver' WHERE tier <> 'blacklist' AND NOT tier_locked});
    my $scans = q{SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'c360.customer_orders'::regclass};
    my $before = $node->safe_psql('shop', $scans);
    $node->safe_psql('shop', "SELECT FROM c360_refresh_rfm_on(true, '$day')");
    is($node->safe_psql('shop', $scans) - $before, $way =~ /UPDATE/ ? 1 : 0, $way =~ /UPDATE/ ? 'orders are read as they lie' : 'orders are read by the index');
    is_right("a full run after $way");
    is((split /\|/, refresh(1))[1], 0, 'and another one finds nothing to change');
}
$node->append_conf('postgresql.conf', "shared_buffers = 16MB\nwork_mem = 4MB");
$node->restart;

# In batches, killed in the middle: the next run of any kind goes on.
$day = $node->safe_psql('shop', q{SELECT c360_shop_day(now())});
sub state_of { return $node->safe_psql('shop', "SELECT coalesce(state ->> '$_[0]', 'none') FROM c360.consumers WHERE name = 'rfm'") }
for my $kind ('CALL c360_refresh_rfm_all()', q{SELECT c360_run_job('refresh_rfm')}, 'SELECT c360_refresh_rfm()')
{
    $node->safe_psql('shop', q{DELETE FROM c360.customer_rfm; UPDATE c360.customers SET tier = 'new' WHERE tier <> 'blacklist' AND NOT tier_locked});
    # a trigger of the shop stops the walk at a customer, by an advisory lock
    $node->safe_psql('shop', q{
        CREATE FUNCTION reference.stop() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END $$;
        CREATE TRIGGER stop BEFORE INSERT ON c360.customer_rfm FOR EACH ROW WHEN (NEW.customer_id > 3000) EXECUTE FUNCTION reference.stop()});
    my $holder = $node->background_psql('shop');
    $holder->query_safe('SELECT pg_advisory_lock(4711)');
    my $walk = $node->background_psql('shop', on_error_stop => 0);
    $walk->query_until(qr/started/, "\\echo started\nCALL c360_refresh_rfm_all(true);\n");
    $node->poll_query_until('shop', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'}) or die 'the walk does not stop';
    is($node->safe_psql('shop', q{SELECT count(*) FROM pg_stat_activity WHERE query ~ '^c360_refresh_rfm: [0-9]+ customers examined, [0-9]+ changed$'}), '1',
        'how far it is stands in pg_stat_activity');
    like(state_of('all_after'), qr/^[1-9]/, 'and in its row');
    is($node->psql('shop', 'CALL c360_refresh_rfm_all()'), 3, 'no second one beside it');
    my $pid = $node->safe_psql('shop', q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'});
    kill 'KILL', $pid;
    eval { $walk->quit };
    eval { $holder->quit };
    wait_for_server($node);
    cmp_ok($node->safe_psql('shop', 'SELECT count(*) FROM c360.customer_rfm'), '>', 0, 'what was committed stays');
    cmp_ok($node->safe_psql('shop', 'SELECT count(*) FROM c360.customer_rfm WHERE customer_id > 3000'), '==', 0, 'and no more');
    $node->safe_psql('shop', 'DROP TRIGGER stop ON c360.customer_rfm; DROP FUNCTION reference.stop()');
    $node->safe_psql('shop', "SELECT reference.place_orders('K$pid', 20, '$day')");
    $node->safe_psql('shop', $kind);
    is_right("$kind goes on after a crash");
    is(state_of('all_after'), 'none', 'and is through');
    is((split /\|/, refresh(1))[1], 0, 'a full run has nothing to change');
}

# Beside clients: who is locked by one is passed over and had later.
my ($first, $second) = split /\|/, $node->safe_psql('shop', q{
    SELECT min(customer_id), max(customer_id) FROM c360.customer_rfm JOIN c360.customers c ON c.id = customer_id
    WHERE r = 5 AND m < 5 AND tier IN ('new', 'silver') AND NOT tier_locked});
$node->safe_psql('shop', qq{INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
    SELECT c, format('BUSY%s-%s', c, k), 20000000, 'delivered', now() - interval '40 days' FROM unnest(ARRAY[$first, $second]) c, generate_series(1, 12) k});
my $client = $node->background_psql('shop');
$client->query_safe("BEGIN; SELECT FROM c360.customers WHERE id = $second FOR UPDATE; SELECT FROM c360.customer_rfm WHERE customer_id = $first FOR UPDATE");
is($node->safe_psql('shop', 'SET statement_timeout = 60000; SELECT examined >= 2, changed FROM c360_refresh_rfm()'), 't|0',
    'locked customers do not count as changed');
is($node->safe_psql('shop', "SELECT string_agg(customer_id::text, ' ' ORDER BY customer_id) FROM c360.rfm_queue"), join(' ', sort { $a <=> $b } $first, $second),
    'locked customers are queued');
$client->query_safe('COMMIT');
$client->quit;
is($node->safe_psql('shop', 'SELECT changed FROM c360_refresh_rfm()'), '2', 'the next refresh changes them');
is_right('to what they should be');
is($node->safe_psql('shop', 'SELECT count(*) FROM c360.rfm_queue'), '0', 'and nobody is queued');

# One in a transaction that stays open: nobody waits for it.
$client = $node->background_psql('shop');
$client->query_safe('BEGIN; SELECT c360_refresh_rfm(); SELECT c360_refresh_rfm(true)');
for my $call ('SELECT c360_refresh_rfm()', 'CALL c360_refresh_rfm_all()', q{SELECT c360_run_job('refresh_rfm')})
{
    is(error_of($node, 'shop', "SET statement_timeout = 60000; $call")->{detail}, 'job_running: refresh_rfm', "$call does not wait for another refresh");
}
$client->query_safe('ROLLBACK');
$client->quit;
$node->safe_psql('shop', 'SELECT c360_refresh_rfm()');

# A notice says when all will be scored.
for my $change ([ "min_value + 1, 'words'", 'the next refresh scores all customers' ], [ "min_value, 'other words'", '' ], [ 'min_value - 1', 'the next refresh scores all customers' ])
{
    my ($arguments, $notice) = @$change;
    $node->psql('shop', "SELECT c360_update_rfm_threshold(metric, score, $arguments) FROM c360_rfm_config WHERE metric = 'monetary' AND score = 3", stderr => \my $said);
    is($said =~ /NOTICE:  (.*)/ ? $1 : '', $notice, "a change of $arguments");
}

# Clients place and change orders while all is scored, again and again.
$node->safe_psql('shop', 'ALTER SYSTEM SET synchronous_commit = off; SELECT pg_reload_conf()');
my $script = PostgreSQL::Test::Utils::tempdir() . '/orders.sql';
append_to_file($script, q{
\set who random(1, 2000)
\set what random(1, 4)
SELECT c360_record_order('0977' || lpad(:who::text, 6, '0'), 'C' || :client_id || '-' || (:who % 50), :who * 1000,
    now() - interval '1 day' * (:who % 100), (ARRAY['delivered', 'returned', 'cancelled', 'delivered'])[:what])
FROM c360.customers WHERE phone = '0977' || lpad(:who::text, 6, '0')
  AND NOT EXISTS (SELECT FROM c360.customer_orders o WHERE o.order_code = 'C' || :client_id || '-' || (:who % 50) AND o.customer_id <> customers.id);
SELECT c360_update_rfm('0977' || lpad((:who % 100 + 1)::text, 6, '0'));
});
my $clients = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-t', '150', '-f', $script, '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'shop' ],
    '>', \my $out, '2>', \my $err);
my $runs = 0;
do
{
    $node->safe_psql('shop', $runs++ % 2 ? 'CALL c360_refresh_rfm_all(true)' : 'SELECT c360_refresh_rfm()');
    $clients->pump_nb;
} while ($clients->pumpable);
$clients->finish;
unlike($err, qr/ERROR/, 'no client fails') or diag($err);
cmp_ok($runs, '>', 1, 'beside several refreshes');
$node->safe_psql('shop', 'SELECT c360_refresh_rfm()');
is_right('in the end all are right');
is($node->safe_psql('shop', q{SELECT string_agg(format('%s: %s instead of %s', segment, stored, counted), ', ')
    FROM (SELECT segment, sum(customers) AS stored FROM c360.rfm_counts GROUP BY segment HAVING sum(customers) <> 0) a
    FULL JOIN (SELECT segment, count(*) AS counted FROM c360.customer_rfm GROUP BY segment) b USING (segment)
    WHERE stored IS DISTINCT FROM counted}), '', 'and counted');
is((split /\|/, refresh(1))[1], 0, 'and a full run finds nothing to change');

# A dump restored: other transaction ids, so all is looked at.
$node->safe_psql('shop', "SELECT reference.place_orders('DUMP', 20, '$day')");
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$script.dump", $node->connstr('shop') ], 'a dump');
new_database($node, 'restored', undef);
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), "$script.dump" ], 'is restored');
is($node->safe_psql('restored', 'SELECT c360_install()'), $node->safe_psql('shop', 'SELECT c360_install()'), 'with its tables');
is((split /\|/, $node->safe_psql('restored', 'SELECT examined FROM c360_refresh_rfm()'))[0],
    $node->safe_psql('restored', 'SELECT count(*) FROM c360.customers'), 'its first refresh looks at all');
is($node->safe_psql('restored', "SELECT * FROM reference.differences('$day') LIMIT 3"), '', 'and is right');
is($node->safe_psql('restored', q{SELECT string_agg(DISTINCT segment, ' ') FROM c360.rfm_segments WHERE f = 3}), 'Regulars', 'by the shop\'s own rules');

$node->stop;
done_testing();
