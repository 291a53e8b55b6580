import { machineIo } from './machine-io.ts';
import { run } from './run.ts';

process.exitCode = await run(process.argv.slice(2), machineIo());
