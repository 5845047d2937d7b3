-- Names that somebody else defined change nothing: a search_path that begins
-- with his schema, his functions, operators, tables and types of the same
-- names, in pg_temp and public, too.
--
-- Temporary types come first of all, while this session has not yet run any
-- function of c360 and nothing is resolved.
BEGIN;
\ir tools.psql
SELECT no_plan();

CREATE SCHEMA evil;

-- What runs if a name of his is found.
CREATE FUNCTION evil.trap(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evil.% ran as %', what, current_user USING ERRCODE = 'EV001';
END $$;

-- Functions with the names of the server's that c360 might call, those in C by
-- their texts of SQL, for each signature of them that can be copied.
DO $do$
DECLARE
    f record;
BEGIN
    FOR f IN
        SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result,
               p.proretset
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a')
          AND (EXISTS (SELECT FROM pg_temp.routines r WHERE r.prosrc ~ ('\m' || p.proname || '\s*\(')) OR p.proname IN ('lower', 'upper', 'btrim', 'left', 'format', 'now', 'clock_timestamp', 'current_setting',
              'set_config', 'jsonb_build_object', 'jsonb_build_array', 'jsonb_agg', 'unnest', 'cardinality', 'sum',
              'count', 'max', 'min', 'lag', 'abs', 'array_agg', 'string_agg', 'to_regnamespace', 'to_regclass',
              'hashtext', 'pg_advisory_xact_lock', 'pg_notify', 'array_to_string', 'power', 'concat', 'length',
              'textcat', 'texteq', 'int8eq', 'repeat', 'generate_series'))
          AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) AS t WHERE t = 'internal'::regtype)
          AND p.prorettype <> 'internal'::regtype AND p.proargmodes IS NULL AND p.provariadic = 0
          AND pg_get_function_identity_arguments(p.oid) !~ '(any|internal|ORDER BY)'
          AND p.prorettype::regtype::text !~ 'any'
    LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L', f.proname, f.arguments,
            CASE WHEN f.proretset THEN 'SETOF' END, f.result,
            format('BEGIN PERFORM evil.trap(%L); RETURN%s; END', f.proname,
                   CASE WHEN f.proretset OR f.result = 'void'::regtype THEN '' ELSE ' NULL' END));
    END LOOP;
    -- polymorphic and variadic ones
    FOR f IN SELECT * FROM (VALUES
        ('coalesce_', 'VARIADIC a anyarray', 'anyelement'), ('format', 'a text, VARIADIC b text[]', 'text'),
        ('jsonb_build_object', 'VARIADIC a text[]', 'jsonb'), ('unnest', 'a text[]', 'SETOF text'),
        ('cardinality', 'a text[]', 'integer'), ('cardinality', 'a bigint[]', 'integer'),
        ('array_to_string', 'a text[], b text', 'text'), ('count', '', 'bigint'), ('sum', 'a bigint', 'bigint'),
        ('jsonb_agg', 'a jsonb', 'jsonb')) AS t (proname, arguments, result)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.proname, f.arguments,
                f.result, format('BEGIN PERFORM evil.trap(%L); RETURN%s; END', f.proname,
                                 CASE WHEN f.result LIKE 'SETOF%' THEN '' ELSE ' NULL' END));
        EXCEPTION WHEN duplicate_function THEN NULL;
        END;
    END LOOP;
    -- c360's own names
    FOR f IN SELECT r.proname, array_to_string(r.proargtypes::regtype[], ', ') AS arguments FROM pg_temp.routines r
             WHERE r.prokind = 'f' AND r.prorettype <> 'trigger'::regtype
    LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(%s) %s LANGUAGE plpgsql AS %L', f.proname, f.arguments,
            CASE WHEN f.arguments !~ '\mOUT\M' THEN 'RETURNS void' END, format('BEGIN PERFORM evil.trap(%L); END', f.proname));
    END LOOP;
    -- operators
    FOR f IN
        SELECT name, l, r FROM
            unnest(ARRAY['text', 'bigint', 'integer', 'timestamptz', 'jsonb', 'boolean', 'numeric', 'interval', 'name',
                         'oid', 'bytea', 'unknown_']) AS l,
            unnest(ARRAY['text', 'bigint', 'integer', 'timestamptz', 'jsonb', 'interval', 'name', 'oid', 'bytea',
                         'numeric', 'boolean']) AS r,
            unnest(ARRAY['=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '||', '~', '->', '->>']) AS name
        WHERE l <> 'unknown_'
    LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS %L',
            'op' || f.name, f.l, f.r,
            CASE WHEN f.name IN ('+', '-', '*', '||') THEN f.l WHEN f.name IN ('->', '->>') THEN 'text' ELSE 'boolean' END,
            format('BEGIN PERFORM evil.trap(%L); RETURN NULL; END', f.name));
        EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)',
            f.name, f.l, f.r, 'op' || f.name);
        -- public comes after pg_catalog: what is there counts where the server has no such operator;
        -- || is left out, since the server takes any type there and pgTAP needs it
        IF f.name <> '||' AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprname = f.name AND o.oprleft = f.l::regtype
                       AND o.oprright = f.r::regtype) THEN
            EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)',
                f.name, f.l, f.r, 'op' || f.name);
        END IF;
    END LOOP;
    -- tables and types
    FOR f IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r' LOOP
        EXECUTE format('CREATE TABLE evil.%I (LIKE c360.%I)', f.relname, f.relname);
        EXECUTE format('CREATE TEMP TABLE %I (LIKE c360.%I)', f.relname, f.relname);
        EXECUTE format('CREATE TABLE public.%I (LIKE c360.%I)', f.relname, f.relname);
    END LOOP;
