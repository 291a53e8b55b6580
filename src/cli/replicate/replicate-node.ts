import type { WrittenCheckpoint } from '../../replicated/checkpoint/checkpoints.ts';
import { DirectoryCheckpoints } from '../../replicated/checkpoint/directory-checkpoints.ts';
import { ReplicatedStore } from '../../replicated/node/replicated-store.ts';
import type { CommandContext } from '../output/command-context.ts';
import { tellingIfInterrupted } from '../output/command-errors.ts';
import { EXIT_OK } from '../output/exit-code.ts';
import { toJson } from '../output/json-text.ts';
import type { ReplicateOptions } from './log-view.ts';

/**
 * Opens a directory that no other process has open, as a replica, and applies the log to its end.
 */
async function withNode<T>(
  { signal }: CommandContext,
  directory: string,
  options: ReplicateOptions,
  act: (store: ReplicatedStore) => Promise<T>,
): Promise<T> {
  const engine = await options.engine.connect();
  try {
    const { checkpoints } = options;
    const log = await engine.log(options.log);
    const store = await ReplicatedStore.open(directory, {
      log,
      checkpoints:
        checkpoints === undefined ? undefined : await DirectoryCheckpoints.open(checkpoints),
      signal,
    });
    try {
      const { last } = await log.bounds({ signal });
      await store.reached(last, { signal });
      return await act(store);
    } finally {
      await store.close();
    }
  } finally {
    await engine.close();
  }
}

/** Makes a node the primary, which fences the previous one. */
export function replicatePromote(
  context: CommandContext,
  directory: string,
  options: ReplicateOptions,
): Promise<number> {
  const standing = 'if the node has taken over, the previous primary is fenced; run it again';
  return tellingIfInterrupted(context, standing, () =>
    withNode(context, directory, options, async (store) => {
      await store.promote({ signal: context.signal });
      const { position, epoch } = store.stats().replica;
      const { out } = context;
      if (options.json === true) out.line(toJson({ position, epoch }, 2));
      else
        out.line(
          `took over at position ${position}, epoch ${epoch}: the previous primary is fenced`,
        );
      await out.flush();
      return EXIT_OK;
    }),
  );
}

/** Closing the node ends an upload. */
async function checkpointUnless(
  signal: AbortSignal,
  store: ReplicatedStore,
): Promise<WrittenCheckpoint> {
  const stop = (): void => void store.close().catch(() => undefined);
  signal.throwIfAborted();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await store.checkpoint();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Applies the log to its end, and writes a checkpoint. */
export function replicateCheckpoint(
  context: CommandContext,
  directory: string,
  options: ReplicateOptions,
): Promise<number> {
  const standing = 'an unfinished checkpoint is not used; run it again';
  return tellingIfInterrupted(context, standing, () =>
    withNode(context, directory, options, async (store) => {
      const written = await checkpointUnless(context.signal, store);
      const { out } = context;
      if (options.json === true) out.line(toJson(written, 2));
      else {
        const { name, bytes, uploadedBytes } = written;
        out.line(`${name}: ${bytes} bytes, of which ${uploadedBytes} are new`);
      }
      await out.flush();
      return EXIT_OK;
    }),
  );
}
