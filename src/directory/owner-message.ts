import { StoreLockedError } from '../base/errors.ts';
import type { ProcessIdentity } from '../fs/process-identity.ts';
import { isSameMachine, lockOwnerOf } from './owner-record.ts';
import type { OwnerRecord } from './owner-record.ts';

/**
 * The error for a directory that a live process of this machine holds, or whose kernel lock is
 * visibly held.
 */
export function heldByProcess(
  directory: string,
  owner: OwnerRecord | undefined,
  self: ProcessIdentity,
  path: string,
): StoreLockedError {
  const message = `${directory} is open in ${nameOf(owner, self)}; close it there first`;
  return new StoreLockedError(message, lockOwnerOf(owner), { path });
}

/** The error for a directory that a process has open whose lock file is not the one at `path`. */
export function heldWithoutFile(
  directory: string,
  owner: OwnerRecord,
  self: ProcessIdentity,
  path: string,
): StoreLockedError {
  const message =
    `${directory} is open in ${nameOf(owner, self)}, although ${path} was replaced ` +
    'meanwhile; close it there first';
  return new StoreLockedError(message, lockOwnerOf(owner), { path });
}

/**
 * The error for a directory whose kernel lock is free here, but whose lease another process
 * refreshes.
 */
export function heldByHost(
  directory: string,
  owner: OwnerRecord | undefined,
  self: ProcessIdentity,
  lease: { readonly path: string; readonly staleMs: number; readonly cause: unknown },
): StoreLockedError {
  const name =
    owner === undefined ? 'an unknown process, possibly on another host' : nameOf(owner, self);
  const message =
    `${directory} is open in ${name}, which keeps its lease fresh; close it there. ` +
    `If that host is down, open again ${lease.staleMs / 1000} s after its last refresh`;
  return new StoreLockedError(message, lockOwnerOf(owner), {
    path: lease.path,
    cause: lease.cause,
  });
}

function nameOf(owner: OwnerRecord | undefined, self: ProcessIdentity): string {
  if (owner === undefined) return 'another process, which has not written its name';
  const isSelf =
    owner.pid === self.pid &&
    owner.processStartTicks === self.processStartTicks &&
    isSameMachine(owner, self);
  const process = isSelf ? `this process (${owner.pid})` : `process ${owner.pid}`;
  return `${process} on host ${owner.hostName} since ${timeOf(owner.openedAtMs)}`;
}

/** The record may hold any number. A Date supports a smaller range. */
function timeOf(openedAtMs: number): string {
  const date = new Date(openedAtMs);
  return Number.isNaN(date.getTime()) ? 'an unknown time' : date.toISOString();
}
