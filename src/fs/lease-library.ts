import nodeModule from 'node:module';
import { dirname, sep } from 'node:path';
import { packageRequire } from '../base/require.ts';

type LeaseLibrary = typeof import('proper-lockfile');

let library: LeaseLibrary | undefined;

/**
 * Loads `proper-lockfile` without its exit hook. The hook uses `signal-exit`, which reacts to
 * signals: it removes the leases and sends the signal again. A process that survives the signal,
 * for example PID 1 of a container, would continue without its lease.
 *
 * The library is therefore a private instance, loaded with a `signal-exit` that registers nothing.
 * Afterwards the module cache is restored: an application that uses either package gets its own
 * instance, with its hooks.
 */
export function loadLeaseLibrary(): LeaseLibrary {
  library ??= loadWithoutHook();
  return library;
}

function loadWithoutHook(): LeaseLibrary {
  const entry = packageRequire.resolve('proper-lockfile');
  const hookPath = nodeModule.createRequire(entry).resolve('signal-exit');
  const folder = dirname(entry) + sep;
  const isPrivate = (path: string): boolean =>
    path === hookPath ||
    (path.startsWith(folder) && !path.slice(folder.length).includes('node_modules'));
  const { cache } = packageRequire;
  const cached = Object.entries(cache).filter(([path]) => isPrivate(path));
  for (const [path] of cached) delete cache[path];
  cache[hookPath] = moduleOf(hookPath, () => () => undefined);
  try {
    return packageRequire(entry) as LeaseLibrary;
  } finally {
    for (const path of Object.keys(cache)) if (isPrivate(path)) delete cache[path];
    for (const [path, module] of cached) cache[path] = module;
  }
}

function moduleOf(path: string, exports: unknown): NodeJS.Module {
  return Object.assign(new nodeModule.Module(path), { filename: path, loaded: true, exports });
}
