import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { blocksOf, GuideFolder, matches, readDocument } from '../support/guide.ts';

const GUIDES = readdirSync(fileURLToPath(new URL('../../docs/guides', import.meta.url)))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/guides/${name}`);

/** A guide that shows another exit code than 0 on purpose says so in its text: `exit code 1`. */
const EXIT_CODE = /exit code (\d)/;

describe.each(GUIDES)('%s', (path) => {
  const folder = new GuideFolder();
  afterAll(() => folder.remove());
  const blocks = blocksOf(readDocument(path));

  test('has code to run', () => expect(blocks.length).toBeGreaterThan(0));

  // In order: a block may use the directory of the preceding block.
  test.each(blocks)('the $language block at line $line does what the guide says', async (block) => {
    const { text, exitCode } = await folder.run(block);
    const [, expectedCode = '0'] = EXIT_CODE.exec(block.text) ?? [];
    expect(exitCode, text).toBe(Number(expectedCode));
    if (block.printed === undefined) return;
    if (!matches(text, block.printed)) expect(text).toBe(block.printed);
  });
});

test('printed text is matched line by line, with … for what differs', () => {
  expect(matches('a 12 b\nc\n', 'a … b\nc\n')).toBe(true);
  expect(matches('a 12\nb\n', 'a … b\n')).toBe(false);
  expect(matches('a\nx\ny\nb\n', 'a\n…\nb\n')).toBe(true);
  expect(matches('a\nb\n', 'a\n…\nb\n')).toBe(true);
  expect(matches('a\nx\nc\n', 'a\n…\nb\n')).toBe(false);
  expect(matches('a.b\n', 'aXb\n')).toBe(false);
});
