# Recovery to a moment between two withdrawals: what the books said then, to
# the row; cursors of events of before go on, later ones expire.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Events;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_live_node('primary', 'shop', has_archiving => 1, allows_streaming => 1);
$primary->start;
install_live($primary, 'shop');
wait_for_worker($primary, 'shop', 'c360 publisher');
$primary->safe_psql('shop', q{SELECT c360_deposit('0912345678', 1000), c360_issue_credit('0912345678', 300)});
$primary->backup('base');

$primary->safe_psql('shop', q{SELECT c360_withdraw('0912345678', 400, idempotency_key => 'first')});
my $before = cursor_now($primary, 'shop');
my ($ledger, $uses) = map { $primary->safe_psql('shop', "SELECT t FROM $_ t ORDER BY t") }
    'c360.wallet_transactions', 'c360.virtual_credit_uses';
$primary->safe_psql('shop', q{SELECT pg_create_restore_point('between')});
$primary->safe_psql('shop', q{SELECT c360_withdraw('0912345678', 500, idempotency_key => 'second')});
my $after = cursor_now($primary, 'shop');
is($primary->safe_psql('shop', q{SELECT balance, virtual_balance FROM c360_wallet('0912345678')}), '400|0', 'two withdrawals');

my $segment = $primary->safe_psql('shop', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$primary->safe_psql('shop', 'SELECT pg_switch_wal()');
ok($primary->poll_query_until('shop', "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver"), 'WAL is archived');

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
$restored->append_conf('postgresql.conf', q{
recovery_target_name = 'between'
recovery_target_action = 'pause'
archive_mode = off
});
$restored->start;
ok($restored->poll_query_until('shop', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}), 'recovery pauses at the moment');

foreach my $state ('paused', 'promoted')
{
    if ($state eq 'promoted')
    {
        $restored->safe_psql('shop', 'SELECT pg_wal_replay_resume()');
        ok($restored->poll_query_until('shop', 'SELECT NOT pg_is_in_recovery()'), 'it is promoted');
    }
    is($restored->safe_psql('shop', q{SELECT balance, virtual_balance FROM c360_wallet('0912345678')}), '900|0', "$state: between the two");
    is($restored->safe_psql('shop', 'SELECT t FROM c360.wallet_transactions t ORDER BY t'), $ledger, "$state: the ledger, to the row");
    is($restored->safe_psql('shop', 'SELECT t FROM c360.virtual_credit_uses t ORDER BY t'), $uses, "$state: uses of credit, too");
    verify_is_empty($restored, 'shop', "$state: the books agree");
}
is($restored->safe_psql('shop', q{SELECT replayed FROM c360_withdraw('0912345678', 400, idempotency_key => 'first')}), 't',
    'what was done before is not done again');
is($restored->safe_psql('shop', q{SELECT replayed, balance FROM c360_withdraw('0912345678', 500, idempotency_key => 'second')}), 'f|400',
    'what was done after the moment can be sent again');
is(error_in($restored, 'shop', "SELECT * FROM c360_events_since('$after')"), 'PT410 cursor_expired', 'a cursor of after the moment has expired');
is($restored->safe_psql('shop', "SELECT string_agg(event, ' ' ORDER BY id) FROM c360_events_since('$before') WHERE id IS NOT NULL"),
    'wallet.withdraw', 'one of before goes on');
verify_is_empty($restored, 'shop', 'the books agree still');

done_testing();
