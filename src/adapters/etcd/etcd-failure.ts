import { UnfitEngineError } from '../../replicated/log/log-errors.ts';

/**
 * One endpoint did not answer, or refused temporarily. It is unknown whether it executed the call.
 */
export class EtcdAttemptError extends Error {
  override readonly name: string = 'EtcdAttemptError';
  /** The endpoint requires a new token. It did not execute the call. */
  readonly isTokenRefused: boolean;

  constructor(message: string, fields: { cause?: unknown; isTokenRefused?: boolean } = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.isTokenRefused = fields.isTokenRefused === true;
  }
}

/** The gRPC status code. */
const GRPC_INVALID_ARGUMENT = 3;
const GRPC_UNAUTHENTICATED = 16;

const NO_SPACE =
  'the quota of etcd is used up. Trim the logs, then compact and defragment etcd, and disarm the alarm (etcdctl alarm disarm)';

/** The error for a response of etcd that is not a success. */
export function etcdFailure(status: number, text: string): Error {
  const { message, code } = readFailure(text);
  if (status === 404 && code === undefined) {
    const what = 'the address answers HTTP, but has no JSON gateway of etcd (/v3)';
    return new UnfitEngineError('gateway', what);
  }
  if (/request is too large/.test(message)) {
    return new UnfitEngineError(
      'max-request-bytes',
      `etcd refuses an entry for its size: --max-request-bytes must be at least 1,572,864, its default`,
    );
  }
  const isTokenRefused =
    code === GRPC_UNAUTHENTICATED ||
    (code === GRPC_INVALID_ARGUMENT && /auth: revision|invalid auth token/.test(message));
  // A put with this response may have been applied. The quota is therefore checked before, not
  // instead.
  if (/database space exceeded/.test(message)) return new EtcdAttemptError(NO_SPACE);
  return new EtcdAttemptError(`etcd answered ${status}: ${message}`, { isTokenRefused });
}

function readFailure(text: string): { message: string; code: number | undefined } {
  try {
    const { message, error, code, grpc_code } = JSON.parse(text) as Record<string, unknown>;
    const said = typeof message === 'string' ? message : error;
    const number = code ?? grpc_code;
    return {
      message: typeof said === 'string' ? said : text.slice(0, 200),
      code: typeof number === 'number' ? number : undefined,
    };
  } catch {
    return { message: text.trim().slice(0, 200), code: undefined };
  }
}
