import { close, closeSync, constants, fstat, fstatSync, fsync, open, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { systemCode } from '../base/errors.ts';

/** So that opening a FIFO does not wait for another process. Windows has no FIFOs among files. */
export const NONBLOCKING: number = constants.O_NONBLOCK ?? 0;

/** Opens a raw descriptor. A new file gets mode 0666 less the umask. */
export function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, 0o666, (error, descriptor) => (error ? reject(error) : resolve(descriptor)));
  });
}

/**
 * Opens a file as {@link openDescriptor} does, without waiting for another process. A directory may
 * be opened for reading. Rejects `ESPIPE` if the path leads to a FIFO, a socket or a device.
 */
export async function openFileDescriptor(path: string, flags: number): Promise<number> {
  const descriptor = await openDescriptor(path, flags | NONBLOCKING).catch((error: unknown) => {
    // Linux refuses to open a socket.
    const isSocket = systemCode(error) === 'ENXIO' && statSync(path).isSocket();
    throw isSocket ? notAFile(path) : error;
  });
  requireFile(descriptor, path);
  return descriptor;
}

/** Closes the descriptor, and throws, unless it is of a file or a directory. */
export function requireFile(descriptor: number, path: string): void {
  const stats = fstatSync(descriptor);
  if (stats.isFile() || stats.isDirectory()) return;
  closeSync(descriptor);
  throw notAFile(path);
}

function notAFile(path: string): NodeJS.ErrnoException {
  const message = `ESPIPE: neither a file nor a directory, open '${path}'`;
  return Object.assign(new Error(message), { code: 'ESPIPE', syscall: 'open', path });
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
