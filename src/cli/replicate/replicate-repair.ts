import { DirectoryCheckpoints } from '../../replicated/checkpoint/directory-checkpoints.ts';
import { ReplicatedStore } from '../../replicated/node/replicated-store.ts';
import type { CommandContext } from '../output/command-context.ts';
import { tellingIfInterrupted } from '../output/command-errors.ts';
import { EXIT_OK } from '../output/exit-code.ts';
import { toJson } from '../output/json-text.ts';
import { countOf } from '../output/number-text.ts';
import type { ReplicateOptions } from './log-view.ts';

const INTERRUPTED =
  'if the log has been continued, other nodes wait for the checkpoint; run it again';

/**
 * Continues a log that lost its end from the state of a node, which is kept as a checkpoint. Exit
 * code 1: the log has batches that the node has not, and nothing was changed.
 */
export async function replicateRepair(
  context: CommandContext,
  directory: string,
  options: ReplicateOptions & { readonly checkpoints: string },
): Promise<number> {
  const { signal, out } = context;
  const engine = await options.engine.connect();
  try {
    const report = await tellingIfInterrupted(context, INTERRUPTED, async () =>
      ReplicatedStore.repair(directory, {
        log: await engine.log(options.log),
        checkpoints: await DirectoryCheckpoints.open(options.checkpoints),
        signal,
      }),
    );
    if (options.json === true) out.line(toJson(report, 2));
    else {
      const { position, sequence, restoredBatches, checkpoint, removedCheckpoints } = report;
      const restored = countOf(restoredBatches, 'batch', 'batches');
      out.line(`restored    ${restored} that the log had lost, up to batch ${sequence}`);
      out.line(`checkpoint  ${checkpoint}: other nodes restore it`);
      out.line(`position    ${position}: the log goes on from there`);
      if (removedCheckpoints > 0) {
        const removed = countOf(BigInt(removedCheckpoints), 'checkpoint', 'checkpoints');
        out.line(`removed     ${removed} of entries that the log had lost`);
      }
    }
    await out.flush();
    return EXIT_OK;
  } finally {
    await engine.close();
  }
}
