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

CREATE OR REPLACE VIEW @extschema@.c360_rfm_config AS
    SELECT metric, score, min_value,
           CASE metric WHEN 'recency' THEN 'days' WHEN 'frequency' THEN 'orders' ELSE 'đồng' END AS unit,
           description, changed_by, changed_at
    FROM c360.rfm_config
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_rfm_config IS
    'Lowest value of each score (for recency the smallest number of days); changed by c360_update_rfm_threshold()';
