// The installed storage node without any file of the checkout: start, S3 with curl, health, stop.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { StorageNode } from 'lodestore-node';

const run = promisify(execFile);
const START_MS = 60_000;
const installed = 'node_modules/lodestore-node';
for (const file of ['LICENSE', 'README.md', 'docs/VOLUMES.md', 'page/index.html']) {
  assert.ok(existsSync(`${installed}/${file}`), `${file} is not in the tarball`);
}
assert.ok(!existsSync(`${installed}/node_modules/lodestore`), 'lodestore is installed twice');

async function untilRunning(signal) {
  for (;;) {
    try {
      return JSON.parse(await readFile('data/running.json', 'utf8'));
    } catch {
      await pause(50, undefined, { signal });
    }
  }
}

const npx = ['--no-install', 'lodestore-node'];
const child = spawn('npx', [...npx, 'start', '--port', '0', '--admin-port', '0'], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
const ended = once(child, 'exit');
const { pid, endpoint, status } = await Promise.race([
  untilRunning(AbortSignal.timeout(START_MS)),
  ended.then(([code]) => assert.fail(`the node ended with ${code}`)),
]);
try {
  const [key] = JSON.parse(await readFile('data/keys.json', 'utf8'));
  const curl = async (path, ...args) => {
    const user = `${key.accessKeyId}:${key.secretAccessKey}`;
    const header = 'x-amz-content-sha256: UNSIGNED-PAYLOAD';
    const signed = ['--aws-sigv4', 'aws:amz:us-east-1:s3', '--user', user, '--header', header];
    await run('curl', ['-sS', '--fail', ...signed, ...args, `${endpoint}${path}`]);
  };
  await writeFile('stored', randomBytes(300_000));
  await curl('/bucket', '-X', 'PUT');
  await curl('/bucket/name', '-T', 'stored');
  await curl('/bucket/name', '-o', 'read');
  assert.deepEqual(await readFile('read'), await readFile('stored'));
  const health = await fetch(`${status}/health`);
  assert.equal(health.status, 200, await health.text());
  const page = await fetch(status);
  assert.match(await page.text(), /<title>/);
} finally {
  process.kill(pid, 'SIGTERM');
}
assert.deepEqual(await ended, [0, null]);

const node = await StorageNode.open('data');
const reader = await node.open('bucket', 'name');
assert.equal(await text(reader.body()), await readFile('stored', 'utf8'));
await node.close();
const { stdout } = await run('npx', [...npx, 'verify']);
console.log(stdout.trim());
console.log('the packed storage node works');
