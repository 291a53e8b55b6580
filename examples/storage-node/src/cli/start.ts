import { rm, writeFile } from 'node:fs/promises';
import { createS3Server } from '../s3/s3-server.ts';
import type { NodeOptions } from '../node-options.ts';
import { StorageNode } from '../storage-node.ts';
import { EXIT_OK, EXIT_RESTART, type CliIo } from './cli-io.ts';
import { keyFilePath, makeKey, readKeys, writeKeys } from './key-file.ts';
import { ensureData } from './node-command.ts';

export interface StartOptions {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly region: string;
  readonly accessLog: boolean;
  readonly node: NodeOptions;
}

/** Where a running node tells `status` how to ask it. */
export function runFilePath(directory: string): string {
  return `${directory}/running.json`;
}

/** Serves until a signal, or until the metadata store fails. Resolves to the exit code. */
export async function start(options: StartOptions, io: CliIo): Promise<number> {
  const directory = await ensureData(options.data);
  let keys = await readKeys(directory);
  if (keys.length === 0) {
    keys = [makeKey()];
    await writeKeys(directory, keys);
  }
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<Error>((resolve) => (fail = resolve));
  const node = await StorageNode.open(directory, {
    ...options.node,
    onError: (error) => io.err(`${error.message}\n`),
    onFailed: fail,
  });
  try {
    const server = createS3Server(node, {
      keys,
      region: options.region,
      ...(options.accessLog && { log: (entry) => io.out(`${JSON.stringify(entry)}\n`) }),
    });
    const endpoint = await server.listen(options.port, options.host);
    tell(io, endpoint, directory, keys[0]!.accessKeyId, options.region);
    await writeFile(runFilePath(directory), `${JSON.stringify({ pid: process.pid, endpoint })}\n`);
    const failure = await Promise.race([failed, aborted(io.signal)]);
    if (failure !== undefined) io.err(`the metadata store has failed: ${failure.message}\n`);
    await server.close();
    await rm(runFilePath(directory), { force: true });
    return failure === undefined ? EXIT_OK : EXIT_RESTART;
  } finally {
    await node.close();
  }
}

function tell(
  io: CliIo,
  endpoint: string,
  directory: string,
  accessKeyId: string,
  region: string,
): void {
  io.out(`S3 endpoint    ${endpoint}  (region ${region}, path style)\n`);
  io.out(`Access key     ${accessKeyId}\n`);
  io.out(`Secret key     in ${keyFilePath(directory)}\n`);
  io.out(`Data           ${directory}\n`);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
