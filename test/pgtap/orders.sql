-- Order statistics, return rate and labels under random orders of updates,
-- against a model that counts from the rows in its own way.
BEGIN;
\ir tools.psql
SELECT no_plan();
SET LOCAL enable_seqscan = off;      -- rows of one transaction leave dead versions that only an index passes over

-- What the orders and tickets of a customer say, one row an order.
CREATE FUNCTION pg_temp.counted(wanted bigint) RETURNS TABLE (total bigint, delivered bigint, returned bigint, spent numeric,
    first timestamptz, last timestamptz, decided bigint, decided_returned bigint) LANGUAGE sql AS $$
    WITH codes AS (
        SELECT order_code FROM c360.customer_orders WHERE customer_id = wanted
        UNION
        SELECT order_code FROM c360.customer_tickets WHERE customer_id = wanted AND order_code IS NOT NULL),
    facts AS (
        SELECT o.*, EXISTS (SELECT FROM c360.customer_tickets t WHERE t.customer_id = wanted AND t.order_code = c.order_code
                            AND t.status = 'completed' AND t.deleted_at IS NULL
                            AND t.type IN ('BOOM', 'HOAN', 'RETURN_CLIENT', 'RETURN_SHIPPER')) AS by_ticket
        FROM codes c LEFT JOIN c360.customer_orders o ON o.order_code = c.order_code AND o.customer_id = wanted)
    SELECT sum((status IN ('pending', 'delivered', 'returned'))::integer), sum((status = 'delivered')::integer),
           sum((status = 'returned')::integer), coalesce(sum(CASE WHEN status IN ('pending', 'delivered') THEN amount ELSE 0 END), 0),
           min(CASE WHEN status <> 'cancelled' THEN ordered_at END), max(CASE WHEN status <> 'cancelled' THEN ordered_at END),
           sum((by_ticket OR coalesce(status IN ('delivered', 'returned'), false))::integer),
           sum((by_ticket OR coalesce(status = 'returned', false))::integer)
    FROM facts
$$;

CREATE TEMP TABLE people (phone text PRIMARY KEY, id bigint, status text, locked boolean DEFAULT false, label text, counted tid);
INSERT INTO people SELECT p, c360_get_or_create_customer(p), 'Bình thường'
FROM unnest('{0951000001,0951000002,0951000003,0951000004,0951000005}'::text[]) AS p;
CREATE TEMP TABLE differences (step integer, what text);

