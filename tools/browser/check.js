// Drives the official editor against a running server, as the guides tell a user to. See README.md.

import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { Complaints } from './complaints.js';
import { Editor, expect, until } from './editor.js';

const USAGE = `usage: node check.js --server http://127.0.0.1:8188 --token TOKEN --picture FILE [--shots FOLDER] [--chromium FILE] [--only STEP]`;

const options = { server: '', token: '', picture: '', shots: 'shots', chromium: '/usr/bin/chromium', only: '' };
for (let index = 2; index < process.argv.length; index += 2) {
  const name = process.argv[index].replace(/^--/, '');
  if (!(name in options) || process.argv[index + 1] === undefined) usage(`what is ${process.argv[index]}?`);
  options[name] = process.argv[index + 1];
}
if (!options.server || !options.token || !options.picture) usage('--server, --token and --picture are needed');

/** Small sizes: the models behind the names are small. */
const NATIVE = { width: 64, height: 64, length: 17 };
const PROMPT = 'a red ball moves to the right';

const STEPS = [
  ['log-in', logIn],
  ['ti2v-text', textToVideo5B],
  ['ti2v-picture', pictureToVideo5B],
  ['a14b', pictureToVideoA14B],
  ['wanx-text', textToVideo21],
  ['wanx-picture', pictureToVideo21],
  ['template', template],
  ['reload', reloadAndInterrupt],
];

const browser = await chromium.launch({ executablePath: options.chromium, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1600, height: 950 } });
const page = await context.newPage();
const complaints = new Complaints();
complaints.watch(page);
const editor = new Editor(page, options.server);
mkdirSync(options.shots, { recursive: true });

let failures = 0;
for (const [name, step] of STEPS) {
  if (options.only && name !== 'log-in' && name !== options.only) continue;
  const start = Date.now();
  try {
    await step();
    expect(editor.seen.errors.length === 0, `a node failed: ${editor.seen.errors.join('; ')}`);
    const red = await page.locator('.p-toast-message-error').allInnerTexts();
    expect(red.length === 0, `a red message: ${red.join('; ')}`);
    expect(complaints.list.length === 0, `the page complains:\n  ${complaints.list.join('\n  ')}`);
    console.log(`ok      ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED  ${name}: ${error.message}`);
    await shot(`${name}-failed`);
    complaints.forgive(/./);
    if (name === 'log-in') break;
    await page.keyboard.press('Escape');
  }
}
await browser.close();
console.log(failures === 0 ? 'all well' : `${failures} of ${STEPS.length} failed`);
process.exit(failures === 0 ? 0 : 1);

async function logIn() {
  await page.goto(options.server);
  await page.locator('#password').fill('not the token');
  await page.getByRole('button').click();
  await page.getByRole('alert').waitFor();
  await shot('login-refused');
  await page.locator('#password').fill(options.token);
  await page.getByRole('button').click();
  await editor.started();
  await shot('started');
}

async function textToVideo5B() {
  await editor.openWorkflow('wan2.2-ti2v-5b');
  await editor.type(6, 'text', PROMPT);
  await editor.set({ 55: NATIVE });
  await makeVideo('ti2v-text', 58);
}

async function pictureToVideo5B() {
  await editor.openWorkflow('wan2.2-ti2v-5b');
  await editor.toggleNode(56, 'Control+b');
  await editor.upload(56, options.picture);
  await editor.type(6, 'text', PROMPT);
  await editor.set({ 55: NATIVE });
  await makeVideo('ti2v-picture', 58);
}

async function pictureToVideoA14B() {
  await editor.openWorkflow('wan2.2-i2v-a14b');
  await editor.upload(62, options.picture);
  await editor.type(6, 'text', PROMPT);
  await editor.set({ 63: NATIVE });
  await makeVideo('a14b', 61);
}

async function textToVideo21() {
  await editor.openWorkflow('wanx-21');
  await editor.type(2, 'positive_prompt', PROMPT);
  await editor.set({ 4: { width: 64, height: 64, num_frames: 17 } });
  await makeVideo('wanx-text', 8);
}

