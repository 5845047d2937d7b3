-- What a DBA adds to c360's tables takes effect on the rows that C code
-- writes. Everything is added in a session that has already moved money, so
-- that nothing rests on what was looked up before.
BEGIN;
\ir tools.psql
SELECT no_plan();

CREATE SCHEMA shop;
-- the tables that C code writes, and those where it changes rows
CREATE TABLE shop.tables (name text PRIMARY KEY, updated boolean);
INSERT INTO shop.tables VALUES ('customer_wallets', true), ('virtual_credits', true), ('wallet_transactions', false),
    ('virtual_credit_uses', false), ('customer_activities', false);

-- A day of a customer: each table gets rows, and rows are changed. Amounts
-- are multiples of unit.
CREATE FUNCTION shop.day(phone text, unit bigint DEFAULT 1) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    paid bigint;
BEGIN
    PERFORM c360_deposit(phone, 10 * unit);
    PERFORM c360_issue_credit(phone, 5 * unit, source_id => 'day');
    SELECT transaction_id INTO paid FROM c360_withdraw(phone, 8 * unit);
    PERFORM c360_refund(paid, 2 * unit);
    PERFORM c360_adjust(phone, - unit, 'a good reason');
    RETURN paid;
END $$;
CREATE FUNCTION shop.customer(phone text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT id FROM c360.customers c WHERE c.phone = customer.phone
$$;
-- What constraints that were deferred say now; they stay deferred.
CREATE FUNCTION shop.deferred() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    RAISE SQLSTATE 'SH000';
EXCEPTION
    WHEN SQLSTATE 'SH000' THEN RETURN 'none';
    WHEN OTHERS THEN RETURN sqlstate;
END $$;
-- Adds something to each table; %1$I is the table.
CREATE FUNCTION shop.each_table(statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    FOR t IN SELECT name FROM shop.tables ORDER BY name LOOP
        EXECUTE format(statement, t);
    END LOOP;
END $$;
-- How many rows of a table meet a condition.
CREATE FUNCTION shop.count(name text, condition text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM c360.%I WHERE %s', name, condition) INTO n;
    RETURN n;
END $$;

SELECT shop.day('0901000001') \g /dev/null
SELECT c360_deposit('0901000002', 1000) \g /dev/null
SELECT c360_issue_credit('0901000002', 1000, source_id => 'long', expires_at => '2097-01-01') \g /dev/null
SELECT is(pg_temp.wallet('0901000001'), '6 + 2, available 8', 'before anything is added');

-- CHECK --------------------------------------------------------------------

CREATE TEMP TABLE books AS SELECT NULL::text AS books;
SAVEPOINT clean;
ALTER TABLE c360.customer_wallets ADD CONSTRAINT shop_rule CHECK (balance <> 4000);
ALTER TABLE c360.virtual_credits ADD CONSTRAINT shop_rule CHECK (original_amount <> 77 AND remaining_amount <> 444);
ALTER TABLE c360.wallet_transactions ADD CONSTRAINT shop_rule CHECK (amount <> 88);
ALTER TABLE c360.virtual_credit_uses ADD CONSTRAINT shop_rule CHECK (amount <> 66);
ALTER TABLE c360.customer_activities ADD CONSTRAINT shop_rule CHECK (payload ->> 'note' IS DISTINCT FROM 'forbidden');
UPDATE books SET books = pg_temp.books();
SELECT is(pg_temp.failure(call), '23514', 'CHECK on ' || what) FROM (VALUES
    ('a wallet', $$SELECT c360_deposit('0901000002', 3000)$$),
    ('a new wallet', $$SELECT c360_deposit('0901000003', 4000)$$),
    ('a new lot', $$SELECT c360_issue_credit('0901000002', 77)$$),
    ('a changed lot', $$SELECT c360_withdraw('0901000002', 556)$$),
    ('the ledger', $$SELECT c360_deposit('0901000002', 88)$$),
    ('the lots used', $$SELECT c360_withdraw('0901000002', 66)$$),
    ('the activities', $$SELECT c360_deposit('0901000002', 1, note => 'forbidden')$$)) AS t (what, call);
SELECT is(pg_temp.books(), books, 'what a CHECK refused changed nothing') FROM books;
SELECT is_empty($$SELECT statement FROM failures WHERE state = '23514' AND message !~ 'shop_rule'$$, 'the errors name the rule');
SELECT lives_ok($$SELECT shop.day('0901000002')$$, 'the rest goes on');
ALTER TABLE c360.virtual_credit_uses DROP CONSTRAINT shop_rule;
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0901000002', 66)$$), 'none', 'a CHECK that is dropped is gone');
ROLLBACK TO clean;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000002', 88)$$), 'none', 'so is one that is rolled back');

-- a CHECK added NOT VALID holds for new rows, one of a column added
ALTER TABLE c360.wallet_transactions ADD shop_code text DEFAULT 'x' CHECK (shop_code = 'x');
ALTER TABLE c360.wallet_transactions ALTER shop_code SET DEFAULT 'y';
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000002', 89)$$), '23514', 'CHECK of an added column');
ALTER TABLE c360.customer_wallets ADD CHECK (balance > 2000000) NOT VALID;
SELECT is(pg_temp.failure($$SELECT c360_freeze_wallet('0901000002', 'a reason')$$), '23514', 'CHECK not valid for old rows');
ROLLBACK TO clean;

-- a CHECK that rests on something that changes between two calls
CREATE FUNCTION shop.allowed(amount bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT amount <> 90';
CREATE FUNCTION shop.allowed_too(amount bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN amount <> 92; END';
CREATE DOMAIN shop.amount AS bigint CHECK (value <> 94);
ALTER TABLE c360.wallet_transactions ADD CHECK (shop.allowed(amount)), ADD CHECK (shop.allowed_too(amount)),
    ADD CHECK (amount::shop.amount IS NOT NULL);
SELECT is(pg_temp.failure(format('SELECT c360_deposit(%L, %s)', '0901000002', n)), expected, format('first, %s', n))
FROM (VALUES (90, '23514'), (91, 'none'), (92, '23514'), (93, 'none'), (94, '23514'), (95, 'none')) AS t (n, expected);
CREATE OR REPLACE FUNCTION shop.allowed(amount bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT amount <> 91';
CREATE OR REPLACE FUNCTION shop.allowed_too(amount bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN amount <> 93; END';
ALTER DOMAIN shop.amount DROP CONSTRAINT amount_check;
ALTER DOMAIN shop.amount ADD CHECK (value <> 95) NOT VALID;
SELECT is(pg_temp.failure(format('SELECT c360_deposit(%L, %s)', '0901000002', n)), expected, format('then, %s', n))
FROM (VALUES (90, 'none'), (91, '23514'), (92, 'none'), (93, '23514'), (94, 'none'), (95, '23514')) AS t (n, expected);
ROLLBACK TO clean;

-- Generated columns --------------------------------------------------------

ALTER TABLE c360.customer_wallets ADD both_balances bigint GENERATED ALWAYS AS (balance + virtual_balance) STORED,
    ADD owner_text text GENERATED ALWAYS AS ('customer ' || customer_id::text) STORED;
ALTER TABLE c360.virtual_credits ADD spent bigint GENERATED ALWAYS AS (original_amount - remaining_amount) STORED,
    ADD label text GENERATED ALWAYS AS (kind || '/' || coalesce(source_id, '-')) STORED;
ALTER TABLE c360.wallet_transactions ADD change bigint GENERATED ALWAYS AS (real_change + virtual_change) STORED;
ALTER TABLE c360.virtual_credit_uses ADD thousandth numeric GENERATED ALWAYS AS (amount / 1000.0) STORED;
ALTER TABLE c360.customer_activities ADD loud text GENERATED ALWAYS AS (upper(event)) STORED;
CREATE FUNCTION shop.wrong_generated() RETURNS bigint LANGUAGE sql AS $$
    SELECT shop.count('customer_wallets', 'both_balances IS DISTINCT FROM balance + virtual_balance')
         + shop.count('customer_wallets', 'owner_text IS DISTINCT FROM ''customer '' || customer_id')
         + shop.count('virtual_credits', 'spent IS DISTINCT FROM original_amount - remaining_amount')
         + shop.count('virtual_credits', 'label IS DISTINCT FROM kind || ''/'' || coalesce(source_id, ''-'')')
         + shop.count('wallet_transactions', 'change IS DISTINCT FROM real_change + virtual_change')
         + shop.count('virtual_credit_uses', 'thousandth IS DISTINCT FROM amount / 1000.0')
         + shop.count('customer_activities', 'loud IS DISTINCT FROM upper(event)')
$$;
SELECT c360_deposit('0902000001', 7) \g /dev/null
SELECT is((SELECT both_balances FROM c360.customer_wallets WHERE customer_id = shop.customer('0902000001')), 7::bigint,
          'a generated column of a new wallet');
SELECT c360_deposit('0902000001', 8) \g /dev/null
SELECT is((SELECT both_balances FROM c360.customer_wallets WHERE customer_id = shop.customer('0902000001')), 15::bigint,
          'and after a change');
SELECT shop.day('0902000002', 1000) \g /dev/null
SELECT is(shop.wrong_generated(), 0::bigint, 'generated columns of all tables');
SELECT is((SELECT spent || ' ' || label FROM c360.virtual_credits WHERE customer_id = shop.customer('0902000002')),
          '3000 COMPENSATION/day', 'of a lot that was changed');
-- rows are changed and added in one call: the overdue lot first, then the new one
SELECT c360_issue_credit('0902000003', 5, 'BOOM', 'old') \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('old')) \g /dev/null
SELECT c360_issue_credit('0902000003', 6, 'PROMOTION', 'new') \g /dev/null
SELECT is((SELECT array_agg(spent || ' ' || label ORDER BY id) FROM c360.virtual_credits
           WHERE customer_id = shop.customer('0902000003')), '{"5 BOOM/old","0 PROMOTION/new"}',
          'of a lot that was added after another was changed');
SELECT is(shop.wrong_generated(), 0::bigint, 'generated columns of all tables, again');
SELECT is((SELECT owner_text FROM c360.customer_wallets WHERE customer_id = shop.customer('0901000001')),
          'customer ' || shop.customer('0901000001'), 'a wallet from before the column');
SELECT c360_deposit('0901000001', 1) \g /dev/null
SELECT is((SELECT both_balances || ' ' || owner_text FROM c360.customer_wallets WHERE customer_id = shop.customer('0901000001')),
          '9 customer ' || shop.customer('0901000001'), 'and after a change');
ROLLBACK TO clean;

-- Indexes ------------------------------------------------------------------

-- An index that is made where rows have just been changed on their page serves
-- later transactions only; tables written anew have no such rows.
CLUSTER c360.customer_wallets USING customer_wallets_pkey;
CLUSTER c360.virtual_credits USING virtual_credits_pkey;
CREATE INDEX shop_wallet_balance ON c360.customer_wallets (balance);
CREATE INDEX shop_wallet_sum ON c360.customer_wallets ((balance + virtual_balance));
CREATE INDEX shop_wallet_rich ON c360.customer_wallets (total_deposited) WHERE balance > 5000;
CREATE INDEX shop_lot_rest ON c360.virtual_credits (remaining_amount);
CREATE INDEX shop_lot_status ON c360.virtual_credits USING hash (status);
CREATE INDEX shop_lot_half ON c360.virtual_credits (original_amount) WHERE remaining_amount * 2 < original_amount;
CREATE INDEX shop_ledger_amount ON c360.wallet_transactions (amount DESC) INCLUDE (type);
CREATE INDEX shop_ledger_type ON c360.wallet_transactions (lower(type), (amount / 1000));
CREATE INDEX shop_use_amount ON c360.virtual_credit_uses (amount);
CREATE INDEX shop_activity_payload ON c360.customer_activities USING gin (payload);
CREATE INDEX shop_activity_event ON c360.customer_activities (event, actor);
SELECT shop.day('0903000001', 1000) \g /dev/null
SELECT shop.day('0903000002', 100) \g /dev/null
SELECT c360_deposit('0903000002', 10000) \g /dev/null
SELECT c360_withdraw('0903000001', 5000) \g /dev/null

-- Rows by index and by reading the table must be the same; the plan must be what it says.
CREATE FUNCTION shop.by_index(name text, index text, condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    plan text := '';
    by_index text; by_reading text;
    query text := format('SELECT string_agg(t::text, '','' ORDER BY t::text) FROM c360.%I t WHERE %s', name, condition);
BEGIN
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
            set_config('enable_indexonlyscan', 'off', true), set_config('enable_seqscan', 'off', true);
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        plan := plan || line;
    END LOOP;
    EXECUTE query INTO by_index;
    PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
            set_config('enable_seqscan', 'on', true);
    EXECUTE query INTO by_reading;
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
            set_config('enable_indexonlyscan', 'on', true);
    RETURN CASE WHEN plan !~ ('\m' || index || '\M') THEN 'not by index: ' || plan
                WHEN by_reading IS NULL THEN 'nothing to find'
                WHEN by_index IS DISTINCT FROM by_reading THEN format('%s <> %s', by_index, by_reading)
                ELSE 'the same' END;
END $$;
SELECT is(shop.by_index(name, index, condition), 'the same', index || ' finds ' || condition) FROM (VALUES
    ('customer_wallets', 'shop_wallet_balance', 'balance = 3000'),
    ('customer_wallets', 'shop_wallet_balance', 'balance BETWEEN 600 AND 6000'),
    ('customer_wallets', 'shop_wallet_sum', 'balance + virtual_balance = 3000'),
    ('customer_wallets', 'shop_wallet_rich', 'balance > 5000 AND total_deposited > 0'),
    ('virtual_credits', 'shop_lot_rest', 'remaining_amount = 0'),
    ('virtual_credits', 'shop_lot_rest', 'remaining_amount = 200'),
    ('virtual_credits', 'shop_lot_status', $$status = 'USED'$$),
    ('virtual_credits', 'shop_lot_half', 'remaining_amount * 2 < original_amount AND original_amount > 0'),
    ('wallet_transactions', 'shop_ledger_amount', 'amount = 10000'),
    ('wallet_transactions', 'shop_ledger_type', $$lower(type) = 'deposit' AND amount / 1000 = 10$$),
    ('virtual_credit_uses', 'shop_use_amount', 'amount = 500'),
    ('customer_activities', 'shop_activity_payload', $$payload @> '{"phone": "0903000002"}'$$),
    ('customer_activities', 'shop_activity_event', $$event = 'wallet.refund'$$)) AS t (name, index, condition);

CREATE UNIQUE INDEX shop_once ON c360.wallet_transactions (reference_id) WHERE reference_type = 'once';
CREATE UNIQUE INDEX shop_distinct ON c360.customer_wallets (balance) WHERE balance > 5000;
CREATE UNIQUE INDEX shop_lot_once ON c360.virtual_credits (lower(source_id)) WHERE kind = 'PROMOTION';
ALTER TABLE c360.customer_activities ADD CONSTRAINT shop_later
    UNIQUE (actor, event, reference_id, payload) DEFERRABLE INITIALLY DEFERRED;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0903000001', 1, 'MANUAL', 'once', 'a')$$), 'none', 'the first of a unique index');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0903000001', 1, 'PROMOTION', 'Tet')$$), 'none', 'of another');
UPDATE books SET books = pg_temp.books();
SELECT is(pg_temp.failure($$SELECT c360_deposit('0903000002', 1, 'MANUAL', 'once', 'a')$$), '23505', 'the second of a unique index');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0903000002', 1, 'PROMOTION', 'TET')$$), '23505', 'of another');
SELECT is(pg_temp.failure(format($$SELECT c360_deposit('0903000001', %s)$$,
          (SELECT balance FROM c360_wallet('0903000002')) - (SELECT balance FROM c360_wallet('0903000001')))), '23505',
          'a change that makes two rows equal');
SELECT is(pg_temp.books(), books, 'a unique violation changes nothing') FROM books;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0903000002', 1, 'MANUAL', 'twice', 'a')$$), 'none', 'outside of it');
SELECT is(shop.deferred(), 'none', 'a deferred unique constraint is met');
ROLLBACK TO clean;
ALTER TABLE c360.virtual_credit_uses ADD CONSTRAINT shop_later UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED;
SELECT c360_withdraw(phone, 3) FROM unnest(ARRAY['0901000001', '0901000002']) AS phone \g /dev/null
SELECT is(shop.deferred(), '23505', 'a deferred unique constraint is looked at later');
ROLLBACK TO clean;
ALTER TABLE c360.customer_wallets ADD CONSTRAINT shop_later UNIQUE (balance) DEFERRABLE INITIALLY DEFERRED;
SELECT c360_deposit('0901000001', 994) \g /dev/null
SELECT is(shop.deferred(), '23505', 'of a changed row, too');
SELECT c360_deposit('0901000001', 1) \g /dev/null
SELECT is(shop.deferred(), 'none', 'a later change can meet it');
ROLLBACK TO clean;
ALTER TABLE c360.virtual_credits ADD CONSTRAINT shop_exclude EXCLUDE USING btree (customer_id WITH =)
    WHERE (kind = 'PROMOTION' AND remaining_amount > 0);
SELECT c360_issue_credit('0901000001', 1, 'PROMOTION') \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0901000001', 1, 'PROMOTION')$$), '23P01', 'an exclusion constraint');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0901000002', 1, 'PROMOTION')$$), 'none', 'of another customer');
ROLLBACK TO clean;

-- Defaults -----------------------------------------------------------------

CREATE SEQUENCE shop.numbers;
CREATE DOMAIN shop.positive AS integer CHECK (value > 0);
CREATE DOMAIN shop.named AS text DEFAULT 'of the domain' NOT NULL;
SELECT shop.each_table($$ALTER TABLE c360.%I ADD constant text NOT NULL DEFAULT 'hằng số'$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD number bigint DEFAULT nextval('shop.numbers')$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD written timestamptz DEFAULT clock_timestamp()$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD checked shop.positive DEFAULT 5$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD named shop.named$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD none integer DEFAULT NULL$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD plain integer$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD small smallint DEFAULT 7$$);
SELECT shop.each_table($$ALTER TABLE c360.%I ADD long text DEFAULT repeat('dài', 3000)$$);
ALTER TABLE c360.customer_wallets ADD counted bigint GENERATED ALWAYS AS IDENTITY (START 1000);
ALTER TABLE c360.virtual_credit_uses ADD counted bigint GENERATED BY DEFAULT AS IDENTITY (START 1000);
ALTER TABLE c360.virtual_credits ADD counted serial;
SELECT c360_deposit('0904000001', 1) \g /dev/null
SELECT c360_deposit('0901000001', 1) \g /dev/null
SELECT shop.day('0904000002') \g /dev/null
SELECT c360_issue_credit('0904000002', 4, source_id => 'second') \g /dev/null
SELECT is(shop.count(name, $$constant = 'hằng số' AND number IS NOT NULL AND written IS NOT NULL AND checked = 5
                             AND named = 'of the domain' AND none IS NULL AND plain IS NULL AND small = 7
                             AND long = repeat('dài', 3000)$$),
          shop.count(name, 'true'), 'defaults of ' || name) FROM shop.tables;
SELECT cmp_ok(shop.count(name, format('%s = shop.customer(''0904000002'')', CASE name
                  WHEN 'virtual_credit_uses' THEN '(SELECT customer_id FROM c360.virtual_credits v WHERE v.id = credit_id)'
                  ELSE 'customer_id' END)), '>', 0::bigint, 'there are new rows in ' || name) FROM shop.tables;
SELECT is_empty('SELECT number FROM (SELECT number FROM c360.customer_wallets UNION ALL
                 SELECT number FROM c360.virtual_credits UNION ALL SELECT number FROM c360.wallet_transactions UNION ALL
                 SELECT number FROM c360.virtual_credit_uses UNION ALL SELECT number FROM c360.customer_activities) n
                 GROUP BY number HAVING count(*) > 1', 'a volatile default is computed for each row');
SELECT is_empty('SELECT counted FROM c360.customer_wallets WHERE counted IS NULL OR counted < 1000', 'an identity');
SELECT is_empty('SELECT counted FROM c360.virtual_credit_uses GROUP BY 1 HAVING counted IS NULL OR count(*) > 1', 'another');
SELECT is_empty('SELECT counted FROM c360.virtual_credits GROUP BY 1 HAVING counted IS NULL OR count(*) > 1', 'a serial');
SELECT number AS kept FROM c360.customer_wallets WHERE customer_id = shop.customer('0904000001') \gset
SELECT c360_deposit('0904000001', 2) \g /dev/null
SELECT is((SELECT number FROM c360.customer_wallets WHERE customer_id = shop.customer('0904000001')), :kept::bigint,
          'a change keeps what the row has');
UPDATE c360.customer_wallets SET plain = 3, constant = 'của tôi' WHERE customer_id = shop.customer('0904000001');
SELECT c360_deposit('0904000001', 3) \g /dev/null
SELECT is((SELECT plain || constant FROM c360.customer_wallets WHERE customer_id = shop.customer('0904000001')), '3của tôi',
          'what the DBA wrote');

-- defaults that fail
UPDATE books SET books = pg_temp.books();
ALTER TABLE c360.wallet_transactions ALTER checked SET DEFAULT -5;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0904000001', 1)$$), '23514', 'a default that its domain refuses');
ALTER TABLE c360.wallet_transactions ALTER checked SET DEFAULT 5;
ALTER TABLE c360.wallet_transactions ALTER constant DROP DEFAULT;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0904000001', 1)$$), '23502', 'NOT NULL without a default');
ALTER TABLE c360.wallet_transactions ALTER constant DROP NOT NULL;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0904000001', 1)$$), 'none', 'without NOT NULL');
SELECT is((SELECT constant FROM c360.wallet_transactions ORDER BY id DESC LIMIT 1), NULL, 'it is NULL');
CREATE DOMAIN shop.required AS integer NOT NULL;
CREATE DOMAIN shop.required_check AS integer CHECK (value IS NOT NULL);
ALTER TABLE c360.virtual_credit_uses ADD required shop.required DEFAULT 1;
ALTER TABLE c360.virtual_credit_uses ALTER required DROP DEFAULT;
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0904000002', 1)$$), '23502', 'a domain NOT NULL without a default');
ALTER TABLE c360.virtual_credit_uses DROP required, ADD required shop.required_check DEFAULT 1;
ALTER TABLE c360.virtual_credit_uses ALTER required DROP DEFAULT;
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0904000002', 1)$$), '23514', 'a domain that refuses NULL');
ROLLBACK TO clean;

-- Columns come and go ------------------------------------------------------

SELECT shop.each_table('ALTER TABLE c360.%I ADD one text DEFAULT ''one'', ADD two integer NOT NULL DEFAULT 2, ADD three text');
SELECT c360_deposit('0905000001', 10) \g /dev/null
SELECT shop.each_table('ALTER TABLE c360.%I DROP one, DROP two');
SELECT is(shop.day('0905000001') > 0, true, 'columns were dropped between two calls');
SELECT shop.each_table('ALTER TABLE c360.%I ADD four integer NOT NULL DEFAULT 4');
SELECT is(shop.day('0905000002') > 0, true, 'and another added');
SELECT is(shop.count(name, 'four = 4 AND three IS NULL'), shop.count(name, 'true'), 'all rows of ' || name || ' have it')
FROM shop.tables;
SELECT shop.each_table('ALTER TABLE c360.%I DROP four');
SELECT shop.each_table('ALTER TABLE c360.%I ADD five text GENERATED ALWAYS AS (coalesce(three, ''-'') || ''5'') STORED');
SELECT is(shop.day('0905000003') > 0, true, 'generated behind a hole');
SELECT is(shop.count(name, 'five = ''-5'''), shop.count(name, 'true'), 'all rows of ' || name || ' have that') FROM shop.tables;
SELECT is(pg_temp.wallet(phone), expected, 'the wallet of ' || phone)
FROM (VALUES ('0905000001', '16 + 2, available 18'), ('0905000002', '6 + 2, available 8'),
             ('0905000003', '6 + 2, available 8')) AS t (phone, expected);
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');
ROLLBACK TO clean;

-- Row triggers -------------------------------------------------------------

CREATE TABLE shop.log (n serial, name text, trigger text, moment text, operation text, old jsonb, new jsonb);
CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.log (name, trigger, moment, operation, old, new) VALUES (tg_table_name, tg_name, tg_when, tg_op,
        CASE WHEN tg_op = 'UPDATE' AND tg_level = 'ROW' THEN to_jsonb(old) END,
        CASE WHEN tg_level = 'ROW' THEN to_jsonb(new) END);
    RETURN new;
END $$;
SELECT shop.each_table('CREATE TRIGGER shop_before BEFORE INSERT OR UPDATE ON c360.%I FOR EACH ROW EXECUTE FUNCTION shop.note()');
SELECT shop.each_table('CREATE TRIGGER shop_after AFTER INSERT OR UPDATE ON c360.%I FOR EACH ROW EXECUTE FUNCTION shop.note()');
SELECT shop.each_table('CREATE TRIGGER shop_statement_before BEFORE INSERT OR UPDATE ON c360.%I FOR EACH STATEMENT
                        EXECUTE FUNCTION shop.note()');
SELECT shop.each_table('CREATE TRIGGER shop_statement AFTER INSERT OR UPDATE ON c360.%I FOR EACH STATEMENT
                        EXECUTE FUNCTION shop.note()');
SELECT transaction_id AS id FROM c360_withdraw('0901000002', 1001) \gset
SELECT results_eq($$SELECT name, moment, operation, count(*) FROM shop.log GROUP BY 1, 2, 3 ORDER BY 1, 2, 3$$,
                  $$SELECT name, moment, operation, 1::bigint FROM (VALUES ('customer_activities', 'INSERT'),
                        ('customer_wallets', 'UPDATE'), ('virtual_credit_uses', 'INSERT'), ('virtual_credits', 'UPDATE'),
                        ('wallet_transactions', 'INSERT')) AS t (name, operation), unnest(ARRAY['AFTER', 'BEFORE']) AS moment
                    ORDER BY 1, 2, 3$$, 'row triggers of a withdrawal fired once each, statement triggers did not');
SELECT is_empty($$SELECT name, moment FROM shop.log WHERE trigger ~ 'statement'$$, 'no statement trigger fires on rows written by C');
SELECT is((SELECT concat_ws(' ', old -> 'balance', old -> 'virtual_balance', new -> 'balance', new -> 'virtual_balance')
           FROM shop.log WHERE name = 'customer_wallets' AND moment = m), '1000 1000 999 0', m || ' UPDATE of the wallet: OLD and NEW')
FROM unnest(ARRAY['BEFORE', 'AFTER']) AS m;
SELECT is((SELECT concat_ws(' ', old ->> 'status', old -> 'remaining_amount', new ->> 'status', new -> 'remaining_amount')
           FROM shop.log WHERE name = 'virtual_credits' AND moment = m), 'ACTIVE 1000 USED 0', m || ' UPDATE of the lot: OLD and NEW')
FROM unnest(ARRAY['BEFORE', 'AFTER']) AS m;
SELECT is((SELECT new FROM shop.log WHERE name = 'wallet_transactions' AND moment = m), to_jsonb(t), m || ' INSERT into the ledger: NEW')
FROM unnest(ARRAY['BEFORE', 'AFTER']) AS m, c360.wallet_transactions t WHERE t.id = :id;
SELECT is((SELECT new FROM shop.log WHERE name = 'virtual_credit_uses' AND moment = m), to_jsonb(u), m || ' INSERT of the lot used: NEW')
FROM unnest(ARRAY['BEFORE', 'AFTER']) AS m, c360.virtual_credit_uses u WHERE u.transaction_id = :id;
SELECT is((SELECT new FROM shop.log WHERE name = 'customer_activities' AND moment = m), to_jsonb(a), m || ' INSERT of the activity: NEW')
FROM unnest(ARRAY['BEFORE', 'AFTER']) AS m, c360.customer_activities a WHERE a.id = (SELECT max(id) FROM c360.customer_activities);
SELECT cmp_ok((SELECT max(n) FROM shop.log WHERE moment = 'BEFORE'), '<', (SELECT min(n) FROM shop.log WHERE moment = 'AFTER'),
              'AFTER triggers fire at the end of the call');
TRUNCATE shop.log;
SELECT c360_issue_credit('0906000001', 5) \g /dev/null
SELECT set_has($$SELECT name, moment, operation FROM shop.log$$,
               $$SELECT name, moment, 'INSERT' FROM (VALUES ('customer_wallets'), ('virtual_credits'),
                     ('wallet_transactions'), ('customer_activities')) AS t (name), unnest(ARRAY['AFTER', 'BEFORE']) AS moment$$,
               'row triggers of a first credit fired, of the new wallet, too');

-- conditions and columns
SELECT shop.each_table('DROP TRIGGER shop_before ON c360.%I');
SELECT shop.each_table('DROP TRIGGER shop_after ON c360.%I');
CREATE TRIGGER balance_before BEFORE UPDATE OF balance ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER balance_after AFTER UPDATE OF balance ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER never_before BEFORE UPDATE OF customer_id ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER never_after AFTER UPDATE OF customer_id ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER rest_after AFTER UPDATE OF remaining_amount ON c360.virtual_credits FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER status_before BEFORE UPDATE OF status ON c360.virtual_credits FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER expiry_after AFTER UPDATE OF expires_at ON c360.virtual_credits FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER never_lot AFTER UPDATE OF kind, original_amount ON c360.virtual_credits FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER when_before BEFORE UPDATE ON c360.customer_wallets FOR EACH ROW
    WHEN (old.balance <> new.balance AND new.balance < 500) EXECUTE FUNCTION shop.note();
CREATE TRIGGER when_after AFTER UPDATE ON c360.customer_wallets FOR EACH ROW
    WHEN (old.virtual_balance IS DISTINCT FROM new.virtual_balance) EXECUTE FUNCTION shop.note();
CREATE TRIGGER when_insert AFTER INSERT ON c360.wallet_transactions FOR EACH ROW
    WHEN (new.amount > 300 AND new.type = 'WITHDRAW') EXECUTE FUNCTION shop.note();
CREATE TRIGGER disabled AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION shop.note();
ALTER TABLE c360.wallet_transactions DISABLE TRIGGER disabled;
CREATE FUNCTION shop.fired(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE shop.log;
    EXECUTE call;
    RETURN (SELECT string_agg(trigger, ' ' ORDER BY trigger) FROM shop.log);
END $$;
SELECT is(shop.fired($$SELECT c360_deposit('0901000002', 1)$$), 'balance_after balance_before', 'a deposit');
SELECT is(shop.fired($$SELECT c360_withdraw('0901000002', 200)$$), 'balance_after balance_before', 'a small withdrawal');
SELECT is(shop.fired($$SELECT c360_withdraw('0901000002', 400)$$), 'balance_after balance_before when_before when_insert',
          'a large withdrawal');
SELECT is(shop.fired($$SELECT c360_issue_credit('0901000002', 100)$$), 'balance_after balance_before when_after', 'a credit');
SELECT is(shop.fired($$SELECT c360_withdraw('0901000002', 100)$$),
          'balance_after balance_before expiry_after rest_after status_before when_after', 'a withdrawal from a lot');

-- deferred ones
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON c360.wallet_transactions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE CONSTRAINT TRIGGER later_wallet AFTER UPDATE ON c360.customer_wallets DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (new.balance = 407) EXECUTE FUNCTION shop.note();
CREATE CONSTRAINT TRIGGER soon AFTER INSERT ON c360.wallet_transactions DEFERRABLE INITIALLY IMMEDIATE
    FOR EACH ROW EXECUTE FUNCTION shop.note();
SELECT is(shop.fired($$SELECT c360_deposit('0901000002', 5)$$), 'balance_after balance_before soon when_before', 'a deferred trigger waits');
SELECT is(shop.fired($$SELECT c360_deposit('0901000002', 2)$$), 'balance_after balance_before soon when_before', 'it goes on waiting');
SELECT is(shop.fired('SET CONSTRAINTS ALL IMMEDIATE'), 'later later later_wallet', 'and fires then for each row');
SELECT is((SELECT old ->> 'balance' FROM shop.log WHERE trigger = 'later_wallet'), '405', 'with the row as it was');
SET CONSTRAINTS ALL DEFERRED;
SELECT is(shop.fired($$SELECT c360_deposit('0901000002', 1)$$), 'balance_after balance_before when_before', 'all deferred');
ROLLBACK TO clean;

-- an AFTER trigger sees what the call wrote, and may call c360 itself
CREATE TABLE shop.seen (rows bigint, balance bigint);
CREATE FUNCTION shop.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.seen SELECT count(*), (SELECT balance FROM c360.customer_wallets WHERE customer_id = new.customer_id)
    FROM c360.wallet_transactions WHERE customer_id = new.customer_id;
    IF new.amount >= 1000 THEN
        PERFORM public.c360_issue_credit((SELECT phone FROM c360.customers WHERE id = new.customer_id), new.amount / 100, 'PROMOTION');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER look AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION shop.look();
SELECT c360_deposit('0907000001', 1500) \g /dev/null
SELECT results_eq('SELECT * FROM shop.seen ORDER BY rows', 'VALUES (1::bigint, 1500::bigint), (2, 1500)', 'AFTER triggers see the rows');
SELECT is(pg_temp.wallet('0907000001'), '1500 + 15, available 1515', 'and move money by c360''s functions');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');
ROLLBACK TO clean;

-- a BEFORE trigger changes a column of the DBA
SELECT shop.each_table('ALTER TABLE c360.%I ADD stamp text, ADD doubled text GENERATED ALWAYS AS (stamp || stamp) STORED');
CREATE FUNCTION shop.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.stamp := coalesce(new.stamp, '') || left(tg_op, 1);
    RETURN new;
END $$;
SELECT shop.each_table('CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON c360.%I FOR EACH ROW EXECUTE FUNCTION shop.stamp()');
CREATE INDEX ON c360.customer_wallets (stamp);
SELECT shop.day('0908000001') \g /dev/null
SELECT is((SELECT stamp || ' ' || doubled FROM c360.customer_wallets WHERE customer_id = shop.customer('0908000001')),
          'IUUUUU IUUUUUIUUUUU', 'of the wallet');
SELECT is((SELECT stamp || ' ' || doubled FROM c360.virtual_credits WHERE customer_id = shop.customer('0908000001')),
          'IUU IUUIUU', 'of the lot');
SELECT is((SELECT array_agg(DISTINCT stamp || doubled) FROM c360.wallet_transactions WHERE customer_id = shop.customer('0908000001')),
          '{III}', 'of the ledger');
SELECT is((SELECT array_agg(DISTINCT u.stamp || u.doubled) FROM c360.virtual_credit_uses u JOIN c360.virtual_credits v ON v.id = u.credit_id
           WHERE v.customer_id = shop.customer('0908000001')), '{III}', 'of the lots used');
SELECT is((SELECT array_agg(DISTINCT stamp || doubled) FROM c360.customer_activities WHERE customer_id = shop.customer('0908000001')
           AND topic = 'wallets'), '{III}', 'of the activities');
SELECT is(pg_temp.wallet('0908000001'), '6 + 2, available 8', 'and the money is right');

-- replica role: ordinary triggers are skipped, the others fire
ALTER TABLE c360.customer_wallets ENABLE REPLICA TRIGGER stamp;
ALTER TABLE c360.virtual_credits ENABLE ALWAYS TRIGGER stamp;
SET LOCAL session_replication_role = replica;
SELECT shop.day('0908000002') \g /dev/null
SET LOCAL session_replication_role = origin;
SELECT is((SELECT stamp FROM c360.customer_wallets WHERE customer_id = shop.customer('0908000002')), 'IUUUUU', 'a replica trigger');
SELECT is((SELECT stamp FROM c360.virtual_credits WHERE customer_id = shop.customer('0908000002')), 'IUU', 'one that always fires');
SELECT is(shop.count('wallet_transactions', 'stamp IS NOT NULL AND customer_id = shop.customer(''0908000002'')'), 0::bigint,
          'an ordinary one');
SELECT is(pg_temp.wallet('0908000002'), '6 + 2, available 8', 'the money is right');
SELECT c360_deposit('0908000002', 1) \g /dev/null
SELECT is((SELECT stamp FROM c360.customer_wallets WHERE customer_id = shop.customer('0908000002')), 'IUUUUU',
          'a replica trigger does not fire otherwise');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');
ROLLBACK TO clean;

-- a BEFORE trigger that returns NULL: money never vanishes
CREATE FUNCTION shop.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION shop.swallowed(name text, operation text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text := pg_temp.books();
    outcome text;
BEGIN
    EXECUTE format('CREATE TRIGGER swallow BEFORE %s ON c360.%I FOR EACH ROW EXECUTE FUNCTION shop.swallow()', operation, name);
    outcome := pg_temp.failure(call);
    EXECUTE format('DROP TRIGGER swallow ON c360.%I', name);
    RETURN outcome || CASE WHEN pg_temp.books() = before THEN '' ELSE ', and something changed' END;
END $$;
SELECT is(shop.swallowed(name, operation, call), '09000', format('no row of %s is swallowed (%s)', name, operation)) FROM (VALUES
    ('customer_wallets', 'UPDATE', $$SELECT c360_deposit('0901000002', 1)$$),
    ('customer_wallets', 'UPDATE', $$SELECT c360_freeze_wallet('0901000002', 'a reason')$$),
    ('virtual_credits', 'INSERT', $$SELECT c360_issue_credit('0901000002', 1)$$),
    ('virtual_credits', 'UPDATE', $$SELECT c360_withdraw('0901000002', 1)$$),
    ('wallet_transactions', 'INSERT', $$SELECT c360_deposit('0901000002', 1)$$),
    ('wallet_transactions', 'INSERT', $$SELECT c360_adjust('0901000002', 1, 'a good reason')$$),
    ('virtual_credit_uses', 'INSERT', $$SELECT c360_withdraw('0901000002', 1)$$),
    ('customer_activities', 'INSERT', $$SELECT c360_deposit('0901000002', 1)$$),
    ('customer_activities', 'INSERT', $$SELECT c360_get_or_create_customer('0901000009')$$)) AS t (name, operation, call);

-- Foreign keys -------------------------------------------------------------

CREATE TABLE shop.shops (id integer PRIMARY KEY, source text UNIQUE);
INSERT INTO shop.shops VALUES (1, 'MANUAL'), (2, NULL);
SELECT shop.each_table('ALTER TABLE c360.%I ADD shop integer NOT NULL DEFAULT 1 REFERENCES shop.shops');
SELECT is(shop.day('0909000001') > 0, true, 'foreign keys of added columns that are met');
UPDATE books SET books = pg_temp.books();
CREATE FUNCTION shop.broken_key(name text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    EXECUTE format('ALTER TABLE c360.%I ALTER shop SET DEFAULT 3', name);
    outcome := pg_temp.failure(call);
    EXECUTE format('ALTER TABLE c360.%I ALTER shop SET DEFAULT 1', name);
    RETURN outcome;
END $$;
SELECT is(shop.broken_key(name, call), '23503', 'a foreign key of ' || name || ' that is not met') FROM (VALUES
    ('customer_wallets', $$SELECT c360_deposit('0909000002', 1)$$),
    ('virtual_credits', $$SELECT c360_issue_credit('0909000001', 1)$$),
    ('wallet_transactions', $$SELECT c360_deposit('0909000001', 1)$$),
    ('virtual_credit_uses', $$SELECT c360_withdraw('0909000001', 1)$$),
    ('customer_activities', $$SELECT c360_deposit('0909000001', 1)$$)) AS t (name, call);
SELECT is(pg_temp.books(), books, 'what a foreign key refused changed nothing') FROM books;
ALTER TABLE c360.wallet_transactions ADD FOREIGN KEY (source) REFERENCES shop.shops (source) NOT VALID;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0909000001', 1, 'MANUAL')$$), 'none', 'a foreign key of a column of c360');
SELECT is(pg_temp.failure($$SELECT c360_deposit('0909000001', 1, 'ORDER_CANCEL')$$), '23503', 'which is not met');
ALTER TABLE c360.wallet_transactions ALTER shop SET DEFAULT 2, ALTER shop DROP NOT NULL;
SELECT c360_deposit('0909000001', 1) \g /dev/null
SELECT is(pg_temp.failure('DELETE FROM shop.shops WHERE id = 2'), '23503', 'what a row points at stays');
CREATE TABLE shop.receipts (transaction_id bigint PRIMARY KEY REFERENCES c360.wallet_transactions);
SELECT is(pg_temp.failure($$INSERT INTO shop.receipts SELECT transaction_id FROM c360_deposit('0909000001', 1)$$), 'none',
          'a table of the shop points at the ledger');
ROLLBACK TO clean;
-- at a column that c360 changes, and at one that it does not
ALTER TABLE c360.virtual_credits ADD UNIQUE (id, status);
CREATE TABLE shop.pledges (credit bigint REFERENCES c360.virtual_credits, status text NOT NULL DEFAULT 'ACTIVE',
    FOREIGN KEY (credit, status) REFERENCES c360.virtual_credits (id, status));
SELECT c360_issue_credit('0909000003', 3) \g /dev/null
INSERT INTO shop.pledges SELECT id FROM c360.virtual_credits WHERE customer_id = shop.customer('0909000003');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0909000003', 2)$$), 'none', 'a table of the shop points at a lot');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0909000003', 1)$$), '23503', 'a status that it points at stays');
SELECT is(pg_temp.wallet('0909000003'), '0 + 1, available 1', 'what that refused changed nothing');
ALTER TABLE shop.pledges DROP CONSTRAINT pledges_credit_status_fkey,
    ADD FOREIGN KEY (credit, status) REFERENCES c360.virtual_credits (id, status) ON UPDATE CASCADE;
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0909000003', 1)$$), 'none', 'or goes along');
SELECT is((SELECT status FROM shop.pledges), 'USED', 'with the lot');
ROLLBACK TO clean;

-- Whatever of the shop's runs, finds names as every caller does -------------

-- watched: this ran at all; guarded: and with that search_path
CREATE FUNCTION shop.looks() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.current_setting('shop.mode', true) OPERATOR(pg_catalog.=) 'watched' THEN
        RAISE SQLSTATE 'SH001';
    ELSIF pg_catalog.current_setting('shop.mode', true) OPERATOR(pg_catalog.=) 'guarded'
       AND pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.<>) 'pg_catalog, pg_temp' THEN
        RAISE SQLSTATE 'SH002' USING MESSAGE = pg_catalog.current_setting('search_path');
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION shop.looks_at(bigint) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN shop.looks();
END $$;
CREATE FUNCTION shop.compares(bigint, bigint) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM shop.looks();
    RETURN pg_catalog.btint8cmp($1, $2);
END $$;
CREATE OPERATOR CLASS shop.order FOR TYPE bigint USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 shop.compares(bigint, bigint);
CREATE FUNCTION shop.looks_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM shop.looks();
    RETURN NEW;
END $$;
-- With this added to a table, does it run, and what comes of a day, whose caller has a search_path of his own?
CREATE FUNCTION shop.seen(addition text, name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format(addition, name, (SELECT attname FROM pg_attribute
                                    WHERE attrelid = format('c360.%I', name)::regclass AND attnum = 1));
    PERFORM set_config('search_path', 'shop, public', true);
    PERFORM set_config('shop.mode', 'watched', true);
    answer := pg_temp.failure('SELECT shop.day(''0912000001'')');
    PERFORM set_config('shop.mode', 'guarded', true);
    answer := answer || ' ' || pg_temp.failure('SELECT shop.day(''0912000001'')') || ' ' || current_setting('search_path');
    RAISE EXCEPTION USING ERRCODE = 'SH000', MESSAGE = answer;
EXCEPTION WHEN SQLSTATE 'SH000' THEN
    RETURN sqlerrm;
END $$;
SELECT is(shop.seen(addition, name), 'SH001 none shop, public', format('%s of %s', kind, name))
FROM shop.tables, (VALUES
    ('a BEFORE trigger', 'CREATE TRIGGER looks BEFORE INSERT ON c360.%1$I FOR EACH ROW EXECUTE FUNCTION shop.looks_on()'),
    ('an AFTER trigger', 'CREATE TRIGGER looks AFTER INSERT ON c360.%1$I FOR EACH ROW EXECUTE FUNCTION shop.looks_on()'),
    ('a CHECK', 'ALTER TABLE c360.%1$I ADD CHECK (shop.looks_at(%2$I)) NOT VALID'),
    ('a default', 'ALTER TABLE c360.%1$I ADD looked boolean; ALTER TABLE c360.%1$I ALTER looked SET DEFAULT shop.looks()'),
    ('a generated column', 'ALTER TABLE c360.%1$I ADD looked boolean GENERATED ALWAYS AS (shop.looks_at(%2$I)) STORED'),
    ('the expression of an index', 'CREATE INDEX ON c360.%1$I (shop.looks_at(%2$I))'),
    ('the predicate of an index', 'CREATE INDEX ON c360.%1$I (%2$I) WHERE shop.looks_at(%2$I)'),
    ('the order of an index', 'CREATE INDEX ON c360.%1$I (%2$I shop.order)')) AS t (kind, addition)
ORDER BY name, kind;
ROLLBACK TO clean;

-- c360's own foreign keys hold against others.
SELECT is(pg_temp.failure(format('DELETE FROM c360.%I', name)), '23503', 'rows of ' || name || ' that are needed stay')
FROM unnest(ARRAY['customers', 'customer_wallets', 'virtual_credits', 'customer_activities']) AS name
WHERE name <> 'customer_activities';

-- Other names, other places ------------------------------------------------

ALTER TABLE c360.wallet_transactions RENAME CONSTRAINT wallet_transactions_sound TO shop_sound;
ALTER TABLE c360.customer_wallets RENAME CONSTRAINT customer_wallets_not_negative TO shop_not_negative;
SELECT format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', conrelid::regclass, conname, 'shop_key_' || row_number() OVER ())
FROM pg_constraint WHERE contype = 'f' AND connamespace = 'c360'::regnamespace AND conrelid::regclass::text ~
    '(wallet|virtual|activities)' \gexec
SELECT is(shop.day('0911000001') > 0, true, 'constraints were renamed');
CLUSTER c360.customer_wallets USING customer_wallets_pkey;
REINDEX TABLE c360.virtual_credits;
SELECT is(shop.day('0911000002') > 0, true, 'tables were written anew');
ALTER TABLE c360.wallet_transactions SET (fillfactor = 90);
ALTER TABLE c360.wallet_transactions ALTER source SET STATISTICS 10;
COMMENT ON COLUMN c360.wallet_transactions.source IS 'where it came from';
SELECT is(pg_temp.wallet('0911000001') || ', ' || pg_temp.wallet('0911000002'), '6 + 2, available 8, 6 + 2, available 8',
          'the wallets');
SELECT c360_deposit('0911000001', 1, note => n.note) FROM (SELECT string_agg(md5(i::text), '') AS note FROM generate_series(1, 62) i) n
\g /dev/null
SELECT is((SELECT note FROM c360_wallet_transactions('0911000001', max_rows => 1)),
          (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 62) i), 'a long note that is stored out of line');
ROLLBACK TO clean;

-- Tickets ------------------------------------------------------------------

SELECT c360_create_ticket('0901000001', 'OTHER') \g /dev/null
CREATE TABLE shop.branches (code text PRIMARY KEY);
INSERT INTO shop.branches VALUES ('HCM');
CREATE TABLE shop.log (n serial, name text, new jsonb);
CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.log (name, new) VALUES (tg_name, to_jsonb(new));
    RETURN new;
END $$;
CREATE FUNCTION shop.hurry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.priority := 'urgent';
    new.order_code := coalesce(new.order_code, 'none');
    RETURN new;
END $$;
ALTER TABLE c360.customer_tickets ADD CHECK (subject <> 'forbidden'), ADD branch text DEFAULT 'HCM' REFERENCES shop.branches,
    ADD loud text GENERATED ALWAYS AS (upper(subject) || ' ' || priority) STORED, ADD counted serial;
ALTER TABLE c360.ticket_history ADD CHECK (details ->> 'duplicate_allowed' IS NULL), ADD branch text NOT NULL DEFAULT 'HCM',
    ADD loud text GENERATED ALWAYS AS (upper(action)) STORED;
CREATE INDEX shop_ticket_subject ON c360.customer_tickets (lower(subject), loud);
CREATE UNIQUE INDEX shop_ticket_once ON c360.customer_tickets (tracking_code);
CREATE TRIGGER hurry BEFORE INSERT ON c360.customer_tickets FOR EACH ROW WHEN (new.carrier = 'GHN') EXECUTE FUNCTION shop.hurry();
CREATE TRIGGER after_all AFTER INSERT ON c360.customer_tickets FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER of_history BEFORE INSERT ON c360.ticket_history FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON c360.customer_tickets DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION shop.note();
UPDATE books SET books = pg_temp.books();
SELECT is(pg_temp.failure(call), state, what) FROM (VALUES
    ('23514', 'CHECK on a ticket', $$SELECT c360_create_ticket('0901000001', 'OTHER', subject => 'forbidden')$$),
    ('23514', 'CHECK on its history', $$SELECT c360_create_ticket('0901000001', 'BOOM', 'A1') UNION ALL
                                        SELECT c360_create_ticket('0901000001', 'BOOM', 'A1', allow_duplicate => true)$$)) AS t (state, what, call);
SELECT is(pg_temp.books(), books, 'what a CHECK refused changed nothing') FROM books;
SELECT is((SELECT count(*) FROM shop.log), 0::bigint, 'and fired nothing');
SELECT ticket_id AS id, ticket_code AS code FROM c360_create_ticket('0901000001', 'OTHER', subject => 'lỡ', tracking_code => 'V1', carrier => 'GHN') \gset
SELECT is((SELECT concat_ws(' ', priority, order_code, branch, loud, counted > 0) FROM c360.customer_tickets WHERE id = :id),
          'urgent none HCM LỠ urgent t', 'defaults, generated columns and what a BEFORE trigger wrote');
SELECT is((SELECT branch || loud FROM c360.ticket_history WHERE ticket_id = :id), 'HCMCREATE', 'of the history, too');
SELECT is((SELECT payload ->> 'priority' FROM c360.customer_activities WHERE reference_id = :'code'), 'urgent', 'events tell what was written');
SELECT is((SELECT string_agg(concat_ws(' ', name, new ->> 'priority', new ->> 'action'), ', ' ORDER BY n) FROM shop.log WHERE name <> 'later'),
          'of_history create, after_all urgent', 'row triggers fired once each');
SELECT is((SELECT new FROM shop.log WHERE name = 'after_all'), to_jsonb(t), 'and saw the row') FROM c360.customer_tickets t WHERE id = :id;
SELECT is((SELECT count(*) FROM shop.log WHERE name = 'later'), 0::bigint, 'a deferred one waits');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT count(*) FROM shop.log WHERE name = 'later'), 1::bigint, 'and fires then');
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000001', 'OTHER', tracking_code => 'V1')$$), '23505', 'a unique index of the shop');
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000001', 'BOOM', 'A1', tracking_code => 'V1', allow_duplicate => true)$$), '23505',
          'whatever is allowed');
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000001', 'BOOM', 'A1', tracking_code => 'V2')$$), 'none', 'outside of it');
ALTER TABLE c360.customer_tickets ALTER branch SET DEFAULT 'HN';
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000001', 'OTHER')$$), '23503', 'a foreign key of the shop');
ALTER TABLE c360.customer_tickets DROP branch, ADD CONSTRAINT shop_later UNIQUE (subject) DEFERRABLE INITIALLY DEFERRED;
SET CONSTRAINTS ALL DEFERRED;
SELECT c360_create_ticket('0901000001', 'OTHER', subject => 'lỡ') \g /dev/null
SELECT is(shop.deferred(), '23505', 'a deferred unique constraint is looked at later');
SELECT c360_create_ticket('0901000001', 'OTHER', subject => 'Lỡ') \g /dev/null
SELECT is((SELECT count(*) FROM c360.customer_tickets WHERE lower(subject) = 'lỡ'), 3::bigint, 'an index of the shop finds them')
FROM (SELECT set_config('enable_seqscan', 'off', true)) AS s;
CREATE FUNCTION shop.one_code() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.ticket_code := 'ONE'; RETURN new; END $$;
CREATE TRIGGER one_code BEFORE INSERT ON c360.customer_tickets FOR EACH ROW EXECUTE FUNCTION shop.one_code();
SELECT is((SELECT ticket_code FROM c360_create_ticket('0901000001', 'OTHER')), 'ONE', 'a code that a trigger wrote');
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000001', 'OTHER')$$), '09000', 'which is taken then');
SELECT is(pg_temp.failure($$SELECT c360_create_ticket('0901000001', 'BOOM', 'A3', allow_duplicate => true)$$), '09000', 'for good');
ROLLBACK TO clean;

