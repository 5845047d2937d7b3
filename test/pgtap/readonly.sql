-- In a READ ONLY transaction nothing is changed: every function that writes
-- says 25006, every function that reads works.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- Runs a statement as in a READ ONLY transaction: the setting holds for this
-- subtransaction and is gone with it, so nothing of the statement stays.
CREATE FUNCTION pg_temp.read_only(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    PERFORM set_config('transaction_read_only', 'on', true);
    EXECUTE statement;
    RAISE SQLSTATE 'TAP00';
EXCEPTION
    WHEN SQLSTATE 'TAP00' THEN RETURN 'none';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
        RETURN state;
END $$;
CREATE FUNCTION pg_temp.read_write(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text;
BEGIN
    EXECUTE statement;
    RAISE SQLSTATE 'TAP00';
EXCEPTION
    WHEN SQLSTATE 'TAP00' THEN RETURN 'none';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
        RETURN state || ' ' || message;
END $$;

SELECT is(pg_temp.read_only('CREATE TABLE public.readonly_x ()'), '25006', 'the transaction is read only');
SELECT is(pg_temp.read_write('CREATE TABLE public.readonly_x ()'), 'none', 'for one statement');
SELECT is(current_setting('transaction_read_only'), 'off', 'and not after it');

-- Two customers, and something for each function to do
SELECT c360_deposit(phone, 1000, idempotency_key => 'first ' || phone) FROM unnest(ARRAY['0901000001', '0901000002']) AS phone
\g /dev/null
SELECT c360_issue_credit(phone, 100, source_id => phone) FROM unnest(ARRAY['0901000001', '0901000002']) AS phone \g /dev/null
SELECT transaction_id AS paid FROM c360_withdraw('0901000001', 50) \gset
SELECT ticket_code AS ticket FROM c360_create_ticket('0901000001', 'HOAN', 'DH1', deadline => '2026-01-01') \gset
SELECT c360_freeze_wallet('0901000002', 'a reason'), c360_get_or_create_customer('0901000004') \g /dev/null
INSERT INTO c360.fraud_flags (customer_id, rule, mode, severity, action, evidence, counted, found_at, last_found_at)
SELECT id, 'self_dealing', 'on', 'medium', 'self_dealing', '{}', '{}', now(), now() FROM c360.customers WHERE phone = '0901000001'
RETURNING id AS flag \gset
SELECT c360_record_order('0901000001', 'RO-1', 500, '2024-01-02', 'delivered') \g /dev/null
SELECT ticket_code AS ticket FROM c360_create_ticket('0901000001', 'RETURN_CLIENT', 'RO-1', refund_amount => 10,
    deadline => clock_timestamp()) \gset
SELECT ticket_code AS paid_ticket FROM c360_create_ticket('0901000001', 'BOOM', 'RO-2', refund_amount => 10) \gset
SELECT c360_resolve_ticket(:'paid_ticket') \g /dev/null

SELECT c360_ingest_bank_transaction(format('{"id": %s, "gateway": "MBBank", "transactionDate": "2024-01-02 03:04:05",
    "accountNumber": "123", "transferType": "in", "transferAmount": 33, "content": %s}', id, to_json(content))::jsonb)
FROM (VALUES (11, '0901000001'), (12, '0901000001 0901000002'), (13, '0901000001 0901000002'), (14, 'nobody')) AS t (id, content) \g /dev/null
SELECT b.id AS linked FROM c360.balance_history b WHERE sepay_id = 11 \gset
SELECT b.id AS unlinked FROM c360.balance_history b WHERE sepay_id = 14 \gset
SELECT m.id AS match FROM c360.pending_customer_matches m JOIN c360.balance_history b ON b.id = m.bank_transaction_id WHERE sepay_id = 12 \gset
SELECT m.id AS skipped FROM c360.pending_customer_matches m JOIN c360.balance_history b ON b.id = m.bank_transaction_id WHERE sepay_id = 13 \gset
SELECT c360_skip_match(:skipped, 'a reason') \g /dev/null
SELECT c360_create_qr_code('0901000002') AS qr_code \gset
SELECT c360_ignore_number('0901000005', 'a reason') \g /dev/null
SELECT c360_set('sepay_api_key_hash', encode(sha256('read only'), 'hex')), set_config('request.headers', '{"authorization": "Apikey read only"}', true) \g /dev/null

CREATE TEMP TABLE calls (name text, call text);
INSERT INTO calls VALUES
    ('c360_deposit', $$SELECT c360_deposit('0901000001', 1)$$),
    ('c360_deposit', $$SELECT c360_deposit('0901000003', 1)$$),
    ('c360_deposit', $$SELECT c360_deposit('0901000001', 1000, idempotency_key => 'first 0901000001')$$),
    ('c360_issue_credit', $$SELECT c360_issue_credit('0901000001', 1)$$),
    ('c360_withdraw', $$SELECT c360_withdraw('0901000001', 1)$$),
    ('c360_refund', format('SELECT c360_refund(%s, 1)', :paid)),
    ('c360_adjust', $$SELECT c360_adjust('0901000001', 1, 'a good reason')$$),
    ('c360_cancel_credit', format('SELECT c360_cancel_credit(%s, %L)', pg_temp.lot('0901000001'), 'a reason')),
    ('c360_expire_credits', 'SELECT c360_expire_credits()'),
    ('c360_expire_credits', 'SELECT * FROM c360_expire_credits(10)'),
    ('c360_expire_all', 'CALL c360_expire_all()'),
    ('c360_freeze_wallet', $$SELECT c360_freeze_wallet('0901000001', 'a reason')$$),
    ('c360_freeze_wallet', $$SELECT c360_freeze_wallet('0901000002', 'a reason')$$),
    ('c360_unfreeze_wallet', $$SELECT c360_unfreeze_wallet('0901000002')$$),
    ('c360_unfreeze_wallet', $$SELECT c360_unfreeze_wallet('0901000001')$$),
    ('c360_get_or_create_customer', $$SELECT c360_get_or_create_customer('0901000003')$$),
    ('c360_get_or_create_customer', $$SELECT c360_get_or_create_customer('0901000001')$$),
    ('c360_upsert_customer', $$SELECT c360_upsert_customer('0901000003', 'An')$$),
    ('c360_upsert_customer', $$SELECT c360_upsert_customer('0901000001')$$),
    ('c360_upsert_tpos_customer', $$SELECT c360_upsert_tpos_customer('0901000001', '{"Id": 1}')$$),
    ('c360_set_tier', $$SELECT c360_set_tier('0901000001', 'gold')$$),
    ('c360_set_tier', $$SELECT c360_set_tier('0901000001', 'new', false)$$),
    ('c360_set_status', $$SELECT c360_set_status('0901000001', 'VIP')$$),
    ('c360_change_phone', $$SELECT c360_change_phone('0901000001', '0901000009', 'a reason')$$),
    ('c360_add_note', $$SELECT c360_add_note('0901000001', 'a note')$$),
    ('c360_erase_customer', $$SELECT c360_erase_customer('0901000004', 'a reason')$$),
    ('c360_record_order', $$SELECT c360_record_order('0901000001', 'DH1', 1)$$),
    ('c360_record_order', $$SELECT c360_record_order('0901000003', 'DH2', 1)$$),
    ('c360_create_ticket', $$SELECT c360_create_ticket('0901000001', 'OTHER')$$),
    ('c360_create_ticket', $$SELECT c360_create_ticket('0901000003', 'OTHER')$$),
    ('c360_update_ticket', format('SELECT c360_update_ticket(%L, ''{"subject": "x"}'')', :'ticket')),
    ('c360_update_ticket', format('SELECT c360_update_ticket(%L, ''{}'')', :'ticket')),
    ('c360_ticket_action', format('SELECT c360_ticket_action(%L, ''process'')', :'ticket')),
    ('c360_ticket_note', format('SELECT c360_ticket_note(%L, ''a note'')', :'ticket')),
    ('c360_resolve_ticket', format('SELECT c360_resolve_ticket(%L, 5)', :'ticket')),
    ('c360_delete_ticket', format('SELECT c360_delete_ticket(%L)', :'ticket')),
    ('c360_escalate_deadlines', 'SELECT c360_escalate_deadlines()'),
    ('c360_recount_orders', 'SELECT c360_recount_orders()'),
    ('c360_recount_all', 'CALL c360_recount_all()'),
    ('c360_create_qr_code', $$SELECT c360_create_qr_code('0901000001')$$),
    ('c360_ingest_bank_transaction', $$SELECT c360_ingest_bank_transaction('{"id": 1, "gateway": "MBBank",
        "transactionDate": "2024-01-02 03:04:05", "accountNumber": "123", "transferType": "in", "transferAmount": 33,
        "content": "0901000001"}')$$),
    ('c360_ingest_bank_transaction', $$SELECT c360_ingest_bank_transaction('{"id": 2, "gateway": "MBBank",
        "transactionDate": "2024-01-02 03:04:05", "accountNumber": "123", "transferType": "out", "transferAmount": 33}')$$),
    ('c360_ingest_bank_transactions', $$SELECT c360_ingest_bank_transactions('[{"id": 3, "gateway": "MBBank",
        "transactionDate": "2024-01-02 03:04:05", "accountNumber": "123", "transferType": "in", "transferAmount": 33}]')$$),
    ('c360_ingest_bank_transactions', $$SELECT c360_ingest_bank_transactions('[]')$$),
    ('c360_sepay_webhook', $$SELECT c360_sepay_webhook('{"id": 4, "gateway": "MBBank",
        "transactionDate": "2024-01-02 03:04:05", "accountNumber": "123", "transferType": "in", "transferAmount": 33}')$$),
    ('c360_link_transaction', format($$SELECT c360_link_transaction(%s, '0901000001')$$, :unlinked)),
    ('c360_link_transaction', format($$SELECT c360_link_transaction(%s, '0901000001')$$, :linked)),
    ('c360_unlink_transaction', format($$SELECT c360_unlink_transaction(%s, 'a reason')$$, :linked)),
    ('c360_resolve_match', format($$SELECT c360_resolve_match(%s, '0901000001')$$, :match)),
    ('c360_skip_match', format($$SELECT c360_skip_match(%s, 'a reason')$$, :match)),
    ('c360_undo_skip_match', format('SELECT c360_undo_skip_match(%s)', :skipped)),
    ('c360_process_bank', 'SELECT c360_process_bank()'),
    ('c360_rematch_transactions', $$SELECT c360_rematch_transactions('2024-01-01', '2024-01-31')$$),
    ('c360_retire_qr_code', format('SELECT c360_retire_qr_code(%L)', :'qr_code')),
    ('c360_ignore_number', $$SELECT c360_ignore_number('0901000006', 'a reason')$$),
    ('c360_unignore_number', $$SELECT c360_unignore_number('0901000005')$$),
    ('c360_record_order', $$SELECT c360_record_order('0901000001', 'RO-3', 1)$$),
    ('c360_record_order', $$SELECT c360_record_order('0901000001', 'RO-1', 500, '2024-01-02', 'delivered')$$),
    ('c360_record_order', $$SELECT c360_record_order('0901000003', 'RO-3', 1)$$),
    ('c360_create_ticket', $$SELECT c360_create_ticket('0901000001', 'OTHER')$$),
    ('c360_create_ticket', $$SELECT c360_create_ticket('0901000003', 'OTHER')$$),
    ('c360_update_ticket', format($$SELECT c360_update_ticket(%L, '{"subject": "a subject"}')$$, :'ticket')),
    ('c360_update_ticket', format($$SELECT c360_update_ticket(%L, '{}')$$, :'ticket')),
    ('c360_ticket_action', format($$SELECT c360_ticket_action(%L, 'process')$$, :'ticket')),
    ('c360_ticket_note', format($$SELECT c360_ticket_note(%L, 'a note')$$, :'ticket')),
    ('c360_resolve_ticket', format('SELECT c360_resolve_ticket(%L)', :'ticket')),
    ('c360_resolve_ticket', format($$SELECT c360_resolve_ticket(%L, compensation => 'none')$$, :'ticket')),
    ('c360_delete_ticket', format('SELECT c360_delete_ticket(%L)', :'ticket')),
    ('c360_delete_ticket', format('SELECT c360_delete_ticket(%L)', :'paid_ticket')),
    ('c360_escalate_deadlines', 'SELECT c360_escalate_deadlines()'),
    ('c360_scan_fraud', 'SELECT c360_scan_fraud()'),
    ('c360_scan_fraud', $$SELECT c360_scan_fraud('-infinity')$$),
    ('c360_scan_fraud_all', 'CALL c360_scan_fraud_all()'),
    ('c360_review_fraud_flag', format('SELECT c360_review_fraud_flag(%s, ''dismissed'')', :flag)),
    ('c360_snooze_fraud_rule', $$SELECT c360_snooze_fraud_rule('0901000001', 'wallet_abuse', '2099-01-01', 'a reseller')$$),
    ('c360_set_fraud_rule', $$SELECT c360_set_fraud_rule('wallet_abuse', 'shadow')$$),
    ('c360_recount_orders', 'SELECT c360_recount_orders()'),
    ('c360_run_job', $$SELECT c360_run_job('carrier_deadlines')$$),
    ('c360_run_job', $$SELECT c360_run_job('refresh_rfm')$$),
    ('c360_update_rfm', $$SELECT c360_update_rfm('0901000001')$$),
    ('c360_refresh_rfm', 'SELECT c360_refresh_rfm()'),
    ('c360_refresh_rfm', 'SELECT c360_refresh_rfm(true)'),
    ('c360_refresh_rfm_all', 'CALL c360_refresh_rfm_all()'),
    ('c360_update_rfm_threshold', $$SELECT c360_update_rfm_threshold('recency', 4, 9)$$),
    ('c360_update_rfm_threshold', $$SELECT c360_update_rfm_threshold('recency', 4, 8)$$),
    ('c360_set', $$SELECT c360_set('credit_expiry_days', '20')$$),
    ('c360_perform_job', $$CALL c360_perform_job('expire_credits')$$),
    ('c360_run_job', $$SELECT c360_run_job('expire_credits')$$),
    ('c360_set_job', $$SELECT c360_set_job('expire_credits', '5 * * * *')$$),
    ('c360_unschedule_jobs', 'SELECT c360_unschedule_jobs()'),
    ('c360_schedule_jobs', 'SELECT c360_schedule_jobs()'),
    ('c360_grant', $$SELECT c360_grant('pg_monitor', 'viewer')$$),
    ('c360_grant', $$SELECT c360_grant('pg_monitor', 'bank_feed')$$),
    ('c360_revoke', $$SELECT c360_revoke('pg_monitor')$$),
    ('c360_open_stream', 'SELECT c360_open_stream()'),
    ('c360_install', 'SELECT c360_install()');
-- internal ones only work inside others; trigger functions cannot be called
SELECT set_eq('SELECT DISTINCT name FROM calls',
              $$SELECT name FROM pg_temp.routines WHERE provolatile = 'v' AND prorettype <> 'trigger'::regtype
                AND obj_description(oid, 'pg_proc') NOT LIKE 'Internal:%'$$, 'each function that writes is called here');

CREATE TEMP TABLE before AS SELECT pg_temp.books() AS books;
-- a procedure that commits is refused inside a transaction block, whatever there is to do
SELECT is(pg_temp.read_write(call),
          CASE WHEN call LIKE 'CALL %' THEN '2D000 invalid transaction termination'
               WHEN name = 'c360_schedule_jobs' THEN '55000 pg_cron is not there' ELSE 'none' END,
          'outside: ' || call) FROM calls;
SELECT is(pg_temp.read_only(call), '25006', 'read only: ' || call) FROM calls;
SELECT is(pg_temp.books(), books, 'nothing changed') FROM before;

-- also when there is something overdue, which a withdrawal would expire first
SELECT pg_temp.age_lot(pg_temp.lot(phone)) FROM unnest(ARRAY['0901000001', '0901000002']) AS phone \g /dev/null
UPDATE before SET books = pg_temp.books();
SELECT is(pg_temp.read_only(call), '25006', 'read only, something overdue: ' || call) FROM calls;
SELECT is(pg_temp.books(), books, 'nothing changed') FROM before;

-- as a client does it, within a savepoint
SAVEPOINT outer_one;
SET LOCAL transaction_read_only = on;
SAVEPOINT inner_one;
SELECT pg_temp.failure($$SELECT c360_deposit('0901000001', 1)$$) AS outcome \gset
ROLLBACK TO outer_one;
SELECT is(:'outcome'::text, '25006', 'inside a savepoint');
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 1)$$), 'none', 'writable again');

-- Reads work.
CREATE TEMP TABLE reads (name text, call text);
INSERT INTO reads VALUES
    ('c360_wallet', $$SELECT c360_wallet('0901000001')$$),
    ('c360_wallets', $$SELECT c360_wallets(ARRAY['0901000001', '0901000002'])$$),
    ('c360_wallet_transactions', $$SELECT c360_wallet_transactions('0901000001')$$),
    ('c360_balance_at', $$SELECT c360_balance_at('0901000001', now())$$),
    ('c360_expiring_credits', 'SELECT c360_expiring_credits()'),
    ('c360_verify_wallets', 'SELECT c360_verify_wallets()'),
    ('c360_level', 'SELECT c360_level()'),
    ('c360_ticket', format('SELECT c360_ticket(%L)', :'ticket')),
    ('c360_ticket_fields', $$SELECT c360_ticket_fields('{"subject": "x"}')$$),
    ('c360_require_move', $$SELECT c360_require_move('new', 'processing')$$),
    ('c360_require_accountant', 'SELECT c360_require_accountant()'),
    ('c360_level_functions', 'SELECT c360_level_functions()'),
    ('c360_level_views', 'SELECT c360_level_views()'),
    ('c360_current_actor', 'SELECT c360_current_actor()'),
    ('c360_require_customer', $$SELECT c360_require_customer('0901000001')$$),
    ('c360_require_phone', $$SELECT c360_require_phone('0901000001')$$),
    ('c360_require_text', $$SELECT c360_require_text('x', 'y', 1, true)$$),
    ('c360_require_one_of', $$SELECT c360_require_one_of('x', 'y', '{y}')$$),
    ('c360_require_fraud_rule', $$SELECT c360_require_fraud_rule('wallet_abuse')$$),
    ('c360_require_words', $$SELECT c360_require_words('x', '{y}')$$),
    ('c360_customer', $$SELECT c360_customer('0901000001')$$),
    ('c360_customers', $$SELECT c360_customers('{0901000001}')$$),
    ('c360_recent_customers', 'SELECT c360_recent_customers()'),
    ('c360_search_customers', $$SELECT c360_search_customers('0901')$$),
    ('c360_activities', $$SELECT c360_activities('0901000001')$$),
    ('c360_export_customer', $$SELECT c360_export_customer('0901000001')$$),
    ('c360_reconcile_bank', $$SELECT c360_reconcile_bank('2024-01-01', '2024-01-31')$$),
    ('c360_require_number', $$SELECT c360_require_number('1900 1234')$$),
    ('c360_vietqr_url', $$SELECT c360_vietqr_url('970422', '123', 1, 'x')$$),
    ('c360_fold', $$SELECT c360_fold('Đ')$$),
    ('c360_require_range', $$SELECT c360_require_range('x', 1, 0, 2)$$),
    ('c360_require_job', $$SELECT c360_require_job('expire_credits')$$),
    ('c360_list_jobs', 'SELECT c360_list_jobs()'),
    ('c360_job_plan', 'SELECT c360_job_plan()'),
    ('c360_job_function', $$SELECT c360_job_function('expire_credits')$$),
    ('c360_next_run', $$SELECT c360_next_run('0 * * * *', now())$$),
    ('c360_shift_schedule', $$SELECT c360_shift_schedule('0 * * * *', -7)$$),
    ('c360_sees_money', 'SELECT c360_sees_money()'),
    ('c360_calculate_rfm', $$SELECT c360_calculate_rfm('0901000001')$$),
    ('c360_analyze_rfm', $$SELECT c360_analyze_rfm('0901000001')$$),
    ('c360_rfm_movement', 'SELECT c360_rfm_movement(current_date, current_date)'),
    ('c360_rfm_words', $$SELECT c360_rfm_words(1, 1::smallint, 1::smallint, 1::smallint, 'Lost')$$),
    ('c360_rfm_answer', 'SELECT c360_rfm_answer(1, current_date, true)'),
    ('c360_rfm_open_run', 'SELECT c360_rfm_open_run()'),
    ('c360_rfm_range_end', 'SELECT c360_rfm_range_end(0, 1)'),
    ('c360_rfm_distribution', 'SELECT c360_rfm_distribution()'),
    ('c360_rfm_config_version', 'SELECT c360_rfm_config_version()'),
    ('c360_score_customer', 'SELECT c360_score_customer(1, current_date)'),
    ('c360_dashboard', 'SELECT c360_dashboard() - ''at'''),
    ('c360_ticket_metrics', 'SELECT c360_ticket_metrics()'),
    ('c360_wallet_summary', 'SELECT c360_wallet_summary()'),
    ('c360_daily_summary', 'SELECT c360_daily_summary()'),
    ('c360_consolidated_transactions', 'SELECT c360_consolidated_transactions()'),
    ('c360_require_days', 'SELECT c360_require_days(current_date, current_date, 1)'),
    ('c360_shop_day', 'SELECT c360_shop_day(now())'),
    ('c360_shop_midnight', 'SELECT c360_shop_midnight(current_date)'),
    ('c360_customers_to_count', 'SELECT c360_customers_to_count(0, 10)'),
    ('c360_events_since', 'SELECT c360_events_since()'),
    ('c360_events', 'SELECT c360_events()'),
    ('c360_statistics', 'SELECT c360_statistics()'),
    ('c360_ticket', format('SELECT c360_ticket(%L)', :'ticket')),
    ('c360_ticket_fields', $$SELECT c360_ticket_fields('{"subject": "a subject"}')$$),
    ('c360_require_move', $$SELECT c360_require_move('new', 'processing')$$),
    ('c360_require_accountant', 'SELECT c360_require_accountant()'),
    ('c360_require_days', $$SELECT c360_require_days('2026-01-01', '2026-01-02', 2)$$),
    ('c360_sees_money', 'SELECT c360_sees_money()'),
    ('c360_shop_day', 'SELECT c360_shop_day(now())'),
    ('c360_shop_midnight', $$SELECT c360_shop_midnight('2026-01-01')$$),
    ('c360_dashboard', 'SELECT c360_dashboard()'),
    ('c360_ticket_metrics', 'SELECT c360_ticket_metrics()'),
    ('c360_wallet_summary', 'SELECT c360_wallet_summary()'),
    ('c360_daily_summary', 'SELECT c360_daily_summary()'),
    ('c360_consolidated_transactions', 'SELECT c360_consolidated_transactions()'),
    ('c360_rfm_looks_at_all', $$SELECT c360_rfm_looks_at_all(true, NULL, NULL, 'rules', '2026-01-01')$$),
    ('c360_rfm_new_state', $$SELECT c360_rfm_new_state('rules', NULL, '2026-01-01')$$),
    ('c360_version', 'SELECT c360_version()'),
    ('c360_normalize_phone', $$SELECT c360_normalize_phone('0901000001')$$),
    ('c360_phone_carrier', $$SELECT c360_phone_carrier('0901000001')$$),
    ('c360_parse_transfer', $$SELECT c360_parse_transfer('0901000001')$$);
SELECT set_eq('SELECT name FROM reads', $$SELECT name FROM pg_temp.routines WHERE provolatile <> 'v'
                AND name <> 'c360_pg_cron_clock'$$,
              'each function that reads is called here');
SELECT is(pg_temp.read_only(call), 'none', 'read only: ' || call) FROM reads;
SELECT is(pg_temp.read_only('SELECT * FROM ' || v.view), 'none', 'read only: the view ' || v.view)
FROM c360_level_views() AS v WHERE to_regclass(v.view) IS NOT NULL;
SELECT is_empty($$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
                  AND (left(c.relname, 5) = 'c360_' OR pg_get_viewdef(c.oid) ~ '\mc360\.')
                  AND c.relname NOT IN (SELECT v.view FROM c360_level_views() AS v)$$, 'those are all views');

SELECT * FROM finish();
ROLLBACK;
