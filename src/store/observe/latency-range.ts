/** Latencies are told apart from a microsecond on. */
export const UNITS_PER_MS = 1000;
/** Up to 2^34 microseconds, 4.7 hours: a merge of a large store on a slow disk. */
export const LATENCY_OCTAVES = 34;
