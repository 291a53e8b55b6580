import { compareVersions, parseVersion } from '../version.ts';

/** Why a server of this version is refused; undefined if it is accepted. */
export function unfitEtcdVersion(text: string): string | undefined {
  const version = parseVersion(text);
  if (version === undefined) return `it tells no version (${JSON.stringify(text)})`;
  if (compareVersions(version, [3, 4, 23]) < 0) {
    return `etcd ${text} is older than 3.4.23: use 3.4.23 or newer, but not 3.5.0 to 3.5.2`;
  }
  if (compareVersions(version, [3, 5, 0]) >= 0 && compareVersions(version, [3, 5, 3]) < 0) {
    return `etcd ${text} may lose acknowledged entries when it is killed (fixed in 3.5.3): use 3.5.3 or newer`;
  }
  return undefined;
}
