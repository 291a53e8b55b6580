import { describe, expect, test } from 'vitest';
import { sharedLogConformance } from '../../src/testing/index.ts';
import { MemoryEngine, MemoryLog, type LogFaults } from './memory-log.ts';

function casesWith(faults: LogFaults): ReturnType<typeof sharedLogConformance> {
  return sharedLogConformance(() => {
    const engine = new MemoryEngine();
    return { open: () => Promise.resolve(new MemoryLog(engine, faults)) };
  });
}

describe('a log without a mistake keeps every rule', () => {
  test.each(casesWith({}))('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
});

/** Each mistake, and a case that must catch it. */
const MISTAKES: readonly (readonly [keyof LogFaults, string])[] = [
  ['allowsGaps', 'nothing is appended behind the end'],
  ['overwrites', 'a position that has an entry is occupied, and keeps it'],
  ['isNotAtomic', 'of two that append at one position, one wins'],
  ['forgetsTrims', 'what was trimmed can never be appended again'],
  ['losesOne', 'of two that append at one position, one wins'],
  ['hidesOne', 'of two that append at one position, one wins'],
  ['trimsAll', 'trim never removes the last entry'],
  ['trimIsShort', 'trim removes from the front, and the log goes on'],
  ['skipsTrimmed', 'a reader below the first entry is told'],
  ['reusesMemory', 'entries stay what they are while the reader goes on'],
  ['keepsMemory', 'the caller may reuse the memory of an entry'],
  ['endsAtTheEnd', 'a reader at the end of the log waits'],
  ['yieldsTwice', 'a reader sees a long log whole, and may begin in its middle'],
  ['isUnordered', 'a reader waits for what others append'],
  ['cutsLongEntries', 'entries of every length come back as they were'],
  ['ignoresSignal', 'an aborted append rejects with the reason, and can be repeated'],
  ['ignoresClose', 'close ends readers, and later calls reject'],
  ['boundsCountFromZero', 'an empty log begins at 1 and ends at 0'],
  ['takesAnyLength', 'an entry that is too long, or empty, is refused'],
];

test.each(MISTAKES)('the mistake %s is caught by: %s', async (fault, name) => {
  const found = casesWith({ [fault]: true }).find((one) => one.name === name);
  await expect(found!.run()).rejects.toBeInstanceOf(Error);
});
