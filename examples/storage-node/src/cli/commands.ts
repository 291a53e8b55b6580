import { textOfBytes } from '../byte-text.ts';
import type { StatusReport, Tell } from '../control/node-commands.ts';
import { quoted } from '../node-errors.ts';
import type { NodeFigures } from '../node-figures.ts';
import { rebuildIndex } from '../rebuild/rebuild-index.ts';
import { EXIT_FAILED, EXIT_OK, ProgressLine, type CliIo } from './cli-io.ts';
import { ensureData, existingData, existingNode, withKeys, withNode } from './node-command.ts';

export interface CommandOptions {
  readonly data: string;
  readonly json: boolean;
}

function print(io: CliIo, value: unknown): void {
  io.out(`${JSON.stringify(value, undefined, 2)}\n`);
}

export function status({ data, json }: CommandOptions, io: CliIo): Promise<number> {
  return withNode(data, {}, async (commands) => {
    const figures = await commands.status();
    if (json) print(io, figures);
    else io.out(statusText(figures));
    return EXIT_OK;
  });
}

function uploadsText({ uploads, uploadSpace }: StatusReport): string {
  const { partBytes, oldestMs } = uploadSpace;
  if (oldestMs === undefined) return `incomplete uploads ${uploads}`;
  const since = new Date(oldestMs).toISOString();
  return `incomplete uploads ${uploads} (${textOfBytes(partBytes)}, the oldest of ${since})`;
}

function spaceText({ freeBytes, reserveBytes, isFull }: NodeFigures['space']): string {
  const [free, reserve] = [textOfBytes(freeBytes), textOfBytes(reserveBytes)];
  return isFull
    ? `${free} free: full. PUT is refused below ${reserve}`
    : `${free} free, ${reserve} of them reserved`;
}

function statusText(report: StatusReport): string {
  const { objects, buckets, space, volumes, writeBuffer } = report;
  const lines = [
    `objects ${objects}, buckets ${buckets}, ${uploadsText(report)}`,
    spaceText(space),
    ...(writeBuffer.acknowledged > 0
      ? [`${writeBuffer.puts} PUTs acknowledged and not durable yet`]
      : []),
    ...writeBuffer.failing.map(
      ({ bucket, reason }) => `bucket ${bucket} refuses PUTs, it cannot be written: ${reason}`,
    ),
    '',
    'volume  class           state       size        live        dead        marks',
  ];
  for (const volume of volumes) {
    const cells = [
      String(volume.number).padEnd(7),
      volume.class.padEnd(15),
      volume.state.padEnd(11),
      textOfBytes(volume.sizeBytes).padEnd(11),
      textOfBytes(volume.liveBytes).padEnd(11),
      textOfBytes(volume.deadBytes).padEnd(11),
      textOfBytes(volume.markBytes),
    ];
    lines.push(cells.join(' '));
  }
  return `${lines.join('\n')}\n`;
}

export function compact({ data, json }: CommandOptions, io: CliIo): Promise<number> {
  const onError = (error: Error): void => io.err(`${error.message}\n`);
  return withNode(data, { onError }, async (commands) => {
    const report = await watched(io, (tell) => commands.compact(tell));
    if (json) print(io, report);
    else {
      io.out(
        `${report.volumes} volumes emptied: ${report.rescuedRecords} records copied, ` +
          `${textOfBytes(report.reclaimedBytes)} given back\n`,
      );
    }
    return EXIT_OK;
  });
}

/** Shows the progress of compaction or scrubbing while `run` runs. */
async function watched<T>(io: CliIo, run: (tell: Tell) => Promise<T>): Promise<T> {
  const line = new ProgressLine(io);
  try {
    return await run(({ what, volume, doneBytes, totalBytes }) => {
      line.show(
        `${what} volume ${volume}: ${textOfBytes(doneBytes)} of ${textOfBytes(totalBytes)}`,
      );
    });
  } finally {
    line.end();
  }
}

