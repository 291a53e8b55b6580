import type { FaultRule } from '../../src/testing/index.ts';
import type { Mood } from './legal-refusals.ts';
import type { Command } from './program.ts';
import type { SimulatedMachine } from './simulated-machine.ts';

export type Disturbance = Extract<Command, { kind: 'fail' | 'heal' | 'fill' | 'free' | 'abort' }>;

/** What was done to a machine, and which refusals it allows. */
export class Disturbances {
  #mood: Mood = 'calm';
  #faults: 'none' | 'planned' = 'none';
  readonly #simulated: SimulatedMachine;
  readonly #isLimited: boolean;

  /** `isLimited`: the disk can become full. */
  constructor(simulated: SimulatedMachine, isLimited: boolean) {
    this.#simulated = simulated;
    this.#isLimited = isLimited;
  }

  get mood(): Mood {
    return this.#mood;
  }

  /** Something failed. Until the next undisturbed open, its consequences are allowed. */
  failed(): void {
    this.#mood = 'failing';
  }

  /** Calls fail according to `rule`. */
  plan(rule: FaultRule): void {
    this.failed();
    this.#faults = 'planned';
    this.#simulated.machine.faults.add(rule);
  }

  /** Before space is freed, the caller waits for all calls. */
  async disturb(command: Disturbance): Promise<void> {
    switch (command.kind) {
      case 'fail':
        return this.plan(command.rule);
      case 'heal':
        return this.#clearFaults();
      case 'fill':
        if (this.#isLimited && this.#mood === 'calm') this.#mood = 'full';
        return this.#simulated.fill(command.freeBytes);
      case 'free':
        if (this.#mood === 'full') this.#mood = 'calm';
        return this.#simulated.fill('all');
      case 'abort':
        this.failed();
        this.#simulated.aborted = true;
        this.#simulated.machine.abort();
    }
  }

  /** The store was closed. It is undisturbed from the next open on, unless calls still fail. */
  closed(): void {
    if (this.#faults === 'none' && !this.#simulated.aborted) this.#becomeCalm();
  }

  /** The machine has started again, without faults. */
  restarted(): void {
    this.#faults = 'none';
    this.#becomeCalm();
  }

  /** Ends all disturbances. */
  async end(): Promise<void> {
    if (this.#simulated.aborted) await this.#simulated.restart(undefined);
    this.#clearFaults();
    await this.#simulated.fill('all');
    this.#becomeCalm();
  }

  #clearFaults(): void {
    this.#simulated.machine.faults.clear();
    this.#faults = 'none';
  }

  #becomeCalm(): void {
    this.#mood = this.#simulated.isFull ? 'full' : 'calm';
  }
}
