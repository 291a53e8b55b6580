// The optional entries of the installed package, with their peer packages.
import assert from 'node:assert/strict';
import { metrics } from '@opentelemetry/api';
import { MetadataStore } from 'lodestore';
import { observeStore } from 'lodestore/opentelemetry';
import { collectStore } from 'lodestore/prometheus';
import { register } from 'prom-client';

const store = await MetadataStore.open('./meta');
collectStore(store, { labels: { store: 'consumer' } });
observeStore(metrics.getMeter('consumer'), store);
await store.insertBatch([{ type: 'put', key: 1, value: 2 }]);
const text = await register.metrics();
assert.match(text, /^lodestore_records\{store="consumer"\} \d+$/m);
assert.match(text, /^lodestore_batch_seconds_count\{store="consumer"\} 1$/m);
await store.close();
assert.equal((await register.metrics()).includes('lodestore_'), false);
console.log('the entries for metrics work');
