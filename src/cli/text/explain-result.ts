/** What somebody can do about a directory, and what it costs. */
export interface Choice {
  readonly command: string;
  readonly effect: string;
  readonly loses: readonly string[];
}

/** Why a directory opens or does not, in plain words. */
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
  /** Why, place by place. */
  readonly because: readonly string[];
  /** Beside each other: one of them is to be taken. Empty where there is nothing to choose. */
  readonly choices: readonly Choice[];
  /** A command that does no harm, and why it is the next. */
  readonly next: { readonly command: string; readonly why: string };
}

/** A path as a shell takes it for one word. */
export function shellWord(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/** A name beside a directory, for what is made of it. */
export function besideOf(directory: string, suffix: string): string {
  const trimmed = directory.replace(/(?<=.)\/+$/, '');
  const name = trimmed === '.' || trimmed === '..' ? `${trimmed}/../store` : trimmed;
  return `${name}-${suffix}`;
}
