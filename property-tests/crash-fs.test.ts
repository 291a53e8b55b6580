import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { present } from '../src/base/assert.ts';
import { CrashFs, formatTrace } from '../src/testing/index.ts';
import type { CrashModel } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';
import { isLegalInFlight, isLegalTree, namesOf } from './crash-fs-checker.ts';
import type { Data, History } from './crash-fs-checker.ts';

type Step =
  | { readonly do: 'create' | 'unlink' | 'sync' | 'failSync'; readonly name: string }
  | { readonly do: 'rename'; readonly name: string; readonly to: string }
  | {
      readonly do: 'write' | 'writev' | 'durableWrite' | 'trim';
      readonly name: string;
      readonly at: number;
      readonly bytes: number;
    }
  | { readonly do: 'truncate' | 'preallocate'; readonly name: string; readonly at: number }
  | { readonly do: 'syncDirectory' };

const NAMES = ['/a', '/b', '/c'];
// Mostly one name, so that it collects many effects.
const name = fc.constantFrom('/a', '/a', '/a', ...NAMES);
const at = fc.constantFrom(0, 100, 512, 700, 1024, 3900);
const bytes = fc.constantFrom(1, 100, 512, 700, 1300);

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('create' as const, 'unlink', 'sync', 'failSync'), name }),
  fc.record({ do: fc.constant('create' as const), name }),
  fc.record({ do: fc.constant('rename' as const), name, to: name }),
  fc.record({ do: fc.constant('write' as const), name, at, bytes }),
  fc.record({ do: fc.constantFrom('write' as const, 'durableWrite'), name, at, bytes }),
  fc.record({ do: fc.constantFrom('writev' as const, 'trim'), name, at, bytes }),
  fc.record({ do: fc.constantFrom('truncate' as const, 'preallocate'), name, at }),
  fc.constant({ do: 'syncDirectory' as const }),
);
const program = fc
  .array(step, { maxLength: 14, size: 'max' })
  .map((steps): Step[] => [{ do: 'create', name: '/a' }, ...steps]);
const model = fc.constantFrom<CrashModel>('posix', 'ordered', 'linked');

/** Runs a program on the simulated file system and on the checker's history. */
class Twin {
  readonly fs: CrashFs;
  readonly history: History;
  readonly problems: string[] = [];
  readonly #live = new Map<string, number>();
  #inFlight: number | undefined;
  #letter = 65;

