import type { LogKeeper } from '../commit/log-keeper.ts';
import type { MergeScheduler } from '../merge/merge-scheduler.ts';
import type { OpenedParts } from './open-parts.ts';
import type { RecoveryReport } from '../recovery/recovery-report.ts';
import type { RetainedLogs } from '../changes/retained-logs.ts';
import { ReserveFile } from '../space/reserve-file.ts';
import { SpaceKeeper, type SpaceFigures } from '../space/space-keeper.ts';

/** The space of a store that is open for writing. `start` it when its merges are there. */
export function openSpace(
  parts: OpenedParts,
  files: {
    readonly logs: LogKeeper;
    readonly retained: RetainedLogs;
    readonly merges: () => MergeScheduler;
  },
  announce: (name: 'lowSpace' | 'spaceRecovered', figures: SpaceFigures) => void,
): SpaceKeeper {
  const { fs, directory, options, pause, lock } = parts;
  const { maxBytes, retainBytes, reserveFileBytes } = options;
  const { logs, retained, merges } = files;
  const reserveFile =
    reserveFileBytes === 0 || lock === undefined
      ? undefined
      : new ReserveFile(fs, directory, reserveFileBytes, lock);
  return new SpaceKeeper({
    directory,
    maxBytes,
    retainBytes,
    reserveFile,
    pause,
    freeBytes: () => fs.freeBytes(directory),
    usage: () => ({
      snapshotBytes: merges().snapshot?.fileBytes ?? 0,
      logFileBytes: logs.fileBytes,
      logBytes: logs.totalBytes,
      retainedBytes: retained.totalBytes,
    }),
    relieve: () => merges().relieve(),
    onLow: (figures) => announce('lowSpace', figures),
    onRecovered: (figures) => announce('spaceRecovered', figures),
  });
}

/** What `stats` says of a store that is open for reading: the bytes that were read. */
export function spaceAsRead(report: RecoveryReport): SpaceFigures {
  return {
    usedBytes: report.logBytes + (report.snapshot?.bytes ?? 0),
    mergeBytes: 0,
    maxBytes: undefined,
    reserveBytes: 0,
    reserveFile: 'none',
    putBytes: undefined,
    diskFreeBytes: undefined,
    state: 'ample',
  };
}
