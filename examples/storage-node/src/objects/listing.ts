import { NodeError } from '../node-errors.ts';
import type {
  ListOptions,
  ObjectInfo,
  ObjectList,
  UploadInfo,
  UploadList,
  UploadListOptions,
} from '../object-node.ts';
import type { Bucket } from '../ledger/bucket-record.ts';
import { behindPrefix, byteNameOf, textOfByteName, type ByteName } from '../names/byte-name.ts';
import type { NameIndex } from '../names/name-index.ts';
import { placeIn, type ListedUpload } from './upload-directory.ts';

const DEFAULT_LIMIT = 1_000;

interface Query {
  readonly prefix: ByteName;
  readonly delimiter: ByteName;
  readonly after: ByteName | undefined;
  readonly limit: number;
}

function queryOf(options: ListOptions): Query {
  const { limit = DEFAULT_LIMIT, prefix = '', delimiter = '', after } = options;
  if (!Number.isInteger(limit) || limit < 0) {
    throw new NodeError('BAD_OPTION', 'limit must be a non-negative integer');
  }
  return {
    prefix: byteNameOf(prefix),
    delimiter: byteNameOf(delimiter),
    after: after === undefined || after === '' ? undefined : byteNameOf(after),
    limit,
  };
}

/** The common prefix that replaces a name, if there is one. */
function commonPrefix(name: ByteName, { prefix, delimiter }: Query): ByteName | undefined {
  if (delimiter === '') return undefined;
  const at = name.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : name.slice(0, at + delimiter.length);
}

/** The first name that a query can return. */
function startOf({ prefix, after }: Query): ByteName {
  if (after === undefined) return prefix;
  const behind = `${after}\0`;
  return behind > prefix ? behind : prefix;
}

/**
 * `pending`: names of the write buffer at this moment. A name that is published and leaves the
 * buffer meanwhile is in `pending`, and may also be in a leaf.
 */
export async function listObjects(
  names: NameIndex,
  bucket: Bucket,
  options: ListOptions,
  pending: readonly ByteName[],
  infoOf: (name: ByteName, text: string) => ObjectInfo | undefined,
): Promise<ObjectList> {
  const query = queryOf(options);
  const page = new Page(query, infoOf);
  if (query.limit === 0) return page.end(false);
  const start = startOf(query);
  const others = new PendingNames(
    pending.filter((name) => name >= start && name.startsWith(query.prefix)),
  );
  const leaves = names.namesFrom(bucket.id, start);
  let step = await leaves.next();
  while (step.done !== true) {
    const state = page.take(others.mergedWith(step.value));
    if (state === 'full') return page.end(true);
    if (state === 'behind') break;
    step = await leaves.next(page.from);
  }
  return page.end(page.take(others.rest()) === 'full');
}

/** Names that are merged into those of leaves, which come in ascending order. */
class PendingNames {
  readonly #names: readonly ByteName[];
  #at = 0;

  constructor(names: readonly ByteName[]) {
    this.#names = [...names].sort();
  }

  /** All names up to the last of the leaf, each once. */
  mergedWith(leaf: readonly ByteName[]): readonly ByteName[] {
    const last = leaf.at(-1);
    if (last === undefined) return leaf;
    const from = this.#at;
    const after = this.#names.findIndex((name, i) => i >= from && name > last);
    this.#at = after < 0 ? this.#names.length : after;
    if (this.#at === from) return leaf;
    return [...new Set([...leaf, ...this.#names.slice(from, this.#at)])].sort();
  }

  /** Names after those of the last leaf. */
  rest(): readonly ByteName[] {
    return this.#names.slice(this.#at);
  }
}

/** The part of the response found so far. */
class Page {
  readonly #query: Query;
  readonly #infoOf: (name: ByteName, text: string) => ObjectInfo | undefined;
  readonly #objects: ObjectInfo[] = [];
  readonly #prefixes: string[] = [];
  #last: ByteName | undefined;
  /** Names before it are skipped. */
  from: ByteName | undefined;

  constructor(query: Query, infoOf: (name: ByteName, text: string) => ObjectInfo | undefined) {
    this.#query = query;
    this.#infoOf = infoOf;
  }

  /** `full`: more than the limit. `behind`: all further names are after the prefix. */
  take(names: readonly ByteName[]): 'more' | 'full' | 'behind' {
    const { prefix, after, limit } = this.#query;
    for (const name of names) {
      if (this.from !== undefined && name < this.from) continue;
      if (!name.startsWith(prefix)) {
        if (name > prefix) return 'behind';
        continue;
      }
      const common = commonPrefix(name, this.#query);
      if (common !== undefined && after !== undefined && common <= after) {
        this.from = behindPrefix(common);
        continue;
      }
      const text = textOfByteName(common ?? name);
      const info = common === undefined ? this.#infoOf(name, text) : undefined;
      // It was deleted since the leaf was read.
      if (common === undefined && info === undefined) continue;
      if (this.#objects.length + this.#prefixes.length === limit) return 'full';
      this.#last = common ?? name;
      if (info === undefined) {
        this.#prefixes.push(text);
        this.from = behindPrefix(this.#last);
        if (this.from === undefined) return 'behind';
      } else {
        this.#objects.push(info);
      }
    }
    return 'more';
  }

  end(isMore: boolean): ObjectList {
    return {
      objects: this.#objects,
      prefixes: this.#prefixes,
      ...(isMore && this.#last !== undefined && { next: textOfByteName(this.#last) }),
    };
  }
}

/** `uploads`: all of the bucket, in the order of `UploadDirectory`. */
export function listUploads(
  uploads: readonly ListedUpload[],
  options: UploadListOptions,
  infoOf: (upload: ListedUpload) => UploadInfo,
): UploadList {
  const query = queryOf(options);
  const { afterUploadId } = options;
  const found: UploadInfo[] = [];
  const prefixes: string[] = [];
  let last: { readonly name: string; readonly uploadId: string } | undefined;
  const start =
    query.after !== undefined && query.after > query.prefix ? query.after : query.prefix;
  for (let i = placeIn(uploads, { name: start, serial: 0 }); i < uploads.length; i++) {
    const upload = uploads[i]!;
    const { name } = upload;
    if (!name.startsWith(query.prefix)) break;
    if (name === query.after) {
      if (afterUploadId === undefined || infoOf(upload).uploadId <= afterUploadId) continue;
    }
    const common = commonPrefix(name, query);
    const text = common === undefined ? undefined : textOfByteName(common);
    if (common !== undefined && query.after !== undefined && common <= query.after) continue;
    if (text !== undefined && text === prefixes.at(-1)) continue;
    if (found.length + prefixes.length === query.limit) {
      return { uploads: found, prefixes, ...(last !== undefined && { next: last }) };
    }
    if (text === undefined) {
      const info = infoOf(upload);
      found.push(info);
      last = { name: info.name, uploadId: info.uploadId };
    } else {
      prefixes.push(text);
      last = { name: text, uploadId: '' };
    }
  }
  return { uploads: found, prefixes };
}
