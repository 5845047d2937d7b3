-- Customers and orders of a shop for the measurements of scoring, in the state
-- that the functions would leave. Most customers order seldom, some often; a
-- twentieth of the orders are cancelled, another one returned.
--
--   :customers, :orders
SELECT setseed(0.5);
INSERT INTO c360.customers (phone, name, created_at)
SELECT '09' || lpad(n::text, 8, '0'), 'Khách ' || n, now() - random() * interval '900 days'
FROM generate_series(1, :customers) AS n;
-- in order of time, as they come in; the square of a random number gives few most of them
INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
SELECT 1 + floor(:customers * power(random(), 1.5))::bigint, 'BM' || n, 20000 + floor(power(random(), 3) * 3000000)::bigint,
       CASE WHEN random() < 0.05 THEN 'cancelled' WHEN random() < 0.05 THEN 'returned'
            WHEN random() < 0.05 THEN 'pending' ELSE 'delivered' END,
       now() - (1 - n::double precision / :orders) * interval '730 days'
FROM generate_series(1, :orders) AS n;
INSERT INTO c360.customer_order_totals (customer_id, total, delivered, returned, spent, first_order_at, last_order_at)
SELECT customer_id, count(*) FILTER (WHERE status <> 'cancelled'), count(*) FILTER (WHERE status = 'delivered'),
       count(*) FILTER (WHERE status = 'returned'), coalesce(sum(amount) FILTER (WHERE status IN ('pending', 'delivered')), 0),
       min(ordered_at) FILTER (WHERE status <> 'cancelled'), max(ordered_at) FILTER (WHERE status <> 'cancelled')
FROM c360.customer_orders GROUP BY customer_id;
VACUUM ANALYZE c360.customers, c360.customer_orders, c360.customer_order_totals;
