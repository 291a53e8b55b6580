import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { EngineProcess, freePorts, until, type ProcessOwner } from './engine-process.ts';

const INSTALLED = '/usr/lib/postgresql';
/** A call blocks the event loop, and with it the time-outs of the test. */
const ASK_MS = 10_000;
const MAKE_MS = 60_000;

/** The directory of the PostgreSQL programs, version 15 or newer; undefined if not installed. */
export const POSTGRES: string | undefined = programFolder();

function programFolder(): string | undefined {
  const given = process.env['LODESTORE_POSTGRES'];
  if (given !== undefined) return given === '' ? undefined : given;
  if (!existsSync(INSTALLED)) return undefined;
  const versions = readdirSync(INSTALLED).filter((name) => Number(name) >= 15);
  const [newest] = versions.sort((a, b) => Number(b) - Number(a));
  const folder = newest === undefined ? undefined : join(INSTALLED, newest, 'bin');
  return folder !== undefined && existsSync(join(folder, 'initdb')) ? folder : undefined;
}

/** The server refuses to run as root. */
function ownerOf(): ProcessOwner {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', timeout: ASK_MS }).trim());
  return { uid: id('-u'), gid: id('-g') };
}

/** A local PostgreSQL server. Its directory is removed at the end. */
export class PostgresServer {
  readonly node: EngineProcess;
  readonly url: string;
  readonly directory: string;

  private constructor(node: EngineProcess, url: string, directory: string) {
    this.node = node;
    this.url = url;
    this.directory = directory;
  }

  /** `settings` are command line arguments: `-c name=value`. */
  static async start(settings: readonly string[] = []): Promise<PostgresServer> {
    if (POSTGRES === undefined) throw new Error('PostgreSQL is not installed');
    const owner = ownerOf();
    const directory = mkdtempSync(join(tmpdir(), 'lodestore-postgres-'));
    chmodSync(directory, 0o700);
    if (owner.uid !== undefined) chownSync(directory, owner.uid, owner.gid ?? 0);
    const data = join(directory, 'data');
    const made = spawnSync(
      join(POSTGRES, 'initdb'),
      ['-D', data, '-A', 'trust', '-U', 'lodestore', '--no-sync', '--no-instructions'],
      {
        ...owner,
        encoding: 'utf8',
        timeout: MAKE_MS,
        cwd: directory,
        env: { LC_ALL: 'C', PATH: process.env['PATH'] },
      },
    );
    if (made.status !== 0) {
      rmSync(directory, { recursive: true, force: true });
      throw new Error(`initdb: ${made.stderr || String(made.error ?? made.signal)}`);
    }
    const [port] = await freePorts(1);
    const args = ['-D', data, '-p', String(port), '-k', directory, '-h', '127.0.0.1'];
    for (const one of settings) args.push('-c', one);
    const log = join(directory, 'log');
    const node = new EngineProcess('postgres', join(POSTGRES, 'postgres'), args, log, owner);
    const url = `postgres://lodestore@127.0.0.1:${port}/postgres`;
    const server = new PostgresServer(node, url, directory);
    try {
      await server.restart();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Starts the stopped server. */
  async restart(): Promise<void> {
    this.node.start();
    const url = new URL(this.url);
    await until(`PostgreSQL at ${url.host}`, () => {
      const args = ['-h', url.hostname, '-p', url.port, '-q'];
      const { status } = spawnSync(join(POSTGRES!, 'pg_isready'), args, { timeout: ASK_MS });
      return Promise.resolve(status === 0);
    });
  }

  /** Runs a statement on a connection of its own. Resolves to the rows. */
  async query(text: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const client = new pg.Client(this.url);
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** Commits wait for these standbys, soon; for an empty string, for none. */
  async waitForStandbys(names: string): Promise<void> {
    await this.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
    await this.query('SELECT pg_reload_conf()');
  }

  async stop(): Promise<void> {
    await this.node.kill('SIGQUIT');
    rmSync(this.directory, { recursive: true, force: true });
  }
}
