import { TurnPace } from '../../turn-pace.ts';

/**
 * Bytes that are digested in one turn of the event loop, counted once per slow digest. A turn may
 * read megabytes from several sockets, and MD5 takes a millisecond per 300 to 600 KiB.
 */
const TURN_BYTES = 256 * 1024;

/** One per process, because it has one event loop. */
export const turnPace: TurnPace = new TurnPace(TURN_BYTES);
