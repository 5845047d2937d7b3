# A standby promoted under load loses nothing that was answered, and recovery
# to a moment between two withdrawals says what the books said then.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Clients;
use C360Events;
use C360Test;
use IO::Handle;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $dir = PostgreSQL::Test::Utils::tempdir;
my $timeout = $PostgreSQL::Test::Utils::timeout_default;

sub wait_until
{
    my ($what, $is_so) = @_;
    my $give_up = time() + $timeout;

    until ($is_so->())
    {
        die "in vain: $what" if time() > $give_up;
        usleep(20_000);
    }
    return;
}

sub lines_of
{
    return -e "$dir/$_[0]" ? split /\n/, slurp_file("$dir/$_[0]") : ();
}

sub say_file
{
    my ($name, $text) = @_;

    append_to_file("$dir/$name.new", "$text\n");
    rename "$dir/$name.new", "$dir/$name" or die $!;
    return;
}

#
# Promoted under load
#
# Commits wait for the standby. Four clients withdraw and deposit, each call
# with a key; one that loses its server sends the same call to where the shop
# is then, until it is answered. A reader follows the events on the standby.
#

my $writers = 4;
my @phones = map { sprintf('091200000%d', $_) } 1 .. 3;
my $primary = new_live_node('primary', 'shop', allows_streaming => 1);
$primary->append_conf('postgresql.conf', "max_wal_senders = 5\n");
$primary->start;
install_live($primary, 'shop');
$primary->safe_psql('shop', "SELECT c360_deposit('$_', 1000000), c360_issue_credit('$_', 500000)") foreach @phones;
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''\nhot_standby_feedback = on\n");
$standby->start;
$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'\n");
$primary->reload;
$primary->poll_query_until('shop', q{SELECT sync_state = 'sync' FROM pg_stat_replication}) or die 'not synchronous';
wait_for_worker($primary, 'shop', 'c360 publisher');
my $start = cursor_now($primary, 'shop');
my $base = $primary->safe_psql('shop', 'SELECT max(id) FROM c360.customer_activities');
$primary->wait_for_catchup($standby);
say_file('server', $primary->connstr('shop'));

sub connection
{
    return open_psql((lines_of('server'))[-1], "$dir/psql.err");
}

