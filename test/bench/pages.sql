-- Reads everything after a cursor in pages of 500, as a client does.
CREATE FUNCTION peer.read_pages(cursor text) RETURNS TABLE (events bigint, seconds float8, first_tenth float8, last_tenth float8)
LANGUAGE plpgsql AS $$
DECLARE
    page record;
    started timestamptz;
    took float8[] := '{}';
    tenth integer;
BEGIN
    events := 0;
    LOOP
        started := clock_timestamp();
        SELECT count(*) AS rows, (array_agg(e.cursor ORDER BY e.id))[count(*)] AS last
        INTO page FROM c360_events_since(read_pages.cursor, max_rows => 500) e;
        EXIT WHEN page.rows = 0;
        read_pages.cursor := page.last;
        events := events + page.rows;
        took := took || extract(epoch FROM clock_timestamp() - started)::float8;
    END LOOP;
    tenth := greatest(cardinality(took) / 10, 1);
    seconds := (SELECT sum(t) FROM unnest(took) t);
    first_tenth := (SELECT avg(t) FROM unnest(took[:tenth]) t);
    last_tenth := (SELECT avg(t) FROM unnest(took[cardinality(took) - tenth + 1:]) t);
    RETURN NEXT;
END $$;
