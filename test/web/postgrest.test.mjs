// Every endpoint over HTTP, from a real PostgREST, for every level; errors
// change nothing. endpoints.mjs has the calls.
//
// Runs with PGHOST and the rest set for the superuser of a throw-away cluster
// that has preloaded c360 with c360.databases = shop.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { customer, functions, newPhone, pure, ticket } from './endpoints.mjs';
import { PostgREST, Program, db, openShop, root, secret, sql, until, value } from './tools.mjs';

const ROLES = { visitor: [], anon: ['stream', 'bank_feed'], viewer: ['stream', 'viewer'], agent: ['stream', 'viewer', 'agent'],
    cashier: ['stream', 'bank_feed', 'viewer', 'agent', 'accountant'],
    manager: ['stream', 'bank_feed', 'viewer', 'agent', 'accountant', 'admin'] };
const api = new PostgREST();
let routines;       // name, level, volatility and arguments of what can be called
let views;

before(async () => {
    await openShop();
    await sql(`
        SELECT c360_set('jobs_by', 'none');
        -- all rows of all tables but those that workers write
        CREATE SCHEMA test;
        CREATE FUNCTION test.digest() RETURNS jsonb LANGUAGE plpgsql AS $$
        DECLARE
            name text;
            one text;
            result jsonb := '{}';
        BEGIN
            FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'c360'::regnamespace AND relkind = 'r'
                AND relname NOT IN ('event_ticks', 'audit_logs', 'job_runs')
            LOOP
                EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM c360.%I t', name)
                    INTO one;
                result := result || jsonb_build_object(name, one);
            END LOOP;
            RETURN result;
        END $$;
        -- what the shop might add: a trigger that loses every race, a function that changes the ledger
        CREATE FUNCTION test.lose() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF coalesce(new.content, '') ~ '^4[0-9A-Z]{4}$' THEN
                RAISE EXCEPTION USING ERRCODE = new.content, MESSAGE = 'lost';
            END IF;
            RETURN new;
        END $$;
        CREATE TRIGGER lose BEFORE INSERT ON c360.customer_notes FOR EACH ROW EXECUTE FUNCTION test.lose();
        GRANT USAGE ON SCHEMA test TO c360_owner;
        CREATE FUNCTION shop_spoil() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE c360.wallet_transactions SET amount = 1'`);
    routines = (await sql(`
        SELECT p.proname AS name, l.level, p.provolatile AS volatility, obj_description(p.oid, 'pg_proc') AS comment,
               p.proargnames[1:p.pronargs] AS arguments, p.proargtypes::regtype[]::text[] AS types
        FROM c360_level_functions() l JOIN pg_proc p ON p.proname = l.function
        WHERE p.prokind = 'f' AND l.level NOT IN ('owner', 'internal') ORDER BY 1`));
    views = await sql(`SELECT l.view AS name, l.level, obj_description(c.oid, 'pg_class') AS comment,
            (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1) AS column
        FROM c360_level_views() l JOIN pg_class c ON c.relname = l.view AND c.relnamespace = 'api'::regnamespace ORDER BY 1`);
    await api.start();
}, { timeout: 60000 });

after(async () => {
    await api.program?.end('SIGKILL');       // it might try a request again for ever
    await db?.end();
});

const digest = () => value('SELECT test.digest()');
// of who could do better with a token
const refusal = (role) => role === undefined || role === 'anon' ? 401 : 403;
const may = (role, level) => ROLES[role].includes(level);
const offered = () => routines.filter(({ name, level, comment }) => level !== 'public' && !comment.startsWith('Internal'));

function rpc(name, role, body, headers) {
    return api.request('POST', `rpc/${name}`, { role, body, headers });
}

let among = false;      // others that change nothing

async function unchanged(what, run) {
    const was = await digest();

    among = true;
    try {
        await run();
    } finally {
        among = false;
    }
    assert.deepEqual(await digest(), was, `${what}: nothing has changed`);
}

