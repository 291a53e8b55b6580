export interface CampaignOptions {
  /**
   * Ends the campaign: the call rejects with the signal's reason. After the election is won,
   * aborting the signal resigns.
   */
  readonly signal: AbortSignal;
}

/** An election that was won. */
export interface Leadership {
  /** Resolves when another node may have been elected. It never rejects. */
  readonly lost: Promise<void>;
}

/**
 * Chooses which node tries to become the primary, with a lease or a lock of the engine. It does not
 * fence: two nodes may believe that they are elected, and the log decides.
 */
export interface Elector {
  /**
   * Waits until this node is elected. `id` is what others can see of the winner: the address that
   * the node announces. Retries by itself while the engine cannot be reached.
   */
  campaign(id: string, options: CampaignOptions): Promise<Leadership>;
}
