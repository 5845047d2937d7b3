# An installation of every release, with rows, levels and what a DBA added,
# becomes this version: ALTER EXTENSION UPDATE and c360_install() give the
# catalogs of a fresh installation, as does the dump of it that is restored,
# and no row changes. In the halves of an upgrade, new library with old SQL and
# new SQL with old tables, functions work or say what is to be done.
#
# The old releases are their scripts, which are kept in sql/releases/ and
# installed, with the library of now: what an upgrade finds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Rows;
use C360Test;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('upgrade');
my $dir = PostgreSQL::Test::Utils::tempdir;

$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'cron'
cron.use_background_workers = on
});
$node->start;

my $now = $node->safe_psql('postgres', q{SELECT default_version FROM pg_available_extensions WHERE name = 'c360'});
my @releases = rows_of($node, 'postgres', qq{
    SELECT version FROM pg_available_extension_versions WHERE name = 'c360' AND version <> '$now'
    ORDER BY string_to_array(version, '.')::integer[]});
is($releases[0], '0.1.0', 'the first release is there');
foreach my $release (@releases)
{
    is($node->safe_psql('postgres', qq{
        SELECT path IS NOT NULL FROM pg_extension_update_paths('c360') WHERE source = '$release' AND target = '$now'}),
        't', "a way from $release to $now");
    is($node->safe_psql('postgres', qq{
        SELECT count(*) FROM pg_extension_update_paths('c360')
        WHERE path IS NOT NULL AND string_to_array(source, '.')::integer[] > string_to_array(target, '.')::integer[]}),
        '0', 'and none back');
}

my %given = (desk => 'viewer', till => 'agent', books => 'accountant', chief => 'admin', feed => 'bank_feed', eyes => 'stream');
$node->safe_psql('postgres', join ';', (map { "CREATE ROLE $_ LOGIN" } sort keys %given),
    'CREATE ROLE nobody_special LOGIN', 'CREATE ROLE by_hand LOGIN', 'CREATE ROLE shop_owner NOLOGIN');

# A database with an empty schema for the functions, and the tables' owner.
sub new_shop
{
    my ($db, $schema, $owner) = @_;

    new_database($node, $db);
    $node->safe_psql($db, qq{
        CREATE SCHEMA IF NOT EXISTS $schema;
        ALTER DATABASE $db SET search_path = $schema;
        GRANT CREATE ON DATABASE $db TO $owner;
        GRANT USAGE, CREATE ON SCHEMA $schema TO $owner;
        GRANT USAGE ON SCHEMA $schema TO by_hand, nobody_special});
    return;
}

sub create
{
    my ($db, $schema, $owner, $version) = @_;

    return $node->safe_psql($db, qq{
        CREATE EXTENSION c360 SCHEMA $schema VERSION '$version';
        GRANT EXECUTE ON FUNCTION c360_install, c360_refuse_change, c360_settings_changed, c360_apply_level,
            c360_grant, c360_revoke TO $owner;
        SET ROLE $owner;
        SELECT c360_install()});
}

# What a DBA does beside c360.
sub dba_adds
{
    my $db = shift;

    $node->safe_psql($db, q{
        CREATE SCHEMA dba;
        CREATE TABLE dba.seen (transaction_id bigint);
        CREATE FUNCTION dba.see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            $$ BEGIN INSERT INTO dba.seen VALUES (NEW.id); RETURN NULL; END $$;
        CREATE TRIGGER dba_see AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION dba.see();
        CREATE INDEX dba_by_name ON c360.customers (lower(name));
        ALTER TABLE c360.customers ADD COLUMN branch text DEFAULT 'Hà Nội';
        ALTER TABLE c360.customer_wallets ADD CONSTRAINT dba_limit CHECK (balance < 1000000000000);
        COMMENT ON COLUMN c360.customers.branch IS 'where he came first';
        CREATE VIEW dba.list AS SELECT id, phone, name FROM c360_customer_list;
        CREATE FUNCTION dba.total() RETURNS bigint LANGUAGE sql BEGIN ATOMIC
            SELECT sum(w.balance) FROM c360_wallets() w; END;
        GRANT USAGE ON SCHEMA c360 TO by_hand;
        GRANT SELECT ON c360.customers TO by_hand;
        GRANT SELECT ON c360_wallet_transaction_list TO by_hand;
        GRANT EXECUTE ON FUNCTION c360_withdraw, c360_level, c360_fold TO by_hand WITH GRANT OPTION;
        REVOKE EXECUTE ON FUNCTION c360_vietqr_url FROM PUBLIC});
    return;
}

