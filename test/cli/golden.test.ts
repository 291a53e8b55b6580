import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { fingerprint, runCli } from '../support/cli.ts';
import { readDump } from '../support/dump.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const GOLDEN = fileURLToPath(new URL('../golden', import.meta.url));
const DUMP = '.dump.txt.gz';

async function namesOf(format: string): Promise<string[]> {
  const names = await readdir(join(GOLDEN, format));
  return names.filter((name) => name.endsWith(DUMP)).map((name) => name.slice(0, -DUMP.length));
}

const cases = [
  ...(await namesOf('ancestor')).map((name) => ['ancestor', name] as const),
  ...(await namesOf('v1')).map((name) => ['v1', name] as const),
];

/** Converts `key value length hex` to the lines `key value hex` of the golden dumps. */
function withoutLengths(out: string): string {
  return out.replace(
    /^(\d+ \d+) (\d+)(.*)$/gm,
    (_line, head: string, bytes: string, hex: string) => {
      expect(hex.trimStart()).toHaveLength(2 * Number(bytes));
      return `${head} ${hex.trimStart()}`;
    },
  );
}

test.each(cases)(
  '%s %s: is dumped exactly, verified as sound, and left unchanged',
  async (format, name) => {
    const directory = join(await temporaryDirectory(), name);
    await cp(join(GOLDEN, format, name), directory, { recursive: true });
    const before = await fingerprint(directory);
    const dump = await runCli(['dump', '--data', directory]);
    expect([dump.code, dump.err]).toEqual([0, '']);
    expect(withoutLengths(dump.out)).toBe(readDump(join(GOLDEN, format, name + DUMP)));
    const verify = await runCli(['verify', directory]);
    expect([verify.code, verify.err]).toEqual([0, '']);
    const inspect = await runCli(['inspect', '--frames', '--json', directory]);
    expect([inspect.code, inspect.err]).toEqual([0, '']);
    const formats = (JSON.parse(inspect.out) as { formats: string[] }).formats;
    expect(formats).toContain(format === 'v1' ? 'lodestore' : 'ancestor');
    expect(await fingerprint(directory)).toEqual(before);
  },
);
