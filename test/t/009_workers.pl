# Workers come and go with what they serve: server, databases, extension,
# tables. They survive whatever kills them, and stand in nobody's way.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Events;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @kinds = ('c360 publisher', 'c360 job runner');
my $node = new_live_node('workers', 'shop');

# Pids of the workers of a database, or undef as long as one is missing.
sub workers
{
    my ($db, @other) = @_;

    return map { wait_for_worker($node, $db, $_, shift @other) } @kinds;
}

sub no_workers
{
    my ($db, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(wait_for_no_worker($node, $db, $kinds[0]) && wait_for_no_worker($node, $db, $kinds[1]), $name);
}

# It announces what is committed: the workers are at work, not just there. A
# history begins with the first tick.
sub at_work
{
    my ($db, $name) = @_;
    my $listener = listen_to($node, $db, 'wallets');

    wait_announced($node, $db);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $node->safe_psql($db, deposit('0912345678', "at work: $name"));
    ok(heard_until($listener, "at work: $name"), $name);
    $listener->{session}->quit;
    return;
}

sub set_databases
{
    my ($databases) = @_;

    $node->append_conf('postgresql.conf', "c360.databases = '$databases'");
    $node->reload;
    $node->poll_query_until('postgres', "SELECT current_setting('c360.databases') = '$databases'") or die;
    return;
}

# Waits until the launcher has looked at everything once more: it does so
# about once a second, and it alone connects to no database.
sub launcher_went_round
{
    my ($since) = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

    $node->poll_query_until('postgres', qq{
        SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 launcher' AND state_change > '$since'})
        or die 'the launcher does not go round';
    return;
}

# The log from here on.
my $log_end = 0;

sub log_goes_on
{
    $log_end = -s $node->logfile;
    return;
}

sub log_since
{
    return substr slurp_file($node->logfile), $log_end;
}

#
# Extension and tables
#

$node->start;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 launcher'}),
    'the launcher runs from the start');
launcher_went_round();
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = ANY ('{c360 publisher,c360 job runner}')}),
    '0', 'and no worker of a database that is not there');
$node->safe_psql('postgres', 'CREATE DATABASE shop TEMPLATE template0');
launcher_went_round();
no_workers('shop', 'none stays where there is no extension');
$node->safe_psql('shop', 'CREATE EXTENSION c360');
launcher_went_round();
no_workers('shop', 'nor where there are no tables');
error_of($node, 'shop', 'BEGIN; SELECT c360_install(); ROLLBACK');
launcher_went_round();
no_workers('shop', 'nor after an installation that was rolled back');
$node->safe_psql('shop', 'SELECT c360_install()');
my @pids = workers('shop');
at_work('shop', 'c360_install() brings the workers');
is($node->safe_psql('postgres', q{
    SELECT backend_type, coalesce(datname, '') FROM pg_stat_activity WHERE backend_type LIKE 'c360%' ORDER BY 1}),
    "c360 job runner|shop\nc360 launcher|\nc360 publisher|shop",
    'pg_stat_activity says who they are');
ok($node->poll_query_until('postgres', q{
    SELECT bool_and(state = 'idle' AND query <> '' AND xact_start IS NULL AND wait_event_type IS NOT NULL) FROM pg_stat_activity
    WHERE backend_type LIKE 'c360%'}), 'and what they wait for, in no transaction');

# Rolled back, nothing changes.
$node->safe_psql('shop', $_) foreach 'BEGIN; DROP EXTENSION c360 CASCADE; ROLLBACK', 'BEGIN; DROP SCHEMA c360 CASCADE; ROLLBACK',
    'BEGIN; DROP EXTENSION c360 CASCADE; CREATE EXTENSION c360; SELECT c360_install(); ROLLBACK';
at_work('shop', 'DROP EXTENSION that is rolled back changes nothing');
is(join(' ', workers('shop')), "@pids", 'the workers are those of before');

# In an open transaction it waits for nobody longer than their transaction.
{
    my $session = $node->background_psql('shop');

    $session->query_safe('SET client_min_messages = warning');
    $session->query_safe('BEGIN');
    $session->query_safe('DROP EXTENSION c360 CASCADE');
    launcher_went_round();
    $session->query_safe('ROLLBACK');
    $session->quit;
    at_work('shop', 'nor one that takes its time');
}

