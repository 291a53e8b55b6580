import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import os from 'node:os';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** @type {(device: number) => string} Major and minor number as /proc and /sys write them. */
function deviceNumber(device) {
  const major = Math.floor(device / 256) & 0xfff;
  const minor = (device & 0xff) | (Math.floor(device / 0x10_0000) << 8);
  return `${major}:${minor}`;
}

/** Type and mount options of the file system that holds `path`. @type {(path: string) => string} */
function fileSystemOf(path) {
  const number = deviceNumber(statSync(path).dev);
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((text) => text.split(' ')[2] === number);
  if (line === undefined) return 'unknown';
  const [before, after] = line.split(' - ');
  return `${after.split(' ')[0]} (${before.split(' ')[5]})`;
}

/** @type {(name: string) => string} */
function versionOf(name) {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  try {
    return JSON.parse(readFileSync(file, 'utf8')).version;
  } catch {
    return 'not installed';
  }
}

function sqliteVersion() {
  try {
    const Database = require('better-sqlite3');
    const db = new Database(':memory:');
    return `SQLite ${db.prepare('SELECT sqlite_version() AS v').get().v}`;
  } catch {
    return '';
  }
}

/**
 * The machine of the measurements, without anything that identifies it.
 * @type {(directory: string, packages: readonly string[]) => Record<string, string>}
 */
export function machineFacts(directory, packages) {
  const cpus = os.cpus();
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  const versions = packages.map((name) => `${name} ${versionOf(name)}`);
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: `${cpus[0]?.model ?? 'unknown'}, ${cpus.length} cores`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    kernel: `${os.type()} ${os.release()}`,
    'file system': fileSystemOf(directory),
    node: process.version,
    lodestore: `${versionOf('lodestore')}, commit ${commit.stdout?.trim() || 'unknown'}`,
    peers: `${versions.join(', ')} (${sqliteVersion()})`,
    load: `${os.loadavg()[0].toFixed(2)} before the first row`,
  };
}

/**
 * Bytes written so far to the device of `directory`, by all processes. Undefined if the system
 * does not report it.
 * @type {(directory: string) => number | undefined}
 */
export function deviceBytesWritten(directory) {
  spawnSync('sync');
  try {
    const number = deviceNumber(statSync(directory).dev);
    const fields = readFileSync(`/sys/dev/block/${number}/stat`, 'utf8').trim().split(/\s+/);
    return 512 * Number(fields[6]);
  } catch {
    return undefined;
  }
}

/** Processor time of the main thread, in milliseconds. @type {() => number | undefined} */
export function mainThreadCpuMs() {
  try {
    const text = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8');
    return Number(text.split(' ')[0]) / 1e6;
  } catch {
    return undefined;
  }
}
