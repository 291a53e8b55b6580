import type { Change, ChangeUpdate, Update } from '../../src/index.ts';

/** A batch of one update. */
export function put(key: number, value: number, data = ''): Update[] {
  return [{ type: 'put', key, value, data: Buffer.from(data) }];
}

function textOfUpdate(update: ChangeUpdate): string {
  if (update.type === 'del') return `-${update.key}`;
  if (update.type === 'deleteRange') return `-${update.gte}..${update.lte}`;
  return `${update.key}=${update.value}:${Buffer.from(update.data).toString('utf8')}`;
}

/** One line per change: sequence and updates. */
export function textOf(change: Change): string {
  return `${change.sequence} ${[...change.updates].map(textOfUpdate).join(' ')}`;
}

/** The next `count` changes as lines. Throws if the feed ends before. */
export async function take(feed: AsyncIterator<Change>, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) {
    const { done, value } = await feed.next();
    if (done === true) throw new Error(`the feed ended after ${lines.length} changes`);
    lines.push(textOf(value));
  }
  return lines;
}

/** All remaining changes until the feed ends. */
export async function rest(feed: AsyncIterable<Change>): Promise<string[]> {
  const lines: string[] = [];
  for await (const change of feed) lines.push(textOf(change));
  return lines;
}

/** Resolves to whether a promise is pending after all work that can proceed without it. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  return !settled;
}
