import type { Duplex } from 'node:stream';
import type { Exchange } from './connections.ts';

const STATUS_LINES: ReadonlyMap<string, string> = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', '413 Payload Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
]);

/** A client that still sends can read the status meanwhile: an early close could lose it. */
const LINGER_MS = 2000;

/** Connections that were sent a status: what else they send is dropped. */
const ending = new WeakSet<Duplex>();

/** `undefined` for errors of the connection itself, and of its TLS. */
function statusLineOf(code = ''): string | undefined {
  return STATUS_LINES.get(code) ?? (code.startsWith('HPE_') ? '400 Bad Request' : undefined);
}

/** True if a client would take the next bytes as the response to what it sent wrongly. */
function isAnswerable({ message, response }: Exchange): boolean {
  return !message.complete && !response.headersSent;
}

/**
 * Ends a connection after an error of it, or after bytes that are no request. A status is sent
 * unless it would be read as a part of another response, or as the response to another request.
 * `current` is the oldest unfinished request of the connection.
 */
export function endAfterError(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  current: Exchange | undefined,
): void {
  if (ending.has(socket)) return;
  const line = statusLineOf(error.code);
  const isAnswered = current === undefined || isAnswerable(current);
  if (line === undefined || !socket.writable || !isAnswered) {
    socket.destroy();
    return;
  }
  ending.add(socket);
  socket.end(`HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}
