-- An owner of the tables without other rights sets search_path in triggers,
-- which outlives the SET clauses of the functions around them. Nothing that
-- goes on with other rights afterwards finds his operators and functions.

BEGIN;
\ir tools.psql
SELECT no_plan();

DROP SCHEMA IF EXISTS c360 CASCADE;
CREATE ROLE shop_plain NOLOGIN;
GRANT CREATE ON DATABASE :"DBNAME" TO shop_plain;
GRANT CREATE ON SCHEMA public TO shop_plain;
GRANT EXECUTE ON FUNCTION c360_install, c360_refuse_change, c360_settings_changed, c360_grant, c360_revoke,
    c360_apply_level TO shop_plain;
SET LOCAL ROLE shop_plain;
SELECT c360_install() \g /dev/null
SELECT c360_grant('shop_plain', 'admin') \g /dev/null

-- whoever finds one of these leaves a trace, and with a superuser's rights more than that
CREATE SCHEMA evil;
CREATE TABLE evil.trace (found text, by_whom name);
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.trap(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user) THEN
        INSERT INTO evil.trace VALUES (name, current_user);
    END IF;
END $$;
DO $$
DECLARE
    l text;
    r text;
    name text;
BEGIN
    FOREACH l IN ARRAY ARRAY['bigint', 'integer', 'text', 'name', 'numeric', 'boolean', 'oid'] LOOP
        FOREACH r IN ARRAY ARRAY['bigint', 'integer', 'text', 'name', 'numeric', 'boolean', 'oid'] LOOP
            FOREACH name IN ARRAY ARRAY['=', '<>', '<', '>', '+', '||'] LOOP
                CONTINUE WHEN name = '||' AND (l <> 'text' OR r <> 'text');
                EXECUTE format('CREATE FUNCTION evil.%I(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS %L', 'op' || name, l, r,
                    CASE name WHEN '+' THEN 'bigint' WHEN '||' THEN 'text' ELSE 'boolean' END,
                    -- the right answer, so that what goes on goes on
                    format('DECLARE c text; BEGIN PERFORM evil.trap(%L); EXECUTE ''SELECT $1 OPERATOR(pg_catalog.%s) $2'' '
                           'INTO STRICT c USING a, b; RETURN c; EXCEPTION WHEN undefined_function THEN RETURN NULL; END', name, name));
                EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)', name, l, r, 'op' || name);
            END LOOP;
        END LOOP;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['btrim', 'lower', 'upper'] LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(text) RETURNS text LANGUAGE plpgsql AS %L', name,
                       format('BEGIN PERFORM evil.trap(%L); RETURN $1; END', name));
    END LOOP;
END $$;
CREATE FUNCTION evil.to_jsonb(a anyelement) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM evil.trap('to_jsonb');
    RETURN pg_catalog.to_jsonb(a);
