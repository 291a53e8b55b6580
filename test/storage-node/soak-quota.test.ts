import { expect, test } from 'vitest';
import { QuotaLedger } from './soak/soak-quota.ts';
import { QUOTA_BYTES } from './soak/soak-report.ts';

const EIGHTH = QUOTA_BYTES / 8;

function put(ledger: QuotaLedger, name: string, sizeBytes: number): void {
  ledger.take({ type: 'begin', bucket: 'q', name, sizeBytes });
  ledger.take({ type: 'done', bucket: 'q', name });
}

test('what was written since a PUT decides whether its object must be there', () => {
  const ledger = new QuotaLedger();
  put(ledger, 'a', 1_000);
  for (let i = 0; i < 5; i++) put(ledger, `${i}`, EIGHTH);
  expect(ledger.isKept('a')).toBe(true);
  put(ledger, 'b', EIGHTH);
  expect(ledger.isKept('a')).toBe(false);
  expect(ledger.isKept('0')).toBe(false);
  expect(ledger.isKept('1')).toBe(true);
});

test('calls that were refused, and those that a kill ended, may have written', () => {
  const ledger = new QuotaLedger();
  put(ledger, 'a', 1_000);
  for (let i = 0; i < 3; i++) {
    ledger.take({ type: 'begin', bucket: 'q', name: 'b', sizeBytes: EIGHTH });
    ledger.take({ type: 'refused', bucket: 'q', name: 'b' });
    ledger.take({ type: 'begin', bucket: 'q', name: 'c', sizeBytes: EIGHTH });
    expect(ledger.isKept('a')).toBe(i < 2);
    ledger.endRound();
  }
});

test('a call that was under way when a PUT began may have been written after it', () => {
  const ledger = new QuotaLedger();
  ledger.take({ type: 'begin', bucket: 'q', name: 'long', sizeBytes: 6 * EIGHTH });
  put(ledger, 'a', 1_000);
  ledger.take({ type: 'done', bucket: 'q', name: 'long' });
  expect(ledger.isKept('a')).toBe(false);
  put(ledger, 'b', 1_000);
  expect(ledger.isKept('b')).toBe(true);
  ledger.forget('b');
  expect(ledger.isKept('b')).toBe(false);
});
