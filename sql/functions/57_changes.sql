-- What changed since a consumer looked last, by snapshot (src/changes.c). Rows
-- that carry their transaction are new to it if
--
--     xact = ANY (ARRAY(SELECT pg_snapshot_xip(since))) OR xact >= pg_snapshot_xmax(since)
--
-- which two index ranges answer, best as two queries; since NULL means all.

CREATE FUNCTION @extschema@.c360_changes_begin(consumer text,
    OUT since pg_snapshot, OUT upto pg_snapshot, OUT state jsonb)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_changes_begin_sql';
COMMENT ON FUNCTION @extschema@.c360_changes_begin(text) IS
'Internal: begins a run of a consumer, and locks its row until the end of the transaction; to be called before the rows are read.

consumer: its name in c360.consumers.
Answer: since, the snapshot up to which it had everything, NULL = nothing, or that was another history; upto, the one of this run, for c360_changes_end(); state, as its last run left it.
Errors: 22004 NULL; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_changes_end(consumer text, upto pg_snapshot, state jsonb) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_changes_end_sql';
COMMENT ON FUNCTION @extschema@.c360_changes_end(text, pg_snapshot, jsonb) IS
'Internal: notes that the consumer has all up to this snapshot.

consumer: its name. upto: of c360_changes_begin(). state: what its next run gets.
Errors: 22004 missing_argument; 22023 not_allowed: no such consumer; 25006 read only; 55000 not installed.';
