import { ProtocolError } from '../base/protocol-error.ts';
import type { AccessKeys } from './access-keys.ts';
import { ALGORITHM_V4 } from './authorization-header.ts';
import type { RequestHead } from './request-head.ts';
import { verifyHeaderV2, verifyPresignedV2 } from './signature-v2.ts';
import { type Authenticated, verifyHeaderV4, verifyPresignedV4 } from './signature-v4.ts';

const NO_NAMES: ReadonlySet<string> = new Set();

/**
 * Identifies the sender of a request. The signature is verified in constant time, over the received
 * bytes. A request must have exactly one kind of signature.
 *
 * @throws ProtocolError AccessDenied for no signature, InvalidRequest for version 2 without
 *   `takesV2`, and the S3 error for a wrong one.
 */
export function authenticate(
  head: RequestHead,
  keys: AccessKeys,
  nowMs: number,
  takesV2 = true,
): Authenticated {
  const authorization = head.headers.get('authorization');
  const names = head.query.length === 0 ? NO_NAMES : new Set(head.query.map(([name]) => name));
  const isV4 = names.has('X-Amz-Algorithm') || names.has('X-Amz-Signature');
  const isV2 = names.has('AWSAccessKeyId') || (names.has('Signature') && names.has('Expires'));
  const kinds = Number(authorization !== undefined) + Number(isV4) + Number(isV2);
  if (kinds === 0) throw new ProtocolError('AccessDenied');
  if (kinds > 1) {
    throw new ProtocolError('InvalidArgument', 'Only one auth mechanism allowed');
  }
  if (!takesV2 && (isV2 || authorization?.startsWith('AWS ') === true)) {
    const text = `Signature version 2 is switched off. Please use ${ALGORITHM_V4}.`;
    throw new ProtocolError('InvalidRequest', text);
  }
  if (isV4) return verifyPresignedV4(head, keys, nowMs);
  if (isV2) return verifyPresignedV2(head, keys, nowMs);
  if (authorization?.startsWith(`${ALGORITHM_V4} `) === true) {
    return verifyHeaderV4(head, authorization, keys, nowMs);
  }
  if (authorization?.startsWith('AWS ') === true) {
    return verifyHeaderV2(head, authorization, keys, nowMs);
  }
  if (authorization?.startsWith('AWS4-') === true) {
    const text = `The authorization mechanism is not supported. Please use ${ALGORITHM_V4}.`;
    throw new ProtocolError('InvalidRequest', text);
  }
  throw new ProtocolError('InvalidArgument', 'Unsupported Authorization Type');
}
