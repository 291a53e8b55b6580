/**
 * A process that does one operation on a directory and prints its peak memory.
 *
 * Arguments: `open`, `merge`, `verify`, `salvage` or `nothing`; the directory.
 */
import { readFileSync } from 'node:fs';
import { MetadataStore } from '../../src/index.ts';
import { runCli } from './cli.ts';

const [what = '', directory = ''] = process.argv.slice(2);
/** No automatic merges. */
const QUIET = { mergeBytes: 2 ** 40 };

async function run(): Promise<unknown> {
  switch (what) {
    case 'open': {
      const store = await MetadataStore.open(directory, QUIET);
      const { size } = store;
      await store.close();
      return size;
    }
    case 'merge':
    case 'verify': {
      const { code, err } = await runCli([what, directory]);
      return code === 0 ? code : err;
    }
    case 'salvage': {
      const store = await MetadataStore.open(directory, { ...QUIET, recovery: 'salvage' });
      const { losses } = store.recovery;
      await store.close();
      return losses.length;
    }
    default:
      return undefined;
  }
}

const result = await run();
/** The peak resident set of this process, including all threads. */
const highest = /VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
console.log(JSON.stringify({ result, highestBytes: 1024 * Number(highest) }));
