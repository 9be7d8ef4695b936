// Looks at pages in headless Chromium, and prints what it found as JSON: errors on the console, requests to elsewhere, violations that
// axe-core finds in either colour scheme and at two widths, and what the keyboard does not reach.
//
//   NODE_PATH=…/node_modules node look.cjs CHROMIUM URL…
//
// With SHOTS=folder it keeps screenshots there. `file:` pages may ask for nothing else, others for what their own host has.
"use strict";
const puppeteer = require("puppeteer-core");
const { join } = require("node:path");
const axe = require.resolve("axe-core/axe.min.js");

const WIDTHS = [1200, 400];
const SCHEMES = ["light", "dark"];
// The rules whose outcome depends on how a page is drawn. A page of so many elements is asked about the others once: its structure is the
// same in every scheme and at every width.
const DRAWN = ["color-contrast", "css-orientation-lock", "link-in-text-block", "meta-viewport", "scrollable-region-focusable", "target-size"];
const LARGE = 20000;

async function look(browser, url, number) {
  const page = await browser.newPage();
  const found = { url, errors: [], elsewhere: [], violations: [], focusable: 0, missed: [] };
  page.on("console", (message) => { if (["error", "warn"].includes(message.type())) found.errors.push(message.text()); });
  page.on("pageerror", (error) => found.errors.push(String(error)));
  page.on("dialog", (dialog) => { found.errors.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  const own = new URL(url);
  page.on("request", (request) => {
    const asked = new URL(request.url());
    const allowed = ["data:", "blob:"].includes(asked.protocol) || (asked.protocol === own.protocol && asked.host === own.host && (own.protocol !== "file:" || asked.pathname === own.pathname));
    if (!allowed) found.elsewhere.push(request.url());
  });
  await page.setViewport({ width: WIDTHS[0], height: 900 });
  const began = Date.now();
  await page.goto(url, { waitUntil: "load" });
  // The page answers when it has drawn twice.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  found.interactive = (Date.now() - began) / 1000;
  found.bytes = await page.evaluate(() => new TextEncoder().encode(document.documentElement.outerHTML).length);
  found.injected = await page.evaluate(() => window.injected === true);
  await keyboard(page, found);
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  await keyboard(page, found);
  // A page's policy holds for scripts that others put into it, too.
  await page.setBypassCSP(true);
  for (const scheme of SCHEMES) {
    for (const width of WIDTHS) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await page.setViewport({ width, height: 900 });
      await page.goto(url, { waitUntil: "load" });
      const known = scheme !== SCHEMES[0] || width !== WIDTHS[0];
      await page.evaluate((known) => document.querySelectorAll("details").forEach((one, at) => { if (at < 40 && (!known || one.getElementsByTagName("*").length < 3000)) one.open = true; }), known);
      found.overflow = Math.max(found.overflow || 0, await page.evaluate(() => document.documentElement.scrollWidth - innerWidth));
      if (process.env.SHOTS) {
        await page.goto(url, { waitUntil: "load" });
        await page.screenshot({ path: join(process.env.SHOTS, `page-${number}-${width}-${scheme}.png`), fullPage: true });
      }
      await page.addScriptTag({ path: axe });
      const { violations } = await page.evaluate((rules, large) => {
        const some = rules && document.getElementsByTagName("*").length > large ? { runOnly: rules } : {};
        return axe.run(document, { resultTypes: ["violations"], ...some });
      }, known ? DRAWN : null, LARGE);
      for (const { id, nodes } of violations) found.violations.push({ id, scheme, width, at: nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) });
    }
  }
  await page.close();
  return found;
}

// Presses Tab until it comes around, and tells what it has not been at.
async function keyboard(page, found) {
  const all = await page.evaluate(() => {
    const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled;
    window.reachable = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(shown);
    window.reached = new Set();
    return window.reachable.length;
  });
  found.focusable = all;
  if (all > 600) return;
  for (let pressed = 0; pressed <= all + 2; pressed += 1) {
    await page.keyboard.press("Tab");
    await page.evaluate(() => window.reached.add(document.activeElement));
  }
  found.missed.push(...await page.evaluate(() => window.reachable.filter((one) => !window.reached.has(one)).map((one) => one.outerHTML.slice(0, 120))));
}

(async () => {
  const [chromium, ...urls] = process.argv.slice(2);
  const browser = await puppeteer.launch({ executablePath: chromium, headless: true, protocolTimeout: 1800000, args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"] });
  try {
    const found = [];
    for (const [number, url] of urls.entries()) found.push(await look(browser, url, number));
    console.log(JSON.stringify(found));
  } finally {
    await browser.close();
  }
})().catch((error) => { console.error(error); process.exit(1); });