// The request fails as it should, and changes nothing.
async function fails(what, request, ...expected) {
    if (!among)
        return unchanged(what, () => fails(what, request, ...expected));
    const [status, code, word] = expected;
    const answer = await request();

    assert.ok([status].flat().includes(answer.status), `${what}: ${answer.status} ${answer.text}`);
    assert.deepEqual(Object.keys(answer.json).sort(), ['code', 'details', 'hint', 'message'], what);
    if (code !== undefined)
        assert.equal(answer.json.code, code, `${what}: ${answer.text}`);
    if (word !== undefined)
        assert.match(answer.json.details, new RegExp(`^${word}: `), `${what}: ${answer.text}`);
    if (code?.startsWith('PT'))
        assert.match(answer.json.message, /^[ -~]+$/, `${what}: it stands in the status line`);
}

function typeOf(json) {
    return Array.isArray(json) ? 'array' : typeof json;
}

// with tests of their own
const SPECIAL = ['c360_events', 'c360_sepay_webhook'];

test('every function that can be called stands in endpoints.mjs', () => {
    assert.deepEqual(offered().map(({ name }) => name)
        .filter((name) => !(name in functions) && !SPECIAL.includes(name)), []);
});

/*
 * Functions
 */

const tested = () => offered().filter(({ name }) => name in functions);

const methods = (volatility) => volatility === 'v' ? ['POST'] : ['POST', 'GET'];

function call(method, role, name, body) {
    return method === 'GET' ? api.request('GET', `rpc/${name}`, { role, query: body }) : rpc(name, role, body);
}

async function succeeds(what, request, { answer: type, status = type === null ? 204 : 200, code }) {
    const answer = await request();

    assert.equal(answer.status, status, `${what}: ${answer.text}`);
    if (code !== undefined)
        assert.equal(answer.json.code, code, answer.text);
    else if (type === null)
        assert.equal(answer.text, '');
    else
        assert.equal(typeOf(answer.json), type, answer.text);
}

test('functions as each role', { timeout: 60000 }, async (t) => {
    for (const { name, level, volatility } of tested())
        await t.test(name, async () => {
            const roles = [undefined, ...Object.keys(ROLES)];
            const good = await functions[name].args();

            await unchanged('without the level', async () => {
                for (const role of roles.filter((one) => !may(one ?? 'anon', level)))
                    for (const method of methods(volatility))
                        await fails(`${method} as ${role}`, () => call(method, role, name, good), refusal(role), '42501');
            });
            for (const role of roles.filter((one) => may(one ?? 'anon', level)))
                for (const method of methods(volatility)) {
                    const body = await functions[name].args();

                    await succeeds(`${method} as ${role}`, () => call(method, role, name, body), functions[name]);
                }
        });
});

test('functions with arguments that are wrong', { timeout: 60000 }, async (t) => {
    for (const { name, volatility, types } of tested())
        await t.test(name, async () => {
            const { args, bad = [], conflict } = functions[name];
            const good = await args();
            const changes = [...bad];

            if (conflict !== undefined) {
                const [change, word] = await conflict();

                changes.push([change, 409, 'PT409', word]);
            }
            if (`${types}` !== 'jsonb')         // of such, PostgREST 12 passes over the others
                changes.push([{ surely_none: 1 }, 404, 'PGRST202']);
            await unchanged('wrong arguments', async () => {
                for (const [change, ...expected] of changes)
                    await fails(json(change).slice(0, 100), () => rpc(name, 'manager', { ...good, ...change }), ...expected);
                if (volatility === 'v' && !types.includes('jsonb'))         // which would be a JSON string
                    await fails('GET', () => call('GET', 'manager', name, good), 405, '25006');
            });
        });
});

