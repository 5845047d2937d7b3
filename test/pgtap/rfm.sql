-- Scores, segments and tiers, against a reference that follows the rules in
-- another way: rows of bounds and of segment rules, means instead of sums.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- Where the rules are written down a second time.
CREATE TEMP TABLE bounds (metric text, score int, low bigint, PRIMARY KEY (metric, score));
INSERT INTO bounds VALUES
    ('recency', 5, 0), ('recency', 4, 8), ('recency', 3, 15), ('recency', 2, 31), ('recency', 1, 61),
    ('frequency', 1, 0), ('frequency', 2, 2), ('frequency', 3, 3), ('frequency', 4, 6), ('frequency', 5, 11),
    ('monetary', 1, 0), ('monetary', 2, 500000), ('monetary', 3, 2000000), ('monetary', 4, 5000000), ('monetary', 5, 10000001);
CREATE TEMP TABLE segment_rules (n int, segment text, r int4range, f int4range, m int4range);
INSERT INTO segment_rules VALUES
    (1, 'Champion', '[4,5]', '[4,5]', '[4,5]'), (2, 'Cant_Lose', '[1,2]', '[4,5]', '[4,5]'),
    (3, 'At_Risk', '[1,2]', '[3,5]', '[3,5]'), (4, 'Loyal', '[3,5]', '[4,5]', '[1,5]'),
    (5, 'Potential_Loyalist', '[4,5]', '[2,5]', '[2,5]'), (6, 'New_Customer', '[4,5]', '[1,1]', '[1,5]'),
    (7, 'Promising', '[4,5]', '[1,5]', '[1,5]'), (8, 'Need_Attention', '[3,3]', '[3,5]', '[1,5]'),
    (9, 'About_To_Sleep', '[3,3]', '[1,5]', '[1,5]'), (10, 'Lost', '[1,1]', '[1,1]', '[1,2]'),
    (11, 'Hibernating', '[1,2]', '[1,2]', '[1,5]'), (12, 'Other', '[1,5]', '[1,5]', '[1,5]');

