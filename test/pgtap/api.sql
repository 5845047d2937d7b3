-- Names and signatures that stay: what a client or a dump relies on.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- Name of a function, its arguments with defaults, its result.
CREATE FUNCTION pg_temp.signature(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(
        format('(%s)%s', pg_get_function_arguments(oid), ' -> ' || pg_get_function_result(oid)), '; '),
        'missing')
    FROM pg_temp.routines WHERE name = wanted
$$;

-- Set-up, pure functions
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_install', '() -> text'),
    ('c360_version', '() -> text'),
    ('c360_set', '(name text, value text) -> void'),
    ('c360_grant', '(role regrole, level text) -> void'),
    ('c360_revoke', '(role regrole) -> void'),
    ('c360_level', '() -> text'),
    ('c360_schedule_jobs', '() -> integer'),
    ('c360_unschedule_jobs', '() -> integer'),
    ('c360_run_job', '(job text) -> void'),
    ('c360_set_job', '(job text, schedule text DEFAULT NULL::text, enabled boolean DEFAULT NULL::boolean) -> void'),
    ('c360_perform_job', '(IN job text)'),
    ('c360_next_run', '(schedule text, after timestamp with time zone) -> timestamp with time zone'),
    ('c360_normalize_phone', '(raw text) -> text'),
    ('c360_phone_carrier', '(phone text) -> text'),
    ('c360_parse_transfer', '(content text, ignored text[] DEFAULT ''{}''::text[])'
        ' -> TABLE(kind text, value text, "position" integer, confidence real)')
) AS t (name, expected);

-- Money
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_deposit', '(phone text, amount bigint, source text DEFAULT ''MANUAL''::text,'
        ' reference_type text DEFAULT NULL::text, reference_id text DEFAULT NULL::text,'
        ' note text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text,'
        ' occurred_at timestamp with time zone DEFAULT NULL::timestamp with time zone) -> c360_movement'),
    ('c360_issue_credit', '(phone text, amount bigint, kind text DEFAULT ''COMPENSATION''::text,'
        ' source_id text DEFAULT NULL::text,'
        ' expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone,'
        ' note text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text) -> c360_movement'),
    ('c360_withdraw', '(phone text, amount bigint, order_id text DEFAULT NULL::text,'
        ' note text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text) -> c360_movement'),
    ('c360_refund', '(transaction_id bigint, amount bigint DEFAULT NULL::bigint,'
        ' note text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text) -> c360_movement'),
    ('c360_adjust', '(phone text, amount bigint, reason text, reference_type text DEFAULT NULL::text,'
        ' reference_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text) -> c360_movement'),
    ('c360_cancel_credit', '(credit_id bigint, reason text, idempotency_key text DEFAULT NULL::text)'
        ' -> c360_movement'),
    ('c360_expire_credits', '(max_lots integer DEFAULT NULL::integer)'
        ' -> TABLE(expired_count bigint, total_expired_amount bigint)'),
    ('c360_expire_all', '()'),
    ('c360_wallet', '(phone text) -> c360_wallet_row'),
    ('c360_wallets', '(phones text[] DEFAULT NULL::text[], customer_ids bigint[] DEFAULT NULL::bigint[])'
        ' -> SETOF c360_wallet_row'),
    ('c360_wallet_transactions', '(phone text, type text DEFAULT NULL::text,'
        ' before_id bigint DEFAULT NULL::bigint, max_rows integer DEFAULT 50)'
        ' -> SETOF c360_wallet_transaction_row'),
    ('c360_balance_at', '(phone text, at timestamp with time zone)'
        ' -> TABLE(balance bigint, virtual_balance bigint)'),
    ('c360_expiring_credits', '(within interval DEFAULT ''7 days''::interval)'
        ' -> TABLE(phone text, credit_id bigint, remaining bigint, expires_at timestamp with time zone)'),
    ('c360_verify_wallets', '() -> TABLE(customer_id bigint, problem text, expected bigint, found bigint)'),
    ('c360_freeze_wallet', '(phone text, reason text) -> void'),
    ('c360_unfreeze_wallet', '(phone text) -> void')
) AS t (name, expected);

