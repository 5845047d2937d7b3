-- A key makes a call happen once: a retry gets the first answer again.
-- Phones 0909.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

-- Every row that c360 could have written.
CREATE FUNCTION test.rows_written() RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    SELECT (SELECT count(*) FROM c360.wallet_transactions) + (SELECT count(*) FROM c360.customer_activities)
         + (SELECT count(*) FROM c360.virtual_credits) + (SELECT count(*) FROM c360.virtual_credit_uses)
         + (SELECT count(*) FROM c360.customers) + (SELECT count(*) FROM c360.customer_wallets)
$$;

-- Each function, first and again after the wallet went on.
SELECT transaction_id AS deposit_id FROM c360_deposit('0909000001', 100, idempotency_key => 'idem deposit') \gset
SELECT transaction_id AS issue_id, lots -> 0 ->> 'credit_id' AS lot
FROM c360_issue_credit('0909000001', 50, 'MANUAL', 'lot', '2099-01-01', idempotency_key => 'idem issue') \gset
SELECT transaction_id AS withdraw_id FROM c360_withdraw('0909000001', 70, 'ĐH-1', idempotency_key => 'idem withdraw') \gset
SELECT transaction_id AS refund_id FROM c360_refund(:withdraw_id, 60, idempotency_key => 'idem refund') \gset
SELECT transaction_id AS adjust_id FROM c360_adjust('0909000001', -5, 'counted again', idempotency_key => 'idem adjust') \gset
SELECT transaction_id AS cancel_id FROM c360_cancel_credit(:lot, 'by mistake', 'idem cancel') \gset
SELECT * FROM test.ledger('0909000001');
SELECT available FROM c360_wallet('0909000001');
SELECT test.rows_written() AS rows_before \gset
SELECT transaction_id = :deposit_id AS same, :shown FROM c360_deposit('0909000001', 100, idempotency_key => 'idem deposit');
SELECT transaction_id = :issue_id AS same, :shown
FROM c360_issue_credit('0909000001', 50, 'MANUAL', 'lot', '2099-01-01', idempotency_key => 'idem issue');
SELECT transaction_id = :withdraw_id AS same, :shown FROM c360_withdraw('0909000001', 70, 'ĐH-1', idempotency_key => 'idem withdraw');
SELECT transaction_id = :refund_id AS same, :shown FROM c360_refund(:withdraw_id, 60, idempotency_key => 'idem refund');
SELECT transaction_id = :adjust_id AS same, :shown FROM c360_adjust('0909000001', -5, 'counted again', idempotency_key => 'idem adjust');
SELECT transaction_id = :cancel_id AS same, :shown FROM c360_cancel_credit(:lot, 'by mistake', 'idem cancel');
SELECT test.rows_written() = :rows_before AS nothing_written;

-- Phone in another spelling, another note: the same call.
SELECT transaction_id = :deposit_id AS same, replayed
FROM c360_deposit('+84 909 000 001', 100, note => 'sent again', idempotency_key => 'idem deposit');
SELECT transaction_id = :withdraw_id AS same, replayed
FROM c360_withdraw('0909.000.001', 70, 'ĐH-1', 'sent again', 'idem withdraw');

-- Any other argument, another wallet, another operation: another call.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_deposit('0909000001', 101, idempotency_key => 'idem deposit')$$);
SELECT test.error_of($$SELECT c360_deposit('0909000001', 100, 'RETURN_GOODS', idempotency_key => 'idem deposit')$$);
SELECT test.error_of($$SELECT c360_deposit('0909000001', 100, reference_type => 'x', idempotency_key => 'idem deposit')$$);
SELECT test.error_of($$SELECT c360_deposit('0909000001', 100, reference_id => 'x', idempotency_key => 'idem deposit')$$);
SELECT test.error_of($$SELECT c360_deposit('0909000001', 100, occurred_at => '2024-01-01', idempotency_key => 'idem deposit')$$);
SELECT test.error_of($$SELECT c360_deposit('0909000002', 100, idempotency_key => 'idem deposit')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0909000001', 50, 'BOOM', 'lot', '2099-01-01', idempotency_key => 'idem issue')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0909000001', 50, 'MANUAL', 'tol', '2099-01-01', idempotency_key => 'idem issue')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0909000001', 50, 'MANUAL', 'lot', '2099-01-02', idempotency_key => 'idem issue')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0909000001', 50, 'MANUAL', 'lot', idempotency_key => 'idem issue')$$);
SELECT test.error_of($$SELECT c360_withdraw('0909000001', 71, 'ĐH-1', idempotency_key => 'idem withdraw')$$);
SELECT test.error_of($$SELECT c360_withdraw('0909000001', 70, idempotency_key => 'idem withdraw')$$);
SELECT test.error_of($$SELECT c360_withdraw('0909000001', 70, 'ĐH-2', idempotency_key => 'idem withdraw')$$);
SELECT test.error_of(format($$SELECT c360_refund(%s, 61, idempotency_key => 'idem refund')$$, :withdraw_id));
SELECT test.error_of(format($$SELECT c360_refund(%s, idempotency_key => 'idem refund')$$, :withdraw_id));
SELECT test.error_of($$SELECT c360_adjust('0909000001', 5, 'counted again', idempotency_key => 'idem adjust')$$);
SELECT test.error_of($$SELECT c360_adjust('0909000001', -5, 'counted anew', idempotency_key => 'idem adjust')$$);
SELECT test.error_of($$SELECT c360_adjust('0909000001', -5, 'counted again', 'x', idempotency_key => 'idem adjust')$$);
SELECT test.error_of(format($$SELECT c360_cancel_credit(%s, 'by intent', 'idem cancel')$$, :lot));
SELECT test.error_of($$SELECT c360_withdraw('0909000001', 100, idempotency_key => 'idem deposit')$$);
SELECT test.error_of($$SELECT c360_deposit('0909000001', 70, idempotency_key => 'idem withdraw')$$);
SELECT test.error_of($$SELECT c360_withdraw('0909000003', 1, idempotency_key => 'idem deposit')$$);
\pset tuples_only off
\pset format aligned
SELECT test.rows_written() = :rows_before AS nothing_written;

