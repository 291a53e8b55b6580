import { onAbort } from '../base/abort.ts';
import { monotonicMs } from '../base/timers.ts';
import type { CampaignOptions, Elector, Leadership } from '../replicated/log/elector.ts';
import { LogUnavailableError } from '../replicated/log/log-errors.ts';
import { pulse } from './pulse.ts';

/** One candidate's claim to a lease in an engine. */
export interface LeaseClaim {
  /**
   * Takes the lease if it is free, or renews it if this claim has it. Resolves to true if this
   * claim now has it, for `leaseMs` from the call on.
   */
  hold(): Promise<boolean>;
  /** Releases the lease if this claim has it. */
  release(): Promise<void>;
}

export interface LeaseElectorOptions {
  readonly leaseMs: number;
  /** Aborted when the engine is closed. */
  readonly ended: AbortSignal;
  readonly claim: (id: string) => LeaseClaim;
}

/** An election by a lease: its holder is elected, and renews it until renewals fail. */
export class LeaseElector implements Elector {
  readonly #options: LeaseElectorOptions;

  constructor(options: LeaseElectorOptions) {
    this.#options = options;
  }

  async campaign(id: string, { signal }: CampaignOptions): Promise<Leadership> {
    if (typeof id !== 'string') throw new TypeError('id must be a string');
    const claim = this.#options.claim(id);
    const { leaseMs, ended } = this.#options;
    try {
      for (;;) {
        signal.throwIfAborted();
        const began = monotonicMs();
        if (await unlessAborted(isHeld(claim), signal)) {
          return { lost: this.#keep(claim, began + leaseMs, signal) };
        }
        if (ended.aborted) throw new LogUnavailableError('the connection to the engine is closed');
        // A quarter, so that the next candidate is elected soon after a lease expired.
        await pulse(leaseMs / 4, signal);
      }
    } catch (error) {
      void claim.release().catch(() => undefined);
      throw error;
    }
  }

  async #keep(claim: LeaseClaim, firstEndMs: number, signal: AbortSignal): Promise<void> {
    const { leaseMs, ended } = this.#options;
    const stop = new AbortController();
    const end = (): void => stop.abort();
    const removals = [onAbort(signal, end), onAbort(ended, end)];
    if (signal.aborted || ended.aborted) end();
    let endMs = firstEndMs;
    while (!stop.signal.aborted && monotonicMs() < endMs) {
      const began = monotonicMs();
      const untilEnd = pulse(endMs - began, stop.signal).then(() => undefined);
      const held = await Promise.race([claim.hold().catch(() => undefined), untilEnd]);
      if (held === false) break;
      if (held === true) endMs = began + leaseMs;
      await pulse(held === true ? leaseMs / 3 : leaseMs / 10, stop.signal);
    }
    for (const remove of removals) remove();
    await claim.release().catch(() => undefined);
  }
}

async function isHeld(claim: LeaseClaim): Promise<boolean> {
  try {
    return await claim.hold();
  } catch (error) {
    if (error instanceof LogUnavailableError) return false;
    throw error;
  }
}

/** Settles as `promise`, or rejects with the signal's reason. */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return await promise;
  let remove: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    else remove = onAbort(signal, end);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    remove?.();
  }
}
