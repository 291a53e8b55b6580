import { onAbort } from '../../base/abort.ts';
import { AbortedError } from '../../base/errors.ts';
import type { Elector } from '../log/elector.ts';
import { backoffMs } from './appender.ts';
import type { ReplicaClock } from './replica-clock.ts';
import type { ReplicaNode } from './replica-node.ts';

export interface ElectionParts {
  /** Undefined: there are no elections. */
  readonly elector: Elector | undefined;
  readonly address: string;
  readonly clock: ReplicaClock;
  /** An elected node resigns if it applies nothing for so long before it takes over. */
  readonly commitTimeoutMs: number;
}

/** A term that was won. */
interface Term {
  readonly lost: Promise<void>;
  /** Aborted when the node resigns, or is closed. */
  readonly signal: AbortSignal;
}

/**
 * Takes part in elections until the node is closed or has failed, except while it cannot take over:
 * while its store must be rebuilt, or cannot write what the log has. A node that loses its election
 * stays the primary until another node takes over: the log decides.
 */
export async function takePartInElections(parts: ElectionParts, node: ReplicaNode): Promise<void> {
  const { elector, address } = parts;
  if (elector === undefined) return;
  for (let failures = 0; !node.isOver;) {
    const term = new AbortController();
    const { signal } = term;
    const stopListening = onAbort(node.signal, () => term.abort());
    try {
      await node.whenAble();
      const { lost } = await elector.campaign(address, { signal });
      await promoteElected(parts, node, { lost, signal });
      failures = 0;
      await Promise.race([lost, node.whenDeposed()]);
    } catch (error) {
      if (!node.isOver) await node.pauseElections(backoffMs(failures++), error);
    } finally {
      term.abort();
      stopListening();
    }
  }
}

/**
 * Makes the elected node the primary. Rejects if it cannot take over, or loses the election before:
 * another node can then be elected. An append that has begun is not broken off, because its entry
 * may be in the log.
 */
async function promoteElected(
  { clock, commitTimeoutMs: patienceMs }: ElectionParts,
  node: ReplicaNode,
  { lost, signal }: Term,
): Promise<void> {
  const [waits, over] = [new AbortController(), new AbortController()];
  let isLost = false;
  const lose = (): void => {
    isLost = true;
    waits.abort(new AbortedError('the election was lost'));
  };
  void lost.then(lose);
  const stopListening = onAbort(signal, () => waits.abort(signal.reason));
  const isStuck = (): void => {
    const message = `nothing was applied for ${patienceMs} ms before the takeover`;
    waits.abort(new AbortedError(message));
  };
  void whenIdle(clock, patienceMs, node, over.signal).then(isStuck, () => undefined);
  try {
    const isWanted = (): boolean => !isLost;
    await node.promote(signal, { ifUnable: 'refuse', waits: waits.signal, isWanted });
    if (isLost && !node.isPrimary) throw new AbortedError('the election was lost');
  } finally {
    over.abort();
    stopListening();
  }
}

/** Resolves when the node has applied nothing for `patienceMs`. Rejects when `over` is aborted. */
async function whenIdle(
  clock: ReplicaClock,
  patienceMs: number,
  node: ReplicaNode,
  over: AbortSignal,
): Promise<void> {
  for (let before: bigint | undefined; before !== node.position;) {
    before = node.position;
    await clock.sleep(patienceMs, over);
  }
}