-- A text that moves from one argument to the next is another call.
SELECT replayed FROM c360_deposit('0909000004', 1, reference_type => 'ab', reference_id => 'c', idempotency_key => 'idem digest');
SELECT left(test.error_of($$SELECT c360_deposit('0909000004', 1, reference_type => 'a', reference_id => 'bc', idempotency_key => 'idem digest')$$), 5);
SELECT left(test.error_of($$SELECT c360_deposit('0909000004', 1, reference_type => 'abc', idempotency_key => 'idem digest')$$), 5);

-- Keys are as they are written.
SELECT replayed FROM c360_deposit('0909000004', 1, idempotency_key => 'Idem case');
SELECT replayed FROM c360_deposit('0909000004', 1, idempotency_key => 'idem case');
SELECT replayed FROM c360_deposit('0909000004', 1, idempotency_key => 'idem case ');
SELECT replayed FROM c360_deposit('0909000004', 1, idempotency_key => 'idem ' || repeat('ế', 195));
SELECT test.error_of($$SELECT c360_deposit('0909000004', 1, idempotency_key => 'idem ' || repeat('ế', 196))$$);
SELECT test.error_of($$SELECT c360_deposit('0909000004', 1, idempotency_key => '')$$);
SELECT test.error_of($$SELECT c360_deposit('0909000004', 1, idempotency_key => '  ')$$);

-- A failed call leaves its key free.
SELECT test.error_of($$SELECT c360_withdraw('0909000004', 1000, idempotency_key => 'idem failed')$$);
SELECT balance FROM c360_deposit('0909000004', 995);
SELECT :shown FROM c360_withdraw('0909000004', 1000, idempotency_key => 'idem failed');
SELECT :shown FROM c360_withdraw('0909000004', 1000, idempotency_key => 'idem failed');
BEGIN;
SELECT balance FROM c360_deposit('0909000004', 5, idempotency_key => 'idem rolled back');
ROLLBACK;
SELECT :shown FROM c360_deposit('0909000004', 6, idempotency_key => 'idem rolled back');

-- The retry comes before every check of state and time: funds, freeze,
-- blacklist, what is left to refund, an expiry that is past, the limit.
SELECT balance FROM c360_deposit('0909000005', 100, occurred_at => '2024-01-01', idempotency_key => 'idem state deposit');
SELECT lots -> 0 ->> 'credit_id' AS state_lot, virtual_balance
FROM c360_issue_credit('0909000005', 10, 'MANUAL', 'state', '2095-01-01', idempotency_key => 'idem state issue') \gset
SELECT transaction_id AS state_withdraw FROM c360_withdraw('0909000005', 110, idempotency_key => 'idem state withdraw') \gset
SELECT balance, virtual_balance FROM c360_refund(:state_withdraw, idempotency_key => 'idem state refund');
SELECT virtual_balance FROM c360_cancel_credit(:state_lot, 'by mistake', 'idem state cancel');
SELECT balance FROM c360_adjust('0909000005', -100, 'counted to zero', idempotency_key => 'idem state adjust');
SELECT c360_freeze_wallet('0909000005', 'for the test');
UPDATE c360.customers SET tier = 'blacklist' WHERE phone = '0909000005';
UPDATE c360.customer_wallets SET last_at = '2096-01-01' WHERE customer_id = test.customer('0909000005');
SELECT c360_set('max_amount', '1');
SELECT :shown FROM c360_deposit('0909000005', 100, occurred_at => '2024-01-01', idempotency_key => 'idem state deposit');
SELECT :shown FROM c360_issue_credit('0909000005', 10, 'MANUAL', 'state', '2095-01-01', idempotency_key => 'idem state issue');
SELECT :shown FROM c360_withdraw('0909000005', 110, idempotency_key => 'idem state withdraw');
SELECT :shown FROM c360_refund(:state_withdraw, idempotency_key => 'idem state refund');
SELECT :shown FROM c360_cancel_credit(:state_lot, 'by mistake', 'idem state cancel');
SELECT :shown FROM c360_adjust('0909000005', -100, 'counted to zero', idempotency_key => 'idem state adjust');
SELECT c360_set('max_amount', NULL);

