import { join } from 'node:path';
import { FILE_HEADER_BYTES, type FileHeader } from '../format/file-header.ts';
import { snapshotName } from '../format/file-name.ts';
import { decodeFrameHeader, FRAME_HEADER_BYTES } from '../format/frame.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { readAncestorSnapshot } from '../jobs/load-ancestor.ts';
import { readSnapshotHeader } from '../snapshot/snapshot-header.ts';
import { damageHint } from '../store/recovery/advice.ts';
import { readSnapshotState, type SnapshotState } from '../store/recovery/snapshot-state.ts';
import { checkChunks } from './chunk-check.ts';
import type { Damage } from './damage.ts';
import { frameLine, type FrameLine } from './frame-line.ts';
import { refusalOf } from './refusal.ts';
import type { Refusal, SurveyOptions } from './survey-options.ts';

/** The state of a snapshot. */
export interface SnapshotSurvey {
  readonly number: number;
  readonly name: string;
  readonly path: string;
  /** Undefined if the header, the trailer or the index is invalid. */
  readonly state: SnapshotState | undefined;
  /** The header, if it is valid. The rest may be damaged. */
  readonly header: FileHeader | undefined;
  readonly recordCount: number | undefined;
  readonly frames: readonly FrameLine[];
  readonly damages: readonly Damage[];
  readonly refusal: Refusal | undefined;
}

/** Reads header and index of one snapshot and, depending on `options.depth`, its chunks. */
export async function surveySnapshot(
  fs: FileSystem,
  directory: string,
  number: number,
  options: SurveyOptions,
): Promise<SnapshotSurvey> {
  const name = snapshotName(number);
  const path = join(directory, name);
  const nothing = {
    number,
    name,
    path,
    state: undefined,
    header: undefined,
    recordCount: undefined,
    frames: [],
    damages: [],
    refusal: undefined,
  };
  try {
    const state = await readSnapshotState(fs, directory, number);
    if ('hint' in state) {
      return { ...nothing, header: await readSnapshotHeader(fs, path, number), damages: [state] };
    }
    if (state.format === 'ancestor') {
      return { ...nothing, state, ...(await surveyAncestor(fs, directory, path, options)) };
    }
    const { header, index } = state.file;
    const frames = options.frames ? await readFrames(fs, state) : [];
    const damages =
      options.depth === 'chunks' ? await checkChunks(fs, directory, state, options) : [];
    const { recordCount } = index.totals;
    return { ...nothing, state, header, recordCount, frames, damages };
  } catch (error) {
    options.signal.throwIfAborted();
    return { ...nothing, refusal: refusalOf(error, path) };
  }
}

/** An ancestor's snapshot is one frame, so it must be read as a whole. */
async function surveyAncestor(
  fs: FileSystem,
  directory: string,
  path: string,
  options: SurveyOptions,
): Promise<Pick<SnapshotSurvey, 'recordCount' | 'damages'>> {
  const records = await readAncestorSnapshot(fs, path, options.signal);
  if (Array.isArray(records)) {
    const recordCount = records.reduce((sum, columns) => sum + columns.recordCount, 0);
    return { recordCount, damages: [] };
  }
  const { offset, reason } = records;
  const damage = { path, offset, reason, hint: damageHint(directory) };
  return { recordCount: undefined, damages: [damage] };
}

async function readFrames(
  fs: FileSystem,
  state: Extract<SnapshotState, { format: 'lodestore' }>,
): Promise<FrameLine[]> {
  const { header, index } = state.file;
  const seed = new ChecksumSeed(header.storeId, 'snapshot', state.number);
  const last = index.entries.at(-1);
  const indexOffset = last === undefined ? FILE_HEADER_BYTES : last.offset + last.lengthBytes;
  const lines: FrameLine[] = [];
  const file = await fs.open(state.path, 'r');
  try {
    for (const offset of [...index.entries.map((entry) => entry.offset), indexOffset]) {
      const line = await readFrameLine(file, seed, offset);
      if (line !== undefined) lines.push(line);
    }
  } finally {
    await file.close();
  }
  return lines;
}

async function readFrameLine(
  file: OpenFile,
  seed: ChecksumSeed,
  offset: number,
): Promise<FrameLine | undefined> {
  const head = new Uint8Array(FRAME_HEADER_BYTES);
  const count = await readFully(file, head, offset);
  const result = decodeFrameHeader(head.subarray(0, count), 0, seed, offset);
  return result.kind === 'frame' ? frameLine(result.header, offset, false) : undefined;
}
