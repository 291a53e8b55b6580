import { onAbort } from '../../base/abort.ts';
import { StoreClosedError } from '../../base/errors.ts';
import { LogUnavailableError, UnfitEngineError } from '../../replicated/log/log-errors.ts';
import { pulse } from '../pulse.ts';
import { EtcdAttemptError } from './etcd-failure.ts';
import { EtcdEndpoint, type EtcdAnswer } from './etcd-endpoint.ts';
import type { ResolvedEtcdOptions } from './etcd-options.ts';
import { unfitEtcdVersion } from './etcd-version.ts';

const CLOSED = 'the connection to etcd is closed';

/** A watch without events is restarted after this time. */
const WATCH_SILENCE_MS = 60_000;

/** A call of the gateway. */
export interface EtcdCall {
  readonly path: string;
  /** As an object, or as JSON text. */
  readonly body: object | string;
  readonly signal?: AbortSignal | undefined;
  /** Called before a retry at another endpoint: the previous one may still execute the call. */
  readonly onRetry?: (() => void) | undefined;
}

/** The status that an endpoint reports. */
export interface EtcdStatus extends EtcdAnswer {
  readonly version?: string;
  readonly leader?: string;
  readonly dbSize?: string;
  readonly dbSizeInUse?: string;
  readonly raftIndex?: string;
}

/**
 * The JSON gateway of a cluster. A call goes to the endpoint that answered last. If it does not
 * answer, the call goes to the next, each endpoint at most once. A call may therefore be executed
 * twice, so every call must be safe to repeat. If none answers, it rejects with
 * LogUnavailableError.
 *
 * The version and the cluster of an endpoint are checked before its first call, and again after a
 * failure, because its address may then lead to another server.
 */
export class EtcdGateway {
  readonly options: ResolvedEtcdOptions;
  readonly #members: readonly Member[];
  #current = 0;
  #clusterId: string | undefined;
  readonly #ended = new AbortController();

  constructor(options: ResolvedEtcdOptions) {
    this.options = options;
    this.#members = options.endpoints.map((url) => new Member(new EtcdEndpoint(url, options.tls)));
  }

  get description(): string {
    return `etcd at ${this.options.endpoints.map((url) => url.origin).join(', ')}`;
  }

