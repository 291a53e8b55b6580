import { register } from 'node:module';

register('../../support/typescript-hook.mjs', import.meta.url);
register('./lodestore-hook.mjs', import.meta.url);
