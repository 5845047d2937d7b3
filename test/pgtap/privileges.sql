-- Who may do what, and as whom it is done: PUBLIC may call the pure functions,
-- nobody but the owner touches the tables, and functions act as the owner of
-- the tables, who here is no superuser.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- What is granted ----------------------------------------------------------

SELECT set_eq($$SELECT r.name FROM pg_temp.routines r,
                    aclexplode(coalesce(r.proacl, acldefault('f', r.proowner))) a WHERE a.grantee = 0$$,
              ARRAY['c360_version', 'c360_normalize_phone', 'c360_phone_carrier', 'c360_parse_transfer',
                    'c360_next_run', 'c360_fold', 'c360_shop_day', 'c360_shop_midnight', 'c360_vietqr_url',
                    'c360_write_activity'],
              'PUBLIC may execute the pure functions, the writer of activities, which refuses them, and nothing else');
SELECT is_empty($$SELECT r.name, a.grantee::regrole FROM pg_temp.routines r, aclexplode(r.proacl) a
                  WHERE a.grantee NOT IN (0, r.proowner)$$, 'nobody else has been granted a function');
SELECT is_empty($$SELECT n.nspname, a.grantee, a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a
                  WHERE n.nspname = 'c360' AND a.grantee <> n.nspowner$$, 'nobody but the owner uses schema c360');
SELECT is_empty($$SELECT c.relname, a.grantee, a.privilege_type FROM pg_class c
                  JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
                  WHERE (n.nspname = 'c360' OR c.oid IN ('c360_settings'::regclass, 'c360_job_status'::regclass)) AND a.grantee <> c.relowner$$,
                'nor its tables, sequences and views');
SELECT is_empty($$SELECT c.relname, t.attname FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
                  JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'c360' AND t.attacl IS NOT NULL$$, 'nor any of their columns');

-- A shop whose tables belong to shop_owner, who is nothing but their owner --

DROP SCHEMA c360 CASCADE;
CREATE ROLE shop_owner;
CREATE ROLE shop_till;
CREATE ROLE shop_nobody;
SELECT format('GRANT CREATE ON DATABASE %I TO shop_owner', current_database()) \gexec
GRANT CREATE ON SCHEMA public TO shop_owner;
-- it hangs the guards on its tables, which needs EXECUTE of their functions
GRANT EXECUTE ON FUNCTION c360_install(), c360_refuse_change(), c360_settings_changed() TO shop_owner;
GRANT EXECUTE ON FUNCTION c360_withdraw(text, bigint, text, text, text) TO shop_till;
SET LOCAL ROLE shop_owner;
SELECT c360_install() AS installed \gset
RESET ROLE;
SELECT is(:'installed'::text, (SELECT max(version)::text FROM c360.table_versions), 'a role that is no superuser installs');
SELECT is_empty($$SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'c360' AND c.relowner <> 'shop_owner'::regrole$$, 'and owns all tables');
SELECT is(pg_temp.failure('SELECT c360_install()'), '42501 other_owner',
          'nobody else installs into its schema, not even a superuser');

-- Runs a statement as a role. Its outcome like failure(), or what is not as
-- it was before: the role, the search_path.
CREATE FUNCTION pg_temp.as_role(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; detail text;
    path_before text;
    changed text;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', role);
        path_before := current_setting('search_path');
        EXECUTE statement;
        changed := CASE WHEN current_user <> role THEN 'role is ' || current_user
                        WHEN current_setting('search_path') <> path_before
                        THEN 'search_path is ' || current_setting('search_path') END;
        SET LOCAL ROLE NONE;
        RETURN coalesce(changed, 'none');
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
        RETURN concat_ws(' ', state, substring(detail FROM '^([a-z_]+)(?:$|:)'));
    END;
END $$;

SELECT c360_deposit(phone, 1000) FROM unnest(ARRAY['0901000001', '0901000002']) AS phone \g /dev/null
SELECT c360_issue_credit('0901000001', 100) \g /dev/null

-- A role with one function -------------------------------------------------

SELECT is(pg_temp.as_role('shop_till', $$SELECT c360_withdraw('0901000001', 150)$$), 'none', 'the till withdraws');
SELECT is(pg_temp.wallet('0901000001'), '950 + 0, available 950', 'lots first');
SELECT is(pg_temp.wallet('0901000002'), '1000 + 0, available 1000', 'of this customer only');
SELECT is(pg_temp.as_role('shop_till', $$SELECT c360_withdraw('0901000001', 951)$$), 'PT402 insufficient_funds',
          'and is told when there is too little');

CREATE FUNCTION pg_temp.call_of(routine oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE prokind WHEN 'p' THEN 'CALL ' ELSE 'SELECT ' END || format('%I(%s)', proname,
        (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY n)
         FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n)))
    FROM pg_proc WHERE oid = routine
