-- Orders: upsert, blacklist, statistics, return labels.  Phones 0931.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE FUNCTION test.orders(wanted text)
RETURNS TABLE (total integer, delivered integer, returned integer, spent bigint, first text, last text, rate text, status text)
LANGUAGE sql VOLATILE AS $$
    SELECT t.total, t.delivered, t.returned, t.spent, to_char(t.first_order_at, 'MM-DD'), to_char(t.last_order_at, 'MM-DD'),
           format('%s/%s', t.decided_returned, t.decided), c.status
    FROM c360.customer_order_totals t JOIN c360.customers c ON c.id = t.customer_id WHERE c.phone = wanted
$$;

-- A new order creates the customer; the same code again changes it.
SELECT customer_id = test.customer('0931000001') AS his, customer_created
FROM c360_record_order('+84 931 000 001', 'O1', 100000, '2026-01-10');
SELECT name, created_source, carrier FROM c360.customers WHERE phone = '0931000001';
SELECT * FROM test.orders('0931000001');
SELECT customer_created FROM c360_record_order('0931000001', 'O1', 120000, '2026-01-09', 'delivered');
SELECT * FROM test.orders('0931000001');
SELECT customer_created FROM c360_record_order('0931000001', 'O2', 50000, '2026-02-01', 'returned');
SELECT customer_created FROM c360_record_order('0931000001', 'O3', 70000, '2026-03-01', 'cancelled');
SELECT * FROM test.orders('0931000001');
-- left out or NULL, the date of a known order stays; a new one is of now
SELECT customer_created FROM c360_record_order('0931000001', 'O2', 50000, status => 'delivered');
SELECT customer_created FROM c360_record_order('0931000001', 'O3', 70000, NULL);
SELECT order_code, amount, status, ordered_at FROM c360.customer_orders WHERE order_code IN ('O1', 'O2', 'O3') ORDER BY 1;
BEGIN;
SELECT order_id > 0 AS made FROM c360_record_order('0931000001', 'O4', 0);
SELECT order_id > 0 AS made FROM c360_record_order('0931000001', 'O5', 0, NULL);
SELECT bool_and(ordered_at = now()) AS of_now FROM c360.customer_orders WHERE order_code IN ('O4', 'O5');
ROLLBACK;
-- what is as it was is no change; xact is the transaction of the last change
SELECT xact AS before FROM c360.customer_orders WHERE order_code = 'O1' \gset
SELECT customer_created FROM c360_record_order('0931000001', 'O1', 120000, '2026-01-09', 'delivered');
SELECT xact = :'before' AS unchanged FROM c360.customer_orders WHERE order_code = 'O1';
SELECT event, reference, payload FROM test.timeline('0931000001');
BEGIN;
SAVEPOINT a;
SELECT customer_created FROM c360_record_order('0931000001', 'O1', 1, '2026-01-09', 'delivered');
SELECT xact = pg_current_xact_id() AS of_the_top FROM c360.customer_orders WHERE order_code = 'O1';
ROLLBACK;

-- An order belongs to one customer.
SELECT customer_created FROM c360_record_order('0931000002', 'P1', 1000, '2026-01-01', 'delivered');
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'O1', 1000)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000003', 'O1', 1000)$$);
SELECT count(*) FROM c360.customers WHERE phone = '0931000003';

-- Arguments
SELECT test.error_of($$SELECT c360_record_order(NULL, 'E1', 1)$$);
SELECT test.error_of($$SELECT c360_record_order('123', 'E1', 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', NULL, 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', ' ', 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', repeat('x', 201), 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', repeat('đ', 200), 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', NULL)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', -1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 1, 'infinity')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 1, '294276-12-31 23:59:59+00')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 1, '0044-03-15 BC')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 1, status => NULL)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 1, status => 'lost')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 9223372036854775807)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 9223372036854775807, status => 'cancelled')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'E1', 9223372036854775807)$$);

-- Blacklist: no new order from then on; what is known or older is recorded.
SELECT c360_record_order('0931000004', 'B1', 1, '2026-01-01') IS NOT NULL;
SELECT c360_set_tier('0931000004', 'blacklist', true, 'does not pay');
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B2', 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B2', 1, NULL)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B2', 1, clock_timestamp())$$);
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B2', 1, '2099-01-01')$$);
SELECT count(*) FROM c360.customer_orders WHERE order_code = 'B2';
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B1', 1, '2026-01-01', 'delivered')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B1', 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B3', 1, '2026-01-02')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B4', 1, clock_timestamp(), 'returned')$$);
-- as long as he stays there, from the first time on
SELECT blacklisted_at AS since FROM c360.customers WHERE phone = '0931000004' \gset
SELECT c360_set_tier('0931000004', 'blacklist', false);
SELECT blacklisted_at = :'since' FROM c360.customers WHERE phone = '0931000004';
-- lifted
SELECT c360_set_tier('0931000004', 'silver');
SELECT blacklisted_at IS NULL FROM c360.customers WHERE phone = '0931000004';
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B2', 1)$$);
-- in one transaction, whose clock stands still
BEGIN;
SELECT c360_set_tier('0931000004', 'blacklist');
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B5', 1)$$);
SELECT test.error_of($$SELECT c360_record_order('0931000004', 'B5', 1, now() - interval '1 second')$$);
ROLLBACK;
-- a tier written by hand has no date: since ever
UPDATE c360.customers SET tier = 'blacklist' WHERE phone = '0931000002';
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'P2', 1, '2001-01-01')$$);
SELECT test.error_of($$SELECT c360_record_order('0931000002', 'P2', 1, '2001-01-01', 'delivered')$$);
\pset tuples_only off
\pset format aligned

