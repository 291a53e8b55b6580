import { run } from '../../../examples/storage-node/src/cli/run.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `lodestore-node` with these arguments. */
export async function cli(
  args: readonly string[],
  signal = new AbortController().signal,
): Promise<Said> {
  let out = '';
  let err = '';
  const code = await run(args, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    isTerminal: false,
    signal,
    onHangup: () => () => {},
  });
  return { code, out, err };
}