-- Functions of a CHECK -----------------------------------------------------

CREATE FUNCTION shop.allowed(amount bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 1000';
CREATE FUNCTION shop.highest() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1000::bigint';
CREATE DOMAIN shop.money AS bigint;
ALTER TABLE c360.wallet_transactions ADD CONSTRAINT shop_limit CHECK (shop.allowed(amount)) NOT VALID,
    ADD CONSTRAINT shop_highest CHECK (amount < shop.highest()) NOT VALID,
    ADD CONSTRAINT shop_money CHECK (amount::shop.money > 0) NOT VALID;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 500)$$), 'none', 'a CHECK with a function of the shop''s');
SAVEPOINT before;
CREATE OR REPLACE FUNCTION shop.allowed(amount bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 100';
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 500)$$), '23514', 'which is replaced');
ROLLBACK TO before;
CREATE OR REPLACE FUNCTION shop.highest() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 100::bigint';
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 500)$$), '23514', 'and one without arguments');
ROLLBACK TO before;
ALTER DOMAIN shop.money ADD CHECK (value < 100) NOT VALID;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 500)$$), '23514', 'and a domain that gets a CHECK');
ROLLBACK TO clean;

-- A key that is computed ---------------------------------------------------

ALTER TABLE c360.customer_wallets ADD band bigint GENERATED ALWAYS AS (balance + customer_id * 1000000) STORED UNIQUE;
CREATE TABLE shop.bands (band bigint REFERENCES c360.customer_wallets (band));
INSERT INTO shop.bands SELECT band FROM c360.customer_wallets WHERE customer_id = shop.customer('0901000001');
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 7)$$), '23503', 'a foreign key at a generated column');
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000002', 7)$$), 'none', 'which others do not have');
ROLLBACK TO clean;

