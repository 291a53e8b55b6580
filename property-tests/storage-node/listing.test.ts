import { fc } from '@fast-check/vitest';
import { expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/index.ts';
import type { NameHasher } from '../../examples/storage-node/src/names/name-hash.ts';
import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { runs } from '../../test/support/effort.ts';
import { openOn } from './node-world.ts';

/**
 * Names that collide: short, with the delimiter, and beyond the BMP, where UTF-16 and UTF-8 sort
 * differently.
 */
const names = fc
  .array(fc.constantFrom('a', 'b', '/', '//', 'é', '\uffee', '\u{1f600}', '\u{7f}', '0'), {
    minLength: 1,
    maxLength: 4,
  })
  .map((parts) => parts.join(''));

const changes = fc.array(fc.tuple(fc.boolean(), names), { minLength: 1, maxLength: 120 });

const bytesOf = (name: string): Buffer => Buffer.from(name, 'utf8');
const compare = (one: string, other: string): number =>
  Buffer.compare(bytesOf(one), bytesOf(other));

interface Query {
  readonly prefix: string;
  readonly delimiter: string;
  readonly after: string;
  readonly limit: number;
}

const queries = fc.record({
  prefix: fc.oneof(fc.constant(''), names),
  delimiter: fc.constantFrom('', '/', '//', 'é'),
  after: fc.oneof(fc.constant(''), names),
  limit: fc.integer({ min: 1, max: 9 }),
});

/** The listing of a sorted list of names. */
function model(all: ReadonlySet<string>, { prefix, delimiter, after }: Query): string[] {
  const found = new Set<string>();
  for (const name of [...all].sort(compare)) {
    if (!name.startsWith(prefix)) continue;
    const at = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    const item = at < 0 ? name : name.slice(0, at + delimiter.length);
    if (after === '' || compare(item, after) > 0) found.add(item);
  }
  return [...found];
}

async function listed(node: StorageNode, query: Query): Promise<string[]> {
  const items: string[] = [];
  let { after } = query;
  for (;;) {
    const page = await node.list('b', { ...query, after });
    const found = [...page.objects.map(({ name }) => name), ...page.prefixes].sort(compare);
    expect(found.length).toBeLessThanOrEqual(query.limit);
    items.push(...found);
    if (page.next === undefined) return items;
    expect(page.next).toBe(found.at(-1));
    after = page.next;
  }
}

const etag = '0'.repeat(32);
const describe = () => ({ etag, meta: { headers: {} } });

/** All names share three home leaves, so most are elsewhere. */
const colliding: NameHasher = (bucketId, name) => {
  let mark = bucketId;
  for (let i = 0; i < name.length; i++) mark = (mark * 31 + name.charCodeAt(i)) % 2 ** 40;
  return { home: BigInt(name.length % 3), mark };
};

test('pages in byte order equal those of a sorted list, before and after a crash', async () => {
  const several = fc.array(queries, { minLength: 3, maxLength: 6 });
  const property = fc.asyncProperty(changes, several, async (all, asked) => {
    const fs = new CrashFs();
    const node = await openOn(fs);
    await node.createBucket('a');
    await node.createBucket('b');
    await node.createBucket('c');
    const there = new Set<string>();
    for (const [isPut, name] of all) {
      if (isPut) await node.put('b', name, [], { describe });
      else await node.delete('b', name);
      if (isPut) there.add(name);
      else there.delete(name);
      await node.put('a', name, [], { describe });
    }
    for (const query of asked) expect(await listed(node, query)).toEqual(model(there, query));
    const again = await openOn(fs.minimalCrash());
    for (const query of asked) expect(await listed(again, query)).toEqual(model(there, query));
    expect((await again.recount()).isExact).toBe(true);
    await node.close();
    await again.close();
  });
  await fc.assert(property, { numRuns: runs(16) });
});

test('names whose hashes share a home are kept apart', async () => {
  const property = fc.asyncProperty(changes, async (all) => {
    const fs = new CrashFs();
    const node = await openOn(fs, { hash: colliding });
    await node.createBucket('b');
    const there = new Map<string, number>();
    let i = 0;
    for (const [isPut, name] of all) {
      i++;
      if (isPut) {
        const stored = await node.put('b', name, [Buffer.alloc(i)], { describe }).then(
          () => true,
          (error: unknown) => {
            // At most eight names per home.
            expect(error).toMatchObject({ code: 'BAD_NAME' });
            return false;
          },
        );
        if (stored) there.set(name, i);
      } else {
        expect(await node.delete('b', name)).toBe(there.delete(name));
      }
    }
    for (const [name, sizeBytes] of there) {
      expect(await node.info('b', name)).toMatchObject({ name, sizeBytes });
    }
    const { objects } = await node.list('b');
    expect(objects.map(({ name }) => name)).toEqual([...there.keys()].sort(compare));
    await node.compact();
    expect((await node.recount()).isExact).toBe(true);
    await node.close();
  });
  await fc.assert(property, { numRuns: runs(16) });
});
