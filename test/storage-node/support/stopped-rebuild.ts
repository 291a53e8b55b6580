/** Rebuilds the metadata of a node, and stops itself within it, until SIGCONT. */
import { writeSync } from 'node:fs';
import { rebuildIndex } from '../../../examples/storage-node/src/rebuild/rebuild-index.ts';

let isStopped = false;
await rebuildIndex(
  process.argv[2]!,
  {},
  {
    onProgress: () => {
      if (isStopped) return;
      isStopped = true;
      writeSync(1, 'within the rebuild\n');
      process.kill(process.pid, 'SIGSTOP');
    },
  },
);
