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
