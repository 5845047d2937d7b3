# Standbys and READ ONLY transactions: reads work, and every function that
# writes answers 25006 and changes nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Events;
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
    # where "now" is differs from place to place: more of events below
    (map { $_->[1] =~ s/^SELECT (.*)/SELECT * FROM $1/r } grep { $_->[0] !~ /^c360_(events|events_since|statistics)$/ } @READS),
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

#
# Events
#

my $worker_settings = q{
shared_preload_libraries = 'c360'
c360.databases = 'shop'
max_connections = 40
};
$primary->safe_psql('shop', q{
    SELECT c360_set('jobs_by', 'none');
    CREATE SCHEMA test});
$primary->append_conf('postgresql.conf', $worker_settings);
$standby->append_conf('postgresql.conf', $worker_settings);
$primary->restart;
$standby->restart;

# Notes of the events behind a cursor in pages of a size, and where that led.
sub read_on
{
    my ($node, $cursor, $size) = @_;
    my @names;

    while (my @rows = rows_of($node, 'shop', qq{
        BEGIN READ ONLY;
        SELECT cursor, coalesce(payload ->> 'note', event) FROM c360_events_since('$cursor', '{wallets}', $size) WHERE id IS NOT NULL;
        COMMIT}))
    {
        ($cursor) = split /\|/, $rows[-1];
        push @names, map { (split /\|/, $_)[1] } @rows;
    }
    return (join(' ', @names), $cursor);
}

sub move_on
{
    my ($node, @names) = @_;

    $node->safe_psql('shop', deposit('0912345678', $_)) foreach @names;
    return;
}

sub caught_up
{
    wait_announced($primary, 'shop');
    $primary->wait_for_catchup($standby);
    return;
}

wait_for_worker($primary, 'shop', 'c360 publisher');
my $start = cursor_now($primary, 'shop');
move_on($primary, 'a', 'b', 'c');
caught_up();
is((read_on($standby, $start, $_))[0], 'a b c', "events are read on the standby, pages of $_") foreach 1, 2, 500;
my $cursor = (read_on($standby, $start, 500))[1];
is($cursor, (read_on($primary, $start, 500))[1], 'its cursors are those of the primary');
is($standby->safe_psql('shop', q{SELECT cursor FROM c360_events_since()}), cursor_now($primary, 'shop'), 'now is the newest tick');
is($standby->safe_psql('shop', qq{SELECT payload FROM c360_events_since('$start', NULL, 1)}),
    $primary->safe_psql('shop', qq{SELECT payload FROM c360_events_since('$start', NULL, 1)}), 'the payload is the same');
like($standby->safe_psql('shop', qq{BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT c360_events(after => '$start'); COMMIT}),
    qr/\Aretry: 1000\n\nevent: .*\nid: \S+\n*\z/s, 'a stream is read there, too');
my $pass = $primary->safe_psql('shop', 'SELECT c360_open_stream()');
$primary->wait_for_catchup($standby);
is(error_in($standby, 'shop', "SELECT c360_events('$pass')"), 'none', 'with a pass of the primary');
is(error_in($standby, 'shop', "SELECT * FROM c360_events_since('" . ($start =~ s/\d+$/1000/r) . "')"), 'PT410 cursor_expired',
    'a cursor of the future is refused');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'c360%'}), '0',
    'no worker runs on the standby');
is($standby->safe_psql('shop', 'SELECT ticks, notifications, lag, backlog FROM c360_stat'), '|||0', 'c360_stat says so');

