-- What each function refuses: SQLSTATE, message, detail, hint.  Phones 0918.
\pset format unaligned
\pset tuples_only on

SELECT c360_get_or_create_customer('0918000001') > 0, c360_get_or_create_customer('0918000002') > 0;
CREATE FUNCTION test.refused(command text, VARIADIC arguments text[]) RETURNS SETOF text
LANGUAGE sql VOLATILE AS $$
    SELECT format(command, argument) || ': ' || test.error_of(format('SELECT ' || command, argument))
    FROM unnest(arguments) WITH ORDINALITY AS a (argument, n) ORDER BY n
$$;

-- phones
SELECT test.refused('c360_deposit(%L, 1)', NULL, '', 'abc', '12345', '091234567890');
SELECT test.refused('c360_issue_credit(%L, 1)', NULL, '', 'abc', '12345');
SELECT test.refused('c360_withdraw(%L, 1)', NULL, '', 'abc', '12345', '0918000009');
SELECT test.refused('c360_adjust(%L, 1, ''counted again'')', NULL, '', 'abc', '12345', '0918000009');
SELECT test.error_of(format('SELECT c360_deposit(%L, 1)', repeat('ế', 100)));
SELECT test.error_of(format('SELECT c360_deposit(%L, 1)', E'a\nb'));

-- amounts
SELECT test.refused('c360_deposit(''0918000001'', %s)', 'NULL', '0', '-1', '1000000001', '9223372036854775807', '-9223372036854775808');
SELECT test.refused('c360_issue_credit(''0918000001'', %s)', 'NULL', '0', '-1', '1000000001', '9223372036854775807', '-9223372036854775808');
SELECT test.refused('c360_withdraw(''0918000001'', %s)', 'NULL', '0', '-1', '1', '1000000000', '1000000001', '9223372036854775807', '-9223372036854775808');
SELECT test.refused('c360_adjust(''0918000001'', %s, ''counted again'')', 'NULL', '0', '-1', '1000000001', '-1000000001', '9223372036854775807', '-9223372036854775808');
SELECT test.refused('c360_refund(%s)', 'NULL', '0', '-1', '9223372036854775807', '-9223372036854775808');
SELECT test.refused('c360_refund(9223372036854775807, %s)', '0', '-1', '1');
SELECT test.refused('c360_cancel_credit(%s, ''by mistake'')', 'NULL', '0', '-1', '9223372036854775807', '-9223372036854775808');

-- reasons
SELECT test.refused('c360_adjust(''0918000001'', 1, %L)', NULL, '', ' ', 'short');
SELECT test.refused('c360_cancel_credit(1, %L)', NULL, '', ' ');
SELECT test.refused('c360_freeze_wallet(''0918000001'', %L)', NULL, '', ' ');

-- lists of words
SELECT test.refused('c360_deposit(''0918000001'', 1, %L)', 'BANK_TRANSFER', 'CASH', '', ' MANUAL');
SELECT test.refused('c360_issue_credit(''0918000001'', 1, %L)', 'GIFT', '', 'MANUAL ');

-- dates
SELECT test.refused('c360_deposit(''0918000001'', 1, occurred_at => %L)', 'infinity', '-infinity', '1999-06-01 12:00 UTC', '2999-01-01 12:00 UTC');
SELECT test.refused('c360_issue_credit(''0918000001'', 1, expires_at => %L)', 'infinity', '-infinity', '1970-01-01 00:00 UTC', '2020-01-01 00:00 UTC');

-- Texts of a length: at most so many characters, and not one more.
CREATE FUNCTION test.longest(command text, size integer) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT command || ': ' || size || ' ' || left(test.error_of(format('SELECT ' || command, repeat('ế', size))), 8) || ', '
        || (size + 1) || ' ' || test.error_of(format('SELECT ' || command, repeat('ế', size + 1)))
$$;
SELECT test.longest('c360_deposit(''0918000001'', 1, reference_type => %L)', 200);
SELECT test.longest('c360_deposit(''0918000001'', 1, reference_id => %L)', 200);
SELECT test.longest('c360_deposit(''0918000001'', 1, note => %L)', 2000);
SELECT test.longest('c360_deposit(''0918000001'', 1, idempotency_key => %L)', 200);
SELECT test.longest('c360_issue_credit(''0918000001'', 1, source_id => %L)', 200);
SELECT test.longest('c360_issue_credit(''0918000001'', 1, note => %L)', 2000);
SELECT test.longest('c360_withdraw(''0918000001'', 1, %L)', 200);
SELECT test.longest('c360_withdraw(''0918000001'', 1, note => %L)', 2000);
SELECT test.longest('c360_adjust(''0918000001'', 1, %L)', 500);
SELECT test.longest('c360_adjust(''0918000001'', 1, ''counted again'', %L)', 200);
SELECT test.longest('c360_adjust(''0918000001'', 1, ''counted again'', NULL, %L)', 200);
SELECT test.longest('c360_freeze_wallet(''0918000001'', %L)', 500);
SELECT test.longest('c360_get_or_create_customer(''0918000001'', %L)', 255);

-- No PT error has anything that was typed in its message, which is one line
-- of ASCII.
CREATE FUNCTION test.message_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    EXECUTE 'SELECT ' || command;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
    RETURN state || ' ' || SQLERRM;
END $$;
SELECT bool_and(message ~ '^[ -~]+$'), count(DISTINCT message)
FROM (VALUES ('c360_withdraw(''0918000002'', 1)'), ('c360_withdraw(''0918000009'', 1)'), ('c360_refund(-1)'),
             ('c360_cancel_credit(-1, ''ế'')')) AS v (command), LATERAL test.message_of(command) AS message
WHERE message LIKE 'PT%';

DROP FUNCTION test.message_of(text);
DROP FUNCTION test.longest(text, integer);
DROP FUNCTION test.refused(text, text[]);
SELECT * FROM c360_verify_wallets();
