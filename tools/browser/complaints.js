// What the page complains about, and which complaints are known to mean nothing.

/** Complaints that are no fault of the server's, each with the reason. `where` is looked for in the address. */
const KNOWN = [
  { what: /404/, where: /\/(api\/userdata\/)?user\.css/, why: 'styles of the user\'s own; there are none' },
  { what: /404/, where: /\/api\/userdata\/comfy\.templates\.json/, why: 'templates of the user\'s own; there are none' },
  { what: /404/, where: /\/api\/userdata\/workflows%2F\.index\.json/, why: 'bookmarks; there are none yet' },
  { what: /404/, where: /\/api\/userdata\?dir=subgraphs/, why: 'subgraphs of the user\'s own; there are none' },
  { what: /./, where: /^https:\/\/([a-z0-9-]+\.)*(comfy\.org|firebaseapp\.com|googleapis\.com|google\.com|gstatic\.com|customer\.io|algolia\.net)\//, why: 'services of the editor\'s makers' },
  { what: /ERR_|Failed to load/, where: /^https:\/\/o\d+\.ingest\.us\.sentry\.io\//, why: 'reports to the editor\'s makers' },
  { what: /ERR_|Failed to load/, where: /^https:\/\/raw\.githubusercontent\.com\/Comfy-Org\/workflow_templates\//, why: 'sample pictures of a template, from the internet; the server has its own' },
  { what: /error_loading_template_media/, where: /./, why: 'the same, said once more' },
  { what: /ERR_ABORTED/, where: /./, why: 'the page itself gave up a request, for instance by leaving' },
];

/** Listens to a page, and keeps every complaint that is not known. */
export class Complaints {
  #list = [];

  watch(page) {
    page.on('console', (message) => {
      if (message.type() === 'error') this.#add('console', message.text(), message.location().url ?? '');
    });
    page.on('pageerror', (error) => this.#add('uncaught', String(error.stack ?? error), page.url()));
    page.on('requestfailed', (request) => this.#add('request', request.failure()?.errorText ?? '', request.url()));
    page.on('response', (response) => {
      if (response.status() >= 400) this.#add('response', String(response.status()), response.url());
    });
  }

  #add(kind, what, where) {
    const known = KNOWN.find((known) => known.what.test(what) && known.where.test(where));
    if (!known) this.#list.push(`${kind}: ${what.slice(0, 500)} (${where})`);
  }

  /** Takes out those that a step brings about on purpose. */
  forgive(pattern) {
    this.#list = this.#list.filter((line) => !pattern.test(line));
  }

  get list() {
    return this.#list;
  }
}
