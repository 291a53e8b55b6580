import { request } from 'node:http';
import { createInterface } from 'node:readline';
import type { BucketPolicy } from '../ledger/bucket-record.ts';
import type { BucketDetails } from '../objects/bucket-keeper.ts';
import type { ScrubReport } from '../upkeep/scrubber.ts';
import type { ControlAddress, ControlRequest } from './control-server.ts';
import type {
  CompactReport,
  KeyCommands,
  NodeCommands,
  NodeKey,
  StatusReport,
  Progress,
  Tell,
  VerifyReport,
} from './node-commands.ts';

/**
 * The node sends a line every few seconds; after this time without one it counts as unreachable.
 */
const SILENCE_MS = 60_000;

interface Line {
  readonly progress?: Progress;
  readonly result?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

/** The node was not reached, or its response did not end. */
export class NoAnswerError extends Error {
  override name = 'NoAnswerError';
  readonly code = 'NO_ANSWER';
  /** Whether the node may have done the command, or a part of it. */
  readonly mayBeDone: boolean;

  constructor(message: string, mayBeDone: boolean) {
    super(message);
    this.mayBeDone = mayBeDone;
  }
}

/** Why a running node refused. */
export class RemoteError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
    this.name = 'RemoteError';
  }
}

/** Commands on a node that runs in another process of this machine. */
export class RemoteCommands implements NodeCommands, KeyCommands {
  readonly #address: ControlAddress;

  constructor(address: ControlAddress) {
    this.#address = address;
  }

  status(): Promise<StatusReport> {
    return this.#call({ command: 'status' });
  }

  buckets(): Promise<readonly BucketDetails[]> {
    return this.#call({ command: 'buckets' });
  }

  createBucket(bucket: string, policy: BucketPolicy): Promise<boolean> {
    return this.#call({ command: 'createBucket', bucket, policy });
  }

  compact(tell: Tell): Promise<CompactReport> {
    return this.#call({ command: 'compact' }, tell);
  }

  scrub(bytesPerSecond: number, tell: Tell): Promise<ScrubReport> {
    return this.#call({ command: 'scrub', bytesPerSecond }, tell);
  }

  async evict(bucket: string): Promise<number | undefined> {
    return (await this.#call<number | null>({ command: 'evict', bucket })) ?? undefined;
  }

  verify(tell: Tell): Promise<VerifyReport> {
    return this.#call({ command: 'verify' }, tell);
  }

  listKeys(): Promise<readonly NodeKey[]> {
    return this.#call({ command: 'listKeys' });
  }

  addKey(): Promise<NodeKey> {
    return this.#call({ command: 'addKey' });
  }

  removeKey(accessKeyId: string): Promise<boolean> {
    return this.#call({ command: 'removeKey', accessKeyId });
  }

  /** @throws RemoteError, NoAnswerError */
  #call<T>(body: ControlRequest, tell: Tell = () => {}): Promise<T> {
    const { control, token } = this.#address;
    return new Promise((resolve, reject) => {
      const fail = (reason: string, mayBeDone = true): void =>
        reject(new NoAnswerError(reason, mayBeDone));
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const call = request(control, { method: 'POST', headers, agent: false }, (answer) => {
        if (answer.statusCode !== 200) {
          answer.resume();
          return fail(`it answered ${answer.statusCode ?? 'nothing'}`, false);
        }
        const lines = createInterface({ input: answer });
        lines.on('line', (text) => {
          if (text === '') return;
          const { progress, result, error } = JSON.parse(text) as Line;
          if (progress !== undefined) tell(progress);
          else if (error !== undefined) reject(new RemoteError(error.code, error.message));
          else resolve(result as T);
        });
        answer.on('error', (error) => fail(error.message));
        // It passes on the errors of its input.
        lines.on('error', (error) => fail(error.message));
        lines.on('close', () => fail('it stopped before the command ended'));
      });
      call.setTimeout(SILENCE_MS, () => call.destroy(new Error('no response')));
      call.on('error', (error: NodeJS.ErrnoException) => {
        fail(error.message, error.code !== 'ECONNREFUSED');
      });
      call.end(JSON.stringify(body));
    });
  }
}
