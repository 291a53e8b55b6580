import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { isLackOfSpace, systemCode } from '../../src/base/errors.ts';

function failure(code: unknown): Error {
  return Object.assign(new Error('write'), { code });
}

test.each(['ENOSPC', 'EDQUOT', 'EFBIG'])('%s is a lack of space', (code) => {
  expect(isLackOfSpace(failure(code))).toBe(true);
});

test("a used-up quota is a lack of space, also under Node's name for it", () => {
  const error = failure(`Unknown system error -${constants.errno.EDQUOT}`);
  expect(systemCode(error)).toBe('EDQUOT');
  expect(isLackOfSpace(error)).toBe(true);
});

test.each([
  failure('EIO'),
  failure('Unknown system error -5'),
  failure(28),
  new Error('full'),
  undefined,
])('%s is none', (error) => {
  expect(isLackOfSpace(error)).toBe(false);
});
