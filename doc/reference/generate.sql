-- Makes pg_temp.reference(), the text of doc/reference.md, from the catalogs
-- and comments of a database with c360, from what the sources announce and
-- raise (sources.pl) and from the words for those (words.tsv). Run from the
-- top of the tree; "make reference" writes the file, test/pgtap/reference.sql
-- compares it.

\set sources `perl doc/reference/sources.pl`
\set words `cat doc/reference/words.tsv`

SELECT c360_version() \g /dev/null
-- loads the library, so that its parameters are known

CREATE TEMP TABLE facts AS
    SELECT f[1] AS kind, f[2] AS name, f[3] AS word, f[4] AS message
    FROM string_to_table(:'sources', E'\n') AS line, string_to_array(line, E'\t') AS f;

-- "everywhere": an error that no function lists, since any that writes can raise it
CREATE TEMP TABLE words AS
    SELECT w[1] AS kind, w[2] AS name, w[3] AS meaning, w[4] IS NOT NULL AS everywhere
    FROM string_to_table(:'words', E'\n') AS line, string_to_array(line, E'\t') AS w;

CREATE TEMP VIEW documented AS
    SELECT p.oid, p.proname::text AS name, p.prokind, p.pronargs, p.proargnames, p.prorettype,
           obj_description(p.oid, 'pg_proc') AS comment,
           coalesce(l.level, 'internal') AS level, f.word AS area,
           coalesce(l.level, 'internal') = 'internal' OR p.prorettype = 'trigger'::regtype
               OR obj_description(p.oid, 'pg_proc') LIKE 'Internal:%' AS internal
    FROM pg_proc p
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'c360'
    LEFT JOIN c360_level_functions() AS l ON l.function = p.proname
    LEFT JOIN facts f ON f.kind = 'function' AND f.name = p.proname;

CREATE TEMP VIEW documented_views AS
    SELECT c.oid, c.relname::text AS name, l.level, obj_description(c.oid, 'pg_class') AS comment
    FROM c360_level_views() AS l JOIN pg_class c ON c.oid = to_regclass(l.view);

-- SQLSTATE and machine word of each function, from the line "Errors:" of its comment.
CREATE TEMP VIEW documented_errors AS
    SELECT d.name AS function, d.internal, s.m[1] AS state,
           coalesce(substring(part FROM '^\s*([a-z]+(?:_[a-z]+)+)\M'), substring(part FROM '^\s*([a-z]+)\.?\s*$')) AS word
    FROM documented d,
         regexp_matches(d.comment, '^Errors: (.*)$', 'gn') AS line,
         string_to_table(regexp_replace(line[1], '\([^)]*\)', '', 'g'), ';') AS item,
         regexp_match(item, '^\s*([0-9A-Z]{5})\M(.*)$') AS s (m),
         string_to_table(s.m[2], ',') AS part;

-- Prose for Markdown, also in the cell of a table.
CREATE FUNCTION pg_temp.prose(raw text) RETURNS text LANGUAGE sql AS $$
    SELECT replace(replace(replace(replace(raw, '&', '&amp;'), '<', '&lt;'), '*', '\*'), '|', '\|')
$$;

CREATE FUNCTION pg_temp.title(area text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT t.title FROM (VALUES ('reads', 'Reading wallets'), ('install_begin', 'Installation'),
                                                 ('rfm', 'RFM'), ('levels', 'Rights')) AS t (area, title)
                     WHERE t.area = title.area),
                    upper(left(area, 1)) || replace(substr(area, 2), '_', ' '))
$$;

CREATE FUNCTION pg_temp.signature_of(routine oid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s%s(%s)%s', CASE prokind WHEN 'p' THEN 'CALL ' ELSE '' END, proname,
                  regexp_replace(regexp_replace(pg_get_function_arguments(oid), '(DEFAULT (''[^'']*''|\w+))::[a-z ]+(\[\])?', '\1', 'g'),
                                 '\mIN ', '', 'g'),
                  ' → ' || CASE WHEN prokind = 'f' THEN pg_get_function_result(oid) END)
    FROM pg_proc WHERE oid = routine
$$;

