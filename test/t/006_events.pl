# Live events with the publisher: every committed change is announced and is
# read by cursor, whatever the order of commits; nothing that a transaction,
# a listener or a standby does keeps writers or the publisher from it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Clients;
use C360Events;
use C360Test;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# as for standbys, which one part asks for
my $node = new_live_node('events', 'shop', allows_streaming => 1);
$node->start;
install_live($node, 'shop');
wait_for_worker($node, 'shop', 'c360 publisher');

# One wallet for each name, so that nobody waits for another.
my %phones = map { $_ => sprintf('09120000%02d', ord($_) - ord('a') + 1) } 'a' .. 'h';
$node->safe_psql('shop', "SELECT c360_get_or_create_customer('$_')") foreach values %phones;

sub move
{
    my $name = shift;

    return deposit($phones{ substr $name, 0, 1 }, $name);
}

sub do_move
{
    $node->safe_psql('shop', move($_)) foreach @_;
    return;
}

sub since
{
    my ($cursor, %how) = @_;

    wait_announced($node, 'shop');
    return read_events($node, 'shop', $cursor, %how);
}

sub names_since
{
    return names_of(since(@_));
}

sub sessions
{
    my @sessions = map { $node->background_psql('shop', on_error_stop => 0) } 1 .. shift;

    $_->set_query_timer_restart foreach @sessions;
    return @sessions;
}

sub set_server
{
    my ($setting, $value) = @_;

    $node->append_conf('postgresql.conf', "$setting = '$value'");
    $node->reload;
    $node->poll_query_until('shop', "SELECT current_setting('$setting') = '$value'") or die;
    return;
}

#
# Notifications
#

my @channels = qw(wallets tickets customers bank);
my $everything = listen_to($node, 'shop', @channels);
my $one_wallet = listen_to($node, 'shop', 'wallet:0901234567');
my $start = cursor_now($node, 'shop');
like($start, qr/^\d+\.\d+$/, 'with a publisher a cursor is a tick');

# one transaction, and so one tick
$node->safe_psql('shop', q{
    BEGIN;
    SELECT c360_get_or_create_customer('0901234567', 'Bà Tư');
    SELECT c360_issue_credit('0901234567', 700, 'BOOM', 'lot', '2099-01-01 UTC');
    SELECT c360_ingest_bank_transaction('{"id": 1, "gateway": "ACB", "transactionDate": "2026-01-02 03:04:05",
        "accountNumber": "75918", "transferType": "in", "transferAmount": 5000, "content": "0901234567 ck"}');
    SELECT c360_withdraw('0901234567', 1700, 'DH1', 'đủ "mọi" \\thứ');
    COMMIT});
my @heard = heard_until($everything, 'đủ "mọi" \thứ');
is(join(' ', map { "$_->{channel}:$_->{payload}{event}" } @heard),
    'customers:customer.created wallets:wallet.virtual_credit bank:bank.received wallets:wallet.deposit bank:bank.linked wallets:wallet.withdraw',
    'each event is heard on its channel, in order');
my @own = heard_until($one_wallet, 'đủ "mọi" \thứ');
$one_wallet->{session}->quit;
is_deeply([ map { $_->{text} } @own ], [ map { $_->{text} } grep { $_->{channel} eq 'wallets' } @heard ],
    'the channel of one wallet says the same');
is(join(' ', map { $_->{channel} } @own), 'wallet:0901234567 wallet:0901234567 wallet:0901234567', 'under its phone');
is(join(' ', map { $_->{pid} } @own), join(' ', (worker_pid($node, 'shop', 'c360 publisher')) x 3), 'the publisher sends');

my $payload = $heard[-1]{payload};
is(join(' ', sort keys %$payload),
    'at balance cursor customer_id event id note phone transaction virtual_balance', 'what a movement tells');
is("$payload->{event} $payload->{phone} $payload->{balance} $payload->{virtual_balance}", 'wallet.withdraw 0901234567 4000 0',
    'balances after it');
is(join(' ', map { "$_=$payload->{transaction}{$_}" } grep { $_ ne 'lots' && $_ ne 'id' } sort keys %{ $payload->{transaction} }),
    'amount=1700 real_change=-1000 type=WITHDRAW virtual_change=-700', 'the movement');
is(join(' ', map { "$_->{amount} $_->{expires_at}" } @{ $payload->{transaction}{lots} }), '700 2099-01-01T00:00:00+00:00',
    'with its lots');
is($node->safe_psql('shop', qq{
    SELECT c.phone, a.event, t.id = $payload->{transaction}{id}, a.created_at = '$payload->{at}'
    FROM c360.customer_activities a JOIN c360.customers c ON c.id = $payload->{customer_id} AND c.id = a.customer_id
    JOIN c360.wallet_transactions t ON t.activity_id = a.id WHERE a.id = $payload->{id}}),
    '0901234567|wallet.withdraw|t|t', 'its ids are those of the rows');

