// @ts-check
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Demo } from './demo.mjs';
import { count } from './progress.mjs';
import { reportLines } from './report.mjs';
import { SourceTree } from './source-tree.mjs';

const DEFAULT_TREE = fileURLToPath(new URL('../../node_modules', import.meta.url));

const USAGE = `usage: npm run demo -- [options] [directory]
Stores the files of a directory (default: node_modules) in a storage node, kills the node repeatedly,
and compares every object with its source. Exit code 0: nothing was lost.
  --kills N       SIGKILLs, spread evenly (default 5)
  --in-flight N   concurrent requests (default 64)
  --max-files N   stop at this many files (default 5000)
  --max-bytes N   stop at this many bytes (default 300000000)
  --damage        flip a bit of a stored object before the comparison; the demo must then fail
  --keep          keep the node's directory`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kills: { type: 'string', default: '5' },
      'in-flight': { type: 'string', default: '64' },
      'max-files': { type: 'string', default: '5000' },
      'max-bytes': { type: 'string', default: '300000000' },
      damage: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 1) throw new Error('one directory at most');
  return {
    ...values,
    kills: integer('kills', values.kills, 0, 1000),
    inFlight: integer('in-flight', values['in-flight'], 1, 256),
    maxFiles: integer('max-files', values['max-files'], 1, 10_000_000),
    maxBytes: integer('max-bytes', values['max-bytes'], 1, Number.MAX_SAFE_INTEGER),
    directory: resolve(positionals[0] ?? DEFAULT_TREE),
  };
}

/**
 * @param {string} flag
 * @param {string} text
 * @param {number} min
 * @param {number} max
 */
function integer(flag, text, min, max) {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new Error(`--${flag} must be an integer from ${min} to ${max}, not '${text}'`);
}

/**
 * @param {SourceTree} tree
 * @param {ReturnType<typeof readArguments>} options
 */
function announce(tree, { directory, kills, maxFiles, maxBytes }) {
  const { files, bytes, symbolicLinks, specialFiles, tooLarge, unreadable } = tree;
  console.log(`${directory}: ${count(files.length)} files, ${count(bytes)} bytes; ${kills} kills`);
  if (tree.isCut) {
    console.log(
      `the tree holds more: ${count(maxFiles)} files and ${count(maxBytes)} bytes at most are taken`,
    );
  }
  const skipped = {
    'symbolic links': symbolicLinks,
    'special files': specialFiles,
    'files over the limit': tooLarge,
  };
  for (const [what, number] of Object.entries(skipped)) {
    if (number > 0) console.log(`skipped: ${count(number)} ${what}`);
  }
  for (const line of unreadable.slice(0, 10)) console.log(`cannot be read: ${line}`);
  if (files.length === 0) throw new Error('there is no file to store');
}

/** @param {ReturnType<typeof readArguments>} options */
async function run(options) {
  const tree = await SourceTree.read(options.directory, options);
  announce(tree, options);
  const work = await mkdtemp(join(tmpdir(), 'lodestore-demo-'));
  const demo = new Demo(tree, join(work, 'node'), options);
  const tidy = async () => {
    await demo.abandon();
    if (options.keep) console.log(`kept: ${work}`);
    else await rm(work, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => void tidy().finally(() => process.exit(EXIT_INTERRUPTED)));
  }
  try {
    const startMs = performance.now();
    const result = await demo.run();
    console.log(reportLines(tree, result, (performance.now() - startMs) / 1000).join('\n'));
    return result.problems.length === 0;
  } finally {
    await tidy();
  }
}

try {
  const options = readArguments();
  if (options.help) console.log(USAGE);
  else if (!(await run(options).catch(reportFailure))) process.exitCode = EXIT_FAILED;
} catch (error) {
  console.error(`${/** @type {Error} */ (error).message}\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
}

/** @param {Error} error */
function reportFailure(error) {
  console.error(`FAILED: ${error.message}`);
  return false;
}
