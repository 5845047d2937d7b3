-- c360_install(): whose tables, and what it makes whole.

SET client_min_messages = warning;
CREATE TABLE test.catalog_before AS SELECT * FROM test.catalog();

-- What hangs on the code comes back, what the shop changed stays.
BEGIN;
DROP TRIGGER ledger_guard ON c360.wallet_transactions;
DROP TRIGGER ledger_truncate_guard ON c360.virtual_credit_uses;
ALTER TABLE c360.virtual_credit_uses DISABLE TRIGGER ledger_guard;
ALTER TABLE c360.settings ENABLE TRIGGER settings_changed;
DROP VIEW c360_settings;
DELETE FROM c360.settings WHERE name = 'max_amount';
SELECT c360_install() <> '' AS installed;
(SELECT 'gone', * FROM test.catalog_before EXCEPT ALL SELECT 'gone', * FROM test.catalog())
UNION ALL
(SELECT 'new', * FROM test.catalog() EXCEPT ALL SELECT 'new', * FROM test.catalog_before);
ROLLBACK;
BEGIN;
CREATE INDEX shop_idx ON c360.customers (email);
ALTER TABLE c360.customers ADD COLUMN shop_note text;
ALTER TABLE c360.customer_wallets ADD CONSTRAINT shop_limit CHECK (balance >= 0);
SELECT c360_install() <> '' AS installed;
SELECT 'new', * FROM test.catalog() EXCEPT ALL SELECT 'new', * FROM test.catalog_before ORDER BY 3;
ROLLBACK;

-- Tables that are older than the code are not used.
BEGIN;
DELETE FROM c360.table_versions WHERE version = (SELECT max(version) FROM c360.table_versions);
SELECT regexp_replace(test.error_of($$SELECT c360_deposit('0900000001', 1)$$), '\d+(?=[,.])', 'N', 'g');
SELECT left(test.error_of($$SELECT c360_wallet('0900000001')$$), 5);
ROLLBACK;
BEGIN;
ALTER TABLE c360.customer_wallets RENAME TO elsewhere;
SELECT test.error_of($$SELECT c360_deposit('0900000001', 1)$$);
ROLLBACK;
BEGIN;
ALTER TABLE c360.wallet_transactions RENAME COLUMN amount TO betrag;
SELECT test.error_of($$SELECT c360_deposit('0900000001', 1)$$);
ROLLBACK;
BEGIN;
DROP SCHEMA c360 CASCADE;
SELECT test.error_of($$SELECT c360_deposit('0900000001', 1)$$);
ROLLBACK;
BEGIN;
SELECT balance FROM c360_deposit('0900000001', 1);
ROLLBACK;

-- Tables of another owner, or a schema that somebody else made, are refused.
CREATE ROLE regress_c360_other;
GRANT USAGE ON SCHEMA test TO regress_c360_other;
GRANT EXECUTE ON FUNCTION c360_install TO regress_c360_other;
BEGIN;
SET LOCAL ROLE regress_c360_other;
SELECT replace(test.error_of('SELECT c360_install()'), session_user, 'us');
ROLLBACK;
BEGIN;
ALTER TABLE c360.customer_wallets OWNER TO regress_c360_other;
SELECT replace(test.error_of('SELECT c360_install()'), session_user, 'us');
ROLLBACK;
BEGIN;
DROP SCHEMA c360 CASCADE;
CREATE SCHEMA c360 AUTHORIZATION regress_c360_other;
SELECT replace(test.error_of('SELECT c360_install()'), session_user, 'us');
ROLLBACK;

-- Another role than a superuser can own them.
BEGIN;
DROP SCHEMA c360 CASCADE;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_c360_other', current_database()); END $$;
GRANT CREATE ON SCHEMA public TO regress_c360_other;
SET LOCAL ROLE regress_c360_other;
SELECT test.error_of('SELECT c360_install()');
RESET ROLE;
GRANT EXECUTE ON FUNCTION c360_refuse_change, c360_settings_changed TO regress_c360_other;
SET LOCAL ROLE regress_c360_other;
SELECT c360_install() <> '' AS installed;
RESET ROLE;
SELECT count(*) > 0 AS tables, count(*) FILTER (WHERE relowner <> 'regress_c360_other'::regrole) AS of_others
FROM pg_class WHERE relnamespace = 'c360'::regnamespace;
SELECT balance, available FROM c360_deposit('0900000001', 1);
SELECT * FROM c360_verify_wallets();
ROLLBACK;
DROP OWNED BY regress_c360_other;
DROP ROLE regress_c360_other;

-- The session still works with the tables that were there all the time.
(SELECT 'gone', * FROM test.catalog_before EXCEPT ALL SELECT 'gone', * FROM test.catalog())
UNION ALL
(SELECT 'new', * FROM test.catalog() EXCEPT ALL SELECT 'new', * FROM test.catalog_before);
SELECT count(*) FROM c360.customers WHERE phone = '0900000001';
DROP TABLE test.catalog_before;
SELECT * FROM c360_verify_wallets();
