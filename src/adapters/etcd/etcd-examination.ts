import type { EngineFinding } from '../engine.ts';
import type { EtcdAnswer } from './etcd-endpoint.ts';
import type { EtcdGateway, EtcdStatus } from './etcd-gateway.ts';

interface MemberList extends EtcdAnswer {
  readonly members?: readonly {
    readonly name?: string;
    readonly clientURLs?: readonly string[];
    readonly peerURLs?: readonly string[];
  }[];
}

interface AlarmList extends EtcdAnswer {
  readonly alarms?: readonly { readonly alarm?: string }[];
}

/** Used share of the quota above which a warning is given. */
const QUOTA_WARNING = 0.6;

/** Checks versions, members, alarms, quota and syncs of a cluster. Changes nothing. */
export async function examineEtcd(gateway: EtcdGateway): Promise<EngineFinding[]> {
  const statuses = await gateway.statuses();
  const findings = statuses.map(([url, status]) => ofEndpoint(url, status));
  findings.push(...(await asked('members', () => ofMembers(gateway))));
  findings.push(...(await asked('alarms', () => ofAlarms(gateway))));
  for (const [url, status] of statuses) {
    if (status instanceof Error) continue;
    findings.push(...(await asked('metrics', () => ofMetrics(gateway, url, status))));
  }
  return findings;
}

async function asked(check: string, ask: () => Promise<EngineFinding[]>): Promise<EngineFinding[]> {
  try {
    return await ask();
  } catch (error) {
    return [{ check, state: 'unknown', text: `not known: ${(error as Error).message}` }];
  }
}

function ofEndpoint(url: URL, status: EtcdStatus | Error): EngineFinding {
  if (status instanceof Error) {
    const state = 'setting' in status ? 'unfit' : 'warning';
    const remedy = 'start this member, or remove it from the list of endpoints';
    return { check: 'endpoint', state, text: `${url.origin}: ${status.message}`, remedy };
  }
  if (status.leader === undefined || status.leader === '0') {
    const text = `${url.origin} has etcd ${status.version}, but no leader: it cannot append`;
    const remedy = 'a majority of the members must run and reach each other';
    return { check: 'endpoint', state: 'warning', text, remedy };
  }
  return { check: 'endpoint', state: 'good', text: `${url.origin} has etcd ${status.version}` };
}

async function ofMembers(gateway: EtcdGateway): Promise<EngineFinding[]> {
  const path = '/v3/cluster/member/list';
  const { members = [] } = await gateway.call<MemberList>({ path, body: {} });
  const count = members.length;
  const hosts = new Set(members.map((one) => hostOf(one.peerURLs?.[0])));
  const findings: EngineFinding[] = [membersFinding(count)];
  if (count > 1 && hosts.size < count) {
    const text = `${count} members run on ${hosts.size} ${hosts.size === 1 ? 'host' : 'hosts'}: one loss may take the majority`;
    const remedy = 'run each member on a machine of its own';
    findings.push({ check: 'hosts', state: 'warning', text, remedy });
  }
  return findings;
}

function membersFinding(count: number): EngineFinding {
  const text = `the cluster has ${count} ${count === 1 ? 'member' : 'members'}`;
  if (count >= 3 && count % 2 === 1) return { check: 'members', state: 'good', text };
  const remedy = 'run 3 or 5 members: 1 or 2 of them can be lost then';
  const what = count < 3 ? 'no machine can be lost' : 'an even number withstands no more losses';
  return { check: 'members', state: 'warning', text: `${text}: ${what}`, remedy };
}

async function ofAlarms(gateway: EtcdGateway): Promise<EngineFinding[]> {
  const body = { action: 'GET' };
  const { alarms = [] } = await gateway.call<AlarmList>({ path: '/v3/maintenance/alarm', body });
  if (alarms.length === 0) return [{ check: 'alarms', state: 'good', text: 'no alarm is raised' }];
  return alarms.map(({ alarm = 'unknown' }) => {
    const isSpace = alarm === 'NOSPACE';
    const text = isSpace
      ? 'the quota is used up: etcd refuses appends'
      : `alarm ${alarm} is raised`;
    const remedy = isSpace
      ? 'write a checkpoint so that logs are trimmed, then: etcdctl compact, etcdctl defrag, etcdctl alarm disarm'
      : 'replace the member that raised it: its data is damaged';
    return { check: 'alarms', state: isSpace ? 'warning' : 'unfit', text, remedy } as const;
  });
}

async function ofMetrics(
  gateway: EtcdGateway,
  url: URL,
  status: EtcdStatus,
): Promise<EngineFinding[]> {
  const text = await gateway.metrics(url);
  const findings = [quotaFinding(url, metric(text, 'etcd_server_quota_backend_bytes'), status)];
  const proposals = metric(text, 'etcd_server_proposals_committed_total') ?? 0;
  const syncs = metric(text, 'etcd_disk_wal_fsync_duration_seconds_count');
  if (proposals > 0 && syncs === 0) {
    findings.push({
      check: 'sync',
      state: 'unfit',
      text: `${url.origin} syncs nothing: it runs with --unsafe-no-fsync, and a power failure loses acknowledged entries`,
      remedy: 'start it without --unsafe-no-fsync',
    });
  } else if (syncs !== undefined) {
    findings.push({ check: 'sync', state: 'good', text: `${url.origin} syncs its log` });
  }
  return findings;
}

function quotaFinding(
  url: URL,
  given: number | undefined,
  { dbSize, dbSizeInUse }: EtcdStatus,
): EngineFinding {
  const size = Number(dbSize ?? 0);
  const used = Number(dbSizeInUse ?? size);
  if (given === undefined) {
    return { check: 'quota', state: 'unknown', text: `${url.origin} tells no quota` };
  }
  const text = `${url.origin} uses ${mebibytes(used)} of ${mebibytes(given)} (file: ${mebibytes(size)})`;
  if (size < QUOTA_WARNING * given) return { check: 'quota', state: 'good', text };
  const remedy =
    used < QUOTA_WARNING * given
      ? 'etcdctl defrag makes the file smaller, one member after the other'
      : 'write checkpoints more often, so that logs are trimmed; or raise --quota-backend-bytes, to 8 GiB at most';
  return { check: 'quota', state: 'warning', text, remedy };
}

function metric(text: string, name: string): number | undefined {
  const match = new RegExp(`^${name} (\\S+)$`, 'm').exec(text);
  return match === null ? undefined : Number(match[1]);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

function hostOf(url: string | undefined): string {
  return url !== undefined && URL.canParse(url) ? new URL(url).hostname : '';
}
