/** A mistake in the logic: one place of the source, found by a text that occurs there only. */
export interface Mutant {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** A test that must catch it, where no crash can. */
  readonly test?: string;
}

const MERGES = 'src/store/merge-scheduler.ts';
const COMMITTER = 'src/store/committer.ts';
const REPAIR = 'src/store/repair.ts';

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'logs removed before the snapshot has its name': {
    file: MERGES,
    find: 'await fs.rename(job.temporaryPath, path);',
    replace:
      'for (const log of job.logs) await fs.unlink(log.path); await fs.rename(job.temporaryPath, path);',
  },
  'logs removed before the directory is synced': {
    file: MERGES,
    find: 'await fs.rename(job.temporaryPath, path);',
    replace:
      'await fs.rename(job.temporaryPath, path); for (const log of job.logs) await fs.unlink(log.path);',
  },
  'logs removed by the merging thread': {
    file: 'src/jobs/merge.ts',
    find: '  if (!Array.isArray(run)) return run;',
    replace:
      '  if (!Array.isArray(run)) return run;\n  for (const log of job.logs) await fs.unlink(log.path);',
  },
  'snapshot written in place': {
    file: MERGES,
    find: 'temporarySnapshotName(last.number)',
    replace: 'snapshotName(last.number)',
  },
  'batch split over two frames': {
    file: 'src/store/metadata-store.ts',
    find: '    return this.#requireWriter().queue.add(updates, options.signal, durability);',
    replace: `    const { queue } = this.#requireWriter();
    const all = [...(updates as Iterable<Update>)];
    if (all.length > 1) await queue.add(all.splice(0, all.length >> 1), options.signal, durability);
    return queue.add(all, options.signal, durability);`,
  },
  'torn tail not cut before a next log': {
    file: REPAIR,
    find: '    await file.truncate(tail.toOffset);',
    replace: '',
  },
  'last frame not written again at open': {
    file: REPAIR,
    find: "  if (tail?.kind === 'rewrite') await rewriteTail(fs, tail);",
    replace: '',
  },
  'file header not written again with the first frame': {
    file: 'src/log/log-scan.ts',
    find: 'return offset === FILE_HEADER_BYTES ? 0 : offset - header.unprovenBytes;',
    replace: 'return offset - header.unprovenBytes + 0 * FILE_HEADER_BYTES;',
  },
  'payload checksum not compared': {
    file: 'src/format/frame.ts',
    find: 'seed.checksum(payload, fileOffset) !== header.payloadChecksum',
    replace: 'fileOffset < 0',
  },
  'header checksum not compared': {
    file: 'src/format/frame.ts',
    find: '    seed.checksum(covered, fileOffset) === view.getUint32(offset + FRAME_HEADER_BYTES - 4, true)',
    replace:
      '    seed.checksum(covered, fileOffset) >= 0 || view.getUint32(offset + FRAME_HEADER_BYTES - 4, true) > 0',
  },
  'acknowledged before the write': {
    file: COMMITTER,
    find: '      await log.write(encoded, seal);',
    replace:
      '      void log.write({ ...encoded, bytes: encoded.bytes.slice() }, seal).catch(() => undefined);',
  },
  'going on after a failed append': {
    file: COMMITTER,
    find: '    return this.#poison(path, error);\n  }\n\n  #poison',
    replace:
      "    return new StoreFullError('the write failed', { cause: error, outcome: 'unknown', path });\n  }\n\n  #poison",
  },
  'a failed sync called not applied': {
    file: COMMITTER,
    find: "    health.poisonWith(new StorePoisonedError(message, { cause, path }));\n    return health.poisonedWrite('unknown');",
    replace:
      "    health.poisonWith(new StorePoisonedError(message, { cause, path }));\n    return health.poisonedWrite('not-applied');",
  },
  'log not cut back after a write without room': {
    file: COMMITTER,
    find: '        await log.cutBack();',
    replace: '',
  },
  'cut back without a sync': {
    file: 'src/log/log-writer.ts',
    find: '      await file.truncate(this.#position.offset);\n      await file.dataSync();',
    replace: '      await file.truncate(this.#position.offset);',
  },
  'merged logs replayed': {
    file: 'src/store/recovery.ts',
    find: 'listing.logs.filter((number) => number > newest)',
    replace: 'listing.logs.filter((number) => number >= 0 || number > newest)',
  },
  'the oldest of two snapshots taken': {
    file: 'src/store/snapshot-state.ts',
    find: '  const number = listing.snapshots.at(-1);',
    replace: '  const number = listing.snapshots[0];',
  },
  'prepared log not synced into its directory': {
    file: 'src/log/log-writer.ts',
    find: '    await fs.syncDirectory(directory).catch(',
    replace: '    await fs.stat(directory).then(() => undefined).catch(',
  },
  'signature not durable before a lease': {
    file: 'src/directory/directory-lock.ts',
    find: '    await this.#makeSignatureDurable(fileLock, previous);',
    replace: '',
  },
  'a gap in the numbers passed over': {
    file: 'src/store/verdict.ts',
    find: '    if (log.number !== expected.number + 1) {',
    replace: '    if (log.number < 0) {',
    test: 'test/store/damage.test.ts',
  },
  'the chain of frames not compared': {
    file: 'src/log/log-scan.ts',
    find: 'if (header.chain !== this.#chain)',
    replace: 'if (header.chain < 0)',
    test: 'test/log/log-scan.test.ts',
  },
  'ancestors of the directory synced when there is a store already': {
    file: 'src/store/creation.ts',
    find: '  await syncAncestors(fs, directory);\n  await fs.rename(temporaryPath, join(directory, snapshotName(0)));\n  await fs.syncDirectory(directory);',
    replace:
      '  await fs.rename(temporaryPath, join(directory, snapshotName(0)));\n  await fs.syncDirectory(directory);\n  await syncAncestors(fs, directory);',
    test: 'test/store/faults-creation.test.ts',
  },
};
