import { expect, test } from 'vitest';
import { LeaseLoss } from '../../src/directory/lease-loss.ts';

test('only a store whose lease is lost is to be closed; one in doubt may continue by itself', () => {
  const loss = new LeaseLoss('/d', 10_000);
  for (const lost of [loss.ofOwner(undefined), loss.ofFiles(new Error('EIO'))]) {
    expect(lost.message).toMatch(/close this store and open it again$/);
  }
  expect(loss.ofPause().message).toMatch(/not known yet .*; try again in a few seconds$/);
});