  /** Aborted when the gateway is closed. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  async call<T extends EtcdAnswer>({ path, body, signal, onRetry }: EtcdCall): Promise<T> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    let failure: unknown;
    for (let i = 0; i < this.#members.length; i++) {
      const at = this.#current;
      const member = this.#member(at);
      if (i > 0) onRetry?.();
      try {
        signal?.throwIfAborted();
        if (this.ended.aborted) throw new StoreClosedError(CLOSED);
        return (await this.#callMember(member, path, text, signal)) as T;
      } catch (error) {
        failure = error;
        if (signal?.aborted === true || !(error instanceof EtcdAttemptError)) break;
        this.#leave(member);
      }
    }
    throw this.#asFailure(failure, signal);
  }

  /**
   * The responses of a watch at one endpoint. Ends with an error if the endpoint fails, has no
   * leader, or does not answer other calls.
   */
  async *watch<T extends EtcdAnswer>({ path, body, signal }: EtcdCall): AsyncGenerator<T> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const member = this.#member(this.#current);
    const watching = new AbortController();
    const end = (): void => watching.abort();
    const removals = [this.ended, signal].map((one) => one && onAbort(one, end));
    member.watches.add(end);
    if (!member.isLookedAfter) {
      member.isLookedAfter = true;
      void this.#lookAfter(member);
    }
    try {
      if (this.ended.aborted || signal?.aborted === true) end();
      await this.#prepare(member, signal);
      const request = { path, body: text, token: member.token, timeoutMs: WATCH_SILENCE_MS };
      for await (const answer of member.endpoint.stream({ ...request, signal: watching.signal })) {
        this.#checkCluster(member, answer);
        yield answer as T;
      }
    } catch (error) {
      throw this.#asFailure(error, signal);
    } finally {
      member.watches.delete(end);
      for (const remove of removals) remove?.();
    }
  }

  /**
   * Requests the status of each endpoint. An endpoint that does not answer has its error instead.
   */
  async statuses(): Promise<readonly (readonly [URL, EtcdStatus | Error])[]> {
    return await Promise.all(
      this.#members.map(async (member) => {
        const asked = this.#prepare(member).then(() =>
          this.#callMember(member, '/v3/maintenance/status', '{}', undefined),
        );
        const status = await asked.catch((error: unknown) => error as Error);
        return [member.endpoint.url, status] as const;
      }),
    );
  }

  /** The metrics that an endpoint publishes, as text. */
  async metrics(url: URL): Promise<string> {
    const endpoint = new EtcdEndpoint(url, this.options.tls);
    try {
      return await endpoint.text('/metrics', this.options.timeoutMs);
    } finally {
      endpoint.close();
    }
  }

  close(): void {
    this.#ended.abort();
    for (const { endpoint } of this.#members) endpoint.close();
  }

  async #callMember(
    member: Member,
    path: string,
    body: string,
    signal: AbortSignal | undefined,
  ): Promise<EtcdAnswer> {
    await this.#prepare(member, signal);
    const request = { path, body, timeoutMs: this.options.timeoutMs, signal };
    let answer: EtcdAnswer;
    try {
      answer = await member.endpoint.call({ ...request, token: member.token });
    } catch (error) {
      if (!(error instanceof EtcdAttemptError && error.isTokenRefused)) throw error;
      member.forget();
      await this.#prepare(member, signal);
      answer = await member.endpoint.call({ ...request, token: member.token });
    }
    this.#checkCluster(member, answer);
    return answer;
  }

  /** Logs in and checks version and cluster, unless that was done. */
  async #prepare(member: Member, signal?: AbortSignal): Promise<void> {
    if (member.isKnown) return;
    const { login, timeoutMs } = this.options;
    if (login !== undefined) {
      const body = JSON.stringify({ name: login.user, password: login.password });
      const path = '/v3/auth/authenticate';
      const answer = (await member.endpoint.call({ path, body, timeoutMs, signal })) as {
        token?: string;
      };
      member.token = answer.token;
    }
    const path = '/v3/maintenance/status';
    const { token } = member;
    const status = (await member.endpoint.call({
      path,
      body: '{}',
      token,
      timeoutMs,
      signal,
    })) as EtcdStatus;
    const unfit = unfitEtcdVersion(status.version ?? '');
    if (unfit !== undefined) {
      throw new UnfitEngineError('version', `${member.endpoint.url.origin}: ${unfit}`);
    }
    this.#checkCluster(member, status);
    member.isKnown = true;
  }

  #checkCluster(member: Member, { header }: EtcdAnswer): void {
    const id = header?.cluster_id;
    if (id === undefined) return;
    this.#clusterId ??= id;
    if (id === this.#clusterId) return;
    throw new UnfitEngineError(
      'endpoints',
      `${member.endpoint.url.origin} is a member of another cluster than the other endpoints; its log would be another one`,
    );
  }

  /** Ends the watches at this endpoint and selects the next one for calls. */
  #leave(member: Member): void {
    member.forget();
    for (const end of member.watches) end();
    if (this.#member(this.#current) !== member) return;
    this.#current = (this.#current + 1) % this.#members.length;
  }

  /**
   * Checks an endpoint that has watches. A machine that hangs or is cut off keeps its connections,
   * so a watch there would be silent forever.
   */
  async #lookAfter(member: Member): Promise<void> {
    const { timeoutMs } = this.options;
    while (member.watches.size > 0) {
      await pulse(timeoutMs / 2, this.ended);
      if (this.ended.aborted || member.watches.size === 0) break;
      const { token } = member;
      const request = { path: '/v3/maintenance/status', body: '{}', token, timeoutMs };
      await member.endpoint.call(request).catch((error: unknown) => {
        if (!(error instanceof EtcdAttemptError && error.isTokenRefused)) this.#leave(member);
      });
    }
    member.isLookedAfter = false;
  }

  #member(at: number): Member {
    return this.#members[at]!;
  }

  #asFailure(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    if (this.ended.aborted) return new StoreClosedError(CLOSED);
    if (!(error instanceof EtcdAttemptError)) return error;
    return new LogUnavailableError(`${this.description}: ${error.message}`, { cause: error });
  }
}

/** An endpoint and its known state. */
class Member {
  readonly endpoint: EtcdEndpoint;
  /** True if its version and its cluster have been checked. */
  isKnown = false;
  token: string | undefined;
  /** Functions that end a watch at this endpoint. */
  readonly watches: Set<() => void> = new Set();
  isLookedAfter = false;

  constructor(endpoint: EtcdEndpoint) {
    this.endpoint = endpoint;
  }

  forget(): void {
    this.isKnown = false;
    this.token = undefined;
  }
}
