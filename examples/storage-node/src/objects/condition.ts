import { PreconditionFailedError } from '../node-errors.ts';
import type { Condition } from '../object-node.ts';

/** @throws PreconditionFailedError. `etag`: of the existing object; undefined if there is none. */
export function judgeCondition(condition: Condition | undefined, etag: string | undefined): void {
  if (condition === undefined) return;
  const { ifMatch, ifNoneMatch } = condition;
  if (ifMatch !== undefined && !matches(ifMatch, etag)) {
    throw new PreconditionFailedError('ifMatch');
  }
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag)) {
    throw new PreconditionFailedError('ifNoneMatch');
  }
}

/**
 * Refuses a conditional change that a newer one has overtaken. It would count as replaced without
 * having been there, although its condition may say that nothing else was.
 *
 * @throws PreconditionFailedError if there is a condition
 */
export function refuseOvertaken(condition: Condition | undefined): void {
  if (condition?.ifMatch !== undefined) throw new PreconditionFailedError('ifMatch');
  if (condition?.ifNoneMatch !== undefined) throw new PreconditionFailedError('ifNoneMatch');
}

function matches(wanted: '*' | readonly string[], etag: string | undefined): boolean {
  if (etag === undefined) return false;
  return wanted === '*' || wanted.includes(etag);
}
