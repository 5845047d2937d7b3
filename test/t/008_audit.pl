# Errors that leave c360 functions are recorded although their transactions
# are rolled back; nothing else is, and nobody waits for it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use C360Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('audit');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'c360'\nc360.databases = 'shop'\n");
$node->start;
install($node, 'shop');
$node->safe_psql('shop', q{
    SELECT c360_deposit('0912345678', 1000);
    SELECT c360_issue_credit('0912345678', 500, 'PROMOTION');
    CREATE ROLE authenticator LOGIN;
    CREATE ROLE clerk LOGIN;
    SELECT c360_grant('authenticator', 'admin'), c360_grant('clerk', 'agent')});

sub runner_pid
{
    $node->poll_query_until('postgres', q{
        SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'c360 job runner'})
        or die 'no job runner';
    return $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'c360 job runner'});
}

# A call that fails is recorded at its end; so all that came before it is, too.
my $marks = 0;

sub recorded
{
    my ($columns) = @_;
    my $mark = 'mark ' . ++$marks;

    $node->psql('shop', "SELECT c360_set('$mark', '1')");
    $node->poll_query_until('shop', qq{SELECT count(*) = 1 FROM c360.audit_logs WHERE detail LIKE '%"$mark"%'})
        or die "$mark is not recorded";
    my @rows = rows_of($node, 'shop', qq{
        SELECT $columns FROM c360.audit_logs, generate_series(1, times)
        WHERE detail NOT LIKE '%"mark %"%' OR detail IS NULL ORDER BY id});
    $node->safe_psql('shop', 'TRUNCATE c360.audit_logs');
    return join "\n", @rows;
}

runner_pid();
is(recorded('*'), '', 'what succeeds is not recorded');

# Functions of each kind
$node->psql('shop', q{SELECT c360_withdraw('0912345678', 5000)});
$node->psql('shop', q{SELECT c360_wallet('0987654321')});
$node->psql('shop', q{UPDATE c360.wallet_transactions SET amount = 1});
$node->psql('shop', q{SELECT c360_wallets(ARRAY[NULL, 'no phone'])});
is(recorded('function, sqlstate, message, detail, actor, session_user_name'), join("\n",
    'c360_withdraw|PT402|insufficient funds|insufficient_funds: available 1500, requested 5000|postgres|postgres',
    'c360_wallet|PT404|no such customer|customer_not_found: phone 0987654321|postgres|postgres',
    'c360_refuse_change|0A000|the ledger is append-only|append_only: rows of c360.wallet_transactions are never changed or removed|postgres|postgres',
    'c360_wallets|22023|invalid phone number|invalid_phone: phone "no phone"|postgres|postgres'),
    'errors of functions in C and PL/pgSQL, of a trigger and of a set of rows; of nested calls the outermost');

# The procedure commits in its own transactions, and goes on through the hook.
$node->safe_psql('shop', q{
    UPDATE c360.virtual_credits SET expires_at = now() - interval '1 day';
    CALL c360_expire_all()});
is($node->safe_psql('shop', q{SELECT virtual_balance FROM c360_wallet('0912345678')}), '0', 'the procedure commits');
$node->psql('shop', q{BEGIN; CALL c360_expire_all(); COMMIT});
$node->psql('shop', q{DO 'BEGIN CALL c360_expire_all(); END'});
is(recorded('function, sqlstate'), 'c360_expire_all|2D000', 'in a transaction block it fails, which is recorded');

