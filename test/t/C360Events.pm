# What the tests of live events share: clusters with the workers, listeners,
# and reading by cursor. Events are called by the note of the movement that
# made them, or by their event if it had none.
package C360Events;

use strict;
use warnings;

use C360Test;
use Exporter 'import';
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
    new_live_node install_live worker_pid wait_for_worker wait_for_no_worker restart_publisher
    wait_announced cursor_now deposit read_events name_of names_of
    listen_to heard heard_until in_session error_in
);

# A cluster with the library preloaded and workers for the databases.
sub new_live_node
{
    my ($name, $databases, %init) = @_;
    my $node = new_node($name, %init);

    $node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'c360'
c360.databases = '$databases'
max_prepared_transactions = 10
max_connections = 40
restart_after_crash = on
});
    return $node;
}

# Installs c360, with jobs at rest and what reads all pages at once.
sub install_live
{
    my ($node, $db) = @_;

    install($node, $db);
    $node->safe_psql($db, q{
        SELECT c360_set('jobs_by', 'none');
        CREATE SCHEMA test;
        CREATE FUNCTION test.read(after text, page integer, channels text[])
        RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
        DECLARE
            found_one record;
            something boolean := true;
        BEGIN
            WHILE something LOOP
                something := false;
                FOR found_one IN SELECT * FROM c360_events_since(after, channels, page) LOOP
                    something := true;
                    after := found_one.cursor;
                    IF found_one.id IS NOT NULL THEN    -- else only a cursor
                        RETURN NEXT to_jsonb(found_one);
                    END IF;
                END LOOP;
            END LOOP;
        END $$});
    return $db;
}

sub worker_pid
{
    my ($node, $db, $type) = @_;
    my $which = defined $db ? "datname = '$db'" : 'datname IS NULL';

    return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND $which");
}

# Until it runs, and is another process than the one that is told.
sub wait_for_worker
{
    my ($node, $db, $type, $not_pid) = @_;

    $not_pid = 0 unless $not_pid;
    $node->poll_query_until('postgres', qq{
        SELECT count(*) = 1 FROM pg_stat_activity
        WHERE backend_type = '$type' AND datname = '$db' AND pid <> $not_pid})
        or die "$type of $db does not start";
    return worker_pid($node, $db, $type);
}

sub wait_for_no_worker
{
    my ($node, $db, $type) = @_;

    $type //= 'c360 publisher';
    return $node->poll_query_until('postgres', qq{
        SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = '$type' AND datname = '$db'});
}

sub restart_publisher
{
    my ($node, $db) = @_;
    my $pid = wait_for_worker($node, $db, 'c360 publisher');

    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
    return wait_for_worker($node, $db, 'c360 publisher', $pid);
}

# Until the newest tick sees all that is committed now.
sub wait_announced
{
    my ($node, $db) = @_;

    $node->poll_query_until($db, 'SELECT backlog = 0 FROM c360_stat') or die 'events stay behind';
    return;
}

sub cursor_now
{
    my ($node, $db) = @_;

    wait_announced($node, $db);
    return $node->safe_psql($db, 'SELECT cursor FROM c360_events_since()');
}

# A movement whose event is found by its name.
sub deposit
{
    my ($phone, $name) = @_;

    return "SELECT transaction_id FROM c360_deposit('$phone', 1000, note => '$name')";
}

# All events behind a cursor, in pages; rows as hashes.
sub read_events
{
    my ($node, $db, $cursor, %how) = @_;
    my $page = $how{page} // 500;
    my $channels = $how{channels} ? "'{" . join(',', @{ $how{channels} }) . "}'" : 'NULL';

    return map { JSON::PP->new->decode($_) }
        rows_of($node, $db, "SELECT * FROM test.read('$cursor', $page, $channels)");
}

sub name_of
{
    my ($payload) = @_;

    return $payload->{note} // $payload->{event};
}

sub names_of
{
    return join ' ', map { name_of($_->{payload}) } @_;
}

# A session that listens, as a hash.
sub listen_to
{
    my ($node, $db, @channels) = @_;
    my $session = $node->background_psql($db);

    $session->set_query_timer_restart;
    $session->query_safe(qq{LISTEN "$_"}) foreach @channels;
    return { session => $session };
}

# What was heard since the last time: hashes of channel, payload and pid.
# psql shows it after a statement.
sub heard
{
    my ($listener, $statement) = @_;
    my ($out) = $listener->{session}->query($statement // 'SELECT 1');
    my @all;

    while ($out =~ /^Asynchronous notification "([^"]*)" with payload "(.*)" received from server process with PID (\d+)\.$/mg)
    {
        push @all, { channel => $1, text => $2, pid => $3 };
    }
    $_->{payload} = JSON::PP->new->decode($_->{text}) foreach @all;
    return @all;
}

# Until an event of this name was heard; all that was heard up to then.
sub heard_until
{
    my ($listener, $name) = @_;
    my @all;

    # as fast as it goes at first, then as poll_query_until does
    foreach my $try (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default + 100)
    {
        push @all, heard($listener);
        return @all if grep { name_of($_->{payload}) eq $name } @all;
        usleep(100_000) if $try > 100;
    }
    die "$name is not heard";
}

# Runs a statement in a session; dies if it fails.
sub in_session
{
    my ($session, $sql) = @_;
    my ($out, $error) = session_query($session, $sql);

    die "$sql: $error" if $error ne '';
    return $out;
}

# SQLSTATE and machine word of what a statement fails with.
sub error_in
{
    my ($node, $db, $sql, %options) = @_;
    my $error = error_of($node, $db, $sql, %options) or return 'none';
    my ($word) = ($error->{detail} // '') =~ /^([a-z_]+):/;

    return join ' ', grep { defined } $error->{state}, $word;
}

1;
