// @ts-check
/**
 * CPU time that a server takes for a request of S3, against peers, in one run: `node
 * bench/storage-node-s3.mjs [--requests N] [--s3rver PROGRAM] [--directory D]`, after `npm run
 * build`.
 * Objects of 1 KiB, 16 connections. The peers: `node:http` that does nothing, `node:http` with a
 * file per object and fsync, and s3rver (without fsync), where its program is given.
 */
import { spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const CONNECTIONS = 16;
const BODY = Buffer.alloc(1024, 'body ');
const START_MS = 30_000;
/** Of `/proc/PID/stat`: Linux counts in hundredths of a second. */
const US_PER_TICK = 10_000;
const PROGRAM = fileURLToPath(import.meta.url);
const NODE = fileURLToPath(
  new URL('../examples/storage-node/bin/lodestore-node.mjs', import.meta.url),
);

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '5000' },
    directory: { type: 'string', default: tmpdir() },
    s3rver: { type: 'string' },
    serve: { type: 'string' },
  },
});

/** The bars of a request, in microseconds of the server's CPU time. */
const BARS = { PUT: 280, GET: 180 };

/** @param {string} kind @param {string} directory */
function serve(kind, directory) {
  const server = createServer((message, response) => {
    /** @type {Buffer[]} */
    const pieces = [];
    message.on('data', (piece) => pieces.push(piece));
    message.on('end', () => {
      answer(message.method ?? '', message.url ?? '', pieces).then(
        (body) => response.end(body),
        () => response.writeHead(500).end(),
      );
    });
  });
  /** @param {string} method @param {string} url @param {Buffer[]} pieces */
  async function answer(method, url, pieces) {
    if (kind === 'bare') return method === 'GET' ? BODY : undefined;
    const path = join(directory, createHash('sha1').update(url).digest('hex'));
    if (method === 'GET') return await readFile(path);
    const file = await open(path, 'w');
    await file.writeFile(Buffer.concat(pieces));
    await file.sync();
    await file.close();
    return undefined;
  }
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address !== null && typeof address === 'object') {
      console.log(`http://127.0.0.1:${address.port}`);
    }
  });
}

/**
 * @typedef {{ name: string, args: string[], key: { id: string, secret: string } }} Peer
 * @param {string} directory
 * @returns {Peer[]}
 */
function peersIn(directory) {
  const of = (/** @type {string} */ name) => {
    const path = join(directory, name);
    mkdirSync(path);
    return path;
  };
  const key = { id: 'BENCHMARK', secret: 'benchmark-benchmark' };
  const own = ['start', '--data', of('node'), '--port', '0', '--admin-port', '0'];
  const peers = [
    { name: 'node:http', args: [PROGRAM, '--serve', 'bare', '--directory', of('bare')], key },
    {
      name: 'file per object, fsync',
      args: [PROGRAM, '--serve', 'files', '--directory', of('files')],
      key,
    },
    {
      name: 'lodestore-node',
      args: [NODE, ...own, '--access-key', key.id, '--secret-key', key.secret],
      key,
    },
  ];
  if (values.s3rver === undefined) return peers;
  const where = ['-d', of('s3rver'), '-a', '127.0.0.1', '-p', '0', '-s', '--no-vhost-buckets'];
  const s3rver = { id: 'S3RVER', secret: 'S3RVER' };
  return [...peers, { name: 's3rver, no fsync', args: [values.s3rver, ...where], key: s3rver }];
}

/** @param {number} pid */
function cpuMicroseconds(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}

/** @param {string | Uint8Array} key @param {string} text */
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();

/** @param {string} host @param {string} method @param {string} path @param {Peer['key']} key */
function signed(host, method, path, { id, secret }) {
  const time = `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const payload = 'UNSIGNED-PAYLOAD';
  const names = 'host;x-amz-content-sha256;x-amz-date';
  const lines = `host:${host}\nx-amz-content-sha256:${payload}\nx-amz-date:${time}\n`;
  const canonical = `${method}\n${path}\n\n${lines}\n${names}\n${payload}`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  /** @type {string | Uint8Array} */
  let signingKey = `AWS4${secret}`;
  for (const step of scope.split('/')) signingKey = hmac(signingKey, step);
  const signature = hmac(signingKey, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash}`);
  return {
    host,
    'x-amz-date': time,
    'x-amz-content-sha256': payload,
    authorization: `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${names}, Signature=${signature.toString('hex')}`,
  };
}

/** @param {Peer} peer */
async function measure(peer) {
  const child = spawn(process.execPath, peer.args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const stop = () => void child.kill('SIGKILL');
  process.once('exit', stop);
  const timer = setTimeout(stop, START_MS);
  let url = '';
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /(?::|port )(\d+)\/?$/.exec(line.trim())?.[1];
    if (port === undefined) continue;
    url = `http://127.0.0.1:${port}`;
    break;
  }
  clearTimeout(timer);
  child.stdout.resume();
  if (url === '') throw new Error(`${peer.name} does not start`);
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const { host } = new URL(url);
  /** @param {string} method @param {string} path */
  const ask = (method, path) =>
    new Promise((resolve, reject) => {
      const headers = signed(host, method, path, peer.key);
      const asked = request(url + path, { method, headers, agent }, (answer) => {
        answer.resume();
        answer.once('end', () =>
          answer.statusCode === 200
            ? resolve(undefined)
            : reject(new Error(`${peer.name}: ${method} ${path}: ${answer.statusCode}`)),
        );
      });
      asked.once('error', reject);
      asked.end(method === 'PUT' && path !== '/bench' ? BODY : undefined);
    });
  /** @param {string} method @param {number} count @param {string} prefix */
  const run = async (method, count, prefix) => {
    let next = 0;
    const cpu = cpuMicroseconds(child.pid ?? 0);
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        while (next < count) await ask(method, `/bench/${prefix}-${next++}`);
      }),
    );
    return (cpuMicroseconds(child.pid ?? 0) - cpu) / count;
  };
  try {
    const count = Number(values.requests);
    await ask('PUT', '/bench');
    // The code is compiled.
    await run('PUT', count / 5, 'warm');
    await run('GET', count / 5, 'warm');
    return { PUT: await run('PUT', count, 'object'), GET: await run('GET', count, 'object') };
  } finally {
    agent.destroy();
    process.off('exit', stop);
    child.kill('SIGKILL');
  }
}

if (values.serve !== undefined) serve(values.serve, values.directory);
else {
  const directory = await mkdtemp(join(values.directory, 'lodestore-node-s3-bench-'));
  try {
    const peers = peersIn(directory);
    /** @type {{ PUT: number, GET: number }[]} */
    const results = [];
    console.log('server CPU of a request of 1 KiB, us        PUT      GET');
    for (const peer of peers) {
      const result = await measure(peer);
      results.push(result);
      const cells = [result.PUT, result.GET].map((value) => value.toFixed(0).padStart(8));
      console.log(`  ${peer.name.padEnd(36)} ${cells.join(' ')}`);
    }
    const [bare, files, node, s3rver] = results;
    for (const method of /** @type {const} */ (['PUT', 'GET'])) {
      const own = node?.[method] ?? 0;
      const ratio = (/** @type {typeof bare} */ other) => (own / (other?.[method] ?? 0)).toFixed(2);
      const verdict = own <= BARS[method] ? 'met' : 'MISSED';
      console.log(
        `${method}: ${own.toFixed(0)} us, at most ${BARS[method]}: ${verdict}; ` +
          `${ratio(bare)} x node:http, ${ratio(files)} x a file per object` +
          (s3rver === undefined ? '' : `, ${ratio(s3rver)} x s3rver`),
      );
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
