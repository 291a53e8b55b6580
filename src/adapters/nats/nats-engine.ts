import type { Elector } from '../../replicated/log/elector.ts';
import type { SharedLog } from '../../replicated/log/shared-log.ts';
import type { ShardMapStore } from '../../replicated/shards/shard-map-store.ts';
import { checkName } from '../checks.ts';
import type { EngineFinding, OpenLogOptions, ReplicationEngine } from '../engine.ts';
import { LeaseElector, type LeaseClaim } from '../lease-elector.ts';
import { NatsConnection, WrongSequenceError } from './nats-connection.ts';
import { examineMonitor, requireSyncs, unseenSyncs } from './nats-examination.ts';
import { NatsLog } from './nats-log.ts';
import { resolveNatsOptions, type NatsOptions } from './nats-options.ts';
import { NatsShardMap } from './nats-shard-map.ts';

/**
 * A NATS cluster with JetStream: one stream per log. Needs NATS 2.10.27 or newer, with
 * `sync_interval: always` on each server; otherwise a power failure of all servers loses entries.
 */
export class NatsEngine implements ReplicationEngine {
  readonly #connection: NatsConnection;

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /**
   * Connects to a cluster.
   * @throws UnfitEngineError if the server, or a server seen through `monitors`, cannot keep the
   *   guarantees of a shared log.
   * @throws LogUnavailableError if no server answers.
   */
  static async connect(options: NatsOptions): Promise<NatsEngine> {
    const resolved = resolveNatsOptions(options);
    await requireSyncs(resolved.monitors, resolved.timeoutMs);
    return new NatsEngine(await NatsConnection.open(resolved));
  }

  get description(): string {
    return this.#connection.description;
  }

  log(name: string, options: OpenLogOptions = {}): Promise<SharedLog> {
    return NatsLog.open(this.#connection, checkName(name), options);
  }

  elector(name: string): Elector {
    const connection = this.#connection;
    const { leaseMs } = connection.options;
    const { ended } = connection;
    checkName(name);
    return new LeaseElector({
      leaseMs,
      ended,
      claim: (id) => new NatsClaim(connection, name, id),
    });
  }

  shardMap(name: string): ShardMapStore {
    return new NatsShardMap(this.#connection, checkName(name));
  }

  async examine(log?: string): Promise<readonly EngineFinding[]> {
    const { monitors, timeoutMs } = this.#connection.options;
    const text = `connected to NATS ${this.#connection.version}`;
    const found: EngineFinding[] = [{ check: 'endpoint', state: 'good', text }];
    for (const url of monitors) found.push(...(await examineMonitor(url, timeoutMs)));
    if (monitors.length === 0) found.push(unseenSyncs());
    if (log !== undefined) found.push(...(await NatsLog.examine(this.#connection, checkName(log))));
    return found;
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

/**
 * A message that its stream removes after the longest `leaseMs` of the nodes. A claim publishes if
 * the subject has no message, or if the last one is its own.
 */
class NatsClaim implements LeaseClaim {
  readonly #connection: NatsConnection;
  readonly #stream: string;
  readonly #subject: string;
  readonly #id: Uint8Array;
  #at = 0;
  #isReady = false;

  constructor(connection: NatsConnection, name: string, id: string) {
    const { prefix } = connection.options;
    this.#connection = connection;
    this.#stream = `${prefix}-primaries`;
    this.#subject = `${prefix}.primary.${name}`;
    this.#id = Buffer.from(id);
  }

  async hold(): Promise<boolean> {
    const { prefix, leaseMs } = this.#connection.options;
    if (!this.#isReady) {
      const subjects = [`${prefix}.primary.*`];
      const limits = { max_msgs_per_subject: 1, max_age: leaseMs * 1_000_000 };
      await this.#connection.ensureStream({ name: this.#stream, subjects, ...limits });
      this.#isReady = true;
    }
    const expect = { lastSubjectSequence: this.#at };
    try {
      this.#at = await this.#connection.publish(this.#subject, this.#id, expect);
      return true;
    } catch (error) {
      if (!(error instanceof WrongSequenceError)) {
        // The stream may have been removed.
        this.#isReady = false;
        throw error;
      }
      this.#at = 0;
      return false;
    }
  }

  async release(): Promise<void> {
    const at = this.#at;
    if (at === 0) return;
    this.#at = 0;
    await this.#connection.call(({ streams }) => streams.deleteMessage(this.#stream, at));
  }
}
