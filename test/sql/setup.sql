-- The extension, its tables by one call, and what the other tests share.
CREATE EXTENSION c360;
SELECT c360_version() = extversion AS code_is_of_this_version
FROM pg_extension WHERE extname = 'c360';

CREATE SCHEMA test;

-- Numbers that depend on what ran before.
CREATE FUNCTION test.without_ids(message text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(message, '\m(customer|transaction|credit|lot|id) \d+', '\1 #', 'g')
$$;

-- What a command fails with: SQLSTATE, message, detail, hint.
CREATE FUNCTION test.error_of(command text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    state text;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE command;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', state || ' ' || message, test.without_ids(nullif(detail, '')), nullif(hint, ''));
END $$;

-- What it fails with, without the row that DETAIL may show.
CREATE FUNCTION test.failure_of(command text) RETURNS text
LANGUAGE sql VOLATILE AS $$ SELECT split_part(test.error_of(command), ' | ', 1) $$;

-- Before c360_install() nothing works, and the error says what to do.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_deposit('0900000001', 1)$$);
SELECT test.error_of($$SELECT c360_wallet('0900000001')$$);
SELECT test.error_of($$SELECT c360_ingest_bank_transaction('{}')$$);
SELECT test.error_of($$SELECT c360_set('max_amount', '1')$$);
SELECT test.error_of($$SELECT c360_verify_wallets()$$);
SELECT test.error_of($$SELECT c360_expire_credits()$$);
SELECT test.error_of($$CALL c360_expire_all()$$);
\pset tuples_only off
\pset format aligned
-- Pure functions need no tables.
SELECT c360_normalize_phone('+84 912 345 678'), c360_phone_carrier('0912345678');

-- One call makes the tables.
SELECT c360_install() AS version \gset
SELECT :version = max(version) AS newest, count(*) = max(version) AS all_steps FROM c360.table_versions;

-- Lots of an answer, by their source id.
CREATE FUNCTION test.lots(lots jsonb) RETURNS text
LANGUAGE sql VOLATILE AS $$
    SELECT string_agg(format('%s %s', coalesce(v.source_id, v.kind, 'unknown'), lot ->> 'amount'), ', ' ORDER BY n)
    FROM jsonb_array_elements(lots) WITH ORDINALITY AS l (lot, n)
    LEFT JOIN c360.virtual_credits v ON v.id = (lot ->> 'credit_id')::bigint
$$;

CREATE FUNCTION test.customer(wanted text) RETURNS bigint
LANGUAGE sql VOLATILE AS $$ SELECT id FROM c360.customers WHERE phone = wanted $$;

-- The ledger of a customer, oldest first.
CREATE FUNCTION test.ledger(wanted text)
RETURNS TABLE (type text, operation text, amount bigint, "real" bigint, virtual bigint,
               balance bigint, virtual_balance bigint, source text, reference text, lots text)
LANGUAGE sql VOLATILE AS $$
    SELECT t.type, t.operation, t.amount, t.real_change, t.virtual_change, t.balance_after,
           t.virtual_balance_after, t.source, concat_ws(' ', t.reference_type, t.reference_id),
           coalesce((SELECT v.source_id || ' ' || t.amount FROM c360.virtual_credits v WHERE v.id = t.credit_id),
                    (SELECT string_agg(v.source_id || ' ' || u.amount, ', ' ORDER BY u.position)
                     FROM c360.virtual_credit_uses u JOIN c360.virtual_credits v ON v.id = u.credit_id
                     WHERE u.transaction_id = t.id))
    FROM c360.wallet_transactions t
    WHERE t.customer_id = test.customer(wanted)
    ORDER BY t.id
$$;

-- The lots of a customer, oldest first; dates of this century's end are fixed ones.
CREATE FUNCTION test.lots_of(wanted text)
RETURNS TABLE (lot text, kind text, original bigint, remaining bigint, status text, expires text)
LANGUAGE sql VOLATILE AS $$
    SELECT v.source_id, v.kind, v.original_amount, v.remaining_amount, v.status,
           CASE WHEN v.expires_at >= '2090-01-01' OR v.expires_at < '2021-01-01'
                THEN to_char(v.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                ELSE to_char(round(extract(epoch FROM v.expires_at - clock_timestamp()) / 86400), 'FM990') || ' days' END
    FROM c360.virtual_credits v WHERE v.customer_id = test.customer(wanted)
    ORDER BY v.id
$$;

-- The timeline of a customer, oldest first, without ids and codes.
CREATE FUNCTION test.timeline(wanted text)
RETURNS TABLE (topic text, event text, reference text, payload jsonb)
LANGUAGE sql VOLATILE AS $$
    SELECT a.topic, a.event, a.reference_type, a.payload - 'transaction_id' - 'qr_code'
    FROM c360.customer_activities a WHERE a.customer_id = test.customer(wanted)
    ORDER BY a.id
$$;

-- Puts the end of a lot into the past, as time would.
CREATE FUNCTION test.let_expire(wanted text, wanted_source text, ended timestamptz DEFAULT '2020-06-01 00:00 UTC')
RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE c360.virtual_credits SET expires_at = ended
    WHERE customer_id = test.customer(wanted) AND source_id = wanted_source
$$;

-- All that hangs on the tables, as text: tables, columns, constraints,
-- indexes, triggers, views, rights (but 17's m, MAINTAIN), comments, settings
-- and steps.
CREATE FUNCTION test.catalog() RETURNS TABLE (what text, line text)
LANGUAGE sql VOLATILE AS $$
    SELECT 'relation', format('%s %s %s %s %s %s', c.oid::regclass, c.relkind, c.relowner = n.nspowner,
                              replace(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char",
                                                                    c.relowner))::text, 'xtm/', 'xt/'),
                              c.reloptions, obj_description(c.oid))
    FROM pg_class c, pg_namespace n
    WHERE n.nspname = 'c360' AND (c.relnamespace = n.oid OR c.oid = 'c360_settings'::regclass)
    UNION ALL
    SELECT 'column', format('%s %s %s %s %s %s', a.attrelid::regclass, a.attname, a.atttypid::regtype,
                            a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'constraint', format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'c360'::regnamespace
    UNION ALL
    SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'c360'
    UNION ALL
    SELECT 'trigger', format('%s %s', tgenabled, pg_get_triggerdef(t.oid))
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'c360'::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT 'view', pg_get_viewdef('c360_settings'::regclass)
    UNION ALL
    SELECT 'setting', format('%s', to_jsonb(s) - 'changed_by' - 'changed_at') FROM c360.settings s
    UNION ALL
    SELECT 'step', v::text FROM c360.table_versions v
$$;
CREATE TABLE test.first_catalog AS SELECT * FROM test.catalog();
SELECT what, count(*) > 0 AS some FROM test.first_catalog GROUP BY what ORDER BY what;

-- Called again, it changes nothing.
SELECT c360_install() AS version \gset
SELECT :version = max(version) AS newest, count(*) = max(version) AS all_steps FROM c360.table_versions;
(SELECT 'gone', * FROM test.first_catalog EXCEPT ALL SELECT 'gone', * FROM test.catalog())
UNION ALL
(SELECT 'new', * FROM test.catalog() EXCEPT ALL SELECT 'new', * FROM test.first_catalog);

-- Empty books are sound books.
SELECT * FROM c360_verify_wallets();
