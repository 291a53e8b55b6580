// @ts-check
/**
 * CPU time that a server takes for a request of S3, against peers, in one run: `node
 * bench/storage-node-s3.mjs [--requests N] [--rounds N] [--other PROGRAM] [--s3rver PROGRAM]
 * [--directory D]`, after `npm run build`.
 * Objects of 1 KiB, 16 connections; each object is read once per round. The peers: `node:http` that
 * does nothing, `node:http` with a file per object and fsync, and, where their programs are given,
 * `lodestore-node` of another build and s3rver (without fsync). All servers run from the start to
 * the end, and take turns in short rounds: a load of the machine meets all of them. The results are
 * medians of the rounds.
 */
import { spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
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
const PROGRAM = fileURLToPath(import.meta.url);
const NODE = fileURLToPath(
  new URL('../examples/storage-node/bin/lodestore-node.mjs', import.meta.url),
);

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '7' },
    other: { type: 'string' },
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
  const own = (/** @type {string} */ name) => {
    const keys = ['--access-key', key.id, '--secret-key', key.secret];
    return ['start', '--data', of(name), '--port', '0', '--admin-port', '0', ...keys];
  };
  const peers = [
    { name: 'node:http', args: [PROGRAM, '--serve', 'bare', '--directory', of('bare')], key },
    {
      name: 'file per object, fsync',
      args: [PROGRAM, '--serve', 'files', '--directory', of('files')],
      key,
    },
    { name: 'lodestore-node', args: [NODE, ...own('node')], key },
  ];
  if (values.other !== undefined) {
    peers.push({ name: 'the other lodestore-node', args: [values.other, ...own('other')], key });
  }
  if (values.s3rver === undefined) return peers;
  const where = ['-d', of('s3rver'), '-a', '127.0.0.1', '-p', '0', '-s', '--no-vhost-buckets'];
  const s3rver = { id: 'S3RVER', secret: 'S3RVER' };
  return [...peers, { name: 's3rver, no fsync', args: [values.s3rver, ...where], key: s3rver }];
}

/**
 * CPU time of a process so far, thread by thread, in nanoseconds: Linux keeps `/proc/PID/stat` in
 * hundredths of a second only. A thread that has ended counts as far as it was seen.
 */
class CpuMeter {
  #threads = new Map();
  /** @param {number} pid */
  constructor(pid) {
    this.tasks = `/proc/${pid}/task`;
  }

  microseconds() {
    for (const thread of readdirSync(this.tasks)) {
      try {
        const [ns] = readFileSync(`${this.tasks}/${thread}/schedstat`, 'latin1').split(' ');
        this.#threads.set(thread, Number(ns));
      } catch {
        // It has just ended.
      }
    }
    return [...this.#threads.values()].reduce((sum, ns) => sum + ns, 0) / 1000;
  }
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

/**
 * Starts a server and resolves to the measurement of one kind of request, in microseconds each.
 *
 * @param {Peer} peer
 */
async function started(peer) {
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
  const meter = new CpuMeter(child.pid ?? 0);
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
  await ask('PUT', '/bench');
  return {
    name: peer.name,
    /** @param {'PUT' | 'GET'} method @param {number} count @param {string} prefix */
    measure: async (method, count, prefix) => {
      let next = 0;
      const before = meter.microseconds();
      await Promise.all(
        Array.from({ length: CONNECTIONS }, async () => {
          while (next < count) await ask(method, `/bench/${prefix}-${next++}`);
        }),
      );
      return (meter.microseconds() - before) / count;
    },
    stop: () => {
      agent.destroy();
      process.off('exit', stop);
      stop();
    },
  };
}

/** @param {readonly number[]} all */
function median(all) {
  return [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
}

/** @param {Awaited<ReturnType<typeof started>>[]} servers */
async function compare(servers) {
  const count = Number(values.requests);
  const rounds = Number(values.rounds);
  const results = servers.map(({ name }) => ({
    name,
    PUT: /** @type {number[]} */ ([]),
    GET: /** @type {number[]} */ ([]),
  }));
  // Two rounds before, in which the code is compiled.
  for (let round = -2; round < rounds; round++) {
    for (const method of /** @type {const} */ (['PUT', 'GET'])) {
      for (const [i, server] of servers.entries()) {
        const us = await server.measure(method, count, `round${round}`);
        if (round >= 0) results[i]?.[method].push(us);
      }
    }
  }
  return results.map(({ name, PUT, GET }) => ({ name, PUT: median(PUT), GET: median(GET) }));
}

if (values.serve !== undefined) serve(values.serve, values.directory);
else {
  const directory = await mkdtemp(join(values.directory, 'lodestore-node-s3-bench-'));
  /** @type {Awaited<ReturnType<typeof started>>[]} */
  const servers = [];
  try {
    for (const peer of peersIn(directory)) servers.push(await started(peer));
    const results = await compare(servers);
    console.log('server CPU of a request of 1 KiB, us        PUT      GET');
    for (const { name, PUT, GET } of results) {
      const cells = [PUT, GET].map((value) => value.toFixed(0).padStart(8));
      console.log(`  ${name.padEnd(36)} ${cells.join(' ')}`);
    }
    const own = results.find(({ name }) => name === 'lodestore-node');
    for (const method of /** @type {const} */ (['PUT', 'GET'])) {
      const us = own?.[method] ?? 0;
      const verdict = us <= BARS[method] ? 'met' : 'MISSED';
      const ratios = results
        .filter((result) => result !== own)
        .map((result) => `${(us / result[method]).toFixed(2)} x ${result.name}`);
      console.log(`${method}: ${us.toFixed(0)} us, at most ${BARS[method]}: ${verdict}`);
      console.log(`  ${ratios.join('; ')}`);
    }
  } finally {
    for (const server of servers) server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}
