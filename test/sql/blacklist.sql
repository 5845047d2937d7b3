-- A blacklisted customer's lots are passed over; his real balance stays his.
-- Phones 0908.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

SELECT balance FROM c360_deposit('0908000001', 100);
SELECT virtual_balance FROM c360_issue_credit('0908000001', 50, 'MANUAL', 'lot', '2099-01-01');
SELECT balance FROM c360_deposit('0908000002', 100);
SELECT virtual_balance FROM c360_issue_credit('0908000002', 50, 'MANUAL', 'lot', '2099-01-01');
UPDATE c360.customers SET tier = 'blacklist' WHERE phone = '0908000001';
SELECT phone, balance, virtual_balance, available FROM c360_wallets(ARRAY['0908000001', '0908000002']);

SELECT :shown FROM c360_withdraw('0908000001', 60);
SELECT :shown FROM c360_withdraw('0908000002', 60);
-- 40 real and 50 blocked: where lots would have done, it says so
SELECT test.error_of($$SELECT c360_withdraw('0908000001', 41)$$);
SELECT test.error_of($$SELECT c360_withdraw('0908000001', 90)$$);
-- where they would not, there is not enough money
SELECT test.error_of($$SELECT c360_withdraw('0908000001', 91)$$);
-- overdue lots would not have done
SELECT virtual_balance FROM c360_issue_credit('0908000001', 10, 'MANUAL', 'overdue', '2099-01-01');
SELECT test.let_expire('0908000001', 'overdue');
SELECT test.error_of($$SELECT c360_withdraw('0908000001', 91)$$);
SELECT :shown FROM c360_withdraw('0908000001', 40);
SELECT * FROM test.lots_of('0908000001');

-- Frozen counts first.
SELECT c360_freeze_wallet('0908000001', 'both');
SELECT test.error_of($$SELECT c360_withdraw('0908000001', 1)$$);
SELECT available FROM c360_wallet('0908000001');
SELECT c360_unfreeze_wallet('0908000001');

-- He may be given money and credit, and refunds.
SELECT :shown FROM c360_deposit('0908000001', 3);
SELECT :shown FROM c360_issue_credit('0908000001', 4, 'MANUAL', 'another', '2099-02-01');
-- Lifted, all is as before.
UPDATE c360.customers SET tier = 'new' WHERE phone = '0908000001';
SELECT :shown FROM c360_withdraw('0908000001', 57);

SELECT * FROM c360_verify_wallets();
