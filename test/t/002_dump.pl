# Dumps give everything back with no option to know, and the extension can be
# dropped and taken up again without losing a row.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Events;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump');
my $dir = PostgreSQL::Test::Utils::tempdir;

$node->start;
install($node, 'fresh');
install($node, 'shop');
# what the levels that are given below do to the functions
my $levels = q{SELECT c360_grant('pg_monitor', 'agent'), c360_grant('pg_monitor', 'stream')};
$node->safe_psql('fresh', $levels);
# and the first ticket of a year, which makes its numbers
my $first_ticket = q{SELECT c360_create_ticket('0912345678', 'OTHER')};
$node->safe_psql('fresh', $first_ticket);
my $fresh = catalog_text($node, 'fresh');
fill_every_table($node, 'shop');

# Copies a database by a dump; dies if any statement of it fails.
my %ways = (
    'pg_dump | psql' => sub {
        my ($from, $to) = @_;
        $node->command_ok([ 'pg_dump', '-f', "$dir/$to.sql", '-d', $node->connstr($from) ], 'pg_dump');
        $node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$to.sql", '-d', $node->connstr($to) ],
            'psql');
    },
    'pg_dump --inserts | psql' => sub {
        my ($from, $to) = @_;
        $node->command_ok([ 'pg_dump', '--inserts', '-f', "$dir/$to.sql", '-d', $node->connstr($from) ],
            'pg_dump --inserts');
        $node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$to.sql", '-d', $node->connstr($to) ],
            'psql');
    },
    'pg_dump -Fc and pg_restore -j2' => sub {
        my ($from, $to) = @_;
        $node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/$to.dump", '-d', $node->connstr($from) ], 'pg_dump -Fc');
        $node->command_ok([ 'pg_restore', '-j2', '--exit-on-error', '-d', $node->connstr($to), "$dir/$to.dump" ],
            'pg_restore -j2');
    });

my $called = 0;

