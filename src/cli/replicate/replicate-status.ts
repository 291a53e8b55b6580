import type { CommandContext } from '../output/command-context.ts';
import { EXIT_OK } from '../output/exit-code.ts';
import { toJson } from '../output/json-text.ts';
import { countOf } from '../output/number-text.ts';
import { viewLog, type ReplicateOptions } from './log-view.ts';

/** Prints the positions in a log, and its checkpoints. */
export async function replicateStatus(
  context: CommandContext,
  options: ReplicateOptions,
): Promise<number> {
  const view = await viewLog(context, options);
  const { out } = context;
  if (options.json === true) out.line(toJson(view, 2));
  else {
    const { engine, log, first, last, entries, checkpoints } = view;
    out.line(`engine       ${engine}`);
    const held = `positions ${first} to ${last} (${countOf(entries, 'entry', 'entries')})`;
    out.line(`log          ${log}: ${entries === 0n ? 'empty' : held}`);
    if (checkpoints !== undefined) {
      const [newest] = checkpoints;
      const at = newest === undefined ? '' : `; the newest at position ${newest.position}`;
      out.line(`checkpoints  ${checkpoints.length}${at}`);
    }
  }
  await out.flush();
  return EXIT_OK;
}