export function scrub(
  { data, json }: CommandOptions,
  bytesPerSecond: number,
  io: CliIo,
): Promise<number> {
  return withNode(data, {}, async (commands) => {
    const report = await watched(io, (tell) => commands.scrub(bytesPerSecond, tell));
    if (json) print(io, report);
    else {
      io.out(
        `${report.volumes} volumes, ${report.liveRecords} live records, ` +
          `${textOfBytes(report.readBytes)} read, ${report.damages.length} damaged\n`,
      );
      for (const damage of report.damages) {
        const { bucket, name, volume, offsetBytes, reason } = damage;
        const path = `${bucket ?? ''}/${name ?? ''}`;
        const whose = name === undefined ? '' : ` (${quoted(path)})`;
        io.out(`volume ${volume}, byte ${offsetBytes}${whose}: ${reason}\n`);
      }
    }
    return report.damages.length === 0 ? EXIT_OK : EXIT_FAILED;
  });
}

/** Recounts, lists all names, and reads all live data. */
export function verify({ data, json }: CommandOptions, io: CliIo): Promise<number> {
  return withNode(data, {}, async (commands) => {
    const report = await watched(io, (tell) => commands.verify(tell));
    const { isSound, listed, recount, scrub: scrubbed } = report;
    if (json) print(io, report);
    else {
      io.out(`${recount.objects} objects, `);
      io.out(listed === undefined ? 'names changed meanwhile, ' : `${listed} listed, `);
      io.out(`live bytes ${recount.isExact ? 'exact' : 'WRONG'}, `);
      io.out(`${scrubbed.damages.length} damaged records: ${isSound ? 'sound' : 'NOT SOUND'}\n`);
    }
    return isSound ? EXIT_OK : EXIT_FAILED;
  });
}

export async function rebuild({ data, json }: CommandOptions, io: CliIo): Promise<number> {
  const directory = await existingNode(data);
  const line = new ProgressLine(io);
  const report = await rebuildIndex(
    directory,
    {},
    {
      onProgress: ({ phase, done, total }) => {
        line.show(`${phase === 'scan' ? 'volume' : 'object'} ${done} of ${total}`);
      },
    },
  );
  line.end();
  if (json) print(io, report);
  else {
    io.out(
      `objects ${report.objects}, buckets ${report.buckets}, volumes read ${report.volumes}\n`,
    );
    if (report.lostObjects > 0)
      io.out(`${report.lostObjects} objects are lost: bytes are missing\n`);
    if (report.damagedRecords > 0) io.out(`${report.damagedRecords} damaged records\n`);
    if (report.gaps > 0) {
      const places = `${report.gaps} places without a valid record`;
      io.out(`${places}: what was there is lost, or an older version of it is back\n`);
    }
    if (report.former !== undefined) {
      io.out(`the previous metadata is in ${report.former}; remove it when all is well\n`);
    }
    io.out('the last deletes before the loss may be undone; incomplete uploads are lost\n');
  }
  return report.lostObjects + report.damagedRecords + report.gaps === 0 ? EXIT_OK : EXIT_FAILED;
}

export function evict({ data, json }: CommandOptions, bucket: string, io: CliIo): Promise<number> {
  return withNode(data, {}, async (commands) => {
    const volume = await commands.evict(bucket);
    if (volume === undefined) {
      io.err(`bucket ${bucket} has no separate volume that can be dropped\n`);
      return EXIT_FAILED;
    }
    if (json) print(io, { bucket, volume });
    else io.out(`volume ${volume} was dropped, with all objects that had a byte in it\n`);
    return EXIT_OK;
  });
}

export async function keys(
  { data, json }: CommandOptions,
  action: 'list' | 'add' | 'remove',
  id: string | undefined,
  io: CliIo,
): Promise<number> {
  const directory = action === 'add' ? await ensureData(data) : await existingData(data);
  if (action === 'list') {
    const stored = await withKeys(directory, io, (ring) => ring.listKeys());
    if (json) print(io, stored);
    else for (const { accessKeyId } of stored) io.out(`${accessKeyId}\n`);
    return EXIT_OK;
  }
  if (action === 'add') {
    print(io, await withKeys(directory, io, (ring) => ring.addKey()));
    return EXIT_OK;
  }
  const isRemoved = await withKeys(directory, io, (ring) => ring.removeKey(id ?? ''));
  if (isRemoved) return EXIT_OK;
  io.err(`there is no key ${id ?? ''}\n`);
  return EXIT_FAILED;
}