CREATE TEMP TABLE segment_of (r int, f int, m int, segment text, PRIMARY KEY (r, f, m));
INSERT INTO segment_of
SELECT DISTINCT ON (x, y, z) x, y, z, s.segment
FROM generate_series(1, 5) AS x, generate_series(1, 5) AS y, generate_series(1, 5) AS z, segment_rules s
WHERE x <@ s.r AND y <@ s.f AND z <@ s.m ORDER BY x, y, z, s.n;
CREATE FUNCTION pg_temp.shop_day(at timestamptz) RETURNS date LANGUAGE sql AS $$
    SELECT (at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
$$;

-- What should be stored of each customer on a day.
CREATE FUNCTION pg_temp.expected(today date, frequency_days int DEFAULT 90)
RETURNS TABLE (id bigint, last_on date, frequency bigint, monetary numeric, r int, f int, m int, segment text, tier text)
LANGUAGE sql AS $$
    WITH counted AS (
        SELECT o.customer_id, pg_temp.shop_day(o.ordered_at) AS day, o.amount, o.status = 'returned' AS came_back
        FROM c360.customer_orders o WHERE o.status IN ('pending', 'delivered', 'returned')),
    facts AS (
        SELECT k.customer_id, max(k.day) AS last_on, min(k.day) AS first_on,
               sum((NOT k.came_back AND today - k.day < frequency_days)::int) AS frequency,
               sum(CASE WHEN k.came_back THEN 0 ELSE k.amount END) AS monetary
        FROM counted k GROUP BY k.customer_id),
    scored AS (
        SELECT a.*,
               (SELECT min(b.score) FROM bounds b WHERE b.metric = 'recency' AND b.low <= greatest(today - a.last_on, 0)) AS r,
               (SELECT max(b.score) FROM bounds b WHERE b.metric = 'frequency' AND b.low <= a.frequency) AS f,
               (SELECT max(b.score) FROM bounds b WHERE b.metric = 'monetary' AND b.low <= a.monetary) AS m
        FROM facts a)
    SELECT c.id, s.last_on, s.frequency, s.monetary, s.r, s.f, s.m, n.segment,
           CASE WHEN c.tier = 'blacklist' OR c.tier_locked THEN c.tier
                WHEN s.r IS NULL OR today - least(pg_temp.shop_day(c.created_at), s.first_on) < 30 THEN 'new'
                WHEN (s.r + s.f + s.m) / 3.0 >= 4.5 THEN 'platinum'
                WHEN (s.r + s.f + s.m) / 3.0 >= 3.5 THEN 'gold'
                WHEN (s.r + s.f + s.m) / 3.0 >= 2.5 THEN 'silver'
                ELSE 'new' END
    FROM c360.customers c LEFT JOIN scored s ON s.customer_id = c.id
    LEFT JOIN segment_of n ON (n.r, n.f, n.m) = (s.r, s.f, s.m)
$$;

-- Customers of whom something else is stored.
CREATE FUNCTION pg_temp.wrong(today date, frequency_days int DEFAULT 90) RETURNS text LANGUAGE sql AS $$
    SELECT count(*) || coalesce(', such as ' || min(format('%s: %s instead of %s', coalesce(e.id, s.customer_id),
               (s.last_on, s.frequency, s.monetary, s.r, s.f, s.m, s.segment, c.tier),
               (e.last_on, e.frequency, e.monetary, e.r, e.f, e.m, e.segment, e.tier))), '')
    FROM pg_temp.expected(today, frequency_days) e
    JOIN c360.customers c ON c.id = e.id
    LEFT JOIN c360.customer_rfm s ON s.customer_id = e.id
    WHERE (s.last_on, s.frequency, s.monetary, s.r, s.f, s.m, s.segment, c.tier)
          IS DISTINCT FROM (e.last_on, e.frequency, e.monetary, e.r, e.f, e.m, e.segment, e.tier)
$$;

-- The rules as installed.
SELECT is((SELECT count(*) FROM c360.rfm_segments), 125::bigint, 'there are 125 triples');
SELECT is((SELECT string_agg(format('%s%s%s %s', r, f, m, i.segment), ', ') FROM c360.rfm_segments i
           FULL JOIN segment_of w USING (r, f, m) WHERE i.segment IS DISTINCT FROM w.segment), NULL, 'each has the segment of the first rule that holds');
SELECT is((SELECT count(DISTINCT segment) FROM c360.rfm_segments), 12::bigint, 'every segment can be reached');
SELECT is((SELECT string_agg(format('%s%s', metric, score), ', ') FROM c360_rfm_config
           JOIN bounds USING (metric, score) WHERE min_value <> low), NULL, 'the bounds are the shop''s');
SELECT is((SELECT count(*) FROM (SELECT segment FROM c360.rfm_segments EXCEPT SELECT segment FROM c360.rfm_recommendations
                                 WHERE recommendation <> '' AND recommendation_vi <> '') s),
          0::bigint, 'there are recommendations for every segment');

-- A shop: days and amounts on both sides of each bound, moments next to
-- midnight, orders of tomorrow, orders that do not count.
SELECT setseed(0.42);
CREATE TEMP TABLE calendar AS SELECT date '2026-03-15' AS today;
CREATE FUNCTION pg_temp.pick(choices anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS $$
    SELECT choices[1 + floor(random() * cardinality(choices))::int]
$$;
CREATE FUNCTION pg_temp.some_moment(day date) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT (day::timestamp + pg_temp.pick(ARRAY[interval '0', interval '1 day' - interval '1 microsecond', interval '7 hours',
                                                random() * interval '1 day'])) AT TIME ZONE 'Asia/Ho_Chi_Minh'
$$;
INSERT INTO c360.customers (phone, name, created_at, tier, tier_locked)
SELECT '0977' || lpad(n::text, 6, '0'), 'rfm',
       pg_temp.some_moment((SELECT today FROM calendar) - pg_temp.pick('{0,10,28,29,30,31,60,400}'::int[])),
       pg_temp.pick('{new,new,new,new,silver,gold,platinum,blacklist}'::text[]), random() < 0.1
FROM generate_series(1, 10000) AS n;
-- the lone order of a customer puts its amount at a bound, several their number;
-- written by a transaction of long ago, or all would be new to every refresh of this one
INSERT INTO c360.customer_orders (xact, customer_id, order_code, amount, status, ordered_at)
SELECT '3', c.id, format('RFM%s-%s', c.id, k),
       pg_temp.pick(ARRAY[0, 1, 166666, 166667, 250000, 499999, 500000, 500001, 1999999, 2000000, 2000001, 4999999, 5000000,
                          9999999, 10000000, 10000001, floor(random() * 3000000)::bigint]),
       pg_temp.pick('{delivered,delivered,delivered,pending,returned,cancelled}'::text[]),
       pg_temp.some_moment((SELECT today FROM calendar)
                           - pg_temp.pick('{-40,-1,0,1,6,7,8,9,13,14,15,16,29,30,31,32,59,60,61,62,87,88,89,90,91,200,400}'::int[]))
FROM (SELECT id, pg_temp.pick('{0,1,1,1,2,2,3,3,4,6,7,11,12,15}'::int[]) AS orders FROM c360.customers WHERE name = 'rfm') AS c
CROSS JOIN LATERAL generate_series(1, c.orders) AS k;
SELECT cmp_ok((SELECT count(*) FROM c360.customer_orders), '>', 40000::bigint, 'there are orders');
ANALYZE c360.customers, c360.customer_orders;

CREATE TEMP TABLE tiers_before AS SELECT id, tier FROM c360.customers;
CREATE TEMP TABLE first_run AS SELECT r.*, (SELECT max(id) FROM c360.customer_activities) AS upto
FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar)) r;
SELECT is(pg_temp.wrong(today), '0', 'the first run scores every customer') FROM calendar;
SELECT is(examined, (SELECT count(*) FROM c360.customers), 'and looks at all') FROM first_run;
SELECT is(changed, (SELECT count(*) FROM pg_temp.expected((SELECT today FROM calendar)) e JOIN tiers_before b USING (id)
                    WHERE e.r IS NOT NULL OR e.tier <> b.tier), 'changed are those of whom something is new') FROM first_run;
SELECT is(distribution, (SELECT jsonb_object_agg(segment, n) FROM (SELECT segment, count(*) AS n FROM pg_temp.expected((SELECT today FROM calendar))
                         WHERE segment IS NOT NULL GROUP BY segment) d), 'the distribution counts segments') FROM first_run;
SELECT cmp_ok((SELECT count(DISTINCT (r, f, m)) FROM c360.customer_rfm), '>', 60::bigint, 'most triples come by chance');
SELECT is((SELECT count(*) FROM c360.customers c JOIN tiers_before b USING (id) WHERE c.tier <> b.tier AND (b.tier = 'blacklist' OR c.tier_locked)),
          0::bigint, 'blacklist and locked tiers stay');
SELECT is((SELECT string_agg(DISTINCT b.tier || ' ' || c.tier, ',') FROM c360.customers c JOIN tiers_before b USING (id)
           WHERE c.tier <> b.tier) ~ 'gold new.*new gold.*new platinum.*new silver', true, 'tiers go up and down');

