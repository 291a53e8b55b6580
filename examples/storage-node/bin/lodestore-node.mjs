#!/usr/bin/env node
// Checked in, because npm does not link a `bin` that is built after the installation.
await import('../dist/cli/main.js');
