/**
 * Checkpoints of replicated stores in S3 or a compatible server. Needs the package
 * `@aws-sdk/client-s3`. See docs/guides/replicate.md.
 *
 * @module
 */
export { S3Checkpoints } from './s3-checkpoints.ts';
export type { S3CheckpointsOptions } from './s3-checkpoints.ts';
