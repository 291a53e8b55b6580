import { expect, test } from 'vitest';
import { DamagedObjectError } from '../../../examples/storage-node/src/node-errors.ts';
import { assertNotSkewed } from '../../../examples/storage-node/src/s3/auth/request-time.ts';
import { protocolErrorOf } from '../../../examples/storage-node/src/s3/call/error-mapping.ts';
import { assertBucketName } from '../../../examples/storage-node/src/s3/operations/bucket-name.ts';

test('damage is told as such, and not as something to try again', () => {
  expect(protocolErrorOf(new DamagedObjectError(1, 4096, 'the checksum is another'))).toMatchObject(
    {
      code: 'InternalError',
      status: 500,
      message: 'The stored object is damaged and was not sent. Store it again or delete it.',
    },
  );
  expect(protocolErrorOf(new Error('x')).message).toBe(
    'We encountered an internal error. Please try again.',
  );
});

test('a refused bucket name comes with the rule', () => {
  expect(() => assertBucketName('b')).toThrow(
    'The specified bucket is not valid: 3 to 63 of a-z, 0-9, - and ., with a letter or digit at each end',
  );
});

test('a clock that differs too much comes with both times and the limit', () => {
  const nowMs = Date.UTC(2026, 0, 1, 12);
  const refusal = (): void => assertNotSkewed('20260101T100000Z', nowMs - 7_200_000, nowMs);
  expect(refusal).toThrow(
    expect.objectContaining({
      code: 'RequestTimeTooSkewed',
      message:
        'The time of the request, 2026-01-01T10:00:00.000Z, differs by more than 15 minutes from ' +
        'the time of the server, 2026-01-01T12:00:00.000Z: set the clock',
      fields: {
        RequestTime: '20260101T100000Z',
        ServerTime: '2026-01-01T12:00:00.000Z',
        MaxAllowedSkewMilliseconds: '900000',
      },
    }),
  );
});
