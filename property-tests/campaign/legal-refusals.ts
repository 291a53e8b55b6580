import { StoreError, StoreLockedError } from '../../src/index.ts';
import { Violation } from './violation.ts';

/**
 * What calls may suffer from. `failing`: calls were made to fail since the last undisturbed open;
 * their consequences are allowed.
 */
export type Mood = 'calm' | 'full' | 'failing';

/**
 * The outcome of a rejected batch.
 *
 * @throws Violation F2 if it has none, or nothing allows the rejection
 */
export function requireOutcome(error: unknown, mood: Mood): 'not-applied' | 'unknown' {
  if (!(error instanceof StoreError) || error.outcome === undefined) {
    throw new Violation('F2', `a batch is rejected without an outcome: ${String(error)}`, error);
  }
  requireLegalRejection('a batch', error, mood);
  return error.outcome;
}

/**
 * @throws Violation F2 if nothing allows the rejection of `what`
 * @throws what was thrown, if it is not an error of the store
 */
export function requireLegalRejection(what: string, error: unknown, mood: Mood): void {
  if (!(error instanceof StoreError)) throw error;
  const isLegal =
    mood === 'failing' ||
    (mood === 'full' && error.code === 'LODESTORE_FULL' && error.outcome === 'not-applied');
  if (isLegal) return;
  const why = mood === 'calm' ? 'nothing failed' : 'the disk is only full';
  throw new Violation('F2', `${what} is rejected, but ${why}: ${told(error)}`, error);
}

/** @throws Violation F2 if nothing allows the rejection of a merge */
export function requireLegalMerge(error: unknown, mood: Mood, isClosing: boolean): void {
  if (mayRefuseMerge(error, mood, isClosing)) return;
  throw new Violation('F2', `a merge is rejected: ${told(error)}`, error);
}

function mayRefuseMerge(error: unknown, mood: Mood, isClosing: boolean): boolean {
  if (!(error instanceof StoreError) || error.code === 'LODESTORE_CORRUPTION') return false;
  if (error.code === 'LODESTORE_CLOSED') return isClosing;
  if (error.code === 'LODESTORE_FULL') return mood !== 'calm';
  return mood === 'failing';
}

/** @throws Violation F2 if nothing failed */
export function requireLegalClose(error: unknown, mood: Mood): void {
  if (mood !== 'calm') return;
  throw new Violation('F2', `close rejects: ${told(error)}`, error);
}

/**
 * `mayFail`: a call fails, or the disk is full, and this is the first attempt.
 *
 * @throws Violation I5 unless a failing call explains the refusal
 */
export function requireLegalOpen(error: unknown, mayFail: boolean): void {
  if (error instanceof Violation) throw error;
  const isLegal =
    error instanceof StoreError &&
    (error.code === 'LODESTORE_IO' || error.code === 'LODESTORE_FULL') &&
    mayFail;
  if (!isLegal) throw new Violation('I5', `an open is refused: ${told(error)}`, error);
}

/** @throws Violation I11 unless a second open was refused because of the first */
export function requireLocked(error: unknown): void {
  if (error instanceof StoreLockedError) return;
  throw new Violation('I11', `a second open is not refused, but: ${told(error)}`, error);
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}
