import { monotonicMs } from '../../base/timers.ts';
import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import type { CampaignOptions, Elector, Leadership } from '../../replicated/log/elector.ts';
import { checkName } from '../checks.ts';
import { pulse } from '../pulse.ts';
import type { EtcdAnswer } from './etcd-endpoint.ts';
import type { EtcdGateway } from './etcd-gateway.ts';
import { base64Of, type EtcdRange, type EtcdTransaction } from './etcd-keys.ts';

/** Interval at which a candidate tries to win, in case the watch reports nothing. */
const LOOK_MS = 2000;
const RETRY_MS = 200;

interface LeaseAnswer extends EtcdAnswer {
  readonly ID?: string;
  readonly TTL?: string;
}

/** The granted lifetime of a lease, counted from before the request. */
interface HeldLease {
  readonly id: string;
  readonly ttlMs: number;
  validUntilMs: number;
}

/**
 * An election: a key attached to a lease. The winner renews the lease. When the lease expires, etcd
 * removes the key, and the next node that puts it wins. The value is the winner's id.
 */
export class EtcdElector implements Elector {
  readonly #gateway: EtcdGateway;
  readonly #key: string;

  constructor(gateway: EtcdGateway, name: string) {
    this.#gateway = gateway;
    this.#key = base64Of(`${gateway.options.prefix}primary/${checkName(name)}`);
  }

  async campaign(id: string, { signal }: CampaignOptions): Promise<Leadership> {
    if (typeof id !== 'string') throw new TypeError('id must be a string');
    let lease: HeldLease | undefined;
    try {
      for (;;) {
        signal.throwIfAborted();
        try {
          const holder = await this.#holder(signal);
          if (holder === undefined) {
            lease = await this.#validLease(lease, signal);
            if (await this.#put(id, lease, signal)) break;
          } else if (lease !== undefined && holder.lease === lease.id) {
            break;
          } else {
            await this.#untilFree(holder.revision, signal);
          }
        } catch (error) {
          if (!(error instanceof LogUnavailableError)) throw error;
          await pulse(RETRY_MS, signal);
        }
      }
    } catch (error) {
      if (lease !== undefined) void this.#revoke(lease);
      throw error;
    }
    return { lost: this.#hold(lease, signal) };
  }

  /** Renews the lease until it expires without a successful renewal, or the winner resigns. */
  async #hold(lease: HeldLease, signal: AbortSignal): Promise<void> {
    const either = [signal, this.#gateway.ended];
    const isEnded = (): boolean => either.some((one) => one.aborted);
    while (!isEnded() && monotonicMs() < lease.validUntilMs) {
      const renewal = this.#renew(lease, signal).catch(() => undefined);
      const isHeld = await Promise.race([renewal, this.#untilInvalid(lease, signal)]);
      if (isHeld === false) break;
      await pulse(isHeld === true ? lease.ttlMs / 3 : RETRY_MS, signal);
    }
    await this.#revoke(lease);
  }

  async #untilInvalid(lease: HeldLease, signal: AbortSignal): Promise<undefined> {
    await pulse(Math.max(0, lease.validUntilMs - monotonicMs()), signal);
  }

  /** True if the lease still exists. */
  async #renew(lease: HeldLease, signal: AbortSignal): Promise<boolean> {
    const began = monotonicMs();
    const path = '/v3/lease/keepalive';
    const answer = await this.#gateway.call<EtcdAnswer>({ path, body: { ID: lease.id }, signal });
    const { TTL } = (answer as { result?: LeaseAnswer }).result ?? {};
    if (TTL === undefined || Number(TTL) <= 0) return false;
    lease.validUntilMs = began + 1000 * Number(TTL);
    return true;
  }

  async #validLease(lease: HeldLease | undefined, signal: AbortSignal): Promise<HeldLease> {
    if (lease !== undefined && (await this.#renew(lease, signal))) return lease;
    const began = monotonicMs();
    const TTL = String(Math.ceil(this.#gateway.options.leaseMs / 1000));
    const body = { TTL, ID: '0' };
    const granted = await this.#gateway.call<LeaseAnswer>({
      path: '/v3/lease/grant',
      body,
      signal,
    });
    const ttlMs = 1000 * Number(granted.TTL ?? TTL);
    return { id: granted.ID ?? '0', ttlMs, validUntilMs: began + ttlMs };
  }

  async #put(id: string, lease: HeldLease, signal: AbortSignal): Promise<boolean> {
    const put = { key: this.#key, value: base64Of(id), lease: lease.id };
    const body = {
      compare: [{ key: this.#key, target: 'CREATE', result: 'EQUAL', create_revision: '0' }],
      success: [{ requestPut: put }],
    };
    const answer = await this.#gateway.call<EtcdTransaction>({ path: '/v3/kv/txn', body, signal });
    return answer.succeeded === true;
  }

  async #holder(
    signal: AbortSignal,
  ): Promise<{ lease: string | undefined; revision: bigint } | undefined> {
    const body = { key: this.#key };
    const range = await this.#gateway.call<EtcdRange>({ path: '/v3/kv/range', body, signal });
    const [pair] = range.kvs ?? [];
    if (pair === undefined) return undefined;
    return { lease: pair.lease, revision: BigInt(range.header?.revision ?? 0) };
  }

  /** Resolves when the key is removed, or after a while. */
  async #untilFree(revision: bigint, signal: AbortSignal): Promise<void> {
    const watching = new AbortController();
    const create_request = { key: this.#key, start_revision: String(revision + 1n) };
    const call = { path: '/v3/watch', body: { create_request }, signal: watching.signal };
    const watched = (async () => {
      for await (const answer of this.#gateway.watch<EtcdAnswer & { events?: unknown }>(call)) {
        if (answer.events !== undefined) return;
      }
    })();
    // A failed watch is no reason to try at once.
    const free = watched.catch(() => pulse(RETRY_MS, signal));
    await Promise.race([free, pulse(LOOK_MS, signal)]);
    watching.abort();
    await free;
  }

  async #revoke({ id }: HeldLease): Promise<void> {
    await this.#gateway.call({ path: '/v3/lease/revoke', body: { ID: id } }).catch(() => undefined);
  }
}
