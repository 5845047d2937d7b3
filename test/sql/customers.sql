-- Customers found or made by their phone.  Phones 0923.

SELECT c360_get_or_create_customer('0923 000 001') AS first, c360_get_or_create_customer('+84923000002', 'Trần Văn Bình') AS second \gset
SELECT id = CASE phone WHEN '0923000001' THEN :first ELSE :second END AS answered, phone, name, carrier, status, tier, created_source
FROM c360.customers WHERE phone LIKE '0923%' ORDER BY phone;
SELECT topic, event, reference, payload FROM test.timeline('0923000002');
-- a known one is found, and keeps its name
SELECT c360_get_or_create_customer('0923000002', 'Somebody Else') = :second AS same;
SELECT c360_get_or_create_customer('84923000001') = :first AS same;
SELECT name FROM c360.customers WHERE id = :second;
SELECT count(*) FROM c360.customer_activities WHERE customer_id = :second;
-- twice in one SELECT
SELECT count(DISTINCT c360_get_or_create_customer('0923000003')) FROM generate_series(1, 3);
SELECT count(*) FROM c360.customers WHERE phone = '0923000003';

-- A customer that never moved money shows zeros.
SELECT phone, balance, virtual_balance, available, frozen, total_deposited, total_withdrawn, total_virtual_issued, total_virtual_used,
       total_virtual_expired, lots FROM c360_wallet('0923000001');
SELECT count(*) FROM c360.customer_wallets WHERE customer_id = :first;

\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_get_or_create_customer(NULL)$$);
SELECT test.error_of($$SELECT c360_get_or_create_customer('')$$);
SELECT test.error_of($$SELECT c360_get_or_create_customer('12345')$$);
SELECT test.error_of($$SELECT c360_get_or_create_customer('0923000004', '  ')$$);
SELECT test.error_of($$SELECT c360_get_or_create_customer('0923000004', repeat('ế', 256))$$);
SELECT count(*) FROM c360.customers WHERE phone = '0923000004';
SELECT c360_get_or_create_customer('0923000004', repeat('ế', 255)) > 0;
\pset tuples_only off
\pset format aligned

-- Fields: what is not given stays, and nothing is reset.
SELECT c360_upsert_customer('0923000011', ' Nguyễn Thị  Đào ', 'Dao@Shop.VN', '1 Phố Huế', tags => '{vip,NULL,"hay, trả"}', aliases => '{Chị Đào}',
                            internal_note => 'asks', created_source => 'import', created_at => '2020-01-02 03:04:05+07')
       - '{id,updated_at}'::text[] AS created;
SELECT name_folded, email_folded, address_folded FROM c360.customers WHERE phone = '0923000011';
SELECT topic, event, reference, payload FROM test.timeline('0923000011');
SELECT c360_upsert_customer('0923000012', 'Bình') ->> 'created_source' AS source;
SELECT c360_upsert_customer('84923000011') ->> 'name' AS name;
SELECT c360_upsert_customer('0923000011', email => 'new@shop.vn', created_source => 'manual', created_at => '2021-01-01')
       - '{id,updated_at}'::text[] AS changed;
SELECT c360_upsert_customer('0923000011', email => 'new@shop.vn', tags => '{vip,"hay, trả"}') ->> 'email' AS same;
SELECT c360_upsert_customer('0923000011', address => ' ', tags => '{}', name => 'Đỗ Đào') - '{id,updated_at}'::text[] AS emptied;
SELECT name_folded, email_folded, address_folded FROM c360.customers WHERE phone = '0923000011';
SELECT event, payload FROM test.timeline('0923000011');
SELECT name, email, tags FROM c360.customers WHERE phone = '0923000012';

-- Point of sale takes what is empty, default or its own.
SELECT c360_upsert_tpos_customer('0923000013', '{"Id": 71, "Name": "Từ quầy", "Street": "2 Lê Lợi", "StatusText": "VIP", "Other": [1]}')
       - '{id,created_at,updated_at}'::text[] AS created;
