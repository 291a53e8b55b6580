import { CheckpointStoreError, type CheckpointSource } from './checkpoint-store.ts';

const MAX_NAME_CHARACTERS = 200;
const PART = '[a-z0-9_-][a-z0-9._-]*';
const NAME = new RegExp(`^${PART}(?:/${PART})*$`);

/**
 * Checks the name of an object of a checkpoint store.
 * @throws TypeError, RangeError
 */
export function checkObjectName(name: unknown): string {
  if (typeof name !== 'string') throw new TypeError('name must be a string');
  if (name.length <= MAX_NAME_CHARACTERS && NAME.test(name)) return name;
  throw new RangeError(
    `name must have 1 to ${MAX_NAME_CHARACTERS} characters: parts of a-z, 0-9, '-', '_' and '.' between slashes, none of which begins with a dot; it is ${JSON.stringify(name)}`,
  );
}

/** The content of a source. Rejects if it does not yield exactly `sizeBytes` bytes. */
export async function* checkedSource(
  name: string,
  source: CheckpointSource,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let doneBytes = 0;
  signal?.throwIfAborted();
  for await (const piece of source.read()) {
    signal?.throwIfAborted();
    doneBytes += piece.length;
    if (doneBytes > source.sizeBytes) break;
    yield piece;
  }
  if (doneBytes === source.sizeBytes) return;
  const much = doneBytes > source.sizeBytes ? 'more' : 'fewer';
  throw new CheckpointStoreError(
    'damaged',
    `${name} was not stored: its source yields ${much} than ${source.sizeBytes} bytes`,
  );
}
