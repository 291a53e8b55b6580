// Uses the installed package without any file of the checkout.
import assert from 'node:assert/strict';
import { MetadataStore, StoreLockedError, WriteBatch } from 'lodestore';
import { nodeFileSystem } from 'lodestore/fs';
import { CrashFs, openOn } from 'lodestore/testing';

const store = await MetadataStore.open('./meta');
const batch = new WriteBatch();
for (let key = 1; key <= 100_000; key++) batch.put(key, key, Buffer.from(`object ${key}`));
await store.insertBatch(batch);
await assert.rejects(MetadataStore.open('./meta'), StoreLockedError);
await store.merge();
await store.close();

const again = await MetadataStore.open('./meta', { fileSystem: nodeFileSystem });
assert.equal(again.size, 100_000);
assert.equal(Buffer.from(again.get(77n).data).toString(), 'object 77');
await again.close();

const fs = new CrashFs();
const simulated = await openOn(fs, '/meta');
await simulated.insertBatch([{ type: 'put', key: 1, value: 2 }]);
const crashed = await openOn(fs.minimalCrash(), '/meta');
assert.equal(crashed.get(1).value, 2n);
console.log('the packed package works');
