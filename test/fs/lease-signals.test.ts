import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const LEASE_MODULE = programPath('lease');
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs `source` in a separate process that exits by itself. Returns what it prints. */
function run(source: string, path: string): { readonly printed: string; readonly signal: unknown } {
  const program = `
    import { createRequire } from 'node:module';
    import { existsSync } from 'node:fs';
    import { constants } from 'node:os';
    const require = createRequire(${JSON.stringify(LEASE_MODULE)});
    const path = ${JSON.stringify(path)};
    const { takeLease } = await import(${JSON.stringify(LEASE_MODULE)});
    const take = () => takeLease(path, { staleMs: 3_600_000, onLost() {} });
    const emitter = () => process.__signal_exit_emitter__;
    const state = () => JSON.stringify([
      Object.keys(constants.signals).map((signal) => process.listenerCount(signal)),
      emitter()?.listenerCount('exit'),
      emitter()?.count,
    ]);
    const methods = () => [process.emit, process.reallyExit];
    ${source}`;
  const flags = ['--input-type=module', '--eval', program];
  const { stdout, stderr, signal } = spawnSync(process.execPath, flags, {
    cwd: ROOT,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return { printed: stdout.trim(), signal };
}

/** Prints whether taking a lease changed anything about signals. */
const COMPARED = `
  const exits = () => process.listenerCount('exit') - listeners;
  const listeners = process.listenerCount('exit');
  const before = [state(), ...methods()];
  const lease = await take();
  const after = [state(), ...methods()];
  console.log(before.every((value, i) => value === after[i]), exits());
  await lease.release();
  console.log(exits());`;

/**
 * After `setuid`, only the owner of a directory may set its time, so the directory is made again.
 */
test.runIf(process.getuid?.() === 0)(
  'a process that changes its user keeps its lease',
  async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'lease');
    const source = `
    const { chmodSync, statSync } = await import('node:fs');
    const overdue = new Promise((resolve) => (globalThis.onOverdue = resolve));
    const lost = [];
    const lease = await takeLease(path, {
      staleMs: 6_000,
      onLost: (cause) => lost.push(cause),
      onOverdue: () => globalThis.onOverdue(),
    });
    chmodSync(${JSON.stringify(directory)}, 0o777);
    process.setgid(65534);
    process.setuid(65534);
    const alive = setInterval(() => undefined, 1_000);
    await overdue;
    await lease.renew();
    clearInterval(alive);
    console.log(lease.isFresh(), statSync(path).uid, lost.length);
    await lease.release();
    console.log(existsSync(path));`;
    expect(run(source, path).printed).toBe('true 65534 0\nfalse');
  },
);

describe('signal handling stays with the application', () => {
  test('a lease adds one listener to the exit of the process and no other', async () => {
    const path = join(await temporaryDirectory(), 'lease');
    expect(run(COMPARED, path).printed).toBe('true 1\n0');
  });

  test.each(['signal-exit', 'proper-lockfile'])(
    'an application that uses %s, loaded before, keeps its hooks',
    async (name) => {
      const path = join(await temporaryDirectory(), 'lease');
      const source = `const own = require('${name}');
        if (typeof own === 'function' && own.signals) own(() => undefined);
        console.log(emitter().listenerCount('exit'), process.listenerCount('SIGTERM'));
        ${COMPARED}
        console.log(require('${name}') === own, emitter().listenerCount('exit'));`;
      expect(run(source, path).printed).toBe('1 1\ntrue 1\n0\ntrue 1');
    },
  );

  test.each(['signal-exit', 'proper-lockfile'])(
    'an application that uses %s, loaded after, gets its hooks',
    async (name) => {
      const path = join(await temporaryDirectory(), 'lease');
      const source = `const lease = await take();
        const own = require('${name}');
        if (typeof own === 'function' && own.signals) own(() => undefined);
        console.log(emitter().listenerCount('exit'), process.listenerCount('SIGTERM'));
        await lease.release();`;
      expect(run(source, path).printed).toBe('1 1');
    },
  );

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'])(
    '%s ends the process as it would without a lease, which stays',
    async (signal) => {
      const path = join(await temporaryDirectory(), 'lease');
      const source = `await take(); process.kill(process.pid, '${signal}');
        setInterval(() => undefined, 1_000);`;
      expect(run(source, path).signal).toBe(signal);
      expect(existsSync(path)).toBe(true);
    },
  );

  test("an application's hook that acts on signals leaves the lease alone", async () => {
    const path = join(await temporaryDirectory(), 'lease');
    // As PID 1, or if the signal is sent again and ignored, the process continues.
    const source = `require('proper-lockfile');
      const lease = await take();
      process.kill = () => true;
      process.emit('SIGTERM', 'SIGTERM');
      console.log(existsSync(path), lease.isFresh());
      await lease.release();`;
    expect(run(source, path).printed).toBe('true true');
  });

  test('a process whose exit is mocked keeps its lease', async () => {
    const path = join(await temporaryDirectory(), 'lease');
    const source = `const lease = await take();
      process.exit = () => undefined;
      process.exit(1);
      console.log(existsSync(path), lease.isFresh());
      await lease.release();`;
    expect(run(source, path).printed).toBe('true true');
  });
});
