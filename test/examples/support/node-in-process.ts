import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { makeExposition } from '../../../examples/storage-node/exposition.mjs';
import { createHttpServer } from '../../../examples/storage-node/http-server.mjs';
import { Metrics } from '../../../examples/storage-node/metrics.mjs';
import { ObjectIndex } from '../../../examples/storage-node/object-index.mjs';
import { ObjectStore } from '../../../examples/storage-node/object-store.mjs';
import { VolumeSet } from '../../../examples/storage-node/volume-set.mjs';
import { MetadataStore } from '../../../src/index.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

export interface NodeOptions {
  readonly hash?: (name: string) => bigint;
  readonly volumeBytes?: number;
  readonly maxObjectBytes?: number;
  readonly maxUploads?: number;
  /** Where `/metrics` gets prom-client and lodestore's entry for it from. */
  readonly load?: Parameters<typeof makeExposition>[1];
}

const loadSources = () =>
  Promise.all([import('prom-client'), import('../../../src/metrics/prometheus.ts')]);

export interface NodeInProcess {
  readonly url: string;
  readonly directory: string;
  readonly server: Server;
  readonly objects: ObjectStore;
  readonly metadata: MetadataStore;
  readonly volumes: VolumeSet;
  /** What the node logged. */
  readonly said: string[];
}

/** A storage node of the running test, on a port of its own. */
export async function startNode(options: NodeOptions = {}): Promise<NodeInProcess> {
  const { volumeBytes = 2 ** 30, maxObjectBytes = 2 ** 30, maxUploads = 64 } = options;
  const directory = await temporaryDirectory();
  const metadata = await MetadataStore.open(join(directory, 'metadata'));
  const volumes = await VolumeSet.open(join(directory, 'volumes'), { volumeBytes });
  const objects = new ObjectStore(new ObjectIndex(metadata, options.hash), volumes);
  const metrics = new Metrics();
  const stats = async () => ({
    objects: objects.size,
    requests: metrics.stats(),
    volumes: await volumes.stats(),
    metadata: metadata.stats(),
    recovery: metadata.recovery,
  });
  const exposition = await makeExposition(
    { metadata, metrics, objects, volumes },
    options.load ?? loadSources,
  );
  const said: string[] = [];
  const server = createHttpServer(
    { objects, metrics, stats, exposition },
    { maxObjectBytes, maxUploads, log: (message) => said.push(message) },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await metadata.close();
    await volumes.close();
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return { url, directory, server, objects, metadata, volumes, said };
}

/** Stores a text under `name`, already percent-encoded. */
export async function put(url: string, name: string, text: string): Promise<Response> {
  return fetch(`${url}/objects/${name}`, { method: 'PUT', body: text });
}

/** The text under `name`, or the status that came instead. */
export async function get(url: string, name: string): Promise<string | number> {
  const response = await fetch(`${url}/objects/${name}`);
  const text = await response.text();
  return response.ok ? text : response.status;
}
