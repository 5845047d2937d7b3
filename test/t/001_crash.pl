# What a client was answered survives kill -9 of the whole server: eight
# clients log each call before they send it and each answer they get; after
# every recovery the logs are held against the books. A call whose answer was
# lost happened once or not at all, and its repetition with the same key makes
# it once.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Clients;
use C360Test;
use IO::Handle;
use List::Util qw(shuffle);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $clients = 8;
my $kills = 12;
my $seed = $ENV{C360_SEED} // 20260102;
my $dir = PostgreSQL::Test::Utils::tempdir;

diag("random seed $seed; C360_SEED sets another");
srand($seed);
$SIG{PIPE} = 'IGNORE';

my $node = new_node('crash');
$node->append_conf('postgresql.conf', q{
checkpoint_timeout = 30s
max_wal_size = 64MB
min_wal_size = 32MB
log_statement = none
log_connections = off
log_disconnections = off
});
$node->start;
install($node, 'shop');

# fields: transaction_id|type|amount|real_change|virtual_change|balance|
# virtual_balance|replayed|credit:amount,... for calls of money;
# bank_transaction_id|result|transaction_id|amount for transfers;
# transaction|expired_count|total_expired_amount for expiry
$node->safe_psql('shop', q{
    CREATE EXTENSION amcheck;
    CREATE SCHEMA audit;
    CREATE TABLE audit.sent (round integer, client integer, n integer, kind text, key text, call text,
                             PRIMARY KEY (round, client, n));
    CREATE TABLE audit.answers (round integer, client integer, n integer, state text, answer text,
                                PRIMARY KEY (round, client, n));
    CREATE INDEX ON audit.sent (key)});

#
# Clients
#

sub random_phone
{
    return rand() < 0.01 ? sprintf('0913%06d', rand(1_000_000)) : sprintf('0912000%03d', rand(30));
}

sub money
{
    my ($function, $arguments, $key) = @_;

    return 'SELECT m.transaction_id, m.type, m.amount, m.real_change, m.virtual_change, m.balance,'
        . " m.virtual_balance, m.replayed, m.lots FROM $function($arguments, idempotency_key => '$key') m";
}

# One call: kind, key and statement. @$withdrawals are transaction ids,
# @$transfers those of bank transfers that this client took in; each is
# unlinked once at most.
sub random_call
{
    my ($round, $client, $n, $withdrawals, $transfers, $repeatable) = @_;
    my $dice = rand(100);
    my $phone = random_phone();
    my $key = "$round.$client.$n";

    return @{ $repeatable->[ rand @$repeatable ] } if $dice < 5 && @$repeatable;
    return ('deposit', $key, money('c360_deposit', "'$phone', " . int(1 + rand(200_000)), $key)) if $dice < 22;
    if ($dice < 42)
    {
        my $life = rand() < 0.5 ? 0.2 + rand(2) : 1000;
        my $expiry = sprintf('to_timestamp(%.3f)', time() + $life);

        return ('issue', $key,
            money('c360_issue_credit', "'$phone', " . int(1 + rand(100_000)) . ", expires_at => $expiry", $key));
    }
    return ('withdraw', $key, money('c360_withdraw', "'$phone', " . int(1 + rand(150_000)), $key)) if $dice < 68;
    if ($dice < 82 && @$withdrawals)
    {
        my $amount = rand() < 0.3 ? 'NULL' : int(1 + rand(50_000));

        return ('refund', $key, money('c360_refund', $withdrawals->[ rand @$withdrawals ] . ", $amount", $key));
    }
    if ($dice < 88)
    {
        return ('expire', '', 'SELECT pg_current_xact_id_if_assigned(), e.* FROM c360_expire_credits('
                . int(1 + rand(20)) . ') e');
    }
    if ($dice < 92 && @$transfers)
    {
        my $id = splice @$transfers, rand @$transfers, 1;

        return ('unlink', $id, 'SELECT i.bank_transaction_id, i.result, i.transaction_id, i.amount'
                . " FROM c360_unlink_transaction($id, 'of somebody else') i");
    }
    my $id = ($round * 100 + $client) * 1_000_000 + $n;
    return ('ingest', $id, 'SELECT i.bank_transaction_id, i.result, i.transaction_id, i.amount'
            . " FROM c360_ingest_bank_transaction('" . sprintf('{"id": %d, "gateway": "ACB", "accountNumber": "75918",'
            . ' "transactionDate": "2026-01-02 03:04:05", "transferType": "in", "transferAmount": %d,'
            . ' "content": "%s ck"}', $id, 1 + rand(100_000), $phone) . "') i");
}

