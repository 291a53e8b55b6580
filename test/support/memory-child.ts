/**
 * A process that does one thing with a directory and says the most memory that it took.
 *
 * Arguments: `open`, `merge`, `verify`, `salvage` or `nothing`; the directory.
 */
import { readFileSync } from 'node:fs';
import { MetadataStore } from '../../src/index.ts';
import { runCli } from './cli.ts';

const [what = '', directory = ''] = process.argv.slice(2);
/** Nothing is merged that is not asked for. */
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
/** The highest resident set of this process, all threads included. */
const highest = /VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
console.log(JSON.stringify({ result, highestBytes: 1024 * Number(highest) }));
