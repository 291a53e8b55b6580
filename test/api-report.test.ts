import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { makeApiReport } from './support/api-report.ts';

const ROOT = new URL('..', import.meta.url);

test('docs/API.md matches the public API', async () => {
  const checkedIn = readFileSync(new URL('docs/API.md', ROOT), 'utf8');
  expect(checkedIn, 'if the change is meant: npm run api').toBe(await makeApiReport());
});

test('docs/API.md has every entry point of the package', () => {
  const { exports } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  const report = readFileSync(new URL('docs/API.md', ROOT), 'utf8');
  for (const entry of Object.keys(exports).filter((name) => name !== './package.json')) {
    expect(report).toContain(`## \`${entry.replace(/^\./, 'lodestore')}\`\n`);
  }
});
