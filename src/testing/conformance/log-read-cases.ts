import assert from 'node:assert/strict';
import { PositionExpiredError } from '../../base/errors.ts';
import { nextTurn, setImmediate } from '../../base/timers.ts';
import type { LogEntry, SharedLog } from '../../replicated/log/shared-log.ts';
import { settled, type CaseOf } from './conformance-case.ts';
import {
  appendAll,
  entryOf,
  mustAppend,
  mustBeOccupied,
  mustHold,
  readFrom,
  rejection,
  type OpenedLogs,
} from './opened-log.ts';

const BACKLOG = 300;

/** What `read`, `bounds`, `trim` and `close` guarantee. */
export const READ_CASES: readonly CaseOf<OpenedLogs>[] = [
  { name: 'a reader yields a long log, from the start or the middle', check: checkBacklog },
  { name: 'a reader yields entries that others append later', check: checkFollow },
  { name: 'a reader at the end of the log waits', check: checkWaitAtEnd },
  { name: 'entries stay unchanged while the reader continues', check: checkKept },
  { name: 'an aborted reader rejects with the reason', check: checkAbort },
  { name: 'trim removes the first entries, and appends continue', check: checkTrim },
  { name: 'trim never removes the last entry', check: checkTrimAll },
  { name: 'a trimmed position is never appended again', check: checkTrimmedPositions },
  { name: 'a reader below the first entry rejects', check: checkExpired },
  { name: 'a reader yields no gap when entries are trimmed under it', check: checkTrimUnder },
  { name: 'close ends readers, and later calls reject', check: checkClose },
];

/** The result is awaited later, but the append may fail before. */
function ignore(): void {}

/** Lets a reader reach the end of the log, if the log answers at once. */
async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await nextTurn();
}

async function checkBacklog(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, BACKLOG, 8000);
  const all = Array.from({ length: BACKLOG }, (_, i) => entryOf(i + 1, 'a', 8000));
  await mustHold(other, 1n, all);
  await mustHold(other, 200n, all.slice(199));
  assert.deepEqual(await other.bounds(), { first: 1n, last: BigInt(BACKLOG) });
}

async function checkFollow(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, 5);
  const reading = Promise.all([readFrom(other, 1n, 40), readFrom(log, 3n, 38)]);
  reading.catch(ignore);
  await appendAll(log, 6, 40);
  const [whole, part] = await reading;
  for (const { position, entry } of [...whole, ...part]) {
    assert.deepEqual(Buffer.from(entry), Buffer.from(entryOf(position)), `entry ${position}`);
  }
}

async function checkWaitAtEnd(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  const fromStart = readFrom(other, 1n, 1);
  fromStart.catch(ignore);
  await turns();
  await mustAppend(log, 1n, entryOf(1));
  await fromStart;
  const fromEnd = readFrom(other, 2n, 2);
  fromEnd.catch(ignore);
  await turns();
  await appendAll(log, 2, 3);
  await fromEnd;
}

async function checkKept(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  await appendAll(log, 1, 50, 2000);
  for (const { position, entry } of await readFrom(log, 1n, 50)) {
    assert.deepEqual(Buffer.from(entry), Buffer.from(entryOf(position, 'a', 2000)));
  }
}

async function checkAbort(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  await appendAll(log, 1, 2);
  const reason = new Error('enough');
  const ending = new AbortController();
  const seen: bigint[] = [];
  const reading = (async () => {
    for await (const { position } of log.read(1n, { signal: ending.signal })) {
      seen.push(position);
      if (position === 2n) setImmediate(() => ending.abort(reason));
    }
  })();
  assert.equal(await rejection(reading, 'a reader that is aborted'), reason);
  assert.deepEqual(seen, [1n, 2n]);
  const aborted = readAll(log, AbortSignal.abort(reason));
  assert.equal(await rejection(aborted, 'a reader with an aborted signal'), reason);
}

async function readAll(log: SharedLog, signal?: AbortSignal): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for await (const one of log.read(1n, { signal })) entries.push(one);
  return entries;
}

async function checkTrim(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, 10);
  await other.trim(4n);
  assert.deepEqual(await log.bounds(), { first: 5n, last: 10n }, 'bounds after a trim up to 4');
  await other.trim(2n);
  await other.trim(0n);
  assert.deepEqual(await log.bounds(), { first: 5n, last: 10n }, 'a lower trim changes nothing');
  await mustHold(
    log,
    5n,
    [5, 6, 7, 8, 9, 10].map((p) => entryOf(p)),
  );
  await mustAppend(log, 11n, entryOf(11));
  await mustHold(other, 10n, [entryOf(10), entryOf(11)]);
}

async function checkTrimAll(logs: OpenedLogs): Promise<void> {
  const log = await logs.open();
  await appendAll(log, 1, 6);
  await log.trim(6n);
  assert.deepEqual(
    await log.bounds(),
    { first: 6n, last: 6n },
    'after a trim up to the last entry',
  );
  await log.trim(1000n);
  assert.deepEqual(await log.bounds(), { first: 6n, last: 6n }, 'after a trim behind the end');
  await mustAppend(log, 7n, entryOf(7));
  await mustHold(log, 6n, [entryOf(6), entryOf(7)]);
}

async function checkTrimmedPositions(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, 6);
  await log.trim(5n);
  for (const position of [1n, 2n, 5n]) {
    await mustBeOccupied(other, position, entryOf(position, 'late'), 'which was trimmed');
    // Also for the writer of that entry.
    await mustBeOccupied(other, position, entryOf(position), 'which was trimmed');
  }
  assert.deepEqual(await log.bounds(), { first: 6n, last: 6n }, 'bounds after late writers');
  await mustAppend(log, 7n, entryOf(7));
}

async function checkExpired(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, 8);
  await log.trim(5n);
  for (const from of [1n, 5n]) {
    const error = await rejection(readFrom(other, from, 1), `a reader from position ${from}`);
    assert.ok(error instanceof PositionExpiredError, `it rejected with ${String(error)}`);
    assert.equal(error.position, from, 'the position that was asked for');
    assert.equal(error.oldestPosition, 6n, 'the first position of the log');
  }
  await readFrom(other, 6n, 3);
}

async function checkTrimUnder(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, 60);
  let next = 1n;
  const reading = (async () => {
    for await (const { position } of other.read(1n)) {
      assert.equal(position, next++, 'a reader that is trimmed under must not leave a gap');
      if (position === 5n) await log.trim(50n);
      if (position === 60n) break;
    }
  })();
  const [result] = await settled(Promise.allSettled([reading]), 'a reader that is trimmed under');
  // The entries fetched before the trim may be all that it needs.
  if (result.status === 'fulfilled') return;
  const reason: unknown = result.reason;
  if (!(reason instanceof PositionExpiredError)) throw reason;
  assert.equal(reason.position, next, 'the position that the reader would have yielded next');
}

async function checkClose(logs: OpenedLogs): Promise<void> {
  const [log, other] = [await logs.open(), await logs.open()];
  await appendAll(log, 1, 2);
  const closeLog = (): void => void log.close();
  const reading = (async () => {
    for await (const { position } of log.read(1n)) if (position === 2n) setImmediate(closeLog);
  })();
  await settled(Promise.allSettled([reading]), 'a reader of a log that is closed');
  await log.close();
  await log.close();
  await rejection(log.append(3n, entryOf(3)), 'append after close');
  await rejection(log.bounds(), 'bounds after close');
  await rejection(log.trim(1n), 'trim after close');
  await rejection(readFrom(log, 1n, 1), 'read after close');
  await mustAppend(other, 3n, entryOf(3));
}
