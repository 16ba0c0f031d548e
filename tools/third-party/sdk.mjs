// @saintno/comfyui-sdk: connect, change prompt and seed, count progress, get the video's name.
import fs from "node:fs";
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";

const [address, workflow] = process.argv.slice(2);
const api = new ComfyApi(address, "third-party-sdk").init();
await api.waitForReady();
const prompt = new PromptBuilder(JSON.parse(fs.readFileSync(workflow)), ["text", "seed"], ["video"])
  .setInputNode("text", "4.inputs.text")
  .setInputNode("seed", "8.inputs.seed")
  .setOutputNode("video", "11")
  .input("text", "a green ball moves up")
  .input("seed", Math.floor(Math.random() * 1e6));
let steps = 0;
const result = await new Promise((resolve, reject) =>
  new CallWrapper(api, prompt).onProgress(() => steps++).onFinished(resolve).onFailed(reject).run(),
);
const name = result.video.images[0].filename;
if (!name.endsWith(".mp4") || steps < 20) throw new Error(`${name}, ${steps} steps`);
console.log(`@saintno/comfyui-sdk: ${name}, ${steps} steps of progress`);
process.exit(0);
