# A fraud scan in batches that dies in the middle, of itself or with the server,
# is carried on, and finds what one that ran through finds; so does one by the
# job runner, one beside writers, and one after the history of transactions
# is another.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('fraud');
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'c360'
c360.databases = 'shop'
});
$node->start;
install($node, 'shop');
$node->safe_psql('shop', q{SELECT c360_set('jobs_by', 'none')});

sub sql { return $node->safe_psql('shop', $_[0]) }
sub found { return sql('SELECT count(*), coalesce(sum(times), 0), md5(string_agg(customer_id::text || counted::text, \',\' ORDER BY customer_id)) FROM c360.fraud_flags') }
sub under_way { return sql(q{SELECT state -> 'run' ->> 'step' FROM c360.consumers WHERE name = 'fraud'}) }

# Ledgers of 1,000 customers with 60 rows each: more than a few batches. Every
# seventh has six large rows in an hour, among others a day apart.
sql(q{
    INSERT INTO c360.customers (phone) SELECT '09' || lpad(i::text, 8, '0') FROM generate_series(1, 1000) i;
    INSERT INTO c360.customer_wallets (customer_id, balance) SELECT id, 600000000 FROM c360.customers;
    INSERT INTO c360.wallet_transactions (customer_id, type, operation, amount, real_change, virtual_change, balance_after,
        virtual_balance_after, source, actor, session_user_name, created_at, activity_id)
    SELECT c, 'DEPOSIT', 'test', 10000000, 10000000, 0, n * 10000000, 0, 'MANUAL', 'test', 'test',
           timestamptz '2025-01-01' + CASE WHEN c % 7 = 0 AND n BETWEEN 30 AND 35 THEN 30 * interval '1 day' + n * interval '1 minute'
                                           ELSE n * interval '1 day' END, 0
    FROM generate_series(1, 1000) c, generate_series(1, 60) n ORDER BY n, c});
my $expected = sql(q{SELECT count(*) FROM (SELECT customer_id FROM (
        SELECT customer_id, created_at, lag(created_at, 5) OVER (PARTITION BY customer_id ORDER BY created_at, id) AS fifth_before
        FROM c360.wallet_transactions WHERE amount > 5000000) w
    WHERE created_at - fifth_before <= interval '1 hour' GROUP BY customer_id) c});
is($expected, 142, 'there is something to find');

# In one transaction, rolled back: what the others must come to.
my $whole = sql(q{
    BEGIN;
    SELECT count(*) FROM c360_scan_fraud() \g /dev/null
    SELECT count(*), coalesce(sum(times), 0), md5(string_agg(customer_id::text || counted::text, ',' ORDER BY customer_id)) FROM c360.fraud_flags;
    ROLLBACK});
like($whole, qr/^142\|142\|/, 'a scan at once finds it');

# One batch, then the server dies.
cmp_ok(sql(q{SELECT c360_fraud_batch('first')}), '>', 0, 'a batch');
my $part = found();
cmp_ok((split /\|/, $part)[0], '<', 142, 'finds a part');
cmp_ok((split /\|/, $part)[0], '>', 0, 'but something');
is(under_way(), 3, 'a scan is under way');
$node->stop('immediate');
$node->start;
is(found(), $part, 'what the batch found is there');
is(under_way(), 3, 'and the scan is under way');
my ($in, $out, $err) = ("BEGIN;\nSELECT 'did ' || (c360_fraud_batch('second') > 0);\n", '', '');
my $h = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop') ], '<', \$in, '>', \$out, '2>', \$err,
    IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$h->pump until $out =~ /did true/;
is(found(), $part, 'a second batch has not committed');
$node->stop('immediate');
eval { $h->finish };
$node->start;
is(found(), $part, 'and left nothing');

# Carried on to the end.
sql('CALL c360_scan_fraud_all()');
is(found(), $whole, 'carried on it finds the same as at once');
is(under_way(), '', 'and is at its end');
sql('CALL c360_scan_fraud_all()');
is(found(), $whole, 'another one finds nothing');
is(sql(q{SELECT sum(examined) FROM c360_scan_fraud()}), 0, 'nor does it look at anything');

# Another history of transactions: nothing counts as seen.
sql(q{UPDATE c360.consumers SET history = 'another' WHERE name = 'fraud'});
is(sql(q{SELECT examined FROM c360_scan_fraud() WHERE rule = 'wallet_abuse'}), 1000, 'in another history all is looked at');
is(found(), $whole, 'and nothing found twice');

# Beside writers: what they commit while batches run is found by this scan or the next.
sql(q{UPDATE c360.consumers SET history = 'another' WHERE name = 'fraud'});
my @writers = map {
    my $n = $_;
    IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-c', qq{
        DO \$\$ BEGIN
            FOR i IN 1 .. 40 LOOP
                PERFORM c360_deposit('0977' || lpad((i * 10 + $n)::text, 6, '0'), 6000000) FROM generate_series(1, 6);
                PERFORM c360_withdraw('09' || lpad((i * 20 + $n)::text, 8, '0'), 1000);
                COMMIT;
            END LOOP;
        END \$\$} ], '>', '/dev/null', '2>', \my $err_of_it)
} 0 .. 3;
sql('CALL c360_scan_fraud_all()') for 1 .. 3;
$_->finish or fail('a writer failed') for @writers;
sql('CALL c360_scan_fraud_all()');
is(sql(q{SELECT count(*) FROM c360.customers c WHERE phone LIKE '0977%' AND (SELECT count(*) FROM c360.fraud_flags f WHERE f.customer_id = c.id AND rule = 'wallet_abuse') = 1}),
    160, 'each customer of the writers is found once');
is(sql('SELECT count(*) FROM c360.fraud_flags'), 142 + 160, 'and nobody else');

# By the worker, and by another scheduler.
sql(q{SELECT count(c360_deposit('0978000001', 6000000)) FROM generate_series(1, 6)});
sql(q{SELECT c360_set_job('scan_fraud', '* * * * *'), c360_set('jobs_by', 'worker')});
ok($node->poll_query_until('shop', q{SELECT count(*) = 1 FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id WHERE c.phone = '0978000001'}),
    'the worker scans');
ok($node->poll_query_until('shop', q{SELECT error IS NULL AND last_end IS NOT NULL AND failures = 0 FROM c360_job_status WHERE job = 'scan_fraud'}), 'the run has its row');
is(sql(q{SELECT actor FROM c360.customer_activities WHERE event = 'customer.flagged' ORDER BY id DESC LIMIT 1}), 'c360:scan_fraud', 'who flagged him');
sql(q{SELECT c360_set('jobs_by', 'pg_cron')});
sql(q{SELECT count(c360_deposit('0978000002', 6000000)) FROM generate_series(1, 6)});
ok($node->poll_query_until('shop', q{SELECT NOT EXISTS (SELECT FROM c360.job_runs WHERE ended_at IS NULL)}), 'the worker is at its end');
sql(q{CALL c360_perform_job('scan_fraud')});
is(sql(q{SELECT count(*) FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id WHERE c.phone = '0978000002'}), 1, 'another scheduler, too');
sql(q{SELECT c360_run_job('scan_fraud')});
is(sql(q{SELECT error FROM c360_job_status WHERE job = 'scan_fraud'}), '', 'and by hand');

$node->stop;
done_testing();
