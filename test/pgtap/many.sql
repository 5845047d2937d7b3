-- Where many rows are written together (a withdrawal from many lots, expiry,
-- transfers in bulk) they are what they would be one by one: what a DBA adds
-- takes effect, what fails leaves nothing, whoever looks finds them.
BEGIN;
\ir tools.psql
SELECT no_plan();
SET LOCAL enable_seqscan = off;      -- rows of one transaction leave dead versions that only an index passes over
CREATE EXTENSION amcheck;

-- 250 lots of one wallet, 240 overdue ones of 120 wallets, 150 transfers; one
-- of each, far from the first, is of 13. No wallet has two lots of an amount,
-- the one wallet two lots with the same end.
CREATE SCHEMA shop;
SELECT count(c360_issue_credit('0931000001', CASE n WHEN 137 THEN 13 WHEN 13 THEN 137 ELSE n END, source_id => 'lot ' || n,
                               expires_at => '2090-01-01'::timestamptz + CASE n WHEN 151 THEN 150 ELSE n END * interval '1 hour'))
FROM generate_series(1, 250) AS n \g /dev/null
SELECT count(c360_issue_credit('0932' || lpad(w::text, 6, '0'), CASE WHEN w = 77 AND l = 2 THEN 13 ELSE 20 + l END,
                               source_id => 'overdue ' || l, expires_at => '2090-02-01'))
FROM generate_series(1, 120) AS w, generate_series(1, 2) AS l \g /dev/null
UPDATE c360.virtual_credits SET expires_at = now() - id * interval '1 second' WHERE source_id LIKE 'overdue %';
CREATE FUNCTION shop.payloads() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('id', 9000 + n, 'gateway', 'MBBank', 'transactionDate', '2025-05-26 16:14:51',
        'accountNumber', '0123499999', 'content', 'ck 0933' || lpad((n % 90)::text, 6, '0'), 'transferType', 'in',
        'transferAmount', CASE n WHEN 137 THEN 13 ELSE 20 END) ORDER BY n)
    FROM generate_series(1, 150) AS n
$$;
SELECT count(c360_deposit('0933' || lpad(n::text, 6, '0'), 1)) FROM generate_series(0, 80) AS n \g /dev/null

CREATE FUNCTION shop.use_lots() RETURNS bigint LANGUAGE sql AS $$
    SELECT amount FROM c360_withdraw('0931000001', 125 * 251)
