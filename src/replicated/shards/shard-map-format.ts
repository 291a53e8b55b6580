import { UnfitEngineError } from '../log/log-errors.ts';
import type { ShardEntry, ShardMap, ShardRouting } from './shard-map.ts';

const FORMAT = 2;
const OLD_FORMAT = 1;

/** In place of the index of a node: no node. */
const NONE = -1;

/** A shard, with the indexes of nodes in place of their addresses. */
type EncodedEntry = readonly [
  primary: number,
  epoch: string,
  wanted: number,
  replicas: readonly number[],
];

interface EncodedMap {
  readonly format: number;
  readonly nonce: string;
  readonly routing: { readonly kind: 'hash' | 'range'; readonly starts?: readonly string[] };
  readonly nodes: readonly string[];
  readonly shards: readonly EncodedEntry[];
}

/** A map of format 1, which has the addresses in each shard. */
interface OldMap extends Omit<EncodedMap, 'nodes' | 'shards'> {
  readonly shards: readonly (Omit<ShardEntry, 'epoch'> & { readonly epoch: string })[];
}

/** docs/FORMAT.md specifies the bytes. */
export function encodeShardMap({ routing, shards }: ShardMap, nonce: string): Uint8Array {
  const indexes = new Map<string, number>();
  const indexOf = (address: string | undefined): number => {
    if (address === undefined) return NONE;
    const known = indexes.get(address);
    if (known !== undefined) return known;
    indexes.set(address, indexes.size);
    return indexes.size - 1;
  };
  const entries = shards.map(({ primary, epoch, wanted, replicas }): EncodedEntry => [
    indexOf(primary),
    String(epoch),
    indexOf(wanted),
    replicas.map(indexOf),
  ]);
  const { kind } = routing;
  const encoded: EncodedMap = {
    format: FORMAT,
    nonce,
    routing: routing.kind === 'hash' ? { kind } : { kind, starts: routing.starts.map(String) },
    nodes: [...indexes.keys()],
    shards: entries,
  };
  return new TextEncoder().encode(JSON.stringify(encoded));
}

export interface DecodedShardMap {
  readonly map: ShardMap;
  /** Nonce of the write that created it: tells whether a replacement without an answer was ours. */
  readonly nonce: string;
}

/** @throws UnfitEngineError if another version, or another program, has written the map */
export function decodeShardMap(bytes: Uint8Array): DecodedShardMap {
  const raw = JSON.parse(new TextDecoder().decode(bytes)) as EncodedMap | OldMap;
  const { format, nonce } = raw;
  if (format !== FORMAT && format !== OLD_FORMAT) {
    const message = `the shard map has format ${format}, not ${OLD_FORMAT} or ${FORMAT}`;
    throw new UnfitEngineError('shard map', message);
  }
  const { kind, starts = [] } = raw.routing;
  const routing: ShardRouting = kind === 'hash' ? { kind } : { kind, starts: starts.map(BigInt) };
  const shards = 'nodes' in raw ? decodeEntries(raw) : decodeOldEntries(raw);
  return { map: { routing, shards }, nonce };
}

function decodeEntries({ nodes, shards }: EncodedMap): ShardEntry[] {
  return shards.map(([primary, epoch, wanted, replicas]) => ({
    primary: nodes[primary],
    epoch: BigInt(epoch),
    replicas: replicas.map((index) => nodes[index]!),
    wanted: nodes[wanted],
  }));
}

function decodeOldEntries({ shards }: OldMap): ShardEntry[] {
  return shards.map(({ primary, epoch, replicas, wanted }) => {
    return { primary, epoch: BigInt(epoch), replicas, wanted };
  });
}

const MANY_EPOCHS = 999_999_999n;

/** Bytes that a map may take while each of its shards moves to a node that did not have it. */
export function largestMapBytes(map: ShardMap): number {
  const addresses = map.shards.flatMap(({ replicas }) => replicas);
  const longest = addresses.reduce((one, other) => (other.length > one.length ? other : one), '');
  const to = `${longest}+`;
  const shards = map.shards.map(({ replicas }): ShardEntry => {
    return { primary: to, epoch: MANY_EPOCHS, replicas: [...replicas, to], wanted: to };
  });
  return encodeShardMap({ ...map, shards }, 'f'.repeat(24)).length;
}
