// Asks transformers.js about texts: node ask.mjs REQUEST, a file of JSON; prints JSON.
// The request: the folder of the library, that of the model, task, dtype, texts, options.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const request = JSON.parse(readFileSync(process.argv[2], "utf8"));
const main = createRequire(join(request.library, "package.json")).resolve("@huggingface/transformers");
const { env, pipeline } = await import(pathToFileURL(main));
env.allowRemoteModels = false;
env.localModelPath = dirname(request.model);
const ask = await pipeline(request.task, basename(request.model), { dtype: request.dtype });
const answers = [];
for (const text of request.texts) {
  const answer = await ask(text, request.options);
  answers.push(answer.tolist ? answer.tolist() : answer);
}
console.log(JSON.stringify(answers));
