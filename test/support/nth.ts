import { present } from '../../src/base/assert.ts';

/** The item at `index`, from the end if negative. It must exist. */
export function nth<T>(items: readonly T[], index: number): T {
  return present(items.at(index), `there is an item ${index}`);
}
