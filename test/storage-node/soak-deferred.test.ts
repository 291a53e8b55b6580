import { expect, test } from 'vitest';
import { DeferredLedger, type RoundEnd } from './soak/soak-deferred.ts';
import { NO_COUNTS, type SoakCounts } from './soak/soak-report.ts';

/**
 * `+a1`: the PUT of `1` to `a` begins; `a1`: it is acknowledged. `!` after it: it is durable then.
 * `a-`: a delete.
 */
function ledgerOf(reports: string, counts: SoakCounts = { ...NO_COUNTS }): DeferredLedger {
  const ledger = new DeferredLedger(counts);
  for (const [i, report] of reports.split(' ').entries()) {
    const [, begins, name, body] = /^(\+?)([a-z])([0-9-])!?$/.exec(report)!;
    ledger.take({
      type: begins === '+' ? 'begin' : 'done',
      bucket: 'd',
      name: name!,
      ...(body !== '-' && { hash: body! }),
      isSynced: report.endsWith('!'),
      atMs: 100_000 + i,
    });
  }
  return ledger;
}

const KILLED: RoundEnd = { killedMs: 100_500, slowestMs: 10, isFilledUp: false };
const LATE: RoundEnd = { ...KILLED, killedMs: 101_300 };
const FILLED_UP: RoundEnd = { ...KILLED, isFilledUp: true };

/** `found`: as `a1 b-`. */
function settle(ledger: DeferredLedger, found: string, end: RoundEnd | undefined): void {
  const contents = found.split(' ').map((each): [string, string | undefined] => {
    return [each[0]!, each[1] === '-' ? undefined : each[1]];
  });
  ledger.settle(new Map(contents), end);
}

const TWO = '+a1 a1 +b2 b2';

test.each<[string, string, string, RoundEnd | undefined]>([
  ['everything', TWO, 'a1 b2', undefined],
  ['all but the last', TWO, 'a1 b-', KILLED],
  ['nothing', TWO, 'a- b-', KILLED],
  ['one of two that were in progress together', '+a1 +b2 a1 b2', 'a- b2', KILLED],
  ['what was never acknowledged', '+a1', 'a1', KILLED],
  ['an earlier body of a name', '+a1 a1 +a2 a2', 'a1', KILLED],
  ['a PUT that arrived during a durable call is lost', '+b-! +a1 a1 b-!', 'a- b-', KILLED],
  ['a delete passes the buffer on a full disk', '+a1 a1 +b-! b-!', 'a- b-', FILLED_UP],
])('may be left: %s', (_, reports, found, end) => {
  const ledger = ledgerOf(reports);
  settle(ledger, found, end);
  // The next round begins with that.
  for (const each of found.split(' ')) {
    expect(ledger.settled(each[0]!)).toBe(each[1] === '-' ? undefined : each[1]);
  }
});

test.each<[string, string, string, RoundEnd | undefined]>([
  ['the later of two without the earlier', TWO, 'a- b2', KILLED],
  ['the same on a full disk', TWO, 'a- b2', FILLED_UP],
  ['not all after a close', TWO, 'a1 b-', undefined],
  ['not all of what is older than the interval', TWO, 'a1 b-', LATE],
  ['not what was before a durable call', '+a1 a1 +b-! b-!', 'a- b-', KILLED],
  ['not a durable call', '+a1! a1!', 'a-', KILLED],
  ['not a durable call of a full disk', '+a1! a1!', 'a-', FILLED_UP],
  ['other bytes', TWO, 'a3 b2', KILLED],
])('must not be left: %s', (_, reports, found, end) => {
  const ledger = ledgerOf(reports);
  expect(() => settle(ledger, found, end)).toThrow(/no prefix|never stored/);
});

test('what a kill loses is counted, with the age of the oldest', () => {
  const counts = { ...NO_COUNTS };
  settle(ledgerOf('+a1 a1 +b2 b2 +a3 a3', counts), 'a1 b-', KILLED);
  expect(counts).toMatchObject({
    deferredAcknowledged: 3,
    deferredLost: 2,
    deferredCuts: 1,
    deferredOldestLostMs: 497,
  });
});
