import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

test.each([
  ['README.md', '4096n false 1\n18n 4096n\n0 2\n'],
  ['examples/storage-node/README.md', 'bytes'],
])('the example of %s runs unchanged on the built package', (document, printed) => {
  const readme = readFileSync(join(ROOT, document), 'utf8');
  const [, program] = /```js\n([\s\S]*?)```/.exec(readme)!;
  // Inside the package, so that it can be imported by name.
  mkdirSync(join(ROOT, '.scratch'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.scratch', 'readme-'));
  try {
    writeFileSync(join(folder, 'example.mjs'), program!);
    const output = execFileSync(process.execPath, ['example.mjs'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    expect(output).toBe(printed);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('npx lodestore runs in a clone: the built command is executable', () => {
  expect(statSync(join(ROOT, 'dist/cli/main.js')).mode & 0o111).not.toBe(0);
});

test('every link of the README leads to a file of the published package', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, link]) => link!);
  const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files }] = JSON.parse(packed) as [{ files: { path: string }[] }];
  const paths = new Set(files.map(({ path }) => path));
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter((link) => !paths.has(link))).toEqual([]);
});

test('every link of the docs leads to a file', () => {
  for (const name of ['README.md', 'ARCHITECTURE.md']) {
    const text = readFileSync(join(ROOT, name), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, link]) => link!);
    for (const link of links) expect(() => readFileSync(join(ROOT, link))).not.toThrow();
    const paths = [...text.matchAll(/`((?:src|test|docs|examples)\/[\w./-]+\.\w+)`/g)];
    for (const [, path] of paths) expect(() => readFileSync(join(ROOT, path!)), path).not.toThrow();
  }
});
