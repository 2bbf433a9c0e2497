// Makes the pages better where scripts run: an upload shows how far it is, and tells the server
// the size beforehand, so that the file need not be put down on the way. Without it all works.
"use strict";

const form = document.querySelector("form[data-upload]");
if (form) {
  const status = form.querySelector("[data-status]");
  const bar = form.querySelector("progress");
  const button = form.querySelector("button");
  const say = (text) => { status.hidden = false; status.textContent = text; };

  form.addEventListener("submit", (event) => {
    const file = form.elements.file.files[0];
    if (!file) return;
    event.preventDefault();
    // What comes before the file is known when the file begins to arrive.
    form.elements.size.value = String(file.size);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    button.disabled = true;
    bar.hidden = false;
    let told = -1;
    request.upload.addEventListener("progress", (progress) => {
      if (!progress.lengthComputable) return;
      const percent = Math.floor((100 * progress.loaded) / progress.total);
      bar.value = percent;
      // A screen reader hears of every tenth part, not of every byte.
      if (Math.floor(percent / 10) !== told) {
        told = Math.floor(percent / 10);
        say(form.dataset.uploading.replace("{percent}", String(percent)));
      }
    });
    request.upload.addEventListener("load", () => { bar.removeAttribute("value"); say(form.dataset.storing); });
    const failed = (text) => {
      button.disabled = false;
      bar.hidden = true;
      bar.value = 0;
      say(text || form.dataset.broken);
      status.focus();
    };
    request.addEventListener("load", () => {
      if (request.status === 201) location.assign(form.dataset.done);
      else failed(request.response && request.response.message);
    });
    request.addEventListener("error", () => failed());
    request.addEventListener("abort", () => failed());
    request.send(new FormData(form));
  });
}
