import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["tests/unit/**/*.test.ts"], environment: "node" } },
      {
        test: {
          name: "browser",
          include: ["tests/browser/**/*.test.ts"],
          environment: "node",
          // One browser at a time: its software GPU wants every core there is.
          fileParallelism: false,
          // A GPU in software on a busy machine is slow, not wrong.
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