# Sends one statement; answers SQLSTATE and row, state undef if psql ends
# before it says how it went. A row is an answer even so: it is sent after
# the commit.
sub call
{
    my ($session, $statement) = @_;
    my ($state, @rows) = ask($session, $statement);
    my $row = pop @rows;

    $row =~ s/\[.*\]$/join ',', map { m{"amount": (\d+), "credit_id": (\d+)} ? "$2:$1" : '?' } $& =~ m{\{[^\}]*\}}g/e
        if defined $row;
    $state = '00000' if !defined $state && defined $row;
    return ($state, $row);
}

sub new_session
{
    return open_psql($node->connstr('shop'), "$dir/psql.err");
}

sub run_client
{
    my ($round, $client, @withdrawals) = @_;
    my (@repeatable, @transfers);

    srand($seed * 10_000 + $round * 100 + $client);
    open my $sent, '>', "$dir/sent.$round.$client" or die $!;
    open my $answers, '>', "$dir/answers.$round.$client" or die $!;
    $_->autoflush(1) foreach $sent, $answers;
    my $session = new_session();
    open my $psql, '>', "$dir/psql.$round.$client" or die $!;
    print $psql $session->{pid};
    close $psql;
    for (my $n = 1; ; $n++)
    {
        my ($kind, $key, $statement) = random_call($round, $client, $n, \@withdrawals, \@transfers, \@repeatable);

        print $sent join("\t", $round, $client, $n, $kind, $key, $statement), "\n";
        my ($state, $row) = call($session, $statement);
        last unless defined $state;
        print $answers join("\t", $round, $client, $n, $state, $row // '\N'), "\n";
        next unless $state eq '00000';
        push @withdrawals, $row =~ /^(\d+)/ if $kind eq 'withdraw';
        push @transfers, $1 if $kind eq 'ingest' && $row =~ /^(\d+)\|deposited\|/;
        push @repeatable, [ $kind, $key, $statement ] if $kind !~ /^(expire|unlink)$/;
        splice @$_, 0, -50 foreach grep { @$_ > 100 } \@withdrawals, \@repeatable, \@transfers;
    }
    close_psql($session);
    return;
}

#
# The server's end
#

sub all_answered
{
    my $round = shift;

    return $clients == grep { -s $_ } glob "$dir/answers.$round.*";
}

#
# What the books must say
#

# Calls that were answered, by what they answer.
$node->safe_psql('shop', q{
    CREATE VIEW audit.money_answers AS
    WITH rows AS MATERIALIZED (
        SELECT s.round, s.client, s.n, s.key, string_to_array(a.answer, '|') AS f
        FROM audit.sent s JOIN audit.answers a USING (round, client, n)
        WHERE s.kind IN ('deposit', 'issue', 'withdraw', 'refund') AND a.state = '00000')
    SELECT round, client, n, key, f[1]::bigint AS transaction_id, f[2] AS type, f[3]::bigint AS amount,
           f[4]::bigint AS real_change, f[5]::bigint AS virtual_change, f[6]::bigint AS balance,
           f[7]::bigint AS virtual_balance, f[8]::boolean AS replayed, nullif(f[9], '') AS lots FROM rows;
    CREATE VIEW audit.transfer_answers AS
    WITH rows AS MATERIALIZED (
        SELECT s.round, s.client, s.n, s.key, string_to_array(a.answer, '|') AS f
        FROM audit.sent s JOIN audit.answers a USING (round, client, n)
        WHERE s.kind = 'ingest' AND a.state = '00000')
    SELECT round, client, n, key::bigint AS sepay_id, f[1]::bigint AS bank_transaction_id, f[2] AS result,
           nullif(f[3], '')::bigint AS transaction_id, f[4]::bigint AS amount FROM rows;
    CREATE VIEW audit.unlink_answers AS
    WITH rows AS MATERIALIZED (
        SELECT s.round, s.client, s.n, s.key, string_to_array(a.answer, '|') AS f
        FROM audit.sent s JOIN audit.answers a USING (round, client, n)
        WHERE s.kind = 'unlink' AND a.state = '00000')
    SELECT round, client, n, key::bigint AS bank_transaction_id, f[2] AS result,
           nullif(f[3], '')::bigint AS transaction_id, f[4]::bigint AS amount FROM rows;
    CREATE VIEW audit.expiry_answers AS
    WITH rows AS MATERIALIZED (
        SELECT s.round, s.client, s.n, string_to_array(a.answer, '|') AS f
        FROM audit.sent s JOIN audit.answers a USING (round, client, n)
        WHERE s.kind = 'expire' AND a.state = '00000')
    SELECT round, client, n, f[1] AS xact, f[2]::bigint AS lots, f[3]::bigint AS amount FROM rows});

# Each query answers what is wrong.
my %wrong = (
    'an answered movement is not in the ledger as it was answered' => q{
        SELECT a.*, t.id FROM audit.money_answers a
        LEFT JOIN c360.wallet_transactions t
            ON t.idempotency_key = a.key AND t.id = a.transaction_id AND t.type = a.type
           AND t.amount = a.amount AND t.real_change = a.real_change AND t.virtual_change = a.virtual_change
           AND t.balance_after = a.balance AND t.virtual_balance_after = a.virtual_balance
        WHERE t.id IS NULL},
    'the lots of an answered movement are not as answered' => q{
        SELECT a.*, u.lots AS used FROM audit.money_answers a
        JOIN c360.wallet_transactions t ON t.id = a.transaction_id
        LEFT JOIN (SELECT transaction_id, string_agg(format('%s:%s', credit_id, amount), ',' ORDER BY position) AS lots
                   FROM c360.virtual_credit_uses GROUP BY transaction_id) u ON u.transaction_id = t.id
        WHERE a.lots IS DISTINCT FROM
              CASE t.type WHEN 'VIRTUAL_CREDIT' THEN format('%s:%s', t.credit_id, t.amount) ELSE u.lots END},
    'a key is in the ledger more than once' => q{
        SELECT idempotency_key, count(*) FROM c360.wallet_transactions
        WHERE idempotency_key IS NOT NULL GROUP BY 1 HAVING count(*) > 1},
    'the key of a refused call is in the ledger' => q{
        SELECT s.*, a.state FROM audit.sent s JOIN audit.answers a USING (round, client, n)
        JOIN c360.wallet_transactions t ON t.idempotency_key = s.key
        WHERE a.state <> '00000'},
    'a key that nobody sent is in the ledger' => q{
        SELECT t.id, t.idempotency_key FROM c360.wallet_transactions t
        WHERE t.idempotency_key IS NOT NULL
          AND NOT EXISTS (SELECT FROM audit.sent s WHERE s.key = t.idempotency_key AND s.kind NOT IN ('ingest', 'unlink', 'expire'))},
    'a movement has neither key nor transfer nor expired lot' => q{
        SELECT t.id, t.type FROM c360.wallet_transactions t LEFT JOIN c360.bank_links l ON l.id = t.bank_link_id
        WHERE t.idempotency_key IS NULL
          AND NOT (t.type = 'DEPOSIT' AND l.id IS NOT NULL
                   OR t.type = 'ADJUSTMENT' AND t.source = 'BANK_UNLINK' AND l.unlinked_at IS NOT NULL OR t.type = 'VIRTUAL_EXPIRE' AND t.credit_id IS NOT NULL)},
    'an answered transfer is not in the books as it was answered' => q{
        SELECT a.* FROM audit.transfer_answers a
        LEFT JOIN c360.balance_history h ON h.sepay_id = a.sepay_id AND h.id = a.bank_transaction_id
        LEFT JOIN c360.bank_links l ON l.bank_transaction_id = h.id
        LEFT JOIN c360.wallet_transactions t
            ON t.bank_link_id = l.id AND t.type = 'DEPOSIT' AND t.id = a.transaction_id AND t.amount = a.amount
        WHERE t.id IS NULL AND NOT (a.result = 'duplicate' AND a.transaction_id IS NULL AND l.unlinked_at IS NOT NULL)
           OR a.result NOT IN ('deposited', 'duplicate')},
    'an answered unlink is not in the books as it was answered' => q{
        SELECT a.* FROM audit.unlink_answers a
        LEFT JOIN c360.bank_links l ON l.bank_transaction_id = a.bank_transaction_id AND l.unlinked_at IS NOT NULL
        LEFT JOIN c360.wallet_transactions t
            ON t.bank_link_id = l.id AND t.source = 'BANK_UNLINK' AND t.id = a.transaction_id AND t.real_change = - a.amount
        WHERE t.id IS NULL OR a.result <> 'unlinked'},
    'a link has ended without its row of the ledger, or the other way round' => q{
        SELECT l.id FROM c360.bank_links l JOIN c360.balance_history h ON h.id = l.bank_transaction_id
        LEFT JOIN c360.wallet_transactions t ON t.bank_link_id = l.id AND t.source = 'BANK_UNLINK'
        WHERE (l.unlinked_at IS NOT NULL) <> (t.id IS NOT NULL) OR (t.id IS NOT NULL) <> (h.result = 'unlinked')},
    'c360_reconcile_bank() finds something' => q{SELECT * FROM c360_reconcile_bank('2026-01-01', '2026-01-03')},
    'a transfer is stored, linked or deposited twice, or by halves' => q{
        SELECT h.sepay_id, count(*) FROM c360.balance_history h
        LEFT JOIN c360.bank_links l ON l.bank_transaction_id = h.id
        LEFT JOIN c360.wallet_transactions t
            ON t.bank_link_id = l.id AND t.type = 'DEPOSIT' AND t.amount = h.transfer_amount
        GROUP BY h.sepay_id
        HAVING count(*) <> 1 OR count(l.id) <> 1 OR count(t.id) <> 1 OR min(h.result) NOT IN ('deposited', 'unlinked')},
    'a transfer that nobody sent is stored' => q{
        SELECT h.sepay_id FROM c360.balance_history h
        WHERE NOT EXISTS (SELECT FROM audit.sent s WHERE s.key = h.sepay_id::text AND s.kind = 'ingest')},
    'an answered expiry is not in the books as it was answered' => q{
        SELECT a.*, e.* FROM audit.expiry_answers a
        LEFT JOIN (SELECT c.xact::text AS xact, count(*) AS lots, sum(t.amount) AS amount
                   FROM c360.customer_activities c JOIN c360.wallet_transactions t ON t.activity_id = c.id
                   WHERE t.type = 'VIRTUAL_EXPIRE' GROUP BY c.xact) e ON e.xact = a.xact
        WHERE (coalesce(e.lots, 0), coalesce(e.amount, 0)) <> (a.lots, a.amount)},
    'a key or transfer was answered as new twice' => q{
        SELECT key, count(*) FROM (SELECT key FROM audit.money_answers WHERE NOT replayed
                                   UNION ALL SELECT sepay_id::text FROM audit.transfer_answers WHERE result = 'deposited') k
        GROUP BY key HAVING count(*) > 1},
    'a movement has no activity row, or one of another transaction' => q{
        SELECT t.id FROM c360.wallet_transactions t
        LEFT JOIN c360.customer_activities c ON c.id = t.activity_id AND c.customer_id = t.customer_id
        WHERE c.id IS NULL OR c.created_at <> t.created_at},
    'an activity row of money has no movement' => q{
        SELECT c.id, c.event FROM c360.customer_activities c
        LEFT JOIN c360.wallet_transactions t ON t.activity_id = c.id
        WHERE c.topic = 'wallets' AND t.id IS NULL},
    'a call failed for a reason of its own' => q{
        SELECT s.*, a.state FROM audit.sent s JOIN audit.answers a USING (round, client, n)
        WHERE NOT (a.state = '00000' OR s.kind = 'withdraw' AND a.state IN ('PT402', 'PT404')
                   OR s.kind IN ('refund', 'unlink') AND a.state = 'PT409' OR s.kind = 'issue' AND a.state = '22023')},
    'c360_verify_wallets() finds something' => 'SELECT * FROM c360_verify_wallets()');

# First of all every index must lead to every row, as what follows uses them.
sub books_are_right
{
    my $name = shift;
    my $sql = q{
        SET max_parallel_workers_per_gather = 0;
        ANALYZE c360.wallet_transactions, c360.virtual_credit_uses, c360.customer_activities, c360.balance_history,
                c360.bank_links, audit.sent, audit.answers;
        SELECT 'no index checked' FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_class x ON x.oid = i.indexrelid AND x.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
        WHERE c.relnamespace = 'c360'::regnamespace HAVING count(bt_index_check(i.indexrelid, true)) = 0;
    };
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    foreach my $problem (sort keys %wrong)
    {
        $sql .= "SELECT '$problem: ' || count(*) || ' times, as in ' || min(w::text) FROM ($wrong{$problem}) w HAVING count(*) > 0;\n";
    }
    return is($node->safe_psql('shop', $sql), '', $name);
}

# Sends the calls of a round again whose answers were lost; answers how many
# there were and how many of them had happened.
my ($lost, $lost_done) = (0, 0);

sub repeat_lost_calls
{
    my $round = shift;
    my @wrong;
    my @lost = rows_of($node, 'shop', qq{
        SELECT s.client, s.n, s.kind, s.key, s.call,
               CASE s.kind WHEN 'ingest' THEN (SELECT count(*) FROM c360.balance_history WHERE sepay_id::text = s.key)
                    WHEN 'unlink' THEN (SELECT count(*) FROM c360.wallet_transactions
                                        WHERE source = 'BANK_UNLINK' AND reference_id = s.key)
                    ELSE (SELECT count(*) FROM c360.wallet_transactions WHERE idempotency_key = s.key) END,
               EXISTS (SELECT FROM audit.sent e JOIN audit.answers f USING (round, client, n)
                       WHERE e.key = s.key AND f.state = '00000')
        FROM audit.sent s LEFT JOIN audit.answers a USING (round, client, n)
        WHERE s.round = $round AND a.n IS NULL AND s.kind <> 'expire' ORDER BY s.client});
    my $session = new_session();

    foreach my $row (@lost)
    {
        my ($client, $n, $kind, $key, $statement, $done, $answered) = $row =~ /^(\d+)\|(\d+)\|(\w+)\|([^|]*)\|(.*)\|(\d+)\|([tf])$/
            or die "cannot read $row";
        my $how = "$kind $key, in the books $done times";
        my $counts = $kind eq 'ingest' ? "c360.balance_history WHERE sepay_id = $key"
            : $kind eq 'unlink' ? "c360.wallet_transactions WHERE source = 'BANK_UNLINK' AND reference_id = '$key'"
            : "c360.wallet_transactions WHERE idempotency_key = '$key'";

        $lost++ if $answered eq 'f';
        $lost_done += $done if $answered eq 'f';
        push @wrong, "$how: more than once" if $done > 1;
        push @wrong, "$how, though it was answered" if $answered eq 't' && $done != 1;
        my ($state, $answer) = call($session, $statement);
        my @again = call($session, $statement);
        my $repeated = defined $answer
            && ($kind eq 'unlink' ? 0 : $kind eq 'ingest' ? $answer =~ /\|duplicate\|/ : (split /\|/, $answer)[7] eq 't');
        if ($state eq '00000')
        {
            my ($count) = (call($session, "SELECT count(*) FROM $counts"))[1];

            push @wrong, "$how: repetition is " . ($repeated ? 'a repeated answer' : 'new') if $repeated != ($done > 0);
            push @wrong, "$how: $count rows after its repetition" if $count != 1;
            push @wrong, "$how: unlinked again" if $kind eq 'unlink' && $again[0] ne 'PT409';
            push @wrong, "$how: the third call answers $again[1], the second $answer"
                unless $kind eq 'unlink' || defined $again[1] && (split /\|/, $again[1])[0] eq (split /\|/, $answer)[0]
                && $again[1] =~ ($kind eq 'ingest' ? qr/\|duplicate\|/ : qr/\|t\|/);
        }
        else
        {
            push @wrong, "$how: repetition fails with $state" if $done > 0 && $kind ne 'unlink' || $state !~ /^(PT402|PT404|PT409|22023)$/;
        }
        $node->safe_psql('shop', qq{INSERT INTO audit.answers VALUES ($round, $client, $n, '$state', }
                . (defined $answer ? "'$answer'" : 'NULL') . ')')
            unless $kind eq 'ingest' && $repeated && $state ne '00000';
    }
    close_psql($session);
    return is(join("\n", @wrong), '', "kill $round: calls whose answer was lost happened at most once");
}

for my $round (1 .. $kills)
{
    my @withdrawals = rows_of($node, 'shop',
        q{SELECT id FROM c360.wallet_transactions WHERE type = 'WITHDRAW' ORDER BY id DESC LIMIT 50});
    my @pids;

    foreach my $client (1 .. $clients)
    {
        my $pid = fork // die "cannot fork: $!";

        if ($pid == 0)
        {
            run_client($round, $client, @withdrawals);
            POSIX::_exit(0);    # no END block: the cluster is the parent's
        }
        push @pids, $pid;
    }
    my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;
    until (all_answered($round))
    {
        die 'a client gets no answer' if time() > $give_up;
        usleep(20_000);
    }
    usleep(100_000 + rand(1_000_000));
    # Some clients go first: the server finishes their calls, nobody hears of it.
    kill KILL => slurp_file("$dir/psql.$round.$_") foreach (shuffle 1 .. $clients)[ 0 .. 2 ];
    usleep(rand(10_000));
    my $killed = kill_server($node);
    foreach my $pid (@pids)
    {
        waitpid $pid, 0;
        die "a client failed: $?" if $? != 0;
    }
    $node->start;
    foreach my $client (1 .. $clients)
    {
        $node->safe_psql('shop', "\\copy audit.sent FROM '$dir/sent.$round.$client'\n"
                . "\\copy audit.answers FROM '$dir/answers.$round.$client'");
    }
    cmp_ok($killed, '>', $clients, "kill $round: postmaster and all its children");
    books_are_right("kill $round: the books hold what was answered");
    repeat_lost_calls($round);
}

books_are_right('after all repetitions the books hold what was answered');
my @kinds = rows_of($node, 'shop', q{
    SELECT s.kind, count(*) || ' sent, ' || count(*) FILTER (WHERE a.state = '00000') || ' done'
    FROM audit.sent s LEFT JOIN audit.answers a USING (round, client, n) GROUP BY 1 ORDER BY 1});
diag($_) foreach @kinds;
diag("$lost calls lost their answer; $lost_done of them had happened");
is(join(' ', map { /^(\w+)/ } grep { !/ 0 done/ } @kinds), 'deposit expire ingest issue refund unlink withdraw',
    'calls of every kind were done');
cmp_ok($lost_done, '>', 0, 'answers were lost, of calls that happened');
cmp_ok($lost - $lost_done, '>', 0, 'and of calls that did not');

done_testing();