SELECT tpos_data, tpos_fields FROM c360.customers WHERE phone = '0923000013';
-- its own fields it may set again; StatusText that is none of the five is ignored
SELECT c360_upsert_tpos_customer('0923000013', '{"Id": 71, "DisplayName": "Quầy hai", "FullAddress": "3 Lê Lợi", "StatusText": "Mới", "Email": null}')
       - '{id,created_at,updated_at}'::text[] AS changed;
-- what staff set stays, whatever point of sale says
SELECT c360_upsert_customer('0923000013', name => 'Của nhân viên') ->> 'name' AS staff;
SELECT c360_set_status('0923000013', 'Cảnh báo', false);
SELECT tpos_fields FROM c360.customers WHERE phone = '0923000013';
SELECT c360_upsert_tpos_customer('0923000013', '{"Id": 72, "Name": "Quầy ba", "FullAddress": "4 Lê Lợi", "Email": "q@q.vn", "StatusText": "VIP", "NameNetwork": "Mạng"}')
       - '{id,created_at,updated_at}'::text[] AS kept;
SELECT event, payload FROM test.timeline('0923000013');
-- the same record again changes nothing
SELECT count(*) AS before FROM test.timeline('0923000013') \gset
SELECT c360_upsert_tpos_customer('0923000013', '{"Id": 72, "Name": "Quầy ba", "FullAddress": "4 Lê Lợi", "Email": "q@q.vn", "StatusText": "VIP", "NameNetwork": "Mạng"}')
       ->> 'tpos_id' AS again;
SELECT count(*) - :before AS more FROM test.timeline('0923000013');
-- a known customer with the default name and empty fields is filled; a locked status is not
SELECT c360_set_status('0923000001', 'Bình thường');
SELECT c360_upsert_tpos_customer('0923000001', '{"Id": "A-1", "Name": "Tên", "Email": "t@t.vn", "StatusText": "VIP"}')
       - '{id,created_at,updated_at}'::text[] AS filled;
SELECT name FROM c360.customers WHERE phone = '0923000002';
SELECT phone FROM customers_without_tpos WHERE phone LIKE '0923%' ORDER BY phone;

-- Tier and status, with their locks.
SELECT c360_set_tier('0923000012', 'gold', false, 'good'), c360_set_tier('0923000012', 'gold', false), c360_set_tier('0923000012', 'gold'),
       c360_set_status('0923000012', 'VIP', reason => 'knows us'), c360_set_status('0923000012', 'VIP', NULL);
SELECT phone, tier, tier_locked, status, status_locked FROM c360.customers WHERE phone IN ('0923000011', '0923000012') ORDER BY phone;
SELECT event, payload FROM test.timeline('0923000012') OFFSET 1;

-- Another number.
SELECT c360_deposit('0923000012', 700) IS NOT NULL AS deposited;
SELECT c360_change_phone('0923000012', '84 86 300 0012', 'new one');
SELECT phone, carrier, name FROM c360.customers WHERE phone IN ('0923000012', '0863000012');
SELECT f.phone, f.reason, c.phone AS now FROM c360.customer_phones f JOIN c360.customers c ON c.id = f.customer_id WHERE f.phone LIKE '0923%';
SELECT balance FROM c360_wallet('0863000012');
SELECT payload ->> 'phone' AS told FROM c360_activities('0863000012') WHERE topic = 'wallets';
SELECT balance FROM c360_deposit('0863000012', 1);
-- the old number is free for another customer, and may come back when it is free again
SELECT c360_upsert_customer('0923000012', 'Ai khác') ->> 'name' AS another;
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_change_phone('0863000012', '0923000012', 'back')$$);
SELECT test.error_of($$SELECT c360_change_phone('0923000099', '0923000098', 'none')$$);
SELECT test.error_of($$SELECT c360_change_phone('0863000012', '0863000013', NULL)$$);
SELECT test.error_of($$SELECT c360_change_phone('0863000012', '0863000013', ' ')$$);
SELECT test.error_of($$SELECT c360_change_phone('0863000012', NULL, 'x')$$);
SELECT c360_change_phone('0863000012', '+84863000012', 'the same');
SELECT count(*) FROM c360.customer_phones WHERE reason = 'the same';
SELECT c360_change_phone('0923000012', '0863000014', 'away'), c360_change_phone('0863000012', '0923000012', 'back');
SELECT phone, name FROM c360.customers WHERE phone IN ('0923000012', '0863000012', '0863000014') ORDER BY phone;

