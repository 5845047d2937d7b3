#!/usr/bin/env bash
# Writes doc/reference.md from the installed extension, in a throw-away
# cluster; called by "make reference".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8
major=${PG_MAJOR:-$("${PG_CONFIG:-pg_config}" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')}
pg_virtualenv -t -v "$major" sh -euc '
    createdb c360_reference
    psql -XAtq -v ON_ERROR_STOP=1 -d c360_reference -c "CREATE EXTENSION c360" -c "SELECT c360_install()" >/dev/null
    psql -XAtq -v ON_ERROR_STOP=1 -d c360_reference -f doc/reference/generate.sql \
        -c "SELECT rtrim(pg_temp.reference(), E'"'\\\\n'"')" >doc/reference.md.tmp'
mv doc/reference.md.tmp doc/reference.md
