import assert from 'node:assert/strict';
import type { LogEntry, SharedLog } from '../../replicated/log/shared-log.ts';
import { settled } from './conformance-case.ts';

/** A log that a case runs on. */
export interface SharedLogSubject {
  /**
   * Opens a handle of one log. The log is empty when the case begins. Two handles represent two
   * machines: they must not share a connection if the adapter can avoid it.
   */
  open(): Promise<SharedLog>;
}

/** The handles that a case has opened. */
export class OpenedLogs {
  readonly #subject: SharedLogSubject;
  readonly #opened: SharedLog[] = [];

  constructor(subject: SharedLogSubject) {
    this.#subject = subject;
  }

  async open(): Promise<SharedLog> {
    const log = await settled(this.#subject.open(), 'open');
    this.#opened.push(log);
    return log;
  }

  async close(): Promise<void> {
    for (const log of this.#opened) await log.close();
  }
}

/** An entry that differs from all others: position, writer, and bytes of all values. */
export function entryOf(position: number | bigint, writer = 'a', lengthBytes = 300): Uint8Array {
  const name = Buffer.from(`${writer}:${position}:`);
  const entry = new Uint8Array(Math.max(lengthBytes, name.length));
  for (let i = 0; i < entry.length; i++) entry[i] = (i * 7 + Number(position)) & 0xff;
  entry.set(name);
  return entry;
}

/** Appends entries of one writer from position `from` to `to`; each must be appended. */
export async function appendAll(
  log: SharedLog,
  from: number,
  to: number,
  lengthBytes?: number,
): Promise<void> {
  for (let p = from; p <= to; p++) await mustAppend(log, BigInt(p), entryOf(p, 'a', lengthBytes));
}

export async function mustAppend(
  log: SharedLog,
  position: bigint,
  entry: Uint8Array,
): Promise<void> {
  const result = await append(log, position, entry);
  assert.equal(result, 'appended', `append at the end of the log, position ${position}`);
}

export async function mustBeOccupied(
  log: SharedLog,
  position: bigint,
  entry: Uint8Array,
  where: string,
): Promise<void> {
  const result = await append(log, position, entry);
  assert.equal(result, 'occupied', `append at position ${position}, ${where}`);
}

export function append(
  log: SharedLog,
  position: bigint,
  entry: Uint8Array,
): Promise<'appended' | 'occupied'> {
  return settled(log.append(position, entry), `append at position ${position}`);
}

/** Reads `count` entries from `from` on. Checks that positions are consecutive. */
export async function readFrom(log: SharedLog, from: bigint, count: number): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  const reading = (async () => {
    for await (const one of log.read(from)) {
      const expected = from + BigInt(entries.length);
      assert.equal(one.position, expected, `a reader must yield positions in order, without gaps`);
      entries.push(one);
      if (entries.length === count) break;
    }
  })();
  await settled(reading, `read ${count} entries from position ${from}`);
  assert.equal(entries.length, count, 'a reader must not end by itself');
  return entries;
}

/** Checks that the log holds these entries from position `from` on. */
export async function mustHold(
  log: SharedLog,
  from: bigint,
  expected: readonly Uint8Array[],
): Promise<void> {
  const entries = await readFrom(log, from, expected.length);
  for (const [i, { position, entry }] of entries.entries()) {
    const isSame = Buffer.compare(entry, expected[i]!) === 0;
    assert.ok(isSame, `the entry at position ${position} has other bytes than were appended`);
  }
}

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>, what: string): Promise<unknown> {
  const [result] = await settled(Promise.allSettled([promise]), what);
  assert.equal(result.status, 'rejected', `${what} must reject`);
  return result.reason;
}