-- One event and one row of history each.
SELECT is((SELECT count(*) FROM c360.customer_activities a JOIN tiers_before b ON b.id = a.customer_id
           JOIN c360.customers c ON c.id = a.customer_id
           WHERE a.event = 'customer.tier_changed' AND a.topic = 'customers' AND a.payload ->> 'from' = b.tier
             AND a.payload ->> 'to' = c.tier AND a.payload ->> 'phone' = c.phone AND a.payload ->> 'reason' = 'rfm'),
          (SELECT count(*) FROM c360.customers c JOIN tiers_before b USING (id) WHERE c.tier <> b.tier),
          'each new tier has its event');
SELECT is((SELECT count(*) FROM c360.customer_activities a WHERE a.event = 'customer.tier_changed'),
          (SELECT count(*) FROM c360.customers c JOIN tiers_before b USING (id) WHERE c.tier <> b.tier), 'and no more');
SELECT is((SELECT count(*) FROM c360.rfm_history h JOIN tiers_before b ON b.id = h.customer_id JOIN c360.customers c ON c.id = b.id
           LEFT JOIN c360.customer_rfm s ON s.customer_id = b.id
           WHERE h.day = (SELECT today FROM calendar) AND h.from_segment IS NULL AND h.to_segment IS NOT DISTINCT FROM s.segment
             AND h.from_tier = b.tier AND h.to_tier = c.tier),
          (SELECT count(*) FROM c360.customers c JOIN tiers_before b USING (id) LEFT JOIN c360.customer_rfm s ON s.customer_id = c.id
           WHERE c.tier <> b.tier OR s.segment IS NOT NULL), 'and its history');
SELECT is((SELECT changed FROM c360_refresh_rfm_on(true, (SELECT today FROM calendar))), 0::bigint, 'once more changes nothing');
SELECT is((SELECT changed FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar))), 0::bigint, 'incremental neither');

-- Asking and storing one at a time is the same.
SELECT is((SELECT count(*) FROM pg_temp.expected((SELECT today FROM calendar)) e,
           LATERAL c360_rfm_answer(e.id, (SELECT today FROM calendar), true) a
           WHERE (a.frequency, a.monetary, a.r, a.f, a.m, a.overall, a.segment, a.tier) IS DISTINCT FROM
                 (coalesce(e.frequency, 0), coalesce(e.monetary, 0), e.r, e.f, e.m, round((e.r + e.f + e.m) / 3.0, 2), e.segment, e.tier)
              OR a.recency_days IS DISTINCT FROM CASE WHEN e.r IS NOT NULL THEN greatest((SELECT today FROM calendar) - e.last_on, 0) END),
          0::bigint, 'a single score is as in the refresh');

-- Sixty days pass; each day some orders come, change, come back.
CREATE FUNCTION pg_temp.live(day date, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
    SELECT c.id, format('DAY%s-%s', day, c.id), pg_temp.pick(ARRAY[1000, 500000, 2000000, floor(random() * 5000000)::bigint]),
           pg_temp.pick('{pending,delivered,cancelled}'::text[]), pg_temp.some_moment(day - pg_temp.pick('{0,0,0,1,5,-2}'::int[]))
    FROM (SELECT id FROM c360.customers ORDER BY random() LIMIT n) AS c;
    UPDATE c360.customer_orders SET status = pg_temp.pick('{delivered,returned,cancelled}'::text[]), xact = pg_current_xact_id()
    WHERE id IN (SELECT id FROM c360.customer_orders ORDER BY random() LIMIT n);
END $$;
CREATE TEMP TABLE days (day date, examined bigint, wrong text);
DO $$
DECLARE
    day date := (SELECT today FROM calendar);
BEGIN
    FOR n IN 1..60 LOOP
        day := day + CASE WHEN n % 17 = 0 THEN 3 ELSE 1 END;       -- some days nothing ran
        PERFORM pg_temp.live(day, 20);
        INSERT INTO days SELECT day, r.examined, CASE WHEN n % 6 = 0 THEN pg_temp.wrong(day) END FROM c360_refresh_rfm_on(false, day) r;
    END LOOP;
    UPDATE calendar SET today = day;
END $$;
SELECT is((SELECT string_agg(format('%s: %s', day, wrong), '; ') FROM days WHERE wrong <> '0'), NULL, 'every day is right');
SELECT cmp_ok((SELECT count(*) FROM c360.rfm_counts), '<=', 12::bigint, 'segments are counted in a row each');
SELECT is((SELECT jsonb_object_agg(segment, customers) FROM c360.rfm_counts),
          (SELECT jsonb_object_agg(segment, n) FROM (SELECT segment, count(*) AS n FROM c360.customer_rfm GROUP BY segment) g), 'and right');
SELECT is((SELECT changed FROM c360_refresh_rfm_on(true, (SELECT today FROM calendar))), 0::bigint, 'a full run finds nothing to change');
SELECT is((SELECT count(*) FROM c360.customer_rfm s WHERE s.next_on <= (SELECT today FROM calendar)), 0::bigint, 'nobody is overdue');

-- Each of the 125 triples, by orders that make it: recency by the day, frequency by the number, money by the sum.
CREATE TEMP TABLE triples AS
SELECT r, f, m, c360_get_or_create_customer(format('09760%s%s%s00', r, f, m)) AS id
FROM generate_series(1, 5) r, generate_series(1, 5) f, generate_series(1, 5) m;
INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
SELECT t.id, format('TRIPLE%s-%s', t.id, k), CASE k WHEN 1 THEN mb.low - (fb.low - 1) * 1 ELSE 1 END, 'delivered',
       pg_temp.some_moment((SELECT today FROM calendar) - rb.low::int)
FROM triples t JOIN bounds rb ON rb.metric = 'recency' AND rb.score = t.r
JOIN bounds fb ON fb.metric = 'frequency' AND fb.score = t.f JOIN bounds mb ON mb.metric = 'monetary' AND mb.score = t.m
CROSS JOIN LATERAL generate_series(1, greatest(fb.low, 1)) AS k
WHERE t.m > 1;
INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
SELECT t.id, format('TRIPLE%s-%s', t.id, k), 0, 'delivered', pg_temp.some_moment((SELECT today FROM calendar) - rb.low::int)
FROM triples t JOIN bounds rb ON rb.metric = 'recency' AND rb.score = t.r
JOIN bounds fb ON fb.metric = 'frequency' AND fb.score = t.f
CROSS JOIN LATERAL generate_series(1, greatest(fb.low, 1)) AS k
WHERE t.m = 1;
SELECT lives_ok($$SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar))$$, 'a refresh of all triples');
SELECT is((SELECT string_agg(format('%s%s%s: %s%s%s %s', t.r, t.f, t.m, s.r, s.f, s.m, s.segment), ', ')
           FROM triples t JOIN segment_of n USING (r, f, m) LEFT JOIN c360.customer_rfm s ON s.customer_id = t.id
           WHERE (s.r, s.f, s.m, s.segment) IS DISTINCT FROM (t.r::smallint, t.f::smallint, t.m::smallint, n.segment)),
          NULL, 'each triple and its segment');