# Without fresh ticks readers there make snapshots of their own. One
# transaction is open on the primary, with subtransactions.
my $open = $primary->background_psql('shop');
$open->query_safe('BEGIN');
$open->query_safe(deposit('0987654321', 'open1'));
$open->query_safe('SAVEPOINT s');
$open->query_safe(deposit('0987654321', 'open2'));
$open->query_safe('RELEASE s');
$primary->append_conf('postgresql.conf', q{c360.databases = ''});
$primary->reload;
wait_for_no_worker($primary, 'shop') or die 'the publisher does not end';
move_on($primary, 'd', 'e');
$primary->wait_for_catchup($standby);
$standby->poll_query_until('shop', qq{SELECT count(*) > 0 FROM c360_events_since('$cursor')}) or die 'events stay behind on the standby';
my ($got, $half) = read_on($standby, $cursor, 500);
is($got, 'd e', 'where nobody ticks the standby reads by snapshots');
is((read_on($standby, $cursor, 1))[0], 'd e', 'in pages of one');
my $of_standby = $standby->safe_psql('shop', 'SELECT cursor FROM c360_events_since()');
like($of_standby, qr/^\d+\.s/, 'its cursors are snapshots');
my $of_primary = $primary->safe_psql('shop', 'SELECT cursor FROM c360_events_since()');
$open->query_safe('COMMIT');
$open->quit;
move_on($primary, 'f');
$primary->wait_for_catchup($standby);
foreach my $node ($standby, $primary)
{
    my $name = $node == $standby ? 'standby' : 'primary';

    is((read_on($node, $_->[1], 1))[0], 'open1 open2 f', "what was open is read on the $name, from $_->[0]")
        foreach [ 'the middle of a batch', $half ], [ 'a snapshot of the standby', $of_standby ],
            [ 'a snapshot of the primary', $of_primary ];
    is((read_on($node, $cursor, 500))[0], 'open1 open2 d e f', "and in its place from before, on the $name");
}
$primary->append_conf('postgresql.conf', q{c360.databases = 'shop'});
$primary->reload;
wait_for_worker($primary, 'shop', 'c360 publisher');
move_on($primary, 'g');
caught_up();
is((read_on($standby, $_, 2))[0], 'open1 open2 f g', 'on with ticks again') foreach $half, $of_standby, $of_primary;
my $partial = (rows_of($standby, 'shop', qq{SELECT cursor FROM c360_events_since('$start', '{wallets}', 2)}))[-1];
my $newest = cursor_now($primary, 'shop');
$primary->wait_for_catchup($standby);
my $last_tick = $standby->safe_psql('shop', 'SELECT max(id) FROM c360.event_ticks');
# committed and replicated, but in no tick that the standby has
$primary->append_conf('postgresql.conf', q{c360.databases = ''});
$primary->reload;
wait_for_no_worker($primary, 'shop') or die 'the publisher does not end';
move_on($primary, 'h');
$primary->wait_for_catchup($standby);

# Promoted, it is a shop like any other, which gives no id out again.
my $last = $standby->safe_psql('shop', 'SELECT max(id) FROM c360.wallet_transactions');
$standby->promote;
cmp_ok($standby->safe_psql('shop', q{SELECT transaction_id FROM c360_deposit('0912345678', 1000)}), '>', $last,
    'promoted: ids go on');
$standby->safe_psql('shop', q{
    SELECT c360_withdraw('0912345678', 2000), c360_unfreeze_wallet('0987654321'), c360_withdraw('0987654321', 2000)});
verify_is_empty($standby, 'shop', 'promoted: money moves and the books are right');
guard_works($standby, 'shop', 'promoted: the ledger guard works');

# Its publisher begins an epoch, far away from ticks that the old primary may
# have given out last; cursors from before go on, and nothing is lost.
wait_for_worker($standby, 'shop', 'c360 publisher');
my $listener = listen_to($standby, 'shop', 'wallets');
wait_announced($standby, 'shop');
move_on($standby, 'i');
is(name_of((heard_until($listener, 'i'))[-1]{payload}), 'i', 'promoted: its publisher announces');
$listener->{session}->quit;
wait_announced($standby, 'shop');
my $after = 'h wallet.deposit wallet.withdraw wallet.unfrozen wallet.withdraw i';
foreach my $size (1, 500)
{
    is((read_on($standby, $newest, $size))[0], $after, "promoted: the newest cursor of before goes on, pages of $size");
    is((read_on($standby, $partial, $size))[0], "c d e f g $after" =~ s/^c /c open1 open2 /r, "promoted: one in the middle of a batch, too");
}
my $new = cursor_now($standby, 'shop');
cmp_ok(($new =~ /\.(\d+)/)[0], '>=', $last_tick + 1000000, 'promoted: numbers of ticks jump');
isnt(($new =~ /^(\d+)/)[0], ($newest =~ /^(\d+)/)[0], 'promoted: another epoch');
move_on($standby, 'j');
wait_announced($standby, 'shop');
is((read_on($standby, $new, 1))[0], 'j', 'promoted: its own cursors go on');

# What the old primary does from here on is another history.
$primary->append_conf('postgresql.conf', q{c360.databases = 'shop'});
$primary->reload;
wait_for_worker($primary, 'shop', 'c360 publisher');
move_on($primary, 'lost');
my $lost = cursor_now($primary, 'shop');
like($lost, qr/^@{[ $newest =~ m{^(\d+)} ]}\./, 'the old primary stays in its epoch');
is(error_in($standby, 'shop', "SELECT * FROM c360_events_since('$lost')"), 'PT410 cursor_expired',
    'promoted: a tick that was lost with the old primary is not taken for another');
is(error_in($primary, 'shop', "SELECT * FROM c360_events_since('$new')"), 'PT410 cursor_expired', 'nor the other way round');

# Promotion is survived by a restart.
$standby->restart;
wait_for_worker($standby, 'shop', 'c360 publisher');
move_on($standby, 'k');
wait_announced($standby, 'shop');
is((read_on($standby, $new, 1))[0], 'j k', 'promoted and restarted: the same epoch');
is($standby->safe_psql('shop', 'SELECT count(*) FROM c360.event_epochs WHERE epoch <> 4711'), '2', 'promoted: two epochs');

done_testing();
