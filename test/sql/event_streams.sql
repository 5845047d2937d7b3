-- Who reads which events; passes, and what EventSource is answered.  Phones 0923.

CREATE ROLE regress_c360_viewer;
CREATE ROLE regress_c360_agent;
CREATE ROLE regress_c360_member IN ROLE regress_c360_agent;
CREATE ROLE regress_c360_stream;
CREATE ROLE regress_c360_nobody;
CREATE ROLE regress_c360_by_hand;
SELECT c360_grant('regress_c360_viewer', 'viewer'), c360_grant('regress_c360_agent', 'agent'),
       c360_grant('regress_c360_stream', 'stream'), c360_grant('regress_c360_stream', 'bank_feed');
-- with the functions but without a level
GRANT EXECUTE ON FUNCTION c360_events_since(text, text[], integer), c360_open_stream(text[]), c360_events(text, text) TO regress_c360_by_hand;
GRANT USAGE ON SCHEMA test TO PUBLIC;

-- Runs a query as a role: its rows, or what it fails with.
CREATE FUNCTION test.as_reader(reader text, query text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    answer text;
    state text;
    message text;
    detail text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', reader);
    EXECUTE query INTO answer;
    RESET ROLE;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', state || ' ' || message, nullif(detail, ''));
END $$;

SELECT cursor AS start FROM c360_events_since() \gset
SELECT result FROM c360_ingest_bank_transaction('{"id": 8890011, "gateway": "MB", "accountNumber": "1", "content": "0889000001",
    "transactionDate": "2025-05-26 16:14:51", "transferType": "in", "transferAmount": 1000}');
SELECT balance FROM c360_withdraw('0889000001', 300, note => E'một dòng\nhai dòng\r\n\ndata: x');
\set since 'SELECT string_agg(event, '' '') FROM c360_events_since(''' :start '''%s)'

-- The same cursor, read by level; channels that a level may not read are left out, asked for or not.
SELECT reader, test.as_reader(reader, format(:'since', '')) AS everything,
       test.as_reader(reader, format(:'since', $$, '{wallets,wallet:0889000001}'$$)) AS wallets,
       test.as_reader(reader, format(:'since', $$, '{bank}'$$)) AS bank
FROM unnest(ARRAY['regress_c360_viewer', 'regress_c360_agent', 'regress_c360_member']) AS reader;
SELECT reader, test.as_reader(reader, format(:'since', '')) FROM unnest(ARRAY['regress_c360_stream', 'regress_c360_nobody', 'regress_c360_by_hand']) AS reader;
-- another reader goes on from anybody's cursor
SELECT test.as_reader('regress_c360_viewer', format($$SELECT cursor FROM c360_events_since(%L) ORDER BY id DESC LIMIT 1$$, :'start')) AS viewer \gset
SELECT string_agg(event, ' ') FROM c360_events_since(:'viewer');
-- of an order viewers read all but its amount, in both forms
SELECT cursor AS before_order FROM c360_events_since() \gset
SELECT customer_created FROM c360_record_order('0889000001', 'ES-1', 778899, status => 'delivered');
SELECT reader, test.as_reader(reader, format($$SELECT payload - '{id,cursor,customer_id,at,ordered_at}'::text[] FROM c360_events_since(%L)$$, :'before_order'))
FROM unnest(ARRAY['regress_c360_viewer', 'regress_c360_agent']) AS reader;
SELECT reader, test.as_reader(reader, format($$SELECT string_agg(p ->> 'amount', ' ') IS NOT NULL
    FROM regexp_matches(c360_events(after => %L), 'data: ({.*})', 'g') AS m, LATERAL (SELECT m[1]::jsonb AS p) d$$, :'before_order')) AS amounts_in_stream
FROM unnest(ARRAY['regress_c360_viewer', 'regress_c360_agent']) AS reader;
-- SECURITY DEFINER code of a DBA reads as its owner, not as who calls it
CREATE FUNCTION test.events_of_owner(after text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT string_agg(event, ' ') FROM c360_events_since(after) $$;
ALTER FUNCTION test.events_of_owner(text) OWNER TO regress_c360_viewer;
SELECT test.as_reader('regress_c360_agent', format('SELECT test.events_of_owner(%L)', :'start'));

-- Passes: of everybody with a level, and of nobody else.
SELECT reader, test.as_reader(reader, 'SELECT length(c360_open_stream())')
FROM unnest(ARRAY['regress_c360_viewer', 'regress_c360_agent', 'regress_c360_member', 'regress_c360_stream', 'regress_c360_nobody', 'regress_c360_by_hand']) AS reader;
SELECT test.as_reader('regress_c360_agent', 'SELECT c360_open_stream()') AS agent_pass \gset
SELECT test.as_reader('regress_c360_agent', $$SELECT c360_open_stream('{bank,wallet:+84 923 000 099}')$$) AS bank_pass \gset
SELECT test.as_reader('regress_c360_viewer', 'SELECT c360_open_stream()') AS viewer_pass \gset
SELECT test.as_reader('regress_c360_member', $$SELECT c360_open_stream('{wallet:0889000001}')$$) AS member_pass \gset
SELECT :'agent_pass' ~ '^[0-9a-f]{64}$' AS random, :'agent_pass' <> :'bank_pass' AS another;
-- Stored hashed, with who, until when and for what.
SELECT count(*) FROM c360.event_streams s WHERE s::text LIKE '%' || :'agent_pass' || '%' OR encode(s.pass_hash, 'escape') = :'agent_pass';
SELECT role, actor = session_user AS by_us, level, channels, valid_until - opened_at AS holds
FROM c360.event_streams WHERE pass_hash IN (sha256(:'agent_pass'), sha256(:'bank_pass'), sha256(:'member_pass'))
ORDER BY opened_at;

-- What EventSource is answered: frames named like the events, the id behind the last one only.
CREATE FUNCTION test.frames(body text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN line LIKE 'id: _%' THEN 'id: cursor'
                WHEN line LIKE 'data: {"event":%' THEN 'data: of ' || (substr(line, 7)::jsonb ->> 'event')
                WHEN line LIKE 'data: _%' THEN 'data: ' || (substr(line, 7)::jsonb - 'cursor')::text
                ELSE line END
    FROM string_to_table(body, E'\n') AS line $$;
SELECT c360_events(:'agent_pass', :'start') AS body \gset
SELECT pg_typeof(c360_events(:'agent_pass'));
SELECT test.frames(:'body');
SELECT (regexp_match(:'body', 'id: ([^\n]*)\n\n$'))[1] AS id \gset
SELECT count(*), bool_and(substr(line, 7)::jsonb = e.payload) AS same_payloads
FROM (SELECT line, row_number() OVER (ORDER BY n) AS n
      FROM string_to_table(:'body', E'\n') WITH ORDINALITY AS l (line, n) WHERE line LIKE 'data: %') AS data
FULL JOIN (SELECT payload, row_number() OVER () AS n FROM c360_events_since(:'start')) AS e USING (n);
SELECT c360_events(:'agent_pass', :'id') = E'retry: 1000\n\n' AS nothing_new;
SELECT balance FROM c360_deposit('0889000001', 1);
SELECT test.frames(c360_events(:'agent_pass', :'id'));
-- Without a cursor: where "now" is.
SELECT test.frames(c360_events(:'agent_pass'));
SELECT (regexp_match(c360_events(:'agent_pass'), 'id: ([^\n]*)\n\n$'))[1] AS now \gset
SELECT string_agg(event, ' ') IS NULL AS nothing FROM c360_events_since(:'now');
-- channels and level of the pass, not of who shows it
SELECT test.as_reader('regress_c360_stream', format('SELECT string_agg(m[1], %L) FROM regexp_matches(c360_events(%L, %L), %L, %L) AS m',
                                                  ' ', pass, :'start', 'event: (\S+)', 'g')) AS events
FROM unnest(ARRAY[:'agent_pass', :'bank_pass', :'viewer_pass', :'member_pass']) AS pass;
-- no pass: the caller's level
SELECT reader, test.as_reader(reader, format('SELECT string_agg(m[1], %L) FROM regexp_matches(c360_events(NULL, %L), %L, %L) AS m',
                                             ' ', :'start', 'event: (\S+)', 'g')) AS events
FROM unnest(ARRAY['regress_c360_viewer', 'regress_c360_agent', 'regress_c360_stream', 'regress_c360_nobody', 'regress_c360_by_hand']) AS reader;
-- wrong ones
SELECT test.as_reader('regress_c360_stream', format('SELECT c360_events(%L)', pass))
FROM unnest(ARRAY['', 'x', upper(:'agent_pass'), :'agent_pass' || ' ', encode(sha256(:'agent_pass'), 'hex')]) AS pass;
SELECT test.as_reader('regress_c360_agent', $$SELECT c360_events('x')$$) AS not_even_with_a_level;

-- Last-Event-ID goes before the argument.
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('last-event-id', :'id')::text, true) <> '' AS set;
SELECT test.frames(c360_events(:'agent_pass', :'start'));
ROLLBACK;
BEGIN;
SELECT set_config('request.headers', '{"last-event-id": ""}', true) <> '' AS set;
SELECT test.frames(c360_events(:'agent_pass', :'start')) LIMIT 3;
ROLLBACK;
-- A cursor that holds no longer is no error, whatever is wrong with it.
SELECT test.frames(c360_events(:'agent_pass', '1.1'));
SELECT to_json(wrong), frames FROM unnest(ARRAY['garbage', E'x\n\nevent: hoax\ndata: {}', '"', '']) AS wrong,
    LATERAL (SELECT string_agg(f, ' / ') AS frames FROM test.frames(c360_events(:'agent_pass', wrong)) AS f) AS f;
SELECT test.frames(c360_events(:'agent_pass', split_part(:'start', '.', 1) || '.s1:1:4611686018427387904:4611686018427387904:'));
SELECT (m[1]::jsonb ->> 'cursor') = m[2] AS goes_on_there FROM regexp_match(c360_events(:'agent_pass', '1.1'), 'data: ([^\n]*)\nid: ([^\n]*)\n') AS m;
-- Headers under PostgREST, and only there.
SELECT length(c360_events(:'agent_pass')) > 0 AS read, nullif(current_setting('response.headers', true), '') AS headers;
BEGIN READ ONLY;
SELECT set_config('request.method', 'GET', true);
SELECT length(c360_events(:'agent_pass')) > 0 AS read;
SELECT current_setting('response.headers')::jsonb;
COMMIT;
SELECT nullif(current_setting('response.headers', true), '') AS headers;

-- At most 1,000 frames in an answer; the id leads on.
SELECT cursor AS bulk FROM c360_events_since() \gset
SELECT count(c360_deposit('0889000001', 1)) FROM generate_series(1, 1500);
SELECT c360_events(:'agent_pass', :'bulk') AS body \gset
SELECT count(*) FROM regexp_matches(:'body', '^event: wallet.deposit$', 'gn');
SELECT (regexp_match(:'body', 'id: ([^\n]*)\n\n$'))[1] AS id \gset
SELECT count(*) FROM regexp_matches(c360_events(:'agent_pass', :'id'), '^event: wallet.deposit$', 'gn');
-- a reader of other channels is led on, too
SELECT test.frames(c360_events(:'bank_pass', :'bulk'));

-- The level is that of now: lost with the role's, back with it.
SELECT c360_revoke('regress_c360_agent');
SELECT test.as_reader('regress_c360_stream', format('SELECT c360_events(%L)', pass)) FROM unnest(ARRAY[:'agent_pass', :'bank_pass', :'member_pass']) AS pass;
SELECT test.as_reader('regress_c360_stream', format('SELECT left(c360_events(%L), 11)', :'viewer_pass'));
SELECT count(*) FROM c360.event_streams WHERE role = 'regress_c360_agent';
SELECT c360_grant('regress_c360_agent', 'viewer');
SELECT test.as_reader('regress_c360_stream', format('SELECT left(c360_events(%L), 11)', pass)) FROM unnest(ARRAY[:'agent_pass', :'bank_pass', :'member_pass']) AS pass;
SELECT test.as_reader('regress_c360_stream', format('SELECT string_agg(m[1], %L) FROM regexp_matches(c360_events(%L, %L), %L, %L) AS m',
                                                  ' ', :'member_pass', :'start', 'event: (\S+)', 'g')) AS less_than_before;
-- Expired
UPDATE c360.event_streams SET valid_until = clock_timestamp() WHERE pass_hash = sha256(:'viewer_pass');
SELECT test.as_reader('regress_c360_stream', format('SELECT c360_events(%L)', :'viewer_pass'));
SELECT c360_set('stream_pass_hours', '24');
SELECT test.as_reader('regress_c360_viewer', 'SELECT c360_open_stream()') AS viewer_pass \gset
SELECT valid_until - opened_at AS holds FROM c360.event_streams WHERE pass_hash = sha256(:'viewer_pass');
SELECT c360_set('stream_pass_hours', NULL);
-- the actor is whom the app speaks for
BEGIN;
SELECT c360_set('authenticator_roles', session_user);
SELECT set_config('request.jwt.claims', '{"email": "an@shop.vn"}', true) <> '' AS set;
SELECT test.as_reader('regress_c360_viewer', 'SELECT c360_open_stream()') AS claimed_pass \gset
SELECT role, actor FROM c360.event_streams WHERE pass_hash = sha256(:'claimed_pass');
ROLLBACK;
-- a role that is gone
SELECT c360_revoke('regress_c360_viewer');
SELECT test.as_reader('regress_c360_stream', format('SELECT c360_events(%L)', :'viewer_pass'));

SELECT c360_revoke(role::regrole) FROM unnest(ARRAY['regress_c360_agent', 'regress_c360_stream', 'regress_c360_by_hand']) AS role;
DROP FUNCTION test.events_of_owner(text);
REVOKE USAGE ON SCHEMA test FROM PUBLIC;
DROP ROLE regress_c360_viewer, regress_c360_agent, regress_c360_member, regress_c360_stream, regress_c360_nobody, regress_c360_by_hand;
