// SePay's webhook over HTTP: its own body and headers, posted to a real
// PostgREST as they come; the right key, a wrong one, none.
//
// Runs with PGHOST and the rest set for the superuser of a throw-away cluster
// that has preloaded c360 with c360.databases = shop.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PostgREST, db, openShop, sql, until, value } from './tools.mjs';

const KEY = 'a key that SePay was given';
const api = new PostgREST();

before(async () => {
    await openShop();
    await sql("SELECT c360_grant('anon', 'bank_feed')");
    await sql("SELECT c360_set('sepay_api_key_hash', encode(sha256(convert_to($1, 'UTF8')), 'hex'))", [KEY]);
    await api.start();
}, { timeout: 60000 });

after(async () => {
    await api.program?.end();
    await db?.end();
});

// As SePay documents it.
function transfer(id, changes = {}) {
    return { id, gateway: 'Vietcombank', transactionDate: '2026-01-07 14:02:37', accountNumber: '0123499999', code: null,
        content: '0912345678 chuyen tien mua iphone', transferType: 'in', transferAmount: 2277000, accumulated: 19077000,
        subAccount: null, referenceCode: 'MBVCB.3278907687', description: 'BankAPINotify 0912345678 chuyen tien mua iphone', ...changes };
}

async function post(body, authorization = `Apikey ${KEY}`) {
    const answer = await fetch(`${api.url}/rpc/c360_sepay_webhook`, { method: 'POST', body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json', ...(authorization && { Authorization: authorization }) } });

    return { status: answer.status, json: JSON.parse(await answer.text()) };
}

const balance = () => value("SELECT coalesce(sum(balance), 0)::bigint FROM c360_wallets(ARRAY['0912345678'])");
const stored = () => value('SELECT count(*) FROM c360.balance_history');

test('without the key nothing comes in', async () => {
    for (const authorization of [undefined, 'Apikey wrong', `Apikey ${KEY} `.repeat(2), 'Apikey', `Basic ${btoa(KEY)}`]) {
        const { status, json } = await post(transfer(1), authorization ?? '');

        assert.equal(status, 401, authorization);
        assert.equal(json.code, 'PT401', authorization);
    }
    assert.equal(await stored(), 0);
});

test('a transfer with the key is deposited, once', async () => {
    const first = await post(transfer(92704));

    assert.equal(first.status, 200);
    assert.deepEqual({ ...first.json, bank_transaction_id: 0 }, { success: true, result: 'deposited', bank_transaction_id: 0 });
    assert.equal(await balance(), 2277000);
    const second = await post(transfer(92704));

    assert.equal(second.status, 200);
    assert.deepEqual(second.json, { ...first.json, result: 'duplicate' });
    assert.equal(await balance(), 2277000);
});

test('the same transfer ten times at once is one deposit', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => post(transfer(92705, { transferAmount: 1000 }))));

    assert.deepEqual(answers.map(({ status }) => status), Array(10).fill(200));
    assert.equal(answers.filter(({ json }) => json.result === 'deposited').length, 1);
    assert.equal(await balance(), 2278000);
});

test('what is no transfer is refused, and told in the audit', async () => {
    const { status, json } = await post(transfer(92706, { transferAmount: '1000' }));

    assert.equal(status, 400);
    assert.equal(json.code, '22023');
    assert.equal(json.details, 'invalid_payload: transferAmount is no number');
    assert.equal(await value('SELECT count(*) FROM c360.balance_history WHERE sepay_id = 92706'), 0);
    await until('the audit has it', () => value("SELECT count(*) > 0 FROM c360.audit_logs WHERE function = 'c360_sepay_webhook' AND sqlstate = '22023'"));
});

test('an outgoing transfer is stored', async () => {
    const { status, json } = await post(transfer(92707, { transferType: 'out' }));

    assert.equal(status, 200);
    assert.equal(json.result, 'stored');
});

test('the role of the webhook may call nothing else of the bank', async () => {
    const answer = await fetch(`${api.url}/rpc/c360_ingest_bank_transaction`, { method: 'POST',
        headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ payload: transfer(92708) }) });

    assert.equal(answer.status, 401);
    assert.equal(await value('SELECT count(*) FROM c360.balance_history WHERE sepay_id = 92708'), 0);
});
