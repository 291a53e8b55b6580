/** A version as numbers: major, minor, patch. */
export type EngineVersion = readonly [major: number, minor: number, patch: number];

/** Parses the three numbers at the start of a version; undefined if there are none. */
export function parseVersion(text: string): EngineVersion | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return undefined;
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

/** Negative, 0 or positive if `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: EngineVersion, b: EngineVersion): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