# c360_grant() of an earlier release: what it does, without asking the library
# of now, which wants newer tables.
sub grant_as_then
{
    my ($db, $schema) = @_;

    $node->safe_psql($db, qq{
        DO \$\$
        DECLARE
            body text := (SELECT prosrc FROM pg_proc WHERE proname = 'c360_apply_level');
            plain text := replace(replace(body, 'PERFORM $schema.c360_become_owner();', ''),
                                  '$schema.c360_current_actor()', '''dba''');
        BEGIN
            IF plain LIKE '%c360_become_owner%' OR plain LIKE '%c360_current_actor%' THEN
                RAISE 'c360_apply_level() calls the library';
            END IF;
            EXECUTE format('CREATE FUNCTION c360_apply_level_then(role regrole, level text) RETURNS void LANGUAGE plpgsql
                            SET search_path = pg_catalog, pg_temp AS %L',
                           replace(plain, 'c360_apply_level.', 'c360_apply_level_then.'));
        END \$\$;
        } . join('', map { "SELECT c360_apply_level_then('$_', '$given{$_}');" } sort keys %given) . q{
        DROP FUNCTION c360_apply_level_then});
    return;
}

# A column of a DBA stands before those that came later.
sub catalogs
{
    my $db = shift;

    return catalog_text($node, $db) =~ s/^(column c360\.\S+) at \d+/$1/mgr;
}

# What differs of the rows of then: each is still there, and only where
# c360_install() brings rows are there more.
sub rows_kept
{
    my ($db, $columns, $rows, $name) = @_;
    my $brings = qr/^(?:settings|jobs|ticket_types|ticket_moves|fraud_rules|rfm_recommendations) /;
    my %then = map { $_ => 1 } split /\n/, $rows;
    my @now = grep { $then{$_} || !/$brings/ } split /\n/, rows_in_columns($node, $db, $columns);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    same_text(join("\n", @now), $rows, "$name: rows are kept");
    return verify_is_empty($node, $db, "$name: the books are right");
}

sub levels_hold
{
    my ($db, $name) = @_;
    my %may = (
        q{SELECT c360_customer('0912345678')} => 'desk till books chief',
        q{SELECT count(*) FROM c360_customer_list} => 'desk till books chief',
        q{SELECT c360_wallet('0912345678')} => 'till books chief',
        q{SELECT c360_deposit('0912345678', 1000)} => 'books chief',
        q{SELECT c360_withdraw('0912345678', 1000)} => 'books chief by_hand',
        q{SELECT count(*) FROM c360_wallet_transaction_list} => 'till books chief by_hand',
        q{SELECT count(*) FROM c360.customers} => 'by_hand',
        q{SELECT c360_set('refund_grace_days', '8')} => 'chief',
        q{SELECT count(*) FROM c360_job_status} => 'chief',
        q{SELECT count(*) FROM c360.customer_wallets} => '',
        q{SELECT c360_grant('nobody_special', 'admin')} => '');
    my @wrong;

    foreach my $call (sort keys %may)
    {
        foreach my $role (sort keys %given, 'by_hand', 'nobody_special')
        {
            my $error = error_of($node, $db, "SET ROLE $role; $call");
            my $wanted = " $may{$call} " =~ / $role / ? 'done' : '42501';
            my $got = $error ? $error->{state} : 'done';

            push @wrong, "$call by $role: $got" unless $got eq $wanted;
        }
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join("\n", @wrong), '', "$name: levels and grants by hand hold");
}

