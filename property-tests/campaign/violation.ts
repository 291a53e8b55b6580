/** A promise of the store that was broken. `rule` names an invariant of CONTRIBUTING.md. */
export class Violation extends Error {
  override readonly name: string = 'Violation';
  readonly rule: string;
  readonly reason: string;

  constructor(rule: string, reason: string, cause?: unknown) {
    super(`${rule}: ${reason}`, cause === undefined ? undefined : { cause });
    this.rule = rule;
    this.reason = reason;
  }
}
