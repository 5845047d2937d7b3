// Events as programs and pages get them: over HTTP from a real PostgREST, on
// the page of doc/examples in headless Chromium, and by the consumers there.
//
// Runs with PGHOST and the rest set for the superuser of a throw-away cluster
// that has preloaded c360 with c360.databases = shop.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { Browser, PostgREST, Program, asConsumer, db, deposit, env, frames, openShop, publisher, root, serveExamples,
    sql, ticked, token, until, value } from './tools.mjs';

const AN = '0912345678';
const BINH = '0987654321';
const api = new PostgREST();
const browser = new Browser();
let site;
let home;

before(async () => {
    home = await mkdtemp(`${tmpdir()}/c360-web-`);
    await openShop();
    await api.start();
    await Promise.all([deposit(AN, 100000), deposit(BINH, 50000)]);
}, { timeout: 60000 });

after(async () => {
    site?.server.close();
    await api.program?.end();
    await db?.end();
    await rm(home, { recursive: true, force: true, maxRetries: 10 });
});

/*
 * HTTP
 */

async function request(path, { role, body, headers = {}, method } = {}) {
    const answer = await fetch(`${api.url}/rpc/${path}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'), body: body && JSON.stringify(body),
        headers: { ...(role && { Authorization: `Bearer ${token(role)}` }),
            ...(body && { 'Content-Type': 'application/json' }), ...headers } });
    const text = await answer.text();

    return { status: answer.status, headers: answer.headers, text,
        json: answer.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : undefined };
}

async function openStream(role, channels) {
    const { status, json, text } = await request('c360_open_stream', { role, body: { channels } });

    assert.equal(status, 200, text);
    return json;
}

async function stream(pass, lastEventId, path = '') {
    const answer = await request(`c360_events?pass=${pass}${path}`,
        { headers: { Accept: 'text/event-stream', ...(lastEventId && { 'Last-Event-ID': lastEventId }) } });

    return { ...answer, frames: frames(answer.text) };
}

async function since(role, cursor) {
    await ticked();
    return request(`c360_events_since?${new URLSearchParams(cursor === undefined ? {} : { after: cursor })}`, { role });
}

test('who may open a stream', async () => {
    for (const role of ['viewer', 'agent', 'cashier'])
        assert.match(await openStream(role, null), /^[0-9a-f]{64}$/, role);
    for (const [role, channels, status, code] of [
        [undefined, null, 401, '42501'], ['anon', null, 401, '42501'],
        ['agent', ['walets'], 400, '22023'], ['agent', ['wallet:nobody'], 400, '22023']]) {
        const answer = await request('c360_open_stream', { role, body: { channels } });

        assert.equal(answer.status, status, answer.text);
        assert.equal(answer.json.code, code);
    }
    assert.equal((await request('c360_open_stream', { role: 'agent', method: 'GET' })).status, 405, 'it writes');
});

test('an answer is finite, of the right type, and goes on at Last-Event-ID', async () => {
    const pass = await openStream('agent', ['wallets']);
    const first = await stream(pass);

    assert.equal(first.status, 200);
    assert.match(first.headers.get('content-type'), /^text\/event-stream\b/);
    assert.equal(first.headers.get('cache-control'), 'no-store');
    assert.equal(first.headers.get('x-accel-buffering'), 'no');
    assert.match(first.text, /^retry: 1000\n\nid: [^\n]+\n\n$/, 'it begins now, after the deposits that were');

    const [, { id }] = first.frames;
    const balance = await deposit(AN, 1000);
    const withdrawn = await request('c360_withdraw', { role: 'cashier', body: { phone: AN, amount: 300 } });

    assert.equal(withdrawn.json.balance, balance - 300);
    await ticked();
    for (const again of [1, 2]) {
        const { text, frames: [retry, deposited, withdrew, ...rest] } = await stream(pass, id);

        assert.match(text, /\n\n$/);
        assert.deepEqual(rest, [], `as often as it is asked for, time ${again}`);
        assert.deepEqual(retry, { retry: '1000' });
        assert.equal(deposited.event, 'wallet.deposit');
        assert.equal(deposited.id, undefined, 'only the last frame has an id');
        assert.equal(JSON.parse(deposited.data).balance, balance);
        assert.equal(withdrew.event, 'wallet.withdraw');
        assert.equal(JSON.parse(withdrew.data).balance, balance - 300);
        assert.equal((await stream(pass, withdrew.id)).text, 'retry: 1000\n\n', 'and nothing after that');
        assert.equal((await stream(pass, undefined, `&after=${id}`)).text, text, '"after" does as well');
        assert.equal((await stream(pass, withdrew.id, `&after=${id}`)).text, 'retry: 1000\n\n', 'the header wins');
    }
});

test('no pass, no events', async () => {
    const pass = await openStream('agent', ['wallets']);
    const refused = async (why, path) => {
        const answer = await request(`c360_events${path}`, { headers: { Accept: 'text/event-stream' } });

        assert.equal(answer.status, 401, why);
        assert.equal(answer.json.code, 'PT401', why);
    };

    await refused('no pass', '');
    await refused('a wrong pass', `?pass=${'0'.repeat(64)}`);
    await refused('the hash of a pass',
        `?pass=${await value("SELECT encode(pass_hash, 'hex') FROM c360.event_streams LIMIT 1")}`);
    assert.equal((await stream(pass)).status, 200);
    await sql('UPDATE c360.event_streams SET valid_until = clock_timestamp()');
    await refused('an expired pass', `?pass=${pass}`);

    const another = await openStream('agent', ['wallets']);

    await sql("SELECT c360_revoke('agent')");
    await refused('the pass of a role that lost its level', `?pass=${another}`);
    await sql("SELECT c360_grant('agent', 'agent')");
    await refused('given back, it has to open a stream anew', `?pass=${another}`);
});

test('with a token instead of a pass', async () => {
    const { status, text } = await request('c360_events', { role: 'agent', headers: { Accept: 'text/event-stream' } });

    assert.equal(status, 200);
    assert.match(text, /^retry: 1000\n\nid: /);
});

test('a viewer gets no wallets, whatever he asks for', async () => {
    const [{ cursor }] = (await since('viewer')).json;
    const pass = await openStream('viewer', null);
    const { frames: [, { id }] } = await stream(pass);

    await deposit('0900000001', 7000);                      // a new customer, and money
    const names = (answer) => answer.json.map(({ event }) => event);

    assert.deepEqual(names(await since('viewer', cursor)), ['customer.created']);
    assert.deepEqual(names(await since('agent', cursor)), ['customer.created', 'wallet.deposit']);
    assert.deepEqual((await stream(pass, id)).frames.slice(1).map(({ event }) => event), ['customer.created']);
    assert.equal((await since(undefined, cursor)).status, 401, 'level stream is for c360_events alone');
});

test('a stream of one wallet', async () => {
    const pass = await openStream('agent', [`wallet:+84 ${AN.slice(1)}`]);
    const { frames: [, { id }] } = await stream(pass);

    await deposit(BINH, 1000);
    await deposit(AN, 1000);
    await ticked();
    assert.deepEqual((await stream(pass, id)).frames.slice(1).map(({ data }) => JSON.parse(data).phone), [AN]);
});

test('cursors that hold no longer', async () => {
    const pass = await openStream('agent', ['wallets']);
    const [{ cursor }] = (await since('agent')).json;
    const [epoch, tick] = cursor.split('.');
    const cases = [[`${Number(epoch) + 1}.${tick}`, 'of another history'], [`${epoch}.${Number(tick) + 10}`, 'of the future']];

    for (const [wrong, what] of cases) {
        const gone = await since('agent', wrong);

        assert.equal(gone.status, 410, what);
        assert.equal(gone.json.code, 'PT410');
        assert.match(gone.json.details, /^cursor_expired: /);

        const { status, frames: [, reset, ...rest] } = await stream(pass, wrong);

        assert.equal(status, 200, `${what}: EventSource would stop at an error`);
        assert.deepEqual(rest, []);
        assert.equal(reset.event, 'reset');
        assert.equal(JSON.parse(reset.data).cursor, reset.id);
        assert.equal((await stream(pass, reset.id)).text, 'retry: 1000\n\n', `${what}: the new cursor holds`);
    }
    assert.equal((await since('agent', 'nonsense')).status, 400);
    assert.equal((await stream(pass, 'nonsense')).frames[1].event, 'reset');
});

test('pages of other origins', async () => {
    const headers = { Origin: 'http://shop.example' };
    const preflight = await fetch(`${api.url}/rpc/c360_open_stream`, { method: 'OPTIONS', headers: { ...headers,
        'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization, content-type' } });

    assert.equal(preflight.status, 200);
    assert.match(preflight.headers.get('access-control-allow-headers'), /authorization/i);
    const pass = await openStream('agent', null);
    const answer = await request(`c360_events?pass=${pass}`, { headers: { ...headers, Accept: 'text/event-stream' } });

    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
});

/*
 * The page, which comes from another origin than the API
 */

const shown = () => browser.run(`return Object.fromEntries([...document.querySelectorAll('#wallets tr')].map(
    (row) => [row.cells[0].textContent, [...row.cells].slice(1).map((cell) => cell.textContent.replace(/[^\\w]/g, ' ').trim())]))`);
const digits = (amount) => amount.toLocaleString('vi-VN').replace(/\D/g, ' ');

async function shows(phone, balance, movement = '') {
    let last;

    try {
        await until('', async () => {
            last = await shown();
            return last[phone]?.[0] === digits(balance) && last[phone][2].startsWith(movement);
        });
    } catch {
        assert.fail(`the page should show ${balance} ${movement} for ${phone}: ${JSON.stringify(last)}`);
    }
}

test('the page shows wallets live', { timeout: 120000 }, async (t) => {
    const step = (name, work) => t.test(name, work);
    const page = (fragment) => `${site.url}/wallet.html#${new URLSearchParams({ api: api.url, ...fragment })}`;
    const said = () => browser.run('return window.said');

    site = await serveExamples();
    await browser.start(home);
    t.after(() => browser.end());

    await step('what is there when it is opened', async () => {
        await sql("SELECT c360_issue_credit($1, 5000, 'PROMOTION')", [AN]);
        await browser.open(page({ token: token('agent'), phones: AN }));
        await shows(AN, await value('SELECT balance FROM c360_wallet($1)', [AN]));
        assert.equal((await shown())[AN][1], digits(5000));
        assert.doesNotMatch(await browser.run('return location.href'), /token/, 'the token leaves the address');
        await browser.run(`window.said = []; const say = window.say;
            window.say = (text) => { window.said.push(text); say(text); }`);
    });
    await step('a deposit by SQL', async () => {
        await deposit(BINH, 1000);                          // not on this page
        await shows(AN, await deposit(AN, 2000), 'deposit 2 000');
        assert.deepEqual(Object.keys(await shown()), [AN]);
    });
    await step('a withdrawal over PostgREST', async () => {
        const { json } = await request('c360_withdraw', { role: 'cashier', body: { phone: AN, amount: 6000 } });

        await shows(AN, json.balance, 'withdraw 6 000');
        assert.equal((await shown())[AN][1], digits(0), 'the credit went first');
    });
    await step('every kind of event there is', async () => {
        const names = async (text) => [...new Set((await text).match(/\bwallet\.(?!html\b|c\b|h\b)[a-z_]+(?=['"`])/g))].sort();
        const sources = await readdir(`${root}/src`);
        const code = await Promise.all(sources.map((name) => readFile(`${root}/src/${name}`, 'utf8')));

        for (const file of ['examples/wallet.html', 'events.md'])
            assert.deepEqual(await names(readFile(`${root}/doc/${file}`, 'utf8')), await names(code.join()), file);
        await sql("SELECT c360_freeze_wallet($1, 'looked into')", [AN]);
        await shows(AN, await value('SELECT balance FROM c360_wallet($1)', [AN]), 'frozen');
        await sql('SELECT c360_unfreeze_wallet($1)', [AN]);
    });
    await step('with another publisher', async () => {
        const pid = await publisher();

        await sql('SELECT pg_terminate_backend($1)', [pid]);
        await shows(AN, await deposit(AN, 100), 'deposit 100');
        await until('there is another publisher', async () => ![undefined, pid].includes(await publisher()));
        await shows(AN, await deposit(AN, 200), 'deposit 200');
    });
    await step('what happened while PostgREST was away', async () => {
        let balance;

        await api.restart(async () => { balance = await deposit(AN, 300); });
        await shows(AN, balance, 'deposit 300');
    });
    await step('with a new pass when the old one has ended', async () => {
        const passes = await value('SELECT count(*) FROM c360.event_streams');

        await sql('UPDATE c360.event_streams SET valid_until = clock_timestamp()');
        await until('the page opens another stream',
            async () => await value('SELECT count(*) FROM c360.event_streams') > passes);
        await shows(AN, await deposit(AN, 400), 'deposit 400');
    });
    await step('anew when its cursor holds no longer', async () => {
        assert.doesNotMatch(JSON.stringify(await said()), /another database/);
        await sql('UPDATE c360.event_epochs SET epoch = epoch + 1');
        await until('the page is told', async () => /another database/.test(JSON.stringify(await said())));
        await shows(AN, await value('SELECT balance FROM c360_wallet($1)', [AN]));
        await sql('SELECT pg_terminate_backend($1)', [await publisher()]);
        await shows(AN, await deposit(AN, 500), 'deposit 500');
    });
    await step('every wallet that moves, with a pass from the app', async () => {
        await browser.open('about:blank');
        await browser.open(page({ pass: await openStream('agent', ['wallets']) }));
        await until('it is live', () => browser.run("return document.getElementById('state').textContent === 'live'"));
        assert.deepEqual(await shown(), {});
        const balance = await deposit(BINH, 600);

        await shows(AN, await deposit(AN, 700), 'deposit 700');
        await shows(BINH, balance, 'deposit 600');
    });
});

/*
 * The consumers
 */

test('listen.js misses nothing', { timeout: 60000 }, async (t) => {
    const file = `${home}/listen.json`;
    const start = () => new Program('node', [`${root}/doc/examples/listen.js`, file], { env: asConsumer() });
    const connection = () => value("SELECT pid FROM pg_stat_activity WHERE application_name = 'listen.js'");
    const line = (balance) => new RegExp(`^\\d+ wallet\\.deposit ${AN} ${balance}$`, 'm');
    const outputs = [];
    let program = start();

    t.after(() => program.end('SIGKILL'));
    await program.says(/^start for the first time$/m);
    await program.says(line(await deposit(AN, 1)));

    await sql('SELECT pg_terminate_backend($1)', [await connection()]);
    await program.says(line(await deposit(AN, 2)));         // while nobody listens
    await until('it is back', connection);
    await program.says(line(await deposit(AN, 3)));

    await program.end('SIGKILL');
    outputs.push(program.output);
    const balance = await deposit(AN, 4);

    program = start();
    await program.says(line(balance));
    outputs.push(program.output);
    const ids = outputs.join('').match(/^\d+(?= )/gm);

    assert.deepEqual(ids, (await sql(`SELECT id FROM c360.customer_activities WHERE event = 'wallet.deposit'
        ORDER BY id DESC LIMIT 4`)).map(({ id }) => String(id)).reverse(), 'each deposit once, in order');

    await program.end();
    await writeFile(file, JSON.stringify({ cursor: '1.1', ids: [] }));
    program = start();
    await program.says(/^start cursor_expired: /m);
    await program.says(line(await deposit(AN, 5)));
});

test('listen.js and notifications without data', async () => {
    const program = new Program('node', [`${root}/doc/examples/listen.js`, `${home}/ids.json`], { env: asConsumer() });

    try {
        await sql("SELECT c360_set('notify_payload', 'ids')");
        await program.says(/^start/m);
        await program.says(new RegExp(`^\\d+ wallet\\.deposit ${AN} ${await deposit(AN, 6)}$`, 'm'));
    } finally {
        await sql("SELECT c360_set('notify_payload', NULL)");
        await program.end();
    }
});

test('listen.psql', async () => {
    const program = new Program('psql', ['-X', '-f', `${root}/doc/examples/listen.psql`],
        { env: { ...asConsumer(), PGAPPNAME: 'listen.psql' } });

    await until('it waits', () => value(
        "SELECT true FROM pg_stat_activity WHERE application_name = 'listen.psql' AND query ~ '^SELECT pg_sleep'"));
    const balance = await deposit(AN, 7);

    await program.ended;
    for (const channel of ['wallets', `wallet:${AN}`])
        assert.match(program.output,
            new RegExp(`^Asynchronous notification "${channel}" with payload ".*"balance":${balance},`, 'm'));
    assert.match(program.output, new RegExp(`^ *\\d+ \\| wallet\\.deposit \\| ${AN} \\| ${balance} +\\| \\d+\\.`, 'm'));
});

test('the first steps of the README', async () => {
    const [, steps] = (await readFile(`${root}/README.md`, 'utf8')).match(/\n## Live events\n[^]*?```sql\n([^]*?)```/);
    const program = new Program('psql', ['-X', '-v', 'ON_ERROR_STOP=1'], { env });

    for (const line of steps.trimEnd().split('\n')) {
        program.process.stdin.write(`${line}\n\\echo done\n`);
        await program.says(/^done$/m);
        program.output = program.output.replace(/^done$/m, '');
        await ticked();
    }
    program.process.stdin.end();
    await program.ended;
    assert.match(program.output, /^Asynchronous notification "wallets" with payload "\{"event":"wallet\.deposit",/m);
    assert.match(program.output, /^ wallet\.deposit \| *\d+$/m);
});
