import { ProtocolError, type ProtocolErrorCode } from '../base/protocol-error.ts';
import type { S3Operation } from '../call/s3-call.ts';
import { textElement } from '../xml/xml-writer.ts';
import { assertBucket } from './buckets.ts';
import { openObject } from './read-object.ts';

/** The response of a bucket without such a configuration: an error, or an empty one. */
const OF_BUCKETS: Readonly<
  Record<string, readonly [name: string, answer: { error: ProtocolErrorCode } | { root: string }]>
> = {
  policy: ['BucketPolicy', { error: 'NoSuchBucketPolicy' }],
  policyStatus: ['BucketPolicyStatus', { error: 'NoSuchBucketPolicy' }],
  cors: ['BucketCors', { error: 'NoSuchCORSConfiguration' }],
  lifecycle: ['BucketLifecycleConfiguration', { error: 'NoSuchLifecycleConfiguration' }],
  tagging: ['BucketTagging', { error: 'NoSuchTagSet' }],
  website: ['BucketWebsite', { error: 'NoSuchWebsiteConfiguration' }],
  replication: ['BucketReplication', { error: 'ReplicationConfigurationNotFoundError' }],
  encryption: ['BucketEncryption', { error: 'ServerSideEncryptionConfigurationNotFoundError' }],
  'object-lock': ['ObjectLockConfiguration', { error: 'ObjectLockConfigurationNotFoundError' }],
  ownershipControls: ['BucketOwnershipControls', { error: 'OwnershipControlsNotFoundError' }],
  publicAccessBlock: ['PublicAccessBlock', { error: 'NoSuchPublicAccessBlockConfiguration' }],
  analytics: ['BucketAnalyticsConfiguration', { error: 'NoSuchConfiguration' }],
  inventory: ['BucketInventoryConfiguration', { error: 'NoSuchConfiguration' }],
  metrics: ['BucketMetricsConfiguration', { error: 'NoSuchConfiguration' }],
  'intelligent-tiering': ['BucketIntelligentTiering', { error: 'NoSuchConfiguration' }],
  versioning: ['BucketVersioning', { root: 'VersioningConfiguration' }],
  notification: ['BucketNotification', { root: 'NotificationConfiguration' }],
  logging: ['BucketLogging', { root: 'BucketLoggingStatus' }],
  accelerate: ['BucketAccelerate', { root: 'AccelerateConfiguration' }],
  requestPayment: ['BucketRequestPayment', { root: 'RequestPaymentConfiguration' }],
};

/** By the key in the query. */
export const ABSENT_CONFIGURATIONS: ReadonlyMap<string, S3Operation> = new Map(
  Object.entries(OF_BUCKETS).map(([key, [name, answer]]) => [
    key,
    {
      name: `Get${name}`,
      run: (call) => {
        assertBucket(call);
        if ('error' in answer) throw new ProtocolError(answer.error);
        const content = key === 'requestPayment' ? textElement('Payer', 'BucketOwner') : '';
        call.reply.xml(answer.root, content);
      },
    },
  ]),
);

/** Names of configurations: a request that changes one is never handled as another operation. */
export const CONFIGURATION_KEYS: readonly string[] = Object.keys(OF_BUCKETS);

/** Deleting a missing configuration succeeds, as in S3. */
export const DELETED_CONFIGURATIONS: ReadonlyMap<string, S3Operation> = new Map(
  Object.entries(OF_BUCKETS).map(([key, [name]]) => [
    key,
    {
      name: `Delete${name}`,
      run: (call) => {
        assertBucket(call);
        call.reply.empty(204);
      },
    },
  ]),
);

/** For objects: there is no retention and no legal hold. */
export const NO_OBJECT_LOCK: S3Operation = {
  name: 'GetObjectRetention',
  run: async (call) => {
    (await openObject(call)).close();
    throw new ProtocolError('NoSuchObjectLockConfiguration');
  },
};
