import { uriEncodePath } from '../auth/uri-text.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';

/**
 * The encoding of names in a listing: none, or percent-encoding for names that XML cannot contain.
 */
export function listEncoder(call: S3Call): (text: string) => string {
  const type = call.request.queryValue('encoding-type');
  if (type === undefined || type === '') return (text) => text;
  if (type === 'url') return uriEncodePath;
  throw new ProtocolError('InvalidArgument', 'Invalid Encoding Method specified in Request');
}

/** An empty query value counts as missing. */
export function givenValue(call: S3Call, name: string): string | undefined {
  const value = call.request.queryValue(name);
  return value === '' ? undefined : value;
}
