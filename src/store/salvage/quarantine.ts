import { basename, join } from 'node:path';
import { jsonForm } from '../../base/json-form.ts';
import { systemCode } from '../../base/errors.ts';
import { QUARANTINE_NAME } from '../../format/file-name.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { FileWindow } from '../../fs/file-window.ts';
import { linkIfPossible } from '../../fs/link.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeFully } from '../../fs/write.ts';

const REPORT_NAME = 'SALVAGE.json';

/**
 * What one salvage puts into `quarantine/`. A file gets a second name there, or is copied where the
 * system has no hard links. The original stays until the salvaged data is durable, so that it is
 * still there after a crash. It is removed then, and no file of a damaged store is written to, so
 * the second name keeps the bytes.
 */
export class Quarantine {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #created: string[] = [];
  #folder: 'unknown' | 'found' | 'made' = 'unknown';

  constructor(fs: FileSystem, directory: string, signal: AbortSignal) {
    this.#fs = fs;
    this.#directory = directory;
    this.#signal = signal;
  }

  /** Keeps the files at `paths`, durably. Returns the new paths by the old ones. */
  async keep(paths: readonly string[]): Promise<Map<string, string>> {
    const kept = new Map<string, string>();
    if (paths.length === 0) return kept;
    await this.#makeFolder();
    for (const path of paths) {
      this.#signal.throwIfAborted();
      const put = (place: string): Promise<void> => linkOrCopy(this.#fs, path, place);
      kept.set(path, await this.#create(basename(path), put));
    }
    await this.#sync();
    return kept;
  }

  /** Writes `SALVAGE.json`, durably. */
  async writeReport(report: unknown): Promise<void> {
    await this.#makeFolder();
    const nulls = (_name: string, field: unknown): unknown => field ?? null;
    const text = `${JSON.stringify(jsonForm(report), nulls, 2)}\n`;
    await this.#create(REPORT_NAME, (place) =>
      createDurably(this.#fs, place, (file) => writeFully(file, new TextEncoder().encode(text), 0)),
    );
    await this.#sync();
  }

  /** Removes what was put there, as far as possible. */
  async discard(): Promise<void> {
    try {
      for (const path of this.#created) await unlinkIfThere(this.#fs, path);
      if (this.#folder === 'made') await this.#fs.removeDirectory(this.#path);
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    }
  }

  get #path(): string {
    return join(this.#directory, QUARANTINE_NAME);
  }

  async #makeFolder(): Promise<void> {
    if (this.#folder !== 'unknown') return;
    try {
      await this.#fs.makeDirectory(this.#path);
      this.#folder = 'made';
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
      this.#folder = 'found';
    }
  }

  /** Calls `put` with the first path that does not exist: `name`, or `name` with a number. */
  async #create(name: string, put: (path: string) => Promise<void>): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const path = join(this.#path, attempt === 0 ? name : `${name}.${attempt}`);
      try {
        await put(path);
        this.#created.push(path);
        return path;
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error;
      }
    }
  }

  async #sync(): Promise<void> {
    await this.#fs.syncDirectory(this.#path);
    await this.#fs.syncDirectory(this.#directory);
  }
}

/** Gives a file a second name, or copies it and syncs the copy, but not its name. */
export async function linkOrCopy(fs: FileSystem, existing: string, path: string): Promise<void> {
  if (await linkIfPossible(fs, existing, path)) return;
  await createDurably(fs, path, (file) => copyBytes(fs, existing, file));
}

/** Creates a file, fills and syncs it, but not its name. Removes it if it cannot be filled. */
async function createDurably(
  fs: FileSystem,
  path: string,
  fill: (file: OpenFile) => Promise<void>,
): Promise<void> {
  const file = await fs.open(path, 'wx');
  try {
    try {
      await fill(file);
      await file.dataSync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await unlinkIfThere(fs, path).catch(() => undefined);
    throw error;
  }
}

async function copyBytes(fs: FileSystem, path: string, file: OpenFile): Promise<void> {
  const source = await fs.open(path, 'r');
  try {
    const { sizeBytes } = await source.stat();
    const window = new FileWindow(source, sizeBytes);
    for (let position = 0; position < sizeBytes;) {
      const bytes = await window.some(position);
      if (bytes.length === 0) break;
      await writeFully(file, bytes, position);
      position += bytes.length;
    }
  } finally {
    await source.close();
  }
}