$$;
SELECT is(pg_temp.as_role(role, pg_temp.call_of(r.oid)), '42501', format('%s may not call %s', role, r.name))
FROM pg_temp.routines r, unnest(ARRAY['shop_till', 'shop_nobody']) AS role
WHERE r.name NOT IN ('c360_version', 'c360_normalize_phone', 'c360_phone_carrier', 'c360_parse_transfer',
                     'c360_next_run', 'c360_fold', 'c360_shop_day', 'c360_shop_midnight', 'c360_vietqr_url')
  AND (role, r.name) <> ('shop_till', 'c360_withdraw') AND r.prorettype <> 'trigger'::regtype
ORDER BY role, r.name;
SELECT is(pg_temp.as_role('shop_nobody', statement), 'none', statement) FROM unnest(ARRAY[
    'SELECT c360_version()', $$SELECT c360_normalize_phone('0901000001')$$,
    $$SELECT c360_phone_carrier('0901000001')$$, $$SELECT c360_parse_transfer('0901000001')$$,
    $$SELECT c360_next_run('0 * * * *', now())$$, $$SELECT c360_fold('An')$$, 'SELECT c360_shop_day(now())',
    $$SELECT c360_shop_midnight('2026-01-01')$$]) AS statement;
SELECT is(pg_temp.as_role('shop_nobody', format('CREATE TRIGGER x BEFORE UPDATE ON %s EXECUTE FUNCTION %s()', t, r.name)),
          '42501', format('nobody hangs %s on a table of his', r.name))
FROM pg_temp.routines r, (VALUES ('pg_temp.his')) AS v (t), pg_temp.as_role('shop_nobody', 'CREATE TEMP TABLE his ()')
WHERE r.prorettype = 'trigger'::regtype;
SELECT is(pg_temp.as_role('shop_till', format(statement, relname)), '42501', 'the till may not ' || format(statement, relname))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
     unnest(ARRAY['SELECT FROM c360.%I', 'INSERT INTO c360.%I DEFAULT VALUES', 'DELETE FROM c360.%I',
                  'TRUNCATE c360.%I', 'LOCK c360.%I', 'CREATE INDEX ON c360.%I ((1))']) AS statement
WHERE n.nspname = 'c360' AND c.relkind = 'r' ORDER BY c.relname;
SELECT is(pg_temp.as_role('shop_till', format('UPDATE c360.%I SET %I = DEFAULT', c.relname, a.attname)), '42501',
          format('the till may not update %s', c.relname))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
WHERE n.nspname = 'c360' AND c.relkind = 'r' ORDER BY c.relname;
SELECT is(pg_temp.as_role('shop_till', format('SELECT nextval(%L)', c.oid::regclass)), '42501',
          format('the till may not count on %s', c.relname))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'c360' AND c.relkind = 'S' ORDER BY c.relname;
SELECT is(pg_temp.as_role('shop_till', statement), '42501', 'the till may not ' || statement) FROM unnest(ARRAY[
    'SELECT FROM c360_settings', 'CREATE TABLE c360.x ()', 'DROP SCHEMA c360 CASCADE',
    'SELECT ''c360.customers''::regclass']) AS statement;

-- The owner of the tables has no more functions than others.
SELECT is(pg_temp.as_role('shop_owner', $$SELECT c360_withdraw('0901000001', 1)$$), '42501',
          'owning the tables does not mean to own the functions');

-- What a call leaves behind ------------------------------------------------

