-- Customers: who may do what to them, as whom it is done, that errors change
-- nothing, and that each change is told once, by whoever did it.
BEGIN;
\ir tools.psql
SELECT no_plan();

SELECT c360_upsert_customer('0901000001', 'Nguyễn Thị An', 'an@shop.vn', '1 Phố Huế', tags => '{quen}') \g /dev/null
SELECT c360_upsert_customer('0901000002', 'Trần Bình') \g /dev/null
SELECT c360_deposit('0901000001', 500) \g /dev/null
SELECT c360_issue_credit('0901000001', 30) \g /dev/null
SELECT c360_add_note('0901000001', 'a note') \g /dev/null
SELECT c360_record_order('0901000001', 'CUST-1', 778899, status => 'delivered') \g /dev/null

-- Levels, by what happens ---------------------------------------------------

CREATE ROLE cust_viewer; CREATE ROLE cust_agent; CREATE ROLE cust_accountant; CREATE ROLE cust_admin; CREATE ROLE cust_nobody;
SELECT c360_grant(('cust_' || level)::regrole, level) FROM unnest('{viewer,agent,accountant,admin}'::text[]) AS level \g /dev/null
-- what a statement ends with as a role; what it did is undone
CREATE FUNCTION pg_temp.outcome(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', role);
        EXECUTE statement;
        RAISE SQLSTATE 'TAP00';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
        RETURN CASE state WHEN 'TAP00' THEN 'done' ELSE state END;
    END;
END $$;
CREATE TEMP TABLE calls (n serial, lowest text, statement text);
INSERT INTO calls (lowest, statement) VALUES
    ('viewer', $$SELECT c360_customer('0901000001')$$),
    ('viewer', $$SELECT c360_customers('{0901000001}')$$),
    ('viewer', $$SELECT c360_recent_customers()$$),
    ('viewer', $$SELECT c360_search_customers('an')$$),
    ('viewer', $$SELECT c360_activities('0901000001')$$),
    ('viewer', $$SELECT * FROM c360_customer_list$$),
    ('viewer', $$SELECT * FROM c360_note_list$$),
    ('viewer', $$SELECT * FROM c360_activity_list$$),
    ('viewer', $$SELECT * FROM customers_without_tpos$$),
    ('agent', $$SELECT c360_upsert_customer('0901000001', 'X')$$),
    ('agent', $$SELECT c360_upsert_tpos_customer('0901000001', '{}')$$),
    ('agent', $$SELECT c360_change_phone('0901000001', '0901000009', 'asked')$$),
    ('agent', $$SELECT c360_add_note('0901000001', 'x')$$),
    ('accountant', $$SELECT c360_export_customer('0901000001')$$),
    ('admin', $$SELECT c360_set_tier('0901000001', 'blacklist')$$),
    ('admin', $$SELECT c360_set_status('0901000001', 'VIP')$$),
    ('admin', $$SELECT c360_erase_customer('0901000002', 'asked')$$);
SELECT is(pg_temp.outcome('cust_' || l.level, c.statement),
          CASE WHEN array_position('{viewer,agent,accountant,admin}', l.level) >= array_position('{viewer,agent,accountant,admin}', c.lowest)
               THEN 'done' ELSE '42501' END, l.level || ': ' || c.statement)
FROM calls c, unnest('{nobody,viewer,agent,accountant,admin}'::text[]) AS l (level) ORDER BY c.n;
SELECT is(pg_temp.outcome('cust_admin', format('SELECT %s', call)), '42501', 'internal: ' || call) FROM unnest(ARRAY[
    $$c360_write_activity('customers', 'customer.updated', 1, NULL, NULL, '{}')$$,
    $$c360_save_customer('0901000001', '{}', NULL, NULL, NULL)$$,
    $$c360_require_text('x', 'x', 1, true)$$]) AS call;
SELECT is(pg_temp.failure($$SELECT c360_write_activity('customers', 'customer.updated', 1, NULL, NULL, '{}')$$), '42501',
          'a superuser does not write activities by hand either');

-- Viewers see no money ------------------------------------------------------

SET LOCAL ROLE cust_viewer;
SELECT is((SELECT wallet_total FROM c360_customers('{0901000001}')), NULL, 'viewer: no money in c360_customers');
SELECT is((SELECT wallet_total FROM c360_customer_list WHERE phone = '0901000001'), NULL, 'nor in the list');
SELECT is((SELECT wallet_total FROM c360_search_customers('0901000001')), NULL, 'nor in search');
SELECT is(c360_customer('0901000001') -> 'wallet', 'null', 'nor all about one');
SELECT is_empty($$SELECT FROM c360_activities('0901000001') WHERE topic = 'wallets'$$, 'nor his timeline');
SELECT is_empty($$SELECT FROM jsonb_array_elements(c360_customer('0901000001') -> 'activities') AS a WHERE a ->> 'topic' = 'wallets'$$,
                'nor the last activities');
SELECT is_empty($$SELECT FROM c360_activity_list WHERE topic IN ('wallets', 'bank')$$, 'nor the list of activities');
SELECT unalike(coalesce((SELECT jsonb_agg(to_jsonb(a)) FROM c360_activities('0901000001') a)::text, ''), '%778899%', 'nor amounts of orders in his timeline');
SELECT unalike(c360_customer('0901000001')::text, '%778899%', 'nor among all about one');
SELECT unalike((SELECT jsonb_agg(to_jsonb(a)) FROM c360_activity_list a WHERE phone = '0901000001')::text, '%778899%', 'nor in the list of activities');
SELECT unalike((SELECT jsonb_agg(to_jsonb(a)) FROM c360_consolidated_transactions('0901000001') a)::text, '%778899%', 'nor in the list of everything');
SELECT is((SELECT payload ->> 'order_code' FROM c360_activity_list WHERE phone = '0901000001' AND event = 'order.recorded'), 'CUST-1',
          'which tell of the order itself');
SET LOCAL ROLE cust_agent;
SELECT alike((SELECT jsonb_agg(to_jsonb(a)) FROM c360_activities('0901000001') a)::text, '%778899%', 'agent: amounts of orders in the timeline');
SELECT alike(c360_customer('0901000001')::text, '%"amount": 778899%', 'among all about one');
SELECT alike((SELECT jsonb_agg(to_jsonb(a)) FROM c360_activity_list a WHERE phone = '0901000001')::text, '%778899%', 'in the list of activities');
SELECT alike((SELECT jsonb_agg(to_jsonb(a)) FROM c360_consolidated_transactions('0901000001') a)::text, '%778899%', 'in the list of everything');
SELECT is((SELECT wallet_total FROM c360_customers('{0901000001}')), 530::bigint, 'agent: money in c360_customers');
SELECT is((SELECT wallet_total FROM c360_customer_list WHERE phone = '0901000001'), 530::bigint, 'in the list');
SELECT is((SELECT wallet_total FROM c360_search_customers('0901000001')), 530::bigint, 'in search');
SELECT is(c360_customer('0901000001') #>> '{wallet,available}', '530', 'and all about one');
SELECT isnt_empty($$SELECT FROM c360_activity_list WHERE topic = 'wallets' AND phone = '0901000001'$$, 'and activities');
RESET ROLE;
-- no function of a viewer sees a row that the list leaves out
SET LOCAL ROLE cust_viewer;
CREATE FUNCTION pg_temp.peep(topic text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    IF topic = 'wallets' THEN
        RAISE EXCEPTION USING ERRCODE = 'TAP01';
    END IF;
    RETURN true;
END $$;
SELECT lives_ok($$SELECT count(*) FROM c360_activity_list WHERE pg_temp.peep(topic)$$, 'rows that are left out do not leak');
RESET ROLE;

-- Each change is told once, by whoever did it --------------------------------

CREATE FUNCTION pg_temp.told(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    last bigint := (SELECT coalesce(max(id), 0) FROM c360.customer_activities);
BEGIN
    EXECUTE statement;
    RETURN (SELECT string_agg(format('%s %s by %s', a.event, a.payload ->> 'phone', a.actor), ', ' ORDER BY a.id)
            FROM c360.customer_activities a WHERE a.id > last);
END $$;
UPDATE c360.settings SET value = session_user WHERE name = 'authenticator_roles';
SELECT set_config('request.jwt.claims', '{"email": "lan@shop.vn"}', true) \g /dev/null
SELECT is(pg_temp.told(statement), expected, statement) FROM (VALUES
    (1, $$SELECT c360_upsert_customer('0901000003', 'Chi')$$, 'customer.created 0901000003 by lan@shop.vn'),
    (2, $$SELECT c360_upsert_customer('0901000003', 'Chi', email => 'c@c.vn')$$, 'customer.updated 0901000003 by lan@shop.vn'),
    (3, $$SELECT c360_upsert_customer('0901000003', 'Chi', email => 'c@c.vn')$$, NULL),
    (4, $$SELECT c360_upsert_tpos_customer('0901000003', '{"Id": 1}')$$, 'customer.updated 0901000003 by lan@shop.vn'),
    (5, $$SELECT c360_upsert_tpos_customer('0901000003', '{"Id": 1}')$$, NULL),
    (6, $$SELECT c360_set_tier('0901000003', 'gold')$$, 'customer.tier_changed 0901000003 by lan@shop.vn'),
    (7, $$SELECT c360_set_tier('0901000003', 'gold', false)$$, 'customer.updated 0901000003 by lan@shop.vn'),
    (8, $$SELECT c360_set_tier('0901000003', 'gold', false)$$, NULL),
    (9, $$SELECT c360_set_status('0901000003', 'VIP')$$, 'customer.updated 0901000003 by lan@shop.vn'),
    (10, $$SELECT c360_set_status('0901000003', 'VIP')$$, NULL),
    (11, $$SELECT c360_add_note('0901000003', 'x')$$, 'customer.note_added 0901000003 by lan@shop.vn'),
    (12, $$SELECT c360_change_phone('0901000003', '0901000004', 'x')$$, 'customer.updated 0901000004 by lan@shop.vn'),
    (13, $$SELECT c360_change_phone('0901000004', '+84901000004', 'x')$$, NULL),
    (14, $$SELECT c360_erase_customer('0901000004', 'x')$$, 'customer.erased  by lan@shop.vn')) AS t (n, statement, expected) ORDER BY n;
SELECT is((SELECT array_agg(created_by) FROM c360.customer_notes), ARRAY[session_user, 'lan@shop.vn']::text[], 'and a note says who wrote it');
SELECT set_config('request.jwt.claims', '', true) \g /dev/null

-- Three calls in one statement, and what a savepoint takes back
SELECT is((SELECT count(DISTINCT c360_upsert_customer('0901000005', 'D') ->> 'id') FROM generate_series(1, 3)), 1::bigint,
          'three calls in one statement: one customer');
SAVEPOINT s;
SELECT c360_change_phone('0901000005', '0901000006', 'x') \g /dev/null
ROLLBACK TO s;
SELECT is((SELECT count(*) FROM c360_customers('{0901000005,0901000006}')), 1::bigint, 'rolled back');
SELECT is_empty($$SELECT FROM c360.customer_phones$$, 'with the former number');

-- Errors change nothing -------------------------------------------------------

CREATE TEMP TABLE bad (statement text, expected text);
INSERT INTO bad VALUES
    ($$SELECT c360_upsert_customer(NULL, 'x')$$, '22004 missing_argument'),
    ($$SELECT c360_upsert_customer('0901000007', E' \t\n')$$, '22023 blank'),
    ($$SELECT c360_upsert_customer('0901000007', repeat('ế', 256))$$, '22001 too_long'),
    ($$SELECT c360_upsert_customer('0901000001', created_source => 'web')$$, '22023 not_allowed'),
    ($$SELECT c360_upsert_customer('0901000001', created_at => '-infinity')$$, '22023 invalid_date'),
    ($$SELECT c360_upsert_tpos_customer('0901000001', 'null')$$, '22023 invalid_tpos'),
    ($$SELECT c360_upsert_tpos_customer('0901000001', '{"Email": ["x"]}')$$, '22023 invalid_tpos'),
    ($$SELECT c360_set_tier('0901000001', 'Gold')$$, '22023 not_allowed'),
    ($$SELECT c360_set_tier('0909999999', 'gold')$$, 'PT404 customer_not_found'),
    ($$SELECT c360_set_status('0901000001', '')$$, '22023 not_allowed'),
    ($$SELECT c360_change_phone('0901000001', '0901000002', 'x')$$, 'PT409 phone_taken'),
    ($$SELECT c360_change_phone('0901000001', 'abc', 'x')$$, '22023 invalid_phone'),
    ($$SELECT c360_change_phone('0909999999', '0909999998', 'x')$$, 'PT404 customer_not_found'),
    ($$SELECT c360_change_phone('0901000001', '0901000008', repeat('x', 501))$$, '22001 too_long'),
    ($$SELECT c360_add_note('0901000001', '')$$, '22023 blank'),
    ($$SELECT c360_add_note('0901000001', 'x', 'x')$$, '22023 not_allowed'),
    ($$SELECT c360_add_note('0909999999', 'x')$$, 'PT404 customer_not_found'),
    ($$SELECT c360_erase_customer('0901000001', 'x')$$, 'PT409 balance_left'),
    ($$SELECT c360_erase_customer('0901000001', NULL)$$, '22004 missing_argument'),
    ($$SELECT c360_erase_customer('0909999999', 'x')$$, 'PT404 customer_not_found'),
    ($$SELECT c360_search_customers('x')$$, '22023 query_too_short'),
    ($$SELECT c360_search_customers('an', after => '80:x')$$, '22023 invalid_cursor'),
    ($$SELECT c360_customers(array_fill('0901000001'::text, ARRAY[1001]))$$, '22023 too_many'),
    ($$SELECT c360_customers()$$, '22004 missing_argument');
SELECT pg_temp.books() AS before \gset
SELECT is(pg_temp.failure(statement), expected, statement) FROM bad;
SELECT is(pg_temp.books(), :'before', 'and nothing changed');
SELECT is_empty($$SELECT statement FROM failures WHERE message ~ '[^ -~]' OR message ~ E'\n'$$, 'messages are one line of ASCII');
SELECT is_empty($$SELECT statement FROM failures WHERE word = 'not_allowed' AND hint NOT LIKE 'Allowed are %'$$, 'hints list what is allowed');

-- The owner of the tables need not own the extension --------------------------

DROP SCHEMA c360 CASCADE;
CREATE ROLE cust_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO cust_owner', current_database()) \gexec
GRANT CREATE ON SCHEMA public TO cust_owner;
GRANT EXECUTE ON FUNCTION c360_install(), c360_refuse_change(), c360_settings_changed() TO cust_owner;
SET LOCAL ROLE cust_owner;
SELECT c360_install() \g /dev/null
RESET ROLE;
SELECT c360_get_or_create_customer(phone) FROM unnest('{0901000001,0901000002}'::text[]) AS phone \g /dev/null
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO cust_nobody;
SELECT is(pg_temp.outcome('cust_nobody', statement), 'done', 'with tables of another owner: ' || statement) FROM calls
WHERE statement NOT LIKE '%\_list' AND statement NOT LIKE '%without\_tpos' ORDER BY n;

SELECT * FROM finish();
ROLLBACK;