-- Bank, customers
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_ingest_bank_transaction', '(payload jsonb) -> c360_bank_result'),
    ('c360_ingest_bank_transactions', '(payloads jsonb, decide boolean DEFAULT true) -> SETOF c360_bank_result'),
    ('c360_sepay_webhook', '(jsonb) -> jsonb'),
    ('c360_link_transaction', '(bank_transaction_id bigint, phone text, customer_name text DEFAULT NULL::text,'
        ' auto_deposit boolean DEFAULT true) -> c360_bank_result'),
    ('c360_unlink_transaction', '(bank_transaction_id bigint, reason text) -> c360_bank_result'),
    ('c360_resolve_match', '(match_id bigint, phone text, any_customer boolean DEFAULT false,'
        ' note text DEFAULT NULL::text) -> c360_bank_result'),
    ('c360_skip_match', '(match_id bigint, reason text) -> c360_bank_result'),
    ('c360_undo_skip_match', '(match_id bigint) -> c360_bank_result'),
    ('c360_process_bank', '(max_rows integer DEFAULT 100) -> TABLE(processed bigint, failed bigint)'),
    ('c360_rematch_transactions', '(from_date date, to_date date) -> TABLE(examined bigint, matched bigint)'),
    ('c360_reconcile_bank', '(from_date date, to_date date) -> TABLE(bank_transaction_id bigint, problem text,'
        ' expected bigint, found bigint)'),
    ('c360_vietqr_url', '(bank_bin text, account text, amount bigint, content text) -> text'),
    ('c360_retire_qr_code', '(code text) -> void'),
    ('c360_ignore_number', '(number text, reason text) -> void'),
    ('c360_unignore_number', '(number text) -> boolean'),
    ('c360_create_qr_code', '(phone text) -> text'),
    ('c360_get_or_create_customer', '(phone text, name text DEFAULT NULL::text) -> bigint'),
    ('c360_upsert_customer', '(phone text, name text DEFAULT NULL::text, email text DEFAULT NULL::text,'
        ' address text DEFAULT NULL::text, carrier text DEFAULT NULL::text, tags text[] DEFAULT NULL::text[],'
        ' aliases text[] DEFAULT NULL::text[], internal_note text DEFAULT NULL::text,'
        ' created_source text DEFAULT NULL::text,'
        ' created_at timestamp with time zone DEFAULT NULL::timestamp with time zone) -> jsonb'),
    ('c360_upsert_tpos_customer', '(phone text, tpos jsonb) -> jsonb'),
    ('c360_set_tier', '(phone text, tier text, locked boolean DEFAULT true, reason text DEFAULT NULL::text) -> void'),
    ('c360_set_status', '(phone text, status text, locked boolean DEFAULT true, reason text DEFAULT NULL::text) -> void'),
    ('c360_change_phone', '(phone text, new_phone text, reason text) -> void'),
    ('c360_customer', '(phone text) -> jsonb'),
    ('c360_customers', '(phones text[] DEFAULT NULL::text[], ids bigint[] DEFAULT NULL::bigint[])'
        ' -> SETOF c360_customer_row'),
    ('c360_recent_customers', '(max_rows integer DEFAULT 20) -> SETOF c360_customer_row'),
    ('c360_search_customers', '(query text, max_rows integer DEFAULT 20, after text DEFAULT NULL::text)'
        ' -> TABLE(customer_id bigint, phone text, name text, tier text, status text, wallet_total bigint,'
        ' rank integer, cursor text)'),
    ('c360_add_note', '(phone text, content text, category text DEFAULT ''general''::text,'
        ' pinned boolean DEFAULT false) -> bigint'),
    ('c360_activities', '(phone text, before_id bigint DEFAULT NULL::bigint, max_rows integer DEFAULT 50)'
        ' -> SETOF c360_activity_row'),
    ('c360_export_customer', '(phone text) -> jsonb'),
    ('c360_erase_customer', '(phone text, reason text) -> void'),
    ('c360_fold', '(raw text) -> text')
) AS t (name, expected);

