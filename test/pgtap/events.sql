-- Reading events: arguments, errors, settings, passes, headers. What a
-- transaction wrote itself is not read, so rows of events are for other tests.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- The cursor of now
SELECT cursor AS now FROM c360_events_since() \gset
SELECT is((SELECT count(*) FROM c360_events_since() WHERE cursor IS NOT NULL AND id IS NULL AND channel IS NULL
                  AND event IS NULL AND payload IS NULL AND at IS NULL), 1::bigint, 'without a cursor: one row with the cursor of now');
SELECT matches(:'now'::text, '^[0-9]+\.', 'a cursor begins with its epoch');
SELECT is_empty(format('SELECT * FROM c360_events_since(%L)', :'now'), 'nothing happened since');
SELECT is_empty(format('SELECT * FROM c360_events_since(%L, NULL, NULL)', :'now'), 'NULL arguments are defaults');
SELECT c360_deposit('0903000001', 1000, note => 'own') \g /dev/null
SELECT is_empty(format('SELECT * FROM c360_events_since(%L)', :'now'), 'own rows are not there before COMMIT');
SELECT is_empty(format('SELECT * FROM c360_events_since(%L)', cursor), 'nor behind a cursor of this transaction')
FROM c360_events_since();
SELECT is((SELECT count(*) FROM c360.customer_activities WHERE payload ->> 'note' = 'own'), 1::bigint, 'the timeline has them');

-- Arguments
SELECT is(pg_temp.failure(format('SELECT * FROM c360_events_since(%L, %L)', :'now', channels)), expected, 'channels ' || channels)
FROM (VALUES ('{wallets,tickets,customers,bank}', 'none'), ('{}', 'none'), ('{wallet:0903000001}', 'none'),
             ('{"wallet:+84 903-000-001"}', 'none'), ('{wallets,wallets}', 'none'), ('{x}', '22023 unknown_channel'),
             ('{wallet:1}', '22023 unknown_channel'), ('{WALLETS}', '22023 unknown_channel'), ('{wallets,NULL}', '22004 missing_argument'),
             ('{{wallets},{bank}}', 'none')) AS t (channels, expected);
SELECT is(pg_temp.failure(format('SELECT c360_open_stream(%L)', channels)), expected, 'a stream of channels ' || channels)
FROM (VALUES ('{wallets,tickets,customers,bank}', 'none'), ('{wallet:0903000001}', 'none'), ('{x}', '22023 unknown_channel'),
             ('{wallets,NULL}', '22004 missing_argument')) AS t (channels, expected);
SELECT is(pg_temp.failure('SELECT c360_open_stream(array_fill(''bank''::text, ARRAY[1001]))'), '22023 too_many', 'too many channels');
SELECT is(pg_temp.failure('SELECT c360_open_stream(array_fill(''bank''::text, ARRAY[1000]))'), 'none', 'not yet too many');
SELECT is(pg_temp.failure(format('SELECT * FROM c360_events_since(%L, NULL, %s)', :'now', n)),
          CASE WHEN n BETWEEN 1 AND 10000 THEN 'none' ELSE '22023 out_of_range' END, n || ' rows')
FROM unnest('{-2147483648,-1,0,1,10000,10001,2147483647}'::int[]) AS n;

-- Cursors
SELECT is(pg_temp.failure(format('SELECT * FROM c360_events_since(%L)', bad)), '22023 invalid_cursor', format('no cursor: %L', left(bad, 40)))
FROM unnest(ARRAY['', ' ', 'now', '1', '1.', '.', '1.-1', '-1.1', '1.1-', '1.1-2', '1.1-2.', '1.1.1', '1,1', '0x1.1', '1.1e3', '1.1 ',
    '9223372036854775808.1', '1.s1:1', '1.s1:1:5:4:', '1.s1:1:4:5:4,4', '1.s1:1:4:6:5,4', '1.s1:1:4:5:3', '1.s1:1:4:5:5', '1.s-1:1:4:5:',
    repeat('9', 1000), repeat('1.1-', 1000), E'\u0111.1', '１.１']) AS bad;
SELECT is(pg_temp.failure(format('SELECT * FROM c360_events_since(%L)', gone)), 'PT410 cursor_expired', 'gone: ' || gone)
FROM (SELECT split_part(:'now', '.', 1) AS epoch) AS e,
    LATERAL unnest(ARRAY['1.1', '1.1-2.3', '1.s1:1:3:3:', epoch || '.9223372036854775807', epoch || '.1-9223372036854775807.1',
                         epoch || '.s1:1:9000000000000000000:9000000000000000000:']) AS gone;

-- Passes
CREATE TEMP TABLE pass AS SELECT c360_open_stream('{wallets}') AS pass;
SELECT matches(pass, '^[0-9a-f]{64}$', 'a pass is random and long') FROM pass;
SELECT isnt(c360_open_stream(), pass, 'each is another') FROM pass;
SELECT is(concat_ws(' ', role, actor, level, channels, valid_until - opened_at),
          concat_ws(' ', current_user, session_user, 'admin {wallets} 08:00:00'),
          'stored with its hash, role, actor, level, channels and end')
