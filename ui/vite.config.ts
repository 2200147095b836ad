import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  // The sentences lie outside, where the Rust programs read them too.
  server: { host: "127.0.0.1", fs: { allow: [".."] } },
  build: { target: ["es2022", "safari16.4"], modulePreload: { polyfill: false } },
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
  // The time is a deadline against hanging, on a machine that does much else.
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"], testTimeout: 30_000 },
});
