-- A shop of :customers customers, three times as many orders and as many
-- tickets, written into the tables at once and not through the functions, in
-- a database of its own. Names are spread as they are in Vietnam: every third
-- customer is a Nguyễn. hash() scatters: the same shop each time.
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';
CREATE EXTENSION c360;
SELECT c360_install();

CREATE SCHEMA bench;
CREATE FUNCTION bench.hash(i bigint, salt integer, modulo integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(i, salt) & 9223372036854775807) % modulo;
CREATE FUNCTION bench.pick(words text[], i bigint, salt integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN words[1 + (hashint8extended(i, salt) & 9223372036854775807) % cardinality(words)];
CREATE TABLE bench.families AS
SELECT row_number() OVER () - 1 AS number, f.name
FROM (VALUES ('Nguyễn', 384), ('Trần', 121), ('Lê', 95), ('Phạm', 70), ('Hoàng', 51), ('Huỳnh', 51), ('Phan', 45),
             ('Vũ', 39), ('Võ', 39), ('Đặng', 21), ('Bùi', 20), ('Đỗ', 14), ('Hồ', 13), ('Ngô', 13), ('Dương', 13),
             ('Lý', 10), ('Xa', 1)) AS f (name, of_1000), generate_series(1, f.of_1000);
CREATE FUNCTION bench.phone(i bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY['091', '098', '090', '033', '077', '086', '070', '083'])[1 + i % 8]
       || lpad((i * 7654321 % 10000000)::text, 7, '0');

INSERT INTO c360.customers (phone, name, name_folded, email, email_folded, address, address_folded, tier, status,
                            created_at, created_source)
SELECT n.phone, n.name, c360_fold(n.name), n.email, c360_fold(n.email), n.address, c360_fold(n.address),
       n.tier, n.status, n.created_at, 'import'
FROM (SELECT bench.phone(i) AS phone,
             f.name || ' ' || bench.pick('{Văn,Thị,Hữu,Đức,Minh,Ngọc,Thanh,Quốc,Thị Kim,Nguyễn}', i, 1) || ' '
             || bench.pick('{An,Anh,Bình,Châu,Dung,Giang,Hà,Hải,Hạnh,Hoa,Hùng,Hương,Khánh,Lan,Linh,Long,Mai,Nam,Nga,Phúc,Quân,Sơn,Thảo,Trang,Tuấn,Uyên,Vy,Yến}', i, 2) AS name,
             CASE WHEN bench.hash(i, 3, 3) = 0 THEN 'khach' || i || '@gmail.com' END AS email,
             CASE WHEN bench.hash(i, 4, 2) = 0 THEN
                 bench.hash(i, 5, 300) || ' ' || bench.pick('{Lê Lợi,Trần Hưng Đạo,Hai Bà Trưng,Nguyễn Huệ,Phố Huế}', i, 6)
                 || ', ' || bench.pick('{Hà Nội,Hồ Chí Minh,Đà Nẵng,Cần Thơ}', i, 7) END AS address,
             bench.pick('{new,new,new,new,new,new,silver,silver,gold,platinum}', i, 8) AS tier,
             CASE WHEN bench.hash(i, 9, 50) = 0 THEN 'Bom hàng' WHEN bench.hash(i, 9, 50) = 1 THEN 'VIP'
                  ELSE 'Bình thường' END AS status,
             now() - interval '3 years' + i * (interval '3 years' / :customers) AS created_at
      FROM generate_series(1::bigint, :customers) AS i
      JOIN bench.families f ON f.number = bench.hash(i, 0, 1000)
      ORDER BY i) AS n;

INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
SELECT 1 + bench.hash(i, 10, :customers), 'DH' || i, 50000 + 1000 * bench.hash(i, 11, 2000),
       bench.pick('{delivered,delivered,delivered,delivered,delivered,delivered,delivered,pending,returned,cancelled}', i, 12),
       now() - interval '3 years' + i * (interval '3 years' / (3 * :customers))
FROM generate_series(1::bigint, 3 * :customers) AS i;
INSERT INTO c360.customer_order_totals (customer_id, total, delivered, returned, spent, first_order_at, last_order_at,
                                        decided, decided_returned)
SELECT customer_id, count(*) FILTER (WHERE status <> 'cancelled'), count(*) FILTER (WHERE status = 'delivered'),
       count(*) FILTER (WHERE status = 'returned'),
       coalesce(sum(amount) FILTER (WHERE status IN ('pending', 'delivered')), 0),
       min(ordered_at) FILTER (WHERE status <> 'cancelled'), max(ordered_at) FILTER (WHERE status <> 'cancelled'),
       count(*) FILTER (WHERE status IN ('delivered', 'returned')), count(*) FILTER (WHERE status = 'returned')
FROM c360.customer_orders GROUP BY customer_id;

INSERT INTO c360.customer_tickets (ticket_code, customer_id, type, status, priority, order_code, subject, deadline,
                                   created_by, created_at, completed_at)
SELECT format('TV-%s-%s', extract(year FROM t.at), lpad(t.i::text, greatest(length(t.i::text), 5), '0')), 1 + bench.hash(t.i, 20, :customers),
       bench.pick('{DOI,THIEU,FIX_COD,COMPLAINT,WARRANTY,OTHER,HOAN,BOOM}', t.i, 21), t.status,
       bench.pick('{low,normal,normal,normal,normal,normal,normal,high,high,urgent}', t.i, 22), 'DH' || t.i, 'Đơn DH' || t.i,
       CASE WHEN t.status <> 'completed' THEN now() + t.i % 1000 * interval '1 hour' END, 'staff', t.at,
       CASE WHEN t.status = 'completed' THEN t.at + interval '2 days' END
FROM (SELECT i, now() - interval '3 years' + i * (interval '3 years' / :customers) AS at,
             CASE WHEN bench.hash(i, 23, 20) = 0 THEN 'cancelled' WHEN i < :customers * 0.98 THEN 'completed'
                  ELSE bench.pick('{new,processing,waiting_carrier}', i, 24) END AS status
      FROM generate_series(1::bigint, :customers) AS i) AS t;

INSERT INTO c360.customer_activities (xact, topic, event, customer_id, reference_type, reference_id, payload, actor,
                                      session_user_name, created_at)
SELECT pg_current_xact_id(), 'customers', 'order.recorded', customer_id, 'order', id::text,
       jsonb_build_object('order_code', order_code, 'amount', amount, 'status', status), 'staff', 'staff', ordered_at
FROM c360.customer_orders
UNION ALL
SELECT pg_current_xact_id(), 'tickets', 'ticket.created', customer_id, 'ticket', id::text,
       jsonb_build_object('ticket_code', ticket_code, 'type', type, 'status', 'new'), 'staff', 'staff', created_at
FROM c360.customer_tickets;
INSERT INTO c360.customer_notes (customer_id, content, category, pinned, created_by, created_at)
SELECT 1 + bench.hash(i, 30, :customers), 'Gọi trước khi giao ' || i, 'general', i % 10 = 0, 'staff', now()
FROM generate_series(1::bigint, :customers / 5) AS i;

-- money goes by the functions alone
SELECT count(c360_deposit(bench.phone(i), 100000 + i)) FROM generate_series(1::bigint, :customers, 5) AS i;
SELECT count(c360_issue_credit(bench.phone(i), 50000)) FROM generate_series(1::bigint, :customers, 10) AS i;
VACUUM ANALYZE;

-- The latency of a query, one call after the other, as an app's connection has
-- it: $1 is a different value each time. Plans are kept, as PostgREST keeps
-- prepared statements. Answers milliseconds.
CREATE FUNCTION bench.latency(query text, arguments text[], OUT median numeric, OUT of_100 numeric)
LANGUAGE plpgsql AS $$
DECLARE
    argument text;
    start timestamptz;
    times float8[] := '{}';
BEGIN
    EXECUTE 'PREPARE measured (text) AS ' || query;
    FOREACH argument IN ARRAY arguments[1:20] LOOP
        EXECUTE format('EXECUTE measured (%L)', argument);
    END LOOP;
    FOREACH argument IN ARRAY arguments LOOP
        start := clock_timestamp();
        EXECUTE format('EXECUTE measured (%L)', argument);
        times := times || extract(epoch FROM clock_timestamp() - start)::float8 * 1000;
    END LOOP;
    DEALLOCATE measured;
    SELECT round(percentile_disc(0.5) WITHIN GROUP (ORDER BY t)::numeric, 2),
           round(percentile_disc(0.99) WITHIN GROUP (ORDER BY t)::numeric, 2)
    INTO median, of_100 FROM unnest(times) AS t;
END $$;
