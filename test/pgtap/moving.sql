-- doc/moving.md: a small shop of the old service comes over, sound and
-- unsound books, by the blocks of the page.
BEGIN;
\ir tools.psql
\set dir `mktemp -d`
\set made `perl test/blocks.pl doc/moving.md 'The tables that are assumed' >:'dir'/tables.sql && perl test/blocks.pl doc/moving.md 'Looking first' - >:'dir'/moving.sql`
SELECT no_plan();
\i :dir/tables.sql

INSERT INTO legacy.customers (id, phone, name, email, status, tier, tags, tpos_data, created_at) VALUES
    (1, '+84 912 345 678', 'Nguyễn Văn An', 'an@x.vn', 'VIP', 'gold', '["sỉ"]', '{"Id": 7, "FullAddress": "1 Lê Lợi"}', '2024-03-01'),
    (2, '0908123456', '', NULL, 'Bình thường', 'new', NULL, NULL, '2024-03-02'),
    (3, '12', 'no phone', NULL, NULL, NULL, NULL, NULL, '2024-03-03'),
    (4, '0933.111.222', 'Bình', NULL, 'Cảnh báo', 'blacklist', '[]', NULL, '2024-03-04'),
    (5, '84933111222', 'Bình again', NULL, NULL, NULL, NULL, NULL, '2024-03-05'),
    (6, '0977000111', 'negative', NULL, NULL, NULL, NULL, NULL, '2024-03-06'),
    (7, '0977000222', 'fraction', NULL, NULL, NULL, NULL, NULL, '2024-03-07'),
    (8, '0977000333', 'credit lost', NULL, NULL, NULL, NULL, NULL, '2024-03-08'),
    (9, '0977000444', 'no wallet', NULL, NULL, NULL, NULL, NULL, '2024-03-09');
INSERT INTO legacy.customer_notes VALUES (1, 1, 'khách quen', 'important', true, 'lan', '2024-04-01'), (2, 3, 'lost', NULL, NULL, NULL, NULL);
INSERT INTO legacy.customer_wallets VALUES
    (11, 1, 430000, 20000, false), (12, 2, 70000, 5000, true), (14, 4, 1000, 0, false), (15, 5, 2000, 0, false),
    (16, 6, -500, 0, false), (17, 7, 99.5, 0, false), (18, 8, 0, 40000, false), (13, 3, 777, 0, false);
INSERT INTO legacy.virtual_credits VALUES
    (101, 11, 50000, 0, 'USED', 'BOOM', 'TV-2024-00001', '2024-05-10', '2024-05-01'),
    (102, 11, 30000, 10000, 'EXPIRED', 'PROMOTION', 'tet', '2024-05-20', '2024-05-02'),
    (103, 11, 20000, 20000, 'ACTIVE', 'RETURN_GOODS', 'x', now() + interval '5 days', '2024-05-03'),
    (104, 11, 15000, 0, 'CANCELLED', 'PROMOTION', 'tet', '2024-06-20', '2024-05-04'),
    (105, 12, 9000, 5000, 'ACTIVE', 'PROMOTION', 'tet', now() + interval '9 days', '2024-05-05'),
    (106, 18, 50000, 40000, 'ACTIVE', 'MANUAL', NULL, now() + interval '9 days', '2024-05-05');
INSERT INTO legacy.balance_history (id, sepay_id, gateway, transaction_date, account_number, content, transfer_type, transfer_amount,
    raw_data, linked_customer_phone, match_method, created_at) VALUES
    (501, 90001, 'VCB', '2024-05-01 09:00+07', '0123', '0912345678', 'in', 500000, '{"id": 90001}', '0912345678', 'phone', '2024-05-01 09:01+07'),
    (502, 90002, 'VCB', '2024-05-01 10:00+07', '0123', 'who?', 'in', 33000, NULL, NULL, NULL, '2024-05-01 10:01+07'),
    (503, 90003, 'VCB', '2024-05-01 11:00+07', '0123', 'rent', 'out', 44000, NULL, NULL, NULL, '2024-05-01 11:01+07'),
    (504, 90004, 'VCB', '2024-05-02 11:00+07', '0123', 'BINH', 'in', 1000, NULL, '0933111222', 'by hand', '2024-05-02 11:01+07');
