import { expect, test } from 'vitest';
import { RecordSource } from '../../src/inspection/record-source.ts';
import { surveyDirectory } from '../../src/inspection/survey.ts';
import { Directory } from '../../src/fs/directory.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { closeSource, readSource } from '../../src/store/backup/backup-source.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { ProgressMeter } from '../../src/store/recovery/progress-meter.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { casesOf, runs } from '../support/effort.ts';
import { Film } from '../support/film.ts';
import { randomWords } from '../support/random.ts';

const words = randomWords(7);

function randomBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, words);
}

/** A writer that fills and rotates logs and merges twice; batch n puts key n. */
async function filmWriter(): Promise<Film> {
  const machine = new CrashFs({ trace: false });
  await machine.makeDirectory('/s');
  const first = await openOn(machine, '/s');
  await first.close();
  const film = new Film(machine);
  const environment = { ...simulatedEnvironment(film.camera) };
  const sizes = { rotateBytes: 600, reserveBytes: 1024 };
  const store = await openStoreIn({ ...environment, sizes }, '/s', {
    mergeBytes: 2 ** 40,
  });
  let key = 0;
  const insert = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const data = randomBytes(150);
      await store.insertBatch([{ type: 'put', key: key++, value: 1, data }]);
    }
  };
  await insert(4);
  await store.merge();
  await insert(3);
  await store.merge();
  await insert(1);
  await store.close();
  return film;
}

const SIGNAL = new AbortController().signal;

/**
 * Everything that reads a directory. Each reader resolves to the number of batches that it found.
 */
const READERS: Record<string, (fs: FileSystem) => Promise<bigint>> = {
  'a read-only open': async (fs) => {
    const store = await openOn(fs, '/s', { readOnly: true });
    const records = [...store.entries()];
    expect(records.map(([key]) => key)).toEqual(records.map((_record, i) => BigInt(i)));
    expect(BigInt(records.length)).toBe(store.stats().lastSequence);
    await store.close();
    return BigInt(records.length);
  },
  'a backup': async (fs) => {
    const source = await readSource(await Directory.open(fs, '/s'), {
      signal: SIGNAL,
      progress: new ProgressMeter(undefined),
    });
    await closeSource(source);
    return source.lastSequence;
  },
  'a survey': async (fs) => {
    const progress = new ProgressMeter(undefined);
    const options = { depth: 'logs', frames: false, signal: SIGNAL, progress } as const;
    const survey = await surveyDirectory(fs, '/s', options);
    expect(survey).toMatchObject({ outcome: 'opens', damages: [], refusals: [] });
    return survey.opening!.lastSequence;
  },
  'an export': async (fs) => {
    const parts = { fs, directory: '/s', signal: SIGNAL, progress: new ProgressMeter(undefined) };
    const source = await RecordSource.open(parts);
    await source.close();
    return source.lastSequence;
  },
};

/** Allows the error for a directory that changes at each reading. */
async function unlessBusy(reading: Promise<bigint>): Promise<bigint | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (String(error).includes('a store is writing there')) return undefined;
    throw error;
  }
}

test.each(Object.keys(READERS))(
  '%s sees one state of the writer',
  async (name) => {
    const film = await filmWriter();
    const read = READERS[name]!;
    const last = film.frames.length - 1;
    const still: bigint[] = [];
    let calls = 0;
    for (let moment = 0; moment <= last; moment++) {
      const fs = film.project(() => moment);
      still.push(await read(fs));
      calls = Math.max(calls, fs.calls());
    }
    const check = async (momentOf: (call: number) => number): Promise<void> => {
      let end = 0;
      const fs = film.project((call) => {
        end = Math.min(last, momentOf(call));
        return end;
      });
      const found = await unlessBusy(read(fs));
      if (found === undefined) return;
      expect(found).toBeGreaterThanOrEqual(still[momentOf(0)]!);
      expect(found).toBeLessThanOrEqual(still[end]!);
    };
    // The writer runs to its end between any two calls of the reader.
    for (const turn of casesOf(last * calls, 3)) {
      const begin = Math.floor(turn / calls);
      const call = turn % calls;
      await check((one) => (one < call ? begin : last));
    }
    // The writer makes some progress between calls.
    const random = (below: number): number => words() % below;
    for (let run = 0; run < runs(400); run++) {
      const moments = [random(last)];
      for (let call = 1; call < 200; call++) {
        moments.push(Math.min(last, moments[call - 1]! + (random(2) === 0 ? 0 : random(4))));
      }
      await check((call) => moments[call] ?? last);
    }
  },
  60_000,
);
