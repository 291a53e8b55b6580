import type { Condition, ObjectInfo } from '../../object-node.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Request } from '../call/s3-request.ts';

/**
 * The ETags of a header, without quotes; clients also send them unquoted. In a strong comparison,
 * which `If-Match` demands, a weak ETag matches nothing.
 */
function parseEtags(text: string, comparison: 'weak' | 'strong' = 'weak'): '*' | string[] {
  if (text.trim() === '*') return '*';
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => comparison === 'weak' || !one.startsWith('W/'))
    .map((one) => one.replace(/^W\//, '').replaceAll('"', ''))
    .filter((one) => one !== '');
}

function matches(etags: '*' | readonly string[], etag: string): boolean {
  return etags === '*' || etags.includes(etag);
}

/** Whole seconds since 1970; an invalid date is ignored. */
function secondsOf(text: string | undefined): number | undefined {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

function judge(
  object: ObjectInfo,
  header: (name: string) => string | undefined,
): 'holds' | 'failed' | 'not-modified' {
  const modified = Math.floor(object.modifiedMs / 1000);
  const ifMatch = header('if-match');
  const ifNoneMatch = header('if-none-match');
  if (ifMatch !== undefined) {
    if (!matches(parseEtags(ifMatch, 'strong'), object.etag)) return 'failed';
  } else {
    const since = secondsOf(header('if-unmodified-since'));
    if (since !== undefined && modified > since) return 'failed';
  }
  if (ifNoneMatch !== undefined) {
    return matches(parseEtags(ifNoneMatch), object.etag) ? 'not-modified' : 'holds';
  }
  const since = secondsOf(header('if-modified-since'));
  return since !== undefined && modified <= since ? 'not-modified' : 'holds';
}

/** `not-modified` is answered with 304. @throws ProtocolError PreconditionFailed */
export function judgeRead(request: S3Request, object: ObjectInfo): 'holds' | 'not-modified' {
  const verdict = judge(object, (name) => request.header(name));
  if (verdict === 'failed') throw new ProtocolError('PreconditionFailed');
  return verdict;
}

/** @throws ProtocolError PreconditionFailed */
export function judgeCopySource(request: S3Request, source: ObjectInfo): void {
  const verdict = judge(source, (name) => request.header(`x-amz-copy-source-${name}`));
  if (verdict !== 'holds') throw new ProtocolError('PreconditionFailed');
}

/**
 * True if the object is the one of an `If-Range` header: of exactly this date, or of this ETag by
 * the strong comparison, which no weak one passes.
 */
export function isUnchanged(ifRange: string, { etag, modifiedMs }: ObjectInfo): boolean {
  const text = ifRange.trim();
  if (/^(?:W\/)?"/.test(text)) return text === `"${etag}"`;
  return text === etag || secondsOf(text) === Math.floor(modifiedMs / 1000);
}

/** The condition that the node checks in the step that publishes the change. */
export function writeCondition(request: S3Request): Condition | undefined {
  const ifMatch = request.header('if-match');
  const ifNoneMatch = request.header('if-none-match');
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  return {
    ...(ifMatch !== undefined && { ifMatch: parseEtags(ifMatch, 'strong') }),
    ...(ifNoneMatch !== undefined && { ifNoneMatch: parseEtags(ifNoneMatch) }),
  };
}

/**
 * Checks a condition against the current object, so that a client need not send a body in vain. The
 * node checks it again. `If-Match` without an object is answered with 404, as in S3.
 */
export function judgeEarly(condition: Condition | undefined, object: ObjectInfo | undefined): void {
  if (condition === undefined) return;
  const { ifMatch, ifNoneMatch } = condition;
  if (ifMatch !== undefined) {
    if (object === undefined) throw new ProtocolError('NoSuchKey');
    if (!matches(ifMatch, object.etag)) throw new ProtocolError('PreconditionFailed');
  }
  if (ifNoneMatch === undefined || object === undefined) return;
  if (matches(ifNoneMatch, object.etag)) throw new ProtocolError('PreconditionFailed');
}
