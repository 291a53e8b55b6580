import {
  CheckpointStoreError,
  type CheckpointObject,
  type CheckpointSource,
  type CheckpointStore,
} from '../../replicated/checkpoint/checkpoint-store.ts';

/** A checkpoint store in memory, for tests. */
export class MemoryCheckpoints implements CheckpointStore {
  objects: Map<string, Uint8Array> = new Map();

  /** A new handle of the same objects. Closing it leaves the others open. */
  connect(): MemoryCheckpoints {
    const other = new MemoryCheckpoints();
    other.objects = this.objects;
    return other;
  }

  async put(name: string, source: CheckpointSource): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const part of source.read()) parts.push(part.slice());
    const bytes = Buffer.concat(parts);
    if (bytes.length !== source.sizeBytes) {
      throw new CheckpointStoreError('unavailable', `${name} does not have the declared size`);
    }
    this.objects.set(name, bytes);
  }

  async *get(name: string): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    const bytes = this.objects.get(name);
    if (bytes === undefined) throw new CheckpointStoreError('not-found', `there is no ${name}`);
    yield bytes;
  }

  async *list(prefix: string): AsyncGenerator<CheckpointObject> {
    await Promise.resolve();
    for (const [name, { length: sizeBytes }] of this.objects) {
      if (name.startsWith(prefix)) yield { name, sizeBytes };
    }
  }

  async delete(name: string): Promise<void> {
    this.objects.delete(name);
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}
