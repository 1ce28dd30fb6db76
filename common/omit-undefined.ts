/** What is left of `T` when its undefined properties are dropped: they become optional. */
export type WithoutUndefined<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };

/**
 * `{a: 1, b: undefined}` → `{a: 1}`: for objects that become JSON or whose optional properties must
 * not be present as undefined (exactOptionalPropertyTypes).
 */
export function omitUndefined<T extends object>(object: T): WithoutUndefined<T> {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as WithoutUndefined<T>;
}
