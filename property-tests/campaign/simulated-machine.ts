import { CrashFs, SeededScheduler, type CrashPoint } from '../../src/testing/index.ts';
import { Ballast, LIMITED_BYTES } from './ballast.ts';
import type { StopPoint } from './stop-point.ts';
import type { Demand, FailureKind } from './model.ts';
import type { Settings } from './program.ts';
import { Violation } from './violation.ts';

/** After this many rounds of the event loop without a call, nothing can still be in progress. */
const MAX_IDLE_ROUNDS = 200;
/** If merges cannot keep up, a timer of the machine delays a write, for at most a second. */
const LONGEST_DELAY_MS = 3_000;
/** Checking a kill takes several opens, so only one stop point in this many gets one. */
const POINTS_PER_KILL = 6;

export interface MachineOptions {
  /** Crash states per stop point; above this number, a sample. */
  readonly cap: number;
  readonly seed: number;
  readonly tear: 'sector' | 'byte';
  /** One stop point in this many gets all states; the others get the worst state. */
  readonly statesEvery: number;
}

/** The machine that a program runs on, and its stop points. */
export class SimulatedMachine {
  readonly stopPoints: StopPoint[] = [];
  machine: CrashFs;
  /** Counts machines: reports of earlier ones are ignored. */
  generation = 0;
  aborted = false;
  readonly #settings: Settings;
  readonly #options: MachineOptions;
  readonly #demand: (failureKind: FailureKind) => Demand;
  #scheduler: SeededScheduler;
  #ballast: Ballast | undefined;
  #freeBytes: number | 'all' = 'all';
  #recording: 'on' | 'off' | 'none' = 'on';
  #seen = 0;
  #alarm: ((machine: CrashFs) => void) | undefined;
  #alarmAfter = 0;
  failure: Violation | undefined;

  /** `demand` is called at each stop point. It may throw a violation. */
  constructor(
    settings: Settings,
    options: MachineOptions,
    demand: (failureKind: FailureKind) => Demand,
  ) {
    this.#settings = settings;
    this.#options = options;
    this.#demand = demand;
    this.#scheduler = new SeededScheduler(settings.schedulerSeed);
    const limits = settings.disk === 'limited' ? { capacityBytes: LIMITED_BYTES } : {};
    this.machine = new CrashFs({ model: settings.model, ...limits, ...this.#runOptions() });
  }

  #runOptions() {
    const { generation } = this;
    return {
      scheduler: this.#scheduler,
      trace: true,
      onCrashPoint: ({ path, fs }: CrashPoint) => {
        if (generation !== this.generation || this.#recording !== 'on') return;
        this.look(`sync ${fs.crashPointCount} on machine ${generation}, of ${path}`);
        this.#alarmAfter--;
        if (this.#alarmAfter === 0) this.#alarm?.(fs);
      },
    };
  }

  /** Puts a ballast on a limited disk, and fills the disk again if it was full. */
  async fit(): Promise<void> {
    if (this.#settings.disk === 'endless') return;
    await this.quietly(async () => {
      this.#ballast = await Ballast.place(this.machine);
      if (this.#freeBytes !== 'all') await this.#ballast.leave(this.#freeBytes);
    });
  }

  /** Leaves `freeBytes` on a limited disk. */
  async fill(freeBytes: number | 'all'): Promise<void> {
    if (this.#ballast === undefined || this.aborted) return;
    this.#freeBytes = freeBytes;
    await this.quietly(() => this.#ballast!.leave(freeBytes));
  }

  get isFull(): boolean {
    return this.#freeBytes !== 'all' && this.#ballast !== undefined;
  }

  /**
   * Records no stop points during `action`. With `none`, acknowledgements are not recorded either.
   */
  async quietly(action: () => Promise<void>, recording: 'off' | 'none' = 'off'): Promise<void> {
    this.#recording = recording;
    await this.bounded(action(), 'what is not looked at');
    this.#recording = 'on';
  }

  /** Stops the machine and starts another one with what remains. Undefined choices mean a kill. */
  async restart(choices: readonly number[] | undefined): Promise<void> {
    const old = this.machine;
    this.#nextGeneration();
    const options = { ...this.#runOptions(), tear: this.#options.tear };
    this.machine = choices === undefined ? old.kill(options) : old.crash(choices, options);
    old.powerOff();
    await this.fit();
  }

  /** Calls `ring` at the `nth` crash point from now. */
  setAlarm(nth: number, ring: ((machine: CrashFs) => void) | undefined): void {
    this.#alarmAfter = nth;
    this.#alarm = ring;
  }

  #nextGeneration(): void {
    this.generation++;
    this.aborted = false;
    this.#alarm = undefined;
    this.#scheduler = new SeededScheduler(this.#settings.schedulerSeed + this.generation);
  }

  /** Records all crash states of this stop point. */
  look(at: string): void {
    this.note(() => {
      const { cap, seed, tear, statesEvery } = this.#options;
      const demand = this.#demand('power');
      if (this.#seen++ % statesEvery > 0) {
        this.lookAtWorst(at);
        return;
      }
      const states = this.machine.crashStates({ cap, seed: seed + this.#seen, tear });
      // The leases are recorded too, because they are not part of the disk.
      const machine = this.machine.kill({ trace: false });
      this.stopPoints.push({ kind: 'states', at, machine, states, demand });
      if ((this.#seen + this.#settings.schedulerSeed) % POINTS_PER_KILL > 0) return;
      const killDemand = this.#demand('kill');
      this.stopPoints.push({ kind: 'killed', at, machine, demand, killDemand });
    });
  }

  /** Records the worst crash of this stop point. */
  lookAtWorst(at: string): void {
    if (this.#recording === 'none') return;
    const machine = this.machine.minimalCrash({ trace: false });
    this.stopPoints.push({ kind: 'minimal', at, machine, demand: this.#demand('power') });
  }

  /** Keeps the first violation, because a callback has no caller to throw to. */
  note(action: () => void): void {
    if (this.failure !== undefined) return;
    try {
      action();
    } catch (error) {
      this.failure =
        error instanceof Violation
          ? error
          : new Violation('I5', `the store throws ${String(error)}`, error);
    }
  }

  throwFailure(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  /** I5: nothing hangs. Rejects if the machine is idle and the promise is not settled. */
  async bounded<T>(promise: Promise<T>, what: string): Promise<T> {
    const settled: unknown[] = [];
    const settle = () => settled.push(what);
    promise.then(settle, settle);
    let ended = -1;
    let endedMs = 0;
    for (let idle = 0; settled.length === 0; idle++) {
      await new Promise((go) => setImmediate(go));
      if (this.#scheduler.ended.length !== ended) {
        idle = 0;
        endedMs = performance.now();
      }
      ended = this.#scheduler.ended.length;
      const isPatienceOver = performance.now() - endedMs > LONGEST_DELAY_MS;
      if (idle > MAX_IDLE_ROUNDS && isPatienceOver)
        throw new Violation('I5', `${what} never settles`);
    }
    return promise;
  }
}
