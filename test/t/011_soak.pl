# Nothing is lost while everything is killed: eight clients write, with
# transactions of every kind: money, bank transfers, orders, tickets and jobs;
# others do so through PostgREST, and send again what was not answered; clerks
# score, scan for fraud and decide about flags and tiers. Their sessions, the
# readers', PostgREST's, the workers, any process of the server and the server
# itself are ended at random. Readers resume by cursor, listeners listen again.
# At the end the books hold what was answered, scores and flags are what one
# scan over all would make of them, every reader has every committed event, in
# order, no notification was for nothing, and no table has grown beyond what is
# in it. A ninth writer is left alone, as a session of a pool would be: its
# memory is watched, too.
#
#   SOAK_SECONDS   how long it runs (180)
#   C360_SEED      another sequence of random numbers
#
# The server and the workers are left alone in the last two fifths: there their
# memory is watched.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Clients;
use C360Events;
use C360Test;
use C360Web;
use IO::Handle;
use JSON::PP ();
use List::Util qw(max);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{SOAK_SECONDS} || 180;
my $seed = $ENV{C360_SEED} || 20260103;
my $rough = 0.6 * $seconds;
my $writers = 8;
my $web_writers = 3;
my $old_customers = 3000;    # who have orders, and do nothing
my @phones = map { sprintf('0912000%03d', $_) } 1 .. 40;
my $watched = $phones[0];
my $dir = PostgreSQL::Test::Utils::tempdir;
my $mega = 1024;    # kB

die 'after an hour ticks are thinned out, which these checks do not know' if $seconds > 3000;
diag("$seconds seconds, random seed $seed; SOAK_SECONDS and C360_SEED set others");
srand($seed);
$SIG{PIPE} = 'IGNORE';

my $node = new_live_node('soak', 'shop');
$node->append_conf('postgresql.conf', q{
max_connections = 60
max_prepared_transactions = 20
checkpoint_timeout = 30s
max_wal_size = 64MB
min_wal_size = 32MB
deadlock_timeout = 200ms
log_statement = none
log_connections = off
log_disconnections = off
log_checkpoints = off
});
$node->start;
install($node, 'shop');
wait_for_worker($node, 'shop', $_) foreach 'c360 publisher', 'c360 job runner';
$node->safe_psql('shop', "SELECT c360_get_or_create_customer('$_')") foreach @phones;
$node->safe_psql('shop', qq{
    CREATE ROLE authenticator LOGIN NOINHERIT;
    CREATE ROLE anon NOLOGIN;
    CREATE ROLE cashier NOLOGIN;
    GRANT anon, cashier TO authenticator;
    SELECT c360_grant('anon', 'bank_feed'), c360_grant('anon', 'stream'), c360_grant('cashier', 'accountant'),
        c360_set('sepay_api_key_hash', encode(sha256('key'), 'hex'));
    -- what scoring and scan have to walk over
    INSERT INTO c360.customers (phone) SELECT '0914' || lpad(n::text, 6, '0') FROM generate_series(1, $old_customers) AS n;
    INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
    SELECT c.id, format('old %s-%s', c.id, n), 100000 * n * (1 + c.id % 20), (ARRAY['delivered', 'returned', 'pending', 'cancelled'])[1 + (c.id * n) % 4],
        now() - interval '1 day' * ((c.id * n) % 120)
    FROM c360.customers AS c, generate_series(1, 4) AS n WHERE c.phone LIKE '0914%';
    CALL c360_recount_all()});
$node->safe_psql('shop', q{
    CREATE EXTENSION amcheck;
    CREATE SCHEMA audit;
    CREATE TABLE audit.calls (client integer, n integer, outcome text, kind text, key text, kept boolean, answer text);
    CREATE TABLE audit.base AS SELECT max(id) AS id FROM c360.customer_activities});
my $start_cursor = cursor_now($node, 'shop');
my $begun = time();
my $web = start_postgrest($node, 'shop', "$dir/postgrest.log");

#
# Sessions that come back
#

sub there_is
{
    return -e "$dir/$_[0]";
}

sub connect_until_it_works
{
    my ($name, @settings) = @_;
    my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;

    local $ENV{PGAPPNAME} = $name;
    while (time() < $give_up)
    {
        my $session = open_psql($node->connstr('shop'), "$dir/psql.err");
        my $ok = 1;

        foreach my $setting ("SET statement_timeout = '60s'", @settings)
        {
            my ($state) = ask($session, $setting);
            $ok &&= defined $state && $state eq '00000';
        }
        return $session if $ok;
        close_psql($session);
        usleep(20_000 + rand(100_000));
    }
    die "$name: cannot connect";
}

sub in_child
{
    my ($name, $number, $code) = @_;
    my $pid = fork // die "cannot fork: $!";

    return $pid if $pid;
    srand($seed * 1000 + $number);
    eval { $code->($name); 1 } or do { print STDERR "$name: $@"; POSIX::_exit(1) };
    POSIX::_exit(0);    # no END block: the cluster is the parent's
}

sub open_log
{
    open my $log, '>', "$dir/$_[0]" or die $!;
    return $log;
}

sub read_log
{
    open my $log, '<', "$dir/$_[0]" or die $!;
    chomp(my @lines = <$log>);
    return map { [ split /\t/, $_, -1 ] } @lines;
}

#
# Writers
#

# Their journal has a line for each call that had a key: what became of its
# transaction, and whether a savepoint took it back.
#   committed     answered
#   rolled back   answered, or nobody ever said COMMIT
#   unknown       the answer to COMMIT was lost
my %writer;

sub session
{
    my @settings = ("SET lock_timeout = '10s'");

    push @settings, 'SET synchronous_commit = off' if $writer{careless};
    $writer{session} //= connect_until_it_works($writer{stays} ? 'pool' : "writer $writer{number}", @settings);
    return $writer{session};
}

sub hang_up
{
    close_psql($writer{session}) if $writer{session};
    delete $writer{session};
    return;
}

# The state of a statement's end, undef if the session ended.
sub execute
{
    my ($state, @rows) = ask(session(), $_[0]);

    hang_up() unless defined $state;
    return ($state, $rows[-1]);
}

sub some_text
{
    return '' if rand() < 0.8;
    my $text = ('Đặng ', 'x', '"', "đủ\t")[ rand 4 ] x (1 + rand 300);
    return $text;
}

