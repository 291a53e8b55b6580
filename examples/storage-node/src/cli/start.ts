import { createAdminServer, type AdminServer } from '../admin/admin-server.ts';
import { ControlServer } from '../control/control-server.ts';
import type { KeyCommands } from '../control/node-commands.ts';
import { LocalCommands } from '../control/local-commands.ts';
import type { NodeOptions } from '../node-options.ts';
import { DEFAULT_LIMITS } from '../s3/base/limits.ts';
import { createS3Server, type S3Server, type S3ServerOptions } from '../s3/s3-server.ts';
import type { AccessEntry } from '../s3/s3-stats.ts';
import { EXIT_OK, EXIT_RESTART, type CliIo } from './cli-io.ts';
import { ensureKeys, keyFilePath, type StoredKey } from './key-file.ts';
import { KeyRing } from './key-ring.ts';
import { ensureData, existingNode } from './node-command.ts';
import { LogLines } from './log-lines.ts';
import { openToServe, recoveryText } from './open-to-serve.ts';
import { connectionsFor, openFilesLimit } from './open-files.ts';
import { readPageFiles } from './page-files.ts';
import { forgetRunning, hasRunFile, writeRunFile } from './running-file.ts';
import { readTls, type TlsPaths } from './tls-files.ts';

export interface StartOptions {
  readonly data: string;
  /** Refuses to create a node: its disk may not be mounted. */
  readonly isExisting: boolean;
  readonly host: string;
  readonly port: number;
  /** Port of the status page, on the loopback. */
  readonly adminPort: number;
  readonly region: string;
  /** Names of hosts that may have a bucket in front. */
  readonly domains: readonly string[];
  /** Whether signatures of version 2 are accepted. */
  readonly takesV2: boolean;
  readonly accessLog: boolean;
  /** Used instead of the keys in the key file. */
  readonly key?: StoredKey;
  /** Paths of PEM files; like the key file, they are read again at each SIGHUP. */
  readonly tls?: TlsPaths;
  readonly node: NodeOptions;
}

/** Serves until a signal, or until the metadata store fails. Resolves to the exit code. */
export async function start(options: StartOptions, io: CliIo): Promise<number> {
  const { data, isExisting } = options;
  const directory = isExisting ? await existingNode(data) : await ensureData(data);
  const log = new LogLines(io);
  const settings = await serverOptionsOf(options, directory, io, log);
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<Error>((resolve) => (fail = resolve));
  const wasStopped = !(await hasRunFile(directory));
  const node = await openToServe(directory, options.node, log, fail);
  let stopReloading = (): void => {};
  let isServed = false;
  const servers: { s3?: S3Server; admin?: AdminServer; control?: ControlServer } = {};
  try {
    servers.s3 = createS3Server(node, settings);
    const s3Url = await listening(servers.s3, '--port', options.port, options.host);
    const { stats } = servers.s3;
    servers.admin = createAdminServer({ node, s3: stats, page: readPageFiles(), s3Url });
    const adminUrl = await listening(servers.admin, '--admin-port', options.adminPort);
    const { s3 } = servers;
    const ring = new KeyRing(directory, (keys) => s3.replaceKeys(keys));
    const keys = options.key === undefined ? ring : fixedKey(options.key);
    servers.control = new ControlServer(new LocalCommands(node, false), keys);
    const address = await servers.control.listen();
    const running = { pid: process.pid, endpoint: s3Url, status: adminUrl, ...address };
    await writeRunFile(directory, running);
    if (!wasStopped) io.out(`Recovery       ${recoveryText(node.recovery)}\n`);
    io.out(`S3 endpoint    ${s3Url}\n`);
    io.out(`Status page    ${adminUrl}\n`);
    io.out(`Region         ${options.region}, buckets in the path${before(options.domains)}\n`);
    io.out(`Access key     ${settings.keys[0]!.accessKeyId}\n`);
    if (options.key === undefined) io.out(`Secret key     in ${keyFilePath(directory)}\n`);
    if (options.tls !== undefined) {
      io.out(`Certificate    ${settings.tlsSummary}\n`);
    }
    stopReloading = reloadAtHangup(io, [
      ...(options.key === undefined ? [() => reloadKeys(ring, log)] : []),
      ...(options.tls === undefined ? [] : [renewal(s3, options.tls, log)]),
    ]);
    io.out(`Data           ${directory}\n`);
    isServed = true;
    const failure = await Promise.race([failed, aborted(io.signal)]);
    if (failure === undefined) {
      log.say(`stopping: ${stats.inFlight} requests under way`);
      return EXIT_OK;
    }
    log.say(`the metadata store has failed: ${failure.message}`);
    return EXIT_RESTART;
  } finally {
    stopReloading();
    await servers.s3?.close();
    await servers.admin?.close();
    await servers.control?.close();
    // Before the lock is free: the next node writes the file anew.
    await forgetRunning(directory);
    await node.close();
    if (isServed) log.say('stopped');
  }
}

