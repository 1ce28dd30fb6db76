/**
 * Forms of names, labels, keys and ports, with the real server's sentences verbatim.
 * Source: apimachinery pkg/util/validation/validation.go, pkg/api/validation/generic.go.
 */

/** Each check gives one message per fault; none for a good value. */
export type StringCheck = (value: string) => string[];

const dnsLabelForm = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const dnsSubdomainForm = `${dnsLabelForm}(\\.${dnsLabelForm})*`;
const dns1035Form = "[a-z]([-a-z0-9]*[a-z0-9])?";
const qualifiedForm = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const labelValueForm = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const configKeyForm = "[-._a-zA-Z0-9]+";
const headerForm = "[-A-Za-z0-9]+";

const labelMaxLength = 63;
const subdomainMaxLength = 253;
const portNameMaxLength = 15;

export const dnsLabel: StringCheck = (value) => {
  const messages = tooLong(value, labelMaxLength);
  if (!matches(value, dnsLabelForm))
    messages.push(
      matches(value, dnsSubdomainForm)
        ? "must not contain dots"
        : formError(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            dnsLabelForm,
            "my-name",
            "123-abc",
          ),
    );
  return messages;
};

export const dnsSubdomain: StringCheck = (value) =>
  checked(
    value,
    subdomainMaxLength,
    dnsSubdomainForm,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    "example.com",
  );

export const dns1035Label: StringCheck = (value) =>
  checked(
    value,
    labelMaxLength,
    dns1035Form,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
    "my-name",
    "abc-123",
  );

export const labelValue: StringCheck = (value) =>
  checked(
    value,
    labelMaxLength,
    labelValueForm,
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    "MyValue",
    "my_value",
    "12345",
  );

const qualifiedText =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const qualifiedExamples = ["MyName", "my.name", "123-abc"] as const;

/** Label and annotation keys, resource names, condition types: `[prefix/]name`. */
export const qualifiedName: StringCheck = (value) => {
  const [first = "", second, ...rest] = value.split("/");
  if (rest.length > 0)
    return [
      `a qualified name ${formError(qualifiedText, qualifiedForm, ...qualifiedExamples)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  const messages: string[] = [];
  const name = second ?? first;
  if (second !== undefined) {
    if (first === "") messages.push("prefix part must be non-empty");
    else messages.push(...dnsSubdomain(first).map((message) => `prefix part ${message}`));
  }
  if (name === "") messages.push("name part must be non-empty");
  else messages.push(...tooLong(name, labelMaxLength).map((message) => `name part ${message}`));
  if (!matches(name, qualifiedForm))
    messages.push(`name part ${formError(qualifiedText, qualifiedForm, ...qualifiedExamples)}`);
  return messages;
};

/** Keys of config maps and secrets. */
export const configMapKey: StringCheck = (value) => {
  const messages = checked(
    value,
    subdomainMaxLength,
    configKeyForm,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "key.name",
    "KEY_NAME",
    "key-name",
  );
  if (value === ".") messages.push("must not be '.'");
  else if (value === "..") messages.push("must not be '..'");
  else if (value.startsWith("..")) messages.push("must not start with '..'");
  return messages;
};

/** v1.32 has the feature RelaxedEnvironmentVariableValidation on. */
export const envVarName: StringCheck = (value) =>
  value !== "" && /[^\x20-\x3c\x3e-\x7e]/.test(value)
    ? [
        "a valid environment variable name must consist only of printable ASCII characters other than '='",
      ]
    : [];

export const httpHeaderName: StringCheck = (value) =>
  matches(value, headerForm)
    ? []
    : [
        formError(
          "a valid HTTP header must consist of alphanumeric characters or '-'",
          headerForm,
          "X-Header-Name",
        ),
      ];

export const portName: StringCheck = (value) => {
  const messages = tooLong(value, portNameMaxLength);
  if (!/^[-a-z0-9]+$/.test(value))
    messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (!/[a-z]/.test(value)) messages.push("must contain at least one letter (a-z)");
  if (value.includes("--")) messages.push("must not contain consecutive hyphens");
  if (value.startsWith("-") || value.endsWith("-"))
    messages.push("must not begin or end with a hyphen");
  return messages;
};

export function inRange(value: number, low: number, high: number): string[] {
  return value >= low && value <= high ? [] : [`must be between ${low} and ${high}, inclusive`];
}

export function portNumber(value: number): string[] {
  return inRange(value, 1, 65535);
}

function checked(
  value: string,
  maxLength: number,
  form: string,
  text: string,
  ...examples: readonly string[]
): string[] {
  const messages = tooLong(value, maxLength);
  if (!matches(value, form)) messages.push(formError(text, form, ...examples));
  return messages;
}

function tooLong(value: string, maxLength: number): string[] {
  return Buffer.byteLength(value) > maxLength
    ? [`must be no more than ${maxLength} characters`]
    : [];
}

/** Names are bounded before they come here (a request is), and these forms cannot backtrack far. */
function matches(value: string, form: string): boolean {
  const pattern = compiled.get(form) ?? new RegExp(`^${form}$`);
  compiled.set(form, pattern);
  return value.length <= 4096 && pattern.test(value);
}

/** A handful of forms, each compiled once. */
const compiled = new Map<string, RegExp>();

function formError(text: string, form: string, ...examples: readonly string[]): string {
  // The doubled blank before "or" is the real server's.
  const list = examples.map((example) => `'${example}', `).join(" or ");
  return `${text} (e.g. ${list}regex used for validation is '${form}')`;
}
