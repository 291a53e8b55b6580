import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import type { Elector } from '../../replicated/log/elector.ts';
import type { SharedLog } from '../../replicated/log/shared-log.ts';
import type { ShardMapStore } from '../../replicated/shards/shard-map-store.ts';
import { checkName } from '../checks.ts';
import type { EngineFinding, OpenLogOptions, ReplicationEngine } from '../engine.ts';
import { EtcdElector } from './etcd-elector.ts';
import { examineEtcd } from './etcd-examination.ts';
import { EtcdAttemptError } from './etcd-failure.ts';
import { EtcdGateway } from './etcd-gateway.ts';
import { EtcdLog } from './etcd-log.ts';
import { resolveEtcdOptions, type EtcdOptions } from './etcd-options.ts';
import { EtcdShardMap } from './etcd-shard-map.ts';

/**
 * An etcd cluster: logs, elections and maps over its JSON gateway (`/v3`). Needs etcd 3.4.23 or
 * newer, but not 3.5.0 to 3.5.2. All logs share connections; each open reader has its own.
 */
export class EtcdEngine implements ReplicationEngine {
  readonly #gateway: EtcdGateway;

  private constructor(gateway: EtcdGateway) {
    this.#gateway = gateway;
  }

  /**
   * Connects to a cluster. At least one endpoint must answer; the others are checked when they are
   * first used.
   * @throws UnfitEngineError if an endpoint that answers cannot keep the guarantees of a shared
   *   log.
   * @throws LogUnavailableError if none answers.
   */
  static async connect(options: EtcdOptions): Promise<EtcdEngine> {
    const gateway = new EtcdGateway(resolveEtcdOptions(options));
    try {
      const failures = (await gateway.statuses()).map(([, status]) => status);
      const errors = failures.filter((one): one is Error => one instanceof Error);
      const final = errors.find((error) => !(error instanceof EtcdAttemptError));
      if (final !== undefined) throw final;
      if (errors.length === failures.length) {
        const cause = errors[0];
        const text = `${gateway.description}: no endpoint answers: ${cause?.message}`;
        throw new LogUnavailableError(text, { cause });
      }
    } catch (error) {
      gateway.close();
      throw error;
    }
    return new EtcdEngine(gateway);
  }

  get description(): string {
    return this.#gateway.description;
  }

  /** An empty log has no keys, so none is created. */
  log(name: string, _options?: OpenLogOptions): Promise<SharedLog> {
    return Promise.resolve(new EtcdLog(this.#gateway, checkName(name)));
  }

  elector(name: string): Elector {
    return new EtcdElector(this.#gateway, name);
  }

  shardMap(name: string): ShardMapStore {
    return new EtcdShardMap(this.#gateway, name);
  }

  examine(): Promise<readonly EngineFinding[]> {
    return examineEtcd(this.#gateway);
  }

  close(): Promise<void> {
    this.#gateway.close();
    return Promise.resolve();
  }
}
