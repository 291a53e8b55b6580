import { createHash, randomBytes, randomInt } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { hashOf, type SoakLedger, type SoakName } from './soak-ledger.ts';
import { SOAK_OPTIONS, type SoakCounts } from './soak-report.ts';

/** After the header of a volume. */
const FIRST_BYTE = 4096;

function turnBit(path: string, at: number): void {
  const file = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, at);
    byte[0]! ^= 1 << (at % 8);
    writeSync(file, byte, 0, 1, at);
  } finally {
    closeSync(file);
  }
}

/**
 * Flips a bit in a volume of a node that was checked and closed. Every later read must be refused
 * or unchanged. Then the damaged objects are stored again, or the bit is flipped back.
 */
export async function flip(data: string, ledger: SoakLedger, counts: SoakCounts): Promise<void> {
  const volumes = join(data, 'volumes');
  const files = readdirSync(volumes)
    .map((name) => join(volumes, name))
    .filter((path) => statSync(path).size > FIRST_BYTE);
  if (files.length === 0) return;
  const path = files[randomInt(files.length)]!;
  const at = randomInt(FIRST_BYTE, statSync(path).size);
  turnBit(path, at);
  counts.flips++;
  const node = await StorageNode.open(data, { ...SOAK_OPTIONS, upkeepMs: 0 });
  let isRepaired = false;
  try {
    const refused = await damagedNames(node, ledger);
    counts.refusedReads += refused.length;
    counts.compressedRefusedReads += refused.filter(({ bucket }) => bucket === 'z').length;
    const { damages } = await node.scrub();
    if (refused.length > 0 && damages.length === 0) throw new Error('the scrubber found nothing');
    const isOfObjects = damages.every((damage) => {
      return refused.some(({ bucket, name }) => damage.bucket === bucket && damage.name === name);
    });
    // A volume with damage is not evicted, and the next one would go in its place.
    const isEvictable = refused.some(({ bucket }) => bucket === 'q');
    if (refused.length > 0 && isOfObjects && !isEvictable && randomInt(2) === 0) {
      for (const name of refused) await storeAgain(node, name, ledger);
      counts.restored += refused.length;
      isRepaired = true;
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'NO_SPACE') throw error;
  } finally {
    await node.close();
  }
  if (!isRepaired) turnBit(path, at);
}

async function damagedNames(node: StorageNode, ledger: SoakLedger): Promise<SoakName[]> {
  const refused: SoakName[] = [];
  for (const each of ledger.names) {
    try {
      const found = await hashOf(node, each);
      const settled = ledger.settled(each);
      if (found === settled) continue;
      const told = `${found ?? 'nothing'} instead of ${settled ?? 'nothing'}`;
      throw new Error(`${each.bucket}/${each.name}: ${told}`);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'DAMAGED') throw error;
      refused.push(each);
    }
  }
  return refused;
}

async function storeAgain(
  node: StorageNode,
  { bucket, name }: SoakName,
  ledger: SoakLedger,
): Promise<void> {
  const body = randomBytes(randomInt(30_000));
  const hash = createHash('sha256').update(body).digest('hex');
  const etag = createHash('md5').update(body).digest('hex');
  const said = { bucket, name, hash, isSynced: true };
  ledger.take({ type: 'begin', ...said });
  await node.put(bucket, name, [body], {
    acknowledge: 'synced',
    describe: () => ({ etag, meta: { headers: {} } }),
  });
  ledger.take({ type: 'done', ...said });
}