-- Fraud
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_scan_fraud', '(since timestamp with time zone DEFAULT NULL::timestamp with time zone)'
        ' -> TABLE(rule text, examined bigint, flagged bigint)'),
    ('c360_review_fraud_flag', '(flag_id bigint, decision text, note text DEFAULT NULL::text) -> void'),
    ('c360_snooze_fraud_rule', '(phone text, rule text, until timestamp with time zone, note text) -> void'),
    ('c360_set_fraud_rule', '(rule text, mode text DEFAULT NULL::text, severity text DEFAULT NULL::text,'
        ' action text DEFAULT NULL::text, parameters jsonb DEFAULT NULL::jsonb) -> void')
) AS t (name, expected);

-- Orders, tickets
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_record_order', '(phone text, order_code text, amount bigint,'
        ' ordered_at timestamp with time zone DEFAULT now(), status text DEFAULT ''pending''::text)'
        ' -> TABLE(order_id bigint, customer_id bigint, customer_created boolean)'),
    ('c360_create_ticket', '(phone text, type text, order_code text DEFAULT NULL::text,'
        ' subject text DEFAULT NULL::text, description text DEFAULT NULL::text,'
        ' products jsonb DEFAULT NULL::jsonb, refund_amount bigint DEFAULT NULL::bigint,'
        ' original_cod bigint DEFAULT NULL::bigint, new_cod bigint DEFAULT NULL::bigint,'
        ' tracking_code text DEFAULT NULL::text, carrier text DEFAULT NULL::text,'
        ' priority text DEFAULT NULL::text, reason text DEFAULT NULL::text,'
        ' deadline timestamp with time zone DEFAULT NULL::timestamp with time zone,'
        ' assignee text DEFAULT NULL::text, allow_duplicate boolean DEFAULT false)'
        ' -> TABLE(ticket_id bigint, ticket_code text, customer_id bigint, customer_created boolean)'),
    ('c360_ticket', '(ticket_code text) -> jsonb'),
    ('c360_update_ticket', '(ticket_code text, changes jsonb) -> jsonb'),
    ('c360_ticket_action', '(ticket_code text, action text, note text DEFAULT NULL::text,'
        ' deadline timestamp with time zone DEFAULT NULL::timestamp with time zone,'
        ' assignee text DEFAULT NULL::text) -> jsonb'),
    ('c360_ticket_note', '(ticket_code text, note text) -> jsonb'),
    ('c360_resolve_ticket', '(ticket_code text, amount bigint DEFAULT NULL::bigint,'
        ' compensation text DEFAULT NULL::text, note text DEFAULT NULL::text) -> jsonb'),
    ('c360_delete_ticket', '(ticket_code text, reason text DEFAULT NULL::text) -> void'),
    ('c360_escalate_deadlines', '() -> bigint'),
    ('c360_recount_all', '()'),
    ('c360_recount_orders', '(after_id bigint DEFAULT 0, max_customers integer DEFAULT 1000) -> bigint')
) AS t (name, expected);

-- Scores
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_calculate_rfm', '(phone text) -> TABLE(recency_days integer, frequency integer, monetary bigint,'
        ' r smallint, f smallint, m smallint, overall numeric, segment text, tier text)'),
    ('c360_update_rfm', '(phone text) -> TABLE(recency_days integer, frequency integer, monetary bigint,'
        ' r smallint, f smallint, m smallint, overall numeric, segment text, tier text)'),
    ('c360_refresh_rfm', '("full" boolean DEFAULT false) -> TABLE(examined bigint, changed bigint, distribution jsonb)'),
    ('c360_analyze_rfm', '(phone text) -> jsonb'),
    ('c360_update_rfm_threshold', '(metric text, score integer, min_value bigint, description text DEFAULT NULL::text) -> void'),
    ('c360_rfm_movement', '(from_date date, to_date date) -> TABLE(from_segment text, to_segment text, customers bigint)')
) AS t (name, expected);

-- Events
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_events_since', '(after text DEFAULT NULL::text, channels text[] DEFAULT NULL::text[],'
        ' max_rows integer DEFAULT 500)'
        ' -> TABLE(cursor text, id bigint, channel text, event text, payload jsonb, at timestamp with time zone)'),
    ('c360_open_stream', '(channels text[] DEFAULT NULL::text[]) -> text'),
    ('c360_events', '(pass text DEFAULT NULL::text, after text DEFAULT NULL::text) -> "text/event-stream"')
) AS t (name, expected);

