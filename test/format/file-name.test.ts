import { expect, test } from 'vitest';
import {
  logName,
  parseFileName,
  snapshotName,
  temporarySnapshotName,
} from '../../src/format/file-name.ts';

test('names are formatted and parsed', () => {
  for (const number of [0, 1, 255, 2 ** 32, 2 ** 52 - 1]) {
    expect(parseFileName(logName(number))).toEqual({ kind: 'log', number });
    expect(parseFileName(snapshotName(number))).toEqual({ kind: 'snapshot', number });
    const temporary = { kind: 'temporary', number };
    expect(parseFileName(temporarySnapshotName(number, 'nonce'))).toEqual(temporary);
    expect(parseFileName(`${snapshotName(number)}.tmp`)).toEqual(temporary);
  }
  expect(logName(10)).toBe('log_000000000000000a');
  expect(parseFileName('DO_NOT_PUT_YOUR_FILES_HERE')).toEqual({ kind: 'marker' });
  expect(parseFileName('lodestore.lock')).toEqual({ kind: 'lock' });
  expect(parseFileName('lodestore.lease')).toEqual({ kind: 'lease' });
  expect(parseFileName('quarantine')).toEqual({ kind: 'quarantine' });
  expect(parseFileName('lodestore.reserve')).toEqual({ kind: 'reserve' });
  expect(parseFileName('lodestore.reserve.3')).toEqual({ kind: 'reserve' });
  expect(parseFileName('lodestore.reserve.4')).toEqual({ kind: 'foreign' });
});

test.each([
  'snapshot_0000000000000009.old',
  'log_0000000000000001.tmp',
  'snapshot_0000000000000001.12ab.tmp',
  'snapshot_0000000000000001.12ab34cd',
  'log_000000000000000A',
  'log_1',
  'log_00000000000000001',
  'log_0010000000000000',
  'log_ffffffffffffffff',
  ' log_0000000000000001',
  'log_0000000000000001\n',
  'LOG_0000000000000001',
  'log-0000000000000001',
  '',
  'lost+found',
])('%j is foreign', (name) => {
  expect(parseFileName(name)).toEqual({ kind: 'foreign' });
});
