-- What the packages say of themselves agrees: META.json as PGXN's
-- specification 1.0.0 wants it and its validator looks for it, debian/,
-- c360.control, CHANGELOG.md; the scripts of releases are what they were.
BEGIN;
\ir tools.psql
\set meta `cat META.json`
\set control `cat debian/control`
\set template `cat debian/control.in`
\set changelog `head -n 1 debian/changelog`
\set changes `grep '^## ' CHANGELOG.md`
\set sums `cd sql/releases && sha256sum --check --strict --quiet SHA256SUMS 2>&1`
\set summed `sed 's/^[^ ]*  //' sql/releases/SHA256SUMS | sort`
\set released `cd sql/releases && ls *.sql | sort`
\set files `find . -type f -not -path './.git/*' | cut -c3-`
SELECT no_plan();
CREATE TEMP TABLE meta AS SELECT :'meta'::jsonb AS m;

SELECT is_empty($$SELECT k FROM unnest(ARRAY['name', 'version', 'abstract', 'maintainer', 'license', 'provides', 'meta-spec']) AS k, meta
                  WHERE NOT m ? k$$, 'META.json has every key that is required');
SELECT is_empty($$SELECT k FROM meta, jsonb_object_keys(m) AS k WHERE k NOT IN ('name', 'version', 'abstract', 'description', 'maintainer',
                  'license', 'provides', 'meta-spec', 'generated_by', 'no_index', 'prereqs', 'release_status', 'resources', 'tags')
                  AND k !~ '^x_'$$, 'and none that is unknown');
SELECT is(m -> 'meta-spec' ->> 'version', '1.0.0', 'its specification') FROM meta;
SELECT ok(m ->> 'license' IN ('postgresql', 'bsd', 'mit', 'apache_2_0'), 'a license that is known') FROM meta;
SELECT ok(m ->> 'release_status' IN ('stable', 'testing', 'unstable'), 'a status that is known') FROM meta;
SELECT ok(m ->> 'version' ~ '^(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}$', 'a semantic version') FROM meta;
SELECT is(m ->> 'version', c360_version(), 'the version of the library') FROM meta;
SELECT is(p.value ->> 'version', c360_version(), p.key || ': so is that of what is provided') FROM meta, jsonb_each(m -> 'provides') AS p;
SELECT ok(p.value ->> k = ANY (string_to_array(:'files', E'\n')), format('%s: %s is there', p.key, p.value ->> k))
FROM meta, jsonb_each(m -> 'provides') AS p, unnest(ARRAY['file', 'docfile']) AS k;
SELECT is_empty($$SELECT r FROM meta, jsonb_each(m -> 'prereqs') AS phase, jsonb_object_keys(phase.value) AS r
                  WHERE phase.key NOT IN ('configure', 'build', 'test', 'runtime', 'develop')
                     OR r NOT IN ('requires', 'recommends', 'suggests', 'conflicts')$$, 'prerequisites of known kinds');
SELECT is_empty($$SELECT p FROM meta, jsonb_each(m -> 'prereqs') AS phase, jsonb_each(phase.value) AS r, jsonb_each_text(r.value) AS p
                  WHERE p.value !~ '^((([<>]=?|[=!]=) *)?((0|[1-9]\d*)(\.(0|[1-9]\d*)){2})(, *|$))+$' AND p.value <> '0'$$,
                'of versions that can be compared');
SELECT is_empty($$SELECT t FROM meta, LATERAL (
                      SELECT m ->> 'name' UNION ALL SELECT jsonb_object_keys(m -> 'provides') UNION ALL
                      SELECT jsonb_object_keys(r.value) FROM jsonb_each(m -> 'prereqs') AS phase, jsonb_each(phase.value) AS r) AS n (t)
                  WHERE t !~ '^[^[:space:][:cntrl:]/\\]{2,}$'$$, 'names without blanks and slashes');
SELECT is_empty($$SELECT k FROM meta, unnest(ARRAY['abstract', 'description', 'maintainer', 'generated_by']) AS k
                  WHERE jsonb_typeof(m -> k) <> 'string' OR m ->> k = ''$$, 'texts that say something');
SELECT matches(m -> 'meta-spec' ->> 'url', '^https?://[^/]+/', 'an address of the specification') FROM meta;
SELECT is_empty($$SELECT t FROM meta, jsonb_array_elements_text(m -> 'tags') AS t WHERE length(t) NOT BETWEEN 1 AND 255 OR t ~ '[/\\[:cntrl:]]'$$, 'tags');

SELECT is(:'control', replace(:'template', 'PGVERSION', '15'), 'debian/control is made of debian/control.in');
SELECT ok(:'changelog' LIKE 'postgresql-c360 (' || c360_version() || '-%', 'debian/changelog has this version on top');
SELECT matches(split_part(:'changes', E'\n', 1), '^## ' || c360_version() || ' \((unreleased|\d{4}-\d\d-\d\d)\)$',
               'so has CHANGELOG.md');

SELECT is(:'sums', ''::text, 'the scripts of releases are as they were released');
SELECT is(:'released', :'summed'::text, 'all of them');
SELECT is_empty($$SELECT source, target FROM pg_extension_update_paths('c360')
                  WHERE (path IS NULL) <> (string_to_array(source, '.')::integer[] > string_to_array(target, '.')::integer[])$$,
                'from every version there is a way to every later one, and none back');
SELECT isnt_empty($$SELECT FROM pg_available_extension_versions WHERE name = 'c360' AND version = '0.1.0'$$, 'the first release is installed');
SELECT * FROM finish();
ROLLBACK;