SET LOCAL ROLE shop_till;
SET LOCAL search_path = public, pg_catalog;
SELECT c360_withdraw('0901000001', 1) \g /dev/null
SELECT current_user AS role_after, current_setting('search_path') AS path_after, current_setting('role') AS setting_after \gset
RESET ROLE;
SELECT is(:'role_after'::text, 'shop_till', 'after a call the role is what it was');
SELECT is(:'setting_after'::text, 'shop_till', 'as the setting says');
SELECT is(:'path_after'::text, 'public, pg_catalog', 'and so is the search_path');
SELECT is(current_user, session_user, 'RESET ROLE goes back');
SET LOCAL search_path = public;

-- after an error that somebody catches, of functions of both kinds
CREATE FUNCTION pg_temp.after_error(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text := concat_ws(' ', session_user, current_user, current_setting('search_path'), current_setting('role'));
    caught boolean := false;
    after text;
BEGIN
    BEGIN
        EXECUTE call;
    EXCEPTION WHEN OTHERS THEN
        caught := true;
    END;
    after := concat_ws(' ', session_user, current_user, current_setting('search_path'), current_setting('role'));
    RETURN CASE WHEN NOT caught THEN 'no error' WHEN before <> after THEN after ELSE 'as before' END;
END $$;
GRANT EXECUTE ON FUNCTION c360_wallet(text), c360_set(text, text), c360_deposit(text, bigint, text, text, text, text, text,
    timestamptz), c360_ingest_bank_transaction(jsonb) TO shop_till;
SELECT is(pg_temp.after_error(call), 'as before', 'after an error of ' || call) FROM unnest(ARRAY[
    $$SELECT c360_withdraw('0901000001', 100000)$$, $$SELECT c360_deposit('0901000001', NULL)$$,
    $$SELECT c360_wallet('0901000099')$$, $$SELECT c360_set('nothing', '1')$$,
    $$SELECT c360_ingest_bank_transaction('{}')$$]) AS call;
SET LOCAL ROLE shop_till;
SET LOCAL search_path = pg_catalog, public;
SELECT string_agg(pg_temp.after_error(call), ', ') AS outcomes FROM unnest(ARRAY[
    $$SELECT c360_withdraw('0901000001', 100000)$$, $$SELECT c360_deposit('0901000001', NULL)$$,
    $$SELECT c360_wallet('0901000099')$$, $$SELECT c360_set('nothing', '1')$$,
    $$SELECT c360_ingest_bank_transaction('{}')$$]) AS call \gset
SELECT current_user AS role_after, current_setting('search_path') AS path_after \gset
RESET ROLE;
SET LOCAL search_path = public;
SELECT is(:'outcomes'::text, 'as before, as before, as before, as before, as before', 'with another role, too');
SELECT is(:'role_after' || ' ' || :'path_after', 'shop_till pg_catalog, public', 'and after all of them');

-- inside SECURITY DEFINER
CREATE FUNCTION public.shop_pay(phone text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public AS $$
BEGIN
    PERFORM c360_withdraw(phone, 1);
    RETURN current_user || ' ' || current_setting('search_path');
END $$;
ALTER FUNCTION public.shop_pay(text) OWNER TO shop_till;
SELECT is(public.shop_pay('0901000001'), 'shop_till public', 'inside SECURITY DEFINER the definer goes on');

-- a setting that a function of the shop changes inside a call goes with the call: a search_path that stayed would rule the caller
CREATE FUNCTION public.shop_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('shop.mark', new.amount::text, true);
    RETURN NULL;
END $$;
CREATE TRIGGER mark AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION public.shop_mark();
SELECT c360_deposit('0901000002', 17) \g /dev/null
SELECT is(nullif(current_setting('shop.mark', true), ''), NULL, 'what a trigger sets is gone after the call');
DROP TRIGGER mark ON c360.wallet_transactions;

-- Who did it: the login role, not the role of SET ROLE.
SELECT is((SELECT actor FROM c360_wallet_transactions('0901000001', max_rows => 1)), session_user::text, 'SET ROLE and SECURITY DEFINER hide nobody');
SET LOCAL SESSION AUTHORIZATION shop_till;
SELECT c360_withdraw('0901000001', 1) \g /dev/null
SELECT c360_deposit('0901000002', 1) \g /dev/null
RESET SESSION AUTHORIZATION;
SELECT is((SELECT array_agg(DISTINCT concat_ws(' ', t.actor, t.session_user_name, a.actor, a.session_user_name))
           FROM c360.wallet_transactions t JOIN c360.customer_activities a ON a.id = t.activity_id
           WHERE t.id IN (SELECT max(id) FROM c360.wallet_transactions GROUP BY customer_id)),
          '{shop_till shop_till shop_till shop_till}',
          'who logged in as the till is the till');

-- As whom the table owner's code runs --------------------------------------

-- Code of shop_owner: it may do what shop_owner may. Each piece counts its
-- runs and notes as whom it ran; where it may not write it fails if it is
-- somebody else.
CREATE SCHEMA shop AUTHORIZATION shop_owner;
SET LOCAL ROLE shop_owner;
CREATE SEQUENCE shop.runs;
CREATE TABLE shop.log (what text, who text);
CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.log VALUES (format('%s %s %s', tg_when, tg_op, tg_table_name), current_user);
    RETURN new;
END $$;
CREATE FUNCTION shop.same(value anyelement) RETURNS anyelement IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'shop_owner' THEN
        RAISE EXCEPTION 'shop.same runs as %', current_user;
    END IF;
    PERFORM nextval('shop.runs');
    RETURN value;
END $$;
CREATE FUNCTION shop.true(what text) RETURNS boolean VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.log VALUES (what, current_user);
    RETURN true;
END $$;
CREATE FUNCTION shop.who(what text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.log VALUES (what, current_user);
    RETURN current_user;
END $$;
CREATE DOMAIN shop.checked AS text CHECK (shop.true('domain') AND value = 'shop_owner');
CREATE TABLE shop.tables (name text PRIMARY KEY, updated boolean);
INSERT INTO shop.tables VALUES ('customers', false), ('customer_wallets', true), ('wallet_transactions', false),
    ('virtual_credits', true), ('virtual_credit_uses', false), ('customer_activities', false), ('settings', true),
    ('balance_history', true), ('bank_links', true), ('balance_customer_info', true),
    ('pending_customer_matches', true);
SELECT format('CREATE TRIGGER %s %1$s INSERT OR UPDATE ON c360.%I FOR EACH ROW EXECUTE FUNCTION shop.note()', moment, name)
FROM shop.tables, unnest(ARRAY['before', 'after']) AS moment \gexec
SELECT format('ALTER TABLE c360.%I ADD CHECK (shop.true(%L)) NOT VALID', name, 'check ' || name) FROM shop.tables \gexec
SELECT format('ALTER TABLE c360.%I ADD added_by shop.checked', name) FROM shop.tables \gexec
SELECT format('ALTER TABLE c360.%I ALTER added_by SET DEFAULT shop.who(%L)', name, 'default ' || name) FROM shop.tables \gexec
SELECT format('ALTER TABLE c360.%I ADD twice text GENERATED ALWAYS AS (shop.same(%I::text)) STORED', name,
              (SELECT attname FROM pg_attribute WHERE attrelid = format('c360.%I', name)::regclass AND attnum = 1))
FROM shop.tables \gexec
SELECT format('CREATE INDEX ON c360.%I (shop.same(%I))', name,
              (SELECT attname FROM pg_attribute WHERE attrelid = format('c360.%I', name)::regclass AND attnum = 2))
FROM shop.tables \gexec
CREATE FUNCTION shop.climb() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.amount = 666 THEN
        EXECUTE 'SET ROLE ' || session_user;
    ELSIF new.amount = 667 THEN
        RESET ROLE;
    ELSIF new.amount = 668 THEN
        EXECUTE 'SET SESSION AUTHORIZATION ' || session_user;
    ELSIF new.amount = 669 THEN
        CREATE ROLE shop_superuser SUPERUSER;
    ELSIF new.amount = 670 THEN
        PERFORM public.c360_become_owner();
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER climb BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION shop.climb();
RESET ROLE;
-- PUBLIC may create in schema shop, so that the owner's code is not kept from
-- running as somebody else by privileges alone
GRANT ALL ON SCHEMA shop TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA shop TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA shop TO PUBLIC;

SELECT c360_deposit('0902000001', 100) \g /dev/null
SELECT c360_issue_credit('0902000001', 50) \g /dev/null
SELECT transaction_id AS paid FROM c360_withdraw('0902000001', 120) \gset
SELECT c360_refund(:paid, 60) \g /dev/null
SELECT c360_adjust('0902000002', 5, 'nobody is there') WHERE false \g /dev/null
SELECT c360_get_or_create_customer('0902000002') \g /dev/null
SELECT c360_freeze_wallet('0902000002', 'a reason') \g /dev/null
SELECT c360_create_qr_code('0902000002') AS code \gset
SELECT c360_set('credit_expiry_days', '20') \g /dev/null
CREATE FUNCTION pg_temp.payload(id bigint, content text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'gateway', 'MBBank', 'transactionDate', '2024-01-02 03:04:05',
        'accountNumber', '123', 'transferType', 'in', 'transferAmount', 1000, 'content', content)
$$;
SELECT is((c360_ingest_bank_transaction(pg_temp.payload(1, :'code'))).result, 'deposited', 'a transfer comes in');
SELECT is((c360_ingest_bank_transaction(pg_temp.payload(2, '0902000001 0902000002'))).result, 'pending', 'another waits');
SELECT m.id AS match FROM c360.pending_customer_matches m \gset
SELECT is((c360_resolve_match(:match, '0902000002')).result, 'deposited', 'no longer');
SELECT is((c360_unlink_transaction(b.id, 'of somebody else')).result, 'unlinked', 'and is taken back')
FROM c360.balance_history b WHERE b.sepay_id = 2;
SELECT c360_ignore_number('0902000009', 'a reason') \g /dev/null
SELECT c360_ignore_number('0902000009', 'another reason') \g /dev/null
SELECT c360_retire_qr_code(:'code') \g /dev/null
SELECT is(pg_temp.as_role('shop_till', $$SELECT c360_withdraw('0902000001', 1)$$), 'none', 'the till withdraws');

SELECT is_empty($$SELECT DISTINCT what, who FROM shop.log WHERE who <> 'shop_owner'$$,
                'code of the table owner runs as the table owner, whoever calls');
SELECT cmp_ok((SELECT last_value FROM shop.runs), '>', 50::bigint, 'generated columns and indexes, too');
SELECT set_has('SELECT what FROM shop.log',
               $$SELECT moment || ' INSERT ' || name FROM shop.tables, unnest(ARRAY['BEFORE', 'AFTER']) AS moment
                 WHERE name <> 'settings'
                 UNION ALL SELECT moment || ' UPDATE ' || name FROM shop.tables, unnest(ARRAY['BEFORE', 'AFTER']) AS moment
                 WHERE updated
                 UNION ALL SELECT 'default ' || name FROM shop.tables WHERE name <> 'settings'
                 UNION ALL SELECT 'check ' || name FROM shop.tables
                 UNION ALL VALUES ('domain')$$, 'all of it did run');
SELECT is(pg_temp.failure(format('SELECT c360_deposit(%L, %s)', '0902000001', amount)), '42501', 'it cannot climb: ' || how)
FROM (VALUES (666, 'SET ROLE'), (667, 'RESET ROLE'), (668, 'SET SESSION AUTHORIZATION'), (669, 'CREATE ROLE'),
             (670, 'c360_become_owner')) AS t (amount, how);

-- Reads run code of the table owner, too: the planner computes what is constant
-- in a CHECK when it looks whether it excludes the table.
SET LOCAL ROLE shop_owner;
SELECT format('ALTER TABLE c360.%I ADD CHECK (shop.same(%L::text) = %2$L)', name, 'constant') FROM shop.tables \gexec
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO shop_till;
REVOKE EXECUTE ON FUNCTION c360_become_owner() FROM shop_till;
SET LOCAL constraint_exclusion = on;
CREATE FUNCTION pg_temp.runs_of_owner(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT last_value FROM shop.runs);
    outcome text := pg_temp.as_role('shop_till', statement);
BEGIN
    RETURN outcome || CASE WHEN (SELECT last_value FROM shop.runs) > before THEN '' ELSE ', but it did not run' END;
END $$;
SELECT is(pg_temp.runs_of_owner(call), 'none', 'code of the table owner runs as the table owner in ' || call)
FROM unnest(ARRAY[$$SELECT c360_wallet('0902000001')$$,
    $$SELECT c360_wallets(ARRAY['0902000001'])$$, $$SELECT c360_wallet_transactions('0902000001')$$,
    $$SELECT c360_balance_at('0902000001', 'infinity')$$, 'SELECT c360_expiring_credits()', 'SELECT c360_verify_wallets()',
    $$SELECT c360_set('credit_expiry_days', '21')$$]) AS call;

-- c360_become_owner is for c360's own functions.
SELECT is(pg_temp.failure('SELECT c360_become_owner()'), '42501', 'a superuser cannot become the owner by it');
SELECT is(pg_temp.as_role('shop_owner', 'SELECT c360_become_owner()'), '42501', 'nor can the owner');
SELECT is(current_user, session_user, 'the role is what it was');

-- Row security -------------------------------------------------------------

SELECT format('ALTER TABLE c360.%I ENABLE ROW LEVEL SECURITY', relname) FROM pg_class
WHERE relnamespace = 'c360'::regnamespace AND relkind = 'r' \gexec

CREATE FUNCTION pg_temp.all_calls(mode text, id bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    phone text := '09030000' || lpad(id::text, 2, '0');
    other text := '09030010' || lpad(id::text, 2, '0');
    call text;
BEGIN
    FOREACH call IN ARRAY ARRAY[
        $q$c360_deposit(%L, 100)$q$, $q$c360_issue_credit(%L, 50, source_id => 'rls')$q$,
        $q$c360_withdraw(%L, 70)$q$, $q$c360_adjust(%L, -1, 'a good reason')$q$,
        $q$c360_refund((SELECT transaction_id FROM c360_wallet_transactions(%L, 'WITHDRAW')), 10)$q$,
        $q$c360_cancel_credit((SELECT (lots -> 0 ->> 'credit_id')::bigint FROM c360_wallet(%L)), 'a reason')$q$,
        $q$c360_wallet(%L)$q$, $q$c360_wallets(ARRAY[%L])$q$, $q$c360_wallet_transactions(%L)$q$,
        $q$c360_balance_at(%L, 'infinity')$q$, $q$c360_expiring_credits()$q$, $q$c360_verify_wallets()$q$,
        $q$c360_freeze_wallet(%L, 'a reason')$q$, $q$c360_unfreeze_wallet(%L)$q$, $q$c360_expire_credits()$q$,
        $q$c360_get_or_create_customer(%2$L)$q$, $q$c360_create_qr_code(%L)$q$,
        $q$c360_set('refund_grace_days', '7')$q$,
        format('c360_ingest_bank_transaction(%L)', pg_temp.payload(100 + id, phone))]
    LOOP
        RETURN NEXT is(pg_temp.as_role('shop_till', 'SELECT * FROM ' || format(call, phone, other)), 'none',
                       format('%s: %s', mode, call));
    END LOOP;
    RETURN NEXT is(pg_temp.wallet(phone), '1079 + 0, available 1079', mode || ': the wallet after all that');
    RETURN NEXT is((SELECT count(*) FROM c360_wallet_transactions(phone)), 7::bigint, mode || ': and its ledger');
END $$;
SELECT pg_temp.all_calls('row security', 1);
SELECT format('ALTER TABLE c360.%I FORCE ROW LEVEL SECURITY', relname) FROM pg_class
WHERE relnamespace = 'c360'::regnamespace AND relkind = 'r' \gexec
SELECT pg_temp.all_calls('row security forced', 2);
CREATE FUNCTION shop.forbid() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'a policy ran'; END $$;
SELECT format('CREATE POLICY forbid ON c360.%I USING (shop.forbid()) WITH CHECK (shop.forbid())', relname) FROM pg_class
WHERE relnamespace = 'c360'::regnamespace AND relkind = 'r' \gexec
SELECT pg_temp.all_calls('row security with policies', 3);

SELECT * FROM finish();
ROLLBACK;
