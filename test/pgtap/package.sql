-- What the packages say of themselves agrees: META.json as PGXN's
-- specification 1.0.0 wants it, debian/, c360.control.
BEGIN;
\ir tools.psql
\set meta `cat META.json`
\set control `cat debian/control`
\set template `cat debian/control.in`
\set changelog `head -n 1 debian/changelog`
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
SELECT is_empty($$SELECT t FROM meta, jsonb_array_elements_text(m -> 'tags') AS t WHERE length(t) NOT BETWEEN 1 AND 255 OR t ~ '[/\\[:cntrl:]]'$$, 'tags');

SELECT is(:'control', replace(:'template', 'PGVERSION', '15'), 'debian/control is made of debian/control.in');
SELECT ok(:'changelog' LIKE 'postgresql-c360 (' || c360_version() || '-%', 'debian/changelog has this version on top');
SELECT * FROM finish();
ROLLBACK;
