/**
 * Tests on real kernels that `npm test` omits: they need root, strace, and separate file systems.
 * What is missing is skipped and named. Run with `npm run test:real -- [--quick] [pattern]`.
 */
import { crashFileSystems, failingDevices } from './file-systems.ts';
import { fileSizeLimit, fullFileSystems } from './full-disks.ts';
import { Report } from './report.ts';
import { smallTmpfs } from './small-tmpfs.ts';
import { failEachCall, killAtEachCall } from './system-calls.ts';

const args = process.argv.slice(2);
const isQuick = args.includes('--quick');
const pattern = args.find((argument) => !argument.startsWith('--')) ?? '';
const report = new Report(new RegExp(pattern, 'i'));
const limit = isQuick ? 5 : 1000;
const rounds = isQuick ? 1 : 5;

await report.section('A file system that is full', fullFileSystems);
await report.section('A small tmpfs that is full when the store is opened', smallTmpfs);
await report.section('A limit on the size of files', fileSizeLimit);
await report.section('A crash of the file system under load', (on) => crashFileSystems(on, rounds));
await report.section('A block device that fails under load', (on) =>
  failingDevices(on, Math.min(rounds, 2)),
);
await report.section('SIGKILL at each system call', (on) => killAtEachCall(on, limit));
await report.section('A failure of each system call', (on) => failEachCall(on, limit));
process.exitCode = report.end();
