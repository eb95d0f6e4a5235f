/** Numbers as the page writes them. */

/** A weight as two decimals, a signed number with a real minus sign. */
export const decimals = (value: number, digits = 2): string =>
  Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–";

export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

export const percent = (value: number): string => (Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "–");