-- Notes: pinned first, newest first.
SELECT c360_add_note('0923000012', 'first') < c360_add_note('0923000012', 'second', 'warning', true);
SELECT c360_add_note('0923000012', 'third', NULL, NULL) > 0, c360_add_note('0923000011', 'of another', 'important', true) > 0;
SELECT phone, content, category, pinned, created_by = session_user FROM c360_note_list WHERE phone IN ('0923000011', '0923000012')
ORDER BY phone, pinned DESC, id DESC;
SELECT n ->> 'content' FROM jsonb_array_elements(c360_customer('0923000012') -> 'notes') AS n;
SELECT event, payload - 'phone' FROM c360_activities('0923000012', max_rows => 2);

-- The timeline in pages.
SELECT array_agg(event) FROM c360_activities('0923000012');
SELECT id AS last FROM c360_activities('0923000012', max_rows => 3) ORDER BY id LIMIT 1 \gset
SELECT array_agg(event) FROM c360_activities('0923000012', :last, 2);
SELECT count(*) FROM c360_activities('0923000012', 0);

-- Many at once; erased, unknown and repeated ones.
SELECT phone, name, wallet_total FROM c360_customers(ARRAY['0923000012', '+84 923 000 011', NULL, '0923000012', '0923999999']);
SELECT phone FROM c360_customers('{0923000011}', ARRAY[:first, :first, -1, NULL]);
SELECT count(*) FROM c360_customers('{}');
SELECT count(*) FROM c360_recent_customers(3);
SELECT phone FROM c360_customer_list WHERE phone LIKE '0923%' ORDER BY id DESC LIMIT 2;

-- All about one.
SELECT k, jsonb_typeof(v) FROM jsonb_each(c360_customer('0923000012')) AS e (k, v) ORDER BY k;
SELECT (c360_customer('0923000012') -> 'customer') - '{id,created_at,updated_at}'::text[];
SELECT c360_customer('0923000012') -> 'wallet';
SELECT c360_customer('0923000012') -> 'tickets';
SELECT c360_customer('0923000001') -> 'wallet' ->> 'balance', jsonb_array_length(c360_customer('0923000001') -> 'activities');
SELECT lots -> 0 ->> 'amount' FROM c360_issue_credit('0923000012', 50, 'MANUAL', 'shown', '2099-01-01');
SELECT c360_customer('0923000012') #>> '{wallet,available}', c360_customer('0923000012') #>> '{wallet,lots,0,source_id}';

