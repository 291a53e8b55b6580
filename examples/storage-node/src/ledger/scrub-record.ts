import { ByteReader, ByteWriter } from './byte-writer.ts';
import { keyOf } from './keys.ts';

/** How far the scrubber is, so that a restart does not begin its pass anew. */
export interface ScrubState {
  /** Volumes below this number were read in the pass that is under way; 0: none is. */
  readonly nextVolume: number;
  /** When a pass was last completed; 0: never. */
  readonly finishedMs: number;
}

export const SCRUB_KEY: bigint = keyOf('node', 3);

export function encodeScrubState({ nextVolume, finishedMs }: ScrubState): Buffer {
  return new ByteWriter(16).number(nextVolume).number(finishedMs).end();
}

export function decodeScrubState(data: Uint8Array | undefined): ScrubState {
  if (data === undefined) return { nextVolume: 0, finishedMs: 0 };
  const reader = new ByteReader(data);
  return { nextVolume: reader.number(), finishedMs: reader.number() };
}
