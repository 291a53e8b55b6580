import { MetadataStore } from '../store/metadata-store.ts';
import type { KeyspaceOptions } from '../store/keyspace.ts';
import type { CommandContext } from './output/command-context.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { toJson } from './output/json-text.ts';
import { countOf } from './output/number-text.ts';

export interface HashOptions {
  readonly json?: true;
  readonly keyspace?: KeyspaceOptions;
}

/** Prints the content hash of the records, or of a keyspace, that recovery would load. */
export async function hash(
  context: CommandContext,
  directory: string,
  options: HashOptions,
): Promise<number> {
  const { out, bar, signal } = context;
  const store = await MetadataStore.open(directory, {
    readOnly: true,
    signal,
    onProgress: (progress) => bar.report(progress),
  });
  try {
    const { keyspace } = options;
    const reads = keyspace === undefined ? store : store.keyspace(keyspace);
    const content = await reads.contentHash({ signal });
    bar.clear();
    if (options.json === true) out.line(toJson(content));
    else {
      const { hash: digits, records, lastSequence } = content;
      out.line(`${digits}  ${countOf(records, 'record')}, last sequence ${lastSequence}`);
    }
  } finally {
    await store.close();
  }
  await out.flush();
  return EXIT_OK;
}
