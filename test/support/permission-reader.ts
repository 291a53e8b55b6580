import { Directory } from '../../src/fs/directory.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore } from '../../src/index.ts';

/**
 * Opens a store under Node's permission model. Prints how its directory is reached, and its
 * contents.
 */
const path = process.argv[2] ?? '';
const directory = await Directory.open(nodeFileSystem, path);
const { access, realPath } = directory.reference;
await directory.close();
const store = await MetadataStore.open(path, { readOnly: true, threads: 1 });
const keys = [...store.keys()].map(Number);
await store.close();
process.stdout.write(JSON.stringify({ isByPath: access === realPath, keys }));
