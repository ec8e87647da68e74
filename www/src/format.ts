// Numbers as people read them. Locale-free on purpose: the same figure reads the same in a screenshot and a receipt.

/** 15900000 → "15,900,000". */
export function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Decimal units, as the cap of 16,000,000 bytes is counted: "866 kB", "15.9 MB". */
export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  if (value < 1e6) return `${trimmed(value / 1e3)} kB`;
  if (value < 1e9) return `${trimmed(value / 1e6)} MB`;
  return `${trimmed(value / 1e9)} GB`;
}

function trimmed(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Parameters: "1.15 M". */
export function count(value: number): string {
  if (value < 1000) return String(value);
  if (value < 1e6) return `${trimmed(value / 1e3)} k`;
  return `${trimmed(value / 1e6)} M`;
}

export function bits(value: number): string {
  return value.toFixed(2);
}

export function bpb(value: number): string {
  return value.toFixed(4);
}

/** A signed difference, with a true minus sign. */
export function signed(value: number, digits = 4): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? "\u2212" : "+"}${text}`;
}

/** A probability, never rounded to a false 0 or 100. */
export function percent(probability: number): string {
  const value = probability * 100;
  if (value > 99.95 && value < 100) return "> 99.9%";
  if (value >= 10) return `${value.toFixed(1)}%`;
  if (value >= 0.1) return `${value.toFixed(2)}%`;
  if (value >= 0.0001) return `${Number(value.toPrecision(1)).toFixed(Math.ceil(-Math.log10(value)))}%`;
  return "< 0.0001%";
}

export function seconds(value: number): string {
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

export function rate(tokens: number, time: number): string {
  if (time <= 0) return "\u2013";
  const value = tokens / time;
  return value < 10 ? value.toFixed(1) : grouped(value);
}

/** Makes what cannot be seen visible, for one token on its own. */
export function shown(text: string): string {
  return text.replace(/ /g, "\u2423").replace(/\n/g, "\u21b5").replace(/\t/g, "\u21e5");
}
