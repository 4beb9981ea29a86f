// Copies what the pages load from node_modules into static/vendor: Tabler’s style,
// one sprite with the icons that the templates use, and the licences.
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
};

const licences = {
  "@tabler/core": "@tabler/icons/LICENSE", // same authors, same text; core ships none
  "@tabler/icons": "@tabler/icons/LICENSE",
};

// <svg class="icon"><use href="{% static 'vendor/icons.svg' %}#NAME"></use></svg>
const icons = `
activity adjustments alert-circle alert-octagon alert-square alert-triangle archive arrow-down
arrow-left arrow-right arrow-up bell bell-off bell-ringing bolt bolt-off bookmark brightness
building calendar certificate chart-bar chart-histogram check checklist chevron-down
chevron-left chevron-right chevron-up circle circle-check circle-dashed circle-dot circle-x
clipboard clipboard-check clock code columns copy cpu cpu-2 dashboard database database-off
device-desktop device-floppy device-mobile devices disc door-enter dots download external-link
eye eye-off file-description filter fingerprint flag flame flask folder gauge hand-stop hash
heart heartbeat help help-circle history home hourglass id info-circle key keyboard link list
list-check list-details list-search lock lock-open login logout mail menu-2 minus moon network
network-off note package password pencil player-pause player-play player-stop plug
plug-connected plug-off plug-x plus power printer qrcode radar refresh refresh-alert report
rotate route router scale search send server server-2 server-bolt server-off settings settings-2
shield shield-check shield-lock shield-off shield-question shield-x skull snowflake
sort-ascending square-rounded-check stack-2 stethoscope sun sun-moon table tag target terminal
test-pipe timeline tool tools topology-star-3 transfer trash upload urgent user user-check
user-cog user-minus user-off user-plus users wand webhook wifi wifi-off world x zoom-in
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
