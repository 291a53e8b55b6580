import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArguments, USAGE } from './lib/arguments.mjs';
import { Context } from './lib/context.mjs';
import { machineFacts } from './lib/machine.mjs';
import { writeReport } from './lib/report.mjs';
import { setUp, usablePeers } from './lib/setup.mjs';
import { FILES, loadPeer, STORES, VARIANTS } from './peers/index.mjs';

const BENCH = fileURLToPath(new URL('.', import.meta.url));
/** On the file system of the checkout, and ignored by everything else. */
const SCRATCH = join(BENCH, '.scratch');
const DEFAULT_SCALE = [10];

const PACKAGES = ['lmdb', 'classic-level', 'rocksdb', 'better-sqlite3'];

/** All rows, in the order of the report. */
async function loadRows() {
  const files = readdirSync(join(BENCH, 'rows')).filter((file) => file.endsWith('.mjs'));
  const rows = [];
  for (const file of files) {
    const row = await import(`./rows/${file}`);
    rows.push({ name: file.replace('.mjs', ''), ...row });
  }
  return rows.sort((a, b) => a.place - b.place);
}

/** Measures one row after another. A failed row does not stop the others. */
async function measureRows(context, rows, output, facts) {
  for (const row of rows) {
    const start = performance.now();
    const seconds = () => Math.round((performance.now() - start) / 1000);
    process.stdout.write(`${row.place}. ${row.title}\n`);
    try {
      const result = await row.run(context);
      const kept = { row: row.name, quick: context.quick, facts, seconds: seconds(), result };
      writeFileSync(join(output, `${row.name}.json`), `${JSON.stringify(kept, null, 1)}\n`);
    } catch (error) {
      context.failed(`row ${row.name}`, error);
      process.stdout.write(`${error.stack}\n`);
    }
    process.stdout.write(`  ${seconds()} s\n`);
  }
}

async function makeReport(directory, rows) {
  const peerIds = [...STORES, ...VARIANTS, ...FILES, 'map'];
  const names = {};
  for (const id of peerIds) names[id] = await nameOf(id);
  const sections = [];
  let head;
  let seconds = 0;
  for (const row of rows) {
    const file = join(directory, 'results', `${row.name}.json`);
    if (!existsSync(file)) continue;
    const { result, ...kept } = JSON.parse(readFileSync(file, 'utf8'));
    const section = sectionOf(row, result, names);
    if (section === undefined) continue;
    head ??= kept;
    seconds += kept.seconds ?? 0;
    const { date, lodestore, load } = kept.facts;
    const time = kept.seconds === undefined ? '' : ` in ${kept.seconds} s`;
    const measured = `Measured with lodestore ${lodestore} on ${date}${time}; load ${load}.`;
    sections.push({ place: row.place, title: row.title, measured, section });
  }
  if (head === undefined) throw new Error('there are no results to report');
  head.facts['time of all rows'] = durationText(1000 * seconds);
  return await writeReport(directory, head, sections, names);
}

/** Undefined if nothing could be measured; the other rows are still reported. */
function sectionOf(row, result, names) {
  try {
    return row.report(result, names);
  } catch (error) {
    process.exitCode = 1;
    process.stdout.write(`row ${row.place} is not in the report: ${error.stack}\n`);
    return undefined;
  }
}

/** The peer's own name, or its file's if its package does not load. */
async function nameOf(id) {
  try {
    return (await loadPeer(id)).name;
  } catch {
    return id;
  }
}

async function main() {
  let options;
  try {
    options = parseArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error.message}\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const start = performance.now();
  setUp();
  const rows = await loadRows();
  const directory = options.quick ? join(SCRATCH, 'quick') : BENCH;
  const failed = options.report ? [] : await measure(options, rows, directory);
  process.stdout.write(`report: ${await makeReport(directory, rows)}\n`);
  if (failed.length > 0) {
    process.exitCode = 1;
    process.stdout.write(`failed: ${failed.join('; ')}\n`);
  }
  process.stdout.write(`in all: ${durationText(performance.now() - start)}\n`);
}

/** @type {(milliseconds: number) => string} */
function durationText(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Returns the names of failed measurements. */
async function measure(options, rows, directory) {
  const scratch = join(SCRATCH, 'data');
  const output = join(directory, 'results');
  mkdirSync(output, { recursive: true });
  mkdirSync(scratch, { recursive: true });
  const { usable, missing } = usablePeers([...STORES, ...VARIANTS, ...FILES]);
  const context = new Context(scratch, {
    quick: options.quick,
    scale: options.scale ?? DEFAULT_SCALE,
    usable,
    missing,
  });
  const chosen = rows.filter(({ name }) => options.only?.includes(name) ?? true);
  try {
    await measureRows(context, chosen, output, machineFacts(scratch, PACKAGES));
    return context.failures;
  } finally {
    if (!options.keep) rmSync(scratch, { recursive: true, force: true });
  }
}

await main();
