// Looks at what moves on the pages of `onsager serve` in headless Chromium, and prints it as JSON.
//
//   NODE_PATH=…/node_modules node follow.cjs CHROMIUM ENTRY RUN-PAGE RECORD LINE CURVES-PAGE COMPARE-PAGE
//
// ENTRY is the address with the token. LINE is appended to RECORD once the page of the run is open, and should move its bar to 50.
"use strict";
const puppeteer = require("puppeteer-core");
const { appendFileSync } = require("node:fs");

(async () => {
  const [chromium, entry, runPage, record, line, curvesPage, comparePage] = process.argv.slice(2);
  const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"] });
  const found = { errors: [] };
  try {
    const page = await browser.newPage();
    page.on("console", (message) => { if (["error", "warn"].includes(message.type())) found.errors.push(message.text()); });
    page.on("pageerror", (error) => found.errors.push(String(error)));
    await page.goto(entry, { waitUntil: "load" });
    // The token is not in the address any more, nor where a script could read it.
    found.address = page.url();
    found.cookie = await page.evaluate(() => document.cookie);

    await page.goto(runPage, { waitUntil: "load" });
    const bar = "tr[data-task] progress";
    await page.waitForSelector(bar);
    found.before = await page.$eval(bar, (one) => one.value);
    const began = Date.now();
    appendFileSync(record, line + "\n");
    await page.waitForFunction((bar) => document.querySelector(bar).value === 50, { timeout: 60000, polling: "raf" }, bar);
    found.moved = (Date.now() - began) / 1000;

    await page.goto(curvesPage, { waitUntil: "load" });
    await page.waitForSelector(".uplot canvas", { timeout: 60000 });
    found.series = await page.$$eval(".u-legend .u-series", (all) => all.length);
    found.latest = await page.$$eval("#latest tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
    if (process.env.SHOTS) await page.screenshot({ path: process.env.SHOTS + "/curves.png", fullPage: true });

    await page.goto(comparePage, { waitUntil: "load" });
    const clip = () => page.$eval(".pair .new", (one) => one.style.clipPath);
    found.clip = [await clip()];
    await page.focus(".pair .swipe");
    await page.keyboard.press("Home");
    found.clip.push(await clip());
    await page.focus(".pair [data-differ]");
    await page.keyboard.press("Enter");
    found.differs = await page.$eval(".pair .differs", (one) => one.textContent);
    if (process.env.SHOTS) await page.screenshot({ path: process.env.SHOTS + "/compare.png", fullPage: true });
    console.log(JSON.stringify(found));
  } finally {
    await browser.close();
  }
})().catch((error) => { console.error(error); process.exit(1); });
