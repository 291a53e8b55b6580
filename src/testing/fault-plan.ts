import type { SystemErrorCode } from './disk/system-error.ts';

/**
 * Kinds of calls that can be counted and made to fail. `writeSync` is the sync at the end of a
 * write on an `rs+` handle. `writev` and `preallocate` count as `write`, and `sync` as `dataSync`.
 */
export type CallKind =
  | 'open'
  | 'read'
  | 'write'
  | 'writeSync'
  | 'truncate'
  | 'trim'
  | 'dataSync'
  | 'close'
  | 'readDirectory'
  | 'stat'
  | 'rename'
  | 'unlink'
  | 'link'
  | 'makeDirectory'
  | 'removeDirectory'
  | 'syncDirectory'
  | 'freeBytes'
  | 'tryLock'
  | 'takeLease'
  | 'renewLease'
  | 'breakLease'
  | 'holdDirectory';

/** All kinds of calls, for tests that make each of them fail. */
export const CALL_KINDS: readonly CallKind[] = [
  'open',
  'read',
  'write',
  'writeSync',
  'truncate',
  'trim',
  'dataSync',
  'close',
  'readDirectory',
  'stat',
  'rename',
  'unlink',
  'link',
  'makeDirectory',
  'removeDirectory',
  'syncDirectory',
  'freeBytes',
  'tryLock',
  'takeLease',
  'renewLease',
  'breakLease',
  'holdDirectory',
];

export interface FaultRule {
  readonly call: CallKind;
  /** The first matching call that fails; 1 is the next one. Default 1. */
  readonly nth?: number;
  /** Default `EIO`. */
  readonly error?: SystemErrorCode;
  /**
   * - `once`: only that call.
   * - `sticky`: that call and all later ones.
   * - `short`, for writes: that call writes less than requested, and the next one fails.
   *
   * Default `once`.
   */
  readonly mode?: 'once' | 'sticky' | 'short';
  /** Only calls on this path. */
  readonly path?: string | RegExp;
  /** The call takes effect and still rejects. For calls that change names, sizes or locks. */
  readonly takesEffect?: boolean;
  /**
   * Bytes that a failing or short write still applies. Default 0; for a short write, all but one.
   */
  readonly appliedBytes?: number;
  /** A failing sync also discards the visible bytes, as btrfs does. */
  readonly revert?: boolean;
}

/** The fault of one call. */
export interface Fault {
  readonly error: SystemErrorCode;
  /** The write succeeds with fewer bytes. */
  readonly short: boolean;
  readonly takesEffect: boolean;
  readonly appliedBytes: number | undefined;
  readonly revert: boolean;
}

interface CountedRule {
  readonly rule: FaultRule;
  seen: number;
}

/** Decides which calls fail. Rules count independently. If several apply, the first added wins. */
export class FaultPlan {
  #rules: CountedRule[] = [];

  add(rule: FaultRule): this {
    this.#rules.push({ rule, seen: 0 });
    return this;
  }

  clear(): void {
    this.#rules = [];
  }

  /** Counts a call and returns its fault, if any. */
  decide(call: CallKind, path: string): Fault | undefined {
    let verdict: Fault | undefined;
    for (const counted of this.#rules) {
      if (counted.rule.call !== call || !matches(counted.rule.path, path)) continue;
      counted.seen++;
      verdict ??= judge(counted.rule, counted.seen);
    }
    return verdict;
  }
}

function matches(wanted: string | RegExp | undefined, path: string): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === 'string' ? wanted === path : wanted.test(path);
}

function judge(rule: FaultRule, seen: number): Fault | undefined {
  const nth = rule.nth ?? 1;
  const mode = rule.mode ?? 'once';
  const short = mode === 'short' && seen === nth;
  const fails =
    mode === 'sticky' ? seen >= nth : mode === 'short' ? seen === nth + 1 : seen === nth;
  if (!short && !fails) return undefined;
  return {
    error: rule.error ?? 'EIO',
    short,
    takesEffect: rule.takesEffect ?? false,
    // The bytes applied by a short write do not apply to the failure after it.
    appliedBytes: mode === 'short' && !short ? 0 : rule.appliedBytes,
    revert: rule.revert ?? false,
  };
}
