import { MetadataStore } from '../../src/index.ts';

/** Opens a store and waits forever: Node exits with code 13. */
const store = await MetadataStore.open(process.argv[2] ?? '');
await store.insertBatch([{ type: 'put', key: 1, value: 1 }]);
await new Promise(() => undefined);
