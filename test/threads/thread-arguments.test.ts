import { expect, test } from 'vitest';
import { threadArguments } from '../../src/threads/thread-arguments.ts';

test('a thread inherits all options, unless one of them is for a program given as text', () => {
  expect(threadArguments([])).toBeUndefined();
  expect(threadArguments(['--max-old-space-size=4096', '--import', 'hook'])).toBeUndefined();
  expect(
    threadArguments([
      '--max-old-space-size=4096',
      '--import',
      'hook',
      '--input-type=module',
      '--require=other',
      '-C',
      'development',
      '--eval',
    ]),
  ).toEqual(['--import', 'hook', '--require=other', '-C', 'development']);
});