  constructor(crashModel: CrashModel) {
    this.history = { model: crashModel, names: [], files: [] };
    this.fs = new CrashFs({
      model: crashModel,
      onCrashPoint: () => {
        this.check();
      },
    });
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) await this.#take(one);
  }

  /** Every generated state must be legal, and the minimal state must be among them. */
  check(): void {
    const seen = new Set<number>();
    for (const state of this.fs.crashStates({ cap: 400 })) {
      seen.add(state.hash);
      this.judge(this.fs.materialise(state), state.describe());
    }
    if (!seen.has(this.fs.minimalCrash().hash()))
      this.problems.push('the minimal state is missing');
  }

  judge(after: CrashFs, description: string): void {
    const left = after.files();
    const legal =
      this.#inFlight === undefined
        ? isLegalTree(this.history, left)
        : isLegalInFlight(this.history, this.#inFlight, left);
    if (!legal) this.problems.push(`illegal: ${description}\n${formatTrace(this.fs.trace)}`);
  }

  async #take(one: Step): Promise<void> {
    if (one.do === 'syncDirectory') {
      await this.fs.syncDirectory('/');
      for (const effect of this.history.names) effect.durable = true;
      return;
    }
    const file = this.#live.get(one.name);
    if (one.do === 'create') {
      if (file === undefined) await this.#create(one.name);
    } else if (file !== undefined) {
      await this.#change(one, file);
    }
  }

  async #create(path: string): Promise<void> {
    await (await this.fs.open(path, 'wx')).close();
    const file = this.history.files.push([]) - 1;
    this.#live.set(path, file);
    this.history.names.push({ kind: 'create', name: path, from: undefined, file, durable: false });
  }

  async #change(one: Step, file: number): Promise<void> {
    switch (one.do) {
      case 'unlink':
        await this.fs.unlink(one.name);
        this.#live.delete(one.name);
        this.history.names.push({
          kind: 'unlink',
          name: one.name,
          from: undefined,
          file,
          durable: false,
        });
        return;
      case 'rename':
        if (one.to === one.name) return;
        await this.fs.rename(one.name, one.to);
        this.#live.delete(one.name);
        this.#live.set(one.to, file);
        this.history.names.push({
          kind: 'rename',
          name: one.to,
          from: one.name,
          file,
          durable: false,
        });
        return;
      case 'write':
      case 'writev':
      case 'durableWrite':
        await this.#write(one, file);
        return;
      case 'preallocate':
        await this.#preallocate(one, file);
        return;
      case 'trim':
        await this.#trim(one, file);
        return;
      case 'truncate': {
        const open = await this.fs.open(one.name, 'r+');
        await open.truncate(one.at);
        await open.close();
        this.#add(file, {
          kind: 'truncate',
          position: one.at,
          lengthBytes: 0,
          value: 0,
          state: 'pending',
        });
        return;
      }
      case 'sync':
      case 'failSync':
        await this.#sync(one.name, file, one.do);
        return;
      case 'create':
      case 'syncDirectory':
        throw new Error('not a change of a file');
    }
  }

  async #preallocate(one: Extract<Step, { at: number }>, file: number): Promise<void> {
    const open = await this.fs.open(one.name, 'r+');
    await open.preallocate(one.at);
    await open.close();
    const position = this.#sizeOf(file);
    const lengthBytes = one.at - position;
    if (lengthBytes <= 0) return;
    this.#add(file, { kind: 'write', position, lengthBytes, value: 0, state: 'pending' });
  }

  async #trim(one: Extract<Step, { bytes: number }>, file: number): Promise<void> {
    const open = await this.fs.open(one.name, 'r+');
    await open.trim(one.at, one.bytes);
    await open.close();
    const lengthBytes = Math.min(one.at + one.bytes, this.#sizeOf(file)) - one.at;
    if (lengthBytes <= 0) return;
    this.#add(file, {
      kind: 'trim',
      position: one.at,
      lengthBytes,
      value: 0,
      state: 'pending',
    });
  }

  async #write(one: Extract<Step, { bytes: number }>, file: number): Promise<void> {
    const value = this.#letter++;
    const grew = one.at + one.bytes > this.#sizeOf(file);
    this.#add(file, {
      kind: 'write',
      position: one.at,
      lengthBytes: one.bytes,
      value,
      state: 'pending',
    });
    const durable = one.do === 'durableWrite';
    const open = await this.fs.open(one.name, durable ? 'rs+' : 'r+');
    if (durable) this.#inFlight = file;
    const written = new Uint8Array(one.bytes).fill(value);
    if (one.do === 'writev') {
      await open.writev([written.subarray(0, 99), written.subarray(99)], one.at);
    } else await open.write(written, one.at);
    this.#inFlight = undefined;
    await open.close();
    if (!durable) return;
    const recorded = present(this.#effectsOf(file).at(-1), 'the write was recorded');
    recorded.state = 'durable';
    if (grew) this.#namesFollow(file);
  }

  async #sync(path: string, file: number, how: 'sync' | 'failSync'): Promise<void> {
    const open = await this.fs.open(path, 'r+');
    const effects = this.#effectsOf(file);
    const pending = effects.filter((effect) => effect.state === 'pending');
    if (how === 'failSync') {
      this.fs.faults.add({ call: 'dataSync' });
      await open.dataSync().catch(() => {});
      this.fs.faults.clear();
      for (const effect of pending) effect.state = 'doomed';
      return;
    }
    await open.dataSync();
    const resized = pending.some((effect) => this.#changedSize(effects, effect));
    for (const effect of pending) effect.state = 'durable';
    const born = this.history.names.some(
      (effect) => effect.kind === 'create' && effect.file === file && !effect.durable,
    );
    if (resized || born) this.#namesFollow(file);
  }

  /** S2, literally. */
  #namesFollow(file: number): void {
    const { names } = this.history;
    if (this.history.model === 'posix') return;
    const touched = new Set<string>();
    for (const effect of names.toReversed()) {
      if (effect.durable) continue;
      const own = effect.kind !== 'unlink' && effect.file === file;
      const follows = namesOf(effect).some((one) => touched.has(one));
      if (this.history.model === 'linked' && !own && !follows) continue;
      effect.durable = true;
      for (const one of namesOf(effect)) touched.add(one);
    }
  }

  #add(file: number, effect: Data): void {
    this.#effectsOf(file).push(effect);
  }

  #effectsOf(file: number): Data[] {
    return present(this.history.files[file], 'a live file has a history');
  }

  #sizeOf(file: number): number {
    return liveSize(this.#effectsOf(file));
  }

  #changedSize(effects: readonly Data[], effect: Data): boolean {
    const index = effects.indexOf(effect);
    return liveSize(effects.slice(0, index)) !== liveSize(effects.slice(0, index + 1));
  }
}

function liveSize(effects: readonly Data[]): number {
  let sizeBytes = 0;
  for (const { kind, position, lengthBytes } of effects) {
    if (kind === 'trim') continue;
    sizeBytes = kind === 'write' ? Math.max(sizeBytes, position + lengthBytes) : position;
  }
  return sizeBytes;
}

describe('the crash states of the simulated file system', () => {
  it('are legal by an independent, literal reading of the rules', async () => {
    await fc.assert(
      fc.asyncProperty(model, program, async (crashModel, steps) => {
        const twin = new Twin(crashModel);
        await twin.run(steps);
        twin.check();
        expect(twin.problems).toEqual([]);
      }),
      { numRuns: runs(400) },
    );
  });

  it('are legal when choices or a seed select them, and keep everything if all choices are 0', async () => {
    const choices = fc.array(fc.nat({ max: 9 }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        model,
        program,
        fc.array(choices, { maxLength: 10 }),
        fc.integer(),
        async (...drawn) => {
          const [crashModel, steps, lists, seed] = drawn;
          const twin = new Twin(crashModel);
          await twin.run(steps);
          for (const list of lists) twin.judge(twin.fs.crash(list), `choices ${list.join()}`);
          for (let nth = 0; nth < 10; nth++) {
            twin.judge(twin.fs.randomCrash(seed + nth), `seed ${seed + nth}`);
          }
          expect(twin.problems).toEqual([]);
          expect(twin.fs.crash([]).hash()).toBe(twin.fs.hash());
        },
      ),
      { numRuns: runs(400) },
    );
  });

  it('are equal for the same program and seed', async () => {
    await fc.assert(
      fc.asyncProperty(model, program, async (crashModel, steps) => {
        const hashes: number[][] = [];
        for (let round = 0; round < 2; round++) {
          const twin = new Twin(crashModel);
          await twin.run(steps);
          hashes.push([...twin.fs.crashStates({ cap: 50, seed: 3 })].map((state) => state.hash));
        }
        expect(hashes[0]).toEqual(hashes[1]);
      }),
      { numRuns: runs(30) },
    );
  });
});
