-- Lists of customers, notes and activities. Erased customers are left out.
--
-- Joins to c.id + 0 are those to c.id, but not in the order of the ids: a merge
-- of both would begin at the first wallet for a page in the middle.

CREATE OR REPLACE VIEW @extschema@.c360_customer_list AS
    SELECT c.id, c.phone, c.name, c.email, c.address, c.carrier, c.status, c.tier, c.status_locked, c.tier_locked,
           c.tags, c.aliases, c.tpos_id, c.created_source, c.internal_note,
           CASE WHEN (SELECT @extschema@.c360_level()) <> 'viewer'
                THEN coalesce(w.balance + w.virtual_balance, 0) END AS wallet_total,
           c.created_at, c.updated_at,
           ARRAY(SELECT DISTINCT f.action FROM c360.fraud_flags f
                 WHERE f.customer_id = c.id AND f.mode = 'on' AND f.status <> 'dismissed' ORDER BY 1) AS flags
    FROM c360.customers c LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id + 0
    WHERE c.erased_at IS NULL;
COMMENT ON VIEW @extschema@.c360_customer_list IS
    'All customers; sorted by id or created_at, also within a tier or a status, pages cost the same at any depth. wallet_total (đồng) is NULL for callers below agent; flags: what fraud rules say of him (blacklist, suspicious, self_dealing) as long as it is not dismissed';

CREATE OR REPLACE VIEW @extschema@.c360_note_list AS
    SELECT n.id, n.customer_id, c.phone, c.name, n.content, n.category, n.pinned, n.created_by, n.created_at
    FROM c360.customer_notes n JOIN c360.customers c ON c.id = n.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL AND c.erased_at IS NULL;
COMMENT ON VIEW @extschema@.c360_note_list IS
    'Notes of staff on customers; order=pinned.desc,id.desc shows those of one customer as they should be read';

-- The columns are masked, too: a function of a caller in his WHERE may see rows before they are left out.
-- (A security barrier would do the same, but keep LIMIT from finding the order of the index.)
CREATE OR REPLACE VIEW @extschema@.c360_activity_list AS
    SELECT a.id, a.customer_id, c.phone, c.name,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.topic END AS topic,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.event END AS event,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.reference_type END AS reference_type,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.reference_id END AS reference_id,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN a.payload
                WHEN a.topic NOT IN ('wallets', 'bank') THEN a.payload - 'amount' END AS payload,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.actor END AS actor,
           a.created_at
    FROM c360.customer_activities a LEFT JOIN c360.customers c ON c.id = a.customer_id
    WHERE a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false);
COMMENT ON VIEW @extschema@.c360_activity_list IS
    'The timeline of all customers: who changed what and when; what concerns wallets and bank, and the amounts of orders, are left out for callers below agent';

CREATE OR REPLACE VIEW @extschema@.customers_without_tpos AS
    SELECT c.id, c.phone, c.name, c.created_at FROM c360.customers c
    WHERE c.tpos_data IS NULL AND c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customers_without_tpos IS
    'Customers whose record of the point-of-sale system has not been fetched yet, by c360_upsert_tpos_customer()';
