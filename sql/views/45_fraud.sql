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
    SELECT f.id, f.customer_id, c.phone, c.name, c.tier, f.rule, f.mode, f.severity, f.action,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN f.evidence END AS evidence, f.times,
           f.found_at, f.last_found_at, f.previous_tier, f.acted_at, f.status, f.reviewed_by, f.reviewed_at, f.note
    FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_fraud_flag_list IS
    'Findings of fraud rules with their evidence, and what staff decided; status=eq.open&mode=eq.on waits for c360_review_fraud_flag(). evidence is NULL for callers below agent';

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

COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.rule IS 'high_return_rate, self_dealing or wallet_abuse';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.mode IS 'off, shadow (flags without any action) or on';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.severity IS 'low, medium or high';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.action IS 'what its flags do: blacklist, suspicious or self_dealing';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.parameters IS 'what it goes by';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.description IS 'what it looks for';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.changed_by IS 'who changed it last';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.changed_at IS 'when';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.open IS 'flags that wait for a decision';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.confirmed IS 'flags that were confirmed';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.dismissed IS 'flags that were dismissed';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.shadow IS 'flags made in shadow mode';

COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.id IS 'number of the flag';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.tier IS 'his tier now';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.rule IS 'the rule that found it';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.mode IS 'on, or shadow: it did nothing';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.severity IS 'low, medium or high, as the rule was then';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.action IS 'blacklist, suspicious or self_dealing, as the rule was then';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.evidence IS 'operands, rows and parameters of the finding; again: further findings';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.times IS 'findings in it';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.found_at IS 'when it was found';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.last_found_at IS 'when the last finding was added';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.previous_tier IS 'tier before this flag blacklisted him; NULL if it did not';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.acted_at IS 'when it blacklisted him';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.status IS 'open, confirmed or dismissed';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.reviewed_by IS 'who decided';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.reviewed_at IS 'when';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.note IS 'what was said';

COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.flag_id IS 'number of the flag';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.rule IS 'the rule that found it';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.severity IS 'low, medium or high';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.action IS 'what its flags would do';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.tier IS 'his tier now';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.times IS 'findings in it';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.would_be IS 'what it would do to him as he is now';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.credit_blocked IS 'credit that he could not use any more, đồng';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.evidence IS 'operands, rows and parameters of the finding';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.found_at IS 'when it was found';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.last_found_at IS 'when the last finding was added';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.status IS 'open, confirmed or dismissed';
