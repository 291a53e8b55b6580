import { expect, test } from 'vitest';
import { runHistories } from './replicated/histories.ts';

/** Takes a few seconds; `npm run test:replicated` runs any number. */
const HISTORIES = 3;

test('histories of a replicated store keep every promise', async () => {
  const { verdict, lines } = await runHistories({ firstSeed: 1, histories: HISTORIES, steps: 80 });
  expect(verdict, lines.join('\n')).toBeUndefined();
});