-- Export and erase.
SELECT k, jsonb_typeof(v) FROM jsonb_each(c360_export_customer('0923000012')) AS e (k, v) ORDER BY k;
SELECT test.error_of($$SELECT c360_erase_customer('0923000012', 'asked')$$);
SELECT balance, virtual_balance FROM c360_withdraw('0923000012', 751);
SELECT virtual_balance FROM c360_issue_credit('0923000012', 5, 'MANUAL', 'last', '2099-01-01');
SELECT test.error_of($$SELECT c360_erase_customer('0923000012', 'asked')$$);
SELECT virtual_balance FROM c360_withdraw('0923000012', 5);
INSERT INTO c360.ticket_types VALUES ('OTHER', 'Khác', false, 'none') ON CONFLICT DO NOTHING;
INSERT INTO c360.customer_tickets (ticket_code, customer_id, type, subject, created_by, created_at)
SELECT 'TV-1999-' || id, id, 'OTHER', 'Bình calls', 'an', now() FROM c360_customers('{0923000011,0923000012}');
SELECT c360_customer('0923000012') -> 'tickets' -> 'open', c360_customer('0923000012') #>> '{tickets,last,0,subject}';
SELECT test.error_of($$SELECT c360_erase_customer('0923000012', 'asked')$$);
UPDATE c360.customer_tickets SET status = 'completed' WHERE ticket_code LIKE 'TV-1999-%' AND customer_id = (SELECT id FROM c360_customers('{0923000012}'));
SELECT result FROM c360_ingest_bank_transaction('{"id": 923001, "gateway": "MB", "accountNumber": "1", "content": "0923000012 CK",
    "transactionDate": "2025-05-26 16:14:51", "transferType": "in", "transferAmount": 5}');
SELECT result FROM c360_ingest_bank_transaction('{"id": 923002, "gateway": "MB", "accountNumber": "1", "content": "0923000011 CK",
    "transactionDate": "2025-05-26 16:14:51", "transferType": "in", "transferAmount": 5}');
SELECT balance FROM c360_withdraw('0923000012', 5);
SELECT test.error_of($$SELECT c360_erase_customer('0923000012', NULL)$$);
SELECT test.error_of($$SELECT c360_erase_customer('0923000012', '')$$);
SELECT id AS gone FROM c360_customers('{0923000012}') \gset
SELECT count(*) AS ledger FROM c360.wallet_transactions WHERE customer_id = :gone \gset
SELECT c360_erase_customer('0923000012', 'asked');
SELECT test.error_of($$SELECT c360_erase_customer('0923000012', 'asked')$$);
SELECT phone, name, name_folded, email, address, carrier, tags, aliases, tpos_id, tpos_data, internal_note, erased_at IS NOT NULL
FROM c360.customers WHERE id = :gone;
SELECT count(*), count(DISTINCT payload), bool_and(payload = '{}' OR payload = '{"reason": "asked"}') FROM c360.customer_activities
WHERE customer_id = :gone;
SELECT content, category FROM c360.customer_notes WHERE customer_id = :gone ORDER BY id;
SELECT count(*) FROM c360.customer_phones WHERE customer_id = :gone;
SELECT subject, customer_id = :gone FROM c360.customer_tickets WHERE ticket_code LIKE 'TV-1999-%' ORDER BY id;
SELECT sepay_id, content, raw_data = '{}' FROM c360.balance_history WHERE sepay_id IN (923001, 923002) ORDER BY sepay_id;
SELECT count(*) - :ledger FROM c360.wallet_transactions WHERE customer_id = :gone;
SELECT * FROM c360_verify_wallets();
SELECT count(*) FROM c360_customer_list WHERE id = :gone;
SELECT count(*) FROM c360_customers(ids => ARRAY[:gone]);
SELECT name FROM c360_search_customers('0923000012');     -- who had it before him
-- nothing of him is left, not even in what looks harmless
SELECT count(*) FROM c360.customers c, c360.customer_activities a, c360.customer_notes n
WHERE c.id = :gone AND a.customer_id = c.id AND n.customer_id = c.id AND concat(c, a, n) ~ '0923000012|0863000012|Bình';
-- transfers that name a number: what could be nobody else's goes, of what is another's the number goes
SELECT c360_get_or_create_customer('0923000015') AS going, c360_get_or_create_customer('0923000016') AS staying \gset
SELECT sepay_id, (c360_ingest_bank_transaction(jsonb_build_object('id', sepay_id, 'gateway', 'MB', 'accountNumber', '1', 'content', content,
    'transactionDate', '2025-05-26 16:14:51', 'transferType', type, 'transferAmount', 5, 'senderPhone', 84923000015))).result
