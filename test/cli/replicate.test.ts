import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { EtcdEngine } from '../../src/adapters/etcd/etcd-engine.ts';
import { StoreError } from '../../src/base/errors.ts';
import { ofLog, ofNode, replicateDoctor } from '../../src/cli/replicate/replicate-doctor.ts';
import { parseEngine, type EngineAddress } from '../../src/cli/replicate/engine-address.ts';
import { lookAt } from '../../src/cli/replicate/log-view.ts';
import { DirectoryCheckpoints, ReplicatedStore } from '../../src/replicated/index.ts';
import { replicateCheckpoint, replicatePromote } from '../../src/cli/replicate/replicate-node.ts';
import { replicateRepair } from '../../src/cli/replicate/replicate-repair.ts';
import { replicateStatus } from '../../src/cli/replicate/replicate-status.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import type { SharedLog } from '../../src/replicated/index.ts';
import { SimulatedLog } from '../../src/testing/index.ts';
import { commandContext, fingerprint, runCli, runOn } from '../support/cli.ts';
import { HOOK_MS } from '../support/engines/engine-process.ts';
import { ETCD, EtcdCluster } from '../support/engines/etcd-cluster.ts';
import { nth } from '../support/nth.ts';
import { flipByte, namesIn } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('an engine address is parsed', () => {
  expect(parseEngine('etcd://a:2379,b:2379').kind).toBe('etcd');
  expect(parseEngine('etcds://u:p@a:2379/meta/').kind).toBe('etcd');
  expect(parseEngine('nats://a:4222').kind).toBe('nats');
  expect(parseEngine('postgres://u@a/db').kind).toBe('postgres');
  for (const wrong of ['a:2379', 'redis://a', 'etcd://', '']) {
    expect(() => parseEngine(wrong)).toThrow(/Expected etcd/);
  }
});

test('an engine that does not answer gives exit code 4, a missing option 2', async () => {
  const away = ['--engine', 'etcd://127.0.0.1:1', '--log', 'a'];
  const { code, err } = await runCli(['replicate', 'status', ...away]);
  expect([code, err]).toEqual([4, expect.stringContaining('no endpoint answers')]);
  expect((await runCli(['replicate', 'status', '--log', 'a'])).code).toBe(2);
  expect((await runCli(['replicate', 'statsu'])).code).toBe(2);
});

test('a command that writes a checkpoint needs a place for it', async () => {
  const engine = ['--engine', 'etcd://127.0.0.1:1', '--log', 'a'];
  for (const command of ['checkpoint', 'repair']) {
    const { code, err } = await runCli(['replicate', command, ...engine, '/tmp/node']);
    expect([code, err]).toEqual([2, expect.stringContaining("option '--checkpoints")]);
  }
});

/** An engine with one log, and how many handles of it are open. */
function engineOf(log: SimulatedLog, changed: (log: SharedLog) => SharedLog = (one) => one) {
  const handles = { opened: 0, closed: 0 };
  const connect = async () => ({
    description: 'simulated',
    log: async () => {
      const handle = log.connect();
      const close = handle.close.bind(handle);
      handles.opened++;
      handle.close = async () => {
        handles.closed++;
        await close();
      };
      return changed(handle);
    },
    elector: () => expect.fail('no elector is used'),
    shardMap: () => expect.fail('no shard map is used'),
    examine: async () => [],
    close: async () => undefined,
  });
  return { handles, engine: { kind: 'etcd' as const, connect } };
}

test('a command closes each log that it opens', async () => {
  const directory = await temporaryDirectory();
  const { engine, handles } = engineOf(new SimulatedLog());
  const context = commandContext();
  expect(await replicatePromote(context, join(directory, 'one'), { engine, log: 'a' })).toBe(0);
  expect(handles).toEqual({ opened: 1, closed: 1 });
});

