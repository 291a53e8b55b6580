import { ProtocolError } from '../base/protocol-error.ts';

/** One element: its text, and its child elements by name without prefix. */
export interface XmlElement {
  readonly text: string;
  readonly children: ReadonlyMap<string, readonly XmlElement[]>;
}

interface OpenElement {
  /** With its prefix, which the end tag must repeat. */
  readonly tag: string;
  text: string;
  children: Map<string, XmlElement[]>;
}

/** Shared, because most elements have none. It stays empty. */
const NO_CHILDREN = new Map<string, XmlElement[]>();

/** Ten thousand parts with a number, an ETag and all checksums have 80,001. */
const MOST_ELEMENTS = 100_000;

/** S3 requests have four levels. */
const MAX_DEPTH = 16;

const TAG_NAME = /[A-Za-z_][\w.\-:]*/y;
const ATTRIBUTES = /(?:\s+[A-Za-z_][\w.\-:]*\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>/y;
const REFERENCE = /&(?:#([0-9]{1,7})|#x([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos));|&/g;

const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

function malformed(cause?: unknown): ProtocolError {
  return new ProtocolError('MalformedXML', undefined, { cause });
}

/**
 * References are replaced, including those of control characters: object names may contain them,
 * and a parser that drops or folds them would delete another object.
 */
function unescapeXml(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(REFERENCE, (_all, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED[name] ?? '';
    const digits = decimal ?? hex;
    const code =
      digits === undefined ? -1 : Number.parseInt(digits, decimal === undefined ? 16 : 10);
    const isSurrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < 1 || code > 0x10ffff || isSurrogate) throw malformed();
    return String.fromCodePoint(code);
  });
}

/**
 * Reads the XML of S3 requests in one pass: elements, text, references, CDATA, comments. Attributes
 * are ignored. Document types are not supported, so the sender cannot define entities.
 */
class XmlScan {
  readonly #source: string;
  #at = 0;
  readonly #open: OpenElement[] = [];
  #elementsLeft: number;
  #root: { name: string; element: XmlElement } | undefined;

  constructor(source: string, mostElements: number) {
    this.#source = source;
    this.#elementsLeft = mostElements;
  }

  run(): { name: string; element: XmlElement } {
    const source = this.#source;
    while (this.#at < source.length) {
      const tag = source.indexOf('<', this.#at);
      const until = tag < 0 ? source.length : tag;
      if (until > this.#at) this.#addText(unescapeXml(source.slice(this.#at, until)));
      this.#at = until;
      if (tag >= 0) this.#readMarkup();
    }
    if (this.#root === undefined || this.#open.length > 0) throw malformed();
    return this.#root;
  }

  #readMarkup(): void {
    const source = this.#source;
    if (source.startsWith('<!--', this.#at)) return void this.#skip('-->');
    if (source.startsWith('<?', this.#at)) return void this.#skip('?>');
    if (source.startsWith('<![CDATA[', this.#at)) {
      return this.#addText(this.#skip(']]>').slice('<![CDATA['.length));
    }
    const isEnd = source.startsWith('</', this.#at);
    TAG_NAME.lastIndex = this.#at + (isEnd ? 2 : 1);
    const name = TAG_NAME.exec(source)?.[0];
    if (name === undefined) throw malformed();
    ATTRIBUTES.lastIndex = TAG_NAME.lastIndex;
    const rest = ATTRIBUTES.exec(source);
    if (rest === null) throw malformed();
    this.#at = ATTRIBUTES.lastIndex;
    const isEmpty = rest[1] === '/';
    if (!isEnd) this.#begin(name);
    else if (isEmpty) throw malformed();
    if (isEnd || isEmpty) this.#end(name);
  }

  /** Moves past the next `end`, and returns the text before it. */
  #skip(end: string): string {
    const found = this.#source.indexOf(end, this.#at);
    if (found < 0) throw malformed();
    const passed = this.#source.slice(this.#at, found);
    this.#at = found + end.length;
    return passed;
  }

  #addText(text: string): void {
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.text += text;
    else if (text.trim() !== '') throw malformed();
  }

  #begin(tag: string): void {
    if (this.#open.length >= MAX_DEPTH || this.#root !== undefined) throw malformed();
    if (this.#elementsLeft-- === 0) throw malformed();
    this.#open.push({ tag, text: '', children: NO_CHILDREN });
  }

  #end(tag: string): void {
    const element = this.#open.pop();
    if (element?.tag !== tag) throw malformed();
    const name = tag.slice(tag.indexOf(':') + 1);
    const parent = this.#open.at(-1);
    if (parent === undefined) {
      this.#root = { name, element };
      return;
    }
    const siblings = parent.children.get(name);
    if (siblings !== undefined) siblings.push(element);
    else if (parent.children === NO_CHILDREN) parent.children = new Map([[name, [element]]]);
    else parent.children.set(name, [element]);
  }
}

/** The root element of a request's body. @throws ProtocolError MalformedXML */
export function readXml(
  bytes: Uint8Array,
  root: string,
  mostElements: number = MOST_ELEMENTS,
): XmlElement {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
  // XML line ends become one character; a reference to a carriage return stays.
  const { name, element } = new XmlScan(text.replaceAll(/\r\n?/g, '\n'), mostElements).run();
  if (name !== root) throw malformed();
  return element;
}

/** Text of the single child of this name; `undefined` if there is none. */
export function childText(parent: XmlElement, name: string): string | undefined {
  const [first, second] = parent.children.get(name) ?? [];
  if (second !== undefined) throw malformed();
  return first?.text;
}
