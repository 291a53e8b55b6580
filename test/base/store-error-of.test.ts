import { expect, test } from 'vitest';
import { StoreError, StoreFullError } from '../../src/base/errors.ts';
import { storeErrorOf } from '../../src/base/store-error-of.ts';
import { systemError } from '../../src/testing/disk/system-error.ts';

const WORK = { what: 'it could not be done', path: '/s' };

test('a system error becomes the cause of an error that names its path', () => {
  const cause = systemError('EIO', 'open', '/s/log_1');
  const error = storeErrorOf(cause, WORK);
  expect(error).toBeInstanceOf(StoreError);
  expect(error).toMatchObject({
    code: 'LODESTORE_IO',
    path: '/s/log_1',
    message: 'it could not be done: EIO at /s/log_1',
    cause,
  });
  const withoutPath = Object.assign(new Error('read'), { code: 'EIO' });
  expect(storeErrorOf(withoutPath, WORK)).toMatchObject({ path: '/s' });
});

test("the message has the meaning of the code, where the system's message has it", () => {
  const cause = Object.assign(
    new Error("ENOSPC: no space left on device, open '/proc/self/fd/20/log_1'"),
    { code: 'ENOSPC', path: '/s/log_1' },
  );
  expect(storeErrorOf(cause, WORK)).toMatchObject({
    message: 'it could not be done: ENOSPC (no space left on device) at /s/log_1',
  });
  const other = Object.assign(new Error("EIO: i/o error, read '/s'"), { code: 'ENOSPC' });
  expect(storeErrorOf(other, WORK)).toMatchObject({
    message: 'it could not be done: ENOSPC at /s',
  });
});

test('a lack of space has its code for every operation', () => {
  const work = { ...WORK, code: 'LODESTORE_MERGE_FAILED', outcome: 'not-applied' } as const;
  const error = storeErrorOf(systemError('ENOSPC', 'write', '/s/log_1'), work);
  expect(error).toBeInstanceOf(StoreFullError);
  expect(error).toMatchObject({ code: 'LODESTORE_FULL', outcome: 'not-applied' });
});

test('other errors stay unchanged', () => {
  const misuse = Object.assign(new TypeError('no path'), { code: 'ERR_INVALID_ARG_TYPE' });
  for (const error of [new StoreError('LODESTORE_CLOSED', ''), misuse, new Error('bug'), 'text']) {
    expect(storeErrorOf(error, WORK)).toBe(error);
  }
});

test("a denial by Node's permission model names the remedy", () => {
  const denied = (message: string): Error =>
    Object.assign(new Error(message), { code: 'ERR_ACCESS_DENIED' });
  const work = { what: 'the store could not be read or written', path: '/s' };
  expect(
    storeErrorOf(denied('fsync API is disabled when Permission Model is enabled.'), work),
  ).toMatchObject({
    code: 'LODESTORE_IO',
    message: expect.stringMatching(/ERR_ACCESS_DENIED at \/s; Node's permission model.*readOnly/),
  });
  expect(storeErrorOf(denied('Access to this API has been restricted'), work)).toMatchObject({
    message: expect.stringContaining('--allow-fs-write'),
  });
});
