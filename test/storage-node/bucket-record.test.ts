import { expect, test } from 'vitest';
import {
  checkedPolicy,
  decodePolicy,
  encodePolicy,
  type BucketPolicy,
} from '../../examples/storage-node/src/ledger/bucket-record.ts';
import { ByteReader, ByteWriter } from '../../examples/storage-node/src/ledger/byte-writer.ts';

const bytesOf = (policy: BucketPolicy): number[] => [
  ...encodePolicy(new ByteWriter(), policy).end(),
];
const policyOf = (bytes: readonly number[]): BucketPolicy =>
  decodePolicy(new ByteReader(Uint8Array.from(bytes)));

test('a policy is stored as VOLUMES.md says, byte for byte', () => {
  for (const [policy, bytes] of [
    [{ mode: 'keep' }, [0, 0, 0, 0]],
    [{ mode: 'cache', ttlMs: 128 }, [1, 0, 0, 0x80, 1]],
    [{ mode: 'quota', quotaBytes: 1024 }, [2, 0, 0x80, 8, 0]],
    [{ mode: 'keep', acknowledge: 'deferred' }, [0, 1, 0, 0]],
    [{ mode: 'quota', quotaBytes: 1, ttlMs: 2, acknowledge: 'deferred' }, [2, 1, 1, 2]],
    [{ mode: 'keep', compression: 'zstd' }, [0, 2, 0, 0]],
    [{ mode: 'cache', acknowledge: 'deferred', compression: 'zstd' }, [1, 3, 0, 0]],
  ] as const) {
    expect(bytesOf(policy)).toEqual(bytes);
    expect(policyOf(bytes)).toEqual(policy);
  }
  // The default is not stored.
  expect(bytesOf({ mode: 'keep', acknowledge: 'synced' })).toEqual([0, 0, 0, 0]);
  expect(bytesOf({ mode: 'keep', compression: 'none' })).toEqual([0, 0, 0, 0]);
});

test('a policy with an unknown mode or option is of a later version', () => {
  for (const bytes of [
    [3, 0, 0, 0],
    [0, 4, 0, 0],
    [0, 0x81, 0, 0],
  ]) {
    expect(() => policyOf(bytes)).toThrow('a bucket of a later version');
  }
});

test.each([
  [{ mode: 'keeep' }, 'mode must be one of keep, cache, quota'],
  [{ mode: 'quota' }, 'mode quota needs quotaBytes'],
  [{ mode: 'keep', quotaBytes: 1 }, 'quotaBytes needs mode quota'],
  [{ mode: 'quota', quotaBytes: 1.5 }, 'quotaBytes must be a positive integer'],
  [{ mode: 'keep', ttlMs: 0 }, 'ttlMs must be a positive integer'],
  [{ mode: 'keep', acknowledge: 'later' }, 'acknowledge must be synced or deferred'],
  [{ mode: 'keep', compression: 'gzip' }, 'compression must be none or zstd'],
  [{ mode: 'keep', tll: 1 }, 'tll is not an option'],
])('a wrong policy is refused with its reason: %j', (policy, reason) => {
  expect(() => checkedPolicy(policy as BucketPolicy)).toThrow(reason);
});