# One call as kind, key and statement
sub random_call
{
    my $dice = rand(100);
    my $phone = rand() < 0.02 ? sprintf('0913%06d', rand(1_000_000)) : $phones[ rand() ** 2 * @phones ];
    my $number = ++$writer{calls};
    my $key = "$writer{number}.$number";
    my $money = sub {
        my ($function, $arguments) = @_;
        return ('money', $key, "SELECT m.transaction_id FROM $function($arguments, note => '" . some_text()
                . "', idempotency_key => '$key') m");
    };

    return $money->('c360_deposit', "'$phone', " . (rand() < 0.05 ? 6_000_000 : int(1 + rand(200_000)))) if $dice < 20;
    return $money->('c360_issue_credit', "'$phone', " . int(1 + rand(100_000))
            . sprintf(", expires_at => clock_timestamp() + interval '%.3f s'", 0.3 + rand(4))) if $dice < 40;
    return $money->('c360_withdraw', "'$phone', " . int(1 + rand(100_000))) if $dice < 60;
    return $money->('c360_refund', $writer{withdrawals}[ rand @{ $writer{withdrawals} } ] . ', '
            . (rand() < 0.3 ? 'NULL' : int(1 + rand(50_000)))) if $dice < 68 && @{ $writer{withdrawals} };
    return ('freeze', $key, rand() < 0.25 ? "SELECT c360_freeze_wallet('$phone', '$key')" : "SELECT c360_unfreeze_wallet('$phone')")
        if $dice < 73;
    return ('order', $key, "SELECT o.order_id FROM c360_record_order('$phone', '$key', " . int(rand(900_000))
            . ", status => '" . (qw(pending delivered returned cancelled))[ rand 4 ] . "') o") if $dice < 80;
    return ('other', $key, "SELECT c360_record_order(c.phone, o.order_code, o.amount, status => 'returned') "
            . "FROM c360.customer_orders o JOIN c360.customers c ON c.id = o.customer_id WHERE o.order_code = '$writer{number}." . int(rand($number)) . "'") if $dice < 82;
    return ('ticket', $key, "SELECT t.ticket_id FROM c360_create_ticket('$phone', '" . (qw(BOOM HOAN OTHER))[ rand 3 ]
            . "', '$key', '$key', refund_amount => " . int(1 + rand(50_000)) . ', deadline => now()) t') if $dice < 87;
    if ($dice < 92 && @{ $writer{tickets} })
    {
        my $code = "(SELECT ticket_code FROM c360.customer_tickets WHERE id = $writer{tickets}[ rand @{ $writer{tickets} } ])";

        return ('other', $key, 'SELECT ' . ("c360_ticket_action($code, 'process')", "c360_ticket_note($code, 'called')",
                "c360_resolve_ticket($code)", "c360_update_ticket($code, '{\"priority\": \"high\"}')")[ rand 4 ]);
    }
    if ($dice < 96)
    {
        my @ids = map { transfer_of_now(20) } 0 .. rand 40;

        return ('bulk', join(' ', @ids), "SELECT 0 FROM c360_ingest_bank_transactions('"
                . JSON::PP->new->encode([ map { transfer($_) } @ids ]) . "') i WHERE i.result = 'failed'");
    }
    my $id = $writer{number} * 1_000_000 + $number;
    return ('ingest', $id, "SELECT i.transaction_id FROM c360_ingest_bank_transaction('" . JSON::PP->new->encode(transfer($id)) . "') i");
}

# What the bank says of the transfer with this id, whoever passes it on.
sub transfer
{
    my ($id) = @_;
    my $phone = $phones[ ($id * 7919 >> 3) % @phones ];

    return { id => 0 + $id, gateway => 'ACB', accountNumber => '75918', transactionDate => '2026-01-02 03:04:05',
        transferType => 'in', transferAmount => 1 + $id * 7919 % 100_000, content => "$phone ck" };
}

# One that others may send just now, too.
sub transfer_of_now
{
    my ($around) = @_;

    return 90_000_000 + int(10 * (time() - $begun)) + int(rand($around));
}

