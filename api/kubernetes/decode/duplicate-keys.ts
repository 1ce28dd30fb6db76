/**
 * Finds keys that a JSON text gives twice in one object, which JSON.parse silently drops. Reports as
 * sigs.k8s.io/json does: `duplicate field "spec.containers[0].image"`.
 */

interface Frame {
  readonly path: string;
  /** Keys seen so far; undefined in an array. */
  readonly keys: Set<string> | undefined;
  /** The key, or the index, whose value comes next. */
  at: string;
  index: number;
  expectsKey: boolean;
}

/** Paths of duplicate fields in document order, each once. The text must be valid JSON. */
export function duplicateFields(text: string): string[] {
  const found = new Set<string>();
  const frames: Frame[] = [];
  let position = 0;
  while (position < text.length) {
    const frame = frames.at(-1);
    switch (text[position]) {
      case "{":
      case "[":
        frames.push(openFrame(frame, text[position] === "{"));
        break;
      case "}":
      case "]":
        frames.pop();
        break;
      case ",":
        if (frame) {
          frame.index += 1;
          frame.expectsKey = frame.keys !== undefined;
        }
        break;
      case '"': {
        const end = stringEnd(text, position);
        if (frame?.keys && frame.expectsKey) {
          frame.at = JSON.parse(text.slice(position, end));
          frame.expectsKey = false;
          if (frame.keys.has(frame.at)) found.add(childPath(frame));
          frame.keys.add(frame.at);
        }
        position = end - 1;
        break;
      }
    }
    position += 1;
  }
  return [...found];
}

/** How deep objects and lists nest; strings are skipped. */
export function nestingDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (char === '"') i = stringEnd(text, i) - 1;
    else if (char === "{" || char === "[") deepest = Math.max(deepest, ++depth);
    else if (char === "}" || char === "]") depth -= 1;
  }
  return deepest;
}

function openFrame(parent: Frame | undefined, isObject: boolean): Frame {
  return {
    path: parent ? childPath(parent) : "",
    keys: isObject ? new Set() : undefined,
    at: "",
    index: 0,
    expectsKey: isObject,
  };
}

function childPath(frame: Frame): string {
  if (frame.keys === undefined) return `${frame.path}[${frame.index}]`;
  return frame.path === "" ? frame.at : `${frame.path}.${frame.at}`;
}

/** The index after the closing quote of the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}
