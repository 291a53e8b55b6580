// Once the file that FAILING_WRITES names exists, writes of the metadata store fail with the code
// in it. Volumes are written through file handles, which do not come by here.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { write } = fs;
fs.write = (...args) => {
  const path = process.env.FAILING_WRITES;
  if (path === undefined || !fs.existsSync(path)) return write(...args);
  const code = fs.readFileSync(path, 'utf8');
  const error = Object.assign(new Error(`${code}: planted`), { code });
  const done = args.at(-1);
  setImmediate(() => done(error, 0));
};
syncBuiltinESMExports();
