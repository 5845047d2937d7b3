-- Lots past their time become EXPIRED.  Phones 0910.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

-- What others left behind.
SELECT expired_count >= 0 AS done FROM c360_expire_credits();
SELECT * FROM c360_expire_credits();

-- One row for each lot that expires, with the đồng it still held.
SELECT balance FROM c360_deposit('0910000001', 5);
SELECT virtual_balance FROM c360_issue_credit('0910000001', 10, 'MANUAL', 'a', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0910000001', 20, 'MANUAL', 'b', '2099-01-02');
SELECT virtual_balance FROM c360_issue_credit('0910000001', 40, 'MANUAL', 'c', '2099-01-03');
SELECT virtual_balance FROM c360_issue_credit('0910000002', 100, 'MANUAL', 'd', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0910000003', 1000, 'MANUAL', 'e', '2099-01-01');
SELECT virtual_balance FROM c360_withdraw('0910000001', 4);
SELECT test.let_expire('0910000001', 'a', '2020-06-02 UTC'), test.let_expire('0910000001', 'b', '2020-06-01 UTC'),
       test.let_expire('0910000002', 'd', '2020-06-03 UTC');
-- overdue ones count as balance until they expire, but are not available
SELECT phone, virtual_balance, available FROM c360_wallets(ARRAY['0910000001', '0910000002', '0910000003']);
SELECT * FROM c360_expire_credits();
SELECT phone, virtual_balance, available, total_virtual_issued, total_virtual_used, total_virtual_expired
FROM c360_wallets(ARRAY['0910000001', '0910000002', '0910000003']);
SELECT * FROM test.ledger('0910000001');
SELECT * FROM test.lots_of('0910000001');
-- it happened when the lot ended
SELECT occurred_at AT TIME ZONE 'UTC' AS occurred, credit_expires_at = occurred_at AS same, idempotency_key
FROM c360.wallet_transactions WHERE customer_id = test.customer('0910000001') AND type = 'VIRTUAL_EXPIRE' ORDER BY id;
SELECT event, payload ->> 'note' AS note FROM c360.customer_activities
WHERE customer_id = test.customer('0910000001') AND event = 'wallet.virtual_expired' ORDER BY id;
-- nothing is left to do
SELECT * FROM c360_expire_credits();

-- At most so many at a time, within a wallet and over wallets.
SELECT virtual_balance FROM c360_issue_credit('0910000004', 1, 'MANUAL', 'a', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0910000004', 2, 'MANUAL', 'b', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0910000004', 4, 'MANUAL', 'c', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0910000005', 8, 'MANUAL', 'd', '2099-01-01');
SELECT test.let_expire('0910000004', 'a', '2020-06-01'), test.let_expire('0910000004', 'b', '2020-06-02'),
       test.let_expire('0910000004', 'c', '2020-06-03'), test.let_expire('0910000005', 'd', '2020-06-04');
SELECT * FROM c360_expire_credits(2);
SELECT * FROM test.lots_of('0910000004');
SELECT * FROM c360_expire_credits(1);
SELECT * FROM c360_expire_credits(1);
SELECT * FROM c360_expire_credits(1);
SELECT test.error_of('SELECT c360_expire_credits(0)');
SELECT test.error_of('SELECT c360_expire_credits(-1)');

-- Of frozen and blacklisted customers as well.
SELECT virtual_balance FROM c360_issue_credit('0910000006', 1, 'MANUAL', 'a', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0910000007', 2, 'MANUAL', 'a', '2099-01-01');
SELECT c360_freeze_wallet('0910000006', 'for the test');
UPDATE c360.customers SET tier = 'blacklist' WHERE phone = '0910000007';
SELECT test.let_expire('0910000006', 'a'), test.let_expire('0910000007', 'a');
SELECT * FROM c360_expire_credits();

-- A lot that expired, came back by a refund and expires again: a row each time.
SELECT virtual_balance FROM c360_issue_credit('0910000008', 10, 'MANUAL', 'twice', '2099-01-01');
SELECT transaction_id AS taken FROM c360_withdraw('0910000008', 4) \gset
SELECT test.let_expire('0910000008', 'twice');
SELECT * FROM c360_expire_credits();
SELECT virtual_balance, available FROM c360_refund(:taken, 3);
SELECT test.let_expire('0910000008', 'twice', '2020-06-02');
SELECT * FROM c360_expire_credits();
SELECT * FROM test.ledger('0910000008');
SELECT total_virtual_expired FROM c360_wallet('0910000008');

-- More lots than one batch, of many customers and several to a wallet; the
-- procedure commits between batches and leaves none.
SELECT count(*), sum(virtual_change) FROM generate_series(1, 1203) AS n,
    c360_issue_credit('0910' || to_char(100000 + n % 401, 'FM000000'), n, 'MANUAL', 'many ' || n, '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0910100000', 7, 'MANUAL', 'stays', '2099-01-01');
UPDATE c360.virtual_credits SET expires_at = '2020-06-01' WHERE source_id LIKE 'many %';
CALL c360_expire_all();
SELECT v.status, count(*), sum(v.remaining_amount) AS remaining, sum(v.original_amount) AS original,
       count(DISTINCT t.xmin::text) > 2 AS in_batches
FROM c360.virtual_credits v LEFT JOIN c360.wallet_transactions t ON t.credit_id = v.id AND t.type = 'VIRTUAL_EXPIRE'
WHERE v.source_id LIKE 'many %' GROUP BY v.status;
SELECT virtual_balance FROM c360_wallet('0910100000');
SELECT * FROM c360_expire_credits();
-- since it commits, it cannot run inside a transaction
SELECT test.let_expire('0910100000', 'stays');
SELECT test.error_of('CALL c360_expire_all()');
SELECT virtual_balance FROM c360_wallet('0910100000');
CALL c360_expire_all();
SELECT virtual_balance FROM c360_wallet('0910100000');

-- A lot that really ends.
SELECT virtual_balance FROM c360_issue_credit('0910000009', 10, 'MANUAL', 'short', clock_timestamp() + interval '0.2 seconds');
SELECT available FROM c360_wallet('0910000009');
SELECT pg_sleep(extract(epoch FROM expires_at - clock_timestamp())) FROM c360.virtual_credits
WHERE customer_id = test.customer('0910000009');
SELECT virtual_balance, available FROM c360_wallet('0910000009');
SELECT test.error_of($$SELECT c360_withdraw('0910000009', 10)$$);
SELECT * FROM c360_expire_credits();

SELECT * FROM c360_verify_wallets();

-- A wallet that cannot be expired does not keep the others from it.
CREATE FUNCTION test.refuse_expiry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.type = 'VIRTUAL_EXPIRE' AND new.customer_id = test.customer('0910000091') THEN
        RAISE EXCEPTION 'not this one';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER refuse_expiry BEFORE INSERT ON c360.wallet_transactions
    FOR EACH ROW EXECUTE FUNCTION test.refuse_expiry();
SELECT count(c360_issue_credit('091000009' || g, 10)) FROM generate_series(0, 2) g;
UPDATE c360.virtual_credits SET expires_at = now() - interval '1 second'
WHERE customer_id IN (test.customer('0910000090'), test.customer('0910000091'), test.customer('0910000092'));
\set VERBOSITY sqlstate
SELECT * FROM c360_expire_credits();
\set VERBOSITY default
SELECT c.phone, v.status FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id
WHERE c.phone LIKE '091000009_' ORDER BY c.phone;
DROP TRIGGER refuse_expiry ON c360.wallet_transactions;
SELECT * FROM c360_expire_credits();
SELECT c.phone, v.status FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id
WHERE c.phone LIKE '091000009_' ORDER BY c.phone;
SELECT * FROM c360_verify_wallets();
