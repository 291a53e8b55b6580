import { createHash } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AccessKeys } from '../../examples/storage-node/src/s3/auth/access-keys.ts';
import { authenticate } from '../../examples/storage-node/src/s3/auth/authenticate.ts';
import { joinedHeaders } from '../../examples/storage-node/src/s3/auth/headers-in-query.ts';
import { uriDecode, uriEncode } from '../../examples/storage-node/src/s3/auth/uri-text.ts';
import { ProtocolError } from '../../examples/storage-node/src/s3/base/protocol-error.ts';
import { parseRange } from '../../examples/storage-node/src/s3/operations/byte-range-header.ts';
import { parseCopySource } from '../../examples/storage-node/src/s3/operations/copy-source.ts';
import { combineChecksums } from '../../examples/storage-node/src/s3/payload/checksum-combination.ts';
import { startChecksum } from '../../examples/storage-node/src/s3/payload/checksums.ts';
import { childText, readXml } from '../../examples/storage-node/src/s3/xml/xml-reader.ts';
import { textElement } from '../../examples/storage-node/src/s3/xml/xml-writer.ts';
import { requestHead } from '../../test/storage-node/support/request-head.ts';
import { KEY, presign, signHeaders } from '../../test/storage-node/support/signed-request.ts';

const KEYS = new AccessKeys([KEY]);
/** Every character except NUL and lone surrogates, which UTF-8 cannot encode. */
const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter((text) => !/\p{Surrogate}/u.test(text) && !text.includes('\0'));

function refusedOr<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return undefined;
  }
}

test('a signed request verifies for any path and query, and a changed one does not', () => {
  fc.assert(
    fc.property(name, fc.dictionary(name, name, { maxKeys: 4 }), name, (key, query, other) => {
      const pairs = Object.entries(query).map(([k, v]) => `${uriEncode(k)}=${uriEncode(v)}`);
      const target = `/bucket/${uriEncode(key)}?${pairs.join('&')}`;
      fc.pre(!/X-Amz-|AWSAccessKeyId|Signature/.test(target));
      const headers = signHeaders('node', { method: 'GET', target });
      const head = requestHead('GET', target, headers);
      // Slashes in a name are not encoded, and the test's signer signs what it sends.
      fc.pre(!key.includes('/'));
      expect(authenticate(head, KEYS, Date.now()).accessKeyId).toBe(KEY.accessKeyId);
      fc.pre(other !== key && !other.includes('/'));
      const changed = requestHead('GET', target.replace(uriEncode(key), uriEncode(other)), headers);
      fc.pre(changed.path !== head.path);
      expect(() => authenticate(changed, KEYS, Date.now())).toThrow(ProtocolError);
    }),
  );
});

test('any other character of a presigned link is refused', () => {
  const link = presign('node', 'GET', '/bucket/a%20key/%C3%BC', 600);
  const headers = { host: 'node' };
  const original = requestHead('GET', link, headers);
  expect(authenticate(original, KEYS, Date.now()).accessKeyId).toBe(KEY.accessKeyId);
  for (let at = 1; at < link.length; at++) {
    for (const other of ['0', 'f', 'A', '&', '=', '%', '/']) {
      const text = link.slice(0, at) + other + link.slice(at + 1);
      const head = refusedOr(() => requestHead('GET', text, headers));
      if (head === undefined) continue;
      // Another spelling of the same link, such as %c3 for %C3.
      const same = (one: unknown, two: unknown) => JSON.stringify(one) === JSON.stringify(two);
      if (same([head.path, head.query], [original.path, original.query])) continue;
      expect(() => authenticate(head, KEYS, Date.now()), text).toThrow(ProtocolError);
    }
  }
});

