// Prints each change of a wallet once, and goes on where it stopped.
//
//     npm install pg
//     PGHOST=… PGDATABASE=shop PGUSER=… node listen.js [file]
//
// A role with the level agent, connected straight to the server: LISTEN needs
// a session of its own. If c360 is in the schema api: PGOPTIONS='-c search_path=api'.
'use strict';
const fs = require('node:fs');
const { Client } = require('pg');

const file = process.argv[2] ?? 'listen.json';      // the cursor, and the ids handled last
const state = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { cursor: null, ids: [] };
const handled = new Set(state.ids);

// An effect that must happen once belongs into one transaction with the id.
function handle({ id, event, payload }) {
    console.log(id, event, payload.phone, payload.balance ?? '');
}

function save(cursor) {
    while (handled.size > 10000)
        handled.delete(handled.values().next().value);
    state.cursor = cursor;
    fs.writeFileSync(`${file}.new`, JSON.stringify({ cursor, ids: [...handled] }));
    fs.renameSync(`${file}.new`, file);
}

// What this program shows or keeps is read anew, between taking the cursor and
// going on from it; here there is nothing.
async function startAnew(db, reason) {
    const { rows } = await db.query('SELECT cursor FROM c360_events_since()');
    console.log('start', reason);
    save(rows[0].cursor);
}

// Events come at least once; a repeated one has the same id. A row without an
// id is only a cursor.
async function readAll(db) {
    for (;;) {
        const { rows } = await db.query('SELECT * FROM c360_events_since($1, $2, 500)', [state.cursor, ['wallets']]);
        if (rows.length === 0)
            return;
        for (const row of rows.filter(({ id }) => id !== null && !handled.has(id))) {
            handle(row);
            handled.add(row.id);
        }
        save(rows.at(-1).cursor);
    }
}

// A notification says that there is something to read, no more. It can get
// lost: look now and then without one, which finds a dead connection, too.
async function follow() {
    const db = new Client({ application_name: 'listen.js', connectionTimeoutMillis: 10000, query_timeout: 60000 });
    let wake = () => {};

    db.on('notification', () => wake());
    db.on('error', () => wake());                   // the next query tells
    try {
        await db.connect();
        await db.query('LISTEN wallets');           // first listen, then read
        if (state.cursor === null)
            await startAnew(db, 'for the first time');
        for (;;) {
            const called = new Promise((resolve) => { wake = resolve; });
            const timer = setTimeout(wake, 30000);

            await readAll(db);
            await called;
            clearTimeout(timer);
        }
    } catch (error) {
        if (error.code === 'PT410')                 // the cursor holds no longer
            await startAnew(db, error.detail);
        else
            throw error;
    } finally {
        db.end().catch(() => {});
    }
}

(async () => {
    for (;;) {
        await follow().catch((error) => console.error(error.message));
        await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
})();