-- Changing the rules.
CREATE TEMP TABLE notices (message text);
SELECT is(pg_temp.failure(format('SELECT c360_update_rfm_threshold(%s)', arguments)), wanted, arguments)
FROM (VALUES ($$'recency', 4, 15$$, '22023 bounds_out_of_order'), ($$'recency', 4, 14$$, 'none'), ($$'recency', 4, 0$$, '22023 bounds_out_of_order'),
             ($$'recency', 4, 1$$, 'none'), ($$'recency', 5, 1$$, '22023 outermost_bound'), ($$'recency', 5, 0$$, 'none'),
             ($$'recency', 1, 31$$, '22023 bounds_out_of_order'), ($$'recency', 1, 32$$, 'none'), ($$'recency', 1, 100001$$, '22023 out_of_range'),
             ($$'frequency', 1, 1$$, '22023 outermost_bound'), ($$'frequency', 2, 0$$, '22023 bounds_out_of_order'),
             ($$'frequency', 2, 1$$, 'none'), ($$'frequency', 2, 3$$, '22023 bounds_out_of_order'),
             ($$'monetary', 5, 5000000$$, '22023 bounds_out_of_order'), ($$'monetary', 5, 9223372036854775807$$, 'none'),
             ($$'monetary', 2, -1$$, '22023 out_of_range'), ($$'monetary', 0, 1$$, '22023 out_of_range'), ($$'monetary', 6, 1$$, '22023 out_of_range'),
             ($$'money', 1, 0$$, '22023 not_allowed'), ($$NULL, 1, 0$$, '22004 missing_argument'), ($$'recency', NULL, 0$$, '22004 missing_argument'),
             ($$'recency', 1, NULL$$, '22004 missing_argument'), ($$'recency', 1, 61, repeat('x', 501)$$, '22001 too_long')) AS t (arguments, wanted);
-- failure() undoes only what failed
SELECT is((SELECT string_agg(min_value::text, ' ' ORDER BY score DESC) FROM c360_rfm_config WHERE metric = 'recency'), '0 1 15 31 32',
          'bounds are as they were set');
SELECT is((SELECT description FROM c360_rfm_config WHERE metric = 'recency' AND score = 4), 'ordered recently', 'without a description the words stay');
SELECT lives_ok($$SELECT c360_update_rfm_threshold('recency', 4, 10, 'not long ago')$$, 'a description');
SELECT is((SELECT concat_ws(' ', min_value, description, unit, changed_by) FROM c360_rfm_config WHERE metric = 'recency' AND score = 4),
          '10 not long ago days ' || session_user, 'changes the words');
DELETE FROM bounds;
INSERT INTO bounds SELECT metric, score, min_value FROM c360.rfm_config;
SELECT isnt(pg_temp.wrong(today), '0', 'nothing is scored by the new rules yet') FROM calendar;
SELECT is(examined, (SELECT count(*) FROM c360.customers), 'the next refresh looks at all') FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar));
SELECT is(pg_temp.wrong(today), '0', 'and scores by them') FROM calendar;
SELECT cmp_ok((SELECT examined FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar))), '<', (SELECT count(*) FROM c360.customers), 'the one after does not');
SELECT lives_ok($$SELECT c360_set('rfm_frequency_window', '7')$$, 'another window');
SELECT is(examined, (SELECT count(*) FROM c360.customers), 'marks all, too') FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar));
SELECT is(pg_temp.wrong(today, 7), '0', 'and counts') FROM calendar;
UPDATE c360.rfm_segments SET segment = 'Regulars' WHERE (r, f, m) IN (SELECT r, f, m FROM c360.customer_rfm ORDER BY 1 DESC, 2, 3 LIMIT 1);
SELECT lives_ok($$SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar))$$, 'another segment of a triple');
SELECT is((SELECT string_agg(DISTINCT s.segment, ' ') FROM c360.customer_rfm s JOIN c360.rfm_segments n USING (r, f, m)
           WHERE n.segment = 'Regulars'), 'Regulars', 'is taken over');

