import { present } from '../src/base/assert.ts';
import type { CrashModel } from '../src/testing/index.ts';

/*
 * A second implementation of the crash rules: slow and literal, written independently of the
 * simulated file system. It keeps every effect since the start and folds nothing.
 */

const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;

export interface Data {
  /** A trim writes zeros that do not change the size; they end at the end of the file. */
  readonly kind: 'write' | 'truncate' | 'trim';
  readonly position: number;
  /** Bytes written or zeroed; 0 for a truncate. */
  readonly lengthBytes: number;
  readonly value: number;
  state: 'pending' | 'durable' | 'doomed';
}

export interface Name {
  readonly kind: 'create' | 'rename' | 'unlink';
  readonly name: string;
  readonly from: string | undefined;
  readonly file: number;
  durable: boolean;
}

/** The history of one directory. File numbers are indices into `files`. */
export interface History {
  readonly model: CrashModel;
  readonly names: Name[];
  readonly files: Data[][];
}

/** True if a crash after `history` may leave these files. */
export function isLegalTree(history: History, left: ReadonlyMap<string, Uint8Array>): boolean {
  const pending = history.names.filter((effect) => !effect.durable);
  for (let mask = 0; mask < 2 ** pending.length; mask++) {
    const kept = new Set(pending.filter((_effect, bit) => (mask >> bit) % 2 === 1));
    if (!mayKeep(history.model, history.names, pending, kept)) continue;
    const entries = new Map<string, number>();
    for (const effect of history.names) {
      if (!effect.durable && !kept.has(effect)) continue;
      if (effect.kind === 'unlink') entries.delete(effect.name);
      else {
        if (effect.from !== undefined) entries.delete(effect.from);
        entries.set(effect.name, effect.file);
      }
    }
    if (entries.size !== left.size) continue;
    const explained = [...entries].every(([name, file]) => {
      const bytes = left.get(name);
      return bytes !== undefined && isLegalFile(history.model, effectsOf(history, file), bytes);
    });
    if (explained) return true;
  }
  return false;
}

function mayKeep(
  model: CrashModel,
  all: readonly Name[],
  pending: readonly Name[],
  kept: ReadonlySet<Name>,
): boolean {
  if (model === 'posix') return true;
  if (model === 'ordered')
    return pending.every((effect, at) => kept.has(effect) === at < kept.size);
  const names = new Set(all.flatMap(namesOf));
  for (const name of names) {
    let lost = false;
    for (const effect of pending.filter((one) => namesOf(one).includes(name))) {
      if (!kept.has(effect)) lost = true;
      else if (lost) return false;
    }
  }
  return true;
}

/** As {@link isLegalTree}, with the last write of `file` still in flight. */
export function isLegalInFlight(
  history: History,
  file: number,
  left: ReadonlyMap<string, Uint8Array>,
): boolean {
  const effects = effectsOf(history, file);
  const last = present(effects.at(-1), 'a write is in flight');
  for (let lengthBytes = last.lengthBytes; lengthBytes > 0; lengthBytes--) {
    const files = [...history.files];
    // The write may have started with only its first bytes.
    files[file] = [...effects.slice(0, -1), { ...last, lengthBytes }];
    if (isLegalTree({ ...history, files }, left)) return true;
  }
  return false;
}

function isLegalFile(model: CrashModel, effects: readonly Data[], bytes: Uint8Array): boolean {
  const cuts = effects.filter((effect) => effect.kind === 'truncate' && effect.state !== 'durable');
  const fills = model === 'posix' ? [0, 0xa5, 0x61] : [0];
  for (let mask = 0; mask < 2 ** cuts.length; mask++) {
    const lost = new Set(cuts.filter((_cut, bit) => (mask >> bit) % 2 === 1));
    const rest = effects.filter((effect) => !lost.has(effect));
    if (!possibleSizes(rest).has(bytes.length)) continue;
    const oldEnd = oldEndOf(model, effects, lost);
    if (fills.some((fill) => everySectorIsLegal(model, rest, oldEnd, bytes, fill))) return true;
  }
  return false;
}

