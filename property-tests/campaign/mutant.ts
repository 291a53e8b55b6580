/**
 * A mistake in the logic: a change at one place of the source, identified by a text that is unique
 * there.
 */
export interface Mutant {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** A second change, needed so that the mistake is made. */
  readonly also?: Pick<Mutant, 'file' | 'find' | 'replace'>;
  /** Durability of the programs that show it. Default: every batch is durable when acknowledged. */
  readonly durability?: 'deferred';
  /** It shows in programs whose batches are written with blocking calls. */
  readonly commits?: 'inline';
  /** A test that must catch it, if no crash can. */
  readonly test?: string;
}
