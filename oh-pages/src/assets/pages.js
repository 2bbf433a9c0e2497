// Shows the progress of an upload, and sends the size of the file in advance so that the server
// can stream it. The pages work without this script.
"use strict";

const form = document.querySelector("form[data-upload]");
if (form) {
  const status = form.querySelector("[data-status]");
  const bar = form.querySelector("progress");
  const button = form.querySelector("button");
  const show = (text) => { status.hidden = false; status.textContent = text; };

  form.addEventListener("submit", (event) => {
    const file = form.elements.file.files[0];
    if (!file) return;
    event.preventDefault();
    const size = form.elements.size;
    size.disabled = false;
    size.value = String(file.size);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    button.disabled = true;
    bar.hidden = false;
    let announced = -1;
    request.upload.addEventListener("progress", (progress) => {
      if (!progress.lengthComputable) return;
      const percent = Math.floor((100 * progress.loaded) / progress.total);
      bar.value = percent;
      // Screen readers announce every tenth percent.
      if (Math.floor(percent / 10) !== announced) {
        announced = Math.floor(percent / 10);
        show(form.dataset.uploading.replace("{percent}", String(percent)));
      }
    });
    request.upload.addEventListener("load", () => { bar.removeAttribute("value"); show(form.dataset.storing); });
    const fail = (text) => {
      button.disabled = false;
      size.disabled = true;
      bar.hidden = true;
      bar.value = 0;
      show(text || form.dataset.interrupted);
      status.focus();
    };
    request.addEventListener("load", () => {
      if (request.status === 201) location.assign(form.dataset.done);
      else fail(request.response && request.response.message);
    });
    request.addEventListener("error", () => fail());
    request.addEventListener("abort", () => fail());
    request.send(new FormData(form));
  });
}
