import { describe, expect, test } from 'vitest';
import { sharedLogConformance, SimulatedLog } from '../../src/testing/index.ts';
import { MemoryEngine, MemoryLog, type LogFaults } from './memory-log.ts';

function casesWith(faults: LogFaults): ReturnType<typeof sharedLogConformance> {
  return sharedLogConformance(() => {
    const engine = new MemoryEngine();
    return { open: () => Promise.resolve(new MemoryLog(engine, faults)) };
  });
}

describe('a log without a mistake passes every case', () => {
  test.each(casesWith({}))('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
});

/** The block of docs/TESTING.md. */
function freshLog(): { open: () => Promise<ReturnType<SimulatedLog['connect']>> } {
  const log = new SimulatedLog();
  return { open: () => Promise.resolve(log.connect()) };
}

describe('the simulated log passes every case', () => {
  test.each(sharedLogConformance(freshLog))('$name', async ({ run }) =>
    expect(run()).resolves.toBeUndefined(),
  );
});

/** Each mistake, and a case that must catch it. */
const MISTAKES: readonly (readonly [keyof LogFaults, string])[] = [
  ['allowsGaps', 'append after a gap is occupied'],
  ['overwrites', 'append at a position with an entry is occupied'],
  ['isNotAtomic', 'one of two rival appends at a position wins'],
  ['forgetsTrims', 'a trimmed position is never appended again'],
  ['losesOne', 'one of two rival appends at a position wins'],
  ['hidesOne', 'one of two rival appends at a position wins'],
  ['trimsAll', 'trim never removes the last entry'],
  ['trimIsShort', 'trim removes the first entries, and appends continue'],
  ['skipsTrimmed', 'a reader below the first entry rejects'],
  ['reusesMemory', 'entries stay unchanged while the reader continues'],
  ['keepsMemory', 'the caller may reuse the memory of an entry after append'],
  ['endsAtTheEnd', 'a reader at the end of the log waits'],
  ['yieldsTwice', 'a reader yields a long log, from the start or the middle'],
  ['isUnordered', 'a reader yields entries that others append later'],
  ['cutsLongEntries', 'an entry of any length is read back unchanged'],
  ['ignoresSignal', 'an aborted append rejects with the reason and can be repeated'],
  ['ignoresClose', 'close ends readers, and later calls reject'],
  ['boundsCountFromZero', 'an empty log has first 1 and last 0'],
  ['takesAnyLength', 'append refuses an entry that is empty or too long'],
];

test.each(MISTAKES)('the case catches the mistake %s: %s', async (fault, name) => {
  const found = casesWith({ [fault]: true }).find((one) => one.name === name);
  await expect(found!.run()).rejects.toBeInstanceOf(Error);
});
