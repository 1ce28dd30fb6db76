import { defineConfig } from "vitest/config";

const project = (name: string, include: string[], extra: object = {}) => ({
  test: { name, include, restoreMocks: true, unstubEnvs: true, ...extra },
});

// Only unit tests run beside each other: the others start servers and VMs on two cores.
export default defineConfig({
  test: {
    reporters: ["default"],
    projects: [
      project("unit", ["{api,cli,common,runtime-shim,simulator}/**/*.test.ts", "test/*.test.ts"]),
      project("contract", ["test/contract/**/*.test.ts"], {
        testTimeout: 60_000,
        hookTimeout: 60_000,
        fileParallelism: false,
      }),
      project("conformance", ["test/conformance/**/*.test.ts"], {
        testTimeout: 120_000,
        hookTimeout: 120_000,
        fileParallelism: false,
      }),
      project("e2e", ["test/{e2e,scenarios}/**/*.test.ts"], {
        testTimeout: 180_000,
        hookTimeout: 180_000,
        fileParallelism: false,
      }),
    ],
  },
});
