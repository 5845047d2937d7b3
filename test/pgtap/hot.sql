-- Updates of wallets stay on their page (HOT): no index stands on what
-- changes, and there is room. That needs transactions that end, since only
-- versions that nobody can see any more make room; so this file has a database
-- of its own, which it drops.
\set QUIET on
SET client_min_messages = warning;
SELECT current_database() AS home, 'c360_pgtap_hot_' || pg_backend_pid() AS own \gset
CREATE DATABASE :"own" TEMPLATE template0 ENCODING 'UTF8';
\connect :own
SET client_min_messages = warning;
CREATE EXTENSION pgtap;
CREATE EXTENSION c360;
SELECT c360_install() \g /dev/null
SELECT plan(7);

CREATE TABLE counted (what text PRIMARY KEY, updates bigint, hot bigint);
-- Calls in transactions of their own. The counters of a backend are its own
-- until it tells the server; DO tells nothing before its end.
CREATE PROCEDURE count_calls(what text, calls text[], rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    updates bigint := pg_stat_get_xact_tuples_updated('c360.customer_wallets'::regclass);
    hot bigint := pg_stat_get_xact_tuples_hot_updated('c360.customer_wallets'::regclass);
BEGIN
    FOR n IN 1 .. rounds LOOP
        FOR wallet IN 1 .. 50 LOOP
            EXECUTE calls[1 + (n + wallet) % cardinality(calls)] USING '09010000' || lpad(wallet::text, 2, '0');
            COMMIT;
        END LOOP;
    END LOOP;
    INSERT INTO counted VALUES (what,
        pg_stat_get_xact_tuples_updated('c360.customer_wallets'::regclass) - updates,
        pg_stat_get_xact_tuples_hot_updated('c360.customer_wallets'::regclass) - hot);
END $$;
CALL count_calls('first deposits', ARRAY['SELECT c360_deposit($1, 100000)'], 1);
CALL count_calls('mixed', ARRAY['SELECT c360_withdraw($1, 15)', 'SELECT c360_issue_credit($1, 7)', 'SELECT c360_deposit($1, 3)',
    'SELECT c360_withdraw($1, 2)', 'SELECT c360_adjust($1, 1, ''a good reason'')'], 40);
SELECT diag(format('%s: %s of %s updates are HOT', what, hot, updates)) FROM counted;
SELECT is((SELECT updates FROM counted WHERE what = 'mixed'), 2000::bigint, 'each call changes the wallet once');
SELECT cmp_ok((SELECT 100 * hot / updates FROM counted WHERE what = 'mixed'), '>=', 95::bigint,
              'at least 95 % of the updates of wallets are HOT');
SELECT is_empty($$SELECT i.indexrelid::regclass FROM pg_index i WHERE i.indrelid = 'c360.customer_wallets'::regclass
                  AND NOT i.indisprimary$$, 'no index stands on what changes');
SELECT ok((SELECT reloptions @> '{fillfactor=70}' FROM pg_class WHERE oid = 'c360.customer_wallets'::regclass),
          'pages of wallets have room');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');

-- A withdrawal opens what it writes and nothing else: no index of keys that it
-- does not have, and none of those of a lot that stays ACTIVE.
CREATE FUNCTION locked(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN (SELECT string_agg(DISTINCT relation::regclass::text, ' ' ORDER BY relation::regclass::text) FROM pg_locks
            WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation::regclass::text LIKE 'c360.%');
END $$;
SELECT c360_issue_credit('0901000051', 10), c360_deposit('0901000052', 10), c360_withdraw('0901000051', 1),
       c360_withdraw('0901000052', 1) \g /dev/null
SELECT replace(locked($$SELECT c360_withdraw('0901000052', 1)$$), 'c360.', '') AS real,
       replace(locked($$SELECT c360_withdraw('0901000051', 1)$$), 'c360.', '') AS credit \gset
SELECT is(:'real'::text, 'customer_activities customer_activities_customer_id_id_idx customer_activities_id_seq'
    ' customer_activities_pkey customer_activities_xact_id_idx customer_wallets customer_wallets_pkey customers'
    ' customers_phone_prefix_idx wallet_transactions wallet_transactions_created_at_idx'
    ' wallet_transactions_customer_id_created_at_id_idx wallet_transactions_id_seq wallet_transactions_pkey',
    'tables and indexes of a withdrawal of real money');
SELECT is(:'credit'::text, 'customer_activities customer_activities_customer_id_id_idx customer_activities_id_seq'
    ' customer_activities_pkey customer_activities_xact_id_idx customer_wallets customer_wallets_pkey customers'
    ' customers_phone_prefix_idx virtual_credit_uses virtual_credit_uses_pkey virtual_credits virtual_credits_fifo_idx'
    ' wallet_transactions wallet_transactions_created_at_idx wallet_transactions_customer_id_created_at_id_idx'
    ' wallet_transactions_id_seq wallet_transactions_pkey', 'tables and indexes of a withdrawal of credit');
SELECT * FROM finish();
\connect :home
DROP DATABASE :"own";
