// The command that asks the same from a terminal.
import { apiKey, classifyPath, samplePath } from "./service.js";

/** A curl command for POSIX shells that classifies a sound as the page does. */
export function curlFor(sound, choice) {
  const url = new URL(classifyPath(choice), document.baseURI).href;
  const key = apiKey() ? ['-H "Authorization: Bearer $HARK_API_KEY"'] : [];
  if (!sound.sample) return lines([`curl -F ${quote(`file=@${formFile(sound.name)}`)}`, ...key, quote(url)]);
  const sample = new URL(samplePath(sound.sample), document.baseURI).href;
  return lines([`curl -s ${quote(sample)} |`, "curl -F file=@-", ...key, quote(url)]);
}

function lines(parts) {
  return parts.join(" \\\n  ").replaceAll("| \\\n", "|\n");
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A file's name as curl's -F wants it: in quotes where it holds what separates options there. */
function formFile(name) {
  return /[;,"\\]/.test(name) ? `"${name.replace(/(["\\])/g, "\\$1")}"` : name;
}
