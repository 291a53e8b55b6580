import { expect, test } from 'vitest';
import { runs } from '../test/support/effort.ts';
import { Campaign, DEFAULTS } from './campaign/campaign.ts';

/** The long form is `npm run test:crash`. */
const STATES = runs(10_000, 8);
const INLINE_STATES = runs(2_500, 8);
const DEFERRED_STATES = runs(5_000, 8);

test('no crash at any sync of any program breaks a promise', { timeout: 300_000 }, async () => {
  const { failure, distinct } = await new Campaign({ ...DEFAULTS, states: STATES }).run();
  expect(failure).toBeUndefined();
  expect(distinct).toBeGreaterThanOrEqual(STATES);
});

test(
  'no crash breaks a promise when batches are acknowledged before they are durable',
  { timeout: 300_000 },
  async () => {
    const options = { ...DEFAULTS, durability: 'deferred' as const, states: DEFERRED_STATES };
    const { failure, distinct } = await new Campaign(options).run();
    expect(failure).toBeUndefined();
    expect(distinct).toBeGreaterThanOrEqual(DEFERRED_STATES);
  },
);

test(
  'no crash breaks a promise when batches are written with blocking calls',
  { timeout: 300_000 },
  async () => {
    const options = { ...DEFAULTS, commits: 'inline' as const, states: INLINE_STATES };
    const { failure, distinct } = await new Campaign(options).run();
    expect(failure).toBeUndefined();
    expect(distinct).toBeGreaterThanOrEqual(INLINE_STATES);
  },
);