test('merge and import refuse the store of a node', async () => {
  const directory = await temporaryDirectory();
  const { engine } = engineOf(new SimulatedLog());
  const node = join(directory, 'one');
  await replicatePromote(commandContext(), node, { engine, log: 'a' });
  const store = join(node, 'generation-1', 'store');
  const link = join(directory, 'link');
  await symlink(store, link);
  const input = join(directory, 'in.jsonl');
  await writeFile(input, '{"key":"1","value":"1"}\n');
  const before = await fingerprint(node);
  for (const path of [store, link]) {
    for (const argv of [
      ['merge', path],
      ['import', '--in', input, path],
    ]) {
      const { code, err } = await runCli(argv);
      expect([code, err]).toEqual([2, expect.stringContaining('belongs to a replicated node')]);
    }
  }
  expect(await fingerprint(node)).toEqual(before);
  expect((await runCli(['verify', store])).code).toBe(0);
  // A store of its own may have any name.
  const own = join(directory, 'generation-1', 'store');
  expect((await runCli(['import', '--in', input, own])).code).toBe(0);
});

test('explain says that a node fills a damaged store itself', async () => {
  const directory = await temporaryDirectory();
  const { engine } = engineOf(new SimulatedLog());
  const node = join(directory, 'one');
  await replicatePromote(commandContext(), node, { engine, log: 'a' });
  const store = join(node, 'generation-1', 'store');
  await flipByte(store, nth(await namesIn(store, 'snapshot_'), 0), 60);
  const { code, out } = await runCli(['explain', store]);
  expect([code, out]).toEqual([1, expect.stringContaining('the store of a replicated node')]);
  expect(out).not.toContain("recovery: 'salvage'");
});

test('status and doctor create no directory of checkpoints', async () => {
  const directory = await temporaryDirectory();
  const { engine } = engineOf(new SimulatedLog());
  const checkpoints = join(directory, 'missing', 'checkpoints');
  const options = { engine, log: 'a', checkpoints };
  for (const command of [replicateStatus, replicateDoctor]) {
    await expect(command(commandContext(), options)).rejects.toMatchObject({
      code: 'LODESTORE_CHECKPOINT_STORE',
      message: expect.stringContaining(`there is no directory ${checkpoints}`) as unknown,
    });
  }
  expect(await readdir(directory)).toEqual([]);
});

test('a checkpoint of an empty log is refused with advice', async () => {
  const directory = await temporaryDirectory();
  const { engine } = engineOf(new SimulatedLog());
  const options = { engine, log: 'a', checkpoints: join(directory, 'checkpoints') };
  const written = replicateCheckpoint(commandContext(), join(directory, 'one'), options);
  await expect(written).rejects.toMatchObject({
    code: 'LODESTORE_NOT_PRIMARY',
    message: expect.stringContaining('promote a node first') as unknown,
  });
});

test('an interrupted command does not claim that nothing has changed', async () => {
  const directory = await temporaryDirectory();
  const log = new SimulatedLog();
  const interrupt = new AbortController();
  const { engine } = engineOf(log, (handle) => {
    const append = handle.append.bind(handle);
    handle.append = async (...given) => {
      const result = await append(...given);
      interrupt.abort();
      return result;
    };
    return handle;
  });
  const options = { engine, log: 'a', checkpoints: join(directory, 'checkpoints') };
  const context = commandContext(interrupt.signal);
  const repaired = replicateRepair(context, join(directory, 'one'), options);
  await expect(repaired).rejects.toThrow(/^interrupted; if the log has been continued/);
  expect(log.bounds.last).toBe(1n);
  const other = join(directory, 'two');
  await expect(replicatePromote(context, other, options)).rejects.toThrow(
    /^interrupted; if the node has taken over/,
  );
});

