import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { verify } from '../../src/cli/verify.ts';
import { CorruptionError, MetadataStore } from '../../src/index.ts';
import { openOn } from '../../src/testing/index.ts';
import { runOn } from '../support/cli.ts';
import { DAMAGE_ROWS, subject } from '../support/damage-table.ts';
import { ANCESTOR, copyOf } from '../support/golden.ts';
import { machineWith, withChange, withFlip, type Files } from '../support/machine.ts';
import { nth } from '../support/nth.ts';
import { insertBatches, SMALL_LOGS } from '../support/store-directory.ts';

async function verifyCode(files: Files): Promise<number> {
  return (await runOn(machineWith(files), (context) => verify(context, '/s', {}))).code;
}

/** The exit code that `verify` should have, by the outcome of an open. */
async function openCode(files: Files): Promise<number> {
  try {
    const store = await openOn(machineWith(files), '/s', { readOnly: true });
    await store.close();
    return 0;
  } catch (error) {
    return error instanceof CorruptionError ? 1 : 4;
  }
}

test.each(DAMAGE_ROWS.map((row) => [row.what, row] as const))(
  'verify refuses what open refuses: %s',
  async (_what, row) => {
    expect(await verifyCode(await row.damage(subject))).toBe(1);
  },
);

/** A directory of the ancestor that lodestore has opened and written to, when its process dies. */
async function writtenAncestor(name: string): Promise<Files> {
  const directory = await copyOf(ANCESTOR, name);
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  await insertBatches(store, 0, 5);
  const names = readdirSync(directory).filter((one) => /^(log|snapshot)_|\.lock$/.test(one));
  const files: Files = new Map(
    names.map((one) => [one, new Uint8Array(readFileSync(join(directory, one)))]),
  );
  await store.close();
  return files;
}

/** The last log that has been written to. */
function lastLog(files: Files): string {
  const logs = [...files].filter(([name, bytes]) => name.startsWith('log_') && bytes.some(Boolean));
  return nth(logs.map(([name]) => name).sort(), -1);
}

describe.each(['b-one-log', 'd-snapshot-and-several-logs'])('the ancestor, %s', (golden) => {
  test('verify ends as an open does, whatever byte of the last log is damaged', async () => {
    const files = await writtenAncestor(golden);
    const name = lastLog(files);
    const without = new Map(files);
    without.delete('lodestore.lock');
    const codes = new Set<number>();
    for (const whole of [files, without]) {
      expect([await verifyCode(whole), await openCode(whole)]).toEqual([0, 0]);
      const damaged = [0, 3, 8, 20, 60, 100, 127, 128, 137, 150, 176, 300, 2000].map(
        (offset) => [`flip ${offset}`, withFlip(whole, name, offset)] as const,
      );
      const cut = [0, 64, 128, 150, 2000].map(
        (end) => [`cut ${end}`, withChange(whole, name, (bytes) => bytes.slice(0, end))] as const,
      );
      for (const [what, given] of [...damaged, ...cut]) {
        const code = await verifyCode(given);
        codes.add(code);
        expect(code, `${what} of ${name}`).toBe(await openCode(given));
      }
    }
    expect(codes).toEqual(new Set([0, 1]));
  });
});

test('a log of garbage without a snapshot is no store, as for an open', async () => {
  const files: Files = new Map([['log_0000000000000001', new Uint8Array(300).fill(0xee)]]);
  expect([await verifyCode(files), await openCode(files)]).toEqual([4, 4]);
});
