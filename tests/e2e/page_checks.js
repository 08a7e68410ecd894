// What is wrong with the page as it is drawn, as a list of sentences; evaluated in the browser.
(() => {
  const wrong = [];
  const root = document.documentElement;
  const name = (e) => `${e.tagName.toLowerCase()}.${e.getAttribute("class") || ""} "${(e.textContent || "").trim().slice(0, 30)}"`;
  const folded = (e) => e.closest("details:not([open])") && !e.closest("summary");
  const aside = (e) => e.closest(".scroll");

  if (root.scrollWidth > root.clientWidth) wrong.push(`the page is ${root.scrollWidth} pixels wide, the screen ${root.clientWidth}`);

  for (const section of document.querySelectorAll("section")) {
    if (section.getBoundingClientRect().height < 60) wrong.push(`section ${section.id} is empty`);
  }

  const paper = getComputedStyle(document.body).backgroundColor;
  const visible = (e) => {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const colours = [style.fill, style.stroke].filter((c) => c !== "none" && c !== paper);
    return box.width + box.height > 0 && colours.length > 0 && style.visibility === "visible";
  };
  for (const picture of document.querySelectorAll("svg, img, canvas")) {
    if (folded(picture)) continue;
    const box = picture.getBoundingClientRect();
    if (box.width < 4 || box.height < 4) wrong.push(`${name(picture)} is ${box.width} x ${box.height} pixels`);
    else if (![...picture.querySelectorAll("rect, path, text")].some(visible)) wrong.push(`${name(picture)} draws nothing`);
    if (!picture.getAttribute("aria-hidden") && !picture.querySelector("title")) wrong.push(`${name(picture)} has no title`);
  }

  // Text: inside the screen, not cut off by its box, large enough, and of enough contrast (WCAG AA).
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = (text) => {
    const [r, g, b] = channels(text).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (e) => {
    if (e.matches("svg text.name")) return getComputedStyle(e.previousElementSibling).fill;
    for (let at = e; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, e = text.parentElement;
    if (!text.data.trim() || folded(e) || ["title", "SCRIPT", "NOSCRIPT", "OPTION"].includes(e.tagName)) continue;
    if (e.tagName === "CAPTION" && getComputedStyle(e).position === "absolute") continue; // for screen readers
    const range = document.createRange();
    range.selectNodeContents(text);
    const box = range.getBoundingClientRect(), style = getComputedStyle(e);
    if (box.width === 0 || box.height === 0) wrong.push(`${name(e)} is not drawn`);
    if (!aside(e) && (box.left < 0 || box.right > root.clientWidth)) wrong.push(`${name(e)} leaves the screen`);
    if (parseFloat(style.fontSize) < 12) wrong.push(`${name(e)} is ${style.fontSize} high`);
    const ratio = contrast(e.closest("svg") ? style.fill : style.color, ground(e));
    if (ratio < 4.5) wrong.push(`${name(e)} has a contrast of ${ratio.toFixed(2)}`);
  }
  for (const e of document.body.querySelectorAll("*")) {
    if (folded(e) || e.closest("svg") || !["hidden", "clip"].includes(getComputedStyle(e).overflowX)) continue;
    if (e.tagName === "CAPTION") continue;
    if (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1) wrong.push(`${name(e)} is cut off`);
  }
  return wrong;
})()
