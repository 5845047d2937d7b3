// TAP as prove reads it, what went wrong on standard error: node's own
// reporter writes YAML that prove cannot parse.
export default async function* tap(source) {
    let count = 0;

    for await (const { type, data } of source) {
        const name = `${'  '.repeat(data.nesting ?? 0)}${data.name}`;

        if (type === 'test:pass')
            yield `ok ${++count} - ${name}\n`;
        else if (type === 'test:fail') {
            const error = data.details.error.cause ?? data.details.error;

            yield `not ok ${++count} - ${name}\n`;
            process.stderr.write(`${data.name}\n${error.stack ?? error}`.replace(/^/gm, '# ') + '\n');
        } else if (type === 'test:stderr' || type === 'test:stdout')
            process.stderr.write(data.message);
    }
    yield `1..${count}\n`;
}
