import { MetadataStore } from '../../src/index.ts';

/** Waits in a read-only store for batch 2, with nothing else to do. Tells the parent. */
const store = await MetadataStore.open(process.argv[2] ?? '', { readOnly: true });
const reached = store.reached(2);
process.send!('waiting');
process.disconnect();
await reached;
await store.close();
