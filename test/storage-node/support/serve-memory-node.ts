/** Serves a node in memory until it is killed, for clients in other processes. */
import { createS3Server } from '../../../examples/storage-node/src/s3/s3-server.ts';
import { MemoryNode } from './memory-node.ts';

const [port = '0', accessKeyId = 'AKIDEXAMPLE', secretAccessKey = 'wJalrXUtnFEMI'] =
  process.argv.slice(2);
const server = createS3Server(new MemoryNode(), {
  keys: [{ accessKeyId, secretAccessKey }],
  log: (entry) => {
    if (process.env['VERBOSE'] !== undefined) console.error(JSON.stringify(entry));
  },
});
console.log(await server.listen(Number(port)));
