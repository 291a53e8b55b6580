import type { StoreError } from '../../base/errors.ts';
import type { CommitHost, OpenReplica } from './open-replica.ts';

/**
 * - `replica`: reads the log.
 * - `candidate`: reads the log and tries to take over.
 * - `primary`: only its appends succeed, until another node takes over.
 */
export type ReplicaRole = 'replica' | 'candidate' | 'primary';

/** The time limits of a node. */
export interface ReplicaTimes {
  readonly commitTimeoutMs: number;
  readonly lostAfterMs: number;
  readonly pollMs: number;
}

/** The replicated store that the node belongs to. */
export interface ReplicaHost {
  /** Opens a new generation from the newest checkpoint, for a store behind the start of the log. */
  readonly rebuild: (
    host: CommitHost,
    cause: StoreError,
    signal: AbortSignal,
  ) => Promise<OpenReplica>;
  /** Called when the old store is closed. */
  readonly onRebuilt: (replica: OpenReplica, cause: StoreError) => Promise<void>;
  readonly onRole: (role: ReplicaRole) => void;
  readonly onUnavailable: (error: unknown) => void;
  readonly onFailed: (error: Error) => void;
}

/** When a promotion ends without a takeover. */
export interface PromotionLimits {
  /**
   * If the node cannot take over for the time being: waits, or refuses, so that another node can be
   * elected. Default `wait`.
   */
  readonly ifUnable?: 'wait' | 'refuse' | undefined;
  /** Ends the waits, but not an append. Default: the signal of the call. */
  readonly waits?: AbortSignal | undefined;
  /** Asked right before the takeover is appended. If false, the call resolves without it. */
  readonly isWanted?: (() => boolean) | undefined;
  /** Called before another attempt, because another node has appended meanwhile. */
  readonly beforeRetry?: (() => Promise<void>) | undefined;
}
