import type { CliIo } from './cli-io.ts';

/** The streams and signals of this process. */
export function machineIo(): CliIo {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY,
    signal: stop.signal,
    onHangup,
  };
}

/** Calls `listener` at each SIGHUP, until the returned function is called. */
export function onHangup(listener: () => void): () => void {
  process.on('SIGHUP', listener);
  return () => void process.off('SIGHUP', listener);
}
