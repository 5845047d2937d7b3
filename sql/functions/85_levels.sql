-- Who may do what. Everything that can be called stands in the first list
-- with the lowest level that may call it, every view in the second.
--
-- viewer < agent < accountant < admin; each of them has stream, accountant and
-- admin have bank_feed, too. Of the rest, "public" is for everybody, "owner"
-- for whoever owns the tables, granted by hand, and "internal" is called by
-- other functions alone. Names that do not exist (yet) are passed over.

CREATE FUNCTION @extschema@.c360_level_functions() RETURNS TABLE (function text, level text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('c360_fold', 'public'),
    ('c360_next_run', 'public'),
    ('c360_normalize_phone', 'public'),
    ('c360_parse_transfer', 'public'),
    ('c360_phone_carrier', 'public'),
    ('c360_shop_day', 'public'),
    ('c360_shop_midnight', 'public'),
    ('c360_version', 'public'),
    ('c360_vietqr_url', 'public'),
    ('c360_write_activity', 'public'),          -- but it works only inside a function of c360

    ('c360_events', 'stream'),

    ('c360_sepay_webhook', 'bank_feed'),

    ('c360_activities', 'viewer'),
    ('c360_analyze_rfm', 'viewer'),
    ('c360_calculate_rfm', 'viewer'),
    ('c360_consolidated_transactions', 'viewer'),
    ('c360_customer', 'viewer'),
    ('c360_customers', 'viewer'),
    ('c360_daily_summary', 'viewer'),
    ('c360_dashboard', 'viewer'),
    ('c360_events_since', 'viewer'),
    ('c360_level', 'viewer'),
    ('c360_open_stream', 'viewer'),
    ('c360_recent_customers', 'viewer'),
    ('c360_rfm_movement', 'viewer'),
    ('c360_search_customers', 'viewer'),
    ('c360_sees_money', 'viewer'),
    ('c360_ticket', 'viewer'),
    ('c360_ticket_metrics', 'viewer'),

    ('c360_add_note', 'agent'),
    ('c360_balance_at', 'agent'),
    ('c360_change_phone', 'agent'),
    ('c360_create_ticket', 'agent'),
    ('c360_delete_ticket', 'agent'),            -- of a compensated ticket: accountant
    ('c360_escalate_deadlines', 'agent'),
    ('c360_expiring_credits', 'agent'),
    ('c360_get_or_create_customer', 'agent'),
    ('c360_record_order', 'agent'),
    ('c360_resolve_ticket', 'agent'),           -- with credit or deposit: accountant
    ('c360_ticket_action', 'agent'),
    ('c360_ticket_note', 'agent'),
    ('c360_update_rfm', 'agent'),
    ('c360_update_ticket', 'agent'),
    ('c360_upsert_customer', 'agent'),
    ('c360_upsert_tpos_customer', 'agent'),
    ('c360_wallet', 'agent'),
    ('c360_wallet_summary', 'agent'),
    ('c360_wallet_transactions', 'agent'),
    ('c360_wallets', 'agent'),

    ('c360_adjust', 'accountant'),
    ('c360_cancel_credit', 'accountant'),
    ('c360_create_qr_code', 'accountant'),
    ('c360_deposit', 'accountant'),
    ('c360_expire_all', 'accountant'),
    ('c360_expire_credits', 'accountant'),
    ('c360_export_customer', 'accountant'),
    ('c360_freeze_wallet', 'accountant'),
    ('c360_ignore_number', 'accountant'),
    ('c360_ingest_bank_transaction', 'accountant'),
    ('c360_ingest_bank_transactions', 'accountant'),
    ('c360_issue_credit', 'accountant'),
    ('c360_link_transaction', 'accountant'),
    ('c360_process_bank', 'accountant'),
    ('c360_reconcile_bank', 'accountant'),
    ('c360_refund', 'accountant'),
    ('c360_rematch_transactions', 'accountant'),
    ('c360_resolve_match', 'accountant'),
    ('c360_retire_qr_code', 'accountant'),
    ('c360_skip_match', 'accountant'),
    ('c360_undo_skip_match', 'accountant'),
    ('c360_unignore_number', 'accountant'),
    ('c360_unlink_transaction', 'accountant'),
    ('c360_unfreeze_wallet', 'accountant'),
    ('c360_verify_wallets', 'accountant'),
    ('c360_withdraw', 'accountant'),

    ('c360_erase_customer', 'admin'),
    ('c360_fraud_batch', 'admin'),
    ('c360_job_batch', 'admin'),
    ('c360_job_begin', 'admin'),
    ('c360_job_end', 'admin'),
    ('c360_perform_job', 'admin'),
    ('c360_refresh_rfm', 'admin'),
    ('c360_refresh_rfm_all', 'admin'),
    ('c360_rfm_continue', 'admin'),
    ('c360_rfm_start', 'admin'),
    ('c360_review_fraud_flag', 'admin'),
    ('c360_run_job', 'admin'),
    ('c360_scan_fraud', 'admin'),
    ('c360_scan_fraud_all', 'admin'),
    ('c360_schedule_jobs', 'admin'),
    ('c360_recount_all', 'admin'),
    ('c360_recount_orders', 'admin'),
    ('c360_set', 'admin'),
    ('c360_set_fraud_rule', 'admin'),
    ('c360_set_job', 'admin'),
    ('c360_set_status', 'admin'),
    ('c360_set_tier', 'admin'),
    ('c360_snooze_fraud_rule', 'admin'),
    ('c360_statistics', 'admin'),
    ('c360_unschedule_jobs', 'admin'),
    ('c360_update_rfm_threshold', 'admin'),

    ('c360_apply_level', 'owner'),
    ('c360_grant', 'owner'),
    ('c360_install', 'owner'),
    ('c360_refuse_change', 'owner'),
    ('c360_revoke', 'owner'),
    ('c360_settings_changed', 'owner'),

    ('c360_become_owner', 'internal'),
    ('c360_change_job', 'admin'),
    ('c360_changes_begin', 'internal'),
    ('c360_changes_end', 'internal'),
    ('c360_count_orders', 'internal'),
    ('c360_create_ticket_at', 'internal'),
    ('c360_customers_to_count', 'internal'),
    ('c360_current_actor', 'internal'),
    ('c360_job_carrier_deadlines', 'internal'),
    ('c360_job_expire_credits', 'internal'),
    ('c360_job_fail', 'internal'),
    ('c360_job_function', 'internal'),
    ('c360_job_lock', 'internal'),
    ('c360_job_note', 'internal'),
    ('c360_job_open', 'internal'),
    ('c360_job_scan_fraud', 'internal'),
    ('c360_job_plan', 'admin'),
    ('c360_job_refresh_rfm', 'internal'),
    ('c360_job_process_bank', 'internal'),
    ('c360_job_unlock', 'internal'),
    ('c360_level_functions', 'internal'),
    ('c360_level_views', 'internal'),
    ('c360_list_jobs', 'admin'),
    ('c360_lock_payee', 'internal'),
    ('c360_lock_ticket', 'internal'),
    ('c360_make_customer', 'internal'),
    ('c360_pg_cron_clock', 'admin'),
    ('c360_pg_cron_put', 'admin'),
    ('c360_put_order', 'internal'),
    ('c360_raise_priorities', 'internal'),
    ('c360_refresh_rfm_on', 'internal'),
    ('c360_report_progress', 'internal'),
    ('c360_require_accountant', 'internal'),
    ('c360_require_customer', 'internal'),
    ('c360_require_days', 'internal'),
    ('c360_require_fraud_rule', 'internal'),
    ('c360_require_job', 'internal'),
    ('c360_require_move', 'internal'),
    ('c360_require_number', 'internal'),
    ('c360_require_one_of', 'internal'),
    ('c360_require_phone', 'internal'),
    ('c360_require_range', 'internal'),
    ('c360_require_text', 'internal'),
    ('c360_require_words', 'internal'),
    ('c360_rfm_answer', 'internal'),
    ('c360_rfm_batch', 'internal'),
    ('c360_rfm_begin', 'internal'),
    ('c360_rfm_config_version', 'internal'),
    ('c360_rfm_distribution', 'internal'),
    ('c360_rfm_fill_queue', 'internal'),
    ('c360_rfm_lock_customer', 'internal'),
    ('c360_rfm_looks_at_all', 'internal'),
    ('c360_rfm_new_state', 'internal'),
    ('c360_rfm_open_run', 'internal'),
    ('c360_rfm_queue_customer', 'internal'),
    ('c360_rfm_queue_end', 'internal'),
    ('c360_rfm_range_end', 'internal'),
    ('c360_rfm_take_queue', 'internal'),
    ('c360_rfm_words', 'internal'),
    ('c360_save_customer', 'internal'),
    ('c360_score_changed', 'internal'),
    ('c360_score_customer', 'internal'),
    ('c360_score_customers', 'internal'),
    ('c360_set_pg_cron_role', 'admin'),
    ('c360_shift_schedule', 'admin'),
    ('c360_step_ticket', 'internal'),
    ('c360_sweep_job_runs', 'internal'),
    ('c360_ticket_fields', 'internal'),
    ('c360_unused_compensation', 'internal'),
    ('c360_write_ticket', 'internal')
$$;
COMMENT ON FUNCTION @extschema@.c360_level_functions() IS
'Internal: every function of c360 and the lowest level that may call it.

Answer: function, level; names of later versions may stand there, too.';

CREATE FUNCTION @extschema@.c360_level_views() RETURNS TABLE (view text, level text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('balance_statistics', 'viewer'),
    ('c360_activity_list', 'viewer'),
    ('c360_customer_list', 'viewer'),
    ('c360_fraud_flag_list', 'viewer'),
    ('c360_note_list', 'viewer'),
    ('c360_rfm_config', 'viewer'),
    ('c360_ticket_list', 'viewer'),
    ('customer_360_summary', 'viewer'),
    ('customer_activity_summary', 'viewer'),
    ('customer_statistics', 'viewer'),
    ('customers_without_tpos', 'viewer'),
    ('daily_wallet_summary', 'viewer'),
    ('rfm_segment_distribution', 'viewer'),
    ('rfm_segment_mapping', 'viewer'),
    ('ticket_resolution_metrics', 'viewer'),
    ('ticket_statistics', 'viewer'),
    ('wallet_statistics', 'viewer'),

    ('c360_bank_match_statistics', 'agent'),
    ('c360_bank_problem_list', 'agent'),
    ('c360_bank_transaction_list', 'agent'),
    ('c360_credit_list', 'agent'),
    ('c360_ignored_number_list', 'agent'),
    ('c360_pending_match_list', 'agent'),
    ('c360_qr_code_list', 'agent'),
    ('c360_wallet_transaction_list', 'agent'),

    ('c360_fraud_rule_list', 'admin'),
    ('c360_fraud_shadow_report', 'admin'),
    ('c360_job_status', 'admin'),
    ('c360_settings', 'admin'),
    ('c360_stat', 'admin')
$$;
COMMENT ON FUNCTION @extschema@.c360_level_views() IS
'Internal: every view of c360 and the lowest level that may read it.

Answer: view, level; names of later versions may stand there, too.';

CREATE FUNCTION @extschema@.c360_level() RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_level';
COMMENT ON FUNCTION @extschema@.c360_level() IS
'The level of the caller: of who logged in or, after SET ROLE, of that role, inside SECURITY DEFINER functions and views, too.

Answer: the highest of viewer, agent, accountant, admin of the roles it is a member of; admin for superusers and the owner of the tables; NULL for none.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_sees_money() RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_sees_money';
COMMENT ON FUNCTION @extschema@.c360_sees_money() IS
'Whether the caller''s level is agent or higher; views show NULL for money to all others.

Answer: true or false.
Errors: 55000 not installed.';

-- Functions belong to the extension's owner, so this acts as he; views and
-- rows belong to the owner of the tables, so from there on it acts as that.
-- Who may call it may give levels: EXECUTE is for owners of the tables alone.
CREATE FUNCTION @extschema@.c360_apply_level(role regrole, level text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    given_by text := @extschema@.c360_current_actor();
    ranks constant text[] := ARRAY['stream', 'viewer', 'agent', 'accountant', 'admin'];
    ours constant bigint := (SELECT system_identifier FROM pg_control_system());
    whom constant oid := c360_apply_level.role;
    role_name constant text := (SELECT rolname FROM pg_roles WHERE oid = c360_apply_level.role);
    given text[];
    functions text;
    views text;
BEGIN
    IF role_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such role',
            DETAIL = 'unknown_role: ' || c360_apply_level.role;
    END IF;
    given := ranks[:array_position(ranks, coalesce(c360_apply_level.level, 'admin'))];
    IF c360_apply_level.level = 'bank_feed' THEN
        given := ARRAY['bank_feed'];
    ELSIF 'accountant' = ANY (given) THEN
        given := array_append(given, 'bank_feed');
    ELSIF array_position(ranks, c360_apply_level.level) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such level',
            DETAIL = format('unknown_level: "%s"', left(c360_apply_level.level, 64)),
            HINT = 'Allowed are viewer, agent, accountant, admin, bank_feed, stream.';
    END IF;
    SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.proname) INTO functions
    FROM @extschema@.c360_level_functions() AS f JOIN pg_proc p ON p.proname = f.function
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'c360'
    WHERE f.level = ANY (given);
    SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.relname) INTO views
    FROM @extschema@.c360_level_views() AS v JOIN pg_class c ON c.relname = v.view
    WHERE v.level = ANY (given) AND c.relnamespace = '@extschema@'::regnamespace AND c.relkind = 'v'
      AND c.relowner = (SELECT t.relowner FROM pg_class t WHERE t.oid = 'c360.granted_levels'::regclass);

    IF c360_apply_level.level IS NOT NULL THEN
        IF functions IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', functions, role_name);
        END IF;
        IF NOT has_schema_privilege(whom, '@extschema@'::regnamespace, 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %I', role_name);
        END IF;
    ELSE
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %I CASCADE', functions, role_name);
        -- of no use to a role that has nothing else there
        IF '@extschema@'::regnamespace <> 'public'::regnamespace AND NOT EXISTS (
               SELECT FROM pg_proc p, aclexplode(p.proacl) a
               WHERE p.pronamespace = '@extschema@'::regnamespace AND a.grantee = whom)
           AND NOT EXISTS (
               SELECT FROM pg_class c, aclexplode(c.relacl) a
               WHERE c.relnamespace = '@extschema@'::regnamespace AND a.grantee = whom
                 AND c.relname NOT IN (SELECT v.view FROM @extschema@.c360_level_views() AS v)) THEN
            EXECUTE format('REVOKE USAGE ON SCHEMA @extschema@ FROM %I CASCADE', role_name);
        END IF;
    END IF;

    PERFORM @extschema@.c360_become_owner();
    IF c360_apply_level.level IS NULL THEN
        IF views IS NOT NULL THEN
            EXECUTE format('REVOKE SELECT ON %s FROM %I CASCADE', views, role_name);
        END IF;
        DELETE FROM c360.granted_levels AS g
        WHERE CASE WHEN g.cluster = ours THEN g.role_id = whom ELSE g.role = role_name END;
        DELETE FROM c360.event_streams AS s WHERE s.role_id = whom AND s.cluster = ours;
        RETURN;
    END IF;
    IF views IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON %s TO %I', views, role_name);
    END IF;
    WITH from_elsewhere AS (
        DELETE FROM c360.granted_levels AS g
        WHERE g.cluster <> ours AND g.role = role_name AND g.level = c360_apply_level.level
        RETURNING g.granted_by, g.granted_at)
    INSERT INTO c360.granted_levels (role, level, role_id, cluster, granted_by, granted_at)
    SELECT role_name, c360_apply_level.level, whom, ours, coalesce(f.granted_by, given_by),
           coalesce(f.granted_at, clock_timestamp())
    FROM (VALUES (1)) AS once LEFT JOIN from_elsewhere f ON true
    ORDER BY f.granted_at LIMIT 1
    ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION @extschema@.c360_apply_level(regrole, text) IS
'Internal: gives a role what a level may, and keeps the row; for c360_install(), c360_grant() and c360_revoke().

role: who gets it. level: NULL takes everything back.
Errors: 22023 unknown_role, unknown_level; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_grant(role regrole, level text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    owner oid := (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'c360' AND c.relname = 'granted_levels');
BEGIN
    IF NOT (pg_has_role(owner, 'USAGE')
            AND has_function_privilege('@extschema@.c360_apply_level(regrole, text)', 'EXECUTE')) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the owner of the tables gives levels',
            DETAIL = 'not_owner: ' || current_user,
            HINT = format('Call c360_grant() as superuser or as %s, who needs EXECUTE on c360_apply_level(regrole, text).',
                          owner::regrole);
    ELSIF c360_grant.role IS NULL OR c360_grant.level IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || CASE WHEN c360_grant.role IS NULL THEN 'role' ELSE 'level' END;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('c360'), hashtext('c360_install'));
    PERFORM @extschema@.c360_apply_level(c360_grant.role, c360_grant.level);
    PERFORM pg_notify('pgrst', 'reload schema');    -- as c360_install() does
END $$;
COMMENT ON FUNCTION @extschema@.c360_grant(regrole, text) IS
'Gives a role a level: EXECUTE on the functions and SELECT on the views that the level may use.

Runs with the rights of its caller: a superuser or the owner of the tables. Levels of a role add up; c360_install() applies them again.
role: any role of the server.
level: viewer, agent, accountant or admin, each with what the one before it may; bank_feed (the bank''s webhook alone) or stream (events with a pass alone).
Errors: 22004 missing_argument; 22023 unknown_level, unknown_role; 25006 read only; 42501 not_owner; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_revoke(role regrole) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    owner oid := (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'c360' AND c.relname = 'granted_levels');
BEGIN
    IF NOT (pg_has_role(owner, 'USAGE')
            AND has_function_privilege('@extschema@.c360_apply_level(regrole, text)', 'EXECUTE')) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the owner of the tables takes levels',
            DETAIL = 'not_owner: ' || current_user,
            HINT = format('Call c360_revoke() as superuser or as %s, who needs EXECUTE on c360_apply_level(regrole, text).',
                          owner::regrole);
    ELSIF c360_revoke.role IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: role';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('c360'), hashtext('c360_install'));
    PERFORM @extschema@.c360_apply_level(c360_revoke.role, NULL);
    PERFORM pg_notify('pgrst', 'reload schema');    -- as c360_install() does
END $$;
COMMENT ON FUNCTION @extschema@.c360_revoke(regrole) IS
'Takes all levels of a role, all that c360_grant() and GRANT by hand gave it of the functions and views of levels, and its stream passes.

Runs with the rights of its caller: a superuser or the owner of the tables. What the role has as a member of another role stays.
role: any role of the server.
Errors: 22004 missing_argument; 22023 unknown_role; 25006 read only; 42501 not_owner; 55000 not installed.';
