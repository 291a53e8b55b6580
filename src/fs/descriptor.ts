import { close, fstat, fsync, open } from 'node:fs';
import type { BigIntStats } from 'node:fs';

/** Opens a raw descriptor. A new file gets mode 0666 less the umask. */
export function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, 0o666, (error, descriptor) => (error ? reject(error) : resolve(descriptor)));
  });
}

export function syncDescriptor(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(descriptor, (error) => (error ? reject(error) : resolve()));
  });
}

export function closeDescriptor(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    close(descriptor, (error) => (error ? reject(error) : resolve()));
  });
}

export function statDescriptor(descriptor: number): Promise<BigIntStats> {
  return new Promise((resolve, reject) => {
    fstat(descriptor, { bigint: true }, (error, stats) => (error ? reject(error) : resolve(stats)));
  });
}