// What may come in the place of an argument of a type.
const LONG = 'đ'.repeat(5000);
const EVIL = 'x\r\nX-Evil: yes\r\n\r\n<h1>evil</h1>';
const STRANGE = {
    text: [null, '', ' ', LONG, EVIL, 'no such thing', "'; DROP TABLE c360.customers; --", {}, [1], 7, '\u0001', '😀'],
    bigint: [null, 0, -1, 1.5, 1e30, 9223372036854775807n, 'x', EVIL, [], {}],
    jsonb: [null, 'x', 7, [], [1], [null], {}, { 'no key': 1 }, { [EVIL]: EVIL }, { Id: EVIL, id: EVIL, subject: EVIL, content: EVIL }],
    boolean: [null, 'x', 7, EVIL],
    'timestamp with time zone': [null, 'x', EVIL, 'infinity', '294276-12-31', '4713-01-01 BC', 7],
    date: [null, 'x', EVIL, 'infinity', '-infinity', '5874897-12-31', '4713-01-01 BC'],
    interval: [null, 'x', EVIL, '-1 day', '178000000 years'],
    'text[]': [null, [], [null], [''], [EVIL], [LONG], 'x', '{', [['x'], ['y']], {}],
};
STRANGE.integer = STRANGE.bigint;
STRANGE['bigint[]'] = [null, [], [null], [-1], ['x'], [1e30], EVIL, [[1], [2]]];

const json = (body) => JSON.stringify(body, (name, item) => typeof item === 'bigint' ? `${item}` : item);

test('functions with arguments that are strange', { timeout: 60000 }, async (t) => {
    for (const { name, arguments: names, types } of tested().filter((routine) => routine.arguments !== null))
        await t.test(name, async () => {
            const good = await functions[name].args();
            const refused = [];

            for (const [i, argument] of names.entries())
                for (const strange of STRANGE[types[i]] ?? assert.fail(`${types[i]} is a new type`)) {
                    const what = `${argument}: ${json(strange)}`.slice(0, 100);
                    const body = json({ ...good, [argument]: strange });
                    const { status, reason, headers, text } = await rpc(name, 'manager', body);

                    assert.equal(headers.get('x-evil'), null, what);
                    assert.doesNotMatch(reason, /evil/i, what);
                    assert.ok(status < 500 || functions[name].status === status, `${what}: ${status} ${text}`);
                    if (status >= 400)
                        refused.push([what, body]);
                }
            await unchanged('all that is refused', async () => {
                for (const [what, body] of refused)
                    assert.ok((await rpc(name, 'manager', body)).status >= 400, `${what} is refused again`);
            });
        });
});

test('functions for everybody', async () => {
    for (const [name, [body, result]] of Object.entries(pure))
        for (const role of ['anon', 'manager']) {
            const answer = await rpc(name, role, body);

            assert.equal(answer.status, 200, answer.text);
            if (result !== undefined)
                assert.deepEqual(answer.json, result);
        }
    await fails('without the schema', () => rpc('c360_version', 'visitor', {}), 403, '42501');
});

/*
 * Views
 */

test('views as each role', async (t) => {
    for (const { name, level, column } of views)
        await t.test(name, async () => {
            for (const role of Object.keys(ROLES))
                if (may(role, level)) {
                    const { status, json: rows, text } = await api.request('GET', name, { role, query: { limit: 3 } });

                    assert.equal(status, 200, text);
                    assert.equal(typeOf(rows), 'array');
                } else
                    await fails(`as ${role}`, () => api.request('GET', name, { role }), refusal(role), '42501');
            await fails('without a token', () => api.request('GET', name), 401, '42501');
            for (const method of ['POST', 'PATCH', 'DELETE'])
                await fails(method, () => api.request(method, name,
                    { role: 'manager', body: method === 'DELETE' ? undefined : { [column]: null } }), [400, 403, 500]);
        });
    await fails('a table', () => api.request('GET', 'wallet_transactions', { role: 'manager' }), 404, '42P01');
    await fails('a table in its schema', () => api.request('GET', 'wallet_transactions',
        { role: 'manager', headers: { 'Accept-Profile': 'c360' } }), 406, 'PGRST106');
});

