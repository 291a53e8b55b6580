// @ts-check
import { createHash, createHmac } from 'node:crypto';

/** @typedef {{ accessKeyId: string, secretAccessKey: string }} AccessKey */

const PAYLOAD = 'UNSIGNED-PAYLOAD';

/**
 * Percent-encodes as SigV4 does.
 * @param {string} text
 */
export function encode(text) {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * The headers that sign a request of S3, version 4. The body is not signed: it streams.
 * @param {AccessKey} key
 * @param {{ method: string, host: string, path: string, query: string }} request encoded; the
 *   query sorted
 */
export function signedHeaders({ accessKeyId, secretAccessKey }, { method, host, path, query }) {
  const time = `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const names = 'host;x-amz-content-sha256;x-amz-date';
  const headers = `host:${host}\nx-amz-content-sha256:${PAYLOAD}\nx-amz-date:${time}\n`;
  const canonical = [method, path, query, headers, names, PAYLOAD].join('\n');
  const digest = createHash('sha256').update(canonical).digest('hex');
  /** @type {string | Buffer} */
  let key = `AWS4${secretAccessKey}`;
  for (const step of scope.split('/')) key = createHmac('sha256', key).update(step).digest();
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${digest}`;
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  return {
    host,
    'x-amz-date': time,
    'x-amz-content-sha256': PAYLOAD,
    authorization:
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, ` +
      `SignedHeaders=${names}, Signature=${signature}`,
  };
}
