# The pg_cron line of the README, run by a real pg_cron each minute: lots past
# their time expire, in batches of which each is a transaction of its own.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $batch = 500;
my $lots = 1200;
my $node = new_node('cron');

$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'shop'
cron.use_background_workers = on
});
$node->start;
install($node, 'shop');
$node->restart;    # pg_cron's launcher finds its database
$node->safe_psql('shop', 'CREATE EXTENSION pg_cron');

# An and Bình have a lot each that stays; the others have lots of 10 that do not.
$node->safe_psql('shop', qq{
    SELECT c360_issue_credit('0912345678', 5000), c360_issue_credit('0987654321', 6000);
    SELECT c360_issue_credit('09120' || lpad((n % 100)::text, 5, '0'), 10,
                             expires_at => clock_timestamp() + interval '3 seconds')
    FROM generate_series(1, $lots) AS n;
    SELECT c360_issue_credit('0912345678', 70, expires_at => clock_timestamp() + interval '3 seconds')});
my $overdue = $lots + 1;
$node->poll_query_until('shop', "SELECT count(*) = $overdue FROM c360.virtual_credits WHERE expires_at <= clock_timestamp()")
    or die 'lots do not get past their time';
is($node->safe_psql('shop', q{SELECT count(*) FROM c360.virtual_credits WHERE status <> 'ACTIVE'}), '0',
    'nothing has expired by itself');

my ($before, $after) = slurp_file("$FindBin::RealBin/../../README.md")
    =~ /(SELECT cron\.schedule\('[^']+', ')[^']+(', (['\$]+)CALL [^'\$]*c360_expire_all\(\)\3\))/;
die 'the README shows no line for pg_cron' unless defined $after;
like($node->safe_psql('shop', "$before* * * * *$after"), qr/^\d+$/, 'pg_cron takes it, for each minute');
ok($node->poll_query_until('shop', q{
    SELECT count(*) > 0 FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')}), 'pg_cron has run it');
is($node->safe_psql('shop', q{SELECT status || ' ' || return_message FROM cron.job_run_details ORDER BY runid LIMIT 1})
        =~ s/ .*//r, 'succeeded', 'it succeeded')
    or diag($node->safe_psql('shop', 'SELECT * FROM cron.job_run_details'));

is($node->safe_psql('shop', q{
    SELECT status, count(*), sum(original_amount) FROM c360.virtual_credits GROUP BY 1 ORDER BY 1}),
    "ACTIVE|2|11000\nEXPIRED|$overdue|" . (10 * $lots + 70), 'all overdue lots expired, and no other');
my @batches = rows_of($node, 'shop', q{
    SELECT count(*) FROM c360.wallet_transactions t JOIN c360.customer_activities a ON a.id = t.activity_id
    WHERE t.type = 'VIRTUAL_EXPIRE' GROUP BY a.xact ORDER BY min(t.id)});
is("@batches", join(' ', ($batch) x int($overdue / $batch), $overdue % $batch), 'each batch was a transaction of its own');
is($node->safe_psql('shop', q{
    SELECT phone, virtual_balance, total_virtual_expired FROM c360_wallets(ARRAY['0912345678', '0987654321']) ORDER BY phone}),
    "0912345678|5000|70\n0987654321|6000|0", 'An lost what was overdue, Bình nothing');
is($node->safe_psql('shop', q{SELECT DISTINCT actor || ' ' || session_user_name FROM c360.wallet_transactions
        WHERE type = 'VIRTUAL_EXPIRE'}), 'postgres postgres', 'the books say whose job it was');
verify_is_empty($node, 'shop', 'the books are right');

done_testing();