test('viewers see no money', async () => {
    const phone = await customer(123456789);
    const as = async (role) => ({
        customer: (await rpc('c360_customer', role, { phone })).text,
        list: (await api.request('GET', 'customer_360_summary', { role, query: { phone: `eq.${phone}` } })).text,
        activities: (await rpc('c360_activities', role, { phone })).text });

    for (const [what, text] of Object.entries(await as('viewer')))
        assert.doesNotMatch(text, /123456789|wallet\.deposit/, what);
    for (const [what, text] of Object.entries(await as('agent')))
        assert.match(text, /123456789|wallet\.deposit/, what);
    assert.equal((await api.request('GET', 'wallet_statistics', { role: 'viewer' })).json[0].total_real_balance, null);
});

test('pages of views: limit and offset, Range, keyset, count', async () => {
    const get = (query, headers) => api.request('GET', 'c360_customer_list', { role: 'viewer', query, headers });
    const all = (await get({ select: 'id,phone', order: 'id' })).json;
    const total = all.length;

    assert.ok(total > 20);
    const page = await get({ select: 'id,phone', order: 'id', limit: 5, offset: 10 }, { Prefer: 'count=exact' });

    assert.equal(page.status, 206);
    assert.equal(page.headers.get('content-range'), `10-14/${total}`);
    assert.deepEqual(page.json, all.slice(10, 15));
    const range = await get({ select: 'id,phone', order: 'id' }, { 'Range-Unit': 'items', Range: '10-14' });

    assert.equal(range.headers.get('content-range'), '10-14/*');
    assert.deepEqual(range.json, all.slice(10, 15));
    assert.deepEqual((await get({ select: 'id,phone', order: 'id', id: `gt.${all[9].id}`, limit: 5 })).json, all.slice(10, 15));
    await fails('beyond the end', () => get({ order: 'id', limit: 5, offset: total + 1 }, { Prefer: 'count=exact' }), 416, 'PGRST103');
    for (const estimate of ['planned', 'estimated'])
        assert.match((await get({ limit: 1 }, { Prefer: `count=${estimate}` })).headers.get('content-range'), /^0-0\/\d+$/);
});

test('pages of functions', async () => {
    const phone = await customer(1);

    for (let amount = 2; amount <= 7; amount++)
        await rpc('c360_deposit', 'cashier', { phone, amount });
    const get = (query, headers) => api.request('GET', 'rpc/c360_wallet_transactions', { role: 'agent', query: { phone, ...query }, headers });
    const ids = async (...args) => (await get(...args)).json.map(({ transaction_id }) => transaction_id);
    const all = await ids();

    assert.equal(all.length, 7);
    assert.deepEqual(await ids({ max_rows: 3, before_id: all[1] }), all.slice(2, 5), 'by their own arguments');
    assert.deepEqual(await ids({ limit: 3, offset: 2 }), all.slice(2, 5), "by PostgREST's");
    const { status, headers } = await get({ limit: 2 }, { Prefer: 'count=exact' });

    assert.deepEqual([status, headers.get('content-range')], [206, '0-1/7']);
    assert.deepEqual((await get({ type: 'DEPOSIT', select: 'amount', order: 'amount', limit: 2 })).json, [{ amount: 1 }, { amount: 2 }]);
    await fails('too many', () => get({ max_rows: 100000 }), 400, '22023', 'out_of_range');
});

