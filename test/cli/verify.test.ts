import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inspect } from '../../src/cli/inspect.ts';
import { verify } from '../../src/cli/verify.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { encodeFileHeader, FILE_HEADER_BYTES } from '../../src/format/file-header.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore } from '../../src/index.ts';
import { fingerprint, runCli, runOn } from '../support/cli.ts';
import {
  closedStore,
  flipByte,
  insertBatches,
  namesIn,
  SMALL_LOGS,
  tear,
} from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { nth } from '../support/nth.ts';

interface VerifyJson {
  readonly ok: boolean;
  readonly outcome: string;
  readonly chunks: number;
  readonly frames: number;
  readonly damages: readonly {
    readonly path: string;
    readonly offset: number;
    readonly reason: string;
    readonly records: number | null;
    readonly firstKey: string | null;
    readonly lastKey: string | null;
  }[];
  readonly leftoverDamages: readonly unknown[];
}

interface FrameJson {
  readonly offset: number;
  readonly kind: string;
  readonly payloadBytes: number;
  readonly records: number;
}

async function verifyJson(directory: string): Promise<{ json: VerifyJson; code: number }> {
  const { out, code } = await runCli(['verify', '--json', directory]);
  return { json: JSON.parse(out) as VerifyJson, code };
}

async function framesOf(directory: string, kind: string): Promise<FrameJson[]> {
  const { out } = await runCli(['inspect', '--json', '--frames', directory]);
  const { files } = JSON.parse(out) as { files: { frameList?: FrameJson[] }[] };
  return files.flatMap((file) => file.frameList ?? []).filter((frame) => frame.kind === kind);
}

async function nameOf(directory: string, prefix: string): Promise<string> {
  return nth(await namesIn(directory, prefix), 0);
}

/** A store whose snapshot has several chunks. */
async function storeOfChunks(): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  await insertBatches(store, 0, 900);
  await store.merge();
  await store.close();
  return directory;
}

test('verify reports a sound store', async () => {
  const directory = await closedStore();
  const { json, code } = await verifyJson(directory);
  expect(code).toBe(0);
  expect(json).toMatchObject({ ok: true, outcome: 'opens', chunks: 1, frames: 280, damages: [] });
  const { out, err } = await runCli(['verify', directory]);
  expect(out).toMatch(/^Read [0-9,]+ bytes: 1 snapshot of 1 chunk, \d+ logs of 280 frames\.\n/);
  expect(out).toMatch(/No damage found\.\n$/);
  expect(err).toBe('');
});

test('verify finds every damaged chunk with its keys; inspect does not read chunks', async () => {
  const directory = await storeOfChunks();
  const name = await nameOf(directory, 'snapshot_');
  const chunks = await framesOf(directory, 'chunk');
  expect(chunks.length).toBeGreaterThan(2);
  for (const chunk of [nth(chunks, 0), nth(chunks, 2)]) {
    await flipByte(directory, name, chunk.offset + 48 + chunk.payloadBytes - 1);
  }
  const before = await fingerprint(directory);
  expect((await runCli(['inspect', directory])).code).toBe(0);
  const { json, code } = await verifyJson(directory);
  expect(code).toBe(1);
  expect(json.ok).toBe(false);
  expect(json.damages.map((damage) => damage.offset)).toEqual([
    nth(chunks, 0).offset,
    nth(chunks, 2).offset,
  ]);
  const { records } = nth(chunks, 0);
  expect(json.damages[0]).toMatchObject({ records, firstKey: '0', lastKey: String(records - 1) });
  const { out, err } = await runCli(['verify', directory]);
  expect(out).toContain(`with keys 0 to ${records - 1}`);
  expect(out).not.toContain('No damage found');
  expect(err).toMatch(/is damaged at offset 128: .*\(and 1 place more\).*lodestore explain/);
  expect(await fingerprint(directory)).toEqual(before);
});

