-- A READ ONLY transaction changes nothing and reads everything.  Phones 0921.

SELECT ticket_code AS ticket FROM c360_create_ticket('0921000001', 'OTHER', subject => 'a') \gset
SELECT balance FROM c360_deposit('0921000001', 100, idempotency_key => 'read only');
SELECT lots -> 0 ->> 'credit_id' AS lot FROM c360_issue_credit('0921000001', 10, 'MANUAL', 'lot', '2099-01-01') \gset
SELECT transaction_id AS taken FROM c360_withdraw('0921000001', 5) \gset
CREATE TABLE test.calls (name text PRIMARY KEY, command text);
INSERT INTO test.calls VALUES
    ('c360_deposit', $$SELECT c360_deposit('0921000001', 1)$$),
    ('c360_issue_credit', $$SELECT c360_issue_credit('0921000001', 1)$$),
    ('c360_withdraw', $$SELECT c360_withdraw('0921000001', 1)$$),
    ('c360_refund', format('SELECT c360_refund(%s)', :taken)),
    ('c360_adjust', $$SELECT c360_adjust('0921000001', 1, 'counted again')$$),
    ('c360_cancel_credit', format($$SELECT c360_cancel_credit(%s, 'by mistake')$$, :lot)),
    ('c360_freeze_wallet', $$SELECT c360_freeze_wallet('0921000001', 'why not')$$),
    ('c360_unfreeze_wallet', $$SELECT c360_unfreeze_wallet('0921000001')$$),
    ('c360_expire_credits', $$SELECT c360_expire_credits()$$),
    ('c360_expire_all', $$CALL c360_expire_all()$$),
    ('c360_get_or_create_customer', $$SELECT c360_get_or_create_customer('0921000001')$$),
    ('c360_create_qr_code', $$SELECT c360_create_qr_code('0921000001')$$),
    ('c360_ingest_bank_transaction', $$SELECT c360_ingest_bank_transaction('{"id": 921001, "gateway": "MB", "accountNumber": "1",
        "transactionDate": "2025-05-26 16:14:51", "transferType": "out", "transferAmount": 1}')$$),
    ('c360_ingest_bank_transactions', $$SELECT c360_ingest_bank_transactions('[]')$$),
    ('c360_sepay_webhook', $$SELECT c360_sepay_webhook('{}')$$),
    ('c360_link_transaction', $$SELECT c360_link_transaction(1, '0921000001')$$),
    ('c360_unlink_transaction', $$SELECT c360_unlink_transaction(1, 'why not')$$),
    ('c360_resolve_match', $$SELECT c360_resolve_match(1, '0921000001')$$),
    ('c360_skip_match', $$SELECT c360_skip_match(1, 'why not')$$),
    ('c360_undo_skip_match', $$SELECT c360_undo_skip_match(1)$$),
    ('c360_process_bank', $$SELECT c360_process_bank()$$),
    ('c360_rematch_transactions', $$SELECT c360_rematch_transactions('2026-01-01', '2026-01-02')$$),
    ('c360_retire_qr_code', $$SELECT c360_retire_qr_code('N2AAAABBBBCCCCDDDD')$$),
    ('c360_ignore_number', $$SELECT c360_ignore_number('0921000009', 'why not')$$),
    ('c360_unignore_number', $$SELECT c360_unignore_number('0921000009')$$),
    ('c360_upsert_customer', $$SELECT c360_upsert_customer('0921000001', 'An')$$),
    ('c360_upsert_tpos_customer', $$SELECT c360_upsert_tpos_customer('0921000001', '{}')$$),
    ('c360_set_tier', $$SELECT c360_set_tier('0921000001', 'gold')$$),
    ('c360_set_status', $$SELECT c360_set_status('0921000001', 'VIP')$$),
    ('c360_change_phone', $$SELECT c360_change_phone('0921000001', '0921000002', 'why not')$$),
    ('c360_add_note', $$SELECT c360_add_note('0921000001', 'hello')$$),
    ('c360_erase_customer', $$SELECT c360_erase_customer('0921000001', 'why not')$$),
    ('c360_set', $$SELECT c360_set('max_amount', '1')$$),
    ('c360_grant', $$SELECT c360_grant('pg_monitor', 'viewer')$$),
    ('c360_revoke', $$SELECT c360_revoke('pg_monitor')$$),
    ('c360_perform_job', $$CALL c360_perform_job('expire_credits')$$),
    ('c360_run_job', $$SELECT c360_run_job('expire_credits')$$),
    ('c360_set_job', $$SELECT c360_set_job('expire_credits', '5 * * * *')$$),
    ('c360_schedule_jobs', 'SELECT c360_schedule_jobs()'),
    ('c360_unschedule_jobs', 'SELECT c360_unschedule_jobs()'),
    ('c360_open_stream', $$SELECT c360_open_stream()$$),
    ('c360_record_order', $$SELECT c360_record_order('0921000001', 'RO1', 1)$$),
    ('c360_refresh_rfm', $$SELECT c360_refresh_rfm()$$),
    ('c360_refresh_rfm_all', $$CALL c360_refresh_rfm_all()$$),
    ('c360_update_rfm', $$SELECT c360_update_rfm('0921000001')$$),
    ('c360_update_rfm_threshold', $$SELECT c360_update_rfm_threshold('recency', 4, 9)$$),
    ('c360_create_ticket', $$SELECT c360_create_ticket('0921000001', 'OTHER')$$),
    ('c360_update_ticket', format($$SELECT c360_update_ticket(%L, '{"subject": "b"}')$$, :'ticket')),
    ('c360_ticket_action', format($$SELECT c360_ticket_action(%L, 'process')$$, :'ticket')),
    ('c360_ticket_note', format($$SELECT c360_ticket_note(%L, 'n')$$, :'ticket')),
    ('c360_resolve_ticket', format($$SELECT c360_resolve_ticket(%L)$$, :'ticket')),
    ('c360_delete_ticket', format($$SELECT c360_delete_ticket(%L)$$, :'ticket')),
    ('c360_scan_fraud', $$SELECT c360_scan_fraud()$$),
    ('c360_scan_fraud_all', $$CALL c360_scan_fraud_all()$$),
    ('c360_review_fraud_flag', $$SELECT c360_review_fraud_flag(1, 'confirmed')$$),
    ('c360_snooze_fraud_rule', $$SELECT c360_snooze_fraud_rule('0921000001', 'wallet_abuse', '2099-01-01', 'why not')$$),
    ('c360_set_fraud_rule', $$SELECT c360_set_fraud_rule('wallet_abuse', 'on')$$),
    ('c360_escalate_deadlines', $$SELECT c360_escalate_deadlines()$$),
    ('c360_recount_orders', $$SELECT c360_recount_orders()$$),
    ('c360_recount_all', $$CALL c360_recount_all()$$),
    ('c360_install', $$SELECT c360_install()$$);
-- a retry would change nothing, but it locks
INSERT INTO test.calls VALUES ('retry', $$SELECT c360_deposit('0921000001', 100, idempotency_key => 'read only')$$);

-- Every VOLATILE function of the extension stands above, or is internal.
SELECT p.proname FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'c360'
WHERE p.provolatile = 'v' AND obj_description(p.oid, 'pg_proc') NOT LIKE 'Internal:%' AND p.proname NOT IN (SELECT name FROM test.calls)
ORDER BY p.proname;

BEGIN READ ONLY;
SELECT name, test.error_of(command) FROM test.calls ORDER BY name;
COMMIT;
SET default_transaction_read_only = on;
SELECT count(*), count(*) FILTER (WHERE left(test.error_of(command), 5) = '25006') AS refused FROM test.calls;
-- what reads, reads
SELECT balance, virtual_balance FROM c360_wallet('0921000001');
SELECT balance FROM c360_wallets(ARRAY['0921000001']);
SELECT type FROM c360_wallet_transactions('0921000001');
SELECT * FROM c360_balance_at('0921000001', 'infinity');
SELECT count(*) FROM c360_expiring_credits('0');
SELECT * FROM c360_verify_wallets();
SELECT count(*) > 0 AS settings FROM c360_settings;
SELECT c360_level();
SELECT c360_customer('0921000001') -> 'customer' ->> 'phone';
SELECT phone FROM c360_customers(ARRAY['0921000001']);
SELECT count(*) FROM c360_recent_customers(1);
SELECT phone, rank FROM c360_search_customers('0921000001');
SELECT event FROM c360_activities('0921000001', max_rows => 1);
SELECT c360_export_customer('0921000001') -> 'customer' ->> 'phone';
SELECT phone FROM c360_customer_list WHERE phone = '0921000001';
SELECT count(*) > 0 AS jobs FROM c360_job_status;
SELECT count(*) FROM c360_events_since();
SELECT left(c360_events(), 11);
SELECT count(*) FROM c360_stat;
SELECT view, split_part(test.error_of(format('SELECT * FROM %I', view)), ' | ', 1) FROM c360_level_views() ORDER BY view COLLATE "C";
SELECT count(c360_dashboard()) + count(c360_ticket_metrics()) + count(c360_wallet_summary()) AS objects;
SELECT count(*) FROM c360_daily_summary();
SELECT kind, type FROM c360_consolidated_transactions('0921000001', 'transaction', max_rows => 1);
SELECT c360_ticket(:'ticket') ->> 'subject' AS subject;
SELECT subject FROM c360_ticket_list WHERE ticket_code = :'ticket';
RESET default_transaction_read_only;
SELECT balance, virtual_balance FROM c360_wallet('0921000001');
DROP TABLE test.calls;
