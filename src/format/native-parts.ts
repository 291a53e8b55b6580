import { loadCrc } from './crc.ts';
import { zstd } from './zstd.ts';

/**
 * Loads the native packages that the codecs need, before any file is opened.
 *
 * @throws NativePackageError that names the package and the remedy
 */
export function loadNativeParts(): void {
  loadCrc();
  zstd();
}