test('an interrupt ends the upload of a checkpoint', async () => {
  const directory = await temporaryDirectory();
  const { engine } = engineOf(new SimulatedLog());
  const checkpoints = join(directory, 'checkpoints');
  const options = { engine, log: 'a', checkpoints };
  await replicatePromote(commandContext(), join(directory, 'one'), options);
  const interrupt = new AbortController();
  const { value } = Object.getOwnPropertyDescriptor(ReplicatedStore.prototype, 'checkpoint')!;
  const begin = value as (this: ReplicatedStore) => ReturnType<ReplicatedStore['checkpoint']>;
  const spy = vi.spyOn(ReplicatedStore.prototype, 'checkpoint').mockImplementation(function (
    this: ReplicatedStore,
  ) {
    const writing = begin.call(this);
    interrupt.abort();
    return writing;
  });
  onTestFinished(() => spy.mockRestore());
  const written = replicateCheckpoint(
    commandContext(interrupt.signal),
    join(directory, 'one'),
    options,
  );
  await expect(written).rejects.toThrow(/^interrupted; an unfinished checkpoint is not used/);
  expect((await readdir(checkpoints)).filter((name) => name.startsWith('checkpoint'))).toEqual([]);
  spy.mockRestore();
  expect(await replicateCheckpoint(commandContext(), join(directory, 'one'), options)).toBe(0);
});

test('status and doctor create neither tables nor a log', async () => {
  const { engine } = engineOf(new SimulatedLog());
  const asked: unknown[] = [];
  const connect: EngineAddress['connect'] = async (given) => ({
    ...(await engine.connect()),
    log: async (_name, options) => {
      asked.push(given?.createTables, options?.create);
      throw new StoreError('LODESTORE_NOT_FOUND', 'there is no such log');
    },
  });
  const options = { engine: { kind: 'nats' as const, connect }, log: 'typo' };
  const seen = await runOn(nodeFileSystem, (context) => replicateStatus(context, options));
  expect([seen.code, seen.out]).toEqual([0, expect.stringContaining('typo: empty')]);
  const node = await temporaryDirectory();
  const { code, out } = await runOn(nodeFileSystem, (context) =>
    replicateDoctor(context, { ...options, node }),
  );
  expect([code, out]).toEqual([
    0,
    expect.stringMatching(
      /^warning {2}log: the log typo is empty, or is not there\n +-> check its/m,
    ),
  ]);
  expect(new Set(asked)).toEqual(new Set([false]));
});

test('a log that is not there is read like an empty one', async () => {
  const interrupt = new AbortController();
  const { engine } = engineOf(new SimulatedLog());
  const connect: EngineAddress['connect'] = async () => ({
    ...(await engine.connect()),
    log: async () => {
      throw new StoreError('LODESTORE_NOT_FOUND', 'there is no such log');
    },
  });
  const options = { engine: { kind: 'nats' as const, connect }, log: 'typo' };
  const reading = lookAt(options, async (log) => {
    for await (const { position } of log.read(1n, { signal: interrupt.signal })) return position;
    return undefined;
  });
  interrupt.abort(new Error('nothing has come'));
  await expect(reading).rejects.toThrow('nothing has come');
});

test('the doctor reports that no new node can be built', () => {
  const view = { engine: 'e', log: 'l', first: 100n, last: 200n, entries: 101n };
  const states = (checkpoints: { name: string; position: bigint }[] | undefined): string[] =>
    ofLog({ ...view, checkpoints }).map(({ check, state }) => `${check}: ${state}`);
  expect(states(undefined)).toEqual(['log: good', 'checkpoints: unknown']);
  expect(states([])).toEqual(['log: good', 'checkpoints: unfit']);
  expect(states([{ name: 'c', position: 98n }])).toEqual(['log: good', 'checkpoints: unfit']);
  expect(states([{ name: 'c', position: 99n }])).toEqual(['log: good', 'checkpoints: good']);
  expect(states([{ name: 'c', position: 201n }])).toEqual(['log: good', 'checkpoints: unfit']);
});

