import { ProtocolError } from '../base/protocol-error.ts';

/** Maximum difference of the clocks, as in S3. */
export const MAX_SKEW_MS = 15 * 60_000;

/** Parses `YYYYMMDDThhmmssZ` to milliseconds since 1970. */
export function parseAmzTime(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** The inverse of `parseAmzTime`. */
export function amzTimeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
}

export function invalidTime(): ProtocolError {
  return new ProtocolError('AccessDenied', 'A signed request needs a valid Date or x-amz-date');
}

/**
 * `ms` is what `text`, the time of a request, says. @throws ProtocolError RequestTimeTooSkewed
 */
export function assertNotSkewed(text: string, ms: number, nowMs: number): void {
  if (Math.abs(nowMs - ms) <= MAX_SKEW_MS) return;
  const serverTime = new Date(nowMs).toISOString();
  const message =
    `The time of the request, ${new Date(ms).toISOString()}, differs by more than ` +
    `${MAX_SKEW_MS / 60_000} minutes from the time of the server, ${serverTime}: set the clock`;
  throw new ProtocolError('RequestTimeTooSkewed', message, {
    fields: {
      RequestTime: text,
      ServerTime: serverTime,
      MaxAllowedSkewMilliseconds: String(MAX_SKEW_MS),
    },
  });
}
