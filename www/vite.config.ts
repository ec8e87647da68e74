import { defineConfig, type Plugin } from "vite";

/** The promise on the page, "nothing you type leaves it", kept by the browser. Only in the build: the dev server injects styles. */
function contentSecurityPolicy(): Plugin {
  const policy = [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: policy }, injectTo: "head-prepend" },
    ],
  };
}

export default defineConfig({
  // Relative, so that the folder works under any path of any static host.
  base: "./",
  build: { target: "es2022", modulePreload: { polyfill: false }, reportCompressedSize: false },
  worker: { format: "es" },
  plugins: [contentSecurityPolicy()],
});