function possibleSizes(effects: readonly Data[]): Set<number> {
  let sizes = new Set([0]);
  for (const effect of effects) {
    const end = effect.position + effect.lengthBytes;
    if (effect.kind === 'trim') continue;
    if (effect.kind === 'truncate') {
      sizes = new Set([effect.position]);
      continue;
    }
    const next = new Set<number>();
    for (const size of sizes) {
      next.add(Math.max(size, end));
      if (effect.state === 'durable') continue;
      next.add(size);
      for (let page = 0; page < end; page += PAGE_BYTES) {
        if (page > effect.position) next.add(Math.max(size, page));
      }
    }
    sizes = next;
  }
  return sizes;
}

function everySectorIsLegal(
  model: CrashModel,
  effects: readonly Data[],
  oldEnd: number,
  bytes: Uint8Array,
  fill: number,
): boolean {
  for (let start = 0; start < bytes.length; start += SECTOR_BYTES) {
    const end = Math.min(start + SECTOR_BYTES, bytes.length);
    const open = effects.filter(
      (effect) =>
        effect.kind !== 'truncate' &&
        effect.state !== 'durable' &&
        effect.position < end &&
        effect.position + effect.lengthBytes > start,
    );
    let legal = false;
    for (let mask = 0; mask < 2 ** open.length && !legal; mask++) {
      const lost = new Set(open.filter((_effect, bit) => (mask >> bit) % 2 === 1));
      legal = true;
      for (let at = start; at < end && legal; at++) {
        legal = byteAt(model, effects, lost, at, oldEnd, fill) === bytes[at];
      }
    }
    if (!legal) return false;
  }
  return true;
}

/** The byte at `at`, or -1 if the model forbids to lose it. */
function byteAt(
  model: CrashModel,
  effects: readonly Data[],
  lost: ReadonlySet<Data>,
  at: number,
  oldEnd: number,
  fill: number,
): number {
  let value = 0;
  let is: 'nothing' | 'written' | 'lost' | 'dropped' = 'nothing';
  for (const effect of effects) {
    if (effect.kind === 'truncate') {
      if (effect.position > at) continue;
      value = 0;
      is = 'nothing';
    } else if (effect.position <= at && at < effect.position + effect.lengthBytes) {
      if (!lost.has(effect)) {
        value = effect.value;
        is = 'written';
      } else if (effect.kind === 'write' && is !== 'written' && is !== 'lost') {
        is = effect.state === 'doomed' ? 'dropped' : 'lost';
      }
    }
  }
  if (at < oldEnd || is === 'nothing' || is === 'written') return value;
  if (model === 'ordered') return is === 'lost' ? -1 : value;
  return fill;
}

/**
 * The end of a file before the effects that a crash may lose, including a truncate in `lost`. With
 * `ordered`, as far as its size is guaranteed. A write that a later durable one covers no longer
 * counts.
 */
function oldEndOf(model: CrashModel, effects: readonly Data[], lost: ReadonlySet<Data>): number {
  let sizeBytes = 0;
  let settled = true;
  for (const effect of effects) {
    const covered = effects.some(
      (later, at) =>
        at > effects.indexOf(effect) && later.state === 'durable' && covers(later, effect),
    );
    if (effect.state !== 'durable' && !covered) settled = false;
    if (lost.has(effect)) continue;
    if (effect.kind === 'truncate') {
      const cut = model === 'ordered' || settled ? effect.position : sizeBytes;
      sizeBytes = settled || model === 'ordered' ? cut : Math.min(sizeBytes, effect.position);
    } else if (
      effect.kind === 'write' &&
      effect.state === 'durable' &&
      (settled || model === 'ordered')
    ) {
      sizeBytes = Math.max(sizeBytes, effect.position + effect.lengthBytes);
    }
  }
  return sizeBytes;
}

function covers(later: Data, effect: Data): boolean {
  if (later.kind !== 'write' || effect.kind !== 'write') return false;
  const end = effect.position + effect.lengthBytes;
  return later.position <= effect.position && later.position + later.lengthBytes >= end;
}

export function namesOf(effect: Name): string[] {
  return effect.from === undefined ? [effect.name] : [effect.name, effect.from];
}

function effectsOf(history: History, file: number): Data[] {
  return present(history.files[file], 'a file has a history');
}