FROM (VALUES (923011, 'in', '0923000015 va 0923000016 CK'), (923012, 'in', '0923000015 0923.000.016'), (923013, 'out', 'tra +84 923 000 015, Hoa'),
             (923014, 'out', 'tai khoan 109230000151'), (923015, 'in', 'cho 84923000015')) AS t (sepay_id, type, content) ORDER BY 1;
SELECT (c360_ingest_bank_transaction(jsonb_build_object('id', 923016, 'gateway', 'MB', 'accountNumber', '1', 'content', content,
    'transactionDate', '2025-05-26 16:14:51', 'transferType', 'in', 'transferAmount', 5))).result
FROM (VALUES (1, 'CK'), (2, '0923000015 CK')) AS t (n, content) ORDER BY n;
INSERT INTO c360.bank_links (bank_transaction_id, customer_id, method, linked_by)
SELECT id, :staying, 'manual', 'an' FROM c360.balance_history WHERE sepay_id = 923012;
UPDATE c360.pending_customer_matches SET status = 'resolved' WHERE bank_transaction_id = (SELECT id FROM c360.balance_history WHERE sepay_id = 923012);
-- what was his and is another's is not exported to him
INSERT INTO c360.bank_links (bank_transaction_id, customer_id, method, linked_by, unlinked_at, unlinked_by)
SELECT id, :going, 'manual', 'an', now(), 'an' FROM c360.balance_history WHERE sepay_id = 923012;
SELECT b #>> '{transaction,sepay_id}', b #>> '{link,method}', b -> 'differences' FROM jsonb_array_elements(c360_export_customer('0923000015') -> 'bank_transactions') AS b;
SELECT b #>> '{transaction,sepay_id}' FROM jsonb_array_elements(c360_export_customer('0923000016') -> 'bank_transactions') AS b;
SELECT balance FROM c360_withdraw('0923000015', 5);
SELECT c360_change_phone('0923000015', '0923000017', 'new');
SELECT c360_erase_customer('0923000017', 'asked');
SELECT sepay_id, content, raw_data - '{id,gateway,accountNumber,transactionDate,transferType,transferAmount}'::text[] AS raw_data,
       jsonb_path_query_array(decision, '$[*].value') AS decision,
       (SELECT jsonb_path_query_array(candidates, '$[*].value') FROM c360.pending_customer_matches WHERE bank_transaction_id = b.id) AS candidates
FROM c360.balance_history b WHERE sepay_id BETWEEN 923011 AND 923015 ORDER BY 1;
SELECT b.content, d.raw_data ->> 'content' AS told_again FROM c360.balance_history_differences d
JOIN c360.balance_history b ON b.id = d.bank_transaction_id WHERE b.sepay_id = 923016;
-- his number begins anew, the others are as they were
SELECT c360_get_or_create_customer('0923000012') <> :gone;
SELECT name, phone FROM c360.customers WHERE phone IN ('0923000011', '0863000014') ORDER BY phone;
SELECT count(*) FROM c360_note_list WHERE phone = '0923000011';

