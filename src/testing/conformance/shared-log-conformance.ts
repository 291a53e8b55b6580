import { type ConformanceCase } from './conformance-case.ts';
import { APPEND_CASES } from './log-append-cases.ts';
import { READ_CASES } from './log-read-cases.ts';
import { OpenedLogs, type SharedLogSubject } from './opened-log.ts';

/**
 * The conformance suite for adapters of a shared log: one case per rule of `SharedLog`. Works with
 * any test runner:
 *
 * ```ts
 * for (const { name, run } of sharedLogConformance(makeEmptyLog)) test(name, run);
 * ```
 *
 * `makeSubject` is called once per case and returns a log without entries. The suite does not need
 * faults of the engine. Tests that kill the engine's nodes are separate.
 */
export function sharedLogConformance(
  makeSubject: () => SharedLogSubject | Promise<SharedLogSubject>,
): ConformanceCase[] {
  return [...APPEND_CASES, ...READ_CASES].map(({ name, check }) => ({
    name,
    run: async () => {
      const logs = new OpenedLogs(await makeSubject());
      try {
        await check(logs);
      } finally {
        await logs.close();
      }
    },
  }));
}