test('the doctor says what to do about a node', () => {
  const checkpoint = (position: bigint) => ({ last: 9n, checkpoints: [{ name: 'c', position }] });
  const trimmed = { kind: 'trimmed', position: 2n, first: 5n } as const;
  expect(ofNode(trimmed, checkpoint(4n))).toMatchObject({ state: 'good' });
  expect(ofNode(trimmed, checkpoint(3n))).toMatchObject({
    state: 'unfit',
    text: 'it is at 2, and the log begins at 5: no checkpoint reaches it',
    remedy: expect.stringContaining('begins another log') as string,
  });
  expect(ofNode(trimmed, { last: 9n, checkpoints: undefined })).toMatchObject({ state: 'unknown' });
  expect(ofNode({ kind: 'ahead', sequence: 12n, last: 9n }, checkpoint(4n))).toMatchObject({
    state: 'unfit',
    remedy: expect.stringContaining('lodestore replicate repair') as string,
  });
  const differs = { kind: 'differs', sequence: 12n, reason: 'at position 9 …' } as const;
  expect(ofNode(differs, checkpoint(4n))).toMatchObject({
    state: 'unfit',
    remedy: expect.stringContaining('empty the directory') as string,
  });
  expect(ofNode('damaged', checkpoint(4n))).toMatchObject({ state: 'warning' });
  expect(ofNode({ kind: 'empty' }, checkpoint(4n))).toMatchObject({ state: 'good' });
});

