import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const VERSION = '3.7.1';
const INSTALL_MS = 300_000;
const START_MS = 30_000;
/** s3rver knows one key. */
export const S3RVER_KEY = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };

export interface PeerServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Installs s3rver below `directory` unless it is there. Undefined if it cannot be installed. */
export async function installS3rver(directory: string): Promise<string | undefined> {
  await mkdir(directory, { recursive: true });
  const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
  try {
    await promisify(execFile)(
      'npm',
      ['install', '--prefix', directory, `s3rver@${VERSION}`, ...flags],
      { timeout: INSTALL_MS },
    );
  } catch (error) {
    console.error((error as Error).message.split('\n')[0]);
    return undefined;
  }
  return join(directory, 'node_modules', 's3rver', 'bin', 's3rver.js');
}

export async function startS3rver(program: string, directory: string): Promise<PeerServer> {
  await mkdir(directory, { recursive: true });
  const where = ['-d', directory, '-a', '127.0.0.1', '-p', '0', '--no-vhost-buckets'];
  const child = spawn(process.execPath, [program, ...where], {
    // It prints the stack of each of its errors.
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const stop = (): void => void child.kill('SIGKILL');
  process.once('exit', stop);
  const close = async (): Promise<void> => {
    process.off('exit', stop);
    if (child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  try {
    return { url: await urlOf(child), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function urlOf(child: ChildProcess): Promise<string> {
  const signal = AbortSignal.timeout(START_MS);
  const lines = createInterface({ input: child.stdout! });
  const said = (async () => {
    for await (const line of lines) {
      const port = /(?:port |:)(\d+)\/?$/.exec(line.trim())?.[1];
      if (port !== undefined) return `http://127.0.0.1:${port}`;
    }
    throw new Error('s3rver ended before it listened');
  })();
  const late = once(signal, 'abort').then(() => {
    throw new Error('s3rver does not start');
  });
  const url = await Promise.race([said, late]);
  child.stdout!.resume();
  return url;
}
