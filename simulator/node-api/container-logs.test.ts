import { describe, expect, it } from "vitest";
import type { Clock } from "../../common/clock.ts";
import { SimError } from "../../common/errors.ts";
import { resolveLogRequest } from "./container-logs.ts";
import type { PodContainer, PodDirectory } from "./pod-directory.ts";

const clock: Clock = { nowMs: () => 1_000_000, sleep: async () => {} };

function resolve(
  container: Partial<PodContainer>,
  query = "",
  target = { pod: "y", container: "x" },
) {
  const pods: PodDirectory = {
    find: (namespace, name) =>
      name === "y"
        ? {
            namespace,
            name,
            uid: "u",
            containers: [{ name: "x", logPaths: [], running: false, ...container }],
          }
        : undefined,
    list: () => [],
  };
  return resolveLogRequest(pods, { namespace: "ns", ...target }, new URLSearchParams(query), clock);
}

function refusal(...args: Parameters<typeof resolve>): {
  status: number | undefined;
  message: string;
} {
  try {
    resolve(...args);
  } catch (error) {
    if (error instanceof SimError)
      return { status: error.definition.httpStatus, message: error.message };
  }
  throw new Error("it was not refused");
}

describe("a log request", () => {
  it.each([
    ["ContainerCreating", 'container "x" in pod "y" is waiting to start: ContainerCreating'],
    ["ErrImagePull", `container "x" in pod "y" is waiting to start: image can't be pulled`],
    [
      "ImagePullBackOff",
      'container "x" in pod "y" is waiting to start: trying and failing to pull image',
    ],
    [undefined, 'container "x" in pod "y" is waiting to start - no logs yet'],
  ])(
    "is refused in the kubelet's words while the container waits: %s",
    (waitingReason, message) => {
      expect(refusal(waitingReason === undefined ? {} : { waitingReason })).toEqual({
        status: 400,
        message,
      });
    },
  );

  it("is refused where there is no previous attempt", () => {
    expect(refusal({ logPaths: ["/0.log"] }, "previous=true")).toEqual({
      status: 400,
      message: 'previous terminated container "x" in pod "y" not found',
    });
  });

  it("is refused for pods and containers that are not here", () => {
    expect(refusal({}, "", { pod: "z", container: "x" })).toEqual({
      status: 404,
      message: 'pod "z" does not exist',
    });
    expect(refusal({}, "", { pod: "y", container: "z" })).toEqual({
      status: 404,
      message: 'container "z" not found in pod "y"',
    });
  });

  it.each(["tailLines=-1", "tailLines=x", "limitBytes=0", "sinceSeconds=0", "sinceTime=yesterday"])(
    "is refused with %s",
    (query) => {
      expect(refusal({ logPaths: ["/0.log"] }, query).status).toBe(400);
    },
  );

  it("is about the newest attempt, which it follows only while it runs", () => {
    const attempts = {
      logPaths: ["/0.log", "/1.log"],
      containerId: "c",
      previousLogPath: "/0.log",
    };
    expect(resolve({ ...attempts, running: true }, "follow=true")).toEqual({
      path: "/1.log",
      options: { timestamps: false },
      followContainerId: "c",
    });
    expect(resolve(attempts, "follow=true").followContainerId).toBeUndefined();
    expect(resolve(attempts, "previous=true").path).toBe("/0.log");
  });

  it("takes the later of the two ways to say since when", () => {
    const query =
      "sinceSeconds=100&sinceTime=1970-01-01T00:15:10Z&tailLines=5&limitBytes=9&timestamps=true";
    expect(resolve({ logPaths: ["/0.log"] }, query).options).toEqual({
      timestamps: true,
      tailLines: 5,
      limitBytes: 9,
      sinceMs: 910_000,
    });
  });
});
