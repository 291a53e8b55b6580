/**
 * The I/O that volumes need: the part of `FileSystem` of `lodestore/fs` that they use. All calls
 * reject with the system's error, unchanged.
 */
export interface NodeFiles {
  open(path: string, mode: 'r' | 'r+' | 'wx'): Promise<NodeFile>;
  readDirectory(path: string): Promise<readonly { readonly name: string }[]>;
  stat(path: string): Promise<{ readonly sizeBytes: number }>;
  unlink(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Bytes that an unprivileged writer may still use. */
  freeBytes(path: string): Promise<number>;
}

export interface NodeFile {
  read(target: Uint8Array, position: number): Promise<number>;
  write(source: Uint8Array, position: number): Promise<number>;
  writev(sources: readonly Uint8Array[], position: number): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  trim(position: number, lengthBytes: number): Promise<void>;
  dataSync(): Promise<void>;
  stat(): Promise<{ readonly sizeBytes: number }>;
  close(): Promise<void>;
}

/** Fills `target` from `position` on as far as the file goes; resolves to the number of bytes. */
export async function readFully(
  file: NodeFile,
  target: Uint8Array,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const count = await file.read(done === 0 ? target : target.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Writes all of `sources`: a write may take fewer bytes than it was given. */
export async function writeFully(
  file: NodeFile,
  sources: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = sources;
  let at = position;
  while (rest.length > 0) {
    const written =
      rest.length === 1 ? await file.write(rest[0]!, at) : await file.writev(rest, at);
    if (written === 0) throw new Error('the file system took no bytes and named no error');
    at += written;
    rest = restOf(rest, written);
  }
}

function restOf(sources: readonly Uint8Array[], written: number): readonly Uint8Array[] {
  let skip = written;
  for (let i = 0; i < sources.length; i++) {
    const source = sources[i]!;
    if (skip < source.length) return [source.subarray(skip), ...sources.slice(i + 1)];
    skip -= source.length;
  }
  return [];
}

/** Whether the system refused for want of space, quota, or by a file size limit. */
export function isLackOfSpace(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

export function isMissing(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ENOENT';
}
