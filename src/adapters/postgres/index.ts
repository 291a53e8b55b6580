/**
 * Shared logs, elections and shard maps in PostgreSQL. Needs the package `pg`. See
 * docs/guides/replicate.md.
 *
 * @module
 */
export type { EngineFinding, OpenLogOptions, ReplicationEngine } from '../engine.ts';
export { PostgresEngine } from './postgres-engine.ts';
export type { PostgresOptions } from './postgres-options.ts';