-- Bad input: an error that says what, and nothing changed.
SELECT count(*) AS customers, (SELECT count(*) FROM c360.customer_activities) AS activities FROM c360.customers \gset
SELECT test.error_of(command) FROM (VALUES
    (1, $$SELECT c360_upsert_customer(NULL)$$),
    (2, $$SELECT c360_upsert_customer('123')$$),
    (3, $$SELECT c360_upsert_customer('0923000021', '')$$),
    (4, $$SELECT c360_upsert_customer('0923000021', repeat('ế', 256))$$),
    (5, $$SELECT c360_upsert_customer('0923000021', email => repeat('ế', 256))$$),
    (6, $$SELECT c360_upsert_customer('0923000021', address => repeat('ế', 2001))$$),
    (7, $$SELECT c360_upsert_customer('0923000021', carrier => repeat('ế', 256))$$),
    (8, $$SELECT c360_upsert_customer('0923000021', internal_note => repeat('ế', 2001))$$),
    (9, $$SELECT c360_upsert_customer('0923000021', tags => array_fill('x'::text, ARRAY[1001]))$$),
    (10, $$SELECT c360_upsert_customer('0923000021', tags => '{""}')$$),
    (11, $$SELECT c360_upsert_customer('0923000021', aliases => ARRAY[repeat('x', 256)])$$),
    (12, $$SELECT c360_upsert_customer('0923000021', created_source => 'web')$$),
    (13, $$SELECT c360_upsert_customer('0923000021', created_at => 'infinity')$$),
    (14, $$SELECT c360_upsert_customer('0923000021', created_at => now() + interval '1 day')$$),
    (15, $$SELECT c360_upsert_customer('0923000021', created_at => '1999-12-31')$$),
    (20, $$SELECT c360_upsert_tpos_customer('0923000021', NULL)$$),
    (21, $$SELECT c360_upsert_tpos_customer('0923000021', '[]')$$),
    (22, $$SELECT c360_upsert_tpos_customer('0923000021', '"x"')$$),
    (23, $$SELECT c360_upsert_tpos_customer('0923000021', '{"Name": 5}')$$),
    (24, $$SELECT c360_upsert_tpos_customer('0923000021', '{"Id": {}}')$$),
    (25, $$SELECT c360_upsert_tpos_customer('0923000021', jsonb_build_object('Name', repeat('x', 256)))$$),
    (26, $$SELECT c360_upsert_tpos_customer('x', '{}')$$),
    (30, $$SELECT c360_set_tier('0923000011', 'bronze')$$),
    (31, $$SELECT c360_set_tier('0923000011', NULL)$$),
    (32, $$SELECT c360_set_tier('0923000021', 'gold')$$),
    (33, $$SELECT c360_set_tier('0923000011', 'gold', reason => repeat('x', 501))$$),
    (34, $$SELECT c360_set_status('0923000011', 'vip')$$),
    (35, $$SELECT c360_set_status('0923000011', NULL)$$),
    (36, $$SELECT c360_set_status('0923000021', 'VIP')$$),
    (40, $$SELECT c360_add_note('0923000021', 'x')$$),
    (41, $$SELECT c360_add_note('0923000011', NULL)$$),
    (42, $$SELECT c360_add_note('0923000011', '  ')$$),
    (43, $$SELECT c360_add_note('0923000011', repeat('ế', 2001))$$),
    (44, $$SELECT c360_add_note('0923000011', 'x', 'private')$$),
    (50, $$SELECT c360_customer('0923000021')$$),
    (51, $$SELECT c360_customer(NULL)$$),
    (52, $$SELECT c360_customers()$$),
    (53, $$SELECT c360_customers(array_fill('0923000011'::text, ARRAY[1001]))$$),
    (54, $$SELECT c360_customers(ids => array_fill(1::bigint, ARRAY[1001]))$$),
    (55, $$SELECT c360_customers('{abc}')$$),
    (56, $$SELECT c360_recent_customers(0)$$),
    (57, $$SELECT c360_recent_customers(1001)$$),
    (58, $$SELECT c360_activities('0923000021')$$),
    (59, $$SELECT c360_activities('0923000011', max_rows => 0)$$),
    (60, $$SELECT c360_export_customer('0923000021')$$),
    (61, $$SELECT c360_erase_customer('0923000021', 'x')$$),
    (62, $$SELECT c360_erase_customer('0923000011', repeat('x', 501))$$)) AS t (n, command) ORDER BY n;
SELECT count(*) - :customers, (SELECT count(*) FROM c360.customer_activities) - :activities FROM c360.customers;
