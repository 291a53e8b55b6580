import type { CliIo } from './cli-io.ts';

/** The part of a process that a command uses. */
export type Machine = Pick<NodeJS.Process, 'stdout' | 'stderr' | 'on' | 'off'>;

export interface MachineIo extends CliIo {
  /** True if the last text for the output could not be written. */
  readonly isOutputLost: () => boolean;
}

/**
 * The streams and signals of a process. Output that cannot be written is dropped: a log on a full
 * disk, or a pipe whose reader has gone, must not end a node.
 */
export function machineIo(machine: Machine = process): MachineIo {
  const { stdout, stderr } = machine;
  let stop: AbortController | undefined;
  let isOutputLost = false;
  // Without listeners, such an error is an exception that ends the process.
  stdout.on('error', () => (isOutputLost = true));
  stderr.on('error', () => {});
  return {
    out: (text) => {
      isOutputLost = false;
      stdout.write(text);
    },
    err: (text) => void stderr.write(text),
    isTerminal: stderr.isTTY,
    get signal() {
      stop ??= abortedBySignals(machine);
      return stop.signal;
    },
    onHangup: (listener) => onHangup(listener, machine),
    isOutputLost: () => isOutputLost,
  };
}

/** From now on, these signals no longer end the process. */
function abortedBySignals(machine: Machine): AbortController {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) machine.on(name, () => stop.abort());
  return stop;
}

/** Calls `listener` at each SIGHUP, until the returned function is called. */
export function onHangup(
  listener: () => void,
  machine: Pick<Machine, 'on' | 'off'> = process,
): () => void {
  machine.on('SIGHUP', listener);
  return () => void machine.off('SIGHUP', listener);
}
