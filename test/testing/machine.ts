import type { CallScheduler, CrashFs, CrashStatesOptions } from '../../src/testing/index.ts';

/** `text` repeated to `lengthBytes`. */
export function run(text: string, lengthBytes: number): Uint8Array {
  return new Uint8Array(lengthBytes).fill(text.codePointAt(0) ?? 0);
}

/** The bytes of a file as runs: `A4 .2` is four A and two zeros, `~` is the junk 0xA5. */
export function runs(bytes: Uint8Array): string {
  const found: { letter: string; count: number }[] = [];
  for (const byte of bytes) {
    const letter = byte === 0 ? '.' : byte === 0xa5 ? '~' : String.fromCodePoint(byte);
    const last = found.at(-1);
    if (last?.letter === letter) last.count++;
    else found.push({ letter, count: 1 });
  }
  return found.map(({ letter, count }) => `${letter}${count}`).join(' ');
}

/** All visible files of a machine, sorted: `/f=A4;/g=`. */
export function tree(fs: CrashFs): string {
  return [...fs.files()]
    .map(([path, bytes]) => `${path}=${runs(bytes)}`)
    .toSorted()
    .join(';');
}

/** The trees of all legal states after a crash now, sorted. */
export function outcomes(fs: CrashFs, options: CrashStatesOptions = {}): string[] {
  return [...fs.crashStates(options)].map((state) => tree(fs.materialise(state))).toSorted();
}

/** Ends calls when the test says so. */
export class ManualScheduler implements CallScheduler {
  readonly #waiting: { readonly label: string; readonly release: () => void }[] = [];

  turn(label: string): Promise<void> {
    return new Promise((release) => {
      this.#waiting.push({ label, release });
    });
  }

  /** Ends the oldest call whose label starts with `label`, and lets the program continue. */
  async end(label: string): Promise<void> {
    const index = this.#waiting.findIndex((call) => call.label.startsWith(label));
    const [call] = this.#waiting.splice(index, 1);
    if (index < 0 || call === undefined) throw new Error(`no call ${label} is in flight`);
    call.release();
    for (let hop = 0; hop < 10; hop++) await Promise.resolve();
  }
}

/** Runs `step` to its end, ending its calls at once. */
export async function finish<T>(
  scheduler: ManualScheduler,
  label: string,
  step: Promise<T>,
): Promise<T> {
  await scheduler.end(label);
  return step;
}
