import { DEFAULT_LIMITS } from '../s3/base/limits.ts';

/** For what is no S3 connection: volumes that are read and written, the metadata, other sockets. */
const FOR_FILES = 384;
const FEWEST_CONNECTIONS = 64;

/**
 * How many S3 connections leave enough descriptors for files. With all of them taken by clients
 * that send nothing, a PUT could not open its volume.
 */
export function connectionsFor(openFiles: number): number {
  const left = Math.max(FEWEST_CONNECTIONS, openFiles - FOR_FILES);
  return Math.min(DEFAULT_LIMITS.maxConnections, left);
}

/** The limit of open files of this process, as `ulimit -n` sets it; `Infinity` without one. */
export function openFilesLimit(): number {
  const report = process.report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft?: unknown } };
  };
  const soft = Number(report.userLimits?.open_files?.soft);
  return Number.isFinite(soft) ? soft : Infinity;
}
