import { expect, test } from 'vitest';
import { EveryCall, PATHS } from '../../property-tests/campaign/every-call.ts';
import { everyNth } from '../support/effort.ts';

const EVERY = everyNth(24);
/** Each run tests other calls; a failure names its call. */
const FIRST = 1 + Math.floor(Math.random() * EVERY);

/** The long form is part of `npm run test:crash`. */
test.each(Object.entries(PATHS))(
  'every call fails once, and from then on: %s',
  { timeout: 300_000 },
  async (_name, program) => {
    const { runs, failures } = await new EveryCall({
      form: 'short',
      every: EVERY,
      first: FIRST,
    }).run(program);
    expect(failures).toEqual([]);
    expect(runs).toBeGreaterThan(EVERY === 1 ? 300 : 12);
  },
);