$node->safe_psql('shop', 'DROP EXTENSION c360 CASCADE');
no_workers('shop', 'DROP EXTENSION ends the workers');
$node->safe_psql('shop', 'CREATE EXTENSION c360; SELECT c360_install()');
@pids = workers('shop', @pids);
at_work('shop', 'CREATE EXTENSION and c360_install() bring them back');
# all at once: they go on or come back
$node->safe_psql('shop', 'BEGIN; DROP EXTENSION c360 CASCADE; CREATE EXTENSION c360; SELECT c360_install(); COMMIT');
at_work('shop', 'another extension under them');
$node->safe_psql('shop', 'DROP SCHEMA c360 CASCADE');
no_workers('shop', 'without tables they end');
$node->safe_psql('shop', 'SELECT c360_install()');
at_work('shop', 'other tables bring them back');
# the same in one go: ticks of tables that are gone are not gone on from
my $old_cursor = cursor_now($node, 'shop');
$node->safe_psql('shop', 'BEGIN; DROP SCHEMA c360 CASCADE; SELECT c360_install(); COMMIT');
at_work('shop', 'other tables under them');
is(error_in($node, 'shop', "SELECT * FROM c360_events_since('$old_cursor')"), 'PT410 cursor_expired',
    'whose events are not those of the old ones');
# while they look, as slow as can be: that is no failure of theirs
{
    my $session = $node->background_psql('shop');
    my $offset = -s $node->logfile;

    $session->query_safe('SET client_min_messages = warning');
    $session->query_safe('BEGIN');
    $session->query_safe('DROP SCHEMA c360 CASCADE');
    ok($node->poll_query_until('postgres', q{
        SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 publisher' AND wait_event_type = 'Lock'}), 'the publisher looks at them');
    $session->query_safe('SELECT c360_install()');
    $session->query_safe('COMMIT');
    $session->quit;
    at_work('shop', 'other tables while they look');
    is(join("\n", slurp_file($node->logfile, $offset) =~ /\] (ERROR:.*)/g), '', 'no error is told of it');
    is($node->safe_psql('shop', 'SELECT last_error FROM c360_stat'), '', 'nor shown');
}
# in another schema
$node->safe_psql('shop', 'DROP EXTENSION c360 CASCADE; CREATE SCHEMA api; CREATE EXTENSION c360 SCHEMA api; SELECT api.c360_install()');
$node->safe_psql('postgres', 'ALTER DATABASE shop SET search_path = api, public');
at_work('shop', 'the extension in another schema');
# Lines of clients bear their name.
is(join("\n", grep { !/terminating background worker/ } slurp_file($node->logfile) =~ /\] ((?:WARNING|ERROR|FATAL|PANIC):.*)/g), '',
    'nobody dies of it');

#
# Death
#

$node->restart;
@pids = workers('shop');
at_work('shop', 'a restart of the server');

log_goes_on();
foreach my $n (0 .. 1)
{
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pids[$n])");
    $pids[$n] = wait_for_worker($node, 'shop', $kinds[$n], $pids[$n]);
}
at_work('shop', 'terminated workers come back');
is(join(' ', workers('shop')), "@pids", 'each for itself');