-- The comment without its summary: one item for each argument, Answer and
-- Errors as paragraphs of their own.
CREATE FUNCTION pg_temp.body_of(comment text, arguments text[]) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(
        CASE WHEN line ~ '^(Answer|Errors):' THEN E'\n**' || regexp_replace(pg_temp.prose(line), ':', ':**')
             WHEN arguments = '{}' THEN E'\n' || pg_temp.prose(line)
             ELSE regexp_replace(E'\n' || pg_temp.prose(line),
                      format('(\n|\. |; )((?:%1$s)(?:, (?:%1$s))*): ', array_to_string(arguments, '|')),
                      E'\n- `\\2`: ', 'g') END, E'\n' ORDER BY n), '')
    FROM string_to_table(regexp_replace(comment, '^[^\n]*\n*', ''), E'\n') WITH ORDINALITY AS t (line, n)
    WHERE line <> ''
$$;

CREATE FUNCTION pg_temp.columns_in(relation oid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('| `%s` | %s | %s |', a.attname, format_type(a.atttypid, a.atttypmod),
                             coalesce(pg_temp.prose(col_description(a.attrelid, a.attnum)), '')), E'\n' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
$$;

CREATE FUNCTION pg_temp.column_list(relation oid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('`%s` %s', a.attname, format_type(a.atttypid, a.atttypmod))
                      || coalesce(' (' || pg_temp.prose(col_description(a.attrelid, a.attnum)) || ')', ''), ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
$$;

CREATE FUNCTION pg_temp.http_of(state text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN state LIKE 'PT%' THEN substr(state, 3) WHEN state IN ('0A000') OR state LIKE '22%' THEN '400'
                WHEN state = '25006' THEN '405' WHEN state = '42501' THEN '403, without a token 401' ELSE '500' END
$$;

-- The chapters, in order. Each is one text.

CREATE FUNCTION pg_temp.function_chapters() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format(E'## %s\n\n%s', pg_temp.title(area), string_agg(
               format(E'### %s\n\n`%s`\n\n%s Level: %s.\n%s', name, pg_temp.signature_of(oid),
                      pg_temp.prose(regexp_replace(split_part(comment, E'\n', 1), '([^.])$', '\1.')), level,
                      pg_temp.body_of(comment, coalesce(proargnames[1:pronargs], '{}'))),
               E'\n\n' ORDER BY name))
    FROM documented WHERE NOT internal
    GROUP BY area
    ORDER BY array_position('{install_begin,money,reads,customers,search,orders,tickets,bank,rfm,fraud,statistics,events,jobs,settings,levels,pure}', area), area
$$;

CREATE FUNCTION pg_temp.contents() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('| [%s](#%s) | %s |', title, replace(lower(title), ' ', '-'), links), E'\n' ORDER BY place, title)
    FROM (SELECT pg_temp.title(area) AS title,
                 array_position('{install_begin,money,reads,customers,search,orders,tickets,bank,rfm,fraud,statistics,events,jobs,settings,levels,pure}', area) AS place,
                 string_agg(format('[`%s`](#%s)', regexp_replace(name, '^c360_', ''), name), ', ' ORDER BY name) AS links
          FROM documented WHERE NOT internal GROUP BY area) AS areas
$$;

CREATE FUNCTION pg_temp.view_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Views\n\nIn the extension''s schema. PostgREST filters, sorts and pages them. Amounts are NULL for callers below agent.\n\n'
        || string_agg(format(E'### %s\n\n%s Level: %s.\n\n| column | type | |\n|---|---|---|\n%s', name,
                             pg_temp.prose(regexp_replace(comment, '([^.])$', '\1.')), level, pg_temp.columns_in(oid)),
                      E'\n\n' ORDER BY name)
    FROM documented_views
$$;

CREATE FUNCTION pg_temp.type_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Types\n\nRows that functions answer.\n\n'
        || string_agg(format(E'### %s\n\n%s%s', t.typname, pg_temp.prose(regexp_replace(obj_description(t.oid, 'pg_type'), '([^.])$', '\1.')),
                             E'\n\n| column | type | |\n|---|---|---|\n' || pg_temp.columns_in(t.typrelid)),
                      E'\n\n' ORDER BY t.typname)
    FROM pg_type t JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
         AND t.typcategory <> 'A'       -- arrays are members, too, since 17
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'c360'
$$;

CREATE FUNCTION pg_temp.table_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Tables\n\nIn the schema `c360`, for the owner alone: everybody else reads views and functions.\n\n'
        || string_agg(format(E'- **%s**: %s. %s', c.relname, pg_temp.prose(obj_description(c.oid, 'pg_class')),
                             pg_temp.column_list(c.oid)), E'\n' ORDER BY c.relname)
    FROM pg_class c WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r'
$$;

CREATE FUNCTION pg_temp.setting_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Settings of the shop\n\nRows of `c360.settings`, changed by `c360_set(name, value)`; NULL goes back to the default.\n\n'
        '| setting | values | default | |\n|---|---|---|---|' || E'\n'
        || string_agg(format('| `%s` | %s | %s | %s |', name,
               CASE type WHEN 'choice' THEN array_to_string(choices, ', ')
                         WHEN 'boolean' THEN 'true, false'
                         WHEN 'list' THEN 'list of ' || unit
                         ELSE concat_ws(' ', CASE WHEN minimum IS NULL THEN type ELSE format('%s to %s', minimum, maximum) END, unit) END,
               coalesce('`' || nullif(default_value, '') || '`', 'none'), pg_temp.prose(description)), E'\n' ORDER BY name)
    FROM c360.settings
$$;

CREATE FUNCTION pg_temp.parameter_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Parameters of the server\n\nIn postgresql.conf. A reload makes them hold; ordinary users cannot set them.\n\n'
        '| parameter | values | default | |\n|---|---|---|---|' || E'\n'
        || string_agg(format('| `%s` | %s | %s | %s |', name,
               CASE vartype WHEN 'enum' THEN array_to_string(enumvals, ', ') WHEN 'string' THEN 'text'
                            ELSE format('%s to %s %s', min_val, max_val, unit) END,
               coalesce('`' || nullif(boot_val, '') || '`' , 'empty'),
               pg_temp.prose(concat_ws(' ', short_desc, extra_desc))), E'\n' ORDER BY name)
    FROM pg_settings WHERE name LIKE 'c360.%'
$$;

CREATE FUNCTION pg_temp.event_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Channels and events\n\n[events.md](events.md) tells how they reach programs and pages. '
        'A wallet''s events are told on `wallet:<phone>`, too.' || E'\n\n| channel | event | |\n|---|---|---|\n'
        || string_agg(format('| `%s` | `%s` | %s |',
               CASE split_part(f.name, '.', 1) WHEN 'wallet' THEN 'wallets' WHEN 'ticket' THEN 'tickets'
                                               WHEN 'bank' THEN 'bank' ELSE 'customers' END,
               f.name, coalesce(w.meaning, '')), E'\n' ORDER BY f.name)
    FROM facts f LEFT JOIN words w ON w.kind = 'event' AND w.name = f.name
    WHERE f.kind = 'event'
$$;

CREATE FUNCTION pg_temp.error_chapter() RETURNS text LANGUAGE sql AS $$
    WITH raised AS (
        SELECT state, word, string_agg(DISTINCT format('`%s`', function), ', ' ORDER BY format('`%s`', function))
                                FILTER (WHERE NOT internal) AS functions,
               count(DISTINCT function) FILTER (WHERE NOT internal) AS n
        FROM documented_errors WHERE word IS NOT NULL GROUP BY state, word
        UNION ALL
        SELECT f.name, w.name, NULL, NULL FROM words w JOIN facts f ON f.kind = 'error' AND f.word = w.name WHERE w.everywhere
        UNION ALL
        SELECT w.name, NULL, NULL, NULL FROM words w WHERE w.kind = 'state'
    )
    SELECT E'## Errors\n\nThe message is fixed, ASCII, one line. DETAIL begins with a word that programs can rely on, followed by what the '
        'user gave. PostgREST answers with the HTTP status.' || E'\n\n'
        '| SQLSTATE | HTTP | word in DETAIL | message | when | functions |' || E'\n|---|---|---|---|---|---|\n'
        || string_agg(format('| %s | %s | %s | %s | %s | %s |', r.state, pg_temp.http_of(r.state), coalesce('`' || r.word || '`', ''),
               coalesce((SELECT string_agg(DISTINCT nullif(f.message, '-'), '; ') FROM facts f
                         WHERE f.kind = 'error' AND f.name = r.state AND f.word = r.word), ''),
               coalesce(w.meaning, ''),
               CASE WHEN r.word IS NULL OR w.everywhere THEN 'any' WHEN r.n > 8 THEN r.n || ' functions' ELSE coalesce(r.functions, 'triggers') END),
           E'\n' ORDER BY r.state, r.word NULLS LAST)
    FROM raised r
    LEFT JOIN words w ON (w.kind, w.name) = ('error', r.word) OR r.word IS NULL AND (w.kind, w.name) = ('state', r.state)
$$;

CREATE FUNCTION pg_temp.job_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Scheduled jobs\n\nSchedules as in cron, in shop time. [operations.md](operations.md#jobs) tells who runs them.\n\n| job | default schedule | |\n|---|---|---|\n'
        || string_agg(format('| `%s` | `%s` | %s |', job, default_schedule, pg_temp.prose(description)), E'\n' ORDER BY job)
    FROM c360.jobs
$$;

CREATE FUNCTION pg_temp.level_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Who may call what\n\nGiven by `c360_grant(role, level)`. agent may what viewer may, accountant what agent may, admin everything.\n\n'
        || string_agg(format(E'- **%s**: %s.\n  Adds: %s', w.name, w.meaning,
               (SELECT coalesce(string_agg(format('`%s`', name), ', ' ORDER BY kind, name), 'nothing in this version')
                FROM (SELECT 1, name, level FROM documented UNION ALL SELECT 2, name, level FROM documented_views) AS a (kind, name, level)
                WHERE a.level = w.name)), E'\n'
               ORDER BY array_position('{viewer,agent,accountant,admin,bank_feed,stream}', w.name))
        || E'\n- Everybody: ' || (SELECT string_agg(format('`%s`', name), ', ' ORDER BY name) FROM documented WHERE level = 'public')
        || E'\n- The owner of the tables: ' || (SELECT string_agg(format('`%s`', name), ', ' ORDER BY name) FROM documented WHERE level = 'owner')
    FROM words w WHERE w.kind = 'level'
$$;

CREATE FUNCTION pg_temp.internal_chapter() RETURNS text LANGUAGE sql AS $$
    SELECT E'## Internal functions\n\nNot to be called; other functions are built of them, and jobs and triggers call some.\n\n| function | |\n|---|---|\n'
        || string_agg(format('| `%s` | %s |', pg_temp.signature_of(oid),
                             pg_temp.prose(regexp_replace(split_part(comment, E'\n', 1), '^Internal: ', ''))), E'\n' ORDER BY name)
    FROM documented WHERE internal
$$;

CREATE FUNCTION pg_temp.reference() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(E'\n\n', '# Reference',
        'Written by `make reference` from the comments and catalogs of an installation; `make check` compares it with them. '
        'psql tells the same: `\df+ c360_withdraw`, `\d+ c360_ticket_list`, `\dd`.',
        'Arguments can be given by name; those with DEFAULT can be left out. Amounts are whole đồng. `phone` takes any spelling. '
        'Call functions that answer a row in FROM.',
        E'| functions | |\n|---|---|\n' || pg_temp.contents(),
        'Then: [views](#views), [types](#types), [settings of the shop](#settings-of-the-shop), '
        '[parameters of the server](#parameters-of-the-server), [channels and events](#channels-and-events), [errors](#errors), '
        '[scheduled jobs](#scheduled-jobs), [who may call what](#who-may-call-what), [tables](#tables), [internal functions](#internal-functions).',
        (SELECT string_agg(chapter, E'\n\n') FROM pg_temp.function_chapters() AS chapter),
        pg_temp.view_chapter(), pg_temp.type_chapter(), pg_temp.setting_chapter(), pg_temp.parameter_chapter(), pg_temp.event_chapter(),
        pg_temp.error_chapter(), pg_temp.job_chapter(), pg_temp.level_chapter(), pg_temp.table_chapter(), pg_temp.internal_chapter()) || E'\n'
$$;
