// Serves a shop with demo data, set up as doc/postgrest.md says, by its own
// blocks; test/demo/postgrest.sh runs it in a throw-away cluster.

import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { spawnSync } from 'node:child_process';
import { Program, freePort, postgrest, root, token, until } from './tools.mjs';

const secret = randomBytes(24).toString('hex');
let home;
let server;

let stopping = false;

for (const signal of ['SIGINT', 'SIGTERM'])
    process.removeAllListeners(signal).on(signal, stop);

async function stop() {
    if (stopping)
        return;
    stopping = true;
    await server?.end();
    if (home !== undefined)
        await rm(home, { recursive: true, force: true });
    console.log('\nThe throw-away cluster goes.');
    process.exit(0);
}

function psql(what, args, input) {
    const { status, stderr } = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', ...args],
        { input, cwd: `${root}/test/demo`, encoding: 'utf8' });

    if (status !== 0)
        throw new Error(`${what}: ${stderr}`);
}

async function portToUse() {
    const wanted = Number(process.env.PORT ?? 3000);
    const probe = createServer();

    try {
        probe.listen(wanted, '127.0.0.1');
        await once(probe, 'listening');
        await new Promise((closed) => { probe.close(closed); });
        return wanted;
    } catch {
        return freePort();
    }
}

const manual = await readFile(`${root}/doc/postgrest.md`, 'utf8');
const [, setUp] = manual.match(/\n## Set-up\n([^]*?)\n## /);
const [, commands] = setUp.match(/```sql\n([^]*?)```/);
const [, configuration] = setUp.match(/```ini\n([^]*?)```/);
const port = await portToUse();
const adminPort = await freePort();
const url = `http://127.0.0.1:${port}`;

home = await mkdtemp(`${tmpdir()}/c360-serve-`);
psql('createdb', ['-d', 'postgres'], 'CREATE DATABASE shop');
psql('the set-up of doc/postgrest.md', ['-d', 'shop'], commands);
process.env.PGOPTIONS = '-c search_path=api';
psql('the demo data', ['-d', 'shop', '-f', 'shop.sql']);
await writeFile(`${home}/postgrest.conf`, `${configuration
    .replace('localhost:5432', `${process.env.PGHOST ?? 'localhost'}:${process.env.PGPORT}`)
    .replace(/^jwt-secret = .*$/m, `jwt-secret = "${secret}"`)
    .replace(/^server-port = .*$/m, `server-port = ${port}`)
    .replaceAll('http://127.0.0.1:3000', url)}admin-server-port = ${adminPort}\n`);
server = new Program(postgrest, [`${home}/postgrest.conf`]);
await until('PostgREST is ready', async () => (await fetch(`http://127.0.0.1:${adminPort}/ready`)).ok);

const bearer = (role) => `-H 'Authorization: Bearer ${token(role, secret)}'`;

console.log(`
PostgREST is at ${url}. Try, in another terminal:

# all about one customer, as viewer (no money)
curl -s '${url}/rpc/c360_customer?phone=0912345678' ${bearer('viewer')}

# the wallets with most in them, as agent, as CSV
curl -s '${url}/customer_360_summary?select=phone,name,tier,wallet_total&order=wallet_total.desc&limit=5' -H 'Accept: text/csv' ${bearer('agent')}

# a deposit, as accountant; sent again it is done once
curl -s '${url}/rpc/c360_deposit' -H 'Content-Type: application/json' -H 'Idempotency-Key: first-try' -d '{"phone": "+84 912 345 678", "amount": 50000}' ${bearer('accountant')}

Tokens hold for an hour; roles are viewer, agent, accountant and manager. ${url}/ lists what each may use.
doc/postgrest.md tells the rest. Ctrl-C ends it, and nothing is left.`);
await server.ended;
if (!stopping) {
    console.error(server.output);
    process.exit(1);
}