-- Labels: from 3 decided orders on, above 20, 30 and 50 %.
CREATE FUNCTION test.label(wanted text, delivered integer, returned integer) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM c360_record_order(wanted, wanted || '-' || n, 1000, '2026-01-01',
                CASE WHEN n <= label.delivered THEN 'delivered' WHEN n <= label.delivered + label.returned THEN 'returned' ELSE 'pending' END)
    FROM generate_series(1, 12) AS n;
    RETURN (SELECT o.rate || ' ' || o.status FROM test.orders(wanted) AS o);
END $$;
SELECT d, r, test.label('0931000005', d, r)
FROM (VALUES (1, 0, 2), (2, 1, 2), (3, 2, 2), (4, 2, 1), (5, 7, 3), (6, 4, 1), (7, 3, 1), (8, 5, 5), (9, 1, 1), (10, 1, 2), (11, 9, 0),
             (12, 0, 0)) AS t (n, d, r) ORDER BY n;
SELECT payload -> 'changes' AS changes, payload ->> 'reason' AS reason FROM test.timeline('0931000005') WHERE event = 'customer.updated';
-- the bound is a setting
SELECT c360_set('return_label_min_orders', '2');
SELECT test.label('0931000005', 1, 1);
SELECT c360_set('return_label_min_orders', NULL);
SELECT test.label('0931000005', 1, 0);
-- VIP and what is locked stay; what is neither follows
SELECT c360_set_status('0931000005', 'VIP', false);
SELECT test.label('0931000005', 0, 5);
SELECT c360_set_status('0931000005', 'Bom hàng', true);
SELECT test.label('0931000005', 0, 6);
SELECT c360_set_status('0931000005', 'Bom hàng', false);
SELECT test.label('0931000005', 0, 7);
-- with too few orders, what staff or point of sale said stays
SELECT c360_set_status('0931000006', 'Cảnh báo', false) FROM c360_get_or_create_customer('0931000006');
SELECT test.label('0931000006', 2, 0);
SELECT test.label('0931000006', 3, 0);
-- what he got by his rate goes with it, unless staff said otherwise since
SELECT test.label('0931000006', 1, 2);
SELECT c360_set_status('0931000006', 'Cảnh báo', false);
SELECT test.label('0931000006', 0, 2);

-- Tickets count: completed, of a returning type, with an order code, once an order.
SELECT test.label('0931000007', 4, 0);
SELECT ticket_code AS boom FROM c360_create_ticket('0931000007', 'BOOM', '0931000007-1', refund_amount => 10) \gset
SELECT ticket_code AS other FROM c360_create_ticket('0931000007', 'OTHER', '0931000007-2') \gset
SELECT ticket_code AS none FROM c360_create_ticket('0931000007', 'HOAN', refund_amount => 10) \gset
SELECT rate, status FROM test.orders('0931000007');
SELECT c360_ticket_action(t, 'complete') ->> 'status' AS status FROM unnest(ARRAY[:'other', :'none']) AS t;
SELECT rate, status FROM test.orders('0931000007');
SELECT c360_ticket_action(:'boom', 'complete') ->> 'status' AS status;
SELECT rate, status FROM test.orders('0931000007');
SELECT customer_created FROM c360_record_order('0931000007', '0931000007-1', 1000, '2026-01-01', 'returned');
SELECT rate, status FROM test.orders('0931000007');
-- its order is changed to one that point of sale has not told of
SELECT c360_update_ticket(:'boom', '{"order_code": "0931000007-X"}') ->> 'order_code' AS order_code;
SELECT rate, status FROM test.orders('0931000007');
SELECT c360_update_ticket(:'boom', '{"order_code": null}') ->> 'order_code' AS order_code;
SELECT rate, status FROM test.orders('0931000007');
SELECT c360_update_ticket(:'boom', '{"order_code": "0931000007-2"}') ->> 'order_code' AS order_code;
SELECT rate, status FROM test.orders('0931000007');
SELECT c360_delete_ticket(:'boom');
SELECT rate, status FROM test.orders('0931000007');

DROP FUNCTION test.orders, test.label;