END $do$;
CREATE VIEW evil.pg_class AS SELECT evil.trap('pg_class');
CREATE VIEW evil.pg_namespace AS SELECT evil.trap('pg_namespace');

-- A statement run under his search_path. Types of his exist while it runs;
-- they would spoil everything else here.
CREATE FUNCTION pg_temp.under(path text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    state text; message text; context text;
BEGIN
    BEGIN
        EXECUTE 'CREATE TYPE evil.c360_movement AS (a int)';
        EXECUTE 'CREATE TYPE evil.c360_wallet_row AS (a int)';
        EXECUTE 'CREATE TYPE evil.c360_wallet_transaction_row AS (a int)';
        EXECUTE 'CREATE TYPE evil.c360_bank_result AS (a int)';
        EXECUTE 'CREATE DOMAIN evil.jsonb AS int CHECK (false)';
        EXECUTE 'CREATE DOMAIN evil.record AS int CHECK (false)';
        EXECUTE 'CREATE DOMAIN evil.int8 AS int CHECK (false)';
        EXECUTE 'CREATE DOMAIN evil.text AS int CHECK (false)';
        EXECUTE 'CREATE TEMP VIEW pg_class AS SELECT evil.trap(''pg_class'')';
        EXECUTE 'CREATE TEMP VIEW pg_namespace AS SELECT evil.trap(''pg_namespace'')';
        EXECUTE 'CREATE DOMAIN pg_temp.jsonb AS int CHECK (false)';
        EXECUTE 'CREATE DOMAIN pg_temp.int8 AS int CHECK (false)';
        EXECUTE 'CREATE DOMAIN pg_temp.int4 AS int CHECK (false)';
        EXECUTE 'CREATE DOMAIN pg_temp.c360_wallet_row AS int CHECK (false)';
        EXECUTE 'CREATE DOMAIN pg_temp.text AS int CHECK (false)';
        EXECUTE 'SELECT pg_catalog.set_config($1, $2, true)' USING 'search_path', path;
        EXECUTE statement INTO answer;
        EXECUTE 'SELECT pg_catalog.set_config($1, $2, true)' USING 'search_path', 'public';
        DROP VIEW pg_temp.pg_class, pg_temp.pg_namespace;
        DROP TYPE pg_temp.text, pg_temp.int4, pg_temp.int8, pg_temp.jsonb, pg_temp.c360_wallet_row;
        DROP TYPE evil.c360_movement, evil.c360_wallet_row, evil.c360_wallet_transaction_row, evil.c360_bank_result,
            evil.jsonb, evil.record, evil.int8, evil.text;
        RETURN answer;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT;
        RETURN state || ' ' || message || E'\n' || context;
    END;
END $$;

-- A trigger of the shop's that names nothing fully finds the server's names
-- for every caller.
CREATE FUNCTION public.shop_look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found_name text;
    n bigint := 1;
BEGIN
    SELECT relname INTO found_name FROM pg_class WHERE relname = 'pg_class' LIMIT 1;
    IF lower(found_name) <> 'pg_class' OR n + 1 <> 2 THEN
        RAISE EXCEPTION 'found something else' USING ERRCODE = 'EV002';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER shop_look BEFORE INSERT OR UPDATE ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION public.shop_look();
CREATE TRIGGER shop_look BEFORE INSERT OR UPDATE ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION public.shop_look();
CREATE TRIGGER shop_look BEFORE INSERT OR UPDATE ON c360.customers FOR EACH ROW EXECUTE FUNCTION public.shop_look();
CREATE TRIGGER shop_look BEFORE INSERT OR UPDATE ON c360.settings FOR EACH ROW EXECUTE FUNCTION public.shop_look();

-- Statements name their functions and types themselves; what they call must
-- find its own. <m> stands for the columns of a movement but ids and times.
CREATE TEMP TABLE story (n integer GENERATED ALWAYS AS IDENTITY, statement text, expected text);
INSERT INTO story (statement, expected) VALUES
    ($$public.c360_normalize_phone('+84 901 000 001') AS m (a)$$, '(0901000001)'),
    ($$public.c360_set('credit_expiry_days', '16') AS m (a)$$, '("")'),
    ($$public.c360_get_or_create_customer('0901000002') AS m (a) WHERE a OPERATOR(pg_catalog.<) 0$$, NULL),
    ($$public.c360_deposit('0901000001', 500, idempotency_key => 'e1') AS <m>$$, '(DEPOSIT,500,500,0,500,0,500,f)'),
    ($$public.c360_deposit('0901000001', 500, idempotency_key => 'e1') AS <m>$$, '(DEPOSIT,500,500,0,500,0,500,t)'),
    ($$public.c360_issue_credit('0901000001', 50, source_id => 'evil') AS <m>$$, '(VIRTUAL_CREDIT,50,0,50,500,50,550,f)'),
    ($$public.c360_withdraw('0901000001', 60) AS <m>$$, '(WITHDRAW,60,-10,-50,490,0,490,f)'),
    ($$public.c360_adjust('0901000001', -90, 'a good reason') AS <m>$$, '(ADJUSTMENT,90,-90,0,400,0,400,f)'),
    ($$public.c360_issue_credit('0901000002', 7) AS <m>$$, '(VIRTUAL_CREDIT,7,0,7,0,7,7,f)'),
    ($$public.c360_refund((SELECT t.transaction_id FROM public.c360_wallet_transactions('0901000001', 'WITHDRAW') t), 20)
       AS <m>$$, '(REFUND,20,0,20,400,20,420,f)'),
    ($$public.c360_cancel_credit((SELECT t.credit_id FROM public.c360_expiring_credits('20 days') t
           WHERE t.phone OPERATOR(pg_catalog.=) '0901000001'), 'a reason') AS <m>$$,
     '(VIRTUAL_CANCEL,20,0,-20,400,0,400,f)'),
    ($$public.c360_freeze_wallet('0901000002', 'a reason') AS m (a)$$, '("")'),
    ($$public.c360_wallets(ARRAY['0901000001', '0901000002']) AS m (id, phone, b, v, a, f, d, w, i, u, e, l)$$,
     '(0901000002,0,7,0,t,0,0,7,0,0,) (0901000001,400,0,400,f,500,60,50,50,0,)'),
    ($$public.c360_unfreeze_wallet('0901000002') AS m (a)$$, '("")'),
    ($$public.c360_wallet('0901000002') AS m (id, phone, b, v, a, f, d, w, i, u, e, l)$$,
     '(0901000002,0,7,7,f,0,0,7,0,0,1)'),
    ($$public.c360_balance_at('0901000001', 'infinity') AS m (a, b)$$, '(400,0)'),
    ($$public.c360_verify_wallets() AS m (a, b, c, d)$$, NULL),
    ($$public.c360_expire_credits() AS m (a, b)$$, '(0,0)'),
    ($$public.c360_parse_transfer('GD 0901000001') AS m (a, b, c, d)$$, '(phone,0901000001,4,0.95)'),
    ($$public.c360_ingest_bank_transaction('{"id": 1, "gateway": "MBBank", "transactionDate": "2024-01-02 03:04:05",
         "accountNumber": "123", "transferType": "in", "transferAmount": 33, "content": "0901000001"}'::pg_catalog.jsonb)
       AS m (b, r, phone, c, n, t, a)$$, '(deposited,0901000001,f,33)'),
    ($$public.c360_ingest_bank_transaction('{"id": 1, "gateway": "MBBank", "transactionDate": "2024-01-02 03:04:05",
         "accountNumber": "123", "transferType": "in", "transferAmount": 33, "content": "other"}'::pg_catalog.jsonb)
       AS m (b, r, phone, c, n, t, a)$$, '(duplicate,0901000001,f,33)'),
    ($$public.c360_ingest_bank_transaction('{"id": 2, "gateway": "MBBank", "transactionDate": "2024-01-02 03:04:05",
         "accountNumber": "123", "transferType": "in", "transferAmount": 35, "content": "0901000001 0901000002"}'
         ::pg_catalog.jsonb) AS m (b, r, phone, c, n, t, a)$$, '(pending,,f,35)'),
    ($$public.c360_wallet_transactions('0901000001', max_rows => 2) AS m (i, type, amount, r, v, b, w, s, t, u, f, n, l, x, y, z)$$,
     '(DEPOSIT,33) (VIRTUAL_CANCEL,20)'),
    ($$public.c360_record_order('0901000001', 'DH1', 1000, '2026-01-01', 'delivered') AS m (a, b, c)$$, '(f)'),
    ($$public.c360_create_ticket('0901000001', 'BOOM', 'DH1', refund_amount => 5, deadline => '2026-01-01') AS m (a, t, b, c)$$, '(f)'),
    ($$public.c360_update_ticket((SELECT l.ticket_code FROM public.c360_ticket_list l),
         '{"subject": "x", "deadline": "2026-01-02"}'::pg_catalog.jsonb) AS m (t)$$, '(new,x)'),
    ($$public.c360_ticket_action((SELECT l.ticket_code FROM public.c360_ticket_list l), 'process', assignee => 'an') AS m (t)$$, '(processing,x)'),
    ($$public.c360_ticket_note((SELECT l.ticket_code FROM public.c360_ticket_list l), 'called') AS m (t)$$, '(processing,x)'),
    ($$public.c360_escalate_deadlines() AS m (a)$$, '(1)'),
    ($$public.c360_recount_orders(9000000000000) AS m (a)$$, '()'),
    ($$public.c360_resolve_ticket((SELECT l.ticket_code FROM public.c360_ticket_list l)) AS m (t)$$, '(,)'),
    ($$public.c360_ticket((SELECT l.ticket_code FROM public.c360_ticket_list l)) AS m (t)$$, '(completed,x)'),
    ($$public.c360_delete_ticket((SELECT l.ticket_code FROM public.c360_ticket_list l)) AS m (a)$$, '("")'),
    ($$public.c360_version() AS m (a) WHERE a OPERATOR(pg_catalog.=) ''$$, NULL),
    ($$public.c360_install() AS m (a)$$, '(' || (SELECT max(version) FROM c360.table_versions) || ')');

