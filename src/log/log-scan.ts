import { beginsAsAncestor } from '../format/ancestor.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  type FileHeaderResult,
} from '../format/file-header.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { FileWindow, isZeroToEnd } from '../fs/file-window.ts';
import { scanAncestorLog } from './ancestor-scan.ts';
import { startOf } from './frame-cursor.ts';
import { findLaterFrames } from './frame-search.ts';
import { joinPieces } from './log-piece.ts';
import type { LogEnding, LogScan, LogScanOptions } from './log-report.ts';
import { LogScanner } from './log-scanner.ts';

/** Reads a whole log. Changes nothing. Rejects only with errors of the file system. */
export async function scanLog(
  fs: FileSystem,
  path: string,
  options: LogScanOptions,
): Promise<LogScan> {
  const file = await fs.open(path, 'r');
  try {
    return await scanOpenLog(file, options);
  } finally {
    await file.close();
  }
}

async function scanOpenLog(file: OpenFile, options: LogScanOptions): Promise<LogScan> {
  const { sizeBytes } = await file.stat();
  const window = new FileWindow(file, Math.min(sizeBytes, options.limitBytes ?? sizeBytes));
  const head = await window.at(0, FILE_HEADER_BYTES);
  const result = decodeFileHeader(head, 'log', options.number);
  if (result.kind === 'header') return scanFrames(window, result.header, options);
  return scanWithoutHeader(window, head.slice(0, 8), result, options);
}

/** Continues after the pieces that were read before. */
async function scanFrames(
  window: FileWindow,
  header: FileHeader,
  options: LogScanOptions,
): Promise<LogScan> {
  const { position, pieces } = joinPieces(startOf(header), options.pieces ?? []);
  const scanner = new LogScanner(window, header, options, position);
  const ending = await scanner.scanToEnd();
  const { offset, ...found } = scanner.position;
  return {
    number: header.number,
    fileBytes: window.fileBytes,
    format: 'lodestore',
    header,
    ...found,
    validBytes: offset,
    ending,
    pieces,
  };
}

function nothingFound(
  window: FileWindow,
  number: number,
  format: LogScan['format'],
  ending: LogEnding,
): LogScan {
  return {
    number,
    fileBytes: window.fileBytes,
    format,
    header: undefined,
    frameCount: 0,
    batchCount: 0,
    recordCount: 0,
    lastSequence: 0n,
    chain: 0,
    validBytes: 0,
    unprovenFrom: undefined,
    ending,
    pieces: 0,
  };
}

async function scanWithoutHeader(
  window: FileWindow,
  head: Uint8Array,
  result: Exclude<FileHeaderResult, { kind: 'header' }>,
  options: LogScanOptions,
): Promise<LogScan> {
  const { number, storeId } = options;
  if (result.kind === 'unsupported') {
    return nothingFound(window, number, 'lodestore', result);
  }
  if (result.kind === 'corrupt') {
    return nothingFound(window, number, 'lodestore', { ...result, offset: 0 });
  }
  const seed = storeId === undefined ? undefined : new ChecksumSeed(storeId, 'log', number);
  const later = await findLaterFrames(window, 0, seed, 1);
  if (later.kind === 'none') {
    if (result.kind === 'empty' && (await isZeroToEnd(window, 0))) {
      return nothingFound(window, number, 'empty', { kind: 'end' });
    }
    if (result.kind === 'foreign' && beginsAsAncestor(head))
      return scanAncestorLog(window, options);
  }
  const reason = result.kind === 'torn' ? result.reason : 'there is no file header';
  return nothingFound(window, number, 'lodestore', { kind: 'broken', offset: 0, reason, later });
}