/** Says so if it is fewer than by default. */
function connectionsWithin(openFiles: number, io: CliIo): number {
  const connections = connectionsFor(openFiles);
  if (connections < DEFAULT_LIMITS.maxConnections) {
    const cause = `the process may have ${openFiles} open files (ulimit -n)`;
    io.err(`at most ${connections} S3 connections at once, because ${cause}\n`);
  }
  return connections;
}

function before(domains: readonly string[]): string {
  return domains.map((domain) => ` or before .${domain}`).join('');
}

/** @throws Error that names the flag to change */
async function listening(
  server: { listen(port: number, host?: string): Promise<string> },
  flag: string,
  port: number,
  host = '127.0.0.1',
): Promise<string> {
  try {
    return await server.listen(port, host);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    const [cause, remedy] =
      code === 'EADDRINUSE'
        ? ['another program listens there', `Choose another by ${flag}`]
        : code === 'EACCES'
          ? ['the system does not allow it', `Choose a port from 1024 on by ${flag}`]
          : code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND'
            ? ['this machine has no such address', 'Choose one by --host']
            : [(error as Error).message, ''];
    const text = `port ${port} of ${host} cannot be listened on: ${cause}. ${remedy}`;
    throw new Error(text.trimEnd(), { cause: error });
  }
}

async function serverOptionsOf(
  { accessLog, domains, key, region, takesV2, tls }: StartOptions,
  directory: string,
  io: CliIo,
  log: LogLines,
): Promise<S3ServerOptions & { readonly tlsSummary: string }> {
  const checked = tls === undefined ? undefined : await readTls(tls);
  const keys = key === undefined ? await ensureKeys(directory) : [key];
  return {
    keys,
    region,
    domains,
    takesV2,
    limits: { maxConnections: connectionsWithin(openFilesLimit(), io) },
    log: (entry) => {
      if (accessLog) io.out(`${JSON.stringify(entry)}\n`);
      if (entry.error !== 'InternalError') return;
      log.sayOnce(`${entry.path} ${entry.cause}`, failureText(entry));
    },
    tlsSummary: checked?.summary ?? '',
    ...(checked !== undefined && { tls: checked.files }),
  };
}

/** Each SIGHUP runs all of them, one after another: the last signal decides. */
function reloadAtHangup(io: CliIo, reloads: readonly (() => Promise<void>)[]): () => void {
  let reloading = Promise.resolve();
  return io.onHangup(() => {
    for (const reload of reloads) reloading = reloading.then(reload);
  });
}

/** With unusable files, the server keeps its certificate. */
function renewal(server: S3Server, paths: TlsPaths, log: LogLines): () => Promise<void> {
  return async () => {
    try {
      const { files, summary } = await readTls(paths);
      server.renewTls(files);
      log.say(`the certificate is renewed: ${summary}`);
    } catch (error) {
      log.say(`the certificate stays as it is: ${(error as Error).message}`);
    }
  };
}

/** With an unusable file, the server keeps its keys. */
async function reloadKeys(ring: KeyRing, log: LogLines): Promise<void> {
  try {
    log.say(`the access keys are read again: ${await ring.reload()}`);
  } catch (error) {
    log.say(`the access keys stay as they are: ${(error as Error).message}`);
  }
}

/** The node does not use the key file. */
function fixedKey(key: StoredKey): KeyCommands {
  const refuse = (): Promise<never> =>
    Promise.reject(
      new Error(
        'The node was started with --access-key and uses that key only. Start it without, to use ' +
          'the keys of the directory.',
      ),
    );
  return { listKeys: () => Promise.resolve([key]), addKey: refuse, removeKey: refuse };
}

/** A failure of the node itself is reported also without an access log. */
function failureText({ operation, path, cause, requestId }: AccessEntry): string {
  return `${operation} ${path} failed: ${cause ?? 'no cause'} (request ${requestId})`;
}

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
