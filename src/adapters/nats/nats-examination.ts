import type { StreamConfig } from '@nats-io/jetstream';
import { UnfitEngineError } from '../../replicated/log/log-errors.ts';
import type { EngineFinding } from '../engine.ts';
import { compareVersions, parseVersion } from '../version.ts';

/** Fields of `/varz` at a server's monitoring port. */
interface ServerVariables {
  readonly server_name?: string;
  readonly version?: string;
  readonly jetstream?: { readonly config?: { readonly sync_always?: boolean } };
  readonly cluster?: { readonly urls?: readonly string[] };
}

/** Why a server of this version is refused; undefined if it is accepted. */
export function unfitNatsVersion(text: string): string | undefined {
  const version = parseVersion(text);
  if (version === undefined) return `it tells no version (${JSON.stringify(text)})`;
  if (compareVersions(version, [2, 10, 27]) >= 0) return undefined;
  return `NATS ${text} is older than 2.10.27: earlier versions cannot sync each entry, or let two writers append at one position`;
}

/** The largest entry of a log. */
export const MAX_ENTRY_BYTES: number = 256 * 1024;
/** `max_payload` and `max_msg_size` count the headers of a message too. */
const MAX_MESSAGE_BYTES: number = MAX_ENTRY_BYTES + 16 * 1024;

/** Why a server that accepts messages of this size is refused; undefined if it is accepted. */
export function unfitNatsPayload(maxPayloadBytes: number | undefined): string | undefined {
  if (maxPayloadBytes === undefined || maxPayloadBytes >= MAX_MESSAGE_BYTES) return undefined;
  return `max_payload is ${maxPayloadBytes} bytes, and an entry of a log may need ${MAX_MESSAGE_BYTES}: raise it`;
}

/** The settings of a stream whose messages stay until they are purged. */
export const LASTING_STREAM = { storage: 'file', retention: 'limits', max_age: 0 } as const;

/** The settings of the stream of a log: only a purge from the front can remove its entries. */
export const LOG_STREAM = {
  storage: 'file',
  retention: 'limits',
  max_age: 0,
  // A full stream refuses new entries.
  discard: 'new',
  max_msgs_per_subject: -1,
  max_msg_size: -1,
  max_consumers: -1,
  deny_delete: true,
  deny_purge: false,
  no_ack: false,
} as const;

const FIXED_SETTINGS = [
  'storage',
  'retention',
  'discard',
  'max_age',
  'max_msgs_per_subject',
  'max_consumers',
  'deny_purge',
  'no_ack',
] as const satisfies readonly (keyof StreamConfig)[];

/** What another value of a setting does. */
const EFFECTS: ReadonlyMap<string, string> = new Map([
  ['max_consumers', 'it would refuse readers'],
  ['deny_purge', 'it could not be trimmed'],
  ['no_ack', 'it would acknowledge nothing'],
  ['max_msg_size', 'it would refuse large entries'],
]);

/** Finds a setting with which an existing stream is no use; undefined if there is none. */
export function unfitNatsStream(
  wanted: Partial<StreamConfig>,
  found: Partial<StreamConfig>,
): EngineFinding | undefined {
  const unfit = (check: string, value: string, remedy: string): EngineFinding => {
    const effect = EFFECTS.get(check) ?? 'its messages would not last';
    const text = `the stream ${wanted.name} has ${check} = ${value}: ${effect}`;
    return { check, state: 'unfit', text, remedy };
  };
  for (const check of FIXED_SETTINGS) {
    const [value, actual] = [wanted[check], found[check]];
    const isWantedLimit = typeof value === 'number' && !isUnlimited(value);
    const isSame = value === (actual ?? false) || (isUnlimited(value) && isUnlimited(actual ?? -1));
    if (value === undefined || isWantedLimit || isSame) continue;
    return unfit(check, String(actual), `set it to ${value}, or use another name`);
  }
  const { persist_mode: mode, max_msg_size: largestBytes = -1 } = found;
  const isSmall = !isUnlimited(largestBytes) && largestBytes < MAX_MESSAGE_BYTES;
  if (wanted.max_msg_size !== undefined && isSmall) {
    return unfit('max_msg_size', String(largestBytes), `raise it to ${MAX_MESSAGE_BYTES}`);
  }
  return mode === 'async' ? unfit('persist_mode', mode, 'use another name') : undefined;
}

/** A limit that is not positive is none. */
function isUnlimited(value: unknown): boolean {
  return typeof value === 'number' && value <= 0;
}

/** Whether the loss of a server loses the entries of a stream. */
export function replicaFinding({ name, num_replicas: count }: StreamConfig): EngineFinding {
  const check = 'num_replicas';
  if (count > 1) return { check, state: 'good', text: `the stream ${name} has ${count} replicas` };
  const text = `the stream ${name} has one replica: the loss of its server loses entries`;
  return { check, state: 'warning', text, remedy: 'set its num_replicas to 3' };
}

const ALWAYS = 'set `sync_interval: always` in the block `jetstream` of each server';

/** Checks version and syncs of a server through its monitoring port. */
export async function examineMonitor(url: string, timeoutMs: number): Promise<EngineFinding[]> {
  let found: ServerVariables;
  try {
    const response = await fetch(new URL('/varz', url), { signal: AbortSignal.timeout(timeoutMs) });
    found = (await response.json()) as ServerVariables;
  } catch (error) {
    const text = `the monitoring port ${url} does not answer: ${(error as Error).message}`;
    return [{ check: 'sync', state: 'unknown', text }];
  }
  const unfit = unfitNatsVersion(found.version ?? '');
  const version: EngineFinding =
    unfit === undefined
      ? { check: 'version', state: 'good', text: `${url} has NATS ${found.version}` }
      : { check: 'version', state: 'unfit', text: `${url}: ${unfit}`, remedy: 'upgrade it' };
  return [version, syncFinding(url, found)];
}

function syncFinding(url: string, { jetstream }: ServerVariables): EngineFinding {
  const check = 'sync';
  if (jetstream?.config === undefined) {
    return { check, state: 'unfit', text: `${url} has no JetStream`, remedy: 'enable JetStream' };
  }
  if (jetstream.config.sync_always === true) {
    return { check, state: 'good', text: `${url} syncs each entry` };
  }
  const text = `${url} acknowledges entries before it syncs them: a power failure of all servers loses them`;
  return { check, state: 'unfit', text, remedy: ALWAYS };
}

/** Without monitoring ports, it is unknown whether the servers sync. */
export function unseenSyncs(): EngineFinding {
  return {
    check: 'sync',
    state: 'unknown',
    text: 'whether the servers sync each entry is not visible without monitoring ports',
    remedy: `${ALWAYS}, and give the option \`monitors\``,
  };
}

/**
 * Refuses servers that report that they do not sync each entry.
 * @throws UnfitEngineError
 */
export async function requireSyncs(monitors: readonly string[], timeoutMs: number): Promise<void> {
  for (const url of monitors) {
    const findings = await examineMonitor(url, timeoutMs);
    const unfit = findings.find(({ state }) => state === 'unfit');
    if (unfit === undefined) continue;
    const setting = unfit.check === 'sync' ? 'sync_interval' : unfit.check;
    throw new UnfitEngineError(setting, `${unfit.text}: ${unfit.remedy}`);
  }
}