# The launcher: its workers stay, and are not started twice.
{
    my $launcher = worker_pid($node, undef, 'c360 launcher');

    $node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
    ok($node->poll_query_until('postgres', qq{
        SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 launcher' AND pid <> $launcher}),
        'the launcher comes back, too');
    launcher_went_round();
    is(join(' ', workers('shop')), "@pids", 'its workers stay, one of each');
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pids[0])");
    $pids[0] = wait_for_worker($node, 'shop', $kinds[0], $pids[0]);
    at_work('shop', 'and it takes care of workers that it did not start');
    set_databases('');
    no_workers('shop', 'and ends those that are wanted no longer');
    set_databases('shop');
    @pids = workers('shop', @pids);
    at_work('shop', 'until they are wanted again');
}

# kill -9 of each: the server restarts, and so do they. What was committed is
# announced, whatever they were at.
foreach my $kind (@kinds, 'c360 launcher')
{
    my $cursor = cursor_now($node, 'shop');
    my $pid = worker_pid($node, $kind eq 'c360 launcher' ? undef : 'shop', $kind);
    my $postmaster = $node->safe_psql('postgres', q{SELECT pg_postmaster_start_time()});
    my $open = $node->background_psql('shop', on_error_stop => 0);

    in_session($open, 'BEGIN');
    in_session($open, deposit('0987654321', 'never committed'));
    $node->safe_psql('shop', deposit('0912345678', "before the crash of $kind"));
    kill 'KILL', $pid;
    eval { $open->quit };
    wait_for_server($node);
    @pids = workers('shop', @pids);
    at_work('shop', "kill -9 of the $kind");
    wait_announced($node, 'shop');
    is($node->safe_psql('shop', qq{SELECT string_agg(payload ->> 'note', ', ') FROM c360_events_since('$cursor')}),
        "before the crash of $kind, at work: kill -9 of the $kind", 'nothing is lost');
    is($node->safe_psql('postgres', q{SELECT pg_postmaster_start_time()}), $postmaster, 'the postmaster is that of before');
}

#
# Databases
#

log_goes_on();
install_live($node, 'other');
launcher_went_round();
no_workers('other', 'a database that is not listed has no workers');
set_databases('shop, nowhere, "other", shop');
my @others = workers('other');
at_work('other', 'a database is added by reload');
is(join(' ', workers('shop')), "@pids", 'the other workers stay');
unlike(log_since(), qr/nowhere.*does not exist|ERROR/, 'one that does not exist is passed over');
{
    # each announces its own
    my %listeners = map { $_ => listen_to($node, $_, 'wallets') } 'shop', 'other';

    $node->safe_psql($_, deposit('0912345678', "of $_")) foreach 'shop', 'other';
    foreach my $db ('shop', 'other')
    {
        is(join(', ', map { name_of($_->{payload}) } heard_until($listeners{$db}, "of $db")), "of $db", "$db hears its own events");
    }
    $_->{session}->quit foreach values %listeners;
}
is($node->safe_psql($_, 'SELECT ticks > 0, notifications > 0, backlog FROM c360_stat'), 't|t|0', "c360_stat is that of $_")
    foreach 'shop', 'other';
set_databases('other');
no_workers('shop', 'a database is removed by reload');
is(join(' ', workers('other')), "@others", 'the others stay');
$node->safe_psql('shop', deposit('0912345678', 'unheard'));
set_databases('nowhere,other,shop');
@pids = workers('shop');
at_work('shop', 'and added again');
$node->safe_psql('postgres', 'CREATE DATABASE nowhere TEMPLATE template0');
$node->safe_psql('nowhere', 'CREATE EXTENSION c360; SELECT c360_install()');
workers('nowhere');
at_work('nowhere', 'one that comes into being later is served');

# They do not keep anybody from dropping a database.
my $error = error_of($node, 'postgres', 'DROP DATABASE nowhere');
is($error->{state}, '55006', 'DROP DATABASE says that it is used');
like($error->{detail}, qr/other session/, 'by others');
workers('nowhere');
$node->safe_psql('postgres', 'DROP DATABASE nowhere WITH (FORCE)');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'nowhere'}), '0', 'WITH (FORCE) drops it');
{
    # while its publisher works
    my $busy = $node->background_psql('other');

    $busy->query_until(qr/started/, q{\echo started
        SELECT count(c360_deposit('0930' || lpad(n::text, 6, '0'), 1)) FROM generate_series(1, 3000) AS n;
        SELECT count(c360_deposit('0930' || lpad(n::text, 6, '0'), 1)) FROM generate_series(1, 1000000) AS n;
    });
    $node->poll_query_until('other', 'SELECT backlog = 0 AND count(*) >= 3000 FROM c360_stat, c360.customers GROUP BY backlog')
        or die 'the first statement does not end';
    $node->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)');
    pass('while writers and workers are busy, too');
    eval { $busy->quit };
}
launcher_went_round();
at_work('shop', 'the rest goes on');
install_live($node, 'other');
workers('other');
at_work('other', 'a database of the same name is served anew');
unlike(log_since(), qr/PANIC|TRAP|was terminated by signal/, 'nobody died of it');