my @read = read_events($node, 'shop', $start);
is_deeply([ map { $_->{payload} } @read ], [ map { $_->{payload} } @heard ], 'what is read by cursor is what was heard');
is_deeply([ map { $_->{channel} } @read ], [ map { $_->{channel} } @heard ], 'on the same channels');
is_deeply([ map { $_->{cursor} } @read ], [ map { $_->{payload}{cursor} } @heard ], 'with the same cursors');
foreach my $n (0 .. $#heard)
{
    is(join(' ', map { $_->{id} } read_events($node, 'shop', $heard[$n]{payload}{cursor})),
        join(' ', map { $_->{payload}{id} } @heard[ $n + 1 .. $#heard ]), "the cursor of event $n goes on behind it");
}

#
# The order of commits
#

sub out_of_order
{
    my ($name) = @_;
    my $listener = listen_to($node, 'shop', 'wallets');
    my $cursor = cursor_now($node, 'shop');
    my $before = $cursor;
    my @sessions = sessions(4);
    my @steps;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    foreach my $n (0 .. 3)
    {
        in_session($sessions[$n], 'BEGIN');
        in_session($sessions[$n], move((qw(a b c d))[$n]));
    }
    foreach my $n (1, 3, 2, 0)
    {
        in_session($sessions[$n], 'COMMIT');
        my @new = since($cursor);
        push @steps, names_of(@new);
        $cursor = $new[-1]{cursor} if @new;
    }
    is(join(', ', @steps), 'b, d, c, a', "$name: each event once, after its commit");
    is(names_since($before), 'a b c d', "$name: from before all, in order of their rows");
    is(names_since($before, page => 1), 'a b c d', "$name: in pages of one, too");
    is(join(' ', map { name_of($_->{payload}) } heard_until($listener, 'a')), 'b d c a', "$name: heard in order of commits");
    $_->quit foreach @sessions, $listener->{session};
    return;
}

out_of_order('four transactions');
install($node, 'elsewhere');
foreach my $db ('shop', 'elsewhere')
{
    my $open = $node->background_psql($db);
    my $old = $node->background_psql($db);

    $old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
    $old->query_safe('SELECT 1 FROM pg_class LIMIT 1');
    $open->query_safe('BEGIN');
    $open->query_safe('SELECT pg_current_xact_id()');
    out_of_order("with an unrelated transaction open in $db");
    $open->query_safe('ROLLBACK');
    $_->quit foreach $open, $old;
}

# The hardest case: it took its transaction id and its activity id early, the
# cursor went on, it wrote some more, and commits last.
{
    my ($early) = sessions(1);
    my $cursor = cursor_now($node, 'shop');
    my $first = $cursor;

    in_session($early, 'BEGIN');
    in_session($early, move('a1'));
    do_move('b1', 'c1');
    my @got = since($cursor);
    is(names_of(@got), 'b1 c1', 'one that wrote first is still open');
    $cursor = $got[-1]{cursor};
    in_session($early, move('a2'));
    do_move('d1');
    @got = since($cursor, page => 1);
    is(names_of(@got), 'd1', 'it wrote again');
    $cursor = $got[-1]{cursor};
    my $stale = $got[0]{cursor};
    in_session($early, 'SAVEPOINT s');
    in_session($early, move('a3'));
    in_session($early, 'RELEASE s');
    in_session($early, 'COMMIT');
    do_move('e1');
    is(names_since($cursor), 'a1 a2 a3 e1', 'and comes whole when it commits, its first row older than all that was read');
    is(names_since($cursor, page => $_), 'a1 a2 a3 e1', "in pages of $_") foreach 1 .. 4;
    is(names_since($stale), 'a1 a2 a3 e1', 'from the middle of a batch, too');
    is(names_since($first), 'a1 b1 c1 a2 d1 a3 e1', 'from the beginning in order of rows');
    $early->quit;
}

# Rolled back, whole and in part
{
    my $listener = listen_to($node, 'shop', 'wallets');
    my $cursor = cursor_now($node, 'shop');
    my ($session) = sessions(1);

    in_session($session, $_) foreach 'BEGIN', move('a1'), 'ROLLBACK';
    in_session($session, $_) foreach 'BEGIN', move('a2'), 'SAVEPOINT s', move('b2'), 'SAVEPOINT t', move('c2'), 'RELEASE t',
        'ROLLBACK TO s', move('d2'), 'SAVEPOINT u', move('e2'), 'RELEASE u', 'COMMIT';
    session_query($session, 'BEGIN; ' . move('f2') . '; SELECT 1/0; COMMIT');
    do_move('g2');
    is(names_since($cursor), 'a2 d2 e2 g2', 'what was rolled back is not read');
    is(join(' ', map { name_of($_->{payload}) } heard_until($listener, 'g2')), 'a2 d2 e2 g2', 'and not heard');
    $_->quit foreach $session, $listener->{session};
}

# Two-phase: committed by a session that never loaded the library (it is
# preloaded here; pg_prepared_xacts is all that it touches), found by the
# slow timer.
{
    my $listener = listen_to($node, 'shop', 'wallets');
    my $cursor = cursor_now($node, 'shop');
    my ($session) = sessions(1);

    in_session($session, $_) foreach 'BEGIN', move('a1'), move('b1'), q{PREPARE TRANSACTION 'one'};
    in_session($session, $_) foreach 'BEGIN', move('c1'), q{PREPARE TRANSACTION 'two'};
    do_move('d1');
    is(names_since($cursor), 'd1', 'prepared is not committed');
    $node->restart;
    wait_for_worker($node, 'shop', 'c360 publisher');
    $everything = listen_to($node, 'shop', @channels);
    $listener = listen_to($node, 'shop', 'wallets');
    is(names_since($cursor), 'd1', 'after a restart neither');
    $node->safe_psql('postgres', 'SELECT 1');
    $node->safe_psql('shop', q{COMMIT PREPARED 'one'});
    $node->safe_psql('shop', q{ROLLBACK PREPARED 'two'});
    my @all = heard_until($listener, 'b1');
    is(join(' ', grep { $_ ne 'd1' } map { name_of($_->{payload}) } @all), 'a1 b1', 'COMMIT PREPARED is heard');
    is(names_since($cursor), 'a1 b1 d1', 'and read');
    is(names_since($cursor, page => 1), 'a1 b1 d1', 'in pages of one');
    $listener->{session}->quit;
}

#
# Payloads
#

{
    my $cursor = cursor_now($node, 'shop');
    my %notes = (
        'ASCII' => q{repeat('x', 2000)},
        'two bytes' => q{repeat('đ', 2000)},
        'four bytes' => q{repeat(U&'\+01F600', 2000)},
        'quotes' => q{repeat('"', 2000)},
        'controls' => q{repeat(chr(1), 2000)},
        'lines' => q{repeat(E'\n', 2000)});

    heard($everything);
    foreach my $kind (sort keys %notes)
    {
        my $text = $notes{$kind};

        $node->safe_psql('shop', "SELECT c360_deposit('$phones{a}', 1, note => $text)");
        $node->safe_psql('shop', deposit($phones{b}, 'behind'));
        my @heard = heard_until($everything, 'behind');
        is(scalar(@heard), 2, "a note of $kind is heard");
        my ($long) = @heard;
        # psql prints UTF-8; here are its bytes
        cmp_ok(length($long->{text}), '<', 8000, 'in less than 8,000 bytes');
        is("$long->{payload}{event} $long->{payload}{phone} $long->{payload}{transaction}{amount}",
            "wallet.deposit $phones{a} 1", 'with all that matters');
        my $whole = $kind =~ /^(ASCII|two bytes|quotes|lines)$/;
        is(exists $long->{payload}{truncated} ? 1 : 0, $whole ? 0 : 1, $whole ? 'whole' : 'shortened, and says so');
        is(exists $long->{payload}{note} ? 1 : 0, $whole ? 1 : 0, $whole ? 'with the note' : 'without the note');
    }
    is($node->safe_psql('shop', 'SELECT count(*) FROM c360.customer_activities WHERE length(payload ->> $$note$$) = 2000'), '6',
        'the timeline has them all whole');
    my @all = since($cursor);
    is(scalar(@all), 12, 'and all are read by cursor');

    # 1,000 lots in one withdrawal
    $node->safe_psql('shop', qq{
        SELECT c360_issue_credit('$phones{c}', 10, source_id => n::text) FROM generate_series(1, 1000) AS n});
    $cursor = cursor_now($node, 'shop');
    $node->safe_psql('shop', qq{SELECT c360_withdraw('$phones{c}', 10000, note => 'a thousand lots')});
    my ($heard) = (heard_until($everything, 'a thousand lots'))[-1];
    cmp_ok(length($heard->{text}), '<', 8000, 'a withdrawal of 1,000 lots is heard in less than 8,000 bytes');
    is("$heard->{payload}{transaction}{amount} $heard->{payload}{transaction}{virtual_change} $heard->{payload}{truncated}",
        '10000 -10000 1', 'with its amount, and says that lots are left out');
    is(exists $heard->{payload}{transaction}{lots} ? 1 : 0, 0, 'no lots rather than some');
    is_deeply((since($cursor))[0]{payload}, $heard->{payload}, 'reading says the same');
}

# ids alone
{
    my $cursor = cursor_now($node, 'shop');

    heard($_) foreach $everything;
    $node->safe_psql('shop', q{SELECT c360_set('notify_payload', 'ids')});
    my $listener = listen_to($node, 'shop', "wallet:$phones{a}");
    $node->safe_psql('shop', move('a1'));
    my @heard = heard_until($everything, 'wallet.deposit');
    is(join(' ', sort keys %{ $heard[0]{payload} }), 'cursor customer_id event id', 'notify_payload = ids: nothing but ids');
    is(join(' ', sort keys %{ (heard_until($listener, 'wallet.deposit'))[0]{payload} }), 'cursor customer_id event id',
        'on the channel of a wallet, too');
    is(names_since($cursor), 'a1', 'who may read has everything');
    $node->safe_psql('shop', q{SELECT c360_set('notify_payload', NULL)});
    do_move('b1');
    is((heard_until($everything, 'b1'))[-1]{payload}{phone}, $phones{b}, 'full again');
    $listener->{session}->quit;
}

#
# What others do does not matter
#

# Settings of the database and of the role, made for clients
{
    my $cursor = cursor_now($node, 'shop');
    my %hostile = (
        lock_timeout => '1', statement_timeout => '1', idle_in_transaction_session_timeout => '1',
        default_transaction_read_only => 'on', default_transaction_isolation => 'serializable',
        search_path => 'test', synchronous_commit => 'off', row_security => 'off', DateStyle => q{'German'},
        standard_conforming_strings => 'off', bytea_output => 'escape', IntervalStyle => q{'sql_standard'});

    my $ours = $node->background_psql('postgres');
    $ours->query_safe("ALTER DATABASE shop SET $_ = $hostile{$_}") foreach sort keys %hostile;
    $ours->query_safe("ALTER ROLE postgres SET $_ = $hostile{$_}") foreach sort keys %hostile;
    {
        # what the client asks for goes before both
        local $ENV{PGOPTIONS} = '-c lock_timeout=0 -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 ' .
            '-c default_transaction_read_only=off -c default_transaction_isolation=read\ committed -c search_path=public ' .
            '-c standard_conforming_strings=on';

        restart_publisher($node, 'shop');
        my $locker = $node->background_psql('shop');
        $locker->query_safe('BEGIN; LOCK TABLE c360.event_ticks IN ACCESS EXCLUSIVE MODE');
        do_move('a1');
        ok($node->poll_query_until('postgres', q{
            SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 publisher' AND wait_event_type = 'Lock'}),
            'the publisher waits for a lock on its table, the writer does not');
        $locker->query_safe('COMMIT');
        $locker->quit;
    }
    $ours->query_safe($_) foreach 'ALTER DATABASE shop RESET ALL', 'ALTER ROLE postgres RESET ALL';
    $ours->quit;
    my @heard = heard_until($everything, 'a1');
    is($heard[-1]{payload}{phone}, $phones{a}, 'and announces when it has it, whatever lock_timeout says');
    like($heard[-1]{payload}{at}, qr/^\d{4}-\d\d-\d\dT.*\+00:00$/, 'with times in UTC, as always');
    is($node->safe_psql('shop', 'SELECT last_error FROM c360_stat'), '', 'without an error');
    is(names_since($cursor), 'a1', 'and it is read');
    restart_publisher($node, 'shop');
}

# A listener in a transaction hears nothing until its end, and nobody else
# notices.
{
    my $stuck = listen_to($node, 'shop', 'wallets');

    $stuck->{session}->query_safe('BEGIN');
    heard($everything);
    do_move('a1', 'b1');
    ok(heard_until($everything, 'b1'), 'a listener is stuck in a transaction, the others hear');
    is(scalar(heard($stuck)), 0, 'it does not');
    is(join(' ', map { name_of($_->{payload}) } heard($stuck, 'COMMIT')), 'a1 b1', 'until it ends');
    $stuck->{session}->quit;
}

# A standby that is gone: the publisher does not wait for it, and who does
# blocks nobody.
{
    my $cursor = cursor_now($node, 'shop');
    my ($waiting) = sessions(1);

    heard($everything);
    $node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
    $node->reload;
    $node->poll_query_until('shop', q{SELECT current_setting('synchronous_standby_names') = 'nobody'}) or die;
    $waiting->query_until(qr/started/, "\\echo started\n" . move('a1') . ";\n");
    $node->poll_query_until('postgres', q{
        SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'})
        or die 'nobody waits for the standby';
    $node->safe_psql('shop', "SET synchronous_commit = local; " . move($_)) foreach 'b1', 'c1';
    is(join(' ', map { name_of($_->{payload}) } heard_until($everything, 'c1')), 'b1 c1',
        'writers who do not wait for the standby are announced while another waits');
    is($node->safe_psql('postgres', q{
        SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type <> 'client backend'}), '0',
        'the publisher does not wait');
    is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}), '1',
        'the other still does');
    $node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
    $node->reload;
    is((heard_until($everything, 'a1'))[-1]{payload}{phone}, $phones{a}, 'and is announced when it ends');
    is(names_since($cursor), 'a1 b1 c1', 'all are read');
    $waiting->quit;
}

#
# The publisher
#

# Only one at a time, and nobody can take its lock by SQL.
{
    my $publisher = worker_pid($node, 'shop', 'c360 publisher');
    my $class = 0x43333630;
    my $holder = $node->background_psql('shop');
    my $cursor = cursor_now($node, 'shop');

    is($node->safe_psql('shop', "SELECT pid FROM pg_locks WHERE classid = $class AND objid = 0 AND objsubid = 2 AND granted"),
        $publisher, 'the publisher holds its lock');
    $holder->query_safe("SELECT pg_advisory_lock($class, 0), pg_advisory_lock(($class)::bigint << 32)");
    restart_publisher($node, 'shop');
    do_move('d1');
    heard_until($everything, 'd1');
    is(names_since($cursor), 'd1', 'advisory locks of the same name do not keep it from its work');
    $holder->quit;
}

# It can tick, but not notify, for longer than one tick, and then ends: its
# successor announces all of them. Settings that are away fail the notifying
# alone; events are written as the functions do, which need settings, too.
{
    my $event = sub {
        my $ticks = $node->safe_psql('shop', 'SELECT max(id) FROM c360.event_ticks');

        $node->safe_psql('shop', qq{
            INSERT INTO c360.customer_activities (xact, topic, event, customer_id, payload, actor, session_user_name, created_at)
            VALUES (pg_current_xact_id(), 'customers', 'customer.updated', 1, '{"note": "$_[0]"}', 'an', 'an', clock_timestamp())});
        $node->poll_query_until('shop', "SELECT max(id) > $ticks FROM c360.event_ticks") or die 'no tick';
    };

    heard($everything);
    $node->safe_psql('shop', 'ALTER TABLE c360.settings RENAME TO settings_away');
    $event->($_) foreach qw(a1 b1 c1);
    is(scalar(heard($everything)), 0, 'ticks go on while nothing can be announced');
    restart_publisher($node, 'shop');
    $event->('d1');
    $node->safe_psql('shop', 'ALTER TABLE c360.settings_away RENAME TO settings');
    is(join(' ', map { name_of($_->{payload}) } heard_until($everything, 'd1')), 'a1 b1 c1 d1',
        'a publisher announces every tick that the one before it did not');
}

# It dies right after a tick, before notifying: its successor does that. The
# tick is written by hand here, while there is no publisher.
{
    my $cursor = cursor_now($node, 'shop');

    set_server('c360.databases', '');
    ok(wait_for_no_worker($node, 'shop'), 'a database that is served no longer has no publisher');
    heard($everything);
    do_move('a1', 'b1');
    is($node->safe_psql('shop', 'SELECT ticks, notifications, lag, backlog FROM c360_stat'), '|||2', 'the backlog is counted without it');
    is(names_of(read_events($node, 'shop', $cursor)), 'a1 b1', 'reading goes on without it');
    $node->safe_psql('shop', q{
        INSERT INTO c360.event_ticks
        SELECT max(t.id) + 1, pg_current_snapshot(), max(a.id), max(a.id), clock_timestamp()
        FROM c360.event_ticks t, c360.customer_activities a});
    do_move('c1');
    is(scalar(heard($everything)), 0, 'nobody has announced');
    set_server('c360.databases', 'shop');
    is(join(' ', map { name_of($_->{payload}) } heard_until($everything, 'c1')), 'a1 b1 c1',
        'a publisher announces what the last tick stands for, and goes on');
    is(names_since($cursor), 'a1 b1 c1', 'which is read once');
}

# A tick may be announced twice, with the same ids; the one before is not.
{
    heard($everything);
    do_move('a1');
    heard_until($everything, 'a1');
    do_move('b1');
    my ($first) = grep { name_of($_->{payload}) eq 'b1' } heard_until($everything, 'b1');
    restart_publisher($node, 'shop');
    do_move('c1');
    my @heard = heard_until($everything, 'c1');
    is(join(' ', map { name_of($_->{payload}) } @heard), 'b1 c1', 'a new publisher announces the last tick again');
    is_deeply($heard[0]{payload}, $first->{payload}, 'word for word');
}

# A failure is seen, and does not stop it.
{
    my $cursor = cursor_now($node, 'shop');

    $node->safe_psql('shop', 'ALTER TABLE c360.event_ticks ADD CONSTRAINT no_more CHECK (id < 0) NOT VALID');
    do_move('a1');
    ok($node->poll_query_until('shop', q{SELECT last_error LIKE '%no_more%' FROM c360_stat}), 'a failed tick is seen in c360_stat');
    do_move('b1');
    is($node->safe_psql('shop', 'SELECT backlog FROM c360_stat'), '2', 'with what is not announced');
    $node->safe_psql('shop', 'ALTER TABLE c360.event_ticks DROP CONSTRAINT no_more');
    is(names_since($cursor), 'a1 b1', 'when it can, it goes on');
}

# What c360_stat counts
{
    my $counts = 'SELECT ticks, notifications FROM c360_stat';
    my ($ticks, $notifications) = split /\|/, $node->safe_psql('shop', $counts);

    heard($everything);
    $node->safe_psql('shop', 'BEGIN; ' . join('; ', map { move($_) } 'a1', 'b1', 'c1') . '; COMMIT');
    heard_until($everything, 'c1');
    $node->poll_query_until('shop', 'SELECT notifications >= ' . ($notifications + 3) . ' FROM c360_stat');
    is($node->safe_psql('shop', $counts), ($ticks + 1) . '|' . ($notifications + 3),
        'c360_stat: one tick more, and a notification for each movement, whose wallet nobody listens to');
    ok($node->poll_query_until('shop', q{SELECT lag > '0' AND lag < '1 hour' FROM c360_stat}), 'lag');
    is($node->safe_psql('shop', 'SELECT backlog, ring_overflow FROM c360_stat'), '0|0', 'no backlog, nothing lost');
    is($node->safe_psql('elsewhere', 'SELECT * FROM c360_stat'), '|||||', 'a database without workers has none');
    is($node->safe_psql('shop', q{SELECT count(*) FROM c360_stat WHERE c360_stat IS NULL}), '0', 'one row');
}

#
# Cursors that do not hold
#

sub reading
{
    my ($cursor) = @_;

    return error_in($node, 'shop', "SELECT * FROM c360_events_since('$cursor')");
}

{
    my $cursor = cursor_now($node, 'shop');
    my ($epoch, $tick) = split /\./, $cursor;
    my $foreign = $epoch + 1;
    my $ahead = $tick + 1;
    my $snapshot = $node->safe_psql('shop', 'SELECT pg_current_snapshot()');

    is(reading($cursor), 'none', 'the newest tick');
    is(reading($_), 'PT410 cursor_expired', "$_ is gone")
        foreach "$epoch.$ahead", "$epoch.$tick-$ahead.5", "$epoch." . ($tick + 5000000), "$foreign.$tick", "0.$tick",
            "$foreign.$tick-$tick.1", "$epoch.s1:1:900000000:900000000:", "$foreign.s1:1:$snapshot",
            "$epoch.$tick-s1:1:900000000:900000000:.1", "$epoch.9223372036854775807";
    is(reading($_), '22023 invalid_cursor', "\"$_\" is none")
        foreach '', ' ', 'x', "$epoch", "$epoch.", "$epoch.$tick.", "$epoch.$tick-", "$epoch.$tick-$tick", "$epoch.$tick-$tick.",
            "$epoch.$tick-$tick.x", "$epoch.$tick ", " $epoch.$tick", "-$epoch.$tick", "$epoch.-$tick", "$epoch.0", "+$epoch.$tick",
            "$epoch.1e3", "$epoch.99999999999999999999", "99999999999999999999.1", "$epoch.s", "$epoch.s1", "$epoch.s1:2:3:4",
            "$epoch.s1:2:5:4:", "$epoch.s1:2:3:5:3,3", "$epoch.s1:2:3:5:4,3", "$epoch.s1:2:3:5:5", "$epoch.s1:2:3:5:2",
            "$epoch.s1:2:3:5:3x", "$epoch.$tick-$tick.1-$tick.2", 'đ', '1.1;DROP TABLE', "$epoch.\t$tick", 'x' x 100000;
    is(error_in($node, 'shop', "SELECT * FROM c360_events_since('$epoch.$tick-s1:1:$snapshot.0')"), 'none',
        'the two forms may be mixed');
}

# What a reader's own transaction has written is not read, and not lost.
{
    foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
    {
        my $cursor = cursor_now($node, 'shop');
        my ($reader) = sessions(1);
        my $names = sub {
            my ($from) = @_;
            return in_session($reader, qq{
                SELECT coalesce(string_agg(coalesce(r -> 'payload' ->> 'note', r ->> 'event'), ' '), '') || '|' ||
                       coalesce((array_agg(r ->> 'cursor' ORDER BY n DESC))[1], '$from')
                FROM test.read('$from', 2, NULL) WITH ORDINALITY AS t (r, n)});
        };

        in_session($reader, "BEGIN ISOLATION LEVEL $level");
        in_session($reader, move('a1'));
        do_move('b1');
        wait_announced($node, 'shop');
        my ($got, $at) = split /\|/, $names->($cursor);
        is($got, $level eq 'READ COMMITTED' ? 'b1' : '', "$level: its own rows are not read");
        do_move('c1');
        in_session($reader, move('a2'));
        wait_announced($node, 'shop');
        (my $more, $at) = split /\|/, $names->($at);
        is($more, $level eq 'READ COMMITTED' ? 'c1' : '', "$level: nor later");
        in_session($reader, 'COMMIT');
        is(names_since($at), $level eq 'READ COMMITTED' ? 'a1 a2' : 'a1 b1 c1 a2', "$level: nothing is lost");
        $reader->quit;
    }
}

#
# Ages of ticks
#

my $age = 'UPDATE c360.event_ticks SET created_at = created_at - interval';

# Old ticks are thinned out; cursors of those that are gone go on from the one
# before.
{
    my $cursor = cursor_now($node, 'shop');
    my @cursors = ($cursor);
    my @rows;

    foreach my $name (map { $_ . '1' } 'a' .. 'h')
    {
        do_move($name);
        push @cursors, cursor_now($node, 'shop');
    }
    @rows = since($cursor, page => 3);
    my @ids = map { /\.(\d+)$/ } @cursors;
    # all in one second of two hours ago
    $node->safe_psql('shop', qq{
        UPDATE c360.event_ticks SET created_at = date_trunc('second', now()) - interval '2 hours' + (id - $ids[0]) * interval '1 ms'
        WHERE id BETWEEN $ids[1] AND $ids[6]});
    restart_publisher($node, 'shop');
    ok($node->poll_query_until('shop', "SELECT count(*) = 1 FROM c360.event_ticks WHERE id BETWEEN $ids[1] AND $ids[6]"),
        'of the ticks of a second of two hours ago one is left');
    is($node->safe_psql('shop', "SELECT min(id) = $ids[1] FROM c360.event_ticks WHERE id >= $ids[1]"), 't', 'the first');
    my @all = map { $_ . '1' } 'a' .. 'h';
    foreach my $n (0 .. $#cursors)
    {
        my $from = $n >= 1 && $n <= 6 ? 1 : $n;

        is(names_since($cursors[$n]), join(' ', @all[ $from .. $#all ]),
            $from < $n ? "the cursor behind $n events goes on from the tick before" : "the cursor behind $n events is as it was");
    }
    # cursors in the middle of a batch
    foreach my $n (0 .. $#rows)
    {
        my %got = map { name_of($_->{payload}) => 1 } since($rows[$n]{cursor});
        my @missing = grep { !$got{$_} } @all[ $n + 1 .. $#all ];

        is("@missing", '', "the cursor of event $n loses nothing");
    }

    $node->safe_psql('shop', qq{
        UPDATE c360.event_ticks SET created_at = date_trunc('minute', now()) - interval '2 days' + (id - $ids[0]) * interval '1 second'
        WHERE id IN ($ids[1], $ids[7])});
    restart_publisher($node, 'shop');
    ok($node->poll_query_until('shop', "SELECT count(*) = 0 FROM c360.event_ticks WHERE id = $ids[7]"),
        'of the ticks of a minute of two days ago one is left');
    is(names_since($cursors[7]), 'b1 c1 d1 e1 f1 g1 h1', 'and stands for the other');
}

# Older than event_retention: gone, and the answer is an error. The last one
# stays: the events after it are younger.
{
    my $old = cursor_now($node, 'shop');
    do_move('a1');
    my $last = cursor_now($node, 'shop');
    my ($epoch, $until) = split /\./, $last;
    my $before = ($old =~ /\.(\d+)$/)[0];

    do_move('b1');
    my $newer = cursor_now($node, 'shop');
    my $oldest = $node->safe_psql('shop', 'SELECT min(id) FROM c360.event_ticks');
    is(reading("$epoch.$oldest"), 'none', 'the oldest tick');
    # a minute between them, so that none is thinned out for another
    $node->safe_psql('shop', "$age '8 days' - ($until - id) * interval '1 minute' WHERE id <= $until");
    is(reading($old), 'none', 'an old tick that is kept');
    restart_publisher($node, 'shop');
    ok($node->poll_query_until('shop', "SELECT count(*) = 0 FROM c360.event_ticks WHERE id < $until"),
        'ticks older than event_retention go');
    is(reading($_), 'PT410 cursor_expired', "$_ has expired") foreach $old, "$epoch.$oldest", "$epoch.$oldest-$until.1",
        "$epoch.$before-$until.1";
    is(names_since($last), 'b1', 'the last one of them has not');
    is(names_since($newer), '', 'nor has a newer one');
    do_move('b1');
    is(names_since($newer), 'b1', 'and goes on');
    is($node->safe_psql('shop', q{SELECT count(*) > 0 FROM c360.customer_activities WHERE payload ->> 'note' = 'a1'}), 't',
        'the timeline stays');

    $node->safe_psql('shop', q{SELECT c360_set('event_retention', '30')});
    $node->safe_psql('shop', "$age '20 days'");
    do_move('c1');
    my $kept = cursor_now($node, 'shop');
    restart_publisher($node, 'shop');
    do_move('d1');
    wait_announced($node, 'shop');
    is(names_since($newer), 'b1 c1 d1', 'a longer event_retention keeps them');
    $node->safe_psql('shop', q{SELECT c360_set('event_retention', NULL)});
}

# A quiet shop: who has read everything is not behind, however long ago the
# tick before was.
{
    my $cursor = cursor_now($node, 'shop');
    my ($tick) = $cursor =~ /\.(\d+)$/;

    # a minute between them, so that none is thinned out for another
    $node->safe_psql('shop', "$age '8 days' - ($tick - id) * interval '1 minute'");
    do_move('a1');
    my ($row) = since($cursor);
    restart_publisher($node, 'shop');
    ok($node->poll_query_until('shop', "SELECT count(*) = 0 FROM c360.event_ticks WHERE id < $tick"),
        'after eight quiet days older ticks go');
    is(reading($cursor), 'none', 'the last one of before stays');
    is(reading($row->{cursor}), 'none', 'since cursors of the first event after begin there');
    do_move('b1');
    is(names_since($row->{cursor}), 'b1', 'and go on from it');

    my $newest = cursor_now($node, 'shop');
    $node->safe_psql('shop', "$age '8 days'");
    restart_publisher($node, 'shop');
    ok($node->poll_query_until('shop', 'SELECT count(*) = 1 FROM c360.event_ticks'), 'eight days later the newest tick is left');
    is(reading($newest), 'none', 'and its cursor holds');
    do_move('c1');
    is(names_since($newest), 'c1', 'and goes on');
}

# Who polls and has nothing to read is given a newer cursor in time.
{
    my $cursor = cursor_now($node, 'shop');

    do_move('a1');
    $node->safe_psql('shop', "$age '2 days' WHERE id <= " . ($cursor =~ /\.(\d+)$/)[0]);
    wait_announced($node, 'shop');
    is($node->safe_psql('shop', "SELECT * FROM c360_events_since('$cursor', '{tickets}', 1)"), cursor_now($node, 'shop') . '|||||',
        'who has nothing to read is given a newer cursor and no event');
    my @rows = since($cursor);
    is($node->safe_psql('shop', "SELECT * FROM c360_events_since('$rows[0]{cursor}')"), cursor_now($node, 'shop') . '|||||',
        'in the middle of a batch, too');
}

#
# Who sends
#

{
    my $cursor = cursor_now($node, 'shop');
    my $publisher = worker_pid($node, 'shop', 'c360 publisher');

    heard($everything);
    set_server('c360.notify', 'inline');
    $node->poll_query_until('shop', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 publisher'}) or die;
    my $session = $node->background_psql('shop', on_error_stop => 0);
    is(join('', map { (session_query($session, $_))[1] } 'BEGIN', move('a1'), 'SAVEPOINT s', move('b1'), 'ROLLBACK TO s',
        move('c1'), 'COMMIT'), '', 'inline: a transaction of some statements commits');
    in_session($session, $_) foreach 'BEGIN', move('d1'), 'ROLLBACK';
    in_session($session, move('e1'));
    my $pid = in_session($session, 'SELECT pg_backend_pid()');
    my @heard = heard_until($everything, 'e1');
    is(join(' ', map { name_of($_->{payload}) } grep { $_->{pid} == $pid } @heard), 'a1 c1 e1',
        'inline: the writer sends at commit what it did not roll back');
    is(names_of(read_events($node, 'shop', $cursor)), 'a1 c1 e1', 'inline: it is read by cursor');
    is((read_events($node, 'shop', $_->{payload}{cursor}))[0]{id}, $heard[0]{payload}{id} , 'inline: cursors lose nothing')
        foreach $heard[0];
    in_session($session, $_) foreach 'BEGIN', move('f1'), q{PREPARE TRANSACTION 'three'}, q{COMMIT PREPARED 'three'};
    is(names_of(read_events($node, 'shop', $cursor)), 'a1 c1 e1 f1', 'inline: two-phase commit works');
    set_server('c360.notify', 'off');
    in_session($session, move('g1'));
    set_server('c360.notify', 'inline');
    in_session($session, move('h1'));
    is(join(' ', map { name_of($_->{payload}) } grep { $_->{pid} == $pid } heard_until($everything, 'h1')), 'h1', 'off: nobody sends');
    is(names_of(read_events($node, 'shop', $cursor)), 'a1 c1 e1 f1 g1 h1', 'off: all is read by cursor');
    set_server('c360.notify', 'worker');
    do_move('a2');
    my ($last) = grep { name_of($_->{payload}) eq 'a2' } heard_until($everything, 'a2');
    is($last->{pid}, $publisher, 'worker: the publisher goes on');
    is(names_since($cursor), 'a1 c1 e1 f1 g1 h1 a2', 'nothing is lost');
    is($node->safe_psql('shop', q{SELECT string_agg(context, ' ') FROM pg_settings WHERE name LIKE 'c360.%'}),
        'sighup sighup sighup', 'settings of the server are for its administrator');
    $session->quit;
}

# Whoever began to read while nobody ticked goes on when somebody does.
{
    my ($early) = sessions(1);
    my %cursors;

    set_server('c360.notify', 'off');
    do_move('h9');
    in_session($early, 'BEGIN');
    in_session($early, move('a1'));
    $cursors{'READ COMMITTED'} = $node->safe_psql('shop', 'SELECT cursor FROM c360_events_since()');
    $cursors{$_} = $node->safe_psql('shop', "BEGIN ISOLATION LEVEL $_; SELECT cursor FROM c360_events_since()")
        foreach 'REPEATABLE READ', 'SERIALIZABLE';
    do_move('b1', 'c1');
    in_session($early, move('d1'));
    my $half = (read_events($node, 'shop', $cursors{'READ COMMITTED'}, page => 1))[0]{cursor};
    set_server('c360.notify', 'worker');
    in_session($early, 'COMMIT');
    do_move('e1');
    is(names_since($half), 'c1 a1 d1 e1', 'in the middle of a batch between snapshots, then with a publisher');
    foreach my $level (sort keys %cursors)
    {
        like($cursors{$level}, qr/^\d+\.s/, "$level: without ticks a cursor is a snapshot");
        is(names_since($cursors{$level}), 'a1 b1 c1 d1 e1', "$level: it is read when there is a publisher, too");
        is(names_since($cursors{$level}, page => 1), 'a1 b1 c1 d1 e1', "$level: in pages of one");
        my @rows = since($cursors{$level}, page => 2);
        like($rows[0]{cursor}, qr/^\d+\.s[^-]*-\d+\.\d+$/, "$level: its pages lead from the snapshot to a tick");
        is(names_since($rows[1]{cursor}), 'c1 d1 e1', "$level: and on from there");
    }
    $early->quit;
}

# c360.tick_interval: events of one interval come together.
{
    my $ticks = 'SELECT ticks FROM c360_stat';

    set_server('c360.tick_interval', '3s');
    do_move('a1');
    heard_until($everything, 'a1');
    my $before = $node->safe_psql('shop', $ticks);
    $node->safe_psql('shop', join ';', map { move("b$_") } 1 .. 20);
    heard_until($everything, 'b20');
    cmp_ok($node->safe_psql('shop', $ticks) - $before, '<=', 2, 'a longer tick_interval makes fewer ticks');
    set_server('c360.tick_interval', '10ms');
}

#
# At random
#

# 20,000 events of one transaction between others
{
    my ($bulk) = sessions(1);
    my $cursor = cursor_now($node, 'shop');
    my $count = 10000;    # and as many customers
    my $check = sub {
        my ($page) = @_;

        return $node->safe_psql('shop', qq{
            SELECT count(*), count(DISTINCT r ->> 'id'), string_agg(r -> 'payload' ->> 'note', ' ' ORDER BY n)
                       FILTER (WHERE r -> 'payload' ->> 'note' <> 'bulk')
            FROM test.read('$cursor', $page, NULL) WITH ORDINALITY AS t (r, n)});
    };
    my $events = 2 * $count + 3;

    in_session($bulk, 'BEGIN');
    do_move('a1');
    in_session($bulk, qq{
        SELECT count(c360_deposit('0930' || lpad(n::text, 6, '0'), 1, note => 'bulk')) FROM generate_series(1, $count) AS n});
    do_move('b1');
    heard($everything);
    in_session($bulk, 'COMMIT');
    do_move('c1');
    is(scalar(grep { name_of($_->{payload}) eq 'bulk' && $_->{channel} eq 'wallets' } heard_until($everything, 'c1')), $count,
        "$count movements of one transaction are all heard");
    wait_announced($node, 'shop');
    is($check->($_), "$events|$events|a1 b1 c1", "and read once each, in pages of $_") foreach 10000, 999;
    is(scalar(read_events($node, 'shop', $cursor, page => 10, channels => ["wallet:$phones{b}"])), 1, 'one wallet among them');
    $_->quit foreach $bulk, $everything->{session};
}

# Transactions begin, write, go back, commit, roll back and are prepared in any
# order, ticks come and are switched off, readers turn pages of any size:
# each gets what was committed, once, and of each wallet in order.
{
    my $seed = $ENV{C360_SEED} // time;
    srand($seed);
    my $steps = 1000;
    my @free = map { sprintf '09140000%02d', $_ } 1 .. 12;
    my (%committed, %written, $number, $prepared);
    my @sessions = map { { session => $_ } } sessions(6);
    my @readers = map { { session => $_, got => [] } } sessions(3);
    my @prepared;
    my $one = sub { return $_[ int rand @_ ] };

    $node->safe_psql('shop', "SELECT c360_get_or_create_customer('$_')") foreach @free;
    $_->{cursor} = cursor_now($node, 'shop') foreach @readers;
    my $write = sub {
        my ($s, $phone) = @_;
        my $name = "$phone." . ++$number;

        in_session($s->{session}, deposit($phone, $name));
        push @{ $s->{written} }, $name;
    };
    my $end = sub {
        my ($s, $committed) = @_;

        $committed{$_} = 1 foreach $committed ? @{ $s->{written} } : ();
        push @free, @{ $s->{held} // [] };
        @$s{qw(open written held saved)} = (0, [], [], []);
    };
    my $turn_page = sub {
        my ($reader) = @_;
        my $size = $one->(1, 2, 3, 7, 100);
        my @rows = split /\n/, in_session($reader->{session},
            "SELECT cursor, payload ->> 'note' FROM c360_events_since('$reader->{cursor}', NULL, $size)");

        foreach my $row (@rows)
        {
            my ($cursor, $name) = split /\|/, $row;

            $reader->{cursor} = $cursor;
            push @{ $reader->{got} }, $name;
        }
        return scalar @rows;
    };

    $end->($_, 0) foreach @sessions;
    foreach my $step (1 .. $steps)
    {
        my $s = $one->(@sessions);
        my $dice = rand;

        set_server('c360.notify', $step % 500 ? 'off' : 'worker') if $step % 250 == 0;
        $turn_page->($_) foreach grep { rand() < 0.2 } @readers;
        if (!$s->{open})
        {
            in_session($s->{session}, 'BEGIN');
            $s->{open} = 1;
        }
        elsif ($dice < 0.45)
        {
            # one of his wallets, or one that nobody has; they are his to the end
            my $phone = @{ $s->{held} } && rand() < 0.5 ? $one->(@{ $s->{held} }) : undef;

            @free = shuffle @free;
            push @{ $s->{held} }, $phone = pop @free if !$phone && @free;
            $write->($s, $phone) if $phone;
        }
        elsif ($dice < 0.55)
        {
            in_session($s->{session}, 'SAVEPOINT s' . @{ $s->{saved} });
            push @{ $s->{saved} }, scalar @{ $s->{written} };
        }
        elsif ($dice < 0.62 && @{ $s->{saved} })
        {
            my $kept = pop @{ $s->{saved} };

            in_session($s->{session}, 'ROLLBACK TO s' . @{ $s->{saved} });
            in_session($s->{session}, 'RELEASE s' . @{ $s->{saved} });
            splice @{ $s->{written} }, $kept;
        }
        elsif ($dice < 0.68 && @prepared < 5 && @{ $s->{written} })
        {
            in_session($s->{session}, "PREPARE TRANSACTION 'p" . ++$prepared . q{'});
            push @prepared, { name => "p$prepared", held => $s->{held}, written => $s->{written} };
            @$s{qw(open written held saved)} = (0, [], [], []);
        }
        elsif ($dice < 0.85)
        {
            in_session($s->{session}, 'COMMIT');
            $end->($s, 1);
        }
        elsif ($dice < 0.92)
        {
            in_session($s->{session}, 'ROLLBACK');
            $end->($s, 0);
        }
        elsif (@prepared)
        {
            my $p = splice @prepared, int rand @prepared, 1;
            my $commit = rand() < 0.7;
            my ($idle) = grep { !$_->{open} } @sessions;

            push(@prepared, $p), next unless $idle;
            in_session($idle->{session}, ($commit ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$p->{name}'");
            $end->($p, $commit);
        }
    }
    foreach my $s (@sessions)
    {
        in_session($s->{session}, 'COMMIT') if $s->{open};
        $end->($s, 1);
        $s->{session}->quit;
    }
    $node->safe_psql('shop', "ROLLBACK PREPARED '$_->{name}'") foreach @prepared;
    set_server('c360.notify', 'worker');
    wait_announced($node, 'shop');
    my $wanted = join ' ', sort keys %committed;
    cmp_ok(scalar(keys %committed), '>', $steps / 20, "at random (seed $seed): there is something to read");
    foreach my $n (0 .. $#readers)
    {
        my $reader = $readers[$n];
        my %last;

        1 while $turn_page->($reader);
        is(join(' ', sort @{ $reader->{got} }), $wanted, "at random: reader $n got each event once");
        my @wrong = grep {
            my ($phone, $count) = split /\./, $_;
            my $before = $last{$phone} // 0;
            $last{$phone} = $count;
            $count < $before
        } @{ $reader->{got} };
        is("@wrong", '', "at random: reader $n got the events of each wallet in order");
        $reader->{session}->quit;
    }
}

#
# On disk
#

# What was told of is flushed, tick and events, though who wrote them did not
# wait for it: the cursor holds after a crash, and nothing behind it is lost.
set_server('wal_writer_delay', '10s');
foreach my $round (1 .. 5)
{
    my $listener = listen_to($node, 'shop', 'wallets');
    my $writer = $node->background_psql('shop');

    in_session($writer, 'SET synchronous_commit = off');
    in_session($writer, move("a flushed $round"));
    my ($told) = grep { name_of($_->{payload}) eq "a flushed $round" } heard_until($listener, "a flushed $round");
    kill_server($node);
    eval { $_->quit } foreach $writer, $listener->{session};
    $node->start;
    wait_for_worker($node, 'shop', 'c360 publisher');
    do_move("b after $round");
    is(eval { names_since($told->{payload}{cursor}) } // $@, "b after $round", "its cursor holds after crash $round");
    is($node->safe_psql('shop', "SELECT count(*) FROM c360.customer_activities WHERE payload ->> 'note' = 'a flushed $round'"), 1, 'and it is there');
}

done_testing();