test('CSV', async () => {
    const phone = newPhone();

    await rpc('c360_upsert_customer', 'agent', { phone, name: 'Trần "Bê", 2', address: 'số 1\nHà Nội' });
    const headers = { Accept: 'text/csv' };
    const list = await api.request('GET', 'c360_customer_list',
        { role: 'viewer', query: { phone: `eq.${phone}`, select: 'phone,name,address' }, headers });

    assert.match(list.headers.get('content-type'), /^text\/csv\b/);
    assert.equal(list.text, `phone,name,address\n${phone},"Trần ""Bê"", 2","số 1\nHà Nội"`);
    await rpc('c360_deposit', 'cashier', { phone, amount: 1234567890 / 2 });
    assert.equal((await api.request('GET', 'rpc/c360_wallet_transactions',
        { role: 'agent', query: { phone, select: 'amount' }, headers })).text, 'amount\n617283945');
});

/*
 * Errors: one of each class
 */

test('an error of each class has its status', async () => {
    const phone = await customer(1000);
    const call = (name, body, role = 'manager', headers) => () => rpc(name, role, body, headers);
    const ordered = await customer();
    const frozen = await customer();
    const bad = await customer();

    await sql('SELECT c360_freeze_wallet($1, $2)', [frozen, 'looked into']);
    await sql("SELECT c360_issue_credit($1, 5000), c360_set_tier($1, 'blacklist')", [bad]);
    for (const [what, request, ...expected] of [
        ['malformed', call('c360_deposit', { phone: 'x', amount: 1 }), 400, '22023', 'invalid_phone'],
        ['missing', call('c360_deposit', { phone: null, amount: 1 }), 400, '22004', 'missing_argument'],
        ['too long', call('c360_add_note', { phone, content: LONG }), 400, '22001', 'too_long'],
        ['overflow', call('c360_deposit', { phone, amount: '9223372036854775808' }), 400, '22003'],
        ['amount limit', call('c360_deposit', { phone, amount: 2000000000 }), 400, '22023', 'amount_limit'],
        ['no number', call('c360_deposit', { phone, amount: 'many' }), 400, '22P02'],
        ['no JSON', call('c360_deposit', '{"phone"'), 400, 'PGRST102'],
        ['wrong pass', () => api.request('GET', 'rpc/c360_events', { role: undefined, query: { pass: 'x' },
            headers: { Accept: 'text/event-stream' } }), 401, 'PT401', 'invalid_pass'],
        ['wrong token', () => api.request('GET', 'rpc/c360_dashboard', { headers: { Authorization: 'Bearer x.y.z' } }), 401],
        ['not enough', call('c360_withdraw', { phone, amount: 1001 }), 402, 'PT402', 'insufficient_funds'],
        ['frozen', call('c360_withdraw', { phone: frozen, amount: 1 }), 403, 'PT403', 'wallet_frozen'],
        ['blacklisted', call('c360_record_order', { phone: bad, order_code: 'B-1', amount: 1 }), 403, 'PT403', 'blacklisted'],
        ['credit blocked', call('c360_withdraw', { phone: bad, amount: 104000 }), 403, 'PT403', 'credit_blocked'],
        ['unknown', call('c360_wallet', { phone: '0999999999' }), 404, 'PT404', 'customer_not_found'],
        ['unknown function', call('c360_no_such', {}), 404, 'PGRST202'],
        ['a function that is internal', call('c360_become_owner', {}), 403, '42501'],
        ['a level too low', call('c360_deposit', { phone, amount: 1 }, 'agent'), 403, '42501'],
        ['no token', () => rpc('c360_deposit', undefined, { phone, amount: 1 }), 401, '42501'],
        ['the ledger guard', call('shop_spoil', {}), 400, '0A000', 'append_only']])
        await fails(what, request, ...expected);

    // sums past bigint
    await rpc('c360_set', 'manager', { name: 'max_amount', value: '0' });
    assert.equal((await rpc('c360_deposit', 'manager', { phone: ordered, amount: '9000000000000000000' })).status, 200);
    await fails('sums', call('c360_deposit', { phone: ordered, amount: '9000000000000000000' }), 400, '22003', 'overflow');
    await rpc('c360_adjust', 'manager', { phone: ordered, amount: '-9000000000000000000', reason: 'only for a test' });
    await rpc('c360_set', 'manager', { name: 'max_amount', value: null });

    // compensation needs an accountant, whoever may resolve
    const code = await ticket('HOAN', 5000);

    await fails('compensation by an agent', call('c360_resolve_ticket', { ticket_code: code }, 'agent'), 403, '42501', 'level_needed');
    assert.equal((await rpc('c360_resolve_ticket', 'cashier', { ticket_code: code })).json.movement.amount, 5000);
    await fails('twice', call('c360_resolve_ticket', { ticket_code: code }), 409, 'PT409', 'compensated');

    // cursors of before
    const { json: [{ cursor }] } = await api.request('GET', 'rpc/c360_events_since', { role: 'viewer' });

    await sql('UPDATE c360.event_epochs SET epoch = epoch + 1');
    await fails('an expired cursor', () => api.request('GET', 'rpc/c360_events_since', { role: 'viewer', query: { after: cursor } }),
        410, 'PT410', 'cursor_expired');

    // tables that are not there
    await sql('ALTER SCHEMA c360 RENAME TO away');
    try {
        for (const [name, body] of [['c360_deposit', { phone, amount: 1 }], ['c360_add_note', { phone, content: 'x' }]]) {
            const answer = await rpc(name, 'manager', body);

            assert.deepEqual([answer.status, answer.json.code], [500, '55000'], answer.text);
            assert.match(answer.json.hint, /SELECT c360_install\(\);/);
        }
    } finally {
        await sql('ALTER SCHEMA away RENAME TO c360');
    }
});

