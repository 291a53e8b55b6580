import type { EngineFinding } from '../../adapters/engine.ts';
import type { CommandContext } from '../output/command-context.ts';
import { EXIT_DAMAGE, EXIT_OK } from '../output/exit-code.ts';
import { toJson } from '../output/json-text.ts';
import { viewLog, type LogView, type ReplicateOptions } from './log-view.ts';

/** A longer log should have been trimmed. */
const MANY_ENTRIES = 100_000n;

/**
 * Checks the engine's versions and settings, the log and the checkpoints, and says what to do.
 * Changes nothing. Exit code 1 if something cannot keep its guarantees.
 */
export async function replicateDoctor(
  context: CommandContext,
  options: ReplicateOptions,
): Promise<number> {
  const findings = [...(await ofEngine(options)), ...ofLog(await viewLog(context, options))];
  const { out } = context;
  if (options.json === true) out.line(toJson({ findings }, 2));
  else {
    for (const { state, check, text, remedy } of findings) {
      out.line(`${state.padEnd(7)}  ${check}: ${text}`);
      if (remedy !== undefined) out.line(`         -> ${remedy}`);
    }
  }
  await out.flush();
  return findings.some(({ state }) => state === 'unfit') ? EXIT_DAMAGE : EXIT_OK;
}

async function ofEngine({ engine }: ReplicateOptions): Promise<readonly EngineFinding[]> {
  const connected = await engine.connect();
  try {
    return await connected.examine();
  } finally {
    await connected.close();
  }
}

/** Checks that the log is trimmed, and that a new node can be built. */
export function ofLog({ first, last, entries, checkpoints }: LogView): EngineFinding[] {
  const length: EngineFinding =
    entries > MANY_ENTRIES
      ? {
          check: 'log',
          state: 'warning',
          text: `the log holds ${entries} entries`,
          remedy: 'write checkpoints more often: the primary then trims the log',
        }
      : { check: 'log', state: 'good', text: `the log holds ${entries} entries, up to ${last}` };
  return [length, ...ofCheckpoints(first, last, checkpoints)];
}

function ofCheckpoints(
  first: bigint,
  last: bigint,
  checkpoints: LogView['checkpoints'],
): EngineFinding[] {
  const check = 'checkpoints';
  const remedy = 'run lodestore replicate checkpoint on a node that has the records';
  if (checkpoints === undefined) {
    const text = 'not checked: give --checkpoints';
    return first > 1n ? [{ check, state: 'unknown', text }] : [];
  }
  const [newest] = checkpoints;
  if (newest === undefined) {
    if (first === 1n) return [{ check, state: 'warning', text: 'there is none', remedy }];
    const text = `there is none, and the log begins at ${first}: no new node can be built`;
    return [{ check, state: 'unfit', text, remedy }];
  }
  if (newest.position < first - 1n) {
    const text = `the newest is at ${newest.position}, and the log begins at ${first}: no new node can be built`;
    return [{ check, state: 'unfit', text, remedy }];
  }
  const behind = last - newest.position;
  const text = `the newest of ${checkpoints.length} is ${behind} entries behind the end of the log`;
  return [{ check, state: behind > MANY_ENTRIES ? 'warning' : 'good', text }];
}
