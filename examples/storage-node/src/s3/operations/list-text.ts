import { uriEncodePath } from '../auth/uri-text.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';

/** How names stand in a listing: as they are, or percent-encoded for those that XML cannot hold. */
export function listEncoder(call: S3Call): (text: string) => string {
  const type = call.request.queryValue('encoding-type');
  if (type === undefined || type === '') return (text) => text;
  if (type === 'url') return uriEncodePath;
  throw new ProtocolError('InvalidArgument', 'Invalid Encoding Method specified in Request');
}

/** An empty value of the query is the same as none. */
export function givenValue(call: S3Call, name: string): string | undefined {
  const value = call.request.queryValue(name);
  return value === '' ? undefined : value;
}
