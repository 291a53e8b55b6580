import { sha256Hex } from './checkpoint-manifest.ts';

export const OBJECT_PREFIX = 'objects/';

const HOUR_MS: number = 60 * 60 * 1000;

/** A new owner may be uploaded to for this long without a checkpoint that uses it. */
export const FRESH_MS: number = 12 * HOUR_MS;

/** Objects of another node that nothing has used or changed for this long are removed. */
export const IDLE_MS: number = 24 * HOUR_MS;

/** The node that writes a checkpoint. */
export interface CheckpointWriter {
  readonly nodeId: Uint8Array;
  /** Random: the name of the writer's next owner. */
  readonly nonce: Uint8Array;
}

/** The owner in an object's name; undefined if it is not such a name. */
export function ownerOf(object: string): string | undefined {
  if (!object.startsWith(OBJECT_PREFIX)) return undefined;
  const end = object.indexOf('/', OBJECT_PREFIX.length);
  return end === -1 ? undefined : object.slice(OBJECT_PREFIX.length, end);
}

export function newOwner({ nodeId, nonce }: CheckpointWriter): string {
  return `${hexOf(nodeId)}-${hexOf(nonce)}`;
}

export function isOwnerOf(nodeId: Uint8Array, owner: string): boolean {
  return owner.startsWith(`${hexOf(nodeId)}-`);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/**
 * Finds owners that no node uploads to any more: those of nodes that are gone, and of directories
 * that were filled again, with another id.
 *
 * A node uploads to an owner only if one of the kept checkpoints uses it when the upload begins, or
 * if the owner is newer than `FRESH_MS`. So nothing is uploaded any more to an owner that no kept
 * checkpoint uses, and whose objects are the same for `IDLE_MS`, unless one upload takes as long.
 * The times are of one process. The clocks of machines are not compared.
 */
export class IdleOwners {
  readonly #nowMs: () => number;
  #seen: ReadonlyMap<string, { readonly digest: string; readonly sinceMs: number }> = new Map();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * Takes the objects of all owners that no kept checkpoint uses. Returns those of owners that are
   * idle.
   */
  take(unused: ReadonlyMap<string, readonly string[]>): string[] {
    const now = this.#nowMs();
    const seen = new Map<string, { readonly digest: string; readonly sinceMs: number }>();
    const idle: string[] = [];
    for (const [owner, names] of unused) {
      const digest = sha256Hex(new TextEncoder().encode(names.toSorted().join('\n')));
      const before = this.#seen.get(owner);
      const sinceMs = before?.digest === digest ? before.sinceMs : now;
      if (now - sinceMs >= IDLE_MS) idle.push(...names);
      seen.set(owner, { digest, sinceMs });
    }
    this.#seen = seen;
    return idle;
  }
}
