import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ancestorChecksum } from '../../src/format/checksum.ts';
import { compressedBound, compressInto } from '../../src/format/compression.ts';
import { fingerprint, runCli } from '../support/cli.ts';
import { closedStore, flipByte, namesIn, tear } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { nth } from '../support/nth.ts';

/**
 * The output of `inspect --json --frames` for a store that opens; otherwise some fields are null or
 * absent.
 */
interface FileJson {
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly bytes: number;
  readonly firstSequence: string;
  readonly lastSequence: string;
  readonly frames: number;
  readonly batches: number;
  readonly records: number;
  readonly offset: number | null;
  readonly frameList: readonly {
    readonly offset: number;
    readonly kind: string;
    readonly batches: number | null;
    readonly records: number | null;
    readonly payloadBytes: number;
    readonly isBehindDamage: boolean;
  }[];
}

interface InspectJson {
  readonly outcome: string;
  readonly storeId: string | null;
  readonly formats: readonly string[];
  readonly owner: { readonly hasLease: boolean; readonly record: { readonly pid: number } } | null;
  readonly claim: {
    readonly storeId: string;
    readonly number: number;
    readonly lengthBytes: number;
    readonly lastSequence: string;
  } | null;
  readonly files: readonly FileJson[];
  readonly opening: {
    readonly logs: readonly string[];
    readonly batches: number;
    readonly lastSequence: string;
    readonly torn: {
      readonly name: string;
      readonly offset: number;
      readonly bytes: number;
    };
    readonly leftovers: readonly string[];
  };
  readonly damages: readonly {
    readonly path: string;
    readonly offset: number;
    readonly reason: string;
    readonly firstSequence: string | null;
    readonly lastSequence: string | null;
  }[];
  readonly foreign: readonly string[];
  readonly verdict: readonly string[];
}

async function inspectJson(
  directory: string,
  ...options: string[]
): Promise<{ json: InspectJson; code: number; err: string }> {
  const { out, code, err } = await runCli(['inspect', '--json', ...options, directory]);
  return { json: JSON.parse(out) as InspectJson, code, err };
}

function logsOf(json: InspectJson): FileJson[] {
  return json.files.filter((file) => file.kind === 'log');
}

test('a closed store: files, owner, and what open would do', async () => {
  const directory = await closedStore();
  const before = await fingerprint(directory);
  const { json, code, err } = await inspectJson(directory);
  expect([code, err]).toEqual([0, '']);
  expect(json.outcome).toBe('opens');
  expect(json.formats).toEqual(['lodestore']);
  expect(json.storeId).toMatch(/^[0-9a-f]{32}$/);
  expect(json.owner).toMatchObject({ hasLease: false, record: { pid: process.pid } });
  const last = json.files.findLast((file) => file.kind === 'log')!;
  const { lastSequence } = last;
  const number = Number.parseInt(last.name.slice(4), 16);
  expect(json.claim).toMatchObject({ storeId: json.storeId, number, lastSequence });
  expect(json.claim!.lengthBytes).toBeGreaterThan(last.bytes / 10);
  const logs = logsOf(json);
  expect(logs.length).toBeGreaterThan(2);
  expect(logs.map((log) => log.state)).toEqual(logs.map(() => 'sealed'));
  expect(json.files[0]).toMatchObject({ kind: 'snapshot', state: 'newest', records: 200 });
  expect(nth(logs, 0).firstSequence).toBe('21');
  expect(nth(logs, -1).lastSequence).toBe('300');
  expect(logs.reduce((sum, log) => sum + log.records, 0)).toBe(2800);
  expect(json.opening).toMatchObject({ batches: 280, lastSequence: '300', torn: null });
  expect(json.opening.leftovers).toEqual([]);
  expect(await fingerprint(directory)).toEqual(before);
});

test('the text output has the same information', async () => {
  const directory = await closedStore();
  const { json } = await inspectJson(directory);
  const { out, code } = await runCli(['inspect', directory]);
  expect(code).toBe(0);
  const number = Number.parseInt(nth(json.files, 0).name.slice(-4), 16);
  const count = logsOf(json).length;
  expect(out).toContain(
    `Opening would replay ${count} logs (280 batches) onto snapshot ${number} (200 records).\n`,
  );
  expect(out).toContain(`process ${process.pid} on host`);
  expect(out).toContain('closed since');
  expect(out).toMatch(
    /^claim +log_[0-9a-f]{16} up to offset [0-9,]+, batch 300, of store [0-9a-f]{32}$/m,
  );
  expect(out).toMatch(/^name +kind +bytes +epoch +sequences +frames +records +state$/m);
  expect(out).toMatch(/^log_0000000000000002 +log +[0-9,]+ +1 +21 - [0-9]+ .* sealed$/m);
});