# Who caught it
$node->safe_psql('shop', q{
    CREATE FUNCTION caught(command text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE command;
        RETURN 'none';
    EXCEPTION WHEN OTHERS THEN
        RETURN SQLSTATE;
    END $$;
    CREATE FUNCTION shop_check() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM public.caught('SELECT public.c360_wallet(''0987654321'')');
        RETURN new;
    END $$});
is($node->safe_psql('shop', q{
    SELECT caught($$SELECT c360_withdraw('0912345678', 6000)$$);
    SELECT caught('SELECT 1/0'), caught('SELECT no_function()');
    BEGIN; SELECT caught($$SELECT c360_set('nothing', '1')$$); ROLLBACK}),
    "PT402\n22012|42883\n22023", 'the application catches errors');
is(recorded('function, sqlstate'), "c360_withdraw|PT402\nc360_set|22023",
    'they have left a c360 function, so they are recorded; those of others are not');
$node->safe_psql('shop', q{
    GRANT EXECUTE ON FUNCTION caught TO PUBLIC;
    CREATE TRIGGER shop_check BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION shop_check();
    SELECT c360_deposit('0912345678', 1);
    DROP TRIGGER shop_check ON c360.wallet_transactions});
is(recorded('function'), '', 'what is caught inside a c360 function has not left it');
$node->safe_psql('shop', q{SELECT c360_normalize_phone('x')});
$node->psql('shop', q{SELECT c360_parse_transfer(repeat('x', 1000001))});
$node->psql('shop', q{SET ROLE clerk; SELECT c360_deposit('0912345678', 1)});
is(recorded('function'), '', 'nor are those of pure functions, or that no function ran for');

# After errors of all depths the next one is recorded still.
$node->psql('shop', q{
    SELECT caught($$SELECT c360_wallet('0987654321')$$);
    SELECT c360_wallet('0987654321');
    BEGIN; SELECT c360_install(); SAVEPOINT a; SELECT c360_wallet('0987654321'); ROLLBACK TO a;
    SELECT c360_set('nothing', '1'); ROLLBACK;
    SELECT c360_withdraw('0912345678', 7000)}, on_error_stop => 0);
is(recorded('function'), "c360_wallet\nc360_wallet\nc360_wallet\nc360_set\nc360_withdraw",
    'a session goes on, and its functions change under it');
$node->psql('shop', q{SET statement_timeout = 100; BEGIN; LOCK c360.settings; SELECT c360_set('max_amount', '1') FROM pg_sleep(10)});
is(recorded('function'), '', 'a timeout before the call');
my $lock = $node->background_psql('shop');
$lock->query_safe('BEGIN; LOCK c360.settings');
$node->psql('shop', q{SET lock_timeout = 100; SELECT c360_set('max_amount', '1')});
$lock->query_safe('ROLLBACK');
$lock->quit;
is(recorded('function, sqlstate, detail'), 'c360_set|55P03|', 'and a lock that is not got, within it');

# A lost race, as its caller gets it
foreach my $method ('', 'POST')
{
    my $late = $node->background_psql('shop', on_error_stop => 0);

    $late->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM c360.customers');
    $node->safe_psql('shop', qq{SELECT c360_set_status('0912345678', 'VIP', reason => 'x$method', locked => '$method' = '')});
    $late->query("SET LOCAL request.method = '$method'; SELECT c360_change_phone('0912345678', '0912345679', 'new')");
    $late->quit;
}
is(recorded('function, sqlstate, detail'), "c360_change_phone|40001|\n"
    . 'c360_change_phone|PT409|retry: another transaction changed the same rows',
    'a serialization failure is recorded as it left, under PostgREST as PT409');

# Actors
my $claims = sub { return "SET request.jwt.claims = '" . shift . "'; SELECT c360_wallet('0987654321')" };
my $long = '"app": {"email": "not@this.vn", "x": "' . ('\\"é' x 2000) . '"}, ';
foreach my $case (
    [ clerk => '{"email": "an@shop.vn"}', 'clerk', 'claims are not believed of everybody' ],
    [ authenticator => '{"email": "an@shop.vn"}', 'an@shop.vn', 'they are of an authenticator' ],
    [ authenticator => '{"sub": "7", "name" :"Đặng \\"An\\""}', 'Đặng "An"', 'the best claim counts' ],
    [ authenticator => "{$long\"email\" : \"binh\@shop.vn\"}", 'binh@shop.vn', 'claims may be long' ],
    [ authenticator => '{"app": {"email": "not@this.vn"}, "sub": "8"}', '8', 'only those of the outermost object count' ],
    [ authenticator => '{"email": "' . 'x' x 1000 . '", "sub": "7"}', '7', 'what does not fit is left out' ],
    [ authenticator => '{"email": "an@shop.vn', 'authenticator', 'claims may be no JSON' ],
    [ authenticator => '{"email": "an\\q", "sub": "7"}', 'authenticator', 'or JSON with a wrong escape' ],
    [ authenticator => '{"email": ["a@b.vn"], "roles": ["email", "sub"]}', 'authenticator', 'or name nobody' ],
    [ authenticator => '', 'authenticator', 'or be empty' ])
{
    my ($user, $text, $actor, $name) = @$case;

    $node->psql('shop', $claims->($text), extra_params => [ '-U', $user ]);
    is(recorded('actor, session_user_name'), "$actor|$user", "actors: $name");
}

# Texts of any length, cut between characters
$node->psql('shop', q{DO $$ BEGIN PERFORM c360_deposit('0912345678', 1, note => 'x', reference_id => repeat('é', 201)); END $$});
$node->safe_psql('shop', q{
    CREATE FUNCTION shop_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING MESSAGE = repeat('đ', 3000), DETAIL = 'x' || repeat('đ', 3000);
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION shop_refuse()});
$node->psql('shop', q{SELECT c360_deposit('0912345678', 1)});
$node->safe_psql('shop', 'DROP TRIGGER refuse ON c360.wallet_transactions');
is(recorded(q{function, sqlstate, message = repeat('đ', length(message)), length(message) > 100,
              detail = 'x' || repeat('đ', length(detail) - 1), length(detail) > 200}),
    "c360_deposit|22001|f|f|f|f\nc360_deposit|P0001|t|t|t|t", 'texts are cut between characters');

# A role that is gone when its error is written
my $runner = runner_pid();
kill 'STOP', $runner;
$node->safe_psql('shop', q{CREATE ROLE guest LOGIN; SELECT c360_grant('guest', 'agent')});
$node->psql('shop', q{SELECT c360_wallet('0987654321')}, extra_params => [ '-U', 'guest' ]);
my $oid = $node->safe_psql('shop', q{SELECT 'guest'::regrole::oid; SELECT c360_revoke('guest'); DROP ROLE guest});
$oid =~ s/\s//g;
kill 'CONT', $runner;
is(recorded('actor, session_user_name'), "$oid|$oid", 'a role that is gone is told by its number');

# The ring is full: the rest is counted, nobody waits.
my $offset = -s $node->logfile;
kill 'STOP', $runner;
my @outcomes = rows_of($node, 'shop', q{
    SET statement_timeout = '60s';
    SELECT caught(format('SELECT c360_withdraw(''0912345678'', %s)', 1000000 + n)) FROM generate_series(1, 200) AS n});
is(scalar(grep { $_ eq 'PT402' } @outcomes), 200, 'with the runner stopped 200 calls fail as they should');
kill 'CONT', $runner;
$node->poll_query_until('shop', 'SELECT count(*) >= 128 FROM c360.audit_logs') or die 'nothing is recorded';
is($node->safe_psql('shop', q{
    SELECT count(*), min(substring(detail FROM '\d+$')), max(substring(detail FROM '\d+$')), count(DISTINCT detail)
    FROM c360.audit_logs}), '128|1000001|1000128|128', 'the first 128 are recorded, once each');
$node->wait_for_log(qr/c360 could not record 72 errors/, $offset);
pass('and the other 72 are counted');
$node->safe_psql('shop', 'TRUNCATE c360.audit_logs');
is(recorded('function'), '', 'then there is room again');

# Rows that cannot be written do not keep the others from it.
$offset = -s $node->logfile;
$node->safe_psql('shop', q{ALTER TABLE c360.audit_logs ADD CHECK (function <> 'c360_wallet')});
$node->psql('shop', q{SELECT c360_wallet('0987654321')});
$node->psql('shop', q{SELECT c360_withdraw('0912345678', 5000)});
is(recorded('function'), 'c360_withdraw', 'a row that a CHECK refuses does not stop the others');
ok($node->log_contains(qr/could not record an error of c360_wallet: .*\n.*PT404: no such customer/, $offset),
    'and stands in the log');
$node->safe_psql('shop', q{ALTER TABLE c360.audit_logs DROP CONSTRAINT audit_logs_function_check});

# The runner dies; what comes meanwhile waits for the next one.
kill 'STOP', $runner;
$node->psql('shop', q{SELECT c360_wallet('0987654321')});
kill 'TERM', $runner;
kill 'CONT', $runner;
$node->poll_query_until('postgres', qq{SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $runner}) or die;
$node->psql('shop', q{SELECT c360_withdraw('0912345678', 5000)});
is(recorded('function'), "c360_wallet\nc360_withdraw", 'a runner that was ended is replaced, errors wait for it');
isnt(runner_pid(), $runner, 'by another one');

# Old rows are removed, soon after a runner starts.
$node->safe_psql('shop', q{
    SELECT c360_set('audit_retention_days', '10');
    INSERT INTO c360.audit_logs (at, function, sqlstate, message, actor, session_user_name)
    SELECT now() - make_interval(days => n), 'c360_' || n, '22023', 'old', 'an', 'an'
    FROM unnest(ARRAY[5, 9, 11, 100]) AS n;
    INSERT INTO c360.audit_logs (at, function, sqlstate, message, actor, session_user_name)
    SELECT now() - interval '30 days', 'many', '22023', 'old', 'an', 'an' FROM generate_series(1, 2500)});
$node->restart;
$node->poll_query_until('shop', q{SELECT count(*) = 0 FROM c360.audit_logs WHERE at < now() - interval '10 days'})
    or die 'old rows stay';
is($node->safe_psql('shop', q{SELECT string_agg(function, ' ' ORDER BY id) FROM c360.audit_logs}), 'c360_5 c360_9',
    'rows older than audit_retention_days are removed');
$node->safe_psql('shop', 'TRUNCATE c360.audit_logs');

# After a restart; and a database that is not served
$node->psql('shop', q{SELECT c360_wallet('0987654321')});
is(recorded('function'), 'c360_wallet', 'after a restart it goes on');
install($node, 'other');
$node->psql('other', q{SELECT c360_wallet('0987654321')});
is(recorded('function'), '', 'an error in another database is not recorded here');
is($node->safe_psql('other', 'SELECT count(*) FROM c360.audit_logs'), '0', 'nor there, without a runner');

# Without preload nothing is recorded, and calls fail as ever.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
is(error_of($node, 'shop', q{SELECT c360_wallet('0987654321')})->{state}, 'PT404', 'without preload calls fail as ever');
is($node->safe_psql('shop', 'SELECT count(*) FROM c360.audit_logs'), '0', 'and nothing is recorded');

done_testing();
