/**
 * `$(VAR)` in env values, command and args: kubernetes third_party/forked/golang/expansion/expand.go.
 * `$$` is a literal `$`; a reference that does not resolve stays as it was written.
 */
export function expand(text: string, lookUp: (name: string) => string | undefined): string {
  let out = "";
  for (let at = 0; at < text.length; at++) {
    const next = text[at + 1];
    if (text[at] !== "$" || next === undefined) {
      out += text[at];
    } else if (next === "$") {
      out += "$";
      at++;
    } else if (next === "(") {
      const end = text.indexOf(")", at + 2);
      if (end === -1) {
        out += "$(";
        at++;
      } else {
        const name = text.slice(at + 2, end);
        out += lookUp(name) ?? `$(${name})`;
        at = end;
      }
    } else {
      out += `$${next}`;
      at++;
    }
  }
  return out;
}
