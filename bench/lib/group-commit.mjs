/**
 * Batching as an application would do it before a store that has none: one group in flight,
 * everything that comes meanwhile goes into the next one.
 * @param {(batch: import('../peers/peer.mjs').Batch) => Promise<void>} put
 * @returns {(batch: import('../peers/peer.mjs').Batch) => Promise<void>}
 */
export function groupCommits(put) {
  /**
   * @type {{ batch: import('../peers/peer.mjs').Batch, resolve: () => void, reject: (error:
   * unknown) => void }[]}
   */
  let queue = [];
  let state = 'idle';

  async function commit() {
    const group = queue;
    queue = [];
    try {
      await put(joined(group.map(({ batch }) => batch)));
      for (const { resolve } of group) resolve();
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    if (queue.length === 0) state = 'idle';
    else schedule();
  }

  /** In a later turn, so that all writers of the last group can insert their next batch. */
  function schedule() {
    state = 'busy';
    setImmediate(() => void commit());
  }

  return (batch) =>
    new Promise((resolve, reject) => {
      queue.push({ batch, resolve, reject });
      if (state === 'idle') schedule();
    });
}

/** @type {(batches: import('../peers/peer.mjs').Batch[]) => import('../peers/peer.mjs').Batch} */
function joined(batches) {
  if (batches.length === 1) return batches[0];
  return {
    keys: batches.flatMap(({ keys }) => keys),
    values: batches.flatMap(({ values }) => values),
    data: batches.flatMap(({ data }) => data),
  };
}
