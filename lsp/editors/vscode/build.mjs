// Bundles the extension, with the licences of what goes into the bundle. `node build.mjs test` bundles the tests.

import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { build } from "esbuild";

const COMMON = { bundle: true, platform: "node", target: "node20", format: "cjs", external: ["vscode"] };

async function bundleExtension() {
  const made = await build({
    ...COMMON,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    minify: true,
    metafile: true,
    legalComments: "none", // they are all in NOTICES.txt
  });
  await writeFile("dist/NOTICES.txt", await notices(Object.keys(made.metafile.inputs)));
  await copyFile("../../../LICENSE", "LICENSE.txt");
}

/** Return the names, versions and licences of the packages that these files are from. */
async function notices(files) {
  const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;
  const folders = new Set(files.map((file) => folder.exec(file)?.[1]).filter(Boolean));
  const parts = await Promise.all([...folders].sort().map(notice));
  return `This extension contains the following packages.\n\n${parts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

async function notice(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) {
    throw new Error(`${folder} has no licence file`);
  }
  return `${name} ${version} (${license})\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`;
}

async function bundleTests() {
  const tests = (await readdir("test")).filter((name) => name.endsWith(".test.ts"));
  await build({ ...COMMON, entryPoints: tests.map((name) => join("test", name)), outdir: "dist/test" });
}

await mkdir("dist", { recursive: true });
await (process.argv[2] === "test" ? bundleTests() : bundleExtension());
