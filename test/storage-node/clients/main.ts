/**
 * `npm run test:s3-clients`: tests the storage node with the command line clients of Debian.
 * Missing ones are installed if possible, and reported as skipped otherwise.
 *
 * `-- --compress` makes the buckets of the clients compressed ones. With `--require aws,curl`, it
 * fails without the named clients.
 */
import { parseArgs } from 'node:util';
import { tryAws } from './aws.ts';
import { tryCurl } from './curl.ts';
import { tryRclone } from './rclone.ts';
import { tryS3cmd } from './s3cmd.ts';
import { locate, type Protocol, run } from './tool.ts';
import { type ClientWorld, openClientWorld } from './world.ts';

const PACKAGES: Readonly<Record<string, string>> = {
  aws: 'awscli',
  s3cmd: 's3cmd',
  rclone: 'rclone',
  curl: 'curl',
};

async function install(): Promise<void> {
  const missing: string[] = [];
  for (const [program, name] of Object.entries(PACKAGES)) {
    if ((await locate(program)) === undefined) missing.push(name);
  }
  if (missing.length === 0 || process.getuid?.() !== 0) return;
  if ((await locate('apt-get')) === undefined) return;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const wait = ['-o', 'DPkg::Lock::Timeout=300'];
  await run('apt-get', [...wait, 'update', '-qq'], { env });
  await run('apt-get', [...wait, 'install', '-y', '-qq', ...missing], { env });
}

/** @throws Error if a name is not that of a client */
function requiredClients(list: string): readonly string[] {
  const names = list.split(',').filter((name) => name !== '');
  const unknown = names.find((name) => PACKAGES[name] === undefined);
  if (unknown === undefined) return names;
  throw new Error(`--require ${unknown}: the clients are ${Object.keys(PACKAGES).join(', ')}`);
}

/** Every installed version of the AWS command line, newest path first. */
async function awsPrograms(): Promise<string[]> {
  const seen = new Map<string, string>();
  for (const program of ['aws', '/usr/bin/aws']) {
    const { code, stdout, stderr } = await run(program, ['--version']).catch(() => ({
      code: -1,
      stdout: '',
      stderr: '',
    }));
    const version = (stdout + stderr).split(' ')[0] ?? '';
    if (code === 0 && !seen.has(version)) seen.set(version, program);
  }
  return [...seen.values()];
}

const CLIENTS: readonly (readonly [
  program: string,
  attempt: (world: ClientWorld, program: string) => Promise<Protocol>,
])[] = [
  ['s3cmd', tryS3cmd],
  ['rclone', tryRclone],
  ['curl', tryCurl],
];

const { values: flags } = parseArgs({
  options: {
    compress: { type: 'boolean', default: false },
    require: { type: 'string', default: '' },
  },
});
const required = requiredClients(flags.require);
await install();
const world = await openClientWorld(flags.compress);
const protocols: Protocol[] = [];
const skipped: string[] = [];
try {
  const aws = await awsPrograms();
  if (aws.length === 0) skipped.push('aws');
  for (const program of aws) protocols.push(await tryAws(world, program));
  for (const [program, attempt] of CLIENTS) {
    const path = await locate(program);
    if (path === undefined) skipped.push(program);
    else protocols.push(await attempt(world, path));
  }
} finally {
  await world.close();
}
for (const { client, done, failed } of protocols) {
  console.log(`${client}: ${done.length} of ${done.length + failed.length} steps`);
  console.log(`  ${done.join(', ')}`);
  if (failed.length > 0) console.log(`  FAILED: ${failed.join(', ')}`);
}
for (const program of skipped) {
  const what = required.includes(program) ? 'MISSING' : 'skipped';
  console.log(`${what}: ${program} is not installed`);
}
const isMissing = skipped.some((program) => required.includes(program));
process.exitCode = isMissing || protocols.some(({ failed }) => failed.length > 0) ? 1 : 0;
