import type { CallKind } from './fault-plan.ts';

/** One call on the simulated file system. */
export interface CallRecord {
  readonly kind: CallKind;
  readonly path: string;
  /** Target of a rename, mode of an open, offset and length of a read or write, as text. */
  readonly detail: string;
  /** Requested bytes of a read, a write or a truncate; 0 otherwise. */
  readonly lengthBytes: number;
  readonly startTick: number;
  /** Infinity while the call is in flight. */
  endTick: number;
  /** `ok`, a system error's code, or `pending`. */
  outcome: string;
}

/** The number of calls of each kind. */
export function countCalls(trace: readonly CallRecord[]): Map<CallKind, number> {
  const counts = new Map<CallKind, number>();
  for (const { kind } of trace) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** One line per call: ticks, kind, path, detail, outcome. */
export function formatTrace(trace: readonly CallRecord[]): string {
  return trace
    .map((call) => {
      const end = call.endTick === Infinity ? '…' : String(call.endTick);
      const detail = call.detail === '' ? '' : ` ${call.detail}`;
      return `${call.startTick}-${end} ${call.kind} ${call.path}${detail}: ${call.outcome}`;
    })
    .join('\n');
}
