import { writeFile } from 'node:fs/promises';
import { makeApiReport } from './api-report.ts';

await writeFile(new URL('../../docs/API.md', import.meta.url), await makeApiReport());
