/**
 * Checkpoints of replicated stores in S3, or in a server that speaks its protocol. Needs the
 * package `@aws-sdk/client-s3`. See docs/guides/replicate.md.
 *
 * @module
 */
export { S3Checkpoints } from './s3-checkpoints.ts';
export type { S3CheckpointsOptions } from './s3-checkpoints.ts';
