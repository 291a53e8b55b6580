import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HOOK = join(ROOT, 'test', 'examples', 'support', 'register-lodestore.mjs');

test("the guide's compactor moves what is alive and loses no overwrite", async () => {
  const guide = readFileSync(join(ROOT, 'docs', 'guides', 'compact-volumes.md'), 'utf8');
  const [, program] = /```js\n([\s\S]*?)```/.exec(guide)!;
  const folder = await temporaryDirectory();
  writeFileSync(join(folder, 'example.mjs'), program!);
  const output = execFileSync(process.execPath, ['--import', HOOK, 'example.mjs'], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  expect(output).toBe('{ moved: 2, overwritten: 1 }\n17n 8 0\n18n 9 9\n19n 9 17\n');
});