sub everything_works
{
    my ($db, $schema, $name) = @_;
    my $seen = $node->safe_psql($db, 'SELECT count(*) FROM dba.seen');
    my $last = $node->safe_psql($db, 'SELECT max(id) FROM c360.wallet_transactions');
    my $had = $node->safe_psql($db, q{SELECT sum(balance + virtual_balance) FROM c360_wallets('{0912345678,0987654321}')});

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $node->safe_psql($db, q{
        SELECT c360_deposit('0912345678', 4000), c360_deposit('0987654321', 3000);
        SELECT c360_issue_credit('0912345678', 2000);
        SELECT c360_withdraw('0912345678', 3000), c360_withdraw('0987654321', 1000);
        SELECT c360_ingest_bank_transaction('{"id": 2, "gateway": "ACB", "transactionDate": "2026-01-02 03:04:05",
            "accountNumber": "75918", "transferType": "in", "transferAmount": 70000, "content": "0987654321 ck"}');
        SELECT c360_record_order('0912345678', 'NEW1', 1000), c360_create_ticket('0912345678', 'OTHER');
        SELECT c360_refresh_rfm(), c360_scan_fraud(), c360_expire_credits(), c360_process_bank()});
    is($node->safe_psql($db, q{SELECT sum(balance + virtual_balance) FROM c360_wallets('{0912345678,0987654321}')}) - $had, 75000,
        "$name: money moves");
    is($node->safe_psql($db, 'SELECT count(*) FROM dba.seen') - $seen,
        $node->safe_psql($db, "SELECT count(*) FROM c360.wallet_transactions WHERE id > $last"),
        "$name: the trigger of the DBA fires once a row");
    verify_is_empty($node, $db, "$name: the books are right");
    my @wrong = grep { defined } map { my $e = error_of($node, $db, "SELECT count(*) FROM $schema.$_"); $e && "$_: $e->{text}" }
        rows_of($node, $db, 'SELECT view FROM c360_level_views()');
    is(join("\n", @wrong), '', "$name: every view answers");
    guard_works($node, $db, "$name: the ledger guard works");
    levels_hold($db, $name);
    return;
}

