import { types } from 'node:util';
import { assert } from './assert.ts';

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Whether `value` is a promise of any realm. In a `vm` context, Node's own promises are of another
 * realm.
 */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return types.isPromise(value);
}

/**
 * Code that runs both asynchronously and synchronously. A flow yields each promise that it waits
 * for and continues with its value. Over blocking calls it yields nothing. So one implementation
 * serves callers on the event loop and callers that cannot yield to it.
 */
export type Flow<T> = Generator<Promise<unknown>, T, unknown>;

/**
 * Waits for `result` if it is a promise. `yield* waited(…)` in a flow corresponds to `await` in an
 * async function.
 */
export function* waited<T>(result: Awaitable<T>): Flow<T> {
  return isPromise(result) ? ((yield result) as T) : result;
}

/**
 * Runs `flow` until it first waits. Returns its result if it never waits, otherwise a promise.
 * Errors before the first wait are thrown; later errors reject the promise.
 */
export function begin<T>(flow: Flow<T>): Awaitable<T> {
  const step = flow.next();
  return step.done === true ? step.value : finish(flow, step.value);
}

/** Runs a flow that must not wait. */
export function finishAtOnce<T>(flow: Flow<T>): T {
  const step = flow.next();
  assert(step.done === true, 'a flow that is to end at once waits for nothing');
  return step.value;
}

async function finish<T>(flow: Flow<T>, first: Promise<unknown>): Promise<T> {
  let pending = first;
  for (;;) {
    let step: IteratorResult<Promise<unknown>, T>;
    try {
      const value = await pending;
      step = flow.next(value);
    } catch (error) {
      // If the flow itself threw, it has ended, and this rethrows the error.
      step = flow.throw(error);
    }
    if (step.done === true) return step.value;
    pending = step.value;
  }
}
