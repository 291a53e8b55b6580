import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { FilesLostError, missingPath } from '../base/errors.ts';
import type { Directory } from '../fs/directory.ts';
import type { ContentCount } from '../table/scan/content-count.ts';
import type { Table } from '../table/table.ts';
import {
  openSource,
  stateFiles,
  type BackupSource,
  type State,
  type StateFile,
} from './backup/backup-source.ts';
import type { Committer } from './commit/committer.ts';
import type { Health } from './commit/health.ts';
import type { StoreFiles } from './merge/store-files.ts';

export interface StateCaptureParts {
  readonly directory: Directory;
  readonly storeId: Uint8Array;
  readonly files: StoreFiles;
  readonly table: Table;
  readonly committer: Committer;
  readonly health: Health;
}

/**
 * Each retry requires that a merge ended between a group boundary and the opening of a few files.
 */
const MAX_ATTEMPTS = 10;

export interface CapturedState {
  readonly source: BackupSource;
  /** The content hash of the records at that time. */
  readonly count: ContentCount;
}

/** Captures files, records and sequence number of an open store between two groups. */
export class StateCapture {
  readonly #parts: StateCaptureParts;

  constructor(parts: StateCaptureParts) {
    this.#parts = parts;
  }

  async capture(): Promise<CapturedState> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#tryToCapture();
      } catch (error) {
        const path = missingPath(error);
        if (path !== undefined) this.#requireReplaced(path, error);
        if (path === undefined || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  get #files(): StateFile[] {
    const { logs, snapshots } = this.#parts.files;
    return stateFiles(snapshots.current, logs.closedLogs);
  }

  /** Throws unless the file was removed by a merge that has replaced it. */
  #requireReplaced(path: string, cause: unknown): void {
    const { directory, health } = this.#parts;
    if (!this.#files.some(({ name }) => join(directory.realPath, name) === path)) return;
    throw health.broken(FilesLostError.of(path, cause));
  }

  async #tryToCapture(): Promise<CapturedState> {
    const { directory, storeId, files, table, committer } = this.#parts;
    let captured: Promise<CapturedState> | undefined;
    // Called between two groups: the closed logs then hold exactly the visible batches.
    await committer.rotate(() => {
      const { lastSequence } = files.logs.lastClosed;
      const state: State = { storeId, lastSequence, files: this.#files };
      const count = table.countContent();
      captured = openSource(directory, directory.realPath, state).then((source) => ({
        source,
        count,
      }));
      // Awaited below, possibly after it has rejected.
      captured.catch(() => undefined);
    });
    assert(captured !== undefined, 'a rotation passes its boundary before it resolves');
    return captured;
  }
}