INSERT INTO legacy.wallet_transactions VALUES
    (201, 11, 'DEPOSIT', 500000, 0, 500000, 0, 0, 'BANK_TRANSFER', 'balance_history', '501', 'ck', 'sepay', '2024-05-01 09:01+07'),
    (202, 11, 'VIRTUAL_CREDIT', 50000, 500000, 500000, 0, 50000, 'BOOM', 'virtual_credit', '101', NULL, 'lan', '2024-05-01 12:00+07'),
    (203, 11, 'VIRTUAL_CREDIT', 30000, 500000, 500000, 50000, 80000, 'PROMOTION', 'virtual_credit', '102', NULL, 'lan', '2024-05-02 12:00+07'),
    (204, 11, 'VIRTUAL_CREDIT', 20000, 500000, 500000, 80000, 100000, 'x', 'virtual_credit', '103', NULL, 'lan', '2024-05-03 12:00+07'),
    (205, 11, 'VIRTUAL_CREDIT', 15000, 500000, 500000, 100000, 115000, 'x', 'virtual_credit', '104', NULL, 'lan', '2024-05-03 13:00+07'),
    (206, 11, 'VIRTUAL_CANCEL', 15000, 500000, 500000, 115000, 100000, 'x', 'virtual_credit', '104', NULL, 'lan', '2024-05-03 14:00+07'),
    (207, 11, 'VIRTUAL_DEBIT', 45000, 500000, 500000, 100000, 55000, NULL, 'order', 'DH-1', NULL, 'lan', '2024-05-04 12:00+07'),
    (208, 11, 'VIRTUAL_DEBIT', 25000, 500000, 500000, 55000, 30000, NULL, 'order', 'DH-2', NULL, 'lan', '2024-05-05 12:00+07'),
    (209, 11, 'WITHDRAW', 75000, 500000, 425000, 30000, 30000, NULL, 'order', 'DH-2', NULL, 'lan', '2024-05-05 12:00+07'),
    (210, 11, 'VIRTUAL_EXPIRE', 10000, 425000, 425000, 30000, 20000, NULL, 'virtual_credit', '102', NULL, 'cron', '2024-05-20 00:00+07'),
    (211, 11, 'ADJUSTMENT', 5000, 425000, 430000, 20000, 20000, NULL, NULL, NULL, 'sửa sai', 'lan', '2024-05-21 00:00+07'),
    (212, 12, 'DEPOSIT', 60000, 0, 60000, 0, 0, 'MANUAL', NULL, NULL, NULL, 'lan', '2024-05-05'),
    (213, 18, 'VIRTUAL_CREDIT', 50000, 0, 0, 0, 50000, 'MANUAL', 'virtual_credit', '106', NULL, 'lan', '2024-05-05'),
    (214, 18, 'WITHDRAW', 10000, 0, 0, 50000, 40000, NULL, NULL, NULL, NULL, 'lan', '2024-05-06'),
    (215, 17, 'DEPOSIT', 99.5, 0, 99.5, 0, 0, 'MANUAL', NULL, NULL, NULL, 'lan', '2024-05-05');
UPDATE legacy.wallet_transactions SET reference_id = '999' WHERE id = 213;
INSERT INTO legacy.orders VALUES ('DH-1', '0912345678', 200000, 'delivered', '2024-05-04'), ('DH-9', '0912345678', 100000, 'returned', '2024-05-05'),
    ('DH-4', '0933111222', 50000, 'pending', '2024-03-01');
INSERT INTO legacy.customer_tickets (id, ticket_code, customer_id, type, status, priority, order_code, refund_amount, virtual_credit_id,
    wallet_transaction_id, created_by, created_at, completed_at) VALUES
    (1, 'TV-2024-00001', 1, 'BOOM', 'COMPLETED', 'high', 'DH-1', 50000, 101, NULL, 'lan', '2024-05-01', '2024-05-01'),
    (2, 'TV-2024-00007', 5, 'SOMETHING', 'PENDING_GOODS', NULL, 'DH-4', NULL, NULL, NULL, NULL, '2024-05-02', NULL),
    (3, 'TV-2024-00008', 3, 'OTHER', 'PENDING', NULL, NULL, NULL, NULL, NULL, NULL, '2024-05-02', NULL);

\i :dir/moving.sql
-- the last block of the page, once more
\set compared `perl test/blocks.pl doc/moving.md Reconciling`
SELECT is((SELECT string_agg(problem || ': ' || id, ', ' ORDER BY id) FROM wallets),
          'the balance is not the sum of the transactions: 12, another wallet of the same phone: 14, another wallet of the same phone: 15,'
          ' negative: 16, fractions of a đồng: 17, a row whose change does not fit its type: 18', 'books that do not agree, and why');
SELECT is_empty(rtrim(:'compared', E' ;\n'), 'everything came over');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the new books agree');
-- and it would be seen if something had not
SAVEPOINT changed;
UPDATE wallets SET balance = balance + 1 WHERE id IN (11, 12);
UPDATE old_lots SET remaining_amount = remaining_amount + 1 WHERE id = 105;
UPDATE legacy.balance_history SET transfer_amount = transfer_amount + 1 WHERE id = 502;
INSERT INTO legacy.customer_tickets (id, ticket_code, customer_id) VALUES (9, 'new', 1);
INSERT INTO who VALUES (9999, '0999999999', true);
SELECT set_eq(format('SELECT what FROM (%s) AS x', rtrim(:'compared', E' ;\n')),
              ARRAY['customers', 'real balance', 'active credit', 'transfers in', 'tickets'], 'what is missing is told');
ROLLBACK TO changed;

