# c360_install() brings tables of every older version forward with their rows,
# and a session finds its way when tables or extension are replaced under it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Rows;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('upgrade');
$node->start;
install($node, 'fresh');
my $fresh = catalog_text($node, 'fresh');
my $last = $node->safe_psql('fresh', 'SELECT c360_install()');

# Tables of version $version, made by c360_install() itself that returns
# before the next step and before what every version makes whole.
sub install_version
{
    my ($db, $version) = @_;
    my $next = 'IF installed < ' . ($version + 1) . ' THEN';

    return $node->safe_psql($db, 'SELECT c360_install()') if $version == $last;
    $node->safe_psql($db, qq{
        DO \$\$
        DECLARE
            body text := (SELECT prosrc FROM pg_proc WHERE oid = 'c360_install()'::regprocedure);
        BEGIN
            IF length(body) - length(replace(body, '$next', '')) <> length('$next') THEN
                RAISE 'c360_install() has no step ${\($version + 1)}';
            END IF;
            EXECUTE format('CREATE FUNCTION old_install() RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS %L',
                           replace(body, '$next', 'RETURN installed; $next'));
        END \$\$});
    my $made = $node->safe_psql($db, 'SELECT old_install()');
    $node->safe_psql($db, 'DROP FUNCTION old_install()');
    return $made;
}

