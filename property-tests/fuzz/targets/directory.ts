import { equalBytes } from '../../../src/base/bytes.ts';
import { StoreError } from '../../../src/base/errors.ts';
import { parseFileName } from '../../../src/format/file-name.ts';
import type { MetadataStore } from '../../../src/store/metadata-store.ts';
import type { OpenOptions } from '../../../src/store/open/options.ts';
import { CrashFs } from '../../../src/testing/crash-fs.ts';
import { openOn } from '../../../src/testing/open-on.ts';
import type { Random } from '../../../src/testing/engine/random.ts';
import type { CorpusDirectory } from '../corpus.ts';
import { parameterOf, type FuzzInput } from '../fuzz-input.ts';
import { mutated, oneIn, pick } from '../mutation.ts';
import { check, type Outcome, type Target } from '../target.ts';
import { StateDigest, truthOf, type Truth } from '../truth.ts';
import { mutateFile } from './log.ts';

const MODES: readonly OpenOptions[] = [
  { readOnly: true },
  { recovery: 'strict' },
  { recovery: 'salvage' },
];

/** A key in no golden directory. */
const NEW_KEY = 0x0123_4567_89ab_cdefn;

/** Stores with more records are opened and closed, but not read. */
const LOOKED_AT_RECORDS = 30_000;

/** Jobs on crafted chunks may take several times the memory of the largest chunk. */
const BOUND_BYTES = 1024 * 1024 * 1024;

const ROOT = '/s';

function pathsOf(files: ReadonlyMap<string, Uint8Array>): Record<string, Uint8Array> {
  return Object.fromEntries([...files].map(([name, bytes]) => [`${ROOT}/${name}`, bytes]));
}

function digestOf(store: MetadataStore): StateDigest {
  const digest = new StateDigest();
  for (const [key, { value, data }] of store.entries()) digest.set(key, value, data);
  return digest;
}

async function checkUntouched(fs: CrashFs, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [name, bytes] of files) {
    const path = `${ROOT}/${name}`;
    const { sizeBytes } = await fs.stat(path);
    check(sizeBytes === bytes.length, `a refused open leaves ${name} as long as it was`);
    const file = await fs.open(path, 'r');
    const found = new Uint8Array(sizeBytes);
    await file.read(found, 0);
    await file.close();
    check(equalBytes(found, bytes), `a refused open leaves ${name} as it was`);
  }
}

class DirectoryTrial {
  readonly #input: FuzzInput;
  readonly #truth: Truth;
  readonly #isAncestor: boolean;
  readonly #fs: CrashFs;
  readonly #options: OpenOptions;

  constructor(input: FuzzInput, truth: Truth, isAncestor: boolean) {
    this.#input = input;
    this.#truth = truth;
    this.#isAncestor = isAncestor;
    this.#fs = CrashFs.withFiles(pathsOf(input.files), { trace: false });
    this.#options = MODES[parameterOf(input, 'mode')] ?? {};
  }

  async run(): Promise<string> {
    let store: MetadataStore;
    try {
      store = await openOn(this.#fs, ROOT, this.#options);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (this.#options.recovery !== 'salvage') {
        await checkUntouched(this.#fs, this.#input.files);
      }
      return `${error.code} ${'reason' in error ? String(error.reason) : ''}`;
    }
    if (store.size > LOOKED_AT_RECORDS) {
      await store.close();
      return 'large';
    }
    const digest = digestOf(store);
    if (parameterOf(this.#input, 'forged') === 0) this.#checkTrue(digest);
    if (this.#options.readOnly === true) {
      await store.close();
      await checkUntouched(this.#fs, this.#input.files);
    } else {
      await this.#goOn(store, digest);
    }
    return `open, ${store.recovery.losses?.length ?? 0} losses, torn: ${store.recovery.tornTail?.reason}`;
  }

  /** Without forged checksums, only states that once existed may show. */
  #checkTrue(digest: StateDigest): void {
    for (const [key, hash] of digest.hashes) {
      const known = this.#truth.records.get(key)?.has(hash) ?? false;
      check(known, `key ${key} shows a record that it once had`);
    }
    // The ancestor's frames are valid anywhere, and salvage omits damaged data.
    if (this.#isAncestor || this.#options.recovery === 'salvage') return;
    check(this.#truth.states.has(digest.text), 'the records are those after some group');
  }

  /** An opened store must accept writes and show the same state after a reopen. */
  async #goOn(store: MetadataStore, digest: StateDigest): Promise<void> {
    await store.insertBatch([{ type: 'put', key: NEW_KEY, value: 7n, data: Uint8Array.of(1, 2) }]);
    digest.set(NEW_KEY, 7n, Uint8Array.of(1, 2));
    if (parameterOf(this.#input, 'merges') === 1) await store.merge();
    check(digestOf(store).text === digest.text, 'a store shows what was written');
    await store.close();
    const again = await openOn(this.#fs, ROOT);
    check(digestOf(again).text === digest.text, 'a store that is opened again shows the same');
    await again.close();
  }
}

function mutateDirectory(random: Random, input: FuzzInput): FuzzInput {
  const files = new Map(input.files);
  const parameters: Record<string, number> = {
    ...input.parameters,
    mode: random.below(MODES.length),
    merges: oneIn(random, 3) ? 1 : 0,
  };
  const names = [...files.keys()].filter((name) => /^(log|snapshot)_/.test(name));
  if (names.length === 0) return { files, parameters };
  for (let steps = oneIn(random, 4) ? 2 : 1; steps > 0; steps--) {
    const name = pick(random, names);
    const bytes = files.get(name);
    if (bytes === undefined) continue;
    if (oneIn(random, 12)) {
      files.delete(name);
      continue;
    }
    const forges = parameterOf(input, 'forged') === 1 || oneIn(random, 2);
    const parsed = parseFileName(name);
    if (!forges || !('number' in parsed)) {
      files.set(name, mutated(random, bytes, files.get(pick(random, names)) ?? bytes));
      continue;
    }
    const kind = parsed.kind === 'log' ? 'log' : 'snapshot';
    parameters['forged'] = 1;
    files.set(name, mutateFile(random, bytes, kind, parsed.number, bytes));
  }
  return { files, parameters };
}

/** Opens whole directories in every way. */
export async function directoryTarget(corpus: readonly CorpusDirectory[]): Promise<Target> {
  const truths = await Promise.all(corpus.map(truthOf));
  return {
    name: 'directory',
    perTurn: 4,
    seeds: corpus.map(({ files }, directory) => ({
      files,
      parameters: { directory, mode: 0, forged: 0, merges: 0 },
    })),
    mutate: mutateDirectory,
    async run(input): Promise<Outcome> {
      const directory = parameterOf(input, 'directory');
      const { isAncestor } = corpus[directory]!;
      const text = await new DirectoryTrial(input, truths[directory]!, isAncestor).run();
      return { text, boundBytes: BOUND_BYTES };
    },
  };
}
