import { parseQuery } from '../auth/uri-text.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import { childText, readXml } from '../xml/xml-reader.ts';
import { element, textElement } from '../xml/xml-writer.ts';

const MAX_TAGS = 10;
const MAX_KEY_CHARS = 128;
const MAX_VALUE_CHARS = 256;

export type TagSet = Readonly<Record<string, string>>;

function tagSetOf(pairs: Iterable<readonly [key: string, value: string]>): TagSet {
  const tags = new Map<string, string>();
  for (const [key, value] of pairs) {
    if (tags.has(key))
      throw new ProtocolError('InvalidTag', 'Cannot provide multiple Tags with the same key');
    if (key === '' || key.length > MAX_KEY_CHARS)
      throw new ProtocolError('InvalidTag', 'The TagKey you have provided is invalid');
    if (value.length > MAX_VALUE_CHARS)
      throw new ProtocolError('InvalidTag', 'The TagValue you have provided is invalid');
    tags.set(key, value);
  }
  if (tags.size > MAX_TAGS) {
    throw new ProtocolError('InvalidTag', 'Object tags cannot be greater than 10');
  }
  return Object.fromEntries(tags);
}

/** `a=1&b=2`, percent-encoded. */
export function parseTagHeader(text: string | undefined): TagSet | undefined {
  return text === undefined ? undefined : tagSetOf(parseQuery(text));
}

export function parseTagXml(bytes: Uint8Array): TagSet {
  const root = readXml(bytes, 'Tagging');
  const [set, second] = root.children.get('TagSet') ?? [];
  if (set === undefined || second !== undefined) throw new ProtocolError('MalformedXML');
  return tagSetOf(
    (set.children.get('Tag') ?? []).map((tag) => {
      const [key, value] = [childText(tag, 'Key'), childText(tag, 'Value')];
      if (key === undefined || value === undefined) throw new ProtocolError('MalformedXML');
      return [key, value];
    }),
  );
}

export function tagSetXml(tags: TagSet): string {
  const sorted = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  const each = sorted.map(([key, value]) =>
    element('Tag', textElement('Key', key) + textElement('Value', value)),
  );
  return element('TagSet', each.join(''));
}
