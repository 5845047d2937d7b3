# Rows for tables of any version, and what an upgrade has to keep of them.
package C360Rows;

use strict;
use warnings;

use C360Test;
use Exporter 'import';

our @EXPORT = qw(@ROWS rows_in_columns columns_of_tables);

# Rows of each table in plain SQL, in an order that foreign keys allow. They
# are sound books: a deposit, a credit and a withdrawal of An, a deposit and a
# credit of Bình.
our @ROWS = (
    [ settings => q{INSERT INTO c360.settings (name, value, type, unit, minimum, maximum, default_value, description)
        VALUES ('refund_grace_days', '9', 'integer', 'days', 0, 3650, '7', 'words of before')
        ON CONFLICT (name) DO UPDATE SET value = excluded.value} ],
    [ customers => q{INSERT INTO c360.customers (phone, name, tags)
        VALUES ('0912345678', 'An', '{"quen, cũ"}'), ('0987654321', 'Bình', '{}')} ],
    [ customer_activities => q{INSERT INTO c360.customer_activities
            (xact, topic, event, customer_id, reference_type, reference_id, payload, actor, session_user_name, created_at)
        SELECT pg_current_xact_id(), 'wallets', 'wallet.' || event, customer, 'transaction', n, '{"note": "cũ"}', 'an', 'an',
               timestamptz '2026-01-01' + n * interval '1 hour'
        FROM unnest('{deposit,virtual_credit,withdraw,deposit,virtual_credit}'::text[], '{1,1,1,2,2}'::bigint[])
            WITH ORDINALITY AS t (event, customer, n)} ],
    [ customer_wallets => q{INSERT INTO c360.customer_wallets
            (customer_id, balance, virtual_balance, total_deposited, total_withdrawn, total_virtual_issued,
             total_virtual_used, total_virtual_expired, frozen_at, last_at)
        VALUES (1, 90000, 0, 100000, 60000, 50000, 50000, 0, NULL, '2026-01-01 03:00'),
               (2, 7000, 5000, 7000, 0, 5000, 0, 0, NULL, '2026-01-01 05:00')} ],
    [ virtual_credits => q{INSERT INTO c360.virtual_credits
            (customer_id, kind, source_id, original_amount, remaining_amount, status, expires_at, created_at)
        VALUES (1, 'BOOM', 'A', 50000, 0, 'USED', '2036-01-01', '2026-01-01 02:00'),
               (2, 'MANUAL', NULL, 5000, 5000, 'ACTIVE', '2036-01-01', '2026-01-01 05:00')} ],
    [ wallet_transactions => q{INSERT INTO c360.wallet_transactions
            (customer_id, type, operation, amount, real_change, virtual_change, balance_after, virtual_balance_after,
             source, credit_id, credit_expires_at, idempotency_key, arguments_digest, actor, session_user_name, created_at,
             activity_id)
        VALUES (1, 'DEPOSIT', 'deposit', 100000, 100000, 0, 100000, 0, 'MANUAL', NULL, NULL, 'old', '\x01', 'an', 'an',
                '2026-01-01 01:00', 1),
               (1, 'VIRTUAL_CREDIT', 'issue_credit', 50000, 0, 50000, 100000, 50000, 'BOOM', 1, '2036-01-01', NULL, NULL,
                'an', 'an', '2026-01-01 02:00', 2),
               (1, 'WITHDRAW', 'withdraw', 60000, -10000, -50000, 90000, 0, NULL, NULL, NULL, NULL, NULL, 'an', 'an',
                '2026-01-01 03:00', 3),
               (2, 'DEPOSIT', 'deposit', 7000, 7000, 0, 7000, 0, 'MANUAL', NULL, NULL, NULL, NULL, 'an', 'an',
                '2026-01-01 04:00', 4),
               (2, 'VIRTUAL_CREDIT', 'issue_credit', 5000, 0, 5000, 7000, 5000, 'MANUAL', 2, '2036-01-01', NULL, NULL,
                'an', 'an', '2026-01-01 05:00', 5)} ],
    [ virtual_credit_uses => q{INSERT INTO c360.virtual_credit_uses (transaction_id, position, credit_id, amount, expires_at)
        VALUES (3, 1, 1, 50000, '2036-01-01')} ],
    [ balance_history => q{INSERT INTO c360.balance_history
            (sepay_id, gateway, transaction_date, account_number, content, transfer_type, transfer_amount, raw_data, result)
        VALUES (1, 'ACB', '2026-01-01', '75918', '0987654321 ck', 'in', 7000, '{"id": 1}', 'unmatched')} ],
    [ balance_history_differences => q{INSERT INTO c360.balance_history_differences (bank_transaction_id, raw_data)
        VALUES (1, '{"id": 1, "transferAmount": 8000}')} ],
    [ bank_links => q{INSERT INTO c360.bank_links
            (bank_transaction_id, customer_id, method, linked_by, unlinked_at, unlinked_by)
        VALUES (1, 2, 'manual', 'an', clock_timestamp(), 'an')} ],
    [ balance_customer_info => q{INSERT INTO c360.balance_customer_info (code, customer_id, created_by)
        VALUES ('N2ABCDEFGH12345678', 1, 'an')} ],
    [ pending_customer_matches => q{INSERT INTO c360.pending_customer_matches (bank_transaction_id, candidates)
        VALUES (1, '[]')} ],
    [ granted_levels => q{INSERT INTO c360.granted_levels (role, level, role_id, cluster, granted_by, granted_at)
        SELECT 'no such role', 'admin', 1, 1, 'an', '2026-01-01'} ],
    [ jobs => q{INSERT INTO c360.jobs (job, default_schedule, description, schedule, enabled, since, pg_cron_role)
        VALUES ('expire_credits', '1 * * * *', 'words of before', '7 * * * *', false, '2026-01-01', NULL),
               ('carrier_deadlines', '1 * * * *', 'words of before', NULL, true, '2026-01-01', NULL),
               ('process_bank', '1 * * * *', 'words of before', NULL, true, '2026-01-01', NULL),
                ('refresh_rfm', '1 * * * *', 'words of before', NULL, true, '2026-01-01', NULL),
                ('scan_fraud', '1 * * * *', 'words of before', NULL, true, '2026-01-01', NULL)
        ON CONFLICT (job) DO UPDATE SET schedule = excluded.schedule, enabled = excluded.enabled} ],
    [ job_runs => q{INSERT INTO c360.job_runs (job, started_at, ended_at, rows, error, sqlstate, started_by)
        VALUES ('expire_credits', '2026-01-01', '2026-01-02', 3, NULL, NULL, 'worker'),
               ('expire_credits', '2026-01-03', '2026-01-04', 0, 'no', 'XX000', 'an')} ],
    [ audit_logs => q{INSERT INTO c360.audit_logs (at, function, sqlstate, message, detail, actor, session_user_name)
        VALUES ('2026-01-01', 'c360_wallet', 'PT404', 'no such customer', NULL, 'an', 'an')} ],
    [ consumers => q{INSERT INTO c360.consumers (name, history, snapshot, state)
        VALUES ('old', 'another', '3:5:4', '{"day": "2026-01-01"}')} ],
    # the shop's own; c360_install() leaves them alone, and adds none to what is whole
    [ rfm_config => q{INSERT INTO c360.rfm_config (metric, score, min_value, description)
        SELECT m, s, CASE m WHEN 'recency' THEN 10 * (5 - s) ELSE 10 * (s - 1) END, 'words of the shop'
        FROM unnest(ARRAY['recency', 'frequency', 'monetary']) m, generate_series(1, 5) s
        ON CONFLICT (metric, score) DO UPDATE SET min_value = excluded.min_value, description = excluded.description} ],
    [ rfm_segments => q{INSERT INTO c360.rfm_segments (r, f, m, segment)
        SELECT r, f, m, 'Everybody' FROM generate_series(1, 5) r, generate_series(1, 5) f, generate_series(1, 5) m
        ON CONFLICT (r, f, m) DO UPDATE SET segment = excluded.segment} ],
    [ rfm_recommendations => q{INSERT INTO c360.rfm_recommendations (segment, position, recommendation, recommendation_vi)
        VALUES ('Everybody', 1, 'Smile', 'Cười')} ],
    [ customer_rfm => q{INSERT INTO c360.customer_rfm (customer_id, monetary, frequency, last_on, next_on, r, f, m, segment)
        VALUES (1, 5000, 1, '2026-01-01', '2026-01-09', 5, 1, 1, 'New_Customer')} ],
    [ rfm_history => q{INSERT INTO c360.rfm_history (customer_id, day, to_segment, from_tier, to_tier)
        VALUES (1, '2026-01-01', 'New_Customer', 'new', 'new')} ],
    [ rfm_counts => q{INSERT INTO c360.rfm_counts (segment, customers) VALUES ('New_Customer', 1)} ],
    [ rfm_queue => q{INSERT INTO c360.rfm_queue (customer_id) VALUES (1)} ],
    [ event_epochs => q{INSERT INTO c360.event_epochs
            (number, epoch, system_identifier, database_id, ticks_id, timeline, first_tick)
        VALUES (1, 4711, 4712, 5, 6, 1, 1)} ],
    [ event_ticks => q{INSERT INTO c360.event_ticks (id, snapshot, low_id, high_id, created_at)
        VALUES (1, '3:5:4', 1, 2, '2026-01-01')} ],
    [ event_streams => q{INSERT INTO c360.event_streams (pass_hash, role, actor, level, channels, opened_at, valid_until, role_id, cluster)
        VALUES ('\x01', 'no such role', 'an', 'agent', '{wallets}', '2026-01-01', '2036-01-01', 1, 1)} ],
    [ customer_phones => q{INSERT INTO c360.customer_phones (phone, customer_id, until, reason, changed_by)
        VALUES ('0900000009', 1, '2026-01-01', 'lost', 'an')} ],
    [ customer_notes => q{INSERT INTO c360.customer_notes (customer_id, content, category, pinned, created_by, created_at)
        VALUES (1, 'cũ', 'general', true, 'an', '2026-01-01')} ],
    [ customer_orders => q{INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
        VALUES (1, 'DH1', 300000, 'delivered', '2026-01-01'), (2, 'DH2', 0, 'returned', '2026-01-02')} ],
    [ customer_order_totals => q{INSERT INTO c360.customer_order_totals
            (customer_id, total, delivered, returned, spent, first_order_at, last_order_at, decided, decided_returned)
        VALUES (1, 1, 1, 0, 300000, '2026-01-01', '2026-01-01', 1, 0), (2, 1, 0, 1, 0, '2026-01-02', '2026-01-02', 1, 1)} ],
    [ ticket_types => q{INSERT INTO c360.ticket_types (type, label, counts_as_return, compensation)
        VALUES ('GIFT', 'Quà', false, 'none')} ],
    [ ticket_moves => q{INSERT INTO c360.ticket_moves (from_status, to_status) VALUES ('completed', 'processing');
        DELETE FROM c360.ticket_moves WHERE to_status = 'waiting_carrier'} ],
    [ customer_tickets => q{INSERT INTO c360.customer_tickets
            (ticket_code, customer_id, type, order_code, products, refund_amount, compensating, created_by, created_at)
        VALUES ('TV-2026-00007', 1, 'BOOM', 'DH1', '[1]', 5000, true, 'an', '2026-01-01')} ],
    [ ticket_history => q{INSERT INTO c360.ticket_history (ticket_id, action, to_status, note, done_by, done_at)
        VALUES (1, 'create', 'new', 'cũ', 'an', '2026-01-01')} ],
    [ fraud_rules => q{INSERT INTO c360.fraud_rules (rule, mode, severity, action, parameters, description)
        VALUES ('of_before', 'off', 'low', 'suspicious', '{"a": 1}', 'cũ')} ],
    [ fraud_flags => q{INSERT INTO c360.fraud_flags (customer_id, rule, mode, severity, action, evidence, counted, times,
            found_at, last_found_at, previous_tier, acted_at, activity_id, status, reviewed_by, reviewed_at, note)
        VALUES (1, 'self_dealing', 'on', 'medium', 'self_dealing', '{"rows": [1]}', '{1}', 2, '2026-01-01', '2026-01-02',
                NULL, NULL, NULL, 'open', NULL, NULL, NULL),
               (2, 'high_return_rate', 'shadow', 'high', 'blacklist', '{}', '{}', 1, '2026-01-01', '2026-01-01',
                NULL, NULL, NULL, 'dismissed', 'an', '2026-01-03', 'cũ')} ],
    [ fraud_snoozes => q{INSERT INTO c360.fraud_snoozes (customer_id, rule, until, note, snoozed_by, snoozed_at)
        VALUES (1, 'wallet_abuse', '2026-02-01', 'cũ', 'an', '2026-01-01')} ],
    [ fraud_rechecks => q{INSERT INTO c360.fraud_rechecks (customer_id, due_at) VALUES (1, '2036-02-01')} ],
    [ transfer_ignored => q{INSERT INTO c360.transfer_ignored (value, reason) VALUES ('0909500000', 'hotline')} ]);

# The rows of each table in the columns that it had then.
sub rows_in_columns
{
    my ($node, $db, $columns) = @_;
    my @texts;

    foreach my $table (sort keys %$columns)
    {
        push @texts, map { "$table $_" } rows_of($node, $db,
            "SELECT ROW($columns->{$table})::text FROM c360.$table ORDER BY 1");
    }
    return join "\n", @texts;
}

sub columns_of_tables
{
    my ($node, $db) = @_;

    # what a setting or a job means belongs to the code
    return { map { split /\|/, $_, 2 } rows_of($node, $db, q{
        SELECT c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r'
          AND (c.relname <> 'settings' OR a.attname IN ('name', 'value', 'changed_by', 'changed_at'))
          AND (c.relname <> 'jobs' OR a.attname NOT IN ('default_schedule', 'description'))
        GROUP BY 1}) };
}

1;
