-- Payloads of the bank gateway, field by field.  Ids 925.
\pset format unaligned
\pset tuples_only on

-- A good payload with some fields changed; null takes a field out.
CREATE FUNCTION test.payload(changes jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_strip_nulls('{"id": 925001, "gateway": "Vietcombank", "transactionDate": "2025-05-26 16:14:51",
        "accountNumber": "0123499999", "content": "chuyen tien", "transferType": "in", "transferAmount": 1000}' || changes)
$$;
CREATE FUNCTION test.refused(changes jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT left(changes::text, 80) || ': ' || test.error_of(format('SELECT c360_ingest_bank_transaction(%L)', test.payload(changes)))
$$;

-- no object
SELECT test.error_of($$SELECT c360_ingest_bank_transaction(NULL)$$);
SELECT test.error_of($$SELECT c360_ingest_bank_transaction('null')$$);
SELECT test.error_of($$SELECT c360_ingest_bank_transaction('[]')$$);
SELECT test.error_of($$SELECT c360_ingest_bank_transaction('"text"')$$);
SELECT test.error_of($$SELECT c360_ingest_bank_transaction('1')$$);

-- required fields that are missing
SELECT test.refused(jsonb_build_object(name, NULL))
FROM unnest(ARRAY['id', 'gateway', 'transactionDate', 'accountNumber', 'transferType', 'transferAmount']) AS name;
SELECT test.error_of($$SELECT c360_ingest_bank_transaction('{}')$$);

-- malformed fields
SELECT test.refused(jsonb_build_object('id', value::jsonb))
FROM unnest(ARRAY['0', '-1', '1.5', '"abc"', '""', '"-1"', '"1.0"', '"0"', 'true', '{}', '[1]']) AS value;
SELECT test.refused(jsonb_build_object('gateway', value::jsonb)) FROM unnest(ARRAY['""', '"  "', 'true', '{}']) AS value;
SELECT test.refused(jsonb_build_object('transactionDate', value::jsonb))
FROM unnest(ARRAY['""', '"tomorrow"', '"now"', '"infinity"', '"26/05/2025 16:14:51"', '"2025-13-01 00:00:00"', '"2025-02-30 00:00:00"',
                  '"2025-05-26 25:00:00"', '"1999-01-01 00:00:00"', '"2999-01-01 00:00:00"', '"2025-05-26 16:14:51 Nowhere/Else"',
                  '20250526', 'true']) AS value;
SELECT test.refused(jsonb_build_object('accountNumber', value::jsonb)) FROM unnest(ARRAY['""', '" "', 'false', '[]']) AS value;
SELECT test.refused(jsonb_build_object('transferType', value::jsonb)) FROM unnest(ARRAY['"IN"', '"credit"', '""', '1', 'true']) AS value;
SELECT test.refused(jsonb_build_object('transferAmount', value::jsonb)) FROM unnest(ARRAY['-1', '0.5', '"1000"', 'true', '{}']) AS value;
SELECT test.refused(jsonb_build_object('content', value::jsonb)) FROM unnest(ARRAY['true', '{}', '[]']) AS value;
SELECT test.refused(jsonb_build_object('accumulated', value::jsonb)) FROM unnest(ARRAY['"many"', '1.5', 'true']) AS value;
SELECT test.refused(jsonb_build_object(name, 'true'::jsonb)) FROM unnest(ARRAY['code', 'subAccount', 'referenceCode', 'description']) AS name;
-- numbers past bigint
SELECT test.refused('{"id": 9223372036854775808}');
SELECT test.refused('{"id": "9223372036854775808"}');
SELECT test.refused('{"transferAmount": 9223372036854775808}');
SELECT test.refused('{"transferAmount": 1e30}');
SELECT test.refused('{"accumulated": -9223372036854775809}');
-- too long
SELECT name, size, left(test.error_of(format('SELECT c360_ingest_bank_transaction(%L)', test.payload(jsonb_build_object(name, repeat('ế', size))))), 5)
FROM (VALUES ('gateway', 256), ('accountNumber', 201), ('subAccount', 201), ('code', 201), ('referenceCode', 201),
             ('content', 100000), ('description', 100000)) AS v (name, size);

-- Nothing of all this was stored.
SELECT count(*) FROM c360.balance_history WHERE sepay_id = 925001 OR transaction_date > '2026-01-01';

-- Accepted: numbers as text and text as numbers, decimals that are whole,
-- unknown fields, zones, no optional field at all.
\pset tuples_only off
\pset format aligned
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": "925002"}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925003.0, "transferAmount": 1000.00}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925004, "accountNumber": 123499999, "subAccount": 7, "code": 5, "gateway": 1}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925005, "newField": {"a": [1]}, "accumulated": -5}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925006, "transactionDate": "2025-05-26T16:14:51Z"}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925007, "transactionDate": "2025-05-26 16:14:51+09:30"}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925008, "content": null, "transactionDate": "2025-05-26"}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925009, "transferAmount": 0}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925010, "transferAmount": 9223372036854775807}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": "0925011"}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": "9223372036854775807"}'));
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 9223372036854775807}'));
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'America/New_York';
SELECT result, amount FROM c360_ingest_bank_transaction(test.payload('{"id": 925012, "transactionDate": "2025-06-05 16:14:51"}'));
SHOW TimeZone;
RESET DateStyle;
RESET TimeZone;
SELECT sepay_id, transaction_date AT TIME ZONE 'Asia/Ho_Chi_Minh' AS shop_time, gateway, account_number, sub_account, code, content,
       transfer_amount, accumulated
FROM c360.balance_history WHERE sepay_id BETWEEN 925002 AND 925999 ORDER BY sepay_id;
-- up to a day ahead: clocks differ
SELECT result FROM c360_ingest_bank_transaction(test.payload(jsonb_build_object('id', 925013, 'transactionDate',
    to_char(clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh' + interval '23 hours 50 minutes', 'YYYY-MM-DD HH24:MI:SS'))));
SELECT left(test.error_of(format('SELECT c360_ingest_bank_transaction(%L)', test.payload(jsonb_build_object('id', 925014, 'transactionDate',
    to_char(clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh' + interval '24 hours 10 minutes', 'YYYY-MM-DD HH24:MI:SS'))))), 5);
-- a transfer of the next day is deposited today
SELECT result FROM c360_ingest_bank_transaction(test.payload(jsonb_build_object('id', 925015, 'content', '0925000001', 'transactionDate',
    to_char(clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh' + interval '20 hours', 'YYYY-MM-DD HH24:MI:SS'))));
SELECT occurred_at <= created_at AS not_in_the_future FROM c360.wallet_transactions WHERE customer_id = test.customer('0925000001');

DROP FUNCTION test.refused(jsonb);
DROP FUNCTION test.payload(jsonb);
SELECT * FROM c360_verify_wallets();
