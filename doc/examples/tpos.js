// Fetches the point-of-sale records of customers who have none yet.
//
//     npm install pg
//     PGHOST=… PGDATABASE=shop PGUSER=… TPOS_URL=https://… TPOS_TOKEN=… node tpos.js
//
// A role with the level agent. c360 cannot call the point-of-sale system
// itself: the event customer.created says needs_tpos, and the view
// customers_without_tpos lists who waits; run this by a timer or on the event.
// If c360 is in the schema api: PGOPTIONS='-c search_path=api'.
'use strict';
const { Client } = require('pg');

// The record of a phone, or null; adapt it to the system at hand.
async function fetchRecord(phone) {
    const response = await fetch(`${process.env.TPOS_URL}?phone=${encodeURIComponent(phone)}`, {
        headers: { authorization: `Bearer ${process.env.TPOS_TOKEN}` },
        signal: AbortSignal.timeout(10000),
    });
    if (!response.ok)
        throw new Error(`point of sale answered ${response.status}`);
    const answer = await response.json();
    return answer.value?.[0] ?? null;
}

async function main() {
    const client = new Client();
    let after = 0;

    await client.connect();
    for (;;) {
        const { rows } = await client.query(
            'SELECT id, phone FROM customers_without_tpos WHERE id > $1 ORDER BY id LIMIT 100', [after]);
        if (rows.length === 0)
            break;
        for (const { id, phone } of rows) {
            after = id;
            try {
                // {} says that there is no record, so that nobody asks for it again
                const record = await fetchRecord(phone) ?? {};
                await client.query('SELECT c360_upsert_tpos_customer($1, $2)', [phone, record]);
            } catch (error) {
                console.error(phone, error.message);    // he waits for the next run
            }
        }
    }
    await client.end();
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
