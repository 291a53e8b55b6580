import type { Elector } from '../log/elector.ts';
import { backoffMs } from './appender.ts';
import type { ReplicaNode } from './replica-node.ts';

/**
 * Takes part in elections until the node is closed or has failed, except while its store must be
 * rebuilt. A node that loses its election stays the primary until another node takes over: the log
 * decides.
 */
export async function takePartInElections(
  elector: Elector,
  address: string,
  node: ReplicaNode,
): Promise<void> {
  for (let failures = 0; !node.isOver;) {
    const term = new AbortController();
    const resign = (): void => term.abort();
    node.signal.addEventListener('abort', resign, { once: true });
    try {
      await node.whenRebuilt();
      const { lost } = await elector.campaign(address, { signal: term.signal });
      await node.promote(term.signal, 'refuse');
      failures = 0;
      await Promise.race([lost, node.whenDeposed()]);
    } catch (error) {
      if (!node.isOver) await node.pauseElections(backoffMs(failures++), error);
    } finally {
      term.abort();
      node.signal.removeEventListener('abort', resign);
    }
  }
}
