/**
 * One measurement in a separate process, so that memory and compiled code of others do not affect
 * it. Reads a job from its first argument and writes the result to the file that the job names.
 */
import { writeFileSync } from 'node:fs';

const { row, job, resultPath } = JSON.parse(process.argv[2]);
const { measure } = await import(`./rows/${row}.mjs`);
const result = await measure(job);
writeFileSync(resultPath, JSON.stringify(result));
// Some peers keep the event loop alive after their close.
process.exit(0);
