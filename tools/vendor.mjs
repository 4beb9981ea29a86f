// Copies what the pages load from node_modules into static/vendor: Tabler's style and
// script, htmx, one sprite with the icons that the templates use, and the licences.
// Run by tools/setup.sh after `npm ci`; needs nothing but node.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const target = join(root, "static", "vendor");
const fresh = `${target}.new`;

const files = {
  "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
  "tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
  "htmx.min.js": "htmx.org/dist/htmx.min.js",
};

const licences = {
  "@tabler/core": "@tabler/icons/LICENSE", // same authors, same text; core ships none
  "@popperjs/core": "@popperjs/core/LICENSE.md",
  "@tabler/icons": "@tabler/icons/LICENSE",
  "htmx.org": "htmx.org/LICENSE",
};

// <svg class="icon"><use href="{% static 'vendor/icons.svg' %}#NAME"></use></svg>
const icons = `
activity alert-circle alert-octagon alert-triangle arrow-down arrow-left arrow-right arrow-up
bell bolt brightness check chevron-down chevron-right circle circle-check circle-dashed
circle-dot circle-x clock copy cpu dashboard database device-desktop dots download
external-link eye eye-off filter flame flask hand-stop heartbeat help help-circle history home
info-circle key keyboard list list-details lock lock-open login logout moon network
network-off pencil player-pause player-play player-stop plug plug-off plus power printer
refresh search server server-2 server-off settings shield shield-check shield-lock shield-off
skull snowflake stack-2 sun sun-moon test-pipe tool topology-star-3 transfer trash upload
urgent user users wifi wifi-off world x
`.trim().split(/\s+/);

function read(path) {
  return readFileSync(join(modules, path), "utf8");
}

// The maps are not shipped; a manifest storage would look for them.
function withoutSourceMap(text) {
  return text.replace(/\/\*# sourceMappingURL=.*?\*\/|\/\/# sourceMappingURL=.*/g, "");
}

function symbol(name) {
  const path = `@tabler/icons/icons/outline/${name}.svg`;
  if (!existsSync(join(modules, path))) {
    throw new Error(`there is no Tabler icon named ${name}`);
  }
  const body = read(path)
    .replace(/^[\s\S]*?<svg[^>]*>/, "")
    .replace(/<\/svg>\s*$/, "")
    .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" \/>/, "")
    .replace(/\n\s*/g, "");
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" ` +
    `stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${body}</symbol>`;
}

rmSync(fresh, { recursive: true, force: true });
mkdirSync(fresh, { recursive: true });
for (const [name, source] of Object.entries(files)) {
  writeFileSync(join(fresh, name), withoutSourceMap(read(source)));
}
const sprite = icons.map(symbol).join("\n");
writeFileSync(
  join(fresh, "icons.svg"),
  `<svg xmlns="http://www.w3.org/2000/svg">\n${sprite}\n</svg>\n`,
);
const notices = Object.entries(licences).map(([name, path]) => {
  const { version, license } = JSON.parse(read(`${name}/package.json`));
  return `${name} ${version} (${license})\n\n${read(path).trim()}\n`;
});
writeFileSync(join(fresh, "LICENSES.txt"), notices.join("\n----\n\n"));
rmSync(target, { recursive: true, force: true });
renameSync(fresh, target);
