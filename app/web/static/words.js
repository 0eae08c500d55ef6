// How numbers and labels are said to people.

/** "dog_bark" as "Dog bark". */
export function nameOf(label) {
  const words = label.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** 0.974 as "97%"; what is not quite nothing or all is not called so. */
export function percent(probability) {
  if (probability > 0.995 && probability < 1) return ">99%";
  if (probability < 0.005 && probability > 0) return "<1%";
  return `${Math.round(probability * 100)}%`;
}

/** Seconds as "1:07", or "1:07.3" with tenths. */
export function clock(seconds, tenths = false) {
  const rounded = tenths ? Math.floor(seconds * 10 + 1e-6) / 10 : Math.floor(seconds + 1e-6);
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - minutes * 60).toFixed(tenths ? 1 : 0);
  return `${minutes}:${rest.padStart(tenths ? 4 : 2, "0")}`;
}

/** Seconds as "4.0 seconds" or "10 minutes 3 seconds". */
export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} seconds`;
  const whole = Math.round(seconds);
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  return `${minutes} ${minutes === 1 ? "minute" : "minutes"}${rest ? ` ${rest} seconds` : ""}`;
}
