import { finishSteps } from '../../base/steps.ts';
import { decodeAncestorFrame } from '../../format/ancestor.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { LogRows } from '../../runs/log-rows.ts';
import { laterAncestorFrame, rowsOf } from '../../log/ancestor-scan.ts';
import type { Loss } from '../recovery/recovery-report.ts';
import { lossOf, type SalvagedLog } from './salvage-loss.ts';
import type { LoadedLog } from '../recovery/verdict.ts';

/**
 * Keeps every valid frame of an ancestor's log. Its batches have no numbers, so a loss may concern
 * any key.
 */
export async function salvageAncestorLog(fs: FileSystem, log: LoadedLog): Promise<SalvagedLog> {
  const { ending } = log.scan;
  const firstReason = 'reason' in ending ? ending.reason : 'the frame does not verify';
  const bytes = await readWhole(fs, log);
  const rows = new LogRows();
  const losses: Loss[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const frame = decodeAncestorFrame(bytes, offset);
    if (frame.kind === 'end') break;
    if (frame.kind === 'frame' && takeRows(frame.payload, rows)) {
      offset += frame.lengthBytes;
      continue;
    }
    const later = laterAncestorFrame(bytes, offset);
    const to = later < 0 ? bytes.length : later;
    const reason = losses.length === 0 ? firstReason : 'the frame does not verify';
    const loss = lossOf(log.path, reason, offset, to, undefined, undefined);
    losses.push({ ...loss, firstKey: 0n, olderValuesMayShow: true });
    offset = to;
  }
  const parts = [{ run: rows.finish(), interval: undefined }];
  return { parts, losses, before: undefined, lastSequence: 0n };
}

async function readWhole(fs: FileSystem, log: LoadedLog): Promise<Uint8Array> {
  const file = await fs.open(log.path, 'r');
  try {
    const bytes = new Uint8Array(log.scan.fileBytes);
    return bytes.subarray(0, await readFully(file, bytes, 0));
  } finally {
    await file.close();
  }
}

/** Adds all rows of a frame, or none. */
function takeRows(payload: Uint8Array, into: LogRows): boolean {
  for (const rows of rowsOf(payload)) if (typeof rows === 'string') return false;
  for (const rows of rowsOf(payload)) {
    if (typeof rows === 'string') continue;
    into.add(rows);
    if (into.isCheckDue) finishSteps(into.check());
  }
  return true;
}
