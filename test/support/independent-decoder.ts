import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { demand } from './independent-decoder-checks.ts';
import { decodeClaim, type DecodedClaim } from './independent-decoder-claim.ts';
import type { Previous, StoredFile } from './independent-decoder-file.ts';
import { decodeLog, type DecodedLog, type Row } from './independent-decoder-log.ts';
import { decodeSnapshot, type DecodedSnapshot } from './independent-decoder-snapshot.ts';

/**
 * A second reader of our directories, written only from docs/FORMAT.md: it imports nothing from
 * `src/` and checks everything that the document requires. Slow and simple on purpose.
 */
export interface DecodedDirectory {
  readonly snapshot: DecodedSnapshot;
  /** Logs after the snapshot that are not blank. */
  readonly logs: readonly DecodedLog[];
  /** The claim in the lock file, if any. */
  readonly claim: DecodedClaim | undefined;
  /** Records by ascending key. */
  readonly records: readonly Row[];
}

/** Reads a directory. Throws FormatError where a reader must refuse. */
export function decodeDirectory(directory: string): DecodedDirectory {
  const names = readdirSync(directory);
  const file = (kind: StoredFile['kind'], number: number): StoredFile => {
    const name = `${kind}_${number.toString(16).padStart(16, '0')}`;
    return { kind, number, bytes: readFileSync(join(directory, name)) };
  };
  const newest = numbersOf(names, 'snapshot').at(-1);
  demand(newest !== undefined, 'there is a snapshot');
  const snapshot = decodeSnapshot(file('snapshot', newest));
  const { storeId } = snapshot.head;
  const read = numbersOf(names, 'log')
    .filter((number) => number > newest)
    .map((number) => decodeLog(file('log', number), storeId));
  const logs = read.slice(0, 1 + read.findLastIndex((log) => log.ending !== 'blank'));
  demandChain(snapshot, logs);
  const claim = names.includes('lodestore.lock')
    ? decodeClaim(readFileSync(join(directory, 'lodestore.lock')))
    : undefined;
  demandClaimed(claim, snapshot, newest, logs);
  const records = new Map(snapshot.records.map((row) => [row.key, row]));
  for (const row of logs.flatMap((log) => log.rows)) {
    if (row.value !== 0n) records.set(row.key, row);
    else if (row.upTo === undefined) records.delete(row.key);
    else for (const key of records.keys()) if (isWithin(key, row)) records.delete(key);
  }
  const sorted = [...records.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  return { snapshot, logs, claim, records: sorted };
}

function isWithin(key: bigint, { key: lowest, upTo = lowest }: Row): boolean {
  return key >= lowest && key <= upTo;
}

function numbersOf(names: readonly string[], kind: StoredFile['kind']): number[] {
  const pattern = new RegExp(`^${kind}_([0-9a-f]{16})$`);
  return names
    .flatMap((name) => pattern.exec(name)?.slice(1) ?? [])
    .map((digits) => Number.parseInt(digits, 16))
    .sort((a, b) => a - b);
}

/** Section "Claim". */
function demandClaimed(
  claim: DecodedClaim | undefined,
  snapshot: DecodedSnapshot,
  newest: number,
  logs: readonly DecodedLog[],
): void {
  if (claim === undefined || claim.number <= newest) return;
  if (Buffer.compare(claim.storeId, snapshot.head.storeId) !== 0) return;
  const log = logs.find(({ number }) => number === claim.number);
  demand(log !== undefined && log.ending !== 'blank', 'the log that is claimed is there');
  demand(log.validBytes >= claim.lengthBytes, 'it is as long as claimed');
  demand(log.lastSequence >= claim.lastSequence, 'it holds what is claimed');
}

/** Section "Log", "Across files". */
function demandChain(snapshot: DecodedSnapshot, logs: readonly DecodedLog[]): void {
  let expected: Previous = snapshot.head.previous;
  let { epoch } = snapshot.head;
  logs.forEach((log, i) => {
    const isLast = i === logs.length - 1;
    demand(log.number === expected.number + 1, 'numbers have no gap');
    const isWhole = log.ending === 'sealed' || log.ending === 'end';
    demand(isWhole || (isLast && log.ending === 'torn'), `log ${log.number} is not damaged`);
    const { head } = log;
    if (head === undefined) return;
    demand(Buffer.compare(head.storeId, snapshot.head.storeId) === 0, 'the store is the same');
    demand(head.epoch >= epoch, 'epochs never fall');
    const { previous } = head;
    demand(
      previous.number === expected.number &&
        previous.lengthBytes === expected.lengthBytes &&
        previous.lastSequence === expected.lastSequence &&
        previous.chain === expected.chain,
      `log ${log.number} follows the log before it`,
    );
    epoch = head.epoch;
    const { number, validBytes, lastSequence, chain } = log;
    expected = { number, lengthBytes: validBytes, lastSequence, chain };
  });
}
