import type { Mutant } from './mutant.ts';
import { NODE_MUTANTS } from '../storage-node/node-mutants.ts';

const SNAPSHOTS = 'src/store/merge/snapshot-keeper.ts';
const MERGER = 'src/store/merge/merger.ts';
const COMMITTER = 'src/store/commit/committer.ts';
const GROUP_WRITER = 'src/store/commit/group-writer.ts';
const FENCE = 'src/store/commit/fence.ts';
const REPAIR = 'src/store/open/repair.ts';
const DIRECTORY = 'src/fs/directory.ts';
const LOG_WRITER = 'src/log/log-writer.ts';
const LOG_KEEPER = 'src/store/commit/log-keeper.ts';
const PREPARED_LOG = 'src/log/prepared-log.ts';
const WRITE_FAILURE = 'src/store/commit/write-failure.ts';
const LEASE = 'src/fs/lease-directory.ts';
const DIRECTORY_LOCK = 'src/directory/directory-lock.ts';

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'logs removed before the snapshot has its name': {
    file: SNAPSHOTS,
    find: 'await directory.rename(job.temporaryPath, path);',
    replace:
      'for (const log of job.logs) await directory.unlink(log.path); await directory.rename(job.temporaryPath, path);',
  },
  'logs removed before the directory is synced': {
    file: SNAPSHOTS,
    find: 'await directory.rename(job.temporaryPath, path);',
    replace:
      'await directory.rename(job.temporaryPath, path); for (const log of job.logs) await directory.unlink(log.path);',
  },
  'the older of two rows of a key in the logs wins': {
    file: 'src/replay/index-rows.ts',
    find: 'for (let at = ENTRY_WORDS * (to - 1); at >= end; at -= ENTRY_WORDS) {',
    replace: 'for (let at = end; at < ENTRY_WORDS * to; at += ENTRY_WORDS) {',
  },
  'the older of two rows of a key kept while superseded rows are dropped': {
    file: 'src/replay/newest-entries.ts',
    find: 'for (let i = to - 1; i >= from; i--) {',
    replace: 'for (let i = from; i < to; i++) {',
    test: 'test/store/replay.test.ts',
  },
  'a key in the logs counts as a new record although the snapshot has it': {
    file: 'src/replay/order-rows.ts',
    find: '  return { places: ordered, present };',
    replace: '  return { places: ordered, present: 0 };',
    test: 'test/store/replay.test.ts',
  },
  'a piece of a log accepted although it does not continue the preceding one': {
    file: 'src/store/recovery/load-logs.ts',
    find: 'isSound = piece === undefined || continues(piece, last);',
    replace: 'isSound = true;',
    test: 'test/store/load-logs.test.ts',
  },
  'rows of one piece not distinguished from those of the next': {
    file: 'src/replay/index-rows.ts',
    find: 'const shift = firstBlock * BLOCK_BYTES;',
    replace: 'const shift = 0 * firstBlock * BLOCK_BYTES;',
    test: 'test/store/replay.test.ts',
  },
  'rows of one piece taken for those of another while the rows of logs are packed': {
    file: 'src/replay/partition-entries.ts',
    find: 'this.#moveBy(firstBlock * BLOCK_BYTES,',
    replace: 'this.#moveBy(0,',
    test: 'test/store/load-logs.test.ts',
  },
  'a key of the snapshot overlooked behind a gap in the keys of the logs': {
    file: 'src/replay/key-count.ts',
    find: 'if (index === near) index = settleNarrow(',
    replace: 'if (index < 0) index = settleNarrow(',
    test: 'test/replay/key-count.test.ts',
  },
  'a key that ends one piece and begins the next is taken for two': {
    file: 'src/store/recovery/piece-run.ts',
    find: 'entries[HIGH]!) < 0;',
    replace: 'entries[HIGH]!) <= 0;',
    test: 'test/store/replay.test.ts',
  },
  'a key in logs with ascending keys counts as a record more, though the snapshot holds it': {
    file: 'src/store/recovery/run-replay.ts',
    find: 'const shadowedRecords = present.get(order) ?? 0;',
    replace: 'const shadowedRecords = 0;',
    test: 'test/store/replay.test.ts',
  },
  'logs removed by the merging thread': {
    file: 'src/jobs/merge.ts',
    find: '  if (!Array.isArray(run)) return run;',
    replace:
      '  if (!Array.isArray(run)) return run;\n  for (const log of job.logs) await directory.unlink(log.path);',
  },
  'a retry names logs that its merge did not read': {
    file: 'src/store/merge/merge-intake.ts',
    find: '    this.#parts.table.beginMerge();\n',
    replace:
      '    this.#parts.table.beginMerge();\n    intake = { ...intake, last: this.#parts.logs.lastClosed };\n',
    test: 'test/store/merge-retry.test.ts',
  },
  'a failed merge freezes another layer': {
    file: 'src/store/merge/merge-intake.ts',
    find: "    const isLeft = this.#state.kind === 'left' && this.#state.lackedSpace;",
    replace: "    const isLeft = this.#state.kind === 'left';",
    test: 'test/store/merge-retry.test.ts',
  },
  'updates dropped when they are folded without space': {
    file: 'src/table/table.ts',
    find: 'new OlderLayers(frozen, base);\n  }\n\n  /**\n   * Puts merged',
    replace: 'new OlderLayers([], base);\n  }\n\n  /**\n   * Puts merged',
    test: 'test/store/merge-retry.test.ts',
  },
  'snapshot written in place': {
    file: MERGER,
    find: 'snapshots.temporaryPath(last.number)',
    replace: 'snapshots.temporaryPath(last.number).replace(/\\.[0-9a-f]*\\.tmp$/, "")',
  },
  'misplaced logs put back in ascending order': {
    file: 'src/store/salvage/put-in-place.ts',
    find: '? other.number - one.number : 0',
    replace: '? one.number - other.number : 0',
    test: 'property-tests/damage.test.ts',
  },
  'a file put back over another file': {
    file: 'src/store/salvage/put-in-place.ts',
    find: '    await this.#makeRoom(to);',
    replace: '',
    test: 'property-tests/damage.test.ts',
  },
  'a newer log under an old name treated as merged': {
    file: 'src/store/recovery/leftovers.ts',
    find: 'if (number <= newest.number) return undefined;',
    replace: 'if (number >= 0) return undefined;',
    test: 'test/store/damage.test.ts',
  },
  'a backup made in spite of known damage': {
    file: 'src/store/backup/backup.ts',
    find: 'const damage = verify === true ? undefined : knownDamage?.();',
    replace: 'const damage = undefined as ReturnType<NonNullable<typeof knownDamage>>;',
    test: 'test/store/backup.test.ts',
  },
  "the lock of a backup's directory made before its marker": {
    file: 'src/store/backup/staged-directory.ts',
    find: '    await makeMarked(fs, path);',
    replace: '    await makeDirectory(fs, path);',
    test: 'test/store/backup-crash.test.ts',
  },
  'a complete copy removed without its marker': {
    file: 'src/store/backup/staged-directory.ts',
    find: "    if (this.#stage === 'complete') await requireMarker(this.#fs, this.path);\n",
    replace: '',
    test: 'test/store/backup-crash.test.ts',
  },
  "the names above a backup's target not synced": {
    file: 'src/store/backup/staged-directory.ts',
    find: '    await syncAncestors(this.#fs, dirname(this.#target));\n',
    replace: '',
    test: 'test/store/backup-crash.test.ts',
  },
  'a salvage that writes no report': {
    file: 'src/store/salvage/salvage.ts',
    find: '      await quarantine.writeReport({ snapshot: snapshotName(number), ...salvaged });\n',
    replace: '',
    test: 'test/store/salvage.test.ts',
  },
  'unused files removed by a salvage that loses keys': {
    file: 'src/store/salvage/salvage.ts',
    find: 'losses.every((loss) => loss.firstKey === undefined)',
    replace: 'losses.length >= 0',
    test: 'test/store/salvage.test.ts',
  },
  "a previous backup's file linked without being read": {
    file: 'src/store/backup/backup.ts',
    find: '    if (!(await this.#isIntact(path, candidate, hooks))) return undefined;\n',
    replace: '',
    test: 'test/store/backup.test.ts',
  },
  'batch split over two frames': {
    file: 'src/store/metadata-store.ts',
    find: '    return this.#requireWriter().queue.add(source, options.signal, durability);',
    replace: `    const { queue } = this.#requireWriter();
    const all = [...(updates as Iterable<Update>)];
    if (all.length > 1) {
      const half = queue.add(all.splice(0, all.length >> 1), options.signal, durability);
      return half.then(() => queue.add(all, options.signal, durability));
    }
    return queue.add(all, options.signal, durability);`,
  },
  'a torn tail not truncated before a next log': {
    file: REPAIR,
    find: '    await file.truncate(tail.toOffset);',
    replace: '',
  },
  'a group that was truncated may return': {
    file: REPAIR,
    find: '  if (withoutGroups.length > 0) await fs.syncDirectory(directory);',
    replace: '',
    test: 'test/store/crash.test.ts',
  },
  'the last frame not rewritten at open': {
    file: REPAIR,
    find: "  if (tail?.kind === 'rewrite') await rewriteTail(fs, tail, lock);",
    replace: '',
  },
  'the file header not rewritten with the first frame': {
    file: 'src/log/frame-cursor.ts',
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
    file: GROUP_WRITER,
    find: 'isDurable ? log.write(encoded, seal) : log.writeVolatile(encoded);',
    replace: `(function* () {})();
    const late = begin(log.write({ ...encoded, bytes: encoded.bytes.slice() }, seal));
    if (late instanceof Promise) late.catch(() => undefined);`,
  },
  'shown to readers before it is durable': {
    file: GROUP_WRITER,
    find: '    if (group !== undefined) yield* publisher.index();',
    replace: `    if (group !== undefined) yield* publisher.index();
    if (group !== undefined) publisher.show(group);`,
    also: {
      file: 'src/store/commit/group-commit.ts',
      find: 'if (error === undefined) publisher.show(group);\n    else',
      replace: 'if (error !== undefined)',
    },
  },
  'writes continue after a failed append': {
    file: WRITE_FAILURE,
    find: '  if (!isLackOfSpace(error)) return yield* poison(fence, path, error);',
    replace: '',
    test: 'test/store/commit.test.ts',
  },
  'a failed sync reported as not applied': {
    file: WRITE_FAILURE,
    find: "  health.poisonWith(new StorePoisonedError(message, { cause, path }));\n  return health.poisonedWrite('unknown');",
    replace:
      "  health.poisonWith(new StorePoisonedError(message, { cause, path }));\n  return health.poisonedWrite('not-applied');",
  },
  'the log not truncated after a write without space': {
    file: WRITE_FAILURE,
    find: '    yield* log.cutBack(fence);',
    replace: '',
  },
  'a truncation not synced': {
    file: 'src/log/log-writer.ts',
    find: '      yield* waited(this.#plain.truncate(this.#position.offset));\n      yield* waited(this.#plain.dataSync());',
    replace: '      yield* waited(this.#plain.truncate(this.#position.offset));',
  },
  'the commit loop ends without an error': {
    file: COMMITTER,
    find: '.catch((bug: unknown) => this.#breakOff(bug))',
    replace: '',
    test: 'test/store/broken-loop.test.ts',
  },
  'callers that repeat a refused batch block the event loop': {
    file: COMMITTER,
    find: "if (isInline || this.#lastTurn === 'wrote-nothing') setImmediate(run);",
    replace: 'if (isInline) setImmediate(run);',
    test: 'test/store/commit.test.ts',
  },
  'a rotation waits behind groups that write nothing': {
    file: COMMITTER,
    find: 'queue.hasReady && !isStarved;',
    replace: 'queue.hasReady || (isStarved && queue.hasReady);',
    test: 'test/store/commit.test.ts',
  },
  'a removed log still written to': {
    file: LOG_WRITER,
    find: '    return isNamed && linkCount > 0 && sizeBytes >= this.#reservedBytes;',
    replace: '    return isNamed || linkCount >= 0 || sizeBytes >= this.#reservedBytes;',
    test: 'test/store/files-lost.test.ts',
  },
  'a renamed log still written to': {
    file: LOG_WRITER,
    find: '    return isNamed && linkCount > 0 &&',
    replace: '    return (isNamed || linkCount > 0) &&',
    test: 'test/store/files-lost.test.ts',
  },
  'a group acknowledged although a file was found lost while it was written': {
    file: FENCE,
    find: 'return health.isPoisoned ? health.poisonedWrite(outcome) : undefined;',
    replace:
      'return health.poison instanceof FencedError ? health.poisonedWrite(outcome) : undefined;',
    test: 'test/store/files-lost.test.ts',
  },
  'a directory that could not be opened treated as one that could not be synced': {
    file: PREPARED_LOG,
    find: '    if (isRefusedOpen(error)) throw error;',
    replace: '',
    test: 'test/store/descriptors.test.ts',
  },
  'a row that nothing supersedes dropped while a log is read': {
    file: 'src/replay/piece-builder.ts',
    find: 'found.newest.subarray(0, found.keyCount).sort()',
    replace: 'found.newest.subarray(0, found.keyCount - 1).sort()',
    test: 'test/store/replay.test.ts',
  },
  'a row that nothing supersedes dropped while the rows of logs are packed': {
    file: 'src/replay/pack-rows.ts',
    find: '    for (let k = 0; k < found.keyCount; k++) {',
    replace: '    for (let k = 1; k < found.keyCount; k++) {',
    test: 'test/store/load-logs.test.ts',
  },
  'a merge takes rows with equal low halves for superseded': {
    file: 'src/runs/superseded-rows.ts',
    find: '(slots[at] === low && slots[at + 1] === high)) return at;',
    replace: '(slots[at] === low && slots[at + 1]! >= 0)) return at;',
    test: 'test/runs/superseded-rows.test.ts',
  },
  'batches aborted while they wait not skipped': {
    file: 'src/store/batch/batch-queue.ts',
    find: '    this.#admitted = Math.max(this.#admitted, this.#head);',
    replace: '',
    test: 'property-tests/queue.test.ts',
  },
  'merged logs replayed': {
    file: 'src/store/recovery/directory-state.ts',
    find: 'listing.logs.filter((number) => number > newest)',
    replace: 'listing.logs.filter((number) => number >= 0 || number > newest)',
  },
  'the older of two snapshots used': {
    file: 'src/store/recovery/snapshot-state.ts',
    find: '  const number = listing.snapshots.at(-1);',
    replace: '  const number = listing.snapshots[0];',
  },
  'a prepared log not synced into its directory': {
    file: PREPARED_LOG,
    find: '    yield* waited(calls.syncDirectory(directory));',
    replace: '',
  },
  'the owner record not durable before the lease': {
    file: 'src/directory/lock-acquisition.ts',
    find: '    await this.#makeSignatureDurable(fileLock, previous);',
    replace: '',
  },
  'a gap in the log numbers accepted': {
    file: 'src/store/recovery/verdict.ts',
    find: '    if (log.number !== expected.number + 1) {',
    replace: '    if (log.number < 0) {',
    test: 'test/store/damage.test.ts',
  },
  'a read-only open trusts its first reading': {
    file: 'src/store/recovery/recovery.ts',
    find: 'return readSettled(directory, read, () => []);',
    replace: 'return read();',
    test: 'test/store/reading-beside-writer.test.ts',
  },
  'the chain of frames not compared': {
    file: 'src/log/frame-cursor.ts',
    find: 'if (header.chain !== chain)',
    replace: 'if (header.chain < 0)',
    test: 'test/log/log-scan.test.ts',
  },
  "the ancestors of an existing store's directory synced": {
    file: 'src/store/open/creation.ts',
    find: '  await syncAncestors(fs, directory);\n  // After a pause, another host may have created its store here.\n  await lock.whenHeld();\n  await fs.rename(temporaryPath, join(directory, snapshotName(0)));\n  await fs.syncDirectory(directory);',
    replace:
      '  // After a pause, another host may have created its store here.\n  await lock.whenHeld();\n  await fs.rename(temporaryPath, join(directory, snapshotName(0)));\n  await fs.syncDirectory(directory);\n  await syncAncestors(fs, directory);',
    test: 'test/store/faults-creation.test.ts',
  },
  'a group does not declare what is unsynced before it': {
    file: 'src/log/group-encoder.ts',
    find: '        unprovenBytes,\n      },',
    replace: '        unprovenBytes: 0 * (unprovenBytes ?? 0),\n      },',
    durability: 'deferred',
  },
  'a later group treated as proof whatever it declares': {
    file: 'src/log/frame-search.ts',
    find: 'position - header.unprovenBytes <= brokenAt',
    replace: 'position <= brokenAt',
    durability: 'deferred',
  },
  'only the last group rewritten at open': {
    file: 'src/log/frame-cursor.ts',
    find: 'unprovenFrom: provenEnd(header, offset),',
    replace: 'unprovenFrom: provenEnd({ ...header, unprovenBytes: 0 }, offset),',
    durability: 'deferred',
  },
  'sync() resolves before the sync': {
    file: LOG_WRITER,
    find: '      yield* waited(this.#plain.dataSync());\n      if (!this.#isThere())',
    replace:
      '      void Promise.resolve(this.#plain.dataSync()).catch(() => undefined);\n      if (!this.#isThere())',
    durability: 'deferred',
  },
  'a failed sync of deferred batches retried': {
    file: LOG_WRITER,
    find: '      yield* waited(this.#plain.dataSync());\n      if (!this.#isThere())',
    replace:
      '      yield* waited(Promise.resolve(this.#plain.dataSync()).catch(() => this.#plain.dataSync()));\n      if (!this.#isThere())',
    test: 'test/store/durability.test.ts',
  },
  'a durable write treated as a sync of all earlier bytes': {
    file: GROUP_WRITER,
    find: 'isDurable && log.unsyncedBytes > 0 ? yield* this.syncFenced() : undefined',
    replace: 'isDurable && log.lengthBytes < 0 ? yield* this.syncFenced() : undefined',
    also: {
      file: LOG_WRITER,
      find: "    assert(this.unsyncedBytes === 0, 'a durable write proves that all before it is durable');",
      replace: '    this.#synced = this.#position;',
    },
    durability: 'deferred',
  },
  'deferred batches not synced before the log is sealed': {
    file: GROUP_WRITER,
    find: 'isDurable && log.unsyncedBytes > 0 ? yield* this.syncFenced() : undefined',
    replace: 'isDurable && !seal && log.unsyncedBytes > 0 ? yield* this.syncFenced() : undefined',
    also: {
      file: LOG_WRITER,
      find: "    assert(this.unsyncedBytes === 0, 'a durable write proves that all before it is durable');",
      replace: '    this.#synced = this.#position;',
    },
    durability: 'deferred',
  },
  'the timer of deferred batches has no effect': {
    file: 'src/store/commit/log-sync.ts',
    find: "      this.#state = 'due';",
    replace: "      this.#state = 'resting';",
    durability: 'deferred',
  },
  'a failed condition reported before the batches that it depends on are synced': {
    file: GROUP_WRITER,
    find: "durability === 'sync' && sync.unsyncedBytes > 0;",
    replace: "durability === 'sync' && sync.unsyncedBytes < 0;",
    durability: 'deferred',
  },
  'bytes synced before a later group treated as torn': {
    file: 'src/log/frame-search.ts',
    find: 'position - header.unprovenBytes <= brokenAt',
    replace: 'header.unprovenBytes > 0 && brokenAt >= 0 && position > 0',
    test: 'test/store/durability.test.ts',
  },
  'sync() ignores a failed sync of zeros': {
    file: LOG_WRITER,
    find: '      yield* waited(this.#growth);\n      if (this.#growthFailure !== undefined) throw this.#growthFailure;\n      // After',
    replace: '      // After',
    test: 'test/store/durability.test.ts',
  },
  'the timer refreshes a stale lease': {
    file: LEASE,
    find: '    if (!this.isFresh()) return this.#options.onOverdue();',
    replace: '',
    test: 'test/fs/lease-directory.test.ts',
  },
  'a stale lease renewed without a check of its holder': {
    file: LEASE,
    find: '      yield* this.#requireOurs(calls);\n      this.#requireHeld();',
    replace: '      this.#requireHeld();',
    test: 'test/fs/lease-directory.test.ts',
  },
  'a renewed lease not checked again after the settling time': {
    file: LEASE,
    find: '      yield* this.#requireOurs(calls);\n      // A pause',
    replace: '      // A pause',
    test: 'test/fs/lease-directory.test.ts',
  },
  'a second pause ignored while the first is checked': {
    file: DIRECTORY_LOCK,
    find: 'while (!this.#parts.lease.isFresh());',
    replace: 'while (this.#checkFiles === undefined);',
    test: 'test/directory/lock-causes.test.ts',
  },
  'the owner record not compared after a pause': {
    file: DIRECTORY_LOCK,
    find: 'signed?.nonce !== owner.nonce',
    replace: 'signed?.nonce === undefined && owner.nonce !== undefined',
    test: 'test/store/pause.test.ts',
  },
  'the logs not compared after a pause': {
    file: DIRECTORY_LOCK,
    find: '      yield* this.#checkFiles(calls);',
    replace: '',
    test: 'test/store/pause.test.ts',
  },
  'a group acknowledged during a pause': {
    file: GROUP_WRITER,
    find: "const lost = yield* fence.check('unknown');",
    replace: 'const lost = undefined;',
    test: 'test/store/pause.test.ts',
  },
  'a change feed reads a durable group that is not visible yet': {
    file: LOG_KEEPER,
    find: 'return this.#acknowledged;',
    replace: 'return this.synced;',
    test: 'test/store/changes-acknowledged.test.ts',
  },
  'a change feed reads a group before the fence has let it through': {
    file: GROUP_WRITER,
    find: "    const lost = yield* fence.check('unknown');",
    replace: "    sync.acknowledge();\n    const lost = yield* fence.check('unknown');",
    test: 'test/store/changes-acknowledged.test.ts',
  },
  'a change feed reads synced batches before the fence has let them through': {
    file: LOG_WRITER,
    find: '      yield* waited(ownership.whenHeld());\n',
    replace: '',
    test: 'test/store/changes-acknowledged.test.ts',
  },
  'a sync that the fence refuses stays due': {
    file: GROUP_WRITER,
    find: '    sync.begin();\n    return (yield* fence.check',
    replace: '    return (yield* fence.check',
    test: 'test/store/pause.test.ts',
  },
  'a new store installed during a pause': {
    file: 'src/store/open/creation.ts',
    find: '  await lock.whenHeld();\n  await fs.rename',
    replace: '  await fs.rename',
    test: 'test/store/pause.test.ts',
  },
  'a log that could not be prepared removed during a pause': {
    file: 'src/log/prepared-log.ts',
    find: '    yield* waited(fence.whenHeld());\n    yield* waited(calls.unlink(path));',
    replace: '    yield* waited(calls.unlink(path));',
    test: 'test/store/pause.test.ts',
  },
  'a log truncated during a pause': {
    file: LOG_WRITER,
    find: '      yield* waited(fence.whenHeld());\n',
    replace: '',
    test: 'test/store/pause.test.ts',
  },
  'all owners write a snapshot under one name': {
    file: 'src/format/file-name.ts',
    find: 'crc32c(ownerNonce)',
    replace: 'crc32c(snapshotName(number).slice(ownerNonce.length, 0))',
    test: 'test/store/pause.test.ts',
  },
  'a merge installed during a pause': {
    file: FENCE,
    find: '      await lock.whenHeld();',
    replace: '      void lock;',
    test: 'test/store/pause.test.ts',
  },
  'the exit hook of the lease library left active on signals': {
    file: 'src/fs/lease-library.ts',
    find: '  cache[hookPath] = moduleOf(hookPath, () => () => undefined);',
    replace: '',
    test: 'test/fs/lease-signals.test.ts',
  },
  'the directory not checked before a name is created': {
    file: DIRECTORY,
    find: "      if (mode === 'wx') await this.#check();",
    replace: '',
    test: 'test/fs/directory.test.ts',
  },
  'the directory not checked before a name is synced, changed or removed': {
    file: DIRECTORY,
    find: 'if (paths.some((path) => this.#isInside(path))) await this.#check();',
    replace: '',
    test: 'test/fs/directory.test.ts',
  },
  'the directory closed before its last call': {
    file: DIRECTORY,
    find: 'if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));',
    replace: '',
    test: 'test/fs/directory.test.ts',
  },
  'a reused descriptor number taken for the directory': {
    file: DIRECTORY,
    find: 'if (isSameDirectory(hold.identity, reference.identity)) {',
    replace: 'if (isSameDirectory(hold.identity, hold.identity)) {',
    test: 'test/fs/directory.test.ts',
  },
  'the files of a directory taken by way of the one above it': {
    file: DIRECTORY,
    find: 'return !this.#innerPaths.some((inner) => isAtOrBelow(path, inner));',
    replace: 'return true;',
    test: 'test/store/moved-directory.test.ts',
  },
  'the directory closed before its lease is released': {
    file: 'src/store/writer.ts',
    find: '[releaseLock, () => backgroundLoad.stop(), () => directory.close()]',
    replace: '[() => directory.close(), () => backgroundLoad.stop(), releaseLock]',
    test: 'test/store/moved-directory.test.ts',
  },
  'the end of the log claimed before its sync': {
    file: LOG_KEEPER,
    find: 'return { number, lengthBytes: syncedBytes, lastSequence: syncedSequence };',
    replace: 'return { number, lengthBytes: live.lengthBytes, lastSequence: live.lastSequence };',
    also: {
      file: 'src/store/writer.ts',
      find: '      await committer.sealForClose();',
      replace:
        '      claims.note(logs.synced);\n      await claims.whenIdle();\n      await committer.sealForClose();',
    },
    durability: 'deferred',
  },
  'an owner record truncates the claim': {
    file: 'src/testing/crash-lock.ts',
    find: '    await file.dataSync();',
    replace:
      '    if (position === 0) await file.truncate(bytes.length);\n    await file.dataSync();',
    test: 'test/store/claim.test.ts',
  },
  'an owner record truncates the claim in the real lock file': {
    file: 'src/fs/kernel-lock.ts',
    find: '    await this.#file.dataSync();',
    replace:
      '    if (position === 0) await this.#file.truncate(bytes.length);\n    await this.#file.dataSync();',
    test: 'test/fs/kernel-lock.test.ts',
  },
  'the claim read after the directory listing': {
    file: 'src/store/recovery/directory-state.ts',
    find: '  const claim = await readClaim(fs, directory);\n  return { directory, claim, listing: await listDirectory(fs, directory) };',
    replace:
      '  const listing = await listDirectory(fs, directory);\n  return { directory, claim: await readClaim(fs, directory), listing };',
    test: 'test/store/claim.test.ts',
  },
  'the newest claim overwritten': {
    file: 'src/format/claim.ts',
    find: 'newest?.sector === first ? second : first',
    replace: 'newest?.sector === first ? first : second',
    test: 'test/store/claim.test.ts',
  },
  'a follower trusts the last group of a log': {
    file: 'src/store/follow/settled-logs.ts',
    find: 'isProven ? reader.offset : reader.provenBytes',
    replace: 'isProven || known >= 0 ? reader.offset : reader.provenBytes',
    test: 'test/store/follow.test.ts',
  },
  'a follower trusts a seal that is written with the last group': {
    file: 'src/store/follow/settled-logs.ts',
    find: '(!step.isPiggybacked || (await isUnowned(fs, directory)));',
    replace: "(!step.isPiggybacked || directory !== '');",
    test: 'test/store/follow.test.ts',
  },
  'followers notified of bytes that are not synced': {
    file: 'src/store/writer.ts',
    find: 'const notes = keepNotes(opened, lock, startTimer, () => logs.acknowledged);',
    replace:
      'const notes = keepNotes(opened, lock, startTimer, () => logs.live === undefined ? logs.synced : { number: logs.live.number, lengthBytes: logs.live.lengthBytes, lastSequence: logs.live.lastSequence });',
    test: 'test/store/follow.test.ts',
  },
  'followers notified of a durable group that is not visible yet': {
    file: 'src/store/writer.ts',
    find: 'const notes = keepNotes(opened, lock, startTimer, () => logs.acknowledged);',
    replace: 'const notes = keepNotes(opened, lock, startTimer, () => logs.synced);',
    test: 'test/store/follow.test.ts',
  },
  'a follower continues in a log that does not follow': {
    file: 'src/store/follow/log-follower.ts',
    find: 'if (previous.lastSequence !== this.#position) return false;',
    replace: 'if (previous.lastSequence < 0n) return false;',
    test: 'test/store/follow.test.ts',
  },
  'a note hides the claim of a closed log': {
    file: 'src/directory/claim-file.ts',
    find: 'return one.lengthBytes > other.lengthBytes;',
    replace: 'return one.lengthBytes < other.lengthBytes;',
    test: 'test/directory/claim-file.test.ts',
  },
  'the end of a log not compared with the header of the next by a follower': {
    file: 'src/store/follow/log-follower.ts',
    find: '      if (!isSamePredecessor(reader.asPredecessor, previous)) return false;\n',
    replace: '',
    test: 'test/store/follow.test.ts',
  },
  'a salvage that does not settle the claim': {
    file: 'src/store/salvage/salvage-reading.ts',
    find: 'isOurs ? claim.number : 0',
    replace: '0',
    test: 'test/store/claim.test.ts',
  },
  "the store's files not looked at by name": {
    file: 'src/store/commit/files-watch.ts',
    find: "return kind === 'file' && sizeBytes >= lengthBytes;",
    replace: "return kind === 'file' || sizeBytes >= lengthBytes;",
    also: {
      file: 'src/store/commit/files-watch.ts',
      find: "return systemCode(error) !== 'ENOENT';",
      replace: 'return true;',
    },
    test: 'test/store/files-lost.test.ts',
  },
  'a truncated file reported as damage while writes continue': {
    file: 'src/store/merge/merge-executor.ts',
    find: 'throw await this.#parts.watch.causeOf(damage);',
    replace: 'throw damage;',
    test: 'test/store/files-lost.test.ts',
  },
  'salvage does not check the claim first': {
    file: 'src/store/salvage/found-files.ts',
    find: '  if (isClaimed) return claim?.storeId;\n',
    replace: '',
    test: 'test/store/claim.test.ts',
  },
  'an older copy without damage in the place of a damaged log': {
    file: 'src/store/salvage/placement.ts',
    find: '      log.lastSequence,\n      log.frames.size,\n      log.isSound ? 1 : 0,\n',
    replace: '      log.isSound ? 1 : 0,\n      log.lastSequence,\n      log.frames.size,\n',
    also: {
      file: 'src/store/salvage/placement.ts',
      find: '|| holdsAllOf(log, other));',
      replace: '|| true);',
    },
    test: 'test/store/damage.test.ts',
  },
  'a lost snapshot 0 always taken for an empty one': {
    file: 'src/store/salvage/salvage-base.ts',
    find: '  return header.predecessor.lastSequence === 0n;\n',
    replace: '  return true;\n',
    test: 'test/store/salvage-losses.test.ts',
  },
  'sequence numbers that begin again after a salvage': {
    file: 'src/store/salvage/salvage-loss.ts',
    find: 'if (isLossy || !found.isSequenceKnown) return',
    replace: 'if (isLossy) return',
    test: 'test/store/salvage-losses.test.ts',
  },
  'a log created without a check of the lease': {
    file: LOG_KEEPER,
    find: '    yield* waited(this.#fence.whenHeld());\n    if (this.#isRoomForZeros()) {',
    replace: '    if (this.#isRoomForZeros()) {',
    test: 'test/store/pause.test.ts',
  },
  'deferred batches synced without a check of the lease': {
    file: GROUP_WRITER,
    find: "return (yield* fence.check('not-applied')) ?? (yield* sync.run());",
    replace: 'return yield* sync.run();',
    test: 'test/store/pause.test.ts',
  },
  'a pause fences although no other host held the store': {
    file: DIRECTORY_LOCK,
    find: 'if (!this.#parts.lease.isFresh()) return this.#decide();',
    replace: 'if (!this.#parts.lease.isFresh()) return Promise.reject(this.#parts.loss.ofPause());',
  },
  'files addressed by the path of the directory, not by its descriptor': {
    file: DIRECTORY,
    find: 'return exchangePrefix(path, this.realPath, this.#hold.access);',
    replace: 'return path;',
  },
  'a directory read only once beside a writer': {
    file: 'src/store/recovery/settled-reading.ts',
    find: 'if (faults.length === 0 || isSettled) return settle(outcome);',
    replace: 'if (faults.length >= 0 || isSettled) return settle(outcome);',
    test: 'test/store/settled-reading.test.ts',
  },
  'zeros reserved in the background beside blocking calls': {
    file: LOG_WRITER,
    find: '    const growing = begin(this.#grow(from, to));',
    replace: '    const growing = Promise.resolve().then(() => begin(this.#grow(from, to)));',
    commits: 'inline',
  },
  'deferred batches not synced before a blocking durable write': {
    file: GROUP_WRITER,
    find: 'isDurable && log.unsyncedBytes > 0 ? yield* this.syncFenced() : undefined',
    replace:
      "isDurable && fence.mode === 'background' && log.unsyncedBytes > 0 ? yield* this.syncFenced() : undefined",
    also: {
      file: LOG_WRITER,
      find: "    assert(this.unsyncedBytes === 0, 'a durable write proves that all before it is durable');",
      replace: '    this.#synced = this.#position;',
    },
    commits: 'inline',
  },
  'a blocking write not truncated when space runs out': {
    file: WRITE_FAILURE,
    find: '    yield* log.cutBack(fence);',
    replace: '',
    commits: 'inline',
  },
  'a blocking call acknowledged without the fence': {
    file: FENCE,
    find: '    lock.holdNow();\n',
    replace: '',
    test: 'test/store/inline.test.ts',
  },
  'blocking calls that starve the timer do not refresh the lease': {
    file: COMMITTER,
    find: '    lock.refreshNow();\n',
    replace: '',
    test: 'test/store/inline.test.ts',
  },
  'blocking calls that starve the timer do not sync due deferred batches': {
    file: COMMITTER,
    find: '    if (this.#parts.sync.isOverdue) yield* this.#syncDue();\n',
    replace: '',
    test: 'test/store/inline.test.ts',
  },
  'a blocking call overtakes queued batches': {
    file: COMMITTER,
    find: ' || !queue.isEmpty',
    replace: '',
    test: 'test/store/inline.test.ts',
  },
  'a timer result from before a blocking refresh treated as a loss of the lease': {
    file: LEASE,
    find: '      if (this.#blockingRefreshes === blockingRefreshes) this.#refreshFailed(error);',
    replace: '      this.#refreshFailed(error);',
    test: 'test/fs/lease-directory.test.ts',
  },
  'a merge begun in a poisoned store': {
    file: 'src/store/merge/merge-scheduler.ts',
    find: 'return isIdle && !this.#parts.health.isPoisoned;',
    replace: 'return isIdle;',
    test: 'test/store/merge-memory.test.ts',
  },
  'a lock file that was replaced while the store is open not noticed': {
    file: DIRECTORY_LOCK,
    find: 'return this.#isFileInPlace(LOOK_VALID_MS) ? undefined : this.#fileLost();',
    replace: 'return undefined;',
    test: 'test/store/lock-file.test.ts',
  },
  'a look at the lock file that stays valid': {
    file: DIRECTORY_LOCK,
    find: 'LOOK_VALID_MS = 10;',
    replace: 'LOOK_VALID_MS = 10_000_000;',
    test: 'test/directory/directory-lock.test.ts',
  },
  'no wait before the logs of a replaced lock file are read': {
    file: 'src/directory/lock-acquisition.ts',
    find: 'if (mustSettle) await (this.#options.wait ?? delay)(REPLACED_SETTLE_MS);',
    replace: '',
    test: 'test/directory/directory-lock.test.ts',
  },
  'the wait for an unseen owner after the record that ends it': {
    file: 'src/directory/lock-acquisition.ts',
    find: '      if (mustSettle) await (this.#options.wait ?? delay)(REPLACED_SETTLE_MS);\n      await fileLock.writeRecord(encodeOwnerRecord(owner));\n',
    replace:
      '      await fileLock.writeRecord(encodeOwnerRecord(owner));\n      if (mustSettle) await (this.#options.wait ?? delay)(REPLACED_SETTLE_MS);\n',
    test: 'test/directory/directory-lock.test.ts',
  },
  'a lock file that was replaced while it was being locked taken for the locked one': {
    file: 'src/fs/kernel-lock.ts',
    find: "isSameInode(fstatSync(other, { bigint: true }), held) ? 'unknown' : 'replaced'",
    replace: "'unknown'",
    test: 'test/fs/kernel-lock.test.ts',
  },
  'no look at the lock file at the end of a pause': {
    file: DIRECTORY_LOCK,
    find: '      if (!this.#isFileInPlace(LOOK_VALID_MS)) yield* this.#loseFile(calls);\n    } catch',
    replace: '    } catch',
    test: 'test/directory/lock-causes.test.ts',
  },
  'the lease of a running process broken because a copy of its lock file is free': {
    file: 'src/directory/lock-acquisition.ts',
    find: 'if (isDead && (await this.#options.isOpenElsewhere?.(',
    replace: 'if (!isDead && (await this.#options.isOpenElsewhere?.(',
    test: 'test/store/lock-file.test.ts',
  },
  'a pipe or a device opened as a file': {
    file: 'src/fs/descriptor.ts',
    find: '  requireFile(descriptor, path);\n  return descriptor;',
    replace: '  return descriptor;',
    test: 'test/store/not-a-file.test.ts',
  },
  'explain trusts the pid of an owner that has closed the store': {
    file: 'src/inspection/source-lock.ts',
    find: 'if (hasFile === true) return owner;',
    replace: 'if (hasFile !== undefined) return owner;',
    test: 'test/cli/explain-owner.test.ts',
  },
  'explain overlooks what is in the lease': {
    file: 'src/inspection/obstacles.ts',
    find: 'return contentObstacle(fs, path);',
    replace: 'return undefined;',
    test: 'test/cli/explain-owner.test.ts',
  },
  'a backup written into the directory of another store': {
    file: 'src/store/backup/backup-target.ts',
    find: 'await requireOutsideStores(fs, target, real);',
    replace: '',
    test: 'test/store/target-in-store.test.ts',
  },
  'an open on a full disk does not use the reserve for its lease': {
    file: 'src/directory/lock-acquisition.ts',
    find: 'if (!isFull || !(await giveUpOneReserve(this.#fs, this.#directory))) throw error;',
    replace: 'if (!isFull || this.#directory.length > 0) throw error;',
    test: 'test/store/faults-full.test.ts',
  },
  'the reserve released for an existing lease': {
    file: 'src/directory/lock-acquisition.ts',
    find: 'if (!isFull || !(await giveUpOneReserve(',
    replace: 'if ((isFull && !isFull) || !(await giveUpOneReserve(',
    test: 'test/store/reserve-file.test.ts',
  },
  'the inodes of the reserve released before its bytes': {
    file: 'src/directory/reserve-names.ts',
    find: 'of [RESERVE_NAME, ...SPARE_NAMES]) {',
    replace: 'of [...SPARE_NAMES, RESERVE_NAME]) {',
    test: 'test/store/reserve-file.test.ts',
  },
  'a reserve released for the lease treated as never made': {
    file: 'src/store/space/reserve-file.ts',
    find: "      if (existing === undefined && (await this.#hasSpare())) this.#state = 'given-up';",
    replace: '',
    test: 'test/store/reserve-file.test.ts',
  },
  'a reserve without its inodes counts as kept': {
    file: 'src/store/space/reserve-file.ts',
    find: "if (!isWhole) this.#state = 'given-up';\n      return isWhole;",
    replace: 'return isWhole || true;',
    test: 'test/store/reserve-file.test.ts',
  },
  'the reserve remade with the inode that it has just released': {
    file: 'src/store/space/space-keeper.ts',
    find: '    this.#isLentToGroup = true;',
    replace: '',
    test: 'test/store/faults-full.test.ts',
  },
  "the zeros of a new log take the reserve's space": {
    file: 'src/store/space/space-keeper.ts',
    find: "return reserveFile === undefined || reserveFile.state === 'kept';",
    replace: 'return true || reserveFile === undefined;',
    test: 'test/store/faults-full.test.ts',
  },
  'a merge drops a record of the snapshot that no update replaces': {
    file: 'src/runs/fold.ts',
    find: 'if (!older.done && isSame(older, newer)) older.next();',
    replace: 'if (!older.done && (isSame(older, newer) || older.keyLow > 0)) older.next();',
    test: 'test/runs/fold.test.ts',
  },
  'a key with too many bits accepted in another keyspace': {
    file: 'src/table/layer/key-prefix.ts',
    find: 'if (((low & ~this.#freeLow) | (high & ~this.#freeHigh)) !== 0) {',
    replace: 'if ((low & ~this.#freeLow) !== 0) {',
    test: 'test/store/keyspace.test.ts',
  },
  'records by value searched outside their keyspace': {
    file: 'src/table/scan/value-scan.ts',
    find: '      if (this.#keyFilter?.accepts(low, high) === false) continue;\n',
    replace: '',
    test: 'test/store/keyspace.test.ts',
  },
  'a get of a snapshot sees rows committed after it': {
    file: 'src/table/view.ts',
    find: 'if (position < 0) return this.older.lookUp(low, high);',
    replace:
      'if (this.live.lookUp(low, high) !== undefined) return this.live.lookUp(low, high) ?? undefined; if (position < 0) return this.older.lookUp(low, high);',
    test: 'test/store/store-snapshot.test.ts',
  },
  'a close keeps the memory of snapshots': {
    file: 'src/store/metadata-store.ts',
    find: '        this.snapshots.releaseAll();\n',
    replace: '',
    test: 'test/store/store-snapshot.test.ts',
  },
  'a slice of an iteration ends at deleted keys': {
    file: 'src/table/scan/record-walk.ts',
    find: "    return 'deletes';",
    replace: "    return 'end';",
    test: 'test/store/async-entries.test.ts',
  },
  'a merge keeps snapshot records inside a deleted interval': {
    file: 'src/runs/interval-deletes.ts',
    find: 'await snapshotKeys(newer.intervals(), (low, high) =>',
    replace: 'await snapshotKeys(newer.intervals().slice(1), (low, high) =>',
  },
  'recovery keeps older rows inside a deleted interval': {
    file: 'src/replay/piece-builder.ts',
    find: 'makeDeleteRow(view, words[at + POSITION]! - position);',
    replace: 'if (position < 0) makeDeleteRow(view, words[at + POSITION]! - position);',
    test: 'test/store/interval-recovery.test.ts',
  },
  'recovery keeps rows of an older piece inside a deleted interval': {
    file: 'src/store/recovery/covered-rows.ts',
    find: 'await finishInSlices(newer.addList(piece.intervals), pause);',
    replace: '',
    test: 'test/store/interval-recovery.test.ts',
  },
  'deleted intervals applied at once on the thread that opens the store': {
    file: 'src/store/recovery/covered-rows.ts',
    find: 'await finishInSlices(newer.addList(piece.intervals), pause);',
    replace: 'await finishInSlices(newer.addList(piece.intervals), undefined);',
    test: 'test/store/interval-recovery.test.ts',
  },
  'recovery keeps snapshot records inside a deleted interval': {
    file: 'src/store/recovery/snapshot-deletes.ts',
    find: 'addKeysOf(chunk, intervalOf(intervals, i), deletes);',
    replace: 'if (chunk.firstKey < 0n) addKeysOf(chunk, intervalOf(intervals, i), deletes);',
    test: 'test/store/interval-recovery.test.ts',
  },
  'rows of a batch before its deleted interval survive': {
    file: 'src/store/commit/expand-batch.ts',
    find: '} else if (!isCovered(intervals, view, offset)) {',
    replace: '} else if (offset >= 0 || !isCovered(intervals, view, offset)) {',
    test: 'test/store/delete-range.test.ts',
  },
  'keys that a batch with a deleted interval puts counted as present': {
    file: 'src/store/commit/expand-batch.ts',
    find: "lengthBytes, this.#kept.length === 0 ? 'present' : 'any');",
    replace: "lengthBytes, this.#kept.length >= 0 ? 'present' : 'any');",
    test: 'test/store/delete-range.test.ts',
  },
  'each deleted interval of a batch lists the records of the ones before it again': {
    file: 'src/store/commit/expand-batch.ts',
    find: 'for (const interval of intervals.each()) {',
    replace: 'for (const interval of [...intervals.each(), ...intervals.each()]) {',
    test: 'property-tests/expand-batch.test.ts',
  },
  'room for a deleted interval judged after all of its records were listed': {
    file: 'src/store/commit/expand-batch.ts',
    find: '        if (!this.#table.hasRoomFor(this.#lengthBytes)) return false;\n',
    replace: '',
    test: 'property-tests/expand-batch.test.ts',
  },
  'no pause between deleted intervals without records': {
    file: 'src/store/commit/expand-batch.ts',
    find: '      // Beginning a walk takes longer than some records.\n      yield* this.#slices.rest();\n',
    replace: '',
    test: 'property-tests/expand-batch.test.ts',
  },
  'only the first rows of a failed group removed': {
    file: 'src/store/commit/publisher.ts',
    find: '    while (!table.stepAbandon()) yield* slices.rest();\n',
    replace: '    table.stepAbandon();\n',
    test: 'test/store/delete-range.test.ts',
  },
  'a deleted interval written to a log of a version without intervals': {
    file: 'src/log/log-writer.ts',
    find: 'this.#version = hasIntervals ? INTERVAL_VERSION : WRITTEN_VERSION.log;',
    replace: 'this.#version = WRITTEN_VERSION.log;',
    also: {
      file: 'src/log/log-writer.ts',
      find: 'this.#position.offset === 0 || this.#version >= INTERVAL_VERSION;',
      replace: 'this.#position.offset === 0 || INTERVAL_VERSION > 0;',
    },
  },
  'several iterables read at the same time': {
    file: 'src/store/batch/batch-queue.ts',
    find: 'if (isUnread && this.#reading !== undefined) return;',
    replace: 'if (isUnread && this.#reading === batch) return;',
    test: 'test/store/commit.test.ts',
  },
  'a batch with a deleted interval shares its group': {
    file: 'src/store/batch/batch-queue.ts',
    find: '      if (isAlone) break;\n',
    replace: '',
    test: 'test/store/delete-range.test.ts',
  },
  'rows after a deleted interval deleted by it': {
    file: 'src/replay/piece-builder.ts',
    find: 'before[next]! > i;',
    replace: 'before[next]! > 0;',
    test: 'test/store/interval-recovery.test.ts',
  },
  ...NODE_MUTANTS,
};
