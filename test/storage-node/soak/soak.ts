/**
 * `npm run test:node -- --minutes N`: a node in a process of its own under load, with compaction,
 * kills and a disk that fills up, until the time is over. At the end all that was acknowledged is
 * compared byte for byte, and live bytes are counted anew.
 *
 * The disk is the directory given by `--directory`, else a temporary one. With `--disk-bytes N`, as
 * root, it is a tmpfs of that size, so that it really fills up.
 */
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    directory: { type: 'string' },
    'disk-bytes': { type: 'string' },
  },
});

/** From the child: what was begun, and what was acknowledged. */
export interface Report {
  readonly type: 'begin' | 'done' | 'refused' | 'ready' | 'compacted';
  readonly name?: string;
  /** Of the body; absent: it is deleted. */
  readonly hash?: string;
  readonly code?: string;
  readonly compacted?: number;
}

interface State {
  acknowledged: string | undefined;
  readonly others: Set<string | undefined>;
}

const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'lodestore-node-soak-'));
const isMounted = values['disk-bytes'] !== undefined;
if (isMounted) {
  mkdirSync(directory, { recursive: true });
  const size = `size=${values['disk-bytes']}`;
  execFileSync('mount', ['-t', 'tmpfs', '-o', size, 'lodestore-node-soak', directory]);
}
const data = join(directory, 'data');
const states = new Map<string, State>();
const counts = {
  rounds: 0,
  acknowledged: 0,
  refused: 0,
  full: 0,
  kills: 0,
  compacted: 0,
  checked: 0,
};

function take(report: Report): void {
  if (report.compacted !== undefined) counts.compacted += report.compacted;
  if (report.name === undefined) return;
  let state = states.get(report.name);
  if (state === undefined) {
    state = { acknowledged: undefined, others: new Set() };
    states.set(report.name, state);
  }
  if (report.type === 'begin') state.others.add(report.hash);
  if (report.type === 'done') {
    counts.acknowledged++;
    state.acknowledged = report.hash;
    state.others.clear();
  }
  if (report.type === 'refused') {
    counts.refused++;
    if (report.code === 'NO_SPACE') counts.full++;
  }
}

/** Lets the child work for a while, and kills it. */
async function round(milliseconds: number, seed: number): Promise<void> {
  const child: ChildProcess = fork(fileURLToPath(new URL('./soak-child.ts', import.meta.url)), {
    env: { ...process.env, SOAK_DATA: data, SOAK_SEED: String(seed) },
    execArgv: process.execArgv,
  });
  // What was sent before the kill is still read behind `exit`.
  const drained = new Promise((resolve) => child.once('disconnect', resolve));
  const closed = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const ready = new Promise<void>((resolve) => {
    child.on('message', (report: Report) => {
      if (report.type === 'ready') resolve();
      take(report);
    });
  });
  await Promise.race([ready, closed]);
  const timer = setTimeout(() => {
    counts.kills++;
    child.kill('SIGKILL');
  }, milliseconds);
  const code = await closed;
  await drained;
  clearTimeout(timer);
  if (code !== null && code !== 0) throw new Error(`the node ended with ${code}`);
  counts.rounds++;
}

async function hashOf(node: StorageNode, name: string): Promise<string | undefined> {
  const reader = await node.open('b', name);
  if (reader === undefined) return undefined;
  const hash = createHash('sha256');
  for await (const piece of reader.body()) hash.update(piece);
  return hash.digest('hex');
}

async function check(): Promise<void> {
  const node = await StorageNode.open(data, { upkeepMs: 0 });
  let objects = 0;
  for (const [name, { acknowledged, others }] of states) {
    const found = await hashOf(node, name);
    counts.checked++;
    if (found !== undefined) objects++;
    if (found !== acknowledged && !others.has(found)) {
      throw new Error(`${name}: ${found ?? 'nothing'} instead of ${acknowledged ?? 'nothing'}`);
    }
    states.set(name, { acknowledged: found, others: new Set() });
  }
  await node.settled();
  const recount = node.recount();
  if (!recount.isExact) throw new Error(`the recount differs: ${JSON.stringify(recount)}`);
  if (recount.objects !== objects) throw new Error(`${recount.objects} objects, not ${objects}`);
  const { damages } = await node.scrub();
  if (damages.length > 0) throw new Error(`damage: ${JSON.stringify(damages)}`);
  await node.close();
}

const endMs = Date.now() + 60_000 * Number(values.minutes);
try {
  for (let seed = 1; Date.now() < endMs; seed++) {
    await round(1_000 + ((seed * 7919) % 4_000), seed);
    await check();
  }
  process.stdout.write(`${JSON.stringify(counts)}\n`);
} finally {
  if (isMounted) execFileSync('umount', [directory]);
  rmSync(directory, { recursive: true, force: true });
}
