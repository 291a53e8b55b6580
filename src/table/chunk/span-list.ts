import { KeyDirectory, type KeySpan } from './key-directory.ts';

/** Some consecutive items of a list, with a directory of their keys. */
export interface SpanPage<T extends KeySpan> {
  readonly items: readonly T[];
  readonly directory: KeyDirectory;
}

/** The position of an item. */
export interface Place<P> {
  readonly page: P;
  readonly index: number;
}

/**
 * How the pages of a list are made. A new page has about `pageItems` items, at most twice as many.
 */
export interface PageMaking<T extends KeySpan, P extends SpanPage<T>> {
  readonly pageItems: number;
  readonly make: (items: readonly T[]) => P;
}

/**
 * An immutable list of chunks, or of their keys, in ascending order without overlap. It consists of
 * pages and a directory of pages. A copy with a few changed items shares all pages but one or two.
 */
export class SpanList<T extends KeySpan, P extends SpanPage<T>> {
  readonly count: number;
  readonly pages: readonly P[];
  readonly #making: PageMaking<T, P>;
  /** Ordinal of each page's first item. */
  readonly #starts: Uint32Array;
  readonly #directory: KeyDirectory;

  private constructor(pages: readonly P[], making: PageMaking<T, P>) {
    this.pages = pages;
    this.#making = making;
    this.#starts = new Uint32Array(pages.length);
    let count = 0;
    pages.forEach((page, i) => {
      this.#starts[i] = count;
      count += page.directory.count;
    });
    this.count = count;
    this.#directory = new KeyDirectory(pages.map(({ directory }) => directory.span));
  }

  static of<T extends KeySpan, P extends SpanPage<T>>(
    items: readonly T[],
    making: PageMaking<T, P>,
  ): SpanList<T, P> {
    return new SpanList(cut(items, making), making);
  }

  /** Halves of the highest key. 0 in an empty list. */
  get highestLow(): number {
    return this.#directory.highestLow;
  }

  get highestHigh(): number {
    return this.#directory.highestHigh;
  }

  /** The page whose directory may have this key. Undefined if the key is below all items. */
  pageOf(low: number, high: number): P | undefined {
    // A small list has one page.
    if (this.pages.length === 1) return this.pages[0];
    const ordinal = this.#directory.locate(low, high);
    return ordinal < 0 ? undefined : this.pages[ordinal];
  }

  /** Ordinal of the last item whose first key is not above this key, or -1. */
  locate(low: number, high: number): number {
    const ordinal = this.#directory.locate(low, high);
    if (ordinal < 0) return -1;
    return this.#starts[ordinal]! + this.pages[ordinal]!.directory.locate(low, high);
  }

  /** Position of item `i`, or undefined. */
  place(i: number): Place<P> | undefined {
    if (i < 0 || i >= this.count) return undefined;
    const ordinal = this.#pageAt(i);
    return { page: this.pages[ordinal]!, index: i - this.#starts[ordinal]! };
  }

  /** Keys of item `i`, which must exist. */
  spanAt(i: number): KeySpan {
    const { page, index } = this.place(i)!;
    return page.directory.spanAt(index);
  }

  /** Returns a list with `items` in place of the items [from, to). */
  splice(from: number, to: number, items: readonly T[]): SpanList<T, P> {
    const { pages } = this;
    if (from === to && items.length === 0) return this;
    if (pages.length === 0) return SpanList.of(items, this.#making);
    let first = this.#pageAt(Math.min(from, this.count - 1));
    let last = this.#pageAt(Math.max(from, to - 1, 0));
    const before = pages[first]!.items.slice(0, from - this.#starts[first]!);
    const after = pages[last]!.items.slice(to - this.#starts[last]!);
    let joined = [...before, ...items, ...after];
    // A small rest of a page is joined with a neighbour, so that pages do not become many and
    // short.
    if (2 * joined.length < this.#making.pageItems && pages.length > last - first + 1) {
      if (first > 0) joined = [...pages[--first]!.items, ...joined];
      else joined = [...joined, ...pages[++last]!.items];
    }
    const replaced = cut(joined, this.#making);
    return new SpanList(
      [...pages.slice(0, first), ...replaced, ...pages.slice(last + 1)],
      this.#making,
    );
  }

  /** Ordinal of the page of item `i`, or of the last page for items past the end. */
  #pageAt(i: number): number {
    const starts = this.#starts;
    let below = 0;
    let above = starts.length;
    while (above - below > 1) {
      const middle = (below + above) >>> 1;
      if (starts[middle]! <= i) below = middle;
      else above = middle;
    }
    return below;
  }
}

/** Divides items into pages of similar length. */
function cut<T extends KeySpan, P extends SpanPage<T>>(
  items: readonly T[],
  { pageItems, make }: PageMaking<T, P>,
): P[] {
  if (items.length === 0) return [];
  if (items.length <= 2 * pageItems) return [make(items)];
  const count = Math.ceil(items.length / pageItems);
  return Array.from({ length: count }, (_, i) => {
    const from = Math.floor((i * items.length) / count);
    return make(items.slice(from, Math.floor(((i + 1) * items.length) / count)));
  });
}

/** Only keys. It does not reference the chunks, so it does not keep them alive. */
class KeyPage implements SpanPage<KeySpan> {
  readonly directory: KeyDirectory;

  constructor(spans: readonly KeySpan[]) {
    this.directory = new KeyDirectory(spans);
  }

  get items(): readonly KeySpan[] {
    const { directory } = this;
    return Array.from({ length: directory.count }, (_, i) => directory.spanAt(i));
  }
}

/** First and last keys of a list of chunks. */
export type KeyList = SpanList<KeySpan, KeyPage>;

export function keyListOf(spans: readonly KeySpan[], pageItems: number): KeyList {
  return SpanList.of(spans, { pageItems, make: (items) => new KeyPage(items) });
}