-- A retry expires nothing, but what is overdue is not available.
SELECT virtual_balance FROM c360_issue_credit('0909000006', 10, 'MANUAL', 'ends', '2099-01-01', idempotency_key => 'idem overdue');
SELECT virtual_balance FROM c360_issue_credit('0909000006', 3, 'MANUAL', 'stays', '2099-01-01');
SELECT test.let_expire('0909000006', 'ends');
SELECT type, virtual_balance, available, replayed
FROM c360_issue_credit('0909000006', 10, 'MANUAL', 'ends', '2099-01-01', idempotency_key => 'idem overdue');
SELECT * FROM test.lots_of('0909000006');
SELECT expired_count > 0 AS expired FROM c360_expire_credits();

-- One SELECT, one key, three calls.
SELECT (c360_deposit('0909000007', 1, idempotency_key => 'idem thrice')).replayed,
       (c360_deposit('0909000007', 1, idempotency_key => 'idem thrice')).replayed,
       (c360_deposit('0909000007', 1, idempotency_key => 'idem thrice')).replayed;
SELECT balance FROM c360_wallet('0909000007');

-- The number moved to another customer since: the retry is answered from
-- the wallet in which the call happened.
SELECT balance FROM c360_deposit('0909000008', 40, idempotency_key => 'idem moved');
UPDATE c360.customers SET phone = '0909000018' WHERE phone = '0909000008';
SELECT :shown FROM c360_deposit('0909000008', 40, idempotency_key => 'idem moved');
SELECT count(*) FROM c360.customers WHERE phone = '0909000008';
-- the same key for another call is refused and makes no customer either
SELECT test.error_of($$SELECT c360_deposit('0909000008', 41, idempotency_key => 'idem moved')$$);
SELECT count(*) FROM c360.customers WHERE phone = '0909000008';
SELECT :shown FROM c360_deposit('0909000008', 7);
SELECT :shown FROM c360_deposit('0909000008', 40, idempotency_key => 'idem moved');
SELECT phone, balance FROM c360_wallets(ARRAY['0909000008', '0909000018']) ORDER BY phone;
-- by the new number it is another call
SELECT test.error_of($$SELECT c360_deposit('0909000018', 40, idempotency_key => 'idem moved')$$);

-- Under PostgREST the header serves, for the function that the request names.
SELECT set_config('request.method', 'POST', false), set_config('request.path', '/rpc/c360_deposit', false),
       set_config('request.headers', '{"idempotency-key": "idem header", "accept": "*/*"}', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT left(test.error_of($$SELECT c360_deposit('0909000009', 11)$$), 5);
-- an argument wins
SELECT :shown FROM c360_deposit('0909000009', 10, idempotency_key => 'idem argument');
-- another function than the one named has no key
SELECT :shown FROM c360_withdraw('0909000009', 1);
SELECT :shown FROM c360_withdraw('0909000009', 1);
SELECT set_config('request.path', '/rpc/c360_withdraw', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT set_config('request.path', '/rpc/pay', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT set_config('request.path', '/c360_deposit', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT set_config('request.path', '', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT set_config('request.path', '/rpc/c360_deposit', false);
-- no header, an empty one, headers that are none
SELECT set_config('request.headers', '{"accept": "*/*"}', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT set_config('request.headers', '{"idempotency-key": ""}', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT set_config('request.headers', '[]', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
SELECT set_config('request.headers', '', false);
SELECT :shown FROM c360_deposit('0909000009', 10);
-- bounded like the argument
SELECT set_config('request.headers', jsonb_build_object('idempotency-key', repeat('k', 201))::text, false) <> '' AS set;
SELECT test.error_of($$SELECT c360_deposit('0909000009', 10)$$);

-- A call inside the call has no key of its own, even of the same function.
SELECT c360_get_or_create_customer('0909000011') > 0 AS created;
CREATE FUNCTION test.share() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.c360_deposit('0909000011', 1);
    RETURN NULL;
END $$;
CREATE TRIGGER share AFTER INSERT ON c360.wallet_transactions FOR EACH ROW
    WHEN (NEW.reference_id = 'shared') EXECUTE FUNCTION test.share();
SELECT set_config('request.headers', '{"idempotency-key": "idem nested"}', false);
SELECT :shown FROM c360_deposit('0909000010', 10, reference_id => 'shared');
SELECT :shown FROM c360_deposit('0909000010', 10, reference_id => 'shared');
SELECT phone, balance FROM c360_wallets(ARRAY['0909000010', '0909000011']) ORDER BY phone;
SELECT count(*) FROM c360.wallet_transactions
WHERE customer_id = test.customer('0909000011') AND idempotency_key IS NOT NULL;
DROP TRIGGER share ON c360.wallet_transactions;
DROP FUNCTION test.share();
SELECT set_config('request.method', '', false), set_config('request.path', '', false),
       set_config('request.headers', '', false);

DROP FUNCTION test.rows_written();
SELECT * FROM c360_verify_wallets();
