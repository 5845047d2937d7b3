-- When a schedule says that it is time, in shop time (UTC+7).
SET timezone = 'Asia/Ho_Chi_Minh';

SELECT schedule, c360_next_run(schedule, '2026-11-22 10:30:15+07') AS next
FROM unnest(ARRAY['* * * * *', '30 10 * * *', '31 10 * * *', '0 * * * *', '0 */6 * * *', '*/5 * * * *', '0 2 * * *',
                  '30 2 * * *', '0 0 1 * *', '0 0 1 1 *', '0 0 31 * *', '0 0 29 2 *', '0 0 * * 0', '0 0 * * 7',
                  '0 0 * * mon', '0 0 * * sat,sun', '0 0 1 jan *', '0 0 13 * 5', '0 0 */2 * 5', '0 0 13 * */5',
                  '  5,10   8-10/2 1-7 JAN-mar,12 Mon-Fri  ', '59 23 31 12 *', '007 0 * * *',
                  '0 0 31 2 *', '0 0 30,31 feb *', '0 0 31 4,6,9,11 *']) AS schedule;
-- A moment is after itself, not at itself, to the microsecond.
SET timezone = 'UTC';
SELECT after, c360_next_run('0 * * * *', after) FROM unnest(ARRAY[
    '2026-11-22 10:00:00+07', '2026-11-22 09:59:59.999999+07', '2026-11-22 10:00:00.000001+07',
    '2026-12-31 23:59:59+07', '1999-12-31 23:00:00+07', '1969-12-31 23:30:00+07', '0001-01-01 00:00:00+07',
    '4713-01-01 00:00:00+00 BC']::timestamptz[]) AS after;
SET timezone = 'Asia/Ho_Chi_Minh';
SELECT c360_next_run('0 0 29 2 *', '2096-02-29 00:00+07') AS after_2096, c360_next_run(NULL, now()), c360_next_run('* * * * *', NULL);
-- shop time is ahead of UTC, and the setting of the session does not matter
SET timezone = 'America/New_York';
SELECT c360_next_run('0 6 * * *', '2026-03-08 00:00:00+00') = timestamptz '2026-03-08 23:00:00+00' AS in_shop_time;
SET timezone = 'Asia/Ho_Chi_Minh';

-- What is no schedule.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_next_run('0 2 * *', now())$$);
SELECT test.error_of($$SELECT c360_next_run('* * * * *', 'infinity')$$);
SELECT test.error_of(format('SELECT c360_next_run(%L, now())', repeat('1,', 200) || '1 * * * *'));
SELECT schedule FROM unnest(ARRAY['', ' ', '*', '* * * *', '* * * * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *',
    '* * * 0 *', '* * * 13 *', '* * * * 8', '-1 * * * *', '1- * * * *', '-5 * * * *', '1--5 * * * *', '1-5-7 * * * *',
    '5-1 * * * *', '1/5 * * * *', '*/0 * * * *', '*/60 * * * *', '*/-1 * * * *', '*/x * * * *', '*/ * * * *', '/5 * * * *',
    '1-5/0 * * * *', '5-64/30 * * * *', ', * * * *', '1, * * * *', ',1 * * * *', '1,,2 * * * *', '1, 2 * * * *', '1 .. * * *',
    '*5 * * * *', '5* * * * *', '1.5 * * * *', '+5 * * * *', '0x5 * * * *', 'jan * * * *', '* * jan * *', '* * * mon *',
    '* * * january *', '* * * ja *', '* * * * monday', '* * * * fri-sun', '* * * * sun-', '99999999999999999999 * * * *',
    '4294967296 * * * *', E'*\n* * * *', '*,* * * * x', '@hourly', '@reboot', '30 seconds', '0 0 $ * *', '# * * * *',
    '０ * * * *', '* * * * * ls', '0 2 * * *;', 'null']) AS schedule
WHERE test.failure_of(format('SELECT c360_next_run(%L, now())', schedule)) IS DISTINCT FROM '22023 invalid schedule';
\pset tuples_only off
\pset format aligned

-- The definition, word for word, over every minute of a span. A field of the
-- reference is a list of the numbers that fit it and whether it begins with *.
CREATE FUNCTION test.numbers(field text, low integer, high integer) RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(DISTINCT n) FROM unnest(string_to_array(field, ',')) AS part,
        regexp_match(part, '^(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?$') AS m,
        generate_series(coalesce(m[1]::integer, low), coalesce(m[2], m[1], high::text)::integer, coalesce(m[3]::integer, 1)) AS n
$$;
CREATE FUNCTION test.reference(schedule text, first timestamptz, last timestamptz) RETURNS SETOF timestamptz LANGUAGE sql STABLE AS $$
    WITH fields AS MATERIALIZED (
        SELECT f, test.numbers(f[1], 0, 59) AS minutes, test.numbers(f[2], 0, 23) AS hours, test.numbers(f[3], 1, 31) AS days,
               test.numbers(f[4], 1, 12) AS months, test.numbers(f[5], 0, 7) AS weekdays
        FROM string_to_array(schedule, ' ') AS f)
    SELECT t FROM fields, generate_series(first, last, interval '1 minute') AS t, timezone('Asia/Ho_Chi_Minh', t) AS shop
    WHERE extract(minute FROM shop) = ANY (minutes) AND extract(hour FROM shop) = ANY (hours)
      AND extract(month FROM shop) = ANY (months)
      AND CASE WHEN f[3] LIKE '*%' OR f[5] LIKE '*%'
               THEN extract(day FROM shop) = ANY (days)
                    AND (extract(dow FROM shop) = ANY (weekdays) OR extract(isodow FROM shop) = ANY (weekdays))
               ELSE extract(day FROM shop) = ANY (days)
                    OR extract(dow FROM shop) = ANY (weekdays) OR extract(isodow FROM shop) = ANY (weekdays) END
    ORDER BY t
