// The official editor as a user sees it: what is clicked and typed, and what is looked for.

/** Says what was expected where something else was met. */
export class Mismatch extends Error {}

export function expect(condition, text) {
  if (!condition) throw new Mismatch(text);
}

/** Waits until `ready` says yes; polls, since most of what is waited for is drawn and not in the document. */
export async function until(what, ready, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  while (!(await ready())) {
    if (Date.now() > end) throw new Mismatch(`waited ${seconds} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export class Editor {
  /** What came over the websocket since the last `forget`. */
  seen = { progress: 0, steps: new Set(), previews: 0, errors: [] };

  constructor(page, server) {
    this.page = page;
    this.server = server;
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => this.#frame(payload)));
  }

  #frame(payload) {
    if (typeof payload !== 'string') {
      // Big-endian kind: 1 is a preview, 4 one that names its node.
      const kind = payload.length >= 4 ? payload.readUInt32BE(0) : 0;
      if (kind === 1 || kind === 4) this.seen.previews += 1;
      return;
    }
    const { type, data } = JSON.parse(payload);
    if (type === 'progress_state') {
      for (const node of Object.values(data.nodes)) {
        if (node.max > 1 && node.value > 0) {
          this.seen.progress += 1;
          this.seen.steps.add(`${node.node_id} ${node.value}/${node.max}`);
        }
      }
    }
    if (type === 'execution_error') this.seen.errors.push(`${data.node_type}: ${data.exception_message}`);
  }

  forget() {
    this.seen = { progress: 0, steps: new Set(), previews: 0, errors: [] };
  }

  /** Waits for the editor to have started; closes what it greets new users with. */
  async started() {
    await this.page.waitForSelector('#graph-canvas', { timeout: 120_000 });
    await this.page.waitForFunction(() => window.app?.graph && window.app.canvas, null, { timeout: 120_000 });
    await until('the list of nodes', () => this.page.evaluate(() => Boolean(window.LiteGraph?.registered_node_types?.KSampler)));
    // The templates open by themselves for who has never been here.
    await this.page.waitForTimeout(3000);
    await this.closeDialogs();
  }

  async closeDialogs() {
    const dialog = this.page.getByRole('dialog');
    for (let tries = 0; tries < 5 && (await dialog.count()) > 0; tries += 1) {
      await this.page.keyboard.press('Escape');
      await this.page.waitForTimeout(500);
    }
    expect((await dialog.count()) === 0, 'a dialog does not close');
  }

  /** Opens a workflow from the sidebar. */
  async openWorkflow(name) {
    const tab = this.page.getByTestId('workflows-tab-button');
    const refresh = this.page.getByTestId('workflows-refresh-button');
    if ((await refresh.count()) === 0) await tab.click();
    await refresh.waitFor();
    await this.page.locator('.comfyui-workflows-panel, .sidebar-content-container').getByText(name, { exact: true }).first().click();
    await until(`${name} in the tab bar`, async () => (await this.page.title()).includes(name));
    await this.page.waitForTimeout(1500);
    // Out of the way of the nodes.
    await tab.click();
    await this.fit();
  }

  /** Opens a template by the words of its title. */
  async openTemplate(search, title) {
    await this.page.keyboard.press('Escape');
    await this.page.getByRole('button', { name: /Templates|Tem.?plates/ }).first().click();
    await this.page.getByRole('dialog').waitFor();
    await this.page.getByRole('dialog').getByRole('textbox').first().fill(search);
    await this.page.getByRole('dialog').getByText(title, { exact: true }).first().click({ timeout: 30_000 });
    await until(`template ${title}`, async () => (await this.page.getByRole('dialog').count()) === 0);
    await this.page.waitForTimeout(2500);
    await this.fit();
  }

  /** Shows the whole graph, close enough that texts can be typed. */
  async fit() {
    await this.page.evaluate(() => {
      const { canvas } = window.app;
      canvas.ds.scale = 0.62;
      const nodes = window.app.graph.nodes.filter((node) => node.mode === 0);
      canvas.ds.offset[0] = 120 - Math.min(...nodes.map((node) => node.pos[0]));
      canvas.ds.offset[1] = 200 - Math.min(...nodes.map((node) => node.pos[1]));
      canvas.setDirty(true, true);
    });
    await this.page.waitForTimeout(500);
  }

  /** Brings a node to the middle of the window. */
  async show(id) {
    await this.page.evaluate((id) => {
      const { canvas } = window.app;
      const node = window.app.graph.getNodeById(id);
      const { width, height } = canvas.canvas.getBoundingClientRect();
      canvas.ds.scale = 0.8;
      canvas.ds.offset[0] = width / 2 / 0.8 - node.pos[0] - node.size[0] / 2;
      canvas.ds.offset[1] = height / 2 / 0.8 - node.pos[1] - node.size[1] / 2;
      canvas.setDirty(true, true);
    }, id);
    await this.page.waitForTimeout(400);
  }

  /** Types into a node's text, as a user does. */
  async type(id, widget, text) {
    await this.show(id);
    const index = await this.page.evaluate(([id, widget]) => {
      const found = window.app.graph.getNodeById(id).widgets.find((one) => one.name === widget);
      const area = found.element ?? found.inputEl;
      return [...document.querySelectorAll('textarea')].indexOf(area);
    }, [id, widget]);
    expect(index >= 0, `node ${id} shows no text field for ${widget}`);
    const area = this.page.locator('textarea').nth(index);
    await area.click();
    await this.page.keyboard.press('ControlOrMeta+a');
    await this.page.keyboard.type(text);
    expect((await area.inputValue()) === text, `${widget} of node ${id} does not take what is typed`);
  }

  /** Sets numbers and choices; these are drawn on the canvas, so they are set as the editor's own code does. */
  async set(values) {
    await this.page.evaluate((values) => {
      for (const [id, widgets] of Object.entries(values)) {
        const node = window.app.graph.getNodeById(Number(id));
        for (const [name, value] of Object.entries(widgets)) {
          const widget = node.widgets.find((one) => one.name === name);
          if (!widget) throw new Error(`node ${id} has no widget ${name}`);
          widget.value = value;
          widget.callback?.(value);
        }
      }
    }, values);
  }

  /** What a widget holds. */
  value(id, name) {
    return this.page.evaluate(([id, name]) => {
      return window.app.graph.getNodeById(id).widgets.find((one) => one.name === name)?.value;
    }, [id, name]);
  }

  /** Presses a LoadImage's button and chooses a file of this machine. Returns the name that the server gave it. */
  async upload(id, file) {
    await this.show(id);
    const place = () => this.page.evaluate((id) => {
      const { canvas } = window.app;
      const node = window.app.graph.getNodeById(id);
      const button = node.widgets.find((one) => one.type === 'button' || one.name === 'upload');
      const [x, y] = [node.pos[0] + node.size[0] / 2, node.pos[1] + (button.last_y ?? button.y) + 10];
      const box = canvas.canvas.getBoundingClientRect();
      return [box.left + (x + canvas.ds.offset[0]) * canvas.ds.scale, box.top + (y + canvas.ds.offset[1]) * canvas.ds.scale];
    }, id);
    const press = async () => {
      const at = await place();
      return Promise.all([this.page.waitForEvent('filechooser', { timeout: 10_000 }), this.page.mouse.click(...at, { delay: 120 })]);
    };
    // Where the node's picture has just come, the first click may be for a button that has moved.
    const [chooser] = await press().catch(press);
    const isAnswer = (response) => response.url().includes('/upload/image');
    const [answer] = await Promise.all([this.page.waitForResponse(isAnswer), chooser.setFiles(file)]);
    const { name } = await answer.json();
    await until('the uploaded name in the node', async () => (await this.value(id, 'image')) === name);
    return name;
  }

  /** Selects all that a group holds, and turns it on or off. */
  async toggleGroup(title, key) {
    await this.page.evaluate((title) => {
      const { canvas, graph } = window.app;
      const group = graph.groups.find((group) => group.title.startsWith(title));
      group.recomputeInsideNodes();
      canvas.deselectAll();
      for (const item of group.children) canvas.select(item);
      canvas.canvas.focus();
    }, title);
    await this.page.keyboard.press(key);
    await this.page.waitForTimeout(500);
  }

  async toggleNode(id, key) {
    await this.page.evaluate((id) => {
      const { canvas, graph } = window.app;
      canvas.deselectAll();
      canvas.select(graph.getNodeById(id));
      canvas.canvas.focus();
    }, id);
    await this.page.keyboard.press(key);
    await this.page.waitForTimeout(500);
  }

  /** Presses Run. Returns the prompt's id. */
  async run() {
    const isAnswer = (response) => response.url().endsWith('/api/prompt') && response.request().method() === 'POST';
    const [response] = await Promise.all([
      this.page.waitForResponse(isAnswer),
      this.page.getByTestId('queue-button').click(),
    ]);
    const answer = await response.json();
    expect(response.ok(), `the server refused the prompt: ${JSON.stringify(answer).slice(0, 600)}`);
    expect(Object.keys(answer.node_errors ?? {}).length === 0, `node errors: ${JSON.stringify(answer.node_errors)}`);
    return answer.prompt_id;
  }

  /** How many jobs the editor says are active. */
  async activeCount() {
    const text = await this.page.getByTestId('queue-overlay-toggle').innerText();
    return Number(text.match(/\d+/)?.[0] ?? NaN);
  }

  /** Asks the server, as the editor does. */
  async fetch(path) {
    const response = await this.page.request.get(`${this.server}${path}`);
    return response.json();
  }

  async interrupt() {
    await this.page.getByRole('button', { name: 'Cancel current run' }).first().click();
  }
}
