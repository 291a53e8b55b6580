/** A possible action on a directory, and its cost. */
export interface Choice {
  readonly command: string;
  readonly effect: string;
  readonly loses: readonly string[];
}

/** Why a directory opens or does not. */
export interface ExplainResult {
  readonly directory: string;
  readonly state:
    | 'opens'
    | 'locked'
    | 'blocked'
    | 'damaged'
    | 'unreadable'
    | 'newer format'
    | 'incomplete'
    | 'no store'
    | 'missing';
  /** One sentence: would it open? */
  readonly summary: string;
  /** The reasons, one per place. */
  readonly because: readonly string[];
  /** Alternatives, of which one is to be chosen. Empty if there are none. */
  readonly choices: readonly Choice[];
  /** A harmless command to run next, and why. */
  readonly next: { readonly command: string; readonly why: string };
}

/** The name for a new directory next to `directory`. */
export function besideOf(directory: string, suffix: string): string {
  const trimmed = directory.replace(/(?<=.)\/+$/, '');
  const name = trimmed === '.' || trimmed === '..' ? `${trimmed}/../store` : trimmed;
  return `${name}-${suffix}`;
}