-- Which columns of each answer are looked at.
CREATE FUNCTION pg_temp.spell(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT pg_catalog.string_agg(x::pg_catalog.text, '' '') FROM (SELECT %s FROM %s) x',
        CASE WHEN statement ~ '<m>' THEN 'type, amount, r, v, b, vb, a, replayed'
             WHEN statement ~ '_wallets\(A' THEN 'phone, b, v, a, f, d, w, i, u, e, l'
             WHEN statement ~ 'c360_wallet\(' THEN 'phone, b, v, a, f, d, w, i, u, e, pg_catalog.jsonb_array_length(l)'
             WHEN statement ~ 'c360_(record_order|create_ticket)' THEN 'c'
             WHEN statement ~ '^public.c360_(ticket|update_ticket|resolve_ticket)' THEN
                 't OPERATOR(pg_catalog.->>) ''status'' AS s, t OPERATOR(pg_catalog.->>) ''subject'' AS j'
             WHEN statement ~ 'ingest' THEN 'r, phone, n, a'
             WHEN statement ~ '_transactions\(.*AS m \(i' THEN 'type, amount' ELSE '*' END,
        replace(statement, '<m>', 'm (id, type, amount, r, v, b, vb, a, lots, replayed)'))
$$;

SELECT is(pg_temp.under('evil, public, pg_catalog, pg_temp', pg_temp.spell(statement)), expected,
          'evil first: ' || substring(statement FROM 'c360_\w+')) FROM story ORDER BY n;
