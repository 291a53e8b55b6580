/** A mistake in the logic: one place of the source, found by a text that occurs there only. */
export interface Mutant {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** What keeps the mistake from being made, and goes with it. */
  readonly also?: Pick<Mutant, 'file' | 'find' | 'replace'>;
  /**
   * In which programs it shows. Default: those in which every batch is durable when acknowledged.
   */
  readonly durability?: 'deferred';
  /** In programs whose batches are written by calls that block. */
  readonly commits?: 'inline';
  /** A test that must catch it, where no crash can. */
  readonly test?: string;
}