test('a lost race is a conflict, never 40001', { timeout: 30000 }, async () => {
    const phone = await customer();

    for (const state of ['40001', '40P01'])
        await fails(state, () => rpc('c360_add_note', 'agent', { phone, content: state }), 409, 'PT409', 'retry');
    await fails('others are passed on', () => rpc('c360_add_note', 'agent', { phone, content: '42P17' }), 400, '42P17');

    // a race of its own, under REPEATABLE READ
    const code = await ticket();
    const waiting = () => value(`SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event_type = 'Lock'`);

    await sql(`ALTER ROLE agent SET default_transaction_isolation = 'repeatable read'; NOTIFY pgrst, 'reload config'`);
    await sql(`CREATE FUNCTION shop_isolation() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('transaction_isolation') $$;
        NOTIFY pgrst, 'reload schema'`);
    await until('agents have their isolation level',
        async () => (await rpc('shop_isolation', 'agent', {})).json === 'repeatable read');
    for (const [name, body, mine] of [
        ['c360_update_ticket', { ticket_code: code, changes: { priority: 'high' } }, `c360_update_ticket('${code}', '{"priority": "low"}')`],
        ['c360_upsert_customer', { phone, name: 'Slow' }, `c360_upsert_customer('${phone}', name => 'Quick')`]]) {
        await sql(`BEGIN; SELECT ${mine}`);
        const answer = rpc(name, 'agent', body);

        try {
            await until('it waits', waiting);
        } finally {
            await sql('COMMIT');
        }
        const { status, json: error, text } = await answer;

        assert.deepEqual([status, error.code, error.message], [409, 'PT409', 'concurrent change, try again'], text);
        assert.match(error.details, /^retry: /);
    }
    assert.equal(await value('SELECT name FROM c360.customers WHERE phone = $1', [phone]), 'Quick');
    await sql(`ALTER ROLE agent RESET ALL; NOTIFY pgrst, 'reload config'`);
    await until('and have it no longer', async () => (await rpc('shop_isolation', 'agent', {})).json === 'read committed');
});

/*
 * Who, and once
 */

