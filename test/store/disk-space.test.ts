import { expect, test } from 'vitest';
import { DiskSpace } from '../../src/store/space/disk-space.ts';

const MIB = 1024 * 1024;

test('a disk that refused a put is full until enough is free, or the system does not say', async () => {
  let answer = (): Promise<number> => Promise.resolve(100);
  const space = new DiskSpace(() => answer());
  space.refused();
  await space.look();
  expect(space.isFull).toBe(true);
  answer = () => Promise.resolve(MIB);
  await space.look();
  expect(space.isFull).toBe(false);
  space.refused();
  answer = () => Promise.reject(new Error('ENOSYS'));
  await space.look();
  expect(space.isFull).toBe(false);
});

test('a query that began before a put was refused does not end the full state', async () => {
  const space = new DiskSpace(() => Promise.resolve(MIB));
  const looking = space.look();
  space.refused();
  await looking;
  expect(space.isFull).toBe(true);
  await space.look();
  expect(space.isFull).toBe(false);
});
