-- Fraud: rules, flags, and what a rule in shadow mode would have done.

CREATE OR REPLACE VIEW @extschema@.c360_fraud_rule_list AS
    SELECT r.rule, r.mode, r.severity, r.action, r.parameters, r.description, r.changed_by, r.changed_at,
           count(f.id) FILTER (WHERE f.mode = 'on' AND f.status = 'open') AS open,
           count(f.id) FILTER (WHERE f.mode = 'on' AND f.status = 'confirmed') AS confirmed,
           count(f.id) FILTER (WHERE f.mode = 'on' AND f.status = 'dismissed') AS dismissed,
           count(f.id) FILTER (WHERE f.mode = 'shadow') AS shadow
    FROM c360.fraud_rules r LEFT JOIN c360.fraud_flags f ON f.rule = r.rule
    WHERE @extschema@.c360_version() IS NOT NULL
    GROUP BY r.rule;
COMMENT ON VIEW @extschema@.c360_fraud_rule_list IS
    'Fraud rules with their parameters, and how many flags each has; change them with c360_set_fraud_rule()';

CREATE OR REPLACE VIEW @extschema@.c360_fraud_flag_list AS
    SELECT f.id, f.customer_id, c.phone, c.name, c.tier, f.rule, f.mode, f.severity, f.action, f.evidence, f.times,
           f.found_at, f.last_found_at, f.previous_tier, f.acted_at, f.status, f.reviewed_by, f.reviewed_at, f.note
    FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_fraud_flag_list IS
    'Findings of fraud rules with their evidence, and what staff decided; status=eq.open&mode=eq.on waits for c360_review_fraud_flag(). previous_tier is set on flags that blacklisted';

CREATE OR REPLACE VIEW @extschema@.c360_fraud_shadow_report AS
    SELECT f.id AS flag_id, f.rule, f.severity, f.action, f.customer_id, c.phone, c.name, c.tier, f.times,
           CASE WHEN f.action <> 'blacklist' THEN 'flagged ' || f.action
                WHEN c.tier = 'blacklist' THEN 'flagged; is on the blacklist already'
                WHEN c.tier_locked THEN 'flagged; the tier is locked'
                ELSE 'blacklisted, was ' || c.tier END AS would_be,
           CASE WHEN f.action = 'blacklist' AND c.tier <> 'blacklist' AND NOT c.tier_locked
                THEN coalesce(w.virtual_balance, 0) ELSE 0 END AS credit_blocked,
           f.evidence, f.found_at, f.last_found_at, f.status
    FROM c360.fraud_flags f
    JOIN c360.customers c ON c.id = f.customer_id
    LEFT JOIN c360.customer_wallets w ON w.customer_id = f.customer_id
    WHERE f.mode = 'shadow' AND c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_fraud_shadow_report IS
    'What fraud rules in shadow mode found and would have done to each customer as he is now; credit_blocked in đồng';
