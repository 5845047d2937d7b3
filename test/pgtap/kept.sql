-- Rows that a session keeps (settings, types of tickets, numbers that are
-- ignored) are those that are there, whatever goes wrong while they change or
-- are read.
BEGIN;
\ir tools.psql
SELECT no_plan();

CREATE SCHEMA shop;
SELECT c360_set('max_amount', '100') \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 5000)$$), '22023 amount_limit', 'a limit');

-- Read in the middle of a statement that fails -----------------------------

CREATE FUNCTION shop.try() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM c360_deposit('0901000001', 5000);
    RETURN 1;
END $$;
-- so that they are read then; it divides by zero when the deposit went through
UPDATE c360.settings SET value = value;
SELECT is(pg_temp.failure($$UPDATE c360.settings SET value = '0' WHERE name = 'max_amount' RETURNING 1 / (shop.try() - 1)$$), '22012',
          'a statement that lifts the limit, pays, and fails');
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 5000)$$), '22023 amount_limit', 'leaves the limit');
CREATE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.c360_deposit('0901000001', 5000);
    RAISE division_by_zero;
END $$;
UPDATE c360.settings SET value = value;
CREATE TRIGGER refuse AFTER UPDATE ON c360.settings FOR EACH ROW EXECUTE FUNCTION shop.refuse();
SELECT is(pg_temp.failure($$SELECT c360_set('max_amount', NULL)$$), '22012', 'so does a trigger of the shop''s');
DROP TRIGGER refuse ON c360.settings;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 5000)$$), '22023 amount_limit', 'the limit stands');
SELECT is((SELECT value FROM c360.settings WHERE name = 'max_amount'), '100', 'as in the table');

-- Rows that come by replication have no statement ---------------------------

SELECT set_eq($$SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%\_changing' AND tgenabled = 'A'
                AND tgtype & 3 = 3 AND tgtype & 28 = 28$$,
              ARRAY['c360.settings', 'c360.jobs', 'c360.rfm_config', 'c360.rfm_segments', 'c360.transfer_ignored', 'c360.ticket_types'],
              'triggers before each row, in the replica role, too');

-- Asked for while they are read --------------------------------------------

-- what planning calls calls c360
CREATE FUNCTION shop.nosy(call text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('shop.nested', true) = 'yes' THEN
        PERFORM set_config('shop.nested', 'no', false);
        PERFORM public.c360_deposit('0901000002', 1);
        BEGIN
            EXECUTE call;
        EXCEPTION WHEN invalid_parameter_value THEN
            PERFORM public.c360_deposit('0901000002', 10);
        END;
    END IF;
    RETURN 'x';
END $$;
CREATE STATISTICS shop.of_settings ON (name || shop.nosy('SELECT public.c360_deposit(''0901000002'', 5000)')), value FROM c360.settings;
UPDATE c360.settings SET value = value;
SET LOCAL shop.nested = 'yes';
SELECT is((SELECT amount FROM c360_deposit('0901000001', 50)), 50::bigint, 'a deposit whose settings call for another');
SELECT is(pg_temp.wallet('0901000002'), '11 + 0, available 11', 'which has the limit, too');
DROP STATISTICS shop.of_settings;
INSERT INTO c360.ticket_types SELECT (jsonb_populate_record(t, jsonb_build_object('type', 'T' || i || repeat('x', 40)))).*
FROM c360.ticket_types t, generate_series(1, 2000) i WHERE t.type = 'BOOM';
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000001', 'BOOM', 'A1')$$), 'none', 'a ticket');
CREATE STATISTICS shop.of_types ON (type || shop.nosy('SELECT public.c360_create_ticket(''0901000005'', ''BOOM'', ''A2'', allow_duplicate => true)')), compensation
FROM c360.ticket_types;
UPDATE c360.ticket_types SET compensation = compensation WHERE type = 'BOOM';
SET LOCAL shop.nested = 'yes';
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000006', 'BOOM', 'A3')$$), 'none', 'a ticket whose types call for another');
SELECT is((SELECT string_agg(DISTINCT order_code, ' ' ORDER BY order_code) FROM c360.customer_tickets), 'A1 A2 A3', 'which is made');
DROP STATISTICS shop.of_types;

-- Other tables of the same names -------------------------------------------

ALTER SCHEMA c360 RENAME TO c360_blue;
SELECT c360_install() \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 5000)$$), 'none', 'another schema has its own settings');
SELECT is(pg_temp.failure(format('SELECT c360_create_ticket(''0901000001'', %L)', 'T1' || repeat('x', 40))), '22023 not_allowed',
          'and its own types of tickets');
ALTER SCHEMA c360 RENAME TO c360_green;
ALTER SCHEMA c360_blue RENAME TO c360;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 5000)$$), '22023 amount_limit', 'the first has its limit again');
SELECT is(pg_temp.failure(format('SELECT c360_create_ticket(''0901000001'', %L)', 'T1' || repeat('x', 40))), 'none', 'and its types');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');

SELECT * FROM finish();
ROLLBACK;
