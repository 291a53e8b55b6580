import type { IncomingMessage, ServerResponse } from 'node:http';
import { JoinedPieces } from '../../joined-pieces.ts';
import type { ObjectNode } from '../../object-node.ts';
import type { Authenticated } from '../auth/signature-v4.ts';
import type { S3Limits } from '../base/limits.ts';
import { type BodyMemory, BodyShare } from '../payload/body-memory.ts';
import { BodyReader } from '../payload/body-reader.ts';
import type { ChecksumAlgorithm } from '../payload/checksums.ts';
import { type PayloadPlan, planPayload } from '../payload/payload-plan.ts';
import { memoryOf, RequestBody } from '../payload/request-body.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { Reply } from './reply.ts';
import type { S3Request } from './s3-request.ts';

export interface S3Settings {
  readonly limits: S3Limits;
  readonly scheme: 'http' | 'https';
  readonly region: string;
  /** Whether signatures of version 2 are accepted. */
  readonly takesV2: boolean;
  /** Names of hosts that may have a bucket in front; without any, buckets are in the path. */
  readonly domains: readonly string[];
  readonly owner: { readonly id: string; readonly displayName: string };
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds since any moment; a step of the system's clock does not change it. */
  readonly monotonicMs: () => number;
}

export interface S3CallParts {
  readonly node: ObjectNode;
  readonly settings: S3Settings;
  readonly memory: BodyMemory;
  readonly request: S3Request;
  readonly reply: Reply;
  readonly authenticated: Authenticated;
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
}

/** One authenticated request, with everything that an operation needs to answer it. */
export class S3Call {
  readonly node: ObjectNode;
  readonly settings: S3Settings;
  readonly request: S3Request;
  readonly reply: Reply;
  readonly #parts: S3CallParts;
  readonly #share: BodyShare;
  /** Set once the body is being read. */
  reader: BodyReader | undefined;
  /** For the log: an error of the node for one of the objects, in a response with status 200. */
  failure: ProtocolError | undefined;

  constructor(parts: S3CallParts) {
    this.node = parts.node;
    this.settings = parts.settings;
    this.request = parts.request;
    this.reply = parts.reply;
    this.#parts = parts;
    this.#share = new BodyShare(parts.memory);
  }

  get bucket(): string {
    return this.request.bucket ?? '';
  }

  get key(): string {
    return this.request.key ?? '';
  }

  /** Validates the headers about the body, before the body is requested. */
  payload(): PayloadPlan {
    return planPayload(this.request.headers, this.#parts.authenticated);
  }

  /**
   * Called once. A client that waits for `100 Continue` gets it with the first read, so that the
   * node can refuse a large body before it is sent.
   *
   * @throws ProtocolError SlowDown if other bodies take all of the memory
   */
  body(
    plan: PayloadPlan,
    further: readonly ChecksumAlgorithm[] = [],
    maxBytes: number = this.settings.limits.maxObjectBytes,
  ): RequestBody {
    const { message, response } = this.#parts;
    const isAwaited = message.headers.expect?.toLowerCase() === '100-continue';
    const request = (): void => {
      if (isAwaited) response.writeContinue();
    };
    this.#share.take(memoryOf(plan));
    const reader = new BodyReader(message, this.settings.monotonicMs, request, this.#share);
    const body = new RequestBody(reader, plan, maxBytes, further);
    this.reader = reader;
    return body;
  }

  /** A complete, verified XML body. Checksum headers may apply to the object instead. */
  async xmlBody({ isChecksumOfObject = false } = {}): Promise<Buffer> {
    const { maxXmlBytes } = this.settings.limits;
    const plan = isChecksumOfObject
      ? planPayload(withoutChecksums(this.request.headers), this.#parts.authenticated)
      : this.payload();
    if ((plan.contentBytes ?? 0) > maxXmlBytes) throw new ProtocolError('MaxMessageLengthExceeded');
    // Of the whole text, besides the pieces that it is joined from.
    this.#share.take(plan.wireBytes ?? maxXmlBytes);
    const body = this.body(plan, [], maxXmlBytes);
    const pieces = new JoinedPieces();
    for await (const piece of await body.content()) pieces.push(piece);
    await body.verify();
    return Buffer.concat(pieces.take());
  }

  /** Gives back the memory of the body. */
  release(): void {
    this.#share.close();
  }

  /** Work that may take minutes: the answer, which is XML, is begun meanwhile. */
  async keptAlive<T>(work: Promise<T>): Promise<T> {
    const stop = this.reply.keepAlive(this.settings.limits.keepAliveMs);
    try {
      return await work;
    } finally {
      stop();
    }
  }

  /** A number in the query, 0 to `most`; larger numbers count as `most`. @throws ProtocolError */
  count(name: string, most: number): number {
    const text = this.request.queryValue(name);
    if (text === undefined || text === '') return most;
    if (!/^\d{1,10}$/.test(text) || Number(text) > 2 ** 31 - 1) {
      const message = `Argument ${name} must be an integer between 0 and 2147483647`;
      throw new ProtocolError('InvalidArgument', message, {
        fields: { ArgumentName: name, ArgumentValue: text },
      });
    }
    return Math.min(Number(text), most);
  }
}

function withoutChecksums(headers: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...headers].filter(([name]) => !name.startsWith('x-amz-checksum-')));
}

/** One S3 operation, with its name in access logs and metrics. */
export interface S3Operation {
  readonly name: string;
  readonly run: (call: S3Call) => Promise<void> | void;
  /** Its answer, also to a request without a signature. */
  readonly refusal?: ProtocolError;
}
