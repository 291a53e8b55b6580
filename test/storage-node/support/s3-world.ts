import { S3Client } from '@aws-sdk/client-s3';
import type { ObjectNode } from '../../../examples/storage-node/src/object-node.ts';
import {
  createS3Server,
  type S3Server,
  type S3ServerOptions,
} from '../../../examples/storage-node/src/s3/s3-server.ts';
import type { AccessEntry } from '../../../examples/storage-node/src/s3/s3-stats.ts';
import { MemoryNode } from './memory-node.ts';
import { KEY } from './signed-request.ts';

export interface S3World {
  readonly node: ObjectNode;
  readonly server: S3Server;
  readonly url: string;
  readonly client: S3Client;
  /** All requests so far. */
  readonly entries: AccessEntry[];
  close(): Promise<void>;
}

/** A server on a free loopback port, by default with a node in memory. */
export async function openWorld(
  options: Partial<S3ServerOptions> = {},
  node: ObjectNode = new MemoryNode(),
): Promise<S3World> {
  const entries: AccessEntry[] = [];
  const server = createS3Server(node, {
    keys: [KEY],
    log: (entry) => entries.push(entry),
    ...options,
  });
  const url = await server.listen();
  const client = new S3Client({
    endpoint: url,
    region: 'us-east-1',
    credentials: KEY,
    forcePathStyle: true,
    maxAttempts: 1,
  });
  const close = async (): Promise<void> => {
    client.destroy();
    await server.close(0);
  };
  return { node, server, url, client, entries, close };
}
