import { statSync } from 'node:fs';
import type { DirectoryReference } from '../../src/fs/file-system.ts';

const { dev, ino } = statSync('/', { bigint: true });

/** For threads whose jobs need no file, or only missing ones. */
export const NOWHERE: DirectoryReference = {
  realPath: '/',
  access: '/',
  identity: { device: dev, inode: ino },
};
