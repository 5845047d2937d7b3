# A real pg_cron. It takes and refuses the schedules that c360 does; a line of
# its own runs c360_expire_all(), in batches of which each is a transaction of
# its own; c360_schedule_jobs() registers the jobs with it, here and from
# another database.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $batch = 500;
my $lots = 1200;
my $node = new_node('cron');

$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'shop'
cron.use_background_workers = on
});
$node->start;
install($node, 'shop');
$node->restart;    # pg_cron's launcher finds its database
$node->safe_psql('shop', 'CREATE EXTENSION pg_cron');

# An and Bình have a lot each that stays; the others have lots of 10 that do not.
$node->safe_psql('shop', qq{
    SELECT c360_issue_credit('0912345678', 5000), c360_issue_credit('0987654321', 6000);
    SELECT c360_issue_credit('09120' || lpad((n % 100)::text, 5, '0'), 10,
                             expires_at => clock_timestamp() + interval '3 seconds')
    FROM generate_series(1, $lots) AS n;
    SELECT c360_issue_credit('0912345678', 70, expires_at => clock_timestamp() + interval '3 seconds')});
my $overdue = $lots + 1;
$node->poll_query_until('shop', "SELECT count(*) = $overdue FROM c360.virtual_credits WHERE expires_at <= clock_timestamp()")
    or die 'lots do not get past their time';
is($node->safe_psql('shop', q{SELECT count(*) FROM c360.virtual_credits WHERE status <> 'ACTIVE'}), '0',
    'nothing has expired by itself');

like($node->safe_psql('shop', q{SELECT cron.schedule('by hand', '* * * * *', 'CALL c360_expire_all()')}), qr/^\d+$/,
    'pg_cron takes c360_expire_all, for each minute');