END $$;
CREATE FUNCTION evil.jsonb_strip_nulls(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM evil.trap('jsonb_strip_nulls');
    RETURN pg_catalog.jsonb_strip_nulls(a);
END $$;
CREATE FUNCTION evil.jsonb_build_object(text, jsonb, text, jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM evil.trap('jsonb_build_object');
    RETURN pg_catalog.jsonb_build_object($1, $2, $3, $4);
END $$;
CREATE FUNCTION evil.leave_path() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', false);
    RETURN NEW;
END $$;
-- what is only read can be a view of his
CREATE FUNCTION evil.leaves_path() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', false);
    RETURN true;
END $$;
SELECT format('CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION evil.leave_path()', c.oid::regclass)
FROM pg_class c WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r' \gexec
RESET ROLE;

SELECT current_setting('search_path') AS path \gset
SELECT c360_deposit('0912345678', 1) \g /dev/null
SELECT is(current_setting('search_path'), :'path', 'a superuser who deposits keeps his own search_path');
SELECT c360_issue_credit('0912345678', 5, expires_at => clock_timestamp() + interval '0.1 second') \g /dev/null
SELECT pg_sleep(0.2) \g /dev/null

CREATE FUNCTION pg_temp.calls(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    traced text;
BEGIN
    DELETE FROM evil.trace;
    EXECUTE call;
    PERFORM pg_catalog.set_config('search_path', 'public, pg_catalog', false);
    SELECT string_agg(DISTINCT trace.found || ' as ' || by_whom, ', ') INTO traced FROM evil.trace;
    RETURN coalesce(traced, 'nothing');
END $$;
SELECT is(pg_temp.calls(call), 'nothing', call) FROM unnest(ARRAY[
    $$SELECT c360_run_job('expire_credits')$$,
    $$SELECT c360_job_begin('expire_credits', 'worker')$$,
    $$SELECT c360_set_job('expire_credits', '1 * * * *', true)$$,
    $$SELECT c360_set('max_amount', '5')$$,
    $$SELECT c360_grant('pg_monitor', 'viewer')$$,
    $$SELECT c360_unschedule_jobs()$$]) AS call;
SELECT is((SELECT count(*) FROM c360.job_runs), 2::bigint, 'the jobs ran');

-- Customers, orders, tickets: each of these calls others that act as the owner.
SELECT is(pg_temp.calls(call), 'nothing', call) FROM unnest(ARRAY[
    $$SELECT c360_set('max_amount', '0')$$,
    $$SELECT c360_upsert_customer('0912345678', 'An', email => 'an@shop.vn', tags => '{vip}', created_source => 'manual')$$,
    $$SELECT c360_upsert_customer('0912345679', 'An')$$,
    $$SELECT c360_upsert_tpos_customer('0912345678', '{"Id": 7, "Name": "An", "StatusText": "VIP"}')$$,
    $$SELECT c360_set_tier('0912345678', 'gold')$$,
    $$SELECT c360_set_status('0912345678', 'VIP')$$,
    $$SELECT c360_add_note('0912345678', 'a note')$$,
    $$SELECT c360_change_phone('0912345679', '0912345670', 'asked')$$,
    $$SELECT c360_erase_customer('0912345670', 'asked')$$,
    $$SELECT c360_customer('0912345678')$$,
    $$SELECT c360_record_order('0912345678', 'O-1', 500, '2024-01-02')$$,
    $$SELECT c360_record_order('0912345678', 'O-1', 500, '2024-01-02', 'delivered')$$,
    $$SELECT c360_record_order('0912345671', 'O-2', 500)$$,
    $$SELECT c360_refresh_rfm()$$,
    $$SELECT c360_refresh_rfm(true)$$,
    $$SELECT c360_set_tier('0912345678', 'silver', false)$$,
    $$SELECT c360_refresh_rfm()$$,
    $$SELECT c360_update_rfm('0912345671')$$,
    $$SELECT c360_update_rfm_threshold('recency', 4, 9)$$,
    $$SELECT c360_run_job('refresh_rfm')$$,
    $$SELECT c360_rfm_begin(true, NULL, '2024-02-01')$$,
    $$SELECT c360_rfm_continue()$$,
    $$SELECT c360_analyze_rfm('0912345678')$$,
    $$SELECT c360_rfm_movement('2024-01-01', '2024-01-31')$$,
    $$SELECT c360_create_ticket('0912345678', 'RETURN_CLIENT', 'O-1', refund_amount => 10, deadline => now())$$,
    $$SELECT c360_create_ticket('0912345678', 'BOOM', 'O-3', refund_amount => 10, products => '[]', priority => 'low')$$,
    $$SELECT c360_create_ticket('0912345672', 'BOOM', 'O-4')$$,
    $$SELECT c360_deposit('0912345673', 6000000) FROM generate_series(1, 6)$$,
    $$SELECT c360_record_order('0912345673', 'F-' || i, 1, status => 'returned') FROM generate_series(1, 3) AS i$$,
    $$SELECT c360_run_job('scan_fraud')$$,
    $$SELECT c360_scan_fraud('-infinity')$$,
    $$SELECT c360_review_fraud_flag(id, 'dismissed') FROM c360.fraud_flags$$,
    $$SELECT c360_set_fraud_rule('wallet_abuse', 'shadow', parameters => '{"more_than": 4}')$$,
    $$SELECT c360_snooze_fraud_rule('0912345673', 'wallet_abuse', '2099-01-01', 'a reseller')$$,
    $$SELECT c360_scan_fraud()$$]) AS call;
SELECT is((SELECT string_agg(rule || ' ' || status, ', ' ORDER BY rule) FROM c360.fraud_flags),
          'high_return_rate dismissed, wallet_abuse dismissed', 'fraud was found and reviewed');
SELECT is((SELECT string_agg(concat_ws(' ', customer_id IS NOT NULL, type, status, priority), ', ' ORDER BY id) FROM c360.customer_tickets),
          't RETURN_CLIENT new normal, t BOOM new low, t BOOM new normal', 'there are tickets');
CREATE FUNCTION pg_temp.ticket(n integer) RETURNS text LANGUAGE sql AS $$
    SELECT ticket_code FROM c360.customer_tickets ORDER BY id OFFSET n - 1 LIMIT 1
$$;
SET LOCAL ROLE shop_plain;
ALTER TABLE c360.ticket_types RENAME TO types_of_tickets;
CREATE VIEW c360.ticket_types AS SELECT * FROM c360.types_of_tickets WHERE evil.leaves_path();
ALTER TABLE c360.ticket_moves RENAME TO moves_of_tickets;
CREATE VIEW c360.ticket_moves AS SELECT * FROM c360.moves_of_tickets WHERE evil.leaves_path();
RESET ROLE;
SELECT is(pg_temp.calls(format(call, pg_temp.ticket(n))), 'nothing', call) FROM (VALUES
    (1, $$SELECT c360_update_ticket(%L, '{"subject": "a subject", "order_code": "O-5"}')$$),
    (1, $$SELECT c360_ticket_action(%L, 'wait_carrier', deadline => now())$$),
    (1, $$SELECT c360_escalate_deadlines()$$),
    (1, $$SELECT c360_recount_orders()$$),
    (1, $$SELECT c360_job_begin('carrier_deadlines', 'worker')$$),
    (1, $$SELECT c360_ticket_note(%L, 'a note')$$),
    (1, $$SELECT c360_resolve_ticket(%L)$$),
    (2, $$SELECT c360_resolve_ticket(%L)$$),
    (3, $$SELECT c360_resolve_ticket(%L, compensation => 'none')$$),
    (2, $$SELECT c360_ticket(%L)$$),
    (2, $$SELECT c360_delete_ticket(%L)$$),
    (3, $$SELECT c360_delete_ticket(%L)$$)) AS t (n, call);
SELECT is((SELECT string_agg(concat_ws(' ', status, compensation, deleted_at IS NOT NULL), ', ' ORDER BY id) FROM c360.customer_tickets),
          'completed deposit f, completed credit t, completed none t', 'they went their ways');
SELECT * FROM finish();
ROLLBACK;
