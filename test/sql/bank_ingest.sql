-- Bank transfers: stored, decided, linked, deposited.  Phones 0915, ids 915.
\set told 'result, phone, c.customer_id = test.customer(phone) AS his, customer_created AS created, transaction_id IS NOT NULL AS paid'
\set shown :told ', amount'

CREATE FUNCTION test.transfer(id bigint, content text, amount bigint, further jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'gateway', 'MBBank', 'transactionDate', '2025-05-26 16:14:51',
        'accountNumber', '0123499999', 'code', NULL, 'content', content, 'transferType', 'in',
        'transferAmount', amount, 'accumulated', 19077000, 'subAccount', NULL,
        'referenceCode', 'MBVCB.' || id, 'description', '') || further
$$;
-- What is stored of a transfer.
CREATE FUNCTION test.bank_row(wanted bigint)
RETURNS TABLE (result text, error text, attempts integer, retry boolean, decided boolean, links text, matches text, deposits text)
LANGUAGE sql AS $$
    SELECT h.result, test.without_ids(h.error), h.attempts, h.next_attempt_at IS NOT NULL, h.decided_at IS NOT NULL,
           (SELECT string_agg(concat_ws(' ', l.method, c.phone, 'until ' || l.unlinked_at), ', ')
            FROM c360.bank_links l JOIN c360.customers c ON c.id = l.customer_id WHERE l.bank_transaction_id = h.id),
           (SELECT string_agg(m.status, ', ') FROM c360.pending_customer_matches m WHERE m.bank_transaction_id = h.id),
           (SELECT string_agg(concat_ws(' ', t.type, t.amount, t.source, t.operation), ', ') FROM c360.wallet_transactions t
            JOIN c360.bank_links l ON l.id = t.bank_link_id WHERE l.bank_transaction_id = h.id)
    FROM c360.balance_history h WHERE h.sepay_id = wanted
$$;

-- One whole phone: a new customer, then a known one.
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915001, 'CK 0915000001 tien hang', 150000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915002, '84915000001 coc ao', 50000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915003, 'CK 0915 000 002', 7)) AS c;
SELECT phone, name, carrier, created_source FROM c360.customers WHERE phone LIKE '0915%' ORDER BY phone;
SELECT phone, balance, total_deposited FROM c360_wallets(ARRAY['0915000001', '0915000002']);
SELECT * FROM test.bank_row(915001);
SELECT type, operation, amount, "real", balance, source, split_part(reference, ' ', 1) AS reference FROM test.ledger('0915000002');
-- the deposit names the transfer, and when it happened, in shop time
SELECT t.reference_id = h.id::text AS named, t.occurred_at = '2025-05-26 16:14:51+07' AS occurred, t.idempotency_key,
       h.gateway, h.transaction_date = t.occurred_at AS dated, h.account_number, h.content, h.transfer_type, h.transfer_amount,
       h.accumulated, h.reference_code, h.raw_data = test.transfer(915003, 'CK 0915 000 002', 7) AS raw
FROM c360.wallet_transactions t, c360.balance_history h
WHERE t.customer_id = test.customer('0915000002') AND h.sepay_id = 915003;
SELECT e - 'customers' AS decision, e -> 'customers' = jsonb_build_array(test.customer('0915000001')) AS customers
FROM c360.balance_history, jsonb_array_elements(decision) AS e WHERE sepay_id = 915002;
SELECT topic, event, reference, payload FROM test.timeline('0915000002');
SELECT event, payload FROM c360.customer_activities
WHERE topic = 'bank' AND payload ->> 'sepay_id' = '915003' AND customer_id IS NULL ORDER BY id;

-- A known code wins over every phone.
SELECT c360_create_qr_code('0915000002') AS code \gset
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915010, '0915000001 ' || lower(:'code'), 1000)) AS c;
SELECT links, deposits FROM test.bank_row(915010);
-- even over two, and over unknown codes
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915011, 'N2ZZZZZZZZZZZZZZZZ 0915000001 0915000009 ' || :'code', 1000)) AS c;
-- two of different customers do not win: staff choose
SELECT c360_create_qr_code('0915000001') AS code2 \gset
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915012, :'code' || ' ' || :'code2', 1000)) AS c;
SELECT * FROM test.bank_row(915012);
SELECT e ->> 'kind' AS kind, e ->> 'value' IN (:'code', :'code2') AS value, e ->> 'position' AS position,
       e -> 'customers' = jsonb_build_array(CASE e ->> 'value' WHEN :'code' THEN test.customer('0915000002') ELSE test.customer('0915000001') END) AS customers
