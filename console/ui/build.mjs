// Builds what browsers load: one style sheet and the scripts, named by their content and packed.
// usage: node build.mjs DIRECTORY
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build, transform } from "esbuild";
import postcss from "postcss";
import { PurgeCSS } from "purgecss";

const TARGET = process.argv[2];
const SCRIPTS = ["console.ts", "log.ts"];
const PAGES = "../barbeque_console";
const SHIPPED = [
  ["htmx.org", ""],
  ["@tabler/core", "Copyright 2018-2026 The Tabler Authors\nCopyright 2011-2026 The Bootstrap Authors"],
];
const DARK = "[data-bs-theme=dark]";

// Tabler's dark colours are for an attribute; whoever leaves the choice to the system gets them too.
const followSystem = {
  postcssPlugin: "follow-system",
  Once(root) {
    root.walkRules((rule) => {
      if (!rule.selector.includes(DARK)) return;
      rule.selectors = rule.selectors.filter((one) => one.startsWith(DARK));
      if (!rule.selectors.length || !rule.selector) return void rule.remove();
      if (rule.parent.type === "atrule") return;
      const copy = rule.clone({ selectors: rule.selectors.map((one) => one.replaceAll(DARK, "[data-bs-theme=auto]")) });
      rule.after(postcss.atRule({ name: "media", params: "(prefers-color-scheme: dark)" }).append(copy));
    });
  },
};

// Of the kit only what our pages use is kept; our own styles are kept whole.
async function makeStyles() {
  const kit = readFileSync("node_modules/@tabler/core/dist/css/tabler.css", "utf8");
  const themed = await postcss([followSystem]).process(kit, { from: undefined });
  const own = await build({ entryPoints: ["src/console.css"], bundle: true, write: false });
  const [purged] = await new PurgeCSS().purge({
    content: [`${PAGES}/templates/**/*.html`, `${PAGES}/*.py`, "src/*.ts", "src/*.css"],
    css: [{ raw: themed.css }],
    defaultExtractor: (text) => text.match(/[\w-]+/g) ?? [],
    safelist: { standard: [/^btn-(primary|danger|sm)$/], greedy: [/data-bs-theme/] },
    keyframes: true,
    variables: true,
  });
  const both = purged.css + own.outputFiles[0].text;
  return (await transform(both, { loader: "css", minify: true, legalComments: "none" })).code;
}

async function makeScript(name) {
  const made = await build({
    entryPoints: [`src/${name}`],
    bundle: true,
    minify: true,
    write: false,
    target: "es2022",
    format: "iife",
    legalComments: "none",
  });
  return made.outputFiles[0].text;
}

// Where a package brings no file of its own, MIT is MIT: our text below the names in its sources.
function licences() {
  const mit = readFileSync("../../LICENSE", "utf8").split("\n\n").slice(2).join("\n\n");
  const told = SHIPPED.map(([name, own]) => {
    const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
    const text = own ? `${own}\n\n${mit}` : readFileSync(`node_modules/${name}/LICENSE`, "utf8");
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return told.join(`\n${"-".repeat(72)}\n\n`);
}

function write(manifest, name, content) {
  const extension = extname(name);
  const digest = createHash("sha256").update(content).digest("hex").slice(0, 12);
  const hashed = `${basename(name, extension)}-${digest}${extension}`;
  const path = join(TARGET, hashed);
  const bytes = Buffer.from(content);
  writeFileSync(path, bytes);
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  const packed = brotliCompressSync(bytes, quality);
  writeFileSync(`${path}.br`, packed);
  manifest[name] = hashed;
  console.log(`${hashed}: ${bytes.length} bytes, ${packed.length} packed`);
}

rmSync(TARGET, { recursive: true, force: true });
mkdirSync(TARGET, { recursive: true });
const manifest = {};
write(manifest, "console.css", await makeStyles());
for (const name of SCRIPTS) write(manifest, name.replace(/\.ts$/, ".js"), await makeScript(name));
write(manifest, "icon.svg", readFileSync("src/icon.svg", "utf8"));
writeFileSync(join(TARGET, "THIRD_PARTY_LICENSES"), licences());
writeFileSync(join(TARGET, "manifest.json"), JSON.stringify(manifest, null, 2));
