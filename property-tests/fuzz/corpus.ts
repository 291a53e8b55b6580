import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseFileName } from '../../src/format/file-name.ts';
import { ANCESTOR, goldenNames, V1 } from '../../test/support/golden.ts';

/** The files of a golden directory by name, with shortened zeros at their ends. */
export interface CorpusDirectory {
  readonly name: string;
  readonly isAncestor: boolean;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface CorpusFile {
  readonly kind: 'log' | 'snapshot';
  readonly number: number;
  readonly isAncestor: boolean;
  readonly bytes: Uint8Array;
}

/** Enough for a reader to see that zeros follow. */
const KEPT_ZEROS = 200;

function withoutReserve(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.slice(0, Math.min(bytes.length, end + KEPT_ZEROS));
}

function readGolden(collection: string, name: string): CorpusDirectory {
  const path = join(collection, name);
  const files = readdirSync(path).map(
    (file) => [file, withoutReserve(new Uint8Array(readFileSync(join(path, file))))] as const,
  );
  return { name, isAncestor: collection === ANCESTOR, files: new Map(files) };
}

/** All golden directories, ours and the ancestor's. */
export function readCorpus(): CorpusDirectory[] {
  return [V1, ANCESTOR].flatMap((collection) =>
    goldenNames(collection).map((name) => readGolden(collection, name)),
  );
}

/** The logs and snapshots of the corpus, without duplicates. */
export function filesOf(corpus: readonly CorpusDirectory[], limitBytes: number): CorpusFile[] {
  const files = new Map<string, CorpusFile>();
  for (const { files: named, isAncestor } of corpus) {
    for (const [name, bytes] of named) {
      const parsed = parseFileName(name);
      if (parsed.kind !== 'log' && parsed.kind !== 'snapshot') continue;
      if (bytes.length > limitBytes) continue;
      const { kind, number } = parsed;
      files.set(`${name} ${Buffer.from(bytes).toString('base64')}`, {
        kind,
        number,
        isAncestor,
        bytes,
      });
    }
  }
  return [...files.values()];
}
