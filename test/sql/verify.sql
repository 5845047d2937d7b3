-- Broken books are reported, row by row.  Phones 0912.

-- Two customers with a movement of each type; only the first one's are broken.
CREATE TABLE test.books (phone text PRIMARY KEY, customer bigint, first_deposit bigint, taken bigint, taken_again bigint,
                         refunded bigint, lot bigint, cancelled bigint);
CREATE FUNCTION test.fill_books(wanted text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    b test.books;
BEGIN
    b.phone := wanted;
    SELECT transaction_id INTO b.first_deposit FROM c360_deposit(wanted, 100);
    SELECT (lots -> 0 ->> 'credit_id')::bigint INTO b.lot FROM c360_issue_credit(wanted, 50, 'MANUAL', 'lot', '2099-01-01');
    SELECT (lots -> 0 ->> 'credit_id')::bigint INTO b.cancelled FROM c360_issue_credit(wanted, 8, 'MANUAL', 'cancelled', '2099-02-01');
    PERFORM c360_issue_credit(wanted, 3, 'MANUAL', 'expired', '2099-03-01');
    SELECT transaction_id INTO b.taken FROM c360_withdraw(wanted, 30);
    PERFORM c360_cancel_credit(b.cancelled, 'by mistake');
    PERFORM test.let_expire(wanted, 'expired');
    SELECT transaction_id INTO b.taken_again FROM c360_withdraw(wanted, 40);
    SELECT transaction_id INTO b.refunded FROM c360_refund(b.taken, 10);
    PERFORM c360_adjust(wanted, -5, 'counted again');
    b.customer := test.customer(wanted);
    INSERT INTO test.books SELECT b.*;
END $$;
SELECT test.fill_books('0912000001'), test.fill_books('0912000002');
SELECT * FROM test.ledger('0912000001');
SELECT * FROM test.lots_of('0912000001');
SELECT * FROM c360_verify_wallets();

-- The problems that a change makes, which is undone. :name: stands for a
-- column of the first customer's row above.
CREATE FUNCTION test.problems(VARIADIC changes text[]) RETURNS TABLE (problem text, expected bigint, found bigint)
LANGUAGE plpgsql AS $$
DECLARE
    change text;
    part record;
    seen jsonb;
BEGIN
    BEGIN
        ALTER TABLE c360.wallet_transactions DISABLE TRIGGER ledger_guard;
        ALTER TABLE c360.virtual_credit_uses DISABLE TRIGGER ledger_guard;
        ALTER TABLE c360.wallet_transactions DROP CONSTRAINT wallet_transactions_sound;
        ALTER TABLE c360.virtual_credits DROP CONSTRAINT virtual_credits_sound;
        ALTER TABLE c360.virtual_credit_uses DROP CONSTRAINT virtual_credit_uses_positive;
        ALTER TABLE c360.customer_wallets DROP CONSTRAINT customer_wallets_not_negative;
        FOREACH change IN ARRAY changes LOOP
            FOR part IN SELECT key, value FROM test.books b, jsonb_each_text(to_jsonb(b)) WHERE b.phone = '0912000001' LOOP
                change := replace(change, ':' || part.key || ':', part.value);
            END LOOP;
            EXECUTE change;
        END LOOP;
        SELECT jsonb_agg(jsonb_build_object('problem', test.without_ids(v.problem), 'expected', v.expected, 'found', v.found,
                                            'phone', c.phone)) INTO seen
        FROM c360_verify_wallets() v LEFT JOIN c360.customers c ON c.id = v.customer_id;
        RAISE EXCEPTION USING ERRCODE = 'UNDO0';
    EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
        NULL;
    END;
    RETURN QUERY
    SELECT CASE WHEN e ->> 'phone' = '0912000001' THEN '' ELSE (e ->> 'phone') || ': ' END || (e ->> 'problem'),
           (e ->> 'expected')::bigint, (e ->> 'found')::bigint
    FROM jsonb_array_elements(seen) AS e ORDER BY 1, 2, 3;
END $$;

-- the wallet
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET balance = balance + 1 WHERE customer_id = :customer:');
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET virtual_balance = virtual_balance - 1 WHERE customer_id = :customer:');
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET total_deposited = total_deposited + 1 WHERE customer_id = :customer:');
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET total_withdrawn = 0 WHERE customer_id = :customer:');
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET total_virtual_issued = 0 WHERE customer_id = :customer:');
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET total_virtual_used = 0 WHERE customer_id = :customer:');
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET total_virtual_expired = 0 WHERE customer_id = :customer:');
SELECT * FROM test.problems('UPDATE c360.customer_wallets SET balance = -1 WHERE customer_id = :customer:');
-- a customer without any ledger
SELECT * FROM test.problems($$INSERT INTO c360.customers (phone) VALUES ('0912000003')$$,
    $$INSERT INTO c360.customer_wallets (customer_id, balance) SELECT id, 9 FROM c360.customers WHERE phone = '0912000003'$$);

-- a lot
SELECT * FROM test.problems('UPDATE c360.virtual_credits SET remaining_amount = remaining_amount + 2 WHERE id = :lot:');
SELECT * FROM test.problems('UPDATE c360.virtual_credits SET original_amount = original_amount + 2 WHERE id = :lot:');
SELECT * FROM test.problems($$UPDATE c360.virtual_credits SET status = 'EXPIRED' WHERE id = :lot:$$);
SELECT * FROM test.problems('UPDATE c360.virtual_credits SET remaining_amount = -1 WHERE id = :cancelled:');
SELECT * FROM test.problems($$INSERT INTO c360.virtual_credits (customer_id, kind, original_amount, remaining_amount, status, expires_at, created_at)
    VALUES (:customer:, 'MANUAL', 5, 5, 'ACTIVE', '2099-01-01', now())$$);
SELECT * FROM test.problems($$INSERT INTO c360.virtual_credits (customer_id, kind, original_amount, remaining_amount, status, expires_at, created_at)
    VALUES (:customer:, 'MANUAL', 5, 0, 'USED', '2099-01-01', now())$$);

-- lots used and restored
SELECT * FROM test.problems('UPDATE c360.virtual_credit_uses SET amount = amount + 1 WHERE transaction_id = :taken:');
SELECT * FROM test.problems('DELETE FROM c360.virtual_credit_uses WHERE transaction_id = :taken_again:');
SELECT * FROM test.problems('UPDATE c360.virtual_credit_uses SET credit_id = :cancelled: WHERE transaction_id = :refunded:');

-- the ledger
SELECT * FROM test.problems('DELETE FROM c360.wallet_transactions WHERE id = :first_deposit:');
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET real_change = real_change + 1, amount = amount + 1 WHERE id = :first_deposit:');
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET virtual_change = virtual_change - 1 WHERE id = :taken:');
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET balance_after = balance_after + 1 WHERE id = :taken:');
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET virtual_balance_after = virtual_balance_after + 1 WHERE id = :taken:');
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET balance_after = -1 WHERE id = :taken:');
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET virtual_balance_after = -7 WHERE id = :taken:');
SELECT * FROM test.problems($$UPDATE c360.wallet_transactions SET created_at = '2020-01-01' WHERE id = :taken:$$);

-- refunds
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET amount = 9, real_change = -9, virtual_change = 0 WHERE id = :taken:',
    'DELETE FROM c360.virtual_credit_uses WHERE transaction_id = :taken:');
SELECT * FROM test.problems('UPDATE c360.wallet_transactions SET refunded_transaction_id = :first_deposit: WHERE id = :refunded:');
SELECT * FROM test.problems('UPDATE c360.virtual_credit_uses SET amount = 31 WHERE transaction_id = :refunded:');

-- All is back as it was, guards and constraints too.
SELECT * FROM c360_verify_wallets();
SELECT test.error_of('DELETE FROM c360.wallet_transactions');
DROP FUNCTION test.problems(text[]);
DROP FUNCTION test.fill_books(text);
DROP TABLE test.books;
