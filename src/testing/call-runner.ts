import { systemCode } from '../base/errors.ts';
import type { CallRecord } from './call-trace.ts';
import type { Disk } from './disk/disk.ts';
import { FaultPlan } from './fault-plan.ts';
import type { CallKind, Fault } from './fault-plan.ts';
import type { CallScheduler } from './scheduler.ts';
import { systemError } from './disk/system-error.ts';

/** A call that has started. */
export interface Call {
  readonly kind: CallKind;
  readonly path: string;
  readonly startTick: number;
  readonly fault: Fault | undefined;
}

/** Does the first half of a call and returns the second half, which runs at the end tick. */
export type Begin<T> = (call: Call) => (endTick: number) => T;

/** A call whose first half is done. */
interface Started<T> {
  readonly record: CallRecord;
  readonly end: (endTick: number) => T;
}

export interface CallDetail {
  readonly detail?: string;
  readonly lengthBytes?: number;
}

export interface CallOptions {
  readonly recordsTrace: boolean;
  /** The path in the trace and in fault rules. */
  readonly shown: (path: string) => string;
}

/** Kinds whose own code applies the fault. */
const OWN_FAULTS: ReadonlySet<CallKind> = new Set(['write', 'dataSync']);

/** Kinds that change the disk, and so fail after an abort. */
const CHANGING: ReadonlySet<CallKind> = new Set([
  'write',
  'truncate',
  'trim',
  'dataSync',
  'rename',
  'unlink',
  'link',
  'makeDirectory',
  'removeDirectory',
  'syncDirectory',
]);

/** Gives every call its ticks, its turn, its fault and its line in the trace. */
export class CallRunner {
  readonly faults: FaultPlan = new FaultPlan();
  readonly trace: CallRecord[] = [];
  readonly #disk: Disk;
  readonly #scheduler: CallScheduler;
  readonly #options: CallOptions;
  #power: 'on' | 'off' = 'on';
  #access: 'writable' | 'aborted' = 'writable';

  constructor(disk: Disk, scheduler: CallScheduler, options: CallOptions) {
    this.#disk = disk;
    this.#scheduler = scheduler;
    this.#options = options;
  }

  get isWritable(): boolean {
    return this.#access === 'writable';
  }

  powerOff(): void {
    this.#power = 'off';
  }

  abort(): void {
    this.#access = 'aborted';
  }

  async run<T>(kind: CallKind, path: string, about: CallDetail, begin: Begin<T>): Promise<T> {
    const started = this.#start(kind, path, about, begin);
    await this.#scheduler.turn(`${kind} ${started.record.path}`);
    return this.#finish(started);
  }

  /** A blocking call: no other call starts or ends meanwhile. */
  runNow<T>(kind: CallKind, path: string, about: CallDetail, begin: Begin<T>): T {
    return this.#finish(this.#start(kind, path, about, begin));
  }

  #start<T>(kind: CallKind, givenPath: string, about: CallDetail, begin: Begin<T>): Started<T> {
    const startTick = ++this.#disk.tick;
    const path = this.#options.shown(givenPath);
    const record: CallRecord = {
      kind,
      path,
      detail: about.detail ?? '',
      lengthBytes: about.lengthBytes ?? 0,
      startTick,
      endTick: Infinity,
      outcome: 'pending',
    };
    if (this.#options.recordsTrace) this.trace.push(record);
    try {
      const end = this.#begin({ kind, path, startTick, fault: this.#decide(kind, path) }, begin);
      return { record, end };
    } catch (error) {
      const fail = (): never => {
        throw error;
      };
      return { record, end: fail };
    }
  }

  #finish<T>({ record, end }: Started<T>): T {
    record.endTick = ++this.#disk.tick;
    try {
      this.requirePower(record.kind, record.path);
      const result = end(record.endTick);
      record.outcome = 'ok';
      return result;
    } catch (error) {
      record.outcome = systemCode(error) ?? 'error';
      throw error;
    }
  }

  #decide(kind: CallKind, path: string): Fault | undefined {
    this.requirePower(kind, path);
    if (!this.isWritable && CHANGING.has(kind)) throw systemError('EROFS', kind, path);
    return this.faults.decide(kind, path);
  }

  #begin<T>(call: Call, begin: Begin<T>): (endTick: number) => T {
    const { fault, kind, path } = call;
    if (fault === undefined || OWN_FAULTS.has(kind)) return begin(call);
    if (!fault.takesEffect) throw systemError(fault.error, kind, path);
    const end = begin(call);
    return (endTick) => {
      end(endTick);
      throw systemError(fault.error, kind, path);
    };
  }

  /** For calls that have no turn of their own. */
  requirePower(kind: CallKind, path: string): void {
    if (this.#power === 'off') throw systemError('EIO', kind, path);
  }
}