-- A change of rules that is taken back between two refreshes.
SAVEPOINT rules;
SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar)) \g /dev/null
UPDATE c360.rfm_config SET min_value = 1 WHERE metric = 'monetary' AND score = 2;
SELECT c360_record_order('0977000001', 'RULE', 3, now(), 'delivered') \g /dev/null
SELECT is((SELECT count(*) FROM c360_update_rfm('0977000001')), 1::bigint, 'one customer by rules of a moment');
UPDATE c360.rfm_config SET min_value = 500000 WHERE metric = 'monetary' AND score = 2;
SELECT c360_refresh_rfm_on(false, c360_shop_day(clock_timestamp())) \g /dev/null
SELECT is((SELECT changed FROM c360_refresh_rfm_on(true, c360_shop_day(clock_timestamp()))), 0::bigint, 'is put right by the next refresh');
ROLLBACK TO rules;

-- Rows restored from another cluster bear numbers of transactions to come: they are no news, run after run.
SAVEPOINT rules;
SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar)) \g /dev/null
UPDATE c360.customer_orders SET xact = '4000000000000';
SELECT is((SELECT examined FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar))), 0::bigint, 'orders of transactions to come are not new');
UPDATE c360.customer_orders SET xact = pg_current_xact_id(), status = 'cancelled' WHERE id = (SELECT max(id) FROM c360.customer_orders WHERE status <> 'cancelled');
SELECT is((SELECT examined FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar))), 1::bigint, 'one that is changed is');
ROLLBACK TO rules;

-- The clock is set right after a run by a wrong one.
UPDATE segment_of w SET segment = n.segment FROM c360.rfm_segments n WHERE (n.r, n.f, n.m) = (w.r, w.f, w.m);
UPDATE c360.customer_orders SET xact = '4000000000000';     -- what is ours is always new
SELECT c360_refresh_rfm_on(false, (SELECT today + 200 FROM calendar)) \g /dev/null
SELECT isnt(pg_temp.wrong(today, 7), '0', 'scores of a day to come') FROM calendar;
SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar)) \g /dev/null
SELECT is(pg_temp.wrong(today, 7), '0', 'a refresh of an earlier day puts them right') FROM calendar;
SELECT is((SELECT examined FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar))), 0::bigint, 'once');
SELECT c360_rfm_begin(false, NULL, (SELECT today + 200 FROM calendar)), c360_rfm_batch((SELECT today + 200 FROM calendar)) \g /dev/null
DO $$
BEGIN
    WHILE NOT (SELECT finished FROM c360_rfm_batch((SELECT today FROM calendar))) LOOP
    END LOOP;
END $$;
SELECT is(pg_temp.wrong(today, 7), '0', 'so does a run in batches that it catches in the middle') FROM calendar;
ROLLBACK TO rules;

-- Rules that change while a run writes, are read half, and are changed back
-- after it: the run keeps to those that it began with.
CREATE FUNCTION pg_temp.other_rules() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE c360.rfm_config SET min_value = 600000 WHERE metric = 'monetary' AND score = 2 AND min_value <> 600000;
    PERFORM c360_rfm_config_version();
    BEGIN
        DELETE FROM c360.rfm_config WHERE metric = 'recency' AND score = 1;
        PERFORM c360_rfm_config_version();
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
    END;
    RETURN NEW;
END $$;
CREATE TRIGGER other_rules BEFORE INSERT ON c360.rfm_history FOR EACH ROW EXECUTE FUNCTION pg_temp.other_rules();
ALTER TABLE c360.rfm_history DISABLE TRIGGER other_rules;
UPDATE c360.customer_orders SET xact = '4000000000000';
UPDATE c360.rfm_config SET min_value = 500000 WHERE metric = 'monetary' AND score = 2;
SELECT c360_refresh_rfm_on(true, (SELECT today FROM calendar)) \g /dev/null
SAVEPOINT moment;
-- so little memory that it writes while there is still something to read
SET LOCAL work_mem = '64kB';
UPDATE c360.customer_orders SET amount = 550000, status = 'delivered' WHERE id IN (SELECT min(id) FROM c360.customer_orders GROUP BY customer_id);
ALTER TABLE c360.rfm_history ENABLE TRIGGER other_rules;
SELECT c360_refresh_rfm_on(true, (SELECT today FROM calendar)) \g /dev/null
ALTER TABLE c360.rfm_history DISABLE TRIGGER other_rules;
RESET work_mem;
UPDATE c360.rfm_config SET min_value = 500000 WHERE metric = 'monetary' AND score = 2;
SELECT is(pg_temp.wrong(today, 7), '0', 'a run keeps to its rules') FROM calendar;
SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar)) \g /dev/null
SELECT is((SELECT changed FROM c360_refresh_rfm_on(true, (SELECT today FROM calendar))), 0::bigint, 'and the next one finds nothing');
ROLLBACK TO moment;
SET LOCAL work_mem = '64kB';
UPDATE c360.customer_orders SET amount = 550000, status = 'delivered', xact = pg_current_xact_id()
WHERE id IN (SELECT min(id) FROM c360.customer_orders WHERE status = 'delivered' GROUP BY customer_id ORDER BY random() LIMIT 3000);
ALTER TABLE c360.rfm_history ENABLE TRIGGER other_rules;
SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar)) \g /dev/null
ALTER TABLE c360.rfm_history DISABLE TRIGGER other_rules;
RESET work_mem;
UPDATE c360.rfm_config SET min_value = 500000 WHERE metric = 'monetary' AND score = 2;
UPDATE c360.customer_orders SET xact = '4000000000000';
SELECT c360_refresh_rfm_on(false, (SELECT today FROM calendar)) \g /dev/null
SELECT is((SELECT changed FROM c360_refresh_rfm_on(true, (SELECT today FROM calendar))), 0::bigint, 'so is an incremental one');
ROLLBACK TO rules;