test('verify finds two swapped chunks', async () => {
  const directory = await storeOfChunks();
  const path = join(directory, await nameOf(directory, 'snapshot_'));
  const chunks = await framesOf(directory, 'chunk');
  const first = nth(chunks, 0);
  const second = nth(chunks, 1);
  const bytes = await readFile(path);
  const size = Math.min(first.payloadBytes, second.payloadBytes) + 48;
  const kept = Buffer.from(bytes.subarray(first.offset, first.offset + size));
  bytes.copyWithin(first.offset, second.offset, second.offset + size);
  kept.copy(bytes, second.offset);
  await writeFile(path, bytes);
  const { json, code } = await verifyJson(directory);
  expect(code).toBe(1);
  expect(json.damages.map((damage) => damage.offset)).toEqual([first.offset, second.offset]);
});

test('damage of a leftover of a merge is a remark, not damage', async () => {
  const directory = await closedStore();
  await writeFile(join(directory, 'log_0000000000000000'), 'not a log any more');
  const { json, code } = await verifyJson(directory);
  expect(code).toBe(0);
  expect(json.leftoverDamages).toHaveLength(1);
  expect((await runCli(['verify', directory])).out).toContain('remark: ');
});

test('a torn tail is a remark, not damage', async () => {
  const directory = await closedStore();
  const name = nth(await namesIn(directory, 'log_'), -1);
  const last = nth(await framesOf(directory, 'batches'), -1);
  await tear(directory, name, last.offset + 60);
  expect((await verifyJson(directory)).json.leftoverDamages).toEqual([]);
  const { out, code } = await runCli(['verify', directory]);
  expect(code).toBe(0);
  expect(out).toContain(`remark: ${name} ends in an incomplete group of 60 bytes at offset `);
});

test('a log of a later format is not damage, but not sound', async () => {
  const directory = await closedStore();
  const golden = await nameOf(directory, 'log_');
  const number = Number.parseInt(golden.slice(4), 16);
  const head = Buffer.alloc(FILE_HEADER_BYTES);
  const storeId = new Uint8Array(16).fill(7);
  const predecessor = { number: number - 1, lengthBytes: 0, lastSequence: 0n, chain: 0 };
  encodeFileHeader(head, { kind: 'log', storeId, number, epoch: 1, predecessor });
  head.writeUInt32LE(4, 8);
  const seed = new ChecksumSeed(storeId, 'log', number);
  head.writeUInt32LE(seed.checksum(head.subarray(0, -4), 0), FILE_HEADER_BYTES - 4);
  await writeFile(join(directory, golden), head);
  for (const command of ['verify', 'inspect', 'dump']) {
    const { code, err } = await runCli([command, directory]);
    expect(code).toBe(4);
    expect(err).toContain('has format version 4');
  }
});

/** The machine's file system, with one file that cannot be read. */
function withUnreadable(name: string): FileSystem {
  const fs = Object.create(nodeFileSystem) as { open: FileSystem['open'] } & FileSystem;
  fs.open = async (path, mode) => {
    if (!path.endsWith(name)) return nodeFileSystem.open(path, mode);
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO', path });
  };
  return fs;
}

test('an unreadable file does not hide the others and is not called damaged', async () => {
  const directory = await closedStore();
  for (const name of [await nameOf(directory, 'log_'), await nameOf(directory, 'snapshot_')]) {
    const fs = withUnreadable(name);
    const shown = await runOn(fs, (context) => inspect(context, directory, {}));
    expect(shown.code).toBe(4);
    expect(shown.out).toMatch(new RegExp(`^${name} .* unreadable$`, 'm'));
    expect(shown.out).toMatch(/^log_.* sealed$/m);
    expect(shown.err).toBe(
      `lodestore: a file could not be read: EIO at ${join(directory, name)}\n`,
    );
    const verified = await runOn(fs, (context) => verify(context, directory, {}));
    expect(verified.code).toBe(4);
    expect(verified.out).not.toContain('No damage found');
  }
});
