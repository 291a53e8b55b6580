import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { Agent, type RequestOptions, request } from 'node:https';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { onHangup } from '../../examples/storage-node/src/cli/machine-io.ts';
import { run } from '../../examples/storage-node/src/cli/run.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { KEY, signHeaders } from './support/signed-request.ts';

const OPENSSL = '/usr/bin/openssl';

/** A self-signed certificate for 127.0.0.1, and its key. */
async function makeCertificate(directory: string, name: string): Promise<[string, string]> {
  const [certificate, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const args = ['req', '-x509', '-days', '2', ...kind, ...names];
  await promisify(execFile)(OPENSSL, [...args, '-keyout', key, '-out', certificate], {
    timeout: 20_000,
  });
  return [certificate, key];
}

/** A node that runs in this process as the command line starts it. */
class StartedNode {
  readonly done: Promise<number>;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};
  readonly #stop = new AbortController();

  constructor(directory: string, args: readonly string[]) {
    const key = ['--access-key', KEY.accessKeyId, '--secret-key', KEY.secretAccessKey];
    const where = ['--data', directory, '--port', '0', '--admin-port', '0'];
    const say = (said: string): void => {
      this.#lines.push(...said.trimEnd().split('\n'));
      this.#wake();
    };
    this.done = run(['start', ...where, ...key, ...args], {
      out: say,
      err: say,
      isTerminal: false,
      signal: this.#stop.signal,
      onHangup,
    });
    this.done.catch(() => undefined).finally(() => this.#wake());
  }

  /** The next matching line; earlier lines are skipped. */
  async next(pattern: RegExp): Promise<string> {
    let isOver = false;
    const ended = this.done.finally(() => (isOver = true));
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined && pattern.test(line)) return line;
      if (line !== undefined) continue;
      if (isOver) throw new Error(`the node ended before it said ${String(pattern)}`);
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      await Promise.race([woken, ended]);
    }
  }

  async stop(): Promise<number> {
    this.#stop.abort();
    return this.done;
  }
}

async function startNode(args: readonly string[]): Promise<StartedNode> {
  const node = new StartedNode(join(await temporaryDirectory(), 'data'), args);
  onTestFinished(() => node.stop().then(() => undefined));
  return node;
}

function hangUp(): void {
  // Without a listener, the signal would end this process.
  expect(process.listenerCount('SIGHUP')).toBe(1);
  process.kill(process.pid, 'SIGHUP');
}

/** A line of the log without the time at its start. */
function withoutTime(line: string): string {
  expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z /);
  return line.slice(line.indexOf(' ') + 1);
}

/** Makes a request and reads the name in the connection's certificate. */
async function nameOfServer(
  url: string,
  options: RequestOptions,
): Promise<{ readonly name: string; readonly socket: TLSSocket }> {
  const headers = signHeaders(new URL(url).host, { method: 'GET', target: '/' });
  const asked = request(url, { ...options, headers }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const socket = answer.socket as TLSSocket;
  expect(await text(answer)).toContain('ListAllMyBucketsResult');
  return { name: String(socket.getPeerCertificate().subject.CN), socket };
}

test.skipIf(!existsSync(OPENSSL))(
  'SIGHUP renews the certificate under open connections; a bad file changes nothing (openssl)',
  async () => {
    const directory = await temporaryDirectory();
    const [one, oneKey] = await makeCertificate(directory, 'one');
    const [other, otherKey] = await makeCertificate(directory, 'other');
    const [certificate, key] = [join(directory, 'tls.pem'), join(directory, 'tls.key')];
    const install = async (from: string, fromKey: string): Promise<void> => {
      await copyFile(from, certificate);
      await copyFile(fromKey, key);
    };
    await install(one, oneKey);
    const node = await startNode(['--tls-cert', certificate, '--tls-key', key]);
    const [, url = ''] = /(https:\S+)/.exec(await node.next(/^S3 endpoint/)) ?? [];
    expect(await node.next(/^Certificate/)).toMatch(/CN=one, valid until /);
    await node.next(/^Data/);
    const ca = [await readFile(one), await readFile(other)];
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca });
    onTestFinished(() => agent.destroy());
    const kept = await nameOfServer(url, { agent });
    expect(kept.name).toBe('one');
    const fresh = async (): Promise<string> => (await nameOfServer(url, { ca, agent: false })).name;

    await install(other, otherKey);
    hangUp();
    expect(withoutTime(await node.next(/certificate/))).toMatch(
      /^the certificate is renewed: CN=other, valid until /,
    );
    expect(await fresh()).toBe('other');
    const again = await nameOfServer(url, { agent });
    expect(again.socket).toBe(kept.socket);

    await writeFile(certificate, 'nonsense');
    hangUp();
    expect(withoutTime(await node.next(/certificate/))).toBe(
      `the certificate stays as it is: the certificate ${certificate} cannot be used: it is not PEM`,
    );
    await install(one, otherKey);
    hangUp();
    expect(withoutTime(await node.next(/certificate/))).toBe(
      `the certificate stays as it is: the key ${key} is not that of the certificate ${certificate}`,
    );
    expect(await fresh()).toBe('other');

    expect(await node.stop()).toBe(0);
    expect(process.listenerCount('SIGHUP')).toBe(0);
  },
  60_000,
);

test('start refuses unusable certificate files and names them', async () => {
  const node = await startNode(['--tls-cert', '/none.pem', '--tls-key', '/none.key']);
  expect(await node.next(/./)).toBe(
    'the certificate /none.pem cannot be used: there is no such file',
  );
  expect(await node.done).toBe(1);
}, 60_000);
