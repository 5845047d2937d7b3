# What the TAP tests of c360 share: clusters, sample calls of every function,
# a database with every kind of row, and catalogs and tables as text.
package C360Test;

use strict;
use warnings;

use Exporter 'import';
use File::Temp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
    new_node new_database install error_of rows_of session_query
    catalog_text table_texts sequence_texts same_text same_tables
    fill_every_table guard_works verify_is_empty
    @WRITES @READS %NOT_CALLED routines shop_year wait_for_server
);

# The server comes back after a crash. Until it does psql ends before it has
# read what it is to do, which is an error of its own.
sub wait_for_server
{
    my ($node) = @_;

    foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        return if eval { $node->psql('postgres', 'SELECT true') == 0 };
        usleep(100_000);
    }
    die 'the server does not come back';
}

# Ticket codes have the year of the shop's clock.
sub shop_year
{
    return 1900 + (gmtime(time + 7 * 3600))[5];
}
my $first_ticket = 'TV-' . shop_year() . '-00001';

# One call of each function. On tables just installed they succeed in this
# order: ids begin at 1, and the withdrawal is transaction 3.
our @WRITES = (
    [ 'c360_install', q{SELECT c360_install()} ],
    [ 'c360_get_or_create_customer', q{SELECT c360_get_or_create_customer('0912 345 678', 'An')} ],
    [ 'c360_deposit', q{SELECT c360_deposit('0912345678', 100000)} ],
    [ 'c360_issue_credit', q{SELECT c360_issue_credit('0912345678', 50000)} ],
    [ 'c360_withdraw', q{SELECT c360_withdraw('0912345678', 60000)} ],
    [ 'c360_refund', q{SELECT c360_refund(3, 20000)} ],
    [ 'c360_adjust', q{SELECT c360_adjust('0912345678', -5000, 'counted once more')} ],
    [ 'c360_cancel_credit', q{SELECT c360_cancel_credit(1, 'wrong')} ],
    [ 'c360_freeze_wallet', q{SELECT c360_freeze_wallet('0912345678', 'looked into')} ],
    [ 'c360_unfreeze_wallet', q{SELECT c360_unfreeze_wallet('0912345678')} ],
    [ 'c360_expire_credits', q{SELECT c360_expire_credits()} ],
    [ 'c360_expire_all', q{CALL c360_expire_all()} ],
    [ 'c360_ingest_bank_transaction', q{SELECT c360_ingest_bank_transaction('{"id": 1, "gateway": "ACB",
        "transactionDate": "2026-01-02 03:04:05", "accountNumber": "75918", "transferType": "in",
        "transferAmount": 70000, "content": "0987654321 ck"}')} ],
    [ 'c360_create_qr_code', q{SELECT c360_create_qr_code('0912345678')} ],
    [ 'c360_ingest_bank_transactions', q{SELECT c360_ingest_bank_transactions('[{"id": 2, "bank_brand_name": "ACB",
        "transaction_date": "2026-01-02 03:04:06", "account_number": "75918", "amount_in": "80000.00", "amount_out": "0.00",
        "transaction_content": "0987654321 va 0912345678"}, {"id": 3, "bank_brand_name": "ACB", "account_number": "75918",
        "transaction_date": "2026-01-02 03:04:06", "amount_in": "90000.00", "transaction_content": "ck"}]')} ],
    [ 'c360_skip_match', q{SELECT c360_skip_match(1, 'asked back')} ],
    [ 'c360_undo_skip_match', q{SELECT c360_undo_skip_match(1)} ],
    [ 'c360_resolve_match', q{SELECT c360_resolve_match(1, '0987654321')} ],
    [ 'c360_link_transaction', q{SELECT c360_link_transaction(3, '0987654321')} ],
    [ 'c360_unlink_transaction', q{SELECT c360_unlink_transaction(3, 'of somebody else')} ],
    [ 'c360_process_bank', q{SELECT c360_process_bank()} ],
    [ 'c360_rematch_transactions', q{SELECT c360_rematch_transactions('2026-01-01', '2026-01-31')} ],
    [ 'c360_ignore_number', q{SELECT c360_ignore_number('1900 1234', 'hotline')} ],
    [ 'c360_unignore_number', q{SELECT c360_unignore_number('1900 1234')} ],
    [ 'c360_retire_qr_code', q{SELECT c360_get_or_create_customer('0977000004'), c360_retire_qr_code(c360_create_qr_code('0977000004'))} ],
    [ 'c360_sepay_webhook', q{SELECT c360_set('sepay_api_key_hash', encode(sha256('key'), 'hex')),
        set_config('request.headers', '{"authorization": "Apikey key"}', false),
        c360_sepay_webhook('{"id": 4, "gateway": "ACB", "transactionDate": "2026-01-02 03:04:05", "accountNumber": "75918",
        "transferType": "out", "transferAmount": 70000}')} ],
    [ 'c360_upsert_customer', q{SELECT c360_upsert_customer('0912345678', email => 'an@shop.vn')} ],
    [ 'c360_upsert_tpos_customer', q{SELECT c360_upsert_tpos_customer('0912345678', '{"Id": 7, "Name": "An"}')} ],
    [ 'c360_set_tier', q{SELECT c360_set_tier('0912345678', 'gold')} ],
    [ 'c360_set_status', q{SELECT c360_set_status('0912345678', 'VIP')} ],
    [ 'c360_add_note', q{SELECT c360_add_note('0912345678', 'asks for invoices')} ],
    [ 'c360_erase_customer', q{SELECT c360_get_or_create_customer('0977000001'), c360_erase_customer('0977000001', 'asked')} ],
    [ 'c360_change_phone', q{SELECT c360_get_or_create_customer('0977000002'), c360_change_phone('0977000002', '0977000003', 'asked')} ],
    [ 'c360_set', q{SELECT c360_set('refund_grace_days', '8')} ],
    [ 'c360_grant', q{SELECT c360_grant('pg_monitor', 'viewer')} ],
    [ 'c360_revoke', q{SELECT c360_revoke('pg_monitor')} ],
    # the deposits come after the scan, so that the next one finds them
    [ 'c360_scan_fraud', q{SELECT rule, (SELECT count(c360_deposit('0977000004', 6000000)) FROM generate_series(1, 6)) FROM c360_scan_fraud()} ],
    [ 'c360_scan_fraud_all', q{CALL c360_scan_fraud_all()} ],
    [ 'c360_set_fraud_rule', q{SELECT c360_set_fraud_rule('wallet_abuse', 'shadow', parameters => '{"more_than": 6}')} ],
    [ 'c360_snooze_fraud_rule', q{SELECT c360_snooze_fraud_rule('0912345678', 'wallet_abuse', '2036-01-01', 'a reseller')} ],
    [ 'c360_review_fraud_flag', q{SELECT c360_review_fraud_flag(1, 'dismissed')} ],
    [ 'c360_perform_job', q{CALL c360_perform_job('expire_credits')} ],
    [ 'c360_run_job', q{SELECT c360_run_job('expire_credits')} ],
    [ 'c360_set_job', q{SELECT c360_set_job('expire_credits', '5 * * * *', true)} ],
    [ 'c360_unschedule_jobs', q{SELECT c360_unschedule_jobs()} ],
    [ 'c360_open_stream', q{SELECT c360_open_stream('{wallets,wallet:0912345678}')} ],
    [ 'c360_record_order', q{SELECT c360_record_order('0912345678', 'DH1', 200000, '2026-01-02', 'delivered')} ],
    [ 'c360_update_rfm', q{SELECT c360_update_rfm('0912345678')} ],
    [ 'c360_refresh_rfm', q{SELECT c360_refresh_rfm()} ],
    [ 'c360_refresh_rfm_all', q{CALL c360_refresh_rfm_all(true)} ],
    [ 'c360_update_rfm_threshold', q{SELECT c360_update_rfm_threshold('recency', 4, 8)} ],
    [ 'c360_create_ticket', q{SELECT c360_create_ticket('0912345678', 'HOAN', 'DH1', refund_amount => 1000)} ],
    [ 'c360_update_ticket', qq{SELECT c360_update_ticket('$first_ticket', '{"subject": "broken"}')} ],
    [ 'c360_ticket_action', qq{SELECT c360_ticket_action('$first_ticket', 'wait_carrier', deadline => '2026-01-03')} ],
    [ 'c360_ticket_note', qq{SELECT c360_ticket_note('$first_ticket', 'called')} ],
    [ 'c360_escalate_deadlines', q{SELECT c360_escalate_deadlines()} ],
    [ 'c360_recount_orders', q{SELECT c360_recount_orders()} ],
    [ 'c360_recount_all', q{CALL c360_recount_all()} ],
    [ 'c360_resolve_ticket', qq{SELECT c360_resolve_ticket('$first_ticket')} ],
    [ 'c360_create_ticket', q{SELECT c360_create_ticket('0912345678', 'OTHER')} ],
    [ 'c360_delete_ticket', qq{SELECT c360_delete_ticket('} . ($first_ticket =~ s/1$/2/r) . q{')} ],
);

our @READS = (
    [ 'c360_wallet', q{SELECT c360_wallet('0912345678')} ],
    [ 'c360_wallets', q{SELECT c360_wallets(ARRAY['0912345678', '0987654321'])} ],
    [ 'c360_wallet_transactions', q{SELECT c360_wallet_transactions('0912345678')} ],
    [ 'c360_balance_at', q{SELECT c360_balance_at('0912345678', now())} ],
    [ 'c360_expiring_credits', q{SELECT c360_expiring_credits()} ],
    [ 'c360_verify_wallets', q{SELECT c360_verify_wallets()} ],
    [ 'c360_reconcile_bank', q{SELECT c360_reconcile_bank('2026-01-01', '2026-01-31')} ],
    [ 'c360_customer', q{SELECT c360_customer('0912345678')} ],
    [ 'c360_customers', q{SELECT c360_customers(ARRAY['0912345678', '0987654321'])} ],
    [ 'c360_recent_customers', q{SELECT c360_recent_customers()} ],
    [ 'c360_search_customers', q{SELECT c360_search_customers('0912')} ],
    [ 'c360_activities', q{SELECT c360_activities('0912345678')} ],
    [ 'c360_export_customer', q{SELECT c360_export_customer('0912345678')} ],
    [ 'c360_level', q{SELECT c360_level()} ],
    [ 'c360_sees_money', q{SELECT c360_sees_money()} ],
    [ 'c360_dashboard', q{SELECT jsonb_set(c360_dashboard(), '{at}', 'null')} ],
    [ 'c360_ticket_metrics', q{SELECT c360_ticket_metrics()} ],
    [ 'c360_wallet_summary', q{SELECT c360_wallet_summary()} ],
    [ 'c360_daily_summary', q{SELECT c360_daily_summary()} ],
    [ 'c360_consolidated_transactions', q{SELECT c360_consolidated_transactions('0912345678')} ],
    [ 'c360_events_since', q{SELECT c360_events_since()} ],
    [ 'c360_events', q{SELECT c360_events()} ],
    [ 'c360_statistics', q{SELECT c360_statistics()} ],
    [ 'c360_ticket', qq{SELECT c360_ticket('$first_ticket')} ],
    [ 'c360_calculate_rfm', q{SELECT c360_calculate_rfm('0912345678')} ],
    [ 'c360_analyze_rfm', q{SELECT c360_analyze_rfm('0912345678')} ],
    [ 'c360_rfm_movement', q{SELECT c360_rfm_movement('2026-01-01', '2026-01-31')} ],
);

# Routines that nobody calls by themselves: triggers' functions are left out
# by their type; these work only inside c360's own functions, reads included,
# and c360_schedule_jobs needs pg_cron.
our %NOT_CALLED = map { $_ => 1 } qw(c360_apply_level c360_become_owner c360_changes_begin
    c360_changes_end c360_current_actor c360_write_activity
    c360_save_customer
    c360_require_customer c360_require_job c360_list_jobs c360_job_plan c360_change_job c360_job_function c360_job_expire_credits
    c360_job_lock c360_job_unlock c360_job_open c360_job_note c360_job_begin c360_job_batch c360_job_end
    c360_job_fail c360_sweep_job_runs c360_pg_cron_clock c360_pg_cron_put c360_set_pg_cron_role
    c360_schedule_jobs c360_make_customer c360_put_order c360_count_orders c360_create_ticket_at c360_lock_ticket
    c360_require_move c360_write_ticket c360_step_ticket c360_require_accountant c360_lock_payee
    c360_fraud_batch c360_job_scan_fraud c360_require_fraud_rule
    c360_job_process_bank
    c360_unused_compensation c360_raise_priorities c360_job_carrier_deadlines c360_ticket_fields c360_customers_to_count
    c360_job_refresh_rfm c360_rfm_config_version c360_score_customer c360_score_customers c360_score_changed c360_report_progress
    c360_rfm_fill_queue c360_rfm_queue_end c360_rfm_take_queue c360_rfm_range_end c360_rfm_lock_customer
    c360_rfm_queue_customer c360_rfm_distribution c360_rfm_begin c360_rfm_batch c360_refresh_rfm_on c360_rfm_start
    c360_rfm_continue c360_rfm_looks_at_all c360_rfm_new_state c360_rfm_open_run c360_rfm_answer c360_rfm_words);

# A cluster whose databases are UTF-8 and whose superuser is postgres, whatever
# the environment says.
sub new_node
{
    my ($name, %init) = @_;
    my $path = delete $init{install_path};
    my $node = PostgreSQL::Test::Cluster->new($name, $path ? (install_path => $path) : ());

    $ENV{PGUSER} = 'postgres';
    # checksums are what 18 does by itself
    $node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8', '--username=postgres', '--data-checksums' ], %init);
    $node->append_conf('postgresql.conf', "timezone = 'UTC'\n");
    return $node;
}

# A database with nothing in it but the extension, if a clause for it is given.
sub new_database
{
    my ($node, $db, $extension) = @_;

    $node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
    $node->safe_psql($db, $extension) if defined $extension;
    return $db;
}

# A database with extension and tables.
sub install
{
    my ($node, $db) = @_;

    return new_database($node, $db, "CREATE EXTENSION c360; SELECT c360_install()");
}

# The error that a statement ends with, as a hash; undef if it succeeds.
sub error_of
{
    my ($node, $db, $sql, %options) = @_;
    my ($rc, $out, $err) = $node->psql($db, $sql, on_error_stop => 1,
        extra_params => [ '-v', 'VERBOSITY=verbose' ], %options);
    my %error;

    return undef if $rc == 0;
    $error{text} = $err;
    ($error{state}, $error{message}) = $err =~ /(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}): (.*)/;
    $error{state} //= "none ($err)";
    ($error{detail}) = $err =~ /DETAIL:\s+(.*)/;
    ($error{hint}) = $err =~ /HINT:\s+(.*)/;
    return \%error;
}

sub rows_of
{
    my ($node, $db, $sql) = @_;

    return split /\n/, $node->safe_psql($db, $sql);
}

# Runs a statement in a session of background_psql that a failure does not
# end; answers its output and the text of its error.
sub session_query
{
    my ($session, $sql) = @_;
    my ($out, $failed) = $session->query($sql);
    my $error = $session->{stderr};

    $session->{stderr} = '';
    return ($out, $failed ? $error : '');
}

# The routines of the extension that can be called, by volatility.
sub routines
{
    my ($node, $db, $volatility) = @_;

    return rows_of($node, $db, qq{
        SELECT p.proname FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = 'c360' AND p.provolatile = '$volatility'
          AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
        ORDER BY p.proname});
}

# Everything that the catalogs say of the objects of a database that are not
# the server's own: one line a fact, without OIDs, in a fixed order.
sub catalog_text
{
    my ($node, $db) = @_;

    return join "\n", rows_of($node, $db, <<'SQL');
SET search_path = pg_catalog;
WITH spaces AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
relations AS (
    SELECT c.*, s.nspname || '.' || c.relname AS name FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace),
members AS (
    SELECT d.classid, d.objid, e.extname FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE d.deptype = 'e'),
facts (fact) AS (
    SELECT format('extension %s %s in %s, comment %L', e.extname, e.extversion, n.nspname,
                  obj_description(e.oid, 'pg_extension'))
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    UNION ALL
    SELECT format('schema %s owner %s comment %L', s.nspname, s.nspowner::regrole, obj_description(s.oid, 'pg_namespace'))
    FROM spaces s
    UNION ALL
    SELECT format('acl of schema %s: %s by %s to %s grantable %s', s.nspname, a.privilege_type,
                  a.grantor::regrole, a.grantee::regrole, a.is_grantable)
    FROM spaces s, aclexplode(coalesce(s.nspacl, acldefault('n', s.nspowner))) a
    UNION ALL
    SELECT format('relation %s kind %s owner %s method %s persistence %s options %s rls %s %s identity %s member of %s comment %L',
                  r.name, r.relkind, r.relowner::regrole, (SELECT amname FROM pg_am WHERE oid = r.relam),
                  r.relpersistence, r.reloptions, r.relrowsecurity, r.relforcerowsecurity, r.relreplident,
                  m.extname, obj_description(r.oid, 'pg_class'))
    FROM relations r LEFT JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = r.oid
    UNION ALL
    SELECT format('acl of relation %s: %s by %s to %s grantable %s', r.name, a.privilege_type,
                  a.grantor::regrole, a.grantee::regrole, a.is_grantable)
    FROM relations r, aclexplode(coalesce(r.relacl, acldefault(CASE r.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", r.relowner))) a
    WHERE r.relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
    UNION ALL
    SELECT format('column %s.%s at %s type %s not null %s default %s identity %s generated %s collation %s storage %s acl %s comment %L',
                  r.name, a.attname, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum),
                  format_type(a.atttypid, a.atttypmod), a.attnotnull,
                  pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
                  (SELECT collname FROM pg_collation WHERE oid = a.attcollation), a.attstorage, a.attacl,
                  col_description(a.attrelid, a.attnum))
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind NOT IN ('i', 'S')
    UNION ALL
    SELECT format('constraint %s on %s: %s validated %s comment %L', c.conname,
                  coalesce(r.name, c.contypid::regtype::text), pg_get_constraintdef(c.oid), c.convalidated,
                  obj_description(c.oid, 'pg_constraint'))
    FROM pg_constraint c JOIN spaces s ON s.oid = c.connamespace LEFT JOIN relations r ON r.oid = c.conrelid
    UNION ALL
    SELECT format('index %s valid %s ready %s live %s clustered %s replica identity %s', pg_get_indexdef(i.indexrelid),
                  i.indisvalid, i.indisready, i.indislive, i.indisclustered, i.indisreplident)
    FROM pg_index i JOIN relations r ON r.oid = i.indexrelid
    UNION ALL
    SELECT format('trigger %s enabled %s comment %L', pg_get_triggerdef(t.oid), t.tgenabled,
                  obj_description(t.oid, 'pg_trigger'))
    FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT format('foreign key trigger of %s on %s by %s enabled %s', c.conname, r.name, t.tgfoid::regproc, t.tgenabled)
    FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid JOIN pg_constraint c ON c.oid = t.tgconstraint
    WHERE t.tgisinternal
    UNION ALL
    SELECT format('sequence %s type %s start %s increment %s from %s to %s cache %s cycle %s of %s.%s', r.name,
                  q.seqtypid::regtype, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
                  o.name, a.attname)
    FROM pg_sequence q JOIN relations r ON r.oid = q.seqrelid
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype IN ('a', 'i')
                         AND d.refclassid = 'pg_class'::regclass
    LEFT JOIN relations o ON o.oid = d.refobjid
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    UNION ALL
    SELECT format('rule %s of %s: %s', w.rulename, r.name, pg_get_ruledef(w.oid))
    FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class
    UNION ALL
    SELECT format('policy %s of %s: %s %s %s %s %s', p.polname, r.name, p.polcmd, p.polpermissive, p.polroles::regrole[],
                  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
    UNION ALL
    SELECT format('routine %s owner %s member of %s comment %L: %s', p.oid::regprocedure, p.proowner::regrole, m.extname,
                  obj_description(p.oid, 'pg_proc'), pg_get_functiondef(p.oid))
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    LEFT JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
    UNION ALL
    SELECT format('acl of routine %s: %s by %s to %s grantable %s', p.oid::regprocedure, a.privilege_type,
                  a.grantor::regrole, a.grantee::regrole, a.is_grantable)
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace,
         aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    UNION ALL
    SELECT format('type %s.%s kind %s owner %s acl %s member of %s comment %L', s.nspname, t.typname, t.typtype,
                  t.typowner::regrole, t.typacl, m.extname, obj_description(t.oid, 'pg_type'))
    FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
    LEFT JOIN members m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
    UNION ALL
    -- what pg_dump leaves out, as the extension's own
    SELECT format('initial acl of %s: %s by %s to %s grantable %s', pg_describe_object(i.classoid, i.objoid, i.objsubid),
                  a.privilege_type, a.grantor::regrole, a.grantee::regrole, a.is_grantable)
    FROM pg_init_privs i, aclexplode(i.initprivs) a
    WHERE i.privtype = 'e'
    UNION ALL
    SELECT 'statistics ' || pg_get_statisticsobjdef(x.oid)
    FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace
    UNION ALL
    SELECT format('event trigger %s', evtname) FROM pg_event_trigger)
SELECT replace(fact, E'\n', ' | ') FROM facts ORDER BY fact COLLATE "C";
SQL
}

# The rows of every table that is no member of an extension, as sorted text,
# by table: found in the catalog, so that none can be forgotten.
sub table_texts
{
    my ($node, $db) = @_;
    my %texts;

    foreach my $table (rows_of($node, $db, q{
        SELECT format('%I.%I', n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        ORDER BY 1}))
    {
        $texts{$table} = join "\n",
            rows_of($node, $db, qq{SELECT t::text FROM $table AS t ORDER BY t::text COLLATE "C"});
    }
    return \%texts;
}

# Where every sequence stands, so that ids go on and none is given out again.
sub sequence_texts
{
    my ($node, $db) = @_;
    my @texts;

    foreach my $sequence (rows_of($node, $db, q{
        SELECT format('%I.%I', n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'S' ORDER BY 1}))
    {
        push @texts, "$sequence " . $node->safe_psql($db, "SELECT last_value, is_called FROM $sequence");
    }
    return join "\n", @texts;
}

# Compares two long texts and shows only what differs.
sub same_text
{
    my ($got, $wanted, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok($got ne '' && $got eq $wanted, $name) and return 1;
    diag('nothing found') if $got eq '';
    my %seen;
    $seen{$_}++ foreach split /\n/, $wanted;
    my @more = grep { !$seen{$_}-- } split /\n/, $got;
    %seen = ();
    $seen{$_}++ foreach split /\n/, $got;
    my @less = grep { !$seen{$_}-- } split /\n/, $wanted;
    splice @$_, 20 foreach grep { @$_ > 20 } \@more, \@less;
    diag(map { "unexpected: $_\n" } @more);
    diag(map { "missing: $_\n" } @less);
    return 0;
}

sub same_tables
{
    my ($got, $wanted, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $as_text = sub {
        my $texts = shift;
        return join "\n", map { my $table = $_; map { "$table $_" } split /\n/, $texts->{$table} } sort keys %$texts;
    };

    return same_text($as_text->($got), $as_text->($wanted), $name);
}

sub verify_is_empty
{
    my ($node, $db, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is($node->safe_psql($db, 'SELECT * FROM c360_verify_wallets()'), '', $name);
}

# Rows of every kind in every table of schema c360, two customers and more.
sub fill_every_table
{
    my ($node, $db) = @_;
    my $sql = <<'SQL';
SELECT c360_set('credit_expiry_days', '20'), c360_set('create_customer_from_transfer', 'true');
-- a note with all that a dump must quote
SELECT c360_deposit('0912345678', 500000, 'RETURN_GOODS', 'order', E'DH\t1', E'tab\t, line\n\\. \\N ''quoted'' "double" Đặng',
                    'key-1', '2026-01-02 03:04:05+07');
SELECT c360_deposit('0987654321', 80000);
SELECT c360_issue_credit('0912345678', 30000, 'BOOM', 'A', clock_timestamp() + interval '1 day');      -- lot 1
SELECT c360_issue_credit('0912345678', 50000, 'PROMOTION', 'B', clock_timestamp() + interval '2 days'); -- lot 2
SELECT c360_issue_credit('0987654321', 20000, idempotency_key => 'key-2');                              -- lot 3
SELECT c360_issue_credit('0987654321', 11000, 'MANUAL', 'C');                                           -- lot 4
SELECT c360_withdraw('0912345678', 100000, 'DH2', 'first', 'key-3');   -- lots 1 and 2 used up, 20000 real
SELECT c360_refund((SELECT max(id) FROM c360.wallet_transactions WHERE type = 'WITHDRAW'), 60000, idempotency_key => 'key-4');
SELECT c360_withdraw('0987654321', 25000);                             -- lot 3 whole, 5000 of lot 4
SELECT c360_adjust('0987654321', -1000, 'counted once more'), c360_adjust('0912345678', 500, 'counted once more');
SELECT c360_cancel_credit(4, 'wrong customer', 'key-5');
-- what belongs to the cancelled lot is restored and cancelled at once
SELECT c360_refund((SELECT max(id) FROM c360.wallet_transactions WHERE type = 'WITHDRAW'));
SELECT c360_freeze_wallet('0987654321', 'looked into');
SELECT c360_get_or_create_customer('0901111111', 'Không có ví');
SELECT c360_issue_credit('0933333333', 9000), c360_withdraw('0933333333', 9000);                        -- used up
SELECT c360_create_qr_code('0912345678');
SELECT c360_upsert_customer('0966666664', 'Đỗ Thị Ế', 'do@shop.vn', E'1 Phố\tHuế', tags => '{"quen, cũ"}', created_at => '2020-01-02 03:04:05+07');
SELECT c360_upsert_tpos_customer('0966666665', '{"Id": 5, "Name": "Từ quầy", "StatusText": "VIP"}');
SELECT c360_change_phone('0966666664', '0966666666', 'new number'), c360_add_note('0966666666', 'pinned', 'warning', true);
SELECT c360_set_tier('0966666665', 'gold'), c360_set_status('0966666666', 'VIP', false, 'good'),
       c360_erase_customer('0933333333', 'asked for it');
SELECT c360_grant('pg_monitor', 'agent'), c360_grant('pg_monitor', 'stream');
INSERT INTO c360.audit_logs (at, function, sqlstate, message, detail, actor, session_user_name)
VALUES (now(), 'c360_wallet', 'PT404', 'no such customer', E'tab\t \\N', 'an', 'an');
SELECT c360_open_stream('{tickets,wallet:0912345678}');
-- a history of another cluster, whose ids of transactions mean nothing here
INSERT INTO c360.event_epochs (number, epoch, system_identifier, database_id, ticks_id, timeline, first_tick)
VALUES (1, 4711, 4712, 5, 6, 1, 1);
INSERT INTO c360.event_ticks (id, snapshot, low_id, high_id, created_at)
VALUES (7, '1000000000:1000000007:1000000000,1000000003', 1, 2, '2026-01-02 03:04:05');
INSERT INTO c360.transfer_ignored VALUES ('0909500000', E'the shop''s own');
SELECT c360_ingest_bank_transaction(jsonb_build_object('id', t.id, 'gateway', 'ACB', 'transactionDate', '2026-01-02 03:04:05',
           'accountNumber', '75918', 'transferType', t.direction, 'transferAmount', t.amount, 'content', t.content))
FROM (VALUES (1, 'in', 70000, '0987654321 ck'),
             (2, 'in', 60000, '0905555555 ck'),
             (3, 'in', 50000, (SELECT code FROM c360.balance_customer_info)),
             (4, 'in', 40000, '0912345678 0987654321'),
             (5, 'in', 30000, E'không\trõ \\ ai'),
             (6, 'out', 20000, '0912345678'),
             (7, 'in', 9223372036854775807, '0912345678'),
             (1, 'in', 71000, '0987654321 ck')) AS t (id, direction, amount, content);
SELECT c360_set_job('expire_credits', '*/10 * * * mon-sat', false);
SELECT c360_run_job('expire_credits');
INSERT INTO c360.job_runs (job, ended_at, rows, error, sqlstate, started_by)
VALUES ('expire_credits', clock_timestamp(), 1, E'what\tfailed \\', '23514', 'worker'), ('expire_credits', NULL, 0, NULL, NULL, 'pg_cron');
-- orders, tickets in every status, one of them deleted
SELECT c360_record_order('0912345678', 'DH1', 300000, '2026-01-02', 'delivered'), c360_record_order('0912345678', E'DH\\t2', 0),
       c360_record_order('0987654321', 'DH3', 100000, '2026-01-02', 'returned'), c360_record_order('0905555555', 'DH4', 1, '2026-01-02', 'cancelled');
SELECT c360_create_ticket('0912345678', 'BOOM', 'DH1', E'tab\\t \\\\', 'text', '[{"name": "áo", "n": 2}]', 40000, 300000, 260000, 'VD1', 'GHN',
                          'urgent', 'sai', now() + interval '1 day', 'an');
SELECT c360_create_ticket('0912345678', 'HOAN', 'DH1', allow_duplicate => true, refund_amount => 30000);
SELECT c360_create_ticket('0987654321', type) FROM unnest('{DOI,OTHER,THIEU,WARRANTY}'::text[]) AS type;
SELECT c360_resolve_ticket(ticket_code) FROM c360.customer_tickets WHERE type IN ('BOOM', 'HOAN', 'DOI') ORDER BY id;
SELECT c360_ticket_action(ticket_code, 'wait_carrier', 'gọi', now(), 'bình'), c360_update_ticket(ticket_code, '{"attachments": ["a.jpg"]}')
FROM c360.customer_tickets WHERE type = 'OTHER';
SELECT c360_run_job('carrier_deadlines');
SELECT c360_ticket_action(ticket_code, 'process'), c360_ticket_action(ticket_code, 'cancel', 'gone'), c360_delete_ticket(ticket_code, 'twice')
FROM c360.customer_tickets WHERE type = 'THIEU';
-- flags of two kinds, one of them reviewed, which gives the tier back
SELECT c360_record_order('0966666667', 'F' || i, 1000, status => 'returned') FROM generate_series(1, 3) i;
SELECT c360_deposit('0966666667', 6000000) FROM generate_series(1, 6);
SELECT c360_scan_fraud();
SELECT c360_review_fraud_flag(id, 'dismissed', E'parcels\\t were lost') FROM c360.fraud_flags WHERE rule = 'high_return_rate';
SELECT c360_snooze_fraud_rule('0966666667', 'wallet_abuse', '2036-01-01', E'a reseller');
SELECT c360_set_fraud_rule('self_dealing', 'shadow', parameters => '{"percent": 70}');
-- scores, and somebody whom the next refresh has to look at
SELECT c360_refresh_rfm();
SELECT c360_set_tier('0966666665', 'silver');
SELECT c360_issue_credit('0912345678', 7000, 'MANUAL', 'E', clock_timestamp() + interval '100 milliseconds');
SQL

    $node->safe_psql($db, $sql);
    $node->poll_query_until($db, 'SELECT expired_count = 1 FROM c360_expire_credits()')
        or die 'the lot does not expire';
    my @missing = rows_of($node, $db, q{
        SELECT 'ledger ' || t FROM unnest('{DEPOSIT,WITHDRAW,VIRTUAL_CREDIT,VIRTUAL_EXPIRE,VIRTUAL_CANCEL,REFUND,ADJUSTMENT}'::text[]) t
        WHERE t NOT IN (SELECT type FROM c360.wallet_transactions)
        UNION ALL
        SELECT 'lot ' || s FROM unnest('{ACTIVE,USED,EXPIRED,CANCELLED}'::text[]) s
        WHERE s NOT IN (SELECT status FROM c360.virtual_credits)
        UNION ALL
        SELECT 'transfer ' || r FROM unnest('{deposited,pending,unmatched,stored,failed}'::text[]) r
        WHERE r NOT IN (SELECT result FROM c360.balance_history)});
    my $texts = table_texts($node, $db);
    push @missing, grep { $texts->{$_} eq '' } grep { /^c360\./ } sort keys %$texts;
    is("@missing", '', 'every table of c360 has rows of every kind');
    verify_is_empty($node, $db, 'the books are right');
    return;
}

# The ledger refuses every change, in the replica role, too.
sub guard_works
{
    my ($node, $db, $name) = @_;
    my @wrong;

    foreach my $table (qw(wallet_transactions virtual_credit_uses))
    {
        foreach my $change ("UPDATE c360.$table SET amount = amount", "DELETE FROM c360.$table",
            "TRUNCATE c360.$table CASCADE")
        {
            foreach my $role (qw(origin replica))
            {
                my $error = error_of($node, $db, "SET session_replication_role = $role; BEGIN; $change; ROLLBACK");

                push @wrong, "$change as $role: " . ($error ? $error->{text} : 'done')
                    unless $error && $error->{state} eq '0A000' && ($error->{detail} // '') =~ /^append_only:/;
            }
        }
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join("\n", @wrong), '', $name);
}

1;
