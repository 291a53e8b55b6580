import { expect, test } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { environmentOn, openOn, OPTIONS, read } from './node-world.ts';

const IS_FULL = process.env['LODESTORE_TEST_FULL'] !== undefined;

test('a flipped bit anywhere in a volume is refused or has no effect, and is never served', async () => {
  const fs = new CrashFs();
  const node = await openOn(fs);
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  const etag = '0'.repeat(32);
  for (let i = 0; i < 12; i++) {
    const body = Buffer.alloc([0, 5, 300, 5000, 9000][i % 5]!, `body ${i} `);
    bodies.set(`n${i}`, body);
    const describe = () => ({ etag, meta: { headers: { n: String(i) } } });
    await node.put('b', `n${i}`, [body], { describe });
  }
  await node.settled();
  const names = [...bodies.keys()].sort();
  const volumes = [...fs.files()].filter(([path]) => path.endsWith('.vol'));
  expect(volumes.length).toBeGreaterThan(1);
  let refused = 0;
  let flips = 0;
  for (const [path, bytes] of volumes) {
    const step = IS_FULL ? 1 : 499;
    for (let at = 4096; at < bytes.length; at += step) {
      const flipped = Uint8Array.of(bytes[at]! ^ (1 << (at % 8)));
      fs.damage(path, at, flipped);
      flips++;
      let isRefused = false;
      for (const [name, body] of bodies) {
        const found = await read(node, 'b', name).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'DAMAGED' });
          return undefined;
        });
        if (found === undefined) isRefused = true;
        else expect(found.equals(body), `${path} ${at}`).toBe(true);
      }
      const page = await node.list('b').catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'DAMAGED' });
        return undefined;
      });
      if (page !== undefined) expect(page.objects.map(({ name }) => name)).toEqual(names);
      if (isRefused) refused++;
      fs.damage(path, at, Uint8Array.of(bytes[at]!));
    }
  }
  expect(flips).toBeGreaterThan(30);
  expect(refused).toBeGreaterThan(5);
  await node.close();
});

/** Bytes of a header that its checksum is about, with the checksum. The others are zeros. */
const CHECKED_BYTES = 60;

test('a volume whose header has a flipped bit is refused with advice, and changed by nothing', async () => {
  const fs = new CrashFs();
  const node = await openOn(fs);
  await node.createBucket('b');
  const body = Buffer.from('body');
  await node.put('b', 'n', [body], {
    describe: () => ({ etag: '0'.repeat(32), meta: { headers: {} } }),
  });
  await node.settled();
  await node.close();
  const volumes = [...fs.files()].filter(([path]) => path.endsWith('.vol'));
  for (const [path, bytes] of volumes) {
    const step = IS_FULL ? 1 : 9;
    for (let at = 0; at < CHECKED_BYTES; at += step) {
      fs.damage(path, at, Uint8Array.of(bytes[at]! ^ (1 << (at % 8))));
      const refusal = {
        code: 'DAMAGED',
        advice: expect.stringContaining('its first 4,096 bytes from any backup') as string,
      };
      await expect(openOn(fs), `${path} ${at}`).rejects.toMatchObject(refusal);
      await expect(
        rebuildIndex('/node', OPTIONS, {}, environmentOn(fs)),
        `${path} ${at}`,
      ).rejects.toMatchObject(refusal);
      fs.damage(path, at, bytes.subarray(at, at + 1));
    }
    // The rest of the block says nothing.
    fs.damage(path, 1_000, Uint8Array.of(1));
  }
  const again = await openOn(fs);
  expect(await read(again, 'b', 'n')).toEqual(body);
  await again.close();
});
