# Logical replication to a server that reports: all tables of c360 arrive, the
# books are right there, views and reading functions answer the same, nothing
# is written there, and the ledger's guard does not stand in the way.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Events;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $shop = new_live_node('shop', '', allows_streaming => 'logical');
$shop->start;
install($shop, 'shop');
fill_every_table($shop, 'shop');
$shop->append_conf('postgresql.conf', "c360.databases = 'shop'");
$shop->reload;
wait_for_worker($shop, 'shop', $_) foreach 'c360 publisher', 'c360 job runner';

is(join(' ', rows_of($shop, 'shop', q{
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r' AND c.relreplident <> 'f'
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END)})),
    '', 'every table has a replica identity');

# As doc/operations.md has it
my ($on_shop, $on_reports) = slurp_file("$FindBin::RealBin/../../doc/operations.md")
    =~ /^### A server that reports\n.*?```sql\n-- on the shop's server\n(.*?)```.*?```sql\n-- on the other\n(.*?)```/ms
    or die 'the manual has no such chapter';

my $reports = new_node('reports');
$reports->append_conf('postgresql.conf', q{
shared_preload_libraries = 'c360'
c360.databases = ''
});
$reports->start;
new_database($reports, 'shop');
$shop->safe_psql('shop', $on_shop);
my $connection = $shop->connstr('shop') =~ s/'/''/gr;
$on_reports =~ s/CONNECTION '[^']*'/CONNECTION '$connection'/ or die 'the manual does not connect';
$reports->safe_psql('shop', $on_reports);
$shop->wait_for_catchup('c360_reports');
$reports->poll_query_until('shop', q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel}) or die 'tables do not arrive';

# Sessions of workers aside, what is read there is what is read here: tables,
# views, and every reading function.
my @views = rows_of($shop, 'shop', q{SELECT view FROM c360_level_views() WHERE view <> 'c360_stat' ORDER BY 1});
my @reads = map { $_->[1] =~ s/^SELECT (.*)/SELECT * FROM $1/r } grep { $_->[0] !~ /^c360_(events|events_since|statistics)$/ } @READS;

sub caught_up
{
    $shop->wait_for_catchup('c360_reports');
    return;
}

sub same_answers
{
    my ($when) = @_;

    $shop->safe_psql('shop', q{SELECT c360_set('jobs_by', 'none')});
    wait_announced($shop, 'shop');
    caught_up();
    # errors of a moment ago may come any time
    my @texts = map { table_texts($_, 'shop') } $reports, $shop;
    isnt(delete $_->{'c360.audit_logs'}, '', "$when: there are errors on record") foreach @texts;
    same_tables(@texts, "$when: the tables are the same");
    verify_is_empty($reports, 'shop', "$when: the books are right");
    foreach my $read ((map { "SELECT t::text FROM $_ t ORDER BY 1" } @views), @reads)
    {
        my ($there, $here) = map { $_->safe_psql('shop', $read) } $reports, $shop;
        is($there, $here, "$when: $read");
    }
    return;
}

cmp_ok(scalar(@views), '>', 5, 'there are views');
same_answers('after the copy');
# sample calls are made for tables that are new; some fail here
my $succeeded = grep { $shop->psql('shop', $_->[1]) == 0 } @WRITES;
cmp_ok($succeeded, '>', 0.6 * @WRITES, 'most sample calls work');
$shop->safe_psql('shop', q{
    SELECT c360_ingest_bank_transaction('{"id": 91, "gateway": "ACB", "transactionDate": "2026-01-02 03:04:05",
        "accountNumber": "75918", "transferType": "in", "transferAmount": 70000, "content": "0912345678 ck"}');
    SELECT c360_resolve_ticket(t.ticket_code) FROM c360_create_ticket('0912345678', 'BOOM', 'DH77', refund_amount => 5000) t;
    SELECT c360_erase_customer('0966666665', 'asked for it');
    SELECT c360_grant('pg_monitor', 'agent');
    VACUUM c360.customer_wallets});
same_answers('after more of everything');

# Levels
my $may = q{SELECT has_function_privilege('pg_monitor', 'c360_wallet(text)', 'EXECUTE')};
is($reports->safe_psql('shop', $may), 'f', 'levels are not replicated');
$reports->safe_psql('shop', 'SET default_transaction_read_only = off; SELECT c360_install()');
is($reports->safe_psql('shop', $may), 't', 'c360_install() gives them there');

# What a session keeps is renewed by rows that come, which fire no statement trigger.
my $session = $reports->background_psql('shop');
my $score = q{SELECT segment FROM c360_score_customer((SELECT id FROM c360.customers WHERE phone = '0912345678'), '2100-01-01')};
isnt($session->query($score), '', 'a session there scores');
$shop->safe_psql('shop', q{UPDATE c360.rfm_segments SET segment = 'Champions'});
caught_up();
is($session->query($score), 'Champions', 'by the rules that the shop changed since');
$session->quit;

# Nothing is written there.
is($reports->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'c360 %' AND datname IS NOT NULL}), '0',
    'no worker of c360 runs there');
foreach my $call (@WRITES)
{
    my $error = error_of($reports, 'shop', $call->[1]);

    is($error && $error->{state}, '25006', "$call->[0] is refused there") or diag($error ? $error->{text} : 'it succeeds');
}
$reports->safe_psql('postgres', 'ALTER DATABASE shop RESET default_transaction_read_only');
guard_works($reports, 'shop', 'the guard of the ledger works there, and for replication');
is($reports->safe_psql('shop', q{SELECT count(*) FROM pg_stat_subscription_stats WHERE apply_error_count + sync_error_count > 0}), '0',
    'replication met no error');

done_testing();
