-- Business rules that vary.  Phones 0914.

SELECT name, value, type, unit, "default" FROM c360_settings ORDER BY name;

-- Each type, in its spellings.
CREATE FUNCTION test.set_to(name text, value text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM public.c360_set(set_to.name, set_to.value);
    RETURN (SELECT s.value FROM public.c360_settings s WHERE s.name = set_to.name);
END $$;
SELECT spelling, test.set_to('create_customer_from_transfer', spelling)
FROM unnest(ARRAY['false', 'true', 'OFF', 'on', 'No', 'yes', '0', '1', ' false ', NULL]) AS spelling;
SELECT spelling, test.set_to('credit_expiry_days', spelling)
FROM unnest(ARRAY['1', '3650', ' 30 ', '007', NULL]) AS spelling;
SELECT spelling, test.set_to('refund_grace_days', spelling) FROM unnest(ARRAY['0', '3650', NULL]) AS spelling;
SELECT spelling, test.set_to('max_amount', spelling) FROM unnest(ARRAY['0', '9223372036854775807', NULL]) AS spelling;
SELECT spelling, test.set_to('authenticator_roles', spelling)
FROM unnest(ARRAY['one', 'one, two', '', NULL]) AS spelling;
DROP FUNCTION test.set_to(text, text);

-- Refused, and nothing changed.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_set('create_customer_from_transfer', 'maybe')$$);
SELECT test.error_of($$SELECT c360_set('create_customer_from_transfer', '')$$);
SELECT test.error_of($$SELECT c360_set('create_customer_from_transfer', '2')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', '0')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', '3651')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', '-1')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', '1.5')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', '1e3')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', '')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', 'ten')$$);
SELECT test.error_of($$SELECT c360_set('credit_expiry_days', '15 days')$$);
SELECT test.error_of($$SELECT c360_set('refund_grace_days', '3651')$$);
SELECT test.error_of($$SELECT c360_set('max_amount', '9223372036854775808')$$);
SELECT test.error_of($$SELECT c360_set('max_amount', '99999999999999999999')$$);
SELECT test.error_of($$SELECT c360_set('MAX_AMOUNT', '1')$$);
SELECT test.error_of($$SELECT c360_set('no_such_setting', '1')$$);
SELECT test.error_of($$SELECT c360_set('', '1')$$);
SELECT test.error_of($$SELECT c360_set(NULL, '1')$$);
\pset tuples_only off
\pset format aligned
SELECT name FROM c360_settings WHERE value <> "default";

-- Who changed it, and when.
SELECT c360_set('credit_expiry_days', '20');
SELECT value, changed_by = session_user AS by_us, changed_at <= clock_timestamp() AS dated
FROM c360.settings WHERE name = 'credit_expiry_days';

-- It counts from the next call on.
SELECT lots IS NOT NULL AS issued FROM c360_issue_credit('0914000001', 1, 'MANUAL', 'twenty');
SELECT c360_set('credit_expiry_days', NULL);
SELECT lots IS NOT NULL AS issued FROM c360_issue_credit('0914000001', 1, 'MANUAL', 'fifteen');
SELECT source_id, expires_at - created_at AS life FROM c360.virtual_credits
WHERE customer_id = test.customer('0914000001') ORDER BY id;
-- within one statement, too
SELECT test.error_of($$SELECT c360_set('max_amount', '10'), c360_deposit('0914000002', 11)$$);
SELECT c360_set('max_amount', '10');
SELECT balance FROM c360_deposit('0914000002', 10);
SELECT test.error_of($$SELECT c360_deposit('0914000002', 11)$$);
SELECT c360_set('max_amount', NULL);

-- What is rolled back never counted.
BEGIN;
SELECT c360_set('max_amount', '10');
SELECT test.error_of($$SELECT c360_deposit('0914000002', 11)$$);
ROLLBACK;
SELECT balance FROM c360_deposit('0914000002', 11);
BEGIN;
SAVEPOINT before;
SELECT c360_set('max_amount', '10');
SELECT test.error_of($$SELECT c360_deposit('0914000002', 11)$$);
ROLLBACK TO before;
SELECT balance FROM c360_deposit('0914000002', 11);
COMMIT;

-- By hand works as well.
UPDATE c360.settings SET value = '10' WHERE name = 'max_amount';
SELECT test.error_of($$SELECT c360_deposit('0914000002', 11)$$);
-- c360_install() writes anew what a setting means and leaves what it is.
UPDATE c360.settings SET description = 'changed', maximum = 20, default_value = '7' WHERE name = 'max_amount';
SELECT c360_install() <> '' AS installed;
SELECT name, value, type, unit, "default", description <> 'changed' AS described FROM c360_settings WHERE name = 'max_amount';
SELECT test.error_of($$SELECT c360_deposit('0914000002', 11)$$);
SELECT c360_set('max_amount', '21');
UPDATE c360.settings SET value = NULL WHERE name = 'max_amount';
SELECT balance FROM c360_deposit('0914000002', 11);

-- A role that may only read or only pay cannot change one.
CREATE ROLE regress_c360_clerk;
GRANT EXECUTE ON FUNCTION c360_deposit TO regress_c360_clerk;
SET ROLE regress_c360_clerk;
SELECT c360_set('max_amount', '0');
SELECT * FROM c360_settings;
SELECT balance FROM c360_deposit('0914000002', 1);
RESET ROLE;
DROP OWNED BY regress_c360_clerk;
DROP ROLE regress_c360_clerk;

SELECT name FROM c360_settings WHERE value <> "default";
SELECT * FROM c360_verify_wallets();