-- Statistics
SELECT is(pg_temp.signature(name), expected, name) FROM (VALUES
    ('c360_dashboard', '() -> jsonb'),
    ('c360_ticket_metrics', '(days integer DEFAULT 30) -> jsonb'),
    ('c360_wallet_summary', '(days integer DEFAULT 7) -> jsonb'),
    ('c360_daily_summary', '(from_date date DEFAULT NULL::date, to_date date DEFAULT NULL::date) -> SETOF c360_daily_row'),
    ('c360_consolidated_transactions', '(phone text DEFAULT NULL::text, type text DEFAULT NULL::text,'
        ' from_date date DEFAULT NULL::date, to_date date DEFAULT NULL::date, after text DEFAULT NULL::text,'
        ' max_rows integer DEFAULT 10) -> SETOF c360_consolidated_row')
) AS t (name, expected);

-- Types that are answered, column for column
CREATE FUNCTION pg_temp.columns_of(type regtype) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
    FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
    WHERE t.oid = columns_of.type AND a.attnum > 0 AND NOT a.attisdropped
$$;
SELECT is(pg_temp.columns_of(name::regtype), expected, 'type ' || name) FROM (VALUES
    ('c360_movement', 'transaction_id bigint, type text, amount bigint, real_change bigint,'
        ' virtual_change bigint, balance bigint, virtual_balance bigint, available bigint, lots jsonb,'
        ' replayed boolean'),
    ('c360_wallet_row', 'customer_id bigint, phone text, balance bigint, virtual_balance bigint,'
        ' available bigint, frozen boolean, total_deposited bigint, total_withdrawn bigint,'
        ' total_virtual_issued bigint, total_virtual_used bigint, total_virtual_expired bigint, lots jsonb'),
    ('c360_daily_row', 'date date, new_customers bigint, orders bigint, order_amount numeric, tickets_created bigint,'
        ' tickets_completed bigint, wallet_transactions bigint, deposited numeric, withdrawn numeric, refunded numeric,'
        ' adjusted numeric, credit_issued numeric, credit_used numeric, credit_expired numeric, credit_cancelled numeric,'
        ' bank_transactions bigint, bank_in numeric, bank_out numeric'),
    ('c360_consolidated_row', 'cursor text, kind text, type text, id bigint, at timestamp with time zone,'
        ' customer_id bigint, phone text, name text, amount bigint, real_change bigint, virtual_change bigint,'
        ' balance bigint, virtual_balance bigint, status text, code text, reference_type text, reference_id text,'
        ' note text, details jsonb, actor text'),
    ('c360_bank_result', 'bank_transaction_id bigint, result text, phone text, customer_id bigint,'
        ' customer_created boolean, transaction_id bigint, amount bigint')
) AS t (name, expected);

-- No function is overloaded: clients that send arguments by name could not tell which is meant.
SELECT is_empty($$SELECT name FROM pg_temp.routines GROUP BY name HAVING count(*) > 1$$,
                'no function is overloaded');
SELECT is_empty($$SELECT r.name FROM pg_temp.routines r JOIN pg_proc p ON p.proname = r.name
                  WHERE p.oid <> r.oid$$, 'no other function bears a name of the extension');
SELECT is_empty($$SELECT name FROM pg_temp.routines
                  WHERE pronargs > 0 AND name <> 'c360_sepay_webhook' AND (proargnames IS NULL OR '' = ANY (proargnames))$$,
                'every argument has a name, but what the bank posts as it comes');
SELECT is_empty($$SELECT name FROM pg_temp.routines WHERE left(name, 5) <> 'c360_'$$,
                'every name begins with c360_');
SELECT is_empty($$SELECT r.name FROM pg_temp.routines r
                  JOIN pg_type t ON t.oid = r.prorettype OR t.oid = ANY (r.proargtypes)
                                 OR t.oid = ANY (r.proallargtypes)
                  JOIN pg_class c ON c.oid = t.typrelid WHERE c.relkind <> 'c'$$,
                'no signature has the row type of a table or view');
SELECT is_empty($$SELECT name FROM pg_temp.routines WHERE prosqlbody IS NOT NULL$$,
                'no body is parsed at CREATE: the tables do not exist yet then');