ok($node->poll_query_until('shop', q{
    SELECT count(*) > 0 FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')}), 'pg_cron has run it');
is($node->safe_psql('shop', q{SELECT status || ' ' || return_message FROM cron.job_run_details ORDER BY runid LIMIT 1})
        =~ s/ .*//r, 'succeeded', 'it succeeded')
    or diag($node->safe_psql('shop', 'SELECT * FROM cron.job_run_details'));

is($node->safe_psql('shop', q{
    SELECT status, count(*), sum(original_amount) FROM c360.virtual_credits GROUP BY 1 ORDER BY 1}),
    "ACTIVE|2|11000\nEXPIRED|$overdue|" . (10 * $lots + 70), 'all overdue lots expired, and no other');
my @batches = rows_of($node, 'shop', q{
    SELECT count(*) FROM c360.wallet_transactions t JOIN c360.customer_activities a ON a.id = t.activity_id
    WHERE t.type = 'VIRTUAL_EXPIRE' GROUP BY a.xact ORDER BY min(t.id)});
is("@batches", join(' ', ($batch) x int($overdue / $batch), $overdue % $batch), 'each batch was a transaction of its own');
is($node->safe_psql('shop', q{
    SELECT phone, virtual_balance, total_virtual_expired FROM c360_wallets(ARRAY['0912345678', '0987654321']) ORDER BY phone}),
    "0912345678|5000|70\n0987654321|6000|0", 'An lost what was overdue, Bình nothing');
is($node->safe_psql('shop', q{SELECT DISTINCT actor || ' ' || session_user_name FROM c360.wallet_transactions
        WHERE type = 'VIRTUAL_EXPIRE'}), 'postgres postgres', 'the books say whose job it was');
verify_is_empty($node, 'shop', 'the books are right');
$node->safe_psql('shop', q{SELECT cron.unschedule('by hand')});

# Schedules ------------------------------------------------------------------

$node->safe_psql('shop', q{
    CREATE FUNCTION pg_cron_takes(schedule text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM cron.schedule(schedule, 'SELECT 1');
        RAISE SQLSTATE 'TAP00';
    EXCEPTION
        WHEN SQLSTATE 'TAP00' THEN RETURN true;
        WHEN invalid_parameter_value THEN RETURN false;
    END $$;
    CREATE FUNCTION c360_takes(schedule text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM c360_next_run(schedule, now());
        RETURN true;
    EXCEPTION WHEN invalid_parameter_value THEN RETURN false;
    END $$});

sub takers
{
    my @schedules = map { s/'/''/gr } @_;

    return rows_of($node, 'shop', q{SELECT pg_cron_takes(s) || ' ' || c360_takes(s) || ' ' || s FROM unnest(ARRAY['}
            . join("', '", @schedules) . q{']) WITH ORDINALITY AS t (s, n) ORDER BY n});
}

my @good = ('* * * * *', '0 * * * *', '0 */6 * * *', '*/5 * * * *', '0 2 * * *', '30 2 * * *', '59 23 31 12 7', '0 0 1 1 0',
    '0,15,30,45 * * * *', '1-5,10-20/3,59 0-23 1-31 1-12 0-7', '0 0 1 jan *', '0 0 * JAN-mar,Dec mon-Fri', '0 0 * * sun',
    '0 0 * * sat-7', '007 03 * * *', '  5   4  * * *  ', "5\t4\t*\t*\t*", '*/59 */23 */31 */12 */7', '0 0 31 2 *', '0 0 13 * 5', '*,5 * * * *');
my @bad = ('', ' ', '*', '* * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 0 *', '* * * 13 *', '* * * * 8',
    '-1 * * * *', '1- * * * *', '1--5 * * * *', '1/5 * * * *', '*/0 * * * *', '*/-1 * * * *', '*/x * * * *', '*/ * * * *',
    '1-5/0 * * * *', '5-64/30 * * * *', ', * * * *', '1, * * * *', ',1 * * * *', '1,,2 * * * *', '+5 * * * *', '0x5 * * * *',
    'jan * * * *', '* * jan * *', '* * * mon *', '* * * january *', '* * * * monday', 'null', '0 25 * * *');
# the last day of a month: pg_cron takes it from 1.6 on
my @newer = ('0 0 $ * *');
# pg_cron takes these although they mean nothing, or not what they seem to
my @odd = ('5-1 * * * *', '0 0 * * fri-sun', '1-5-7 * * * *', '*5 * * * *', '5* * * * *', '1.5 * * * *', '0 0 * * *;',
    '* * * * * *', '* * * * * ls', '@hourly', '@reboot');
is(join("\n", takers(@good)), join("\n", map { "true true $_" } @good), 'what pg_cron takes, c360 takes');
is(join("\n", takers(@bad)), join("\n", map { "false false $_" } @bad), 'what pg_cron refuses, c360 refuses');
like((takers(@newer))[0], qr/^(true|false) false /, 'what only a newer pg_cron takes, c360 refuses');
is(join("\n", takers(@odd)), join("\n", map { "true false $_" } @odd), 'c360 is stricter with these');

# Jobs by c360_schedule_jobs() -----------------------------------------------

# as the manual has it
my $grants = join "\n", slurp_file("$FindBin::RealBin/../../doc/operations.md")
    =~ /^((?:CREATE ROLE|GRANT|SELECT c360_grant)\b[^;]*\bshop_jobs\b[^;]*;)$/mg;
$node->safe_psql('shop', qq{
    $grants
    CREATE ROLE shop_admin LOGIN; CREATE ROLE shop_group;
    GRANT USAGE ON SCHEMA cron TO shop_admin, shop_group;
    SELECT c360_grant('shop_admin', 'admin'), c360_grant('shop_group', 'admin')});

sub as
{
    my ($role, $sql) = @_;

    return $node->safe_psql('shop', "SET ROLE $role; $sql");
}

sub registered
{
    return join ', ', rows_of($node, 'shop', q{SELECT concat_ws(' ', username, database, jobname, schedule, command) FROM cron.job ORDER BY jobname});
}

# what is said of registering below is said of two jobs
my $two_jobs = q{SELECT c360_set_job(job, enabled => false) FROM c360.jobs WHERE job NOT IN ('expire_credits', 'carrier_deadlines')};
$node->safe_psql('shop', $two_jobs);
my $jobs_by = q{SELECT value FROM c360_settings WHERE name = 'jobs_by'};
my $entry = 'shop_jobs shop c360_expire_credits';
my $call = q{CALL public.c360_perform_job('expire_credits')};
# every six hours of the shop, as UTC has them
my $other = q{shop_jobs shop c360_carrier_deadlines 0 5,11,17,23 * * * CALL public.c360_perform_job('carrier_deadlines')};
my $schedule = q{SELECT schedule FROM c360_job_status WHERE job = 'expire_credits'};

is(error_of($node, 'shop', 'SET ROLE shop_group; SELECT c360_schedule_jobs()')->{detail}, 'role_cannot_log_in: shop_group',
    'pg_cron could not log in as a group');
is(registered() . $node->safe_psql('shop', $jobs_by), 'worker', 'nothing is registered');
is(as('shop_jobs', 'SELECT c360_schedule_jobs()'), '2', 'a role registers the jobs');
is(registered(), "$other, $entry 0 * * * * $call", 'as itself');
is($node->safe_psql('shop', $jobs_by), 'pg_cron', 'and the worker leaves them');
is(as('shop_jobs', 'SELECT c360_schedule_jobs()'), '2', 'once more');
is(registered(), "$other, $entry 0 * * * * $call", 'changes nothing');
as('shop_jobs', q{SELECT c360_set_job('expire_credits', '30 2 * * *')});
is(registered(), "$other, $entry 30 19 * * * $call", 'a changed schedule is changed there, in UTC');
is(error_of($node, 'shop', q{SET ROLE shop_jobs; SELECT c360_set_job('expire_credits', '30 2 1 * *')})->{detail},
    'schedule_not_shiftable: "30 2 1 * *": its days fall into another month there', 'one that UTC cannot express is refused');
is($node->safe_psql('shop', $schedule), '30 2 * * *', 'and not stored');
as('shop_jobs', q{SELECT c360_set_job('expire_credits', enabled => false)});
is(registered(), $other, 'a disabled job is not registered');
is(as('shop_jobs', 'SELECT c360_schedule_jobs()'), '1', 'nor by registering all');
$node->safe_psql('shop', q{SELECT c360_set_job('expire_credits', '* * * * *', true)});
is(registered(), "$other, $entry * * * * * $call", 'a superuser enables it: it stays with its role');
is(error_of($node, 'shop', qq{SET ROLE shop_admin; SELECT $_})->{detail}, 'pg_cron_role: shop_jobs', "another role is told whose they are: $_")
    foreach q{c360_set_job('expire_credits', '5 * * * *')}, 'c360_unschedule_jobs()', 'c360_schedule_jobs()';
is(registered() . $node->safe_psql('shop', $schedule), "$other, $entry * * * * * $call* * * * *", 'and nothing changed');

# From another database: the error says what to run where.
install($node, 'shop2');
$node->safe_psql('shop2', $two_jobs);
$node->safe_psql('shop2', q{SELECT c360_set_job('expire_credits', '* * * * *')});
my $error = error_of($node, 'shop2', 'SELECT c360_schedule_jobs()');
is("$error->{state} $error->{detail}", '55000 pg_cron_elsewhere: shop', 'pg_cron is in another database');
is($node->safe_psql('shop2', $jobs_by), 'worker', 'nothing changed');
my ($there, $here) = $error->{hint} =~ /^Run there, as superuser: (.*;) Then run here: (.*;)$/ or die $error->{hint};
$node->safe_psql('shop', $there);
$node->safe_psql('shop2', $here);
is($node->safe_psql('shop', q{SELECT concat_ws(' ', username, database, jobname, schedule, command) FROM cron.job WHERE database = 'shop2'
        ORDER BY jobname}), ($other =~ s/^shop_jobs shop (\w+)/postgres shop2 ${1}_shop2/r) . "\npostgres shop2 c360_expire_credits_shop2 * * * * * $call",
    'the lines register them');

# Both run.
foreach my $db ('shop', 'shop2')
{
    $node->safe_psql($db, q{SELECT c360_issue_credit('0912345678', 9, 'MANUAL', 'soon', clock_timestamp() + interval '1 second')});
}
foreach my $db ('shop', 'shop2')
{
    my $role = $db eq 'shop' ? 'shop_jobs' : 'postgres';

    ok($node->poll_query_until($db, q{SELECT status = 'EXPIRED' FROM c360.virtual_credits WHERE source_id = 'soon'}), "$db: pg_cron runs the job")
        or diag($node->safe_psql('shop', 'SELECT * FROM cron.job_run_details'));
    ok($node->poll_query_until($db, q{SELECT error IS NULL AND last_end IS NOT NULL AND failures = 0 FROM c360_job_status WHERE job = 'expire_credits'}), "$db: the run has its row");
    is($node->safe_psql($db, q{SELECT DISTINCT started_by FROM c360.job_runs}), 'pg_cron', "$db: it was pg_cron");
    is($node->safe_psql($db, q{SELECT DISTINCT actor || ' ' || session_user_name FROM c360.wallet_transactions t
            JOIN c360.virtual_credits v ON v.id = t.credit_id WHERE t.type = 'VIRTUAL_EXPIRE' AND source_id = 'soon'}),
        "$role $role", "$db: as the role that it is registered for");
    verify_is_empty($node, $db, "$db: the books are right");
}

is(as('shop_jobs', 'SELECT c360_unschedule_jobs()'), '2', 'the jobs are removed');
is($node->safe_psql('shop', q{SELECT count(*) FROM cron.job WHERE database = 'shop'}), '0', 'from pg_cron');
is($node->safe_psql('shop', $jobs_by), 'worker', 'and the worker has them again');
is(as('shop_jobs', 'SELECT c360_unschedule_jobs()'), '0', 'once more there is none');
# one role takes over from another
is(as('shop_jobs', 'SELECT c360_schedule_jobs()'), '2', 'registered by one role');
is($node->safe_psql('shop', 'SELECT c360_schedule_jobs()'), '2', 'and then by a superuser');
is($node->safe_psql('shop', q{SELECT string_agg(DISTINCT username, ' ') FROM cron.job WHERE database = 'shop'}), 'postgres', 'it is his alone');
# pg_cron goes
$node->safe_psql('shop', 'DROP EXTENSION pg_cron CASCADE');
is(error_of($node, 'shop', 'SELECT c360_schedule_jobs()')->{detail}, 'pg_cron_missing: the extension is not created', 'without pg_cron');
is($node->safe_psql('shop', 'SELECT c360_unschedule_jobs()') . $node->safe_psql('shop', $jobs_by), '0worker', 'its jobs went with it');

done_testing();