test('a torn tail is not damage: its place, its length, and that it was never acknowledged', async () => {
  const directory = await closedStore();
  const { json: whole } = await inspectJson(directory, '--frames');
  const last = nth(logsOf(whole), -1);
  const group = nth(
    last.frameList.filter((frame) => frame.kind === 'batches'),
    -1,
  );
  await tear(directory, last.name, group.offset + 100);
  const { json, code } = await inspectJson(directory);
  expect(code).toBe(0);
  expect(json.opening.torn).toMatchObject({ name: last.name, offset: group.offset, bytes: 100 });
  expect(logsOf(json).at(-1)).toMatchObject({ state: 'torn', offset: group.offset });
  const { out } = await runCli(['inspect', directory]);
  expect(out).toContain('and drop an incomplete last group of 100 bytes at ');
  expect(out).toContain(' (a torn write).');
});

test('the bytes of a torn write do not include the zeros reserved after it', async () => {
  const directory = await closedStore();
  const { json: whole } = await inspectJson(directory, '--frames');
  const last = nth(logsOf(whole), -1);
  const group = nth(
    last.frameList.filter((frame) => frame.kind === 'batches'),
    -1,
  );
  await tear(directory, last.name, group.offset + 60);
  await tear(directory, last.name, group.offset + 3_000_000);
  const { json } = await inspectJson(directory);
  expect(json.opening.torn.bytes).toBeLessThanOrEqual(60);
  expect(json.opening.torn.bytes).toBeGreaterThan(48);
});

test('a damaged frame: offset, affected batches, and the valid frames after it', async () => {
  const directory = await closedStore();
  const { json: whole } = await inspectJson(directory, '--frames');
  const log = nth(logsOf(whole), 1);
  const frame = nth(log.frameList, 3);
  await flipByte(directory, log.name, frame.offset + 70);
  const before = await fingerprint(directory);
  const { json, code, err } = await inspectJson(directory, '--frames');
  expect(code).toBe(1);
  expect(json.outcome).toBe('damaged');
  expect(json.opening).toBeNull();
  expect(json.damages).toHaveLength(1);
  expect(json.damages[0]).toMatchObject({
    path: join(directory, log.name),
    offset: frame.offset,
    firstSequence: String(BigInt(log.firstSequence) + 3n),
    lastSequence: log.lastSequence,
  });
  const found = nth(logsOf(json), 1);
  expect(found.state).toBe('damaged');
  const behind = found.frameList.filter((one) => one.isBehindDamage);
  expect(behind).toHaveLength(log.frameList.length - 4);
  expect(err).toMatch(
    new RegExp(`^lodestore: .*${log.name} is damaged at offset ${frame.offset}: .*dump --damaged`),
  );
  expect(await fingerprint(directory)).toEqual(before);
});

test('a missing log is named with its batches', async () => {
  const directory = await closedStore();
  const { json: whole } = await inspectJson(directory);
  const missing = nth(logsOf(whole), 1);
  await rm(join(directory, missing.name));
  const { json, code } = await inspectJson(directory);
  expect(code).toBe(1);
  expect(json.damages).toHaveLength(1);
  expect(nth(json.damages, 0).reason).toContain('is missing');
  const { firstSequence, lastSequence } = missing;
  expect(json.damages[0]).toMatchObject({ firstSequence, lastSequence });
});

test('the next log reveals a log cut between two frames', async () => {
  const directory = await closedStore();
  const { json: whole } = await inspectJson(directory, '--frames');
  const cut = nth(logsOf(whole), 1);
  await truncate(join(directory, cut.name), nth(cut.frameList, 5).offset);
  const { json } = await inspectJson(directory);
  expect(json.damages).toHaveLength(1);
  expect(json.damages[0]).toMatchObject({
    firstSequence: String(BigInt(cut.firstSequence) + 5n),
    lastSequence: cut.lastSequence,
  });
});

test('a damaged snapshot does not hide damage of the logs', async () => {
  const directory = await closedStore();
  const { json: whole } = await inspectJson(directory, '--frames');
  const log = nth(logsOf(whole), 1);
  await flipByte(directory, log.name, nth(log.frameList, 2).offset + 70);
  for (const offset of [20, nth(whole.files, 0).bytes - 5]) {
    await flipByte(directory, nth(whole.files, 0).name, offset);
    const { json, code } = await inspectJson(directory);
    expect(code).toBe(1);
    expect(json.damages.map((damage) => damage.path)).toEqual([
      join(directory, nth(whole.files, 0).name),
      join(directory, log.name),
    ]);
    expect(json.storeId).toBe(whole.storeId);
    await flipByte(directory, nth(whole.files, 0).name, offset);
  }
});