-- How functions are declared
CREATE FUNCTION pg_temp.declared(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ',
        CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
        CASE proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
        CASE WHEN proisstrict THEN 'strict' END)
    FROM pg_temp.routines WHERE name = wanted
$$;
SELECT is(pg_temp.declared(name), 'immutable safe strict', name || ' is pure and strict')
FROM unnest(ARRAY['c360_version', 'c360_normalize_phone', 'c360_phone_carrier', 'c360_next_run', 'c360_fold']) AS name;
SELECT is(pg_temp.declared(name), 'immutable safe', name || ' is pure and takes NULL')
FROM unnest(ARRAY['c360_parse_transfer', 'c360_vietqr_url']) AS name;
SELECT is(pg_temp.declared(name), 'volatile unsafe', name || ' writes; it says itself what is missing')
FROM unnest(ARRAY['c360_install', 'c360_set', 'c360_grant', 'c360_revoke', 'c360_deposit', 'c360_issue_credit', 'c360_withdraw',
                  'c360_refund', 'c360_adjust', 'c360_cancel_credit', 'c360_expire_credits',
                  'c360_expire_all', 'c360_scan_fraud', 'c360_scan_fraud_all', 'c360_review_fraud_flag',
                  'c360_snooze_fraud_rule', 'c360_set_fraud_rule', 'c360_freeze_wallet', 'c360_unfreeze_wallet',
                  'c360_ingest_bank_transaction', 'c360_create_qr_code', 'c360_ingest_bank_transactions', 'c360_sepay_webhook',
                  'c360_link_transaction', 'c360_unlink_transaction', 'c360_resolve_match', 'c360_skip_match',
                  'c360_undo_skip_match', 'c360_process_bank', 'c360_rematch_transactions', 'c360_retire_qr_code',
                  'c360_ignore_number', 'c360_unignore_number',
                  'c360_upsert_customer', 'c360_upsert_tpos_customer', 'c360_set_tier', 'c360_set_status',
                  'c360_change_phone', 'c360_add_note', 'c360_erase_customer', 'c360_recount_orders', 'c360_recount_all',
                  'c360_get_or_create_customer', 'c360_perform_job', 'c360_run_job', 'c360_set_job',
                  'c360_schedule_jobs', 'c360_unschedule_jobs', 'c360_open_stream',
                  'c360_update_rfm', 'c360_refresh_rfm', 'c360_refresh_rfm_all', 'c360_update_rfm_threshold']) AS name;
SELECT is(pg_temp.declared(name), 'stable unsafe', name || ' only reads')
FROM unnest(ARRAY['c360_wallet', 'c360_wallets', 'c360_wallet_transactions', 'c360_balance_at',
                  'c360_expiring_credits', 'c360_verify_wallets', 'c360_reconcile_bank', 'c360_events_since', 'c360_events',
                  'c360_dashboard', 'c360_ticket_metrics', 'c360_wallet_summary', 'c360_daily_summary',
                  'c360_consolidated_transactions',
                  'c360_calculate_rfm', 'c360_analyze_rfm', 'c360_rfm_movement']) AS name;
SELECT is_empty($$SELECT name FROM pg_temp.routines WHERE provolatile = 'v' AND proparallel <> 'u'$$,
                'what writes is parallel unsafe');
SELECT is_empty($$SELECT name FROM pg_temp.routines WHERE provolatile = 'i' AND proparallel <> 's'$$,
                'what is pure is parallel safe');
SELECT is_empty($$SELECT name FROM pg_temp.routines
                  WHERE prosecdef AND ARRAY(SELECT c FROM unnest(proconfig) AS c
                                            WHERE c NOT IN ('enable_seqscan=off', 'plan_cache_mode=force_generic_plan', 'jit=off'))
                                      <> ARRAY['search_path=pg_catalog, pg_temp']$$,
                'SECURITY DEFINER functions have their search_path pinned and nothing else set but what concerns plans');
SELECT isnt_empty('SELECT name FROM pg_temp.routines WHERE prosecdef',
                  'there are SECURITY DEFINER functions to look at');
