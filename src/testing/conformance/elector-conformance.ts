import assert from 'node:assert/strict';
import type { Elector, Leadership } from '../../replicated/log/elector.ts';
import { settled, type CaseOf, type ConformanceCase } from './conformance-case.ts';
import { rejection } from './opened-log.ts';

/** An election that a case runs on. */
export interface ElectorSubject {
  /** An elector of one election. Nobody has won it when the case begins. */
  open(): Promise<Elector>;
}

/** Candidates of one case. */
class Candidates {
  readonly #subject: ElectorSubject;
  readonly #resign: AbortController[] = [];

  constructor(subject: ElectorSubject) {
    this.#subject = subject;
  }

  async add(id: string): Promise<Candidate> {
    const elector = await this.#subject.open();
    const resign = new AbortController();
    this.#resign.push(resign);
    return { resign, won: elector.campaign(id, { signal: resign.signal }) };
  }

  close(): void {
    for (const one of this.#resign) one.abort(new Error('the case is over'));
  }
}

interface Candidate {
  readonly resign: AbortController;
  readonly won: Promise<Leadership>;
}

const CASES: readonly CaseOf<Candidates>[] = [
  { name: 'a lone candidate is elected and stays elected', check: checkAlone },
  { name: 'the next candidate is elected when the winner resigns', check: checkResign },
  { name: 'an aborted campaign rejects with the reason', check: checkAbort },
  { name: 'each of several candidates is elected in turn', check: checkAll },
];

/** The conformance suite for electors. Used like `sharedLogConformance`. */
export function electorConformance(
  makeSubject: () => ElectorSubject | Promise<ElectorSubject>,
): ConformanceCase[] {
  return CASES.map(({ name, check }) => ({
    name,
    run: async () => {
      const candidates = new Candidates(await makeSubject());
      try {
        await check(candidates);
      } finally {
        candidates.close();
      }
    },
  }));
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  // Wait several turns, so that a promise that has settled wins the race.
  let turns = Promise.resolve('pending');
  for (let i = 0; i < 5; i++) turns = turns.then((it) => it);
  return (await Promise.race([promise.then(() => 'settled'), turns])) === 'pending';
}

async function checkAlone(candidates: Candidates): Promise<void> {
  const first = await candidates.add('first');
  const { lost } = await settled(first.won, 'a lone candidate');
  assert.ok(await isPending(lost), 'an election that was just won is not lost');
}

async function checkResign(candidates: Candidates): Promise<void> {
  const first = await candidates.add('first');
  const { lost } = await settled(first.won, 'the first candidate');
  const second = await candidates.add('second');
  assert.ok(await isPending(second.won), 'a second candidate waits while the first is elected');
  first.resign.abort(new Error('resigned'));
  await settled(lost, '`lost` of a winner that resigned');
  await settled(second.won, 'the second candidate, after the first resigned');
}

async function checkAbort(candidates: Candidates): Promise<void> {
  const first = await candidates.add('first');
  await settled(first.won, 'the first candidate');
  const second = await candidates.add('second');
  const reason = new Error('no longer');
  second.resign.abort(reason);
  assert.equal(await rejection(second.won, 'an aborted campaign'), reason);
}

async function checkAll(candidates: Candidates): Promise<void> {
  const waiting = new Map<string, Candidate>();
  for (const id of ['a', 'b', 'c']) waiting.set(id, await candidates.add(id));
  while (waiting.size > 0) {
    const races = [...waiting].map(async ([id, { won }]) => won.then(() => id));
    const id = await settled(Promise.race(races), `an election with ${waiting.size} candidates`);
    waiting.get(id)!.resign.abort(new Error('resigned'));
    waiting.delete(id);
  }
}