sub not_installed
{
    my ($db, $name) = @_;
    my @wrong;

    foreach my $call (grep { $_->[0] ne 'c360_install' } @WRITES, @READS)
    {
        my $error = error_of($node, $db, $call->[1]);

        push @wrong, "$call->[1]: " . ($error ? $error->{text} : 'done')
            unless $error && $error->{state} eq '55000' && ($error->{hint} // '') eq 'Run SELECT c360_install();';
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join("\n", @wrong), '', $name);
}

new_database($node, 'version0', 'CREATE EXTENSION c360');
not_installed('version0', 'without tables every function says so');

foreach my $version (1 .. $last)
{
    my $db = "version$version";

    new_database($node, $db, 'CREATE EXTENSION c360');
    is(install_version($db, $version), $version, "tables of version $version");
    my $columns = columns_of_tables($node, $db);
    $node->safe_psql($db, $_->[1]) foreach grep { $columns->{ $_->[0] } } @ROWS;
    my @empty = grep { $node->safe_psql($db, "SELECT count(*) FROM c360.$_") == 0 } sort keys %$columns;
    is("@empty", '', "version $version: every table has rows");
    delete $columns->{table_versions};
    my $before = rows_in_columns($node, $db, $columns);
    my $versions = $node->safe_psql($db, 'SELECT * FROM c360.table_versions ORDER BY version');

    not_installed($db, "version $version: every function says that the tables are older") if $version < $last;
    my $error = error_of($node, $db, 'BEGIN; SELECT c360_install(); SELECT 1/0; COMMIT');
    is($error->{state}, '22012', "version $version: an installation that is rolled back");
    is($node->safe_psql($db, 'SELECT max(version) FROM c360.table_versions'), $version, 'leaves the version');

    is($node->safe_psql($db, 'SELECT c360_install()'), $last, "version $version: c360_install() answers the newest");
    like($node->safe_psql($db, 'SELECT * FROM c360.table_versions ORDER BY version'), qr/^\Q$versions\E/,
        "version $version: the steps of before are not run again");
    is($node->safe_psql($db, q{SELECT string_agg(version::text, ' ' ORDER BY version) FROM c360.table_versions}),
        join(' ', 1 .. $last), "version $version: each step once");
    my $settings = delete $columns->{settings};
    same_text(rows_in_columns($node, $db, $columns) . '|', ($before =~ s/^settings .*\n?//mgr =~ s/\n$//r) . '|',
        "version $version: rows are kept");
    like(rows_in_columns($node, $db, { settings => $settings }), qr/\(refund_grace_days,9,/,
        "version $version: and the shop's settings");
    is($node->safe_psql($db, q{SELECT count(*) FROM c360.settings WHERE description = 'words of before'}), '0',
        "version $version: with the words of now");
    same_text(catalog_text($node, $db), $fresh, "version $version: all objects as in a fresh installation");

    $node->safe_psql($db, q{
        SELECT c360_deposit('0912345678', 4000), c360_deposit('0987654321', 3000);
        SELECT c360_issue_credit('0912345678', 2000);
        SELECT c360_withdraw('0912345678', 3000), c360_withdraw('0987654321', 1000);
        SELECT c360_ingest_bank_transaction('{"id": 2, "gateway": "ACB", "transactionDate": "2026-01-02 03:04:05",
            "accountNumber": "75918", "transferType": "in", "transferAmount": 70000, "content": "0987654321 ck"}')});
    verify_is_empty($node, $db, "version $version: money moves and the books are right");
    # 4000 + 2000 - 3000, and 3000 - 1000 + 70000, on top of what was there
    is(join(' ', rows_of($node, $db, q{
        SELECT p, (SELECT balance + virtual_balance FROM c360_wallet(p)) FROM unnest('{0912345678,0987654321}'::text[]) p})),
        $version < 3 ? '0912345678|3000 0987654321|72000' : '0912345678|93000 0987654321|84000',
        "version $version: on the balances of before");
    is($node->safe_psql($db, q{SELECT string_agg(id || ' ' || phone, ', ' ORDER BY id) FROM c360.customers}),
        '1 0912345678, 2 0987654321', "version $version: customers are found, not made again");
    guard_works($node, $db, "version $version: the ledger guard works");
}

# Two installations at once: the second waits and finds everything done.
new_database($node, 'twice', 'CREATE EXTENSION c360');
my $empty = catalog_text($node, 'twice');
my $first = $node->background_psql('twice');
my $second = $node->background_psql('twice');
$first->query_safe('BEGIN');
is($first->query_safe('SELECT c360_install()'), $last, 'the first of two installations');
$second->query_until(qr/started/, "\\echo started\nSELECT c360_install();\n");
$node->poll_query_until('twice', q{
    SELECT count(*) = 1 FROM pg_stat_activity
    WHERE datname = 'twice' AND query LIKE '%c360_install%' AND wait_event_type = 'Lock'})
    or die 'the second installation does not wait';
$first->query_safe('COMMIT');
is($second->query_safe(q{SELECT string_agg(version::text, ' ' ORDER BY version) FROM c360.table_versions}) =~ s/^.*\n//sr,
    join(' ', 1 .. $last), 'the second waited and made nothing twice');
$first->quit;
$second->quit;
same_text(catalog_text($node, 'twice'), $fresh, 'two installations make one');

# One that is rolled back leaves nothing, and its session knows.
new_database($node, 'rolled_back', 'CREATE EXTENSION c360');
my $session = $node->background_psql('rolled_back', on_error_stop => 0);
session_query($session, '\set VERBOSITY verbose');
is((session_query($session, q{
    BEGIN; SELECT c360_install(); SELECT transaction_id FROM c360_deposit('0912345678', 1000); ROLLBACK}))[0],
    "$last\n1", 'an installation can be used in its own transaction');
like((session_query($session, q{SELECT c360_deposit('0912345678', 1000)}))[1], qr/55000/,
    'rolled back, its session knows');
same_text(catalog_text($node, 'rolled_back'), $empty, 'and nothing is left');
session_query($session, 'BEGIN; SAVEPOINT a; SELECT c360_install(); ROLLBACK TO a; SELECT c360_install(); COMMIT');
same_text(catalog_text($node, 'rolled_back'), $fresh, 'after a savepoint, too');

# A session that used tables and functions goes on when they are replaced.
sub all_calls_succeed
{
    my ($name) = @_;
    my @wrong;

    foreach my $call (@WRITES, @READS, @READS)
    {
        my ($out, $error) = session_query($session, $call->[1]);

        push @wrong, "$call->[1]: $error" if $error ne '';
    }
    push @wrong, 'books' if (session_query($session, 'SELECT count(*) FROM c360_verify_wallets()'))[0] ne '0';
    push @wrong, 'ids' if (session_query($session, 'SELECT min(id) FROM c360.wallet_transactions'))[0] ne '1';
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join("\n", @wrong), '', $name);
}

all_calls_succeed('a session calls every function');
is((session_query($session, q{
    PREPARE deposit AS SELECT balance FROM c360_deposit('0901111111', 1000);
    EXECUTE deposit}))[0], '1000', 'and prepares a statement');
$node->safe_psql('rolled_back', 'DROP SCHEMA c360 CASCADE');
like((session_query($session, $_->[1]))[1], qr/55000.*HINT:  Run SELECT c360_install\(\);/s,
    "another session drops the tables: $_->[0] says so")
    foreach grep { $_->[0] ne 'c360_install' } @WRITES, @READS;
$node->safe_psql('rolled_back', 'SELECT c360_install()');
all_calls_succeed('and makes them anew: the session goes on');
is((session_query($session, 'EXECUTE deposit'))[0], '1000', 'its prepared statement, too');
session_query($session, 'DROP SCHEMA c360 CASCADE');
all_calls_succeed('the session drops and makes the tables itself');
unlike((session_query($session, 'BEGIN; DROP SCHEMA c360 CASCADE; SELECT c360_install(); ROLLBACK'))[1], qr/ERROR/,
    'it does so in a transaction that is rolled back');
is((session_query($session, q{SELECT balance - 1000 = (SELECT balance FROM c360_balance_at('0912345678', '2030-01-01'))
        FROM c360_deposit('0912345678', 1000)}))[0], 't', 'and uses the old ones again');
session_query($session, 'DROP EXTENSION c360 CASCADE; CREATE EXTENSION c360; SELECT c360_install()');
my $balance = $node->safe_psql('rolled_back', q{SELECT balance FROM c360_wallet('0912345678')});
is((session_query($session, q{SELECT balance FROM c360_deposit('0912345678', 1000)}))[0], $balance + 1000,
    'it drops and creates the extension: the tables are as they were');
is((session_query($session, 'EXECUTE deposit'))[0], '1000', 'its prepared statement finds the new function');
is(error_of($node, 'rolled_back', 'DELETE FROM c360.wallet_transactions')->{state}, '0A000', 'and the guard is back');
session_query($session, 'DROP EXTENSION c360 CASCADE; DROP SCHEMA c360 CASCADE; CREATE EXTENSION c360');
all_calls_succeed('it replaces both');
$session->quit;
$node->safe_psql('fresh', q{SELECT c360_create_ticket('0912345678', 'OTHER')});     # which makes the numbers of its year
$fresh = catalog_text($node, 'fresh');
same_text(catalog_text($node, 'rolled_back'), $fresh, 'after all of it the objects are those of a fresh installation');

done_testing();
