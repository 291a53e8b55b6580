import { types } from 'node:util';
import { assert } from './assert.ts';

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/** Whether this is a promise, of any realm: in a `vm` context Node's own are of another one. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return types.isPromise(value);
}

/**
 * Work that waits where it must: it yields each promise that it waits for, and goes on with what
 * that resolves with. The same text so serves a caller on the event loop and one that cannot give
 * way to it: where every call answers at once, nothing is yielded.
 */
export type Flow<T> = Generator<Promise<unknown>, T, unknown>;

/**
 * Waits for `result` if it is a promise. A flow says `yield* waited(…)` where an async function
 * says `await`.
 */
export function* waited<T>(result: Awaitable<T>): Flow<T> {
  return isPromise(result) ? ((yield result) as T) : result;
}

/**
 * Runs `flow` until it first waits: its result if it never does, else a promise of it. Throws what
 * the flow throws before that; the promise rejects with what it throws later.
 */
export function begin<T>(flow: Flow<T>): Awaitable<T> {
  const step = flow.next();
  return step.done === true ? step.value : finish(flow, step.value);
}

/** Runs `flow` where nothing may be waited for. */
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
      // What the flow itself has thrown ends it: then this throws the same again.
      step = flow.throw(error);
    }
    if (step.done === true) return step.value;
    pending = step.value;
  }
}
