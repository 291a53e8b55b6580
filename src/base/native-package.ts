import { NativePackageError } from './errors.ts';
import { requirePackage } from './require.ts';

/** By package: why its binary may be missing, and the remedy. */
const REMEDIES: Readonly<Record<string, string>> = {
  'zstd-napi':
    'Its install script did not run. npm: `npm rebuild zstd-napi`, without --ignore-scripts, and where ' +
    'npm blocks such scripts first `npm install-scripts approve zstd-napi`; ' +
    'pnpm: `pnpm approve-builds`, then `pnpm rebuild zstd-napi`; yarn: `yarn rebuild zstd-napi`. ' +
    'Or run Node.js 22.15 or later, which has its own zstd',
  '@node-rs/crc32':
    'Its binary is an optional dependency for each platform. Install on the platform that runs the store, ' +
    'without --omit=optional (npm), --no-optional (pnpm), or supportedArchitectures that leave it out (pnpm, yarn)',
  'fs-native-extensions':
    'It brings binaries for Linux, macOS and Windows. Install it on the platform that runs the store ' +
    '(npm ci, pnpm install, yarn install) instead of copying node_modules',
};

/**
 * Loads a package with a native part. `path` is the module to load. Default: the package itself.
 *
 * @throws NativePackageError if the package or its binary is missing or does not fit this platform
 */
export function requireNative(packageName: string, path: string = packageName): unknown {
  try {
    return requirePackage(path);
  } catch (cause) {
    if (isDisabled(cause)) {
      throw new NativePackageError(
        packageName,
        `the native part of ${packageName} could not be loaded, because native add-ons are switched off in ` +
          'this process. Start Node.js without --no-addons; with its permission model, give --allow-addons.',
        { cause },
      );
    }
    const reason = (cause as Error).message.split('\n')[0]!.replace(/\.+$/, '');
    const where = `${process.platform}-${process.arch}, Node.js ${process.versions.node}`;
    const remedy = REMEDIES[packageName] ?? 'Install it again';
    throw new NativePackageError(
      packageName,
      `the native part of ${packageName} could not be loaded (${where}): ${reason}. ${remedy}.`,
      { cause },
    );
  }
}

/** Loaders of packages wrap the error of Node.js in their own, and some leave out its code. */
function isDisabled(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_DLOPEN_DISABLED' || /loading addons is disabled/.test(error.message))
    return true;
  return isDisabled(error.cause);
}