describe.skipIf(ETCD === undefined)('lodestore replicate (needs etcd-server)', () => {
  let cluster: EtcdCluster;
  beforeAll(async () => {
    cluster = await EtcdCluster.start();
  }, HOOK_MS);
  afterAll(() => cluster.stop(), HOOK_MS);

  test('status, checkpoint, doctor and promote work', async () => {
    const directory = await temporaryDirectory();
    const checkpoints = join(directory, 'checkpoints');
    await mkdir(checkpoints);
    const engine = await EtcdEngine.connect({ endpoints: cluster.endpoints });
    onTestFinished(() => engine.close());
    const open = async (name: string): Promise<ReplicatedStore> =>
      ReplicatedStore.open(join(directory, name), { log: await engine.log('shard-1') });
    const primary = await open('one');
    onTestFinished(() => primary.close());
    await primary.promote();
    for (let key = 1; key <= 5; key++) await primary.put(key, key);
    const address = `etcd://${cluster.endpoints.map((url) => new URL(url).host).join(',')}`;
    const given = ['--engine', address, '--log', 'shard-1', '--checkpoints', checkpoints, '--json'];
    const replicate = async (...argv: string[]): Promise<Record<string, unknown>> => {
      const { code, out, err } = await runCli(['replicate', argv[0]!, ...given, ...argv.slice(1)]);
      expect([code, err]).toEqual([0, '']);
      return JSON.parse(out) as Record<string, unknown>;
    };
    expect(await replicate('status')).toMatchObject({ first: '1', last: '6', checkpoints: [] });
    const other = join(directory, 'two');
    expect(await replicate('checkpoint', other)).toMatchObject({ position: '6' });
    expect(await replicate('status')).toMatchObject({ checkpoints: [{ position: '6' }] });
    const { findings } = await replicate('doctor', '--node', join(directory, 'one'));
    for (const check of ['checkpoints', 'node']) {
      expect(findings).toContainEqual(expect.objectContaining({ check, state: 'good' }));
    }
    expect(await replicate('promote', other)).toMatchObject({ position: '7', epoch: '2' });
    await expect(primary.put(6, 6)).rejects.toThrow(/primary/);
    const text = await runCli(['replicate', 'doctor', ...given.filter((it) => it !== '--json')]);
    expect(text.out).toContain('-> run 3 or 5 members');
  });

  test('repair: a log that lost its end continues; one with more than the node does not', async () => {
    const directory = await temporaryDirectory();
    const engine = await EtcdEngine.connect({ endpoints: cluster.endpoints });
    onTestFinished(() => engine.close());
    const open = async (name: string): Promise<ReplicatedStore> => {
      const checkpoints = await DirectoryCheckpoints.open(join(directory, 'checkpoints'));
      const log = await engine.log('lossy');
      return ReplicatedStore.open(join(directory, name), { log, checkpoints });
    };
    const first = await open('one');
    await first.promote();
    for (let key = 1; key <= 5; key++) await first.put(key, key);
    const behind = await open('two');
    await behind.reached(3n);
    await behind.close();
    await first.close();
    const keyOf = (position: number): string =>
      Buffer.from(`lodestore/log/lossy/${String(position).padStart(16, '0')}`).toString('base64');
    await fetch(`${cluster.endpoints[0]}/v3/kv/deleterange`, {
      method: 'POST',
      body: JSON.stringify({ key: keyOf(5), range_end: keyOf(7) }),
    });
    const address = `etcd://${cluster.endpoints.map((url) => new URL(url).host).join(',')}`;
    const given = ['--engine', address, '--checkpoints', join(directory, 'checkpoints')];
    const repair = (...argv: string[]): ReturnType<typeof runCli> =>
      runCli(['replicate', 'repair', ...given, ...argv]);
    const one = join(directory, 'one');
    const doctor = await runCli(['replicate', 'doctor', ...given, '--log', 'lossy', '--node', one]);
    expect([doctor.code, doctor.out]).toEqual([
      1,
      expect.stringMatching(/^unfit {4}node: it has batches up to 5, .*\n +-> stop all nodes/m),
    ]);
    const { code, out, err } = await repair('--log', 'lossy', '--json', one);
    expect([code, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toMatchObject({ position: '5', sequence: '5', restoredBatches: '2' });
    const again = await open('two');
    onTestFinished(() => again.close());
    await again.reached(5n);
    expect([...again.keys()]).toEqual([1n, 2n, 3n, 4n, 5n]);
    await fetch(`${cluster.endpoints[0]}/v3/kv/deleterange`, {
      method: 'POST',
      body: JSON.stringify({ key: keyOf(1), range_end: keyOf(5) }),
    });
    const empty = ['--checkpoints', join(directory, 'none'), '--log', 'lossy'];
    const late = join(directory, 'late');
    const stopped = await ReplicatedStore.open(late, { log: await engine.log('unused') });
    await stopped.close();
    const refusedOpen = await runCli([
      'replicate',
      'checkpoint',
      '--engine',
      address,
      ...empty,
      late,
    ]);
    expect([refusedOpen.code, refusedOpen.err]).toEqual([
      4,
      expect.stringMatching(/it begins at 5, and there is no checkpoint\. Write a checkpoint/),
    ]);
    const expired = await runCli([
      'replicate',
      'doctor',
      '--engine',
      address,
      ...empty,
      '--node',
      late,
    ]);
    expect([expired.code, expired.out]).toEqual([
      1,
      expect.stringContaining(
        'node: it is at 0, and the log begins at 5: no checkpoint reaches it',
      ),
    ]);
    const other = await engine.log('other');
    const stranger = await ReplicatedStore.open(join(directory, 'three'), { log: other });
    await stranger.promote();
    for (let key = 1; key <= 8; key++) await stranger.put(key, key);
    await stranger.close();
    const refused = await repair('--log', 'other', one);
    expect([refused.code, refused.out]).toEqual([1, '']);
    expect(refused.err).toMatch(/the shared log is not the one that this store has applied/);
    expect((await repair('--log', 'lossy', join(directory, 'two'))).code).toBe(3);
    const text = await repair('--log', 'lossy', one);
    expect(text.out).toMatch(/^restored {4}0 batches that the log had lost, up to batch 5\n/);
    expect(
      (await runCli(['replicate', 'repair', '--engine', address, '--log', 'a', one])).code,
    ).toBe(2);
  });
});