async function pictureToVideo21() {
  await editor.openWorkflow('wanx-21');
  await editor.toggleGroup('Text to video', 'Control+m');
  await editor.toggleGroup('Image to video', 'Control+m');
  await editor.upload(42, options.picture);
  await editor.type(49, 'positive_prompt', PROMPT);
  await editor.set({ 50: { generation_width: 64, generation_height: 64, num_frames: 17 } });
  await makeVideo('wanx-picture', 54);
}

async function template() {
  await editor.openTemplate('Wan 2.2', 'Wan 2.2 5B Video Generation');
  await editor.type(6, 'text', PROMPT);
  await editor.set({ 55: NATIVE });
  await makeVideo('template', 58);
}

async function reloadAndInterrupt() {
  await editor.openWorkflow('wan2.2-ti2v-5b');
  // So much that it goes on for minutes wherever it runs.
  await editor.set({ 55: { width: 256, height: 256, length: 49 }, 3: { steps: 10_000 } });
  editor.forget();
  const id = await editor.run();
  await until('its first steps', () => editor.seen.progress > 3);
  await page.reload();
  await editor.started();
  editor.forget();
  await until('the job after the reload', async () => (await editor.activeCount()) === 1);
  await until('its progress after the reload', () => editor.seen.progress > 3);
  await page.getByTestId('queue-overlay-toggle').click();
  await page.waitForTimeout(800);
  await shot('reload-job-list');
  await editor.interrupt();
  await until('the end of the job', async () => (await editor.activeCount()) === 0, 60);
  await shot('interrupted');
  const { [id]: entry } = await editor.fetch(`/api/history/${id}`);
  expect(entry?.status?.completed === false, `the job is not told as interrupted: ${JSON.stringify(entry?.status).slice(0, 300)}`);
}

/** Runs what is open, watches it, and looks at the video where the editor shows it. */
async function makeVideo(name, output) {
  editor.forget();
  await shot(`${name}-before`);
  const id = await editor.run();
  await until('steps', () => editor.seen.progress > 0, 120);
  await until('a preview', () => editor.seen.previews > 0, 120);
  await shot(`${name}-running`);
  await until('the result', async () => (await editor.fetch(`/api/history/${id}`))[id] !== undefined, 300);
  expect(editor.seen.steps.size > 3, `progress was told ${editor.seen.steps.size} times`);
  const { [id]: entry } = await editor.fetch(`/api/history/${id}`);
  expect(entry.status.status_str === 'success', `it ended with ${JSON.stringify(entry.status).slice(0, 600)}`);
  const ui = entry.outputs[output];
  const [file] = ui.images ?? ui.gifs ?? [];
  expect(file?.filename.endsWith('.mp4'), `node ${output} has no video: ${JSON.stringify(ui)}`);
  await seeVideo(file, name, output);
}

/** The browser plays it: on the node, or in the list of assets where the node has no place for it. */
async function seeVideo(file, name, output) {
  await editor.show(output);
  const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder, type: file.type });
  const played = await page.evaluate(async (address) => {
    const video = document.createElement('video');
    video.muted = true;
    video.src = address;
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(new Error(`the browser cannot play it: ${video.error?.message}`));
    });
    return { width: video.videoWidth, height: video.videoHeight, seconds: video.duration };
  }, `/api/view?${query}`);
  expect(played.width === 64 && played.height === 64 && played.seconds > 0.5, `the video is ${JSON.stringify(played)}`);
  const shown = () => page.evaluate((name) => {
    return [...document.querySelectorAll('video')].some((video) => video.src.includes(encodeURIComponent(name)) && video.videoWidth > 0);
  }, file.filename);
  await until(`${file.filename} on node ${output}`, shown, 20);
  await page.waitForTimeout(500);
  await shot(`${name}-video`);
}

async function shot(name) {
  await page.screenshot({ path: `${options.shots}/${name}.png` });
}

function usage(problem) {
  console.error(`${problem}\n${USAGE}`);
  process.exit(2);
}
