import type { StoreEvents } from '../../store/observe/store-events.ts';

type PassedOn = Extract<
  keyof StoreEvents,
  | 'rotated'
  | 'mergeStarted'
  | 'merged'
  | 'mergeFailed'
  | 'slowSync'
  | 'lowSpace'
  | 'spaceRecovered'
  | 'threadsUnavailable'
  | 'poisoned'
  | 'warmed'
  | 'damaged'
>;

/** Events of the local store that a replicated store passes on. */
export const PASSED_ON: readonly PassedOn[] = [
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
];