$$;
CREATE FUNCTION test.walk(schedule text, first timestamptz, last timestamptz) RETURNS SETOF timestamptz LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz := first - interval '1 microsecond';
BEGIN
    LOOP
        t := c360_next_run(schedule, t);
        EXIT WHEN t IS NULL OR t > last;
        RETURN NEXT t;
    END LOOP;
END $$;
-- No schedule may differ; the first number says that there was something to compare.
WITH compared AS (
    SELECT schedule, (SELECT array_agg(t) FROM test.walk(schedule, first, last) AS t) AS walked,
           (SELECT array_agg(t) FROM test.reference(schedule, first, last) AS t) AS wanted
    FROM (VALUES (timestamptz '2026-12-20 00:00+07', timestamptz '2027-01-12 12:00+07'),
                 ('2028-02-20 03:17+07', '2028-03-10 00:00+07')) AS span (first, last),
         unnest(ARRAY['0 * * * *', '0 */6 * * *', '*/5 * * * *', '30 2 * * *', '7-50/11 1-22/3 * * *', '0,30 8,20 1 * *',
                      '0 0 * * 0', '0 0 * * 7', '15 3 * * 1-5', '0 12 13 * 5', '0 12 1-7 * 1', '0 12 */2 * 3', '0 12 5 * */2',
                      '0 12 1-31 * 2', '0 12 * 1,2 *', '0 0 29,31 * 6', '0 5 * 2 0-7/3', '59 23 28-31 2,12 *', '1 1 1 3 4'])
             AS schedule)
SELECT count(*) > 30 AS compared, count(*) FILTER (WHERE walked IS NOT NULL) > 30 AS with_runs,
       array_agg(schedule) FILTER (WHERE walked IS DISTINCT FROM wanted) AS differ
FROM compared;

-- The same moments on a clock that is behind or ahead.
SELECT schedule, c360_shift_schedule(schedule, -7) AS utc
FROM unnest(ARRAY['0 * * * *', '*/5 * * * *', '0 */6 * * *', '30 2 * * *', '0 9 * * *', '0 2,9 * * *', '0 9 1 1 mon',
                  '0 2 * * 1', '0 2 * * 0', '0 2 * * mon-fri', '0 2 15 * *', '0 2 2-28/13 * *', '0 2 2 * 0',
                  '0 2 31 1,3 *', '0 2 1-31 * 3', '0 2 * * 0-6', '5 2 */1 * 2']) AS schedule;
SELECT schedule, c360_shift_schedule(schedule, 2) AS ahead
FROM unnest(ARRAY['0 22 * * 6', '0 22 27 * *', '0 22 30 1 *', '0 21 31 12 *']) AS schedule;
\pset format unaligned
\pset tuples_only on
SELECT test.error_of(format('SELECT c360_shift_schedule(%L, -7)', schedule)) FROM unnest(ARRAY[
    '0 2,9 * * 1', '0 * 5 * *', '0 2 1 * *', '0 2 31 * *', '0 2 29 2 *', '0 2 * 3 *', '0 2 * 3 1', '0 2 31 4 *',
    '0 2 5 * */2', 'no']) AS schedule;
SELECT test.error_of($$SELECT c360_shift_schedule('0 22 28 * *', 2)$$);
SELECT test.error_of($$SELECT c360_shift_schedule(NULL, 2)$$);
\pset tuples_only off
\pset format aligned
-- What is written there names the very moments: for each day of two years,
-- one of them a leap year, whatever is not refused.
WITH schedules AS (
    SELECT format('%s %s %s %s %s', 17, h, d, m, w) AS schedule, by
    FROM unnest(ARRAY['2', '9', '2,5', '*', '2,9', '20-23']) AS h, unnest(ARRAY['*', '1', '2-28', '28', '31', '*/5', '1-31']) AS d,
         unnest(ARRAY['*', '1,3', '2']) AS m, unnest(ARRAY['*', '0', '1-5', '*/2', '0-6']) AS w, unnest(ARRAY[-7, 3]) AS by),
shifted AS (
    SELECT schedule, by, c360_shift_schedule(schedule, by) AS there FROM schedules
    WHERE test.failure_of(format('SELECT c360_shift_schedule(%L, %s)', schedule, by)) = 'no error')
SELECT count(*) > 100 AS shifted, (SELECT count(*) FROM schedules) - count(*) > 100 AS refused,
       array_agg(schedule || ' by ' || by || ' ' || there) FILTER (WHERE EXISTS (
           SELECT FROM generate_series(timestamptz '2027-12-25 00:00+07', '2029-01-05 00:00+07', interval '1 day') AS day
           WHERE c360_next_run(there, day + by * interval '1 hour')
                 IS DISTINCT FROM c360_next_run(schedule, day) + by * interval '1 hour')) AS differ
FROM shifted;
DROP FUNCTION test.walk(text, timestamptz, timestamptz);
DROP FUNCTION test.reference(text, timestamptz, timestamptz);
DROP FUNCTION test.numbers(text, integer, integer);
RESET timezone;
