// Finding and making elements.

/** The element with an id, which index.html has. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element #${id}`);
  return element;
}

/** Make an element with properties (or attributes, where the name has a dash) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Show an element with a text, or hide it where there is none. */
export function showText(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}
