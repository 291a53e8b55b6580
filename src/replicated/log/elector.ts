export interface CampaignOptions {
  /**
   * Aborts the campaign: the call rejects with the signal's reason. After a win, aborting the
   * signal resigns.
   */
  readonly signal: AbortSignal;
}

/** An election that was won. */
export interface Leadership {
  /** Resolves when another node may have been elected. Never rejects. */
  readonly lost: Promise<void>;
}

/**
 * Selects the node that tries to become the primary, by a lease or a lock of the engine. It does
 * not fence: two nodes may both believe that they are elected, and the log decides.
 */
export interface Elector {
  /**
   * Waits until this node is elected. Others see `id`: the address that the node announces. Retries
   * while the engine cannot be reached.
   */
  campaign(id: string, options: CampaignOptions): Promise<Leadership>;
}
