import { expect, test } from 'vitest';
import { EveryCall, PATHS } from '../../property-tests/campaign/every-call.ts';

/** The long form is part of `npm run test:crash`. */
test.each(Object.entries(PATHS))(
  'every call fails once, and from then on: %s',
  { timeout: 300_000 },
  async (_name, program) => {
    const { runs, failures } = await new EveryCall({ form: 'short' }).run(program);
    expect(failures).toEqual([]);
    expect(runs).toBeGreaterThan(300);
  },
);
