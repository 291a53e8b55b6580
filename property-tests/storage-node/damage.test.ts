import { expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/index.ts';
import { openOn, read } from './node-world.ts';

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
