import { Session, type Profiler } from 'node:inspector';

export interface FileCoverage {
  readonly file: string;
  readonly coveredBytes: number;
  readonly totalBytes: number;
}

/** Which blocks of the source ran, as counted by V8. */
export class Coverage {
  readonly #session = new Session();

  start(): void {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  }

  /** Coverage of the files in one of these folders. */
  take(folders: readonly string[]): FileCoverage[] {
    let scripts: Profiler.ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, result) => {
      if (error === null) scripts = result.result;
    });
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
    return scripts
      .filter(({ url }) => folders.some((folder) => url.includes(`/src/${folder}/`)))
      .map(fileCoverage)
      .sort((a, b) => (a.file < b.file ? -1 : 1));
  }
}

/**
 * Blocks are nested, with inner ones after outer ones: the last block that contains a byte counts.
 */
function fileCoverage({ url, functions }: Profiler.ScriptCoverage): FileCoverage {
  const ranges = functions.flatMap((each) => each.ranges);
  const totalBytes = Math.max(...ranges.map((range) => range.endOffset), 0);
  const isCovered = new Uint8Array(totalBytes).fill(1);
  for (const { startOffset, endOffset, count } of ranges) {
    isCovered.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  }
  const coveredBytes = isCovered.reduce((sum, bit) => sum + bit, 0);
  return { file: url.slice(url.lastIndexOf('/src/') + 5), coveredBytes, totalBytes };
}
