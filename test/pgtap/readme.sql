-- README.md: its figures are those of doc/benchmarks.md, its first lines of
-- SQL answer what it shows, its links lead somewhere.
BEGIN;
\ir tools.psql
\set readme `cat README.md`
\set measured `cat doc/benchmarks.md`
\set statements `perl test/blocks.pl README.md 'Five lines' 'Getting started' Idempotency`
\set shown `perl test/shown.pl README.md 'Five lines' 'Getting started' Idempotency`
\set links `perl -ne 'while (/\]\(([^)#:]*)(#[^)]*)?\)/g) { print "$1\n" if $1 ne "" }' README.md`
\set anchors `perl -ne 'print "#$1\n" while /\]\(#([^)]*)\)/g' README.md`
\set headings `perl -CSD -ne 'if (/^##+ (.*)/) { my $h = lc $1; $h =~ s/[^\w -]//g; $h =~ tr/ /-/; print "#$h\n" }' README.md`
\set files `find . -not -path './.git/*' | cut -c3-`
SELECT no_plan();
SELECT set_config('search_path', 'public, pg_catalog', true), set_config('c360_test.statements', :'statements', true) \g /dev/null

CREATE TEMP TABLE figures AS
    SELECT f[1] AS figure FROM regexp_matches(substring(:'readme' FROM E'\n(- \\*\\*.*)\n\n## Two commands'),
                                              '(\d+,\d[\d,]*|\d+\.\d+ (?:×|ms))', 'g') AS f;
SELECT cmp_ok((SELECT count(*) FROM figures)::integer, '>', 5, 'the reasons have figures');
SELECT is_empty(format('SELECT figure FROM figures WHERE position(figure IN %L) = 0', :'measured'), 'those of doc/benchmarks.md');

-- as in a database where nothing happened before
ALTER TABLE c360.wallet_transactions ALTER id RESTART;
CREATE TEMP TABLE answers (n integer GENERATED ALWAYS AS IDENTITY, answer text);
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT s FROM string_to_table(current_setting('c360_test.statements'), ';') AS s WHERE s ~ 'SELECT' LOOP
        BEGIN
            EXECUTE format('INSERT INTO pg_temp.answers (answer) SELECT replace(btrim(x::text, ''()''), '','', ''|'') FROM (%s) AS x', statement);
        EXCEPTION WHEN SQLSTATE 'PT409' THEN
            INSERT INTO pg_temp.answers (answer) VALUES ('ERROR:  ' || SQLERRM);
        END;
    END LOOP;
END $$;
SELECT cmp_ok((SELECT count(*) FROM answers)::integer, '>', 9, 'the first lines answer');
SELECT is((SELECT string_agg(answer, E'\n' ORDER BY n) FROM answers), rtrim(:'shown', E'\n'), 'what is shown');

SELECT is_empty(format('SELECT l FROM string_to_table(%L, E''\n'') AS l WHERE l <> '''' AND l <> ALL (string_to_array(%L, E''\n''))',
                       :'links', :'files'), 'links lead to files');
SELECT is_empty(format('SELECT l FROM string_to_table(%L, E''\n'') AS l WHERE l <> '''' AND l <> ALL (string_to_array(%L, E''\n''))',
                       :'anchors', :'headings'), 'and to headings');
SELECT * FROM finish();
ROLLBACK;
