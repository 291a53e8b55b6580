import { isFull } from './full-disk-watch.ts';
import type { NodeFigures, VolumeFigures, WriteBufferFigures } from './node-figures.ts';
import type { NodeParts } from './objects/node-parts.ts';
import type { SpaceGauge } from './objects/space-gauge.ts';
import type { Uploads } from './objects/uploads.ts';
import type { WriteBuffer } from './objects/write-buffer.ts';
import type { RecentErrors } from './recent-errors.ts';
import type { Upkeep } from './upkeep/upkeep.ts';
import type { Volume } from './volumes/volume.ts';

export interface FiguresParts {
  readonly parts: NodeParts;
  readonly space: SpaceGauge;
  readonly buffer: WriteBuffer;
  readonly upkeep: Upkeep;
  readonly uploads: Uploads;
  readonly errors: RecentErrors;
}

function stateOf(volume: Volume, compacted: Volume | undefined): VolumeFigures['state'] {
  if (volume === compacted) return 'compacting';
  return volume.state === 'creating' ? 'active' : volume.state;
}

function classOf(volume: Volume, parts: NodeParts): string {
  if (volume.kind === 'data') return 'object';
  if (volume.kind === 'index') return 'index';
  return `bucket ${parts.buckets.byId(volume.bucketId)?.name ?? volume.bucketId}`;
}

function writeBufferOf(buffer: WriteBuffer): WriteBufferFigures {
  const { puts, usedBytes, limitBytes, waiting, counts, failures } = buffer;
  return {
    puts,
    bytes: usedBytes,
    limitBytes,
    waiting,
    acknowledged: counts.puts,
    flushes: counts.flushes,
    failedFlushes: counts.failures,
    failing: failures,
  };
}

export async function figuresOf(source: FiguresParts): Promise<NodeFigures> {
  const { parts, space, upkeep, uploads, errors } = source;
  const { store, volumes, writers, budget, publisher } = parts;
  const { compactor, scrubber } = upkeep;
  const compacted = compactor.current?.volume;
  const all = [...volumes].map((volume): VolumeFigures => {
    const { number, writtenBytes, liveBytes, deadBytes, markBytes } = volume;
    const state = stateOf(volume, compacted);
    return {
      number,
      class: classOf(volume, parts),
      state,
      sizeBytes: writtenBytes,
      liveBytes,
      deadBytes,
      markBytes,
    };
  });
  const volumeBytes = all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const freeBytes = await space.look();
  const { counts } = compactor;
  return {
    objects: parts.buckets.objects,
    buckets: parts.buckets.all().length,
    uploads: await uploads.count(),
    volumes: all,
    compaction: {
      ...(compacted !== undefined && { volume: compacted.number }),
      doneBytes: compactor.current?.doneBytes ?? 0,
      totalBytes: compacted?.endBytes ?? 0,
      rescuedRecords: counts.rescued,
      lostRecords: counts.lost,
      skippedRecords: counts.skipped,
      reclaimedBytes: counts.reclaimedBytes + upkeep.puncher.freedBytes,
      retiredVolumes: counts.retired,
    },
    scrub: {
      ...(scrubber.current !== undefined && { volume: scrubber.current.volume.number }),
      doneBytes: scrubber.current?.doneBytes ?? 0,
      totalBytes: scrubber.current?.volume.endBytes ?? 0,
      verifiedBytes: scrubber.verifiedBytes,
      damagedRecords: scrubber.damagedRecords,
      ...(scrubber.finishedMs !== undefined && { finishedMs: scrubber.finishedMs }),
    },
    space: {
      freeBytes,
      // The disk usage of other programs is not known here.
      totalBytes: freeBytes + volumeBytes + store.stats().space.usedBytes,
      reserveBytes: space.reserveBytes,
      isFull: isFull(space),
    },
    writes: {
      queuedBytes: budget.usedBytes,
      queued: budget.waiting + publisher.waiting,
      groups: writers.figures.groups,
      volumeSyncs: writers.figures.syncs,
      writtenBytes: writers.figures.writtenBytes,
    },
    writeBuffer: writeBufferOf(source.buffer),
    reads: { readBytes: volumes.readBytes, damaged: volumes.damagedReads },
    recentErrors: errors.all(),
  };
}
