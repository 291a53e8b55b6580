import type { LogFold } from './log-fold.ts';
import { isLinearizable, type RegisterOperation } from './register-checker.ts';

/** A client's request and the response. Times are positions of the log's end. */
export interface ClientWrite {
  readonly id: bigint;
  readonly writes: readonly (readonly [key: bigint, value: bigint])[];
  /** `ifValue` of the first key; 0 means `ifAbsent`. */
  readonly expected: bigint | undefined;
  readonly calledAt: bigint;
  returnedAt: bigint | undefined;
  readonly calledTick: number;
  returnedTick: number;
  result: 'open' | 'applied' | 'not-applied' | 'unknown' | 'condition';
  sequence: bigint | undefined;
}

export interface ClientRead {
  readonly key: bigint;
  readonly value: bigint;
  readonly calledAt: bigint;
  readonly returnedAt: bigint;
  readonly calledTick: number;
  readonly returnedTick: number;
}

/** A successful promotion of a node that was not the primary. */
export interface Promotion {
  readonly address: string;
  readonly calledAt: bigint;
  readonly returnedAt: bigint;
}

/** Each batch writes its id to a separate key, so that it can be found in the log. */
export const MARKER_BASE = 1_000_000n;

export class BrokenPromise extends Error {}

/** What the clients of one run saw, to be checked against the log. */
export class History {
  readonly writes: ClientWrite[] = [];
  readonly reads: ClientRead[] = [];
  readonly promotions: Promotion[] = [];
  #tick = 0;

  /** A moment that is later than all earlier ones. */
  tick(): number {
    return ++this.#tick;
  }

  /** Throws BrokenPromise. */
  check(fold: LogFold): void {
    const placed = new Map<bigint, { position: bigint; sequence: bigint }[]>();
    for (const { position, sequence, writes } of fold.batches) {
      for (const [key] of writes) {
        if (key < MARKER_BASE) continue;
        const id = key - MARKER_BASE;
        placed.set(id, [...(placed.get(id) ?? []), { position, sequence }]);
      }
    }
    for (const write of this.writes) this.#checkWrite(write, placed.get(write.id) ?? [], fold);
    for (const read of this.reads) checkRead(read, fold);
    for (const promotion of this.promotions) checkPromotion(promotion, fold);
    this.#checkRegisters();
  }

  /** Also checks each key by itself, using only the times of calls and returns. */
  #checkRegisters(): void {
    const keys = new Set(this.reads.map(({ key }) => key));
    for (const key of keys) {
      const operations = [
        ...this.writes.flatMap((write) => operationOf(write, key)),
        ...this.reads.filter((read) => read.key === key).map(readOperation),
      ];
      if (!isLinearizable(operations)) throw new BrokenPromise(`key ${key} is not linearizable`);
    }
  }

  #checkWrite(
    write: ClientWrite,
    places: readonly { readonly position: bigint; readonly sequence: bigint }[],
    fold: LogFold,
  ): void {
    const what = `batch ${write.id}, told ${write.result}`;
    const [place] = places;
    if (places.length > 1) throw new BrokenPromise(`${what}, is in the log ${places.length} times`);
    if (write.result === 'applied' && place === undefined) {
      throw new BrokenPromise(`${what}, is not in the log`);
    }
    if (write.result === 'not-applied' && place !== undefined) {
      throw new BrokenPromise(`${what}, is in the log at ${place.position}`);
    }
    if (write.result === 'condition') {
      if (place !== undefined) throw new BrokenPromise(`${what}, is in the log`);
      const failedSomewhere = range(write.calledAt, write.returnedAt!).some((position) =>
        statesWithin(position, fold).some((state) => !holds(write, state)),
      );
      if (!failedSomewhere) throw new BrokenPromise(`${what}, but its condition held all the time`);
    }
    if (place === undefined) return;
    if (write.result === 'applied' && place.sequence !== write.sequence) {
      throw new BrokenPromise(`${what} with ${write.sequence}, has sequence ${place.sequence}`);
    }
    if (place.position <= write.calledAt) {
      throw new BrokenPromise(`${what}, is at ${place.position}, before it was asked for`);
    }
    if (write.result === 'applied' && place.position > write.returnedAt!) {
      throw new BrokenPromise(`${what}, came to ${place.position} after it was acknowledged`);
    }
    if (!holdsBefore(write, place, fold)) {
      throw new BrokenPromise(`${what}, was applied at ${place.position} against its condition`);
    }
  }
}