#
# What others hang on the tables
#

# The owner of the tables is no superuser: what he hangs on them runs as he.
{
    $node->safe_psql('postgres', q{
        CREATE ROLE shop_owner NOLOGIN;
        CREATE DATABASE owned TEMPLATE template0;
        GRANT CREATE ON DATABASE owned TO shop_owner});
    $node->safe_psql('owned', q{
        GRANT USAGE, CREATE ON SCHEMA public TO shop_owner;
        CREATE EXTENSION c360;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO shop_owner;
        SET ROLE shop_owner;
        SELECT c360_install();
        -- something to delete
        SELECT c360_open_stream();
        UPDATE c360.event_streams SET valid_until = '2020-01-01';
        CREATE TABLE public.seen (who text, session text, path text, what text);
        CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.seen VALUES (current_user, session_user, current_setting('search_path'), TG_TABLE_NAME || ' ' || TG_OP);
            BEGIN
                CREATE ROLE made_by_trigger SUPERUSER;
            EXCEPTION WHEN OTHERS THEN
                INSERT INTO public.seen VALUES (SQLSTATE);
            END;
            BEGIN
                EXECUTE 'RESET ROLE';
                EXECUTE 'SET SESSION AUTHORIZATION DEFAULT';
            EXCEPTION WHEN OTHERS THEN
                INSERT INTO public.seen VALUES (SQLSTATE);
            END;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER spy BEFORE INSERT OR DELETE ON c360.event_ticks FOR EACH ROW EXECUTE FUNCTION public.spy();
        CREATE TRIGGER spy BEFORE INSERT ON c360.event_epochs FOR EACH ROW EXECUTE FUNCTION public.spy();
        CREATE TRIGGER spy BEFORE DELETE ON c360.event_streams FOR EACH ROW EXECUTE FUNCTION public.spy();
        -- operators and functions of his own that statements would find by search_path
        CREATE FUNCTION public.spy_equal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO public.seen VALUES ('operator ' || current_user); RETURN true; END $$;
        CREATE OPERATOR public.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.spy_equal);
        CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO public.seen VALUES ('function ' || current_user); RETURN pg_catalog.clock_timestamp(); END $$;});
    set_databases('shop,other,owned');
    workers('owned');
    at_work('owned', 'tables of an ordinary owner are served');
    $node->poll_query_until('owned', q{SELECT count(*) = 0 FROM c360.event_streams}) or die 'passes are not cleaned up';
    is($node->safe_psql('owned', q{SELECT string_agg(DISTINCT what, ', ' ORDER BY what) FROM public.seen}),
        'event_epochs INSERT, event_streams DELETE, event_ticks INSERT', 'his triggers fire');
    is($node->safe_psql('owned', q{SELECT string_agg(DISTINCT who, ', ') FROM public.seen WHERE what IS NOT NULL}), 'shop_owner',
        'as he');
    is($node->safe_psql('owned', q{SELECT string_agg(DISTINCT path, '; ') FROM public.seen WHERE what IS NOT NULL}), 'pg_catalog, pg_temp',
        'under a search_path that is not his');
    is($node->safe_psql('owned', q{SELECT string_agg(DISTINCT who, ', ' ORDER BY who) FROM public.seen WHERE what IS NULL}), '42501',
        'and are superuser by no way');
    is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_roles WHERE rolname = 'made_by_trigger'}), '0', 'no role was made');
}

#
# Too little room, no room, no library
#

# Three workers fit: the launcher, and two of six.
$node->append_conf('postgresql.conf', "max_worker_processes = 3\nmax_parallel_workers = 0\nmax_logical_replication_workers = 0");
log_goes_on();
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type IN ('c360 publisher', 'c360 job runner')}),
    'with too small a max_worker_processes those run that fit');
