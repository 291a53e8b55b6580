import { EXIT_FAILED, EXIT_OK } from './cli-io.ts';
import { machineIo } from './machine-io.ts';
import { run } from './run.ts';

const io = machineIo();
const code = await run(process.argv.slice(2), io);
process.exitCode = code;
// The stream tells of its error later than of its write.
process.on('exit', () => {
  if (code === EXIT_OK && io.isOutputLost()) process.exitCode = EXIT_FAILED;
});
