import { Content } from './content.ts';
import { applyData, endedBefore, isTrim } from './effect.ts';
import type { DataEffect, WriteEffect } from './effect.ts';
import { Holes } from './holes.ts';

/**
 * A file without its name: its visible bytes, its durable bytes, and the pending effects between
 * them.
 */
export class FileInode {
  readonly id: number;
  /** The directory of the first name. Renames stay within one directory, so this never changes. */
  readonly directoryId: number;
  /** What reads return. */
  readonly live: Content;
  /** What every crash keeps; `effects` apply on top. */
  durable: Content;
  /**
   * In order of their start. A durable effect stays in the list while an earlier one is not
   * durable, because later effects overwrite earlier ones.
   */
  effects: DataEffect[] = [];
  /** Blocks that take no space, in the running system. */
  holes: Holes = new Holes();
  /** The number of live names. */
  linkCount = 1;
  openCount = 0;

  constructor(id: number, directoryId: number, durable: Content, live: Content = durable.share()) {
    this.id = id;
    this.directoryId = directoryId;
    this.durable = durable;
    this.live = live;
  }

  /** An independent copy with the same effects and no open handles. */
  clone(): FileInode {
    const copy = new FileInode(this.id, this.directoryId, this.durable.share(), this.live.share());
    copy.effects = this.effects.map((effect) => ({ ...effect }));
    copy.holes = this.holes.clone();
    copy.linkCount = this.linkCount;
    return copy;
  }

  /** Bytes that count towards the capacity of the disk. */
  get usedBytes(): number {
    return this.live.sizeBytes - this.holes.sizeBytes;
  }

  /** W1: visible at once, pending. */
  write(bytes: Uint8Array, position: number, startTick: number): WriteEffect {
    const endBytes = position + bytes.length;
    const effect: WriteEffect = {
      kind: 'write',
      status: 'pending',
      startTick,
      endTick: Infinity,
      startBytes: position,
      endBytes,
      bytes: bytes.slice(),
      sizeBytes: endBytes,
      changesSize: endBytes > this.live.sizeBytes,
    };
    this.effects.push(effect);
    this.live.write(effect.bytes, position);
    this.holes.fill(position, endBytes);
    return effect;
  }

  /**
   * W3: zeros up to the end of the file at most; whole blocks take no space any more. Undefined if
   * the whole range is after the end.
   */
  trim(position: number, lengthBytes: number, startTick: number): WriteEffect | undefined {
    const endBytes = Math.min(position + lengthBytes, this.live.sizeBytes);
    if (endBytes <= position) return undefined;
    const effect: WriteEffect = {
      kind: 'write',
      status: 'pending',
      startTick,
      endTick: Infinity,
      startBytes: position,
      endBytes,
      bytes: new Uint8Array(endBytes - position),
      sizeBytes: -1,
      // The model has no blocks: it does not know whether one was freed.
      changesSize: false,
    };
    this.effects.push(effect);
    this.live.write(effect.bytes, position);
    this.holes.punch(position, endBytes);
    return effect;
  }

  /** W2: visible at once, pending. */
  truncate(sizeBytes: number, startTick: number): DataEffect {
    const effect: DataEffect = {
      kind: 'truncate',
      status: 'pending',
      startTick,
      endTick: Infinity,
      sizeBytes,
      changesSize: sizeBytes !== this.live.sizeBytes,
    };
    this.effects.push(effect);
    this.live.truncate(sizeBytes);
    this.holes.cut(sizeBytes);
    return effect;
  }

  /** S1: the pending effects that a sync started at `startTick` covers. */
  coveredBy(startTick: number): DataEffect[] {
    return this.effects.filter(
      (effect) => effect.status === 'pending' && endedBefore(effect, startTick),
    );
  }

  /**
   * Makes `effects` durable. Folds effects that no longer depend on an earlier one into the base.
   */
  makeDurable(effects: readonly DataEffect[]): void {
    for (const effect of effects) effect.status = 'durable';
    for (const effect of effects) {
      if (effect.kind === 'write' && !isTrim(effect)) this.#dropSuperseded(effect);
    }
    let folded = 0;
    while (this.effects[folded]?.status === 'durable') {
      applyData(this.effects[folded]!, this.durable);
      folded++;
    }
    if (folded > 0) this.effects.splice(0, folded);
  }

  /** F1: a failed sync dropped these pages. With `revert`, readers lose them at once, too. */
  doom(effects: readonly DataEffect[], revert: boolean): void {
    for (const effect of effects) effect.status = 'doomed';
    if (!revert) return;
    this.live.truncate(0);
    this.live.write(this.durable.bytes, 0);
    for (const effect of this.effects) {
      if (effect.status !== 'doomed') applyData(effect, this.live);
    }
  }

  /** Damage at rest: overwrites durable and visible bytes. The size does not change. */
  damage(position: number, bytes: Uint8Array): void {
    for (const content of [this.durable, this.live]) {
      const room = Math.max(0, content.sizeBytes - position);
      content.write(bytes.subarray(0, room), position);
    }
  }

  /**
   * A durable write covers these effects wholly: whether they reached the disk has no influence.
   */
  #dropSuperseded(by: WriteEffect): void {
    const position = this.effects.indexOf(by);
    this.effects = this.effects.filter(
      (effect, index) =>
        index >= position ||
        effect.kind !== 'write' ||
        effect.status === 'durable' ||
        effect.startBytes < by.startBytes ||
        effect.endBytes > by.endBytes,
    );
  }
}
