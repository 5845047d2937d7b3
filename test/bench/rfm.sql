-- Times of a refresh and of the same work by other means, in seconds, one row
-- each. The changes are those of a day: it is tomorrow, and some customers
-- ordered.
--
--   :touched    customers of the incremental run
--   :sample     customers that the PL/pgSQL function is called for
CREATE FUNCTION pg_temp.seconds(statement text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz := clock_timestamp();
BEGIN
    EXECUTE statement;
    RETURN extract(epoch FROM clock_timestamp() - start);
END $$;
CREATE TEMP TABLE times (what text, seconds float8);
CREATE TEMP SEQUENCE run;
CREATE SCHEMA IF NOT EXISTS peer;

-- the same scores, once more, to be changed by one UPDATE
DROP TABLE IF EXISTS peer.rfm;
CREATE TABLE peer.rfm (LIKE c360.customer_rfm INCLUDING ALL);
INSERT INTO peer.rfm TABLE c360.customer_rfm;
VACUUM ANALYZE peer.rfm, c360.customer_rfm, c360.customers, c360.customer_orders;
CREATE OR REPLACE FUNCTION peer.group_orders() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE 'SELECT count(*) FROM (
        SELECT customer_id, max(ordered_at), count(*) FILTER (WHERE ordered_at > now() - interval ''90 days''), sum(amount)
        FROM c360.customer_orders WHERE status <> ''cancelled'' GROUP BY customer_id OFFSET 0) g' INTO result;
    RETURN result;
END $$;
-- one customer at a time, as the service layer did it
CREATE OR REPLACE FUNCTION peer.score_one(customer bigint, today date) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    days integer;
    orders bigint;
    spent numeric;
    recency integer;
    often integer;
    money integer;
    found_segment text;