$$;
CREATE FUNCTION shop.expire() RETURNS bigint LANGUAGE sql AS $$ SELECT expired_count FROM c360_expire_credits() $$;
CREATE FUNCTION shop.take_in() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE result = 'deposited') FROM c360_ingest_bank_transactions(shop.payloads())
$$;
-- What came of all three.
CREATE FUNCTION shop.all_three() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN concat_ws(', ', pg_temp.failure('SELECT shop.use_lots()'), shop.expire(), shop.take_in());
END $$;
-- What becomes of all three after an addition, which is undone.
CREATE FUNCTION shop.refused(addition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE addition;
    answer := pg_temp.failure('SELECT shop.use_lots()');
    answer := concat_ws(', ', answer, CASE WHEN (SELECT books FROM pg_temp.kept) = pg_temp.books() THEN 'nothing' END);
    answer := concat_ws(', ', answer, shop.expire(), shop.take_in());
    answer := concat_ws(', ', answer, (SELECT count(*) FROM c360_verify_wallets()),
                        (SELECT string_agg(substr(error, 1, 5), ' ') FROM c360.balance_history WHERE result = 'failed'));
    RAISE EXCEPTION USING ERRCODE = 'SH000', MESSAGE = answer;
EXCEPTION WHEN SQLSTATE 'SH000' THEN
    RETURN sqlerrm;
END $$;
-- Rows since then that meet a condition, by table.
CREATE FUNCTION shop.written(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    uses bigint; ledger bigint; activities bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM c360.virtual_credit_uses WHERE (%s)', condition) INTO uses;
    EXECUTE format('SELECT count(*) FROM c360.wallet_transactions WHERE id > %s AND (%s)',
                   current_setting('shop.ledger'), condition) INTO ledger;
    EXECUTE format('SELECT count(*) FROM c360.customer_activities WHERE id > %s AND (%s)',
                   current_setting('shop.activities'), condition) INTO activities;
    RETURN concat_ws(' ', uses, ledger, activities);
END $$;
-- Whether each index has an entry for each row, and in order.
CREATE FUNCTION shop.indexes() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    index record;
BEGIN
    FOR index IN SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
                 WHERE a.amname = 'btree' AND i.indrelid = ANY ('{c360.virtual_credits, c360.virtual_credit_uses,
                     c360.wallet_transactions, c360.customer_activities}'::regclass[]) LOOP
        PERFORM bt_index_check(index.indexrelid, true);
    END LOOP;
    RETURN 'sound';
END $$;
SELECT set_config('shop.ledger', max(t.id)::text, false), set_config('shop.activities', max(a.id)::text, false)
FROM c360.wallet_transactions t, c360.customer_activities a \g /dev/null
CREATE TEMP TABLE kept AS SELECT pg_temp.books() AS books;
SAVEPOINT clean;

-- Nothing added --------------------------------------------------------------

SELECT is(shop.all_three(), 'none, 240, 150', 'all three');
-- an activity for each movement, two for each transfer, one for each of 9 new customers
SELECT is(shop.written('true'), '250 391 700', 'rows of each table');
SELECT is(shop.indexes(), 'sound', 'and their entries');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');
SELECT is_empty($$SELECT * FROM (SELECT t.id, lag(t.id) OVER w AS before, t.activity_id, lag(t.activity_id) OVER w AS activity_before
                  FROM c360.wallet_transactions t WINDOW w AS (PARTITION BY t.customer_id ORDER BY t.created_at, t.id)) AS t
                  WHERE before > id OR activity_before > activity_id$$, 'ids of a wallet rise');
SELECT is_empty($$SELECT t.id FROM c360.wallet_transactions t LEFT JOIN c360.customer_activities a
                  ON a.id = t.activity_id AND a.reference_id = t.id::text WHERE a.id IS NULL$$, 'each movement has its activity');
SELECT is((SELECT count(*) FROM c360_ingest_bank_transactions(shop.payloads()) WHERE result = 'duplicate' AND transaction_id IS NOT NULL),
          150::bigint, 'all of them again');
ROLLBACK TO clean;
SELECT is(pg_temp.books(), books, 'what is rolled back is gone') FROM kept;

-- a transfer again while rows of the first wait: at once, and after others
SELECT is((SELECT concat_ws(' ', string_agg(result, ' ' ORDER BY n), (array_agg(transaction_id ORDER BY n))[4] = (array_agg(transaction_id ORDER BY n))[first])
           FROM c360_ingest_bank_transactions(jsonb_path_query_array(shop.payloads(), items))
                WITH ORDINALITY AS r (bank_transaction_id, result, phone, customer_id, created, transaction_id, amount, n)),
          'deposited deposited deposited duplicate t', 'a row that waits is found, ' || items::text)
FROM (VALUES ('$[0,1,2,2]'::jsonpath, 3), ('$[3,4,5,3]', 1)) AS t (items, first);
ROLLBACK TO clean;

-- Constraints ----------------------------------------------------------------

-- one row far from the first is refused: a withdrawal leaves nothing, a wallet
-- or transfer is left out
SET LOCAL client_min_messages = error;
SELECT is(shop.refused(addition), outcome, addition) FROM (VALUES
    ('ALTER TABLE c360.virtual_credit_uses ADD CONSTRAINT shop CHECK (amount <> 13)', '23514, nothing, 240, 150, 0'),
    ('ALTER TABLE c360.wallet_transactions ADD CONSTRAINT shop CHECK (amount NOT IN (13, 31375)) NOT VALID', '23514, nothing, 238, 149, 0, 23514'),
    ($$ALTER TABLE c360.wallet_transactions ADD CONSTRAINT shop CHECK (type = 'VIRTUAL_CREDIT' OR source IS NOT NULL) NOT VALID$$,
     '23514, nothing, 0, 150, 0'),
    ('CREATE UNIQUE INDEX shop ON c360.virtual_credit_uses (amount) WHERE amount = 13', 'none, 240, 150, 0'),
    ('CREATE UNIQUE INDEX shop ON c360.virtual_credit_uses ((amount % 200))', '23505, nothing, 240, 150, 0'),
    ('ALTER TABLE c360.virtual_credit_uses ADD UNIQUE (transaction_id, expires_at)', '23505, nothing, 240, 150, 0'),
    ('ALTER TABLE c360.virtual_credit_uses ADD UNIQUE (transaction_id, expires_at) DEFERRABLE INITIALLY IMMEDIATE', '23505, nothing, 240, 150, 0'),
    ('ALTER TABLE c360.virtual_credit_uses ADD EXCLUDE USING btree (expires_at WITH =)', '23P01, nothing, 240, 150, 0'),
    ('ALTER TABLE c360.virtual_credit_uses ADD shop text NOT NULL', '23502, nothing, 240, 150, 0'),
    -- lots all end with a rest of 0
    ('ALTER TABLE c360.virtual_credits ADD UNIQUE (customer_id, remaining_amount)', '23505, nothing, 0, 150, 0'),
    ('CREATE UNIQUE INDEX shop ON c360.virtual_credits (customer_id, kind, remaining_amount) WHERE remaining_amount = 0',
     '23505, nothing, 0, 150, 0'),
    ('ALTER TABLE c360.virtual_credits ADD EXCLUDE USING btree (customer_id WITH =) WHERE (remaining_amount = 0)',
     '23P01, nothing, 0, 150, 0')) AS t (addition, outcome);

-- a foreign key that points at what c360 changes, and one that does not
CREATE TABLE shop.receipts (lot bigint REFERENCES c360.virtual_credits);
INSERT INTO shop.receipts SELECT id FROM c360.virtual_credits;
SELECT is(shop.refused('SELECT'), 'none, 240, 150, 0', 'lots that the shop points at');
SELECT is(shop.refused($$ALTER TABLE c360.virtual_credits ADD CONSTRAINT rest UNIQUE (id, remaining_amount);
    CREATE TABLE shop.rests (lot bigint, rest bigint, FOREIGN KEY (lot, rest) REFERENCES c360.virtual_credits (id, remaining_amount));
    INSERT INTO shop.rests SELECT id, remaining_amount FROM c360.virtual_credits WHERE remaining_amount = 13$$),
    '23503, nothing, 238, 150, 0', 'a rest that the shop points at stays');
CREATE FUNCTION shop.move_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.id := NEW.id + 1000000;
    RETURN NEW;
END $$;
SELECT is(shop.refused($$CREATE TRIGGER move_key BEFORE UPDATE ON c360.virtual_credits FOR EACH ROW
    WHEN (OLD.original_amount = 13 AND NEW.id < 1000000) EXECUTE FUNCTION shop.move_key()$$), '23503, nothing, 238, 150, 0',
    'so does a key that a trigger moves');
ROLLBACK TO clean;

-- Whoever looks --------------------------------------------------------------

-- a rule of wallets that asks the ledger, as trigger and as CHECK: it finds
-- what was written before the wallet
CREATE FUNCTION shop.agree(customer bigint, balance bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT (SELECT coalesce(sum(real_change + virtual_change), 0) FROM c360.wallet_transactions WHERE customer_id = customer) = balance
        AND (SELECT count(*) FROM c360.wallet_transactions WHERE customer_id = customer) =
            (SELECT count(*) FROM c360.customer_activities WHERE customer_id = customer AND topic = 'wallets')
$$;
CREATE FUNCTION shop.ask() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT shop.agree(NEW.customer_id, NEW.balance + NEW.virtual_balance) THEN
        RAISE EXCEPTION USING ERRCODE = 'SH001', MESSAGE = 'ledger and wallet disagree';
    END IF;
    RETURN NEW;
END $$;
SELECT is(shop.refused('CREATE TRIGGER ask BEFORE UPDATE ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION shop.ask()'),
          'none, 240, 150, 0', 'a BEFORE trigger finds the ledger as it is');
SELECT is(shop.refused('ALTER TABLE c360.customer_wallets ADD CHECK (shop.agree(customer_id, balance + virtual_balance)) NOT VALID'),
          'none, 240, 150, 0', 'so does a CHECK');
-- a default of one table that counts the rows of another
CREATE FUNCTION shop.movements() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM c360.wallet_transactions WHERE id > current_setting('shop.ledger')::bigint $$;
ALTER TABLE c360.customer_activities ADD movements bigint DEFAULT shop.movements();
SELECT is(shop.expire(), 240::bigint, 'a default that counts');
SELECT is((SELECT array_agg(movements ORDER BY id) FROM c360.customer_activities WHERE id > current_setting('shop.activities')::bigint),
          (SELECT array_agg(n::bigint ORDER BY n) FROM generate_series(1, 240) AS n), 'counts each row once it is there');
ROLLBACK TO clean;
-- a trigger of customers that are made while rows wait
CREATE TABLE shop.seen (n bigint);
CREATE FUNCTION shop.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.seen SELECT count(*) FROM c360.customer_activities
    WHERE id > current_setting('shop.activities')::bigint AND event = 'bank.received';
    RETURN NEW;
END $$;
CREATE TRIGGER look BEFORE INSERT ON c360.customers FOR EACH ROW EXECUTE FUNCTION shop.look();
SELECT is(shop.take_in(), 150::bigint, 'customers who are made meanwhile');
SELECT is((SELECT array_agg(n ORDER BY n) FROM shop.seen), '{81,82,83,84,85,86,87,88,89}', 'their trigger finds what came before them');
ROLLBACK TO clean;

-- Columns, indexes and triggers ------------------------------------------------

ALTER TABLE c360.virtual_credit_uses ADD counted bigserial, ADD shop text DEFAULT 'x', ADD doubled bigint GENERATED ALWAYS AS (amount * 2) STORED;
ALTER TABLE c360.wallet_transactions ADD counted bigserial, ADD shop text DEFAULT 'x', ADD doubled bigint GENERATED ALWAYS AS (amount * 2) STORED;
ALTER TABLE c360.customer_activities ADD counted bigserial, ADD shop text DEFAULT 'x', ADD doubled bigint GENERATED ALWAYS AS (id * 2) STORED;
SELECT is(shop.all_three(), 'none, 240, 150', 'with columns');
SELECT is(shop.written($$counted > 0 AND shop = 'x' AND doubled > 0$$), '250 391 700', 'which are filled');
SELECT is(shop.indexes(), 'sound', 'and their entries');
ROLLBACK TO clean;
CREATE INDEX shop_payload ON c360.customer_activities USING gin (payload);
CREATE INDEX shop_amount ON c360.virtual_credit_uses USING brin (amount);
CREATE INDEX shop_type ON c360.wallet_transactions (lower(type), amount) WHERE amount < 100;
CREATE FUNCTION shop.tenth(n bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n / 10; END';
CREATE INDEX shop_tenth ON c360.wallet_transactions (shop.tenth(amount));
CREATE INDEX shop_rest ON c360.virtual_credits (remaining_amount) INCLUDE (status);
SELECT is(shop.all_three(), 'none, 240, 150', 'with indexes');
SELECT is(shop.indexes(), 'sound', 'and their entries');
SELECT is((SELECT count(*) FROM c360.customer_activities WHERE payload @> '{"phone": "0932000077"}'
           AND event = 'wallet.virtual_expired'), 2::bigint, 'found by one');
SELECT is((SELECT count(*) FROM c360.wallet_transactions WHERE shop.tenth(amount) = 3137), 1::bigint, 'and by another');
ROLLBACK TO clean;
CREATE TABLE shop.fired (n serial, name text);
CREATE FUNCTION shop.fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.fired (name) VALUES (TG_NAME || ' ' || TG_TABLE_NAME);
    RETURN NEW;
END $$;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{virtual_credit_uses,wallet_transactions,customer_activities}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER behind AFTER INSERT ON c360.%I FOR EACH ROW EXECUTE FUNCTION shop.fire()', name);
        EXECUTE format('CREATE CONSTRAINT TRIGGER later AFTER INSERT ON c360.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.fire()', name);
    END LOOP;
END $$;
CREATE FUNCTION shop.fired() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', name, count), ', ' ORDER BY name) FROM (SELECT name, count(*) FROM shop.fired GROUP BY name) AS f
$$;
SAVEPOINT triggers;
SELECT is(shop.all_three(), 'none, 240, 150', 'with triggers');
SELECT is(shop.fired(), 'behind customer_activities 700, behind virtual_credit_uses 250, behind wallet_transactions 391', 'each fires for each row');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT count(*) FROM shop.fired WHERE name LIKE 'later %'), 250 + 391 + 700::bigint, 'deferred ones, too, when they are due');
ROLLBACK TO triggers;
CREATE TRIGGER before BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION shop.fire();
SELECT is(shop.all_three(), 'none, 240, 150', 'with one before');
SELECT matches(shop.fired(), '\mbefore wallet_transactions 391,', 'which fires for each row');
ROLLBACK TO clean;

SELECT is(pg_temp.books(), books, 'nothing of all this stayed') FROM kept;
SELECT * FROM finish();
ROLLBACK;