launcher_went_round();
my @warnings = log_since() =~ /WARNING:\s+(could not start.*)/g;
is(scalar(@warnings), 1, 'one warning says so') or diag(@warnings);
like(log_since(), qr/HINT:\s+Raise max_worker_processes/, 'and what to do');
is($node->safe_psql('shop', q{SELECT count(*) FROM c360_deposit('0912345678', 1)}), '1', 'the shop goes on');
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '16');
$node->restart;
workers($_) foreach 'shop', 'other', 'owned';
at_work('shop', 'with more room all come back');

# No library: everything works but what needs it, and nobody stumbles over the
# settings.
my $cursor = cursor_now($node, 'shop');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
log_goes_on();
$node->restart;
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'c360%'}), '0', 'without preload no workers');
$node->safe_psql('shop', deposit('0912345678', 'without preload'));
is($node->safe_psql('shop', qq{SELECT string_agg(payload ->> 'note', ', ') FROM c360_events_since('$cursor')}), 'without preload',
    'a cursor of the publisher goes on');
$cursor = $node->safe_psql('shop', qq{SELECT cursor FROM c360_events_since('$cursor')});
is($node->safe_psql('shop', 'SELECT ticks, notifications, lag, backlog, ring_overflow, last_error FROM c360_stat'), '|||1||',
    'c360_stat says that nobody announces');
is($node->safe_psql('shop', q{SELECT c360_version() IS NOT NULL; SHOW c360.notify; SHOW c360.tick_interval}), "t\nworker\n10ms",
    'settings have their values');
is(error_of($node, 'shop', q{SELECT c360_version(); SET c360.notify = 'off'})->{state}, '55P02', 'which sessions do not set');
is(error_of($node, 'shop', q{SELECT c360_version(); SET c360.notifi = 'off'})->{state}, '42602', 'nor such as do not exist');
$node->append_conf('postgresql.conf', "c360.notify = 'inline'");
$node->reload;
{
    my $listener = listen_to($node, 'shop', 'wallets', 'wallet:0912345678');
    my ($session) = map { $node->background_psql('shop', on_error_stop => 0) } 1;

    # sessions of their own load the library by themselves
    is(join('', map { (session_query($session, $_))[1] } 'BEGIN', deposit('0912345678', 'kept'), 'SAVEPOINT s',
        deposit('0912345678', 'rolled back'), 'ROLLBACK TO s', deposit('0987654321', 'kept, too'), 'COMMIT'), '', 'inline: commits');
    is(join(', ', map { "$_->{channel} " . name_of($_->{payload}) } heard_until($listener, 'kept, too')),
        'wallets kept, wallet:0912345678 kept, wallets kept, too', 'inline: heard without preload');
    is(join('', map { (session_query($session, $_))[1] } 'BEGIN', deposit('0912345678', 'prepared'), q{PREPARE TRANSACTION 'p'},
        q{COMMIT PREPARED 'p'}), '', 'inline: two-phase commit works');
    is(join('', map { (session_query($session, $_))[1] } 'BEGIN ISOLATION LEVEL SERIALIZABLE', deposit('0912345678', 'serializable'),
        'COMMIT'), '', 'inline: a serializable transaction');
    heard_until($listener, 'serializable');
    is(join('', map { (session_query($session, $_))[1] } q{DO $$ BEGIN
        PERFORM c360_deposit('0912345678', 1, note => 'first of a block'); COMMIT;
        PERFORM c360_deposit('0912345678', 1, note => 'second of a block'); END $$}), '', 'inline: COMMIT inside a block');
    is(join(', ', map { name_of($_->{payload}) } grep { $_->{channel} eq 'wallets' } heard_until($listener, 'second of a block')),
        'first of a block, second of a block', 'is heard');
    is($node->safe_psql('shop', qq{SELECT string_agg(payload ->> 'note', ', ') FROM c360_events_since('$cursor', '{wallets}')}),
        'kept, kept, too, prepared, serializable, first of a block, second of a block', 'all is read by cursor');
    $_->quit foreach $session, $listener->{session};
}

verify_is_empty($node, 'shop', 'the books are right');
unlike(log_since(), qr/PANIC|TRAP|WARNING:/, 'a log without complaints');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', 'c360');
$node->append_conf('postgresql.conf', "c360.notify = 'worker'");
$node->restart;
at_work('shop', 'preloaded again');

done_testing();