# Any job there is, whoever else runs it just now.
sub run_a_job
{
    my ($state) = execute('SELECT c360_run_job(job) FROM (SELECT job FROM c360.jobs ORDER BY random() LIMIT 1) one');

    $writer{states}{ $state // 'lost' }++;
    return;
}

sub write_journal
{
    my ($outcome, @calls) = @_;
    my $n = ++$writer{transactions};

    # what was not flushed may be gone after a crash, but not by halves
    $outcome = 'unknown' if $outcome eq 'committed' && $writer{careless};
    foreach my $call (@calls)
    {
        print { $writer{journal} } join("\t", $writer{number}, $n, $outcome, $call->{kind}, $call->{key},
            $call->{undone} ? 'f' : 't', $call->{answer} // '\N'), "\n";
        push @{ $writer{withdrawals} }, $call->{answer}
            if $outcome eq 'committed' && !$call->{undone} && $call->{statement} =~ /c360_withdraw/;
        push @{ $writer{tickets} }, $call->{answer}
            if $outcome eq 'committed' && !$call->{undone} && $call->{kind} eq 'ticket';
    }
    splice @{ $writer{tickets} }, 0, -20 if @{ $writer{tickets} } > 40;
    splice @{ $writer{withdrawals} }, 0, -50 if @{ $writer{withdrawals} } > 100;
    return;
}

# Makes one call; answers it with its state.
sub make_call
{
    my ($kind, $key, $statement) = random_call();
    my ($state, $answer) = execute($statement);

    $writer{states}{ $state // 'lost' }++;
    $answer = undef if $kind =~ /^(freeze|other)$/ || defined $answer && $answer !~ /^\d+$/;
    return { kind => $kind, key => $key, statement => $statement, state => $state, answer => $answer };
}

sub lone_call
{
    my $call = make_call();
    my $state = $call->{state};

    write_journal(!defined $state ? 'unknown' : $state eq '00000' ? 'committed' : 'rolled back', $call);
    return;
}

# Calls and savepoints between BEGIN and the end; false if it cannot commit.
sub calls_of_transaction
{
    my ($calls) = @_;
    my $length = rand() < 0.05 ? 10 + rand(30) : 1 + rand(5);
    my @savepoints;    # each holds how many calls were there before it

    for (my $i = 0; $i < $length; $i++)
    {
        if (rand() < 0.4)
        {
            ((execute('SAVEPOINT s' . @savepoints))[0] // '') eq '00000' or return 0;
            push @savepoints, scalar @$calls;
        }
        my $call = make_call();
        push @$calls, $call;
        my $failed = !defined $call->{state} || $call->{state} ne '00000';
        return 0 if $failed && (!@savepoints || !defined $call->{state});
        if ($failed || (@savepoints && rand() < 0.4))
        {
            my $first = pop @savepoints;
            my $undo = $failed || rand() < 0.5;

            ((execute(($undo ? 'ROLLBACK TO s' : 'RELEASE s') . @savepoints))[0] // '') eq '00000' or return 0;
            if ($undo)
            {
                $_->{undone} = 1 foreach @$calls[ $first .. $#$calls ];
            }
        }
        usleep(rand() < 0.02 ? rand(2_000_000) : rand(20_000)) if rand() < 0.3;
    }
    return 1;
}

# Until it is known how the prepared transaction ends. Nobody else ends it: if
# it is gone after we said how, it was done.
sub finish_prepared
{
    my ($gid, $how) = @_;

    for (;;)
    {
        my ($state) = execute("$how PREPARED '$gid'");

        return if defined $state && $state eq '00000';
        usleep(50_000);
        my ($known, $count) = execute("SELECT count(*) FROM pg_prepared_xacts WHERE gid = '$gid'");
        return if defined $known && $known eq '00000' && $count eq '0';
    }
}

# What the answer to PREPARE does not say, the list of prepared ones does.
sub is_prepared
{
    my ($gid) = @_;
    my ($state, $count);

    do
    {
        ($state, $count) = execute("SELECT count(*) FROM pg_prepared_xacts WHERE gid = '$gid'");
    } until defined $state && $state eq '00000';
    return $count > 0;
}

sub prepare_and_finish
{
    my $gid = "$writer{number}." . ++$writer{prepared};
    my ($state) = execute("PREPARE TRANSACTION '$gid'");
    my $how = rand() < 0.8 ? 'COMMIT' : 'ROLLBACK';

    return 'rolled back' if defined $state ? $state ne '00000' : !is_prepared($gid);
    usleep(rand(500_000)) if rand() < 0.5;
    hang_up() if rand() < 0.2 && !$writer{stays};
    finish_prepared($gid, $how);
    return $how eq 'COMMIT' ? 'committed' : 'rolled back';
}

sub whole_transaction
{
    my @calls;
    my $outcome = 'rolled back';
    my $begin = rand() < 0.1 ? 'BEGIN ISOLATION LEVEL REPEATABLE READ' : 'BEGIN';
    my $dice = rand();

    return if ((execute($begin))[0] // '') ne '00000';
    if (!calls_of_transaction(\@calls) || $dice < 0.15)
    {
        execute('ROLLBACK') if $writer{session};
    }
    elsif ($dice < 0.35 && !$writer{careless})
    {
        $outcome = prepare_and_finish();
    }
    else
    {
        my ($state) = execute('COMMIT');
        $outcome = !defined $state ? 'unknown' : $state eq '00000' ? 'committed' : 'rolled back';
    }
    write_journal($outcome, @calls);
    return;
}

sub begin_writing
{
    my ($name, $number) = @_;

    %writer = (number => $number, withdrawals => [], tickets => [], journal => open_log($name), states => {}, @_[ 2 .. $#_ ]);
    return;
}

sub end_writing
{
    my ($name) = @_;

    hang_up();
    close $writer{journal} or die $!;
    my $log = open_log("$name.states");
    print $log "$_\t$writer{states}{$_}\n" foreach sort keys %{ $writer{states} };
    close $log or die $!;
    return;
}

# The last of those that are killed does not wait for the disk.
sub write_until_stopped
{
    my ($name, $number) = @_;

    begin_writing($name, $number, careless => $number == $writers, stays => $number > $writers);
    until (there_is('stop'))
    {
        rand() < 0.02 ? run_a_job() : rand() < 0.5 ? lone_call() : whole_transaction();
        usleep(rand(30_000));
    }
    end_writing($name);
    return;
}

#
# Writers through PostgREST
#

sub utc
{
    my ($moment) = @_;

    return POSIX::strftime('%Y-%m-%dT%H:%M:%S', gmtime $moment) . sprintf('.%03dZ', 1000 * ($moment - int $moment));
}

# kind, key, method, path and the rest of a request
sub random_request
{
    my $dice = rand(100);
    my $phone = $phones[ rand() ** 2 * @phones ];
    my $key = "$writer{number}." . ++$writer{calls};
    my $rpc = sub {
        my ($function, %arguments) = @_;
        return ('money', $key, 'POST', "rpc/$function", role => 'cashier', headers => { 'Idempotency-Key' => $key }, body => \%arguments);
    };

    return $rpc->('c360_deposit', phone => $phone, amount => 1 + int(rand(200_000))) if $dice < 20;
    return $rpc->('c360_issue_credit', phone => $phone, amount => 1 + int(rand(100_000)), expires_at => utc(time() + 0.5 + rand(4))) if $dice < 35;
    return $rpc->('c360_withdraw', phone => $phone, amount => 1 + int(rand(100_000))) if $dice < 60;
    return ('order', $key, 'POST', 'rpc/c360_record_order', role => 'cashier',
        body => { phone => $phone, order_code => $key, amount => int(rand(900_000)), status => 'delivered' }) if $dice < 70;
    if ($dice < 90)
    {
        my $id = transfer_of_now(20);

        return ('ingest', $id, 'POST', 'rpc/c360_sepay_webhook', headers => { Authorization => 'Apikey key' }, body => transfer($id));
    }
    return ('read', $key, 'GET', (map { "$_=" . url_encode($phone) } 'rpc/c360_wallet?phone', 'rpc/c360_customer?phone',
            'rpc/c360_activities?phone')[ rand 3 ], role => 'cashier') if $dice < 98;
    return ('read', $key, 'GET', 'c360_wallet_transaction_list?limit=20&order=id.desc', role => 'cashier');
}

# Sends a request until it is known what became of it, as an app does that
# takes idempotency keys seriously.
sub request_until_answered
{
    my ($kind, $key, @request) = random_request();
    my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;
    my ($status, $code, $came);

    for (;;)
    {
        ($status, $code, $came) = web_request($web, @request);
        $writer{states}{ $code || '00000' }++;
        last if defined $status && !($status == 409 && ($came->{details} // '') =~ /^retry:/);
        die "PostgREST does not answer: $code" if time() > $give_up;
        usleep(rand(300_000));
    }
    return if $kind eq 'read';
    my $answer = $status == 200 && $kind eq 'money' ? (ref $came eq 'ARRAY' ? $came->[0] : $came)->{transaction_id} : undef;
    write_journal($status < 300 ? 'committed' : 'rolled back', { kind => $kind, key => $key, answer => $answer, statement => $request[1] });
    return;
}

sub request_until_stopped
{
    my ($name, $number) = @_;

    begin_writing($name, $number);
    until (there_is('stop'))
    {
        request_until_answered();
        usleep(rand(60_000));
    }
    end_writing($name);
    return;
}

#
# Clerks
#

# What refresh and scan leave to do is done by whoever comes next. Their calls
# need no journal: what they come to does not depend on who made them.
sub random_errand
{
    my $dice = rand(100);
    my $phone = $phones[ rand() ** 2 * @phones ];

    return ('refresh', 'CALL c360_refresh_rfm_all()') if $dice < 20;
    return ('whole refresh', 'CALL c360_refresh_rfm_all(true)') if $dice < 30;
    return ('refresh', 'SELECT changed FROM c360_refresh_rfm()') if $dice < 40;
    return ('one', "SELECT c360_update_rfm('$phone')") if $dice < 50;
    return ('threshold', 'SELECT c360_update_rfm_threshold(\'monetary\', 3, ' . (2_000_000 + int(rand(10))) . ')') if $dice < 52;
    return ('scan', 'CALL c360_scan_fraud_all()') if $dice < 65;
    return ('scan', 'SELECT sum(flagged) FROM c360_scan_fraud()') if $dice < 72;
    return ('whole scan', "SELECT sum(flagged) FROM c360_scan_fraud('-infinity')") if $dice < 75;
    return ('review', "SELECT c360_review_fraud_flag(id, '" . (rand() < 0.5 ? 'confirmed' : 'dismissed')
            . q{') FROM (SELECT id FROM c360.fraud_flags WHERE status = 'open' ORDER BY random() LIMIT 1) f}) if $dice < 88;
    return ('tier', "SELECT c360_set_tier('$phone', '" . (qw(new silver gold platinum blacklist))[ rand 5 ] . "', "
            . (rand() < 0.3 ? 'true' : 'false') . ')') if $dice < 95;
    return ('status', "SELECT c360_set_status('$phone', 'VIP', false)");
}

sub clerk_until_stopped
{
    my ($name, $number) = @_;

    begin_writing($name, $number);
    until (there_is('stop'))
    {
        my ($errand, $statement) = random_errand();
        my ($state) = execute($statement);

        $writer{states}{ $state // 'lost' }++;
        $writer{states}{"$errand: " . (!defined $state ? 'lost' : $state eq '00000' ? 'done' : 'refused')}++;
        usleep(rand(100_000));
    }
    end_writing($name);
    return;
}

#
# Readers
#

# Their log has a line for what they got first:
#   event  id  channel  event  customer     by cursor
#   session  cursor                         listens from here on
#   heard  pid  channel  id  customer  event  cursor
#   count  what  how often
# and for each answer that should not be:
#   wrong  text
my %reader;

sub reader_log
{
    print { $reader{log} } join("\t", @_), "\n";
    return;
}

sub end_reading
{
    reader_log('count', $_, $reader{count}{$_}) foreach sort keys %{ $reader{count} };
    close $reader{log} or die $!;
    return;
}

sub reader_session
{
    my @settings = map { qq{LISTEN "$_"} } @{ $reader{listen} // [] };

    return $reader{session} if $reader{session};
    $reader{session} = connect_until_it_works("reader $reader{name}", @settings);
    $reader{count}{connections}++;
    $reader{ends_at} = time() + 0.5 + rand(6);
    return $reader{session};
}

# Now and then without a word
sub reader_hangs_up
{
    my $session = delete $reader{session} or return;

    kill KILL => $session->{pid} if rand() < 0.5;
    close_psql($session);
    return;
}

# Rows, or an empty list and false in $reader{session} if the session ended.
sub reader_asks
{
    my ($state, @rows) = ask(reader_session(), $_[0]);

    if (!defined $state)
    {
        reader_hangs_up();
    }
    elsif ($state ne '00000')
    {
        reader_log('wrong', "$state for $_[0]");
        reader_hangs_up();
    }
    return @rows;
}

sub receive
{
    my ($cursor, $id, $channel, $event, $customer) = @_;

    $reader{cursor} = $cursor;
    return if $id eq '';
    $reader{count}{received}++;
    reader_log('event', $id, $channel, $event, $customer) unless $reader{seen}{$id}++;
    return;
}

# Reads one page; answers how many rows it had, undef if the session ended. The
# rows of a page that breaks off were received.
sub read_page
{
    my $size = 1 + int(1000 * rand() ** 3);
    my $channels = $reader{channels} ? "'{" . join(',', @{ $reader{channels} }) . "}'" : 'NULL';
    my @rows = reader_asks("SELECT cursor, id, channel, event, payload ->> 'customer_id' "
            . "FROM c360_events_since('$reader{cursor}', $channels, $size)");

    foreach my $row (@rows)
    {
        my @fields = split /\|/, $row, -1;

        receive(@fields) if @fields == 5;
    }
    $reader{count}{pages}++;
    return $reader{session} ? scalar(@rows) : undef;
}

# The same as server-sent events, whose id comes behind the last frame. Answers
# how many there were.
sub receive_stream
{
    my $event = '';
    my @frames;
    my $count = 0;

    foreach my $line (@_)
    {
        $event = $1 if $line =~ /^event: (.*)/;
        reader_log('wrong', "reset: $line") if $event eq 'reset';
        push @frames, [ JSON::PP->new->utf8->decode($1), $event ] if $line =~ /^data: (.*)/;
        next unless $line =~ /^id: (.*)/;
        foreach my $frame (splice @frames)
        {
            my ($payload, $name) = @$frame;

            reader_log('wrong', "event $name with $line") if $payload->{event} ne $name;
            receive($1, $payload->{id}, '', $name, $payload->{customer_id} // '');
            $count++;
        }
        $reader{cursor} = $1;
    }
    $reader{count}{pages}++;
    return $count;
}

sub read_stream
{
    my @lines = reader_asks("SELECT c360_events(NULL, '$reader{cursor}')");

    return $reader{session} ? receive_stream(@lines) : undef;
}

# A page in a browser: with a pass, from where the last answer ended.
sub read_by_web
{
    my ($status, $code, $came);

    if (!$reader{pass})
    {
        ($status, $code, $came) = web_request($web, 'POST', 'rpc/c360_open_stream', role => 'cashier', body => {});
        $reader{pass} = $came if defined $status && $status == 200;
    }
    else
    {
        ($status, $code, $came) = web_request($web, 'GET', "rpc/c360_events?pass=$reader{pass}",
            headers => { Accept => 'text/event-stream', 'Last-Event-ID' => $reader{cursor} });
        # each frame ends with an empty line, and so does the answer
        return receive_stream(split /\n/, $came) if defined $status && $status == 200 && $came =~ /\n\n\z/;
    }
    $reader{count}{lost}++ if !defined $status;
    reader_log('wrong', "$code: " . JSON::PP->new->allow_nonref->encode($came)) if defined $status && $status != 200;
    return undef;
}

sub read_by_web_until_finished
{
    my ($name) = @_;

    %reader = (name => $name, cursor => $start_cursor, log => open_log($name), seen => {}, count => {});
    my $rows = 1;
    my $give_up;
    # the last answer after the end has nothing more
    until ($give_up && defined $rows && $rows == 0)
    {
        my $ended = there_is('finish');

        $give_up //= time() + 60 if $ended;
        $rows = read_by_web();
        $rows = undef unless $ended;
        last if $give_up && time() > $give_up;
        usleep(rand(100_000)) unless $rows;
    }
    end_reading();
    return;
}

sub read_all
{
    my $read = $reader{stream} ? \&read_stream : \&read_page;
    my $rows;

    reader_asks("BEGIN ISOLATION LEVEL $reader{isolation}") if $reader{isolation};
    return 0 if $reader{isolation} && !$reader{session};
    do
    {
        $rows = $read->();
        usleep(rand(300_000)) if $reader{isolation} && rand() < 0.2;
    } while $rows;
    reader_asks('COMMIT') if $reader{isolation} && $reader{session};
    return defined $rows;
}

# Answers whether there were any.
sub take_notifications
{
    my @all = splice @{ reader_session()->{notifications} };

    foreach my $notification (@all)
    {
        my $payload = eval { JSON::PP->new->utf8->decode($notification->{text}) };

        if (!$payload)
        {
            reader_log('wrong', "no JSON: $notification->{text}");
            next;
        }
        $reader{count}{heard}++;
        $reader{newest} = max($reader{newest}, $payload->{id});
        reader_log('heard', $notification->{pid}, $notification->{channel}, $payload->{id},
            $payload->{customer_id} // '', $payload->{event}, $payload->{cursor} // '');
    }
    return scalar @all;
}

# A consumer: listens, reads up to now, waits for a notification.
sub follow
{
    my $silence = 0;

    read_all() or return;
    until (there_is('finish') || time() > $reader{ends_at})
    {
        reader_asks('SELECT 1');
        return unless $reader{session};
        if (take_notifications() || $silence++ > 50)
        {
            $silence = 0;
            read_all() or return;
        }
        usleep(rand(50_000));
    }
    return;
}

sub poll
{
    while (!there_is('finish') && time() < $reader{ends_at})
    {
        read_all() or return;
        usleep(rand(300_000));
    }
    return;
}

sub read_until_finished
{
    my ($name, %what) = @_;

    %reader = (%what, name => $name, cursor => $start_cursor, log => open_log($name), seen => {}, newest => 0, count => {});
    until (there_is('finish'))
    {
        reader_session();
        $reader{listen} ? follow() : poll();
        reader_hangs_up();
    }
    1 until read_all();
    reader_hangs_up();
    end_reading();
    return;
}

# A listener that stays as long as it is let, and never reads but for the
# cursor from which it listens.
sub listen_until_finished
{
    my ($name, @channels) = @_;
    my $last;
    my $give_up;

    %reader = (name => $name, listen => \@channels, log => open_log($name), newest => 0, count => {});
    until ($last && $reader{newest} >= $last)
    {
        if (!$reader{session})
        {
            my ($cursor) = reader_asks('SELECT cursor FROM c360_events_since()');
            next unless $reader{session};
            reader_log('session', $cursor);
        }
        reader_asks('SELECT 1');
        next unless $reader{session};
        take_notifications();
        usleep(rand(50_000));
        next unless there_is('finish');
        $last //= (read_log('finish'))[0][0];
        $give_up //= time() + 60;
        if (time() > $give_up)
        {
            reader_log('wrong', "the last event, $last, is not heard");
            last;
        }
    }
    reader_hangs_up();
    end_reading();
    return;
}

my %readers = (
    polls => {},
    'polls wallets and bank' => { channels => [ 'wallets', 'bank' ] },
    'polls under REPEATABLE READ' => { isolation => 'REPEATABLE READ' },
    'polls READ ONLY' => { isolation => 'SERIALIZABLE READ ONLY' },
    'polls server-sent events' => { stream => 1 },
    'page in a browser' => { web => 1 },
    'listens to wallets' => { listen => ['wallets'], channels => ['wallets'] },
    'listens to all' => { listen => [ 'wallets', 'customers', 'bank', 'tickets' ] },
    'listens to a wallet' => { listen => ["wallet:$watched"], channels => ["wallet:$watched"] });
my %stayers = (
    'stays with all' => [ 'wallets', 'customers', 'bank', 'tickets' ],
    'stays with wallets' => ['wallets'],
    'stays with a wallet' => ["wallet:$watched"]);

#
# What happens to them
#

my %done = map { $_ => 0 } qw(client publisher runner launcher process server);
my %worker_types = (publisher => 'c360 publisher', runner => 'c360 job runner', launcher => 'c360 launcher');

# One answer of a server that may not be there; undef if it is not.
sub try_query
{
    my ($sql) = @_;
    my ($rc, $out) = $node->psql('postgres', $sql);

    return $rc == 0 ? $out : undef;
}

sub terminate
{
    my ($which) = @_;

    return (try_query(qq{
        SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
        FROM (SELECT pid FROM pg_stat_activity WHERE $which ORDER BY random() LIMIT 1) one}) // 0) > 0;
}

sub random_process
{
    return try_query(q{
        SELECT pid FROM pg_stat_activity
        WHERE application_name ~ '^(writer|reader|web)' OR backend_type IN ('c360 publisher', 'c360 job runner')
        ORDER BY random() LIMIT 1});
}

my %chaos = (
    client => sub { return terminate(q{application_name ~ '^(writer|reader|web)'}) },
    (map { my $type = $worker_types{$_}; $_ => sub { return terminate("backend_type = '$type'") } } keys %worker_types),
    process => sub {
        my $pid = random_process() or return 0;

        # still one of this server
        return 0 unless (process_state($pid))[1] == $node->{_pid};
        my $offset = -s $node->logfile;
        kill_processes($pid);
        $node->wait_for_log(qr/PID $pid\) was terminated by signal 9/, $offset);
        wait_for_server($node);
        return 1;
    },
    server => sub {
        kill_server($node, $done{server} % 2);
        $node->start;
        return 1;
    });

# Moments and what happens then; at least one of each.
sub what_happens
{
    my @plan;
    my $often = sub {
        my ($what, $count, $until) = @_;
        push @plan, map { [ 1 + rand($until - 1), $what ] } 1 .. $count;
    };

    $often->('client', max(5, 2 * $seconds), $seconds);
    $often->('publisher', max(2, $rough / 3), $rough);
    $often->('runner', max(2, $rough / 5), $rough);
    $often->('launcher', max(1, $rough / 10), $rough);
    $often->('process', max(2, $rough / 10), $rough);
    $often->('server', max(2, $rough / 25), $rough);
    return sort { $a->[0] <=> $b->[0] } @plan;
}

# Pid and private memory of publisher, runner and the session that stays, in
# kB; what is shared among all grows as they touch it.
sub memory_of_those_who_stay
{
    my @all;

    foreach my $type ('c360 publisher', 'c360 job runner', 'pool')
    {
        my $which = $type eq 'pool' ? q{application_name = 'pool'} : "backend_type = '$type'";
        $node->poll_query_until('shop', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $which") or die "there is no $type";
        my $pid = $node->safe_psql('shop', "SELECT pid FROM pg_stat_activity WHERE $which");
        my ($size) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m or die "no RssAnon of $pid";
        push @all, { type => $type, pid => $pid, size => $size };
    }
    return @all;
}

$begun = time();
my %children;
{
    my $number = 0;

    foreach my $n (1 .. $writers + 1)
    {
        $children{"writer$n"} = in_child("writer$n", ++$number, sub { write_until_stopped($_[0], $n) });
    }
    foreach my $n ($writers + 2 .. $writers + 1 + $web_writers)
    {
        $children{"web$n"} = in_child("web$n", ++$number, sub { request_until_stopped($_[0], $n) });
    }
    foreach my $n (20 .. 21)
    {
        $children{"clerk$n"} = in_child("clerk$n", ++$number, sub { clerk_until_stopped($_[0], $n) });
    }
    foreach my $name (sort keys %readers)
    {
        $children{$name} = in_child($name, ++$number, sub {
            $readers{$name}{web} ? read_by_web_until_finished($_[0]) : read_until_finished($_[0], %{ $readers{$name} });
        });
    }
    foreach my $name (sort keys %stayers)
    {
        $children{$name} = in_child($name, ++$number, sub { listen_until_finished($_[0], @{ $stayers{$name} }) });
    }
}

my @memory_before;
foreach my $step (what_happens(), [ $seconds, 'end' ])
{
    my ($at, $what) = @$step;

    if (!@memory_before && $at > $rough + ($seconds - $rough) / 3)
    {
        wait_for_server($node);
        @memory_before = memory_of_those_who_stay();
    }
    my $wait = $begun + $at - time();
    usleep(1_000_000 * $wait) if $wait > 0;
    last if $what eq 'end';
    # what is to be killed may not be there just now
    my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;
    until ($chaos{$what}->())
    {
        die "there is no $what to kill" if time() > $give_up;
        usleep(50_000);
    }
    $done{$what}++;
}
my @memory_after = memory_of_those_who_stay();

#
# The end
#

sub wait_for_children
{
    my @failed;

    foreach my $name (@_)
    {
        waitpid $children{$name}, 0;
        push @failed, $name if $? != 0;
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join(', ', @failed), '', "they end well: $_[0] and others");
}

sub poll_ok
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($node->poll_query_until('shop', $sql), $name);
}

my @writer_names = sort grep { /^(writer|web|clerk)\d/ } keys %children;
close open_log('stop');
wait_for_children(@writer_names);
is($node->safe_psql('shop', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'no prepared transaction is left');
poll_ok(qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = '$_'}, "there is one $_")
    foreach sort values %worker_types;
poll_ok(q{SELECT count(*) = 0 FROM c360.virtual_credits WHERE status = 'ACTIVE' AND expires_at < clock_timestamp() + interval '1 minute'},
    'every lot expires');
poll_ok('SELECT count(*) = 0 FROM c360.job_runs WHERE ended_at IS NULL', 'every run of a job has ended');
# in one transaction, so that the day of the shop does not end between
is($node->safe_psql('shop', q{
    BEGIN;
    SELECT 'still to score' FROM c360_refresh_rfm() WHERE examined < 0;
    SELECT changed || ' scores of all were wrong' FROM c360_refresh_rfm(true) WHERE changed > 0;
    COMMIT}), '', 'scores are those of a whole refresh');
is($node->safe_psql('shop', q{
    BEGIN;
    SELECT 'no rule' FROM c360_scan_fraud() HAVING count(*) <> 3;
    SELECT flagged || ' times not found before: ' || rule FROM c360_scan_fraud('-infinity') WHERE flagged > 0;
    COMMIT}), '', 'flags are those of a scan over all');
# what lost against others in a deadlock is taken up by the job
is($node->safe_psql('shop', q{
    SELECT error FROM c360.balance_history WHERE result = 'failed' AND error !~ '^40P01 ';
    UPDATE c360.balance_history SET next_attempt_at = now() WHERE result = 'failed';
    SELECT failed || ' failed again' FROM c360_process_bank(10000) WHERE failed > 0;
    SELECT * FROM c360_reconcile_bank('2026-01-01', '2026-01-31')}), '', 'every transfer is deposited, to its customer');
$node->safe_psql('shop', "SELECT c360_deposit('$watched', 1, note => 'the last')");
my $last = $node->safe_psql('shop', q{SELECT id FROM c360.customer_activities WHERE payload ->> 'note' = 'the last'});
poll_ok('SELECT backlog = 0 FROM c360_stat', 'nothing is left to announce');
{
    my $log = open_log('finish.new');

    print $log "$last\n";
    close $log or die $!;
    rename "$dir/finish.new", "$dir/finish" or die $!;
}
wait_for_children(sort keys %readers, keys %stayers);
ok(stop_postgrest(), 'PostgREST has lived through it');

# What the server has to say
{
    my $log = slurp_file($node->logfile);
    my %ends;

    $ends{$1}++ while $log =~ /was terminated by signal (\d+)/g;
    is(join(' ', map { "$_: $ends{$_}" } sort keys %ends), "9: $done{process}", 'no process died but those that were killed');
    is(join("\n", $log =~ /^.*(?:PANIC|TRAP:|could not access status|XX\d{3}).*$/mg), '', 'no panic');
    is($node->safe_psql('shop', 'SELECT last_error FROM c360_stat'), '', 'c360_stat knows of no failure of a worker');
    is($node->safe_psql('shop', q{
        SELECT DISTINCT error FROM c360.job_runs WHERE error IS NOT NULL AND error <> 'interrupted'}), '', 'nor the runs of jobs')
        or diag($log =~ /^.* LOG:  job "\w+" failed: .*\n(?:.* DETAIL: .*\n|\t.*\n)*/mg);
    is($node->safe_psql('shop', 'SELECT count(*) FROM c360.event_epochs'), '1', 'all is one epoch');
}

# Memory
foreach my $n (0 .. $#memory_before)
{
    my ($before, $after) = ($memory_before[$n], $memory_after[$n]);

    diag("$before->{type}: $before->{size} kB, at the end $after->{size} kB");
    is($after->{pid}, $before->{pid}, "$before->{type}: the same at the end");
    # a session has plans and caches of everything only after a while
    cmp_ok($after->{size}, '<', $before->{size} + ($before->{type} eq 'pool' ? 4 : 1) * $mega, "$before->{type}: its memory does not grow");
}

#
# The books
#

$node->safe_psql('shop', "\\copy audit.calls FROM '$dir/$_'") foreach @writer_names;

# Each query answers what is wrong.
my %wrong = (
    'an answered commit is not in the books' => q{
        SELECT * FROM audit.found WHERE outcome = 'committed' AND kept AND NOT there AND kind NOT IN ('freeze', 'other')},
    'what was answered is not what is in the books' => q{
        SELECT f.*, t.id FROM audit.found f JOIN c360.wallet_transactions t ON t.idempotency_key = f.key
        WHERE f.kind = 'money' AND f.kept AND f.outcome = 'committed' AND f.answer::bigint <> t.id},
    'something rolled back is in the books' => q{
        SELECT * FROM audit.found f WHERE there AND kind <> 'bulk' AND (outcome = 'rolled back' OR NOT kept)
        -- and nobody else sent it
          AND NOT (kind = 'ingest' AND EXISTS (SELECT FROM audit.sent s WHERE s.id = f.key::bigint AND (s.client, s.n) <> (f.client, f.n)))},
    'a transaction is in the books by halves' => q{
        SELECT client, n, count(*), count(*) FILTER (WHERE there) FROM audit.found WHERE kept AND kind NOT IN ('freeze', 'other', 'bulk')
        GROUP BY 1, 2 HAVING count(*) FILTER (WHERE there) NOT IN (0, count(*))},
    'a movement that nobody asked for' => q{
        SELECT t.id, t.type FROM c360.wallet_transactions t LEFT JOIN c360.bank_links l ON l.id = t.bank_link_id
        WHERE NOT EXISTS (SELECT FROM audit.calls WHERE kind = 'money' AND key = t.idempotency_key)
          AND NOT (t.type = 'DEPOSIT' AND l.id IS NOT NULL OR t.type = 'VIRTUAL_EXPIRE' AND t.credit_id IS NOT NULL
               OR EXISTS (SELECT FROM c360.customer_tickets k WHERE t.id = k.transaction_id)
               OR t.operation = 'restore' AND EXISTS (
                   SELECT FROM c360.fraud_flags f WHERE f.id::text = t.reference_id AND f.status = 'dismissed'))
          AND t.activity_id <> $last},
    'a transfer that nobody sent, or twice' => q{
        SELECT h.sepay_id FROM c360.balance_history h
        GROUP BY 1 HAVING count(*) > 1
            OR NOT EXISTS (SELECT FROM audit.sent WHERE id = h.sepay_id)},
    'an order has other totals' => q{
        SELECT t.customer_id, t.total, t.spent FROM c360.customer_order_totals t
        WHERE (t.total, t.spent) <> (SELECT count(*), coalesce(sum(o.amount) FILTER (WHERE o.status <> 'returned'), 0)
                                     FROM c360.customer_orders o WHERE o.customer_id = t.customer_id AND o.status <> 'cancelled')},
    'a ticket was compensated twice' => q{
        SELECT transaction_id FROM c360.customer_tickets WHERE transaction_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1},
    'a movement has no activity row' => q{
        SELECT t.id FROM c360.wallet_transactions t
        WHERE NOT EXISTS (SELECT FROM c360.customer_activities c WHERE c.id = t.activity_id AND c.customer_id = t.customer_id)},
    'c360_verify_wallets() finds something' => 'SELECT * FROM c360_verify_wallets()');
$node->safe_psql('shop', q{
    CREATE INDEX ON audit.calls (key);
    CREATE TABLE audit.sent AS
    SELECT client, n, id::bigint FROM audit.calls, regexp_split_to_table(key, ' ') AS id WHERE kind IN ('ingest', 'bulk');
    CREATE INDEX ON audit.sent (id);
    CREATE INDEX ON audit.sent (client, n);
    CREATE TABLE audit.frozen AS
    SELECT payload ->> 'reason' AS reason FROM c360.customer_activities WHERE event = 'wallet.frozen';
    CREATE VIEW audit.found AS
    SELECT *, CASE kind WHEN 'money' THEN EXISTS (SELECT FROM c360.wallet_transactions WHERE idempotency_key = key)
                   WHEN 'ingest' THEN EXISTS (SELECT FROM c360.balance_history WHERE sepay_id::text = key)
                   WHEN 'order' THEN EXISTS (SELECT FROM c360.customer_orders WHERE order_code = key)
                   -- an item may have failed, and says so
                   WHEN 'bulk' THEN answer = '0' OR NOT EXISTS (
                       SELECT FROM audit.sent s WHERE (s.client, s.n) = (c.client, c.n)
                           AND NOT EXISTS (SELECT FROM c360.balance_history h WHERE h.sepay_id = s.id))
                   WHEN 'ticket' THEN EXISTS (SELECT FROM c360.customer_tickets WHERE subject = key)
                   ELSE EXISTS (SELECT FROM audit.frozen WHERE reason = key) END AS there
    FROM audit.calls c});
is($node->safe_psql('shop', q{
    SET max_parallel_workers_per_gather = 0;
    ANALYZE;
    SELECT 'no index checked' FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_class x ON x.oid = i.indexrelid AND x.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
    WHERE c.relnamespace = 'c360'::regnamespace HAVING count(bt_index_check(i.indexrelid, true)) = 0}), '', 'every index is sound');
foreach my $problem (sort keys %wrong)
{
    my $sql = $wrong{$problem} =~ s/\$last\b/$last/r;

    is($node->safe_psql('shop', "SELECT count(*) || ' times, as in ' || min(w::text) FROM ($sql) w HAVING count(*) > 0"), '',
        "not: $problem");
}

# Vacuumed, no table or index is much larger than a copy of it.
$node->safe_psql('shop', 'VACUUM');
is($node->safe_psql('shop', q{
    CREATE SCHEMA copies;
    DO $$
    DECLARE
        t record;
    BEGIN
        FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'c360'::regnamespace AND relkind = 'r' LOOP
            EXECUTE format('CREATE TABLE copies.%I (LIKE c360.%1$I INCLUDING INDEXES)', t.relname);
            EXECUTE format('INSERT INTO copies.%I SELECT * FROM c360.%1$I', t.relname);
        END LOOP;
    END $$;
    SELECT string_agg(format('%s: %s kB, a copy %s kB', o.relname, pg_total_relation_size(o.oid) / 1024, pg_total_relation_size(c.oid) / 1024), ', ')
    FROM pg_class o JOIN pg_class c ON c.relname = o.relname AND c.relnamespace = 'copies'::regnamespace AND c.relkind = 'r'
    WHERE o.relnamespace = 'c360'::regnamespace AND o.relkind = 'r'
      AND pg_total_relation_size(o.oid) > 3 * pg_total_relation_size(c.oid) + 2 * 1024 * 1024}), '', 'no table has bloat beyond bounds');

#
# The events
#

# A moment as xmin, xmax and a set of those running
sub moment
{
    my ($xmin, $xmax, $running) = $_[0] =~ /^(\d+):(\d+):([\d,]*)$/ or die "cannot read moment $_[0]";

    return { xmin => $xmin, xmax => $xmax, running => { map { $_ => 1 } split /,/, $running } };
}

sub sees
{
    my ($moment, $xact) = @_;

    return $xact < $moment->{xmin} || $xact < $moment->{xmax} && !$moment->{running}{$xact};
}

my @ticks = map { my ($id, $snapshot) = split /\|/; { id => $id, moment => moment($snapshot) } }
    rows_of($node, 'shop', 'SELECT id, snapshot FROM c360.event_ticks ORDER BY id');

# Number of the first tick for which a condition holds, that holds for all
# behind it, too.
sub first_tick
{
    my ($condition) = @_;
    my ($low, $high) = (0, scalar @ticks);

    while ($low < $high)
    {
        my $middle = int(($low + $high) / 2);

        if ($condition->($ticks[$middle]))
        {
            $high = $middle;
        }
        else
        {
            $low = $middle + 1;
        }
    }
    return $low;
}

# Number in @ticks of the first one that sees it.
sub tick_of
{
    my ($xact) = @_;
    my $number = first_tick(sub { sees($_[0]{moment}, $xact) });

    die "no tick sees transaction $xact" if $number == @ticks;
    return $number;
}

my %events;
my @missed_by_ticks;
foreach my $row (rows_of($node, 'shop', q{
    SELECT id, xact, topic, event, customer_id, payload ->> 'phone',
           CASE topic WHEN 'tickets' THEN reference_id WHEN 'wallets' THEN customer_id::text END FROM c360.customer_activities ORDER BY id}))
{
    my ($id, $xact, $topic, $event, $customer, $phone, $thing) = split /\|/, $row, -1;
    my $number = eval { tick_of($xact) };

    push @missed_by_ticks, $id unless defined $number;
    $events{$id} = { topic => $topic, event => $event, customer => $customer, phone => $phone, thing => $thing, xact => $xact,
        number => $number // $#ticks, tick => $ticks[ $number // -1 ]{id} };
    $ticks[$number]{events}++ if defined $number;
}
my $base = $node->safe_psql('shop', 'SELECT id FROM audit.base');
my @all_ids = sort { $a <=> $b } grep { $_ > $base } keys %events;

# Ticks
{
    my @wrong;

    is("@missed_by_ticks", '', 'the last tick sees every event');
    foreach my $n (1 .. $#ticks)
    {
        my ($before, $tick) = map { $_->{moment} } @ticks[ $n - 1, $n ];

        push @wrong, "$ticks[$n]{id} forgets" if $tick->{xmax} < $before->{xmax}
            || grep { $_ < $before->{xmax} && !$before->{running}{$_} } keys %{ $tick->{running} };
        push @wrong, "$ticks[$n]{id} is for nothing" unless $ticks[$n]{events};
    }
    is(join("\n", @wrong), '', 'each tick sees what the one before saw, and something new');
    is($node->safe_psql('shop', q{
        SELECT count(*) FROM (SELECT created_at < lag(created_at) OVER (ORDER BY id) AS back FROM c360.event_ticks) t WHERE back}),
        '0', 'they follow each other in time');
    my $possible = $node->safe_psql('shop', q{
        SELECT extract(epoch FROM max(created_at) - min(created_at)) * 1000 / setting::integer FROM c360.event_ticks, pg_settings
        WHERE name = 'c360.tick_interval' GROUP BY setting});
    my $starts = 10 + $done{publisher} + $done{process} + $done{server};
    cmp_ok(scalar(@ticks), '<', 1.2 * $possible + $starts, 'no more than one in each tick_interval');
    cmp_ok(scalar(@ticks), '>', $starts, 'and more than there were publishers');
}

sub is_on
{
    my ($event, @channels) = @_;

    return 1 unless @channels;
    foreach my $channel (@channels)
    {
        return 1 if $event->{topic} eq $channel;
        return 1 if $event->{topic} eq 'wallets' && $channel eq "wallet:$event->{phone}";
    }
    return 0;
}

# What a list has too much or too little, shortened
sub some
{
    my @all = @_;

    return @all > 10 ? join(' ', @all[ 0 .. 9 ]) . ' and ' . (@all - 10) . ' more' : "@all";
}

# Of each wallet and each ticket ids rise in order of receipt.
sub out_of_order
{
    my %last_id;
    my @wrong;

    foreach my $id (@_)
    {
        my $event = $events{$id} or next;

        next if $event->{thing} eq '';
        push @wrong, $id if $id < ($last_id{ $event->{thing} } // 0);
        $last_id{ $event->{thing} } = $id;
    }
    return some(@wrong);
}

my (%total, %count_of);

sub count
{
    my ($name, @log) = @_;

    $count_of{$name} = join ', ', map { "$_->[1] $_->[2]" } grep { $_->[0] eq 'count' } @log;
    $total{ $_->[1] } += $_->[2] foreach grep { $_->[0] eq 'count' } @log;
    return;
}

foreach my $name (sort keys %readers)
{
    my @log = read_log($name);
    my @channels = @{ $readers{$name}{channels} // [] };
    my @received = map { $_->[1] } grep { $_->[0] eq 'event' } @log;
    my %received = map { $_ => 1 } @received;

    count($name, @log);
    is(some(map { $_->[1] } grep { $_->[0] eq 'wrong' } @log), '', "$name: no answer is an error");
    is(some(grep { !$received{$_} && is_on($events{$_}, @channels) } @all_ids), '', "$name: receives every event");
    is(some(grep { !$events{$_} || !is_on($events{$_}, @channels) } @received), '', "$name: and no other");
    is(some(map { $_->[1] } grep {
                my ($kind, $id, $channel, $event, $customer) = @$_;
                $kind eq 'event' && $events{$id} && ($events{$id}{event} ne $event || $events{$id}{customer} ne $customer
                    || $channel !~ /^(wallet:|$)/ && $events{$id}{topic} ne $channel) } @log), '', "$name: as they are in the books");
    is(out_of_order(@received), '', "$name: in order for each wallet and ticket");
}

# Whether an event comes behind the cursor from which a session listens.
sub behind
{
    my ($event, $from) = @_;

    return ref $from ? !sees($from, $event->{xact}) : $event->{tick} > $from;
}

my @ids_of_tick;
push @{ $ids_of_tick[ $events{$_}{number} ] }, $_ foreach @all_ids;

# Events that a session may have to hear: those behind a cursor, up to a tick.
sub ids_between
{
    my ($from, $up_to) = @_;
    my $first = first_tick(ref $from ? sub { $_[0]{moment}{xmax} > $from->{xmin} } : sub { $_[0]{id} > $from });
    my $end = first_tick(sub { $_[0]{id} > $up_to });

    return grep { behind($events{$_}, $from) } map { @{ $ids_of_tick[$_] // [] } } $first .. $end - 1;
}

# What is wrong with what one session heard: everything behind its first
# cursor and up to the last that it heard.
sub judge_session
{
    my ($cursor, $channels, @heard) = @_;
    my ($from) = $cursor =~ /^\d+\.(\d+)$/;
    my (%heard, %again, @wrong, $told, %batches, @order);
    my $up_to_tick = 0;

    $from = moment($1) if !defined $from && $cursor =~ /^\d+\.s\d+:\d+:(\d+:\d+:[\d,]*)$/;
    die "cannot read cursor $cursor" unless defined $from;
    foreach my $line (@heard)
    {
        my (undef, $pid, $channel, $id, $customer, $event, $at) = @$line;
        my $row = $events{$id};

        push @wrong, "$id: there is no such event" and next unless $row;
        push @wrong, "$id: $event of customer $customer" if $row->{event} ne $event || $row->{customer} ne $customer;
        push @wrong, "$id: heard on $channel" unless is_on($row, $channel);
        push @wrong, "$id: heard twice from $pid" if $again{"$pid $channel $id"}++;
        push @order, $id unless $heard{$id}++;
        my ($a, $b, $up_to) = $at =~ /^\d+\.(\d+)-(\d+)\.(\d+)$/ or push @wrong, "$id: cursor $at" and next;
        push @wrong, "$id: cursor $at" unless $up_to == $id && $a < $row->{tick} && $row->{tick} <= $b;
        $told = max($told // 0, $a);
        $up_to_tick = max($up_to_tick, $a, $b);
        $batches{"$a $b"} = max($batches{"$a $b"} // 0, $id);
    }
    foreach my $id (grep { !$heard{$_} && is_on($events{$_}, @$channels) } ids_between($from, $up_to_tick))
    {
        my $tick = $events{$id}{tick};
        my $is_due = defined $told && $tick <= $told;

        foreach my $batch (keys %batches)
        {
            my ($a, $b) = split / /, $batch;
            $is_due ||= $tick > $a && $tick <= $b && $id <= $batches{$batch};
        }
        push @wrong, "$id of tick $tick is not heard" if $is_due;
    }
    my $order = out_of_order(@order);
    push @wrong, "out of order: $order" if $order ne '';
    return @wrong;
}

foreach my $name (sort keys %stayers)
{
    my @log = read_log($name);
    my (@sessions, @wrong);

    count($name, @log);
    is(some(map { $_->[1] } grep { $_->[0] eq 'wrong' } @log), '', "$name: no answer is an error, the last event is heard");
    foreach my $line (@log)
    {
        push @sessions, [ $line->[1] ] if $line->[0] eq 'session';
        push @{ $sessions[-1] }, $line if $line->[0] eq 'heard';
    }
    foreach my $session (@sessions)
    {
        my ($cursor, @heard) = @$session;

        push @wrong, map { "since $cursor: $_" } judge_session($cursor, $stayers{$name}, @heard);
    }
    is(some(@wrong), '', "$name: in each session it hears every event once, in order, and nothing else");
    cmp_ok(scalar(@sessions), '>', $done{process} + $done{server}, "$name: in several sessions");
}
foreach my $name (grep { $readers{$_}{listen} } sort keys %readers)
{
    my @heard = grep { $_->[0] eq 'heard' } read_log($name);

    is(some(map { $_->[3] } grep { !$events{ $_->[3] } || $events{ $_->[3] }{event} ne $_->[5] || !is_on($events{ $_->[3] }, $_->[2]) } @heard),
        '', "$name: hears of nothing that is not in the books");
    cmp_ok(scalar(@heard), '>', 0, "$name: hears");
}

#
# What happened
#

{
    my (%states, %errands);

    foreach my $name (@writer_names)
    {
        foreach my $line (read_log("$name.states"))
        {
            ($line->[0] =~ /: / ? \%errands : \%states)->{ $line->[0] } += $line->[1];
        }
    }
    is(join(' ', grep { !/^(00000|lost|PT402|PT403|PT404|PT409|40P01|40001|55P03|22023)$/ } sort keys %states), '',
        'no call failed for a reason of its own');
    is(join(', ', grep { !$errands{"$_: done"} } 'refresh', 'whole refresh', 'scan', 'review', 'tier'), '', 'clerks come to an end with everything');
    diag('clerks: ' . join(', ', map { "$_ $errands{$_}" } sort keys %errands));
    diag('calls: ' . join(', ', map { "$_ $states{$_}" } sort keys %states));
    my %outcomes = map { /^(.*)\|(\d+)$/ } rows_of($node, 'shop', q{
        SELECT outcome, count(DISTINCT (client, n)) FROM audit.calls GROUP BY 1 ORDER BY 1});
    is(join(', ', sort keys %outcomes), 'committed, rolled back, unknown', 'transactions end in every way');
    diag('transactions: ' . join(', ', map { "$_ $outcomes{$_}" } sort keys %outcomes));
    my %kinds = map { /^(.*)\|(\d+)$/ } rows_of($node, 'shop', 'SELECT event, count(*) FROM c360.customer_activities GROUP BY 1');
    is(join(' ', grep { !$kinds{$_} } qw(wallet.deposit wallet.virtual_credit wallet.withdraw wallet.refund wallet.virtual_expired
                wallet.frozen wallet.unfrozen bank.received bank.linked customer.created order.recorded ticket.created ticket.updated
                ticket.completed customer.tier_changed customer.flagged customer.unflagged)), '', 'there are events of every kind');
    my $late = 0;
    my $newest = -1;
    foreach my $id (@all_ids)
    {
        $late++ if $events{$id}{number} < $newest;
        $newest = max($newest, $events{$id}{number});
    }
    cmp_ok($late, '>', 0, 'some that were written later were committed earlier');
    is(join(' ', grep { !$done{$_} } sort keys %done), '', 'everything was ended at least once');
    diag(scalar(@all_ids) . " events in " . scalar(@ticks) . " ticks, $late passed another");
    diag('ended: ' . join(', ', map { "$_ $done{$_}" } sort keys %done));
    diag("$_: $count_of{$_}") foreach sort keys %count_of;
    diag('readers together: ' . join(', ', map { "$_ $total{$_}" } sort keys %total));
}

done_testing();
