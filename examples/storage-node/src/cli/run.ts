import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { NodeError } from '../node-errors.ts';
import type { NodeOptions } from '../node-options.ts';
import { domainsOf } from '../s3/call/bucket-host.ts';
import {
  assertS3Name,
  createBucketWith,
  hasPolicy,
  listBucketPolicies,
  policyOf,
  type PolicyFlags,
} from './bucket-commands.ts';
import { checkFlags } from './check-flags.ts';
import { bytesOfText, EXIT_FAILED, EXIT_OK, EXIT_USAGE, type CliIo } from './cli-io.ts';
import { compact, evict, keys, rebuild, scrub, status, verify } from './commands.ts';
import type { CommandOptions } from './commands.ts';
import { start, type StartOptions } from './start.ts';

interface Flags extends PolicyFlags {
  readonly data: string;
  readonly existing?: boolean;
  readonly json?: boolean;
  readonly host?: string;
  readonly port?: string;
  readonly region?: string;
  readonly domain?: readonly string[];
  readonly signatureV2?: string;
  readonly accessLog?: boolean;
  readonly rate?: string;
  readonly volumeBytes?: string;
  readonly reserveBytes?: string;
  readonly queueBytes?: string;
  readonly deadRatio?: string;
  readonly adminPort?: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

function nodeOptionsOf(flags: Flags): NodeOptions {
  const { volumeBytes, reserveBytes, queueBytes, deadRatio } = flags;
  const options: NodeOptions = {
    ...(volumeBytes !== undefined && { volumeBytes: bytesOf('--volume-bytes', volumeBytes) }),
    ...(reserveBytes !== undefined && { reserveBytes: bytesOf('--reserve-bytes', reserveBytes) }),
    ...(queueBytes !== undefined && { queueBytes: bytesOf('--queue-bytes', queueBytes) }),
    ...(deadRatio !== undefined && { compactDeadRatio: ratioOf('--dead-ratio', deadRatio) }),
  };
  try {
    checkFlags(options);
  } catch (error) {
    throw usage((error as Error).message);
  }
  return options;
}

function commandOptionsOf(flags: Flags): CommandOptions {
  return { data: flags.data, json: flags.json === true };
}

function bytesOf(flag: string, text: string): number {
  try {
    return bytesOfText(text);
  } catch (error) {
    throw usage(`${flag}: ${(error as Error).message}`);
  }
}

function ratioOf(flag: string, text: string): number {
  const ratio = text.trim() === '' ? Number.NaN : Number(text);
  if (!(ratio >= 0)) throw usage(`${flag}: ${text} is not a share such as 0.5`);
  return ratio;
}

function portOf(flag: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw usage(`${flag}: ${text} is not a port from 0 to 65535`);
  return port;
}

function startOptionsOf(flags: Flags): StartOptions {
  const { data, host = '127.0.0.1', region = 'us-east-1', accessLog = false } = flags;
  const { signatureV2 = 'on' } = flags;
  const { port = '9000', adminPort = '9001', accessKey, secretKey, tlsCert, tlsKey } = flags;
  if (host.trim() === '') throw usage('--host: an empty address would be every address');
  if (signatureV2 !== 'on' && signatureV2 !== 'off') throw usage('--signature-v2: on or off');
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    throw usage('--access-key and --secret-key go together');
  }
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw usage('--tls-cert and --tls-key go together');
  }
  return {
    data,
    isExisting: flags.existing === true,
    // As in a URL.
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port: portOf('--port', port),
    adminPort: portOf('--admin-port', adminPort),
    region,
    domains: domainsFor(flags),
    takesV2: signatureV2 === 'on',
    accessLog,
    ...(accessKey !== undefined &&
      secretKey !== undefined && {
        key: { accessKeyId: accessKey, secretAccessKey: secretKey },
      }),
    ...(tlsCert !== undefined &&
      tlsKey !== undefined && { tls: { certificate: tlsCert, key: tlsKey } }),
    node: nodeOptionsOf(flags),
  };
}

function domainsFor({ domain }: Flags): readonly string[] {
  try {
    return domainsOf(domain);
  } catch (error) {
    throw usage(`--domain: ${(error as Error).message}`);
  }
}

type Add = (
  name: string,
  summary: string,
  work: (options: CommandOptions, flags: Flags, args: readonly string[]) => Promise<number>,
) => Command;

function usage(message: string): CommanderError {
  return new CommanderError(EXIT_USAGE, 'flags', message);
}

function policyFor(name: string, flags: Flags): ReturnType<typeof policyOf> {
  try {
    assertS3Name(name);
    return policyOf(flags);
  } catch (error) {
    throw usage((error as Error).message);
  }
}

function addBuckets(add: Add, io: CliIo): void {
  add('buckets', 'list buckets with their policies, or create one', (options, flags, args) => {
    const [action = 'list', name, ...others] = args;
    const isKnown = action === 'list' || action === 'create';
    if (!isKnown || (name !== undefined) !== (action === 'create') || others.length > 0) {
      throw usage('buckets, or buckets create NAME');
    }
    if (name === undefined) {
      if (hasPolicy(flags)) throw usage('the flags of a policy are for buckets create NAME');
      return listBucketPolicies(options, io);
    }
    return createBucketWith(options, name, policyFor(name, flags), io);
  })
    .argument('[action]', 'list or create (default: list)')
    .argument('[name]', 'of create')
    .option('--mode <mode>', 'how it frees space: keep, cache or quota (default: keep)')
    .option('--quota-bytes <bytes>', 'of mode quota, such as 10G')
    .option('--ttl-seconds <seconds>', 'objects are dropped, a volume at a time, when this old')
    .option('--compress <how>', 'zstd, or none (default: none)')
    .option(
      '--acknowledge <when>',
      'synced, or deferred: a crash may lose the last second (default: synced)',
    );
}