BEGIN
    SELECT today - max((o.ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date) INTO days
    FROM c360.customer_orders o WHERE o.customer_id = customer AND o.status <> 'cancelled';
    IF days IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO orders FROM c360.customer_orders o
    WHERE o.customer_id = customer AND o.status IN ('pending', 'delivered')
      AND (o.ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date > today - 90;
    SELECT coalesce(sum(o.amount), 0) INTO spent FROM c360.customer_orders o
    WHERE o.customer_id = customer AND o.status IN ('pending', 'delivered');
    SELECT min(score) INTO recency FROM c360.rfm_config WHERE metric = 'recency' AND min_value <= greatest(days, 0);
    SELECT max(score) INTO often FROM c360.rfm_config WHERE metric = 'frequency' AND min_value <= orders;
    SELECT max(score) INTO money FROM c360.rfm_config WHERE metric = 'monetary' AND min_value <= spent;
    SELECT s.segment INTO found_segment FROM c360.rfm_segments s WHERE (s.r, s.f, s.m) = (recency, often, money);
    UPDATE peer.rfm p SET r = recency, f = often, m = money, segment = found_segment, monetary = spent, frequency = orders
    WHERE p.customer_id = customer
      AND (p.r, p.f, p.m, p.segment, p.monetary, p.frequency)
          IS DISTINCT FROM (recency, often, money, found_segment, spent, orders);
    RETURN found_segment;
END $$;

SELECT peer.group_orders() \g /dev/null
INSERT INTO times SELECT 'group', pg_temp.seconds('SELECT peer.group_orders()') FROM generate_series(1, 3);
-- tomorrow by a full run, then one UPDATE of what it changed
SELECT max(day) + 1 AS tomorrow FROM c360.rfm_history \gset
CREATE TEMP TABLE before AS TABLE c360.customer_rfm;
CREATE TEMP TABLE tiers AS SELECT id, tier FROM c360.customers;
SELECT (SELECT max(id) FROM c360.rfm_history) AS last_history, (SELECT max(id) FROM c360.customer_activities) AS last_activity \gset
CHECKPOINT;
SELECT pg_current_wal_insert_lsn() AS lsn \gset
INSERT INTO times SELECT 'full', pg_temp.seconds(format('SELECT c360_refresh_rfm_on(true, %L)', :'tomorrow'));
INSERT INTO times SELECT 'WAL of full', (pg_current_wal_insert_lsn() - :'lsn') / 1e6;
CREATE TEMP TABLE changed AS SELECT s.*, c.tier, c.tier <> t.tier AS new_tier FROM c360.customer_rfm s JOIN c360.customers c ON c.id = s.customer_id
JOIN tiers t ON t.id = c.id LEFT JOIN before b USING (customer_id) WHERE s::text IS DISTINCT FROM b::text OR c.tier <> t.tier;
ANALYZE changed;
INSERT INTO times SELECT 'changed', count(*) FROM changed;
INSERT INTO times SELECT 'new tiers', count(*) FILTER (WHERE new_tier) FROM changed;
CREATE TABLE peer.customers (LIKE c360.customers INCLUDING ALL);
INSERT INTO peer.customers OVERRIDING SYSTEM VALUE TABLE c360.customers;
VACUUM ANALYZE peer.customers;
CHECKPOINT;
INSERT INTO times SELECT 'update', pg_temp.seconds('UPDATE peer.rfm p SET r = n.r, f = n.f, m = n.m, segment = n.segment, frequency = n.frequency,
    monetary = n.monetary, last_on = n.last_on, next_on = n.next_on FROM changed n WHERE n.customer_id = p.customer_id');
INSERT INTO times SELECT 'update tiers', pg_temp.seconds('UPDATE peer.customers p SET tier = n.tier, updated_at = clock_timestamp()
    FROM changed n WHERE n.customer_id = p.id AND n.new_tier');
-- what a refresh writes besides: when segments and tiers changed, and an event for each tier
CREATE TABLE peer.history (LIKE c360.rfm_history INCLUDING ALL);
CREATE TABLE peer.activities (LIKE c360.customer_activities INCLUDING ALL);
INSERT INTO peer.history OVERRIDING SYSTEM VALUE SELECT * FROM c360.rfm_history WHERE id <= :last_history;
INSERT INTO peer.activities OVERRIDING SYSTEM VALUE SELECT * FROM c360.customer_activities WHERE id <= :last_activity;
CHECKPOINT;
INSERT INTO times SELECT 'insert history', pg_temp.seconds(format('INSERT INTO peer.history OVERRIDING SYSTEM VALUE SELECT * FROM c360.rfm_history WHERE id > %s', :last_history));
INSERT INTO times SELECT 'insert events', pg_temp.seconds(format('INSERT INTO peer.activities OVERRIDING SYSTEM VALUE SELECT * FROM c360.customer_activities WHERE id > %s', :last_activity));
INSERT INTO times SELECT 'full, nothing changes', pg_temp.seconds(format('SELECT c360_refresh_rfm_on(true, %L)', :'tomorrow')) FROM generate_series(1, 3);
-- a share of the customers since: half of them, who ordered this month, ordered
-- again, the other half had an order delivered
CREATE TEMP TABLE recent AS SELECT customer_id, min(id) AS order_id FROM c360.customer_orders
WHERE ordered_at > now() - interval '30 days' GROUP BY customer_id ORDER BY random() LIMIT :touched;
INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
SELECT customer_id, format('BMT%s', nextval('run')), 300000, 'pending', now() FROM recent WHERE customer_id % 2 = 0;
UPDATE c360.customer_orders o SET status = 'delivered', xact = pg_current_xact_id() FROM recent r WHERE o.id = r.order_id AND r.customer_id % 2 = 1;
-- scores and tiers once more, with nothing but a primary key and with room for HOT
DROP TABLE before, tiers, changed;
CREATE TEMP TABLE before AS TABLE c360.customer_rfm;
CREATE TEMP TABLE tiers AS SELECT id, tier FROM c360.customers;
CREATE TABLE peer.bare_rfm (LIKE c360.customer_rfm) WITH (fillfactor = 90);
INSERT INTO peer.bare_rfm SELECT * FROM c360.customer_rfm ORDER BY customer_id;
ALTER TABLE peer.bare_rfm ADD PRIMARY KEY (customer_id);
CREATE TABLE peer.bare_customers (LIKE c360.customers) WITH (fillfactor = 90);
INSERT INTO peer.bare_customers SELECT * FROM c360.customers ORDER BY id;
ALTER TABLE peer.bare_customers ADD PRIMARY KEY (id);
VACUUM ANALYZE peer.bare_rfm, peer.bare_customers;
SELECT (SELECT max(id) FROM c360.rfm_history) AS incremental_history, (SELECT max(id) FROM c360.customer_activities) AS incremental_activity \gset
CHECKPOINT;
SELECT pg_current_wal_insert_lsn() AS lsn \gset
INSERT INTO times SELECT 'incremental', pg_temp.seconds(format('SELECT c360_refresh_rfm_on(false, %L)', :'tomorrow'));
INSERT INTO times SELECT 'WAL of incremental', (pg_current_wal_insert_lsn() - :'lsn') / 1e6;
-- its floor: the customers read by their keys, and the rows that it wrote, each kind by one statement
CREATE TEMP TABLE changed AS SELECT s.*, c.tier, c.tier <> t.tier AS new_tier FROM c360.customer_rfm s JOIN c360.customers c ON c.id = s.customer_id
JOIN tiers t ON t.id = c.id LEFT JOIN before b USING (customer_id) WHERE s::text IS DISTINCT FROM b::text OR c.tier <> t.tier ORDER BY s.customer_id;
ANALYZE changed;
INSERT INTO times SELECT 'scores of incremental', count(*) FROM changed;
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;
INSERT INTO times SELECT 'read touched', pg_temp.seconds('SELECT count(c.tier), count(s.segment), max(o.last), sum(o.amount) FROM recent r
    CROSS JOIN LATERAL (SELECT c.tier, c.tier_locked, c.created_at FROM c360.customers c WHERE c.id = r.customer_id OFFSET 0) c
    CROSS JOIN LATERAL (SELECT * FROM c360.customer_rfm s WHERE s.customer_id = r.customer_id OFFSET 0) s
    CROSS JOIN LATERAL (SELECT max(o.ordered_at) AS last, sum(o.amount) AS amount FROM c360.customer_orders o
                        WHERE o.customer_id = r.customer_id AND o.status <> ''cancelled'' OFFSET 0) o');
CHECKPOINT;
INSERT INTO times SELECT 'update touched', pg_temp.seconds('UPDATE peer.rfm p SET r = n.r, f = n.f, m = n.m, segment = n.segment, frequency = n.frequency,
    monetary = n.monetary, last_on = n.last_on, next_on = n.next_on FROM changed n WHERE n.customer_id = p.customer_id');
INSERT INTO times SELECT 'update touched tiers', pg_temp.seconds('UPDATE peer.customers p SET tier = n.tier, updated_at = clock_timestamp()
    FROM changed n WHERE n.customer_id = p.id AND n.new_tier');
INSERT INTO times SELECT 'update touched, bare', pg_temp.seconds('UPDATE peer.bare_rfm p SET r = n.r, f = n.f, m = n.m, segment = n.segment, frequency = n.frequency,
    monetary = n.monetary, last_on = n.last_on, next_on = n.next_on FROM changed n WHERE n.customer_id = p.customer_id');
INSERT INTO times SELECT 'update touched tiers, bare', pg_temp.seconds('UPDATE peer.bare_customers p SET tier = n.tier, updated_at = clock_timestamp()
    FROM changed n WHERE n.customer_id = p.id AND n.new_tier');
INSERT INTO times SELECT 'insert touched', pg_temp.seconds(format('INSERT INTO peer.history OVERRIDING SYSTEM VALUE SELECT * FROM c360.rfm_history WHERE id > %s', :incremental_history));
INSERT INTO times SELECT 'insert touched events', pg_temp.seconds(format('INSERT INTO peer.activities OVERRIDING SYSTEM VALUE SELECT * FROM c360.customer_activities WHERE id > %s', :incremental_activity));
RESET enable_seqscan; RESET enable_hashjoin; RESET enable_mergejoin; RESET jit;
DROP TABLE peer.customers, peer.bare_customers, peer.bare_rfm, peer.history, peer.activities;
INSERT INTO times SELECT 'tiers of incremental', count(*) FROM c360.rfm_history WHERE id > :incremental_history AND from_tier <> to_tier;
INSERT INTO times SELECT 'examined', (state ->> 'examined')::float8 FROM c360.consumers WHERE name = 'rfm';
-- as many customers at random: most of them have not ordered for long and change their tier
INSERT INTO c360.customer_orders (customer_id, order_code, amount, status, ordered_at)
SELECT c.id, format('BMR%s', nextval('run')), 300000, 'delivered', now()
FROM (SELECT id FROM c360.customers ORDER BY random() LIMIT :touched) c;
CHECKPOINT;
INSERT INTO times SELECT 'at random', pg_temp.seconds(format('SELECT c360_refresh_rfm_on(false, %L)', :'tomorrow'));
INSERT INTO times SELECT 'incremental, a day later', pg_temp.seconds(format('SELECT c360_refresh_rfm_on(false, %L)', date :'tomorrow' + 1));
INSERT INTO times SELECT 'due', (state ->> 'examined')::float8 FROM c360.consumers WHERE name = 'rfm';
SELECT format('SELECT count(peer.score_one(id, %L)) FROM (SELECT id FROM c360.customers ORDER BY id LIMIT %s) c', date :'tomorrow' + 1, :sample) AS one_by_one \gset
SELECT pg_temp.seconds(:'one_by_one') \g /dev/null
INSERT INTO times SELECT 'one by one', pg_temp.seconds(:'one_by_one');
SELECT what, round(avg(seconds)::numeric, 4) FROM times GROUP BY what;
