import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolError } from '../../examples/storage-node/src/s3/base/protocol-error.ts';
import { decode, frame } from '../../test/storage-node/support/framing.ts';

const chunk = fc.uint8Array({ minLength: 1, maxLength: 300 });

/** Splits bytes at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  const edges = [0, ...sorted, bytes.length];
  return edges.slice(1).map((end, at) => bytes.subarray(edges[at], end));
}

test('framing is decoded equally for every split of the bytes', () => {
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 8 }), fc.array(fc.nat()), (chunks, places) => {
      const content = Buffer.concat(chunks);
      const pieces = cut(frame(chunks, 'x-a:b\r\n\r\n'), places);
      const decoded = decode(pieces, { contentBytes: content.length, hasTrailer: true });
      expect(decoded.content.equals(content)).toBe(true);
      expect([...decoded.trailer]).toEqual([['x-a', 'b']]);
    }),
  );
});

test('invalid framing is refused with one error, and yields no more than declared', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.stringMatching(/^([0-9a-f;\r\n]|chunk-signature=){0,80}$/).map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(noise, fc.nat(500), fc.array(fc.nat()), (bytes, contentBytes, places) => {
      try {
        const pieces = cut(Buffer.from(bytes), places);
        const { content } = decode(pieces, { contentBytes, hasTrailer: true });
        expect(content.length).toBe(contentBytes);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }),
  );
});