SELECT is_empty($$SELECT r.name FROM pg_temp.routines r JOIN pg_language l ON l.oid = r.prolang
                  WHERE l.lanname IN ('sql', 'plpgsql') AND r.prokind = 'f'
                    AND 'search_path=pg_catalog, pg_temp' = ANY (r.proconfig) IS NOT TRUE$$,
                'every function in SQL or PL/pgSQL has its search_path pinned');
SELECT is_empty($$SELECT name FROM pg_temp.routines WHERE prokind = 'p' AND (prosecdef OR proconfig IS NOT NULL)$$,
                'procedures that commit have neither SECURITY DEFINER nor SET');
SELECT is((SELECT prokind::text FROM pg_temp.routines WHERE routines.name = wanted), 'p', wanted || ' is a procedure')
FROM unnest(ARRAY['c360_expire_all', 'c360_recount_all', 'c360_perform_job', 'c360_refresh_rfm_all', 'c360_scan_fraud_all']) AS wanted;
SELECT is((SELECT prosecdef FROM pg_temp.routines WHERE routines.name = wanted), false,
          wanted || ' has the rights of its caller')
FROM unnest(ARRAY['c360_install', 'c360_grant', 'c360_revoke', 'c360_schedule_jobs', 'c360_unschedule_jobs', 'c360_set_job', 'c360_pg_cron_put']) AS wanted;

-- Comments
SELECT is_empty($$SELECT name FROM pg_temp.routines WHERE obj_description(oid, 'pg_proc') IS NULL$$,
                'every function has a comment');
SELECT is_empty($$SELECT r.name || ': ' || a.argument
                  FROM pg_temp.routines r, unnest(r.proargnames[1:r.pronargs]) AS a (argument)
                  WHERE obj_description(r.oid, 'pg_proc') !~ ('\m' || a.argument || '\M')$$,
                'every comment names each argument');
SELECT is_empty($$SELECT name FROM pg_temp.routines
                  WHERE prorettype <> 'trigger'::regtype
                    AND obj_description(oid, 'pg_proc') !~ '\m(Answer:|PT\d{3}|[0-9A-Z]{2}\d{3})'$$,
                'every comment says what is answered, or which errors there are');
SELECT is_empty($$SELECT r.name FROM pg_temp.routines r
                  WHERE r.provolatile = 'v' AND r.prorettype <> 'trigger'::regtype
                    AND r.name NOT IN ('c360_install', 'c360_become_owner')
                    AND obj_description(r.oid, 'pg_proc') !~ '\m25006\M'$$,
                'comments of what writes name 25006');
SELECT is_empty($$SELECT t.typname FROM pg_type t
                  JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
                  JOIN pg_extension e ON e.oid = d.refobjid
                  WHERE e.extname = 'c360' AND t.typcategory <> 'A' AND obj_description(t.oid, 'pg_type') IS NULL$$,
                'every type has a comment');

-- The extension is code only.
SELECT is_empty($$SELECT d.objid::regclass FROM pg_depend d
                  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
                  JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
                  WHERE e.extname = 'c360' AND d.deptype = 'e' AND c.relkind <> 'c'$$,
                'no table, view or sequence is a member of the extension');
SELECT is_empty($$SELECT d.classid::regclass, pg_describe_object(d.classid, d.objid, d.objsubid)
                  FROM pg_depend d JOIN pg_temp.routines r
                    ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = r.oid
                  WHERE d.classid IN ('pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_class'::regclass)$$,
                'no CHECK, default, generated column or index calls a function of the extension');
SELECT is_empty($$SELECT t.tgname, t.tgrelid::regclass FROM pg_trigger t
                  JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'c360' AND NOT t.tgisinternal AND t.tgenabled <> 'A'$$,
                'every guard trigger fires for the replica role, too');