test('two swapped logs', async () => {
  const directory = await closedStore();
  const logs = logsOf((await inspectJson(directory)).json);
  const first = nth(logs, 0);
  const second = nth(logs, 1);
  await rename(join(directory, first.name), join(directory, 'x'));
  await rename(join(directory, second.name), join(directory, first.name));
  await rename(join(directory, 'x'), join(directory, second.name));
  const { json, code } = await inspectJson(directory);
  expect(code).toBe(1);
  expect(json.damages.map((damage) => damage.offset)).toEqual([0, 0]);
});

test('foreign names, temporary files, leftovers of a merge and prepared logs', async () => {
  const directory = await closedStore();
  const newest = nth(await namesIn(directory, 'snapshot_'), 0);
  const logs = await namesIn(directory, 'log_');
  const next = Number.parseInt(nth(logs, -1).slice(4), 16) + 1;
  const prepared = `log_${next.toString(16).padStart(16, '0')}`;
  await writeFile(join(directory, 'notes.txt'), 'mine');
  await mkdir(join(directory, 'log_0000000000000099'));
  await writeFile(join(directory, `${newest}.tmp`), 'half');
  await writeFile(join(directory, 'log_0000000000000000'), 'merged');
  await writeFile(join(directory, 'snapshot_0000000000000000'), 'merged');
  await writeFile(join(directory, prepared), new Uint8Array(4096));
  const { json, code } = await inspectJson(directory);
  expect(code).toBe(0);
  const states = new Map(json.files.map((file) => [file.name, file.state]));
  expect(states.get('notes.txt')).toBe('foreign');
  expect(states.get('log_0000000000000099')).toBe('foreign');
  expect(states.get(`${newest}.tmp`)).toBe('temporary');
  expect(states.get('log_0000000000000000')).toBe('merged leftover');
  expect(states.get('snapshot_0000000000000000')).toBe('merged leftover');
  expect(states.get(prepared)).toBe('prepared');
  expect(json.foreign).toEqual(['log_0000000000000099', 'notes.txt']);
  expect([...json.opening.leftovers].sort()).toEqual(
    [`${newest}.tmp`, 'log_0000000000000000', 'snapshot_0000000000000000', prepared].sort(),
  );
  expect(json.verdict[0]).toContain('and remove 4 leftovers.');
});

test('--frames lists every frame, the seal and the chunks', async () => {
  const directory = await closedStore();
  const { json } = await inspectJson(directory, '--frames');
  for (const log of logsOf(json)) {
    const frames = log.frameList;
    expect(frames).toHaveLength(log.frames + 1);
    expect(nth(frames, -1).kind).toBe('seal');
    expect(frames.reduce((sum, frame) => sum + (frame.batches ?? 0), 0)).toBe(log.batches);
    frames.slice(1).forEach((frame, i) => {
      expect(frame.offset).toBe(nth(frames, i).offset + 48 + nth(frames, i).payloadBytes);
    });
  }
  expect(nth(json.files, 0).frameList.map((frame) => frame.kind)).toEqual(['chunk', 'index']);
  const { out } = await runCli(['inspect', '--frames', directory]);
  expect(out).toMatch(/^offset +kind +codec +payload +decoded +first sequence +batches +records/m);
  expect(out).toMatch(/^ *128 +batches +(zstd|raw) +[0-9,]+ +[0-9,]+ +21 +1 +10 +[0-9a-f]{8}$/m);
});

test("an ancestor's frame that is decoded in pieces is one line", async () => {
  const directory = await temporaryDirectory();
  const dataBytes = 300_000;
  const rows = Buffer.alloc(2 * (24 + dataBytes));
  for (const [i, at] of [0, 24 + dataBytes].entries()) {
    rows.writeBigUInt64LE(BigInt(i), at);
    rows.writeBigUInt64LE(1n, at + 8);
    rows.writeBigUInt64LE(BigInt(dataBytes), at + 16);
  }
  const payload = new Uint8Array(compressedBound(rows.length));
  const frame = Buffer.alloc(12 + compressInto(payload, rows, 3));
  frame.writeBigUInt64LE(BigInt(frame.length - 12));
  frame.set(payload.subarray(0, frame.length - 12), 8);
  frame.writeUInt32LE(ancestorChecksum(frame.subarray(0, -4)), frame.length - 4);
  await writeFile(join(directory, 'log_0000000000000001'), Buffer.concat([frame, frame]));
  const { json } = await inspectJson(directory, '--frames');
  // Lengths in our rows take four bytes, not eight.
  const decodedBytes = rows.length - 8;
  const line = { records: 2, decodedBytes, payloadBytes: frame.length - 12, checksum: null };
  expect(nth(logsOf(json), 0).frameList).toMatchObject([
    { ...line, offset: 0 },
    { ...line, offset: frame.length },
  ]);
});

test('an empty directory has no store', async () => {
  const directory = await temporaryDirectory();
  const { code, out, err } = await runCli(['inspect', directory]);
  expect(code).toBe(4);
  expect(out).toContain('There is no store here.');
  expect(err).toBe(`lodestore: there is no store in ${directory}\n`);
});