-- The status that should stand now: what the rate says from 3 decided orders
-- on; below, what the rate gave before goes.
CREATE FUNCTION pg_temp.expect_status(person text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p people := (SELECT people FROM people WHERE phone = person);
    n record;
    wanted text;
BEGIN
    SELECT decided, 100.0 * decided_returned / nullif(decided, 0) AS rate INTO n FROM pg_temp.counted(p.id);
    IF n.decided >= 3 THEN
        wanted := (SELECT l FROM (VALUES (50, 'Nguy hiểm'), (30, 'Cảnh báo'), (20, 'Bom hàng'), (-1, 'Bình thường')) AS v (bound, l)
                   WHERE n.rate > bound ORDER BY bound DESC LIMIT 1);
    ELSIF p.status = p.label THEN
        wanted := 'Bình thường';
    END IF;
    UPDATE people SET status = CASE WHEN p.locked OR p.status = 'VIP' THEN p.status ELSE coalesce(wanted, p.status) END,
        label = CASE WHEN n.decided >= 3 THEN wanted END
    WHERE phone = person;
END $$;

CREATE FUNCTION pg_temp.play(steps integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    done integer := 0;
    person text;
    code text;
    ticket text;
    dice integer;
    chosen text;
    attempt text;
    lock_it boolean;
BEGIN
    FOR step IN 1..steps LOOP
        person := '095100000' || 1 + floor(random() * 5);
        code := person || '-' || floor(random() * 8);
        dice := floor(random() * 100);
        SELECT t.ticket_code INTO ticket FROM c360.customer_tickets t JOIN people p ON p.id = t.customer_id
        WHERE p.phone = person AND t.deleted_at IS NULL ORDER BY random() LIMIT 1;
        IF dice < 55 THEN
            attempt := pg_temp.failure(format('SELECT c360_record_order(%L, %L, %s, %L, %L)', person, code, floor(random() * 9000),
                timestamptz '2026-01-01' + random() * interval '90 days',
                (ARRAY['pending', 'delivered', 'returned', 'cancelled'])[1 + floor(random() * 4)]));
        ELSIF dice < 68 OR ticket IS NULL THEN
            attempt := pg_temp.failure(format('SELECT c360_create_ticket(%L, %L, %L, allow_duplicate => %L)', person,
                (ARRAY['BOOM', 'HOAN', 'RETURN_CLIENT', 'RETURN_SHIPPER', 'DOI', 'OTHER'])[1 + floor(random() * 6)],
                CASE WHEN random() < 0.8 THEN code END, random() < 0.3));
        ELSIF dice < 80 THEN
            attempt := pg_temp.failure(format('SELECT c360_ticket_action(%L, %L)', ticket,
                (ARRAY['complete', 'complete', 'cancel', 'process', 'wait_carrier', 'receive_goods'])[1 + floor(random() * 6)]));
        ELSIF dice < 86 THEN
            attempt := pg_temp.failure(format('SELECT c360_update_ticket(%L, jsonb_build_object(''order_code'', %L::text))', ticket,
                CASE WHEN random() < 0.8 THEN code END));
        ELSIF dice < 91 THEN
            attempt := pg_temp.failure(format('SELECT c360_delete_ticket(%L)', ticket));
        ELSE
            chosen := (ARRAY['VIP', 'Bình thường', 'Bom hàng', 'Cảnh báo', 'Nguy hiểm'])[1 + floor(random() * 5)];
            lock_it := random() < 0.4;
            attempt := pg_temp.failure(format('SELECT c360_set_status(%L, %L, %L)', person, chosen, lock_it));
            UPDATE people SET status = chosen, locked = lock_it WHERE phone = person;
        END IF;
        done := done + (attempt = 'none')::integer;
        -- the label follows each count, and staff have their say between two
        IF (SELECT t.ctid FROM c360.customer_order_totals t JOIN people p ON p.id = t.customer_id WHERE p.phone = person)
           IS DISTINCT FROM (SELECT p.counted FROM people p WHERE p.phone = person) THEN
            PERFORM pg_temp.expect_status(person);
            UPDATE people p SET counted = t.ctid FROM c360.customer_order_totals t WHERE t.customer_id = p.id;
        END IF;
        INSERT INTO differences
        SELECT step, format('%s: %s is not %s', p.phone, t, n) FROM people p
        LEFT JOIN c360.customer_order_totals t ON t.customer_id = p.id CROSS JOIN LATERAL pg_temp.counted(p.id) n
        WHERE (coalesce(t.total, 0), coalesce(t.delivered, 0), coalesce(t.returned, 0), coalesce(t.spent, 0), t.first_order_at, t.last_order_at,
               coalesce(t.decided, 0), coalesce(t.decided_returned, 0))
              IS DISTINCT FROM (coalesce(n.total, 0), coalesce(n.delivered, 0), coalesce(n.returned, 0), n.spent, n.first, n.last,
                                coalesce(n.decided, 0), coalesce(n.decided_returned, 0))
        UNION ALL
        SELECT step, format('%s: status %s is not %s', p.phone, c.status, p.status) FROM people p JOIN c360.customers c ON c.id = p.id
        WHERE c.status <> p.status;
        EXIT WHEN EXISTS (SELECT FROM differences);
    END LOOP;
    RETURN done;
END $$;

SELECT setseed(0.42) \g /dev/null
SELECT cmp_ok(pg_temp.play(600), '>', 450, 'most of 600 random steps were done');
SELECT is_empty('SELECT * FROM differences ORDER BY step LIMIT 5', 'totals and labels are what the rows say after each step');
SELECT set_eq('SELECT DISTINCT word FROM failures', '{move_not_allowed,duplicate_ticket}'::text[],
              'what was refused was refused for these reasons');
SELECT bag_has('SELECT DISTINCT status FROM c360.customer_orders', $$VALUES ('pending'), ('delivered'), ('returned'), ('cancelled')$$,
               'orders of every status');
SELECT set_has($$SELECT payload -> 'changes' -> 'status' ->> 'to' FROM c360.customer_activities WHERE payload ->> 'reason' = 'return_rate'$$,
               $$VALUES ('Bình thường'), ('Bom hàng'), ('Cảnh báo'), ('Nguy hiểm')$$, 'every label was given and taken');
SELECT is_empty($$SELECT a.id FROM c360.customer_activities a WHERE event = 'order.recorded' AND NOT EXISTS (
                      SELECT FROM c360.customer_orders o WHERE o.order_code = a.reference_id AND o.customer_id = a.customer_id)$$,
                'each order.recorded is of an order of its customer');
SELECT is_empty($$SELECT o.order_code FROM c360.customer_orders o
                  CROSS JOIN LATERAL (SELECT a.payload FROM c360.customer_activities a
                                      WHERE a.reference_type = 'order' AND a.reference_id = o.order_code ORDER BY a.id DESC LIMIT 1) l
                  WHERE (l.payload ->> 'status', (l.payload ->> 'amount')::bigint, (l.payload ->> 'ordered_at')::timestamptz)
                        IS DISTINCT FROM (o.status, o.amount, o.ordered_at)$$, 'and the last one says what the order is');

-- Two customers do not mix.
SELECT c360_record_order('0951000011', 'two-1', 100, '2026-01-01'), c360_record_order('0951000012', 'two-2', 200, '2026-01-02') \g /dev/null
SELECT is((SELECT string_agg(t.spent || ' ' || t.total, ', ' ORDER BY c.phone) FROM c360.customer_order_totals t
           JOIN c360.customers c ON c.id = t.customer_id WHERE c.phone IN ('0951000011', '0951000012')), '100 1, 200 1',
          'each order counts for its customer alone');

-- A rolled-back change leaves nothing.
SELECT pg_temp.books() AS books \gset
SAVEPOINT a;
SELECT c360_record_order('0951000011', 'two-3', 100, '2026-01-01'), c360_record_order('0951000013', 'two-4', 1) \g /dev/null
ROLLBACK TO a;
SELECT is(pg_temp.books(), :'books', 'a rolled-back order leaves nothing');
SELECT is(pg_temp.failure(command), 'PT409 order_taken', command) FROM (VALUES
    ($$SELECT c360_record_order('0951000012', 'two-1', 100)$$), ($$SELECT c360_record_order('0951000014', 'two-1', 100)$$)) v (command);
SELECT is(pg_temp.books(), :'books', 'nor does one that is refused');

-- A rule that changes: counted anew by hand, in pages, once.
CREATE FUNCTION pg_temp.label(phone text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', s.return_rate, s.status) FROM customer_360_summary s WHERE s.phone = label.phone
$$;
SELECT c360_record_order('0951000021', 'rule-' || n, 100, '2026-01-01', 'delivered') FROM generate_series(1, 3) AS n \g /dev/null
SELECT c360_ticket_action((c360_create_ticket('0951000021', 'OTHER', 'rule-1')).ticket_code, 'complete') \g /dev/null
-- of him there is nothing but a ticket
SELECT c360_ticket_action((c360_create_ticket('0951000022', 'OTHER', 'rule-9')).ticket_code, 'complete') \g /dev/null
UPDATE c360.ticket_types SET counts_as_return = true WHERE type = 'OTHER';
SELECT is(pg_temp.label('0951000021'), '0.00 Bình thường', 'another rule counts nobody by itself');
CREATE FUNCTION pg_temp.recount() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    last bigint := 0;
    pages integer := 0;
BEGIN
    LOOP
        last := c360_recount_orders(last, 2);
        EXIT WHEN last IS NULL;
        pages := pages + 1;
    END LOOP;
    RETURN pages;
END $$;
SELECT is(pg_temp.recount(), (SELECT (count(*)::integer + 1) / 2 FROM (SELECT customer_id FROM c360.customer_order_totals
          UNION SELECT customer_id FROM c360.customer_tickets) c), 'each customer with orders or tickets is counted once');
SELECT is(pg_temp.label('0951000021'), '33.33 Cảnh báo', 'then rate and label follow');
SELECT is(pg_temp.label('0951000022'), '100.00 Bình thường', 'of one who only has a ticket, too');
SELECT c360_set('return_label_min_orders', '4'), pg_temp.recount() \g /dev/null
SELECT is(pg_temp.label('0951000021'), '33.33 Bình thường', 'and another number of orders');
SELECT pg_temp.books() AS books \gset
SELECT pg_temp.recount() \g /dev/null
SELECT is(pg_temp.books(), :'books', 'counted again nothing changes');
SELECT is(c360_recount_orders((SELECT max(id) FROM c360.customers)), NULL, 'behind the last one there is nobody');
SELECT is(pg_temp.failure(command), '22023 out_of_range', command) FROM (VALUES
    ('SELECT c360_recount_orders(0, 0)'), ('SELECT c360_recount_orders(0, 2147483647)')) v (command);

SELECT * FROM finish();
ROLLBACK;
