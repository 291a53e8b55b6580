import { expect, test } from 'vitest';
import { ClaimKeeper, readSyncedEnd } from '../../src/directory/claim-file.ts';
import type { Claim } from '../../src/format/claim.ts';
import { CrashFs } from '../../src/testing/index.ts';

const OWN = new Uint8Array(16).fill(1);
const OTHER = new Uint8Array(16).fill(2);
const BASE: Claim = { storeId: OWN, number: 3, lengthBytes: 1_000, lastSequence: 7n };

/** What a reader finds in a lock file with this claim and this note. */
async function endOf(claim: Claim, note: Claim): Promise<Claim | undefined> {
  const fs = new CrashFs();
  await fs.makeDirectory('/s');
  const path = '/s/lodestore.lock';
  const lock = await fs.tryLock(path);
  await new ClaimKeeper(fs, path, lock!, 'claim').write(claim);
  await new ClaimKeeper(fs, path, lock!, 'note').write(note);
  return readSyncedEnd(fs, '/s', OWN);
}

test.each<[string, Partial<Claim>]>([
  ['the log, which a seal has made longer', { lengthBytes: 1_100 }],
  ['the number of the log', { number: 4, lengthBytes: 80 }],
  ['the sequence', { lastSequence: 8n, number: 2, lengthBytes: 80 }],
])('of a claim and a note the one counts that reaches further: by %s', async (_, change) => {
  const further = { ...BASE, ...change };
  expect(await endOf(further, BASE)).toEqual(further);
  expect(await endOf(BASE, further)).toEqual(further);
});

test('the claim or note of another store does not count beside an own one', async () => {
  const foreign = { ...BASE, storeId: OTHER, lastSequence: 90n };
  expect(await endOf(foreign, BASE)).toEqual(BASE);
  expect(await endOf(BASE, foreign)).toEqual(BASE);
  expect(await endOf(foreign, foreign)).toEqual(foreign);
});
