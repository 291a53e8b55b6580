// Writes down an input that does not end, and ends the process: the thread that runs it cannot.
import { writeFileSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

const { state, memory, failurePath, hangSeconds } = workerData;

function inputText() {
  const descriptionBytes = Atomics.load(state, 1);
  const copy = Buffer.from(memory);
  const { target, parameters, files } = JSON.parse(copy.toString('utf8', 0, descriptionBytes));
  let offset = descriptionBytes;
  const named = files.map(([name, lengthBytes]) => {
    const base64 = copy.toString('base64', offset, offset + lengthBytes);
    offset += lengthBytes;
    return [name, base64];
  });
  return `${JSON.stringify({ target, parameters, files: Object.fromEntries(named) }, null, 1)}\n`;
}

let seen = -1;
let quietSeconds = 0;
setInterval(() => {
  const begun = Atomics.load(state, 0);
  quietSeconds = begun === seen ? quietSeconds + 1 : 0;
  seen = begun;
  if (begun === 0 || quietSeconds < hangSeconds) return;
  writeFileSync(failurePath, inputText());
  writeSync(2, `an input has not ended after ${hangSeconds} s: ${failurePath}\n`);
  process.kill(process.pid, 'SIGKILL');
}, 1000);
