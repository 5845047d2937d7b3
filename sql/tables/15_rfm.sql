-- Scores by recency, frequency and money. What is scored by stands in rows:
-- the lowest value of each score (for recency the smallest number of days), so
-- that there can be neither gap nor overlap, and the segment of each of the
-- 125 triples. The rows are written here once and are the shop's from then on.
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
INSERT INTO c360.rfm_config (metric, score, min_value, description) VALUES
    ('recency', 5, 0, 'ordered a few days ago'),
    ('recency', 4, 8, 'ordered recently'),
    ('recency', 3, 15, 'ordered some weeks ago'),
    ('recency', 2, 31, 'has not ordered for a while'),
    ('recency', 1, 61, 'has not ordered for a long time'),
    ('frequency', 5, 11, 'orders very often'),
    ('frequency', 4, 6, 'orders often'),
    ('frequency', 3, 3, 'orders regularly'),
    ('frequency', 2, 2, 'ordered twice'),
    ('frequency', 1, 0, 'hardly orders'),
    ('monetary', 5, 10000001, 'spends most'),
    ('monetary', 4, 5000000, 'spends much'),
    ('monetary', 3, 2000000, 'spends a fair amount'),
    ('monetary', 2, 500000, 'spends little'),
    ('monetary', 1, 0, 'has spent next to nothing');

CREATE TABLE c360.rfm_segments (
    r       smallint NOT NULL CHECK (r BETWEEN 1 AND 5),
    f       smallint NOT NULL CHECK (f BETWEEN 1 AND 5),
    m       smallint NOT NULL CHECK (m BETWEEN 1 AND 5),
    segment text NOT NULL CHECK (segment ~ '^[A-Za-z][A-Za-z_]{0,49}$'),
    PRIMARY KEY (r, f, m)
);
COMMENT ON TABLE c360.rfm_segments IS 'Segment of each triple of scores';
INSERT INTO c360.rfm_segments (r, f, m, segment)
SELECT r, f, m, CASE
           WHEN r >= 4 AND f >= 4 AND m >= 4 THEN 'Champion'
           WHEN r <= 2 AND f >= 4 AND m >= 4 THEN 'Cant_Lose'
           WHEN r <= 2 AND f >= 3 AND m >= 3 THEN 'At_Risk'
           WHEN r >= 3 AND f >= 4 THEN 'Loyal'
           WHEN r >= 4 AND f >= 2 AND m >= 2 THEN 'Potential_Loyalist'
           WHEN r >= 4 AND f = 1 THEN 'New_Customer'
           WHEN r >= 4 THEN 'Promising'
           WHEN r = 3 AND f >= 3 THEN 'Need_Attention'
           WHEN r = 3 THEN 'About_To_Sleep'
           WHEN r = 1 AND f = 1 AND m <= 2 THEN 'Lost'
           WHEN r <= 2 AND f <= 2 THEN 'Hibernating'
           ELSE 'Other' END
FROM generate_series(1, 5) AS r, generate_series(1, 5) AS f, generate_series(1, 5) AS m;

CREATE TABLE c360.rfm_recommendations (
    segment           text NOT NULL,
    position          integer NOT NULL,
    recommendation    text NOT NULL,
    recommendation_vi text NOT NULL,
    PRIMARY KEY (segment, position)
);
COMMENT ON TABLE c360.rfm_recommendations IS 'What to do with customers of a segment, in English and Vietnamese';
INSERT INTO c360.rfm_recommendations (segment, position, recommendation, recommendation_vi)
VALUES
    ('Champion', 1, 'Thank in person and offer new products first', 'Cảm ơn riêng và giới thiệu hàng mới trước tiên'),
    ('Champion', 2, 'Ask for reviews and referrals', 'Mời đánh giá và giới thiệu bạn bè'),
    ('Loyal', 1, 'Offer products of a higher class', 'Giới thiệu sản phẩm cao cấp hơn'),
    ('Loyal', 2, 'Reward loyalty with shipping or gifts', 'Tri ân bằng miễn phí giao hàng hoặc quà tặng'),
    ('Potential_Loyalist', 1, 'Recommend what goes with past orders', 'Gợi ý sản phẩm đi kèm đơn đã mua'),
    ('Potential_Loyalist', 2, 'Invite into the loyalty programme', 'Mời tham gia chương trình khách hàng thân thiết'),
    ('New_Customer', 1, 'Welcome, and make sure that the first order went well', 'Chào mừng và hỏi thăm đơn hàng đầu tiên'),
    ('New_Customer', 2, 'Offer a voucher for the second order', 'Tặng mã giảm giá cho đơn thứ hai'),
    ('Promising', 1, 'Show the best sellers', 'Giới thiệu sản phẩm bán chạy'),
    ('Promising', 2, 'Offer bundles with a small discount', 'Ưu đãi nhẹ khi mua theo bộ'),
    ('Need_Attention', 1, 'Make an offer that ends soon', 'Gửi ưu đãi có thời hạn'),
    ('Need_Attention', 2, 'Ask what is missing', 'Hỏi thăm nhu cầu còn thiếu'),
    ('About_To_Sleep', 1, 'Remind of what was looked at and of new products', 'Nhắc sản phẩm quan tâm và hàng mới về'),
    ('About_To_Sleep', 2, 'Offer free shipping for the next order', 'Miễn phí giao hàng cho đơn kế tiếp'),
    ('At_Risk', 1, 'Call, and find out why orders stopped', 'Gọi điện hỏi lý do ngừng mua'),
    ('At_Risk', 2, 'Offer a credit that ends within two weeks', 'Tặng tín dụng dùng trong hai tuần'),
    ('Cant_Lose', 1, 'Let the manager call at once', 'Quản lý gọi điện ngay'),
    ('Cant_Lose', 2, 'Settle open complaints generously', 'Giải quyết khiếu nại còn tồn một cách rộng rãi'),
    ('Hibernating', 1, 'Send a seasonal offer', 'Gửi ưu đãi theo mùa'),
    ('Hibernating', 2, 'Recommend inexpensive products', 'Gợi ý sản phẩm giá mềm'),
    ('Lost', 1, 'Try one last offer, then stop', 'Thử một ưu đãi cuối, sau đó dừng'),
    ('Lost', 2, 'Leave out of paid campaigns', 'Không đưa vào chiến dịch trả phí'),
    ('Other', 1, 'Look at the orders before deciding', 'Xem lại các đơn hàng trước khi quyết định'),
    ('Other', 2, 'Send the ordinary newsletter', 'Gửi bản tin thông thường');

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