-- Row triggers of the shop see what a refresh writes.
CREATE TEMP TABLE fired (what text);
CREATE FUNCTION pg_temp.fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_temp.fired VALUES (format('%s %s %s', TG_WHEN, TG_OP, TG_TABLE_NAME));
    RETURN NEW;
END $$;
CREATE TRIGGER fire_before BEFORE UPDATE ON c360.customers FOR EACH ROW EXECUTE FUNCTION pg_temp.fire();
CREATE TRIGGER fire_after AFTER UPDATE OF tier ON c360.customers FOR EACH ROW EXECUTE FUNCTION pg_temp.fire();
CREATE TRIGGER fire_before BEFORE UPDATE ON c360.customer_rfm FOR EACH ROW EXECUTE FUNCTION pg_temp.fire();
CREATE TRIGGER fire_after AFTER INSERT ON c360.rfm_history FOR EACH ROW EXECUTE FUNCTION pg_temp.fire();
GRANT ALL ON fired TO PUBLIC;
CREATE TEMP TABLE tiers_of_rules AS SELECT id, tier FROM c360.customers;
CREATE TEMP TABLE last_history AS SELECT max(id) AS id FROM c360.rfm_history;
UPDATE c360.customer_orders SET amount = 20000000, status = 'delivered', xact = pg_current_xact_id()
WHERE id IN (SELECT min(id) FROM c360.customer_orders WHERE status = 'delivered' GROUP BY customer_id LIMIT 500);
CREATE TEMP TABLE run_of_triggers AS SELECT * FROM c360_refresh_rfm_on(false, (SELECT today FROM calendar));
SELECT cmp_ok(changed, '>', 400::bigint, 'a refresh changes some') FROM run_of_triggers;
SELECT is((SELECT jsonb_object_agg(what, n) FROM (SELECT what, count(*) AS n FROM fired GROUP BY what) f),
          (SELECT jsonb_build_object('BEFORE UPDATE customers', t.n, 'AFTER UPDATE customers', t.n, 'BEFORE UPDATE customer_rfm', r.changed,
                                     'AFTER INSERT rfm_history', h.n)
           FROM (SELECT count(*) AS n FROM c360.customers c JOIN tiers_of_rules o USING (id) WHERE c.tier <> o.tier) t, run_of_triggers r,
                (SELECT count(*) AS n FROM c360.rfm_history i WHERE i.id > (SELECT id FROM last_history)) h),
          'row triggers fire for each row');
SELECT is((SELECT changed FROM c360_refresh_rfm_on(true, (SELECT today FROM calendar))), 0::bigint, 'and a full run finds nothing to change');
ROLLBACK TO rules;

-- Rules that are not complete.
SAVEPOINT rules;
DELETE FROM c360.rfm_segments WHERE (r, f, m) = (1, 2, 3);
SELECT is(pg_temp.failure('SELECT * FROM c360_refresh_rfm()'), '55000 rules_incomplete', 'a triple is missing');
ROLLBACK TO rules;
UPDATE c360.rfm_config SET min_value = 60 WHERE metric = 'recency' AND score = 3;
SELECT is(pg_temp.failure('SELECT * FROM c360_calculate_rfm(''0977000001'')'), '55000 rules_incomplete', 'bounds out of order by hand');
ROLLBACK TO rules;
DELETE FROM c360.rfm_config WHERE metric = 'recency' AND score = 3;
SELECT is(pg_temp.failure('SELECT * FROM c360_update_rfm(''0977000001'')'), '55000 rules_incomplete', 'a bound is missing');
SELECT is(pg_temp.failure('SELECT c360_update_rfm_threshold(''recency'', 3, 20)'), '55000 rules_incomplete', 'it cannot be changed');
SELECT c360_install() \g /dev/null
SELECT lives_ok('SELECT * FROM c360_update_rfm(''0977000001'')', 'c360_install() puts it back');
SELECT is((SELECT count(*) FROM c360.rfm_segments WHERE segment = 'Regulars'), 1::bigint, 'and leaves the shop''s rows as they are');
ROLLBACK TO rules;

-- One customer, through the functions.
SELECT c360_record_order('0975000001', 'ONE1', 600000, now() - interval '10 days', 'delivered') \g /dev/null
UPDATE c360.customers SET created_at = now() - interval '100 days' WHERE phone = '0975000001';
SELECT is(to_jsonb(a)::text, '{"f": 1, "m": 2, "r": 4, "tier": "new", "overall": 2.33, "segment": "New_Customer", "monetary": 600000, "frequency": 0, "recency_days": 10}',
          'calculated') FROM c360_calculate_rfm('+84 975 000 001') a;
SELECT is((SELECT count(*) FROM c360.customer_rfm JOIN c360.customers c ON c.id = customer_id WHERE c.phone = '0975000001'), 0::bigint, 'and not stored');
SELECT is((SELECT segment FROM c360_update_rfm('0975000001')), 'New_Customer', 'updated');
SELECT is((SELECT segment FROM rfm_segment_mapping WHERE phone = '0975000001'), 'New_Customer', 'is stored');
SELECT c360_record_order('0975000001', 'ONE2', 20000000, now(), 'delivered') \g /dev/null
SELECT c360_set('rfm_frequency_window', '90') \g /dev/null
SELECT is((SELECT segment || ' ' || tier FROM c360_update_rfm('0975000001')), 'Potential_Loyalist gold', 'and again');
SELECT is(a - '{customer_id,segment_since,tier_since,recommendations}'::text[],
    '{"phone": "0975000001", "recency": {"score": 5, "days": 0, "words": "ordered a few days ago"},
      "frequency": {"score": 2, "orders": 2, "words": "ordered twice"}, "monetary": {"score": 4, "spent": 20600000, "words": "spends much"},
      "overall": 3.67, "segment": "Potential_Loyalist", "tier": "gold", "stored_segment": "Potential_Loyalist",
      "previous_segment": "New_Customer", "previous_tier": "new"}', 'analyzed')
