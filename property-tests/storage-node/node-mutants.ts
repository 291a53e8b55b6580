import type { Mutant } from '../campaign/mutant.ts';

/** Mistakes in the storage node. */
export const NODE_MUTANTS: Readonly<Record<string, Mutant>> = {
  'the node publishes an object before its record is synced': {
    file: 'examples/storage-node/src/volumes/group-writer.ts',
    find: '      await file.dataSync();\n    } catch (error) {\n      throw await this.#abandon(error);',
    replace: '      void 0;\n    } catch (error) {\n      throw await this.#abandon(error);',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'the name of a new volume is not synced': {
    file: 'examples/storage-node/src/volumes/volume-set.ts',
    find: '      await file.dataSync();\n      await this.files.syncDirectory(this.directory);',
    replace: '      await file.dataSync();',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'compaction refers to its copy although the object was replaced': {
    file: 'examples/storage-node/src/objects/object-table.ts',
    find: '    if (value === handle) return key;',
    replace: '    return key;',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'a volume removed before its copies are published': {
    file: 'examples/storage-node/src/upkeep/compactor.ts',
    find: '        const moved = await parts.publisher.submit(',
    replace:
      '        await parts.volumes.removeFile(volume.number);\n        const moved = await parts.publisher.submit(',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'a fold forgets deltas that arrived while it was written': {
    file: 'examples/storage-node/src/names/fold-queue.ts',
    find: 'late.filter(({ number }) => number > last)',
    replace: 'late.filter(({ number }) => number < last)',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'compaction in steps frees what is not copied yet': {
    file: 'examples/storage-node/src/upkeep/compactor.ts',
    find: '      if (outbox.records.length > 0) await send();\n      if (volume.damage',
    replace: '      if (outbox.records.length > 0) void send();\n      if (volume.damage',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'a volume may be as long as the disk': {
    file: 'examples/storage-node/src/objects/writers.ts',
    find: 'Math.min(volumeBytes, this.#shareBytes())',
    replace: 'Math.max(volumeBytes, this.#shareBytes() / 1e9)',
    test: 'test/storage-node/full-disk.test.ts',
  },
  'a replaced object still counted as live': {
    file: 'examples/storage-node/src/objects/publication.ts',
    find: '      else this.buryBody(turn, found, old);',
    replace: '      else if (old.sizeBytes < 0) this.buryBody(turn, found, old);',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'a full disk is not told to give its reserve up': {
    file: 'examples/storage-node/src/ledger/publisher.ts',
    find: '      const isFreed = (await this.#events.onFull?.()) === true;',
    replace: '      const isFreed = false;',
    test: 'test/storage-node/reserve-file.test.ts',
  },
  'bodies are taken while the reserve is given up': {
    file: 'examples/storage-node/src/objects/space-gauge.ts',
    find: 'if (reserveFile.isWhole && this.freeBytes - bytes >= reserveBytes) return;',
    replace: 'if (this.freeBytes - bytes >= reserveBytes) return;',
    test: 'test/storage-node/reserve-file.test.ts',
  },
  'a cache gives up more volumes than it has to': {
    file: 'examples/storage-node/src/upkeep/upkeep.ts',
    find: '      await this.#unread();\n      await space.look();',
    replace: '',
    also: {
      file: 'examples/storage-node/src/upkeep/evictor.ts',
      find: "if (volume.state === 'retired') bytes",
      replace: "if (volume.state === 'creating') bytes",
    },
    test: 'test/storage-node/bucket-policies.test.ts',
  },
  'after a rebuild, records are looked for under the hash of before': {
    file: 'examples/storage-node/src/upkeep/liveness.ts',
    find: 'if (header.sequence >= identity.hashedSince)',
    replace: 'if (header.sequence >= 0)',
    test: 'test/storage-node/rebuild.test.ts',
  },
  'a running node takes commands from anybody': {
    file: 'examples/storage-node/src/control/control-server.ts',
    find: 'return given.length === expected.length && timingSafeEqual(given, expected);',
    replace: 'return given.length !== expected.length + 1_000;',
    test: 'test/storage-node/cli.test.ts',
  },
  'a descriptor is closed while somebody reads by it': {
    file: 'examples/storage-node/src/volumes/file-cache.ts',
    find: '    if (entry.users === 0) await closeEntry(entry);',
    replace: '    await closeEntry(entry);',
    test: 'test/storage-node/file-cache.test.ts',
  },
  'a full queue lets everybody wait': {
    file: 'examples/storage-node/src/volumes/byte-budget.ts',
    find: 'if (mayRefuse && this.#line.length >= this.#options.maxWaiting) {',
    replace: 'if (mayRefuse && this.#line.length > 1_000_000) {',
    test: 'test/storage-node/busy.test.ts',
  },
  'a volume removed while it is read': {
    file: 'examples/storage-node/src/volumes/volume-set.ts',
    find: '    await volume.released();\n    await this.#cache.drop',
    replace: '    await this.#cache.drop',
    test: 'test/storage-node/upkeep.test.ts',
  },
  'a bucket counts a replacement as a new object': {
    file: 'examples/storage-node/src/objects/publication.ts',
    find: 'turn.count(bucket, 0, object.sizeBytes - old.sizeBytes);',
    replace: 'turn.count(bucket, 1, object.sizeBytes - old.sizeBytes);',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'extents of a deleted object stay live': {
    file: 'examples/storage-node/src/objects/publication.ts',
    find: '    for (const { serial, count } of decodeContent(content.data)) {\n      this.buryExtents',
    replace:
      '    for (const { serial, count } of decodeContent(content.data).slice(1)) {\n      this.buryExtents',
    test: 'property-tests/storage-node/crash.test.ts',
  },
  'a node whose metadata directory is removed does not fail': {
    file: 'examples/storage-node/src/opening.ts',
    find: "  store.once('poisoned', (error) => publisher.fail(error));\n",
    replace: '',
    test: 'test/storage-node/rebuild.test.ts',
  },
  'a removed access key is valid until the node is started again': {
    file: 'examples/storage-node/src/cli/key-ring.ts',
    find: '    await writeKeys(this.#directory, keys);\n    this.#apply(keys);',
    replace: '    await writeKeys(this.#directory, keys);',
    test: 'test/storage-node/cli.test.ts',
  },
  'a signing key outlives a change of its secret': {
    file: 'examples/storage-node/src/s3/auth/access-keys.ts',
    find: '    this.#derived.clear();\n',
    replace: '',
    test: 'test/storage-node/cli.test.ts',
  },
  'a compressed block is decompressed before its checksum is compared': {
    file: 'examples/storage-node/src/volumes/stored-body.ts',
    find: '  if (!table.isSound(block, stored)) return undefined;\n',
    replace:
      '  if (!table.isCompressed(block) && !table.isSound(block, stored)) return undefined;\n',
    test: 'property-tests/storage-node/compressed.test.ts',
  },
  'a table of blocks that is off by one is accepted': {
    file: 'examples/storage-node/src/volumes/block-table.ts',
    find: 'return end === bodyBytes ?',
    replace: 'return Math.abs(end - bodyBytes) <= 1 ?',
    test: 'test/storage-node/block-table.test.ts',
  },
  'a frame with more or less content than its block is accepted': {
    file: 'examples/storage-node/src/volumes/zstd.ts',
    find: 'return length === contentBytes ? content : undefined;',
    replace: 'return length >= 0 ? content : undefined;',
    test: 'test/storage-node/block-table.test.ts',
  },
  'compaction forgets that a record is compressed': {
    file: 'examples/storage-node/src/upkeep/outbox.ts',
    find: '    this.#bytes.set(record.bytes, from);\n',
    replace: '    this.#bytes.set(record.bytes, from);\n    this.#bytes[from + 9]! &= 1;\n',
    test: 'test/storage-node/compression.test.ts',
  },
  'a rebuild forgets that an extent is compressed': {
    file: 'examples/storage-node/src/rebuild/rebuild-index.ts',
    find: 'encodeExtent(extent!)',
    replace: 'encodeExtent({ ...extent!, flags: 0 })',
    test: 'test/storage-node/compression.test.ts',
  },
  'a volume of version 1 gets compressed records': {
    file: 'examples/storage-node/src/volumes/group-writer.ts',
    find: 'const mayHold = current.version >= version;',
    replace: 'const mayHold = current.version <= version;',
    test: 'test/storage-node/compression.test.ts',
  },
  'a record with unknown flags is read': {
    file: 'examples/storage-node/src/volumes/record.ts',
    find: 'if (kind === undefined || !KNOWN_FLAGS.includes(flags)) return undefined;',
    replace: 'if (kind === undefined) return undefined;',
    test: 'test/storage-node/block-table.test.ts',
  },
  'a range of an object counts stored bytes': {
    file: 'examples/storage-node/src/objects/stored-object-reader.ts',
    find: '        const end = start + stretch.sizeBytes;',
    replace: '        const end = start + stretch.bodyBytes;',
    test: 'test/storage-node/compression.test.ts',
  },
  'a compressed extent gives back only its stored bytes to the queue': {
    file: 'examples/storage-node/src/objects/body-writer.ts',
    find: '      budget.give(sizeBytes);\n',
    replace: '      budget.give(this.#extents[index]?.entry.bodyBytes ?? sizeBytes);\n',
    test: 'test/storage-node/compression.test.ts',
  },
  'an index record names a deferred object before its bytes are written': {
    file: 'examples/storage-node/src/volumes/group-writer.ts',
    find: '    await this.#put(file, sources, start);',
    replace: '    void this.#put(file, sources, start).catch(() => undefined);',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'a failed write of the write buffer counts as written': {
    file: 'examples/storage-node/src/objects/bucket-buffer.ts',
    find: '      this.#events.onFailed(this, error);\n      throw error;',
    replace: '      this.#events.onFailed(this, error);',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'a GET does not look into the write buffer': {
    file: 'examples/storage-node/src/storage-node.ts',
    find: 'return this.#pending(bucket, name)?.reader() ?? this.#finder.open(bucket, name);',
    replace: 'return this.#finder.open(bucket, name);',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'of two PUTs of a name in the write buffer, the first wins': {
    file: 'examples/storage-node/src/objects/bucket-buffer.ts',
    find: '    segment.puts.set(name, put);',
    replace: '    segment.puts.set(name, replaced ?? put);',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'the write buffer writes its newest segment first': {
    file: 'examples/storage-node/src/objects/bucket-buffer.ts',
    find: '    const oldest = this.#segments[0]!;',
    replace: '    const oldest = this.#segments.at(-1)!;',
    also: {
      file: 'examples/storage-node/src/objects/bucket-buffer.ts',
      find: '    this.#segments.shift();',
      replace: '    this.#segments.splice(this.#segments.indexOf(oldest), 1);',
    },
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'a segment of the write buffer is published one object at a time, backwards': {
    file: 'examples/storage-node/src/objects/write-buffer.ts',
    find: '      await publisher.submit((turn) => {\n        buckets.check(bucket);\n        for (const put of puts) this.#publication.put(turn, objectOf(put));\n      });',
    replace:
      '      for (const put of puts.toReversed()) {\n        await publisher.submit((turn) => this.#publication.put(turn, objectOf(put)), { alone: true });\n      }',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'a synced call on a deferred bucket does not wait for the write buffer': {
    file: 'examples/storage-node/src/objects/write-buffer.ts',
    find: '      await this.#flushBefore(buffer, name, onFull);\n      return await change();',
    replace: '      return await change();',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'a write buffer is forgotten when the node is closed': {
    file: 'examples/storage-node/src/objects/write-buffer.ts',
    find: '    await this.#background;\n    await this.flush();',
    replace: '    await this.#background;',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'a listing has not what is in the write buffer': {
    file: 'examples/storage-node/src/storage-node.ts',
    find: '    const pending = this.#buffer.namesOf(bucket);',
    replace: '    const pending: string[] = [];',
    test: 'property-tests/storage-node/deferred.test.ts',
  },
  'a PUT of a name that is being deleted goes into the write buffer': {
    file: 'examples/storage-node/src/objects/write-buffer.ts',
    find: '      if (buffer.isHeld(target.name)) {',
    replace: '      if (buffer.isHeld(target.name) && target.name.length === 0) {',
    test: 'test/storage-node/write-buffer.test.ts',
  },
  'a write buffer that cannot be written takes PUTs': {
    file: 'examples/storage-node/src/objects/write-buffer.ts',
    find: '    if (buffer?.failure !== undefined) throw refusalOf(buffer, buffer.failure);',
    replace:
      '    if (buffer?.failure?.message === bucket.name) throw refusalOf(buffer, buffer.failure);',
    test: 'test/storage-node/write-buffer.test.ts',
  },
  'a bucket of a later version is opened': {
    file: 'examples/storage-node/src/ledger/bucket-record.ts',
    find: '(options & ~KNOWN_OPTIONS) !== 0',
    replace: '(options & ~0xff) !== 0',
    test: 'test/storage-node/bucket-record.test.ts',
  },
};
