/**
 * One measurement in a process of its own, so that neither memory nor compiled code of another one
 * is in it. Reads a job from its first argument and writes the result to the file that the job
 * names.
 */
import { writeFileSync } from 'node:fs';

const { row, job, resultPath } = JSON.parse(process.argv[2]);
const { measure } = await import(`./rows/${row}.mjs`);
const result = await measure(job);
writeFileSync(resultPath, JSON.stringify(result));
// Some peers keep the event loop alive after they were closed.
process.exit(0);