FROM c360_analyze_rfm('0975000001') a;
SELECT is((SELECT jsonb_array_length(a -> 'recommendations') FROM c360_analyze_rfm('0975000001') a), 2, 'with recommendations');
SELECT is((SELECT (a ->> 'segment_since')::timestamptz BETWEEN now() AND clock_timestamp() FROM c360_analyze_rfm('0975000001') a), true, 'and since when');
SELECT is(c360_customer('0975000001') -> 'rfm' ->> 'previous_segment', 'New_Customer', 'c360_customer() tells it');
SELECT is((SELECT rfm_segment FROM customer_360_summary WHERE phone = '0975000001'), 'Potential_Loyalist', 'customer_360_summary');
SELECT is((SELECT format('%s%s%s %s', r, f, m, rfm_segment) FROM customer_activity_summary WHERE phone = '0975000001'), '524 Potential_Loyalist', 'customer_activity_summary');
SELECT is(c360_dashboard() -> 'rfm' -> 'segments', (SELECT jsonb_object_agg(segment, n) FROM (SELECT segment, count(*) AS n FROM c360.customer_rfm GROUP BY 1) s), 'c360_dashboard()');
SELECT is(c360_export_customer('0975000001') #>> '{rfm,segment}', 'Potential_Loyalist', 'c360_export_customer()');
SELECT is((SELECT sum(customer_count) FROM rfm_segment_distribution), (SELECT count(*)::numeric FROM c360.customer_rfm), 'rfm_segment_distribution counts all');

-- The ends of the calendar.
SELECT c360_record_order('0975000002', 'FIRST', 1, '1900-01-01 00:00+00'), c360_record_order('0975000002', 'LAST', 1, '9999-12-30 23:00+00') \g /dev/null
SELECT is(format('%s %s', recency_days, r), '0 5', 'an order of 9999 counts as today') FROM c360_update_rfm('0975000002');
SELECT is((SELECT last_on::text FROM c360.customer_rfm JOIN c360.customers c ON c.id = customer_id WHERE c.phone = '0975000002'), '9999-12-31', 'and is of its day');

-- What does not count; what staff decides.
SELECT c360_record_order('0975000001', 'ONE1', 600000, status => 'cancelled'), c360_record_order('0975000001', 'ONE2', 20000000, status => 'returned') \g /dev/null
SELECT is(format('%s%s%s %s %s', r, f, m, frequency, monetary), '511 0 0', 'a returned order counts for recency alone') FROM c360_update_rfm('0975000001');
SELECT c360_record_order('0975000001', 'ONE2', 20000000, status => 'cancelled') \g /dev/null
SELECT is(to_jsonb(a)::text, '{"f": null, "m": null, "r": null, "tier": "new", "overall": null, "segment": null, "monetary": 0, "frequency": 0, "recency_days": null}',
          'cancelled orders not at all') FROM c360_update_rfm('0975000001') a;
SELECT is((SELECT count(*) FROM rfm_segment_mapping WHERE phone = '0975000001'), 0::bigint, 'the score is gone');
SELECT is((SELECT format('%s, %s', from_segment IS NOT NULL, to_segment) FROM c360.rfm_history h JOIN c360.customers c ON c.id = h.customer_id
           WHERE c.phone = '0975000001' ORDER BY h.id DESC LIMIT 1), 't, ', 'and history says so');
SELECT c360_set_tier('0975000001', 'platinum') \g /dev/null
SELECT is((SELECT tier FROM c360_update_rfm('0975000001')), 'platinum', 'a locked tier stays');
SELECT c360_set_tier('0975000001', 'platinum', false) \g /dev/null
SELECT c360_refresh_rfm() \g /dev/null
SELECT is((SELECT tier FROM c360.customers WHERE phone = '0975000001'), 'new', 'once unlocked the next refresh sets it');
SELECT is((SELECT string_agg(format('%s>%s', from_tier, to_tier), ', ' ORDER BY h.id) FROM c360.rfm_history h JOIN c360.customers c ON c.id = h.customer_id
           WHERE c.phone = '0975000001' AND h.from_segment IS NOT DISTINCT FROM h.to_segment AND h.day = c360_shop_day(now())),
          'new>platinum, platinum>new', 'staff''s changes are history as scoring''s are; a lock alone is none');
SELECT c360_record_order('0975000001', 'ONE3', 600000, status => 'delivered'), c360_update_rfm('0975000001') \g /dev/null
SELECT a ->> 'segment_since' AS since, coalesce(a ->> 'previous_segment', '') AS previous FROM c360_analyze_rfm('0975000001') a \gset
SELECT c360_set_tier('0975000001', 'gold') \g /dev/null
SELECT is((SELECT format('%s %s %s', a ->> 'previous_tier', (a ->> 'tier_since')::timestamptz > now(), a ->> 'segment_since' = :'since' AND a ->> 'previous_segment' IS NOT DISTINCT FROM nullif(:'previous', ''))
           FROM c360_analyze_rfm('0975000001') a), 'silver t t', 'the analysis tells the tier of before; the segment''s change is what it was');
SELECT is((SELECT count(*) FROM c360_rfm_movement(c360_shop_day(now()), c360_shop_day(now())) WHERE from_segment = to_segment), 0::bigint, 'and is no movement between segments');
SELECT c360_record_order('0975000001', 'ONE3', 600000, status => 'cancelled'), c360_update_rfm('0975000001') \g /dev/null
SELECT c360_set_tier('0975000001', 'blacklist', false) \g /dev/null
SELECT is((SELECT tier FROM c360_update_rfm('0975000001')), 'blacklist', 'blacklist stays without a lock');

-- Movement: by the first segment and the last of a span.
DELETE FROM c360.rfm_history;
INSERT INTO c360.rfm_history (customer_id, day, from_segment, to_segment, from_tier, to_tier) VALUES
    (1, '2026-01-01', NULL, 'Lost', 'new', 'new'), (1, '2026-01-02', 'Lost', 'Loyal', 'new', 'gold'), (1, '2026-01-03', 'Loyal', 'Lost', 'gold', 'new'),
    (2, '2026-01-02', 'Lost', 'Loyal', 'new', 'new'), (2, '2026-01-02', 'Loyal', 'Loyal', 'new', 'gold'), (3, '2026-01-02', 'Loyal', NULL, 'new', 'new'),
    (4, '2026-01-02', NULL, 'Loyal', 'new', 'new'), (4, '2026-01-03', 'Loyal', 'Champion', 'new', 'new');
SELECT is((SELECT string_agg(format('%s>%s %s', from_segment, to_segment, customers), ', ') FROM c360_rfm_movement('2026-01-02', '2026-01-03')),
          '>Champion 1, Lost>Loyal 1, Loyal> 1', 'movement between two days');
SELECT is((SELECT string_agg(format('%s>%s %s', from_segment, to_segment, customers), ', ') FROM c360_rfm_movement('2026-01-02', '2026-01-02')),
          '>Loyal 1, Lost>Loyal 2, Loyal> 1', 'within a day');
SELECT is((SELECT count(*) FROM c360_rfm_movement('2026-01-04', '2026-01-05')), 0::bigint, 'none');

-- Errors.
SELECT is(pg_temp.failure('SELECT * FROM ' || call), wanted, call)
FROM (VALUES ('c360_calculate_rfm(''0979999999'')', 'PT404 customer_not_found'), ('c360_calculate_rfm(''12'')', '22023 invalid_phone'),
             ('c360_calculate_rfm(NULL)', '22004 missing_argument'), ('c360_update_rfm(''0979999999'')', 'PT404 customer_not_found'),
             ('c360_update_rfm(NULL)', '22004 missing_argument'), ('c360_update_rfm(''x'')', '22023 invalid_phone'),
             ('c360_analyze_rfm(''0979999999'')', 'PT404 customer_not_found'), ('c360_analyze_rfm(NULL)', '22004 missing_argument'),
             ('c360_analyze_rfm(''x'')', '22023 invalid_phone'),
             ('c360_rfm_movement(''2026-01-02'', ''2026-01-01'')', '22023 out_of_range'), ('c360_rfm_movement(NULL, ''2026-01-01'')', '22004 missing_argument'),
             ('c360_rfm_movement(''2026-01-01'', NULL)', '22004 missing_argument'), ('c360_rfm_movement(''-infinity'', ''2026-01-01'')', '22023 out_of_range'),
             ('c360_rfm_movement(''2000-01-01'', ''2026-01-01'')', '22023 too_many')) AS t (call, wanted);
SELECT is_empty($$SELECT message FROM failures WHERE message ~ '[^ -~]'$$, 'messages are ASCII');

-- Who may: viewers see no money.
CREATE ROLE rfm_viewer;
CREATE ROLE rfm_agent;
SELECT c360_grant('rfm_viewer', 'viewer'), c360_grant('rfm_agent', 'agent') \g /dev/null
SELECT c360_set_tier('0975000001', 'new', false) \g /dev/null
SELECT c360_record_order('0975000001', 'ONE3', 700000, status => 'delivered') \g /dev/null
SET LOCAL ROLE rfm_viewer;
SELECT is((SELECT m || coalesce(monetary::text, ' hidden') FROM c360_calculate_rfm('0975000001')), '2 hidden', 'a viewer sees scores, not money');
SELECT is((SELECT a #>> '{monetary,spent}' FROM c360_analyze_rfm('0975000001') a), NULL, 'nor in the analysis');
SELECT is((SELECT count(total_spent) FROM rfm_segment_mapping), 0::bigint, 'nor in the mapping');
SELECT is((SELECT count(avg_spent) FROM rfm_segment_distribution), 0::bigint, 'nor in the distribution');
SELECT is(c360_customer('0977000002') #> '{rfm,monetary}', CASE WHEN c360_customer('0977000002') -> 'rfm' <> 'null' THEN 'null'::jsonb END, 'nor in the 360 view');
SELECT is(pg_temp.failure('SELECT c360_update_rfm(''0975000001'')'), '42501', 'a viewer stores nothing');
RESET ROLE;
SET LOCAL ROLE rfm_agent;
SELECT is((SELECT m || ' ' || monetary FROM c360_update_rfm('0975000001')), '2 700000', 'an agent does, and sees money');
SELECT is(pg_temp.failure('SELECT c360_refresh_rfm()'), '42501', 'an agent refreshes nothing');
SELECT is(pg_temp.failure('SELECT c360_update_rfm_threshold(''recency'', 4, 9)'), '42501', 'nor changes the rules');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
