import { jsonForm } from '../../base/json-form.ts';

/** A record. `data` is a copy that belongs to the caller. */
export interface TableRecord {
  readonly value: bigint;
  readonly data: Uint8Array;
}

/** A record that `JSON.stringify` takes: the value as decimal digits, the data as base64. */
export class StoredRecord implements TableRecord {
  readonly value: bigint;
  readonly data: Uint8Array;

  constructor(value: bigint, data: Uint8Array) {
    this.value = value;
    this.data = data;
  }

  toJSON(): unknown {
    return { value: jsonForm(this.value), data: jsonForm(this.data) };
  }
}
