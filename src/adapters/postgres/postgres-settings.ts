import type { EngineFinding } from '../engine.ts';

/** The settings that a server reports. */
export interface PostgresSettings {
  readonly version: number;
  readonly isStandby: boolean;
  readonly synchronousCommit: string;
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly standbyNames: string;
}

/** Reads {@link PostgresSettings} of the current session. */
export const SETTINGS_QUERY = `SELECT current_setting('server_version_num')::int AS version,
  pg_is_in_recovery() AS "isStandby",
  current_setting('synchronous_commit') AS "synchronousCommit",
  current_setting('fsync') AS fsync,
  current_setting('full_page_writes') AS "fullPageWrites",
  current_setting('synchronous_standby_names') AS "standbyNames"`;

const MIN_VERSION = 150_000;

/** Checks the settings of a server. `server` names it, without its password. */
export function examineSettings(server: string, settings: PostgresSettings): EngineFinding[] {
  const findings = [versionFinding(server, settings)];
  if (settings.isStandby) return findings;
  const { synchronousCommit, fsync, fullPageWrites } = settings;
  const isSynced = synchronousCommit === 'on' || synchronousCommit === 'remote_apply';
  findings.push(
    settingFinding(server, 'synchronous_commit', synchronousCommit, isSynced, 'on'),
    settingFinding(server, 'fsync', fsync, fsync === 'on', 'on'),
    settingFinding(server, 'full_page_writes', fullPageWrites, fullPageWrites === 'on', 'on'),
    standbyFinding(server, settings),
  );
  return findings;
}

function versionFinding(server: string, { version, isStandby }: PostgresSettings): EngineFinding {
  const check = 'version';
  const has = `${server} has PostgreSQL ${Math.floor(version / 10_000)}`;
  if (version < MIN_VERSION) {
    return { check, state: 'unfit', text: `${has}, older than 15`, remedy: 'upgrade it' };
  }
  return { check, state: 'good', text: isStandby ? `${has}, as a standby` : has };
}

function settingFinding(
  server: string,
  check: string,
  value: string,
  isGood: boolean,
  wanted: string,
): EngineFinding {
  const text = `${server} has ${check} = ${value}`;
  if (isGood) return { check, state: 'good', text };
  return {
    check,
    state: 'unfit',
    text: `${text}: a crash loses entries`,
    remedy: `set ${check} = ${wanted}`,
  };
}

function standbyFinding(server: string, { standbyNames }: PostgresSettings): EngineFinding {
  const check = 'synchronous_standby_names';
  if (standbyNames !== '') {
    return { check, state: 'good', text: `${server} waits for standbys: ${standbyNames}` };
  }
  const text = `${server} waits for no standby: the loss of its machine loses entries, unless its disk is replicated`;
  const remedy = "set synchronous_standby_names = 'ANY 1 (…)', and fail over to one of them alone";
  return { check, state: 'warning', text, remedy };
}
