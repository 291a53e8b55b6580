#!/usr/bin/env node
// A file that stands in the repository: npm links no `bin` that is built after the installation.
await import('../dist/cli/main.js');
