import type { ByteRange } from '../../object-node.ts';
import { ProtocolError } from '../base/protocol-error.ts';

/**
 * The single range of a `Range` header. `undefined`, which means the whole object, for several
 * ranges and for an invalid range, as HTTP requires.
 *
 * @throws ProtocolError InvalidRange if it contains no byte of the object.
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | undefined {
  // Positions of any length: some clients send 2^64 - 1 for the end.
  const match = /^bytes\s?=\s?(\d*)\s?-\s?(\d*)\s?$/i.exec(header ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return undefined;
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined;
  const startBytes = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const endBytes = first === '' || last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  if (startBytes < endBytes) return { startBytes, endBytes };
  throw new ProtocolError('InvalidRange', undefined, {
    fields: { RangeRequested: header ?? '', ActualObjectSize: String(sizeBytes) },
    headers: { 'content-range': `bytes */${sizeBytes}` },
  });
}

/** `bytes=FIRST-LAST` of a part copy, which must be inside the source. */
export function parseCopyRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | undefined {
  if (header === undefined) return undefined;
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || first > last) {
    const text = 'The x-amz-copy-source-range value must be of the form bytes=first-last';
    throw new ProtocolError('InvalidArgument', text);
  }
  if (last >= sizeBytes) {
    const text = `Range specified is not valid for source object of size: ${sizeBytes}`;
    throw new ProtocolError('InvalidRange', text);
  }
  return { startBytes: first, endBytes: last + 1 };
}
