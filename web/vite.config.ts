import { defineConfig } from "vite";

// The API that `npm run dev` passes requests on to.
const api = "http://127.0.0.1:8000";

export default defineConfig({
  // Relative, so that the page works under any path that a proxy puts it at.
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/detect_api/web/static",
    emptyOutDir: true,
    target: "es2022",
    // An inlined file would need `data:` in the page's Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: Object.fromEntries(
      ["config", "jobs", "plates", "process", "uploads", "health", "ready"].map((name) => [
        `/${name}`,
        // Without keys the API lets no page of another origin change anything.
        { target: api, changeOrigin: true, headers: { origin: api } },
      ]),
    ),
  },
});
