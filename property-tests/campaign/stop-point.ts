import type { CrashFs, CrashStates } from '../../src/testing/index.ts';
import type { Demand } from './model.ts';

/** A point at which the machine may stop, with the demand on what remains. */
export type StopPoint =
  /** A power failure with any of these states. */
  | {
      readonly kind: 'states';
      readonly at: string;
      readonly states: CrashStates;
      readonly machine: CrashFs;
      readonly demand: Demand;
    }
  /**
   * One state: the worst power failure, or a kill, after which everything visible stays volatile.
   */
  | {
      readonly kind: 'minimal';
      readonly at: string;
      readonly machine: CrashFs;
      readonly demand: Demand;
    }
  | {
      readonly kind: 'killed';
      readonly at: string;
      readonly machine: CrashFs;
      /** The demand after a power failure that follows the kill. */
      readonly demand: Demand;
      readonly killDemand: Demand;
    };
