import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { FAULTY_FILE_SYSTEMS } from './campaign/faulty-file-systems.ts';
import { MUTANTS } from './campaign/mutants.ts';
import { REPLICATED_MUTANTS } from './replicated/mutants.ts';
import { NODE_MUTANTS } from './storage-node/node-mutants.ts';

test.each(Object.entries({ ...MUTANTS, ...REPLICATED_MUTANTS }))(
  'the source has one place for the planted mistake: %s',
  async (_, { file, find, replace }) => {
    const source = await readFile(fileURLToPath(new URL(`../${file}`, import.meta.url)), 'utf8');
    expect(source.split(find)).toHaveLength(2);
    expect(replace).not.toBe(find);
  },
);

test('every planted mistake of the store has a row in the table of DURABILITY.md', async () => {
  const text = await readFile(new URL('../docs/DURABILITY.md', import.meta.url), 'utf8');
  const matrix = /^## The mistake matrix$(.*?)^## /ms.exec(text)![1]!;
  const rows = matrix.split('\n').filter((line) => line.startsWith('| '));
  const told = rows.slice(2).map((line) => line.split('|')[1]!.trim());
  const planted = [...Object.keys(FAULTY_FILE_SYSTEMS), ...Object.keys(MUTANTS)];
  // Those of the example stand in its own documents.
  const own = planted.filter((name) => !Object.hasOwn(NODE_MUTANTS, name));
  expect(told.toSorted()).toEqual(own.toSorted());
});
