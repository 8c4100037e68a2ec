import { defineConfig } from "vite";

export default defineConfig({
  build: {
    // Inlined files would be data: addresses, which the page's policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    target: "es2022",
    // How long a slow machine took for its plugins is no news to who builds the page.
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
});
