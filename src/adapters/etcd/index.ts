/**
 * Shared logs, elections and shard maps in etcd, over its JSON gateway. Needs no package. See
 * docs/guides/replicate.md.
 *
 * @module
 */
export type { EngineFinding, OpenLogOptions, ReplicationEngine } from '../engine.ts';
export { EtcdEngine } from './etcd-engine.ts';
export type { EtcdOptions, EtcdTls } from './etcd-options.ts';
