import type { StoreEvents } from '../../store/observe/store-events.ts';

/** Events of the local store that a replicated store passes on. */
export const PASSED_ON = [
  'rotated',
  'mergeStarted',
  'merged',
  'mergeFailed',
  'slowSync',
  'lowSpace',
  'spaceRecovered',
  'threadsUnavailable',
  'poisoned',
  'warmed',
  'damaged',
] as const satisfies readonly (keyof StoreEvents)[];
