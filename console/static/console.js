// Says beside a text that no answer has come to it yet, reads out what came, asks before unsaved text is left, opens
// the parts of a page whose fields have it again after Back, lets Enter press the button of its own part, sends
// a form once where its button is clicked twice, and takes what was just done out of the address.
// Every page works without it. Its words stand in templates of the page, as all others do.
"use strict";
(() => {
  const typed = new WeakMap(); // how often something was typed into what asks, and how often when it asked last
  const asksOf = (node) => node.closest?.('[hx-trigger^="input"]');
  const foundOf = (asks) => document.querySelector(asks.getAttribute("hx-target") ?? "#form-found");
  const announced = document.getElementById("announced");
  const words = (name) => document.getElementById(name).content.cloneNode(true);

  function showAsEarlier(asks) {
    const found = foundOf(asks);
    if (!found) return;
    found.querySelector(":scope > .unanswered")?.remove();
    if (found.childElementCount && !found.querySelector(":scope > .earlier")) found.prepend(words("earlier"));
    found.ariaBusy = "true";
  }

  function sayThatNoAnswerCame(asks) {
    const found = foundOf(asks);
    if (!found) return;
    showAsEarlier(asks);
    found.ariaBusy = "false"; // so that it is read out
    found.prepend(words("unanswered"));
  }

  document.addEventListener("input", (event) => {
    sent = press = null;
    const asks = asksOf(event.target);
    if (!asks) return;
    typed.set(asks, { now: (typed.get(asks)?.now ?? 0) + 1, asked: typed.get(asks)?.asked ?? 0 });
    showAsEarlier(asks);
  });
  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    const times = typed.get(ctx.sourceElement);
    if (times) times.asked = times.now;
  });
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    const times = typed.get(ctx.sourceElement);
    if (!times) return;
    document.getElementById("refused")?.remove(); // it was of an earlier text
    if (times.asked < times.now) showAsEarlier(ctx.sourceElement); // more was typed meanwhile
    else announced.textContent = foundOf(ctx.sourceElement)?.querySelector("[data-announced]")?.textContent ?? "";
  });
  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx } = event.detail;
    const wanted = ctx.select?.slice(1) ?? "form-found";
    if (ctx.text.includes(`id="${wanted}"`)) return;
    event.preventDefault(); // such as the page of a proxy: what is there would be taken away
    if (asksOf(ctx.sourceElement)) sayThatNoAnswerCame(ctx.sourceElement);
  });
  document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
    if (ctx?.sourceElement && asksOf(ctx.sourceElement)) sayThatNoAnswerCame(ctx.sourceElement);
  });

  const here = new URL(location.href);
  if (here.searchParams.has("notice")) {
    here.searchParams.delete("notice"); // said once: the page loaded again does not say it of something long done
    history.replaceState(history.state, "", here);
  }

  let sent = null; // the form that is being sent
  const texts = 'textarea, input:not([type]), input[type="text"]';
  const isChanged = (field) => field.value !== field.defaultValue;
  const isUnsaved = (form) => form.hasAttribute("data-unsaved") || [...form.querySelectorAll(texts)].some(isChanged);
  let press = null; // the last button, and when it sent its form
  document.addEventListener("submit", (event) => {
    if (press?.button === event.submitter && press.form === event.target && event.timeStamp - press.at < 1000) {
      event.preventDefault(); // a second click would take away the answer to the first, and a secret is shown once
      return;
    }
    press = { button: event.submitter, form: event.target, at: event.timeStamp };
    sent = event.target;
  });
  document.addEventListener("keydown", (event) => {
    const composes = event.isComposing || event.keyCode === 229; // in Safari the second alone says so
    if (event.key !== "Enter" || composes || !event.target.matches?.('input:not([type]), input[type="text"]')) return;
    const button = event.target.closest("details, fieldset.bar")?.querySelector("button[data-enter]");
    if (!button) return;
    event.preventDefault(); // else Enter presses the first button of the whole form
    event.target.form.requestSubmit(button);
  });
  window.addEventListener("pageshow", () => {
    for (const part of document.querySelectorAll("details")) // what Back put into its fields again is to be seen
      part.open ||= [...part.querySelectorAll("textarea, input")].some(isChanged);
  });
  window.addEventListener("beforeunload", (event) => {
    const forms = [...document.querySelectorAll('form[method="post"]')].filter((form) => form !== sent);
    if (forms.some(isUnsaved)) event.preventDefault();
  });
})();
