-- Scores, as of the last refresh. Erased customers have no name and no phone,
-- and are left out where these are shown.

CREATE OR REPLACE VIEW @extschema@.rfm_segment_mapping AS
    SELECT s.customer_id, c.phone, c.name, s.r, s.f, s.m, s.r + s.f + s.m AS total_score, s.segment, c.tier,
           coalesce(o.total, 0) AS total_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN s.monetary END AS total_spent,
           o.last_order_at
    FROM c360.customer_rfm s
    JOIN c360.customers c ON c.id = s.customer_id
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = s.customer_id
    WHERE c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.rfm_segment_mapping IS
    'One row for each customer with a score; pages by customer_id, also within a segment, cost the same at any depth
total_score is the sum of r, f and m, 3 to 15. total_spent (đồng) is NULL for callers below agent.';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.phone IS 'canonical';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.name IS 'of the customer';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.r IS 'recency score, 1 to 5';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.f IS 'frequency score, 1 to 5';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.m IS 'monetary score, 1 to 5';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.total_score IS 'sum of r, f and m';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.segment IS 'of the three scores';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.tier IS 'the customer has now';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.total_orders IS 'orders that are not cancelled';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.total_spent IS 'đồng, of orders neither cancelled nor returned';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.last_order_at IS 'newest order that is not cancelled';

CREATE OR REPLACE VIEW @extschema@.rfm_segment_distribution AS
    SELECT s.segment, c.tier, count(*) AS customer_count,
           round(avg(coalesce(o.total, 0)), 2) AS avg_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN round(avg(s.monetary), 2) END AS avg_spent,
           round(avg(greatest((statement_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - s.last_on, 0)), 2)
               AS avg_days_since_order
    FROM c360.customer_rfm s
    JOIN c360.customers c ON c.id = s.customer_id
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = s.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL
    GROUP BY s.segment, c.tier;
COMMENT ON VIEW @extschema@.rfm_segment_distribution IS
    'One row for each segment and tier: how many customers, and their averages; erased customers are counted, too
avg_spent (đồng) is NULL for callers below agent.';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.segment IS 'of the three scores';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.tier IS 'the customers have now';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.customer_count IS 'customers of both';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.avg_orders IS 'orders that are not cancelled, of one of them';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.avg_spent IS 'đồng, of one of them';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.avg_days_since_order IS 'shop days (Asia/Ho_Chi_Minh) since the last order of one of them';

CREATE OR REPLACE VIEW @extschema@.c360_rfm_config AS
    SELECT metric, score, min_value,
           CASE metric WHEN 'recency' THEN 'days' WHEN 'frequency' THEN 'orders' ELSE 'đồng' END AS unit,
           description, changed_by, changed_at
    FROM c360.rfm_config
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_rfm_config IS
    'Lowest value of each score (for recency the smallest number of days); changed by c360_update_rfm_threshold()';
COMMENT ON COLUMN @extschema@.c360_rfm_config.metric IS 'recency, frequency or monetary';
COMMENT ON COLUMN @extschema@.c360_rfm_config.score IS '1 to 5';
COMMENT ON COLUMN @extschema@.c360_rfm_config.min_value IS 'lowest value of the score';
COMMENT ON COLUMN @extschema@.c360_rfm_config.unit IS 'of min_value';
COMMENT ON COLUMN @extschema@.c360_rfm_config.description IS 'in words, as c360_analyze_rfm() tells it';
COMMENT ON COLUMN @extschema@.c360_rfm_config.changed_by IS 'who changed it last; NULL = as installed';
COMMENT ON COLUMN @extschema@.c360_rfm_config.changed_at IS 'when that was';