FROM pass JOIN c360.event_streams ON pass_hash = sha256(pass::bytea);
SELECT is_empty('SELECT s FROM c360.event_streams s, pass WHERE strpos(s::text, pass) > 0', 'and not itself');
SELECT is(pg_temp.failure(format('SELECT c360_events(%L)', pass)), 'none', 'it reads') FROM pass;
SELECT is(pg_temp.failure(format('SELECT c360_events(%L)', wrong)), 'PT401 invalid_pass', format('wrong: %L', left(wrong, 10)))
FROM pass, unnest(ARRAY['', 'x', left(pass, 63), pass || 'a', upper(pass) || ' ', repeat('a', 1000000)]) AS wrong;
UPDATE c360.event_streams SET valid_until = clock_timestamp() WHERE pass_hash = (SELECT sha256(pass::bytea) FROM pass);
SELECT is(pg_temp.failure(format('SELECT c360_events(%L)', pass)), 'PT401 invalid_pass', 'expired') FROM pass;
SELECT c360_set('stream_pass_hours', '2') \g /dev/null
UPDATE pass SET pass = c360_open_stream();
SELECT is((valid_until - opened_at)::text, '02:00:00', 'stream_pass_hours') FROM pass JOIN c360.event_streams ON pass_hash = sha256(pass::bytea);

-- Frames and headers
SELECT matches(c360_events(pass, :'now')::text, E'^retry: 1000\n\n(id: [0-9]+\\.[^\n]+\n\n)?$', 'nothing new: when to come again') FROM pass;
SELECT matches(c360_events(pass)::text, E'^retry: 1000\n\nid: [0-9]+\\.[^\n]+\n\n$', 'without a cursor: the id of now') FROM pass;
SELECT matches(c360_events(pass, 'x')::text, E'^retry: 1000\n\nevent: reset\ndata: \\{[^\n]*\\}\nid: [0-9]+\\.[^\n]+\n\n$',
               'a bad cursor: reset, data, id') FROM pass;
SELECT is(nullif(current_setting('response.headers', true), ''), NULL::text, 'no headers outside PostgREST');
SELECT set_config('request.method', 'GET', true), set_config('request.headers', '{"last-event-id": "x"}', true) \g /dev/null
SELECT matches(c360_events(pass, :'now')::text, 'event: reset', 'Last-Event-ID goes before the argument') FROM pass;
SELECT is(current_setting('response.headers')::jsonb, '[{"Cache-Control": "no-store"}, {"X-Accel-Buffering": "no"}]'::jsonb,
          'under PostgREST nobody on the way keeps or holds it back');
CREATE FUNCTION pg_temp.with_headers(headers text, pass text, after text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.headers', headers, true);
    RETURN c360_events(pass, after);
END $$;
SELECT is(pg_temp.with_headers(headers, pass, 'x') ~ 'event: reset', true, 'the argument counts with headers ' || headers)
FROM pass, unnest(ARRAY['', '{}', '{"accept": "text/event-stream"}', '{"last-event-id": null}', '{"last-event-id": ""}']) AS headers;
SELECT set_config('request.method', '', true), set_config('request.headers', '', true) \g /dev/null

-- Settings of the shop
SELECT is(pg_temp.failure(format('SELECT c360_set(%L, %L)', name, value)), CASE WHEN allowed THEN 'none' ELSE '22023 invalid_setting' END,
          format('%s = %s', name, value))
FROM (VALUES ('event_retention', '1', true), ('event_retention', '3650', true), ('event_retention', '0', false), ('event_retention', '3651', false),
             ('stream_pass_hours', '1', true), ('stream_pass_hours', '168', true), ('stream_pass_hours', '0', false), ('stream_pass_hours', '169', false),
             ('notify_payload', 'full', true), ('notify_payload', 'ids', true), ('notify_payload', 'all', false), ('notify_payload', '', false))
    AS t (name, value, allowed);

-- Settings of the server
SELECT is((SELECT string_agg(concat_ws(' ', name, context, vartype, unit, min_val, max_val, boot_val, enumvals), ', ' ORDER BY name)
           FROM pg_settings WHERE name LIKE 'c360.%'),
          'c360.databases sighup string , c360.notify sighup enum worker {worker,inline,off},'
          ' c360.tick_interval sighup integer ms 1 10000 10', 'each with unit, range and context');
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'c360.%' AND (short_desc = '' OR category <> 'Customized Options')$$,
                'and a description');
SELECT is(pg_temp.failure(format('SET %s = %s', name, value)), '55P02', name || ' is not for sessions')
FROM (VALUES ('c360.databases', 'x'), ('c360.notify', 'off'), ('c360.tick_interval', '1')) AS t (name, value);
SELECT is(pg_temp.failure('SET c360.notfy = off'), '42602', 'a name that is none is refused');

-- Where no worker serves a database
SELECT is((SELECT count(*) FROM c360_stat), 1::bigint, 'c360_stat has one row');

-- Errors say what to do.
SELECT is_empty('SELECT DISTINCT state, message FROM failures WHERE state IN (''22023'', ''PT410'', ''PT401'') AND (word IS NULL OR hint IS NULL)
                 AND word NOT IN (''too_many'', ''out_of_range'')', 'bad arguments have a word and a hint');
SELECT is_empty('SELECT message FROM failures WHERE state LIKE ''PT%'' AND message !~ ''^[ -~]+$''', 'messages of PT errors are ASCII, one line');
SELECT is((SELECT count(DISTINCT message) FROM failures WHERE state = 'PT410'), 1::bigint, 'and always the same');

SELECT * FROM finish();
ROLLBACK;