function range(from: bigint, to: bigint): bigint[] {
  return Array.from({ length: Number(to - from) + 1 }, (_, i) => from + BigInt(i));
}

function holds({ expected, writes }: ClientWrite, state: ReadonlyMap<bigint, bigint>): boolean {
  if (expected === undefined) return true;
  return (state.get(writes[0]![0]) ?? 0n) === expected;
}

/** The states after each batch of the entry at a position. */
function statesWithin(position: bigint, fold: LogFold): ReadonlyMap<bigint, bigint>[] {
  const batches = fold.batches.filter((batch) => batch.position === position);
  const states = [fold.at(position)];
  const state = new Map(fold.at(position > 0n ? position - 1n : 0n));
  for (const { writes } of batches) {
    for (const [key, value] of writes) {
      if (value === 0n) state.delete(key);
      else state.set(key, value);
    }
    states.push(new Map(state));
  }
  return states;
}

/** For batches of the same group, earlier ones count, too. */
function holdsBefore(
  write: ClientWrite,
  place: { readonly position: bigint; readonly sequence: bigint },
  fold: LogFold,
): boolean {
  const state = new Map(fold.at(place.position - 1n));
  for (const batch of fold.batches) {
    if (batch.position !== place.position || batch.sequence >= place.sequence) continue;
    for (const [key, value] of batch.writes) {
      if (value === 0n) state.delete(key);
      else state.set(key, value);
    }
  }
  return holds(write, state);
}

/** A read after a barrier shows the state at some position between its call and its return. */
function checkRead({ key, value, calledAt, returnedAt }: ClientRead, fold: LogFold): void {
  const isSeen = range(calledAt, returnedAt).some(
    (position) => (fold.at(position).get(key) ?? 0n) === value,
  );
  if (isSeen) return;
  throw new BrokenPromise(
    `a read of ${key} between ${calledAt} and ${returnedAt} saw ${value}, which it never was`,
  );
}

function checkPromotion({ address, calledAt, returnedAt }: Promotion, fold: LogFold): void {
  const isThere = fold.takeovers.some(
    (one) => one.address === address && one.position > calledAt && one.position <= returnedAt,
  );
  if (isThere) return;
  throw new BrokenPromise(
    `${address} became the primary between ${calledAt} and ${returnedAt} without a takeover`,
  );
}

function operationOf(write: ClientWrite, key: bigint): RegisterOperation[] {
  const { result, expected, writes, calledTick, returnedTick } = write;
  const own = writes.find(([written]) => written === key);
  if (own === undefined || result === 'not-applied') return [];
  const isConditional = expected !== undefined && writes[0]![0] === key;
  if (result === 'condition' && !isConditional) return [];
  const isUnknown = result === 'unknown' || result === 'open';
  const condition = isConditional ? expected : undefined;
  return [
    {
      calledAt: calledTick,
      returnedAt: isUnknown ? Infinity : returnedTick,
      isOptional: isUnknown,
      finds: result === 'condition' ? undefined : condition,
      findsNot: result === 'condition' ? condition : undefined,
      leaves: result === 'condition' ? undefined : own[1],
    },
  ];
}

function readOperation({ value, calledTick, returnedTick }: ClientRead): RegisterOperation {
  return {
    calledAt: calledTick,
    returnedAt: returnedTick,
    isOptional: false,
    finds: value,
    findsNot: undefined,
    leaves: undefined,
  };
}
