-- Scores by recency, frequency and money. What is scored by stands in rows:
-- the lowest value of each score (for recency the smallest number of days), so
-- that there can be neither gap nor overlap, and the segment of each of the
-- 125 triples. c360_install() fills them; the rows are the shop's.
CREATE TABLE c360.rfm_config (
    metric      text NOT NULL CHECK (metric IN ('recency', 'frequency', 'monetary')),
    score       smallint NOT NULL CHECK (score BETWEEN 1 AND 5),
    min_value   bigint NOT NULL CHECK (min_value >= 0),
    description text NOT NULL,
    changed_by  text,
    changed_at  timestamptz,
    PRIMARY KEY (metric, score)
);
COMMENT ON TABLE c360.rfm_config IS 'Lowest value of each score; change it with c360_update_rfm_threshold()';
COMMENT ON COLUMN c360.rfm_config.min_value IS 'recency: days since the last order; frequency: orders of the window; monetary: đồng';

CREATE TABLE c360.rfm_segments (
    r       smallint NOT NULL CHECK (r BETWEEN 1 AND 5),
    f       smallint NOT NULL CHECK (f BETWEEN 1 AND 5),
    m       smallint NOT NULL CHECK (m BETWEEN 1 AND 5),
    segment text NOT NULL CHECK (segment ~ '^[A-Za-z][A-Za-z_]{0,49}$'),
    PRIMARY KEY (r, f, m)
);
COMMENT ON TABLE c360.rfm_segments IS 'Segment of each triple of scores';

CREATE TABLE c360.rfm_recommendations (
    segment           text NOT NULL,
    position          integer NOT NULL,
    recommendation    text NOT NULL,
    recommendation_vi text NOT NULL,
    PRIMARY KEY (segment, position)
);
COMMENT ON TABLE c360.rfm_recommendations IS 'What to do with customers of a segment, in English and Vietnamese';

-- One row for each customer with an order that counts. Narrow, and without a
-- foreign key: rows are written only for customers that are there, and those
-- are never removed. next_on is the first day on which time alone may change
-- the row, his tier included; "infinity" = never.
CREATE TABLE c360.customer_rfm (
    customer_id bigint PRIMARY KEY,
    monetary    bigint NOT NULL,
    frequency   integer NOT NULL,
    last_on     date NOT NULL,
    next_on     date NOT NULL,
    r           smallint NOT NULL,
    f           smallint NOT NULL,
    m           smallint NOT NULL,
    segment     text NOT NULL
);
CREATE INDEX customer_rfm_next_on_idx ON c360.customer_rfm (next_on);
CREATE INDEX customer_rfm_segment_idx ON c360.customer_rfm (segment, customer_id);
COMMENT ON TABLE c360.customer_rfm IS 'Scores of customers as of their last refresh';
COMMENT ON COLUMN c360.customer_rfm.last_on IS 'shop day of the last order';

CREATE TABLE c360.rfm_history (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id  bigint NOT NULL,
    day          date NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_segment text,
    to_segment   text,
    from_tier    text NOT NULL,
    to_tier      text NOT NULL
);
CREATE INDEX rfm_history_customer_id_idx ON c360.rfm_history (customer_id, id);
CREATE INDEX rfm_history_day_idx ON c360.rfm_history (day);
COMMENT ON TABLE c360.rfm_history IS 'When scoring changed a customer''s segment or tier; a NULL segment is no score';
COMMENT ON COLUMN c360.rfm_history.day IS 'shop day that was scored for';

-- Customers to be looked at by the next batch of a refresh, whatever changed.
-- No key but id: whoever adds a row waits for nobody.
CREATE TABLE c360.rfm_queue (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL
);
COMMENT ON TABLE c360.rfm_queue IS 'Customers that a refresh has yet to look at';

-- How many customers each segment has: the sum of its rows. Whoever moves
-- customers adds rows of how many more or fewer, and waits for nobody; each run
-- begins by adding them up.
CREATE TABLE c360.rfm_counts (
    segment   text NOT NULL,
    customers bigint NOT NULL
);
COMMENT ON TABLE c360.rfm_counts IS 'Customers of each segment; sum the rows';

-- All that scoring asks of an order, so that it need not visit the table.
CREATE INDEX customer_orders_scoring_idx ON c360.customer_orders (customer_id, ordered_at) INCLUDE (amount, status);
DROP INDEX c360.customer_orders_customer_id_ordered_at_idx;
