# The publisher sends only what anybody listens to, and all of that: whatever
# way a session came to listen, or did not cease to.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Events;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# as for standbys, which the last part waits for
my $node = new_live_node('listeners', 'shop', allows_streaming => 1);
$node->append_conf('postgresql.conf', 'max_connections = 120');
$node->start;
install_live($node, 'shop');
wait_for_worker($node, 'shop', 'c360 publisher');

my ($one, $other) = ('0912000001', '0912000002');
$node->safe_psql('shop', "SELECT c360_get_or_create_customer('$_')") foreach $one, $other;

# One session listens to customers all the time: the moment at which a new one
# is announced tells that all of its transaction is.
my $marker = listen_to($node, 'shop', 'customers');
my $customers = 0;

sub notifications
{
    return $node->safe_psql('shop', 'SELECT notifications FROM c360_stat');
}

# How many notifications a movement of this wallet is worth.
sub sent_for
{
    my ($phone, $name) = @_;
    my $before = notifications();

    $node->safe_psql('shop', join '; ', 'BEGIN', deposit($phone, $name // 'a movement'),
        sprintf("SELECT c360_get_or_create_customer('0902%06d')", ++$customers), 'COMMIT');
    $node->poll_query_until('shop', "SELECT notifications > $before FROM c360_stat") or die 'nothing is announced';
    return notifications() - $before - 1;
}

# A session ends some time after its client.
sub end_session
{
    my $listener = shift;
    my ($pid) = in_session($listener->{session}, 'SELECT pg_backend_pid()') =~ /^(\d+)/;    # before what it heard

    $listener->{session}->quit;
    $node->poll_query_until('shop', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid") or die;
    return;
}

is(sent_for($one), 0, 'nothing is sent to nobody');
my $all = listen_to($node, 'shop', 'wallets');
is(sent_for($one, 'first'), 1, 'one who listens to all wallets');
is(scalar(heard_until($all, 'first')), 1, 'hears it');
my $single = listen_to($node, 'shop', "wallet:$one", "wallet:$other");
is(sent_for($one), 2, 'and one who listens to this wallet');
is(sent_for($other), 2, 'and to that');
in_session($single->{session}, qq{UNLISTEN "wallet:$one"});
is(sent_for($one), 1, 'who has ceased to');
is(sent_for($other, 'that one'), 2, 'not for the other');
ok(scalar(heard_until($single, 'that one')), 'which it hears');
end_session($single);
is(sent_for($other), 1, 'a session that ends listens to nothing');
my $elsewhere = listen_to($node, 'postgres', "wallet:$one");
is(sent_for($one), 1, 'nor one of another database');

# UNLISTEN that does not hold
my $number = 0;
foreach my $still (
    'BEGIN; UNLISTEN *; ROLLBACK',
    'BEGIN; UNLISTEN wallets; ROLLBACK',
    'BEGIN; SAVEPOINT s; UNLISTEN *; ROLLBACK TO s; COMMIT',
    'BEGIN; UNLISTEN *; LISTEN wallets; COMMIT',
    'BEGIN; UNLISTEN wallets; SAVEPOINT s; LISTEN wallets; RELEASE s; COMMIT',
    'DO $$ BEGIN UNLISTEN wallets; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $$',
    'UNLISTEN tickets')
{
    my $name = 'still ' . ++$number;

    heard($all, $still);
    is(sent_for($one, $name), 1, "sent after $still");
    is(scalar(heard_until($all, $name)), 1, 'and heard');
}

# and that does
foreach my $ceased ('UNLISTEN wallets', 'UNLISTEN *', 'DISCARD ALL', 'BEGIN; UNLISTEN wallets; COMMIT',
    'DO $$ BEGIN UNLISTEN wallets; END $$')
{
    my $name = 'again ' . ++$number;

    in_session($all->{session}, $ceased);
    is(sent_for($one), 0, "nothing after $ceased");
    in_session($all->{session}, q{DO $$ BEGIN LISTEN wallets; END $$});
    is(sent_for($one, $name), 1, 'listens again, by a function');
    is(scalar(heard_until($all, $name)), 1, 'and hears');
}

# Who listens before the commit hears it, however early the transaction began.
{
    my $writer = $node->background_psql('shop');

    in_session($all->{session}, 'UNLISTEN *');
    in_session($writer, 'BEGIN');
    in_session($writer, deposit($one, 'begun before'));
    is(sent_for($other), 0, 'nobody listens yet');
    in_session($all->{session}, 'LISTEN wallets');
    in_session($writer, 'COMMIT');
    is(scalar(heard_until($all, 'begun before')), 1, 'the transaction before LISTEN, committed after it');
    $writer->quit;
}

# A publisher that comes later knows who listens.
restart_publisher($node, 'shop');
sent_for($one, 'of the next publisher');
is(scalar(grep { name_of($_->{payload}) eq 'of the next publisher' } heard_until($all, 'of the next publisher')), 1,
    'a publisher that comes later knows who listens');

# More sessions than there is room for: nobody is left out.
{
    my $sessions = 80;
    my $connect = q{'host=' || split_part(current_setting('unix_socket_directories'), ',', 1)
        || ' port=' || current_setting('port') || ' dbname=shop'};
    my $crowd = $node->background_psql('shop');

    $crowd->query_safe('CREATE EXTENSION dblink');
    $crowd->query_safe(qq{
        SELECT dblink_connect('c' || i, $connect), dblink_exec('c' || i, 'LISTEN "wallet:0999' || i || '"')
        FROM generate_series(1, $sessions) i});
    is(sent_for($one), 2, 'with too many who listen everything is sent');
    my $late = listen_to($node, 'shop', "wallet:$other");
    is(sent_for($other, 'the crowd'), 2, 'to one more');
    is(scalar(heard_until($late, 'the crowd')), 1, 'who hears it');
    $crowd->query_safe(qq{SELECT dblink_disconnect('c' || i) FROM generate_series(1, $sessions) i});
    $crowd->quit;
    $node->poll_query_until('shop', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'LISTEN "wallet:0999%'}) or die;
    is(sent_for($one), 2, 'and still, as long as it is there that found no room');
    end_session($late);
}
is(sent_for($one), 1, 'when all of those are gone only what is listened to is sent');
end_session($all);
is(sent_for($one), 0, 'then nobody');

# Notified by the transaction itself everything is sent: it does so before its
# commit, here a long time, and somebody may begin to listen meanwhile.
sub set_server
{
    my ($setting, $value) = @_;

    $node->append_conf('postgresql.conf', "$setting = '$value'");
    $node->reload;
    $node->poll_query_until('shop', "SELECT current_setting('$setting') = '$value'") or die;
    return;
}
{
    my $writer = $node->background_psql('shop');
    my $pid = in_session($writer, 'SELECT pg_backend_pid()');

    set_server('c360.notify', 'inline');
    set_server('synchronous_standby_names', 'nobody');
    $writer->query_until(qr/begun/, "\\echo begun\n" . deposit($one, 'inline') . ";\n");
    $node->poll_query_until('shop', "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $pid") or die;
    my $late = listen_to($node, 'shop', 'wallets');
    set_server('synchronous_standby_names', '');
    is(scalar(heard_until($late, 'inline')), 1, 'inline: who began to listen meanwhile hears it, too');
    $writer->quit;
    end_session($late);
}

end_session($elsewhere);
end_session($marker);
$node->stop;
done_testing();
