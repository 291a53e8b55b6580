// Lets worker threads and child processes of the tests load TypeScript sources as they are.
import { register } from 'node:module';

register('./typescript-hook.mjs', import.meta.url);