-- customers
SELECT is((SELECT count(*) FROM c360.customers), 7::bigint, 'those with a phone, each once');
SELECT is((SELECT format('%s %s %s %s %s %s %s', name, tier, status, status_locked, tags, address, created_at::date)
           FROM c360.customers WHERE phone = '0912345678'), 'Nguyễn Văn An gold VIP t {sỉ} 1 Lê Lợi 2024-03-01', 'what is known of a customer');
SELECT is((SELECT format('%s %s %s', name, tier, tier_locked) FROM c360.customers WHERE phone = '0933111222'), 'Bình blacklist t', 'of two the first');
SELECT is((SELECT string_agg(content || ' ' || category || ' ' || pinned, ',') FROM c360.customer_notes), 'khách quen important true', 'notes');

-- wallets
SELECT is(pg_temp.wallet('0912345678'), '430000 + 20000, available 450000', 'a wallet with history');
SELECT is(pg_temp.wallet('0908123456'), '70000 + 5000, available 0, frozen', 'a wallet that begins anew, frozen as it was');
SELECT is(pg_temp.wallet('0933111222'), '3000 + 0, available 3000', 'two wallets become one');
SELECT is(pg_temp.wallet('0977000111'), '0 + 0, available 0', 'a negative one begins with nothing');
SELECT is(pg_temp.wallet('0977000222'), '99 + 0, available 99', 'fractions fall off');
SELECT is(pg_temp.wallet('0977000333'), '0 + 40000, available 40000', 'credit stays');
SELECT is((SELECT string_agg(format('%s %s %s', type, real_change, virtual_change), ', ' ORDER BY t.id) FROM c360.wallet_transactions t
           JOIN c360.customers c ON c.id = t.customer_id AND c.phone = '0912345678'),
          'DEPOSIT 500000 0, VIRTUAL_CREDIT 0 50000, VIRTUAL_CREDIT 0 30000, VIRTUAL_CREDIT 0 20000, VIRTUAL_CREDIT 0 15000,'
          ' VIRTUAL_CANCEL 0 -15000, WITHDRAW 0 -45000, WITHDRAW 0 -25000, WITHDRAW -75000 0, VIRTUAL_EXPIRE 0 -10000, ADJUSTMENT 5000 0',
          'its ledger, in the old order');
SELECT is((SELECT string_agg(format('%s of %s from %s', u.amount, abs(t.virtual_change), v.kind), ', ' ORDER BY u.transaction_id, u.position)
           FROM c360.virtual_credit_uses u JOIN c360.wallet_transactions t ON t.id = u.transaction_id JOIN c360.virtual_credits v ON v.id = u.credit_id),
          '45000 of 45000 from BOOM, 5000 of 25000 from BOOM, 20000 of 25000 from PROMOTION', 'uses of credit by expiry');
SELECT is((SELECT balance || ' + ' || virtual_balance FROM c360_balance_at('0912345678', '2024-05-04 15:00+07')), '500000 + 55000', 'the balance at a moment of the past');
SELECT is((SELECT string_agg(note, ', ') FROM c360_wallet_transactions('0912345678') WHERE note IS NOT NULL), 'sửa sai, ck', 'notes of transactions');
SELECT is((SELECT format('%s %s', real_change, virtual_change) FROM c360_withdraw('0912345678', 25000)), '-5000 -20000', 'and it goes on');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books still agree');

-- transfers
SELECT is((SELECT string_agg(format('%s %s', sepay_id, result), ', ' ORDER BY sepay_id) FROM c360.balance_history),
          '90001 deposited, 90002 unmatched, 90003 stored, 90004 linked', 'transfers and what became of them');
SELECT is((SELECT result FROM c360_ingest_bank_transaction('{"id": 90001, "gateway": "VCB", "transactionDate": "2024-05-01 09:00:00",
          "accountNumber": "0123", "transferType": "in", "transferAmount": 500000, "content": "0912345678"}')), 'duplicate', 'the gateway telling one again');

-- tickets and orders
SELECT is((SELECT string_agg(format('%s %s %s %s %s %s', t.ticket_code, t.type, t.status, t.priority, t.compensation, v.kind), ', ' ORDER BY ticket_code)
           FROM c360.customer_tickets t LEFT JOIN c360.virtual_credits v ON v.id = t.credit_id),
          'TV-2024-00001 BOOM completed high credit BOOM, TV-2024-00007 OTHER waiting_carrier normal  ', 'tickets');
SELECT is(pg_temp.failure($$SELECT c360_resolve_ticket('TV-2024-00001', 1000, 'credit')$$), 'PT409 compensated', 'a compensated ticket is not compensated again');
SELECT is((SELECT format('%s %s %s %s', total, spent, decided, decided_returned) FROM c360.customer_order_totals o
           JOIN c360.customers c ON c.id = o.customer_id AND c.phone = '0912345678'), '2 200000 2 2', 'orders are counted, the ticket with them');

SELECT * FROM finish();
ROLLBACK;
\set removed `rm -r :'dir'`
