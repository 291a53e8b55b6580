import { hasFileOpen } from '../fs/process-files.ts';
import { readStartTicks, type ProcessIdentity } from '../fs/process-identity.ts';
import { decodeOwnerRecord, type OwnerRecord } from './owner-record.ts';

/**
 * Whether a process of this machine has the store open although the kernel lock of its lock file is
 * free: the file was replaced by a copy, and the process has the previous one open. That file has
 * the nonce of the process. A process that has closed the store, or whose thread has ended, has no
 * such file open.
 *
 * False where it cannot be known: without `/proc`, and for a process of another PID namespace. True
 * for a living process of another user, whose files cannot be examined.
 */
export async function isOpenElsewhere(
  owner: OwnerRecord,
  self: ProcessIdentity,
  lockPath: string,
): Promise<boolean> {
  const { pid, processStartTicks, bootId, nonce } = owner;
  if (bootId === undefined || bootId !== self.bootId) return false;
  if (processStartTicks === undefined) return false;
  if ((await readStartTicks(pid)) !== processStartTicks) return false;
  const isOfOwner = (head: Uint8Array): boolean => decodeOwnerRecord(head)?.nonce === nonce;
  return (await hasFileOpen(pid, lockPath, isOfOwner)) ?? true;
}
