// @ts-check

/**
 * Bytes [from, to) of an object.
 * @typedef {{ from: number, to: number }} ByteRange
 */

/**
 * What a `Range` header asks of an object. `undefined`: send all of it, as for a header that is
 * absent, malformed, of another unit, or a list of ranges; the standard lets a server ignore those.
 * `unsatisfiable`: answer 416.
 * @param {string | undefined} header
 * @param {number} lengthBytes
 * @returns {ByteRange | 'unsatisfiable' | undefined}
 */
export function parseRange(header, lengthBytes) {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const from = Math.max(0, lengthBytes - Number(last));
    return from < lengthBytes ? { from, to: lengthBytes } : 'unsatisfiable';
  }
  if (last !== '' && Number(last) < Number(first)) return undefined;
  if (Number(first) >= lengthBytes) return 'unsatisfiable';
  const to = last === '' ? lengthBytes : Math.min(Number(last) + 1, lengthBytes);
  return { from: Number(first), to };
}
