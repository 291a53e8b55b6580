import type { Mutant } from '../campaign/mutant.ts';
import type { HistoryPart } from './histories.ts';

/** A mistake, and the part of the histories that catches it. Default: all parts are run. */
export interface ReplicatedMutant extends Mutant {
  readonly part?: HistoryPart;
}

const NODE = 'src/replicated/node/replica-node.ts';
const COMMITS = 'src/replicated/node/primary-commits.ts';
const APPENDER = 'src/replicated/node/appender.ts';
const FILES = 'src/replicated/node/replica-files.ts';
const SHARDED = 'src/replicated/shards/sharded-store.ts';
const NODE_SHARDS = 'src/replicated/shards/node-shards.ts';
const REPAIR = 'src/replicated/node/repair-log.ts';
const OPEN = 'src/replicated/node/open-replica.ts';
const CHAIN = 'src/replicated/log/log-chain.ts';
const GROUP_WRITER = 'src/store/commit/group-writer.ts';

/** Mistakes in replication; `npm run test:replicated -- --mistakes` plants each of them. */
export const REPLICATED_MUTANTS: Readonly<Record<string, ReplicatedMutant>> = {
  'applied and acknowledged before the engine has acknowledged': {
    file: GROUP_WRITER,
    find: '    const refused = yield* waited(appending);',
    replace: '    void appending;\n    const refused = undefined as StoreError | undefined;',
  },
  'a deleted range appended with the version of rows without intervals': {
    file: COMMITS,
    find: '    const rowsVersion = logVersionFor(hasIntervals);',
    replace: '    const rowsVersion = logVersionFor(hasIntervals && false);',
  },
  'the hint of bounds decides an append without an answer': {
    file: APPENDER,
    find: '      const answer = await log.append(position, bytes, { signal });',
    replace: `      const answer = await log.append(position, bytes, { signal }).catch(async () => {
        const { last } = await this.#repeat(signal, () => log.bounds({ signal }));
        return last < position ? 'free' : 'occupied';
      });
      if (answer === 'free') return 'other';`,
  },
  'a timeout reported as not applied': {
    file: COMMITS,
    find: "the batch may be applied`, { outcome: 'unknown' })",
    replace: "the batch may be applied`, { outcome: 'not-applied' })",
  },
  'a group given up although the engine answers for its pieces': {
    file: COMMITS,
    find: '    for (const restart of this.#restarts) restart();\n',
    replace: '',
    test: 'test/replicated/engine-away.test.ts',
  },
  'the log trimmed up to the current position': {
    file: FILES,
    find: '    await log.trim(second.position, { signal });',
    replace: '    await log.trim(place.position, { signal });',
  },
  'an append not repeated at a position that turns out to be free': {
    file: APPENDER,
    find: '      const found = await this.#entryAt(position, signal, position - 1n);',
    replace:
      '      const found = await this.#repeat(signal, () => this.#entryAt(position, signal, 0n));',
    test: 'test/replicated/appender.test.ts',
  },
  'an occupied position treated as a successful append': {
    file: APPENDER,
    find: "    if (answer === 'appended') return 'ours';",
    replace: "    if (answer !== undefined) return 'ours';",
  },
  'an occupied position reported as not applied without reading its entry': {
    file: APPENDER,
    find: "    if (answer === 'appended') return 'ours';",
    replace:
      "    if (answer === 'appended') return 'ours';\n    if (position > 0n) return 'other';",
  },
  'a repeated append with other bytes': {
    file: APPENDER,
    find: 'await log.append(position, bytes, { signal });',
    replace: 'await ((bytes[70] = bytes[70]! + 1), log.append(position, bytes, { signal }));',
  },
  'a takeover that appends nothing': {
    file: NODE,
    find: "    if (result !== 'ours') return position;",
    replace: '',
    also: {
      file: NODE,
      find: "    const result = await this.#commits.appendOwn({ kind: 'takeover', epoch, piece }, signal);",
      replace:
        '    if (epoch === 1n) await this.#commits.appendOwn({ kind: "takeover", epoch, piece }, signal);',
    },
  },
  'a barrier reached before the group that is still being written': {
    part: 'nodes',
    file: OPEN,
    find: "    if (kind === 'group' || this.isWriting) this.#next = this.chain.groupEnd;",
    replace: "    if (kind === 'group') this.#next = this.chain.groupEnd;",
  },
  'entries of another node read while a group is still being written': {
    file: NODE,
    find: '    await this.#whenWritten(undefined);\n',
    replace: '',
    test: 'test/replicated/slow-disk.test.ts',
  },
  'a group acknowledged at its first piece': {
    file: COMMITS,
    find: "      if (result !== 'ours') return this.#depose(result);\n    }",
    replace: "      if (result !== 'ours') return this.#depose(result);\n      break;\n    }",
  },
  'a group applied at its first piece': {
    file: CHAIN,
    find: '    if (open.lengthBytes < entry.payloadBytes) {',
    replace: '    if (open.lengthBytes < entry.payloadBytes && entry.payloadBytes === 0) {',
  },
  'a merge removes groups before their place is saved': {
    file: OPEN,
    find: '    await this.#save(lastSequence);',
    replace: '',
  },
  'a place saved that the local log may lose': {
    file: OPEN,
    find: '    this.#save(this.access.lastSyncedSequence).catch(() => undefined);',
    replace: '    this.#save(this.access.lastSequence).catch(() => undefined);',
    also: {
      file: OPEN,
      find: 'const SAVE_GROUPS = 8_192;',
      replace: 'const SAVE_GROUPS = 2;',
    },
  },
  'groups of the directory not compared with the log': {
    file: 'src/replicated/node/local-groups.ts',
    find: '      local.digest === digestOf({ firstSequence, ...rows })',
    replace: '      digestOf({ firstSequence, ...rows }) >= 0',
    test: 'test/replicated/log-lost.test.ts',
  },
  'a log that grew to the same length as the lost one is followed': {
    part: 'loss',
    file: OPEN,
    find: '    if (bytes !== undefined && checksumOfEntry(bytes) !== checksum) {',
    replace: '    if (bytes === undefined && checksum === -1) {',
  },
  'a node behind a repair takes over without the batches that it restores': {
    part: 'loss',
    file: NODE,
    find: '    if (this.#mustRebuild) return this.replica.chain.place.position;\n',
    replace: '',
  },
  'an elected node waits for its disk before it takes over': {
    file: NODE,
    find: '    if (blockedBy !== undefined) throw blockedBy;\n',
    replace: '',
    test: 'test/replicated/elections.test.ts',
  },
  'an elected node waits for a checkpoint before it takes over': {
    file: NODE,
    find: '    if (this.#mustRebuild) throw notRebuilt();\n',
    replace: '',
    test: 'test/replicated/unfinished-repair.test.ts',
  },
  'a repair keeps the checkpoints of lost entries': {
    part: 'loss',
    file: REPAIR,
    find: 'await checkpoints.removeAfter(place.position - 1n, signal);',
    replace: '0;',
  },
  'a repair of a log that another node has continued': {
    part: 'loss',
    file: REPAIR,
    find: '  if (isOurs && end.epoch <= place.epoch) return end;',
    replace: '  if (end.epoch > 0n) return end;',
  },
  'the takeover of an interrupted repair taken for one of another node': {
    file: REPAIR,
    find: '    if (isRepaired) return { place: placeOfEntry(last, entry), isRepaired };\n',
    replace: '',
    test: 'test/replicated/unfinished-repair.test.ts',
  },
  'a trim before the place of the node is saved': {
    file: 'src/replicated/node/checkpoint-keeper.ts',
    find: '    await replica.savePlace();\n',
    replace: '',
    test: 'test/replicated/log-lost.test.ts',
  },
  'the chain of entries not checked': {
    file: CHAIN,
    find: '    if (entry.previous !== place.checksum) throw lost(',
    replace: '    if (entry.previous === -1) throw lost(',
    test: 'test/replicated/entry.test.ts',
  },
  'a failed condition reported without a check of the log': {
    file: GROUP_WRITER,
    find: '    const stale = isJudged ? yield* waited(gate?.confirm()) : undefined;',
    replace: '    const stale = undefined as StoreError | undefined;',
    test: 'test/replicated/replicated-store.test.ts',
  },
  'a batch given to another shard that is open here': {
    part: 'shards',
    file: SHARDED,
    find: '    if (open !== undefined) return open;',
    replace:
      '    for (const one of open ? [shard] : this.openShards) return this.#shards.get(one)!;',
  },
  'a conflict of the shard map treated as a replacement': {
    part: 'shards',
    file: 'src/replicated/shards/shard-map-keeper.ts',
    find: "      return result === 'replaced' || found === nonce;",
    replace: '      return result !== undefined || found === nonce;',
  },
  'a shard that has moved away stays open': {
    part: 'shards',
    file: NODE_SHARDS,
    find: '      this.#shards.delete(shard);\n      await open?.store.close();\n      return;',
    replace: '      return;',
  },
  'elections undo a move': {
    part: 'shards',
    file: 'src/replicated/shards/open-shard.ts',
    find: '  const isDone = entry.wanted === address && elector?.isElected !== false;',
    replace: '  const isDone = entry.wanted === address;',
    also: {
      file: 'src/replicated/shards/yielding-elector.ts',
      find: '    return wanted !== undefined && this.#polls < PATIENCE_POLLS;',
      replace: '    return wanted !== undefined && this.#polls < 0;',
    },
  },
  'the node that a shard moves to does not take over': {
    part: 'shards',
    file: NODE_SHARDS,
    find: "    if (isWanted && store.role === 'replica') this.#promote(shard, store);",
    replace: "    if (isWanted && store.role === 'primary') this.#promote(shard, store);",
  },
  'a merged iterator that reads one shard after the other': {
    part: 'shards',
    file: 'src/replicated/shards/merged-entries.ts',
    find: '          (reverse ? head.value[0] > best.value[0] : head.value[0] < best.value[0]);',
    replace: '          false;',
  },
  'a range judged by its lowest key': {
    file: 'src/replicated/shards/batch-shard.ts',
    find: '      const own = isRangeRow(view, offset)',
    replace: '      const own = isRangeRow(view, offset) && offset < 0',
    test: 'test/replicated/sharded-store.test.ts',
  },
  'a failed restore leaves its generation': {
    file: FILES,
    find: '      if (stale !== undefined) await this.#generations.remove(stale).catch(() => undefined);',
    replace: '',
    test: 'test/replicated/rebuild.test.ts',
  },
  'a directory filled without its lock': {
    file: FILES,
    find: '    await this.#lock();\n',
    replace: '    if (signal.aborted) await this.#lock();\n',
    test: 'test/replicated/rebuild.test.ts',
  },
  'unfinished generations kept': {
    file: 'src/replicated/node/generations.ts',
    find: '      if (!isKept) await this.remove(path).catch(() => undefined);',
    replace: '      if (!isKept && number < 0) await this.remove(path);',
    test: 'test/replicated/rebuild.test.ts',
  },
  'checkpoints of another log removed': {
    file: 'src/replicated/checkpoint/checkpoints.ts',
    find: '      if (!equalBytes(found, logId)) throw ofOtherLog(name);',
    replace: '      if (found.length !== logId.length) throw ofOtherLog(name);',
    test: 'test/replicated/checkpoints.test.ts',
  },
  'objects of another node removed when no checkpoint uses them': {
    file: 'src/replicated/checkpoint/object-owners.ts',
    find: '      if (now - sinceMs >= IDLE_MS) idle.push(...names);',
    replace: '      if (now >= sinceMs) idle.push(...names);',
    test: 'test/replicated/checkpoints.test.ts',
  },
  'an upload relies on objects that no checkpoint uses': {
    file: 'src/replicated/checkpoint/object-owners.ts',
    find: '  return `${hexOf(nodeId)}-${hexOf(nonce)}`;',
    replace: "  return `${hexOf(nodeId)}-${hexOf(nonce).replace(/./g, '0')}`;",
    test: 'test/replicated/checkpoints.test.ts',
  },
  'a file of a manifest written anywhere': {
    file: 'src/replicated/checkpoint/checkpoint-manifest.ts',
    find: 'isText(file.name, FILE_NAME)',
    replace: 'isText(file.name, /./)',
    test: 'test/replicated/checkpoints.test.ts',
  },
  'a shard map of an engine that was restored ignored after a conflict': {
    file: 'src/replicated/shards/shard-map-keeper.ts',
    find: "await this.#read(result === 'replaced');",
    replace: 'await this.#read();',
    test: 'test/replicated/shard-map-keeper.test.ts',
  },
  'shards that wait for their engine keep others from being opened': {
    file: 'src/replicated/shards/open-shard.ts',
    find: '      } finally {\n        leave();\n      }',
    replace: '      } finally {\n        // Not yet.\n      }',
    test: 'test/replicated/shards-opening.test.ts',
  },
  'a node that the map does not want any more takes over': {
    file: NODE,
    find: '    if (isWanted?.() === false) return undefined;\n',
    replace: '',
    test: 'test/replicated/shards-opening.test.ts',
  },
  'a shard elected before the program has the store': {
    file: 'src/replicated/shards/yielding-elector.ts',
    find: '    await begun.wait(signal);\n',
    replace: '',
    test: 'test/replicated/yielding-elector.test.ts',
  },
  'a checkpoint of lost entries restored behind a repair': {
    file: FILES,
    find: '        if (manifest.place.epoch < least.epoch) continue;\n',
    replace: '',
    test: 'test/replicated/unfinished-repair.test.ts',
  },
};