FROM c360.pending_customer_matches m JOIN c360.balance_history h ON h.id = m.bank_transaction_id,
     jsonb_array_elements(m.candidates) AS e WHERE h.sepay_id = 915012;
-- an unknown code does not stop the search
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915013, 'N2ZZZZZZZZZZZZZZZZ 0915000001', 1000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915014, 'N2ZZZZZZZZZZZZZZZZ', 1000)) AS c;
-- a retired code is no longer known
UPDATE c360.balance_customer_info SET retired_at = now() WHERE code = :'code';
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915015, '0915000001 ' || :'code', 1000)) AS c;

-- Two whole phones of different customers: pending with both, known or not.
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915020, '0915000001 0915000002', 2000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915021, '0915000001 cho 0915000019', 2000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915022, '0915000018 0915000019', 2000)) AS c;
SELECT result, links, matches, deposits FROM unnest(ARRAY[915020, 915021, 915022]) AS n, test.bank_row(n);
SELECT h.sepay_id, e ->> 'value' AS value,
       (SELECT string_agg(c.phone, ' ') FROM jsonb_array_elements_text(e -> 'customers') AS i JOIN c360.customers c ON c.id = i::bigint) AS customers
FROM c360.pending_customer_matches m JOIN c360.balance_history h ON h.id = m.bank_transaction_id,
     jsonb_array_elements(m.candidates) WITH ORDINALITY AS j (e, n) WHERE h.sepay_id BETWEEN 915020 AND 915022 ORDER BY h.sepay_id, n;
SELECT count(*) FROM c360.customers WHERE phone IN ('0915000018', '0915000019');
-- one phone in two spellings is one customer's
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915023, '0915000001 +84 915 000 001', 2000)) AS c;

-- Nobody to be found; nothing there.
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915030, 'chuyen tien', 3000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915031, '', 3000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915032, NULL, 3000)) AS c;
SELECT * FROM test.bank_row(915030);
-- the shop's own numbers never count
INSERT INTO c360.transfer_ignored (value, reason) VALUES ('0915 000 777', 'hotline');
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915033, 'shop 0915000777', 3000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915034, 'shop 0915000777 cua 0915000001', 3000)) AS c;
DELETE FROM c360.transfer_ignored WHERE reason = 'hotline';

-- Unknown phones may be left to staff.
SELECT c360_set('create_customer_from_transfer', 'false');
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915040, '0915000003', 4000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915041, '0915000001', 4000)) AS c;
SELECT c360_set('create_customer_from_transfer', NULL);
SELECT result, links, matches, deposits FROM test.bank_row(915040);
SELECT count(*) FROM c360.customers WHERE phone = '0915000003';

-- Outgoing and zero transfers are stored, no more.
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915050, '0915000001', 5000, '{"transferType": "out"}')) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915051, '0915000001', 0)) AS c;
SELECT result, links, matches, deposits FROM unnest(ARRAY[915050, 915051]) AS n, test.bank_row(n);

