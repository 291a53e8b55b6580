import { loadCrc } from './crc.ts';
import { zstd } from './zstd.ts';

/**
 * Loads what the codecs need of native packages, before anything is opened.
 *
 * @throws NativePackageError that names the package and says what brings it
 */
export function loadNativeParts(): void {
  loadCrc();
  zstd();
}
