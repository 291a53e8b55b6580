import { clearTimeout, nextTurn, setTimeout } from '../base/timers.ts';
import type { Change, ChangeUpdate } from '../store/changes/change.ts';
import { changesOf } from '../store/changes/change.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { LogTrail } from '../inspection/log-trail.ts';

export interface TailOptions {
  readonly after?: bigint;
  readonly follow?: true;
  readonly json?: true;
  readonly data?: true;
}

/** Interval of polling a directory for new batches. */
const POLL_MS = 200;

/** Prints the batches in the logs, in order, and with `follow` also new ones. */
export function tail(
  context: CommandContext,
  directory: string,
  options: TailOptions,
): Promise<number> {
  return onDirectory(context, directory, (held, path) => tailHeld(held, path, options));
}

async function tailHeld(
  context: CommandContext,
  directory: string,
  options: TailOptions,
): Promise<number> {
  const { fs, out, signal } = context;
  const trail = new LogTrail(fs, directory, options.after);
  try {
    for (;;) {
      signal.throwIfAborted();
      const before = options.after ?? 0n;
      const group = await trail.next();
      if (group === undefined) {
        await out.flush();
        if (options.follow !== true) return EXIT_OK;
        await pollPause(signal);
        continue;
      }
      for (const change of changesOf(group, before)) await printChange(context, change, options);
    }
  } finally {
    await trail.close();
  }
}

/** Resolves after the polling interval. Rejects with the signal's reason. */
function pollPause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, POLL_MS);
    signal.addEventListener('abort', stop, { once: true });
  });
}

async function printChange(
  context: CommandContext,
  change: Change,
  options: TailOptions,
): Promise<void> {
  const { out, signal } = context;
  const isJson = options.json === true;
  const showsData = options.data === true;
  if (isJson) out.write(`{"sequence":"${change.sequence}","updates":[`);
  let isFirst = true;
  for (const update of change.updates) {
    if (isJson) out.write((isFirst ? '' : ',') + jsonOf(update, showsData));
    else out.line(`${change.sequence} ${textOf(update, showsData)}`);
    isFirst = false;
    if (out.isFull) await out.flush();
  }
  if (isJson) out.line(']}');
  if (!out.isFull) return;
  await out.flush();
  // Yields to the event loop, so that Ctrl-C is handled.
  await nextTurn();
  signal.throwIfAborted();
}

function textOf(update: ChangeUpdate, showsData: boolean): string {
  if (update.type === 'del') return `del ${update.key}`;
  if (update.type === 'deleteRange') return `deleteRange ${update.gte} ${update.lte}`;
  const line = `put ${update.key} ${update.value} ${update.data.length}`;
  return showsData ? `${line} ${hexOf(update.data)}`.trimEnd() : line;
}

function jsonOf(update: ChangeUpdate, showsData: boolean): string {
  if (update.type === 'del') return `{"type":"del","key":"${update.key}"}`;
  if (update.type === 'deleteRange') {
    return `{"type":"deleteRange","gte":"${update.gte}","lte":"${update.lte}"}`;
  }
  const { key, value, data } = update;
  const hex = showsData ? `,"data":"${hexOf(data)}"` : '';
  return `{"type":"put","key":"${key}","value":"${value}","dataLength":${data.length}${hex}}`;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