function addKeys(add: Add, io: CliIo): void {
  add('keys', 'list, add or remove access keys', (options, _, args) => {
    const [action = 'list', id, ...others] = args;
    const isKnown = action === 'list' || action === 'add' || action === 'remove';
    if (!isKnown || (id !== undefined) !== (action === 'remove') || others.length > 0) {
      throw usage('keys list, keys add, or keys remove ID');
    }
    return keys(options, action, id, io);
  })
    .argument('[action]', 'list, add or remove (default: list)')
    .argument('[id]', 'of remove');
}

/** The package's version. Its package.json is at the same relative path from `src` and `dist`. */
function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

/** The program. Each action sets the exit code. */
function makeProgram(io: CliIo, setCode: (code: number) => void): Command {
  const program = new Command('lodestore-node')
    .description('A storage node for one machine: buckets of objects, served by S3.')
    .version(readVersion())
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) });
  const command = (name: string, summary: string): Command =>
    program
      .command(name)
      .description(summary)
      .option('--data <directory>', 'directory of the node', './data');
  const add: Add = (name, summary, work) =>
    command(name, summary)
      .option('--json', 'print JSON')
      .action(async (...given: unknown[]) => {
        const self = given.at(-1) as Command;
        const flags = self.opts<Flags>();
        setCode(await work(commandOptionsOf(flags), flags, self.args));
      });
  command('start', 'serve S3 until a signal')
    .option('--existing', 'refuse to create a node, for when the disk is not mounted')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0: any', '9000')
    .option('--admin-port <port>', 'port of the status page, on the loopback', '9001')
    .option('--access-key <id>', 'instead of the keys in the directory')
    .option('--secret-key <secret>', 'of --access-key')
    .option('--tls-cert <file>', 'PEM: serve S3 over TLS; SIGHUP reads both files again')
    .option('--tls-key <file>', 'PEM, of --tls-cert')
    .option(
      '--domain <name>',
      'name of this node: NAME, and BUCKET.NAME for a bucket; may be repeated',
      (name: string, others: readonly string[] | undefined) => [...(others ?? []), name],
    )
    .option('--region <name>', 'region reported to clients', 'us-east-1')
    .option('--volume-bytes <bytes>', 'length of a volume (default: 1G)')
    .option(
      '--reserve-bytes <bytes>',
      'space kept free: bodies are refused below it (default: 64M)',
    )
    .option('--dead-ratio <share>', 'compact a volume when this share of it is dead (default: 0.5)')
    .option('--queue-bytes <bytes>', 'bodies in memory until they are written (default: 64M)')
    .option('--signature-v2 <on|off>', 'signatures of old clients; off: refuse them', 'on')
    .option('--access-log', 'print a line of JSON for each request')
    .action(async (flags: Flags) => setCode(await start(startOptionsOf(flags), io)));
  add('status', 'objects, space, and each volume', (options) => status(options, io));
  add('compact', 'free the space of deleted objects', (options) => compact(options, io));
  add('scrub', 'read all live data and verify checksums', (options, flags) =>
    scrub(options, flags.rate === undefined ? 0 : bytesOf('--rate', flags.rate), io),
  ).option('--rate <bytes>', 'bytes per second; unlimited by default');
  add('verify', 'recount, list all names, read all live data', (options) => verify(options, io));
  add('rebuild-index', 'rebuild the metadata from the volumes', (options) => rebuild(options, io));
  add('evict', 'drop the oldest volume of a bucket with separate volumes', (options, _, args) =>
    evict(options, args[0]!, io),
  ).argument('<bucket>');
  addBuckets(add, io);
  addKeys(add, io);
  return program;
}

/** Advice for errors of the metadata store, which does not know about the node. */
const ADVICE: Readonly<Record<string, string>> = {
  LODESTORE_LOCKED:
    'Another program has the node open, and does not say where it serves. Stop that program first.',
  LODESTORE_CORRUPTION:
    'Restore the directory "metadata" from a backup, or run "lodestore-node rebuild-index", which ' +
    'rebuilds it from the volumes and keeps the old one beside it.',
};

/** What the metadata store advises, such as to salvage it, is not the remedy for a node. */
function withoutHint(error: Error): string {
  const { message } = error;
  const { hint } = error as { readonly hint?: unknown };
  if (typeof hint !== 'string' || !message.endsWith(hint)) return message;
  return message.slice(0, -hint.length).trimEnd();
}

/** Resolves to the exit code. */
export async function run(args: readonly string[], io: CliIo): Promise<number> {
  let code = EXIT_OK;
  const program = makeProgram(io, (given) => (code = given));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT_OK;
      if (error.code === 'flags') io.err(`${error.message}\n`);
      return EXIT_USAGE;
    }
    const { code: reason } = error as { code?: unknown };
    const isKnown = error instanceof NodeError || String(reason).startsWith('LODESTORE_');
    io.err(`${withoutHint(error as Error)}\n`);
    const advice = ADVICE[String(reason)];
    if (advice !== undefined) io.err(`${advice}\n`);
    const isTold = isKnown || reason !== undefined || (error as Error).cause !== undefined;
    if (!isTold && (error as Error).stack !== undefined) io.err(`${(error as Error).stack}\n`);
    return EXIT_FAILED;
  }
}
