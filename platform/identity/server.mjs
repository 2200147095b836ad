// The OpenID Connect provider of the demo and the tests: a certified one, with our own pages and made-up accounts.
//
//   node server.mjs [--port P] [--issuer URL] [--access-token-ttl SECONDS] [--keep DIR] [--ready-file FILE]
//
// Listens on 127.0.0.1 only. Port 0 (the default) is chosen by the kernel; the issuer follows from it unless given.
// With --keep, keys, sessions and grants outlive a restart; without it everything is forgotten at the end.
// When it is ready it prints one line of JSON, {"ready": true, "issuer", "port", "pid"}, and nothing else on stdout.
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

// The library speaks on stdout too; that one belongs to the line of JSON.
console.info = console.error;
console.log = console.error;

const { buildProvider } = await import('./provider.mjs');

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    issuer: { type: 'string' },
    'access-token-ttl': { type: 'string', default: process.env.ACCESS_TOKEN_TTL ?? '300' },
    keep: { type: 'string' },
    'ready-file': { type: 'string' },
  },
});

const accessTokenTtl = Number(options['access-token-ttl']);
if (!Number.isInteger(accessTokenTtl) || accessTokenTtl < 1) {
  fail('--access-token-ttl is a whole number of seconds');
}

const server = createServer();
server.on('error', (error) => fail(`cannot listen: ${error.code ?? error.message}`));
server.listen(Number(options.port), '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = options.issuer ?? `http://127.0.0.1:${port}`;
  server.on('request', buildProvider({ issuer, accessTokenTtl, keep: options.keep }).callback());
  announce({ ready: true, issuer, port, pid: process.pid });
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}

function announce(facts) {
  const line = `${JSON.stringify(facts)}\n`;
  if (options['ready-file']) {
    const unfinished = `${options['ready-file']}.new`;
    writeFileSync(unfinished, line);
    renameSync(unfinished, options['ready-file']);
  }
  process.stdout.write(line);
}

function fail(why) {
  process.stderr.write(`identity: ${why}\n`);
  process.exit(1);
}
