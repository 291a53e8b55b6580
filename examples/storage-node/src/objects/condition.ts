import { PreconditionFailedError } from '../node-errors.ts';
import type { Condition, ObjectInfo } from '../object-node.ts';

const CONDITIONS = ['ifMatch', 'ifNoneMatch', 'ifSizeBytes', 'ifModifiedSecond'] as const;

/** What conditions are about. */
type Existing = Pick<ObjectInfo, 'etag' | 'sizeBytes' | 'modifiedMs'>;

/** @throws PreconditionFailedError. `existing`: undefined if there is no object. */
export function judgeCondition(
  condition: Condition | undefined,
  existing: Existing | undefined,
): void {
  if (condition === undefined) return;
  const { ifMatch, ifNoneMatch, ifSizeBytes, ifModifiedSecond } = condition;
  const failed = (name: keyof Condition): Error => new PreconditionFailedError(name);
  if (ifMatch !== undefined && !matches(ifMatch, existing)) throw failed('ifMatch');
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, existing)) throw failed('ifNoneMatch');
  if (ifSizeBytes !== undefined && existing?.sizeBytes !== ifSizeBytes) throw failed('ifSizeBytes');
  if (ifModifiedSecond === undefined) return;
  const second = existing && Math.floor(existing.modifiedMs / 1000);
  if (second !== ifModifiedSecond) throw failed('ifModifiedSecond');
}

/**
 * Refuses a conditional change that a newer one has overtaken. It would count as replaced without
 * having been there, although its condition may say that nothing else was.
 *
 * @throws PreconditionFailedError if there is a condition
 */
export function refuseOvertaken(condition: Condition | undefined): void {
  for (const name of CONDITIONS) {
    if (condition?.[name] !== undefined) throw new PreconditionFailedError(name);
  }
}

function matches(wanted: '*' | readonly string[], existing: Existing | undefined): boolean {
  if (existing === undefined) return false;
  return wanted === '*' || wanted.includes(existing.etag);
}
