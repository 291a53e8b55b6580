import { requireBytes } from '../../base/bytes.ts';
import { requireBoolean, requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { checkU64 } from '../../base/u64.ts';

/**
 * A condition on the key of an update, evaluated on the state before its batch. All fields that are
 * set must hold. Without fields there is no condition.
 */
export interface Condition {
  /** The key has a record with this value, or with one of these values. */
  readonly ifValue?: bigint | number | readonly (bigint | number)[] | undefined;
  /** The key has no record. `false` is no condition. Excludes the other fields. */
  readonly ifAbsent?: boolean | undefined;
  /** The key has a record with these data. The bytes are copied. */
  readonly ifData?: Uint8Array | undefined;
  /** The key has no record, or its value is lower than that of this put. Not for deletes. */
  readonly ifNewer?: boolean | undefined;
}

/** One requirement on a key. */
export type Demand =
  | { readonly kind: 'ifAbsent' }
  | { readonly kind: 'ifValue'; readonly allowed: readonly bigint[] }
  | { readonly kind: 'ifData'; readonly data: Uint8Array }
  | { readonly kind: 'ifNewer'; readonly value: bigint };

export const CONDITION_FIELDS: FieldsOf<Condition> = {
  ifValue: true,
  ifAbsent: true,
  ifData: true,
  ifNewer: true,
};

/** Extracts the condition from the fields of an update or its options. Undefined if none is set. */
export function conditionOf(carrier: Condition): Condition | undefined {
  const { ifValue, ifAbsent, ifData, ifNewer } = carrier;
  const isAsked =
    ifValue !== undefined ||
    ifAbsent !== undefined ||
    ifData !== undefined ||
    ifNewer !== undefined;
  return isAsked ? { ifValue, ifAbsent, ifData, ifNewer } : undefined;
}

/**
 * The requirements of a condition. `value` is that of the put; undefined for a delete.
 *
 * @throws TypeError or RangeError that names the invalid field
 */
export function demandsOf(condition: Condition, value: bigint | number | undefined): Demand[] {
  requireKnownFields(condition, CONDITION_FIELDS, 'a condition');
  const { ifValue, ifAbsent, ifData, ifNewer } = condition;
  requireBoolean(ifAbsent, 'ifAbsent');
  requireBoolean(ifNewer, 'ifNewer');
  const demands: Demand[] = [];
  if (ifValue !== undefined) demands.push({ kind: 'ifValue', allowed: allowedValues(ifValue) });
  if (ifData !== undefined) {
    requireBytes(ifData, 'ifData');
    demands.push({ kind: 'ifData', data: ifData.slice() });
  }
  if (ifNewer === true) {
    if (value === undefined)
      throw new TypeError('ifNewer is not allowed on a delete: it has no value');
    demands.push({ kind: 'ifNewer', value: checkU64(value, 'value') });
  }
  if (ifAbsent !== true) return demands;
  const [other] = demands;
  if (other !== undefined) throw new TypeError(`${other.kind} and ifAbsent exclude each other`);
  return [{ kind: 'ifAbsent' }];
}

function allowedValues(ifValue: bigint | number | readonly (bigint | number)[]): bigint[] {
  const given = Array.isArray(ifValue) ? ifValue : [ifValue as bigint | number];
  if (given.length === 0) throw new RangeError('ifValue must name at least one value');
  return given.map((value) => {
    const allowed = checkU64(value, 'ifValue');
    if (allowed !== 0n) return allowed;
    throw new RangeError('ifValue must not be 0; use ifAbsent for a key without a record');
  });
}
