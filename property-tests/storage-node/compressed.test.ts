import { expect, test } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { crashProgram } from './crash-program.ts';
import { environmentOn, faultsOf, OPTIONS, openOn, randomOf, read } from './node-world.ts';

const IS_FULL = process.env['LODESTORE_TEST_FULL'] !== undefined;
const SEEDS = IS_FULL ? 40 : 2;
const BLOCK = 65_536;
/** Records and extents of up to three blocks. */
const NODE = { extentBytes: 3 * BLOCK - 11, queueBytes: 2 ** 20, volumeBytes: 4 * BLOCK };

function noiseOf(seed: number, length: number): Buffer {
  const random = randomOf(seed);
  return Buffer.from(Uint8Array.from({ length }, () => 256 * random()));
}

/** Bodies around the boundaries of blocks: some shrink, some do not, some have both kinds. */
function bodyOf(below: (limit: number) => number): Buffer {
  const sizes = [0, 1, 100, 1000, 5000, 20_000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 100];
  const size = below(12) === 0 ? 4 * BLOCK : sizes[below(sizes.length)]!;
  const seed = below(2 ** 30);
  const kind = below(3);
  if (kind === 0) return noiseOf(seed, size);
  const text = Buffer.alloc(size, `${seed} `);
  if (kind === 1) noiseOf(seed, Math.min(size, 30_000)).copy(text);
  return text;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a compressed bucket after a crash at any sync, and after a rebuild, program ${seed}`, async () => {
    const policy = { mode: 'keep' as const, compression: 'zstd' as const };
    const moments = await crashProgram({ seed, every: 151, policy, bodyOf, node: NODE });
    expect(moments.length).toBeGreaterThan(2);
    for (const [i, { fs, expected }] of moments.entries()) {
      const node = await openOn(fs, {}, NODE);
      expect(await faultsOf(node, expected), `moment ${i}`).toEqual([]);
      expect((await node.scrub()).damages).toEqual([]);
      await node.close();
    }
    const { fs, expected } = moments.at(-1)!;
    await rebuildIndex('/node', { ...OPTIONS, ...NODE }, {}, environmentOn(fs));
    const node = await openOn(fs, {}, NODE);
    expect(await faultsOf(node, expected), 'rebuilt').toEqual([]);
    await node.compact();
    await node.settled();
    expect(await faultsOf(node, expected), 'rebuilt and compacted').toEqual([]);
    expect((await node.scrub()).damages).toEqual([]);
    await node.close();
  });
}

test('each flipped byte of a compressed record is refused, and never served', async () => {
  const fs = new CrashFs();
  const node = await openOn(fs, {}, NODE);
  await node.createBucket('b', { mode: 'keep', compression: 'zstd' });
  // Bytes that a frame has as they are: without the checksum, others would be served.
  const half = noiseOf(1, 400);
  const small = Buffer.concat([half, half]);
  // In two extents, of three blocks and of one.
  const large = Buffer.concat([Buffer.alloc(2 * BLOCK, 'x '), noiseOf(2, BLOCK), small]);
  const describe = () => ({ etag: '0'.repeat(32), meta: { headers: { n: 'x' } } });
  await node.put('b', 'large', [large], { describe });
  await node.put('b', 'small', [small], { describe });
  await node.settled();
  const volumes = [...fs.files()].filter(([name]) => name.endsWith('.vol'));
  const [path, bytes] = volumes.sort(([, one], [, other]) => other.length - one.length)[0]!;
  const end = bytes.findLastIndex((byte) => byte !== 0);
  expect(end).toBeGreaterThan(BLOCK);
  const bodies = { small, large };
  const refused = { small: 0, large: 0 };
  for (let at = 4096; at <= end; at++) {
    // Not every byte of the block that is stored as it is.
    if (!IS_FULL && at > 4_400 && at < 4_000 + BLOCK && at % 997 !== 0) continue;
    fs.damage(path, at, Uint8Array.of(bytes[at]! ^ (1 << (at % 8))));
    for (const name of ['small', 'large'] as const) {
      const found = await read(node, 'b', name).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'DAMAGED' });
        return undefined;
      });
      if (found === undefined) refused[name]++;
      else expect(found.equals(bodies[name]), `${name}, byte ${at}`).toBe(true);
    }
    fs.damage(path, at, Uint8Array.of(bytes[at]!));
  }
  // Header, name, label, stored block, table: all but the padding and what only a rebuild needs.
  expect(refused.small).toBeGreaterThan(550);
  expect(refused.large).toBeGreaterThan(600);
  await node.close();
});