# Their journals: key, answered id, what else was answered.
sub write_until_stopped
{
    my ($number) = @_;
    my $session = connection();

    open my $journal, '>', "$dir/writer$number" or die $!;
    $journal->autoflush(1);
    for (my $n = 1; !-e "$dir/stop"; $n++)
    {
        my $phone = $phones[ rand @phones ];
        my $key = "$number.$n";
        my $call = $n % 4 ? "c360_withdraw('$phone', 10" : "c360_deposit('$phone', 20";
        my ($state, $row);

        until (defined $state)
        {
            ($state, $row) = ask($session, "SELECT transaction_id, replayed FROM $call, idempotency_key => '$key')");
            next if defined $state;
            close_psql($session);
            usleep(50_000);
            $session = connection();
        }
        print $journal "$key|$state|" . ($row // '') . "\n";
    }
    close_psql($session);
    return;
}

# Its log: cursors and ids of events, and answers that should not be. A cursor
# of a snapshot may expire with the old primary; the last one of a tick does not.
sub read_until_stopped
{
    my ($cursor, $of_tick) = ($start, $start);
    my $session = open_psql($standby->connstr('shop'), "$dir/psql.err");
    my $more = 1;

    open my $log, '>', "$dir/reader" or die $!;
    $log->autoflush(1);
    while ($more || !-e "$dir/reader_stop")
    {
        my ($state, @rows) = ask($session, "SELECT cursor, id FROM c360_events_since('$cursor', '{wallets}', 50)");

        $state //= 'lost';
        if ($state eq 'PT410' && $cursor =~ /s/)
        {
            $cursor = $of_tick;
            next;
        }
        print $log "wrong: $state at $cursor, last tick's $of_tick\n" if $state ne '00000';
        last if $state ne '00000';
        foreach my $row (grep { /\|\d/ } @rows)
        {
            ($cursor) = split /\|/, $row;
            $of_tick = $cursor if $cursor !~ /s/;
            print $log "$row\n";
        }
        $more = @rows;
        foreach my $read ("SELECT * FROM c360_wallet('$phones[0]')", 'SELECT c360_wallet_summary()', 'SELECT * FROM c360_verify_wallets()')
        {
            ($state, @rows) = ask($session, $read);
            print $log 'wrong: ' . ($state // 'lost') . " for $read\n" if ($state // '') ne '00000';
            print $log "wrong: $rows[0]\n" if $read =~ /verify/ && @rows;
        }
    }
    close_psql($session);
    return;
}

sub in_child
{
    my ($code, @arguments) = @_;
    my $pid = fork // die "cannot fork: $!";

    return $pid if $pid;
    srand($$);
    eval { $code->(@arguments); 1 } or do { print STDERR $@; POSIX::_exit(1) };
    POSIX::_exit(0);    # no END block: the clusters are the parent's
}

sub ends_well
{
    my ($pid, $name) = @_;

    waitpid $pid, 0;
    return is($?, 0, $name);
}

my @children = map { in_child(\&write_until_stopped, $_) } 1 .. $writers;
my $reader = in_child(\&read_until_stopped);
my @journals = map { "writer$_" } 1 .. $writers;

sub all_answered
{
    my ($more, @before) = @_;

    foreach my $n (0 .. $#journals)
    {
        return 0 if scalar(() = lines_of($journals[$n])) < $before[$n] + $more;
    }
    return 1;
}

wait_until('the primary answers calls', sub { all_answered(40, (0) x $writers) });
wait_until('events reach the reader', sub { scalar(() = lines_of('reader')) >= 40 });
kill_server($primary);
my @at_kill = map { scalar(() = lines_of($_)) } @journals;
my $answered_by_primary = 0;
$answered_by_primary += $_ foreach @at_kill;
$standby->promote;
say_file('server', $standby->connstr('shop'));
wait_until('the promoted one answers calls', sub { all_answered(40, @at_kill) });
append_to_file("$dir/stop", '');
ends_well($_, 'a writer ends') foreach @children;
my @answers = map { lines_of($_) } @journals;
is(join("\n", grep { !/\|00000\|\d+\|[tf]$/ } @answers), '', 'no call is answered by an error');
my $books = join "\n", sort(rows_of($standby, 'shop',
        'SELECT idempotency_key, id FROM c360.wallet_transactions WHERE idempotency_key IS NOT NULL'));
same_text($books, join("\n", sort map { /^(.*)\|00000\|(\d+)/ ? "$1|$2" : $_ } @answers),
    "promoted under load: the ledger has what was answered ($answered_by_primary before, "
        . (@answers - $answered_by_primary) . ' after), all of it, once');
verify_is_empty($standby, 'shop', 'the books are right');
is($standby->safe_psql('shop', qq{
        SELECT sum(balance + virtual_balance) = 4500000 + (SELECT sum(real_change + virtual_change)
               FROM c360.wallet_transactions WHERE idempotency_key IS NOT NULL)
        FROM c360_wallets('{@{[ join ',', @phones ]}}'::text[])}), 't', 'and the wallets hold it');

# Workers of the promoted one
wait_for_worker($standby, 'shop', 'c360 publisher');
wait_announced($standby, 'shop');
my $listener = listen_to($standby, 'shop', 'wallets');
$standby->safe_psql('shop', deposit($phones[0], 'heard'));
is(name_of((heard_until($listener, 'heard'))[-1]{payload}), 'heard', 'its publisher announces');
$listener->{session}->quit;
$standby->safe_psql('shop', qq{
    SELECT c360_set('jobs_by', 'worker');
    SELECT c360_issue_credit('$phones[0]', 9, source_id => 'short', expires_at => clock_timestamp() + interval '0.3 second')});
wait_for_worker($standby, 'shop', 'c360 job runner');
ok($standby->poll_query_until('shop', q{SELECT status = 'EXPIRED' FROM c360.virtual_credits WHERE source_id = 'short'}),
    'its job runner expires a lot');

# The reader
wait_announced($standby, 'shop');
append_to_file("$dir/reader_stop", '');
ends_well($reader, 'the reader ends');
my @log = lines_of('reader');
my %received = map { (split /\|/)[1] => 1 } grep { !/^wrong/ } @log;
my @events = rows_of($standby, 'shop', "SELECT id FROM c360.customer_activities WHERE topic = 'wallets' AND id > $base ORDER BY id");
is(join("\n", grep { /^wrong/ } @log), '', 'before, while and after it was promoted the standby answered every read');
same_text(join("\n", sort keys %received), join("\n", sort @events), 'its reader received every event');
same_text(join("\n", sort(rows_of($standby, 'shop', "SELECT r ->> 'id' FROM test.read('$start', 1000, '{wallets}') r"))), join("\n", sort @events),
    'a cursor of the old primary leads to every event, too');
$standby->stop;

#
# To a moment of the past
#

$primary = new_live_node('archiving', 'shop', has_archiving => 1, allows_streaming => 1);
$primary->start;
install_live($primary, 'shop');
wait_for_worker($primary, 'shop', 'c360 publisher');
$primary->safe_psql('shop', q{SELECT c360_deposit('0912345678', 1000), c360_issue_credit('0912345678', 300)});
$primary->backup('base');

sub rows_of_ledger
{
    my ($node) = @_;

    return join "\n", map { $node->safe_psql('shop', "SELECT t FROM c360.$_ t ORDER BY t") } qw(wallet_transactions virtual_credit_uses);
}

$primary->safe_psql('shop', q{SELECT c360_withdraw('0912345678', 400, idempotency_key => 'first')});
my $before = cursor_now($primary, 'shop');
my $ledger = rows_of_ledger($primary);
my $moment = $primary->safe_psql('shop', 'SELECT clock_timestamp()');
$primary->safe_psql('shop', q{SELECT pg_create_restore_point('between')});
$primary->safe_psql('shop', q{SELECT c360_withdraw('0912345678', 500, idempotency_key => 'second')});
my $after = cursor_now($primary, 'shop');
is($primary->safe_psql('shop', q{SELECT balance, virtual_balance FROM c360_wallet('0912345678')}), '400|0', 'two withdrawals');
my $segment = $primary->safe_psql('shop', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$primary->safe_psql('shop', 'SELECT pg_switch_wal()');
$primary->poll_query_until('shop', "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver") or die 'WAL is not archived';

my %targets = (name => 'between', time => $moment);
foreach my $kind (sort keys %targets)
{
    my $restored = PostgreSQL::Test::Cluster->new("restored_$kind");

    $restored->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
    $restored->append_conf('postgresql.conf', qq{
recovery_target_$kind = '$targets{$kind}'
recovery_target_action = 'pause'
archive_mode = off
});
    $restored->start;
    $restored->poll_query_until('shop', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}) or die 'recovery does not pause';
    foreach my $state ('paused', 'promoted')
    {
        my $name = "by $kind, $state";

        if ($state eq 'promoted')
        {
            is($restored->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'c360%'}), '0',
                "by $kind, paused: no worker runs");
            $restored->safe_psql('shop', 'SELECT pg_wal_replay_resume()');
            $restored->poll_query_until('shop', 'SELECT NOT pg_is_in_recovery()') or die 'it is not promoted';
        }
        is($restored->safe_psql('shop', q{SELECT balance, virtual_balance FROM c360_wallet('0912345678')}), '900|0',
            "$name: the wallet is between the two");
        is($restored->safe_psql('shop', qq{SELECT * FROM c360_balance_at('0912345678', $_->[0])}), $_->[1], "$name: c360_balance_at $_->[0]")
            foreach [ "'$moment'", '900|0' ], [ "'infinity'", '900|0' ], [ "'2000-01-01'", '0|0' ];
        same_text(rows_of_ledger($restored), $ledger, "$name: the ledger, to the row");
        verify_is_empty($restored, 'shop', "$name: the books are right");
    }
    wait_for_worker($restored, 'shop', $_) foreach 'c360 publisher', 'c360 job runner';
    wait_announced($restored, 'shop');
    is(error_in($restored, 'shop', "SELECT * FROM c360_events_since('$after')"), 'PT410 cursor_expired',
        "by $kind: a cursor of after the moment has expired");
    is($restored->safe_psql('shop', q{SELECT replayed FROM c360_withdraw('0912345678', 400, idempotency_key => 'first')}), 't',
        "by $kind: what was done before is not done again");
    is($restored->safe_psql('shop', q{SELECT replayed, balance FROM c360_withdraw('0912345678', 500, idempotency_key => 'second')}), 'f|400',
        "by $kind: what was done after the moment can be sent again");
    is($restored->safe_psql('shop', "SELECT string_agg(event, ' ' ORDER BY id) FROM c360_events_since('$before') WHERE id IS NOT NULL"),
        'wallet.withdraw', "by $kind: a cursor of before goes on");
    verify_is_empty($restored, 'shop', "by $kind: the books are right still");
    $restored->stop;
}

done_testing();
