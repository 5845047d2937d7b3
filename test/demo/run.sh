#!/usr/bin/env bash
# The main story of c360 in a throw-away cluster; called by "make demo" after
# it has built and installed the extension. Fails if any step gave something
# else than the story says. Nothing is left behind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [ -z "${C360_DEMO_CLUSTER:-}" ]; then
    major=${PG_MAJOR:-$("${PG_CONFIG:-pg_config}" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')}
    bold='' plain=''
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
        bold=$'\033[1m' plain=$'\033[0m'
    fi
    unset PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGDATA
    echo "Starting a throw-away PostgreSQL $major ..."
    # USER as the server sees us: its superuser is named so (postgres, as root)
    USER=$(id -un) LC_ALL=C.UTF-8 LANG=C.UTF-8 \
        C360_DEMO_CLUSTER=1 C360_BOLD=$bold C360_PLAIN=$plain \
        pg_virtualenv -t -v "$major" -o shared_preload_libraries=c360 -o c360.databases=postgres "$PWD/run.sh"
    echo "The throw-away cluster is gone. ${bold}For a cluster of your own:${plain}

    apt-get install postgresql-$major postgresql-server-dev-$major gcc make
    make && sudo make install
    createdb shop
    psql shop -c 'CREATE EXTENSION c360' -c 'SELECT c360_install()'

README.md goes on from there; \"make check\" runs every test."
    exit
fi

# Standard input rather than a file, so that errors appear as a user sees them.
PGCLIENTENCODING=UTF8 psql -X -q -v ON_ERROR_STOP=1 -P pager=off \
    -v bold="$C360_BOLD" -v plain="$C360_PLAIN" <story.sql 2>&1
