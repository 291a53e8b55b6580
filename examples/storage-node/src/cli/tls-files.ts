import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { TlsFiles } from '../s3/s3-server.ts';

export interface TlsPaths {
  readonly certificate: string;
  readonly key: string;
}

export interface CheckedTls {
  readonly files: TlsFiles;
  /** Names the certificate and its validity, for people. */
  readonly summary: string;
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message: string };
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'the node may not read it';
  return message;
}

async function readAs<T>(
  what: string,
  path: string,
  parse: (bytes: Buffer) => T,
): Promise<{ readonly bytes: Buffer; readonly parsed: T }> {
  try {
    const bytes = await readFile(path);
    const text = bytes.toString('latin1');
    if (!text.includes('-----BEGIN ')) throw new Error('it is not PEM');
    if (text.includes('ENCRYPTED')) throw new Error('it is encrypted');
    return { bytes, parsed: parse(bytes) };
  } catch (error) {
    throw new Error(`${what} ${path} cannot be used: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Reads a certificate and its key, and checks that they match before a server uses them.
 *
 * @throws Error that names the file and what is wrong with it
 */
export async function readTls(paths: TlsPaths): Promise<CheckedTls> {
  const certificate = await readAs(
    'the certificate',
    paths.certificate,
    (bytes) => new X509Certificate(bytes),
  );
  const key = await readAs('the key', paths.key, (bytes): KeyObject => createPrivateKey(bytes));
  const { parsed } = certificate;
  if (!parsed.checkPrivateKey(key.parsed)) {
    throw new Error(`the key ${paths.key} is not that of the certificate ${paths.certificate}`);
  }
  const isOver = Date.parse(parsed.validTo) < Date.now();
  return {
    files: { certificate: certificate.bytes, key: key.bytes },
    summary:
      `${parsed.subject.replaceAll('\n', ', ')}, ` +
      `${isOver ? 'NO LONGER VALID since' : 'valid until'} ${parsed.validTo}`,
  };
}
