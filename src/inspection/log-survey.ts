import { join } from 'node:path';
import { ChecksumSeed } from '../format/checksum.ts';
import { logName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { FileWindow } from '../fs/file-window.ts';
import { findFrames } from '../log/frame-search.ts';
import type { LogScan } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import { ancestorFrameLine, frameLine, sealLine, type FrameLine } from './frame-line.ts';
import { refusalOf } from './refusal.ts';
import type { Refusal, SurveyOptions } from './survey-options.ts';

/**
 * The state of a log. `scan` is undefined if the log could not be read; `refusal` then says why.
 */
export interface LogSurvey {
  readonly number: number;
  readonly name: string;
  readonly path: string;
  readonly scan: LogScan | undefined;
  readonly frames: readonly FrameLine[];
  /** Bytes of the rows of all valid groups. */
  readonly decodedBytes: number;
  readonly refusal: Refusal | undefined;
}

/** Reads a whole log. `storeId`: that of the snapshot, if it could be read. */
export async function surveyLog(
  fs: FileSystem,
  directory: string,
  number: number,
  storeId: Uint8Array | undefined,
  options: SurveyOptions,
): Promise<LogSurvey> {
  const name = logName(number);
  const path = join(directory, name);
  const { signal, progress } = options;
  const frames: FrameLine[] = [];
  let decodedBytes = 0;
  const onGroup: Parameters<typeof scanLog>[2]['onGroup'] = (_group, header, offset) => {
    decodedBytes += header.decodedBytes;
    if (!options.frames) return;
    const before = frames.at(-1);
    // Frames of the ancestor have no header checksum, and are reported in pieces.
    if (header.checksum !== 0) frames.push(frameLine(header, offset, false));
    else {
      if (before?.offset === offset) frames.pop();
      frames.push(ancestorFrameLine(header, offset, before));
    }
  };
  try {
    const scanOptions = { number, storeId, signal, onGroup, onProgress: progress.part() };
    const scan = await scanLog(fs, path, scanOptions);
    if (options.frames) {
      for (const line of await framesBehind(fs, path, scan, storeId)) frames.push(line);
    }
    return { number, name, path, scan, frames, decodedBytes, refusal: unsupported(path, scan) };
  } catch (error) {
    signal.throwIfAborted();
    const refusal = refusalOf(error, path);
    return { number, name, path, scan: undefined, frames: [], decodedBytes: 0, refusal };
  }
}

function unsupported(path: string, scan: LogScan): Refusal | undefined {
  if (scan.ending.kind !== 'unsupported') return undefined;
  const { version } = scan.ending;
  const message = `${path} has format version ${version}, which this version of lodestore does not read`;
  return { code: 'LODESTORE_UNSUPPORTED_FORMAT', path, message, systemCode: undefined };
}

/** The seal, or any valid frames after the point where the scan stopped. */
async function framesBehind(
  fs: FileSystem,
  path: string,
  scan: LogScan,
  storeId: Uint8Array | undefined,
): Promise<FrameLine[]> {
  const seal = sealLine(scan);
  if (seal !== undefined) return [seal];
  const id = scan.header?.storeId ?? storeId;
  const isBroken = scan.ending.kind === 'broken' || scan.ending.kind === 'corrupt';
  if (!isBroken || id === undefined || scan.format !== 'lodestore') return [];
  const lines: FrameLine[] = [];
  const file = await fs.open(path, 'r');
  try {
    const seed = new ChecksumSeed(id, 'log', scan.number);
    const window = new FileWindow(file, scan.fileBytes);
    for await (const { header, offset } of findFrames(window, seed, scan.validBytes)) {
      lines.push(frameLine(header, offset, true));
    }
  } finally {
    await file.close();
  }
  return lines;
}