-- The same id again changes nothing; a difference is kept.
SELECT balance FROM c360_wallet('0915000001');
SELECT :told FROM c360_ingest_bank_transaction(test.transfer(915001, 'CK 0915000001 tien hang', 150000)) AS c;
SELECT count(*) FROM c360.balance_history_differences d JOIN c360.balance_history h ON h.id = d.bank_transaction_id WHERE h.sepay_id = 915001;
SELECT :told FROM c360_ingest_bank_transaction(test.transfer(915001, 'CK 0915000001 tien hang', 150001)) AS c;
SELECT :told FROM c360_ingest_bank_transaction(test.transfer(915001, 'CK 0915000002 tien hang', 150000)) AS c;
SELECT :told FROM c360_ingest_bank_transaction(test.transfer(915001, 'CK 0915000002 tien hang', 150000)) AS c;
SELECT :told FROM c360_ingest_bank_transaction(test.transfer(915030, 'chuyen tien', 3000)) AS c;
SELECT d.raw_data ->> 'content' AS content, d.raw_data ->> 'transferAmount' AS amount
FROM c360.balance_history_differences d JOIN c360.balance_history h ON h.id = d.bank_transaction_id
WHERE h.sepay_id = 915001 ORDER BY d.received_at;
SELECT content, transfer_amount, result FROM c360.balance_history WHERE sepay_id = 915001;
SELECT balance FROM c360_wallet('0915000001');
SELECT count(*) FROM c360.balance_history WHERE sepay_id = 915001;
-- twice in one SELECT
SELECT (c360_ingest_bank_transaction(p)).result AS first, (c360_ingest_bank_transaction(p)).result AS second
FROM test.transfer(915052, '0915000004', 9) AS p;

-- Real money is not bounded by max_amount, which is for amounts by hand.
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915053, '0915000005', 2000000000)) AS c;

-- What fails is stored with the reason and can be tried again: here a rule
-- of the shop refuses one customer.
CREATE FUNCTION test.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.customer_id IN (SELECT id FROM c360.customers WHERE phone = '0915000006') THEN
        RAISE EXCEPTION 'this customer is not served' USING ERRCODE = 'P0099';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION test.refuse();
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915060, '0915000006', 6000)) AS c;
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915061, '0915000007', 6000)) AS c;
SELECT * FROM test.bank_row(915060);
SELECT next_attempt_at - received_at BETWEEN interval '4 minutes' AND interval '6 minutes' AS in_five_minutes
FROM c360.balance_history WHERE sepay_id = 915060;
SELECT count(*) FROM c360.customers WHERE phone = '0915000006';
SELECT event FROM c360.customer_activities WHERE payload ->> 'sepay_id' = '915060' ORDER BY id;
-- two in one statement: the failure of one is not the other's
SELECT n, result FROM unnest(ARRAY[915062, 915063, 915064]) AS n,
    c360_ingest_bank_transaction(test.transfer(n, CASE n WHEN 915063 THEN '0915000006' ELSE '0915000008' END, 1)) ORDER BY n;
-- the same id again is a duplicate, failed as it is
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915060, '0915000006', 6000)) AS c;
SELECT result, attempts FROM test.bank_row(915060);
DROP TRIGGER refuse ON c360.wallet_transactions;
DROP FUNCTION test.refuse();
-- an overflow is one, too
SELECT c360_set('max_amount', '0');
SELECT balance FROM c360_deposit('0915000010', 9223372036854775807);
SELECT c360_set('max_amount', NULL);
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915065, '0915000010', 1)) AS c;
SELECT result, error, links FROM test.bank_row(915065);
SELECT balance FROM c360_wallet('0915000010');

-- A frozen wallet takes deposits, a blacklisted customer's as well.
SELECT c360_freeze_wallet('0915000001', 'for the test');
UPDATE c360.customers SET tier = 'blacklist' WHERE phone = '0915000001';
SELECT :shown FROM c360_ingest_bank_transaction(test.transfer(915070, '0915000001', 1)) AS c;

-- A transfer is one deposit, whatever is done by hand.
SELECT count(*) = count(DISTINCT bank_transaction_id) AS one_link_each FROM c360.bank_links WHERE unlinked_at IS NULL;
SELECT count(*) = count(DISTINCT bank_link_id) AS one_deposit_each FROM c360.wallet_transactions WHERE source = 'BANK_TRANSFER';
SELECT sum(h.transfer_amount) = sum(t.amount) AS all_deposited
FROM c360.balance_history h JOIN c360.bank_links l ON l.bank_transaction_id = h.id
JOIN c360.wallet_transactions t ON t.bank_link_id = l.id WHERE h.sepay_id BETWEEN 915000 AND 915999;

DROP FUNCTION test.bank_row(bigint);
DROP FUNCTION test.transfer(bigint, text, bigint, jsonb);
SELECT * FROM c360_verify_wallets();
