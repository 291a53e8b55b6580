import assert from 'node:assert/strict';
import type { SharedLog } from '../../replicated/log/shared-log.ts';
import type { CaseOf } from './conformance-case.ts';
import {
  append,
  appendAll,
  entryOf,
  mustAppend,
  mustBeOccupied,
  mustHold,
  rejection,
  type OpenedLogs,
} from './opened-log.ts';

const RIVALRIES = 40;

/** What `append` guarantees. */
export const APPEND_CASES: readonly CaseOf<OpenedLogs>[] = [
  { name: 'an empty log has first 1 and last 0', check: checkEmpty },
  { name: 'an entry of any length is read back unchanged', check: checkLengths },
  { name: 'append refuses an entry that is empty or too long', check: checkRefusals },
  { name: 'the caller may reuse the memory of an entry after append', check: checkReuse },
  { name: 'append at a position with an entry is occupied', check: checkOccupied },
  { name: 'append after a gap is occupied', check: checkGap },
  { name: 'a repeated append stores the entry once', check: checkRepeat },
  { name: 'one of two rival appends at a position wins', check: checkRivals },
  { name: 'one of many appends by one handle at a position wins', check: checkCrowd },
  { name: 'a writer with a stale end appends nothing', check: checkStaleWriter },
  { name: 'an aborted append rejects with the reason and can be repeated', check: checkAbort },
];

async function checkEmpty(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  assert.ok(log.maxEntryBytes >= 4096, 'maxEntryBytes must be at least 4,096');
  assert.deepEqual(await log.bounds(), { first: 1n, last: 0n }, 'bounds of an empty log');
  await log.trim(5n);
  await mustAppend(log, 1n, entryOf(1));
  assert.deepEqual(await log.bounds(), { first: 1n, last: 1n }, 'bounds after one append');
}

async function checkLengths(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  const { maxEntryBytes: most } = log;
  const lengths = [1, 2, 3, 4095, 4096, Math.min(65_537, most), most - 1, most];
  const entries = lengths.map((length) => entryOf(length, '', 1000 + length).subarray(0, length));
  for (const [i, entry] of entries.entries()) await mustAppend(log, BigInt(i + 1), entry);
  await mustHold(other, 1n, entries);
}

async function checkRefusals(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  const tooLong = new Uint8Array(log.maxEntryBytes + 1);
  await rejection(log.append(1n, tooLong), 'append of more than maxEntryBytes');
  await rejection(log.append(0n, entryOf(0)), 'append at position 0');
  assert.deepEqual(await log.bounds(), { first: 1n, last: 0n }, 'bounds after refused appends');
}

async function checkReuse(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  const memory = entryOf(1);
  await mustAppend(log, 1n, memory);
  memory.fill(0xee);
  await mustAppend(log, 2n, entryOf(2));
  await mustHold(log, 1n, [entryOf(1), entryOf(2)]);
}

async function checkOccupied(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, 3);
  for (const position of [1n, 2n, 3n]) {
    await mustBeOccupied(other, position, entryOf(position, 'b'), 'which has an entry');
  }
  await mustAppend(other, 4n, entryOf(4));
  await mustHold(
    log,
    1n,
    [1, 2, 3, 4].map((p) => entryOf(p)),
  );
}

async function checkGap(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  await mustBeOccupied(log, 2n, entryOf(2, 'b'), 'in an empty log');
  await mustAppend(log, 1n, entryOf(1));
  await mustBeOccupied(log, 3n, entryOf(3, 'b'), 'in a log that ends at 1');
  await mustBeOccupied(log, 1000n, entryOf(1000, 'b'), 'in a log that ends at 1');
  await mustAppend(log, 2n, entryOf(2));
  await mustAppend(log, 3n, entryOf(3));
  assert.equal((await log.bounds()).last, 3n, 'nothing that was refused may appear later');
  await mustHold(
    log,
    1n,
    [1, 2, 3].map((p) => entryOf(p)),
  );
}

async function checkRepeat(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await mustAppend(log, 1n, entryOf(1));
  // Either answer is correct: the caller reads the position and finds its own entry.
  for (const one of [log, other, log]) await append(one, 1n, entryOf(1));
  await mustAppend(log, 2n, entryOf(2));
  await mustHold(log, 1n, [entryOf(1), entryOf(2)]);
}

async function checkRivals(logs: OpenedLogs): Promise<void> {
  const rivals = [await logs.open(), await logs.open()];
  const winners: Uint8Array[] = [];
  for (let p = 1; p <= RIVALRIES; p++) {
    const results = await Promise.all(
      rivals.map((log, i) => append(log, BigInt(p), entryOf(p, `rival${i}`))),
    );
    const won = results.flatMap((result, i) => (result === 'appended' ? [i] : []));
    assert.equal(
      won.length,
      1,
      `at position ${p}, ${won.length} of two rivals were told 'appended'`,
    );
    winners.push(entryOf(p, `rival${won[0]}`));
  }
  await mustHold(rivals[0]!, 1n, winners);
}

async function checkCrowd(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  for (let p = 1; p <= 5; p++) {
    const entries = Array.from({ length: 8 }, (_, i) => entryOf(p, `crowd${i}`));
    const results = await Promise.all(entries.map((entry) => append(log, BigInt(p), entry)));
    const won = results.filter((result) => result === 'appended').length;
    assert.equal(won, 1, `at position ${p}, ${won} of 8 appends were told 'appended'`);
  }
  assert.deepEqual(await log.bounds(), { first: 1n, last: 5n }, 'bounds after five rounds');
}

async function checkStaleWriter(logs: OpenedLogs): Promise<void> {
  const [stale, log] = [await logs.open(), await logs.open()];
  await mustAppend(stale, 1n, entryOf(1));
  await appendAll(log, 2, 5);
  for (const position of [2n, 3n, 5n]) {
    await mustBeOccupied(stale, position, entryOf(position, 'stale'), 'by a stale writer');
  }
  assert.equal((await log.bounds()).last, 5n, 'the end after a stale writer tried');
}

async function checkAbort(logs: OpenedLogs): Promise<void> {
  const log: SharedLog = await logs.open();
  const reason = new Error('given up');
  const aborted = log.append(1n, entryOf(1), { signal: AbortSignal.abort(reason) });
  assert.equal(await rejection(aborted, 'an aborted append'), reason, 'the reason of the signal');
  const giveUp = new AbortController();
  const appending = appendAborted(log, giveUp.signal);
  giveUp.abort(reason);
  await appending;
  await append(log, 1n, entryOf(1));
  await mustAppend(log, 2n, entryOf(2));
  await mustHold(log, 1n, [entryOf(1), entryOf(2)]);
}

/** The abort may come too late; both results are allowed. */
async function appendAborted(log: SharedLog, signal: AbortSignal): Promise<void> {
  await Promise.allSettled([log.append(1n, entryOf(1), { signal })]);
}
