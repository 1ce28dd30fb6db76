import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aliasFor, defaultAliases } from "./image-aliases.ts";
import { parseReference } from "./reference.ts";

const digest = `sha256:${"a".repeat(64)}`;

describe("parseReference", () => {
  it.each([
    ["nginx", "docker.io/library/nginx:latest"],
    ["nginx:1.27", "docker.io/library/nginx:1.27"],
    ["team/app", "docker.io/team/app:latest"],
    ["docker.io/nginx", "docker.io/library/nginx:latest"],
    ["index.docker.io/nginx", "docker.io/library/nginx:latest"],
    ["localhost/app", "localhost/app:latest"],
    ["localhost:5000/app", "localhost:5000/app:latest"],
    ["mcr.microsoft.com/a/b/c:v0.0.11", "mcr.microsoft.com/a/b/c:v0.0.11"],
    [`nginx@${digest}`, `docker.io/library/nginx@${digest}`],
    [`nginx:1@${digest}`, `docker.io/library/nginx@${digest}`],
    ["a__b/c.d-e_f", "docker.io/a__b/c.d-e_f:latest"],
  ])("reads %s as %s", (name, canonical) => {
    expect(parseReference(name).canonical).toBe(canonical);
  });

  it.each([
    "",
    " ",
    "Nginx",
    "a//b",
    "a:",
    "a@sha256:12",
    ":tag",
    "a:b:c",
    "-x",
    "a/../b",
    "http://a/b",
  ])("refuses %j as InvalidImageName", (name) => {
    expect(() => parseReference(name)).toThrow(/couldn't parse image name/);
  });

  it("reads its own canonical form as itself", () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    fc.assert(
      fc.property(
        part,
        part,
        fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}$/),
        (a, b, tag) => {
          const { canonical } = parseReference(`${a}/${b}:${tag}`);
          expect(parseReference(canonical).canonical).toBe(canonical);
        },
      ),
    );
  });
});

describe("aliasFor", () => {
  it("knows the image of the Pod Sandboxing page", () => {
    const name = "mcr.microsoft.com/aks/fundamental/base-ubuntu:v0.0.11";
    expect(aliasFor(parseReference(name), defaultAliases)).toBe("katasim.local/base:v1");
  });

  it("matches every tag when the alias names none", () => {
    const aliases = [{ image: "r.example/a", servedBy: "x" }];
    expect(aliasFor(parseReference("r.example/a:v7"), aliases)).toBe("x");
    expect(aliasFor(parseReference("r.example/ab:v7"), aliases)).toBeUndefined();
  });

  it("never stands in for a digest", () => {
    const aliases = [{ image: "r.example/a", servedBy: "x" }];
    expect(aliasFor(parseReference(`r.example/a@${digest}`), aliases)).toBeUndefined();
  });
});
