# Standbys and READ ONLY transactions: reads work, and every function that
# writes answers 25006 and changes nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', allows_streaming => 1);
$primary->start;
install($primary, 'shop');
fill_every_table($primary, 'shop');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->safe_psql('shop', q{SELECT c360_deposit('0912345678', 1234), c360_deposit('0987654321', 4321)});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('shop', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');

# A new function cannot be forgotten: each has a sample call, or a reason why
# nobody calls it.
my %sampled = map { $_->[0] => 1 } @WRITES;
is(join(' ', grep { !$sampled{$_} && !$NOT_CALLED{$_} } routines($primary, 'shop', 'v')), '',
    'every VOLATILE function has a sample call');
%sampled = map { $_->[0] => 1 } @READS;
is(join(' ', grep { !$sampled{$_} && !$NOT_CALLED{$_} } routines($primary, 'shop', 's')), '',
    'every STABLE function has a sample call');

# What both places must answer, beside the sample calls.
my @reads = (
    (map { $_->[1] =~ s/^SELECT (.*)/SELECT * FROM $1/r } @READS),
    q{SELECT * FROM c360_wallet('0987654321')},
    q{SELECT * FROM c360_wallets(NULL, ARRAY[1, 2])},
    q{SELECT * FROM c360_wallet_transactions('0987654321', 'WITHDRAW')},
    q{SELECT * FROM c360_balance_at('0987654321', '2000-01-01')},
    q{SELECT * FROM c360_expiring_credits('30 days')},
    q{SELECT * FROM c360_settings ORDER BY name},
    q{SELECT * FROM c360_parse_transfer('0912345678 GD 123456')},
    q{SELECT c360_normalize_phone('+84 912 345 678'), c360_phone_carrier('0912345678'), c360_version()});

foreach my $place ([ 'READ ONLY transaction', $primary, 'BEGIN READ ONLY' ],
    [ 'READ ONLY snapshot', $primary, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' ],
    [ 'standby', $standby, 'BEGIN' ])
{
    my ($name, $node, $begin) = @$place;

    foreach my $read (@reads)
    {
        # clock and lots that overdue meanwhile aside, both read the same rows
        # and snapshots in cursors
        my ($there, $here) = map { s/\.s[\d:,]+/.s/gr } $node->safe_psql('shop', "$begin; $read; COMMIT"),
            $primary->safe_psql('shop', $read);
        is($there, $here, "$name: $read");
    }
}

my $rows = table_texts($primary, 'shop');
my $sequences = sequence_texts($primary, 'shop');
foreach my $call (@WRITES)
{
    my ($function, $sql) = @$call;

    foreach my $case ([ 'on the standby', $standby, $sql ],
        [ 'in a READ ONLY session', $primary, "SET default_transaction_read_only = on; $sql" ],
        [ 'in a READ ONLY transaction', $primary, "BEGIN READ ONLY; $sql; COMMIT" ],
        [ 'in a transaction turned READ ONLY', $primary, "BEGIN; SELECT 1; SET TRANSACTION READ ONLY; $sql; COMMIT" ])
    {
        my $error = error_of($case->[1], 'shop', $case->[2]);

        is($error && $error->{state}, '25006', "$function $case->[0]")
            or diag($error ? $error->{text} : 'it succeeds');
    }
}
same_tables(table_texts($primary, 'shop'), $rows, 'no row has changed');
same_text(sequence_texts($primary, 'shop'), $sequences, 'and no id was used up');

# Promoted, it is a shop like any other, which gives no id out again.
my $last = $standby->safe_psql('shop', 'SELECT max(id) FROM c360.wallet_transactions');
$standby->promote;
cmp_ok($standby->safe_psql('shop', q{SELECT transaction_id FROM c360_deposit('0912345678', 1000)}), '>', $last,
    'promoted: ids go on');
$standby->safe_psql('shop', q{
    SELECT c360_withdraw('0912345678', 2000), c360_unfreeze_wallet('0987654321'), c360_withdraw('0987654321', 2000)});
verify_is_empty($standby, 'shop', 'promoted: money moves and the books are right');
guard_works($standby, 'shop', 'promoted: the ledger guard works');

done_testing();
