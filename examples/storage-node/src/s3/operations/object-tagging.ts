import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import type { ObjectMeta } from '../../object-node.ts';
import { assertNullVersion, openObject } from './read-object.ts';
import { parseTagXml, type TagSet, tagSetXml } from './tag-set.ts';

export async function getObjectTagging(call: S3Call): Promise<void> {
  const reader = await openObject(call);
  reader.close();
  call.reply.xml('Tagging', tagSetXml(reader.details.meta.tags ?? {}));
}

async function setTags(call: S3Call, tags: TagSet | undefined): Promise<void> {
  assertNullVersion(call.request.queryValue('versionId'));
  await call.node.setMeta(call.bucket, call.key, ({ meta }) => withTags(meta, tags));
}

function withTags({ tags: _former, ...rest }: ObjectMeta, tags: TagSet | undefined): ObjectMeta {
  return tags === undefined ? rest : { ...rest, tags };
}

export async function putObjectTagging(call: S3Call): Promise<void> {
  if (call.node.bucket(call.bucket) === undefined) throw new ProtocolError('NoSuchBucket');
  await setTags(call, parseTagXml(await call.xmlBody()));
  call.reply.empty(200);
}

export async function deleteObjectTagging(call: S3Call): Promise<void> {
  await setTags(call, undefined);
  call.reply.empty(204);
}
