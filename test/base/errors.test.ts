import { expect, test } from 'vitest';
import { FencedError, StoreError, StorePoisonedError } from '../../src/base/errors.ts';

test('a fenced store is a poisoned store with a different code', () => {
  const error = new FencedError('lost');
  expect(error).toBeInstanceOf(StorePoisonedError);
  expect(error).toBeInstanceOf(StoreError);
  expect(error.code).toBe('LODESTORE_FENCED');
  expect(error.name).toBe('FencedError');
});
