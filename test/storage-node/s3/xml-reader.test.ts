import { expect, test } from 'vitest';
import { readXml } from '../../../examples/storage-node/src/s3/xml/xml-reader.ts';

test('XML of more elements than a request has is refused', () => {
  const xml = (count: number): Buffer => Buffer.from(`<A>${'<b/>'.repeat(count)}</A>`);
  const malformed = expect.objectContaining({ code: 'MalformedXML' });
  expect(readXml(xml(9), 'A', 10).children.get('b')).toHaveLength(9);
  expect(() => readXml(xml(10), 'A', 10)).toThrow(malformed);
  expect(() => readXml(xml(500_000), 'A')).toThrow(malformed);
});

test('elements without children share nothing that changes', () => {
  const { children } = readXml(Buffer.from('<A><b/><b><c>1</c></b><b><d/></b></A>'), 'A');
  const names = children.get('b')?.map((one) => [...one.children.keys()]);
  expect(names).toEqual([[], ['c'], ['d']]);
});