test('a random query or header fails verification only with the expected error', () => {
  const field = fc.constantFrom(
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
    'AWSAccessKeyId',
    'Expires',
    'Signature',
  );
  const value = fc.oneof(
    name,
    fc.constantFrom(
      'AWS4-HMAC-SHA256',
      `${KEY.accessKeyId}/20260101/us-east-1/s3/aws4_request`,
      '20260101T000000Z',
      'host',
      '9999999999',
    ),
  );
  const header = fc.constantFrom('authorization', 'x-amz-date', 'date', 'x-amz-content-sha256');
  fc.assert(
    fc.property(
      fc.array(fc.tuple(field, value)),
      fc.dictionary(header, value),
      (query, headers) => {
        const target = `/?${query.map(([k, v]) => `${k}=${uriEncode(v)}`).join('&')}`;
        const head = requestHead('GET', target, { host: 'x', ...headers });
        expect(refusedOr(() => authenticate(head, KEYS, 0))).toBeUndefined();
      },
    ),
  );
  fc.assert(fc.property(fc.string(), (text) => void refusedOr(() => uriDecode(text))));
  fc.assert(fc.property(fc.string(), (text) => void refusedOr(() => parseCopySource(text))));
});

test('a parameter that counts as a header is one that can be sent, or is refused', () => {
  const short = fc.constantFrom('acl', 'meta-a', 'meta-B', 'meta-', 'meta-ü', 'date');
  const parameter = fc.oneof(short, name).map((text) => `X-amz-${text}`);
  fc.assert(
    fc.property(fc.dictionary(parameter, name), (query) => {
      const pairs = Object.entries(query).map(([k, v]) => `${uriEncode(k)}=${uriEncode(v)}`);
      const head = requestHead('PUT', `/?${pairs.join('&')}`, { host: 'x' });
      for (const [header, value] of refusedOr(() => joinedHeaders(head)) ?? []) {
        expect(() => validateHeaderName(header)).not.toThrow();
        expect(() => validateHeaderValue(header, value)).not.toThrow();
      }
    }),
  );
});

test('XML names are read as they were written, and noise is refused with one error', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 5 }), (names) => {
      const xml = `<Delete>${names.map((text) => `<Object>${textElement('Key', text)}</Object>`).join('')}</Delete>`;
      const objects = readXml(Buffer.from(xml), 'Delete').children.get('Object') ?? [];
      expect(objects.map((object) => childText(object, 'Key'))).toEqual(names);
    }),
  );
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .array(
        fc.constantFrom(
          '<A>',
          '</A>',
          '<A/>',
          '<!--',
          '-->',
          '<![CDATA[',
          ']]>',
          '&',
          '&#x0;',
          '&lt;',
          'x',
          '<',
          '>',
          '<?',
          '?>',
          ' b="c"',
          '<!DOCTYPE a>',
        ),
      )
      .map((parts) => Buffer.from(parts.join(''))),
  );
  fc.assert(fc.property(noise, (bytes) => void refusedOr(() => readXml(bytes, 'A'))));
});

test('a range is within the object for any header', () => {
  const header = fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,4}-\d{0,4}$/));
  fc.assert(
    fc.property(header, fc.nat(2000), (text, sizeBytes) => {
      const range = refusedOr(() => parseRange(text, sizeBytes));
      if (range === undefined) return;
      expect(range.startBytes).toBeGreaterThanOrEqual(0);
      expect(range.startBytes).toBeLessThan(range.endBytes);
      expect(range.endBytes).toBeLessThanOrEqual(sizeBytes);
    }),
  );
});

test.each(['CRC32', 'CRC32C', 'CRC64NVME'] as const)(
  'the combined %s of parts equals that of the whole',
  async (algorithm) => {
    const of = async (bytes: Uint8Array): Promise<string> => {
      const running = startChecksum(algorithm);
      running.update(bytes);
      return (await running.digest()).toString('base64');
    };
    const parts = fc.array(fc.uint8Array({ maxLength: 500 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(parts, async (bodies) => {
        const sums = await Promise.all(
          bodies.map(async (body) => ({ sizeBytes: body.length, checksum: await of(body) })),
        );
        expect(combineChecksums(algorithm, sums)).toBe(await of(Buffer.concat(bodies)));
      }),
      { numRuns: 50 },
    );
  },
);

test('the SHA-256 of nothing is the one that clients send for empty bodies', () => {
  const empty = createHash('sha256').digest('hex');
  expect(signHeaders('x', { method: 'GET', target: '/' })['x-amz-content-sha256']).toBe(empty);
});
