import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createS3Server } from '../../../examples/storage-node/src/s3/s3-server.ts';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { compressNewBuckets } from '../support/compress-new-buckets.ts';
import { mixedBytes } from '../support/mixed-bytes.ts';
import { assertThat } from './tool.ts';

const MIB = 2 ** 20;

export interface ClientWorld {
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Directory for the clients' files. */
  readonly directory: string;
  /** A tree of small, empty and large files with several kinds of names. */
  readonly tree: string;
  close(): Promise<void>;
}

const FILES: readonly (readonly [name: string, bytes: number])[] = [
  ['small.txt', 12],
  ['empty', 0],
  ['a directory/with space & more.bin', 70_000],
  ['a directory/ünïcödé.txt', 100],
  ['a directory/deeper/one.bin', 1],
  ['plus+percent%41.txt', 33],
  ['large.bin', 21 * MIB],
];

/** A node in a new directory, served by S3 on a free loopback port. */
export async function openClientWorld(isCompressed: boolean): Promise<ClientWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'lodestore-clients-'));
  const tree = join(directory, 'tree');
  for (const [name, bytes] of FILES) {
    await mkdir(join(tree, name, '..'), { recursive: true });
    await writeFile(join(tree, name), mixedBytes(bytes));
  }
  const node = await StorageNode.open(join(directory, 'node'));
  if (isCompressed) compressNewBuckets(node);
  const key = { accessKeyId: 'LODESTOREEXAMPLE', secretAccessKey: randomBytes(20).toString('hex') };
  const server = createS3Server(node, { keys: [key] });
  const url = await server.listen();
  const close = async (): Promise<void> => {
    await server.close(0);
    await node.close();
    await rm(directory, { recursive: true });
  };
  return { ...key, url, directory, tree, close };
}

async function filesOf(root: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(root.length), await readFile(path));
  }
  return files;
}

/** @throws Error that names the first file that differs. */
export async function assertSameTree(a: string, b: string): Promise<void> {
  const [first, second] = [await filesOf(a), await filesOf(b)];
  for (const [name, bytes] of first) {
    assertThat(second.get(name)?.equals(bytes) === true, `${name} differs`);
  }
  assertThat(first.size === second.size, `${first.size} files became ${second.size}`);
}

export async function assertSameFile(a: string, b: string): Promise<void> {
  assertThat((await readFile(a)).equals(await readFile(b)), `${a} and ${b} differ`);
}
