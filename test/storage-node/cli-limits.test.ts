import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { readKeys } from '../../examples/storage-node/src/cli/key-file.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { cli } from './support/cli.ts';
import { type SignedRequest, send } from './support/signed-request.ts';

const HOOK = fileURLToPath(new URL('../support/register-typescript.mjs', import.meta.url));
const PROGRAM = fileURLToPath(
  new URL('../../examples/storage-node/src/cli/main.ts', import.meta.url),
);
const SILENT_CONNECTIONS = 150;

/** A node in a process of its own that may have so many open files. */
async function startWithin(openFiles: number, data: string): Promise<string> {
  const args = ['--import', HOOK, PROGRAM, 'start', '--data', data];
  const ports = ['--port', '0', '--admin-port', '0'];
  const shell = `ulimit -n ${openFiles} && exec "$@"`;
  const child = spawn('sh', ['-c', shell, 'sh', process.execPath, ...args, ...ports], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('Data ')) return said;
  }
  throw new Error(`the node has not started: ${said}`);
}

test('where few files may be open, silent connections take none from clients and volumes', async () => {
  const data = await temporaryDirectory();
  expect(await startWithin(120, data)).toContain('at most 64 S3 connections at once');
  const running = await readFile(`${data}/running.json`, 'utf8');
  const { endpoint, status } = JSON.parse(running) as { endpoint: string; status: string };
  const [key] = await readKeys(data);
  const ask = async (method: string, target: string, rest: Partial<SignedRequest> = {}) =>
    (await send(endpoint, { method, target, key: key!, ...rest })).status;
  expect(await ask('PUT', '/bucket')).toBe(200);
  const { port, hostname } = new URL(endpoint);
  for (let i = 0; i < SILENT_CONNECTIONS; i++) {
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    socket.on('error', () => {});
  }
  const body = Buffer.alloc(3_000_000);
  const puts = Array.from({ length: 20 }, (_, i) => ask('PUT', `/bucket/${i}`, { body }));
  expect(new Set(await Promise.all(puts))).toEqual(new Set([200]));
  expect(await ask('PUT', '/another')).toBe(200);
  expect(await ask('GET', '/bucket/0')).toBe(200);
  expect((await fetch(`${status}/health`)).status).toBe(200);
  expect(await cli(['status', '--data', data])).toMatchObject({ code: 0, err: '' });
});
