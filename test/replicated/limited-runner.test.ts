import { expect, test } from 'vitest';
import type { Job } from '../../src/jobs/run-job.ts';
import { JobSlots, LimitedRunner } from '../../src/replicated/shards/limited-runner.ts';

test.for(['make', 'run', 'close'])('a job whose %s fails gives its slot back', async (failing) => {
  const slots = new JobSlots(1);
  const failure = new Error(`${failing} fails`);
  const step = (name: string): Promise<never> =>
    name === failing ? Promise.reject(failure) : Promise.resolve(undefined as never);
  const limited = new LimitedRunner(slots, () => {
    if (failing === 'make') throw failure;
    return { parallelism: 1, run: () => step('run'), close: () => step('close') };
  });
  await expect(limited.run({} as Job)).rejects.toBe(failure);
  const taken = slots.take().then(() => 'free');
  expect(await Promise.race([taken, new Promise(setImmediate)])).toBe('free');
});