test('the actor comes from the token', async () => {
    const phone = newPhone();

    await rpc('c360_deposit', 'cashier', { phone, amount: 1 });
    assert.deepEqual(await sql('SELECT actor, session_user_name FROM c360_wallet_transaction_list WHERE phone = $1', [phone]),
        [{ actor: 'cashier@shop.example', session_user_name: 'authenticator' }]);
    await rpc('c360_add_note', 'agent', { phone, content: 'by me' });
    assert.equal(await value('SELECT created_by FROM c360_note_list WHERE phone = $1', [phone]), 'agent@shop.example');
});

test('Idempotency-Key', async () => {
    const phone = newPhone();
    const key = (name) => ({ 'Idempotency-Key': name });
    const first = await rpc('c360_deposit', 'cashier', { phone, amount: 700 }, key('once'));
    const again = await rpc('c360_deposit', 'cashier', { phone: `+84${phone.slice(1)}`, amount: 700, note: 'again' }, key('once'));

    assert.deepEqual(first.json, { ...again.json, replayed: false });
    assert.equal(again.json.replayed, true);
    await fails('another call', () => rpc('c360_deposit', 'cashier', { phone, amount: 701 }, key('once')), 409, 'PT409', 'key_reused');
    await fails('another function', () => rpc('c360_withdraw', 'cashier', { phone, amount: 700 }, key('once')), 409, 'PT409', 'key_reused');
    await fails('a failed call', () => rpc('c360_withdraw', 'cashier', { phone, amount: 701 }, key('twice')), 402, 'PT402');
    assert.equal((await rpc('c360_withdraw', 'cashier', { phone, amount: 700 }, key('twice'))).json.replayed, false, 'leaves its key free');
    assert.equal((await rpc('c360_deposit', 'cashier', { phone, amount: 1, idempotency_key: 'mine' }, key('once'))).json.replayed, false,
        'the argument comes before the header');
});

/*
 * OpenAPI and the schema cache
 */

test('the root document lists what a role may use, with its comments', async () => {
    for (const role of Object.keys(ROLES).filter((name) => name !== 'visitor')) {
        const { json: { paths, definitions } } = await api.request('GET', '', { role });
        const ours = routines.filter(({ level }) => level === 'public' || may(role, level));

        for (const { name, comment } of ours.filter((routine) => routine.name !== 'c360_sepay_webhook'))
            assert.equal(paths[`/rpc/${name}`]?.post.summary, comment.split('\n')[0], `${name} for ${role}`);
        for (const { name, comment } of views.filter(({ level }) => may(role, level))) {
            assert.equal(paths[`/${name}`]?.get.summary ?? paths[`/${name}`]?.get.description, comment.split('\n')[0], `${name} for ${role}`);
            for (const [column, { description }] of Object.entries(definitions[name].properties))
                assert.ok(description?.length > 0, `${name}.${column} has a comment`);
        }
        const listed = Object.keys(paths).filter((path) => /^\/(rpc\/c360_|c360_|customer|wallet|ticket|daily|balance|rfm)/.test(path));

        assert.deepEqual(listed.filter((path) => !ours.some(({ name }) => path === `/rpc/${name}`) &&
            !views.some(({ name, level }) => path === `/${name}` && may(role, level))), [], `and nothing else for ${role}`);
    }
});

test('c360_install(), c360_grant() and c360_revoke() make PostgREST read the schema again', async () => {
    const known = async (name) => (await rpc(name, 'manager', {})).status === 200;

    for (const [n, command] of ['c360_install()', "c360_grant('visitor', 'viewer')", "c360_revoke('visitor')"].entries()) {
        await sql(`CREATE FUNCTION shop_new_${n}() RETURNS integer LANGUAGE sql AS 'SELECT ${n}'`);
        assert.equal((await rpc(`shop_new_${n}`, 'manager', {})).status, 404, 'it is not known yet');
        await sql(`SET ROLE ${n === 0 ? 'c360_owner' : 'NONE'}; SELECT ${command}; RESET ROLE`);
        await until(`it is known after ${command}`, () => known(`shop_new_${n}`));
    }
});

/*
 * The manual
 */

