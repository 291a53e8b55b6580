import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { MUTANTS } from './campaign/mutants.ts';
import { REPLICATED_MUTANTS } from './replicated/mutants.ts';

test.each(Object.entries({ ...MUTANTS, ...REPLICATED_MUTANTS }))(
  'the source has one place for the planted mistake: %s',
  async (_, { file, find, replace }) => {
    const source = await readFile(fileURLToPath(new URL(`../${file}`, import.meta.url)), 'utf8');
    expect(source.split(find)).toHaveLength(2);
    expect(replace).not.toBe(find);
  },
);
