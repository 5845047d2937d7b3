// "make postgrest" and what it prints.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Program, freePort, root } from './tools.mjs';

const shell = async (command) => {
    const program = new Program('sh', ['-c', command]);

    await program.ended;
    return program.output;
};

test('make postgrest serves demo data, and its three requests work', { timeout: 60000 }, async (t) => {
    const serving = new Program('bash', [`${root}/test/demo/postgrest.sh`],
        { env: { ...process.env, PORT: await freePort() }, detached: true });

    t.after(() => { try { process.kill(-serving.process.pid, 'SIGINT'); } catch {} });
    await serving.says(/Ctrl-C/);
    const requests = serving.output.match(/^curl .*$/gm);

    assert.equal(requests.length, 3);
    const customer = JSON.parse(await shell(requests[0]));

    assert.equal(customer.customer.name, 'Nguyễn Văn Á');
    assert.equal(customer.wallet, null, 'a viewer sees no money');
    const lines = (await shell(requests[1])).split('\n');

    assert.equal(lines[0], 'phone,name,tier,wallet_total');
    assert.equal(lines.length, 6);
    const first = JSON.parse(await shell(requests[2]));
    const again = JSON.parse(await shell(requests[2]));

    assert.deepEqual([first.amount, first.replayed, again.replayed], [50000, false, true]);
    assert.equal(again.balance, first.balance);

    // Ctrl-C reaches the whole process group
    process.kill(-serving.process.pid, 'SIGINT');
    await serving.ended;
    assert.match(serving.output, /The throw-away cluster goes\./);
    const [url] = serving.output.match(/http:\S+(?=\. Try)/);

    await assert.rejects(fetch(url), 'nobody answers any more');
});
