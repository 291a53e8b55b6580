import { expect, test } from 'vitest';
import { ProtocolError } from '../../../examples/storage-node/src/s3/base/protocol-error.ts';
import {
  decode,
  documentedBody,
  DOCUMENTED_SIGNING,
  frame,
  signedFrame,
} from '../support/framing.ts';

const SIGNED = { contentBytes: 66_560, signing: DOCUMENTED_SIGNING };

test('the documented body of signed chunks verifies', () => {
  expect(decode([documentedBody()], SIGNED).content.toString()).toBe('a'.repeat(66_560));
});

test('a flipped bit anywhere in a signed body is detected', () => {
  const body = documentedBody();
  const places = [0, 4, 22, 60, 90, 40_000, 65_621, 65_622, 65_640, 66_700, body.length - 40];
  for (const at of places) {
    const changed = Buffer.from(body);
    changed[at]! ^= 1;
    expect(() => decode([changed], SIGNED), `byte ${at}`).toThrow(/./);
  }
});

test('reordered, repeated or missing chunks do not verify', () => {
  const body = documentedBody();
  const [first, second] = [body.subarray(0, 65_626), body.subarray(65_626, 66_738)];
  const last = body.subarray(66_738);
  expect(last.toString()).toMatch(/^0;/);
  const code = 'SignatureDoesNotMatch';
  for (const pieces of [
    [second, first, last],
    [first, last],
    [second, last],
  ]) {
    expect(() => decode(pieces, SIGNED)).toThrow(expect.objectContaining({ code }));
  }
  expect(() => decode([first, first, last], SIGNED)).toThrow(/./);
});

test('a body truncated at any byte is incomplete', () => {
  const body = frame([Buffer.from('hello'), Buffer.from('world!')], 'a:b\r\n\r\n');
  const end = body.indexOf('0\r\na:b') + 3;
  for (let at = 0; at < end; at++) {
    expect(
      () => decode([body.subarray(0, at)], { contentBytes: 11, hasTrailer: true }),
      `cut at ${at}`,
    ).toThrow(expect.objectContaining({ code: 'IncompleteBody' }));
  }
});

test('every split in two and byte by byte gives the same result', () => {
  const body = frame([Buffer.from('hello'), Buffer.from('world!')], 'a:b\r\nC: d\r\n\r\n');
  const options = { contentBytes: 11, hasTrailer: true };
  const whole = decode([body], options);
  expect(whole.content.toString()).toBe('helloworld!');
  expect([...whole.trailer]).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  for (let at = 0; at <= body.length; at++) {
    expect(decode([body.subarray(0, at), body.subarray(at)], options)).toEqual(whole);
  }
  expect(
    decode(
      [...body].map((byte) => Uint8Array.of(byte)),
      options,
    ),
  ).toEqual(whole);
});

test('signed chunks with a trailer: every split gives the same, every other byte is refused', () => {
  const trailer = [['x-amz-checksum-crc32', 'AAAAAA==']] as const;
  const chunks = [Buffer.from('hello'), Buffer.from('world!')];
  const body = signedFrame(chunks, trailer, DOCUMENTED_SIGNING);
  const options = { contentBytes: 11, hasTrailer: true, signing: DOCUMENTED_SIGNING };
  const whole = decode([body], options);
  expect(whole.content.toString()).toBe('helloworld!');
  expect([...whole.trailer]).toEqual(trailer);
  for (let at = 0; at < body.length; at++) {
    expect(decode([body.subarray(0, at), body.subarray(at)], options)).toEqual(whole);
    // Clients end the trailer with one empty line, with two, or with none.
    if (at < body.length - 4) {
      const cut = [body.subarray(0, at)];
      expect(() => decode(cut, options), `cut at ${at}`).toThrow(ProtocolError);
    }
    const changed = Buffer.from(body);
    changed[at]! ^= 1;
    expect(() => decode([changed], options), `byte ${at}`).toThrow(ProtocolError);
  }
});

test.each([
  ['no size', '\r\n'],
  ['no digits', 'x\r\nabc\r\n0\r\n\r\n'],
  ['a size with a sign', '-1\r\nabc\r\n0\r\n\r\n'],
  ['a size of 13 digits', '0000000000003\r\nabc\r\n0\r\n\r\n'],
  ['only a line feed', '3\nabc\r\n0\r\n\r\n'],
  ['a chunk without its end', '3\r\nabcd\r\n0\r\n\r\n'],
  ['an endless first line', 'a'.repeat(300)],
  ['a signature that was not declared', `3;chunk-signature=${'0'.repeat(64)}\r\nabc\r\n0\r\n\r\n`],
])('malformed: %s', (_what, text) => {
  expect(() => decode([Buffer.from(text)], { contentBytes: 3 })).toThrow(
    expect.objectContaining({ code: 'InvalidRequest' }),
  );
});

test('content must have the declared length', () => {
  const body = frame([Buffer.from('hello')]);
  for (const contentBytes of [4, 6]) {
    expect(() => decode([body], { contentBytes })).toThrow(
      expect.objectContaining({ code: 'IncompleteBody' }),
    );
  }
});

test.each(['nonsense\r\n\r\n', 'a:b\r\n\r\n', `a:${'x'.repeat(5000)}\r\n\r\n`, 'a:\u0001\r\n\r\n'])(
  'malformed trailer %#',
  (trailer) => {
    const hasTrailer = !trailer.startsWith('a:b');
    expect(() => decode([frame([], trailer)], { contentBytes: 0, hasTrailer })).toThrow(
      expect.objectContaining({ code: 'MalformedTrailerError' }),
    );
  },
);
