import { checkSignal } from '../../base/abort.ts';
import { requireKnownFields, requireMethod, type FieldsOf } from '../../base/fields.ts';
import { MAX_TIMER_MS } from '../../base/limits.ts';
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts';
import type { Elector } from '../log/elector.ts';
import type { SharedLog } from '../log/shared-log.ts';
import type { ReplicaStoreOptions } from '../node/replicated-options.ts';
import { MAX_SHARDS, newShardMap, type ShardMap, type ShardRouting } from './shard-map.ts';
import { largestMapBytes } from './shard-map-format.ts';
import { MAX_SHARD_MAP_BYTES, type ShardMapStore } from './shard-map-store.ts';

/** The replication of one shard. */
export interface ShardEngine {
  readonly log: SharedLog;
  readonly checkpoints?: CheckpointStore | undefined;
  readonly elector?: Elector | undefined;
}

/** Options of `ShardedStore.open`. */
export interface ShardedOptions {
  /** The store of the shard map. Closed with the sharded store. */
  readonly map: ShardMapStore;
  /** Connects one shard to its own shared log. Called when this node opens the shard. */
  readonly connect: (shard: number) => ShardEngine | Promise<ShardEngine>;
  /** The address of this node in the map, where clients reach it. */
  readonly address: string;
  /** The map to create if none exists; an existing map is not changed. */
  readonly create?: {
    /** 1 to 1,024. Default 64. With `range`, the number of starts. */
    readonly shards?: number;
    /** Default: by hash. */
    readonly routing?: ShardRouting;
    /** Addresses of the nodes that have the shards. */
    readonly nodes: readonly string[];
    /** Number of nodes that have each shard. Default 3, or all nodes if there are fewer. */
    readonly copies?: number;
  };
  /** Milliseconds between reads of the map. Default 1,000. */
  readonly refreshMs?: number;
  /** Number of threads for the merges of all shards together. Default 2. */
  readonly mergeThreads?: number;
  /**
   * As `ReplicatedOptions.commitTimeoutMs`, for each shard. `open` does not wait longer for them.
   * Default 10,000.
   */
  readonly commitTimeoutMs?: number;
  /** As `ReplicatedOptions.checkpointEveryMs`, for each shard. */
  readonly checkpointEveryMs?: number;
  /** Options of each shard's local store. */
  readonly store?: Omit<ReplicaStoreOptions, 'threads' | 'onProgress'>;
  /** Aborts the open. */
  readonly signal?: AbortSignal;
}

const SHARDED_FIELDS: FieldsOf<ShardedOptions> = {
  map: true,
  connect: true,
  address: true,
  create: true,
  refreshMs: true,
  mergeThreads: true,
  commitTimeoutMs: true,
  checkpointEveryMs: true,
  store: true,
  signal: true,
};

export const DEFAULT_REFRESH_MS = 1_000;
/** Milliseconds for which an open waits for its shards. */
export const DEFAULT_OPEN_MS = 10_000;
const DEFAULT_SHARDS = 64;
const DEFAULT_COPIES = 3;

/** Throws a TypeError or RangeError that names the option. */
export function checkSharded(options: ShardedOptions): void {
  requireKnownFields(options, SHARDED_FIELDS, 'options');
  const { map, address, connect, create } = options;
  const { refreshMs = 1, mergeThreads = 1, commitTimeoutMs = 1 } = options;
  requireMethod(map, 'replace', { name: 'options.map', kind: 'a ShardMapStore' });
  if (typeof connect !== 'function') throw new TypeError('options.connect must be a function');
  if (typeof address !== 'string' || address === '') {
    throw new TypeError('options.address must be a string that is not empty');
  }
  checkSignal(options.signal);
  requireInteger('refreshMs', refreshMs, MAX_TIMER_MS);
  requireInteger('mergeThreads', mergeThreads, 1_024);
  requireInteger('commitTimeoutMs', commitTimeoutMs, MAX_TIMER_MS);
  if (create !== undefined) requireAddresses(create.nodes);
}

function requireAddresses(nodes: unknown): void {
  const isList = Array.isArray(nodes) && nodes.every((node) => typeof node === 'string');
  if (!isList) throw new TypeError('options.create.nodes must be an array of strings');
  if (nodes.length === 0 || nodes.includes('')) {
    throw new RangeError('options.create.nodes must not be empty, nor may an address be');
  }
}

function requireInteger(name: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  throw new RangeError(`options.${name} must be an integer from 1 to ${max}`);
}

/** The map that `options.create` describes. */
export function mapToCreate({ create }: ShardedOptions): ShardMap {
  if (create === undefined) {
    throw new TypeError('there is no shard map; options.create says how to create one');
  }
  const { routing = { kind: 'hash' }, nodes, copies = DEFAULT_COPIES } = create;
  const count = routing.kind === 'range' ? routing.starts.length : DEFAULT_SHARDS;
  const { shards = count } = create;
  requireInteger('create.shards', shards, MAX_SHARDS);
  requireInteger('create.copies', copies, MAX_SHARDS);
  if (routing.kind === 'range') {
    const isAscending = routing.starts.every((start, i) =>
      i === 0 ? start === 0n : start > routing.starts[i - 1]!,
    );
    if (shards !== routing.starts.length || !isAscending) {
      throw new RangeError('options.create.routing.starts must ascend from 0, one for each shard');
    }
  }
  const map = newShardMap(routing, shards, nodes, copies);
  const mostBytes = largestMapBytes(map);
  if (mostBytes <= MAX_SHARD_MAP_BYTES) return map;
  const most = `an engine takes at most ${MAX_SHARD_MAP_BYTES}`;
  const remedy = 'use fewer shards or copies, or shorter addresses';
  throw new RangeError(
    `options.create describes a map of up to ${mostBytes} bytes, and ${most}: ${remedy}`,
  );
}
