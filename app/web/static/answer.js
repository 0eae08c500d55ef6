// The answer in words and bars.
import { byId, make, showText } from "./elements.js";
import { duration, nameOf, percent } from "./words.js";

/** Show what the service answered about a sound. */
export function showAnswer(answer, sound) {
  const { verdict, sure } = sentences(answer);
  const source = sound.recorded ? "Your recording" : sound.name;
  byId("source").textContent = `${source}, ${duration(answer.duration_seconds)}`;
  byId("verdict").textContent = verdict;
  byId("sure").textContent = sure;
  showText(
    byId("truncated"),
    answer.truncated &&
      `The file breaks off before its end. This is the answer for the ${duration(answer.duration_seconds)} that are there.`,
  );
  byId("bars").replaceChildren(...bars(answer));
  // Of silence the probabilities say nothing.
  byId("probabilities").hidden = Boolean(answer.silence);
  byId("probabilities-title").textContent =
    (answer.windows?.length ?? 0) > 1 ? "On average over the whole clip" : "Probabilities";
  byId("answered-by").textContent = `Answered by ${answer.model.name}, version ${answer.model.version}`;
  return `${verdict}. ${sure}`;
}

function sentences(answer) {
  const several = soundsOf(answer);
  if (answer.silence) {
    return {
      verdict: "This is silence",
      sure: "There is nothing loud enough to name. If you expected a sound, look at the microphone or its level.",
    };
  }
  if (several.length > 1) {
    return {
      verdict: "Several sounds",
      sure: `${sentence(several)}. The timeline shows which is heard when.`,
    };
  }
  const [first, second] = ranked(answer);
  if (answer.uncertain) {
    return {
      verdict: `Not sure: ${nameOf(first[0]).toLowerCase()}?`,
      sure: second
        ? `It may be that (${percent(first[1])}), or ${nameOf(second[0]).toLowerCase()} (${percent(second[1])}), or nothing that this model knows.`
        : `It may be that (${percent(first[1])}), or nothing that this model knows.`,
    };
  }
  return { verdict: nameOf(first[0]), sure: `${percent(first[1])} probable` };
}

/** The labels of the events in a clip of several windows, that of most seconds first. */
function soundsOf({ events = [], windows = [] }) {
  if (windows.length < 2) return [];
  const seconds = new Map();
  for (const { label, start_seconds: start, end_seconds: end } of events) {
    seconds.set(label, (seconds.get(label) ?? 0) + end - start);
  }
  return [...seconds].sort(([, one], [, other]) => other - one).map(([label]) => label);
}

function sentence(labels) {
  const shown = labels.slice(0, 4).map((label) => nameOf(label).toLowerCase());
  if (labels.length > shown.length) shown.push("others");
  const text = `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function ranked(answer) {
  return Object.entries(answer.probabilities).sort(([, one], [, other]) => other - one);
}

function bars(answer) {
  return ranked(answer).map(([label, probability], place) => {
    const bar = make("span", { className: "bar", "aria-hidden": "true" }, make("i"));
    bar.firstChild.style.setProperty("--part", String(probability));
    return make(
      "li",
      { className: place === 0 ? "first" : "" },
      make("span", { className: "bar-name" }, nameOf(label)),
      bar,
      make("span", { className: "bar-percent" }, percent(probability)),
    );
  });
}
