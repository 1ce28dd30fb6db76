/**
 * Label selectors: "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1".
 * Source: apimachinery pkg/labels/selector.go.
 */
import { apiError } from "../errors.ts";

export type LabelSelector = (labels: Readonly<Record<string, string>> | undefined) => boolean;

export const everything: LabelSelector = () => true;

type Operator = "=" | "==" | "!=" | "in" | "notin" | "exists" | "!" | ">" | "<";

const tokenPattern = /\s*(==|!=|=|!|>|<|\(|\)|,|[^\s=!(),<>]+)/y;

export function parseLabelSelector(text: string): LabelSelector {
  if (text.trim() === "") return everything;
  const requirements = createParser(text).parse();
  return (labels = {}) => requirements.every((requirement) => requirement(labels));
}

function createParser(text: string) {
  const tokens = tokenize(text);
  let position = 0;
  const peek = () => tokens[position];
  const next = () => tokens[position++];
  const fail = (what: string): never => {
    throw apiError("BAD_REQUEST", `unable to parse requirement: ${what}`);
  };
  const word = (what: string): string => {
    const token = next();
    if (token === undefined || /^[=!(),<>]/.test(token)) {
      return fail(`found '${token ?? ""}', expected: ${what}`);
    }
    return token;
  };

  const values = (): string[] => {
    if (next() !== "(") return fail(`found '${tokens[position - 1] ?? ""}', expected: '('`);
    const found: string[] = [];
    while (peek() !== ")") {
      if (peek() === ",") {
        next();
        continue;
      }
      found.push(word("',', ')' or identifier"));
    }
    next();
    return found;
  };

  const requirement = (): LabelSelector => {
    if (peek() === "!") {
      next();
      return matcher(validKey(word("identifier")), "!", []);
    }
    const key = validKey(word("identifier"));
    const operator = peek();
    if (operator === undefined || operator === ",") return matcher(key, "exists", []);
    next();
    if (operator === "in" || operator === "notin") return matcher(key, operator, values());
    if (!["=", "==", "!=", ">", "<"].includes(operator)) {
      return fail(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
    }
    const value = peek() === undefined || peek() === "," ? "" : word("identifier");
    if ((operator === ">" || operator === "<") && !/^-?\d+$/.test(value)) {
      return fail(
        `values[0][${key}]: Invalid value: "${value}": for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    }
    return matcher(key, operator as Operator, [value]);
  };

  return {
    parse(): LabelSelector[] {
      const requirements: LabelSelector[] = [];
      for (;;) {
        requirements.push(requirement());
        const separator = next();
        if (separator === undefined) return requirements;
        if (separator !== ",")
          return fail(`found '${separator}', expected: ',' or 'end of string'`);
      }
    },
  };

  function validKey(key: string): string {
    if (/^([A-Za-z0-9.-]+\/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(key)) return key;
    return fail(
      `<nil>: Invalid value: "${key}": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
    );
  }
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  for (;;) {
    const match = tokenPattern.exec(text);
    if (match?.[1] === undefined) return tokens;
    tokens.push(match[1]);
  }
}

function matcher(key: string, operator: Operator, values: readonly string[]): LabelSelector {
  return (labels = {}) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case "exists":
        return value !== undefined;
      case "!":
        return value === undefined;
      case "=":
      case "==":
      case "in":
        return value !== undefined && values.includes(value);
      // As in Kubernetes, an object without the label satisfies the negative forms.
      case "!=":
      case "notin":
        return value === undefined || !values.includes(value);
      default: {
        if (value === undefined || !/^-?\d+$/.test(value)) return false;
        const difference = BigInt(value) - BigInt(values[0] ?? "0");
        return operator === ">" ? difference > 0n : difference < 0n;
      }
    }
  };
}
