-- What a DBA adds to the tables takes effect on the path of money, too.
-- Phones 0922.

SELECT balance FROM c360_deposit('0922000001', 10);
SELECT balance FROM c360_deposit('0922000002', 10);

-- A CHECK, on each table that is written to.
BEGIN;
ALTER TABLE c360.customer_wallets ADD CONSTRAINT shop_check CHECK (balance <> 13) NOT VALID;
SELECT test.failure_of($$SELECT c360_deposit('0922000001', 3)$$);
SELECT balance FROM c360_deposit('0922000001', 4);
ROLLBACK;
BEGIN;
ALTER TABLE c360.wallet_transactions ADD CONSTRAINT shop_check CHECK (amount <> 13) NOT VALID;
SELECT test.failure_of($$SELECT c360_deposit('0922000001', 13)$$);
SELECT balance FROM c360_deposit('0922000001', 3);
ROLLBACK;
BEGIN;
ALTER TABLE c360.virtual_credits ADD CONSTRAINT shop_check CHECK (remaining_amount <> 13) NOT VALID;
SELECT test.failure_of($$SELECT c360_issue_credit('0922000001', 13)$$);
SELECT virtual_balance FROM c360_issue_credit('0922000001', 15);
SELECT test.failure_of($$SELECT c360_withdraw('0922000001', 2)$$);
ROLLBACK;
BEGIN;
ALTER TABLE c360.virtual_credit_uses ADD CONSTRAINT shop_check CHECK (amount <> 13) NOT VALID;
SELECT virtual_balance FROM c360_issue_credit('0922000001', 15);
SELECT test.failure_of($$SELECT c360_withdraw('0922000001', 13)$$);
ROLLBACK;
BEGIN;
ALTER TABLE c360.customer_activities ADD CONSTRAINT shop_check CHECK (payload ->> 'amount' <> '13') NOT VALID;
SELECT test.failure_of($$SELECT c360_deposit('0922000001', 13)$$);
ROLLBACK;
-- functions and whole rows in it, call after call
CREATE FUNCTION test.sound_wallet(c360.customer_wallets) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN ($1).balance <> 13;
END $$;
CREATE FUNCTION test.sound_amount(bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT $1 <> 14 $$;
BEGIN;
ALTER TABLE c360.customer_wallets ADD CONSTRAINT shop_check CHECK (test.sound_wallet(customer_wallets)) NOT VALID;
ALTER TABLE c360.wallet_transactions ADD CONSTRAINT shop_check CHECK (test.sound_amount(amount)) NOT VALID,
    ADD CONSTRAINT shop_row CHECK (wallet_transactions IS NOT NULL OR true) NOT VALID;
SELECT balance FROM c360_deposit('0922000001', 1);
SELECT balance FROM c360_deposit('0922000001', 1);
SELECT test.failure_of($$SELECT c360_deposit('0922000001', 1)$$);
SELECT test.failure_of($$SELECT c360_deposit('0922000001', 14)$$);
SELECT balance FROM c360_deposit('0922000001', 3);
SELECT balance FROM c360_withdraw('0922000001', 1);
SELECT test.failure_of($$SELECT c360_withdraw('0922000001', 1)$$);
ROLLBACK;
DROP FUNCTION test.sound_wallet(c360.customer_wallets);
DROP FUNCTION test.sound_amount(bigint);
-- gone again
SELECT test.failure_of($$SELECT c360_deposit('0922000002', 14)$$);

-- Columns: generated ones, defaults, NOT NULL, one dropped in between.
BEGIN;
ALTER TABLE c360.wallet_transactions ADD COLUMN doubled bigint GENERATED ALWAYS AS (amount % 1000 * 2) STORED,
    ADD COLUMN gone text DEFAULT 'gone', ADD COLUMN branch text NOT NULL DEFAULT 'HCM', ADD COLUMN counted serial,
    ADD COLUMN stamped timestamptz DEFAULT clock_timestamp(), ADD COLUMN empty text;
ALTER TABLE c360.wallet_transactions DROP COLUMN gone;
ALTER TABLE c360.customer_wallets ADD COLUMN total bigint GENERATED ALWAYS AS (balance % 1000 + virtual_balance % 1000) STORED,
    ADD COLUMN branch text NOT NULL DEFAULT 'HCM';
ALTER TABLE c360.customers ADD COLUMN branch text NOT NULL DEFAULT 'HCM';
UPDATE c360.customer_wallets SET branch = 'HN' WHERE customer_id = test.customer('0922000001');
SELECT balance FROM c360_deposit('0922000001', 3);
SELECT virtual_balance FROM c360_issue_credit('0922000003', 8);
SELECT available FROM c360_withdraw('0922000003', 3);
SELECT amount, doubled, branch, counted > 0 AS counted, stamped IS NOT NULL AS stamped, empty FROM c360.wallet_transactions
WHERE customer_id IN (test.customer('0922000001'), test.customer('0922000003')) ORDER BY id;
SELECT c.phone, w.total, w.branch, c.branch FROM c360.customer_wallets w JOIN c360.customers c ON c.id = w.customer_id
WHERE c.phone IN ('0922000001', '0922000003') ORDER BY c.phone;
SELECT * FROM c360_verify_wallets();
ROLLBACK;

-- Indexes: used, kept up to date, unique ones obeyed. Expressions and partial
-- ones too.
BEGIN;
CREATE INDEX shop_idx ON c360.wallet_transactions ((amount % 10)) WHERE type = 'DEPOSIT';
CREATE UNIQUE INDEX shop_key ON c360.wallet_transactions (customer_id, reference_id) WHERE reference_type = 'order';
CREATE INDEX shop_balance_idx ON c360.customer_wallets (balance);
SELECT balance FROM c360_deposit('0922000001', 7, reference_type => 'order', reference_id => 'ĐH-1');
SELECT test.failure_of($$SELECT c360_deposit('0922000001', 7, reference_type => 'order', reference_id => 'ĐH-1')$$);
SELECT balance FROM c360_deposit('0922000002', 7, reference_type => 'order', reference_id => 'ĐH-1');
SET LOCAL enable_seqscan = off;
SELECT count(*) FROM c360.wallet_transactions WHERE type = 'DEPOSIT' AND amount % 10 = 7
    AND customer_id IN (test.customer('0922000001'), test.customer('0922000002'));
SELECT count(*) FROM c360.customer_wallets WHERE balance IN (17, 31)
    AND customer_id IN (test.customer('0922000001'), test.customer('0922000002'));
ROLLBACK;

-- Row triggers: before and after, on columns, with WHEN, deferred ones.
CREATE TABLE test.fired (n serial, what text);
CREATE FUNCTION test.fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test.fired (what) VALUES (concat_ws(' ', TG_NAME, TG_WHEN, TG_OP, TG_TABLE_NAME));
    RETURN NEW;
END $$;
BEGIN;
CREATE TRIGGER a BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION test.fire();
CREATE TRIGGER b AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION test.fire();
CREATE TRIGGER c AFTER INSERT ON c360.wallet_transactions FOR EACH ROW WHEN (NEW.amount > 5) EXECUTE FUNCTION test.fire();
CREATE CONSTRAINT TRIGGER d AFTER INSERT ON c360.wallet_transactions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION test.fire();
CREATE TRIGGER e BEFORE UPDATE OF balance ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION test.fire();
CREATE TRIGGER f AFTER UPDATE OF balance ON c360.customer_wallets FOR EACH ROW
    WHEN (OLD.balance IS DISTINCT FROM NEW.balance) EXECUTE FUNCTION test.fire();
CREATE TRIGGER g AFTER UPDATE OF customer_id ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION test.fire();
CREATE TRIGGER h AFTER INSERT OR UPDATE ON c360.virtual_credits FOR EACH ROW EXECUTE FUNCTION test.fire();
CREATE TRIGGER i AFTER INSERT ON c360.customer_activities FOR EACH ROW EXECUTE FUNCTION test.fire();
CREATE TRIGGER j AFTER INSERT ON c360.virtual_credit_uses FOR EACH ROW EXECUTE FUNCTION test.fire();
SELECT balance FROM c360_deposit('0922000001', 3);
SELECT what FROM test.fired ORDER BY n;
TRUNCATE test.fired;
SELECT virtual_balance FROM c360_issue_credit('0922000001', 6, 'MANUAL', 'lot', '2099-01-01');
SELECT available FROM c360_withdraw('0922000001', 1);
SELECT what FROM test.fired ORDER BY n;
TRUNCATE test.fired;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT what FROM test.fired ORDER BY n;
ROLLBACK;
DROP FUNCTION test.fire();
DROP TABLE test.fired;

-- A BEFORE trigger may change the row, but not make it vanish.
CREATE FUNCTION test.change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.reference_type := 'changed';
    RETURN NEW;
END $$;
CREATE FUNCTION test.vanish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
BEGIN;
CREATE TRIGGER change BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION test.change();
SELECT balance FROM c360_deposit('0922000001', 3);
SELECT type, reference FROM test.ledger('0922000001');
ROLLBACK;
BEGIN;
CREATE TRIGGER vanish BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION test.vanish();
SELECT test.error_of($$SELECT c360_deposit('0922000001', 3)$$);
ROLLBACK;
BEGIN;
CREATE TRIGGER vanish BEFORE UPDATE ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION test.vanish();
SELECT test.error_of($$SELECT c360_deposit('0922000001', 3)$$);
ROLLBACK;
DROP FUNCTION test.change();
DROP FUNCTION test.vanish();

-- A foreign key of the DBA's is checked.
BEGIN;
CREATE TABLE test.branches (name text PRIMARY KEY);
INSERT INTO test.branches VALUES ('HCM');
ALTER TABLE c360.wallet_transactions ADD CONSTRAINT shop_fkey FOREIGN KEY (reference_id) REFERENCES test.branches NOT VALID;
SELECT balance FROM c360_deposit('0922000001', 3, reference_type => 'branch', reference_id => 'HCM');
SELECT test.error_of($$SELECT c360_deposit('0922000001', 3, reference_type => 'branch', reference_id => 'HN')$$);
ROLLBACK;

-- Row security of the tables does not hold c360's own functions up.
BEGIN;
ALTER TABLE c360.customer_wallets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT balance FROM c360_deposit('0922000001', 3);
SELECT balance FROM c360_wallet('0922000001');
ROLLBACK;

SELECT balance FROM c360_wallet('0922000001');
SELECT * FROM c360_verify_wallets();