// of functions that other parts of c360 bring
const LATER = new RegExp('^(c360_(link|unlink|resolve_match|skip|undo_skip|process_bank|rematch|reconcile|retire_qr|qr_code_list|ignore|unignore'
    + '|sepay|ingest_bank_transactions|bank_match|bank_problem|calculate_rfm|update_rfm|refresh_rfm|analyze_rfm|rfm|scan_fraud|review|snooze|fraud)|rfm_)');

test('what the manual says besides', async () => {
    const phone = newPhone();
    const form = await api.request('POST', 'rpc/c360_deposit', { role: 'cashier', body: `phone=${phone}&amount=10`,
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });

    assert.equal(form.json?.balance, 10, form.text);
    assert.equal((await rpc('c360_deposit', 'cashier', [{ phone, amount: 1 }, { phone, amount: 2 }])).json.balance, 11,
        'an array is not many calls');
    assert.equal((await rpc('c360_deposit', 'cashier', { phone, amount: 1, note: null, source: undefined })).json.balance, 12);
    assert.deepEqual((await api.request('GET', 'rpc/c360_wallets', { role: 'agent', query: { phones: [phone, newPhone()] } })).json
        .map(({ balance }) => balance), [12]);
    await fails('filters take no other spelling than the canonical one, but fail only in functions',
        () => rpc('c360_wallet', 'agent', { phone: 'x' }), 400, '22023', 'invalid_phone');
    assert.deepEqual((await api.request('GET', 'c360_customer_list', { role: 'viewer', query: { phone: `eq.+84${phone.slice(1)}` } })).json, []);

    await sql(`COMMENT ON SCHEMA api IS E'The shop\nAll of it'; CREATE FUNCTION shop_sleep() RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(30)';
        ALTER ROLE viewer SET statement_timeout = '100ms'; NOTIFY pgrst, 'reload schema'; NOTIFY pgrst, 'reload config'`);
    await until('the title of the root document is the comment of the schema',
        async () => (await api.request('GET', '', { role: 'viewer' })).json.info.title === 'The shop');
    await until('the timeout of a role holds', async () => (await rpc('c360_level', 'viewer', {})).status === 200
        && (await rpc('shop_sleep', 'viewer', {})).json?.code === '57014');
    await fails('the timeout of a role', () => rpc('shop_sleep', 'viewer', {}), 500, '57014');
    await sql('ALTER ROLE viewer RESET ALL');
});

test("the manual's token", async () => {
    const manual = await readFile(`${root}/doc/postgrest.md`, 'utf8');
    const [, commands] = manual.match(/```sh\n(b64 [^]*?)```/);
    const program = new Program('bash', ['-euc', `${commands}printf %s "$TOKEN"`], { env: { ...process.env, SECRET: secret } });

    await program.ended;
    const answer = await api.request('POST', 'rpc/c360_level', { body: {}, headers: { Authorization: `Bearer ${program.output}` } });

    assert.deepEqual([answer.status, answer.json], [200, 'agent'], `${program.output} ${answer.text}`);
});

test('the manual names functions and views that exist, and all of them', async () => {
    const manual = await readFile(`${root}/doc/postgrest.md`, 'utf8');
    const [, table] = manual.match(/\n## Endpoints\n([^]*?)\n## /);
    const named = [...new Set([...table.matchAll(/`(?:GET|POST) \/(rpc\/)?([a-z0-9_]+)/g)].map(([, isRpc, name]) => `${isRpc ?? ''}${name}`))];
    const known = [...routines.map(({ name }) => `rpc/${name}`), ...views.map(({ name }) => name)];

    assert.deepEqual(named.filter((name) => !known.includes(name) && !LATER.test(name.replace('rpc/', ''))), [], 'that do not exist');
    assert.deepEqual([...offered().map(({ name }) => `rpc/${name}`), ...views.map(({ name }) => name)]
        .filter((name) => !named.includes(name)), [], 'that are missing');
});