SELECT matches(pg_temp.under('evil, public, pg_catalog', $$SELECT public.c360_create_qr_code('0901000001')$$),
               '^N2[0-9A-Z]{16}$', 'evil first: c360_create_qr_code');
SELECT matches(pg_temp.under('evil, public, pg_catalog', $$SELECT c360_deposit('0901000001', 1::bigint, 'MANUAL'::varchar,
               NULL, NULL, NULL, NULL, NULL)$$), '^EV001 ', 'the traps work where names are not qualified');
SELECT matches(pg_temp.under('evil, public, pg_catalog', $$SELECT 1::bigint = 1::bigint$$), '^EV001 ',
               'as do the operators');
SELECT is(pg_temp.under('evil, public, pg_catalog', $$SELECT pg_catalog.count(*)::pg_catalog.text FROM customers$$), '0',
          'and the tables');

-- The tables with c360's names got nothing.
SELECT is((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', schema, relname), false, true, '')))[1]::text,
          '0', format('%s.%s is empty', schema, relname))
FROM pg_class c, unnest(ARRAY['evil', 'public', (SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema())]) AS schema
WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r' ORDER BY schema, relname;

-- The same with nothing on the path at all, and with pg_temp first.
DELETE FROM story WHERE statement ~ '(deposit|issue|withdraw|adjust|refund|cancel|freeze|ingest|_wallet|balance_at|expire|set\(|_ticket)';
INSERT INTO story (statement, expected) VALUES
    ($$public.c360_deposit('0901000001', 1) AS <m>$$, NULL), ($$public.c360_issue_credit('0901000001', 5) AS <m>$$, NULL),
    ($$public.c360_withdraw('0901000001', 5) AS <m>$$, NULL), ($$public.c360_wallet('0901000002') AS m$$, NULL),
    ($$public.c360_verify_wallets() AS m$$, NULL), ($$public.c360_set('credit_expiry_days', '16') AS m$$, NULL),
    ($$public.c360_wallet_transactions('0901000002') AS m$$, NULL),
    ($$public.c360_create_ticket('0901000001', 'OTHER', 'DH2') AS m$$, NULL), ($$public.c360_ticket_list AS m$$, NULL);
SELECT unalike(coalesce(pg_temp.under(path, 'SELECT x::pg_catalog.text FROM (SELECT * FROM '
                   || replace(statement, '<m>', 'm') || ') x'), ''), '_____ %',
               format('search_path "%s": %s', path, substring(statement FROM 'c360_\w+')))
FROM story, unnest(ARRAY['', 'pg_temp, evil, pg_catalog']) AS path ORDER BY path, n;

SELECT is(pg_temp.wallet('0901000001'), '435 + 0, available 435', 'the wallet after all that');

-- Every function there is, with arguments that mean something or NULL: it may
-- fail, but not by what it finds.
CREATE FUNCTION pg_temp.call_of(routine oid, with_nulls boolean) RETURNS text LANGUAGE sql AS $$
    SELECT CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE 'SELECT pg_catalog.count(*)::pg_catalog.text FROM ' END
        || format('public.%I(%s)', p.proname, (
            SELECT string_agg(format('%L::%I.%I', CASE WHEN NOT with_nulls THEN
                       CASE a.name WHEN 'job' THEN 'expire_credits' WHEN 'schedule' THEN '1 * * * *' WHEN 'from_status' THEN 'new'
                           WHEN 'to_status' THEN 'processing' WHEN 'ticket_code' THEN (SELECT max(k.ticket_code) FROM c360.customer_tickets k)
                           WHEN 'role' THEN 'pg_monitor' WHEN 'level' THEN 'agent' WHEN 'reason' THEN 'a good reason' ELSE
                       CASE t.typname WHEN 'text' THEN '0901000001' WHEN 'jsonb' THEN '{"a": 1}' WHEN 'bool' THEN 'true' WHEN '_text' THEN '{a}'
                           WHEN 'timestamptz' THEN '2026-01-02' WHEN 'date' THEN '2026-01-02' WHEN 'interval' THEN '1 day'
                           WHEN 'regrole' THEN 'pg_monitor' WHEN '_int8' THEN '{1}' ELSE '1' END END END, n.nspname, t.typname), ', ' ORDER BY a.n)
            FROM ROWS FROM (unnest(p.proargtypes), unnest(p.proargnames[1:p.pronargs])) WITH ORDINALITY AS a (type, name, n)
            JOIN pg_type t ON t.oid = a.type JOIN pg_namespace n ON n.oid = t.typnamespace))
    FROM pg_proc p WHERE p.oid = routine
$$;
SELECT unalike(coalesce(pg_temp.under(path, pg_temp.call_of(r.oid, with_nulls)), ''), 'EV%',
               format('search_path "%s": %s%s', path, r.name, CASE WHEN with_nulls THEN ' of NULL' END))
FROM pg_temp.routines r, unnest(ARRAY['evil, public, pg_catalog, pg_temp', 'pg_temp, evil, pg_catalog']) AS path,
     unnest(ARRAY[false, true]) AS with_nulls
WHERE r.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND r.name <> 'c360_become_owner' ORDER BY path, r.name, with_nulls;
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');
SELECT * FROM finish();
ROLLBACK;
