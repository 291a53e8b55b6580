import { execFileSync } from 'node:child_process';
import http from 'node:http';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { EtcdEngine } from '../../src/adapters/etcd/etcd-engine.ts';
import type { EtcdOptions } from '../../src/adapters/etcd/etcd-options.ts';
import { LogUnavailableError, UnfitEngineError } from '../../src/replicated/log/log-errors.ts';
import type { SharedLog } from '../../src/replicated/log/shared-log.ts';
import { HOOK_MS } from '../support/engines/engine-process.ts';
import { ETCD, EtcdCluster } from '../support/engines/etcd-cluster.ts';
import { FaultProxy } from '../support/engines/fault-proxy.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const entry = (text: string): Uint8Array => Buffer.from(text);

async function connect(options: EtcdOptions): Promise<EtcdEngine> {
  const engine = await EtcdEngine.connect(options);
  onTestFinished(() => engine.close());
  return engine;
}

async function proxyTo(endpoint: string): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(endpoint);
  onTestFinished(() => proxy.stop());
  return proxy;
}

async function firstEntries(log: SharedLog, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const one of log.read(1n)) {
    if (texts.push(Buffer.from(one.entry).toString()) === count) break;
  }
  return texts;
}

/** Serves `/v3/maintenance/status` as a server of this version does. */
async function serverOf(version: string, cluster = '1'): Promise<string> {
  const server = http.createServer((request, response) => {
    const isStatus = request.url === '/v3/maintenance/status';
    response.statusCode = isStatus ? 200 : 404;
    response.end(isStatus ? JSON.stringify({ header: { cluster_id: cluster }, version }) : 'no');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

describe('an engine that cannot keep the guarantees is refused', () => {
  test.each(['3.3.27', '3.4.22', '3.5.0', '3.5.1', '3.5.2', ''])('etcd %s', async (version) => {
    const connecting = EtcdEngine.connect({ endpoints: [await serverOf(version)] });
    await expect(connecting).rejects.toMatchObject({
      name: 'UnfitEngineError',
      setting: 'version',
    });
  });

  test.each(['3.4.23', '3.5.3', '3.5.16', '3.6.0-rc.1', '4.0.0'])(
    '%s is accepted',
    async (version) => {
      const engine = await connect({ endpoints: [await serverOf(version)] });
      expect(engine.description).toContain('etcd at');
    },
  );

  test('one unfit member among fit ones is refused', async () => {
    const endpoints = [await serverOf('3.5.16'), await serverOf('3.5.1')];
    await expect(EtcdEngine.connect({ endpoints })).rejects.toThrow(UnfitEngineError);
  });

  test('members of two clusters are refused', async () => {
    const endpoints = [await serverOf('3.5.16', '1'), await serverOf('3.5.16', '2')];
    const expected = { name: 'UnfitEngineError', setting: 'endpoints' };
    await expect(EtcdEngine.connect({ endpoints })).rejects.toMatchObject(expected);
  });

  test('a server that is not etcd is refused', async () => {
    const server = http.createServer((_, response) => void response.writeHead(404).end('no'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const expected = { name: 'UnfitEngineError', setting: 'gateway' };
    await expect(EtcdEngine.connect({ endpoints: [url] })).rejects.toMatchObject(expected);
  });
});

test('invalid options are refused', async () => {
  const endpoints = ['http://127.0.0.1:1'];
  const wrong = [
    {},
    { endpoints: [] },
    { endpoints: ['127.0.0.1:2379'] },
    { endpoints: ['ftp://h'] },
    { endpoints, prefix: 'x' },
    { endpoints, timeoutMs: 1 },
    { endpoints, user: 'u' },
    { endpoints, compact: 1 },
    { endpoints, tls: { passphrase: 'x' } },
    { endpoints, timeout: 5 },
  ];
  for (const options of wrong) {
    await expect(EtcdEngine.connect(options as EtcdOptions)).rejects.toThrow(/options/);
  }
});

test('connect rejects if no endpoint answers', async () => {
  const connecting = EtcdEngine.connect({ endpoints: ['http://127.0.0.1:1'] });
  await expect(connecting).rejects.toThrow(LogUnavailableError);
});

describe.skipIf(ETCD === undefined)('faults of lodestore/etcd (needs etcd-server)', () => {
  let cluster: EtcdCluster;
  let real: string;
  let logs = 0;
  beforeAll(async () => {
    cluster = await EtcdCluster.start();
    real = cluster.endpoints[0]!;
  }, HOOK_MS);
  afterAll(() => cluster.stop(), HOOK_MS);

  test('an append with a lost response is repeated at the next endpoint and recognised as ours', async () => {
    const proxy = await proxyTo(real);
    const engine = await connect({ endpoints: [proxy.url, real] });
    const log = await engine.log(`log-${logs++}`);
    Object.assign(proxy, { mode: 'drop-answer', paths: /txn/, hits: 0 });
    expect(await log.append(1n, entry('one'))).toBe('appended');
    expect(proxy.hits).toBe(1);
    expect(await log.bounds()).toEqual({ first: 1n, last: 1n });
  });

  test('an append at one endpoint without a response is unknown; a repetition is definite', async () => {
    const proxy = await proxyTo(real);
    const engine = await connect({ endpoints: [proxy.url] });
    const log = await engine.log(`log-${logs++}`);
    await log.append(1n, entry('one'));
    Object.assign(proxy, { mode: 'drop-answer', paths: /txn/ });
    await expect(log.append(2n, entry('two'))).rejects.toThrow(LogUnavailableError);
    proxy.mode = 'pass';
    expect(await log.append(2n, entry('two'))).toBe('appended');
    expect(await log.append(2n, entry('other'))).toBe('occupied');
    expect(await log.bounds()).toEqual({ first: 1n, last: 2n });
  });

  test('a repeated append after the end does not return occupied', async () => {
    const proxy = await proxyTo(real);
    const engine = await connect({ endpoints: [proxy.url, real] });
    const log = await engine.log(`log-${logs++}`);
    await log.append(1n, entry('one'));
    Object.assign(proxy, { mode: 'refuse', paths: /txn/ });
    // The first attempt may still be in flight, and succeed once the log ends at 2.
    await expect(log.append(3n, entry('three'))).rejects.toThrow(LogUnavailableError);
  });

  test('a hanging endpoint costs its timeout, and readers leave it', async () => {
    const proxy = await proxyTo(real);
    const engine = await connect({ endpoints: [proxy.url, real], timeoutMs: 300 });
    const direct = await (await connect({ endpoints: [real] })).log('still');
    const log = await engine.log('still');
    const reading = log.read(1n)[Symbol.asyncIterator]();
    await direct.append(1n, entry('one'));
    expect((await reading.next()).value.position).toBe(1n);
    const next = reading.next();
    await expect.poll(() => proxy.hits).toBeGreaterThan(3);
    proxy.mode = 'stall';
    await direct.append(2n, entry('two'));
    expect((await next).value.position).toBe(2n);
    expect(await log.append(3n, entry('three'))).toBe('appended');
    await reading.return?.(undefined);
  });

  test('calls reject while all endpoints are down, and work again afterwards', async () => {
    const proxy = await proxyTo(real);
    const engine = await connect({ endpoints: [proxy.url] });
    const log = await engine.log(`log-${logs++}`);
    await log.append(1n, entry('one'));
    const reading = Promise.allSettled([firstEntries(log, 2)]);
    proxy.mode = 'refuse';
    await expect(log.append(2n, entry('two'))).rejects.toThrow(LogUnavailableError);
    await expect(log.bounds()).rejects.toThrow(LogUnavailableError);
    await expect(log.trim(1n)).rejects.toThrow(LogUnavailableError);
    proxy.mode = 'pass';
    expect(await log.append(2n, entry('two'))).toBe('appended');
    const [result] = await reading;
    if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(LogUnavailableError);
    else expect(result.value).toEqual(['one', 'two']);
  });

  test('a trim of many entries takes several steps and frees their space', async () => {
    const log = await (await connect({ endpoints: [real] })).log(`log-${logs++}`);
    for (let p = 1; p <= 2100; p++) await log.append(BigInt(p), entry(`${p}`));
    await log.trim(2099n);
    expect(await log.bounds()).toEqual({ first: 2100n, last: 2100n });
  });

  test('the examination reports good and bad settings', async () => {
    const engine = await connect({ endpoints: [real, 'http://127.0.0.1:1'] });
    const findings = await engine.examine();
    const states = findings.map(({ check, state }) => `${check}: ${state}`);
    expect(states).toEqual([
      'endpoint: good',
      'endpoint: warning',
      'members: warning',
      'alarms: good',
      'quota: good',
      'sync: good',
    ]);
    expect(engine.description).toContain(real);
  });
});

describe.skipIf(ETCD === undefined)('settings of etcd (needs etcd-server)', () => {
  test('a used-up quota makes the log unavailable; a trim and the operator repair it', async () => {
    const extra = ['--quota-backend-bytes', String(4 * 2 ** 20)];
    const cluster = await EtcdCluster.start({ extra });
    onTestFinished(() => cluster.stop());
    const engine = await connect({ endpoints: cluster.endpoints });
    const log = await engine.log('full');
    let last = 0n;
    const filling = (async () => {
      for (; last < 200n; last++) await log.append(last + 1n, new Uint8Array(200_000).fill(1));
    })();
    await expect(filling).rejects.toThrow(/quota of etcd is used up/);
    // The refused append may have taken effect: etcd checks the quota concurrently.
    const { last: end } = await log.bounds();
    expect(end === last || end === last + 1n).toBe(true);
    const findings = await engine.examine();
    expect(findings.find(({ check }) => check === 'alarms')).toMatchObject({ state: 'warning' });
    await log.trim(end - 1n);
    const post = async (path: string, body: object): Promise<{ alarms?: object[] }> => {
      const options = { method: 'POST', body: JSON.stringify(body) };
      return (await (await fetch(cluster.endpoints[0] + path, options)).json()) as object;
    };
    // The compaction that the trim requested takes a moment.
    const repaired = async (): Promise<string> => {
      await post('/v3/maintenance/defragment', {});
      const alarm = '/v3/maintenance/alarm';
      const { alarms = [] } = await post(alarm, { action: 'GET' });
      for (const one of alarms) await post(alarm, { action: 'DEACTIVATE', ...one });
      return await log.append(end + 1n, entry('again')).catch(String);
    };
    await expect.poll(repaired).toBe('appended');
  });

  test('user and password work, also when a token expires', async () => {
    const cluster = await EtcdCluster.start();
    onTestFinished(() => cluster.stop());
    const [endpoint] = cluster.endpoints;
    const post = async (path: string, body: object): Promise<unknown> => {
      const options = { method: 'POST', body: JSON.stringify(body) };
      return await (await fetch(endpoint + path, options)).json();
    };
    await post('/v3/auth/user/add', { name: 'root', password: 'secret' });
    await post('/v3/auth/user/grant', { user: 'root', role: 'root' });
    await post('/v3/auth/enable', {});
    const endpoints = cluster.endpoints;
    const log = await (await connect({ endpoints, user: 'root', password: 'secret' })).log('a');
    expect(await log.append(1n, entry('one'))).toBe('appended');
    // A restarted server has forgotten its tokens.
    const [node] = cluster.nodes;
    await node!.kill();
    node!.start();
    await cluster.untilReady();
    await expect.poll(() => log.append(2n, entry('two')).catch(String)).toBe('appended');
    const stranger = await connect({ endpoints }).then((engine) => engine.log('a'));
    await expect(stranger.append(3n, entry('no'))).rejects.toThrow(LogUnavailableError);
    const wrong = EtcdEngine.connect({ endpoints, user: 'root', password: 'other' });
    await expect(wrong).rejects.toThrow(/authentication failed/);
  });

  test('TLS accepts a trusted certificate and refuses another one', async () => {
    const directory = await temporaryDirectory();
    const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    execFileSync('openssl', [...kind, ...names, '-keyout', key, '-out', cert], {
      stdio: 'pipe',
      timeout: 30_000,
    });
    const cluster = await EtcdCluster.start({ tls: { cert, key } });
    onTestFinished(() => cluster.stop());
    const endpoints = cluster.endpoints;
    const engine = await connect({ endpoints, tls: { ca: readFileSync(cert, 'utf8') } });
    const log = await engine.log('secure');
    expect(await log.append(1n, entry('one'))).toBe('appended');
    expect(await firstEntries(log, 1)).toEqual(['one']);
    await expect(EtcdEngine.connect({ endpoints })).rejects.toThrow(/certificate/);
  });
});
