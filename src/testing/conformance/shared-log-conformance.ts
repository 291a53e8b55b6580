import { type ConformanceCase } from './conformance-case.ts';
import { APPEND_CASES } from './log-append-cases.ts';
import { READ_CASES } from './log-read-cases.ts';
import { OpenedLogs, type SharedLogSubject } from './opened-log.ts';

/**
 * The conformance suite for adapters of a shared log: one case for each rule of `SharedLog`. Works
 * with any test runner:
 *
 * ```ts
 * for (const { name, run } of sharedLogConformance(makeEmptyLog)) test(name, run);
 * ```
 *
 * `makeSubject` is called once for each case and gives a log without entries. The suite needs no
 * faults of the engine: run it beside tests that kill the engine's nodes.
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
