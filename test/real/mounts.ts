import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, hasTool, isRoot, kernelHas, must } from './shell.ts';

export const FILE_SYSTEMS = ['ext4', 'xfs', 'btrfs'] as const;
export type FileSystemName = (typeof FILE_SYSTEMS)[number];

/** Why a file system of this type cannot be created and mounted here; undefined if it can. */
export function whyNot(name: string): string | undefined {
  if (!isRoot) return 'mounting needs root';
  if (!kernelHas(name)) return `the kernel has no ${name}`;
  if (!hasTool(`mkfs.${name}`)) return `there is no mkfs.${name}`;
  if (!hasTool('losetup')) return 'there is no losetup';
  return undefined;
}

/** A file system in a file, on a loop device. */
export class LoopMount {
  readonly name: FileSystemName;
  readonly image: string;
  readonly path: string;
  #device: string | undefined;

  private constructor(name: FileSystemName, image: string, path: string) {
    this.name = name;
    this.image = image;
    this.path = path;
  }

  /** Creates a new, empty one below `directory`. */
  static make(name: FileSystemName, directory: string, sizeMiB: number): LoopMount {
    const image = join(directory, `${name}.image`);
    must('truncate', '-s', `${sizeMiB}M`, image);
    // Without --mixed, a small btrfs divides its space between data and metadata.
    const quiet = name === 'btrfs' ? ['-q', '--mixed'] : ['-q'];
    must(`mkfs.${name}`, ...quiet, image);
    return LoopMount.of(name, image, join(directory, name));
  }

  /** Mounts an existing image. */
  static of(name: FileSystemName, image: string, path: string): LoopMount {
    mkdirSync(path, { recursive: true });
    const mount = new LoopMount(name, image, path);
    mount.mount();
    return mount;
  }

  mount(): void {
    // With direct I/O, everything that reaches the device is in the image at once.
    this.#device = must('losetup', '--find', '--show', '--direct-io=on', this.image);
    const problem = attempt('mount', '-t', this.name, this.#device, this.path);
    if (problem === undefined) return;
    must('losetup', '--detach', this.#device);
    throw new Error(`${this.name} of ${this.image} does not mount: ${problem}`);
  }

  unmount(): void {
    if (this.#device === undefined) return;
    must('umount', this.path);
    must('losetup', '--detach', this.#device);
    this.#device = undefined;
  }

  /** Unmounts if mounted. Never throws. */
  discard(): void {
    if (this.#device !== undefined) {
      attempt('umount', '--lazy', this.path);
      attempt('losetup', '--detach', this.#device);
    }
    rmSync(this.image, { force: true });
  }
}

/** A file of this many bytes that really takes the space. */
export function writeBallast(path: string, lengthBytes: number): void {
  writeFileSync(path, Buffer.alloc(lengthBytes, 0xb5));
}
