-- Live events: reading them by cursor, and streams for pages of the browser.

CREATE DOMAIN @extschema@."text/event-stream" AS text;
COMMENT ON DOMAIN @extschema@."text/event-stream" IS 'Server-sent events; PostgREST serves it with this media type';

CREATE FUNCTION @extschema@.c360_events_since(after text DEFAULT NULL, channels text[] DEFAULT NULL,
    max_rows integer DEFAULT 500)
RETURNS TABLE (cursor text, id bigint, channel text, event text, payload jsonb, at timestamptz)
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 500
AS 'MODULE_PATHNAME', 'c360_events_since';
COMMENT ON FUNCTION @extschema@.c360_events_since(text, text[], integer) IS
'Every event committed after a cursor, each at least once, in true order for each wallet and ticket.

after: the cursor of the last row that was handled; NULL = one row whose cursor says "now" and whose id is NULL. channels: of wallets, tickets, customers, bank, wallet:<phone>; NULL = all. max_rows: 1 to 10,000; NULL = 500.
Answer: rows in order, the payload as in the notification; what the level of the caller may not read is left out. A row with id NULL instead of events says: nothing for you up to here, go on from this cursor.
Errors: PT410 cursor_expired (older than event_retention, of another history, or newer than the newest): fetch anew; 22023 invalid_cursor, unknown_channel, out_of_range, too_many; 22004 missing_argument; 42501 no_level; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_open_stream(channels text[] DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_open_stream';
COMMENT ON FUNCTION @extschema@.c360_open_stream(text[]) IS
'A pass with which a page of the browser reads events by EventSource for stream_pass_hours (8), with the level that the caller''s role has at that time.

channels: of wallets, tickets, customers, bank, wallet:<phone>; NULL = all.
Answer: the pass, for /rpc/c360_events?pass=…; c360 keeps only its hash. c360_revoke() of the role ends it.
Errors: 22023 unknown_channel, too_many; 22004 missing_argument; 42501 no_level; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_events(pass text DEFAULT NULL, after text DEFAULT NULL)
RETURNS @extschema@."text/event-stream"
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_events';
COMMENT ON FUNCTION @extschema@.c360_events(text, text) IS
'Server-sent events for EventSource: a finite answer that begins with "retry: 1000"; the browser comes back with Last-Event-ID and gets what came since.

pass: of c360_open_stream(); NULL = with the caller''s own level. after: the cursor to begin with if there is no Last-Event-ID header; NULL = now.
Answer: one frame an event, named like it, with its payload as data; the cursor as id behind the last one. A cursor that holds no longer is answered with an event "reset" and a new cursor: fetch anew.
Errors: PT401 invalid_pass; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_statistics()
RETURNS TABLE (ticks bigint, notifications bigint, lag interval, backlog bigint, ring_overflow bigint, last_error text)
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'c360_statistics';
COMMENT ON FUNCTION @extschema@.c360_statistics() IS
'Internal: what the view c360_stat shows.

Answer: one row; NULL where no worker serves this database.
Errors: 55000 not installed.';