# Functions of one version, the library or the tables of another: each works,
# or says with 55000 what to do.
sub works_or_says
{
    my ($db, $hint, $name) = @_;
    my %there = map { $_ => 1 } rows_of($node, $db, q{SELECT proname FROM pg_proc WHERE proname LIKE 'c360\_%'});
    my @calls = map { $_->[1] } grep { $_->[0] ne 'c360_install' && $there{ $_->[0] } } @WRITES, @READS;
    my @wrong;
    my %ended;

    push @calls, map { "SELECT count(*) FROM $_" } rows_of($node, $db, 'SELECT view FROM c360_level_views()');
    foreach my $call (@calls)
    {
        my $error = error_of($node, $db, $call);

        $ended{ $error ? 'refused' : 'done' }++;
        push @wrong, "$call: $error->{text}" if $error && !($error->{state} eq '55000' && ($error->{hint} // '') eq $hint);
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    note("$name: $_ $ended{$_}") foreach sort keys %ended;
    cmp_ok(scalar @calls, '>', 80, "$name: calls of all functions and views");
    return is(join("\n", @wrong), '', "$name: each works or says what to do");
}

# What each C function is called with and has to answer, by its name.
sub c_functions
{
    my $db = shift;
    my %functions;

    /^(\w+) (.*)/ and push @{ $functions{$1} }, $2 foreach rows_of($node, $db, q{
        SELECT DISTINCT format('%s %s %s %s set %s strict %s', p.prosrc, p.proargtypes::regtype[], p.proallargtypes::regtype[],
                               p.prorettype::regtype, p.proretset, p.proisstrict)
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE l.lanname = 'c' AND p.probin LIKE '%c360' ORDER BY 1});
    return \%functions;
}

sub restore
{
    my ($dump, $db) = @_;
    my @command = ('pg_restore', '-d', $node->connstr($db), $dump);

    IPC::Run::run(\@command, '2>', \my $errors);
    return $errors;
}

my %fresh;
foreach my $where ([ 'public', 'postgres' ], [ 'api', 'shop_owner' ])
{
    my ($schema, $owner) = @$where;
    my $db = "fresh_$schema";

    new_shop($db, $schema, $owner);
    create($db, $schema, $owner, $now);
    $node->safe_psql($db, join ';', "SET ROLE $owner", map { "SELECT c360_grant('$_', '$given{$_}')" } sort keys %given);
    dba_adds($db);
    $fresh{$schema} = catalogs($db);
    my $newest = $node->safe_psql($db, 'SELECT max(version) FROM c360.table_versions');

    foreach my $release (@releases)
    {
        my $name = "$release in $schema";

        $db = "from_${release}_$schema" =~ tr/./_/r;
        new_shop($db, $schema, $owner);
        my $then = create($db, $schema, $owner, $release);
        my $columns = columns_of_tables($node, $db);
        $node->safe_psql($db, $_->[1]) foreach grep { $columns->{ $_->[0] } } @ROWS;
        my @empty = grep { $node->safe_psql($db, "SELECT count(*) FROM c360.$_") == 0 } sort keys %$columns;
        is("@empty", '', "$name: every table has rows");
        grant_as_then($db, $schema);
        dba_adds($db);
        delete $columns->{table_versions};
        my $rows = rows_in_columns($node, $db, $columns);
        $node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/$db.dump", '-d', $node->connstr($db) ], "$name: is dumped");

        # with no moment between the halves
        is($node->safe_psql($db, qq{
            BEGIN; ALTER EXTENSION c360 UPDATE; SET LOCAL ROLE $owner; SELECT c360_install(); COMMIT}),
            $newest, "$name: is updated");
        rows_kept($db, $columns, $rows, $name);
        same_text(catalogs($db), $fresh{$schema}, "$name: all objects as in a fresh installation");
        $node->safe_psql($db, "SET ROLE $owner; SELECT c360_install()");
        same_text(catalogs($db), $fresh{$schema}, "$name: another c360_install() changes nothing");

        # the dump of what was updated
        $node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/updated.dump", '-d', $node->connstr($db) ], "$name: updated, is dumped");
        new_database($node, "copy_$db");
        $node->safe_psql('postgres', "ALTER DATABASE copy_$db SET search_path = $schema");
        is(restore("$dir/updated.dump", "copy_$db"), '', "$name: updated, dumped, is restored");
        same_text(catalogs("copy_$db"), $fresh{$schema}, "$name: restored: all objects as in a fresh installation");
        same_tables(table_texts($node, "copy_$db"), table_texts($node, $db), "$name: restored: all rows");

        # the dump of then, restored with the files of now: by the script of then, and without
        foreach my $way ('with VERSION', 'as it is')
        {
            my $old = "old_$db";

            new_database($node, $old);
            $node->safe_psql($old, "CREATE SCHEMA IF NOT EXISTS $schema; CREATE EXTENSION c360 SCHEMA $schema VERSION '$release'")
                if $way eq 'with VERSION';
            my $errors = restore("$dir/$db.dump", $old);
            # but for the schema, which had to be there before, and grants of functions that are gone
            my $harmless = $way eq 'with VERSION' ? qr/schema "api" already exists/ : qr/function .* does not exist/;
            is(join("\n", grep { /error:/ && !/$harmless/ } split /\n/, $errors), '', "$name: a dump of then, $way: is restored");
            $node->safe_psql('postgres', "ALTER DATABASE $old SET search_path = $schema");
            is($node->safe_psql($old, qq{ALTER EXTENSION c360 UPDATE; SET ROLE $owner; SELECT c360_install()}), $newest,
                "$name: a dump of then, $way: is updated");
            same_text(catalogs($old), $fresh{$schema}, "$name: a dump of then, $way: all objects as in a fresh installation");
            rows_kept($old, $columns, $rows, "$name: a dump of then, $way");
            $node->safe_psql('postgres', "DROP DATABASE $old");
        }
        everything_works($db, $schema, "$name, updated");
        everything_works("copy_$db", $schema, "$name, updated and restored");
    }
}

# The halves of an upgrade.
foreach my $release (@releases)
{
    my $db = "halves_$release" =~ tr/./_/r;

    new_database($node, $db, "CREATE EXTENSION c360 VERSION '$release'; SELECT c360_install()");
    my ($then, $wanted) = map { c_functions($_) } $db, 'fresh_public';
    my @others = map { my $f = $_; map { "$f $_" } grep { my $call = $_; !grep { $_ eq $call } @{ $wanted->{$f} } } @{ $then->{$f} } }
        grep { $wanted->{$_} } sort keys %$then;
    cmp_ok(scalar keys %$then, '>', 50, "$release: C functions");
    is(join("\n", @others), '', "$release: a C function that is called now is called as then");
    works_or_says($db, 'Run ALTER EXTENSION c360 UPDATE; then SELECT c360_install();', "$release, library of now");
    new_database($node, "tables_$db", "CREATE EXTENSION c360 VERSION '$release'; SELECT c360_install(); ALTER EXTENSION c360 UPDATE");
    works_or_says("tables_$db", 'Run SELECT c360_install();', "$release, functions of now");
}

# A library that is older than the functions to be made is refused.
my $script = slurp_file($node->config_data('--sharedir') . "/extension/c360--$releases[-1]--$now.sql");
my ($guard) = $script =~ /^(DO \$\$.*?^END \$\$;)$/ms;
foreach my $library ($releases[-1], $now, '99.0.0')
{
    $node->safe_psql('postgres', qq{
        CREATE SCHEMA IF NOT EXISTS pretended;
        CREATE OR REPLACE FUNCTION pretended.c360_version() RETURNS text LANGUAGE sql AS \$\$ SELECT '$library' \$\$});
    my $error = error_of($node, 'postgres', $guard =~ s/\@extschema\@/pretended/gr);
    is($error ? "$error->{state} $error->{detail}" : 'goes on',
        $library eq $releases[-1] ? "55000 old_library: $library is loaded, $now is needed" : 'goes on', "a library of $library");
}

# Jobs of pg_cron go on as they were.
new_database($node, 'cron');
$node->restart;             # pg_cron's launcher finds its database
$node->safe_psql('cron', qq{
    CREATE EXTENSION pg_cron;
    CREATE EXTENSION c360 VERSION '$releases[0]';
    SELECT c360_install();
    SELECT c360_pg_cron_put(job, c360_shift_schedule(default_schedule, -7), 'postgres') FROM c360.jobs;
    UPDATE c360.jobs SET pg_cron_role = 'postgres';
    UPDATE c360.settings SET value = 'pg_cron' WHERE name = 'jobs_by'});
my $jobs = q{SELECT jobid, jobname, schedule, command, database, username, active FROM cron.job ORDER BY jobid};
my $registered = $node->safe_psql('cron', $jobs);
$node->safe_psql('cron', 'ALTER EXTENSION c360 UPDATE; SELECT c360_install()');
same_text($node->safe_psql('cron', $jobs), $registered, 'jobs of pg_cron stay registered');
$node->safe_psql('cron', $_) foreach rows_of($node, 'cron', 'SELECT command FROM cron.job ORDER BY jobid');
is($node->safe_psql('cron', q{SELECT count(*) FROM c360.job_runs WHERE error IS NULL AND ended_at IS NOT NULL}),
    scalar(split /\n/, $registered), 'what they call is there');
$node->safe_psql('cron', 'SELECT c360_schedule_jobs()');
like($node->safe_psql('cron', $jobs), qr/^\Q$registered\E/, 'registered again, they are the same');

done_testing();
