import type { CrashFs, CrashStates } from '../../src/testing/index.ts';
import type { Demand } from './model.ts';

/** A point at which the machine may stop, with what is demanded of what is left. */
export type StopPoint =
  /** A power failure: any of these. */
  | {
      readonly kind: 'states';
      readonly at: string;
      readonly states: CrashStates;
      readonly machine: CrashFs;
      readonly demand: Demand;
    }
  /**
   * One power failure, the worst; or a kill, after which everything visible is as volatile as
   * before.
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
      /** Of a loss of power that follows the kill. */
      readonly demand: Demand;
      readonly killDemand: Demand;
    };
