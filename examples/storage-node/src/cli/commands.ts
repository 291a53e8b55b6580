import { resolve } from 'node:path';
import type { NodeFigures } from '../node-figures.ts';
import type { NodeOptions } from '../node-options.ts';
import { rebuildIndex } from '../rebuild/rebuild-index.ts';
import type { StorageNode } from '../storage-node.ts';
import { EXIT_FAILED, EXIT_OK, ProgressLine, textOfBytes, type CliIo } from './cli-io.ts';
import { figuresOfRunning } from './running-node.ts';
import { makeKey, readKeys, writeKeys } from './key-file.ts';
import { ensureData, withNode } from './node-command.ts';

export interface CommandOptions {
  readonly data: string;
  readonly json: boolean;
  readonly node: NodeOptions;
}

function print(io: CliIo, value: unknown): void {
  io.out(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Works on a running node, too: it is asked through its second port. */
export async function status({ data, json, node }: CommandOptions, io: CliIo): Promise<number> {
  const figures =
    (await figuresOfRunning(data)) ?? (await withNode(data, node, (opened) => opened.figures()));
  if (json) print(io, figures);
  else io.out(statusText(figures));
  return EXIT_OK;
}

function statusText(figures: NodeFigures): string {
  const { objects, buckets, uploads, space, volumes } = figures;
  const lines = [
    `${objects} objects in ${buckets} buckets, ${uploads} incomplete uploads`,
    `${textOfBytes(space.freeBytes)} free, ${textOfBytes(space.reserveBytes)} of them reserved`,
    '',
    'volume  class           state       size        live        dead',
  ];
  for (const volume of volumes) {
    const cells = [
      String(volume.number).padEnd(7),
      volume.class.padEnd(15),
      volume.state.padEnd(11),
      textOfBytes(volume.sizeBytes).padEnd(11),
      textOfBytes(volume.liveBytes).padEnd(11),
      textOfBytes(volume.deadBytes),
    ];
    lines.push(cells.join(' '));
  }
  return `${lines.join('\n')}\n`;
}

export function compact({ data, json, node }: CommandOptions, io: CliIo): Promise<number> {
  const onError = (error: Error): void => io.err(`${error.message}\n`);
  return withNode(data, { ...node, onError }, async (opened) => {
    const done = await watched(opened, io, 'compacting', () => opened.compact());
    await opened.settled();
    const { compaction } = await opened.figures();
    if (json) print(io, { volumes: done, ...compaction });
    else {
      io.out(
        `${done} volumes emptied: ${compaction.rescuedRecords} records copied, ` +
          `${textOfBytes(compaction.reclaimedBytes)} given back\n`,
      );
    }
    return EXIT_OK;
  });
}

/** Shows the progress of compaction or scrubbing while `work` runs. */
async function watched<T>(
  node: StorageNode,
  io: CliIo,
  what: 'compacting' | 'scrubbing',
  run: () => Promise<T>,
): Promise<T> {
  const line = new ProgressLine(io);
  const timer = setInterval(() => {
    node
      .figures()
      .then((figures) => {
        const work = what === 'compacting' ? figures.compaction : figures.scrub;
        const { volume, doneBytes, totalBytes } = work;
        if (volume === undefined) return;
        line.show(
          `${what} volume ${volume}: ${textOfBytes(doneBytes)} of ${textOfBytes(totalBytes)}`,
        );
      })
      .catch(() => undefined);
  }, 250);
  try {
    return await run();
  } finally {
    clearInterval(timer);
    line.end();
  }
}

export function scrub(
  { data, json, node }: CommandOptions,
  bytesPerSecond: number,
  io: CliIo,
): Promise<number> {
  return withNode(data, node, async (opened) => {
    const report = await watched(opened, io, 'scrubbing', () => opened.scrub({ bytesPerSecond }));
    if (json) print(io, report);
    else {
      io.out(
        `${report.volumes} volumes, ${report.liveRecords} live records, ` +
          `${textOfBytes(report.readBytes)} read, ${report.damages.length} damaged\n`,
      );
      for (const damage of report.damages) {
        const { bucket, name, volume, offsetBytes, reason } = damage;
        const whose = name === undefined ? '' : ` (${bucket ?? ''}/${name})`;
        io.out(`volume ${volume}, byte ${offsetBytes}${whose}: ${reason}\n`);
      }
    }
    return report.damages.length === 0 ? EXIT_OK : EXIT_FAILED;
  });
}

/** Recounts, lists all names, and reads all live data. */
export function verify({ data, json, node }: CommandOptions, io: CliIo): Promise<number> {
  return withNode(data, node, async (opened) => {
    const counted = opened.recount();
    const report = await watched(opened, io, 'scrubbing', () => opened.scrub());
    let listed = 0;
    for (const { name } of opened.buckets()) listed += await namesIn(opened, name);
    const isSound =
      counted.isExact && report.damages.length === 0 && listed === counted.recordedObjects;
    if (json) print(io, { isSound, recount: counted, listed, scrub: report });
    else {
      io.out(`${counted.objects} objects, ${listed} listed, `);
      io.out(`live bytes ${counted.isExact ? 'exact' : 'WRONG'}, `);
      io.out(`${report.damages.length} damaged records: ${isSound ? 'sound' : 'NOT SOUND'}\n`);
    }
    return isSound ? EXIT_OK : EXIT_FAILED;
  });
}

async function namesIn(node: StorageNode, bucket: string): Promise<number> {
  let count = 0;
  let after: string | undefined;
  do {
    const page = await node.list(bucket, after === undefined ? {} : { after });
    count += page.objects.length;
    after = page.next;
  } while (after !== undefined);
  return count;
}

export async function rebuild({ data, json, node }: CommandOptions, io: CliIo): Promise<number> {
  const line = new ProgressLine(io);
  const report = await rebuildIndex(resolve(data), node, {
    onProgress: ({ phase, done, total }) => {
      line.show(`${phase === 'scan' ? 'volume' : 'object'} ${done} of ${total}`);
    },
  });
  line.end();
  if (json) print(io, report);
  else {
    io.out(
      `${report.objects} objects in ${report.buckets} buckets, from ${report.volumes} volumes\n`,
    );
    if (report.lostObjects > 0)
      io.out(`${report.lostObjects} objects are lost: bytes are missing\n`);
    if (report.damagedRecords > 0) io.out(`${report.damagedRecords} damaged records\n`);
    if (report.former !== undefined) {
      io.out(`the previous metadata is in ${report.former}; remove it when all is well\n`);
    }
    io.out('the last deletes before the loss may be undone\n');
  }
  return report.lostObjects + report.damagedRecords === 0 ? EXIT_OK : EXIT_FAILED;
}

export function evict({ data, node }: CommandOptions, bucket: string, io: CliIo): Promise<number> {
  return withNode(data, node, async (opened) => {
    const volume = await opened.evict(bucket);
    await opened.settled();
    if (volume === undefined) {
      io.err(`bucket ${bucket} has no separate volume that can be dropped\n`);
      return EXIT_FAILED;
    }
    io.out(`volume ${volume} was dropped, with all objects that had a byte in it\n`);
    return EXIT_OK;
  });
}

export async function keys(
  { data, json }: CommandOptions,
  action: 'list' | 'add' | 'remove',
  id: string | undefined,
  io: CliIo,
): Promise<number> {
  const directory = await ensureData(data);
  const stored = await readKeys(directory);
  if (action === 'list') {
    if (json) print(io, stored);
    else for (const { accessKeyId } of stored) io.out(`${accessKeyId}\n`);
    return EXIT_OK;
  }
  if (action === 'add') {
    const key = makeKey();
    await writeKeys(directory, [...stored, key]);
    print(io, key);
    return EXIT_OK;
  }
  const left = stored.filter(({ accessKeyId }) => accessKeyId !== id);
  if (left.length === stored.length) {
    io.err(`there is no key ${id ?? ''}\n`);
    return EXIT_FAILED;
  }
  await writeKeys(directory, left);
  return EXIT_OK;
}
