import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { batchesIn } from '../support/kill-batches.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const PROGRAM = programPath('kill-writer');

interface Life {
  readonly opened: string;
  /** The highest batch up to which all are acknowledged. */
  readonly acknowledged: number;
  readonly outOfOrder: boolean;
}

/** Runs one process until it is killed, some time after it has acknowledged `acks` batches. */
async function live(
  directory: string,
  options: { readonly acks: number; readonly inFlight: number; readonly store: object },
): Promise<Life> {
  const args = [PROGRAM, directory, `${options.inFlight}`, JSON.stringify(options.store)];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let opened = '';
  let acks = 0;
  let acknowledged = -1;
  let outOfOrder = false;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, number, ...rest] = line.split(' ');
    if (what === 'open') {
      opened = rest.join(' ');
      acknowledged = Number(number);
    } else if (what === 'ack') {
      acks++;
      outOfOrder ||= Number(number) !== acknowledged + 1;
      acknowledged = Number(number);
      // The moment of the kill is random enough, because the process does not wait.
      if (acks === options.acks) child.kill('SIGKILL');
    }
  }
  await exited;
  return { opened, acknowledged, outOfOrder };
}

describe.each([
  ['commits', { mergeBytes: 2 ** 40 }, 64],
  ['rotations', { rotateBytes: 65_536, mergeBytes: 2 ** 40 }, 200],
  ['merges', { rotateBytes: 65_536, mergeBytes: 1 }, 16],
] as const)('SIGKILL under load, while there are %s', (_what, store, inFlight) => {
  test('after each of many kills, every acknowledged batch is there, and each batch is whole or absent', async () => {
    const directory = await temporaryDirectory();
    let before = -1;
    for (let round = 0; round < 4; round++) {
      const acks = 1 + Math.floor(Math.random() * 600);
      const life = await live(directory, { acks, inFlight, store });
      expect(life.opened).toBe('ok');
      expect(life.outOfOrder).toBe(false);
      expect(life.acknowledged).toBeGreaterThanOrEqual(before + acks);
      const reading = await MetadataStore.open(directory, { readOnly: true });
      const seen = batchesIn(reading);
      expect(seen.problem).toBeUndefined();
      expect(seen.highest).toBeGreaterThanOrEqual(life.acknowledged);
      expect(seen.highest).toBeLessThanOrEqual(life.acknowledged + 10 * inFlight);
      await reading.close();
      before = seen.highest;
    }
    const last = await MetadataStore.open(directory);
    expect(batchesIn(last)).toEqual({ highest: before, problem: undefined });
    await last.close();
  });
});