-- Tables that change within a call -----------------------------------------

-- a trigger that makes a table no plain one, and catches what a call says then
CREATE FUNCTION shop.spoil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS shop.child () INHERITS (c360.%I)', tg_argv[0]);
    BEGIN
        PERFORM public.c360_deposit('0901000002', 1);
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
    END;
    RETURN new;
END $$;
CREATE FUNCTION shop.spoiled(name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER spoil BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW
                    WHEN (new.customer_id = %s) EXECUTE FUNCTION shop.spoil(%L)', shop.customer('0901000001'), name);
    RAISE SQLSTATE 'SH000' USING MESSAGE = pg_temp.failure($q$SELECT c360_deposit('0901000001', 10)$q$);
EXCEPTION WHEN SQLSTATE 'SH000' THEN
    RETURN sqlerrm;
END $$;
SELECT is(shop.spoiled(name), '55000', name || ' gets a child within a call') FROM shop.tables ORDER BY name;
SELECT is(shop.day('0914000001') > 0, true, 'which is forgotten');
ROLLBACK TO clean;

-- Other tables of the same names -------------------------------------------

SELECT c360_deposit('0901000001', 1) \g /dev/null
ALTER SCHEMA c360 RENAME TO c360_blue;
SELECT c360_install() \g /dev/null
SELECT c360_deposit('0901000001', 1) \g /dev/null
ALTER SCHEMA c360 RENAME TO c360_green;
ALTER SCHEMA c360_blue RENAME TO c360;
SELECT setval('c360.' || name || '_id_seq', 100000) FROM unnest(ARRAY['wallet_transactions', 'customer_activities']) AS name \g /dev/null
SELECT c360_deposit('0901000001', 100, idempotency_key => 'blue') \g /dev/null
SELECT is((SELECT replayed FROM c360_deposit('0901000001', 100, idempotency_key => 'blue')), true,
          'the schema is exchanged: a key is found in its own index');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'and the books are sound');
