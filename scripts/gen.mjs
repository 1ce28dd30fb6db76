// Generates what is not written by hand: protobuf messages and Kubernetes types and schemas.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

const steps = [
  ["containerd messages", "npx", ["buf", "generate"], "buf.gen.yaml"],
  [
    "OpenAPI v2 messages",
    "npx",
    ["buf", "generate", "--template", "proto/openapi/buf.gen.yaml"],
    "proto/openapi/buf.gen.yaml",
  ],
  [
    "CRI messages",
    "npx",
    ["buf", "generate", "--template", "proto/cri/buf.gen.yaml"],
    "proto/cri/buf.gen.yaml",
  ],
  [
    "Kubernetes types and schemas",
    "node",
    ["scripts/gen-kubernetes.mjs"],
    "scripts/gen-kubernetes.mjs",
  ],
];
for (const [name, command, args, needs] of steps) {
  if (!existsSync(needs)) throw new Error(`${name}: ${needs} is missing`);
  console.error(` • ${name}`);
  execFileSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
}