# Old keys answer as before, new money moves, and new ids were never given out.
sub functions_work
{
    my ($db, $name) = @_;
    my $ids = q{SELECT coalesce(max(id), 0) FROM c360.};
    my %last = map { $_ => $node->safe_psql($db, $ids . $_) }
        qw(customers customer_activities virtual_credits wallet_transactions balance_history bank_links
           customer_orders customer_tickets ticket_history);
    my $last_code = $node->safe_psql($db, 'SELECT ticket_code FROM c360.customer_tickets ORDER BY id DESC LIMIT 1');

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($node->safe_psql($db, q{
        SELECT transaction_id, real_change, virtual_change, replayed
        FROM c360_withdraw('0912345678', 100000, 'DH2', idempotency_key => 'key-3')}),
        $node->safe_psql('shop', q{
        SELECT id, real_change, virtual_change, true FROM c360.wallet_transactions WHERE idempotency_key = 'key-3'}),
        "$name: a key of before answers as before");
    is(error_of($node, $db, q{SELECT c360_withdraw('0912345678', 100001, 'DH2', idempotency_key => 'key-3')})->{state},
        'PT409', "$name: and takes no other call");
    is($node->safe_psql($db, q{
        SELECT result FROM c360_ingest_bank_transaction('{"id": 2, "gateway": "ACB", "accountNumber": "75918",
            "transactionDate": "2026-01-02 03:04:05", "transferType": "in", "transferAmount": 60000,
            "content": "0905555555 ck"}')}),
        'duplicate', "$name: a known transfer is known");
    $called++;
    $node->safe_psql($db, qq{
        SELECT c360_deposit('0912345678', 4000), c360_deposit('0987654321', 5000);
        SELECT c360_issue_credit('0933333333', 3000);
        SELECT c360_withdraw('0912345678', 2000);
        SELECT c360_unfreeze_wallet('0987654321');
        SELECT c360_withdraw('0987654321', 1000);
        SELECT c360_ingest_bank_transaction('{"id": 10$called, "gateway": "ACB", "accountNumber": "75918",
            "transactionDate": "2026-01-02 03:04:05", "transferType": "in", "transferAmount": 1000,
            "content": "093444444$called ck"}');
        SELECT c360_record_order('0912345678', 'DH10$called', 1000)});
    cmp_ok($node->safe_psql($db, q{SELECT ticket_code FROM c360_create_ticket('0912345678', 'OTHER')}), 'gt', $last_code,
        "$name: ticket codes go on");
    verify_is_empty($node, $db, "$name: money moves and the books are right");
    foreach my $table (sort keys %last)
    {
        cmp_ok($node->safe_psql($db, "$ids$table"), '>', $last{$table}, "$name: ids of $table go on");
    }
    return;
}

sub round_trip
{
    my ($way, $from, $to, $name) = @_;

    new_database($node, $to);
    $ways{$way}->($from, $to);
    same_tables(table_texts($node, $to), table_texts($node, $from), "$name: all tables equal");
    same_text(sequence_texts($node, $to), sequence_texts($node, $from), "$name: all sequences go on");
    same_text(catalog_text($node, $to), catalog_text($node, $from), "$name: all objects equal");
    return;
}

same_text(catalog_text($node, 'shop'), $fresh, 'use changes no object');

my $copies = 0;
foreach my $way (sort keys %ways)
{
    my $copy = 'copy' . ++$copies;

    round_trip($way, 'shop', $copy, $way);
    my $tables = table_texts($node, $copy);
    is($node->safe_psql($copy, 'SELECT c360_install()'),
        $node->safe_psql('fresh', 'SELECT max(version) FROM c360.table_versions'), "$way: c360_install()");
    same_tables(table_texts($node, $copy), $tables, "$way: c360_install() changes no row");
    same_text(catalog_text($node, $copy), $fresh, "$way: and no object");
    guard_works($node, $copy, "$way: the ledger guard works");
    functions_work($copy, $way);
}

# What a DBA hangs on the tables is dumped with them.
$node->safe_psql('shop', q{
    CREATE TABLE public.seen (transaction_id bigint);
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.seen VALUES (NEW.id); RETURN NULL; END $$;
    CREATE TRIGGER see AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION public.see();
    ALTER TABLE c360.wallet_transactions ADD COLUMN branch text DEFAULT 'Hà Nội';
    ALTER TABLE c360.wallet_transactions ADD COLUMN thousands bigint GENERATED ALWAYS AS (amount / 1000) STORED;
    ALTER TABLE c360.customer_wallets ADD CONSTRAINT not_too_rich CHECK (balance < 1000000000000);
    CREATE INDEX by_name ON c360.customers (lower(name));
    COMMENT ON COLUMN c360.customers.internal_note IS 'never shown';
    SELECT c360_deposit('0912345678', 3000)});
round_trip('pg_dump | psql', 'shop', 'dba', 'objects of a DBA');
functions_work('dba', 'objects of a DBA');
is($node->safe_psql('dba', 'SELECT count(*) FROM public.seen'),
    $node->safe_psql('dba', q{SELECT count(*) FROM c360.wallet_transactions
        WHERE id >= (SELECT min(transaction_id) FROM public.seen)}),
    'objects of a DBA: his trigger fires once a row');

# DROP EXTENSION takes only what calls the code; what is left is taken up again.
my $before = table_texts($node, 'copy1');
my $rows = $node->safe_psql('copy1', 'SELECT max(id) FROM c360.wallet_transactions');
$node->safe_psql('copy1', 'DROP EXTENSION c360 CASCADE');
same_tables(table_texts($node, 'copy1'), $before, 'DROP EXTENSION CASCADE keeps every row');
unlike(catalog_text($node, 'copy1'), qr/^routine [^|]*c360/m, 'and no function');
$node->safe_psql('copy1', 'CREATE EXTENSION c360; SELECT c360_install()');
same_tables(table_texts($node, 'copy1'), $before, 'CREATE EXTENSION and c360_install() change no row');
same_text(catalog_text($node, 'copy1'), $fresh, 'and make whole what a fresh installation has');
guard_works($node, 'copy1', 'the ledger guard, too');
functions_work('copy1', 'taken up again');
is($node->safe_psql('copy1', "SELECT min(id) > $rows FROM c360.wallet_transactions WHERE reference_id IS NULL AND id > $rows"),
    't', 'no id of before is given out again');

# Without the extension the tables are dumped and restored, too.
$node->safe_psql('copy2', 'DROP EXTENSION c360 CASCADE');
round_trip('pg_dump -Fc and pg_restore -j2', 'copy2', 'bare', 'without the extension');
$node->safe_psql('bare', 'CREATE EXTENSION c360; SELECT c360_install()');
same_text(catalog_text($node, 'bare'), $fresh, 'without the extension: taken up where it was restored');
functions_work('bare', 'without the extension');

# Tables of a role that is no superuser, functions in a schema of their own.
$node->safe_psql('postgres', q{
    CREATE ROLE shop_owner NOLOGIN;
    CREATE ROLE somebody NOLOGIN});
foreach my $db (qw(owned owned_fresh))
{
    new_database($node, $db, q{
        CREATE SCHEMA api;
        CREATE EXTENSION c360 SCHEMA api});
    $node->safe_psql('postgres', qq{
        ALTER DATABASE $db SET search_path = api;
        GRANT CREATE ON DATABASE $db TO shop_owner, somebody});
    $node->safe_psql($db, q{
        GRANT USAGE, CREATE ON SCHEMA api TO shop_owner, somebody;
        GRANT EXECUTE ON FUNCTION c360_install(), c360_refuse_change(), c360_settings_changed(), c360_write_activity(text, text, bigint, text, text, jsonb),
            c360_apply_level(regrole, text) TO shop_owner, somebody;
        SET ROLE shop_owner;
        SELECT c360_install()});
}
$node->safe_psql('owned_fresh', $levels);
$node->safe_psql('owned_fresh', $first_ticket);
my $owned_fresh = catalog_text($node, 'owned_fresh');
is($node->safe_psql('owned', q{SELECT DISTINCT relowner::regrole FROM pg_class
        WHERE relnamespace = 'c360'::regnamespace AND relkind IN ('r', 'S')}),
    'shop_owner', 'the tables belong to who called c360_install()');
fill_every_table($node, 'owned');
foreach my $role (qw(somebody postgres))
{
    my $error = error_of($node, 'owned', "SET ROLE $role; SELECT c360_install()");

    is($error->{state}, '42501', "c360_install() by $role is refused");
    like($error->{detail}, qr/^other_owner: .*shop_owner/, 'and says whose the tables are');
}
same_text(catalog_text($node, 'owned'), $owned_fresh, 'which changes nothing');
new_database($node, 'owned_copy');
$ways{'pg_dump | psql'}->('owned', 'owned_copy');
$node->safe_psql('postgres', 'ALTER DATABASE owned_copy SET search_path = api');
same_tables(table_texts($node, 'owned_copy'), table_texts($node, 'owned'), 'another owner: all tables equal');
same_text(catalog_text($node, 'owned_copy'), $owned_fresh, 'another owner: all objects equal');
$node->safe_psql('owned_copy', 'SET ROLE shop_owner; SELECT c360_install()');
same_text(catalog_text($node, 'owned_copy'), $owned_fresh, 'another owner: c360_install() changes nothing');
guard_works($node, 'owned_copy', 'another owner: the ledger guard works');
is(error_of($node, 'owned_copy', 'SET ROLE shop_owner; DELETE FROM c360.wallet_transactions')->{state}, '0A000',
    'another owner: for the owner, too');
functions_work('owned_copy', 'another owner');

# Events: a dump with ticks, restored into a cluster where their transaction
# ids mean nothing. Cursors of there are refused, what comes from now on is
# told, from a new epoch on.
my $live = new_live_node('live', 'shop');
my $elsewhere = new_live_node('elsewhere', 'shop, halfway');

$_->start foreach $live, $elsewhere;
install_live($live, 'shop');
wait_for_worker($live, 'shop', 'c360 publisher');
my $start = cursor_now($live, 'shop');
$live->safe_psql('shop', deposit('0912345678', $_)) foreach 'a', 'b', 'c';
# overdue when it is restored
$live->safe_psql('shop', q{SELECT c360_issue_credit('0912345678', 700, expires_at => clock_timestamp() + interval '1 second')});
wait_announced($live, 'shop');
my @cursors = ($start, rows_of($live, 'shop', "SELECT cursor FROM c360_events_since('$start')"), cursor_now($live, 'shop'));
my $pass = $live->safe_psql('shop', 'SELECT c360_open_stream()');
$live->append_conf('postgresql.conf', "c360.notify = 'off'");
$live->reload;
$live->poll_query_until('shop', q{SELECT current_setting('c360.notify') = 'off'}) or die;
$live->safe_psql('shop', deposit('0912345678', 'd'));
push @cursors, $live->safe_psql('shop', 'SELECT cursor FROM c360_events_since()');
like($cursors[-1], qr/\.s/, 'a snapshot is among the cursors');
$live->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/live.dump", '-d', $live->connstr('shop') ], 'a database with ticks is dumped');

# Workers do nothing to a database of which only the rows are there.
new_database($elsewhere, 'halfway');
$elsewhere->command_ok([ 'pg_restore', "--section=$_", '--exit-on-error', '-d', $elsewhere->connstr('halfway'), "$dir/live.dump" ],
    "$_ is restored") foreach 'pre-data', 'data';
$elsewhere->safe_psql('halfway', q{UPDATE c360.settings SET value = 'worker' WHERE name = 'jobs_by'});
$elsewhere->poll_query_until('halfway', q{SELECT bool_and(expires_at < clock_timestamp()) FROM c360.virtual_credits}) or die;
my $half = table_texts($elsewhere, 'halfway');
$elsewhere->restart;
$elsewhere->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 launcher'}) or die;
my $then = $elsewhere->safe_psql('postgres', 'SELECT clock_timestamp()');
$elsewhere->poll_query_until('postgres', qq{
    SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 launcher' AND state_change > timestamptz '$then' + interval '2 seconds'})
    or die;
same_tables(table_texts($elsewhere, 'halfway'), $half, 'workers wait until a restore has ended');
$elsewhere->command_ok([ 'pg_restore', '--section=post-data', '--exit-on-error', '-d', $elsewhere->connstr('halfway'), "$dir/live.dump" ],
    'the rest is restored');

new_database($elsewhere, 'shop');
$elsewhere->command_ok([ 'pg_restore', '-j2', '--exit-on-error', '-d', $elsewhere->connstr('shop'), "$dir/live.dump" ],
    'a dump with ticks is restored in another cluster');
my $tick = $elsewhere->safe_psql('shop', 'SELECT max(id) FROM c360.event_ticks');
$elsewhere->safe_psql('shop', 'SELECT c360_install()');
wait_for_worker($elsewhere, 'shop', 'c360 publisher');
wait_announced($elsewhere, 'shop');
is(error_in($elsewhere, 'shop', "SELECT * FROM c360_events_since('$_')"), 'PT410 cursor_expired', "$_ of the other cluster is refused")
    foreach @cursors;
like($elsewhere->safe_psql('shop', "SELECT c360_events(after => '$cursors[0]')"), qr/^event: reset$/m, 'a stream is reset');
my $new = cursor_now($elsewhere, 'shop');
my $listener = listen_to($elsewhere, 'shop', 'wallets');
$elsewhere->safe_psql('shop', deposit('0912345678', 'e'));
is(join(' ', map { name_of($_->{payload}) } heard_until($listener, 'e')), 'e', 'new events are heard, old ones not again');
$listener->{session}->quit;
wait_announced($elsewhere, 'shop');
is(names_of(read_events($elsewhere, 'shop', $new)), 'e', 'and read');
cmp_ok(($new =~ /\.(\d+)/)[0], '>=', $tick + 1000000, 'ticks begin far away');
is($elsewhere->safe_psql('shop', 'SELECT count(DISTINCT epoch), count(DISTINCT system_identifier) FROM c360.event_epochs'), '2|2',
    'in another epoch');
# and back: the old cluster knows nothing of the new one
is(error_in($live, 'shop', "SELECT * FROM c360_events_since('$new')"), 'PT410 cursor_expired', 'the other way round, too');
# in the same cluster a copy is another history, too
new_database($live, 'copy');
$live->command_ok([ 'pg_restore', '--exit-on-error', '-d', $live->connstr('copy'), "$dir/live.dump" ], 'restored beside itself');
is(error_in($live, 'copy', "SELECT * FROM c360_events_since('$_')"), 'PT410 cursor_expired', "$_ of the database beside is refused")
    foreach @cursors[ 0, 1, -1 ];
is(names_of(read_events($live, 'shop', $start)), 'customer.created a b c wallet.virtual_credit d', 'where they hold as before');
verify_is_empty($elsewhere, 'shop', 'the books are right');

done_testing();