ROLLBACK TO clean;

-- What c360 needs of its tables: without it, 55000 and what to do.
CREATE FUNCTION shop.without(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE change;
    answer := pg_temp.failure($q$SELECT c360_deposit('0901000001', 1)$q$);
    answer := concat_ws(' / ', answer, (SELECT hint FROM failures ORDER BY ctid DESC LIMIT 1));
    RAISE EXCEPTION USING ERRCODE = 'SH000', MESSAGE = answer;
EXCEPTION WHEN SQLSTATE 'SH000' THEN
    RETURN sqlerrm;
END $$;
SELECT is(shop.without(change), '55000 / Run SELECT c360_install();', change) FROM unnest(ARRAY[
    'ALTER SCHEMA c360 RENAME TO money', 'ALTER TABLE c360.virtual_credits RENAME TO lots',
    'DELETE FROM c360.table_versions WHERE version > 3']) AS change;
SELECT matches(shop.without(change), '^55000 / .*\mkeep\M', change) FROM unnest(ARRAY[
    'ALTER TABLE c360.wallet_transactions RENAME COLUMN source TO origin',
    'ALTER TABLE c360.customer_activities ALTER session_user_name TYPE varchar(50)',
    'ALTER INDEX c360.virtual_credits_fifo_idx RENAME TO fifo',
    'DROP INDEX c360.virtual_credits_fifo_idx; CREATE INDEX virtual_credits_fifo_idx ON c360.virtual_credits USING hash (customer_id)', 'DROP INDEX c360.wallet_transactions_idempotency_key_key',
    'ALTER TABLE c360.virtual_credits ALTER id DROP IDENTITY',
    'CREATE TABLE shop.child () INHERITS (c360.customer_wallets)']) AS change;
SELECT is(pg_temp.failure($$SELECT c360_deposit('0901000001', 1)$$), 'none', 'all is well again');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'after all this the books are sound');

SELECT * FROM finish();
ROLLBACK;