SELECT set_eq($$SELECT t.tgrelid::regclass::text, t.tgname::text FROM pg_trigger t
                JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'c360' AND NOT t.tgisinternal$$,
              $$VALUES ('c360.settings', 'settings_changing'), ('c360.settings', 'settings_changed'),
                       ('c360.jobs', 'jobs_changing'), ('c360.jobs', 'jobs_changed'),
                       ('c360.rfm_config', 'rfm_config_changing'), ('c360.rfm_config', 'rfm_config_changed'),
                       ('c360.rfm_segments', 'rfm_segments_changing'), ('c360.rfm_segments', 'rfm_segments_changed'),
                       ('c360.transfer_ignored', 'ignored_changing'), ('c360.transfer_ignored', 'ignored_changed'),
                       ('c360.ticket_types', 'ticket_types_changing'), ('c360.ticket_types', 'ticket_types_changed'),
                       ('c360.wallet_transactions', 'ledger_guard'),
                       ('c360.wallet_transactions', 'ledger_truncate_guard'),
                       ('c360.virtual_credit_uses', 'ledger_guard'),
                       ('c360.virtual_credit_uses', 'ledger_truncate_guard')$$,
              'there are guards, and no trigger that writes');

-- Tables
SELECT has_table('c360', name, 'table c360.' || name)
FROM unnest(ARRAY['customers', 'customer_wallets', 'wallet_transactions', 'virtual_credits',
                  'virtual_credit_uses', 'customer_activities', 'balance_history', 'bank_links',
                  'balance_customer_info', 'pending_customer_matches', 'transfer_ignored',
                  'settings', 'granted_levels', 'jobs', 'job_runs', 'audit_logs', 'event_epochs',
                  'event_ticks', 'event_streams']::name[]) AS name;
SELECT col_type_is('c360'::name, t.name::name, c[1]::name, c[2], format('column c360.%s.%s', t.name, c[1]))
FROM (VALUES
    ('customers', 'id bigint, phone text, name text, status text, tier text,'
        ' created_at timestamp_with_time_zone'),
    ('wallet_transactions', 'id bigint, customer_id bigint, type text, amount bigint, real_change bigint,'
        ' virtual_change bigint, balance_after bigint, virtual_balance_after bigint, idempotency_key text'),
    ('virtual_credits', 'id bigint, customer_id bigint, original_amount bigint, remaining_amount bigint,'
        ' status text, expires_at timestamp_with_time_zone'),
    ('fraud_flags', 'customer_id bigint, rule text, mode text, evidence jsonb'),
    ('pending_customer_matches', 'id bigint, bank_transaction_id bigint, status text')
) AS t (name, columns),
    LATERAL (SELECT ARRAY[split_part(p, ' ', 1), replace(split_part(p, ' ', 2), '_', ' ')]
             FROM unnest(string_to_array(t.columns, ', ')) AS p) AS x (c);
SELECT is_empty($$SELECT table_name, column_name FROM information_schema.columns
                  WHERE table_schema = 'c360' AND table_name = 'wallet_transactions'
                    AND column_name ~ '(phone|name|note|reason|content|email|address)'
                    AND column_name <> 'session_user_name'$$,
                'the ledger has no column for a phone, a name or free text');
SELECT is(s.seqcache, 1::bigint, format('%s counts one by one', s.seqrelid::regclass))
FROM pg_sequence s WHERE s.seqrelid IN (
    pg_get_serial_sequence('c360.wallet_transactions', 'id')::regclass,
    pg_get_serial_sequence('c360.customer_activities', 'id')::regclass);
SELECT cmp_ok((SELECT count(*) FROM pg_sequence s WHERE s.seqrelid IN (
    pg_get_serial_sequence('c360.wallet_transactions', 'id')::regclass,
    pg_get_serial_sequence('c360.customer_activities', 'id')::regclass)), '=', 2::bigint,
    'ledger and timeline have identities');

-- Views
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = 'c360_settings'::regclass AND attnum > 0),
          'name, value, type, unit, default, description', 'view c360_settings');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = 'c360_job_status'::regclass AND attnum > 0),
          'job, schedule, enabled, last_start, last_end, rows, error, failures, next_run', 'view c360_job_status');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = 'c360_stat'::regclass AND attnum > 0),
          'ticks, notifications, lag, backlog, ring_overflow, last_error', 'view c360_stat');

-- Versions agree.
SELECT is(c360_version(), (SELECT default_version FROM pg_available_extensions WHERE name = 'c360'),
          'c360_version is the version of the package');
SELECT is(c360_install(), (SELECT max(version)::text FROM c360.table_versions),
          'c360_install answers the version of the tables, called again, too');

SELECT * FROM finish();
ROLLBACK;
