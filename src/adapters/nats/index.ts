/**
 * Shared logs, elections and shard maps in NATS JetStream. Needs the packages
 * `@nats-io/transport-node` and `@nats-io/jetstream`. See docs/guides/replicate.md.
 *
 * @module
 */
export type { EngineFinding, OpenLogOptions, ReplicationEngine } from '../engine.ts';
export { NatsEngine } from './nats-engine.ts';
export type { NatsOptions } from './nats-options.ts';
