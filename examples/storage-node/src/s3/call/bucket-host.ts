import { isIP } from 'node:net';
import type { ObjectNode } from '../../object-node.ts';
import { ProtocolError } from '../base/protocol-error.ts';

/** What to do about a client that has the bucket in its host name. */
export const BY_PATH =
  'Buckets are addressed by path (/BUCKET/KEY): set forcePathStyle (SDKs), addressing_style = path ' +
  '(aws, boto3) or force_path_style (rclone), or start the node with --domain NAME';

export function hostStyleRefusal(reason: string): ProtocolError {
  return new ProtocolError('InvalidRequest', `${reason} ${BY_PATH}.`);
}

/** In lower case. @throws RangeError for a name that no host can have */
export function domainsOf(names: readonly string[] = []): readonly string[] {
  return names.map((name) => {
    const label = '[a-z\\d](?:[a-z\\d-]*[a-z\\d])?';
    const isName = new RegExp(`^${label}(?:\\.${label})*$`, 'i').test(name);
    if (!isName || isIP(name) !== 0) throw new RangeError(`${name} is not the name of a host`);
    return name.toLowerCase();
  });
}

/** The name in a Host header, if it could be that of a bucket and a domain; no address. */
function dottedNameOf(host = ''): string | undefined {
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  return name.includes('.') && isIP(name) === 0 && !name.startsWith('[') ? name : undefined;
}

/**
 * The bucket in front of one of the domains; `undefined` for a request that has its bucket in the
 * path. Once there are domains, every other name with a dot is refused: taken for a domain, its
 * first part would be ignored although it may mean a bucket.
 *
 * @throws ProtocolError InvalidRequest
 */
export function bucketOfHost(
  host: string | undefined,
  domains: readonly string[],
): string | undefined {
  const name = domains.length === 0 ? undefined : dottedNameOf(host);
  if (name === undefined || domains.includes(name)) return undefined;
  const found = domains.filter((domain) => name.endsWith(`.${domain}`));
  const [longest] = found.sort((a, b) => b.length - a.length);
  if (longest !== undefined) return name.slice(0, -longest.length - 1);
  const text = `The host name ${name} is not one of --domain, and may begin with a bucket.`;
  throw new ProtocolError('InvalidRequest', text);
}

/**
 * Without domains, the names of this node are not known. A host name that begins with an existing
 * bucket is then refused: by path, the request would change another bucket.
 *
 * @throws ProtocolError InvalidRequest
 */
export function assertMeantByPath(host: string | undefined, node: ObjectNode): void {
  const name = dottedNameOf(host);
  if (name === undefined) return;
  for (let dot = name.indexOf('.'); dot > 0; dot = name.indexOf('.', dot + 1)) {
    const bucket = name.slice(0, dot);
    if (node.bucket(bucket) === undefined) continue;
    throw hostStyleRefusal(`The host name ${name} begins with the bucket ${bucket}.`);
  }
}
