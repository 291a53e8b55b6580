// @ts-check
import { RequestFailure } from './failure.mjs';

/** @import { IncomingHttpHeaders } from 'node:http' */
/** @import { ExpectedChecksum } from './upload.mjs' */

/** @type {readonly (readonly [string, 'md5' | 'sha256', number])[]} */
const HEADERS = [
  ['content-md5', 'md5', 16],
  ['x-checksum-sha256', 'sha256', 32],
];

/**
 * The checksums that a request says its body has: base64, or hexadecimal.
 * @param {IncomingHttpHeaders} headers
 * @returns {ExpectedChecksum[]}
 * @throws {RequestFailure} 400
 */
export function expectedChecksums(headers) {
  const expected = [];
  for (const [header, algorithm, digestBytes] of HEADERS) {
    const text = headers[header];
    if (text === undefined) continue;
    const encoding = String(text).length === 2 * digestBytes ? 'hex' : 'base64';
    const digest = Buffer.from(String(text), encoding);
    if (digest.length !== digestBytes) {
      const message = `${header} must be ${digestBytes} bytes in base64 or hexadecimal`;
      throw new RequestFailure(400, 'bad-checksum', message);
    }
    expected.push({ algorithm, digest, header });
  }
  return expected;
}
