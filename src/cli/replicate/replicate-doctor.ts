import type { EngineFinding } from '../../adapters/engine.ts';
import type { CommandContext } from '../output/command-context.ts';
import { EXIT_DAMAGE, EXIT_OK } from '../output/exit-code.ts';
import { toJson } from '../output/json-text.ts';
import { CorruptionError } from '../../base/errors.ts';
import { examineNode, type NodeStanding } from '../../replicated/node/node-examination.ts';
import { lookAt, viewLog, type LogView, type ReplicateOptions } from './log-view.ts';

/** A longer log should have been trimmed. */
const MANY_ENTRIES = 100_000n;

export interface DoctorOptions extends ReplicateOptions {
  readonly node?: string;
}

/**
 * Checks the engine's versions and settings, the log, the checkpoints and the directory of a node,
 * and says what to do. Changes nothing. Exit code 1 if something cannot keep its guarantees.
 */
export async function replicateDoctor(
  context: CommandContext,
  options: DoctorOptions,
): Promise<number> {
  // The node before the log, which grows meanwhile.
  const standing = await standingOf(context, options);
  const view = await viewLog(context, options);
  const ofEngine = await lookAt(options, (_, engine) => engine.examine(options.log));
  const findings = [...ofEngine, ...ofLog(view)];
  if (standing !== undefined) findings.push(ofNode(standing, view));
  const { out } = context;
  if (options.json === true) out.line(toJson({ findings }, 2));
  else {
    for (const { state, check, text, remedy } of findings) {
      out.line(`${state.padEnd(7)}  ${check}: ${text}`);
      if (remedy !== undefined) out.line(`         -> ${remedy}`);
    }
  }
  return findings.some(({ state }) => state === 'unfit') ? EXIT_DAMAGE : EXIT_OK;
}

async function standingOf(
  { fs, signal }: CommandContext,
  options: DoctorOptions,
): Promise<NodeStanding | 'damaged' | undefined> {
  const { node } = options;
  if (node === undefined) return undefined;
  try {
    return await lookAt(options, (log) => examineNode(fs, node, log, { signal }));
  } catch (error) {
    if (error instanceof CorruptionError) return 'damaged';
    throw error;
  }
}

const REPAIR =
  'stop all nodes, and run lodestore replicate repair on the one with the most batches';

/** Checks that the node can follow the log. */
export function ofNode(
  standing: NodeStanding | 'damaged',
  { last, checkpoints }: Pick<LogView, 'last' | 'checkpoints'>,
): EngineFinding {
  const check = 'node';
  if (standing === 'damaged') {
    const text = 'its files are damaged: it is filled from the checkpoints and the log when opened';
    return { check, state: 'warning', text };
  }
  switch (standing.kind) {
    case 'empty':
      return { check, state: 'good', text: 'it has nothing yet: it is filled when opened' };
    case 'follows': {
      const text = `the log, which ends at ${last}, has all of its batches up to ${standing.sequence}`;
      return { check, state: 'good', text };
    }
    case 'trimmed':
      return ofTrimmed(standing, checkpoints);
    case 'ahead': {
      const text = `it has batches up to ${standing.sequence}, which the log does not have: it ends at ${standing.last}; the engine has lost entries that it had acknowledged`;
      return { check, state: 'unfit', text, remedy: REPAIR };
    }
    case 'differs': {
      const text = `${standing.reason}; the engine has lost entries that it had acknowledged, and another node has continued the log`;
      const remedy = `if a repair of this node was interrupted, run it again; else save a copy of it, which has batches up to ${standing.sequence}; empty the directory, and it is filled from the checkpoints and the log`;
      return { check, state: 'unfit', text, remedy };
    }
  }
}

function ofTrimmed(
  { position, first }: Extract<NodeStanding, { readonly kind: 'trimmed' }>,
  checkpoints: LogView['checkpoints'],
): EngineFinding {
  const check = 'node';
  const text = `it is at ${position}, and the log begins at ${first}`;
  const newest = checkpoints?.[0];
  if (newest !== undefined && newest.position >= first - 1n) {
    return { check, state: 'good', text: `${text}: it is filled from a checkpoint when opened` };
  }
  if (checkpoints === undefined) {
    return { check, state: 'unknown', text, remedy: 'give --checkpoints to see if one reaches it' };
  }
  const remedy =
    'run lodestore replicate checkpoint on a node that follows the log; if there is none, lodestore replicate repair on the one with the most batches begins another log: give a new --log and new --checkpoints';
  return { check, state: 'unfit', text: `${text}: no checkpoint reaches it`, remedy };
}

/** Checks that the log is there and trimmed, and that a new node can be built. */
export function ofLog(view: LogView): EngineFinding[] {
  const { first, last, checkpoints } = view;
  return [ofLength(view), ...ofCheckpoints(first, last, checkpoints)];
}

function ofLength({ log, last, entries }: LogView): EngineFinding {
  const check = 'log';
  if (entries === 0n) {
    const text = `the log ${log} is empty, or is not there`;
    const remedy = 'check its name, unless no node has been the primary yet';
    return { check, state: 'warning', text, remedy };
  }
  if (entries > MANY_ENTRIES) {
    const remedy = 'write checkpoints more often: the primary then trims the log';
    return { check, state: 'warning', text: `the log holds ${entries} entries`, remedy };
  }
  return { check, state: 'good', text: `the log holds ${entries} entries, up to ${last}` };
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
  if (newest.position > last) {
    const text = `the newest is at ${newest.position}, and the log ends at ${last}: the engine has lost entries that it had acknowledged`;
    return [{ check, state: 'unfit', text, remedy: REPAIR }];
  }
  if (newest.position < first - 1n) {
    const text = `the newest is at ${newest.position}, and the log begins at ${first}: no new node can be built`;
    return [{ check, state: 'unfit', text, remedy }];
  }
  const behind = last - newest.position;
  const text = `the newest of ${checkpoints.length} is ${behind} entries behind the end of the log`;
  return [{ check, state: behind > MANY_ENTRIES ? 'warning' : 'good', text }];
}
