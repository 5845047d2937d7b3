# The job runner: lots expire at their moment, by c360:expire_credits; failures
# are recorded, wait and end; runs that died leave a trace; never both the
# worker and somebody else; nothing of it without rows or settings that say so.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('jobs');

$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'c360'
c360.databases = 'shop'
restart_after_crash = on
log_min_messages = log
});
$node->start;
install($node, 'shop');
# what is said of runs below is said of one job
$node->safe_psql('shop', q{SELECT c360_set_job(job, enabled => false) FROM c360.jobs WHERE job <> 'expire_credits'});

my $runner_pid = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'c360 job runner' AND datname = 'shop'};
my $next_phone = 0;

sub poll
{
    my ($sql, $name, $wanted) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok($node->poll_query_until('shop', $sql, $wanted // 't'), $name)
        || diag($node->safe_psql('shop', 'TABLE c360.job_runs; SELECT * FROM c360_job_status'));
}

# A lot of 7 that lives so long, of a customer of its own; answers its id.
# Its life may have passed before a slow server comes to issue it: again, then.
sub lot
{
    my ($life) = @_;
    my $phone = sprintf('09270%05d', ++$next_phone);
    my ($failed, $lot, $error);

    foreach (1 .. $PostgreSQL::Test::Utils::timeout_default)
    {
        ($failed, $lot, $error) = $node->psql('shop', qq{SELECT lots -> 0 ->> 'credit_id' FROM c360_issue_credit('$phone', 7, 'MANUAL', 'x$next_phone',
            clock_timestamp() + interval '$life')}, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
        last unless $failed && $error =~ /ERROR:  22023: .*expires_at/s;
    }
    die $error if $failed;
    return $lot;
}

sub expired
{
    my ($lot, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return poll("SELECT status = 'EXPIRED' FROM c360.virtual_credits WHERE id = $lot", $name);
}

sub past
{
    my ($moment) = @_;

    $node->poll_query_until('shop', "SELECT clock_timestamp() > timestamptz '$moment'") or die 'the clock stands still';
    return;
}

# A lot whose end has passed, unless somebody expires it.
sub overdue_lot
{
    my $lot = lot('100 milliseconds');

    past(query("SELECT expires_at FROM c360.virtual_credits WHERE id = $lot"));
    return $lot;
}

sub query
{
    my ($sql) = @_;

    return $node->safe_psql('shop', $sql);
}

# The runner sleeps, woken by a statement or by itself: what was to do is done.
sub asleep
{
    my ($statement) = @_;
    my $moment = query('SELECT clock_timestamp()');
    my $since = '';

    if (defined $statement)
    {
        query($statement);
        $since = "AND state_change > '$moment'";
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return poll(qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 job runner'
        AND state = 'idle' AND query = 'waiting for the next job' $since}, 'the runner sleeps');
}

# Lots expire at their moment ----------------------------------------------

asleep();
my $later = lot('1 hour');
my $lot = lot('1 second');
expired($lot, 'a lot expires by itself');
is(query("SELECT actor || ' ' || session_user_name || ' ' || amount FROM c360.wallet_transactions WHERE credit_id = $lot AND type = 'VIRTUAL_EXPIRE'"),
    'c360:expire_credits postgres 7', 'the books say whose doing it was');
is(query("SELECT DISTINCT actor FROM c360.customer_activities WHERE event = 'wallet.virtual_expired'"), 'c360:expire_credits',
    'and the timeline');
is(query("SELECT t.created_at >= expires_at FROM c360.wallet_transactions t JOIN c360.virtual_credits v ON v.id = t.credit_id
        WHERE t.credit_id = $lot AND type = 'VIRTUAL_EXPIRE'"), 't', 'not before its time');
is(query("SELECT status FROM c360.virtual_credits WHERE id = $later"), 'ACTIVE', 'another lot stays');
poll(q{SELECT error IS NULL AND rows = 1 AND last_end >= last_start AND failures = 0 FROM c360_job_status WHERE job = 'expire_credits'}, 'the run has its row');
is(query('SELECT DISTINCT started_by FROM c360.job_runs'), 'worker', 'it was the worker');
is(query("SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND objid <> 0"), '0', 'no lock of a job is left (0 is the publisher)');

# It is woken for them: without that each would wait until the runner looks
# by itself, which it does ten seconds after it looked last.
my @lots;
foreach (1 .. 4)
{
    push @lots, lot('200 milliseconds');
    expired($lots[-1], 'a lot after another');
}
shift @lots;
is(query(q{SELECT min(t.created_at - v.expires_at) < interval '5 seconds' FROM c360.wallet_transactions t
        JOIN c360.virtual_credits v ON v.id = t.credit_id WHERE t.type = 'VIRTUAL_EXPIRE' AND v.id IN (} . join(', ', @lots) . ')'),
    't', 'the runner does not wait for its next look');

# Sooner lots that come while it sleeps for a later one.
lot('2 seconds');
lot('1 second');
poll(q{SELECT count(*) = 0 FROM c360.virtual_credits WHERE status = 'ACTIVE' AND expires_at < clock_timestamp()
       AND (SELECT count(*) FROM c360.virtual_credits WHERE status = 'EXPIRED') = 7}, 'sooner ones wake it');

# One that a transaction brings that commits after the lot's end.
my $session = $node->background_psql('shop');
$session->query_safe('BEGIN');
$session->query_safe(q{SELECT c360_issue_credit('0927099999', 7, 'MANUAL', 'late', clock_timestamp() + interval '100 milliseconds')});
past($session->query_safe(q{SELECT expires_at FROM c360.virtual_credits WHERE source_id = 'late'}));
$session->query_safe('COMMIT');
expired(q{(SELECT id FROM c360.virtual_credits WHERE source_id = 'late')}, 'a lot that was overdue when it was committed');

# A wallet that somebody holds is passed over, and tried again.
$session->query_safe('BEGIN');
$session->query_safe(q{SELECT c360_deposit('0927077777', 1)});
$session->query_safe('COMMIT');
query(q{SELECT c360_issue_credit('0927077777', 7, 'MANUAL', 'held', clock_timestamp() + interval '300 milliseconds')});
$session->query_safe('BEGIN');
$session->query_safe(q{SELECT FROM c360.customer_wallets w JOIN c360.customers c ON c.id = w.customer_id WHERE phone = '0927077777' FOR UPDATE OF w});
my $runs = query('SELECT count(*) FROM c360.job_runs');
poll("SELECT count(*) >= $runs + 2 FROM c360.job_runs", 'a lot in a wallet that is held is tried again');
$lot = lot('100 milliseconds');
expired($lot, 'other lots expire meanwhile');
is(query(q{SELECT status FROM c360.virtual_credits WHERE source_id = 'held'}), 'ACTIVE', 'the held one waits');
$session->query_safe('COMMIT');
expired(q{(SELECT id FROM c360.virtual_credits WHERE source_id = 'held')}, 'and expires when it is free');

# Failures -----------------------------------------------------------------

# An error that ends expiry as a whole, not one wallet's alone.
query(q{
    CREATE FUNCTION c360.no_room() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'no room for this';
    END $$;
    CREATE TRIGGER no_room BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW
        WHEN (NEW.type = 'VIRTUAL_EXPIRE') EXECUTE FUNCTION c360.no_room()});
$lot = lot('200 milliseconds');
poll(q{SELECT failures = 1 AND error = 'no room for this' AND next_run = last_end + interval '1 minute' FROM c360_job_status WHERE job = 'expire_credits'},
    'a failing job is recorded and waits');
is(query(q{SELECT sqlstate FROM c360.job_runs ORDER BY id DESC LIMIT 1}), '53100', 'with its SQLSTATE');
asleep();
# the time to wait passes
my $pass = q{UPDATE c360.job_runs SET started_at = started_at - interval '1 hour', ended_at = ended_at - interval '1 hour';
             UPDATE c360.jobs SET since = '2020-01-01'};
query($pass);
poll(q{SELECT failures = 2 AND next_run = last_end + interval '2 minutes' FROM c360_job_status WHERE job = 'expire_credits'}, 'it fails again and waits longer');
is(query("SELECT status FROM c360.virtual_credits WHERE id = $lot"), 'ACTIVE', 'nothing of it stays');
query('DROP TRIGGER no_room ON c360.wallet_transactions');
query($pass);
expired($lot, 'when the cause is gone it goes on');
poll('SELECT failures = 0 AND error IS NULL FROM c360_job_status WHERE job = \'expire_credits\'', 'and counts no failures any more');

# A constraint at COMMIT fails the run as well.
query(q{
    CREATE FUNCTION c360.no_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'not at commit: %', current_user;
    END $$;
    CREATE CONSTRAINT TRIGGER no_commit AFTER INSERT ON c360.wallet_transactions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (NEW.type = 'VIRTUAL_EXPIRE') EXECUTE FUNCTION c360.no_commit()});
$lot = lot('200 milliseconds');
poll(q{SELECT failures = 1 AND error LIKE 'not at commit: %' AND last_end IS NOT NULL FROM c360_job_status WHERE job = 'expire_credits'},
    'a failure at commit is recorded, too');
is(query("SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND objid <> 0"), '0', 'and leaves no lock');
query('DROP TRIGGER no_commit ON c360.wallet_transactions');
query($pass);
expired($lot, 'it goes on after that');

# What dies -----------------------------------------------------------------

# A run that stops in its first batch, at a lock of ours.
query(q{
    CREATE FUNCTION c360.stop() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_catalog.pg_advisory_xact_lock_shared(7);
        RETURN NEW;
    END $$;
    CREATE TRIGGER stop BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW
        WHEN (NEW.type = 'VIRTUAL_EXPIRE') EXECUTE FUNCTION c360.stop()});

sub stopped_run
{
    $session->query_safe('SELECT pg_advisory_lock(7)');
    my $lot = lot('200 milliseconds');
    poll(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 job runner' AND wait_event = 'advisory'},
        'a run is under way');
    is(query('SELECT count(*) FROM c360.job_runs WHERE ended_at IS NULL'), '1', 'its row is there');
    is(query(q{SELECT query FROM pg_stat_activity WHERE backend_type = 'c360 job runner'}), 'job expire_credits',
        'pg_stat_activity tells the job');
    return $lot;
}

sub is_interrupted
{
    my ($lot, $name) = @_;

    poll(q{SELECT count(*) = 1 FROM c360.job_runs WHERE error = 'interrupted' AND ended_at IS NOT NULL}, "$name: the run is ended as interrupted");
    query($pass);
    expired($lot, "$name: and done again");
    query('DELETE FROM c360.job_runs');
}

$lot = stopped_run();
is(error_of($node, 'shop', q{SELECT c360_run_job('expire_credits')})->{detail}, 'job_running: expire_credits',
    'nobody else can run it now');
my $pid = query($runner_pid);
query("SELECT pg_terminate_backend($pid)");
poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", 'SIGTERM ends it in the middle of a batch');
poll('SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = \'c360 job runner\'', 'it is started again');
$session->query_safe('SELECT pg_advisory_unlock(7)');
is_interrupted($lot, 'terminated');

$lot = stopped_run();
$pid = query($runner_pid);
query("SELECT pg_cancel_backend($pid)");
poll(q{SELECT count(*) = 1 FROM c360.job_runs WHERE error = 'canceling statement due to user request'}, 'a cancelled run is recorded');
is(query($runner_pid), $pid, 'and the runner goes on');
$session->query_safe('SELECT pg_advisory_unlock(7)');
query($pass);
expired($lot, 'and does it again');
query('DELETE FROM c360.job_runs');

$lot = stopped_run();
$pid = query($runner_pid);
kill 'KILL', $pid;
eval { $session->quit };
wait_for_server($node);
poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 job runner' AND pid <> $pid", 'after a crash it is started again');
is_interrupted($lot, 'crashed');
$session = $node->background_psql('shop');

$lot = stopped_run();
$node->stop('immediate');
eval { $session->quit };
$node->start;
is_interrupted($lot, 'server killed');
$session = $node->background_psql('shop');

# A fast shutdown in the middle of a batch ends; whether the session that
# stopped the batch or the runner goes first, nobody knows.
$lot = stopped_run();
$node->stop('fast');
eval { $session->quit };
$node->start;
poll('SELECT count(*) = 0 FROM c360.job_runs WHERE ended_at IS NULL', 'server stopped: no run stays open');
query($pass);
expired($lot, 'server stopped: and it is done');
query('DELETE FROM c360.job_runs');
$session = $node->background_psql('shop');
query('DROP TRIGGER stop ON c360.wallet_transactions');

# Missed while the server was down: due at once, and once.
asleep();
query(q{SELECT c360_set_job('expire_credits', '0 0 1 1 *')});
query(q{DELETE FROM c360.job_runs; UPDATE c360.jobs SET since = '2020-06-01'});
poll('SELECT count(*) = 1 FROM c360.job_runs WHERE error IS NULL AND ended_at IS NOT NULL', 'a run that was missed comes at once');
asleep();
is(query('SELECT count(*) FROM c360.job_runs'), '1', 'and only once');

# A job that somebody else runs, for as long as he likes, keeps no other waiting.
query('SELECT c360_set_job(job, enabled => true) FROM c360.jobs');
for my $held (split /\n/, query('SELECT job FROM c360.jobs ORDER BY job'))
{
    $session->query_safe("BEGIN; SELECT c360_run_job('$held')");
    query(q{DELETE FROM c360.job_runs; UPDATE c360.jobs SET since = '2020-06-01'});
    poll(q{SELECT string_agg(DISTINCT job, ' ' ORDER BY job) = (SELECT string_agg(job, ' ' ORDER BY job) FROM c360.jobs WHERE job <> '} . $held . q{')
           FROM c360.job_runs WHERE ended_at IS NOT NULL}, "while $held is run by hand the others run");
    $session->query_safe('ROLLBACK');
    poll("SELECT count(*) = 1 FROM c360.job_runs WHERE job = '$held' AND ended_at IS NOT NULL", 'and it does, too, when that has ended');
}
query(q{SELECT c360_set_job(job, enabled => false) FROM c360.jobs WHERE job <> 'expire_credits'});
asleep();
query('DELETE FROM c360.job_runs');

# Who runs the jobs ----------------------------------------------------------

foreach my $who (qw(pg_cron none))
{
    query("SELECT c360_set('jobs_by', '$who')");
    query(q{UPDATE c360.jobs SET since = '2020-06-01'; DELETE FROM c360.job_runs});
    $lot = overdue_lot();
    asleep("SELECT c360_set('jobs_by', '$who')");
    is(query("SELECT status || (SELECT count(*) FROM c360.job_runs) FROM c360.virtual_credits WHERE id = $lot"), 'ACTIVE0',
        "jobs_by = $who: the worker leaves the lots and its schedule");
}
query(q{SELECT c360_set('jobs_by', 'pg_cron')});
query(q{CALL c360_perform_job('expire_credits')});
is(query("SELECT status FROM c360.virtual_credits WHERE id = $lot"), 'EXPIRED', 'another scheduler may');
is(query("SELECT actor FROM c360.wallet_transactions WHERE credit_id = $lot AND type = 'VIRTUAL_EXPIRE'"), 'postgres', 'as himself');
query(q{SELECT c360_set('jobs_by', 'none')});
$lot = overdue_lot();
query(q{SELECT c360_set('jobs_by', NULL)});
expired($lot, 'jobs_by = worker: it takes them up at once');

# A job that is not enabled does not run, lots or not.
query(q{SELECT c360_set_job('expire_credits', enabled => false)});
query('DELETE FROM c360.job_runs');
$lot = overdue_lot();
asleep(q{SELECT c360_set('jobs_by', 'worker')});
is(query("SELECT status || (SELECT count(*) FROM c360.job_runs) FROM c360.virtual_credits WHERE id = $lot"), 'ACTIVE0',
    'a job that is not enabled does not run');
query(q{SELECT c360_set_job('expire_credits', enabled => true)});
expired($lot, 'enabled again it does');

# An owner of the tables who has no privilege on the jobs, nor on anything.
new_database($node, 'owned', q{
    CREATE EXTENSION c360; CREATE ROLE shop_owner; GRANT CREATE ON DATABASE owned TO shop_owner; GRANT CREATE ON SCHEMA public TO shop_owner;
    GRANT EXECUTE ON FUNCTION c360_install(), c360_refuse_change(), c360_settings_changed() TO shop_owner;
    SET ROLE shop_owner; SELECT c360_install()});
$node->safe_psql('owned', q{SET ROLE shop_owner;
    CREATE TABLE c360.seen (by_whom text);
    CREATE FUNCTION c360.see() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO c360.seen VALUES (current_user);
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER see AFTER INSERT ON c360.wallet_transactions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (NEW.type = 'VIRTUAL_EXPIRE') EXECUTE FUNCTION c360.see();
    CREATE CONSTRAINT TRIGGER see_run AFTER INSERT OR UPDATE ON c360.job_runs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        EXECUTE FUNCTION c360.see();
    CREATE FUNCTION c360.become() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        BEGIN
            SET ROLE postgres;
            INSERT INTO c360.seen VALUES ('became ' || current_user);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        RETURN NULL;
    END $$;
    CREATE TRIGGER become AFTER UPDATE ON c360.job_runs FOR EACH ROW EXECUTE FUNCTION c360.become()});
$node->append_conf('postgresql.conf', "c360.databases = 'shop, owned'\n");
$node->reload;
$node->safe_psql('owned', q{SELECT c360_issue_credit('0927000001', 7, 'MANUAL', 'x', clock_timestamp() + interval '100 milliseconds')});
ok($node->poll_query_until('owned', q{SELECT count(*) = 1 FROM c360.virtual_credits WHERE status = 'EXPIRED'}),
    'jobs run for an owner without privileges');
ok($node->poll_query_until('owned', q{SELECT count(*) >= 1 FROM c360.job_runs WHERE ended_at IS NOT NULL AND error IS NULL}), 'to their end');
is($node->safe_psql('owned', 'SELECT DISTINCT by_whom FROM c360.seen'), 'shop_owner',
    'what he hung on his tables runs as himself, at commit, too');

verify_is_empty($node, 'shop', 'the books are right');
verify_is_empty($node, 'owned', 'the books of the other database are right');

# It goes with what it works for ---------------------------------------------

$session->quit;
$node->safe_psql('owned', 'DROP EXTENSION c360 CASCADE');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'c360 job runner' AND datname = 'owned'}),
    'DROP EXTENSION ends it') ;
$node->safe_psql('postgres', 'DROP DATABASE shop WITH (FORCE)');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'shop'}), '0', 'and DROP DATABASE WITH (FORCE) passes');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'no PANIC');

done_testing();
